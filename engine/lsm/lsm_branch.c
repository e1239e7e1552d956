/* Branches: which one is followed, which are kept, cuts, and the recovery positions that hang on
 * incarnations.
 *
 * CUT-1  A run stores the branch it was written for; what of it another branch sees comes from the
 *        lineage. So one edit makes a cut, whatever the number of runs.
 * CUT-5  Positions follow from the memtables that are not flushed yet: the start of the oldest. A
 *        flush of an older one can never move them past what was read again.
 * REDO-2 They are kept by incarnation, until nothing of it is in memory only.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/lsm/lsm_int.h"

/* ---- scenes -----------------------------------------------------------------------------------
 */

void
lsm_scene_take(struct lsm *l, struct lsm_scene *s)
{
    scn_t tip = l->host.tip(l->host.arg);

    memset(s, 0, sizeof *s);
    lineage_init(&s->lineage);
    env_mutex_lock(&l->state);
    s->branch = atomic_load(&l->branch);
    s->horizon = l->durable_horizon;
    lineage_copy(&s->lineage, &l->lineage);
    s->live = xmalloc((l->live_count + 1) * sizeof *s->live);
    memcpy(s->live, l->live, l->live_count * sizeof *s->live);
    s->live_count = l->live_count;
    env_mutex_unlock(&l->state);
    for (size_t i = 0; i < s->live_count; i++)
        if (s->live[i].inc == s->branch)
            s->live[i].tip = tip;
}

void
lsm_scene_fini(struct lsm_scene *s)
{
    lineage_fini(&s->lineage);
    xfree(s->live);
    s->live = NULL;
}

scn_t
lsm_scene_part(const struct lsm_scene *s, incarnation_t a, incarnation_t b)
{
    return lineage_part(&s->lineage, a, b);
}

scn_t
lsm_scene_seen_max(const struct lsm_scene *s, incarnation_t tag)
{
    scn_t most = 0;

    for (size_t i = 0; i < s->live_count; i++) {
        scn_t part = lsm_scene_part(s, tag, s->live[i].inc);

        if (part > most)
            most = part;
    }
    return most;
}

bool
lsm_scene_sees(const struct lsm_scene *s, incarnation_t tag, scn_t c)
{
    return c <= lsm_scene_seen_max(s, tag);
}

/* ---- asking -----------------------------------------------------------------------------------
 */

incarnation_t
lsm_branch(struct lsm *l)
{
    return atomic_load(&l->branch);
}

bool
lsm_was_entered(struct lsm *l, incarnation_t inc)
{
    uint64_t from;
    bool entered;

    env_mutex_lock(&l->state);
    entered = lsm_positions_get(&l->positions, inc, &from);
    for (size_t i = 0; i < l->live_count && !entered; i++)
        entered = l->live[i].inc == inc;
    env_mutex_unlock(&l->state);
    return entered;
}

void
lsm_lineage(struct lsm *l, struct lineage *out)
{
    env_mutex_lock(&l->state);
    lineage_copy(out, &l->lineage);
    env_mutex_unlock(&l->state);
}

scn_t
lsm_part(struct lsm *l, incarnation_t a, incarnation_t b)
{
    scn_t part;

    env_mutex_lock(&l->state);
    part = lineage_part(&l->lineage, a, b);
    env_mutex_unlock(&l->state);
    return part;
}

static scn_t
tip_of(const struct lsm *l, const struct lsm_live *x, scn_t followed_tip)
{
    return x->inc == atomic_load(&l->branch) ? followed_tip : x->tip;
}

/* With lsm.state. */
static bool
holds_locked(struct lsm *l, incarnation_t b, scn_t s, scn_t tip)
{
    scn_t part = lineage_part(&l->lineage, b, atomic_load(&l->branch));

    if (s <= part && s < atomic_load(&l->horizon) && !lsm_is_broken(l, LSM_BREAK_HORIZON_2))
        return false;
    for (size_t i = 0; i < l->live_count; i++)
        if (s <= lineage_part(&l->lineage, b, l->live[i].inc) && s <= tip_of(l, &l->live[i], tip))
            return true;
    return false;
}

bool
lsm_holds(struct lsm *l, incarnation_t b, scn_t s)
{
    scn_t tip = l->host.tip(l->host.arg);
    bool held;

    env_mutex_lock(&l->state);
    held = holds_locked(l, b, s, tip);
    env_mutex_unlock(&l->state);
    return held;
}

