/* Accepting registers (FO-6, FO-16) and following whom they name (FO-30 to FO-33).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "node/role_int.h"

#include <inttypes.h>

/* ---- accepting ------------------------------------------------------------------------------ */

/* Two reigns of one number: an operator's word was not true. They are never merged. */
static bool
is_other_reign(const struct role *r, const struct role_register *reg)
{
    return reg->key.inc == r->d.reg.key.inc && reg->key.inc != 0 &&
           reg->reign_id != r->d.reg.reign_id;
}

static void
listen_to(struct role *r, uint64_t now, const struct role_register *reg, struct role_actions *out)
{
    bool new_reign = reg->key.inc != r->d.reg.key.inc;

    if (new_reign && r->follow != ROLE_FOLLOW_NONE)
        role_stop_following(r, out);
    if (new_reign) {
        r->known_acknowledged = lsn_make(0);
        r->following.overridden = false;
        r->heard_primary = 0;
    }
    r->d.reg = *reg;
    if (reg->key.inc > r->d.promised)
        r->d.promised_to = reg->primary;
    if (reg->key.inc > r->d.promised)
        r->d.promised = reg->key.inc;
    r->restart_at_ns = NEVER;
    r->restart_tries = 0;
    role_persist(r, out);
    if (new_reign) {
        role_note(out, ROLE_INFO, "%s is primary of incarnation %u",
                  register_member_name(reg, reg->primary), reg->key.inc);
        role_handover_on_register(r, out);
        role_begin_following(r, now, out);
    }
}

/* What a voter holds was written by its primary, so it does not matter who passes it on. */
bool
role_accept_register(struct role *r, uint64_t now, const struct role_register *reg,
                     struct role_actions *out)
{
    if (reg->primary == 0 || register_key_cmp(reg->key, r->d.reg.key) <= 0 ||
        reg->key.inc < r->d.promised || is_other_reign(r, reg))
        return false;
    if (reg->primary == r->config.self) {
        role_note(
            out, ROLE_ALARM,
            "a member holds register %u.%u of this node's, which this node does not know: its "
            "state was lost or restored (FO-52)",
            reg->key.inc, reg->key.version);
        return false;
    }
    /* An operator's canvass goes on with what it has just learnt. */
    if (r->state != ROLE_MOUNTED &&
        !(r->state == ROLE_CANVASSING && r->elect.reason == ROLE_REASON_FAILOVER))
        role_step_down(r, now, "a newer reign has begun", out);
    listen_to(r, now, reg, out);
    return true;
}

void
role_on_record(struct role *r, uint64_t now, const struct role_message *m, struct role_actions *out)
{
    struct role_message yes;

    if (is_other_reign(r, &m->reg)) {
        role_note(out, ROLE_ALARM,
                  "%s reigns in incarnation %u as %016" PRIx64 ", known here as %016" PRIx64,
                  register_member_name(&m->reg, m->from), m->reg.key.inc, m->reg.reign_id,
                  r->d.reg.reign_id);
        role_refuse(r, m, ROLE_WHY_OTHER_REIGN, out);
        return;
    }
    (void)role_accept_register(r, now, &m->reg, out);
    if (m->reg.key.inc < r->d.reg.key.inc) {
        role_refuse(r, m, ROLE_WHY_NEWER_REGISTER, out);
    } else if (m->reg.key.inc != r->d.reg.key.inc || r->d.promised > m->reg.key.inc) {
        role_refuse(r, m, ROLE_WHY_PROMISED, out);
    } else if (m->from == r->d.reg.primary) {
        yes = role_message_make(r, ROLE_MSG_RECORDED);
        yes.key = r->d.reg.key;
        yes.reign_id = r->d.reg.reign_id;
        role_send(r, m->from, &yes, out);
    }
}

void
role_on_heartbeat(struct role *r, uint64_t now, const struct role_message *m,
                  struct role_actions *out)
{
    struct role_message yes;

    if (m->from != r->d.reg.primary || m->inc != r->d.reg.key.inc) {
        role_refuse(r, m, m->inc < r->d.reg.key.inc ? ROLE_WHY_NEWER_REGISTER : ROLE_WHY_NONE, out);
        return;
    }
    if (r->d.promised > m->inc) {
        role_refuse(r, m, ROLE_WHY_PROMISED, out);
        return;
    }
    r->heard_primary = m->from;
    r->heard_primary_ns = now;
    if (lsn_lt(r->known_acknowledged, m->lsn))
        r->known_acknowledged = m->lsn;
    yes = role_message_make(r, ROLE_MSG_GRANT);
    yes.inc = m->inc;
    yes.boot = m->sender_boot;
    yes.seq = m->seq;
    role_send(r, m->from, &yes, out);
}

