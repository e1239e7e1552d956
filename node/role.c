/* The role machine: making it, what it does with events and with time, and its lists of actions.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "node/role_int.h"

#include <stdio.h>
#include <string.h>

/* ---- states as data ------------------------------------------------------------------------- */

#define BIT(s) (1u << (s))

static const struct {
    const char *name;
    uint16_t next;
} states[ROLE_STATE_COUNT] = {
    [ROLE_MOUNTED] = { "mounted", BIT(ROLE_CANVASSING) | BIT(ROLE_STANDING) | BIT(ROLE_OPENING) },
    [ROLE_CANVASSING] = { "canvassing", BIT(ROLE_MOUNTED) | BIT(ROLE_STANDING) },
    [ROLE_STANDING] = { "standing", BIT(ROLE_STANDING) | BIT(ROLE_PREPARING) | BIT(ROLE_MOUNTED) },
    [ROLE_PREPARING] = { "preparing",
                         BIT(ROLE_RECORDING) | BIT(ROLE_STANDING) | BIT(ROLE_MOUNTED) },
    [ROLE_RECORDING] = { "recording", BIT(ROLE_OPENING) | BIT(ROLE_STANDING) | BIT(ROLE_MOUNTED) },
    [ROLE_OPENING] = { "opening", BIT(ROLE_OPEN) | BIT(ROLE_MOUNTED) },
    [ROLE_OPEN] = { "open", BIT(ROLE_STANDING) | BIT(ROLE_MOUNTED) },
};

static const struct {
    const char *name;
    uint8_t next;
} syncs[ROLE_SYNC_COUNT] = {
    [ROLE_ALONE] = { "alone", BIT(ROLE_REGAINING) },
    [ROLE_REGAINING] = { "regaining",
                         BIT(ROLE_SYNCHRONIZED) | BIT(ROLE_LEAVING) | BIT(ROLE_ALONE) },
    [ROLE_SYNCHRONIZED] = { "synchronized", BIT(ROLE_LEAVING) | BIT(ROLE_ALONE) },
    [ROLE_LEAVING] = { "leaving", BIT(ROLE_ALONE) },
};

static const struct {
    const char *name;
    uint8_t next;
} follows[ROLE_FOLLOW_COUNT] = {
    [ROLE_FOLLOW_NONE] = { "none", BIT(ROLE_FOLLOW_LOCATING) | BIT(ROLE_FOLLOW_LIVE) |
                                       BIT(ROLE_FOLLOW_HELD) | BIT(ROLE_FOLLOW_RESEED) },
    [ROLE_FOLLOW_LOCATING] = { "locating", BIT(ROLE_FOLLOW_NONE) | BIT(ROLE_FOLLOW_LOCATING) |
                                               BIT(ROLE_FOLLOW_CUTTING) | BIT(ROLE_FOLLOW_HELD) |
                                               BIT(ROLE_FOLLOW_RESEED) },
    [ROLE_FOLLOW_CUTTING] = { "cutting", BIT(ROLE_FOLLOW_NONE) | BIT(ROLE_FOLLOW_LIVE) |
                                             BIT(ROLE_FOLLOW_LOCATING) },
    [ROLE_FOLLOW_LIVE] = { "live", BIT(ROLE_FOLLOW_NONE) },
    [ROLE_FOLLOW_HELD] = { "reinstatement held", BIT(ROLE_FOLLOW_NONE) | BIT(ROLE_FOLLOW_CUTTING) |
                                                     BIT(ROLE_FOLLOW_RESEED) },
    [ROLE_FOLLOW_RESEED] = { "needs base copy", BIT(ROLE_FOLLOW_NONE) | BIT(ROLE_FOLLOW_LIVE) |
                                                    BIT(ROLE_FOLLOW_LOCATING) },
};

const char *
role_state_name(enum role_state s)
{
    return s < ROLE_STATE_COUNT ? states[s].name : "?";
}

const char *
role_sync_name(enum role_sync s)
{
    return s < ROLE_SYNC_COUNT ? syncs[s].name : "?";
}

const char *
role_follow_name(enum role_follow s)
{
    return s < ROLE_FOLLOW_COUNT ? follows[s].name : "?";
}

