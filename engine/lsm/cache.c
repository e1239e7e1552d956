/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/lsm/cache.h"

#include <stdbool.h>
#include <string.h>

#include "engine/base/env.h"
#include "engine/base/mem.h"

enum {
    SHARDS_MAX = 64,
    SHARD_BYTES_MIN = 4 << 20, /* smaller shards would not hold enough blocks to choose from */
    BUCKETS_MIN = 64,
    SMALL_PERCENT = 10,
    USES_MAX = 3,
    PAUSES_BEFORE_YIELD = 64,
    DROP_STRIDE = 256, /* buckets looked at in one go */
};

enum queue { QUEUE_NONE, QUEUE_SMALL, QUEUE_MAIN };

/* A key that was dropped from the small queue lately. */
struct ghost {
    uint32_t hash;
    uint32_t turn; /* shard.turn when it was dropped; 0: none */
};

struct shard {
    _Alignas(64) _Atomic uint32_t latch; /* on everything below */
    uint32_t bucket_count;               /* a power of two; ghosts: as many */
    struct cache_item **buckets;
    struct ghost *ghosts;
    uint32_t count;      /* items */
    uint32_t main_count; /* of those, in the main queue */
    uint32_t turn;       /* drops from the small queue */
    struct list small;   /* of cache_item.in_queue, oldest first */
    struct list main;    /* likewise */
    size_t small_bytes, main_bytes, capacity;
    struct cache_figures figures;
};

struct cache {
    struct env *env;
    _Atomic uint64_t next_file;
    unsigned shard_bits;
    struct shard *shards;
};

/* ---- latches and hashing -------------------------------------------------------------------- */

static void
shard_latch(struct cache *c, struct shard *s)
{
    unsigned turns = 0;

    while (atomic_exchange_explicit(&s->latch, 1, memory_order_acquire) != 0)
        if (++turns % PAUSES_BEFORE_YIELD == 0)
            env_thread_yield(c->env);
}

static void
shard_unlatch(struct shard *s)
{
    atomic_store_explicit(&s->latch, 0, memory_order_release);
}

static uint64_t
key_hash(uint64_t file, uint64_t offset)
{
    uint64_t h = (file * 0x9e3779b97f4a7c15ull ^ offset) * 0xff51afd7ed558ccdull;

    h = (h ^ h >> 32) * 0xc4ceb9fe1a85ec53ull;
    return h ^ h >> 29;
}

static struct shard *
shard_of(struct cache *c, uint64_t hash)
{
    return &c->shards[c->shard_bits == 0 ? 0 : hash >> (64 - c->shard_bits)];
}

/* ---- life ----------------------------------------------------------------------------------- */

static void
shard_size(struct cache *c, size_t capacity)
{
    unsigned shards = 1u << c->shard_bits;

    for (unsigned i = 0; i < shards; i++)
        c->shards[i].capacity = capacity / shards;
}

struct cache *
cache_new(struct env *env, size_t capacity)
{
    struct cache *c = xcalloc(1, sizeof *c);

    c->env = env;
    while (1u << c->shard_bits < SHARDS_MAX &&
           capacity >> (c->shard_bits + 1) >= (size_t)SHARD_BYTES_MIN)
        c->shard_bits++;
    c->shards = xaligned(64, sizeof *c->shards << c->shard_bits);
    memset((void *)c->shards, 0, sizeof *c->shards << c->shard_bits);
    for (unsigned i = 0; i < 1u << c->shard_bits; i++) {
        struct shard *s = &c->shards[i];

        s->bucket_count = BUCKETS_MIN;
        s->buckets = xcalloc(s->bucket_count, sizeof *s->buckets);
        s->ghosts = xcalloc(s->bucket_count, sizeof *s->ghosts);
        list_init(&s->small);
        list_init(&s->main);
    }
    shard_size(c, capacity);
    return c;
}

void
cache_unpin(struct cache_item *item)
{
    uint32_t before = atomic_fetch_sub_explicit(&item->refs, 1, memory_order_acq_rel);

    CHECK(before > 0);
    if (before == 1)
        item->free(item);
}

void
cache_pin(struct cache_item *item)
{
    uint32_t before = atomic_fetch_add_explicit(&item->refs, 1, memory_order_relaxed);

    CHECK(before > 0);
}

static void
unpin_all(struct cache_item *dropped)
{
    while (dropped != NULL) {
        struct cache_item *next = dropped->in_hash;

        cache_unpin(dropped);
        dropped = next;
    }
}

uint64_t
cache_new_file(struct cache *c)
{
    return atomic_fetch_add_explicit(&c->next_file, 1, memory_order_relaxed) + 1;
}

/* ---- one shard, latched --------------------------------------------------------------------- */

