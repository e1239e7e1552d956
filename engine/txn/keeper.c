/* The keeper: a thread that each second stores commit times, moves the horizon, frees statuses and
 * notes what readers were shown (exposed.c).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "engine/txn/engine_int.h"

enum {
    KEEPER_STEP_US = 1000000,
    KEEPER_HURRY_US = 10000, /* while commits of earlier incarnations are not stored */
    KEEPER_SETTLE_US = 1000,
    KEEPER_SETTLE_NAPS = 1000,
    STATUS_MARKS = 64,
    STATUS_LEAF = 4096,
    STATUS_SWEEP = 1 << 18, /* transactions that end between two sweeps, which walk all memtables */
};

/* ---- the horizon's policy -------------------------------------------------------------------- */

static scn_t
policy_scn_at_time(void *arg, uint64_t time_us)
{
    scn_t scn;

    if (engine_scn_at_time(arg, time_us, &scn) == 0)
        return scn;
    diag_clear();
    return 0;
}

static uint64_t
policy_now(void *arg)
{
    struct engine *e = arg;

    return env_wall_us(e->env);
}

static scn_t
policy_limit(void *arg)
{
    struct engine *e = arg;
    scn_t limit = engine_oldest_snapshot(e, engine_visible_scn(e));

    if (!engine_is_writable(e)) {
        /* HORIZON-3: a standby's never passes the primary's. */
        scn_t primary = atomic_load_explicit(&e->follow.horizon, memory_order_acquire);
        scn_t most = primary > lsm_horizon(e->lsm) ? primary : lsm_horizon(e->lsm);

        return limit < most ? limit : most;
    }
    return e->members_limit.fn != NULL ? e->members_limit.fn(e->members_limit.arg, limit) : limit;
}

/* HORIZON-3: the standbys follow the primary's horizon, by redo. */
static void
policy_moved(void *arg, scn_t horizon)
{
    struct engine *e = arg;
    struct redo_part part = { .commit_at = REDO_NO_COMMIT, .inc = engine_incarnation(e) };
    struct writer w;

    if (!engine_is_writable(e))
        return;
    wr_init(&w, 0);
    redo_encode_horizon(&w, horizon);
    part.data = w.data;
    part.size = w.size;
    if (redo_append(e->redo, &part) != 0)
        diag_clear(); /* it left its role: the next primary has its own horizon */
    wr_fini(&w);
}

void
keeper_fill_policy(struct engine *e, struct undo_policy_host *policy)
{
    *policy = (struct undo_policy_host){
        .arg = e,
        .scn_at_time = policy_scn_at_time,
        .now_us = policy_now,
        .limit = policy_limit,
        .moved = policy_moved,
    };
}

void
engine_set_members_limit(struct engine *e, const struct members_limit *m)
{
    e->members_limit = *m;
}

/* ---- statuses (STATUS-2) --------------------------------------------------------------------- */

/* All txids of `inc` below `counter` had ended when host.ended was `ended`. */
struct status_mark {
    incarnation_t inc;
    uint64_t counter, ended;
};

static uint64_t
oldest_open_counter(struct engine *e)
{
    uint64_t low = atomic_load_explicit(&e->next_counter, memory_order_acquire);

    env_mutex_lock(&e->txns_mutex);
    list_for_each (t, &e->txns, struct txn, engine_link) {
        txid_t oldest = atomic_load_explicit(&t->oldest, memory_order_acquire);

        if (oldest != 0 && txid_counter(oldest) < low)
            low = txid_counter(oldest);
    }
    env_mutex_unlock(&e->txns_mutex);
    return low;
}

uint64_t
keeper_ended_below(struct engine *e)
{
    incarnation_t inc = engine_incarnation(e); /* before the counter, which changes first */

    return txid_make(inc, oldest_open_counter(e)) & ~TXID_BIT;
}

/* Frees whole leaves below the mark of which nothing names a txid. */
static void
free_statuses(struct engine *e, const struct status_mark *m)
{
    while (e->status_freed + STATUS_LEAF <= m->counter) {
        for (uint64_t c = e->status_freed; c < e->status_freed + STATUS_LEAF; c++)
            if (lsm_names_txid(e->lsm, txid_make(m->inc, c)))
                return;
        e->status_freed += STATUS_LEAF;
        status_free_below(e->status, m->inc, e->status_freed);
    }
}

