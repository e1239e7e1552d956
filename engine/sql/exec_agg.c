/* Aggregation by hash: groups in the order in which they were first met.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "engine/sql/exec_int.h"

struct agg_state {
    const struct plan_agg *plan;
    struct func_call call;
    struct vexpr **args, *filter;
    oid_t *arg_types;
    size_t offset;              /* of its state within a group's */
    struct row_table *distinct; /* (group, arguments) seen; NULL: not DISTINCT */
    struct row_list *ordered;   /* ORDER BY within: (group, keys, arguments) */
    struct vexpr **order;
};

struct aggregate {
    struct row_table *groups;
    struct vexpr **keys;
    struct agg_state *aggs;
    size_t group_size;
    size_t *row_groups; /* of the batch under way */
    void **states;      /* by group */
    size_t state_cap;
    struct arena arena; /* the states */
    bool filled;
    size_t at;
};

/* ---- states ------------------------------------------------------------------------------------
 */

static void *
state_of(struct aggregate *s, size_t group)
{
    if (group >= s->state_cap) {
        s->state_cap = s->state_cap != 0 ? 2 * s->state_cap : 64;
        while (group >= s->state_cap)
            s->state_cap *= 2;
        s->states = xrealloc(s->states, s->state_cap * sizeof *s->states);
    }
    return s->states[group];
}

static int
state_new(struct aggregate *s, size_t group)
{
    void *p = arena_try_alloc(&s->arena, s->group_size + 1);

    if (p == NULL)
        return ERR_NOMEM;
    memset(p, 0, s->group_size);
    (void)state_of(s, group);
    s->states[group] = p;
    return 0;
}

/* The group of each row of the selection. */
static int
find_groups(struct exec_node *n, struct aggregate *s, struct batch *b, size_t *groups)
{
    uint32_t count = (uint32_t)n->plan->u.aggregate.key_count;
    struct vec *keys[ROW_TABLE_KEYS_MAX];
    struct datum row[ROW_TABLE_KEYS_MAX];
    int rc = 0;

    for (uint32_t i = 0; i < count && rc == 0; i++)
        rc = vexpr_eval(n->x, s->keys[i], b, b->sel, b->sel_count, &n->scratch, &keys[i]);
    for (uint32_t k = 0; k < b->sel_count && rc == 0; k++) {
        uint32_t r = batch_row(b, k);
        bool found;

        for (uint32_t i = 0; i < count; i++)
            row[i] = vec_get(keys[i], r);
        rc = row_table_put(s->groups, row, &groups[r], &found);
        if (rc == 0 && !found)
            rc = state_new(s, groups[r]);
    }
    return rc;
}

/* ---- stepping ----------------------------------------------------------------------------------
 */

static int
step_row(struct agg_state *g, void *state, const struct datum *args, struct arena *a)
{
    if ((g->plan->func->flags & FUNC_STRICT) != 0)
        for (int32_t i = 0; i < g->plan->arg_count; i++)
            if (args[i].is_null)
                return 0;
    g->call.arena = a;
    return g->plan->func->agg->step(&g->call, state, args);
}

/* DISTINCT: a row counts only if its arguments are new in the group. */
static int
is_new(struct agg_state *g, size_t group, const struct datum *args, bool *yes)
{
    struct datum row[ROW_TABLE_KEYS_MAX];
    bool found;
    size_t at;
    int rc;

    row[0] = datum_int((int64_t)group);
    for (int32_t i = 0; i < g->plan->arg_count; i++)
        row[i + 1] = args[i];
    rc = row_table_put(g->distinct, row, &at, &found);
    *yes = !found;
    return rc;
}

static int
keep_ordered(struct exec_node *n, struct agg_state *g, size_t group, const struct batch *b,
             uint32_t r, const struct datum *args)
{
    struct datum row[ROW_TABLE_KEYS_MAX * 2], columns[ROW_COLUMNS_MAX];
    struct eval v = {
        .x = n->x, .ctx = &n->x->ctx, .columns = columns, .outer = n->x->outer, .arena = &n->scratch
    };
    uint32_t at = 0;

    batch_row_datums(b, r, columns);
    row[at++] = datum_int((int64_t)group);
    for (int32_t i = 0; i < g->plan->order_count; i++) {
        int rc = eval_row(&v, g->plan->order[i].value, &row[at++]);

        if (rc != 0)
            return rc;
    }
    for (int32_t i = 0; i < g->plan->arg_count; i++)
        row[at++] = args[i];
    return row_list_add(g->ordered, row);
}

