/* A memtable: the newest run of a tree, in memory. A B+tree with optimistic latches over records
 * that are bump-allocated and never move; nothing is freed before the memtable is.
 *
 * Each key is one entry with a chain of versions, newest first. The head of the chain is changed by
 * compare-and-swap only, so that "the newest version is still the one I saw" and "put mine on top"
 * are one step: that is what makes a version with an active txid the lock of its row.
 *
 * Threads: everything here may be called from any number of threads at once, except where it says
 * otherwise. Readers take no latch: they validate counters and start again. Writers latch one leaf,
 * and its parents only to split. No function parks; a latch is never held across an env call, so in
 * the simulated world nobody ever meets a taken one.
 *
 * Lifetime: reference-counted. Entries, versions and their bytes live until the last reference is
 * given back. Who holds no reference must not hold an iterator.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_LSM_MEMTABLE_H
#define ENGINE_LSM_MEMTABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/bytes.h"
#include "engine/base/id.h"
#include "engine/base/mem.h"
#include "engine/lsm/version.h"

struct env;
struct memtable;

/* All fields but the two atomics are read-only once the version can be seen. */
struct memtable_version {
    _Atomic stamp_t stamp; /* txid → SCN at most once, by memtable_resolve */
    struct memtable_version *_Atomic older;
    uint64_t seq;
    uint32_t value_size;
    uint8_t kind; /* enum version_kind */
    uint8_t value[];
};

struct memtable_entry {
    struct memtable_version *_Atomic newest; /* never NULL */
    uint32_t key_size;
    uint8_t key[]; /* read-only */
};

static inline struct slice
memtable_version_value(const struct memtable_version *v)
{
    return slice(v->value, v->value_size);
}
static inline struct slice
memtable_entry_key(const struct memtable_entry *e)
{
    return slice(e->key, e->key_size);
}
static inline stamp_t
memtable_version_stamp(struct memtable_version *v)
{
    return atomic_load_explicit(&v->stamp, memory_order_acquire);
}
static inline struct memtable_version *
memtable_version_older(struct memtable_version *v)
{
    return atomic_load_explicit(&v->older, memory_order_acquire);
}
static inline struct memtable_version *
memtable_entry_newest(struct memtable_entry *e)
{
    return atomic_load_explicit(&e->newest, memory_order_acquire);
}
/* As a version_ref; its slices live as long as the memtable. */
struct version_ref memtable_version_ref(struct memtable_entry *e, struct memtable_version *v);
/* Turns a txid into the SCN of its commit. False when the stamp was no longer that txid (somebody
 * else has resolved it: the same outcome). */
bool memtable_resolve(struct memtable_version *v, txid_t txid, scn_t scn);

/* ---- life ----------------------------------------------------------------------------------- */

/* Memory is charged to `budget` (NULL: to none) in chunks as it is needed; an empty memtable costs
 * about a kilobyte. One reference, the caller's. */
struct memtable *memtable_new(struct env *env, struct budget *budget);
/* Large pieces of memory that memtables gave back wait here for the next ones (128 MiB at most):
 * the first touch of fresh pages costs more than an insert. Outlives the memtables that use it. */
struct memtable_pool *memtable_pool_new(void);
void memtable_pool_free(struct memtable_pool *p);
void memtable_use_pool(struct memtable *mt, struct memtable_pool *p); /* before the first write */
void memtable_ref(struct memtable *mt);
void memtable_unref(struct memtable *mt); /* NULL allowed; the last one frees all */

/* ---- writing -------------------------------------------------------------------------------- */

/* Writers are counted, so that whoever seals knows when the last one has left. Enter fails once the
 * memtable is sealed (the caller takes the tree's new one). Between enter and leave: no park, no
 * wait. `lane` is any number; threads that use different ones (modulo MEMTABLE_LANES) share no
 * cache line here and in allocation. The same lane from two threads is slower, not wrong. */
enum { MEMTABLE_LANES = 8 };
bool memtable_enter(struct memtable *mt, unsigned lane);
void memtable_leave(struct memtable *mt, unsigned lane);
/* No writer enters any more. True when none is inside. May be called again to ask. */
bool memtable_seal(struct memtable *mt);
/* Seals, and returns when the last writer has left (env_thread_yield in between). */
void memtable_seal_wait(struct memtable *mt);
bool memtable_is_sealed(const struct memtable *mt);

/* Adds v (stamp, seq, kind, value of v->key) on top of `expected`, the newest version of the key
 * that the caller has seen: NULL when it saw none. If something else is there now: ERR_AGAIN, with
 * no error recorded. ERR_NOMEM when the budget is spent. *added (NULL allowed) is the new version.
 * The caller has entered. v->key.size at most VERSION_KEY_MAX. */
MUST_CHECK
int memtable_add(struct memtable *mt, unsigned lane, const struct version_ref *v,
                 struct memtable_version *expected, struct memtable_version **added);
/* The same whatever is there, at the place that version_order gives it among the resolved versions:
 * for redo, on recovery and on standbys. An unresolved one goes on top; a resolved one goes below
 * the unresolved ones. What is there already with the same stamp and seq is left alone, and *added
 * is then NULL. Two threads must not add versions of one key at once in an order that matters. */
MUST_CHECK
int memtable_add_ordered(struct memtable *mt, unsigned lane, const struct version_ref *v,
                         struct memtable_version **added);

/* ---- reading -------------------------------------------------------------------------------- */

struct memtable_entry *memtable_lookup(struct memtable *mt, struct slice key); /* NULL: none */
/* The newest version of the key, or NULL. */
struct memtable_version *memtable_find(struct memtable *mt, struct slice key);

/* Walks keys in order, both ways. What was in the memtable when the iterator was last positioned by
 * a seek is met exactly once, whatever is inserted meanwhile; what is added later may or may not
 * be. Needs no closing. */
enum { MEMTABLE_ITER_BATCH = 64 };
struct memtable_iter {
    struct memtable *mt;
    struct memtable_entry *entry; /* the current one; NULL: past either end */
    /* the rest is memtable_iter.c's */
    struct memtable_entry *batch[MEMTABLE_ITER_BATCH]; /* of one leaf, ascending */
    struct memtable_entry *low, *high; /* the leaf's fences when it was read; NULL: open */
    void *next_leaf;
    uint32_t at, count;
};
void memtable_iter_init(struct memtable_iter *it, struct memtable *mt);
void memtable_iter_seek(struct memtable_iter *it, struct slice key);    /* first key >= key */
void memtable_iter_seek_lt(struct memtable_iter *it, struct slice key); /* last key < key */
void memtable_iter_first(struct memtable_iter *it);
void memtable_iter_last(struct memtable_iter *it);
void memtable_iter_next(struct memtable_iter *it); /* the iterator must be on an entry */
void memtable_iter_prev(struct memtable_iter *it); /* likewise */

/* ---- figures -------------------------------------------------------------------------------- */

/* Sums over the lanes: exact once writers are gone, close before that. */
struct memtable_figures {
    size_t bytes;      /* memory held, as charged */
    size_t used_bytes; /* keys, values and headers in it */
    uint64_t keys, versions, deletes;
};
void memtable_get_figures(const struct memtable *mt, struct memtable_figures *out);
size_t memtable_bytes(const struct memtable *mt); /* memory held; cheap */
bool memtable_is_empty(const struct memtable *mt);

#endif
