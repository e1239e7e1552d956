/* A run: its nodes opened, pulled, filtered and projected, and closed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/sql/exec_int.h"

int
exec_ctx_interrupted(const struct exec_ctx *ctx)
{
    if (ctx->canceled != NULL && *ctx->canceled)
        return DIAG(ERR_QUERY_CANCELED, "canceling statement due to user request");
    return 0;
}

int
exec_check_interrupt(const struct exec *x)
{
    return exec_ctx_interrupted(&x->ctx);
}

/* ---- nodes ------------------------------------------------------------------------------------
 */

static exec_node_init_fn *
init_of(enum plan_kind kind)
{
    switch (kind) {
    case PLAN_SCAN:
        return scan_init;
    case PLAN_VALUES:
        return values_init;
    case PLAN_FUNCTION:
        return function_init;
    case PLAN_CTE_SCAN:
        return cte_scan_init;
    case PLAN_PROJECT:
        return project_init;
    case PLAN_AGGREGATE:
        return aggregate_init;
    case PLAN_SORT:
        return sort_init;
    case PLAN_DISTINCT:
        return distinct_init;
    case PLAN_LIMIT:
        return limit_init;
    case PLAN_LOCK_ROWS:
        return lock_rows_init;
    case PLAN_MATERIALIZE:
        return materialize_init;
    case PLAN_HASH_JOIN:
        return hash_join_init;
    case PLAN_NEST_LOOP:
        return nest_loop_init;
    case PLAN_SET_OP:
        return set_op_init;
    case PLAN_INSERT:
    case PLAN_UPDATE:
    case PLAN_DELETE:
        return modify_init;
    }
    UNREACHABLE();
}

int
exec_node_open(struct exec *x, const struct plan_node *plan, struct exec_node **out)
{
    struct exec_node *n = ARENA_NEW(&x->arena, struct exec_node);
    int rc = fiber_check_depth();

    n->plan = plan;
    n->x = x;
    arena_init(&n->scratch, x->ctx.memory);
    arena_init(&n->out, x->ctx.memory);
    n->sel = ARENA_ARRAY(&x->arena, uint16_t, BATCH_ROWS_MAX);
    n->child = ARENA_ARRAY(&x->arena, struct exec_node *, plan->child_count + 1);
    *out = n;
    for (int32_t i = 0; i < plan->child_count && rc == 0; i++)
        rc = exec_node_open(x, plan->child[i], &n->child[i]);
    if (rc != 0)
        return rc;
    if (plan->filter != NULL)
        n->filter = vexpr_new(x, plan->filter);
    if (plan->project != NULL) {
        n->project = ARENA_ARRAY(&x->arena, struct vexpr *, plan->project_count + 1);
        for (int32_t i = 0; i < plan->project_count; i++)
            n->project[i] = vexpr_new(x, plan->project[i]);
    }
    return init_of(plan->kind)(n);
}

void
exec_node_close(struct exec_node *n)
{
    if (n == NULL)
        return;
    for (int32_t i = 0; i < n->plan->child_count; i++)
        exec_node_close(n->child[i]);
    if (n->close != NULL)
        n->close(n);
    arena_fini(&n->scratch);
    arena_fini(&n->out);
}

int
exec_node_rescan(struct exec_node *n)
{
    return n->rescan(n);
}

static int
exec_node_filter(struct exec_node *n, struct batch *b)
{
    uint32_t passed;
    int rc = vexpr_filter(n->x, n->filter, b, b->sel, b->sel_count, &n->out, n->sel, &passed);

    b->sel = n->sel;
    b->sel_count = passed;
    return rc;
}

static int
exec_node_project(struct exec_node *n, struct batch **b)
{
    uint32_t count = (uint32_t)n->plan->project_count;
    struct batch *p = ARENA_NEW(&n->out, struct batch);
    int rc = 0;

    *p = **b;
    p->col_count = count;
    p->cols = ARENA_ARRAY(&n->out, struct vec, count + 1);
    for (uint32_t i = 0; i < count && rc == 0; i++) {
        struct vec *v;

        rc = vexpr_eval(n->x, n->project[i], *b, (*b)->sel, (*b)->sel_count, &n->out, &v);
        if (rc == 0)
            p->cols[i] = *v;
    }
    *b = p;
    return rc;
}