/* ---- following ------------------------------------------------------------------------------ */

void
role_stop_following(struct role *r, struct role_actions *out)
{
    role_follow_move(r, ROLE_FOLLOW_NONE);
    r->following.ticket = 0;
    r->following.retry_ns = NEVER;
    role_emit(out, ROLE_ACT_STOP_FOLLOWING);
}

static void
acknowledge(struct role *r, struct role_actions *out)
{
    struct role_action *a = role_emit(out, ROLE_ACT_ACKNOWLEDGE);

    a->to = r->d.reg.primary;
    a->inc = r->d.reg.key.inc;
    role_follow_move(r, ROLE_FOLLOW_LIVE);
    r->following.overridden = false;
}

static void
locate(struct role *r, struct role_actions *out)
{
    struct role_action *a = role_emit(out, ROLE_ACT_FOLLOW);

    r->following.retry_ns = NEVER;
    a->ticket = r->following.ticket = ++r->tickets;
    a->to = r->d.reg.primary;
    a->inc = r->d.reg.key.inc;
    a->pos = (struct role_pos){ r->d.reg.fork_inc, r->d.reg.fork_lsn, r->d.reg.fork_scn };
    role_follow_move(r, ROLE_FOLLOW_LOCATING);
}

void
role_begin_following(struct role *r, uint64_t now, struct role_actions *out)
{
    const struct role_register *reg = &r->d.reg;

    (void)now;
    if (reg->primary == 0 || reg->primary == r->config.self || r->d.promised != reg->key.inc)
        return; /* nobody to follow, or an election is under way */
    if (r->d.follows == reg->key.inc) {
        acknowledge(r, out);
        return;
    }
    if (role_mutant(r, ROLE_MUTANT_FOLLOW_AT_ONCE)) {
        r->d.follows = reg->key.inc;
        role_persist(r, out);
        acknowledge(r, out);
        return;
    }
    locate(r, out);
}

static void
cut(struct role *r, struct role_actions *out)
{
    struct role_action *a = role_emit(out, ROLE_ACT_CUT);

    a->ticket = r->following.ticket = ++r->tickets;
    a->inc = r->d.reg.key.inc;
    a->pos = r->following.fork;
    role_follow_move(r, ROLE_FOLLOW_CUTTING);
}

static void
base_copy(struct role *r, const char *why, struct role_actions *out)
{
    struct role_action *a = role_emit(out, ROLE_ACT_BASE_COPY);

    a->ticket = r->following.ticket = ++r->tickets;
    a->to = r->d.reg.primary;
    a->inc = r->d.reg.key.inc;
    role_follow_move(r, ROLE_FOLLOW_RESEED);
    role_note(out, ROLE_WARNING, "%s incarnation %u: a base copy is needed", why, r->d.reg.key.inc);
}

/* FO-30: below what was published here nothing is cut in the sync modes, unless the reign began on
 * an operator's word; and not even then without being asked, if that is how it is configured. Redo
 * behind the last commit that was published has shown nobody anything. */
static bool
may_cut(struct role *r, struct role_pos fork, struct role_actions *out)
{
    const struct role_register *reg = &r->d.reg;
    bool since = lsn_lt(r->d.published, r->ends.published);
    struct lsn published = since ? r->ends.published : r->d.published;
    scn_t scn = since ? r->ends.published_scn : r->d.published_scn;

    if (lsn_le(published, fork.lsn) || scn <= fork.scn || r->following.overridden)
        return true;
    if (reg->mode != REGISTER_PERFORMANCE && reg->lag_limit_bytes == 0 &&
        r->d.follows >= reg->fenced_inc && r->d.follows >= reg->loss_inc) {
        role_note(out, ROLE_ALARM,
                  "incarnation %u forked at LSN %" PRIu64 ", below LSN %" PRIu64
                  ", which clients have seen here: not cut (FO-30)",
                  reg->key.inc, fork.lsn.v, published.v);
        return false;
    }
    role_note(out, ROLE_WARNING,
              "commits from LSN %" PRIu64 " to %" PRIu64
              " are not in incarnation %u and become an orphan branch",
              fork.lsn.v, published.v, reg->key.inc);
    return !r->config.ask_reinstate;
}