static void
sweep_statuses(struct engine *e)
{
    struct status_mark *marks = e->status_marks;
    incarnation_t inc = engine_incarnation(e);
    uint64_t floor, slot, ended = atomic_load_explicit(&e->ended_count, memory_order_acquire);

    if (e->status_inc != inc) {
        e->status_inc = inc;
        e->status_freed = 0;
        e->status_mark_count = 0;
    }
    if (ended - e->status_swept < STATUS_SWEEP)
        return;
    e->status_swept = ended;
    slot = e->status_mark_count++ % STATUS_MARKS;
    marks[slot].inc = inc;
    marks[slot].counter = engine_is_writable(e) ? oldest_open_counter(e) : follow_ended_counter(e);
    marks[slot].ended = atomic_load_explicit(&e->ended_count, memory_order_acquire);
    floor = lsm_status_floor(e->lsm, true);
    for (uint64_t i = 0; i < STATUS_MARKS && i < e->status_mark_count; i++)
        if (marks[i].inc == inc && marks[i].ended <= floor)
            free_statuses(e, &marks[i]);
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* The primary's horizon came by redo; queries that run here hold it back. */
static int
follow_horizon(struct engine *e)
{
    scn_t horizon = atomic_load_explicit(&e->follow.horizon, memory_order_acquire);
    scn_t limit = engine_oldest_snapshot(e, engine_visible_scn(e));

    return undo_follow_horizon(e->undo, horizon < limit ? horizon : limit);
}

/* B10 */
static void
tell_room(struct engine *e)
{
    struct redo_stats stats;

    redo_stats(e->redo, &stats);
    if (stats.disk_full == e->disk_was_full)
        return;
    e->disk_was_full = stats.disk_full;
    if (stats.disk_full)
        log_warning(e->log, "there is no room for more redo in \"%s\": writes are refused (53100)",
                    e->dir);
    else
        log_notice(e->log, "there is room for redo in \"%s\" again: writes are taken", e->dir);
}

static void
keeper_step(struct engine *e)
{
    tell_room(e);
    if (times_refresh(e) != 0)
        diag_clear();
    if (engine_is_writable(e) && times_store(e) != 0)
        diag_clear(); /* tried again in the next step */
    if (!engine_is_writable(e) && follow_horizon(e) != 0)
        diag_clear();
    if (undo_step(e->undo) != 0)
        diag_clear();
    sweep_statuses(e);
    engine_store_exposed(e);
}

static void
keeper_th_main(void *arg)
{
    struct engine *e = arg;
    uint64_t nap_us = KEEPER_STEP_US;

    env_mutex_lock(&e->keeper_mutex);
    while (!e->keeper_stop) {
        /* Woken: now it is said why. */
        if ((!e->keeper_hurry && env_cond_wait_us(&e->keeper_wake, &e->keeper_mutex, nap_us)) ||
            e->keeper_stop)
            continue;
        e->keeper_hurry = false;
        env_mutex_unlock(&e->keeper_mutex);
        keeper_step(e);
        nap_us = times_are_late(e) ? KEEPER_HURRY_US : KEEPER_STEP_US;
        env_mutex_lock(&e->keeper_mutex);
    }
    env_mutex_unlock(&e->keeper_mutex);
}

void
keeper_wake(struct engine *e)
{
    if (e->keeper == NULL)
        return;
    env_mutex_lock(&e->keeper_mutex);
    e->keeper_hurry = true;
    env_cond_signal(&e->keeper_wake);
    env_mutex_unlock(&e->keeper_mutex);
}

void
keeper_settle(struct engine *e)
{
    for (int i = 0; i < KEEPER_SETTLE_NAPS && e->keeper != NULL && times_are_late(e); i++) {
        keeper_wake(e);
        env_sleep_us(e->env, KEEPER_SETTLE_US);
    }
}

void
keeper_start(struct engine *e)
{
    env_mutex_init(e->env, &e->keeper_mutex);
    env_cond_init(e->env, &e->keeper_wake);
    e->status_marks = xcalloc(STATUS_MARKS, sizeof *e->status_marks);
    e->keeper = env_thread_start(e->env, "engine-keeper", keeper_th_main, e);
}

void
keeper_stop(struct engine *e)
{
    if (e->keeper == NULL)
        return;
    env_mutex_lock(&e->keeper_mutex);
    e->keeper_stop = true;
    env_cond_signal(&e->keeper_wake);
    env_mutex_unlock(&e->keeper_mutex);
    env_thread_join(e->keeper);
    e->keeper = NULL;
    xfree(e->status_marks);
    env_cond_fini(&e->keeper_wake);
    env_mutex_fini(&e->keeper_mutex);
}
