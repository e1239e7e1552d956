/* The executor against a model that keeps rows in arrays: filters, joins, groups, sorting, limits,
 * sets, writes, over tables of several batches. The seed is printed; EXECUTOR_SEED sets it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/sql_rig.h"

static struct sql_rig rig;
static struct rig_client client;
static uint64_t rng;

enum { ROWS_MAX = 4000, NONE = -1000000 };

/* Rows of t (id, g, v, w): w is null where it is NONE. */
struct row {
    int id, g, v, w;
    bool live;
};
static struct row rows[ROWS_MAX];
static int row_count;

static uint32_t
draw(uint32_t below)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)(rng >> 20) % below;
}

static void
setup(void)
{
    const char *given = getenv("EXECUTOR_SEED");

    rng = given != NULL ? strtoull(given, NULL, 10) : 20261123;
    printf("EXECUTOR_SEED=%" PRIu64 "\n", rng);
    sql_rig_start(&rig);
    rig_connect(&rig, &client);
}

static void
setup_small(void)
{
    rng = 1;
    sql_rig_start_small(&rig, 4u << 20);
    rig_connect(&rig, &client);
}

static void
teardown(void)
{
    sql_rig_stop(&rig);
}

/* One row of one number, or of several with | between. */
static void
gives(const char *want, const char *fmt, ...)
{
    char text[2000];
    const char *got;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    got = rig_rows(&client, text);
    ck_assert_msg(strcmp(got, want) == 0, "%s\n got  %s\n want %s", text, got, want);
}

static void
fill(int count)
{
    char text[40000];

    rig_run(&client, "CREATE TABLE t (id int PRIMARY KEY, g int NOT NULL, v int NOT NULL, w int)");
    rig_run(&client, "CREATE INDEX t_g ON t (g, v DESC)");
    row_count = count;
    for (int i = 0; i < count;) {
        int n = snprintf(text, sizeof text, "INSERT INTO t VALUES ");

        for (int k = 0; k < 500 && i < count; k++, i++) {
            struct row *r = &rows[i];
            bool null = draw(5) == 0;

            *r = (struct row){ i, (int)draw(40), (int)draw(1000) - 500,
                               null ? NONE : (int)draw(100), true };
            n += snprintf(text + n, sizeof text - (size_t)n,
                          k > 0 ? ", (%d, %d, %d, " : "(%d, %d, %d, ", r->id, r->g, r->v);
            n += null ? snprintf(text + n, sizeof text - (size_t)n, "NULL)")
                      : snprintf(text + n, sizeof text - (size_t)n, "%d)", r->w);
        }
        rig_run(&client, text);
    }
}

/* ---- conditions -------------------------------------------------------------------------------
 */

struct condition {
    int kind, x, y;
};

static struct condition
condition_draw(char text[100])
{
    struct condition c = { (int)draw(7), (int)draw(40), (int)draw(ROWS_MAX) };

    switch (c.kind) {
    case 0:
        snprintf(text, 100, "g = %d", c.x);
        break;
    case 1:
        snprintf(text, 100, "w IS NULL OR w > %d", c.x);
        break;
    case 2:
        snprintf(text, 100, "id BETWEEN %d AND %d", c.y, c.y + 300);
        break;
    case 3:
        snprintf(text, 100, "g IN (%d, %d) AND v < 0", c.x, c.x + 1);
        break;
    case 4:
        snprintf(text, 100, "NOT w > %d", c.x);
        break;
    case 5:
        snprintf(text, 100, "g = %d AND v > %d", c.x, c.x - 20);
        break;
    default:
        snprintf(text, 100, "%d BETWEEN w AND v", c.x);
    }
    return c;
}

static bool
condition_holds(const struct condition *c, const struct row *r)
{
    switch (c->kind) {
    case 0:
        return r->g == c->x;
    case 1:
        return r->w == NONE || r->w > c->x;
    case 2:
        return r->id >= c->y && r->id <= c->y + 300;
    case 3:
        return (r->g == c->x || r->g == c->x + 1) && r->v < 0;
    case 4:
        return r->w != NONE && r->w <= c->x;
    case 5:
        return r->g == c->x && r->v > c->x - 20;
    default:
        return r->w != NONE && r->w <= c->x && c->x <= r->v;
    }
}

/* ---- reading -----------------------------------------------------------------------------------
 */

