/* Entry points, in the order of a lock's life: lock_acquire (grant or enqueue), lock_release
 * (hand over), lock_wait_txid and lock_txid_ended. The search for deadlocks is in lock_graph.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/txn/lock.h"

#include "engine/base/checksum.h"
#include "engine/base/mem.h"
#include "engine/txn/lock_int.h"

#define BIT(mode) (1u << (mode))

static const uint16_t row_conflicts[LOCK_MODE_COUNT] = {
    [ROW_KEY_SHARE] = BIT(ROW_UPDATE),
    [ROW_SHARE] = BIT(ROW_NO_KEY_UPDATE) | BIT(ROW_UPDATE),
    [ROW_NO_KEY_UPDATE] = BIT(ROW_SHARE) | BIT(ROW_NO_KEY_UPDATE) | BIT(ROW_UPDATE),
    [ROW_UPDATE] = BIT(ROW_KEY_SHARE) | BIT(ROW_SHARE) | BIT(ROW_NO_KEY_UPDATE) | BIT(ROW_UPDATE),
    [LOCK_TURN] = BIT(LOCK_TURN),
};

#define T_AE  BIT(TABLE_ACCESS_EXCLUSIVE)
#define T_E   BIT(TABLE_EXCLUSIVE)
#define T_SRE BIT(TABLE_SHARE_ROW_EXCLUSIVE)
#define T_S   BIT(TABLE_SHARE)
#define T_SUE BIT(TABLE_SHARE_UPDATE_EXCLUSIVE)
#define T_RE  BIT(TABLE_ROW_EXCLUSIVE)
#define T_RS  BIT(TABLE_ROW_SHARE)
#define T_AS  BIT(TABLE_ACCESS_SHARE)

static const uint16_t table_conflicts[LOCK_MODE_COUNT] = {
    [TABLE_ACCESS_SHARE] = T_AE,
    [TABLE_ROW_SHARE] = T_E | T_AE,
    [TABLE_ROW_EXCLUSIVE] = T_S | T_SRE | T_E | T_AE,
    [TABLE_SHARE_UPDATE_EXCLUSIVE] = T_SUE | T_S | T_SRE | T_E | T_AE,
    [TABLE_SHARE] = T_RE | T_SUE | T_SRE | T_E | T_AE,
    [TABLE_SHARE_ROW_EXCLUSIVE] = T_RE | T_SUE | T_S | T_SRE | T_E | T_AE,
    [TABLE_EXCLUSIVE] = T_RS | T_RE | T_SUE | T_S | T_SRE | T_E | T_AE,
    [TABLE_ACCESS_EXCLUSIVE] = T_AS | T_RS | T_RE | T_SUE | T_S | T_SRE | T_E | T_AE,
};

static bool
modes_conflict(enum lock_class class, int a, int b)
{
    const uint16_t *table = class == LOCK_ROW ? row_conflicts : table_conflicts;

    return (table[a] & BIT(b)) != 0;
}

/* Whether holding `have` makes asking for `want` needless. */
static bool
mode_covers(enum lock_class class, int have, int want)
{
    const uint16_t *table = class == LOCK_ROW ? row_conflicts : table_conflicts;

    return have == want || (have > want && (table[have] | table[want]) == table[have]);
}

struct lock_table *
lock_table_new(struct env *env, struct status_table *status)
{
    struct lock_table *l = xcalloc(1, sizeof *l);

    l->status = status;
    env_mutex_init(env, &l->graph);
    list_init(&l->waiting);
    for (int i = 0; i < LOCK_STRIPES; i++) {
        struct lock_stripe *s = &l->stripes[i];

        env_mutex_init(env, &s->mutex);
        s->bucket_count = LOCK_BUCKETS_FIRST;
        s->buckets = xcalloc(s->bucket_count, sizeof *s->buckets);
        list_init(&s->txid_waiters);
    }
    return l;
}

void
lock_table_free(struct lock_table *l)
{
    for (int i = 0; i < LOCK_STRIPES; i++) {
        CHECK(l->stripes[i].entry_count == 0);
        env_mutex_fini(&l->stripes[i].mutex);
        xfree(l->stripes[i].buckets);
    }
    env_mutex_fini(&l->graph);
    xfree(l);
}

void
lock_owner_init(struct lock_owner *o)
{
    *o = (struct lock_owner){ 0 };
    list_init(&o->holds);
    list_init(&o->graph_link);
}

/* ---- entries -------------------------------------------------------------------------------- */

static uint64_t
name_hash(struct lock_name n)
{
    return (n.id ^ n.space * 0x9e3779b97f4a7c15u ^ (uint64_t)n.class << 61) * 0xff51afd7ed558ccdu;
}

static struct lock_stripe *
stripe_of(struct lock_table *l, uint64_t hash)
{
    return &l->stripes[hash >> 56 & (LOCK_STRIPES - 1)];
}

static struct lock_entry **
bucket_of(struct lock_stripe *s, uint64_t hash)
{
    return &s->buckets[hash & (s->bucket_count - 1)];
}

