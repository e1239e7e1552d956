/* Dialling and accepting.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "logship/link_int.h"

enum { STACK = 64 << 10 };
#define MS ((uint64_t)1000000)

/* ---- the hub -------------------------------------------------------------------------------- */

static void
default_u32(uint32_t *v, uint32_t value)
{
    if (*v == 0)
        *v = value;
}

struct link_hub *
link_hub_new(const struct link_options *o)
{
    struct link_hub *h = xcalloc(1, sizeof *h);

    h->o = *o;
    default_u32(&h->o.heartbeat_ms, 500);
    default_u32(&h->o.net_timeout_ms, 5000);
    default_u32(&h->o.auth_timeout_ms, 5000);
    default_u32(&h->o.backoff_min_ms, 50);
    default_u32(&h->o.backoff_max_ms, 5000);
    default_u32(&h->o.accepted_max, 64);
    if (h->o.queue_bytes_max == 0)
        h->o.queue_bytes_max = 32 << 20;
    h->random = o->seed != 0 ? o->seed : env_random_u64(o->env);
    list_init(&h->links);
    list_init(&h->dials);
    fiber_queue_init(&h->gone);
    return h;
}

void
link_hub_free(struct link_hub *h)
{
    h->stopping = true;
    while (!list_empty(&h->dials))
        link_dial_stop(list_first(&h->dials, struct link_dial, place));
    if (h->accepter != NULL)
        fiber_interrupt(h->accepter);
    list_for_each (l, &h->links, struct link, place)
        link_end(l, ERR_STOPPED);
    while (h->fiber_count != 0)
        fiber_queue_wait(&h->gone);
    CHECK(list_empty(&h->links));
    memset(&h->o.key, 0, sizeof h->o.key);
    xfree(h);
}

void
link_hub_identify(struct link_hub *h, uint64_t database_id, member_id_t self)
{
    h->o.database_id = database_id;
    h->o.self = self;
    list_for_each (l, &h->links, struct link, place)
        link_end(l, ERR_STOPPED);
}

static void
fiber_gone(struct link_hub *h)
{
    h->fiber_count--;
    fiber_queue_wake_all(&h->gone);
}

/* ---- accepting ------------------------------------------------------------------------------ */

static void
accepted_main(void *arg)
{
    struct link *l = arg;
    struct link_hub *h = l->hub;
    int rc = link_authenticate(l, 0);

    if (rc == 0) {
        l->handler = &h->handlers[l->kind];
        (void)link_serve(l);
    } else if (rc != ERR_STOPPED) {
        log_diag(h->o.log, LOG_WARNING, "refused a connection from %s", l->peer_address);
    }
    (void)fiber_interrupted();
    link_free(l);
    h->accepted_count--;
    fiber_gone(h);
}

static void
accept_one(struct link_hub *h, struct env_sock *sock)
{
    if (h->accepted_count >= h->o.accepted_max) {
        char peer[ENV_ADDR_MAX];

        env_sock_peer(sock, peer);
        log_warning(h->o.log, "refused a connection from %s: %u are open", peer, h->accepted_count);
        env_sock_close(sock);
        return;
    }
    h->accepted_count++;
    h->fiber_count++;
    fiber_start(h->o.sched, "link accepted", FIBER_STACK_DEFAULT, accepted_main,
                link_new(h, sock, true));
}

static void
accepter_main(void *arg)
{
    struct link_hub *h = arg;
    struct fiber_io io;

    fiber_io_init(&io, h->o.sched, h->listener);
    while (!h->stopping) {
        struct env_sock *sock;
        int rc = env_accept(h->listener, &sock);

        if (rc == 0) {
            accept_one(h, sock);
        } else if (rc == ERR_AGAIN) {
            if (fiber_io_wait(&io, ENV_EV_READ, UINT64_MAX) != 0)
                break;
        } else {
            log_diag(h->o.log, LOG_WARNING, "accepting connections");
            fiber_sleep_us(100000); /* out of descriptors: some will be given back */
        }
    }
    fiber_io_fini(&io);
    env_sock_close(h->listener);
    h->listener = NULL;
    h->accepter = NULL;
    fiber_gone(h);
}

void
link_hub_listen(struct link_hub *h, struct env_sock *listener,
                const struct link_handler handlers[SHIP_JOINING + 1])
{
    CHECK(h->listener == NULL);
    memcpy(h->handlers, handlers, sizeof h->handlers);
    h->listener = listener;
    h->fiber_count++;
    h->accepter = fiber_start(h->o.sched, "link accepter", STACK, accepter_main, h);
}

void
link_hub_local(const struct link_hub *h, char out[ENV_ADDR_MAX])
{
    if (h->listener != NULL)
        env_sock_local(h->listener, out);
    else
        out[0] = '\0';
}

/* ---- dialling ------------------------------------------------------------------------------- */

