/* Joins: hash (builds on the right), nested loop (the right side is run again per left row).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/sql/exec_int.h"

/* ---- what both do -------------------------------------------------------------------------------
 */

struct join {
    uint32_t left_width, right_width;
    bool yields_right; /* SEMI and ANTI do not */
    /* the left batch under way */
    struct batch *left;
    uint32_t left_at;
    struct datum *row; /* left columns, then right */
    bool matched;      /* of the left row under way */
    /* hash */
    bool built;
    struct row_table *table; /* distinct keys */
    struct row_list *rows;   /* right rows: columns */
    size_t *first, *next;    /* chains: by key number, by right row; 0 ends, numbers from 1 */
    size_t first_cap, next_cap;
    bool *right_matched; /* FULL */
    bool right_has_null; /* ANTI_NULL */
    struct vexpr **left_keys, **right_keys;
    struct vec **key_vecs;
    size_t chain;     /* the next right row to try for the left row under way */
    bool in_row;      /* a left row is under way */
    size_t unmatched; /* FULL: the next right row to look at, once left has ended */
    bool left_ended, left_fresh;
    struct arena key_arena; /* keys of the left batch; the outer slots of a nested loop */
    /* nested loop */
    struct batch *right;
    uint32_t right_at;
};

static bool
is_anti(enum plan_join j)
{
    return j == PLAN_JOIN_ANTI || j == PLAN_JOIN_ANTI_NULL;
}

static int
join_on(struct exec_node *n, struct join *s, bool *pass)
{
    const struct expr *on = n->plan->u.join.on;
    struct eval v = {
        .x = n->x, .ctx = &n->x->ctx, .columns = s->row, .outer = n->x->outer, .arena = &n->scratch
    };

    *pass = true;
    return on == NULL ? 0 : eval_pass(&v, on, pass);
}

/* What a right row is worth for the left row under way: it is yielded, or it settles the row. */
static void
emit(struct exec_node *n, struct join *s, struct batch *b, uint32_t *rows)
{
    struct datum copy[ROW_COLUMNS_MAX];
    uint32_t width = s->left_width + (s->yields_right ? s->right_width : 0);

    for (uint32_t i = 0; i < width; i++)
        copy[i] = datum_copy(&n->scratch, &s->row[i], (enum type_rep)b->cols[i].rep);
    batch_set_row(b, (*rows)++, copy);
}

static void
set_right_null(struct join *s)
{
    for (uint32_t i = 0; i < s->right_width; i++)
        s->row[s->left_width + i] = datum_null();
}

/* A left row of which all right rows have been seen. */
static void
left_done(struct exec_node *n, struct join *s, struct batch *b, uint32_t *rows)
{
    enum plan_join j = n->plan->u.join.join;

    s->in_row = false;
    if (s->matched)
        return;
    if (j == PLAN_JOIN_LEFT || j == PLAN_JOIN_FULL) {
        set_right_null(s);
        emit(n, s, b, rows);
    } else if (is_anti(j)) {
        emit(n, s, b, rows);
    }
}

/* True when the row under way needs no further right rows. */
static bool
on_match(struct exec_node *n, struct join *s, struct batch *b, uint32_t *rows)
{
    enum plan_join j = n->plan->u.join.join;

    s->matched = true;
    if (is_anti(j))
        return true;
    emit(n, s, b, rows);
    return j == PLAN_JOIN_SEMI;
}

static int
next_left(struct exec_node *n, struct join *s)
{
    int rc = 0;

    while (s->left == NULL || s->left_at == s->left->sel_count) {
        s->left_at = 0;
        s->left = NULL;
        rc = exec_node_next(n->child[0], &s->left);
        if (rc != 0)
            return rc;
        s->left_fresh = true;
    }
    batch_row_datums(s->left, batch_row(s->left, s->left_at), s->row);
    s->matched = false;
    s->in_row = true;
    return 0;
}

static struct batch *
join_batch(struct exec_node *n, struct join *s)
{
    return batch_for(n, n->value_columns, s->left_width + (s->yields_right ? s->right_width : 0));
}

