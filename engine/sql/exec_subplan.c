/* Queries inside expressions, and common table expressions.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/exec_int.h"

/* ---- common table expressions -------------------------------------------------------------------
 */

int
cte_rows(struct exec *x, int32_t cte, struct row_store **out)
{
    const struct plan_node *root = x->plan->ctes[cte].root;
    struct exec_node *n;
    int rc;

    if (x->ctes[cte] == NULL) {
        struct row_store *l = row_store_new(&x->ctx, root->columns, (uint32_t)root->column_count,
                                            &x->spilled[root->id]);

        rc = exec_node_open(x, root, &n);
        if (rc == 0)
            rc = row_store_drain(l, n);
        exec_node_close(n);
        if (rc != 0) {
            row_store_free(l);
            return rc;
        }
        x->ctes[cte] = l;
    }
    *out = x->ctes[cte];
    return 0;
}

/* ---- running ------------------------------------------------------------------------------------
 */

/* Opens the subplan, or starts it over with the caller's row in its outer slots. */
static int
subplan_start(const struct eval *v, const struct plan_subplan *p, struct subplan_state *s)
{
    struct exec *x = v->x;

    for (int32_t i = 0; i < p->bind_count; i++) {
        struct datum d;
        int rc = eval_row(v, p->binds[i].value, &d);

        if (rc != 0)
            return rc;
        x->outer[p->binds[i].slot] =
            datum_copy(v->arena, &d, (enum type_rep)type_get(p->binds[i].value->type.oid)->rep);
    }
    return s->root == NULL ? exec_node_open(x, p->root, &s->root) : exec_node_rescan(s->root);
}

static int
run_scalar(const struct eval *v, const struct plan_subplan *p, struct subplan_state *s)
{
    enum type_rep rep = (enum type_rep)type_get(p->root->columns[0].type.oid)->rep;
    struct batch *b;
    int rc;

    s->scalar = datum_null();
    s->root->wanted = 1;
    rc = exec_node_next(s->root, &b);
    if (rc != 0)
        return rc == ERR_END ? 0 : rc;
    if (b->sel_count > 1)
        goto many;
    s->scalar = vec_get(&b->cols[0], batch_row(b, 0));
    s->scalar = datum_copy(p->bind_count == 0 ? &v->x->arena : v->arena, &s->scalar, rep);
    rc = exec_node_next(s->root, &b);
    if (rc == ERR_END)
        return 0;
    if (rc != 0)
        return rc;
many:
    return DIAG(ERR_CARDINALITY, "more than one row returned by a subquery used as an expression");
}

static int
run_exists(struct subplan_state *s)
{
    struct batch *b;
    int rc;

    s->root->wanted = 1;
    rc = exec_node_next(s->root, &b);
    s->exists = rc == 0;
    return rc == ERR_END ? 0 : rc;
}

static int
run_rows(const struct eval *v, const struct plan_subplan *p, struct subplan_state *s)
{
    if (s->rows == NULL)
        s->rows = row_store_new(&v->x->ctx, p->root->columns, (uint32_t)p->root->column_count,
                                &v->x->spilled[p->root->id]);
    row_store_reset(s->rows);
    return row_store_drain(s->rows, s->root);
}

static int
subplan_run(const struct eval *v, const struct expr *e, const struct plan_subplan *p,
            struct subplan_state *s)
{
    int rc;

    if (s->has_result)
        return 0;
    rc = subplan_start(v, p, s);
    if (rc != 0)
        return rc;
    if (e->u.subplan.kind == SUBPLAN_SCALAR)
        rc = run_scalar(v, p, s);
    else if (e->u.subplan.kind == SUBPLAN_EXISTS)
        rc = run_exists(s);
    else
        rc = run_rows(v, p, s);
    s->has_result = rc == 0 && p->bind_count == 0;
    return rc;
}

/* ---- results ------------------------------------------------------------------------------------
 */

/* The test over the rows of a batch, three-valued; *settled: the result is out. */
static int
test_rows(struct eval *test, const struct expr *e, const struct batch *b, struct datum *row,
          bool *any_null, bool *settled)
{
    bool all = e->u.subplan.kind == SUBPLAN_ALL;
    int rc = 0;

    test->sub = row;
    for (uint32_t k = 0; k < b->row_count && rc == 0 && !*settled; k++) {
        struct datum d;

        batch_row_datums(b, k, row);
        rc = eval_row(test, e->u.subplan.test, &d);
        if (rc == 0 && d.is_null)
            *any_null = true;
        else if (rc == 0)
            *settled = (d.i != 0) != all;
    }
    return rc;
}

enum { SUBPLAN_HASH_ROWS_MIN = 16 };

static int
add_to_set(struct subplan_state *s, const struct plan_subplan *p, const struct batch *b)
{
    struct datum row[ROW_TABLE_KEYS_MAX];

    for (uint32_t k = 0; k < b->row_count; k++) {
        bool has_null = false;
        uint64_t hash;
        size_t at;

        for (int32_t i = 0; i < p->hash_key_count; i++) {
            row[i] = vec_get(&b->cols[i], k);
            has_null = has_null || row[i].is_null;
        }
        s->has_nulls = s->has_nulls || has_null;
        if (has_null)
            continue;
        hash = row_table_hash(s->set, row);
        if (row_table_find(s->set, hash, row, &at))
            continue;
        s->no_set = row_table_is_full(s->set, 0);
        if (s->no_set)
            return 0;
        int rc = row_table_add(s->set, hash, row, &at);

        if (rc != 0)
            return rc;
    }
    return 0;
}

