/* The registry of trees: finding one without a lock, life spans (DDL-1), removal.
 *
 * What creates and drops trees is in redo; the registry is a kind of memtable of it. Each edit of
 * the manifest takes along whatever has changed since the last one, together with the position up
 * to which records about trees are covered, so replay gives the registry the same gapless suffix of
 * records that it gives a tree.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/lsm/lsm_int.h"

enum { TABLE_CAP_MIN = 256, TREE_COUNTER_BITS = 32 };
static const char tree_counter[] = "trees";

/* ---- finding ----------------------------------------------------------------------------------
 */

static size_t
table_slot(const struct lsm_tree_table *table, tree_id_t id)
{
    return (size_t)((id * 0x9e3779b97f4a7c15ull) >> 24) & (table->cap - 1);
}

struct lsm_tree *
lsm_tree_find(struct lsm *l, tree_id_t id)
{
    struct lsm_tree_table *table = atomic_load_explicit(&l->trees, memory_order_acquire);
    size_t at = table_slot(table, id);
    struct lsm_tree *t;

    while ((t = atomic_load_explicit(&table->slots[at], memory_order_acquire)) != NULL) {
        if (t->id == id)
            return atomic_load_explicit(&t->removed, memory_order_acquire) ? NULL : t;
        at = (at + 1) & (table->cap - 1);
    }
    return id >= 1 && id <= LSM_TREE_RESERVED ? lsm_tree_make(l, id) : NULL;
}

tree_id_t
lsm_tree_id(const struct lsm_tree *t)
{
    return t->id;
}

static void
table_insert(struct lsm_tree_table *table, struct lsm_tree *t)
{
    size_t at = table_slot(table, t->id);

    while (atomic_load_explicit(&table->slots[at], memory_order_relaxed) != NULL)
        at = (at + 1) & (table->cap - 1);
    atomic_store_explicit(&table->slots[at], t, memory_order_release);
}

static void
table_grow_locked(struct lsm *l)
{
    struct lsm_tree_table *old = atomic_load(&l->trees), *fresh;
    size_t cap = old == NULL ? TABLE_CAP_MIN : old->cap * 2;

    fresh = xcalloc(1, sizeof *fresh + cap * sizeof fresh->slots[0]);
    fresh->cap = cap;
    fresh->before = old;
    for (size_t i = 0; i < l->tree_count; i++)
        table_insert(fresh, l->tree_list[i]);
    atomic_store_explicit(&l->trees, fresh, memory_order_release);
}

static struct lsm_tree *
tree_new(struct lsm *l, tree_id_t id)
{
    struct lsm_tree *t = xaligned(64, sizeof *t);
    struct lsm_draft d;

    memset(t, 0, sizeof *t);
    t->lsm = l;
    t->id = id;
    t->created_tag = LSM_TAG_NONE;
    env_mutex_init(l->env, &t->lock);
    list_init(&t->work_link);
    list_init(&t->merge_link);
    lsm_draft_init(&d, t, NULL);
    lsm_draft_publish_locked(&d);
    lsm_draft_fini(&d);
    return t;
}

/* A tree that was removed and comes back (its creation is read again) keeps its object. */
struct lsm_tree *
lsm_tree_make(struct lsm *l, tree_id_t id)
{
    struct lsm_tree_table *table;
    struct lsm_tree *t = NULL;

    env_mutex_lock(&l->trees_lock);
    table = atomic_load(&l->trees);
    if (table == NULL || l->tree_count * 2 >= table->cap) {
        table_grow_locked(l);
        table = atomic_load(&l->trees);
    }
    for (size_t at = table_slot(table, id); t == NULL; at = (at + 1) & (table->cap - 1)) {
        struct lsm_tree *there = atomic_load(&table->slots[at]);

        if (there == NULL)
            break;
        if (there->id == id)
            t = there;
    }
    if (t == NULL) {
        t = tree_new(l, id);
        if (l->tree_count == l->tree_cap) {
            l->tree_cap = l->tree_cap == 0 ? 64 : l->tree_cap * 2;
            l->tree_list = xrealloc(l->tree_list, l->tree_cap * sizeof(struct lsm_tree *));
        }
        l->tree_list[l->tree_count++] = t;
        table_insert(table, t);
    }
    env_mutex_unlock(&l->trees_lock);
    return t;
}

