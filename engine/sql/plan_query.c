/* SELECT from the bottom up: FROM and WHERE, grouping, DISTINCT, ORDER BY, locks, LIMIT.
 *
 * A bound query is never changed, since it may be planned more than once: what is rewritten is
 * rewritten in a copy.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "engine/sql/plan_int.h"

void
pquery_init(struct pquery *pq, struct planner *p, struct pquery *parent, struct query *q)
{
    *pq = (struct pquery){ .p = p, .parent = parent };
    pq->q = arena_memdup(p->arena, q, sizeof *q);
}

/* Where a query is on its way up. */
struct stage {
    struct path path;
    struct space space; /* of bound expressions over path */
    bool ordered;
};

static struct plan_node *
stage_node(struct pquery *pq, struct stage *st, enum plan_kind kind)
{
    struct plan_node *n = node_make(pq->p, kind, 1);

    n->child[0] = st->path.node;
    node_copy_columns(pq->p, n, st->path.node);
    n->rows = st->path.rows;
    n->cost = st->path.cost;
    st->path.node = n;
    return n;
}

/* ---- FROM and WHERE -------------------------------------------------------------------------- */

/* Conditions on no row of the query, where it is worth while to ask them first. */
static bool
takes_gate(const struct query *q, const struct cond *c)
{
    return q->from != NULL && !q->locks && !c->used && c->rels == 0 && !c->is_volatile &&
           (q->rel_count > 1 || c->has_sublink);
}

static int
stage_gate(struct pquery *pq, struct stage *st, struct expr *gate)
{
    struct space s = { .layout = NULL };
    struct plan_node *n;

    if (gate == NULL)
        return 0;
    n = stage_node(pq, st, PLAN_LIMIT);
    return translate(pq, gate, &s, &n->u.limit.gate);
}

static int
stage_from(struct pquery *pq, struct stage *st)
{
    struct query *q = pq->q;
    struct conds conds = { 0 };
    struct wanted_order order = {
        .count = q->order_count, .items = q->order, .targets = q->targets, .limit = -1
    };
    bool wants = !q->grouped && !q->distinct && q->order_count > 0;

    if (q->limit != NULL && q->limit->kind == EXPR_CONST && q->limit->u.constant.value != NULL)
        order.limit = (double)q->limit->u.constant.value->i;
    else if (q->limit != NULL)
        order.limit = 100;
    conds_add(pq->p, &conds, q->where);
    if (q->from != NULL) {
        struct expr_list gate = { 0 };
        int rc;

        for (int32_t i = 0; i < conds.count; i++) {
            if (takes_gate(q, &conds.list[i])) {
                expr_list_add(pq->p->arena, &gate, EXPR_AND, conds.list[i].e);
                conds.list[i].used = true;
            }
        }
        rc = plan_from(pq, q->from, &conds, wants ? &order : NULL, &st->ordered, &st->path);
        return rc != 0 ? rc : stage_gate(pq, st, expr_list_finish(pq->p->arena, &gate, EXPR_AND));
    }
    st->path = (struct path){ .node = node_make(pq->p, PLAN_VALUES, 0), .rows = 1, .cost = 0.01 };
    st->path.node->u.values.row_count = 1;
    st->path.node->u.values.rows = ARENA_ARRAY(pq->p->arena, struct expr **, 1);
    st->path.node->u.values.rows[0] = ARENA_ARRAY(pq->p->arena, struct expr *, 1);
    st->path.node->columns = ARENA_ARRAY(pq->p->arena, struct plan_column, 1);
    st->path.node->rows = 1;
    return path_filter(pq, &st->path, &conds);
}

/* ---- grouping ------------------------------------------------------------------------------ */

