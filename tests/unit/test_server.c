/* A real server on a Unix socket, with an echo for SQL, and raw clients that do what real ones do
 * and what they never would.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/base/env.h"
#include "engine/server/server.h"
#include "engine/server/server_int.h"
#include "tests/support/echo_port.h"
#include "tests/support/wire.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

static struct env *env;
static struct echo echo;
static struct server *server;
static char dir[64], path[128];
static char text[1 << 20];
static _Atomic uint64_t gate_scn, gate_inc;
static _Atomic bool gate_open;

static struct moment
test_visible(void *arg)
{
    (void)arg;
    return (struct moment){ (incarnation_t)atomic_load(&gate_inc), atomic_load(&gate_scn) };
}

static bool
test_may_reply(void *arg)
{
    (void)arg;
    return atomic_load(&gate_open);
}

static struct server_options
options(void)
{
    static const char *const listen[1] = { path };

    return (struct server_options){ .env = env,
                                    .port = &echo.port,
                                    .gate = { test_visible, test_may_reply, NULL },
                                    .listen = listen,
                                    .listen_count = 1,
                                    .workers = 2 };
}

static void
start(struct server_options o)
{
    ck_assert_int_eq(server_new(&o, &server), 0);
    ck_assert_int_eq(server_start(server), 0);
}

static void
setup(void)
{
    env = env_posix_new();
    strcpy(dir, "/tmp/redoubt-server-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/.s.PGSQL.5433", dir);
    echo_init(&echo);
    atomic_store(&gate_scn, 100);
    atomic_store(&gate_inc, 1);
    atomic_store(&gate_open, true);
}

static void
teardown(void)
{
    server_stop(server);
    server_free(server);
    server = NULL;
    ck_assert_int_eq(atomic_load(&echo.open_count), 0);
    ck_assert_int_eq(rmdir(dir), 0);
    env_free(env);
}

static void
connect_as(struct wire *w, const char *user)
{
    ck_assert(wire_open(w, path));
    wire_startup(w, user, "d");
    wire_send(w);
    wire_transcript(w, 'Z', 1, false, text, sizeof text);
    ck_assert_str_eq(text, "R K Z[I] ");
}

static const char *
answers(struct wire *w, int ready)
{
    wire_transcript(w, 'Z', ready, false, text, sizeof text);
    return text;
}

static const char *
ask(struct wire *w, const char *query)
{
    wire_put_query(w, query);
    wire_send(w);
    return answers(w, 1);
}

/* ---- queries -------------------------------------------------------------------------------- */

