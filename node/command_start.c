/* redoubt start and redoubt stop.
 *
 * redoubtd says over a pipe (REDOUBT_NOTIFY_FD) that it serves, or why it cannot: so the reason
 * reaches the terminal. Its number stands in DIR/redoubtd.pid while it serves.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf/conf.h"
#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "node/command_call.h"
#include "node/node.h"

enum {
    PATH_SIZE = 512,
    TEXT_SIZE = 2048,
    STOP_WAIT_MS = 120000,
    POLL_MS = 20,
    GOING_WAIT_MS = 5000,
    SHOW_AFTER_MS = 2000,
    ROLE_WAIT_MS = 5000,
    LINK_WAIT_MS = 1500,
    WHAT_SIZE = 80
};

static void
show_seconds(const char *what, int ms)
{
    if (ms >= SHOW_AFTER_MS && isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K%s, %d s ", what, ms / 1000);
}

static void
show_end(int ms)
{
    if (ms >= SHOW_AFTER_MS && isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

/* ---- who runs -----------------------------------------------------------------------------------
 */

/* A number that was left by a process that is gone may be anybody's by now: a redoubtd holds the
 * file with its own open for as long as it lives. */
struct holding {
    const char *folder; /* of its descriptors */
    struct stat file;
    bool found;
};

static int
look_at(void *arg, const char *name)
{
    struct holding *h = arg;
    char path[PATH_SIZE];
    struct stat st;

    snprintf(path, sizeof path, "%s/%s", h->folder, name);
    h->found |= stat(path, &st) == 0 && /* banned-ok: which file it is, not what is in it */
                st.st_dev == h->file.st_dev && st.st_ino == h->file.st_ino;
    return 0;
}

static bool
holds(struct env *env, pid_t pid, const char *path)
{
    char folder[64];
    struct holding h = { .folder = folder };

    snprintf(folder, sizeof folder, "/proc/%d/fd", (int)pid);
    if (stat(path, &h.file) == 0 && /* banned-ok: which file it is */
        env_list_dir(env, folder, look_at, &h) != 0)
        diag_clear(); /* it is gone, or another user's */
    return h.found;
}

/* One that has ended and that nobody has waited for is gone, too. */
static bool
is_gone(pid_t pid)
{
    char link[64], program[PATH_SIZE];

    snprintf(link, sizeof link, "/proc/%d/exe", (int)pid);
    return readlink(link, program, sizeof program) < 0 && errno == ENOENT;
}

/* 0: no redoubtd of this folder has written its number there. */
static int
read_pid(struct env *env, const char *dir, pid_t *pid)
{
    char path[PATH_SIZE], text[32] = "";
    struct env_file *f;
    size_t got;
    int rc;

    snprintf(path, sizeof path, "%s/redoubtd.pid", dir);
    *pid = 0;
    if (!env_exists(env, path))
        return 0;
    rc = env_open(env, path, ENV_READ, &f);
    if (rc == ERR_NO_FILE) { /* it went just now */
        diag_clear();
        return 0;
    }
    if (rc != 0)
        return rc;
    rc = env_pread(f, text, sizeof text - 1, 0, &got);
    env_close(f);
    *pid = (pid_t)strtol(text, NULL, 10);
    if (*pid > 0 && (is_gone(*pid) || !holds(env, *pid, path)))
        *pid = 0;
    return rc;
}

/* The lock on the data directory tells whether one runs, and for the moment in which a node is
 * opened anew the file with the number. */
static int
running(struct env *env, const char *dir, bool *runs, pid_t *pid)
{
    char path[PATH_SIZE];
    struct env_file *f;
    int rc;

    *runs = false;
    *pid = 0;
    snprintf(path, sizeof path, "%s/redoubt.yaml", dir);
    if (!env_is_dir(env, dir))
        return DIAG(ERR_NO_FILE, "there is no data directory %s", dir);
    if (!env_exists(env, path))
        return DIAG(ERR_NO_FILE, "%s is no data directory: it has no redoubt.yaml that can be read",
                    dir);
    snprintf(path, sizeof path, "%s/lock", dir);
    rc = env_lock_file(env, path, &f);
    if (rc != 0 && rc != ERR_OBJECT_IN_USE)
        return rc;
    *runs = rc != 0;
    if (rc == 0)
        env_close(f);
    diag_clear();
    rc = read_pid(env, dir, pid);
    *runs |= *pid != 0;
    return rc;
}

/* ---- start --------------------------------------------------------------------------------------
 */