static int
make_agg(struct pquery *pq, const struct expr *e, const struct space *s, struct plan_agg *out)
{
    struct planner *p = pq->p;
    int rc = 0;

    *out = (struct plan_agg){ .func = e->u.agg.func,
                              .type = e->type,
                              .distinct = e->u.agg.distinct,
                              .arg_count = e->arg_count };
    out->args = ARENA_ARRAY(p->arena, struct expr *, e->arg_count + 1);
    for (int32_t i = 0; rc == 0 && i < e->arg_count; i++)
        rc = translate(pq, e->args[i], s, &out->args[i]);
    if (rc == 0 && e->u.agg.filter != NULL)
        rc = translate(pq, e->u.agg.filter, s, &out->filter);
    out->order_count = e->u.agg.order_count;
    out->order = ARENA_ARRAY(p->arena, struct sort_key, out->order_count + 1);
    for (int32_t i = 0; rc == 0 && i < out->order_count; i++) {
        out->order[i] = e->u.agg.order[i];
        rc = translate(pq, e->u.agg.order[i].value, s, &out->order[i].value);
    }
    return rc;
}

static int
stage_group(struct pquery *pq, struct stage *st)
{
    struct query *q = pq->q;
    struct planner *p = pq->p;
    struct space grouped = { .grouped = true, .group_count = q->group_count, .groups = q->group };
    struct plan_aggregate *a;
    struct plan_node *n;
    int rc = 0;

    for (int32_t i = 0; i < q->target_count; i++)
        collect_aggs(p, q->targets[i].value, &grouped.aggs, &grouped.agg_count);
    if (q->having != NULL)
        collect_aggs(p, q->having, &grouped.aggs, &grouped.agg_count);
    n = stage_node(pq, st, PLAN_AGGREGATE);
    a = &n->u.aggregate;
    a->grouped = q->group_count > 0;
    a->key_count = q->group_count;
    a->keys = ARENA_ARRAY(p->arena, struct expr *, q->group_count + 1);
    a->agg_count = grouped.agg_count;
    a->aggs = ARENA_ARRAY(p->arena, struct plan_agg, grouped.agg_count + 1);
    n->column_count = a->key_count + a->agg_count;
    n->columns = ARENA_ARRAY(p->arena, struct plan_column, n->column_count + 1);
    for (int32_t i = 0; rc == 0 && i < q->group_count; i++) {
        rc = translate(pq, q->group[i], &st->space, &a->keys[i]);
        n->columns[i].type = q->group[i]->type;
    }
    for (int32_t i = 0; rc == 0 && i < grouped.agg_count; i++) {
        rc = make_agg(pq, grouped.aggs[i], &st->space, &a->aggs[i]);
        n->columns[a->key_count + i].type = grouped.aggs[i]->type;
    }
    st->space = grouped;
    st->path.cost += st->path.rows * 0.02;
    st->path.rows = a->grouped ? fmax(1, st->path.rows / 10) : 1;
    if (rc == 0 && q->having != NULL) {
        rc = translate(pq, q->having, &st->space, &n->filter);
        st->path.rows = fmax(1, st->path.rows / 3);
    }
    n->rows = st->path.rows;
    n->cost = st->path.cost;
    return rc;
}

/* ---- ORDER BY, DISTINCT, LIMIT -----------------------------------------------------------------
 */

static int
stage_values(struct pquery *pq, struct stage *st, int32_t count, struct expr ***out)
{
    int rc = 0;

    *out = ARENA_ARRAY(pq->p->arena, struct expr *, count + 1);
    for (int32_t i = 0; rc == 0 && i < count; i++)
        rc = translate(pq, pq->q->targets[i].value, &st->space, &(*out)[i]);
    return rc;
}

static bool
can_project(const struct plan_node *n)
{
    return n->project == NULL && n->kind != PLAN_LIMIT && n->kind != PLAN_MATERIALIZE &&
           n->kind < PLAN_INSERT && n->kind != PLAN_SET_OP && n->kind != PLAN_DISTINCT;
}

/* The targets become the columns; nothing where they are already. */
static int
stage_project(struct pquery *pq, struct stage *st, int32_t count)
{
    struct expr **list;
    bool same = st->path.node->column_count == count;
    int rc = stage_values(pq, st, count, &list);

    if (rc != 0)
        return rc;
    for (int32_t i = 0; i < count; i++)
        same = same && list[i]->kind == EXPR_COLUMN && list[i]->u.index == i;
    if (same)
        return 0;
    if (!can_project(st->path.node))
        stage_node(pq, st, PLAN_PROJECT);
    node_project(pq->p, st->path.node, list, count);
    return 0;
}

