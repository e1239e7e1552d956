/* The inside of links: link.c (sending and receiving), link_auth.c (proving the key), link_hub.c
 * (dialling, accepting).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef LOGSHIP_LINK_INT_H
#define LOGSHIP_LINK_INT_H

#include "engine/base/log.h"
#include "logship/link.h"

struct link_item {
    struct list place; /* in link.queue */
    enum ship_type type;
    bool sealed; /* header holds sequence number, checksum and tag */
    uint8_t header[SHIP_HEADER_SIZE];
    uint8_t envelope[SHIP_REDO_ENVELOPE]; /* REDO */
    struct redo_frame *frame;             /* REDO: a reference */
    size_t body_size;
    uint8_t body[]; /* others: a copy */
};

struct link {
    struct link_hub *hub;
    struct list place; /* in link_hub.links */
    const struct link_handler *handler;
    enum ship_kind kind;
    bool accepted;
    struct env_sock *sock;
    struct fiber_io io;

    struct ship_party peer;
    char peer_name[SHIP_NAME_MAX];
    char peer_address[ENV_ADDR_MAX];
    uint8_t key_out[SHIP_SESSION_KEY_SIZE], key_in[SHIP_SESSION_KEY_SIZE];
    bool has_keys;       /* tags are made and checked from here on */
    bool may_be_refused; /* but for a GOODBYE that answers the proof */
    uint64_t seq_out, seq_in;

    /* What was received: one message at a time is looked at, in place. */
    uint8_t *in;
    size_t in_at, in_end, in_cap;
    bool is_dry; /* the last read got less than it asked for: wait before the next */
    uint64_t heard_ns;

    struct list queue; /* of link_item.place */
    size_t queued_bytes;
    size_t head_sent; /* bytes of the first item that are in the socket already */
    struct fiber_queue writer_wakes, room;
    uint64_t sent_ns;

    struct fiber *reader, *writer;
    struct fiber_queue gone; /* somebody has left: the writer, or a sender that waited */
    uint32_t senders;        /* parked in link_send_wait and the like */
    bool up;
    bool closing; /* what is queued is written, then it ends */
    bool ending;
    int end_code;
    char end_text[200];

    void *context;
    struct link_figures figures;
};

struct link_dial {
    struct link_hub *hub;
    struct list place; /* in link_hub.dials */
    char address[ENV_ADDR_MAX];
    member_id_t expect;
    enum ship_kind kind;
    struct link_handler handler;
    struct link *link; /* while it is up */
    struct fiber *fiber;
    struct fiber_queue wakes, gone;
    bool stopping, ended, hurry;
    uint32_t backoff_ms;
    int last_code;
    char last_text[200];
};

struct link_hub {
    struct link_options o;
    uint64_t random;
    struct list links, dials;
    struct env_sock *listener;
    struct fiber *accepter;
    struct link_handler handlers[SHIP_JOINING + 1];
    uint32_t accepted_count, fiber_count;
    bool stopping;
    struct fiber_queue gone;
};

/* ---- link.c --------------------------------------------------------------------------------- */

/* Takes the socket. */
struct link *link_new(struct link_hub *h, struct env_sock *sock, bool accepted);
void link_free(struct link *l);
/* One message, header and body in place, until link_consume. ERR_END when the peer closed. Before
 * the session has keys tags are not asked for. Parks. */
MUST_CHECK
int link_receive(struct link *l, uint64_t deadline_ns, struct ship_header *head,
                 struct slice *body);
void link_consume(struct link *l, const struct ship_header *head);
/* Puts a message into the queue whatever its size. */
void link_enqueue(struct link *l, enum ship_type type, struct slice body);
/* Writes out the queue, from the calling fiber. The deadline is for each step if more_ns is given
 * (whenever something has left, it is so far away again), else for all. Parks. */
MUST_CHECK
int link_write_out(struct link *l, uint64_t deadline_ns, uint64_t more_ns);
/* Runs the link on the calling fiber until it ends: on_up, messages, on_down. Does not free it. */
int link_serve(struct link *l);
void link_end(struct link *l, int code);

/* ---- link_auth.c ---------------------------------------------------------------------------- */

/* Proves the key and has it proved. handlers: by kind, for an accepted link. Parks. */
MUST_CHECK
int link_authenticate(struct link *l, member_id_t expect);

#endif
