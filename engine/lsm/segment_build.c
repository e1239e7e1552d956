/* Building a segment: versions into blocks, blocks into the file, and what describes them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/lsm/segment_int.h"

#include <stdlib.h>

enum {
    BLOCK_BYTES = 16 << 10,
    INDEX_BYTES = 16 << 10, /* of an index block before compression */
    DICT_BYTES = 16 << 10,
    DICT_SAMPLE_BYTES = 2 << 20, /* of blocks that wait for the dictionary made from them */
    DICT_SAMPLES_MIN = 16,       /* fewer blocks do without */
    STATS_MAX = 1 << 20,
    READ_BACK_BLOCKS = 16,
};

/* One data block as the index will name it. */
struct index_record {
    uint32_t stored; /* 0: not written yet */
    uint32_t key_size;
    size_t key_at; /* in builder.separators */
    uint64_t last; /* stamp of its last version if the key goes on; else 0 */
};

struct segment_builder {
    struct segment_build o;
    struct seg_output out;
    struct block_builder block;
    struct writer scratch;
    struct segment_props props;

    struct index_record *records; /* one for each data block cut so far */
    size_t record_count, record_cap;
    size_t written; /* of those, how many are in the file */
    struct writer separators;

    struct writer waiting; /* blocks that wait for a dictionary, one after the other */
    size_t *waiting_sizes;
    size_t waiting_count, waiting_cap;
    bool dict_decided;
    struct codec_dict *dict;
    struct writer dict_bytes;

    struct writer hashes; /* u64 each: filter_hash of each key */
    txid_t *txids;
    size_t txid_count, txid_cap;
    bool txids_too_many;

    uint8_t *key_min, *last_key;
    size_t last_key_size;
    stamp_t last_stamp;
    uint64_t last_seq;
    struct writer stats;
    int failed; /* the first error: everything after it fails the same way */
};

/* ---- life ----------------------------------------------------------------------------------- */

static void
builder_free(struct segment_builder *b, bool unlink)
{
    seg_output_close(&b->out, unlink);
    block_builder_fini(&b->block);
    wr_fini(&b->scratch);
    wr_fini(&b->separators);
    wr_fini(&b->waiting);
    wr_fini(&b->dict_bytes);
    wr_fini(&b->hashes);
    wr_fini(&b->stats);
    codec_dict_free(b->dict);
    xfree(b->waiting_sizes);
    xfree(b->records);
    xfree(b->txids);
    xfree(b->key_min);
    xfree(b->last_key);
    xfree((void *)(uintptr_t)b->o.path);
    xfree(b);
}

int
segment_builder_new(const struct segment_build *o, struct segment_builder **out)
{
    struct segment_builder *b = xcalloc(1, sizeof *b);
    int rc;

    *out = NULL;
    b->o = *o;
    b->o.path = xstrdup(o->path);
    if (b->o.block_bytes == 0)
        b->o.block_bytes = BLOCK_BYTES;
    if (b->o.level == 0)
        b->o.level = 3;
    block_builder_init(&b->block);
    wr_init(&b->scratch, (size_t)SEG_RAW_MAX + SEG_TAIL_SIZE);
    wr_init(&b->separators, 0);
    wr_init(&b->waiting, (size_t)SEG_RAW_MAX * 2);
    wr_init(&b->dict_bytes, 0);
    wr_init(&b->hashes, 0);
    wr_init(&b->stats, STATS_MAX);
    b->key_min = xmalloc(VERSION_KEY_MAX);
    b->last_key = xmalloc(VERSION_KEY_MAX);
    b->props = (struct segment_props){ .tree = o->tree,
                                       .tag = o->tag,
                                       .kind = o->kind,
                                       .codec = o->codec,
                                       .scn_min = UINT64_MAX,
                                       .superseded_min = UINT64_MAX };
    rc = seg_output_open(&b->out, &b->o);
    b->props.id = b->out.id;
    if (rc != 0) {
        builder_free(b, true);
        return rc;
    }
    *out = b;
    return 0;
}

