/* The simulated network: streams in the manner of TCP, over links with delay, silence, resets and
 * noise.
 *
 * A connection has two sides. What a side sends travels as segments, in order, each with a delay of
 * its own; where the link is blocked they wait, as TCP sends them again until it is not. A side
 * whose node has lost power forgets the connection; what reaches it then is answered by a reset
 * once the node is up again, and by silence before.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/sim_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SEND_WINDOW_BYTES = 128 << 10,    /* sent and not acknowledged */
    RECEIVE_WINDOW_BYTES = 128 << 10, /* delivered and not read */
    SEGMENT_BYTES_MAX = 16 << 10,
};
#define CONNECT_TIMEOUT_NS ((uint64_t)127 * 1000000000)

enum segment_kind {
    SEGMENT_SYN,
    SEGMENT_SYN_ACK,
    SEGMENT_DATA,
    SEGMENT_FIN,
    SEGMENT_RESET,
    SEGMENT_REFUSED, /* an answer to a SYN: nobody listens */
    SEGMENT_TIMEOUT, /* no answer: TCP gave up */
};

struct segment {
    struct list link; /* struct side.arriving */
    enum segment_kind kind;
    uint64_t at_ns;
    size_t size;
    uint8_t data[];
};

enum side_state { SIDE_CONNECTING, SIDE_OPEN, SIDE_FAILED };

struct side {
    struct sim_connection *connection;
    struct sim_node *node;
    struct env_sock *sock; /* NULL: closed, forgotten, or (of the server) not there yet */
    enum side_state state;
    const char *failure; /* why, when failed */
    bool is_eof;         /* the other side has closed */
    uint8_t *data;       /* delivered and not read, from `start` on */
    size_t data_start, data_size, data_cap;
    size_t unacked_bytes;     /* sent by this side */
    size_t ack_waiting_bytes; /* of those, arrived; the way back of the ack is blocked */
    struct list arriving;     /* of struct segment.link, in order */
    struct sim_timer timer;   /* of the first of them */
    char name[ENV_ADDR_MAX];
};

struct sim_connection {
    struct list link; /* struct sim.connections */
    struct sim *sim;
    struct side side[2];       /* 0 began it */
    char target[ENV_ADDR_MAX]; /* "port", or the path */
};

static struct side *
other_side(struct side *s)
{
    return &s->connection->side[s == &s->connection->side[0]];
}

static struct sim_link *
link_from(struct side *s)
{
    return &s->connection->sim->links[s->node->index][other_side(s)->node->index];
}

static struct side *
sock_side(const struct env_sock *s)
{
    return &s->connection->side[s->side];
}

static void
side_poke(struct side *s)
{
    if (s->sock != NULL && s->sock->event != NULL)
        sim_loop_poke(s->sock->event->loop);
}

static void
side_fail(struct side *s, const char *why)
{
    if (s->state != SIDE_FAILED) {
        s->state = SIDE_FAILED;
        s->failure = why;
    }
    side_poke(s);
}

/* ---- segments ------------------------------------------------------------------------------ */

static void
segment_drop(struct segment *g)
{
    list_remove(&g->link);
    xfree(g);
}

static void
arriving_drop(struct side *s)
{
    sim_timer_clear(s->connection->sim, &s->timer);
    list_for_each_safe (g, next, &s->arriving, struct segment, link)
        segment_drop(g);
}

static void
connection_free(struct sim_connection *c)
{
    for (int i = 0; i < 2; i++) {
        arriving_drop(&c->side[i]);
        xfree(c->side[i].data);
    }
    list_remove(&c->link);
    xfree(c);
}

/* Sets the timer for the first segment that is on its way to s, unless something holds it. */
static void
arriving_schedule(struct side *s)
{
    struct sim *sim = s->connection->sim;
    struct segment *g = list_first(&s->arriving, struct segment, link);
    bool is_held;

    if (g == NULL || s->timer.index != SIM_TIMER_OFF)
        return;
    is_held = g->kind != SEGMENT_TIMEOUT && link_from(other_side(s))->is_blocked;
    if (g->kind == SEGMENT_DATA && s->sock != NULL && s->data_size >= RECEIVE_WINDOW_BYTES)
        is_held = true;
    if (!is_held)
        sim_timer_set(sim, &s->timer, g->at_ns > sim->now_ns ? g->at_ns : sim->now_ns);
}

