/* Views: sets of runs with a split reference count, and the memtables and files in them.
 *
 * tree.view_word holds the current view's address and, in its upper 16 bits, how often it was taken
 * since it was published (or since the count was last folded). Taking is one fetch_add: address and
 * count come in one piece, so the view cannot vanish in between. Giving back lowers view.refs. When
 * a view is replaced, the count in the word is added to view.refs and the publisher's own share,
 * VIEW_PUBLISHED, is taken off: from then on refs is the true number of holders. Addresses use 48
 * bits on the machines we build for, which is CHECKed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/lsm/filter.h"
#include "engine/lsm/lsm_int.h"

#define VIEW_PUBLISHED  ((int64_t)1 << 48)
#define WORD_COUNT_ONE  ((uint64_t)1 << 48)
#define WORD_ADDRESS(w) ((w) & (WORD_COUNT_ONE - 1))
enum { FOLD_AT = 0x4000 };

/* ---- memtables --------------------------------------------------------------------------------
 */

struct lsm_mem *
lsm_mem_new(struct lsm_tree *t, uint64_t start)
{
    struct lsm *l = t->lsm;
    struct lsm_mem *m = xcalloc(1, sizeof *m);

    m->refs = 1;
    m->lsm = l;
    m->tree = t;
    m->tag = atomic_load(&l->write_tag);
    m->number = atomic_fetch_add(&l->next_mem, 1);
    m->start = start;
    m->reread_all = l->replaying;
    m->reread = l->replaying ? lsm_stretch_end(t, m->tag) : atomic_load(&l->rereading);
    m->stamped_through = l->host.ended(l->host.arg);
    m->table = memtable_new(l->env, &l->budget);
    memtable_use_pool(m->table, l->spare);
    env_mutex_lock(&l->mems_lock);
    list_push_back(&l->mems, &m->link);
    env_mutex_unlock(&l->mems_lock);
    return m;
}

void
lsm_mem_ref(struct lsm_mem *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
}

/* It is in segments now: only readers keep it. */
void
lsm_mem_flushed(struct lsm_mem *m)
{
    if (m->flushed)
        return;
    m->flushed = true;
    m->pinned_bytes = memtable_bytes(m->table);
    atomic_fetch_add(&m->lsm->pinned_bytes, m->pinned_bytes);
}

/* lsm_status_floor takes references from the list: it must not meet one at zero. */
void
lsm_mem_unref(struct lsm_mem *m)
{
    struct lsm *l = m->lsm;
    uint32_t refs = atomic_load(&m->refs);

    while (refs > 1)
        if (atomic_compare_exchange_weak(&m->refs, &refs, refs - 1))
            return;
    env_mutex_lock(&l->mems_lock);
    if (atomic_fetch_sub(&m->refs, 1) != 1) {
        env_mutex_unlock(&l->mems_lock);
        return;
    }
    list_remove(&m->link);
    env_mutex_unlock(&l->mems_lock);
    atomic_fetch_sub(&l->pinned_bytes, m->pinned_bytes);
    memtable_unref(m->table);
    xfree(m);
}

/* ---- files ------------------------------------------------------------------------------------
 */

void
lsm_file_name(uint64_t file_id, char out[LSM_FILE_NAME_MAX])
{
    snprintf(out, LSM_FILE_NAME_MAX, "%016llx.seg", (unsigned long long)file_id);
}

void
lsm_file_path(const struct lsm *l, uint64_t file_id, char out[LSM_PATH_MAX])
{
    char name[LSM_FILE_NAME_MAX];

    lsm_file_name(file_id, name);
    snprintf(out, LSM_PATH_MAX, "%.900s/segments/%s", l->dir, name);
}

void
lsm_segments_dir(const struct lsm *l, char out[LSM_PATH_MAX + 16])
{
    snprintf(out, LSM_PATH_MAX + 16, "%.1000s/segments", l->dir);
}