START_TEST(test_simple)
{
    struct wire w;

    start(options());
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

static void
put_extended(struct wire *w, const char *query, const char *param)
{
    wire_put_parse(w, "", query);
    wire_put_bind(w, "", "", param, param == NULL ? 0 : strlen(param), 0);
    wire_put_describe(w, 'D', 'P', "");
    wire_put_execute(w, "", 0);
}

static void
put_sync(struct wire *w)
{
    wire_put(w, 'S', "", 0);
}

START_TEST(test_extended)
{
    struct wire w;

    start(options());
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

    start(options());
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

    start(options());
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
    char *query = malloc(size);
    struct slice body;
    uint8_t type;
    int rows = 0;

    start(options());
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
    free(query);
    wire_close(&w);
}
END_TEST

START_TEST(test_copy)
{
    struct wire w;

    start(options());
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
    char *piece = malloc(200000);

    start(options());
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
    free(piece);
    wire_close(&w);
}
END_TEST

/* ---- ends ----------------------------------------------------------------------------------- */

static void
wait_sleeping(int count)
{
    while (atomic_load(&echo.sleeping_count) != count)
        env_thread_yield(env);
}

static void
send_cancel(uint32_t process_id, uint32_t secret)
{
    struct wire c;

    ck_assert(wire_open(&c, path));
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

    start(options());
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

    start(options());
    connect_as(&w, "alice");
    wire_put_query(&w, "sleep");
    wire_send(&w);
    wait_sleeping(1);
    wire_close(&w);
    wait_sleeping(0);
    while (atomic_load(&echo.open_count) != 0)
        env_thread_yield(env);
    connect_as(&w, "alice");
    wire_put_query(&w, "copyin");
    wire_put(&w, 'd', "abc", 3);
    wire_send(&w);
    wire_close(&w);
    while (atomic_load(&echo.open_count) != 0)
        env_thread_yield(env);
}
END_TEST

START_TEST(test_idle_in_transaction)
{
    struct wire w;

    start(options());
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

    start(options());
    connect_as(&a, "alice");
    connect_as(&b, "alice");
    wire_put_query(&a, "sleep");
    wire_send(&a);
    wait_sleeping(1);
    server_stop(server);
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
    atomic_store(&gate_scn, scn);
    server_replies_wake(server);
}

static uint64_t
held_count(void)
{
    struct server_figures f;

    server_get_figures(server, &f);
    return f.replies_held;
}

static void
wait_held(uint64_t count)
{
    while (held_count() < count)
        env_thread_yield(env);
}

/* SRV-1: an answer leaves only when what it rests on is visible; those before it may, those after
 * it may not. Meanwhile the session goes on with the next message. */
START_TEST(test_held_until_visible)
{
    struct wire w;

    start(options());
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

    start(options());
    connect_as(&w, "alice");
    atomic_store(&gate_open, false);
    wire_put_query(&w, "echo a");
    wire_send(&w);
    wait_held(1);
    ck_assert(!wire_has_input(&w, 0));
    atomic_store(&gate_open, true);
    server_replies_wake(server);
    ck_assert_str_eq(answers(&w, 1), "T D[a] C[echo] Z[I] ");
    wire_close(&w);
}
END_TEST

/* SRV-3: on demotion writers go, and who waits to hear of a commit is not told that it happened;
 * readers go on and hear of the new role. */
START_TEST(test_demotion)
{
    struct wire writer, waiter, reader, sleeper;

    start(options());
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
    server_demoted(server);
    ck_assert_str_eq(answers(&writer, 1), "E[57P01] EOF");
    ck_assert_str_eq(answers(&sleeper, 1), "E[57P01] EOF");
    ck_assert_str_eq(answers(&waiter, 1), "E[57P01] EOF");
    wire_put_query(&reader, "echo on");
    wire_send(&reader);
    wire_transcript(&reader, 'Z', 1, true, text, sizeof text);
    ck_assert_str_eq(text, "S[in_hot_standby=on] T D[on] C[echo] Z[I] ");
    server_promoted(server);
    wire_put_query(&reader, "echo on");
    wire_send(&reader);
    wire_transcript(&reader, 'Z', 1, true, text, sizeof text);
    ck_assert_str_eq(text, "S[in_hot_standby=off] T D[on] C[echo] Z[I] ");
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

    start(options());
    connect_as(&w, "alice");
    wire_put_query(&w, "require 200");
    wire_send(&w);
    wait_held(1);
    atomic_store(&gate_inc, 2);
    move_gate(1000);
    wait_held(2);
    ck_assert(!wire_has_input(&w, 0));
    server_demoted(server);
    ck_assert_str_eq(answers(&w, 1), "E[57P01] EOF");
    wire_close(&w);
}
END_TEST

/* ---- before authentication ------------------------------------------------------------------ */

static const char *
refused(struct wire *w)
{
    wire_send(w);
    wire_transcript(w, 'Z', 1, false, text, sizeof text);
    wire_close(w);
    return text;
}

START_TEST(test_startup_refusals)
{
    struct wire w;

    start(options());
    ck_assert(wire_open(&w, path));
    wire_startup(&w, "nobody", "d");
    ck_assert_str_eq(refused(&w), "E[28000] EOF");
    ck_assert(wire_open(&w, path));
    wire_startup(&w, "carol", "d");
    ck_assert_str_eq(refused(&w), "E[28000] EOF");
    ck_assert(wire_open(&w, path));
    wire_startup(&w, "alice", "none");
    ck_assert_str_eq(refused(&w), "E[3D000] EOF");
    ck_assert(wire_open(&w, path));
    wire_startup(&w, "", "d");
    ck_assert_str_eq(refused(&w), "E[28000] EOF");
    /* lengths: nothing, too little, 10,001, all ones; an old version; TLS */
    static const char *const heads[] = { "\0\0\0\0", "\0\0\0\7", "\0\0\x27\x11", "\xff\xff\xff\xff",
                                         "\x16\3\1\2" };

    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        ck_assert(wire_open(&w, path));
        wr_bytes(&w.out, heads[i], 4);
        ck_assert_str_eq(refused(&w), "E[08P01] EOF");
    }
    ck_assert(wire_open(&w, path));
    wr_bytes(&w.out, "\0\0\0\x09\0\2\0\0", 9);
    ck_assert_str_eq(refused(&w), "E[0A000] EOF");
}
END_TEST

