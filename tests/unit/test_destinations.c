/* What the primary knows of its standbys.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdlib.h>

#include "primary/destinations.h"

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
    destinations_set(d, MEMBERS + 1, PROMOTABLE + 1, 1);
    ck_assert_uint_eq(destinations_limit(d, 50), 50);
    ck_assert_uint_eq(destinations_acks(d, acks), 0);
    destinations_free(d);
    env_free(env);
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
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
