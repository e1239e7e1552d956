/* The role machine's inside: one struct, and what its files ask of each other.
 *
 * role.c          making, events, timers, actions      role_legs.c    who has a voice
 * role_elect.c    canvass, stand, promise, record      role_follow.c  registers accepted, following
 * role_office.c   gate, leaving, regaining, heartbeats role_change.c  mode, list and members
 * role_handover.c switchover, both sides               role_command.c failover, reinstate
 * role_durable.c  the durable state's bytes
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef NODE_ROLE_INT_H
#define NODE_ROLE_INT_H

#include "node/role.h"

enum { ROLE_PEERS_MAX = 2 * REGISTER_MEMBERS_MAX };
#define NEVER UINT64_MAX

/* What is known of another data node. */
struct role_peer {
    member_id_t id;
    uint64_t heard_ns; /* last message of any kind; 0: never */
    /* While this node reigns. */
    struct gate_ack ack;
    struct register_key confirmed; /* newest version of this reign that it holds */
    /* While this node canvasses or stands. */
    bool opined, agrees;
    enum role_why why;
    bool asked, promised, refused;
    bool down;             /* its link went down and has not come up: it cannot answer */
    uint64_t down_ns;      /* since when */
    incarnation_t reg_inc; /* with its promise */
    struct role_log log;
};

/* An election that this node stands in. */
struct role_election {
    enum role_reason reason;
    unsigned flags; /* ROLE_FAILOVER_* */
    incarnation_t number;
    bool in_office;  /* sessions are kept: this node reigned until now */
    bool by_one_leg; /* the quorum was an operator's word */
    unsigned tries;
    uint64_t since_ns, deadline_ns, next_ns;
    member_id_t source; /* whose log is taken (FO-17) */
    incarnation_t source_follows;
    uint64_t ticket;
    struct role_register best; /* the highest register among the promises (FO-14) */
    struct lsn acknowledged;   /* the highest that a promise knows to have been acknowledged */
};

enum role_change_phase {
    CHANGE_NONE,
    CHANGE_CATCHING, /* both rules bind; the new list takes what was acknowledged */
    CHANGE_WRITTEN,  /* in the register; waits for legs by old and new */
    CHANGE_PHASE_COUNT
};

/* What a reign knows. */
struct role_office {
    struct lsn start;        /* end of the log when it began */
    struct gate_state gate;  /* last one given out */
    uint64_t gate_done;      /* seq of the newest one that is in force */
    struct lsn acknowledged; /* as of then: an upper bound of what was acknowledged before it */
    uint64_t heartbeat_seq;
    uint64_t next_heartbeat_ns, next_record_ns;
    uint64_t regain_at_ns;
    uint64_t regain_gate; /* gate seq that closed FO-1b */
    bool regain_written;
    struct lsn past[2]; /* what was durable here at the last heartbeat, and at the one before */
    unsigned flaps;
    uint64_t synchronized_ns; /* since when */
    struct lsn mark;          /* what was durable here at mark_ns; the list should have it soon */
    uint64_t mark_ns;
    struct {
        enum role_change_phase phase;
        enum register_mode mode;
        struct register_config to;
        uint64_t gate;
        uint64_t deadline_ns;
    } change;
};

enum role_handover_phase {
    HANDOVER_NONE,
    HANDOVER_DRAINING, /* no commit begins; redo comes to rest */
    HANDOVER_CATCHING, /* the target takes and applies it all */
    HANDOVER_TOLD,     /* STAND is on its way */
    HANDOVER_PROMISED, /* FO-42: no longer primary; the target opens */
    HANDOVER_PHASE_COUNT
};

struct role {
    struct role_config config;
    uint64_t random;
    struct role_durable d;
    enum role_state state;
    enum role_sync sync;
    enum role_follow follow;
    struct role_ends ends;
    struct lsn known_acknowledged; /* in the register's incarnation */
    incarnation_t seen;            /* highest number seen anywhere */
    uint64_t tickets;

