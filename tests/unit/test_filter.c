/* Filters and codecs.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/lsm/codec.h"
#include "engine/lsm/filter.h"

static uint64_t
hash_of(uint64_t i)
{
    return filter_hash(slice(&i, sizeof i));
}

static double
false_positives(size_t count, unsigned bits)
{
    uint64_t *hashes = xmalloc(count * sizeof *hashes);
    struct writer w;
    struct filter f;
    uint64_t wrong = 0, asked = 100000;

    for (uint64_t i = 0; i < count; i++)
        hashes[i] = hash_of(i);
    wr_init(&w, 0);
    filter_build(hashes, count, bits, &w);
    ck_assert_int_eq(wr_finish(&w), 0);
    ck_assert_int_eq(filter_open(&f, wr_view(&w)), 0);
    for (uint64_t i = 0; i < count; i++)
        ck_assert(filter_maybe(&f, hashes[i]));
    for (uint64_t i = 0; i < asked; i++)
        wrong += filter_maybe(&f, hash_of((1ull << 40) + i));
    wr_fini(&w);
    xfree(hashes);
    return (double)wrong / (double)asked;
}

/* FILTER-1: never a false "no"; and few false "maybe". */
START_TEST(test_rate)
{
    static const struct {
        unsigned bits;
        double most;
    } rates[] = { { 4, 0.18 }, { 8, 0.035 }, { 10, 0.015 }, { 14, 0.004 }, { 20, 0.001 } };

    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        double rate = false_positives(50000, rates[i].bits);

        printf("%2u bits a key: %.3f %% false\n", rates[i].bits, rate * 100);
        ck_assert(rate < rates[i].most);
    }
    ck_assert(false_positives(1, 10) < 0.01);
    ck_assert(false_positives(0, 10) == 0);
}
END_TEST

START_TEST(test_bad_filters)
{
    uint64_t hashes[] = { 1, 2, 3 };
    struct writer w;
    struct filter f;

    wr_init(&w, 0);
    filter_build(hashes, 3, 10, &w);
    for (size_t size = 0; size < w.size; size++)
        ck_assert_int_eq(filter_open(&f, slice(w.data, size)), ERR_CORRUPT);
    for (int byte = 0; byte < 5; byte++) {
        w.data[byte] ^= 0xff;
        ck_assert_int_eq(filter_open(&f, wr_view(&w)), ERR_CORRUPT);
        ck_assert(filter_maybe(&f, 77)); /* without a filter everything is "maybe" */
        w.data[byte] ^= 0xff;
    }
    ck_assert_int_eq(filter_open(&f, wr_view(&w)), 0);
    wr_fini(&w);
}
END_TEST

enum { RAW = 16 << 10, SAMPLES = 100 };

static void
fill_rows(uint8_t *out, size_t size, unsigned seed)
{
    size_t n = 0;

    while (n + 64 < size)
        n += (size_t)snprintf((char *)out + n, size - n, "{\"id\": %u, \"city\": \"Lisbon\"}",
                              seed = seed * 1103515245u + 12345u);
    memset(out + n, 0, size - n);
}

START_TEST(test_codecs)
{
    struct env *env = env_posix_new();
    struct codec_pool *pool = codec_pool_new(env);
    uint8_t *raw = xmalloc(RAW), *back = xmalloc(RAW), *samples = xmalloc(SAMPLES * RAW);
    uint8_t dict_bytes[8 << 10];
    size_t sizes[SAMPLES], dict_size;
    struct codec_dict *dict;

    for (unsigned i = 0; i < SAMPLES; i++) {
        fill_rows(samples + i * RAW, RAW, i);
        sizes[i] = RAW;
    }
    dict_size = codec_dict_train(dict_bytes, sizeof dict_bytes, samples, sizes, SAMPLES);
    ck_assert_uint_gt(dict_size, 0);
    ck_assert_int_eq(codec_dict_new(dict_bytes, dict_size, 3, &dict), 0);
    ck_assert_uint_gt(codec_dict_bytes(dict), dict_size);
    fill_rows(raw, RAW, 4711);
    for (enum codec c = CODEC_LZ4; c < CODEC_COUNT; c++) {
        size_t cap = codec_bound(c, RAW), got;
        uint8_t *out = xmalloc(cap);

        codec_compress(pool, c, 0, dict, raw, RAW, out, cap, &got);
        printf("%s: %zu bytes\n", codec_name(c), got);
        ck_assert_uint_gt(got, 0);
        ck_assert_uint_lt(got, RAW);
        ck_assert_int_eq(codec_decompress(pool, c, dict, out, got, back, RAW), 0);
        ck_assert_mem_eq(raw, back, RAW);
        ck_assert_int_eq(codec_decompress(pool, c, dict, out, got, back, RAW - 1), ERR_CORRUPT);
        ck_assert_int_eq(codec_decompress(pool, c, dict, out, got - 1, back, RAW), ERR_CORRUPT);
        ck_assert_int_eq(codec_decompress(pool, c, dict, out, 0, back, RAW), ERR_CORRUPT);
        codec_compress(pool, c, 0, dict, raw, RAW, out, 100, &got);
        ck_assert_uint_eq(got, 0);         /* would not fit */
        for (size_t i = 0; i < 300; i++) { /* any answer, no crash */
            codec_compress(pool, c, 0, dict, raw, RAW, out, cap, &got);
            out[i * 7 % got] ^= (uint8_t)(1u << i % 8);
            (void)!codec_decompress(pool, c, dict, out, got, back, RAW);
        }
        xfree(out);
    }
    ck_assert_int_eq(codec_decompress(pool, CODEC_ZSTD_DICT, NULL, raw, 9, back, 9), ERR_CORRUPT);
    ck_assert_int_eq(codec_decompress(pool, (enum codec)99, NULL, raw, 9, back, 9), ERR_CORRUPT);
    ck_assert_int_eq(codec_decompress(pool, CODEC_NONE, NULL, raw, 9, back, 8), ERR_CORRUPT);
    codec_dict_free(dict);
    codec_pool_free(pool);
    env_free(env);
    xfree(raw);
    xfree(back);
    xfree(samples);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("filter");
    TCase *t = tcase_create("all");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 0);
    tcase_add_test(t, test_rate);
    tcase_add_test(t, test_bad_filters);
    tcase_add_test(t, test_codecs);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
