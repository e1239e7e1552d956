/* Aggregation by hash: groups in the order in which they were first met. When memory is full, rows
 * of groups that are not there yet are set aside, and worked on once the others have been yielded:
 * pass by pass.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/sql/exec_int.h"

struct agg_state {
    const struct plan_agg *plan;
    struct func_call call;
    struct vexpr **args, *filter;
    oid_t *arg_types;
    size_t offset;              /* of its state within a group's */
    struct row_table *distinct; /* (group, arguments) seen; NULL: not DISTINCT */
    /* Rows that are stepped at the end, in order: (group, keys of ORDER BY, arguments). Those of an
     * ORDER BY within; of DISTINCT, those that `distinct` has no room for. */
    struct sorter *later;
    struct datum *later_row; /* room for one */
    bool has_later;          /* something is in it */
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
    struct parts_input input;
    struct datum *row; /* room for one of the input */
    uint16_t *sel;     /* rows that are not set aside */
    bool filled;
    size_t at;
};

/* ---- states ------------------------------------------------------------------------------------
 */

static void
set_state_cap(struct exec_node *n, struct aggregate *s, size_t cap)
{
    if (n->x->ctx.memory != NULL) {
        budget_release(n->x->ctx.memory, s->state_cap * sizeof *s->states);
        budget_force(n->x->ctx.memory, cap * sizeof *s->states);
    }
    s->states = xrealloc(s->states, cap * sizeof *s->states + 1);
    s->state_cap = cap;
}

static int
state_new(struct exec_node *n, struct aggregate *s, size_t group)
{
    void *p = n->x->ctx.spill != NULL ? arena_alloc(&s->arena, s->group_size + 1)
                                      : arena_try_alloc(&s->arena, s->group_size + 1);

    if (p == NULL)
        return ERR_NOMEM;
    memset(p, 0, s->group_size);
    if (group >= s->state_cap)
        set_state_cap(n, s, s->state_cap != 0 ? 2 * s->state_cap : 64);
    s->states[group] = p;
    return 0;
}

/* *group SIZE_MAX: the row was set aside. */
static int
find_group(struct exec_node *n, struct aggregate *s, const struct datum *key, const struct batch *b,
           uint32_t r, size_t *group)
{
    uint64_t hash = row_table_hash(s->groups, key);
    int rc;

    if (row_table_find(s->groups, hash, key, group))
        return 0;
    if (s->input.aside != NULL ||
        row_table_is_full(s->groups, s->arena.total + s->state_cap * sizeof *s->states)) {
        *group = SIZE_MAX;
        batch_row_datums(b, r, s->row);
        return parts_input_aside(&s->input, hash, s->row);
    }
    rc = row_table_add(s->groups, hash, key, group);
    return rc != 0 ? rc : state_new(n, s, *group);
}

