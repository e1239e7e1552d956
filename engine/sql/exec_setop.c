/* UNION, INTERSECT, EXCEPT, with and without ALL.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/sql/exec_int.h"

struct set_op {
    int32_t child;           /* UNION ALL: the one being read */
    struct row_table *table; /* distinct rows */
    uint64_t *counts;        /* by row: how often it is still to be yielded */
    size_t cap, at;
    bool filled;
};

static void
counts_grow(struct set_op *s)
{
    size_t before = s->cap;

    if (s->table->rows->count <= s->cap)
        return;
    s->cap = s->cap != 0 ? 2 * s->cap : 256;
    s->counts = xrealloc(s->counts, s->cap * sizeof *s->counts);
    memset(s->counts + before, 0, (s->cap - before) * sizeof *s->counts);
}

static uint64_t
count_after(enum ast_set_op op, bool all, uint64_t left, uint64_t right)
{
    uint64_t n;

    if (op == AST_SETOP_INTERSECT)
        n = left < right ? left : right;
    else if (op == AST_SETOP_EXCEPT)
        n = !all ? (right == 0 ? left : 0) : left > right ? left - right : 0;
    else
        n = left + right;
    return all || n == 0 ? n : 1;
}

/* Counts a child's rows; only those of the first child, or of any of a UNION, make new entries. */
static int
count_child(struct exec_node *n, struct set_op *s, struct exec_node *child, uint64_t **counts,
            bool adds)
{
    struct datum row[ROW_TABLE_KEYS_MAX];
    struct batch *b;
    int rc;

    while ((rc = exec_node_next(child, &b)) == 0) {
        for (uint32_t k = 0; k < b->sel_count && rc == 0; k++) {
            bool found = true;
            size_t at = 0;

            batch_row_datums(b, batch_row(b, k), row);
            if (adds) {
                rc = row_table_put(s->table, row, &at, &found);
                counts_grow(s);
                *counts = s->counts;
            } else {
                found = row_table_find(s->table, row, &at);
            }
            if (rc == 0 && (adds || found))
                (*counts)[at]++;
        }
        if (rc != 0)
            return rc;
    }
    (void)n;
    return rc == ERR_END ? 0 : rc;
}

static int
set_op_fill(struct exec_node *n, struct set_op *s)
{
    const struct plan_set_op *p = &n->plan->u.set_op;
    int rc = count_child(n, s, n->child[0], &s->counts, true);

    for (int32_t i = 1; i < n->plan->child_count && rc == 0; i++) {
        uint64_t *right;

        if (p->op == AST_SETOP_UNION) {
            rc = count_child(n, s, n->child[i], &s->counts, true);
            continue;
        }
        right = xcalloc(s->table->rows->count + 1, sizeof *right);
        rc = count_child(n, s, n->child[i], &right, false);
        for (size_t r = 0; r < s->table->rows->count; r++)
            s->counts[r] = count_after(p->op, p->all, s->counts[r], right[r]);
        xfree(right);
    }
    if (p->op == AST_SETOP_UNION)
        for (size_t r = 0; r < s->table->rows->count; r++)
            s->counts[r] = 1;
    s->filled = rc == 0;
    return rc;
}

static int
set_op_next(struct exec_node *n, struct batch **out)
{
    struct set_op *s = n->state;
    struct batch *b;
    uint32_t rows = 0;
    int rc = s->filled ? 0 : set_op_fill(n, s);

    if (rc != 0)
        return rc;
    b = batch_for(n, n->child[0]->plan->columns, (uint32_t)n->child[0]->plan->column_count);
    while (s->at < s->table->rows->count && rows < BATCH_ROWS_MAX) {
        if (s->counts[s->at] == 0) {
            s->at++;
            continue;
        }
        s->counts[s->at]--;
        batch_set_row(b, rows++, s->table->rows->rows[s->at]);
    }
    b->row_count = b->sel_count = rows;
    *out = b;
    return rows > 0 ? 0 : ERR_END;
}

static int
union_all_next(struct exec_node *n, struct batch **out)
{
    struct set_op *s = n->state;

    for (; s->child < n->plan->child_count; s->child++) {
        int rc = exec_node_next(n->child[s->child], out);

        if (rc != ERR_END)
            return rc;
    }
    return ERR_END;
}

static int
set_op_rescan(struct exec_node *n)
{
    struct set_op *s = n->state;
    int rc = 0;

    s->child = 0;
    s->filled = false;
    s->at = 0;
    row_table_reset(s->table);
    if (s->cap != 0)
        memset(s->counts, 0, s->cap * sizeof *s->counts);
    for (int32_t i = 0; i < n->plan->child_count && rc == 0; i++)
        rc = exec_node_rescan(n->child[i]);
    return rc;
}

static void
set_op_close(struct exec_node *n)
{
    struct set_op *s = n->state;

    row_table_free(s->table);
    xfree(s->counts);
}

int
set_op_init(struct exec_node *n)
{
    const struct plan_set_op *p = &n->plan->u.set_op;
    const struct plan_node *c = n->child[0]->plan;
    struct set_op *s = ARENA_NEW(&n->x->arena, struct set_op);

    if (c->column_count >= ROW_TABLE_KEYS_MAX)
        return DIAG(ERR_LIMIT, "a set operation over more than %d columns", ROW_TABLE_KEYS_MAX - 1);
    s->table = row_table_new(n->x, c->columns, (uint32_t)c->column_count);
    n->state = s;
    n->next = p->op == AST_SETOP_UNION && p->all ? union_all_next : set_op_next;
    n->rescan = set_op_rescan;
    n->close = set_op_close;
    return 0;
}
