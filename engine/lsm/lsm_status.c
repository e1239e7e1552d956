/* The txids that segments name, and the statuses that the manifest keeps for them.
 *
 * STATUS-1: the status of every txid that a segment names is durable before a recovery position
 * passes its commit record: each edit that moves positions takes along what has committed since.
 * STATUS-2: a status is let go when no segment object (of a run, a merge or a view) names it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/lsm/lsm_int.h"

enum { TXIDS_CAP_MIN = 64 };

void
lsm_txids_init(struct lsm *l)
{
    env_mutex_init(l->env, &l->txids.lock);
    l->txids.cap = TXIDS_CAP_MIN;
    l->txids.slots = xcalloc(TXIDS_CAP_MIN, sizeof *l->txids.slots);
}

void
lsm_txids_fini(struct lsm *l)
{
    xfree(l->txids.slots);
    env_mutex_fini(&l->txids.lock);
}

static size_t
slot_of(const struct lsm_txids *t, txid_t txid)
{
    size_t at = (size_t)((txid * 0x9e3779b97f4a7c15ull) >> 20) & (t->cap - 1);

    while (t->slots[at].txid != 0 && t->slots[at].txid != txid)
        at = (at + 1) & (t->cap - 1);
    return at;
}

/* Also sweeps out entries that mean nothing any more. */
static void
rehash_locked(struct lsm_txids *t)
{
    struct lsm_txid *old = t->slots;
    size_t old_cap = t->cap, used = 0;

    for (size_t i = 0; i < old_cap; i++)
        used += old[i].txid != 0 && (old[i].refs != 0 || old[i].kept);
    while (t->cap > TXIDS_CAP_MIN && used * 8 < t->cap)
        t->cap /= 2;
    while (used * 2 >= t->cap)
        t->cap *= 2;
    t->slots = xcalloc(t->cap, sizeof *t->slots);
    t->count = used;
    for (size_t i = 0; i < old_cap; i++)
        if (old[i].txid != 0 && (old[i].refs != 0 || old[i].kept))
            t->slots[slot_of(t, old[i].txid)] = old[i];
    xfree(old);
}

static struct lsm_txid *
make_locked(struct lsm_txids *t, txid_t txid)
{
    struct lsm_txid *at = &t->slots[slot_of(t, txid)];

    if (at->txid == txid)
        return at;
    if ((t->count + 1) * 4 >= t->cap * 3) {
        rehash_locked(t);
        at = &t->slots[slot_of(t, txid)];
    }
    *at = (struct lsm_txid){ .txid = txid };
    t->count++;
    return at;
}

void
lsm_txids_ref(struct lsm *l, const txid_t *txids, size_t count)
{
    if (count == 0)
        return;
    env_mutex_lock(&l->txids.lock);
    for (size_t i = 0; i < count; i++)
        make_locked(&l->txids, txids[i])->refs++;
    env_mutex_unlock(&l->txids.lock);
}

void
lsm_txids_unref(struct lsm *l, const txid_t *txids, size_t count)
{
    if (count == 0)
        return;
    env_mutex_lock(&l->txids.lock);
    for (size_t i = 0; i < count; i++) {
        struct lsm_txid *at = &l->txids.slots[slot_of(&l->txids, txids[i])];

        CHECK(at->txid == txids[i] && at->refs > 0);
        at->refs--;
    }
    env_mutex_unlock(&l->txids.lock);
}

void
lsm_txids_load_kept(struct lsm *l, txid_t txid, scn_t scn)
{
    struct lsm_txid *at;

    env_mutex_lock(&l->txids.lock);
    at = make_locked(&l->txids, txid);
    at->kept = true;
    at->scn = scn;
    env_mutex_unlock(&l->txids.lock);
}

