/* Fibers, schedulers, what they wait on, and job pools, in the real world.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/fiber.h"
#include "engine/base/mem.h"
#include "engine/base/task.h"

static struct env *env;
static struct sched *sched;

static void
setup(void)
{
    env = env_posix_new();
    sched = sched_new(env);
}

static void
teardown(void)
{
    sched_free(sched);
    env_free(env);
}

/* ---- order --------------------------------------------------------------------------------- */

struct trace {
    char text[256];
    size_t size;
};

struct tracer {
    struct trace *trace;
    char letter;
    int rounds;
};

static void
tracer_main(void *arg)
{
    struct tracer *t = arg;

    for (int i = 0; i < t->rounds; i++) {
        t->trace->text[t->trace->size++] = t->letter;
        fiber_yield();
    }
}

/* BASE-3: ready fibers run in the order in which they became ready. */
START_TEST(test_yield_is_fair)
{
    struct trace trace = { 0 };
    struct tracer a = { &trace, 'a', 3 }, b = { &trace, 'b', 3 }, c = { &trace, 'c', 1 };

    fiber_start(sched, "a", 0, tracer_main, &a);
    fiber_start(sched, "b", 0, tracer_main, &b);
    fiber_start(sched, "c", 0, tracer_main, &c);
    ck_assert_uint_eq(sched_fiber_count(sched), 3);
    sched_run(sched, true);
    ck_assert_str_eq(trace.text, "abcabab");
    ck_assert_uint_eq(sched_fiber_count(sched), 0);
}
END_TEST

static void
spawner_main(void *arg)
{
    int *left = arg;

    ck_assert(fiber_self() != NULL && sched_self() == sched && env_self() == env);
    if (--*left > 0)
        fiber_start(sched, "next", 0, spawner_main, left);
    fiber_yield();
}

START_TEST(test_fibers_start_fibers_and_stacks_are_reused)
{
    int left = 5000;

    fiber_start(sched, "first", 0, spawner_main, &left);
    sched_run(sched, true);
    ck_assert_int_eq(left, 0);
}
END_TEST

/* ---- timers -------------------------------------------------------------------------------- */

struct sleeper {
    uint64_t us;
    uint64_t *last_us;
    bool done;
};

static void
sleeper_main(void *arg)
{
    struct sleeper *s = arg;
    uint64_t before = env_boot_ns(env);

    fiber_sleep_us(s->us);
    ck_assert_uint_ge(env_boot_ns(env) - before, s->us * 1000);
    s->done = true;
}

START_TEST(test_sleep_never_ends_early)
{
    struct sleeper s[300];

    srand(17);
    for (int i = 0; i < 300; i++) {
        s[i] = (struct sleeper){ .us = (uint64_t)(rand() % 20000) };
        fiber_start(sched, "sleeper", 0, sleeper_main, &s[i]);
    }
    sched_run(sched, true);
    for (int i = 0; i < 300; i++)
        ck_assert(s[i].done);
}
END_TEST

/* ---- queues -------------------------------------------------------------------------------- */

static struct fiber_queue queue;
static int woken, timed_out, canceled;
static struct fiber *waiters[100];

static void
queue_waiter_main(void *arg)
{
    intptr_t kind = (intptr_t)arg;

    if (kind == 0) {
        fiber_queue_wait(&queue);
        woken++;
    } else if (kind == 1) {
        if (fiber_queue_wait_us(&queue, 1000))
            woken++;
        else
            timed_out++;
    } else {
        int rc = fiber_queue_wait_interruptible(&queue, UINT64_MAX);

        if (rc == ERR_QUERY_CANCELED) {
            ck_assert(fiber_interrupted() && !fiber_interrupted());
            canceled++;
        } else {
            woken++;
        }
    }
}

static void
queue_waker_main(void *arg)
{
    (void)arg;
    fiber_yield(); /* all wait now */
    fiber_queue_wake_one(&queue);
    fiber_yield();
    ck_assert_int_eq(woken, 1);
    for (int i = 0; i < 100; i++)
        if (i % 3 == 2)
            fiber_interrupt(waiters[i]);
    while (timed_out < 33)
        fiber_sleep_us(1000);
    fiber_queue_wake_all(&queue);
    while (woken + timed_out + canceled < 100)
        fiber_yield();
}

