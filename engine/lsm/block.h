/* Data and index blocks in memory: decoded, searched, walked. The bytes are in segment_format.h.
 *
 * block_open checks a block as a whole, so that what follows may rely on its shape: every entry
 * lies inside, keys and versions ascend, restarts are where they should be. It builds small tables
 * beside the bytes: for each restart (or index separator) the eight bytes that tell keys apart, as
 * a number.
 *
 * A block is immutable and shared; iterators belong to one task.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_LSM_BLOCK_H
#define ENGINE_LSM_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/bytes.h"
#include "engine/lsm/cache.h"
#include "engine/lsm/segment_format.h"
#include "engine/lsm/version.h"

struct block {
    struct cache_item item; /* must be first: the cache frees through it */
    enum seg_block_type type;
    uint32_t size;  /* of the entries (data), or of everything (others) */
    uint32_t count; /* restarts of a data block, blocks named by an index */
    uint32_t entry_count;
    uint32_t skip;          /* bytes that all keys of the table share */
    uint64_t base;          /* data: SCN that stamps count from */
    uint8_t *data;          /* the bytes, and some zeros after them */
    void *tables;           /* the memory of the arrays below */
    const uint64_t *prefix; /* count: of the restart's key or the separator */
    const uint32_t *at;     /* count: offset of the restart, or of the separator */
    /* index only */
    const uint32_t *key_size; /* count: of the separators */
    const uint64_t *offset;   /* count + 1: of the blocks in the file */
    const uint32_t *bytes;    /* count: stored sizes */
    const uint64_t *last;     /* count: stamp of the last version if the key goes on, else 0 */
};

static inline struct block *
block_of(struct cache_item *item)
{
    return (struct block *)(void *)item;
}

/* Memory for a block of `size` bytes, to be filled at ->data. */
struct block *block_new(enum seg_block_type type, size_t size);
void block_free(struct block *b); /* NULL allowed; not once the cache has it */
/* Checks the bytes, builds the tables, sets item.charge and item.free. ERR_CORRUPT: the block is
 * still the caller's to free. Blocks that are neither data nor index are taken as they are. */
MUST_CHECK
int block_open(struct block *b);

/* ---- data blocks ---------------------------------------------------------------------------- */

struct entry {
    const uint8_t *key; /* the bytes that follow the shared ones */
    const uint8_t *value;
    uint32_t shared, unshared, value_size;
    uint32_t next; /* offset of the entry after it */
    stamp_t stamp;
    uint64_t seq;
    scn_t superseded;
    uint8_t kind;
    bool same_key;
};

/* Decodes the entry at an offset below b->size. False: it does not fit (never in an open block). */
bool block_entry(const struct block *b, uint32_t at, struct entry *e);
/* Finds the first entry whose key is >= key. Returns its offset, or b->size when there is none;
 * *equal: its key is `key`. */
uint32_t block_seek(const struct block *b, struct slice key, struct entry *e, bool *equal);

/* Walks the versions of a data block both ways and puts their keys together. */
struct block_iter {
    const struct block *block; /* the caller keeps it pinned */
    uint32_t at;               /* offset of the current entry; block->size: none */
    uint32_t next;
    struct version_ref v; /* the current version; v.key lies in `key` */
    uint8_t *key;
    size_t key_size, key_cap;
};
void block_iter_init(struct block_iter *it);
void block_iter_fini(struct block_iter *it);
void block_iter_set(struct block_iter *it, const struct block *b); /* not positioned */
static inline bool
block_iter_valid(const struct block_iter *it)
{
    return it->block != NULL && it->at < it->block->size;
}
void block_iter_first(struct block_iter *it);
void block_iter_last(struct block_iter *it);
void block_iter_seek(struct block_iter *it, struct slice key);    /* first >= key */
void block_iter_seek_lt(struct block_iter *it, struct slice key); /* last < key */
void block_iter_next(struct block_iter *it);                      /* valid before */
void block_iter_prev(struct block_iter *it);                      /* likewise */

/* ---- index blocks --------------------------------------------------------------------------- */

static inline struct slice
index_key(const struct block *b, uint32_t i)
{
    return slice(b->data + b->at[i], b->key_size[i]);
}
/* The first block that may hold keys >= key; b->count when there is none. */
uint32_t index_seek(const struct block *b, struct slice key);

/* ---- building ------------------------------------------------------------------------------- */

struct block_builder {
    struct writer entries;
    struct writer restarts;
    uint32_t entry_count;
    uint64_t base;
    bool has_base;
    uint8_t *key; /* of the entry before */
    size_t key_size;
};
void block_builder_init(struct block_builder *b);
void block_builder_fini(struct block_builder *b);
void block_builder_reset(struct block_builder *b);
/* In the order of version_cmp. */
void block_builder_add(struct block_builder *b, const struct version_ref *v);
static inline size_t
block_builder_bytes(const struct block_builder *b)
{
    return b->entries.size + b->restarts.size + SEG_DATA_TAIL_SIZE;
}
/* The bytes; valid until the next call. */
MUST_CHECK
int block_builder_finish(struct block_builder *b, struct slice *out);

#endif