static void
join_columns(struct exec_node *n, struct join *s)
{
    const struct plan_node *l = n->child[0]->plan, *r = n->child[1]->plan;
    enum plan_join j = n->plan->u.join.join;

    s->left_width = (uint32_t)l->column_count;
    s->right_width = (uint32_t)r->column_count;
    s->yields_right = j != PLAN_JOIN_SEMI && !is_anti(j);
    s->row = ARENA_ARRAY(&n->x->arena, struct datum, s->left_width + s->right_width + 1);
    n->value_columns =
        ARENA_ARRAY(&n->x->arena, struct plan_column, s->left_width + s->right_width + 1);
    for (uint32_t i = 0; i < s->left_width; i++)
        n->value_columns[i] = l->columns[i];
    for (uint32_t i = 0; i < s->right_width; i++)
        n->value_columns[s->left_width + i] = r->columns[i];
}

/* ---- hash: building -----------------------------------------------------------------------------
 */

static void *
grown(void *p, size_t *cap, size_t need, size_t size)
{
    size_t before = *cap;

    if (need < before)
        return p;
    *cap = before != 0 ? 2 * before : 256;
    while (*cap <= need)
        *cap *= 2;
    p = xrealloc(p, *cap * size);
    memset((uint8_t *)p + before * size, 0, (*cap - before) * size);
    return p;
}

static bool
null_equal(const struct plan_join_node *p, int32_t key)
{
    return p->null_equal != NULL && p->null_equal[key];
}

/* A key with a null matches nothing: the row is kept for FULL alone. */
static int
build_row(struct exec_node *n, struct join *s, struct vec *const *keys, uint32_t r,
          const struct batch *b)
{
    const struct plan_join_node *p = &n->plan->u.join;
    struct datum key[ROW_TABLE_KEYS_MAX], row[ROW_COLUMNS_MAX];
    bool has_null = false, found;
    size_t at;
    int rc;

    for (int32_t i = 0; i < p->key_count; i++) {
        key[i] = vec_get(keys[i], r);
        has_null |= key[i].is_null && !null_equal(p, i);
    }
    s->right_has_null |= has_null;
    batch_row_datums(b, r, row);
    rc = row_list_add(s->rows, row);
    if (rc != 0)
        return rc;
    s->next = grown(s->next, &s->next_cap, s->rows->count, sizeof *s->next);
    if (has_null)
        return 0;
    rc = row_table_put(s->table, key, &at, &found);
    if (rc != 0)
        return rc;
    s->first = grown(s->first, &s->first_cap, at, sizeof *s->first);
    s->next[s->rows->count - 1] = s->first[at];
    s->first[at] = s->rows->count;
    return 0;
}

static int
hash_build(struct exec_node *n, struct join *s)
{
    const struct plan_join_node *p = &n->plan->u.join;
    struct batch *b;
    int rc;

    while ((rc = exec_node_next(n->child[1], &b)) == 0) {
        for (int32_t i = 0; i < p->key_count && rc == 0; i++)
            rc = vexpr_eval(n->x, s->right_keys[i], b, b->sel, b->sel_count, &n->scratch,
                            &s->key_vecs[i]);
        for (uint32_t k = 0; k < b->sel_count && rc == 0; k++)
            rc = build_row(n, s, s->key_vecs, batch_row(b, k), b);
        if (rc != 0)
            return rc;
        arena_reset(&n->scratch);
    }
    if (rc != ERR_END)
        return rc;
    s->right_matched = xcalloc(s->rows->count + 1, sizeof *s->right_matched);
    s->built = true;
    return 0;
}

/* ---- hash: probing ------------------------------------------------------------------------------
 */

/* Sets the chain of the left row under way; *passes: it can be settled without looking. */
static void
probe(struct exec_node *n, struct join *s)
{
    const struct plan_join_node *p = &n->plan->u.join;
    struct datum key[ROW_TABLE_KEYS_MAX];
    uint32_t r = batch_row(s->left, s->left_at);
    bool has_null = false;
    size_t at;

    s->chain = 0;
    for (int32_t i = 0; i < p->key_count; i++) {
        key[i] = vec_get(s->key_vecs[i], r);
        has_null |= key[i].is_null && !null_equal(p, i);
    }
    /* NOT IN: unknown, and therefore out, unless there is nothing to compare with. */
    if (p->join == PLAN_JOIN_ANTI_NULL && s->rows->count > 0 && (has_null || s->right_has_null))
        s->matched = true;
    else if (!has_null && row_table_find(s->table, key, &at))
        s->chain = s->first[at];
}

