/* The block cache: decoded blocks of segments, shared by all trees of a node.
 *
 * Sharded by a hash of the key. Replacement is S3-FIFO: what is new enters a small queue, and only
 * what is asked for again while there moves to the main queue, so that a scan passes through
 * without pushing out what is in use; keys lately dropped are remembered as ghosts and enter the
 * main queue at once. A hit moves nothing: it counts, and takes a reference. Nothing is copied.
 *
 * Threads: any. A shard's latch is held for a few dozen instructions and never across an env call.
 * No function parks or reads: who misses reads the block and inserts it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_LSM_CACHE_H
#define ENGINE_LSM_CACHE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/list.h"

struct cache;
struct env;

/* The head of whatever is cached, embedded in it. The owner fills the first four fields before it
 * inserts it; the rest is the cache's. */
struct cache_item {
    uint64_t file;   /* from cache_new_file */
    uint64_t offset; /* of the block in it */
    size_t charge;   /* bytes of memory that it holds, this head included */
    void (*free)(struct cache_item *item);
    _Atomic uint32_t refs;      /* pins, and one for being in the cache */
    _Atomic uint32_t uses;      /* asked for since it was last looked at, at most 3 */
    struct cache_item *in_hash; /* next in a bucket of cache_shard.buckets */
    struct list in_queue;       /* of cache_shard.small or .main */
    uint32_t hash;
    uint8_t queue;
};

/* capacity 0: caches nothing (every insert gives back an item of the caller's own). */
struct cache *cache_new(struct env *env, size_t capacity);
void cache_free(struct cache *c); /* nothing may be pinned */

/* A number for an open file, never given before by this cache, so that blocks of a file that is
 * gone are never taken for another's. */
uint64_t cache_new_file(struct cache *c);

/* The item, pinned, or NULL. */
struct cache_item *cache_lookup(struct cache *c, uint64_t file, uint64_t offset);
/* Hands the item over and gives it back pinned; or, when another thread was faster, frees it and
 * gives the other's, pinned. Evicts to stay within the capacity; what does not fit because too much
 * is pinned stays outside and is freed at its last unpin. */
struct cache_item *cache_insert(struct cache *c, struct cache_item *item);
/* The same for a block that is used once (a merge, a big scan that asks for it): never stored, only
 * counted; freed at the last unpin. */
struct cache_item *cache_pass(struct cache *c, struct cache_item *item);
void cache_pin(struct cache_item *item); /* once more; the caller holds a pin */
void cache_unpin(struct cache_item *item);
/* Drops every block of a file; pinned ones are freed at their last unpin. Walks the whole cache:
 * not on a worker. Not needed for correctness: blocks of closed files age out. */
void cache_drop_file(struct cache *c, uint64_t file);
/* Evicts down to the new capacity where pins allow. */
void cache_set_capacity(struct cache *c, size_t capacity);

struct cache_figures {
    uint64_t hits, misses, inserts, evictions, ghost_hits, passed, too_big;
    size_t used, capacity;
    uint64_t items;
};
void cache_get_figures(struct cache *c, struct cache_figures *out);

#endif
