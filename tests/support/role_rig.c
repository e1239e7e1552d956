/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>

#include "tests/support/role_rig.h"

struct role_durable
role_rig_durable(member_id_t primary, bool synchronized)
{
    struct role_durable d;

    role_durable_first(&d, ROLE_RIG_DATABASE, "n1", "h:1", "h:2");
    for (int i = 2; i <= 3; i++) {
        struct register_member *m = &d.reg.members[d.reg.member_count++];

        m->id = d.reg.next_member_id++;
        m->admitted = true;
        snprintf(m->name, sizeof m->name, "n%d", i);
    }
    d.reg.primary = primary;
    d.reg.members[primary == 2 ? 0 : 1].listed = true;
    d.reg.k = 1;
    d.reg.mode = REGISTER_AVAILABILITY;
    d.reg.key = (struct register_key){ 5, 2 };
    d.reg.reign_id = 55;
    d.reg.synchronized = synchronized;
    d.promised = 5;
    d.promised_to = primary;
    d.follows = 5;
    return d;
}

void
role_rig_init(struct role_rig *g, member_id_t self, const struct role_durable *d)
{
    struct role_config c = {
        .self = self,
        .database_id = ROLE_RIG_DATABASE,
        .boot_id = 900 + self,
        .seed = 3,
        .net_timeout_ms = 5000,
    };
    struct role_ends ends = { { 100 }, { 100 }, { 100 }, { 90 }, 100, 90 };

    *g = (struct role_rig){ .now = 1000000000 };
    role_actions_init(&g->out);
    g->r = role_new(&c, d, g->now);
    role_on_log(g->r, g->now, &ends, &g->out);
    role_start(g->r, g->now, &g->out);
}

void
role_rig_fini(struct role_rig *g)
{
    role_free(g->r);
    role_actions_fini(&g->out);
}

/* The n-th action of a type, its place in *at. */
const struct role_action *
role_rig_action(const struct role_rig *g, enum role_action_type type, int n, int *at)
{
    for (uint32_t i = 0; i < g->out.count; i++)
        if (g->out.items[i].type == type && n-- == 0) {
            if (at != NULL)
                *at = (int)i;
            return &g->out.items[i];
        }
    return NULL;
}

const struct role_message *
role_rig_sent(const struct role_rig *g, enum role_message_type type, member_id_t to, int *at)
{
    for (uint32_t i = 0; i < g->out.count; i++)
        if (g->out.items[i].type == ROLE_ACT_SEND && g->out.items[i].message->type == type &&
            (to == 0 || g->out.items[i].to == to)) {
            if (at != NULL)
                *at = (int)i;
            return g->out.items[i].message;
        }
    return NULL;
}

struct role_message
role_rig_message(enum role_message_type type, member_id_t from)
{
    struct role_message m = {
        .type = type, .from = from, .sender_boot = 900 + from, .database_id = ROLE_RIG_DATABASE
    };

    return m;
}

void
role_rig_give(struct role_rig *g, const struct role_message *m)
{
    role_actions_clear(&g->out);
    role_on_message(g->r, g->now, m, &g->out);
}

void
role_rig_tick(struct role_rig *g, uint64_t ms)
{
    role_actions_clear(&g->out);
    g->now += ms * MS;
    role_on_tick(g->r, g->now, &g->out);
}

enum role_state
role_rig_state(const struct role_rig *g)
{
    struct role_status s;

    role_get_status(g->r, &s);
    return s.state;
}

void
role_rig_give_ack(struct role_rig *g, member_id_t from, incarnation_t inc, uint64_t lsn)
{
    struct gate_ack a = { from, inc, { lsn }, { lsn }, { lsn } };

    role_actions_clear(&g->out);
    role_on_ack(g->r, g->now, &a, &g->out);
}

void
role_rig_give_ask(struct role_rig *g, member_id_t from, incarnation_t inc)
{
    struct role_message m = role_rig_message(ROLE_MSG_ASK, from);

    m.inc = inc;
    m.boot = m.sender_boot;
    role_rig_give(g, &m);
}

/* Node 1, the register's primary, up to OPEN, with node 2's voice. */
void
role_rig_open_primary(struct role_rig *g, const struct role_durable *d)
{
    struct role_message m = role_rig_message(ROLE_MSG_OPINION, 2);
    const struct role_durable *now;
    uint64_t ticket;

    role_rig_init(g, 1, d);
    m.yes = true;
    m.reg = d->reg;
    role_rig_give(g, &m);
    ck_assert_int_eq(role_rig_state(g), ROLE_STANDING);
    m = role_rig_message(ROLE_MSG_PROMISE, 2);
    m.inc = role_rig_sent(g, ROLE_MSG_ASK, 2, NULL)->inc;
    m.boot = 901;
    m.reg = d->reg;
    role_rig_give(g, &m);
    ck_assert_int_eq(role_rig_state(g), ROLE_PREPARING);
    ticket = role_rig_action(g, ROLE_ACT_PREPARE, 0, NULL)->ticket;
    role_actions_clear(&g->out);
    role_on_prepared(g->r, g->now, ticket, 0, (struct role_pos){ 5, { 100 }, 100 }, &g->out);
    now = role_durable_state(g->r);
    m = role_rig_message(ROLE_MSG_RECORDED, 2);
    m.key = now->reg.key;
    m.reign_id = now->reg.reign_id;
    role_rig_give(g, &m);
    ticket = role_rig_action(g, ROLE_ACT_OPEN, 0, NULL)->ticket;
    role_actions_clear(&g->out);
    role_on_opened(g->r, g->now, ticket, 0, &g->out);
    ck_assert_int_eq(role_rig_state(g), ROLE_OPEN);
}

void
role_rig_confirm(struct role_rig *g, member_id_t from)
{
    const struct role_durable *d = role_durable_state(g->r);
    struct role_message m = role_rig_message(ROLE_MSG_RECORDED, from);

    m.key = d->reg.key;
    m.reign_id = d->reg.reign_id;
    role_rig_give(g, &m);
}

void
role_rig_gate_done(struct role_rig *g, uint64_t acknowledged)
{
    const struct role_action *a = role_rig_action(g, ROLE_ACT_GATE, 0, NULL);

    ck_assert_ptr_nonnull(a);
    role_on_gate(g->r, g->now, a->gate.seq, lsn_make(acknowledged), &g->out);
}

/* Node 1 open and synchronized with node 2. */
void
role_rig_open_synchronized(struct role_rig *g)
{
    struct role_durable d = role_rig_durable(1, true);

    role_rig_open_primary(g, &d);
    role_rig_give_ack(g, 2, 6, 100); /* FO-1b closes first */
    ck_assert(!role_rig_action(g, ROLE_ACT_GATE, 0, NULL)->gate.alone);
    role_rig_gate_done(g, 100);
    ck_assert(role_durable_state(g->r)->reg.synchronized);
    role_rig_confirm(g, 2);
}

enum role_sync
role_rig_sync_state(const struct role_rig *g)
{
    struct role_status s;

    role_get_status(g->r, &s);
    return s.sync;
}
