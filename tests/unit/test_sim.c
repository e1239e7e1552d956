/* The simulated world: that it is deterministic, and that its wires and deaths do what sim.h says.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fiber.h"
#include "engine/base/mem.h"
#include "engine/base/sim.h"
#include "engine/base/task.h"

static struct sim *sim;

static void
put(struct env_file *f, const void *data, size_t size, uint64_t offset)
{
    if (env_pwrite(f, data, size, offset) != 0) /* an assertion that holds costs a system call */
        ck_abort();
}

static struct env_file *
open_file(const char *path, int flags)
{
    struct env_file *f;

    ck_assert_int_eq(env_open(env_self(), path, flags | ENV_READ | ENV_WRITE, &f), 0);
    return f;
}

static void
run_node(struct env *node, void (*fn)(void *arg), void *arg)
{
    enum sim_result r;

    sim_node_start(node, fn, arg);
    r = sim_run(sim, UINT64_MAX, NULL, NULL);
    if (r != SIM_IDLE)
        printf("%s", sim_report(sim));
    ck_assert_str_eq(sim_result_name(r), "idle");
}

/* ---- a small workload for determinism ------------------------------------------------------ */

enum { WORK_CLIENTS = 5, WORK_MESSAGES = 20 };

struct work {
    struct env *server, *client;
    int echoed, lost;
};

static void
session_fiber(void *arg)
{
    struct env_sock *s = arg;
    struct fiber_io io;
    uint8_t buf[512];

    fiber_io_init(&io, sched_self(), s);
    for (;;) {
        struct iovec v = { .iov_base = buf };
        struct env_file *f;
        size_t got, sent;
        int rc = env_recv(s, buf, sizeof buf, &got);

        if (rc == ERR_AGAIN && fiber_io_wait(&io, ENV_EV_READ, 5 * SIM_SECOND) == 0)
            continue;
        if (rc != 0 || got == 0)
            break;
        f = open_file("/log", ENV_CREATE);
        put(f, buf, got, 0);
        rc = env_sync(f);
        env_close(f);
        ck_assert_int_eq(rc, 0);
        v.iov_len = got;
        if (env_sendv(s, &v, 1, &sent) != 0)
            break;
    }
    fiber_io_fini(&io);
    env_sock_close(s);
}

static void
acceptor_fiber(void *arg)
{
    struct env_sock *l = arg, *s;
    struct fiber_io io;

    fiber_io_init(&io, sched_self(), l);
    for (;;) {
        while (env_accept(l, &s) == 0)
            fiber_start(sched_self(), "session", 0, session_fiber, s);
        if (fiber_io_wait(&io, ENV_EV_READ, UINT64_MAX) != 0)
            break;
    }
}

static void
work_server_main(void *arg)
{
    struct sched *s = sched_new(env_self());
    struct env_sock *l;

    (void)arg;
    ck_assert_int_eq(env_listen(env_self(), "*:5432", 16, &l), 0);
    fiber_start(s, "acceptor", 0, acceptor_fiber, l);
    sched_run(s, false);
}

static void
work_client_fiber(void *arg)
{
    struct work *w = arg;

    for (int m = 0; m < WORK_MESSAGES; m++) {
        struct env_sock *s;
        struct fiber_io io;
        uint8_t out[100], in[100];
        struct iovec v = { out, sizeof out };
        size_t n, have = 0;
        int rc = 0;

        env_random(env_self(), out, sizeof out);
        ck_assert_int_eq(env_connect(env_self(), "server:5432", &s), 0);
        fiber_io_init(&io, sched_self(), s);
        if (fiber_io_wait(&io, ENV_EV_WRITE, SIM_SECOND) == 0 && env_connect_result(s) == 0 &&
            env_sendv(s, &v, 1, &n) == 0) {
            while (rc == 0 && have < sizeof in) {
                rc = env_recv(s, in + have, sizeof in - have, &n);
                if (rc == 0 && n == 0)
                    break;
                have += n;
                if (rc == ERR_AGAIN)
                    rc = fiber_io_wait(&io, ENV_EV_READ, SIM_SECOND);
            }
        }
        w->echoed += have == sizeof in;
        w->lost += have != sizeof in;
        fiber_io_fini(&io);
        env_sock_close(s);
        fiber_sleep_us(env_random_u64(env_self()) % 10000);
    }
}

