/* Messages, the register and the gate: every format there and back, and any bytes at all.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "logship/message.h"
#include "node/role.h"
#include "primary/gate.h"

static uint64_t seed = 4711;

static uint64_t
dice(uint64_t below)
{
    uint64_t z = seed += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return below != 0 ? z % below : z;
}

static struct role_register
some_register(void)
{
    struct role_register r;

    register_init_first(&r, 99, "A", "host:7433", "host:5433");
    for (uint32_t i = 0; i < 4; i++) {
        struct register_member *m = &r.members[r.member_count++];

        m->id = r.next_member_id++;
        m->listed = i < 3;
        m->admitted = i != 1;
        snprintf(m->name, sizeof m->name, "node%u", i);
        snprintf(m->guard, sizeof m->guard, "[::1]:%u", 7000 + i);
    }
    r.k = 2;
    r.mode = REGISTER_AVAILABILITY;
    r.key = (struct register_key){ 17, 4 };
    r.reign_id = 0xfeedface;
    r.synchronized = true;
    r.fenced_inc = 12;
    r.loss_inc = 3;
    r.fork_inc = 16;
    r.fork_lsn = lsn_make(4096);
    r.fork_scn = 5;
    r.observers[r.observer_count++] =
        (struct register_observer){ .id = r.next_member_id++, .guard = "o:1" };
    ck_assert(register_keep(&r, (struct register_config){ .primary = 2, .k = 1, .list = 0xc }));
    return r;
}

static bool
registers_equal(const struct role_register *a, const struct role_register *b)
{
    struct writer wa, wb;
    bool eq;

    wr_init(&wa, 0);
    wr_init(&wb, 0);
    register_encode(&wa, a);
    register_encode(&wb, b);
    eq = slice_eq(wr_view(&wa), wr_view(&wb));
    wr_fini(&wa);
    wr_fini(&wb);
    return eq;
}

/* ---- the register --------------------------------------------------------------------------- */

START_TEST(test_register_there_and_back)
{
    struct role_register r = some_register(), back;
    struct writer w;

    wr_init(&w, 0);
    register_encode(&w, &r);
    ck_assert_int_eq(register_decode(wr_view(&w), &back), 0);
    ck_assert(registers_equal(&r, &back));
    ck_assert(back.synchronized && back.k == 2 && back.before_count == 1);
    ck_assert_int_eq(back.before[0].list, 0xc);
    ck_assert_str_eq(register_member(&back, 3)->name, "node1");
    wr_reset(&w);
    register_print(&r, &w);
    ck_assert_ptr_nonnull(strstr((const char *)w.data, "any 2 of 3"));
    wr_fini(&w);
}
END_TEST

/* SHIP-1: every single bit, every length: an error, never anything else. */
START_TEST(test_register_damaged)
{
    struct role_register r = some_register(), back;
    struct writer w;

    wr_init(&w, 0);
    register_encode(&w, &r);
    for (size_t bit = 0; bit < w.size * 8; bit++) {
        w.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ck_assert_int_ne(register_decode(wr_view(&w), &back), 0);
        w.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t n = 0; n < w.size; n++)
        ck_assert_int_ne(register_decode(slice(w.data, n), &back), 0);
    wr_fini(&w);
}
END_TEST

/* SHIP-2: with a right checksum and wrong contents. */
START_TEST(test_register_contradictory)
{
    struct role_register back;

    for (int i = 0; i < 11; i++) {
        struct role_register r = some_register();
        struct writer w;

        switch (i) {
        case 0:
            r.k = 4;
            break;
        case 1:
            r.k = 0;
            break;
        case 2:
            r.members[0].listed = true;
            break;
        case 3:
            r.members[2].id = 2;
            break;
        case 4:
            r.members[2].id = r.next_member_id;
            break;
        case 5:
            r.primary = 77;
            break;
        case 6:
            snprintf(r.members[3].name, sizeof r.members[3].name, "node0");
            break;
        case 7:
            r.mode = (enum register_mode)9;
            break;
        case 8:
            r.before[0].list = 0x800;
            break;
        case 9:
            snprintf(r.members[1].guard, sizeof r.members[1].guard, "a\nb");
            break;
        case 10:
            r.loss_inc = 18;
            break;
        }
        wr_init(&w, 0);
        register_encode(&w, &r);
        ck_assert_msg(register_decode(wr_view(&w), &back) == ERR_CORRUPT, "case %d", i);
        wr_fini(&w);
    }
}
END_TEST

