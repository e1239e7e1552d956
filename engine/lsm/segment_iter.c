/* Walking a segment, with read-ahead.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/lsm/segment_int.h"

#include "engine/base/fiber.h"

enum {
    AHEAD_MIN = 64 << 10,
    AHEAD_MAX = 512 << 10,
    AHEAD_BULK = 1 << 20,
    AHEAD_AFTER = 2, /* blocks read one after the other before reading ahead pays */
};

struct segment_iter {
    struct segment *segment;
    enum seg_fill fill;
    bool bulk; /* does not even look into the cache: its figures are about other readers */
    struct block *index; /* pinned, or the top; NULL: not positioned */
    struct block *block; /* pinned; NULL: past an end */
    uint32_t top_at, index_at;
    struct block_iter in_block;
    /* Read-ahead: a piece of the data blocks that follow. */
    struct seg_buffer ahead;
    size_t ahead_size;
    uint64_t expected; /* where the next block starts if reading goes on in order */
    unsigned in_order; /* blocks in a row for which it did */
};

struct segment_iter *
segment_iter_new(struct segment *s, int flags)
{
    struct segment_iter *it = xcalloc(1, sizeof *it);

    segment_ref(s);
    it->segment = s;
    it->fill = flags != 0 ? SEG_NO_FILL : SEG_FILL;
    it->ahead_size = AHEAD_MIN;
    if ((flags & SEGMENT_ITER_BULK) != 0) {
        it->bulk = true;
        it->ahead_size = AHEAD_BULK;
        it->in_order = AHEAD_AFTER;
        it->expected = SEG_HEADER_SIZE;
    }
    block_iter_init(&it->in_block);
    return it;
}

static void
drop_block(struct segment_iter *it)
{
    block_iter_set(&it->in_block, NULL);
    seg_unpin(it->block);
    it->block = NULL;
}

static void
drop_all(struct segment_iter *it)
{
    drop_block(it);
    if (it->index != NULL)
        seg_index_unpin(it->segment, it->index);
    it->index = NULL;
}

void
segment_iter_free(struct segment_iter *it)
{
    if (it == NULL)
        return;
    drop_all(it);
    seg_buffer_free(&it->ahead);
    block_iter_fini(&it->in_block);
    segment_unref(it->segment);
    xfree(it);
}

const struct version_ref *
segment_iter_current(const struct segment_iter *it)
{
    return block_iter_valid(&it->in_block) ? &it->in_block.v : NULL;
}

/* ---- blocks --------------------------------------------------------------------------------- */

struct ahead_job {
    struct segment_iter *it;
    uint64_t offset;
    size_t size;
};

static int
ahead_job_th(void *arg)
{
    struct ahead_job *j = arg;

    return seg_read(j->it->segment, j->offset, j->size, &j->it->ahead);
}

/* Reads a larger piece from the block on. */
MUST_CHECK
static int
read_ahead(struct segment_iter *it, struct seg_handle at)
{
    struct segment *s = it->segment;
    uint64_t left = s->footer.data_end > at.offset ? s->footer.data_end - at.offset : 0;
    struct ahead_job j = { it, at.offset, it->ahead_size };

    if (j.size > left)
        j.size = (size_t)left;
    if (j.size < at.size)
        j.size = at.size;
    if (it->ahead_size < AHEAD_MAX)
        it->ahead_size *= 2;
    seg_buffer_free(&it->ahead);
    if (s->se.jobs != NULL && fiber_self() != NULL)
        return job_run(s->se.jobs, ahead_job_th, &j);
    return ahead_job_th(&j);
}

static bool
ahead_has(const struct segment_iter *it, struct seg_handle at)
{
    return it->ahead.memory != NULL && at.offset >= it->ahead.offset &&
           at.offset + at.size <= it->ahead.offset + it->ahead.size;
}

/* The block that the iterator's numbers name, pinned. */
MUST_CHECK
static int
load_block(struct segment_iter *it)
{
    struct segment *s = it->segment;
    struct seg_handle at = index_handle(it->index, it->index_at);
    struct cache_item *item = NULL;
    int rc = 0;

    drop_block(it);
    it->in_order = at.offset == it->expected ? it->in_order + 1 : 0;
    it->expected = at.offset + at.size;
    if (!it->bulk)
        item = cache_lookup(s->se.cache, s->cache_file, at.offset);
    if (item != NULL) {
        it->block = block_of(item);
    } else if (it->in_order < AHEAD_AFTER) {
        rc = seg_block(s, at, SEG_BLOCK_DATA, it->fill, &it->block);
    } else {
        if (!ahead_has(it, at))
            rc = read_ahead(it, at);
        if (rc == 0)
            rc = seg_block_from(s, at, SEG_BLOCK_DATA, &it->ahead, it->fill, &it->block);
    }
    if (rc != 0) {
        drop_all(it);
        return rc;
    }
    block_iter_set(&it->in_block, it->block);
    return 0;
}

