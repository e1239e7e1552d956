/* The reader is total, the writer keeps its limit, they are each other's inverse; checksums against
 * published values.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/bytes.h"
#include "engine/base/checksum.h"
#include "engine/base/id.h"

/* ---- reader and writer --------------------------------------------------------------------- */

static uint64_t
random_u64(void)
{
    uint64_t v = 0;

    for (int i = 0; i < 5; i++)
        v = v << 15 ^ (uint64_t)rand();
    return v >> rand() % 64;
}

enum { FIELD_KINDS = 10 };

static void
write_field(struct writer *w, int kind, uint64_t v)
{
    switch (kind) {
    case 0:
        wr_u8(w, (uint8_t)v);
        break;
    case 1:
        wr_u16(w, (uint16_t)v);
        break;
    case 2:
        wr_u32(w, (uint32_t)v);
        break;
    case 3:
        wr_u64(w, v);
        break;
    case 4:
        wr_u16_be(w, (uint16_t)v);
        break;
    case 5:
        wr_u32_be(w, (uint32_t)v);
        break;
    case 6:
        wr_u64_be(w, v);
        break;
    case 7:
        wr_varint(w, v);
        break;
    case 8:
        wr_lenslice(w, slice("0123456789", v % 11));
        break;
    default:
        wr_cstr(w, &"abcdefgh"[v % 9]);
        break;
    }
}

/* What it reads, as a number to compare. */
static uint64_t
read_field(struct reader *r, int kind)
{
    const char *s;

    switch (kind) {
    case 0:
        return rd_u8(r);
    case 1:
        return rd_u16(r);
    case 2:
        return rd_u32(r);
    case 3:
        return rd_u64(r);
    case 4:
        return rd_u16_be(r);
    case 5:
        return rd_u32_be(r);
    case 6:
        return rd_u64_be(r);
    case 7:
        return rd_varint(r);
    case 8:
        return rd_lenslice(r).size;
    default:
        s = rd_cstr(r);
        return s != NULL ? 8 - strlen(s) : 0;
    }
}

static uint64_t
expected_field(int kind, uint64_t v)
{
    static const uint64_t masks[] = { 0xff,   0xffff,     0xffffffff, UINT64_MAX,
                                      0xffff, 0xffffffff, UINT64_MAX, UINT64_MAX };

    if (kind < 8)
        return v & masks[kind];
    return kind == 8 ? v % 11 : v % 9;
}

START_TEST(test_what_is_written_is_read)
{
    unsigned seed = 11;

    printf("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 500; round++) {
        int kinds[50], count = rand() % 50;
        uint64_t values[50];
        struct writer w;
        struct reader r;

        wr_init(&w, 0);
        for (int i = 0; i < count; i++) {
            kinds[i] = rand() % FIELD_KINDS;
            values[i] = random_u64();
            write_field(&w, kinds[i], values[i]);
        }
        if (wr_finish(&w) != 0)
            ck_abort();
        rd_init(&r, w.data, w.size);
        for (int i = 0; i < count; i++)
            if (read_field(&r, kinds[i]) != expected_field(kinds[i], values[i]))
                ck_abort_msg("round %d, field %d of kind %d", round, i, kinds[i]);
        if (!rd_ok(&r) || rd_left(&r) != 0)
            ck_abort();
        wr_fini(&w);
    }
}
END_TEST

/* BASE-8: any bytes give a value or a bad reader, never a read outside (the address sanitizer
 * watches the exact end of the block). */
START_TEST(test_reader_is_total)
{
    srand(12);
    for (int round = 0; round < 20000; round++) {
        size_t size = (size_t)(rand() % 40);
        uint8_t *data = xmalloc(size);
        struct reader r;

        for (size_t i = 0; i < size; i++)
            data[i] = (uint8_t)(rand() % 3 == 0 ? 0xff : rand());
        rd_init(&r, data, size);
        for (int i = 0; i < 30 && rd_ok(&r); i++) {
            int kind = rand() % (FIELD_KINDS + 1);

            if (kind == FIELD_KINDS)
                (void)rd_bytes(&r, (size_t)random_u64());
            else
                (void)read_field(&r, kind);
        }
        if (!rd_ok(&r) && (rd_u64(&r) != 0 || rd_bytes(&r, 0) != NULL || rd_left(&r) != 0 ||
                           rd_slice(&r, 1).data != NULL || rd_cstr(&r) != NULL))
            ck_abort();
        xfree(data);
    }
}
END_TEST

