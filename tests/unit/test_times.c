/* When commits were, and what became of transactions, over flushes, restarts and cuts.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/env.h"
#include "engine/engine.h"
#include "engine/redo/redo.h"
#include "engine/txn/engine_int.h"

enum { TREE = 1 };

static struct env *env;
static struct engine *engine;
static char dir[64];
static incarnation_t next_inc;

static void
mount(void)
{
    struct engine_options o = {
        .env = env,
        .dir = dir,
        .memtable_bytes = 4 << 20,
        .cache_bytes = 4 << 20,
        .ring_bytes = 1 << 20,
        .redo_file_bytes = 1 << 20,
    };

    ck_assert_msg(engine_mount(&o, &engine) == 0, "%s", diag_last()->message);
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
    snprintf(dir, sizeof dir, "/tmp/rd-times-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
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

/* ---- times ----------------------------------------------------------------------------------- */

enum { TIMED = 40, SECOND_US = 1000000 };

static void
mount_all_visible(void)
{
    struct redo_pos end;

    mount();
    ck_assert_int_eq(engine_end_of_log(engine, &end), 0);
    engine_publish(engine, end.lsn);
}

static void
check_times(const scn_t *scn, const uint64_t *at)
{
    for (int i = 0; i < TIMED; i++) {
        scn_t found;
        uint64_t time;

        ck_assert_int_eq(engine_time_of_scn(engine, scn[i], &time), 0);
        ck_assert_uint_eq(time, at[i]);
        ck_assert_int_eq(engine_scn_at_time(engine, at[i], &found), 0);
        ck_assert_uint_eq(found, scn[i]);
        if (scn[i] == 1)
            continue;
        ck_assert_int_eq(engine_scn_at_time(engine, at[i] - 1, &found), 0);
        ck_assert_uint_eq(found, scn[i] - 1); /* the keeper has commits of its own between */
    }
}

/* TXNE-10: in the first second nothing of it is stored, and a flush lets go of nothing. */
START_TEST(times_outlive_a_flush)
{
    scn_t scn[TIMED];
    uint64_t at[TIMED];

    for (int i = 0; i < TIMED; i++) {
        if (i % 10 == 5)
            ck_assert_int_eq(engine_flush_all(engine), 0);
        if (i % 10 == 7)
            reopen();
        scn[i] = put_commit("a", "1");
        ck_assert_int_eq(engine_time_of_scn(engine, scn[i], &at[i]), 0);
    }
    check_times(scn, at);
    ck_assert_int_eq(engine_flush_all(engine), 0);
    engine_close(engine);
    mount_all_visible();
    check_times(scn, at);
}
END_TEST

/* The keeper stores what is there after `scn`, as a commit of its own. */
static void
wait_for_row(scn_t scn)
{
    scn_t stored;

    do {
        env_sleep_us(env, 1000);
        stored = engine_newest_scn(engine);
    } while (stored == scn);
    ck_assert_int_eq(engine_wait_visible(engine, stored, UINT64_MAX), 0);
}

/* TXNE-10: going back hides the rows in which times were stored after that moment, not the times.
 */
START_TEST(times_outlive_a_cut)
{
    scn_t scn[TIMED];
    uint64_t at[TIMED];

    for (int i = 0; i < TIMED; i++) {
        scn[i] = put_commit("a", "1");
        ck_assert_int_eq(engine_time_of_scn(engine, scn[i], &at[i]), 0);
    }
    wait_for_row(scn[TIMED - 1]);
    ck_assert_int_eq(engine_flush_all(engine), 0);
    reopen();
    ck_assert_int_eq(engine_flush_all(engine), 0);
    engine_close(engine);
    mount_all_visible();
    next_inc++;
    ck_assert_int_eq(engine_open_write_at(engine, next_inc, 77, scn[TIMED - 1]), 0);
    check_times(scn, at);
    reopen();
    check_times(scn, at);
}
END_TEST

/* TXNE-10: the same where memory is full of commits that are cut off. */
START_TEST(times_outlive_a_cut_of_many)
{
    scn_t scn[TIMED], newest;
    uint64_t at[TIMED];

    for (int i = 0; i < TIMED; i++) {
        scn[i] = put_commit("a", "1");
        ck_assert_int_eq(engine_time_of_scn(engine, scn[i], &at[i]), 0);
    }
    wait_for_row(scn[TIMED - 1]);
    engine_close(engine);
    mount_all_visible();
    newest = engine_newest_scn(engine);
    for (scn_t i = 1; i <= TIMES_RECENT; i++)
        times_note(&engine->times,
                   &(struct commit_time){ newest + i, at[TIMED - 1] + SECOND_US + i, LSN_MAX, 1 });
    next_inc++;
    ck_assert_int_eq(engine_open_write_at(engine, next_inc, 77, scn[TIMED - 1]), 0);
    check_times(scn, at);
    reopen();
    check_times(scn, at);
}
END_TEST

/* ---- what became of a transaction -------------------------------------------------------------
 */

static enum txn_outcome
outcome_of(txid_t txid)
{
    enum txn_outcome outcome;

    ck_assert_msg(engine_txn_outcome(engine, txid, &outcome) == 0, "%s", diag_last()->message);
    return outcome;
}

static txid_t
put_id(const char *key, bool commits)
{
    struct txn *t = begin(TXN_READ_COMMITTED);
    txid_t id;

    ck_assert_int_eq(txn_assign_id(t), 0);
    id = txn_id(t);
    if (key != NULL)
        put(t, key, "1");
    ck_assert_int_eq(outcome_of(id), TXN_IN_PROGRESS);
    if (commits) {
        commit(t);
        return id;
    }
    txn_rollback(t);
    txn_free(t);
    return id;
}

