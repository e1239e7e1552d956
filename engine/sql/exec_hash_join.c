/* Hash joins: a table of the right side's rows, probed by the left side's.
 *
 * When the table is full, both sides are set aside in files by the hash of their keys, and each
 * pair of files is joined by itself: set aside further if its right file does not fit either. Where
 * that does not help, since many rows have the same key, the right file is taken in blocks of what
 * fits, and the left file is read once for each; a bit per left row then tells whether it has
 * matched.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/sql/exec_join_int.h"

/* Two files to be joined; NULL: no rows. */
struct pair {
    struct pair *next;
    struct spill_stream *left, *right;
    uint32_t level;
    uint64_t rows_before; /* right rows in the file that this one was made from */
};

enum phase { PHASE_LOAD, PHASE_PROBE, PHASE_UNMATCHED, PHASE_NULLS, PHASE_END };

struct hash_join {
    struct join j;
    struct vexpr **left_keys, **right_keys;
    struct vec **key_vecs; /* of the left batch */
    struct vec **right_vecs;
    struct arena key_arena, left_arena, right_arena;
    uint32_t *left_types, *right_types;
    uint64_t *spilled;
    enum phase phase;
    /* the table */
    struct row_table *table; /* distinct keys */
    struct row_list *rows;   /* right rows */
    size_t *first, *next;    /* chains: by key number, by right row; 0 ends, numbers from 1 */
    size_t first_cap, next_cap, matched_cap;
    bool *right_matched;     /* FULL: by right row */
    struct row_store *nulls; /* FULL: right rows whose key has a null; they match nothing */
    struct row_reader null_reader;
    bool nulls_open;
    uint64_t right_total; /* rows of the right side, with and without nulls */
    bool right_has_null;
    size_t chain;     /* the next right row to try for the left row under way */
    size_t unmatched; /* FULL: the next right row to look at, once left has ended */
    /* the right side being loaded */
    struct batch *right;
    uint32_t right_at;
    /* what was set aside */
    struct pair now; /* the one under way */
    struct pair *pending;
    bool from_files; /* now is in files: the right side did not fit */
    struct spill_reader left_reader, right_reader;
    struct parts *left_parts, *right_parts;
    bool blocks, more; /* block by block; there is another block */
    uint64_t *left_bits;
    size_t left_bits_cap;
    uint64_t left_row; /* number of the left row under way */
};

/* ---- memory ------------------------------------------------------------------------------------
 */

static void *
resize(struct exec_node *n, void *p, size_t *cap, size_t to, size_t size)
{
    struct budget *memory = n->x->ctx.memory;

    if (memory != NULL) {
        budget_release(memory, *cap * size);
        budget_force(memory, to * size);
    }
    p = xrealloc(p, to * size + 1);
    if (to > *cap)
        memset((uint8_t *)p + *cap * size, 0, (to - *cap) * size);
    *cap = to;
    return p;
}

/* With an entry number `need`; new ones are zero. */
static void *
fit(struct exec_node *n, void *p, size_t *cap, size_t need, size_t size)
{
    size_t to = *cap != 0 ? *cap : 256;

    while (to <= need)
        to *= 2;
    return to != *cap ? resize(n, p, cap, to, size) : p;
}

static void
table_empty(struct exec_node *n, struct hash_join *s)
{
    row_table_reset(s->table);
    row_list_reset(s->rows);
    if (s->next_cap > 4096) {
        s->first = resize(n, s->first, &s->first_cap, 0, sizeof *s->first);
        s->next = resize(n, s->next, &s->next_cap, 0, sizeof *s->next);
    }
    if (s->first_cap > 0)
        memset(s->first, 0, s->first_cap * sizeof *s->first);
    if (s->matched_cap > 0)
        memset(s->right_matched, 0, s->matched_cap);
    s->unmatched = 0;
}

static bool
table_is_full(const struct hash_join *s)
{
    size_t arrays = (s->first_cap + s->next_cap) * sizeof *s->first + s->matched_cap;

    return row_list_is_full(s->rows, row_table_bytes(s->table) + arrays);
}

/* ---- keys --------------------------------------------------------------------------------------
 */

static bool
null_equal(const struct plan_join_node *p, int32_t key)
{
    return p->null_equal != NULL && p->null_equal[key];
}

