/* Lexer and grammar: what is accepted, what tree comes out, what is said about the rest.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/sql/keywords.h"
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

static struct ast_list *
parse(const char *text)
{
    struct ast_list *list;
    int rc = sql_parse(&arena, slice_str(text), &list);

    ck_assert_msg(rc == 0, "%s: %s (at %d)", text, diag_last()->message, diag_last()->position);
    return list;
}

static struct ast *
parse_one(const char *text)
{
    struct ast_list *list = parse(text);

    ck_assert_msg(list->count == 1, "%s: %d statements", text, list->count);
    return AST_AS(ast_statement, list->item[0])->body;
}

static void
expect_error(const char *text, int code, int position, const char *message)
{
    struct ast_list *list;
    int rc = sql_parse(&arena, slice_str(text), &list);

    ck_assert_msg(rc == code, "%s: code %d, not %d", text, rc, code);
    ck_assert_msg(strcmp(diag_last()->message, message) == 0, "%s: %s", text, diag_last()->message);
    ck_assert_msg(diag_last()->position == position, "%s: position %d", text,
                  diag_last()->position);
}

/* ---- expressions --------------------------------------------------------------------------- */

static void
expect_expr(const char *text, const char *tree)
{
    struct ast *e = NULL;
    int rc = sql_parse_expr(&arena, slice_str(text), &e);
    const char *got;

    ck_assert_msg(rc == 0, "%s: %s", text, diag_last()->message);
    got = ast_text(&arena, e);
    ck_assert_msg(strcmp(got, tree) == 0, "%s: %s, not %s", text, got, tree);
}

/* SQL-1: operators bind as PostgreSQL's do. */
START_TEST(test_precedence)
{
    expect_expr("1 + 2 * 3 ^ 4 - 5", "(- (+ 1 (* 2 (^ 3 4))) 5)");
    expect_expr("a - b - c", "(- (- a b) c)");
    expect_expr("-a ^ 2", "(^ (- a) 2)");
    expect_expr("- 5", "-5");
    expect_expr("-9223372036854775808", "-9223372036854775808");
    expect_expr("a or b and not c = d", "(or a (and b (not (= c d))))");
    expect_expr("a and b and c or d or e", "(or (and a b c) d e)");
    expect_expr("a = b is null", "(is-null (= a b))");
    expect_expr("a < b + c || d", "(< a (|| (+ b c) d))");
    expect_expr("a || b like c", "(like (|| a b) c)");
    expect_expr("a between 1 and 2 and b", "(and (between a 1 2) b)");
    expect_expr("a not between 1 and 2 or b not in (1, 2)",
                "(or (not-between a 1 2) (not-in b( 1 2)))");
    expect_expr("not a in (1)", "(not (in a( 1)))");
    expect_expr("a is not distinct from b + 1", "(not-distinct a (+ b 1))");
    expect_expr("a::int + b::text::varchar(3)", "(+ (::int4 a) (::varchar,3 (::text b)))");
    expect_expr("-a::int", "(- (::int4 a))");
    expect_expr("a at time zone 'x' + b", "(+ (timezone 'x' a) b)");
    expect_expr("a[1].b", "(b (at a 1))");
    expect_expr("(a.b).c.d", "a.b.c.d");
    expect_expr("(f(1)).*", "(.* (f 1))");
    expect_expr("a.b.*", "a.b.*");
    expect_expr("case x when 1 then 2 else 3 end", "(case x( when 1 2)( else 3))");
    expect_expr("a operator(pg_catalog.+) b * c", "(+ a (* b c))");
    expect_expr("x = any(array[1, 2])", "(any x (array 1 2))");
    expect_expr("(1, 2) = row(a)", "(= (row 1 2) (row a))");
    expect_expr("a is true and b is not unknown", "(and (is-true a) (is-not-unknown b))");
    expect_expr("coalesce(a, 1.50)", "(coalesce a 1.50)");
}
END_TEST