static void
stripe_grow(struct lock_stripe *s)
{
    size_t old_count = s->bucket_count;
    struct lock_entry **old = s->buckets;

    s->bucket_count *= 2;
    s->buckets = xcalloc(s->bucket_count, sizeof *s->buckets);
    for (size_t i = 0; i < old_count; i++) {
        struct lock_entry *next, *e = old[i];

        for (; e != NULL; e = next) {
            struct lock_entry **b = bucket_of(s, name_hash(e->name));

            next = e->next;
            e->next = *b;
            *b = e;
        }
    }
    xfree(old);
}

static struct lock_entry *
entry_find(struct lock_stripe *s, struct lock_name n)
{
    struct lock_entry *e = *bucket_of(s, name_hash(n));

    while (e != NULL &&
           (e->name.id != n.id || e->name.space != n.space || e->name.class != n.class))
        e = e->next;
    return e;
}

static struct lock_entry *
entry_make(struct lock_stripe *s, struct lock_name n)
{
    struct lock_entry *e = entry_find(s, n);

    if (e != NULL)
        return e;
    if (s->entry_count >= s->bucket_count * 2)
        stripe_grow(s);
    e = xcalloc(1, sizeof *e);
    e->name = n;
    list_init(&e->holds);
    list_init(&e->waiters);
    e->next = *bucket_of(s, name_hash(n));
    *bucket_of(s, name_hash(n)) = e;
    s->entry_count++;
    return e;
}

static void
entry_drop_if_empty(struct lock_stripe *s, struct lock_entry *e)
{
    struct lock_entry **at;

    if (!list_empty(&e->holds) || !list_empty(&e->waiters))
        return;
    at = bucket_of(s, name_hash(e->name));
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    s->entry_count--;
    xfree(e);
}

static void
hold_add(struct lock_entry *e, struct lock_owner *o, int mode)
{
    struct lock_hold *h = xcalloc(1, sizeof *h);

    h->entry = e;
    h->owner = o;
    h->mode = mode;
    list_push_back(&e->holds, &h->entry_link);
    list_push_back(&o->holds, &h->owner_link);
}

/* ---- waiting -------------------------------------------------------------------------------- */

/* Whether `w` (or a request like it, not queued yet) may be granted; collects who is in the way:
 * the holders, and the nearest waiter ahead (those before it are in that one's way). */
static bool
may_grant(const struct lock_entry *e, struct lock_waiter *w)
{
    struct lock_waiter *ahead = NULL;

    lock_waiter_clear_blockers(w);
    list_for_each (h, &e->holds, struct lock_hold, entry_link) {
        if (h->owner != w->owner && modes_conflict(e->name.class, w->mode, h->mode))
            lock_waiter_add_blocker(w, h->owner->ticket);
    }
    list_for_each (q, &e->waiters, struct lock_waiter, queue_link) {
        if (q == w)
            break;
        if (q->owner != w->owner && modes_conflict(e->name.class, w->mode, q->mode))
            ahead = q;
    }
    if (ahead != NULL && !w->jumps_queue)
        lock_waiter_add_blocker(w, ahead->owner->ticket);
    return w->blocker_count == 0;
}

/* After something was released: hands over to those who may have it now, in order. The stripe's
 * mutex is held. */
static void
entry_hand_over(struct lock_table *l, struct lock_entry *e)
{
    list_for_each_safe (w, tmp, &e->waiters, struct lock_waiter, queue_link) {
        bool granted;

        env_mutex_lock(&l->graph);
        granted = may_grant(e, w);
        env_mutex_unlock(&l->graph);
        if (!granted)
            continue;
        list_remove(&w->queue_link);
        hold_add(e, w->owner, w->mode);
        w->granted = true;
        completion_post(&w->done);
    }
}

/* Parks until granted or refused. Called with the stripe's mutex held; leaves without it. */
static int
waiter_park(struct lock_table *l, struct lock_stripe *s, struct lock_entry *e,
            struct lock_waiter *w)
{
    int code;

    list_push_back(&e->waiters, &w->queue_link);
    env_mutex_unlock(&s->mutex);
    if (lock_graph_enter(l, w))
        completion_wait(&w->done);
    code = lock_graph_leave(l, w);

    env_mutex_lock(&s->mutex);
    if (!w->granted) {
        list_remove(&w->queue_link);
        entry_hand_over(l, e);
        entry_drop_if_empty(s, e);
        CHECK(code != 0);
    }
    env_mutex_unlock(&s->mutex);
    return w->granted && code != ERR_DEADLOCK ? 0 : code;
}

static bool
already_held(const struct lock_entry *e, const struct lock_owner *o, int mode, bool *holds_any)
{
    *holds_any = false;
    list_for_each (h, &e->holds, struct lock_hold, entry_link) {
        if (h->owner != o)
            continue;
        *holds_any = true;
        if (mode_covers(e->name.class, h->mode, mode) &&
            (h->mode == LOCK_TURN) == (mode == LOCK_TURN))
            return true;
    }
    return false;
}