static int
step_slow(struct exec_node *n, struct aggregate *s, struct agg_state *g, const struct batch *b,
          const uint16_t *sel, uint32_t count, struct vec *const *args, const size_t *groups)
{
    struct datum row[ROW_TABLE_KEYS_MAX];
    int rc = 0;

    for (uint32_t k = 0; k < count && rc == 0; k++) {
        uint32_t r = sel != NULL ? sel[k] : k;
        bool yes = true;

        for (int32_t i = 0; i < g->plan->arg_count; i++)
            row[i] = vec_get(args[i], r);
        if (g->distinct != NULL)
            rc = is_new(g, groups[r], row, &yes);
        if (rc != 0 || !yes)
            continue;
        rc = g->ordered != NULL
                 ? keep_ordered(n, g, groups[r], b, r, row)
                 : step_row(g, (uint8_t *)s->states[groups[r]] + g->offset, row, &n->scratch);
    }
    return rc;
}

static int
step_fast(struct exec_node *n, struct aggregate *s, struct agg_state *g, const uint16_t *sel,
          uint32_t count, struct vec *const *args, const size_t *groups)
{
    const struct vec **in = ARENA_ARRAY(&n->scratch, const struct vec *, g->plan->arg_count + 1);
    void **states = ARENA_ARRAY(&n->scratch, void *, count + 1);
    bool one = n->plan->u.aggregate.key_count == 0;

    for (int32_t i = 0; i < g->plan->arg_count; i++)
        in[i] = args[i];
    for (uint32_t k = 0; k < (one ? 1 : count); k++)
        states[k] = (uint8_t *)s->states[groups[sel != NULL ? sel[k] : k]] + g->offset;
    g->call.arena = &n->scratch;
    return agg_apply_batch(&g->call, states, one, in, sel, count);
}

static int
step_agg(struct exec_node *n, struct aggregate *s, struct agg_state *g, struct batch *b,
         const size_t *groups)
{
    struct vec *args[ROW_TABLE_KEYS_MAX];
    const uint16_t *sel = b->sel;
    uint32_t count = b->sel_count;
    int rc = 0;

    if (g->filter != NULL) {
        uint16_t *pass = ARENA_ARRAY(&n->scratch, uint16_t, BATCH_ROWS_MAX);

        rc = vexpr_filter(n->x, g->filter, b, sel, count, &n->scratch, pass, &count);
        sel = pass;
    }
    if (rc != 0 || count == 0)
        return rc;
    for (int32_t i = 0; i < g->plan->arg_count && rc == 0; i++)
        rc = vexpr_eval(n->x, g->args[i], b, sel, count, &n->scratch, &args[i]);
    if (rc != 0)
        return rc;
    return g->distinct != NULL || g->ordered != NULL
               ? step_slow(n, s, g, b, sel, count, args, groups)
               : step_fast(n, s, g, sel, count, args, groups);
}

/* ---- ORDER BY within an aggregate --------------------------------------------------------------
 */

static int
compare_ordered(const void *pa, const void *pb, void *arg)
{
    const struct datum *a = *(const struct datum *const *)pa;
    const struct datum *b = *(const struct datum *const *)pb;
    const struct plan_agg *p = arg;

    if (a[0].i != b[0].i)
        return a[0].i < b[0].i ? -1 : 1;
    for (int32_t i = 0; i < p->order_count; i++) {
        const struct datum *x = &a[i + 1], *y = &b[i + 1];
        int c;

        if (x->is_null || y->is_null) {
            if (x->is_null == y->is_null)
                continue;
            return x->is_null == p->order[i].nulls_first ? -1 : 1;
        }
        c = type_cmp(p->order[i].value->type.oid, x, y);
        if (c != 0)
            return p->order[i].descending ? -c : c;
    }
    return 0;
}

