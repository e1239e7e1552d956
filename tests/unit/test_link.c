/* Links: in the simulated world, with cuts, corruption and silence, and over real sockets.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/sim.h"
#include "engine/base/task.h"
#include "logship/link.h"
#include "tests/support/sim_test.h"

enum { DATABASE = 77, MESSAGES = 200 };

/* One side: what it has seen. Shared by the test's main thread and the node's. */
struct side {
    struct env *env;
    const char *address; /* to listen on, or to dial */
    bool dials, wrong_key, flood, echo;
    uint64_t slow_us;                      /* at each message */
    uint32_t messages;                     /* 0: MESSAGES */
    uint32_t heartbeat_ms, net_timeout_ms; /* 0: 100, 500 */
    uint64_t database_id;
    member_id_t self, expect;
    enum ship_kind kind;
    size_t queue_bytes_max;

    struct sched *sched;
    struct link_hub *hub;
    struct link_dial *dial;
    struct link *link;
    bool refuses; /* sends away whoever has come */
    bool stop;
    int ups, downs, last_code;
    uint32_t sent, received; /* numbered ACKs; received: the next that is due */
    uint64_t session_bytes;
    char last_text[200];
    int last_dial_code;
    char where[ENV_ADDR_MAX];
};

static void
on_up(void *arg, struct link *l)
{
    struct side *s = arg;

    s->ups++;
    s->link = l;
    s->received = 0;
}

static int
on_message(void *arg, struct link *l, const struct ship_header *h, struct slice body)
{
    struct side *s = arg;
    struct ship_ack ack;
    int rc;

    if (h->type == SHIP_REDO)
        return 0;
    ck_assert_int_eq(h->type, SHIP_ACK);
    rc = ship_ack_decode(body, &ack);
    if (rc != 0)
        return rc;
    ck_assert_uint_eq(ack.applied_scn, s->received); /* in order, none missing, none twice */
    s->received++;
    if (s->slow_us != 0)
        fiber_sleep_us(s->slow_us);
    if (s->echo)
        return link_send_wait(l, SHIP_ACK, body);
    return 0;
}

static void
on_down(void *arg, struct link *l, int code)
{
    struct side *s = arg;

    ck_assert_ptr_eq(l, s->link);
    s->downs++;
    s->link = NULL;
    s->last_code = code;
}

static void
note_dial(struct side *s)
{
    if (s->dial != NULL)
        s->last_dial_code = link_dial_last_error(s->dial, s->last_text, sizeof s->last_text);
}

static void
send_numbers(struct side *s)
{
    uint8_t bytes[64];
    struct link *l = NULL;

    for (uint32_t n = 0; !s->stop;) {
        struct ship_ack ack = { .inc = 1, .applied_scn = n };
        struct writer w;

        if (l != s->link) {
            l = s->link;
            n = 0;
            continue;
        }
        note_dial(s);
        if (l == NULL || n == (s->messages != 0 ? s->messages : MESSAGES)) {
            fiber_sleep_us(5000);
            continue;
        }
        wr_init_fixed(&w, bytes, sizeof bytes);
        ship_ack_encode(&w, &ack);
        if (link_send_wait(l, SHIP_ACK, wr_view(&w)) == 0) {
            s->sent++;
            n++;
        } else {
            fiber_sleep_us(1000); /* it is ending */
        }
    }
}

static void
side_fiber(void *arg)
{
    struct side *s = arg;
    struct link_options o = { .sched = s->sched,
                              .env = s->env,
                              .database_id = s->database_id,
                              .self = s->self,
                              .boot_id = s->self * 1000u + 1,
                              .name = "node",
                              .heartbeat_ms = s->heartbeat_ms != 0 ? s->heartbeat_ms : 100,
                              .net_timeout_ms = s->net_timeout_ms != 0 ? s->net_timeout_ms : 500,
                              .auth_timeout_ms = 400,
                              .backoff_min_ms = 20,
                              .backoff_max_ms = 200,
                              .queue_bytes_max = s->queue_bytes_max,
                              .seed = 5 };
    struct link_handler handler = { on_up, on_message, on_down, s };
    struct link_handler by_kind[SHIP_JOINING + 1] = { 0 };

    by_kind[s->kind != 0 ? s->kind : SHIP_PEER] = handler;
    memset(o.key.bytes, s->wrong_key ? 2 : 1, sizeof o.key.bytes);
    s->hub = link_hub_new(&o);
    if (s->dials) {
        s->dial = link_dial_start(s->hub, s->address, s->expect, s->kind, &handler);
    } else {
        struct env_sock *listener;

        ck_assert_int_eq(env_listen(o.env, s->address, LINK_BACKLOG, &listener), 0);
        link_hub_listen(s->hub, listener, by_kind);
        link_hub_local(s->hub, s->where);
    }
    if (s->flood)
        send_numbers(s);
    while (!s->stop) {
        note_dial(s);
        if (s->refuses && s->link != NULL)
            link_close(s->link, ERR_ROLE, "not here");
        fiber_sleep_us(10000);
    }
    link_hub_free(s->hub);
    ck_assert_int_eq(s->ups, s->downs);
}