static size_t
snapshot(struct lsm *l, bool removed_too, struct lsm_tree ***out)
{
    size_t count = 0;

    env_mutex_lock(&l->trees_lock);
    *out = xmalloc((l->tree_count + 1) * sizeof **out);
    for (size_t i = 0; i < l->tree_count; i++)
        if (removed_too || !atomic_load(&l->tree_list[i]->removed))
            (*out)[count++] = l->tree_list[i];
    env_mutex_unlock(&l->trees_lock);
    return count;
}

size_t
lsm_tree_snapshot(struct lsm *l, struct lsm_tree ***out)
{
    return snapshot(l, false, out);
}

size_t
lsm_tree_snapshot_all(struct lsm *l, struct lsm_tree ***out)
{
    return snapshot(l, true, out);
}

/* The counter is this node's own: the incarnation, which one primary alone has, keeps what it gives
 * apart from what other primaries gave, on side branches too. */
int
lsm_tree_ids(struct lsm *l, uint64_t count, tree_id_t *first)
{
    uint64_t before;
    int rc = manifest_counter_add(l->manifest, tree_counter, count, &before);

    before += LSM_TREE_RESERVED + 1;
    *first = (tree_id_t)atomic_load(&l->write_tag) << TREE_COUNTER_BITS | before;
    if (rc == 0 && before + count > (uint64_t)1 << TREE_COUNTER_BITS)
        rc = DIAG(ERR_LIMIT, "this node has created too many tables and indexes");
    return rc;
}

/* ---- life spans -------------------------------------------------------------------------------
 */

/* A txid that a life span names counts as named, so that its status is kept (STATUS-1). */
static void
name_stamp(struct lsm *l, stamp_t stamp)
{
    if (stamp_is_txid(stamp))
        lsm_txids_ref(l, &stamp, 1);
}
static void
unname_stamp(struct lsm *l, stamp_t stamp)
{
    if (stamp_is_txid(stamp))
        lsm_txids_unref(l, &stamp, 1);
}

struct lsm_tree *
lsm_tree_create(struct lsm *l, tree_id_t id, stamp_t stamp)
{
    struct lsm_tree *t = lsm_tree_make(l, id);

    env_mutex_lock(&l->state);
    if (atomic_load(&t->removed) || t->created_tag == LSM_TAG_NONE) {
        t->created = stamp;
        t->created_tag = atomic_load(&l->write_tag);
        t->dirty = true;
        name_stamp(l, stamp);
        atomic_store(&t->removed, false);
    }
    env_mutex_unlock(&l->state);
    return t;
}

void
lsm_tree_drop(struct lsm *l, tree_id_t id, stamp_t stamp)
{
    struct lsm_tree *t = lsm_tree_find(l, id);
    incarnation_t tag = atomic_load(&l->write_tag);

    if (t == NULL || id <= LSM_TREE_RESERVED)
        return;
    env_mutex_lock(&l->state);
    for (uint32_t i = 0; i < t->drop_count; i++) {
        scn_t scn;

        /* The same again, read from redo: the stamp may have been resolved meanwhile. */
        if (t->drops[i].tag == tag && (t->drops[i].stamp == stamp ||
                                       (lsm_stamp_status(&l->host, stamp, &scn) == LSM_COMMITTED &&
                                        t->drops[i].stamp == scn))) {
            env_mutex_unlock(&l->state);
            return;
        }
    }
    t->drops = xrealloc(t->drops, (t->drop_count + 1) * sizeof *t->drops);
    t->drops[t->drop_count++] = (struct lsm_drop){ stamp, tag };
    t->dirty = true;
    name_stamp(l, stamp);
    env_mutex_unlock(&l->state);
}

bool
lsm_tree_is_dropped(struct lsm_tree *t)
{
    struct lsm *l = t->lsm;
    bool dropped = false;
    scn_t scn;

    env_mutex_lock(&l->state);
    for (uint32_t i = 0; i < t->drop_count && !dropped; i++)
        dropped = t->drops[i].tag == atomic_load(&l->branch) &&
                  lsm_stamp_status(&l->host, t->drops[i].stamp, &scn) == LSM_COMMITTED;
    env_mutex_unlock(&l->state);
    return dropped;
}

bool
lsm_trees_need(struct lsm *l, incarnation_t inc, struct lsn lsn)
{
    uint64_t from;
    bool needed;

    env_mutex_lock(&l->state);
    needed = lsm_positions_get(&l->registry, inc, &from) && lsn.v >= from;
    env_mutex_unlock(&l->state);
    return needed;
}

