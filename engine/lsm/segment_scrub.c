/* Checking a whole segment, hashing a file.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/lsm/segment_int.h"

struct scrub {
    struct segment *segment;
    int (*throttle)(void *arg, size_t bytes);
    void *throttle_arg;
    uint64_t at; /* where the next data block must start */
    uint64_t versions, keys, deletes, unresolved, blocks;
    struct writer last_key; /* of the block before */
    stamp_t last_stamp;
    uint64_t last_seq;
    bool any, must_go_on; /* the block before says that its last key goes on */
};

MUST_CHECK
static int
scrub_block(struct scrub *c, struct seg_handle at, enum seg_block_type type, struct block **out)
{
    struct segment *s = c->segment;
    struct seg_buffer b;
    int rc = 0;

    if (c->throttle != NULL)
        rc = c->throttle(c->throttle_arg, at.size);
    if (rc == 0)
        rc = seg_read(s, at.offset, at.size, &b);
    if (rc != 0)
        return rc;
    if (seg_block_is_good(s->footer.id, at.offset, b.at, at.size, type))
        rc = seg_block_decode(s->se.codecs, s->dict, type, b.at, at.size, out);
    else
        rc = DIAG(ERR_CORRUPT, "checksum does not match");
    if (rc == ERR_CORRUPT)
        diag_context("segment \"%s\": block at %lu", s->path, at.offset);
    seg_buffer_free(&b);
    return rc;
}

MUST_CHECK
static int
scrub_version(struct scrub *c, const struct version_ref *v, uint64_t offset)
{
    struct segment *s = c->segment;
    int order = c->any ? slice_cmp(v->key, wr_view(&c->last_key)) : 1;

    if (order < 0 ||
        (order == 0 && version_order(c->last_stamp, c->last_seq, v->stamp, v->seq) >= 0))
        return seg_corrupt(s, offset, "versions out of order");
    if ((s->props.kind == SEGMENT_UNDO) != (v->superseded != 0))
        return seg_corrupt(s, offset, "a version of the wrong kind");
    if (order > 0) {
        c->keys++;
        wr_reset(&c->last_key);
        wr_slice(&c->last_key, v->key);
        if (!filter_maybe(&s->filter, filter_hash(v->key)))
            return seg_corrupt(s, s->footer.filter.offset, "the filter denies a key that is there");
    }
    c->any = true;
    c->versions++;
    c->deletes += v->kind == VERSION_DELETE;
    c->unresolved += stamp_is_txid(v->stamp);
    c->last_stamp = v->stamp;
    c->last_seq = v->seq;
    return 0;
}

MUST_CHECK
static int
scrub_data(struct scrub *c, const struct block *index, uint32_t i)
{
    struct segment *s = c->segment;
    struct seg_handle at = index_handle(index, i);
    struct block_iter it;
    struct block *b;
    int rc;

    if (at.offset != c->at)
        return seg_corrupt(s, at.offset, "the index leaves a gap before it");
    c->at += at.size;
    c->blocks++;
    rc = scrub_block(c, at, SEG_BLOCK_DATA, &b);
    if (rc != 0)
        return rc;
    block_iter_init(&it);
    block_iter_set(&it, b);
    block_iter_first(&it);
    if (c->any && c->must_go_on != slice_eq(it.v.key, wr_view(&c->last_key)))
        rc = seg_corrupt(s, at.offset, "the index is wrong about keys that go on");
    for (; rc == 0 && block_iter_valid(&it); block_iter_next(&it))
        rc = scrub_version(c, &it.v, at.offset);
    if (rc == 0 && slice_cmp(index_key(index, i), wr_view(&c->last_key)) < 0)
        rc = seg_corrupt(s, at.offset, "the index has a separator below its last key");
    if (rc == 0 && i > 0 && slice_cmp(index_key(index, i - 1), wr_view(&c->last_key)) > 0)
        rc = seg_corrupt(s, at.offset, "the index has a separator above its keys");
    c->must_go_on = index->last[i] != 0;
    block_iter_fini(&it);
    block_free(b);
    return rc;
}

MUST_CHECK
static int
scrub_index(struct scrub *c, const struct block *index)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < index->count; i++)
        rc = scrub_data(c, index, i);
    return rc;
}

MUST_CHECK
static int
scrub_all(struct scrub *c)
{
    struct segment *s = c->segment;
    const struct segment_props *p = &s->props;
    int rc = 0;

    if (s->footer.levels == 1)
        rc = scrub_index(c, s->top);
    for (uint32_t i = 0; rc == 0 && s->footer.levels == 2 && i < s->top->count; i++) {
        struct block *index;

        rc = scrub_block(c, index_handle(s->top, i), SEG_BLOCK_INDEX, &index);
        if (rc != 0)
            break;
        rc = scrub_index(c, index);
        block_free(index);
    }
    if (rc != 0)
        return rc;
    if (c->at != s->footer.data_end || c->blocks != p->block_count ||
        c->versions != p->version_count || c->keys != p->key_count ||
        c->deletes != p->delete_count || c->unresolved != p->unresolved_count || c->must_go_on)
        return seg_corrupt(s, s->footer.props.offset, "counts differ from what is there");
    if (s->footer.filter.size != 0) {
        struct block *b;

        rc = scrub_block(c, s->footer.filter, SEG_BLOCK_FILTER, &b);
        if (rc == 0)
            block_free(b);
    }
    return rc;
}

int
segment_scrub(struct segment *s, const struct hash128 *hash,
              int (*throttle)(void *arg, size_t bytes), void *throttle_arg)
{
    struct scrub c = {
        .segment = s, .throttle = throttle, .throttle_arg = throttle_arg, .at = SEG_HEADER_SIZE
    };
    struct hash128 is;
    uint64_t bytes;
    int rc;

    wr_init(&c.last_key, VERSION_KEY_MAX);
    rc = scrub_all(&c);
    wr_fini(&c.last_key);
    if (rc != 0 || hash == NULL)
        return rc;
    rc = segment_file_hash(s->se.env, s->path, &is, &bytes);
    if (rc == 0 && !hash128_eq(is, *hash))
        rc = DIAG(ERR_CORRUPT, "segment \"%s\": the hash of the file does not match", s->path);
    return rc;
}

int
segment_file_hash(struct env *env, const char *path, struct hash128 *out, uint64_t *bytes)
{
    struct env_file *f;
    uint8_t *piece;
    size_t got = 0;
    int rc = env_open(env, path, ENV_READ | ENV_DIRECT, &f);

    if (rc != 0)
        return rc;
    *out = (struct hash128){ 0, 0 };
    *bytes = 0;
    piece = xaligned(ENV_ALIGN, SEG_PIECE);
    do {
        rc = env_pread(f, piece, SEG_PIECE, *bytes, &got);
        if (rc != 0 || got == 0)
            break;
        *out = hash128(piece, got, *out);
        *bytes += got;
    } while (got == SEG_PIECE);
    xfree_aligned(piece);
    env_close(f);
    return rc;
}