static void
check_filter(void)
{
    char text[100], want[100];
    struct condition c = condition_draw(text);
    int64_t sum = 0;
    int count = 0;

    for (int i = 0; i < row_count; i++) {
        if (rows[i].live && condition_holds(&c, &rows[i])) {
            count++;
            sum += rows[i].v;
        }
    }
    snprintf(want, sizeof want, "%d|%" PRId64, count, sum);
    gives(want, "SELECT count(*), coalesce(sum(v), 0) FROM t WHERE %s", text);
    snprintf(want, sizeof want, "%d", count);
    gives(want, "SELECT count(*) FROM (SELECT DISTINCT id, v FROM t WHERE %s) q", text);
    gives(want, "SELECT count(*) FROM t WHERE id IN (SELECT id FROM t WHERE %s)", text);
    gives(want, "SELECT count(*) FROM t a WHERE EXISTS (SELECT 1 FROM t WHERE (%s) AND id = a.id)",
          text);
}

static int
by_v_then_id(const void *a, const void *b)
{
    const struct row *x = *(const struct row *const *)a, *y = *(const struct row *const *)b;

    return x->v != y->v ? (x->v < y->v ? 1 : -1) : (x->id > y->id) - (x->id < y->id);
}

static void
check_order(void)
{
    static const struct row *sorted[ROWS_MAX];
    char text[100], want[4000] = "";
    struct condition c = condition_draw(text);
    int count = 0, skip = (int)draw(30), limit = (int)draw(40), n = 0;

    for (int i = 0; i < row_count; i++)
        if (rows[i].live && condition_holds(&c, &rows[i]))
            sorted[count++] = &rows[i];
    qsort(sorted, (size_t)count, sizeof *sorted, by_v_then_id);
    for (int i = skip; i < count && i < skip + limit; i++)
        n += snprintf(want + n, sizeof want - (size_t)n, n > 0 ? ";%d|%d" : "%d|%d", sorted[i]->id,
                      sorted[i]->v);
    gives(want, "SELECT id, v FROM t WHERE %s ORDER BY v DESC, id LIMIT %d OFFSET %d", text, limit,
          skip);
}

static void
check_groups(void)
{
    char text[100], want[4000] = "";
    struct condition c = condition_draw(text);
    int least = (int)draw(4), n = 0;

    for (int g = 0; g < 42; g++) {
        int count = 0, not_null = 0, max = 0;
        int64_t sum = 0;

        for (int i = 0; i < row_count; i++) {
            const struct row *r = &rows[i];

            if (!r->live || r->g != g || !condition_holds(&c, r))
                continue;
            max = count == 0 || r->v > max ? r->v : max;
            count++;
            not_null += r->w != NONE;
            sum += r->w != NONE ? r->w : 0;
        }
        if (count > least)
            n += snprintf(want + n, sizeof want - (size_t)n,
                          n > 0 ? ";%d|%d|%d|%" PRId64 "|%d" : "%d|%d|%d|%" PRId64 "|%d", g, count,
                          not_null, sum, max);
    }
    gives(want,
          "SELECT g, count(*), count(w), coalesce(sum(w), 0), max(v) FROM t WHERE %s"
          " GROUP BY g HAVING count(*) > %d ORDER BY g",
          text, least);
}

/* An equality join by key and by group, and an outer one, whose counts are easy to come by. */
static void
check_joins(void)
{
    char left[100], right[100], want[100];
    struct condition l = condition_draw(left), r = condition_draw(right);
    int64_t by_group = 0, by_key = 0, lefts = 0, per_left[64] = { 0 }, per_right[64] = { 0 };
    int64_t outer = 0;

    for (int i = 0; i < row_count; i++) {
        bool in_left = rows[i].live && condition_holds(&l, &rows[i]);
        bool in_right = rows[i].live && condition_holds(&r, &rows[i]);

        lefts += in_left;
        by_key += in_left && in_right;
        per_left[rows[i].g] += in_left;
        per_right[rows[i].g] += in_right;
    }
    for (int g = 0; g < 64; g++) {
        by_group += per_left[g] * per_right[g];
        outer += per_right[g] > 0 ? per_left[g] * per_right[g] : per_left[g];
    }
    snprintf(want, sizeof want, "%" PRId64, by_group);
    gives(want,
          "SELECT count(*) FROM (SELECT * FROM t WHERE %s) a JOIN (SELECT * FROM t WHERE %s) b"
          " ON a.g = b.g",
          left, right);
    snprintf(want, sizeof want, "%" PRId64, outer);
    gives(want,
          "SELECT count(*) FROM (SELECT * FROM t WHERE %s) a LEFT JOIN (SELECT * FROM t WHERE %s) b"
          " ON a.g = b.g",
          left, right);
    snprintf(want, sizeof want, "%" PRId64 "|%" PRId64, lefts - by_key, by_key);
    gives(
        want,
        "SELECT count(*) FILTER (WHERE b.id IS NULL), count(b.id) FROM (SELECT * FROM t WHERE %s) a"
        " LEFT JOIN (SELECT * FROM t WHERE %s) b ON a.id = b.id",
        left, right);
    snprintf(want, sizeof want, "%" PRId64, by_key);
    gives(want,
          "SELECT count(*) FROM (SELECT id FROM t WHERE %s INTERSECT SELECT id FROM t WHERE %s) q",
          left, right);
    snprintf(want, sizeof want, "%" PRId64, lefts - by_key);
    gives(want,
          "SELECT count(*) FROM (SELECT id FROM t WHERE %s EXCEPT SELECT id FROM t WHERE %s) q",
          left, right);
}

