/* Switchover: an election in which the old primary itself promises (FO-40 to FO-44).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "node/role_int.h"

static const uint8_t next_phases[HANDOVER_PHASE_COUNT] = {
    [HANDOVER_NONE] = 1u << HANDOVER_DRAINING,
    [HANDOVER_DRAINING] = 1u << HANDOVER_CATCHING | 1u << HANDOVER_NONE,
    [HANDOVER_CATCHING] = 1u << HANDOVER_TOLD | 1u << HANDOVER_NONE,
    [HANDOVER_TOLD] = 1u << HANDOVER_PROMISED | 1u << HANDOVER_NONE,
    [HANDOVER_PROMISED] = 1u << HANDOVER_NONE,
};

static void
phase_move(struct role *r, enum role_handover_phase to)
{
    CHECK(next_phases[r->handover.phase] & 1u << to);
    r->handover.phase = to;
    if (to == HANDOVER_NONE)
        r->handover.next_ns = NEVER;
}

/* FO-43, FO-44: not heard in this life, or its link fell and it was not heard for net_timeout. */
static bool
is_lost(const struct role *r, member_id_t target, uint64_t now)
{
    const struct role_peer *p = role_peer_find(r, target);

    if (p == NULL || p->heard_ns == 0)
        return true;
    return p->down && p->heard_ns <= p->down_ns &&
           now - p->down_ns >= (uint64_t)r->d.reg.net_timeout_ms * 1000000;
}

/* ---- the primary ---------------------------------------------------------------------------- */

int
role_switchover(struct role *r, uint64_t now, member_id_t target, struct role_actions *out)
{
    const struct register_member *m = register_member(&r->d.reg, target);
    struct role_action *a;

    if (r->state != ROLE_OPEN)
        return DIAG(ERR_ROLE, "this node is not the primary");
    if (m == NULL)
        return DIAG(ERR_UNDEFINED_OBJECT, "there is no member %u", target);
    if (target == r->config.self)
        return DIAG(ERR_ROLE, "\"%s\" is the primary already", m->name);
    if (r->command != ROLE_CMD_NONE || r->office.change.phase != CHANGE_NONE ||
        r->handover.phase != HANDOVER_NONE)
        return DIAG(ERR_OBJECT_IN_USE, "another command or change is under way");
    if (r->sync != ROLE_SYNCHRONIZED || !m->listed) {
        int rc = DIAG(ERR_ROLE, "\"%s\" is not %s", m->name,
                      m->listed ? "synchronized" : "on the list of synchronous standbys");

        diag_hint(m->listed ? "Wait until \"redoubt status\" says synchronized."
                            : "Put it there first: redoubt protect availability --sync.");
        return rc;
    }
    if (is_lost(r, target, now))
        return DIAG(ERR_ROLE, "\"%s\" does not answer", m->name);
    r->command = ROLE_CMD_SWITCHOVER;
    phase_move(r, HANDOVER_DRAINING);
    r->handover.target = target;
    r->handover.deadline_ns = now + r->config.times.switchover_ns;
    r->handover.next_ns = r->handover.deadline_ns;
    a = role_emit(out, ROLE_ACT_DRAIN);
    a->ticket = r->handover.ticket = ++r->tickets;
    return 0;
}

void
role_on_drained(struct role *r, uint64_t now, uint64_t ticket, int code, struct lsn end,
                struct role_actions *out)
{
    if (r->handover.phase != HANDOVER_DRAINING || ticket != r->handover.ticket)
        return;
    if (code != 0) {
        role_handover_give_up(r, now, "commits under way did not come to rest", out);
        return;
    }
    r->handover.end = end;
    phase_move(r, HANDOVER_CATCHING);
    role_handover_step(r, now, out);
}

static void
tell(struct role *r, uint64_t now, struct role_actions *out)
{
    struct role_message m = role_message_make(r, ROLE_MSG_STAND);

    m.inc = r->d.reg.key.inc;
    m.lsn = r->handover.end;
    role_send(r, r->handover.target, &m, out);
    r->handover.next_ns = now + r->config.times.retry_ns;
}

/* FO-40: the target has acknowledged the end, and applied it. */
void
role_handover_step(struct role *r, uint64_t now, struct role_actions *out)
{
    const struct role_peer *p;

    if (r->handover.phase != HANDOVER_CATCHING)
        return;
    if (r->sync != ROLE_SYNCHRONIZED) {
        role_handover_give_up(r, now, "the list stopped acknowledging", out);
        return;
    }
    p = role_peer_find(r, r->handover.target);
    if (p == NULL || p->ack.inc != r->d.reg.key.inc || lsn_lt(p->ack.durable, r->handover.end) ||
        lsn_lt(p->ack.applied, r->handover.end))
        return;
    phase_move(r, HANDOVER_TOLD);
    tell(r, now, out);
}

bool
role_handover_expects(const struct role *r, const struct role_message *ask)
{
    return r->handover.phase == HANDOVER_TOLD && ask->from == r->handover.target;
}

/* FO-42: with the promise ends the right to acknowledge. */
void
role_handover_promise(struct role *r, uint64_t now, const struct role_message *ask,
                      struct role_actions *out)
{
    struct role_message release = role_message_make(r, ROLE_MSG_RELEASE);

