/* The one door to the world: time, randomness, files, sockets, threads, locks.
 *
 * There are two worlds. env_posix_new() is the real one. A simulated one (sim.h) holds many nodes
 * in one process: each node has a struct env of its own over one shared simulation, stepped by one
 * seeded scheduler; a simulated thread is a fiber, time moves only when nothing can run, disks and
 * wires have faults. Code above this line cannot tell which it lives in, so it must:
 *   - hold no module-level mutable state;
 *   - never let behaviour depend on pointer values or on hash order of pointers;
 *   - never spin on memory waiting for another thread (a simulated thread only gives way inside an
 *     env call): wait on a cond, or call env_thread_yield() in the loop;
 *   - hold no spinlock or latch across an env call.
 *
 * Every call here that can block blocks the calling *thread*. On a worker, which runs fibers, slow
 * ones go through job_run() (fiber.h) instead.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_BASE_ENV_H
#define ENGINE_BASE_ENV_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "engine/base/err.h"
#include "engine/base/list.h"

struct env;
struct env_file;
struct env_sock;
struct env_loop;
struct env_event;
struct env_thread;

/* The real world. If the calling task has no env yet, this becomes its env. */
struct env *env_posix_new(void);
void env_free(struct env *env); /* nothing of it may be left in use */
struct env *env_self(void);     /* of the current task; never NULL (CHECKed) */

/* ---- time and randomness ------------------------------------------------------------------- */

uint64_t env_wall_us(struct env *env); /* since 1970, UTC; may jump: for people only */
uint64_t env_boot_ns(struct env *env); /* CLOCK_BOOTTIME; never goes back: for durations */
void env_sleep_us(struct env *env, uint64_t us); /* blocks the thread; fibers use fiber_sleep_us */
void env_random(struct env *env, void *out, size_t size); /* fit for keys in the real world */
uint64_t env_random_u64(struct env *env);

/* Ends the node: the real world aborts the process, the simulated one drops the node. */
NORETURN
void env_panic(struct env *env, const char *file, int line, const char *what);
/* Whole lines for the operator: standard error in the real world. For log.c. */
void env_log_write(struct env *env, const void *data, size_t size);

/* ---- files --------------------------------------------------------------------------------- */

enum env_open_flags {
    ENV_READ = 1,
    ENV_WRITE = 2,     /* with ENV_READ or alone */
    ENV_CREATE = 4,    /* make it if it is not there */
    ENV_EXCLUSIVE = 8, /* with ENV_CREATE: ERR_FILE_EXISTS if it is */
    ENV_TRUNCATE = 16,
    ENV_DIRECT = 32, /* past the page cache where possible: offsets, sizes and buffers are then
                      * multiples of ENV_ALIGN whether or not the file system agreed */
    ENV_DSYNC = 64,  /* each write is durable when it returns */
    ENV_MODE_PRIVATE = 128, /* created with mode 0600 instead of 0640 */
};
enum { ENV_ALIGN = 4096 };

/* All fail with ERR_IO, ERR_NO_FILE, ERR_FILE_EXISTS or ERR_DISK_FULL and name the path. Symbolic
 * links in the last component are not followed when creating. */
MUST_CHECK
int env_open(struct env *env, const char *path, int flags, struct env_file **out);
void env_close(struct env_file *f); /* NULL allowed; says nothing about durability */
/* Reads up to size bytes at offset; *got is less only at the end of the file. */
MUST_CHECK
int env_pread(struct env_file *f, void *buf, size_t size, uint64_t offset, size_t *got);
/* All of it or an error (after which any part may have been written). */
MUST_CHECK
int env_pwrite(struct env_file *f, const void *buf, size_t size, uint64_t offset);
MUST_CHECK
int env_pwritev(struct env_file *f, const struct iovec *v, int count, uint64_t offset);
/* fdatasync, with the size. After a failure nothing about the file can be trusted: callers PANIC
 * or discard the file. */
MUST_CHECK
int env_sync(struct env_file *f);
MUST_CHECK
int env_truncate(struct env_file *f, uint64_t size);
MUST_CHECK
int env_allocate(struct env_file *f, uint64_t size); /* reserve disk; contents zero */
MUST_CHECK
int env_size(struct env_file *f, uint64_t *size);
const char *env_file_path(const struct env_file *f);

MUST_CHECK
int env_rename(struct env *env, const char *from, const char *to);
MUST_CHECK
int env_unlink(struct env *env, const char *path);
MUST_CHECK
int env_rmdir(struct env *env, const char *path);
MUST_CHECK
int env_mkdir(struct env *env, const char *path); /* mode 0700; exists: ERR_FILE_EXISTS */
/* The folder and those above it are there, and their names are durable. */
MUST_CHECK
int env_make_dir(struct env *env, const char *path);
MUST_CHECK
int env_sync_dir(struct env *env, const char *path); /* makes names durable */
MUST_CHECK
int env_link(struct env *env, const char *from, const char *to); /* a hard link */
bool env_exists(struct env *env, const char *path);
bool env_is_dir(struct env *env, const char *path);
/* Calls fn for each name in a folder except . and .., in byte order. fn returns 0 to go on. */
MUST_CHECK
int env_list_dir(struct env *env, const char *path, int (*fn)(void *arg, const char *name),
                 void *arg);
