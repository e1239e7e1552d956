/* Fibers: a session, a sender, an applier are each one. They run on a scheduler, which belongs to
 * one thread (a worker), and never change it.
 *
 * A fiber parks on five things: its socket, a lock, a position in the redo, a job on another
 * thread, a timer. Everything that may park says so in its header. No latch, mutex or epoch section
 * spans a park. Code that relies on not yielding is bracketed by fiber_noyield_begin/end, which
 * debug builds check.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_BASE_FIBER_H
#define ENGINE_BASE_FIBER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/env.h"

struct sched;
struct fiber;

/* ---- schedulers ---------------------------------------------------------------------------- */

/* Makes a scheduler with its loop. sched_run runs it on the calling thread until sched_stop, or
 * until every fiber has ended if `until_idle`. */
struct sched *sched_new(struct env *env);
void sched_free(struct sched *s); /* no fiber may be left */
void sched_run(struct sched *s, bool until_idle);
void sched_stop(struct sched *s); /* from any thread; fibers still parked stay so */
struct env_loop *sched_loop(struct sched *s);
struct sched *sched_self(void); /* of the current fiber, or of the thread inside sched_run */
/* Runs fn(arg) on the scheduler's thread, outside any fiber, soon. From any thread; `post` is the
 * caller's and must live until fn is called. */
struct sched_post {
    void (*fn)(void *arg);
    void *arg;
    struct sched_post *next;
};
void sched_post(struct sched *s, struct sched_post *post);
/* Called at the end of each turn of the loop, once the ready fibers have run: for batched work such
 * as writing out what sessions have queued. One hook. */
void sched_set_turn_hook(struct sched *s, void (*fn)(void *arg), void *arg);
size_t sched_fiber_count(const struct sched *s);
/* Calls line() with one text for each fiber: its name and what it waits for. On s's thread. */
void sched_describe(struct sched *s, void (*line)(void *arg, const char *text), void *arg);

/* ---- fibers -------------------------------------------------------------------------------- */

enum { FIBER_STACK_DEFAULT = 128 << 10 };

/* Starts fn(arg) as a fiber of scheduler s; the caller must be on its thread, or s not running yet.
 * The name (at most 31 characters) is for traces. stack_size 0: FIBER_STACK_DEFAULT. Stacks are
 * pooled, committed lazily, guarded. */
struct fiber *fiber_start(struct sched *s, const char *name, size_t stack_size,
                          void (*fn)(void *arg), void *arg);
/* The same from any thread. The fiber starts at the scheduler's next turn. */
void fiber_start_remote(struct sched *s, const char *name, size_t stack_size, void (*fn)(void *arg),
                        void *arg);
struct fiber *fiber_self(void);   /* NULL outside a fiber */
void fiber_yield(void);           /* lets other ready fibers run; returns at once outside a fiber */
void fiber_sleep_us(uint64_t us); /* outside a fiber: blocks the thread */
/* As fiber_sleep_us, and no fiber_interrupt ends it: for loops that wait for what must come. A loop
 * around fiber_sleep_us asks fiber_interrupted, else it spins once it is interrupted. */
void fiber_nap_us(uint64_t us);
size_t fiber_stack_left(void); /* bytes until the guard page; SIZE_MAX/2 when not known */
/* For recursive routines: ERR_TOO_COMPLEX when less than 16 KiB of stack is left. */
MUST_CHECK
int fiber_check_depth(void);
void fiber_noyield_begin(void);
void fiber_noyield_end(void);

/* ---- waiting ------------------------------------------------------------------------------- */

/* Something that happens once and that one task waits for. The waiter may be a fiber (parks) or a
 * plain thread (blocks). Posting is allowed from any thread and any number of times; after the wait
 * returned, the completion may be freed or reset at once. This is the one primitive under every
 * other park. */
struct completion {
    _Atomic uint32_t state; /* enum completion_state in fiber_wait.c */
    struct fiber *fiber;    /* who waits, when it is a fiber */
};
void completion_init(struct completion *c);
void completion_post(struct completion *c);
bool completion_is_posted(const struct completion *c);
void completion_wait(struct completion *c); /* parks */
/* False when timeout_us passed first. The completion may then still be posted later: whoever could
 * do so must be stopped (under the lock that he finds it by) before it is freed. */
bool completion_wait_us(struct completion *c, uint64_t timeout_us);
/* 0, ERR_TIMEOUT, or ERR_QUERY_CANCELED when fiber_interrupt came first; parks. */
MUST_CHECK
int completion_wait_interruptible(struct completion *c, uint64_t timeout_us);
/* After a wait that did not end in a post, once nobody can begin a post any more: checks that
 * nothing waits. */
void completion_cancel(struct completion *c);

/* A queue of fibers of one scheduler (not across threads). */
struct fiber_queue {
    struct list waiters; /* of struct fiber.wait_link */
};
void fiber_queue_init(struct fiber_queue *q);
void fiber_queue_wait(struct fiber_queue *q);                         /* parks */
bool fiber_queue_wait_us(struct fiber_queue *q, uint64_t timeout_us); /* parks; false: timed out */
/* 0, ERR_TIMEOUT, or ERR_QUERY_CANCELED when fiber_interrupt came first; parks. */
MUST_CHECK
int fiber_queue_wait_interruptible(struct fiber_queue *q, uint64_t timeout_us);
void fiber_queue_wake_one(struct fiber_queue *q);
void fiber_queue_wake_all(struct fiber_queue *q);

/* Waits until the socket is ready for `what` (ENV_EV_*): 0, ERR_TIMEOUT, or ERR_QUERY_CANCELED when
 * fiber_interrupt woke it. 0 may come early: try the call, and wait again after ERR_AGAIN.
 * timeout_us UINT64_MAX: no limit. The socket's events belong to this scheduler's loop. One fiber
 * may wait for reading while another waits for writing. Parks. */
struct fiber_io {
    struct env_event *event;
    struct fiber *reader, *writer;
    int ready; /* ENV_EV_* seen while nobody waited */
    int armed;
};
void fiber_io_init(struct fiber_io *io, struct sched *s, struct env_sock *sock);
void fiber_io_fini(struct fiber_io *io);
MUST_CHECK
int fiber_io_wait(struct fiber_io *io, int what, uint64_t timeout_us);

/* Sets the fiber's interrupt flag and wakes it if it is parked in an interruptible wait (fiber_io,
 * fiber_sleep_us, *_interruptible). Until the flag is cleared, such waits return at once. From the
 * fiber's own thread only. */
void fiber_interrupt(struct fiber *f);
bool fiber_interrupted(void); /* the current fiber's flag; clears it */

/* ---- jobs ---------------------------------------------------------------------------------- */

/* A pool of threads for what takes a millisecond or touches a disk. */
struct job_pool;
struct job_pool *job_pool_new(struct env *env, const char *name, int threads);
void job_pool_free(struct job_pool *p); /* finishes what is queued */
/* Runs fn(arg) on a pool thread and parks the fiber (or blocks the thread) until it has returned.
 * What fn reports through diag is carried back. */
int job_run(struct job_pool *p, int (*fn)(void *arg), void *arg);
/* Queues fn(arg) and returns. */
void job_post(struct job_pool *p, void (*fn)(void *arg), void *arg);

#endif
