/* One connection: its queue, the fiber that writes, the fiber that reads.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include "logship/link_int.h"

enum { IN_FIRST = 64 << 10, IOV_MAX_ITEMS = 16, STACK = 64 << 10 };
#define MS                    ((uint64_t)1000000)
#define STRANGER_HEARTBEAT_NS (1000 * MS)
#define STRANGER_SILENCE_NS   (5000 * MS)

static uint64_t
now_ns(const struct link *l)
{
    return env_boot_ns(l->hub->o.env);
}

/* Microseconds until a moment; 0 when it has passed. */
static uint64_t
until_us(const struct link *l, uint64_t deadline_ns)
{
    uint64_t now = now_ns(l);

    return deadline_ns > now ? (deadline_ns - now + 999) / 1000 : 0;
}

struct link *
link_new(struct link_hub *h, struct env_sock *sock, bool accepted)
{
    struct link *l = xcalloc(1, sizeof *l);

    l->hub = h;
    l->sock = sock;
    l->accepted = accepted;
    list_init(&l->queue);
    list_push_back(&h->links, &l->place);
    fiber_queue_init(&l->writer_wakes);
    fiber_queue_init(&l->room);
    fiber_queue_init(&l->gone);
    fiber_io_init(&l->io, h->o.sched, sock);
    env_sock_peer(sock, l->peer_address);
    l->heard_ns = l->sent_ns = now_ns(l);
    return l;
}

static void
item_free(struct link *l, struct link_item *i)
{
    list_remove(&i->place);
    l->queued_bytes -= SHIP_HEADER_SIZE + i->body_size;
    redo_frame_unref(i->frame);
    xfree(i);
}

void
link_free(struct link *l)
{
    while (!list_empty(&l->queue))
        item_free(l, list_first(&l->queue, struct link_item, place));
    list_remove(&l->place);
    fiber_io_fini(&l->io);
    env_sock_close(l->sock);
    xfree(l->in);
    xfree(l);
}

/* ---- receiving ------------------------------------------------------------------------------ */

/* At least `need` bytes from in_at on. LINK-2: the caller has checked need against a limit. */
static int
fill(struct link *l, size_t need, uint64_t deadline_ns)
{
    if (l->in_at + need > l->in_cap) {
        if (l->in_end != l->in_at)
            memmove(l->in, l->in + l->in_at, l->in_end - l->in_at);
        l->in_end -= l->in_at;
        l->in_at = 0;
    }
    if (need > l->in_cap) {
        l->in_cap = need > IN_FIRST ? need : IN_FIRST;
        l->in = xrealloc(l->in, l->in_cap);
    }
    while (l->in_end - l->in_at < need) {
        size_t got = 0, want = l->in_cap - l->in_end;
        int rc;

        if (l->ending)
            return DIAG(ERR_STOPPED, "the link is ending");
        if (!l->has_keys && want > SHIP_BYTES_BEFORE_AUTH - l->figures.received_bytes)
            want = SHIP_BYTES_BEFORE_AUTH - l->figures.received_bytes; /* LINK-3 */
        if (want == 0)
            return DIAG(ERR_LIMIT, "%s sends too much before it has proved the key",
                        l->peer_address);
        rc = l->is_dry ? ERR_AGAIN : env_recv(l->sock, l->in + l->in_end, want, &got);
        if (rc == ERR_AGAIN) {
            l->is_dry = false;
            rc = fiber_io_wait(&l->io, ENV_EV_READ, until_us(l, deadline_ns));
            if (rc == ERR_TIMEOUT)
                return DIAG(ERR_CONNECTION_FAILURE, "%s: nothing was heard in time",
                            l->peer_address);
            if (rc != 0)
                return DIAG(ERR_STOPPED, "the link is ending");
            continue;
        }
        if (rc != 0)
            return rc;
        if (got == 0)
            return l->in_end == l->in_at
                       ? ERR_END
                       : DIAG(ERR_CONNECTION_FAILURE,
                              "%s closed the connection in the middle of a message",
                              l->peer_address);
        l->is_dry = got < want;
        l->in_end += got;
        l->figures.received_bytes += got;
    }
    return 0;
}

