/* UNION, INTERSECT, EXCEPT, with and without ALL.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/sql/exec_int.h"

/* How often a row is there: in what has been counted, and in the child under way. */
struct tally {
    uint64_t left, right;
};

struct set_op {
    int32_t child;           /* the one being read, of the pass under way */
    struct row_table *table; /* distinct rows */
    struct tally *tallies;   /* by row */
    size_t cap, at;
    bool filled;
    uint32_t width;
    struct parts_input input; /* rows set aside: the number of the child, then its columns */
    struct datum *row;        /* room for one of those */
};

static void
set_cap(struct exec_node *n, struct set_op *s, size_t cap)
{
    struct budget *memory = n->x->ctx.memory;

    if (memory != NULL) {
        budget_release(memory, s->cap * sizeof *s->tallies);
        budget_force(memory, cap * sizeof *s->tallies);
    }
    s->tallies = xrealloc(s->tallies, cap * sizeof *s->tallies + 1);
    s->cap = cap;
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

/* All rows of the children before `child` have been counted. */
static void
settle(struct exec_node *n, struct set_op *s, int32_t child)
{
    const struct plan_set_op *p = &n->plan->u.set_op;

    for (; s->child < child; s->child++) {
        for (size_t r = 0; r < s->table->rows->count && s->child > 0; r++) {
            struct tally *t = &s->tallies[r];

            t->left = count_after(p->op, p->all, t->left, t->right);
            t->right = 0;
        }
    }
}

/* Counts the row in s->row. Only those of the first child, or of any of a UNION, make new entries;
 * those that cannot are set aside, and so is from then on what might be among them. */
static int
count_row(struct exec_node *n, struct set_op *s, int32_t child)
{
    const struct datum *row = s->row + 1;
    uint64_t hash = row_table_hash(s->table, row);
    bool adds = child == 0 || n->plan->u.set_op.op == AST_SETOP_UNION;
    size_t at;

    if (child != s->child)
        settle(n, s, child);
    if (!row_table_find(s->table, hash, row, &at)) {
        int rc;

        if (s->input.aside != NULL ||
            (adds && row_table_is_full(s->table, s->cap * sizeof *s->tallies))) {
            s->row[0] = datum_int(child);
            return parts_input_aside(&s->input, hash, s->row);
        }
        if (!adds)
            return 0;
        rc = row_table_add(s->table, hash, row, &at);
        if (rc != 0)
            return rc;
        if (at >= s->cap)
            set_cap(n, s, s->cap != 0 ? 2 * s->cap : 256);
        s->tallies[at] = (struct tally){ 0, 0 };
    }
    if (child == 0)
        s->tallies[at].left++;
    else
        s->tallies[at].right++;
    return 0;
}

static int
count_child(struct exec_node *n, struct set_op *s, int32_t child)
{
    struct batch *b;
    int rc;

    while ((rc = exec_node_next(n->child[child], &b)) == 0) {
        for (uint32_t k = 0; k < b->sel_count && rc == 0; k++) {
            batch_row_datums(b, batch_row(b, k), s->row + 1);
            rc = count_row(n, s, child);
        }
        if (rc != 0)
            return rc;
    }
    return rc == ERR_END ? 0 : rc;
}

/* What was set aside, in the order in which it was. */
static int
count_aside(struct exec_node *n, struct set_op *s)
{
    struct batch *b;
    int rc = 0;

    while (rc == 0 && (rc = parts_input_batch(&s->input, &b)) == 0) {
        for (uint32_t k = 0; k < b->row_count && rc == 0; k++) {
            batch_row_datums(b, k, s->row);
            rc = count_row(n, s, (int32_t)s->row[0].i);
        }
        arena_reset(&n->scratch);
    }
    return rc == ERR_END ? 0 : rc;
}

static int
set_op_fill(struct exec_node *n, struct set_op *s)
{
    int rc = 0;

    s->child = 0;
    s->at = 0;
    if (s->input.reader.stream != NULL)
        rc = count_aside(n, s);
    for (int32_t i = 0; s->input.reader.stream == NULL && i < n->plan->child_count && rc == 0; i++)
        rc = count_child(n, s, i);
    settle(n, s, n->plan->child_count);
    s->filled = rc == 0;
    return rc;
}

/* Fills the batch with what the pass has counted. */
static uint32_t
set_op_yield(struct set_op *s, struct batch *b)
{
    uint32_t rows = 0;

    while (s->at < s->table->rows->count && rows < BATCH_ROWS_MAX) {
        if (s->tallies[s->at].left == 0) {
            s->at++;
            continue;
        }
        s->tallies[s->at].left--;
        batch_set_row(b, rows++, s->table->rows->rows[s->at]);
    }
    b->row_count = b->sel_count = rows;
    return rows;
}

static int
set_op_next(struct exec_node *n, struct batch **out)
{
    struct set_op *s = n->state;

    for (;;) {
        int rc = s->filled ? 0 : set_op_fill(n, s);

        if (rc != 0)
            return rc;
        *out = batch_for(n, n->child[0]->plan->columns, s->width);
        if (set_op_yield(s, *out) > 0)
            return 0;
        rc = parts_input_next(&s->input);
        if (rc != 0)
            return rc;
        row_table_reset(s->table);
        s->filled = false;
    }
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
    row_table_reset(s->table);
    parts_input_reset(&s->input);
    for (int32_t i = 0; i < n->plan->child_count && rc == 0; i++)
        rc = exec_node_rescan(n->child[i]);
    return rc;
}

static void
set_op_close(struct exec_node *n)
{
    struct set_op *s = n->state;

    row_table_free(s->table);
    parts_input_fini(&s->input);
    set_cap(n, s, 0);
    xfree(s->tallies);
}

int
set_op_init(struct exec_node *n)
{
    const struct plan_set_op *p = &n->plan->u.set_op;
    const struct plan_node *c = n->child[0]->plan;
    struct set_op *s = ARENA_NEW(&n->x->arena, struct set_op);
    struct plan_column *columns =
        ARENA_ARRAY(&n->x->arena, struct plan_column, c->column_count + 1);

    if (c->column_count >= ROW_TABLE_KEYS_MAX)
        return DIAG(ERR_LIMIT, "a set operation over more than %d columns", ROW_TABLE_KEYS_MAX - 1);
    s->width = (uint32_t)c->column_count;
    s->table = row_table_new(&n->x->ctx, c->columns, s->width);
    s->row = ARENA_ARRAY(&n->x->arena, struct datum, s->width + 2);
    columns[0].type.oid = TYPE_INT4;
    if (s->width > 0)
        memcpy(columns + 1, c->columns, s->width * sizeof *columns);
    parts_input_init(&s->input, n, columns, s->width + 1);
    n->state = s;
    n->next = p->op == AST_SETOP_UNION && p->all ? union_all_next : set_op_next;
    n->rescan = set_op_rescan;
    n->close = set_op_close;
    return 0;
}
