/* A transaction's strand has two users: the task that runs the transaction, and the thread that
 * seals a memtable and needs the records of every version in it to have an LSN. One atomic word
 * says who is inside; both are short, so the loser naps.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/txn/engine_int.h"

enum { STRAND_NAP_US = 50 };

void
strand_enter(struct txn *t)
{
    int was = STRAND_FREE;

    while (!atomic_compare_exchange_weak_explicit(&t->strand_user, &was, STRAND_OWNER,
                                                  memory_order_acquire, memory_order_relaxed)) {
        if (was != STRAND_FREE)
            fiber_nap_us(STRAND_NAP_US);
        was = STRAND_FREE;
    }
}

void
strand_leave(struct txn *t)
{
    atomic_store_explicit(&t->strand_user, STRAND_FREE, memory_order_release);
}

static void
strand_reserve(struct engine *e, struct txn *t)
{
    int was = STRAND_FREE;

    while (!atomic_compare_exchange_weak_explicit(&t->strand_user, &was, STRAND_SEALER,
                                                  memory_order_acquire, memory_order_relaxed)) {
        if (was != STRAND_FREE)
            env_sleep_us(e->env, STRAND_NAP_US);
        was = STRAND_FREE;
    }
    if (!redo_strand_is_empty(&t->strand) && redo_strand_flush(&t->strand) != 0) {
        /* The node writes this incarnation no more, or has no room for redo: the strand remembers
         * it, and the transaction will not commit. */
        diag_clear();
    }
    atomic_store_explicit(&t->strand_user, STRAND_FREE, memory_order_release);
}

/* The registry's mutex is held over each append: transactions are made and freed with their
 * sessions, which is rare. */
void
strands_reserve_all(struct engine *e)
{
    env_mutex_lock(&e->txns_mutex);
    list_for_each (t, &e->txns, struct txn, engine_link) {
        strand_reserve(e, t);
    }
    env_mutex_unlock(&e->txns_mutex);
}

/* Looks at each strand as a sealer does. */
struct lsn
strands_low(struct engine *e, struct lsn none)
{
    struct lsn low = none;

    env_mutex_lock(&e->txns_mutex);
    list_for_each (t, &e->txns, struct txn, engine_link) {
        int was = STRAND_FREE;

        while (!atomic_compare_exchange_weak_explicit(&t->strand_user, &was, STRAND_SEALER,
                                                      memory_order_acquire, memory_order_relaxed)) {
            if (was != STRAND_FREE)
                env_sleep_us(e->env, STRAND_NAP_US);
            was = STRAND_FREE;
        }
        if (t->strand.appended && lsn_lt(t->strand.first_lsn, low))
            low = t->strand.first_lsn;
        atomic_store_explicit(&t->strand_user, STRAND_FREE, memory_order_release);
    }
    env_mutex_unlock(&e->txns_mutex);
    return low;
}
