/* The role machine, rule by rule (PROTOCOL.md): acknowledging, following, and several nodes in a
 * world without faults.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/role_rig.h"
#include "tests/support/role_world.h"

/* ---- acknowledging -------------------------------------------------------------------------- */

/* FO-1: only acknowledgements made in this incarnation count; in sync without alone, k of the list.
 */
START_TEST(test_fo1_gate)
{
    struct role_rig g;
    struct gate_state gs;
    struct gate_ack a = { 2, 5, { 500 }, { 500 }, { 500 } };

    role_rig_open_synchronized(&g);
    role_rig_give_ack(&g, 2, 6, 120);
    role_rig_tick(&g, 0);
    {
        struct role_durable d = role_rig_durable(1, true);
        struct role_rig h;

        role_rig_open_primary(&h, &d);
        gs = role_rig_action(&h, ROLE_ACT_GATE, 0, NULL)->gate;
        ck_assert(gs.alone && !gs.closed && gs.inc == 6); /* version 0 is on two legs: ALONE */
        role_rig_give_ack(&h, 2, 6, 100);
        gs = role_rig_action(&h, ROLE_ACT_GATE, 0, NULL)->gate;
        role_rig_fini(&h);
    }
    ck_assert(!gs.alone && gs.rule_count == 1 && gs.rules[0].k == 1);
    ck_assert_uint_eq(gate_acknowledged(&gs, &a, 1, lsn_make(300)).v, 0);
    a.inc = 6;
    ck_assert_uint_eq(gate_acknowledged(&gs, &a, 1, lsn_make(300)).v, 300);
    ck_assert(role_permit_valid(g.r, g.now)); /* FO-51: with fsfo off no permit is asked */
    role_rig_fini(&g);
}
END_TEST

/* FO-3: leaving is a version of the register, durable before the gate opens for one alone. */
START_TEST(test_fo3_leaving)
{
    struct role_ends ends = { { 200 }, { 200 }, { 200 }, { 100 }, 200, 100 };
    int persist, gate;
    struct role_rig g;

    role_rig_open_synchronized(&g);
    ck_assert_int_eq(role_rig_sync_state(&g), ROLE_SYNCHRONIZED);
    role_on_log(g.r, g.now, &ends, &g.out);
    role_rig_tick(&g, 4000);
    ck_assert_int_eq(role_rig_sync_state(&g), ROLE_SYNCHRONIZED);
    role_rig_tick(&g, 1100); /* net_timeout is 5 s */
    ck_assert_int_eq(role_rig_sync_state(&g), ROLE_ALONE);
    ck_assert(!role_rig_action(&g, ROLE_ACT_PERSIST, 0, &persist)->durable->reg.synchronized);
    ck_assert(role_rig_action(&g, ROLE_ACT_GATE, 0, &gate)->gate.alone);
    ck_assert_int_lt(persist, gate);
    role_rig_fini(&g);
}
END_TEST

/* FO-3: a standby that is heard but does not acknowledge what is durable here is overdue too. */
START_TEST(test_fo3_heard_but_stuck)
{
    struct role_ends ends = { { 200 }, { 200 }, { 200 }, { 100 }, 200, 100 };
    struct role_message m = role_rig_message(ROLE_MSG_GRANT, 2);
    struct role_rig g;

    role_rig_open_synchronized(&g);
    role_on_log(g.r, g.now, &ends, &g.out);
    for (int i = 0; i < 9; i++) {
        role_rig_give(&g, &m);
        role_rig_tick(&g, 500);
        ck_assert_int_eq(role_rig_sync_state(&g), ROLE_SYNCHRONIZED);
    }
    for (int i = 0; i < 3; i++) {
        role_rig_give(&g, &m);
        role_rig_tick(&g, 500);
    }
    ck_assert_int_eq(role_rig_sync_state(&g), ROLE_ALONE);
    role_rig_fini(&g);
}
END_TEST

/* FO-1: maximum protection never leaves, and never acknowledges alone. */
START_TEST(test_fo3_protection_never_leaves)
{
    struct role_durable d = role_rig_durable(1, true);
    struct role_rig g;

    d.reg.mode = REGISTER_PROTECTION;
    role_rig_open_primary(&g, &d);
    ck_assert(!role_rig_action(&g, ROLE_ACT_GATE, 0, NULL)->gate.alone);
    role_rig_give_ack(&g, 2, 6, 100);
    role_on_gate(g.r, g.now, 99, lsn_make(0), &g.out);
    role_rig_confirm(&g, 2);
    ck_assert_int_eq(role_rig_sync_state(&g), ROLE_SYNCHRONIZED);
    role_rig_tick(&g, 60000);
    ck_assert_int_eq(role_rig_sync_state(&g), ROLE_SYNCHRONIZED);
    role_rig_fini(&g);
}
END_TEST