START_TEST(test_register_seat)
{
    struct role_register r = some_register();

    register_seat(&r, 3); /* on the list: the old primary takes its place */
    ck_assert_uint_eq(r.primary, 3);
    ck_assert(register_lists(&r, 1) && !register_lists(&r, 3));
    ck_assert_uint_eq(register_list_count(&r), 3);
    register_seat(&r, 5); /* a bystander: the list stays */
    ck_assert(!register_lists(&r, 3) && register_lists(&r, 1));
    ck_assert_uint_eq(register_list_count(&r), 3);
    ck_assert(!register_keep(&(struct role_register){ .before_count = REGISTER_BEFORE_MAX },
                             (struct register_config){ .primary = 9 }));
}
END_TEST

START_TEST(test_durable_there_and_back)
{
    struct role_durable d, back;
    struct writer w;

    role_durable_first(&d, 7, "A", "a:1", "a:2");
    d.promised = 31;
    d.promised_to = 2;
    d.published = lsn_make(1234);
    wr_init(&w, 0);
    role_durable_encode(&w, &d);
    ck_assert_int_eq(role_durable_decode(wr_view(&w), &back), 0);
    ck_assert_uint_eq(back.promised, 31);
    ck_assert_uint_eq(back.published.v, 1234);
    ck_assert(registers_equal(&d.reg, &back.reg));
    for (size_t bit = 0; bit < w.size * 8; bit += 3) {
        w.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ck_assert_int_ne(role_durable_decode(wr_view(&w), &back), 0);
        w.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t n = 0; n < w.size; n++)
        ck_assert_int_ne(role_durable_decode(slice(w.data, n), &back), 0);
    wr_fini(&w);
}
END_TEST

/* ---- role messages -------------------------------------------------------------------------- */

static struct role_message
some_message(enum role_message_type type)
{
    struct role_message m = { .type = type,
                              .inc = 12,
                              .boot = 34,
                              .seq = 56,
                              .key = { 12, 3 },
                              .reign_id = 78,
                              .of = ROLE_MSG_ASK,
                              .why = ROLE_WHY_PROMISED,
                              .yes = true,
                              .reason = 2,
                              .promised = 13,
                              .log = { 11, { 99 }, 98, { 1, 2 }, { 97 } },
                              .lsn = { 96 },
                              .published_scn = 95 };
    m.reg = some_register();
    return m;
}

START_TEST(test_role_messages_there_and_back)
{
    for (int t = ROLE_MSG_HEARTBEAT; t <= ROLE_MSG_RELEASE; t++) {
        enum role_message_type type = (enum role_message_type)t;
        struct role_message m = some_message(type), back;
        struct writer a, b;

        wr_init(&a, 0);
        wr_init(&b, 0);
        role_message_encode(&a, &m);
        ck_assert_uint_le(a.size, ship_type_limit((enum ship_type)type));
        ck_assert_int_eq(role_message_decode(type, wr_view(&a), &back), 0);
        role_message_encode(&b, &back);
        ck_assert(slice_eq(wr_view(&a), wr_view(&b)));
        for (size_t n = 0; n < a.size; n++)
            ck_assert_int_ne(role_message_decode(type, slice(a.data, n), &back), 0);
        wr_u8(&a, 0);
        ck_assert_int_ne(role_message_decode(type, wr_view(&a), &back), 0);
        wr_fini(&a);
        wr_fini(&b);
    }
}
END_TEST

/* ---- the header ----------------------------------------------------------------------------- */

