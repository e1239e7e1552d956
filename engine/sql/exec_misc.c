/* Small operators: VALUES, set-returning functions, projection, LIMIT, materialize, CTE scans.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "engine/sql/exec_int.h"

/* ---- VALUES -----------------------------------------------------------------------------------
 */

struct values {
    int32_t at;
};

static int
values_next(struct exec_node *n, struct batch **out)
{
    const struct plan_values *p = &n->plan->u.values;
    struct values *s = n->state;
    struct eval v = { .x = n->x, .ctx = &n->x->ctx, .outer = n->x->outer, .arena = &n->scratch };
    uint32_t width = n->value_width;
    struct batch *b;
    uint32_t rows = 0;

    if (s->at == p->row_count)
        return ERR_END;
    b = batch_for(n, n->value_columns, width);
    for (; s->at < p->row_count && rows < BATCH_ROWS_MAX; s->at++, rows++) {
        for (uint32_t i = 0; i < width; i++) {
            struct datum d;
            int rc = eval_row(&v, p->rows[s->at][i], &d);

            if (rc != 0)
                return rc;
            vec_set(&b->cols[i], rows, &d);
        }
    }
    b->row_count = b->sel_count = rows;
    *out = b;
    return 0;
}

static int
values_rescan(struct exec_node *n)
{
    ((struct values *)n->state)->at = 0;
    return 0;
}

/* With a projection the node's output columns are not those of its rows: their types come from the
 * first row then. */
int
values_init(struct exec_node *n)
{
    const struct plan_values *p = &n->plan->u.values;

    n->state = ARENA_NEW(&n->x->arena, struct values);
    n->next = values_next;
    n->rescan = values_rescan;
    n->value_width = (uint32_t)p->column_count;
    n->value_columns = ARENA_ARRAY(&n->x->arena, struct plan_column, p->column_count + 1);
    for (int32_t i = 0; i < p->column_count && p->row_count > 0; i++)
        n->value_columns[i].type = p->rows[0][i]->type;
    return 0;
}

/* ---- generate_series ----------------------------------------------------------------------------
 */

struct series {
    bool started, ended;
    int64_t at, stop, step;
};

static int
series_start(struct exec_node *n, struct series *s)
{
    const struct plan_function *p = &n->plan->u.function;
    struct datum d[3] = { { .i = 0 }, { .i = 0 }, datum_int(1) };

    for (int32_t i = 0; i < p->arg_count && i < 3; i++) {
        int rc = eval_scalar(n->x, p->args[i], &d[i]);

        if (rc != 0)
            return rc;
        if (d[i].is_null)
            s->ended = true;
    }
    s->at = d[0].i;
    s->stop = d[1].i;
    s->step = d[2].i;
    s->started = true;
    if (!s->ended && s->step == 0)
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "step size cannot equal zero");
    return 0;
}

static int
series_next(struct exec_node *n, struct batch **out)
{
    struct series *s = n->state;
    struct plan_column column = { { n->plan->u.function.func->result, -1 } };
    struct batch *b;
    uint32_t rows = 0;

    if (!s->started) {
        int rc = series_start(n, s);

        if (rc != 0)
            return rc;
    }
    b = batch_for(n, &column, 1);
    while (!s->ended && rows < BATCH_ROWS_MAX) {
        struct datum d = datum_int(s->at);

        if (s->step > 0 ? s->at > s->stop : s->at < s->stop) {
            s->ended = true;
            break;
        }
        vec_set(&b->cols[0], rows++, &d);
        s->ended = !add_ok(s->at, s->step, &s->at);
    }
    b->row_count = b->sel_count = rows;
    *out = b;
    return rows > 0 ? 0 : ERR_END;
}

static int
series_rescan(struct exec_node *n)
{
    memset(n->state, 0, sizeof(struct series));
    return 0;
}

/* ---- unnest -------------------------------------------------------------------------------------
 */

struct unnest {
    bool started;
    struct datum array;
    struct array_iter it;
};

