/* Elections: every opening for writing is one (FO-10 to FO-15, FO-17), and the voter's side.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "node/role_int.h"

#include <string.h>

enum { TRIES_MAX = 6 };
/* For so long at most a voter says no after a promise to another (FO-10). */
#define QUIET_NS_MAX (2 * UINT64_C(1000000000))

/* ---- canvass (FO-10) ------------------------------------------------------------------------ */

/* A live primary is one whose heartbeat came within three of them and whose link has not fallen. */
bool
role_hears_primary(const struct role *r, uint64_t now, member_id_t but)
{
    return r->heard_primary != 0 && r->heard_primary != but &&
           now - r->heard_primary_ns < 3 * r->config.times.heartbeat_ns;
}

static void
send_canvass(struct role *r, uint64_t now, struct role_actions *out)
{
    struct role_message m = role_message_make(r, ROLE_MSG_CANVASS);

    m.reason = (uint8_t)r->elect.reason;
    m.reg = r->d.reg;
    for (uint32_t i = 0; i < r->d.reg.member_count; i++)
        role_send(r, r->d.reg.members[i].id, &m, out);
    r->elect.next_ns = now + r->config.times.retry_ns;
}

static void
canvass_step(struct role *r, uint64_t now, struct role_actions *out)
{
    struct role_election *e = &r->elect;
    uint32_t agreed = role_set_agreed(r, &r->d.reg);
    uint32_t answers = 1;
    bool two = role_two_legs(&r->d.reg, agreed) || role_mutant(r, ROLE_MUTANT_RESTART_OPENS);
    bool over = now >= e->deadline_ns, quiet = false;

    if (e->reason == ROLE_REASON_RESTART) {
        if (two)
            role_stand(r, now, e->reason, 0, out);
        return;
    }
    for (uint32_t i = 0; i < r->peer_count; i++) {
        const struct role_peer *p = &r->peers[i];

        if (register_member(&r->d.reg, p->id) == NULL || p->id == r->config.self)
            continue;
        if (!p->opined) {
            answers += !role_peer_awaited(r, now, p); /* none will come */
            continue;
        }
        answers++;
        quiet |= !p->agrees && p->why == ROLE_WHY_RECENT_PROMISE;
        if (!p->agrees && p->why == ROLE_WHY_PRIMARY_LIVES) {
            role_note(out, ROLE_WARNING, "failover refused: %s is or hears a live primary",
                      register_member_name(&r->d.reg, p->id));
            role_step_down(r, now, "a member is or hears a live primary (use switchover)", out);
            return;
        }
    }
    if (over && quiet && now < e->since_ns + r->config.times.canvass_ns + QUIET_NS_MAX) {
        e->deadline_ns = e->since_ns + r->config.times.canvass_ns + QUIET_NS_MAX;
        over = false; /* it will say yes soon */
    }
    if (answers < r->d.reg.member_count && !over)
        return; /* an operator's failover hears everybody who answers in time */
    if (two || ((e->flags & ROLE_FAILOVER_FENCED) != 0 &&
                ((e->flags & ROLE_FAILOVER_ACCEPT_LOSS) != 0 ||
                 role_one_leg(&r->d.reg, agreed, r->config.self))))
        role_stand(r, now, e->reason, e->flags, out);
    else if (over)
        role_step_down(
            r, now,
            (e->flags & ROLE_FAILOVER_FENCED) != 0
                ? "too few of the list answered to know of every acknowledged commit"
                : "nobody speaks for the old primary: if it is gone for good, say so with "
                  "--fenced",
            out);
}

void
role_canvass(struct role *r, uint64_t now, enum role_reason reason, unsigned flags,
             struct role_actions *out)
{
    for (uint32_t i = 0; i < r->peer_count; i++)
        r->peers[i].opined = r->peers[i].agrees = false;
    r->elect = (struct role_election){ .reason = reason, .flags = flags, .since_ns = now };
    r->elect.deadline_ns = reason == ROLE_REASON_RESTART ? NEVER : now + r->config.times.canvass_ns;
    role_move(r, ROLE_CANVASSING);
    send_canvass(r, now, out);
    canvass_step(r, now, out);
}