bool
lsm_holds_locked(struct lsm *l, incarnation_t b, scn_t s, scn_t tip)
{
    return holds_locked(l, b, s, tip);
}

incarnation_t
lsm_home(struct lsm *l, incarnation_t b, scn_t s)
{
    incarnation_t home = b, followed;
    bool kept = false;

    env_mutex_lock(&l->state);
    followed = atomic_load(&l->branch);
    for (size_t i = 0; i < l->live_count; i++)
        kept |= l->live[i].inc == b;
    if (!kept && s <= lineage_part(&l->lineage, b, followed)) {
        home = followed;
        kept = true;
    }
    for (size_t i = 0; i < l->live_count && !kept; i++) {
        if (s <= lineage_part(&l->lineage, b, l->live[i].inc)) {
            home = l->live[i].inc;
            kept = true;
        }
    }
    env_mutex_unlock(&l->state);
    return home;
}

size_t
lsm_branches(struct lsm *l, struct lsm_branch_info *out, size_t max)
{
    scn_t tip = l->host.tip(l->host.arg);
    size_t count;

    env_mutex_lock(&l->state);
    count = l->live_count;
    for (size_t i = 0; i < count && i < max; i++) {
        out[i].inc = l->live[i].inc;
        out[i].tip = tip_of(l, &l->live[i], tip);
        out[i].followed = out[i].inc == atomic_load(&l->branch);
        out[i].part = lineage_part(&l->lineage, out[i].inc, atomic_load(&l->branch));
    }
    env_mutex_unlock(&l->state);
    return count;
}

scn_t
lsm_stored_tip(struct lsm *l)
{
    scn_t tip = 0;

    env_mutex_lock(&l->state);
    for (size_t i = 0; i < l->live_count; i++)
        if (l->live[i].inc == atomic_load(&l->branch))
            tip = l->live[i].tip;
    env_mutex_unlock(&l->state);
    return tip;
}

/* ---- recovery positions -----------------------------------------------------------------------
 */

/* The lowest start of a memtable of an incarnation that has something to lose; `tree` NULL: of all
 * trees. False: there is none. */
static bool
lowest_start(struct lsm *l, incarnation_t inc, const struct lsm_tree *tree,
             const struct lsm_mem *except, uint64_t *lowest)
{
    bool found = false;

    env_mutex_lock(&l->mems_lock);
    list_for_each (m, &l->mems, struct lsm_mem, link) {
        uint64_t start = atomic_load(&m->start);

        if (m == except || m->flushed || m->tag != inc || (tree != NULL && m->tree != tree) ||
            memtable_is_empty(m->table))
            continue;
        if (!found || start < *lowest)
            *lowest = start;
        found = true;
    }
    env_mutex_unlock(&l->mems_lock);
    return found;
}

/* Positions of single trees that say no more than their incarnation's own do. */
static void
drop_covered(struct lsm *l, struct manifest_edit *e, incarnation_t inc, bool all, uint64_t from)
{
    struct lsm_tree **trees;
    size_t count = lsm_tree_snapshot(l, &trees);

    for (size_t i = 0; i < count; i++) {
        uint64_t own;

        if (!lsm_positions_get(&trees[i]->flushed, inc, &own) || (!all && own > from))
            continue;
        lsm_positions_remove(&trees[i]->flushed, inc);
        lsm_remove_position(e, inc, trees[i]->id);
    }
    xfree(trees);
}

/* One incarnation's own position. `floor` is of the one followed. */
static void
edit_incarnation(struct lsm *l, struct manifest_edit *e, incarnation_t inc,
                 const struct lsm_mem *flushed, struct lsn floor)
{
    uint64_t lowest = floor.v, before;
    bool needed = lowest_start(l, inc, NULL, flushed, &lowest) || inc == atomic_load(&l->branch);
    bool had = lsm_positions_get(&l->positions, inc, &before);

    if (needed && had && before == lowest)
        return;
    env_mutex_lock(&l->state);
    if (needed)
        lsm_positions_set(&l->positions, inc, lowest);
    else
        lsm_positions_remove(&l->positions, inc);
    env_mutex_unlock(&l->state);
    if (needed)
        lsm_put_position(e, inc, 0, lowest);
    else if (had)
        lsm_remove_position(e, inc, 0);
    drop_covered(l, e, inc, !needed, lowest);
}

