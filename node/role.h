/* A data node's part in the failover protocol (PROTOCOL.md, rules FO-*), as a pure and
 * deterministic state machine: events go in, actions come out. No I/O, no clock, no thread, no
 * randomness of its own (a seed is given). Whoever binds it to an engine and to links runs it on
 * one task.
 *
 * The binding's contract:
 *
 *   R1  Actions are carried out strictly in their order, across calls. An action is complete
 *       before the next one begins, except those that carry a ticket: they are begun, and their
 *       completion is an event with that ticket. Events may be delivered while actions wait: what
 *       the machine decides then is queued behind.
 *
 *   R2  PERSIST is complete when the durable state it carries would survive a crash. What comes
 *       behind it relies on that. It is a value: later changes are in later actions.
 *
 *   R3  After STOP_FOLLOWING no frame is accepted and no acknowledgement leaves; what was accepted
 *       is durable; role_on_log has been called with the final end before the next action.
 *
 *   R4  GATE is in force when it is complete: no batch judged by the older state is still on its
 *       way. Then (at once, or later) role_on_gate is called with its seq and the highest LSN that
 *       was ever acknowledged in this reign.
 *
 *   R5  A message that carries a log (role_message_has_log) gets it when it is sent, behind the
 *       actions before it: role_log_now of that moment, with the chain.
 *
 *   R6  role_on_log is called whenever the log's ends move (it may be batched), and after recovery.
 *
 *   R7  At most one ticketed action runs: another waits for its end. STOP_FOLLOWING and
 *       CLOSE_WRITERS end the one under way or wait for it; its completion may then come or not.
 *
 *   R8  After a crash or a restart the machine is made anew from the last state persisted.
 *
 * The times given never go back (env_boot_ns).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef NODE_ROLE_H
#define NODE_ROLE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/bytes.h"
#include "engine/base/err.h"
#include "engine/base/id.h"
#include "logship/register.h"
#include "logship/role_message.h"
#include "primary/gate.h"

struct role;

/* ---- states --------------------------------------------------------------------------------- */

enum role_state {
    ROLE_MOUNTED,    /* follows if its register names another primary */
    ROLE_CANVASSING, /* would stand; asks who would agree (FO-10) */
    ROLE_STANDING,   /* has promised itself a number; asks for promises */
    ROLE_PREPARING,  /* elected: fetches the tail, applies, makes durable (FO-15, FO-17) */
    ROLE_RECORDING,  /* makes its reign known */
    ROLE_OPENING,    /* recorded: the engine starts the incarnation */
    ROLE_OPEN,
    ROLE_STATE_COUNT
};
/* While OPEN: the register's sub-state. */
enum role_sync {
    ROLE_ALONE,     /* acknowledges by itself (also: nobody is on the list) */
    ROLE_REGAINING, /* FO-1b closed; waits for the gap to close, then for two legs */
    ROLE_SYNCHRONIZED,
    ROLE_LEAVING, /* waits for two legs to hold "not synchronized" */
    ROLE_SYNC_COUNT
};
/* While MOUNTED under another's register. */
enum role_follow {
    ROLE_FOLLOW_NONE,     /* nobody to follow, or its own register's primary */
    ROLE_FOLLOW_LOCATING, /* compares lineages and chains: where do the histories part */
    ROLE_FOLLOW_CUTTING,
    ROLE_FOLLOW_LIVE,   /* takes frames, acknowledges */
    ROLE_FOLLOW_HELD,   /* a cut would lose commits and waits for `reinstate` */
    ROLE_FOLLOW_RESEED, /* history does not reach back: needs a base copy */
    ROLE_FOLLOW_COUNT
};
/* Who asked for an election. In CANVASS for the trace. */
enum role_reason {
    ROLE_REASON_NONE = 0,
    ROLE_REASON_RESTART = 1,    /* the register's primary wants to open (FO-51) */
    ROLE_REASON_IN_OFFICE = 2,  /* somebody promised past it (FO-11) */
    ROLE_REASON_SWITCHOVER = 3, /* STAND (FO-41) */
    ROLE_REASON_FAILOVER = 4,   /* an operator */
};
const char *role_state_name(enum role_state s);
const char *role_sync_name(enum role_sync s);
const char *role_follow_name(enum role_follow s);