void
segment_builder_discard(struct segment_builder *b)
{
    if (b != NULL)
        builder_free(b, true);
}

/* ---- writing data blocks -------------------------------------------------------------------- */

MUST_CHECK
static int
data_write(struct segment_builder *b, struct slice raw)
{
    enum codec codec = b->o.codec;
    struct seg_handle at;
    int rc;

    if (codec == CODEC_ZSTD_DICT && b->dict == NULL)
        codec = CODEC_ZSTD;
    rc = seg_output_block(&b->out, SEG_BLOCK_DATA, codec, b->dict, raw, &b->scratch, &at);
    if (rc != 0)
        return rc;
    b->records[b->written++].stored = at.size;
    b->props.raw_bytes += raw.size;
    b->props.stored_bytes += at.size;
    return 0;
}

/* Makes the dictionary from the blocks that wait, if there are enough, and writes them. */
MUST_CHECK
static int
dict_decide(struct segment_builder *b)
{
    size_t at = 0;
    int rc = 0;

    b->dict_decided = true;
    if (b->waiting_count >= DICT_SAMPLES_MIN) {
        uint8_t *bytes = wr_reserve(&b->dict_bytes, DICT_BYTES);
        size_t size = codec_dict_train(bytes, DICT_BYTES, b->waiting.data, b->waiting_sizes,
                                       (unsigned)b->waiting_count);

        wr_shrink(&b->dict_bytes, size);
        if (size != 0)
            rc = codec_dict_new(bytes, size, b->o.level, &b->dict);
    }
    for (size_t i = 0; rc == 0 && i < b->waiting_count; i++) {
        rc = data_write(b, slice(b->waiting.data + at, b->waiting_sizes[i]));
        at += b->waiting_sizes[i];
    }
    wr_fini(&b->waiting);
    return rc;
}

MUST_CHECK
static int
data_wait(struct segment_builder *b, struct slice raw)
{
    if (b->waiting_count == b->waiting_cap) {
        b->waiting_cap = b->waiting_cap == 0 ? 64 : b->waiting_cap * 2;
        b->waiting_sizes = xrealloc(b->waiting_sizes, b->waiting_cap * sizeof *b->waiting_sizes);
    }
    wr_slice(&b->waiting, raw);
    b->waiting_sizes[b->waiting_count++] = raw.size;
    return b->waiting.size >= DICT_SAMPLE_BYTES ? dict_decide(b) : 0;
}

/* A key that is not below `last` and below `next`, as short as is easily found. */
static struct slice
separator(struct slice last, struct slice next, uint8_t *scratch)
{
    size_t n = key_common(last, next);

    if (n == last.size || next.size == n)
        return last;
    if (last.data[n] + 1 < next.data[n]) {
        memcpy(scratch, last.data, n + 1);
        scratch[n]++;
        return slice(scratch, n + 1);
    }
    return next.size > n + 1 ? slice(next.data, n + 1) : last;
}

/* Ends the block. `next` is the key of the version that comes after it; NULL: none does. */
MUST_CHECK
static int
data_cut(struct segment_builder *b, const struct slice *next)
{
    struct slice raw, last = slice(b->last_key, b->last_key_size), key = last;
    bool goes_on = next != NULL && slice_eq(*next, last);
    struct index_record *r;
    uint8_t *scratch = NULL;
    int rc;

    if (next != NULL && !goes_on) {
        scratch = xmalloc(VERSION_KEY_MAX);
        key = separator(last, *next, scratch);
    }
    if (b->record_count == b->record_cap) {
        b->record_cap = b->record_cap == 0 ? 256 : b->record_cap * 2;
        b->records = xrealloc(b->records, b->record_cap * sizeof *b->records);
    }
    r = &b->records[b->record_count++];
    *r = (struct index_record){ .key_size = (uint32_t)key.size,
                                .key_at = b->separators.size,
                                .last = goes_on ? b->last_stamp : 0 };
    if (key.size != 0)
        wr_slice(&b->separators, key);
    xfree(scratch);
    b->props.block_count++;
    rc = block_builder_finish(&b->block, &raw);
    if (rc == 0)
        rc = b->o.codec == CODEC_ZSTD_DICT && !b->dict_decided ? data_wait(b, raw)
                                                               : data_write(b, raw);
    block_builder_reset(&b->block);
    return rc;
}