START_TEST(test_queue_wakes_times_out_and_interrupts)
{
    fiber_queue_init(&queue);
    woken = timed_out = canceled = 0;
    for (intptr_t i = 0; i < 100; i++)
        waiters[i] = fiber_start(sched, "waiter", 0, queue_waiter_main, (void *)(i % 3));
    fiber_start(sched, "waker", 0, queue_waker_main, NULL);
    sched_run(sched, true);
    ck_assert_int_eq(canceled, 33);
    ck_assert_int_eq(timed_out, 33);
    ck_assert_int_eq(woken, 34);
    ck_assert(list_empty(&queue.waiters));
}
END_TEST

/* ---- completions --------------------------------------------------------------------------- */

enum { ROUNDS = 2000, PAIRS = 8 };

/* The waiter frees each completion as soon as the wait returned, so that a poster that touches it
 * later is found by the address sanitizer. */
struct mailbox {
    _Atomic(struct completion *) box;
    bool with_timeout;
};

static void
poster_thread(void *arg)
{
    struct mailbox *m = arg;

    for (int i = 0; i < ROUNDS; i++) {
        struct completion *c;

        while ((c = atomic_exchange(&m->box, NULL)) == NULL)
            env_thread_yield(env);
        completion_post(c);
    }
}

static void
mailbox_waiter(void *arg)
{
    struct mailbox *m = arg;

    for (int i = 0; i < ROUNDS; i++) {
        struct completion *c = xmalloc(sizeof *c);

        completion_init(c);
        atomic_store(&m->box, c);
        if (m->with_timeout) {
            while (!completion_wait_us(c, (uint64_t)(i % 3) * 20))
                ;
        } else {
            completion_wait(c);
        }
        ck_assert(completion_is_posted(c));
        completion_cancel(c);
        xfree(c);
    }
}

/* BASE-4: a wait that returned owns its completion alone. */
START_TEST(test_completions_across_threads)
{
    struct mailbox m[PAIRS] = { 0 };
    struct env_thread *t[PAIRS];

    for (int i = 0; i < PAIRS; i++) {
        m[i].with_timeout = i % 2 == 1;
        t[i] = env_thread_start(env, "poster", poster_thread, &m[i]);
        fiber_start(sched, "waiter", 0, mailbox_waiter, &m[i]);
    }
    sched_run(sched, true);
    for (int i = 0; i < PAIRS; i++)
        env_thread_join(t[i]);
}
END_TEST

START_TEST(test_completions_between_plain_threads)
{
    struct mailbox m[2] = { { .with_timeout = false }, { .with_timeout = true } };

    for (int i = 0; i < 2; i++) {
        struct env_thread *t = env_thread_start(env, "poster", poster_thread, &m[i]);

        mailbox_waiter(&m[i]);
        env_thread_join(t);
    }
}
END_TEST

static void
completion_interrupted_main(void *arg)
{
    struct completion *c = arg;

    ck_assert_int_eq(completion_wait_interruptible(c, UINT64_MAX), ERR_QUERY_CANCELED);
    ck_assert_int_eq(diag_last()->code, ERR_QUERY_CANCELED);
    ck_assert_int_eq(completion_wait_interruptible(c, UINT64_MAX), ERR_QUERY_CANCELED);
    ck_assert(fiber_interrupted());
    ck_assert_int_eq(completion_wait_interruptible(c, 10), ERR_TIMEOUT);
    completion_post(c);
    ck_assert_int_eq(completion_wait_interruptible(c, 10), 0);
}

static void
interrupter_main(void *arg)
{
    fiber_interrupt(arg);
}

START_TEST(test_completion_interrupt_and_timeout)
{
    struct completion c;
    struct fiber *f;

    completion_init(&c);
    f = fiber_start(sched, "waiter", 0, completion_interrupted_main, &c);
    fiber_start(sched, "interrupter", 0, interrupter_main, f);
    sched_run(sched, true);
}
END_TEST

/* ---- from other threads -------------------------------------------------------------------- */

static int remote_ran;

