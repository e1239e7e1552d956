/* Drives lexer and grammar, and finds what to say when they fail.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/sql/grammar.h"
#include "engine/sql/keywords.h"
#include "engine/sql/parse_int.h"

/* ---- keywords ------------------------------------------------------------------------------ */

static const struct keyword {
    const char *word;
    int token;
    enum keyword_class class;
} keywords[] = {
#define KEYWORD_ROW(word, token, class, bare) { #word, token, KEYWORD_##class },
    KEYWORD_LIST(KEYWORD_ROW)
#undef KEYWORD_ROW
};

static const struct keyword *
keyword_find(const char *word)
{
    size_t low = 0, high = sizeof keywords / sizeof keywords[0];

    while (low < high) {
        size_t middle = (low + high) / 2;
        int c = strcmp(word, keywords[middle].word);

        if (c == 0)
            return &keywords[middle];
        if (c < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

int
sql_keyword_token(const char *folded)
{
    const struct keyword *k = keyword_find(folded);

    return k == NULL ? 0 : k->token;
}

bool
sql_word_is_reserved(const char *word)
{
    const struct keyword *k = keyword_find(word);

    return k != NULL && k->class == KEYWORD_RESERVED;
}

const char *
sql_quote_ident(struct arena *arena, const char *name)
{
    const struct keyword *k = keyword_find(name);
    bool plain = (name[0] >= 'a' && name[0] <= 'z') || name[0] == '_';
    size_t n = 0;
    char *out;

    for (const char *c = name; *c != '\0'; c++)
        plain = plain && ((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '_');
    if (plain && (k == NULL || k->class == KEYWORD_UNRESERVED))
        return name;
    out = arena_alloc(arena, 2 * strlen(name) + 3);
    out[n++] = '"';
    for (const char *c = name; *c != '\0'; c++) {
        if (*c == '"')
            out[n++] = '"';
        out[n++] = *c;
    }
    out[n++] = '"';
    out[n] = '\0';
    return out;
}

/* ---- errors -------------------------------------------------------------------------------- */

int32_t
sql_position(struct slice text, int32_t at)
{
    int32_t position = 1;

    if (at < 0)
        return 0;
    for (size_t i = 0; i < (size_t)at && i < text.size; i++)
        if ((text.data[i] & 0xc0) != 0x80)
            position++;
    return position;
}

int
lexer_error(struct lexer *lexer, const char *message, int32_t at, int32_t end)
{
    if (at == -2) {
        at = lexer->loc.at;
        end = lexer->loc.end;
    }
    if (at < 0 || (size_t)at >= lexer->text.size)
        lexer->error = DIAG(ERR_SYNTAX, "%s at end of input", message);
    else
        lexer->error = DIAG(ERR_SYNTAX, "%s at or near \"%.*s\"", message, (int)(end - at),
                            (const char *)lexer->text.data + at);
    diag_position(sql_position(lexer->text, at));
    return lexer->error;
}

void
parser_fail(struct parser *p, int code, int32_t at, const char *message)
{
    if (p->error != 0)
        return;
    p->error = DIAG(code, "%s", message);
    diag_position(sql_position(p->lexer.text, at));
}

static bool
word_is(struct slice text, struct sql_loc loc, const char *word)
{
    size_t n = strlen(word);

    return (size_t)(loc.end - loc.at) == n &&
           strncasecmp((const char *)text.data + loc.at, word, n) == 0;
}

/* Statements of PostgreSQL that are not here are told from those that nobody has. Returns what to
 * call it, or NULL. */
static const char *
unsupported_statement(struct parser *p)
{
    static const char *const alone[] = { "alter",   "call",   "cluster",  "do",
                                         "grant",   "import", "listen",   "load",
                                         "merge",   "notify", "reassign", "refresh",
                                         "reindex", "revoke", "security", "unlisten" };
    static const char *const objects[] = {
        "access",       "aggregate",   "cast",       "collation", "constraint", "conversion",
        "default",      "domain",      "event",      "extension", "foreign",    "function",
        "group",        "language",    "large",      "operator",  "policy",     "procedural",
        "procedure",    "publication", "routine",    "rule",      "server",     "statistics",
        "subscription", "system",      "tablespace", "text",      "transform",  "trigger",
        "type",         "or",          "trusted"
    };
    struct slice text = p->lexer.text;
    bool defines = false;

    if (p->first_count == 0)
        return NULL;
    for (size_t i = 1; i < sizeof alone / sizeof alone[0]; i++)
        if (word_is(text, p->first[0], alone[i]))
            return arena_printf(p->arena, "%s", alone[i]);
    defines = word_is(text, p->first[0], "create") || word_is(text, p->first[0], "alter") ||
              word_is(text, p->first[0], "drop") || word_is(text, p->first[0], "comment");
    for (size_t i = 0; defines && i < sizeof objects / sizeof objects[0]; i++) {
        int second = word_is(text, p->first[0], "comment") ? 2 : 1;

        if (p->first_count > second && word_is(text, p->first[second], objects[i]))
            return arena_printf(p->arena, "%.*s %s", p->first[0].end - p->first[0].at,
                                (const char *)text.data + p->first[0].at, objects[i]);
    }
    return NULL;
}

static void
upper_case(char *s)
{
    for (; *s != '\0'; s++)
        if (*s >= 'a' && *s <= 'z')
            *s = (char)(*s - 'a' + 'A');
}

void
sql_bison_error(struct sql_loc *loc, struct parser *p, const char *message)
{
    const char *what;

    (void)loc;
    if (p->error != 0)
        return;
    if (strcmp(message, "syntax error") != 0) {
        parser_fail(p, ERR_TOO_COMPLEX, p->last.loc.at, "the statement is nested too deep");
        return;
    }
    what = unsupported_statement(p);
    if (what != NULL) {
        char *name = arena_strdup(p->arena, what);

        upper_case(name);
        parser_fail(p, ERR_NOT_SUPPORTED, p->first[0].at,
                    arena_printf(p->arena, "%s is not supported", name));
        return;
    }
    p->error = lexer_error(&p->lexer, "syntax error", p->last.loc.at, p->last.loc.end);
}

/* ---- tokens -------------------------------------------------------------------------------- */

/* The token `n` places ahead, not taken. One that could not be read is the end of the text. */
static const struct sql_token *
parser_peek(struct parser *p, int n)
{
    while (p->ahead_count <= n) {
        struct sql_token *t = &p->ahead[(p->ahead_at + p->ahead_count) % PARSER_LOOKAHEAD];

        if (lexer_next(&p->lexer, t) != 0)
            t->kind = SQL_BISON_UNDEF;
        p->ahead_count++;
    }
    return &p->ahead[(p->ahead_at + n) % PARSER_LOOKAHEAD];
}

static struct sql_token
parser_take(struct parser *p)
{
    struct sql_token t = *parser_peek(p, 0);

    p->ahead_at = (p->ahead_at + 1) % PARSER_LOOKAHEAD;
    p->ahead_count--;
    return t;
}

/* Joins what needs more than one token of lookahead. */
static int
parser_token_kind(struct parser *p, int kind)
{
    int next;

    switch (kind) {
    case K_NOT:
        next = parser_peek(p, 0)->kind;
        return next == K_BETWEEN || next == K_IN || next == K_LIKE || next == K_ILIKE ||
                       next == K_SIMILAR
                   ? T_NOT_LA
                   : kind;
    case K_NULLS:
        next = parser_peek(p, 0)->kind;
        return next == K_FIRST || next == K_LAST ? T_NULLS_LA : kind;
    case K_WITH:
        next = parser_peek(p, 0)->kind;
        return next == K_TIME || next == K_ORDINALITY ? T_WITH_LA : kind;
    case K_IF:
        next = parser_peek(p, 0)->kind;
        if (next == K_NOT)
            next = parser_peek(p, 1)->kind;
        return next == K_EXISTS ? T_IF_LA : kind;
    case K_AS:
        if (parser_peek(p, 0)->kind != K_OF)
            return kind;
        next = parser_peek(p, 1)->kind;
        return next == K_SCN || next == K_TIMESTAMP ? T_AS_OF_LA : kind;
    default:
        return kind;
    }
}

int
sql_bison_lex(union sql_value *value, struct sql_loc *loc, struct parser *p)
{
    struct sql_token t;

    if (p->mode != 0) {
        int mode = p->mode;

        p->mode = 0;
        *loc = (struct sql_loc){ -1, -1 };
        return mode;
    }
    t = parser_take(p);
    if (t.kind == SQL_BISON_UNDEF)
        p->error = p->lexer.error;
    p->last = t;
    if (t.kind == ';')
        p->first_count = 0;
    else if (p->first_count < 3)
        p->first[p->first_count++] = t.loc;
    t.kind = parser_token_kind(p, t.kind);
    *value = t.value;
    *loc = t.loc;
    return t.kind;
}

/* ---- entry points -------------------------------------------------------------------------- */

static int
parser_run(struct parser *p, struct arena *arena, struct slice text, int mode)
{
    int rc;

    p->arena = arena;
    p->mode = mode;
    rc = lexer_init(&p->lexer, arena, text);
    if (rc == 0) {
        rc = sql_bison_parse(p);
        if (p->error != 0)
            rc = p->error;
        else if (rc == 2)
            rc = DIAG(ERR_NOMEM, "out of memory for the parser");
        CHECK(rc <= 0);
    }
    lexer_fini(&p->lexer);
    return rc;
}

int
sql_parse_lifted(struct arena *arena, struct slice text, const struct sql_normal *normal,
                 struct ast_list **out)
{
    struct parser p = { .normal = normal };
    int rc = parser_run(&p, arena, text, MODE_STATEMENTS);

    *out = NULL;
    if (rc == 0)
        *out = p.statements != NULL ? p.statements : ARENA_NEW(arena, struct ast_list);
    return rc;
}

int
sql_parse(struct arena *arena, struct slice text, struct ast_list **out)
{
    return sql_parse_lifted(arena, text, NULL, out);
}

int
sql_parse_expr(struct arena *arena, struct slice text, struct ast **out)
{
    struct parser p = { 0 };
    int rc = parser_run(&p, arena, text, MODE_EXPR);

    *out = p.expr;
    return rc;
}
