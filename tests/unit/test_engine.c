/* The storage engine through its public header: transactions, locks, savepoints, recovery.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/env.h"
#include "engine/base/fiber.h"
#include "engine/engine.h"
#include "engine/redo/redo_int.h"
#include "engine/txn/follow.h"
#include "tests/support/folder.h"

enum { TREE = 1, TREE_B = 2 };

static struct env *env;
static struct engine *engine;
static char dir[64];
static incarnation_t next_inc;

static void
mount_with(size_t memtable_bytes, bool no_background)
{
    struct engine_options o = {
        .env = env,
        .dir = dir,
        .memtable_bytes = memtable_bytes,
        .no_background = no_background,
        .cache_bytes = 4 << 20,
        .ring_bytes = 1 << 20,
        .redo_file_bytes = 1 << 20,
    };

    ck_assert_msg(engine_mount(&o, &engine) == 0, "%s", diag_last()->message);
}

static void
mount(void)
{
    mount_with(4 << 20, false);
}

static void
begin_incarnation(void)
{
    next_inc++;
    ck_assert_msg(engine_open_write(engine, next_inc, 77 + next_inc) == 0, "%s",
                  diag_last()->message);
}

static void
open_write(void)
{
    mount();
    begin_incarnation();
}

static void
setup(void)
{
    char path[96];
    uint64_t id;

    env = env_posix_new();
    test_folder(dir, sizeof dir, "rd-engine");
    snprintf(path, sizeof path, "%s/db", dir);
    snprintf(dir, sizeof dir, "%s", path);
    next_inc = 0;
    ck_assert_msg(engine_create(env, dir, &id) == 0, "%s", diag_last()->message);
    open_write();
}

static void
teardown(void)
{
    char command[128];

    engine_close(engine);
    engine = NULL;
    env_free(env);
    *strrchr(dir, '/') = '\0';
    snprintf(command, sizeof command, "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static void
reopen(void)
{
    engine_close(engine);
    open_write();
}

/* ---- small helpers -------------------------------------------------------------------------- */

static struct txn *
begin(enum txn_isolation isolation)
{
    struct txn *t = txn_new(engine);

    ck_assert_int_eq(txn_begin(t, isolation, false), 0);
    return t;
}

static void
put(struct txn *t, const char *key, const char *value)
{
    ck_assert_int_eq(txn_statement_begin(t), 0);
    ck_assert_msg(txn_put(t, TREE, slice_str(key), slice_str(value)) == 0, "%s",
                  diag_last()->message);
    txn_statement_end(t);
}

static const char *
get_at(struct txn *t, const char *key, const struct read_moment *m)
{
    static char copy[64];
    struct slice value;
    int rc;

    ck_assert_int_eq(txn_statement_begin(t), 0);
    if (m != NULL)
        ck_assert_msg(txn_pin_moment(t, *m) == 0, "%s", diag_last()->message);
    rc = txn_get(t, TREE, slice_str(key), m, &value);
    ck_assert(rc == 0 || rc == ERR_NOT_FOUND);
    if (rc == 0)
        snprintf(copy, sizeof copy, "%.*s", (int)value.size, (const char *)value.data);
    txn_statement_end(t);
    return rc == 0 ? copy : "-";
}

static scn_t
commit(struct txn *t)
{
    struct commit_token token;

    ck_assert_msg(txn_commit(t, &token) == 0, "%s", diag_last()->message);
    if (token.scn != 0)
        ck_assert_int_eq(engine_wait_visible(engine, token.scn, 10000000), 0);
    txn_free(t);
    return token.scn;
}

static scn_t
put_commit(const char *key, const char *value)
{
    struct txn *t = begin(TXN_READ_COMMITTED);

    put(t, key, value);
    return commit(t);
}

#define assert_now(key, want)                                                                      \
    do {                                                                                           \
        struct txn *reader_ = begin(TXN_READ_COMMITTED);                                           \
        ck_assert_str_eq(get_at(reader_, key, NULL), want);                                        \
        txn_rollback(reader_);                                                                     \
        txn_free(reader_);                                                                         \
    } while (0)