/* FO-4: regaining covers what this reign acknowledged and the whole log at its start, and waits for
 * the gate to be in force. */
START_TEST(test_fo4_regaining)
{
    struct role_durable d = role_rig_durable(1, true);
    struct role_rig g;

    role_rig_open_primary(&g, &d); /* start is 100 */
    role_rig_give_ack(&g, 2, 6, 90);
    ck_assert_int_eq(role_rig_sync_state(&g),
                     ROLE_ALONE); /* the gate would stall commits for long */
    role_rig_give_ack(&g, 2, 6, 100);
    ck_assert_int_eq(role_rig_sync_state(&g), ROLE_REGAINING);
    ck_assert(!role_durable_state(g.r)->reg.synchronized);
    role_rig_gate_done(&g, 140);
    ck_assert(!role_durable_state(g.r)->reg.synchronized);
    role_rig_give_ack(&g, 2, 6, 110); /* the start is covered, not what was acknowledged */
    ck_assert(!role_durable_state(g.r)->reg.synchronized);
    role_rig_give_ack(&g, 2, 6, 140);
    ck_assert(role_durable_state(g.r)->reg.synchronized);
    ck_assert_int_eq(role_rig_sync_state(&g), ROLE_REGAINING); /* on one leg so far */
    role_rig_confirm(&g, 2);
    ck_assert_int_eq(role_rig_sync_state(&g), ROLE_SYNCHRONIZED);
    role_rig_fini(&g);
}
END_TEST

/* FO-4: once "synchronized" was sent, the way back is FO-3. */
START_TEST(test_fo4_way_back)
{
    struct role_durable d = role_rig_durable(1, true);
    struct role_ends ends = { { 200 }, { 200 }, { 200 }, { 100 }, 200, 100 };
    uint32_t version;
    struct role_rig g;

    role_rig_open_primary(&g, &d);
    role_rig_give_ack(&g, 2, 6, 100);
    role_rig_gate_done(&g, 100);
    version = role_durable_state(g.r)->reg.key.version;
    role_on_log(g.r, g.now, &ends, &g.out);
    role_rig_tick(&g, 5100);
    ck_assert_int_eq(role_rig_sync_state(&g), ROLE_ALONE);
    ck_assert_uint_eq(role_durable_state(g.r)->reg.key.version, version + 1);
    ck_assert(!role_durable_state(g.r)->reg.synchronized);
    role_rig_fini(&g);
}
END_TEST

/* FO-5: a change of the list: both bind until it has settled on two legs by each. */
START_TEST(test_fo5_change)
{
    member_id_t three = 3;
    const struct gate_state *gs;
    struct role_rig g;

    role_rig_open_synchronized(&g);
    ck_assert_int_ne(role_protect(g.r, g.now, REGISTER_AVAILABILITY, 1, &three, 1, &g.out), 0);
    role_rig_give_ack(&g, 3, 6, 100);
    ck_assert_int_eq(role_protect(g.r, g.now, REGISTER_AVAILABILITY, 1, &three, 1, &g.out), 0);
    gs = &role_rig_action(&g, ROLE_ACT_GATE, 0, NULL)->gate;
    ck_assert_uint_eq(gs->rule_count, 2);
    ck_assert_int_ne(role_protect(g.r, g.now, REGISTER_AVAILABILITY, 1, &three, 1, &g.out), 0);
    role_rig_gate_done(&g, 130); /* what was acknowledged is not yet with the new list */
    ck_assert(register_lists(&role_durable_state(g.r)->reg, 2));
    role_rig_give_ack(&g, 3, 6, 130);
    ck_assert(register_lists(&role_durable_state(g.r)->reg, 3));
    ck_assert(role_durable_state(g.r)->reg.synchronized);
    ck_assert_uint_eq(role_durable_state(g.r)->reg.before_count, 1);
    role_rig_confirm(&g, 3); /* by the new list; the old one has not heard of it */
    ck_assert_uint_eq(role_durable_state(g.r)->reg.before_count, 1);
    ck_assert_ptr_null(role_rig_action(&g, ROLE_ACT_REPLY, 0, NULL));
    role_rig_confirm(&g, 2);
    ck_assert_uint_eq(role_durable_state(g.r)->reg.before_count, 0);
    ck_assert_int_eq(role_rig_action(&g, ROLE_ACT_REPLY, 0, NULL)->code, 0);
    ck_assert_uint_eq(role_rig_action(&g, ROLE_ACT_GATE, 0, NULL)->gate.rule_count, 1);
    role_rig_fini(&g);
}
END_TEST