static void
edit_all_incarnations(struct lsm *l, struct manifest_edit *e, const struct lsm_mem *flushed,
                      struct lsn floor)
{
    struct lsm_positions all = { 0 };

    for (uint32_t i = 0; i < l->positions.count; i++)
        lsm_positions_set(&all, l->positions.at[i].inc, 0);
    lsm_positions_set(&all, atomic_load(&l->branch), 0);
    for (uint32_t i = 0; i < all.count; i++)
        edit_incarnation(l, e, all.at[i].inc, flushed, floor);
    xfree(all.at);
}

void
lsm_positions_edit(struct lsm *l, struct manifest_edit *e, struct lsm_tree *t,
                   const struct lsm_mem *flushed, struct lsn floor)
{
    uint64_t own, from, again = atomic_load(&l->rereading);

    CHECK(!l->replaying);
    if (again > floor.v)
        floor.v = again; /* what lies below is the stretch's matter */
    own = floor.v;
    edit_all_incarnations(l, e, flushed, floor);
    if (flushed == NULL)
        return;
    lsm_stretches_edit(l, e, t, flushed);
    /* REDO-3: what this tree has flushed, where the incarnation's own position lies below. */
    if (!lowest_start(l, flushed->tag, t, flushed, &own) && flushed->tag != atomic_load(&l->branch))
        own = UINT64_MAX; /* all that there was */
    if (!lsm_positions_get(&l->positions, flushed->tag, &from) || own <= from)
        return;
    lsm_positions_set(&t->flushed, flushed->tag, own);
    lsm_put_position(e, flushed->tag, t->id, own);
}

bool
lsm_redo_needed(struct lsm *l, incarnation_t inc, struct lsn *from)
{
    bool needed;

    env_mutex_lock(&l->edit); /* positions of an edit under way are not durable yet */
    env_mutex_lock(&l->state);
    needed = lsm_positions_get(&l->positions, inc, &from->v);
    if (needed) {
        uint64_t low;

        if (lsm_positions_get(&l->registry, inc, &low) && low < from->v)
            from->v = low;
        if (lsm_stretch_low(l, inc, &low) && low < from->v)
            from->v = low;
    }
    env_mutex_unlock(&l->state);
    env_mutex_unlock(&l->edit);
    return needed;
}

uint64_t
lsm_position_of(const struct lsm_tree *t, incarnation_t inc)
{
    uint64_t from, own;

    if (!lsm_positions_get(&t->lsm->positions, inc, &from))
        return UINT64_MAX;
    return lsm_positions_get(&t->flushed, inc, &own) && own > from ? own : from;
}

bool
lsm_replay_needed(struct lsm_tree *t, incarnation_t inc, struct lsn lsn, txid_t txid)
{
    if (lsm_is_broken(t->lsm, LSM_BREAK_REDO_3))
        return true;
    /* While a stream is followed again nothing has been lost but what its stretch names. */
    if (atomic_load(&t->lsm->rereading) == 0 && lsn.v >= lsm_position_of(t, inc))
        return true;
    return lsm_stretch_needs(t, inc, lsn.v, txid);
}

bool
lsm_replay_next(struct lsm *l, incarnation_t after, bool first, incarnation_t *inc,
                struct lsn *from)
{
    incarnation_t followed = atomic_load(&l->branch), best = UINT32_MAX;

    if (!first && after == followed)
        return false;
    for (uint32_t i = 0; i < l->positions.count; i++) {
        incarnation_t x = l->positions.at[i].inc;

        if (x != followed && (first || x > after) && x < best)
            best = x;
    }
    *inc = best == UINT32_MAX ? followed : best;
    return lsm_redo_needed(l, *inc, from);
}

void
lsm_replay_begin(struct lsm *l, incarnation_t inc)
{
    l->replaying = true;
    l->budget.limit = SIZE_MAX; /* nothing is flushed before all of it has been read */
    atomic_store(&l->write_tag, inc);
}

static void
seal_all(struct lsm *l)
{
    struct lsm_tree **trees;
    size_t count = lsm_tree_snapshot(l, &trees);

    for (size_t i = 0; i < count; i++)
        lsm_seal(trees[i]);
    xfree(trees);
}

/* Memtables as recovery has filled them: one of each incarnation, newest first by number, since on
 * every branch what a later incarnation wrote came later. */