/* The properties list them, unless there are too many: then the versions do. */
MUST_CHECK
static int
collect_txids(struct lsm_file *f)
{
    const struct segment_props *p = f->props;
    const struct version_ref *v;
    struct segment_iter *it;
    size_t cap = 0;
    int rc;

    if (p->unresolved_count == 0)
        return 0;
    if (p->txids != NULL) {
        f->txids = xmalloc(p->txid_count * sizeof *f->txids + 1);
        memcpy(f->txids, p->txids, p->txid_count * sizeof *f->txids);
        f->txid_count = p->txid_count;
        return 0;
    }
    it = segment_iter_new(f->segment, SEGMENT_ITER_BULK);
    rc = segment_iter_first(it);
    while (rc == 0 && (v = segment_iter_current(it)) != NULL) {
        if (stamp_is_txid(v->stamp)) {
            if (f->txid_count == cap) {
                cap = cap == 0 ? 1024 : cap * 2;
                f->txids = xrealloc(f->txids, cap * sizeof *f->txids);
            }
            f->txids[f->txid_count++] = v->stamp; /* repeated ones count several times */
        }
        rc = segment_iter_next(it);
    }
    segment_iter_free(it);
    return rc;
}

int
lsm_file_open(struct lsm *l, uint64_t file_id, const struct lsm_segment_item *item,
              struct lsm_file **out)
{
    struct segment_id id = { .file = file_id, .nonce = item->nonce };
    struct lsm_file *f = xcalloc(1, sizeof *f);
    char path[LSM_PATH_MAX];
    int rc;

    lsm_file_path(l, file_id, path);
    rc = segment_open(&l->segment_env, path, id, &f->segment);
    if (rc == 0) {
        f->props = segment_props(f->segment);
        if (f->props->tree != item->tree || f->props->kind != item->kind)
            rc = DIAG(ERR_CORRUPT, "%s is not the segment that the manifest names", path);
        else
            rc = collect_txids(f);
    }
    if (rc != 0) {
        segment_unref(f->segment);
        xfree(f->txids);
        xfree(f);
        return rc;
    }
    f->refs = 1;
    f->lsm = l;
    f->file_id = file_id;
    f->run_id = item->run;
    f->tag = item->tag;
    f->level = item->level;
    f->bytes = item->bytes;
    f->hash = item->hash;
    lsm_txids_ref(l, f->txids, f->txid_count);
    *out = f;
    return 0;
}

void
lsm_file_ref(struct lsm_file *f)
{
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
}