/* ---- durable state -------------------------------------------------------------------------- */

struct role_durable {
    uint64_t sequence;      /* of this state; ascending, for the manifest's blob */
    incarnation_t promised; /* highest promised */
    member_id_t promised_to;
    incarnation_t follows; /* the incarnation that the log agrees with */
    struct lsn published;  /* as of the writing: at least so much was shown to clients here */
    scn_t published_scn;
    struct role_register reg;
};
/* What `init` and `join` write. */
void role_durable_first(struct role_durable *d, uint64_t database_id, const char *name,
                        const char *guard, const char *sql);
void role_durable_joining(struct role_durable *d, uint64_t database_id);
/* Format: magic "RDRD", u16 version 1, u64 sequence, u32 promised, u32 promised to, u32 follows,
 * u64 published LSN, u64 SCN, u32 register size, register, u32 CRC-32C. */
void role_durable_encode(struct writer *w, const struct role_durable *d);
MUST_CHECK
int role_durable_decode(struct slice bytes, struct role_durable *out);

/* ---- making --------------------------------------------------------------------------------- */

/* Test only: rules switched off, so that the checkers show that they bite. */
enum role_mutant {
    ROLE_MUTANT_VOTE_IS_REGISTER = 1,   /* a promise overwrites the register */
    ROLE_MUTANT_SAME_INCARNATION = 2,   /* a restarted primary goes on in its incarnation */
    ROLE_MUTANT_NO_RECORD = 4,          /* opens before two legs hold the reign */
    ROLE_MUTANT_PROMISE_WHILE_OPEN = 8, /* promises and stays open */
    ROLE_MUTANT_ACK_AFTER_PROMISE = 16, /* goes on following after a promise */
    ROLE_MUTANT_OWN_REGISTER = 32,      /* judges eligibility by its own register */
    ROLE_MUTANT_REGAIN_GAP = 64,        /* regains without the start of the reign */
    ROLE_MUTANT_CHANGE_UNSETTLED = 128, /* a list change binds at once */
    ROLE_MUTANT_CHANGE_GAP = 256,       /* the new list need not hold what was acknowledged */
    ROLE_MUTANT_NO_FETCH = 512,         /* elected without the longest tail */
    ROLE_MUTANT_NOT_PERSISTED = 1024,   /* answers before the promise is durable */
    ROLE_MUTANT_FOLLOW_AT_ONCE = 2048,  /* acknowledges before the cut */
    ROLE_MUTANT_NEW_LEGS_ONLY = 4096,   /* a reign is recorded by its own list alone */
    ROLE_MUTANT_RESTART_OPENS = 8192,   /* a restarted primary asks nobody */
};

struct role_times {
    uint64_t heartbeat_ns;     /* 0: 500 ms */
    uint64_t retry_ns;         /* between repetitions of a question; 0: 250 ms */
    uint64_t canvass_ns;       /* an operator's canvass; 0: 1 s */
    uint64_t stand_ns;         /* a candidate gives up; 0: 3 s */
    uint64_t switchover_ns;    /* 0: 30 s */
    uint64_t regain_delay_ns;  /* first; doubles per flap up to 64 times; 0: 1 s */
    uint64_t regain_lag_bytes; /* a new list must be so close; 0: 4 MiB */
};
struct role_config {
    member_id_t self;
    uint64_t database_id;
    uint64_t boot_id; /* random, of this start of the process */
    uint64_t seed;    /* random */
    struct role_times times;
    uint32_t net_timeout_ms; /* of reigns that begin here; 0: as before */
    bool ask_reinstate;      /* a cut that loses commits waits for the `reinstate` command */
    unsigned mutants;        /* enum role_mutant; tests only */
};
struct role *role_new(const struct role_config *config, const struct role_durable *durable,
                      uint64_t now_ns);
void role_free(struct role *r);

/* ---- actions -------------------------------------------------------------------------------- */

