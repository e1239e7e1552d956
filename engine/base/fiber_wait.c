/* What fibers wait on: completions, queues, sockets.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/env_int.h"
#include "engine/base/fiber_int.h"

/* ---- completions --------------------------------------------------------------------------- */

/* The waiter moves idle -> waiting and, when its time is up, back; a poster moves any state to
 * posted by one exchange. Only the poster that found "waiting" touches anything more, and until it
 * has queued the fiber, the fiber stays parked: so a returned wait owns the completion alone. */
enum completion_state {
    COMPLETION_IDLE,
    COMPLETION_FIBER_WAITS,
    COMPLETION_THREAD_WAITS,
    COMPLETION_POSTED,
};

void
completion_init(struct completion *c)
{
    atomic_init(&c->state, COMPLETION_IDLE);
    c->fiber = NULL;
}

void
completion_post(struct completion *c)
{
    uint32_t before = atomic_exchange(&c->state, COMPLETION_POSTED);

    if (before == COMPLETION_FIBER_WAITS) {
        struct fiber *f = c->fiber;

        if (task_self()->sched == f->sched)
            fiber_make_ready(f, FIBER_WOKEN_POSTED);
        else
            sched_post(f->sched, &f->wake);
    } else if (before == COMPLETION_THREAD_WAITS) {
        struct env *env = env_self();

        env->ops->word_wake(env, &c->state);
    }
}

bool
completion_is_posted(const struct completion *c)
{
    return atomic_load(&c->state) == COMPLETION_POSTED;
}

bool
completion_abandon(struct completion *c)
{
    uint32_t waiting = COMPLETION_FIBER_WAITS;

    return atomic_compare_exchange_strong(&c->state, &waiting, COMPLETION_IDLE);
}

static enum fiber_woken
wait_as_fiber(struct completion *c, struct fiber *f, uint64_t timeout_us, bool is_interruptible)
{
    uint32_t idle = COMPLETION_IDLE;
    enum fiber_woken woken;

    if (is_interruptible && f->is_interrupted)
        return FIBER_WOKEN_INTERRUPT;
    c->fiber = f;
    if (!atomic_compare_exchange_strong(&c->state, &idle, COMPLETION_FIBER_WAITS)) {
        CHECK(idle == COMPLETION_POSTED);
        return FIBER_WOKEN_POSTED;
    }
    f->completion = c;
    woken = fiber_park("completion", timeout_us, is_interruptible);
    f->completion = NULL;
    return woken;
}

static enum fiber_woken
wait_as_thread(struct completion *c, uint64_t timeout_us)
{
    struct env *env = env_self();
    uint64_t start_ns = timeout_us != ENV_NO_TIMEOUT ? env_boot_ns(env) : 0;
    uint32_t state = COMPLETION_IDLE;

    if (!atomic_compare_exchange_strong(&c->state, &state, COMPLETION_THREAD_WAITS)) {
        CHECK(state == COMPLETION_POSTED);
        return FIBER_WOKEN_POSTED;
    }
    while (atomic_load(&c->state) == COMPLETION_THREAD_WAITS) {
        uint64_t left_us = timeout_us;

        if (timeout_us != ENV_NO_TIMEOUT) {
            uint64_t passed_us = (env_boot_ns(env) - start_ns) / 1000;

            state = COMPLETION_THREAD_WAITS;
            if (passed_us >= timeout_us &&
                atomic_compare_exchange_strong(&c->state, &state, COMPLETION_IDLE))
                return FIBER_WOKEN_TIMEOUT;
            left_us = passed_us < timeout_us ? timeout_us - passed_us : 0;
        }
        env->ops->word_wait(env, &c->state, COMPLETION_THREAD_WAITS, left_us);
    }
    return FIBER_WOKEN_POSTED;
}

static enum fiber_woken
completion_wait_any(struct completion *c, uint64_t timeout_us, bool is_interruptible)
{
    struct fiber *f = task_self()->fiber;

    if (completion_is_posted(c))
        return FIBER_WOKEN_POSTED;
    return f != NULL ? wait_as_fiber(c, f, timeout_us, is_interruptible)
                     : wait_as_thread(c, timeout_us);
}

static int
woken_result(enum fiber_woken woken)
{
    switch (woken) {
    case FIBER_WOKEN_TIMEOUT:
        return ERR_TIMEOUT;
    case FIBER_WOKEN_INTERRUPT:
        return DIAG(ERR_QUERY_CANCELED, "canceling statement due to user request");
    case FIBER_WOKEN_POSTED:
        break;
    }
    return 0;
}

void
completion_wait(struct completion *c)
{
    (void)completion_wait_any(c, UINT64_MAX, false);
}

bool
completion_wait_us(struct completion *c, uint64_t timeout_us)
{
    return completion_wait_any(c, timeout_us, false) == FIBER_WOKEN_POSTED;
}

int
completion_wait_interruptible(struct completion *c, uint64_t timeout_us)
{
    return woken_result(completion_wait_any(c, timeout_us, true));
}

