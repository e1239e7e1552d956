/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/txn/replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/lsm/version.h"
#include "engine/txn/engine_int.h"

/* ---- one record ------------------------------------------------------------------------------ */

int
replay_op(struct engine *e, incarnation_t inc, struct lsn lsn, txid_t txid,
          const struct redo_op *op, bool filter)
{
    struct lsm_tree *tree = lsm_tree_find(e->lsm, op->tree);

    if (tree_is_catalog(op->tree))
        changes_writer(&e->changes, txid);
    if (tree == NULL) /* dropped, and no moment sees it any more */
        return 0;
    if (filter && !lsm_replay_needed(tree, inc, lsn, txid))
        return 0;
    return lsm_write(tree, op->key, NULL, txid, op->seq,
                     op->kind == REDO_OP_DELETE ? VERSION_DELETE : VERSION_PUT, op->value);
}

static void
replay_time(struct engine *e, const struct redo_record *rec, const struct redo_commit *c)
{
    struct commit_time t = { c->scn, c->time_us, rec->end_lsn, c->txid };

    times_note(&e->times, &t);
}

static int
replay_commit(struct engine *e, const struct redo_record *rec)
{
    struct redo_commit c;
    int rc = redo_decode_commit(rec, &c);

    if (rc != 0)
        return rc;
    (void)status_set_committed(e->status, c.txid, c.scn);
    changes_writer_ended(&e->changes, c.txid, c.scn);
    for (uint32_t i = 0; i < c.child_count; i++) {
        (void)status_set_committed(e->status, redo_child(c.children, i), c.scn);
        changes_writer_ended(&e->changes, redo_child(c.children, i), c.scn);
    }
    replay_time(e, rec, &c);
    if (atomic_load_explicit(&e->newest, memory_order_relaxed) < c.scn)
        atomic_store_explicit(&e->newest, c.scn, memory_order_release);
    atomic_fetch_add_explicit(&e->ended_count, 1, memory_order_release);
    return 0;
}

static int
replay_abort(struct engine *e, const struct redo_record *rec)
{
    struct redo_abort a;
    int rc = redo_decode_abort(rec, &a);

    if (rc != 0)
        return rc;
    (void)status_set_aborted(e->status, a.txid);
    changes_writer_ended(&e->changes, a.txid, 0);
    for (uint32_t i = 0; i < a.child_count; i++)
        (void)status_set_aborted(e->status, redo_child(a.children, i));
    atomic_fetch_add_explicit(&e->ended_count, 1, memory_order_release);
    return 0;
}

static int
replay_tree(struct engine *e, const struct redo_record *rec, bool filter)
{
    struct redo_tree t;
    int rc = redo_decode_tree(rec, &t);

    if (rc != 0 || (filter && !lsm_trees_need(e->lsm, rec->inc, rec->lsn)))
        return rc;
    if (rec->type == REDO_TREE_CREATE)
        (void)lsm_tree_create(e->lsm, t.tree, t.txid);
    else
        lsm_tree_drop(e->lsm, t.tree, t.txid);
    return 0;
}

static int
replay_restore_point(struct engine *e, const struct redo_record *rec)
{
    struct redo_restore_point p;
    struct lsm_pin pin;
    int rc = redo_decode_restore_point(rec, &p);

    if (rc != 0)
        return rc;
    pin = (struct lsm_pin){ .at = p.moment, .guaranteed = p.guaranteed, .time_us = p.time_us };
    snprintf(pin.name, sizeof pin.name, "%.*s", (int)p.name.size, (const char *)p.name.data);
    rc = p.dropped ? lsm_pin_drop(e->lsm, pin.name) : lsm_pin_put(e->lsm, &pin, true);
    /* Read again after a crash, or older than the history that this node has. */
    if (rc == ERR_UNDEFINED_OBJECT || rc == ERR_SNAPSHOT_TOO_OLD)
        rc = 0;
    return rc;
}