static int
step_ordered(struct exec_node *n, struct aggregate *s, struct agg_state *g)
{
    union {
        const void *in;
        void *out;
    } arg = { g->plan };
    struct row_list *l = g->ordered;
    int rc = 0;

    if (l->count > 1)
        qsort_r(l->rows, l->count, sizeof *l->rows, compare_ordered, arg.out);
    for (size_t i = 0; i < l->count && rc == 0; i++)
        rc = step_row(g, (uint8_t *)s->states[l->rows[i][0].i] + g->offset,
                      l->rows[i] + 1 + g->plan->order_count, &n->scratch);
    return rc;
}

/* ---- the node ----------------------------------------------------------------------------------
 */

static int
aggregate_fill(struct exec_node *n, struct aggregate *s)
{
    const struct plan_aggregate *p = &n->plan->u.aggregate;
    size_t *groups = s->row_groups;
    struct batch *b;
    int rc = 0;

    if (p->key_count == 0 && !p->grouped) {
        bool found;
        size_t at;

        rc = row_table_put(s->groups, &(struct datum){ .i = 0 }, &at, &found);
        if (rc == 0)
            rc = state_new(s, 0);
    }
    while (rc == 0 && (rc = exec_node_next(n->child[0], &b)) == 0) {
        arena_reset(&n->scratch);
        rc = find_groups(n, s, b, groups);
        for (int32_t i = 0; i < p->agg_count && rc == 0; i++)
            rc = step_agg(n, s, &s->aggs[i], b, groups);
    }
    if (rc != ERR_END)
        return rc;
    rc = 0;
    for (int32_t i = 0; i < p->agg_count && rc == 0; i++)
        if (s->aggs[i].ordered != NULL)
            rc = step_ordered(n, s, &s->aggs[i]);
    s->filled = rc == 0;
    return rc;
}

static int
aggregate_row(struct exec_node *n, struct aggregate *s, struct batch *b, uint32_t row)
{
    const struct plan_aggregate *p = &n->plan->u.aggregate;
    int rc = 0;

    for (int32_t i = 0; i < p->key_count; i++)
        vec_set(&b->cols[i], row, &s->groups->rows->rows[s->at][i]);
    for (int32_t i = 0; i < p->agg_count && rc == 0; i++) {
        struct agg_state *g = &s->aggs[i];
        struct datum d;

        g->call.arena = &n->scratch;
        rc = g->plan->func->agg->final(&g->call, (uint8_t *)s->states[s->at] + g->offset, &d);
        if (rc == 0)
            vec_set(&b->cols[p->key_count + i], row, &d);
    }
    return rc;
}

static int
aggregate_next(struct exec_node *n, struct batch **out)
{
    const struct plan_aggregate *p = &n->plan->u.aggregate;
    struct aggregate *s = n->state;
    struct batch *b;
    uint32_t rows = 0;
    int rc = s->filled ? 0 : aggregate_fill(n, s);

    if (rc != 0)
        return rc;
    if (s->at == s->groups->rows->count)
        return ERR_END;
    arena_reset(&n->scratch);
    b = batch_for(n, n->value_columns, (uint32_t)(p->key_count + p->agg_count));
    while (rc == 0 && s->at < s->groups->rows->count && rows < BATCH_ROWS_MAX) {
        rc = aggregate_row(n, s, b, rows++);
        s->at++;
    }
    b->row_count = b->sel_count = rows;
    *out = b;
    return rc;
}

static void
aggregate_close(struct exec_node *n)
{
    struct aggregate *s = n->state;

    row_table_free(s->groups);
    for (int32_t i = 0; i < n->plan->u.aggregate.agg_count; i++) {
        row_table_free(s->aggs[i].distinct);
        row_list_free(s->aggs[i].ordered);
    }
    xfree(s->states);
    arena_fini(&s->arena);
}

