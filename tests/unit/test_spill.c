/* SQL-42: operators that spill: with little memory each gives what it gives with much, at every
 * boundary; when the disk fails, is full, or lies, when the cap is met, and when the statement is
 * cancelled, the statement ends with its error, the session lives on, and no file is left.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fiber.h"
#include "tests/support/sim_test.h"
#include "tests/support/sql_rig.h"

static struct sql_rig rig;
static struct rig_client client;

/* t: keys many and few, nulls, texts short and long. u: its even ids, some of them often. */
static void
fill(struct rig_client *c, int rows)
{
    char text[600];

    rig_run(c, "CREATE TABLE t (id int PRIMARY KEY, g int, n int, f float8, d numeric, s text)");
    snprintf(
        text, sizeof text,
        "INSERT INTO t SELECT i, i %% 40, CASE WHEN i %% 7 = 0 THEN NULL ELSE i * 7919 %% %d"
        " END, (i * 31 %% 1000) / 8.0 - 50, (i * 17 %% 500) / 10.0, CASE WHEN i %% 11 = 0 THEN"
        " NULL WHEN i %% 501 = 0 THEN repeat('long ' || i, 3000) ELSE repeat(chr(97 + i %% 26),"
        " i %% 30) || i END FROM generate_series(1, %d) i",
        rows, rows);
    rig_run(c, text);
    rig_run(c, "CREATE TABLE u (id int, k int, s text)");
    snprintf(text, sizeof text,
             "INSERT INTO u SELECT i * 2, CASE WHEN i %% 3 = 0 THEN 7 WHEN i %% 13 = 0 THEN NULL"
             " ELSE i END, 'u' || i || repeat('x', 300) FROM generate_series(1, %d) i",
             rows / 2);
    rig_run(c, text);
}

