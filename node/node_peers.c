/* Links to the other members: who dials whom, HELLO, messages of roles, acknowledgements.
 *
 * Of two members the one with the lower id dials. A link that comes up in place of another ends
 * that one.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/lsm/lsm.h"
#include "logship/ship_receive.h"
#include "logship/ship_send.h"
#include "node/node_int.h"

enum { PEERS_TICK_US = 250000, NODE_FIBER_STACK = 256 << 10 };

void
node_fiber_start(struct node *n, const char *name, void (*fn)(void *arg), void *arg)
{
    n->fibers++;
    fiber_start(n->sched, name, NODE_FIBER_STACK, fn, arg);
}

void
node_fiber_end(struct node *n)
{
    n->fibers--;
    fiber_queue_wake_all(&n->fibers_gone);
}

struct node_peer *
node_peer(struct node *n, member_id_t id)
{
    for (int i = 0; i < NODE_PEERS_MAX; i++)
        if (n->peers[i].id == id && id != 0)
            return &n->peers[i];
    return NULL;
}

bool
node_is_linked(struct node *n)
{
    struct node_peer *p = node_peer(n, role_durable_state(n->role)->reg.primary);

    return p != NULL && p->link != NULL;
}

const char *
node_member_name(struct node *n, member_id_t id)
{
    return register_member_name(&role_durable_state(n->role)->reg, id);
}

static struct node_peer *
peer_place(struct node *n, member_id_t id)
{
    struct node_peer *p = node_peer(n, id);

    for (int i = 0; p == NULL && i < NODE_PEERS_MAX; i++)
        if (n->peers[i].id == 0)
            p = &n->peers[i];
    if (p != NULL && p->id == 0) {
        *p = (struct node_peer){ .node = n, .id = id };
        lineage_init(&p->lineage);
    }
    return p;
}

void
node_peers_greet(struct node *n)
{
    for (int i = 0; i < NODE_PEERS_MAX; i++)
        n->peers[i].greet = n->peers[i].link != NULL;
    fiber_queue_wake_all(&n->peer_work);
}

void
node_peers_changed(struct node *n)
{
    fiber_queue_wake_all(&n->peer_work);
}

/* ---- HELLO --------------------------------------------------------------------------------------
 */

struct hello_job {
    struct node *node;
    incarnation_t follows;
    struct ship_hello hello;
    struct writer lineage;
};

static int
fill_hello(void *arg)
{
    struct hello_job *j = arg;

    return ship_hello_fill(j->node->engine, j->follows, &j->hello, &j->lineage);
}

static void
send_hello(struct node *n, struct node_peer *p)
{
    const struct role_durable *d = role_durable_state(n->role);
    struct hello_job j = { .node = n, .follows = node_log_incarnation(n) };
    struct writer w;
    int rc;

    p->greet = false;
    j.hello.promised = d->promised;
    j.hello.reg = d->reg;
    j.hello.log = role_log_now(n->role);
    rc = job_run(n->jobs, fill_hello, &j);
    wr_init(&w, ship_type_limit(SHIP_HELLO));
    if (rc == 0) {
        ship_hello_encode(&w, &j.hello);
        rc = wr_finish(&w);
    }
    if (rc == 0 && p->link != NULL)
        rc = link_send_wait(p->link, SHIP_HELLO, wr_view(&w));
    if (rc != 0 && rc != ERR_STOPPED)
        log_diag(n->log, LOG_WARNING, "greeting %s", node_member_name(n, p->id));
    wr_fini(&w);
    wr_fini(&j.lineage);
}

static int
on_hello(struct node *n, struct node_peer *p, struct slice body)
{
    struct ship_hello hello;
    struct reader r;
    int rc = ship_hello_decode(body, &hello);

    if (rc != 0)
        return rc;
    rd_init(&r, hello.lineage.data, hello.lineage.size);
    rc = lineage_decode(&r, &p->lineage);
    p->has_hello = rc == 0;
    p->hello = hello.log;
    fiber_queue_wake_all(&n->task.events);
    return rc;
}

/* ---- roles --------------------------------------------------------------------------------------
 */

struct log_job {
    struct engine *engine;
    struct role_log *log;
};

static int
fill_log(void *arg)
{
    struct log_job *j = arg;

    return ship_log_fill(j->engine, j->log->follows, j->log);
}

void
node_send_role(struct node *n, const struct role_action *a)
{
    struct node_peer *p = node_peer(n, a->to);
    struct role_message *m = a->message;

    if (p == NULL || p->link == NULL)
        return; /* a message that is lost, which the protocol allows */
    if (role_message_has_log(m->type)) {
        m->log = role_log_now(n->role);
        m->log.follows = node_log_incarnation(n);
        if (job_run(n->jobs, fill_log, &(struct log_job){ n->engine, &m->log }) != 0) {
            log_diag(n->log, LOG_ERROR, "cannot tell where the log ends");
            return;
        }
    }
    if (p->id == a->to && p->link != NULL && link_send_role(p->link, m) != 0)
        diag_clear();
}

