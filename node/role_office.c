/* In office: the gate (FO-1), leaving and regaining "synchronized" (FO-3, FO-4), heartbeats.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "node/role_int.h"

#include <inttypes.h>
#include <string.h>

enum { FLAPS_MAX = 6 };

/* ---- rules and the gate --------------------------------------------------------------------- */

struct gate_rule
role_rule(const struct role *r, struct register_config c)
{
    struct gate_rule rule = { .k = c.k, .lag_bytes = r->d.reg.lag_limit_bytes };

    for (uint32_t i = 0; i < r->d.reg.member_count; i++)
        if ((c.list >> i & 1) != 0)
            rule.members[rule.count++] = r->d.reg.members[i].id;
    return rule;
}

bool
role_rule_reached(const struct role *r, const struct gate_rule *rule, struct lsn *reached)
{
    struct gate_ack acks[ROLE_PEERS_MAX];

    for (uint32_t i = 0; i < r->peer_count; i++)
        acks[i] = r->peers[i].ack;
    return gate_rule_reached(rule, r->d.reg.key.inc, acks, r->peer_count, reached);
}

bool
role_rule_live(const struct role *r, const struct gate_rule *rule, uint64_t now)
{
    uint64_t timeout = (uint64_t)r->d.reg.net_timeout_ms * 1000000;
    uint32_t live = 0;

    for (uint32_t i = 0; i < rule->count; i++) {
        uint64_t heard = role_heard_ns(r, rule->members[i]);

        live += heard != 0 && now - heard < timeout;
    }
    return live >= rule->k;
}

/* The rules that bind now: the list's; while a change settles, the other's too (FO-5). */
static void
binding_rules(const struct role *r, struct gate_state *g)
{
    const struct role_office *o = &r->office;
    struct register_config configs[2] = { register_config_now(&r->d.reg) };
    uint32_t n = 1;

    if (o->change.phase == CHANGE_CATCHING)
        configs[n++] = o->change.to;
    else if (o->change.phase == CHANGE_WRITTEN && r->d.reg.before_count > 0 &&
             !role_mutant(r, ROLE_MUTANT_CHANGE_UNSETTLED))
        configs[n++] = r->d.reg.before[r->d.reg.before_count - 1];
    g->rule_count = 0;
    for (uint32_t i = 0; i < n; i++)
        if (configs[i].k > 0)
            g->rules[g->rule_count++] = role_rule(r, configs[i]);
}

void
role_gate(struct role *r, struct role_actions *out)
{
    struct role_office *o = &r->office;
    struct gate_state g;
    struct role_action *a;

    memset(&g, 0, sizeof g);
    g.seq = o->gate.seq;
    g.inc = r->d.reg.key.inc;
    g.closed = r->state != ROLE_OPEN;
    binding_rules(r, &g);
    g.alone = g.rule_count == 0 || (r->sync == ROLE_ALONE && r->d.reg.mode != REGISTER_PROTECTION);
    if (g.closed) {
        g.alone = false;
        g.rule_count = 0;
    }
    if (g.seq != 0 && gate_state_eq(&g, &o->gate))
        return;
    g.seq++;
    o->gate = g;
    a = role_emit(out, ROLE_ACT_GATE);
    a->gate = g;
}

/* What the list holds of this reign, by every rule that binds. */
static bool
rules_reached(const struct role *r, struct lsn *reached)
{
    struct gate_state g = { 0 };

    binding_rules(r, &g);
    *reached = lsn_make(UINT64_MAX);
    for (uint8_t i = 0; i < g.rule_count; i++) {
        struct lsn one;

        if (!role_rule_reached(r, &g.rules[i], &one))
            return false;
        if (lsn_lt(one, *reached))
            *reached = one;
    }
    return true;
}

static bool
rules_live(const struct role *r, uint64_t now)
{
    struct gate_state g = { 0 };

    binding_rules(r, &g);
    for (uint8_t i = 0; i < g.rule_count; i++)
        if (!role_rule_live(r, &g.rules[i], now))
            return false;
    return true;
}

/* ---- beginning, writing --------------------------------------------------------------------- */

