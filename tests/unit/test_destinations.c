/* What the primary knows of its standbys.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/redo/redo_int.h"
#include "primary/destinations.h"
#include "tests/support/folder.h"

static const member_id_t MEMBERS[] = { 7, 3 };
static const bool PROMOTABLE[] = { true, false };
#define MS 1000000ull

static struct ship_ack
ack(incarnation_t inc, uint64_t durable, uint64_t applied, scn_t scn)
{
    return (struct ship_ack){ .inc = inc,
                              .received = { durable },
                              .durable = { durable },
                              .applied = { applied },
                              .applied_scn = scn };
}

/* DEST-1: lag is measured from when the first missing byte was written, and its age is told. */
START_TEST(test_lag)
{
    struct env *env = env_posix_new();
    struct destinations *d = destinations_new(env);
    struct destination out[GATE_MEMBERS_MAX];
    struct ship_ack a = ack(5, 200, 100, 9);

    destinations_set(d, MEMBERS, PROMOTABLE, 2);
    destinations_log(d, lsn_make(100), 100 * MS);
    destinations_log(d, lsn_make(200), 200 * MS);
    destinations_log(d, lsn_make(300), 300 * MS);
    destinations_ack(d, 7, &a, 350 * MS);
    destinations_link(d, 7, true, 350 * MS);
    ck_assert_uint_eq(destinations_list(d, 400 * MS, out), 2);
    ck_assert_uint_eq(out[0].member, 3);
    ck_assert(!out[0].heard);
    ck_assert_uint_eq(out[1].member, 7);
    ck_assert(out[1].connected);
    ck_assert_uint_eq(out[1].transport_lag_bytes, 100);
    ck_assert_uint_eq(out[1].apply_lag_bytes, 200);
    ck_assert_uint_eq(out[1].transport_lag_us, 100000);
    ck_assert_uint_eq(out[1].apply_lag_us, 200000);
    ck_assert_uint_eq(out[1].age_us, 50000);
    a = ack(5, 300, 300, 12);
    destinations_ack(d, 7, &a, 400 * MS);
    ck_assert_uint_eq(destinations_list(d, 500 * MS, out), 2);
    ck_assert_uint_eq(out[1].transport_lag_us + out[1].apply_lag_us + out[1].apply_lag_bytes, 0);
    destinations_free(d);
    env_free(env);
}
END_TEST

/* DEST-2 (HORIZON-3): the horizon waits for who may be promoted, and only for those. */
START_TEST(test_limit)
{
    struct env *env = env_posix_new();
    struct destinations *d = destinations_new(env);
    struct gate_ack acks[GATE_MEMBERS_MAX];
    struct ship_ack a = ack(5, 200, 100, 9), old = ack(4, 900, 900, 90);

    ck_assert_uint_eq(destinations_limit(d, 50), 50);
    destinations_set(d, MEMBERS, PROMOTABLE, 2);
    ck_assert_uint_eq(destinations_limit(d, 50), 0);
    destinations_ack(d, 7, &a, MS);
    ck_assert_uint_eq(destinations_limit(d, 50), 9);
    ck_assert_uint_eq(destinations_limit(d, 5), 5);
    destinations_ack(d, 7, &old, 2 * MS); /* late, of another reign */
    ck_assert_uint_eq(destinations_limit(d, 50), 9);
    ck_assert_uint_eq(destinations_acks(d, acks), 1);
    ck_assert_uint_eq(acks[0].inc, 5);
    destinations_set(d, MEMBERS, PROMOTABLE, 0);
    ck_assert_uint_eq(destinations_limit(d, 50), 50);
    ck_assert_uint_eq(destinations_acks(d, acks), 0);
    destinations_free(d);
    env_free(env);
}
END_TEST

/* ---- redo that is kept ----------------------------------------------------------------------- */

static void
must(int rc)
{
    ck_assert_msg(rc == 0, "%s", diag_last()->message);
}