static void
ask_encryption(struct wire *w, uint32_t code)
{
    wr_u32_be(&w->out, 8);
    wr_u32_be(&w->out, code);
    wire_send(w);
}

START_TEST(test_encryption_is_refused_once)
{
    struct wire w;
    char answer;

    start(options());
    ck_assert(wire_open(&w, path));
    ask_encryption(&w, PROTO_SSL);
    ck_assert_int_eq(read(w.fd, &answer, 1), 1);
    ck_assert_int_eq(answer, 'N');
    ask_encryption(&w, PROTO_GSSENC);
    ck_assert_int_eq(read(w.fd, &answer, 1), 1);
    ck_assert_int_eq(answer, 'N');
    wire_startup(&w, "alice", "d");
    wire_send(&w);
    ck_assert_str_eq(answers(&w, 1), "R K Z[I] ");
    wire_close(&w);
    ck_assert(wire_open(&w, path));
    ask_encryption(&w, PROTO_SSL);
    ck_assert_int_eq(read(w.fd, &answer, 1), 1);
    ask_encryption(&w, PROTO_SSL); /* SRV-9 */
    ck_assert_str_eq(refused(&w), "E[08P01] EOF");
}
END_TEST

/* SRV-7: who does not say who he is goes: in time, or when there are too many. */
START_TEST(test_silent_connections)
{
    struct server_options o = options();
    struct wire silent[5], w;

    o.workers = 1;
    o.max_unauthenticated = 4;
    o.auth_timeout_ms = 30000;
    start(o);
    for (int i = 0; i < 5; i++) {
        ck_assert(wire_open(&silent[i], path));
        wr_bytes(&silent[i].out, "\0\0", 2);
        wire_send(&silent[i]);
    }
    ck_assert_str_eq(answers(&silent[0], 1), "E[53300] EOF");
    connect_as(&w, "alice"); /* sheds the next, and gets in */
    ck_assert_str_eq(answers(&silent[1], 1), "E[53300] EOF");
    ck_assert(!wire_has_input(&silent[4], 0));
    for (int i = 0; i < 5; i++)
        wire_close(&silent[i]);
    wire_close(&w);
}
END_TEST

START_TEST(test_authentication_has_a_deadline)
{
    struct server_options o = options();
    struct wire w;

    o.auth_timeout_ms = 20;
    start(o);
    ck_assert(wire_open(&w, path));
    ck_assert_str_eq(answers(&w, 1), "E[57014] EOF");
    wire_close(&w);
}
END_TEST

/* SRV-8 */
START_TEST(test_max_connections)
{
    struct server_options o = options();
    struct wire a, b, c;

    o.max_connections = 2;
    o.superuser_reserved = 1;
    start(o);
    connect_as(&a, "bob");
    ck_assert(wire_open(&b, path));
    wire_startup(&b, "bob", "d");
    ck_assert_str_eq(refused(&b), "E[53300] EOF");
    connect_as(&c, "alice");
    wire_close(&a);
    wire_close(&c);
}
END_TEST

/* SRV-10: an unknown user is led through the same exchange as a known one with a wrong password. */
START_TEST(test_scram_unknown_user)
{
    static const char *const users[] = { "alice", "bob", "mallory" };
    struct server_options o = options();
    struct slice body;
    uint8_t type;

    o.auth_unix = AUTH_SCRAM;
    start(o);
    for (int i = 0; i < 3; i++) {
        struct wire w;
        char final[256], nonce[128];
        int n;

        ck_assert(wire_open(&w, path));
        wire_startup(&w, users[i], "d");
        wire_send(&w);
        ck_assert(wire_next(&w, &type, &body) && type == 'R' && load_u32_be(body.data) == 10);
        wire_put(&w, 'p', "SCRAM-SHA-256\0\0\0\0\x0dn,,n=,r=abcde", 31);
        wire_send(&w);
        ck_assert(wire_next(&w, &type, &body) && type == 'R' && load_u32_be(body.data) == 11);
        ck_assert_int_eq(sscanf((const char *)body.data + 4, "r=%127[^,],s=", nonce), 1);
        ck_assert_uint_eq(strlen(nonce), 29);
        n = snprintf(final, sizeof final,
                     "c=biws,r=%s,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", nonce);
        wire_put(&w, 'p', final, (size_t)n);
        ck_assert_str_eq(refused(&w), "E[28P01] EOF");
    }
}
END_TEST

