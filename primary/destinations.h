/* What the primary knows of each standby: its last acknowledgement, how far behind it is in bytes
 * and in time, and how old that knowledge is. For the commit gate, for v$dataguard_stats, and for
 * the horizon (HORIZON-3).
 *
 * Threads: any; one mutex, held for a few instructions.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PRIMARY_DESTINATIONS_H
#define PRIMARY_DESTINATIONS_H

#include "engine/base/env.h"
#include "engine/engine.h"
#include "logship/message.h"
#include "primary/gate.h"

struct destinations;
struct redo;

struct destinations *destinations_new(struct env *env);
void destinations_free(struct destinations *d); /* NULL allowed */

/* The members there are (this node left out), and which of them may be promoted: the horizon waits
 * for those. What is known of members that stay is kept; more than GATE_MEMBERS_MAX: CHECKed. */
void destinations_set(struct destinations *d, const member_id_t *members, const bool *promotable,
                      uint32_t count);
/* A link came up or went down. */
void destinations_link(struct destinations *d, member_id_t member, bool up, uint64_t now_ns);
/* An acknowledgement. One of an older incarnation than known changes nothing. */
void destinations_ack(struct destinations *d, member_id_t member, const struct ship_ack *ack,
                      uint64_t now_ns);
/* The own log is sealed up to here now: lag in time is measured from when the bytes were written.
 */
void destinations_log(struct destinations *d, struct lsn end, uint64_t now_ns);

/* DEST-3: redo is kept for each member from what it has made durable on (for one that was never
 * heard of: all that is here), within redo's own budget, also while it is away. Until the members
 * are set none is let go of (redo_hold), nor after NULL: no more is kept, as the engine closes. */
void destinations_keep_redo(struct destinations *d, struct redo *redo);

/* For gate_acknowledged: fills at most GATE_MEMBERS_MAX; returns how many. */
uint32_t destinations_acks(struct destinations *d, struct gate_ack *out);

struct destination {
    member_id_t member;
    bool connected, promotable, heard; /* heard: has acknowledged anything */
    bool redo_lost;                    /* what was kept for it has outgrown the budget */
    struct gate_ack ack;
    scn_t applied_scn;
    /* Against the own log's end: not received or not durable there; not applied there. */
    uint64_t transport_lag_bytes, apply_lag_bytes;
    uint64_t transport_lag_us, apply_lag_us;
    uint64_t age_us; /* of the acknowledgement */
};
/* Ascending by member. Returns how many there are. */
uint32_t destinations_list(struct destinations *d, uint64_t now_ns,
                           struct destination out[GATE_MEMBERS_MAX]);

/* HORIZON-3, as struct members_limit wants it (arg: the destinations): not past what any member
 * that may be promoted has applied durably; 0 when one has not been heard of. */
scn_t destinations_limit(void *arg, scn_t limit);

#endif