static void
order_by_tag(struct lsm_tree *t)
{
    struct lsm_draft d;

    lsm_seal(t);
    env_mutex_lock(&t->lock);
    lsm_draft_init(&d, t, lsm_view_current_locked(t));
    for (size_t i = 1; i < d.mem_count; i++)
        for (size_t k = i; k > 0 && d.mems[k - 1]->tag < d.mems[k]->tag; k--) {
            struct lsm_mem *m = d.mems[k];

            d.mems[k] = d.mems[k - 1];
            d.mems[k - 1] = m;
        }
    lsm_draft_publish_locked(&d);
    lsm_draft_fini(&d);
    env_mutex_unlock(&t->lock);
}

/* Whether the tree has memtables of incarnations after the one followed (which was left for them,
 * and followed again). */
static bool
has_later(struct lsm_tree *t, incarnation_t followed)
{
    struct lsm_view *v = lsm_view_acquire(t);
    bool later = false;

    for (uint32_t i = 0; i < v->mem_count; i++)
        later |= v->mems[i].mem->tag > followed;
    lsm_view_release(v);
    return later;
}

void
lsm_replay_end(struct lsm *l, incarnation_t inc)
{
    incarnation_t followed = atomic_load(&l->branch);
    struct lsm_tree **trees;
    size_t count;

    atomic_store(&l->write_tag, followed);
    if (inc != followed) {
        seal_all(l);
        return;
    }
    count = lsm_tree_snapshot(l, &trees);
    for (size_t i = 0; i < count; i++)
        if (has_later(trees[i], followed))
            order_by_tag(trees[i]);
    xfree(trees);
    l->replaying = false;
    l->budget.limit = lsm_memory_limit(l);
}

/* ---- cuts -------------------------------------------------------------------------------------
 */

/* What a change of branch is about to make true. */
struct change {
    incarnation_t old, inc;
    struct lsm_positions positions, registry; /* as they were: for a failure */
    struct lineage lineage;
    struct lsm_live *live;
    size_t live_count;
};

static void
add_live(struct change *c, incarnation_t inc, scn_t tip)
{
    size_t at = 0;

    while (at < c->live_count && c->live[at].inc < inc)
        at++;
    if (at < c->live_count && c->live[at].inc == inc) {
        c->live[at].tip = tip;
        return;
    }
    memmove(c->live + at + 1, c->live + at, (c->live_count - at) * sizeof *c->live);
    c->live[at] = (struct lsm_live){ inc, tip };
    c->live_count++;
}

/* The last SCN that is held of an incarnation left before: its own if it is kept; else it was let
 * go because what went on from it sees all of it. */
static scn_t
tip_held(const struct change *c, incarnation_t inc)
{
    scn_t tip = 0;

    for (size_t i = 0; i < c->live_count; i++) {
        scn_t part = lineage_part(&c->lineage, inc, c->live[i].inc);

        if (c->live[i].inc == inc)
            return c->live[i].tip;
        if (part > tip)
            tip = part;
    }
    return tip;
}

/* Keeps what has anything that the new branch does not see. */
static void
prune_live(struct change *c, struct manifest_edit *e)
{
    size_t kept = 0;

    for (size_t i = 0; i < c->live_count; i++) {
        struct lsm_live x = c->live[i];

        if (x.inc == c->inc || x.tip > lineage_part(&c->lineage, x.inc, c->inc)) {
            lsm_put_branch(e, x.inc, x.tip);
            c->live[kept++] = x;
        } else {
            lsm_remove_branch(e, x.inc);
        }
    }
    c->live_count = kept;
}

static void
change_init(struct lsm *l, struct change *c, incarnation_t inc)
{
    memset(c, 0, sizeof *c);
    c->old = atomic_load(&l->branch);
    c->inc = inc;
    lineage_init(&c->lineage);
    lineage_copy(&c->lineage, &l->lineage);
    c->live = xmalloc((l->live_count + 3) * sizeof *c->live);
    memcpy(c->live, l->live, l->live_count * sizeof *c->live);
    c->live_count = l->live_count;
    lsm_positions_copy(&c->positions, &l->positions);
    lsm_positions_copy(&c->registry, &l->registry);
}

static void
change_fini(struct change *c)
{
    xfree(c->positions.at);
    xfree(c->registry.at);
    lineage_fini(&c->lineage);
    xfree(c->live);
}

static void
append_edit(struct manifest_edit *e, const struct manifest_edit *more)
{
    if (more == NULL)
        return;
    wr_slice(&e->w, wr_view(&more->w));
    e->item_count += more->item_count;
}