int
link_receive(struct link *l, uint64_t deadline_ns, struct ship_header *head, struct slice *body)
{
    const uint8_t *bytes;
    int rc = fill(l, SHIP_HEADER_SIZE, deadline_ns);

    if (rc == 0)
        rc = ship_header_decode(l->in + l->in_at, head);
    if (rc == 0 && !l->has_keys && head->type > SHIP_GOODBYE)
        rc = DIAG(ERR_PROTOCOL, "%s before the key was proved", ship_type_name(head->type));
    if (rc == 0)
        rc = fill(l, SHIP_HEADER_SIZE + head->body_size, deadline_ns);
    if (rc != 0)
        return rc;
    bytes = l->in + l->in_at;
    *body = slice(bytes + SHIP_HEADER_SIZE, head->body_size);
    rc = ship_check(bytes, *body);
    if (rc != 0)
        return rc;
    if (head->seq != l->seq_in)
        return DIAG(ERR_PROTOCOL, "message %llu came where %llu was due",
                    (unsigned long long)head->seq, (unsigned long long)l->seq_in);
    if (l->has_keys && !(l->may_be_refused && head->type == SHIP_GOODBYE) &&
        !ship_tag_check(l->key_in, l->seq_in, bytes, *body))
        return DIAG(ERR_INVALID_AUTHORIZATION, "a message does not carry the session's tag");
    l->seq_in++;
    l->heard_ns = now_ns(l);
    l->figures.received_messages++;
    return 0;
}

void
link_consume(struct link *l, const struct ship_header *head)
{
    l->in_at += SHIP_HEADER_SIZE + head->body_size;
    if (l->in_at == l->in_end)
        l->in_at = l->in_end = 0;
}

/* ---- queue ---------------------------------------------------------------------------------- */

static bool
has_room(const struct link *l, size_t size)
{
    return list_empty(&l->queue) || l->queued_bytes + size <= l->hub->o.queue_bytes_max;
}

static void
push(struct link *l, struct link_item *i)
{
    list_push_back(&l->queue, &i->place);
    l->queued_bytes += SHIP_HEADER_SIZE + i->body_size;
    fiber_queue_wake_all(&l->writer_wakes);
}

void
link_enqueue(struct link *l, enum ship_type type, struct slice body)
{
    struct link_item *i = xmalloc(sizeof *i + body.size);

    CHECK(body.size <= ship_type_limit(type));
    memset(i, 0, sizeof *i);
    i->type = type;
    i->body_size = body.size;
    if (body.size != 0)
        memcpy(i->body, body.data, body.size);
    push(l, i);
}

int
link_send(struct link *l, enum ship_type type, struct slice body)
{
    if (l->ending || l->closing)
        return ERR_STOPPED;
    if (!has_room(l, SHIP_HEADER_SIZE + body.size))
        return ERR_AGAIN;
    link_enqueue(l, type, body);
    return 0;
}

/* Until there is room, or the link ends. The link lives on while somebody is in here. */
static int
wait_for_room(struct link *l, size_t size)
{
    l->senders++;
    while (!l->ending && !l->closing && !has_room(l, size))
        fiber_queue_wait(&l->room);
    l->senders--;
    if (!l->ending && !l->closing)
        return 0;
    fiber_queue_wake_all(&l->gone);
    return ERR_STOPPED;
}

int
link_send_wait(struct link *l, enum ship_type type, struct slice body)
{
    int rc = wait_for_room(l, SHIP_HEADER_SIZE + body.size);

    if (rc == 0)
        link_enqueue(l, type, body);
    return rc;
}

int
link_send_redo(struct link *l, const struct ship_redo *envelope, struct redo_frame *frame)
{
    size_t size = SHIP_REDO_ENVELOPE + frame->bytes_size;
    int rc = wait_for_room(l, SHIP_HEADER_SIZE + size);
    struct link_item *i;

    if (rc != 0)
        return rc;
    i = xcalloc(1, sizeof *i);
    i->type = SHIP_REDO;
    i->body_size = size;
    i->frame = redo_frame_ref(frame);
    ship_redo_envelope(i->envelope, envelope);
    push(l, i);
    return 0;
}

int
link_send_role(struct link *l, const struct role_message *m)
{
    struct writer w;
    int rc;

    wr_init(&w, SHIP_BODY_MAX);
    role_message_encode(&w, m);
    rc = wr_finish(&w);
    if (rc == 0)
        rc = link_send(l, (enum ship_type)m->type, wr_view(&w));
    wr_fini(&w);
    return rc;
}

size_t
link_queued_bytes(const struct link *l)
{
    return l->queued_bytes;
}

int
link_flush(struct link *l)
{
    l->senders++;
    while (!l->ending && !list_empty(&l->queue))
        fiber_queue_wait(&l->room);
    l->senders--;
    if (!l->ending)
        return 0;
    fiber_queue_wake_all(&l->gone);
    return ERR_STOPPED;
}

/* ---- writing -------------------------------------------------------------------------------- */

