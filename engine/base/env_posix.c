/* The real world: time, randomness, panic, threads, locks. Files and sockets are in
 * env_posix_file.c, env_posix_loop.c and env_posix_sock.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/env_posix_int.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/context.h"

/* ---- time and randomness ------------------------------------------------------------------- */

static uint64_t
clock_ns(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t
posix_wall_us(struct env *env)
{
    (void)env;
    return clock_ns(CLOCK_REALTIME) / 1000;
}

static uint64_t
posix_boot_ns(struct env *env)
{
    (void)env;
    return clock_ns(CLOCK_BOOTTIME);
}

static struct timespec
timespec_us(uint64_t us)
{
    uint64_t s = us / 1000000 < INT_MAX ? us / 1000000 : INT_MAX;

    return (struct timespec){ .tv_sec = (time_t)s, .tv_nsec = (long)(us % 1000000 * 1000) };
}

static void
posix_sleep_us(struct env *env, uint64_t us)
{
    struct timespec ts = timespec_us(us);

    (void)env;
    while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
        ;
}

static void
posix_random(struct env *env, void *out, size_t size)
{
    uint8_t *p = out;

    (void)env;
    while (size > 0) {
        ssize_t n = getrandom(p, size, 0);

        if (n < 0 && errno == EINTR)
            continue;
        CHECK(n > 0);
        p += n;
        size -= (size_t)n;
    }
}

static void
posix_log_write(struct env *env, const void *data, size_t size)
{
    const uint8_t *p = data;

    (void)env;
    while (size > 0) {
        ssize_t n = write(STDERR_FILENO, p, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nobody listens: nothing better can be done */
        p += n;
        size -= (size_t)n;
    }
}

static void
posix_panic(struct env *env, const char *file, int line, const char *what)
{
    char text[800];
    int n = snprintf(text, sizeof text, "PANIC: %s (%s:%d)\n", what, file, line);

    if (n > 0)
        posix_log_write(env, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
    abort();
}

/* ---- threads ------------------------------------------------------------------------------- */

struct env_thread {
    struct env *env;
    pthread_t id;
    void (*fn)(void *arg);
    void *arg;
    struct task task;
};

static void *
thread_main(void *arg)
{
    struct env_thread *t = arg;

    task_current_or_null = &t->task;
    t->fn(t->arg);
    xfree(t->task.diag);
    t->task.diag = NULL;
    task_current_or_null = NULL;
    return NULL;
}

static struct env_thread *
posix_thread_start(struct env *env, const char *name, void (*fn)(void *arg), void *arg)
{
    struct env_thread *t = xcalloc(1, sizeof *t);
    char short_name[16];
    int rc;

    t->env = env;
    t->fn = fn;
    t->arg = arg;
    t->task = (struct task){ .env = env, .heap = task_self()->heap, .thread = t };
    rc = pthread_create(&t->id, NULL, thread_main, t);
    if (rc != 0)
        PANIC("could not start thread %s: %s", name, strerror(rc));
    snprintf(short_name, sizeof short_name, "%s", name);
    pthread_setname_np(t->id, short_name);
    return t;
}

static void
posix_thread_join(struct env_thread *t)
{
    CHECK(pthread_join(t->id, NULL) == 0);
    xfree(t);
}

static void
posix_thread_yield(struct env *env)
{
    (void)env;
    sched_yield();
}

static int
posix_cpu_count(struct env *env)
{
    cpu_set_t set;

    (void)env;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

/* ---- locks --------------------------------------------------------------------------------- */

static void
posix_mutex_init(struct env_mutex *m)
{
    CHECK(pthread_mutex_init(&m->u.os, NULL) == 0);
}

static void
posix_mutex_fini(struct env_mutex *m)
{
    CHECK(pthread_mutex_destroy(&m->u.os) == 0);
}

static void
posix_mutex_lock(struct env_mutex *m)
{
    CHECK(pthread_mutex_lock(&m->u.os) == 0);
}

static void
posix_mutex_unlock(struct env_mutex *m)
{
    CHECK(pthread_mutex_unlock(&m->u.os) == 0);
}

static void
posix_cond_init(struct env_cond *c)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    CHECK(pthread_cond_init(&c->u.os, &attr) == 0);
    pthread_condattr_destroy(&attr);
}

static void
posix_cond_fini(struct env_cond *c)
{
    CHECK(pthread_cond_destroy(&c->u.os) == 0);
}

static bool
posix_cond_wait(struct env_cond *c, struct env_mutex *m, uint64_t timeout_us)
{
    uint64_t now_us, until_us;
    struct timespec ts;
    int rc;

    if (timeout_us == ENV_NO_TIMEOUT) {
        CHECK(pthread_cond_wait(&c->u.os, &m->u.os) == 0);
        return true;
    }
    now_us = clock_ns(CLOCK_MONOTONIC) / 1000;
    if (!add_ok(now_us, timeout_us, &until_us))
        until_us = ENV_NO_TIMEOUT;
    ts = timespec_us(until_us);
    rc = pthread_cond_timedwait(&c->u.os, &m->u.os, &ts);
    CHECK(rc == 0 || rc == ETIMEDOUT);
    return rc == 0;
}

static void
posix_cond_wake(struct env_cond *c, bool all)
{
    CHECK((all ? pthread_cond_broadcast(&c->u.os) : pthread_cond_signal(&c->u.os)) == 0);
}

static void
posix_word_wait(struct env *env, _Atomic uint32_t *word, uint32_t expected, uint64_t timeout_us)
{
    struct timespec ts = timespec_us(timeout_us);

    (void)env;
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected,
            timeout_us == ENV_NO_TIMEOUT ? NULL : &ts, NULL, 0);
}

static void
posix_word_wake(struct env *env, _Atomic uint32_t *word)
{
    (void)env;
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* ---- the table ----------------------------------------------------------------------------- */

static void
posix_free(struct env *env)
{
    stack_pool_free(env->stacks);
    xfree(env);
}

static const struct env_ops posix_ops = {
    .free = posix_free,
    .wall_us = posix_wall_us,
    .boot_ns = posix_boot_ns,
    .sleep_us = posix_sleep_us,
    .random = posix_random,
    .panic = posix_panic,
    .log_write = posix_log_write,
    .open = posix_open,
    .close = posix_close,
    .pread = posix_pread,
    .pwritev = posix_pwritev,
    .sync = posix_sync,
    .truncate = posix_truncate,
    .allocate = posix_allocate,
    .size = posix_size,
    .rename = posix_rename,
    .unlink = posix_unlink,
    .rmdir = posix_rmdir,
    .mkdir = posix_mkdir,
    .sync_dir = posix_sync_dir,
    .link = posix_link,
    .exists = posix_exists,
    .list_dir = posix_list_dir,
    .disk_free = posix_disk_free,
    .lock_file = posix_lock_file,
    .thread_start = posix_thread_start,
    .thread_join = posix_thread_join,
    .thread_yield = posix_thread_yield,
    .cpu_count = posix_cpu_count,
    .mutex_init = posix_mutex_init,
    .mutex_fini = posix_mutex_fini,
    .mutex_lock = posix_mutex_lock,
    .mutex_unlock = posix_mutex_unlock,
    .cond_init = posix_cond_init,
    .cond_fini = posix_cond_fini,
    .cond_wait = posix_cond_wait,
    .cond_wake = posix_cond_wake,
    .word_wait = posix_word_wait,
    .word_wake = posix_word_wake,
    .loop_new = posix_loop_new,
    .loop_free = posix_loop_free,
    .loop_run_once = posix_loop_run_once,
    .loop_wake = posix_loop_wake,
    .event_new = posix_event_new,
    .event_arm = posix_event_arm,
    .event_free = posix_event_free,
    .timer_new = posix_timer_new,
    .timer_arm = posix_timer_arm,
    .timer_disarm = posix_timer_disarm,
    .listen = posix_listen,
    .accept = posix_accept,
    .connect = posix_connect,
    .connect_result = posix_connect_result,
    .recv = posix_recv,
    .sendv = posix_sendv,
    .sock_close = posix_sock_close,
    .sock_name = posix_sock_name,
    .sock_is_loopback = posix_sock_is_loopback,
};

struct env *
env_posix_new(void)
{
    struct env *env = xcalloc(1, sizeof *env);

    env->ops = &posix_ops;
    env->stacks = stack_pool_new();
    if (task_self()->env == NULL)
        task_self()->env = env;
    return env;
}
