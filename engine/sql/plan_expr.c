/* Bound expressions to those of a node: columns to places in its input row, columns of outer
 * queries to slots, queries to subplans.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/plan_int.h"

/* ---- which entries ------------------------------------------------------------------------- */

struct rels_walk {
    int32_t level;
    rels_t rels;
};

static int
walk_rels(struct expr **child, void *arg)
{
    struct rels_walk *w = arg;
    struct expr *e = *child;

    if (e->kind == EXPR_VAR && e->u.var.level == w->level && e->u.var.rel >= 0 &&
        e->u.var.rel < PLAN_RELS_MAX)
        w->rels |= rel_bit(e->u.var.rel);
    if (e->kind == EXPR_SUBLINK)
        w->rels |= query_rels(e->u.sublink.query, w->level + 1);
    return expr_each_child(e, walk_rels, arg);
}

rels_t
expr_rels(struct expr *e, int32_t level)
{
    struct rels_walk w = { .level = level };

    walk_rels(&e, &w);
    return w.rels;
}

/* level: of the entries asked for, as seen from within the query. */
rels_t
query_rels(struct query *q, int32_t level)
{
    struct rels_walk w = { .level = level };

    if (!q->has_outer)
        return 0;
    query_each_expr(q, walk_rels, &w);
    for (int32_t i = 0; i < q->rel_count; i++)
        if (q->rels[i]->kind == RTE_SUBQUERY)
            w.rels |= query_rels(q->rels[i]->query, level + 1);
    if (q->set_op != AST_SETOP_NONE)
        w.rels |= query_rels(q->left, level + 1) | query_rels(q->right, level + 1);
    return w.rels;
}

/* ---- which columns ------------------------------------------------------------------------- */

struct use_walk {
    struct pquery *pq;
    int32_t level;
};

void
use_column(struct pquery *pq, int32_t rel, int32_t column)
{
    struct rel_use *u = &pq->uses[rel];
    int32_t i = column >= 0 ? column : u->count + column + PLAN_PSEUDO_COLUMNS;

    u->column[i] = true;
}

static void use_query(struct pquery *pq, struct query *q, int32_t level);

static int
walk_uses(struct expr **child, void *arg)
{
    struct use_walk *w = arg;
    struct expr *e = *child;

    if (e->kind == EXPR_VAR && e->u.var.level == w->level && e->u.var.rel >= 0)
        use_column(w->pq, e->u.var.rel, e->u.var.column);
    if (e->kind == EXPR_SUBLINK)
        use_query(w->pq, e->u.sublink.query, w->level + 1);
    return expr_each_child(e, walk_uses, arg);
}

static void
use_query(struct pquery *pq, struct query *q, int32_t level)
{
    struct use_walk w = { .pq = pq, .level = level };

    if (level > 0 && !q->has_outer)
        return;
    query_each_expr(q, walk_uses, &w);
    for (int32_t i = 0; i < q->rel_count; i++)
        if (q->rels[i]->kind == RTE_SUBQUERY)
            use_query(pq, q->rels[i]->query, level + 1);
    if (q->set_op != AST_SETOP_NONE) {
        use_query(pq, q->left, level + 1);
        use_query(pq, q->right, level + 1);
    }
}

/* Marks all columns of the query's entries that it, or a query within it, uses. */
void
note_uses(struct pquery *pq)
{
    struct query *q = pq->q;

    pq->uses = ARENA_ARRAY(pq->p->arena, struct rel_use, q->rel_capacity + 1);
    for (int32_t i = 0; i < q->rel_count; i++) {
        pq->uses[i].count = q->rels[i]->column_count;
        pq->uses[i].column =
            ARENA_ARRAY(pq->p->arena, bool, q->rels[i]->column_count + PLAN_PSEUDO_COLUMNS);
    }
    use_query(pq, q, 0);
}

/* ---- slots --------------------------------------------------------------------------------- */

int32_t
slot_new(struct planner *p)
{
    return p->plan->outer_count++;
}