/* ---- tests ---------------------------------------------------------------------------------- */

/* TXNE-1 */
START_TEST(commits_are_seen_and_survive_restart)
{
    scn_t a = put_commit("a", "1"), b = put_commit("b", "2");

    ck_assert(b > a);
    assert_now("a", "1");
    reopen();
    assert_now("a", "1");
    assert_now("b", "2");
    assert_now("c", "-");
    put_commit("a", "3");
    reopen();
    reopen();
    assert_now("a", "3");
}
END_TEST

/* TXNE-9: redo that was never flushed is more than memtables may hold, as on a standby that had not
 * applied what it had received: it opens, and works once that has been flushed. */
START_TEST(recovery_takes_the_memory_that_it_needs)
{
    static char big[8000];
    char key[16];
    struct txn *t;

    memset(big, 'v', sizeof big - 1);
    engine_close(engine);
    mount_with(8 << 20, true);
    begin_incarnation();
    t = begin(TXN_READ_COMMITTED);
    for (int i = 0; i < 600; i++) {
        snprintf(key, sizeof key, "k%d", i);
        put(t, key, big);
    }
    commit(t);
    engine_close(engine);
    mount_with(1 << 20, true);
    begin_incarnation();
    ck_assert_int_eq(engine_flush_all(engine), 0);
    put_commit("a", "1");
    assert_now("a", "1");
    reopen();
    t = begin(TXN_READ_COMMITTED);
    ck_assert_uint_eq(strlen(get_at(t, "k599", NULL)), 63); /* as much as it copies */
    txn_rollback(t);
    txn_free(t);
}
END_TEST

START_TEST(rollback_leaves_nothing)
{
    struct txn *t = begin(TXN_READ_COMMITTED);

    put(t, "a", "1");
    ck_assert_str_eq(get_at(t, "a", NULL), "1");
    txn_rollback(t);
    txn_free(t);
    assert_now("a", "-");
    reopen();
    assert_now("a", "-");
}
END_TEST

/* TXNE-4 */
START_TEST(snapshots_hold_still)
{
    struct txn *rr, *rc;

    put_commit("a", "1");
    rr = begin(TXN_REPEATABLE_READ);
    rc = begin(TXN_READ_COMMITTED);
    ck_assert_str_eq(get_at(rr, "a", NULL), "1");
    ck_assert_str_eq(get_at(rc, "a", NULL), "1");
    put_commit("a", "2");
    ck_assert_str_eq(get_at(rr, "a", NULL), "1");
    ck_assert_str_eq(get_at(rc, "a", NULL), "2");
    /* A write onto a row that has changed since the snapshot is refused. */
    ck_assert_int_eq(txn_statement_begin(rr), 0);
    ck_assert_int_eq(txn_put(rr, TREE, slice_str("a"), slice_str("3")), ERR_SERIALIZATION_FAILURE);
    txn_statement_end(rr);
    txn_rollback(rr);
    txn_free(rr);
    commit(rc);
}
END_TEST

START_TEST(past_moments_are_read)
{
    scn_t one = put_commit("a", "1"), two = put_commit("a", "2");
    struct txn *t;

    put_commit("a", "3");
    for (int round = 0; round < 3; round++) {
        t = begin(TXN_READ_COMMITTED);
        ck_assert_str_eq(get_at(t, "a", &(struct read_moment){ 0, one }), "1");
        ck_assert_str_eq(get_at(t, "a", &(struct read_moment){ 0, two }), "2");
        ck_assert_str_eq(get_at(t, "a", NULL), "3");
        ck_assert_int_eq(txn_statement_begin(t), 0);
        ck_assert_int_eq(txn_pin_moment(t, (struct read_moment){ 0, 1000000 }),
                         ERR_TARGET_UNREACHABLE);
        txn_statement_end(t);
        txn_rollback(t);
        txn_free(t);
        if (round == 0)
            ck_assert_msg(engine_flush_all(engine) == 0, "%s", diag_last()->message);
        else
            reopen();
    }
}
END_TEST

