/* What the files of a node share.
 *
 * Fields belong to the guard thread unless a comment says otherwise.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef NODE_NODE_INT_H
#define NODE_NODE_INT_H

#include <stdatomic.h>

#include "conf/conf.h"
#include "engine/base/env.h"
#include "engine/base/fiber.h"
#include "engine/base/log.h"
#include "engine/catalog/catalog.h"
#include "engine/engine.h"
#include "engine/redo/lineage.h"
#include "engine/redo/redo.h"
#include "engine/server/server.h"
#include "engine/sql/session.h"
#include "logship/link.h"
#include "node/node.h"
#include "node/role.h"
#include "primary/destinations.h"
#include "primary/gate.h"

struct apply;
struct node;
struct ship_receiver;
struct ship_sender;
struct ship_base_copy;
struct ship_base_source;

enum { NODE_PATH_MAX = 512, NODE_ACTIONS_MAX = 1024, NODE_PEERS_MAX = REGISTER_MEMBERS_MAX };
#define NODE_ROLE_BLOB "role"

/* The commit gate in force. Log threads ask it, the guard thread sets it. */
struct node_gate {
    struct env_mutex mutex; /* for all below */
    struct gate_state state;
    struct gate_ack acks[GATE_MEMBERS_MAX];
    uint32_t ack_count;
    struct lsn durable;
    struct lsn acknowledged; /* the highest of this reign */
    incarnation_t acknowledged_inc;
};

/* Another member, as far as this node talks to it. */
struct node_peer {
    struct node *node;
    member_id_t id; /* 0: the place is free */
    char address[REGISTER_ADDR_MAX];
    struct link_dial *dial; /* the member with the lower id dials */
    struct link *link;      /* up; NULL: none */
    bool greet;             /* HELLO has to be sent */
    struct ship_sender *sender;
    /* What it last told of itself. */
    bool has_hello;
    struct role_log hello; /* in HELLO, of the same moment as the lineage */
    struct role_log log;   /* in a role message: frozen, if that was a promise */
    struct lineage lineage;
    bool has_located;
    struct ship_located located;
};

/* The one ticketed action under way (R7), on a fiber of its own. */
struct node_task {
    bool busy, cancel;
    struct role_action action;
    struct fiber_queue idle;   /* whoever waits for it to end */
    struct fiber_queue events; /* it waits for a peer's answer */
    struct redo_pos fork;      /* what FOLLOW found, for CUT */
    incarnation_t fork_inc;    /* for this reign */
    bool tail_ended;
    int tail_code;
};

/* Following: whose frames are taken, and what turns them into versions. */
struct node_follow {
    struct apply *apply;
    incarnation_t target; /* of apply */
    bool is_live;         /* the engine takes frames towards `target` */
    member_id_t from;     /* frames of that member are acknowledged … */
    incarnation_t inc;    /* … in this reign; 0: nobody's */
    struct ship_receiver *receiver;
    struct link *link; /* the receiver's */
    bool starting;     /* a receiver is being started */
    bool ended;        /* the receiver ended; asked again later */
    uint64_t retry_ns;
    struct fiber_queue started;
};

/* Taking a base copy over itself (node_reseed.c). */
struct node_reseed {
    struct ship_base_copy *copy; /* under way */
    struct link *link;
    uint64_t bytes, total, fetched; /* of segments */
    atomic_bool is_ready;           /* whole, and wanted still: to be installed */
    bool install;                   /* at closing */
};

/* Telling the primary where this node is found (node_move.c). */
struct node_move {
    struct link *link;
    bool busy, ended;
    int refused; /* why the last time, 0: it was not; said once */
    uint64_t retry_ns;
    struct fiber_queue news;
};

/* What the primary had published when: for how old reads here may be (node_view.c). */
enum { NODE_HEARD_MAX = 32 };
struct node_heard {
    scn_t scn;
    struct lsn lsn;
    uint64_t ns;
};

struct node {
    struct env *env;
    char dir[NODE_PATH_MAX];
    struct conf *conf;
    struct log *log;
    struct job_pool *jobs;

    struct engine *engine;
    struct catalog *catalog;
    struct sql_engine *sql;
    struct spill_space *spill; /* of sql */
    struct server *server;
    struct visible_watch watch, pointer_watch;
    struct node_gate gate;
    bool is_promoting; /* sessions have not been told yet that this node takes writes */
    struct destinations *destinations; /* any thread */
    struct ship_key key;

    struct env_sock *guard_listener; /* from node_open until the hub takes it */
    struct env_thread *guard;
    struct sched *sched;
    struct role *role;
    member_id_t self;
    uint64_t boot_id;
    struct role_actions pending; /* what the machine wants, in order; carried out from `next` on */
    struct fiber_queue work;     /* the actor waits here */
    bool stopping;
    uint32_t fibers; /* of the node, the actor and the links apart */
    struct fiber_queue fibers_gone;