/* False: it has a null, and matches nothing. */
static bool
key_of(struct exec_node *n, struct vec *const *vecs, uint32_t r, struct datum *key)
{
    const struct plan_join_node *p = &n->plan->u.join;
    bool has_null = false;

    for (int32_t i = 0; i < p->key_count; i++) {
        key[i] = vec_get(vecs[i], r);
        has_null |= key[i].is_null && !null_equal(p, i);
    }
    return !has_null;
}

static int
eval_keys(struct exec_node *n, struct vexpr *const *keys, const struct batch *b, struct arena *a,
          struct vec **out)
{
    int rc = 0;

    for (int32_t i = 0; i < n->plan->u.join.key_count && rc == 0; i++)
        rc = vexpr_eval(n->x, keys[i], b, b->sel, b->sel_count, a, &out[i]);
    return rc;
}

/* ---- loading -----------------------------------------------------------------------------------
 */

/* The next batch of a side, from its child or its file. */
static int
side_batch(struct exec_node *n, struct hash_join *s, int side, struct batch **out)
{
    struct arena *a = side == 0 ? &s->left_arena : &s->right_arena;
    struct spill_reader *r = side == 0 ? &s->left_reader : &s->right_reader;
    int rc;

    arena_reset(a);
    if (!s->from_files)
        return exec_node_next(n->child[side], out);
    if (r->stream == NULL)
        return ERR_END;
    rc = exec_check_interrupt(n->x);
    fiber_yield();
    return rc != 0 ? rc : spill_get_batch(r, a, out);
}

/* The row of the right side under way, with its key; ERR_END. *usable: it may match. */
static int
right_next(struct exec_node *n, struct hash_join *s, struct datum *key, bool *usable)
{
    if (s->right == NULL || s->right_at == s->right->sel_count) {
        int rc = side_batch(n, s, 1, &s->right);

        s->right_at = 0;
        if (rc == 0)
            rc = eval_keys(n, s->right_keys, s->right, &s->right_arena, s->right_vecs);
        if (rc != 0) {
            s->right = NULL;
            return rc;
        }
    }
    *usable = key_of(n, s->right_vecs, batch_row(s->right, s->right_at), key);
    return 0;
}

/* A right row that matches nothing. */
static int
right_null(struct exec_node *n, struct hash_join *s, const struct datum *row)
{
    s->right_has_null = true;
    if (n->plan->u.join.join != PLAN_JOIN_FULL)
        return 0;
    if (s->nulls == NULL)
        s->nulls =
            row_store_new(&n->x->ctx, n->child[1]->plan->columns, s->j.right_width, s->spilled);
    return row_store_add(s->nulls, row);
}

static int
table_add(struct exec_node *n, struct hash_join *s, const struct datum *key,
          const struct datum *row)
{
    uint64_t hash = row_table_hash(s->table, key);
    size_t at;
    int rc = row_list_add(s->rows, row);

    if (rc == 0 && !row_table_find(s->table, hash, key, &at))
        rc = row_table_add(s->table, hash, key, &at);
    if (rc != 0)
        return rc;
    s->next = fit(n, s->next, &s->next_cap, s->rows->count, sizeof *s->next);
    s->first = fit(n, s->first, &s->first_cap, at, sizeof *s->first);
    s->next[s->rows->count - 1] = s->first[at];
    s->first[at] = s->rows->count;
    return 0;
}

/* Loads the right side until its end, or until the table is full: *full. */
static int
load(struct exec_node *n, struct hash_join *s, bool *full)
{
    struct datum key[ROW_TABLE_KEYS_MAX], *row = s->j.row + s->j.left_width;
    bool usable;
    int rc;

    *full = false;
    while ((rc = right_next(n, s, key, &usable)) == 0) {
        if (usable && table_is_full(s)) {
            *full = true;
            return 0;
        }
        batch_row_datums(s->right, batch_row(s->right, s->right_at++), row);
        s->right_total += !s->from_files;
        rc = usable ? table_add(n, s, key, row) : right_null(n, s, row);
        if (rc != 0)
            return rc;
    }
    return rc == ERR_END ? 0 : rc;
}

/* ---- setting aside -----------------------------------------------------------------------------
 */