static void
work_client_main(void *arg)
{
    struct sched *s = sched_new(env_self());

    for (int i = 0; i < WORK_CLIENTS; i++)
        fiber_start(s, "client", 0, work_client_fiber, arg);
    sched_run(s, true);
    sched_free(s);
}

static bool
client_is_down(void *arg)
{
    struct work *w = arg;

    return !sim_node_is_up(w->client);
}

static uint64_t
workload(uint64_t seed, struct work *w)
{
    struct sim *outer = sim;
    uint64_t hash;

    sim = sim_new(seed);
    *w = (struct work){ .server = sim_node_new(sim, "server") };
    w->client = sim_node_new(sim, "client");
    sim_node_start(w->server, work_server_main, NULL);
    sim_node_start(w->client, work_client_main, w);
    ck_assert_int_eq(sim_run(sim, 40 * SIM_MILLISECOND, client_is_down, w), SIM_TIME);
    sim_net_partition(sim, w->server, w->client, true);
    ck_assert_int_eq(sim_run(sim, SIM_SECOND, client_is_down, w), SIM_TIME);
    sim_net_heal(sim);
    sim_node_crash(w->server);
    sim_node_start(w->server, work_server_main, NULL);
    ck_assert_int_eq(sim_run(sim, 600 * SIM_SECOND, client_is_down, w), SIM_DONE);
    ck_assert_uint_eq(sim_node_leaked_bytes(w->client), 0);
    hash = sim_trace_hash(sim);
    sim_free(sim);
    sim = outer;
    return hash;
}

/* SIM-1: the same seed gives the same run. SIM_SEEDS in the environment asks for more seeds. */
START_TEST(test_same_seed_same_run)
{
    const char *asked = getenv("SIM_SEEDS");
    uint64_t seeds = asked != NULL ? strtoull(asked, NULL, 10) : 4, before = 0;

    for (uint64_t seed = 0; seed < seeds; seed++) {
        struct work a, b;
        uint64_t hash = workload(seed, &a);

        ck_assert_msg(hash == workload(seed, &b), "seed %llu", (unsigned long long)seed);
        ck_assert_int_eq(a.echoed, b.echoed);
        ck_assert_int_eq(a.echoed + a.lost, WORK_CLIENTS * WORK_MESSAGES);
        ck_assert_int_gt(a.echoed, 0);
        ck_assert_int_gt(a.lost, 0);
        ck_assert_uint_ne(hash, before);
        before = hash;
    }
}
END_TEST

/* ---- threads and locks --------------------------------------------------------------------- */

struct locks {
    struct env_mutex a, b;
    struct env_cond changed;
    int count, taken;
    bool crossed;
};

static void
counter_thread(void *arg)
{
    struct locks *l = arg;

    for (int i = 0; i < 100; i++) {
        int seen;

        env_mutex_lock(&l->a);
        seen = l->count;
        env_thread_yield(env_self());
        l->count = seen + 1;
        env_cond_signal(&l->changed);
        env_mutex_unlock(&l->a);
    }
}

static void
locks_init(struct locks *l)
{
    env_mutex_init(env_self(), &l->a);
    env_mutex_init(env_self(), &l->b);
    env_cond_init(env_self(), &l->changed);
}

static void
locks_fini(struct locks *l)
{
    env_mutex_fini(&l->a);
    env_mutex_fini(&l->b);
    env_cond_fini(&l->changed);
}