/* ROLE-1: what must hold in every state. */
static void
check_state(const struct role *r)
{
    CHECK(r->d.promised >= r->d.reg.key.inc);
    CHECK(r->state == ROLE_MOUNTED || r->state == ROLE_CANVASSING ||
          r->follow == ROLE_FOLLOW_NONE || role_mutant(r, ROLE_MUTANT_ACK_AFTER_PROMISE));
    CHECK(r->state != ROLE_OPEN || r->d.reg.primary == r->config.self);
}

void
role_move(struct role *r, enum role_state to)
{
    CHECK(states[r->state].next & BIT(to));
    r->state = to;
    check_state(r);
}

void
role_sync_move(struct role *r, enum role_sync to)
{
    CHECK(syncs[r->sync].next & BIT(to));
    r->sync = to;
}

void
role_follow_move(struct role *r, enum role_follow to)
{
    if (r->follow == to && to == ROLE_FOLLOW_NONE)
        return;
    CHECK(follows[r->follow].next & BIT(to));
    r->follow = to;
    check_state(r);
}

bool
role_mutant(const struct role *r, enum role_mutant m)
{
    return (r->config.mutants & m) != 0;
}

/* ---- making --------------------------------------------------------------------------------- */

static void
default_u64(uint64_t *v, uint64_t value)
{
    if (*v == 0)
        *v = value;
}

struct role *
role_new(const struct role_config *config, const struct role_durable *durable, uint64_t now)
{
    const uint64_t ms = 1000000;
    struct role *r = xcalloc(1, sizeof *r);
    struct role_times *t = &r->config.times;

    CHECK(config->self != 0 && config->database_id == durable->reg.database_id);
    r->config = *config;
    default_u64(&t->heartbeat_ns, 500 * ms);
    default_u64(&t->retry_ns, 250 * ms);
    default_u64(&t->canvass_ns, 1000 * ms);
    default_u64(&t->stand_ns, 3000 * ms);
    default_u64(&t->switchover_ns, 30000 * ms);
    default_u64(&t->regain_delay_ns, 1000 * ms);
    default_u64(&t->regain_lag_bytes, 4 << 20);
    r->random = config->seed;
    r->d = *durable;
    r->seen = durable->promised;
    r->restart_at_ns = NEVER;
    r->following.retry_ns = NEVER;
    r->handover.next_ns = NEVER;
    r->office.gate.closed = true;
    (void)now;
    check_state(r);
    return r;
}

void
role_free(struct role *r)
{
    xfree(r);
}

