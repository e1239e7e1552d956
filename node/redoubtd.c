/* redoubtd DIR: one node, in the foreground. SIGTERM or SIGINT ends it cleanly.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/base/env.h"
#include "node/command_call.h"
#include "node/node.h"

enum { PATH_SIZE = 512, REOPEN_STEP_US = 20000 };
static const uint64_t REOPEN_WAIT_NS = 5000000000;

static int
usage(FILE *to, int status)
{
    fputs("Usage: redoubtd DIR\n"
          "Runs the node whose data directory is DIR, in the foreground. SIGTERM ends it cleanly.\n"
          "Make a directory with: redoubt init DIR --name A\n"
          "Example: redoubtd /var/lib/redoubt/a\n",
          to);
    return status;
}

/* As many open files as the system lets us have: a connection is one. */
static void
raise_file_limit(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &l);
    }
}

/* A thread that becomes ready waits until the one on its core parks, rather than take the core at
 * once: what it then seals, sends or acknowledges serves several transactions. Where cores are idle
 * this changes nothing. All threads inherit it; other than the ordinary policy is left as it is. */
static void
prefer_groups(void)
{
    const struct sched_param p = { 0 };

    if (sched_getscheduler(0) == SCHED_OTHER)
        (void)sched_setscheduler(0, SCHED_BATCH, &p);
}

/* Frames and blocks come and go by the thousand: the allocator keeps what it has for the next one
 * instead of asking the system each time. Above two megabytes memory is mapped anyway (mem.h). */
static void
tune_allocator(void)
{
    mallopt(M_MMAP_THRESHOLD, 2 << 20);
    mallopt(M_TRIM_THRESHOLD, 16 << 20);
    mallopt(M_TOP_PAD, 512 << 10);
}

/* `redoubt start` listens: how far recovery is. */
static void
notify_progress(void *arg, uint64_t bytes, uint64_t total)
{
    const char *number = getenv("REDOUBT_NOTIFY_FD");
    int fd = number != NULL ? atoi(number) : -1;

    (void)arg;
    if (fd >= 3)
        dprintf(fd, "recovering %" PRIu64 " %" PRIu64 "\n", bytes, total);
}

/* And in the end: "ready", or why not. Once. */
static void
notify(const char *message, const char *detail, const char *hint)
{
    const char *number = getenv("REDOUBT_NOTIFY_FD");
    int fd = number != NULL ? atoi(number) : -1;

    if (fd < 3)
        return;
    dprintf(fd, "%s\n%s\n%s\n", message, detail, hint);
    close(fd); /* banned-ok: the launcher's pipe */
    unsetenv("REDOUBT_NOTIFY_FD");
}

static void
print_error(const char *what)
{
    const struct diag *d = diag_last();

    notify(d->message, d->detail, d->hint);

    fprintf(stderr, "redoubtd: %s: %s (%s)\n", what, d->message, err_sqlstate(d->code));
    if (d->detail[0] != '\0')
        fprintf(stderr, "  %s\n", d->detail);
    if (d->hint[0] != '\0')
        fprintf(stderr, "  Hint: %s\n", d->hint);
}

static int
check_key(const char *dir)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof path, "%s/cluster.key", dir);
    return call_check_key(path);
}

/* For `redoubt stop`. Without it the node works all the same. The file stays open: that it is this
 * process's tells whose number stands there. */
static struct env_file *
write_pid(struct env *env, const char *dir)
{
    char path[PATH_SIZE], text[32];
    struct env_file *f;

    snprintf(path, sizeof path, "%s/redoubtd.pid", dir);
    if (env_open(env, path, ENV_WRITE | ENV_CREATE | ENV_TRUNCATE, &f) != 0) {
        diag_clear();
        return NULL;
    }
    snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (env_pwrite(f, text, strlen(text), 0) != 0)
        diag_clear();
    return f;
}

/* Before the lock is given up: behind that, the file may be the next one's. */
static void
remove_pid(struct env *env, const char *dir)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof path, "%s/redoubtd.pid", dir);
    if (env_unlink(env, path) != 0)
        diag_clear();
}

/* Who looks whether one runs here (`redoubt start`, `redoubt stop`) has the lock for a moment. */
static int
open_again(struct env *env, const char *dir, struct node **node)
{
    uint64_t until = env_boot_ns(env) + REOPEN_WAIT_NS;
    int rc;

    while ((rc = node_open(env, dir, NULL, node)) == ERR_OBJECT_IN_USE && env_boot_ns(env) < until)
        env_sleep_us(env, REOPEN_STEP_US);
    return rc;
}

/* Until a signal ends it. A node that has taken a base copy over itself is opened anew. */
static int
serve(struct env *env, const char *dir, struct node *node, const sigset_t *set)
{
    const struct timespec look = { .tv_nsec = 200000000 };

    for (;;) {
        int caught = sigtimedwait(set, NULL, &look), rc;

        if (caught > 0)
            remove_pid(env, dir);
        if (caught > 0 || node_wants_reopen(node)) {
            node_close(node);
            if (caught > 0)
                return 0;
            rc = open_again(env, dir, &node);
            if (rc != 0) {
                print_error("cannot start again");
                return rc;
            }
        }
    }
}

int
main(int argc, char **argv)
{
    const struct node_options options = { .progress = notify_progress };
    struct env_file *pid;
    struct env *env;
    struct node *node;
    sigset_t set;
    int rc;

    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return usage(stdout, 0);
    if (argc != 2 || argv[1][0] == '-')
        return usage(stderr, 2);
    /* Before any thread is started: all of them inherit the mask, this one takes the signals. */
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    raise_file_limit();
    tune_allocator();
    prefer_groups();
    env = env_posix_new();
    rc = check_key(argv[1]);
    if (rc == 0)
        rc = node_open(env, argv[1], &options, &node);
    if (rc != 0) {
        print_error("cannot start");
        env_free(env);
        return 1;
    }
    pid = write_pid(env, argv[1]);
    notify("ready", "", "");
    rc = serve(env, argv[1], node, &set);
    if (pid != NULL)
        env_close(pid);
    env_free(env);
    return rc == 0 ? 0 : 1;
}
