/* The receiver of frames: one at a time, over the link to whom this node follows.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "logship/ship_receive.h"

#include "node/node_int.h"

enum { WAIT_STEP_US = 100000 };
static const uint64_t RETRY_NS = 500000000, TAIL_SILENCE_NS = 10000000000;

static bool
accepts(void *arg, member_id_t from, incarnation_t inc)
{
    struct node *n = arg;

    return role_accepts_frames(n->role, from, inc);
}

static void
receiver_ended(void *arg, struct ship_receiver *r, int code)
{
    struct node *n = arg;

    (void)r;
    if (code != 0)
        log_warning(n->log, "no more redo comes: %s", err_name(code));
    /* Only who follows; a tail that is fetched for an election tells its task. */
    if ((code == ERR_NEEDS_RESEED || code == ERR_DIVERGED) && n->follow.inc != 0) {
        role_on_lost(n->role, env_boot_ns(n->env), code, &n->pending);
        node_act_soon(n);
    }
    n->follow.ended = true;
    n->follow.retry_ns = env_boot_ns(n->env) + RETRY_NS;
    n->task.tail_ended = true;
    n->task.tail_code = code;
    fiber_queue_wake_all(&n->task.events);
}

static int
receiver_start(struct node *n, struct link *l, enum ship_redo_purpose purpose, incarnation_t inc,
               incarnation_t target)
{
    struct node_follow *f = &n->follow;
    struct ship_receive_options o = { .engine = n->engine,
                                      .sched = n->sched,
                                      .jobs = n->jobs,
                                      .link = l,
                                      .purpose = purpose,
                                      .inc = inc,
                                      .target = target,
                                      .accepts = purpose == SHIP_REDO_FOLLOW ? accepts : NULL,
                                      .on_end = receiver_ended,
                                      .arg = n };

    f->starting = true;
    f->ended = false;
    f->link = l;
    f->receiver = ship_receiver_start(&o);
    f->starting = false;
    fiber_queue_wake_all(&f->started);
    return f->receiver != NULL ? 0 : diag_last()->code;
}

void
node_receiver_drop(struct node *n)
{
    struct node_follow *f = &n->follow;
    struct ship_receiver *r;

    while (f->starting)
        fiber_queue_wait(&f->started);
    r = f->receiver;
    f->receiver = NULL;
    f->link = NULL;
    if (r != NULL)
        ship_receiver_stop(r);
}

/* The right receiver for what is followed now, and no other. */
void
node_receiver_keep(struct node *n)
{
    struct node_follow *f = &n->follow;
    struct node_peer *p = f->inc != 0 ? node_peer(n, f->from) : NULL;
    incarnation_t inc = f->inc;

    if (f->starting || n->task.busy || inc == 0)
        return; /* nobody is followed: whoever stopped it drops the receiver */
    if (f->receiver != NULL && (f->ended || p == NULL || f->link != p->link))
        node_receiver_drop(n);
    if (f->receiver != NULL || p == NULL || p->link == NULL || f->inc != inc ||
        env_boot_ns(n->env) < f->retry_ns)
        return;
    if (receiver_start(n, p->link, SHIP_REDO_FOLLOW, inc, inc) != 0) {
        log_diag(n->log, LOG_WARNING, "asking %s for redo", node_member_name(n, p->id));
        f->retry_ns = env_boot_ns(n->env) + RETRY_NS;
    } else if (f->inc != inc) {
        node_receiver_drop(n); /* stopped meanwhile */
    }
}

/* All that the peer's log holds on the way to `target` (FO-17). Parks. */
int
node_receive_tail(struct node *n, const struct node_peer *p, incarnation_t promised,
                  incarnation_t target)
{
    uint64_t heard = env_boot_ns(n->env);
    int rc;

    if (p->link == NULL)
        return DIAG(ERR_AGAIN, "the connection with %s is gone", node_member_name(n, p->id));
    n->task.tail_ended = false;
    rc = receiver_start(n, p->link, SHIP_REDO_TAIL, promised, target);
    while (rc == 0 && !n->task.tail_ended) {
        if (p->link != NULL)
            heard = link_heard_ns(p->link) > heard ? link_heard_ns(p->link) : heard;
        if (n->task.cancel || p->link != n->follow.link ||
            env_boot_ns(n->env) > heard + TAIL_SILENCE_NS)
            rc = DIAG(ERR_AGAIN, "the connection with %s is gone", node_member_name(n, p->id));
        else
            (void)fiber_queue_wait_us(&n->task.events, WAIT_STEP_US);
    }
    if (rc == 0)
        rc = n->task.tail_code;
    node_receiver_drop(n);
    return rc;
}
