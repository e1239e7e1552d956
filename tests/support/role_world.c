/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/role_world_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATABASE 0x1234

/* ---- chance --------------------------------------------------------------------------------- */

uint64_t
world_random(struct world *w, uint64_t below)
{
    uint64_t z = w->random += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return below != 0 ? z % below : z;
}

bool
world_chance(struct world *w, unsigned percent)
{
    return world_random(w, 100) < percent;
}

void
world_violate(struct world *w, const char *fmt, ...)
{
    va_list ap;

    if (w->violation[0] != '\0')
        return;
    va_start(ap, fmt);
    vsnprintf(w->violation, sizeof w->violation, fmt, ap);
    va_end(ap);
}

void
world_trace(struct world *w, int node, const char *fmt, ...)
{
    va_list ap;

    if (!w->verbose)
        return;
    printf("%8.3f n%d: ", (double)w->now / 1e9, node + 1);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
}

int
world_index_of(const struct world *w, member_id_t id)
{
    return id >= 1 && id <= (member_id_t)w->nodes ? (int)id - 1 : -1;
}

/* ---- making --------------------------------------------------------------------------------- */

struct world *
world_new(uint64_t seed, int nodes, int listed, int k, unsigned mutants)
{
    struct world *w = xcalloc(1, sizeof *w);

    w->seed = w->random = seed;
    w->nodes = nodes;
    w->lazy = -1;
    w->mutants = mutants;
    w->now = 1000 * MS;
    w->ever = xcalloc(WORLD_TAGS_MAX, sizeof *w->ever);
    for (int i = 0; i < nodes; i++) {
        struct world_node *n = &w->node[i];
        struct role_register *reg = &n->durable.reg;

        n->id = (member_id_t)i + 1;
        role_durable_first(&n->durable, DATABASE, "n1", "h:1", "h:2");
        reg->mode = listed > 0 ? REGISTER_AVAILABILITY : REGISTER_PERFORMANCE;
        reg->k = (uint8_t)k;
        reg->net_timeout_ms = 1500;
        for (int m = 1; m < nodes; m++) {
            struct register_member *rm = &reg->members[reg->member_count++];

            rm->id = reg->next_member_id++;
            rm->admitted = true;
            rm->listed = m <= listed;
            snprintf(rm->name, sizeof rm->name, "n%d", m + 1);
        }
        n->durable.follows = 0;
    }
    return w;
}

static void
drop_flight(struct world *w, uint32_t i)
{
    xfree(w->flight[i].role);
    w->flight[i] = w->flight[--w->flight_count];
}

void
world_free(struct world *w)
{
    while (w->flight_count > 0)
        drop_flight(w, 0);
    for (int i = 0; i < w->nodes; i++) {
        role_free(w->node[i].role);
        role_actions_fini(&w->node[i].queue);
    }
    xfree(w->ever);
    xfree(w);
}

/* ---- the wire ------------------------------------------------------------------------------- */

void
world_post(struct world *w, struct world_message m)
{
    int from = world_index_of(w, m.from), to = world_index_of(w, m.to);
    int copies = 1;

    if (to < 0 || from < 0 || w->cut[from][to] || (w->faults && world_chance(w, 5)))
        copies = 0;
    else if (w->faults && world_chance(w, 5))
        copies = 2;
    for (int i = 0; i < copies && w->flight_count < WORLD_FLIGHT_MAX; i++) {
        struct world_message *f = &w->flight[w->flight_count++];

        *f = m;
        f->at = w->now + world_random(w, 3 * MS) + 1;
        if (w->faults && world_chance(w, 10))
            f->at += world_random(w, world_chance(w, 20) ? 8000 * MS : 600 * MS);
        if (m.role != NULL) {
            f->role = xmalloc(sizeof *f->role);
            *f->role = *m.role;
        }
    }
}

void
world_update_ends(struct world *w, struct world_node *n)
{
    struct role_ends e = { .end = lsn_make(n->end),
                           .durable = lsn_make(n->hard),
                           .applied = lsn_make(n->end),
                           .published = lsn_make(n->published),
                           .end_scn = n->end,
                           .published_scn = n->published };

    role_on_log(n->role, w->now, &e, &n->queue);
}

void
world_send_ack(struct world *w, struct world_node *n)
{
    if (n->taking_inc != 0)
        world_post(w, (struct world_message){ .to = n->taking_from,
                                              .from = n->id,
                                              .kind = WM_ACK,
                                              .inc = n->taking_inc,
                                              .pos = n->hard });
}

/* FO-31: begins at the end, chain fits, the envelope is of the reign that is followed. */
static void
take_frame(struct world *w, struct world_node *n, const struct world_message *m)
{
    if (m->from != n->taking_from || m->inc != n->taking_inc)
        return;
    if (m->pos == n->end + 1 && n->end < WORLD_LOG_MAX && n->log[n->end] == m->tag_before) {
        n->log[++n->end] = m->tag;
        n->hard = n->end;
    }
    if (m->published > n->published) {
        uint32_t upto = m->published < n->end ? m->published : n->end;

        for (uint32_t i = n->published + 1; i <= upto; i++)
            if (!w->ever[n->log[i]])
                world_violate(w, "FO-32: node %u published LSN %u, which was never acknowledged",
                              n->id, i);
        if (upto > n->published)
            n->published = upto;
    }
    world_update_ends(w, n);
    world_send_ack(w, n);
}

