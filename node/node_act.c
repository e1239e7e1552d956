/* Carrying out what the role machine wants: one action after the other, on one fiber of the guard
 * thread (rules R1 to R8 of role.h).
 *
 * What needs another member's answer runs on a fiber of its own (node_follow.c).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "engine/lsm/lsm.h"
#include "engine/redo/redo.h"
#include "engine/txn/follow.h"
#include "node/node_int.h"

/* ---- jobs: what blocks runs beside the guard thread ---------------------------------------------
 */

struct persist_job {
    struct node *node;
    const struct role_durable *durable;
};

static int
persist(void *arg)
{
    struct persist_job *j = arg;
    struct writer w;
    int rc;

    wr_init(&w, 0);
    role_durable_encode(&w, j->durable);
    rc = manifest_put_blob(lsm_manifest(engine_lsm(j->node->engine)), NODE_ROLE_BLOB,
                           j->durable->sequence, wr_view(&w));
    wr_fini(&w);
    return rc;
}

struct open_job {
    struct node *node;
    const struct role_action *action;
};

/* The first reign of a new database writes the catalogue's first rows. New is one without a commit:
 * what a restarted node has committed may not be visible yet. */
static int
bootstrap_if_new(struct node *n)
{
    struct commit_token token;
    struct txn *t;
    int rc;

    if (engine_newest_scn(n->engine) != 0)
        return 0;
    t = txn_new(n->engine);
    rc = txn_begin(t, TXN_READ_COMMITTED, false);
    if (rc == 0)
        rc = txn_statement_begin(t);
    if (rc == 0) {
        rc = catalog_bootstrap(n->catalog, t, "redoubt");
        txn_statement_end(t);
    }
    if (rc == 0)
        rc = txn_commit(t, &token);
    txn_free(t);
    return rc;
}

static int
open_reign(void *arg)
{
    struct open_job *j = arg;
    struct node *n = j->node;
    int rc;

    if (j->action->in_office)
        engine_close_write(n->engine);
    rc = engine_open_write(n->engine, j->action->inc, j->action->reign_id);
    return rc != 0 ? rc : bootstrap_if_new(n);
}

static int
close_writers(void *arg)
{
    struct node *n = arg;

    engine_close_write(n->engine);
    sql_engine_role_changed(n->sql);
    server_demoted(n->server);
    return 0;
}

/* ---- the log, as the machine sees it
 * ------------------------------------------------------------- */

void
node_tell_log(struct node *n)
{
    struct role_ends ends = { 0 };
    struct redo_pos end;

    if (engine_end_of_log(n->engine, &end) != 0) {
        log_diag(n->log, LOG_ERROR, "cannot tell where the log ends");
        return;
    }
    ends.end = ends.durable = ends.applied = end.lsn;
    ends.end_scn = end.scn;
    if (!engine_is_writable(n->engine)) {
        ends.applied = engine_applied(n->engine);
        if (n->follow.is_live)
            ends.durable = redo_durable(engine_redo(n->engine));
    } else {
        ends.durable = redo_durable(engine_redo(n->engine));
        destinations_log(n->destinations, end.lsn, env_boot_ns(n->env));
    }
    ends.published = engine_published_lsn(n->engine);
    ends.published_scn = engine_visible_scn(n->engine);
    if (ends.published_scn == end.scn && ends.applied.v == end.lsn.v)
        ends.published = end.lsn;
    role_on_log(n->role, env_boot_ns(n->env), &ends, &n->pending);
}

/* ---- one action
 * ----------------------------------------------------------------------------------- */

static void
act_persist(struct node *n, const struct role_action *a)
{
    struct persist_job job = { n, a->durable };

    if (job_run(n->jobs, persist, &job) != 0)
        PANIC("the role's state cannot be made durable: %s", diag_last()->message);
}

/* Clients hear that this node takes writes once it shows all that was committed before: not before
 * the gate has let that through. */
void
node_promote(struct node *n)
{
    if (!n->is_promoting || !engine_is_open(n->engine))
        return;
    n->is_promoting = false;
    server_promoted(n->server);
}

static void
act_open(struct node *n, const struct role_action *a)
{
    struct open_job job = { n, a };
    int rc;

    node_stop_following(n);
    node_stop_applying(n);
    engine_hold_commits(n->engine, false);
    rc = job_run(n->jobs, open_reign, &job);
    if (rc != 0)
        log_diag(n->log, LOG_ERROR, "cannot open for writing");
    else
        log_notice(n->log, "open for writing as incarnation %u", a->inc);
    node_tell_log(n);
    if (rc == 0) {
        sql_engine_role_changed(n->sql);
        n->is_promoting = true;
        node_promote(n);
    }
    role_on_opened(n->role, env_boot_ns(n->env), a->ticket, rc, &n->pending);
    node_peers_greet(n);
}

