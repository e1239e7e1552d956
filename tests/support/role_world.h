/* A small world for the role machine: nodes with abstract logs, a wire that loses, repeats, delays
 * and reorders, crashes that keep only what was persisted, and a ledger of what clients were told.
 * One seed decides everything.
 *
 * A log is an array of tags; equal tags are equal bytes, and LSN n is the end of the n-th entry.
 *
 * What is checked, always (PROTOCOL section 7):
 *   INV-1  acknowledgements of two reigns never interleave
 *   INV-2  who opens has every acknowledged commit (unless loss was accepted, or the reign began on
 *          an operator's word for a node that had not heard that the primary left: FO-51)
 *   INV-3  nothing published is taken back, but for those losses
 *   INV-4  a reign is on two legs before its first acknowledgement (or on an operator's word)
 *   FO-32  a standby publishes only what was acknowledged
 * A violation is a text in world.violation; the run stops there.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_ROLE_WORLD_H
#define TESTS_SUPPORT_ROLE_WORLD_H

#include "tests/support/role_rig.h"

enum {
    WORLD_NODES_MAX = 4,
    WORLD_LOG_MAX = 400,
    WORLD_FLIGHT_MAX = 512,
    WORLD_TAGS_MAX = 1 << 16,
};

enum world_op { OP_NONE, OP_FOLLOW, OP_CUT, OP_PREPARE, OP_OPEN, OP_DRAIN, OP_BASE_COPY };

struct world_node {
    member_id_t id;
    bool up;
    struct role *role;
    struct role_actions queue; /* actions not carried out yet, from `head` */
    uint32_t head;
    uint64_t act_at;       /* when the next of them is carried out */
    uint64_t paused_until; /* the process is stopped */
    uint64_t tick_at;

    struct role_durable durable; /* as last persisted */

    uint32_t log[WORLD_LOG_MAX + 1]; /* tags, from 1 */
    uint32_t end, hard;              /* accepted; durable */
    uint32_t published;

    struct gate_state gate;
    struct gate_ack acks[WORLD_NODES_MAX];
    incarnation_t writing; /* reign in which it may append; 0: none */
    uint32_t acked;        /* in this reign */
    bool draining;
    member_id_t taking_from; /* frames of reign taking_inc */
    incarnation_t taking_inc;

    enum world_op op;
    struct role_action op_action;
    uint64_t op_at;

    bool replied;
    int reply_code;
    char reply[240];
    uint32_t alarms;
    bool must_stay_down; /* an operator has said that it is fenced */
};

struct world_message {
    uint64_t at;
    member_id_t to, from;
    enum { WM_ROLE, WM_FRAME, WM_ACK } kind;
    struct role_message *role; /* WM_ROLE */
    incarnation_t inc;         /* envelope */
    uint32_t pos, tag, tag_before, published;
};

struct world {
    uint64_t seed, random, now;
    unsigned mutants;
    int nodes;
    bool faults; /* loss, repetition, long delays, slow actions */
    bool verbose;
    int lazy; /* frames seldom go to this node; -1: none */
    struct world_node node[WORLD_NODES_MAX];
    bool cut[WORLD_NODES_MAX][WORLD_NODES_MAX]; /* from, to */
    struct world_message flight[WORLD_FLIGHT_MAX];
    uint32_t flight_count;
    uint64_t work_at;

    /* What clients know. */
    uint32_t ledger[WORLD_LOG_MAX + 1];
    /* When it was acknowledged: the newest register that said "not synchronized". */
    struct register_key ledger_left[WORLD_LOG_MAX + 1];
    bool ledger_excused[WORLD_LOG_MAX + 1];
    incarnation_t ledger_inc[WORLD_LOG_MAX + 1]; /* that acknowledged it first */
    uint32_t ledger_count;

    struct register_key left; /* newest register, of whoever reigns, that is not synchronized */
    bool *ever;               /* by tag: was ever acknowledged */
    uint32_t last_tag;
    incarnation_t last_inc; /* the highest reign that acknowledged, and whose it was */
    uint64_t last_reign;
    uint64_t acked_total, opened_total;
    char violation[240];
};

/* `nodes` members in one configuration; node 0 is the register's primary; the first `listed` others
 * are on the list, any k. All are down. */
struct world *world_new(uint64_t seed, int nodes, int listed, int k, unsigned mutants);
void world_free(struct world *w);
uint64_t world_random(struct world *w, uint64_t below);
bool world_chance(struct world *w, unsigned percent);
void world_start(struct world *w, int node);
void world_crash(struct world *w, int node);
void world_cut(struct world *w, int a, int b, bool cut); /* both ways, and tells the nodes */
void world_heal(struct world *w);
/* Runs for so long; primaries append now and then. Stops at a violation. */
void world_run(struct world *w, uint64_t ns);
/* The node that is open, or -1; in doubt the highest reign. */
int world_primary(const struct world *w);
struct role_status world_status(const struct world *w, int node);
/* Whether somebody acknowledges new commits and all other nodes that are up follow it. */
bool world_serves(struct world *w, uint64_t within_ns);
/* Runs until the node's command has been answered: its code. ERR_TIMEOUT when it never was. */
int world_await(struct world *w, int node, uint64_t within_ns);

#endif
