/* SQL sessions over a real engine: transactions, the two protocols, settings, prepared statements,
 * standbys.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/redo/redo.h"
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
    sql_rig_stop(&rig);
}

#define ROWS(client, text, want)   ck_assert_str_eq(rig_rows(&(client), text), want)
#define SAID(client, text, want)   ck_assert_str_eq(rig_query(&(client), text), want)
#define FAILS(client, text, state) fails(&(client), text, "ERROR " state)

static void
fails(struct rig_client *c, const char *text, const char *state)
{
    const char *said = rig_rows(c, text);

    ck_assert_msg(strstr(said, state) != NULL, "%s: %s, not %s", text, said, state);
}

static char
status(struct rig_client *c)
{
    return sql_engine_port(rig.sql)->ops->status(c->s);
}

/* ---- simple queries ----------------------------------------------------------------------------
 */

START_TEST(test_select)
{
    SAID(a, "SELECT 1 AS x", "T x\nD 1\nC SELECT 1\n");
    SAID(a, "", "I\n");
    SAID(a, " ; ", "I\n");
    SAID(a, "SELECT 1; SELECT 2", "T ?column?\nD 1\nC SELECT 1\nT ?column?\nD 2\nC SELECT 1\n");
    SAID(a, "SELECT 1; SELECT x; SELECT 2",
         "T ?column?\nD 1\nC SELECT 1\nERROR 42703 column \"x\" does not exist\n");
    FAILS(a, "SELECT $1", "42P02");
    FAILS(a, "SELEC 1", "42601");
    FAILS(a, "SELECT 1 LIMIT -1", "2201W");
    FAILS(a, "SELECT 1 OFFSET -1", "2201X");
    ROWS(a,
         "SELECT g FROM generate_series(1, 5) g WHERE g = ANY (ARRAY(SELECT 2 * h FROM "
         "generate_series(1, 9) h))",
         "2;4");
    ROWS(a, "SELECT ARRAY[]::int[], 1 = ANY (ARRAY[]::int[])", "{}|f");
}
END_TEST

START_TEST(test_table)
{
    SAID(a, "CREATE TABLE t (id int PRIMARY KEY, v text)", "C CREATE TABLE\n");
    SAID(a, "INSERT INTO t VALUES (1, 'one'), (2, 'two')", "C INSERT 0 2\n");
    ROWS(b, "SELECT * FROM t ORDER BY id", "1|one;2|two");
    FAILS(a, "COPY t FROM STDIN (FORMAT csv, FORMAT text)", "42601");
    FAILS(a, "COPY t TO STDOUT (FORMAT csv, FORCE_QUOTE (zz))", "42703");
    FAILS(a, "COPY t (v) TO STDOUT (FORMAT csv, FORCE_QUOTE (id))", "42P10");
    SAID(a, "UPDATE t SET v = 'zwei' WHERE id = 2", "C UPDATE 1\n");
    ROWS(b, "SELECT v FROM t WHERE id = 2", "zwei");
    SAID(a, "DELETE FROM t WHERE id = 1 RETURNING v", "T v\nD one\nC DELETE 1\n");
    ROWS(b, "SELECT count(*) FROM t", "1");
}
END_TEST

/* The literals of a simple query are parameters: the second finds the plan of the first. */
START_TEST(test_plans_are_shared)
{
    struct sql_engine_figures before, after;

    rig_run(&a, "CREATE TABLE t (id int PRIMARY KEY, v text)");
    rig_run(&a, "INSERT INTO t VALUES (1, 'one')");
    ROWS(a, "SELECT v FROM t WHERE id = 1", "one");
    sql_engine_get_figures(rig.sql, &before);
    ROWS(b, "SELECT v FROM t WHERE id = 2", "");
    ROWS(b, "select  v from t where id=1", "one");
    sql_engine_get_figures(rig.sql, &after);
    ck_assert_uint_eq(after.plan_hits, before.plan_hits + 2);
    ck_assert_uint_eq(after.plan_misses, before.plan_misses);
}
END_TEST