static void
side_main(void *arg)
{
    struct side *s = arg;

    s->env = env_self();
    s->sched = sched_new(s->env);
    fiber_start(s->sched, "side", 0, side_fiber, s);
    sched_run(s->sched, true);
    sched_free(s->sched);
}

/* ---- the simulated world -------------------------------------------------------------------- */

struct pair {
    struct sim *sim;
    struct env *a, *b;
    struct side listens, dials;
};

static void
pair_init(struct pair *p, uint64_t seed)
{
    memset(p, 0, sizeof *p);
    p->sim = sim_new(seed);
    p->a = sim_node_new(p->sim, "a");
    p->b = sim_node_new(p->sim, "b");
    p->listens = (struct side){ .address = "a:7433", .database_id = DATABASE, .self = 1 };
    p->dials = (struct side){ .address = "a:7433",
                              .dials = true,
                              .database_id = DATABASE,
                              .self = 2,
                              .expect = 1,
                              .kind = SHIP_PEER,
                              .flood = true };
}

static void
pair_start(struct pair *p)
{
    sim_node_start(p->a, side_main, &p->listens);
    sim_node_start(p->b, side_main, &p->dials);
}

static void
pair_run(struct pair *p, uint64_t us)
{
    sim_test_run(p->sim, us, NULL, NULL, SIM_TIME);
}

static bool
both_down(void *arg)
{
    struct pair *p = arg;

    return !sim_node_is_up(p->a) && !sim_node_is_up(p->b);
}

static void
pair_fini(struct pair *p)
{
    p->listens.stop = p->dials.stop = true;
    if (!both_down(p)) {
        enum sim_result r = sim_run(p->sim, 20 * SIM_SECOND, both_down, p);

        if (r != SIM_DONE)
            fprintf(stderr, "%s\n%s\n", sim_result_name(r), sim_report(p->sim));
        ck_assert(both_down(p));
    }
    sim_free(p->sim);
}

static bool
all_received(void *arg)
{
    struct pair *p = arg;

    return p->listens.received == MESSAGES;
}

START_TEST(test_messages_in_order)
{
    struct pair p;

    pair_init(&p, 1);
    p.listens.echo = true;
    pair_start(&p);
    sim_test_run(p.sim, 20 * SIM_SECOND, all_received, &p, SIM_DONE);
    pair_run(&p, SIM_SECOND);
    ck_assert_int_eq(p.listens.ups, 1);
    ck_assert_int_eq(p.dials.ups, 1);
    ck_assert_uint_eq(p.dials.received, MESSAGES);
    pair_fini(&p);
    ck_assert_int_eq(p.dials.last_code, ERR_STOPPED);
}
END_TEST

/* LINK-1: an idle link lives on; a silent one dies at both ends within the net timeout, and comes
 * back when the line does. */
START_TEST(test_silence_and_return)
{
    struct pair p;

    pair_init(&p, 2);
    p.dials.flood = false;
    pair_start(&p);
    pair_run(&p, 10 * SIM_SECOND);
    ck_assert_int_eq(p.dials.ups, 1);
    ck_assert_int_eq(p.dials.downs, 0);
    sim_net_partition(p.sim, p.a, p.b, true);
    pair_run(&p, 700 * SIM_MILLISECOND);
    ck_assert_int_eq(p.dials.downs, 1);
    ck_assert_int_eq(p.listens.downs, 1);
    ck_assert_int_eq(p.dials.last_code, ERR_CONNECTION_FAILURE);
    sim_net_heal(p.sim);
    pair_run(&p, 3 * SIM_SECOND);
    ck_assert_int_eq(p.dials.ups, 2);
    ck_assert_int_eq(p.listens.ups, 2);
    /* One direction only: the side that hears nothing ends it. */
    sim_net_block(p.sim, p.a, p.b, true);
    pair_run(&p, 1200 * SIM_MILLISECOND);
    ck_assert_int_eq(p.dials.downs, 2);
    sim_net_heal(p.sim);
    pair_run(&p, 3 * SIM_SECOND);
    ck_assert_int_eq(p.dials.ups, p.dials.downs + 1);
    pair_fini(&p);
}
END_TEST

