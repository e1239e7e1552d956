/* SPDX-License-Identifier: Apache-2.0 */
#include "logship/ship_receive.h"

#include <stdatomic.h>

#include "engine/base/mem.h"
#include "engine/lsm/lsm.h"
#include "engine/txn/follow.h"
#include "logship/ship_send.h"

enum {
    RECEIVE_STACK = 128 << 10,
    RECEIVE_IDLE_US = 500000, /* then the last acknowledgement is said again: its age is shown */
    RECEIVE_REST_US = 5000,   /* between acknowledgements that say nothing new of what is durable */
};

struct ship_receiver {
    struct ship_receive_options o;
    struct redo *redo;
    bool stop;
    bool ended;         /* on_end has been called */
    bool asked;         /* for redo, and nothing that fits has come since */
    int inside;         /* fibers in on_message */
    struct redo_pos at; /* the end of what was received */
    struct ship_ack sent;
    bool has_sent;
    uint64_t sent_ns;

    struct fiber *fiber; /* sends acknowledgements */
    struct fiber_queue news, gone;
    struct redo_listener listener;
    struct sched_post post;
    atomic_bool posted;
};

/* ---- acknowledging ----------------------------------------------------------------------------
 */

static void
on_post(void *arg)
{
    struct ship_receiver *r = arg;

    atomic_store(&r->posted, false);
    fiber_queue_wake_all(&r->news);
}

void
ship_receiver_wake(struct ship_receiver *r)
{
    if (!atomic_exchange(&r->posted, true))
        sched_post(r->o.sched, &r->post);
}

static void
on_durable(void *arg, const struct redo_pos *pos)
{
    (void)pos;
    ship_receiver_wake(arg);
}

static struct lsn
lsn_min(struct lsn a, struct lsn b)
{
    return lsn_lt(a, b) ? a : b;
}

static struct ship_ack
ack_now(struct ship_receiver *r)
{
    struct redo_pos durable = redo_durable_pos(r->redo);
    scn_t scn = engine_newest_scn(r->o.engine);

    return (struct ship_ack){
        .inc = r->o.inc,
        .received = r->at.lsn,
        .durable = lsn_min(durable.lsn, r->at.lsn),
        .applied = lsn_min(engine_applied(r->o.engine), r->at.lsn),
        /* HORIZON-3 rests on it: what a crash would take back does not count. */
        .applied_scn = durable.scn < scn ? durable.scn : scn,
        .chain = r->at.chain,
    };
}

/* SHIP-5: nothing leaves once it was stopped. Commits wait for what is durable, so that is told
 * at once; what was received and applied is told along with it, or after a rest. Returns how long
 * to wait for news. */
static uint64_t
send_ack(struct ship_receiver *r)
{
    struct ship_ack a = ack_now(r);
    uint64_t now = env_boot_ns(env_self()),
             rest = lsn_lt(a.applied, a.received) ? RECEIVE_REST_US : RECEIVE_IDLE_US;
    struct writer w;
    int rc;

    if (r->stop ||
        (r->has_sent && a.received.v == r->sent.received.v && a.durable.v == r->sent.durable.v &&
         a.applied.v == r->sent.applied.v && now < r->sent_ns + RECEIVE_IDLE_US * 1000ull))
        return rest;
    if (r->has_sent && a.durable.v == r->sent.durable.v &&
        now < r->sent_ns + RECEIVE_REST_US * 1000ull)
        return RECEIVE_REST_US;
    wr_init(&w, 128);
    ship_ack_encode(&w, &a);
    rc = link_send(r->o.link, SHIP_ACK, wr_view(&w));
    wr_fini(&w);
    if (rc != 0) { /* the queue is full, or the link is ending: the next one says it all */
        diag_clear();
        return RECEIVE_REST_US;
    }
    r->sent = a;
    r->sent_ns = now;
    r->has_sent = true;
    return rest;
}