/* ---- writing -----------------------------------------------------------------------------------
 */

static void
change(void)
{
    char text[100], said[60], sql[300];
    struct condition c = condition_draw(text);
    bool deletes = draw(4) == 0;
    int count = 0;

    for (int i = 0; i < row_count; i++) {
        struct row *r = &rows[i];

        if (!r->live || !condition_holds(&c, r))
            continue;
        count++;
        if (deletes) {
            r->live = false;
        } else {
            r->v = r->v / 2 + 7;
            r->g = (r->g + 1) % 40;
        }
    }
    if (deletes)
        snprintf(sql, sizeof sql, "DELETE FROM t WHERE %s", text);
    else
        snprintf(sql, sizeof sql, "UPDATE t SET v = v / 2 + 7, g = (g + 1) %% 40 WHERE %s", text);
    snprintf(said, sizeof said, "C %s %d\n", deletes ? "DELETE" : "UPDATE", count);
    ck_assert_msg(strcmp(rig_query(&client, sql), said) == 0, "%s: %s, not %s", sql,
                  rig_said(&client), said);
}

START_TEST(test_model)
{
    fill(ROWS_MAX);
    for (int i = 0; i < 40; i++) {
        check_filter();
        check_order();
        check_groups();
        check_joins();
        if (i % 3 == 2)
            change();
    }
}
END_TEST

/* SQL-42: the same where next to nothing fits in memory. */
START_TEST(test_model_spilling)
{
    rig_run(&client, "SET work_mem = '64kB'");
    fill(ROWS_MAX);
    for (int i = 0; i < 12; i++) {
        check_filter();
        check_order();
        check_groups();
        check_joins();
        if (i % 3 == 2)
            change();
    }
}
END_TEST

/* SQL-34: a subplan that is run often takes the memory of one run. */
START_TEST(test_rescans_take_no_memory)
{
    fill(100);
    gives("100000", "SELECT sum((SELECT count(DISTINCT a.id) FROM t a JOIN t b ON a.id = b.id"
                    " WHERE a.id >= x - x)) FROM generate_series(1, 1000) x");
}
END_TEST

/* One that does not depend on the row is made once. */
START_TEST(test_arrays_of_subqueries)
{
    gives("1000|1000", "SELECT count(a), count(x = ANY (a)) FROM"
                       " (SELECT ARRAY(SELECT g FROM generate_series(1, 20000) g) a, x"
                       " FROM generate_series(1, 1000) x OFFSET 0) s");
    gives("{1};{1,2};{1,2,3}", "SELECT ARRAY(SELECT g FROM generate_series(1, x) g)"
                               " FROM generate_series(1, 3) x");
}
END_TEST

/* IN as an expression: the same by hash, once there are many rows. */
START_TEST(test_in_by_hash)
{
#define MANY "FROM generate_series(1, 50) g)"
    gives("true;false;null", "SELECT coalesce((x IN (SELECT g " MANY ")::text, 'null')"
                             " FROM (VALUES (1), (60), (NULL)) v (x)");
    gives("true;null;null", "SELECT coalesce((x IN (SELECT nullif(g, 7) " MANY ")::text, 'null')"
                            " FROM (VALUES (1), (7), (60)) v (x)");
    gives("true;false;null;false",
          "SELECT coalesce(((x, y) IN (SELECT g, g " MANY ")::text, 'null')"
          " FROM (VALUES (1, 1), (1, 2), (NULL, 1), (NULL, 99)) v (x, y)");
    gives("true;null;false", "SELECT coalesce(((x, y) IN (SELECT g, nullif(g, 7) " MANY
                             ")::text, 'null') FROM (VALUES (1, 1), (7, 2), (8, 2)) v (x, y)");
    gives("f;t", "SELECT x NOT IN (SELECT g " MANY " FROM (VALUES (1), (60)) v (x)");
#undef MANY
    gives("0", "SELECT count(*) FROM generate_series(1, 3) a, generate_series(1, 3) b"
               " WHERE EXISTS (SELECT 1 FROM generate_series(1, 2) g WHERE g > 5)");
}
END_TEST

