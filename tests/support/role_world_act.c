/* What a node of the world does with the machine's actions, and the checks of what clients see.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "tests/support/role_world_int.h"

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

/* A candidate begins its reign on an operator's word, knowing that register: what was acknowledged
 * after the primary had left, in a version that it has not heard of, may be lost (FO-51). */
static void
excuse(struct world *w, struct register_key known)
{
    for (uint32_t i = 1; i <= w->ledger_count; i++)
        if (register_key_cmp(known, w->ledger_left[i]) < 0)
            w->ledger_excused[i] = true;
}

/* INV-4, and the ledger against the log of who opens (INV-2). */
static void
check_opening(struct world *w, struct world_node *n, incarnation_t inc)
{
    const struct role_register *reg = &n->durable.reg;
    uint32_t have = common(n->log, n->end, w->ledger, w->ledger_count);

    if (reg->key.inc != inc || reg->primary != n->id) {
        world_violate(w, "INV-4: node %u opens %u without its own register", n->id, inc);
        return;
    }
    for (uint32_t i = have + 1; i <= w->ledger_count; i++)
        if (w->ledger_inc[i] >= reg->loss_inc &&
            !(w->ledger_inc[i] < reg->fenced_inc && w->ledger_excused[i])) {
            world_violate(w, "INV-2: node %u opens %u without the commit at LSN %u", n->id, inc, i);
            return;
        }
    if (have < w->ledger_count)
        world_trace(w, (int)n->id - 1, "loses %u commits", w->ledger_count - have);
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
            const struct world_node *s = &w->node[world_index_of(w, rule->members[i])];

            held += s->hard >= upto && s->log[upto] == n->log[upto];
        }
        if (held < rule->k)
            world_violate(w, "FO-1: node %u acknowledges LSN %u, which %u of its list hold", n->id,
                          upto, held);
    }
}

void
world_acknowledge(struct world *w, struct world_node *n)
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
        world_violate(w, "INV-1: node %u acknowledges in %u after %u did", n->id, n->writing,
                      w->last_inc);
        return;
    }
    if (reg->fenced_inc != n->writing &&
        __builtin_popcount(holders(w, n->writing, reg->reign_id)) < 2 && w->nodes > 1) {
        world_violate(w, "INV-4: node %u acknowledges in %u, held by itself alone", n->id,
                      n->writing);
        return;
    }
    w->last_inc = n->writing;
    w->last_reign = reg->reign_id;
    for (uint32_t i = n->acked + 1; i <= may.v; i++) {
        if (i <= w->ledger_count && w->ledger[i] != n->log[i]) {
            world_violate(w, "INV-2: node %u acknowledges another commit at LSN %u", n->id, i);
            return;
        }
        if (i > w->ledger_count) {
            w->ledger_count = i;
            w->ledger[i] = n->log[i];
            w->ledger_left[i] = w->left;
            w->ledger_excused[i] = false;
            w->ledger_inc[i] = n->writing;
        }
        w->ever[n->log[i]] = true;
        w->acked_total++;
    }
    check_held(w, n, (uint32_t)may.v);
    n->acked = (uint32_t)may.v;
    if (n->published < n->acked)
        n->published = n->acked;
    world_update_ends(w, n);
}

/* INV-3 */
static void
cut_log(struct world *w, struct world_node *n, uint32_t to)
{
    for (uint32_t i = to + 1; i <= n->published && i <= n->end; i++)
        if (i <= w->ledger_count && w->ledger[i] == n->log[i])
            world_violate(w, "INV-3: node %u cuts the published commit at LSN %u", n->id, i);
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

/* dispatch */
static void
act(struct world *w, struct world_node *n, const struct role_action *a)
{
    world_trace(w, (int)n->id - 1, "%s inc %u to %u %s%s", role_action_name(a->type), a->inc, a->to,
                a->message != NULL ? role_message_name(a->message->type) : "", a->text);
    switch (a->type) {
    case ROLE_ACT_PERSIST:
        if (a->durable->reg.primary == n->id && a->durable->reg.key.version == 0 &&
            a->durable->reg.fenced_inc == a->durable->reg.key.inc &&
            n->durable.reg.key.inc != a->durable->reg.key.inc)
            excuse(w, n->durable.reg.key);
        if (a->durable->reg.primary == n->id && !a->durable->reg.synchronized)
            w->left = a->durable->reg.key;
        n->durable = *a->durable;
        break;
    case ROLE_ACT_SEND: {
        struct role_message m = *a->message;

        if (role_message_has_log(m.type))
            m.log = role_log_now(n->role);
        world_post(
            w, (struct world_message){ .to = a->to, .from = n->id, .kind = WM_ROLE, .role = &m });
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
        world_update_ends(w, n);
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
        world_send_ack(w, n);
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

void
world_act_next(struct world *w, struct world_node *n)
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
    int from = (int)n->id - 1, to = world_index_of(w, id);

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
    struct world_node *s = a->to == 0 ? n : reachable(w, n, a->to);
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
    world_update_ends(w, n);
    role_on_prepared(n->role, w->now, a->ticket, code, position(n->end), &n->queue);
}

uint32_t
world_append(struct world *w, struct world_node *n)
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
        world_append(w, n); /* its INCARNATION record */
    n->hard = n->end;
    world_update_ends(w, n);
    role_on_opened(n->role, w->now, a->ticket, 0, &n->queue);
}

void
world_finish_op(struct world *w, struct world_node *n)
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
        world_update_ends(w, n);
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
        world_violate(w, "a base copy was asked for");
        break;
    }
}