START_TEST(test_sql_functions)
{
    expect_expr("extract(year from d)", "(extract 'year' d)");
    expect_expr("position('a' in b)", "(position b 'a')");
    expect_expr("substring(a from 2 for 3)", "(substring a 2 3)");
    expect_expr("substring(a for 3)", "(substring a 1 3)");
    expect_expr("trim(both 'x' from y)", "(btrim y 'x')");
    expect_expr("trim(leading from y)", "(ltrim y)");
    expect_expr("overlay(a placing b from 1)", "(overlay a b 1)");
    expect_expr("date '2020-01-01'", "(::date '2020-01-01')");
    expect_expr("timestamp(3) with time zone 'x'", "(::timestamptz,3 'x')");
    expect_expr("numeric(4,2) '1'", "(::numeric,4,2 '1')");
    expect_expr("char 'abc'", "(::bpchar 'abc')");
    expect_expr("interval '1 day'", "(::interval '1 day')");
    expect_expr("cast(a as double precision)", "(::float8 a)");
    expect_expr("a::int[][]", "(::int4[][] a)");
}
END_TEST

START_TEST(test_literals)
{
    expect_expr("'it''s'", "'it's'");
    expect_expr("E'a\\nb\\'\\x41\\101\\u00e9\\\\'", "'a\nb'AA\xc3\xa9\\'");
    expect_expr("U&'d\\0061t\\+000061'", "'data'");
    expect_expr("U&'d!0061' uescape '!'", "'da'");
    expect_expr("U&'\\D83D\\DE00'", "'\xf0\x9f\x98\x80'");
    expect_expr("$$a 'b'$$", "'a 'b''");
    expect_expr("$t$a $$ $x$ b$t$", "'a $$ $x$ b'");
    expect_expr("'a'  -- it's a comment\n 'b'", "'ab'");
    expect_expr("'a\\'", "'a\\'");
    expect_expr("\"A \"\"b\"\"\"", "A \"b\"");
    expect_expr("FooBar", "foobar");
    expect_expr("1.", "1.");
    expect_expr(".5e-3", ".5e-3");
    expect_expr("99999999999999999999", "99999999999999999999");
    expect_expr("a/*x/*y*/*/+/**/b--c", "(+ a b)");
    expect_expr("1+-2", "(+ 1 -2)");
    expect_expr("a*-b", "(* a (- b))");
    expect_expr("a <>-1", "(<> a -1)");
    expect_expr("a !=-1", "(!=- a 1)");
}
END_TEST

/* ---- statements ---------------------------------------------------------------------------- */

START_TEST(test_statements_have_places)
{
    const char *text = " select 1 ; ;\n update t set a = 2;";
    struct ast_list *l = parse(text);
    const struct ast_statement *s;

    ck_assert_int_eq(l->count, 2);
    s = AST_CONST(ast_statement, l->item[1]);
    ck_assert_int_eq(s->body->kind, AST_UPDATE);
    ck_assert_int_eq(s->node.at, (int)(strstr(text, "update") - text));
    ck_assert_int_eq(s->end, (int)(strrchr(text, ';') - text));
    ck_assert_int_eq(parse("")->count, 0);
    ck_assert_int_eq(parse(" ; -- x\n ;")->count, 0);
}
END_TEST

START_TEST(test_as_of)
{
    const struct ast_select *s;
    const struct ast_table *t;

    s = AST_CONST(ast_select, parse_one("select * from a as of scn $1 + 1 as x, b as of timestamp "
                                        "now() - interval '1 hour' y, c as of, d of where true"));
    ck_assert_int_eq(s->from->count, 4);
    t = AST_CONST(ast_table, s->from->item[0]);
    ck_assert_int_eq(t->as_of, AST_AS_OF_SCN);
    ck_assert_str_eq(ast_text(&arena, t->as_of_value), "(+ $1 1)");
    ck_assert_str_eq(t->alias.name, "x");
    t = AST_CONST(ast_table, s->from->item[1]);
    ck_assert_int_eq(t->as_of, AST_AS_OF_TIMESTAMP);
    ck_assert_str_eq(t->alias.name, "y");
    t = AST_CONST(ast_table, s->from->item[2]);
    ck_assert_int_eq(t->as_of, AST_AS_OF_NONE);
    ck_assert_str_eq(t->alias.name, "of");
}
END_TEST

