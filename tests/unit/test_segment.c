/* Segments: against a model by seed, the golden file, builds that fail, threads and fibers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/checksum.h"
#include "engine/base/env.h"
#include "engine/base/fiber.h"
#include "engine/base/mem.h"
#include "engine/lsm/cache.h"
#include "engine/lsm/filter.h"
#include "engine/lsm/segment_format.h"
#include "tests/support/segment_rig.h"

/* ---- tests ---------------------------------------------------------------------------------- */

static void
one_round(uint64_t *random, enum codec codec, enum segment_kind kind, size_t count, unsigned keys,
          unsigned chain, uint32_t block_bytes)
{
    struct segrig_model m = segrig_model_new(random, kind, count, keys, chain);
    struct segment_build o = segrig_build_options();
    bool small = segrig_random(random) % 2 == 0;
    struct cache *cache = cache_new(segrig.env, small ? 20000 : 8 << 20);
    struct segment_env se = segrig_open_options(cache);
    struct segment_result r;
    struct segment_figures f;
    struct segment *s;

    o.codec = codec;
    o.block_bytes = block_bytes;
    o.filter_bits = segrig_random(random) % 3 == 0 ? 0 : 10;
    se.direct = !small;
    r = segrig_build(&m, o);
    s = segrig_open(&se, r.id);
    segrig_compare_props(segment_props(s), &m);
    ck_assert_uint_eq(segment_props(s)->file_bytes, r.file_bytes);
    ck_assert_int_eq(segrig_compare(s, &m, random, 300), 0);
    ck_assert_int_eq(segment_scrub(s, &r.hash, NULL, NULL), 0);
    segment_get_figures(s, &f);
    ck_assert_uint_eq(f.checksum_failures, 0);
    segment_unref(s);
    cache_free(cache);
    segrig_model_free(&m);
}

/* SEG-1, SEG-2, ORDER-1 */
START_TEST(test_against_model)
{
    uint64_t random = segrig_seed("against_model");

    for (enum codec c = CODEC_NONE; c < CODEC_COUNT; c++) {
        one_round(&random, c, SEGMENT_MAIN, 1, 1, 3, 0);
        one_round(&random, c, SEGMENT_MAIN, 3000, 2000, 20, 0);
        one_round(&random, c, SEGMENT_UNDO, 3000, 300, 200, 1000);
        /* Two levels of index, chains over many blocks. */
        one_round(&random, c, SEGMENT_MAIN, 6000, 2000, 1000, 100);
        one_round(&random, c, SEGMENT_UNDO, 5000, 7, 1000000, 100);
    }
}
END_TEST

/* Long histories: skipping to an SCN does not read what lies between. */
START_TEST(test_skip_reads_little)
{
    struct cache *cache = cache_new(segrig.env, 0); /* every block that is looked at is read */
    struct segment_env se = segrig_open_options(cache);
    struct segment_build o = segrig_build_options();
    struct segment_builder *b;
    struct segment_result r;
    struct segment_figures before, after;
    struct segment_cursor c;
    struct segment *s;

    o.block_bytes = 400;
    o.kind = SEGMENT_UNDO;
    ck_assert_int_eq(segment_builder_new(&o, &b), 0);
    for (scn_t scn = 20000; scn > 0; scn--) {
        struct version_ref v = { .key = slice_str("hot"),
                                 .value = slice(&scn, sizeof scn),
                                 .stamp = scn,
                                 .superseded = scn + 1,
                                 .kind = VERSION_PUT };
        ck_assert_int_eq(segment_builder_add(b, &v), 0);
    }
    ck_assert_int_eq(segment_builder_finish(b, &r), 0);
    s = segrig_open(&se, r.id);
    for (scn_t scn = 19990; scn > 0; scn -= 1999) {
        struct slice key = slice_str("hot");

        segment_get_figures(s, &before);
        ck_assert_int_eq(segment_get(s, key, filter_hash(key), &c), 0);
        ck_assert(c.valid);
        ck_assert_int_eq(segment_cursor_skip(&c, scn), 0);
        ck_assert(c.valid);
        ck_assert_uint_eq(c.v.stamp, scn);
        ck_assert_uint_eq(load_u64(c.v.value.data), scn);
        segment_cursor_close(&c);
        segment_get_figures(s, &after);
        ck_assert_uint_lt(after.block_reads - before.block_reads, 20);
    }
    ck_assert_uint_gt(segment_props(s)->block_count, 500);
    segment_unref(s);
    cache_free(cache);
}
END_TEST

