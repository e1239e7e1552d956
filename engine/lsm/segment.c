/* An open segment: its file, the parts that stay in memory, reading blocks.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/lsm/segment_int.h"

#include <stdio.h>

#include "engine/base/fiber.h"

/* ---- errors --------------------------------------------------------------------------------- */

static void
print_key(char *out, size_t cap, struct slice key)
{
    size_t n = 0;

    for (size_t i = 0; i < key.size && n + 5 < cap; i++)
        n += (size_t)snprintf(out + n, cap - n, "%02x", key.data[i]);
    if (key.size * 2 + 5 >= cap)
        snprintf(out + n, cap - n, "..");
    else if (key.size == 0)
        snprintf(out, cap, "''");
}

int
seg_corrupt(struct segment *s, uint64_t offset, const char *what)
{
    char lo[64], hi[64];
    int rc = DIAG(ERR_CORRUPT, "segment \"%s\": block at %lu: %s", s->path, offset, what);

    if (s->props.tree == 0)
        return rc; /* not known yet */
    print_key(lo, sizeof lo, s->props.key_min);
    print_key(hi, sizeof hi, s->props.key_max);
    diag_detail("It holds rows of tree %lu with keys from %s to %s.", s->props.tree, lo, hi);
    return rc;
}

/* ---- reading -------------------------------------------------------------------------------- */

int
seg_read(struct segment *s, uint64_t offset, size_t size, struct seg_buffer *out)
{
    uint64_t from = offset, to = offset + size;
    size_t got = 0, span;
    int rc;

    *out = (struct seg_buffer){ .offset = offset, .size = size, .aligned = s->se.direct };
    if (s->se.direct) {
        from &= ~(uint64_t)(ENV_ALIGN - 1);
        to = (to + ENV_ALIGN - 1) & ~(uint64_t)(ENV_ALIGN - 1);
    }
    span = (size_t)(to - from);
    out->memory = s->se.direct ? xaligned(ENV_ALIGN, span) : xmalloc(span);
    out->at = (const uint8_t *)out->memory + (offset - from);
    rc = env_pread(s->file, out->memory, span, from, &got);
    if (rc == 0 && got < offset - from + size)
        rc = seg_corrupt(s, offset, "the file ends before it");
    if (rc != 0) {
        seg_buffer_free(out);
        return rc;
    }
    seg_count(&s->block_reads, 1);
    seg_count(&s->read_bytes, size);
    return 0;
}

void
seg_buffer_free(struct seg_buffer *b)
{
    if (b->aligned)
        xfree_aligned(b->memory);
    else
        xfree(b->memory);
    *b = (struct seg_buffer){ 0 };
}

/* Decodes good bytes; what then does not fit was written so. */
MUST_CHECK
static int
decode(struct segment *s, struct seg_handle at, enum seg_block_type type, const uint8_t *stored,
       struct block **out)
{
    int rc = seg_block_decode(s->se.codecs, s->dict, type, stored, at.size, out);

    if (rc == ERR_CORRUPT) {
        char what[200];

        snprintf(what, sizeof what, "%.199s", diag_last()->message);
        return seg_corrupt(s, at.offset, what);
    }
    if (rc == 0) {
        (*out)->item.file = s->cache_file;
        (*out)->item.offset = at.offset;
    }
    return rc;
}

/* The block once its bytes have proved damaged: read again (it may have been the way, not the
 * disk), then asked for elsewhere. */
MUST_CHECK
static int
decode_mended(struct segment *s, struct seg_handle at, enum seg_block_type type, struct block **out)
{
    struct seg_buffer again;
    uint8_t *mended;
    int rc;

    seg_count(&s->checksum_failures, 1);
    rc = seg_read(s, at.offset, at.size, &again);
    if (rc == 0) {
        if (seg_block_is_good(s->footer.id, at.offset, again.at, at.size, type)) {
            rc = decode(s, at, type, again.at, out);
            seg_buffer_free(&again);
            return rc;
        }
        seg_buffer_free(&again);
    }
    if (s->se.repair == NULL)
        return seg_corrupt(s, at.offset, "checksum does not match");
    mended = xmalloc(at.size);
    rc = s->se.repair->fn(s->se.repair->arg, &s->props, at.offset, mended, at.size);
    if (rc == 0 && seg_block_is_good(s->footer.id, at.offset, mended, at.size, type)) {
        seg_count(&s->mended, 1);
        rc = decode(s, at, type, mended, out);
    } else {
        rc = seg_corrupt(s, at.offset, "checksum does not match, and no other copy was found");
    }
    xfree(mended);
    return rc;
}

struct read_job {
    struct segment *segment;
    struct seg_handle at;
    enum seg_block_type type;
    struct block *block;
};

static int
read_job_th(void *arg)
{
    struct read_job *j = arg;
    struct seg_buffer b;
    int rc = seg_read(j->segment, j->at.offset, j->at.size, &b);

    if (rc != 0)
        return rc;
    if (seg_block_is_good(j->segment->footer.id, j->at.offset, b.at, j->at.size, j->type))
        rc = decode(j->segment, j->at, j->type, b.at, &j->block);
    else
        rc = decode_mended(j->segment, j->at, j->type, &j->block);
    seg_buffer_free(&b);
    return rc;
}

