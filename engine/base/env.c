/* The seam's public functions: each calls through its env's table.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/env_int.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define OPS_OF(object) (((const struct env_object_head *)(const void *)(object))->env->ops)

struct env *
env_self(void)
{
    struct env *env = task_self()->env;

    CHECK(env != NULL);
    return env;
}

void
env_free(struct env *env)
{
    if (task_self()->env == env)
        task_self()->env = NULL;
    env->ops->free(env);
}

/* ---- for the implementations --------------------------------------------------------------- */

int
env_fail(int os_errno, const char *doing, const char *path)
{
    char text[128];
    const char *why = strerror_r(os_errno, text, sizeof text);

    errno = os_errno;
    switch (os_errno) {
    case ENOENT:
    case ENOTDIR:
        return DIAG(ERR_NO_FILE, "could not %s \"%s\": %s", doing, path, why);
    case EEXIST:
        return DIAG(ERR_FILE_EXISTS, "could not %s \"%s\": %s", doing, path, why);
    case ENOSPC:
    case EDQUOT:
        return DIAG(ERR_DISK_FULL, "could not %s \"%s\": %s", doing, path, why);
    default:
        return DIAG(ERR_IO, "could not %s \"%s\": %s", doing, path, why);
    }
}

bool
env_split_address(const char *address, char host[ENV_ADDR_MAX], char port[16])
{
    const char *colon = strrchr(address, ':');
    const char *from = address;
    size_t n;

    if (colon == NULL || colon[1] == '\0' || strlen(colon + 1) >= 16)
        return false;
    n = (size_t)(colon - address);
    if (address[0] == '[') {
        if (n < 2 || address[n - 1] != ']')
            return false;
        from++;
        n -= 2;
    } else if (memchr(address, ':', n) != NULL) {
        return false;
    }
    if (n >= ENV_ADDR_MAX)
        return false;
    memcpy(host, from, n);
    host[n] = '\0';
    if (strcmp(host, "*") == 0)
        host[0] = '\0';
    snprintf(port, 16, "%s", colon + 1);
    return true;
}

/* ---- time and randomness ------------------------------------------------------------------- */

uint64_t
env_wall_us(struct env *env)
{
    return env->ops->wall_us(env);
}

uint64_t
env_boot_ns(struct env *env)
{
    return env->ops->boot_ns(env);
}

void
env_sleep_us(struct env *env, uint64_t us)
{
    env->ops->sleep_us(env, us);
}

void
env_random(struct env *env, void *out, size_t size)
{
    env->ops->random(env, out, size);
}

uint64_t
env_random_u64(struct env *env)
{
    uint64_t v;

    env->ops->random(env, &v, sizeof v);
    return v;
}

void
env_panic(struct env *env, const char *file, int line, const char *what)
{
    env->ops->panic(env, file, line, what);
    __builtin_trap();
}

void
env_log_write(struct env *env, const void *data, size_t size)
{
    env->ops->log_write(env, data, size);
}

/* ---- files --------------------------------------------------------------------------------- */

int
env_open(struct env *env, const char *path, int flags, struct env_file **out)
{
    CHECK((flags & (ENV_READ | ENV_WRITE)) != 0);
    return env->ops->open(env, path, flags, out);
}

void
env_close(struct env_file *f)
{
    if (f != NULL)
        OPS_OF(f)->close(f);
}

int
env_pread(struct env_file *f, void *buf, size_t size, uint64_t offset, size_t *got)
{
    return OPS_OF(f)->pread(f, buf, size, offset, got);
}

int
env_pwrite(struct env_file *f, const void *buf, size_t size, uint64_t offset)
{
    union {
        const void *in;
        void *base;
    } data = { .in = buf };
    struct iovec v = { .iov_base = data.base, .iov_len = size };

    return OPS_OF(f)->pwritev(f, &v, 1, offset);
}

int
env_pwritev(struct env_file *f, const struct iovec *v, int count, uint64_t offset)
{
    return OPS_OF(f)->pwritev(f, v, count, offset);
}

