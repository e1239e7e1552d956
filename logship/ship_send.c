/* SPDX-License-Identifier: Apache-2.0 */
#include "logship/ship_send.h"

#include <string.h>

#include "engine/base/mem.h"
#include "engine/lsm/lsm.h"
#include "engine/redo/redo.h"
#include "engine/txn/follow.h"

enum {
    SEND_BATCH = 32,
    SEND_BATCH_BYTES = 1 << 20,
    SEND_BUDGET = 8 << 20,
    SEND_IDLE_US = 200000,
    SEND_PIN_BYTES = 1 << 20, /* the pin follows in such steps, and when there is nothing to send */
    SEND_STACK = 128 << 10,
};

struct ship_sender {
    struct ship_send_options o;
    struct redo *redo;
    struct redo_cursor *cursor;
    struct redo_pin pin;
    uint64_t pinned_lsn;
    bool pinned;
    bool stop;
    struct fiber_queue news;
    struct redo_listener listener;
    struct sched_post post;
    atomic_bool posted;
    struct ship_pointer sent; /* last told */
    struct lsn lsn;

    struct redo_frame *batch[SEND_BATCH]; /* the job's */
    int count;
};

/* ---- waking ---------------------------------------------------------------------------------- */

static void
on_post(void *arg)
{
    struct ship_sender *s = arg;

    atomic_store(&s->posted, false);
    fiber_queue_wake_all(&s->news);
}

void
ship_sender_wake(struct ship_sender *s)
{
    if (!atomic_exchange(&s->posted, true))
        sched_post(s->o.sched, &s->post);
}

