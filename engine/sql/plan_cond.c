/* Conditions: what they need, what they are worth.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/plan_int.h"

/* a = 1 OR a = 2 is a IN (1, 2), which can be a range of keys. NULL: it is nothing of the kind. */
static struct expr *
or_as_list(struct planner *p, const struct expr *e)
{
    const struct expr *first = e->args[0];
    struct expr *list;

    for (int32_t i = 0; i < e->arg_count; i++) {
        const struct expr *a = e->args[i];

        if (a->kind != EXPR_FUNC || a->u.call.op == NULL || a->u.call.op->order != OP_EQ ||
            a->u.func != first->u.func || a->arg_count != 2 ||
            !expr_equal(a->args[0], first->args[0]) || expr_is_volatile(a->args[0]) ||
            (a->args[1]->kind != EXPR_CONST && a->args[1]->kind != EXPR_PARAM))
            return NULL;
    }
    list = expr_with_args(p->arena, EXPR_IN_LIST, e->type, e->at, e->arg_count + 1);
    list->args[0] = first->args[0];
    for (int32_t i = 0; i < e->arg_count; i++)
        list->args[i + 1] = e->args[i]->args[1];
    list->u.op.func = first->u.func;
    return list;
}

void
conds_add(struct planner *p, struct conds *c, struct expr *e)
{
    if (e == NULL)
        return;
    if (e->kind == EXPR_AND) {
        for (int32_t i = 0; i < e->arg_count; i++)
            conds_add(p, c, e->args[i]);
        return;
    }
    if (e->kind == EXPR_OR) {
        struct expr *list = or_as_list(p, e);

        e = list != NULL ? list : e;
    }
    if (c->count == c->capacity) {
        int32_t capacity = c->capacity == 0 ? 8 : 2 * c->capacity;
        struct cond *more = ARENA_ARRAY(p->arena, struct cond, capacity);

        if (c->count > 0)
            memcpy(more, c->list, sizeof *more * (size_t)c->count);
        c->list = more;
        c->capacity = capacity;
    }
    c->list[c->count++] = (struct cond){ .e = e,
                                         .rels = expr_rels(e, 0),
                                         .is_volatile = expr_is_volatile(e),
                                         .has_sublink = expr_has_sublink(e) };
}

/* NULL for sure when these entries' columns are. */
static bool
null_with(const struct expr *e, rels_t rels)
{
    switch (e->kind) {
    case EXPR_VAR:
        return e->u.var.level == 0 && e->u.var.rel >= 0 && (rels & rel_bit(e->u.var.rel)) != 0;
    case EXPR_RELABEL:
    case EXPR_CAST_IO:
    case EXPR_TYPMOD:
    case EXPR_NOT:
    case EXPR_IN_LIST:
    case EXPR_ANY_ARRAY:
        return null_with(e->args[0], rels);
    case EXPR_FUNC:
        for (int32_t i = 0; (e->u.func->flags & FUNC_STRICT) != 0 && i < e->arg_count; i++)
            if (null_with(e->args[i], rels))
                return true;
        return false;
    default:
        return false;
    }
}

bool
rejects_null(const struct expr *e, rels_t rels)
{
    switch (e->kind) {
    case EXPR_AND:
        for (int32_t i = 0; i < e->arg_count; i++)
            if (rejects_null(e->args[i], rels))
                return true;
        return false;
    case EXPR_OR:
        for (int32_t i = 0; i < e->arg_count; i++)
            if (!rejects_null(e->args[i], rels))
                return false;
        return true;
    case EXPR_IS_NULL:
        return e->u.is.negated && null_with(e->args[0], rels);
    case EXPR_IS_BOOL:
        return !e->u.is.negated && e->u.is.value >= 0 && null_with(e->args[0], rels);
    default:
        return null_with(e, rels);
    }
}

/* Guesses, as long as there are no statistics of columns. */
double
cond_selectivity(const struct cond *c)
{
    const struct expr *e = c->e;
    const struct op *op = e->kind == EXPR_FUNC ? e->u.call.op : NULL;

    if (op != NULL && op->order == OP_EQ)
        return 0.005;
    if (op != NULL && op->order != OP_NONE && op->order != OP_NE)
        return 0.33;
    if (op != NULL && (strstr(op->name, "~~") != NULL || op->name[0] == '~'))
        return 0.05;
    switch (e->kind) {
    case EXPR_IS_NULL:
        return e->u.is.negated ? 0.995 : 0.005;
    case EXPR_IN_LIST:
        return e->u.op.negated ? 0.9 : 0.005 * e->arg_count > 0.5 ? 0.5 : 0.005 * e->arg_count;
    case EXPR_OR:
        return 0.3;
    default:
        return 0.5;
    }
}

bool
cond_equality(struct planner *p, const struct cond *c, rels_t left, rels_t right,
              struct equality *out)
{
    const struct expr *e = c->e;
    struct expr *a, *b;
    oid_t type;
    const struct op *eq;

    if (e->kind != EXPR_FUNC || e->u.call.op == NULL || e->u.call.op->order != OP_EQ ||
        e->arg_count != 2 || c->is_volatile || c->has_sublink)
        return false;
    a = e->args[0];
    b = e->args[1];
    if (expr_rels(a, 0) == 0 || expr_rels(b, 0) == 0)
        return false;
    if ((expr_rels(a, 0) & ~left) != 0) {
        struct expr *swap = a;

        a = b;
        b = swap;
    }
    if ((expr_rels(a, 0) & ~left) != 0 || (expr_rels(b, 0) & ~right) != 0)
        return false;
    type = a->type.oid;
    if (a->type.oid != b->type.oid) {
        oid_t types[2] = { a->type.oid, b->type.oid };

        if (cast_common_type(p->funcs, "JOIN", types, 2, &type, NULL) != 0) {
            diag_clear();
            return false;
        }
    }
    a = cast_to(p, a, type);
    b = cast_to(p, b, type);
    eq = op_exact(p->funcs, "=", type, type);
    if (a == NULL || b == NULL || eq == NULL || type_get(type)->hash == NULL)
        return false;
    *out = (struct equality){ a, b, func_by_oid(p->funcs, eq->func_oid) };
    return out->equal != NULL;
}