void
role_office_begin(struct role *r, uint64_t now, struct role_actions *out)
{
    struct role_office *o = &r->office;
    uint64_t gate_seq = o->gate.seq, gate_done = o->gate_done;
    bool settled = r->d.reg.before_count == 0;

    memset(o, 0, sizeof *o);
    o->gate.seq = gate_seq;
    o->gate.closed = true;
    o->gate_done = gate_done;
    o->start = r->d.reg.fork_lsn;
    o->past[0] = o->past[1] = o->start;
    o->mark_ns = now;
    o->regain_at_ns = now;
    o->next_heartbeat_ns = now;
    o->next_record_ns = now + r->config.times.retry_ns;
    r->sync = ROLE_ALONE;
    r->restart_tries = 0;
    r->restart_at_ns = NEVER;
    role_move(r, ROLE_OPEN);
    r->elect.in_office = false;
    role_note(out, ROLE_INFO, "open as incarnation %u from LSN %" PRIu64 ", SCN %" PRIu64,
              r->d.reg.key.inc, r->d.reg.fork_lsn.v, r->d.reg.fork_scn);
    if (!settled) { /* legs of all configurations hold the reign: what came before is over */
        r->d.reg.before_count = 0;
        role_office_write(r, now, out);
    }
    role_gate(r, out);
    role_handover_on_open(r, out);
    role_reply(r, ROLE_CMD_FAILOVER, 0, out, "primary of incarnation %u", r->d.reg.key.inc);
    role_office_tick(r, now, out);
}

void
role_office_write(struct role *r, uint64_t now, struct role_actions *out)
{
    r->d.reg.key.version++;
    role_persist(r, out);
    for (uint32_t i = 0; i < r->d.reg.member_count; i++)
        role_send_record(r, r->d.reg.members[i].id, out);
    r->office.next_record_ns = now + r->config.times.retry_ns;
}

void
role_heartbeat(struct role *r, member_id_t to, struct role_actions *out)
{
    struct role_message m = role_message_make(r, ROLE_MSG_HEARTBEAT);

    m.inc = r->d.reg.key.inc;
    m.seq = r->office.heartbeat_seq;
    m.key = r->d.reg.key;
    m.published_scn = r->ends.published_scn;
    m.lsn = lsn_lt(r->office.acknowledged, r->ends.published) ? r->ends.published
                                                              : r->office.acknowledged;
    role_send(r, to, &m, out);
}

/* ---- leaving and regaining ------------------------------------------------------------------ */

static void
set_regain_delay(struct role *r, uint64_t now)
{
    struct role_office *o = &r->office;
    const uint64_t steady = 64 * r->config.times.regain_delay_ns;

    if (o->synchronized_ns != 0 && now - o->synchronized_ns > steady)
        o->flaps = 0;
    o->regain_at_ns = now + (r->config.times.regain_delay_ns << o->flaps);
    if (o->flaps < FLAPS_MAX)
        o->flaps++;
}

/* FO-3. With fsfo off it needs no leg but the own one (FO-51). */
static void
leave(struct role *r, uint64_t now, struct role_actions *out)
{
    set_regain_delay(r, now);
    r->office.synchronized_ns = 0;
    r->office.past[0] = r->office.past[1] = r->ends.durable;
    r->d.reg.synchronized = false;
    role_sync_move(r, ROLE_LEAVING);
    role_change_leave(r, out);
    role_office_write(r, now, out);
    if (!r->d.reg.fsfo)
        role_sync_move(r, ROLE_ALONE);
    role_change_step(r, now, out);
    role_note(out, ROLE_WARNING, "the list has not acknowledged for %u ms: going on alone",
              r->d.reg.net_timeout_ms);
    role_gate(r, out);
}

/* Whether the list owes acknowledgements for longer than the net timeout, or is silent. */
static bool
is_overdue(struct role *r, uint64_t now)
{
    struct role_office *o = &r->office;
    struct lsn reached = lsn_make(0);

    if (rules_reached(r, &reached) && lsn_le(o->mark, reached)) {
        o->mark = r->ends.durable;
        o->mark_ns = now;
    }
    return now - o->mark_ns >= (uint64_t)r->d.reg.net_timeout_ms * 1000000 || !rules_live(r, now);
}