/* From `from` to the other side, after what was sent before. */
static void
segment_send(struct side *from, enum segment_kind kind, const void *data, size_t size)
{
    struct sim *sim = from->connection->sim;
    struct side *to = other_side(from);
    const struct sim_link *l = link_from(from);
    struct segment *g = sim_alloc(sizeof *g + size), *last;

    g->kind = kind;
    g->at_ns = sim->now_ns + sim_between(sim, l->delay_min_us * 1000, l->delay_max_us * 1000);
    if (!list_empty(&to->arriving)) {
        last = container_of(to->arriving.prev, struct segment, link);
        if (last->at_ns > g->at_ns)
            g->at_ns = last->at_ns;
    }
    g->size = size;
    if (size != 0) {
        memcpy(g->data, data, size);
        sim_trace_bytes(sim, data, size);
        if (sim_chance(sim, l->corrupt_per_million, 1000000))
            g->data[sim_random(sim, size)] ^= (uint8_t)(1u << sim_random(sim, 8));
    }
    list_push_back(&to->arriving, &g->link);
    arriving_schedule(to);
}

/* ---- arrival ------------------------------------------------------------------------------- */

static struct env_sock *
find_listener(struct sim_node *n, const char *target)
{
    list_for_each (s, &n->socks, struct env_sock, node_link) {
        const char *colon = strrchr(s->name, ':');

        if (s->is_listener && strcmp(target, s->name[0] == '/' ? s->name
                                             : colon != NULL   ? colon + 1
                                                               : "") == 0)
            return s;
    }
    return NULL;
}

static struct env_sock *
sock_make(struct sim_node *n, struct sim_connection *c, int side)
{
    struct env_sock *s = sim_alloc(sizeof *s);

    s->env = &n->env;
    s->connection = c;
    s->side = side;
    list_init(&s->pending);
    list_init(&s->pending_link);
    list_push_back(&n->socks, &s->node_link);
    if (c != NULL) {
        c->side[side].sock = s;
        snprintf(s->name, sizeof s->name, "%s", c->side[side].name);
    }
    return s;
}

static void
syn_arrives(struct side *s)
{
    struct sim_node *n = s->node;
    struct env_sock *listener = find_listener(n, s->connection->target);
    struct env_sock *sock;

    if (listener == NULL || listener->pending_count >= listener->backlog) {
        segment_send(s, SEGMENT_REFUSED, NULL, 0);
        return;
    }
    sock = sock_make(n, s->connection, 1);
    s->state = SIDE_OPEN;
    list_push_back(&listener->pending, &sock->pending_link);
    listener->pending_count++;
    if (listener->event != NULL)
        sim_loop_poke(listener->event->loop);
    segment_send(s, SEGMENT_SYN_ACK, NULL, 0);
}

/* How much of it arrives, and the end of the connection behind that. */
static size_t
cut_here(struct side *s, size_t size)
{
    struct side *from = other_side(s);
    struct sim_link *l = link_from(from);

    if (!l->is_cut || l->cut_after >= size) {
        l->cut_after -= l->is_cut ? size : 0;
        return size;
    }
    l->is_cut = false;
    arriving_drop(s);
    arriving_drop(from);
    side_fail(from, "Connection reset by peer");
    s->is_eof = true;
    return (size_t)l->cut_after;
}

static void
data_arrives(struct side *s, const struct segment *g)
{
    struct side *from = other_side(s);
    size_t size = cut_here(s, g->size);

    if (size == 0)
        return;
    if (s->data_start > 0 && s->data_start + s->data_size + size > s->data_cap) {
        memmove(s->data, s->data + s->data_start, s->data_size);
        s->data_start = 0;
    }
    if (s->data_size + size > s->data_cap) {
        s->data_cap = 2 * (s->data_size + size);
        s->data = sim_realloc(s->data, s->data_cap);
    }
    memcpy(s->data + s->data_start + s->data_size, g->data, size);
    s->data_size += size;
    if (link_from(s)->is_blocked)
        from->ack_waiting_bytes += size;
    else
        from->unacked_bytes -= size;
    side_poke(from);
}