static int
split_right(struct exec_node *n, struct hash_join *s)
{
    struct datum key[ROW_TABLE_KEYS_MAX], *row = s->j.row + s->j.left_width;
    bool usable;
    int rc = parts_new(&n->x->ctx, s->right_types, s->j.right_width, s->now.level, s->spilled,
                       &s->right_parts);

    for (size_t k = 0; k < s->table->rows->count && rc == 0; k++)
        for (size_t at = s->first[k]; at != 0 && rc == 0; at = s->next[at - 1])
            rc = parts_put(s->right_parts, s->table->hashes[k], s->rows->rows[at - 1]);
    table_empty(n, s);
    while (rc == 0 && (rc = right_next(n, s, key, &usable)) == 0) {
        batch_row_datums(s->right, batch_row(s->right, s->right_at++), row);
        s->right_total += !s->from_files;
        rc = usable ? parts_put(s->right_parts, row_table_hash(s->table, key), row)
                    : right_null(n, s, row);
    }
    return rc == ERR_END ? parts_end(s->right_parts) : rc;
}

/* Left rows that match nothing are kept where they are yielded all the same. */
static int
split_left(struct exec_node *n, struct hash_join *s)
{
    enum plan_join j = n->plan->u.join.join;
    bool drops = j == PLAN_JOIN_INNER || j == PLAN_JOIN_SEMI;
    struct datum key[ROW_TABLE_KEYS_MAX];
    struct batch *b;
    int rc = parts_new(&n->x->ctx, s->left_types, s->j.left_width, s->now.level, s->spilled,
                       &s->left_parts);

    while (rc == 0 && (rc = side_batch(n, s, 0, &b)) == 0) {
        rc = eval_keys(n, s->left_keys, b, &s->left_arena, s->key_vecs);
        for (uint32_t k = 0; k < b->sel_count && rc == 0; k++) {
            uint32_t r = batch_row(b, k);
            bool usable = key_of(n, s->key_vecs, r, key);

            if (!usable && drops)
                continue;
            batch_row_datums(b, r, s->j.row);
            rc = parts_put(s->left_parts, usable ? row_table_hash(s->table, key) : 0, s->j.row);
        }
    }
    return rc == ERR_END ? parts_end(s->left_parts) : rc;
}

static void
pair_drop(struct pair *p)
{
    spill_stream_free(p->left);
    spill_stream_free(p->right);
    p->left = p->right = NULL;
}

/* Leaves the pair under way. */
static void
now_drop(struct hash_join *s)
{
    spill_reader_fini(&s->left_reader);
    spill_reader_fini(&s->right_reader);
    pair_drop(&s->now);
    s->right = NULL;
}

/* What pairs of files there are to join, one after another. */
static void
push_pairs(struct exec_node *n, struct hash_join *s, uint64_t rows_before)
{
    enum plan_join j = n->plan->u.join.join;
    bool wants_left = j != PLAN_JOIN_INNER && j != PLAN_JOIN_SEMI;

    for (int i = 0; i < PARTS; i++) {
        struct pair p = { s->pending, s->left_parts->streams[i], s->right_parts->streams[i],
                          s->now.level + 1, rows_before };

        s->left_parts->streams[i] = s->right_parts->streams[i] = NULL;
        if ((p.left == NULL && j != PLAN_JOIN_FULL) || (p.right == NULL && !wants_left)) {
            pair_drop(&p);
            continue;
        }
        if (p.left == NULL && p.right == NULL)
            continue;
        s->pending = xmalloc(sizeof p);
        *s->pending = p;
    }
    parts_free(s->left_parts);
    parts_free(s->right_parts);
    s->left_parts = s->right_parts = NULL;
}

static int
split(struct exec_node *n, struct hash_join *s)
{
    uint64_t before = s->now.right != NULL ? spill_rows(s->now.right) : UINT64_MAX;
    uint32_t level = s->now.level;
    int rc = split_right(n, s);

    if (rc == 0)
        rc = split_left(n, s);
    if (rc != 0)
        return rc;
    now_drop(s);
    s->now.level = level;
    push_pairs(n, s, before);
    s->from_files = true;
    return 0;
}

/* ---- one pair after another --------------------------------------------------------------------
 */

static void
open_left(struct hash_join *s)
{
    spill_reader_fini(&s->left_reader);
    if (s->now.left != NULL)
        spill_reader_init(&s->left_reader, s->now.left);
    s->j.left = NULL;
    s->j.left_at = 0;
    s->left_row = 0;
}

/* Splitting would not help: too many rows have the same key, or no bits of the hash are left. */
static bool
is_skewed(const struct hash_join *s)
{
    return s->from_files && (s->now.level >= PARTS_LEVEL_MAX ||
                             spill_rows(s->now.right) > s->now.rows_before / 8 * 7);
}

