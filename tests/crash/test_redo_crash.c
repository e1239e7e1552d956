/* The log on a lossy disk: the power is cut at every operation, writes fail, get lost or go astray,
 * the disk fills up. What was acknowledged is there afterwards, or its absence is noticed. A1 to
 * A8, A13, B1, B3, B4, B10 of the fault scenarios; LOG-n: engine/redo/README.md.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/fiber.h"
#include "engine/base/mem.h"
#include "engine/base/sim.h"
#include "engine/redo/redo_int.h"
#include "tests/support/redo_rig.h"

enum {
    SCNS_MAX = 4096,
    WRITERS = 3,
    COMMITS = 14,
    CHANGES = SIM_OP_WRITE | SIM_OP_SYNC | SIM_OP_TRUNCATE | SIM_OP_RENAME | SIM_OP_UNLINK |
              SIM_OP_MKDIR | SIM_OP_SYNC_DIR,
};

/* What the outside world knows, and what a manifest would keep. It outlives the node. */
struct ledger {
    struct lineage_entry entries[64];
    uint32_t entry_count;
    uint64_t acked_keys[SCNS_MAX]; /* by SCN; UINT64_MAX: nobody was told of it */
    scn_t newest_acked;
    uint64_t next_key;
    bool archive;
    uint32_t commits; /* of each writer, per life */

    struct redo_rig rig; /* of the present life: its memory is the node's */
    int open_rc;         /* how redo_open went */
    char open_message[400];
    uint32_t refused; /* appends, for want of room */
    bool done;
};

static struct sim *sim;
static struct env *node;
static struct ledger *l;

static void
setup_seed(uint64_t seed)
{
    sim = sim_new(seed);
    node = sim_node_new(sim, "a");
    l = calloc(1, sizeof *l);
    l->commits = COMMITS;
    memset(l->acked_keys, 0xff, sizeof l->acked_keys);
}

static void
teardown(void)
{
    sim_free(sim);
    free(l);
}

/* ---- one life of the node ------------------------------------------------------------------- */

static void
writer_run(void *arg)
{
    uint64_t spread = (uint64_t)(uintptr_t)arg;
    struct writer w;

    wr_init(&w, 0);
    for (uint64_t i = 0; i < l->commits; i++) {
        struct redo_part part;
        uint64_t key = l->next_key++;
        int rc;

        redo_rig_part(&l->rig, &w, key, (i * 977 + spread * 331) % 3000, true, &part);
        rc = redo_append(l->rig.redo, &part);
        if (rc == ERR_DISK_FULL) {
            l->refused++;
            continue;
        }
        CHECK(rc == 0 && part.scn < SCNS_MAX);
        rc = redo_wait_durable(l->rig.redo, part.end_lsn);
        CHECK(rc == 0);
        l->acked_keys[part.scn] = key;
        if (part.scn > l->newest_acked)
            l->newest_acked = part.scn;
    }
    wr_fini(&w);
}

/* Every acknowledged commit is there under its SCN; what nobody was told of may be there; and
 * together they are dense (A8). */
static void
verify(incarnation_t inc)
{
    struct redo_cursor *c;
    struct redo_record rec;
    scn_t scn = 0;
    uint64_t key = 0;
    int rc;

    if (inc == 0) {
        CHECK(l->newest_acked == 0);
        return;
    }
    rc = redo_cursor_open(l->rig.redo, inc, REDO_LSN_FIRST, &c);
    CHECK(rc == 0);
    while ((rc = redo_cursor_next(c, &rec)) == 0) {
        struct redo_writes writes;
        struct redo_commit commit;
        struct redo_op op;

        if (rec.type == REDO_WRITES) {
            rc = redo_decode_writes(&rec, &writes);
            CHECK(rc == 0 && redo_op_next(&writes, &op) == 0);
            key = load_u64_be(op.key.data);
        } else if (rec.type == REDO_COMMIT) {
            rc = redo_decode_commit(&rec, &commit);
            CHECK(rc == 0 && commit.scn == ++scn);
            if (l->acked_keys[scn] != UINT64_MAX)
                CHECK(l->acked_keys[scn] == key);
            /* It is history now: whoever sees it must find it again. */
            l->acked_keys[scn] = key;
        }
    }
    CHECK(rc == ERR_END);
    CHECK(scn >= l->newest_acked);
    l->newest_acked = scn;
    redo_cursor_close(c);
}