static void
append_line(void *arg, const char *text)
{
    struct writer *w = arg;

    wr_bytes(w, text, strlen(text));
    wr_u8(w, '\n');
}

/* The format does not change unnoticed: the file that this program writes, and what it reads from
 * the one that an earlier one wrote. */
START_TEST(test_golden_file)
{
    static const char golden[] = "tests/unit/golden/segment-1.seg";
    static const char expected[] =
        "segment 1.000000000000cafe: main, tree 77, branch 3, 4096 bytes\n"
        "keys apple to cherry\n"
        "4 versions of 3 keys, 1 deletes, 1 unresolved\n"
        "scn 5 to 9\n"
        "names txid 3.42\n"
        "1 data blocks, none, 75 bytes raw, 87 stored\n"
        "index: 1 level(s), top at 203; filter: 84 bytes; dictionary: 0 bytes\n"
        "data block at 32, 87 bytes, up to cherry\n"
        "  apple txid 3.42 seq 1 put green\n"
        "  apple scn 9 seq 0 put red\n"
        "  banana scn 5 seq 2 delete\n"
        "  cherry scn 7 seq 300 put-no-key \\00\\ff\n";
    struct version_ref v[] = {
        { slice_str("apple"), slice_str("green"), txid_make(3, 42), 1, 0, VERSION_PUT },
        { slice_str("apple"), slice_str("red"), 9, 0, 0, VERSION_PUT },
        { slice_str("banana"), slice("", 0), 5, 2, 0, VERSION_DELETE },
        { slice_str("cherry"), slice("\0\xff", 2), 7, 300, 0, VERSION_PUT_NO_KEY },
    };
    struct segment_build o = segrig_build_options();
    struct segment_builder *b;
    struct segment_result r;
    struct hash128 hash;
    uint64_t bytes;
    struct writer w;

    o.codec = CODEC_NONE;
    o.nonce = 0xcafe;
    ck_assert_int_eq(segment_builder_new(&o, &b), 0);
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(segment_builder_add(b, &v[i]), 0);
    ck_assert_int_eq(segment_builder_finish(b, &r), 0);
    wr_init(&w, 0);
    ck_assert_int_eq(segment_dump(segrig.env, segrig.path, true, append_line, &w), 0);
    wr_u8(&w, 0);
    ck_assert_str_eq((char *)w.data, expected);
    if (getenv("TEST_WRITE_GOLDEN") != NULL) {
        struct segrig_file f = segrig_file_read();

        segrig_file_write_to(golden, f.bytes, f.size);
        xfree(f.bytes);
    }
    wr_reset(&w);
    ck_assert_int_eq(segment_dump(segrig.env, golden, true, append_line, &w), 0);
    wr_u8(&w, 0);
    ck_assert_str_eq((char *)w.data, expected);
    wr_fini(&w);
    ck_assert_int_eq(segment_file_hash(segrig.env, golden, &hash, &bytes), 0);
    ck_assert(hash128_eq(hash, r.hash));
    ck_assert_uint_eq(bytes, r.file_bytes);
}
END_TEST

/* ---- building that fails -------------------------------------------------------------------- */

static int
refuse(void *arg, size_t bytes)
{
    (void)bytes;
    return --*(int *)arg < 0 ? DIAG(ERR_STOPPED, "stop") : 0;
}

