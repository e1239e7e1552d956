/* The planner: access paths, joins, what is a point statement, and that no statement breaks it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/sql/keywords.h"
#include "engine/sql/planner.h"
#include "tests/support/fake_catalog.h"

static struct arena tables_arena, arena;
static struct fake_catalog catalog;
static const struct type_env types;

static const char schema[] =
    "create table t (a int primary key, b int, c text, d numeric(10,2), g boolean, h bigint, "
    "f timestamp); "
    "create table u (x int, y int, z text, primary key (x, y)); "
    "create table v (a int references t, p int, q text not null default 'zz'); "
    "create table accounts (aid int primary key, bid int, abalance int, filler char(84)); "
    "create table big (id bigint primary key, k int, s varchar(10)); "
    "create index ti on t (b, c); create unique index tu on t (h); "
    "create index vd on v (p desc, q); create index bk on big (k); create index bs on big (s); "
    "create view w as select a as n, c from t where b > 1";

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
try_plan(const char *sql, bool lift, struct plan **out)
{
    struct plan_request r = { .text = slice_str(sql),
                              .catalog = &catalog.binder,
                              .funcs = &func_set_builtin,
                              .types = &types };
    struct sql_normal normal;
    struct ast_list *list;
    bool pinned;
    int rc;

    *out = NULL;
    if (lift) {
        rc = sql_normalize(&arena, r.text, &normal);
        if (rc != 0)
            return rc;
        r.normal = normal.cacheable ? &normal : NULL;
    }
    rc = sql_parse_lifted(&arena, r.text, r.normal, &list);
    if (rc != 0)
        return rc;
    if (list->count != 1)
        return DIAG(ERR_SYNTAX, "not one statement");
    r.statement = AST_CONST(ast_statement, list->item[0])->body;
    return sql_plan_make(&r, out, &pinned);
}

static struct plan *
plan(const char *sql)
{
    struct plan *p;
    int rc = try_plan(sql, false, &p);

    ck_assert_msg(rc == 0, "%s: %s", sql, diag_last()->message);
    return p;
}

/* Lines joined by " | ", indentation left out. */
static const char *
explain_text(const struct plan *p)
{
    struct explain_options o = { .costs = false };
    const char **lines, *text = "";
    int32_t count;

    sql_explain(p, &o, &arena, &lines, &count);
    for (int32_t i = 0; i < count; i++)
        text = arena_printf(&arena, "%s%s%s", text, i > 0 ? " | " : "",
                            lines[i] + strspn(lines[i], " "));
    return text;
}

static void
expect(const char *sql, const char *lines)
{
    struct plan *p = plan(sql);
    const char *got = explain_text(p);

    ck_assert_msg(strcmp(got, lines) == 0, "%s:\n  %s\nnot\n  %s", sql, got, lines);
    plan_unref(p);
}

static void
expect_point(const char *sql, enum plan_point point)
{
    struct plan *p = plan(sql);

    ck_assert_msg(p->point == point, "%s: point %d", sql, p->point);
    plan_unref(p);
}

/* ---- access paths -------------------------------------------------------------------------- */

/* SQL-30: conditions on a prefix of a key become a range of it, each exactly once. */
START_TEST(test_ranges)
{
    expect("select * from t where a = 5 and b > 3",
           "Index Scan using t_pkey on t | Index Cond: (a = 5) | Filter: (b > 3)");
    expect("select * from t where 5 < a and a <= 10",
           "Index Scan using t_pkey on t | Index Cond: ((a > 5) AND (a <= 10))");
    expect("select * from u where x = 1 and y between 2 and 9",
           "Index Scan using u_pkey on u | Index Cond: ((x = 1) AND (y >= 2) AND (y <= 9))");
    expect("select * from u where y = 1", "Seq Scan on u | Filter: (y = 1)");
    expect(
        "select * from t where b = 5 and c > 'x' and d > 1",
        "Index Scan using ti on t | Index Cond: ((b = 5) AND (c > 'x'::text)) | Filter: (d > 1)");
    expect("select * from t where a in (3, 1, 2)",
           "Index Scan using t_pkey on t | Index Cond: (a = ANY (ARRAY[3, 1, 2]))");
    expect("select * from t where b is null", "Index Scan using ti on t | Index Cond: (b IS NULL)");
    expect("select * from t where a = $1 and a = $2",
           "Index Scan using t_pkey on t | Index Cond: (a = $1) | Filter: (a = $2)");
    expect("select * from t where a = 5 + 1", "Index Scan using t_pkey on t | Index Cond: (a = 6)");
    expect("select * from t where a + 1 = 5", "Seq Scan on t | Filter: ((a + 1) = 5)");
    expect("select * from t where a = b", "Seq Scan on t | Filter: (a = b)");
    expect("select * from t where a > 3 or a = 1", "Seq Scan on t | Filter: ((a > 3) OR (a = 1))");
    expect("select * from v where p = 3 and q = 'x'",
           "Index Scan using vd on v | Index Cond: ((p = 3) AND (q = 'x'::text))");
}
END_TEST

