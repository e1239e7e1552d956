/* The steps of the storage model, and how often each comes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/base/mem.h"
#include "tests/support/storage_world.h"

static bool
is_writer(const struct storage_world *w)
{
    return w->role != ROLE_STANDBY;
}

/* An open transaction of either side, or NULL. */
static struct storage_txn *
pick_txn(struct storage_world *w)
{
    int at = (int)storage_random(w, WORLD_TXNS);

    for (int i = 0; i < WORLD_TXNS; i++)
        if (w->txns[(at + i) % WORLD_TXNS].open)
            return &w->txns[(at + i) % WORLD_TXNS];
    return NULL;
}

static bool
pick_side(struct storage_world *w)
{
    return w->role == ROLE_STANDBY || (w->role == ROLE_SNAPSHOT && storage_chance(w, 50));
}

/* ---- transactions -----------------------------------------------------------------------------
 */

static void
step_begin(struct storage_world *w)
{
    (void)storage_begin(w, pick_side(w));
}

static void
step_short_txn(struct storage_world *w)
{
    struct storage_txn *t = storage_begin(w, pick_side(w));

    if (t == NULL)
        return;
    storage_put(w, t);
    if (storage_chance(w, 33))
        storage_put(w, t);
    storage_commit(w, t);
}

static void
step_put(struct storage_world *w)
{
    struct storage_txn *t = pick_txn(w);

    if (t != NULL)
        storage_put(w, t);
}

static void
step_commit(struct storage_world *w)
{
    struct storage_txn *t = pick_txn(w);

    if (t != NULL)
        storage_commit(w, t);
}

static void
step_abort(struct storage_world *w)
{
    struct storage_txn *t = pick_txn(w);

    if (t != NULL)
        storage_abort(w, t);
}

static void
step_savepoint(struct storage_world *w)
{
    struct storage_txn *t = pick_txn(w);

    if (t != NULL)
        storage_savepoint(w, t);
}

static void
step_release(struct storage_world *w)
{
    struct storage_txn *t = pick_txn(w);

    if (t != NULL)
        storage_release(t);
}

static void
step_rollback_to(struct storage_world *w)
{
    struct storage_txn *t = pick_txn(w);

    if (t != NULL)
        storage_rollback_to(w, t);
}

static void
step_truncate(struct storage_world *w)
{
    struct storage_txn *t = pick_txn(w);

    if (t != NULL)
        storage_truncate(w, t);
}

/* ---- background work --------------------------------------------------------------------------
 */

static struct lsm_tree *
pick_tree(struct storage_world *w)
{
    /* Mostly the first ones: there is most to merge. */
    uint32_t n = storage_chance(w, 60) ? 3 : w->tree_count;

    return lsm_tree_find(w->lsm, w->trees[storage_random(w, n)]);
}

static void
install(struct storage_world *w, int slot)
{
    struct lsm_job *job = w->jobs[slot];
    int rc;

    w->jobs[slot] = NULL;
    rc = lsm_job_install(job);
    if (rc != ERR_AGAIN)
        storage_must(w, rc, "installing a merge");
    storage_say(w, "%s installed%s", slot == 0 ? "flush" : "merge", rc == 0 ? "" : ": inputs gone");
}

static void
start(struct storage_world *w, int slot, enum lsm_job_kind kind)
{
    struct lsm_tree *t = pick_tree(w);
    int rc;

    if (t == NULL)
        return;
    if (kind == LSM_JOB_FLUSH && storage_chance(w, 80))
        lsm_seal(t);
    rc = lsm_job_start(t, kind, storage_random(w, 0), &w->jobs[slot]);
    if (rc == ERR_NOT_FOUND) {
        w->jobs[slot] = NULL;
        return;
    }
    storage_must(w, rc, "starting a merge");
    storage_say(w, "%s of tree %llu starts, kind %d, horizon %llu", slot == 0 ? "flush" : "merge",
                (unsigned long long)lsm_tree_id(t), kind, (unsigned long long)lsm_horizon(w->lsm));
    if (storage_chance(w, 60))
        install(w, slot);
}