static void
item_parts(const struct link_item *i, struct slice *body, struct slice *more)
{
    if (i->frame != NULL) {
        *body = slice(i->envelope, sizeof i->envelope);
        *more = slice(i->frame->bytes, i->frame->bytes_size);
    } else {
        *body = slice(i->body, i->body_size);
        *more = slice(NULL, 0);
    }
}

/* The sequence number is given here, in the order of the wire. */
static void
seal(struct link *l, struct link_item *i)
{
    const struct link_options *o = &l->hub->o;
    struct ship_header head = { .type = i->type,
                                .body_size = (uint32_t)i->body_size,
                                .seq = l->seq_out,
                                .database_id = o->database_id,
                                .sender = o->self,
                                .boot = o->boot_id };
    struct slice body, more;

    if (i->sealed)
        return;
    item_parts(i, &body, &more);
    ship_header_encode(&head, i->header);
    head.crc = ship_checksum(i->header, body, more);
    ship_header_encode(&head, i->header);
    if (l->has_keys) {
        ship_tag(l->key_out, l->seq_out, i->header, body, more, head.tag);
        ship_header_encode(&head, i->header);
    }
    l->seq_out++;
    i->sealed = true;
}

/* Gathers what is queued; bytes of the first item that are out already are left off. */
static int
gather(struct link *l, struct iovec *v)
{
    size_t skip = l->head_sent;
    int n = 0, items = 0;

    list_for_each (i, &l->queue, struct link_item, place) {
        struct slice part[3] = { { i->header, SHIP_HEADER_SIZE } };

        if (items++ == IOV_MAX_ITEMS)
            break;
        seal(l, i);
        item_parts(i, &part[1], &part[2]);
        for (int k = 0; k < 3; k++) {
            size_t off = skip < part[k].size ? skip : part[k].size;

            skip -= off;
            if (part[k].size == off)
                continue;
            v[n].iov_base = (void *)(uintptr_t)(part[k].data + off);
            v[n++].iov_len = part[k].size - off;
        }
    }
    return n;
}

static void
sent_bytes(struct link *l, size_t sent)
{
    l->figures.sent_bytes += sent;
    l->head_sent += sent;
    for (;;) {
        struct link_item *i = list_first(&l->queue, struct link_item, place);

        if (i == NULL || l->head_sent < SHIP_HEADER_SIZE + i->body_size || !i->sealed)
            break;
        l->head_sent -= SHIP_HEADER_SIZE + i->body_size;
        item_free(l, i);
        l->figures.sent_messages++;
    }
    l->sent_ns = now_ns(l);
    fiber_queue_wake_all(&l->room);
}

int
link_write_out(struct link *l, uint64_t deadline_ns, uint64_t more_ns)
{
    while (!list_empty(&l->queue)) {
        struct iovec v[3 * IOV_MAX_ITEMS];
        size_t sent = 0;
        int n = gather(l, v);
        int rc = env_sendv(l->sock, v, n, &sent);

        if (rc == 0) {
            sent_bytes(l, sent);
            if (more_ns != 0)
                deadline_ns = now_ns(l) + more_ns;
            continue;
        }
        if (rc != ERR_AGAIN)
            return rc;
        rc = fiber_io_wait(&l->io, ENV_EV_WRITE, until_us(l, deadline_ns));
        if (rc == ERR_TIMEOUT)
            return DIAG(ERR_CONNECTION_FAILURE, "%s takes nothing any more", l->peer_address);
        if (rc != 0 || l->ending)
            return ERR_STOPPED;
    }
    return 0;
}

/* LINK-1. Members of a configuration agree about heartbeats and silence; a command or a joining
 * node does not know how they are set where it asks. */
static uint64_t
heartbeat_ns(const struct link *l)
{
    uint64_t ns = l->hub->o.heartbeat_ms * MS;

    return l->kind == SHIP_PEER || ns < STRANGER_HEARTBEAT_NS ? ns : STRANGER_HEARTBEAT_NS;
}

static uint64_t
silence_ns(const struct link *l)
{
    uint64_t ns = l->hub->o.net_timeout_ms * MS;

    return l->kind == SHIP_PEER || ns > STRANGER_SILENCE_NS ? ns : STRANGER_SILENCE_NS;
}

/* LINK-1: something goes out at least every heartbeat. */
static void
writer_main(void *arg)
{
    struct link *l = arg;
    int rc = 0;

    while (!l->ending && rc == 0) {
        uint64_t due = l->sent_ns + heartbeat_ns(l);

        if (!list_empty(&l->queue)) {
            rc = link_write_out(l, now_ns(l) + silence_ns(l), silence_ns(l));
            continue;
        }
        if (l->closing)
            break;
        if (until_us(l, due) == 0)
            link_enqueue(l, SHIP_PING, slice(NULL, 0));
        else
            (void)fiber_queue_wait_us(&l->writer_wakes, until_us(l, due));
    }
    link_end(l, l->closing ? l->end_code : rc);
    l->writer = NULL;
    fiber_queue_wake_all(&l->gone);
}

