/* A storage engine that runs out of things: of disk (B10, B12), of history (E10), of a clock that
 * can be trusted (F1, E5). Nobody gets a wrong answer, and it comes back by itself.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/env.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "engine/engine.h"
#include "engine/redo/redo.h"
#include "tests/support/sim_test.h"

enum { TREE = 1, KEYS = 150, VALUE = 9000, FILE_BYTES = 1 << 20, SEEDS = 4, HOUR = 3600 };

struct world {
    struct sim *sim;
    struct env *node;
    struct engine *engine;
    struct log *log; /* to the file /log */
    uint32_t inc, version;
    uint32_t value[KEYS]; /* acknowledged; 0: none */
    uint64_t retention_us;
    bool no_background;
    bool done;
};

static void
must(int rc, const char *what)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%s: %s (%s)\n", what, diag_last()->message, err_name(rc));
    abort();
}

static int
mount(struct world *w)
{
    struct engine_options o = {
        .env = w->node,
        .dir = "/db",
        .log = w->log,
        .memtable_bytes = 1 << 20,
        .cache_bytes = 1 << 20,
        .ring_bytes = 256 << 10,
        .redo_file_bytes = FILE_BYTES,
        .retention_us = w->retention_us,
        .no_background = w->no_background,
    };

    return engine_mount(&o, &w->engine);
}

static int
open_write(struct world *w)
{
    w->inc++;
    return engine_open_write(w->engine, w->inc, w->inc);
}

static struct slice
value_of(uint32_t key, uint32_t version, uint8_t buf[VALUE])
{
    uint64_t x = (uint64_t)key << 32 | version;

    for (size_t i = 0; i + 8 <= VALUE; i += 8) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        store_u64(buf + i, x);
    }
    store_u32(buf, version);
    return slice(buf, VALUE);
}

static int
put(struct world *w, struct txn *t, uint32_t key, uint32_t version)
{
    static uint8_t buf[VALUE];
    uint8_t name[4];
    int rc = txn_statement_begin(t);

    (void)w;
    store_u32(name, key);
    if (rc == 0) {
        rc = txn_put(t, TREE, slice(name, 4), value_of(key, version, buf));
        txn_statement_end(t);
    }
    return rc;
}

/* One row, one commit. Whatever the error, the transaction is over, and has not been. */
static int
put_commit(struct world *w, uint32_t key, struct commit_token *token)
{
    struct txn *t = txn_new(w->engine);
    uint32_t version = ++w->version;
    int rc = txn_begin(t, TXN_READ_COMMITTED, false);

    if (rc == 0)
        rc = put(w, t, key, version);
    if (rc == 0)
        rc = txn_commit(t, token);
    if (rc == 0)
        rc = engine_wait_visible(w->engine, token->scn, UINT64_MAX);
    if (rc == 0)
        w->value[key] = version;
    txn_free(t);
    return rc;
}

/* Every acknowledged row as it was acknowledged, and none besides. */
static void
read_all(struct world *w, const struct read_moment *m, const uint32_t value[KEYS])
{
    static uint8_t buf[VALUE];
    struct txn *t = txn_new(w->engine);

    must(txn_begin(t, TXN_READ_COMMITTED, true), "begin");
    must(txn_statement_begin(t), "statement");
    if (m != NULL)
        must(txn_pin_moment(t, *m), "a moment that is held");
    for (uint32_t k = 0; k < KEYS; k++) {
        struct slice v;
        uint8_t name[4];
        int rc;

        store_u32(name, k);
        rc = txn_get(t, TREE, slice(name, 4), m, &v);
        if (rc != ERR_NOT_FOUND)
            must(rc, "reading");
        CHECK((rc == 0) == (value[k] != 0));
        CHECK(rc != 0 || slice_eq(v, value_of(k, value[k], buf)));
    }
    txn_statement_end(t);
    txn_free(t);
}

/* Whether the operator was told. */
static bool
was_logged(struct world *w, const char *text)
{
    struct env_file *f;
    uint64_t size;
    char *data;
    size_t got;
    bool found;

    must(env_open(w->node, "/log", ENV_READ, &f), "open the log");
    must(env_size(f, &size), "its size");
    data = xcalloc(1, size + 1);
    must(env_pread(f, data, size, 0, &got), "read the log");
    found = strstr(data, text) != NULL;
    xfree(data);
    env_close(f);
    return found;
}

static void
start(struct world *w)
{
    uint64_t id;

    must(log_open(w->node, "a", "/log", LOG_INFO, &w->log), "the log");
    must(engine_create(w->node, "/db", &id), "create");
    must(mount(w), "mount");
    must(open_write(w), "open for writing");
}

