/* What is visible: the last SCN such that it and all below are durable and acknowledged.
 *
 * Log threads report the end of each durable frame; a mark remembers which SCN it ends with. The
 * commit gate says up to which LSN commits may be seen; the marks at or below it are published.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mem.h"
#include "engine/txn/engine_int.h"

enum { PUBLISH_MARKS_FIRST = 1024 };

void
publisher_init(struct publisher *p, struct env *env)
{
    env_mutex_init(env, &p->mutex);
    p->mark_cap = PUBLISH_MARKS_FIRST;
    p->marks = xcalloc(p->mark_cap, sizeof *p->marks);
    list_init(&p->waiters);
}

void
publisher_fini(struct publisher *p)
{
    CHECK(list_empty(&p->waiters));
    env_mutex_fini(&p->mutex);
    xfree(p->marks);
}

static void
marks_push(struct publisher *p, struct publish_mark m)
{
    if (p->mark_count == p->mark_cap) {
        struct publish_mark *grown = xcalloc(p->mark_cap * 2, sizeof *grown);

        for (size_t i = 0; i < p->mark_count; i++)
            grown[i] = p->marks[(p->mark_first + i) % p->mark_cap];
        xfree(p->marks);
        p->marks = grown;
        p->mark_first = 0;
        p->mark_cap *= 2;
    }
    p->marks[(p->mark_first + p->mark_count++) % p->mark_cap] = m;
}

/* Moves the visible SCN over the marks that `published` has passed; the mutex is held. */
static bool
advance_locked(struct engine *e)
{
    struct publisher *p = &e->publish;
    scn_t visible = atomic_load_explicit(&p->visible, memory_order_relaxed);
    scn_t to = visible;

    while (p->mark_count > 0 && lsn_le(p->marks[p->mark_first].lsn, p->published)) {
        if (p->marks[p->mark_first].scn > to)
            to = p->marks[p->mark_first].scn;
        p->mark_first = (p->mark_first + 1) % p->mark_cap;
        p->mark_count--;
    }
    if (to == visible)
        return false;
    if (!engine_is_writable(e))
        exposed_note(e, to);
    atomic_store_explicit(&p->visible, to, memory_order_release);
    list_for_each_safe (w, tmp, &p->waiters, struct visible_waiter, link) {
        if (w->scn > to)
            continue;
        list_remove(&w->link);
        completion_post(&w->done);
    }
    return true;
}

static void
notify_watches(struct publisher *p)
{
    struct visible_watch copy[ENGINE_WATCHERS_MAX];
    scn_t visible = atomic_load_explicit(&p->visible, memory_order_relaxed);
    int count;

    env_mutex_lock(&p->mutex);
    count = p->watch_count;
    for (int i = 0; i < count; i++)
        copy[i] = p->watches[i];
    env_mutex_unlock(&p->mutex);
    for (int i = 0; i < count; i++)
        copy[i].fn(copy[i].arg, visible);
}

void
publisher_on_durable(struct engine *e, struct lsn lsn, scn_t scn)
{
    struct publisher *p = &e->publish;
    struct commit_gate gate;

    env_mutex_lock(&p->mutex);
    marks_push(p, (struct publish_mark){ lsn, scn });
    gate = p->gate;
    env_mutex_unlock(&p->mutex);
    if (gate.on_durable != NULL)
        gate.on_durable(gate.arg, lsn, scn);
    else
        engine_publish(e, lsn);
}

void
engine_publish(struct engine *e, struct lsn lsn)
{
    struct publisher *p = &e->publish;
    bool moved;

    env_mutex_lock(&p->mutex);
    if (lsn_lt(p->published, lsn))
        p->published = lsn;
    moved = advance_locked(e);
    redo_acknowledged(e->redo, p->published);
    env_mutex_unlock(&p->mutex);
    redo_kick(e->redo);
    if (moved)
        notify_watches(p);
}

struct lsn
engine_published_lsn(struct engine *e)
{
    struct publisher *p = &e->publish;
    struct lsn published, applied = engine_applied(e);

    env_mutex_lock(&p->mutex);
    published = p->published;
    env_mutex_unlock(&p->mutex);
    return !engine_is_writable(e) && lsn_lt(applied, published) ? applied : published;
}

void
publisher_mark(struct engine *e, struct lsn lsn, scn_t scn)
{
    struct publisher *p = &e->publish;

    env_mutex_lock(&p->mutex);
    marks_push(p, (struct publish_mark){ lsn, scn });
    env_mutex_unlock(&p->mutex);
}

void
publisher_lower(struct engine *e, scn_t scn)
{
    struct publisher *p = &e->publish;

    env_mutex_lock(&p->mutex);
    if (atomic_load_explicit(&p->visible, memory_order_relaxed) > scn)
        atomic_store_explicit(&p->visible, scn, memory_order_release);
    env_mutex_unlock(&p->mutex);
}

