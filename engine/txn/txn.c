/* The life of a transaction: txn_begin, savepoints, txn_commit, txn_rollback.
 *
 * The order at commit is the SCN, then the status, then the locks (design 4): the SCN is given and
 * the status set inside redo_append's critical section and before the record can become durable, so
 * a snapshot at a visible SCN never finds its commits open.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mem.h"
#include "engine/txn/engine_int.h"

enum { COMMIT_HELD_NAP_US = 1000 };

struct txn *
txn_new(struct engine *e)
{
    struct txn *t = xcalloc(1, sizeof *t);

    t->engine = e;
    t->txids = t->txids_inline;
    t->txid_cap = TXN_TXIDS_INLINE;
    t->views = t->views_inline;
    t->view_cap = TXN_VIEWS_INLINE;
    arena_init(&t->arena, NULL);
    lock_owner_init(&t->owner);
    redo_strand_init(&t->strand, e->redo);
    env_mutex_lock(&e->txns_mutex);
    list_push_back(&e->txns, &t->engine_link);
    env_mutex_unlock(&e->txns_mutex);
    return t;
}

void
txn_free(struct txn *t)
{
    if (t == NULL)
        return;
    if (t->state == TXN_OPEN)
        txn_rollback(t);
    env_mutex_lock(&t->engine->txns_mutex);
    list_remove(&t->engine_link);
    env_mutex_unlock(&t->engine->txns_mutex);
    redo_strand_fini(&t->strand);
    if (t->txids != t->txids_inline)
        xfree(t->txids);
    if (t->views != t->views_inline)
        xfree(t->views);
    arena_fini(&t->arena);
    xfree(t->savepoints);
    xfree(t);
}

int
txn_begin(struct txn *t, enum txn_isolation isolation, bool read_only)
{
    struct engine *e = t->engine;

    CHECK(t->state == TXN_IDLE);
    t->state = TXN_OPEN;
    t->isolation = isolation;
    t->write_epoch = atomic_load_explicit(&e->write_epoch, memory_order_acquire);
    t->read_only = read_only;
    t->inc = atomic_load_explicit(&e->inc, memory_order_acquire);
    t->seq = 0;
    t->txid_count = 0;
    t->savepoint_count = 0;
    t->has_snapshot = false;
    t->wrote_catalog = false;
    t->must_see = 0;
    t->owner.ticket = atomic_fetch_add_explicit(&e->next_ticket, 1, memory_order_relaxed);
    return 0;
}

bool
txn_is_open(const struct txn *t)
{
    return t->state == TXN_OPEN;
}

txid_t
txn_id(const struct txn *t)
{
    return t->txid_count != 0 ? t->txids[0] : 0;
}

void
txn_set_read_only(struct txn *t, bool read_only)
{
    t->read_only = read_only;
}

int
txn_set_isolation(struct txn *t, enum txn_isolation i)
{
    if (t->has_snapshot && i != t->isolation)
        return DIAG(ERR_ACTIVE_TRANSACTION,
                    "SET TRANSACTION ISOLATION LEVEL must be called before any query");
    t->isolation = i;
    return 0;
}

scn_t
txn_must_be_visible(const struct txn *t)
{
    return t->must_see;
}

/* ---- txids ---------------------------------------------------------------------------------- */

static void
txids_grow(struct txn *t)
{
    txid_t *grown = xmalloc(2 * t->txid_cap * sizeof *grown);
    txid_t *old = t->txids;

    for (uint32_t i = 0; i < t->txid_count; i++)
        grown[i] = old[i];
    lock_owner_set_txids(t->engine->locks, &t->owner, grown, t->txid_count);
    t->txids = grown;
    t->txid_cap *= 2;
    if (old != t->txids_inline)
        xfree(old);
}

static int
txid_add(struct txn *t)
{
    struct engine *e = t->engine;
    /* Release: whoever reads the counter sees `oldest` as txn_first_write has announced it. */
    uint64_t counter = atomic_fetch_add_explicit(&e->next_counter, 1, memory_order_release);

    if (counter >> TXID_COUNTER_BITS != 0)
        return DIAG(ERR_LIMIT, "transaction numbers of this incarnation are used up");
    if (t->txid_count == t->txid_cap)
        txids_grow(t);
    t->txids[t->txid_count++] = txid_make(t->inc, counter);
    lock_owner_set_txids(e->locks, &t->owner, t->txids, t->txid_count);
    return 0;
}

