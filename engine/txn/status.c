/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/txn/status.h"

#include <assert.h>
#include <stdatomic.h>

#include "engine/base/mem.h"

/* 42 bits of counter: three levels of nodes above a leaf. */
enum {
    LEAF_BITS = 12,
    NODE_BITS = 10,
    NODE_LEVELS = 3,
    LEAF_SIZE = 1 << LEAF_BITS,
    NODE_SIZE = 1 << NODE_BITS,
    INC_BUCKETS = 64,
};
static_assert(LEAF_BITS + NODE_BITS * NODE_LEVELS == TXID_COUNTER_BITS, "the levels cover a txid");

/* An entry: open, open and waited for, aborted, or the SCN plus ENTRY_SCN. */
enum { ENTRY_OPEN = 0, ENTRY_WAITED = 1, ENTRY_ABORTED = 2, ENTRY_SCN = 8 };

struct status_node {
    _Atomic(void *) child[NODE_SIZE]; /* nodes, or leaves at the last level */
};

struct status_leaf {
    _Atomic uint64_t entry[LEAF_SIZE];
};

struct status_inc {
    struct status_inc *next; /* in its bucket; never removed before status_free */
    incarnation_t inc;
    uint64_t freed_below; /* counter, multiple of LEAF_SIZE; under `lock` */
    struct status_node root;
};

struct status_table {
    _Atomic(struct status_inc *) buckets[INC_BUCKETS];
    struct env_mutex lock; /* for adding and freeing */
};

struct status_table *
status_new(struct env *env)
{
    struct status_table *s = xcalloc(1, sizeof *s);

    env_mutex_init(env, &s->lock);
    return s;
}

static void
node_free(struct status_node *n, int level)
{
    for (int i = 0; i < NODE_SIZE; i++) {
        void *child = atomic_load_explicit(&n->child[i], memory_order_relaxed);

        if (child == NULL)
            continue;
        if (level + 1 < NODE_LEVELS)
            node_free(child, level + 1);
        xfree(child);
    }
}

void
status_free(struct status_table *s)
{
    for (int i = 0; i < INC_BUCKETS; i++) {
        struct status_inc *next, *it = atomic_load_explicit(&s->buckets[i], memory_order_relaxed);

        for (; it != NULL; it = next) {
            next = it->next;
            node_free(&it->root, 0);
            xfree(it);
        }
    }
    env_mutex_fini(&s->lock);
    xfree(s);
}

static struct status_inc *
inc_find(struct status_table *s, incarnation_t inc)
{
    struct status_inc *it =
        atomic_load_explicit(&s->buckets[inc % INC_BUCKETS], memory_order_acquire);

    while (it != NULL && it->inc != inc)
        it = it->next;
    return it;
}

static struct status_inc *
inc_make(struct status_table *s, incarnation_t inc)
{
    struct status_inc *it = inc_find(s, inc);

    if (it != NULL)
        return it;
    env_mutex_lock(&s->lock);
    it = inc_find(s, inc);
    if (it == NULL) {
        it = xcalloc(1, sizeof *it);
        it->inc = inc;
        it->next = atomic_load_explicit(&s->buckets[inc % INC_BUCKETS], memory_order_relaxed);
        atomic_store_explicit(&s->buckets[inc % INC_BUCKETS], it, memory_order_release);
    }
    env_mutex_unlock(&s->lock);
    return it;
}

static unsigned
node_index(uint64_t counter, int level)
{
    int shift = LEAF_BITS + NODE_BITS * (NODE_LEVELS - 1 - level);

    return (unsigned)(counter >> shift) & (NODE_SIZE - 1);
}