static void
locks_main(void *arg)
{
    struct locks *l = arg;
    struct env_thread *t[4];

    locks_init(l);
    for (int i = 0; i < 4; i++)
        t[i] = env_thread_start(env_self(), "counter", counter_thread, l);
    env_mutex_lock(&l->a);
    while (l->count < 400)
        env_cond_wait(&l->changed, &l->a);
    ck_assert(!env_cond_wait_us(&l->changed, &l->a, 1000) || l->count == 400);
    env_mutex_unlock(&l->a);
    for (int i = 0; i < 4; i++)
        env_thread_join(t[i]);
    locks_fini(l);
}

START_TEST(test_mutexes_exclude)
{
    struct env *node = sim_node_new(sim, "n");
    struct locks l = { 0 };

    run_node(node, locks_main, &l);
    ck_assert_int_eq(l.count, 400);
    ck_assert_uint_eq(sim_node_leaked_bytes(node), 0);
}
END_TEST

static void
cross_thread(void *arg)
{
    struct locks *l = arg;

    env_mutex_lock(&l->b);
    env_sleep_us(env_self(), 1000);
    env_mutex_lock(&l->a);
}

static void
deadlock_main(void *arg)
{
    struct locks *l = arg;

    locks_init(l);
    env_thread_start(env_self(), "crossing", cross_thread, l);
    env_mutex_lock(&l->a);
    env_sleep_us(env_self(), 1000);
    env_mutex_lock(&l->b);
}

/* SIM-2: when nothing can ever run again, the run ends and says who waits for whom. */
START_TEST(test_deadlock_is_reported)
{
    struct env *node = sim_node_new(sim, "n");
    struct locks l = { 0 };

    sim_node_start(node, deadlock_main, &l);
    ck_assert_int_eq(sim_run(sim, UINT64_MAX, NULL, NULL), SIM_DEADLOCK);
    ck_assert(strstr(sim_report(sim), "thread main waits for a mutex of thread crossing") != NULL);
    ck_assert(strstr(sim_report(sim), "thread crossing waits for a mutex of thread main") != NULL);
}
END_TEST

static int
slow_job(void *arg)
{
    env_sleep_us(env_self(), 500);
    *(int *)arg += 1;
    return 0;
}

static struct job_pool *pool;
static int job_total;

static void
job_fiber(void *arg)
{
    int n = 0;

    (void)arg;
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(job_run(pool, slow_job, &n), 0);
    fiber_sleep_us(3600 * SIM_SECOND);
    job_total += n;
}

static void
jobs_main(void *arg)
{
    struct sched *s = sched_new(env_self());
    uint64_t start = env_boot_ns(env_self());

    (void)arg;
    pool = job_pool_new(env_self(), "jobs", 3);
    for (int i = 0; i < 20; i++)
        fiber_start(s, "f", 0, job_fiber, NULL);
    sched_run(s, true);
    job_pool_free(pool);
    sched_free(s);
    ck_assert_uint_ge(env_boot_ns(env_self()) - start, 3600 * SIM_SECOND * 1000);
}

START_TEST(test_fibers_and_jobs_in_virtual_time)
{
    struct env *node = sim_node_new(sim, "n");

    job_total = 0;
    run_node(node, jobs_main, NULL);
    ck_assert_int_eq(job_total, 100);
    ck_assert_uint_eq(sim_node_leaked_bytes(node), 0);
}
END_TEST

/* ---- death --------------------------------------------------------------------------------- */

struct pair {
    struct env *a, *b;
    int b_count;
};

static void
hoarder_fiber(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++)
        memset(xmalloc(10000), i, 10000);
    (void)DIAG(ERR_IO, "something");
    fiber_sleep_us(UINT64_MAX);
}

static void
panic_fiber(void *arg)
{
    (void)arg;
    fiber_sleep_us(5000);
    PANIC("redo write failed");
}

static void
doomed_thread(void *arg)
{
    struct sched *s = sched_new(env_self());

    (void)arg;
    for (int i = 0; i < 20; i++)
        fiber_start(s, "hoarder", 0, hoarder_fiber, NULL);
    sched_run(s, true);
}