/* LINK-4: the line is cut after every so many microseconds, so at every byte of the exchange sooner
 * or later: it comes back, and each session has its messages in order (on_message checks). */
START_TEST(test_cut_anywhere)
{
    struct pair p;
    int cuts = 0;

    pair_init(&p, 3);
    p.listens.echo = true;
    pair_start(&p);
    for (uint64_t us = 100; us < 40000; us += 150) {
        pair_run(&p, us % 9000);
        sim_net_reset(p.sim, p.a, p.b);
        cuts++;
    }
    pair_run(&p, 3 * SIM_SECOND);
    ck_assert_int_ge(p.dials.ups, 3);
    ck_assert_uint_eq(p.listens.received, MESSAGES);
    ck_assert_uint_eq(p.dials.received, MESSAGES);
    pair_fini(&p);
}
END_TEST

/* Bits that turn over on the wire never become messages: the link ends and is made anew. */
START_TEST(test_corruption)
{
    struct pair p;

    pair_init(&p, 4);
    pair_start(&p);
    sim_net_set_corruption(p.sim, p.b, p.a, 200000);
    sim_net_set_corruption(p.sim, p.a, p.b, 200000);
    pair_run(&p, 20 * SIM_SECOND);
    ck_assert_int_ge(p.dials.ups + p.listens.ups, 2);
    sim_net_set_corruption(p.sim, p.b, p.a, 0);
    sim_net_set_corruption(p.sim, p.a, p.b, 0);
    sim_test_run(p.sim, 30 * SIM_SECOND, all_received, &p, SIM_DONE);
    pair_fini(&p);
}
END_TEST

/* LINK-3 */
START_TEST(test_wrong_key)
{
    struct pair p;

    for (int who = 0; who < 2; who++) {
        pair_init(&p, 5);
        p.listens.wrong_key = who == 0;
        p.dials.wrong_key = who == 1;
        pair_start(&p);
        pair_run(&p, 2 * SIM_SECOND);
        ck_assert_int_eq(p.dials.ups + p.listens.ups, 0);
        ck_assert_int_eq(p.dials.last_dial_code, ERR_INVALID_AUTHORIZATION);
        pair_fini(&p);
    }
}
END_TEST

START_TEST(test_wrong_party)
{
    struct pair p;

    for (int i = 0; i < 4; i++) {
        pair_init(&p, 6);
        if (i == 0)
            p.dials.database_id = DATABASE + 1;
        else if (i == 1)
            p.dials.expect = 3;
        else if (i == 2)
            p.dials.self = 1; /* says to be who it calls */
        else
            p.dials.kind = SHIP_COMMAND_LINE; /* nobody takes commands there */
        pair_start(&p);
        pair_run(&p, 2 * SIM_SECOND);
        ck_assert_msg(p.dials.ups + p.listens.ups == 0, "case %d", i);
        ck_assert_msg(p.dials.last_dial_code ==
                          (i == 3 ? ERR_NOT_SUPPORTED : ERR_INVALID_AUTHORIZATION),
                      "case %d: %s", i, p.dials.last_text);
        pair_fini(&p);
    }
}
END_TEST

/* Who is sent away comes back ever more rarely (at most five times a second here). */
START_TEST(test_sent_away)
{
    struct pair p;

    pair_init(&p, 9);
    p.dials.flood = false;
    p.listens.refuses = true;
    pair_start(&p);
    pair_run(&p, 10 * SIM_SECOND);
    ck_assert_int_eq(p.dials.last_code, ERR_ROLE);
    ck_assert_int_ge(p.listens.ups, 40);
    ck_assert_int_le(p.listens.ups, 10 * 1000 / 100 + 10);
    pair_fini(&p);
}
END_TEST

/* A sender waits when the other side is slow; the queue stays bounded (LINK-2). */
START_TEST(test_back_pressure)
{
    struct pair p;

    pair_init(&p, 7);
    p.listens.slow_us = 2000;
    p.dials.queue_bytes_max = 1000;
    pair_start(&p);
    for (int i = 0; i < 100 && !all_received(&p); i++) {
        pair_run(&p, 100 * SIM_MILLISECOND);
        if (p.dials.link != NULL)
            ck_assert_uint_le(link_queued_bytes(p.dials.link), 1000);
    }
    ck_assert(all_received(&p));
    ck_assert_int_eq(p.dials.ups, 1);
    pair_fini(&p);
}
END_TEST

static bool
flood_received(void *arg)
{
    struct pair *p = arg;

    return p->listens.received == p->dials.messages;
}