static const char *const queries[] = {
    /* sorting: every kind of key, both directions, ties, several keys, expressions, limits */
    "SELECT n, id FROM t ORDER BY n, id",
    "SELECT n, id FROM t ORDER BY n DESC NULLS LAST, id DESC",
    "SELECT s, id FROM t ORDER BY s, id",
    "SELECT f, d, id FROM t ORDER BY f DESC, d, id",
    "SELECT d, id FROM t ORDER BY -d, -id",
    "SELECT id, s || repeat('wide', 150) AS w FROM t ORDER BY w DESC, id",
    "SELECT id FROM t ORDER BY n, id LIMIT 700 OFFSET 30",
    "SELECT id FROM t ORDER BY n DESC, id LIMIT 5",
    "SELECT id, s FROM t ORDER BY s DESC, id LIMIT 900",
    /* groups, by few keys and by many */
    "SELECT g, count(*), sum(n), min(s), max(d) FROM t GROUP BY g ORDER BY g",
    "SELECT n, count(*), sum(f), max(s) FROM t GROUP BY n ORDER BY n",
    "SELECT s, d, count(*) FROM t GROUP BY s, d HAVING count(*) > 0 ORDER BY s, d",
    "SELECT count(*) FROM (SELECT n FROM t GROUP BY n) q",
    "SELECT count(DISTINCT n), count(DISTINCT s), sum(DISTINCT d), count(*) FROM t",
    "SELECT g, count(DISTINCT n), count(DISTINCT s) FROM t GROUP BY g ORDER BY g",
    "SELECT g, string_agg(id::text, ',' ORDER BY f, id DESC) FROM t GROUP BY g ORDER BY g",
    "SELECT g, string_agg(DISTINCT d::text, ',' ORDER BY d::text DESC) FROM t GROUP BY g ORDER BY "
    "g",
    /* DISTINCT and sets */
    "SELECT count(*), sum(n) FROM (SELECT DISTINCT n, s FROM t) q",
    "SELECT DISTINCT ON (g) g, id, s FROM t ORDER BY g, f, id",
    "SELECT DISTINCT s FROM t ORDER BY s",
    "SELECT id FROM t UNION SELECT k FROM u ORDER BY 1",
    "SELECT n FROM t INTERSECT SELECT k FROM u ORDER BY 1",
    "SELECT g FROM t INTERSECT ALL SELECT k FROM u ORDER BY 1",
    "SELECT n FROM t EXCEPT SELECT k FROM u ORDER BY 1",
    "SELECT k FROM u EXCEPT ALL SELECT n FROM t ORDER BY 1",
    "SELECT count(*) FROM (SELECT s FROM t UNION SELECT s FROM u UNION SELECT s || 'x' FROM t) q",
    /* joins of every kind, nulls in the keys, a key that half of the rows have */
    "SELECT a.id, b.s FROM t a JOIN u b ON a.id = b.id ORDER BY 1, 2",
    "SELECT a.id, b.id, b.s FROM t a LEFT JOIN u b ON a.n = b.k ORDER BY 1, 2",
    "SELECT a.id, b.id FROM t a FULL JOIN u b ON a.n = b.k ORDER BY 1, 2",
    "SELECT a.id, b.id FROM t a FULL JOIN u b ON a.n = b.k AND a.id < b.id ORDER BY 1, 2",
    "SELECT count(*), sum(a.id), sum(b.id), max(b.s) FROM u a JOIN u b ON a.k = b.k",
    "SELECT count(*), sum(a.id), count(b.id) FROM u a LEFT JOIN u b ON a.k = b.k AND a.id > b.id + "
    "90",
    "SELECT count(*), sum(a.id), sum(b.id), max(b.s) FROM u a FULL JOIN u b ON a.k = b.k AND a.id "
    "= b.id - 2",
    "SELECT count(*), sum(a.id) FROM u a WHERE EXISTS (SELECT 1 FROM u b WHERE b.k = a.k AND b.s "
    "|| 'x' > a.s AND b.id <> a.id)",
    "SELECT count(*), sum(a.id) FROM u a WHERE NOT EXISTS (SELECT 1 FROM u b WHERE b.k = a.k AND "
    "b.s < a.s)",
    "SELECT id FROM t WHERE n IN (SELECT k FROM u) ORDER BY id",
    "SELECT id FROM u a WHERE EXISTS (SELECT 1 FROM u b WHERE b.k = a.k AND b.id < a.id) ORDER BY "
    "id",
    "SELECT id FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE k = t.n) ORDER BY id",
    "SELECT id FROM u a WHERE NOT EXISTS (SELECT 1 FROM u b WHERE b.k = a.k AND b.id < a.id)"
    " ORDER BY id",
    "SELECT id FROM t WHERE n NOT IN (SELECT k FROM u) ORDER BY id",
    "SELECT id FROM t WHERE n NOT IN (SELECT k FROM u WHERE k IS NOT NULL) ORDER BY id",
    "SELECT count(*) FROM (SELECT a.id FROM t a JOIN u b ON a.id = b.id JOIN t c ON c.n = b.k) q",
    /* rows kept */
    "WITH c AS MATERIALIZED (SELECT id, s FROM t) SELECT count(*), sum(a.id) FROM c a JOIN c b ON"
    " a.id = b.id",
    "SELECT count(*) FROM t a WHERE a.id <= 20 AND a.id * 2 < ALL (SELECT id + 100 FROM u)",
    "SELECT count(*), sum(b.id - a.id) FROM t a JOIN u b ON a.id < 30 AND b.id < a.id",
    "SELECT array_length(ARRAY(SELECT s FROM t ORDER BY id), 1)",
};
enum { QUERIES = sizeof queries / sizeof *queries };

static uint64_t
spilled_files(const struct sql_rig *r)
{
    struct spill_figures f;

    spill_space_get_figures(r->spill, &f);
    return f.files;
}

static uint64_t
in_use(const struct sql_rig *r)
{
    struct spill_figures f;

    spill_space_get_figures(r->spill, &f);
    return f.used;
}

static void
setup(void)
{
    sql_rig_start(&rig);
    rig_connect(&rig, &client);
    fill(&client, 1200);
}

static void
teardown(void)
{
    sql_rig_stop(&rig);
}