/* ---- B10: the disk is full ------------------------------------------------------------------- */

/* Writes until it is refused, for want of room and nothing else. */
static void
fill(struct world *w)
{
    struct commit_token token;
    int rc = 0;

    for (uint32_t n = 0; rc == 0; n++) {
        CHECK(n < 20000);
        rc = put_commit(w, (uint32_t)sim_random(w->sim, KEYS), &token);
    }
    CHECK(rc == ERR_DISK_FULL);
    CHECK(strcmp(err_sqlstate(rc), "53100") == 0);
    diag_clear();
}

static void
full_main(void *arg)
{
    struct world *w = arg;
    struct txn *large;
    struct commit_token token;

    start(w);
    must(put_commit(w, 0, &token), "the first row");
    /* A transaction that is open when it happens, with more than a strand holds. */
    large = txn_new(w->engine);
    must(txn_begin(large, TXN_READ_COMMITTED, false), "begin");
    for (uint32_t k = 0; k < 40; k++)
        must(put(w, large, 1000 + k, 1), "a row of the large transaction");
    sim_disk_set_capacity(w->node, (5 + sim_random(w->sim, 6)) * FILE_BYTES +
                                       sim_random(w->sim, FILE_BYTES));
    fill(w);
    for (int i = 0; i < 3; i++) {
        read_all(w, NULL, w->value); /* reads go on */
        CHECK(put_commit(w, 1, &token) == ERR_DISK_FULL);
        diag_clear();
        env_sleep_us(w->node, (1 + sim_random(w->sim, 20)) * SIM_SECOND);
    }
    /* There is a reserve for what ends transactions. */
    if (sim_random(w->sim, 2) == 0)
        txn_rollback(large);
    else
        CHECK(txn_commit(large, &token) != 0 || token.scn != 0);
    read_all(w, NULL, w->value);
    sim_disk_set_capacity(w->node, UINT64_MAX);
    env_sleep_us(w->node, 5 * SIM_SECOND);
    for (uint32_t k = 0; k < KEYS; k++)
        must(put_commit(w, k, &token), "once there is room again");
    read_all(w, NULL, w->value);
    txn_free(large);
    CHECK(was_logged(w, "there is room for redo"));
    w->done = true;
    /* The process ends here without closing anything. */
}

static void
again_main(void *arg)
{
    struct world *w = arg;

    w->log = NULL;
    must(mount(w), "mount");
    must(open_write(w), "open for writing");
    must(engine_wait_visible(w->engine, engine_newest_scn(w->engine), UINT64_MAX), "wait");
    read_all(w, NULL, w->value);
    engine_close(w->engine);
    w->done = true;
}

static void
run(struct world *w, void (*fn)(void *arg))
{
    w->done = false;
    sim_test_run_node(w->sim, w->node, fn, w);
    ck_assert(w->done);
}

static void
full_body(struct sim *sim, uint64_t seed, void *arg)
{
    struct world *w = calloc(1, sizeof *w);

    (void)seed;
    (void)arg;
    w->sim = sim;
    w->node = sim_node_new(sim, "a");
    run(w, full_main);
    run(w, again_main);
    free(w);
}

START_TEST(test_full_disk)
{
    sim_test_seeds(SEEDS, full_body, NULL);
}
END_TEST

/* Started while the disk is full: what was there is read, and it opens once there is room. */
static void
restart_main(void *arg)
{
    struct world *w = arg;
    struct commit_token token;
    int rc;

    w->log = NULL;
    must(mount(w), "mounting on a full disk");
    engine_publish(w->engine, lsn_make(UINT64_MAX));
    read_all(w, NULL, w->value);
    rc = open_write(w);
    if (rc != 0) {
        CHECK(rc == ERR_DISK_FULL);
        diag_clear();
        engine_close(w->engine);
        sim_disk_set_capacity(w->node, UINT64_MAX);
        must(mount(w), "mount");
        must(open_write(w), "open for writing");
    }
    sim_disk_set_capacity(w->node, UINT64_MAX);
    env_sleep_us(w->node, 5 * SIM_SECOND);
    must(put_commit(w, 3, &token), "once there is room again");
    read_all(w, NULL, w->value);
    engine_close(w->engine);
    w->done = true;
}

static void
fill_main(void *arg)
{
    struct world *w = arg;

    start(w);
    sim_disk_set_capacity(w->node, (5 + sim_random(w->sim, 6)) * FILE_BYTES +
                                       sim_random(w->sim, FILE_BYTES));
    fill(w);
    w->done = true;
}