enum role_action_type {
    ROLE_ACT_PERSIST,        /* durable */
    ROLE_ACT_SEND,           /* message, to */
    ROLE_ACT_GATE,           /* gate */
    ROLE_ACT_STOP_FOLLOWING, /* R3 */
    ROLE_ACT_FOLLOW,         /* ticket, to, inc: find the fork with that member: role_on_fork */
    ROLE_ACT_CUT,            /* ticket, inc, pos: cut there, note the lineage of inc, make durable
                              * what is kept (also when nothing is cut): role_on_cut */
    ROLE_ACT_ACKNOWLEDGE,    /* to, inc: take frames of that reign and acknowledge them */
    ROLE_ACT_PREPARE,        /* ticket, inc, to: stop appends if any; if `to` is not 0,
                              * fetch that member's tail, cutting own redo past the fork with it;
                              * apply all, make all durable: role_on_prepared */
    ROLE_ACT_OPEN,           /* ticket, inc, reign id, pos, in_office: write: role_on_opened */
    ROLE_ACT_CLOSE_WRITERS,  /* the engine stops writing; 57P01 to sessions that may write */
    ROLE_ACT_DRAIN,          /* ticket: let no commit begin; when all redo is durable and quiet:
                              * role_on_drained */
    ROLE_ACT_UNDRAIN,
    ROLE_ACT_BASE_COPY, /* ticket, to, inc: history does not reach back: role_on_cut when done
                         * and the log agrees with inc */
    ROLE_ACT_REPLY,     /* command, code, text: a command has ended */
    ROLE_ACT_NOTE,      /* level, text: for the log */
    ROLE_ACT_COUNT
};
enum role_level { ROLE_INFO, ROLE_WARNING, ROLE_ALARM };
enum role_command {
    ROLE_CMD_NONE,
    ROLE_CMD_SWITCHOVER,
    ROLE_CMD_FAILOVER,
    ROLE_CMD_PROTECT,
    ROLE_CMD_ADD,
    ROLE_CMD_DROP,
    ROLE_CMD_REINSTATE,
    ROLE_CMD_COUNT
};
/* Where an incarnation goes on. */
struct role_pos {
    incarnation_t inc; /* whose history leads there */
    struct lsn lsn;
    scn_t scn;
};

struct role_action {
    enum role_action_type type;
    uint64_t ticket;
    member_id_t to;
    incarnation_t inc;
    uint64_t reign_id;
    struct role_pos pos;
    bool in_office;
    enum role_command command;
    int code; /* 0 or ERR_* */
    enum role_level level;
    struct gate_state gate;
    char text[240];
    struct role_durable *durable; /* PERSIST: the list's */
    struct role_message *message; /* SEND: the list's */
};
/* The caller's list, reused: each call below appends. */
struct role_actions {
    struct role_action *items;
    uint32_t count, cap;
};
void role_actions_init(struct role_actions *a);
void role_actions_clear(struct role_actions *a); /* after carrying them out */
void role_actions_fini(struct role_actions *a);
const char *role_action_name(enum role_action_type t);

/* ---- events --------------------------------------------------------------------------------- */

/* Once, after the node has mounted and role_on_log has told where its log ends. */
void role_start(struct role *r, uint64_t now_ns, struct role_actions *out);
void role_on_tick(struct role *r, uint64_t now_ns, struct role_actions *out);
/* When role_on_tick wants to be called at the latest (also sooner does no harm). */
uint64_t role_next_tick_ns(const struct role *r);
/* A message from a member that has proved to hold the cluster key. */
void role_on_message(struct role *r, uint64_t now_ns, const struct role_message *m,
                     struct role_actions *out);
/* A link to a member came up or went down. Up: it is greeted at once. */
void role_on_link(struct role *r, uint64_t now_ns, member_id_t member, bool up,
                  struct role_actions *out);
/* The own log: what has been accepted and what is durable, applied and published. */
struct role_ends {
    struct lsn end, durable, applied, published;
    scn_t end_scn, published_scn;
};
void role_on_log(struct role *r, uint64_t now_ns, const struct role_ends *ends,
                 struct role_actions *out);
/* A standby acknowledged (frames, not roles): as struct gate_ack says. */
void role_on_ack(struct role *r, uint64_t now_ns, const struct gate_ack *ack,
                 struct role_actions *out);
void role_on_gate(struct role *r, uint64_t now_ns, uint64_t gate_seq, struct lsn acknowledged,
                  struct role_actions *out);

/* Completions. A ticket that is no longer wanted is ignored. code: 0, or why it failed. */
/* `fork`: the last position that both logs share; `own_end`: the end of the own log.
 * ERR_NEEDS_RESEED when history does not reach back (`fork`: where the lineages part, as far as
 * that is known), ERR_DIVERGED when the logs differ below it; others: tried again. */