static void
take_ack(struct world *w, struct world_node *n, const struct world_message *m)
{
    struct gate_ack a = { .member = m->from,
                          .inc = m->inc,
                          .received = lsn_make(m->pos),
                          .durable = lsn_make(m->pos),
                          .applied = lsn_make(m->pos) };
    struct gate_ack *have = &n->acks[world_index_of(w, m->from)];

    if (have->inc != a.inc || lsn_lt(have->durable, a.durable))
        *have = a;
    role_on_ack(n->role, w->now, &a, &n->queue);
}

static void
deliver(struct world *w, uint32_t at)
{
    struct world_message m = w->flight[at];
    struct world_node *n = &w->node[world_index_of(w, m.to)];

    w->flight[at].role = NULL;
    drop_flight(w, at);
    if (n->up && n->paused_until > w->now) {
        m.at = n->paused_until + world_random(w, MS) + 1; /* in its socket's buffer */
        w->flight[w->flight_count++] = m;
        return;
    }
    if (n->up) {
        if (m.kind == WM_ROLE)
            role_on_message(n->role, w->now, m.role, &n->queue);
        else if (m.kind == WM_FRAME)
            take_frame(w, n, &m);
        else
            take_ack(w, n, &m);
    }
    xfree(m.role);
}

/* ---- life and death ------------------------------------------------------------------------- */

void
world_start(struct world *w, int i)
{
    struct world_node *n = &w->node[i];
    struct role_config c = { .self = n->id,
                             .database_id = DATABASE,
                             .boot_id = world_random(w, 0),
                             .seed = world_random(w, 0),
                             .mutants = w->mutants };

    CHECK(!n->up);
    c.times.heartbeat_ns = 200 * MS;
    c.times.retry_ns = 100 * MS;
    c.times.canvass_ns = 400 * MS;
    c.times.stand_ns = 1200 * MS;
    c.times.switchover_ns = 1500 * MS;
    c.times.regain_delay_ns = 200 * MS;
    c.times.regain_lag_bytes = 20;
    world_trace(w, i, "starts with register %u.%u, promised %u", n->durable.reg.key.inc,
                n->durable.reg.key.version, n->durable.promised);
    n->up = true;
    n->role = role_new(&c, &n->durable, w->now);
    n->tick_at = n->act_at = w->now;
    n->paused_until = 0;
    memset(n->acks, 0, sizeof n->acks);
    n->published =
        (uint32_t)n->durable.published.v < n->end ? (uint32_t)n->durable.published.v : n->end;
    world_update_ends(w, n);
    role_start(n->role, w->now, &n->queue);
}

/* What was not durable survives in part, or not at all. */
void
world_crash(struct world *w, int i)
{
    struct world_node *n = &w->node[i];

    if (!n->up)
        return;
    world_trace(w, i, "crashes");
    n->up = false;
    role_free(n->role);
    n->role = NULL;
    role_actions_clear(&n->queue);
    n->head = 0;
    n->op = OP_NONE;
    n->writing = n->taking_inc = n->taking_from = 0;
    n->draining = false;
    n->gate = (struct gate_state){ .closed = true };
    n->end = n->hard + (uint32_t)world_random(w, n->end - n->hard + 1);
    n->hard = n->end;
    for (int k = 0; k < w->nodes; k++)
        if (k != i && w->node[k].up && !w->cut[k][i])
            role_on_link(w->node[k].role, w->now, n->id, false, &w->node[k].queue);
}

void
world_cut(struct world *w, int a, int b, bool cut)
{
    w->cut[a][b] = w->cut[b][a] = cut;
}

void
world_heal(struct world *w)
{
    memset(w->cut, 0, sizeof w->cut);
    for (int i = 0; i < w->nodes; i++)
        w->node[i].paused_until = 0;
}

/* ---- time ----------------------------------------------------------------------------------- */

