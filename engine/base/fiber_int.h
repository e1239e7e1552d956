/* Between the files of the scheduler: fiber.c, fiber_timer.c, fiber_wait.c, fiber_job.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_BASE_FIBER_INT_H
#define ENGINE_BASE_FIBER_INT_H

#include "engine/base/context.h"
#include "engine/base/fiber.h"
#include "engine/base/task.h"

enum fiber_state {
    FIBER_READY,
    FIBER_RUNNING,
    FIBER_PARKED,
    FIBER_ENDED,
};

enum fiber_woken {
    FIBER_WOKEN_POSTED,
    FIBER_WOKEN_TIMEOUT,
    FIBER_WOKEN_INTERRUPT,
};

enum { FIBER_NO_TIMER = -1 };

/* Lies at the top of its own stack. Owner of every field: the scheduler's thread. */
struct fiber {
    struct context context;
    struct task task;
    struct sched *sched;
    struct stack *stack;
    void (*fn)(void *arg);
    void *arg;
    struct list all_link;          /* struct sched.all */
    struct list ready_link;        /* struct sched.ready or .yielded */
    struct list wait_link;         /* struct fiber_queue.waiters */
    struct sched_post wake;        /* carries a post from another thread through the inbox */
    struct completion *completion; /* waited for, or NULL */
    const char *waits_for;         /* static text, while parked */
    uint64_t deadline_ns;
    int64_t timer_index; /* in struct sched.timers, or FIBER_NO_TIMER */
    enum fiber_state state;
    enum fiber_woken woken;
    bool is_interrupted;
    bool is_interruptible;
    char name[32];
};

struct sched {
    struct env *env;
    struct env_loop *loop;

    struct {                          /* owner: the scheduler's thread */
        struct task *home;            /* of the thread inside sched_run, or NULL */
        struct context *home_context; /* its stack */
        struct context own_context;   /* for a plain thread, which has none */
        struct fiber *ended;          /* its stack can be given back */
        struct list all;              /* of struct fiber.all_link */
        struct list ready;            /* of struct fiber.ready_link */
        struct list yielded;          /* likewise; they run in the next turn */
        size_t fiber_count;
        struct fiber **timers; /* a binary heap by deadline */
        size_t timer_count, timer_cap;
        void (*turn_hook)(void *arg);
        void *turn_arg;
    };

    struct {                                             /* any thread */
        _Alignas(64) _Atomic(struct sched_post *) inbox; /* newest first */
        _Atomic bool is_sleeping; /* pairs with the push to the inbox: who finds it set wakes */
        _Atomic bool is_stopping;
        _Atomic uint32_t poster_count; /* inside sched_post: the scheduler may not be freed */
    };
};

/* Parks the current fiber until fiber_make_ready; with a limit, a timer wakes it. Says which. */
enum fiber_woken fiber_park(const char *waits_for, uint64_t timeout_us, bool is_interruptible);
void fiber_make_ready(struct fiber *f, enum fiber_woken woken);

/* False when a post is under way: then the fiber stays parked until it arrives. */
bool completion_abandon(struct completion *c);

void timer_add(struct sched *s, struct fiber *f, uint64_t delay_us);
void timer_remove(struct sched *s, struct fiber *f);
void timer_run_due(struct sched *s);
int64_t timer_next_us(struct sched *s); /* -1: none */

#endif