/* What does not fit into memory is compared row by row. */
static int
fill_set(struct exec *x, const struct plan_subplan *p, struct subplan_state *s)
{
    struct row_reader r;
    struct arena rows;
    struct batch *b;
    int rc = 0;

    s->set = row_table_new(&x->ctx, p->root->columns, (uint32_t)p->hash_key_count);
    row_reader_init(&r, s->rows);
    arena_init(&rows, x->ctx.memory);
    while (rc == 0 && !s->no_set && (rc = row_reader_batch(&r, &rows, &b)) == 0) {
        rc = add_to_set(s, p, b);
        arena_reset(&rows);
        fiber_yield();
        if (rc == 0)
            rc = exec_check_interrupt(x);
    }
    arena_fini(&rows);
    row_reader_fini(&r);
    if (s->no_set) {
        row_table_free(s->set);
        s->set = NULL;
    }
    return rc == ERR_END ? 0 : rc;
}

/* ANY by hash. *known false: nulls make it a matter of looking at every row. */
static int
any_hashed(const struct eval *v, const struct plan_subplan *p, struct subplan_state *s,
           struct datum *out, bool *known)
{
    struct datum keys[ROW_TABLE_KEYS_MAX];
    bool has_null = false;
    size_t at;
    int rc = 0;

    *known = false;
    if (!p->hashable || p->hash_key_count > ROW_TABLE_KEYS_MAX || s->no_set ||
        row_store_count(s->rows) < SUBPLAN_HASH_ROWS_MIN)
        return 0;
    if (s->set == NULL)
        rc = fill_set(v->x, p, s);
    for (int32_t k = 0; k < p->hash_key_count && rc == 0; k++) {
        rc = eval_row(v, p->hash_keys[k], &keys[k]);
        has_null = has_null || (rc == 0 && keys[k].is_null);
    }
    if (rc != 0 || s->no_set)
        return rc;
    *known = true;
    if (!has_null && row_table_find(s->set, row_table_hash(s->set, keys), keys, &at))
        *out = datum_bool(true);
    else if (!has_null && !s->has_nulls)
        *out = datum_bool(false);
    else if (p->hash_key_count == 1)
        *out = datum_null();
    else
        *known = false;
    return 0;
}

static int
any_or_all(const struct eval *v, const struct expr *e, const struct subplan_state *s,
           struct datum *out)
{
    const struct plan_subplan *p = &v->x->plan->subplans[e->u.subplan.id];
    bool all = e->u.subplan.kind == SUBPLAN_ALL, any_null = false, settled = false;
    struct datum *row = ARENA_ARRAY(v->arena, struct datum, p->root->column_count + 1);
    struct eval test = *v;
    struct row_reader r;
    struct arena rows;
    struct batch *b;
    int rc = 0;

    row_reader_init(&r, s->rows);
    arena_init(&rows, v->x->ctx.memory);
    while (!settled && rc == 0 && (rc = row_reader_batch(&r, &rows, &b)) == 0) {
        rc = test_rows(&test, e, b, row, &any_null, &settled);
        arena_reset(&rows);
        fiber_yield();
        if (rc == 0)
            rc = exec_check_interrupt(v->x);
    }
    arena_fini(&rows);
    row_reader_fini(&r);
    if (rc != 0 && rc != ERR_END)
        return rc;
    *out = settled ? datum_bool(!all) : any_null ? datum_null() : datum_bool(all);
    return 0;
}

/* Kept where the rows are. */
static int
array_of(const struct eval *v, const struct expr *e, struct subplan_state *s, struct datum *out)
{
    oid_t type = type_get(e->type.oid)->elem_oid;
    enum type_rep rep = (enum type_rep)type_get(type)->rep;
    uint64_t count = row_store_count(s->rows), at = 0;
    struct datum *elems = arena_try_alloc(v->arena, (count + 1) * sizeof *elems);
    struct row_reader r;
    struct batch *b;
    int rc = elems == NULL ? ERR_NOMEM : 0;

    row_reader_init(&r, s->rows);
    while (rc == 0 && (rc = row_reader_batch(&r, v->arena, &b)) == 0) {
        for (uint32_t k = 0; k < b->row_count; k++) {
            struct datum d = vec_get(&b->cols[0], k);

            elems[at++] = datum_copy(v->arena, &d, rep);
        }
    }
    row_reader_fini(&r);
    if (rc == ERR_END) {
        *out = array_make(s->has_result ? &v->x->arena : v->arena, type, elems, (uint32_t)count, 1);
        s->has_array = s->has_result;
        s->scalar = *out;
        rc = 0;
    }
    return rc;
}

int
eval_subplan(const struct eval *v, const struct expr *e, struct datum *out)
{
    const struct plan_subplan *p = &v->x->plan->subplans[e->u.subplan.id];
    struct subplan_state *s = &v->x->subplans[e->u.subplan.id];
    bool known = false;
    int rc = subplan_run(v, e, p, s);

    if (rc == 0 && e->u.subplan.kind == SUBPLAN_ANY)
        rc = any_hashed(v, p, s, out, &known);
    if (rc != 0 || known)
        return rc;
    switch (e->u.subplan.kind) {
    case SUBPLAN_SCALAR:
        *out = s->scalar;
        return 0;
    case SUBPLAN_EXISTS:
        *out = datum_bool(s->exists);
        return 0;
    case SUBPLAN_ANY:
    case SUBPLAN_ALL:
        return any_or_all(v, e, s, out);
    case SUBPLAN_ARRAY:
        *out = s->scalar;
        return s->has_array ? 0 : array_of(v, e, s, out);
    }
    UNREACHABLE();
}

void
subplans_close(struct exec *x)
{
    for (int32_t i = 0; i < x->plan->subplan_count; i++) {
        exec_node_close(x->subplans[i].root);
        row_store_free(x->subplans[i].rows);
        row_table_free(x->subplans[i].set);
    }
}