START_TEST(test_header_there_and_back)
{
    struct ship_header h = { .type = SHIP_REDO,
                             .body_size = 1000,
                             .seq = 5,
                             .database_id = 6,
                             .sender = 7,
                             .boot = 8,
                             .tag = { 9 } },
                       back;
    uint8_t bytes[SHIP_HEADER_SIZE];

    ship_header_encode(&h, bytes);
    ck_assert_int_eq(ship_header_decode(bytes, &back), 0);
    ck_assert(back.type == h.type && back.body_size == 1000 && back.seq == 5 && back.sender == 7);
    ck_assert_int_eq(back.tag[0], 9);
    bytes[4] = 2;
    ck_assert_int_eq(ship_header_decode(bytes, &back), ERR_NOT_SUPPORTED);
    bytes[4] = 1;
    bytes[5] = 99;
    ck_assert_int_eq(ship_header_decode(bytes, &back), ERR_PROTOCOL);
    bytes[0] ^= 1;
    ck_assert_int_eq(ship_header_decode(bytes, &back), ERR_PROTOCOL);
}
END_TEST

/* LINK-2: a size past the type's limit is refused by the header alone. */
START_TEST(test_limits_by_type)
{
    for (int t = 0; t < 256; t++) {
        uint32_t limit = ship_type_limit((enum ship_type)t);
        struct ship_header h = { .type = (enum ship_type)t, .body_size = limit }, back;
        uint8_t bytes[SHIP_HEADER_SIZE];

        ship_header_encode(&h, bytes);
        if (limit == 0) {
            ck_assert_int_eq(ship_header_decode(bytes, &back), ERR_PROTOCOL);
            continue;
        }
        ck_assert_int_eq(ship_header_decode(bytes, &back), 0);
        h.body_size++;
        ship_header_encode(&h, bytes);
        ck_assert_int_eq(ship_header_decode(bytes, &back), ERR_LIMIT);
    }
}
END_TEST

START_TEST(test_checksum_covers_all)
{
    struct ship_header h = { .type = SHIP_GOODBYE, .body_size = 40, .seq = 3 };
    uint8_t bytes[SHIP_HEADER_SIZE + 40];
    struct slice body = { bytes + SHIP_HEADER_SIZE, 40 };

    memset(bytes, 'x', sizeof bytes);
    ship_header_encode(&h, bytes);
    h.crc = ship_checksum(bytes, slice(body.data, 15), slice(body.data + 15, 25));
    ship_header_encode(&h, bytes);
    ck_assert_int_eq(ship_check(bytes, body), 0);
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        if (bit / 8 >= SHIP_OFF_TAG && bit / 8 < SHIP_HEADER_SIZE)
            continue; /* the tag is not the checksum's */
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ck_assert_int_eq(ship_check(bytes, body), ERR_CORRUPT);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}
END_TEST

/* ---- bodies --------------------------------------------------------------------------------- */

