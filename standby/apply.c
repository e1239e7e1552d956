/* The applier: see apply.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "standby/apply.h"

#include <inttypes.h>

#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/txn/replay.h"

enum {
    APPLY_LANES_MAX = 16,
    APPLY_LANE_OPS = 64, /* frames with fewer ops are not worth waking anybody */
    APPLY_NAP_US = 1000, /* memtables are full */
    APPLY_IDLE_US = 50000,
    APPLY_RETRY_US = 500000,
};

/* One write on its way through a lane; key and value point into the frame, or into a part. */
struct lane_op {
    txid_t txid;
    struct lsn lsn;
    struct redo_op op;
};

struct lane {
    struct apply *apply;
    struct env_thread *thread;
    struct lane_op *ops;
    size_t count, cap;
    uint64_t turn; /* of the frame it has passed; under apply.mutex */
    int error;
};

/* Records of a frame that wait until the lanes have passed its writes. */
struct later {
    struct redo_record *items;
    size_t count, cap;
};

struct apply {
    struct engine *engine; /* read-only, like the next three */
    struct env *env;
    struct apply_options options;
    incarnation_t target;

    struct env_mutex mutex;
    struct env_cond wake, lanes_wake, passed; /* dispatcher; lanes; whoever waits for progress */
    bool stop;
    bool has_news;
    struct lsn hurry; /* a delay does not count up to here */
    uint64_t turn;    /* of the frame in the lanes */
    int lanes_busy;
    struct apply_figures figures;

    struct env_thread *thread;
    struct redo_listener listener;

    /* The dispatcher's. */
    struct redo_cursor *cursor;
    uint8_t *scratch;
    struct lane lanes[APPLY_LANES_MAX];
    struct later later;
    struct replay_part *wholes;     /* values of this frame that came in parts */
    incarnation_t inc;              /* of the frame */
    struct lsn end;                 /* of the frame */
    bool is_broken;                 /* a frame could not be applied: nothing more is */
    uint64_t records, ops, commits; /* for the figures */
};

/* ---- lanes ----------------------------------------------------------------------------------- */

static bool
apply_stopping(struct apply *a)
{
    bool stop;

    env_mutex_lock(&a->mutex);
    stop = a->stop;
    env_mutex_unlock(&a->mutex);
    return stop;
}

static void
apply_nap(struct apply *a)
{
    env_mutex_lock(&a->mutex);
    a->figures.waits++;
    env_mutex_unlock(&a->mutex);
    env_sleep_us(a->env, APPLY_NAP_US);
}

/* APPLY-2: full memtables are waited for, flushes make room. A frame is never left half done. */
static int
apply_op(struct apply *a, const struct lane_op *o)
{
    int rc;

    while ((rc = replay_op(a->engine, a->inc, o->lsn, o->txid, &o->op, false)) == ERR_NOMEM)
        apply_nap(a);
    return rc;
}

/* Some go to the manifest: a full disk is waited for. */
static int
apply_other(struct apply *a, const struct redo_record *rec)
{
    int rc;

    while ((rc = rec->type == REDO_INCARNATION
                     ? engine_apply_incarnation(a->engine, rec)
                     : replay_other(a->engine, rec, false)) == ERR_DISK_FULL)
        apply_nap(a);
    return rc;
}

static void
lane_run(struct lane *l)
{
    for (size_t i = 0; i < l->count && l->error == 0; i++)
        l->error = apply_op(l->apply, &l->ops[i]);
    l->count = 0;
}

static void
lane_th_main(void *arg)
{
    struct lane *l = arg;
    struct apply *a = l->apply;

    env_mutex_lock(&a->mutex);
    for (;;) {
        while (l->turn == a->turn && !a->stop)
            env_cond_wait(&a->lanes_wake, &a->mutex);
        if (l->turn == a->turn)
            break;
        l->turn = a->turn;
        env_mutex_unlock(&a->mutex);
        lane_run(l);
        env_mutex_lock(&a->mutex);
        if (--a->lanes_busy == 0)
            env_cond_broadcast(&a->passed); /* others wait for progress there */
    }
    env_mutex_unlock(&a->mutex);
}