/* FO-5, FO-52: members come under new ids, and leave the list before they leave. */
START_TEST(test_fo5_members)
{
    member_id_t id;
    struct role_message m;
    struct role_rig g;

    role_rig_open_synchronized(&g);
    ck_assert_int_eq(role_add_member(g.r, g.now, "n2", "x:1", "x:2", &id, &g.out),
                     ERR_DUPLICATE_OBJECT);
    ck_assert_int_eq(role_add_member(g.r, g.now, "d", "x:1", "x:2", &id, &g.out), 0);
    ck_assert_uint_eq(id, 4);
    ck_assert(!register_member(&role_durable_state(g.r)->reg, 4)->admitted);
    m = role_rig_message(ROLE_MSG_RECORDED, 4);
    m.key = role_durable_state(g.r)->reg.key;
    m.reign_id = role_durable_state(g.r)->reg.reign_id;
    role_rig_give(&g, &m);
    ck_assert(register_member(&role_durable_state(g.r)->reg, 4)->admitted);
    ck_assert_int_eq(role_drop_member(g.r, g.now, 2, &g.out), ERR_ROLE);
    ck_assert_int_eq(role_drop_member(g.r, g.now, 4, &g.out), 0);
    ck_assert_int_eq(role_add_member(g.r, g.now, "d", "x:1", "x:2", &id, &g.out), 0);
    ck_assert_uint_eq(id, 5);
    ck_assert_int_eq(role_add_member(g.r, g.now, "d", "x:1", "x:2", &id, &g.out), 0); /* again */
    ck_assert_uint_eq(id, 6);
    /* SQL on the loopback of another machine is another place. */
    ck_assert_int_eq(role_add_member(g.r, g.now, "e", "h1:1", "127.0.0.1:5", &id, &g.out), 0);
    ck_assert_int_eq(role_add_member(g.r, g.now, "f", "h2:1", "127.0.0.1:5", &id, &g.out), 0);
    ck_assert_int_eq(role_add_member(g.r, g.now, "g", "h2:2", "127.0.0.1:5", &id, &g.out),
                     ERR_DUPLICATE_OBJECT);
    role_rig_fini(&g);
}
END_TEST

/* A member that has not finished joining and is waited for keeps its place. */
START_TEST(test_fo5_listed_before_it_came)
{
    struct role_durable d = role_rig_durable(1, false);
    member_id_t id;
    struct role_rig g;

    role_rig_open_primary(&g, &d);
    ck_assert_int_eq(role_add_member(g.r, g.now, "d", "x:1", "x:2", &id, &g.out), 0);
    ck_assert_int_eq(role_protect(g.r, g.now, REGISTER_AVAILABILITY, 1, &id, 1, &g.out), 0);
    ck_assert_int_eq(role_add_member(g.r, g.now, "d", "x:1", "x:2", &id, &g.out), ERR_ROLE);
    ck_assert(register_lists(&role_durable_state(g.r)->reg, id));
    role_rig_fini(&g);
}
END_TEST

/* ---- following ------------------------------------------------------------------------------ */

