/* Which commit happened when, for AS OF TIMESTAMP and for retention by time.
 *
 * Commit times grow with the SCN. The latest are in memory; once a second those that are new go, as
 * one row, into a tree of their own (ENGINE_TREE_TIMES), which reaches standbys, backups and cuts
 * like all other rows. A row: key = time of its first commit (u64 big-endian), value = varint
 * count, first SCN, then per commit: varint SCN delta, varint time delta. Commits that were in
 * memory alone when a node died are found again in redo; where that was let go already, a time
 * between two known commits means the earlier one.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/txn/engine_int.h"

enum { TIMES_ROW_MAX = 4096 }; /* commits in a row */

void
times_init(struct commit_times *c, struct env *env)
{
    env_mutex_init(env, &c->mutex);
}

void
times_fini(struct commit_times *c)
{
    xfree(c->recent);
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
times_note(struct commit_times *c, scn_t scn, uint64_t time_us)
{
    env_mutex_lock(&c->mutex);
    if (c->recent == NULL)
        c->recent = xmalloc(TIMES_RECENT * sizeof *c->recent);
    if (c->count == TIMES_RECENT) {
        c->first = (c->first + 1) % TIMES_RECENT;
        c->count--;
    }
    times_insert(c, (struct commit_time){ scn, time_us });
    env_mutex_unlock(&c->mutex);
}

void
times_forget_after(struct commit_times *c, scn_t scn)
{
    env_mutex_lock(&c->mutex);
    while (c->count > 0 && times_at(c, c->count - 1)->scn > scn)
        c->count--;
    if (c->stored > scn)
        c->stored = scn;
    env_mutex_unlock(&c->mutex);
}

/* ---- storing --------------------------------------------------------------------------------- */

/* Copies commits that no row has yet; the caller frees. */
static struct commit_time *
times_pending(struct commit_times *c, scn_t visible, size_t *count)
{
    struct commit_time *copy = NULL;

    *count = 0;
    env_mutex_lock(&c->mutex);
    for (size_t i = 0; i < c->count && *count < TIMES_ROW_MAX; i++) {
        const struct commit_time *t = times_at(c, i);

        if (t->scn <= c->stored || t->scn > visible)
            continue;
        if (copy == NULL)
            copy = xmalloc(TIMES_ROW_MAX * sizeof *copy);
        copy[(*count)++] = *t;
    }
    env_mutex_unlock(&c->mutex);
    return copy;
}

static int
times_write_row(struct engine *e, const struct commit_time *t, size_t count, scn_t *own_scn)
{
    struct commit_token token = { 0 };
    struct commit_time before = { t[0].scn, t[0].time_us };
    struct txn *txn = txn_new(e);
    uint8_t key[8];
    struct writer w;
    int rc;

    store_u64_be(key, t[0].time_us);
    wr_init(&w, 0);
    wr_varint(&w, count);
    wr_varint(&w, t[0].scn);
    for (size_t i = 0; i < count; i++) {
        wr_varint(&w, t[i].scn - before.scn);
        wr_varint(&w, t[i].time_us - before.time_us);
        before = t[i];
    }
    rc = txn_begin(txn, TXN_READ_COMMITTED, false);
    if (rc == 0)
        rc = txn_statement_begin(txn);
    if (rc == 0) {
        rc = txn_put(txn, ENGINE_TREE_TIMES, slice(key, sizeof key), wr_view(&w));
        txn_statement_end(txn);
    }
    if (rc == 0)
        rc = txn_commit(txn, &token);
    *own_scn = token.scn;
    wr_fini(&w);
    txn_free(txn);
    return rc;
}

/* A row's own commit waits for the next one to come along, so that an idle database writes
 * nothing. */
int
times_store(struct engine *e)
{
    struct commit_times *c = &e->times;

    for (;;) {
        scn_t own;
        size_t count;
        struct commit_time *t = times_pending(c, engine_visible_scn(e), &count);
        int rc = 0;

        if (count == 0 || (count == 1 && t[0].scn == e->times_own)) {
            xfree(t);
            return 0;
        }
        rc = times_write_row(e, t, count, &own);
        if (rc == 0) {
            env_mutex_lock(&c->mutex);
            c->stored = t[count - 1].scn;
            env_mutex_unlock(&c->mutex);
            e->times_own = own;
        }
        xfree(t);
        if (rc != 0 || count < TIMES_ROW_MAX)
            return rc;
    }
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* The last of a row's commits that is not past (scn, time); false: the first is. */
static bool
row_search(struct slice key, struct slice value, scn_t scn, uint64_t time_us,
           struct commit_time *out)
{
    struct reader r;
    struct commit_time at;
    uint64_t count;
    bool any = false;

    rd_init(&r, value.data, value.size);
    count = rd_varint(&r);
    at.scn = rd_varint(&r);
    at.time_us = key.size == 8 ? load_u64_be(key.data) : 0;
    for (uint64_t i = 0; i < count && rd_ok(&r); i++) {
        at.scn += rd_varint(&r);
        at.time_us += rd_varint(&r);
        if (!rd_ok(&r) || at.scn > scn || at.time_us > time_us)
            break;
        *out = at;
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

/* 0, ERR_NOT_FOUND when memory does not reach back so far. */
static int
times_search_recent(struct commit_times *c, scn_t scn, uint64_t time_us, struct commit_time *out)
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
        rc = 0;
    }
    env_mutex_unlock(&c->mutex);
    return rc;
}

static int
times_search(struct engine *e, scn_t scn, uint64_t time_us, struct commit_time *out)
{
    int rc = times_search_recent(&e->times, scn, time_us, out);

    return rc == 0 ? 0 : times_search_rows(e, scn, time_us, out);
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