static int
unnest_next(struct exec_node *n, struct batch **out)
{
    const struct plan_function *p = &n->plan->u.function;
    struct unnest *s = n->state;
    struct plan_column column = { { .typmod = -1 } };
    struct batch *b;
    struct datum e;
    uint32_t rows = 0;

    if (!s->started) {
        int rc = eval_scalar(n->x, p->args[0], &s->array);

        if (rc != 0)
            return rc;
        s->started = true;
        if (!s->array.is_null)
            array_iter_init(&s->it, &s->array);
    }
    if (s->array.is_null)
        return ERR_END;
    column.type.oid = array_elem_type(&s->array);
    b = batch_for(n, &column, 1);
    while (rows < BATCH_ROWS_MAX && array_next(&s->it, &e))
        vec_set(&b->cols[0], rows++, &e);
    b->row_count = b->sel_count = rows;
    *out = b;
    return rows > 0 ? 0 : ERR_END;
}

static int
unnest_rescan(struct exec_node *n)
{
    memset(n->state, 0, sizeof(struct unnest));
    return 0;
}

/* pg_partition_ancestors: no table is a partition. */
static int
nothing_next(struct exec_node *n, struct batch **out)
{
    (void)n;
    (void)out;
    return ERR_END;
}

static int
nothing_rescan(struct exec_node *n)
{
    (void)n;
    return 0;
}

int
function_init(struct exec_node *n)
{
    const struct func *f = n->plan->u.function.func;

    if (f != NULL && strcmp(f->name, "pg_partition_ancestors") == 0) {
        n->next = nothing_next;
        n->rescan = nothing_rescan;
        return 0;
    }
    if (f != NULL && strcmp(f->name, "unnest") == 0 && !n->plan->u.function.ordinality) {
        n->state = ARENA_NEW(&n->x->arena, struct unnest);
        n->next = unnest_next;
        n->rescan = unnest_rescan;
        return 0;
    }
    if (strcmp(f->name, "generate_series") == 0 && !n->plan->u.function.ordinality &&
        (f->result == TYPE_NUMERIC || f->result == TYPE_TIMESTAMP || f->result == TYPE_TIMESTAMPTZ))
        return series_init(n);
    if (strcmp(f->name, "generate_series") != 0 ||
        (f->result != TYPE_INT4 && f->result != TYPE_INT8) || n->plan->u.function.ordinality)
        return DIAG(ERR_NOT_SUPPORTED, "function %s in FROM is not supported yet", f->name);
    n->state = ARENA_NEW(&n->x->arena, struct series);
    n->next = series_next;
    n->rescan = series_rescan;
    return 0;
}

/* ---- projection ---------------------------------------------------------------------------------
 */

static int
project_next(struct exec_node *n, struct batch **out)
{
    n->child[0]->wanted = n->wanted;
    return exec_node_next(n->child[0], out);
}

static int
child_rescan(struct exec_node *n)
{
    return exec_node_rescan(n->child[0]);
}

int
project_init(struct exec_node *n)
{
    n->next = project_next;
    n->rescan = child_rescan;
    return 0;
}

/* ---- LIMIT --------------------------------------------------------------------------------------
 */

struct limit {
    bool started;
    uint64_t skip, left;
};

static int
limit_value(struct exec_node *n, struct expr *e, bool offset, uint64_t none, uint64_t *out)
{
    struct datum d;
    int rc;

    *out = none;
    if (e == NULL)
        return 0;
    rc = eval_scalar(n->x, e, &d);
    if (rc != 0 || d.is_null)
        return rc;
    if (d.i < 0)
        return offset ? DIAG(ERR_INVALID_ROW_COUNT_OFFSET, "OFFSET must not be negative")
                      : DIAG(ERR_INVALID_ROW_COUNT_LIMIT, "LIMIT must not be negative");
    *out = (uint64_t)d.i;
    return 0;
}

static int
limit_start(struct exec_node *n, struct limit *s)
{
    const struct plan_limit *p = &n->plan->u.limit;
    struct eval v = { .x = n->x, .ctx = &n->x->ctx, .outer = n->x->outer, .arena = &n->scratch };
    bool open = true;
    int rc = p->gate == NULL ? 0 : eval_pass(&v, p->gate, &open);

    if (rc == 0)
        rc = limit_value(n, p->limit, false, UINT64_MAX, &s->left);
    if (rc == 0)
        rc = limit_value(n, p->offset, true, 0, &s->skip);
    if (!open)
        s->left = 0;
    s->started = true;
    return rc;
}

