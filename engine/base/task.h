/* What is running: a fiber, or a plain thread. The one ambient thing in the program.
 *
 * Each task knows its world (env), its heap, and its diag. A thread of the operating system starts
 * with a default task (no env), so that small tools and unit tests can use errors and memory
 * without ceremony. A switch of fibers or of simulated threads sets `task_current`.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_BASE_TASK_H
#define ENGINE_BASE_TASK_H

#include <stdint.h>

struct context;
struct diag;
struct env;
struct fiber;
struct heap;
struct sched;

struct task {
    struct env *env;         /* the world; NULL in tools and bare tests: then panic() aborts */
    struct heap *heap;       /* NULL: the process's */
    struct fiber *fiber;     /* NULL on a plain thread */
    struct sched *sched;     /* the fiber's, or the one that the thread is running; or NULL */
    void *thread;            /* struct env_thread of the thread that runs this task, or NULL */
    struct diag *diag;       /* allocated at the first error */
    struct context *context; /* the stack that it runs on (context.h); NULL: a plain thread's */
    uint32_t mutexes_held;   /* env mutexes; a fiber parks with none held */
    uint32_t noyield;        /* depth of fiber_noyield_begin */
};

extern _Thread_local struct task *task_current_or_null;
/* The current task; makes the thread's default one at first use. */
struct task *task_self(void);

#endif