static void
restart_body(struct sim *sim, uint64_t seed, void *arg)
{
    struct world *w = calloc(1, sizeof *w);

    (void)arg;
    w->sim = sim;
    w->node = sim_node_new(sim, "a");
    run(w, fill_main);
    if (seed % 2 == 0)
        run(w, restart_main);
    run(w, restart_main);
    free(w);
}

START_TEST(test_restart_on_a_full_disk)
{
    sim_test_seeds(SEEDS, restart_body, NULL);
}
END_TEST

/* There is no room for an edit of the manifest: what it does not say is not gone by, though what it
 * was about to say is known (CUT-4). */
static void
edit_main(void *arg)
{
    struct world *w = arg;
    struct sim_fault fault = {
        .ops = SIM_OP_WRITE, .kind = SIM_FAULT_ENOSPC, .path = "manifest", .count = 1
    };
    struct commit_token token;
    int id;

    start(w);
    must(put_commit(w, 0, &token), "the first row");
    must(engine_flush_all(w->engine), "flush");
    for (uint32_t i = 0; i < 5 * FILE_BYTES / VALUE; i++) {
        must(put_commit(w, i % KEYS, &token), "a row");
        if (i % 40 != 39)
            continue;
        id = sim_fault_add(w->node, &fault);
        CHECK(engine_flush_all(w->engine) == ERR_DISK_FULL);
        CHECK(sim_fault_hits(w->node, id) == 1);
        diag_clear();
        sim_fault_clear(w->node);
        must(engine_flush_all(w->engine), "once there is room again");
    }
    redo_files_settle(engine_redo(w->engine));
    w->done = true;
    sim_node_kill(w->node);
}

static void
edit_body(struct sim *sim, uint64_t seed, void *arg)
{
    struct world *w = calloc(1, sizeof *w);

    (void)seed;
    (void)arg;
    w->sim = sim;
    w->node = sim_node_new(sim, "a");
    w->no_background = true;
    run(w, edit_main);
    w->no_background = false;
    run(w, again_main);
    free(w);
}

START_TEST(test_full_disk_of_the_manifest)
{
    sim_test_seeds(1, edit_body, NULL);
}
END_TEST

/* ---- B12: no room for segments --------------------------------------------------------------- */

enum { BLOCKED_ROWS = 600 };

struct mender {
    struct world *world;
    uint64_t after_us;
    bool done;
};

static void
mender_th(void *arg)
{
    struct mender *m = arg;

    env_sleep_us(m->world->node, m->after_us);
    sim_fault_clear(m->world->node);
    m->done = true;
}

/* Flushes and merges fail for a while, with more written than memtables hold: writers wait, and if
 * it takes too long they may be refused; nobody dies of it, and afterwards all goes on. */
static void
blocked_main(void *arg)
{
    struct sim_fault full = { .ops = SIM_OP_OPEN | SIM_OP_WRITE | SIM_OP_TRUNCATE,
                              .kind = SIM_FAULT_ENOSPC,
                              .path = "/segments/" };
    struct world *w = arg;
    bool is_short = sim_random(w->sim, 2) == 0;
    struct mender m = { .world = w, .after_us = (is_short ? 10 : 90) * SIM_SECOND };
    struct env_thread *thread;
    struct commit_token token;
    struct engine_figures figures;

    start(w);
    sim_fault_add(w->node, &full);
    thread = env_thread_start(w->node, "mender", mender_th, &m);
    for (uint32_t n = 0; n < BLOCKED_ROWS || !m.done; n++) {
        int rc = put_commit(w, (uint32_t)sim_random(w->sim, KEYS), &token);

        CHECK(n < 100000);
        CHECK(rc == 0 || (!is_short && !m.done && (rc == ERR_NOMEM || rc == ERR_DISK_FULL)));
        diag_clear();
    }
    env_thread_join(thread);
    CHECK(was_logged(w, "failed and is tried again"));
    must(engine_flush_all(w->engine), "flush");
    engine_get_figures(w->engine, &figures);
    CHECK(figures.flushes > 0 && figures.memtable_bytes < 2 << 20);
    read_all(w, NULL, w->value);
    w->done = true;
}

static void
blocked_body(struct sim *sim, uint64_t seed, void *arg)
{
    struct world *w = calloc(1, sizeof *w);

    (void)seed;
    (void)arg;
    w->sim = sim;
    w->node = sim_node_new(sim, "a");
    run(w, blocked_main);
    run(w, again_main);
    free(w);
}

