/* External merge sort. Rows gather in memory; a full memory is sorted and written as a run; at the
 * end the runs are merged, in several passes when there are more than memory has buffers for.
 *
 * Beside each row stands a number that orders as its first key does, as far as eight bytes can
 * tell: most comparisons end there.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "engine/sql/exec_int.h"

enum {
    TOP_MAX = 1 << 16, /* with a limit up to this, rows that are out are forgotten at once */
    JOB_ROWS = 4096,   /* so many are sorted on another thread */
    FAN_MIN = 6,       /* runs merged at once, whatever the memory */
    FAN_MAX = 256,
    INTERRUPT_ROWS = 4096, /* power of two */
};

struct item {
    uint64_t prefix;
    const struct datum *row;
};

struct sorter {
    const struct exec_ctx *ctx;
    uint32_t width, key_count;
    struct sorter_key *keys;
    struct plan_column *columns;
    uint64_t limit, *spilled;
    struct row_list *list;
    struct item *items; /* of the list, in order; NULL: not sorted yet */
    size_t item_count, at;
    const struct datum *last; /* what sorts after it is out; NULL: not known */
    struct spill_file *file;  /* of the pass */
    struct spill_stream **runs;
    size_t run_count, run_cap;
    struct spill_reader *sources; /* of the merge */
    struct datum *rows;           /* of the sources: width + 1 each */
    struct item *heap;            /* theirs that are not at their end */
    size_t source_count, heap_count;
    bool stepped; /* the heap's first has been given out */
    uint64_t given;
};

/* ---- order -------------------------------------------------------------------------------------
 */

static int
compare_keys(const struct sorter *s, const struct datum *a, const struct datum *b)
{
    for (uint32_t i = 0; i < s->key_count; i++) {
        const struct sorter_key *k = &s->keys[i];
        const struct datum *x = &a[k->column], *y = &b[k->column];
        int c;

        if (x->is_null || y->is_null) {
            if (x->is_null == y->is_null)
                continue;
            return x->is_null == k->nulls_first ? -1 : 1;
        }
        c = type_cmp(k->type, x, y);
        if (c != 0)
            return k->descending ? -c : c;
    }
    return 0;
}

static uint64_t
float_prefix(double f)
{
    uint64_t u;

    if (f != f)
        return UINT64_MAX; /* after all others */
    f += 0.0;              /* one zero */
    memcpy(&u, &f, sizeof u);
    return u >> 63 != 0 ? ~u : u | (uint64_t)1 << 63;
}

static uint64_t
bytes_prefix(const struct datum *d)
{
    uint8_t head[8] = { 0 };

    if (d->size > 0)
        memcpy(head, d->p, d->size < sizeof head ? d->size : sizeof head);
    return load_u64_be(head);
}

/* Less only where the row sorts before; equal says nothing. */
static uint64_t
prefix_of(const struct sorter *s, const struct datum *row)
{
    const struct sorter_key *k = &s->keys[0];
    const struct datum *d = &row[k->column];
    uint64_t p;

    if (s->key_count == 0)
        return 0;
    if (d->is_null)
        return k->nulls_first ? 0 : UINT64_MAX;
    switch (type_get(k->type)->rep) {
    case REP_INT:
        p = (uint64_t)d->i ^ (uint64_t)1 << 63;
        break;
    case REP_FLOAT:
        p = float_prefix(d->f);
        break;
    default:
        if (k->type != TYPE_TEXT && k->type != TYPE_VARCHAR && k->type != TYPE_BYTEA)
            return (uint64_t)1 << 63;
        p = bytes_prefix(d);
    }
    return k->descending ? ~p : p;
}

static int
compare_items(const void *pa, const void *pb, void *arg)
{
    const struct item *a = pa, *b = pb;

    if (a->prefix != b->prefix)
        return a->prefix < b->prefix ? -1 : 1;
    return compare_keys(arg, a->row, b->row);
}

/* ---- making ------------------------------------------------------------------------------------
 */

struct sorter *
sorter_new(const struct exec_ctx *ctx, const struct plan_column *columns, uint32_t width,
           const struct sorter_key *keys, uint32_t key_count, uint64_t limit, uint64_t *spilled)
{
    struct sorter *s = xcalloc(1, sizeof *s);

    s->ctx = ctx;
    s->width = width;
    s->key_count = key_count;
    s->keys = xcalloc(key_count + 1, sizeof *s->keys);
    if (key_count > 0)
        memcpy(s->keys, keys, key_count * sizeof *keys);
    s->columns = xcalloc(width + 1, sizeof *s->columns);
    memcpy(s->columns, columns, width * sizeof *columns);
    s->limit = limit;
    s->spilled = spilled;
    s->list = row_list_new(ctx, columns, width);
    s->list->may_spill = ctx->spill != NULL;
    return s;
}

static void
charge(const struct sorter *s, size_t bytes)
{
    if (s->ctx->memory != NULL)
        budget_force(s->ctx->memory, bytes);
}