START_TEST(test_select_parts)
{
    const struct ast_select *s = AST_CONST(
        ast_select, parse_one("with w as (select 1) select distinct on (a) b as c, d e, * from t "
                              "where x group by y having z union all select 1 order by 1 desc "
                              "nulls first limit 5 offset $1 for update of t nowait"));
    const struct ast_sort *sort;
    const struct ast_locking *lock;

    ck_assert_int_eq(s->set_op, AST_SETOP_UNION);
    ck_assert(s->set_all);
    ck_assert_int_eq(ast_count(s->with->ctes), 1);
    sort = AST_CONST(ast_sort, s->order_by->item[0]);
    ck_assert_int_eq(sort->dir, AST_SORT_DESC);
    ck_assert_int_eq(sort->nulls, AST_NULLS_FIRST);
    ck_assert_str_eq(ast_text(&arena, s->limit), "5");
    ck_assert_str_eq(ast_text(&arena, s->offset), "$1");
    lock = AST_CONST(ast_locking, s->locking->item[0]);
    ck_assert_int_eq(lock->strength, AST_LOCK_UPDATE);
    ck_assert_int_eq(lock->wait, AST_LOCK_NOWAIT);
    s = s->left;
    ck_assert(s->distinct);
    ck_assert_int_eq(ast_count(s->targets), 3);
    ck_assert_str_eq(AST_CONST(ast_target, s->targets->item[0])->name, "c");
    ck_assert_str_eq(AST_CONST(ast_target, s->targets->item[1])->name, "e");
    ck_assert(s->where != NULL && s->having != NULL && ast_count(s->group_by) == 1);
}
END_TEST

START_TEST(test_joins)
{
    const struct ast_select *s = AST_CONST(
        ast_select, parse_one("select 1 from a left join b join c using (x) on true cross join d"));
    const struct ast_join *j = AST_CONST(ast_join, s->from->item[0]);

    ck_assert_int_eq(j->join, AST_JOIN_INNER);
    ck_assert(j->on == NULL);
    j = AST_CONST(ast_join, j->left);
    ck_assert_int_eq(j->join, AST_JOIN_LEFT);
    j = AST_CONST(ast_join, j->right);
    ck_assert_int_eq(ast_count(j->using_columns), 1);
}
END_TEST

START_TEST(test_create_table)
{
    const char *text = "create table if not exists s.t (a bigserial primary key, b varchar(10) "
                       "constraint nn not null default 'x' || 'y' references u (c) on delete "
                       "cascade deferrable, constraint uq unique (a, b)) with (fillfactor=70)";
    const struct ast_create_table *t = AST_CONST(ast_create_table, parse_one(text));
    const struct ast_column_def *c;
    const struct ast_constraint *k;

    ck_assert(t->if_not_exists);
    ck_assert_str_eq(t->relation->schema, "s");
    ck_assert_int_eq(ast_count(t->elements), 3);
    c = AST_CONST(ast_column_def, t->elements->item[0]);
    ck_assert(c->type->is_serial);
    ck_assert_str_eq(c->type->name, "int8");
    c = AST_CONST(ast_column_def, t->elements->item[1]);
    ck_assert_int_eq(ast_count(c->constraints), 3);
    k = AST_CONST(ast_constraint, c->constraints->item[0]);
    ck_assert_str_eq(k->name, "nn");
    k = AST_CONST(ast_constraint, c->constraints->item[1]);
    ck_assert_int_eq(k->constraint, AST_CON_DEFAULT);
    ck_assert_mem_eq(text + k->expr_at, "'x' || 'y' ", 11);
    ck_assert_int_eq(k->expr_end - k->expr_at, 10);
    k = AST_CONST(ast_constraint, c->constraints->item[2]);
    ck_assert_int_eq(k->on_delete, AST_FK_CASCADE);
    ck_assert(k->deferrable);
    k = AST_CONST(ast_constraint, t->elements->item[2]);
    ck_assert_int_eq(k->constraint, AST_CON_UNIQUE);
    ck_assert_str_eq(k->name, "uq");
    ck_assert_str_eq(AST_CONST(ast_option, t->options->item[0])->name, "fillfactor");
}
END_TEST

