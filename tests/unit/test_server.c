/* A real server and raw clients that do what real ones do, and what they never would: queries,
 * pipelines, COPY, cancels, the reply gate, changes of role.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/server/protocol.h"
#include "tests/support/server_fixture.h"

/* ---- queries -------------------------------------------------------------------------------- */

START_TEST(test_simple)
{
    struct wire w;

    fixture_start(fixture_options());
    connect_as(&w, "alice");
    ck_assert_str_eq(ask(&w, "echo hello"), "T D[hello] C[echo] Z[I] ");
    ck_assert_str_eq(ask(&w, ""), "I Z[I] ");
    ck_assert_str_eq(ask(&w, "begin;rows 2"), "C[begin] T D[0|] D[1|] C[SELECT 2] Z[T] ");
    ck_assert_str_eq(ask(&w, "echo a;error x;echo b"), "T D[a] C[echo] E[42601] Z[E] ");
    ck_assert_str_eq(ask(&w, "rollback;notice hm"), "C[rollback] N[hm] C[notice] Z[I] ");
    wire_put(&w, 'Q', "echo \xff", 7);
    wire_send(&w);
    ck_assert_str_eq(answers(&w, 1), "E[22021] Z[I] ");
    wire_put(&w, 'F', "", 0);
    wire_send(&w);
    ck_assert_str_eq(answers(&w, 1), "E[0A000] Z[I] ");
    wire_put(&w, 'X', "", 0);
    wire_send(&w);
    ck_assert_str_eq(answers(&w, 1), "EOF");
    wire_close(&w);
}
END_TEST

START_TEST(test_extended)
{
    struct wire w;

    fixture_start(fixture_options());
    connect_as(&w, "alice");
    put_extended(&w, "echo $1", "p1");
    put_sync(&w);
    wire_send(&w);
    ck_assert_str_eq(answers(&w, 1), "1 2 T D[p1] C[echo] Z[I] ");
    /* named, binary, row limits, close */
    wire_put_parse(&w, "st", "echo $1");
    wire_put_describe(&w, 'D', 'S', "st");
    wire_put_bind(&w, "po", "st", "\1\2\xff", 3, 1);
    wire_put_execute(&w, "po", 0);
    wire_put_describe(&w, 'C', 'P', "po");
    wire_put_describe(&w, 'C', 'S', "nothing");
    put_sync(&w);
    wire_send(&w);
    ck_assert_str_eq(answers(&w, 1), "1 t T 2 D[\1\2\xff] C[echo] 3 3 Z[I] ");
    wire_put_parse(&w, "", "rows 3");
    wire_put_bind(&w, "", "", NULL, 0, 0);
    wire_put_execute(&w, "", 2);
    wire_put_execute(&w, "", 2);
    put_sync(&w);
    wire_send(&w);
    ck_assert_str_eq(answers(&w, 1), "1 2 D[0|] D[1|] s D[2|] C[SELECT 1] Z[I] ");
    wire_close(&w);
}
END_TEST

/* SRV-4: after an error in a batch, everything up to Sync is skipped, whoever found the error. */
START_TEST(test_skip_to_sync)
{
    struct wire w;

    fixture_start(fixture_options());
    connect_as(&w, "alice");
    ask(&w, "begin");
    put_extended(&w, "echo a", NULL);
    put_extended(&w, "error b", NULL);
    put_extended(&w, "echo c", NULL);
    wire_put_query(&w, "echo d");
    put_sync(&w);
    put_extended(&w, "echo e", NULL);
    put_sync(&w);
    wire_send(&w);
    ck_assert_str_eq(answers(&w, 2), "1 2 T D[a] C[echo] 1 2 n E[42601] Z[E] "
                                     "1 2 T D[e] C[echo] Z[E] ");
    ask(&w, "rollback");
    ask(&w, "begin");
    wire_put(&w, 'B', "\0\0\0\0\0\5", 6); /* five parameters that are not there */
    put_extended(&w, "echo c", NULL);
    put_sync(&w);
    wire_send(&w);
    ck_assert_str_eq(answers(&w, 1), "E[08P01] Z[E] ");
    wire_close(&w);
}
END_TEST