MUST_CHECK
static int
load_index(struct segment_iter *it, uint32_t top_at)
{
    int rc;

    drop_all(it);
    rc = seg_index(it->segment, top_at, SEG_FILL, &it->index);
    it->top_at = top_at;
    return rc;
}

/* To the block after (or before) the current one. 0 with no block: there is none. */
MUST_CHECK
static int
step_block(struct segment_iter *it, bool forward)
{
    int rc;

    if (forward ? it->index_at + 1 < it->index->count : it->index_at > 0) {
        it->index_at += forward ? 1u : UINT32_MAX;
        return load_block(it);
    }
    if (forward ? it->top_at + 1 >= seg_index_count(it->segment) : it->top_at == 0) {
        drop_all(it);
        return 0;
    }
    rc = load_index(it, forward ? it->top_at + 1 : it->top_at - 1);
    if (rc != 0)
        return rc;
    it->index_at = forward ? 0 : it->index->count - 1;
    return load_block(it);
}

/* Goes on to the neighbouring block while the current one has nothing for us. */
MUST_CHECK
static int
settle(struct segment_iter *it, bool forward)
{
    while (it->block != NULL && !block_iter_valid(&it->in_block)) {
        int rc = step_block(it, forward);

        if (rc != 0)
            return rc;
        if (it->block == NULL)
            break;
        if (forward)
            block_iter_first(&it->in_block);
        else
            block_iter_last(&it->in_block);
    }
    return 0;
}

/* ---- positions ------------------------------------------------------------------------------ */

/* To the first block that may hold keys >= key, or the last one. False in *found: none. */
MUST_CHECK
static int
seek_block(struct segment_iter *it, struct slice key, bool or_last, bool *found)
{
    struct segment *s = it->segment;
    uint32_t top_at = s->footer.levels == 1 ? 0 : index_seek(s->top, key), at;
    int rc;

    *found = false;
    if (top_at == seg_index_count(s)) {
        drop_all(it);
        if (!or_last)
            return 0;
        top_at--;
    }
    if (it->index == NULL || it->top_at != top_at) {
        rc = load_index(it, top_at);
        if (rc != 0)
            return rc;
    }
    at = index_seek(it->index, key);
    if (at == it->index->count) {
        if (!or_last) {
            drop_all(it);
            return 0;
        }
        at--;
    }
    *found = true;
    if (it->block != NULL && it->index_at == at)
        return 0;
    it->index_at = at;
    return load_block(it);
}

int
segment_iter_seek(struct segment_iter *it, struct slice key)
{
    bool found;
    int rc = seek_block(it, key, false, &found);

    if (rc != 0 || !found)
        return rc;
    block_iter_seek(&it->in_block, key);
    return settle(it, true);
}

int
segment_iter_seek_lt(struct segment_iter *it, struct slice key)
{
    bool found;
    int rc = seek_block(it, key, true, &found);

    if (rc != 0)
        return rc;
    block_iter_seek_lt(&it->in_block, key);
    return settle(it, false);
}

int
segment_iter_first(struct segment_iter *it)
{
    int rc = load_index(it, 0);

    if (rc != 0)
        return rc;
    it->index_at = 0;
    rc = load_block(it);
    if (rc != 0)
        return rc;
    block_iter_first(&it->in_block);
    return settle(it, true);
}

int
segment_iter_last(struct segment_iter *it)
{
    int rc = load_index(it, seg_index_count(it->segment) - 1);

    if (rc != 0)
        return rc;
    it->index_at = it->index->count - 1;
    rc = load_block(it);
    if (rc != 0)
        return rc;
    block_iter_last(&it->in_block);
    return settle(it, false);
}

int
segment_iter_next(struct segment_iter *it)
{
    CHECK(block_iter_valid(&it->in_block));
    block_iter_next(&it->in_block);
    return block_iter_valid(&it->in_block) ? 0 : settle(it, true);
}

int
segment_iter_prev(struct segment_iter *it)
{
    CHECK(block_iter_valid(&it->in_block));
    block_iter_prev(&it->in_block);
    return block_iter_valid(&it->in_block) ? 0 : settle(it, false);
}
