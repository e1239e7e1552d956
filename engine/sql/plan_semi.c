/* EXISTS and IN as joins.
 *
 * EXISTS (SELECT ... WHERE inner.x = outer.y AND rest) is a semi-join with SELECT inner.x ... WHERE
 * rest; x IN (SELECT y ...) one with the query as it is. NOT makes anti-joins of them, that of IN
 * one that minds NULLs. The query becomes an entry of the outer one's range table.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/plan_int.h"

struct lift {
    struct pquery *pq;
    struct query *sub;
    int32_t rel; /* of the entry that the subquery becomes */
};

static bool
is_plain(const struct query *q)
{
    return q->command == AST_SELECT && q->set_op == AST_SETOP_NONE && !q->grouped && !q->distinct &&
           q->limit == NULL && q->offset == NULL && !q->locks && !q->is_volatile &&
           q->from != NULL && q->cte_count == 0;
}

/* Where only it matters whether a row is there, duplicates and order do not. */
void
query_as_set(struct query *q)
{
    if (q->limit != NULL || q->offset != NULL || q->locks || q->set_op != AST_SETOP_NONE ||
        q->distinct_on_count > 0)
        return;
    q->distinct = false;
    q->order_count = 0;
}

/* The number of the subquery's target that has a value; makes one. */
static int32_t
lift_target(const struct lift *l, struct expr *value)
{
    struct query *q = l->sub;
    struct target *more;

    for (int32_t i = 0; i < q->visible_count; i++)
        if (expr_equal(q->targets[i].value, value))
            return i;
    more = ARENA_ARRAY(l->pq->p->arena, struct target, q->visible_count + 1);
    if (q->visible_count > 0)
        memcpy(more, q->targets, sizeof *more * (size_t)q->visible_count);
    more[q->visible_count] = (struct target){ .value = value, .name = "?column?" };
    q->targets = more;
    q->target_count = ++q->visible_count;
    return q->visible_count - 1;
}

/* A copy of a condition of the subquery in the terms of the outer query. */
static struct expr *
lift_copy(const struct lift *l, struct expr *e)
{
    struct expr *copy;

    if (e->kind == EXPR_CONST || e->kind == EXPR_PARAM)
        return e;
    copy = expr_with_args(l->pq->p->arena, e->kind, e->type, e->at, e->arg_count);
    copy->u = e->u;
    if (e->kind == EXPR_VAR && e->u.var.level == 0) {
        copy->u.var.column = lift_target(l, e);
        copy->u.var.rel = l->rel;
    } else if (e->kind == EXPR_VAR) {
        copy->u.var.level--;
    }
    for (int32_t i = 0; i < e->arg_count; i++)
        copy->args[i] = lift_copy(l, e->args[i]);
    return copy;
}

/* The test of IN: the query's columns are the entry's. */
static struct expr *
test_copy(const struct lift *l, struct expr *e)
{
    struct expr *copy;

    if (e->kind == EXPR_CONST || e->kind == EXPR_PARAM || e->kind == EXPR_SUBLINK)
        return e;
    copy = expr_with_args(l->pq->p->arena, e->kind, e->type, e->at, e->arg_count);
    copy->u = e->u;
    if (e->kind == EXPR_VAR && e->u.var.rel == SUBLINK_REL)
        copy->u.var.rel = l->rel;
    for (int32_t i = 0; i < e->arg_count; i++)
        copy->args[i] = test_copy(l, e->args[i]);
    return copy;
}

/* ---- what stays inside ----------------------------------------------------------------------- */

static int
walk_outer(struct expr **child, void *arg)
{
    if ((*child)->kind == EXPR_VAR && (*child)->u.var.level > 0)
        return 1;
    if ((*child)->kind == EXPR_SUBLINK)
        return (*child)->u.sublink.query->has_outer; /* it may or may not be ours: leave it */
    return expr_each_child(*child, walk_outer, arg);
}

/* Whether anything but WHERE refers to the outer query. */
static bool
refers_outside(struct query *q)
{
    struct expr *where = q->where;
    bool found;

    q->where = NULL;
    found = query_each_expr(q, walk_outer, NULL) != 0;
    q->where = where;
    for (int32_t i = 0; i < q->rel_count; i++)
        found = found || (q->rels[i]->kind == RTE_SUBQUERY && q->rels[i]->query->has_outer);
    return found;
}

/* Parts WHERE into what refers to the outer query and what does not; false where a part can do
 * neither. */