/* FO-30, FO-31: locate, cut, note whom the log follows, and only then acknowledge. */
START_TEST(test_fo30_follow)
{
    struct role_durable d = role_rig_durable(1, true);
    struct role_message m = role_rig_message(ROLE_MSG_RECORD, 1);
    const struct role_action *a;
    int persist, acknowledge;
    struct role_rig g;

    role_rig_init(&g, 2, &d);
    m.reg = d.reg;
    m.reg.key = (struct register_key){ 7, 0 };
    m.reg.reign_id = 77;
    role_rig_give(&g, &m);
    ck_assert_ptr_nonnull(role_rig_action(&g, ROLE_ACT_STOP_FOLLOWING, 0, NULL));
    ck_assert(!role_accepts_frames(g.r, 1, 7));
    a = role_rig_action(&g, ROLE_ACT_FOLLOW, 0, NULL);
    ck_assert(a->to == 1 && a->inc == 7);
    role_on_fork(g.r, g.now, a->ticket, ERR_CONNECT, (struct role_pos){ 0 }, &g.out);
    role_rig_tick(&g, 600); /* not reached: again */
    a = role_rig_action(&g, ROLE_ACT_FOLLOW, 0, NULL);
    ck_assert_ptr_nonnull(a);
    role_on_fork(g.r, g.now, a->ticket, 0, (struct role_pos){ 5, { 95 }, 95 }, &g.out);
    a = role_rig_action(&g, ROLE_ACT_CUT, 0, NULL);
    ck_assert_uint_eq(a->pos.lsn.v, 95);
    ck_assert_uint_eq(role_durable_state(g.r)->follows, 5);
    role_actions_clear(&g.out);
    role_on_cut(g.r, g.now, a != NULL ? 3 : 0, 0, &g.out); /* of another ticket */
    ck_assert_uint_eq(role_durable_state(g.r)->follows, 7);
    ck_assert_ptr_nonnull(role_rig_action(&g, ROLE_ACT_PERSIST, 0, &persist));
    ck_assert_ptr_nonnull(role_rig_action(&g, ROLE_ACT_ACKNOWLEDGE, 0, &acknowledge));
    ck_assert_int_lt(persist, acknowledge);
    ck_assert(role_accepts_frames(g.r, 1, 7));
    ck_assert(!role_accepts_frames(g.r, 3, 7));
    ck_assert(!role_accepts_frames(g.r, 1, 5));
    role_rig_fini(&g);
}
END_TEST

/* FO-30: in the sync modes a fork below what was published is impossible: stop and alarm. A reign
 * by an operator's word may (FO-33: reinstatement is no extra step); and so may any where no commit
 * lies between the two. */
START_TEST(test_fo30_below_published)
{
    struct role_durable d = role_rig_durable(1, true);
    struct role_message m = role_rig_message(ROLE_MSG_RECORD, 1);
    struct role_status s;
    struct role_rig g;

    for (int i = 0; i < 3; i++) {
        bool fenced = i == 1;
        scn_t scn = i == 2 ? 90 : 80;

        role_rig_init(&g, 2, &d); /* published is 90 */
        m.reg = d.reg;
        m.reg.key = (struct register_key){ 7, 0 };
        m.reg.reign_id = 77;
        m.reg.fenced_inc = fenced ? 7 : 0;
        role_rig_give(&g, &m);
        role_on_fork(g.r, g.now, role_rig_action(&g, ROLE_ACT_FOLLOW, 0, NULL)->ticket, 0,
                     (struct role_pos){ 5, { 80 }, scn }, &g.out);
        role_get_status(g.r, &s);
        ck_assert_int_eq(s.follow, i > 0 ? ROLE_FOLLOW_CUTTING : ROLE_FOLLOW_HELD);
        if (i == 0) {
            ck_assert_int_eq(role_reinstate(g.r, g.now, &g.out), 0);
            ck_assert_uint_eq(role_rig_action(&g, ROLE_ACT_CUT, 0, NULL)->pos.lsn.v, 80);
        }
        role_rig_fini(&g);
    }
}
END_TEST

static void
lose_fork(struct role_rig *g, int code, uint64_t lsn)
{
    struct role_durable d = role_rig_durable(1, true);
    struct role_message m = role_rig_message(ROLE_MSG_RECORD, 1);

    role_rig_init(g, 2, &d); /* published is 90 */
    m.reg = d.reg;
    m.reg.key = (struct register_key){ 7, 0 };
    m.reg.reign_id = 77;
    role_rig_give(g, &m);
    role_on_fork(g->r, g->now, role_rig_action(g, ROLE_ACT_FOLLOW, 0, NULL)->ticket, code,
                 (struct role_pos){ 5, { lsn }, lsn }, &g->out);
}

/* FO-30: history that does not reach back needs a base copy, by itself where nothing published is
 * lost with the own log; else, and where the logs differ, `reinstate` is asked for. */
START_TEST(test_fo30_needs_reseed)
{
    const struct role_action *a;
    struct role_status s;
    struct role_rig g;

    lose_fork(&g, ERR_NEEDS_RESEED, 90);
    a = role_rig_action(&g, ROLE_ACT_BASE_COPY, 0, NULL);
    ck_assert_uint_eq(a->to, 1);
    role_on_cut(g.r, g.now, a->ticket, 0, &g.out);
    ck_assert(role_accepts_frames(g.r, 1, 7));
    role_rig_fini(&g);

    for (int diverged = 0; diverged < 2; diverged++) {
        lose_fork(&g, diverged ? ERR_DIVERGED : ERR_NEEDS_RESEED, diverged ? 95 : 80);
        ck_assert_ptr_null(role_rig_action(&g, ROLE_ACT_BASE_COPY, 0, NULL));
        role_get_status(g.r, &s);
        ck_assert_int_eq(s.follow, ROLE_FOLLOW_HELD);
        ck_assert_int_eq(role_reinstate(g.r, g.now, &g.out), 0);
        ck_assert_ptr_nonnull(role_rig_action(&g, ROLE_ACT_BASE_COPY, 0, NULL));
        role_rig_fini(&g);
    }
}
END_TEST

