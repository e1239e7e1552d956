/* The simulated world's threads, locks, time and randomness.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/sim_int.h"

#include <stdio.h>
#include <string.h>

enum {
    THREAD_STACK_BYTES = 1 << 20,
    CPU_COUNT = 2,
    SPURIOUS_WAKE_PER_MILLE = 10, /* conds may wake for no reason, and here they do */
};
#define WALL_AT_START_US ((uint64_t)1772323200000000) /* a Sunday, 2026-03-01 */

/* ---- time and randomness ------------------------------------------------------------------- */

uint64_t
sim_wall_us(struct env *env)
{
    struct sim_node *n = sim_node_of(env);

    return (uint64_t)((int64_t)(WALL_AT_START_US + n->sim->now_ns / 1000) + n->wall_skew_us);
}

uint64_t
sim_boot_ns(struct env *env)
{
    struct sim_node *n = sim_node_of(env);

    return n->boot_offset_ns + n->sim->now_ns;
}

static uint64_t
later_ns(const struct sim *sim, uint64_t us)
{
    return us < (UINT64_MAX - sim->now_ns) / 1000 ? sim->now_ns + us * 1000 : UINT64_MAX;
}

void
sim_sleep_us(struct env *env, uint64_t us)
{
    sim_block("a moment", later_ns(sim_of(env), us));
}

void
sim_env_random(struct env *env, void *out, size_t size)
{
    uint8_t *p = out;

    while (size > 0) {
        uint64_t v = sim_random_u64(sim_of(env));
        size_t n = size < sizeof v ? size : sizeof v;

        memcpy(p, &v, n);
        p += n;
        size -= n;
    }
}

/* ---- threads ------------------------------------------------------------------------------- */

/* The end of the thread "main" is the end of the process. */
static void
thread_main(void *arg)
{
    struct env_thread *t = arg;
    struct sim_node *n = sim_node_of(t->env);

    t->fn(t->arg);
    CHECK(t->task.mutexes_held == 0);
    xfree(t->task.diag);
    t->task.diag = NULL;
    if (t == n->main)
        n->dying = SIM_DEATH_EXIT;
    t->state = SIM_ENDED;
    sim_leave(n->sim);
}

static void
thread_timer_fire(struct sim *sim, struct sim_timer *timer)
{
    struct env_thread *t = container_of(timer, struct env_thread, timer);

    (void)sim;
    t->is_timed_out = true;
    sim_make_runnable(t);
}

struct env_thread *
sim_thread_make(struct sim_node *n, const char *name, void (*fn)(void *arg), void *arg)
{
    struct env_thread *t = sim_alloc(sizeof *t);

    t->env = &n->env;
    t->id = (uint32_t)sim_random_u64(n->sim);
    snprintf(t->name, sizeof t->name, "%s", name);
    t->fn = fn;
    t->arg = arg;
    t->stack = stack_get(n->env.stacks, THREAD_STACK_BYTES);
    context_make(&t->context, t->stack, t->stack->low + t->stack->size - t->stack->colour,
                 thread_main, t);
    t->task = (struct task){ .env = &n->env, .heap = n->heap, .thread = t, .context = &t->context };
    t->resume_task = &t->task;
    t->waits_for = "";
    sim_timer_init(&t->timer, thread_timer_fire);
    list_init(&t->wait_link);
    list_init(&t->word_link);
    list_push_back(&n->threads, &t->node_link);
    return t;
}

/* Its wait_link is left alone: the list's head lies in memory of the node, perhaps freed. */
void
sim_thread_free(struct env_thread *t)
{
    struct sim_node *n = sim_node_of(t->env);

    sim_timer_clear(n->sim, &t->timer);
    list_remove(&t->word_link);
    list_remove(&t->node_link);
    if (t->stack != NULL && n->is_up)
        stack_put(n->env.stacks, t->stack);
    xfree(t);
}

struct env_thread *
sim_thread_start(struct env *env, const char *name, void (*fn)(void *arg), void *arg)
{
    struct sim_node *n = sim_node_of(env);
    struct env_thread *t;

    CHECK(n->is_up && sim_thread_self() != NULL);
    t = sim_thread_make(n, name, fn, arg);
    t->state = SIM_BLOCKED;
    sim_make_runnable(t);
    sim_maybe_yield(env);
    return t;
}

void
sim_thread_join(struct env_thread *t)
{
    while (t->state != SIM_ENDED || t->stack != NULL) {
        CHECK(t->joiner == NULL || t->joiner == sim_thread_self());
        t->joiner = sim_thread_self();
        CHECK(t->joiner != NULL);
        t->joiner->waits_for_thread = t;
        sim_block("the end", UINT64_MAX);
    }
    sim_thread_free(t);
}

int
sim_cpu_count(struct env *env)
{
    (void)env;
    return CPU_COUNT;
}