static void
doomed_main(void *arg)
{
    struct sched *s = sched_new(env_self());
    struct env_sock *l;

    (void)arg;
    env_thread_start(env_self(), "other", doomed_thread, NULL);
    ck_assert_int_eq(env_listen(env_self(), "*:1", 5, &l), 0);
    open_file("/left-open", ENV_CREATE);
    fiber_start(s, "hoarder", 0, hoarder_fiber, NULL);
    fiber_start(s, "panic", 0, panic_fiber, NULL);
    sched_run(s, true);
}

static void
bystander_main(void *arg)
{
    struct pair *p = arg;

    for (int i = 0; i < 100; i++) {
        env_sleep_us(env_self(), 1000);
        p->b_count++;
    }
}

/* SIM-5: a panic ends its node alone, with all that the node has; the sanitizer's leak check shows
 * that nothing is left. */
START_TEST(test_a_node_dies_alone)
{
    struct pair p = { sim_node_new(sim, "a"), sim_node_new(sim, "b"), 0 };

    sim_allow_panic(sim, true);
    sim_node_start(p.b, bystander_main, &p);
    for (int i = 0; i < 3; i++) {
        sim_node_start(p.a, doomed_main, NULL);
        ck_assert_int_eq(sim_run(sim, 10 * SIM_MILLISECOND, NULL, NULL), SIM_TIME);
        ck_assert(!sim_node_is_up(p.a));
        ck_assert(strstr(sim_node_last_words(p.a), "redo write failed") != NULL);
    }
    sim_allow_panic(sim, false);
    sim_node_start(p.a, doomed_main, NULL);
    ck_assert_int_eq(sim_run(sim, UINT64_MAX, NULL, NULL), SIM_PANIC);
    ck_assert_int_eq(sim_run(sim, UINT64_MAX, NULL, NULL), SIM_IDLE);
    ck_assert_int_eq(p.b_count, 100);
    sim_node_start(p.a, doomed_main, NULL);
    ck_assert_int_eq(sim_run(sim, SIM_MILLISECOND, NULL, NULL), SIM_TIME);
    sim_node_crash(p.a);
    sim_node_start(p.a, doomed_main, NULL);
}
END_TEST

/* ---- the network --------------------------------------------------------------------------- */

struct talk {
    struct env *server, *client;
    int received; /* bytes, at the server */
    int result;   /* of the client's last wait */
    bool is_over;
    uint64_t sent_bytes;
};

static void
sink_fiber(void *arg)
{
    struct talk *t = arg;
    struct env_sock *l, *s;
    struct fiber_io io;
    uint8_t buf[4096];

    ck_assert_int_eq(env_listen(env_self(), "server:7", 5, &l), 0);
    fiber_io_init(&io, sched_self(), l);
    for (;;) {
        struct fiber_io sio;

        while (env_accept(l, &s) == ERR_AGAIN)
            ck_assert_int_eq(fiber_io_wait(&io, ENV_EV_READ, UINT64_MAX), 0);
        fiber_io_init(&sio, sched_self(), s);
        for (;;) {
            size_t got;
            int rc = env_recv(s, buf, sizeof buf, &got);

            if (rc == ERR_AGAIN && fiber_io_wait(&sio, ENV_EV_READ, UINT64_MAX) == 0)
                continue;
            if (rc != 0 || got == 0)
                break;
            t->received += (int)got;
        }
        fiber_io_fini(&sio);
        env_sock_close(s);
    }
}

static void
sink_main(void *arg)
{
    struct sched *s = sched_new(env_self());

    fiber_start(s, "sink", 0, sink_fiber, arg);
    sched_run(s, false);
}