int
exec_node_next(struct exec_node *n, struct batch **out)
{
    for (;;) {
        int rc = exec_check_interrupt(n->x);

        *out = NULL;
        if (rc != 0)
            return rc;
        fiber_yield();
        arena_reset(&n->scratch);
        arena_reset(&n->out);
        rc = n->next(n, out);
        if (rc == 0 && n->filter != NULL)
            rc = exec_node_filter(n, *out);
        if (rc != 0) {
            *out = NULL; /* its arena is gone with the next call */
            return rc;
        }
        if ((*out)->sel_count == 0)
            continue;
        return n->project != NULL ? exec_node_project(n, out) : 0;
    }
}

/* ---- the run ----------------------------------------------------------------------------------
 */

int
exec_open(struct plan *plan, const struct exec_ctx *ctx, struct exec **out)
{
    struct exec *x = xcalloc(1, sizeof *x);
    int rc;

    x->plan = plan_ref(plan);
    x->ctx = *ctx;
    arena_init(&x->arena, ctx->memory);
    x->outer = ARENA_ARRAY(&x->arena, struct datum, plan->outer_count + 1);
    x->subplans = ARENA_ARRAY(&x->arena, struct subplan_state, plan->subplan_count + 1);
    x->ctes = ARENA_ARRAY(&x->arena, struct row_store *, plan->cte_count + 1);
    x->spilled = ARENA_ARRAY(&x->arena, uint64_t, plan->node_count + 1);
    rc = exec_node_open(x, plan->root, &x->root);
    if (rc != 0) {
        struct diag why = *diag_last();

        exec_close(x);
        diag_restore(&why);
        return rc;
    }
    *out = x;
    return 0;
}

/* CTEs that write run to their end even if nobody reads them. */
static int
run_writing_ctes(struct exec *x)
{
    int rc = 0;

    for (int32_t i = 0; i < x->plan->cte_count && rc == 0; i++)
        if (x->plan->ctes[i].must_run)
            rc = cte_rows(x, i, &(struct row_store *){ NULL });
    return rc;
}

int
exec_next(struct exec *x, const struct batch **out)
{
    struct batch *b;
    int rc;

    if (x->ended)
        return ERR_END;
    rc = exec_node_next(x->root, &b);
    if (rc == ERR_END) {
        x->ended = true;
        rc = run_writing_ctes(x);
        return rc != 0 ? rc : ERR_END;
    }
    if (rc == 0)
        *out = b;
    return rc;
}

uint64_t
exec_spilled(const struct exec *x, int32_t node)
{
    return x->spilled[node];
}

uint64_t
exec_affected(const struct exec *x)
{
    return x->affected;
}

void
exec_close(struct exec *x)
{
    if (x == NULL)
        return;
    exec_node_close(x->root);
    subplans_close(x);
    for (int32_t i = 0; i < x->plan->cte_count; i++)
        row_store_free(x->ctes[i]);
    arena_fini(&x->arena);
    plan_unref(x->plan);
    xfree(x);
}

int
exec_run(struct plan *plan, const struct exec_ctx *ctx, struct sql_client *client,
         const int16_t *formats, int format_count, uint64_t *rows)
{
    const struct batch *b;
    struct exec *x;
    bool ran, done;
    int rc = point_run(plan, ctx, client, formats, format_count, rows, &ran);

    if (rc != 0 || ran)
        return rc;
    rc = exec_open(plan, ctx, &x);
    if (rc != 0)
        return rc;
    if (client != NULL && plan->result_count > 0) {
        rc = exec_send(x, client, formats, format_count, 0, rows, &done);
    } else {
        while ((rc = exec_next(x, &b)) == 0)
            continue;
        rc = rc == ERR_END ? 0 : rc;
        *rows = x->affected;
    }
    exec_close(x);
    return rc;
}