START_TEST(test_varint_bounds)
{
    static const uint8_t longest[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01 };
    static const uint8_t too_big[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02 };
    static const uint8_t too_long[] = { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                                        0x80, 0x80, 0x80, 0x80, 0x00 };
    struct reader r;

    rd_init(&r, longest, sizeof longest);
    ck_assert_uint_eq(rd_varint(&r), UINT64_MAX);
    ck_assert(rd_ok(&r));
    rd_init(&r, too_big, sizeof too_big);
    (void)rd_varint(&r);
    ck_assert(!rd_ok(&r));
    rd_init(&r, too_long, sizeof too_long);
    (void)rd_varint(&r);
    ck_assert(!rd_ok(&r));
    rd_init(&r, NULL, 0);
    ck_assert_uint_eq(rd_u8(&r), 0);
    ck_assert(!rd_ok(&r));
}
END_TEST

START_TEST(test_writer_keeps_its_limit)
{
    uint8_t fixed[8];
    struct writer w;

    wr_init(&w, 10);
    wr_u64(&w, 1);
    wr_u16(&w, 2);
    ck_assert_int_eq(wr_finish(&w), 0);
    wr_u8(&w, 3);
    ck_assert(w.bad && wr_reserve(&w, 0) == NULL);
    ck_assert_int_eq(wr_finish(&w), ERR_LIMIT);
    wr_reset(&w);
    wr_cstr(&w, "ok");
    ck_assert_int_eq(wr_finish(&w), 0);
    wr_shrink(&w, 1);
    ck_assert(slice_eq(wr_view(&w), slice("o", 1)));
    wr_fini(&w);
    wr_init_fixed(&w, fixed, sizeof fixed);
    wr_u64(&w, UINT64_MAX);
    wr_u8(&w, 1);
    ck_assert_int_eq(wr_finish(&w), ERR_LIMIT);
    wr_fini(&w);
    wr_init(&w, 0);
    ck_assert(wr_reserve(&w, SIZE_MAX) == NULL);
    wr_fini(&w);
}
END_TEST

START_TEST(test_writer_leaves_its_room)
{
    uint8_t room[8];
    struct writer w;

    wr_init_room(&w, room, sizeof room);
    wr_u64(&w, 0x0102030405060708u);
    ck_assert_ptr_eq(w.data, room);
    for (int i = 0; i < 1000; i++)
        wr_u8(&w, (uint8_t)i);
    ck_assert_int_eq(wr_finish(&w), 0);
    ck_assert_ptr_ne(w.data, room);
    ck_assert_uint_eq(w.size, 1008);
    ck_assert_uint_eq(load_u64(w.data), 0x0102030405060708u);
    for (int i = 0; i < 1000; i++)
        ck_assert_uint_eq(w.data[8 + i], (uint8_t)i);
    wr_fini(&w);
}
END_TEST

START_TEST(test_slices)
{
    ck_assert_int_lt(slice_cmp(slice_str("a"), slice_str("b")), 0);
    ck_assert_int_lt(slice_cmp(slice_str("a"), slice_str("aa")), 0);
    ck_assert_int_gt(slice_cmp(slice_str("b"), slice_str("aa")), 0);
    ck_assert_int_eq(slice_cmp(slice(NULL, 0), slice("", 0)), 0);
    ck_assert(slice_eq(slice(NULL, 0), slice("", 0)));
    ck_assert(slice_cmp(slice("\xff", 1), slice("\x01", 1)) > 0);
}
END_TEST