/* Sends for ever, and waits at most ten seconds for room. */
static void
pusher_fiber(void *arg)
{
    struct talk *t = arg;
    uint8_t buf[1000] = { 0 };
    struct iovec v = { buf, sizeof buf };
    struct env_sock *s;
    struct fiber_io io;

    ck_assert_int_eq(env_connect(env_self(), "server:7", &s), 0);
    fiber_io_init(&io, sched_self(), s);
    t->result = fiber_io_wait(&io, ENV_EV_WRITE, 10 * SIM_SECOND);
    if (t->result == 0)
        t->result = env_connect_result(s);
    while (t->result == 0) {
        size_t sent;
        int rc = env_sendv(s, &v, 1, &sent);

        t->sent_bytes += sent;
        if (rc == ERR_AGAIN)
            t->result = fiber_io_wait(&io, ENV_EV_WRITE, 10 * SIM_SECOND);
        else if (rc != 0)
            t->result = rc;
        else
            fiber_sleep_us(100);
    }
    fiber_io_fini(&io);
    env_sock_close(s);
    t->is_over = true;
}

static void
pusher_main(void *arg)
{
    struct sched *s = sched_new(env_self());

    fiber_start(s, "pusher", 0, pusher_fiber, arg);
    sched_run(s, true);
    sched_free(s);
}

static bool
talk_is_over(void *arg)
{
    return ((struct talk *)arg)->is_over;
}

static void
talk_start(struct talk *t)
{
    *t = (struct talk){ .server = sim_node_new(sim, "server") };
    t->client = sim_node_new(sim, "client");
    sim_node_start(t->server, sink_main, t);
    sim_node_start(t->client, pusher_main, t);
    ck_assert_int_eq(sim_run(sim, SIM_SECOND, talk_is_over, t), SIM_TIME);
    ck_assert_int_gt(t->received, 0);
}

/* SIM-6: what is blocked does not arrive, in that direction only, and arrives after the heal. */
START_TEST(test_partitions)
{
    struct talk t;
    int before;

    talk_start(&t);
    sim_net_block(sim, t.client, t.server, true);
    before = t.received;
    ck_assert_int_eq(sim_run(sim, SIM_SECOND, talk_is_over, &t), SIM_TIME);
    ck_assert_int_eq(t.received, before);
    sim_net_heal(sim);
    ck_assert_int_eq(sim_run(sim, SIM_SECOND, talk_is_over, &t), SIM_TIME);
    ck_assert_int_gt(t.received, before + 100000);
    /* Only acknowledgements are lost: data arrives until the window is full. */
    sim_net_block(sim, t.server, t.client, true);
    before = t.received;
    ck_assert_int_eq(sim_run(sim, 20 * SIM_SECOND, talk_is_over, &t), SIM_DONE);
    ck_assert_int_eq(t.result, ERR_TIMEOUT);
    ck_assert_int_gt(t.received, before);
    ck_assert_int_lt(t.received, before + 200000);
}
END_TEST

START_TEST(test_silence_after_a_power_cut)
{
    struct talk t;

    talk_start(&t);
    sim_node_crash(t.server);
    ck_assert_int_eq(sim_run(sim, 30 * SIM_SECOND, talk_is_over, &t), SIM_DONE);
    ck_assert_int_eq(t.result, ERR_TIMEOUT); /* half-open: nobody said a word */
}
END_TEST

START_TEST(test_reset_after_a_restart)
{
    struct talk t;

    talk_start(&t);
    sim_node_crash(t.server);
    sim_node_start(t.server, sink_main, &t);
    ck_assert_int_eq(sim_run(sim, 30 * SIM_SECOND, talk_is_over, &t), SIM_DONE);
    ck_assert_int_eq(t.result, ERR_CONNECTION_FAILURE);
}
END_TEST

START_TEST(test_kill_closes_connections)
{
    struct talk t;

    talk_start(&t);
    sim_node_kill(t.server);
    ck_assert_int_eq(sim_run(sim, SIM_SECOND, talk_is_over, &t), SIM_DONE);
    ck_assert_int_eq(t.result, ERR_CONNECTION_FAILURE);
}
END_TEST

/* SIM-6: what a blocked link holds is lost with its sender's power. */
START_TEST(test_power_cut_behind_a_partition)
{
    struct talk t;
    int before;

    talk_start(&t);
    sim_net_block(sim, t.client, t.server, true);
    ck_assert_int_eq(sim_run(sim, SIM_SECOND, talk_is_over, &t), SIM_TIME);
    before = t.received;
    sim_node_crash(t.client);
    sim_net_heal(sim);
    ck_assert_int_eq(sim_run(sim, SIM_SECOND, NULL, NULL), SIM_DEADLOCK);
    ck_assert_int_eq(t.received, before);
}
END_TEST