/* redoubtd stands beside redoubt. */
static int
daemon_path(char out[PATH_SIZE])
{
    ssize_t n = readlink("/proc/self/exe", out, PATH_SIZE - 2);
    char *slash;

    if (n <= 0 || n >= PATH_SIZE - 2)
        return DIAG(ERR_NO_FILE, "cannot tell where redoubt lies");
    out[n] = '\0';
    slash = strrchr(out, '/');
    if (slash == NULL || (size_t)(slash - out) + sizeof "/redoubtd" > PATH_SIZE)
        return DIAG(ERR_NO_FILE, "cannot tell where redoubtd lies");
    strcpy(slash + 1, "redoubtd"); /* banned-ok: the room was checked */
    if (access(out, X_OK) != 0)
        return DIAG(ERR_NO_FILE, "%s cannot be run: %s", out, strerror(errno));
    return 0;
}

static void
child(const char *program, const char *dir, int notify)
{
    char log[PATH_SIZE], number[16];
    int fd;

    snprintf(log, sizeof log, "%s/redoubtd.log", dir);
    snprintf(number, sizeof number, "%d", notify);
    setsid();
    setenv("REDOUBT_NOTIFY_FD", number, 1);
    fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0640); /* banned-ok: the child before exec */
    if (fd >= 0) {
        dup2(fd, 1);
        dup2(fd, 2);
    }
    fd = open("/dev/null", O_RDONLY); /* banned-ok: the child before exec */
    if (fd >= 0)
        dup2(fd, 0);
    execl(program, "redoubtd", dir, (char *)NULL);
    _exit(127);
}

/* Takes whole lines of progress off the front of what it said; the last one stays in `what`. */
static size_t
take_progress(char *text, size_t size, char what[WHAT_SIZE])
{
    unsigned long long bytes, total;
    char *end;

    while (strncmp(text, "recovering ", 11) == 0 && (end = strchr(text, '\n')) != NULL) {
        if (sscanf(text, "recovering %llu %llu", &bytes, &total) == 2)
            snprintf(what, WHAT_SIZE, "recovering: %llu of %llu MiB of redo", bytes >> 20,
                     total >> 20);
        size -= (size_t)(end + 1 - text);
        memmove(text, end + 1, size + 1);
    }
    return size;
}

/* What it says until it serves or ends; "" when it ended without a word. */
static void
listen_to(int fd, char text[TEXT_SIZE])
{
    char what[WHAT_SIZE] = "starting";
    size_t size = 0;
    int ms = 0;

    for (;;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        ssize_t n;

        if (poll(&p, 1, POLL_MS) == 0) { /* banned-ok: a pipe with a child */
            ms += POLL_MS;
            show_seconds(what, ms);
            continue;
        }
        n = read(fd, text + size, TEXT_SIZE - 1 - size); /* banned-ok: a pipe with a child */
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        size += (size_t)n;
        text[size] = '\0';
        size = take_progress(text, size, what);
        if (strncmp(text, "ready\n", 6) == 0)
            break;
    }
    text[size] = '\0';
    show_end(ms);
}

/* Its words are message, detail and hint, a line each. */
static int
failed(const char *dir, const char *program, char *text)
{
    char *detail = strchr(text, '\n'), *hint = NULL;

    if (text[0] == '\0') {
        int rc = DIAG(ERR_CONNECT, "%s ended at once", program);

        diag_hint("%s/redoubtd.log may say why.", dir);
        return rc;
    }
    if (detail != NULL) {
        *detail++ = '\0';
        hint = strchr(detail, '\n');
    }
    if (hint != NULL) {
        *hint++ = '\0';
        hint[strcspn(hint, "\n")] = '\0';
    }
    (void)DIAG(ERR_CONNECT, "%s", text);
    if (detail != NULL && *detail != '\0')
        diag_detail("%s", detail);
    if (hint != NULL && *hint != '\0')
        diag_hint("%s", hint);
    return ERR_CONNECT;
}

/* Waits a moment for the node to open or to follow; says what it waits for if it does not. */
static void
wait_role(struct env *env, const char *dir, const char *guard)
{
    static const char *const words[] = { "report" };
    char state[64] = "", follow[64] = "", waits[128] = "", linked[8] = "";
    uint64_t begin = env_boot_ns(env);
    struct call c;
    int ms = 0;

    if (call_open(env, guard, dir, &c) != 0)
        return;
    for (; ms < ROLE_WAIT_MS; ms = (int)((env_boot_ns(env) - begin) / 1000000)) {
        struct writer text;

        wr_init(&text, 0);
        if (call_run(&c, c.at, words, 1, &text) == 0) {
            call_value((char *)text.data, "state", state, sizeof state);
            call_value((char *)text.data, "follow", follow, sizeof follow);
            call_value((char *)text.data, "waits", waits, sizeof waits);
            call_value((char *)text.data, "linked", linked, sizeof linked);
        }
        wr_fini(&text);
        if (strcmp(state, "open") == 0 ||
            (strcmp(follow, "live") == 0 && strcmp(linked, "1") == 0)) {
            show_end(ms);
            return;
        }
        if (strcmp(follow, "live") == 0 && ms >= LINK_WAIT_MS)
            break;
        show_seconds("waiting for its role", ms);
        env_sleep_us(env, POLL_MS * 1000);
    }
    show_end(ms);
    diag_clear();
    if (state[0] == '\0')
        printf("It does not answer yet at its guard address, %s.\n", c.at);
    else if (strcmp(follow, "live") == 0)
        printf("It is a standby, and its primary cannot be reached.\n");
    else
        printf("It is %s and waits for %s.\n", state, waits[0] != '\0' ? waits : "its role");
}

