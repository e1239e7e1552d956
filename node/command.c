/* SPDX-License-Identifier: Apache-2.0 */
#include "node/command.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backup/backup.h"
#include "conf/conf.h"
#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/lsm/manifest.h"
#include "engine/lsm/segment.h"
#include "engine/redo/redo.h"
#include "node/command_call.h"
#include "node/node.h"

enum {
    PATH_SIZE = 512,
    START_WAIT_MS = 60000,
    STOP_WAIT_MS = 120000,
    POLL_US = 20000,
    ROLE_WAIT_MS = 5000
};

/* ---- words
 * --------------------------------------------------------------------------------------- */

int
command_parse(int argc, char **argv, struct command_option *options, int count, const char **words,
              int word_count)
{
    int words_seen = 0;

    for (int a = 0; a < argc; a++) {
        int o = 0;

        if (strncmp(argv[a], "--", 2) != 0) {
            if (words_seen == word_count)
                return DIAG(ERR_USAGE, "\"%s\" is one word too many", argv[a]);
            words[words_seen++] = argv[a];
            continue;
        }
        while (o < count && strcmp(options[o].name, argv[a]) != 0)
            o++;
        if (o == count)
            return DIAG(ERR_USAGE, "there is no option %s", argv[a]);
        if (options[o].value != NULL && options[o].value[0] == '\0') {
            options[o].value = "yes";
            continue;
        }
        if (a + 1 == argc)
            return DIAG(ERR_USAGE, "%s needs a value", argv[a]);
        options[o].value = argv[++a];
    }
    if (words_seen < word_count)
        return DIAG(ERR_USAGE, "something is missing");
    return 0;
}

/* ---- init
 * ---------------------------------------------------------------------------------------- */

int
command_init(struct env *env, int argc, char **argv)
{
    struct command_option o[] = { { "--name", NULL }, { "--sql", NULL }, { "--guard", NULL } };
    const char *dir;
    int rc = command_parse(argc, argv, o, 3, &dir, 1);

    if (rc == 0 && o[0].value == NULL)
        rc = DIAG(ERR_USAGE, "--name is missing: what is this member to be called?");
    for (int i = 1; i < 3 && rc == 0; i++)
        if (o[i].value != NULL && !conf_is_address(o[i].value))
            rc = DIAG(ERR_USAGE, "%s wants HOST:PORT, not \"%s\"", o[i].name, o[i].value);
    if (rc == 0)
        rc = node_init(env, dir, o[0].value, o[1].value, o[2].value);
    if (rc == 0)
        printf("Made %s. Start it with: redoubt start %s\n", dir, dir);
    return rc;
}

/* ---- start and stop
 * -------------------------------------------------------------------------------- */

static void
pid_path(const char *dir, char out[PATH_SIZE])
{
    snprintf(out, PATH_SIZE, "%s/redoubtd.pid", dir);
}

/* 0 when nothing runs there: the lock on the data directory tells, not the file with the number. */
static int
running_pid(struct env *env, const char *dir, pid_t *pid)
{
    char path[PATH_SIZE], text[32] = "";
    struct env_file *f;
    size_t got;
    int rc;

    *pid = 0;
    snprintf(path, sizeof path, "%s/lock", dir);
    if (!env_is_dir(env, dir))
        return DIAG(ERR_NO_FILE, "there is no data directory %s", dir);
    rc = env_lock_file(env, path, &f);
    if (rc == 0) {
        env_close(f);
        return 0;
    }
    if (rc != ERR_OBJECT_IN_USE)
        return rc;
    pid_path(dir, path);
    rc = env_open(env, path, ENV_READ, &f);
    if (rc != 0)
        return DIAG(ERR_OBJECT_IN_USE, "%s is in use by a program that redoubt did not start", dir);
    rc = env_pread(f, text, sizeof text - 1, 0, &got);
    env_close(f);
    *pid = (pid_t)strtol(text, NULL, 10);
    return rc;
}

static int
write_pid(struct env *env, const char *dir, pid_t pid)
{
    char path[PATH_SIZE], text[32];
    struct env_file *f;
    int rc;

    pid_path(dir, path);
    rc = env_open(env, path, ENV_WRITE | ENV_CREATE | ENV_TRUNCATE, &f);
    if (rc != 0)
        return rc;
    snprintf(text, sizeof text, "%d\n", (int)pid);
    rc = env_pwrite(f, text, strlen(text), 0);
    env_close(f);
    return rc;
}

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
    return 0;
}

