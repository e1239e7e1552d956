/* The plan cache's key for a query of the simple protocol: its tokens in one spelling, with
 * literals taken out. Works on tokens alone, since it runs for every query.
 *
 * A literal is lifted where a parameter could stand for it. Where that cannot be told from tokens,
 * the binder has the last word (a plan that depends on a lifted value is not shared), so a mistake
 * here costs speed and never a wrong answer. Not lifted:
 *   - anything in statements that group or are DISTINCT: expressions are compared there, and a + 1
 *     must be seen to be a + 1 in both places;
 *   - what follows ORDER BY (1 is a column there), up to the clause's end;
 *   - a type's modifier (after :: or AS) and a literal right after a name (DATE '...');
 *   - NULL, TRUE, FALSE: they steer the planner.
 *
 * Key bytes: per token its text and a blank. Identifiers stand in double quotes, strings that stay
 * are 'size:text, a lifted literal is $ and a letter for its type: i int4, l int8, n numeric, s
 * string. No two token sequences give the same key.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "engine/sql/grammar.h"
#include "engine/sql/parse_int.h"

enum { NORMAL_LIFTED_MAX = 2000, NORMAL_TEXT_MAX = 64 << 10 };

struct normalizer {
    struct arena *arena;
    struct lexer lexer;
    struct slice text;
    bool lift;     /* false: the key has all literals */
    bool compares; /* met GROUP or DISTINCT: must not lift */
    struct writer key;
    struct sql_lifted *lifted;
    int32_t lifted_count, lifted_capacity;
    int32_t depth;       /* open parentheses */
    int32_t order_depth; /* depth of the ORDER BY that we are in; -1: none */
    int32_t type_depth;  /* depth inside a type's parentheses; -1: none */
    enum { TYPE_NONE, TYPE_EXPECTED, TYPE_NAMED } type; /* reading a type's name */
};

static bool
starts_query(int kind)
{
    return kind == K_SELECT || kind == K_INSERT || kind == K_UPDATE || kind == K_DELETE ||
           kind == K_VALUES || kind == K_WITH || kind == '(';
}

/* A value may follow this token, and not only a typed literal's string. */
static bool
value_may_follow(int kind)
{
    switch (kind) {
    case '(':
    case ',':
    case '=':
    case '<':
    case '>':
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
    case '^':
    case T_LE:
    case T_GE:
    case T_NE:
    case T_OP:
    case K_SELECT:
    case K_WHERE:
    case K_AND:
    case K_OR:
    case K_NOT:
    case K_WHEN:
    case K_THEN:
    case K_ELSE:
    case K_BETWEEN:
    case K_LIKE:
    case K_ILIKE:
    case K_LIMIT:
    case K_OFFSET:
    case K_HAVING:
    case K_RETURNING:
    case K_SCN:
        return true;
    default:
        return false;
    }
}

/* Follows ORDER BY, GROUP BY and type names. */
static void
track(struct normalizer *n, int kind)
{
    if (kind == ')') {
        n->depth--;
        if (n->depth < n->order_depth)
            n->order_depth = -1;
        if (n->depth < n->type_depth)
            n->type_depth = -1;
    }
    if (n->order_depth == n->depth &&
        (kind == K_LIMIT || kind == K_OFFSET || kind == K_FETCH || kind == K_FOR ||
         kind == K_UNION || kind == K_EXCEPT || kind == K_INTERSECT || kind == K_RETURNING))
        n->order_depth = -1;
    if (kind == '(') {
        n->depth++;
        if (n->type == TYPE_NAMED && n->type_depth < 0)
            n->type_depth = n->depth;
    }
    if (kind == K_ORDER && n->order_depth < 0)
        n->order_depth = n->depth;
    if (kind == K_GROUP || kind == K_DISTINCT)
        n->compares = true;
    if (kind == T_TYPECAST || kind == K_AS)
        n->type = TYPE_EXPECTED;
    else if (n->type == TYPE_EXPECTED && kind != '(')
        n->type = TYPE_NAMED;
    else if (kind == '.' && n->type == TYPE_NAMED)
        n->type = TYPE_EXPECTED;
    else if (kind != K_PRECISION && kind != K_VARYING && kind != K_CHARACTER && kind != K_CHAR)
        n->type = TYPE_NONE;
}

/* The letter for a literal that may be lifted, or 0. Numbers whose type would change with a sign
 * before them stay. */
static char
lift_letter(const struct sql_token *t)
{
    if (t->kind == T_STRING)
        return 's';
    if (t->kind == T_INT)
        return t->value.integer <= INT32_MAX                ? 'i'
               : t->value.integer == (int64_t)INT32_MAX + 1 ? '\0'
                                                            : 'l';
    if (t->kind == T_NUMERIC && memchr(t->value.text.data, '.', t->value.text.size) != NULL)
        return 'n';
    return '\0';
}

