/* The role machine, rule by rule (PROTOCOL.md): elections and registers. test_role_office.c has the
 * rest.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/role_rig.h"

/* ---- electing ------------------------------------------------------------------------------- */

/* FO-49: a lone node opens by itself. FO-15: durable register, then OPEN; the gate opens last. */
START_TEST(test_fo49_lone_node)
{
    struct role_durable d;
    struct role_rig g;
    int persist, open;

    role_durable_first(&d, ROLE_RIG_DATABASE, "n1", "h:1", "h:2");
    role_rig_init(&g, 1, &d);
    ck_assert_int_eq(role_rig_state(&g), ROLE_PREPARING);
    ck_assert_ptr_nonnull(role_rig_action(&g, ROLE_ACT_PERSIST, 0, NULL));
    role_on_prepared(g.r, g.now, role_rig_action(&g, ROLE_ACT_PREPARE, 0, NULL)->ticket, 0,
                     (struct role_pos){ 0, { 100 }, 100 }, &g.out);
    ck_assert_ptr_nonnull(role_rig_action(&g, ROLE_ACT_PERSIST, 1, &persist));
    ck_assert_ptr_nonnull(role_rig_action(&g, ROLE_ACT_OPEN, 0, &open));
    ck_assert_int_lt(persist, open);
    ck_assert(role_rig_action(&g, ROLE_ACT_GATE, 0, NULL)->gate.closed);
    ck_assert_ptr_null(role_rig_action(&g, ROLE_ACT_GATE, 1, NULL));
    role_on_opened(g.r, g.now, role_rig_action(&g, ROLE_ACT_OPEN, 0, NULL)->ticket, 0, &g.out);
    ck_assert(role_rig_action(&g, ROLE_ACT_GATE, 1, NULL)->gate.alone);
    ck_assert_uint_eq(role_durable_state(g.r)->reg.key.inc, 1);
    role_rig_fini(&g);
}
END_TEST

/* FO-51: a restarted primary opens when two legs answered; not by itself, not with a bystander. */
START_TEST(test_fo51_restarted_primary_asks)
{
    struct role_durable d = role_rig_durable(1, true);
    struct role_message m;
    struct role_rig g;

    role_rig_init(&g, 1, &d);
    ck_assert_int_eq(role_rig_state(&g), ROLE_CANVASSING);
    role_rig_tick(&g, 60000);
    ck_assert_int_eq(role_rig_state(&g), ROLE_CANVASSING);
    m = role_rig_message(ROLE_MSG_OPINION, 3);
    m.yes = true;
    m.reg = d.reg;
    role_rig_give(&g, &m);
    ck_assert_int_eq(role_rig_state(&g), ROLE_CANVASSING);
    ck_assert_uint_eq(role_durable_state(g.r)->promised, 5); /* FO-10: a canvass binds nobody */
    role_rig_fini(&g);
    role_rig_open_primary(&g, &d);
    ck_assert_uint_eq(role_durable_state(g.r)->reg.key.inc, 6);
    role_rig_fini(&g);
}
END_TEST

/* FO-10: a voter says no while it hears a live primary, and within a second or two of a promise. */
START_TEST(test_fo10_opinions)
{
    struct role_durable d = role_rig_durable(1, true);
    struct role_message c = role_rig_message(ROLE_MSG_CANVASS, 3),
                        hb = role_rig_message(ROLE_MSG_HEARTBEAT, 1);
    const struct role_message *no;
    struct role_rig g;

    role_rig_init(&g, 2, &d);
    hb.inc = 5;
    role_rig_give(&g, &hb);
    ck_assert_ptr_nonnull(role_rig_sent(&g, ROLE_MSG_GRANT, 1, NULL));
    c.reg = d.reg;
    role_rig_give(&g, &c);
    no = role_rig_sent(&g, ROLE_MSG_OPINION, 3, NULL);
    ck_assert(!no->yes && no->why == ROLE_WHY_PRIMARY_LIVES);
    role_on_link(g.r, g.now, 1, false, &g.out); /* kill -9: the link falls at once */
    role_rig_give(&g, &c);
    ck_assert(role_rig_sent(&g, ROLE_MSG_OPINION, 3, NULL)->yes);
    role_rig_give_ask(&g, 1, 8);
    ck_assert_ptr_nonnull(role_rig_sent(&g, ROLE_MSG_PROMISE, 1, NULL));
    role_rig_give(&g, &c);
    no = role_rig_sent(&g, ROLE_MSG_OPINION, 3, NULL);
    ck_assert(!no->yes && no->why == ROLE_WHY_RECENT_PROMISE && no->promised == 8);
    g.now += 2100 * MS;
    role_rig_give(&g, &c);
    ck_assert(role_rig_sent(&g, ROLE_MSG_OPINION, 3, NULL)->yes);
    role_rig_fini(&g);
}
END_TEST