static void
on_sealed(void *arg, struct redo_frame *frame)
{
    (void)frame;
    ship_sender_wake(arg);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

/* SHIP-3: the follower's log must be the same up to where it wants to go on. */
static int
send_open(void *arg)
{
    struct ship_sender *s = arg;
    const struct ship_pos *from = &s->o.request.from;
    struct redo_pos mine;
    int rc;

    if (from->inc != 0) {
        rc = redo_locate(s->redo, from->inc, from->lsn, &mine);
        if (rc == 0 && (mine.lsn.v != from->lsn.v || !hash128_eq(mine.chain, from->chain)))
            return DIAG(ERR_DIVERGED, "the logs differ below LSN %llu",
                        (unsigned long long)from->lsn.v);
        /* Where only the chain's start is gone, the frames' own chains tell. */
        if (rc != 0 && rc != ERR_NOT_FOUND)
            return rc;
    }
    rc = redo_cursor_open(s->redo, s->o.target, from->lsn, &s->cursor);
    return rc == ERR_NOT_FOUND ? DIAG(ERR_DIVERGED, "the log does not lead there") : rc;
}

static bool
past_until(const struct ship_sender *s, struct lsn lsn)
{
    return s->o.request.purpose == SHIP_REDO_GAP && lsn_le(s->o.request.until, lsn);
}

/* What is in memory needs no job, and is what there is when the follower keeps up. */
static int
send_read(struct ship_sender *s, bool cached)
{
    size_t bytes = 0;
    int rc = 0;

    while (s->count < SEND_BATCH && bytes < SEND_BATCH_BYTES) {
        struct redo_frame *f;

        if (past_until(s, redo_cursor_lsn(s->cursor)))
            return s->count == 0 ? ERR_END : 0;
        rc =
            cached ? redo_cursor_next_cached(s->cursor, &f) : redo_cursor_next_frame(s->cursor, &f);
        if (rc != 0)
            break;
        s->batch[s->count++] = redo_frame_ref(f);
        bytes += f->bytes_size;
    }
    return s->count > 0 ? 0 : rc;
}

static int
send_read_job(void *arg)
{
    return send_read(arg, false);
}

/* ---- the fiber ------------------------------------------------------------------------------- */

static struct ship_pointer
pointer_now(struct ship_sender *s)
{
    struct ship_pointer p = { 0 };

    s->o.pointer(s->o.arg, &p);
    return p;
}

static int
send_pointer(struct ship_sender *s)
{
    struct ship_pointer p = pointer_now(s);
    struct writer w;
    int rc = 0;

    if (s->stop || (p.inc == s->sent.inc && p.published.v == s->sent.published.v))
        return 0;
    wr_init(&w, 64);
    ship_pointer_encode(&w, &p);
    rc = link_send(s->o.link, SHIP_POINTER, wr_view(&w));
    wr_fini(&w);
    if (rc == ERR_AGAIN) /* the queue is full: frames will carry it */
        return 0;
    s->sent = p;
    return rc;
}

static void
move_pin(struct ship_sender *s)
{
    if (s->pinned_lsn == s->lsn.v)
        return;
    s->pinned_lsn = s->lsn.v;
    redo_pin_move(s->redo, &s->pin, s->o.target, s->lsn);
}

static int
send_batch(struct ship_sender *s)
{
    int rc = 0;

    for (int i = 0; i < s->count; i++) {
        struct redo_frame *f = s->batch[i];

        if (rc == 0 && !s->stop) {
            struct ship_pointer p = pointer_now(s);
            struct ship_redo envelope = { p.inc, p.published_scn, p.published, { 0 } };

            rc = link_send_redo(s->o.link, &envelope, f);
            s->sent = p;
            s->lsn = redo_frame_end(&f->head);
        }
        redo_frame_unref(f);
    }
    s->count = 0;
    if (rc == 0 && !s->stop) {
        size_t budget = s->o.budget_bytes != 0 ? s->o.budget_bytes : SEND_BUDGET;

        if (s->lsn.v - s->pinned_lsn >= SEND_PIN_BYTES)
            move_pin(s);
        if (link_queued_bytes(s->o.link) > budget)
            rc = link_flush(s->o.link);
    }
    return rc;
}

static void
send_end_message(struct ship_sender *s, int code)
{
    struct ship_redo_end end = {
        .purpose = s->o.request.purpose,
        .inc = s->o.request.inc,
        .code = code,
        .lsn = s->lsn,
        .text = slice_str(code != 0 ? diag_last()->message : ""),
    };
    struct writer w;

    if (s->stop)
        return;
    wr_init(&w, 1024);
    ship_redo_end_encode(&w, &end);
    if (wr_finish(&w) == 0 && link_send_wait(s->o.link, SHIP_REDO_END, wr_view(&w)) != 0)
        diag_clear();
    wr_fini(&w);
}

static int
send_loop(struct ship_sender *s)
{
    int rc = job_run(s->o.jobs, send_open, s);

    while (rc == 0 && !s->stop) {
        rc = send_read(s, true);
        if (rc == ERR_AGAIN)
            rc = job_run(s->o.jobs, send_read_job, s);
        if (rc == 0) {
            rc = send_batch(s);
        } else if (rc == ERR_END && s->o.request.purpose == SHIP_REDO_FOLLOW) {
            rc = send_pointer(s);
            if (rc == 0 && !s->stop && !fiber_queue_wait_us(&s->news, SEND_IDLE_US))
                move_pin(s);
        }
    }
    if (s->stop)
        return ERR_STOPPED;
    if (rc == ERR_END)
        return 0;
    if (rc == ERR_NO_FILE || (s->pinned && redo_pin_is_lost(s->redo, &s->pin)))
        rc = DIAG(ERR_NEEDS_RESEED, "redo from LSN %llu on is not kept any more",
                  (unsigned long long)s->lsn.v);
    return rc;
}

static void
sender_main(void *arg)
{
    struct ship_sender *s = arg;
    int rc = send_loop(s);

    if (rc != ERR_STOPPED)
        send_end_message(s, rc);
    for (int i = 0; i < s->count; i++)
        redo_frame_unref(s->batch[i]);
    redo_unlisten(s->redo, &s->listener);
    redo_unpin(s->redo, &s->pin);
    redo_cursor_close(s->cursor);
    if (s->o.on_end != NULL)
        s->o.on_end(s->o.arg, s, rc);
    /* Nobody wakes it any more; what is posted runs first. */
    while (atomic_load(&s->posted))
        fiber_yield();
    xfree(s);
}

struct ship_sender *
ship_sender_start(const struct ship_send_options *o)
{
    struct ship_sender *s = xcalloc(1, sizeof *s);

    s->o = *o;
    s->redo = engine_redo(o->engine);
    s->lsn = o->request.from.lsn;
    s->post = (struct sched_post){ .fn = on_post, .arg = s };
    fiber_queue_init(&s->news);
    redo_pin(s->redo, &s->pin, o->target, s->lsn);
    s->pinned = true;
    s->pinned_lsn = s->lsn.v;
    s->listener = (struct redo_listener){ .on_sealed = on_sealed, .arg = s };
    redo_listen(s->redo, &s->listener);
    fiber_start(o->sched, "redo sender", SEND_STACK, sender_main, s);
    return s;
}

void
ship_sender_stop(struct ship_sender *s)
{
    s->stop = true;
    fiber_queue_wake_all(&s->news);
}

/* ---- where logs part --------------------------------------------------------------------------
 */

struct ship_pos
ship_pos_of(const struct redo_pos *p)
{
    return (struct ship_pos){ p->inc, p->lsn, p->scn, p->time_us, p->chain };
}

struct redo_pos
ship_pos_to(const struct ship_pos *p)
{
    return (struct redo_pos){ p->inc, p->lsn, p->scn, p->time_us, p->chain };
}

int
ship_log_fill(struct engine *e, incarnation_t follows, struct role_log *out)
{
    struct redo_pos end;
    int rc = engine_log_end(e, follows, &end);

    if (rc == 0) {
        out->follows = follows;
        out->end = end.lsn;
        out->end_scn = end.scn;
        out->chain = end.chain;
    }
    return rc;
}

int
ship_hello_fill(struct engine *e, incarnation_t follows, struct ship_hello *out,
                struct writer *lineage)
{
    struct lineage l;
    int rc = ship_log_fill(e, follows, &out->log);

    lineage_init(&l);
    lsm_lineage(engine_lsm(e), &l);
    wr_init(lineage, ship_type_limit(SHIP_HELLO));
    lineage_encode(lineage, &l);
    lineage_fini(&l);
    out->lineage = wr_view(lineage);
    out->published_scn = engine_visible_scn(e);
    return rc == 0 ? wr_finish(lineage) : rc;
}

struct locate_job {
    struct engine *engine;
    struct ship_located answer;
};

/* At an incarnation's end its own files may be gone; those of the next one say the same. */
int
ship_locate(struct engine *e, incarnation_t inc, struct lsn lsn, struct redo_pos *pos)
{
    struct redo *redo = engine_redo(e);
    struct lineage l;
    int rc = redo_locate(redo, inc, lsn, pos);

    if (rc != ERR_NOT_FOUND)
        return rc;
    lineage_init(&l);
    lsm_lineage(engine_lsm(e), &l);
    for (uint32_t i = 0; rc == ERR_NOT_FOUND && i < l.count; i++)
        if (l.entries[i].prev == inc && l.entries[i].start_lsn.v == lsn.v)
            rc = redo_locate(redo, l.entries[i].inc, lsn, pos);
    lineage_fini(&l);
    return rc;
}

static int
locate(void *arg)
{
    struct locate_job *j = arg;
    const struct ship_locate *asked = &j->answer.asked;
    struct redo_pos pos;
    int rc = ship_locate(j->engine, asked->inc, asked->lsn, &pos);

    j->answer.found = rc == 0;
    pos.inc = asked->inc;
    if (rc == 0)
        j->answer.pos = ship_pos_of(&pos);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

int
ship_answer_locate(struct engine *e, struct job_pool *jobs, struct link *l, struct slice body)
{
    struct locate_job j = { .engine = e };
    struct writer w;
    int rc = ship_locate_decode(body, &j.answer.asked);

    if (rc == 0)
        rc = job_run(jobs, locate, &j);
    if (rc != 0)
        return rc;
    wr_init(&w, 256);
    ship_located_encode(&w, &j.answer);
    rc = link_send_wait(l, SHIP_LOCATED, wr_view(&w));
    wr_fini(&w);
    return rc;
}
