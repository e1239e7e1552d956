/* The plan cache's key: which queries share one, and which must not.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/sql/parse.h"
#include "tests/support/ast_text.h"

static struct arena arena;

static void
setup(void)
{
    arena_init(&arena, NULL);
}

static void
teardown(void)
{
    arena_fini(&arena);
}

static struct sql_normal
normal(const char *text)
{
    struct sql_normal n;
    int rc = sql_normalize(&arena, slice_str(text), &n);

    ck_assert_msg(rc == 0, "%s: %s", text, diag_last()->message);
    return n;
}

static const char *
key(const char *text)
{
    struct sql_normal n = normal(text);

    ck_assert_msg(n.cacheable, "%s is not cacheable", text);
    return arena_strndup(&arena, (const char *)n.key.data, n.key.size);
}

static void
same(const char *a, const char *b)
{
    ck_assert_msg(strcmp(key(a), key(b)) == 0, "%s / %s", key(a), key(b));
}

static void
different(const char *a, const char *b)
{
    ck_assert_msg(strcmp(key(a), key(b)) != 0, "%s", key(a));
}

/* SQL-10: queries that differ in liftable values only share a key. */
START_TEST(test_same)
{
    same("select abalance from pgbench_accounts where aid = 123",
         "SELECT abalance FROM pgbench_accounts WHERE aid = 456;");
    same("UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = 5;",
         "UPDATE pgbench_accounts SET abalance = abalance + 22 WHERE aid = 7");
    same("INSERT INTO h (a, b, c) VALUES (1, 'x', CURRENT_TIMESTAMP)",
         "insert into h (a,b,c) values (2,'yy',current_timestamp) -- again");
    same("select * from t where a in (1, 2) and b between 1.5 and 2.5 limit 10 offset 5",
         "select * from t where a in (3, 4) and b between 0.1 and 2.9 limit 20 offset 6");
    same("select 'it''s'", "select E'it\\'s'");
    same("select 'a' from \"t\"", "select 'b' from T");
    same("select a from t order by b, 1 limit 1", "select a from t order by b, 1 limit 2");
    same("select a::numeric(10,2) + 1", "select a::numeric(10,2) + 2");
    same("select a from (select b from t order by 1) s where c = 1",
         "select a from (select b from t order by 1) s where c = 2");
    same("select a from t where b = -1", "select a from t where b = -2");
}
END_TEST

START_TEST(test_different)
{
    different("select 1", "select 3000000000");
    different("select 1", "select '1'");
    different("select 1", "select 1.0");
    different("select 1", "select -1");
    different("select a from t order by 1", "select a from t order by 2");
    different("select a::varchar(3)", "select a::varchar(4)");
    different("select cast(a as numeric(4, 1))", "select cast(a as numeric(4, 2))");
    different("select a::pg_catalog.bpchar(3)", "select a::pg_catalog.bpchar(4)");
    different("select date '2020-01-01'", "select date '2020-01-02'");
    different("select interval '1 day'", "select interval '2 day'");
    different("select a + 1 from t group by a + 1", "select a + 2 from t group by a + 2");
    different("select distinct a + 1 from t", "select distinct a + 2 from t");
    different("select \"a b\"", "select a b");
    different("select \"select\" from t", "select select from t");
    different("select a is null", "select a is true");
    different("select 'a' 'b'", "select 'a''b'");
    different("select 2147483647", "select 2147483648");
    different("select U&'a' x", "select 'a' y");
    different("select interval '3:abc'", "select interval 'abc'");
}
END_TEST

START_TEST(test_not_cacheable)
{
    static const char *const texts[] = {
        "",
        ";",
        "begin",
        "create table t (a int default 5)",
        "set x = 1",
        "select 1; select 2",
        "select $1",
        "vacuum t",
        "copy t from stdin",
        "explain select 1",
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        ck_assert_msg(!normal(texts[i]).cacheable, "%s", texts[i]);
}
END_TEST

START_TEST(test_values)
{
    const char *text =
        "select 12, 'a''b', 1.50, date 'x', 5000000000, 2147483648, 1e5 from t where "
        "\xc3\xa9 = 7";
    struct sql_normal n = normal(text);

    ck_assert_int_eq(n.lifted_count, 5);
    ck_assert_int_eq(n.lifted[0].type, AST_LIT_INT);
    ck_assert_int_eq(n.lifted[0].integer, 12);
    ck_assert_int_eq(n.lifted[1].type, AST_LIT_STRING);
    ck_assert(slice_eq(n.lifted[1].text, slice_str("a'b")));
    ck_assert_int_eq(n.lifted[2].type, AST_LIT_NUMERIC);
    ck_assert(slice_eq(n.lifted[2].text, slice_str("1.50")));
    ck_assert_int_eq(n.lifted[3].integer, 5000000000);
    ck_assert_int_eq(n.lifted[4].integer, 7);
    ck_assert_int_eq(text[n.lifted[4].at], '7');
    ck_assert_int_eq(n.lifted[4].end, (int)strlen(text));
}
END_TEST

/* SQL-11: what was lifted is marked in the tree, and only that. */
START_TEST(test_marks)
{
    const char *text = "select -5, date '2020-01-01', a from t where b = 'x' order by 3 limit 9";
    struct sql_normal n = normal(text);
    struct ast_list *list;
    const struct ast_select *s;

    ck_assert_int_eq(sql_parse_lifted(&arena, slice_str(text), &n, &list), 0);
    s = AST_CONST(ast_select, AST_CONST(ast_statement, list->item[0])->body);
    ck_assert_int_eq(n.lifted_count, 3);
    ck_assert_int_eq(AST_CONST(ast_literal, s->limit)->lifted, 3);
    ck_assert_str_eq(ast_text(&arena, AST_CONST(ast_target, s->targets->item[0])->value), "(- 5)");
    ck_assert_int_eq(
        AST_CONST(ast_literal, AST_CONST(ast_sort, s->order_by->item[0])->value)->lifted, 0);
}
END_TEST

START_TEST(test_errors)
{
    struct sql_normal n;

    ck_assert_int_eq(sql_normalize(&arena, slice_str("select 'x"), &n), ERR_SYNTAX);
    ck_assert_int_eq(diag_last()->position, 8);
}
END_TEST

/* SQL-12: lexing a million literals neither fails nor lifts without bound. */
START_TEST(test_many)
{
    char *text = malloc(60000), *at = stpcpy(text, "insert into t values (1)");
    struct sql_normal n;

    while (at < text + 59000)
        at = stpcpy(at, ",(1)");
    n = normal(text);
    ck_assert(n.cacheable);
    ck_assert_int_eq(n.lifted_count, 2000);
    free(text);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("normalize");
    TCase *tc = tcase_create("normalize");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_same);
    tcase_add_test(tc, test_different);
    tcase_add_test(tc, test_not_cacheable);
    tcase_add_test(tc, test_values);
    tcase_add_test(tc, test_marks);
    tcase_add_test(tc, test_errors);
    tcase_add_test(tc, test_many);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
