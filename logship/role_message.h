/* The messages of the failover protocol (PROTOCOL section 3). All may be lost, repeated, late, or
 * come from a dead connection; none needs order.
 *
 * One struct serves all of them; a type sends only its own fields, in the order given here, behind
 * the frame header of message.h, which carries database id, sender and the sender's boot id:
 *
 *   HEARTBEAT  u32 inc | u64 seq | key | u64 published SCN | u64 acknowledged LSN
 *   GRANT      u32 inc | u64 boot (of whom it is for) | u64 seq
 *   REFUSE     u8 of what type | u8 why | u32 inc | u64 boot | u32 promised | register
 *   RECORD     register
 *   RECORDED   key | u64 reign id
 *   CANVASS    u8 reason | log | register
 *   OPINION    u8 yes | u8 why | u32 promised | log | register
 *   ASK        u32 inc | u64 boot
 *   PROMISE    u32 inc | u64 boot | log | register
 *   STAND      u32 inc | u64 end LSN
 *   RELEASE    u32 inc | u64 boot
 * key: u32 inc, u32 version. log: u32 follows | u64 end LSN | u64 end SCN | 16 chain | u64
 * acknowledged LSN known. register: u32 size, bytes (register.h).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef LOGSHIP_ROLE_MESSAGE_H
#define LOGSHIP_ROLE_MESSAGE_H

#include "engine/base/checksum.h"
#include "logship/register.h"

/* Numbers are those of enum ship_type (message.h). */
enum role_message_type {
    ROLE_MSG_HEARTBEAT = 16,
    ROLE_MSG_GRANT = 17,
    ROLE_MSG_REFUSE = 18,
    ROLE_MSG_RECORD = 19,
    ROLE_MSG_RECORDED = 20,
    ROLE_MSG_CANVASS = 21,
    ROLE_MSG_OPINION = 22,
    ROLE_MSG_ASK = 23,
    ROLE_MSG_PROMISE = 24,
    ROLE_MSG_STAND = 25,
    ROLE_MSG_RELEASE = 26,
};

/* Why a voter says no. Appears in what an operator reads; never reused. */
enum role_why {
    ROLE_WHY_NONE = 0,
    ROLE_WHY_PRIMARY_LIVES = 1,  /* it hears a live primary, or is one */
    ROLE_WHY_HOLD = 2,           /* its hold for another lasts */
    ROLE_WHY_PROMISED = 3,       /* it has promised this number or a higher one */
    ROLE_WHY_RECENT_PROMISE = 4, /* it promised somebody else a moment ago */
    ROLE_WHY_NOT_MEMBER = 5,
    ROLE_WHY_NEWER_REGISTER = 6, /* it holds a register that the sender should accept first */
    ROLE_WHY_OTHER_REIGN = 7,    /* same number, other reign id: two histories, never merged */
    ROLE_WHY_STANDING = 8,       /* it stands itself */
    ROLE_WHY_COUNT
};
const char *role_why_text(enum role_why why);

/* Where a node's log stands. */
struct role_log {
    incarnation_t follows; /* the incarnation whose history it agrees with */
    struct lsn end;
    scn_t end_scn;
    struct hash128 chain;
    struct lsn acknowledged; /* highest LSN that this node knows to have been acknowledged */
};

struct role_message {
    enum role_message_type type;
    /* From the frame header. */
    member_id_t from;
    uint64_t sender_boot;
    uint64_t database_id;

    incarnation_t inc;
    uint64_t boot, seq;
    struct register_key key;
    uint64_t reign_id;
    enum role_message_type of; /* REFUSE: what was refused */
    enum role_why why;
    bool yes;
    uint8_t reason; /* CANVASS: enum role_reason (node/role.h); for the trace only */
    incarnation_t promised;
    struct role_log log;
    struct lsn lsn;      /* STAND: end of the log. HEARTBEAT: acknowledged */
    scn_t published_scn; /* HEARTBEAT */
    struct role_register reg;
};

/* Whether messages of this type carry `log`; who sends them fills it from the log at the moment of
 * sending (see node/role.h). */
bool role_message_has_log(enum role_message_type type);
bool role_message_has_register(enum role_message_type type);
const char *role_message_name(enum role_message_type type);

/* The body alone. The header's fields are message.h's business. */
void role_message_encode(struct writer *w, const struct role_message *m);
/* Sets all fields of the type, zeroes the others. ERR_PROTOCOL or ERR_CORRUPT. */
MUST_CHECK
int role_message_decode(enum role_message_type type, struct slice body, struct role_message *out);

#endif
