/* Walking and comparing typed expressions.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/expr.h"

#include <string.h>

#include "engine/base/mem.h"
#include "engine/sql/bound.h"
#include "engine/types/datum.h"
#include "engine/types/func.h"

struct expr *
expr_new(struct arena *a, enum expr_kind kind, struct sql_type type, int32_t at)
{
    struct expr *e = ARENA_NEW(a, struct expr);

    e->kind = kind;
    e->type = type;
    e->at = at;
    return e;
}

struct expr *
expr_with_args(struct arena *a, enum expr_kind kind, struct sql_type type, int32_t at,
               int32_t arg_count)
{
    struct expr *e = expr_new(a, kind, type, at);

    e->arg_count = arg_count;
    e->args = ARENA_ARRAY(a, struct expr *, arg_count > 0 ? arg_count : 1);
    return e;
}

void
expr_list_add(struct arena *a, struct expr_list *l, enum expr_kind kind, struct expr *e)
{
    if (e == NULL)
        return;
    if (e->kind == kind) {
        for (int32_t i = 0; i < e->arg_count; i++)
            expr_list_add(a, l, kind, e->args[i]);
        return;
    }
    if (l->count == l->capacity) {
        int32_t capacity = l->capacity == 0 ? 4 : 2 * l->capacity;
        struct expr **more = ARENA_ARRAY(a, struct expr *, capacity);

        if (l->count > 0)
            memcpy(more, l->list, sizeof *more * (size_t)l->count);
        l->list = more;
        l->capacity = capacity;
    }
    l->list[l->count++] = e;
}

struct expr *
expr_list_finish(struct arena *a, const struct expr_list *l, enum expr_kind kind)
{
    struct expr *e;

    if (l->count < 2)
        return l->count == 0 ? NULL : l->list[0];
    e = expr_new(a, kind, (struct sql_type){ TYPE_BOOL, -1 }, -1);
    e->arg_count = l->count;
    e->args = l->list;
    return e;
}

int
expr_each_child(struct expr *e, int (*fn)(struct expr **child, void *arg), void *arg)
{
    int rc = 0;

    for (int32_t i = 0; rc == 0 && i < e->arg_count; i++)
        rc = fn(&e->args[i], arg);
    if (e->kind == EXPR_AGG) {
        if (rc == 0 && e->u.agg.filter != NULL)
            rc = fn(&e->u.agg.filter, arg);
        for (int32_t i = 0; rc == 0 && i < e->u.agg.order_count; i++)
            rc = fn(&e->u.agg.order[i].value, arg);
    }
    if (rc == 0 && e->kind == EXPR_SUBLINK && e->u.sublink.test != NULL)
        rc = fn(&e->u.sublink.test, arg);
    if (rc == 0 && e->kind == EXPR_SUBPLAN && e->u.subplan.test != NULL)
        rc = fn(&e->u.subplan.test, arg);
    return rc;
}

/* ---- equality ------------------------------------------------------------------------------ */

static bool
datum_same(oid_t type, const struct datum *a, const struct datum *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    if (a->is_null || b->is_null)
        return a->is_null == b->is_null;
    if (type_get(type)->rep == REP_BYTES)
        return a->size == b->size && memcmp(a->p, b->p, a->size) == 0;
    return a->i == b->i; /* the bits of a float too: -0 is another constant than 0 */
}

static bool
agg_equal(const struct expr *a, const struct expr *b)
{
    if (a->u.agg.func != b->u.agg.func || a->u.agg.distinct != b->u.agg.distinct ||
        a->u.agg.level != b->u.agg.level || a->u.agg.order_count != b->u.agg.order_count ||
        (a->u.agg.filter == NULL) != (b->u.agg.filter == NULL))
        return false;
    for (int32_t i = 0; i < a->u.agg.order_count; i++)
        if (!expr_equal(a->u.agg.order[i].value, b->u.agg.order[i].value) ||
            a->u.agg.order[i].descending != b->u.agg.order[i].descending ||
            a->u.agg.order[i].nulls_first != b->u.agg.order[i].nulls_first)
            return false;
    return a->u.agg.filter == NULL || expr_equal(a->u.agg.filter, b->u.agg.filter);
}

