/* Segments: damage of every kind, forged blocks, repair.
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

/* ---- damage --------------------------------------------------------------------------------- */

enum { DAMAGES = 8 };

/* Returns how many bytes of the file are left. */
static size_t
damage(uint8_t *bytes, size_t size, uint64_t *random, unsigned how)
{
    size_t at = segrig_random(random) % size, n = 1 + segrig_random(random) % 300;

    if (segrig_random(random) % 4 == 0) /* near the end, where there is much to break */
        at = size - 1 - segrig_random(random) % (size < 3000 ? size : 3000);
    n = n > size - at ? size - at : n;
    switch (how % DAMAGES) {
    case 0: /* a flipped bit */
        bytes[at] ^= (uint8_t)(1u << segrig_random(random) % 8);
        return size;
    case 1: /* garbage */
        for (size_t i = 0; i < n; i++)
            bytes[at + i] = (uint8_t)segrig_random(random);
        return size;
    case 2: /* a lost write */
        memset(bytes + at / 4096 * 4096, 0, 4096);
        return size;
    case 3: /* cut off */
        return segrig_random(random) % 2 == 0 ? at : at / 4096 * 4096;
    case 4: { /* a write that went elsewhere */
        size_t from = segrig_random(random) % (size / 512) * 512;

        memmove(bytes + at / 512 * 512, bytes + from, 512);
        return size;
    }
    case 5: /* shifted by some bytes */
        memmove(bytes + at, bytes + at + n, size - at - n);
        return size;
    case 6: /* two sectors swapped */
        for (size_t i = 0, to = at / 512 * 512, from = size / 1024 * 512; i < 512; i++) {
            uint8_t t = bytes[to + i];

            bytes[to + i] = bytes[from + i];
            bytes[from + i] = t;
        }
        return size;
    default: /* one byte */
        bytes[at] = (uint8_t)segrig_random(random);
        return size;
    }
}

static void
try_damaged(const struct segrig_model *m, struct segment_id id, uint64_t *random,
            uint64_t outcome[3])
{
    struct cache *cache = cache_new(segrig.env, 1 << 20);
    struct segment_env se = segrig_open_options(cache);
    struct segment *s;
    int rc = segment_open(&se, segrig.path, id, &s);

    if (rc == 0) {
        rc = segrig_compare(s, m, random, 30);
        outcome[rc == 0 ? 0 : 2]++;
        segment_unref(s);
    } else {
        outcome[1]++;
    }
    ck_assert(rc == 0 || rc == ERR_CORRUPT);
    cache_free(cache);
}

/* SEG-1, B5, B6, B7, B8: whatever happens to the file, what is read is right or an error. */
START_TEST(test_damage_never_gives_a_wrong_answer)
{
    uint64_t random = segrig_seed("damage"), outcome[3] = { 0 };

    for (enum codec c = CODEC_NONE; c < CODEC_COUNT; c++) {
        struct segrig_model m = segrig_model_new(&random, SEGMENT_MAIN, 900, 400, 100);
        struct segment_build o = segrig_build_options();
        struct segment_result r;
        struct segrig_file good;
        uint8_t *bad;

        o.codec = c;
        o.block_bytes = 2000;
        r = segrig_build(&m, o);
        good = segrig_file_read();
        bad = xmalloc(good.size + 4096);
        for (unsigned i = 0; i < 64; i++) {
            memcpy(bad, good.bytes, good.size);
            segrig_file_write(bad, damage(bad, good.size, &random, i));
            try_damaged(&m, r.id, &random, outcome);
        }
        xfree(bad);
        xfree(good.bytes);
        segrig_model_free(&m);
    }
    printf("damaged files: %lu gave right answers, %lu did not open, %lu gave errors\n", outcome[0],
           outcome[1], outcome[2]);
    ck_assert_uint_gt(outcome[0], 0);
    ck_assert_uint_gt(outcome[1], 0);
    ck_assert_uint_gt(outcome[2], 0);
}
END_TEST

/* A block and everything else that names it have good checksums over forged bytes: any answer, but
 * no crash, no endless loop, no read outside. */
static void
forge(struct segrig_file *f, struct segment_id id, uint64_t *random)
{
    uint8_t *footer = f->bytes + f->size - SEG_FOOTER_SIZE;
    uint8_t *handle = footer + (segrig_random(random) % 2 == 0 ? SEG_FTR_INDEX : SEG_FTR_PROPS);
    uint64_t offset = load_u64(handle);
    uint32_t size = load_u32(handle + 8), crc;
    uint8_t where[24], *block;

    if (segrig_random(random) % 2 == 0) {
        /* The first data block, whose size the one-level index names first. */
        struct reader r;
        uint8_t *index = f->bytes + load_u64(footer + SEG_FTR_INDEX) + SEG_INDEX_HEAD_SIZE;

        rd_init(&r, index, 100);
        offset = SEG_HEADER_SIZE;
        size = (uint32_t)rd_varint(&r);
    }
    if (offset + size > f->size || size <= SEG_TAIL_SIZE)
        return;
    block = f->bytes + offset;
    for (uint64_t n = 1 + segrig_random(random) % 3; n > 0; n--) {
        size_t at = segrig_random(random) % (size - 4);

        if (segrig_random(random) % 2 == 0) /* tails have the counts */
            at = size - SEG_TAIL_SIZE - 1 - segrig_random(random) % (size / 2 < 40 ? size / 2 : 40);
        block[at] = segrig_random(random) % 2 == 0 ? (uint8_t)segrig_random(random)
                                                   : (uint8_t)(block[at] + 1);
    }
    store_u64(where, id.file);
    store_u64(where + 8, id.nonce);
    store_u64(where + 16, offset);
    crc = crc32c(crc32c(0, where, sizeof where), block, size - 4);
    store_u32(block + size - 4, crc);
}