/* SQL-31: an integer of another width is a key; a value of another kind is not. */
START_TEST(test_range_types)
{
    expect("select * from t where a = 3000000000",
           "Index Scan using t_pkey on t | Index Cond: (a = 3000000000::bigint)");
    expect("select * from big where id = 5",
           "Index Scan using big_pkey on big | Index Cond: (id = 5)");
    expect("select * from t where a = 5.5", "Seq Scan on t | Filter: ((a)::numeric = 5.5)");
    expect("select * from big where s = 'abc'",
           "Index Scan using bs on big | Index Cond: (s = 'abc'::text)");
    expect("select * from t where a = random()",
           "Seq Scan on t | Filter: ((a)::double precision = random())");
}
END_TEST

START_TEST(test_order_by_key)
{
    expect("select * from t order by a", "Seq Scan on t");
    expect("select * from t order by a desc limit 3",
           "Limit | ->  Index Scan Backward using t_pkey on t");
    expect("select * from u where x = 1 order by y desc limit 1",
           "Limit | ->  Index Scan Backward using u_pkey on u | Index Cond: (x = 1)");
    expect("select * from u order by x, y desc", "Sort | Sort Key: x, y DESC | ->  Seq Scan on u");
    expect("select * from t order by b, c limit 5", "Limit | ->  Index Scan using ti on t");
    expect("select * from t order by b desc nulls last limit 5",
           "Limit | ->  Sort | Sort Key: b DESC NULLS LAST | ->  Seq Scan on t");
    expect("select * from v order by p desc limit 5", "Limit | ->  Index Scan using vd on v");
    expect("select a from t where c = 'x' order by b + 1 limit 5",
           "Limit | ->  Sort | Sort Key: (b + 1) | ->  Seq Scan on t | Filter: (c = 'x'::text)");
}
END_TEST

/* SQL-32: what the short program can run is marked. */
START_TEST(test_point)
{
    expect_point("select abalance from accounts where aid = $1", PLAN_POINT_SELECT);
    expect_point("select abalance + 1 from accounts where aid > 3 limit 5", PLAN_POINT_SELECT);
    expect_point("select abalance from accounts where bid = 3", PLAN_POINT_NONE);
    expect_point("select count(*) from accounts where aid = 3", PLAN_POINT_NONE);
    expect_point("select (select 1) from accounts where aid = 3", PLAN_POINT_NONE);
    expect_point("update accounts set abalance = abalance + $1 where aid = $2", PLAN_POINT_UPDATE);
    expect_point("update accounts set abalance = 1 where aid > 2", PLAN_POINT_NONE);
    expect_point("delete from accounts where aid = 5", PLAN_POINT_DELETE);
    expect_point("delete from u where x = 5", PLAN_POINT_NONE);
    expect_point("insert into accounts values ($1, $2, 0, '')", PLAN_POINT_INSERT);
    expect_point("insert into accounts values (1, 2), (3, 4)", PLAN_POINT_NONE);
    expect_point("select * from accounts as of scn 5 where aid = 1", PLAN_POINT_NONE);
    expect_point("select * from accounts where aid = 1 for update", PLAN_POINT_NONE);
}
END_TEST

/* ---- joins --------------------------------------------------------------------------------- */