/* FO-11: a number above all seen; the own promise durable before anybody is asked. */
START_TEST(test_fo11_stand)
{
    struct role_durable d = role_rig_durable(1, true);
    struct role_message m = role_rig_message(ROLE_MSG_OPINION, 2);
    int persist, ask;
    struct role_rig g;

    role_rig_init(&g, 1, &d);
    m.yes = true;
    m.promised = 41;
    m.reg = d.reg;
    role_rig_give(&g, &m);
    ck_assert_uint_eq(role_rig_sent(&g, ROLE_MSG_ASK, 2, &ask)->inc, 42);
    ck_assert_uint_eq(role_rig_action(&g, ROLE_ACT_PERSIST, 0, &persist)->durable->promised, 42);
    ck_assert_int_lt(persist, ask);
    ck_assert_ptr_null(role_rig_sent(&g, ROLE_MSG_ASK, 3, NULL)); /* a bystander has no voice */
    role_rig_fini(&g);
}
END_TEST

/* FO-11: a primary in office that learns of a promise past its number stops acknowledging, keeps
 * its sessions and stands again. */
START_TEST(test_fo11_stands_again_in_office)
{
    struct role_message m = role_rig_message(ROLE_MSG_REFUSE, 2);
    struct role_durable d;
    int gate, persist, ask;
    struct role_rig g;

    role_rig_open_synchronized(&g);
    d = *role_durable_state(g.r);
    m.of = ROLE_MSG_HEARTBEAT;
    m.promised = 9;
    m.reg = d.reg;
    role_rig_give(&g, &m);
    ck_assert(role_rig_action(&g, ROLE_ACT_GATE, 0, &gate)->gate.closed);
    ck_assert_uint_eq(role_rig_sent(&g, ROLE_MSG_ASK, 2, &ask)->inc, 10);
    ck_assert_ptr_nonnull(role_rig_action(&g, ROLE_ACT_PERSIST, 0, &persist));
    ck_assert_int_lt(gate, persist);
    ck_assert_int_lt(persist, ask);
    ck_assert_ptr_null(role_rig_action(&g, ROLE_ACT_CLOSE_WRITERS, 0, NULL));
    m = role_rig_message(ROLE_MSG_PROMISE, 2);
    m.inc = 10;
    m.boot = 901;
    m.reg = d.reg;
    role_rig_give(&g, &m);
    ck_assert(role_rig_action(&g, ROLE_ACT_PREPARE, 0, NULL)->in_office);
    role_rig_fini(&g);
}
END_TEST

/* FO-12, ROLE-1, ROLE-2: the promise is durable before it is told, and ends following. FO-2 of the
 * register: it changes nothing else. */