static void
ack_main(void *arg)
{
    struct ship_receiver *r = arg;

    while (!r->stop) {
        uint64_t wait_us = RECEIVE_IDLE_US;

        if (r->o.purpose == SHIP_REDO_FOLLOW)
            wait_us = send_ack(r);
        if (!r->stop)
            (void)fiber_queue_wait_us(&r->news, wait_us);
    }
    r->fiber = NULL;
    fiber_queue_wake_all(&r->gone);
}

/* ---- asking ------------------------------------------------------------------------------------
 */

static int
log_end_job(void *arg)
{
    struct ship_receiver *r = arg;

    return engine_log_end(r->o.engine, r->o.target, &r->at);
}

static int
ask(struct ship_receiver *r)
{
    struct ship_redo_request q = {
        .purpose = r->o.purpose,
        .inc = r->o.inc,
        .from = ship_pos_of(&r->at),
    };
    struct writer w;
    int rc;

    wr_init(&w, 256);
    ship_redo_request_encode(&w, &q);
    rc = link_send_wait(r->o.link, SHIP_REDO_REQUEST, wr_view(&w));
    wr_fini(&w);
    r->asked = rc == 0;
    return rc;
}

struct ship_receiver *
ship_receiver_start(const struct ship_receive_options *o)
{
    struct ship_receiver *r = xcalloc(1, sizeof *r);

    r->o = *o;
    r->redo = engine_redo(o->engine);
    r->post = (struct sched_post){ .fn = on_post, .arg = r };
    fiber_queue_init(&r->news);
    fiber_queue_init(&r->gone);
    if (job_run(o->jobs, log_end_job, r) != 0 || ask(r) != 0) {
        xfree(r);
        return NULL;
    }
    r->listener = (struct redo_listener){ .on_durable = on_durable, .arg = r };
    redo_listen(r->redo, &r->listener);
    r->fiber = fiber_start(o->sched, "redo acks", RECEIVE_STACK, ack_main, r);
    return r;
}

static int
unlisten_job(void *arg)
{
    struct ship_receiver *r = arg;

    redo_unlisten(r->redo, &r->listener);
    return 0;
}

void
ship_receiver_link_down(struct ship_receiver *r)
{
    r->stop = true;
    fiber_queue_wake_all(&r->news);
}

void
ship_receiver_stop(struct ship_receiver *r)
{
    ship_receiver_link_down(r);
    while (r->fiber != NULL || r->inside > 0)
        fiber_queue_wait(&r->gone);
    if (job_run(r->o.jobs, unlisten_job, r) != 0)
        diag_clear();
    while (atomic_load(&r->posted))
        fiber_yield();
    xfree(r);
}

/* ---- receiving ---------------------------------------------------------------------------------
 */

static void
end_with(struct ship_receiver *r, int code)
{
    if (r->ended)
        return;
    r->ended = true;
    if (r->o.on_end != NULL)
        r->o.on_end(r->o.arg, r, code);
}

static int
on_frame(struct ship_receiver *r, struct redo_frame *f)
{
    int rc = redo_append_frame(r->redo, f, r->o.target);

    switch (rc) {
    case 0:
        r->asked = false;
        r->at = (struct redo_pos){ f->head.inc, redo_frame_end(&f->head), f->head.last_scn,
                                   f->head.last_time_us, f->head.chain };
        if (r->o.on_received != NULL && !r->stop)
            r->o.on_received(r->o.arg, r->at.lsn, r->at.scn);
        fiber_queue_wake_all(&r->news);
        return 0;
    case ERR_AGAIN: /* a duplicate */
    case ERR_ROLE:  /* it follows no more */
        return 0;
    case ERR_NOT_FOUND: /* a gap: once, until something fits again */
        return r->asked || r->stop ? 0 : ask(r);
    case ERR_DIVERGED:
        end_with(r, rc);
        return 0;
    default:
        return rc;
    }
}