/* All lanes take what they have been given; returns when they have passed it. */
static int
lanes_pass(struct apply *a)
{
    int rc = 0, count = a->options.lanes;
    size_t ops = 0;

    for (int i = 0; i < count; i++)
        ops += a->lanes[i].count;
    if (count == 1 || ops < APPLY_LANE_OPS) {
        for (int i = 0; i < count; i++)
            lane_run(&a->lanes[i]);
    } else {
        env_mutex_lock(&a->mutex);
        a->turn++;
        a->lanes_busy = count;
        env_cond_broadcast(&a->lanes_wake);
        while (a->lanes_busy > 0)
            env_cond_wait(&a->passed, &a->mutex);
        env_mutex_unlock(&a->mutex);
    }
    for (int i = 0; i < count; i++) {
        if (rc == 0)
            rc = a->lanes[i].error;
        a->lanes[i].error = 0;
    }
    return rc;
}

static struct lane *
lane_of(struct apply *a, const struct redo_op *op)
{
    uint64_t h = hash64(op->key.data, op->key.size, op->tree);

    return &a->lanes[h % (uint64_t)a->options.lanes];
}

static void
lane_add(struct lane *l, txid_t txid, struct lsn lsn, const struct redo_op *op)
{
    if (l->count == l->cap) {
        l->cap = l->cap != 0 ? 2 * l->cap : 256;
        l->ops = xrealloc(l->ops, l->cap * sizeof *l->ops);
    }
    l->ops[l->count++] = (struct lane_op){ txid, lsn, *op };
}

/* ---- one frame ------------------------------------------------------------------------------- */

static void
later_add(struct later *l, const struct redo_record *rec)
{
    if (l->count == l->cap) {
        l->cap = l->cap != 0 ? 2 * l->cap : 256;
        l->items = xrealloc(l->items, l->cap * sizeof *l->items);
    }
    l->items[l->count++] = *rec;
}

static int
dispatch_writes(struct apply *a, const struct redo_record *rec)
{
    struct engine *e = a->engine;
    struct redo_writes w;
    struct redo_op op;
    int rc = redo_decode_writes(rec, &w);

    if (rc == 0)
        engine_apply_note_writes(e, w.txid, rec->lsn);
    while (rc == 0 && (rc = redo_op_next(&w, &op)) == 0) {
        struct replay_part *whole;

        a->ops++;
        if (op.kind == REDO_OP_PUT_PART) {
            rc = engine_apply_part(e, w.txid, rec->lsn, &op);
            continue;
        }
        rc = engine_apply_whole(e, w.txid, &op, &whole);
        if (whole != NULL) {
            whole->next = a->wholes;
            a->wholes = whole;
        }
        if (rc == 0)
            lane_add(lane_of(a, &op), w.txid, rec->lsn, &op);
    }
    return rc == ERR_END ? 0 : rc;
}

/* The lanes pass what was dispatched, then the records that wait for it take effect in order. */
static int
dispatch_settle(struct apply *a)
{
    int rc = lanes_pass(a);

    while (a->wholes != NULL) {
        struct replay_part *next = a->wholes->next;

        replay_part_free(a->wholes);
        a->wholes = next;
    }
    for (size_t i = 0; rc == 0 && i < a->later.count; i++) {
        const struct redo_record *rec = &a->later.items[i];

        rc = apply_other(a, rec);
        if (rc == 0)
            engine_apply_note_end(a->engine, rec);
        if (rec->type == REDO_COMMIT)
            a->commits++;
    }
    a->later.count = 0;
    return rc;
}

static int
dispatch_incarnation(struct apply *a, const struct redo_record *rec)
{
    int rc = dispatch_settle(a);

    if (rc == 0)
        rc = apply_other(a, rec);
    engine_apply_dispatched(a->engine, a->end);
    return rc;
}

static int
dispatch_record(struct apply *a, const struct redo_record *rec)
{
    struct redo_tree t;

    a->records++;
    switch (rec->type) {
    case REDO_WRITES:
        return dispatch_writes(a, rec);
    case REDO_INCARNATION:
        return dispatch_incarnation(a, rec);
    case REDO_TREE_CREATE:
        /* Before the lanes get records of the tree. */
        if (redo_decode_tree(rec, &t) == 0)
            engine_apply_note_writes(a->engine, t.txid, rec->lsn);
        return apply_other(a, rec);
    case REDO_TREE_DROP:
        if (redo_decode_tree(rec, &t) == 0)
            engine_apply_note_writes(a->engine, t.txid, rec->lsn);
        later_add(&a->later, rec);
        return 0;
    default:
        later_add(&a->later, rec);
        return 0;
    }
}