static int
started(struct env *env, const char *dir)
{
    char path[PATH_SIZE];
    struct conf *c;
    int rc;

    snprintf(path, sizeof path, "%s/redoubt.yaml", dir);
    rc = conf_load(env, path, &c);
    if (rc != 0)
        return rc;
    printf("Started: SQL at %s, log in %s/redoubtd.log\n", c->sql_listen.items[0], dir);
    wait_role(env, dir, c->guard_listen.items[0]);
    conf_free(c);
    return 0;
}

static int
start(struct env *env, const char *dir)
{
    char program[PATH_SIZE], text[TEXT_SIZE];
    int fds[2], rc = daemon_path(program);
    pid_t pid;

    if (rc != 0)
        return rc;
    if (pipe(fds) != 0)
        return DIAG(ERR_IO, "cannot make a pipe: %s", strerror(errno));
    pid = fork();
    if (pid == 0) {
        close(fds[0]); /* banned-ok: a pipe with a child */
        child(program, dir, fds[1]);
    }
    close(fds[1]); /* banned-ok: a pipe with a child */
    if (pid < 0) {
        close(fds[0]); /* banned-ok: a pipe with a child */
        return DIAG(ERR_IO, "cannot start a process: %s", strerror(errno));
    }
    listen_to(fds[0], text);
    close(fds[0]); /* banned-ok: a pipe with a child */
    return strncmp(text, "ready\n", 6) == 0 ? started(env, dir) : failed(dir, program, text);
}

/* One that was told to end, or killed, a moment ago still has its lock when its number is gone. */
static int
running_or_going(struct env *env, const char *dir, bool *runs, pid_t *pid)
{
    int rc = running(env, dir, runs, pid);

    for (int ms = 0; rc == 0 && *runs && *pid == 0 && ms < GOING_WAIT_MS; ms += POLL_MS) {
        env_sleep_us(env, POLL_MS * 1000);
        rc = running(env, dir, runs, pid);
    }
    return rc;
}

int
command_start(struct env *env, int argc, char **argv)
{
    char full[PATH_MAX];
    const char *dir;
    bool runs = false;
    pid_t pid = 0;
    int rc = command_parse(argc, argv, NULL, 0, &dir, 1);

    if (rc == 0)
        rc = running_or_going(env, dir, &runs, &pid);
    if (rc == 0 && runs)
        rc = pid != 0 ? DIAG(ERR_OBJECT_IN_USE, "%s runs already, as process %d", dir, (int)pid)
                      : DIAG(ERR_OBJECT_IN_USE, "%s is in use: a redoubtd is starting there", dir);
    if (rc == 0 && realpath(dir, full) == NULL)
        rc = DIAG(ERR_NO_FILE, "there is no data directory %s", dir);
    return rc == 0 ? start(env, full) : rc;
}

/* ---- stop ---------------------------------------------------------------------------------------
 */

static int
wait_end(struct env *env, pid_t pid)
{
    int ms = 0, rc = 0;

    for (; !is_gone(pid) && ms < STOP_WAIT_MS; ms += POLL_MS) {
        env_sleep_us(env, POLL_MS * 1000);
        show_seconds("stopping", ms);
    }
    show_end(ms);
    if (!is_gone(pid)) {
        rc =
            DIAG(ERR_TIMEOUT, "process %d has not ended after %d s", (int)pid, STOP_WAIT_MS / 1000);
        diag_hint("It may be ending still; if it hangs, kill -9 %d ends it, and nothing that was "
                  "acknowledged is lost.",
                  (int)pid);
    }
    return rc;
}

int
command_stop(struct env *env, int argc, char **argv)
{
    const char *dir;
    bool runs = false;
    pid_t pid = 0;
    int rc = command_parse(argc, argv, NULL, 0, &dir, 1);

    if (rc == 0)
        rc = running_or_going(env, dir, &runs, &pid);
    if (rc == 0 && !runs) {
        printf("%s does not run.\n", dir);
        return 0;
    }
    if (rc == 0 && pid == 0) {
        rc = DIAG(ERR_OBJECT_IN_USE, "%s is in use, but its process is not known", dir);
        diag_hint("A redoubtd that is starting can be stopped once it serves; one that is ending "
                  "needs no more than time.");
    }
    if (rc == 0 && kill(pid, SIGTERM) != 0)
        rc = DIAG(ERR_IO, "cannot signal process %d: %s", (int)pid, strerror(errno));
    if (rc == 0)
        rc = wait_end(env, pid);
    if (rc == 0)
        printf("Stopped.\n");
    return rc;
}