static int
replay_ids(struct engine *e, const struct redo_record *rec)
{
    struct redo_ids ids;
    struct manifest *m = lsm_manifest(e->lsm);
    char name[REDO_NAME_MAX + 1];
    uint64_t have, before;
    int rc = redo_decode_ids(rec, &ids);

    if (rc != 0)
        return rc;
    snprintf(name, sizeof name, "%.*s", (int)ids.name.size, (const char *)ids.name.data);
    have = manifest_counter(m, name);
    return have >= ids.next ? 0 : manifest_counter_add(m, name, ids.next - have, &before);
}

int
replay_other(struct engine *e, const struct redo_record *rec, bool filter)
{
    scn_t horizon;
    int rc;

    switch (rec->type) {
    case REDO_COMMIT:
        return replay_commit(e, rec);
    case REDO_ABORT:
        return replay_abort(e, rec);
    case REDO_TREE_CREATE:
    case REDO_TREE_DROP:
        return replay_tree(e, rec, filter);
    case REDO_RESTORE_POINT:
        return replay_restore_point(e, rec);
    case REDO_IDS:
        return replay_ids(e, rec);
    case REDO_HORIZON:
        rc = redo_decode_horizon(rec, &horizon);
        /* In recovery the manifest has it already, or it was not used yet. */
        if (rc == 0 && !filter)
            atomic_store_explicit(&e->follow.horizon, horizon, memory_order_release);
        return rc;
    case REDO_CHECKPOINT:
    case REDO_TIME_MARK:
    case REDO_INCARNATION:
        return 0;
    case REDO_WRITES:
        break;
    }
    return DIAG(ERR_CORRUPT, "redo record of unexpected type %d at LSN %" PRIu64, (int)rec->type,
                rec->lsn.v);
}

/* ---- values in parts ------------------------------------------------------------------------- */

static struct replay_part **
part_find(struct replay_parts *p, txid_t txid)
{
    struct replay_part **at = &p->first;

    while (*at != NULL && (*at)->txid != txid)
        at = &(*at)->next;
    return at;
}

int
replay_parts_add(struct replay_parts *p, txid_t txid, struct lsn lsn, const struct redo_op *op)
{
    struct replay_part *part = *part_find(p, txid);

    if (part == NULL) {
        part = xcalloc(1, sizeof *part);
        part->txid = txid;
        part->lsn = lsn;
        wr_init(&part->value, ENGINE_VALUE_MAX);
        part->next = p->first;
        p->first = part;
    }
    wr_slice(&part->value, op->value);
    return wr_finish(&part->value);
}

int
replay_parts_take(struct replay_parts *p, txid_t txid, struct redo_op *op, struct replay_part **out)
{
    struct replay_part **at = part_find(p, txid), *part = *at;

    *out = NULL;
    if (part == NULL)
        return 0;
    *at = part->next;
    wr_slice(&part->value, op->value);
    op->value = wr_view(&part->value);
    *out = part;
    return wr_finish(&part->value);
}

void
replay_part_free(struct replay_part *part)
{
    if (part == NULL)
        return;
    wr_fini(&part->value);
    xfree(part);
}

void
replay_parts_drop(struct replay_parts *p, txid_t txid)
{
    struct replay_part **at = part_find(p, txid), *part = *at;

    if (part == NULL)
        return;
    *at = part->next;
    replay_part_free(part);
}

void
replay_parts_clear(struct replay_parts *p)
{
    while (p->first != NULL)
        replay_parts_drop(p, p->first->txid);
}

struct lsn
replay_parts_oldest(const struct replay_parts *p)
{
    struct lsn oldest = LSN_MAX;

    for (const struct replay_part *part = p->first; part != NULL; part = part->next)
        if (lsn_lt(part->lsn, oldest))
            oldest = part->lsn;
    return oldest;
}

/* ---- recovery -------------------------------------------------------------------------------- */

static int
recover_writes(struct engine *e, const struct redo_record *rec)
{
    struct redo_writes w;
    struct redo_op op;
    int rc = redo_decode_writes(rec, &w);

    while (rc == 0 && (rc = redo_op_next(&w, &op)) == 0) {
        struct replay_part *whole;

        if (op.kind == REDO_OP_PUT_PART) {
            rc = replay_parts_add(&e->follow.parts, w.txid, rec->lsn, &op);
            continue;
        }
        rc = replay_parts_take(&e->follow.parts, w.txid, &op, &whole);
        if (rc == 0)
            rc = replay_op(e, rec->inc, rec->lsn, w.txid, &op, true);
        replay_part_free(whole);
    }
    return rc == ERR_END ? 0 : rc;
}