/* A base copy keeps nothing of the own log: what would be lost that was published here, and all of
 * a log that is another one, waits for `reinstate`. */
static void
lose(struct role *r, int code, struct role_pos fork, struct role_actions *out)
{
    r->following.is_lost = true;
    if (code == ERR_DIVERGED && !r->following.overridden) {
        role_note(
            out, ROLE_ALARM,
            "the log here is another one than that of incarnation %u: `reinstate` replaces it",
            r->d.reg.key.inc);
        role_follow_move(r, ROLE_FOLLOW_HELD);
    } else if (!may_cut(r, fork, out)) {
        role_follow_move(r, ROLE_FOLLOW_HELD);
    } else {
        base_copy(r, "history does not reach back to the fork of", out);
    }
}

void
role_on_fork(struct role *r, uint64_t now, uint64_t ticket, int code, struct role_pos fork,
             struct role_actions *out)
{
    if (r->follow != ROLE_FOLLOW_LOCATING || ticket != r->following.ticket)
        return;
    if (code == ERR_NEEDS_RESEED || code == ERR_DIVERGED) {
        lose(r, code, fork, out);
    } else if (code != 0) {
        r->following.retry_ns = now + r->config.times.heartbeat_ns;
    } else {
        r->following.fork = fork;
        r->following.is_lost = false;
        if (may_cut(r, fork, out)) {
            cut(r, out);
        } else {
            role_follow_move(r, ROLE_FOLLOW_HELD);
        }
    }
}

void
role_on_cut(struct role *r, uint64_t now, uint64_t ticket, int code, struct role_actions *out)
{
    if ((r->follow != ROLE_FOLLOW_CUTTING && r->follow != ROLE_FOLLOW_RESEED) ||
        ticket != r->following.ticket)
        return;
    if (code != 0) {
        role_note(out, ROLE_WARNING, "following incarnation %u: %s; trying again", r->d.reg.key.inc,
                  err_name(code));
        role_follow_move(r, ROLE_FOLLOW_LOCATING);
        r->following.ticket = 0;
        r->following.retry_ns = now + r->config.times.heartbeat_ns;
        return;
    }
    if (r->follow == ROLE_FOLLOW_CUTTING && lsn_lt(r->following.fork.lsn, r->d.published)) {
        r->d.published = r->following.fork.lsn;
        r->d.published_scn = r->following.fork.scn;
    }
    if (lsn_lt(r->d.published, r->ends.published))
        r->ends.published = r->d.published;
    r->d.follows = r->d.reg.key.inc;
    role_persist(r, out);
    acknowledge(r, out);
}

void
role_on_lost(struct role *r, uint64_t now, int code, struct role_actions *out)
{
    if (r->follow != ROLE_FOLLOW_LIVE)
        return;
    (void)now;
    role_stop_following(r, out);
    if (code == ERR_DIVERGED)
        lose(r, code, (struct role_pos){ 0 }, out);
    else
        base_copy(r, "its primary has no redo any more that this log goes on with, in", out);
}

void
role_follow_tick(struct role *r, uint64_t now, struct role_actions *out)
{
    if (r->handover.phase != HANDOVER_NONE)
        role_handover_tick(r, now, out);
    if (now < r->following.retry_ns)
        return;
    r->following.retry_ns = NEVER;
    if (r->follow == ROLE_FOLLOW_LOCATING)
        locate(r, out);
}

int
role_reinstate(struct role *r, uint64_t now, struct role_actions *out)
{
    (void)now;
    if (role_reigns(r))
        return DIAG(ERR_ROLE, "this node is the primary: there is nothing to reinstate");
    if (r->d.reg.primary == 0 || r->d.reg.primary == r->config.self)
        return DIAG(ERR_AGAIN, "this node has not heard of another primary than itself");
    if (r->state != ROLE_MOUNTED || r->follow == ROLE_FOLLOW_NONE)
        return DIAG(ERR_AGAIN, "an election is under way here: it follows whoever wins");
    r->following.overridden = r->follow != ROLE_FOLLOW_LIVE;
    if (r->follow == ROLE_FOLLOW_HELD && r->following.is_lost)
        base_copy(r, "an operator gave up what is not in", out);
    else if (r->follow == ROLE_FOLLOW_HELD)
        cut(r, out);
    return 0;
}