/* The group of each row of the selection; the batch keeps those that have one. */
static int
find_groups(struct exec_node *n, struct aggregate *s, struct batch *b, size_t *groups)
{
    uint32_t count = (uint32_t)n->plan->u.aggregate.key_count, kept = 0;
    struct vec *keys[ROW_TABLE_KEYS_MAX];
    struct datum row[ROW_TABLE_KEYS_MAX];
    int rc = 0;

    for (uint32_t i = 0; i < count && rc == 0; i++)
        rc = vexpr_eval(n->x, s->keys[i], b, b->sel, b->sel_count, &n->scratch, &keys[i]);
    for (uint32_t k = 0; k < b->sel_count && rc == 0; k++) {
        uint32_t r = batch_row(b, k);

        for (uint32_t i = 0; i < count; i++)
            row[i] = vec_get(keys[i], r);
        groups[r] = 0;
        rc = find_group(n, s, row, b, r, &groups[r]);
        if (groups[r] != SIZE_MAX)
            s->sel[kept++] = (uint16_t)r;
    }
    if (kept < b->sel_count) {
        b->sel = s->sel;
        b->sel_count = kept;
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

/* DISTINCT: a row counts only if its arguments are new in the group. *later: it cannot be told
 * yet. */
static int
is_new(struct agg_state *g, size_t group, const struct datum *args, bool *yes, bool *later)
{
    struct datum row[ROW_TABLE_KEYS_MAX];
    uint64_t hash;
    size_t at;

    row[0] = datum_int((int64_t)group);
    for (int32_t i = 0; i < g->plan->arg_count; i++)
        row[i + 1] = args[i];
    hash = row_table_hash(g->distinct, row);
    *yes = !row_table_find(g->distinct, hash, row, &at);
    *later = *yes && row_table_is_full(g->distinct, 0);
    return *yes && !*later ? row_table_add(g->distinct, hash, row, &at) : 0;
}

static int
keep(struct exec_node *n, struct agg_state *g, size_t group, const struct batch *b, uint32_t r,
     const struct datum *args)
{
    struct datum *row = g->later_row;
    struct datum *columns = ((struct aggregate *)n->state)->row;
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
    g->has_later = true;
    return sorter_add(g->later, row);
}

static int
step_slow(struct exec_node *n, struct aggregate *s, struct agg_state *g, const struct batch *b,
          const uint16_t *sel, uint32_t count, struct vec *const *args, const size_t *groups)
{
    struct datum row[ROW_TABLE_KEYS_MAX];
    int rc = 0;

    for (uint32_t k = 0; k < count && rc == 0; k++) {
        uint32_t r = sel != NULL ? sel[k] : k;
        bool yes = true, later = false;

        for (int32_t i = 0; i < g->plan->arg_count; i++)
            row[i] = vec_get(args[i], r);
        if (g->distinct != NULL)
            rc = is_new(g, groups[r], row, &yes, &later);
        if (rc != 0 || !yes)
            continue;
        rc = later || g->plan->order_count > 0
                 ? keep(n, g, groups[r], b, r, row)
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
    return g->later != NULL ? step_slow(n, s, g, b, sel, count, args, groups)
                            : step_fast(n, s, g, sel, count, args, groups);
}

/* ---- at the end of a pass ----------------------------------------------------------------------
 */

static bool
same_args(const struct agg_state *g, const struct datum *a, const struct datum *b)
{
    if (a[0].i != b[0].i)
        return false;
    a += 1 + g->plan->order_count;
    b += 1 + g->plan->order_count;
    for (int32_t i = 0; i < g->plan->arg_count; i++) {
        if (a[i].is_null != b[i].is_null)
            return false;
        if (!a[i].is_null && type_cmp(g->arg_types[i], &a[i], &b[i]) != 0)
            return false;
    }
    return true;
}

/* The rows that were kept, in order. Of DISTINCT, rows alike follow on each other. */
static int
step_later(struct exec_node *n, struct aggregate *s, struct agg_state *g)
{
    struct datum *last =
        ARENA_ARRAY(&n->out, struct datum, 1 + g->plan->order_count + g->plan->arg_count);
    const struct datum *row;
    bool has_last = false;
    int32_t first = g->plan->order_count + 1; /* of the arguments */
    struct arena keep_last, step;
    int rc = sorter_finish(g->later);

    arena_init(&keep_last, n->x->ctx.memory);
    arena_init(&step, n->x->ctx.memory);
    while (rc == 0 && (rc = sorter_next(g->later, &row)) == 0) {
        if (g->distinct != NULL && has_last && same_args(g, last, row))
            continue;
        arena_reset(&step);
        rc = step_row(g, (uint8_t *)s->states[row[0].i] + g->offset, row + first, &step);
        if (g->distinct == NULL)
            continue;
        arena_reset(&keep_last);
        last[0] = row[0];
        for (int32_t i = 0; i < g->plan->arg_count; i++)
            last[first + i] = datum_copy(&keep_last, &row[first + i],
                                         (enum type_rep)type_get(g->arg_types[i])->rep);
        has_last = true;
    }
    arena_fini(&keep_last);
    arena_fini(&step);
    return rc == ERR_END ? 0 : rc;
}

/* ---- the node ----------------------------------------------------------------------------------
 */

static int
aggregate_fill(struct exec_node *n, struct aggregate *s)
{
    const struct plan_aggregate *p = &n->plan->u.aggregate;
    size_t *groups = s->row_groups, at;
    struct batch *b;
    int rc = 0;

    if (p->key_count == 0 && !p->grouped) {
        struct datum none = { .i = 0 };

        rc = row_table_add(s->groups, row_table_hash(s->groups, &none), &none, &at);
        if (rc == 0)
            rc = state_new(n, s, 0);
    }
    while (rc == 0) {
        struct batch rows;

        arena_reset(&n->scratch);
        rc = parts_input_batch(&s->input, &b);
        if (rc != 0)
            break;
        rows = *b;
        rc = find_groups(n, s, &rows, groups);
        for (int32_t i = 0; i < p->agg_count && rc == 0; i++)
            rc = step_agg(n, s, &s->aggs[i], &rows, groups);
    }
    if (rc != ERR_END)
        return rc;
    rc = 0;
    for (int32_t i = 0; i < p->agg_count && rc == 0; i++)
        if (s->aggs[i].has_later)
            rc = step_later(n, s, &s->aggs[i]);
    s->filled = rc == 0;
    return rc;
}

static void
aggregate_empty(struct exec_node *n, struct aggregate *s)
{
    row_table_reset(s->groups);
    for (int32_t i = 0; i < n->plan->u.aggregate.agg_count; i++) {
        struct agg_state *g = &s->aggs[i];

        if (g->distinct != NULL)
            row_table_reset(g->distinct);
        if (g->has_later)
            sorter_reset(g->later);
        g->has_later = false;
        g->call.site = NULL; /* it lay in the arena */
    }
    arena_reset(&s->arena);
    if (s->state_cap > 1024)
        set_state_cap(n, s, 0);
    s->filled = false;
    s->at = 0;
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

    while (rc == 0 && s->at == s->groups->rows->count) {
        rc = parts_input_next(&s->input);
        if (rc == 0) {
            aggregate_empty(n, s);
            rc = aggregate_fill(n, s);
        }
    }
    if (rc != 0)
        return rc;
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
        sorter_free(s->aggs[i].later);
    }
    parts_input_fini(&s->input);
    set_state_cap(n, s, 0);
    xfree(s->states);
    arena_fini(&s->arena);
}

/* What is kept for the end, by group, then in the order asked for; of DISTINCT, alike by alike. */
static void
open_later(struct exec_node *n, const struct plan_agg *p, struct agg_state *g)
{
    uint32_t width = (uint32_t)(1 + p->order_count + p->arg_count);
    uint32_t key_count = p->distinct ? width : (uint32_t)(1 + p->order_count);
    struct plan_column *columns = ARENA_ARRAY(&n->x->arena, struct plan_column, width + 1);
    struct sorter_key *keys = ARENA_ARRAY(&n->x->arena, struct sorter_key, width + 1);

    g->later_row = ARENA_ARRAY(&n->x->arena, struct datum, width);
    columns[0].type.oid = TYPE_INT8;
    for (int32_t i = 0; i < p->order_count; i++) {
        columns[i + 1].type = p->order[i].value->type;
        keys[i + 1].descending = p->order[i].descending;
        keys[i + 1].nulls_first = p->order[i].nulls_first;
    }
    for (int32_t i = 0; i < p->arg_count; i++)
        columns[p->order_count + i + 1].type = p->args[i]->type;
    for (uint32_t i = 0; i < width; i++) {
        keys[i].column = i;
        keys[i].type = columns[i].type.oid;
    }
    g->later = sorter_new(&n->x->ctx, columns, width, keys, key_count, UINT64_MAX,
                          &n->x->spilled[n->plan->id]);
}

static void
agg_open(struct exec_node *n, struct aggregate *s, const struct plan_agg *p, struct agg_state *g)
{
    struct exec *x = n->x;
    struct plan_column *columns = ARENA_ARRAY(&x->arena, struct plan_column, p->arg_count + 2);

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
        g->distinct = row_table_new(&x->ctx, columns, (uint32_t)p->arg_count + 1);
    if (p->distinct || p->order_count > 0)
        open_later(n, p, g);
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
    const struct plan_node *c = n->child[0]->plan;
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
    s->groups = row_table_new(&n->x->ctx, columns, (uint32_t)p->key_count);
    s->sel = ARENA_ARRAY(&n->x->arena, uint16_t, BATCH_ROWS_MAX);
    s->row = ARENA_ARRAY(&n->x->arena, struct datum, c->column_count + 1);
    parts_input_init(&s->input, n, c->columns, (uint32_t)c->column_count);
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

    aggregate_empty(n, s);
    parts_input_reset(&s->input);
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
    for (int32_t i = 0; i < p->agg_count; i++)
        if (p->aggs[i].arg_count >= ROW_TABLE_KEYS_MAX)
            return DIAG(ERR_LIMIT, "an aggregate of more than %d arguments",
                        ROW_TABLE_KEYS_MAX - 1);
    if (p->key_count >= ROW_TABLE_KEYS_MAX)
        return DIAG(ERR_LIMIT, "GROUP BY over more than %d columns", ROW_TABLE_KEYS_MAX - 1);
    return aggregate_open(n);
}