START_TEST(test_little_memory_gives_the_same)
{
    static const char *const sizes[] = { "64kB", "300kB" };
    char text[60];

    for (int q = 0; q < QUERIES; q++) {
        char *want;

        rig_run(&client, "SET work_mem = '1GB'");
        want = xstrdup(rig_rows(&client, queries[q]));
        ck_assert_msg(strncmp(want, "ERROR", 5) != 0, "%s: %s", queries[q], want);
        for (int i = 0; i < 2; i++) {
            const char *got;

            snprintf(text, sizeof text, "SET work_mem = '%s'", sizes[i]);
            rig_run(&client, text);
            got = rig_rows(&client, queries[q]);
            ck_assert_msg(strcmp(got, want) == 0, "%s with %s:\n got  %.300s\n want %.300s",
                          queries[q], sizes[i], got, want);
            ck_assert_uint_eq(in_use(&rig), 0);
        }
        xfree(want);
    }
    ck_assert_uint_gt(spilled_files(&rig), QUERIES);
}
END_TEST

/* Each of these must really have gone to disk: EXPLAIN ANALYZE says so. */
START_TEST(test_explain_says_what_spilled)
{
    static const char *const spilling[] = {
        "SELECT id FROM t ORDER BY s, id",
        "SELECT n, count(*) FROM t GROUP BY n",
        "SELECT DISTINCT n FROM t",
        "SELECT n FROM t EXCEPT SELECT k FROM u",
        "SELECT a.id FROM t a JOIN u b ON a.n = b.k",
        "SELECT count(DISTINCT s || repeat('x', 99)) FROM t",
    };

    rig_run(&client, "SET work_mem = '64kB'");
    for (size_t i = 0; i < sizeof spilling / sizeof *spilling; i++) {
        char text[300];

        snprintf(text, sizeof text, "EXPLAIN (ANALYZE, COSTS off) %s", spilling[i]);
        ck_assert_msg(strstr(rig_query(&client, text), "Disk: ") != NULL, "%s", text);
    }
    ck_assert_ptr_nonnull(
        strstr(rig_query(&client, "EXPLAIN (ANALYZE) SELECT id FROM t ORDER BY n"),
               "Sort Method: external merge  Disk: "));
    rig_run(&client, "SET work_mem = '64MB'");
    ck_assert_ptr_null(
        strstr(rig_query(&client, "EXPLAIN (ANALYZE) SELECT id FROM t ORDER BY n"), "Disk: "));
}
END_TEST

/* The cap on temporary files: 53400. */
START_TEST(test_limit)
{
    const char *said;

    rig_disconnect(&client);
    rig.temp_limit = 3000;
    sql_rig_restart(&rig);
    rig_connect(&rig, &client);
    rig_run(&client, "SET work_mem = '64kB'");
    for (int q = 0; q < QUERIES; q++) {
        said = rig_rows(&client, queries[q]);
        ck_assert_msg(strncmp(said, "ERROR", 5) != 0 || strncmp(said, "ERROR 53400", 11) == 0,
                      "%s: %.300s", queries[q], said);
        ck_assert_uint_eq(in_use(&rig), 0);
    }
    said = rig_rows(&client, queries[0]);
    ck_assert_msg(strstr(said, "ERROR 53400 temporary file size exceeds sql.temp_size (2kB)") !=
                      NULL,
                  "%.300s", said);
    ck_assert_str_eq(rig_rows(&client, "SELECT 1"), "1");
}
END_TEST

/* Portals and cursors whose rows wait for their client keep them in files. */
START_TEST(test_kept_portals)
{
    char *want = xstrdup(rig_rows(&client, "SELECT id, s FROM t ORDER BY id"));
    struct writer got;
    uint64_t before;

    rig_run(&client, "SET work_mem = '64kB'");
    rig_run(&client, "BEGIN");
    rig_run(&client, "DECLARE a CURSOR WITH HOLD FOR SELECT id, s FROM t ORDER BY id");
    before = spilled_files(&rig);
    rig_run(&client, "COMMIT");
    ck_assert_uint_gt(spilled_files(&rig), before);
    ck_assert_uint_gt(in_use(&rig), 0);
    wr_init(&got, 0);
    for (;;) {
        const char *rows = rig_rows(&client, "FETCH 777 FROM a");

        if (*rows == '\0')
            break;
        if (got.size > 0)
            wr_u8(&got, ';');
        wr_bytes(&got, rows, strlen(rows));
    }
    wr_u8(&got, '\0');
    ck_assert_msg(strcmp((const char *)got.data, want) == 0, "the cursor's rows differ");
    wr_fini(&got);
    rig_run(&client, "CLOSE a");
    ck_assert_uint_eq(in_use(&rig), 0);

    /* A suspended portal, with another statement beside it; then rolled back. */
    rig_run(&client, "BEGIN");
    rig_run(&client, "DECLARE b CURSOR FOR SELECT id, s FROM t ORDER BY id");
    ck_assert_str_eq(rig_rows(&client, "FETCH 1 FROM b"), "1|b1");
    rig_run(&client, "SELECT 1");
    ck_assert_uint_gt(in_use(&rig), 0);
    ck_assert_str_eq(rig_rows(&client, "FETCH 1 FROM b"), "2|cc2");
    rig_run(&client, "ROLLBACK");
    ck_assert_uint_eq(in_use(&rig), 0);
    xfree(want);
}
END_TEST