static bool
split_where(struct planner *p, struct query *q, struct conds *lifted, struct expr **rest)
{
    struct conds all = { 0 };
    struct expr_list inside = { 0 };

    *rest = NULL;
    conds_add(p, &all, q->where);
    for (int32_t i = 0; i < all.count; i++) {
        struct expr *e = all.list[i].e;

        if (walk_outer(&e, NULL) == 0)
            expr_list_add(p->arena, &inside, EXPR_AND, e);
        else if (all.list[i].has_sublink)
            return false;
        else
            conds_add(p, lifted, e);
    }
    *rest = expr_list_finish(p->arena, &inside, EXPR_AND);
    return true;
}

/* ---- the entry ----------------------------------------------------------------------------- */

static int
add_entry(struct pquery *pq, struct query *sub, int32_t *rel)
{
    struct query *q = pq->q;
    struct rte *rte = ARENA_NEW(pq->p->arena, struct rte);
    struct rte **rels = ARENA_ARRAY(pq->p->arena, struct rte *, q->rel_count + 2);
    struct rel_use *uses = ARENA_ARRAY(pq->p->arena, struct rel_use, q->rel_count + 2);

    if (q->rel_count >= PLAN_RELS_MAX)
        return DIAG(ERR_LIMIT, "a query can have at most %d entries in FROM", PLAN_RELS_MAX);
    memcpy(rels, q->rels, sizeof *rels * (size_t)q->rel_count);
    memcpy(uses, pq->uses, sizeof *uses * (size_t)q->rel_count);
    rte->kind = RTE_SUBQUERY;
    rte->query = sub;
    rte->alias = "ANY_subquery";
    rels[q->rel_count] = rte;
    q->rels = rels;
    pq->uses = uses;
    q->rel_capacity = q->rel_count + 2;
    *rel = q->rel_count++;
    return 0;
}

static void
entry_columns(struct pquery *pq, int32_t rel)
{
    struct rte *rte = pq->q->rels[rel];

    rte->column_count = rte->query->visible_count;
    rte->columns = ARENA_ARRAY(pq->p->arena, struct rte_column, rte->column_count + 1);
    for (int32_t i = 0; i < rte->column_count; i++) {
        rte->columns[i].name = rte->query->targets[i].name;
        rte->columns[i].type = rte->query->targets[i].value->type;
    }
    pq->uses[rel] =
        (struct rel_use){ rte->column_count, ARENA_ARRAY(pq->p->arena, bool,
                                                         rte->column_count + PLAN_PSEUDO_COLUMNS) };
}

static bool
is_equality_of_one(const struct expr *test)
{
    return test->kind == EXPR_FUNC && test->u.call.op != NULL && test->u.call.op->order == OP_EQ;
}

int
make_semi(struct pquery *pq, struct expr *e, struct semi *out, bool *made)
{
    bool negated = e->kind == EXPR_NOT;
    struct expr *s = negated ? e->args[0] : e, *rest = NULL;
    struct conds lifted = { 0 };
    struct lift l = { .pq = pq };
    struct query *q;
    bool exists, in;
    int rc;

    *made = false;
    if (s->kind != EXPR_SUBLINK)
        return 0;
    q = l.sub = arena_memdup(pq->p->arena, s->u.sublink.query, sizeof *q);
    exists = s->u.sublink.kind == SUBPLAN_EXISTS;
    in = s->u.sublink.kind == SUBPLAN_ANY && !expr_has_sublink(s->u.sublink.test);
    if (exists || in)
        query_as_set(q);
    if ((!exists && !in) || q->command != AST_SELECT || q->is_volatile || q->locks)
        return 0;
    if (q->has_outer && (!is_plain(q) || (in && negated) || refers_outside(q) ||
                         !split_where(pq->p, q, &lifted, &rest)))
        return 0;
    if (exists && (!q->has_outer || lifted.count == 0))
        return 0; /* the same for every row: run once */
    if (in && (expr_rels(s->u.sublink.test, 0) == 0 ||
               (negated && !is_equality_of_one(s->u.sublink.test))))
        return 0;
    rc = add_entry(pq, q, &l.rel);
    if (rc != 0)
        return rc;
    *out = (struct semi){ .rel = l.rel };
    out->join = !negated ? PLAN_JOIN_SEMI : in ? PLAN_JOIN_ANTI_NULL : PLAN_JOIN_ANTI;
    if (exists) /* what it selects does not matter */
        q->target_count = q->visible_count = 0;
    if (q->has_outer) {
        q->where = rest;
        q->has_outer = false;
        q->order_count = 0;
    }
    if (in)
        conds_add(pq->p, &out->on, test_copy(&l, s->u.sublink.test));
    for (int32_t i = 0; i < lifted.count; i++)
        conds_add(pq->p, &out->on, lift_copy(&l, lifted.list[i].e));
    entry_columns(pq, l.rel);
    *made = true;
    return 0;
}
