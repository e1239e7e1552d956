/* COPY: the statement and its options.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/copy.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#include "engine/sql/copy_int.h"

/* ---- options -----------------------------------------------------------------------------------
 */

static int
one_byte(const char *what, const char *text, char *out)
{
    if (text == NULL || strlen(text) != 1)
        return DIAG(ERR_NOT_SUPPORTED, "COPY %s must be a single one-byte character", what);
    *out = text[0];
    return 0;
}

static int
set_format(struct copy_options *o, const char *text)
{
    if (text != NULL && strcasecmp(text, "csv") == 0)
        o->csv = true;
    else if (text != NULL && strcasecmp(text, "binary") == 0)
        return DIAG(ERR_NOT_SUPPORTED, "COPY in binary format is not supported");
    else if (text == NULL || strcasecmp(text, "text") != 0)
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "COPY format \"%s\" not recognized",
                    text != NULL ? text : "");
    return 0;
}

static int
set_header(struct copy_options *o, const char *text, bool is_from)
{
    bool on = true;

    if (text != NULL && strcasecmp(text, "match") == 0) {
        if (!is_from)
            return DIAG(ERR_NOT_SUPPORTED, "cannot use \"match\" with HEADER in COPY TO");
        o->header = COPY_HEADER_MATCH;
        return 0;
    }
    if (text != NULL && !setting_parse_bool(text, &on))
        return DIAG(ERR_SYNTAX, "header requires a Boolean value or \"match\"");
    o->header = on ? COPY_HEADER_YES : COPY_HEADER_NONE;
    return 0;
}

struct said {
    const char *delimiter, *null, *quote, *escape;
};

static int
read_option(struct arena *a, const struct ast_option *opt, bool is_from, struct copy_options *o,
            struct said *said)
{
    const char *text = sess_option_text(a, opt->value);

    if (strcmp(opt->name, "format") == 0)
        return set_format(o, text);
    if (strcmp(opt->name, "header") == 0)
        return set_header(o, text, is_from);
    if (strcmp(opt->name, "freeze") == 0) {
        o->freeze = true;
        if (text != NULL && !setting_parse_bool(text, &o->freeze))
            return DIAG(ERR_SYNTAX, "freeze requires a Boolean value");
    } else if (strcmp(opt->name, "delimiter") == 0) {
        said->delimiter = text != NULL ? text : "";
    } else if (strcmp(opt->name, "null") == 0) {
        said->null = text != NULL ? text : "";
    } else if (strcmp(opt->name, "quote") == 0) {
        said->quote = text != NULL ? text : "";
    } else if (strcmp(opt->name, "escape") == 0) {
        said->escape = text != NULL ? text : "";
    } else if (strcmp(opt->name, "force_quote") == 0) {
        o->force_quote = opt->list;
        o->force_quote_all = opt->star;
    } else if (strcmp(opt->name, "force_not_null") == 0) {
        o->force_not_null = opt->list;
    } else if (strcmp(opt->name, "force_null") == 0) {
        o->force_null = opt->list;
    } else if (strcmp(opt->name, "encoding") == 0) {
        if (text == NULL || (strcasecmp(text, "utf8") != 0 && strcasecmp(text, "utf-8") != 0))
            return DIAG(ERR_NOT_SUPPORTED, "COPY encoding \"%s\" is not supported",
                        text != NULL ? text : "");
    } else {
        return DIAG(ERR_SYNTAX, "option \"%s\" not recognized", opt->name);
    }
    return 0;
}

static int
check_together(struct copy_options *o, const struct said *said, bool is_from)
{
    if (!o->csv && (said->quote != NULL || said->escape != NULL))
        return DIAG(ERR_NOT_SUPPORTED, "COPY %s available only in CSV mode",
                    said->quote != NULL ? "quote" : "escape");
    if ((o->force_quote != NULL || o->force_quote_all) && (!o->csv || is_from))
        return DIAG(ERR_NOT_SUPPORTED, "COPY force quote only available using COPY TO in CSV mode");
    if ((o->force_not_null != NULL || o->force_null != NULL) && (!o->csv || !is_from))
        return DIAG(ERR_NOT_SUPPORTED, "COPY force null only available using COPY FROM in CSV "
                                       "mode");
    if (o->freeze && !is_from)
        return DIAG(ERR_NOT_SUPPORTED, "COPY freeze only available using COPY FROM");
    if (o->delimiter == '\n' || o->delimiter == '\r' || o->delimiter == '\\' ||
        (!o->csv && strchr("abcdefghijklmnopqrstuvwxyz0123456789.", o->delimiter) != NULL))
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "COPY delimiter cannot be \"%c\"", o->delimiter);
    if (o->csv && o->delimiter == o->quote)
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "COPY delimiter and quote must be different");
    if (strpbrk(o->null, "\r\n") != NULL)
        return DIAG(ERR_INVALID_PARAMETER_VALUE,
                    "COPY null representation cannot use newline or carriage return");
    if (strchr(o->null, o->delimiter) != NULL)
        return DIAG(ERR_NOT_SUPPORTED,
                    "COPY delimiter character must not appear in the NULL specification");
    return 0;
}

int
copy_options_read(struct arena *a, const struct ast_list *options, bool is_from,
                  struct copy_options *out)
{
    struct said said = { NULL, NULL, NULL, NULL };
    int rc = 0;