/* What pgbench, psql and drivers send. */
START_TEST(test_client_statements)
{
    static const char *const texts[] = {
        "drop table if exists pgbench_accounts, pgbench_branches, pgbench_history",
        "create table pgbench_history(tid int,bid int,aid    int,delta int,mtime timestamp,filler "
        "char(22))",
        "create table pgbench_accounts(aid    int not null,bid int,abalance int,filler char(84)) "
        "with (fillfactor=100)",
        "truncate table pgbench_accounts, pgbench_branches, pgbench_history, pgbench_tellers",
        "insert into pgbench_branches(bid,bbalance) values(1,0)",
        "insert into pgbench_tellers(tid,bid,tbalance) select tid, (tid - 1) / 10 + 1, 0 from "
        "generate_series(1, 10) as tid",
        "copy pgbench_accounts from stdin with (freeze on)",
        "vacuum analyze pgbench_branches",
        "alter table pgbench_branches add primary key (bid)",
        "alter table pgbench_tellers add constraint pgbench_tellers_bid_fkey foreign key (bid) "
        "references pgbench_branches",
        "UPDATE pgbench_accounts SET abalance = abalance + -123 WHERE aid = 45;",
        "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 2, 3, -4, "
        "CURRENT_TIMESTAMP);",
        "select o.n, p.partstrat, pg_catalog.count(i.inhparent) from pg_catalog.pg_class as c join "
        "pg_catalog.pg_namespace as n on (n.oid = c.relnamespace) cross join lateral (select "
        "pg_catalog.array_position(pg_catalog.current_schemas(true), n.nspname)) as o(n) left join "
        "pg_catalog.pg_partitioned_table as p on (p.partrelid = c.oid) left join "
        "pg_catalog.pg_inherits as i on (c.oid = i.inhparent) where c.relname = 'pgbench_accounts' "
        "and o.n is not null group by 1, 2 order by 1 asc limit 1",
        "SELECT c.oid,\n  n.nspname,\n  c.relname\nFROM pg_catalog.pg_class c\n     LEFT JOIN "
        "pg_catalog.pg_namespace n ON n.oid = c.relnamespace\nWHERE c.relname "
        "OPERATOR(pg_catalog.~)"
        " '^(t)$' COLLATE pg_catalog.default\n  AND pg_catalog.pg_table_is_visible(c.oid)\nORDER BY"
        " 2, 3;",
        "SELECT a.attname,\n  pg_catalog.format_type(a.atttypid, a.atttypmod),\n  (SELECT "
        "pg_catalog.pg_get_expr(d.adbin, d.adrelid, true)\n   FROM pg_catalog.pg_attrdef d\n   "
        "WHERE"
        " d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef),\n  a.attnotnull,\n  "
        "(SELECT"
        " c.collname FROM pg_catalog.pg_collation c, pg_catalog.pg_type t\n   WHERE c.oid = "
        "a.attcollation AND t.oid = a.atttypid AND a.attcollation <> t.typcollation) AS "
        "attcollation,\n  a.attidentity,\n  a.attgenerated\nFROM pg_catalog.pg_attribute a\nWHERE "
        "a.attrelid = '16384' AND a.attnum > 0 AND NOT a.attisdropped\nORDER BY a.attnum;",
        "SELECT n.nspname as \"Schema\", CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' "
        "END as \"Type\" FROM pg_catalog.pg_class c WHERE c.relkind IN ('r','p','') AND n.nspname "
        "!~ '^pg_toast' ORDER BY 1,2;",
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
        "SET datestyle TO 'ISO'",
        "DEALLOCATE ALL",
        "DISCARD ALL",
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        parse_one(texts[i]);
}
END_TEST

/* ---- errors -------------------------------------------------------------------------------- */

/* SQL-2: a syntax error names the token and its character position as PostgreSQL does. */
START_TEST(test_syntax_errors)
{
    int s = ERR_SYNTAX;

    expect_error("selct 1", s, 1, "syntax error at or near \"selct\"");
    expect_error("select * form t", s, 10, "syntax error at or near \"form\"");
    expect_error("select * from t where", s, 22, "syntax error at end of input");
    expect_error("select 1)", s, 9, "syntax error at or near \")\"");
    expect_error("select \xc3\xa9, '\xc3\xbc' from from", s, 20,
                 "syntax error at or near \"from\"");
    expect_error("select 'abc", s, 8, "unterminated quoted string at or near \"'abc\"");
    expect_error("select \"abc", s, 8, "unterminated quoted identifier at or near \"\"abc\"");
    expect_error("select \"\"", s, 8, "zero-length delimited identifier at or near \"\"\"\"");
    expect_error("select 1 /* x", s, 10, "unterminated /* comment at or near \"/* x\"");
    expect_error("select $$x", s, 8, "unterminated dollar-quoted string at or near \"$$x\"");
    expect_error("select 123abc", s, 8,
                 "trailing junk after numeric literal at or near \"123abc\"");
    expect_error("select $1a", s, 8, "trailing junk after parameter at or near \"$1a\"");
    expect_error("select a = b = c", s, 14, "syntax error at or near \"=\"");
    expect_error("select 'a' 'b'", s, 12, "syntax error at or near \"'b'\"");
    expect_error("select 1 limit 1 limit 2", s, 18, "syntax error at or near \"limit\"");
    expect_error("select * from t limit 1, 2", s, 17, "LIMIT #,# syntax is not supported");
    expect_error("select * from (select 1)", s, 15, "subquery in FROM must have an alias");
    expect_error("(select 1 limit 1) limit 2", s, 26, "multiple LIMIT clauses not allowed");
    expect_error("create table select (a int)", s, 14, "syntax error at or near \"select\"");
    expect_error("select \x01", s, 8, "syntax error at or near \"\x01\"");
}
END_TEST

/* SQL-3: what PostgreSQL has and we do not is said to be that. */
START_TEST(test_unsupported)
{
    int n = ERR_NOT_SUPPORTED;

    expect_error("grant select on t to u", n, 1, "GRANT is not supported");
    expect_error("select 1; create function f() returns int", n, 11,
                 "CREATE FUNCTION is not supported");
    expect_error("create table t (a int) partition by range (a)", n, 24,
                 "partitioning is not supported");
    expect_error("select sum(x) over (order by y) from t", n, 15,
                 "window functions are not supported");
    expect_error("select b'1'", n, 8, "bit strings are not supported");
    expect_error("select f(a => 1)", n, 10, "named arguments are not supported");
    expect_error("select 1 into t", n, 10, "SELECT INTO is not supported");
}
END_TEST

/* SQL-4: depth is limited by the parser, not by the stack. */
START_TEST(test_depth)
{
    static const struct {
        const char *head, *open, *middle, *close;
    } forms[] = {
        { "select ", "(", "1", ")" },        { "", "(", "select 1", ")" },
        { "select ", "- ", "a", "" },        { "select ", "not ", "a", "" },
        { "select ", "f(", "1", ")" },       { "select ", "case when ", "a", " then 1 end" },
        { "select ", "array[", "1", "]" },   { "select * from ", "(", "t", " join t on true)" },
        { "select ", "(select ", "1", ")" }, { "select 1 ", "/*", "", "*/" },
    };

    for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
        int depth = 100000;
        size_t size = 64 + (size_t)depth * (strlen(forms[f].open) + strlen(forms[f].close));
        char *text = calloc(1, size), *at = text;
        struct ast_list *list;
        int rc;

        at = stpcpy(at, forms[f].head);
        for (int i = 0; i < depth; i++)
            at = stpcpy(at, forms[f].open);
        at = stpcpy(at, forms[f].middle);
        for (int i = 0; i < depth; i++)
            at = stpcpy(at, forms[f].close);
        rc = sql_parse(&arena, slice_str(text), &list);
        if (f + 1 < sizeof forms / sizeof forms[0])
            ck_assert_msg(rc == ERR_TOO_COMPLEX, "form %zu: %d %s", f, rc, diag_last()->message);
        else
            ck_assert_int_eq(rc, 0);
        free(text);
        arena_reset(&arena);
    }
}
END_TEST