static int
apply_frame(struct apply *a, const struct redo_frame *f)
{
    struct engine *e = a->engine;
    struct lsn from = engine_applied(e), at = f->head.lsn, end = redo_frame_end(&f->head);
    struct slice records;
    struct reader r;
    struct redo_record rec;
    int rc = redo_frame_records(&f->head, f->bytes, a->scratch, &records);

    if (rc != 0 || lsn_le(end, from))
        return rc;
    a->inc = f->head.inc;
    a->end = end;
    engine_apply_dispatched(e, end);
    rd_init(&r, records.data, records.size);
    while (rc == 0) {
        size_t left = rd_left(&r);

        rc = redo_record_next(&r, &rec);
        if (rc != 0)
            break;
        rec.inc = f->head.inc;
        rec.lsn = at;
        at = rec.end_lsn = lsn_make(at.v + (left - rd_left(&r)));
        if (lsn_le(from, rec.lsn))
            rc = dispatch_record(a, &rec);
    }
    if (rc == ERR_END)
        rc = dispatch_settle(a);
    if (rc == 0)
        engine_apply_passed(e, end, f->head.last_scn);
    return rc;
}

static void
frame_forget(struct apply *a)
{
    for (int i = 0; i < a->options.lanes; i++)
        a->lanes[i].count = 0;
    a->later.count = 0;
    while (a->wholes != NULL) {
        struct replay_part *next = a->wholes->next;

        replay_part_free(a->wholes);
        a->wholes = next;
    }
}

/* ---- the dispatcher -------------------------------------------------------------------------- */

static void
on_sealed(void *arg, struct redo_frame *frame)
{
    struct apply *a = arg;

    (void)frame;
    env_mutex_lock(&a->mutex);
    a->has_news = true;
    env_mutex_unlock(&a->mutex);
    env_cond_signal(&a->wake); /* once the mutex is free: who wakes needs it at once */
}

/* Sleeps until there is news, at most so long; false when the applier is to end. */
static bool
dispatcher_wait(struct apply *a, uint64_t us)
{
    bool go;

    env_mutex_lock(&a->mutex);
    if (!a->stop && !a->has_news)
        (void)env_cond_wait_us(&a->wake, &a->mutex, us);
    a->has_news = false;
    go = !a->stop;
    env_mutex_unlock(&a->mutex);
    return go;
}

/* Waits out the delay of a frame. */
static bool
dispatcher_delay(struct apply *a, const struct redo_frame *f)
{
    struct lsn end = redo_frame_end(&f->head);

    for (;;) {
        uint64_t now, due = f->head.last_time_us + a->options.delay_us;
        bool go;

        if (a->options.delay_us == 0)
            return !apply_stopping(a);
        now = env_wall_us(a->env);
        env_mutex_lock(&a->mutex);
        go = due <= now || lsn_le(end, a->hurry);
        if (!go && !a->stop)
            (void)env_cond_wait_us(&a->wake, &a->mutex,
                                   due - now < APPLY_RETRY_US ? due - now : APPLY_RETRY_US);
        if (a->stop) {
            env_mutex_unlock(&a->mutex);
            return false;
        }
        env_mutex_unlock(&a->mutex);
        if (go)
            return true;
    }
}

static void
dispatcher_report(struct apply *a, const struct redo_frame *f, int rc)
{
    struct lsn applied = engine_applied(a->engine);

    env_mutex_lock(&a->mutex);
    a->figures.error = rc;
    a->figures.applied = applied;
    a->figures.records = a->records;
    a->figures.ops = a->ops;
    a->figures.commits = a->commits;
    if (rc == 0 && f != NULL) {
        a->figures.frames++;
        a->figures.scn = f->head.last_scn;
        a->figures.commit_time_us = f->head.last_time_us;
    }
    env_cond_broadcast(&a->passed);
    env_mutex_unlock(&a->mutex);
    if (rc == 0 && f != NULL && a->options.on_applied != NULL)
        a->options.on_applied(a->options.arg, applied, f->head.last_scn);
}

/* One frame, if there is one. ERR_END: none now. */
static int
dispatcher_step(struct apply *a)
{
    struct redo_frame *f;
    int rc = 0;

    if (a->is_broken)
        return ERR_CORRUPT;
    if (a->cursor == NULL)
        rc = redo_cursor_open(engine_redo(a->engine), a->target, engine_applied(a->engine),
                              &a->cursor);
    if (rc == 0)
        rc = redo_cursor_next_frame(a->cursor, &f);
    if (rc == ERR_END)
        return rc;
    if (rc == 0) {
        if (!dispatcher_delay(a, f))
            return ERR_STOPPED;
        rc = apply_frame(a, f);
        a->is_broken = rc != 0;
        dispatcher_report(a, f, rc);
    } else {
        dispatcher_report(a, NULL, rc);
    }
    if (rc != 0) {
        frame_forget(a);
        redo_cursor_close(a->cursor);
        a->cursor = NULL;
    }
    return rc;
}

