/* Which transactions are open in the redo that is read, and from where it would have to be read
 * again for their sake (CUT-4).
 *
 * The first record of an open transaction may lie below the recovery position: what it wrote is in
 * segments. So before recovery positions move, the lowest of these is stored, for the last few
 * incarnations, as the manifest's blob "open low": u8 count, then each: u32 incarnation, u64 LSN.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/base/checksum.h"
#include "engine/base/mem.h"
#include "engine/txn/engine_int.h"

static const char LOWS_BLOB[] = "open low";
enum { OPEN_CAP_FIRST = 256 };

/* ---- the set --------------------------------------------------------------------------------- */

static size_t
open_slot(const struct follow_open *o, txid_t txid)
{
    return (size_t)((txid * 0x9e3779b97f4a7c15u) >> 20) & (o->cap - 1);
}

static size_t
open_find(const struct follow_open *o, txid_t txid)
{
    size_t i = open_slot(o, txid);

    while (o->txids[i] != 0 && o->txids[i] != txid)
        i = (i + 1) & (o->cap - 1);
    return i;
}

static void
open_grow(struct follow_open *o)
{
    struct follow_open grown = { .cap = o->cap != 0 ? 2 * o->cap : OPEN_CAP_FIRST };

    grown.txids = xcalloc(grown.cap, sizeof *grown.txids);
    grown.lsns = xcalloc(grown.cap, sizeof *grown.lsns);
    for (size_t i = 0; i < o->cap; i++) {
        size_t at;

        if (o->txids[i] == 0)
            continue;
        at = open_find(&grown, o->txids[i]);
        grown.txids[at] = o->txids[i];
        grown.lsns[at] = o->lsns[i];
    }
    grown.count = o->count;
    grown.seen_inc = o->seen_inc;
    grown.seen = o->seen;
    xfree(o->txids);
    xfree(o->lsns);
    *o = grown;
}

static void
open_add(struct follow_open *o, txid_t txid, struct lsn lsn)
{
    size_t i;

    if (2 * (o->count + 1) > o->cap)
        open_grow(o);
    i = open_find(o, txid);
    if (o->txids[i] == txid)
        return;
    o->txids[i] = txid;
    o->lsns[i] = lsn;
    o->count++;
    if (txid_incarnation(txid) == o->seen_inc && txid_counter(txid) > o->seen)
        o->seen = txid_counter(txid);
}

/* Closes the gap, so that no search ends at it too early. */
static void
open_remove(struct follow_open *o, txid_t txid)
{
    size_t i, j;

    if (o->count == 0)
        return;
    i = open_find(o, txid);
    if (o->txids[i] == 0)
        return;
    o->count--;
    for (j = (i + 1) & (o->cap - 1); o->txids[j] != 0; j = (j + 1) & (o->cap - 1)) {
        size_t home = open_slot(o, o->txids[j]);

        if (((j - home) & (o->cap - 1)) < ((j - i) & (o->cap - 1)))
            continue;
        o->txids[i] = o->txids[j];
        o->lsns[i] = o->lsns[j];
        i = j;
    }
    o->txids[i] = 0;
}

/* ---- what the reader of redo tells ----------------------------------------------------------- */

void
engine_apply_note_writes(struct engine *e, txid_t txid, struct lsn lsn)
{
    struct follow *f = &e->follow;

    env_mutex_lock(&f->mutex);
    open_add(&f->open, txid, lsn);
    env_mutex_unlock(&f->mutex);
}

void
follow_note_begin(struct engine *e, const struct redo_record *rec)
{
    struct redo_writes w;
    struct redo_tree t;

    /* What cannot be decoded is found by whoever applies it. */
    if (rec->type == REDO_WRITES && redo_decode_writes(rec, &w) == 0)
        engine_apply_note_writes(e, w.txid, rec->lsn);
    else if ((rec->type == REDO_TREE_CREATE || rec->type == REDO_TREE_DROP) &&
             redo_decode_tree(rec, &t) == 0)
        engine_apply_note_writes(e, t.txid, rec->lsn);
}

static void
note_ends(struct engine *e, txid_t txid, const uint8_t *children, uint32_t count)
{
    struct follow *f = &e->follow;

    env_mutex_lock(&f->mutex);
    open_remove(&f->open, txid);
    for (uint32_t i = 0; i < count; i++)
        open_remove(&f->open, redo_child(children, i));
    env_mutex_unlock(&f->mutex);
    if (f->parts.first == NULL)
        return;
    replay_parts_drop(&f->parts, txid);
    for (uint32_t i = 0; i < count; i++)
        replay_parts_drop(&f->parts, redo_child(children, i));
}

