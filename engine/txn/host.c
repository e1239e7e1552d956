/* What the transaction room lends to the LSM room (lsm.h, struct lsm_host).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/txn/engine_int.h"

/* TXN-2: dead only by an abort record or by the end of its incarnation. */
static enum lsm_status
host_resolve(void *arg, txid_t txid, scn_t *scn)
{
    struct engine *e = arg;

    switch (status_get(e->status, txid, scn)) {
    case TXID_COMMITTED:
        return LSM_COMMITTED;
    case TXID_ABORTED:
        return LSM_DEAD;
    case TXID_OPEN:
        break;
    }
    return txid_incarnation(txid) == engine_incarnation(e) ? LSM_OPEN : LSM_DEAD;
}

/* While a change of branch is half way, the answer is the old branch's. */
static struct lsn
host_floor(void *arg, incarnation_t *inc)
{
    struct engine *e = arg;
    struct lsn floor;

    if (engine_is_writable(e)) {
        *inc = engine_incarnation(e);
        env_mutex_lock(&e->long_mutex);
        floor = redo_reserved(e->redo);
        list_for_each (t, &e->long_values, struct txn, long_link) {
            if (lsn_lt(t->long_low, floor))
                floor = t->long_low;
        }
        env_mutex_unlock(&e->long_mutex);
        return floor;
    }
    return follow_floor(e, inc);
}

static int
host_settle(void *arg, struct lsn *end)
{
    struct engine *e = arg;
    incarnation_t inc = engine_incarnation(e);
    struct lsn low;

    if (engine_is_writable(e)) {
        strands_reserve_all(e);
        *end = redo_reserved(e->redo);
        redo_kick(e->redo);
        low = strands_low(e, *end);
    } else {
        low = follow_dispatched(e, &inc, end);
    }
    return follow_store_low(e, inc, times_low(e, inc, low));
}

static int
host_wait_durable(void *arg, incarnation_t inc, struct lsn lsn)
{
    struct engine *e = arg;

    if (inc != engine_incarnation(e) || redo_incarnation(e->redo) == 0)
        return 0;
    return redo_wait_durable(e->redo, lsn);
}

static uint64_t
host_ended(void *arg)
{
    struct engine *e = arg;

    return atomic_load_explicit(&e->ended_count, memory_order_acquire);
}

static scn_t
host_tip(void *arg)
{
    return engine_newest_scn(arg);
}

/* Of the incarnations just before the present one so much is kept, for other nodes whose logs part
 * from this one's there. */
enum { FORK_REDO_BYTES = 256 << 20, FORK_INCARNATIONS = 2 };

static bool
is_recent_past(struct engine *e, incarnation_t inc)
{
    const struct lineage_entry *entry;
    struct lineage lineage;
    incarnation_t at = engine_incarnation(e);
    bool found = at == inc;

    lineage_init(&lineage);
    lsm_lineage(e->lsm, &lineage);
    for (int i = 0; i < FORK_INCARNATIONS && !found; i++) {
        entry = lineage_find(&lineage, at);
        at = entry != NULL ? entry->prev : 0;
        found = at == inc;
    }
    lineage_fini(&lineage);
    return found;
}

/* Of an incarnation that the log has and that is still to be entered. One that was entered and left
 * again lies ahead only on the way to the reign that is followed. */
static bool
is_ahead(struct engine *e, incarnation_t inc)
{
    struct follow *f = &e->follow;
    struct lineage lineage;
    incarnation_t target;
    struct lsn leaves;
    bool ahead;

    env_mutex_lock(&f->mutex);
    target = f->target;
    env_mutex_unlock(&f->mutex);
    lineage_init(&lineage);
    lsm_lineage(e->lsm, &lineage);
    ahead = inc != engine_incarnation(e) &&
            lineage_redo_end(&lineage, inc, engine_incarnation(e), &leaves) &&
            (target == 0 || lineage_redo_end(&lineage, target, inc, &leaves) ||
             !lsm_was_entered(e->lsm, inc));
    lineage_fini(&lineage);
    return ahead;
}

static int
release_redo(void *arg, incarnation_t inc, struct lsn first, struct redo_pos end)
{
    struct engine *e = arg;
    struct lsn from, low = engine_follow_low(e, inc);

    (void)first;
    if (is_ahead(e, inc))
        return 0;
    if (!lsm_redo_needed(e->lsm, inc, &from))
        from = LSN_MAX;
    if (lsn_lt(low, from) && lsn_lt(low, end.lsn))
        from = low; /* CUT-4 */
    if (inc != engine_incarnation(e) && is_recent_past(e, inc)) {
        uint64_t tail = end.lsn.v > FORK_REDO_BYTES ? end.lsn.v - FORK_REDO_BYTES : 0;

        if (tail < from.v)
            from = lsn_make(tail);
    }
    redo_release(e->redo, inc, from);
    return 0;
}

/* Recovery positions have moved: redo below them is needed for recovery no more. */
static void
host_installed(void *arg)
{
    struct engine *e = arg;

    if (e->redo != NULL)
        (void)redo_each(e->redo, release_redo, e);
}

void
engine_fill_host(struct engine *e, struct lsm_host *host)
{
    *host = (struct lsm_host){
        .arg = e,
        .resolve = host_resolve,
        .floor = host_floor,
        .settle = host_settle,
        .wait_durable = host_wait_durable,
        .ended = host_ended,
        .tip = host_tip,
        .installed = host_installed,
    };
}