/* Where the first rows will do, the others are not computed: row 60 would fail. */
START_TEST(test_first_rows)
{
    fill(100);
    gives("t", "SELECT EXISTS (SELECT 1 FROM t WHERE 1 / (60 - id) >= 0)");
    gives("5", "SELECT count(*) FROM (SELECT id FROM t WHERE 1 / (60 - id) >= 0 LIMIT 5) x");
    gives("100", "SELECT count(*) FROM t");
}
END_TEST

START_TEST(test_series)
{
    gives("100000|5000050000", "SELECT count(*), sum(g) FROM generate_series(1, 100000) g");
    gives("10;7;4", "SELECT * FROM generate_series(10, 2, -3)");
    gives("", "SELECT * FROM generate_series(1, 5, -1)");
    gives("1.5;2.5;3.5", "SELECT * FROM generate_series(1.5, 4)");
    gives("5000|5.000", "SELECT count(*), max(g) FROM generate_series(0.001, 5, 0.001) g");
    gives("2024-01-31 00:00:00;2024-02-29 00:00:00;2024-03-29 00:00:00",
          "SELECT * FROM generate_series(timestamp '2024-01-31', '2024-04-01', '1 month')");
    gives("", "SELECT * FROM generate_series(timestamp '2024-01-31', NULL, '1 month')");
    gives("6", "SELECT count(*) FROM generate_series(1, 3) g, LATERAL generate_series(1.0, g) x");
}
END_TEST

/* A root is the nearest number with its digits; a logarithm of many digits is that of the first. */
START_TEST(test_long_roots)
{
    gives(
        "0",
        "SELECT count(*) FROM (SELECT x, sqrt(x) AS r FROM generate_series(1, 120) g,"
        " LATERAL (VALUES (repeat('9', g)), (repeat('9', g) || '.' || repeat('7', g)),"
        " ('1' || repeat('0', g)), ('1' || repeat('0', g - 1) || '1' || repeat('0', g)), ('2' || "
        "repeat('0', g) || '1'),"
        " ('0.' || repeat('0', g) || repeat('3', 9))) v (t), LATERAL (SELECT t::numeric AS x) n) q,"
        " LATERAL (SELECT ('5e-' || scale(r) + 1)::numeric AS h) e"
        " WHERE NOT ((r - h) * (r - h) <= x AND x <= (r + h) * (r + h))");
    gives("0", "SELECT count(*) FROM generate_series(1, 3000, 37) g,"
               " LATERAL (SELECT repeat('7', g)::numeric AS n) v WHERE sqrt(n * n) <> n");
    gives("30000|t", "SELECT length(r::text), r * r < x AND x < (r + 1) * (r + 1) FROM"
                     " (SELECT repeat('6', 60000)::numeric AS x, trunc(sqrt(repeat('6', "
                     "60000)::numeric)) AS r) q");
    gives("0", "SELECT count(*) FROM unnest(ARRAY[-5000, -90, -3, 2, 9, 400, 70000]) k"
               " WHERE abs(ln(('1e' || k)::numeric) - k * 2.30258509299404568401799145468) > 1e-9");
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("executor");
    TCase *t = tcase_create("executor");
    SRunner *r;
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 300);
    tcase_add_test(t, test_model);
    tcase_add_test(t, test_model_spilling);
    tcase_add_test(t, test_in_by_hash);
    tcase_add_test(t, test_first_rows);
    tcase_add_test(t, test_series);
    tcase_add_test(t, test_long_roots);
    suite_add_tcase(s, t);
    t = tcase_create("little memory");
    tcase_add_checked_fixture(t, setup_small, teardown);
    tcase_set_timeout(t, 300);
    tcase_add_test(t, test_rescans_take_no_memory);
    tcase_add_test(t, test_arrays_of_subqueries);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