static void
step_flush(struct storage_world *w)
{
    if (w->jobs[0] != NULL)
        install(w, 0);
    else
        start(w, 0, LSM_JOB_FLUSH);
}

static void
step_merge(struct storage_world *w)
{
    static const enum lsm_job_kind kinds[] = { LSM_JOB_RANDOM,  LSM_JOB_RANDOM, LSM_JOB_RANDOM,
                                               LSM_JOB_COMPACT, LSM_JOB_ALL,    LSM_JOB_UNDO };

    if (w->jobs[1] != NULL)
        install(w, 1);
    else
        start(w, 1, kinds[storage_random(w, 6)]);
}

static void
step_sync(struct storage_world *w)
{
    w->durable = w->end[w->inc];
}

static void
step_expire(struct storage_world *w)
{
    storage_must(w, lsm_expire(w->lsm), "expiring");
    if (storage_chance(w, 30))
        storage_must(w, lsm_trees_sweep(w->lsm), "sweeping trees");
}

/* STATUS-2 */
static void
step_collect_status(struct storage_world *w)
{
    uint64_t floor = lsm_status_floor(w->lsm, storage_chance(w, 70));
    uint32_t kept = 0;

    for (uint32_t i = 0; i < w->status_count; i++)
        if (!storage_is_broken(w, STORAGE_BREAK_STATUS_2) &&
            (w->statuses[i].ended > floor || lsm_names_txid(w->lsm, w->statuses[i].txid)))
            w->statuses[kept++] = w->statuses[i];
    w->status_count = kept;
}

static void
step_horizon(struct storage_world *w)
{
    scn_t h = lsm_horizon(w->lsm), limit, to;

    if (w->role == ROLE_STANDBY) { /* HORIZON-3: not past where its standby is */
        struct oracle_record r = { .type = ORACLE_HORIZON };

        if (w->inc != w->stream || w->tip[w->inc] == 0)
            return;
        r.scn = storage_random(w, w->tip[w->inc] + 1);
        oracle_log(&w->oracle, w->stream, &r);
        return;
    }
    if (w->role != ROLE_PRIMARY)
        return;
    if (storage_chance(w, 70))
        step_sync(w);
    limit = lsm_horizon_limit(w->lsm, oracle_tip(&w->oracle, w->inc, w->durable));
    if (limit <= h)
        return;
    to = storage_chance(w, 50) ? limit : h + storage_random(w, limit - h + 1);
    storage_must(w, lsm_horizon_raise(w->lsm, to, limit), "raising the horizon");
    if (lsm_horizon(w->lsm) != to)
        storage_diverge(w, "horizon %llu, should be %llu", (unsigned long long)lsm_horizon(w->lsm),
                        (unsigned long long)to);
    storage_say(w, "horizon %llu", (unsigned long long)to);
}

/* PIN-1 */
static void
step_pin(struct storage_world *w)
{
    struct lsm_pin pin = { .name = { 'p', (char)('a' + w->pin_next % 26) }, .guaranteed = true };
    scn_t h = lsm_horizon(w->lsm), tip = w->tip[w->inc];

    if (w->role != ROLE_PRIMARY)
        return;
    if (w->pin_count == WORLD_PINS || (w->pin_count != 0 && storage_chance(w, 60))) {
        uint32_t at = (uint32_t)storage_random(w, w->pin_count);

        storage_must(w, lsm_pin_drop(w->lsm, w->pins[at].name), "dropping a restore point");
        w->pins[at] = w->pins[--w->pin_count];
        return;
    }
    for (uint32_t i = 0; i < w->pin_count; i++)
        if (strcmp(w->pins[i].name, pin.name) == 0)
            return;
    if (h > tip)
        h = tip;
    pin.at = (struct moment){ w->inc, h + storage_random(w, tip - h + 1) };
    storage_must(w, lsm_pin_put(w->lsm, &pin, false), "making a restore point");
    step_sync(w);
    w->pin_next++;
    w->pins[w->pin_count++] = pin;
    storage_say(w, "restore point %s at %u, %llu", pin.name, pin.at.inc,
                (unsigned long long)pin.at.scn);
}

