/* Receives redo over a link into the own log, and acknowledges it.
 *
 * The owner gives it the link's REDO, POINTER and REDO_END messages. The engine follows already
 * (engine_follow_start); the receiver asks for redo from the end of the own log, takes what fits,
 * asks again after a gap, and reports received, durable and applied whenever they move.
 *
 * Everything is called on the hub's thread, but ship_receiver_wake.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef LOGSHIP_SHIP_RECEIVE_H
#define LOGSHIP_SHIP_RECEIVE_H

#include "engine/engine.h"
#include "engine/redo/redo.h"
#include "logship/link.h"

struct ship_receiver;

struct ship_receive_options {
    struct engine *engine;
    struct sched *sched; /* the hub's */
    struct job_pool *jobs;
    struct link *link;
    enum ship_redo_purpose purpose; /* FOLLOW, or TAIL (FO-17) */
    incarnation_t inc;    /* of the reign that sends, or that was promised: in the envelopes */
    incarnation_t target; /* on the way to which frames are taken */
    /* FO-31, asked for each frame; NULL: TAIL, which is exempt. */
    bool (*accepts)(void *arg, member_id_t from, incarnation_t inc);
    /* Something was accepted: the log's ends have moved (R6). May be NULL. */
    void (*on_received)(void *arg, struct lsn end, scn_t scn);
    /* No more frames come: 0 when a TAIL is complete, else why. Once. */
    void (*on_end)(void *arg, struct ship_receiver *r, int code);
    void *arg;
};

/* Asks for redo. Parks (it looks up the end of the log). NULL with a DIAG when it cannot. */
struct ship_receiver *ship_receiver_start(const struct ship_receive_options *o);
/* R3: takes no frame and sends no acknowledgement from here on, even while on_message is parked.
 * Parks until its fiber has ended, then frees it. Stop the engine's following first if frames may
 * be parked for want of room. */
void ship_receiver_stop(struct ship_receiver *r);
/* The link is gone; it is freed later by ship_receiver_stop. Does not park. */
void ship_receiver_link_down(struct ship_receiver *r);
/* A message of the types above; others are refused. Parks. An error ends the link. */
MUST_CHECK
int ship_receiver_on_message(struct ship_receiver *r, const struct ship_header *h,
                             struct slice body);
/* Durable or applied have moved. From any thread. */
void ship_receiver_wake(struct ship_receiver *r);

/* ---- the fork (FO-30) -------------------------------------------------------------------------
 */

/* Where the own log, which agrees with `own`, and a peer's part, by lineage: then ask the peer with
 * LOCATE. Blocks. */
MUST_CHECK
int ship_fork_compare(struct engine *e, incarnation_t own, const struct lineage *peer_lineage,
                      const struct role_log *peer, struct lineage_fork *fork);
/* Confirms it by the chain. ERR_NEEDS_RESEED when either does not reach back so far; ERR_DIVERGED
 * when the logs differ below. Blocks. */
MUST_CHECK
int ship_fork_confirm(struct engine *e, const struct lineage_fork *fork,
                      const struct ship_located *answer, struct redo_pos *at);

#endif