START_TEST(test_fo12_promise)
{
    struct role_durable d = role_rig_durable(1, true);
    int stop, persist, promise;
    struct role_rig g;

    role_rig_init(&g, 2, &d);
    ck_assert(role_accepts_frames(g.r, 1, 5));
    role_rig_give_ask(&g, 3, 7);
    ck_assert_ptr_nonnull(role_rig_action(&g, ROLE_ACT_STOP_FOLLOWING, 0, &stop));
    ck_assert_ptr_nonnull(role_rig_action(&g, ROLE_ACT_PERSIST, 0, &persist));
    ck_assert_ptr_nonnull(role_rig_sent(&g, ROLE_MSG_PROMISE, 3, &promise));
    ck_assert(stop < persist && persist < promise);
    ck_assert(!role_accepts_frames(g.r, 1, 5));
    ck_assert_uint_eq(role_durable_state(g.r)->promised, 7);
    ck_assert_uint_eq(role_durable_state(g.r)->reg.key.inc, 5);
    ck_assert(role_durable_state(g.r)->reg.synchronized);
    /* Not lower, not the same to another; the same to the same again, for its answer was lost. */
    role_rig_give_ask(&g, 1, 6);
    ck_assert_uint_eq(role_rig_sent(&g, ROLE_MSG_REFUSE, 1, NULL)->promised, 7);
    role_rig_give_ask(&g, 1, 7);
    ck_assert_ptr_nonnull(role_rig_sent(&g, ROLE_MSG_REFUSE, 1, NULL));
    role_rig_give_ask(&g, 3, 7);
    ck_assert_ptr_nonnull(role_rig_sent(&g, ROLE_MSG_PROMISE, 3, NULL));
    /* From then on no heartbeat is granted, no register of a lower incarnation accepted. */
    {
        struct role_message m = role_rig_message(ROLE_MSG_HEARTBEAT, 1);

        m.inc = 5;
        role_rig_give(&g, &m);
        ck_assert_ptr_null(role_rig_sent(&g, ROLE_MSG_GRANT, 1, NULL));
        m = role_rig_message(ROLE_MSG_RECORD, 1);
        m.reg = d.reg;
        m.reg.key.version = 9;
        role_rig_give(&g, &m);
        ck_assert_ptr_null(role_rig_sent(&g, ROLE_MSG_RECORDED, 1, NULL));
        ck_assert_uint_eq(role_durable_state(g.r)->reg.key.version, 2);
    }
    role_rig_fini(&g);
}
END_TEST

/* FO-12: an open node never promises. */
START_TEST(test_fo12_open_never_promises)
{
    struct role_rig g;

    role_rig_open_synchronized(&g);
    role_rig_give_ask(&g, 2, 50);
    ck_assert_ptr_null(role_rig_sent(&g, ROLE_MSG_PROMISE, 2, NULL));
    ck_assert_int_eq(role_rig_sent(&g, ROLE_MSG_REFUSE, 2, NULL)->why, ROLE_WHY_PRIMARY_LIVES);
    role_rig_fini(&g);
}
END_TEST

/* FO-13: two legs, its own counting; a bystander's promise is none. */
START_TEST(test_fo13_two_legs)
{
    struct role_durable d = role_rig_durable(1, true);
    struct role_message m = role_rig_message(ROLE_MSG_OPINION, 2);
    struct role_rig g;

    role_rig_init(&g, 1, &d);
    m.yes = true;
    m.reg = d.reg;
    role_rig_give(&g, &m);
    m = role_rig_message(ROLE_MSG_PROMISE, 3);
    m.inc = 6;
    m.boot = 901;
    m.reg = d.reg;
    role_rig_give(&g, &m);
    ck_assert_int_eq(role_rig_state(&g), ROLE_STANDING);
    m.from = 2;
    m.boot = 777; /* of an earlier life */
    role_rig_give(&g, &m);
    ck_assert_int_eq(role_rig_state(&g), ROLE_STANDING);
    m.boot = 901;
    role_rig_give(&g, &m);
    ck_assert_int_eq(role_rig_state(&g), ROLE_PREPARING);
    role_rig_fini(&g);
}
END_TEST

/* An operator's failover on node 2 up to what the promise of node 1 decides. */
static void
failover_with_promise(struct role_rig *g, const struct role_durable *own,
                      const struct role_register *its)
{
    struct role_message m = role_rig_message(ROLE_MSG_OPINION, 1);

    role_rig_init(g, 2, own);
    role_actions_clear(&g->out);
    ck_assert_int_eq(role_failover(g->r, g->now, 0, &g->out), 0);
    m.yes = true;
    m.reg = own->reg; /* what it knew then */
    role_rig_give(g, &m);
    m.from = 3;
    role_rig_give(g, &m);
    ck_assert_int_eq(role_rig_state(g), ROLE_STANDING);
    m = role_rig_message(ROLE_MSG_PROMISE, 1);
    m.inc = role_rig_sent(g, ROLE_MSG_ASK, 1, NULL)->inc;
    m.boot = 902;
    m.log = (struct role_log){ .follows = 5, .end = { 100 } };
    m.reg = *its;
    role_rig_give(g, &m);
}

/* FO-14: eligibility is judged on the highest register among the promises, never by length of log.
 */