static void
begin_blocks(struct exec_node *n, struct hash_join *s)
{
    uint64_t rows = s->now.left != NULL ? spill_rows(s->now.left) : 0;

    s->blocks = true;
    s->left_bits = fit(n, s->left_bits, &s->left_bits_cap, rows / 64 + 1, sizeof *s->left_bits);
    memset(s->left_bits, 0, s->left_bits_cap * sizeof *s->left_bits);
}

/* Takes the next pair of files; ERR_END. */
static int
take_pair(struct hash_join *s)
{
    struct pair *p = s->pending;

    now_drop(s);
    s->blocks = s->more = false;
    if (p == NULL)
        return ERR_END;
    s->now = *p;
    s->pending = p->next;
    xfree(p);
    if (s->now.right != NULL)
        spill_reader_init(&s->right_reader, s->now.right);
    open_left(s);
    return 0;
}

/* Gets a table to probe: of the right side, of the next block, or of the next pair of files.
 * ERR_END when there is none any more. */
static int
hash_load(struct exec_node *n, struct hash_join *s)
{
    bool full = true;
    int rc = 0;

    while (full && rc == 0) {
        table_empty(n, s);
        if (s->from_files && !s->more)
            rc = take_pair(s);
        if (rc == 0)
            rc = load(n, s, &full);
        if (rc != 0)
            return rc;
        s->more = full && (s->blocks || is_skewed(s));
        if (s->more && !s->blocks)
            begin_blocks(n, s);
        if (s->more)
            break;
        if (full)
            rc = split(n, s);
    }
    if (rc != 0)
        return rc;
    if (n->plan->u.join.join == PLAN_JOIN_FULL)
        s->right_matched =
            fit(n, s->right_matched, &s->matched_cap, s->rows->count, sizeof *s->right_matched);
    open_left(s);
    return 0;
}

/* ---- probing -----------------------------------------------------------------------------------
 */

static bool
left_bit(const struct hash_join *s)
{
    return s->blocks && (s->left_bits[s->left_row / 64] >> (s->left_row & 63) & 1) != 0;
}

static int
next_left(struct exec_node *n, struct hash_join *s)
{
    struct join *j = &s->j;

    while (j->left == NULL || j->left_at == j->left->sel_count) {
        int rc;

        j->left_at = 0;
        j->left = NULL;
        rc = side_batch(n, s, 0, &j->left);
        if (rc == 0) {
            arena_reset(&s->key_arena);
            rc = eval_keys(n, s->left_keys, j->left, &s->key_arena, s->key_vecs);
        }
        if (rc != 0)
            return rc;
    }
    batch_row_datums(j->left, batch_row(j->left, j->left_at), j->row);
    j->matched = left_bit(s);
    j->in_row = true;
    return 0;
}

/* Sets the chain of the left row under way. */
static void
probe(struct exec_node *n, struct hash_join *s)
{
    enum plan_join j = n->plan->u.join.join;
    struct datum key[ROW_TABLE_KEYS_MAX];
    bool usable = key_of(n, s->key_vecs, batch_row(s->j.left, s->j.left_at), key);
    size_t at;

    s->chain = 0;
    if (s->j.matched && (j == PLAN_JOIN_SEMI || join_is_anti(j)))
        return; /* settled by a block before */
    /* NOT IN: unknown, and therefore out, unless there is nothing to compare with. */
    if (j == PLAN_JOIN_ANTI_NULL && s->right_total > 0 && (!usable || s->right_has_null))
        s->j.matched = true;
    else if (usable && row_table_find(s->table, row_table_hash(s->table, key), key, &at))
        s->chain = s->first[at];
}

static int
probe_row(struct exec_node *n, struct hash_join *s, struct batch *b, uint32_t *rows)
{
    while (s->chain != 0 && *rows < BATCH_ROWS_MAX) {
        size_t at = s->chain - 1;
        bool pass;
        int rc;

        s->chain = s->next[at];
        memcpy(s->j.row + s->j.left_width, s->rows->rows[at], s->j.right_width * sizeof *s->j.row);
        rc = join_on(n, &s->j, &pass);
        if (rc != 0)
            return rc;
        if (!pass)
            continue;
        if (s->matched_cap > 0)
            s->right_matched[at] = true;
        if (join_on_match(n, &s->j, b, rows))
            s->chain = 0;
    }
    return 0;
}

/* All right rows of the table have been seen; of the right side, unless there are more blocks. */
static void
row_done(struct exec_node *n, struct hash_join *s, struct batch *b, uint32_t *rows)
{
    if (s->blocks && s->j.matched)
        s->left_bits[s->left_row / 64] |= (uint64_t)1 << (s->left_row & 63);
    if (s->more)
        s->j.in_row = false;
    else
        join_left_done(n, &s->j, b, rows);
    s->j.left_at++;
    s->left_row++;
}