/* At a side that has forgotten the connection, or closed it: a machine that is off is silent. */
static void
arrives_at_nobody(struct side *s, enum segment_kind kind)
{
    struct side *from = other_side(s);
    struct sim *sim = s->connection->sim;

    if (!s->node->has_power) {
        if (kind == SEGMENT_SYN) {
            segment_send(s, SEGMENT_TIMEOUT, NULL, 0);
            container_of(from->arriving.prev, struct segment, link)->at_ns =
                sim->now_ns + CONNECT_TIMEOUT_NS;
            sim_timer_clear(sim, &from->timer);
            arriving_schedule(from);
        }
        return;
    }
    if (kind == SEGMENT_SYN)
        syn_arrives(s);
    else if (kind == SEGMENT_DATA)
        segment_send(s, SEGMENT_RESET, NULL, 0);
}

static void
segment_arrives(struct side *s, const struct segment *g)
{
    sim_trace(s->connection->sim, (uint64_t)g->kind, g->size);
    if (s->sock == NULL) {
        arrives_at_nobody(s, g->kind);
        return;
    }
    switch (g->kind) {
    case SEGMENT_SYN:
        break; /* the server's side has no socket before it arrives */
    case SEGMENT_SYN_ACK:
        if (s->state == SIDE_CONNECTING)
            s->state = SIDE_OPEN;
        break;
    case SEGMENT_DATA:
        data_arrives(s, g);
        break;
    case SEGMENT_FIN:
        s->is_eof = true;
        break;
    case SEGMENT_RESET:
        side_fail(s, "Connection reset by peer");
        break;
    case SEGMENT_REFUSED:
        side_fail(s, "Connection refused");
        break;
    case SEGMENT_TIMEOUT:
        side_fail(s, "Connection timed out");
        break;
    }
    side_poke(s);
}

static void
side_timer_fire(struct sim *sim, struct sim_timer *t)
{
    struct side *s = container_of(t, struct side, timer);
    struct segment *g = list_first(&s->arriving, struct segment, link);

    (void)sim;
    CHECK(g != NULL);
    list_remove(&g->link);
    segment_arrives(s, g);
    xfree(g);
    arriving_schedule(s);
}

/* ---- addresses and connections ------------------------------------------------------------- */