static bool
open_log(void)
{
    redo_rig_init(&l->rig, env_self(), "");
    l->rig.options.file_bytes = 64 << 10;
    l->rig.options.ring_bytes = 64 << 10;
    l->rig.options.frame_cache_bytes = 256 << 10;
    l->rig.options.archive_dir = l->archive ? l->rig.archive : NULL;
    for (uint32_t i = 0; i < l->entry_count; i++)
        CHECK(lineage_add(&l->rig.lineage, &l->entries[i]) == 0);
    l->open_rc = redo_rig_open(&l->rig);
    snprintf(l->open_message, sizeof l->open_message, "%s", diag_last()->message);
    return l->open_rc == 0;
}

/* The end of the history: of the newest incarnation of which there is any redo. */
static struct redo_pos
find_end(void)
{
    struct redo_pos end = { .lsn = REDO_LSN_FIRST };

    for (uint32_t i = l->entry_count; i > 0; i--) {
        if (redo_end(l->rig.redo, l->entries[i - 1].inc, &end) == 0)
            break;
    }
    return end;
}

static void
life(void *arg)
{
    struct env_thread *threads[WRITERS];
    struct redo_pos end;
    incarnation_t inc;

    (void)arg;
    l->done = false;
    if (open_log()) {
        end = find_end();
        verify(end.inc);
        inc = l->entry_count + 1;
        l->entries[l->entry_count++] =
            (struct lineage_entry){ inc, end.inc, end.scn, end.inc, end.lsn, 0x1000 + inc };
        redo_rig_start_at(&l->rig, inc, &end, end.inc, end.scn);
        for (uintptr_t i = 0; i < WRITERS; i++)
            threads[i] = env_thread_start(env_self(), "writer", writer_run, (void *)i);
        for (int i = 0; i < WRITERS; i++)
            env_thread_join(threads[i]);
        /* Half of what there is is not needed any more: files are recycled. */
        if (l->archive)
            redo_release(l->rig.redo, inc, redo_durable(l->rig.redo));
    }
    redo_rig_fini(&l->rig);
    l->done = true;
}

static void
look(void *arg)
{
    (void)arg;
    l->done = false;
    if (open_log())
        verify(find_end().inc);
    redo_rig_fini(&l->rig);
    l->done = true;
}

static enum sim_result
run_node(void (*fn)(void *arg))
{
    sim_node_start(node, fn, NULL);
    return sim_run(sim, 100 * SIM_SECOND, NULL, NULL);
}

static void
run_well(void (*fn)(void *arg))
{
    enum sim_result r = run_node(fn);

    ck_assert_msg(r == SIM_IDLE && l->done, "%s %s", sim_result_name(r), sim_report(sim));
    ck_assert_msg(l->open_rc == 0, "%s", l->open_message);
}

/* ---- the power is cut ----------------------------------------------------------------------- */

/* LOG-11. At the n-th change of the disk, for every n; then twice more soon after (A13). The two
 * halves: a log that keeps all, and one that archives and recycles. */
START_TEST(test_cut_everywhere)
{
    uint32_t n = (uint32_t)_i, hits = 1;

    for (; hits > 0; n += 4) {
        struct sim_fault cut = { .ops = CHANGES, .kind = SIM_FAULT_CRASH, .skip = n, .count = 1 };
        int handle;

        setup_seed(n * 7 + 1);
        l->archive = n % 2 == 1;
        handle = sim_fault_add(node, &cut);
        ck_assert_int_eq(run_node(life), SIM_IDLE);
        hits = sim_fault_hits(node, handle);
        ck_assert(l->done == (hits == 0));
        sim_fault_clear(node);
        cut.skip = n % 23;
        sim_fault_add(node, &cut);
        ck_assert_int_eq(run_node(life), SIM_IDLE);
        sim_fault_clear(node);
        run_well(look);
        run_well(life);
        run_well(look);
        ck_assert_uint_eq(sim_node_leaked_bytes(node), 0);
        teardown();
    }
    ck_assert_uint_gt(n, 40); /* it was cut in many places */
}
END_TEST