static void
regain_step(struct role *r, uint64_t now, struct role_actions *out)
{
    struct role_office *o = &r->office;
    struct lsn reached, target = o->acknowledged;

    if (o->regain_written) {
        if (!role_two_legs(&r->d.reg, role_set_confirmed(r, r->d.reg.key)))
            return;
        role_sync_move(r, ROLE_SYNCHRONIZED);
        o->synchronized_ns = now;
        role_note(out, ROLE_INFO, "synchronized");
        return;
    }
    if (o->gate_done < o->regain_gate || !rules_reached(r, &reached))
        return;
    if (lsn_lt(target, o->start) && !role_mutant(r, ROLE_MUTANT_REGAIN_GAP))
        target = o->start;
    if (lsn_lt(reached, target))
        return;
    o->regain_written = true;
    r->d.reg.synchronized = true;
    role_office_write(r, now, out);
}

/* FO-4: FO-1b is closed first; what it let through is known when the gate is in force. */
static void
maybe_regain(struct role *r, uint64_t now, struct role_actions *out)
{
    struct role_office *o = &r->office;
    struct lsn reached;

    if (r->d.reg.k == 0 || now < o->regain_at_ns || !rules_live(r, now) ||
        !rules_reached(r, &reached))
        return;
    if (lsn_lt(reached, o->past[1]) && !role_mutant(r, ROLE_MUTANT_REGAIN_GAP))
        /* more than a heartbeat behind: commits would stall */
        return;
    role_sync_move(r, ROLE_REGAINING);
    o->regain_written = false;
    o->mark = reached;
    o->mark_ns = now;
    role_gate(r, out);
    o->regain_gate = o->gate.seq;
    regain_step(r, now, out);
}

static void
sync_step(struct role *r, uint64_t now, struct role_actions *out)
{
    bool may_leave = r->d.reg.mode != REGISTER_PROTECTION;

    switch (r->sync) {
    case ROLE_ALONE:
        maybe_regain(r, now, out);
        break;
    case ROLE_REGAINING:
        regain_step(r, now, out);
        if (r->sync != ROLE_REGAINING || !may_leave || !is_overdue(r, now))
            break;
        if (r->office.regain_written) {
            leave(r, now, out);
        } else {
            set_regain_delay(r, now);
            role_sync_move(r, ROLE_ALONE);
            role_gate(r, out);
        }
        break;
    case ROLE_SYNCHRONIZED:
        if (may_leave && is_overdue(r, now) && r->handover.phase != HANDOVER_TOLD)
            leave(r, now, out);
        break;
    case ROLE_LEAVING:
        if (role_two_legs(&r->d.reg, role_set_confirmed(r, r->d.reg.key))) {
            role_sync_move(r, ROLE_ALONE);
            role_gate(r, out);
        }
        break;
    case ROLE_SYNC_COUNT:
        break;
    }
}

void
role_office_step(struct role *r, uint64_t now, struct role_actions *out)
{
    role_change_step(r, now, out);
    sync_step(r, now, out);
    role_handover_step(r, now, out);
}

void
role_office_tick(struct role *r, uint64_t now, struct role_actions *out)
{
    struct role_office *o = &r->office;

    if (now >= o->next_heartbeat_ns) {
        o->heartbeat_seq++;
        o->past[1] = o->past[0];
        o->past[0] = r->ends.durable;
        for (uint32_t i = 0; i < r->d.reg.member_count; i++)
            role_heartbeat(r, r->d.reg.members[i].id, out);
        o->next_heartbeat_ns = now + r->config.times.heartbeat_ns;
    }
    if (now >= o->next_record_ns) {
        for (uint32_t i = 0; i < r->d.reg.member_count; i++) {
            member_id_t id = r->d.reg.members[i].id;

            if (id != r->config.self &&
                register_key_cmp(role_peer(r, id)->confirmed, r->d.reg.key) < 0)
                role_send_record(r, id, out);
        }
        o->next_record_ns = now + r->config.times.retry_ns;
    }
    role_office_step(r, now, out);
}