static void
check_outcomes(const txid_t *ids, int count)
{
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(outcome_of(ids[i]), i % 3 == 0 ? TXN_ABORTED : TXN_COMMITTED);
}

/* TXNE-11, A5: known at once, after restarts whenever they come, and after going back. */
START_TEST(outcomes_are_known)
{
    txid_t ids[60], open;
    enum txn_outcome outcome;
    struct txn *t;

    for (int i = 0; i < 60; i++) {
        ids[i] = put_id(i % 2 == 0 ? NULL : "a", i % 3 != 0);
        if (i % 16 == 8)
            ck_assert_int_eq(engine_flush_all(engine), 0);
        if (i % 16 == 11)
            reopen();
    }
    check_outcomes(ids, 60);
    t = begin(TXN_READ_COMMITTED);
    put(t, "b", "1");
    open = txn_id(t);
    ck_assert_int_eq(outcome_of(open), TXN_IN_PROGRESS);
    ck_assert_int_eq(engine_txn_outcome(engine, open + 100, &outcome), ERR_INVALID_PARAMETER_VALUE);
    ck_assert_int_eq(outcome_of(0), TXN_UNKNOWN);
    txn_rollback(t);
    txn_free(t);
    ck_assert_int_eq(engine_flush_all(engine), 0);
    engine_close(engine);
    mount_all_visible();
    check_outcomes(ids, 60);
    ck_assert_int_ne(outcome_of(open), TXN_COMMITTED);
    next_inc++;
    ck_assert_int_eq(engine_open_write(engine, next_inc, 77), 0);
    check_outcomes(ids, 60);
    ck_assert_int_eq(outcome_of(open), TXN_ABORTED);
}
END_TEST

/* TXNE-11: also while the branch changes and takes back the rows that say so. */
enum { CUTS = 20, ASKED = 8 };

struct asker {
    txid_t ids[ASKED]; /* every third did not commit */
    _Atomic uint32_t turns, wrong;
    atomic_bool stop;
};

static void
ask_main(void *arg)
{
    struct asker *a = arg;

    while (!atomic_load(&a->stop)) {
        for (int i = 0; i < ASKED; i++) {
            enum txn_outcome told, never = i % 3 == 0 ? TXN_COMMITTED : TXN_ABORTED;

            if (engine_txn_outcome(engine, a->ids[i], &told) == 0 && told == never)
                atomic_fetch_add(&a->wrong, 1);
        }
        atomic_fetch_add(&a->turns, 1);
    }
}

/* Until the keeper has seen that rows hold all up to `scn`: memory is not asked for it any more. */
static void
wait_for_kept(scn_t scn)
{
    struct commit_times *c = &engine->times;
    bool kept = false;

    while (!kept) {
        keeper_wake(engine);
        env_sleep_us(env, 100);
        env_mutex_lock(&c->mutex);
        kept = c->kept >= scn;
        env_mutex_unlock(&c->mutex);
    }
}

START_TEST(outcomes_are_right_during_cuts)
{
    struct asker a = { 0 };
    struct env_thread *thread;
    scn_t base;

    for (int i = 0; i < ASKED; i++)
        a.ids[i] = put_id("a", i % 3 != 0);
    base = put_commit("a", "1");
    wait_for_row(base);
    thread = env_thread_start(env, "asker", ask_main, &a);
    for (int i = 0; i < CUTS; i++) {
        uint32_t turns = atomic_load(&a.turns);

        wait_for_kept(base);
        while (atomic_load(&a.turns) == turns)
            env_sleep_us(env, 100);
        engine_close_write(engine);
        engine_publish(engine, LSN_MAX);
        next_inc++;
        ck_assert_msg(engine_open_write_at(engine, next_inc, 77, base) == 0, "%s",
                      diag_last()->message);
    }
    atomic_store(&a.stop, true);
    env_thread_join(thread);
    ck_assert_uint_eq(atomic_load(&a.wrong), 0);
    for (int i = 0; i < ASKED; i++)
        ck_assert_int_eq(outcome_of(a.ids[i]), i % 3 == 0 ? TXN_ABORTED : TXN_COMMITTED);
}
END_TEST

/* TXNE-11: what is not acknowledged is in progress, whatever the log has of it. */
static void
hold_back(void *arg, struct lsn durable, scn_t scn)
{
    (void)arg;
    (void)durable;
    (void)scn;
}

START_TEST(outcome_waits_for_acknowledgement)
{
    struct commit_gate gate = { .on_durable = hold_back };
    struct commit_token token;
    struct txn *t = begin(TXN_READ_COMMITTED);
    txid_t id;

    engine_set_gate(engine, &gate);
    put(t, "a", "1");
    id = txn_id(t);
    ck_assert_int_eq(txn_commit(t, &token), 0);
    txn_free(t);
    ck_assert_int_eq(redo_wait_durable(engine_redo(engine), token.lsn), 0);
    ck_assert_int_eq(outcome_of(id), TXN_IN_PROGRESS);
    engine_publish(engine, token.lsn);
    ck_assert_int_eq(outcome_of(id), TXN_COMMITTED);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("times");
    TCase *c = tcase_create("times");
    SRunner *r = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 120);
    tcase_add_test(c, times_outlive_a_flush);
    tcase_add_test(c, times_outlive_a_cut);
    tcase_add_test(c, times_outlive_a_cut_of_many);
    tcase_add_test(c, outcomes_are_known);
    tcase_add_test(c, outcomes_are_right_during_cuts);
    tcase_add_test(c, outcome_waits_for_acknowledgement);
    suite_add_tcase(s, c);
    srunner_set_fork_status(r, getenv("RD_FORK") != NULL ? CK_FORK : CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