/* Who follows and is told that the primary has no redo any more takes a base copy: no
 * acknowledgement leaves from then on (R3), and a failure begins again with the fork. */
START_TEST(test_follower_loses_redo)
{
    const struct role_action *a;
    struct role_status s;
    struct role_rig g;
    int stop, copy;

    lose_fork(&g, 0, 95);
    a = role_rig_action(&g, ROLE_ACT_CUT, 0, NULL);
    role_on_cut(g.r, g.now, a->ticket, 0, &g.out);
    ck_assert(role_accepts_frames(g.r, 1, 7));
    role_actions_clear(&g.out);
    role_on_lost(g.r, g.now, ERR_NEEDS_RESEED, &g.out);
    ck_assert(!role_accepts_frames(g.r, 1, 7));
    (void)role_rig_action(&g, ROLE_ACT_STOP_FOLLOWING, 0, &stop);
    a = role_rig_action(&g, ROLE_ACT_BASE_COPY, 0, &copy);
    ck_assert_int_lt(stop, copy);
    role_on_cut(g.r, g.now, a->ticket, ERR_STOPPED, &g.out);
    role_get_status(g.r, &s);
    ck_assert_int_eq(s.follow, ROLE_FOLLOW_LOCATING);
    role_rig_fini(&g);
}
END_TEST

/* FO-30: an operator's word is for what is lost when it is given. One that was given to a node that
 * follows, or that has been heeded, does not answer for what is found later. */