static void
agg_open(struct exec_node *n, struct aggregate *s, const struct plan_agg *p, struct agg_state *g)
{
    struct exec *x = n->x;
    struct plan_column *columns =
        ARENA_ARRAY(&x->arena, struct plan_column, p->arg_count + p->order_count + 2);

    g->plan = p;
    g->args = ARENA_ARRAY(&x->arena, struct vexpr *, p->arg_count + 1);
    g->arg_types = ARENA_ARRAY(&x->arena, oid_t, p->arg_count + 1);
    columns[0].type.oid = TYPE_INT8;
    for (int32_t i = 0; i < p->arg_count; i++) {
        g->args[i] = vexpr_new(x, p->args[i]);
        g->arg_types[i] = p->args[i]->type.oid;
        columns[i + 1].type = p->args[i]->type;
    }
    if (p->filter != NULL)
        g->filter = vexpr_new(x, p->filter);
    if (p->distinct)
        g->distinct = row_table_new(x, columns, (uint32_t)p->arg_count + 1);
    if (p->order_count > 0) {
        for (int32_t i = 0; i < p->order_count; i++)
            columns[i + 1].type = p->order[i].value->type;
        for (int32_t i = 0; i < p->arg_count; i++)
            columns[p->order_count + i + 1].type = p->args[i]->type;
        g->ordered = row_list_new(x, columns, (uint32_t)(p->arg_count + p->order_count + 1));
    }
    g->call = (struct func_call){
        .func = p->func,
        .env = x->ctx.types,
        .site_arena = &s->arena,
        .arg_count = p->arg_count,
        .arg_types = g->arg_types,
        .result_type = p->type.oid,
    };
    g->offset = s->group_size;
    s->group_size += (p->func->agg->state_size + 15u) & ~(size_t)15;
}

static int
aggregate_open(struct exec_node *n)
{
    const struct plan_aggregate *p = &n->plan->u.aggregate;
    struct aggregate *s = n->state;
    struct plan_column *columns =
        ARENA_ARRAY(&n->x->arena, struct plan_column, p->key_count + p->agg_count + 1);

    memset(s, 0, sizeof *s);
    arena_init(&s->arena, n->x->ctx.memory);
    s->row_groups = ARENA_ARRAY(&n->x->arena, size_t, BATCH_ROWS_MAX);
    s->keys = ARENA_ARRAY(&n->x->arena, struct vexpr *, p->key_count + 1);
    s->aggs = ARENA_ARRAY(&n->x->arena, struct agg_state, p->agg_count + 1);
    for (int32_t i = 0; i < p->key_count; i++) {
        s->keys[i] = vexpr_new(n->x, p->keys[i]);
        columns[i].type = p->keys[i]->type;
    }
    s->groups = row_table_new(n->x, columns, (uint32_t)p->key_count);
    for (int32_t i = 0; i < p->agg_count; i++) {
        agg_open(n, s, &p->aggs[i], &s->aggs[i]);
        columns[p->key_count + i].type = p->aggs[i].type;
    }
    n->value_columns = columns;
    return 0;
}

static int
aggregate_rescan(struct exec_node *n)
{
    struct aggregate *s = n->state;

    row_table_reset(s->groups);
    for (int32_t i = 0; i < n->plan->u.aggregate.agg_count; i++) {
        if (s->aggs[i].distinct != NULL)
            row_table_reset(s->aggs[i].distinct);
        if (s->aggs[i].ordered != NULL)
            row_list_reset(s->aggs[i].ordered);
        s->aggs[i].call.site = NULL; /* it lay in the arena */
    }
    arena_reset(&s->arena);
    s->filled = false;
    s->at = 0;
    return exec_node_rescan(n->child[0]);
}

int
aggregate_init(struct exec_node *n)
{
    const struct plan_aggregate *p = &n->plan->u.aggregate;

    n->state = ARENA_NEW(&n->x->arena, struct aggregate);
    n->next = aggregate_next;
    n->rescan = aggregate_rescan;
    n->close = aggregate_close;
    if (p->key_count >= ROW_TABLE_KEYS_MAX)
        return DIAG(ERR_LIMIT, "GROUP BY over more than %d columns", ROW_TABLE_KEYS_MAX - 1);
    return aggregate_open(n);
}