/* ---- snapshots --------------------------------------------------------------------------------
 */

static void
step_snapshot(struct storage_world *w)
{
    struct storage_snap *s = &w->snaps[storage_random(w, WORLD_SNAPS)];
    struct moment at;

    if (s->open || !storage_pick_moment(w, &at.inc, &at.scn))
        return;
    storage_must(w, lsm_hold(w->lsm, at, &s->hold), "holding a moment that is kept");
    s->open = true;
    s->view_count = 0;
    for (uint32_t i = 0; i < w->tree_count; i++) {
        struct lsm_tree *t = lsm_tree_find(w->lsm, w->trees[i]);

        if (t != NULL)
            s->views[s->view_count++] = lsm_view_acquire(t);
    }
    storage_say(w, "snapshot of branch %u at %llu", at.inc, (unsigned long long)at.scn);
}

static void
step_read_snapshot(struct storage_world *w)
{
    struct storage_snap *s = &w->snaps[storage_random(w, WORLD_SNAPS)];

    if (!s->open)
        return;
    storage_compare(w, s->hold.at.inc, s->hold.at.scn, NULL);
    storage_compare(w, s->hold.at.inc, s->hold.at.scn, s);
    if (storage_chance(w, 50))
        return;
    for (size_t i = 0; i < s->view_count; i++)
        lsm_view_release(s->views[i]);
    lsm_unhold(w->lsm, &s->hold);
    s->open = false;
}

/* ---- branches ---------------------------------------------------------------------------------
 */

static bool
new_branch(struct storage_world *w, incarnation_t parent, scn_t scn)
{
    scn_t seen = scn;
    incarnation_t inc;

    for (incarnation_t x = 0; x <= w->oracle.count; x++)
        if (w->known[x] && w->tip[x] > seen)
            seen = w->tip[x];
    inc = oracle_add(&w->oracle, parent, scn, w->inc, w->end[w->inc],
                     (storage_chance(w, 50) ? scn : seen) + 1);
    if (inc == 0)
        return false;
    storage_enter(w, inc);
    return true;
}

static void
step_cut(struct storage_world *w)
{
    static const scn_t back[] = { 1, 2, 3, 5, 9 };
    scn_t tip = w->tip[w->inc], low = lsm_horizon(w->lsm), scn, by;

    if (!is_writer(w))
        return;
    by = back[storage_random(w, 5)];
    scn = tip > by ? tip - by : 0;
    if (low > tip)
        low = tip;
    if (scn < low)
        scn = low;
    if (storage_holds(w, w->inc, scn))
        (void)new_branch(w, w->inc, scn);
}

/* Some orphan, or 0 with false. */
static bool
pick_orphan(struct storage_world *w, incarnation_t *b)
{
    incarnation_t at = (incarnation_t)storage_random(w, w->oracle.count + 1);

    for (incarnation_t i = 0; i <= w->oracle.count; i++) {
        *b = (at + i) % (w->oracle.count + 1);
        if (w->live[*b] && *b != w->inc)
            return true;
    }
    return false;
}

static void
step_uncut(struct storage_world *w)
{
    incarnation_t b;
    scn_t low, scn;

    if (!is_writer(w) || !pick_orphan(w, &b))
        return;
    low = oracle_part(&w->oracle, b, w->inc);
    scn = w->tip[b];
    if (storage_chance(w, 30))
        scn = low + storage_random(w, w->tip[b] - low + 1);
    if (storage_holds(w, b, scn))
        (void)new_branch(w, b, scn);
}

/* Whether only branch b has the moment among those kept. */
static bool
needs(const struct storage_world *w, incarnation_t b, struct moment at)
{
    for (incarnation_t y = 0; y <= w->oracle.count; y++)
        if (w->live[y] && y != b && at.scn <= oracle_part(&w->oracle, at.inc, y))
            return false;
    return true;
}

