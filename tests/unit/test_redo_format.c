/* Bytes: golden records, frames and file headers; decoders that take any input; lineages.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/mem.h"
#include "engine/redo/redo_int.h"
#include "tests/support/redo_records.h"

static uint64_t seed;

static uint64_t
next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void
check_hex(struct slice s, const char *hex)
{
    char *got = xmalloc(s.size * 2 + 1);

    for (size_t i = 0; i < s.size; i++)
        snprintf(got + i * 2, 3, "%02x", s.data[i]);
    got[s.size * 2] = '\0';
    ck_assert_str_eq(got, hex);
    xfree(got);
}

/* ---- records -------------------------------------------------------------------------------- */

/* Computed from the table in record.h, not by the encoder. */
static const char golden_records[] =
    "27000000010107000000000c00800101ac02036b65790576616c75650201016b03020170027631"
    "33000000020107000000000c008005000000000000000600000000000000210200000008000000000c008009000000"
    "000c0080"
    "1a000000030107000000000c00800100000008000000000c0080"
    "16000000040107000000000c00802d01000000000000"
    "16000000050107000000000c00802e01000000000000"
    "16000000060107000000000000000060000000000000"
    "3200000007010400000003000000030000006300000000000000005000000000000088776655443322116400000000"
    "000000"
    "2300000008010101030000006200000000000000e803000000000000066265666f7265"
    "0e00000009010800000000000000"
    "160000000a0109000000000000000a00000000000000"
    "120000000b01036f69640040000000000000";

START_TEST(test_golden_records)
{
    struct writer w;

    wr_init(&w, 0);
    redo_records_write(&w);
    ck_assert_int_eq(wr_finish(&w), 0);
    check_hex(wr_view(&w), golden_records);
    wr_fini(&w);
}
END_TEST

START_TEST(test_records_round_trip)
{
    static const char *const words[] = {
        "3:1000 WRITES tx 3.7\n    seq 1 put tree 300 key 'key' value 'value'\n"
        "    seq 2 delete tree 1 key 'k'\n    seq 3 put part tree 2 key 'p' value 'v1'",
        "3:1000 COMMIT tx 3.7 scn 5 time 6 us mode 33 with 2 child transactions: tx 3.8 tx 3.9",
        "3:1000 ABORT tx 3.7 with 1 child transactions: tx 3.8",
        "3:1000 TREE_CREATE tx 3.7 tree 301",
        "3:1000 TREE_DROP tx 3.7 tree 302",
        "3:1000 CHECKPOINT scn 7 oldest 6000",
        "3:1000 INCARNATION 4 reign 1122334455667788 parent 3 up to scn 99, redo goes on from 3 at "
        "5000, first scn 100",
        "3:1000 RESTORE_POINT made (guaranteed) 'before' at (3, 98) time 1000 us",
        "3:1000 HORIZON scn 8",
        "3:1000 TIME_MARK scn 9 time 10 us",
        "3:1000 IDS 'oid' next 16384",
    };
    struct redo_record rec = { .inc = 3, .lsn = { 0x1000 } };
    struct writer w, text;
    struct reader r;
    size_t count = 0;
    int rc;

    wr_init(&w, 0);
    wr_init(&text, 0);
    redo_records_write(&w);
    rd_init(&r, w.data, w.size);
    while ((rc = redo_record_next(&r, &rec)) == 0) {
        redo_records_decode(&rec, &text);
        ck_assert_str_eq((const char *)text.data, words[count]);
        count++;
    }
    ck_assert_int_eq(rc, ERR_END);
    ck_assert_uint_eq(count, sizeof words / sizeof *words);
    wr_fini(&w);
    wr_fini(&text);
}
END_TEST

/* Any bytes give records or an error: damaged ones, truncated ones, noise. */
START_TEST(test_records_total)
{
    struct writer w, text;

    seed = (uint64_t)_i * 977 + 5;
    wr_init(&w, 0);
    wr_init(&text, 0);
    for (int round = 0; round < 3000; round++) {
        struct redo_record rec = { 0 };
        struct reader r;
        uint8_t *copy;
        size_t size;

        wr_reset(&w);
        if (round % 4 == 0) {
            for (size_t i = next_random() % 200; i > 0; i--)
                wr_u8(&w, (uint8_t)next_random());
        } else {
            redo_records_write(&w);
            for (uint64_t i = next_random() % 4; i > 0; i--)
                w.data[next_random() % w.size] = (uint8_t)next_random();
        }
        size = round % 3 == 0 && w.size > 0 ? next_random() % w.size : w.size;
        copy = xmalloc(size + 1); /* of its own, so that a byte too far is seen */
        if (size > 0)
            memcpy(copy, w.data, size);
        rd_init(&r, copy, size);
        while (redo_record_next(&r, &rec) == 0)
            redo_records_decode(&rec, &text);
        xfree(copy);
    }
    wr_fini(&w);
    wr_fini(&text);
}
END_TEST