    *out = (struct copy_options){ .csv = false };
    for (int32_t i = 0; i < ast_count(options) && rc == 0; i++) {
        const struct ast_option *o = AST_CONST(ast_option, options->item[i]);

        for (int32_t k = 0; k < i; k++)
            if (strcmp(AST_CONST(ast_option, options->item[k])->name, o->name) == 0)
                return DIAG(ERR_SYNTAX, "conflicting or redundant options");
        rc = read_option(a, o, is_from, out, &said);
    }
    if (rc != 0)
        return rc;
    out->delimiter = out->csv ? ',' : '\t';
    out->quote = '"';
    if (said.delimiter != NULL)
        rc = one_byte("delimiter", said.delimiter, &out->delimiter);
    if (rc == 0 && said.quote != NULL)
        rc = one_byte("quote", said.quote, &out->quote);
    out->escape = out->quote;
    if (rc == 0 && said.escape != NULL)
        rc = one_byte("escape", said.escape, &out->escape);
    out->null = said.null != NULL ? said.null : out->csv ? "" : "\\N";
    out->null_size = strlen(out->null);
    return rc != 0 ? rc : check_together(out, &said, is_from);
}

/* ---- the table ---------------------------------------------------------------------------------
 */

static int
find_column(const struct cat_table *t, const char *name, uint32_t *out)
{
    for (uint32_t i = 0; i < t->column_count; i++) {
        if (!t->columns[i].dropped && strcmp(t->columns[i].name, name) == 0) {
            *out = i;
            return 0;
        }
    }
    return DIAG(ERR_UNDEFINED_COLUMN, "column \"%s\" of relation \"%s\" does not exist", name,
                t->name);
}

static void
take_column(struct copy_run *c, const struct cat_column *column)
{
    uint32_t i = c->column_count++;

    c->names[i] = arena_strdup(&c->s->message, column->name);
    c->types[i] = column->type;
    c->typmods[i] = column->typmod;
}

static int
take_columns(struct copy_run *c, const struct cat_table *t)
{
    const struct ast_list *list = c->ast->columns;
    bool *taken = ARENA_ARRAY(&c->s->message, bool, t->column_count + 1);

    for (int32_t i = 0; i < ast_count(list); i++) {
        const char *name = AST_CONST(ast_name, list->item[i])->name;
        uint32_t column;
        int rc = find_column(t, name, &column);

        if (rc != 0)
            return rc;
        if (taken[column])
            return DIAG(ERR_DUPLICATE_COLUMN, "column \"%s\" specified more than once", name);
        taken[column] = true;
        take_column(c, &t->columns[column]);
    }
    for (uint32_t i = 0; ast_count(list) == 0 && i < t->column_count; i++)
        if (!t->columns[i].dropped)
            take_column(c, &t->columns[i]);
    return 0;
}

int
copy_mark(struct copy_run *c, const struct ast_list *names, const char *what, bool *marks)
{
    for (int32_t i = 0; i < ast_count(names); i++) {
        const char *name = AST_CONST(ast_name, names->item[i])->name;
        uint32_t k = 0;

        while (k < c->column_count && strcmp(c->names[k], name) != 0)
            k++;
        if (k == c->column_count && ast_count(c->ast->columns) == 0)
            return DIAG(ERR_UNDEFINED_COLUMN, "column \"%s\" does not exist", name);
        if (k == c->column_count)
            return DIAG(ERR_INVALID_COLUMN_REFERENCE, "%s column \"%s\" not referenced by COPY",
                        what, name);
        marks[k] = true;
    }
    return 0;
}

int
copy_resolve(struct copy_run *c)
{
    struct arena *a = &c->s->message;
    const struct cat_table *t;
    int rc = sess_need_table(c->s, c->ast->relation, &t);

    if (rc != 0)
        return rc;
    if (t->kind != CAT_TABLE) {
        rc = DIAG(ERR_WRONG_OBJECT_TYPE, "cannot copy %s %s \"%s\"", c->ast->from ? "to" : "from",
                  t->kind == CAT_VIEW       ? "view"
                  : t->kind == CAT_SEQUENCE ? "sequence"
                                            : "non-table relation",
                  t->name);
        if (!c->ast->from && t->kind == CAT_VIEW)
            diag_hint("Try the COPY (SELECT ...) TO variant.");
        return rc;
    }
    c->table = arena_printf(a, "%s.%s", sql_quote_ident(a, t->schema), sql_quote_ident(a, t->name));
    c->names = ARENA_ARRAY(a, const char *, t->column_count + 1);
    c->types = ARENA_ARRAY(a, uint32_t, t->column_count + 1);
    c->typmods = ARENA_ARRAY(a, int32_t, t->column_count + 1);
    c->force = ARENA_ARRAY(a, bool, t->column_count + 1);
    c->force_null = ARENA_ARRAY(a, bool, t->column_count + 1);
    return take_columns(c, t);
}

const char *
copy_target_text(struct copy_run *c)
{
    struct arena *a = &c->s->message;
    const char *all = "";

    for (uint32_t i = 0; i < c->column_count; i++)
        all = arena_printf(a, "%s%s%s", all, i > 0 ? ", " : "", sql_quote_ident(a, c->names[i]));
    return all;
}

/* ---- the statement -----------------------------------------------------------------------------
 */

int
sess_copy_run(struct sql_session *s, const struct ast_copy *a, struct slice text, char tag[TAG_MAX])
{
    struct copy_run c = { .s = s, .ast = a, .text = text };
    uint64_t rows = 0;
    int rc;

    if (a->file != NULL) {
        rc = DIAG(ERR_NOT_SUPPORTED, "COPY of files on the server is not supported");
        diag_hint("psql's \\copy reads and writes files of the client.");
        return rc;
    }
    if (a->where != NULL)
        return DIAG(ERR_NOT_SUPPORTED, "COPY FROM ... WHERE is not supported");
    rc = copy_options_read(&s->message, a->options, a->from, &c.options);
    if (rc == 0)
        rc = a->from ? copy_run_in(&c, &rows) : copy_run_out(&c, &rows);
    snprintf(tag, TAG_MAX, "COPY %" PRIu64, rows);
    return rc;
}