static void
step_drop_branch(struct storage_world *w)
{
    incarnation_t b;
    bool held = false;
    int rc;

    if (!pick_orphan(w, &b))
        return;
    for (uint32_t i = 0; i < w->pin_count; i++)
        held |= needs(w, b, w->pins[i].at);
    for (int i = 0; i < WORLD_SNAPS; i++)
        held |= w->snaps[i].open && needs(w, b, w->snaps[i].hold.at);
    rc = lsm_branch_drop(w->lsm, b);
    if ((rc == ERR_OBJECT_IN_USE) != held || (rc != 0 && rc != ERR_OBJECT_IN_USE))
        storage_diverge(w, "dropping branch %u: %s, in use %d", b, err_name(rc), held);
    w->live[b] = rc != 0;
    storage_say(w, "orphan branch %u dropped: %s", b, rc == 0 ? "yes" : "no");
}

/* ---- crashes and roles ------------------------------------------------------------------------
 */

static void
restart(struct storage_world *w)
{
    scn_t tip = w->tip[w->inc], stored;

    storage_close(w);
    storage_forget_txns(w, false);
    storage_open(w);
    if (lsm_branch(w->lsm) != w->inc)
        storage_diverge(w, "branch %u after a restart, should be %u", lsm_branch(w->lsm), w->inc);
    stored = lsm_stored_tip(w->lsm);
    if (stored > tip)
        storage_diverge(w, "tip %llu is stored, but redo ends at %llu", (unsigned long long)stored,
                        (unsigned long long)tip);
    w->tip[w->inc] = stored;
    storage_replay(w);
    if (w->tip[w->inc] != tip)
        storage_diverge(w, "tip %llu after a restart, should be %llu",
                        (unsigned long long)w->tip[w->inc], (unsigned long long)tip);
    storage_live(w, w->inc);
    storage_check_pins(w);
}

/* INC-1: every opening for writing starts an incarnation. */
static void
step_crash(struct storage_world *w)
{
    incarnation_t old = w->inc;

    if (w->oracle.count + 2 >= ORACLE_INCS)
        return;
    if (is_writer(w)) {
        w->end[old] = w->durable + storage_random(w, w->end[old] - w->durable + 1);
        w->tip[old] = oracle_tip(&w->oracle, old, w->end[old]);
    }
    storage_say(w, "restarts with %llu of %llu records, SCN %llu", (unsigned long long)w->end[old],
                (unsigned long long)w->oracle.incs[old].record_count,
                (unsigned long long)w->tip[old]);
    restart(w);
    w->durable = w->end[old];
    if (is_writer(w) && storage_is_broken(w, STORAGE_BREAK_INC_1))
        oracle_cut(&w->oracle, old, w->end[old], w->tip[old]); /* as if nothing had happened */
    else if (is_writer(w))
        (void)new_branch(w, old, w->tip[old]);
}

/* The incarnations on the way to `to`, and how many records of each count. */
static uint32_t
chain_to(const struct storage_world *w, incarnation_t to, incarnation_t incs[ORACLE_INCS],
         uint64_t ends[ORACLE_INCS])
{
    uint32_t n = 0;
    uint64_t end = w->oracle.incs[to].record_count;

    for (incarnation_t i = to; i != 0; i = w->oracle.incs[i].prev) {
        incs[n] = i;
        ends[n++] = end;
        end = w->oracle.incs[i].prev_end;
    }
    for (uint32_t a = 0, b = n; a + 1 < b; a++) {
        incarnation_t i = incs[a];
        uint64_t e = ends[a];

        b--;
        incs[a] = incs[b];
        ends[a] = ends[b];
        incs[b] = i;
        ends[b] = e;
    }
    return n;
}

/* Whether the transaction of a record was open where the stream was left. */
static bool
is_open_at_end(const struct storage_world *w, incarnation_t inc, uint64_t pos)
{
    const struct oracle_inc *i = &w->oracle.incs[inc];
    txid_t txid = i->records[pos].txid;

    for (uint64_t q = pos + 1; q < w->end[inc]; q++) {
        const struct oracle_record *r = &i->records[q];

        if (r->type != ORACLE_COMMIT && r->type != ORACLE_ABORT)
            continue;
        if (r->txid == txid)
            return false;
        for (uint32_t k = 0; k < r->child_count; k++)
            if (r->children[k] == txid)
                return false;
    }
    return true;
}