START_TEST(test_bodies_there_and_back)
{
    struct ship_ack ack = { 3, { 10 }, { 9 }, { 8 }, 7, { 1, 2 } }, ack2;
    struct ship_redo_request rq = { SHIP_REDO_GAP, 4, { 50 }, { 3, { 40 }, 2, 1, { 5, 6 } } }, rq2;
    struct ship_redo_end end = { SHIP_REDO_TAIL, 4, ERR_NEEDS_RESEED, { 9 }, slice_str("gone") };
    struct ship_redo_end end2;
    struct ship_located at = { { 1, { 2 } }, true, { 1, { 2 }, 3, 4, { 5, 6 } } }, at2;
    struct ship_hello hi = { .promised = 5, .log = { .follows = 4 }, .lineage = slice_str("xyz") };
    struct ship_hello hi2;
    struct writer w;

    wr_init(&w, 0);
    ship_ack_encode(&w, &ack);
    ck_assert_int_eq(ship_ack_decode(wr_view(&w), &ack2), 0);
    ck_assert(ack2.durable.v == 9 && ack2.chain.hi == 2);
    wr_reset(&w);
    ship_redo_request_encode(&w, &rq);
    ck_assert_int_eq(ship_redo_request_decode(wr_view(&w), &rq2), 0);
    ck_assert(rq2.purpose == SHIP_REDO_GAP && rq2.from.lsn.v == 40 && rq2.until.v == 50);
    wr_reset(&w);
    ship_redo_end_encode(&w, &end);
    ck_assert_int_eq(ship_redo_end_decode(wr_view(&w), &end2), 0);
    ck_assert_int_eq(end2.code, ERR_NEEDS_RESEED);
    ck_assert(slice_eq(end2.text, end.text));
    wr_reset(&w);
    ship_located_encode(&w, &at);
    ck_assert_int_eq(ship_located_decode(wr_view(&w), &at2), 0);
    ck_assert(at2.found && at2.pos.chain.lo == 5);
    wr_reset(&w);
    hi.reg = some_register();
    ship_hello_encode(&w, &hi);
    ck_assert_int_eq(ship_hello_decode(wr_view(&w), &hi2), 0);
    ck_assert(slice_eq(hi2.lineage, hi.lineage) && registers_equal(&hi.reg, &hi2.reg));
    wr_fini(&w);
}
END_TEST

START_TEST(test_command_and_reply)
{
    struct ship_command c = { 2, { slice_str("switchover"), slice_str("B") } }, c2;
    struct ship_reply r = { SHIP_REPLY_END, ERR_ROLE, slice_str("no") }, r2;
    struct writer w;

    wr_init(&w, 0);
    ship_command_encode(&w, &c);
    ck_assert_int_eq(ship_command_decode(wr_view(&w), &c2), 0);
    ck_assert(c2.count == 2 && slice_eq(c2.words[1], slice_str("B")));
    wr_reset(&w);
    ship_reply_encode(&w, &r);
    ck_assert_int_eq(ship_reply_decode(wr_view(&w), &r2), 0);
    ck_assert(r2.what == SHIP_REPLY_END && r2.code == ERR_ROLE);
    store_u32(w.data + 1, 100000); /* a code of a later version */
    ck_assert_int_eq(ship_reply_decode(wr_view(&w), &r2), 0);
    ck_assert_int_eq(r2.code, ERR_INTERNAL);
    wr_fini(&w);
}
END_TEST

START_TEST(test_copy_list_and_paths)
{
    static const char *const bad[] = { "",     "/",  "/etc/passwd", "..", "a/../b",
                                       "a//b", "a/", "./a",         "a/." };
    static const char *const good[] = { "a", "a/b", "segments/00000000000000a1.seg", "..a",
                                        "a..b" };
    struct ship_file f = { slice_str("redo/1"), 77, { 1, 2 } }, got;
    struct ship_copy_list l;
    struct writer w;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!ship_path_is_plain(slice_str(bad[i])), "%s", bad[i]);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert_msg(ship_path_is_plain(slice_str(good[i])), "%s", good[i]);
    ck_assert(!ship_path_is_plain(slice("a\0b", 3)));
    wr_init(&w, 0);
    ship_copy_list_begin(&w, 5, true, 2);
    ship_copy_list_add(&w, &f);
    f.path = slice_str("../../etc/passwd");
    ship_copy_list_add(&w, &f);
    ck_assert_int_eq(ship_copy_list_decode(wr_view(&w), &l), 0);
    ck_assert_int_eq(ship_copy_list_next(&l, &got), 0);
    ck_assert(got.size == 77 && slice_eq(got.path, slice_str("redo/1")));
    ck_assert_int_eq(ship_copy_list_next(&l, &got), ERR_PROTOCOL);
    wr_fini(&w);
}
END_TEST

/* ---- any bytes ------------------------------------------------------------------------------ */