static int
connect_to(struct link_hub *h, const char *address, enum ship_kind kind, member_id_t expect,
           const struct link_handler *handler, struct link **out)
{
    struct env_sock *sock;
    struct link *l;
    int rc = env_connect(h->o.env, address, &sock);

    if (rc != 0)
        return rc;
    l = link_new(h, sock, false);
    l->kind = kind;
    l->handler = handler;
    l->reader = fiber_self(); /* link_end reaches it here, too */
    snprintf(l->peer_address, sizeof l->peer_address, "%s", address);
    snprintf(l->peer_name, sizeof l->peer_name, "%.*s", SHIP_NAME_MAX - 1, address);
    rc = fiber_io_wait(&l->io, ENV_EV_WRITE, (uint64_t)h->o.net_timeout_ms * 1000);
    if (rc == ERR_TIMEOUT)
        rc = DIAG(ERR_CONNECT, "connecting to %s takes too long", address);
    else if (rc == 0)
        rc = env_connect_result(sock);
    else
        rc = ERR_STOPPED;
    if (rc == 0)
        rc = link_authenticate(l, expect);
    if (rc == 0 && l->ending)
        rc = ERR_STOPPED;
    if (rc != 0) {
        l->reader = NULL;
        link_free(l);
        return rc;
    }
    *out = l;
    return 0;
}

static void
note_error(struct link_dial *d, int code)
{
    const struct diag *diag = diag_last();

    /* The first of its kind is news; that it goes on is not. */
    if (code != d->last_code && code != ERR_STOPPED)
        log_diag(d->hub->o.log, LOG_WARNING, "connecting to %s", d->address);
    d->last_code = code;
    snprintf(d->last_text, sizeof d->last_text, "%.*s", (int)sizeof d->last_text - 1,
             diag->code == code ? diag->message : err_name(code));
}

/* Doubles up to the largest, and a part of it by chance, so that nodes do not move in step. */
static uint64_t
next_backoff_us(struct link_dial *d)
{
    struct link_hub *h = d->hub;
    uint64_t ms = d->backoff_ms, z;

    d->backoff_ms = ms * 2 < h->o.backoff_max_ms ? (uint32_t)ms * 2 : h->o.backoff_max_ms;
    z = h->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return ms * 500 + (z ^ z >> 31) % (ms * 500 + 1);
}

static void
dial_main(void *arg)
{
    struct link_dial *d = arg;
    struct link_hub *h = d->hub;

    d->backoff_ms = h->o.backoff_min_ms;
    while (!d->stopping) {
        struct link *l;
        int rc = connect_to(h, d->address, d->kind, d->expect, &d->handler, &l);

        if (rc == 0) {
            d->last_code = 0;
            d->link = l;
            rc = link_serve(l);
            if (rc != ERR_ROLE) /* sent away, it would be again */
                d->backoff_ms = h->o.backoff_min_ms;
            d->link = NULL;
            d->last_code = rc;
            snprintf(d->last_text, sizeof d->last_text, "%s",
                     l->end_text[0] != '\0' ? l->end_text : err_name(rc));
            link_free(l);
        } else {
            note_error(d, rc);
        }
        (void)fiber_interrupted();
        if (!d->stopping && !d->hurry)
            (void)fiber_queue_wait_us(&d->wakes, next_backoff_us(d));
        d->hurry = false;
    }
    d->ended = true;
    fiber_queue_wake_all(&d->gone);
    fiber_gone(h);
}

struct link_dial *
link_dial_start(struct link_hub *h, const char *address, member_id_t expect, enum ship_kind kind,
                const struct link_handler *handler)
{
    struct link_dial *d = xcalloc(1, sizeof *d);

    d->hub = h;
    d->expect = expect;
    d->kind = kind;
    d->handler = *handler;
    snprintf(d->address, sizeof d->address, "%s", address);
    fiber_queue_init(&d->wakes);
    fiber_queue_init(&d->gone);
    list_push_back(&h->dials, &d->place);
    h->fiber_count++;
    d->fiber = fiber_start(h->o.sched, "link dial", FIBER_STACK_DEFAULT, dial_main, d);
    return d;
}

void
link_dial_stop(struct link_dial *d)
{
    d->stopping = true;
    list_remove(&d->place); /* the hub waits for its fiber, and frees it no second time */
    if (d->link != NULL)
        link_end(d->link, ERR_STOPPED);
    if (!d->ended)
        fiber_interrupt(d->fiber);
    fiber_queue_wake_all(&d->wakes);
    while (!d->ended)
        fiber_queue_wait(&d->gone);
    xfree(d);
}

void
link_dial_now(struct link_dial *d)
{
    d->backoff_ms = d->hub->o.backoff_min_ms;
    d->hurry = true;
    fiber_queue_wake_all(&d->wakes);
}

int
link_dial_last_error(const struct link_dial *d, char *text, size_t size)
{
    snprintf(text, size, "%s", d->last_code != 0 ? d->last_text : "");
    return d->last_code;
}

/* ---- one connection ------------------------------------------------------------------------- */

struct single {
    struct link_handler handler;
    struct link *link;
};

static void
single_main(void *arg)
{
    struct single *s = arg;
    struct link_hub *h = s->link->hub;

    (void)link_serve(s->link);
    link_free(s->link);
    xfree(s);
    fiber_gone(h);
}

int
link_connect(struct link_hub *h, const char *address, enum ship_kind kind,
             const struct link_handler *handler, struct link **out)
{
    struct single *s = xcalloc(1, sizeof *s);
    int rc;

    s->handler = *handler;
    rc = connect_to(h, address, kind, 0, &s->handler, &s->link);
    if (rc != 0) {
        xfree(s);
        return rc;
    }
    *out = s->link;
    s->link->reader = NULL;
    h->fiber_count++;
    fiber_start(h->o.sched, "link", FIBER_STACK_DEFAULT, single_main, s);
    return 0;
}