/* ---- properties ----------------------------------------------------------------------------- */

static int
txid_cmp(const void *a, const void *b)
{
    txid_t x = *(const txid_t *)a, y = *(const txid_t *)b;

    return (x > y) - (x < y);
}

static void
txids_sort(struct segment_builder *b)
{
    size_t n = 0;

    if (b->txid_count > 1)
        qsort(b->txids, b->txid_count, sizeof *b->txids, txid_cmp);
    for (size_t i = 0; i < b->txid_count; i++)
        if (n == 0 || b->txids[n - 1] != b->txids[i])
            b->txids[n++] = b->txids[i];
    b->txid_count = n;
    b->txids_too_many = n > SEGMENT_TXIDS_MAX;
}

static void
txid_note(struct segment_builder *b, txid_t t)
{
    struct segment_props *p = &b->props;

    p->unresolved_count++;
    p->txid_min = p->txid_min == 0 || t < p->txid_min ? t : p->txid_min;
    p->txid_max = t > p->txid_max ? t : p->txid_max;
    if (b->txids_too_many || (b->txid_count > 0 && b->txids[b->txid_count - 1] == t))
        return;
    if (b->txid_count == b->txid_cap) {
        txids_sort(b);
        if (b->txid_count >= b->txid_cap / 2) {
            b->txid_cap = b->txid_cap == 0 ? 16 : b->txid_cap * 2;
            b->txids = xrealloc(b->txids, b->txid_cap * sizeof *b->txids);
        }
    }
    b->txids[b->txid_count++] = t;
}

static void
version_note(struct segment_builder *b, const struct version_ref *v)
{
    struct segment_props *p = &b->props;

    p->version_count++;
    p->delete_count += v->kind == VERSION_DELETE;
    p->key_bytes += v->key.size;
    p->value_bytes += v->value.size;
    if (stamp_is_txid(v->stamp)) {
        txid_note(b, v->stamp);
    } else {
        p->scn_min = v->stamp < p->scn_min ? v->stamp : p->scn_min;
        p->scn_max = v->stamp > p->scn_max ? v->stamp : p->scn_max;
    }
    if (v->superseded != 0) {
        p->superseded_min = v->superseded < p->superseded_min ? v->superseded : p->superseded_min;
        p->superseded_max = v->superseded > p->superseded_max ? v->superseded : p->superseded_max;
    }
}

static void
key_note(struct segment_builder *b, struct slice key)
{
    if (b->props.key_count++ == 0) {
        b->props.key_min = slice(b->key_min, key.size);
        if (key.size != 0)
            memcpy(b->key_min, key.data, key.size);
    }
    if (key.size != 0)
        memcpy(b->last_key, key.data, key.size);
    b->last_key_size = key.size;
    b->props.key_max = slice(b->last_key, key.size);
    if (b->o.filter_bits != 0)
        wr_u64(&b->hashes, filter_hash(key));
}

/* ---- adding --------------------------------------------------------------------------------- */

static void
check_version(const struct segment_builder *b, const struct version_ref *v, int order)
{
    CHECK(v->key.size <= VERSION_KEY_MAX && v->value.size <= VERSION_VALUE_MAX);
    CHECK(v->kind != 0 && v->kind <= VERSION_KIND_MAX);
    CHECK(v->kind != VERSION_DELETE || v->value.size == 0);
    CHECK((b->o.kind == SEGMENT_UNDO) == (v->superseded != 0));
    CHECK(b->o.kind != SEGMENT_UNDO || !stamp_is_txid(v->stamp));
    CHECK(order >= 0);
    CHECK(order > 0 || version_order(b->last_stamp, b->last_seq, v->stamp, v->seq) < 0);
}