/* All memory of the node is small: a statement goes on, or ends with 53200; and the budget is whole
 * again afterwards. */
START_TEST(test_little_memory_in_all)
{
    for (size_t memory = 256 << 10; memory <= 4 << 20; memory *= 4) {
        rig_disconnect(&client);
        rig.memory_bytes = memory;
        sql_rig_restart(&rig);
        rig_connect(&rig, &client);
        for (int q = 0; q < QUERIES; q++) {
            const char *said = rig_rows(&client, queries[q]);

            ck_assert_msg(strncmp(said, "ERROR", 5) != 0 || strncmp(said, "ERROR 53200", 11) == 0,
                          "%s: %.300s", queries[q], said);
            ck_assert_msg(strncmp(said, "ERROR", 5) != 0 || memory < 2 << 20, "%s with %zu: %.300s",
                          queries[q], memory, said);
            ck_assert_uint_eq(in_use(&rig), 0);
        }
        ck_assert_str_eq(rig_rows(&client, "SELECT 1"), "1");
    }
}
END_TEST

/* ---- in the simulated world --------------------------------------------------------------------
 */

struct world {
    struct env *node;
    struct sim_fault fault;
    const char *state; /* what the error must be */
    struct rig_client *client;
    int points;
    bool done, stop;
};

static void
must(bool held, const char *what, const char *said)
{
    if (held)
        return;
    fprintf(stderr, "%s: %.300s\n", what, said);
    abort();
}

static const char *const sim_queries[] = {
    "SELECT id, s FROM t ORDER BY s, id",
    "SELECT n, count(*), sum(DISTINCT id) FROM t GROUP BY n ORDER BY n",
    "SELECT a.id, b.s FROM t a FULL JOIN u b ON a.n = b.k ORDER BY 1, 2",
    "SELECT k FROM u EXCEPT ALL SELECT n FROM t ORDER BY 1",
    "WITH c AS MATERIALIZED (SELECT id, s FROM t) SELECT count(*) FROM c a JOIN c b ON a.id = b.id",
};
enum { SIM_QUERIES = sizeof sim_queries / sizeof *sim_queries };

static void
start_in_sim(struct world *w, struct sql_rig *r, struct rig_client *c)
{
    sql_rig_start_in(r, w->node, job_pool_new(w->node, "job", 2), 0);
    rig_connect(r, c);
    fill(c, 400);
    rig_run(c, "SET work_mem = '64kB'");
}

static void
stop_in_sim(struct sql_rig *r)
{
    struct job_pool *jobs = r->jobs;

    sql_rig_stop(r);
    job_pool_free(jobs);
}

/* The n-th operation on temporary files fails, for each n that there is. */
static void
faults_main(void *arg)
{
    struct world *w = arg;
    struct sql_rig *r = xcalloc(1, sizeof *r);
    struct rig_client *c = xcalloc(1, sizeof *c);

    start_in_sim(w, r, c);
    for (int q = 0; q < SIM_QUERIES; q++) {
        char *want = xstrdup(rig_rows(c, sim_queries[q]));

        for (uint32_t n = 0;; n++) {
            int handle;
            bool fired;
            const char *said;

            w->fault.skip = n;
            handle = sim_fault_add(w->node, &w->fault);
            said = rig_rows(c, sim_queries[q]);
            fired = sim_fault_hits(w->node, handle) > 0;
            sim_fault_remove(w->node, handle);
            must(fired ? strncmp(said, w->state, strlen(w->state)) == 0 : strcmp(said, want) == 0,
                 sim_queries[q], said);
            must(in_use(r) == 0, "files are left", sim_queries[q]);
            if (!fired)
                break;
            w->points++;
        }
        must(strcmp(rig_rows(c, sim_queries[q]), want) == 0, "afterwards", sim_queries[q]);
        xfree(want);
    }
    stop_in_sim(r);
    xfree(c);
    xfree(r);
    w->done = true;
}