/* Turns txids that have ended into what they became. With lsm.state. */
static void
settle_stamps_locked(struct lsm *l, struct lsm_tree *t)
{
    uint32_t kept = 0;
    scn_t scn;

    if (stamp_is_txid(t->created) &&
        lsm_stamp_status(&l->host, t->created, &scn) == LSM_COMMITTED) {
        unname_stamp(l, t->created);
        t->created = scn;
        t->dirty = true;
    }
    for (uint32_t i = 0; i < t->drop_count; i++) {
        struct lsm_drop d = t->drops[i];
        enum lsm_status status = lsm_stamp_status(&l->host, d.stamp, &scn);

        if (stamp_is_txid(d.stamp) && status != LSM_OPEN) {
            unname_stamp(l, d.stamp);
            t->dirty = true;
            if (status == LSM_DEAD)
                continue;
            d.stamp = scn;
        }
        t->drops[kept++] = d;
    }
    t->drop_count = kept;
}

void
lsm_trees_edit(struct lsm *l, struct manifest_edit *e, struct lsn floor)
{
    struct lsm_tree **trees;
    size_t count = lsm_tree_snapshot(l, &trees);

    env_mutex_lock(&l->state);
    for (size_t i = 0; i < count; i++) {
        struct lsm_tree *t = trees[i];

        if (t->id <= LSM_TREE_RESERVED || t->created_tag == LSM_TAG_NONE)
            continue;
        settle_stamps_locked(l, t);
        if (t->dirty)
            lsm_put_tree(e, t);
        t->in_edit = t->dirty;
        t->dirty = false;
    }
    lsm_positions_set(&l->registry, atomic_load(&l->branch), floor.v);
    lsm_put_position(e, atomic_load(&l->branch), LSM_TREE_NONE, floor.v);
    env_mutex_unlock(&l->state);
    xfree(trees);
}

void
lsm_trees_edit_done(struct lsm *l, bool durable)
{
    struct lsm_tree **trees;
    size_t count = lsm_tree_snapshot(l, &trees);

    env_mutex_lock(&l->state);
    for (size_t i = 0; i < count; i++) {
        if (trees[i]->in_edit && !durable)
            trees[i]->dirty = true;
        trees[i]->in_edit = false;
    }
    env_mutex_unlock(&l->state);
    xfree(trees);
}

static int
load_tree(void *arg, struct slice key, struct slice value)
{
    struct lsm *l = arg;
    struct lsm_tree *t;
    struct reader k, r;
    tree_id_t id;

    rd_init(&k, key.data, key.size);
    rd_init(&r, value.data, value.size);
    id = rd_u64_be(&k);
    t = lsm_tree_make(l, id);
    t->created = rd_u64(&r);
    t->created_tag = rd_u32(&r);
    t->drop_count = rd_u32(&r);
    if (!rd_ok(&k) || !rd_ok(&r) || rd_left(&r) != (uint64_t)t->drop_count * 12 ||
        t->created_tag == LSM_TAG_NONE)
        return DIAG(ERR_CORRUPT, "manifest: a tree's item does not fit");
    t->drops = xcalloc((size_t)t->drop_count + 1, sizeof *t->drops);
    for (uint32_t i = 0; i < t->drop_count; i++) {
        t->drops[i].stamp = rd_u64(&r);
        t->drops[i].tag = rd_u32(&r);
        name_stamp(l, t->drops[i].stamp);
    }
    name_stamp(l, t->created);
    return 0;
}

int
lsm_trees_load(struct lsm *l)
{
    return manifest_each(l->manifest, MANIFEST_TREE, load_tree, l);
}

/* ---- removal ----------------------------------------------------------------------------------
 */

/* DDL-1: whether some moment that is still held sees the tree on branch `x`. */
static bool
seen_on(const struct lsm_scene *s, const struct lsm_tree *t, incarnation_t x)
{
    scn_t part = lsm_scene_part(s, x, s->branch);

    if (t->created > lsm_scene_part(s, t->created_tag, x))
        return false;
    for (uint32_t i = 0; i < t->drop_count; i++) {
        scn_t d = t->drops[i].stamp;

        /* Moments of an orphan above its fork are held for as long as it is. */
        if (!stamp_is_txid(d) && d <= lsm_scene_part(s, t->drops[i].tag, x) && d <= s->horizon &&
            d <= part)
            return false;
    }
    return true;
}