static int
txn_first_txid(struct txn *t)
{
    struct engine *e = t->engine;
    uint64_t low = atomic_load_explicit(&e->next_counter, memory_order_relaxed);
    int rc;

    if (!engine_is_writable(e) && (t->write_epoch & 1) == 0) {
        (void)DIAG(ERR_READ_ONLY_TRANSACTION, "cannot write: this node is not the primary");
        diag_hint("Connect to the primary; target_session_attrs=read-write finds it.");
        return ERR_READ_ONLY_TRANSACTION;
    }
    strand_enter(t); /* a sealer may be looking */
    redo_strand_begin(&t->strand, t->inc);
    strand_leave(t);
    /* Announced before it is known, so that nobody takes all below the counter for ended. */
    atomic_store_explicit(&t->oldest, txid_make(t->inc, low), memory_order_release);
    rc = txid_add(t);
    if (rc == 0)
        atomic_store_explicit(&t->oldest, t->txids[0], memory_order_release);
    return rc;
}

static int
txn_first_write(struct txn *t)
{
    if (t->read_only)
        return DIAG(ERR_READ_ONLY_TRANSACTION, "cannot write in a read-only transaction");
    return txn_first_txid(t);
}

int
txn_assign_id(struct txn *t)
{
    if (txn_is_doomed(t))
        return DIAG(ERR_SHUTDOWN, "this node is not the primary any more: the transaction is over");
    return t->txid_count == 0 ? txn_first_txid(t) : 0;
}

int
txn_write_txid(struct txn *t, txid_t *txid)
{
    int rc = 0;

    if (txn_is_doomed(t))
        return DIAG(ERR_SHUTDOWN, "this node is not the primary any more: the transaction is over");
    if (t->txid_count == 0)
        rc = txn_first_write(t);
    if (rc == 0 && t->savepoint_count > 0 && t->savepoints[t->savepoint_count - 1].txid == 0) {
        rc = txid_add(t);
        if (rc == 0)
            t->savepoints[t->savepoint_count - 1].txid = t->txids[t->txid_count - 1];
    }
    if (rc == 0)
        *txid = t->savepoint_count > 0 ? t->savepoints[t->savepoint_count - 1].txid : t->txids[0];
    return rc;
}

/* ---- savepoints ------------------------------------------------------------------------------ */

int
txn_savepoint(struct txn *t, int *number)
{
    if (t->savepoint_count == t->savepoint_cap) {
        t->savepoint_cap = t->savepoint_cap != 0 ? 2 * t->savepoint_cap : 8;
        t->savepoints = xrealloc(t->savepoints, (size_t)t->savepoint_cap * sizeof *t->savepoints);
    }
    t->savepoints[t->savepoint_count++] = (struct savepoint){ .first_txid = t->txid_count };
    *number = t->savepoint_count;
    return 0;
}

/* What it wrote goes on under its own txid, which commits with the transaction. */
void
txn_release(struct txn *t, int number)
{
    CHECK(number >= 1 && number <= t->savepoint_count);
    t->savepoint_count = number - 1;
}

static void
txid_abort(struct engine *e, txid_t txid)
{
    if (status_set_aborted(e->status, txid))
        lock_txid_ended(e->locks, txid);
}

/* The transaction's own txid, should it have been made after the savepoint, stays. */
void
txn_rollback_to(struct txn *t, int number)
{
    struct savepoint *s;
    uint32_t from;

    CHECK(number >= 1 && number <= t->savepoint_count);
    s = &t->savepoints[number - 1];
    from = s->first_txid > 0 ? s->first_txid : 1;
    if (t->txid_count > from) {
        uint32_t count = t->txid_count - from;
        txid_t *dead = t->txids + from;

        strand_enter(t);
        if (redo_strand_abort(&t->strand, dead[0], dead + 1, count - 1, false) != 0)
            diag_clear(); /* the node is leaving: the whole transaction dies with it */
        strand_leave(t);
        lock_owner_set_txids(t->engine->locks, &t->owner, t->txids, from);
        t->txid_count = from;
        for (uint32_t i = 0; i < count; i++)
            txid_abort(t->engine, dead[i]);
    }
    t->savepoint_count = number;
    *s = (struct savepoint){ .first_txid = t->txid_count };
}

/* ---- ends ----------------------------------------------------------------------------------- */

static void
txn_reset(struct txn *t)
{
    struct engine *e = t->engine;

    while (t->statement_depth > 0)
        txn_statement_end(t);
    atomic_store_explicit(&t->pinned, 0, memory_order_release);
    atomic_store_explicit(&t->oldest, 0, memory_order_release);
    lock_release_all(e->locks, &t->owner);
    t->has_turn = false;
    if (t->txid_count != 0)
        lock_owner_set_txids(e->locks, &t->owner, NULL, 0);
    if (t->txids != t->txids_inline) {
        xfree(t->txids);
        t->txids = t->txids_inline;
        t->txid_cap = TXN_TXIDS_INLINE;
    }
    t->txid_count = 0;
    t->savepoint_count = 0;
    t->has_snapshot = false;
    t->state = TXN_IDLE;
}

