/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/role_world.h"

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

PRINTF_LIKE(2, 3) static void violate(struct world *w, const char *fmt, ...)
{
    va_list ap;

    if (w->violation[0] != '\0')
        return;
    va_start(ap, fmt);
    vsnprintf(w->violation, sizeof w->violation, fmt, ap);
    va_end(ap);
}

PRINTF_LIKE(3, 4) static void trace(struct world *w, int node, const char *fmt, ...)
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

static int
index_of(const struct world *w, member_id_t id)
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

static void
post(struct world *w, struct world_message m)
{
    int from = index_of(w, m.from), to = index_of(w, m.to);
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

static void
update_ends(struct world *w, struct world_node *n)
{
    struct role_ends e = { .end = lsn_make(n->end),
                           .durable = lsn_make(n->hard),
                           .applied = lsn_make(n->end),
                           .published = lsn_make(n->published),
                           .end_scn = n->end,
                           .published_scn = n->published };

    role_on_log(n->role, w->now, &e, &n->queue);
}

static void
send_ack(struct world *w, struct world_node *n)
{
    if (n->taking_inc != 0)
        post(w, (struct world_message){ .to = n->taking_from,
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
                violate(w, "FO-32: node %u published LSN %u, which was never acknowledged", n->id,
                        i);
        if (upto > n->published)
            n->published = upto;
    }
    update_ends(w, n);
    send_ack(w, n);
}

static void
take_ack(struct world *w, struct world_node *n, const struct world_message *m)
{
    struct gate_ack a = { .member = m->from,
                          .inc = m->inc,
                          .received = lsn_make(m->pos),
                          .durable = lsn_make(m->pos),
                          .applied = lsn_make(m->pos) };
    struct gate_ack *have = &n->acks[index_of(w, m->from)];

    if (have->inc != a.inc || lsn_lt(have->durable, a.durable))
        *have = a;
    role_on_ack(n->role, w->now, &a, &n->queue);
}

static void
deliver(struct world *w, uint32_t at)
{
    struct world_message m = w->flight[at];
    struct world_node *n = &w->node[index_of(w, m.to)];

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

/* ---- what clients see ----------------------------------------------------------------------- */

static uint32_t
common(const uint32_t *a, uint32_t na, const uint32_t *b, uint32_t nb)
{
    uint32_t i = 0;

    while (i < na && i < nb && a[i + 1] == b[i + 1])
        i++;
    return i;
}

static uint32_t
holders(const struct world *w, incarnation_t inc, uint64_t reign)
{
    uint32_t set = 0;

    for (int i = 0; i < w->nodes; i++) {
        const struct role_register *reg = &w->node[i].durable.reg;

        if (reg->key.inc > inc || (reg->key.inc == inc && reg->reign_id == reign))
            set |= 1u << i;
    }
    return set;
}

/* INV-4, and the ledger against the log of who opens (INV-2). */
static void
check_opening(struct world *w, struct world_node *n, incarnation_t inc)
{
    const struct role_register *reg = &n->durable.reg;
    uint32_t have = common(n->log, n->end, w->ledger, w->ledger_count);

    if (reg->key.inc != inc || reg->primary != n->id) {
        violate(w, "INV-4: node %u opens %u without its own register", n->id, inc);
        return;
    }
    for (uint32_t i = have + 1; i <= w->ledger_count; i++)
        if (w->ledger_inc[i] >= reg->loss_inc &&
            !(w->ledger_inc[i] < reg->fenced_inc && w->ledger_alone[i])) {
            violate(w, "INV-2: node %u opens %u without the commit at LSN %u", n->id, inc, i);
            return;
        }
    if (have < w->ledger_count)
        trace(w, (int)n->id - 1, "loses %u commits", w->ledger_count - have);
    w->ledger_count = have;
    w->opened_total++;
}

/* FO-1a: what is acknowledged, unless alone, is in the durable logs of k of each list. */
static void
check_held(struct world *w, const struct world_node *n, uint32_t upto)
{
    for (uint8_t r = 0; r < n->gate.rule_count && !n->gate.alone; r++) {
        const struct gate_rule *rule = &n->gate.rules[r];
        uint32_t held = 0;

        for (uint8_t i = 0; i < rule->count; i++) {
            const struct world_node *s = &w->node[index_of(w, rule->members[i])];

            held += s->hard >= upto && s->log[upto] == n->log[upto];
        }
        if (held < rule->k)
            violate(w, "FO-1: node %u acknowledges LSN %u, which %u of its list hold", n->id, upto,
                    held);
    }
}

static void
acknowledge(struct world *w, struct world_node *n)
{
    struct lsn may;
    const struct role_register *reg = &n->durable.reg;

    if (n->writing == 0 || n->gate.inc != n->writing || n->paused_until > w->now)
        return;
    may = gate_acknowledged(&n->gate, n->acks, (uint32_t)w->nodes, lsn_make(n->hard));
    if (may.v <= n->acked || !role_permit_valid(n->role, w->now))
        return;
    if (n->writing < w->last_inc ||
        (n->writing == w->last_inc && reg->reign_id != w->last_reign && w->last_reign != 0)) {
        violate(w, "INV-1: node %u acknowledges in %u after %u did", n->id, n->writing,
                w->last_inc);
        return;
    }
    if (reg->fenced_inc != n->writing &&
        __builtin_popcount(holders(w, n->writing, reg->reign_id)) < 2 && w->nodes > 1) {
        violate(w, "INV-4: node %u acknowledges in %u, held by itself alone", n->id, n->writing);
        return;
    }
    w->last_inc = n->writing;
    w->last_reign = reg->reign_id;
    for (uint32_t i = n->acked + 1; i <= may.v; i++) {
        if (i <= w->ledger_count && w->ledger[i] != n->log[i]) {
            violate(w, "INV-2: node %u acknowledges another commit at LSN %u", n->id, i);
            return;
        }
        if (i > w->ledger_count) {
            w->ledger_count = i;
            w->ledger[i] = n->log[i];
            w->ledger_alone[i] = n->gate.alone;
            w->ledger_inc[i] = n->writing;
        }
        w->ever[n->log[i]] = true;
        w->acked_total++;
    }
    check_held(w, n, (uint32_t)may.v);
    n->acked = (uint32_t)may.v;
    if (n->published < n->acked)
        n->published = n->acked;
    update_ends(w, n);
}

/* INV-3 */
static void
cut_log(struct world *w, struct world_node *n, uint32_t to)
{
    for (uint32_t i = to + 1; i <= n->published && i <= n->end; i++)
        if (i <= w->ledger_count && w->ledger[i] == n->log[i])
            violate(w, "INV-3: node %u cuts the published commit at LSN %u", n->id, i);
    if (n->end > to)
        n->end = to;
    if (n->hard > n->end)
        n->hard = n->end;
    if (n->published > n->end)
        n->published = n->end;
}

/* ---- actions -------------------------------------------------------------------------------- */

static void
begin_op(struct world *w, struct world_node *n, enum world_op op, const struct role_action *a)
{
    n->op = op;
    n->op_action = *a;
    n->op_at = w->now + world_random(w, w->faults ? 40 * MS : MS) + 1;
}

static void
act(struct world *w, struct world_node *n, const struct role_action *a)
{
    trace(w, (int)n->id - 1, "%s inc %u to %u %s%s", role_action_name(a->type), a->inc, a->to,
          a->message != NULL ? role_message_name(a->message->type) : "", a->text);
    switch (a->type) {
    case ROLE_ACT_PERSIST:
        n->durable = *a->durable;
        break;
    case ROLE_ACT_SEND: {
        struct role_message m = *a->message;

        if (role_message_has_log(m.type))
            m.log = role_log_now(n->role);
        post(w, (struct world_message){ .to = a->to, .from = n->id, .kind = WM_ROLE, .role = &m });
        break;
    }
    case ROLE_ACT_GATE:
        n->gate = a->gate;
        role_on_gate(n->role, w->now, a->gate.seq, lsn_make(n->acked), &n->queue);
        break;
    case ROLE_ACT_STOP_FOLLOWING:
        n->op = OP_NONE;
        n->taking_from = n->taking_inc = 0;
        n->hard = n->end;
        update_ends(w, n);
        break;
    case ROLE_ACT_FOLLOW:
        begin_op(w, n, OP_FOLLOW, a);
        break;
    case ROLE_ACT_CUT:
        begin_op(w, n, OP_CUT, a);
        break;
    case ROLE_ACT_ACKNOWLEDGE:
        n->taking_from = a->to;
        n->taking_inc = a->inc;
        send_ack(w, n);
        break;
    case ROLE_ACT_PREPARE:
        n->writing = 0;
        begin_op(w, n, OP_PREPARE, a);
        break;
    case ROLE_ACT_OPEN:
        begin_op(w, n, OP_OPEN, a);
        break;
    case ROLE_ACT_CLOSE_WRITERS:
        n->op = OP_NONE;
        n->writing = 0;
        n->draining = false;
        break;
    case ROLE_ACT_DRAIN:
        n->draining = true;
        begin_op(w, n, OP_DRAIN, a);
        break;
    case ROLE_ACT_UNDRAIN:
        n->draining = false;
        break;
    case ROLE_ACT_BASE_COPY:
        begin_op(w, n, OP_BASE_COPY, a);
        break;
    case ROLE_ACT_REPLY:
        n->replied = true;
        n->reply_code = a->code;
        memcpy(n->reply, a->text, sizeof n->reply);
        break;
    case ROLE_ACT_NOTE:
        n->alarms += a->level == ROLE_ALARM;
        break;
    case ROLE_ACT_COUNT:
        break;
    }
}

static void
act_next(struct world *w, struct world_node *n)
{
    struct role_action a = n->queue.items[n->head++];

    act(w, n, &a);
    if (w->faults && world_random(w, 400) == 0) {
        world_crash(w, (int)n->id - 1); /* between two actions */
        return;
    }
    if (n->head == n->queue.count) {
        role_actions_clear(&n->queue);
        n->head = 0;
    }
    n->act_at = w->now;
    if (w->faults && world_chance(w, 10))
        n->act_at += world_random(w, world_chance(w, 5) ? 2000 * MS : 10 * MS);
}

/* ---- ticketed actions ----------------------------------------------------------------------- */

static struct world_node *
reachable(struct world *w, struct world_node *n, member_id_t id)
{
    int from = (int)n->id - 1, to = index_of(w, id);

    if (to < 0 || !w->node[to].up || w->cut[from][to] || w->cut[to][from] ||
        w->node[to].paused_until > w->now)
        return NULL;
    return &w->node[to];
}

static struct role_pos
position(uint32_t at)
{
    return (struct role_pos){ .lsn = lsn_make(at), .scn = at };
}

static void
finish_follow(struct world *w, struct world_node *n, const struct role_action *a)
{
    struct world_node *p = reachable(w, n, a->to);
    int code = ERR_CONNECT;
    uint32_t fork = 0;

    /* Its log is the history of that reign from the moment it has recorded it. */
    if (p != NULL && p->durable.reg.key.inc == a->inc && p->durable.reg.primary == p->id) {
        fork = common(n->log, n->end, p->log, p->end);
        code = 0;
    }
    role_on_fork(n->role, w->now, a->ticket, code, position(fork), &n->queue);
}

static void
finish_prepare(struct world *w, struct world_node *n, const struct role_action *a)
{
    struct world_node *s = a->to == n->id ? n : reachable(w, n, a->to);
    int code = 0;

    if (s == NULL || (s != n && s->durable.promised != a->inc)) {
        code = ERR_CONNECT;
    } else if (s != n) {
        uint32_t at = common(n->log, n->end, s->log, s->end);

        cut_log(w, n, at);
        for (; n->end < s->end; n->end++)
            n->log[n->end + 1] = s->log[n->end + 1];
    }
    n->hard = n->end;
    update_ends(w, n);
    role_on_prepared(n->role, w->now, a->ticket, code, position(n->end), &n->queue);
}

static uint32_t
append(struct world *w, struct world_node *n)
{
    CHECK(n->end < WORLD_LOG_MAX && w->last_tag + 1 < WORLD_TAGS_MAX);
    n->log[++n->end] = ++w->last_tag;
    return n->end;
}

static void
finish_open(struct world *w, struct world_node *n, const struct role_action *a)
{
    check_opening(w, n, a->inc);
    n->writing = a->inc;
    n->acked = 0;
    memset(n->acks, 0, sizeof n->acks);
    if (n->end < WORLD_LOG_MAX)
        append(w, n); /* its INCARNATION record */
    n->hard = n->end;
    update_ends(w, n);
    role_on_opened(n->role, w->now, a->ticket, 0, &n->queue);
}

static void
finish_op(struct world *w, struct world_node *n)
{
    struct role_action a = n->op_action;
    enum world_op op = n->op;

    if (op == OP_DRAIN && (n->hard < n->end || n->acked < n->end) && n->draining) {
        n->op_at = w->now + 5 * MS;
        return;
    }
    n->op = OP_NONE;
    switch (op) {
    case OP_NONE:
        break;
    case OP_FOLLOW:
        finish_follow(w, n, &a);
        break;
    case OP_CUT:
        cut_log(w, n, (uint32_t)a.pos.lsn.v);
        n->hard = n->end;
        update_ends(w, n);
        role_on_cut(n->role, w->now, a.ticket, 0, &n->queue);
        break;
    case OP_PREPARE:
        finish_prepare(w, n, &a);
        break;
    case OP_OPEN:
        finish_open(w, n, &a);
        break;
    case OP_DRAIN:
        if (n->draining)
            role_on_drained(n->role, w->now, a.ticket, 0, lsn_make(n->end), &n->queue);
        break;
    case OP_BASE_COPY:
        violate(w, "a base copy was asked for");
        break;
    }
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
    trace(w, i, "starts with register %u.%u, promised %u", n->durable.reg.key.inc,
          n->durable.reg.key.version, n->durable.promised);
    n->up = true;
    n->role = role_new(&c, &n->durable, w->now);
    n->tick_at = n->act_at = w->now;
    n->paused_until = 0;
    memset(n->acks, 0, sizeof n->acks);
    n->published =
        (uint32_t)n->durable.published.v < n->end ? (uint32_t)n->durable.published.v : n->end;
    update_ends(w, n);
    role_start(n->role, w->now, &n->queue);
}

/* What was not durable survives in part, or not at all. */
void
world_crash(struct world *w, int i)
{
    struct world_node *n = &w->node[i];

    if (!n->up)
        return;
    trace(w, i, "crashes");
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
                send_ack(w, n);
            continue;
        }
        if (!n->draining && n->end < WORLD_LOG_MAX && w->last_tag + 1 < WORLD_TAGS_MAX &&
            n->end < n->hard + 4 && world_chance(w, 15))
            append(w, n);
        if (n->hard < n->end && world_chance(w, 60)) {
            n->hard++;
            update_ends(w, n);
        }
        for (int k = 0; k < w->nodes; k++) {
            uint32_t at = (uint32_t)n->acks[k].durable.v;

            if (k == i || n->acks[k].inc != n->writing)
                continue;
            if (at < n->end)
                at++;
            else if (!world_chance(w, 10))
                continue;
            post(w, (struct world_message){ .to = w->node[k].id,
                                            .from = n->id,
                                            .kind = WM_FRAME,
                                            .inc = n->writing,
                                            .pos = at,
                                            .tag = n->log[at],
                                            .tag_before = n->log[at - (at > 0)],
                                            .published = n->acked });
        }
        acknowledge(w, n);
    }
    w->work_at = w->now + 10 * MS + world_random(w, 20 * MS);
}

static bool
node_step(struct world *w, struct world_node *n)
{
    if (!n->up || n->paused_until > w->now)
        return false;
    if (n->head < n->queue.count && n->act_at <= w->now) {
        act_next(w, n);
        return true;
    }
    if (n->op != OP_NONE && n->op_at <= w->now && n->head == n->queue.count) {
        finish_op(w, n);
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