START_TEST(test_numbers)
{
    txid_t t = txid_make(INCARNATION_MAX, ((uint64_t)1 << TXID_COUNTER_BITS) - 1);

    ck_assert_uint_eq(t, UINT64_MAX);
    ck_assert_uint_eq(txid_incarnation(t), INCARNATION_MAX);
    t = txid_make(3, 5);
    ck_assert(stamp_is_txid(t) && !stamp_is_txid(SCN_MAX));
    ck_assert_uint_eq(txid_incarnation(t), 3);
    ck_assert_uint_eq(txid_counter(t), 5);
}
END_TEST

/* ---- checksums ----------------------------------------------------------------------------- */

START_TEST(test_crc32c_vectors)
{
    uint8_t buf[32];
    struct {
        uint32_t crc;
        int first, step;
    } vectors[] = {
        { 0x8a9136aa, 0, 0 },    /* RFC 3720, B.4: zeros */
        { 0x62a8ab43, 0xff, 0 }, /* ones */
        { 0x46dd794e, 0, 1 },    /* 00 01 … 1f */
        { 0x113fdb5c, 31, -1 },  /* 1f 1e … 00 */
    };

    ck_assert_uint_eq(crc32c(0, "123456789", 9), 0xe3069283);
    ck_assert_uint_eq(crc32c(0, "", 0), 0);
    for (int v = 0; v < 4; v++) {
        for (int i = 0; i < 32; i++)
            buf[i] = (uint8_t)(vectors[v].first + i * vectors[v].step);
        ck_assert_uint_eq(crc32c(0, buf, sizeof buf), vectors[v].crc);
        ck_assert_uint_eq(crc32c_portable(0, buf, sizeof buf), vectors[v].crc);
    }
}
END_TEST

START_TEST(test_crc32c_machine_and_pieces)
{
    uint8_t buf[300];

    srand(13);
    for (size_t i = 0; i < sizeof buf; i++)
        buf[i] = (uint8_t)rand();
    for (size_t from = 0; from < 16; from++) {
        for (size_t size = 0; size < sizeof buf - from; size++) {
            uint32_t whole = crc32c(0, buf + from, size);
            size_t cut = size != 0 ? (size_t)rand() % size : 0;

            if (whole != crc32c_portable(0, buf + from, size) ||
                whole != crc32c(crc32c(0, buf + from, cut), buf + from + cut, size - cut))
                ck_abort_msg("%zu bytes from %zu", size, from);
        }
    }
}
END_TEST

START_TEST(test_hashes)
{
    struct hash128 zero = { 0, 0 }, a = hash128("a", 1, zero), b = hash128("b", 1, zero);

    ck_assert_uint_eq(hash64("", 0, 0), 0x2d06800538d394c2); /* XXH3's own */
    ck_assert_uint_ne(hash64("a", 1, 0), hash64("a", 1, 1));
    ck_assert(!hash128_eq(a, b) && hash128_eq(a, hash128("a", 1, zero)));
    ck_assert(!hash128_eq(hash128("c", 1, a), hash128("c", 1, b)));
    a.hi ^= 1; /* all 128 bits of what came before count */
    ck_assert(!hash128_eq(hash128("c", 1, a), hash128("c", 1, hash128("a", 1, zero))));
    ck_assert(equal_constant_time("abc", "abc", 3) && !equal_constant_time("abc", "abd", 3));
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("bytes");
    TCase *tc = tcase_create("bytes");
    SRunner *sr;
    int failed;

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_what_is_written_is_read);
    tcase_add_test(tc, test_reader_is_total);
    tcase_add_test(tc, test_varint_bounds);
    tcase_add_test(tc, test_writer_keeps_its_limit);
    tcase_add_test(tc, test_writer_leaves_its_room);
    tcase_add_test(tc, test_slices);
    tcase_add_test(tc, test_numbers);
    tcase_add_test(tc, test_crc32c_vectors);
    tcase_add_test(tc, test_crc32c_machine_and_pieces);
    tcase_add_test(tc, test_hashes);
    suite_add_tcase(suite, tc);
    sr = srunner_create(suite);
    srunner_set_fork_status(sr, CK_NOFORK);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