static enum role_why
opinion(const struct role *r, uint64_t now, const struct role_message *m)
{
    if (register_member(&r->d.reg, m->from) == NULL && r->d.reg.member_count != 0)
        return ROLE_WHY_NOT_MEMBER;
    if (role_reigns(r) || role_hears_primary(r, now, m->from))
        return ROLE_WHY_PRIMARY_LIVES;
    if (register_key_cmp(r->d.reg.key, m->reg.key) > 0)
        return ROLE_WHY_NEWER_REGISTER;
    if (now < r->promise_quiet_ns && r->d.promised_to != m->from)
        return ROLE_WHY_RECENT_PROMISE;
    if (r->state != ROLE_MOUNTED && r->state != ROLE_CANVASSING)
        return ROLE_WHY_STANDING;
    return ROLE_WHY_NONE;
}

void
role_on_canvass(struct role *r, uint64_t now, const struct role_message *m,
                struct role_actions *out)
{
    struct role_message answer = role_message_make(r, ROLE_MSG_OPINION);

    (void)role_accept_register(r, now, &m->reg, out);
    answer.why = opinion(r, now, m);
    answer.yes = answer.why == ROLE_WHY_NONE;
    answer.promised = r->d.promised;
    answer.reg = r->d.reg;
    role_send(r, m->from, &answer, out);
}

void
role_on_opinion(struct role *r, uint64_t now, const struct role_message *m,
                struct role_actions *out)
{
    struct role_peer *p;

    if (role_accept_register(r, now, &m->reg, out) && r->state != ROLE_CANVASSING)
        return;
    if (r->state != ROLE_CANVASSING)
        return;
    p = role_peer(r, m->from);
    p->opined = true;
    /* Its register has just been taken over, if it was newer: nothing is left to object to. */
    p->agrees = m->yes || (m->why == ROLE_WHY_NEWER_REGISTER &&
                           register_key_cmp(m->reg.key, r->d.reg.key) == 0);
    p->why = m->why;
    canvass_step(r, now, out);
}

/* ---- standing (FO-11) ----------------------------------------------------------------------- */

static void
send_asks(struct role *r, uint64_t now, struct role_actions *out)
{
    struct role_message m = role_message_make(r, ROLE_MSG_ASK);
    const struct role_register *reg = &r->elect.best;

    m.inc = r->elect.number;
    m.boot = r->config.boot_id;
    for (uint32_t i = 0; i < reg->member_count; i++) {
        member_id_t id = reg->members[i].id;
        struct role_peer *p;

        if (id == r->config.self)
            continue;
        if (!role_is_voter(reg, id) && (r->elect.flags & ROLE_FAILOVER_FENCED) == 0)
            continue;
        p = role_peer(r, id);
        if (p->promised)
            continue;
        p->asked = true;
        role_send(r, id, &m, out);
    }
    r->elect.next_ns = now + r->config.times.retry_ns;
}

void
role_stand(struct role *r, uint64_t now, enum role_reason reason, unsigned flags,
           struct role_actions *out)
{
    struct role_election *e = &r->elect;
    bool reigned = role_reigns(r);
    unsigned tries = r->state == ROLE_STANDING || r->state == ROLE_RECORDING ? e->tries + 1 : 0;
    incarnation_t number = (r->seen > r->d.promised ? r->seen : r->d.promised) + 1;

    if (number > INCARNATION_MAX) {
        role_note(out, ROLE_ALARM, "the numbers of incarnations are used up");
        role_step_down(r, now, "the numbers of incarnations are used up", out);
        return;
    }
    if (r->state == ROLE_OPEN)
        role_handover_give_up(r, now, "somebody else promised past this reign", out);
    *e = (struct role_election){ .reason = reason,
                                 .flags = flags,
                                 .number = number,
                                 .in_office = reigned,
                                 .tries = tries,
                                 .since_ns = now,
                                 .best = r->d.reg };
    e->deadline_ns = reason == ROLE_REASON_IN_OFFICE ? NEVER : now + r->config.times.stand_ns;
    for (uint32_t i = 0; i < r->peer_count; i++)
        r->peers[i].asked = r->peers[i].promised = r->peers[i].refused = false;
    if (r->follow != ROLE_FOLLOW_NONE)
        role_stop_following(r, out);
    role_move(r, ROLE_STANDING);
    if (reigned)
        role_gate(r, out);
    r->seen = number;
    r->d.promised = number;
    r->d.promised_to = r->config.self;
    role_persist(r, out);
    send_asks(r, now, out);
    role_elect_step(r, now, out);
}