static struct sim_node *
resolve(struct sim_node *n, const char *host)
{
    if (host[0] == '\0' || strcmp(host, "localhost") == 0 || strcmp(host, "127.0.0.1") == 0 ||
        strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::1") == 0 || strcmp(host, "::") == 0)
        return n;
    for (int i = 0; i < n->sim->node_count; i++)
        if (strcmp(n->sim->nodes[i]->name, host) == 0)
            return n->sim->nodes[i];
    return NULL;
}

int
sim_listen(struct env *env, const char *address, int backlog, struct env_sock **out)
{
    struct sim_node *n = sim_node_of(env);
    char host[ENV_ADDR_MAX], port[16];
    struct env_sock *s;

    *out = NULL;
    if (address[0] != '/') {
        if (!env_split_address(address, host, port))
            return DIAG(ERR_INVALID_PARAMETER_VALUE,
                        "\"%s\" is not an address: host:port is needed", address);
        if (resolve(n, host) != n)
            return DIAG(ERR_CONNECT, "could not listen on \"%s\": Cannot assign requested address",
                        address);
        if (strcmp(port, "0") == 0)
            snprintf(port, sizeof port, "%u", n->next_port++);
    }
    if (find_listener(n, address[0] == '/' ? address : port) != NULL)
        return DIAG(ERR_CONNECT, "could not listen on \"%s\": Address already in use", address);
    s = sock_make(n, NULL, 0);
    s->is_listener = true;
    s->backlog = backlog > 0 ? backlog : 1;
    if (address[0] == '/')
        snprintf(s->name, sizeof s->name, "%s", address);
    else
        snprintf(s->name, sizeof s->name, "%.31s:%s", n->name, port);
    *out = s;
    return 0;
}

int
sim_accept(struct env_sock *listener, struct env_sock **out)
{
    struct list *link;

    *out = NULL;
    sim_maybe_yield(listener->env);
    link = list_pop_front(&listener->pending);
    if (link == NULL)
        return ERR_AGAIN;
    listener->pending_count--;
    *out = container_of(link, struct env_sock, pending_link);
    return 0;
}

static void
side_init(struct sim_connection *c, int i, struct sim_node *n)
{
    struct side *s = &c->side[i];

    s->connection = c;
    s->node = n;
    s->state = SIDE_CONNECTING;
    list_init(&s->arriving);
    sim_timer_init(&s->timer, side_timer_fire);
}

int
sim_connect(struct env *env, const char *address, struct env_sock **out)
{
    struct sim_node *n = sim_node_of(env), *target = n;
    char host[ENV_ADDR_MAX] = "", port[16];
    struct sim_connection *c;

    *out = NULL;
    sim_maybe_yield(env);
    if (address[0] != '/') {
        if (!env_split_address(address, host, port))
            return DIAG(ERR_INVALID_PARAMETER_VALUE,
                        "\"%s\" is not an address: host:port is needed", address);
        target = resolve(n, host);
        if (target == NULL)
            return DIAG(ERR_CONNECT, "could not resolve \"%s\": Name or service not known",
                        address);
    }
    c = sim_alloc(sizeof *c);
    c->sim = n->sim;
    snprintf(c->target, sizeof c->target, "%s", address[0] == '/' ? address : port);
    side_init(c, 0, n);
    side_init(c, 1, target);
    if (address[0] == '/') {
        snprintf(c->side[0].name, ENV_ADDR_MAX, "local");
        snprintf(c->side[1].name, ENV_ADDR_MAX, "local");
    } else {
        snprintf(c->side[0].name, ENV_ADDR_MAX, "%.31s:%u", n->name, n->next_port++);
        snprintf(c->side[1].name, ENV_ADDR_MAX, "%.31s:%s", target->name, port);
    }
    list_push_back(&n->sim->connections, &c->link);
    *out = sock_make(n, c, 0);
    segment_send(&c->side[0], SEGMENT_SYN, NULL, 0);
    return 0;
}

int
sim_connect_result(struct env_sock *s)
{
    struct side *side = sock_side(s);

    if (side->state == SIDE_CONNECTING)
        return ERR_AGAIN;
    if (side->state == SIDE_FAILED)
        return DIAG(ERR_CONNECT, "could not connect to \"%s\": %s", other_side(side)->name,
                    side->failure);
    return 0;
}

/* ---- data ---------------------------------------------------------------------------------- */

int
sim_sock_readiness(const struct env_sock *s)
{
    const struct side *side;

    if (s->is_listener)
        return list_empty(&s->pending) ? 0 : ENV_EV_READ;
    side = sock_side(s);
    if (side->state == SIDE_FAILED)
        return ENV_EV_READ | ENV_EV_WRITE;
    if (side->state == SIDE_CONNECTING)
        return 0;
    return (side->data_size > 0 || side->is_eof ? ENV_EV_READ : 0) |
           (side->unacked_bytes < SEND_WINDOW_BYTES ? ENV_EV_WRITE : 0);
}

int
sim_recv(struct env_sock *s, void *buf, size_t size, size_t *got)
{
    struct side *side = sock_side(s);
    struct sim *sim = sim_of(s->env);

    *got = 0;
    sim_maybe_yield(s->env);
    if (side->state == SIDE_FAILED)
        return DIAG(ERR_CONNECTION_FAILURE, "could not receive from \"%s\": %s",
                    other_side(side)->name, side->failure);
    if (side->data_size == 0)
        return side->is_eof ? 0 : ERR_AGAIN;
    *got = side->data_size < size ? side->data_size : size;
    if (*got > 1 && sim_chance(sim, 1, 4))
        *got = sim_between(sim, 1, *got);
    memcpy(buf, side->data + side->data_start, *got);
    side->data_start += *got;
    side->data_size -= *got;
    if (side->data_size == 0)
        side->data_start = 0;
    arriving_schedule(side);
    return 0;
}

static size_t
send_bytes(struct side *side, const uint8_t *data, size_t size)
{
    struct sim *sim = side->connection->sim;
    size_t sent = 0;

    while (sent < size && side->unacked_bytes < SEND_WINDOW_BYTES) {
        size_t n = sim_between(sim, 1, SEGMENT_BYTES_MAX);

        if (n > size - sent || sim_chance(sim, 3, 4))
            n = size - sent < SEGMENT_BYTES_MAX ? size - sent : SEGMENT_BYTES_MAX;
        if (n > SEND_WINDOW_BYTES - side->unacked_bytes)
            n = SEND_WINDOW_BYTES - side->unacked_bytes;
        side->unacked_bytes += n;
        segment_send(side, SEGMENT_DATA, data + sent, n);
        sent += n;
    }
    return sent;
}

int
sim_sendv(struct env_sock *s, const struct iovec *v, int count, size_t *sent)
{
    struct side *side = sock_side(s);
    struct sim *sim = sim_of(s->env);

    *sent = 0;
    sim_maybe_yield(s->env);
    if (side->state == SIDE_FAILED)
        return DIAG(ERR_CONNECTION_FAILURE, "could not send to \"%s\": %s", other_side(side)->name,
                    side->failure);
    if (side->state == SIDE_CONNECTING || side->unacked_bytes >= SEND_WINDOW_BYTES)
        return ERR_AGAIN;
    for (int i = 0; i < count; i++) {
        size_t size = v[i].iov_len, n;

        if (size > 1 && sim_chance(sim, 1, 16))
            size = sim_between(sim, 1, size);
        n = send_bytes(side, v[i].iov_base, size);
        *sent += n;
        if (n < v[i].iov_len)
            break;
    }
    return 0;
}

/* ---- the end ------------------------------------------------------------------------------- */

/* What a blocked link holds is the sender's to send again: without power it never comes. */
static void
held_drop(struct side *from)
{
    if (!link_from(from)->is_blocked)
        return;
    list_for_each_safe (g, next, &other_side(from)->arriving, struct segment, link)
        if (g->kind != SEGMENT_TIMEOUT)
            segment_drop(g);
}

static void
stream_free(struct env_sock *s, enum sim_death how)
{
    struct sim_connection *c = s->connection;
    struct side *side = sock_side(s);

    side->sock = NULL;
    if (how == SIM_DEATH_POWER)
        held_drop(side);
    xfree(side->data);
    side->data = NULL;
    if (other_side(side)->sock == NULL) {
        connection_free(c);
        return;
    }
    /* Closing with something unread is a reset, so that the peer learns that it was not read. */
    if (how != SIM_DEATH_POWER && side->state != SIDE_FAILED)
        segment_send(side,
                     side->state == SIDE_CONNECTING || side->data_size > 0 ? SEGMENT_RESET
                                                                           : SEGMENT_FIN,
                     NULL, 0);
    side->data_size = side->data_start = side->data_cap = 0;
    side->state = SIDE_FAILED;
    arriving_schedule(side);
}

void
sim_sock_free(struct env_sock *s, enum sim_death how)
{
    list_remove(&s->node_link);
    list_remove(&s->pending_link);
    if (s->is_listener) {
        list_for_each_safe (p, next, &s->pending, struct env_sock, pending_link)
            sim_sock_free(p, how);
    } else {
        stream_free(s, how);
    }
    xfree(s);
}

void
sim_sock_close(struct env_sock *s)
{
    CHECK(s->event == NULL);
    sim_sock_free(s, SIM_DEATH_NONE);
}

void
sim_connections_free(struct sim *sim)
{
    list_for_each_safe (c, next, &sim->connections, struct sim_connection, link)
        connection_free(c);
}

void
sim_sock_name(const struct env_sock *s, bool peer, char out[ENV_ADDR_MAX])
{
    if (!peer || s->is_listener)
        snprintf(out, ENV_ADDR_MAX, "%s", s->name[0] == '/' ? "local" : s->name);
    else
        snprintf(out, ENV_ADDR_MAX, "%s", other_side(sock_side(s))->name);
}

bool
sim_sock_is_loopback(const struct env_sock *s)
{
    return s->is_listener || s->connection->side[0].node == s->connection->side[1].node;
}

/* ---- links --------------------------------------------------------------------------------- */

/* What was held goes on, with the delay of a retransmission. */
static void
link_resume(struct side *to)
{
    struct sim *sim = to->connection->sim;
    struct side *from = other_side(to);
    const struct sim_link *l = link_from(from);
    uint64_t at_ns = sim->now_ns + sim_between(sim, l->delay_min_us * 1000, l->delay_max_us * 1000);

    list_for_each (g, &to->arriving, struct segment, link)
        if (g->kind != SEGMENT_TIMEOUT && g->at_ns < at_ns)
            g->at_ns = at_ns;
    to->unacked_bytes -= to->ack_waiting_bytes; /* the acks come the same way */
    to->ack_waiting_bytes = 0;
    sim_timer_clear(sim, &to->timer);
    arriving_schedule(to);
    side_poke(to);
}

void
sim_net_block(struct sim *sim, struct env *from, struct env *to, bool blocked)
{
    struct sim_node *a = sim_node_of(from), *b = sim_node_of(to);
    struct sim_link *l = &sim->links[a->index][b->index];

    if (l->is_blocked == blocked)
        return;
    l->is_blocked = blocked;
    list_for_each (c, &sim->connections, struct sim_connection, link) {
        for (int i = 0; i < 2; i++) {
            struct side *s = &c->side[i];

            if (s->node != b || other_side(s)->node != a)
                continue;
            if (blocked)
                sim_timer_clear(sim, &s->timer);
            if (blocked)
                arriving_schedule(s); /* a timeout still comes */
            else
                link_resume(s);
        }
    }
}

void
sim_net_partition(struct sim *sim, struct env *a, struct env *b, bool blocked)
{
    sim_net_block(sim, a, b, blocked);
    sim_net_block(sim, b, a, blocked);
}

void
sim_net_isolate(struct sim *sim, struct env *node, bool blocked)
{
    for (int i = 0; i < sim->node_count; i++)
        if (&sim->nodes[i]->env != node)
            sim_net_partition(sim, node, &sim->nodes[i]->env, blocked);
}

void
sim_net_heal(struct sim *sim)
{
    for (int i = 0; i < sim->node_count; i++)
        for (int k = 0; k < sim->node_count; k++) {
            sim->links[i][k].is_cut = false;
            sim_net_block(sim, &sim->nodes[i]->env, &sim->nodes[k]->env, false);
        }
}

void
sim_net_reset(struct sim *sim, struct env *a, struct env *b)
{
    list_for_each (c, &sim->connections, struct sim_connection, link) {
        struct side *s = &c->side[0];

        if ((&s[0].node->env != a || &s[1].node->env != b) &&
            (&s[0].node->env != b || &s[1].node->env != a))
            continue;
        for (int i = 0; i < 2; i++) {
            arriving_drop(&s[i]);
            side_fail(&s[i], "Connection reset by peer");
        }
    }
}

void
sim_net_cut(struct sim *sim, struct env *from, struct env *to, uint64_t bytes)
{
    struct sim_link *l = &sim->links[sim_node_of(from)->index][sim_node_of(to)->index];

    l->is_cut = true;
    l->cut_after = bytes;
}

void
sim_net_set_delay(struct sim *sim, struct env *from, struct env *to, uint64_t min_us,
                  uint64_t max_us)
{
    struct sim_link *l = &sim->links[sim_node_of(from)->index][sim_node_of(to)->index];

    l->delay_min_us = min_us;
    l->delay_max_us = max_us;
}

void
sim_net_set_corruption(struct sim *sim, struct env *from, struct env *to, uint32_t per_million)
{
    sim->links[sim_node_of(from)->index][sim_node_of(to)->index].corrupt_per_million = per_million;
}