/* SEG-5, B2: a build that fails leaves no file. */
START_TEST(test_failed_builds_leave_nothing)
{
    uint64_t random = segrig_seed("failed_builds");
    struct segrig_model m = segrig_model_new(&random, SEGMENT_MAIN, 9000, 9000, 100);

    for (int n = 0;; n++) {
        struct segment_build o = segrig_build_options();
        struct segment_builder *b;
        struct segment_result r;
        int left = n, rc;

        o.codec = n % 2 == 0 ? CODEC_NONE : CODEC_ZSTD_DICT;
        o.throttle = refuse;
        o.throttle_arg = &left;
        ck_assert_int_eq(segment_builder_new(&o, &b), 0);
        rc = 0;
        for (size_t i = 0; rc == 0 && i < m.count; i++)
            rc = segment_builder_add(b, &m.versions[i].v);
        rc = segment_builder_finish(b, &r);
        if (rc == 0) {
            ck_assert_int_ge(left, 0);
            ck_assert_int_eq(segment_builder_new(&o, &b), ERR_FILE_EXISTS);
            ck_assert_int_eq(access(segrig.path, F_OK), 0); /* the other's file is left alone */
            break;
        }
        ck_assert_int_eq(rc, ERR_STOPPED);
        ck_assert_int_ne(access(segrig.path, F_OK), 0);
    }
    segrig_model_free(&m);
}
END_TEST

START_TEST(test_unlink_at_close)
{
    uint64_t random = 1, bytes, before = 0;
    struct segrig_model m = segrig_model_new(&random, SEGMENT_MAIN, 3000, 3000, 100);
    struct segment_build o = segrig_build_options();
    struct segment_result r;
    struct cache *cache = cache_new(segrig.env, 8 << 20);
    struct segment_env se = segrig_open_options(cache);
    struct segment *s;

    o.block_bytes = 300;
    r = segrig_build(&m, o);
    s = segrig_open(&se, r.id);
    for (size_t i = 0; i < m.count; i++) { /* grows with the key, from 0 to all */
        ck_assert_int_eq(segment_bytes_below(s, m.versions[i].v.key, &bytes), 0);
        ck_assert_uint_ge(bytes, before);
        before = bytes;
    }
    ck_assert_uint_gt(before, r.file_bytes / 2);
    segment_ref(s);
    segment_unlink_at_close(s);
    segment_unref(s);
    ck_assert_int_eq(access(segrig.path, F_OK), 0);
    segment_unref(s);
    ck_assert_int_ne(access(segrig.path, F_OK), 0);
    segment_unref(NULL);
    cache_free(cache);
    segrig_model_free(&m);
}
END_TEST

/* ---- large ---------------------------------------------------------------------------------- */

START_TEST(test_large_values_and_keys)
{
    size_t size = 9 << 20;
    uint8_t *value = xmalloc(size), *key = xcalloc(1, VERSION_KEY_MAX);
    struct cache *cache = cache_new(segrig.env, 4 << 20);
    struct segment_env se = segrig_open_options(cache);
    struct segment_build o = segrig_build_options();
    struct segment_builder *b;
    struct segment_result r;
    struct segment_iter *it;
    struct segment *s;

    for (size_t i = 0; i < size; i++)
        value[i] = (uint8_t)(i * 7 >> 3);
    ck_assert_int_eq(segment_builder_new(&o, &b), 0);
    for (unsigned i = 0; i < 60; i++) {
        struct version_ref v = { .key = slice(key, VERSION_KEY_MAX - 60 + i),
                                 .value = slice(value, i % 20 == 3 ? size - i : i),
                                 .stamp = 1,
                                 .kind = VERSION_PUT };
        ck_assert_int_eq(segment_builder_add(b, &v), 0);
    }
    ck_assert_int_eq(segment_builder_finish(b, &r), 0);
    s = segrig_open(&se, r.id);
    for (unsigned i = 0; i < 60; i++) {
        struct slice k = slice(key, VERSION_KEY_MAX - 60 + i);
        struct segment_cursor c;

        ck_assert_int_eq(segment_get(s, k, filter_hash(k), &c), 0);
        ck_assert(c.valid);
        ck_assert(slice_eq(c.v.value, slice(value, i % 20 == 3 ? size - i : i)));
        segment_cursor_close(&c);
    }
    it = segment_iter_new(s, SEGMENT_ITER_BULK);
    ck_assert_int_eq(segment_iter_last(it), 0);
    for (unsigned i = 60; i-- > 0;) {
        ck_assert_uint_eq(segment_iter_current(it)->key.size, VERSION_KEY_MAX - 60u + i);
        ck_assert_int_eq(segment_iter_prev(it), 0);
    }
    segment_iter_free(it);
    segment_unref(s);
    cache_free(cache);
    xfree(value);
    xfree(key);
}
END_TEST

