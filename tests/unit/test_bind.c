/* The binder: what PostgreSQL 15 says of the same statements over the same tables, word for word.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/sql/bind.h"
#include "tests/support/fake_catalog.h"
#include "tests/unit/bind_cases.h"

static struct arena tables_arena, arena;
static struct fake_catalog catalog;
static const struct type_env types;

static const char schema[] =
    "create table t (a int primary key, b int, c text, d numeric(10,2), e varchar(5), f timestamp, "
    "g boolean default true, h bigint, i float8, j date, k char(4), l timestamptz default now(), "
    "m smallint); create table u (x int, y int, z text, primary key (x, y)); "
    "create table v (a int references t, p int, q text not null default 'zz'); "
    "create table accounts (aid int not null primary key, bid int, abalance int, filler char(84)); "
    "create index ti on t (b, c); create unique index tu on t (h); "
    "create view w as select a as n, c from t where b > 1; "
    "create table ck (a int check (a > 0), b int default 5, i int generated always as identity)";

static void
setup(void)
{
    arena_init(&tables_arena, NULL);
    arena_init(&arena, NULL);
    fake_catalog_init(&catalog, &tables_arena);
    fake_catalog_run(&catalog, schema);
}

static void
teardown(void)
{
    arena_fini(&arena);
    arena_fini(&tables_arena);
}

static int
bind(const char *sql, const struct sql_normal *normal, struct bind_result *out)
{
    struct bind_request r = { .arena = &arena,
                              .text = slice_str(sql),
                              .catalog = &catalog.binder,
                              .funcs = &func_set_builtin,
                              .types = &types,
                              .normal = normal };
    struct ast_list *list;
    int rc = sql_parse_lifted(&arena, r.text, normal, &list);

    ck_assert_msg(rc == 0, "%s: %s", sql, diag_last()->message);
    return sql_bind(&r, AST_CONST(ast_statement, list->item[0])->body, out);
}

/* "ok name:type:typmod ..." or "SQLSTATE position message". */
static const char *
outcome(const char *sql)
{
    struct bind_result r;
    int rc = bind(sql, NULL, &r);
    const char *text = "ok";

    if (rc != 0)
        return arena_printf(&arena, "%s %d %s", err_sqlstate(rc), diag_last()->position,
                            diag_last()->message);
    for (int32_t i = 0; r.query->command == AST_SELECT && i < r.query->visible_count; i++)
        text = arena_printf(&arena, "%s %s:%u:%d", text, r.query->targets[i].name,
                            r.query->targets[i].value->type.oid,
                            r.query->targets[i].value->type.typmod);
    for (int32_t i = 0; i < r.query->returning_count; i++)
        text = arena_printf(&arena, "%s %s:%u:%d", text, r.query->returning[i].name,
                            r.query->returning[i].value->type.oid,
                            r.query->returning[i].value->type.typmod);
    return text;
}

static void
run_cases(const struct bind_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *got = outcome(cases[i].sql);

        ck_assert_msg(strcmp(got, cases[i].outcome) == 0, "%s: %s, not %s", cases[i].sql, got,
                      cases[i].outcome);
        arena_reset(&arena);
    }
}

/* SQL-20: names and types of results are PostgreSQL's. */
START_TEST(test_results)
{
    run_cases(results, sizeof results / sizeof results[0]);
}
END_TEST

/* SQL-21: so are errors, with their positions. */
START_TEST(test_errors)
{
    run_cases(errors, sizeof errors / sizeof errors[0]);
}
END_TEST

START_TEST(test_hints)
{
    struct bind_result r;

    ck_assert_int_eq(bind("select nofunc(a) from t", NULL, &r), ERR_UNDEFINED_FUNCTION);
    ck_assert_str_eq(diag_last()->hint, "No function matches the given name and argument types. "
                                        "You might need to add explicit type casts.");
    ck_assert_int_eq(bind("insert into t (a) values (true)", NULL, &r), ERR_DATATYPE_MISMATCH);
    ck_assert_str_eq(diag_last()->hint, "You will need to rewrite or cast the expression.");
    ck_assert_int_eq(bind("select t.a from t x", NULL, &r), ERR_UNDEFINED_TABLE);
    ck_assert_str_eq(diag_last()->hint, "Perhaps you meant to reference the table alias \"x\".");
}
END_TEST