START_TEST(test_joins)
{
    expect("select t.c, v.p from t join v on t.a = v.a where v.p = 3",
           "Nested Loop | ->  Index Scan using vd on v | Index Cond: (p = 3) | ->  Index Scan "
           "using t_pkey on t | Index Cond: (a = v.a)");
    expect("select * from v left join t on t.a = v.a",
           "Hash Left Join | Hash Cond: (v.a = t.a) | ->  Seq Scan on v | ->  Hash | ->  Seq Scan "
           "on t");
    expect("select * from t full join v on t.a = v.a",
           "Hash Full Join | Hash Cond: (t.a = v.a) | ->  Seq Scan on t | ->  Hash | ->  Seq Scan "
           "on v");
    expect("select 1 from t join big on t.a = big.id",
           "Hash Join | Hash Cond: ((t.a)::bigint = big.id) | ->  Seq Scan on t | ->  Hash | ->  "
           "Seq Scan on big");
    expect("select 1 from t, u where t.b > u.x",
           "Nested Loop | ->  Seq Scan on t | ->  Index Scan using u_pkey on u | Index Cond: (x < "
           "t.b)");
    expect("select 1 from t, u where t.b <> u.x",
           "Nested Loop | Join Filter: (t.b <> u.x) | ->  Seq Scan on t | ->  Materialize | ->  "
           "Seq Scan on u");
}
END_TEST

/* SQL-33: conditions go as far down as they may, and no further. */
START_TEST(test_outer_joins)
{
    expect("select * from t left join v on t.a = v.a and v.p = 3 where t.b = 1",
           "Hash Left Join | Hash Cond: (t.a = v.a) | ->  Index Scan using ti on t | Index Cond: "
           "(b = 1) | ->  Hash | ->  Index Scan using vd on v | Index Cond: (p = 3)");
    expect("select * from t left join v on t.a = v.a where v.q is null and t.b = 1",
           "Hash Left Join | Hash Cond: (t.a = v.a) | Filter: (v.q IS NULL) | ->  Index Scan using "
           "ti on t | Index Cond: (b = 1) | ->  Hash | ->  Seq Scan on v");
    expect(
        "select * from t left join v on t.a = v.a where v.p = 3", /* it is an inner join */
        "Nested Loop | ->  Index Scan using vd on v | Index Cond: (p = 3) | ->  Index Scan using "
        "t_pkey on t | Index Cond: (a = v.a)");
    expect("select * from t left join v on t.a = v.a and t.b = 1",
           "Hash Left Join | Hash Cond: (t.a = v.a) | Join Filter: (t.b = 1) | ->  Seq Scan on t | "
           "->  Hash | ->  Seq Scan on v");
}
END_TEST

START_TEST(test_subqueries)
{
    expect("select * from t where exists (select 1 from v where v.a = t.a and v.p = 5 and c = q)",
           "Hash Semi Join | Hash Cond: ((t.a = v.a) AND (t.c = v.q)) | ->  Seq Scan on t | ->  "
           "Hash | ->  Index Scan using vd on v | Index Cond: (p = 5)");
    expect("select * from t where not exists (select 1 from v where v.a = t.a)",
           "Hash Anti Join | Hash Cond: (t.a = v.a) | ->  Seq Scan on t | ->  Hash | ->  Seq Scan "
           "on v");
    expect("select * from t where a in (select a from v)",
           "Hash Semi Join | Hash Cond: (t.a = v.a) | ->  Seq Scan on t | ->  Hash | ->  Seq Scan "
           "on v");
    expect(
        "select * from t where b = (select max(y) from u where x = t.a)",
        "Seq Scan on t | Filter: (t.b = (SubPlan 1)) | SubPlan 1 | ->  Aggregate | ->  Index Scan "
        "using u_pkey on u | Index Cond: (x = $0)");
    expect("select * from w where n = 5",
           "Index Scan using t_pkey on t | Index Cond: (a = 5) | Filter: (b > 1)");
    expect("select * from (select b, count(*) n from t group by b) s where b = 5 and n > 2",
           "Result | Filter: (count(*) > 2) | ->  HashAggregate | Group Key: b | ->  Index Scan "
           "using ti on t | Index Cond: (b = 5)");
    expect(
        "select * from t where b = 1 or exists (select distinct y from u where x = t.a order by y)",
        "Seq Scan on t | Filter: ((t.b = 1) OR (EXISTS SubPlan 1)) | SubPlan 1 | ->  Index Scan "
        "using u_pkey on u | Index Cond: (x = $0)");
    expect("select p from t, v where t.a = v.a and exists (select 1 from u)",
           "Result | ->  Result | One-Time Filter: (EXISTS SubPlan 1) | ->  Hash Join | Hash Cond: "
           "(t.a = v.a) | ->  Seq Scan on t | ->  Hash | ->  Seq Scan on v | InitPlan 1 | ->  Seq "
           "Scan "
           "on u");
    expect("select * from (select a from t limit 3) s where a = 5",
           "Result | Filter: (a = 5) | ->  Limit | ->  Seq Scan on t");
}
END_TEST