static void
release(const struct sorter *s, size_t bytes)
{
    if (s->ctx->memory != NULL)
        budget_release(s->ctx->memory, bytes);
}

static void
drop_items(struct sorter *s)
{
    if (s->items != NULL)
        release(s, s->item_count * sizeof *s->items);
    xfree(s->items);
    s->items = NULL;
    s->item_count = 0;
}

static void
drop_sources(struct sorter *s)
{
    for (size_t i = 0; i < s->source_count; i++)
        spill_reader_fini(&s->sources[i]);
    xfree(s->sources);
    xfree(s->rows);
    xfree(s->heap);
    s->sources = NULL;
    s->rows = NULL;
    s->heap = NULL;
    s->source_count = s->heap_count = 0;
}

void
sorter_reset(struct sorter *s)
{
    drop_items(s);
    drop_sources(s);
    row_list_reset(s->list);
    for (size_t i = 0; i < s->run_count; i++)
        spill_stream_free(s->runs[i]);
    s->run_count = 0;
    spill_file_unref(s->file);
    s->file = NULL;
    s->last = NULL;
    s->at = 0;
    s->given = 0;
    s->stepped = false;
}

void
sorter_free(struct sorter *s)
{
    if (s == NULL)
        return;
    sorter_reset(s);
    row_list_free(s->list);
    xfree(s->keys);
    xfree(s->columns);
    xfree(s->runs);
    xfree(s);
}

bool
sorter_is_in_memory(const struct sorter *s)
{
    return s->run_count == 0;
}

/* ---- in memory ---------------------------------------------------------------------------------
 */

static int
th_sort(void *arg)
{
    struct sorter *s = arg;

    for (size_t i = 0; i < s->item_count; i++)
        s->items[i] = (struct item){ prefix_of(s, s->list->rows[i]), s->list->rows[i] };
    if (s->item_count > 1)
        qsort_r(s->items, s->item_count, sizeof *s->items, compare_items, s);
    return 0;
}

static int
sort_list(struct sorter *s)
{
    int rc = 0;

    drop_items(s);
    s->item_count = s->list->count;
    charge(s, s->item_count * sizeof *s->items);
    s->items = xmalloc((s->item_count + 1) * sizeof *s->items);
    if (s->item_count < JOB_ROWS)
        (void)th_sort(s);
    else
        rc = spill_job(s->ctx->spill, th_sort, s);
    if (s->item_count > s->limit) {
        release(s, (s->item_count - s->limit) * sizeof *s->items);
        s->item_count = s->limit;
    }
    return rc;
}

/* The first rows alone are kept, in memory of their own. */
static int
trim(struct sorter *s)
{
    struct row_list *kept = row_list_new(s->ctx, s->columns, s->width);
    int rc = sort_list(s);

    kept->may_spill = s->list->may_spill;
    for (size_t i = 0; i < s->item_count && rc == 0; i++)
        rc = row_list_add(kept, s->items[i].row);
    drop_items(s);
    row_list_free(s->list);
    s->list = kept;
    s->last = kept->count > 0 && kept->count == s->limit ? kept->rows[kept->count - 1] : NULL;
    return rc;
}

/* ---- runs --------------------------------------------------------------------------------------
 */

static int
new_run(struct sorter *s, struct spill_stream **out)
{
    uint32_t *types;
    int rc = 0;

    if (s->file == NULL)
        rc = spill_file_new(s->ctx, s->spilled, &s->file);
    if (rc != 0)
        return rc;
    types = xmalloc((s->width + 1) * sizeof *types);
    for (uint32_t i = 0; i < s->width; i++)
        types[i] = s->columns[i].type.oid;
    *out = spill_stream_new(s->file, types, s->width);
    xfree(types);
    return 0;
}

static void
add_run(struct sorter *s, struct spill_stream *run)
{
    if (s->run_count == s->run_cap) {
        s->run_cap = s->run_cap != 0 ? 2 * s->run_cap : 16;
        s->runs = xrealloc(s->runs, s->run_cap * sizeof(struct spill_stream *));
    }
    s->runs[s->run_count++] = run;
}

static int
write_run(struct sorter *s)
{
    struct spill_stream *run;
    int rc = sort_list(s);

    if (rc == 0)
        rc = new_run(s, &run);
    if (rc != 0)
        return rc;
    add_run(s, run);
    for (size_t i = 0; i < s->item_count && rc == 0; i++) {
        rc = spill_put(run, s->items[i].row);
        if ((i & (INTERRUPT_ROWS - 1)) == 0)
            fiber_yield();
    }
    if (rc == 0)
        rc = spill_end(run);
    drop_items(s);
    row_list_reset(s->list);
    s->last = NULL;
    return rc;
}