/* Commits the edit and makes the change true in memory. With lsm.edit. */
MUST_CHECK
static int
change_commit(struct lsm *l, struct change *c, struct manifest_edit *e)
{
    struct lsm_live *live;
    int rc;

    lsm_put_singleton(e, MANIFEST_CURRENT, c->inc);
    lsm_txids_edit(l, e);
    rc = manifest_commit(l->manifest, e);
    lsm_edit_done(l, rc == 0);
    env_mutex_lock(&l->state);
    if (rc != 0) {
        /* Sealed memtables and forgotten positions of single trees do no harm. */
        atomic_store(&l->write_tag, c->old);
        env_mutex_unlock(&l->state);
        lsm_positions_restore(l, &c->positions, &c->registry);
        return rc;
    }
    lineage_copy(&l->lineage, &c->lineage);
    atomic_store(&l->branch, c->inc);
    atomic_fetch_add(&l->branch_changes, 1);
    live = l->live;
    l->live = c->live;
    c->live = live;
    l->live_count = c->live_count;
    env_mutex_unlock(&l->state);
    lsm_views_renew(l);
    return 0;
}

/* The old incarnation's positions, now that nothing more will be written for it. All that is in
 * its registry of trees goes along with this edit. */
static void
leave_incarnation(struct lsm *l, struct manifest_edit *e, struct change *c, struct lsn old_end)
{
    uint64_t lowest;

    atomic_store(&l->rereading, 0);
    lsm_stretches_edit(l, e, NULL, NULL);
    lsm_trees_edit(l, e, old_end);
    env_mutex_lock(&l->state);
    lsm_positions_remove(&l->registry, c->old);
    env_mutex_unlock(&l->state);
    lsm_remove_position(e, c->old, LSM_TREE_NONE);
    if (lowest_start(l, c->old, NULL, NULL, &lowest))
        return;
    env_mutex_lock(&l->state);
    lsm_positions_remove(&l->positions, c->old);
    env_mutex_unlock(&l->state);
    lsm_remove_position(e, c->old, 0);
    drop_covered(l, e, c->old, true, 0);
}

MUST_CHECK
static int
enter_locked(struct lsm *l, const struct lineage_entry *entry, scn_t old_tip, struct lsn old_end,
             const struct manifest_edit *more)
{
    struct manifest_edit e;
    struct change c;
    int rc;

    change_init(l, &c, entry->inc);
    rc = lineage_add(&c.lineage, entry);
    if (rc != 0) {
        change_fini(&c);
        return rc;
    }
    manifest_edit_init(&e);
    /* A memtable never holds two branches. */
    atomic_store(&l->write_tag, entry->inc);
    seal_all(l);
    lsm_put_lineage(&e, entry);
    add_live(&c, c.old, old_tip);
    add_live(&c, c.inc, entry->fork_scn);
    prune_live(&c, &e);
    leave_incarnation(l, &e, &c, old_end);
    env_mutex_lock(&l->state);
    lsm_positions_set(&l->positions, c.inc, entry->start_lsn.v);
    lsm_positions_set(&l->registry, c.inc, entry->start_lsn.v);
    env_mutex_unlock(&l->state);
    lsm_put_position(&e, c.inc, 0, entry->start_lsn.v);
    lsm_put_position(&e, c.inc, LSM_TREE_NONE, entry->start_lsn.v);
    append_edit(&e, more);
    rc = change_commit(l, &c, &e);
    change_fini(&c);
    manifest_edit_fini(&e);
    return rc;
}

int
lsm_enter(struct lsm *l, const struct lineage_entry *entry, scn_t old_tip, struct lsn old_end,
          const struct manifest_edit *more)
{
    bool held;
    int rc;

    env_mutex_lock(&l->edit);
    env_mutex_lock(&l->state);
    held = holds_locked(l, entry->parent, entry->fork_scn, old_tip);
    env_mutex_unlock(&l->state);
    if (!held)
        rc = DIAG(ERR_SNAPSHOT_TOO_OLD, "branch %u at SCN %llu is not held here", entry->parent,
                  (unsigned long long)entry->fork_scn);
    else
        rc = enter_locked(l, entry, old_tip, old_end, more);
    env_mutex_unlock(&l->edit);
    return rc;
}

