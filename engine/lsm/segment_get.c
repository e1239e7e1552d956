/* Finding the versions of one key in a segment.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/lsm/segment_int.h"

static void
cursor_take(struct segment_cursor *c, const struct entry *e)
{
    c->at = e->next;
    c->v.value = slice(e->value, e->value_size);
    c->v.stamp = e->stamp;
    c->v.seq = e->seq;
    c->v.superseded = e->superseded;
    c->v.kind = e->kind;
}

void
segment_cursor_close(struct segment_cursor *c)
{
    if (c->index != NULL)
        seg_index_unpin(c->segment, c->index);
    seg_unpin(c->block);
    c->index = c->block = NULL;
    c->valid = false;
}

/* Whether the cursor's key goes on in the block after its own: the index says so of the last key of
 * a block, which is then the separator. */
static bool
goes_on(const struct segment_cursor *c)
{
    return c->index != NULL && c->index->last[c->index_at] != 0 &&
           slice_eq(index_key(c->index, c->index_at), c->v.key);
}

int
segment_get(struct segment *s, struct slice key, uint64_t hash, struct segment_cursor *c)
{
    struct entry e;
    uint32_t at;
    bool equal;
    int rc;

    c->valid = false;
    c->segment = s;
    c->block = c->index = NULL;
    if (!segment_maybe(s, key, hash))
        return 0;
    c->top_at = 0;
    if (s->footer.levels > 1) {
        c->top_at = index_seek(s->top, key);
        if (c->top_at == s->top->count)
            return 0;
    }
    rc = seg_index(s, c->top_at, SEG_FILL, &c->index);
    if (rc != 0)
        return rc;
    c->index_at = index_seek(c->index, key);
    if (c->index_at == c->index->count) { /* the top said otherwise; with one level: not there */
        segment_cursor_close(c);
        return 0;
    }
    rc = seg_block(s, index_handle(c->index, c->index_at), SEG_BLOCK_DATA, SEG_FILL, &c->block);
    if (rc != 0) {
        segment_cursor_close(c);
        return rc;
    }
    at = block_seek(c->block, key, &e, &equal);
    if (at == c->block->size || !equal) {
        seg_count(&s->filter_false, s->filter.probes != 0);
        segment_cursor_close(c);
        return 0;
    }
    c->v.key = key;
    if (!goes_on(c)) {
        seg_index_unpin(s, c->index);
        c->index = NULL;
    }
    c->valid = true;
    cursor_take(c, &e);
    return 0;
}

/* The cursor's numbers go on to the next block, which starts with its key. */
MUST_CHECK
static int
cursor_next_number(struct segment_cursor *c)
{
    struct segment *s = c->segment;
    struct block *index;
    int rc;

    if (++c->index_at < c->index->count)
        return 0;
    if (c->top_at + 1 >= seg_index_count(s))
        return seg_corrupt(s, c->index->offset[c->index_at - 1], "its key goes on after the end");
    rc = seg_index(s, c->top_at + 1, SEG_FILL, &index);
    if (rc != 0)
        return rc;
    seg_index_unpin(s, c->index);
    c->index = index;
    c->top_at++;
    c->index_at = 0;
    return 0;
}

/* To the first version in the block that the numbers name. */
MUST_CHECK
static int
cursor_load(struct segment_cursor *c)
{
    struct seg_handle at = index_handle(c->index, c->index_at);
    struct block *block;
    struct entry e;
    int rc = seg_block(c->segment, at, SEG_BLOCK_DATA, SEG_FILL, &block);

    if (rc != 0)
        return rc;
    seg_unpin(c->block);
    c->block = block;
    (void)block_entry(block, 0, &e);
    if (!slice_eq(slice(e.key, e.unshared), c->v.key))
        return seg_corrupt(c->segment, at.offset, "does not go on with the key before");
    cursor_take(c, &e);
    return 0;
}

int
segment_cursor_next(struct segment_cursor *c)
{
    struct entry e;
    int rc;

    CHECK(c->valid);
    if (c->at < c->block->size) {
        (void)block_entry(c->block, c->at, &e);
        /* A restart repeats the key. */
        if (e.same_key || (e.shared == 0 && slice_eq(slice(e.key, e.unshared), c->v.key)))
            cursor_take(c, &e);
        else
            segment_cursor_close(c);
        return 0;
    }
    if (!goes_on(c)) {
        segment_cursor_close(c);
        return 0;
    }
    rc = cursor_next_number(c);
    if (rc == 0)
        rc = cursor_load(c);
    if (rc != 0)
        segment_cursor_close(c);
    return rc;
}

/* Passes over blocks of the key whose last version is still above the SCN, by the index alone. A
 * txid is above every SCN, also as a number. */
MUST_CHECK
static int
skip_blocks(struct segment_cursor *c, scn_t scn)
{
    int rc = 0;
    bool moved = false;

    while (rc == 0 && goes_on(c) && c->index->last[c->index_at] > scn) {
        rc = cursor_next_number(c);
        moved = true;
    }
    if (rc == 0 && moved)
        rc = cursor_load(c);
    return rc;
}

int
segment_cursor_skip(struct segment_cursor *c, scn_t scn)
{
    int rc = 0;

    CHECK(c->valid);
    if (stamp_is_txid(c->v.stamp) || c->v.stamp > scn)
        rc = skip_blocks(c, scn);
    if (rc != 0)
        segment_cursor_close(c);
    while (rc == 0 && c->valid && (stamp_is_txid(c->v.stamp) || c->v.stamp > scn))
        rc = segment_cursor_next(c);
    return rc;
}