static void
act_gate(struct node *n, const struct role_action *a)
{
    struct lsn acknowledged;

    node_gate_set(n, &a->gate, &acknowledged);
    server_replies_wake(n->server);
    role_on_gate(n->role, env_boot_ns(n->env), a->gate.seq, acknowledged, &n->pending);
}

static void
act_note(struct node *n, const struct role_action *a)
{
    static const enum log_level levels[] = {
        [ROLE_INFO] = LOG_NOTICE, [ROLE_WARNING] = LOG_WARNING, [ROLE_ALARM] = LOG_ERROR
    };

    log_at(n->log, levels[a->level], "%s", a->text);
}

/* The fiber that carries actions out must not stop for what needs another member. */
static void
act_stop(struct node *n, bool writers)
{
    node_stop_following(n);
    if (writers) {
        node_serve_stop(n);
        (void)job_run(n->jobs, close_writers, n);
        engine_hold_commits(n->engine, false);
    }
    node_tell_log(n);
}

/* dispatch */
static void
act(struct node *n, const struct role_action *a)
{
    switch (a->type) {
    case ROLE_ACT_PERSIST:
        act_persist(n, a);
        break;
    case ROLE_ACT_GATE:
        act_gate(n, a);
        break;
    case ROLE_ACT_OPEN:
        act_open(n, a);
        break;
    case ROLE_ACT_CLOSE_WRITERS:
    case ROLE_ACT_STOP_FOLLOWING:
        act_stop(n, a->type == ROLE_ACT_CLOSE_WRITERS);
        break;
    case ROLE_ACT_DRAIN:
        engine_hold_commits(n->engine, true); /* here, so that UNDRAIN comes after it */
        node_task_start(n, a);
        break;
    case ROLE_ACT_PREPARE:
    case ROLE_ACT_FOLLOW:
    case ROLE_ACT_CUT:
    case ROLE_ACT_BASE_COPY:
        node_task_start(n, a);
        break;
    case ROLE_ACT_UNDRAIN:
        engine_hold_commits(n->engine, false);
        break;
    case ROLE_ACT_ACKNOWLEDGE:
        node_acknowledge(n, a);
        break;
    case ROLE_ACT_SEND:
        node_send_role(n, a);
        break;
    case ROLE_ACT_REPLY:
        node_command_ended(n, a);
        act_note(n, a);
        break;
    case ROLE_ACT_NOTE:
        act_note(n, a);
        break;
    case ROLE_ACT_COUNT:
        break;
    }
}

/* ---- the fiber
 * ------------------------------------------------------------------------------------- */

/* The log is looked at so often while nothing else happens (R6). */
enum { LOG_LOOK_US = 50000 };

static uint64_t
time_to_tick(struct node *n)
{
    uint64_t now = env_boot_ns(n->env), next = role_next_tick_ns(n->role);
    uint64_t us = next <= now ? 0 : (next - now) / 1000 + 1;

    return us < LOG_LOOK_US ? us : LOG_LOOK_US;
}

void
node_act_soon(struct node *n)
{
    fiber_queue_wake_all(&n->work);
}

/* Actions are taken off one by one; what they cause is queued behind (R1). */
static void
carry_out(struct node *n, struct role_actions *now)
{
    while (n->pending.count > 0 && !n->stopping) {
        struct role_actions taken = n->pending;

        n->pending = *now; /* empty; what is caused meanwhile gathers there */
        *now = taken;
        for (uint32_t i = 0; i < now->count; i++) {
            act(n, &now->items[i]);
            node_publish_status(n);
        }
        role_actions_clear(now);
        node_peers_changed(n);
    }
}

void
node_actor(void *arg)
{
    struct node *n = arg;
    struct role_actions now;

    role_actions_init(&now);
    node_peers_start(n);
    node_tell_log(n);
    role_start(n->role, env_boot_ns(n->env), &n->pending);
    while (!n->stopping) {
        uint64_t wait;

        carry_out(n, &now);
        wait = time_to_tick(n);
        if (wait > 0 && n->pending.count == 0)
            (void)fiber_queue_wait_us(&n->work, wait);
        node_tell_log(n);
        role_on_tick(n->role, env_boot_ns(n->env), &n->pending);
        node_publish_status(n);
    }
    n->reseed.install = atomic_load(&n->reseed.is_ready);
    node_stop_following(n);
    node_serve_stop(n);
    node_peers_stop(n);
    node_stop_applying(n);
    role_actions_fini(&now);
    sched_stop(n->sched);
}