/* What cannot be read is tried again: the file may be back. What cannot be applied is not. */
static void
apply_th_main(void *arg)
{
    struct apply *a = arg;
    bool go = true;

    while (go) {
        int rc = dispatcher_step(a);

        if (rc == 0)
            go = !apply_stopping(a);
        else if (rc == ERR_END)
            go = dispatcher_wait(a, APPLY_IDLE_US);
        else
            go = dispatcher_wait(a, APPLY_RETRY_US);
    }
    redo_cursor_close(a->cursor);
}

/* ---- from outside ---------------------------------------------------------------------------- */

struct apply *
apply_start(struct engine *e, incarnation_t target, const struct apply_options *o)
{
    struct apply *a = xcalloc(1, sizeof *a);

    CHECK(!engine_is_writable(e));
    a->engine = e;
    a->env = engine_env(e);
    a->options = *o;
    if (a->options.lanes < 1)
        a->options.lanes = 1; /* and no thread for it */
    if (a->options.lanes > APPLY_LANES_MAX)
        a->options.lanes = APPLY_LANES_MAX;
    a->target = target;
    a->figures.applied = engine_applied(e);
    a->figures.scn = engine_newest_scn(e);
    a->scratch = xmalloc(REDO_FRAME_RECORDS_MAX);
    env_mutex_init(a->env, &a->mutex);
    env_cond_init(a->env, &a->wake);
    env_cond_init(a->env, &a->lanes_wake);
    env_cond_init(a->env, &a->passed);
    for (int i = 0; i < a->options.lanes; i++) {
        a->lanes[i].apply = a;
        if (a->options.lanes > 1)
            a->lanes[i].thread = env_thread_start(a->env, "apply-lane", lane_th_main, &a->lanes[i]);
    }
    a->listener = (struct redo_listener){ .on_sealed = on_sealed, .arg = a };
    redo_listen(engine_redo(e), &a->listener);
    a->thread = env_thread_start(a->env, "apply", apply_th_main, a);
    return a;
}

void
apply_stop(struct apply *a)
{
    if (a == NULL)
        return;
    env_mutex_lock(&a->mutex);
    a->stop = true;
    env_cond_broadcast(&a->wake);
    env_cond_broadcast(&a->passed);
    env_mutex_unlock(&a->mutex);
    env_thread_join(a->thread);
    env_mutex_lock(&a->mutex);
    env_cond_broadcast(&a->lanes_wake);
    env_mutex_unlock(&a->mutex);
    redo_unlisten(engine_redo(a->engine), &a->listener);
    for (int i = 0; i < a->options.lanes; i++) {
        if (a->lanes[i].thread != NULL)
            env_thread_join(a->lanes[i].thread);
        xfree(a->lanes[i].ops);
    }
    xfree(a->later.items);
    xfree(a->scratch);
    env_cond_fini(&a->passed);
    env_cond_fini(&a->lanes_wake);
    env_cond_fini(&a->wake);
    env_mutex_fini(&a->mutex);
    xfree(a);
}

int
apply_drain(struct apply *a, struct lsn lsn)
{
    int rc = 0;

    env_mutex_lock(&a->mutex);
    if (lsn_lt(a->hurry, lsn))
        a->hurry = lsn;
    a->has_news = true;
    env_cond_signal(&a->wake);
    while (rc == 0 && lsn_lt(engine_applied(a->engine), lsn)) {
        (void)env_cond_wait_us(&a->passed, &a->mutex, APPLY_IDLE_US);
        rc = a->figures.error;
        if (rc == ERR_STOPPED)
            rc = 0;
    }
    env_mutex_unlock(&a->mutex);
    return rc == 0 ? 0 : DIAG(rc, "redo up to LSN %" PRIu64 " cannot be applied", lsn.v);
}

void
apply_get_figures(struct apply *a, struct apply_figures *out)
{
    env_mutex_lock(&a->mutex);
    *out = a->figures;
    env_mutex_unlock(&a->mutex);
}
