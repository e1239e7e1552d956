/* The real world behind the seam.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/base/task.h"

static struct env *env;
static char dir[64];

static void
setup(void)
{
    env = env_posix_new();
    snprintf(dir, sizeof dir, "/tmp/redoubt-test-XXXXXX");
    ck_assert(mkdtemp(dir) != NULL);
}

static int
remove_name(void *arg, const char *name)
{
    char path[400];

    snprintf(path, sizeof path, "%s/%s", (const char *)arg, name);
    return env_is_dir(env, path) ? env_rmdir(env, path) : env_unlink(env, path);
}

static void
teardown(void)
{
    ck_assert_int_eq(env_list_dir(env, dir, remove_name, dir), 0);
    ck_assert_int_eq(env_rmdir(env, dir), 0);
    env_free(env);
}

static const char *
in_dir(const char *name)
{
    static char path[4][400];
    static int next;
    char *p = path[next++ % 4];

    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

/* ---- files --------------------------------------------------------------------------------- */

START_TEST(test_time_and_random)
{
    uint64_t a = env_boot_ns(env), b = env_boot_ns(env);

    ck_assert_uint_le(a, b);
    ck_assert_uint_gt(env_wall_us(env), 1600000000000000u);
    ck_assert_uint_ne(env_random_u64(env), env_random_u64(env));
    ck_assert_int_ge(env_cpu_count(env), 1);
    ck_assert_ptr_eq(env_self(), env);
}
END_TEST

START_TEST(test_files)
{
    struct env_file *f, *g;
    struct iovec v[3] = { { "abc", 3 }, { "", 0 }, { "defgh", 5 } };
    char buf[32];
    size_t got;
    uint64_t size;

    ck_assert_int_eq(env_open(env, in_dir("none"), ENV_READ, &f), ERR_NO_FILE);
    ck_assert(strstr(diag_last()->message, "none") != NULL);
    ck_assert_str_eq(err_sqlstate(diag_last()->code), "58P01");
    ck_assert_int_eq(env_open(env, in_dir("f"), ENV_READ | ENV_WRITE | ENV_CREATE, &f), 0);
    ck_assert_int_eq(
        env_open(env, in_dir("f"), ENV_READ | ENV_WRITE | ENV_CREATE | ENV_EXCLUSIVE, &g),
        ERR_FILE_EXISTS);
    ck_assert_str_eq(env_file_path(f), in_dir("f"));
    ck_assert_int_eq(env_pwritev(f, v, 3, 10), 0);
    ck_assert_int_eq(env_sync(f), 0);
    ck_assert_int_eq(env_size(f, &size), 0);
    ck_assert_uint_eq(size, 18);
    ck_assert_int_eq(env_pread(f, buf, sizeof buf, 8, &got), 0);
    ck_assert_uint_eq(got, 10);
    ck_assert(memcmp(buf, "\0\0abcdefgh", 10) == 0);
    ck_assert_int_eq(env_pread(f, buf, sizeof buf, 100, &got), 0);
    ck_assert_uint_eq(got, 0);
    ck_assert_int_eq(env_allocate(f, 100000), 0);
    ck_assert_int_eq(env_size(f, &size), 0);
    ck_assert_uint_eq(size, 100000);
    ck_assert_int_eq(env_pread(f, buf, 4, 99990, &got), 0);
    ck_assert(got == 4 && memcmp(buf, "\0\0\0\0", 4) == 0);
    ck_assert_int_eq(env_truncate(f, 12), 0);
    env_close(f);
    env_close(NULL);
    ck_assert_int_eq(env_open(env, in_dir("f"), ENV_READ, &f), 0);
    ck_assert_int_eq(env_pwrite(f, "x", 1, 0), ERR_IO);
    env_close(f);
}
END_TEST

