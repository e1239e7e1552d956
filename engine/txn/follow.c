/* An engine that follows: see follow.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/txn/follow.h"

#include <inttypes.h>

#include "engine/base/mem.h"
#include "engine/txn/engine_int.h"

enum { FOLLOW_NAP_US = 2000 };

void
follow_init(struct engine *e)
{
    env_mutex_init(e->env, &e->follow.mutex);
    env_mutex_init(e->env, &e->follow.lows_mutex);
    env_mutex_init(e->env, &e->follow.lows_edit);
}

void
follow_fini(struct engine *e)
{
    struct follow *f = &e->follow;

    replay_parts_clear(&f->parts);
    xfree(f->open.txids);
    xfree(f->open.lsns);
    env_mutex_fini(&f->lows_edit);
    env_mutex_fini(&f->lows_mutex);
    env_mutex_fini(&f->mutex);
}

/* ---- positions ------------------------------------------------------------------------------- */

struct lsn
engine_applied(const struct engine *e)
{
    return lsn_make(atomic_load_explicit(&e->follow.applied, memory_order_acquire));
}

void
follow_set_floor(struct engine *e, struct lsn lsn)
{
    struct lsn oldest = replay_parts_oldest(&e->follow.parts);

    if (lsn_lt(oldest, lsn))
        lsn = oldest;
    atomic_store_explicit(&e->applied_lsn, lsn.v, memory_order_release);
}

struct lsn
follow_floor(struct engine *e, incarnation_t *inc)
{
    struct lsn floor;

    env_mutex_lock(&e->follow.mutex);
    *inc = engine_incarnation(e);
    floor = lsn_make(atomic_load_explicit(&e->applied_lsn, memory_order_acquire));
    env_mutex_unlock(&e->follow.mutex);
    return floor;
}

void
follow_set_applied(struct engine *e, struct lsn lsn)
{
    atomic_store_explicit(&e->dispatched_lsn, lsn.v, memory_order_release);
    atomic_store_explicit(&e->follow.applied, lsn.v, memory_order_release);
    follow_set_floor(e, lsn);
}

/* Where the redo of the branch ends here: in its own files, or in those that it goes on from. */
int
engine_log_end(struct engine *e, incarnation_t target, struct redo_pos *end)
{
    incarnation_t inc = target;
    struct lsn limit = LSN_MAX;

    while (inc != 0) {
        const struct lineage_entry *entry = lineage_find(e->lineage, inc);
        int rc = limit.v == LSN_MAX.v ? redo_end(e->redo, inc, end)
                                      : redo_locate(e->redo, inc, limit, end);

        if (rc != ERR_NOT_FOUND)
            return rc;
        if (entry == NULL)
            return DIAG(ERR_DIVERGED, "incarnation %u is not known here", inc);
        limit = entry->start_lsn;
        inc = entry->prev;
    }
    *end = (struct redo_pos){ .lsn = REDO_LSN_FIRST };
    return 0;
}

const char *
engine_dir(const struct engine *e)
{
    return e->dir;
}

/* ---- following ------------------------------------------------------------------------------- */

int
engine_lineage_merge(struct engine *e, const struct lineage *peer, const struct manifest_edit *more)
{
    int rc = lsm_lineage_merge(e->lsm, peer, more);

    if (rc == 0)
        rc = lineage_merge(e->lineage, peer);
    if (rc == 0)
        redo_set_lineage(e->redo, e->lineage);
    return rc;
}

static void
follow_publish(struct engine *e)
{
    struct follow *f = &e->follow;
    struct lsn durable = redo_durable(e->redo), to;

    env_mutex_lock(&f->mutex);
    to = f->pointer;
    env_mutex_unlock(&f->mutex);
    if (lsn_lt(durable, to))
        to = durable;
    engine_publish(e, to);
}

void
follow_on_durable(struct engine *e)
{
    follow_publish(e);
}

int
engine_follow_start(struct engine *e, incarnation_t target)
{
    struct follow *f = &e->follow;
    struct redo_pos end;
    bool other;
    int rc = engine_log_end(e, target, &end);

    CHECK(!engine_is_writable(e));
    if (rc != 0)
        return rc;
    env_mutex_lock(&f->mutex);
    other = f->target != target;
    f->target = target;
    if (other)
        f->pointer = lsn_make(0);
    env_mutex_unlock(&f->mutex);
    if (other)
        publisher_cut(e, end.lsn, SCN_MAX);
    atomic_store_explicit(&f->is_live, true, memory_order_release);
    rc = redo_start_following(e->redo, &end);
    if (rc != 0)
        atomic_store_explicit(&f->is_live, false, memory_order_release);
    return rc;
}

void
engine_follow_stop(struct engine *e)
{
    struct follow *f = &e->follow;

    if (!atomic_load_explicit(&f->is_live, memory_order_acquire))
        return;
    redo_stop(e->redo);
    atomic_store_explicit(&f->is_live, false, memory_order_release);
}