/* What was open where the stream was left (CUT-4). */
static uint64_t
find_open(const struct storage_world *w, incarnation_t inc, txid_t *open, size_t *count)
{
    uint64_t low = w->end[inc];

    *count = 0;
    for (uint64_t p = 0; p < w->end[inc]; p++) {
        const struct oracle_record *r = &w->oracle.incs[inc].records[p];

        if ((r->type == ORACLE_PUT || r->type == ORACLE_TREE_CREATE ||
             r->type == ORACLE_TREE_DROP) &&
            is_open_at_end(w, inc, p)) {
            if (low == w->end[inc])
                low = p;
            open[(*count)++] = r->txid; /* more than once does no harm */
        }
    }
    return low;
}

static void
resume(struct storage_world *w, incarnation_t inc)
{
    uint64_t start = w->oracle.incs[inc].start, low;
    incarnation_t old = w->inc;
    struct lsm_reread again = { .end = lsn_make(start + w->end[inc]) };
    txid_t *open = xcalloc(w->end[inc] + 1, sizeof *open);
    int rc;

    low = find_open(w, inc, open, &again.open_count);
    again.low = lsn_make(start + low);
    again.open = open;
    rc = lsm_resume(w->lsm, inc, w->tip[old], lsn_make(w->oracle.incs[old].start + w->end[old]),
                    &again, NULL);
    xfree(open);
    storage_must(w, rc, "following a stream again");
    w->inc = inc;
    w->durable = w->end[inc];
    storage_forget_txns(w, false);
    storage_say(w, "follows branch %u again from record %llu of %llu", inc, (unsigned long long)low,
                (unsigned long long)w->end[inc]);
    for (uint64_t pos = low; pos < w->end[inc]; pos++) {
        w->reading = start + pos;
        storage_apply(w, inc, pos, true);
    }
    lsm_reread_end(w->lsm);
    w->reading = 0;
    storage_live(w, old);
}

/* One step along the stream. False: nothing to do, or it cannot: a base copy would be needed. */
static bool
follow(struct storage_world *w)
{
    incarnation_t incs[ORACLE_INCS], i = w->stream;
    uint64_t ends[ORACLE_INCS], end = 0;
    uint32_t n = chain_to(w, w->stream, incs, ends);

    for (uint32_t k = 0; k < n; k++) {
        i = incs[k];
        end = ends[k];
        if (w->end[i] < end)
            break;
    }
    if (i == w->inc) {
        uint64_t pos = w->end[i];

        if (pos == end)
            return false;
        w->reading = w->oracle.incs[i].start + pos;
        storage_apply(w, i, pos, false);
        w->reading = 0;
        w->durable = ++w->end[i];
        return true;
    }
    if (w->known[i] && !storage_holds(w, i, w->tip[i]))
        return false;
    if (w->known[i])
        resume(w, i);
    else if (storage_holds(w, w->oracle.incs[i].parent, w->oracle.incs[i].fork_scn))
        storage_enter(w, i);
    else
        return false;
    return true;
}

static void
step_apply(struct storage_world *w)
{
    static const int counts[] = { 1, 3, 1000 };

    if (w->role != ROLE_STANDBY)
        return;
    for (int n = counts[storage_random(w, 3)]; n > 0 && follow(w); n--)
        ;
}

/* Somebody else opens after what this node has, and it follows. */
static void
step_handover(struct storage_world *w)
{
    incarnation_t inc;

    if (w->role != ROLE_PRIMARY || w->inc == 0)
        return;
    step_sync(w);
    storage_forget_txns(w, false);
    inc =
        oracle_add(&w->oracle, w->inc, w->tip[w->inc], w->inc, w->end[w->inc], w->tip[w->inc] + 1);
    if (inc == 0)
        return;
    w->stream = inc;
    w->role = ROLE_STANDBY;
    storage_say(w, "follows a primary elsewhere on branch %u", inc);
}