    phase_move(r, HANDOVER_PROMISED);
    r->handover.deadline_ns = now + r->config.times.switchover_ns;
    r->handover.next_ns = r->handover.deadline_ns;
    role_move(r, ROLE_MOUNTED);
    role_gate(r, out);
    role_emit(out, ROLE_ACT_CLOSE_WRITERS);
    role_give_promise(r, now, ask, out);
    release.inc = r->d.reg.key.inc;
    release.boot = r->config.boot_id;
    for (uint32_t i = 0; i < r->d.reg.member_count; i++)
        role_send(r, r->d.reg.members[i].id, &release, out);
}

/* FO-43. If the target has stood already, its refusals make this node stand again. */
void
role_handover_give_up(struct role *r, uint64_t now, const char *why, struct role_actions *out)
{
    if (r->handover.phase == HANDOVER_NONE || r->handover.phase == HANDOVER_PROMISED)
        return;
    (void)now;
    phase_move(r, HANDOVER_NONE);
    if (r->state == ROLE_OPEN)
        role_emit(out, ROLE_ACT_UNDRAIN);
    role_reply(r, ROLE_CMD_SWITCHOVER, ERR_TIMEOUT, out, "switchover given up: %s", why);
}

void
role_handover_on_register(struct role *r, struct role_actions *out)
{
    if (r->handover.phase != HANDOVER_PROMISED)
        return;
    if (r->d.reg.primary == r->handover.target)
        role_reply(r, ROLE_CMD_SWITCHOVER, 0, out, "%s is primary of incarnation %u",
                   register_member_name(&r->d.reg, r->d.reg.primary), r->d.reg.key.inc);
    else
        role_reply(r, ROLE_CMD_SWITCHOVER, ERR_ROLE, out, "%s became primary instead",
                   register_member_name(&r->d.reg, r->d.reg.primary));
    phase_move(r, HANDOVER_NONE);
}

/* FO-44. The register still names this node; where others agree it is primary again at once. */
static void
promised_tick(struct role *r, uint64_t now, bool lost, struct role_actions *out)
{
    if (!lost && now < r->handover.deadline_ns) {
        if (now >= r->handover.next_ns)
            r->handover.next_ns = r->handover.deadline_ns;
        return;
    }
    role_reply(r, ROLE_CMD_SWITCHOVER, ERR_TIMEOUT, out,
               lost ? "the target is gone, and has not opened: either node will as soon as it can"
                    : "the target has not opened yet; either node will as soon as they meet");
    phase_move(r, HANDOVER_NONE);
    if (lost && r->state == ROLE_MOUNTED && r->restart_at_ns != NEVER && r->restart_at_ns > now)
        r->restart_at_ns = now;
}

void
role_handover_tick(struct role *r, uint64_t now, struct role_actions *out)
{
    bool lost;

    if (r->handover.phase == HANDOVER_NONE)
        return;
    lost = is_lost(r, r->handover.target, now);
    if (r->handover.phase == HANDOVER_PROMISED)
        promised_tick(r, now, lost, out);
    else if (lost)
        role_handover_give_up(r, now, "the target is gone", out);
    else if (now >= r->handover.deadline_ns)
        role_handover_give_up(r, now, "the target did not take over in time", out);
    else if (now >= r->handover.next_ns && r->handover.phase == HANDOVER_TOLD)
        tell(r, now, out);
    else if (now >= r->handover.next_ns)
        r->handover.next_ns = r->handover.deadline_ns;
}

void
role_handover_on_link_down(struct role *r, uint64_t now, member_id_t member)
{
    uint64_t at = now + (uint64_t)r->d.reg.net_timeout_ms * 1000000;

    if (r->handover.phase != HANDOVER_NONE && member == r->handover.target &&
        at < r->handover.next_ns)
        r->handover.next_ns = at;
}

void
role_handover_on_open(struct role *r, struct role_actions *out)
{
    if (r->handover.phase != HANDOVER_PROMISED)
        return;
    role_reply(r, ROLE_CMD_SWITCHOVER, ERR_ROLE, out,
               "the target did not open: this node is primary again, of incarnation %u",
               r->d.reg.key.inc);
    phase_move(r, HANDOVER_NONE);
}

/* ---- the target ----------------------------------------------------------------------------- */

/* FO-41. It may have stood for this reign before: then its log is frozen where it was. */
void
role_on_stand(struct role *r, uint64_t now, const struct role_message *m, struct role_actions *out)
{
    const struct role_register *reg = &r->d.reg;

    if ((r->state != ROLE_MOUNTED && r->state != ROLE_CANVASSING) || reg->primary != m->from ||
        reg->key.inc != m->inc || r->d.follows != m->inc || !reg->synchronized ||
        !register_lists(reg, r->config.self))
        return;
    if (r->d.promised != m->inc && r->d.promised_to != r->config.self)
        return;
    if (lsn_lt(r->ends.durable, m->lsn) || lsn_lt(r->ends.applied, m->lsn))
        return;
    role_stand(r, now, ROLE_REASON_SWITCHOVER, 0, out);
}