/* LINK-1: who takes what comes is not dead, however long there is more to send. */
START_TEST(test_never_empty)
{
    struct pair p;

    pair_init(&p, 12);
    p.listens.slow_us = 100;
    p.dials.messages = 20000; /* some 2 s, and more than the windows of both sides hold */
    p.dials.queue_bytes_max = 64 << 10;
    pair_start(&p);
    sim_test_run(p.sim, 60 * SIM_SECOND, flood_received, &p, SIM_DONE);
    ck_assert_int_eq(p.dials.ups, 1);
    ck_assert_int_eq(p.dials.downs, 0);
    pair_fini(&p);
}
END_TEST

/* LINK-1: a command and a joining node do not know the heartbeat and the net timeout of the member
 * that they ask, and notice all the same within their own that it hangs. */
START_TEST(test_other_times)
{
    struct pair p;

    for (int slow = 0; slow < 2; slow++) {
        pair_init(&p, 13);
        p.dials.flood = false;
        p.listens.kind = p.dials.kind = slow ? SHIP_COMMAND_LINE : SHIP_JOINING;
        p.listens.heartbeat_ms = slow ? 60000 : 30;
        p.listens.net_timeout_ms = slow ? 180000 : 100;
        p.dials.heartbeat_ms = 500;
        p.dials.net_timeout_ms = 5000;
        pair_start(&p);
        pair_run(&p, 30 * SIM_SECOND);
        ck_assert_int_eq(p.dials.ups, 1);
        ck_assert_int_eq(p.dials.downs + p.listens.downs, 0);
        sim_net_partition(p.sim, p.a, p.b, true);
        pair_run(&p, 6 * SIM_SECOND);
        ck_assert_int_eq(p.dials.downs, 1);
        sim_net_heal(p.sim);
        pair_fini(&p);
    }
}
END_TEST

/* The other side's machine is gone without a word, or its process is stopped. */
START_TEST(test_crash_and_pause)
{
    struct pair p;

    pair_init(&p, 8);
    pair_start(&p);
    pair_run(&p, 2 * SIM_SECOND);
    sim_node_crash(p.a);
    pair_run(&p, 2 * SIM_SECOND);
    ck_assert_int_eq(p.dials.downs, 1);
    p.listens = (struct side){ .address = "a:7433", .database_id = DATABASE, .self = 1 };
    sim_node_start(p.a, side_main, &p.listens);
    sim_test_run(p.sim, 10 * SIM_SECOND, all_received, &p, SIM_DONE);
    ck_assert_int_eq(p.dials.ups, 2);
    sim_node_pause(p.a);
    pair_run(&p, 2 * SIM_SECOND);
    ck_assert_int_eq(p.dials.downs, 2);
    sim_node_resume(p.a);
    pair_run(&p, 3 * SIM_SECOND);
    ck_assert_int_eq(p.dials.ups, p.dials.downs + 1);
    pair_fini(&p);
}
END_TEST

/* ---- strangers ------------------------------------------------------------------------------ */

/* Says part of a greeting, or nonsense, and hangs up or waits to be dropped. */
struct stranger {
    size_t bytes; /* of what it says */
    int nonsense; /* 0: a greeting; 1: zeros; 2: greetings without end; 3: another message */
    bool hangs_up;
    size_t taken; /* bytes that the socket took before the other side closed */
};

static void
stranger_fiber(void *arg)
{
    struct stranger *s = arg;
    struct ship_header h = { .type = s->nonsense == 3 ? SHIP_RECORD : SHIP_AUTH_HELLO,
                             .database_id = DATABASE,
                             .sender = 2 };
    struct ship_auth_hello hello = { .kind = SHIP_PEER, .name = "stranger" };
    uint8_t bytes[400] = { 0 };
    struct writer w;
    struct env_sock *sock;
    struct fiber_io io;
    int rc = env_connect(env_self(), "a:7433", &sock);

    ck_assert_int_eq(rc, 0);
    wr_init_fixed(&w, bytes, sizeof bytes);
    wr_reserve(&w, SHIP_HEADER_SIZE);
    ship_auth_hello_encode(&w, &hello);
    h.body_size = (uint32_t)(w.size - SHIP_HEADER_SIZE);
    ship_header_encode(&h, bytes);
    h.crc = ship_checksum(bytes, slice(bytes + SHIP_HEADER_SIZE, h.body_size), slice(NULL, 0));
    ship_header_encode(&h, bytes);
    if (s->nonsense == 1)
        memset(bytes, 0, sizeof bytes);
    fiber_io_init(&io, sched_self(), sock);
    rc = fiber_io_wait(&io, ENV_EV_WRITE, UINT64_MAX);
    while (rc == 0 && s->taken < s->bytes) {
        size_t at = s->taken % w.size, n = w.size - at;
        struct iovec v = { bytes + at, n < s->bytes - s->taken ? n : s->bytes - s->taken };

        rc = env_sendv(sock, &v, 1, &n);
        if (rc == 0)
            s->taken += n;
        else if (rc == ERR_AGAIN)
            rc = fiber_io_wait(&io, ENV_EV_WRITE, 5 * SIM_SECOND);
    }
    while (rc == 0 && !s->hangs_up) { /* until it is dropped */
        size_t got = 1;

        rc = env_recv(sock, bytes, sizeof bytes, &got);
        if (rc == ERR_AGAIN)
            rc = fiber_io_wait(&io, ENV_EV_READ, 5 * SIM_SECOND);
        ck_assert_int_ne(rc, ERR_TIMEOUT);
        if (got == 0)
            break;
    }
    fiber_io_fini(&io);
    env_sock_close(sock);
}

