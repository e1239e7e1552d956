/* Whom this node follows: finding the fork, cutting, taking frames; and what a candidate does
 * before it opens (FO-15, FO-17, FO-30).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "engine/lsm/lsm.h"
#include "engine/txn/follow.h"
#include "logship/ship_receive.h"
#include "logship/ship_send.h"
#include "node/node_int.h"
#include "standby/apply.h"

enum { ANSWER_WAIT_US = 3000000, WAIT_STEP_US = 100000, APPLY_LANES = 2 };

/* ---- jobs ---------------------------------------------------------------------------------------
 */

int
node_drain_applier(void *arg)
{
    struct node *n = arg;
    struct redo_pos end;
    int rc;

    if (n->follow.apply == NULL)
        return 0;
    rc = engine_log_end(n->engine, n->follow.target, &end);
    if (rc == 0)
        rc = apply_drain(n->follow.apply, end.lsn);
    apply_stop(n->follow.apply);
    n->follow.apply = NULL;
    return rc;
}

static int
follow_end(void *arg)
{
    engine_follow_stop(arg);
    return 0;
}

struct follow_job {
    struct node *node;
    incarnation_t target;
};

static int
follow_begin(void *arg)
{
    struct follow_job *j = arg;
    struct node_follow *f = &j->node->follow;
    struct apply_options o = { .lanes = APPLY_LANES };
    int rc = 0;

    if (f->apply != NULL && f->target != j->target)
        rc = node_drain_applier(j->node);
    if (rc == 0)
        rc = engine_follow_start(j->node->engine, j->target);
    if (rc != 0)
        return rc;
    f->is_live = true;
    f->target = j->target;
    if (f->apply == NULL)
        f->apply = apply_start(j->node->engine, j->target, &o);
    return 0;
}

struct cut_job {
    struct node *node;
    struct lineage lineage; /* a copy of the peer's */
    incarnation_t target;
    struct redo_pos at;
};

/* What the log holds is applied first: a cut goes back from there. */
static int
cut(void *arg)
{
    struct cut_job *j = arg;
    struct engine *e = j->node->engine;
    int rc;

    engine_follow_stop(e);
    rc = node_drain_applier(j->node);
    if (rc == 0)
        rc = engine_lineage_merge(e, &j->lineage, NULL);
    if (rc == 0)
        rc = engine_follow_cut(e, j->target, &j->at, NULL);
    return rc != 0 ? rc : follow_begin(&(struct follow_job){ j->node, j->target });
}

/* Parks. */
static int
cut_towards(struct node *n, const struct node_peer *p, incarnation_t target, struct redo_pos at)
{
    struct cut_job j = { .node = n, .target = target, .at = at };
    int rc;

    lineage_init(&j.lineage);
    lineage_copy(&j.lineage, &p->lineage);
    rc = job_run(n->jobs, cut, &j);
    lineage_fini(&j.lineage);
    return rc;
}

/* A reign that was recorded and never opened is what the role's state says, and the log knows
 * nothing of it: it still leads to the one before. */
incarnation_t
node_log_incarnation(struct node *n)
{
    incarnation_t follows = role_durable_state(n->role)->follows;
    struct lineage l;
    bool known;

    lineage_init(&l);
    lsm_lineage(engine_lsm(n->engine), &l);
    known = follows == 0 || lineage_find(&l, follows) != NULL;
    lineage_fini(&l);
    return known ? follows : engine_incarnation(n->engine);
}

/* ---- the fork -----------------------------------------------------------------------------------
 */

/* Copies of what the peer said: it may say more meanwhile. */
struct compare_job {
    struct node *node;
    struct lineage lineage;
    struct role_log log;
    incarnation_t own;
    struct lineage_fork fork;
    struct ship_located answer;
    struct redo_pos at;
};

static int
compare(void *arg)
{
    struct compare_job *j = arg;

    return ship_fork_compare(j->node->engine, j->own, &j->lineage, &j->log, &j->fork);
}

static int
confirm(void *arg)
{
    struct compare_job *j = arg;

    return ship_fork_confirm(j->node->engine, &j->fork, &j->answer, &j->at);
}

/* Waits for what the peer has to say; ERR_AGAIN when it does not come. Parks. */
static int
wait_hello(struct node *n, struct node_peer *p, incarnation_t inc)
{
    uint64_t until = env_boot_ns(n->env) + ANSWER_WAIT_US * 1000ull;

    while (p->link == NULL || !p->has_hello ||
           (inc != 0 && (p->hello.follows != inc || lineage_find(&p->lineage, inc) == NULL))) {
        if (n->task.cancel || env_boot_ns(n->env) > until)
            return DIAG(ERR_AGAIN, "%s has not told of incarnation %u yet",
                        node_member_name(n, p->id), inc);
        (void)fiber_queue_wait_us(&n->task.events, WAIT_STEP_US);
    }
    return 0;
}

