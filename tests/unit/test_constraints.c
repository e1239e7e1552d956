/* Constraints over a real engine: what each statement may do, and when it is asked.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/sql_rig.h"

static struct sql_rig rig;
static struct rig_client a;

static void
setup(void)
{
    sql_rig_start(&rig);
    rig_connect(&rig, &a);
}

static void
teardown(void)
{
    sql_rig_stop(&rig);
}

#define ROWS(text, want) ck_assert_str_eq(rig_rows(&a, text), want)
#define RUN(text)        rig_run(&a, text)

static void
fails(const char *text, const char *state)
{
    const char *said = rig_rows(&a, text);

    ck_assert_msg(strstr(said, state) != NULL, "%s: %s, not %s", text, said, state);
}

START_TEST(test_columns)
{
    RUN("CREATE TABLE t (a int PRIMARY KEY, b int NOT NULL DEFAULT 7, c int UNIQUE,"
        " d int CHECK (d > 0), e int, f int, UNIQUE (e, f))");
    RUN("INSERT INTO t (a) VALUES (1)");
    ROWS("SELECT * FROM t", "1|7|\\N|\\N|\\N|\\N");
    fails("INSERT INTO t (a) VALUES (1)", "23505");
    fails("INSERT INTO t (a, b) VALUES (2, NULL)", "23502");
    fails("INSERT INTO t (a, d) VALUES (2, 0)", "23514");
    RUN("INSERT INTO t (a, c) VALUES (2, 5)");
    fails("INSERT INTO t (a, c) VALUES (3, 5)", "23505");
    fails("UPDATE t SET c = 5 WHERE a = 1", "23505");
    RUN("INSERT INTO t (a, e, f) VALUES (4, 1, 1), (5, 1, 2), (6, 1, NULL), (7, 1, NULL)");
    fails("INSERT INTO t (a, e, f) VALUES (8, 1, 2)", "23505");
    RUN("UPDATE t SET f = 3 WHERE a = 5");
    RUN("INSERT INTO t (a, e, f) VALUES (8, 1, 2)");
    fails("INSERT INTO t (a, e, f) VALUES (9, 5, 5), (10, 5, 5)", "23505");
    ROWS("SELECT count(*) FROM t", "7");
}
END_TEST

/* Rows are copied in the order of their old key; the new one ascends, descends, or meets itself. */
START_TEST(test_key_added_later)
{
    RUN("CREATE TABLE t (a int, b int)");
    RUN("INSERT INTO t SELECT i, i FROM generate_series(1, 500) AS s(i)");
    RUN("INSERT INTO t SELECT 1001 - i, i FROM generate_series(1, 400) AS s(i)");
    RUN("INSERT INTO t VALUES (2000, 0), (550, 0), (2001, 0)");
    RUN("ALTER TABLE t ADD PRIMARY KEY (a)");
    ROWS("SELECT count(*), count(DISTINCT a), sum(a) FROM t", "903|903|450001");
    ROWS("SELECT b FROM t WHERE a IN (500, 601, 1000) ORDER BY a", "500;400;1");
    fails("INSERT INTO t VALUES (550, 1)", "23505");
    RUN("ALTER TABLE t DROP CONSTRAINT t_pkey");
    RUN("INSERT INTO t VALUES (499, 1)"); /* below the greatest when it is met again */
    fails("ALTER TABLE t ADD PRIMARY KEY (a)", "23505");
    RUN("DELETE FROM t WHERE a = 499 AND b = 1");
    RUN("INSERT INTO t VALUES (2001, 1)"); /* the greatest itself */
    fails("ALTER TABLE t ADD PRIMARY KEY (a)", "23505");
    ROWS("SELECT count(*) FROM t", "904");
}
END_TEST