/* After projection, targets are columns by number. */
static struct expr *
target_column(struct pquery *pq, int32_t target)
{
    struct expr *e = expr_new(pq->p->arena, EXPR_COLUMN, pq->q->targets[target].value->type, -1);

    e->u.index = target;
    return e;
}

static int
row_count_expr(struct pquery *pq, struct expr *e, struct expr **out)
{
    struct space s = { .layout = NULL };

    *out = NULL;
    return e == NULL ? 0 : translate(pq, e, &s, out);
}

/* limit + offset, where both are constants or there is no offset. */
static int
top_rows(struct pquery *pq, struct expr **out)
{
    const struct query *q = pq->q;
    const struct op *plus;
    struct expr *limit, *offset, *sum;
    int rc;

    *out = NULL;
    if (q->limit == NULL || q->with_ties || q->limit->kind == EXPR_SUBLINK ||
        (q->offset != NULL && q->offset->kind == EXPR_SUBLINK))
        return 0;
    rc = row_count_expr(pq, q->limit, &limit);
    if (rc == 0)
        rc = row_count_expr(pq, q->offset, &offset);
    if (rc != 0)
        return rc;
    *out = limit;
    if (offset == NULL)
        return 0;
    *out = NULL;
    plus = op_exact(pq->p->funcs, "+", TYPE_INT8, TYPE_INT8);
    if (plus == NULL || (limit->kind == EXPR_CONST) != (offset->kind == EXPR_CONST))
        return 0; /* OFFSET NULL means 0, which a sum would not see */
    if (limit->kind != EXPR_CONST || limit->u.constant.value == NULL ||
        offset->u.constant.value == NULL)
        return 0;
    sum = expr_with_args(pq->p->arena, EXPR_FUNC, (struct sql_type){ TYPE_INT8, -1 }, -1, 2);
    sum->args[0] = limit;
    sum->args[1] = offset;
    sum->u.call.func = func_by_oid(pq->p->funcs, plus->func_oid);
    sum->u.call.op = plus;
    *out = sum;
    return 0;
}

/* projected: keys are target numbers; else they are worked out over the row below. */
static int
stage_sort(struct pquery *pq, struct stage *st, const struct order_item *order, int32_t count,
           bool projected, bool top)
{
    struct plan_sort sort = { .key_count = count };
    struct plan_node *n;
    int rc = 0;

    sort.keys = ARENA_ARRAY(pq->p->arena, struct sort_key, count + 1);
    for (int32_t i = 0; rc == 0 && i < count; i++) {
        sort.keys[i].descending = order[i].descending;
        sort.keys[i].nulls_first = order[i].nulls_first;
        if (projected)
            sort.keys[i].value = target_column(pq, order[i].target);
        else
            rc = translate(pq, pq->q->targets[order[i].target].value, &st->space,
                           &sort.keys[i].value);
    }
    if (rc == 0 && top)
        rc = top_rows(pq, &sort.limit);
    if (rc != 0)
        return rc;
    st->path.cost += st->path.rows * log2(st->path.rows + 2) * 0.01;
    n = stage_node(pq, st, PLAN_SORT);
    n->u.sort = sort;
    n->start_cost = n->cost;
    return 0;
}

/* DISTINCT ON sorts by its expressions first; what ORDER BY says of them goes before. */
static int
distinct_on(struct pquery *pq, struct stage *st)
{
    const struct query *q = pq->q;
    struct order_item *order =
        ARENA_ARRAY(pq->p->arena, struct order_item, q->order_count + q->distinct_on_count + 1);
    struct plan_node *n;
    int32_t count = q->order_count;
    int rc;

    if (q->order_count > 0)
        memcpy(order, q->order, sizeof *order * (size_t)q->order_count);
    for (int32_t i = 0; i < q->distinct_on_count; i++) {
        bool there = false;

        for (int32_t k = 0; k < q->order_count; k++)
            there = there || q->order[k].target == q->distinct_on[i];
        if (!there)
            order[count++] = (struct order_item){ .target = q->distinct_on[i] };
    }
    rc = stage_sort(pq, st, order, count, true, false);
    if (rc != 0)
        return rc;
    n = stage_node(pq, st, PLAN_DISTINCT);
    n->u.distinct.sorted = true;
    n->u.distinct.key_count = q->distinct_on_count;
    n->u.distinct.keys = ARENA_ARRAY(pq->p->arena, struct expr *, q->distinct_on_count);
    for (int32_t i = 0; i < q->distinct_on_count; i++)
        n->u.distinct.keys[i] = target_column(pq, q->distinct_on[i]);
    return 0;
}