/* Inside redo's critical section: every txid becomes committed at the one SCN. */
static void
commit_set_status(void *arg, scn_t scn, uint64_t time_us, struct lsn end_lsn)
{
    struct txn *t = arg;
    struct commit_time noted = { scn, time_us, end_lsn, t->txids[0] };

    t->commit_waited = 0;
    times_note(&t->engine->times, &noted);
    if (t->wrote_catalog)
        changes_note(&t->engine->changes, scn);
    for (uint32_t i = 0; i < t->txid_count; i++)
        if (status_set_committed(t->engine->status, t->txids[i], scn))
            t->commit_waited++;
}

static int
txn_append_commit(struct txn *t, unsigned flags, struct commit_token *token)
{
    struct redo_strand_commit c = {
        .txid = t->txids[0],
        .children = t->txids + 1,
        .child_count = t->txid_count - 1,
        .flags = flags,
        .on_reserved = commit_set_status,
        .arg = t,
    };
    int rc;

    strand_enter(t);
    rc = redo_strand_commit(&t->strand, &c);
    if (rc == 0)
        redo_strand_begin(&t->strand, t->inc); /* nothing of it is open any more */
    strand_leave(t);
    if (rc != 0)
        return rc;
    *token = (struct commit_token){ t->inc, c.scn, c.end_lsn, c.time_us };
    return 0;
}

/* A switchover is rare and short: looking again is cheaper than a queue. Nothing of the commit is
 * in the redo yet, so it can still be canceled. */
MUST_CHECK
static int
wait_while_held(struct txn *t)
{
    while (atomic_load_explicit(&t->engine->commits_held, memory_order_acquire) &&
           !txn_is_doomed(t)) {
        if (fiber_interrupted())
            return DIAG(ERR_QUERY_CANCELED, "canceling statement due to user request");
        fiber_sleep_us(COMMIT_HELD_NAP_US);
    }
    return 0;
}

void
engine_hold_commits(struct engine *e, bool hold)
{
    atomic_store_explicit(&e->commits_held, hold, memory_order_release);
}

MUST_CHECK
static int
commit_with(struct txn *t, unsigned flags, struct commit_token *token)
{
    struct engine *e = t->engine;
    int rc;

    CHECK(t->state == TXN_OPEN);
    *token = (struct commit_token){ 0 };
    if (t->txid_count == 0) {
        txn_reset(t);
        return 0;
    }
    rc = wait_while_held(t);
    if (rc == 0 && txn_is_doomed(t))
        rc = DIAG(ERR_SHUTDOWN, "this node is not the primary any more: nothing was committed");
    if (rc == 0)
        rc = txn_append_commit(t, flags, token);
    if (rc != 0) {
        struct diag why = *diag_last();

        txn_rollback(t);
        diag_restore(&why);
        return rc;
    }
    if (t->commit_waited != 0)
        for (uint32_t i = 0; i < t->txid_count; i++)
            lock_txid_ended(e->locks, t->txids[i]);
    t->floor = token->scn;
    if (t->must_see < token->scn)
        t->must_see = token->scn;
    atomic_fetch_add_explicit(&e->commit_count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&e->ended_count, 1, memory_order_release);
    txn_reset(t);
    return 0;
}

int
txn_commit(struct txn *t, struct commit_token *token)
{
    return commit_with(t, 0, token);
}

int
txn_commit_in_turn(struct txn *t, struct commit_token *token)
{
    return commit_with(t, REDO_PART_DEFER_WAKE, token);
}

void
engine_kick(struct engine *e)
{
    redo_kick(e->redo);
}

void
txn_rollback(struct txn *t)
{
    struct engine *e = t->engine;

    CHECK(t->state == TXN_OPEN);
    if (t->txid_count != 0) {
        strand_enter(t);
        if (!t->strand.appended)
            redo_strand_begin(&t->strand, t->inc); /* nobody has heard of it */
        else if (!txn_is_doomed(t) && redo_strand_abort(&t->strand, t->txids[0], t->txids + 1,
                                                        t->txid_count - 1, true) != 0)
            diag_clear(); /* the end of the incarnation says the same */
        redo_strand_begin(&t->strand, t->inc);
        strand_leave(t);
        for (uint32_t i = 0; i < t->txid_count; i++)
            txid_abort(e, t->txids[i]);
        atomic_fetch_add_explicit(&e->abort_count, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&e->ended_count, 1, memory_order_release);
    }
    txn_reset(t);
}

bool
txn_is_waiting(const struct txn *t)
{
    return lock_owner_waits(t->engine->locks, &t->owner);
}

void
txn_cancel_wait(struct txn *t)
{
    lock_cancel(t->engine->locks, &t->owner, ERR_QUERY_CANCELED);
}