static void
run_faults(int ops, enum sim_fault_kind kind, const char *state)
{
    struct sim *sim = sim_new(1);
    struct world w = { .node = sim_node_new(sim, "a"),
                       .state = state,
                       .fault = { .ops = ops, .kind = kind, .path = "/db/tmp/", .count = 1 } };

    sim_test_run_node(sim, w.node, faults_main, &w);
    ck_assert(w.done);
    ck_assert_int_gt(w.points, 10);
    ck_assert_uint_eq(sim_node_leaked_bytes(w.node), 0);
    sim_free(sim);
}

START_TEST(test_io_errors)
{
    run_faults(SIM_OP_OPEN | SIM_OP_READ | SIM_OP_WRITE | SIM_OP_UNLINK, SIM_FAULT_EIO,
               "ERROR 58030");
}
END_TEST

START_TEST(test_disk_full)
{
    run_faults(SIM_OP_WRITE, SIM_FAULT_ENOSPC, "ERROR 53100");
}
END_TEST

START_TEST(test_rot)
{
    run_faults(SIM_OP_READ, SIM_FAULT_BIT_FLIP, "ERROR XX001");
}
END_TEST

static void
canceler_main(void *arg)
{
    struct world *w = arg;
    struct rig_client *c = w->client;

    while (!w->stop) {
        env_sleep_us(w->node, 200 + env_random_u64(w->node) % 20000);
        c->c.canceled = true;
    }
}

static void
cancels_main(void *arg)
{
    struct world *w = arg;
    struct sql_rig *r = xcalloc(1, sizeof *r);
    struct rig_client *c = xcalloc(1, sizeof *c);
    struct env_thread *canceler;

    start_in_sim(w, r, c);
    w->client = c;
    canceler = env_thread_start(w->node, "canceler", canceler_main, w);
    for (int i = 0; i < 60; i++) {
        const char *said;

        c->c.canceled = false;
        said = rig_rows(c, sim_queries[i % SIM_QUERIES]);
        w->points += strncmp(said, "ERROR 57014", 11) == 0;
        must(strncmp(said, "ERROR", 5) != 0 || strncmp(said, "ERROR 57014", 11) == 0,
             sim_queries[i % SIM_QUERIES], said);
        must(in_use(r) == 0, "files are left", sim_queries[i % SIM_QUERIES]);
    }
    w->stop = true;
    env_thread_join(canceler);
    c->c.canceled = false;
    stop_in_sim(r);
    xfree(c);
    xfree(r);
    w->done = true;
}

START_TEST(test_cancel)
{
    struct sim_disk_speed speed = { .read_us = 100, .write_us = 100, .name_us = 100 };
    struct sim *sim = sim_new(2);
    struct world w = { .node = sim_node_new(sim, "a") };

    sim_disk_set_speed(w.node, &speed);
    sim_test_run_node(sim, w.node, cancels_main, &w);
    ck_assert(w.done);
    ck_assert_int_gt(w.points, 5);
    ck_assert_uint_eq(sim_node_leaked_bytes(w.node), 0);
    sim_free(sim);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("spill");
    TCase *t = tcase_create("real");
    SRunner *r;
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 600);
    tcase_add_test(t, test_little_memory_gives_the_same);
    tcase_add_test(t, test_explain_says_what_spilled);
    tcase_add_test(t, test_limit);
    tcase_add_test(t, test_kept_portals);
    tcase_add_test(t, test_little_memory_in_all);
    suite_add_tcase(s, t);
    t = tcase_create("simulated");
    tcase_set_timeout(t, 600);
    tcase_add_test(t, test_io_errors);
    tcase_add_test(t, test_disk_full);
    tcase_add_test(t, test_rot);
    tcase_add_test(t, test_cancel);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
