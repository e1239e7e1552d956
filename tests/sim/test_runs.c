/* Memtables and segments in the simulated world: every fault point of building and reading a
 * segment, power cuts, threads that give way anywhere.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/lsm/cache.h"
#include "engine/lsm/filter.h"
#include "engine/lsm/memtable.h"
#include "engine/lsm/segment.h"
#include "tests/support/sim_test.h"

enum { FEW = 800, MANY = 8000, VALUE_BYTES = 600, FAULT_POINTS_MAX = 80 };

static const char path[] = "/1.seg";

static struct version_ref
version_at(uint64_t i, uint8_t key[8], uint8_t value[VALUE_BYTES])
{
    store_u64_be(key, i * 3);
    for (size_t n = 0; n < VALUE_BYTES; n++)
        value[n] = (uint8_t)(hash64(&i, sizeof i, n / 8) >> n % 8);
    return (struct version_ref){ .key = slice(key, 8),
                                 .value = slice(value, i % VALUE_BYTES),
                                 .stamp = 1 + i % 50,
                                 .kind = VERSION_PUT };
}

/* ---- building ------------------------------------------------------------------------------- */

static int
build(struct env *env, struct codec_pool *codecs, uint64_t versions, struct segment_result *out)
{
    struct segment_build o = { .env = env,
                               .path = path,
                               .file = 1,
                               .tree = 5,
                               .tag = 1,
                               .kind = SEGMENT_MAIN,
                               .codec = CODEC_LZ4,
                               .filter_bits = 10,
                               .block_bytes = 2000,
                               .read_back = true,
                               .codecs = codecs };
    struct segment_builder *b;
    uint8_t key[8], value[VALUE_BYTES];
    int rc = segment_builder_new(&o, &b);

    for (uint64_t i = 0; rc == 0 && i < versions; i++) {
        struct version_ref v = version_at(i, key, value);

        rc = segment_builder_add(b, &v);
        if (rc != 0)
            segment_builder_discard(b);
    }
    if (rc == 0)
        rc = segment_builder_finish(b, out);
    return rc != 0 ? rc : env_sync_dir(env, "/");
}

/* 0 when every version was there and right; an error when one was met. Never a wrong answer. */
static int
read_all(struct env *env, struct codec_pool *codecs, uint64_t versions, struct segment_id id,
         const struct hash128 *scrub)
{
    struct segment_env se = { .env = env, .codecs = codecs, .cache = cache_new(env, 50000) };
    uint8_t key[8], value[VALUE_BYTES];
    struct segment *s = NULL;
    struct segment_cursor c;
    int rc = segment_open(&se, path, id, &s);

    for (uint64_t i = 0; rc == 0 && i < versions; i++) {
        struct version_ref v = version_at(i, key, value);

        rc = segment_get(s, v.key, filter_hash(v.key), &c);
        if (rc == 0) {
            CHECK(c.valid && c.v.stamp == v.stamp && slice_eq(c.v.value, v.value));
            segment_cursor_close(&c);
        }
    }
    if (rc == 0 && scrub != NULL)
        rc = segment_scrub(s, scrub, NULL, NULL);
    segment_unref(s);
    cache_free(se.cache);
    return rc;
}

/* ---- fault points --------------------------------------------------------------------------- */

struct run {
    struct sim_test_countdown *countdown;
    struct env *node;
    uint64_t versions;
    int built, read, scrubbed; /* results */
    struct segment_result result;
    bool exists;
};

static void
build_and_read_main(void *arg)
{
    struct run *r = arg;
    struct codec_pool *codecs = codec_pool_new(r->node);

    sim_test_arm(r->countdown, r->node);
    r->built = build(r->node, codecs, r->versions, &r->result);
    r->exists = env_exists(r->node, path);
    if (r->built == 0) {
        r->read = read_all(r->node, codecs, r->versions, r->result.id, NULL);
        r->scrubbed = read_all(r->node, codecs, r->versions, r->result.id, &r->result.hash);
    }
    codec_pool_free(codecs);
}

static void
check_leaks(struct env *node)
{
    ck_assert_uint_eq(sim_node_leaked_bytes(node), 0);
}

