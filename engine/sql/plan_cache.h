/* The plans that all sessions share.
 *
 * A key is bytes: whatever decides what a plan is (session_plan.c puts it together: the normalized
 * text, the role, the search path, the version of the catalogue). Plans are immutable and counted
 * by reference, so one may be thrown out while it runs.
 *
 * Threads: any. A shard's mutex is held for a few instructions.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_PLAN_CACHE_H
#define ENGINE_SQL_PLAN_CACHE_H

#include "engine/base/bytes.h"
#include "engine/base/env.h"
#include "engine/base/list.h"
#include "engine/sql/plan.h"

/* A table that a plan changes, locks, or checks foreign keys with: locked before its snapshot. */
struct plan_lock {
    uint32_t oid;
    uint8_t mode;    /* enum table_lock */
    uint64_t change; /* of the description that the plan was made with */
};

/* A plan with what a session needs to know to run it. */
struct shared_plan {
    _Atomic uint32_t ref_count;
    struct plan *plan;
    uint64_t version;     /* of the catalogue it is good for; 0: for one statement alone */
    uint32_t role_oid;    /* whose privileges were looked at, and */
    const char *path_key; /* where names were looked for; in the plan's arena */
    int lock_count;
    struct plan_lock *locks;
};
/* Takes the caller's reference to the plan. */
struct shared_plan *shared_plan_new(struct plan *plan, uint64_t version);
struct shared_plan *shared_plan_ref(struct shared_plan *p);
void shared_plan_unref(struct shared_plan *p); /* NULL allowed */

enum { PLAN_CACHE_SHARDS = 16, PLAN_CACHE_BUCKETS = 256 };

struct plan_entry;
struct plan_shard {
    struct env_mutex mutex;
    struct plan_entry *buckets[PLAN_CACHE_BUCKETS];
    struct list recent; /* of struct plan_entry.link, the one used last first */
    size_t bytes;
    uint64_t count, hits, misses;
};
struct plan_cache {
    size_t shard_bytes_max;
    struct plan_shard shards[PLAN_CACHE_SHARDS];
};

void plan_cache_init(struct plan_cache *c, struct env *env, size_t bytes_max);
void plan_cache_fini(struct plan_cache *c);
/* With a reference for the caller; NULL: not there. */
struct shared_plan *plan_cache_find(struct plan_cache *c, struct slice key);
/* Keeps a reference of its own. A plan under the same key is replaced. */
void plan_cache_add(struct plan_cache *c, struct slice key, struct shared_plan *p);
void plan_cache_clear(struct plan_cache *c);

struct plan_cache_figures {
    uint64_t hits, misses, count, bytes;
};
void plan_cache_get_figures(struct plan_cache *c, struct plan_cache_figures *out);

#endif