static void
decode_all(struct slice b)
{
    struct ship_auth_hello a;
    struct ship_auth_challenge ch;
    struct ship_goodbye bye;
    struct ship_hello hi;
    struct ship_redo redo;
    struct ship_ack ack;
    struct ship_pointer p;
    struct ship_redo_request rq;
    struct ship_redo_end re;
    struct ship_locate lo;
    struct ship_located at;
    struct ship_copy_begin cb;
    struct ship_copy_list cl;
    struct ship_file file;
    struct ship_file_get fg;
    struct ship_file_chunk fc;
    struct ship_copy_end ce;
    struct ship_command cmd;
    struct ship_reply rep;
    struct role_durable d;
    struct role_register reg;
    struct role_message m;
    int rc = 0;

    rc |= ship_auth_hello_decode(b, &a) | ship_auth_challenge_decode(b, &ch);
    rc |= ship_goodbye_decode(b, &bye) | ship_hello_decode(b, &hi) | ship_redo_decode(b, &redo);
    rc |= ship_ack_decode(b, &ack) | ship_pointer_decode(b, &p) | ship_redo_request_decode(b, &rq);
    rc |= ship_redo_end_decode(b, &re) | ship_locate_decode(b, &lo) | ship_located_decode(b, &at);
    rc |= ship_copy_begin_decode(b, &cb) | ship_file_get_decode(b, &fg);
    rc |= ship_file_chunk_decode(b, &fc) | ship_copy_end_decode(b, &ce);
    rc |= ship_command_decode(b, &cmd) | ship_reply_decode(b, &rep);
    rc |= role_durable_decode(b, &d) | register_decode(b, &reg);
    if (ship_copy_list_decode(b, &cl) == 0)
        while (ship_copy_list_next(&cl, &file) == 0)
            ;
    for (int t = ROLE_MSG_HEARTBEAT; t <= ROLE_MSG_RELEASE; t++)
        rc |= role_message_decode((enum role_message_type)t, b, &m);
    (void)rc;
}

/* SHIP-1. On the heap and of the exact size, so that the sanitizer sees a byte too many. */
START_TEST(test_any_bytes)
{
    struct writer w;

    printf("seed %llu\n", (unsigned long long)seed);
    wr_init(&w, 0);
    for (int i = 0; i < 6000; i++) {
        uint8_t *exact;
        size_t n;

        wr_reset(&w);
        if (i % 2 == 0) {
            struct role_message m =
                some_message((enum role_message_type)(ROLE_MSG_HEARTBEAT + (int)dice(11)));

            role_message_encode(&w, &m);
            for (uint64_t k = dice(5); k > 0; k--)
                w.data[dice(w.size)] = (uint8_t)dice(256);
        } else {
            for (uint64_t k = dice(200); k > 0; k--)
                wr_u8(&w, (uint8_t)(dice(3) == 0 ? dice(256) : dice(4)));
        }
        n = w.size == 0 ? 0 : dice(8) == 0 ? dice(w.size) : w.size;
        exact = malloc(n + (n == 0));
        if (n != 0)
            memcpy(exact, w.data, n);
        decode_all(slice(exact, n));
        free(exact);
    }
    wr_fini(&w);
}
END_TEST

START_TEST(test_any_header)
{
    for (int i = 0; i < 100000; i++) {
        struct ship_header h = { .type = SHIP_ACK, .body_size = 10 }, back;
        uint8_t bytes[SHIP_HEADER_SIZE];

        ship_header_encode(&h, bytes);
        for (uint64_t k = dice(6); k > 0; k--)
            bytes[dice(sizeof bytes)] = (uint8_t)dice(256);
        if (ship_header_decode(bytes, &back) == 0)
            ck_assert_uint_le(back.body_size, ship_type_limit(back.type));
    }
}
END_TEST

/* ---- the gate ------------------------------------------------------------------------------- */