/* SRV-12: pipelined batches are answered in order, wherever the bytes are cut. */
START_TEST(test_pipeline)
{
    struct wire w;
    char expected[4096];
    size_t used = 0;

    fixture_start(fixture_options());
    connect_as(&w, "alice");
    for (int round = 0; round < 2; round++) {
        used = 0;
        for (int i = 0; i < 20; i++) {
            char query[32];

            snprintf(query, sizeof query, "echo %d", i);
            if (i % 3 == 0)
                wire_put_query(&w, query);
            else
                put_extended(&w, query, NULL), put_sync(&w);
            used += (size_t)snprintf(expected + used, sizeof expected - used,
                                     "%sT D[%d] C[echo] Z[I] ", i % 3 == 0 ? "" : "1 2 ", i);
        }
        if (round == 0)
            wire_send(&w);
        else
            wire_send_slowly(&w);
        ck_assert_str_eq(answers(&w, 20), expected);
    }
    wire_close(&w);
}
END_TEST

START_TEST(test_large)
{
    struct wire w;
    size_t size = 3 << 20;
    char *query = xmalloc(size);
    struct slice body;
    uint8_t type;
    int rows = 0;

    fixture_start(fixture_options());
    connect_as(&w, "alice");
    memset(query, 'x', size);
    memcpy(query, "echo ", 5);
    query[size - 1] = '\0';
    wire_put_query(&w, query);
    wire_put_query(&w, "echo after");
    wire_send(&w);
    ck_assert_str_eq(answers(&w, 2), "T D[...] C[echo] Z[I] T D[after] C[echo] Z[I] ");
    wire_put_query(&w, "rows 3000 1000"); /* more than the socket holds */
    wire_send(&w);
    do {
        ck_assert(wire_next(&w, &type, &body));
        rows += type == 'D';
    } while (type != 'Z');
    ck_assert_int_eq(rows, 3000);
    xfree(query);
    wire_close(&w);
}
END_TEST

START_TEST(test_copy)
{
    struct wire w;

    fixture_start(fixture_options());
    connect_as(&w, "alice");
    ck_assert_str_eq(ask(&w, "copyout 3"), "H d[0\n] d[1\n] d[2\n] c C[COPY 3] Z[I] ");
    for (int i = 0; i < 2; i++) {
        wire_put_query(&w, "copyin;echo after");
        wire_put(&w, 'd', "abc", 3);
        wire_put(&w, 'H', "", 0);
        wire_put(&w, 'd', "\xc3", 1); /* a character in two pieces */
        wire_put(&w, 'd', "\xa9\n", 2);
        wire_put(&w, 'c', "", 0);
        wire_put_query(&w, "echo x");
        if (i == 0)
            wire_send(&w);
        else
            wire_send_slowly(&w);
        ck_assert_str_eq(answers(&w, 2), "G C[COPY 6] T D[after] C[echo] Z[I] "
                                         "T D[x] C[echo] Z[I] ");
    }
    wire_put_query(&w, "copyin");
    wire_put(&w, 'd', "\xff", 1);
    wire_put(&w, 'c', "", 0);
    wire_send(&w);
    ck_assert_str_eq(answers(&w, 1), "G E[22021] Z[I] ");
    wire_put_query(&w, "copyin");
    wire_put(&w, 'f', "no", 3);
    wire_send(&w);
    ck_assert_str_eq(answers(&w, 1), "G E[57014] Z[I] ");
    wire_put_query(&w, "copyfail"); /* the rest of the client's data is passed over */
    wire_put(&w, 'd', "abc", 3);
    wire_put(&w, 'd', "abc", 3);
    wire_put(&w, 'c', "", 0);
    wire_put_query(&w, "echo x");
    wire_send(&w);
    ck_assert_str_eq(answers(&w, 2), "G E[22P04] Z[I] T D[x] C[echo] Z[I] ");
    wire_close(&w);
}
END_TEST

