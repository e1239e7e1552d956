/* Sends redo over a link: what a follower, a candidate or a cascaded standby has asked for
 * (REDO_REQUEST), from memory, files or the archive, until the link ends, the request is replaced,
 * or the end that was asked for is reached. Frames leave when they are sealed, before they are
 * durable here; each carries what the reign has published, and a POINTER does when there is none.
 *
 * Everything is called on the hub's thread, but ship_sender_wake.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef LOGSHIP_SHIP_SEND_H
#define LOGSHIP_SHIP_SEND_H

#include "engine/engine.h"
#include "logship/link.h"

struct ship_sender;

struct ship_send_options {
    struct engine *engine;
    struct sched *sched;   /* the hub's */
    struct job_pool *jobs; /* reading redo may touch the disk */
    struct link *link;
    struct ship_redo_request request;
    incarnation_t target; /* on the way to which redo is read: what the own log agrees with */
    size_t budget_bytes;  /* queued on the link at a time; 0: 8 MiB */
    /* What rides along: the reign's incarnation and what it has published; on the hub's thread. */
    void (*pointer)(void *arg, struct ship_pointer *out);
    /* The sender has ended and is freed after this; `code` 0: all was sent, ERR_STOPPED: by
     * ship_sender_stop or with the link. ERR_NEEDS_RESEED: the follower is too far behind. May be
     * NULL. */
    void (*on_end)(void *arg, struct ship_sender *s, int code);
    void *arg;
};

struct ship_sender *ship_sender_start(const struct ship_send_options *o);
/* Sends nothing more; on_end follows. From the link's on_down at the latest. Does not park. */
void ship_sender_stop(struct ship_sender *s);
/* The pointer has moved. From any thread. */
void ship_sender_wake(struct ship_sender *s);

/* ---- finding where two logs part --------------------------------------------------------------
 */

/* redo_locate; where `inc` ends, what goes on there will do. Blocks. */
MUST_CHECK
int ship_locate(struct engine *e, incarnation_t inc, struct lsn lsn, struct redo_pos *pos);
/* The answer to a LOCATE, sent on the link. Parks. */
MUST_CHECK
int ship_answer_locate(struct engine *e, struct job_pool *jobs, struct link *l, struct slice body);
/* HELLO's part that the engine knows: log and lineage (encoded into `lineage`, which the caller
 * frees and out->lineage points into). Blocks. */
MUST_CHECK
int ship_hello_fill(struct engine *e, incarnation_t follows, struct ship_hello *out,
                    struct writer *lineage);
/* The own log's end for a role message or a HELLO. Blocks. */
MUST_CHECK
int ship_log_fill(struct engine *e, incarnation_t follows, struct role_log *out);
struct ship_pos ship_pos_of(const struct redo_pos *p);
struct redo_pos ship_pos_to(const struct ship_pos *p);

#endif
