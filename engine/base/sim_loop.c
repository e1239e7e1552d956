/* The simulated world's event loops: level-triggered, like the real ones.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/sim_int.h"

struct env_loop *
sim_loop_new(struct env *env)
{
    struct env_loop *l = sim_alloc(sizeof *l);

    l->env = env;
    list_init(&l->events);
    list_init(&l->firing);
    list_push_back(&sim_node_of(env)->loops, &l->node_link);
    return l;
}

void
sim_loop_free(struct env_loop *l)
{
    list_for_each_safe (e, next, &l->events, struct env_event, loop_link)
        sim_event_free(e);
    list_remove(&l->node_link);
    xfree(l);
}

void
sim_loop_poke(struct env_loop *l)
{
    if (l->waiter != NULL)
        sim_make_runnable(l->waiter);
}

void
sim_loop_wake(struct env_loop *l)
{
    struct env *env = l->env;

    l->is_woken = true;
    sim_loop_poke(l);
    sim_maybe_yield(env);
}

/* Puts what is ready in l->firing, in any order. */
static bool
loop_collect(struct env_loop *l)
{
    struct sim *sim = sim_of(l->env);

    list_for_each (e, &l->events, struct env_event, loop_link) {
        e->ready = e->sock != NULL && e->armed != 0 ? sim_sock_readiness(e->sock) & e->armed : 0;
        if (e->ready == 0 && !e->is_expired)
            continue;
        if (sim_chance(sim, 1, 2))
            list_push_front(&l->firing, &e->firing_link);
        else
            list_push_back(&l->firing, &e->firing_link);
    }
    return !list_empty(&l->firing);
}

void
sim_loop_run_once(struct env_loop *l, int64_t timeout_us)
{
    struct sim *sim = sim_of(l->env);
    uint64_t until_ns = timeout_us < 0 ? UINT64_MAX : sim->now_ns + (uint64_t)timeout_us * 1000;
    bool in_time = timeout_us != 0;
    struct list *link;

    sim_yield(l->env);
    while (!loop_collect(l) && !l->is_woken && in_time) {
        l->waiter = sim_thread_self();
        in_time = sim_block("events", until_ns);
        l->waiter = NULL;
    }
    l->is_woken = false;
    while ((link = list_pop_front(&l->firing)) != NULL) {
        struct env_event *e = container_of(link, struct env_event, firing_link);

        e->is_expired = false;
        if (e->sock == NULL)
            e->fn(e->arg, 0);
        else if ((e->ready & e->armed) != 0)
            e->fn(e->arg, e->ready & e->armed);
    }
}

/* ---- events -------------------------------------------------------------------------------- */

static void
event_timer_fire(struct sim *sim, struct sim_timer *t)
{
    struct env_event *e = container_of(t, struct env_event, timer);

    (void)sim;
    e->is_expired = true;
    sim_loop_poke(e->loop);
}

static struct env_event *
event_make(struct env_loop *l, void (*fn)(void *, int), void *arg)
{
    struct env_event *e = sim_alloc(sizeof *e);

    e->env = l->env;
    e->loop = l;
    e->fn = fn;
    e->arg = arg;
    list_init(&e->firing_link);
    list_push_back(&l->events, &e->loop_link);
    sim_timer_init(&e->timer, event_timer_fire);
    return e;
}

struct env_event *
sim_event_new(struct env_loop *l, struct env_sock *s, void (*fn)(void *, int), void *arg)
{
    struct env_event *e = event_make(l, fn, arg);

    CHECK(s->event == NULL);
    e->sock = s;
    s->event = e;
    return e;
}

void
sim_event_arm(struct env_event *e, int what)
{
    e->armed = what;
}

void
sim_event_free(struct env_event *e)
{
    sim_timer_clear(sim_of(e->env), &e->timer);
    if (e->sock != NULL)
        e->sock->event = NULL;
    list_remove(&e->firing_link);
    list_remove(&e->loop_link);
    xfree(e);
}

struct env_event *
sim_timer_event_new(struct env_loop *l, void (*fn)(void *, int), void *arg)
{
    return event_make(l, fn, arg);
}

void
sim_timer_event_arm(struct env_event *t, uint64_t delay_us)
{
    struct sim *sim = sim_of(t->env);

    t->is_expired = false;
    list_remove(&t->firing_link);
    if (delay_us < (UINT64_MAX - sim->now_ns) / 1000)
        sim_timer_set(sim, &t->timer, sim->now_ns + delay_us * 1000);
    else
        sim_timer_clear(sim, &t->timer);
}

void
sim_timer_event_disarm(struct env_event *t)
{
    t->is_expired = false;
    list_remove(&t->firing_link);
    sim_timer_clear(sim_of(t->env), &t->timer);
}