int
env_sync(struct env_file *f)
{
    return OPS_OF(f)->sync(f);
}

int
env_truncate(struct env_file *f, uint64_t size)
{
    return OPS_OF(f)->truncate(f, size);
}

int
env_allocate(struct env_file *f, uint64_t size)
{
    return OPS_OF(f)->allocate(f, size);
}

int
env_size(struct env_file *f, uint64_t *size)
{
    return OPS_OF(f)->size(f, size);
}

const char *
env_file_path(const struct env_file *f)
{
    return ((const struct env_file_head *)(const void *)f)->path;
}

int
env_rename(struct env *env, const char *from, const char *to)
{
    return env->ops->rename(env, from, to);
}

int
env_unlink(struct env *env, const char *path)
{
    return env->ops->unlink(env, path);
}

int
env_rmdir(struct env *env, const char *path)
{
    return env->ops->rmdir(env, path);
}

int
env_mkdir(struct env *env, const char *path)
{
    return env->ops->mkdir(env, path);
}

/* A folder that was there may be one whose name an earlier life did not make durable. Where one may
 * not look into the folder above, it was made by somebody who may. */
MUST_CHECK
static int
make_dir_in(struct env *env, const char *path, const char *parent)
{
    bool is_there = env_is_dir(env, path);
    int rc = is_there ? 0 : env_mkdir(env, path);

    if (rc != 0)
        return rc;
    rc = env_sync_dir(env, parent);
    if (rc != 0 && is_there && diag_last()->os_errno == EACCES) {
        diag_clear();
        rc = 0;
    }
    return rc;
}

int
env_make_dir(struct env *env, const char *path)
{
    char dir[512], parent[512];
    size_t end = 0;
    int rc = 0;

    if (strlen(path) >= sizeof dir)
        return DIAG(ERR_NAME_TOO_LONG, "%s: path too long", path);
    snprintf(parent, sizeof parent, "%s", path[0] == '/' ? "/" : ".");
    while (rc == 0) {
        size_t start = end + strspn(path + end, "/");

        if (path[start] == '\0')
            break;
        end = start + strcspn(path + start, "/");
        snprintf(dir, sizeof dir, "%.*s", (int)end, path);
        rc = make_dir_in(env, dir, parent);
        memcpy(parent, dir, end + 1);
    }
    return rc;
}

int
env_sync_dir(struct env *env, const char *path)
{
    return env->ops->sync_dir(env, path);
}

int
env_link(struct env *env, const char *from, const char *to)
{
    return env->ops->link(env, from, to);
}

bool
env_exists(struct env *env, const char *path)
{
    bool is_dir;

    return env->ops->exists(env, path, &is_dir);
}

bool
env_is_dir(struct env *env, const char *path)
{
    bool is_dir = false;

    return env->ops->exists(env, path, &is_dir) && is_dir;
}

int
env_list_dir(struct env *env, const char *path, int (*fn)(void *arg, const char *name), void *arg)
{
    return env->ops->list_dir(env, path, fn, arg);
}

int
env_disk_free(struct env *env, const char *path, uint64_t *bytes)
{
    return env->ops->disk_free(env, path, bytes);
}

int
env_lock_file(struct env *env, const char *path, struct env_file **out)
{
    return env->ops->lock_file(env, path, out);
}

/* ---- threads and locks --------------------------------------------------------------------- */

struct env_thread *
env_thread_start(struct env *env, const char *name, void (*fn)(void *arg), void *arg)
{
    return env->ops->thread_start(env, name, fn, arg);
}

void
env_thread_join(struct env_thread *t)
{
    OPS_OF(t)->thread_join(t);
}

void
env_thread_yield(struct env *env)
{
    env->ops->thread_yield(env);
}

int
env_cpu_count(struct env *env)
{
    return env->ops->cpu_count(env);
}

void
env_mutex_init(struct env *env, struct env_mutex *m)
{
    m->env = env;
    env->ops->mutex_init(m);
}

void
env_mutex_fini(struct env_mutex *m)
{
    m->env->ops->mutex_fini(m);
}