/* CUT-4: what the incarnation still lacks, and from where its own records are registered again. */
static void
edit_return(struct lsm *l, struct manifest_edit *e, incarnation_t inc,
            const struct lsm_reread *again)
{
    uint64_t from, registry;

    env_mutex_lock(&l->state);
    /* Nothing of it was needed any more: from here on everything is. */
    if (!lsm_positions_get(&l->positions, inc, &from))
        from = again->end.v;
    if (!lsm_positions_get(&l->registry, inc, &registry) || registry > again->low.v)
        registry = again->low.v;
    lsm_positions_set(&l->positions, inc, from);
    lsm_positions_set(&l->registry, inc, registry);
    env_mutex_unlock(&l->state);
    lsm_put_position(e, inc, 0, from);
    lsm_put_position(e, inc, LSM_TREE_NONE, registry);
    if (again->open_count != 0 && !lsm_is_broken(l, LSM_BREAK_CUT_4))
        lsm_stretch_add(l, e, inc, again);
}

/* Trees that had flushed all there was have not flushed what comes now. */
static void
cap_positions(struct lsm *l, struct manifest_edit *e, incarnation_t inc, uint64_t end)
{
    struct lsm_tree **trees;
    size_t count = lsm_tree_snapshot(l, &trees);

    for (size_t i = 0; i < count; i++) {
        uint64_t own;

        if (!lsm_positions_get(&trees[i]->flushed, inc, &own) || own <= end)
            continue;
        lsm_positions_set(&trees[i]->flushed, inc, end);
        lsm_put_position(e, inc, trees[i]->id, end);
    }
    xfree(trees);
}

MUST_CHECK
static int
resume_locked(struct lsm *l, incarnation_t inc, scn_t old_tip, struct lsn old_end,
              const struct lsm_reread *again, const struct manifest_edit *more)
{
    size_t stretches = l->stretch_count;
    struct manifest_edit e;
    struct change c;
    int rc;

    change_init(l, &c, inc);
    manifest_edit_init(&e);
    atomic_store(&l->write_tag, inc);
    seal_all(l);
    add_live(&c, c.old, old_tip);
    add_live(&c, inc, tip_held(&c, inc));
    prune_live(&c, &e);
    leave_incarnation(l, &e, &c, old_end);
    cap_positions(l, &e, inc, again->end.v);
    edit_return(l, &e, inc, again);
    append_edit(&e, more);
    rc = change_commit(l, &c, &e);
    if (rc == 0)
        atomic_store(&l->rereading, again->end.v);
    else if (l->stretch_count > stretches)
        lsm_stretch_take_back(l);
    change_fini(&c);
    manifest_edit_fini(&e);
    return rc;
}

int
lsm_resume(struct lsm *l, incarnation_t inc, scn_t old_tip, struct lsn old_end,
           const struct lsm_reread *again, const struct manifest_edit *more)
{
    bool known;
    int rc;

    env_mutex_lock(&l->edit);
    known = lineage_find(&l->lineage, inc) != NULL;
    if (!known)
        rc = DIAG(ERR_DIVERGED, "incarnation %u is not known here", inc);
    else
        rc = resume_locked(l, inc, old_tip, old_end, again, more);
    env_mutex_unlock(&l->edit);
    return rc;
}

int
lsm_lineage_merge(struct lsm *l, const struct lineage *peer, const struct manifest_edit *more)
{
    struct manifest_edit e;
    struct lineage merged;
    int rc;

    manifest_edit_init(&e);
    lineage_init(&merged);
    env_mutex_lock(&l->edit);
    lineage_copy(&merged, &l->lineage);
    rc = lineage_merge(&merged, peer);
    for (uint32_t i = 0; rc == 0 && i < merged.count; i++)
        if (lineage_find(&l->lineage, merged.entries[i].inc) == NULL)
            lsm_put_lineage(&e, &merged.entries[i]);
    append_edit(&e, more);
    if (rc == 0 && e.item_count > 0)
        rc = manifest_commit(l->manifest, &e);
    if (rc == 0) {
        env_mutex_lock(&l->state);
        lineage_copy(&l->lineage, &merged);
        env_mutex_unlock(&l->state);
    }
    env_mutex_unlock(&l->edit);
    lineage_fini(&merged);
    manifest_edit_fini(&e);
    return rc;
}

/* The memtables that were made meanwhile hold what was read again; those made from now on do not.
 */
void
lsm_reread_end(struct lsm *l)
{
    atomic_store(&l->rereading, 0);
}
