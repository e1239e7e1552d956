/* A standby's side: frames as a primary sealed them go into the own log, in order and checked.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/redo/redo_int.h"

/* LOG-6: the frame is of the incarnation that the lineage names there, and does not run past where
 * the chain leaves it. */
MUST_CHECK
static int
follow_check_lineage(struct redo *r, const struct redo_frame_head *h, incarnation_t target)
{
    struct lsn end = { 0 };
    struct redo_file *last;
    incarnation_t inc;
    int rc = 0;

    env_mutex_lock(&r->files.lock);
    inc = lineage_redo_at(&r->lineage, target, h->lsn);
    if (inc != h->inc || !lineage_redo_end(&r->lineage, target, inc, &end) ||
        lsn_lt(end, redo_frame_end(h)))
        rc = DIAG(ERR_DIVERGED,
                  "redo frame %u:%llx..%llx is not on the way to incarnation %u (there it is %u)",
                  h->inc, (unsigned long long)h->lsn.v, (unsigned long long)redo_frame_end(h).v,
                  target, inc);
    last = redo_files_last(&r->files, h->inc);
    if (rc == 0 && last != NULL && !last->is_active && lsn_lt(h->lsn, last->end.lsn))
        rc = DIAG(ERR_DIVERGED, "redo of incarnation %u is held up to %llx, beyond %llx", h->inc,
                  (unsigned long long)last->end.lsn.v, (unsigned long long)h->lsn.v);
    r->files.current = target;
    env_mutex_unlock(&r->files.lock);
    return rc;
}

/* Waits for room in the queue; then the frame must begin at the log's end. */
MUST_CHECK
static int
follow_check_position(struct redo *r, const struct redo_frame *f, struct redo_pos *sealed)
{
    struct redo_waiter w;

    env_mutex_lock(&r->queue.lock);
    while (r->queue.following && r->queue.bytes > 0 &&
           r->queue.bytes + f->buffer_size > r->options.frame_cache_bytes / 2) {
        completion_init(&w.done);
        list_push_back(&r->queue.waiters, &w.link);
        env_mutex_unlock(&r->queue.lock);
        completion_wait(&w.done);
        env_mutex_lock(&r->queue.lock);
    }
    *sealed = r->queue.sealed;
    if (!r->queue.following) {
        env_mutex_unlock(&r->queue.lock);
        return DIAG(ERR_ROLE, "this node does not follow");
    }
    env_mutex_unlock(&r->queue.lock);
    if (lsn_lt(f->head.lsn, sealed->lsn))
        return DIAG(ERR_AGAIN, "redo frame at %llx: the log is at %llx already",
                    (unsigned long long)f->head.lsn.v, (unsigned long long)sealed->lsn.v);
    if (lsn_lt(sealed->lsn, f->head.lsn))
        return DIAG(ERR_NOT_FOUND, "redo frame at %llx leaves a gap: the log is at %llx",
                    (unsigned long long)f->head.lsn.v, (unsigned long long)sealed->lsn.v);
    return 0;
}

int
redo_append_frame(struct redo *r, struct redo_frame *frame, incarnation_t target)
{
    struct redo_pos sealed;
    struct slice records;
    int rc = follow_check_position(r, frame, &sealed);

    if (rc == 0)
        rc = follow_check_lineage(r, &frame->head, target);
    if (rc == 0)
        rc = redo_frame_records(&frame->head, frame->bytes, r->follow_scratch, &records);
    if (rc == 0)
        rc = redo_frame_check_chain(&frame->head, records, sealed.chain);
    if (rc != 0)
        return rc;
    atomic_store(&r->append.inc, frame->head.inc);
    redo_frame_ref(frame); /* the queue's */
    redo_seal_enter(r, frame);
    redo_kick(r);
    return 0;
}