static int
stage_limit(struct pquery *pq, struct stage *st)
{
    const struct query *q = pq->q;
    struct plan_limit l = { .with_ties = q->with_ties };
    struct plan_node *n;
    int rc;

    if (q->limit == NULL && q->offset == NULL)
        return 0;
    rc = row_count_expr(pq, q->limit, &l.limit);
    if (rc == 0)
        rc = row_count_expr(pq, q->offset, &l.offset);
    if (rc != 0)
        return rc;
    if (q->with_ties) {
        l.key_count = q->order_count;
        l.keys = ARENA_ARRAY(pq->p->arena, struct sort_key, q->order_count + 1);
        for (int32_t i = 0; i < q->order_count; i++)
            l.keys[i] = (struct sort_key){ target_column(pq, q->order[i].target),
                                           q->order[i].descending, q->order[i].nulls_first };
    }
    n = stage_node(pq, st, PLAN_LIMIT);
    n->u.limit = l;
    if (l.limit != NULL && l.limit->kind == EXPR_CONST && l.limit->u.constant.value != NULL)
        n->rows = st->path.rows =
            fmax(1, fmin(st->path.rows, (double)l.limit->u.constant.value->i));
    return 0;
}

/* Drops what only sorting needed. */
static int
stage_trim(struct pquery *pq, struct stage *st)
{
    const struct query *q = pq->q;
    struct expr **list;

    if (st->path.node->column_count == q->visible_count)
        return 0;
    list = ARENA_ARRAY(pq->p->arena, struct expr *, q->visible_count + 1);
    for (int32_t i = 0; i < q->visible_count; i++)
        list[i] = target_column(pq, i);
    stage_node(pq, st, PLAN_PROJECT);
    node_project(pq->p, st->path.node, list, q->visible_count);
    return 0;
}

/* DISTINCT and WITH TIES work on the targets; otherwise the targets are worked out last, after
 * sorting has thrown away what LIMIT does not want. */
static int
stage_result(struct pquery *pq, struct stage *st)
{
    const struct query *q = pq->q;
    bool early = q->distinct || (q->with_ties && q->order_count > 0);
    bool sort = q->order_count > 0 && !st->ordered;
    int rc = 0;

    if (early) {
        rc = stage_project(pq, st, q->target_count);
        if (rc == 0 && q->distinct_on_count > 0)
            rc = distinct_on(pq, st);
        else if (rc == 0 && q->distinct)
            stage_node(pq, st, PLAN_DISTINCT);
        if (rc == 0 && sort && q->distinct_on_count == 0)
            rc = stage_sort(pq, st, q->order, q->order_count, true, true);
    } else {
        if (sort)
            rc = stage_sort(pq, st, q->order, q->order_count, false, !q->locks);
        if (rc == 0 && q->locks)
            rc = plan_locks(pq, &st->path, query_recheck(pq));
        if (rc == 0)
            rc = stage_project(pq, st, q->visible_count);
    }
    if (rc == 0)
        rc = stage_limit(pq, st);
    return rc == 0 && early ? stage_trim(pq, st) : rc;
}

/* ---- set operations -------------------------------------------------------------------------- */

static int
plan_side(struct pquery *pq, struct query *side, struct expr **project, struct path *out)
{
    struct pquery child;
    int rc;

    pquery_init(&child, pq->p, pq, side);
    rc = plan_query(&child, out);
    /* A side stands where the set operation stands: it has no columns to refer to at level 1. */
    if (rc != 0 || project == NULL)
        return rc;
    if (out->node->project != NULL || !can_project(out->node)) {
        struct plan_node *n = node_make(pq->p, PLAN_PROJECT, 1);

        n->child[0] = out->node;
        n->rows = out->rows;
        n->cost = out->cost;
        out->node = n;
    }
    node_project(pq->p, out->node, project, side->visible_count);
    return 0;
}