/* The same with the process killed rather than the machine: the disk keeps what was written. */
START_TEST(test_kill_everywhere)
{
    uint32_t n = (uint32_t)_i, hits = 1;

    for (; hits > 0; n += 12) {
        struct sim_fault cut = { .ops = CHANGES, .kind = SIM_FAULT_KILL, .skip = n, .count = 1 };
        int handle;

        setup_seed(n * 11 + 3);
        handle = sim_fault_add(node, &cut);
        ck_assert_int_eq(run_node(life), SIM_IDLE);
        hits = sim_fault_hits(node, handle);
        sim_fault_clear(node);
        run_well(life);
        run_well(look);
        teardown();
    }
}
END_TEST

/* ---- a disk that fails ---------------------------------------------------------------------- */

/* B1: a write of the log that fails ends the node before anybody is told of what was in it. */
START_TEST(test_failed_write)
{
    for (uint32_t n = 0; n < 22; n++) {
        struct sim_fault fault = { .ops = SIM_OP_WRITE,
                                   .kind = n % 2 == 0 ? SIM_FAULT_EIO : SIM_FAULT_TORN,
                                   .path = "/redo/redo-",
                                   .skip = n,
                                   .count = 1 };
        enum sim_result r;

        setup_seed(n + 1);
        sim_fault_add(node, &fault);
        r = run_node(life);
        ck_assert_msg(r == SIM_PANIC, "%u: %s", n, sim_result_name(r));
        ck_assert_ptr_nonnull(strstr(sim_node_last_words(node), "redo could not be written"));
        sim_fault_clear(node);
        run_well(look);
        run_well(life);
        run_well(look);
        teardown();
    }
}
END_TEST

/* LOG-4, B4: a write that the disk took and lost, or put elsewhere, and that was followed by
 * others, is noticed; never is the log cut there in silence. */
START_TEST(test_lost_write)
{
    uint32_t noticed = 0;

    for (uint32_t n = 0; n < 40; n++) {
        struct sim_fault fault = { .ops = SIM_OP_WRITE,
                                   .kind =
                                       n % 2 == 0 ? SIM_FAULT_LOST_WRITE : SIM_FAULT_MISDIRECTED,
                                   .path = "/redo/redo-",
                                   .skip = n / 2,
                                   .count = 1 };
        enum sim_result r;
        int handle;

        setup_seed(n + 1);
        handle = sim_fault_add(node, &fault);
        r = run_node(life);
        ck_assert_int_eq(r, SIM_IDLE);
        if (sim_fault_hits(node, handle) == 1 && l->done) {
            sim_fault_clear(node);
            sim_allow_panic(sim, true);
            r = run_node(look);
            /* Refused when it is opened, or met by the reader; or a whole frame lay in a file that
             * was full, and what was lost was the mark of its end. */
            if (r == SIM_IDLE && sim_node_last_words(node) == NULL && l->open_rc != 0) {
                ck_assert_int_eq(l->open_rc, ERR_CORRUPT);
                noticed++;
            } else if (sim_node_last_words(node) != NULL) {
                ck_assert_ptr_nonnull(strstr(sim_node_last_words(node), "rc == ERR_END"));
                noticed++;
            }
        }
        teardown();
    }
    ck_assert_uint_gt(noticed, 20);
}
END_TEST

/* B10: no room for another file: appends are refused, what was accepted is durable, and it goes on
 * when there is room again. */
START_TEST(test_disk_full)
{
    setup_seed((uint64_t)_i + 1);
    sim_disk_set_capacity(node, 5 * (64 << 10));
    l->commits = 100;
    run_well(life);
    ck_assert_uint_gt(l->refused, 0);
    sim_disk_set_capacity(node, UINT64_MAX);
    l->refused = 0;
    run_well(life);
    ck_assert_uint_eq(l->refused, 0);
    run_well(look);
    teardown();
}
END_TEST

/* ---- a standby ------------------------------------------------------------------------------ */

struct wire {
    uint8_t *bytes[512];
    size_t sizes[512];
    uint32_t count;
    struct redo_pos end;
    struct lsn acked;
};
static struct wire *wire;