static int
left_keys(struct exec_node *n, struct join *s)
{
    const struct plan_join_node *p = &n->plan->u.join;
    int rc = 0;

    if (!s->left_fresh)
        return 0;
    arena_reset(&s->key_arena);
    for (int32_t i = 0; i < p->key_count && rc == 0; i++)
        rc = vexpr_eval(n->x, s->left_keys[i], s->left, s->left->sel, s->left->sel_count,
                        &s->key_arena, &s->key_vecs[i]);
    s->left_fresh = false;
    return rc;
}

static int
probe_row(struct exec_node *n, struct join *s, struct batch *b, uint32_t *rows)
{
    while (s->chain != 0 && *rows < BATCH_ROWS_MAX) {
        size_t at = s->chain - 1;
        bool pass;
        int rc;

        s->chain = s->next[at];
        memcpy(s->row + s->left_width, s->rows->rows[at], s->right_width * sizeof *s->row);
        rc = join_on(n, s, &pass);
        if (rc != 0)
            return rc;
        if (!pass)
            continue;
        s->right_matched[at] = true;
        if (on_match(n, s, b, rows))
            s->chain = 0;
    }
    return 0;
}

/* FULL: right rows that nothing matched. */
static void
emit_unmatched(struct exec_node *n, struct join *s, struct batch *b, uint32_t *rows)
{
    for (; s->unmatched < s->rows->count && *rows < BATCH_ROWS_MAX; s->unmatched++) {
        if (s->right_matched[s->unmatched])
            continue;
        for (uint32_t i = 0; i < s->left_width; i++)
            s->row[i] = datum_null();
        memcpy(s->row + s->left_width, s->rows->rows[s->unmatched],
               s->right_width * sizeof *s->row);
        emit(n, s, b, rows);
    }
}

static int
hash_join_next(struct exec_node *n, struct batch **out)
{
    struct join *s = n->state;
    struct batch *b;
    uint32_t rows = 0;
    int rc = s->built ? 0 : hash_build(n, s);

    if (rc != 0)
        return rc;
    b = join_batch(n, s);
    while (!s->left_ended && rows < BATCH_ROWS_MAX) {
        if (!s->in_row) {
            rc = next_left(n, s);
            if (rc == 0)
                rc = left_keys(n, s);
            if (rc == ERR_END)
                s->left_ended = true;
            else if (rc != 0)
                return rc;
            if (s->left_ended)
                break;
            probe(n, s);
        }
        rc = probe_row(n, s, b, &rows);
        if (rc != 0)
            return rc;
        if (s->chain == 0 && rows < BATCH_ROWS_MAX) {
            left_done(n, s, b, &rows);
            s->left_at++;
        }
    }
    if (s->left_ended && n->plan->u.join.join == PLAN_JOIN_FULL)
        emit_unmatched(n, s, b, &rows);
    b->row_count = b->sel_count = rows;
    *out = b;
    return rows > 0 ? 0 : ERR_END;
}

static void
join_close(struct exec_node *n)
{
    struct join *s = n->state;

    row_table_free(s->table);
    row_list_free(s->rows);
    xfree(s->first);
    xfree(s->next);
    xfree(s->right_matched);
    arena_fini(&s->key_arena);
}

static void
hash_join_open(struct exec_node *n)
{
    const struct plan_join_node *p = &n->plan->u.join;
    struct join *s = n->state;
    struct plan_column *columns = ARENA_ARRAY(&n->x->arena, struct plan_column, p->key_count + 1);

    memset(s, 0, sizeof *s);
    arena_init(&s->key_arena, n->x->ctx.memory);
    join_columns(n, s);
    s->left_keys = ARENA_ARRAY(&n->x->arena, struct vexpr *, p->key_count + 1);
    s->right_keys = ARENA_ARRAY(&n->x->arena, struct vexpr *, p->key_count + 1);
    s->key_vecs = ARENA_ARRAY(&n->x->arena, struct vec *, p->key_count + 1);
    for (int32_t i = 0; i < p->key_count; i++) {
        s->left_keys[i] = vexpr_new(n->x, p->left_keys[i]);
        s->right_keys[i] = vexpr_new(n->x, p->right_keys[i]);
        columns[i].type = p->right_keys[i]->type;
    }
    s->table = row_table_new(n->x, columns, (uint32_t)p->key_count);
    s->rows = row_list_new(n->x, n->child[1]->plan->columns, s->right_width);
}