struct expr *
slot_expr(struct planner *p, int32_t slot, struct sql_type type)
{
    struct expr *e = expr_new(p->arena, EXPR_OUTER, type, -1);

    e->u.index = slot;
    return e;
}

void
bind_list_add(struct planner *p, struct bind_list *l, int32_t slot, struct expr *value)
{
    if (l->count == l->capacity) {
        int32_t capacity = l->capacity == 0 ? 4 : 2 * l->capacity;
        struct plan_bind *more = ARENA_ARRAY(p->arena, struct plan_bind, capacity);

        if (l->count > 0)
            memcpy(more, l->binds, sizeof *more * (size_t)l->count);
        l->binds = more;
        l->capacity = capacity;
    }
    l->binds[l->count++] = (struct plan_bind){ slot, value };
}

/* The slot for a column of an outer query. Queries in between hand it through. */
static int32_t
outer_slot(struct pquery *pq, const struct expr *var, int32_t level)
{
    struct outer_ref *r;

    CHECK(pq->parent != NULL);
    for (int32_t i = 0; i < pq->outer_count; i++) {
        r = &pq->outer[i];
        if (r->level == level && r->rel == var->u.var.rel && r->column == var->u.var.column)
            return r->slot;
    }
    if (pq->outer_count == pq->outer_capacity) {
        int32_t capacity = pq->outer_capacity == 0 ? 4 : 2 * pq->outer_capacity;
        struct outer_ref *more = ARENA_ARRAY(pq->p->arena, struct outer_ref, capacity);

        if (pq->outer_count > 0)
            memcpy(more, pq->outer, sizeof *more * (size_t)pq->outer_count);
        pq->outer = more;
        pq->outer_capacity = capacity;
    }
    r = &pq->outer[pq->outer_count++];
    *r = (struct outer_ref){ .level = level, .rel = var->u.var.rel, .column = var->u.var.column };
    if (level == 1) {
        r->slot = slot_new(pq->p);
        r->value = expr_new(pq->p->arena, EXPR_VAR, var->type, -1);
        r->value->u.var.rel = var->u.var.rel;
        r->value->u.var.column = var->u.var.column;
    } else {
        int32_t slot = outer_slot(pq->parent, var, level - 1);

        r = &pq->outer[pq->outer_count - 1];
        r->slot = slot;
        r->value = slot_expr(pq->p, slot, var->type);
    }
    return r->slot;
}

/* ---- translation --------------------------------------------------------------------------- */

static struct expr *
column_expr(struct planner *p, int32_t index, struct sql_type type)
{
    struct expr *e = expr_new(p->arena, EXPR_COLUMN, type, -1);

    e->u.index = index;
    return e;
}

static int
translate_var(struct pquery *pq, struct expr *e, const struct space *s, struct expr **out)
{
    struct planner *p = pq->p;

    if (e->u.var.rel == SUBLINK_REL) {
        *out = column_expr(p, SUBPLAN_COLUMN_BASE + e->u.var.column, e->type);
        return 0;
    }
    if (e->u.var.level > 0) {
        *out = slot_expr(p, outer_slot(pq, e, e->u.var.level), e->type);
        return 0;
    }
    for (int32_t i = 0; s->layout != NULL && i < s->layout->count; i++)
        if (s->layout->columns[i].rel == e->u.var.rel &&
            s->layout->columns[i].column == e->u.var.column) {
            *out = column_expr(p, s->base + i, e->type);
            return 0;
        }
    CHECK(s->siblings != NULL);
    for (int32_t i = 0; i < s->siblings->count; i++)
        if (expr_equal(s->siblings->binds[i].value, e)) {
            *out = slot_expr(p, s->siblings->binds[i].slot, e->type);
            return 0;
        }
    *out = slot_expr(p, slot_new(p), e->type);
    bind_list_add(p, s->siblings, (*out)->u.index, e);
    return 0;
}