static void
remote_fiber_main(void *arg)
{
    (void)arg;
    if (++remote_ran == 400)
        sched_stop(sched);
}

static void
remote_starter(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100; i++)
        fiber_start_remote(sched, "remote", 0, remote_fiber_main, NULL);
}

START_TEST(test_remote_start_and_stop)
{
    struct env_thread *t[4];

    remote_ran = 0;
    for (int i = 0; i < 4; i++)
        t[i] = env_thread_start(env, "starter", remote_starter, NULL);
    sched_run(sched, false);
    ck_assert_int_eq(remote_ran, 400);
    for (int i = 0; i < 4; i++)
        env_thread_join(t[i]);
}
END_TEST

static int turns;

static void
count_turn(void *arg)
{
    (void)arg;
    turns++;
}

START_TEST(test_turn_hook_follows_the_fibers)
{
    struct trace trace = { 0 };
    struct tracer a = { &trace, 'a', 5 };

    turns = 0;
    sched_set_turn_hook(sched, count_turn, NULL);
    fiber_start(sched, "a", 0, tracer_main, &a);
    sched_run(sched, true);
    ck_assert_int_ge(turns, 6);
}
END_TEST

/* ---- jobs ---------------------------------------------------------------------------------- */

static int
job_square(void *arg)
{
    int *n = arg;

    ck_assert(fiber_self() == NULL);
    if (*n == 13)
        return DIAG(ERR_IO, "no luck with %d", *n);
    *n *= *n;
    return 0;
}

static struct job_pool *pool;
static _Atomic int jobs_posted;

static void
job_post_fn(void *arg)
{
    (void)arg;
    atomic_fetch_add(&jobs_posted, 1);
}

static void
job_fiber_main(void *arg)
{
    int n = (int)(intptr_t)arg, was = n;
    int rc = job_run(pool, job_square, &n);

    job_post(pool, job_post_fn, NULL);
    if (was == 13) {
        ck_assert_int_eq(rc, ERR_IO);
        ck_assert_str_eq(diag_last()->message, "no luck with 13");
    } else {
        ck_assert_int_eq(rc, 0);
        ck_assert_int_eq(n, was * was);
        ck_assert_int_eq(diag_last()->code, 0);
    }
}

/* BASE-5: errors belong to the task: they neither leak to another fiber nor get lost in a job. */
START_TEST(test_jobs_carry_errors_back)
{
    int n = 13;

    pool = job_pool_new(env, "jobs", 3);
    atomic_store(&jobs_posted, 0);
    for (intptr_t i = 0; i < 200; i++)
        fiber_start(sched, "job", 0, job_fiber_main, (void *)i);
    sched_run(sched, true);
    ck_assert_int_eq(job_run(pool, job_square, &n), ERR_IO);
    job_pool_free(pool);
    ck_assert_int_eq(atomic_load(&jobs_posted), 200);
}
END_TEST

/* ---- sockets ------------------------------------------------------------------------------- */

enum { CLIENTS = 40, MESSAGES = 20, BIG = 300000 };

static struct env_sock *listener;
static char address[ENV_ADDR_MAX];
static int clients_done;

static void
send_all(struct fiber_io *io, struct env_sock *s, const uint8_t *data, size_t size)
{
    while (size > 0) {
        union {
            const void *in;
            void *p;
        } u = { .in = data };
        struct iovec v = { u.p, size };
        size_t sent;
        int rc = env_sendv(s, &v, 1, &sent);

        if (rc == ERR_AGAIN) {
            ck_assert_int_eq(fiber_io_wait(io, ENV_EV_WRITE, UINT64_MAX), 0);
            continue;
        }
        ck_assert_int_eq(rc, 0);
        data += sent;
        size -= sent;
    }
}

static size_t
recv_some(struct fiber_io *io, struct env_sock *s, uint8_t *buf, size_t size)
{
    for (;;) {
        size_t got;
        int rc = env_recv(s, buf, size, &got);

        if (rc == 0)
            return got;
        ck_assert_int_eq(rc, ERR_AGAIN);
        ck_assert_int_eq(fiber_io_wait(io, ENV_EV_READ, UINT64_MAX), 0);
    }
}

