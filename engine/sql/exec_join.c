/* What joins have in common, and the nested loop: the right side is run again per left row.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/sql/exec_join_int.h"

bool
join_is_anti(enum plan_join j)
{
    return j == PLAN_JOIN_ANTI || j == PLAN_JOIN_ANTI_NULL;
}

int
join_on(struct exec_node *n, struct join *s, bool *pass)
{
    const struct expr *on = n->plan->u.join.on;
    struct eval v = {
        .x = n->x, .ctx = &n->x->ctx, .columns = s->row, .outer = n->x->outer, .arena = &s->on
    };

    *pass = true;
    if (on == NULL)
        return 0;
    arena_reset(&s->on);
    return eval_pass(&v, on, pass);
}

void
join_emit(struct exec_node *n, struct join *s, struct batch *b, uint32_t *rows)
{
    uint32_t width = s->left_width + (s->yields_right ? s->right_width : 0);

    for (uint32_t i = 0; i < width; i++)
        s->copy[i] = datum_copy(&n->scratch, &s->row[i], (enum type_rep)b->cols[i].rep);
    batch_set_row(b, (*rows)++, s->copy);
}

static void
set_right_null(struct join *s)
{
    for (uint32_t i = 0; i < s->right_width; i++)
        s->row[s->left_width + i] = datum_null();
}

void
join_left_done(struct exec_node *n, struct join *s, struct batch *b, uint32_t *rows)
{
    enum plan_join j = n->plan->u.join.join;

    s->in_row = false;
    if (s->matched)
        return;
    if (j == PLAN_JOIN_LEFT || j == PLAN_JOIN_FULL) {
        set_right_null(s);
        join_emit(n, s, b, rows);
    } else if (join_is_anti(j)) {
        join_emit(n, s, b, rows);
    }
}

bool
join_on_match(struct exec_node *n, struct join *s, struct batch *b, uint32_t *rows)
{
    enum plan_join j = n->plan->u.join.join;

    s->matched = true;
    if (join_is_anti(j))
        return true;
    join_emit(n, s, b, rows);
    return j == PLAN_JOIN_SEMI;
}

struct batch *
join_batch(struct exec_node *n, struct join *s)
{
    return batch_for(n, n->value_columns, s->left_width + (s->yields_right ? s->right_width : 0));
}

void
join_init(struct exec_node *n, struct join *s)
{
    const struct plan_node *l = n->child[0]->plan, *r = n->child[1]->plan;
    enum plan_join j = n->plan->u.join.join;

    arena_init(&s->on, n->x->ctx.memory);
    s->left_width = (uint32_t)l->column_count;
    s->right_width = (uint32_t)r->column_count;
    s->yields_right = j != PLAN_JOIN_SEMI && !join_is_anti(j);
    s->row = ARENA_ARRAY(&n->x->arena, struct datum, s->left_width + s->right_width + 1);
    s->copy = ARENA_ARRAY(&n->x->arena, struct datum, s->left_width + s->right_width + 1);
    n->value_columns =
        ARENA_ARRAY(&n->x->arena, struct plan_column, s->left_width + s->right_width + 1);
    for (uint32_t i = 0; i < s->left_width; i++)
        n->value_columns[i] = l->columns[i];
    for (uint32_t i = 0; i < s->right_width; i++)
        n->value_columns[s->left_width + i] = r->columns[i];
}

/* ---- nested loop --------------------------------------------------------------------------------
 */

struct loop {
    struct join j;
    struct batch *right;
    uint32_t right_at;
    struct arena binds; /* the outer slots */
};

static int
next_left(struct exec_node *n, struct join *s)
{
    while (s->left == NULL || s->left_at == s->left->sel_count) {
        int rc;

        s->left_at = 0;
        rc = exec_node_next(n->child[0], &s->left);
        if (rc != 0)
            return rc;
    }
    batch_row_datums(s->left, batch_row(s->left, s->left_at), s->row);
    s->matched = false;
    s->in_row = true;
    return 0;
}

static int
loop_start_right(struct exec_node *n, struct loop *s)
{
    const struct plan_join_node *p = &n->plan->u.join;
    struct eval v = {
        .x = n->x, .ctx = &n->x->ctx, .columns = s->j.row, .outer = n->x->outer, .arena = &s->binds
    };
    int rc = 0;

    arena_reset(&s->binds);
    for (int32_t i = 0; i < p->bind_count && rc == 0; i++) {
        struct datum d;

        rc = eval_row(&v, p->binds[i].value, &d);
        if (rc == 0)
            n->x->outer[p->binds[i].slot] = datum_copy(
                &s->binds, &d, (enum type_rep)type_get(p->binds[i].value->type.oid)->rep);
    }
    s->right = NULL;
    return rc != 0 ? rc : exec_node_rescan(n->child[1]);
}

/* Goes over right rows until the batch is full (but for one row, which an unmatched left row may
 * need) or the left row is done. */
static int
loop_row(struct exec_node *n, struct loop *s, struct batch *b, uint32_t *rows, bool *done)
{
    *done = false;
    while (*rows < BATCH_ROWS_MAX - 1 && !*done) {
        bool pass;
        int rc;

        if (s->right == NULL || s->right_at == s->right->sel_count) {
            s->right_at = 0;
            rc = exec_node_next(n->child[1], &s->right);
            *done = rc == ERR_END;
            if (*done)
                return 0;
            if (rc != 0)
                return rc;
        }
        batch_row_datums(s->right, batch_row(s->right, s->right_at++), s->j.row + s->j.left_width);
        rc = join_on(n, &s->j, &pass);
        if (rc != 0)
            return rc;
        *done = pass && join_on_match(n, &s->j, b, rows);
    }
    return 0;
}

static int
nest_loop_next(struct exec_node *n, struct batch **out)
{
    struct loop *s = n->state;
    struct batch *b = join_batch(n, &s->j);
    uint32_t rows = 0;

    while (rows < BATCH_ROWS_MAX - 1) {
        bool done;
        int rc = 0;

        if (!s->j.in_row) {
            rc = next_left(n, &s->j);
            if (rc == ERR_END)
                break;
            if (rc == 0)
                rc = loop_start_right(n, s);
        }
        if (rc == 0)
            rc = loop_row(n, s, b, &rows, &done);
        if (rc != 0)
            return rc;
        if (done) {
            join_left_done(n, &s->j, b, &rows);
            s->j.left_at++;
        }
    }
    b->row_count = b->sel_count = rows;
    *out = b;
    return rows > 0 ? 0 : ERR_END;
}

static int
nest_loop_rescan(struct exec_node *n)
{
    struct loop *s = n->state;

    s->j.left = NULL;
    s->right = NULL;
    s->j.in_row = false;
    return exec_node_rescan(n->child[0]);
}

static void
nest_loop_close(struct exec_node *n)
{
    struct loop *s = n->state;

    arena_fini(&s->j.on);
    arena_fini(&s->binds);
}

int
nest_loop_init(struct exec_node *n)
{
    struct loop *s = ARENA_NEW(&n->x->arena, struct loop);

    if (n->plan->u.join.join == PLAN_JOIN_FULL || n->plan->u.join.join == PLAN_JOIN_ANTI_NULL)
        return DIAG(ERR_INTERNAL, "a nested loop cannot run this join");
    n->state = s;
    n->next = nest_loop_next;
    n->rescan = nest_loop_rescan;
    n->close = nest_loop_close;
    arena_init(&s->binds, n->x->ctx.memory);
    join_init(n, &s->j);
    return 0;
}