/* SQL-5: the statement's memory is charged to its budget. */
START_TEST(test_budget)
{
    struct budget budget;
    struct arena small;
    struct ast_list *list;
    size_t n = 400000;
    char *text = malloc(n * 2 + 16), *at;

    budget_init(&budget, "query memory", 4 << 20, NULL);
    arena_init(&small, &budget);
    at = stpcpy(text, "select 1");
    for (size_t i = 0; i < n; i++)
        at = stpcpy(at, ",1");
    ck_assert_int_eq(sql_parse(&small, slice_str(text), &list), ERR_NOMEM);
    ck_assert_uint_lt(atomic_load(&budget.used), 8 << 20);
    arena_fini(&small);
    free(text);
}
END_TEST

/* ---- keywords ------------------------------------------------------------------------------ */

static bool
parses(const char *format, const char *word)
{
    char text[200];
    struct ast_list *list;

    snprintf(text, sizeof text, format, word);
    return sql_parse(&arena, slice_str(text), &list) == 0;
}

/* SQL-6: the lists in grammar.y are those of keywords.h. */
START_TEST(test_keyword_classes)
{
    static const struct {
        const char *word;
        int class;
        bool bare;
    } all[] = {
#define ROW(word, token, class, bare) { #word, KEYWORD_##class, bare },
        KEYWORD_LIST(ROW)
#undef ROW
    };

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        const char *w = all[i].word;
        bool column = all[i].class == KEYWORD_UNRESERVED || all[i].class == KEYWORD_COL_NAME;

        ck_assert_msg(i == 0 || strcmp(all[i - 1].word, w) < 0, "%s is out of order", w);
        ck_assert_msg(parses("select 1 as %s", w), "%s as a label", w);
        ck_assert_msg(parses("create table %s (a int)", w) == column, "%s as a table", w);
        ck_assert_msg(parses("select %s from t", w) || !column, "%s as a column", w);
        if (strcmp(w, "isnull") != 0 && strcmp(w, "notnull") != 0) /* these are operators there */
            ck_assert_msg(parses("select 1 %s from t", w) == all[i].bare, "%s bare", w);
        ck_assert_msg(sql_word_is_reserved(w) == (all[i].class == KEYWORD_RESERVED), "%s", w);
    }
    ck_assert(parses("select name, type, value, key, %s from t", "data"));
    ck_assert_str_eq(sql_quote_ident(&arena, "abc_1"), "abc_1");
    ck_assert_str_eq(sql_quote_ident(&arena, "Abc"), "\"Abc\"");
    ck_assert_str_eq(sql_quote_ident(&arena, "select"), "\"select\"");
    ck_assert_str_eq(sql_quote_ident(&arena, "a\"b"), "\"a\"\"b\"");
}
END_TEST