START_TEST(test_fo14_eligible)
{
    struct role_durable d = role_rig_durable(1, true);
    struct role_register newer = d.reg;
    struct role_rig g;

    failover_with_promise(&g, &d, &d.reg);
    ck_assert_int_eq(role_rig_state(&g), ROLE_PREPARING);
    role_rig_fini(&g);
    newer.key.version++;
    newer.synchronized = false;
    failover_with_promise(&g, &d, &newer);
    ck_assert_int_eq(role_rig_state(&g), ROLE_MOUNTED);
    ck_assert_int_eq(role_rig_action(&g, ROLE_ACT_REPLY, 0, NULL)->code, ERR_NOT_ELIGIBLE);
    role_rig_fini(&g);
    newer.synchronized = true; /* and somebody else on the list */
    newer.members[1].listed = false;
    newer.members[2].listed = true;
    failover_with_promise(&g, &d, &newer);
    ck_assert_int_ne(role_rig_state(&g), ROLE_PREPARING);
    role_rig_fini(&g);
    /* Known at once to be not eligible: refused without a canvass. */
    d.reg.synchronized = false;
    role_rig_init(&g, 2, &d);
    ck_assert_int_eq(role_failover(g.r, g.now, ROLE_FAILOVER_FENCED, &g.out), ERR_NOT_ELIGIBLE);
    role_rig_fini(&g);
}
END_TEST

/* FO-14: a voter that knows of acknowledgements past the candidate's end: a disk lied. */
START_TEST(test_fo14_disk_lied)
{
    struct role_durable d = role_rig_durable(1, true);
    struct role_message m = role_rig_message(ROLE_MSG_OPINION, 2);
    struct role_rig g;

    role_rig_init(&g, 1, &d);
    m.yes = true;
    m.reg = d.reg;
    role_rig_give(&g, &m);
    m = role_rig_message(ROLE_MSG_PROMISE, 2);
    m.inc = 6;
    m.boot = 901;
    m.reg = d.reg;
    m.log.acknowledged = lsn_make(150);
    role_rig_give(&g, &m);
    role_on_prepared(g.r, g.now, role_rig_action(&g, ROLE_ACT_PREPARE, 0, NULL)->ticket, 0,
                     (struct role_pos){ 5, { 100 }, 100 }, &g.out);
    ck_assert_int_eq(role_rig_state(&g), ROLE_MOUNTED);
    ck_assert_uint_eq(role_durable_state(g.r)->reg.key.inc, 5);
    role_rig_fini(&g);
}
END_TEST

/* FO-15: the reign is recorded on two legs, by the old list and by the new, before OPEN. INV-4. */
START_TEST(test_fo15_recorded_before_open)
{
    struct role_durable d = role_rig_durable(1, true);
    struct role_message m;
    int persist, record;
    struct role_rig g;

    d.reg.net_timeout_ms = 7000; /* the old primary's; the new one has its own */
    failover_with_promise(&g, &d, &d.reg);
    role_on_prepared(g.r, g.now, role_rig_action(&g, ROLE_ACT_PREPARE, 0, NULL)->ticket, 0,
                     (struct role_pos){ 5, { 100 }, 100 }, &g.out);
    ck_assert_int_eq(role_rig_state(&g), ROLE_RECORDING);
    ck_assert_ptr_nonnull(role_rig_action(&g, ROLE_ACT_PERSIST, 0, &persist));
    m = *role_rig_sent(&g, ROLE_MSG_RECORD, 1, &record);
    ck_assert_int_lt(persist, record);
    ck_assert(m.reg.primary == 2 && !m.reg.synchronized && m.reg.key.version == 0);
    ck_assert(register_lists(&m.reg, 1) && m.reg.before_count == 1);
    ck_assert_uint_eq(m.reg.fork_lsn.v, 100);
    ck_assert_uint_eq(m.reg.net_timeout_ms, 5000);
    role_rig_confirm(&g, 3); /* a bystander */
    ck_assert_int_eq(role_rig_state(&g), ROLE_RECORDING);
    role_rig_confirm(&g, 1);
    ck_assert_int_eq(role_rig_state(&g), ROLE_OPENING);
    role_on_opened(g.r, g.now, role_rig_action(&g, ROLE_ACT_OPEN, 0, NULL)->ticket, 0, &g.out);
    ck_assert_uint_eq(role_durable_state(g.r)->reg.before_count, 0);
    role_rig_fini(&g);
}
END_TEST