/* A large COPY in pieces of all sizes, and after it the connection is in step. */
START_TEST(test_copy_large)
{
    struct wire w;
    size_t total = 0;
    char expected[64];
    char *piece = xmalloc(200000);

    fixture_start(fixture_options());
    connect_as(&w, "alice");
    memset(piece, 'y', 200000);
    wire_put_query(&w, "copyin");
    for (size_t size = 1; size < 200000; size = size * 3 + 1) {
        wire_put(&w, 'd', piece, size);
        total += size;
        wire_send(&w);
    }
    wire_put(&w, 'c', "", 0);
    wire_put_query(&w, "copyin;copyin");
    wire_put(&w, 'd', piece, 70000);
    wire_put(&w, 'c', "", 0);
    wire_put(&w, 'd', piece, 5);
    wire_put(&w, 'c', "", 0);
    wire_send(&w);
    snprintf(expected, sizeof expected, "G C[COPY %zu] Z[I] G C[COPY 70000] G C[COPY 5] Z[I] ",
             total);
    ck_assert_str_eq(answers(&w, 2), expected);
    xfree(piece);
    wire_close(&w);
}
END_TEST

/* ---- ends ----------------------------------------------------------------------------------- */

static void
wait_sleeping(int count)
{
    while (atomic_load(&fx.echo.sleeping_count) != count)
        env_thread_yield(fx.env);
}

static void
send_cancel(uint32_t process_id, uint32_t secret)
{
    struct wire c;

    ck_assert(wire_open(&c, fx.path));
    wr_u32_be(&c.out, 16);
    wr_u32_be(&c.out, PROTO_CANCEL);
    wr_u32_be(&c.out, process_id);
    wr_u32_be(&c.out, secret);
    wire_send(&c);
    ck_assert_str_eq(answers(&c, 1), "EOF");
    wire_close(&c);
}

START_TEST(test_cancel)
{
    struct wire w;

    fixture_start(fixture_options());
    connect_as(&w, "alice");
    send_cancel(w.process_id, w.secret); /* idle: nothing to cancel */
    ck_assert_str_eq(ask(&w, "echo a"), "T D[a] C[echo] Z[I] ");
    wire_put_query(&w, "sleep");
    wire_send(&w);
    wait_sleeping(1);
    send_cancel(w.process_id, w.secret ^ 1);
    send_cancel(w.process_id ^ 1, w.secret);
    ck_assert(!wire_has_input(&w, 0));
    send_cancel(w.process_id, w.secret);
    ck_assert_str_eq(answers(&w, 1), "E[57014] Z[I] ");
    ck_assert_str_eq(ask(&w, "echo b"), "T D[b] C[echo] Z[I] ");
    ask(&w, "timeout 20");
    ck_assert_str_eq(ask(&w, "sleep"), "E[57014] Z[I] ");
    wire_close(&w);
}
END_TEST

/* SRV-5: a client that goes away while its statement runs takes the statement with it. */
START_TEST(test_client_gone)
{
    struct wire w;

    fixture_start(fixture_options());
    connect_as(&w, "alice");
    wire_put_query(&w, "sleep");
    wire_send(&w);
    wait_sleeping(1);
    wire_close(&w);
    wait_sleeping(0);
    while (atomic_load(&fx.echo.open_count) != 0)
        env_thread_yield(fx.env);
    connect_as(&w, "alice");
    wire_put_query(&w, "copyin");
    wire_put(&w, 'd', "abc", 3);
    wire_send(&w);
    wire_close(&w);
    while (atomic_load(&fx.echo.open_count) != 0)
        env_thread_yield(fx.env);
}
END_TEST

START_TEST(test_idle_in_transaction)
{
    struct wire w;

    fixture_start(fixture_options());
    connect_as(&w, "alice");
    ask(&w, "idletimeout 10");
    ck_assert_str_eq(ask(&w, "echo still"), "T D[still] C[echo] Z[I] ");
    ask(&w, "begin");
    ck_assert_str_eq(answers(&w, 1), "E[25P03] EOF");
    wire_close(&w);
}
END_TEST