START_TEST(test_long_names_are_cut)
{
    const char *text =
        "select abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghij\xc3\xa9"
        "xyz";
    const struct ast_select *s = AST_CONST(ast_select, parse_one(text));
    const struct ast_column *c =
        AST_CONST(ast_column, AST_CONST(ast_target, s->targets->item[0])->value);

    ck_assert_uint_eq(strlen(c->part[0]), 62);
}
END_TEST

/* ---- noise --------------------------------------------------------------------------------- */

static const char *const soup[] = {
#define WORD(word, token, class, bare) #word,
    KEYWORD_LIST(WORD)
#undef WORD
        "a",
    "b",
    "t",
    "x.y",
    "1",
    "2.5",
    "'s'",
    "$1",
    "(",
    ")",
    ",",
    ".",
    "*",
    "=",
    "<>",
    "::",
    "+",
    "-",
    "||",
    "[",
    "]",
    ";",
    ":",
    "\"q\"",
    "int",
    "of",
    "scn",
    "/*",
    "*/",
    "--",
    "\n",
    "$$",
    "E'",
    "'",
    "\"",
    "(",
    ")",
    ",",
    "select",
    "from",
    "t",
    "where",
    "a",
    "=",
    "1",
};

/* SQL-7: any text gives a tree or an error. */
START_TEST(test_token_soup)
{
    unsigned seed = 20240607;
    size_t words = sizeof soup / sizeof soup[0];

    printf("token soup: seed %u\n", seed);
    for (int round = 0; round < 20000; round++) {
        char text[1024];
        size_t n = 0;
        int count = 1 + rand_r(&seed) % 25;
        struct ast_list *list;

        for (int i = 0; i < count && n + 40 < sizeof text; i++)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s",
                                  soup[(size_t)rand_r(&seed) % words],
                                  rand_r(&seed) % 8 == 0 ? "" : " ");
        if (sql_parse(&arena, slice(text, n), &list) != 0) {
            ck_assert_int_ne(diag_last()->code, 0);
            ck_assert_int_le(diag_last()->position, (int)n + 1);
        }
        arena_reset(&arena);
    }
}
END_TEST