/* FO-16: who accepts a newer register stops at once: the gate, the writers, then the register. */
START_TEST(test_fo16_newer_reign)
{
    struct role_message m = role_rig_message(ROLE_MSG_RECORD, 2);
    int gate, close, persist;
    struct role_rig g;

    role_rig_open_synchronized(&g);
    m.reg = role_durable_state(g.r)->reg;
    register_seat(&m.reg, 2);
    m.reg.key = (struct register_key){ 8, 0 };
    m.reg.reign_id = 88;
    role_rig_give(&g, &m);
    ck_assert(role_rig_action(&g, ROLE_ACT_GATE, 0, &gate)->gate.closed);
    ck_assert_ptr_nonnull(role_rig_action(&g, ROLE_ACT_CLOSE_WRITERS, 0, &close));
    ck_assert_ptr_nonnull(role_rig_action(&g, ROLE_ACT_PERSIST, 0, &persist));
    ck_assert(gate < close && close < persist);
    ck_assert_int_eq(role_rig_state(&g), ROLE_MOUNTED);
    ck_assert_uint_eq(role_rig_action(&g, ROLE_ACT_FOLLOW, 0, NULL)->to, 2);
    role_rig_fini(&g);
}
END_TEST

/* FO-17: the tail is fetched from the longest log of the newest history among the promises. */
START_TEST(test_fo17_fetches_longest)
{
    struct role_durable d = role_rig_durable(1, true);
    struct role_message m = role_rig_message(ROLE_MSG_OPINION, 3);
    struct role_rig g;

    d.reg.members[2].listed = true; /* any 1 of (2, 3) */
    role_rig_init(&g, 2, &d);
    ck_assert_int_eq(role_failover(g.r, g.now, ROLE_FAILOVER_FENCED, &g.out), 0);
    m.yes = true;
    m.reg = d.reg;
    role_rig_give(&g, &m);
    role_rig_tick(&g, 1100);
    ck_assert_int_eq(role_rig_state(&g), ROLE_STANDING);
    m = role_rig_message(ROLE_MSG_PROMISE, 3);
    m.inc = 6;
    m.boot = 902;
    m.reg = d.reg;
    m.log = (struct role_log){ .follows = 5, .end = { 120 } };
    role_rig_give(&g, &m);
    role_rig_tick(&g, 1100);
    ck_assert_uint_eq(role_rig_action(&g, ROLE_ACT_PREPARE, 0, NULL)->to, 3);
    role_rig_fini(&g);
}
END_TEST

/* ---- registers (FO-6) ----------------------------------------------------------------------- */

START_TEST(test_fo6_accept)
{
    struct role_durable d = role_rig_durable(1, true);
    struct role_message m = role_rig_message(ROLE_MSG_RECORD, 1);
    int persist, recorded;
    struct role_rig g;

    role_rig_init(&g, 2, &d);
    m.reg = d.reg;
    m.reg.key.version = 3;
    m.reg.synchronized = false;
    role_rig_give(&g, &m);
    ck_assert_ptr_nonnull(role_rig_action(&g, ROLE_ACT_PERSIST, 0, &persist));
    ck_assert_uint_eq(role_rig_sent(&g, ROLE_MSG_RECORDED, 1, &recorded)->key.version, 3);
    ck_assert_int_lt(persist, recorded);
    m.reg.key.version = 2; /* late: not accepted, the newer one is confirmed */
    role_rig_give(&g, &m);
    ck_assert_ptr_null(role_rig_action(&g, ROLE_ACT_PERSIST, 0, NULL));
    ck_assert_uint_eq(role_rig_sent(&g, ROLE_MSG_RECORDED, 1, NULL)->key.version, 3);
    m.reg.key.version = 7;
    m.reg.reign_id = 56; /* the same number, another reign: never merged */
    role_rig_give(&g, &m);
    ck_assert_int_eq(role_rig_sent(&g, ROLE_MSG_REFUSE, 1, NULL)->why, ROLE_WHY_OTHER_REIGN);
    m.reg.key.inc = 4; /* an older reign */
    role_rig_give(&g, &m);
    ck_assert_int_eq(role_rig_sent(&g, ROLE_MSG_REFUSE, 1, NULL)->why, ROLE_WHY_NEWER_REGISTER);
    m.database_id = 1; /* another database: not even an answer */
    m.reg.key.inc = 9;
    role_rig_give(&g, &m);
    ck_assert_uint_eq(g.out.count, 0);
    role_rig_fini(&g);
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
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
