/* What the files of a node share.
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
#include "engine/server/server.h"
#include "engine/sql/session.h"
#include "node/node.h"
#include "node/role.h"
#include "primary/gate.h"

enum { NODE_PATH_MAX = 512, NODE_ACTIONS_MAX = 1024 };
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

struct node {
    struct env *env;
    char dir[NODE_PATH_MAX];
    struct conf *conf;
    struct log *log;
    struct job_pool *jobs;

    struct engine *engine;
    struct catalog *catalog;
    struct sql_engine *sql;
    struct server *server;
    struct visible_watch watch;
    struct node_gate gate;

    struct env_thread *guard;
    struct sched *sched;
    struct role *role;
    member_id_t self;
    struct role_actions pending; /* what the machine wants, in order; carried out from `next` on */
    uint32_t next;
    struct fiber_queue work; /* the actor waits here */
    bool stopping;

    struct env_mutex state_mutex; /* for the copy below, which any thread may read */
    struct env_cond state_changed;
    struct role_status status;
    bool ready;
};

/* node_act.c: the fiber that carries actions out, one after the other. */
void node_actor(void *arg);
/* node_gate.c */
void node_gate_init(struct node *n);
void node_gate_fini(struct node *n);
void node_gate_set(struct node *n, const struct gate_state *state, struct lsn *acknowledged);
/* node_view.c: what SQL shows of the node. */
void node_fill_view(struct node *n, struct sql_node *out);
void node_publish_status(struct node *n);

#endif