void
lsm_file_unref(struct lsm_file *f)
{
    if (f == NULL || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
        return;
    lsm_txids_unref(f->lsm, f->txids, f->txid_count);
    segment_unref(f->segment);
    xfree(f->txids);
    xfree(f);
}

void
lsm_file_retire(struct lsm_file *f)
{
    struct lsm *l = f->lsm;

    env_mutex_lock(&l->files_lock);
    if (l->files_held != 0) {
        if (l->held_count == l->held_cap) {
            l->held_cap = l->held_cap == 0 ? 16 : l->held_cap * 2;
            l->held_files = xrealloc(l->held_files, l->held_cap * sizeof(struct lsm_file *));
        }
        lsm_file_ref(f);
        l->held_files[l->held_count++] = f;
    } else {
        segment_unlink_at_close(f->segment);
    }
    env_mutex_unlock(&l->files_lock);
}

int
lsm_files_hold(struct lsm *l, struct manifest_edit *state)
{
    env_mutex_lock(&l->edit); /* no edit between the hold and the picture */
    env_mutex_lock(&l->files_lock);
    l->files_held++;
    env_mutex_unlock(&l->files_lock);
    manifest_snapshot(l->manifest, state);
    env_mutex_unlock(&l->edit);
    return wr_finish(&state->w);
}

void
lsm_files_unhold(struct lsm *l)
{
    struct lsm_file **files = NULL;
    size_t count = 0;

    env_mutex_lock(&l->files_lock);
    CHECK(l->files_held > 0);
    if (--l->files_held == 0) {
        files = l->held_files;
        count = l->held_count;
        l->held_files = NULL;
        l->held_count = l->held_cap = 0;
    }
    env_mutex_unlock(&l->files_lock);
    for (size_t i = 0; i < count; i++) {
        segment_unlink_at_close(files[i]->segment);
        lsm_file_unref(files[i]);
    }
    xfree(files);
}

/* ---- taking and giving back -------------------------------------------------------------------
 */

static struct lsm_view *
word_view(uint64_t word)
{
    return (struct lsm_view *)(uintptr_t)WORD_ADDRESS(word);
}

void
lsm_view_free(struct lsm_view *v)
{
    for (uint32_t i = 0; i < v->mem_count; i++)
        lsm_mem_unref(v->mems[i].mem);
    for (uint32_t i = 0; i < v->run_count; i++)
        for (uint32_t k = 0; k < v->runs[i].count; k++)
            lsm_file_unref(v->runs[i].slots[k].file);
    for (uint32_t i = 0; i < v->undo_count; i++)
        lsm_file_unref(v->undo[i].file);
    xfree(v);
}

/* Moves the count out of the word before it overflows. The caller holds v, so that v.refs cannot
 * reach zero while the count stands in both places. */
static void __attribute__((noinline)) fold(struct lsm_tree *t, struct lsm_view *v)
{
    uint64_t word = atomic_load(&t->view_word);
    int64_t count = (int64_t)(word >> 48);

    CHECK(count < 0xff00);
    if (count < FOLD_AT || word_view(word) != v)
        return; /* somebody else did, or will */
    atomic_fetch_add(&v->refs, count);
    if (!atomic_compare_exchange_strong(&t->view_word, &word, WORD_ADDRESS(word)))
        atomic_fetch_sub(&v->refs, count);
}

struct lsm_view *
lsm_view_acquire(struct lsm_tree *t)
{
    uint64_t word = atomic_fetch_add_explicit(&t->view_word, WORD_COUNT_ONE, memory_order_acquire);

    if (word >> 48 >= FOLD_AT)
        fold(t, word_view(word));
    return word_view(word);
}

void
lsm_view_ref(struct lsm_view *v)
{
    atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
}

void
lsm_view_release(struct lsm_view *v)
{
    if (v != NULL && atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) == 1)
        lsm_view_free(v);
}

struct lsm_tree *
lsm_view_tree(const struct lsm_view *v)
{
    return v->tree;
}

struct lsm_view *
lsm_view_current_locked(const struct lsm_tree *t)
{
    return word_view(atomic_load(&t->view_word));
}

/* ---- drafts -----------------------------------------------------------------------------------
 */

void
lsm_draft_init(struct lsm_draft *d, struct lsm_tree *t, const struct lsm_view *from)
{
    memset(d, 0, sizeof *d);
    d->tree = t;
    arena_init(&d->arena, NULL);
    if (from == NULL)
        return;
    d->has_active = from->has_active;
    d->mem_count = from->mem_count;
    d->mems = ARENA_ARRAY(&d->arena, struct lsm_mem *, from->mem_count + 1);
    for (uint32_t i = 0; i < from->mem_count; i++)
        d->mems[i] = from->mems[i].mem;
    for (uint32_t i = 0; i < from->run_count; i++) {
        struct lsm_file **files =
            ARENA_ARRAY(&d->arena, struct lsm_file *, from->runs[i].count + 1);

        for (uint32_t k = 0; k < from->runs[i].count; k++)
            files[k] = from->runs[i].slots[k].file;
        lsm_draft_add_run(d, i, from->runs[i].id, files, from->runs[i].count);
    }
    d->undo_count = from->undo_count;
    d->undo = ARENA_ARRAY(&d->arena, struct lsm_file *, from->undo_count + 1);
    for (uint32_t i = 0; i < from->undo_count; i++)
        d->undo[i] = from->undo[i].file;
}