int
segment_builder_add(struct segment_builder *b, const struct version_ref *v)
{
    int order =
        b->props.version_count == 0 ? 1 : slice_cmp(v->key, slice(b->last_key, b->last_key_size));

    check_version(b, v, order);
    if (b->failed != 0)
        return b->failed;
    if (b->block.entry_count > 0 && block_builder_bytes(&b->block) >= b->o.block_bytes) {
        b->failed = data_cut(b, &v->key);
        if (b->failed != 0)
            return b->failed;
    }
    block_builder_add(&b->block, v);
    if (order > 0)
        key_note(b, v->key);
    version_note(b, v);
    b->last_stamp = v->stamp;
    b->last_seq = v->seq;
    return 0;
}

void
segment_builder_set_stats(struct segment_builder *b, struct slice stats)
{
    CHECK(stats.size <= STATS_MAX);
    wr_reset(&b->stats);
    wr_slice(&b->stats, stats);
}

uint64_t
segment_builder_bytes(const struct segment_builder *b)
{
    return seg_output_offset(&b->out) + b->waiting.size / 2 + block_builder_bytes(&b->block) / 2;
}

const struct segment_props *
segment_builder_props(struct segment_builder *b)
{
    txids_sort(b);
    b->props.txids = b->txids_too_many ? NULL : b->txids;
    b->props.txid_count = b->txids_too_many ? 0 : b->txid_count;
    b->props.stats = wr_view(&b->stats);
    b->props.file_bytes = segment_builder_bytes(b);
    return &b->props;
}

/* ---- finishing ------------------------------------------------------------------------------ */

static void
index_begin(struct writer *w, uint64_t offset)
{
    wr_reset(w);
    wr_u64(w, offset);
    wr_u32(w, 0); /* the count, by index_end */
}

static void
index_add(struct writer *w, uint32_t stored, uint64_t last, struct slice key)
{
    wr_varint(w, stored);
    wr_u8(w, last != 0 ? SEG_INDEX_GOES_ON : 0);
    if (last != 0)
        wr_varint(w, last);
    wr_lenslice(w, key);
}

MUST_CHECK
static int
index_end(struct segment_builder *b, struct writer *w, uint32_t count, struct seg_handle *out)
{
    int rc = wr_finish(w);

    if (rc != 0)
        return rc;
    store_u32(w->data + 8, count);
    return seg_output_block(&b->out, SEG_BLOCK_INDEX,
                            b->o.codec == CODEC_NONE ? CODEC_NONE : CODEC_LZ4, NULL, wr_view(w),
                            &b->scratch, out);
}

/* Index blocks of about INDEX_BYTES and, unless one is enough, the top that names them. */
MUST_CHECK
static int
index_write(struct segment_builder *b, struct seg_footer *f)
{
    struct writer w, top;
    uint64_t data_at = SEG_HEADER_SIZE;
    uint32_t count = 0, blocks = 0;
    int rc = 0;

    wr_init(&w, SEG_RAW_MAX);
    wr_init(&top, SEG_RAW_MAX);
    index_begin(&w, data_at);
    index_begin(&top, seg_output_offset(&b->out));
    for (size_t i = 0; rc == 0 && i < b->record_count; i++) {
        const struct index_record *r = &b->records[i];
        struct slice key = slice(b->separators.data + r->key_at, r->key_size);
        bool last = i + 1 == b->record_count;

        index_add(&w, r->stored, r->last, key);
        count++;
        data_at += r->stored;
        if (w.size < INDEX_BYTES && !last)
            continue;
        rc = index_end(b, &w, count, &f->index);
        index_add(&top, f->index.size, 0, key);
        blocks++;
        index_begin(&w, data_at);
        count = 0;
    }
    f->levels = blocks > 1 ? 2 : 1;
    if (rc == 0 && blocks > 1)
        rc = index_end(b, &top, blocks, &f->index);
    wr_fini(&w);
    wr_fini(&top);
    return rc;
}