static void
step_takeover(struct storage_world *w)
{
    if (w->role != ROLE_STANDBY || w->oracle.count + 2 >= ORACLE_INCS)
        return;
    w->role = ROLE_PRIMARY;
    storage_forget_txns(w, true);
    storage_say(w, "takes over");
    (void)new_branch(w, w->inc, w->tip[w->inc]);
}

static void
step_snapshot_standby(struct storage_world *w)
{
    if (w->role == ROLE_STANDBY && w->oracle.count + 2 < ORACLE_INCS) {
        w->role = ROLE_SNAPSHOT;
        storage_say(w, "opens as a snapshot standby");
        (void)new_branch(w, w->inc, w->tip[w->inc]);
    } else if (w->role == ROLE_SNAPSHOT) {
        storage_forget_txns(w, false);
        w->role = ROLE_STANDBY;
        storage_say(w, "a physical standby again");
        if (!follow(w)) /* off its own branch before all else */
            step_takeover(w);
    }
}

/* ---- playing ----------------------------------------------------------------------------------
 */

static const struct {
    void (*fn)(struct storage_world *w);
    unsigned weight;
} steps[] = {
    { step_short_txn, 30 },
    { step_begin, 8 },
    { step_put, 20 },
    { step_commit, 10 },
    { step_abort, 2 },
    { step_savepoint, 3 },
    { step_release, 2 },
    { step_rollback_to, 2 },
    { step_truncate, 1 },
    { step_flush, 40 },
    { step_merge, 40 },
    { step_expire, 10 },
    { step_collect_status, 4 },
    { step_sync, 8 },
    { step_horizon, 10 },
    { step_pin, 2 },
    { step_snapshot, 2 },
    { step_read_snapshot, 4 },
    { step_cut, 2 },
    { step_uncut, 2 },
    { step_drop_branch, 5 },
    { step_crash, 3 },
    { step_apply, 14 },
    { step_handover, 2 },
    { step_takeover, 2 },
    { step_snapshot_standby, 4 },
};
enum { STEP_COUNT = sizeof steps / sizeof steps[0] };

/* HORIZON-2: what lies below the horizon is refused, and nothing is pinned by asking. */
static void
check_below(struct storage_world *w)
{
    struct lsm_pin pin = { .name = "below" };
    struct lsm_hold hold;
    scn_t h = lsm_horizon(w->lsm);

    if (h == 0 || w->tip[w->inc] == 0)
        return;
    pin.at = (struct moment){ w->inc, w->steps % (h <= w->tip[w->inc] ? h : w->tip[w->inc]) };
    if (lsm_holds(w->lsm, w->inc, pin.at.scn) || lsm_hold(w->lsm, pin.at, &hold) == 0 ||
        lsm_pin_put(w->lsm, &pin, false) == 0)
        storage_diverge(w, "SCN %llu is held, below the horizon %llu",
                        (unsigned long long)pin.at.scn, (unsigned long long)h);
    diag_clear();
}

static void
play_one(struct storage_world *w, const unsigned *weights, unsigned total)
{
    unsigned at = (unsigned)storage_random(w, total), i = 0;

    while (at >= weights[i])
        at -= weights[i++];
    steps[i].fn(w);
    w->steps++;
    storage_check(w, 1);
    check_below(w);
}

static void
play_all(struct storage_world *w, unsigned count)
{
    static const unsigned factors[] = { 0, 3, 10, 10, 10, 30 };
    unsigned weights[STEP_COUNT], total = 0;

    /* Each seed prefers some kinds of step and leaves others out. */
    for (int i = 0; i < STEP_COUNT; i++)
        total += weights[i] = steps[i].weight * factors[storage_random(w, 6)];
    storage_open(w);
    if (!new_branch(w, 0, 0) || total == 0)
        return;
    for (unsigned n = 0; n < count; n++)
        play_one(w, weights, total);
    storage_check(w, 12);
}

bool
storage_play(struct storage_world *w, unsigned count)
{
    if (setjmp(w->found) != 0)
        return false;
    play_all(w, count);
    return true;
}