/* Everybody who was asked has answered, one way or the other. */
static bool
all_answered(const struct role *r, uint64_t now)
{
    for (uint32_t i = 0; i < r->peer_count; i++)
        if (r->peers[i].asked && !r->peers[i].promised && !r->peers[i].refused &&
            role_peer_awaited(r, now, &r->peers[i]))
            return false;
    return true;
}

/* FO-13, and FO-50's word: it is used once everybody had the time to answer, so that as many
 * promises as can be had are counted, and stop as many as can be reached. */
static bool
has_quorum(struct role *r, uint64_t now)
{
    struct role_election *e = &r->elect;
    uint32_t set = role_set_promised(r, &e->best);

    e->by_one_leg = false;
    if (role_two_legs(&e->best, set) ||
        (role_mutant(r, ROLE_MUTANT_RESTART_OPENS) && e->reason == ROLE_REASON_RESTART))
        return true;
    if ((e->flags & ROLE_FAILOVER_FENCED) == 0 ||
        (!all_answered(r, now) && now - e->since_ns < r->config.times.canvass_ns))
        return false;
    e->by_one_leg = true;
    return (e->flags & ROLE_FAILOVER_ACCEPT_LOSS) != 0 ||
           role_one_leg(&e->best, set, r->config.self);
}

/* FO-14 */
static bool
is_eligible(const struct role *r)
{
    const struct role_register *reg =
        role_mutant(r, ROLE_MUTANT_OWN_REGISTER) ? &r->d.reg : &r->elect.best;

    if (register_member(reg, r->config.self) == NULL)
        return false;
    return reg->primary == r->config.self ||
           (reg->synchronized && register_lists(reg, r->config.self)) ||
           (r->elect.flags & ROLE_FAILOVER_ACCEPT_LOSS) != 0;
}

/* FO-17: the longest log of the newest history, among those whose promise froze it. The register's
 * primary has everything that it acknowledged: it goes on from its own end (FO-34). */
static void
choose_source(struct role *r)
{
    struct role_election *e = &r->elect;
    struct lsn end = r->ends.end;

    e->source = r->config.self;
    e->source_follows = r->d.follows;
    e->acknowledged = e->best.key.inc == r->d.reg.key.inc ? r->known_acknowledged : lsn_make(0);
    for (uint32_t i = 0; i < r->peer_count; i++) {
        const struct role_peer *p = &r->peers[i];

        if (!p->promised)
            continue;
        if (p->reg_inc == e->best.key.inc && lsn_lt(e->acknowledged, p->log.acknowledged))
            e->acknowledged = p->log.acknowledged;
        if (e->best.primary == r->config.self || role_mutant(r, ROLE_MUTANT_NO_FETCH))
            continue;
        if (p->log.follows > e->source_follows ||
            (p->log.follows == e->source_follows && lsn_lt(end, p->log.end))) {
            e->source = p->id;
            e->source_follows = p->log.follows;
            end = p->log.end;
        }
    }
}

static void
prepare(struct role *r, uint64_t now, struct role_actions *out)
{
    struct role_election *e = &r->elect;
    struct role_action *a = role_emit(out, ROLE_ACT_PREPARE);

    a->ticket = e->ticket = ++r->tickets;
    a->inc = e->number;
    a->to = e->source != r->config.self ? e->source : 0;
    a->in_office = e->in_office;
    e->next_ns = NEVER;
    e->deadline_ns = NEVER;
    e->since_ns = now;
}

void
role_elect_step(struct role *r, uint64_t now, struct role_actions *out)
{
    if (r->state != ROLE_STANDING || !has_quorum(r, now))
        return;
    if (!is_eligible(r)) {
        role_step_down(r, now,
                       "the newest register does not say that this member has every acknowledged "
                       "commit",
                       out);
        return;
    }
    choose_source(r);
    role_move(r, ROLE_PREPARING);
    prepare(r, now, out);
}