START_TEST(test_reference)
{
    RUN("CREATE TABLE p (a int, b text, PRIMARY KEY (a, b))");
    RUN("CREATE TABLE q (x int, y text, FOREIGN KEY (x, y) REFERENCES p)");
    RUN("INSERT INTO p VALUES (1, 'a'), (2, 'b')");
    RUN("INSERT INTO q VALUES (1, 'a'), (9, NULL)");
    fails("INSERT INTO q VALUES (1, 'b')", "23503");
    fails("UPDATE q SET y = 'z' WHERE x = 1", "23503");
    fails("DELETE FROM p WHERE a = 1", "23503");
    fails("UPDATE p SET b = 'c' WHERE a = 1", "23503");
    RUN("UPDATE p SET b = 'c' WHERE a = 2");
    fails("TRUNCATE p", "0A000");
    fails("DROP TABLE p", "2BP01");
    fails("CREATE TABLE r (x int REFERENCES p (a))", "42830");
    fails("CREATE TABLE r (x int REFERENCES q ON DELETE SET DEFAULT)", "0A000");
    RUN("TRUNCATE p, q");
    RUN("DROP TABLE p CASCADE");
    RUN("INSERT INTO q VALUES (1, 'b')");
}
END_TEST

/* SQL-40: a foreign key holds at the end of a statement, whatever the order of its rows. */
START_TEST(test_reference_to_own_table)
{
    RUN("CREATE TABLE t (id int PRIMARY KEY, up int REFERENCES t)");
    RUN("INSERT INTO t VALUES (2, 1), (1, NULL), (5, 6), (6, 5)");
    fails("INSERT INTO t VALUES (7, 8), (9, 7)", "23503");
    fails("DELETE FROM t WHERE id = 1", "23503");
    RUN("DELETE FROM t WHERE id IN (5, 6)");
    RUN("UPDATE t SET id = 3, up = 3 WHERE id = 2");
    fails("UPDATE t SET id = 4 WHERE id = 3", "23503");
    RUN("UPDATE t SET id = 4, up = 4 WHERE id = 3");
    ROWS("SELECT * FROM t ORDER BY id", "1|\\N;4|4");
    RUN("DELETE FROM t");
    ROWS("SELECT count(*) FROM t", "0");
}
END_TEST

START_TEST(test_key_taken_again)
{
    RUN("CREATE TABLE p (a int PRIMARY KEY, b int UNIQUE)");
    RUN("CREATE TABLE q (x int REFERENCES p (b))");
    RUN("INSERT INTO p VALUES (1, 10), (2, 20)");
    RUN("INSERT INTO q VALUES (10)");
    /* the second row takes the key that the first gave up */
    RUN("UPDATE p SET b = CASE a WHEN 1 THEN 30 ELSE 10 END");
    ROWS("SELECT * FROM p ORDER BY a", "1|30;2|10");
    fails("UPDATE p SET b = b + 1", "23503");
    fails("DELETE FROM p", "23503");
}
END_TEST

START_TEST(test_actions)
{
    RUN("CREATE TABLE p (k bigint PRIMARY KEY)");
    RUN("CREATE TABLE q (id int PRIMARY KEY, k int REFERENCES p ON UPDATE CASCADE"
        " ON DELETE SET NULL)");
    RUN("CREATE TABLE r (id int REFERENCES q ON DELETE CASCADE, n int)");
    RUN("INSERT INTO p VALUES (1), (2), (3)");
    RUN("INSERT INTO q VALUES (10, 1), (20, 2)");
    RUN("INSERT INTO r VALUES (10, 1), (10, 2), (20, 3)");
    RUN("UPDATE p SET k = 22 WHERE k = 2");
    RUN("DELETE FROM p WHERE k = 1");
    ROWS("SELECT * FROM q ORDER BY id", "10|\\N;20|22");
    fails("UPDATE p SET k = 3000000000 WHERE k = 22", "22003");
    RUN("DELETE FROM q WHERE id = 10");
    ROWS("SELECT * FROM r", "20|3");
    RUN("ALTER TABLE q ALTER k SET NOT NULL");
    fails("DELETE FROM p", "23502");
}
END_TEST

/* Two ways lead from a to c; by one of them the row that b is still referred to by goes too. */
START_TEST(test_cascades_that_meet)
{
    RUN("CREATE TABLE a (id int PRIMARY KEY)");
    RUN("CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE)");
    RUN("CREATE TABLE c (id int PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE,"
        " b int REFERENCES b)");
    RUN("INSERT INTO a VALUES (1), (2)");
    RUN("INSERT INTO b VALUES (1, 1), (2, 2)");
    RUN("INSERT INTO c VALUES (1, 1, 1), (2, 2, 2), (3, 2, 1)");
    fails("DELETE FROM a WHERE id = 1", "23503");
    RUN("DELETE FROM a WHERE id = 2");
    RUN("DELETE FROM a WHERE id = 1");
    ROWS("SELECT (SELECT count(*) FROM b), (SELECT count(*) FROM c)", "0|0");
}
END_TEST