START_TEST(test_stop_with_sessions)
{
    struct wire a, b;

    fixture_start(fixture_options());
    connect_as(&a, "alice");
    connect_as(&b, "alice");
    wire_put_query(&a, "sleep");
    wire_send(&a);
    wait_sleeping(1);
    server_stop(fx.server);
    ck_assert_str_eq(answers(&a, 1), "E[57P01] EOF");
    ck_assert_str_eq(answers(&b, 1), "E[57P01] EOF");
    wire_close(&a);
    wire_close(&b);
}
END_TEST

/* ---- the gate ------------------------------------------------------------------------------- */

static void
move_gate(uint64_t scn)
{
    atomic_store(&fx.gate_scn, scn);
    server_replies_wake(fx.server);
}

static uint64_t
held_count(void)
{
    struct server_figures f;

    server_get_figures(fx.server, &f);
    return f.replies_held;
}

static void
wait_held(uint64_t count)
{
    while (held_count() < count)
        env_thread_yield(fx.env);
}

/* SRV-1: an answer leaves only when what it rests on is visible; those before it may, those after
 * it may not. Meanwhile the session goes on with the next message. */
START_TEST(test_held_until_visible)
{
    struct wire w;

    fixture_start(fixture_options());
    connect_as(&w, "alice");
    ck_assert_str_eq(ask(&w, "require 100;echo now"), "C[require] T D[now] C[echo] Z[I] ");
    wire_put_query(&w, "echo before");
    wire_put_query(&w, "echo first;require 101");
    wire_put_query(&w, "require 103");
    wire_put_query(&w, "begin");
    wire_send(&w);
    ck_assert_str_eq(answers(&w, 1), "T D[before] C[echo] Z[I] ");
    wait_held(1);
    ck_assert(!wire_has_input(&w, 0));
    move_gate(101);
    ck_assert_str_eq(answers(&w, 1), "T D[first] C[echo] C[require] Z[I] ");
    wait_held(2);
    move_gate(102);
    wait_held(3);
    ck_assert(!wire_has_input(&w, 0));
    move_gate(103);
    ck_assert_str_eq(answers(&w, 2), "C[require] Z[I] C[begin] Z[T] ");
    for (int i = 110; i < 150; i++) { /* more holds than are kept apart */
        char query[32];

        snprintf(query, sizeof query, "require %d", i);
        wire_put_query(&w, query);
    }
    wire_send(&w);
    wait_held(4);
    ck_assert(!wire_has_input(&w, 0));
    move_gate(149);
    answers(&w, 40);
    wire_close(&w);
}
END_TEST

/* SRV-2: without the permit nothing leaves, reads included. */
START_TEST(test_held_without_permit)
{
    struct wire w;

    fixture_start(fixture_options());
    connect_as(&w, "alice");
    atomic_store(&fx.gate_open, false);
    wire_put_query(&w, "echo a");
    wire_send(&w);
    wait_held(1);
    ck_assert(!wire_has_input(&w, 0));
    atomic_store(&fx.gate_open, true);
    server_replies_wake(fx.server);
    ck_assert_str_eq(answers(&w, 1), "T D[a] C[echo] Z[I] ");
    wire_close(&w);
}
END_TEST

/* SRV-3: on demotion writers go, and who waits to hear of a commit is not told that it happened;
 * readers go on and hear of the new role. */
