/* Changes of mode, list and members: versions of the register, one at a time (FO-5).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "node/role_int.h"

#include <stdio.h>
#include <string.h>

static void
install(struct role *r, enum register_mode mode, struct register_config to)
{
    r->d.reg.mode = mode;
    r->d.reg.k = to.k;
    for (uint32_t i = 0; i < r->d.reg.member_count; i++)
        r->d.reg.members[i].listed = (to.list >> i & 1) != 0;
}

static void
done(struct role *r, struct role_actions *out)
{
    r->office.change.phase = CHANGE_NONE;
    if (r->d.reg.k == 0)
        role_reply(r, ROLE_CMD_PROTECT, 0, out, "%s", register_mode_name(r->d.reg.mode));
    else
        role_reply(r, ROLE_CMD_PROTECT, 0, out, "%s, any %u of %u",
                   register_mode_name(r->d.reg.mode), r->d.reg.k, register_list_count(&r->d.reg));
}

/* k of the new list have what was acknowledged: the change is written. Both lists bind until two
 * legs by each hold it. */
static void
write_change(struct role *r, uint64_t now, struct role_actions *out)
{
    struct register_config from = register_config_now(&r->d.reg);

    install(r, r->office.change.mode, r->office.change.to);
    if (!register_keep(&r->d.reg, from)) {
        CHECK(r->d.reg.before_count == 0); /* one change at a time: there is room */
        UNREACHABLE();
    }
    r->d.reg.synchronized = r->d.reg.synchronized && r->d.reg.k > 0;
    r->office.change.phase = CHANGE_WRITTEN;
    role_office_write(r, now, out);
    role_gate(r, out);
}

static void
settle(struct role *r, uint64_t now, struct role_actions *out)
{
    if (r->d.reg.before_count != 0) { /* else leaving has settled it */
        if (!role_two_legs(&r->d.reg, role_set_confirmed(r, r->d.reg.key)))
            return;
        r->d.reg.before_count = 0;
        role_office_write(r, now, out);
    }
    done(r, out);
    if (r->d.reg.k == 0 && r->sync == ROLE_SYNCHRONIZED)
        role_sync_move(r, ROLE_ALONE);
    role_gate(r, out);
}

void
role_change_step(struct role *r, uint64_t now, struct role_actions *out)
{
    struct role_office *o = &r->office;

    if (o->change.phase == CHANGE_CATCHING) {
        struct gate_rule rule = role_rule(r, o->change.to);
        struct lsn reached;
        bool has = role_rule_reached(r, &rule, &reached) && lsn_le(o->acknowledged, reached) &&
                   o->gate_done >= o->change.gate;

        if (has || role_mutant(r, ROLE_MUTANT_CHANGE_GAP)) {
            write_change(r, now, out);
        } else if (now >= o->change.deadline_ns) {
            o->change.phase = CHANGE_NONE;
            role_reply(r, ROLE_CMD_PROTECT, ERR_TIMEOUT, out,
                       "the new list did not take over what was acknowledged in time");
            role_gate(r, out);
        }
    }
    if (o->change.phase == CHANGE_WRITTEN)
        settle(r, now, out);
}

void
role_change_leave(struct role *r, struct role_actions *out)
{
    if (r->office.change.phase == CHANGE_CATCHING) {
        r->office.change.phase = CHANGE_NONE;
        role_reply(r, ROLE_CMD_PROTECT, ERR_TIMEOUT, out,
                   "the lists stopped acknowledging while the change was under way");
    } else if (r->office.change.phase == CHANGE_WRITTEN && !r->d.reg.fsfo) {
        /* Nobody but this node may be elected without an operator's word from here on. */
        r->d.reg.before_count = 0;
    }
}

static int
check_office(const struct role *r)
{
    if (r->state != ROLE_OPEN)
        return DIAG(ERR_ROLE, "this node is not the primary");
    if (r->handover.phase != HANDOVER_NONE)
        return DIAG(ERR_OBJECT_IN_USE, "a switchover to %s is under way",
                    register_member_name(&r->d.reg, r->handover.target));
    if (r->command != ROLE_CMD_NONE || r->office.change.phase != CHANGE_NONE ||
        r->d.reg.before_count != 0)
        return DIAG(ERR_OBJECT_IN_USE, "another command or change is under way");
    return 0;
}