int
sorter_add(struct sorter *s, const struct datum *row)
{
    int rc = 0;

    if (s->limit == 0 || (s->last != NULL && compare_keys(s, row, s->last) >= 0))
        return 0;
    if (row_list_is_full(s->list, s->list->count * sizeof(struct item)))
        rc = write_run(s);
    if (rc == 0)
        rc = row_list_add(s->list, row);
    if (rc == 0 && s->limit <= TOP_MAX && s->list->count >= 2 * s->limit + 1024)
        rc = trim(s);
    return rc;
}

/* ---- merging -----------------------------------------------------------------------------------
 */

static void
sift_down(struct sorter *s, size_t i)
{
    for (;;) {
        size_t least = i, l = 2 * i + 1, r = l + 1;
        struct item t;

        if (l < s->heap_count && compare_items(&s->heap[l], &s->heap[least], s) < 0)
            least = l;
        if (r < s->heap_count && compare_items(&s->heap[r], &s->heap[least], s) < 0)
            least = r;
        if (least == i)
            return;
        t = s->heap[i];
        s->heap[i] = s->heap[least];
        s->heap[least] = t;
        i = least;
    }
}

/* Opens the first `count` runs for merging. */
static int
merge_open(struct sorter *s, size_t count)
{
    s->sources = xcalloc(count + 1, sizeof *s->sources);
    s->rows = xcalloc(count * (s->width + 1), sizeof *s->rows);
    s->heap = xcalloc(count + 1, sizeof *s->heap);
    s->stepped = false;
    for (size_t i = 0; i < count; i++) {
        struct datum *row = s->rows + i * (s->width + 1);
        int rc;

        spill_reader_init(&s->sources[i], s->runs[i]);
        s->source_count++;
        rc = spill_get(&s->sources[i], row);
        if (rc == ERR_END)
            continue;
        if (rc != 0)
            return rc;
        s->heap[s->heap_count++] = (struct item){ prefix_of(s, row), row };
    }
    for (size_t i = s->heap_count; i-- > 0;)
        sift_down(s, i);
    return 0;
}

static int
merge_next(struct sorter *s, const struct datum **row)
{
    if (s->stepped) {
        size_t from = (size_t)(s->heap[0].row - s->rows) / (s->width + 1);
        int rc = spill_get(&s->sources[from], s->rows + from * (s->width + 1));

        if (rc == ERR_END)
            s->heap[0] = s->heap[--s->heap_count];
        else if (rc != 0)
            return rc;
        else
            s->heap[0].prefix = prefix_of(s, s->heap[0].row);
        sift_down(s, 0);
    }
    s->stepped = s->heap_count > 0;
    if (s->heap_count == 0)
        return ERR_END;
    *row = s->heap[0].row;
    return 0;
}

/* The first `count` runs become one. */
static int
merge_some(struct sorter *s, size_t count)
{
    const struct datum *row;
    struct spill_stream *run;
    uint64_t rows = 0;
    int rc = new_run(s, &run);

    if (rc != 0)
        return rc;
    add_run(s, run);
    rc = merge_open(s, count);
    while (rc == 0 && rows++ < s->limit && (rc = merge_next(s, &row)) == 0) {
        rc = spill_put(run, row);
        if ((rows & (INTERRUPT_ROWS - 1)) == 0)
            fiber_yield();
    }
    drop_sources(s);
    if (rc != 0 && rc != ERR_END)
        return rc;
    rc = spill_end(run);
    for (size_t i = 0; i < count; i++)
        spill_stream_free(s->runs[i]);
    s->run_count -= count;
    memmove(s->runs, s->runs + count, s->run_count * sizeof(struct spill_stream *));
    return rc;
}

static size_t
fan_in(const struct sorter *s)
{
    size_t n = s->ctx->work_bytes / spill_block_size(s->ctx) / 2;

    return n < FAN_MIN ? FAN_MIN : n > FAN_MAX ? FAN_MAX : n;
}

/* A pass merges each run once; its own go to a new file, so that the old one can go. */
static int
merge_pass(struct sorter *s, size_t fan)
{
    size_t left = s->run_count;
    int rc = 0;

    spill_file_unref(s->file);
    s->file = NULL;
    while (left > 0 && rc == 0) {
        size_t count = left < fan ? left : fan;

        rc = merge_some(s, count);
        left -= count;
    }
    return rc;
}

int
sorter_finish(struct sorter *s)
{
    size_t fan = fan_in(s);
    int rc = 0;

    if (s->run_count == 0)
        return sort_list(s);
    if (s->list->count > 0)
        rc = write_run(s);
    while (rc == 0 && s->run_count > fan)
        rc = merge_pass(s, fan);
    return rc != 0 ? rc : merge_open(s, s->run_count);
}

int
sorter_next(struct sorter *s, const struct datum **row)
{
    if (s->given == s->limit)
        return ERR_END;
    s->given++;
    if (s->run_count > 0)
        return merge_next(s, row);
    if (s->at == s->item_count)
        return ERR_END;
    *row = s->items[s->at++].row;
    return 0;
}