/* The task counts the mutexes that it holds, so that a park with one held is found out. */
void
env_mutex_lock(struct env_mutex *m)
{
    m->env->ops->mutex_lock(m);
    task_self()->mutexes_held++;
}

void
env_mutex_unlock(struct env_mutex *m)
{
    task_self()->mutexes_held--;
    m->env->ops->mutex_unlock(m);
}

void
env_cond_init(struct env *env, struct env_cond *c)
{
    c->env = env;
    env->ops->cond_init(c);
}

void
env_cond_fini(struct env_cond *c)
{
    c->env->ops->cond_fini(c);
}

void
env_cond_wait(struct env_cond *c, struct env_mutex *m)
{
    c->env->ops->cond_wait(c, m, ENV_NO_TIMEOUT);
}

bool
env_cond_wait_us(struct env_cond *c, struct env_mutex *m, uint64_t timeout_us)
{
    return c->env->ops->cond_wait(c, m, timeout_us);
}

void
env_cond_signal(struct env_cond *c)
{
    c->env->ops->cond_wake(c, false);
}

void
env_cond_broadcast(struct env_cond *c)
{
    c->env->ops->cond_wake(c, true);
}

/* ---- event loops and sockets --------------------------------------------------------------- */

struct env_loop *
env_loop_new(struct env *env)
{
    return env->ops->loop_new(env);
}

void
env_loop_free(struct env_loop *l)
{
    OPS_OF(l)->loop_free(l);
}

void
env_loop_run_once(struct env_loop *l, int64_t timeout_us)
{
    OPS_OF(l)->loop_run_once(l, timeout_us);
}

void
env_loop_wake(struct env_loop *l)
{
    OPS_OF(l)->loop_wake(l);
}

struct env_event *
env_event_new(struct env_loop *l, struct env_sock *s, void (*fn)(void *arg, int what), void *arg)
{
    return OPS_OF(l)->event_new(l, s, fn, arg);
}

void
env_event_arm(struct env_event *e, int what)
{
    OPS_OF(e)->event_arm(e, what);
}

void
env_event_free(struct env_event *e)
{
    if (e != NULL)
        OPS_OF(e)->event_free(e);
}

struct env_event *
env_timer_new(struct env_loop *l, void (*fn)(void *arg, int what), void *arg)
{
    return OPS_OF(l)->timer_new(l, fn, arg);
}

void
env_timer_arm(struct env_event *t, uint64_t delay_us)
{
    OPS_OF(t)->timer_arm(t, delay_us);
}

void
env_timer_disarm(struct env_event *t)
{
    OPS_OF(t)->timer_disarm(t);
}

int
env_listen(struct env *env, const char *address, int backlog, struct env_sock **out)
{
    return env->ops->listen(env, address, backlog, out);
}

int
env_accept(struct env_sock *listener, struct env_sock **out)
{
    return OPS_OF(listener)->accept(listener, out);
}

int
env_connect(struct env *env, const char *address, struct env_sock **out)
{
    return env->ops->connect(env, address, out);
}

int
env_connect_result(struct env_sock *s)
{
    return OPS_OF(s)->connect_result(s);
}

int
env_recv(struct env_sock *s, void *buf, size_t size, size_t *got)
{
    return OPS_OF(s)->recv(s, buf, size, got);
}

int
env_sendv(struct env_sock *s, const struct iovec *v, int count, size_t *sent)
{
    return OPS_OF(s)->sendv(s, v, count, sent);
}

void
env_sock_close(struct env_sock *s)
{
    if (s != NULL)
        OPS_OF(s)->sock_close(s);
}

void
env_sock_peer(const struct env_sock *s, char out[ENV_ADDR_MAX])
{
    OPS_OF(s)->sock_name(s, true, out);
}

void
env_sock_local(const struct env_sock *s, char out[ENV_ADDR_MAX])
{
    OPS_OF(s)->sock_name(s, false, out);
}

bool
env_sock_is_loopback(const struct env_sock *s)
{
    return OPS_OF(s)->sock_is_loopback(s);
}