void role_on_fork(struct role *r, uint64_t now_ns, uint64_t ticket, int code, struct role_pos fork,
                  struct role_actions *out);
void role_on_cut(struct role *r, uint64_t now_ns, uint64_t ticket, int code,
                 struct role_actions *out);
/* The primary that is followed has no redo any more from where the own log ends
 * (ERR_NEEDS_RESEED), or not the same log below it (ERR_DIVERGED). */
void role_on_lost(struct role *r, uint64_t now_ns, int code, struct role_actions *out);
void role_on_prepared(struct role *r, uint64_t now_ns, uint64_t ticket, int code,
                      struct role_pos end, struct role_actions *out);
void role_on_opened(struct role *r, uint64_t now_ns, uint64_t ticket, int code,
                    struct role_actions *out);
void role_on_drained(struct role *r, uint64_t now_ns, uint64_t ticket, int code, struct lsn end,
                     struct role_actions *out);

/* ---- commands ------------------------------------------------------------------------------- */

/* Each returns 0 when it has begun (ROLE_ACT_REPLY tells the end), or an error with message and
 * hint that changed nothing. One at a time. */

/* On the primary (FO-40). */
MUST_CHECK
int role_switchover(struct role *r, uint64_t now_ns, member_id_t target, struct role_actions *out);
/* On the node that shall become primary, or that is and cannot reach its legs (OPEN FORCE).
 * fenced: the operator's word that the others write no more (FO-50). accept_loss: waives FO-14. */
enum { ROLE_FAILOVER_FENCED = 1, ROLE_FAILOVER_ACCEPT_LOSS = 2 };
MUST_CHECK
int role_failover(struct role *r, uint64_t now_ns, unsigned flags, struct role_actions *out);
/* On the primary: mode, and the list of those who stand for it (FO-5). */
MUST_CHECK
int role_protect(struct role *r, uint64_t now_ns, enum register_mode mode, uint8_t k,
                 const member_id_t *list, uint32_t count, struct role_actions *out);
/* On the primary. The id is given at once; REPLY tells when two legs hold it. A member of that name
 * that was never admitted gives its place to the new one. */
MUST_CHECK
int role_add_member(struct role *r, uint64_t now_ns, const char *name, const char *guard,
                    const char *sql, member_id_t *id, struct role_actions *out);
/* On the primary: where a member is found from now on. No REPLY. */
MUST_CHECK
int role_move_member(struct role *r, uint64_t now_ns, member_id_t id, const char *guard,
                     const char *sql, struct role_actions *out);
MUST_CHECK
int role_drop_member(struct role *r, uint64_t now_ns, member_id_t id, struct role_actions *out);
/* On a node that is held, or is about to be: let it cut. ERR_AGAIN while it knows of no primary but
 * itself, or an election is under way. */
MUST_CHECK
int role_reinstate(struct role *r, uint64_t now_ns, struct role_actions *out);

/* ---- asking --------------------------------------------------------------------------------- */

/* FO-31: a frame in the envelope of reign `inc` from `from` may be taken now. */
bool role_accepts_frames(const struct role *r, member_id_t from, incarnation_t inc);
/* FO-1, the last step: asked with a time read for this batch. With fsfo off always true. */
bool role_permit_valid(const struct role *r, uint64_t now_ns);
const struct role_durable *role_durable_state(const struct role *r);
/* For HELLO and R5: what this node can say of its log but for the chain, which the binding adds. */
struct role_log role_log_now(const struct role *r);

struct role_status {
    enum role_state state;
    enum role_sync sync;     /* when OPEN */
    enum role_follow follow; /* when MOUNTED */
    bool is_primary;         /* OPEN, or opening, or re-electing itself in office */
    bool draining;
    incarnation_t inc; /* it reigns in, stands for, or follows */
    struct lsn start;  /* end of the log when its reign began */
    const char *waits; /* in words, what it is waiting for; "" if nothing */
    uint64_t waits_since_ns;
    enum role_command command; /* under way */
};
void role_get_status(const struct role *r, struct role_status *out);
/* When a member was last heard; 0: never in this life of the process. */
uint64_t role_heard_ns(const struct role *r, member_id_t member);

#endif