/* Writes about so many MiB, and lets go of what recovery does not need any more. */
static void
write_redo(struct engine *e, int mib)
{
    struct txn *t = txn_new(e);
    struct commit_token token;
    uint8_t value[32 << 10];
    uint32_t x = 1;

    for (int i = 0; i < mib * 32; i++) {
        for (size_t k = 0; k + 4 <= sizeof value; k += 4)
            store_u32(value + k, x = x * 1664525u + 1013904223u);
        must(txn_begin(t, TXN_READ_COMMITTED, false));
        must(txn_statement_begin(t));
        must(txn_put(t, 1, slice("k", 1), slice(value, sizeof value)));
        txn_statement_end(t);
        must(txn_commit(t, &token));
    }
    txn_free(t);
    must(engine_flush_all(e));
    redo_files_settle(engine_redo(e));
}

static bool
holds(struct engine *e, struct lsn lsn)
{
    struct redo_pos pos;
    int rc = redo_locate(engine_redo(e), engine_incarnation(e), lsn, &pos);

    diag_clear();
    return rc == 0;
}

static struct engine *
open_new(struct env *env, const char *dir)
{
    struct engine_options o = {
        .env = env,
        .dir = dir,
        .memtable_bytes = 8 << 20,
        .ring_bytes = 256 << 10,
        .redo_file_bytes = 1 << 20,
        .redo_keep_bytes = 6 << 20,
        .no_background = true,
        .no_sync = true,
        .hold_redo = true,
    };
    struct engine *e;
    uint64_t id;

    must(engine_create(env, dir, &id));
    must(engine_mount(&o, &e));
    must(engine_open_write(e, 1, 1));
    return e;
}

/* DEST-3: redo waits for members that are away, from what they have made durable on, up to a
 * budget, and for all while they are not known; nothing waits for who is no member any more. */
START_TEST(test_redo_is_kept)
{
    char dir[48], data[64], command[80];
    struct env *env = env_posix_new();
    struct destinations *d = destinations_new(env);
    struct destination out[GATE_MEMBERS_MAX];
    struct engine *e;
    struct ship_ack a;
    struct lsn first, second;

    test_folder(dir, sizeof dir, "rd-dest");
    snprintf(data, sizeof data, "%s/n", dir);
    e = open_new(env, data);
    destinations_keep_redo(d, engine_redo(e));
    first = redo_reserved(engine_redo(e));
    write_redo(e, 3);
    ck_assert(holds(e, first)); /* who is a member is not known */
    destinations_set(d, MEMBERS, PROMOTABLE, 2);
    write_redo(e, 1);
    ck_assert(holds(e, first)); /* nobody was heard of */
    second = redo_reserved(engine_redo(e));
    a = ack(1, second.v, second.v, 9);
    destinations_ack(d, 7, &a, MS);
    write_redo(e, 1);
    ck_assert(holds(e, first)); /* the other one has not been */
    destinations_ack(d, 3, &a, MS);
    write_redo(e, 1);
    ck_assert(!holds(e, first));
    ck_assert(holds(e, second));
    write_redo(e, 4);
    first = redo_reserved(engine_redo(e));
    write_redo(e, 4); /* more than the budget */
    ck_assert(!holds(e, second));
    ck_assert(holds(e, first)); /* so much is kept all the same */
    ck_assert_uint_eq(destinations_list(d, 2 * MS, out), 2);
    ck_assert(out[0].redo_lost && out[1].redo_lost);
    first = redo_reserved(engine_redo(e));
    a = ack(1, first.v, first.v, 10);
    destinations_ack(d, 7, &a, MS);
    write_redo(e, 3);
    ck_assert(holds(e, first));
    ck_assert_uint_eq(destinations_list(d, 2 * MS, out), 2);
    ck_assert(out[0].redo_lost && !out[1].redo_lost);
    destinations_set(d, MEMBERS, PROMOTABLE, 0);
    write_redo(e, 2);
    ck_assert(!holds(e, first));
    first = redo_reserved(engine_redo(e));
    destinations_keep_redo(d, NULL);
    write_redo(e, 3);
    ck_assert(holds(e, first)); /* what is flushed as it closes takes nothing from who is away */
    engine_close(e);
    destinations_free(d);
    env_free(env);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("destinations");
    TCase *tc = tcase_create("destinations");
    SRunner *r = srunner_create(s);
    int failed;

    suite_add_tcase(s, tc);
    tcase_add_test(tc, test_lag);
    tcase_add_test(tc, test_limit);
    tcase_add_test(tc, test_redo_is_kept);
    tcase_set_timeout(tc, 0);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
