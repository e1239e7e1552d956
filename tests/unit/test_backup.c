/* The description of a backup: what is written is read again, what was changed is refused. And what
 * a restored database remembers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup/backup.h"
#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/engine.h"
#include "engine/lsm/manifest.h"
#include "tests/support/folder.h"

static void
sample(struct backup *b)
{
    struct lineage_entry e = { .inc = 1, .start_lsn = REDO_LSN_FIRST, .reign_id = 77 };

    backup_init(b);
    ck_assert_int_eq(lineage_add(&b->lineage, &e), 0);
    b->database_id = 0xfedcba9876543210u;
    b->inc = 1;
    b->from = (struct redo_pos){ 1, { 5000 }, 3, 1700000000000000, { 1, 2 } };
    b->end = (struct redo_pos){ 1, { 9000 }, 40, 1700000001000000, { 3, 0xffffffffffffffffu } };
    b->horizon = 2;
    b->horizon_time_us = 1699999999000000;
    b->taken_us = 1700000002000000;
    b->file_count = b->file_cap = 2;
    b->files = xcalloc(2, sizeof *b->files);
    snprintf(b->files[0].path, BACKUP_PATH_MAX, "manifest");
    snprintf(b->files[1].path, BACKUP_PATH_MAX, "segments/0000000000000001.seg");
    b->files[1].size = 12345;
    b->files[1].hash.hi = 9;
}

static void
reseal(struct writer *w)
{
    char crc[16];

    w->size -= 13;
    snprintf(crc, sizeof crc, "crc %08x\n", crc32c(0, w->data, w->size));
    wr_bytes(w, crc, 13);
}

START_TEST(test_round_trip)
{
    struct backup a, b;
    struct writer w, again;

    sample(&a);
    wr_init(&w, 0);
    wr_init(&again, 0);
    backup_encode(&w, &a);
    ck_assert_int_eq(backup_decode(wr_view(&w), &b), 0);
    backup_encode(&again, &b);
    ck_assert(slice_eq(wr_view(&w), wr_view(&again)));
    ck_assert_uint_eq(b.end.chain.hi, a.end.chain.hi);
    ck_assert_uint_eq(backup_bytes(&b), 12345);
    wr_fini(&w);
    wr_fini(&again);
    backup_fini(&a);
    backup_fini(&b);
}
END_TEST

/* BACKUP-1: any byte changed, any end cut off. */
START_TEST(test_damage_is_refused)
{
    struct backup a, b;
    struct writer w;

    sample(&a);
    wr_init(&w, 0);
    backup_encode(&w, &a);
    for (size_t i = 0; i < w.size; i++) {
        w.data[i] ^= 1;
        ck_assert_int_ne(backup_decode(wr_view(&w), &b), 0);
        backup_fini(&b);
        w.data[i] ^= 1;
        ck_assert_int_ne(backup_decode(slice(w.data, i), &b), 0);
        backup_fini(&b);
    }
    wr_fini(&w);
    backup_fini(&a);
}
END_TEST

/* BACKUP-2: also where the checksum is right. */
START_TEST(test_paths_stay_inside)
{
    static const char *const bad[] = { "../x", "/etc/x", "a//b", "a/../b", "a/", ".hidden", "a b" };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct backup a, b;
        struct writer w;

        sample(&a);
        snprintf(a.files[0].path, BACKUP_PATH_MAX, "%s", bad[i]);
        wr_init(&w, 0);
        backup_encode(&w, &a);
        ck_assert_msg(backup_decode(wr_view(&w), &b) == ERR_CORRUPT, "%s was taken", bad[i]);
        wr_fini(&w);
        backup_fini(&a);
        backup_fini(&b);
    }
}
END_TEST

/* Random lines under a right checksum: an answer or an error, never more. */
START_TEST(test_nonsense)
{
    uint64_t z = 12345;

    for (int round = 0; round < 3000; round++) {
        struct backup a, b;
        struct writer w;

        sample(&a);
        wr_init(&w, 0);
        backup_encode(&w, &a);
        for (int k = 0; k < 3; k++) {
            z = z * 6364136223846793005u + 1442695040888963407u;
            w.data[(z >> 33) % (w.size - 13)] = (uint8_t)(" 0aZ\n9\xff/"[(z >> 20) & 7]);
        }
        reseal(&w);
        if (backup_decode(wr_view(&w), &b) != 0)
            diag_clear();
        wr_fini(&w);
        backup_fini(&a);
        backup_fini(&b);
    }
}
END_TEST

