/* Publishing: writes come back from the disk in any order and become durable in the order of the
 * log (LOG-2).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/redo/redo_int.h"

/* Blocks while too many writes are back and not published: whoever publishes is inside a callback.
 */
uint64_t
redo_publish_issue(struct redo *r, const struct redo_pos *end, uint64_t bytes)
{
    uint64_t ticket;

    env_mutex_lock(&r->publish.lock);
    while (r->publish.end - r->publish.first == REDO_WRITES_PENDING)
        env_cond_wait(&r->publish.changed, &r->publish.lock);
    ticket = r->publish.end++;
    r->publish.writes[ticket % REDO_WRITES_PENDING] = (struct redo_write){ .end = *end };
    r->publish.in_flight++;
    r->publish.write_count++;
    r->publish.written_bytes += bytes;
    env_mutex_unlock(&r->publish.lock);
    return ticket;
}

static void
publish_tell(struct redo *r, const struct redo_pos *pos)
{
    env_mutex_lock(&r->durable_listen);
    list_for_each (l, &r->listeners, struct redo_listener, link) {
        if (l->on_durable != NULL)
            l->on_durable(l->arg, pos);
    }
    env_mutex_unlock(&r->durable_listen);
}

static void
publish_wake_locked(struct redo *r)
{
    struct redo_waiter *w;

    while ((w = list_first(&r->publish.waiters, struct redo_waiter, link)) != NULL &&
           w->lsn <= r->publish.durable.lsn.v) {
        list_remove(&w->link);
        completion_post(&w->done);
    }
}

/* One thread at a time publishes; another that comes back meanwhile leaves its write to it. */
void
redo_publish_done(struct redo *r, uint64_t ticket)
{
    env_mutex_lock(&r->publish.lock);
    r->publish.writes[ticket % REDO_WRITES_PENDING].is_done = true;
    r->publish.in_flight--;
    env_cond_broadcast(&r->publish.changed);
    if (r->publish.is_publishing) {
        env_mutex_unlock(&r->publish.lock);
        return;
    }
    r->publish.is_publishing = true;
    while (r->publish.first != r->publish.end &&
           r->publish.writes[r->publish.first % REDO_WRITES_PENDING].is_done) {
        struct redo_pos pos;

        while (r->publish.first != r->publish.end &&
               r->publish.writes[r->publish.first % REDO_WRITES_PENDING].is_done) {
            r->publish.durable = r->publish.writes[r->publish.first % REDO_WRITES_PENDING].end;
            r->publish.first++;
        }
        pos = r->publish.durable;
        atomic_store(&r->publish.durable_lsn, pos.lsn.v);
        env_cond_broadcast(&r->publish.changed);
        env_mutex_unlock(&r->publish.lock);
        publish_tell(r, &pos);
        env_mutex_lock(&r->publish.lock);
        publish_wake_locked(r);
    }
    r->publish.is_publishing = false;
    env_cond_broadcast(&r->publish.changed);
    env_mutex_unlock(&r->publish.lock);
}

void
redo_publish_settle(struct redo *r)
{
    env_mutex_lock(&r->publish.lock);
    while (r->publish.in_flight > 0 || r->publish.is_publishing ||
           r->publish.first != r->publish.end)
        env_cond_wait(&r->publish.changed, &r->publish.lock);
    env_mutex_unlock(&r->publish.lock);
}

void
redo_publish_stop(struct redo *r)
{
    struct list *link;

    env_mutex_lock(&r->publish.lock);
    r->publish.is_live = false;
    publish_wake_locked(r);
    while ((link = list_pop_front(&r->publish.waiters)) != NULL) {
        struct redo_waiter *w = container_of(link, struct redo_waiter, link);

        w->rc = ERR_STOPPED;
        completion_post(&w->done);
    }
    env_mutex_unlock(&r->publish.lock);
}

int
redo_wait_durable(struct redo *r, struct lsn lsn)
{
    struct redo_waiter w = { .lsn = lsn.v };
    struct list *at;

    if (lsn.v <= atomic_load(&r->publish.durable_lsn))
        return 0;
    completion_init(&w.done);
    env_mutex_lock(&r->publish.lock);
    if (lsn_le(lsn, r->publish.durable.lsn) || !r->publish.is_live) {
        bool reached = lsn_le(lsn, r->publish.durable.lsn);

        env_mutex_unlock(&r->publish.lock);
        return reached
                   ? 0
                   : DIAG(ERR_STOPPED, "the log was stopped below %llx", (unsigned long long)lsn.v);
    }
    /* Ascending; most come in order. */
    for (at = r->publish.waiters.prev; at != &r->publish.waiters; at = at->prev) {
        if (container_of(at, struct redo_waiter, link)->lsn <= w.lsn)
            break;
    }
    list_push_front(at, &w.link);
    env_mutex_unlock(&r->publish.lock);
    redo_kick(r);
    completion_wait(&w.done);
    if (w.rc != 0)
        return DIAG(w.rc, "the log was stopped below %llx", (unsigned long long)lsn.v);
    return 0;
}

struct lsn
redo_durable(const struct redo *r)
{
    return lsn_make(atomic_load(&r->publish.durable_lsn));
}

struct redo_pos
redo_durable_pos(struct redo *r)
{
    struct redo_pos pos;

    env_mutex_lock(&r->publish.lock);
    pos = r->publish.durable;
    env_mutex_unlock(&r->publish.lock);
    return pos;
}
