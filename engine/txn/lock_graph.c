/* Who waits for whom, and the search for a cycle.
 *
 * The nodes are the owners that wait now; a waiter names whom it waits for by ticket, or by txid.
 * Only somebody who begins to wait can close a cycle, so the search starts there.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mem.h"
#include "engine/txn/lock_int.h"

void
lock_waiter_init(struct lock_waiter *w, struct lock_owner *o, int mode)
{
    *w = (struct lock_waiter){ .owner = o, .mode = mode };
    w->blockers = w->blockers_inline;
    w->blocker_cap = LOCK_BLOCKERS_INLINE;
    list_init(&w->queue_link);
    completion_init(&w->done);
}

void
lock_waiter_fini(struct lock_waiter *w)
{
    if (w->blockers != w->blockers_inline)
        xfree(w->blockers);
}

void
lock_waiter_clear_blockers(struct lock_waiter *w)
{
    w->blocker_count = 0;
}

void
lock_waiter_add_blocker(struct lock_waiter *w, uint64_t ticket)
{
    if (w->blocker_count == w->blocker_cap) {
        uint64_t *grown = xmalloc(2 * w->blocker_cap * sizeof *grown);

        for (size_t i = 0; i < w->blocker_count; i++)
            grown[i] = w->blockers[i];
        lock_waiter_fini(w);
        w->blockers = grown;
        w->blocker_cap *= 2;
    }
    w->blockers[w->blocker_count++] = ticket;
}

void
lock_owner_set_txids(struct lock_table *l, struct lock_owner *o, const txid_t *txids, size_t count)
{
    env_mutex_lock(&l->graph);
    o->txids = txids;
    o->txid_count = count;
    env_mutex_unlock(&l->graph);
}

static bool
owner_has_txid(const struct lock_owner *o, txid_t txid)
{
    for (size_t i = 0; i < o->txid_count; i++)
        if (o->txids[i] == txid)
            return true;
    return false;
}

static bool
waits_for(const struct lock_waiter *w, const struct lock_owner *o)
{
    if (w->txid != 0)
        return owner_has_txid(o, w->txid);
    for (size_t i = 0; i < w->blocker_count; i++)
        if (w->blockers[i] == o->ticket)
            return true;
    return false;
}

/* Looks for a way from `from` back to `start`, marking what it has seen; the stack is the list of
 * waiting owners itself, so the depth is not the fiber's. Returns the youngest owner on the way, or
 * NULL. */
struct search {
    struct lock_owner **path; /* owners entered, in order */
    size_t depth, cap;
};

static struct lock_owner *
next_unseen(struct lock_table *l, const struct lock_owner *at, struct lock_owner *start,
            bool *closed)
{
    *closed = false;
    list_for_each (o, &l->waiting, struct lock_owner, graph_link) {
        if (!waits_for(at->waiter, o))
            continue;
        if (o == start) {
            *closed = true;
            return o;
        }
        if (o->visit != l->searches && o->waiter->refused == 0)
            return o;
    }
    return NULL;
}

static void
search_push(struct search *s, struct lock_owner *o)
{
    if (s->depth == s->cap) {
        s->cap = s->cap != 0 ? 2 * s->cap : 16;
        s->path = xrealloc(s->path, s->cap * sizeof(struct lock_owner *));
    }
    s->path[s->depth++] = o;
}

static struct lock_owner *
find_victim(struct lock_table *l, struct lock_owner *start)
{
    struct search s = { 0 };
    struct lock_owner *victim = NULL;

    l->searches++;
    start->visit = l->searches;
    search_push(&s, start);
    while (s.depth > 0 && victim == NULL) {
        bool closed;
        struct lock_owner *next = next_unseen(l, s.path[s.depth - 1], start, &closed);

        if (closed) {
            victim = start;
            for (size_t i = 0; i < s.depth; i++)
                if (s.path[i]->ticket > victim->ticket)
                    victim = s.path[i];
        } else if (next != NULL) {
            next->visit = l->searches;
            search_push(&s, next);
        } else {
            s.depth--;
        }
    }
    xfree(s.path);
    return victim;
}

bool
lock_graph_enter(struct lock_table *l, struct lock_waiter *w)
{
    struct lock_owner *victim;

    atomic_fetch_add_explicit(&l->wait_count, 1, memory_order_relaxed);
    env_mutex_lock(&l->graph);
    w->owner->waiter = w;
    list_push_back(&l->waiting, &w->owner->graph_link);
    /* One wait may close several cycles; each loses its youngest. */
    while (w->refused == 0 && (victim = find_victim(l, w->owner)) != NULL) {
        victim->waiter->refused = ERR_DEADLOCK;
        atomic_fetch_add_explicit(&l->deadlock_count, 1, memory_order_relaxed);
        if (victim != w->owner)
            completion_post(&victim->waiter->done);
    }
    env_mutex_unlock(&l->graph);
    return w->refused == 0;
}

int
lock_graph_leave(struct lock_table *l, struct lock_waiter *w)
{
    int code;

    env_mutex_lock(&l->graph);
    list_remove(&w->owner->graph_link);
    w->owner->waiter = NULL;
    code = w->refused;
    env_mutex_unlock(&l->graph);
    if (code == ERR_DEADLOCK) {
        (void)DIAG(ERR_DEADLOCK, "deadlock detected");
        diag_detail("Transactions wait for each other in a circle; the youngest was refused.");
        diag_hint("Roll back and try the transaction again.");
    } else if (code == ERR_QUERY_CANCELED) {
        (void)DIAG(ERR_QUERY_CANCELED, "canceling statement due to user request");
    } else if (code != 0) {
        (void)DIAG(code, "waiting for a lock was ended because the node is leaving its role");
    }
    return code;
}

void
lock_cancel(struct lock_table *l, struct lock_owner *o, int code)
{
    env_mutex_lock(&l->graph);
    if (o->waiter != NULL && o->waiter->refused == 0) {
        o->waiter->refused = code;
        completion_post(&o->waiter->done);
    }
    env_mutex_unlock(&l->graph);
}

bool
lock_owner_waits(struct lock_table *l, const struct lock_owner *o)
{
    bool waits;

    env_mutex_lock(&l->graph);
    waits = o->waiter != NULL;
    env_mutex_unlock(&l->graph);
    return waits;
}

void
lock_get_figures(const struct lock_table *l, struct lock_figures *out)
{
    *out = (struct lock_figures){
        .waits = atomic_load_explicit(&l->wait_count, memory_order_relaxed),
        .deadlocks = atomic_load_explicit(&l->deadlock_count, memory_order_relaxed),
    };
}
