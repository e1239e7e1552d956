/* What lock.c and lock_graph.c share.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TXN_LOCK_INT_H
#define ENGINE_TXN_LOCK_INT_H

#include <stdatomic.h>

#include "engine/txn/lock.h"

enum { LOCK_STRIPES = 128, LOCK_BUCKETS_FIRST = 8, LOCK_BLOCKERS_INLINE = 6 };

struct lock_hold {
    struct list entry_link; /* in lock_entry.holds; the stripe's mutex */
    struct list owner_link; /* in lock_owner.holds; the owner's task, or the one that grants */
    struct lock_entry *entry;
    struct lock_owner *owner;
    int mode;
};

struct lock_entry {
    struct lock_entry *next; /* in its bucket */
    struct lock_name name;
    struct list holds;   /* of struct lock_hold.entry_link */
    struct list waiters; /* of struct lock_waiter.queue_link, first come first */
};

struct lock_stripe {
    struct env_mutex mutex;
    struct lock_entry **buckets;
    size_t bucket_count, entry_count;
    struct list txid_waiters; /* of struct lock_waiter.queue_link */
};

/* On the waiting task's stack. */
struct lock_waiter {
    struct completion done;
    struct list queue_link; /* in lock_entry.waiters or lock_stripe.txid_waiters */
    struct lock_owner *owner;
    int mode;
    bool jumps_queue;   /* holds a weaker mode already: waiting behind others would be a deadlock */
    bool granted;       /* the stripe's mutex */
    txid_t txid;        /* what it waits for, or 0: then the blockers */
    int refused;        /* an error code; the graph's mutex */
    uint64_t *blockers; /* tickets; the graph's mutex once it is in the graph */
    size_t blocker_count, blocker_cap;
    uint64_t blockers_inline[LOCK_BLOCKERS_INLINE];
};

struct lock_table {
    struct status_table *status;
    struct lock_stripe stripes[LOCK_STRIPES];
    struct env_mutex graph;
    struct list waiting; /* of struct lock_owner.graph_link; the graph's mutex */
    uint64_t searches;   /* the graph's mutex */
    _Atomic uint64_t wait_count, deadlock_count;
};

void lock_waiter_init(struct lock_waiter *w, struct lock_owner *o, int mode);
void lock_waiter_fini(struct lock_waiter *w);
void lock_waiter_clear_blockers(struct lock_waiter *w);
void lock_waiter_add_blocker(struct lock_waiter *w, uint64_t ticket);
/* Adds the waiter to the graph and looks for a cycle through it. False: this one is the victim and
 * must not park. */
bool lock_graph_enter(struct lock_table *l, struct lock_waiter *w);
/* Takes it out again and returns why it was refused, or 0. */
int lock_graph_leave(struct lock_table *l, struct lock_waiter *w);

#endif