static int
check_list(const struct role *r, enum register_mode mode, uint8_t k, const member_id_t *list,
           uint32_t count, struct register_config *to)
{
    *to = (struct register_config){ .primary = r->config.self, .k = k };
    if (mode != REGISTER_PERFORMANCE && count == 0) {
        int rc = DIAG(ERR_INVALID_PARAMETER_VALUE, "%s waits for standbys, and none is named",
                      register_mode_name(mode));

        diag_hint("Name them: --sync 'ANY 1 (B, C)'.");
        return rc;
    }
    if (mode == REGISTER_PERFORMANCE && count != 0)
        return DIAG(ERR_INVALID_PARAMETER_VALUE,
                    "%s waits for no standby: --sync has no place there", register_mode_name(mode));
    if (mode == REGISTER_PERFORMANCE ? count != 0 || k != 0 : count == 0 || k == 0 || k > count)
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "%s with any %u of %u standbys is not possible",
                    register_mode_name(mode), k, count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bit = register_bit(&r->d.reg, list[i]);
        const struct register_member *m = register_member(&r->d.reg, list[i]);

        if (bit == 0 || m == NULL)
            return DIAG(ERR_UNDEFINED_OBJECT, "there is no member %u", list[i]);
        if (list[i] == r->config.self)
            return DIAG(ERR_UNDEFINED_OBJECT, "\"%s\" is the primary: it waits for standbys only",
                        m->name);
        if ((to->list & bit) != 0)
            return DIAG(ERR_DUPLICATE_OBJECT, "\"%s\" is on the list twice", m->name);
        to->list = (uint16_t)(to->list | bit);
    }
    return 0;
}

int
role_protect(struct role *r, uint64_t now, enum register_mode mode, uint8_t k,
             const member_id_t *list, uint32_t count, struct role_actions *out)
{
    struct role_office *o = &r->office;
    struct register_config to;
    struct gate_rule rule;
    struct lsn reached;
    int rc = check_office(r);

    if (rc == 0)
        rc = check_list(r, mode, k, list, count, &to);
    if (rc != 0)
        return rc;
    if (r->sync == ROLE_REGAINING && !o->regain_written)
        role_sync_move(r, ROLE_ALONE);
    if (r->sync == ROLE_ALONE && !r->d.reg.fsfo) {
        /* Not synchronized: nobody else is eligible, and the own copy decides (FO-51). */
        install(r, mode, to);
        o->regain_at_ns = now;
        o->flaps = 0;
        role_office_write(r, now, out);
        role_gate(r, out);
        r->command = ROLE_CMD_PROTECT;
        done(r, out);
        role_office_step(r, now, out);
        return 0;
    }
    rule = role_rule(r, to);
    if (!role_rule_live(r, &rule, now) || !role_rule_reached(r, &rule, &reached) ||
        (lsn_lt(reached, r->ends.durable) &&
         r->ends.durable.v - reached.v > r->config.times.regain_lag_bytes)) {
        rc = DIAG(ERR_ROLE, "%u of the new list are not close enough to be waited for", k);
        diag_hint("Let them catch up first: see their lag with \"redoubt status\".");
        return rc;
    }
    o->change.phase = CHANGE_CATCHING;
    o->change.mode = mode;
    o->change.to = to;
    o->change.deadline_ns = now + r->config.times.switchover_ns;
    r->command = ROLE_CMD_PROTECT;
    role_gate(r, out);
    o->change.gate = o->gate.seq;
    role_office_step(r, now, out);
    return 0;
}

/* ---- members -------------------------------------------------------------------------------- */

static bool
is_name(const char *s, size_t max, bool empty_ok)
{
    size_t n = strlen(s);

    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < 0x21 || s[i] == 0x7f)
            return false;
    return n < max && (empty_ok || n > 0);
}

static bool
is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]:", 6) == 0 ||
           strncmp(address, "localhost:", 10) == 0;
}

/* The loopback addresses of two machines are two places. */
static bool
is_same_sql(const struct register_member *m, const char *guard, const char *sql)
{
    size_t host = strrchr(guard, ':') != NULL ? (size_t)(strrchr(guard, ':') - guard) + 1 : 0;

    return sql[0] != '\0' && strcmp(m->sql, sql) == 0 &&
           (!is_loopback(sql) || strncmp(m->guard, guard, host) == 0);
}

/* Two members at one place would answer for each other. */
static int
check_address(const struct role *r, member_id_t but, const char *guard, const char *sql)
{
    const struct role_register *reg = &r->d.reg;

    if (!is_name(guard, REGISTER_ADDR_MAX, false) || !is_name(sql, REGISTER_ADDR_MAX, true))
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "bad address of a member");
    for (uint32_t i = 0; i < reg->member_count; i++) {
        const struct register_member *m = &reg->members[i];

        if (m->id != but && strcmp(m->guard, guard) == 0)
            return DIAG(ERR_DUPLICATE_OBJECT, "member \"%s\" has the guard address %s already",
                        m->name, guard);
        if (m->id != but && is_same_sql(m, guard, sql))
            return DIAG(ERR_DUPLICATE_OBJECT, "member \"%s\" has the SQL address %s already",
                        m->name, sql);
    }
    return 0;
}

int
role_move_member(struct role *r, uint64_t now, member_id_t id, const char *guard, const char *sql,
                 struct role_actions *out)
{
    struct role_register *reg = &r->d.reg;
    const struct register_member *known = register_member(reg, id);
    struct register_member *m;
    int rc = check_office(r);