void
engine_follow_pointer(struct engine *e, incarnation_t target, struct lsn published)
{
    struct follow *f = &e->follow;
    bool moved;

    env_mutex_lock(&f->mutex);
    moved = f->target == target && lsn_lt(f->pointer, published);
    if (moved)
        f->pointer = published;
    env_mutex_unlock(&f->mutex);
    if (moved)
        follow_publish(e);
}

/* ---- applying -------------------------------------------------------------------------------- */

void
engine_apply_dispatched(struct engine *e, struct lsn lsn)
{
    atomic_store_explicit(&e->dispatched_lsn, lsn.v, memory_order_release);
}

int
engine_apply_part(struct engine *e, txid_t txid, struct lsn lsn, const struct redo_op *op)
{
    return replay_parts_add(&e->follow.parts, txid, lsn, op);
}

int
engine_apply_whole(struct engine *e, txid_t txid, struct redo_op *op, struct replay_part **out)
{
    return replay_parts_take(&e->follow.parts, txid, op, out);
}

void
engine_apply_passed(struct engine *e, struct lsn lsn, scn_t scn)
{
    atomic_store_explicit(&e->follow.applied, lsn.v, memory_order_release);
    follow_set_floor(e, lsn);
    publisher_mark(e, lsn, scn);
    follow_publish(e);
}

/* Incarnation and positions change in one step: a flush under way must not take a position in the
 * old one for one in the new. */
void
follow_new_branch(struct engine *e, incarnation_t inc, scn_t tip, struct lsn at)
{
    struct follow *f = &e->follow;

    replay_parts_clear(&f->parts);
    publisher_lower(e, tip); /* before the branch changes: snapshot_pin looks the other way round */
    env_mutex_lock(&f->mutex);
    atomic_store_explicit(&e->newest, tip, memory_order_release);
    atomic_store_explicit(&e->inc, inc, memory_order_release);
    follow_set_applied(e, at);
    follow_clear_open(f, inc);
    env_mutex_unlock(&f->mutex);
    times_forget_after(&e->times, tip);
    changes_reset(&e->changes, tip);
    atomic_fetch_add_explicit(&e->ended_count, 1, memory_order_release);
}

int
engine_apply_incarnation(struct engine *e, const struct redo_record *rec)
{
    struct redo_incarnation r;
    const struct lineage_entry *known;
    scn_t tip = engine_newest_scn(e);
    int rc = redo_decode_incarnation(rec, &r);

    if (rc != 0)
        return rc;
    if (r.entry.inc == engine_incarnation(e))
        return 0; /* entered with a cut */
    known = lineage_find(e->lineage, r.entry.inc);
    if (known == NULL || known->reign_id != r.entry.reign_id)
        return DIAG(ERR_DIVERGED, "incarnation %u in redo at LSN %" PRIu64 " is another reign",
                    r.entry.inc, rec->lsn.v);
    /* The manifest has the branch at once: a power cut must not leave the log short of its start.
     */
    rc = redo_wait_durable(e->redo, rec->lsn);
    if (rc != 0)
        return rc;
    follow_set_applied(e, rec->lsn);
    rc = lsm_enter(e->lsm, &r.entry, tip, rec->lsn, NULL);
    if (rc != 0)
        return rc;
    follow_new_branch(e, r.entry.inc, r.entry.fork_scn, rec->lsn);
    if (r.entry.fork_scn < tip) {
        struct lsn pointer;

        env_mutex_lock(&e->follow.mutex);
        pointer = e->follow.pointer;
        env_mutex_unlock(&e->follow.mutex);
        publisher_cut(e, rec->lsn, r.entry.fork_scn);
        engine_publish(e, lsn_lt(pointer, rec->lsn) ? pointer : rec->lsn);
    }
    return 0;
}

/* ---- cuts ------------------------------------------------------------------------------------ */

/* CUT-4: one pass finds what was open at the end, another gives those writes again. */
static int
again_writes(struct engine *e, const struct redo_record *rec)
{
    struct redo_writes w;
    struct redo_op op;
    int rc = redo_decode_writes(rec, &w);

    if (rc != 0 || !follow_is_open(e, w.txid))
        return rc;
    while ((rc = redo_op_next(&w, &op)) == 0) {
        struct replay_part *whole;

        if (op.kind == REDO_OP_PUT_PART) {
            rc = replay_parts_add(&e->follow.parts, w.txid, rec->lsn, &op);
            if (rc != 0)
                return rc;
            continue;
        }
        rc = replay_parts_take(&e->follow.parts, w.txid, &op, &whole);
        while (rc == 0 &&
               (rc = replay_op(e, rec->inc, rec->lsn, w.txid, &op, false)) == ERR_NOMEM) {
            rc = 0;
            env_sleep_us(e->env, FOLLOW_NAP_US);
        }
        replay_part_free(whole);
        if (rc != 0)
            return rc;
    }
    return rc == ERR_END ? 0 : rc;
}