START_TEST(test_direct_writes)
{
    struct env_file *f;
    uint8_t *page = xaligned(ENV_ALIGN, 2 * ENV_ALIGN);
    size_t got;

    memset(page, 0x5a, 2 * ENV_ALIGN);
    ck_assert_int_eq(
        env_open(env, in_dir("redo"),
                 ENV_READ | ENV_WRITE | ENV_CREATE | ENV_DIRECT | ENV_DSYNC | ENV_MODE_PRIVATE, &f),
        0);
    ck_assert_int_eq(env_pwrite(f, page, 2 * ENV_ALIGN, ENV_ALIGN), 0);
    memset(page, 0, 2 * ENV_ALIGN);
    ck_assert_int_eq(env_pread(f, page, ENV_ALIGN, 2 * ENV_ALIGN, &got), 0);
    ck_assert_uint_eq(got, ENV_ALIGN);
    ck_assert(page[0] == 0x5a && page[ENV_ALIGN - 1] == 0x5a);
    env_close(f);
    xfree_aligned(page);
}
END_TEST

static int
collect_name(void *arg, const char *name)
{
    char *all = arg;

    snprintf(all + strlen(all), 100 - strlen(all), "%s ", name);
    return strcmp(name, "stop") == 0 ? ERR_END : 0;
}

static void
touch(const char *name)
{
    struct env_file *f;

    ck_assert_int_eq(env_open(env, in_dir(name), ENV_WRITE | ENV_CREATE, &f), 0);
    env_close(f);
}

START_TEST(test_names)
{
    char all[100] = "";
    uint64_t bytes;

    touch("b");
    touch("a");
    touch("B");
    ck_assert_int_eq(env_mkdir(env, in_dir("d")), 0);
    ck_assert_int_eq(env_mkdir(env, in_dir("d")), ERR_FILE_EXISTS);
    ck_assert(env_is_dir(env, in_dir("d")) && !env_is_dir(env, in_dir("a")));
    ck_assert_int_eq(env_list_dir(env, dir, collect_name, all), 0);
    ck_assert_str_eq(all, "B a b d ");
    ck_assert_int_eq(env_rename(env, in_dir("a"), in_dir("b")), 0);
    ck_assert(!env_exists(env, in_dir("a")) && env_exists(env, in_dir("b")));
    ck_assert_int_eq(env_link(env, in_dir("b"), in_dir("stop")), 0);
    ck_assert_int_eq(env_link(env, in_dir("b"), in_dir("stop")), ERR_FILE_EXISTS);
    ck_assert_int_eq(env_list_dir(env, dir, collect_name, all), ERR_END);
    ck_assert_int_eq(env_unlink(env, in_dir("a")), ERR_NO_FILE);
    ck_assert_int_eq(env_sync_dir(env, dir), 0);
    ck_assert_int_eq(env_sync_dir(env, in_dir("zz")), ERR_NO_FILE);
    ck_assert_int_eq(env_disk_free(env, dir, &bytes), 0);
    ck_assert_uint_gt(bytes, 0);
    ck_assert_int_eq(symlink("b", in_dir("link")), 0);
}
END_TEST

/* A folder of ours may stand in one that we may not look into. */
START_TEST(test_made_folders)
{
    char path[100];

    snprintf(path, sizeof path, "%s/m//d/", dir);
    ck_assert_int_eq(env_make_dir(env, path), 0);
    ck_assert(env_is_dir(env, path));
    ck_assert_int_eq(chmod(in_dir("m"), 0300), 0);
    ck_assert_int_eq(env_make_dir(env, path), 0);
    ck_assert_int_eq(env_make_dir(env, "/"), 0);
    ck_assert_int_eq(env_make_dir(env, "."), 0);
    touch("a");
    ck_assert_int_eq(env_make_dir(env, in_dir("a/b")), ERR_FILE_EXISTS);
    ck_assert_int_eq(env_rmdir(env, path), 0);
}
END_TEST

START_TEST(test_symbolic_links_are_not_followed_when_creating)
{
    struct env_file *f;

    ck_assert_int_eq(symlink("/tmp/redoubt-must-not-appear", in_dir("link")), 0);
    ck_assert_int_eq(env_open(env, in_dir("link"), ENV_WRITE | ENV_CREATE, &f), ERR_IO);
    ck_assert(!env_exists(env, "/tmp/redoubt-must-not-appear"));
}
END_TEST

START_TEST(test_lock_files_exclude)
{
    struct env_file *f, *g;

    ck_assert_int_eq(env_lock_file(env, in_dir("lock"), &f), 0);
    ck_assert_int_eq(env_lock_file(env, in_dir("lock"), &g), ERR_OBJECT_IN_USE);
    env_close(f);
    ck_assert_int_eq(env_lock_file(env, in_dir("lock"), &g), 0);
    env_close(g);
}
END_TEST

