/* Connections between nodes: dialling with back-off, accepting, proving the key, sending and
 * receiving messages, noticing that the other side is gone.
 *
 * Everything of one hub lives on one scheduler; every function here is called on its thread. A link
 * is two fibers: one receives and calls the owner, one writes out what is queued. Messages of a
 * link arrive in the order in which they were sent, each once, or the link ends. What was queued
 * when a link ends is gone: the protocols above expect that.
 *
 * LINK-1  a link that heard nothing for net_timeout is dead; each side sends something at least
 *         every heartbeat (a PING when there is nothing else). The kernel's keepalive is not used.
 *         On other links than those between members it is 5 s and 1 s, or what is more patient.
 * LINK-2  memory is bounded: the queue by queue_bytes_max, what is received by the limit of its
 * type. LINK-3  before both sides have proved the key, at most 10 KiB are read and only AUTH_* and
 * GOODBYE are understood; a peer that fails is logged and dropped.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef LOGSHIP_LINK_H
#define LOGSHIP_LINK_H

#include "engine/base/fiber.h"
#include "engine/base/list.h"
#include "logship/auth.h"

struct log;
struct link;
struct link_hub;

/* ---- the hub -------------------------------------------------------------------------------- */

struct link_options {
    struct sched *sched;
    struct env *env;
    struct log *log; /* or NULL */
    struct ship_key key;
    uint64_t database_id; /* 0: not known (a command, a joining node): any is accepted */
    member_id_t self;     /* 0: likewise */
    uint64_t boot_id;
    char name[SHIP_NAME_MAX];
    uint32_t heartbeat_ms;    /* 0: 500 */
    uint32_t net_timeout_ms;  /* 0: 5000 */
    uint32_t auth_timeout_ms; /* 0: 5000 */
    uint32_t backoff_min_ms;  /* 0: 50; doubles, with jitter, */
    uint32_t backoff_max_ms;  /* 0: 5000; a link that came up resets it */
    size_t queue_bytes_max;   /* 0: 32 MiB */
    uint32_t accepted_max;    /* accepted connections at a time; 0: 64 */
    uint32_t seed;            /* of the jitter; 0: from env */
};

/* What the owner does with links. All run on the hub's thread. */
struct link_handler {
    /* The key is proved, both ways. The link may be kept until on_down. Must not park. */
    void (*on_up)(void *arg, struct link *l);
    /* A message; the body is valid until the call returns. May park (then the line waits, and with
     * it the sender: back-pressure). An error (with its DIAG) ends the link. */
    int (*on_message)(void *arg, struct link *l, const struct ship_header *h, struct slice body);
    /* After the last on_message; the link is gone when this returns. `code`: why. Not called for a
     * link that never came up. Must not park. */
    void (*on_down)(void *arg, struct link *l, int code);
    void *arg;
};

struct link_hub *link_hub_new(const struct link_options *o);
/* Ends all links, dialling and listening; returns when their fibers have ended. Parks. */
void link_hub_free(struct link_hub *h);
/* Learnt later: a joined node's own id and database. Links that are up are ended. */
void link_hub_identify(struct link_hub *h, uint64_t database_id, member_id_t self);

/* Accepts on a listening socket, which it takes; connections of a kind go to its handler, kinds
 * without one are refused. A peer that says to be `self` or of another database is refused. */
enum { LINK_BACKLOG = 64 };
void link_hub_listen(struct link_hub *h, struct env_sock *listener,
                     const struct link_handler handlers[SHIP_JOINING + 1]);
void link_hub_local(const struct link_hub *h, char out[ENV_ADDR_MAX]); /* where it listens */

/* ---- dialling ------------------------------------------------------------------------------- */

/* Keeps a link to the address up: connects again and again, with back-off, until link_dial_stop.
 * `expect`: the member that must answer; 0: any. */
struct link_dial;
struct link_dial *link_dial_start(struct link_hub *h, const char *address, member_id_t expect,
                                  enum ship_kind kind, const struct link_handler *handler);
/* Ends the link if it is up. The handler is not called any more once this returns. Parks. */
void link_dial_stop(struct link_dial *d);
void link_dial_now(struct link_dial *d); /* does not wait for the back-off to pass */
int link_dial_last_error(const struct link_dial *d, char *text, size_t size);

/* One attempt, for a command: 0 and a link that is up, or why not. Parks. */
MUST_CHECK
int link_connect(struct link_hub *h, const char *address, enum ship_kind kind,
                 const struct link_handler *handler, struct link **out);

/* ---- a link --------------------------------------------------------------------------------- */

/* Copies the body into the queue. ERR_AGAIN when the queue is full, ERR_STOPPED when the link is
 * ending. Does not park. */
MUST_CHECK
int link_send(struct link *l, enum ship_type type, struct slice body);
/* The same, waiting for room. Parks. */
MUST_CHECK
int link_send_wait(struct link *l, enum ship_type type, struct slice body);
/* A frame in its envelope, by reference. Waits for room; parks. */
MUST_CHECK
int link_send_redo(struct link *l, const struct ship_redo *envelope, struct redo_frame *frame);
/* Encodes and sends. */
MUST_CHECK
int link_send_role(struct link *l, const struct role_message *m);
size_t link_queued_bytes(const struct link *l);
/* Waits until all that is queued has been handed to the socket. Parks. */
MUST_CHECK
int link_flush(struct link *l);
/* Ends it: what is queued is written first if `text` is given (a GOODBYE with the code closes it).
 * Returns at once; on_down follows. */
void link_close(struct link *l, int code, const char *text);

/* What the other side proved to be. */
member_id_t link_peer_id(const struct link *l);
const char *link_peer_name(const struct link *l);
const char *link_peer_address(const struct link *l);
uint64_t link_heard_ns(const struct link *l); /* when a message last arrived */
/* The owner's own. */
void link_set_context(struct link *l, void *context);
void *link_context(const struct link *l);

struct link_figures {
    uint64_t sent_messages, sent_bytes, received_messages, received_bytes;
    uint64_t up_since_ns;
};
void link_get_figures(const struct link *l, struct link_figures *out);

#endif