/* TXNE-6 */
START_TEST(savepoints_nest)
{
    struct txn *t = begin(TXN_READ_COMMITTED);
    int outer, inner;

    put(t, "a", "1");
    ck_assert_int_eq(txn_savepoint(t, &outer), 0);
    put(t, "a", "2");
    put(t, "b", "2");
    ck_assert_int_eq(txn_savepoint(t, &inner), 0);
    put(t, "a", "3");
    ck_assert_str_eq(get_at(t, "a", NULL), "3");
    txn_rollback_to(t, inner);
    ck_assert_str_eq(get_at(t, "a", NULL), "2");
    txn_rollback_to(t, outer);
    ck_assert_str_eq(get_at(t, "a", NULL), "1");
    ck_assert_str_eq(get_at(t, "b", NULL), "-");
    put(t, "c", "4");
    txn_release(t, outer);
    commit(t);
    assert_now("a", "1");
    assert_now("b", "-");
    assert_now("c", "4");
    reopen();
    assert_now("a", "1");
    assert_now("b", "-");
    assert_now("c", "4");
}
END_TEST

START_TEST(larger_than_memory)
{
    struct txn *t = begin(TXN_READ_COMMITTED);
    char key[16], value[1000];

    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (int i = 0; i < 12000; i++) {
        snprintf(key, sizeof key, "k%06d", i);
        put(t, key, value);
    }
    assert_now("k000000", "-");
    ck_assert_uint_eq(strlen(get_at(t, "k011999", NULL)), 63);
    commit(t);
    reopen();
    assert_now("k012000", "-");
    t = begin(TXN_READ_COMMITTED);
    ck_assert_int_eq(txn_statement_begin(t), 0);
    {
        struct txn_cursor *c;
        struct slice k, v;
        int rows = 0, rc;

        ck_assert_int_eq(txn_scan(t, TREE, slice("", 0), slice(NULL, 0), 0, NULL, &c), 0);
        while ((rc = txn_cursor_next(c, &k, &v)) == 0) {
            ck_assert_uint_eq(v.size, sizeof value - 1);
            rows++;
        }
        ck_assert_int_eq(rc, ERR_END);
        ck_assert_int_eq(rows, 12000);
        txn_cursor_close(c);
    }
    txn_statement_end(t);
    commit(t);
}
END_TEST

/* ---- several fibers ------------------------------------------------------------------------- */

enum { COUNTER_FIBERS = 16, COUNTER_ROUNDS = 50 };

static void
increment_fiber(void *arg)
{
    (void)arg;
    for (int i = 0; i < COUNTER_ROUNDS; i++) {
        struct txn *t = begin(TXN_READ_COMMITTED);
        struct txn_row row;
        struct commit_token token;
        char text[24];
        int rc;

        ck_assert_int_eq(txn_statement_begin(t), 0);
        do {
            ck_assert_msg(txn_read_newest(t, TREE, slice_str("n"), LOCK_WAIT, &row) == 0, "%s",
                          diag_last()->message);
            snprintf(text, sizeof text, "%.*s", row.found ? (int)row.value.size : 1,
                     row.found ? (const char *)row.value.data : "0");
            snprintf(text, sizeof text, "%d", atoi(text) + 1);
            rc = txn_write(t, TREE, slice_str("n"), TXN_PUT, slice_str(text), &row);
        } while (rc == ERR_AGAIN);
        ck_assert_int_eq(rc, 0);
        txn_statement_end(t);
        fiber_yield();
        ck_assert_int_eq(txn_commit(t, &token), 0);
        txn_free(t);
    }
}

/* TXNE-3 */
START_TEST(a_hot_row_loses_no_update)
{
    struct sched *s = sched_new(env);
    char want[16];

    for (int i = 0; i < COUNTER_FIBERS; i++)
        fiber_start(s, "increment", 0, increment_fiber, NULL);
    sched_run(s, true);
    sched_free(s);
    ck_assert_int_eq(engine_wait_visible(engine, engine_newest_scn(engine), 10000000), 0);
    snprintf(want, sizeof want, "%d", COUNTER_FIBERS * COUNTER_ROUNDS);
    assert_now("n", want);
}
END_TEST