/* ---- mutexes ------------------------------------------------------------------------------- */

void
sim_mutex_init(struct env_mutex *m)
{
    m->u.sim.owner = NULL;
    list_init(&m->u.sim.waiters);
}

void
sim_mutex_fini(struct env_mutex *m)
{
    CHECK(m->u.sim.owner == NULL && list_empty(&m->u.sim.waiters));
}

/* One of a list of waiting threads, by the dice. */
static struct env_thread *
pick_waiter(struct sim *sim, struct list *waiters)
{
    struct list *link = waiters->next;
    uint64_t count = 0;

    list_for_each (t, waiters, struct env_thread, wait_link)
        count++;
    if (count == 0)
        return NULL;
    for (uint64_t skip = sim_random(sim, count); skip > 0; skip--)
        link = link->next;
    list_remove(link);
    return container_of(link, struct env_thread, wait_link);
}

/* The test's main thread has no struct env_thread; it owns a mutex as its env's address. */
static struct env_thread *
owner_self(struct env_mutex *m)
{
    struct env_thread *self = sim_thread_self();

    return self != NULL ? self : (struct env_thread *)(void *)m->env;
}

void
sim_mutex_lock(struct env_mutex *m)
{
    struct env_thread *self = owner_self(m);

    CHECK(m->u.sim.owner != self);
    sim_maybe_yield(m->env);
    while (m->u.sim.owner != NULL) {
        struct env_thread *t = sim_thread_self();

        CHECK(m->u.sim.owner != (struct env_thread *)(void *)m->env);
        if (t != NULL) {
            list_push_back(&m->u.sim.waiters, &t->wait_link);
            t->waits_for_thread = m->u.sim.owner;
        }
        sim_block("a mutex", UINT64_MAX);
    }
    m->u.sim.owner = self;
}

void
sim_mutex_unlock(struct env_mutex *m)
{
    struct env_thread *next;

    CHECK(m->u.sim.owner == owner_self(m));
    m->u.sim.owner = NULL;
    next = pick_waiter(sim_of(m->env), &m->u.sim.waiters);
    if (next != NULL)
        sim_make_runnable(next);
    sim_maybe_yield(m->env);
}

/* ---- conditions ---------------------------------------------------------------------------- */

void
sim_cond_init(struct env_cond *c)
{
    list_init(&c->u.sim.waiters);
}

void
sim_cond_fini(struct env_cond *c)
{
    CHECK(list_empty(&c->u.sim.waiters));
}

bool
sim_cond_wait(struct env_cond *c, struct env_mutex *m, uint64_t timeout_us)
{
    struct sim *sim = sim_of(c->env);
    struct env_thread *self = sim_thread_self();
    uint64_t until_ns = later_ns(sim, timeout_us);
    bool is_spurious = sim_chance(sim, SPURIOUS_WAKE_PER_MILLE, 1000);
    bool in_time;

    CHECK(self != NULL && m->u.sim.owner == self);
    list_push_back(&c->u.sim.waiters, &self->wait_link);
    /* Unlocking may give way; a signal that comes meanwhile takes us out of the list. */
    sim_mutex_unlock(m);
    if (list_empty(&self->wait_link)) {
        in_time = true;
    } else if (is_spurious) {
        sim_yield(c->env);
        in_time = true;
    } else {
        in_time = sim_block("a condition", until_ns);
    }
    list_remove(&self->wait_link);
    sim_mutex_lock(m);
    return in_time;
}

void
sim_cond_wake(struct env_cond *c, bool all)
{
    struct env_thread *t;

    while ((t = pick_waiter(sim_of(c->env), &c->u.sim.waiters)) != NULL) {
        sim_make_runnable(t);
        if (!all)
            break;
    }
    sim_maybe_yield(c->env);
}

/* ---- words --------------------------------------------------------------------------------- */

void
sim_word_wait(struct env *env, _Atomic uint32_t *word, uint32_t expected, uint64_t timeout_us)
{
    struct sim *sim = sim_of(env);
    struct env_thread *self = sim_thread_self();

    sim_maybe_yield(env);
    if (atomic_load(word) != expected)
        return;
    if (self != NULL) {
        self->word = (uintptr_t)word;
        list_push_back(&sim->word_waiters, &self->word_link);
    }
    sim_block("a completion", later_ns(sim, timeout_us));
    list_remove(&self->word_link);
}

void
sim_word_wake(struct env *env, _Atomic uint32_t *word)
{
    struct sim *sim = sim_of(env);

    list_for_each_safe (t, next, &sim->word_waiters, struct env_thread, word_link) {
        if (t->word == (uintptr_t)word) {
            list_remove(&t->word_link);
            sim_make_runnable(t);
        }
    }
    sim_maybe_yield(env);
}
