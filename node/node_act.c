/* Carrying out what the role machine wants: one action after the other, on one fiber of the guard
 * thread (rules R1 to R8 of role.h).
 *
 * What needs another member (following, copying) has nobody to talk to yet: see the room's limits.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "engine/lsm/lsm.h"
#include "engine/redo/redo.h"
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

/* The first reign of a new database writes the catalogue's first rows. */
static int
bootstrap_if_new(struct node *n)
{
    struct txn *t = txn_new(n->engine);
    struct commit_token token;
    oid_t oid;
    int rc = txn_begin(t, TXN_READ_COMMITTED, false);

    if (rc == 0)
        rc = txn_statement_begin(t);
    if (rc == 0)
        rc = cat_find_database(n->catalog, t, slice_str("redoubt"), &oid);
    if (rc == ERR_NOT_FOUND) {
        rc = catalog_bootstrap(n->catalog, t, "redoubt");
        txn_statement_end(t);
        if (rc == 0)
            rc = txn_commit(t, &token);
    }
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

static void
tell_log(struct node *n)
{
    struct role_ends ends = { 0 };
    struct redo_pos end;

    if (engine_end_of_log(n->engine, &end) != 0) {
        log_diag(n->log, LOG_ERROR, "cannot tell where the log ends");
        return;
    }
    ends.end = ends.durable = ends.applied = end.lsn;
    ends.end_scn = end.scn;
    ends.published_scn = engine_visible_scn(n->engine);
    ends.published = ends.published_scn == end.scn ? end.lsn : lsn_make(0);
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

static void
act_open(struct node *n, const struct role_action *a)
{
    struct open_job job = { n, a };
    int rc = job_run(n->jobs, open_reign, &job);

    if (rc != 0)
        log_diag(n->log, LOG_ERROR, "cannot open for writing");
    else
        log_notice(n->log, "open for writing as incarnation %u", a->inc);
    tell_log(n);
    if (rc == 0) {
        sql_engine_role_changed(n->sql);
        server_promoted(n->server);
    }
    role_on_opened(n->role, env_boot_ns(n->env), a->ticket, rc, &n->pending);
}

static void
act_prepare(struct node *n, const struct role_action *a)
{
    struct role_pos end = { 0 };
    struct redo_pos pos;
    int rc = engine_end_of_log(n->engine, &pos);

    if (rc == 0 && a->to != 0 && a->to != n->self)
        rc = DIAG(ERR_NOT_SUPPORTED, "fetching redo from another member is not supported yet");
    if (rc == 0)
        end = (struct role_pos){ engine_incarnation(n->engine), pos.lsn,
                                 engine_newest_scn(n->engine) };
    role_on_prepared(n->role, env_boot_ns(n->env), a->ticket, rc, end, &n->pending);
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

static void
act_drain(struct node *n, const struct role_action *a)
{
    (void)DIAG(ERR_NOT_SUPPORTED, "switchover is not supported yet");
    role_on_drained(n->role, env_boot_ns(n->env), a->ticket, ERR_NOT_SUPPORTED, lsn_make(0),
                    &n->pending);
}

/* dispatch */
static void
act(struct node *n, const struct role_action *a)
{
    uint64_t now = env_boot_ns(n->env);

    switch (a->type) {
    case ROLE_ACT_PERSIST:
        act_persist(n, a);
        break;
    case ROLE_ACT_GATE:
        act_gate(n, a);
        break;
    case ROLE_ACT_PREPARE:
        act_prepare(n, a);
        break;
    case ROLE_ACT_OPEN:
        act_open(n, a);
        break;
    case ROLE_ACT_CLOSE_WRITERS:
        (void)job_run(n->jobs, close_writers, n);
        tell_log(n);
        break;
    case ROLE_ACT_STOP_FOLLOWING:
        tell_log(n);
        break;
    case ROLE_ACT_DRAIN:
        act_drain(n, a);
        break;
    case ROLE_ACT_FOLLOW:
        role_on_fork(n->role, now, a->ticket, ERR_NOT_SUPPORTED, (struct role_pos){ 0 },
                     &n->pending);
        break;
    case ROLE_ACT_CUT:
    case ROLE_ACT_BASE_COPY:
        role_on_cut(n->role, now, a->ticket, ERR_NOT_SUPPORTED, &n->pending);
        break;
    case ROLE_ACT_NOTE:
    case ROLE_ACT_REPLY:
        act_note(n, a);
        break;
    case ROLE_ACT_SEND: /* nobody is linked: a message that is lost, which the protocol allows */
    case ROLE_ACT_ACKNOWLEDGE:
    case ROLE_ACT_UNDRAIN:
    case ROLE_ACT_COUNT:
        break;
    }
}

/* ---- the fiber
 * ------------------------------------------------------------------------------------- */

static uint64_t
time_to_tick(struct node *n)
{
    uint64_t now = env_boot_ns(n->env), next = role_next_tick_ns(n->role);

    return next <= now ? 0 : (next - now) / 1000 + 1;
}

/* Actions are taken off one by one; what they cause is queued behind (R1). */
void
node_actor(void *arg)
{
    struct node *n = arg;
    struct role_actions now;

    role_actions_init(&now);
    tell_log(n);
    role_start(n->role, env_boot_ns(n->env), &n->pending);
    while (!n->stopping) {
        uint64_t wait;

        while (n->pending.count > 0 && !n->stopping) {
            struct role_actions taken = n->pending;

            n->pending = now; /* empty; what is caused meanwhile gathers there */
            now = taken;
            for (uint32_t i = 0; i < now.count; i++) {
                act(n, &now.items[i]);
                node_publish_status(n);
            }
            role_actions_clear(&now);
        }
        wait = time_to_tick(n);
        if (wait > 0)
            (void)fiber_queue_wait_us(&n->work, wait);
        role_on_tick(n->role, env_boot_ns(n->env), &n->pending);
        node_publish_status(n);
    }
    role_actions_fini(&now);
    sched_stop(n->sched);
}