static int
ask_located(struct node *n, struct node_peer *p, const struct lineage_fork *fork)
{
    uint64_t until = env_boot_ns(n->env) + ANSWER_WAIT_US * 1000ull;
    struct ship_locate q = { fork->inc, fork->lsn };
    struct writer w;
    int rc;

    if (p->link == NULL)
        return DIAG(ERR_AGAIN, "the connection with %s is gone", node_member_name(n, p->id));
    p->has_located = false;
    wr_init(&w, 64);
    ship_locate_encode(&w, &q);
    rc = link_send_wait(p->link, SHIP_LOCATE, wr_view(&w));
    wr_fini(&w);
    while (rc == 0 && !(p->has_located && p->located.asked.inc == q.inc &&
                        p->located.asked.lsn.v == q.lsn.v)) {
        if (n->task.cancel || p->link == NULL || env_boot_ns(n->env) > until)
            return DIAG(ERR_AGAIN, "%s has not answered where the logs part",
                        node_member_name(n, p->id));
        (void)fiber_queue_wait_us(&n->task.events, WAIT_STEP_US);
    }
    return rc;
}

/* Where the own log and the peer's part (FO-30): with the primary of `needs`, or, where that is 0,
 * with what the peer promised. Parks. */
static int
find_fork(struct node *n, struct node_peer *p, incarnation_t needs, struct redo_pos *at)
{
    struct compare_job j = { .node = n, .own = node_log_incarnation(n) };
    int rc = wait_hello(n, p, needs);

    lineage_init(&j.lineage);
    if (rc == 0) {
        lineage_copy(&j.lineage, &p->lineage);
        j.log = needs != 0 ? p->hello : p->log;
        rc = job_run(n->jobs, compare, &j);
    }
    if (rc == 0 && j.fork.inc != 0)
        rc = ask_located(n, p, &j.fork);
    j.answer = p->located;
    if (rc == 0)
        rc = job_run(n->jobs, confirm, &j);
    *at = j.at;
    lineage_fini(&j.lineage);
    return rc;
}

/* ---- ticketed actions, on their fiber -----------------------------------------------------------
 */

static void
task_follow(struct node *n, const struct role_action *a)
{
    struct node_peer *p = node_peer(n, a->to);
    struct redo_pos at = { 0 };
    int rc = p == NULL ? DIAG(ERR_AGAIN, "member %u is not known here", a->to)
                       : find_fork(n, p, a->inc, &at);

    if (rc != 0 && !n->task.cancel)
        log_diag(n->log, LOG_WARNING, "comparing logs with %s", node_member_name(n, a->to));
    n->task.fork = at;
    n->task.fork_inc = rc == 0 ? a->inc : 0;
    if (!n->task.cancel)
        role_on_fork(n->role, env_boot_ns(n->env), a->ticket, rc,
                     (struct role_pos){ at.inc, at.lsn, at.scn }, &n->pending);
}

static void
task_cut(struct node *n, const struct role_action *a)
{
    struct node_peer *p = node_peer(n, role_durable_state(n->role)->reg.primary);
    struct redo_pos at = n->task.fork;
    scn_t had = engine_newest_scn(n->engine);
    int rc = p == NULL || !p->has_hello || n->task.fork_inc != a->inc
                 ? DIAG(ERR_AGAIN, "the connection with the primary is gone")
                 : cut_towards(n, p, a->inc, at);

    if (rc == 0 && had > at.scn)
        log_warning(n->log,
                    "SCN %" PRIu64 " to %" PRIu64 " are not in incarnation %u: they are kept as an "
                    "orphan branch (redoubt branches)",
                    at.scn + 1, had, a->inc);
    if (rc != 0)
        log_diag(n->log, LOG_WARNING, "following incarnation %u", a->inc);
    else
        log_notice(n->log, "follows incarnation %u from LSN %" PRIu64 ", SCN %" PRIu64 " on",
                   a->inc, at.lsn.v, at.scn);
    node_tell_log(n);
    role_on_cut(n->role, env_boot_ns(n->env), a->ticket, rc, &n->pending);
    node_peers_greet(n);
}

static int
stop_writing(void *arg)
{
    struct node *n = arg;

    engine_close_write(n->engine);
    return 0;
}

/* FO-17: the redo of another member, cutting off what it does not have. */
static int
fetch_tail(struct node *n, const struct role_action *a)
{
    struct node_peer *p = node_peer(n, a->to);
    struct redo_pos at;
    incarnation_t target;
    int rc =
        p == NULL ? DIAG(ERR_AGAIN, "member %u is not known here", a->to) : find_fork(n, p, 0, &at);

    if (rc != 0)
        return rc;
    target = p->log.follows;
    rc = cut_towards(n, p, target, at);
    if (rc == 0)
        rc = node_receive_tail(n, p, a->inc, target);
    return rc;
}