/* ---- parameters ---------------------------------------------------------------------------- */

static const char *
param_types(const char *sql, const struct sql_normal *normal, bool *pinned)
{
    struct bind_result r;
    const char *text = "";

    ck_assert_msg(bind(sql, normal, &r) == 0, "%s: %s", sql, diag_last()->message);
    for (int32_t i = 0; i < r.param_count; i++)
        text = arena_printf(&arena, "%s%s%s", text, i > 0 ? " " : "",
                            type_get(r.param_types[i])->name);
    if (pinned != NULL)
        *pinned = r.pinned;
    return text;
}

/* SQL-22: a parameter has the type of what it meets first. */
START_TEST(test_params)
{
    ck_assert_str_eq(
        param_types("select * from t where a = $1 and c = $2 and d > $3 limit $4", NULL, NULL),
        "int4 text numeric int8");
    ck_assert_str_eq(param_types("insert into t (c, f, e) values ($2, $1, $3)", NULL, NULL),
                     "timestamp text varchar");
    ck_assert_str_eq(
        param_types("update accounts set abalance = abalance + $1 where aid = $2", NULL, NULL),
        "int4 int4");
    ck_assert_str_eq(param_types("select $1", NULL, NULL), "text");
    ck_assert_str_eq(param_types("select $1::date, $1", NULL, NULL), "date");
    ck_assert_str_eq(param_types("select a from t where a = any($1)", NULL, NULL), "_int4");
    ck_assert_str_eq(outcome("select $2::int"),
                     "42P18 0 could not determine data type of parameter $1");
}
END_TEST

static const char *
lifted_types(const char *sql, bool *pinned)
{
    struct sql_normal n;

    ck_assert_int_eq(sql_normalize(&arena, slice_str(sql), &n), 0);
    ck_assert(n.cacheable);
    return param_types(sql, &n, pinned);
}

/* SQL-23: a lifted literal is bound as the parameter it has become, and types come out as they
 * would for the literal; a plan that depends on its value says so. */
START_TEST(test_lifted)
{
    bool pinned;

    ck_assert_str_eq(lifted_types("select abalance from accounts where aid = 123", &pinned),
                     "int4");
    ck_assert(!pinned);
    ck_assert_str_eq(lifted_types("select * from t where h = 5 and d = 1.5 and c = 'x'", &pinned),
                     "int4 numeric text");
    ck_assert_str_eq(lifted_types("select * from t where d = 5 and i = 5 and a = -5", &pinned),
                     "numeric float8 int4");
    ck_assert_str_eq(
        lifted_types("insert into t (a, c, f, d) values (1, 'x', '2020-01-01', 1.5)", &pinned),
        "int4 text timestamp numeric");
    ck_assert_str_eq(lifted_types("select 'x', 5, 6000000000", &pinned), "text int4 int8");
    ck_assert(!pinned);
    ck_assert_str_eq(lifted_types("select a from t limit 5 offset 6", &pinned), "int8 int8");
    ck_assert_str_eq(
        lifted_types("select a from t where a in (1, 2) and b between 3 and 4", &pinned),
        "int4 int4 int4 int4");
}
END_TEST

START_TEST(test_lifted_value)
{
    struct sql_normal n;
    struct datum d;

    ck_assert_int_eq(sql_normalize(&arena, slice_str("select 5, 'x', 1.5, '2020-01-02'"), &n), 0);
    ck_assert_int_eq(sql_lifted_value(&n.lifted[0], TYPE_INT4, &types, &arena, &d), 0);
    ck_assert_int_eq(d.i, 5);
    ck_assert_int_eq(sql_lifted_value(&n.lifted[0], TYPE_FLOAT8, &types, &arena, &d), 0);
    ck_assert(d.f == 5.0);
    ck_assert_int_eq(sql_lifted_value(&n.lifted[1], TYPE_TEXT, &types, &arena, &d), 0);
    ck_assert_mem_eq(d.p, "x", 1);
    ck_assert_int_eq(sql_lifted_value(&n.lifted[1], TYPE_INT4, &types, &arena, &d),
                     ERR_INVALID_TEXT);
    ck_assert_int_eq(sql_lifted_value(&n.lifted[3], TYPE_DATE, &types, &arena, &d), 0);
}
END_TEST