static struct cache_item **
bucket_find(struct shard *s, uint64_t file, uint64_t offset, uint32_t hash)
{
    struct cache_item **link = &s->buckets[hash & (s->bucket_count - 1)];

    while (*link != NULL && ((*link)->offset != offset || (*link)->file != file))
        link = &(*link)->in_hash;
    return link;
}

static void
shard_grow(struct shard *s)
{
    uint32_t count = s->bucket_count * 2;
    struct cache_item **buckets = xcalloc(count, sizeof *buckets);

    for (uint32_t i = 0; i < s->bucket_count; i++) {
        struct cache_item *item = s->buckets[i];

        while (item != NULL) {
            struct cache_item *next = item->in_hash, **to = &buckets[item->hash & (count - 1)];

            item->in_hash = *to;
            *to = item;
            item = next;
        }
    }
    xfree(s->buckets);
    xfree(s->ghosts);
    s->buckets = buckets;
    s->bucket_count = count;
    s->ghosts = xcalloc(count, sizeof *s->ghosts); /* a short loss of memory, and seldom */
}

static void
queue_push(struct shard *s, struct cache_item *item, enum queue q)
{
    item->queue = (uint8_t)q;
    if (q == QUEUE_SMALL) {
        list_push_back(&s->small, &item->in_queue);
        s->small_bytes += item->charge;
    } else {
        list_push_back(&s->main, &item->in_queue);
        s->main_bytes += item->charge;
        s->main_count++;
    }
}

static void
queue_remove(struct shard *s, struct cache_item *item)
{
    list_remove(&item->in_queue);
    if (item->queue == QUEUE_SMALL) {
        s->small_bytes -= item->charge;
    } else {
        s->main_bytes -= item->charge;
        s->main_count--;
    }
    item->queue = QUEUE_NONE;
}

/* Out of the shard and onto the list of those to unpin once the latch is free. */
static void
item_drop(struct shard *s, struct cache_item *item, struct cache_item **dropped)
{
    struct cache_item **link = bucket_find(s, item->file, item->offset, item->hash);

    CHECK(*link == item);
    *link = item->in_hash;
    s->count--;
    queue_remove(s, item);
    item->in_hash = *dropped;
    *dropped = item;
}

static void
ghost_remember(struct shard *s, uint32_t hash)
{
    struct ghost *g = &s->ghosts[hash & (s->bucket_count - 1)];

    if (++s->turn == 0)
        s->turn = 1;
    *g = (struct ghost){ hash, s->turn };
}

/* Whether the key was dropped not longer ago than the main queue is long. */
static bool
ghost_take(struct shard *s, uint32_t hash)
{
    struct ghost *g = &s->ghosts[hash & (s->bucket_count - 1)];
    uint32_t span = s->main_count > BUCKETS_MIN ? s->main_count : BUCKETS_MIN;

    if (g->turn == 0 || g->hash != hash || s->turn - g->turn > span)
        return false;
    g->turn = 0;
    return true;
}

/* Pinned by somebody besides the cache. New pins come only from lookups, under the latch. */
static bool
item_is_pinned(const struct cache_item *item)
{
    return atomic_load_explicit(&item->refs, memory_order_relaxed) > 1;
}

/* Looks at the oldest item of a queue and drops it or gives it another turn. */
static void
evict_step(struct shard *s, struct cache_item **dropped)
{
    bool small = !list_empty(&s->small) &&
                 (list_empty(&s->main) || s->small_bytes * 100 > s->capacity * SMALL_PERCENT);
    struct cache_item *item =
        container_of(small ? s->small.next : s->main.next, struct cache_item, in_queue);
    uint32_t uses = atomic_load_explicit(&item->uses, memory_order_relaxed);

    if (item_is_pinned(item) || uses > (small ? 1u : 0u)) {
        queue_remove(s, item);
        queue_push(s, item, QUEUE_MAIN);
        if (!item_is_pinned(item))
            atomic_store_explicit(&item->uses, small ? 0 : uses - 1, memory_order_relaxed);
        return;
    }
    if (small)
        ghost_remember(s, item->hash);
    s->figures.evictions++;
    item_drop(s, item, dropped);
}

/* Makes room for `charge` more bytes. False: too much is pinned. */
static bool
shard_make_room(struct shard *s, size_t charge, struct cache_item **dropped)
{
    uint64_t steps = ((uint64_t)s->count + 1) * (USES_MAX + 2);

    while (s->small_bytes + s->main_bytes + charge > s->capacity && s->count > 0 && steps-- > 0)
        evict_step(s, dropped);
    return s->small_bytes + s->main_bytes + charge <= s->capacity;
}

static struct cache_item *
item_use(struct cache_item *item)
{
    uint32_t uses = atomic_load_explicit(&item->uses, memory_order_relaxed);

    if (uses < USES_MAX)
        atomic_store_explicit(&item->uses, uses + 1, memory_order_relaxed);
    cache_pin(item);
    return item;
}