static int deadlocks, crossings;

/* Two fibers take two rows in opposite order, parking in between. */
static void
cross_fiber(void *arg)
{
    const char *first = arg, *second = first[0] == 'x' ? "y" : "x";
    struct txn *t = begin(TXN_READ_COMMITTED);
    struct commit_token token;
    int rc;

    put(t, first, "1");
    fiber_yield();
    fiber_yield();
    ck_assert_int_eq(txn_statement_begin(t), 0);
    rc = txn_put(t, TREE, slice_str(second), slice_str("2"));
    if (rc == ERR_DEADLOCK) {
        deadlocks++;
        txn_rollback(t);
    } else {
        ck_assert_int_eq(rc, 0);
        txn_statement_end(t);
        ck_assert_int_eq(txn_commit(t, &token), 0);
        crossings++;
    }
    txn_free(t);
}

/* TXNE-5 */
START_TEST(f10_a_deadlock_is_found_when_it_forms)
{
    struct sched *s = sched_new(env);
    char x[] = "x", y[] = "y";

    deadlocks = crossings = 0;
    fiber_start(s, "cross", 0, cross_fiber, x);
    fiber_start(s, "cross", 0, cross_fiber, y);
    sched_run(s, true);
    sched_free(s);
    ck_assert_int_eq(deadlocks, 1);
    ck_assert_int_eq(crossings, 1);
}
END_TEST

static struct fiber *committing;

static void
held_fiber(void *arg)
{
    struct txn *t = begin(TXN_READ_COMMITTED);
    struct commit_token token;

    (void)arg;
    put(t, "held", "1");
    ck_assert_int_eq(txn_commit(t, &token), ERR_QUERY_CANCELED);
    txn_free(t);
}

static void
interrupting_fiber(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++)
        fiber_yield(); /* the other one waits by now */
    fiber_interrupt(committing);
}

/* While a switchover drains, a commit that has not begun can still be canceled, and nothing of it
 * is left; it must not keep its thread from others meanwhile. */
START_TEST(a_held_commit_can_be_canceled)
{
    struct sched *s = sched_new(env);

    engine_hold_commits(engine, true);
    committing = fiber_start(s, "held", 0, held_fiber, NULL);
    fiber_start(s, "interrupting", 0, interrupting_fiber, NULL);
    sched_run(s, true);
    sched_free(s);
    engine_hold_commits(engine, false);
    assert_now("held", "-");
}
END_TEST

START_TEST(trees_come_and_go_with_their_transaction)
{
    struct txn *t = begin(TXN_READ_COMMITTED);
    tree_id_t kept, gone;
    struct slice value;

    ck_assert_int_eq(txn_tree_create(t, &kept), 0);
    ck_assert_int_eq(txn_statement_begin(t), 0);
    ck_assert_int_eq(txn_put(t, kept, slice_str("a"), slice_str("1")), 0);
    txn_statement_end(t);
    commit(t);
    t = begin(TXN_READ_COMMITTED);
    ck_assert_int_eq(txn_tree_create(t, &gone), 0);
    ck_assert(gone != kept);
    txn_rollback(t);
    txn_free(t);
    reopen();
    t = begin(TXN_READ_COMMITTED);
    ck_assert_int_eq(txn_statement_begin(t), 0);
    ck_assert_int_eq(txn_get(t, kept, slice_str("a"), NULL, &value), 0);
    txn_statement_end(t);
    txn_rollback(t);
    txn_free(t);
}
END_TEST

/* TXNE-7 */
START_TEST(ids_are_never_given_twice)
{
    uint64_t first, second, third;

    ck_assert_int_eq(engine_ids(engine, "row", 10, &first), 0);
    ck_assert_int_eq(engine_ids(engine, "row", 1, &second), 0);
    ck_assert_uint_ge(second, first + 10);
    reopen();
    ck_assert_int_eq(engine_ids(engine, "row", 1, &third), 0);
    ck_assert_uint_gt(third, second);
}
END_TEST