/* How many sides a chain of the same operation has, going left. */
static int
count_sides(const struct query *q)
{
    const struct query *l = q->left;
    int count = 2;

    while (q->left_project == NULL && l->set_op == q->set_op && l->set_all == q->set_all &&
           l->limit == NULL && l->offset == NULL && l->order_count == 0 && l->cte_count == 0) {
        count++;
        q = l;
        l = q->left;
    }
    return count;
}

/* A chain of the same UNION, to the left, is one node. */
static int
plan_chain(struct pquery *pq, struct query *q, int32_t count, struct plan_node *n, double *rows)
{
    struct path path;
    int rc;

    if (count > 2) {
        struct pquery child;

        pquery_init(&child, pq->p, pq, q->left);
        rc = plan_chain(&child, child.q, count - 1, n, rows);
    } else {
        rc = plan_side(pq, q->left, q->left_project, &path);
        if (rc == 0) {
            n->child[n->child_count++] = path.node;
            *rows += path.rows;
            n->cost += path.cost;
        }
    }
    if (rc == 0)
        rc = plan_side(pq, q->right, q->right_project, &path);
    if (rc == 0) {
        n->child[n->child_count++] = path.node;
        *rows += path.rows;
        n->cost += path.cost;
    }
    return rc;
}

static int
stage_set_op(struct pquery *pq, struct stage *st)
{
    struct query *q = pq->q;
    int32_t count = q->set_op == AST_SETOP_UNION ? count_sides(q) : 2;
    struct plan_node *n = node_make(pq->p, PLAN_SET_OP, count);
    int rc;

    n->child_count = 0;
    n->u.set_op = (struct plan_set_op){ q->set_op, q->set_all };
    n->column_count = q->target_count;
    n->columns = ARENA_ARRAY(pq->p->arena, struct plan_column, q->target_count + 1);
    for (int32_t i = 0; i < q->target_count; i++)
        n->columns[i].type = q->targets[i].value->type;
    rc = plan_chain(pq, q, count, n, &n->rows);
    st->path = (struct path){ .node = n, .rows = fmax(1, n->rows), .cost = n->cost };
    return rc;
}

/* ---- queries ------------------------------------------------------------------------------- */

int
plan_query(struct pquery *pq, struct path *out)
{
    struct stage st = { .ordered = false };
    int rc = 0;

    if (++pq->p->depth > PLAN_DEPTH_MAX)
        return DIAG(ERR_TOO_COMPLEX, "queries are nested too deep");
    if (pq->q->rel_count > PLAN_RELS_MAX)
        return DIAG(ERR_LIMIT, "a query can have at most %d entries in FROM", PLAN_RELS_MAX);
    note_uses(pq);
    for (int32_t i = 0; pq->q->locks && i < pq->q->rel_count; i++)
        if (pq->q->rels[i]->lock != AST_LOCK_NONE)
            use_column(pq, i, PLAN_COLUMN_KEY);
    if (pq->q->set_op != AST_SETOP_NONE) {
        rc = stage_set_op(pq, &st);
    } else {
        rc = stage_from(pq, &st);
        st.space = (struct space){ .layout = &st.path.layout };
        if (rc == 0 && pq->q->grouped)
            rc = stage_group(pq, &st);
    }
    if (rc == 0)
        rc = stage_result(pq, &st);
    *out = st.path;
    pq->p->depth--;
    return rc;
}

/* ---- queries within queries --------------------------------------------------------------------
 */

static int
add_subplan(struct planner *p, int32_t *id)
{
    struct plan *plan = p->plan;

    if (plan->subplan_count == p->subplan_capacity) {
        int32_t capacity = p->subplan_capacity == 0 ? 4 : 2 * p->subplan_capacity;
        struct plan_subplan *more = ARENA_ARRAY(p->arena, struct plan_subplan, capacity);

        if (plan->subplan_count > 0)
            memcpy(more, plan->subplans, sizeof *more * (size_t)plan->subplan_count);
        plan->subplans = more;
        p->subplan_capacity = capacity;
    }
    *id = plan->subplan_count++;
    return 0;
}

