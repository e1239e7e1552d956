/* Range table entries that are no tables: subqueries, functions, VALUES, common table expressions.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/fiber.h"
#include "engine/sql/plan_int.h"

/* ---- conditions into subqueries -------------------------------------------------------------- */

struct push {
    struct planner *p;
    int32_t rel;
    const struct query *sub;
};

/* A copy in the terms of the subquery. */
static struct expr *
push_copy(const struct push *w, struct expr *e)
{
    struct expr *copy;

    if (e->kind == EXPR_VAR && e->u.var.level == 0 && e->u.var.rel == w->rel)
        return w->sub->targets[e->u.var.column].value;
    if (e->kind == EXPR_CONST || e->kind == EXPR_PARAM)
        return e;
    copy = expr_with_args(w->p->arena, e->kind, e->type, e->at, e->arg_count);
    copy->u = e->u;
    if (e->kind == EXPR_VAR)
        copy->u.var.level++;
    for (int32_t i = 0; i < e->arg_count; i++)
        copy->args[i] = push_copy(w, e->args[i]);
    return copy;
}

/* Every column of the entry that is used is fit to be asked for inside. */
static int
walk_push(struct expr **child, void *arg)
{
    const struct push *w = arg;
    const struct expr *e = *child, *value;
    bool known = false;

    if (e->kind != EXPR_VAR || e->u.var.level != 0)
        return expr_each_child(*child, walk_push, arg);
    value = w->sub->targets[e->u.var.column].value;
    if (expr_is_volatile(value) || expr_has_sublink(value))
        return 1;
    for (int32_t i = 0; w->sub->grouped && i < w->sub->group_count; i++)
        known = known || expr_equal(w->sub->group[i], value);
    return w->sub->grouped && !known;
}

static void
push_conds(struct pquery *pq, int32_t rel, struct query *sub, struct conds *conds)
{
    struct push w = { pq->p, rel, sub };
    struct expr_list pushed = { 0 };

    if (sub->set_op != AST_SETOP_NONE || sub->limit != NULL || sub->offset != NULL ||
        sub->distinct_on_count > 0 || sub->locks || (sub->grouped && sub->group_count == 0))
        return;
    for (int32_t i = 0; i < conds->count; i++) {
        struct cond *c = &conds->list[i];

        if (c->used || c->rels != rel_bit(rel) || c->is_volatile || c->has_sublink ||
            walk_push(&c->e, &w) != 0)
            continue;
        expr_list_add(pq->p->arena, &pushed, EXPR_AND, push_copy(&w, c->e));
        c->used = true;
    }
    if (pushed.count > 0)
        sub->where = plan_and(pq->p, sub->where, expr_list_finish(pq->p->arena, &pushed, EXPR_AND));
}

/* ---- kinds --------------------------------------------------------------------------------- */

static void
whole_layout(struct pquery *pq, int32_t rel, int32_t count, struct layout *out)
{
    out->count = count;
    out->columns = ARENA_ARRAY(pq->p->arena, struct layout_column, count + 1);
    for (int32_t i = 0; i < count; i++)
        out->columns[i] = (struct layout_column){ rel, i };
}

static int
plan_subquery(struct pquery *pq, int32_t rel, struct query *sub, struct conds *conds,
              struct bind_list *binds, struct path *out)
{
    struct pquery child;
    int rc;

    pquery_init(&child, pq->p, pq, sub);
    push_conds(pq, rel, child.q, conds);
    rc = plan_query(&child, out);
    if (rc != 0)
        return rc;
    for (int32_t i = 0; i < child.outer_count; i++)
        if (child.outer[i].level == 1) {
            CHECK(binds != NULL);
            bind_list_add(pq->p, binds, child.outer[i].slot, child.outer[i].value);
        }
    whole_layout(pq, rel, out->node->column_count, &out->layout);
    return 0;
}

static void
columns_of_rte(struct pquery *pq, int32_t rel, struct path *out)
{
    const struct rte *rte = pq->q->rels[rel];

    out->node->column_count = rte->column_count;
    out->node->columns = ARENA_ARRAY(pq->p->arena, struct plan_column, rte->column_count + 1);
    for (int32_t i = 0; i < rte->column_count; i++)
        out->node->columns[i].type = rte->columns[i].type;
    whole_layout(pq, rel, rte->column_count, &out->layout);
}

static int
plan_values_rte(struct pquery *pq, int32_t rel, struct bind_list *binds, struct path *out)
{
    const struct rte *rte = pq->q->rels[rel];
    struct space s = { .siblings = binds };
    struct plan_values *v;
    int rc = 0;

    out->node = node_make(pq->p, PLAN_VALUES, 0);
    v = &out->node->u.values;
    v->row_count = rte->row_count;
    v->column_count = rte->column_count;
    v->rows = ARENA_ARRAY(pq->p->arena, struct expr **, rte->row_count);
    for (int32_t i = 0; rc == 0 && i < rte->row_count; i++) {
        if ((i & 255) == 255)
            fiber_yield();
        v->rows[i] = ARENA_ARRAY(pq->p->arena, struct expr *, rte->column_count + 1);
        for (int32_t k = 0; rc == 0 && k < rte->column_count; k++)
            rc = translate(pq, rte->rows[i][k], &s, &v->rows[i][k]);
    }
    columns_of_rte(pq, rel, out);
    out->rows = rte->row_count;
    out->cost = 0.01 * rte->row_count;
    return rc;
}