/* ERR_END: the left side has been read. */
static int
probe_some(struct exec_node *n, struct hash_join *s, struct batch *b, uint32_t *rows)
{
    while (*rows < BATCH_ROWS_MAX) {
        int rc = 0;

        if (!s->j.in_row) {
            rc = next_left(n, s);
            if (rc == 0)
                probe(n, s);
        }
        if (rc == 0)
            rc = probe_row(n, s, b, rows);
        if (rc != 0)
            return rc;
        if (s->chain == 0 && *rows < BATCH_ROWS_MAX)
            row_done(n, s, b, rows);
    }
    return 0;
}

/* ---- FULL: right rows that nothing matched -----------------------------------------------------
 */

static void
emit_right(struct exec_node *n, struct hash_join *s, const struct datum *row, struct batch *b,
           uint32_t *rows)
{
    for (uint32_t i = 0; i < s->j.left_width; i++)
        s->j.row[i] = datum_null();
    memcpy(s->j.row + s->j.left_width, row, s->j.right_width * sizeof *row);
    join_emit(n, &s->j, b, rows);
}

static void
emit_unmatched(struct exec_node *n, struct hash_join *s, struct batch *b, uint32_t *rows)
{
    for (; s->unmatched < s->rows->count && *rows < BATCH_ROWS_MAX; s->unmatched++)
        if (!s->right_matched[s->unmatched])
            emit_right(n, s, s->rows->rows[s->unmatched], b, rows);
}

/* A batch of those with a null in their key. */
static int
emit_nulls(struct exec_node *n, struct hash_join *s, struct batch *b, uint32_t *rows)
{
    struct datum *row;
    struct batch *in;
    int rc = 0;

    if (s->nulls == NULL)
        return ERR_END;
    if (!s->nulls_open) {
        rc = row_store_end(s->nulls);
        row_reader_init(&s->null_reader, s->nulls);
        s->nulls_open = true;
    }
    if (rc == 0)
        rc = row_reader_batch(&s->null_reader, &n->scratch, &in);
    if (rc != 0)
        return rc;
    row = ARENA_ARRAY(&n->scratch, struct datum, in->col_count + 1);
    for (uint32_t k = 0; k < in->row_count; k++) {
        batch_row_datums(in, k, row);
        emit_right(n, s, row, b, rows);
    }
    return 0;
}

/* ---- the node ----------------------------------------------------------------------------------
 */

/* One step of the phase; the batch may stay empty. */
static int
step(struct exec_node *n, struct hash_join *s, struct batch *b, uint32_t *rows)
{
    bool is_full = n->plan->u.join.join == PLAN_JOIN_FULL;
    int rc = 0;

    switch (s->phase) {
    case PHASE_LOAD:
        rc = hash_load(n, s);
        if (rc == ERR_END)
            s->phase = PHASE_NULLS;
        else
            s->phase = rc == 0 ? PHASE_PROBE : s->phase;
        break;
    case PHASE_PROBE:
        rc = probe_some(n, s, b, rows);
        if (rc == ERR_END)
            s->phase = is_full ? PHASE_UNMATCHED : s->from_files ? PHASE_LOAD : PHASE_END;
        break;
    case PHASE_UNMATCHED:
        emit_unmatched(n, s, b, rows);
        if (s->unmatched == s->rows->count)
            s->phase = s->from_files ? PHASE_LOAD : PHASE_NULLS;
        break;
    case PHASE_NULLS:
        rc = emit_nulls(n, s, b, rows);
        if (rc == ERR_END)
            s->phase = PHASE_END;
        break;
    case PHASE_END:
        break;
    }
    return rc == ERR_END ? 0 : rc;
}

static int
hash_join_next(struct exec_node *n, struct batch **out)
{
    struct hash_join *s = n->state;
    struct batch *b = join_batch(n, &s->j);
    uint32_t rows = 0;

    while (rows == 0 && s->phase != PHASE_END) {
        int rc = step(n, s, b, &rows);

        if (rc != 0)
            return rc;
    }
    b->row_count = b->sel_count = rows;
    *out = b;
    return rows > 0 ? 0 : ERR_END;
}