START_TEST(times_find_commits)
{
    scn_t one = put_commit("a", "1"), two = put_commit("a", "2"), found;
    uint64_t at;

    ck_assert_int_eq(engine_time_of_scn(engine, one, &at), 0);
    ck_assert_int_eq(engine_scn_at_time(engine, at, &found), 0);
    ck_assert_uint_eq(found, one);
    ck_assert_int_eq(engine_time_of_scn(engine, two, &at), 0);
    ck_assert_int_eq(engine_scn_at_time(engine, at + 1, &found), 0);
    ck_assert_uint_eq(found, two);
    reopen();
    ck_assert_int_eq(engine_scn_at_time(engine, at, &found), 0);
    ck_assert_uint_eq(found, two);
}
END_TEST

/* LOG-4, with what the manifest knows: the log's last file may not go unnoticed. */
START_TEST(known_redo_is_missed)
{
    static uint8_t value[64 << 10];
    struct engine_options o = {
        .env = env, .dir = dir, .redo_file_bytes = 1 << 20, .no_background = true
    };
    char command[160];
    uint32_t x = 1;

    engine_close(engine);
    ck_assert_int_eq(engine_mount(&o, &engine), 0);
    next_inc++;
    ck_assert_int_eq(engine_open_write(engine, next_inc, 77 + next_inc), 0);
    for (int i = 0; i < 36; i++) {
        struct commit_token token;
        struct txn *t = begin(TXN_READ_COMMITTED);

        for (size_t k = 0; k + 4 <= sizeof value; k += 4)
            store_u32(value + k, x = x * 1664525u + 1013904223u);
        ck_assert_int_eq(txn_statement_begin(t), 0);
        ck_assert_int_eq(txn_put(t, TREE, slice(&x, 4), slice(value, sizeof value)), 0);
        txn_statement_end(t);
        ck_assert_int_eq(txn_commit(t, &token), 0);
        txn_free(t);
    }
    engine_close(engine);
    engine = NULL;
    snprintf(
        command, sizeof command,
        "test $(ls %s/redo/redo-* | wc -l) -gt 1 && mv $(ls %s/redo/redo-* | tail -n 1) %s/away",
        dir, dir, dir);
    ck_assert_int_eq(system(command), 0);
    ck_assert_int_eq(engine_mount(&o, &engine), ERR_CORRUPT);
    ck_assert_ptr_nonnull(strstr(diag_last()->message, "had been durable"));
    diag_clear();
    engine = NULL;
}
END_TEST

/* A transaction whose records found no room in the log does not commit without them, whatever its
 * client rolls back to (TXNE-2). `_i` 0: its own spill; 1: a flush of its memtable appends them. */
START_TEST(lost_records_are_not_committed)
{
    static uint8_t value[200 << 10];
    struct txn *t = begin(TXN_READ_COMMITTED);
    atomic_bool *full = &engine_redo(engine)->files.disk_full;
    struct commit_token token;
    int savepoint;

    put(t, "a", "1");
    ck_assert_int_eq(txn_savepoint(t, &savepoint), 0);
    redo_files_settle(engine_redo(engine)); /* files made meanwhile would say that there is room */
    atomic_store(full, true);
    if (_i == 0) {
        ck_assert_int_eq(txn_statement_begin(t), 0);
        ck_assert_int_eq(txn_put(t, TREE, slice_str("b"), slice(value, sizeof value)),
                         ERR_DISK_FULL);
        diag_clear();
        txn_statement_end(t);
    } else {
        ck_assert_int_eq(engine_flush_all(engine), 0);
    }
    atomic_store(full, false);
    txn_rollback_to(t, savepoint);
    ck_assert_int_eq(txn_commit(t, &token), ERR_DISK_FULL);
    diag_clear();
    txn_free(t);
    assert_now("a", "-");
    put_commit("d", "4");
    reopen();
    assert_now("a", "-");
    assert_now("d", "4");
}
END_TEST

static int
note_first(void *arg, incarnation_t inc, struct lsn first, struct redo_pos end)
{
    struct redo_pos *of = arg;

    (void)end;
    if (inc == of->inc)
        of->lsn = first;
    return 0;
}