/* What psql's \d of an index and of a sequence reads. */
START_TEST(test_index_columns)
{
    RUN("CREATE TABLE t (id serial PRIMARY KEY, n text, u int)");
    RUN("CREATE INDEX t_nu ON t (n DESC, u)");
    RUN("ALTER TABLE t RENAME n TO m");
    RUN("ALTER TABLE t ALTER u TYPE bigint");
    ROWS("SELECT attname, format_type(atttypid, atttypmod), pg_get_indexdef(attrelid, attnum, true)"
         " FROM pg_attribute WHERE attrelid = 't_nu'::regclass ORDER BY attnum",
         "m|text|m;u|bigint|u");
    ROWS("SELECT attname FROM pg_attribute WHERE attrelid = 't_pkey'::regclass", "id");
    ROWS("SELECT refobjid::regclass, refobjsubid, deptype FROM pg_depend"
         " WHERE objid = 't_id_seq'::regclass",
         "t|1|a");
    RUN("DROP INDEX t_nu");
    RUN("DROP TABLE t");
    ROWS("SELECT count(*) FROM pg_attribute WHERE attrelid >= 16384", "0");
}
END_TEST

/* What a table has is asked of a column's new type too. */
START_TEST(test_checks_of_a_new_type)
{
    RUN("CREATE TABLE t (a int CHECK (a < 5), b numeric CHECK (b <> 2))");
    RUN("INSERT INTO t VALUES (1, 1.6)");
    fails("ALTER TABLE t ALTER a TYPE text", "42883");
    fails("ALTER TABLE t ALTER b TYPE int", "23514");
    RUN("INSERT INTO t VALUES (2, 1.4)");
    RUN("ALTER TABLE t ALTER a TYPE bigint");
    fails("INSERT INTO t VALUES (5, 1)", "23514");
    ROWS("SELECT * FROM t ORDER BY a", "1|1.6;2|1.4");
}
END_TEST

/* However many constraints a table has, it can be read, changed and dropped. */
START_TEST(test_many_constraints)
{
    char text[200];

    RUN("CREATE TABLE t (a int PRIMARY KEY)");
    RUN("BEGIN");
    for (int i = 0; i < 300; i++) {
        snprintf(text, sizeof text, "ALTER TABLE t ADD CHECK (a <> %d)", i + 1000);
        RUN(text);
    }
    RUN("CREATE TABLE r (a int)");
    for (int i = 0; i < 260; i++) {
        snprintf(text, sizeof text, "ALTER TABLE r ADD CONSTRAINT r%d FOREIGN KEY (a) REFERENCES t",
                 i);
        RUN(text);
    }
    RUN("COMMIT");
    RUN("INSERT INTO t VALUES (1)");
    fails("INSERT INTO t VALUES (1299)", "23514");
    ROWS("SELECT * FROM t", "1");
    RUN("DROP TABLE t CASCADE");
}
END_TEST

/* The key of a table that refers to itself goes with what refers to it. */
START_TEST(test_own_key_dropped)
{
    RUN("CREATE TABLE t (e int PRIMARY KEY, g int REFERENCES t (e), h int)");
    RUN("INSERT INTO t VALUES (1, 1, 5)");
    fails("ALTER TABLE t DROP COLUMN e", "2BP01");
    RUN("ALTER TABLE t DROP COLUMN e CASCADE");
    RUN("INSERT INTO t VALUES (7, 5)");
    ROWS("SELECT * FROM t ORDER BY g", "1|5;7|5");
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("constraints");
    TCase *t = tcase_create("constraints");
    SRunner *r;
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_columns);
    tcase_add_test(t, test_key_added_later);
    tcase_add_test(t, test_reference);
    tcase_add_test(t, test_reference_to_own_table);
    tcase_add_test(t, test_key_taken_again);
    tcase_add_test(t, test_actions);
    tcase_add_test(t, test_cascades_that_meet);
    tcase_add_test(t, test_index_columns);
    tcase_add_test(t, test_checks_of_a_new_type);
    tcase_add_test(t, test_many_constraints);
    tcase_add_test(t, test_own_key_dropped);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
