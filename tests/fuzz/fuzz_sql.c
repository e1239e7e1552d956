/* SQL texts: lexed, normalized, parsed, bound over tables without an engine, planned.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/utf8.h"
#include "engine/sql/bind.h"
#include "engine/sql/planner.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/fake_catalog.h"

static const char schema[] =
    "create table t (a int primary key, b int, c text, d numeric(10,2), e varchar(5), f timestamp, "
    "g boolean default true, h bigint, i float8, j date, k char(4), l timestamptz default now(), "
    "m smallint); create table u (x int, y int, z text, primary key (x, y)); "
    "create table v (a int references t, p int, q text not null default 'zz'); "
    "create index ti on t (b, c); create unique index tu on t (h); "
    "create view w as select a as n, c from t where b > 1";

static struct fake_catalog *
tables(void)
{
    static struct fake_catalog catalog;
    static struct arena arena;

    if (catalog.arena == NULL) {
        arena_init(&arena, NULL);
        fake_catalog_init(&catalog, &arena);
        fake_catalog_run(&catalog, schema);
    }
    return &catalog;
}

static void
plan_one(struct arena *a, struct slice text, const struct sql_normal *normal,
         const struct ast *statement)
{
    static const struct type_env types;
    struct plan_request r = { .text = text,
                              .catalog = &tables()->binder,
                              .funcs = &func_set_builtin,
                              .types = &types,
                              .normal = normal,
                              .statement = statement };
    struct plan *p = NULL;
    bool pinned;

    (void)a;
    if (sql_plan_make(&r, &p, &pinned) == 0)
        plan_unref(p);
}

static bool
can_be_planned(const struct ast *body)
{
    return body->kind == AST_SELECT || body->kind == AST_INSERT || body->kind == AST_UPDATE ||
           body->kind == AST_DELETE;
}

static void
run_sql(struct slice in)
{
    struct budget budget;
    struct sql_normal normal;
    struct ast_list *list;
    struct ast *expr;
    struct arena a;
    int lexed;

    if (memchr(in.data != NULL ? in.data : (const void *)"", 0, in.size) != NULL ||
        utf8_check(in.data, in.size) != 0)
        return; /* checked at the wire */
    budget_init(&budget, "fuzz", 64 << 20, NULL);
    arena_init(&a, &budget);
    lexed = sql_normalize(&a, in, &normal);
    if (sql_parse(&a, in, &list) == 0) {
        CHECK(lexed == 0);
        for (int32_t i = 0; i < list->count && i < 8; i++) {
            const struct ast *body = AST_CONST(ast_statement, list->item[i])->body;

            if (can_be_planned(body))
                plan_one(&a, in, NULL, body);
        }
        if (normal.cacheable) {
            CHECK(list->count == 1 && sql_parse_lifted(&a, in, &normal, &list) == 0);
            plan_one(&a, in, &normal, AST_CONST(ast_statement, list->item[0])->body);
        }
    }
    (void)!sql_parse_expr(&a, in, &expr);
    arena_fini(&a);
}

static void
seed_sql(struct fuzz_seeds *to)
{
    static const char *const texts[] = {
        "select a, b + 1, c || 'x' from t where a = 1 and b in (1, 2, 3) order by 2 desc limit 5",
        "select distinct t.b, count(*), sum(d) filter (where a > 2) from t join u on t.a = u.x "
        "left join v using (a) group by 1 having count(*) > 1",
        "select * from (select x, max(y) from u group by x) s(m, n) where m in (select a from t)",
        "with q as (select a from t) select * from q union all select x from u except values (1)",
        "insert into t (a, b, c) values (1, 2, default), (3, $1, E'\\n''x') returning *",
        "insert into v select a, b, c from t on conflict do nothing",
        "update t set b = b + 1, (c, d) = ('x', 1.5e3) where a between $1 and $2",
        "delete from u using t where u.x = t.a and t.c like 'a%' or exists (select 1 from v)",
        "create table n (a int primary key, b numeric(8,2) default 1.5 check (b > 0), c char(3) "
        "not null unique, foreign key (a) references t (a) on delete cascade)",
        "alter table t add column n int not null default 0, drop column c; drop table if exists u",
        "create unique index concurrently i on t (a desc nulls last, lower(c)) with (fillfactor=9)",
        "begin isolation level repeatable read read only; savepoint a; rollback to a; commit",
        "copy t (a, b) from stdin with (format text, freeze, delimiter '|'); truncate t, u cascade",
        "select case when a > 1 then 'x' else null end, cast(b as text), c::varchar(3), -a, not g, "
        "extract(year from f), interval '1 day', date '2020-01-01', array[1, 2], a is null from t",
        "select * from t as of scn 12; select * from t as of timestamp '2020-01-01' where a = 1",
        "select $$dollar$$, $t$x$t$, U&'\\0041', b'101', x'1f', 1e10, .5, \"q\"\"x\" /* c /* n */ "
        "*/",
        "explain (analyze, costs off) select 1; set search_path to a, b; show all; discard all",
        "select generate_series(1, 10), coalesce(a, 1), nullif(a, 2), greatest(a, b) from t for "
        "update of t nowait",
        "declare c cursor for select 1; fetch forward 10 from c; prepare p(int) as select $1; "
        "execute p(1); deallocate all",
        "grant select on t to public; create role r login password 'x'; vacuum analyze t; "
        "select ((((((((1)))))))) from t, u, v where (a, b) = (1, 2) and a = any ($1)",
        "select n from w where n > 1 and n::text ~ '^[0-9]+$' order by n collate \"C\" using <",
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        fuzz_seed_text(to, texts[i]);
}

const struct fuzz_target fuzz_sql = { "sql", run_sql, seed_sql };