/* BACKUP-3 */
START_TEST(test_targets)
{
    struct restore_reach reach = { 40, 1700000001000000 };
    struct restore_target t = { .has_scn = true };
    struct backup b;

    sample(&b);
    static const struct {
        scn_t scn;
        bool ok;
    } cases[] = { { 1, false }, { 2, true }, { 40, true }, { 41, false } };
    for (size_t i = 0; i < 4; i++) {
        t.scn = cases[i].scn;
        ck_assert_int_eq(restore_check(&b, &t, &reach) == 0, cases[i].ok);
    }
    t = (struct restore_target){ .has_time = true, .time_us = 1700000001000001 };
    ck_assert_int_eq(restore_check(&b, &t, &reach), ERR_TARGET_UNREACHABLE);
    t.time_us = 1699999998999999;
    ck_assert_int_eq(restore_check(&b, &t, &reach), ERR_TARGET_UNREACHABLE);
    t.time_us = 1700000000500000;
    ck_assert_int_eq(restore_check(&b, &t, &reach), 0);
    t = (struct restore_target){ 0 };
    ck_assert_int_eq(restore_check(&b, &t, &reach), 0);
    backup_fini(&b);
}
END_TEST

/* Incarnation 2 left 1 at SCN 30, LSN 8000; the backup went on to SCN 40, LSN 9000. */
static void
left_behind(struct lineage *l, struct lsn at)
{
    struct lineage_entry one = { .inc = 1, .start_lsn = REDO_LSN_FIRST, .reign_id = 77 };
    struct lineage_entry two = { 2, 1, 30, 1, at, 78 };

    lineage_init(l);
    ck_assert_int_eq(lineage_add(l, &one), 0);
    ck_assert_int_eq(lineage_add(l, &two), 0);
}

/* BACKUP-3: of a member that has left the backup's branch. */
START_TEST(test_abandoned_branch)
{
    struct restore_target t = { .has_scn = true, .scn = 30 };
    struct restore_reach reach = { 500, 1700000009000000 };
    incarnation_t inc = 2;
    struct lineage l;
    struct backup b;

    sample(&b);
    left_behind(&l, lsn_make(9000)); /* it ends where the next begins */
    t.scn = 450;
    ck_assert_int_eq(restore_choose(&b, &t, &l, &inc, &reach), 0);
    ck_assert_uint_eq(inc, 2);
    ck_assert_uint_eq(reach.scn, 500);
    lineage_fini(&l);

    left_behind(&l, lsn_make(8000));
    ck_assert_int_eq(restore_choose(&b, &t, &l, &inc, &reach), ERR_TARGET_UNREACHABLE);
    t.scn = 31; /* there is one on either branch */
    ck_assert_int_eq(restore_choose(&b, &t, &l, &inc, &reach), ERR_TARGET_UNREACHABLE);
    t = (struct restore_target){ .has_time = true, .time_us = 1 };
    ck_assert_int_eq(restore_choose(&b, &t, &l, &inc, &reach), ERR_TARGET_UNREACHABLE);
    ck_assert_uint_eq(inc, 2);
    t = (struct restore_target){ .has_scn = true, .scn = 30 };
    ck_assert_int_eq(restore_choose(&b, &t, &l, &inc, &reach), 0);
    ck_assert_uint_eq(inc, 1);
    ck_assert_uint_eq(reach.scn, 40);
    ck_assert_ptr_null(lineage_find(&l, 2));
    lineage_fini(&l);

    left_behind(&l, lsn_make(8000));
    l.entries[0].reign_id++;
    ck_assert_int_eq(restore_choose(&b, &t, &l, &inc, &reach), ERR_DIVERGED);
    lineage_fini(&l);
    backup_fini(&b);
}
END_TEST

/* ---- restoring ----------------------------------------------------------------------------------
 */

enum { TREE = 1 };

static struct env *env;
static char root[64], parent_dir[96];

static void
must(int rc)
{
    ck_assert_msg(rc == 0, "%s", diag_last()->message);
}

static scn_t
commit_some(struct engine *e, int n)
{
    struct commit_token token = { 0 };

    for (int i = 0; i < n; i++) {
        struct txn *t = txn_new(e);

        must(txn_begin(t, TXN_READ_COMMITTED, false));
        must(txn_statement_begin(t));
        must(txn_put(t, TREE, slice_str("key"), slice_str("value")));
        txn_statement_end(t);
        must(txn_commit(t, &token));
        txn_free(t);
    }
    return token.scn;
}