/* SIM-6: a cut is exact to the byte, and both ends learn of it. */
START_TEST(test_cut_at_a_byte)
{
    struct talk t;
    int before;

    talk_start(&t);
    sim_net_block(sim, t.client, t.server, true);
    ck_assert_int_eq(sim_run(sim, SIM_SECOND, talk_is_over, &t), SIM_TIME);
    before = t.received;
    sim_net_cut(sim, t.client, t.server, 12345);
    sim_net_block(sim, t.client, t.server, false);
    ck_assert_int_eq(sim_run(sim, SIM_SECOND, talk_is_over, &t), SIM_DONE);
    ck_assert_int_eq(t.result, ERR_CONNECTION_FAILURE);
    ck_assert_int_eq(sim_run(sim, SIM_SECOND, NULL, NULL), SIM_DEADLOCK);
    ck_assert_int_eq(t.received, before + 12345);
}
END_TEST

START_TEST(test_refused_and_reset)
{
    struct talk t = { .server = sim_node_new(sim, "server") };

    t.client = sim_node_new(sim, "client");
    sim_node_start(t.server, bystander_main, &(struct pair){ 0 });
    sim_node_start(t.client, pusher_main, &t);
    ck_assert_int_eq(sim_run(sim, SIM_SECOND, talk_is_over, &t), SIM_DONE);
    ck_assert_int_eq(t.result, ERR_CONNECT);
    sim_node_kill(t.server);
    sim_free(sim);
    sim = sim_new(5);
    talk_start(&t);
    sim_net_reset(sim, t.server, t.client);
    ck_assert_int_eq(sim_run(sim, SIM_SECOND, talk_is_over, &t), SIM_DONE);
    ck_assert_int_eq(t.result, ERR_CONNECTION_FAILURE);
}
END_TEST

START_TEST(test_paused_nodes_stand_still)
{
    struct talk t;
    uint64_t sent;

    talk_start(&t);
    sim_node_pause(t.client);
    sent = t.sent_bytes;
    ck_assert_int_eq(sim_run(sim, SIM_SECOND, talk_is_over, &t), SIM_TIME);
    ck_assert_uint_eq(t.sent_bytes, sent);
    sim_node_resume(t.client);
    ck_assert_int_eq(sim_run(sim, SIM_SECOND, talk_is_over, &t), SIM_TIME);
    ck_assert_uint_gt(t.sent_bytes, sent);
}
END_TEST

/* ---- the suite ----------------------------------------------------------------------------- */

static void
setup(void)
{
    sim = sim_new(42);
}

static void
teardown(void)
{
    sim_free(sim);
    ck_assert(task_self()->env == NULL);
}

int
main(void)
{
    Suite *suite = suite_create("sim");
    TCase *tc = tcase_create("sim");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_same_seed_same_run);
    tcase_add_test(tc, test_mutexes_exclude);
    tcase_add_test(tc, test_deadlock_is_reported);
    tcase_add_test(tc, test_fibers_and_jobs_in_virtual_time);
    tcase_add_test(tc, test_a_node_dies_alone);
    tcase_add_test(tc, test_partitions);
    tcase_add_test(tc, test_silence_after_a_power_cut);
    tcase_add_test(tc, test_reset_after_a_restart);
    tcase_add_test(tc, test_kill_closes_connections);
    tcase_add_test(tc, test_cut_at_a_byte);
    tcase_add_test(tc, test_power_cut_behind_a_partition);
    tcase_add_test(tc, test_refused_and_reset);
    tcase_add_test(tc, test_paused_nodes_stand_still);
    suite_add_tcase(suite, tc);
    sr = srunner_create(suite);
    srunner_set_fork_status(sr, CK_NOFORK);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