/* ---- recording (FO-15) ---------------------------------------------------------------------- */

static bool
is_recorded(const struct role *r)
{
    struct register_key key = { .inc = r->elect.number };
    uint32_t set = role_set_confirmed(r, key);

    if (role_mutant(r, ROLE_MUTANT_NO_RECORD) ||
        (role_mutant(r, ROLE_MUTANT_RESTART_OPENS) && r->elect.reason == ROLE_REASON_RESTART))
        return true;
    if (r->elect.by_one_leg)
        return (r->elect.flags & ROLE_FAILOVER_ACCEPT_LOSS) != 0 ||
               role_one_leg(&r->elect.best, set, r->config.self);
    if (role_mutant(r, ROLE_MUTANT_NEW_LEGS_ONLY))
        return role_config_legs(&r->d.reg, register_config_now(&r->d.reg), set);
    return role_two_legs(&r->d.reg, set);
}

static void
record_step(struct role *r, uint64_t now, struct role_actions *out)
{
    struct role_action *a;

    if (!is_recorded(r))
        return;
    role_move(r, ROLE_OPENING);
    r->elect.next_ns = r->elect.deadline_ns = NEVER;
    r->elect.since_ns = now;
    a = role_emit(out, ROLE_ACT_OPEN);
    a->ticket = r->elect.ticket = ++r->tickets;
    a->inc = r->elect.number;
    a->reign_id = r->d.reg.reign_id;
    a->pos = (struct role_pos){ r->d.reg.fork_inc, r->d.reg.fork_lsn, r->d.reg.fork_scn };
    a->in_office = r->elect.in_office;
}

void
role_on_recorded(struct role *r, uint64_t now, const struct role_message *m,
                 struct role_actions *out)
{
    struct role_peer *p = role_peer(r, m->from);

    if (r->d.reg.primary != r->config.self || m->key.inc != r->d.reg.key.inc ||
        m->reign_id != r->d.reg.reign_id)
        return;
    if (register_key_cmp(m->key, p->confirmed) > 0)
        p->confirmed = m->key;
    if (r->state == ROLE_RECORDING)
        record_step(r, now, out);
    else if (r->state == ROLE_OPEN)
        role_admit(r, now, m->from, out);
}

/* The register of the new reign, from the newest that the voters had. */
static bool
make_register(struct role *r, struct role_pos end, struct role_register *reg)
{
    const struct role_election *e = &r->elect;

    *reg = e->best;
    register_seat(reg, r->config.self);
    if (e->by_one_leg)
        reg->before_count = 0;
    else if (!register_keep(reg, register_config_now(&e->best)))
        return false;
    reg->key = (struct register_key){ .inc = e->number };
    reg->reign_id = role_random(r);
    reg->synchronized = false;
    if (r->config.net_timeout_ms != 0)
        reg->net_timeout_ms = r->config.net_timeout_ms;
    if (e->by_one_leg)
        reg->fenced_inc = e->number;
    if ((e->flags & ROLE_FAILOVER_ACCEPT_LOSS) != 0)
        reg->loss_inc = e->number;
    reg->fork_inc = end.inc;
    reg->fork_lsn = end.lsn;
    reg->fork_scn = end.scn;
    return true;
}

void
role_on_prepared(struct role *r, uint64_t now, uint64_t ticket, int code, struct role_pos end,
                 struct role_actions *out)
{
    struct role_election *e = &r->elect;
    struct role_register reg;