START_TEST(test_byte_soup)
{
    static const char base[] = "select a, 'it''s', E'x\\u0041', \"Q\", $1, $t$x$t$, 1.5e3 /* c */ "
                               "from t where b <> U&'\\0061' and c between 1 and 2 -- end";
    unsigned seed = 4711;

    printf("byte soup: seed %u\n", seed);
    for (int round = 0; round < 20000; round++) {
        char text[sizeof base];
        struct ast_list *list;
        size_t size = sizeof base - 1;

        memcpy(text, base, sizeof base);
        for (int i = rand_r(&seed) % 4; i >= 0; i--)
            text[(size_t)rand_r(&seed) % size] =
                rand_r(&seed) % 3 == 0 ? (char)rand_r(&seed) : "'\"$\\/*-e(.[;"[rand_r(&seed) % 12];
        if (rand_r(&seed) % 4 == 0)
            size = (size_t)rand_r(&seed) % size;
        if (sql_parse(&arena, slice(text, size), &list) != 0)
            ck_assert_int_ne(diag_last()->code, 0);
        arena_reset(&arena);
    }
}
END_TEST

/* ---- real inputs --------------------------------------------------------------------------- */

static char *
read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    char *text;

    ck_assert_msg(f != NULL, "cannot open %s", path);
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    text = malloc(*size + 1);
    ck_assert_uint_eq(fread(text, 1, *size, f), *size);
    text[*size] = '\0';
    for (char *from = text, *to = text; (*to = *from) != '\0'; from++)
        to += *from != '\r';
    fclose(f);
    return text;
}

static const char *
shared_data(void)
{
    const char *path = getenv("REDOUBT_SHARED_DATA");

    if (path == NULL)
        printf("SKIPPED: parsing of real inputs: REDOUBT_SHARED_DATA is not set\n");
    return path;
}