void
publisher_cut(struct engine *e, struct lsn lsn, scn_t scn)
{
    struct publisher *p = &e->publish;

    env_mutex_lock(&p->mutex);
    while (p->mark_count > 0 &&
           lsn_lt(lsn, p->marks[(p->mark_first + p->mark_count - 1) % p->mark_cap].lsn))
        p->mark_count--;
    for (size_t i = 0; i < p->mark_count; i++) {
        struct publish_mark *m = &p->marks[(p->mark_first + i) % p->mark_cap];

        if (m->scn > scn)
            m->scn = scn;
    }
    p->published = lsn_make(0);
    if (atomic_load_explicit(&p->visible, memory_order_relaxed) > scn)
        atomic_store_explicit(&p->visible, scn, memory_order_release);
    env_mutex_unlock(&p->mutex);
    notify_watches(p);
}

void
publisher_reset(struct engine *e, struct lsn lsn, scn_t scn)
{
    struct publisher *p = &e->publish;

    env_mutex_lock(&p->mutex);
    p->mark_first = p->mark_count = 0;
    p->published = lsn;
    atomic_store_explicit(&p->visible, scn, memory_order_release);
    env_mutex_unlock(&p->mutex);
    notify_watches(p);
}

scn_t
engine_visible_scn(const struct engine *e)
{
    return atomic_load_explicit(&e->publish.visible, memory_order_acquire);
}

scn_t
engine_newest_scn(const struct engine *e)
{
    if (engine_is_writable(e))
        return redo_reserved_scn(e->redo);
    return atomic_load_explicit(&e->newest, memory_order_acquire);
}

void
engine_set_gate(struct engine *e, const struct commit_gate *gate)
{
    env_mutex_lock(&e->publish.mutex);
    e->publish.gate = gate != NULL ? *gate : (struct commit_gate){ 0 };
    env_mutex_unlock(&e->publish.mutex);
}

int
engine_watch_visible(struct engine *e, const struct visible_watch *w)
{
    struct publisher *p = &e->publish;
    int rc = 0;

    env_mutex_lock(&p->mutex);
    if (p->watch_count < ENGINE_WATCHERS_MAX)
        p->watches[p->watch_count++] = *w;
    else
        rc = ERR_LIMIT;
    env_mutex_unlock(&p->mutex);
    return rc == 0 ? 0 : DIAG(rc, "more than %d watchers of the visible SCN", ENGINE_WATCHERS_MAX);
}

void
engine_unwatch_visible(struct engine *e, const struct visible_watch *w)
{
    struct publisher *p = &e->publish;

    env_mutex_lock(&p->mutex);
    for (int i = 0; i < p->watch_count; i++) {
        if (p->watches[i].fn == w->fn && p->watches[i].arg == w->arg) {
            p->watches[i] = p->watches[--p->watch_count];
            break;
        }
    }
    env_mutex_unlock(&p->mutex);
}

int
engine_wait_visible(struct engine *e, scn_t scn, uint64_t timeout_us)
{
    struct publisher *p = &e->publish;
    struct visible_waiter w = { .scn = scn };
    bool in_time = true;

    if (engine_visible_scn(e) >= scn)
        return 0;
    completion_init(&w.done);
    env_mutex_lock(&p->mutex);
    if (engine_visible_scn(e) >= scn) {
        env_mutex_unlock(&p->mutex);
        return 0;
    }
    list_push_back(&p->waiters, &w.link);
    env_mutex_unlock(&p->mutex);
    if (timeout_us == UINT64_MAX)
        completion_wait(&w.done);
    else
        in_time = completion_wait_us(&w.done, timeout_us);
    env_mutex_lock(&p->mutex);
    list_remove(&w.link);
    env_mutex_unlock(&p->mutex);
    if (!in_time)
        completion_cancel(&w.done);
    if (engine_visible_scn(e) >= scn)
        return 0;
    if (w.code != 0)
        return DIAG(w.code, "the outcome of commit %llu is not known: the node left its role",
                    (unsigned long long)scn);
    return DIAG(ERR_TIMEOUT, "SCN %llu is not visible yet", (unsigned long long)scn);
}

void
publisher_fail_waiters(struct engine *e, int code)
{
    struct publisher *p = &e->publish;
    struct list *link;

    env_mutex_lock(&p->mutex);
    while ((link = list_pop_front(&p->waiters)) != NULL) {
        struct visible_waiter *w = container_of(link, struct visible_waiter, link);

        w->code = code;
        completion_post(&w->done);
    }
    env_mutex_unlock(&p->mutex);
}
