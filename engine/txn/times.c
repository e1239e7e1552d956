/* Which commit happened when, for AS OF TIMESTAMP and for retention by time.
 *
 * Commit times grow with the SCN. The latest are in memory; once a second those that are new go, as
 * one row, into a tree of their own (ENGINE_TREE_TIMES), which reaches standbys, backups and cuts
 * like all other rows, and what became of transactions goes along (outcome.c). A row: key = time of
 * its first commit (u64 big-endian), value = varint count, first SCN, then per commit: varint SCN
 * delta, varint time delta, zigzag varint txid delta (txids without bit 63).
 *
 * Commits that no visible row holds are found again in redo: it is kept from there on (times_low),
 * and recovery, a copy and a restore read it from there.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/txn/engine_int.h"

enum {
    TIMES_ROW_MAX = 4096,   /* commits in a row */
    TIMES_LOOK_STEP = 4096, /* those looked at in one go */
};

void
times_init(struct commit_times *c, struct env *env)
{
    env_mutex_init(env, &c->mutex);
    c->limit = SCN_MAX;
}

void
times_fini(struct commit_times *c)
{
    xfree(c->recent);
    xfree(c->back);
    env_mutex_fini(&c->mutex);
}

static struct commit_time *
times_at(struct commit_times *c, size_t i)
{
    return &c->recent[(c->first + i) % TIMES_RECENT];
}

/* Neighbours in the log may be noted the other way round; the same commit again (replay) is not. */
static void
times_insert(struct commit_times *c, struct commit_time t)
{
    size_t at = c->count;

    while (at > 0 && times_at(c, at - 1)->scn > t.scn)
        at--;
    if (at > 0 && times_at(c, at - 1)->scn == t.scn)
        return;
    for (size_t i = c->count; i > at; i--)
        *times_at(c, i) = *times_at(c, i - 1);
    *times_at(c, at) = t;
    c->count++;
}

void
times_note(struct commit_times *c, const struct commit_time *t)
{
    env_mutex_lock(&c->mutex);
    if (t->scn <= c->limit) {
        if (c->recent == NULL)
            c->recent = xmalloc(TIMES_RECENT * sizeof *c->recent);
        if (c->count == TIMES_RECENT) {
            c->first = (c->first + 1) % TIMES_RECENT;
            c->count--;
        }
        times_insert(c, *t);
    }
    env_mutex_unlock(&c->mutex);
}

void
times_limit(struct commit_times *c, scn_t limit)
{
    env_mutex_lock(&c->mutex);
    c->limit = limit;
    env_mutex_unlock(&c->mutex);
}

/* With the mutex. Where there is room for some only, the latest. */
static void
put_back(struct commit_times *c)
{
    struct commit_time *all = xmalloc(TIMES_RECENT * sizeof *all);
    size_t at = TIMES_RECENT;

    while (at > 0 && (c->count > 0 || c->back_count > 0)) {
        const struct commit_time *ours = c->count > 0 ? times_at(c, c->count - 1) : NULL;
        const struct commit_time *back = c->back_count > 0 ? &c->back[c->back_count - 1] : NULL;
        bool is_back = ours == NULL || (back != NULL && back->scn > ours->scn);

        if (!is_back && back != NULL && back->scn == ours->scn)
            c->back_count--;
        all[--at] = is_back ? *back : *ours;
        if (is_back)
            c->back_count--;
        else
            c->count--;
    }
    xfree(c->recent);
    c->recent = all;
    c->first = at;
    c->count = TIMES_RECENT - at;
}

/* Rows above the cut are out of sight, with what they held of the time before it: what is kept has
 * to be read anew. */
void
times_forget_after(struct commit_times *c, scn_t scn)
{
    env_mutex_lock(&c->mutex);
    while (c->count > 0 && times_at(c, c->count - 1)->scn > scn)
        c->count--;
    while (c->back_count > 0 && c->back[c->back_count - 1].scn > scn)
        c->back_count--;
    if (c->back_count > 0)
        put_back(c);
    xfree(c->back);
    c->back = NULL;
    c->back_count = 0;
    c->stored = c->kept = 0;
    c->cuts++;
    env_mutex_unlock(&c->mutex);
}

uint64_t
times_cuts(struct commit_times *c)
{
    uint64_t cuts;

    env_mutex_lock(&c->mutex);
    cuts = c->cuts;
    env_mutex_unlock(&c->mutex);
    return cuts;
}