/* A test that is nothing but equalities, in the order of the subplan's columns. */
static void
subplan_hash(struct planner *p, const struct expr *test, struct plan_subplan *s)
{
    int32_t count = test->kind == EXPR_AND ? test->arg_count : 1;

    if (s->bind_count > 0 || count != s->root->column_count)
        return;
    s->hash_keys = ARENA_ARRAY(p->arena, struct expr *, count);
    s->hash_equal = ARENA_ARRAY(p->arena, const struct func *, count);
    for (int32_t i = 0; i < count; i++) {
        const struct expr *e = test->kind == EXPR_AND ? test->args[i] : test;

        if (e->kind != EXPR_FUNC || e->arg_count != 2 || e->u.call.op == NULL ||
            e->u.call.op->order != OP_EQ || e->args[1]->kind != EXPR_COLUMN ||
            e->args[1]->u.index != SUBPLAN_COLUMN_BASE + i ||
            e->args[0]->type.oid != e->args[1]->type.oid ||
            type_get(e->args[0]->type.oid)->hash == NULL || expr_is_volatile(e->args[0]))
            return;
        s->hash_keys[i] = e->args[0];
        s->hash_equal[i] = e->u.func;
    }
    s->hash_key_count = count;
    s->hashable = true;
}

int
plan_sublink(struct pquery *pq, struct expr *e, const struct space *space, struct expr **out)
{
    struct planner *p = pq->p;
    struct plan_subplan sub = { 0 };
    struct pquery child;
    struct path path;
    int32_t id;
    int rc;

    pquery_init(&child, p, pq, e->u.sublink.query);
    if (e->u.sublink.kind == SUBPLAN_EXISTS || e->u.sublink.kind == SUBPLAN_ANY)
        query_as_set(child.q);
    rc = plan_query(&child, &path);
    if (rc != 0)
        return rc;
    sub.root = path.node;
    sub.bind_count = child.outer_count;
    sub.binds = ARENA_ARRAY(p->arena, struct plan_bind, child.outer_count + 1);
    for (int32_t i = 0; rc == 0 && i < child.outer_count; i++) {
        sub.binds[i].slot = child.outer[i].slot;
        rc = translate(pq, child.outer[i].value, space, &sub.binds[i].value);
    }
    *out = expr_new(p->arena, EXPR_SUBPLAN, e->type, e->at);
    (*out)->u.subplan.kind = e->u.sublink.kind;
    if (rc == 0 && e->u.sublink.test != NULL)
        rc = translate(pq, e->u.sublink.test, space, &(*out)->u.subplan.test);
    if (rc == 0)
        rc = add_subplan(p, &id);
    if (rc != 0)
        return rc;
    (*out)->u.subplan.id = id;
    if (e->u.sublink.kind == SUBPLAN_ANY)
        subplan_hash(p, (*out)->u.subplan.test, &sub);
    p->plan->subplans[id] = sub;
    return 0;
}

int
plan_cte(struct pquery *pq, struct bound_cte *cte)
{
    struct planner *p = pq->p;
    struct plan *plan = p->plan;
    struct pquery child;
    struct path path;
    int rc;

    if (cte->id >= 0)
        return 0;
    pquery_init(&child, p, NULL, cte->query);
    rc = plan_query(&child, &path);
    if (rc != 0)
        return rc;
    if (plan->cte_count == p->cte_capacity) {
        int32_t capacity = p->cte_capacity == 0 ? 4 : 2 * p->cte_capacity;
        struct plan_cte *more = ARENA_ARRAY(p->arena, struct plan_cte, capacity);

        if (plan->cte_count > 0)
            memcpy(more, plan->ctes, sizeof *more * (size_t)plan->cte_count);
        plan->ctes = more;
        p->cte_capacity = capacity;
    }
    cte->id = plan->cte_count++;
    plan->ctes[cte->id] = (struct plan_cte){ .name = cte->name, .root = path.node };
    return 0;
}