/* ---- life ----------------------------------------------------------------------------------- */

void
link_end(struct link *l, int code)
{
    if (l->ending)
        return;
    l->ending = true;
    if (l->end_code == 0)
        l->end_code = code;
    if (code != 0 && diag_last()->code == code)
        snprintf(l->end_text, sizeof l->end_text, "%s", diag_last()->message);
    fiber_queue_wake_all(&l->writer_wakes);
    fiber_queue_wake_all(&l->room);
    if (l->writer != NULL && l->writer != fiber_self())
        fiber_interrupt(l->writer);
    if (l->reader != NULL && l->reader != fiber_self())
        fiber_interrupt(l->reader);
}

void
link_close(struct link *l, int code, const char *text)
{
    if (l->ending || l->closing)
        return;
    if (text == NULL || !l->up) {
        link_end(l, code);
        return;
    }
    l->closing = true;
    l->end_code = code;
    if (code != 0 || text[0] != '\0') {
        uint8_t bytes[1024];
        struct ship_goodbye bye = { .code = code, .text = slice_str(text) };
        struct writer w;

        if (bye.text.size > sizeof bytes - 16)
            bye.text.size = sizeof bytes - 16;
        wr_init_fixed(&w, bytes, sizeof bytes);
        ship_goodbye_encode(&w, &bye);
        link_enqueue(l, SHIP_GOODBYE, wr_view(&w));
    }
    fiber_queue_wake_all(&l->writer_wakes);
    fiber_queue_wake_all(&l->room);
}

static int
on_goodbye(struct link *l, struct slice body)
{
    struct ship_goodbye bye;
    int rc = ship_goodbye_decode(body, &bye);

    if (rc != 0)
        return rc;
    if (bye.code == 0)
        return ERR_END;
    return DIAG(bye.code, "%s: %.*s", l->peer_address,
                (int)(bye.text.size < 300 ? bye.text.size : 300), (const char *)bye.text.data);
}

static int
read_loop(struct link *l)
{
    const uint64_t timeout = silence_ns(l);
    int rc = 0;

    while (rc == 0 && !l->ending) {
        struct ship_header head;
        struct slice body;

        /* Counted from when this side began to listen: it may have been busy with a message. */
        rc = link_receive(l, now_ns(l) + timeout, &head, &body);
        if (rc != 0)
            break;
        if (head.type == SHIP_GOODBYE)
            rc = on_goodbye(l, body);
        else if (head.type < SHIP_GOODBYE)
            rc = DIAG(ERR_PROTOCOL, "%s on an established link", ship_type_name(head.type));
        else if (head.type != SHIP_PING && !l->closing)
            rc = l->handler->on_message(l->handler->arg, l, &head, body);
        link_consume(l, &head);
    }
    return l->ending && l->end_code != 0 ? l->end_code : rc;
}

int
link_serve(struct link *l)
{
    struct link_hub *h = l->hub;
    int rc;

    l->reader = fiber_self();
    l->up = true;
    l->figures.up_since_ns = now_ns(l);
    l->writer = fiber_start(h->o.sched, "link writer", STACK, writer_main, l);
    l->handler->on_up(l->handler->arg, l);
    rc = read_loop(l);
    link_end(l, rc);
    if (l->end_code != 0 && l->end_code != ERR_END && l->end_code != ERR_STOPPED)
        log_warning(h->o.log, "link with %s: %s (%s)", l->peer_name, l->end_text,
                    err_name(l->end_code));
    l->reader = NULL;
    while (l->writer != NULL || l->senders != 0)
        fiber_queue_wait(&l->gone);
    (void)fiber_interrupted();
    l->up = false;
    l->handler->on_down(l->handler->arg, l, l->end_code);
    return l->end_code;
}

/* ---- asking --------------------------------------------------------------------------------- */

member_id_t
link_peer_id(const struct link *l)
{
    return l->peer.id;
}

const char *
link_peer_name(const struct link *l)
{
    return l->peer_name;
}

const char *
link_peer_address(const struct link *l)
{
    return l->peer_address;
}

uint64_t
link_heard_ns(const struct link *l)
{
    return l->heard_ns;
}

void
link_set_context(struct link *l, void *context)
{
    l->context = context;
}

void *
link_context(const struct link *l)
{
    return l->context;
}

void
link_get_figures(const struct link *l, struct link_figures *out)
{
    *out = l->figures;
}