static void
echo_session(void *arg)
{
    struct env_sock *s = arg;
    struct fiber_io io;
    uint8_t buf[8192];
    size_t got;

    ck_assert(env_sock_is_loopback(s));
    fiber_io_init(&io, sched, s);
    while ((got = recv_some(&io, s, buf, sizeof buf)) > 0)
        send_all(&io, s, buf, got);
    fiber_io_fini(&io);
    env_sock_close(s);
}

static void
acceptor_main(void *arg)
{
    struct fiber_io io;

    (void)arg;
    fiber_io_init(&io, sched, listener);
    for (int n = 0; n < CLIENTS;) {
        struct env_sock *s;
        int rc = env_accept(listener, &s);

        if (rc == 0) {
            fiber_start(sched, "session", 0, echo_session, s);
            n++;
        } else {
            ck_assert_int_eq(rc, ERR_AGAIN);
            ck_assert_int_eq(fiber_io_wait(&io, ENV_EV_READ, UINT64_MAX), 0);
        }
    }
    fiber_io_fini(&io);
}

static void
big_sender_main(void *arg)
{
    struct {
        struct fiber_io *io;
        struct env_sock *s;
        uint8_t *data;
    } *b = arg;

    send_all(b->io, b->s, b->data, BIG);
}

static void
client_big(struct fiber_io *io, struct env_sock *s)
{
    uint8_t *data = xmalloc(BIG), *back = xmalloc(BIG);
    struct {
        struct fiber_io *io;
        struct env_sock *s;
        uint8_t *data;
    } b = { io, s, data };

    for (int i = 0; i < BIG; i++)
        data[i] = (uint8_t)(i * 7);
    fiber_start(sched, "big sender", 0, big_sender_main, &b);
    for (size_t have = 0; have < BIG;)
        have += recv_some(io, s, back + have, BIG - have);
    ck_assert(memcmp(data, back, BIG) == 0);
    xfree(data);
    xfree(back);
}

static void
client_main(void *arg)
{
    struct env_sock *s;
    struct fiber_io io;
    uint8_t out[100], in[100];

    ck_assert_int_eq(env_connect(env, address, &s), 0);
    fiber_io_init(&io, sched, s);
    ck_assert_int_eq(fiber_io_wait(&io, ENV_EV_WRITE, 5000000), 0);
    ck_assert_int_eq(env_connect_result(s), 0);
    ck_assert_int_eq(fiber_io_wait(&io, ENV_EV_READ, 1000), ERR_TIMEOUT);
    for (int m = 0; m < MESSAGES; m++) {
        size_t have = 0;

        memset(out, m + (int)(intptr_t)arg, sizeof out);
        send_all(&io, s, out, sizeof out);
        while (have < sizeof in)
            have += recv_some(&io, s, in + have, sizeof in - have);
        ck_assert(memcmp(in, out, sizeof in) == 0);
    }
    if ((intptr_t)arg == 0)
        client_big(&io, s);
    fiber_io_fini(&io);
    env_sock_close(s);
    clients_done++;
}

static void
run_echo(const char *listen_at)
{
    clients_done = 0;
    ck_assert_int_eq(env_listen(env, listen_at, 128, &listener), 0);
    if (listen_at[0] == '/')
        snprintf(address, sizeof address, "%s", listen_at);
    else
        env_sock_local(listener, address);
    fiber_start(sched, "acceptor", 0, acceptor_main, NULL);
    for (intptr_t i = 0; i < CLIENTS; i++)
        fiber_start(sched, "client", 0, client_main, (void *)i);
    sched_run(sched, true);
    ck_assert_int_eq(clients_done, CLIENTS);
    env_sock_close(listener);
}