/* ---- threads and fibers --------------------------------------------------------------------- */

struct reader_arg {
    struct segment *segment;
    const struct segrig_model *model;
    uint64_t random;
};

static void
reader_main(void *arg)
{
    struct reader_arg *a = arg;

    int rc = segrig_compare(a->segment, a->model, &a->random, 400);

    if (rc != 0)
        fprintf(stderr, "%s: %s; %s\n", err_name(rc), diag_last()->message, diag_last()->detail);
    CHECK(rc == 0);
}

/* SEG-3: one segment, many readers, a cache that is much too small. */
START_TEST(test_threads_and_fibers)
{
    uint64_t random = segrig_seed("threads_and_fibers");
    struct segrig_model m = segrig_model_new(&random, SEGMENT_MAIN, 4000, 2000, 100);
    struct segment_build o = segrig_build_options();
    struct cache *cache = cache_new(segrig.env, 60000);
    struct segment_env se = segrig_open_options(cache);
    struct env_thread *threads[4];
    struct reader_arg args[4];
    struct segment_result r;
    struct cache_figures f;
    struct sched *sched;

    o.block_bytes = 1000;
    o.codec = CODEC_ZSTD_DICT;
    r = segrig_build(&m, o);
    se.jobs = job_pool_new(segrig.env, "read", 2);
    for (int i = 0; i < 4; i++)
        args[i] = (struct reader_arg){ segrig_open(&se, r.id), &m, segrig_random(&random) };
    for (int i = 0; i < 4; i++)
        threads[i] = env_thread_start(segrig.env, "reader", reader_main, &args[i]);
    for (int i = 0; i < 4; i++)
        env_thread_join(threads[i]);
    sched = sched_new(segrig.env);
    for (int i = 0; i < 4; i++)
        fiber_start(sched, "reader", 0, reader_main, &args[i]);
    sched_run(sched, true);
    sched_free(sched);
    for (int i = 0; i < 4; i++)
        segment_unref(args[i].segment);
    cache_get_figures(cache, &f);
    ck_assert_uint_le(f.used, f.capacity);
    ck_assert_uint_gt(f.evictions, 0);
    job_pool_free(se.jobs);
    cache_free(cache);
    segrig_model_free(&m);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("segment");
    TCase *t = tcase_create("all");
    SRunner *r;
    int failed;

    tcase_add_checked_fixture(t, segrig_setup, segrig_teardown);
    tcase_set_timeout(t, 0);
    tcase_add_test(t, test_against_model);
    tcase_add_test(t, test_skip_reads_little);
    tcase_add_test(t, test_golden_file);
    tcase_add_test(t, test_failed_builds_leave_nothing);
    tcase_add_test(t, test_unlink_at_close);
    tcase_add_test(t, test_large_values_and_keys);
    tcase_add_test(t, test_threads_and_fibers);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