static int
mend_job_th(void *arg)
{
    struct read_job *j = arg;

    return decode_mended(j->segment, j->at, j->type, &j->block);
}

/* On a pool thread when a fiber asks and there is a pool; else here. */
MUST_CHECK
static int
run(struct segment *s, int (*fn)(void *arg), void *arg)
{
    if (s->se.jobs != NULL && fiber_self() != NULL)
        return job_run(s->se.jobs, fn, arg);
    return fn(arg);
}

static struct block *
keep(struct segment *s, struct block *b, enum seg_fill fill)
{
    return block_of(fill == SEG_FILL ? cache_insert(s->se.cache, &b->item)
                                     : cache_pass(s->se.cache, &b->item));
}

int
seg_block(struct segment *s, struct seg_handle at, enum seg_block_type type, enum seg_fill fill,
          struct block **out)
{
    struct cache_item *item = cache_lookup(s->se.cache, s->cache_file, at.offset);
    struct read_job j = { s, at, type, NULL };
    int rc;

    if (item != NULL) {
        *out = block_of(item);
        return 0;
    }
    rc = run(s, read_job_th, &j);
    if (rc != 0)
        return rc;
    *out = keep(s, j.block, fill);
    return 0;
}

int
seg_block_from(struct segment *s, struct seg_handle at, enum seg_block_type type,
               const struct seg_buffer *from, enum seg_fill fill, struct block **out)
{
    struct read_job j = { s, at, type, NULL };
    const uint8_t *stored = from->at + (at.offset - from->offset);
    int rc;

    if (seg_block_is_good(s->footer.id, at.offset, stored, at.size, type))
        rc = decode(s, at, type, stored, &j.block);
    else
        rc = run(s, mend_job_th, &j);
    if (rc != 0)
        return rc;
    *out = keep(s, j.block, fill);
    return 0;
}

int
seg_index(struct segment *s, uint32_t i, enum seg_fill fill, struct block **out)
{
    if (s->footer.levels == 1) {
        *out = s->top;
        return 0;
    }
    return seg_block(s, index_handle(s->top, i), SEG_BLOCK_INDEX, fill, out);
}

/* ---- opening -------------------------------------------------------------------------------- */

/* A block that stays with the segment instead of entering the cache. Charged. */
MUST_CHECK
static int
own_block(struct segment *s, struct seg_handle at, enum seg_block_type type, struct block **out)
{
    struct read_job j = { s, at, type, NULL };
    int rc = read_job_th(&j);

    if (rc != 0)
        return rc;
    if (s->se.budget != NULL) {
        rc = budget_charge(s->se.budget, j.block->item.charge);
        if (rc != 0) {
            block_free(j.block);
            return rc;
        }
        s->charged += j.block->item.charge;
    }
    *out = j.block;
    return 0;
}

MUST_CHECK
static int
open_ends(struct segment *s, struct segment_id expected)
{
    struct seg_buffer b;
    struct segment_id head = { 0, 0 };
    uint64_t bytes = 0;
    int rc = env_size(s->file, &bytes);

    if (rc != 0)
        return rc;
    if (bytes < ENV_ALIGN || bytes % ENV_ALIGN != 0 || bytes > INT64_MAX)
        return DIAG(ERR_CORRUPT, "its size is %lu", bytes);
    rc = seg_read(s, bytes - SEG_FOOTER_SIZE, SEG_FOOTER_SIZE, &b);
    if (rc != 0)
        return rc;
    rc = seg_footer_decode(b.at, bytes, &s->footer);
    seg_buffer_free(&b);
    if (rc == 0)
        rc = seg_read(s, 0, SEG_HEADER_SIZE, &b);
    if (rc != 0)
        return rc;
    rc = seg_header_decode(b.at, &head);
    seg_buffer_free(&b);
    if (rc != 0)
        return rc;
    if (head.file != s->footer.id.file || head.nonce != s->footer.id.nonce)
        return DIAG(ERR_CORRUPT, "header and footer are of two files");
    if (head.file != expected.file || (expected.nonce != 0 && head.nonce != expected.nonce))
        return DIAG(ERR_CORRUPT, "it is file %lu.%016lx instead of %lu.%016lx", head.file,
                    head.nonce, expected.file, expected.nonce);
    return 0;
}

MUST_CHECK
static int
open_props(struct segment *s)
{
    int rc;

    s->props.id = s->footer.id;
    rc = own_block(s, s->footer.props, SEG_BLOCK_PROPS, &s->props_block);
    if (rc != 0)
        return rc;
    rc = seg_props_decode(slice(s->props_block->data, s->props_block->size), &s->props, &s->txids);
    if (rc != 0)
        diag_context("segment \"%s\"", s->path);
    s->props.file_bytes = s->footer.file_bytes;
    return rc;
}