void
lsm_draft_fini(struct lsm_draft *d)
{
    arena_fini(&d->arena);
}

void
lsm_draft_add_run(struct lsm_draft *d, size_t at, uint64_t id, struct lsm_file **files,
                  size_t count)
{
    struct lsm_draft_run *runs = ARENA_ARRAY(&d->arena, struct lsm_draft_run, d->run_count + 1);

    for (size_t i = 0; i < d->run_count; i++)
        runs[i < at ? i : i + 1] = d->runs[i];
    runs[at] = (struct lsm_draft_run){ id, files, count };
    d->runs = runs;
    d->run_count++;
}

void
lsm_draft_remove_mem(struct lsm_draft *d, const struct lsm_mem *m)
{
    for (size_t i = 0; i < d->mem_count; i++) {
        if (d->mems[i] != m)
            continue;
        CHECK(i > 0 || !d->has_active);
        d->mem_count--;
        memmove(d->mems + i, d->mems + i + 1, (d->mem_count - i) * sizeof *d->mems);
        return;
    }
    UNREACHABLE();
}

static bool
remove_from(struct lsm_file **files, size_t *count, const struct lsm_file *f)
{
    for (size_t i = 0; i < *count; i++) {
        if (files[i] != f)
            continue;
        --*count;
        memmove(files + i, files + i + 1, (*count - i) * sizeof *files);
        return true;
    }
    return false;
}

bool
lsm_draft_remove_file(struct lsm_draft *d, const struct lsm_file *f)
{
    if (f->props->kind == SEGMENT_UNDO)
        return remove_from(d->undo, &d->undo_count, f);
    for (size_t i = 0; i < d->run_count; i++)
        if (d->runs[i].id == f->run_id)
            return remove_from(d->runs[i].files, &d->runs[i].count, f);
    return false;
}

void
lsm_draft_drop_empty_runs(struct lsm_draft *d)
{
    size_t kept = 0;

    for (size_t i = 0; i < d->run_count; i++)
        if (d->runs[i].count != 0)
            d->runs[kept++] = d->runs[i];
    d->run_count = kept;
}

void
lsm_draft_add_undo(struct lsm_draft *d, struct lsm_file *f)
{
    struct lsm_file **undo = ARENA_ARRAY(&d->arena, struct lsm_file *, d->undo_count + 1);

    if (d->undo_count != 0)
        memcpy(undo, d->undo, d->undo_count * sizeof(struct lsm_file *));
    undo[d->undo_count++] = f;
    d->undo = undo;
}

/* ---- building ---------------------------------------------------------------------------------
 */

struct part_cache {
    struct lsm *lsm;
    incarnation_t branch, tag;
    scn_t part;
    bool filled;
};

/* With lsm.state. Runs of a tree mostly share a tag. */
static scn_t
part_of(struct part_cache *c, incarnation_t tag)
{
    if (!c->filled || c->tag != tag) {
        c->tag = tag;
        c->part = lineage_part(&c->lsm->lineage, tag, c->branch);
        c->filled = true;
    }
    return c->part;
}

/* UNDO-2: some entry was superseded only by what the branch does not see. By the file's bounds: a
 * file that merely might hold one counts as revived until it is folded. */
static bool
is_revived(const struct lsm_file *f, scn_t part)
{
    return f->props->scn_min <= part && f->props->superseded_max > part;
}

static void
fill_undo(struct lsm_view *v, const struct lsm_draft *d, struct part_cache *parts)
{
    bool broken = lsm_is_broken(v->lsm, LSM_BREAK_UNDO_2);

    for (int revived = 1; revived >= 0; revived--) {
        for (size_t i = 0; i < d->undo_count; i++) {
            scn_t part = part_of(parts, d->undo[i]->tag);

            if (is_revived(d->undo[i], part) != revived)
                continue;
            lsm_file_ref(d->undo[i]);
            v->undo[v->undo_count++] = (struct lsm_slot){ .file = d->undo[i],
                                                          .part = part,
                                                          .revived = revived && !broken };
        }
        if (revived)
            v->revived_count = broken ? 0 : v->undo_count;
    }
}