/* splitmix64 */
uint64_t
role_random(struct role *r)
{
    uint64_t z = r->random += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t
role_jitter(struct role *r, uint64_t lo, uint64_t hi)
{
    return lo + role_random(r) % (hi - lo + 1);
}

const struct role_peer *
role_peer_find(const struct role *r, member_id_t id)
{
    for (uint32_t i = 0; i < r->peer_count; i++)
        if (r->peers[i].id == id)
            return &r->peers[i];
    return NULL;
}

struct role_peer *
role_peer(struct role *r, member_id_t id)
{
    struct role_peer *p = NULL;

    for (uint32_t i = 0; i < r->peer_count; i++)
        if (r->peers[i].id == id)
            return &r->peers[i];
    if (r->peer_count < ROLE_PEERS_MAX) {
        p = &r->peers[r->peer_count++];
    } else {
        for (uint32_t i = 0; i < ROLE_PEERS_MAX && p == NULL; i++)
            if (register_member(&r->d.reg, r->peers[i].id) == NULL)
                p = &r->peers[i];
        CHECK(p != NULL);
    }
    *p = (struct role_peer){ .id = id };
    return p;
}

bool
role_peer_awaited(const struct role *r, uint64_t now, const struct role_peer *p)
{
    return !p->down || now - r->elect.since_ns < r->config.times.retry_ns;
}

void
role_saw(struct role *r, incarnation_t inc)
{
    if (inc > r->seen)
        r->seen = inc;
}

bool
role_reigns(const struct role *r)
{
    return r->state == ROLE_OPEN || r->state == ROLE_OPENING ||
           (r->state != ROLE_MOUNTED && r->state != ROLE_CANVASSING && r->elect.in_office);
}

/* ---- actions -------------------------------------------------------------------------------- */

static const char *const action_names[ROLE_ACT_COUNT] = {
    [ROLE_ACT_PERSIST] = "persist",
    [ROLE_ACT_SEND] = "send",
    [ROLE_ACT_GATE] = "gate",
    [ROLE_ACT_STOP_FOLLOWING] = "stop following",
    [ROLE_ACT_FOLLOW] = "follow",
    [ROLE_ACT_CUT] = "cut",
    [ROLE_ACT_ACKNOWLEDGE] = "acknowledge",
    [ROLE_ACT_PREPARE] = "prepare",
    [ROLE_ACT_OPEN] = "open",
    [ROLE_ACT_CLOSE_WRITERS] = "close writers",
    [ROLE_ACT_DRAIN] = "drain",
    [ROLE_ACT_UNDRAIN] = "undrain",
    [ROLE_ACT_BASE_COPY] = "base copy",
    [ROLE_ACT_REPLY] = "reply",
    [ROLE_ACT_NOTE] = "note",
};

const char *
role_action_name(enum role_action_type t)
{
    return t < ROLE_ACT_COUNT ? action_names[t] : "?";
}

void
role_actions_init(struct role_actions *a)
{
    *a = (struct role_actions){ 0 };
}

void
role_actions_clear(struct role_actions *a)
{
    for (uint32_t i = 0; i < a->count; i++) {
        xfree(a->items[i].durable);
        xfree(a->items[i].message);
    }
    a->count = 0;
}

void
role_actions_fini(struct role_actions *a)
{
    role_actions_clear(a);
    xfree(a->items);
    *a = (struct role_actions){ 0 };
}

struct role_action *
role_emit(struct role_actions *out, enum role_action_type type)
{
    struct role_action *a;

    if (out->count == out->cap) {
        out->cap = out->cap != 0 ? 2 * out->cap : 16;
        out->items = xrealloc(out->items, out->cap * sizeof *out->items);
    }
    a = &out->items[out->count++];
    memset(a, 0, sizeof *a);
    a->type = type;
    return a;
}

/* ROLE-2: a change of the durable state is followed by its PERSIST before anything that tells of
 * it. */
void
role_persist(struct role *r, struct role_actions *out)
{
    struct role_action *a = role_emit(out, ROLE_ACT_PERSIST);

    r->d.sequence++;
    if (lsn_lt(r->d.published, r->ends.published)) {
        r->d.published = r->ends.published;
        r->d.published_scn = r->ends.published_scn;
    }
    a->durable = xmalloc(sizeof *a->durable);
    *a->durable = r->d;
    check_state(r);
    CHECK(register_is_sound(&r->d.reg)); /* nobody could read it again */
}

void
role_note(struct role_actions *out, enum role_level level, const char *fmt, ...)
{
    struct role_action *a = role_emit(out, ROLE_ACT_NOTE);
    va_list ap;

    a->level = level;
    va_start(ap, fmt);
    vsnprintf(a->text, sizeof a->text, fmt, ap);
    va_end(ap);
}

void
role_reply(struct role *r, enum role_command c, int code, struct role_actions *out, const char *fmt,
           ...)
{
    struct role_action *a;
    va_list ap;

    if (r->command != c || c == ROLE_CMD_NONE)
        return;
    r->command = ROLE_CMD_NONE;
    a = role_emit(out, ROLE_ACT_REPLY);
    a->command = c;
    a->code = code;
    va_start(ap, fmt);
    vsnprintf(a->text, sizeof a->text, fmt, ap);
    va_end(ap);
}

struct role_message
role_message_make(const struct role *r, enum role_message_type type)
{
    struct role_message m;

    memset(&m, 0, sizeof m);
    m.type = type;
    m.from = r->config.self;
    m.sender_boot = r->config.boot_id;
    m.database_id = r->config.database_id;
    return m;
}

void
role_send(struct role *r, member_id_t to, const struct role_message *m, struct role_actions *out)
{
    struct role_action *a;

    if (to == r->config.self || to == 0)
        return;
    a = role_emit(out, ROLE_ACT_SEND);
    a->to = to;
    a->message = xmalloc(sizeof *a->message);
    *a->message = *m;
}

void
role_send_record(struct role *r, member_id_t to, struct role_actions *out)
{
    struct role_message m = role_message_make(r, ROLE_MSG_RECORD);

    m.reg = r->d.reg;
    role_send(r, to, &m, out);
}

void
role_refuse(struct role *r, const struct role_message *m, enum role_why why,
            struct role_actions *out)
{
    struct role_message no = role_message_make(r, ROLE_MSG_REFUSE);

    no.of = m->type;
    no.why = why;
    no.inc = m->type == ROLE_MSG_RECORD ? m->reg.key.inc : m->inc;
    no.boot = m->sender_boot;
    no.promised = r->d.promised;
    no.reg = r->d.reg;
    role_send(r, m->from, &no, out);
}

/* ---- leaving -------------------------------------------------------------------------------- */

void
role_step_down(struct role *r, uint64_t now, const char *why, struct role_actions *out)
{
    bool reigned = role_reigns(r), prepared = r->state == ROLE_PREPARING;

    if (r->state == ROLE_MOUNTED)
        return;
    role_move(r, ROLE_MOUNTED);
    if (prepared)
        role_emit(out, ROLE_ACT_STOP_FOLLOWING); /* the log changes no more */
    role_handover_give_up(r, now, why, out);
    if (reigned) {
        r->office.change.phase = CHANGE_NONE;
        role_gate(r, out);
        role_emit(out, ROLE_ACT_CLOSE_WRITERS);
        role_note(out, ROLE_WARNING, "no longer primary of incarnation %u: %s", r->d.reg.key.inc,
                  why);
    }
    role_reply(r, ROLE_CMD_FAILOVER, ERR_NOT_ELIGIBLE, out, "failover did not succeed: %s", why);
    role_reply(r, ROLE_CMD_PROTECT, ERR_ROLE, out, "the change was not made: %s", why);
    r->elect.in_office = false;
    r->elect.reason = ROLE_REASON_NONE;
    if (r->d.reg.primary != r->config.self)
        return;
    r->restart_tries = r->restart_tries < 4 ? r->restart_tries + 1 : 4;
    r->restart_at_ns = now + role_jitter(r, r->config.times.heartbeat_ns / 2,
                                         r->config.times.heartbeat_ns << r->restart_tries);
}

/* ---- events --------------------------------------------------------------------------------- */

static void
mutant_same_incarnation(struct role *r, struct role_actions *out)
{
    struct role_action *a;

    role_move(r, ROLE_OPENING);
    r->elect.number = r->d.reg.key.inc;
    r->elect.deadline_ns = r->elect.next_ns = NEVER;
    a = role_emit(out, ROLE_ACT_OPEN);
    a->ticket = r->elect.ticket = ++r->tickets;
    a->inc = r->elect.number;
    a->pos = (struct role_pos){ r->d.follows, r->ends.end, r->ends.end_scn };
}

void
role_start(struct role *r, uint64_t now, struct role_actions *out)
{
    role_gate(r, out);
    if (r->d.reg.fsfo) {
        role_note(out, ROLE_ALARM,
                  "the register says fast-start failover, which this program does "
                  "not have: staying mounted");
        return;
    }
    if (r->d.reg.primary != r->config.self)
        role_begin_following(r, now, out);
    else if (role_mutant(r, ROLE_MUTANT_SAME_INCARNATION) && r->d.promised == r->d.reg.key.inc &&
             r->d.promised != 0)
        mutant_same_incarnation(r, out);
    else
        role_canvass(r, now, ROLE_REASON_RESTART, 0, out);
}

void
role_on_tick(struct role *r, uint64_t now, struct role_actions *out)
{
    if (r->d.reg.fsfo)
        return;
    if (r->state == ROLE_OPEN) {
        role_office_tick(r, now, out);
        role_handover_tick(r, now, out);
    } else if (r->state != ROLE_MOUNTED) {
        role_handover_tick(r, now, out);
        role_elect_tick(r, now, out);
    } else if (r->d.reg.primary != r->config.self) {
        role_follow_tick(r, now, out);
    } else {
        role_handover_tick(r, now, out);
        if (now < r->restart_at_ns)
            return;
        r->restart_at_ns = NEVER;
        role_canvass(r, now, ROLE_REASON_RESTART, 0, out);
    }
}

static uint64_t
sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t
role_next_tick_ns(const struct role *r)
{
    const struct role_office *o = &r->office;
    uint64_t t = r->handover.next_ns;

    if (r->d.reg.fsfo)
        return NEVER;
    if (r->state == ROLE_OPEN)
        return sooner(t, sooner(o->next_heartbeat_ns, o->next_record_ns));
    if (r->state != ROLE_MOUNTED)
        return sooner(t, sooner(r->elect.next_ns, r->elect.deadline_ns));
    return sooner(t, sooner(r->following.retry_ns, r->restart_at_ns));
}

void
role_on_message(struct role *r, uint64_t now, const struct role_message *m,
                struct role_actions *out)
{
    if (m->database_id != r->config.database_id || m->from == r->config.self || m->from == 0 ||
        r->d.reg.fsfo)
        return;
    role_saw(r, m->promised);
    role_saw(r, m->inc);
    role_saw(r, m->key.inc);
    if (role_message_has_register(m->type)) {
        if (m->reg.database_id != r->config.database_id)
            return;
        role_saw(r, m->reg.key.inc);
    }
    role_peer(r, m->from)->heard_ns = now;
    switch (m->type) {
    case ROLE_MSG_HEARTBEAT:
        role_on_heartbeat(r, now, m, out);
        break;
    case ROLE_MSG_GRANT:
        break; /* liveness; its worth as a permit comes with observers (FO-21) */
    case ROLE_MSG_REFUSE:
        role_on_refuse(r, now, m, out);
        break;
    case ROLE_MSG_RECORD:
        role_on_record(r, now, m, out);
        break;
    case ROLE_MSG_RECORDED:
        role_on_recorded(r, now, m, out);
        break;
    case ROLE_MSG_CANVASS:
        role_on_canvass(r, now, m, out);
        break;
    case ROLE_MSG_OPINION:
        role_on_opinion(r, now, m, out);
        break;
    case ROLE_MSG_ASK:
        role_on_ask(r, now, m, out);
        break;
    case ROLE_MSG_PROMISE:
        role_on_promise(r, now, m, out);
        break;
    case ROLE_MSG_STAND:
        role_on_stand(r, now, m, out);
        break;
    case ROLE_MSG_RELEASE:
        if (r->heard_primary == m->from)
            r->heard_primary = 0;
        break;
    }
    if (r->state == ROLE_OPEN)
        role_office_step(r, now, out);
}

void
role_on_link(struct role *r, uint64_t now, member_id_t member, bool up, struct role_actions *out)
{
    if (register_member(&r->d.reg, member) != NULL) {
        struct role_peer *p = role_peer(r, member);

        if (!up && !p->down)
            p->down_ns = now;
        p->down = !up;
    }
    if (!up) {
        role_handover_on_link_down(r, now, member);
        if (r->heard_primary == member)
            r->heard_primary = 0;
        return;
    }
    if (r->state == ROLE_OPEN || r->state == ROLE_RECORDING) {
        role_send_record(r, member, out);
    } else if (r->state == ROLE_CANVASSING || r->state == ROLE_STANDING) {
        r->elect.next_ns = now; /* asks again, the newcomer too */
        role_elect_tick(r, now, out);
    }
    if (r->state == ROLE_OPEN)
        role_heartbeat(r, member, out);
}

void
role_on_log(struct role *r, uint64_t now, const struct role_ends *ends, struct role_actions *out)
{
    r->ends = *ends;
    if (r->state == ROLE_OPEN)
        role_office_step(r, now, out);
}

void
role_on_ack(struct role *r, uint64_t now, const struct gate_ack *ack, struct role_actions *out)
{
    struct role_peer *p;

    if (r->state == ROLE_MOUNTED || r->d.reg.primary != r->config.self ||
        ack->inc != r->d.reg.key.inc || register_member(&r->d.reg, ack->member) == NULL)
        return;
    p = role_peer(r, ack->member);
    p->heard_ns = now;
    if (p->ack.inc != ack->inc || lsn_le(p->ack.durable, ack->durable))
        p->ack = *ack;
    p->ack.member = ack->member;
    if (r->state != ROLE_OPEN)
        return;
    role_admit(r, now, ack->member, out);
    role_office_step(r, now, out);
}

void
role_on_gate(struct role *r, uint64_t now, uint64_t seq, struct lsn acknowledged,
             struct role_actions *out)
{
    if (seq > r->office.gate_done)
        r->office.gate_done = seq;
    if (lsn_lt(r->office.acknowledged, acknowledged))
        r->office.acknowledged = acknowledged;
    if (r->state == ROLE_OPEN)
        role_office_step(r, now, out);
}

/* ---- asking --------------------------------------------------------------------------------- */

bool
role_accepts_frames(const struct role *r, member_id_t from, incarnation_t inc)
{
    if (role_mutant(r, ROLE_MUTANT_ACK_AFTER_PROMISE))
        return r->follow == ROLE_FOLLOW_LIVE && from == r->d.reg.primary && inc == r->d.reg.key.inc;
    return (r->state == ROLE_MOUNTED || r->state == ROLE_CANVASSING) &&
           r->follow == ROLE_FOLLOW_LIVE && from == r->d.reg.primary && inc == r->d.reg.key.inc &&
           inc == r->d.promised && inc == r->d.follows;
}

bool
role_permit_valid(const struct role *r, uint64_t now_ns)
{
    (void)now_ns;
    return !r->d.reg.fsfo;
}

const struct role_durable *
role_durable_state(const struct role *r)
{
    return &r->d;
}

struct role_log
role_log_now(const struct role *r)
{
    struct role_log log = { .follows = r->d.follows,
                            .end = r->ends.end,
                            .end_scn = r->ends.end_scn,
                            .acknowledged = r->known_acknowledged };

    if (r->d.reg.primary == r->config.self && lsn_lt(log.acknowledged, r->office.acknowledged))
        log.acknowledged = r->office.acknowledged;
    return log;
}

static const char *
waits_for(const struct role *r)
{
    switch (r->state) {
    case ROLE_MOUNTED:
        if (r->follow == ROLE_FOLLOW_HELD)
            return r->following.is_lost ? "a base copy would lose commits: reinstate"
                                        : "commits would be cut off: reinstate";
        if (r->follow == ROLE_FOLLOW_RESEED)
            return "a base copy from the primary";
        if (r->follow == ROLE_FOLLOW_LIVE)
            return "";
        return r->d.promised > r->d.reg.key.inc ? "the outcome of an election"
                                                : "the log of its primary";
    case ROLE_CANVASSING:
        return "answers from the members that have a voice; failover --fenced opens it "
               "without them";
    case ROLE_STANDING:
        return "promises of two legs";
    case ROLE_PREPARING:
        return "its log to be complete, applied and durable";
    case ROLE_RECORDING:
        return "two legs to record its reign";
    case ROLE_OPENING:
        return "the engine to open";
    case ROLE_OPEN:
        if (r->handover.phase != HANDOVER_NONE)
            return "the target of a switchover";
        if (r->sync == ROLE_LEAVING)
            return "leave to go on alone";
        return r->sync == ROLE_REGAINING ? "the standbys to close the gap" : "";
    case ROLE_STATE_COUNT:
        break;
    }
    return "";
}

void
role_get_status(const struct role *r, struct role_status *out)
{
    *out = (struct role_status){
        .state = r->state,
        .sync = r->sync,
        .follow = r->follow,
        .is_primary = role_reigns(r),
        .draining = r->handover.phase != HANDOVER_NONE,
        .inc = r->state == ROLE_STANDING || r->state == ROLE_PREPARING ? r->elect.number
                                                                       : r->d.reg.key.inc,
        .start = r->office.start,
        .waits = waits_for(r),
        .waits_since_ns = r->state != ROLE_MOUNTED && r->state != ROLE_OPEN ? r->elect.since_ns : 0,
        .command = r->command,
    };
}

uint64_t
role_heard_ns(const struct role *r, member_id_t member)
{
    const struct role_peer *p = role_peer_find(r, member);

    return p != NULL ? p->heard_ns : 0;
}