    struct role_peer peers[ROLE_PEERS_MAX];
    uint32_t peer_count;

    member_id_t
        heard_primary; /* whose valid heartbeat came last, when; 0: none, or its link fell */
    uint64_t heard_primary_ns;
    uint64_t promise_quiet_ns; /* until when it says no to others after a promise (FO-10) */
    uint64_t restart_at_ns;    /* the register's primary tries again */
    unsigned restart_tries;

    struct role_election elect;
    struct role_office office;
    struct {
        uint64_t ticket, retry_ns;
        struct role_pos fork;
        bool overridden; /* by `reinstate`, until it follows */
        bool is_lost;    /* HELD: what `reinstate` permits is a base copy */
    } following;
    struct {
        enum role_handover_phase phase;
        member_id_t target;
        uint64_t ticket, deadline_ns, next_ns;
        struct lsn end;
    } handover;
    enum role_command command;
};

/* ---- role.c --------------------------------------------------------------------------------- */

bool role_mutant(const struct role *r, enum role_mutant m);
uint64_t role_random(struct role *r);
uint64_t role_jitter(struct role *r, uint64_t lo_ns, uint64_t hi_ns);
void role_move(struct role *r, enum role_state to);
void role_sync_move(struct role *r, enum role_sync to);
void role_follow_move(struct role *r, enum role_follow to);
/* An election still waits for its answer: one whose link is down is given a moment to come back. */
bool role_peer_awaited(const struct role *r, uint64_t now, const struct role_peer *p);
struct role_peer *role_peer(struct role *r, member_id_t id); /* made when it is not there */
const struct role_peer *role_peer_find(const struct role *r, member_id_t id); /* or NULL */
void role_saw(struct role *r, incarnation_t inc);
bool role_reigns(const struct role *r); /* open, opening or re-electing itself in office */