    struct link_hub *hub;
    struct node_peer peers[NODE_PEERS_MAX];
    struct fiber_queue peer_work; /* the fiber that dials and greets waits here */
    struct node_task task;
    struct node_follow follow;
    struct node_reseed reseed;
    struct node_move move;
    struct sched_post pointer_post; /* the visible SCN has moved */
    atomic_bool pointer_waiting, pointer_posted;
    struct fiber_queue pointer_work;
    member_id_t command_member; /* that an "add" admits */
    const char *command_name;   /* of the one whose REPLY is to come; NULL: none */
    struct link *command_link;  /* who waits for that; NULL: nobody any more */

    struct env_mutex state_mutex; /* for the copies below, which any thread may read */
    struct env_cond state_changed;
    struct role_status status;
    struct role_register shown;
    struct node_heard heard[NODE_HEARD_MAX];
    uint32_t heard_next;
    struct lsn shown_end; /* of the own log */
    bool shown_linked;    /* with the primary */
    bool ready;
};

/* node_act.c: the fiber that carries actions out, one after the other. */
void node_actor(void *arg);
void node_tell_log(struct node *n); /* R6 */
void node_act_soon(struct node *n); /* something is pending */

/* node_peers.c: links to other members. On the guard thread. */
void node_peers_start(struct node *n);
void node_peers_main(void *arg);      /* a fiber: dials, greets, keeps the receiver */
void node_peers_stop(struct node *n); /* parks until all fibers of links have ended */
struct node_peer *node_peer(struct node *n, member_id_t id);  /* or NULL */
bool node_is_linked(struct node *n);                          /* with the primary */
const char *node_member_name(struct node *n, member_id_t id); /* for messages */
void node_peers_greet(struct node *n);                        /* HELLO to all, soon */
void node_peers_changed(struct node *n);                      /* the register may name others now */
void node_send_role(struct node *n, const struct role_action *a); /* SEND; parks (R5) */
void node_fiber_start(struct node *n, const char *name, void (*fn)(void *arg), void *arg);
void node_fiber_end(struct node *n); /* the last thing that such a fiber does */

/* node_serve.c: redo and copies for others. */
MUST_CHECK
int node_serve_redo(struct node *n, struct link *l, struct slice body, struct ship_sender **place);
void node_serve_stop(struct node *n); /* no reign any more: senders end */
void node_serve_joining(struct node *n, struct link_handler *out);
void node_pointer_main(void *arg); /* a fiber: tells followers what has been published */
void node_pointer_moved(void *arg, scn_t visible);

/* node_follow.c: FOLLOW, CUT, PREPARE, ACKNOWLEDGE, STOP_FOLLOWING. */
void node_task_start(struct node *n, const struct role_action *a);  /* parks while another runs */
void node_task_stop(struct node *n);                                /* parks */
void node_acknowledge(struct node *n, const struct role_action *a); /* parks */
incarnation_t node_log_incarnation(struct node *n);                 /* that the own log leads to */
void node_stop_following(struct node *n);                           /* parks (R3) */
void node_stop_applying(struct node *n); /* parks: drains what the log holds */
MUST_CHECK
int node_drain_applier(void *arg); /* a job: node; all that the log holds is applied */
/* node_receive.c: the receiver of frames. */
void node_receiver_keep(struct node *n); /* parks: starts or ends it as the state asks */
void node_receiver_drop(struct node *n); /* parks */
MUST_CHECK
int node_receive_tail(struct node *n, const struct node_peer *p, incarnation_t promised,
                      incarnation_t target);

/* node_move.c */
void node_move_keep(struct node *n);
bool node_has_moved(struct node *n); /* the register has another address of this node */
/* The addresses as redoubt.yaml has them, where it names one that others can use. */
void node_move_wanted(const struct node *n, char guard[REGISTER_ADDR_MAX],
                      char sql[REGISTER_ADDR_MAX]);

/* node_reseed.c */
MUST_CHECK
int node_reseed_copy(struct node *n, member_id_t from); /* parks */
void node_reseed_cancel(struct node *n);                /* it ends soon */
MUST_CHECK
int node_reseed_mark(struct node *n); /* blocks; the role machine has ended */
MUST_CHECK
int node_reseed_install(struct env *env, const char *dir); /* blocks; before anything is opened */

/* node_command.c: what the command line asks. */
void node_serve_commands(struct node *n, struct link_handler *out);
void node_command_ended(struct node *n, const struct role_action *a); /* REPLY */

/* node_gate.c */
void node_gate_init(struct node *n);
void node_gate_fini(struct node *n);
void node_gate_set(struct node *n, const struct gate_state *state, struct lsn *acknowledged);
void node_gate_acks(struct node *n); /* acknowledgements have come */
void node_promote(struct node *n);   /* if it is time: on the guard's thread; parks */
/* node_view.c: what SQL shows of the node. */
void node_fill_view(struct node *n, struct sql_node *out);
void node_publish_status(struct node *n);
void node_heard_published(struct node *n, scn_t scn, struct lsn lsn);

#endif