/* SRV-11 */
START_TEST(test_listening_beyond_this_machine)
{
    static const char *const listen[1] = { "0.0.0.0:0" };
    struct server_options o = options();

    o.listen = listen;
    ck_assert_int_eq(server_new(&o, &server), 0);
    ck_assert_int_eq(server_start(server), ERR_CONFIG_FILE);
    echo.all_have_password = true;
    ck_assert_int_eq(server_start(server), 0);
    ck_assert_str_ne(server_address(server, 0), "0.0.0.0:0");
}
END_TEST

/* ---- real clients --------------------------------------------------------------------------- */

static int
run(const char *format, ...)
{
    char command[2048];
    va_list ap;

    va_start(ap, format);
    vsnprintf(command, sizeof command, format, ap);
    va_end(ap);
    return system(command);
}

START_TEST(test_psql)
{
    struct server_options o = options();

    o.auth_unix = AUTH_SCRAM;
    start(o);
    ck_assert_int_eq(run("test \"$(PGPASSWORD=secret psql -XAtq -h %s -p 5433 -U alice d "
                         "-c 'echo hello' -c 'rows 2' 2>&1)\" = 'hello\n0|\n1|'",
                         dir),
                     0);
    ck_assert_int_eq(run("PGPASSWORD=wrong psql -X -h %s -p 5433 -U alice d -c 'echo hello' 2>&1 | "
                         "grep -q 'password authentication failed for user \"alice\"'",
                         dir),
                     0);
    ck_assert_int_eq(run("PGPASSWORD=secret psql -X -h %s -p 5433 -U mallory d -c 'echo x' 2>&1 | "
                         "grep -q 'password authentication failed for user \"mallory\"'",
                         dir),
                     0);
    ck_assert_int_eq(run("PGPASSWORD=secret psql -X -d 'host=%s port=5433 user=alice dbname=d "
                         "target_session_attrs=read-write' -c 'echo primary' | grep -q primary",
                         dir),
                     0);
    ck_assert_int_eq(run("! PGPASSWORD=secret psql -X -d 'host=%s port=5433 user=alice dbname=d "
                         "target_session_attrs=standby' -c 'echo standby' 2>/dev/null",
                         dir),
                     0);
}
END_TEST

static const char psycopg2_script[] =
    "import psycopg2, io, threading, sys\n"
    "c = psycopg2.connect(host=sys.argv[1], port=5433, user='alice', dbname='d')\n"
    "assert c.server_version == 150000, c.server_version\n"
    "c.autocommit = True\n"
    "q = c.cursor()\n"
    "q.execute('rows 3 4'); assert q.fetchall() == [(0,'xxxx'),(1,'xxxx'),(2,'xxxx')]\n"
    "f = io.StringIO(); q.copy_expert('copyout 3', f); assert f.getvalue() == '0\\n1\\n2\\n'\n"
    "q.copy_expert('copyin', io.StringIO('line\\n' * 100000)); assert q.rowcount == 500000\n"
    "try: q.execute('error oops'); assert 0\n"
    "except psycopg2.Error as e:\n"
    "    assert e.pgcode == '42601' and e.diag.statement_position == '7', e.pgcode\n"
    "    assert e.diag.message_hint == 'a hint' and e.diag.message_detail == 'a detail'\n"
    "q.execute('notice hello'); assert 'hello' in c.notices[0]\n"
    "threading.Timer(0.05, c.cancel).start()\n"
    "try: q.execute('sleep'); assert 0\n"
    "except psycopg2.extensions.QueryCanceledError: pass\n"
    "q.execute('echo end'); assert q.fetchone() == ('end',)\n"
    "c.close()\n";

START_TEST(test_psycopg2)
{
    char script[128];
    FILE *f;

    start(options());
    snprintf(script, sizeof script, "%s/client.py", dir);
    f = fopen(script, "w");
    ck_assert_ptr_nonnull(f);
    fputs(psycopg2_script, f);
    fclose(f);
    ck_assert_int_eq(run("/usr/bin/python3 %s %s", script, dir), 0);
    unlink(script);
}
END_TEST

/* pgbench brings libpq's extended protocol, prepared statements and pipelines. */
START_TEST(test_pgbench)
{
    char script[128];
    FILE *f;

    start(options());
    snprintf(script, sizeof script, "%s/script.sql", dir);
    f = fopen(script, "w");
    ck_assert_ptr_nonnull(f);
    fputs("\\set a 7\n\\startpipeline\nbegin;\necho :a;\ncommit;\n\\endpipeline\n", f);
    fclose(f);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(run("pgbench -n -M %s -c 4 -t 50 -f %s -h %s -p 5433 -U alice d "
                             ">%s.log 2>&1 || { cat %s.log; false; }",
                             i == 2 ? "extended" : "prepared", script, dir, script, script),
                         0);
    snprintf(text, sizeof text, "%s.log", script);
    unlink(text);
    unlink(script);
}
END_TEST