static int
hash_join_rescan(struct exec_node *n)
{
    struct join *s = n->state;
    int rc = exec_node_rescan(n->child[0]);

    row_table_reset(s->table);
    row_list_reset(s->rows);
    arena_reset(&s->key_arena);
    if (s->first_cap > 0)
        memset(s->first, 0, s->first_cap * sizeof *s->first);
    xfree(s->right_matched);
    s->right_matched = NULL;
    s->left = NULL;
    s->left_at = 0;
    s->chain = s->unmatched = 0;
    s->matched = s->built = s->right_has_null = s->in_row = false;
    s->left_ended = s->left_fresh = false;
    return rc != 0 ? rc : exec_node_rescan(n->child[1]);
}

int
hash_join_init(struct exec_node *n)
{
    if (n->plan->u.join.key_count >= ROW_TABLE_KEYS_MAX)
        return DIAG(ERR_LIMIT, "a join over more than %d columns", ROW_TABLE_KEYS_MAX - 1);
    n->state = ARENA_NEW(&n->x->arena, struct join);
    n->next = hash_join_next;
    n->rescan = hash_join_rescan;
    n->close = join_close;
    hash_join_open(n);
    return 0;
}

/* ---- nested loop --------------------------------------------------------------------------------
 */

static int
loop_start_right(struct exec_node *n, struct join *s)
{
    const struct plan_join_node *p = &n->plan->u.join;
    struct eval v = { .x = n->x,
                      .ctx = &n->x->ctx,
                      .columns = s->row,
                      .outer = n->x->outer,
                      .arena = &s->key_arena };
    int rc = 0;

    arena_reset(&s->key_arena);
    for (int32_t i = 0; i < p->bind_count && rc == 0; i++) {
        struct datum d;

        rc = eval_row(&v, p->binds[i].value, &d);
        if (rc == 0)
            n->x->outer[p->binds[i].slot] = datum_copy(
                &s->key_arena, &d, (enum type_rep)type_get(p->binds[i].value->type.oid)->rep);
    }
    s->right = NULL;
    return rc != 0 ? rc : exec_node_rescan(n->child[1]);
}

/* Goes over right rows until the batch is full (but for one row, which an unmatched left row may
 * need) or the left row is done. */
static int
loop_row(struct exec_node *n, struct join *s, struct batch *b, uint32_t *rows, bool *done)
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
        batch_row_datums(s->right, batch_row(s->right, s->right_at++), s->row + s->left_width);
        rc = join_on(n, s, &pass);
        if (rc != 0)
            return rc;
        *done = pass && on_match(n, s, b, rows);
    }
    return 0;
}

static int
nest_loop_next(struct exec_node *n, struct batch **out)
{
    struct join *s = n->state;
    struct batch *b = join_batch(n, s);
    uint32_t rows = 0;

    while (rows < BATCH_ROWS_MAX - 1) {
        bool done;
        int rc = 0;

        if (!s->in_row) {
            rc = next_left(n, s);
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
            left_done(n, s, b, &rows);
            s->left_at++;
        }
    }
    b->row_count = b->sel_count = rows;
    *out = b;
    return rows > 0 ? 0 : ERR_END;
}

static int
nest_loop_rescan(struct exec_node *n)
{
    struct join *s = n->state;

    s->left = NULL;
    s->right = NULL;
    s->in_row = false;
    return exec_node_rescan(n->child[0]);
}

int
nest_loop_init(struct exec_node *n)
{
    struct join *s = ARENA_NEW(&n->x->arena, struct join);

    if (n->plan->u.join.join == PLAN_JOIN_FULL || n->plan->u.join.join == PLAN_JOIN_ANTI_NULL)
        return DIAG(ERR_INTERNAL, "a nested loop cannot run this join");
    n->state = s;
    n->next = nest_loop_next;
    n->rescan = nest_loop_rescan;
    n->close = join_close;
    arena_init(&s->key_arena, n->x->ctx.memory);
    join_columns(n, s);
    return 0;
}