/* ---- threads ------------------------------------------------------------------------------- */

struct counter {
    struct env_mutex lock;
    struct env_cond changed;
    int count;
};

static void
count_thread(void *arg)
{
    struct counter *c = arg;

    ck_assert_ptr_eq(env_self(), env);
    for (int i = 0; i < 1000; i++) {
        env_mutex_lock(&c->lock);
        c->count++;
        env_mutex_unlock(&c->lock);
    }
    env_cond_signal(&c->changed);
    (void)DIAG(ERR_IO, "each thread has its own");
}

START_TEST(test_threads_and_locks)
{
    struct counter c = { 0 };
    struct env_thread *t[4];

    env_mutex_init(env, &c.lock);
    env_cond_init(env, &c.changed);
    for (int i = 0; i < 4; i++)
        t[i] = env_thread_start(env, "counter with a long name", count_thread, &c);
    env_mutex_lock(&c.lock);
    while (c.count < 4000)
        env_cond_wait_us(&c.changed, &c.lock, 10000);
    ck_assert(!env_cond_wait_us(&c.changed, &c.lock, 1000) || c.count == 4000);
    env_mutex_unlock(&c.lock);
    for (int i = 0; i < 4; i++)
        env_thread_join(t[i]);
    ck_assert_int_eq(c.count, 4000);
    ck_assert_uint_eq(task_self()->mutexes_held, 0);
    env_cond_fini(&c.changed);
    env_mutex_fini(&c.lock);
}
END_TEST

/* ---- loops and sockets --------------------------------------------------------------------- */

struct fired {
    struct env_event *event;
    int count, what;
};

static void
fire_cb(void *arg, int what)
{
    struct fired *f = arg;

    f->count++;
    f->what = what;
}

static void
waker_thread(void *arg)
{
    env_loop_wake(arg);
}

START_TEST(test_loop_wakes_and_times)
{
    struct env_loop *l = env_loop_new(env);
    struct fired timer = { 0 }, never = { 0 };
    struct env_thread *t;

    timer.event = env_timer_new(l, fire_cb, &timer);
    never.event = env_timer_new(l, fire_cb, &never);
    env_loop_run_once(l, 0);
    env_timer_arm(timer.event, 60000000);
    env_timer_arm(timer.event, 1000);
    env_timer_arm(never.event, 1000);
    env_timer_disarm(never.event);
    while (timer.count == 0)
        env_loop_run_once(l, -1);
    ck_assert_int_eq(timer.count, 1);
    ck_assert_int_eq(never.count, 0);
    t = env_thread_start(env, "waker", waker_thread, l);
    env_loop_run_once(l, -1); /* ends by the wake */
    env_thread_join(t);
    env_loop_run_once(l, 1000);
    env_event_free(timer.event);
    env_event_free(never.event);
    env_loop_free(l);
}
END_TEST

static void
wait_for(struct env_loop *l, struct fired *f, int what)
{
    f->count = 0;
    env_event_arm(f->event, what);
    while (f->count == 0)
        env_loop_run_once(l, -1);
    env_event_arm(f->event, 0);
    ck_assert((f->what & what) != 0);
}