static pid_t
spawn(const char *program, const char *dir)
{
    char log[PATH_SIZE];
    pid_t pid = fork();
    int fd;

    if (pid != 0)
        return pid;
    snprintf(log, sizeof log, "%s/redoubtd.log", dir);
    setsid();
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

/* Whether the SQL port takes connections. */
static bool
serves(struct env *env, const char *address)
{
    struct env_loop *l = env_loop_new(env);
    struct env_sock *s;
    bool ok = false;

    if (env_connect(env, address, &s) == 0) {
        for (int i = 0; i < 10 && !ok; i++) {
            int rc = env_connect_result(s);

            ok = rc == 0;
            if (rc != ERR_AGAIN)
                break;
            env_sleep_us(env, 1000);
        }
        env_sock_close(s);
    }
    env_loop_free(l);
    diag_clear();
    return ok;
}

/* Waits a moment for the node to open or to follow; says what it waits for if it does not. */
static void
wait_role(struct env *env, const char *dir, const char *guard)
{
    static const char *const words[] = { "report" };
    char key[PATH_SIZE], state[64] = "", follow[64] = "", waits[128] = "";
    struct call c;

    snprintf(key, sizeof key, "%s/cluster.key", dir);
    if (call_open(env, guard, key, &c) != 0)
        return;
    for (int ms = 0; ms < ROLE_WAIT_MS; ms += POLL_US / 1000) {
        struct writer text;

        wr_init(&text, 0);
        if (call_run(&c, c.at, words, 1, &text) == 0) {
            call_value((char *)text.data, "state", state, sizeof state);
            call_value((char *)text.data, "follow", follow, sizeof follow);
            call_value((char *)text.data, "waits", waits, sizeof waits);
        }
        wr_fini(&text);
        if (strcmp(state, "open") == 0 || strcmp(follow, "live") == 0)
            return;
        env_sleep_us(env, POLL_US);
    }
    diag_clear();
    if (state[0] == '\0')
        printf("It does not answer at %s yet.\n", guard);
    else
        printf("It is %s and waits for %s.\n", state, waits[0] != '\0' ? waits : "its role");
}

static int
wait_serving(struct env *env, const char *dir, pid_t pid)
{
    char path[PATH_SIZE];
    struct conf *c;
    int status, rc;

    snprintf(path, sizeof path, "%s/redoubt.yaml", dir);
    rc = conf_load(env, path, &c);
    if (rc != 0)
        return rc;
    for (int ms = 0; ms < START_WAIT_MS; ms += POLL_US / 1000) {
        if (waitpid(pid, &status, WNOHANG) == pid) {
            rc = DIAG(ERR_CONNECT, "redoubtd ended at once");
            diag_hint("%s/redoubtd.log says why.", dir);
            break;
        }
        if (serves(env, c->sql_listen.items[0])) {
            printf("Started: SQL at %s, log in %s/redoubtd.log\n", c->sql_listen.items[0], dir);
            wait_role(env, dir, c->guard_listen.items[0]);
            conf_free(c);
            return 0;
        }
        env_sleep_us(env, POLL_US);
    }
    conf_free(c);
    return rc != 0 ? rc : DIAG(ERR_TIMEOUT, "redoubtd does not serve yet; it goes on starting");
}

int
command_start(struct env *env, int argc, char **argv)
{
    char program[PATH_SIZE], full[PATH_MAX];
    const char *dir;
    pid_t pid;
    int rc = command_parse(argc, argv, NULL, 0, &dir, 1);

    if (rc == 0)
        rc = running_pid(env, dir, &pid);
    if (rc == 0 && pid != 0)
        rc = DIAG(ERR_OBJECT_IN_USE, "%s runs already, as process %d", dir, (int)pid);
    if (rc == 0)
        rc = daemon_path(program);
    if (rc == 0 && realpath(dir, full) == NULL)
        rc = DIAG(ERR_NO_FILE, "there is no data directory %s", dir);
    if (rc != 0)
        return rc;
    pid = spawn(program, full);
    if (pid < 0)
        return DIAG(ERR_IO, "cannot start a process: %s", strerror(errno));
    rc = write_pid(env, full, pid);
    return rc != 0 ? rc : wait_serving(env, full, pid);
}

int
command_stop(struct env *env, int argc, char **argv)
{
    const char *dir;
    pid_t pid = 0;
    int rc = command_parse(argc, argv, NULL, 0, &dir, 1);

    if (rc == 0)
        rc = running_pid(env, dir, &pid);
    if (rc == 0 && pid == 0) {
        printf("%s does not run.\n", dir);
        return 0;
    }
    if (rc == 0 && kill(pid, SIGTERM) != 0)
        rc = DIAG(ERR_IO, "cannot signal process %d: %s", (int)pid, strerror(errno));
    for (int ms = 0; rc == 0 && ms < STOP_WAIT_MS; ms += POLL_US / 1000) {
        rc = running_pid(env, dir, &pid);
        if (rc == 0 && pid == 0) {
            printf("Stopped.\n");
            return 0;
        }
        env_sleep_us(env, POLL_US);
    }
    return rc != 0 ? rc : DIAG(ERR_TIMEOUT, "process %d has not ended yet", (int)pid);
}

/* ---- dump
 * ---------------------------------------------------------------------------------------- */

static void
print_line(void *arg, const char *line)
{
    (void)arg;
    puts(line);
}

/* A backup's description is words already; a damaged one is not shown as if it were whole. */
static int
command_dump_text(struct env *env, const char *path)
{
    char dir[PATH_SIZE];
    struct backup b;
    struct writer w;
    int rc;

    snprintf(dir, sizeof dir, "%.*s", (int)(strlen(path) - strlen(BACKUP_NAME)), path);
    rc = backup_read(env, dir[0] != '\0' ? dir : ".", &b);
    wr_init(&w, 0);
    if (rc == 0) {
        backup_encode(&w, &b);
        fwrite(w.data, 1, w.size, stdout);
    }
    wr_fini(&w);
    backup_fini(&b);
    return rc;
}

int
command_dump(struct env *env, int argc, char **argv)
{
    const char *path, *name;
    int rc = command_parse(argc, argv, NULL, 0, &path, 1);

    if (rc != 0)
        return rc;
    name = strrchr(path, '/');
    name = name != NULL ? name + 1 : path;
    if (strcmp(name, "backup") == 0)
        return command_dump_text(env, path);
    if (strncmp(name, "manifest", 8) == 0)
        return manifest_dump(env, path, print_line, NULL);
    if (strstr(name, ".seg") != NULL)
        return segment_dump(env, path, true, print_line, NULL);
    return redo_dump_file(env, path, true, print_line, NULL);
}
