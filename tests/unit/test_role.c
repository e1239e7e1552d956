/* The role machine, rule by rule (PROTOCOL.md). Some tests drive one machine by hand and look at
 * its actions; others run a few of them in a world without faults.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/role_world.h"

#define DATABASE 0x1234

/* ---- one machine by hand -------------------------------------------------------------------- */

struct rig {
    struct role *r;
    struct role_actions out;
    uint64_t now;
};

static struct role_durable
durable(member_id_t primary, bool synchronized)
{
    struct role_durable d;

    role_durable_first(&d, DATABASE, "n1", "h:1", "h:2");
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

static void
rig_init(struct rig *g, member_id_t self, const struct role_durable *d)
{
    struct role_config c = {
        .self = self, .database_id = DATABASE, .boot_id = 900 + self, .seed = 3
    };
    struct role_ends ends = { { 100 }, { 100 }, { 100 }, { 90 }, 100, 90 };

    *g = (struct rig){ .now = 1000000000 };
    role_actions_init(&g->out);
    g->r = role_new(&c, d, g->now);
    role_on_log(g->r, g->now, &ends, &g->out);
    role_start(g->r, g->now, &g->out);
}

static void
rig_fini(struct rig *g)
{
    role_free(g->r);
    role_actions_fini(&g->out);
}

/* The n-th action of a type, its place in *at. */
static const struct role_action *
action(const struct rig *g, enum role_action_type type, int n, int *at)
{
    for (uint32_t i = 0; i < g->out.count; i++)
        if (g->out.items[i].type == type && n-- == 0) {
            if (at != NULL)
                *at = (int)i;
            return &g->out.items[i];
        }
    return NULL;
}

static const struct role_message *
sent(const struct rig *g, enum role_message_type type, member_id_t to, int *at)
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

static struct role_message
message(enum role_message_type type, member_id_t from)
{
    struct role_message m = {
        .type = type, .from = from, .sender_boot = 900 + from, .database_id = DATABASE
    };

    return m;
}

static void
give(struct rig *g, const struct role_message *m)
{
    role_actions_clear(&g->out);
    role_on_message(g->r, g->now, m, &g->out);
}

static void
tick(struct rig *g, uint64_t ms)
{
    role_actions_clear(&g->out);
    g->now += ms * MS;
    role_on_tick(g->r, g->now, &g->out);
}

static enum role_state
state(const struct rig *g)
{
    struct role_status s;

    role_get_status(g->r, &s);
    return s.state;
}

static void
give_ack(struct rig *g, member_id_t from, incarnation_t inc, uint64_t lsn)
{
    struct gate_ack a = { from, inc, { lsn }, { lsn }, { lsn } };

    role_actions_clear(&g->out);
    role_on_ack(g->r, g->now, &a, &g->out);
}

static void
give_ask(struct rig *g, member_id_t from, incarnation_t inc)
{
    struct role_message m = message(ROLE_MSG_ASK, from);

    m.inc = inc;
    m.boot = m.sender_boot;
    give(g, &m);
}

/* Node 1, the register's primary, up to OPEN, with node 2's voice. */
static void
open_primary(struct rig *g, const struct role_durable *d)
{
    struct role_message m = message(ROLE_MSG_OPINION, 2);
    const struct role_durable *now;
    uint64_t ticket;

    rig_init(g, 1, d);
    m.yes = true;
    m.reg = d->reg;
    give(g, &m);
    ck_assert_int_eq(state(g), ROLE_STANDING);
    m = message(ROLE_MSG_PROMISE, 2);
    m.inc = sent(g, ROLE_MSG_ASK, 2, NULL)->inc;
    m.boot = 901;
    m.reg = d->reg;
    give(g, &m);
    ck_assert_int_eq(state(g), ROLE_PREPARING);
    ticket = action(g, ROLE_ACT_PREPARE, 0, NULL)->ticket;
    role_actions_clear(&g->out);
    role_on_prepared(g->r, g->now, ticket, 0, (struct role_pos){ 5, { 100 }, 100 }, &g->out);
    now = role_durable_state(g->r);
    m = message(ROLE_MSG_RECORDED, 2);
    m.key = now->reg.key;
    m.reign_id = now->reg.reign_id;
    give(g, &m);
    ticket = action(g, ROLE_ACT_OPEN, 0, NULL)->ticket;
    role_actions_clear(&g->out);
    role_on_opened(g->r, g->now, ticket, 0, &g->out);
    ck_assert_int_eq(state(g), ROLE_OPEN);
}

static void
confirm(struct rig *g, member_id_t from)
{
    const struct role_durable *d = role_durable_state(g->r);
    struct role_message m = message(ROLE_MSG_RECORDED, from);

    m.key = d->reg.key;
    m.reign_id = d->reg.reign_id;
    give(g, &m);
}

static void
gate_done(struct rig *g, uint64_t acknowledged)
{
    const struct role_action *a = action(g, ROLE_ACT_GATE, 0, NULL);

    ck_assert_ptr_nonnull(a);
    role_on_gate(g->r, g->now, a->gate.seq, lsn_make(acknowledged), &g->out);
}

/* Node 1 open and synchronized with node 2. */
static void
open_synchronized(struct rig *g)
{
    struct role_durable d = durable(1, true);

    open_primary(g, &d);
    give_ack(g, 2, 6, 100); /* FO-1b closes first */
    ck_assert(!action(g, ROLE_ACT_GATE, 0, NULL)->gate.alone);
    gate_done(g, 100);
    ck_assert(role_durable_state(g->r)->reg.synchronized);
    confirm(g, 2);
}

static enum role_sync
sync_state(const struct rig *g)
{
    struct role_status s;

    role_get_status(g->r, &s);
    return s.sync;
}

/* ---- electing ------------------------------------------------------------------------------- */

/* FO-49: a lone node opens by itself. FO-15: durable register, then OPEN; the gate opens last. */
START_TEST(test_fo49_lone_node)
{
    struct role_durable d;
    struct rig g;
    int persist, open;

    role_durable_first(&d, DATABASE, "n1", "h:1", "h:2");
    rig_init(&g, 1, &d);
    ck_assert_int_eq(state(&g), ROLE_PREPARING);
    ck_assert_ptr_nonnull(action(&g, ROLE_ACT_PERSIST, 0, NULL));
    role_on_prepared(g.r, g.now, action(&g, ROLE_ACT_PREPARE, 0, NULL)->ticket, 0,
                     (struct role_pos){ 0, { 100 }, 100 }, &g.out);
    ck_assert_ptr_nonnull(action(&g, ROLE_ACT_PERSIST, 1, &persist));
    ck_assert_ptr_nonnull(action(&g, ROLE_ACT_OPEN, 0, &open));
    ck_assert_int_lt(persist, open);
    ck_assert(action(&g, ROLE_ACT_GATE, 0, NULL)->gate.closed);
    ck_assert_ptr_null(action(&g, ROLE_ACT_GATE, 1, NULL));
    role_on_opened(g.r, g.now, action(&g, ROLE_ACT_OPEN, 0, NULL)->ticket, 0, &g.out);
    ck_assert(action(&g, ROLE_ACT_GATE, 1, NULL)->gate.alone);
    ck_assert_uint_eq(role_durable_state(g.r)->reg.key.inc, 1);
    rig_fini(&g);
}
END_TEST

/* FO-51: a restarted primary opens when two legs answered; not by itself, not with a bystander. */
START_TEST(test_fo51_restarted_primary_asks)
{
    struct role_durable d = durable(1, true);
    struct role_message m;
    struct rig g;

    rig_init(&g, 1, &d);
    ck_assert_int_eq(state(&g), ROLE_CANVASSING);
    tick(&g, 60000);
    ck_assert_int_eq(state(&g), ROLE_CANVASSING);
    m = message(ROLE_MSG_OPINION, 3);
    m.yes = true;
    m.reg = d.reg;
    give(&g, &m);
    ck_assert_int_eq(state(&g), ROLE_CANVASSING);
    ck_assert_uint_eq(role_durable_state(g.r)->promised, 5); /* FO-10: a canvass binds nobody */
    rig_fini(&g);
    open_primary(&g, &d);
    ck_assert_uint_eq(role_durable_state(g.r)->reg.key.inc, 6);
    rig_fini(&g);
}
END_TEST

/* FO-10: a voter says no while it hears a live primary, and within a second or two of a promise. */
START_TEST(test_fo10_opinions)
{
    struct role_durable d = durable(1, true);
    struct role_message c = message(ROLE_MSG_CANVASS, 3), hb = message(ROLE_MSG_HEARTBEAT, 1);
    const struct role_message *no;
    struct rig g;

    rig_init(&g, 2, &d);
    hb.inc = 5;
    give(&g, &hb);
    ck_assert_ptr_nonnull(sent(&g, ROLE_MSG_GRANT, 1, NULL));
    c.reg = d.reg;
    give(&g, &c);
    no = sent(&g, ROLE_MSG_OPINION, 3, NULL);
    ck_assert(!no->yes && no->why == ROLE_WHY_PRIMARY_LIVES);
    role_on_link(g.r, g.now, 1, false, &g.out); /* kill -9: the link falls at once */
    give(&g, &c);
    ck_assert(sent(&g, ROLE_MSG_OPINION, 3, NULL)->yes);
    give_ask(&g, 1, 8);
    ck_assert_ptr_nonnull(sent(&g, ROLE_MSG_PROMISE, 1, NULL));
    give(&g, &c);
    no = sent(&g, ROLE_MSG_OPINION, 3, NULL);
    ck_assert(!no->yes && no->why == ROLE_WHY_RECENT_PROMISE && no->promised == 8);
    g.now += 2100 * MS;
    give(&g, &c);
    ck_assert(sent(&g, ROLE_MSG_OPINION, 3, NULL)->yes);
    rig_fini(&g);
}
END_TEST

/* FO-11: a number above all seen; the own promise durable before anybody is asked. */
START_TEST(test_fo11_stand)
{
    struct role_durable d = durable(1, true);
    struct role_message m = message(ROLE_MSG_OPINION, 2);
    int persist, ask;
    struct rig g;

    rig_init(&g, 1, &d);
    m.yes = true;
    m.promised = 41;
    m.reg = d.reg;
    give(&g, &m);
    ck_assert_uint_eq(sent(&g, ROLE_MSG_ASK, 2, &ask)->inc, 42);
    ck_assert_uint_eq(action(&g, ROLE_ACT_PERSIST, 0, &persist)->durable->promised, 42);
    ck_assert_int_lt(persist, ask);
    ck_assert_ptr_null(sent(&g, ROLE_MSG_ASK, 3, NULL)); /* a bystander has no voice */
    rig_fini(&g);
}
END_TEST

/* FO-11: a primary in office that learns of a promise past its number stops acknowledging, keeps
 * its sessions and stands again. */
START_TEST(test_fo11_stands_again_in_office)
{
    struct role_message m = message(ROLE_MSG_REFUSE, 2);
    struct role_durable d;
    int gate, persist, ask;
    struct rig g;

    open_synchronized(&g);
    d = *role_durable_state(g.r);
    m.of = ROLE_MSG_HEARTBEAT;
    m.promised = 9;
    m.reg = d.reg;
    give(&g, &m);
    ck_assert(action(&g, ROLE_ACT_GATE, 0, &gate)->gate.closed);
    ck_assert_uint_eq(sent(&g, ROLE_MSG_ASK, 2, &ask)->inc, 10);
    ck_assert_ptr_nonnull(action(&g, ROLE_ACT_PERSIST, 0, &persist));
    ck_assert_int_lt(gate, persist);
    ck_assert_int_lt(persist, ask);
    ck_assert_ptr_null(action(&g, ROLE_ACT_CLOSE_WRITERS, 0, NULL));
    m = message(ROLE_MSG_PROMISE, 2);
    m.inc = 10;
    m.boot = 901;
    m.reg = d.reg;
    give(&g, &m);
    ck_assert(action(&g, ROLE_ACT_PREPARE, 0, NULL)->in_office);
    rig_fini(&g);
}
END_TEST

/* FO-12: the promise is durable before it is told, and ends following. FO-2 of the register: it
 * changes nothing else. */
START_TEST(test_fo12_promise)
{
    struct role_durable d = durable(1, true);
    int stop, persist, promise;
    struct rig g;

    rig_init(&g, 2, &d);
    ck_assert(role_accepts_frames(g.r, 1, 5));
    give_ask(&g, 3, 7);
    ck_assert_ptr_nonnull(action(&g, ROLE_ACT_STOP_FOLLOWING, 0, &stop));
    ck_assert_ptr_nonnull(action(&g, ROLE_ACT_PERSIST, 0, &persist));
    ck_assert_ptr_nonnull(sent(&g, ROLE_MSG_PROMISE, 3, &promise));
    ck_assert(stop < persist && persist < promise);
    ck_assert(!role_accepts_frames(g.r, 1, 5));
    ck_assert_uint_eq(role_durable_state(g.r)->promised, 7);
    ck_assert_uint_eq(role_durable_state(g.r)->reg.key.inc, 5);
    ck_assert(role_durable_state(g.r)->reg.synchronized);
    /* Not lower, not the same to another; the same to the same again, for its answer was lost. */
    give_ask(&g, 1, 6);
    ck_assert_uint_eq(sent(&g, ROLE_MSG_REFUSE, 1, NULL)->promised, 7);
    give_ask(&g, 1, 7);
    ck_assert_ptr_nonnull(sent(&g, ROLE_MSG_REFUSE, 1, NULL));
    give_ask(&g, 3, 7);
    ck_assert_ptr_nonnull(sent(&g, ROLE_MSG_PROMISE, 3, NULL));
    /* From then on no heartbeat is granted, no register of a lower incarnation accepted. */
    {
        struct role_message m = message(ROLE_MSG_HEARTBEAT, 1);

        m.inc = 5;
        give(&g, &m);
        ck_assert_ptr_null(sent(&g, ROLE_MSG_GRANT, 1, NULL));
        m = message(ROLE_MSG_RECORD, 1);
        m.reg = d.reg;
        m.reg.key.version = 9;
        give(&g, &m);
        ck_assert_ptr_null(sent(&g, ROLE_MSG_RECORDED, 1, NULL));
        ck_assert_uint_eq(role_durable_state(g.r)->reg.key.version, 2);
    }
    rig_fini(&g);
}
END_TEST

/* FO-12: an open node never promises. */
START_TEST(test_fo12_open_never_promises)
{
    struct rig g;

    open_synchronized(&g);
    give_ask(&g, 2, 50);
    ck_assert_ptr_null(sent(&g, ROLE_MSG_PROMISE, 2, NULL));
    ck_assert_int_eq(sent(&g, ROLE_MSG_REFUSE, 2, NULL)->why, ROLE_WHY_PRIMARY_LIVES);
    rig_fini(&g);
}
END_TEST

/* FO-13: two legs, its own counting; a bystander's promise is none. */
START_TEST(test_fo13_two_legs)
{
    struct role_durable d = durable(1, true);
    struct role_message m = message(ROLE_MSG_OPINION, 2);
    struct rig g;

    rig_init(&g, 1, &d);
    m.yes = true;
    m.reg = d.reg;
    give(&g, &m);
    m = message(ROLE_MSG_PROMISE, 3);
    m.inc = 6;
    m.boot = 901;
    m.reg = d.reg;
    give(&g, &m);
    ck_assert_int_eq(state(&g), ROLE_STANDING);
    m.from = 2;
    m.boot = 777; /* of an earlier life */
    give(&g, &m);
    ck_assert_int_eq(state(&g), ROLE_STANDING);
    m.boot = 901;
    give(&g, &m);
    ck_assert_int_eq(state(&g), ROLE_PREPARING);
    rig_fini(&g);
}
END_TEST

/* An operator's failover on node 2 up to what the promise of node 1 decides. */
static void
failover_with_promise(struct rig *g, const struct role_durable *own,
                      const struct role_register *its)
{
    struct role_message m = message(ROLE_MSG_OPINION, 1);

    rig_init(g, 2, own);
    role_actions_clear(&g->out);
    ck_assert_int_eq(role_failover(g->r, g->now, 0, &g->out), 0);
    m.yes = true;
    m.reg = own->reg; /* what it knew then */
    give(g, &m);
    m.from = 3;
    give(g, &m);
    ck_assert_int_eq(state(g), ROLE_STANDING);
    m = message(ROLE_MSG_PROMISE, 1);
    m.inc = sent(g, ROLE_MSG_ASK, 1, NULL)->inc;
    m.boot = 902;
    m.log = (struct role_log){ .follows = 5, .end = { 100 } };
    m.reg = *its;
    give(g, &m);
}

/* FO-14: eligibility is judged on the highest register among the promises, never by length of log.
 */
START_TEST(test_fo14_eligible)
{
    struct role_durable d = durable(1, true);
    struct role_register newer = d.reg;
    struct rig g;

    failover_with_promise(&g, &d, &d.reg);
    ck_assert_int_eq(state(&g), ROLE_PREPARING);
    rig_fini(&g);
    newer.key.version++;
    newer.synchronized = false;
    failover_with_promise(&g, &d, &newer);
    ck_assert_int_eq(state(&g), ROLE_MOUNTED);
    ck_assert_int_eq(action(&g, ROLE_ACT_REPLY, 0, NULL)->code, ERR_NOT_ELIGIBLE);
    rig_fini(&g);
    newer.synchronized = true; /* and somebody else on the list */
    newer.members[1].listed = false;
    newer.members[2].listed = true;
    failover_with_promise(&g, &d, &newer);
    ck_assert_int_ne(state(&g), ROLE_PREPARING);
    rig_fini(&g);
    /* Known at once to be not eligible: refused without a canvass. */
    d.reg.synchronized = false;
    rig_init(&g, 2, &d);
    ck_assert_int_eq(role_failover(g.r, g.now, ROLE_FAILOVER_FENCED, &g.out), ERR_NOT_ELIGIBLE);
    rig_fini(&g);
}
END_TEST

/* FO-14: a voter that knows of acknowledgements past the candidate's end: a disk lied. */
START_TEST(test_fo14_disk_lied)
{
    struct role_durable d = durable(1, true);
    struct role_message m = message(ROLE_MSG_OPINION, 2);
    struct rig g;

    rig_init(&g, 1, &d);
    m.yes = true;
    m.reg = d.reg;
    give(&g, &m);
    m = message(ROLE_MSG_PROMISE, 2);
    m.inc = 6;
    m.boot = 901;
    m.reg = d.reg;
    m.log.acknowledged = lsn_make(150);
    give(&g, &m);
    role_on_prepared(g.r, g.now, action(&g, ROLE_ACT_PREPARE, 0, NULL)->ticket, 0,
                     (struct role_pos){ 5, { 100 }, 100 }, &g.out);
    ck_assert_int_eq(state(&g), ROLE_MOUNTED);
    ck_assert_uint_eq(role_durable_state(g.r)->reg.key.inc, 5);
    rig_fini(&g);
}
END_TEST

/* FO-15: the reign is recorded on two legs, by the old list and by the new, before OPEN. INV-4. */
START_TEST(test_fo15_recorded_before_open)
{
    struct role_durable d = durable(1, true);
    struct role_message m;
    int persist, record;
    struct rig g;

    failover_with_promise(&g, &d, &d.reg);
    role_on_prepared(g.r, g.now, action(&g, ROLE_ACT_PREPARE, 0, NULL)->ticket, 0,
                     (struct role_pos){ 5, { 100 }, 100 }, &g.out);
    ck_assert_int_eq(state(&g), ROLE_RECORDING);
    ck_assert_ptr_nonnull(action(&g, ROLE_ACT_PERSIST, 0, &persist));
    m = *sent(&g, ROLE_MSG_RECORD, 1, &record);
    ck_assert_int_lt(persist, record);
    ck_assert(m.reg.primary == 2 && !m.reg.synchronized && m.reg.key.version == 0);
    ck_assert(register_lists(&m.reg, 1) && m.reg.before_count == 1);
    ck_assert_uint_eq(m.reg.fork_lsn.v, 100);
    confirm(&g, 3); /* a bystander */
    ck_assert_int_eq(state(&g), ROLE_RECORDING);
    confirm(&g, 1);
    ck_assert_int_eq(state(&g), ROLE_OPENING);
    role_on_opened(g.r, g.now, action(&g, ROLE_ACT_OPEN, 0, NULL)->ticket, 0, &g.out);
    ck_assert_uint_eq(role_durable_state(g.r)->reg.before_count, 0);
    rig_fini(&g);
}
END_TEST

/* FO-16: who accepts a newer register stops at once: the gate, the writers, then the register. */
START_TEST(test_fo16_newer_reign)
{
    struct role_message m = message(ROLE_MSG_RECORD, 2);
    int gate, close, persist;
    struct rig g;

    open_synchronized(&g);
    m.reg = role_durable_state(g.r)->reg;
    register_seat(&m.reg, 2);
    m.reg.key = (struct register_key){ 8, 0 };
    m.reg.reign_id = 88;
    give(&g, &m);
    ck_assert(action(&g, ROLE_ACT_GATE, 0, &gate)->gate.closed);
    ck_assert_ptr_nonnull(action(&g, ROLE_ACT_CLOSE_WRITERS, 0, &close));
    ck_assert_ptr_nonnull(action(&g, ROLE_ACT_PERSIST, 0, &persist));
    ck_assert(gate < close && close < persist);
    ck_assert_int_eq(state(&g), ROLE_MOUNTED);
    ck_assert_uint_eq(action(&g, ROLE_ACT_FOLLOW, 0, NULL)->to, 2);
    rig_fini(&g);
}
END_TEST

/* FO-17: the tail is fetched from the longest log of the newest history among the promises. */
START_TEST(test_fo17_fetches_longest)
{
    struct role_durable d = durable(1, true);
    struct role_message m = message(ROLE_MSG_OPINION, 3);
    struct rig g;

    d.reg.members[2].listed = true; /* any 1 of (2, 3) */
    rig_init(&g, 2, &d);
    ck_assert_int_eq(role_failover(g.r, g.now, ROLE_FAILOVER_FENCED, &g.out), 0);
    m.yes = true;
    m.reg = d.reg;
    give(&g, &m);
    tick(&g, 1100);
    ck_assert_int_eq(state(&g), ROLE_STANDING);
    m = message(ROLE_MSG_PROMISE, 3);
    m.inc = 6;
    m.boot = 902;
    m.reg = d.reg;
    m.log = (struct role_log){ .follows = 5, .end = { 120 } };
    give(&g, &m);
    tick(&g, 1100);
    ck_assert_uint_eq(action(&g, ROLE_ACT_PREPARE, 0, NULL)->to, 3);
    rig_fini(&g);
}
END_TEST

/* ---- registers (FO-6) ----------------------------------------------------------------------- */

START_TEST(test_fo6_accept)
{
    struct role_durable d = durable(1, true);
    struct role_message m = message(ROLE_MSG_RECORD, 1);
    int persist, recorded;
    struct rig g;

    rig_init(&g, 2, &d);
    m.reg = d.reg;
    m.reg.key.version = 3;
    m.reg.synchronized = false;
    give(&g, &m);
    ck_assert_ptr_nonnull(action(&g, ROLE_ACT_PERSIST, 0, &persist));
    ck_assert_uint_eq(sent(&g, ROLE_MSG_RECORDED, 1, &recorded)->key.version, 3);
    ck_assert_int_lt(persist, recorded);
    m.reg.key.version = 2; /* late: not accepted, the newer one is confirmed */
    give(&g, &m);
    ck_assert_ptr_null(action(&g, ROLE_ACT_PERSIST, 0, NULL));
    ck_assert_uint_eq(sent(&g, ROLE_MSG_RECORDED, 1, NULL)->key.version, 3);
    m.reg.key.version = 7;
    m.reg.reign_id = 56; /* the same number, another reign: never merged */
    give(&g, &m);
    ck_assert_int_eq(sent(&g, ROLE_MSG_REFUSE, 1, NULL)->why, ROLE_WHY_OTHER_REIGN);
    m.reg.key.inc = 4; /* an older reign */
    give(&g, &m);
    ck_assert_int_eq(sent(&g, ROLE_MSG_REFUSE, 1, NULL)->why, ROLE_WHY_NEWER_REGISTER);
    m.database_id = 1; /* another database: not even an answer */
    m.reg.key.inc = 9;
    give(&g, &m);
    ck_assert_uint_eq(g.out.count, 0);
    rig_fini(&g);
}
END_TEST

/* ---- acknowledging -------------------------------------------------------------------------- */

/* FO-1: only acknowledgements made in this incarnation count; in sync without alone, k of the list.
 */
START_TEST(test_fo1_gate)
{
    struct rig g;
    struct gate_state gs;
    struct gate_ack a = { 2, 5, { 500 }, { 500 }, { 500 } };

    open_synchronized(&g);
    give_ack(&g, 2, 6, 120);
    tick(&g, 0);
    {
        struct role_durable d = durable(1, true);
        struct rig h;

        open_primary(&h, &d);
        gs = action(&h, ROLE_ACT_GATE, 0, NULL)->gate;
        ck_assert(gs.alone && !gs.closed && gs.inc == 6); /* version 0 is on two legs: ALONE */
        give_ack(&h, 2, 6, 100);
        gs = action(&h, ROLE_ACT_GATE, 0, NULL)->gate;
        rig_fini(&h);
    }
    ck_assert(!gs.alone && gs.rule_count == 1 && gs.rules[0].k == 1);
    ck_assert_uint_eq(gate_acknowledged(&gs, &a, 1, lsn_make(300)).v, 0);
    a.inc = 6;
    ck_assert_uint_eq(gate_acknowledged(&gs, &a, 1, lsn_make(300)).v, 300);
    ck_assert(role_permit_valid(g.r, g.now)); /* FO-51: with fsfo off no permit is asked */
    rig_fini(&g);
}
END_TEST

/* FO-3: leaving is a version of the register, durable before the gate opens for one alone. */
START_TEST(test_fo3_leaving)
{
    struct role_ends ends = { { 200 }, { 200 }, { 200 }, { 100 }, 200, 100 };
    int persist, gate;
    struct rig g;

    open_synchronized(&g);
    ck_assert_int_eq(sync_state(&g), ROLE_SYNCHRONIZED);
    role_on_log(g.r, g.now, &ends, &g.out);
    tick(&g, 4000);
    ck_assert_int_eq(sync_state(&g), ROLE_SYNCHRONIZED);
    tick(&g, 1100); /* net_timeout is 5 s */
    ck_assert_int_eq(sync_state(&g), ROLE_ALONE);
    ck_assert(!action(&g, ROLE_ACT_PERSIST, 0, &persist)->durable->reg.synchronized);
    ck_assert(action(&g, ROLE_ACT_GATE, 0, &gate)->gate.alone);
    ck_assert_int_lt(persist, gate);
    rig_fini(&g);
}
END_TEST

/* FO-3: a standby that is heard but does not acknowledge what is durable here is overdue too. */
START_TEST(test_fo3_heard_but_stuck)
{
    struct role_ends ends = { { 200 }, { 200 }, { 200 }, { 100 }, 200, 100 };
    struct role_message m = message(ROLE_MSG_GRANT, 2);
    struct rig g;

    open_synchronized(&g);
    role_on_log(g.r, g.now, &ends, &g.out);
    for (int i = 0; i < 9; i++) {
        give(&g, &m);
        tick(&g, 500);
        ck_assert_int_eq(sync_state(&g), ROLE_SYNCHRONIZED);
    }
    for (int i = 0; i < 3; i++) {
        give(&g, &m);
        tick(&g, 500);
    }
    ck_assert_int_eq(sync_state(&g), ROLE_ALONE);
    rig_fini(&g);
}
END_TEST

/* FO-1: maximum protection never leaves, and never acknowledges alone. */
START_TEST(test_fo3_protection_never_leaves)
{
    struct role_durable d = durable(1, true);
    struct rig g;

    d.reg.mode = REGISTER_PROTECTION;
    open_primary(&g, &d);
    ck_assert(!action(&g, ROLE_ACT_GATE, 0, NULL)->gate.alone);
    give_ack(&g, 2, 6, 100);
    role_on_gate(g.r, g.now, 99, lsn_make(0), &g.out);
    confirm(&g, 2);
    ck_assert_int_eq(sync_state(&g), ROLE_SYNCHRONIZED);
    tick(&g, 60000);
    ck_assert_int_eq(sync_state(&g), ROLE_SYNCHRONIZED);
    rig_fini(&g);
}
END_TEST

/* FO-4: regaining covers what this reign acknowledged and the whole log at its start, and waits for
 * the gate to be in force. */
START_TEST(test_fo4_regaining)
{
    struct role_durable d = durable(1, true);
    struct rig g;

    open_primary(&g, &d); /* start is 100 */
    give_ack(&g, 2, 6, 90);
    ck_assert_int_eq(sync_state(&g), ROLE_ALONE); /* the gate would stall commits for long */
    give_ack(&g, 2, 6, 100);
    ck_assert_int_eq(sync_state(&g), ROLE_REGAINING);
    ck_assert(!role_durable_state(g.r)->reg.synchronized);
    gate_done(&g, 140);
    ck_assert(!role_durable_state(g.r)->reg.synchronized);
    give_ack(&g, 2, 6, 110); /* the start is covered, not what was acknowledged */
    ck_assert(!role_durable_state(g.r)->reg.synchronized);
    give_ack(&g, 2, 6, 140);
    ck_assert(role_durable_state(g.r)->reg.synchronized);
    ck_assert_int_eq(sync_state(&g), ROLE_REGAINING); /* on one leg so far */
    confirm(&g, 2);
    ck_assert_int_eq(sync_state(&g), ROLE_SYNCHRONIZED);
    rig_fini(&g);
}
END_TEST

/* FO-4: once "synchronized" was sent, the way back is FO-3. */
START_TEST(test_fo4_way_back)
{
    struct role_durable d = durable(1, true);
    struct role_ends ends = { { 200 }, { 200 }, { 200 }, { 100 }, 200, 100 };
    uint32_t version;
    struct rig g;

    open_primary(&g, &d);
    give_ack(&g, 2, 6, 100);
    gate_done(&g, 100);
    version = role_durable_state(g.r)->reg.key.version;
    role_on_log(g.r, g.now, &ends, &g.out);
    tick(&g, 5100);
    ck_assert_int_eq(sync_state(&g), ROLE_ALONE);
    ck_assert_uint_eq(role_durable_state(g.r)->reg.key.version, version + 1);
    ck_assert(!role_durable_state(g.r)->reg.synchronized);
    rig_fini(&g);
}
END_TEST

/* FO-5: a change of the list: both bind until it has settled on two legs by each. */
START_TEST(test_fo5_change)
{
    member_id_t three = 3;
    const struct gate_state *gs;
    struct rig g;

    open_synchronized(&g);
    ck_assert_int_ne(role_protect(g.r, g.now, REGISTER_AVAILABILITY, 1, &three, 1, &g.out), 0);
    give_ack(&g, 3, 6, 100);
    ck_assert_int_eq(role_protect(g.r, g.now, REGISTER_AVAILABILITY, 1, &three, 1, &g.out), 0);
    gs = &action(&g, ROLE_ACT_GATE, 0, NULL)->gate;
    ck_assert_uint_eq(gs->rule_count, 2);
    ck_assert_int_ne(role_protect(g.r, g.now, REGISTER_AVAILABILITY, 1, &three, 1, &g.out), 0);
    gate_done(&g, 130); /* what was acknowledged is not yet with the new list */
    ck_assert(register_lists(&role_durable_state(g.r)->reg, 2));
    give_ack(&g, 3, 6, 130);
    ck_assert(register_lists(&role_durable_state(g.r)->reg, 3));
    ck_assert(role_durable_state(g.r)->reg.synchronized);
    ck_assert_uint_eq(role_durable_state(g.r)->reg.before_count, 1);
    confirm(&g, 3); /* by the new list; the old one has not heard of it */
    ck_assert_uint_eq(role_durable_state(g.r)->reg.before_count, 1);
    ck_assert_ptr_null(action(&g, ROLE_ACT_REPLY, 0, NULL));
    confirm(&g, 2);
    ck_assert_uint_eq(role_durable_state(g.r)->reg.before_count, 0);
    ck_assert_int_eq(action(&g, ROLE_ACT_REPLY, 0, NULL)->code, 0);
    ck_assert_uint_eq(action(&g, ROLE_ACT_GATE, 0, NULL)->gate.rule_count, 1);
    rig_fini(&g);
}
END_TEST

/* FO-5, FO-52: members come under new ids, and leave the list before they leave. */
START_TEST(test_fo5_members)
{
    member_id_t id;
    struct role_message m;
    struct rig g;

    open_synchronized(&g);
    ck_assert_int_eq(role_add_member(g.r, g.now, "n2", "x:1", "x:2", &id, &g.out),
                     ERR_DUPLICATE_OBJECT);
    ck_assert_int_eq(role_add_member(g.r, g.now, "d", "x:1", "x:2", &id, &g.out), 0);
    ck_assert_uint_eq(id, 4);
    ck_assert(!register_member(&role_durable_state(g.r)->reg, 4)->admitted);
    m = message(ROLE_MSG_RECORDED, 4);
    m.key = role_durable_state(g.r)->reg.key;
    m.reign_id = role_durable_state(g.r)->reg.reign_id;
    give(&g, &m);
    ck_assert(register_member(&role_durable_state(g.r)->reg, 4)->admitted);
    ck_assert_int_eq(role_drop_member(g.r, g.now, 2, &g.out), ERR_ROLE);
    ck_assert_int_eq(role_drop_member(g.r, g.now, 4, &g.out), 0);
    ck_assert_int_eq(role_add_member(g.r, g.now, "d", "x:1", "x:2", &id, &g.out), 0);
    ck_assert_uint_eq(id, 5);
    rig_fini(&g);
}
END_TEST

/* ---- following ------------------------------------------------------------------------------ */

/* FO-30, FO-31: locate, cut, note whom the log follows, and only then acknowledge. */
START_TEST(test_fo30_follow)
{
    struct role_durable d = durable(1, true);
    struct role_message m = message(ROLE_MSG_RECORD, 1);
    const struct role_action *a;
    int persist, acknowledge;
    struct rig g;

    rig_init(&g, 2, &d);
    m.reg = d.reg;
    m.reg.key = (struct register_key){ 7, 0 };
    m.reg.reign_id = 77;
    give(&g, &m);
    ck_assert_ptr_nonnull(action(&g, ROLE_ACT_STOP_FOLLOWING, 0, NULL));
    ck_assert(!role_accepts_frames(g.r, 1, 7));
    a = action(&g, ROLE_ACT_FOLLOW, 0, NULL);
    ck_assert(a->to == 1 && a->inc == 7);
    role_on_fork(g.r, g.now, a->ticket, ERR_CONNECT, (struct role_pos){ 0 }, &g.out);
    tick(&g, 600); /* not reached: again */
    a = action(&g, ROLE_ACT_FOLLOW, 0, NULL);
    ck_assert_ptr_nonnull(a);
    role_on_fork(g.r, g.now, a->ticket, 0, (struct role_pos){ 5, { 95 }, 95 }, &g.out);
    a = action(&g, ROLE_ACT_CUT, 0, NULL);
    ck_assert_uint_eq(a->pos.lsn.v, 95);
    ck_assert_uint_eq(role_durable_state(g.r)->follows, 5);
    role_actions_clear(&g.out);
    role_on_cut(g.r, g.now, a != NULL ? 3 : 0, 0, &g.out); /* of another ticket */
    ck_assert_uint_eq(role_durable_state(g.r)->follows, 7);
    ck_assert_ptr_nonnull(action(&g, ROLE_ACT_PERSIST, 0, &persist));
    ck_assert_ptr_nonnull(action(&g, ROLE_ACT_ACKNOWLEDGE, 0, &acknowledge));
    ck_assert_int_lt(persist, acknowledge);
    ck_assert(role_accepts_frames(g.r, 1, 7));
    ck_assert(!role_accepts_frames(g.r, 3, 7));
    ck_assert(!role_accepts_frames(g.r, 1, 5));
    rig_fini(&g);
}
END_TEST

/* FO-30: in the sync modes a fork below what was published is impossible: stop and alarm. A reign
 * by an operator's word may (FO-33: reinstatement is no extra step). */
START_TEST(test_fo30_below_published)
{
    struct role_durable d = durable(1, true);
    struct role_message m = message(ROLE_MSG_RECORD, 1);
    struct role_status s;
    struct rig g;

    for (int fenced = 0; fenced < 2; fenced++) {
        rig_init(&g, 2, &d); /* published is 90 */
        m.reg = d.reg;
        m.reg.key = (struct register_key){ 7, 0 };
        m.reg.reign_id = 77;
        m.reg.fenced_inc = fenced ? 7 : 0;
        give(&g, &m);
        role_on_fork(g.r, g.now, action(&g, ROLE_ACT_FOLLOW, 0, NULL)->ticket, 0,
                     (struct role_pos){ 5, { 80 }, 80 }, &g.out);
        role_get_status(g.r, &s);
        ck_assert_int_eq(s.follow, fenced ? ROLE_FOLLOW_CUTTING : ROLE_FOLLOW_HELD);
        if (!fenced) {
            ck_assert_int_eq(role_reinstate(g.r, g.now, &g.out), 0);
            ck_assert_uint_eq(action(&g, ROLE_ACT_CUT, 0, NULL)->pos.lsn.v, 80);
        }
        rig_fini(&g);
    }
}
END_TEST

/* FO-30: history that does not reach back needs a base copy. */
START_TEST(test_fo30_needs_reseed)
{
    struct role_durable d = durable(1, true);
    struct role_message m = message(ROLE_MSG_RECORD, 1);
    const struct role_action *a;
    struct rig g;

    rig_init(&g, 2, &d);
    m.reg = d.reg;
    m.reg.key = (struct register_key){ 7, 0 };
    m.reg.reign_id = 77;
    give(&g, &m);
    role_on_fork(g.r, g.now, action(&g, ROLE_ACT_FOLLOW, 0, NULL)->ticket, ERR_NEEDS_RESEED,
                 (struct role_pos){ 0 }, &g.out);
    a = action(&g, ROLE_ACT_BASE_COPY, 0, NULL);
    ck_assert_uint_eq(a->to, 1);
    role_on_cut(g.r, g.now, a->ticket, 0, &g.out);
    ck_assert(role_accepts_frames(g.r, 1, 7));
    rig_fini(&g);
}
END_TEST

/* ---- several nodes -------------------------------------------------------------------------- */

static struct world *
serving(int nodes, int listed, int k)
{
    struct world *w = world_new(11, nodes, listed, k, 0);

    for (int i = 0; i < nodes; i++)
        world_start(w, i);
    ck_assert(world_serves(w, 20000 * MS));
    ck_assert_int_eq(world_primary(w), 0);
    for (int i = 0; i < 100 && listed != 0 && world_status(w, 0).sync != ROLE_SYNCHRONIZED; i++)
        world_run(w, 50 * MS);
    return w;
}

static void
finish(struct world *w)
{
    ck_assert_str_eq(w->violation, "");
    world_free(w);
}

/* FO-40 to FO-42: there and back; the lists change places. */
START_TEST(test_fo40_switchover)
{
    struct world *w = serving(3, 1, 1);

    ck_assert_int_eq(role_switchover(w->node[0].role, w->now, 3, &w->node[0].queue), ERR_ROLE);
    for (int round = 0; round < 2; round++) {
        int from = round, to = 1 - round;

        ck_assert_int_eq(
            role_switchover(w->node[from].role, w->now, w->node[to].id, &w->node[from].queue), 0);
        ck_assert_int_eq(world_await(w, from, 5000 * MS), 0);
        ck_assert(world_serves(w, 5000 * MS));
        ck_assert_int_eq(world_primary(w), to);
        ck_assert(register_lists(&w->node[to].durable.reg, w->node[from].id));
        for (int i = 0; i < 100 && world_status(w, to).sync != ROLE_SYNCHRONIZED; i++)
            world_run(w, 50 * MS);
    }
    finish(w);
}
END_TEST

/* FO-43: the target does not answer: the primary gives up and goes on. */
START_TEST(test_fo43_give_up)
{
    struct world *w = serving(2, 1, 1);

    ck_assert_int_eq(role_switchover(w->node[0].role, w->now, 2, &w->node[0].queue), 0);
    world_crash(w, 1);
    ck_assert_int_ne(world_await(w, 0, 10000 * MS), 0);
    ck_assert(world_serves(w, 5000 * MS));
    ck_assert_int_eq(world_primary(w), 0);
    finish(w);
}
END_TEST

/* FO-44: after the primary's promise the target is lost; when it returns, either finishes. */
START_TEST(test_fo44_target_lost_after_promise)
{
    struct world *w = serving(2, 1, 1);

    ck_assert_int_eq(role_switchover(w->node[0].role, w->now, 2, &w->node[0].queue), 0);
    for (int i = 0; i < 2000 && w->node[0].durable.promised_to != 2; i++)
        world_run(w, MS);
    ck_assert_uint_eq(w->node[0].durable.promised_to, 2);
    ck_assert_int_eq(world_status(w, 0).state, ROLE_MOUNTED);
    world_crash(w, 1);
    world_run(w, 4000 * MS);
    ck_assert_int_eq(world_primary(w), -1);
    world_start(w, 1);
    ck_assert(world_serves(w, 20000 * MS));
    finish(w);
}
END_TEST

/* FO-50, FO-51: failover by command; the old primary, started again, does not open but follows, and
 * its unacknowledged tail is cut (FO-33). */
START_TEST(test_fo50_failover_and_return)
{
    struct world *w = serving(3, 1, 1);
    incarnation_t reign = w->node[0].writing;

    ck_assert_int_eq(
        role_failover(w->node[1].role, w->now, ROLE_FAILOVER_FENCED, &w->node[1].queue),
        ERR_ROLE); /* the primary is alive */
    world_crash(w, 0);
    ck_assert_int_eq(
        role_failover(w->node[2].role, w->now, ROLE_FAILOVER_FENCED, &w->node[2].queue),
        ERR_NOT_ELIGIBLE);
    ck_assert_int_eq(role_failover(w->node[1].role, w->now, 0, &w->node[1].queue), 0);
    ck_assert_int_eq(world_await(w, 1, 10000 * MS),
                     ERR_NOT_ELIGIBLE); /* without its word: no leg */
    ck_assert_int_eq(
        role_failover(w->node[1].role, w->now, ROLE_FAILOVER_FENCED, &w->node[1].queue), 0);
    ck_assert_int_eq(world_await(w, 1, 10000 * MS), 0);
    ck_assert_int_eq(world_primary(w), 1);
    ck_assert_uint_gt(w->node[1].writing, reign);
    world_cut(w, 0, 1, true);
    world_start(w, 0); /* it hears of the new reign from the bystander alone */
    world_run(w, 3000 * MS);
    ck_assert_int_eq(world_primary(w), 1);
    ck_assert_int_eq(world_status(w, 0).state, ROLE_MOUNTED);
    ck_assert_uint_eq(w->node[0].durable.reg.primary, 2);
    world_heal(w);
    ck_assert(world_serves(w, 10000 * MS));
    ck_assert_int_eq(world_primary(w), 1);
    finish(w);
}
END_TEST

/* FO-51: OPEN FORCE: the primary itself, by an operator's word, when the list is gone. */
START_TEST(test_fo51_open_force)
{
    struct world *w = serving(2, 1, 1);

    world_crash(w, 0);
    world_crash(w, 1);
    world_start(w, 0);
    world_run(w, 5000 * MS);
    ck_assert_int_eq(world_primary(w), -1);
    ck_assert_int_eq(
        role_failover(w->node[0].role, w->now, ROLE_FAILOVER_FENCED, &w->node[0].queue), 0);
    ck_assert_int_eq(world_await(w, 0, 5000 * MS), 0);
    ck_assert_int_eq(world_primary(w), 0);
    world_start(w, 1);
    ck_assert(world_serves(w, 10000 * MS));
    finish(w);
}
END_TEST

/* FO-34: a primary that restarts with a shorter log is elected from its own end; the standby cuts
 * its unpublished tail. Never two histories in one incarnation. */
START_TEST(test_fo34_shorter_log)
{
    struct world *w = serving(2, 1, 1);
    struct world_node *a = &w->node[0], *b = &w->node[1];
    uint32_t end;

    world_crash(w, 0);
    end = a->end;
    b->log[b->end + 1] = 60001; /* sealed, sent, and not durable at its origin */
    b->log[b->end + 2] = 60002;
    b->hard = b->end += 2;
    world_start(w, 0);
    ck_assert(world_serves(w, 20000 * MS));
    ck_assert_int_eq(world_primary(w), 0);
    for (uint32_t i = 1; i <= b->end; i++)
        ck_assert_uint_eq(a->log[i], b->log[i]);
    ck_assert_uint_gt(b->end, end);
    finish(w);
}
END_TEST

/* FO-32: a standby publishes by the pointer (the world checks each step of it); FO-2: nothing is
 * shown before it is acknowledged. */
START_TEST(test_fo32_pointer)
{
    struct world *w = serving(3, 2, 2);

    world_cut(w, 0, 2, true); /* one of two is missing: nothing can be acknowledged */
    world_run(w, 1200 * MS);
    ck_assert_uint_le(w->node[1].published, w->node[0].acked);
    ck_assert_uint_lt(w->node[1].published, w->node[1].end);
    world_run(w, 3000 * MS); /* then alone, by FO-3 */
    ck_assert_int_eq(world_status(w, 0).sync, ROLE_ALONE);
    world_heal(w);
    ck_assert(world_serves(w, 10000 * MS));
    finish(w);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("role");
    TCase *t = tcase_create("role");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_fo49_lone_node);
    tcase_add_test(t, test_fo51_restarted_primary_asks);
    tcase_add_test(t, test_fo10_opinions);
    tcase_add_test(t, test_fo11_stand);
    tcase_add_test(t, test_fo11_stands_again_in_office);
    tcase_add_test(t, test_fo12_promise);
    tcase_add_test(t, test_fo12_open_never_promises);
    tcase_add_test(t, test_fo13_two_legs);
    tcase_add_test(t, test_fo14_eligible);
    tcase_add_test(t, test_fo14_disk_lied);
    tcase_add_test(t, test_fo15_recorded_before_open);
    tcase_add_test(t, test_fo16_newer_reign);
    tcase_add_test(t, test_fo17_fetches_longest);
    tcase_add_test(t, test_fo6_accept);
    tcase_add_test(t, test_fo1_gate);
    tcase_add_test(t, test_fo3_leaving);
    tcase_add_test(t, test_fo3_heard_but_stuck);
    tcase_add_test(t, test_fo3_protection_never_leaves);
    tcase_add_test(t, test_fo4_regaining);
    tcase_add_test(t, test_fo4_way_back);
    tcase_add_test(t, test_fo5_change);
    tcase_add_test(t, test_fo5_members);
    tcase_add_test(t, test_fo30_follow);
    tcase_add_test(t, test_fo30_below_published);
    tcase_add_test(t, test_fo30_needs_reseed);
    tcase_add_test(t, test_fo40_switchover);
    tcase_add_test(t, test_fo43_give_up);
    tcase_add_test(t, test_fo44_target_lost_after_promise);
    tcase_add_test(t, test_fo50_failover_and_return);
    tcase_add_test(t, test_fo51_open_force);
    tcase_add_test(t, test_fo34_shorter_log);
    tcase_add_test(t, test_fo32_pointer);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