static void
talk(const char *address)
{
    struct env_loop *l = env_loop_new(env);
    struct env_sock *listener, *client, *server;
    struct fired at_listener = { 0 }, at_client = { 0 }, at_server = { 0 };
    struct iovec v[2] = { { "hel", 3 }, { "lo", 2 } };
    char bound[ENV_ADDR_MAX], peer[ENV_ADDR_MAX], buf[16];
    size_t n;

    ck_assert_int_eq(env_listen(env, address, 5, &listener), 0);
    ck_assert_int_eq(env_accept(listener, &server), ERR_AGAIN);
    env_sock_local(listener, bound);
    ck_assert_int_eq(env_connect(env, address[0] == '/' ? address : bound, &client), 0);
    at_listener.event = env_event_new(l, listener, fire_cb, &at_listener);
    at_client.event = env_event_new(l, client, fire_cb, &at_client);
    wait_for(l, &at_client, ENV_EV_WRITE);
    ck_assert_int_eq(env_connect_result(client), 0);
    wait_for(l, &at_listener, ENV_EV_READ);
    ck_assert_int_eq(env_accept(listener, &server), 0);
    at_server.event = env_event_new(l, server, fire_cb, &at_server);
    ck_assert(env_sock_is_loopback(client) && env_sock_is_loopback(server));
    env_sock_peer(client, peer);
    ck_assert_str_eq(peer, address[0] == '/' ? "local" : bound);
    ck_assert_int_eq(env_recv(server, buf, sizeof buf, &n), ERR_AGAIN);
    ck_assert_int_eq(env_sendv(client, v, 2, &n), 0);
    ck_assert_uint_eq(n, 5);
    wait_for(l, &at_server, ENV_EV_READ);
    ck_assert_int_eq(env_recv(server, buf, sizeof buf, &n), 0);
    ck_assert(n == 5 && memcmp(buf, "hello", 5) == 0);
    env_event_free(at_client.event);
    env_sock_close(client);
    wait_for(l, &at_server, ENV_EV_READ);
    ck_assert_int_eq(env_recv(server, buf, sizeof buf, &n), 0);
    ck_assert_uint_eq(n, 0);
    for (int rc = 0; rc == 0;) /* a peer that is gone is an error, not a signal */
        rc = env_sendv(server, v, 2, &n);
    env_event_free(at_listener.event);
    env_event_free(at_server.event);
    env_sock_close(server);
    env_sock_close(listener);
    env_loop_free(l);
}

START_TEST(test_sockets)
{
    struct env_sock *s, *t;
    char address[ENV_ADDR_MAX];

    talk("127.0.0.1:0");
    talk("localhost:0");
    talk(in_dir("sock"));
    ck_assert_int_eq(env_listen(env, "nonsense", 5, &s), ERR_INVALID_PARAMETER_VALUE);
    ck_assert_int_eq(env_connect(env, "[::1:5", &s), ERR_INVALID_PARAMETER_VALUE);
    ck_assert_int_eq(env_connect(env, "/nowhere/at/all", &s), ERR_CONNECT);
    ck_assert_int_eq(env_listen(env, "127.0.0.1:0", 5, &s), 0);
    env_sock_local(s, address);
    ck_assert_int_eq(env_listen(env, address, 5, &t), ERR_CONNECT);
    env_sock_close(s);
    ck_assert_int_eq(env_connect(env, address, &s), ERR_CONNECT); /* refused at once, here */
}
END_TEST

/* A socket file that a dead process left is taken over; one in use is not. */
START_TEST(test_stale_socket_files)
{
    struct env_sock *s, *t;
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        if (env_listen(env, in_dir("sock"), 5, &s) != 0)
            _exit(1);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert(env_exists(env, in_dir("sock")));
    ck_assert_int_eq(env_listen(env, in_dir("sock"), 5, &s), 0);
    ck_assert_int_eq(env_listen(env, in_dir("sock"), 5, &t), ERR_CONNECT);
    env_sock_close(s);
}
END_TEST

/* BASE-1: a panic says why on standard error and ends the process by SIGABRT. */
START_TEST(test_panic_aborts)
{
    char text[200] = "";
    int fds[2], status;
    pid_t pid;

    ck_assert_int_eq(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDERR_FILENO);
        PANIC("lost %d", 42);
    }
    close(fds[1]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(read(fds[0], text, sizeof text - 1) > 0);
    ck_assert(strstr(text, "PANIC: lost 42 (") == text);
    ck_assert(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
    close(fds[0]);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("env");
    TCase *tc = tcase_create("env");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_time_and_random);
    tcase_add_test(tc, test_files);
    tcase_add_test(tc, test_direct_writes);
    tcase_add_test(tc, test_names);
    tcase_add_test(tc, test_made_folders);
    tcase_add_test(tc, test_symbolic_links_are_not_followed_when_creating);
    tcase_add_test(tc, test_lock_files_exclude);
    tcase_add_test(tc, test_threads_and_locks);
    tcase_add_test(tc, test_loop_wakes_and_times);
    tcase_add_test(tc, test_sockets);
    tcase_add_test(tc, test_stale_socket_files);
    tcase_add_test(tc, test_panic_aborts);
    suite_add_tcase(suite, tc);
    sr = srunner_create(suite);
    srunner_set_fork_status(sr, CK_NOFORK);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
