/* The scheduler: one loop per worker thread that runs ready fibers in turns.
 *
 * A turn: what other threads have posted, the ready fibers (those that they wake too, within a
 * bound), the turn hook, then the event loop, which waits only if nobody is ready. A fiber that
 * parks or yields switches back to the thread's own stack.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/fiber_int.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/context_sanitize_int.h"
#include "engine/base/env_int.h"
#include "engine/base/mem.h"

enum {
    TURN_RESUMES_MAX = 256,         /* fibers run before the loop is looked at again */
    DEPTH_RESERVE_BYTES = 16 << 10, /* fiber_check_depth */
};

struct sched *
sched_new(struct env *env)
{
    struct sched *s = xaligned(_Alignof(struct sched), sizeof *s);

    memset(s, 0, sizeof *s);
    s->env = env;
    s->loop = env_loop_new(env);
    list_init(&s->all);
    list_init(&s->ready);
    list_init(&s->yielded);
    return s;
}

void
sched_free(struct sched *s)
{
    CHECK(s->fiber_count == 0 && s->home == NULL);
    while (atomic_load(&s->poster_count) != 0)
        env_thread_yield(s->env);
    env_loop_free(s->loop);
    xfree(s->timers);
    xfree_aligned(s);
}

struct env_loop *
sched_loop(struct sched *s)
{
    return s->loop;
}

struct sched *
sched_self(void)
{
    return task_self()->sched;
}

void
sched_set_turn_hook(struct sched *s, void (*fn)(void *arg), void *arg)
{
    s->turn_hook = fn;
    s->turn_arg = arg;
}

size_t
sched_fiber_count(const struct sched *s)
{
    return s->fiber_count;
}

void
sched_describe(struct sched *s, void (*line)(void *arg, const char *text), void *arg)
{
    char text[128];

    list_for_each (f, &s->all, struct fiber, all_link) {
        snprintf(text, sizeof text, "fiber %s: %s", f->name,
                 f->state == FIBER_PARKED ? f->waits_for : "ready");
        line(arg, text);
    }
}

/* ---- the inbox ----------------------------------------------------------------------------- */

/* The waiter that a post wakes may free the scheduler as soon as the post is in the inbox, hence
 * the count of posters. */
void
sched_post(struct sched *s, struct sched_post *post)
{
    atomic_fetch_add(&s->poster_count, 1);
    post->next = atomic_load_explicit(&s->inbox, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&s->inbox, &post->next, post))
        ;
    if (atomic_exchange(&s->is_sleeping, false))
        env_loop_wake(s->loop);
    atomic_fetch_sub(&s->poster_count, 1);
}

void
sched_stop(struct sched *s)
{
    atomic_fetch_add(&s->poster_count, 1);
    atomic_store(&s->is_stopping, true);
    if (atomic_exchange(&s->is_sleeping, false))
        env_loop_wake(s->loop);
    atomic_fetch_sub(&s->poster_count, 1);
}

static void
inbox_drain(struct sched *s)
{
    struct sched_post *newest = atomic_exchange(&s->inbox, NULL);
    struct sched_post *oldest = NULL;

    while (newest != NULL) {
        struct sched_post *next = newest->next;

        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct sched_post *post = oldest;

        oldest = post->next;
        post->fn(post->arg);
    }
}

/* ---- running ------------------------------------------------------------------------------- */

static void
fiber_free(struct sched *s, struct fiber *f)
{
    list_remove(&f->all_link);
    s->fiber_count--;
    stack_put(s->env->stacks, f->stack);
}

static void
sched_resume(struct sched *s, struct fiber *f)
{
    f->state = FIBER_RUNNING;
    f->task.thread = s->home->thread;
    task_current_or_null = &f->task;
    context_switch(s->home_context, &f->context);
    task_current_or_null = s->home;
    if (s->ended != NULL) {
        fiber_free(s, s->ended);
        s->ended = NULL;
    }
}