static bool
lift(struct normalizer *n, const struct sql_token *t)
{
    char letter = lift_letter(t);
    struct sql_lifted *l;

    if (letter == '\0' || n->lifted_count == NORMAL_LIFTED_MAX)
        return false;
    if (n->lifted_count == n->lifted_capacity) {
        int32_t capacity = n->lifted_capacity == 0 ? 16 : 2 * n->lifted_capacity;
        struct sql_lifted *more = ARENA_ARRAY(n->arena, struct sql_lifted, capacity);

        if (n->lifted_count > 0)
            memcpy(more, n->lifted, sizeof *more * (size_t)n->lifted_count);
        n->lifted = more;
        n->lifted_capacity = capacity;
    }
    l = &n->lifted[n->lifted_count++];
    *l = (struct sql_lifted){ .at = t->loc.at, .end = t->loc.end };
    l->type = t->kind == T_INT      ? AST_LIT_INT
              : t->kind == T_STRING ? AST_LIT_STRING
                                    : AST_LIT_NUMERIC;
    if (t->kind == T_INT)
        l->integer = t->value.integer;
    else
        l->text = t->value.text;
    wr_u8(&n->key, '$');
    wr_u8(&n->key, (uint8_t)letter);
    return true;
}

static void
put_string(struct normalizer *n, char quote, struct slice text)
{
    char head[24];
    int size = snprintf(head, sizeof head, "%c%zu:", quote, text.size);

    wr_bytes(&n->key, head, (size_t)size);
    wr_slice(&n->key, text);
}

static void
put_token(struct normalizer *n, const struct sql_token *t)
{
    switch (t->kind) {
    case T_IDENT:
        wr_u8(&n->key, '"');
        wr_bytes(&n->key, t->value.str, strlen(t->value.str));
        wr_u8(&n->key, '"');
        break;
    case T_STRING:
        put_string(n, '\'', t->value.text);
        break;
    case T_BITS:
        put_string(n, '#', t->value.text);
        break;
    default: /* keywords are folded; all else is as it was written */
        for (int32_t i = t->loc.at; i < t->loc.end; i++) {
            uint8_t c = n->text.data[i];

            wr_u8(&n->key, c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c);
        }
    }
}

/* 0, with *done false when the text cannot be cached or must be read again without lifting. */
static int
normalize_once(struct normalizer *n, bool *done)
{
    struct sql_token t;
    int before = 0;
    bool ended = false;

    *done = false;
    for (;;) {
        int rc = lexer_next(&n->lexer, &t);

        if (rc != 0)
            return rc;
        if (t.kind == 0)
            break;
        if (before == 0 && !starts_query(t.kind) && !(t.kind == ';' && ended))
            return 0;
        if (ended && t.kind != ';')
            return 0;
        if (t.kind == T_PARAM)
            return 0;
        ended = ended || t.kind == ';';
        if (ended)
            continue;
        track(n, t.kind);
        if (n->compares && n->lift)
            return 0;
        if (!n->lift || n->order_depth >= 0 || n->type_depth >= 0 || !value_may_follow(before) ||
            !lift(n, &t))
            put_token(n, &t);
        wr_u8(&n->key, ' ');
        before = t.kind;
    }
    *done = before != 0 && !n->key.bad;
    return 0;
}

int
sql_normalize(struct arena *arena, struct slice text, struct sql_normal *out)
{
    bool done = false, again = true;
    int rc = 0;

    *out = (struct sql_normal){ .cacheable = false };
    if (text.size == 0 || text.size > NORMAL_TEXT_MAX)
        return 0;
    for (int pass = 0; rc == 0 && again && pass < 2; pass++) {
        struct normalizer n = {
            .arena = arena, .text = text, .lift = pass == 0, .order_depth = -1, .type_depth = -1
        };
        /* Every token grows by at most a quote at each end, a blank, and a string's size. */
        size_t room = text.size * 4 + 64;
        void *memory = arena_try_alloc(arena, room);

        if (memory == NULL)
            return ERR_NOMEM;
        wr_init_fixed(&n.key, memory, room);
        rc = lexer_init(&n.lexer, arena, text);
        if (rc == 0)
            rc = normalize_once(&n, &done);
        lexer_fini(&n.lexer);
        again = !done && n.compares && n.lift;
        if (rc == 0 && done)
            *out = (struct sql_normal){ .cacheable = true,
                                        .key = wr_view(&n.key),
                                        .lifted_count = n.lifted_count,
                                        .lifted = n.lifted };
    }
    return rc;
}