MUST_CHECK
int env_disk_free(struct env *env, const char *path, uint64_t *bytes);
/* An exclusive lock on a file, held until close or the end of the process: ERR_OBJECT_IN_USE when
 * another process (or simulated node) has it. */
MUST_CHECK
int env_lock_file(struct env *env, const char *path, struct env_file **out);

/* ---- threads and locks --------------------------------------------------------------------- */

/* The name is at most 15 characters. The thread's task has this env and the heap of the caller. */
struct env_thread *env_thread_start(struct env *env, const char *name, void (*fn)(void *arg),
                                    void *arg);
void env_thread_join(struct env_thread *t); /* waits for it and frees it */
void env_thread_yield(struct env *env);
int env_cpu_count(struct env *env);

/* Not recursive. May be taken inside a fiber for a few instructions' worth of work; never held
 * across a park (fiber.h checks in debug builds). */
struct env_mutex {
    struct env *env;
    union {
        pthread_mutex_t os;
        struct {
            struct env_thread *owner;
            struct list waiters; /* of struct sim_waiter.link */
        } sim;
    } u;
};
struct env_cond {
    struct env *env;
    union {
        pthread_cond_t os;
        struct {
            struct list waiters;
        } sim;
    } u;
};
void env_mutex_init(struct env *env, struct env_mutex *m);
void env_mutex_fini(struct env_mutex *m);
void env_mutex_lock(struct env_mutex *m);
void env_mutex_unlock(struct env_mutex *m);
void env_cond_init(struct env *env, struct env_cond *c);
void env_cond_fini(struct env_cond *c);
void env_cond_wait(struct env_cond *c, struct env_mutex *m); /* blocks the thread, not a fiber */
/* False when `timeout_us` passed first. */
bool env_cond_wait_us(struct env_cond *c, struct env_mutex *m, uint64_t timeout_us);
void env_cond_signal(struct env_cond *c);
void env_cond_broadcast(struct env_cond *c);

/* ---- event loops and sockets --------------------------------------------------------------- */

/* A loop belongs to one thread; only env_loop_wake may be called from others. Callbacks run inside
 * env_loop_run_once. libevent lies below this line. */
struct env_loop *env_loop_new(struct env *env);
void env_loop_free(struct env_loop *l);
/* Waits for events at most timeout_us (-1: no limit, 0: only looks) and runs their callbacks. */
void env_loop_run_once(struct env_loop *l, int64_t timeout_us);
void env_loop_wake(struct env_loop *l); /* from any thread: the current or next wait returns */

enum { ENV_EV_READ = 1, ENV_EV_WRITE = 2 };
/* Readiness of a socket, persistent while armed. `what` 0 disarms. One event per socket. */
struct env_event *env_event_new(struct env_loop *l, struct env_sock *s,
                                void (*fn)(void *arg, int what), void *arg);
void env_event_arm(struct env_event *e, int what);
void env_event_free(struct env_event *e);
/* A timer that fires once; arming again moves it. */
struct env_event *env_timer_new(struct env_loop *l, void (*fn)(void *arg, int what), void *arg);
void env_timer_arm(struct env_event *t, uint64_t delay_us);
void env_timer_disarm(struct env_event *t);
/* Timers are freed by env_event_free. An event may be armed and freed in its own callback. */

/* Sockets do not block: ERR_AGAIN means wait for readiness. Addresses are "host:port",
 * "[v6]:port", or a path (starts with '/') for a Unix socket. Resolving a name may block. */
enum { ENV_ADDR_MAX = 128 };
MUST_CHECK
int env_listen(struct env *env, const char *address, int backlog, struct env_sock **out);
MUST_CHECK
int env_accept(struct env_sock *listener, struct env_sock **out);
/* Begins; done when writable, then env_connect_result tells. */
MUST_CHECK
int env_connect(struct env *env, const char *address, struct env_sock **out);
MUST_CHECK
int env_connect_result(struct env_sock *s);
/* *got 0: the peer closed its side. */
MUST_CHECK
int env_recv(struct env_sock *s, void *buf, size_t size, size_t *got);
MUST_CHECK
int env_sendv(struct env_sock *s, const struct iovec *v, int count, size_t *sent);
void env_sock_close(struct env_sock *s); /* free its event first */
/* "host:port" of the other side (or "local" for a Unix socket) and of our own. */
void env_sock_peer(const struct env_sock *s, char out[ENV_ADDR_MAX]);
void env_sock_local(const struct env_sock *s, char out[ENV_ADDR_MAX]);
bool env_sock_is_loopback(const struct env_sock *s); /* both ends on this machine */

#endif