/* LOG-8: a branch that was opened beside the way of the reign that is followed, and left again, is
 * an orphan's as any other: its redo goes once nothing needs it (`_i` 0). It stays while the way
 * leads there (1). */
START_TEST(redo_of_a_side_branch_is_released)
{
    static uint8_t value[700 << 10];
    struct lineage peer;
    struct lineage_entry next = { .inc = 60, .reign_id = 137 };
    struct redo_pos at, first = { .inc = 50 };
    struct lsn start;

    engine_close(engine);
    mount_with(64 << 20, true);
    begin_incarnation();
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (uint8_t)env_random_u64(env);
    put_commit("a", "1");
    ck_assert_int_eq(engine_flush_all(engine), 0);
    engine_close_write(engine);
    ck_assert_int_eq(engine_log_end(engine, next_inc, &at), 0);
    ck_assert_int_eq(engine_open_write(engine, 50, 127), 0);
    for (int i = 0; i < 5; i++) {
        struct txn *t = begin(TXN_READ_COMMITTED);
        struct commit_token token;

        ck_assert_int_eq(txn_statement_begin(t), 0);
        ck_assert_int_eq(txn_put(t, TREE, slice_str("b"), slice(value, sizeof value)), 0);
        txn_statement_end(t);
        ck_assert_int_eq(txn_commit(t, &token), 0);
        txn_free(t);
    }
    engine_close_write(engine);
    start = lineage_find(engine_lineage(engine), 50)->start_lsn;

    next.parent = next.prev = next_inc;
    next.fork_scn = at.scn + 100;
    next.start_lsn = lsn_make(at.lsn.v + (1 << 20));
    lineage_init(&peer);
    ck_assert_int_eq(lineage_add(&peer, lineage_find(engine_lineage(engine), 1)), 0);
    ck_assert_int_eq(lineage_add(&peer, lineage_find(engine_lineage(engine), next_inc)), 0);
    ck_assert_int_eq(lineage_add(&peer, &next), 0);
    ck_assert_int_eq(engine_lineage_merge(engine, &peer, NULL), 0);
    lineage_fini(&peer);
    ck_assert_msg(engine_follow_cut(engine, 60, &at, NULL) == 0, "%s", diag_last()->message);
    ck_assert_int_eq(engine_incarnation(engine), next_inc);
    ck_assert_int_eq(engine_follow_start(engine, _i == 0 ? 60 : 50), 0);
    ck_assert_int_eq(redo_each(engine_redo(engine), note_first, &first), 0);
    ck_assert_uint_eq(first.lsn.v, start.v);
    ck_assert_int_eq(engine_flush_all(engine), 0);
    redo_files_settle(engine_redo(engine));
    ck_assert_int_eq(redo_each(engine_redo(engine), note_first, &first), 0);
    ck_assert((first.lsn.v > start.v) == (_i == 0));
    engine_follow_stop(engine);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("engine");
    TCase *c = tcase_create("engine");
    SRunner *r = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 120);
    tcase_add_test(c, commits_are_seen_and_survive_restart);
    tcase_add_test(c, recovery_takes_the_memory_that_it_needs);
    tcase_add_test(c, rollback_leaves_nothing);
    tcase_add_test(c, snapshots_hold_still);
    tcase_add_test(c, past_moments_are_read);
    tcase_add_test(c, savepoints_nest);
    tcase_add_test(c, larger_than_memory);
    tcase_add_test(c, a_hot_row_loses_no_update);
    tcase_add_test(c, f10_a_deadlock_is_found_when_it_forms);
    tcase_add_test(c, a_held_commit_can_be_canceled);
    tcase_add_test(c, trees_come_and_go_with_their_transaction);
    tcase_add_test(c, ids_are_never_given_twice);
    tcase_add_test(c, times_find_commits);
    tcase_add_test(c, known_redo_is_missed);
    tcase_add_loop_test(c, lost_records_are_not_committed, 0, 2);
    tcase_add_loop_test(c, redo_of_a_side_branch_is_released, 0, 2);
    suite_add_tcase(s, c);
    srunner_set_fork_status(r, getenv("RD_FORK") != NULL ? CK_FORK : CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