struct role_action *role_emit(struct role_actions *out, enum role_action_type type);
void role_persist(struct role *r, struct role_actions *out);
void role_note(struct role_actions *out, enum role_level level, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* The command under way has ended. Nothing when another or none is. */
void role_reply(struct role *r, enum role_command c, int code, struct role_actions *out,
                const char *fmt, ...) PRINTF_LIKE(5, 6);
struct role_message role_message_make(const struct role *r, enum role_message_type type);
void role_send(struct role *r, member_id_t to, const struct role_message *m,
               struct role_actions *out);
void role_send_record(struct role *r, member_id_t to, struct role_actions *out);
void role_refuse(struct role *r, const struct role_message *m, enum role_why why,
                 struct role_actions *out);
/* Leaves office or candidature for MOUNTED. `why` goes to the log and to a waiting command. */
void role_step_down(struct role *r, uint64_t now, const char *why, struct role_actions *out);

/* ---- role_legs.c ---------------------------------------------------------------------------- */

/* Two legs of every configuration of the register are in the set (bits: places in reg). */
bool role_two_legs(const struct role_register *reg, uint32_t set);
bool role_config_legs(const struct role_register *reg, struct register_config c, uint32_t set);
/* The standby leg as it stands without the primary: s-k+1 of each list (or the candidate is that
 * configuration's primary). What an operator's word needs beside it. */
bool role_one_leg(const struct role_register *reg, uint32_t set, member_id_t candidate);
/* Whether the member has a voice in any configuration of the register. */
bool role_is_voter(const struct role_register *reg, member_id_t id);
uint32_t role_set_promised(const struct role *r, const struct role_register *reg);
uint32_t role_set_agreed(const struct role *r, const struct role_register *reg);
uint32_t role_set_confirmed(const struct role *r, struct register_key at_least);

/* ---- role_elect.c --------------------------------------------------------------------------- */

void role_canvass(struct role *r, uint64_t now, enum role_reason reason, unsigned flags,
                  struct role_actions *out);
void role_stand(struct role *r, uint64_t now, enum role_reason reason, unsigned flags,
                struct role_actions *out);
void role_elect_tick(struct role *r, uint64_t now, struct role_actions *out);
void role_elect_step(struct role *r, uint64_t now, struct role_actions *out);
void role_on_canvass(struct role *r, uint64_t now, const struct role_message *m,
                     struct role_actions *out);
void role_on_opinion(struct role *r, uint64_t now, const struct role_message *m,
                     struct role_actions *out);
void role_on_ask(struct role *r, uint64_t now, const struct role_message *m,
                 struct role_actions *out);
void role_on_promise(struct role *r, uint64_t now, const struct role_message *m,
                     struct role_actions *out);
void role_on_refuse(struct role *r, uint64_t now, const struct role_message *m,
                    struct role_actions *out);
/* The promise itself, once it is allowed: durable, then sent. */
void role_give_promise(struct role *r, uint64_t now, const struct role_message *m,
                       struct role_actions *out);
bool role_hears_primary(const struct role *r, uint64_t now, member_id_t but);

/* ---- role_follow.c -------------------------------------------------------------------------- */

/* FO-6. True when it was accepted. */
bool role_accept_register(struct role *r, uint64_t now, const struct role_register *reg,
                          struct role_actions *out);
void role_on_record(struct role *r, uint64_t now, const struct role_message *m,
                    struct role_actions *out);
void role_on_heartbeat(struct role *r, uint64_t now, const struct role_message *m,
                       struct role_actions *out);
void role_begin_following(struct role *r, uint64_t now, struct role_actions *out);
void role_stop_following(struct role *r, struct role_actions *out);
void role_follow_tick(struct role *r, uint64_t now, struct role_actions *out);

/* ---- role_office.c -------------------------------------------------------------------------- */

void role_office_begin(struct role *r, uint64_t now, struct role_actions *out);
/* Whatever has become possible: settle, regain, leave. */
void role_office_step(struct role *r, uint64_t now, struct role_actions *out);
void role_office_tick(struct role *r, uint64_t now, struct role_actions *out);
void role_gate(struct role *r, struct role_actions *out);
/* The next version of the own register: durable, then to everybody. */
void role_office_write(struct role *r, uint64_t now, struct role_actions *out);
void role_on_recorded(struct role *r, uint64_t now, const struct role_message *m,
                      struct role_actions *out);
void role_heartbeat(struct role *r, member_id_t to, struct role_actions *out);
struct gate_rule role_rule(const struct role *r, struct register_config c);
bool role_rule_reached(const struct role *r, const struct gate_rule *rule, struct lsn *reached);
/* k of the rule's list were heard within the net timeout. */
bool role_rule_live(const struct role *r, const struct gate_rule *rule, uint64_t now);

/* ---- role_change.c -------------------------------------------------------------------------- */

void role_change_step(struct role *r, uint64_t now, struct role_actions *out);
/* The register leaves "synchronized" while a change is under way. Before the version is written. */
void role_change_leave(struct role *r, struct role_actions *out);
void role_admit(struct role *r, uint64_t now, member_id_t id, struct role_actions *out);

/* ---- role_handover.c ------------------------------------------------------------------------ */

void role_handover_tick(struct role *r, uint64_t now, struct role_actions *out);
void role_handover_step(struct role *r, uint64_t now, struct role_actions *out);
void role_on_stand(struct role *r, uint64_t now, const struct role_message *m,
                   struct role_actions *out);
/* FO-42: whether this ASK is the one that a draining primary waits for. */
bool role_handover_expects(const struct role *r, const struct role_message *ask);
void role_handover_promise(struct role *r, uint64_t now, const struct role_message *ask,
                           struct role_actions *out);
void role_handover_give_up(struct role *r, uint64_t now, const char *why, struct role_actions *out);
void role_handover_on_link_down(struct role *r, uint64_t now, member_id_t member);
/* This node is primary again, though it had promised. */
void role_handover_on_open(struct role *r, struct role_actions *out);
/* A register of another's was accepted: the switchover may be done. */
void role_handover_on_register(struct role *r, struct role_actions *out);

#endif