static int
on_role_message(struct node *n, struct node_peer *p, const struct ship_header *h, struct slice body)
{
    struct role_message m;
    int rc = role_message_decode((enum role_message_type)h->type, body, &m);

    if (rc != 0)
        return rc;
    m.from = p->id;
    m.sender_boot = h->boot;
    m.database_id = h->database_id;
    if (role_message_has_log(m.type))
        p->log = m.log;
    if (m.type == ROLE_MSG_STAND)
        node_tell_log(n);
    if (m.type == ROLE_MSG_HEARTBEAT && m.from == role_durable_state(n->role)->reg.primary &&
        m.inc == role_durable_state(n->role)->reg.key.inc)
        node_heard_published(n, m.published_scn, m.lsn);
    role_on_message(n->role, env_boot_ns(n->env), &m, &n->pending);
    node_act_soon(n);
    return 0;
}

static int
on_ack(struct node *n, struct node_peer *p, struct slice body)
{
    struct ship_ack ack;
    struct gate_ack g;
    uint64_t now = env_boot_ns(n->env);
    int rc = ship_ack_decode(body, &ack);

    if (rc != 0)
        return rc;
    g = (struct gate_ack){ p->id, ack.inc, ack.received, ack.durable, ack.applied };
    destinations_ack(n->destinations, p->id, &ack, now);
    node_gate_acks(n);
    role_on_ack(n->role, now, &g, &n->pending);
    if (n->pending.count > 0)
        node_act_soon(n);
    return 0;
}

/* ---- the handler of links ----------------------------------------------------------------------
 */

static void
peer_up(void *arg, struct link *l)
{
    struct node *n = arg;
    struct node_peer *p = peer_place(n, link_peer_id(l));

    link_set_context(l, NULL);
    if (p == NULL || p->id == n->self) {
        link_close(l, ERR_LIMIT, "this node has no place for another member");
        return;
    }
    if (p->link != NULL)
        link_close(p->link, ERR_STOPPED, "another connection has taken its place");
    if (p->sender != NULL)
        ship_sender_stop(p->sender);
    p->sender = NULL;
    p->link = l;
    p->has_hello = false;
    p->greet = true;
    link_set_context(l, p);
    log_notice(n->log, "connected with %s (%s)", node_member_name(n, p->id), link_peer_address(l));
    destinations_link(n->destinations, p->id, true, env_boot_ns(n->env));
    role_on_link(n->role, env_boot_ns(n->env), p->id, true, &n->pending);
    fiber_queue_wake_all(&n->peer_work);
    node_act_soon(n);
}

static void
peer_down(void *arg, struct link *l, int code)
{
    struct node *n = arg;
    struct node_peer *p = link_context(l);

    while (n->follow.starting && n->follow.link == l) /* a receiver that cannot be told yet */
        fiber_queue_wait(&n->follow.started);
    if (n->follow.receiver != NULL && n->follow.link == l) {
        ship_receiver_link_down(n->follow.receiver);
        n->follow.ended = true; /* the next link may lie where this one lay */
    }
    if (p == NULL || p->link != l)
        return;
    p->link = NULL;
    p->has_hello = false;
    if (p->sender != NULL)
        ship_sender_stop(p->sender);
    p->sender = NULL;
    log_notice(n->log, "connection with %s has ended (%s)", node_member_name(n, p->id),
               err_name(code));
    destinations_link(n->destinations, p->id, false, env_boot_ns(n->env));
    role_on_link(n->role, env_boot_ns(n->env), p->id, false, &n->pending);
    fiber_queue_wake_all(&n->peer_work);
    fiber_queue_wake_all(&n->task.events);
    node_act_soon(n);
}

static int
on_redo(struct node *n, struct link *l, const struct ship_header *h, struct slice body)
{
    struct node_follow *f = &n->follow;

    if (f->receiver == NULL || f->link != l)
        return 0;
    return ship_receiver_on_message(f->receiver, h, body);
}

/* dispatch */
static int
peer_message(void *arg, struct link *l, const struct ship_header *h, struct slice body)
{
    struct node *n = arg;
    struct node_peer *p = link_context(l);
    int rc;

    if (p == NULL || p->link != l || n->stopping)
        return 0;
    switch (h->type) {
    case SHIP_HELLO:
        return on_hello(n, p, body);
    case SHIP_ACK:
        return on_ack(n, p, body);
    case SHIP_REDO:
    case SHIP_POINTER:
    case SHIP_REDO_END:
        return on_redo(n, l, h, body);
    case SHIP_REDO_REQUEST:
        return node_serve_redo(n, l, body, &p->sender);
    case SHIP_LOCATE:
        return ship_answer_locate(n->engine, n->jobs, l, body);
    case SHIP_LOCATED:
        rc = ship_located_decode(body, &p->located);
        p->has_located = rc == 0;
        fiber_queue_wake_all(&n->task.events);
        return rc;
    default:
        if (h->type >= SHIP_HEARTBEAT && h->type <= SHIP_RELEASE)
            return on_role_message(n, p, h, body);
        return DIAG(ERR_PROTOCOL, "a member does not send messages of type %s",
                    ship_type_name(h->type));
    }
}