static int
again_record(struct engine *e, const struct redo_record *rec)
{
    struct redo_tree t;

    if (rec->type == REDO_WRITES)
        return again_writes(e, rec);
    if ((rec->type == REDO_TREE_CREATE || rec->type == REDO_TREE_DROP) &&
        redo_decode_tree(rec, &t) == 0 && follow_is_open(e, t.txid))
        return replay_other(e, rec, false);
    return 0;
}

static int
again_pass(struct engine *e, incarnation_t inc, struct lsn low, struct lsn end, bool apply)
{
    struct redo_cursor *c;
    struct redo_record rec;
    int rc = lsn_lt(low, end) ? redo_cursor_open(e->redo, inc, low, &c) : ERR_END;

    if (rc != 0)
        return rc == ERR_END ? 0 : rc;
    while ((rc = redo_cursor_next(c, &rec)) == 0 && lsn_lt(rec.lsn, end)) {
        if (rec.inc != inc)
            continue;
        if (apply) {
            rc = again_record(e, &rec);
        } else {
            follow_note_begin(e, &rec);
            engine_apply_note_end(e, &rec);
        }
        if (rc != 0)
            break;
    }
    redo_cursor_close(c);
    return rc == ERR_END ? 0 : rc;
}

/* Back to a stream that was left before its end. */
static int
cut_resume(struct engine *e, incarnation_t inc, const struct redo_pos *at,
           const struct redo_pos *end, const struct manifest_edit *more)
{
    struct lsn low = engine_follow_low(e, inc);
    scn_t tip = engine_newest_scn(e);
    struct lsm_reread again;
    txid_t *open;
    int rc;

    if (low.v == LSN_MAX.v)
        return DIAG(ERR_NEEDS_RESEED, "what was open where incarnation %u was left is not known",
                    inc);
    if (lsn_lt(at->lsn, low))
        low = at->lsn;
    rc = follow_find_open(e, inc, low, at->lsn, &open, &again.open_count);
    again.low = low;
    again.end = at->lsn;
    again.open = open;
    if (rc == 0)
        rc = lsm_resume(e->lsm, inc, tip, end->lsn, &again, more);
    xfree(open);
    if (rc != 0)
        return rc;
    follow_new_branch(e, inc, at->scn, low);
    engine_apply_dispatched(e, at->lsn);
    rc = again_pass(e, inc, low, at->lsn, false);
    if (rc == 0)
        rc = again_pass(e, inc, low, at->lsn, true);
    lsm_reread_end(e->lsm);
    return rc;
}

/* What to enter at the position, or to resume. */
static int
cut_state(struct engine *e, incarnation_t want, const struct redo_pos *at,
          const struct redo_pos *end, const struct manifest_edit *more)
{
    const struct lineage_entry *entry = lineage_find(e->lineage, want);
    int rc;

    if (entry == NULL || lsn_lt(at->lsn, entry->start_lsn))
        return DIAG(ERR_AGAIN, "nothing is known yet of how LSN %" PRIu64 " is gone on from",
                    at->lsn.v);
    if (entry->start_lsn.v != at->lsn.v) {
        if (want == engine_incarnation(e))
            return DIAG(ERR_AGAIN, "the log of incarnation %u is longer here, up to %" PRIu64, want,
                        end->lsn.v);
        return cut_resume(e, want, at, end, more);
    }
    rc = lsm_enter(e->lsm, entry, engine_newest_scn(e), end->lsn, more);
    if (rc == ERR_SNAPSHOT_TOO_OLD)
        return DIAG(ERR_NEEDS_RESEED, "history does not reach back to SCN %" PRIu64,
                    entry->fork_scn);
    if (rc == 0)
        follow_new_branch(e, want, entry->fork_scn, at->lsn);
    return rc;
}

static int
cut_nothing(struct engine *e, const struct manifest_edit *more)
{
    return more != NULL ? manifest_commit(lsm_manifest(e->lsm), more) : 0;
}

int
engine_follow_cut(struct engine *e, incarnation_t target, const struct redo_pos *at,
                  const struct manifest_edit *more)
{
    incarnation_t here = engine_incarnation(e), want;
    struct redo_pos end;
    struct lsn leaves;
    int rc;

    CHECK(!engine_is_writable(e));
    engine_follow_stop(e);
    if (lineage_find(e->lineage, target) == NULL)
        return DIAG(ERR_AGAIN, "incarnation %u is not known yet", target);
    rc = engine_log_end(e, here, &end);
    if (rc != 0)
        return rc;
    want = lineage_redo_at(e->lineage, target, at->lsn);
    if (at->lsn.v == end.lsn.v &&
        (here == 0 || lineage_redo_end(e->lineage, target, here, &leaves)))
        return cut_nothing(e, more);
    if (lsn_lt(engine_applied(e), end.lsn))
        return DIAG(ERR_INTERNAL, "a cut needs all redo to be applied");
    rc = cut_state(e, want, at, &end, more);
    if (rc == 0)
        rc = redo_cut(e->redo, at);
    if (rc != 0)
        return rc;
    follow_set_applied(e, at->lsn);
    publisher_cut(e, at->lsn, engine_newest_scn(e));
    publisher_mark(e, at->lsn, engine_newest_scn(e));
    return 0;
}