/* NOT IN minds NULLs: its own kind of join, or a subplan. */
START_TEST(test_not_in)
{
    struct plan *p = plan("select * from t where a not in (select a from v)");

    ck_assert_int_eq(p->root->u.join.join, PLAN_JOIN_ANTI_NULL);
    ck_assert_int_eq(p->root->u.join.key_count, 1);
    plan_unref(p);
    p = plan("select * from t where a in (select x from u) or b = 1");
    ck_assert_int_eq(p->subplan_count, 1);
    ck_assert(p->subplans[0].hashable);
    ck_assert_int_eq(p->subplans[0].bind_count, 0);
    plan_unref(p);
}
END_TEST

/* SQL-34: a query two levels in that uses the outermost one's row is run again for each of them,
 * by way of the query between. */
START_TEST(test_slots_through_levels)
{
    struct plan *p = plan("select (select max((select count(*) from u where x = t.a)) from v) "
                          "from t");

    ck_assert_int_eq(p->subplan_count, 2);
    ck_assert_int_eq(p->outer_count, 1);
    ck_assert_int_eq(p->subplans[0].bind_count, 1);
    ck_assert_int_eq(p->subplans[1].bind_count, 1);
    ck_assert_int_eq(p->subplans[0].binds[0].slot, p->subplans[1].binds[0].slot);
    plan_unref(p);
}
END_TEST

START_TEST(test_lateral_and_cte)
{
    expect("select * from t, lateral (select * from v where v.a = t.a limit 1) s",
           "Nested Loop | ->  Seq Scan on t | ->  Limit | ->  Seq Scan on v | Filter: (v.a = t.a)");
    expect("with w as (select a, b from t) select * from w where a = 5",
           "Index Scan using t_pkey on t | Index Cond: (a = 5)");
    expect(
        "with w as (select a, b from t) select 1 from w x, w y where x.a = y.b",
        "Hash Join | Hash Cond: (x.a = y.b) | ->  CTE Scan on x | ->  Hash | ->  CTE Scan on y | "
        "CTE w | ->  Seq Scan on t");
    expect("select 1 union all select 2 union all select 3",
           "Append | ->  Result | ->  Result | ->  Result");
}
END_TEST

/* ---- writes -------------------------------------------------------------------------------- */

START_TEST(test_writes)
{
    struct plan *p = plan("update t set b = 1, c = 'x' where a = 5");
    const struct plan_modify *m = &p->root->u.modify;
    const struct plan_scan *s = &p->root->child[0]->u.scan;

    ck_assert_int_eq(m->index_count, 1);
    ck_assert_str_eq(m->indexes[0]->name, "ti");
    ck_assert(!m->sets_key);
    ck_assert_int_eq(m->ref_count, 0);
    ck_assert_int_eq(s->columns[m->target.key_column], PLAN_COLUMN_KEY);
    ck_assert_int_eq(s->columns[m->target.row_column], PLAN_COLUMN_ROW);
    ck_assert_ptr_nonnull(m->target.recheck);
    plan_unref(p);
    p = plan("update t set a = a + 1");
    m = &p->root->u.modify;
    ck_assert(m->sets_key);
    ck_assert_int_eq(m->index_count, 2);
    ck_assert_int_eq(m->ref_count, 1);
    plan_unref(p);
    p = plan("insert into v (a) values (1) returning q, a + 1");
    m = &p->root->u.modify;
    ck_assert_int_eq(m->value_count, 3);
    ck_assert_int_eq(m->fk_count, 1);
    ck_assert_int_eq(p->result_count, 2);
    ck_assert_int_eq(p->results[0].column_number, 3);
    ck_assert_int_eq(m->returning[0]->kind, EXPR_COLUMN);
    ck_assert_int_eq(m->returning[0]->u.index, 2);
    plan_unref(p);
    p = plan("delete from t using v where t.a = v.a and v.p = 1");
    m = &p->root->u.modify;
    ck_assert_int_eq(m->ref_count, 1);
    ck_assert_int_eq(m->index_count, 2);
    plan_unref(p);
}
END_TEST