MUST_CHECK
static int
filter_write(struct segment_builder *b, struct seg_footer *f)
{
    struct writer w;
    int rc;

    wr_init(&w, (size_t)SEG_RAW_MAX);
    filter_build((const uint64_t *)(void *)b->hashes.data, b->hashes.size / 8, b->o.filter_bits,
                 &w);
    rc = wr_finish(&b->hashes) != 0 || wr_finish(&w) != 0
             ? 0 /* too many keys for one: a segment without a filter is only slower */
             : seg_output_block(&b->out, SEG_BLOCK_FILTER, CODEC_NONE, NULL, wr_view(&w),
                                &b->scratch, &f->filter);
    wr_fini(&w);
    return rc;
}

/* Everything after the data blocks. */
MUST_CHECK
static int
describe(struct segment_builder *b, struct seg_footer *f)
{
    struct writer w;
    int rc = 0;

    f->data_end = seg_output_offset(&b->out);
    if (b->o.filter_bits != 0)
        rc = filter_write(b, f);
    if (rc == 0 && b->dict != NULL)
        rc = seg_output_block(&b->out, SEG_BLOCK_DICT, CODEC_NONE, NULL, wr_view(&b->dict_bytes),
                              &b->scratch, &f->dict);
    if (rc == 0)
        rc = index_write(b, f);
    if (rc != 0)
        return rc;
    wr_init(&w, SEG_RAW_MAX);
    seg_props_encode(&w, segment_builder_props(b));
    rc = wr_finish(&w);
    if (rc == 0)
        rc = seg_output_block(&b->out, SEG_BLOCK_PROPS, CODEC_NONE, NULL, wr_view(&w), &b->scratch,
                              &f->props);
    wr_fini(&w);
    return rc;
}

/* B8: reads some blocks back past the page cache, the first and the last among them. */
MUST_CHECK
static int
read_back(struct segment_builder *b)
{
    size_t step = b->record_count / READ_BACK_BLOCKS + 1;
    uint64_t at = SEG_HEADER_SIZE;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < b->record_count; i++) {
        size_t size = b->records[i].stored, got = 0;
        uint64_t from = at & ~(uint64_t)(ENV_ALIGN - 1);
        size_t span = (size_t)((at - from + size + ENV_ALIGN - 1) & ~(uint64_t)(ENV_ALIGN - 1));
        uint8_t *p;

        at += size;
        if (i % step != 0 && i + 1 != b->record_count)
            continue;
        p = xaligned(ENV_ALIGN, span);
        rc = env_pread(b->out.file, p, span, from, &got);
        if (rc == 0 &&
            (got != span || !seg_block_is_good(b->out.id, at - size, p + (at - size - from), size,
                                               SEG_BLOCK_DATA)))
            rc = DIAG(ERR_IO, "segment \"%s\": what was written does not read back", b->o.path);
        xfree_aligned(p);
    }
    return rc;
}

int
segment_builder_finish(struct segment_builder *b, struct segment_result *out)
{
    struct seg_footer f = { 0 };
    int rc = b->failed;

    CHECK(b->props.version_count > 0); /* a builder that was given nothing is discarded */
    if (rc == 0)
        rc = data_cut(b, NULL);
    if (rc == 0 && b->o.codec == CODEC_ZSTD_DICT && !b->dict_decided)
        rc = dict_decide(b);
    if (rc == 0)
        rc = describe(b, &f);
    if (rc == 0)
        rc = seg_output_finish(&b->out, &f);
    if (rc == 0 && b->o.read_back)
        rc = read_back(b);
    if (rc == 0)
        *out = (struct segment_result){ b->out.id, f.file_bytes, b->out.hash };
    builder_free(b, rc != 0);
    return rc;
}
