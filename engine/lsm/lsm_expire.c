/* Expiry: unlinking what no moment needs any more.
 *
 * UNDO-4 An undo file that is revived is never unlinked: it is folded first. Comparing its
 *        `superseded` with the horizon would compare numbers of two branches.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/lsm/lsm_int.h"

static bool
is_expired(struct lsm *l, const struct lsm_scene *s, const struct lsm_file *f)
{
    const struct segment_props *p = f->props;

    if (p->unresolved_count != 0 || p->scn_min > p->scn_max)
        return false;
    if (p->scn_min > lsm_scene_seen_max(s, f->tag))
        return true; /* no kept branch sees any of it */
    return p->kind == SEGMENT_UNDO && p->superseded_max <= s->horizon &&
           (p->superseded_max <= lsm_scene_part(s, f->tag, s->branch) ||
            lsm_is_broken(l, LSM_BREAK_UNDO_4));
}

struct doomed {
    struct lsm_file **files;
    size_t count, cap;
};

static void
doom(struct doomed *d, struct lsm_file *f)
{
    if (d->count == d->cap) {
        d->cap = d->cap == 0 ? 16 : d->cap * 2;
        d->files = xrealloc(d->files, d->cap * sizeof(struct lsm_file *));
    }
    lsm_file_ref(f);
    d->files[d->count++] = f;
}

static void
find_expired(struct lsm *l, const struct lsm_scene *s, const struct lsm_view *v, struct doomed *d)
{
    for (uint32_t i = 0; i < v->undo_count; i++)
        if (is_expired(l, s, v->undo[i].file))
            doom(d, v->undo[i].file);
    for (uint32_t i = 0; i < v->run_count; i++)
        for (uint32_t k = 0; k < v->runs[i].count; k++)
            if (is_expired(l, s, v->runs[i].slots[k].file))
                doom(d, v->runs[i].slots[k].file);
}

static void
draft_without(struct lsm_draft *draft, struct lsm_tree *t, const struct doomed *d)
{
    lsm_draft_init(draft, t, lsm_view_current_locked(t));
    for (size_t i = 0; i < d->count; i++)
        (void)lsm_draft_remove_file(draft, d->files[i]);
    lsm_draft_drop_empty_runs(draft);
}

/* With lsm.edit, and the tree's merge_busy, so that no merge has any of them as an input. */
MUST_CHECK
static int
remove_files(struct lsm *l, struct lsm_tree *t, const struct doomed *d)
{
    struct manifest_edit e;
    struct lsm_draft draft;
    struct lsm_view *v;
    int rc;

    manifest_edit_init(&e);
    env_mutex_lock(&t->lock);
    draft_without(&draft, t, d);
    v = lsm_draft_build(&draft);
    lsm_put_runs(&e, t->id, v);
    lsm_view_free(v);
    lsm_draft_fini(&draft);
    env_mutex_unlock(&t->lock);
    for (size_t i = 0; i < d->count; i++)
        lsm_remove_segment(&e, d->files[i]->file_id);
    rc = manifest_commit(l->manifest, &e);
    manifest_edit_fini(&e);
    if (rc != 0)
        return rc;
    env_mutex_lock(&t->lock);
    draft_without(&draft, t, d);
    lsm_draft_publish_locked(&draft);
    lsm_draft_fini(&draft);
    env_mutex_unlock(&t->lock);
    for (size_t i = 0; i < d->count; i++)
        lsm_file_retire(d->files[i]);
    return 0;
}

MUST_CHECK
static int
expire_tree(struct lsm *l, struct lsm_tree *t, const struct lsm_scene *s)
{
    struct doomed d = { 0 };
    struct lsm_view *v;
    bool busy;
    int rc = 0;

    env_mutex_lock(&t->lock);
    busy = t->merge_busy || atomic_load(&t->removed);
    if (!busy)
        t->merge_busy = true;
    env_mutex_unlock(&t->lock);
    if (busy)
        return 0; /* next time */
    v = lsm_view_acquire(t);
    find_expired(l, s, v, &d);
    if (d.count != 0)
        rc = remove_files(l, t, &d);
    lsm_view_release(v);
    for (size_t i = 0; i < d.count; i++)
        lsm_file_unref(d.files[i]);
    xfree(d.files);
    env_mutex_lock(&t->lock);
    t->merge_busy = false;
    env_mutex_unlock(&t->lock);
    return rc;
}

int
lsm_expire(struct lsm *l)
{
    struct lsm_tree **trees;
    struct lsm_scene s;
    size_t count = lsm_tree_snapshot(l, &trees);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < count; i++) {
        env_mutex_lock(&l->edit); /* other edits get their turn between trees */
        lsm_scene_take(l, &s);
        rc = expire_tree(l, trees[i], &s);
        lsm_scene_fini(&s);
        env_mutex_unlock(&l->edit);
    }
    xfree(trees);
    return rc;
}