/* The index of the first commit above `scn`. With the mutex. */
static size_t
times_above(struct commit_times *c, scn_t scn)
{
    size_t lo = 0, hi = c->count;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (times_at(c, mid)->scn <= scn)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool
times_have(struct commit_times *c, scn_t from, scn_t to)
{
    bool all;

    if (to <= from)
        return true;
    env_mutex_lock(&c->mutex);
    all = times_above(c, to) - times_above(c, from) == to - from; /* SCNs are dense */
    env_mutex_unlock(&c->mutex);
    return all;
}

/* In steps, since every commit needs the mutex. What is noted between two of them lies above `to`,
 * or `to` was not reached without a gap. */
void
times_look(struct commit_times *c, txid_t txid, scn_t from, scn_t to, struct times_seen *out)
{
    scn_t at = from;
    bool more = true;

    *out = (struct times_seen){ .all = true };
    while (more && out->scn == 0) {
        size_t i, end;

        env_mutex_lock(&c->mutex);
        i = times_above(c, at);
        end = c->count - i > TIMES_LOOK_STEP ? i + TIMES_LOOK_STEP : c->count;
        for (; i < end; i++) {
            const struct commit_time *t = times_at(c, i);

            out->all &= t->scn == at + 1 || at >= to; /* SCNs are dense */
            at = t->scn;
            if (t->txid == txid)
                out->scn = at;
        }
        more = end < c->count;
        env_mutex_unlock(&c->mutex);
    }
    out->all &= at >= to;
}

/* ---- what is kept ---------------------------------------------------------------------------- */

int
times_refresh(struct engine *e)
{
    struct commit_times *c = &e->times;
    scn_t visible = engine_visible_scn(e);
    struct outcome_meta meta;
    struct txn *t;
    uint64_t cuts;
    bool is_known;
    int rc;

    env_mutex_lock(&c->mutex);
    cuts = c->cuts;
    is_known = c->kept != 0;
    env_mutex_unlock(&c->mutex);
    if (visible == e->times_refreshed && is_known)
        return 0;
    t = txn_new(e);
    rc = txn_begin(t, TXN_READ_COMMITTED, true);
    if (rc == 0)
        rc = txn_statement_begin(t);
    if (rc == 0)
        rc = outcome_read_meta(t, NULL, &meta);
    txn_free(t);
    if (rc == ERR_NOT_FOUND)
        return 0;
    if (rc != 0)
        return rc;
    env_mutex_lock(&c->mutex);
    if (c->cuts == cuts) {
        c->kept = meta.scn;
        c->stored = c->stored < meta.scn ? meta.scn : c->stored;
    }
    env_mutex_unlock(&c->mutex);
    e->times_refreshed = visible;
    return 0;
}

static struct lsn
start_of(struct engine *e, incarnation_t inc)
{
    const struct lineage_entry *entry;
    struct lsn start = REDO_LSN_FIRST;
    struct lineage lineage;

    lineage_init(&lineage);
    lsm_lineage(e->lsm, &lineage);
    entry = lineage_find(&lineage, inc);
    if (entry != NULL)
        start = entry->start_lsn;
    lineage_fini(&lineage);
    return start;
}

struct lsn
times_low(struct engine *e, incarnation_t inc, struct lsn none)
{
    struct commit_times *c = &e->times;
    struct lsn low = { 0 }, start;

    if (inc == 0 || e->options.no_background) /* nobody stores them */
        return none;
    env_mutex_lock(&c->mutex);
    if (c->kept != 0) {
        size_t at = times_above(c, c->kept);

        if (at > 0 && times_at(c, at - 1)->scn == c->kept)
            low = times_at(c, at - 1)->end;
    }
    env_mutex_unlock(&c->mutex);
    if (low.v == 0) { /* kept before memory begins: as far back as until now */
        low = engine_follow_low(e, inc);
        if (low.v == LSN_MAX.v)
            low = lsn_make(0);
    }
    start = start_of(e, inc);
    low = lsn_lt(low, start) ? start : low;
    return lsn_lt(low, none) ? low : none;
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* A row's commits in order. */
struct row_reader {
    struct reader r;
    struct commit_time at;
    uint64_t left;
};

static void
row_begin(struct row_reader *row, struct slice key, struct slice value)
{
    *row = (struct row_reader){ .at = { .txid = TXID_BIT } };
    rd_init(&row->r, value.data, value.size);
    row->left = rd_varint(&row->r);
    row->at.scn = rd_varint(&row->r);
    row->at.time_us = key.size == 8 ? load_u64_be(key.data) : 0;
}

static bool
row_next(struct row_reader *row)
{
    uint64_t step;

    if (row->left == 0 || !rd_ok(&row->r))
        return false;
    row->left--;
    row->at.scn += rd_varint(&row->r);
    row->at.time_us += rd_varint(&row->r);
    step = rd_varint(&row->r);
    row->at.txid += step >> 1 ^ -(step & 1);
    return rd_ok(&row->r);
}

/* ---- storing --------------------------------------------------------------------------------- */

/* Copies commits that no row has yet to `out`, of TIMES_ROW_MAX; how many. */
static size_t
times_pending(struct commit_times *c, scn_t through, struct commit_time *out)
{
    size_t count = 0;

    env_mutex_lock(&c->mutex);
    for (size_t i = times_above(c, c->stored); i < c->count && count < TIMES_ROW_MAX; i++) {
        if (times_at(c, i)->scn > through)
            break;
        out[count++] = *times_at(c, i);
    }
    env_mutex_unlock(&c->mutex);
    return count;
}

static void
row_encode(struct writer *w, const struct commit_time *t, size_t count)
{
    struct commit_time before = { .scn = t[0].scn, .time_us = t[0].time_us, .txid = TXID_BIT };

    wr_varint(w, count);
    wr_varint(w, t[0].scn);
    for (size_t i = 0; i < count; i++) {
        int64_t step = (int64_t)(t[i].txid - before.txid);

        wr_varint(w, t[i].scn - before.scn);
        wr_varint(w, t[i].time_us - before.time_us);
        wr_varint(w, (uint64_t)step << 1 ^ (uint64_t)(step >> 63));
        before = t[i];
    }
}

/* Rows that are not visible yet may hold some of these too, after a restart. Each ends before the
 * next one begins: whoever looks for a commit finds it in the last that begins at or below it. */
static int
end_before_next_row(struct txn *txn, const struct commit_time *t, size_t *count)
{
    struct txn_cursor *cur = NULL;
    struct slice key, value;
    uint8_t lo[8], hi[8];
    int rc;

    store_u64_be(lo, t[0].time_us + 1);
    store_u64_be(hi, t[*count - 1].time_us + 1);
    rc = txn_scan(txn, ENGINE_TREE_TIMES, slice(lo, sizeof lo), slice(hi, sizeof hi),
                  TXN_SCAN_NEWEST, NULL, &cur);
    if (rc == 0)
        rc = txn_cursor_next(cur, &key, &value);
    if (rc == 0) {
        struct row_reader next;

        row_begin(&next, key, value);
        while (*count > 1 && t[*count - 1].scn >= next.at.scn)
            (*count)--;
    }
    txn_cursor_close(cur);
    return rc == ERR_END ? 0 : rc;
}

static int
times_put_row(struct txn *txn, const struct commit_time *t, size_t *count, uint64_t ended_below)
{
    int rc = end_before_next_row(txn, t, count);
    uint8_t key[8];
    struct writer w;

    store_u64_be(key, t[0].time_us);
    wr_init(&w, 0);
    row_encode(&w, t, *count);
    if (rc == 0)
        rc = txn_put(txn, ENGINE_TREE_TIMES, slice(key, sizeof key), wr_view(&w));
    if (rc == 0)
        rc = outcome_store(txn, t, *count, ended_below);
    wr_fini(&w);
    return rc;
}

/* *count: how many the row may hold, and then how many it holds. */
static int
times_write_row(struct engine *e, const struct commit_time *t, size_t *count, uint64_t ended_below,
                uint64_t cuts, scn_t *own_scn)
{
    struct commit_token token = { 0 };
    struct txn *txn = txn_new(e);
    int rc = txn_begin(txn, TXN_READ_COMMITTED, false);

    /* From here on a cut dooms the transaction. */
    if (rc == 0 && times_cuts(&e->times) != cuts)
        rc = DIAG(ERR_AGAIN, "the branch has changed");
    if (rc == 0)
        rc = txn_statement_begin(txn);
    if (rc == 0) {
        rc = times_put_row(txn, t, count, ended_below);
        txn_statement_end(txn);
    }
    if (rc == 0)
        rc = txn_commit(txn, &token);
    *own_scn = token.scn;
    txn_free(txn);
    return rc;
}

/* A row of commits up to `through` is there, in a commit of its own. After a cut they may not be.
 */
static void
times_stored(struct engine *e, scn_t through, scn_t own, uint64_t cuts)
{
    struct commit_times *c = &e->times;

    env_mutex_lock(&c->mutex);
    if (c->cuts == cuts) {
        c->stored = through;
        e->times_own = own;
    }
    env_mutex_unlock(&c->mutex);
}

/* A row's own commit waits for the next one to come along, so that an idle database writes
 * nothing. */
int
times_store(struct engine *e)
{
    struct commit_time *t = xmalloc(TIMES_ROW_MAX * sizeof *t);
    uint64_t ended_below = keeper_ended_below(e);
    bool more = true;
    int rc = 0;

    while (rc == 0 && more) {
        uint64_t cuts = times_cuts(&e->times);
        /* What this incarnation goes on from is seen before anything of it, this row included. */
        scn_t own, opened = atomic_load_explicit(&e->open_scn, memory_order_relaxed);
        scn_t visible = engine_visible_scn(e);
        size_t found = times_pending(&e->times, visible > opened ? visible : opened, t);
        size_t count = found;

        if (found == 0 || (found == 1 && t[0].scn == e->times_own && t[0].scn > opened))
            break;
        rc = times_write_row(e, t, &count, ended_below, cuts, &own);
        if (rc == 0)
            times_stored(e, t[count - 1].scn, own, cuts);
        more = count < found || found == TIMES_ROW_MAX;
    }
    xfree(t);
    return rc;
}

bool
times_are_late(struct engine *e)
{
    struct commit_times *c = &e->times;
    scn_t opened = atomic_load_explicit(&e->open_scn, memory_order_relaxed);
    bool late = false;

    if (!engine_is_writable(e))
        return false;
    env_mutex_lock(&c->mutex);
    if (c->stored < opened) {
        size_t at = times_above(c, c->stored);

        late = at < c->count && times_at(c, at)->scn <= opened;
    }
    env_mutex_unlock(&c->mutex);
    return late;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* The last of a row's commits that is not past (scn, time); false: the first is. */
static bool
row_search(struct slice key, struct slice value, scn_t scn, uint64_t time_us,
           struct commit_time *out)
{
    struct row_reader row;
    bool any = false;

    row_begin(&row, key, value);
    while (row_next(&row) && row.at.scn <= scn && row.at.time_us <= time_us) {
        *out = row.at;
        any = true;
    }
    return any;
}

/* Looks through the rows backwards from `time_us`. */
static int
times_search_rows(struct engine *e, scn_t scn, uint64_t time_us, struct commit_time *out)
{
    struct txn *t = txn_new(e);
    struct txn_cursor *cur = NULL;
    struct slice key, value;
    uint8_t hi[8];
    int rc = txn_begin(t, TXN_READ_COMMITTED, true);

    store_u64_be(hi, time_us == UINT64_MAX ? time_us : time_us + 1);
    if (rc == 0)
        rc = txn_statement_begin(t);
    if (rc == 0)
        rc = txn_scan(t, ENGINE_TREE_TIMES, slice("", 0), slice(hi, sizeof hi), TXN_SCAN_BACKWARD,
                      NULL, &cur);
    while (rc == 0 && (rc = txn_cursor_next(cur, &key, &value)) == 0)
        if (row_search(key, value, scn, time_us, out))
            break;
    txn_cursor_close(cur);
    txn_free(t);
    return rc;
}

/* 0, ERR_NOT_FOUND when memory does not reach back so far. *sure: it has the commit after it too,
 * or there is none. */
static int
times_search_recent(struct commit_times *c, scn_t scn, uint64_t time_us, struct commit_time *out,
                    bool *sure)
{
    size_t lo = 0, hi;
    int rc = ERR_NOT_FOUND;

    env_mutex_lock(&c->mutex);
    hi = c->count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        const struct commit_time *t = times_at(c, mid);

        if (t->scn <= scn && t->time_us <= time_us)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo > 0) {
        *out = *times_at(c, lo - 1);
        *sure = lo == c->count || times_at(c, lo)->scn == out->scn + 1;
        rc = 0;
    }
    env_mutex_unlock(&c->mutex);
    return rc;
}

static int
times_search(struct engine *e, scn_t scn, uint64_t time_us, struct commit_time *out)
{
    struct commit_time recent;
    bool sure = false, any;
    int rc;

    any = times_search_recent(&e->times, scn, time_us, &recent, &sure) == 0;
    if (any && sure) {
        *out = recent;
        return 0;
    }
    rc = times_search_rows(e, scn, time_us, out);
    if (any && (rc == ERR_END || (rc == 0 && out->scn < recent.scn))) {
        *out = recent;
        rc = 0;
    }
    return rc;
}

int
engine_scn_at_time(struct engine *e, uint64_t time_us, scn_t *scn)
{
    struct commit_time found;
    int rc = times_search(e, SCN_MAX, time_us, &found);

    if (rc == ERR_END || (rc == 0 && found.scn < lsm_horizon(e->lsm)))
        return DIAG(ERR_SNAPSHOT_TOO_OLD, "snapshot too old: history does not reach back so far");
    if (rc == 0)
        *scn = found.scn < engine_visible_scn(e) ? found.scn : engine_visible_scn(e);
    return rc;
}

int
engine_time_of_scn(struct engine *e, scn_t scn, uint64_t *time_us)
{
    struct commit_time found;
    int rc = times_search(e, scn, UINT64_MAX, &found);

    if (rc == ERR_END || (rc == 0 && found.scn != scn))
        return DIAG(ERR_SNAPSHOT_TOO_OLD,
                    "snapshot too old: the time of SCN %" PRIu64 " is not known any more", scn);
    if (rc == 0)
        *time_us = found.time_us;
    return rc;
}

/* ---- a cut ----------------------------------------------------------------------------------- */

static int
compare_times(const void *a, const void *b)
{
    scn_t x = ((const struct commit_time *)a)->scn, y = ((const struct commit_time *)b)->scn;

    return (x > y) - (x < y);
}

enum { TIMES_BACK_MAX = TIMES_RECENT + TIMES_ROW_MAX };

/* Commits of rows, from the last one backwards, that lie above `from` and not above `to`: whole
 * rows, until memory has no room for more. */
static int
read_back(struct txn *t, scn_t from, scn_t to, struct commit_time *out, size_t *count)
{
    struct txn_cursor *cur = NULL;
    struct slice key, value;
    bool enough = false;
    int rc =
        txn_scan(t, ENGINE_TREE_TIMES, slice("", 0), slice(NULL, 0), TXN_SCAN_BACKWARD, NULL, &cur);

    *count = 0;
    while (rc == 0 && !enough && (rc = txn_cursor_next(cur, &key, &value)) == 0) {
        struct row_reader row;

        row_begin(&row, key, value);
        enough = row.at.scn <= from + 1;
        while (row_next(&row) && row.at.scn <= to && *count < TIMES_BACK_MAX)
            if (row.at.scn > from)
                out[(*count)++] = row.at;
        enough |= *count >= TIMES_RECENT;
    }
    txn_cursor_close(cur);
    qsort(out, *count, sizeof *out, compare_times);
    return rc == ERR_END ? 0 : rc;
}

/* They go to memory once commits above the cut have left it: it may be full of them. */
static int
take_back(struct engine *e, struct txn *t, scn_t from, scn_t to)
{
    struct commit_times *c = &e->times;
    struct commit_time *back = xmalloc(TIMES_BACK_MAX * sizeof *back);
    size_t count;
    int rc = read_back(t, from, to, back, &count);

    if (rc != 0) {
        xfree(back);
        return rc;
    }
    env_mutex_lock(&c->mutex);
    xfree(c->back);
    c->back = back;
    c->back_count = count;
    env_mutex_unlock(&c->mutex);
    return 0;
}

int
times_before_cut(struct engine *e, scn_t scn)
{
    struct read_moment m = { 0, scn };
    struct outcome_meta meta = { 0 };
    struct txn *t;
    int rc;

    if (scn >= engine_visible_scn(e)) /* no row that is visible lies beyond */
        return 0;
    t = txn_new(e);
    rc = txn_begin(t, TXN_READ_COMMITTED, true);
    if (rc == 0)
        rc = txn_statement_begin(t);
    if (rc == 0)
        rc = txn_pin_moment(t, m);
    if (rc == 0)
        rc = outcome_read_meta(t, &m, &meta);
    if (rc == 0 || rc == ERR_NOT_FOUND)
        rc = times_have(&e->times, meta.scn, scn) ? 0 : take_back(e, t, meta.scn, scn);
    txn_free(t);
    return rc;
}