START_TEST(test_forged_blocks_do_no_harm)
{
    uint64_t random = segrig_seed("forged"), opened = 0;
    struct segrig_model m = segrig_model_new(&random, SEGMENT_MAIN, 300, 100, 50);
    struct segment_build o = segrig_build_options();
    struct segment_result r;
    struct segrig_file good, bad;

    o.codec = CODEC_NONE;
    o.block_bytes = 1500;
    r = segrig_build(&m, o);
    good = segrig_file_read();
    bad = (struct segrig_file){ xmalloc(good.size), good.size };
    for (int i = 0; i < 300; i++) {
        struct cache *cache = cache_new(segrig.env, 1 << 20);
        struct segment_env se = segrig_open_options(cache);
        struct segment *s;

        memcpy(bad.bytes, good.bytes, good.size);
        forge(&bad, r.id, &random);
        segrig_file_write(bad.bytes, bad.size);
        if (segment_open(&se, segrig.path, r.id, &s) == 0) {
            struct segment_iter *it = segment_iter_new(s, 0);
            struct segment_cursor c;
            size_t steps = 0;
            int rc = segment_iter_first(it);

            for (; rc == 0 && segment_iter_current(it) != NULL; steps++)
                rc = segment_iter_next(it);
            ck_assert_uint_lt(steps, 100000);
            for (size_t k = 0; k < m.count; k += 7) {
                rc = segment_get(s, m.versions[k].v.key, filter_hash(m.versions[k].v.key), &c);
                while (rc == 0 && c.valid)
                    rc = segment_cursor_next(&c);
                segment_cursor_close(&c);
                rc = segment_iter_seek_lt(it, m.versions[k].v.key);
            }
            (void)!segment_scrub(s, NULL, NULL, NULL);
            segment_iter_free(it);
            segment_unref(s);
            opened++;
        }
        cache_free(cache);
    }
    printf("forged files that opened: %lu\n", opened);
    ck_assert_uint_gt(opened, 20);
    xfree(bad.bytes);
    xfree(good.bytes);
    segrig_model_free(&m);
}
END_TEST

static int
repair(void *arg, const struct segment_props *props, uint64_t offset, void *buf, size_t size)
{
    const struct segrig_file *copy = arg;

    CHECK(props->id.file == 1);
    if (offset + size > copy->size)
        return DIAG(ERR_NOT_FOUND, "no copy");
    memcpy(buf, copy->bytes + offset, size);
    return 0;
}

/* B5, SEG-4: a damaged block is asked for elsewhere; without another copy the error says where. */
START_TEST(test_repair)
{
    uint64_t random = segrig_seed("repair");
    struct segrig_model m = segrig_model_new(&random, SEGMENT_MAIN, 2000, 1000, 100);
    struct segment_result r = segrig_build(&m, segrig_build_options());
    struct segrig_file good = segrig_file_read();
    struct segment_repair hook = { repair, &good };
    struct cache *cache = cache_new(segrig.env, 8 << 20);
    struct segment_env se = segrig_open_options(cache);
    struct segment_figures f;
    struct segment *s;
    uint8_t *bad = xmalloc(good.size);

    memcpy(bad, good.bytes, good.size);
    bad[SEG_HEADER_SIZE + 50] ^= 1;
    segrig_file_write(bad, good.size);
    s = segrig_open(&se, r.id);
    ck_assert_int_eq(segrig_compare_scan(s, &m, 0), ERR_CORRUPT);
    ck_assert_ptr_nonnull(strstr(diag_last()->message, segrig.path));
    ck_assert_ptr_nonnull(strstr(diag_last()->detail, "tree 77"));
    ck_assert_int_eq(segment_scrub(s, NULL, NULL, NULL), ERR_CORRUPT);
    segment_unref(s);
    se.repair = &hook;
    s = segrig_open(&se, r.id);
    ck_assert_int_eq(segrig_compare(s, &m, &random, 300), 0);
    segment_get_figures(s, &f);
    ck_assert_uint_ge(f.mended, 1);
    segment_unref(s);
    /* The other copy is damaged, too: an error, not its bytes. */
    good.bytes[SEG_HEADER_SIZE + 50] ^= 1;
    s = segrig_open(&se, r.id);
    ck_assert_int_eq(segrig_compare_scan(s, &m, SEGMENT_ITER_BULK), ERR_CORRUPT);
    segment_unref(s);
    xfree(bad);
    xfree(good.bytes);
    cache_free(cache);
    segrig_model_free(&m);
}
END_TEST