void
completion_cancel(struct completion *c)
{
    uint32_t state = atomic_load(&c->state);

    CHECK(state == COMPLETION_IDLE || state == COMPLETION_POSTED);
}

/* ---- queues -------------------------------------------------------------------------------- */

void
fiber_queue_init(struct fiber_queue *q)
{
    list_init(&q->waiters);
}

static enum fiber_woken
queue_wait_any(struct fiber_queue *q, uint64_t timeout_us, bool is_interruptible)
{
    struct fiber *f = task_self()->fiber;
    enum fiber_woken woken;

    CHECK(f != NULL);
    if (is_interruptible && f->is_interrupted)
        return FIBER_WOKEN_INTERRUPT;
    list_push_back(&q->waiters, &f->wait_link);
    woken = fiber_park("queue", timeout_us, is_interruptible);
    list_remove(&f->wait_link);
    return woken;
}

void
fiber_queue_wait(struct fiber_queue *q)
{
    (void)queue_wait_any(q, UINT64_MAX, false);
}

bool
fiber_queue_wait_us(struct fiber_queue *q, uint64_t timeout_us)
{
    return queue_wait_any(q, timeout_us, false) == FIBER_WOKEN_POSTED;
}

int
fiber_queue_wait_interruptible(struct fiber_queue *q, uint64_t timeout_us)
{
    return woken_result(queue_wait_any(q, timeout_us, true));
}

/* A fiber whose time is up, or that was interrupted, is ready already and still in the queue: it is
 * passed over, so that the wake goes to somebody who waits. */
static struct fiber *
queue_pop(struct fiber_queue *q)
{
    for (struct list *link; (link = list_pop_front(&q->waiters)) != NULL;) {
        struct fiber *f = container_of(link, struct fiber, wait_link);

        if (f->state == FIBER_PARKED)
            return f;
    }
    return NULL;
}

void
fiber_queue_wake_one(struct fiber_queue *q)
{
    struct fiber *f = queue_pop(q);

    if (f != NULL)
        fiber_make_ready(f, FIBER_WOKEN_POSTED);
}

void
fiber_queue_wake_all(struct fiber_queue *q)
{
    for (struct fiber *f; (f = queue_pop(q)) != NULL;)
        fiber_make_ready(f, FIBER_WOKEN_POSTED);
}

/* ---- sockets ------------------------------------------------------------------------------- */

static void
io_arm(struct fiber_io *io, int what)
{
    if (io->armed != what) {
        io->armed = what;
        env_event_arm(io->event, what);
    }
}

static void
io_wake(struct fiber **waiter)
{
    struct fiber *f = *waiter;

    *waiter = NULL;
    if (f->state == FIBER_PARKED)
        fiber_make_ready(f, FIBER_WOKEN_POSTED);
}

/* Reading stays armed from one wait to the next, which saves a system call per request; it is
 * disarmed only when something arrives that nobody waits for. Writing is armed only while somebody
 * waits. */
static void
io_ready_cb(void *arg, int what)
{
    struct fiber_io *io = arg;
    int armed = io->armed;

    if ((what & ENV_EV_READ) != 0 && io->reader == NULL) {
        io->ready |= ENV_EV_READ;
        armed &= ~ENV_EV_READ;
    }
    if ((what & ENV_EV_WRITE) != 0)
        armed &= ~ENV_EV_WRITE;
    io_arm(io, armed);
    if ((what & ENV_EV_READ) != 0 && io->reader != NULL)
        io_wake(&io->reader);
    if ((what & ENV_EV_WRITE) != 0 && io->writer != NULL)
        io_wake(&io->writer);
}

void
fiber_io_init(struct fiber_io *io, struct sched *s, struct env_sock *sock)
{
    *io = (struct fiber_io){ 0 };
    io->event = env_event_new(s->loop, sock, io_ready_cb, io);
}

void
fiber_io_fini(struct fiber_io *io)
{
    CHECK(io->reader == NULL && io->writer == NULL);
    env_event_free(io->event);
    io->event = NULL;
}

int
fiber_io_wait(struct fiber_io *io, int what, uint64_t timeout_us)
{
    struct fiber *f = task_self()->fiber;
    enum fiber_woken woken;

    CHECK(f != NULL && what != 0);
    if (f->is_interrupted)
        return woken_result(FIBER_WOKEN_INTERRUPT);
    if ((io->ready & what) != 0) {
        io->ready &= ~what;
        return 0;
    }
    if ((what & ENV_EV_READ) != 0) {
        CHECK(io->reader == NULL);
        io->reader = f;
    }
    if ((what & ENV_EV_WRITE) != 0) {
        CHECK(io->writer == NULL);
        io->writer = f;
    }
    io_arm(io, io->armed | what);
    woken =
        fiber_park(what == ENV_EV_WRITE ? "socket, to write" : "socket, to read", timeout_us, true);
    if (io->reader == f)
        io->reader = NULL;
    if (io->writer == f) {
        io->writer = NULL;
        io_arm(io, io->armed & ~ENV_EV_WRITE);
    }
    return woken_result(woken);
}