void
engine_apply_note_end(struct engine *e, const struct redo_record *rec)
{
    struct redo_commit c;
    struct redo_abort a;

    if (rec->type == REDO_COMMIT && redo_decode_commit(rec, &c) == 0)
        note_ends(e, c.txid, c.children, c.child_count);
    else if (rec->type == REDO_ABORT && redo_decode_abort(rec, &a) == 0)
        note_ends(e, a.txid, a.children, a.child_count);
}

static void
find_open_record(struct follow_open *o, const struct redo_record *rec)
{
    struct redo_writes w;
    struct redo_tree t;
    struct redo_commit c;
    struct redo_abort a;

    if (rec->type == REDO_WRITES && redo_decode_writes(rec, &w) == 0)
        open_add(o, w.txid, rec->lsn);
    else if ((rec->type == REDO_TREE_CREATE || rec->type == REDO_TREE_DROP) &&
             redo_decode_tree(rec, &t) == 0)
        open_add(o, t.txid, rec->lsn);
    else if (rec->type == REDO_COMMIT && redo_decode_commit(rec, &c) == 0) {
        open_remove(o, c.txid);
        for (uint32_t i = 0; i < c.child_count; i++)
            open_remove(o, redo_child(c.children, i));
    } else if (rec->type == REDO_ABORT && redo_decode_abort(rec, &a) == 0) {
        open_remove(o, a.txid);
        for (uint32_t i = 0; i < a.child_count; i++)
            open_remove(o, redo_child(a.children, i));
    }
}

int
follow_find_open(struct engine *e, incarnation_t inc, struct lsn low, struct lsn end,
                 txid_t **txids, size_t *count)
{
    struct follow_open o = { 0 };
    struct redo_cursor *c;
    struct redo_record rec;
    int rc = lsn_lt(low, end) ? redo_cursor_open(e->redo, inc, low, &c) : ERR_END;

    *count = 0;
    if (rc == 0) {
        while ((rc = redo_cursor_next(c, &rec)) == 0 && lsn_lt(rec.lsn, end))
            if (rec.inc == inc)
                find_open_record(&o, &rec);
        redo_cursor_close(c);
    }
    for (size_t i = 0; i < o.cap; i++)
        if (o.txids[i] != 0)
            o.txids[(*count)++] = o.txids[i];
    *txids = o.txids;
    xfree(o.lsns);
    return rc == ERR_END ? 0 : rc;
}

void
follow_clear_open(struct follow *f, incarnation_t inc)
{
    if (f->open.cap != 0)
        memset(f->open.txids, 0, f->open.cap * sizeof *f->open.txids);
    f->open.count = 0;
    f->open.seen_inc = inc;
    f->open.seen = 0;
}