/* B6: without its filter a segment is only slower. */
START_TEST(test_damaged_filter)
{
    uint64_t random = segrig_seed("damaged_filter");
    struct segrig_model m = segrig_model_new(&random, SEGMENT_MAIN, 2000, 1000, 100);
    struct segment_build o = segrig_build_options();
    struct cache *cache = cache_new(segrig.env, 8 << 20);
    struct segment_env se = segrig_open_options(cache);
    struct budget budget;
    struct segment_figures figures;
    struct segment_result r;
    struct segment *s;
    struct segrig_file f;

    o.filter_bits = 60;
    r = segrig_build(&m, o);
    f = segrig_file_read();
    s = segrig_open(&se, r.id);
    segment_get_figures(s, &figures);
    ck_assert(!figures.filter_bad && !figures.filter_absent);
    segment_unref(s);
    f.bytes[load_u64(f.bytes + f.size - SEG_FOOTER_SIZE + SEG_FTR_FILTER) + 100] ^= 4;
    segrig_file_write(f.bytes, f.size);
    s = segrig_open(&se, r.id);
    segment_get_figures(s, &figures);
    ck_assert(figures.filter_bad);
    ck_assert_int_eq(segrig_compare(s, &m, &random, 300), 0);
    ck_assert_int_eq(segment_scrub(s, NULL, NULL, NULL), ERR_CORRUPT);
    segment_unref(s);
    f.bytes[load_u64(f.bytes + f.size - SEG_FOOTER_SIZE + SEG_FTR_FILTER) + 100] ^= 4;
    segrig_file_write(f.bytes, f.size);
    budget_init(&budget, "segments", 3000, NULL); /* enough for the index, not for the filter */
    se.budget = &budget;
    s = segrig_open(&se, r.id);
    segment_get_figures(s, &figures);
    ck_assert(figures.filter_absent && !figures.filter_bad);
    ck_assert_int_eq(segrig_compare(s, &m, &random, 100), 0);
    segment_unref(s);
    ck_assert_uint_eq(atomic_load(&budget.used), 0);
    budget.limit = 10;
    ck_assert_int_eq(segment_open(&se, segrig.path, r.id, &s), ERR_NOMEM);
    ck_assert_uint_eq(atomic_load(&budget.used), 0);
    xfree(f.bytes);
    cache_free(cache);
    segrig_model_free(&m);
}
END_TEST

/* ---- identity ------------------------------------------------------------------------------- */

/* B7: a block of another file at the same place, written by the same program, is noticed. */
START_TEST(test_blocks_of_another_file)
{
    uint64_t random = segrig_seed("another_file");
    struct segrig_model m = segrig_model_new(&random, SEGMENT_MAIN, 500, 300, 100);
    struct segment_build o = segrig_build_options();
    struct cache *cache = cache_new(segrig.env, 8 << 20);
    struct segment_env se = segrig_open_options(cache);
    struct segment_result a, b;
    struct segrig_file first, second;
    struct segment *s;

    a = segrig_build(&m, o);
    first = segrig_file_read();
    b = segrig_build(&m, o);
    second = segrig_file_read();
    ck_assert_uint_eq(a.id.file, b.id.file);
    ck_assert_uint_ne(a.id.nonce, b.id.nonce);
    ck_assert(!hash128_eq(a.hash, b.hash));
    ck_assert_int_eq(segment_open(&se, segrig.path, a.id, &s), ERR_CORRUPT);
    ck_assert_int_eq(segment_open(&se, segrig.path, (struct segment_id){ 2, 0 }, &s), ERR_CORRUPT);
    /* The data differ only in the checksums. */
    memcpy(second.bytes + SEG_HEADER_SIZE, first.bytes + SEG_HEADER_SIZE,
           load_u64(first.bytes + first.size - SEG_FOOTER_SIZE + SEG_FTR_DATA_END) -
               SEG_HEADER_SIZE);
    segrig_file_write(second.bytes, second.size);
    s = segrig_open(&se, (struct segment_id){ 1, 0 });
    ck_assert_int_eq(segrig_compare_scan(s, &m, 0), ERR_CORRUPT);
    segment_unref(s);
    ck_assert_int_eq(segment_open(&se, "/tmp/no-such-segment", a.id, &s), ERR_NO_FILE);
    xfree(first.bytes);
    xfree(second.bytes);
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
    tcase_add_test(t, test_damage_never_gives_a_wrong_answer);
    tcase_add_test(t, test_forged_blocks_do_no_harm);
    tcase_add_test(t, test_repair);
    tcase_add_test(t, test_damaged_filter);
    tcase_add_test(t, test_blocks_of_another_file);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