static void
stranger_main(void *arg)
{
    struct sched *s = sched_new(env_self());

    fiber_start(s, "stranger", 0, stranger_fiber, arg);
    sched_run(s, true);
    sched_free(s);
}

/* LINK-3: cut at every byte of the greeting; silence, nonsense, floods. All are dropped, and who
 * has the key gets through as if nothing were. */
START_TEST(test_strangers)
{
    struct pair p;
    struct env *c;
    struct stranger s;

    pair_init(&p, 9);
    c = sim_node_new(p.sim, "c");
    sim_node_start(p.a, side_main, &p.listens);
    for (size_t n = 0; n <= SHIP_HEADER_SIZE + 42; n++) {
        for (int hangs_up = 0; hangs_up < 2; hangs_up++) {
            s = (struct stranger){ .bytes = n, .hangs_up = hangs_up };
            sim_test_run_node(p.sim, c, stranger_main, &s);
        }
    }
    for (int nonsense = 1; nonsense <= 3; nonsense++) {
        s = (struct stranger){ .bytes = 8 << 20, .nonsense = nonsense };
        sim_test_run_node(p.sim, c, stranger_main, &s);
        ck_assert_uint_lt(s.taken, 8 << 20);
    }
    ck_assert_int_eq(p.listens.ups, 0);
    sim_node_start(p.b, side_main, &p.dials);
    sim_test_run(p.sim, 20 * SIM_SECOND, all_received, &p, SIM_DONE);
    pair_fini(&p);
}
END_TEST

/* ---- real sockets --------------------------------------------------------------------------- */

struct real {
    struct side a, b;
};

static void
real_fiber(void *arg)
{
    struct real *r = arg;

    while (r->a.where[0] == '\0')
        fiber_sleep_us(1000);
    r->b.address = r->a.where;
    fiber_start(r->b.sched, "b", 0, side_fiber, &r->b);
    while (r->a.received < MESSAGES || r->b.received < MESSAGES)
        fiber_sleep_us(1000);
    r->a.stop = r->b.stop = true;
}

START_TEST(test_real_sockets)
{
    struct env *env = env_posix_new();
    struct sched *s;
    struct task *t = task_self();
    struct env *before = t->env;
    struct real r = {
        .a = { .address = "127.0.0.1:0", .database_id = DATABASE, .self = 1, .echo = true },
        .b = { .dials = true,
               .database_id = DATABASE,
               .self = 2,
               .expect = 1,
               .kind = SHIP_PEER,
               .flood = true },
    };

    t->env = env;
    s = sched_new(env);
    r.a.env = r.b.env = env;
    r.a.sched = r.b.sched = s;
    fiber_start(s, "a", 0, side_fiber, &r.a);
    fiber_start(s, "test", 0, real_fiber, &r);
    sched_run(s, true);
    ck_assert_uint_eq(r.b.received, MESSAGES);
    sched_free(s);
    t->env = before;
    env_free(env);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("link");
    TCase *t = tcase_create("link");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_messages_in_order);
    tcase_add_test(t, test_silence_and_return);
    tcase_add_test(t, test_cut_anywhere);
    tcase_add_test(t, test_corruption);
    tcase_add_test(t, test_wrong_key);
    tcase_add_test(t, test_wrong_party);
    tcase_add_test(t, test_sent_away);
    tcase_add_test(t, test_back_pressure);
    tcase_add_test(t, test_never_empty);
    tcase_add_test(t, test_other_times);
    tcase_add_test(t, test_crash_and_pause);
    tcase_add_test(t, test_strangers);
    tcase_add_test(t, test_real_sockets);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