static int
refuse(enum lock_wait wait)
{
    if (wait == LOCK_SKIP)
        return ERR_AGAIN;
    return DIAG(ERR_LOCK_NOT_AVAILABLE, "could not obtain lock: another transaction holds it");
}

int
lock_acquire(struct lock_table *l, struct lock_owner *o, struct lock_name name, int mode,
             enum lock_wait wait)
{
    struct lock_stripe *s = stripe_of(l, name_hash(name));
    struct lock_waiter w;
    struct lock_entry *e;
    bool granted;
    int rc;

    lock_waiter_init(&w, o, mode);
    env_mutex_lock(&s->mutex);
    e = entry_make(s, name);
    if (already_held(e, o, mode, &w.jumps_queue)) {
        env_mutex_unlock(&s->mutex);
        return 0;
    }
    granted = may_grant(e, &w);
    if (granted)
        hold_add(e, o, mode);
    if (granted || wait != LOCK_WAIT) {
        entry_drop_if_empty(s, e);
        env_mutex_unlock(&s->mutex);
        rc = granted ? 0 : refuse(wait);
    } else {
        rc = waiter_park(l, s, e, &w);
    }
    lock_waiter_fini(&w);
    return rc;
}

static void
hold_release(struct lock_table *l, struct lock_hold *h)
{
    struct lock_entry *e = h->entry;
    struct lock_stripe *s = stripe_of(l, name_hash(e->name));

    env_mutex_lock(&s->mutex);
    list_remove(&h->entry_link);
    list_remove(&h->owner_link);
    entry_hand_over(l, e);
    entry_drop_if_empty(s, e);
    env_mutex_unlock(&s->mutex);
    xfree(h);
}

void
lock_release(struct lock_table *l, struct lock_owner *o, struct lock_name name, int mode)
{
    list_for_each (h, &o->holds, struct lock_hold, owner_link) {
        if (h->mode == mode && h->entry->name.id == name.id && h->entry->name.space == name.space &&
            h->entry->name.class == name.class) {
            hold_release(l, h);
            return;
        }
    }
}

void
lock_release_all(struct lock_table *l, struct lock_owner *o)
{
    struct lock_hold *h;

    while ((h = list_first(&o->holds, struct lock_hold, owner_link)) != NULL)
        hold_release(l, h);
}

int
lock_guarded(struct lock_table *l, const struct lock_owner *o, struct lock_name name, int mode,
             int (*fn)(void *arg), void *arg)
{
    struct lock_stripe *s = stripe_of(l, name_hash(name));
    struct lock_entry *e;
    int rc = 0;

    env_mutex_lock(&s->mutex);
    e = s->entry_count != 0 ? entry_find(s, name) : NULL;
    if (e != NULL) {
        list_for_each (h, &e->holds, struct lock_hold, entry_link) {
            if (h->owner != o && h->mode != LOCK_TURN && modes_conflict(LOCK_ROW, mode, h->mode))
                rc = ERR_AGAIN;
        }
    }
    if (rc == 0)
        rc = fn(arg);
    env_mutex_unlock(&s->mutex);
    return rc;
}

/* ---- waiting for a writer -------------------------------------------------------------------- */

int
lock_wait_txid(struct lock_table *l, struct lock_owner *o, txid_t txid, enum lock_wait wait)
{
    struct lock_stripe *s = stripe_of(l, txid * 0xff51afd7ed558ccdu);
    struct lock_waiter w;
    int rc;

    if (wait != LOCK_WAIT) {
        scn_t scn;

        return status_get(l->status, txid, &scn) == TXID_OPEN ? refuse(wait) : 0;
    }
    lock_waiter_init(&w, o, 0);
    w.txid = txid;
    env_mutex_lock(&s->mutex);
    if (!status_mark_waited(l->status, txid)) {
        env_mutex_unlock(&s->mutex);
        return 0;
    }
    list_push_back(&s->txid_waiters, &w.queue_link);
    env_mutex_unlock(&s->mutex);
    if (lock_graph_enter(l, &w))
        completion_wait(&w.done);
    rc = lock_graph_leave(l, &w);
    env_mutex_lock(&s->mutex);
    list_remove(&w.queue_link);
    env_mutex_unlock(&s->mutex);
    if (w.granted && rc != ERR_DEADLOCK)
        rc = 0;
    lock_waiter_fini(&w);
    return rc;
}

void
lock_txid_ended(struct lock_table *l, txid_t txid)
{
    struct lock_stripe *s = stripe_of(l, txid * 0xff51afd7ed558ccdu);

    env_mutex_lock(&s->mutex);
    list_for_each_safe (w, tmp, &s->txid_waiters, struct lock_waiter, queue_link) {
        if (w->txid != txid)
            continue;
        list_remove(&w->queue_link);
        w->granted = true;
        completion_post(&w->done);
    }
    env_mutex_unlock(&s->mutex);
}