START_TEST(test_reinstate_is_not_kept)
{
    struct role_status s;
    struct role_rig g;

    for (int heeded = 0; heeded < 2; heeded++) {
        lose_fork(&g, 0, heeded ? 80 : 95);
        if (heeded)
            ck_assert_int_eq(role_reinstate(g.r, g.now, &g.out), 0);
        role_on_cut(g.r, g.now, role_rig_action(&g, ROLE_ACT_CUT, 0, NULL)->ticket, 0, &g.out);
        if (!heeded)
            ck_assert_int_eq(role_reinstate(g.r, g.now, &g.out), 0);
        role_actions_clear(&g.out);
        role_on_lost(g.r, g.now, ERR_DIVERGED, &g.out);
        ck_assert_ptr_null(role_rig_action(&g, ROLE_ACT_BASE_COPY, 0, NULL));
        role_get_status(g.r, &s);
        ck_assert_int_eq(s.follow, ROLE_FOLLOW_HELD);
        if (heeded) { /* once it has promised, nobody knows yet whom it will follow */
            role_rig_give_ask(&g, 3, 8);
            ck_assert_uint_eq(role_durable_state(g.r)->promised, 8);
            ck_assert_int_eq(role_reinstate(g.r, g.now, &g.out), ERR_AGAIN);
        }
        role_rig_fini(&g);
    }
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

/* A switchover to node 2 up to STAND: it has taken and applied the end. */
static void
tell_to_stand(struct role_rig *g)
{
    uint64_t ticket;

    role_rig_open_synchronized(g);
    role_actions_clear(&g->out);
    ck_assert_int_eq(role_switchover(g->r, g->now, 2, &g->out), 0);
    ticket = role_rig_action(g, ROLE_ACT_DRAIN, 0, NULL)->ticket;
    role_rig_give_ack(g, 2, 6, 200);
    role_actions_clear(&g->out);
    role_on_drained(g->r, g->now, ticket, 0, lsn_make(200), &g->out);
    ck_assert_ptr_nonnull(role_rig_sent(g, ROLE_MSG_STAND, 2, NULL));
}

/* FO-43: the link of the target falls: commits go on after net_timeout (5 s), not at the end of
 * the switchover's time (30 s); `_i` 1: it comes back in between, and nothing is given up. */
START_TEST(test_fo43_target_gone)
{
    struct role_message m = role_rig_message(ROLE_MSG_GRANT, 2);
    struct role_rig g;

    tell_to_stand(&g);
    role_on_link(g.r, g.now, 2, false, &g.out);
    ck_assert_uint_le(role_next_tick_ns(g.r), g.now + 5000 * MS);
    role_rig_tick(&g, 4900);
    ck_assert_ptr_null(role_rig_action(&g, ROLE_ACT_REPLY, 0, NULL));
    if (_i == 1) {
        role_on_link(g.r, g.now, 2, true, &g.out);
        role_rig_give(&g, &m);
    }
    role_rig_tick(&g, 200);
    if (_i == 0) {
        ck_assert_int_eq(role_rig_action(&g, ROLE_ACT_REPLY, 0, NULL)->code, ERR_TIMEOUT);
        ck_assert_ptr_nonnull(role_rig_action(&g, ROLE_ACT_UNDRAIN, 0, NULL));
        ck_assert_int_eq(role_rig_state(&g), ROLE_OPEN);
    } else {
        ck_assert_ptr_null(role_rig_action(&g, ROLE_ACT_REPLY, 0, NULL));
    }
    role_rig_fini(&g);
}
END_TEST

/* FO-44: the same after the promise: who asked is told, and this node stands again. */
START_TEST(test_fo44_target_gone)
{
    struct role_rig g;

    tell_to_stand(&g);
    role_rig_give_ask(&g, 2, 7);
    ck_assert_int_eq(role_rig_state(&g), ROLE_MOUNTED);
    role_on_link(g.r, g.now, 2, false, &g.out);
    role_rig_tick(&g, 4900);
    ck_assert_ptr_null(role_rig_action(&g, ROLE_ACT_REPLY, 0, NULL));
    ck_assert_uint_le(role_next_tick_ns(g.r), g.now + 250 * MS);
    role_rig_tick(&g, 200);
    ck_assert_int_eq(role_rig_action(&g, ROLE_ACT_REPLY, 0, NULL)->code, ERR_TIMEOUT);
    ck_assert_int_eq(role_rig_state(&g), ROLE_CANVASSING);
    role_rig_fini(&g);
}
END_TEST

/* FO-40: a target that has been away for long is refused at once, though another keeps the list
 * synchronized. FO-44: with that other's voice the old primary is primary again, and says so. */
START_TEST(test_fo44_primary_again)
{
    struct world *w = serving(3, 2, 1);

    ck_assert_int_eq(role_switchover(w->node[0].role, w->now, 2, &w->node[0].queue), 0);
    for (int i = 0; i < 2000 && w->node[0].durable.promised_to != 2; i++)
        world_run(w, MS);
    ck_assert_uint_eq(w->node[0].durable.promised_to, 2);
    world_crash(w, 1);
    ck_assert_int_ne(world_await(w, 0, 10000 * MS), 0);
    ck_assert(world_serves(w, 10000 * MS));
    ck_assert_int_eq(world_primary(w), 0);
    for (int i = 0; i < 100 && world_status(w, 0).sync != ROLE_SYNCHRONIZED; i++)
        world_run(w, 50 * MS);
    ck_assert_int_eq(world_status(w, 0).sync, ROLE_SYNCHRONIZED);
    ck_assert_int_eq(role_switchover(w->node[0].role, w->now, 2, &w->node[0].queue), ERR_ROLE);
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
    Suite *s = suite_create("role_office");
    TCase *t = tcase_create("role_office");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_fo1_gate);
    tcase_add_test(t, test_fo3_leaving);
    tcase_add_test(t, test_fo3_heard_but_stuck);
    tcase_add_test(t, test_fo3_protection_never_leaves);
    tcase_add_test(t, test_fo4_regaining);
    tcase_add_test(t, test_fo4_way_back);
    tcase_add_test(t, test_fo5_change);
    tcase_add_test(t, test_fo5_members);
    tcase_add_test(t, test_fo5_listed_before_it_came);
    tcase_add_test(t, test_fo30_follow);
    tcase_add_test(t, test_fo30_below_published);
    tcase_add_test(t, test_fo30_needs_reseed);
    tcase_add_test(t, test_follower_loses_redo);
    tcase_add_test(t, test_reinstate_is_not_kept);
    tcase_add_test(t, test_fo40_switchover);
    tcase_add_test(t, test_fo43_give_up);
    tcase_add_test(t, test_fo44_target_lost_after_promise);
    tcase_add_loop_test(t, test_fo43_target_gone, 0, 2);
    tcase_add_test(t, test_fo44_target_gone);
    tcase_add_test(t, test_fo44_primary_again);
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
