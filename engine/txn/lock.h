/* Locks: waiting for a writer, row locks without a version, turns, table locks, deadlocks.
 *
 * The newest version with an open txid is its row's lock, so a load of ten million rows needs no
 * memory here. This table holds only what has no version: FOR UPDATE and its weaker forms, the key
 * shares of foreign keys, table locks, and those who wait. A waiter is a task parked on a
 * completion; whoever releases hands the lock over, first come first served.
 *
 * A *turn* is the right to wait for a row's writer: contenders for a hot row queue for it, so that
 * the end of a transaction wakes one of them and not all.
 *
 * A deadlock is found when it forms: the waiter that closes a cycle looks for it before it parks,
 * and the youngest of the cycle gets 40P01.
 *
 * Locks: a stripe's mutex, then the graph's. Neither is held across a park.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TXN_LOCK_H
#define ENGINE_TXN_LOCK_H

#include <stdbool.h>

#include "engine/base/fiber.h"
#include "engine/base/id.h"
#include "engine/base/list.h"
#include "engine/engine.h"
#include "engine/txn/status.h"

struct lock_table;
struct lock_waiter;

enum lock_class { LOCK_ROW, LOCK_TABLE };

/* Row modes: enum row_lock, and the turn. Table modes: enum table_lock. */
enum { LOCK_TURN = ROW_UPDATE + 1, LOCK_MODE_COUNT = TABLE_ACCESS_EXCLUSIVE + 1 };

/* What is locked. A collision of hashes makes two rows share a lock, which is harmless. */
struct lock_name {
    enum lock_class class;
    uint64_t space; /* the tree of a row; 0 for tables */
    uint64_t id;    /* hash64 of a row's key; the table's OID */
};

/* One transaction as the lock table sees it. Embedded in struct txn. */
struct lock_owner {
    uint64_t ticket;     /* order of start; the greatest is the youngest */
    const txid_t *txids; /* its own and its live savepoints'; changed under lock_owner_edit */
    size_t txid_count;
    struct list holds;          /* of struct lock_hold.owner_link; owner's task only */
    struct lock_waiter *waiter; /* while it waits; under the graph's mutex */
    struct list graph_link;     /* in lock_table.waiting while it waits */
    uint64_t visit;             /* of the search that saw it last */
};

struct lock_table *lock_table_new(struct env *env, struct status_table *status);
void lock_table_free(struct lock_table *l); /* nothing may be held */

void lock_owner_init(struct lock_owner *o);
/* Publishes the owner's list of txids, for the search for deadlocks. */
void lock_owner_set_txids(struct lock_table *l, struct lock_owner *o, const txid_t *txids,
                          size_t count);

/* 0; ERR_LOCK_NOT_AVAILABLE (NOWAIT), ERR_AGAIN (SKIP), ERR_DEADLOCK, ERR_QUERY_CANCELED. Holding
 * the same or a stronger mode already returns at once. Parks. */
MUST_CHECK
int lock_acquire(struct lock_table *l, struct lock_owner *o, struct lock_name name, int mode,
                 enum lock_wait wait);
/* Gives up one hold before the end of the transaction. */
void lock_release(struct lock_table *l, struct lock_owner *o, struct lock_name name, int mode);
void lock_release_all(struct lock_table *l, struct lock_owner *o);

/* For a writer: runs fn(arg) while no other owner holds `name` in a mode that conflicts, under the
 * stripe's mutex (fn must not park). ERR_AGAIN: somebody holds it, and fn has not run. */
MUST_CHECK
int lock_guarded(struct lock_table *l, const struct lock_owner *o, struct lock_name name, int mode,
                 int (*fn)(void *arg), void *arg);

/* Waits until txid is open no more. Errors as lock_acquire. Parks. */
MUST_CHECK
int lock_wait_txid(struct lock_table *l, struct lock_owner *o, txid_t txid, enum lock_wait wait);
/* A txid that somebody waits for has ended (status_set_* returned true). */
void lock_txid_ended(struct lock_table *l, txid_t txid);

/* Makes the owner's wait, if there is one, end with `code`. Any thread. */
void lock_cancel(struct lock_table *l, struct lock_owner *o, int code);
/* Any thread. */
bool lock_owner_waits(struct lock_table *l, const struct lock_owner *o);

struct lock_figures {
    uint64_t waits, deadlocks, entries;
};
void lock_get_figures(const struct lock_table *l, struct lock_figures *out);

#endif