/* With lsm.state. */
static bool
is_dead_locked(struct lsm *l, const struct lsm_scene *s, const struct lsm_tree *t)
{
    scn_t scn;

    if (t->id <= LSM_TREE_RESERVED || t->created_tag == LSM_TAG_NONE)
        return false;
    if (stamp_is_txid(t->created))
        return lsm_stamp_status(&l->host, t->created, &scn) == LSM_DEAD;
    if (lsm_is_broken(l, LSM_BREAK_DDL_1) && t->drop_count != 0 &&
        !stamp_is_txid(t->drops[0].stamp))
        return true;
    for (size_t i = 0; i < s->live_count; i++)
        if (seen_on(s, t, s->live[i].inc))
            return false;
    return true;
}

static void
edit_out_files(struct manifest_edit *e, const struct lsm_view *v)
{
    for (uint32_t i = 0; i < v->run_count; i++)
        for (uint32_t k = 0; k < v->runs[i].count; k++)
            lsm_remove_segment(e, v->runs[i].slots[k].file->file_id);
    for (uint32_t i = 0; i < v->undo_count; i++)
        lsm_remove_segment(e, v->undo[i].file->file_id);
}

static void
retire_files(const struct lsm_view *v)
{
    for (uint32_t i = 0; i < v->run_count; i++)
        for (uint32_t k = 0; k < v->runs[i].count; k++)
            lsm_file_retire(v->runs[i].slots[k].file);
    for (uint32_t i = 0; i < v->undo_count; i++)
        lsm_file_retire(v->undo[i].file);
}

/* An empty view: the memtables of a removed tree are nobody's any more. With lsm.edit. */
static void
empty_tree(struct lsm *l, struct lsm_tree *t)
{
    struct lsm_view *v;
    struct lsm_draft d;

    env_mutex_lock(&t->lock);
    atomic_store(&t->removed, true);
    v = lsm_view_acquire(t);
    if (v->has_active)
        memtable_seal_wait(v->mems[0].mem->table);
    lsm_draft_init(&d, t, NULL);
    lsm_draft_publish_locked(&d);
    lsm_draft_fini(&d);
    env_mutex_unlock(&t->lock);
    for (uint32_t i = 0; i < v->mem_count; i++)
        lsm_mem_flushed(v->mems[i].mem);
    retire_files(v);
    lsm_view_release(v);
    env_mutex_lock(&l->state);
    unname_stamp(l, t->created);
    for (uint32_t i = 0; i < t->drop_count; i++)
        unname_stamp(l, t->drops[i].stamp);
    t->created = 0;
    t->created_tag = LSM_TAG_NONE;
    t->drop_count = 0;
    t->flushed.count = 0;
    t->reread_count = 0; /* its marks in the manifest go with their stretches */
    env_mutex_unlock(&l->state);
    lsm_work_note_debt(t, 0);
}

MUST_CHECK
static int
remove_tree(struct lsm *l, struct lsm_tree *t)
{
    struct lsm_view *v = lsm_view_acquire(t);
    struct manifest_edit e;
    uint8_t key[8];
    int rc;

    manifest_edit_init(&e);
    edit_out_files(&e, v);
    store_u64_be(key, t->id);
    manifest_remove(&e, MANIFEST_TREE, slice(key, 8));
    manifest_remove(&e, MANIFEST_RUNS, slice(key, 8));
    for (uint32_t i = 0; i < t->flushed.count; i++)
        lsm_remove_position(&e, t->flushed.at[i].inc, t->id);
    rc = manifest_commit(l->manifest, &e);
    manifest_edit_fini(&e);
    lsm_view_release(v);
    if (rc == 0)
        empty_tree(l, t);
    return rc;
}

int
lsm_trees_sweep(struct lsm *l)
{
    struct lsm_tree **trees;
    struct lsm_scene s;
    size_t count;
    int rc = 0;

    env_mutex_lock(&l->edit);
    lsm_scene_take(l, &s);
    count = lsm_tree_snapshot(l, &trees);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        bool dead;

        env_mutex_lock(&l->state);
        if (trees[i]->created_tag != LSM_TAG_NONE)
            settle_stamps_locked(l, trees[i]);
        dead = is_dead_locked(l, &s, trees[i]);
        env_mutex_unlock(&l->state);
        if (dead)
            rc = remove_tree(l, trees[i]);
    }
    xfree(trees);
    lsm_scene_fini(&s);
    env_mutex_unlock(&l->edit);
    return rc;
}