static void
sched_run_ready(struct sched *s)
{
    for (int i = 0; i < TURN_RESUMES_MAX; i++) {
        struct list *link = list_pop_front(&s->ready);

        if (link == NULL)
            break;
        sched_resume(s, container_of(link, struct fiber, ready_link));
    }
    for (struct list *link; (link = list_pop_front(&s->yielded)) != NULL;)
        list_push_back(&s->ready, link);
}

/* Whoever posts after the flag is set wakes the loop; whoever posted before is seen in the inbox.
 */
static void
sched_wait(struct sched *s)
{
    int64_t timeout_us = 0;

    if (list_empty(&s->ready)) {
        timeout_us = timer_next_us(s);
        atomic_store(&s->is_sleeping, true);
        if (atomic_load(&s->inbox) != NULL || atomic_load(&s->is_stopping))
            timeout_us = 0;
    }
    env_loop_run_once(s->loop, timeout_us);
    atomic_store_explicit(&s->is_sleeping, false, memory_order_relaxed);
    timer_run_due(s);
}

static bool
sched_is_idle(struct sched *s)
{
    return s->fiber_count == 0 && atomic_load(&s->inbox) == NULL;
}

void
sched_run(struct sched *s, bool until_idle)
{
    struct task *home = task_self();
    struct env *env_before = home->env;

    CHECK(home->fiber == NULL && home->sched == NULL && s->home == NULL);
    s->home = home;
    s->home_context = home->context != NULL ? home->context : &s->own_context;
    home->sched = s;
    home->env = s->env;
    while (!atomic_load(&s->is_stopping)) {
        inbox_drain(s);
        sched_run_ready(s);
        if (s->turn_hook != NULL)
            s->turn_hook(s->turn_arg);
        if (until_idle && sched_is_idle(s))
            break;
        sched_wait(s);
    }
    atomic_store(&s->is_stopping, false);
    home->sched = NULL;
    home->env = env_before;
    s->home = NULL;
}

/* ---- fibers -------------------------------------------------------------------------------- */

static void
fiber_main(void *arg)
{
    struct fiber *f = arg;

    f->fn(f->arg);
    CHECK(f->task.mutexes_held == 0 && f->task.noyield == 0);
    xfree(f->task.diag);
    f->state = FIBER_ENDED;
    f->sched->ended = f;
    context_leave(&f->context, f->sched->home_context);
}

static void
fiber_wake_cb(void *arg)
{
    fiber_make_ready(arg, FIBER_WOKEN_POSTED);
}

struct fiber *
fiber_start(struct sched *s, const char *name, size_t stack_size, void (*fn)(void *arg), void *arg)
{
    struct stack *stack;
    struct fiber *f;
    uint8_t *top;

    CHECK(s->home == NULL || task_self()->sched == s);
    stack = stack_get(s->env->stacks, stack_size != 0 ? stack_size : FIBER_STACK_DEFAULT);
    top = stack->low + stack->size - stack->colour;
    f = (struct fiber *)(void *)(top - (sizeof *f + 63) / 64 * 64);
    context_make(&f->context, stack, f, fiber_main, f);
    f->task = (struct task){
        .env = s->env, .heap = task_self()->heap, .fiber = f, .sched = s, .context = &f->context
    };
    f->sched = s;
    f->stack = stack;
    f->fn = fn;
    f->arg = arg;
    list_push_back(&s->all, &f->all_link);
    list_push_back(&s->ready, &f->ready_link);
    list_init(&f->wait_link);
    f->wake = (struct sched_post){ .fn = fiber_wake_cb, .arg = f };
    f->completion = NULL;
    f->waits_for = "";
    f->timer_index = FIBER_NO_TIMER;
    f->state = FIBER_READY;
    f->woken = FIBER_WOKEN_POSTED;
    f->is_interrupted = f->is_interruptible = false;
    snprintf(f->name, sizeof f->name, "%s", name);
    s->fiber_count++;
    return f;
}

struct remote_start {
    struct sched_post post;
    struct sched *sched;
    size_t stack_size;
    void (*fn)(void *arg);
    void *arg;
    char name[32];
};