static void
task_prepare(struct node *n, const struct role_action *a)
{
    struct role_pos end = { 0 };
    struct redo_pos pos = { 0 };
    int rc = job_run(n->jobs, stop_writing, n);

    if (rc == 0 && a->to != 0 && a->to != n->self)
        rc = fetch_tail(n, a);
    if (rc == 0)
        rc = job_run(n->jobs, follow_end, n->engine);
    n->follow.is_live = false;
    if (rc == 0)
        rc = job_run(n->jobs, node_drain_applier, n);
    if (rc == 0)
        rc = engine_end_of_log(n->engine, &pos);
    if (rc != 0 && !n->task.cancel)
        log_diag(n->log, LOG_WARNING, "preparing to open as incarnation %u", a->inc);
    end = (struct role_pos){ engine_incarnation(n->engine), pos.lsn, engine_newest_scn(n->engine) };
    node_tell_log(n);
    role_on_prepared(n->role, env_boot_ns(n->env), a->ticket, rc, end, &n->pending);
}

struct drain_job {
    struct node *node;
    struct redo_pos end;
};

/* Commits wait; what was given an SCN before they did is in the redo. */
static int
drain(void *arg)
{
    struct drain_job *j = arg;
    struct redo *redo = engine_redo(j->node->engine);
    int rc;

    rc = engine_end_of_log(j->node->engine, &j->end);
    while (rc == 0 && !j->node->task.cancel && lsn_lt(redo_durable(redo), j->end.lsn))
        env_sleep_us(j->node->env, 1000);
    return rc;
}

static void
task_drain(struct node *n, const struct role_action *a)
{
    struct drain_job j = { .node = n };
    int rc = job_run(n->jobs, drain, &j);

    node_tell_log(n);
    role_on_drained(n->role, env_boot_ns(n->env), a->ticket, rc, j.end.lsn, &n->pending);
}

/* Nothing is told when it is done: the node is opened anew, with the copy. */
static void
task_base_copy(struct node *n, const struct role_action *a)
{
    int rc = node_reseed_copy(n, a->to);

    if (rc == 0 && !n->task.cancel) {
        atomic_store(&n->reseed.is_ready, true);
        return;
    }
    if (n->task.cancel)
        return;
    log_diag(n->log, LOG_WARNING, "taking a base copy");
    role_on_cut(n->role, env_boot_ns(n->env), a->ticket, rc, &n->pending);
}

static void
task_main(void *arg)
{
    struct node *n = arg;
    const struct role_action *a = &n->task.action;

    if (a->type == ROLE_ACT_FOLLOW)
        task_follow(n, a);
    else if (a->type == ROLE_ACT_CUT)
        task_cut(n, a);
    else if (a->type == ROLE_ACT_PREPARE)
        task_prepare(n, a);
    else if (a->type == ROLE_ACT_DRAIN)
        task_drain(n, a);
    else if (a->type == ROLE_ACT_BASE_COPY)
        task_base_copy(n, a);
    n->task.busy = false;
    fiber_queue_wake_all(&n->task.idle);
    node_act_soon(n);
    node_fiber_end(n);
}

void
node_task_start(struct node *n, const struct role_action *a)
{
    while (n->task.busy)
        fiber_queue_wait(&n->task.idle);
    n->task.action = *a;
    n->task.busy = true;
    n->task.cancel = false;
    node_fiber_start(n, "role task", task_main, n);
}

void
node_task_stop(struct node *n)
{
    n->task.cancel = true;
    fiber_queue_wake_all(&n->task.events);
    node_reseed_cancel(n);
    while (n->task.busy)
        fiber_queue_wait(&n->task.idle);
    atomic_store(&n->reseed.is_ready, false);
}

/* ---- acknowledging ------------------------------------------------------------------------------
 */

void
node_acknowledge(struct node *n, const struct role_action *a)
{
    struct node_follow *f = &n->follow;
    struct follow_job j = { n, a->inc };

    if (!f->is_live || f->target != a->inc || f->apply == NULL) {
        int rc = job_run(n->jobs, follow_begin, &j);

        if (rc != 0) {
            log_diag(n->log, LOG_ERROR, "cannot follow incarnation %u", a->inc);
            return;
        }
    }
    if (f->inc == 0)
        f->retry_ns = 0; /* an earlier refusal was about something else */
    f->from = a->to;
    f->inc = a->inc;
    fiber_queue_wake_all(&n->peer_work);
}

/* R3. The receiver's fibers may wait for room in the log: they are let go first. */
void
node_stop_following(struct node *n)
{
    node_task_stop(n);
    n->follow.inc = 0;
    n->follow.from = 0;
    if (n->follow.receiver != NULL)
        ship_receiver_link_down(n->follow.receiver);
    if (job_run(n->jobs, follow_end, n->engine) != 0)
        diag_clear();
    n->follow.is_live = false;
    node_receiver_drop(n);
}

void
node_stop_applying(struct node *n)
{
    struct node_follow *f = &n->follow;

    if (f->apply != NULL && job_run(n->jobs, node_drain_applier, n) != 0)
        log_diag(n->log, LOG_WARNING, "applying what the log holds");
}