static struct lsm_view *
view_alloc(const struct lsm_draft *d)
{
    struct lsm_view *v;
    struct lsm_slot *slots;
    size_t size = sizeof *v, files = d->undo_count;

    for (size_t i = 0; i < d->run_count; i++)
        files += d->runs[i].count;
    size += d->mem_count * sizeof *v->mems + d->run_count * sizeof *v->runs + files * sizeof *slots;
    v = xcalloc(1, size);
    v->mems = (struct lsm_mem_slot *)(void *)(v + 1);
    v->runs = (struct lsm_run *)(void *)(v->mems + d->mem_count);
    slots = (struct lsm_slot *)(void *)(v->runs + d->run_count);
    for (size_t i = 0; i < d->run_count; i++) {
        v->runs[i].slots = slots;
        slots += d->runs[i].count;
    }
    v->undo = slots;
    return v;
}

struct lsm_view *
lsm_draft_build(const struct lsm_draft *d)
{
    struct lsm *l = d->tree->lsm;
    struct lsm_view *v = view_alloc(d);
    struct part_cache parts = { .lsm = l };

    env_mutex_lock(&l->state);
    parts.branch = v->branch = atomic_load(&l->branch);
    v->tree = d->tree;
    v->lsm = l;
    v->host = &l->host;
    v->broken = l->o.broken;
    v->has_active = d->has_active;
    v->mem_count = (uint32_t)d->mem_count;
    for (size_t i = 0; i < d->mem_count; i++) {
        lsm_mem_ref(d->mems[i]);
        v->mems[i] = (struct lsm_mem_slot){ d->mems[i], part_of(&parts, d->mems[i]->tag) };
    }
    v->run_count = (uint32_t)d->run_count;
    for (size_t i = 0; i < d->run_count; i++) {
        v->runs[i].id = d->runs[i].id;
        v->runs[i].count = (uint32_t)d->runs[i].count;
        for (size_t k = 0; k < d->runs[i].count; k++) {
            struct lsm_file *f = d->runs[i].files[k];

            lsm_file_ref(f);
            v->runs[i].slots[k] = (struct lsm_slot){ .file = f, .part = part_of(&parts, f->tag) };
        }
    }
    fill_undo(v, d, &parts);
    env_mutex_unlock(&l->state);
    return v;
}

void
lsm_draft_publish_locked(struct lsm_draft *d)
{
    struct lsm_tree *t = d->tree;
    struct lsm_view *v = lsm_draft_build(d), *before;
    uint64_t word;

    CHECK(WORD_ADDRESS((uint64_t)(uintptr_t)v) == (uint64_t)(uintptr_t)v);
    v->generation = ++t->generation;
    v->refs = VIEW_PUBLISHED;
    word = atomic_exchange(&t->view_word, (uint64_t)(uintptr_t)v);
    atomic_store(&t->runs, v->run_count);
    before = word_view(word);
    if (before == NULL)
        return;
    if (atomic_fetch_add(&before->refs, (int64_t)(word >> 48) - VIEW_PUBLISHED) ==
        VIEW_PUBLISHED - (int64_t)(word >> 48))
        lsm_view_free(before);
}

void
lsm_views_renew(struct lsm *l)
{
    struct lsm_tree **trees;
    size_t count = lsm_tree_snapshot_all(l, &trees);

    for (size_t i = 0; i < count; i++) {
        struct lsm_draft d;

        env_mutex_lock(&trees[i]->lock);
        lsm_draft_init(&d, trees[i], lsm_view_current_locked(trees[i]));
        lsm_draft_publish_locked(&d);
        lsm_draft_fini(&d);
        env_mutex_unlock(&trees[i]->lock);
        lsm_work_queue(trees[i]);
    }
    xfree(trees);
}