START_TEST(test_locks)
{
    struct plan *p = plan("select c from t where b = 5 order by d for update limit 3");
    const struct plan_node *n = p->root;

    ck_assert(p->locks_rows);
    ck_assert_int_eq(n->kind, PLAN_LIMIT);
    n = n->child[0];
    ck_assert_int_eq(n->kind, PLAN_LOCK_ROWS);
    ck_assert_int_eq(n->u.lock_rows.count, 1);
    ck_assert_ptr_nonnull(n->u.lock_rows.targets[0].target.recheck);
    ck_assert_int_eq(n->child[0]->kind, PLAN_SORT);
    ck_assert_ptr_null(n->child[0]->u.sort.limit);
    plan_unref(p);
}
END_TEST

/* ---- everything --------------------------------------------------------------------------------
 */

static int
count_nodes(const struct plan_node *n, bool *seen, int32_t limit)
{
    int count = 1;

    ck_assert_int_lt(n->id, limit);
    ck_assert(!seen[n->id]);
    seen[n->id] = true;
    for (int32_t i = 0; i < n->child_count; i++)
        count += count_nodes(n->child[i], seen, limit);
    return count;
}

/* SQL-35: node numbers are dense enough to index by, and no node hangs in two places. */
static void
check_plan(const struct plan *p)
{
    bool *seen = ARENA_ARRAY(&arena, bool, p->node_count + 1);

    count_nodes(p->root, seen, p->node_count);
    for (int32_t i = 0; i < p->subplan_count; i++)
        count_nodes(p->subplans[i].root, seen, p->node_count);
    for (int32_t i = 0; i < p->cte_count; i++)
        count_nodes(p->ctes[i].root, seen, p->node_count);
    explain_text(p);
}

/* Statements put together at random from a small grammar: whatever the planner says of them, it
 * says it. */
static unsigned seed = 99;

static const char *
pick(const char *const *list, size_t count)
{
    return list[(size_t)rand_r(&seed) % count];
}
#define PICK(...)                                                                                  \
    pick((const char *const[]){ __VA_ARGS__ },                                                     \
         sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *))

static const char *random_query(int depth);

static const char *
random_value(int depth)
{
    switch (rand_r(&seed) % (depth > 0 ? 14 : 9)) {
    case 0:
        return PICK("1", "2.5", "'x'", "null", "true", "'5'");
    case 1:
        return arena_printf(&arena, "count(%s)", PICK("*", "t.a", "distinct t.b"));
    case 9:
        return arena_printf(&arena, "(%s)", random_query(depth - 1));
    case 10:
        return arena_printf(&arena, "(t.a in (%s))", random_query(depth - 1));
    case 11:
        return arena_printf(&arena, "(exists (%s))", random_query(depth - 1));
    case 12:
        return arena_printf(&arena, "(%s + %s)", random_value(depth - 1), random_value(depth - 1));
    case 13:
        return arena_printf(&arena, "coalesce(%s, %s)", random_value(depth - 1),
                            random_value(depth - 1));
    default:
        return PICK("t.a", "t.b", "a", "b", "t.h", "v.p", "p", "t.c", "t.a + 1", "x", "u.y");
    }
}

static const char *
random_condition(int depth)
{
    if (depth > 0 && rand_r(&seed) % 3 == 0)
        return arena_printf(&arena, "(%s %s %s)", random_condition(depth - 1), PICK("and", "or"),
                            random_condition(depth - 1));
    if (depth > 0 && rand_r(&seed) % 4 == 0)
        return arena_printf(&arena, "%s exists (%s)", PICK("", "not"), random_query(depth - 1));
    if (depth > 0 && rand_r(&seed) % 4 == 0)
        return arena_printf(&arena, "%s %s (%s)", random_value(0), PICK("in", "not in", "= any"),
                            random_query(depth - 1));
    return arena_printf(&arena, "%s %s %s", random_value(depth), PICK("=", "<", ">=", "<>", "="),
                        random_value(0));
}