    if (r->state != ROLE_PREPARING || ticket != e->ticket)
        return;
    if (code != 0) {
        role_note(out, ROLE_WARNING, "the log could not be completed from %s: %s",
                  register_member_name(&r->d.reg, e->source), err_name(code));
        role_step_down(r, now, "the longest log among the voters could not be fetched", out);
        return;
    }
    end.inc = e->source_follows;
    if (end.lsn.v < e->acknowledged.v && e->acknowledged.v - end.lsn.v > e->best.lag_limit_bytes &&
        (e->flags & ROLE_FAILOVER_ACCEPT_LOSS) == 0) {
        role_note(out, ROLE_ALARM,
                  "a voter knows of commits acknowledged to LSN %llu, past the end %llu of this "
                  "log: a disk has lost what it had confirmed",
                  (unsigned long long)e->acknowledged.v, (unsigned long long)end.lsn.v);
        role_step_down(r, now, "acknowledged commits are missing here (FO-14)", out);
        return;
    }
    if (!make_register(r, end, &reg)) {
        role_step_down(r, now, "too many changes of the configuration have not settled", out);
        return;
    }
    r->d.reg = reg;
    r->d.follows = e->number;
    for (uint32_t i = 0; i < r->peer_count; i++) {
        r->peers[i].confirmed = (struct register_key){ 0 };
        r->peers[i].ack = (struct gate_ack){ 0 };
    }
    role_move(r, ROLE_RECORDING);
    e->since_ns = now;
    e->next_ns = now + r->config.times.retry_ns;
    e->deadline_ns = e->in_office ? NEVER : now + r->config.times.stand_ns;
    role_persist(r, out);
    for (uint32_t i = 0; i < reg.member_count; i++)
        role_send_record(r, reg.members[i].id, out);
    record_step(r, now, out);
}

void
role_on_opened(struct role *r, uint64_t now, uint64_t ticket, int code, struct role_actions *out)
{
    if (r->state != ROLE_OPENING || ticket != r->elect.ticket)
        return;
    if (code != 0) {
        role_note(out, ROLE_ALARM, "incarnation %u could not be opened: %s", r->elect.number,
                  err_name(code));
        role_step_down(r, now, "the engine could not open", out);
        return;
    }
    role_office_begin(r, now, out);
}

/* ---- time ----------------------------------------------------------------------------------- */

static void
resend_records(struct role *r, uint64_t now, struct role_actions *out)
{
    for (uint32_t i = 0; i < r->d.reg.member_count; i++) {
        member_id_t id = r->d.reg.members[i].id;

        if (id != r->config.self && role_peer(r, id)->confirmed.inc != r->d.reg.key.inc)
            role_send_record(r, id, out);
    }
    r->elect.next_ns = now + r->config.times.retry_ns;
}

void
role_elect_tick(struct role *r, uint64_t now, struct role_actions *out)
{
    struct role_election *e = &r->elect;

    if (r->state == ROLE_CANVASSING) {
        if (now >= e->next_ns && now < e->deadline_ns)
            send_canvass(r, now, out);
        canvass_step(r, now, out);
        return;
    }
    role_elect_step(r, now, out); /* an operator's word may count from now on */
    if (now >= e->deadline_ns) {
        role_step_down(r, now,
                       r->state == ROLE_RECORDING ? "the reign was not recorded in time"
                                                  : "two legs did not promise in time",
                       out);
        return;
    }
    if (now < e->next_ns)
        return;
    if (r->state == ROLE_STANDING)
        send_asks(r, now, out);
    else if (r->state == ROLE_RECORDING)
        resend_records(r, now, out);
}

/* ---- the voter (FO-12) ---------------------------------------------------------------------- */

void
role_give_promise(struct role *r, uint64_t now, const struct role_message *m,
                  struct role_actions *out)
{
    const uint64_t second = 1000000000;
    struct role_message yes = role_message_make(r, ROLE_MSG_PROMISE);

    yes.inc = m->inc;
    yes.boot = m->boot;
    yes.reg = r->d.reg;
    if (r->follow != ROLE_FOLLOW_NONE && !role_mutant(r, ROLE_MUTANT_ACK_AFTER_PROMISE))
        role_stop_following(r, out);
    if (role_mutant(r, ROLE_MUTANT_NOT_PERSISTED))
        role_send(r, m->from, &yes, out);
    if (m->inc > r->d.promised) {
        r->d.promised = m->inc;
        r->d.promised_to = m->from;
        r->promise_quiet_ns = now + role_jitter(r, second, 2 * second);
        if (r->d.reg.primary == r->config.self)
            r->restart_at_ns = r->promise_quiet_ns + second;
        if (role_mutant(r, ROLE_MUTANT_VOTE_IS_REGISTER)) {
            register_seat(&r->d.reg, m->from);
            r->d.reg.key = (struct register_key){ .inc = m->inc };
            r->d.reg.synchronized = false;
        }
        role_persist(r, out);
    }
    if (!role_mutant(r, ROLE_MUTANT_NOT_PERSISTED))
        role_send(r, m->from, &yes, out);
}