/* Everything of the run but the memory that can be used again. */
static void
hash_join_empty(struct exec_node *n, struct hash_join *s)
{
    now_drop(s);
    while (s->pending != NULL) {
        struct pair *p = s->pending;

        s->pending = p->next;
        pair_drop(p);
        xfree(p);
    }
    parts_free(s->left_parts);
    parts_free(s->right_parts);
    s->left_parts = s->right_parts = NULL;
    row_reader_fini(&s->null_reader);
    row_store_free(s->nulls);
    s->nulls = NULL;
    table_empty(n, s);
    arena_reset(&s->key_arena);
    arena_reset(&s->left_arena);
    arena_reset(&s->right_arena);
    s->now = (struct pair){ .level = 0 };
    s->j.left = NULL;
    s->j.left_at = 0;
    s->j.in_row = s->j.matched = false;
    s->chain = 0;
    s->right_total = 0;
    s->right_has_null = s->from_files = s->blocks = s->more = s->nulls_open = false;
    s->phase = PHASE_LOAD;
}

static void
hash_join_close(struct exec_node *n)
{
    struct hash_join *s = n->state;

    hash_join_empty(n, s);
    row_table_free(s->table);
    row_list_free(s->rows);
    s->first = resize(n, s->first, &s->first_cap, 0, sizeof *s->first);
    s->next = resize(n, s->next, &s->next_cap, 0, sizeof *s->next);
    s->right_matched = resize(n, s->right_matched, &s->matched_cap, 0, sizeof *s->right_matched);
    s->left_bits = resize(n, s->left_bits, &s->left_bits_cap, 0, sizeof *s->left_bits);
    xfree(s->first);
    xfree(s->next);
    xfree(s->right_matched);
    xfree(s->left_bits);
    arena_fini(&s->j.on);
    arena_fini(&s->key_arena);
    arena_fini(&s->left_arena);
    arena_fini(&s->right_arena);
}

static int
hash_join_rescan(struct exec_node *n)
{
    int rc = exec_node_rescan(n->child[0]);

    hash_join_empty(n, n->state);
    return rc != 0 ? rc : exec_node_rescan(n->child[1]);
}

static uint32_t *
types_of(struct exec_node *n, const struct plan_node *p)
{
    uint32_t *types = ARENA_ARRAY(&n->x->arena, uint32_t, p->column_count + 1);

    for (int32_t i = 0; i < p->column_count; i++)
        types[i] = p->columns[i].type.oid;
    return types;
}

static void
hash_join_open(struct exec_node *n)
{
    const struct plan_join_node *p = &n->plan->u.join;
    struct hash_join *s = n->state;
    struct arena *a = &n->x->arena;
    struct plan_column *columns = ARENA_ARRAY(a, struct plan_column, p->key_count + 1);

    arena_init(&s->key_arena, n->x->ctx.memory);
    arena_init(&s->left_arena, n->x->ctx.memory);
    arena_init(&s->right_arena, n->x->ctx.memory);
    join_init(n, &s->j);
    s->spilled = &n->x->spilled[n->plan->id];
    s->left_keys = ARENA_ARRAY(a, struct vexpr *, p->key_count + 1);
    s->right_keys = ARENA_ARRAY(a, struct vexpr *, p->key_count + 1);
    s->key_vecs = ARENA_ARRAY(a, struct vec *, p->key_count + 1);
    s->right_vecs = ARENA_ARRAY(a, struct vec *, p->key_count + 1);
    s->left_types = types_of(n, n->child[0]->plan);
    s->right_types = types_of(n, n->child[1]->plan);
    for (int32_t i = 0; i < p->key_count; i++) {
        s->left_keys[i] = vexpr_new(n->x, p->left_keys[i]);
        s->right_keys[i] = vexpr_new(n->x, p->right_keys[i]);
        columns[i].type = p->right_keys[i]->type;
    }
    s->table = row_table_new(&n->x->ctx, columns, (uint32_t)p->key_count);
    s->rows = row_list_new(&n->x->ctx, n->child[1]->plan->columns, s->j.right_width);
    s->rows->may_spill = n->x->ctx.spill != NULL;
}

int
hash_join_init(struct exec_node *n)
{
    if (n->plan->u.join.key_count >= ROW_TABLE_KEYS_MAX)
        return DIAG(ERR_LIMIT, "a join over more than %d columns", ROW_TABLE_KEYS_MAX - 1);
    n->state = ARENA_NEW(&n->x->arena, struct hash_join);
    n->next = hash_join_next;
    n->rescan = hash_join_rescan;
    n->close = hash_join_close;
    hash_join_open(n);
    return 0;
}
