/* Two nodes that change roles, at random, against a model of who has which redo: failover with a
 * lost tail, reinstatement by lineage, chain and cut, restarts, orphans (FO-30, FO-31, FO-33,
 * FO-34, LOG-9). A seed replays.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "engine/redo/redo_int.h"
#include "tests/support/folder.h"
#include "tests/support/redo_rig.h"

enum { NODES = 2, INCS_MAX = 64, ROUNDS = 14 };

static struct env *env;
static char dir[64];
static struct redo_rig rigs[NODES];
static incarnation_t follows[NODES];          /* the branch that a node's log is on */
static struct redo_pos ends[NODES][INCS_MAX]; /* what each node must hold of each incarnation */
static incarnation_t last_inc;
static uint64_t next_key;

static void
setup(void)
{
    env = env_posix_new();
    test_folder(dir, sizeof dir, "test-redo");
    memset(ends, 0, sizeof ends);
    last_inc = 0;
    next_key = 0;
    for (int i = 0; i < NODES; i++) {
        redo_rig_init(&rigs[i], env, dir);
        snprintf(rigs[i].dir, sizeof rigs[i].dir, "%s/%c", dir, 'a' + i);
        rigs[i].options.file_bytes = 64 << 10;
        rigs[i].options.lz4_bytes_min = 2000;
        follows[i] = 0;
        ck_assert_int_eq(redo_rig_open(&rigs[i]), 0);
    }
}

static void
teardown(void)
{
    char command[96];

    for (int i = 0; i < NODES; i++)
        redo_rig_fini(&rigs[i]);
    env_free(env);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

/* Where a node's log ends, on the branch that it follows. */
static struct redo_pos
node_end(int n)
{
    struct redo_pos pos = { .lsn = REDO_LSN_FIRST };

    if (follows[n] != 0)
        ck_assert_int_eq(redo_end(rigs[n].redo, follows[n], &pos), 0);
    return pos;
}

static void
restart(int n)
{
    redo_rig_close(&rigs[n]);
    ck_assert_int_eq(redo_rig_open(&rigs[n]), 0);
}

/* Node p opens as the next incarnation and writes. */
static void
reign(int p, uint64_t commits)
{
    struct redo_pos end = node_end(p);

    last_inc++;
    redo_rig_start_at(&rigs[p], last_inc, &end, end.inc, end.scn);
    follows[p] = last_inc;
    for (uint64_t i = 0; i < commits; i++)
        redo_rig_put(&rigs[p], next_key++, redo_rig_random(&rigs[p]) % 4000,
                     redo_rig_random(&rigs[p]) % 3 == 0);
    ck_assert_int_eq(redo_wait_durable(rigs[p].redo, redo_reserved(rigs[p].redo)), 0);
    ends[p][last_inc] = redo_durable_pos(rigs[p].redo);
}

/* FO-30: node s finds the fork and cuts what it has past it. */
static void
rejoin(int s, int p)
{
    struct lineage_end mine = { &rigs[s].lineage, follows[s], node_end(s).lsn };
    struct lineage_end theirs = { &rigs[p].lineage, follows[p], redo_sealed(rigs[p].redo) };
    struct redo_pos at = { .lsn = REDO_LSN_FIRST }, there;
    struct lineage_fork fork;

    ck_assert_int_eq(lineage_compare(&mine, &theirs, &fork), 0);
    if (fork.inc != 0 && fork.lsn.v != REDO_LSN_FIRST.v) {
        ck_assert_int_eq(redo_locate(rigs[s].redo, fork.inc, fork.lsn, &at), 0);
        ck_assert_uint_eq(at.lsn.v, fork.lsn.v); /* frames are the same, so is the fork an end */
        ck_assert_int_eq(redo_locate(rigs[p].redo, fork.inc, fork.lsn, &there), 0);
        ck_assert(hash128_eq(at.chain, there.chain));
    }
    ck_assert_int_eq(lineage_merge(&rigs[s].lineage, &rigs[p].lineage), 0);
    redo_set_lineage(rigs[s].redo, &rigs[s].lineage);
    ck_assert_int_eq(redo_cut(rigs[s].redo, &at), 0);
    ck_assert_int_eq(redo_start_following(rigs[s].redo, &at), 0);
}

/* Node s takes at most `frames` frames of p's stream. */
static void
follow(int s, int p, uint64_t frames)
{
    struct redo_cursor *c;
    struct redo_frame *f;
    struct redo_pos end;

    rejoin(s, p);
    ck_assert_int_eq(redo_cursor_open(rigs[p].redo, follows[p], redo_sealed(rigs[s].redo), &c), 0);
    while (frames-- > 0 && redo_cursor_next_frame(c, &f) == 0) {
        struct redo_frame *got;

        ck_assert_int_eq(redo_frame_decode(f->bytes, f->bytes_size, &got), 0);
        ck_assert_int_eq(redo_append_frame(rigs[s].redo, got, follows[p]), 0);
        redo_frame_unref(got);
    }
    redo_cursor_close(c);
    redo_stop(rigs[s].redo);
    end = redo_durable_pos(rigs[s].redo);
    /* It is on the incarnation of its last frame; where that one was left, it is complete. */
    follows[s] = end.inc;
    for (incarnation_t inc = end.inc; inc != 0; inc = lineage_find(&rigs[s].lineage, inc)->prev) {
        struct redo_pos held;

        if (redo_end(rigs[s].redo, inc, &held) == 0 && held.lsn.v > ends[s][inc].lsn.v)
            ends[s][inc] = held;
    }
}

/* Every node has, of every incarnation, exactly what the model says, orphans included. */
static void
check_all(void)
{
    for (int n = 0; n < NODES; n++) {
        for (incarnation_t inc = 1; inc <= last_inc; inc++) {
            struct redo_pos held;
            struct lsn end;
            int rc = redo_end(rigs[n].redo, inc, &held);

            ck_assert_int_eq(rc == 0, ends[n][inc].inc != 0);
            if (rc != 0)
                continue;
            ck_assert_uint_eq(held.lsn.v, ends[n][inc].lsn.v);
            ck_assert(hash128_eq(held.chain, ends[n][inc].chain));
            ck_assert_uint_eq(redo_rig_read(&rigs[n], inc, REDO_LSN_FIRST, 1, &end, NULL),
                              held.scn);
            ck_assert_uint_eq(end.v, held.lsn.v);
        }
    }
}

START_TEST(test_roles)
{
    int p = 0;

    rigs[0].seed = (uint64_t)_i * 7919 + 1;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t dice;

        reign(p, redo_rig_random(&rigs[0]) % 30);
        dice = redo_rig_random(&rigs[0]);
        follow(1 - p, p, dice % 4 == 0 ? UINT64_MAX : dice % 20);
        redo_stop(rigs[p].redo);
        dice = redo_rig_random(&rigs[0]);
        if (dice & 1)
            restart(p);
        if (dice & 2)
            restart(1 - p);
        /* A failover, or the same one opens again. What is empty cannot take over. */
        if ((dice & 4) && follows[1 - p] != 0)
            p = 1 - p;
        if (round % 4 == 3)
            check_all();
    }
    check_all();
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("redo_roles");
    TCase *t = tcase_create("redo_roles");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, test_roles, 0, 6);
    tcase_set_timeout(t, 60);
    suite_add_tcase(s, t);
    runner = srunner_create(s);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