START_TEST(test_demotion)
{
    struct wire writer, waiter, reader, sleeper;

    fixture_start(fixture_options());
    connect_as(&writer, "alice");
    connect_as(&waiter, "alice");
    connect_as(&reader, "alice");
    connect_as(&sleeper, "alice");
    ask(&reader, "readonly");
    ask(&waiter, "readonly");
    wire_put_query(&waiter, "require 500");
    wire_send(&waiter);
    wait_held(1);
    wire_put_query(&sleeper, "sleep");
    wire_send(&sleeper);
    wait_sleeping(1);
    atomic_store(&fx.echo.is_standby, true);
    server_demoted(fx.server);
    ck_assert_str_eq(answers(&writer, 1), "E[57P01] EOF");
    ck_assert_str_eq(answers(&sleeper, 1), "E[57P01] EOF");
    ck_assert_str_eq(answers(&waiter, 1), "E[57P01] EOF");
    wire_put_query(&reader, "echo on");
    wire_send(&reader);
    wire_transcript(&reader, 'Z', 1, true, fx.text, sizeof fx.text);
    ck_assert_str_eq(fx.text, "S[in_hot_standby=on] T D[on] C[echo] Z[I] ");
    atomic_store(&fx.echo.is_standby, false);
    server_promoted(fx.server);
    wire_put_query(&reader, "echo on");
    wire_send(&reader);
    wire_transcript(&reader, 'Z', 1, true, fx.text, sizeof fx.text);
    ck_assert_str_eq(fx.text, "S[in_hot_standby=off] T D[on] C[echo] Z[I] ");
    wire_close(&writer);
    wire_close(&waiter);
    wire_close(&reader);
    wire_close(&sleeper);
}
END_TEST

/* A commit that was held when the incarnation changed is never reported, whatever the numbers. */
START_TEST(test_hold_is_of_its_incarnation)
{
    struct wire w;

    fixture_start(fixture_options());
    connect_as(&w, "alice");
    wire_put_query(&w, "require 200");
    wire_send(&w);
    wait_held(1);
    atomic_store(&fx.gate_inc, 2);
    move_gate(1000);
    ck_assert_str_eq(answers(&w, 1), "E[57P01] EOF");
    wire_close(&w);
}
END_TEST

/* ---- garbage -------------------------------------------------------------------------------- */

/* Whatever an authenticated client sends, the server answers or hangs up, and others are served. */
START_TEST(test_garbage_after_authentication)
{
    static const char types[] = "QPBDECHSXdcfFp?\0\x7f";
    uint64_t random = 0x2545f4914f6cdd1d;
    struct wire good, w;

    printf("seed %llx\n", (unsigned long long)random);
    fixture_start(fixture_options());
    connect_as(&good, "alice");
    for (int i = 0; i < 150; i++) {
        uint8_t body[64];

        connect_as(&w, "bob");
        for (int k = 0; k < 10; k++) {
            for (size_t b = 0; b < sizeof body; b++) {
                random ^= random << 13, random ^= random >> 7, random ^= random << 17;
                body[b] = (uint8_t)(random >> 32 & (random & 1 ? 0xff : 3));
            }
            wire_put(&w, (uint8_t)types[random % (sizeof types - 1)], body, random >> 20 & 63);
        }
        wire_send(&w);
        if (i % 2 == 0) {
            put_sync(&w);
            wire_put(&w, 'X', "", 0);
            wire_send(&w);
            wire_transcript(&w, '\1', 1, false, fx.text, sizeof fx.text);
        }
        wire_close(&w);
    }
    ck_assert_str_eq(ask(&good, "echo fine"), "T D[fine] C[echo] Z[I] ");
    wire_close(&good);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("server");
    TCase *t = tcase_create("all");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, fixture_setup, fixture_teardown);
    tcase_add_test(t, test_simple);
    tcase_add_test(t, test_extended);
    tcase_add_test(t, test_skip_to_sync);
    tcase_add_test(t, test_pipeline);
    tcase_add_test(t, test_large);
    tcase_add_test(t, test_copy);
    tcase_add_test(t, test_copy_large);
    tcase_add_test(t, test_cancel);
    tcase_add_test(t, test_client_gone);
    tcase_add_test(t, test_idle_in_transaction);
    tcase_add_test(t, test_stop_with_sessions);
    tcase_add_test(t, test_held_until_visible);
    tcase_add_test(t, test_held_without_permit);
    tcase_add_test(t, test_demotion);
    tcase_add_test(t, test_hold_is_of_its_incarnation);
    tcase_add_test(t, test_garbage_after_authentication);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
