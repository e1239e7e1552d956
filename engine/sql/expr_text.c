/* Typed expressions as SQL, for EXPLAIN.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "engine/sql/planner.h"

struct put {
    const struct expr_text *t;
    struct writer w;
    int depth;
};

static void put_expr(struct put *p, const struct expr *e);

static void
put(struct put *p, const char *s)
{
    wr_bytes(&p->w, s, strlen(s));
}

static void
put_list(struct put *p, struct expr *const *list, int32_t count, const char *between)
{
    for (int32_t i = 0; i < count; i++) {
        put(p, i > 0 ? between : "");
        put_expr(p, list[i]);
    }
}

static bool
is_number(oid_t type)
{
    return type == TYPE_INT2 || type == TYPE_INT4 || type == TYPE_INT8 || type == TYPE_NUMERIC ||
           type == TYPE_FLOAT4 || type == TYPE_FLOAT8 || type == TYPE_OID;
}

static void
put_constant(struct put *p, const struct expr *e)
{
    struct type_env env = { .arg = NULL };
    const struct datum *d = e->u.constant.value;
    const char *text;

    if (d == NULL || e->type.oid == TYPE_BOOL) {
        put(p, d == NULL ? "NULL" : d->i != 0 ? "true" : "false");
        if (d == NULL && e->type.oid != TYPE_UNKNOWN) {
            put(p, "::");
            put(p, type_sql_name(e->type.oid));
        }
        return;
    }
    text = type_out_str(e->type.oid, &env, p->t->arena, d);
    if (is_number(e->type.oid)) {
        put(p, text[0] == '-' ? "'" : "");
        put(p, text);
        put(p, text[0] == '-' ? "'" : "");
        if (text[0] != '-' && e->type.oid != TYPE_INT8)
            return;
    } else {
        put(p, "'");
        for (const char *c = text; *c != '\0'; c++) {
            if (*c == '\'')
                put(p, "'");
            wr_u8(&p->w, (uint8_t)*c);
        }
        put(p, "'");
    }
    put(p, "::");
    put(p, type_format_str(p->t->arena, e->type.oid, e->type.typmod));
}

static void
put_named(struct put *p, const struct expr *e)
{
    const char *text = NULL;
    char number[32];

    if (e->kind == EXPR_COLUMN && p->t->column != NULL)
        text = p->t->column(p->t->arg, e->u.index);
    else if (e->kind == EXPR_OUTER && p->t->slot != NULL)
        text = p->t->slot(p->t->arg, e->u.index);
    else if (e->kind == EXPR_PARAM && p->t->params != NULL)
        text = p->t->params[e->u.index];
    if (text == NULL) {
        snprintf(number, sizeof number, "%s%d", e->kind == EXPR_COLUMN ? "#" : "$",
                 e->u.index + (e->kind != EXPR_OUTER));
        text = number;
    }
    put(p, text);
}

static void
put_cast(struct put *p, const struct expr *e)
{
    bool simple = e->args[0]->kind == EXPR_COLUMN || e->args[0]->kind == EXPR_PARAM;

    put(p, simple ? "(" : "(");
    put_expr(p, e->args[0]);
    put(p, ")::");
    put(p, type_format_str(p->t->arena, e->type.oid, e->type.typmod));
}

static void
put_func(struct put *p, const struct expr *e)
{
    const struct op *op = e->u.call.op;

    if (op != NULL && e->arg_count <= 2) {
        put(p, "(");
        if (e->arg_count == 2) {
            put_expr(p, e->args[0]);
            put(p, " ");
        }
        put(p, op->name);
        put(p, " ");
        put_expr(p, e->args[e->arg_count - 1]);
        put(p, ")");
        return;
    }
    if (e->arg_count == 1 && type_find(e->type.oid) != NULL &&
        strcmp(e->u.func->name, type_get(e->type.oid)->name) == 0) {
        put_cast(p, e);
        return;
    }
    put(p, e->u.func->name);
    put(p, "(");
    put_list(p, e->args, e->arg_count, ", ");
    put(p, ")");
}

static void
put_case(struct put *p, const struct expr *e)
{
    put(p, "CASE");
    for (int32_t i = 0; i + 1 < e->arg_count; i += 2) {
        put(p, " WHEN ");
        put_expr(p, e->args[i]);
        put(p, " THEN ");
        put_expr(p, e->args[i + 1]);
    }
    put(p, " ELSE ");
    put_expr(p, e->args[e->arg_count - 1]);
    put(p, " END");
}

static void
put_is(struct put *p, const struct expr *e)
{
    put(p, "(");
    put_expr(p, e->args[0]);
    put(p, e->u.is.negated ? " IS NOT " : " IS ");
    put(p, e->kind == EXPR_IS_NULL ? "NULL"
           : e->u.is.value == 1    ? "TRUE"
           : e->u.is.value == 0    ? "FALSE"
                                   : "UNKNOWN");
    put(p, ")");
}

static void
put_in(struct put *p, const struct expr *e)
{
    bool list = e->kind == EXPR_IN_LIST;

    put(p, "(");
    put_expr(p, e->args[0]);
    if (e->kind == EXPR_DISTINCT)
        put(p, e->u.op.negated ? " IS NOT DISTINCT FROM " : " IS DISTINCT FROM ");
    else if (list)
        put(p, e->u.op.negated ? " <> ALL (ARRAY[" : " = ANY (ARRAY[");
    else
        put(p, e->u.op.negated ? " op ALL (" : " op ANY (");
    put_list(p, e->args + 1, e->arg_count - 1, ", ");
    put(p, e->kind == EXPR_DISTINCT ? ")" : list ? "]))" : "))");
}

static void
put_subplan(struct put *p, const struct expr *e)
{
    char text[48];

    snprintf(text, sizeof text, "(%sSubPlan %d)",
             e->u.subplan.kind == SUBPLAN_EXISTS ? "EXISTS " : "", e->u.subplan.id + 1);
    put(p, text);
}

static void
put_call(struct put *p, const char *name, const struct expr *e)
{
    put(p, name);
    put_list(p, e->args, e->arg_count, ", ");
    put(p, name[strlen(name) - 1] == '[' ? "]" : ")");
}

/* dispatch */
static void
put_kind(struct put *p, const struct expr *e)
{
    switch (e->kind) {
    case EXPR_CONST:
        put_constant(p, e);
        break;
    case EXPR_PARAM:
    case EXPR_COLUMN:
    case EXPR_OUTER:
        put_named(p, e);
        break;
    case EXPR_FUNC:
        put_func(p, e);
        break;
    case EXPR_CAST_IO:
    case EXPR_RELABEL:
    case EXPR_TYPMOD:
        put_cast(p, e);
        break;
    case EXPR_AND:
    case EXPR_OR:
        put(p, "(");
        put_list(p, e->args, e->arg_count, e->kind == EXPR_AND ? " AND " : " OR ");
        put(p, ")");
        break;
    case EXPR_NOT:
        put_call(p, "(NOT ", e);
        break;
    case EXPR_CASE:
        put_case(p, e);
        break;
    case EXPR_COALESCE:
        put_call(p, "COALESCE(", e);
        break;
    case EXPR_GREATEST:
        put_call(p, "GREATEST(", e);
        break;
    case EXPR_LEAST:
        put_call(p, "LEAST(", e);
        break;
    case EXPR_ARRAY:
        put_call(p, "ARRAY[", e);
        break;
    case EXPR_IS_NULL:
    case EXPR_IS_BOOL:
        put_is(p, e);
        break;
    case EXPR_DISTINCT:
    case EXPR_IN_LIST:
    case EXPR_ANY_ARRAY:
        put_in(p, e);
        break;
    case EXPR_SUBPLAN:
        put_subplan(p, e);
        break;
    case EXPR_SUBSCRIPT:
        put_expr(p, e->args[0]);
        put(p, "[");
        put_expr(p, e->args[1]);
        put(p, "]");
        break;
    default:
        put(p, "?");
    }
}

static void
put_expr(struct put *p, const struct expr *e)
{
    if (++p->depth > 60)
        put(p, "...");
    else
        put_kind(p, e);
    p->depth--;
}

const char *
sql_expr_text(const struct expr_text *t, const struct expr *e)
{
    struct put p = { .t = t };
    const char *text;

    wr_init(&p.w, 1 << 20);
    put_expr(&p, e);
    text = p.w.bad ? "..." : arena_strndup(t->arena, (const char *)p.w.data, p.w.size);
    wr_fini(&p.w);
    return text;
}