/* Records below `from` only tell which transactions are open, and when others committed. */
static int
recover_record(struct engine *e, const struct redo_record *rec, struct lsn from)
{
    struct redo_commit c;
    int rc = 0;

    follow_note_begin(e, rec);
    if (!lsn_lt(rec->lsn, from))
        rc = rec->type == REDO_WRITES ? recover_writes(e, rec) : replay_other(e, rec, true);
    else if (rec->type == REDO_COMMIT && (rc = redo_decode_commit(rec, &c)) == 0)
        replay_time(e, rec, &c);
    engine_apply_note_end(e, rec);
    return rc;
}

/* A crash may come between the manifest's naming an incarnation and the first byte of its redo. */
static bool
has_no_redo(struct engine *e, incarnation_t inc)
{
    struct redo_pos end;

    return redo_end(e->redo, inc, &end) == ERR_NOT_FOUND && !begun_has(e, inc);
}

enum { PROGRESS_STEP = 4 << 20 };

/* Every few megabytes. */
static void
show_progress(struct engine *e, incarnation_t inc, struct lsn start, struct lsn at,
              struct lsn *shown)
{
    struct redo_pos end;

    if (e->options.progress == NULL || at.v - shown->v < PROGRESS_STEP ||
        redo_end(e->redo, inc, &end) != 0)
        return;
    *shown = at;
    e->options.progress(e->options.progress_arg, at.v - start.v, end.lsn.v - start.v);
}

static int
recover_incarnation(struct engine *e, incarnation_t inc, struct lsn from, struct lsn low)
{
    struct lsn start = lsn_lt(low, from) ? low : from, shown = start;
    struct redo_cursor *c;
    struct redo_record rec;
    int rc;

    follow_forget_open(e);
    lsm_replay_begin(e->lsm, inc);
    if (has_no_redo(e, inc)) {
        lsm_replay_end(e->lsm, inc);
        return 0;
    }
    rc = redo_cursor_open(e->redo, inc, start, &c);
    if (rc != 0)
        return rc;
    while ((rc = redo_cursor_next(c, &rec)) == 0) {
        follow_set_floor(e, lsn_lt(rec.lsn, from) ? from : rec.lsn);
        atomic_store_explicit(&e->dispatched_lsn, rec.end_lsn.v, memory_order_release);
        show_progress(e, inc, start, rec.end_lsn, &shown);
        if (rec.inc != inc)
            continue; /* of an ancestor: read in its own turn */
        rc = recover_record(e, &rec, from);
        if (rc != 0)
            break;
    }
    if (rc == ERR_END) {
        struct lsn end = redo_cursor_lsn(c);

        follow_set_floor(e, end);
        atomic_store_explicit(&e->dispatched_lsn, end.v, memory_order_release);
        lsm_replay_end(e->lsm, inc);
        rc = 0;
    }
    redo_cursor_close(c);
    return rc;
}

static void
keep_status(void *arg, txid_t txid, scn_t scn)
{
    struct engine *e = arg;

    (void)status_set_committed(e->status, txid, scn);
}

int
engine_replay(struct engine *e)
{
    incarnation_t inc = 0, followed = engine_incarnation(e);
    struct lsn from;
    int rc = 0;

    lsm_each_status(e->lsm, keep_status, e);
    for (bool first = true; rc == 0 && lsm_replay_next(e->lsm, inc, first, &inc, &from);
         first = false) {
        struct lsn low = inc == followed ? engine_follow_low(e, inc) : LSN_MAX;

        /* A txid of the incarnation being read may yet commit: none of it is dead. */
        atomic_store_explicit(&e->inc, inc, memory_order_release);
        times_limit(&e->times, inc == followed ? SCN_MAX : lsm_part(e->lsm, inc, followed));
        rc = recover_incarnation(e, inc, from, low);
    }
    atomic_store_explicit(&e->inc, followed, memory_order_release);
    times_limit(&e->times, SCN_MAX);
    return rc;
}