/* ---- frames --------------------------------------------------------------------------------- */

static struct redo_frame_head
frame_make(struct writer *w, struct slice records)
{
    struct redo_frame_head h = { .inc = 3,
                                 .lsn = { 0x1000 },
                                 .size = (uint32_t)records.size,
                                 .stored_size = (uint32_t)records.size,
                                 .last_scn = 5,
                                 .last_time_us = 6,
                                 .chain = { 0x0807060504030201, 0x100f0e0d0c0b0a09 },
                                 .record_count = 1 };
    uint8_t *head;

    wr_reset(w);
    head = wr_reserve(w, REDO_FRAME_HEADER);
    redo_frame_head_encode(&h, head);
    wr_slice(w, records);
    h.crc = redo_frame_crc(w->data, records.size);
    redo_frame_head_encode(&h, w->data);
    return h;
}

START_TEST(test_golden_frame)
{
    struct redo_frame_head got;
    struct writer w;

    wr_init(&w, 0);
    frame_make(&w, slice_str("0123456789"));
    check_hex(wr_view(&w),
              "5244465201000000030000000000000000100000000000000a0000000a0000000500000000000000"
              "06000000000000000102030405060708090a0b0c0d0e0f1001000000cd4c78713031323334353637"
              "3839");
    ck_assert_int_eq(redo_frame_verify(w.data, w.size, &got), 0);
    ck_assert_uint_eq(got.lsn.v, 0x1000);
    ck_assert_uint_eq(redo_frame_end(&got).v, 0x100a);
    wr_fini(&w);
}
END_TEST

/* Every bit counts: a frame with any one of them flipped is refused, and so is each prefix. */
START_TEST(test_frame_every_bit)
{
    struct redo_frame_head h;
    struct writer w;

    wr_init(&w, 0);
    frame_make(&w, slice_str("0123456789"));
    for (size_t bit = 0; bit < w.size * 8; bit++) {
        w.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ck_assert_int_ne(redo_frame_verify(w.data, w.size, &h), 0);
        w.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t size = 0; size < w.size; size++)
        ck_assert_int_ne(redo_frame_verify(w.data, size, &h), 0);
    wr_fini(&w);
}
END_TEST

/* A compressed frame whose bytes are noise under a right checksum: an error, never a crash. */
START_TEST(test_frame_lz4_total)
{
    uint8_t *scratch = xmalloc(REDO_FRAME_RECORDS_MAX);
    uint8_t noise[300];
    struct writer w;

    seed = 99;
    wr_init(&w, 0);
    for (int round = 0; round < 2000; round++) {
        struct redo_frame_head h, got;
        struct redo_frame *f;
        struct slice records;

        for (size_t i = 0; i < sizeof noise; i++)
            noise[i] = (uint8_t)next_random();
        h = frame_make(&w, slice(noise, sizeof noise));
        h.flags = REDO_FRAME_LZ4;
        h.size = (uint32_t)(300 + next_random() % 5000);
        redo_frame_head_encode(&h, w.data);
        h.crc = redo_frame_crc(w.data, sizeof noise);
        redo_frame_head_encode(&h, w.data);
        ck_assert_int_eq(redo_frame_decode(w.data, w.size, &f), 0);
        got = f->head;
        ck_assert_int_eq(redo_frame_records(&got, f->bytes, NULL, &records), ERR_NOT_SUPPORTED);
        if (redo_frame_records(&got, f->bytes, scratch, &records) == 0)
            ck_assert_int_eq(redo_frame_check_chain(&got, records, (struct hash128){ 0 }),
                             ERR_DIVERGED);
        redo_frame_unref(f);
    }
    wr_fini(&w);
    xfree(scratch);
}
END_TEST

/* ---- files ---------------------------------------------------------------------------------- */

