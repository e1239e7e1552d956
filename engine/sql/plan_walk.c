/* Walking over finished plans.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/plan_int.h"

struct each {
    int (*fn)(struct expr **e, void *arg);
    void *arg;
    int rc;
};

static void
each_one(struct each *w, struct expr **e)
{
    if (w->rc == 0 && *e != NULL)
        w->rc = w->fn(e, w->arg);
}

static void
each_list(struct each *w, struct expr **list, int32_t count)
{
    for (int32_t i = 0; list != NULL && i < count; i++)
        each_one(w, &list[i]);
}

static void
each_key(struct each *w, struct sort_key *keys, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        each_one(w, &keys[i].value);
}

static void
each_scan(struct each *w, struct plan_scan *s)
{
    each_list(w, s->range.equal, s->range.equal_count);
    each_list(w, s->range.in, s->range.in_count);
    each_one(w, &s->range.low);
    each_one(w, &s->range.high);
    each_one(w, &s->as_of_scn);
    each_one(w, &s->as_of_time);
}

static void
each_aggregate(struct each *w, struct plan_aggregate *a)
{
    each_list(w, a->keys, a->key_count);
    for (int32_t i = 0; i < a->agg_count; i++) {
        each_list(w, a->aggs[i].args, a->aggs[i].arg_count);
        each_one(w, &a->aggs[i].filter);
        each_key(w, a->aggs[i].order, a->aggs[i].order_count);
    }
}

static void
each_join(struct each *w, struct plan_join_node *j)
{
    each_list(w, j->left_keys, j->key_count);
    each_list(w, j->right_keys, j->key_count);
    each_one(w, &j->on);
    for (int32_t i = 0; i < j->bind_count; i++)
        each_one(w, &j->binds[i].value);
}

static void
each_modify(struct each *w, struct plan_modify *m)
{
    for (int32_t i = 0; i < m->value_count; i++)
        each_one(w, &m->values[i].value);
    for (int32_t i = 0; i < m->check_count; i++)
        each_one(w, &m->checks[i].check);
    for (int32_t i = 0; i < m->conflict_value_count; i++)
        each_one(w, &m->conflict_values[i].value);
    each_one(w, &m->conflict_where);
    each_one(w, &m->target.recheck);
    each_list(w, m->returning, m->returning_count);
}

/* What only nodes of this kind have. */
static void
each_of_kind(struct each *w, struct plan_node *n)
{
    switch (n->kind) {
    case PLAN_SCAN:
        each_scan(w, &n->u.scan);
        break;
    case PLAN_VALUES:
        for (int32_t i = 0; i < n->u.values.row_count; i++)
            each_list(w, n->u.values.rows[i], n->u.values.column_count);
        break;
    case PLAN_FUNCTION:
        each_list(w, n->u.function.args, n->u.function.arg_count);
        break;
    case PLAN_AGGREGATE:
        each_aggregate(w, &n->u.aggregate);
        break;
    case PLAN_SORT:
        each_key(w, n->u.sort.keys, n->u.sort.key_count);
        each_one(w, &n->u.sort.limit);
        break;
    case PLAN_DISTINCT:
        each_list(w, n->u.distinct.keys, n->u.distinct.key_count);
        break;
    case PLAN_LIMIT:
        each_one(w, &n->u.limit.gate);
        each_one(w, &n->u.limit.limit);
        each_one(w, &n->u.limit.offset);
        each_key(w, n->u.limit.keys, n->u.limit.key_count);
        break;
    case PLAN_LOCK_ROWS:
        for (int32_t i = 0; i < n->u.lock_rows.count; i++)
            each_one(w, &n->u.lock_rows.targets[i].target.recheck);
        break;
    case PLAN_HASH_JOIN:
    case PLAN_NEST_LOOP:
        each_join(w, &n->u.join);
        break;
    case PLAN_INSERT:
    case PLAN_UPDATE:
    case PLAN_DELETE:
        each_modify(w, &n->u.modify);
        break;
    case PLAN_CTE_SCAN:
    case PLAN_PROJECT:
    case PLAN_MATERIALIZE:
    case PLAN_SET_OP:
        break;
    }
}

int
plan_node_each_expr(struct plan_node *n, int (*fn)(struct expr **e, void *arg), void *arg)
{
    struct each w = { fn, arg, 0 };

    each_one(&w, &n->filter);
    each_list(&w, n->project, n->project_count);
    each_of_kind(&w, n);
    return w.rc;
}

/* ---- slots --------------------------------------------------------------------------------- */

struct slot_walk {
    struct planner *p;
    bool *used, *set;
};

static int
note_slots(struct expr **child, void *arg)
{
    struct slot_walk *w = arg;
    struct expr *e = *child;

    if (e->kind == EXPR_OUTER)
        w->used[e->u.index] = true;
    if (e->kind == EXPR_SUBPLAN) { /* what it gets from further out, it hands through */
        const struct plan_subplan *s = &w->p->plan->subplans[e->u.subplan.id];

        for (int32_t i = 0; i < s->bind_count; i++) {
            struct expr *value = s->binds[i].value;

            note_slots(&value, arg);
        }
    }
    return expr_each_child(e, note_slots, arg);
}

static void
walk_slots(struct slot_walk *w, struct plan_node *n)
{
    plan_node_each_expr(n, note_slots, w);
    if (n->kind == PLAN_NEST_LOOP)
        for (int32_t i = 0; i < n->u.join.bind_count; i++)
            w->set[n->u.join.binds[i].slot] = true;
    for (int32_t i = 0; i < n->child_count; i++)
        walk_slots(w, n->child[i]);
}

bool
plan_needs_slots(struct planner *p, struct plan_node *n)
{
    struct slot_walk w = { .p = p };
    bool needs = false;

    w.used = ARENA_ARRAY(p->arena, bool, p->plan->outer_count + 1);
    w.set = ARENA_ARRAY(p->arena, bool, p->plan->outer_count + 1);
    if (p->plan->outer_count == 0)
        return false;
    walk_slots(&w, n);
    for (int32_t i = 0; i < p->plan->outer_count; i++)
        needs = needs || (w.used[i] && !w.set[i]);
    return needs;
}
