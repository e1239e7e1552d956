/* Inside of segments: an open file, its blocks, the parts that building and reading share.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_LSM_SEGMENT_INT_H
#define ENGINE_LSM_SEGMENT_INT_H

#include <stdatomic.h>

#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/lsm/block.h"
#include "engine/lsm/filter.h"
#include "engine/lsm/segment.h"

/* Where a block is stored, its tail included. size 0: there is none. */
struct seg_handle {
    uint64_t offset;
    uint32_t size;
};

struct seg_footer {
    struct segment_id id;
    uint64_t file_bytes, data_end;
    struct seg_handle index, props, filter, dict;
    int levels;
};

struct segment {
    struct segment_env se;
    char *path;
    struct env_file *file;
    uint64_t cache_file; /* from cache_new_file */
    struct seg_footer footer;
    struct segment_props props;
    struct block *props_block; /* what the slices of props point into */
    txid_t *txids;             /* props.txids */
    struct block *top;
    struct block *filter_block;
    struct filter filter;
    struct codec_dict *dict;
    size_t charged; /* to se.budget */
    _Atomic uint32_t refs;
    _Atomic bool unlink;
    bool filter_bad, filter_absent;
    /* Figures: stored without a lock, so that a count may now and then be lost. */
    _Atomic uint64_t block_reads, read_bytes, filter_negatives, filter_false;
    _Atomic uint64_t checksum_failures, mended;
};

static inline void
seg_count(_Atomic uint64_t *figure, uint64_t n)
{
    atomic_store_explicit(figure, atomic_load_explicit(figure, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* ---- formats (segment_format.c) ------------------------------------------------------------- */

/* The checksum of a stored block, of which `size` bytes with the tail but for its last four. */
uint32_t seg_block_crc(struct segment_id id, uint64_t offset, const void *stored, size_t size);
/* Whether the stored bytes are the block of this type that was written at this offset. */
bool seg_block_is_good(struct segment_id id, uint64_t offset, const uint8_t *stored, size_t size,
                       enum seg_block_type type);
/* Decompresses and opens a block whose checksum is good. */
MUST_CHECK
int seg_block_decode(struct codec_pool *codecs, const struct codec_dict *dict,
                     enum seg_block_type type, const uint8_t *stored, size_t size,
                     struct block **out);
void seg_header_encode(uint8_t out[SEG_HEADER_SIZE], struct segment_id id);
MUST_CHECK
int seg_header_decode(const uint8_t in[SEG_HEADER_SIZE], struct segment_id *id);
void seg_footer_encode(uint8_t out[SEG_FOOTER_SIZE], const struct seg_footer *f);
MUST_CHECK
int seg_footer_decode(const uint8_t in[SEG_FOOTER_SIZE], uint64_t file_bytes, struct seg_footer *f);
void seg_props_encode(struct writer *w, const struct segment_props *p);
/* Slices point into `in`; *txids is the caller's to free. */
MUST_CHECK
int seg_props_decode(struct slice in, struct segment_props *p, txid_t **txids);

/* ---- reading (segment.c) -------------------------------------------------------------------- */

/* A piece of the file in memory, at ->at. */
struct seg_buffer {
    void *memory;
    const uint8_t *at;
    uint64_t offset;
    size_t size;
    bool aligned;
};
MUST_CHECK
int seg_read(struct segment *s, uint64_t offset, size_t size, struct seg_buffer *out);
void seg_buffer_free(struct seg_buffer *b);

enum seg_fill { SEG_FILL, SEG_NO_FILL };
/* The block, pinned: from the cache or from the file. May park. */
MUST_CHECK
int seg_block(struct segment *s, struct seg_handle at, enum seg_block_type type, enum seg_fill fill,
              struct block **out);
/* The same from bytes that have been read already. Does not park unless they are damaged. */
MUST_CHECK
int seg_block_from(struct segment *s, struct seg_handle at, enum seg_block_type type,
                   const struct seg_buffer *from, enum seg_fill fill, struct block **out);
static inline void
seg_unpin(struct block *b)
{
    if (b != NULL)
        cache_unpin(&b->item);
}
static inline struct seg_handle
index_handle(const struct block *index, uint32_t i)
{
    return (struct seg_handle){ index->offset[i], index->bytes[i] };
}
/* The index block i of the top, pinned; with one level, the top itself. Give back by
 * seg_index_unpin. */
MUST_CHECK
int seg_index(struct segment *s, uint32_t i, enum seg_fill fill, struct block **out);
static inline void
seg_index_unpin(struct segment *s, struct block *index)
{
    if (index != s->top)
        seg_unpin(index);
}
static inline uint32_t
seg_index_count(const struct segment *s)
{
    return s->footer.levels == 1 ? 1 : s->top->count;
}
/* Records ERR_CORRUPT with file, block, tree and key range. */
int seg_corrupt(struct segment *s, uint64_t offset, const char *what);

/* ---- writing (segment_output.c) ------------------------------------------------------------- */

/* The file while it is built: appended to in aligned pieces, hashed on the way. */
struct seg_output {
    const struct segment_build *o;
    struct segment_id id;
    struct env_file *file;
    uint8_t *buffer; /* SEG_PIECE bytes, aligned */
    size_t fill;
    uint64_t flushed; /* bytes in the file */
    struct hash128 hash;
};
enum { SEG_PIECE = 1 << 20 };
MUST_CHECK
int seg_output_open(struct seg_output *f, const struct segment_build *o);
void seg_output_close(struct seg_output *f, bool unlink);
static inline uint64_t
seg_output_offset(const struct seg_output *f)
{
    return f->flushed + f->fill;
}
MUST_CHECK
int seg_output_append(struct seg_output *f, const void *data, size_t size);
/* Compresses (when that pays), checks what came out, appends. `scratch` is memory for it. */
MUST_CHECK
int seg_output_block(struct seg_output *f, enum seg_block_type type, enum codec codec,
                     const struct codec_dict *dict, struct slice raw, struct writer *scratch,
                     struct seg_handle *out);
/* Pads, appends the footer, syncs. */
MUST_CHECK
int seg_output_finish(struct seg_output *f, struct seg_footer *footer);

#endif