bool
lsm_names_txid(struct lsm *l, txid_t txid)
{
    const struct lsm_txid *at;
    bool named;

    env_mutex_lock(&l->txids.lock);
    at = &l->txids.slots[slot_of(&l->txids, txid)];
    named = at->txid == txid && at->refs != 0;
    env_mutex_unlock(&l->txids.lock);
    return named;
}

void
lsm_each_status(struct lsm *l, void (*fn)(void *arg, txid_t txid, scn_t scn), void *arg)
{
    for (size_t i = 0; i < l->txids.cap; i++)
        if (l->txids.slots[i].kept)
            fn(arg, l->txids.slots[i].txid, l->txids.slots[i].scn);
}

static void
edit_entry_locked(struct lsm *l, struct manifest_edit *e, struct lsm_txid *at)
{
    if (at->txid == 0)
        return;
    if (at->refs == 0 && at->kept) {
        lsm_remove_u64(e, MANIFEST_STATUS, at->txid);
        at->kept = false; /* if the edit fails, it only stays in the manifest for longer */
        return;
    }
    if (at->refs != 0 && !at->kept && !lsm_is_broken(l, LSM_BREAK_STATUS_1) &&
        l->host.resolve(l->host.arg, at->txid, &at->scn) == LSM_COMMITTED) {
        lsm_put_u64(e, MANIFEST_STATUS, at->txid, at->scn);
        at->kept = at->adding = true;
    }
}

void
lsm_edit_done(struct lsm *l, bool durable)
{
    env_mutex_lock(&l->txids.lock);
    for (size_t i = 0; i < l->txids.cap; i++) {
        struct lsm_txid *at = &l->txids.slots[i];

        if (at->adding)
            at->kept = durable;
        at->adding = false;
    }
    env_mutex_unlock(&l->txids.lock);
    lsm_trees_edit_done(l, durable);
    lsm_stretches_edit_done(l, durable);
}

void
lsm_txids_edit(struct lsm *l, struct manifest_edit *e)
{
    env_mutex_lock(&l->txids.lock);
    for (size_t i = 0; i < l->txids.cap; i++)
        edit_entry_locked(l, e, &l->txids.slots[i]);
    env_mutex_unlock(&l->txids.lock);
}

/* ---- what memtables need ----------------------------------------------------------------------
 */

/* Stamps every version whose transaction has ended. */
static void
stamp_all(struct lsm *l, struct lsm_mem *m)
{
    uint64_t ended = l->host.ended(l->host.arg);
    struct memtable_iter it;

    memtable_iter_init(&it, m->table);
    for (memtable_iter_first(&it); it.entry != NULL; memtable_iter_next(&it)) {
        for (struct memtable_version *v = memtable_entry_newest(it.entry); v != NULL;
             v = memtable_version_older(v)) {
            stamp_t stamp;
            scn_t scn;

            if (lsm_mem_status(&l->host, v, &stamp, &scn) == LSM_DEAD && stamp_is_txid(stamp))
                (void)memtable_resolve(v, stamp, LSM_STAMP_DEAD);
        }
    }
    atomic_store(&m->stamped_through, ended);
}

uint64_t
lsm_status_floor(struct lsm *l, bool work)
{
    uint64_t floor = l->host.ended(l->host.arg);
    struct lsm_mem **all;
    size_t count = 0;

    env_mutex_lock(&l->mems_lock);
    list_for_each (m, &l->mems, struct lsm_mem, link)
        count++;
    all = xmalloc((count + 1) * sizeof *all);
    count = 0;
    list_for_each (m, &l->mems, struct lsm_mem, link) {
        lsm_mem_ref(m);
        all[count++] = m;
    }
    env_mutex_unlock(&l->mems_lock);
    for (size_t i = 0; i < count; i++) {
        uint64_t through;

        if (work)
            stamp_all(l, all[i]);
        through = atomic_load(&all[i]->stamped_through);
        if (through < floor)
            floor = through;
        lsm_mem_unref(all[i]);
    }
    xfree(all);
    return floor;
}