START_TEST(test_no_room_for_segments)
{
    sim_test_seeds(SEEDS, blocked_body, NULL);
}
END_TEST

/* ---- B2: a disk that takes no segments ---------------------------------------------------------
 */

enum { UNFLUSHED_ROWS = 80 }; /* more than the half of memtables, less than all */

/* What is committed goes on being so; after a while of failing flushes the node stops. */
static void
failing_main(void *arg)
{
    struct sim_fault fault = { .ops = SIM_OP_SYNC, .kind = SIM_FAULT_EIO, .path = "/segments/" };
    struct world *w = arg;
    struct commit_token token;

    start(w);
    sim_fault_add(w->node, &fault);
    for (uint32_t n = 0; n < UNFLUSHED_ROWS; n++)
        must(put_commit(w, (uint32_t)sim_random(w->sim, KEYS), &token), "put");
    w->done = true;
    env_sleep_us(w->node, 600 * SIM_SECOND);
    CHECK(false);
}

static void
failing_body(struct sim *sim, uint64_t seed, void *arg)
{
    struct world *w = calloc(1, sizeof *w);
    uint64_t began = sim_now_us(sim);

    (void)seed;
    (void)arg;
    w->sim = sim;
    w->node = sim_node_new(sim, "a");
    sim_allow_panic(sim, true);
    run(w, failing_main);
    ck_assert_ptr_nonnull(sim_node_last_words(w->node));
    ck_assert_msg(strstr(sim_node_last_words(w->node), "could not be flushed") != NULL, "%s",
                  sim_node_last_words(w->node));
    ck_assert_uint_ge(sim_now_us(sim) - began, 30 * SIM_SECOND);
    sim_allow_panic(sim, false);
    sim_fault_clear(w->node);
    run(w, again_main);
    free(w);
}

START_TEST(test_flushes_that_fail_for_ever)
{
    sim_test_seeds(SEEDS, failing_body, NULL);
}
END_TEST

/* ---- F1, E5: the clock jumps ----------------------------------------------------------------- */

enum { JUMPS = 9, COMMITS = 6 };

struct told {
    scn_t scn;
    uint64_t time_us;
    uint32_t value[KEYS];
};

static void
commit_some(struct world *w, struct told *told, uint32_t *count)
{
    for (int i = 0; i < COMMITS; i++) {
        struct commit_token token;
        uint64_t at;

        must(put_commit(w, (uint32_t)sim_random(w->sim, KEYS), &token), "put");
        must(engine_time_of_scn(w->engine, token.scn, &at), "its time");
        CHECK(at == token.time_us);
        if (*count > 0) { /* strictly ascending, wherever the clock went */
            CHECK(token.scn > told[*count - 1].scn);
            CHECK(token.time_us > told[*count - 1].time_us);
        }
        told[*count] = (struct told){ .scn = token.scn, .time_us = token.time_us };
        memcpy(told[*count].value, w->value, sizeof w->value);
        (*count)++;
        if (sim_random(w->sim, 3) == 0)
            env_sleep_us(w->node, sim_random(w->sim, 2 * SIM_SECOND));
    }
}

/* Commits at a time or before belong to it: one moment, whatever is asked. */
static void
check_times(struct world *w, const struct told *told, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct read_moment m = { 0, 0 };
        scn_t before;

        must(engine_scn_at_time(w->engine, told[i].time_us, &m.scn), "the SCN of a time");
        CHECK(m.scn == told[i].scn);
        read_all(w, &m, told[i].value);
        if (i == 0)
            continue;
        must(engine_scn_at_time(w->engine, told[i].time_us - 1, &before), "just before");
        CHECK(before < told[i].scn && before >= told[i - 1].scn);
    }
}

static void
clock_main(void *arg)
{
    static const int64_t jumps[JUMPS] = { HOUR, -HOUR, -HOUR, 1, -1, 20 * HOUR, -HOUR, 40, -60 };
    static struct told told[JUMPS * COMMITS];
    struct world *w = arg;
    uint32_t count = 0;
    uint64_t begin;

    start(w);
    for (int j = 0; j < JUMPS; j++) {
        sim_node_skew_wall(w->node, jumps[j] * (int64_t)SIM_SECOND);
        commit_some(w, told, &count);
        /* Durations do not go by that clock. */
        begin = sim_now_us(w->sim);
        CHECK(engine_wait_visible(w->engine, SCN_MAX, 3 * SIM_SECOND) == ERR_TIMEOUT);
        diag_clear();
        CHECK(sim_now_us(w->sim) - begin < 10 * SIM_SECOND);
        if (j % 3 == 2) { /* and a restart keeps the order */
            engine_close(w->engine);
            must(mount(w), "mount");
            must(open_write(w), "open for writing");
        }
    }
    check_times(w, told, count);
    engine_close(w->engine);
    w->done = true;
}