/* ---- stored expressions ---------------------------------------------------------------------- */

START_TEST(test_views_and_checks)
{
    struct bind_result r;

    ck_assert_str_eq(outcome("select * from w where n = 5"), "ok n:23:-1 c:25:-1");
    ck_assert_str_eq(outcome("select b from w"), "42703 8 column \"b\" does not exist");
    ck_assert_int_eq(bind("insert into ck (a) values (1)", NULL, &r), 0);
    ck_assert_int_eq(r.query->check_count, 1);
    ck_assert_int_eq(r.query->assignment_count, 3);
    ck_assert_int_eq(r.query->assignments[1].value->kind, EXPR_CONST);
    ck_assert_str_eq(outcome("insert into ck (i) values (5)"),
                     "428C9 28 cannot insert a non-DEFAULT value into column \"i\"");
    ck_assert_str_eq(outcome("insert into ck (i) overriding system value values (5)"), "ok");
}
END_TEST

START_TEST(test_bind_expr)
{
    struct bind_request r = {
        .arena = &arena, .catalog = &catalog.binder, .funcs = &func_set_builtin, .types = &types
    };
    struct bind_expr_request w = { .what = "DEFAULT expressions",
                                   .type = { TYPE_VARCHAR, 4 + 2 },
                                   .column = "x" };
    struct ast *ast;
    struct expr *e;

    r.text = slice_str("'a' || 'b'");
    ck_assert_int_eq(sql_parse_expr(&arena, r.text, &ast), 0);
    w.expr = ast;
    ck_assert_int_eq(sql_bind_expr(&r, &w, &e), 0);
    ck_assert_int_eq(e->kind, EXPR_CONST);
    r.text = slice_str("(select 1)");
    ck_assert_int_eq(sql_parse_expr(&arena, r.text, &ast), 0);
    w.expr = ast;
    ck_assert_int_eq(sql_bind_expr(&r, &w, &e), ERR_NOT_SUPPORTED);
    ck_assert_str_eq(diag_last()->message, "cannot use subquery in DEFAULT expressions");
    w = (struct bind_expr_request){ .what = "check constraints",
                                    .table = fake_catalog_table(&catalog, "t") };
    r.text = slice_str("b > a");
    ck_assert_int_eq(sql_parse_expr(&arena, r.text, &ast), 0);
    w.expr = ast;
    ck_assert_int_eq(sql_bind_expr(&r, &w, &e), 0);
    ck_assert_int_eq(e->type.oid, TYPE_BOOL);
    r.text = slice_str("nosuch > a");
    ck_assert_int_eq(sql_parse_expr(&arena, r.text, &ast), 0);
    w.expr = ast;
    ck_assert_int_eq(sql_bind_expr(&r, &w, &e), ERR_UNDEFINED_COLUMN);
}
END_TEST

/* SQL-24: trees that are too high are refused, whatever made them so. */
START_TEST(test_depth)
{
    size_t n = 100000;
    char *text = malloc(n * 4 + 100), *at = stpcpy(text, "select 1");
    struct bind_result r;

    for (size_t i = 0; i < n; i++)
        at = stpcpy(at, "+a");
    stpcpy(at, " from t");
    ck_assert_int_eq(bind(text, NULL, &r), ERR_TOO_COMPLEX);
    at = stpcpy(text, "select a from t where a = 1");
    for (size_t i = 0; i < 10000; i++)
        at = stpcpy(at, " or a = 2");
    ck_assert_int_eq(bind(text, NULL, &r), 0);
    free(text);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("bind");
    TCase *tc = tcase_create("bind");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_results);
    tcase_add_test(tc, test_errors);
    tcase_add_test(tc, test_hints);
    tcase_add_test(tc, test_params);
    tcase_add_test(tc, test_lifted);
    tcase_add_test(tc, test_lifted_value);
    tcase_add_test(tc, test_views_and_checks);
    tcase_add_test(tc, test_bind_expr);
    tcase_add_test(tc, test_depth);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