void
role_on_ask(struct role *r, uint64_t now, const struct role_message *m, struct role_actions *out)
{
    bool again = m->inc == r->d.promised && r->d.promised_to == m->from &&
                 r->d.reg.key.inc < m->inc && r->state == ROLE_MOUNTED;

    if (register_member(&r->d.reg, m->from) == NULL) {
        role_refuse(r, m, ROLE_WHY_NOT_MEMBER, out);
    } else if (m->inc <= r->d.promised && !again) {
        role_refuse(r, m, ROLE_WHY_PROMISED, out);
    } else if (r->state == ROLE_OPEN && role_handover_expects(r, m)) {
        role_handover_promise(r, now, m, out);
    } else if ((r->state == ROLE_OPEN || r->state == ROLE_OPENING) &&
               !role_mutant(r, ROLE_MUTANT_PROMISE_WHILE_OPEN)) {
        role_refuse(r, m, ROLE_WHY_PRIMARY_LIVES, out);
    } else {
        if (r->state != ROLE_MOUNTED && r->state != ROLE_OPEN && r->state != ROLE_OPENING)
            role_step_down(r, now, "another candidate asked with a higher number", out);
        role_give_promise(r, now, m, out);
    }
}

void
role_on_promise(struct role *r, uint64_t now, const struct role_message *m,
                struct role_actions *out)
{
    struct role_peer *p;

    if (r->state != ROLE_STANDING || m->inc != r->elect.number || m->boot != r->config.boot_id)
        return;
    p = role_peer(r, m->from);
    p->promised = true;
    p->log = m->log;
    p->reg_inc = m->reg.key.inc;
    if (register_key_cmp(m->reg.key, r->elect.best.key) > 0)
        r->elect.best = m->reg;
    role_elect_step(r, now, out);
}

/* Somebody promised past the number that this node stands for or reigns with (FO-11). */
static void
on_passed(struct role *r, uint64_t now, struct role_actions *out)
{
    switch (r->state) {
    case ROLE_OPEN:
        if (r->handover.phase == HANDOVER_TOLD)
            return; /* the target has stood, as it was told to */
        role_note(out, ROLE_WARNING, "somebody promised past incarnation %u: standing again",
                  r->d.reg.key.inc);
        role_stand(r, now, ROLE_REASON_IN_OFFICE, 0, out);
        break;
    case ROLE_STANDING:
    case ROLE_RECORDING:
        if (r->elect.tries < TRIES_MAX || r->elect.in_office)
            role_stand(r, now, r->elect.reason, r->elect.flags, out);
        else
            role_step_down(r, now, "others promised higher numbers again and again", out);
        break;
    default:
        break;
    }
}

static incarnation_t
own_number(const struct role *r)
{
    return r->state == ROLE_OPEN ? r->d.reg.key.inc : r->elect.number;
}

void
role_on_refuse(struct role *r, uint64_t now, const struct role_message *m, struct role_actions *out)
{
    struct role_peer *p;

    if (role_accept_register(r, now, &m->reg, out))
        return;
    if (r->state == ROLE_MOUNTED || r->state == ROLE_CANVASSING)
        return;
    p = role_peer(r, m->from);
    if (m->of == ROLE_MSG_ASK && r->state == ROLE_STANDING && m->inc == r->elect.number) {
        p->refused = true;
        if (m->why == ROLE_WHY_PRIMARY_LIVES && !r->elect.in_office &&
            (r->elect.flags & ROLE_FAILOVER_FENCED) == 0) {
            role_step_down(r, now, "a voter is a live primary", out);
            return;
        }
    }
    if (register_member(&r->d.reg, m->from) == NULL)
        return;
    if (m->promised > own_number(r) || (r->state == ROLE_STANDING && m->of == ROLE_MSG_ASK &&
                                        m->inc == r->elect.number && m->promised == m->inc))
        on_passed(r, now, out);
    else if (r->state == ROLE_STANDING)
        role_elect_step(r, now, out);
    else if (r->state == ROLE_OPEN && register_key_cmp(m->reg.key, r->d.reg.key) < 0)
        role_send_record(r, m->from, out);
}
