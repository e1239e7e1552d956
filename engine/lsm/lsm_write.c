/* Writing: the newest version of a key, adding one on top of it, sealing.
 *
 * A write is optimistic. lsm_newest looks and gives a token: which memtable was active and what
 * stood on top of the key there. lsm_write adds only if both are still so. Everything new goes into
 * the active memtable, so nothing newer can have come anywhere else.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/lsm/filter.h"
#include "engine/lsm/lsm_int.h"

/* In a token: there was no active memtable when the view of this generation was read. */
#define TOKEN_NO_MEMTABLE ((uint64_t)1 << 63)

/* ---- the newest version -----------------------------------------------------------------------
 */

/* Whether this version is the newest one that counts. */
static bool
take(const struct version_ref *ref, enum lsm_status status, scn_t scn, scn_t part,
     struct lsm_newest *out)
{
    if (status == LSM_DEAD || (status == LSM_COMMITTED && scn > part))
        return false;
    out->found = true;
    out->status = status;
    out->stamp = status == LSM_COMMITTED ? scn : ref->stamp;
    out->seq = ref->seq;
    out->kind = ref->kind;
    out->value = ref->value;
    return true;
}

static void
keep_value(struct lsm_newest *out, struct arena *arena)
{
    if (out->value.size != 0)
        out->value.data = arena_memdup(arena, out->value.data, out->value.size);
}

static bool
newest_in_mem(const struct lsm_view *v, const struct lsm_mem_slot *slot, struct slice key,
              struct memtable_version **head, struct lsm_newest *out)
{
    struct memtable_entry *entry = memtable_lookup(slot->mem->table, key);
    struct memtable_version *at = entry == NULL ? NULL : memtable_entry_newest(entry);

    *head = at;
    for (; at != NULL; at = memtable_version_older(at)) {
        struct version_ref ref = memtable_version_ref(entry, at);
        scn_t scn = 0;
        enum lsm_status status = lsm_mem_status(v->host, at, &ref.stamp, &scn);

        if (take(&ref, status, scn, slot->part, out))
            return true;
    }
    return false;
}

MUST_CHECK
static int
newest_in_file(const struct lsm_view *v, const struct lsm_slot *slot, struct slice key,
               uint64_t hash, struct arena *arena, struct lsm_newest *out)
{
    struct segment_cursor c;
    int rc;

    if (!segment_maybe(slot->file->segment, key, hash))
        return 0;
    rc = segment_get(slot->file->segment, key, hash, &c);
    while (rc == 0 && c.valid) {
        scn_t scn = 0;
        enum lsm_status status = lsm_stamp_status(v->host, c.v.stamp, &scn);

        if (take(&c.v, status, scn, slot->part, out)) {
            keep_value(out, arena);
            break;
        }
        rc = segment_cursor_next(&c);
    }
    if (rc == 0)
        segment_cursor_close(&c);
    return rc;
}

/* READ-2: entries that a cut has made current again compete with the newest of main. */
MUST_CHECK
static int
newest_revived(const struct lsm_view *v, struct slice key, uint64_t hash, struct arena *arena,
               struct lsm_newest *out)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < v->revived_count; i++) {
        const struct lsm_slot *slot = &v->undo[i];
        struct segment_cursor c;

        if (!segment_maybe(slot->file->segment, key, hash))
            continue;
        rc = segment_get(slot->file->segment, key, hash, &c);
        while (rc == 0 && c.valid) {
            bool current = c.v.stamp <= slot->part && c.v.superseded > slot->part;

            if (current &&
                (!out->found || version_order(c.v.stamp, c.v.seq, out->stamp, out->seq) < 0)) {
                (void)take(&c.v, LSM_COMMITTED, c.v.stamp, slot->part, out);
                keep_value(out, arena);
            }
            rc = segment_cursor_next(&c);
        }
        if (rc == 0)
            segment_cursor_close(&c);
    }
    return rc;
}

int
lsm_newest(struct lsm_view *v, struct slice key, struct arena *arena, struct lsm_newest *out)
{
    uint64_t hash = 0;
    int rc = 0;

    memset(out, 0, sizeof *out);
    out->token[0] = TOKEN_NO_MEMTABLE | v->generation;
    for (uint32_t i = 0; i < v->mem_count && !out->found; i++) {
        struct memtable_version *head;

        (void)newest_in_mem(v, &v->mems[i], key, &head, out);
        if (i == 0 && v->has_active) {
            out->token[0] = v->mems[0].mem->number;
            out->token[1] = (uint64_t)(uintptr_t)head;
        }
    }
    if (!out->found && (v->run_count != 0 || v->revived_count != 0))
        hash = filter_hash(key);
    for (uint32_t i = 0; rc == 0 && !out->found && i < v->run_count; i++) {
        const struct lsm_slot *slot = lsm_run_find(&v->runs[i], key);

        if (slot != NULL)
            rc = newest_in_file(v, slot, key, hash, arena, out);
    }
    if (rc == 0 && v->revived_count != 0 && !(out->found && out->status == LSM_OPEN))
        rc = newest_revived(v, key, filter_hash(key), arena, out);
    return rc;
}

/* ---- adding -----------------------------------------------------------------------------------
 */

/* Where the records of what a new memtable will hold begin, noted before anybody can write there.
 * What is read again lies below, but is accounted for by its stretch; in recovery nothing is given
 * to the tree that lies below its position, but for that. */
static uint64_t
start_of(struct lsm_tree *t)
{
    struct lsm *l = t->lsm;
    incarnation_t inc;
    uint64_t floor = l->host.floor(l->host.arg, &inc).v, own, again = atomic_load(&l->rereading);

    if (again > floor)
        return again;
    if (l->replaying) {
        own = lsm_position_of(t, atomic_load(&l->write_tag));
        if (own > floor && own != UINT64_MAX)
            return own;
    }
    return floor;
}

