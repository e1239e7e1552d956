/* Expressions in definitions: defaults, checks, USING. They are kept as their text, and evaluated
 * here over whole rows.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/ddl_sql_int.h"
#include "engine/sql/exec_int.h"

/* Columns of the table become columns of the row. */
static int
row_column_cb(struct expr **child, void *arg)
{
    struct expr *e = *child;

    if (e->kind == EXPR_SUBLINK)
        return DIAG(ERR_NOT_SUPPORTED, "cannot use subquery in this expression");
    if (e->kind == EXPR_VAR) {
        int32_t column = e->u.var.column;

        if (column < 0)
            return DIAG(ERR_NOT_SUPPORTED, "system columns cannot be used in this expression");
        e->kind = EXPR_COLUMN;
        e->u.index = column;
        return 0;
    }
    return expr_each_child(e, row_column_cb, arg);
}

int
ddl_bind_expr(struct ddl_run *d, const struct ast *ast, const struct cat_table *table,
              const char *what, struct sql_type type, const char *column, struct expr **out)
{
    struct binder_catalog names = sess_binder_catalog(d->s);
    struct bind_request r = { .arena = d->arena,
                              .text = d->text,
                              .catalog = &names,
                              .funcs = &func_set_session,
                              .types = &d->s->types };
    struct bind_expr_request b = {
        .expr = ast, .table = table, .what = what, .type = type, .column = column
    };
    int rc = sql_bind_expr(&r, &b, out);

    return rc != 0 ? rc : row_column_cb(out, NULL);
}

int
ddl_bind_text(struct ddl_run *d, const char *text, const struct cat_table *table, const char *what,
              struct sql_type type, const char *column, struct expr **out)
{
    struct ddl_run own = *d;
    struct ast *ast;
    int rc;

    own.text = slice_str(text);
    rc = sql_parse_expr(d->arena, own.text, &ast);
    return rc != 0 ? rc : ddl_bind_expr(&own, ast, table, what, type, column, out);
}

int
ddl_eval(struct ddl_run *d, const struct expr *e, const struct datum *values, struct arena *a,
         struct datum *out)
{
    struct eval v = { .ctx = &d->s->ctx, .columns = values, .arena = a };

    return eval_row(&v, e, out);
}

struct mentioned {
    int column;
    bool several, has;
    int32_t wanted;
};

static int
mentioned_cb(struct expr **child, void *arg)
{
    const struct expr *e = *child;
    struct mentioned *m = arg;

    if (e->kind != EXPR_COLUMN)
        return expr_each_child(*child, mentioned_cb, arg);
    m->several |= m->column >= 0 && m->column != e->u.index;
    m->column = e->u.index;
    m->has |= e->u.index == m->wanted;
    return 0;
}

static struct mentioned
mentioned(const struct expr *e, int32_t wanted)
{
    struct mentioned m = { .column = -1, .wanted = wanted };
    union {
        const struct expr *in;
        struct expr *out;
    } same = { .in = e };

    (void)mentioned_cb(&same.out, &m);
    return m;
}

int
ddl_only_column(const struct expr *e)
{
    struct mentioned m = mentioned(e, -1);

    return m.several ? -1 : m.column;
}

bool
ddl_uses_column(const struct expr *e, int32_t column)
{
    return mentioned(e, column).has;
}