static struct link_handler
peer_handler(struct node *n)
{
    return (struct link_handler){ peer_up, peer_message, peer_down, n };
}

/* ---- dialling -----------------------------------------------------------------------------------
 */

static void
stop_dial(struct node_peer *p)
{
    struct link_dial *d = p->dial;

    p->dial = NULL;
    if (d != NULL)
        link_dial_stop(d);
}

/* Its place is free for another once nothing holds on to it. */
static void
let_go(struct node *n, struct node_peer *p)
{
    stop_dial(p);
    if (p->link != NULL && role_durable_state(n->role)->reg.primary != 0)
        link_close(p->link, ERR_ROLE, "this member is not in the configuration");
    if (p->link == NULL && p->sender == NULL && !n->task.busy) {
        lineage_fini(&p->lineage);
        p->id = 0;
    }
}

/* As the register has it: members come, go, and move. */
static void
sync_dials(struct node *n)
{
    struct role_register reg = role_durable_state(n->role)->reg;
    struct link_handler handler = peer_handler(n);
    member_id_t ids[GATE_MEMBERS_MAX];
    bool promotable[GATE_MEMBERS_MAX];
    uint32_t count = 0;
    bool moved = node_has_moved(n); /* then nobody finds this node: it dials everybody */

    for (int i = 0; i < NODE_PEERS_MAX; i++) {
        if (n->peers[i].id != 0 && register_member(&reg, n->peers[i].id) == NULL)
            let_go(n, &n->peers[i]);
    }
    for (uint32_t i = 0; i < reg.member_count; i++) {
        const struct register_member *m = &reg.members[i];
        struct node_peer *p;

        if (m->id == n->self)
            continue;
        ids[count] = m->id;
        promotable[count++] = m->listed;
        p = peer_place(n, m->id);
        if (p != NULL && m->id < n->self && !moved && p->dial != NULL)
            stop_dial(p);
        if (p == NULL || (m->id < n->self && !moved))
            continue;
        if (p->dial != NULL && strcmp(p->address, m->guard) != 0)
            stop_dial(p);
        if (p->dial == NULL && !n->stopping) {
            snprintf(p->address, sizeof p->address, "%s", m->guard);
            p->dial = link_dial_start(n->hub, m->guard, m->id, SHIP_PEER, &handler);
        }
    }
    destinations_set(n->destinations, ids, promotable, count);
}

void
node_peers_main(void *arg)
{
    struct node *n = arg;

    while (!n->stopping) {
        sync_dials(n);
        for (int i = 0; i < NODE_PEERS_MAX && !n->stopping; i++)
            if (n->peers[i].greet && n->peers[i].link != NULL)
                send_hello(n, &n->peers[i]);
        node_receiver_keep(n);
        node_move_keep(n);
        node_promote(n);
        if (!n->stopping)
            (void)fiber_queue_wait_us(&n->peer_work, PEERS_TICK_US);
    }
    node_fiber_end(n);
}

/* ---- from start to end --------------------------------------------------------------------------
 */

void
node_peers_start(struct node *n)
{
    struct link_handler handlers[SHIP_JOINING + 1] = { 0 };
    struct link_options o = {
        .sched = n->sched,
        .env = n->env,
        .log = n->log,
        .key = n->key,
        .database_id = engine_database_id(n->engine),
        .self = n->self,
        .boot_id = n->boot_id,
        .heartbeat_ms = (uint32_t)n->conf->guard_heartbeat_ms,
        .net_timeout_ms = (uint32_t)n->conf->guard_net_timeout_ms,
        .backoff_max_ms = 1000,
        /* Frames in a queue hold their memory, of which the log needs to go on. */
        .queue_bytes_max = (size_t)n->conf->redo_ring,
    };

    snprintf(o.name, sizeof o.name, "%s", n->conf->name);
    n->hub = link_hub_new(&o);
    handlers[SHIP_PEER] = peer_handler(n);
    node_serve_commands(n, &handlers[SHIP_COMMAND_LINE]);
    node_serve_joining(n, &handlers[SHIP_JOINING]);
    link_hub_listen(n->hub, n->guard_listener, handlers);
    n->guard_listener = NULL;
}

void
node_peers_stop(struct node *n)
{
    fiber_queue_wake_all(&n->peer_work);
    fiber_queue_wake_all(&n->pointer_work);
    fiber_queue_wake_all(&n->move.news);
    for (int i = 0; i < NODE_PEERS_MAX; i++)
        n->peers[i].dial = NULL; /* the hub ends them */
    if (n->hub != NULL)
        link_hub_free(n->hub);
    n->hub = NULL;
    node_receiver_drop(n);
    while (n->fibers > 0)
        (void)fiber_queue_wait_us(&n->fibers_gone, PEERS_TICK_US);
    for (int i = 0; i < NODE_PEERS_MAX; i++)
        if (n->peers[i].id != 0)
            lineage_fini(&n->peers[i].lineage);
}