static _Atomic uint64_t *
entry_find(struct status_table *s, txid_t txid)
{
    struct status_inc *inc = inc_find(s, txid_incarnation(txid));
    uint64_t counter = txid_counter(txid);
    void *at;

    if (inc == NULL)
        return NULL;
    at = &inc->root;
    for (int level = 0; level < NODE_LEVELS && at != NULL; level++) {
        struct status_node *n = at;

        at = atomic_load_explicit(&n->child[node_index(counter, level)], memory_order_acquire);
    }
    return at != NULL ? &((struct status_leaf *)at)->entry[counter & (LEAF_SIZE - 1)] : NULL;
}

static _Atomic uint64_t *
entry_make(struct status_table *s, txid_t txid)
{
    _Atomic uint64_t *entry = entry_find(s, txid);
    uint64_t counter = txid_counter(txid);
    struct status_inc *inc;
    void *at;

    if (entry != NULL)
        return entry;
    inc = inc_make(s, txid_incarnation(txid));
    env_mutex_lock(&s->lock);
    at = &inc->root;
    for (int level = 0; level < NODE_LEVELS; level++) {
        _Atomic(void *) *slot = &((struct status_node *)at)->child[node_index(counter, level)];

        at = atomic_load_explicit(slot, memory_order_relaxed);
        if (at == NULL) {
            at = xcalloc(1, level + 1 < NODE_LEVELS ? sizeof(struct status_node)
                                                    : sizeof(struct status_leaf));
            atomic_store_explicit(slot, at, memory_order_release);
        }
    }
    env_mutex_unlock(&s->lock);
    return &((struct status_leaf *)at)->entry[counter & (LEAF_SIZE - 1)];
}

enum txid_state
status_get(struct status_table *s, txid_t txid, scn_t *scn)
{
    _Atomic uint64_t *entry = entry_find(s, txid);
    uint64_t v = entry != NULL ? atomic_load_explicit(entry, memory_order_acquire) : ENTRY_OPEN;

    if (v >= ENTRY_SCN) {
        *scn = v - ENTRY_SCN;
        return TXID_COMMITTED;
    }
    return v == ENTRY_ABORTED ? TXID_ABORTED : TXID_OPEN;
}

static bool
status_flip(struct status_table *s, txid_t txid, uint64_t to)
{
    uint64_t was = atomic_exchange_explicit(entry_make(s, txid), to, memory_order_acq_rel);

    CHECK(was == ENTRY_OPEN || was == ENTRY_WAITED || was == to);
    return was == ENTRY_WAITED;
}

bool
status_set_committed(struct status_table *s, txid_t txid, scn_t scn)
{
    return status_flip(s, txid, scn + ENTRY_SCN);
}

bool
status_set_aborted(struct status_table *s, txid_t txid)
{
    return status_flip(s, txid, ENTRY_ABORTED);
}

bool
status_mark_waited(struct status_table *s, txid_t txid)
{
    _Atomic uint64_t *entry = entry_make(s, txid);
    uint64_t was = ENTRY_OPEN;

    return atomic_compare_exchange_strong_explicit(entry, &was, ENTRY_WAITED, memory_order_acq_rel,
                                                   memory_order_acquire) ||
           was == ENTRY_WAITED;
}

/* Frees the leaves that lie wholly below `counter`. Nodes stay: 8 KiB for four million txids. */
void
status_free_below(struct status_table *s, incarnation_t inc, uint64_t counter)
{
    struct status_inc *it = inc_find(s, inc);

    if (it == NULL)
        return;
    env_mutex_lock(&s->lock);
    for (; it->freed_below + LEAF_SIZE <= counter; it->freed_below += LEAF_SIZE) {
        _Atomic(void *) *slot = NULL;
        void *at = &it->root;

        for (int level = 0; level < NODE_LEVELS && at != NULL; level++) {
            slot = &((struct status_node *)at)->child[node_index(it->freed_below, level)];
            at = atomic_load_explicit(slot, memory_order_relaxed);
        }
        if (at != NULL) {
            atomic_store_explicit(slot, NULL, memory_order_release);
            xfree(at);
        }
    }
    env_mutex_unlock(&s->lock);
}