/* A group key or an aggregate is a column of the aggregation's output; NULL: it is neither. */
static struct expr *
translate_grouped(struct pquery *pq, const struct expr *e, const struct space *s)
{
    for (int32_t i = 0; i < s->group_count; i++)
        if (expr_equal(s->groups[i], e))
            return column_expr(pq->p, i, e->type);
    for (int32_t i = 0; e->kind == EXPR_AGG && i < s->agg_count; i++)
        if (expr_equal(s->aggs[i], e))
            return column_expr(pq->p, s->group_count + i, e->type);
    return NULL;
}

static int
translate_args(struct pquery *pq, struct expr *e, const struct space *s, struct expr **out)
{
    struct expr *copy = NULL;
    int rc = 0;

    *out = e;
    for (int32_t i = 0; rc == 0 && i < e->arg_count; i++) {
        struct expr *arg;

        rc = translate(pq, e->args[i], s, &arg);
        if (rc != 0 || arg == e->args[i])
            continue;
        if (copy == NULL) {
            copy = expr_with_args(pq->p->arena, e->kind, e->type, e->at, e->arg_count);
            copy->u = e->u;
            memcpy(copy->args, e->args, sizeof *copy->args * (size_t)e->arg_count);
            *out = copy;
        }
        copy->args[i] = arg;
    }
    return rc;
}

int
translate(struct pquery *pq, struct expr *e, const struct space *s, struct expr **out)
{
    struct expr *grouped = s->grouped ? translate_grouped(pq, e, s) : NULL;

    if (grouped != NULL) {
        *out = grouped;
        return 0;
    }
    switch (e->kind) {
    case EXPR_CONST:
    case EXPR_COLUMN:
    case EXPR_OUTER:
        *out = e;
        return 0;
    case EXPR_PARAM:
        *out = e;
        if (e->u.param.literal != NULL) {
            *out = expr_new(pq->p->arena, EXPR_PARAM, e->type, e->at);
            (*out)->u.index = pq->p->own_param_count + e->u.param.index;
        }
        return 0;
    case EXPR_VAR:
        return translate_var(pq, e, s, out);
    case EXPR_SUBLINK:
        return plan_sublink(pq, e, s, out);
    case EXPR_AGG:
        return DIAG(ERR_INTERNAL, "an aggregate where none was planned");
    default:
        return translate_args(pq, e, s, out);
    }
}

/* ---- casts, aggregates --------------------------------------------------------------------- */

struct expr *
cast_to(struct planner *p, struct expr *e, oid_t type)
{
    struct cast_path path;
    struct expr *cast;

    if (e->type.oid == type)
        return e;
    path = cast_find(p->funcs, e->type.oid, type, CAST_IMPLICIT);
    if (path.kind != CAST_RELABEL && path.kind != CAST_FUNC)
        return NULL;
    cast = expr_with_args(p->arena, path.kind == CAST_FUNC ? EXPR_FUNC : EXPR_RELABEL,
                          (struct sql_type){ type, -1 }, e->at, 1);
    cast->args[0] = e;
    if (path.kind == CAST_FUNC)
        cast->u.call.func = path.func;
    return cast;
}

struct agg_walk {
    struct planner *p;
    struct expr ***list;
    int32_t *count;
};

static int
walk_aggs(struct expr **child, void *arg)
{
    struct agg_walk *w = arg;

    if ((*child)->kind == EXPR_AGG) {
        struct expr **more;

        for (int32_t i = 0; i < *w->count; i++)
            if (expr_equal((*w->list)[i], *child))
                return 0;
        more = ARENA_ARRAY(w->p->arena, struct expr *, *w->count + 1);
        if (*w->count > 0)
            memcpy(more, *w->list, sizeof *more * (size_t)*w->count);
        more[(*w->count)++] = *child;
        *w->list = more;
        return 0;
    }
    return expr_each_child(*child, walk_aggs, arg);
}

void
collect_aggs(struct planner *p, struct expr *e, struct expr ***list, int32_t *count)
{
    struct agg_walk w = { p, list, count };

    walk_aggs(&e, &w);
}