static int
on_redo(struct ship_receiver *r, const struct ship_header *h, struct slice body)
{
    struct ship_redo m;
    struct redo_frame *f;
    int rc = ship_redo_decode(body, &m);

    /* FO-31 */
    if (rc != 0 || (r->o.purpose == SHIP_REDO_FOLLOW && m.inc != r->o.inc) ||
        (r->o.accepts != NULL && !r->o.accepts(r->o.arg, h->sender, m.inc)))
        return rc;
    rc = redo_frame_decode(m.frame.data, m.frame.size, &f);
    if (rc != 0)
        return rc;
    rc = on_frame(r, f);
    redo_frame_unref(f);
    if (rc == 0 && !r->stop && r->o.purpose == SHIP_REDO_FOLLOW)
        engine_follow_pointer(r->o.engine, r->o.target, m.published);
    return rc;
}

static int
on_pointer(struct ship_receiver *r, const struct ship_header *h, struct slice body)
{
    struct ship_pointer m;
    int rc = ship_pointer_decode(body, &m);

    if (rc == 0 && m.inc == r->o.inc && r->o.purpose == SHIP_REDO_FOLLOW &&
        (r->o.accepts == NULL || r->o.accepts(r->o.arg, h->sender, m.inc)))
        engine_follow_pointer(r->o.engine, r->o.target, m.published);
    return rc;
}

static int
on_redo_end(struct ship_receiver *r, struct slice body)
{
    struct ship_redo_end m;
    int rc = ship_redo_end_decode(body, &m);

    if (rc == 0 && m.inc == r->o.inc && m.purpose == r->o.purpose)
        end_with(r, m.code);
    return rc;
}

int
ship_receiver_on_message(struct ship_receiver *r, const struct ship_header *h, struct slice body)
{
    int rc = 0;

    if (r->stop)
        return 0;
    r->inside++;
    if (h->type == SHIP_REDO)
        rc = on_redo(r, h, body);
    else if (h->type == SHIP_POINTER)
        rc = on_pointer(r, h, body);
    else if (h->type == SHIP_REDO_END)
        rc = on_redo_end(r, body);
    else
        rc = DIAG(ERR_PROTOCOL, "a message of type %s is not redo", ship_type_name(h->type));
    if (--r->inside == 0)
        fiber_queue_wake_all(&r->gone);
    return rc;
}

/* ---- the fork ----------------------------------------------------------------------------------
 */

int
ship_fork_compare(struct engine *e, incarnation_t own, const struct lineage *peer_lineage,
                  const struct role_log *peer, struct lineage_fork *fork)
{
    struct redo_pos end;
    struct lineage mine;
    int rc = engine_log_end(e, own, &end);

    lineage_init(&mine);
    lsm_lineage(engine_lsm(e), &mine);
    if (rc == 0)
        rc = lineage_compare(&(struct lineage_end){ &mine, own, end.lsn },
                             &(struct lineage_end){ peer_lineage, peer->follows, peer->end }, fork);
    lineage_fini(&mine);
    return rc;
}

int
ship_fork_confirm(struct engine *e, const struct lineage_fork *fork,
                  const struct ship_located *answer, struct redo_pos *at)
{
    int rc;

    *at = (struct redo_pos){ .lsn = fork->lsn };
    if (fork->inc == 0)
        return 0; /* two empty logs */
    if (answer->asked.inc != fork->inc || answer->asked.lsn.v != fork->lsn.v)
        return DIAG(ERR_PROTOCOL, "the answer is about another position");
    rc = ship_locate(e, fork->inc, fork->lsn, at);
    if (rc == ERR_NOT_FOUND || !answer->found)
        return DIAG(ERR_NEEDS_RESEED, "redo does not reach back to LSN %llu of incarnation %u",
                    (unsigned long long)fork->lsn.v, fork->inc);
    if (rc == 0 && (at->lsn.v != answer->pos.lsn.v || !hash128_eq(at->chain, answer->pos.chain)))
        rc = DIAG(ERR_DIVERGED, "the logs differ below LSN %llu of incarnation %u",
                  (unsigned long long)fork->lsn.v, fork->inc);
    return rc;
}