static int
limit_next(struct exec_node *n, struct batch **out)
{
    struct limit *s = n->state;
    struct batch *b;
    uint32_t from;
    int rc = s->started ? 0 : limit_start(n, s);

    while (rc == 0 && s->left > 0) {
        uint64_t most = n->wanted != 0 && n->wanted < s->left ? n->wanted : s->left;

        n->child[0]->wanted = most > UINT64_MAX - s->skip ? 0 : s->skip + most;
        rc = exec_node_next(n->child[0], &b);
        if (rc != 0)
            break;
        if (s->skip >= b->sel_count) {
            s->skip -= b->sel_count;
            continue;
        }
        from = (uint32_t)s->skip;
        s->skip = 0;
        *out = ARENA_NEW(&n->scratch, struct batch);
        **out = *b;
        (*out)->sel = ARENA_ARRAY(&n->scratch, uint16_t, BATCH_ROWS_MAX);
        (*out)->sel_count = 0;
        for (uint32_t k = from; k < b->sel_count && s->left > 0; k++, s->left--)
            (*out)->sel[(*out)->sel_count++] = (uint16_t)batch_row(b, k);
        return 0;
    }
    return rc != 0 ? rc : ERR_END;
}

static int
limit_rescan(struct exec_node *n)
{
    memset(n->state, 0, sizeof(struct limit));
    return exec_node_rescan(n->child[0]);
}

int
limit_init(struct exec_node *n)
{
    if (n->plan->u.limit.with_ties)
        return DIAG(ERR_NOT_SUPPORTED, "FETCH FIRST WITH TIES is not supported yet");
    n->state = ARENA_NEW(&n->x->arena, struct limit);
    n->next = limit_next;
    n->rescan = limit_rescan;
    return 0;
}

/* ---- materialize --------------------------------------------------------------------------------
 */

struct kept {
    struct row_store *rows;
    struct row_reader reader;
    bool reading;
};

static int
kept_next(struct exec_node *n, struct kept *s, struct batch **out)
{
    if (!s->reading)
        row_reader_init(&s->reader, s->rows);
    s->reading = true;
    return row_reader_batch(&s->reader, &n->scratch, out);
}

static int
materialize_next(struct exec_node *n, struct batch **out)
{
    struct kept *s = n->state;

    if (s->rows == NULL) {
        const struct plan_node *c = n->child[0]->plan;
        int rc;

        s->rows = row_store_new(&n->x->ctx, c->columns, (uint32_t)c->column_count,
                                &n->x->spilled[n->plan->id]);
        rc = row_store_drain(s->rows, n->child[0]);
        if (rc != 0)
            return rc;
    }
    return kept_next(n, s, out);
}

static int
materialize_rescan(struct exec_node *n)
{
    struct kept *s = n->state;

    row_reader_fini(&s->reader);
    s->reading = false;
    return 0;
}

static void
materialize_close(struct exec_node *n)
{
    struct kept *s = n->state;

    row_reader_fini(&s->reader);
    row_store_free(s->rows);
}

/* The rows are the run's. */
static void
cte_close(struct exec_node *n)
{
    row_reader_fini(&((struct kept *)n->state)->reader);
}

int
materialize_init(struct exec_node *n)
{
    n->state = ARENA_NEW(&n->x->arena, struct kept);
    n->next = materialize_next;
    n->rescan = materialize_rescan;
    n->close = materialize_close;
    return 0;
}

/* ---- CTE scans ----------------------------------------------------------------------------------
 */

static int
cte_next(struct exec_node *n, struct batch **out)
{
    struct kept *s = n->state;

    if (s->rows == NULL) {
        int rc = cte_rows(n->x, n->plan->u.cte_scan.cte, &s->rows);

        if (rc != 0)
            return rc;
    }
    return kept_next(n, s, out);
}

int
cte_scan_init(struct exec_node *n)
{
    n->state = ARENA_NEW(&n->x->arena, struct kept);
    n->next = cte_next;
    n->rescan = materialize_rescan;
    n->close = cte_close;
    return 0;
}
