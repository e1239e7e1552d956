/* The real world's event loops, on libevent's raw events.
 *
 * A loop belongs to one thread, so the base has no locks; other threads wake it through an eventfd.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/env_posix_int.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct env_loop {
    struct env *env;
    struct event_base *base;
    struct event wake_event;
    struct event limit_event; /* ends a wait that has a limit */
    int wake_fd;
};

/* Reading and writing are two events, so that arming one leaves the other alone. */
struct env_event {
    struct env *env;
    void (*fn)(void *arg, int what);
    void *arg;
    int armed; /* ENV_EV_*; bits of what is added */
    bool is_timer;
    struct event read_event; /* or the timer */
    struct event write_event;
};

/* Edge-triggered: each write is an event of its own, and nothing has to be read away. */
static void
wake_cb(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
}

static void
limit_cb(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
}

struct env_loop *
posix_loop_new(struct env *env)
{
    struct env_loop *l = xcalloc(1, sizeof *l);
    struct event_config *config = event_config_new();

    CHECK(config != NULL);
    CHECK(event_config_require_features(config, EV_FEATURE_ET) == 0);
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
    l->env = env;
    l->base = event_base_new_with_config(config);
    event_config_free(config);
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->base == NULL || l->wake_fd < 0)
        PANIC("could not make an event loop: %s", strerror(errno));
    event_assign(&l->wake_event, l->base, l->wake_fd, EV_READ | EV_PERSIST | EV_ET, wake_cb, l);
    event_add(&l->wake_event, NULL);
    evtimer_assign(&l->limit_event, l->base, limit_cb, l);
    return l;
}

void
posix_loop_free(struct env_loop *l)
{
    event_del(&l->wake_event);
    event_del(&l->limit_event);
    event_base_free(l->base);
    close(l->wake_fd);
    xfree(l);
}

static struct timeval
timeval_us(uint64_t us)
{
    uint64_t s = us / 1000000 < INT32_MAX ? us / 1000000 : INT32_MAX;

    return (struct timeval){ .tv_sec = (time_t)s, .tv_usec = (suseconds_t)(us % 1000000) };
}

void
posix_loop_run_once(struct env_loop *l, int64_t timeout_us)
{
    if (timeout_us == 0) {
        /* NONBLOCK alone goes on while anything is active. */
        event_base_loop(l->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        return;
    }
    if (timeout_us > 0) {
        struct timeval tv = timeval_us((uint64_t)timeout_us);

        event_add(&l->limit_event, &tv);
    }
    event_base_loop(l->base, EVLOOP_ONCE);
    if (timeout_us > 0)
        event_del(&l->limit_event);
}

void
posix_loop_wake(struct env_loop *l)
{
    uint64_t one = 1;

    while (write(l->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

/* ---- events -------------------------------------------------------------------------------- */

static void
event_cb(evutil_socket_t fd, short what, void *arg)
{
    struct env_event *e = arg;
    int ready =
        ((what & EV_READ) != 0 ? ENV_EV_READ : 0) | ((what & EV_WRITE) != 0 ? ENV_EV_WRITE : 0);

    (void)fd;
    e->fn(e->arg, ready);
}

static struct env_event *
event_make(struct env_loop *l, void (*fn)(void *, int), void *arg)
{
    struct env_event *e = xcalloc(1, sizeof *e);

    e->env = l->env;
    e->fn = fn;
    e->arg = arg;
    return e;
}

struct env_event *
posix_event_new(struct env_loop *l, struct env_sock *s, void (*fn)(void *, int), void *arg)
{
    struct env_event *e = event_make(l, fn, arg);

    event_assign(&e->read_event, l->base, s->fd, EV_READ | EV_PERSIST, event_cb, e);
    event_assign(&e->write_event, l->base, s->fd, EV_WRITE | EV_PERSIST, event_cb, e);
    return e;
}

static void
arm_one(struct env_event *e, struct event *ev, int bit, int what)
{
    if ((what & bit) != 0 && (e->armed & bit) == 0)
        CHECK(event_add(ev, NULL) == 0);
    else if ((what & bit) == 0 && (e->armed & bit) != 0)
        event_del(ev);
}

void
posix_event_arm(struct env_event *e, int what)
{
    arm_one(e, &e->read_event, ENV_EV_READ, what);
    arm_one(e, &e->write_event, ENV_EV_WRITE, what);
    e->armed = what;
}

void
posix_event_free(struct env_event *e)
{
    event_del(&e->read_event);
    if (!e->is_timer)
        event_del(&e->write_event);
    xfree(e);
}

static void
timer_cb(evutil_socket_t fd, short what, void *arg)
{
    struct env_event *e = arg;

    (void)fd, (void)what;
    e->fn(e->arg, 0);
}

struct env_event *
posix_timer_new(struct env_loop *l, void (*fn)(void *, int), void *arg)
{
    struct env_event *e = event_make(l, fn, arg);

    e->is_timer = true;
    evtimer_assign(&e->read_event, l->base, timer_cb, e);
    return e;
}

void
posix_timer_arm(struct env_event *t, uint64_t delay_us)
{
    struct timeval tv = timeval_us(delay_us);

    CHECK(event_add(&t->read_event, &tv) == 0);
}

void
posix_timer_disarm(struct env_event *t)
{
    event_del(&t->read_event);
}