void
follow_forget_open(struct engine *e)
{
    struct follow *f = &e->follow;

    env_mutex_lock(&f->mutex);
    follow_clear_open(f, engine_incarnation(e));
    env_mutex_unlock(&f->mutex);
    replay_parts_clear(&f->parts);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static struct lsn
open_low(const struct follow_open *o, struct lsn none)
{
    struct lsn low = none;

    for (size_t i = 0; i < o->cap; i++)
        if (o->txids[i] != 0 && lsn_lt(o->lsns[i], low))
            low = o->lsns[i];
    return low;
}

struct lsn
follow_open_low(struct engine *e, struct lsn none)
{
    struct follow *f = &e->follow;
    struct lsn low;

    env_mutex_lock(&f->mutex);
    low = open_low(&f->open, none);
    env_mutex_unlock(&f->mutex);
    return low;
}

struct lsn
follow_dispatched(struct engine *e, incarnation_t *inc, struct lsn *end)
{
    struct follow *f = &e->follow;
    struct lsn low;

    env_mutex_lock(&f->mutex);
    *inc = engine_incarnation(e);
    *end = lsn_make(atomic_load_explicit(&e->dispatched_lsn, memory_order_acquire));
    low = open_low(&f->open, *end);
    env_mutex_unlock(&f->mutex);
    return low;
}

bool
follow_is_open(struct engine *e, txid_t txid)
{
    struct follow *f = &e->follow;
    bool open;

    env_mutex_lock(&f->mutex);
    open = f->open.count > 0 && f->open.txids[open_find(&f->open, txid)] == txid;
    env_mutex_unlock(&f->mutex);
    return open;
}

uint64_t
follow_ended_counter(struct engine *e)
{
    struct follow *f = &e->follow;
    uint64_t counter = 0;

    env_mutex_lock(&f->mutex);
    if (f->open.seen_inc == engine_incarnation(e)) {
        counter = f->open.seen;
        for (size_t i = 0; i < f->open.cap; i++)
            if (f->open.txids[i] != 0 && txid_counter(f->open.txids[i]) < counter)
                counter = txid_counter(f->open.txids[i]);
    }
    env_mutex_unlock(&f->mutex);
    return counter;
}

/* ---- stored ---------------------------------------------------------------------------------- */

void
follow_load_lows(struct engine *e)
{
    struct follow *f = &e->follow;
    struct writer w;
    struct reader r;

    wr_init(&w, 0);
    if (manifest_get_blob(lsm_manifest(e->lsm), LOWS_BLOB, &f->lows_sequence, &w) == 0) {
        uint8_t count;

        rd_init(&r, w.data, w.size);
        count = rd_u8(&r);
        for (uint8_t i = 0; i < count && i < FOLLOW_LOWS_MAX; i++) {
            incarnation_t inc = rd_u32(&r);
            struct lsn lsn = { rd_u64(&r) };

            if (rd_ok(&r))
                f->lows[i] = (struct follow_low){ inc, lsn };
        }
    }
    wr_fini(&w);
}

struct lsn
engine_follow_low(struct engine *e, incarnation_t inc)
{
    struct follow *f = &e->follow;
    struct lsn low = LSN_MAX;

    env_mutex_lock(&f->lows_mutex);
    for (int i = 0; i < FOLLOW_LOWS_MAX; i++)
        if (f->lows[i].inc == inc && inc != 0)
            low = f->lows[i].lsn;
    env_mutex_unlock(&f->lows_mutex);
    return low;
}

/* The incarnation's own place, or that of the oldest. */
static void
low_set(struct follow_low lows[FOLLOW_LOWS_MAX], incarnation_t inc, struct lsn lsn)
{
    struct follow_low *at = &lows[0];

    for (int i = 0; i < FOLLOW_LOWS_MAX; i++)
        if (lows[i].inc < at->inc)
            at = &lows[i];
    for (int i = 0; i < FOLLOW_LOWS_MAX; i++)
        if (lows[i].inc == inc)
            at = &lows[i];
    *at = (struct follow_low){ inc, lsn };
}

/* With lows_edit. */
static void
edit_low_locked(struct follow *f, incarnation_t inc, struct lsn low, struct manifest_edit *edit)
{
    struct writer w;

    memcpy(f->lows_next, f->lows, sizeof f->lows);
    if (inc != 0)
        low_set(f->lows_next, inc, low);
    wr_init(&w, 0);
    wr_u8(&w, FOLLOW_LOWS_MAX);
    for (int i = 0; i < FOLLOW_LOWS_MAX; i++) {
        wr_u32(&w, f->lows_next[i].inc);
        wr_u64(&w, f->lows_next[i].lsn.v);
    }
    manifest_edit_blob(edit, LOWS_BLOB, ++f->lows_sequence, wr_view(&w));
    wr_fini(&w);
}

static void
edit_low_end_locked(struct follow *f, bool is_stored)
{
    if (!is_stored)
        return;
    env_mutex_lock(&f->lows_mutex);
    memcpy(f->lows, f->lows_next, sizeof f->lows);
    env_mutex_unlock(&f->lows_mutex);
}

void
follow_edit_low(struct engine *e, incarnation_t inc, struct lsn low, struct manifest_edit *edit)
{
    env_mutex_lock(&e->follow.lows_edit);
    edit_low_locked(&e->follow, inc, low, edit);
}

void
follow_edit_low_end(struct engine *e, bool is_stored)
{
    edit_low_end_locked(&e->follow, is_stored);
    env_mutex_unlock(&e->follow.lows_edit);
}

int
follow_store_low(struct engine *e, incarnation_t inc, struct lsn low)
{
    struct follow *f = &e->follow;
    struct manifest_edit edit;
    int rc = 0;

    if (inc == 0)
        return 0;
    env_mutex_lock(&f->lows_edit);
    if (engine_follow_low(e, inc).v != low.v) {
        manifest_edit_init(&edit);
        edit_low_locked(f, inc, low, &edit);
        rc = manifest_commit(lsm_manifest(e->lsm), &edit);
        manifest_edit_fini(&edit);
        edit_low_end_locked(f, rc == 0);
    }
    env_mutex_unlock(&f->lows_edit);
    return rc;
}