MUST_CHECK
static int
open_dict(struct segment *s)
{
    struct block *b;
    int rc;

    if (s->footer.dict.size == 0)
        return 0;
    rc = own_block(s, s->footer.dict, SEG_BLOCK_DICT, &b);
    if (rc != 0)
        return rc;
    rc = codec_dict_new(b->data, b->size, 0, &s->dict);
    block_free(b); /* its charge stands for the dictionary */
    return rc;
}

/* The filter is a convenience: without it everything is "maybe" (B6). */
static void
open_filter(struct segment *s)
{
    int rc;

    if (s->footer.filter.size == 0)
        return;
    rc = own_block(s, s->footer.filter, SEG_BLOCK_FILTER, &s->filter_block);
    if (rc == 0)
        rc = filter_open(&s->filter, slice(s->filter_block->data, s->filter_block->size));
    s->filter_absent = rc == ERR_NOMEM;
    s->filter_bad = rc != 0 && rc != ERR_NOMEM;
    if (rc != 0)
        diag_clear();
}

/* What the index names must lie among the data blocks (or, in the top of two levels, before the
 * footer): the blocks themselves are checked when they are read. */
MUST_CHECK
static int
open_index(struct segment *s)
{
    uint64_t end =
        s->footer.levels == 1 ? s->footer.data_end : s->footer.file_bytes - SEG_FOOTER_SIZE;
    int rc = own_block(s, s->footer.index, SEG_BLOCK_INDEX, &s->top);

    if (rc != 0)
        return rc;
    if (s->top->offset[0] < SEG_HEADER_SIZE || s->top->offset[s->top->count] > end)
        return seg_corrupt(s, s->footer.index.offset, "the index points outside the file");
    return 0;
}

static void
segment_free(struct segment *s)
{
    block_free(s->top);
    block_free(s->filter_block);
    block_free(s->props_block);
    codec_dict_free(s->dict);
    xfree(s->txids);
    if (s->se.budget != NULL)
        budget_release(s->se.budget, s->charged);
    env_close(s->file);
    xfree(s->path);
    xfree(s);
}

int
segment_open(const struct segment_env *se, const char *path, struct segment_id id,
             struct segment **out)
{
    struct segment *s = xcalloc(1, sizeof *s);
    int rc;

    *out = NULL;
    s->se = *se;
    s->path = xstrdup(path);
    atomic_init(&s->refs, 1);
    s->cache_file = cache_new_file(se->cache);
    rc = env_open(se->env, path, ENV_READ | (se->direct ? ENV_DIRECT : 0), &s->file);
    if (rc == 0) {
        rc = open_ends(s, id);
        if (rc != 0)
            diag_context("segment \"%s\"", path);
    }
    if (rc == 0)
        rc = open_props(s);
    if (rc == 0)
        rc = open_dict(s);
    if (rc == 0)
        rc = open_index(s);
    if (rc != 0) {
        segment_free(s);
        return rc;
    }
    open_filter(s);
    *out = s;
    return 0;
}

void
segment_ref(struct segment *s)
{
    CHECK(atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed) > 0);
}

void
segment_unref(struct segment *s)
{
    if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (atomic_load(&s->unlink)) {
        struct diag kept = *diag_last();

        if (env_unlink(s->se.env, s->path) != 0)
            diag_restore(&kept); /* the file is removed at the next start */
    }
    segment_free(s);
}

void
segment_unlink_at_close(struct segment *s)
{
    atomic_store(&s->unlink, true);
}

/* ---- what it says of itself ----------------------------------------------------------------- */

const struct segment_props *
segment_props(const struct segment *s)
{
    return &s->props;
}

bool
segment_maybe(struct segment *s, struct slice key, uint64_t hash)
{
    filter_prefetch(&s->filter, hash);
    if (slice_cmp(key, s->props.key_min) < 0 || slice_cmp(key, s->props.key_max) > 0)
        return false;
    if (filter_maybe(&s->filter, hash))
        return true;
    seg_count(&s->filter_negatives, 1);
    return false;
}

int
segment_bytes_below(struct segment *s, struct slice key, uint64_t *bytes)
{
    uint32_t i = index_seek(s->top, key), j;
    struct block *index;
    int rc;

    *bytes = s->footer.data_end - SEG_HEADER_SIZE;
    if (i == s->top->count)
        return 0;
    if (s->footer.levels == 1) {
        *bytes = s->top->offset[i] - SEG_HEADER_SIZE;
        return 0;
    }
    rc = seg_index(s, i, SEG_FILL, &index);
    if (rc != 0)
        return rc;
    j = index_seek(index, key);
    *bytes = index->offset[j < index->count ? j : index->count - 1] - SEG_HEADER_SIZE;
    seg_index_unpin(s, index);
    return 0;
}

void
segment_get_figures(const struct segment *s, struct segment_figures *out)
{
#define FIGURE(name) .name = atomic_load_explicit(&s->name, memory_order_relaxed)
    *out =
        (struct segment_figures){ FIGURE(block_reads),         FIGURE(read_bytes),
                                  FIGURE(filter_negatives),    FIGURE(filter_false),
                                  FIGURE(checksum_failures),   FIGURE(mended),
                                  .filter_bad = s->filter_bad, .filter_absent = s->filter_absent };
#undef FIGURE
}