/* The folder of a closed database becomes a backup, and all of its redo belongs to it. */
static void
describe(const char *dir, struct backup *b)
{
    struct engine_options o = { .env = env, .dir = dir };
    struct engine *e;

    backup_init(b);
    must(engine_mount(&o, &e));
    b->database_id = engine_database_id(e);
    must(engine_end_of_log(e, &b->end));
    b->inc = b->end.inc;
    b->from.lsn = REDO_LSN_FIRST;
    lineage_copy(&b->lineage, engine_lineage(e));
    engine_close(e);
    must(backup_finish(env, dir, b));
}

/* Incarnation 1 ends at the SCN that is returned, 2 goes on from there. */
static scn_t
make_parent(struct backup *b)
{
    struct engine_options o = { .env = env = env_posix_new(), .dir = parent_dir };
    struct engine *e;
    uint64_t id;
    scn_t fork;

    test_folder(root, sizeof root, "rd-backup");
    snprintf(parent_dir, sizeof parent_dir, "%s/parent", root);
    must(engine_create(env, parent_dir, &id));
    must(engine_mount(&o, &e));
    must(engine_open_write(e, 1, 71));
    fork = commit_some(e, 5);
    engine_close(e);
    must(engine_mount(&o, &e));
    must(engine_open_write(e, 2, 72));
    (void)commit_some(e, 5);
    engine_close(e);
    describe(parent_dir, b);
    return fork;
}

static void
remove_all(struct backup *b)
{
    char command[128];

    backup_fini(b);
    env_free(env);
    snprintf(command, sizeof command, "rm -rf %s", root);
    ck_assert_int_eq(system(command), 0);
}

static void
restore_to(const struct backup *b, const char *from, const char *to, uint64_t id, scn_t wanted)
{
    struct restore_options o = { .env = env,
                                 .from = from,
                                 .to = to,
                                 .backup = b,
                                 .lineage = &b->lineage,
                                 .inc = b->inc,
                                 .target = { .has_scn = true, .scn = wanted },
                                 .database_id = id };
    struct restore *r;
    incarnation_t inc;
    scn_t scn;

    must(restore_begin(&o, &r));
    must(restore_finish(r, 99, &inc, &scn));
    restore_free(r);
    ck_assert_uint_eq(scn, wanted);
}

static void
remembers(const char *dir, uint64_t id, incarnation_t inc, scn_t scn)
{
    uint64_t sequence;
    struct manifest *m;
    struct writer w;
    struct reader r;

    must(manifest_open(env, dir, &m));
    wr_init(&w, 0);
    must(manifest_get_blob(m, "parent", &sequence, &w));
    rd_init(&r, w.data, w.size);
    ck_assert_uint_eq(rd_u64(&r), id);
    ck_assert_uint_eq(rd_u32(&r), inc);
    ck_assert_uint_eq(rd_u64(&r), scn);
    ck_assert(rd_ok(&r));
    wr_fini(&w);
    manifest_close(m);
}

/* BACKUP-4: the parent's incarnation is that of the target, also where the redo that was read goes
 * on into later ones; and a restore of what was restored remembers its own parent. */
START_TEST(test_parent_is_remembered)
{
    struct backup b, again;
    scn_t fork = make_parent(&b);
    char first[96], second[96], third[96];

    snprintf(first, sizeof first, "%s/first", root);
    snprintf(second, sizeof second, "%s/second", root);
    snprintf(third, sizeof third, "%s/third", root);
    restore_to(&b, parent_dir, first, 1001, fork + 2);
    remembers(first, b.database_id, 2, fork + 2);
    restore_to(&b, parent_dir, second, 1002, fork - 1);
    remembers(second, b.database_id, 1, fork - 1);

    describe(second, &again);
    ck_assert_uint_eq(again.database_id, 1002);
    restore_to(&again, second, third, 1003, fork - 1);
    remembers(third, 1002, 1, fork - 1);
    backup_fini(&again);
    remove_all(&b);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("backup");
    TCase *tc = tcase_create("backup");
    SRunner *sr;
    int failed;

    tcase_add_test(tc, test_round_trip);
    tcase_add_test(tc, test_damage_is_refused);
    tcase_add_test(tc, test_paths_stay_inside);
    tcase_add_test(tc, test_nonsense);
    tcase_add_test(tc, test_targets);
    tcase_add_test(tc, test_abandoned_branch);
    tcase_add_test(tc, test_parent_is_remembered);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_set_fork_status(sr, CK_NOFORK);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
