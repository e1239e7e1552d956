/* The plan cache: shards, each a hash table with a list by use.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/plan_cache.h"

#include "engine/base/checksum.h"

struct plan_entry {
    struct plan_entry *next; /* in its bucket */
    struct list link;        /* in plan_shard.recent */
    uint64_t hash;
    struct shared_plan *plan;
    size_t bytes;
    size_t key_size;
    uint8_t key[];
};

/* ---- shared plans ---------------------------------------------------------------------------- */

struct shared_plan *
shared_plan_new(struct plan *plan, uint64_t version)
{
    struct shared_plan *p = xcalloc(1, sizeof *p);

    atomic_init(&p->ref_count, 1);
    p->plan = plan;
    p->version = version;
    return p;
}

struct shared_plan *
shared_plan_ref(struct shared_plan *p)
{
    atomic_fetch_add_explicit(&p->ref_count, 1, memory_order_relaxed);
    return p;
}

void
shared_plan_unref(struct shared_plan *p)
{
    if (p == NULL || atomic_fetch_sub_explicit(&p->ref_count, 1, memory_order_acq_rel) != 1)
        return;
    plan_unref(p->plan);
    xfree(p->locks);
    xfree(p);
}

/* ---- the cache ------------------------------------------------------------------------------- */

void
plan_cache_init(struct plan_cache *c, struct env *env, size_t bytes_max)
{
    *c = (struct plan_cache){ .shard_bytes_max = bytes_max / PLAN_CACHE_SHARDS };
    for (int i = 0; i < PLAN_CACHE_SHARDS; i++) {
        env_mutex_init(env, &c->shards[i].mutex);
        list_init(&c->shards[i].recent);
    }
}

void
plan_cache_fini(struct plan_cache *c)
{
    plan_cache_clear(c);
    for (int i = 0; i < PLAN_CACHE_SHARDS; i++)
        env_mutex_fini(&c->shards[i].mutex);
}

static struct plan_entry **
place_of(struct plan_shard *s, struct slice key, uint64_t hash)
{
    struct plan_entry **at = &s->buckets[hash >> 8 & (PLAN_CACHE_BUCKETS - 1)];

    while (*at != NULL &&
           ((*at)->hash != hash || !slice_eq(slice((*at)->key, (*at)->key_size), key)))
        at = &(*at)->next;
    return at;
}

static struct plan_shard *
shard_of(struct plan_cache *c, uint64_t hash)
{
    return &c->shards[hash & (PLAN_CACHE_SHARDS - 1)];
}

struct shared_plan *
plan_cache_find(struct plan_cache *c, struct slice key)
{
    uint64_t hash = hash64(key.data, key.size, 0);
    struct plan_shard *s = shard_of(c, hash);
    struct shared_plan *found = NULL;
    struct plan_entry *e;

    env_mutex_lock(&s->mutex);
    e = *place_of(s, key, hash);
    if (e != NULL) {
        found = shared_plan_ref(e->plan);
        list_remove(&e->link);
        list_push_front(&s->recent, &e->link);
        s->hits++;
    } else {
        s->misses++;
    }
    env_mutex_unlock(&s->mutex);
    return found;
}

/* Takes an entry out of its shard; the caller frees it without the lock. */
static struct plan_entry *
entry_take_locked(struct plan_shard *s, struct plan_entry **at)
{
    struct plan_entry *e = *at;

    *at = e->next;
    list_remove(&e->link);
    s->bytes -= e->bytes;
    s->count--;
    return e;
}

static void
entries_free(struct plan_entry *e)
{
    while (e != NULL) {
        struct plan_entry *next = e->next;

        shared_plan_unref(e->plan);
        xfree(e);
        e = next;
    }
}

static struct plan_entry *
shrink_locked(struct plan_shard *s, size_t bytes_max, struct plan_entry *out)
{
    while (s->bytes > bytes_max && !list_empty(&s->recent)) {
        struct plan_entry *e = container_of(s->recent.prev, struct plan_entry, link);

        e = entry_take_locked(s, place_of(s, slice(e->key, e->key_size), e->hash));
        e->next = out;
        out = e;
    }
    return out;
}

void
plan_cache_add(struct plan_cache *c, struct slice key, struct shared_plan *p)
{
    struct plan_entry *e = xcalloc(1, sizeof *e + key.size), **at, *out = NULL;
    struct plan_shard *s;

    e->hash = hash64(key.data, key.size, 0);
    e->plan = shared_plan_ref(p);
    e->bytes = sizeof *e + key.size + sizeof *p + p->plan->arena.total;
    e->key_size = key.size;
    memcpy(e->key, key.data, key.size);
    s = shard_of(c, e->hash);
    env_mutex_lock(&s->mutex);
    at = place_of(s, key, e->hash);
    if (*at != NULL) {
        out = entry_take_locked(s, at);
        out->next = NULL;
        at = place_of(s, key, e->hash);
    }
    *at = e;
    list_push_front(&s->recent, &e->link);
    s->bytes += e->bytes;
    s->count++;
    out = shrink_locked(s, c->shard_bytes_max, out);
    env_mutex_unlock(&s->mutex);
    entries_free(out);
}

void
plan_cache_clear(struct plan_cache *c)
{
    for (int i = 0; i < PLAN_CACHE_SHARDS; i++) {
        struct plan_entry *out;

        env_mutex_lock(&c->shards[i].mutex);
        out = shrink_locked(&c->shards[i], 0, NULL);
        env_mutex_unlock(&c->shards[i].mutex);
        entries_free(out);
    }
}

void
plan_cache_get_figures(struct plan_cache *c, struct plan_cache_figures *out)
{
    *out = (struct plan_cache_figures){ 0 };
    for (int i = 0; i < PLAN_CACHE_SHARDS; i++) {
        struct plan_shard *s = &c->shards[i];

        env_mutex_lock(&s->mutex);
        out->hits += s->hits;
        out->misses += s->misses;
        out->count += s->count;
        out->bytes += s->bytes;
        env_mutex_unlock(&s->mutex);
    }
}