static void
clock_body(struct sim *sim, uint64_t seed, void *arg)
{
    struct world *w = calloc(1, sizeof *w);

    (void)seed;
    (void)arg;
    w->sim = sim;
    w->retention_us = 1000 * (uint64_t)HOUR * SIM_SECOND;
    w->node = sim_node_new(sim, "a");
    run(w, clock_main);
    free(w);
}

START_TEST(test_clock_jumps)
{
    sim_test_seeds(SEEDS, clock_body, NULL);
}
END_TEST

/* ---- E10: history ends ----------------------------------------------------------------------- */

enum { ROUNDS = 12 };

/* A moment is read as it was, or is too old: nothing in between, whatever was flushed and merged.
 */
static void
read_or_refused(struct world *w, const struct told *told, uint32_t *refused)
{
    struct txn *t = txn_new(w->engine);
    struct read_moment m = { 0, told->scn };
    scn_t scn;
    int rc;

    must(txn_begin(t, TXN_READ_COMMITTED, true), "begin");
    must(txn_statement_begin(t), "statement");
    rc = txn_pin_moment(t, m);
    txn_statement_end(t);
    txn_free(t);
    if (rc == 0) {
        CHECK(m.scn >= engine_horizon(w->engine) || m.scn == told->scn);
        read_all(w, &m, told->value);
        return;
    }
    CHECK(rc == ERR_SNAPSHOT_TOO_OLD && strcmp(err_sqlstate(rc), "72000") == 0);
    CHECK(told->scn < engine_horizon(w->engine));
    CHECK(strstr(diag_last()->message, "snapshot too old") != NULL);
    rc = engine_scn_at_time(w->engine, told->time_us, &scn);
    CHECK(rc == ERR_SNAPSHOT_TOO_OLD && strstr(diag_last()->message, "snapshot too old") != NULL);
    diag_clear();
    (*refused)++;
}

static void
history_main(void *arg)
{
    static struct told told[ROUNDS * COMMITS];
    struct world *w = arg;
    uint32_t count = 0, refused = 0;
    struct txn *old;

    start(w);
    commit_some(w, told, &count);
    /* The horizon does not pass a snapshot that is open. */
    old = txn_new(w->engine);
    must(txn_begin(old, TXN_REPEATABLE_READ, true), "begin");
    must(txn_statement_begin(old), "statement");
    txn_statement_end(old);
    for (int i = 1; i < ROUNDS; i++) {
        commit_some(w, told, &count);
        env_sleep_us(w->node, 4 * SIM_SECOND);
        if (i == ROUNDS / 2) {
            CHECK(engine_horizon(w->engine) <= txn_snapshot_scn(old));
            must(txn_statement_begin(old), "an old snapshot goes on");
            txn_statement_end(old);
            txn_free(old);
        }
        if (i % 2 == 0)
            must(engine_flush_all(w->engine), "flush");
        if (i % 3 == 0)
            must(engine_compact_all(w->engine), "compact");
        for (uint32_t k = 0; k < count; k++)
            read_or_refused(w, &told[k], &refused);
    }
    CHECK(refused > 0);
    read_all(w, NULL, w->value); /* the newest below the horizon stays */
    engine_close(w->engine);
    w->done = true;
}

static void
history_body(struct sim *sim, uint64_t seed, void *arg)
{
    struct world *w = calloc(1, sizeof *w);

    (void)seed;
    (void)arg;
    w->sim = sim;
    w->retention_us = 10 * SIM_SECOND;
    w->node = sim_node_new(sim, "a");
    run(w, history_main);
    free(w);
}

START_TEST(test_history_ends)
{
    sim_test_seeds(SEEDS, history_body, NULL);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("engine_limits");
    TCase *t = tcase_create("engine_limits");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 0);
    tcase_add_test(t, test_full_disk);
    tcase_add_test(t, test_restart_on_a_full_disk);
    tcase_add_test(t, test_full_disk_of_the_manifest);
    tcase_add_test(t, test_no_room_for_segments);
    tcase_add_test(t, test_flushes_that_fail_for_ever);
    tcase_add_test(t, test_clock_jumps);
    tcase_add_test(t, test_history_ends);
    suite_add_tcase(suite, t);
    r = srunner_create(suite);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