START_TEST(test_golden_file_headers)
{
    struct redo_file_head
        head = { { 3, { 0x1000 }, 5, 6, { 0x0807060504030201, 0x100f0e0d0c0b0a09 } },
                 77,
                 8,
                 7,
                 { 0x900 } },
        got;
    struct redo_local local = { REDO_LOCAL_CLOSE, 8, 4096, { 0x1000 }, { 0x1100 }, 0 }, seen;
    uint8_t bytes[REDO_FILE_HEADER], name_bytes[64];
    char *name = (char *)name_bytes;
    incarnation_t inc;
    struct lsn lsn;

    redo_file_head_encode(&head, bytes);
    check_hex(slice(bytes, 92),
              "52445246010000000300000000000000001000000000000008000000000000004d00000000000000"
              "07000000000000000009000000000000050000000000000006000000000000000102030405060708"
              "090a0b0c0d0e0f10c39ace1a");
    for (size_t i = 92; i < sizeof bytes; i++)
        ck_assert_uint_eq(bytes[i], 0);
    ck_assert_int_eq(redo_file_head_decode(bytes, &got), 0);
    ck_assert_uint_eq(got.prev_lsn.v, 0x900);
    for (size_t bit = 0; bit < 92 * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ck_assert_int_ne(redo_file_head_decode(bytes, &got), 0);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    redo_local_encode(&local, bytes);
    check_hex(slice(bytes, REDO_LOCAL_HEADER),
              "52444c57010001000800000000000000001000000000000000100000000000000011000000000000"
              "0000000000000000000000000000000000000000dd7b0a6c");
    ck_assert(redo_local_decode(bytes, 8, 4096, &seen));
    /* LOG-7: of another use of the file, or of another place in it. */
    ck_assert(!redo_local_decode(bytes, 9, 4096, &seen));
    ck_assert(!redo_local_decode(bytes, 8, 8192, &seen));
    for (size_t bit = 0; bit < 64 * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ck_assert(!redo_local_decode(bytes, 8, 4096, &seen));
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    redo_file_name(0x1a, lsn_make(0xbeef), name);
    ck_assert_str_eq(name, "redo-00001a-000000000000beef");
    ck_assert(redo_file_name_parse("redo-00001a-000000000000beef.redo", ".redo", &inc, &lsn));
    ck_assert_uint_eq(inc, 0x1a);
    ck_assert_uint_eq(lsn.v, 0xbeef);
    ck_assert(!redo_file_name_parse("redo-00001a-000000000000beef.redo.zst", ".redo", &inc, &lsn));
    ck_assert(!redo_file_name_parse("redo-00001A-000000000000beef.redo", ".redo", &inc, &lsn));
    ck_assert(!redo_file_name_parse("redo-000000-000000000000beef.redo", ".redo", &inc, &lsn));
    ck_assert(!redo_file_name_parse("redo-00001a", ".redo", &inc, &lsn));
}
END_TEST

/* ---- lineage -------------------------------------------------------------------------------- */

static void
add(struct lineage *l, incarnation_t inc, incarnation_t parent, scn_t fork, incarnation_t prev,
    uint64_t start)
{
    struct lineage_entry e = { inc, parent, fork, prev, { start }, 0x100 + inc };

    ck_assert_int_eq(lineage_add(l, &e), 0);
}

/* 1 runs to SCN 10; 2 is a cut of it to 5 (in the same stream); 3 undoes the cut, from 1 at 10; 4
 * goes on from 3; 6 is a failover from 2 that the others never saw. */
static void
build(struct lineage *l)
{
    lineage_init(l);
    add(l, 1, 0, 0, 0, 4096);
    add(l, 2, 1, 5, 1, 10000);
    add(l, 3, 1, 10, 2, 11000);
    add(l, 4, 3, 12, 3, 12000);
    add(l, 6, 2, 7, 2, 10500);
}

/* CUT-1: the SCN up to which two branches are one history. */
START_TEST(test_lineage_branches)
{
    struct lineage l;
    struct lineage_step at = { 4, SCN_MAX };

    build(&l);
    ck_assert_uint_eq(lineage_part(&l, 1, 1), SCN_MAX);
    ck_assert_uint_eq(lineage_part(&l, 1, 2), 5);
    ck_assert_uint_eq(lineage_part(&l, 2, 1), 5);
    ck_assert_uint_eq(lineage_part(&l, 2, 3), 5);
    ck_assert_uint_eq(lineage_part(&l, 1, 3), 10);
    ck_assert_uint_eq(lineage_part(&l, 4, 1), 10);
    ck_assert_uint_eq(lineage_part(&l, 4, 3), 12);
    ck_assert_uint_eq(lineage_part(&l, 4, 6), 5);
    ck_assert_uint_eq(lineage_part(&l, 2, 6), 7);
    ck_assert_uint_eq(lineage_part(&l, 2, 99), 0);
    ck_assert_uint_eq(lineage_owner(&l, 4, 13), 4);
    ck_assert_uint_eq(lineage_owner(&l, 4, 12), 3);
    ck_assert_uint_eq(lineage_owner(&l, 4, 10), 1);
    ck_assert_uint_eq(lineage_owner(&l, 6, 6), 2);
    ck_assert_uint_eq(lineage_owner(&l, 6, 0), 0);
    ck_assert(lineage_holds(&l, 4, (struct moment){ 1, 10 }));
    ck_assert(!lineage_holds(&l, 4, (struct moment){ 1, 11 }));
    ck_assert(!lineage_holds(&l, 4, (struct moment){ 2, 1 }));
    ck_assert(lineage_holds(&l, 2, (struct moment){ 2, SCN_MAX }));
    ck_assert(lineage_path_next(&l, &at) && at.inc == 3 && at.upto == 12);
    ck_assert(lineage_path_next(&l, &at) && at.inc == 1 && at.upto == 10);
    ck_assert(!lineage_path_next(&l, &at));
    lineage_fini(&l);
}
END_TEST

START_TEST(test_lineage_streams)
{
    struct lineage l;
    struct lsn end;

    build(&l);
    ck_assert_uint_eq(lineage_redo_at(&l, 4, lsn_make(4095)), 0);
    ck_assert_uint_eq(lineage_redo_at(&l, 4, lsn_make(4096)), 1);
    ck_assert_uint_eq(lineage_redo_at(&l, 4, lsn_make(9999)), 1);
    ck_assert_uint_eq(lineage_redo_at(&l, 4, lsn_make(10000)), 2);
    ck_assert_uint_eq(lineage_redo_at(&l, 4, lsn_make(11500)), 3);
    ck_assert_uint_eq(lineage_redo_at(&l, 4, lsn_make(UINT64_MAX)), 4);
    ck_assert_uint_eq(lineage_redo_at(&l, 6, lsn_make(10500)), 6);
    ck_assert(lineage_redo_end(&l, 4, 2, &end) && end.v == 11000);
    ck_assert(lineage_redo_end(&l, 6, 2, &end) && end.v == 10500);
    ck_assert(lineage_redo_end(&l, 4, 4, &end) && end.v == LSN_MAX.v);
    ck_assert(!lineage_redo_end(&l, 4, 6, &end));
    ck_assert_uint_eq(lineage_redo_next(&l, 6, 1), 2);
    ck_assert_uint_eq(lineage_redo_next(&l, 6, 2), 6);
    ck_assert_uint_eq(lineage_redo_next(&l, 6, 6), 0);
    lineage_fini(&l);
}
END_TEST

/* FO-30, FO-33, FO-34: where two nodes parted. */
START_TEST(test_lineage_compare)
{
    struct lineage a, b, empty;
    struct lineage_fork fork;
    struct lineage_end x = { &a, 4, { 12500 } }, y = { &b, 6, { 10800 } };

    build(&a);
    build(&b);
    lineage_init(&empty);
    ck_assert_int_eq(lineage_compare(&x, &y, &fork), 0);
    ck_assert(fork.inc == 2 && fork.lsn.v == 10500);
    ck_assert_int_eq(lineage_compare(&y, &x, &fork), 0);
    ck_assert(fork.inc == 2 && fork.lsn.v == 10500);
    /* A standby ahead of where the next reign began: its tail is past the fork. */
    y = (struct lineage_end){ &b, 2, { 11700 } };
    ck_assert_int_eq(lineage_compare(&x, &y, &fork), 0);
    ck_assert(fork.inc == 2 && fork.lsn.v == 11000);
    /* It follows a later one and has no byte of that yet, nor of the one between. */
    y = (struct lineage_end){ &b, 4, { 11000 } };
    ck_assert_int_eq(lineage_compare(&x, &y, &fork), 0);
    ck_assert(fork.inc == 2 && fork.lsn.v == 11000);
    ck_assert_int_eq(lineage_compare(&y, &x, &fork), 0);
    ck_assert(fork.inc == 2 && fork.lsn.v == 11000);
    /* One that merely has less. */
    y = (struct lineage_end){ &b, 1, { 6000 } };
    ck_assert_int_eq(lineage_compare(&x, &y, &fork), 0);
    ck_assert(fork.inc == 1 && fork.lsn.v == 6000);
    y = (struct lineage_end){ &empty, 0, REDO_LSN_FIRST };
    ck_assert_int_eq(lineage_compare(&x, &y, &fork), 0);
    ck_assert(fork.inc == 0 && fork.lsn.v == REDO_LSN_FIRST.v);
    /* The same number, another reign: nothing of it is shared. */
    b.entries[3].reign_id++;
    ck_assert(!lineage_agrees(&a, &b));
    y = (struct lineage_end){ &b, 4, { 12500 } };
    ck_assert_int_eq(lineage_compare(&x, &y, &fork), 0);
    ck_assert(fork.inc == 3 && fork.lsn.v == 12000);
    ck_assert_int_eq(lineage_merge(&a, &b), ERR_DIVERGED);
    ck_assert_uint_eq(a.count, 5);
    b.entries[0].reign_id++;
    b.count = 1;
    y = (struct lineage_end){ &b, 1, { 12500 } };
    ck_assert_int_eq(lineage_compare(&x, &y, &fork), ERR_DIVERGED);
    lineage_fini(&a);
    lineage_fini(&b);
}
END_TEST

START_TEST(test_lineage_bytes)
{
    struct lineage l, got;
    struct lineage_entry bad = { 7, 7, 0, 0, { 5000 }, 1 };
    struct writer w;
    struct reader r;

    build(&l);
    ck_assert_int_eq(lineage_add(&l, &bad), ERR_CORRUPT);
    bad = (struct lineage_entry){ 7, 5, 0, 4, { 12000 }, 1 };
    ck_assert_int_eq(lineage_add(&l, &bad), ERR_CORRUPT); /* parent unknown */
    bad = (struct lineage_entry){ 7, 4, 0, 4, { 11999 }, 1 };
    ck_assert_int_eq(lineage_add(&l, &bad), ERR_CORRUPT); /* begins before what it goes on from */
    wr_init(&w, 0);
    lineage_init(&got);
    lineage_encode(&w, &l);
    ck_assert_uint_eq(w.size, 2 + 5 * 36);
    rd_init(&r, w.data, w.size);
    ck_assert_int_eq(lineage_decode(&r, &got), 0);
    ck_assert_uint_eq(got.count, 5);
    ck_assert(lineage_agrees(&l, &got));
    ck_assert_int_eq(lineage_merge(&got, &l), 0);
    ck_assert_uint_eq(got.count, 5);
    seed = 3;
    for (int round = 0; round < 5000; round++) {
        uint8_t *copy = xmalloc(w.size);
        size_t size = round % 2 == 0 ? w.size : next_random() % w.size;

        memcpy(copy, w.data, w.size);
        copy[next_random() % w.size] ^= (uint8_t)next_random();
        copy = xrealloc(copy, size + 1);
        rd_init(&r, copy, size);
        if (lineage_decode(&r, &got) != 0)
            ck_assert_uint_eq(got.count, 0);
        for (uint32_t i = 0; i < got.count; i++)
            (void)lineage_part(&got, got.entries[i].inc, 4);
        xfree(copy);
    }
    wr_fini(&w);
    lineage_fini(&l);
    lineage_fini(&got);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("redo_format");
    TCase *t = tcase_create("redo_format");
    SRunner *runner;
    int failed;

    tcase_add_test(t, test_golden_records);
    tcase_add_test(t, test_records_round_trip);
    tcase_add_loop_test(t, test_records_total, 0, 4);
    tcase_add_test(t, test_golden_frame);
    tcase_add_test(t, test_frame_every_bit);
    tcase_add_test(t, test_frame_lz4_total);
    tcase_add_test(t, test_golden_file_headers);
    tcase_add_test(t, test_lineage_branches);
    tcase_add_test(t, test_lineage_streams);
    tcase_add_test(t, test_lineage_compare);
    tcase_add_test(t, test_lineage_bytes);
    tcase_set_timeout(t, 60);
    suite_add_tcase(s, t);
    runner = srunner_create(s);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