/* ---- memory --------------------------------------------------------------------------------- */

static long
resident_kib(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    ck_assert(f != NULL && fscanf(f, "%*d %ld", &pages) == 1);
    fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* SRV-13: an idle connection has no fiber and no buffers. */
START_TEST(test_idle_connections)
{
    enum { COUNT = 1000 };
    struct server_options o = options();
    struct wire *w = calloc(COUNT, sizeof *w);
    struct rlimit files;
    long before, after;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
    o.max_unauthenticated = 2000;
    start(o);
    connect_as(&w[0], "alice");
    before = resident_kib();
    for (int i = 1; i < COUNT; i++) {
        connect_as(&w[i], "alice");
        wire_put_parse(&w[i], "s", "echo $1");
        wire_put_bind(&w[i], "", "s", "x", 1, 0);
        wire_put_execute(&w[i], "", 0);
        put_sync(&w[i]);
        wire_send(&w[i]);
        ck_assert_str_eq(answers(&w[i], 1), "1 2 D[x] C[echo] Z[I] ");
        xfree(w[i].buffer); /* the clients' side is in this process too */
        w[i].buffer = NULL;
        w[i].cap = w[i].at = w[i].end = 0;
        wr_fini(&w[i].out);
    }
    after = resident_kib();
    printf("%d idle connections: %ld KiB, %.2f KiB each\n", COUNT, after - before,
           (double)(after - before) / COUNT);
    ck_assert(SANITIZED || after - before < 16 * COUNT);
    for (int i = 0; i < COUNT; i++)
        wire_close(&w[i]);
    free(w);
}
END_TEST

static const char many_script[] =
    "import socket, sys, resource\n"
    "h = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
    "resource.setrlimit(resource.RLIMIT_NOFILE, (h, h))\n"
    "n = int(sys.argv[2]); all = []\n"
    "body = b'\\0\\3\\0\\0user\\0bob\\0database\\0d\\0\\0'\n"
    "for i in range(n):\n"
    "    s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
    "    s.sendall((len(body) + 4).to_bytes(4, 'big') + body); all.append(s)\n"
    "for s in all:\n"
    "    b = b''\n"
    "    while not b.endswith(b'Z\\0\\0\\0\\5I'):\n"
    "        p = s.recv(4096); assert p, 'closed'; b += p\n"
    "for s in all: s.sendall(b'Q\\0\\0\\0\\x0becho a\\0')\n"
    "for s in all: assert s.recv(4096).endswith(b'Z\\0\\0\\0\\5I')\n";

START_TEST(test_ten_thousand)
{
    struct server_options o = options();
    struct rlimit files;
    char script[128];
    FILE *f;
    int count;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
    count = files.rlim_max >= 10100 && !SANITIZED ? 10000 : 500;
    o.max_unauthenticated = count + 10;
    o.max_connections = count + 10;
    o.auth_timeout_ms = 60000;
    start(o);
    snprintf(script, sizeof script, "%s/many.py", dir);
    f = fopen(script, "w");
    ck_assert_ptr_nonnull(f);
    fputs(many_script, f);
    fclose(f);
    ck_assert_int_eq(run("/usr/bin/python3 %s %s %d", script, path, count), 0);
    printf("%d connections accepted and answered\n", count);
    unlink(script);
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
    start(options());
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
            wire_transcript(&w, '\1', 1, false, text, sizeof text);
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
    tcase_add_checked_fixture(t, setup, teardown);
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
    tcase_add_test(t, test_startup_refusals);
    tcase_add_test(t, test_encryption_is_refused_once);
    tcase_add_test(t, test_silent_connections);
    tcase_add_test(t, test_authentication_has_a_deadline);
    tcase_add_test(t, test_max_connections);
    tcase_add_test(t, test_scram_unknown_user);
    tcase_add_test(t, test_listening_beyond_this_machine);
    tcase_add_test(t, test_psql);
    tcase_add_test(t, test_psycopg2);
    tcase_add_test(t, test_pgbench);
    tcase_add_test(t, test_idle_connections);
    tcase_add_test(t, test_ten_thousand);
    tcase_add_test(t, test_garbage_after_authentication);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