    if (rc == 0 && known == NULL)
        rc = DIAG(ERR_UNDEFINED_OBJECT, "there is no member %u", id);
    if (rc == 0)
        rc = check_address(r, id, guard, sql);
    if (rc != 0 || (strcmp(known->guard, guard) == 0 && strcmp(known->sql, sql) == 0))
        return rc;
    m = &reg->members[known - reg->members];
    snprintf(m->guard, sizeof m->guard, "%s", guard);
    snprintf(m->sql, sizeof m->sql, "%s", sql);
    role_office_write(r, now, out);
    role_note(out, ROLE_INFO, "%s (member %u) is at %s, SQL at %s", m->name, id, guard, sql);
    return 0;
}

static int
is_listed(const char *name)
{
    int rc = DIAG(ERR_ROLE, "\"%s\" is on the list of synchronous standbys", name);

    diag_hint("Take it off the list first: redoubt protect.");
    return rc;
}

/* Whoever was never admitted has not finished joining, and may begin anew. */
static int
check_name(const struct register_member *known)
{
    int rc;

    if (known == NULL)
        return 0;
    if (!known->admitted)
        return known->listed ? is_listed(known->name) : 0;
    rc = DIAG(ERR_DUPLICATE_OBJECT, "there is a member \"%s\" already", known->name);
    diag_hint("Choose another name; or, if that one is gone for good: redoubt drop %s.",
              known->name);
    return rc;
}

int
role_add_member(struct role *r, uint64_t now, const char *name, const char *guard, const char *sql,
                member_id_t *id, struct role_actions *out)
{
    struct role_register *reg = &r->d.reg;
    const struct register_member *known;
    struct register_member *m;
    int rc = check_office(r);

    if (rc != 0)
        return rc;
    if (!is_name(name, REGISTER_NAME_MAX, false))
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "bad name of a member");
    known = register_member_named(reg, name);
    rc = check_name(known);
    if (rc == 0)
        rc = check_address(r, known != NULL ? known->id : 0, guard, sql);
    if (rc != 0)
        return rc;
    if (known != NULL) {
        m = &reg->members[known - reg->members];
    } else if (reg->member_count == REGISTER_MEMBERS_MAX) {
        return DIAG(ERR_LIMIT, "a configuration has at most %d members", REGISTER_MEMBERS_MAX);
    } else {
        m = &reg->members[reg->member_count++];
    }
    memset(m, 0, sizeof *m);
    *id = m->id = reg->next_member_id++;
    snprintf(m->name, sizeof m->name, "%s", name);
    snprintf(m->guard, sizeof m->guard, "%s", guard);
    snprintf(m->sql, sizeof m->sql, "%s", sql);
    role_office_write(r, now, out);
    r->command = ROLE_CMD_ADD;
    role_reply(r, ROLE_CMD_ADD, 0, out, "member %u is %s", *id, name);
    return 0;
}

/* A member that holds the register counts from now on where the list is empty. */
void
role_admit(struct role *r, uint64_t now, member_id_t id, struct role_actions *out)
{
    struct role_register *reg = &r->d.reg;
    uint32_t bit = register_bit(reg, id);

    if (bit == 0 || r->office.change.phase != CHANGE_NONE)
        return;
    for (uint32_t i = 0; i < reg->member_count; i++) {
        struct register_member *m = &reg->members[i];

        if (m->id != id || m->admitted || role_peer(r, id)->confirmed.inc != reg->key.inc)
            continue;
        m->admitted = true;
        role_office_write(r, now, out);
        role_note(out, ROLE_INFO, "%s (member %u) is admitted", m->name, id);
    }
}

int
role_drop_member(struct role *r, uint64_t now, member_id_t id, struct role_actions *out)
{
    struct role_register *reg = &r->d.reg;
    char name[REGISTER_NAME_MAX];
    uint32_t at = 0;
    int rc = check_office(r);

    if (rc != 0)
        return rc;
    while (at < reg->member_count && reg->members[at].id != id)
        at++;
    if (at == reg->member_count)
        return DIAG(ERR_UNDEFINED_OBJECT, "there is no member %u", id);
    if (id == r->config.self)
        return DIAG(ERR_ROLE, "the primary cannot be dropped");
    if (reg->members[at].listed)
        return is_listed(reg->members[at].name);
    snprintf(name, sizeof name, "%s", reg->members[at].name);
    memmove(&reg->members[at], &reg->members[at + 1],
            (reg->member_count - at - 1u) * sizeof reg->members[0]);
    reg->member_count--;
    memset(&reg->members[reg->member_count], 0, sizeof reg->members[0]);
    role_office_write(r, now, out);
    r->command = ROLE_CMD_DROP;
    role_reply(r, ROLE_CMD_DROP, 0, out, "%s is no longer in the configuration", name);
    return 0;
}