/* SESS-3: a change of the catalogue makes plans stale, for those who see it. */
START_TEST(test_stale_plans)
{
    rig_run(&a, "CREATE TABLE t (id int PRIMARY KEY, v text)");
    rig_run(&a, "INSERT INTO t VALUES (1, 'one')");
    ROWS(b, "SELECT * FROM t", "1|one");
    rig_run(&a, "ALTER TABLE t ADD COLUMN w int DEFAULT 7");
    ROWS(b, "SELECT * FROM t", "1|one|7");
    rig_run(&b, "PREPARE p AS SELECT * FROM t");
    rig_run(&a, "ALTER TABLE t DROP COLUMN v");
    FAILS(b, "EXECUTE p", "0A000");
    rig_run(&b, "PREPARE q AS SELECT id FROM t");
    rig_run(&a, "ALTER TABLE t ADD COLUMN x int");
    ROWS(b, "EXECUTE q", "1");
    /* a snapshot from before keeps its catalogue */
    rig_run(&b, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    ROWS(b, "SELECT * FROM t", "1|7|\\N");
    rig_run(&a, "ALTER TABLE t DROP COLUMN x");
    ROWS(b, "SELECT * FROM t", "1|7|\\N");
    FAILS(b, "INSERT INTO t VALUES (2)", "40001"); /* SESS-1 */
    rig_run(&b, "ROLLBACK");
    ROWS(b, "SELECT * FROM t", "1|7");
}
END_TEST

/* SQL-41: rows of the past are read by the definition that the table had. */
START_TEST(test_past)
{
    char text[200], before[40];

    rig_run(&a, "CREATE TABLE t (id int PRIMARY KEY, v text)");
    rig_run(&a, "INSERT INTO t VALUES (1, 'one'), (2, 'two')");
    snprintf(before, sizeof before, "%s", rig_rows(&a, "SELECT current_scn FROM v$database"));
    rig_run(&a, "PREPARE p (bigint) AS SELECT count(*) FROM t AS OF SCN $1");
    rig_run(&a, "DELETE FROM t WHERE id = 1");
    snprintf(text, sizeof text, "EXECUTE p (%s)", before);
    ROWS(a, text, "2");
    rig_run(&a, "ALTER TABLE t ADD COLUMN w int DEFAULT 7");
    rig_run(&a, "ALTER TABLE t DROP COLUMN v");
    FAILS(a, text, "0A000");
    snprintf(text, sizeof text, "SELECT * FROM t AS OF SCN %s ORDER BY id", before);
    ROWS(a, text, "1|one;2|two");
    ROWS(a, "SELECT * FROM t", "2|7");
    rig_run(&a, "TRUNCATE t");
    ROWS(b, text, "1|one;2|two");
    rig_run(&a, "DROP TABLE t");
    ROWS(b, text, "1|one;2|two");
    rig_run(&a, "CREATE TABLE t (other int)");
    ROWS(b, text, "1|one;2|two");
    FAILS(b, "SELECT * FROM t AS OF SCN 1", "42P01");
    FAILS(b, "SELECT * FROM t AS OF SCN 999999999", "RD005");
    FAILS(b, "SELECT * FROM t AS OF SCN $1", "42P02");
}
END_TEST

/* ---- transactions ------------------------------------------------------------------------------
 */

START_TEST(test_blocks)
{
    rig_run(&a, "CREATE TABLE t (id int PRIMARY KEY)");
    ck_assert_int_eq(status(&a), 'I');
    rig_run(&a, "BEGIN");
    ck_assert_int_eq(status(&a), 'T');
    SAID(a, "BEGIN", "WARNING 25001 there is already a transaction in progress\nC BEGIN\n");
    rig_run(&a, "INSERT INTO t VALUES (1)");
    ROWS(b, "SELECT count(*) FROM t", "0");
    FAILS(a, "INSERT INTO t VALUES (1)", "23505");
    ck_assert_int_eq(status(&a), 'E');
    FAILS(a, "SELECT 1", "25P02");
    FAILS(a, "SAVEPOINT s", "25P02");
    SAID(a, "COMMIT", "C ROLLBACK\n");
    ck_assert_int_eq(status(&a), 'I');
    ROWS(b, "SELECT count(*) FROM t", "0");
    SAID(a, "COMMIT", "WARNING 25P01 there is no transaction in progress\nC COMMIT\n");
    SAID(a, "ROLLBACK", "WARNING 25P01 there is no transaction in progress\nC ROLLBACK\n");
    rig_run(&a, "BEGIN");
    rig_run(&a, "INSERT INTO t VALUES (2)");
    SAID(a, "COMMIT AND CHAIN", "C COMMIT\n");
    ck_assert_int_eq(status(&a), 'T');
    rig_run(&a, "INSERT INTO t VALUES (3)");
    rig_run(&a, "ROLLBACK");
    ROWS(b, "SELECT * FROM t", "2");
}
END_TEST

START_TEST(test_several_statements)
{
    rig_run(&a, "CREATE TABLE t (id int PRIMARY KEY)");
    /* one implicit transaction */
    FAILS(a, "INSERT INTO t VALUES (1); INSERT INTO t VALUES (1)", "23505");
    ROWS(a, "SELECT count(*) FROM t", "0");
    /* BEGIN takes what came before into the block */
    SAID(a, "INSERT INTO t VALUES (1); BEGIN; INSERT INTO t VALUES (2)",
         "C INSERT 0 1\nC BEGIN\nC INSERT 0 1\n");
    ck_assert_int_eq(status(&a), 'T');
    rig_run(&a, "ROLLBACK");
    ROWS(a, "SELECT count(*) FROM t", "0");
    /* COMMIT ends it in the middle */
    FAILS(a, "BEGIN; INSERT INTO t VALUES (1); COMMIT; INSERT INTO t VALUES (1)", "23505");
    ROWS(a, "SELECT count(*) FROM t", "1");
    FAILS(a, "SELECT 1; VACUUM", "25001");
    FAILS(a, "SELECT 1; SAVEPOINT s", "25P01");
}
END_TEST

START_TEST(test_savepoints)
{
    rig_run(&a, "CREATE TABLE t (id int PRIMARY KEY)");
    FAILS(a, "SAVEPOINT s", "25P01");
    rig_run(&a, "BEGIN");
    rig_run(&a, "INSERT INTO t VALUES (1)");
    rig_run(&a, "SAVEPOINT s");
    rig_run(&a, "INSERT INTO t VALUES (2)");
    rig_run(&a, "SAVEPOINT s"); /* hides the other */
    rig_run(&a, "INSERT INTO t VALUES (3)");
    FAILS(a, "INSERT INTO t VALUES (3)", "23505");
    rig_run(&a, "ROLLBACK TO s");
    ck_assert_int_eq(status(&a), 'T');
    ROWS(a, "SELECT id FROM t ORDER BY 1", "1;2");
    rig_run(&a, "RELEASE s");
    rig_run(&a, "ROLLBACK TO s");
    ROWS(a, "SELECT id FROM t ORDER BY 1", "1");
    FAILS(a, "RELEASE other", "3B001");
    rig_run(&a, "ROLLBACK TO s");
    rig_run(&a, "INSERT INTO t VALUES (4)");
    rig_run(&a, "COMMIT");
    ROWS(b, "SELECT id FROM t ORDER BY 1", "1;4");
}
END_TEST

START_TEST(test_isolation)
{
    rig_run(&a, "CREATE TABLE t (id int PRIMARY KEY, v int)");
    rig_run(&a, "INSERT INTO t VALUES (1, 1)");
    rig_run(&a, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    ROWS(a, "SELECT v FROM t", "1");
    rig_run(&b, "UPDATE t SET v = 2");
    ROWS(a, "SELECT v FROM t", "1");
    FAILS(a, "UPDATE t SET v = 3", "40001");
    rig_run(&a, "ROLLBACK");
    rig_run(&a, "BEGIN");
    ROWS(a, "SELECT v FROM t", "2");
    FAILS(a, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "25001");
    rig_run(&a, "ROLLBACK");
    FAILS(a, "BEGIN ISOLATION LEVEL SERIALIZABLE", "0A000");
    ck_assert_int_eq(status(&a), 'I');
    rig_run(&a, "BEGIN READ ONLY");
    ROWS(a, "SHOW transaction_read_only", "on");
    FAILS(a, "UPDATE t SET v = 3", "25006");
    rig_run(&a, "ROLLBACK");
    rig_run(&a, "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY");
    FAILS(a, "DELETE FROM t", "25006");
    FAILS(a, "CREATE TABLE u (id int)", "25006");
    ck_assert(!sql_engine_port(rig.sql)->ops->may_write(a.s));
    rig_run(&a, "SET default_transaction_read_only = off");
    ck_assert(sql_engine_port(rig.sql)->ops->may_write(a.s));
    SAID(a, "SET TRANSACTION READ ONLY",
         "WARNING 25P01 SET TRANSACTION can only be used in transaction blocks\nC SET\n");
}
END_TEST

/* SESS-2: who reads a row's newest version waits for it to be visible. */
START_TEST(test_answers_wait)
{
    rig_run(&a, "CREATE TABLE t (id int PRIMARY KEY, v int)");
    a.required = (struct moment){ 0, 0 };
    rig_run(&a, "INSERT INTO t VALUES (1, 1)");
    ck_assert_uint_eq(a.required.scn, engine_newest_scn(rig.engine));
    ck_assert_uint_eq(a.required.inc, engine_incarnation(rig.engine));
    a.required = (struct moment){ 0, 0 };
    ROWS(a, "SELECT v FROM t", "1");
    ck_assert_uint_eq(a.required.scn, 0);
}
END_TEST

static void
publish_nothing(void *arg, struct lsn durable, scn_t scn)
{
    (void)arg;
    (void)durable;
    (void)scn;
}

/* SESS-2: a write in a block is answered at once, whatever it goes on top of; rows that it returns,
 * and the end of the block, wait. */
START_TEST(test_writes_in_a_block_wait_at_its_end)
{
    struct commit_gate closed = { publish_nothing, NULL };
    struct redo_pos end;
    scn_t other;

    rig_run(&a, "CREATE TABLE t (id int PRIMARY KEY, v int)");
    rig_run(&a, "INSERT INTO t VALUES (1, 1)");
    engine_set_gate(rig.engine, &closed);
    a.does_not_wait = b.does_not_wait = true;
    rig_run(&b, "UPDATE t SET v = v + 1");
    other = engine_newest_scn(rig.engine);
    a.required = (struct moment){ 0, 0 };
    rig_run(&a, "BEGIN");
    rig_run(&a, "UPDATE t SET v = v + 1 WHERE id = 1");
    ck_assert_uint_eq(a.required.scn, 0);
    ROWS(a, "UPDATE t SET v = v + 1 WHERE id = 1 RETURNING v", "4");
    ck_assert_uint_ge(a.required.scn, other);
    rig_run(&a, "COMMIT");
    ck_assert_uint_gt(a.required.scn, other);
    engine_set_gate(rig.engine, NULL);
    ck_assert_int_eq(engine_end_of_log(rig.engine, &end), 0);
    engine_publish(rig.engine, end.lsn);
    a.does_not_wait = b.does_not_wait = false;
}
END_TEST

/* ---- the extended protocol ----------------------------------------------------------------------
 */

START_TEST(test_extended)
{
    const char *one[] = { "1", "eins" }, *null[] = { "2", NULL };

    rig_run(&a, "CREATE TABLE t (id int PRIMARY KEY, v text)");
    ck_assert_int_eq(rig_parse(&a, "ins", "INSERT INTO t VALUES ($1, $2)"), 0);
    ck_assert_int_eq(sql_engine_port(rig.sql)->ops->describe_statement(a.s, slice_str("ins")), 0);
    ck_assert_str_eq(rig_said(&a), "t 23,25\nn\n");
    ck_assert_int_eq(rig_bind(&a, "", "ins", 2, one, 0), 0);
    ck_assert_int_eq(rig_execute(&a, "", 0), 0);
    ck_assert_int_eq(rig_bind(&a, "", "ins", 2, null, 0), 0);
    ck_assert_int_eq(rig_execute(&a, "", 0), 0);
    ROWS(b, "SELECT count(*) FROM t", "0"); /* until Sync */
    ck_assert_int_eq(rig_sync(&a), 0);
    ck_assert_str_eq(rig_said(&a), "C INSERT 0 1\nC INSERT 0 1\n");
    ROWS(b, "SELECT * FROM t ORDER BY 1", "1|eins;2|\\N");

    ck_assert_int_eq(rig_parse(&a, "", "SELECT id, v FROM t WHERE id >= $1 ORDER BY id"), 0);
    ck_assert_int_eq(rig_bind(&a, "", "", 1, one, 1), 0);
    ck_assert_int_eq(sql_engine_port(rig.sql)->ops->describe_portal(a.s, slice_str("")), 0);
    ck_assert_int_eq(rig_execute(&a, "", 0), 0);
    ck_assert_int_eq(rig_sync(&a), 0);
    ck_assert_str_eq(rig_said(&a),
                     "T id,v\nD <00><00><00><01>|eins\nD <00><00><00><02>|\\N\nC SELECT 2\n");
}
END_TEST

START_TEST(test_extended_errors)
{
    const char *bad[] = { "x" };

    rig_run(&a, "CREATE TABLE t (id int PRIMARY KEY, v text)");
    ck_assert_int_eq(rig_parse(&a, "", "SELECT 1; SELECT 2"), ERR_SYNTAX);
    (void)rig_said(&a);
    ck_assert_int_eq(rig_bind(&a, "", "none", 0, NULL, 0), ERR_UNDEFINED_STATEMENT);
    ck_assert_int_eq(rig_parse(&a, "s", "SELECT v FROM t WHERE id = $1"), 0);
    ck_assert_int_eq(rig_parse(&a, "s", "SELECT 1"), ERR_DUPLICATE_STATEMENT);
    ck_assert_int_eq(rig_bind(&a, "", "s", 0, NULL, 0), ERR_PROTOCOL);
    ck_assert_int_eq(rig_bind(&a, "", "s", 1, bad, 0), ERR_INVALID_TEXT);
    ck_assert_int_eq(rig_execute(&a, "none", 0), ERR_UNDEFINED_CURSOR);
    ck_assert_int_eq(rig_sync(&a), 0);
    (void)rig_said(&a);
    rig_run(&a, "BEGIN");
    FAILS(a, "SELECT x", "42703");
    ck_assert_int_eq(rig_parse(&a, "", "SELECT 1"), ERR_IN_FAILED_TRANSACTION);
    ck_assert_int_eq(rig_parse(&a, "", "ROLLBACK"), 0);
    ck_assert_int_eq(rig_bind(&a, "", "", 0, NULL, 0), 0);
    ck_assert_int_eq(rig_execute(&a, "", 0), 0);
    ck_assert_int_eq(rig_sync(&a), 0);
    ck_assert_int_eq(status(&a), 'I');
}
END_TEST

/* A portal with a row limit keeps its snapshot, whatever else happens in the transaction. */
START_TEST(test_portals)
{
    rig_run(&a, "CREATE TABLE t (id int PRIMARY KEY)");
    rig_run(&a, "INSERT INTO t SELECT g FROM generate_series(1, 3000) g");
    rig_run(&a, "BEGIN");
    ck_assert_int_eq(rig_parse(&a, "", "SELECT id FROM t ORDER BY id"), 0);
    ck_assert_int_eq(rig_bind(&a, "p", "", 0, NULL, 0), 0);
    ck_assert_int_eq(rig_execute(&a, "p", 2), 0);
    ck_assert_str_eq(rig_said(&a), "D 1\nD 2\ns\n");
    ck_assert_int_eq(rig_execute(&a, "p", 1), 0);
    ck_assert_str_eq(rig_said(&a), "D 3\ns\n");
    rig_run(&a, "DELETE FROM t WHERE id > 5"); /* the portal's rows are kept aside */
    ROWS(a, "SELECT count(*) FROM t", "5");
    ck_assert_int_eq(rig_execute(&a, "p", 2), 0);
    ck_assert_str_eq(rig_said(&a), "D 4\nD 5\ns\n");
    ck_assert_int_eq(rig_execute(&a, "p", 0), 0);
    ck_assert_ptr_nonnull(strstr(rig_said(&a), "D 3000\nC SELECT 2995\n"));
    rig_run(&a, "COMMIT");
    ck_assert_int_eq(rig_execute(&a, "p", 0), ERR_UNDEFINED_CURSOR);
}
END_TEST

START_TEST(test_cursors)
{
    FAILS(a, "DECLARE c CURSOR FOR SELECT 1", "25P01");
    rig_run(&a, "BEGIN");
    rig_run(&a, "DECLARE c CURSOR FOR SELECT g FROM generate_series(1, 5) g");
    SAID(a, "FETCH 2 FROM c", "T g\nD 1\nD 2\nC FETCH 2\n");
    SAID(a, "MOVE 1 FROM c", "C MOVE 1\n");
    rig_run(&a, "SAVEPOINT s");
    rig_run(&a, "DECLARE d CURSOR FOR SELECT 1");
    rig_run(&a, "ROLLBACK TO s");
    FAILS(a, "FETCH d", "34000");
    rig_run(&a, "ROLLBACK TO s");
    SAID(a, "FETCH ALL FROM c", "T g\nD 4\nD 5\nC FETCH 2\n");
    SAID(a, "FETCH c", "T g\nC FETCH 0\n");
    FAILS(a, "FETCH BACKWARD 1 FROM c", "55000");
    rig_run(&a, "ROLLBACK");
    rig_run(&a, "DECLARE h CURSOR WITH HOLD FOR SELECT g FROM generate_series(1, 3) g");
    ROWS(a, "FETCH 1 FROM h", "1");
    rig_run(&a, "CREATE TABLE t (id int)");
    ROWS(a, "FETCH ALL FROM h", "2;3");
    rig_run(&a, "CLOSE ALL");
    FAILS(a, "FETCH h", "34000");
}
END_TEST

START_TEST(test_prepared)
{
    rig_run(&a, "PREPARE p (int, text) AS SELECT $1 + 1, $2");
    ROWS(a, "EXECUTE p (1 + 1, 'x')", "3|x");
    FAILS(a, "EXECUTE p (1)", "42601");
    FAILS(a, "PREPARE p AS SELECT 1", "42P05");
    rig_run(&a, "PREPARE u AS VALUES (1)");
    rig_run(&a, "DEALLOCATE p");
    FAILS(a, "EXECUTE p (1, 'x')", "26000");
    rig_run(&a, "DISCARD ALL");
    FAILS(a, "EXECUTE u", "26000");
}
END_TEST

/* ---- settings ----------------------------------------------------------------------------------
 */

START_TEST(test_settings)
{
    SAID(a, "SET TimeZone = 'Europe/Paris'", "S TimeZone=Europe/Paris\nC SET\n");
    ROWS(a, "SELECT '2020-01-01 12:00+00'::timestamptz", "2020-01-01 13:00:00+01");
    FAILS(a, "SET timezone = 'Nowhere/Land'", "22023");
    rig_run(&a, "BEGIN");
    rig_run(&a, "SET work_mem = '8MB'");
    rig_run(&a, "SET LOCAL work_mem = '16MB'");
    ROWS(a, "SHOW work_mem", "16MB");
    rig_run(&a, "COMMIT");
    ROWS(a, "SHOW work_mem", "8MB");
    rig_run(&a, "BEGIN");
    rig_run(&a, "SET work_mem = '1GB'");
    rig_run(&a, "SAVEPOINT s");
    rig_run(&a, "SET work_mem = '2GB'");
    rig_run(&a, "ROLLBACK TO s");
    ROWS(a, "SHOW work_mem", "1GB");
    rig_run(&a, "ROLLBACK");
    ROWS(a, "SHOW work_mem", "8MB");
    rig_run(&a, "RESET work_mem");
    ROWS(a, "SELECT current_setting('work_mem')", "4MB");
    ROWS(a, "SELECT set_config('my.var', 'x', false), current_setting('my.var')", "x|x");
    ROWS(a, "SELECT current_setting('no.such', true)", "\\N");
    FAILS(a, "SELECT current_setting('nonsense')", "42704");
    FAILS(a, "SET nonsense = 1", "42704");
    FAILS(a, "SET server_version = '1'", "55P02");
    FAILS(a, "SET standard_conforming_strings = off", "0A000");
    rig_run(&a, "SET statement_timeout = '2s'");
    ck_assert_uint_eq(a.c.statement_timeout_ms, 2000);
    ROWS(a, "SELECT setting, unit FROM pg_settings WHERE name = 'statement_timeout'", "2000|ms");
    rig_run(&a, "SET search_path = nowhere, \"Odd\"");
    ROWS(a, "SHOW search_path", "nowhere, \"Odd\"");
    FAILS(a, "CREATE TABLE t (id int)", "3F000");
}
END_TEST

START_TEST(test_startup)
{
    const struct sql_setting good[] = { { "DateStyle", "ISO, DMY" }, { "work_mem", "1MB" } };
    const struct sql_setting bad[] = { { "nonsense", "1" } };
    static struct rig_client c;

    ck_assert_int_eq(rig_connect_as(&rig, &c, "redoubt", "redoubt", good, 2), 0);
    ROWS(c, "SHOW work_mem", "1MB");
    rig_run(&c, "SET work_mem = '2MB'");
    rig_run(&c, "RESET work_mem");
    ROWS(c, "SHOW work_mem", "1MB");
    ROWS(c, "SELECT '03/04/2020'::date", "2020-04-03");
    rig_disconnect(&c);
    ck_assert_int_eq(rig_connect_as(&rig, &c, "redoubt", "redoubt", bad, 1), ERR_UNDEFINED_OBJECT);
    rig_disconnect(&c);
    ck_assert_int_eq(rig_connect_as(&rig, &c, "redoubt", "other", NULL, 0), ERR_UNDEFINED_DATABASE);
    rig_disconnect(&c);
}
END_TEST

START_TEST(test_notices)
{
    SAID(a, "DROP TABLE IF EXISTS t",
         "NOTICE 00000 table \"t\" does not exist, skipping\nC DROP TABLE\n");
    rig_run(&a, "SET client_min_messages = warning");
    SAID(a, "DROP TABLE IF EXISTS t", "C DROP TABLE\n");
}
END_TEST

START_TEST(test_activity)
{
    rig_run(&b, "BEGIN");
    rig_run(&b, "SELECT 5");
    ROWS(a, "SELECT state, query FROM pg_stat_activity WHERE state <> 'active'",
         "idle in transaction|SELECT 5");
    ROWS(a, "SELECT open_mode, incarnation FROM v$database", "READ WRITE|1");
    ROWS(a, "SELECT incarnation, status FROM v$incarnation", "1|CURRENT");
}
END_TEST

/* ---- a standby ---------------------------------------------------------------------------------
 */

START_TEST(test_standby)
{
    rig_run(&a, "CREATE TABLE t (id serial PRIMARY KEY)");
    rig_run(&a, "INSERT INTO t DEFAULT VALUES");
    rig_disconnect(&a);
    rig_disconnect(&b);
    sql_rig_read_only(&rig);
    rig_connect(&rig, &a);
    rig_connect(&rig, &b);
    ROWS(a, "SELECT * FROM t", "1");
    SAID(a, "INSERT INTO t VALUES (2)",
         "ERROR 25006 cannot execute INSERT in a read-only transaction\n");
    FAILS(a, "SELECT * FROM t FOR UPDATE", "25006");
    FAILS(a, "SELECT nextval('t_id_seq')", "25006");
    FAILS(a, "DROP TABLE t", "25006");
    FAILS(a, "COPY t FROM STDIN", "25006");
    FAILS(a, "BEGIN READ WRITE", "0A000");
    ROWS(a, "SELECT pg_is_in_recovery()", "t");
    ROWS(a, "SHOW in_hot_standby", "on");
    ROWS(a, "SHOW transaction_read_only", "on");
    ROWS(a, "SELECT open_mode FROM v$database", "READ ONLY");
}
END_TEST

/* ---- privileges --------------------------------------------------------------------------------
 */

START_TEST(test_privileges)
{
    static struct rig_client joe;

    rig_run(&a, "CREATE ROLE joe LOGIN PASSWORD 'x'");
    rig_run(&a, "CREATE TABLE t (id int)");
    ck_assert_int_eq(rig_connect_as(&rig, &joe, "joe", "redoubt", NULL, 0), 0);
    FAILS(joe, "SELECT * FROM t", "42501");
    FAILS(joe, "DROP TABLE t", "42501");
    FAILS(joe, "CREATE TABLE u (id int)", "42501");
    FAILS(joe, "SELECT rolpassword FROM pg_authid", "42501");
    FAILS(joe, "CREATE ROLE other", "42501");
    rig_run(&joe, "ALTER ROLE joe PASSWORD 'y'");
    rig_run(&a, "ALTER TABLE t OWNER TO joe");
    ROWS(joe, "SELECT * FROM t", "");
    FAILS(a, "DROP ROLE joe", "2BP01");
    FAILS(a, "DELETE FROM pg_class", "42501");
    rig_disconnect(&joe);
    rig_run(&a, "DROP TABLE t");
    rig_run(&a, "DROP ROLE joe");
}
END_TEST

/* The past is no way around them. */
START_TEST(test_privileges_in_the_past)
{
    static struct rig_client joe;

    rig_run(&a, "CREATE ROLE joe LOGIN PASSWORD 'x'");
    rig_run(&a, "CREATE TABLE t (id int)");
    ck_assert_int_eq(rig_connect_as(&rig, &joe, "joe", "redoubt", NULL, 0), 0);
    FAILS(joe, "SELECT rolpassword FROM pg_authid AS OF TIMESTAMP clock_timestamp()", "42501");
    FAILS(joe, "SELECT * FROM t AS OF TIMESTAMP clock_timestamp()", "42501");
    ROWS(joe, "SELECT count(*) FROM pg_namespace AS OF TIMESTAMP clock_timestamp()", "3");
    rig_disconnect(&joe);
}
END_TEST

/* Who may make roles is not above superusers; who is one no more has lost it at once. */
START_TEST(test_privileges_of_roles)
{
    static struct rig_client maker, boss;

    rig_run(&a, "CREATE ROLE maker LOGIN CREATEROLE PASSWORD 'x'; CREATE ROLE copier REPLICATION;"
                "CREATE ROLE boss LOGIN SUPERUSER PASSWORD 'x'; CREATE TABLE t (id int)");
    ck_assert_int_eq(rig_connect_as(&rig, &maker, "maker", "redoubt", NULL, 0), 0);
    ck_assert_int_eq(rig_connect_as(&rig, &boss, "boss", "redoubt", NULL, 0), 0);
    FAILS(maker, "ALTER ROLE boss PASSWORD 'y'", "42501");
    FAILS(maker, "ALTER ROLE boss NOSUPERUSER", "42501");
    FAILS(maker, "ALTER ROLE copier PASSWORD 'y'", "42501");
    FAILS(maker, "CREATE ROLE other REPLICATION", "42501");
    FAILS(maker, "DROP ROLE boss", "42501");
    rig_run(&maker, "CREATE ROLE other; ALTER ROLE other LOGIN; DROP ROLE other");
    rig_run(&boss, "PREPARE p AS SELECT * FROM t");
    rig_run(&a, "ALTER ROLE boss NOSUPERUSER");
    FAILS(boss, "EXECUTE p", "42501");
    FAILS(boss, "SELECT * FROM t", "42501");
    FAILS(boss, "CREATE ROLE other SUPERUSER", "42501");
    FAILS(boss, "CHECKPOINT", "42501");
    rig_run(&a, "ALTER ROLE boss SUPERUSER");
    ROWS(boss, "EXECUTE p", "");
    rig_run(&boss, "BEGIN; ALTER ROLE boss NOSUPERUSER");
    FAILS(boss, "SELECT * FROM t", "42501");
    rig_run(&boss, "ROLLBACK");
    ROWS(boss, "SELECT * FROM t", "");
    rig_run(&a, "DROP ROLE boss");
    FAILS(boss, "SELECT * FROM t", "42501");
    rig_run(&a, "ALTER ROLE maker NOCREATEROLE");
    FAILS(maker, "CREATE ROLE other", "42501");
    rig_disconnect(&boss);
    rig_disconnect(&maker);
}
END_TEST

/* What is another's is not locked, and not counted; nothing is made in another's schema. */
START_TEST(test_privileges_of_utilities)
{
    static struct rig_client joe;

    rig_run(&a, "CREATE ROLE joe LOGIN PASSWORD 'x'; CREATE TABLE t (id int); CREATE SCHEMA s;"
                "CREATE SCHEMA js AUTHORIZATION joe");
    ck_assert_int_eq(rig_connect_as(&rig, &joe, "joe", "redoubt", NULL, 0), 0);
    FAILS(joe, "CREATE TABLE s.u (id int)", "42501");
    FAILS(joe, "CREATE VIEW s.u AS SELECT 1", "42501");
    rig_run(&joe, "CREATE TABLE js.u (id int)");
    SAID(joe, "VACUUM t",
         "WARNING 00000 skipping \"t\" --- only table or database owner can vacuum "
         "it\nC VACUUM\n");
    SAID(joe, "ANALYZE js.u", "C ANALYZE\n");
    rig_run(&joe, "BEGIN; LOCK TABLE js.u; LOCK TABLE pg_class IN ACCESS SHARE MODE; SAVEPOINT x");
    FAILS(joe, "LOCK TABLE t", "42501");
    rig_run(&joe, "ROLLBACK TO x");
    FAILS(joe, "LOCK TABLE t IN ACCESS SHARE MODE", "42501");
    rig_run(&joe, "ROLLBACK TO x");
    FAILS(joe, "LOCK TABLE pg_class", "42501");
    rig_run(&joe, "ROLLBACK");
    rig_disconnect(&joe);
}
END_TEST

static Suite *
suite(void)
{
    Suite *s = suite_create("session");
    TCase *t = tcase_create("session");
    const TTest *const tests[] = {
        test_select,
        test_table,
        test_plans_are_shared,
        test_stale_plans,
        test_past,
        test_blocks,
        test_savepoints,
        test_several_statements,
        test_isolation,
        test_extended,
        test_extended_errors,
        test_answers_wait,
        test_writes_in_a_block_wait_at_its_end,
        test_portals,
        test_cursors,
        test_prepared,
        test_settings,
        test_startup,
        test_notices,
        test_activity,
        test_standby,
        test_privileges,
        test_privileges_in_the_past,
        test_privileges_of_roles,
        test_privileges_of_utilities,
    };

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        tcase_add_test(t, tests[i]);
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