/* ---- the cache ------------------------------------------------------------------------------ */

struct cache_item *
cache_lookup(struct cache *c, uint64_t file, uint64_t offset)
{
    uint64_t hash = key_hash(file, offset);
    struct shard *s = shard_of(c, hash);
    struct cache_item *item;

    shard_latch(c, s);
    item = *bucket_find(s, file, offset, (uint32_t)hash);
    if (item != NULL) {
        (void)item_use(item);
        s->figures.hits++;
    } else {
        s->figures.misses++;
    }
    shard_unlatch(s);
    return item;
}

struct cache_item *
cache_insert(struct cache *c, struct cache_item *item)
{
    uint64_t hash = key_hash(item->file, item->offset);
    struct shard *s = shard_of(c, hash);
    struct cache_item *there, *dropped = NULL;

    atomic_init(&item->refs, 1);
    atomic_init(&item->uses, 0);
    item->hash = (uint32_t)hash;
    item->queue = QUEUE_NONE;
    shard_latch(c, s);
    there = *bucket_find(s, item->file, item->offset, item->hash);
    if (there != NULL) {
        (void)item_use(there);
    } else if (item->charge > s->capacity / 2 || !shard_make_room(s, item->charge, &dropped)) {
        s->figures.too_big++;
    } else {
        struct cache_item **link;

        if (s->count >= s->bucket_count)
            shard_grow(s);
        link = &s->buckets[item->hash & (s->bucket_count - 1)];
        item->in_hash = *link;
        *link = item;
        s->count++;
        s->figures.inserts++;
        cache_pin(item);
        if (ghost_take(s, item->hash)) {
            s->figures.ghost_hits++;
            queue_push(s, item, QUEUE_MAIN);
        } else {
            queue_push(s, item, QUEUE_SMALL);
        }
    }
    shard_unlatch(s);
    unpin_all(dropped);
    if (there != NULL) {
        item->free(item);
        return there;
    }
    return item;
}

struct cache_item *
cache_pass(struct cache *c, struct cache_item *item)
{
    struct shard *s = shard_of(c, key_hash(item->file, item->offset));

    atomic_init(&item->refs, 1);
    item->queue = QUEUE_NONE;
    shard_latch(c, s);
    s->figures.passed++;
    shard_unlatch(s);
    return item;
}

static void
bucket_drop_file(struct shard *s, uint32_t bucket, uint64_t file, struct cache_item **dropped)
{
    struct cache_item *item = s->buckets[bucket];

    while (item != NULL) {
        struct cache_item *next = item->in_hash;

        if (item->file == file)
            item_drop(s, item, dropped);
        item = next;
    }
}

void
cache_drop_file(struct cache *c, uint64_t file)
{
    for (unsigned i = 0; i < 1u << c->shard_bits; i++) {
        struct shard *s = &c->shards[i];
        uint32_t at = 0;
        bool more = true;

        while (more) {
            struct cache_item *dropped = NULL;

            shard_latch(c, s);
            for (uint32_t n = 0; n < DROP_STRIDE && at < s->bucket_count; n++)
                bucket_drop_file(s, at++, file, &dropped);
            more = at < s->bucket_count;
            shard_unlatch(s);
            unpin_all(dropped);
        }
    }
}

void
cache_set_capacity(struct cache *c, size_t capacity)
{
    for (unsigned i = 0; i < 1u << c->shard_bits; i++) {
        struct shard *s = &c->shards[i];
        struct cache_item *dropped = NULL;

        shard_latch(c, s);
        s->capacity = capacity >> c->shard_bits;
        (void)shard_make_room(s, 0, &dropped);
        shard_unlatch(s);
        unpin_all(dropped);
    }
}

void
cache_free(struct cache *c)
{
    if (c == NULL)
        return;
    cache_set_capacity(c, 0);
    for (unsigned i = 0; i < 1u << c->shard_bits; i++) {
        CHECK(c->shards[i].count == 0); /* nothing is pinned any more */
        xfree(c->shards[i].buckets);
        xfree(c->shards[i].ghosts);
    }
    xfree_aligned(c->shards);
    xfree(c);
}

void
cache_get_figures(struct cache *c, struct cache_figures *out)
{
    memset(out, 0, sizeof *out);
    for (unsigned i = 0; i < 1u << c->shard_bits; i++) {
        struct shard *s = &c->shards[i];

        shard_latch(c, s);
        out->hits += s->figures.hits;
        out->misses += s->figures.misses;
        out->inserts += s->figures.inserts;
        out->evictions += s->figures.evictions;
        out->ghost_hits += s->figures.ghost_hits;
        out->passed += s->figures.passed;
        out->too_big += s->figures.too_big;
        out->used += s->small_bytes + s->main_bytes;
        out->capacity += s->capacity;
        out->items += s->count;
        shard_unlatch(s);
    }
}