/* An operation fails: the build fails and leaves no file, or does not need it. */
static void
failing_body(struct sim *sim, struct sim_test_countdown *c, void *arg)
{
    struct run r = { .countdown = c,
                     .node = sim_node_new(sim, "a"),
                     .versions = (c->fault.ops & SIM_OP_READ) != 0 ? FEW : MANY };

    (void)arg;
    sim_test_run_node(sim, r.node, build_and_read_main, &r);
    check_leaks(r.node);
    if (r.built != 0) {
        ck_assert(sim_test_has_fired(c));
        /* A failed open of the reading end, or of the folder, comes after the file was finished. */
        ck_assert(!r.exists || (c->fault.ops & (SIM_OP_UNLINK | SIM_OP_SYNC_DIR)) != 0);
        return;
    }
    ck_assert(r.read == 0 || sim_test_has_fired(c));
    ck_assert(r.scrubbed == 0 || sim_test_has_fired(c));
}

/* SEG-5, B2, B12 */
START_TEST(test_every_failing_operation)
{
    static const struct sim_fault faults[] = {
        { .ops = SIM_OP_OPEN | SIM_OP_READ | SIM_OP_WRITE | SIM_OP_SYNC | SIM_OP_TRUNCATE,
          .kind = SIM_FAULT_EIO },
        { .ops = SIM_OP_WRITE | SIM_OP_TRUNCATE | SIM_OP_OPEN, .kind = SIM_FAULT_ENOSPC },
        { .ops = SIM_OP_WRITE, .kind = SIM_FAULT_TORN },
        { .ops = SIM_OP_SYNC_DIR, .kind = SIM_FAULT_EIO },
    };

    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        int points = sim_test_count_down(&faults[i], FAULT_POINTS_MAX, failing_body, NULL);

        printf("fault %zu: %d points\n", i, points);
        ck_assert_int_gt(points, 0);
    }
}
END_TEST

/* The disk lies: what is read afterwards is right or an error, and a scrub knows (B7, B8). */
static void
lying_body(struct sim *sim, struct sim_test_countdown *c, void *arg)
{
    struct run r = { .countdown = c, .node = sim_node_new(sim, "a"), .versions = MANY };
    int *noticed = arg;

    sim_test_run_node(sim, r.node, build_and_read_main, &r);
    check_leaks(r.node);
    if (r.built != 0) {
        ck_assert(sim_test_has_fired(c)); /* the read-back has found it */
        ck_assert(!r.exists);
    } else if (sim_test_has_fired(c)) {
        ck_assert(r.read == 0 || r.read == ERR_CORRUPT);
        ck_assert_int_eq(r.scrubbed, ERR_CORRUPT);
    } else {
        ck_assert_int_eq(r.read, 0);
        ck_assert_int_eq(r.scrubbed, 0);
    }
    *noticed += sim_test_has_fired(c);
}

START_TEST(test_disks_that_lie)
{
    static const struct sim_fault faults[] = {
        { .ops = SIM_OP_WRITE, .kind = SIM_FAULT_LOST_WRITE },
        { .ops = SIM_OP_WRITE, .kind = SIM_FAULT_MISDIRECTED },
        { .ops = SIM_OP_WRITE, .kind = SIM_FAULT_BIT_FLIP },
    };

    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        int noticed = 0;
        int points = sim_test_count_down(&faults[i], FAULT_POINTS_MAX, lying_body, &noticed);

        printf("lie %zu: %d points, %d noticed\n", i, points, noticed);
        ck_assert_int_gt(noticed, 0);
    }
}
END_TEST

/* ---- power cuts ----------------------------------------------------------------------------- */

struct crash_run {
    struct env *node;
    struct segment_result result;
    bool finished;
    int read;
};

static void
build_main(void *arg)
{
    struct crash_run *r = arg;
    struct codec_pool *codecs = codec_pool_new(r->node);

    CHECK(build(r->node, codecs, MANY, &r->result) == 0);
    r->finished = true;
    sim_node_crash(r->node);
}