static bool
head_equal(const struct expr *a, const struct expr *b)
{
    switch (a->kind) {
    case EXPR_CONST:
        return datum_same(a->type.oid, a->u.constant.value, b->u.constant.value);
    case EXPR_PARAM:
    case EXPR_COLUMN:
    case EXPR_OUTER:
        return a->u.index == b->u.index;
    case EXPR_VAR:
        return a->u.var.level == b->u.var.level && a->u.var.rel == b->u.var.rel &&
               a->u.var.column == b->u.var.column;
    case EXPR_FUNC:
        return a->u.func == b->u.func;
    case EXPR_IS_NULL:
    case EXPR_IS_BOOL:
    case EXPR_TYPMOD:
        return a->u.is.negated == b->u.is.negated && a->u.is.value == b->u.is.value;
    case EXPR_DISTINCT:
    case EXPR_IN_LIST:
    case EXPR_ANY_ARRAY:
        return a->u.op.func == b->u.op.func && a->u.op.negated == b->u.op.negated;
    case EXPR_AGG:
        return agg_equal(a, b);
    case EXPR_SUBLINK:
    case EXPR_SUBPLAN:
        return false; /* only the very same node, which expr_equal has seen to */
    default:
        return true;
    }
}

bool
expr_equal(const struct expr *a, const struct expr *b)
{
    if (a == b)
        return true;
    if (a->kind != b->kind || a->type.oid != b->type.oid || a->type.typmod != b->type.typmod ||
        a->arg_count != b->arg_count || !head_equal(a, b))
        return false;
    for (int32_t i = 0; i < a->arg_count; i++)
        if (!expr_equal(a->args[i], b->args[i]))
            return false;
    return true;
}

/* ---- properties ---------------------------------------------------------------------------- */

static int
find_volatile(struct expr **child, void *arg)
{
    const struct expr *e = *child;
    const struct func *f = e->kind == EXPR_FUNC ? e->u.func : NULL;

    if (f != NULL && (f->flags & FUNC_VOLATILE) != 0)
        return 1;
    if (e->kind == EXPR_SUBLINK && e->u.sublink.query->is_volatile)
        return 1;
    return expr_each_child(*child, find_volatile, arg);
}

bool
expr_is_volatile(const struct expr *e)
{
    struct expr *root = (struct expr *)(uintptr_t)e; /* only looked at */

    return find_volatile(&root, NULL) != 0;
}

static int
find_input(struct expr **child, void *arg)
{
    switch ((*child)->kind) {
    case EXPR_VAR:
    case EXPR_COLUMN:
    case EXPR_AGG:
    case EXPR_SUBLINK:
    case EXPR_SUBPLAN:
        return 1;
    default:
        return expr_each_child(*child, find_input, arg);
    }
}

bool
expr_is_constant(const struct expr *e)
{
    struct expr *root = (struct expr *)(uintptr_t)e;

    return find_input(&root, NULL) == 0;
}

int32_t
expr_place(const struct expr *e)
{
    int32_t place = e->at;

    for (int32_t i = 0; i < e->arg_count; i++) {
        int32_t at = expr_place(e->args[i]);

        if (at >= 0 && (place < 0 || at < place))
            place = at;
    }
    return place;
}

static int
find_sublink(struct expr **child, void *arg)
{
    if ((*child)->kind == EXPR_SUBLINK)
        return 1;
    return expr_each_child(*child, find_sublink, arg);
}

bool
expr_has_sublink(const struct expr *e)
{
    struct expr *root = (struct expr *)(uintptr_t)e;

    return find_sublink(&root, NULL) != 0;
}