/* Primaries append and make durable, ship what the others lack, followers repeat their acks. */
static void
work(struct world *w)
{
    for (int i = 0; i < w->nodes; i++) {
        struct world_node *n = &w->node[i];

        if (!n->up || n->paused_until > w->now)
            continue;
        if (n->writing == 0) {
            if (world_chance(w, 20))
                world_send_ack(w, n);
            continue;
        }
        if (!n->draining && n->end < WORLD_LOG_MAX && w->last_tag + 1 < WORLD_TAGS_MAX &&
            n->end < n->hard + 4 && world_chance(w, 15))
            world_append(w, n);
        if (n->hard < n->end && world_chance(w, 60)) {
            n->hard++;
            world_update_ends(w, n);
        }
        for (int k = 0; k < w->nodes; k++) {
            uint32_t at = (uint32_t)n->acks[k].durable.v;

            if (k == i || n->acks[k].inc != n->writing || (k == w->lazy && world_chance(w, 90)))
                continue;
            if (at < n->end)
                at++;
            else if (!world_chance(w, 10))
                continue;
            world_post(w, (struct world_message){ .to = w->node[k].id,
                                                  .from = n->id,
                                                  .kind = WM_FRAME,
                                                  .inc = n->writing,
                                                  .pos = at,
                                                  .tag = n->log[at],
                                                  .tag_before = n->log[at - (at > 0)],
                                                  .published = n->acked });
        }
        world_acknowledge(w, n);
    }
    w->work_at = w->now + 10 * MS + world_random(w, 20 * MS);
}

static bool
node_step(struct world *w, struct world_node *n)
{
    if (!n->up || n->paused_until > w->now)
        return false;
    if (n->head < n->queue.count && n->act_at <= w->now) {
        world_act_next(w, n);
        return true;
    }
    if (n->op != OP_NONE && n->op_at <= w->now && n->head == n->queue.count) {
        world_finish_op(w, n);
        return true;
    }
    if (n->tick_at <= w->now) {
        uint64_t next;

        role_on_tick(n->role, w->now, &n->queue);
        next = role_next_tick_ns(n->role);
        n->tick_at = w->now + 20 * MS; /* it may be called sooner than it asks */
        if (next > n->tick_at)
            n->tick_at = next < w->now + 100 * MS ? next : w->now + 100 * MS;
        return true;
    }
    return false;
}

/* Everything that is due now, one thing at a time. */
static bool
step(struct world *w)
{
    int first = (int)world_random(w, (uint64_t)w->nodes);

    for (int i = 0; i < w->nodes; i++)
        if (node_step(w, &w->node[(first + i) % w->nodes]))
            return true;
    for (uint32_t i = 0; i < w->flight_count; i++)
        if (w->flight[i].at <= w->now) {
            deliver(w, i);
            return true;
        }
    if (w->work_at <= w->now) {
        work(w);
        return true;
    }
    return false;
}

static uint64_t
next_event(const struct world *w)
{
    uint64_t t = w->work_at;

    for (uint32_t i = 0; i < w->flight_count; i++)
        if (w->flight[i].at < t)
            t = w->flight[i].at;
    for (int i = 0; i < w->nodes; i++) {
        const struct world_node *n = &w->node[i];
        uint64_t at = n->tick_at;

        if (!n->up)
            continue;
        if (n->head < n->queue.count && n->act_at < at)
            at = n->act_at;
        if (n->op != OP_NONE && n->op_at < at && n->head == n->queue.count)
            at = n->op_at;
        if (at < n->paused_until)
            at = n->paused_until;
        if (at < t)
            t = at;
    }
    return t > w->now ? t : w->now + 1;
}

void
world_run(struct world *w, uint64_t ns)
{
    uint64_t until = w->now + ns;

    while (w->violation[0] == '\0' && w->now < until) {
        if (!step(w))
            w->now = next_event(w);
    }
}

/* ---- asking --------------------------------------------------------------------------------- */

struct role_status
world_status(const struct world *w, int i)
{
    struct role_status s = { 0 };

    if (w->node[i].up)
        role_get_status(w->node[i].role, &s);
    return s;
}

int
world_primary(const struct world *w)
{
    int best = -1;

    for (int i = 0; i < w->nodes; i++)
        if (w->node[i].up && w->node[i].writing != 0 && world_status(w, i).state == ROLE_OPEN &&
            (best < 0 || w->node[i].writing > w->node[best].writing))
            best = i;
    return best;
}

static bool
all_follow(const struct world *w, int primary)
{
    for (int i = 0; i < w->nodes; i++) {
        struct role_status s = world_status(w, i);

        if (i == primary || !w->node[i].up)
            continue;
        if (s.state != ROLE_MOUNTED || s.follow != ROLE_FOLLOW_LIVE ||
            s.inc != w->node[primary].writing || w->node[i].hard + 20 < w->node[primary].acked)
            return false;
    }
    return true;
}

bool
world_serves(struct world *w, uint64_t within)
{
    uint64_t until = w->now + within;

    while (w->now < until && w->violation[0] == '\0') {
        int p = world_primary(w);
        uint64_t before = w->acked_total;

        world_run(w, 500 * MS);
        if (p >= 0 && p == world_primary(w) && all_follow(w, p) &&
            (w->acked_total > before || w->node[p].acked == WORLD_LOG_MAX))
            return true;
    }
    return false;
}

int
world_await(struct world *w, int i, uint64_t within)
{
    uint64_t until = w->now + within;

    while (w->now < until && w->violation[0] == '\0') {
        if (w->node[i].replied) {
            w->node[i].replied = false;
            return w->node[i].reply_code;
        }
        world_run(w, 20 * MS);
    }
    return ERR_TIMEOUT;
}