/* A function that returns one value is a row of VALUES. */
static int
plan_scalar_function(struct pquery *pq, int32_t rel, struct bind_list *binds, struct path *out)
{
    const struct rte *rte = pq->q->rels[rel];
    struct space s = { .siblings = binds };
    static const struct datum one = { .i = 1 };
    struct expr **row = ARENA_ARRAY(pq->p->arena, struct expr *, 2);
    int rc = translate(pq, rte->call, &s, &row[0]);

    row[1] = expr_new(pq->p->arena, EXPR_CONST, (struct sql_type){ TYPE_INT8, -1 }, -1);
    row[1]->u.constant.value = &one;
    out->node = node_make(pq->p, PLAN_VALUES, 0);
    out->node->u.values.row_count = 1;
    out->node->u.values.rows = ARENA_ARRAY(pq->p->arena, struct expr **, 1);
    out->node->u.values.rows[0] = row;
    out->node->u.values.column_count = rte->column_count < 2 ? rte->column_count : 2;
    columns_of_rte(pq, rel, out);
    out->rows = 1;
    out->cost = 0.01;
    return rc;
}

/* generate_series over constants tells how many rows it gives. */
static double
function_rows(const struct plan_function *f)
{
    double lo, hi;

    if (f->arg_count < 2 || strcmp(f->func->name, "generate_series") != 0)
        return 1000;
    for (int32_t i = 0; i < 2; i++)
        if (f->args[i]->kind != EXPR_CONST || f->args[i]->u.constant.value == NULL ||
            type_get(f->args[i]->type.oid)->rep != REP_INT)
            return 1000;
    lo = (double)f->args[0]->u.constant.value->i;
    hi = (double)f->args[1]->u.constant.value->i;
    return hi < lo ? 1 : hi - lo + 1;
}

static int
plan_set_function(struct pquery *pq, int32_t rel, struct bind_list *binds, struct path *out)
{
    const struct rte *rte = pq->q->rels[rel];
    struct space s = { .siblings = binds };
    struct plan_function *f;
    int rc = 0;

    if (rte->func == NULL)
        return plan_scalar_function(pq, rel, binds, out);
    out->node = node_make(pq->p, PLAN_FUNCTION, 0);
    f = &out->node->u.function;
    f->func = rte->func;
    f->arg_count = rte->call->arg_count;
    f->args = ARENA_ARRAY(pq->p->arena, struct expr *, f->arg_count + 1);
    f->ordinality = rte->ordinality;
    f->alias = rte->alias;
    for (int32_t i = 0; rc == 0 && i < f->arg_count; i++)
        rc = translate(pq, rte->call->args[i], &s, &f->args[i]);
    columns_of_rte(pq, rel, out);
    out->rows = function_rows(f);
    out->cost = out->rows * 0.01;
    return rc;
}

static int
plan_cte_rte(struct pquery *pq, int32_t rel, struct conds *conds, struct bind_list *binds,
             struct path *out)
{
    const struct rte *rte = pq->q->rels[rel];
    struct bound_cte *cte = rte->cte;
    bool once = cte->ref_count == 1 && !cte->query->is_volatile;
    int rc;

    if ((cte->materialized == AST_MATERIALIZED_NEVER && !cte->query->is_volatile) ||
        (cte->materialized == AST_MATERIALIZED_DEFAULT && once))
        return plan_subquery(pq, rel, cte->query, conds, binds, out);
    rc = plan_cte(pq, cte);
    if (rc != 0)
        return rc;
    out->node = node_make(pq->p, PLAN_CTE_SCAN, 0);
    out->node->u.cte_scan = (struct plan_cte_scan){ cte->id, rte->alias };
    columns_of_rte(pq, rel, out);
    out->rows = pq->p->plan->ctes[cte->id].root->rows;
    out->cost = out->rows * 0.01;
    return 0;
}

int
plan_rel(struct pquery *pq, int32_t rel, struct conds *conds, struct bind_list *binds,
         struct path *out)
{
    int rc = DIAG(ERR_INTERNAL, "an entry of FROM that cannot be planned");

    *out = (struct path){ .rels = rel_bit(rel) };
    switch (pq->q->rels[rel]->kind) {
    case RTE_SUBQUERY:
        rc = plan_subquery(pq, rel, pq->q->rels[rel]->query, conds, binds, out);
        break;
    case RTE_FUNCTION:
        rc = plan_set_function(pq, rel, binds, out);
        break;
    case RTE_VALUES:
        rc = plan_values_rte(pq, rel, binds, out);
        break;
    case RTE_CTE:
        rc = plan_cte_rte(pq, rel, conds, binds, out);
        break;
    case RTE_TABLE:
        break;
    }
    if (rc != 0)
        return rc;
    out->rels = rel_bit(rel);
    out->node->rows = out->rows;
    out->node->cost = out->cost;
    return path_filter(pq, out, conds);
}