/* FO-1a against counting by hand (GATE-2, GATE-3: two rules). */
START_TEST(test_gate_any_k_of_s)
{
    for (int i = 0; i < 20000; i++) {
        struct gate_ack acks[5];
        struct gate_state g = { .inc = 7, .rule_count = (uint8_t)(1 + dice(2)) };
        uint64_t local = dice(100), want = local;
        struct lsn got;

        for (uint32_t a = 0; a < 5; a++)
            acks[a] = (struct gate_ack){ .member = a + 1,
                                         .inc = (incarnation_t)(6 + dice(2)),
                                         .durable = lsn_make(dice(100)) };
        for (uint8_t k = 0; k < g.rule_count; k++) {
            struct gate_rule *r = &g.rules[k];
            uint64_t best = 0;

            for (uint32_t a = 1; a <= 5; a++)
                if (dice(2) == 0)
                    r->members[r->count++] = a;
            r->k = (uint8_t)(r->count != 0 ? 1 + dice(r->count) : 0);
            r->lag_bytes = dice(3) == 0 ? dice(20) : 0;
            if (r->k == 0)
                continue;
            for (uint64_t n = 100; n > 0 && best == 0; n--) { /* the highest that k have */
                uint32_t have = 0;

                for (uint8_t c = 0; c < r->count; c++) {
                    const struct gate_ack *a = &acks[r->members[c] - 1];

                    have += a->inc == 7 && a->durable.v + r->lag_bytes >= n;
                }
                if (have >= r->k)
                    best = n;
            }
            if (best < want)
                want = best;
        }
        got = gate_acknowledged(&g, acks, 5, lsn_make(local));
        ck_assert_uint_eq(got.v, want);
    }
}
END_TEST

/* GATE-1 */
START_TEST(test_gate_closed_and_alone)
{
    struct gate_state g = { .inc = 1,
                            .rule_count = 1,
                            .rules = { { .members = { 2 }, .count = 1, .k = 1 } } };

    ck_assert_uint_eq(gate_acknowledged(&g, NULL, 0, lsn_make(9)).v, 0);
    g.alone = true;
    ck_assert_uint_eq(gate_acknowledged(&g, NULL, 0, lsn_make(9)).v, 9);
    g.closed = true;
    ck_assert_uint_eq(gate_acknowledged(&g, NULL, 0, lsn_make(9)).v, 0);
}
END_TEST

/* "None yet: over any limit": without one acknowledgement of this incarnation the lag allows
 * nothing. */
START_TEST(test_gate_lag_limit)
{
    struct gate_ack a = { .member = 2, .inc = 4, .durable = lsn_make(50) };
    struct gate_state g = {
        .inc = 5,
        .rule_count = 1,
        .rules = { { .members = { 2 }, .count = 1, .k = 1, .lag_bytes = UINT64_MAX } }
    };

    ck_assert_uint_eq(gate_acknowledged(&g, &a, 1, lsn_make(99)).v, 0);
    a.inc = 5;
    ck_assert_uint_eq(gate_acknowledged(&g, &a, 1, lsn_make(99)).v, 99);
    g.rules[0].lag_bytes = 10;
    ck_assert_uint_eq(gate_acknowledged(&g, &a, 1, lsn_make(99)).v, 60);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("message");
    TCase *t = tcase_create("message");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_register_there_and_back);
    tcase_add_test(t, test_register_damaged);
    tcase_add_test(t, test_register_contradictory);
    tcase_add_test(t, test_register_seat);
    tcase_add_test(t, test_durable_there_and_back);
    tcase_add_test(t, test_role_messages_there_and_back);
    tcase_add_test(t, test_header_there_and_back);
    tcase_add_test(t, test_limits_by_type);
    tcase_add_test(t, test_checksum_covers_all);
    tcase_add_test(t, test_bodies_there_and_back);
    tcase_add_test(t, test_command_and_reply);
    tcase_add_test(t, test_copy_list_and_paths);
    tcase_add_test(t, test_any_bytes);
    tcase_add_test(t, test_any_header);
    tcase_add_test(t, test_gate_any_k_of_s);
    tcase_add_test(t, test_gate_closed_and_alone);
    tcase_add_test(t, test_gate_lag_limit);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