/* Gives the tree an active memtable if its view is still of this generation. */
MUST_CHECK
static int
make_active(struct lsm_tree *t, uint64_t generation, uint64_t *number)
{
    struct lsm_view *v;
    struct lsm_draft d;
    struct lsm_mem *m, **mems;

    env_mutex_lock(&t->lock);
    v = lsm_view_current_locked(t);
    if (v->generation != generation || v->has_active || atomic_load(&t->removed)) {
        env_mutex_unlock(&t->lock);
        return ERR_AGAIN;
    }
    m = lsm_mem_new(t, start_of(t));
    lsm_draft_init(&d, t, v);
    mems = ARENA_ARRAY(&d.arena, struct lsm_mem *, d.mem_count + 1);
    mems[0] = m;
    for (size_t i = 0; i < d.mem_count; i++)
        mems[i + 1] = d.mems[i];
    d.mems = mems;
    d.mem_count++;
    d.has_active = true;
    lsm_draft_publish_locked(&d);
    lsm_draft_fini(&d);
    *number = m->number;
    lsm_mem_unref(m);
    env_mutex_unlock(&t->lock);
    return 0;
}

/* A memtable is being swapped by somebody who holds tree.lock. */
static void
wait_for_swap(struct lsm_tree *t)
{
    env_mutex_lock(&t->lock);
    env_mutex_unlock(&t->lock);
}

static void
after_add(struct lsm_tree *t, struct lsm_mem *m)
{
    struct lsm *l = t->lsm;

    if (l->o.no_background)
        return;
    if (memtable_bytes(m->table) >= l->o.memtable_each && !atomic_load(&t->seal_wanted) &&
        !atomic_exchange(&t->seal_wanted, true))
        lsm_work_queue(t);
    if (lsm_unflushed_bytes(l) > l->o.memtable_bytes / 2 &&
        !atomic_load_explicit(&l->pressure, memory_order_relaxed) &&
        !atomic_exchange(&l->pressure, true))
        lsm_work_wake(l);
}

MUST_CHECK
static int
add_to(struct lsm_tree *t, struct lsm_mem *m, const uint64_t *expected,
       const struct version_ref *ref)
{
    unsigned lane = (unsigned)(ref->stamp % LSM_LANES);
    int rc;

    if (!memtable_enter(m->table, lane)) {
        wait_for_swap(t);
        return ERR_AGAIN;
    }
    if (expected != NULL)
        rc = memtable_add(m->table, lane, ref, (struct memtable_version *)(uintptr_t)*expected,
                          NULL);
    else
        rc = memtable_add_ordered(m->table, lane, ref, NULL);
    memtable_leave(m->table, lane);
    if (rc == 0)
        after_add(t, m);
    return rc;
}

/* One attempt. `made` is the number of a memtable that this call has made: nobody had one when the
 * token was given, so what the token says holds for it as well. */
MUST_CHECK
static int
try_write(struct lsm_tree *t, const uint64_t *token, const struct version_ref *ref, uint64_t *made)
{
    struct lsm_view *v = lsm_view_acquire(t);
    uint64_t none = 0;
    int rc;

    if (!v->has_active) {
        uint64_t generation = v->generation;

        lsm_view_release(v);
        if (atomic_load(&t->removed))
            return ERR_NOT_FOUND;
        if (token != NULL && token[0] != (TOKEN_NO_MEMTABLE | generation))
            return ERR_AGAIN;
        rc = make_active(t, generation, made);
        if (rc != 0)
            return rc;
        v = lsm_view_acquire(t);
    }
    if (!v->has_active)
        rc = ERR_AGAIN;
    else if (token == NULL)
        rc = add_to(t, v->mems[0].mem, NULL, ref);
    else if (v->mems[0].mem->number == token[0])
        rc = add_to(t, v->mems[0].mem, &token[1], ref);
    else if (*made != 0 && v->mems[0].mem->number == *made)
        rc = add_to(t, v->mems[0].mem, &none, ref);
    else
        rc = ERR_AGAIN;
    lsm_view_release(v);
    return rc;
}

int
lsm_write(struct lsm_tree *t, struct slice key, const uint64_t token[2], stamp_t stamp,
          uint64_t seq, uint8_t kind, struct slice value)
{
    struct version_ref ref = {
        .key = key, .value = value, .stamp = stamp, .seq = seq, .kind = kind
    };
    uint64_t made = 0;
    int rc;

    do
        rc = try_write(t, token, &ref, &made);
    while (rc == ERR_AGAIN && token == NULL);
    return rc;
}

/* ---- sealing ----------------------------------------------------------------------------------
 */

/* The recovery position that a sealed memtable leaves behind is not decided here: a flush moves it
 * to where the next memtable starts, noted before that one took its first version (make_active). */
void
lsm_seal(struct lsm_tree *t)
{
    struct lsm_view *v;
    struct lsm_draft d;
    struct lsm_mem *m;

    env_mutex_lock(&t->lock);
    atomic_store(&t->seal_wanted, false);
    v = lsm_view_current_locked(t);
    if (!v->has_active || (memtable_is_empty(v->mems[0].mem->table) &&
                           v->mems[0].mem->tag == atomic_load(&t->lsm->write_tag))) {
        env_mutex_unlock(&t->lock);
        return;
    }
    m = v->mems[0].mem;
    memtable_seal_wait(m->table);
    lsm_draft_init(&d, t, v);
    d.has_active = false;
    if (memtable_is_empty(m->table))
        lsm_draft_remove_mem(&d, m);
    lsm_draft_publish_locked(&d);
    lsm_draft_fini(&d);
    env_mutex_unlock(&t->lock);
    lsm_work_queue(t);
}