static void
reopen_main(void *arg)
{
    struct crash_run *r = arg;
    struct codec_pool *codecs = codec_pool_new(r->node);

    r->read = read_all(r->node, codecs, MANY, r->result.id, &r->result.hash);
    codec_pool_free(codecs);
}

static void
crash_body(struct sim *sim, uint64_t seed, void *arg)
{
    struct crash_run r = { .node = sim_node_new(sim, "a"), .read = ERR_INTERNAL };

    (void)seed;
    (void)arg;
    sim_test_run_node(sim, r.node, build_main, &r);
    ck_assert(r.finished);
    sim_test_run_node(sim, r.node, reopen_main, &r);
    ck_assert_int_eq(r.read, 0);
}

/* What finish and the folder's sync have promised survives a power cut. */
START_TEST(test_finished_segments_survive)
{
    sim_test_seeds(8, crash_body, NULL);
}
END_TEST

/* ---- memtables ------------------------------------------------------------------------------ */

enum { WRITERS = 4, KEYS = 400 };

struct mem_run {
    struct env *node;
    struct memtable *mt;
    uint64_t won, sealed_at, bytes;
};
struct mem_writer {
    struct mem_run *run;
    unsigned number;
};

static void
mem_writer_th(void *arg)
{
    struct mem_writer *w = arg;
    struct mem_run *r = w->run;
    uint8_t key[8];

    for (uint64_t i = 0; i < KEYS; i++) {
        struct version_ref v = { .key = slice(key, 8),
                                 .stamp = txid_make(1, w->number + 1),
                                 .seq = i,
                                 .kind = VERSION_PUT };

        store_u64_be(key, hash64(&i, sizeof i, 1));
        if (!memtable_enter(r->mt, w->number))
            break;
        if (i % 7 == 0)
            env_thread_yield(r->node); /* a writer may be inside when somebody seals */
        r->won += memtable_add(r->mt, w->number, &v, NULL, NULL) == 0;
        memtable_leave(r->mt, w->number);
        env_thread_yield(r->node);
    }
}

static void
mem_main(void *arg)
{
    struct mem_run *r = arg;
    struct mem_writer writers[WRITERS];
    struct env_thread *threads[WRITERS];
    struct memtable_figures before, after;

    r->mt = memtable_new(r->node, NULL);
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct mem_writer){ r, i };
        threads[i] = env_thread_start(r->node, "writer", mem_writer_th, &writers[i]);
    }
    for (uint64_t turns = env_random_u64(r->node) % 3000; turns > 0; turns--)
        env_thread_yield(r->node);
    memtable_seal_wait(r->mt);
    memtable_get_figures(r->mt, &before);
    for (int i = 0; i < WRITERS; i++)
        env_thread_join(threads[i]);
    memtable_get_figures(r->mt, &after);
    CHECK(before.keys == after.keys && after.keys == r->won);
    r->sealed_at = after.keys;
    r->bytes = after.used_bytes;
    memtable_unref(r->mt);
}

static void
mem_body(struct sim *sim, uint64_t seed, void *arg)
{
    struct mem_run r = { .node = sim_node_new(sim, "a") }, again = r;
    struct sim *twin = sim_new(seed);

    (void)arg;
    sim_test_run_node(sim, r.node, mem_main, &r);
    check_leaks(r.node);
    /* The same seed, the same run: nothing depends on addresses. */
    again.node = sim_node_new(twin, "a");
    sim_test_run_node(twin, again.node, mem_main, &again);
    ck_assert_uint_eq(again.sealed_at, r.sealed_at);
    ck_assert_uint_eq(again.bytes, r.bytes);
    ck_assert_uint_eq(sim_trace_hash(twin), sim_trace_hash(sim));
    sim_free(twin);
}

/* MEM-3, MEM-5: simulated threads that give way while they are inside. */
START_TEST(test_memtables)
{
    sim_test_seeds(30, mem_body, NULL);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("runs");
    TCase *t = tcase_create("all");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 0);
    tcase_add_test(t, test_every_failing_operation);
    tcase_add_test(t, test_disks_that_lie);
    tcase_add_test(t, test_finished_segments_survive);
    tcase_add_test(t, test_memtables);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