static void
remote_start_cb(void *arg)
{
    struct remote_start *r = arg;

    fiber_start(r->sched, r->name, r->stack_size, r->fn, r->arg);
    xfree(r);
}

void
fiber_start_remote(struct sched *s, const char *name, size_t stack_size, void (*fn)(void *arg),
                   void *arg)
{
    struct remote_start *r = xmalloc(sizeof *r);

    *r = (struct remote_start){ .post = { .fn = remote_start_cb, .arg = r },
                                .sched = s,
                                .stack_size = stack_size,
                                .fn = fn,
                                .arg = arg };
    snprintf(r->name, sizeof r->name, "%s", name);
    sched_post(s, &r->post);
}

struct fiber *
fiber_self(void)
{
    return task_self()->fiber;
}

static void
fiber_check_may_park(const struct fiber *f)
{
    CHECK(f->task.mutexes_held == 0);
    CHECK(f->task.noyield == 0);
}

void
fiber_yield(void)
{
    struct fiber *f = task_self()->fiber;

    if (f == NULL)
        return;
    fiber_check_may_park(f);
    f->state = FIBER_READY;
    list_push_back(&f->sched->yielded, &f->ready_link);
    context_switch(&f->context, f->sched->home_context);
}

enum fiber_woken
fiber_park(const char *waits_for, uint64_t timeout_us, bool is_interruptible)
{
    struct fiber *f = task_self()->fiber;

    fiber_check_may_park(f);
    if (timeout_us != UINT64_MAX)
        timer_add(f->sched, f, timeout_us);
    f->waits_for = waits_for;
    f->is_interruptible = is_interruptible;
    f->state = FIBER_PARKED;
    context_switch(&f->context, f->sched->home_context);
    f->is_interruptible = false;
    return f->woken;
}

void
fiber_make_ready(struct fiber *f, enum fiber_woken woken)
{
    CHECK(f->state == FIBER_PARKED);
    timer_remove(f->sched, f);
    f->woken = woken;
    f->state = FIBER_READY;
    list_push_back(&f->sched->ready, &f->ready_link);
}

void
fiber_sleep_us(uint64_t us)
{
    struct fiber *f = task_self()->fiber;

    if (f == NULL)
        env_sleep_us(env_self(), us);
    else if (!f->is_interrupted)
        (void)fiber_park("sleep", us, true);
}

void
fiber_nap_us(uint64_t us)
{
    if (task_self()->fiber == NULL)
        env_sleep_us(env_self(), us);
    else
        (void)fiber_park("nap", us, false);
}

void
fiber_interrupt(struct fiber *f)
{
    CHECK(task_self()->sched == f->sched);
    f->is_interrupted = true;
    if (f->state == FIBER_PARKED && f->is_interruptible &&
        (f->completion == NULL || completion_abandon(f->completion)))
        fiber_make_ready(f, FIBER_WOKEN_INTERRUPT);
}

bool
fiber_interrupted(void)
{
    struct fiber *f = task_self()->fiber;
    bool was = f != NULL && f->is_interrupted;

    if (was)
        f->is_interrupted = false;
    return was;
}

/* ---- stack depth and brackets -------------------------------------------------------------- */

size_t
fiber_stack_left(void)
{
    const struct context *c = task_self()->context;
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);

    if (c == NULL || c->stack_low == NULL)
        return SIZE_MAX / 2;
    return here > (uintptr_t)c->stack_low ? here - (uintptr_t)c->stack_low : 0;
}

int
fiber_check_depth(void)
{
    if (fiber_stack_left() >= DEPTH_RESERVE_BYTES * STACK_SCALE)
        return 0;
    return DIAG(ERR_TOO_COMPLEX, "stack depth limit exceeded");
}

void
fiber_noyield_begin(void)
{
    task_self()->noyield++;
}

void
fiber_noyield_end(void)
{
    struct task *t = task_self();

    CHECK(t->noyield > 0);
    t->noyield--;
}
