/* What an implementation of the seam (env.h) provides. Each public env_* function calls through
 * the table of the object's env; each object starts with its env, so that the table is at hand.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_BASE_ENV_INT_H
#define ENGINE_BASE_ENV_INT_H

#include <stdatomic.h>

#include "engine/base/env.h"
#include "engine/base/task.h"

/* See the function of the same name in env.h for what each does. */
struct env_ops {
    void (*free)(struct env *env);

    uint64_t (*wall_us)(struct env *env);
    uint64_t (*boot_ns)(struct env *env);
    void (*sleep_us)(struct env *env, uint64_t us);
    void (*random)(struct env *env, void *out, size_t size);
    void (*panic)(struct env *env, const char *file, int line, const char *what); /* no return */
    void (*log_write)(struct env *env, const void *data, size_t size);

    int (*open)(struct env *env, const char *path, int flags, struct env_file **out);
    void (*close)(struct env_file *f);
    int (*pread)(struct env_file *f, void *buf, size_t size, uint64_t offset, size_t *got);
    int (*pwritev)(struct env_file *f, const struct iovec *v, int count, uint64_t offset);
    int (*sync)(struct env_file *f);
    int (*truncate)(struct env_file *f, uint64_t size);
    int (*allocate)(struct env_file *f, uint64_t size);
    int (*size)(struct env_file *f, uint64_t *size);
    int (*rename)(struct env *env, const char *from, const char *to);
    int (*unlink)(struct env *env, const char *path);
    int (*rmdir)(struct env *env, const char *path);
    int (*mkdir)(struct env *env, const char *path);
    int (*sync_dir)(struct env *env, const char *path);
    int (*link)(struct env *env, const char *from, const char *to);
    bool (*exists)(struct env *env, const char *path, bool *is_dir);
    int (*list_dir)(struct env *env, const char *path, int (*fn)(void *, const char *), void *arg);
    int (*disk_free)(struct env *env, const char *path, uint64_t *bytes);
    int (*lock_file)(struct env *env, const char *path, struct env_file **out);

    struct env_thread *(*thread_start)(struct env *env, const char *name, void (*fn)(void *arg),
                                       void *arg);
    void (*thread_join)(struct env_thread *t);
    void (*thread_yield)(struct env *env);
    int (*cpu_count)(struct env *env);
    void (*mutex_init)(struct env_mutex *m);
    void (*mutex_fini)(struct env_mutex *m);
    void (*mutex_lock)(struct env_mutex *m);
    void (*mutex_unlock)(struct env_mutex *m);
    void (*cond_init)(struct env_cond *c);
    void (*cond_fini)(struct env_cond *c);
    bool (*cond_wait)(struct env_cond *c, struct env_mutex *m, uint64_t timeout_us);
    void (*cond_wake)(struct env_cond *c, bool all);
    /* Blocks the thread while *word is `expected`; may return early. The word may be freed as soon
     * as it has changed, before the waker calls word_wake. */
    void (*word_wait)(struct env *env, _Atomic uint32_t *word, uint32_t expected,
                      uint64_t timeout_us);
    void (*word_wake)(struct env *env, _Atomic uint32_t *word);

    struct env_loop *(*loop_new)(struct env *env);
    void (*loop_free)(struct env_loop *l);
    void (*loop_run_once)(struct env_loop *l, int64_t timeout_us);
    void (*loop_wake)(struct env_loop *l);
    struct env_event *(*event_new)(struct env_loop *l, struct env_sock *s,
                                   void (*fn)(void *arg, int what), void *arg);
    void (*event_arm)(struct env_event *e, int what);
    void (*event_free)(struct env_event *e);
    struct env_event *(*timer_new)(struct env_loop *l, void (*fn)(void *arg, int what), void *arg);
    void (*timer_arm)(struct env_event *t, uint64_t delay_us);
    void (*timer_disarm)(struct env_event *t);

    int (*listen)(struct env *env, const char *address, int backlog, struct env_sock **out);
    int (*accept)(struct env_sock *listener, struct env_sock **out);
    int (*connect)(struct env *env, const char *address, struct env_sock **out);
    int (*connect_result)(struct env_sock *s);
    int (*recv)(struct env_sock *s, void *buf, size_t size, size_t *got);
    int (*sendv)(struct env_sock *s, const struct iovec *v, int count, size_t *sent);
    void (*sock_close)(struct env_sock *s);
    void (*sock_name)(const struct env_sock *s, bool peer, char out[ENV_ADDR_MAX]);
    bool (*sock_is_loopback)(const struct env_sock *s);
};

struct stack_pool;

struct env {
    const struct env_ops *ops;
    struct stack_pool *stacks; /* of this env's fibers (context.h); it locks itself */
};

/* The beginning of every implementation's struct of that name. */
struct env_file_head {
    struct env *env;
    char *path; /* an implementation's, freed by it */
};
struct env_object_head { /* sock, loop, event, thread */
    struct env *env;
};

#define ENV_NO_TIMEOUT UINT64_MAX

/* For the implementations: records what errno says about a path or an address. */
int env_fail(int os_errno, const char *doing, const char *path);

/* Splits "host:port", "[v6]:port"; false when it is neither. An empty host or "*" means any. */
bool env_split_address(const char *address, char host[ENV_ADDR_MAX], char port[16]);

#endif