START_TEST(test_chinook)
{
    char path[500], *text;
    size_t size;

    if (shared_data() == NULL)
        return;
    snprintf(path, sizeof path, "%s/chinook_postgresql.sql", shared_data());
    text = read_file(path, &size);
    for (char *line = text; line != NULL; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (line[0] == '\\') /* psql's own commands */
            memset(line, ' ', strcspn(line, "\n"));
    ck_assert_int_gt(parse(text)->count, 50);
    free(text);
}
END_TEST

/* One record of a .test file, in place: "statement ok" or "query ...", then SQL up to ---- or a
 * blank line. Returns whether it is for PostgreSQL and is to succeed. */
static bool
slt_record(char **at, char **sql)
{
    bool ours = true, statement = false;
    char *line, *next;

    for (;; *at = next) {
        line = *at;
        if (*line == '\0')
            return false;
        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        else
            next = line + strlen(line);
        if (strncmp(line, "onlyif ", 7) == 0)
            ours = ours && strncmp(line + 7, "postgresql", 10) == 0;
        else if (strncmp(line, "skipif ", 7) == 0)
            ours = ours && strncmp(line + 7, "postgresql", 10) != 0;
        else if (ours && strcmp(line, "halt") == 0)
            next = line + strlen(line) + strlen(next) + 1;
        else if (strncmp(line, "statement ", 10) == 0 || strncmp(line, "query ", 6) == 0)
            statement = true;
        else if (line[0] != '#')
            ours = true;
        if (statement)
            break;
    }
    ours = ours && strncmp(line, "statement error", 15) != 0;
    *at = *sql = next;
    while (**at != '\0') {
        size_t n = strcspn(*at, "\n");
        bool end = n == 0 || strncmp(*at, "----", 4) == 0;

        if (end)
            **at = '\0';
        *at += n + (end && n == 0 ? 1 : (*at)[n] != '\0');
        if (end)
            break;
    }
    return ours;
}

START_TEST(test_sqllogictest)
{
    char path[500];
    DIR *dir;
    struct dirent *entry;
    int count = 0;

    if (shared_data() == NULL)
        return;
    snprintf(path, sizeof path, "%s/slt", shared_data());
    dir = opendir(path);
    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir)) != NULL) {
        char *text, *at, *sql;
        size_t size;

        if (strstr(entry->d_name, ".test") == NULL)
            continue;
        snprintf(path, sizeof path, "%s/slt/%s", shared_data(), entry->d_name);
        at = text = read_file(path, &size);
        while (*at != '\0')
            if (slt_record(&at, &sql)) {
                parse(sql);
                arena_reset(&arena);
                count++;
            }
        free(text);
    }
    closedir(dir);
    printf("sqllogictest: %d statements parsed\n", count);
    ck_assert_int_gt(count, 1000);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("parse");
    TCase *tc = tcase_create("parse");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_precedence);
    tcase_add_test(tc, test_sql_functions);
    tcase_add_test(tc, test_literals);
    tcase_add_test(tc, test_statements_have_places);
    tcase_add_test(tc, test_as_of);
    tcase_add_test(tc, test_select_parts);
    tcase_add_test(tc, test_joins);
    tcase_add_test(tc, test_create_table);
    tcase_add_test(tc, test_client_statements);
    tcase_add_test(tc, test_syntax_errors);
    tcase_add_test(tc, test_unsupported);
    tcase_add_test(tc, test_depth);
    tcase_add_test(tc, test_budget);
    tcase_add_test(tc, test_keyword_classes);
    tcase_add_test(tc, test_long_names_are_cut);
    tcase_add_test(tc, test_token_soup);
    tcase_add_test(tc, test_byte_soup);
    tcase_add_test(tc, test_chinook);
    tcase_add_test(tc, test_sqllogictest);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