static const char *
random_from(int depth)
{
    const char *table = PICK("t", "v", "u", "t, v", "w", "t join v on t.a = v.a",
                             "t left join v on t.a = v.a and v.p = 1", "v left join t using (a)",
                             "t full join v on t.a = v.a", "generate_series(1, 3) x");

    if (depth > 0 && rand_r(&seed) % 4 == 0)
        return arena_printf(&arena, "%s, %s (%s) s", table, PICK("", "lateral"),
                            random_query(depth - 1));
    return table;
}

static const char *
random_query(int depth)
{
    const char *q;

    if (depth > 0 && rand_r(&seed) % 6 == 0)
        return arena_printf(&arena, "%s %s %s", random_query(depth - 1),
                            PICK("union", "union all", "except", "intersect"),
                            random_query(depth - 1));
    q = arena_printf(&arena, "select %s%s%s from %s", PICK("", "", "", "distinct "),
                     PICK("*", "t.*", "t.a", random_value(depth)),
                     PICK("", "", ", t.b", ", 1 as one"), random_from(depth));
    if (rand_r(&seed) % 3 > 0)
        q = arena_printf(&arena, "%s where %s", q, random_condition(depth));
    if (rand_r(&seed) % 6 == 0)
        q = arena_printf(&arena, "%s group by %s", q, PICK("t.a", "1", "t.b, t.a"));
    if (depth == 2 && rand_r(&seed) % 3 == 0)
        q = arena_printf(&arena, "%s order by %s", q, PICK("1", "1 desc", "t.b", "a"));
    if (depth == 2 && rand_r(&seed) % 3 == 0)
        q = arena_printf(&arena, "%s limit %s", q, PICK("1", "10 offset 2", "5 for update"));
    return q;
}

START_TEST(test_random)
{
    int planned = 0;

    printf("random queries: seed %u\n", seed);
    for (int i = 0; i < 6000; i++) {
        const char *q = random_query(2);
        struct plan *p;

        if (rand_r(&seed) % 8 == 0)
            q = arena_printf(&arena, "delete from t where %s", random_condition(2));
        else if (rand_r(&seed) % 8 == 0)
            q = arena_printf(&arena, "update t set b = 1, c = 'x' where %s", random_condition(2));
        if (try_plan(q, rand_r(&seed) % 2 == 0, &p) == 0) {
            check_plan(p);
            plan_unref(p);
            planned++;
        } else {
            ck_assert_msg(diag_last()->code != ERR_INTERNAL, "%s: %s", q, diag_last()->message);
        }
        arena_reset(&arena);
    }
    printf("random queries: %d of 6000 were right\n", planned);
    ck_assert_int_gt(planned, 500);
}
END_TEST

START_TEST(test_budget)
{
    struct budget budget;
    struct plan_request r = { .text = slice_str("select a from t where a = 1"),
                              .catalog = &catalog.binder,
                              .funcs = &func_set_builtin,
                              .types = &types,
                              .budget = &budget };
    struct ast_list *list;
    struct plan *p;
    bool pinned;

    budget_init(&budget, "plans", 1 << 20, NULL);
    ck_assert_int_eq(sql_parse(&arena, r.text, &list), 0);
    r.statement = AST_CONST(ast_statement, list->item[0])->body;
    ck_assert_int_eq(sql_plan_make(&r, &p, &pinned), 0);
    ck_assert_uint_gt(atomic_load(&budget.used), 0);
    ck_assert_uint_lt(atomic_load(&budget.used), 16 << 10);
    plan_unref(plan_ref(p));
    plan_unref(p);
    ck_assert_uint_eq(atomic_load(&budget.used), 0);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("plan");
    TCase *tc = tcase_create("plan");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_ranges);
    tcase_add_test(tc, test_range_types);
    tcase_add_test(tc, test_order_by_key);
    tcase_add_test(tc, test_point);
    tcase_add_test(tc, test_joins);
    tcase_add_test(tc, test_outer_joins);
    tcase_add_test(tc, test_subqueries);
    tcase_add_test(tc, test_not_in);
    tcase_add_test(tc, test_slots_through_levels);
    tcase_add_test(tc, test_lateral_and_cte);
    tcase_add_test(tc, test_writes);
    tcase_add_test(tc, test_locks);
    tcase_add_test(tc, test_random);
    tcase_add_test(tc, test_budget);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