START_TEST(test_echo_over_sockets)
{
    char dir[] = "/tmp/redoubt-test-XXXXXX";
    char path[64];

    ck_assert(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/sock", dir);
    run_echo(path);
    ck_assert(access(path, F_OK) != 0);
    rmdir(dir);
    run_echo("127.0.0.1:0");
}
END_TEST

static void
interrupted_reader_main(void *arg)
{
    struct env_sock *s = arg;
    struct fiber_io io;

    fiber_io_init(&io, sched, s);
    ck_assert_int_eq(fiber_io_wait(&io, ENV_EV_READ, UINT64_MAX), ERR_QUERY_CANCELED);
    ck_assert(fiber_interrupted());
    fiber_io_fini(&io);
}

START_TEST(test_interrupt_reaches_a_reader)
{
    struct fiber *f;

    ck_assert_int_eq(env_listen(env, "127.0.0.1:0", 1, &listener), 0);
    f = fiber_start(sched, "reader", 0, interrupted_reader_main, listener);
    fiber_start(sched, "interrupter", 0, interrupter_main, f);
    sched_run(sched, true);
    env_sock_close(listener);
}
END_TEST

/* ---- stacks -------------------------------------------------------------------------------- */

static int
dig(int depth)
{
    volatile char pad[512];
    int rc = fiber_check_depth();

    memset((void *)(uintptr_t)pad, depth, sizeof pad);
    if (rc != 0)
        return depth;
    return dig(depth + 1) + (pad[0] & 0);
}

static void
digger_main(void *arg)
{
    int *depth = arg;

    *depth = dig(0);
    ck_assert_int_eq(diag_last()->code, ERR_TOO_COMPLEX);
}

/* BASE-6: deep recursion is an error, not a crash. */
START_TEST(test_depth_is_bounded)
{
    int small = 0, large = 0;

    fiber_start(sched, "small", 64 << 10, digger_main, &small);
    fiber_start(sched, "large", 256 << 10, digger_main, &large);
    sched_run(sched, true);
    ck_assert_int_gt(small, 10);
    ck_assert_int_gt(large, small);
}
END_TEST

static struct fiber_queue parked;

static void
parked_main(void *arg)
{
    (void)arg;
    fiber_queue_wait(&parked);
}

static long
resident_kib(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    long total, resident;

    ck_assert(f != NULL && fscanf(f, "%ld %ld", &total, &resident) == 2);
    fclose(f);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void
parked_measure_main(void *arg)
{
    long *kib = arg;

    fiber_yield();
    *kib = resident_kib();
    fiber_queue_wake_all(&parked);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { PARKED_COUNT = 100, PARKED_KIB_MAX = 1000 };
#else
enum { PARKED_COUNT = 10000, PARKED_KIB_MAX = 12 };
#endif

/* BASE-7: a parked shallow fiber keeps at most 12 KiB resident. */
START_TEST(test_parked_fibers_are_small)
{
    long before = resident_kib(), after = 0;

    fiber_queue_init(&parked);
    for (int i = 0; i < PARKED_COUNT; i++)
        fiber_start(sched, "parked", 0, parked_main, NULL);
    fiber_start(sched, "measure", 0, parked_measure_main, &after);
    sched_run(sched, true);
    printf("%d parked fibers: %ld KiB each\n", PARKED_COUNT, (after - before) / PARKED_COUNT);
    ck_assert_int_le((after - before) / PARKED_COUNT, PARKED_KIB_MAX);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("fiber");
    TCase *tc = tcase_create("fiber");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_yield_is_fair);
    tcase_add_test(tc, test_fibers_start_fibers_and_stacks_are_reused);
    tcase_add_test(tc, test_sleep_never_ends_early);
    tcase_add_test(tc, test_queue_wakes_times_out_and_interrupts);
    tcase_add_test(tc, test_completions_across_threads);
    tcase_add_test(tc, test_completions_between_plain_threads);
    tcase_add_test(tc, test_completion_interrupt_and_timeout);
    tcase_add_test(tc, test_remote_start_and_stop);
    tcase_add_test(tc, test_turn_hook_follows_the_fibers);
    tcase_add_test(tc, test_jobs_carry_errors_back);
    tcase_add_test(tc, test_echo_over_sockets);
    tcase_add_test(tc, test_interrupt_reaches_a_reader);
    tcase_add_test(tc, test_depth_is_bounded);
    tcase_add_test(tc, test_parked_fibers_are_small);
    suite_add_tcase(suite, tc);
    sr = srunner_create(suite);
    srunner_set_fork_status(sr, CK_NOFORK);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