/* A primary's redo as a standby would receive it. */
static void
record_frames(void *arg)
{
    struct redo_cursor *c;
    struct redo_frame *f;

    (void)arg;
    CHECK(open_log());
    wire->end = find_end();
    CHECK(redo_cursor_open(l->rig.redo, wire->end.inc, REDO_LSN_FIRST, &c) == 0);
    while (redo_cursor_next_frame(c, &f) == 0) {
        wire->bytes[wire->count] = malloc(f->bytes_size);
        memcpy(wire->bytes[wire->count], f->bytes, f->bytes_size);
        wire->sizes[wire->count++] = f->bytes_size;
    }
    redo_cursor_close(c);
    redo_rig_fini(&l->rig);
    l->done = true;
}

static void
follow_durable(void *arg, const struct redo_pos *pos)
{
    (void)arg;
    wire->acked = pos->lsn;
}

static void
follow(void *arg)
{
    struct redo_listener listener = { .on_durable = follow_durable };
    struct redo_pos end;

    (void)arg;
    l->done = false;
    CHECK(open_log());
    end = find_end();
    CHECK(end.lsn.v >= wire->acked.v);
    redo_listen(l->rig.redo, &listener);
    CHECK(redo_start_following(l->rig.redo, &end) == 0);
    for (uint32_t i = 0; i < wire->count; i++) {
        struct redo_frame *f;

        CHECK(redo_frame_decode(wire->bytes[i], wire->sizes[i], &f) == 0);
        if (lsn_le(end.lsn, f->head.lsn))
            CHECK(redo_append_frame(l->rig.redo, f, wire->end.inc) == 0);
        redo_frame_unref(f);
        if (i % 5 == 4)
            CHECK(redo_wait_durable(l->rig.redo, redo_sealed(l->rig.redo)) == 0);
    }
    redo_stop(l->rig.redo);
    end = redo_durable_pos(l->rig.redo);
    CHECK(end.lsn.v == wire->end.lsn.v && hash128_eq(end.chain, wire->end.chain));
    verify(wire->end.inc);
    redo_unlisten(l->rig.redo, &listener);
    redo_rig_fini(&l->rig);
    l->done = true;
}

/* LOG-6: a standby that loses power at any moment resumes where its own log ends, which is never
 * before what it acknowledged, and ends with the primary's chain. */
START_TEST(test_standby_cut_everywhere)
{
    uint32_t n = (uint32_t)_i, hits = 1;

    wire = calloc(1, sizeof *wire);
    setup_seed(42);
    run_well(life);
    run_well(life);
    run_well(record_frames);
    for (; hits > 0; n += 3) {
        struct sim_fault cut = { .ops = CHANGES, .kind = SIM_FAULT_CRASH, .skip = n, .count = 1 };
        int handle;

        node = sim_node_new(sim, "b");
        wire->acked = lsn_make(0);
        handle = sim_fault_add(node, &cut);
        ck_assert_int_eq(run_node(follow), SIM_IDLE);
        hits = sim_fault_hits(node, handle);
        sim_fault_clear(node);
        run_well(follow);
        run_well(look);
        if (hits > 0) {
            /* One node a round is too many for one simulation: begin another. */
            struct lineage_entry entries[64];
            uint64_t keys[SCNS_MAX];
            uint32_t count = l->entry_count;
            scn_t newest = l->newest_acked;

            memcpy(entries, l->entries, sizeof entries);
            memcpy(keys, l->acked_keys, sizeof keys);
            teardown();
            setup_seed(n + 43);
            memcpy(l->entries, entries, sizeof entries);
            memcpy(l->acked_keys, keys, sizeof keys);
            l->entry_count = count;
            l->newest_acked = newest;
        }
    }
    teardown();
    for (uint32_t i = 0; i < wire->count; i++)
        free(wire->bytes[i]);
    free(wire);
    ck_assert_uint_gt(n, 20);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("redo_crash");
    TCase *t = tcase_create("redo_crash");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(t, test_cut_everywhere, 0, 4);
    tcase_add_loop_test(t, test_kill_everywhere, 0, 2);
    tcase_add_test(t, test_failed_write);
    tcase_add_test(t, test_lost_write);
    tcase_add_loop_test(t, test_disk_full, 0, 4);
    tcase_add_loop_test(t, test_standby_cut_everywhere, 0, 3);
    tcase_set_timeout(t, 300);
    suite_add_tcase(s, t);
    runner = srunner_create(s);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
