/* Making and opening: what the manifest names is opened, what it does not name is deleted.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/lsm/lsm_int.h"

int
lsm_create(struct env *env, const char *dir, uint64_t database_id, const struct manifest_edit *more)
{
    char path[LSM_PATH_MAX + 16];
    struct manifest_edit e;
    int rc;

    if (strlen(dir) >= LSM_PATH_MAX - 64)
        return DIAG(ERR_NAME_TOO_LONG, "%s: path too long", dir);
    snprintf(path, sizeof path, "%s/segments", dir);
    rc = env_mkdir(env, path);
    if (rc == ERR_FILE_EXISTS && env_is_dir(env, path))
        rc = 0; /* an attempt before this one came so far */
    if (rc == 0)
        rc = env_sync_dir(env, dir);
    if (rc != 0)
        return rc;
    manifest_edit_init(&e);
    lsm_put_singleton(&e, MANIFEST_DATABASE, database_id);
    lsm_put_singleton(&e, MANIFEST_CURRENT, 0);
    lsm_put_singleton(&e, MANIFEST_HORIZON, 0);
    lsm_put_branch(&e, 0, 0);
    if (more != NULL) {
        wr_slice(&e.w, wr_view(&more->w));
        e.item_count += more->item_count;
    }
    rc = manifest_create(env, dir, &e);
    manifest_edit_fini(&e);
    return rc;
}

/* ---- loading ----------------------------------------------------------------------------------
 */

struct loaded_file {
    uint64_t file_id;
    struct lsm_segment_item item;
    struct lsm_file *file;
};
struct loader {
    struct lsm *lsm;
    struct loaded_file *files; /* ascending by file id */
    size_t count, cap;
};

static int
load_segment(void *arg, struct slice key, struct slice value)
{
    struct loader *ld = arg;
    struct loaded_file *f;

    if (ld->count == ld->cap) {
        ld->cap = ld->cap == 0 ? 64 : ld->cap * 2;
        ld->files = xrealloc(ld->files, ld->cap * sizeof *ld->files);
    }
    f = &ld->files[ld->count++];
    memset(f, 0, sizeof *f);
    return lsm_get_segment(key, value, &f->file_id, &f->item);
}

MUST_CHECK
static int
open_files(struct loader *ld)
{
    struct lsm *l = ld->lsm;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < ld->count; i++) {
        struct loaded_file *f = &ld->files[i];

        rc = lsm_file_open(l, f->file_id, &f->item, &f->file);
        if (rc == ERR_NO_FILE)
            rc = DIAG(ERR_CORRUPT, "segment %016llx, which the manifest names, is missing",
                      (unsigned long long)f->file_id);
        if (f->file_id >= atomic_load(&l->next_file))
            atomic_store(&l->next_file, f->file_id + 1);
        if (f->item.run >= atomic_load(&l->next_run))
            atomic_store(&l->next_run, f->item.run + 1);
    }
    return rc;
}

static int
compare_by_tree(const void *a, const void *b)
{
    const struct loaded_file *fa = a, *fb = b;

    if (fa->item.tree != fb->item.tree)
        return fa->item.tree < fb->item.tree ? -1 : 1;
    if (fa->item.run != fb->item.run)
        return fa->item.run < fb->item.run ? -1 : 1;
    return slice_cmp(fa->file->props->key_min, fb->file->props->key_min);
}

/* The files of one run of a tree; `files` are the tree's. */
MUST_CHECK
static int
draft_run(struct lsm_draft *d, uint64_t id, const struct loaded_file *files, size_t count)
{
    struct lsm_file **run = ARENA_ARRAY(&d->arena, struct lsm_file *, count + 1);
    size_t n = 0;

    for (size_t i = 0; i < count; i++) {
        if (files[i].item.run != id)
            continue;
        if (n > 0 && slice_cmp(run[n - 1]->props->key_max, files[i].file->props->key_min) >= 0)
            return DIAG(ERR_CORRUPT, "segments of run %llu of tree %llu overlap",
                        (unsigned long long)id, (unsigned long long)d->tree->id);
        run[n++] = files[i].file;
    }
    if (n == 0)
        return DIAG(ERR_CORRUPT, "run %llu of tree %llu has no segment", (unsigned long long)id,
                    (unsigned long long)d->tree->id);
    lsm_draft_add_run(d, d->run_count, id, run, n);
    return 0;
}

MUST_CHECK
static int
draft_tree(struct lsm *l, struct lsm_draft *d, const struct loaded_file *files, size_t count)
{
    uint8_t key[8];
    struct writer w;
    struct reader r;
    size_t in_runs = 0;
    uint32_t n;
    int rc;

    store_u64_be(key, d->tree->id);
    wr_init(&w, 0);
    rc = manifest_get(l->manifest, MANIFEST_RUNS, slice(key, 8), &w);
    if (rc == ERR_NOT_FOUND)
        rc = 0;
    rd_init(&r, w.data, w.size);
    n = w.size == 0 ? 0 : rd_u32(&r);
    for (uint32_t i = 0; rc == 0 && i < n && rd_ok(&r); i++) {
        rc = draft_run(d, rd_u64(&r), files, count);
        if (rc == 0)
            in_runs += d->runs[d->run_count - 1].count;
    }
    for (size_t i = 0; i < count; i++)
        if (files[i].item.run == 0)
            lsm_draft_add_undo(d, files[i].file);
    if (rc == 0 && (!rd_ok(&r) || rd_left(&r) != 0 || in_runs + d->undo_count != count))
        rc = DIAG(ERR_CORRUPT, "manifest: the runs of tree %llu do not fit its segments",
                  (unsigned long long)d->tree->id);
    wr_fini(&w);
    return rc;
}

MUST_CHECK
static int
load_tree_files(struct lsm *l, const struct loaded_file *files, size_t count)
{
    struct lsm_tree *t = lsm_tree_find(l, files[0].item.tree);
    struct lsm_draft d;
    int rc;

    if (t == NULL)
        return DIAG(ERR_CORRUPT, "manifest: segments of tree %llu, which is not there",
                    (unsigned long long)files[0].item.tree);
    env_mutex_lock(&t->lock);
    lsm_draft_init(&d, t, NULL);
    rc = draft_tree(l, &d, files, count);
    if (rc == 0)
        lsm_draft_publish_locked(&d);
    lsm_draft_fini(&d);
    env_mutex_unlock(&t->lock);
    return rc;
}

MUST_CHECK
static int
load_files(struct lsm *l)
{
    struct loader ld = { .lsm = l };
    int rc = manifest_each(l->manifest, MANIFEST_SEGMENT, load_segment, &ld);

    if (rc == 0)
        rc = open_files(&ld);
    if (rc == 0 && ld.count != 0)
        qsort(ld.files, ld.count, sizeof *ld.files, compare_by_tree);
    for (size_t i = 0, end; rc == 0 && i < ld.count; i = end) {
        for (end = i + 1; end < ld.count && ld.files[end].item.tree == ld.files[i].item.tree;)
            end++;
        rc = load_tree_files(l, ld.files + i, end - i);
    }
    for (size_t i = 0; i < ld.count; i++)
        lsm_file_unref(ld.files[i].file); /* views have their own references */
    xfree(ld.files);
    return rc;
}

/* ---- files that nothing names -----------------------------------------------------------------
 */

struct sweep {
    struct lsm *lsm;
    char **names;
    size_t count, cap;
    uint64_t highest;
};

static int
sweep_name(void *arg, const char *name)
{
    struct sweep *s = arg;
    uint8_t key[8];
    struct writer w;
    uint64_t id;
    char *end;
    int rc;

    id = strtoull(name, &end, 16);
    if (end != name + 16 || strcmp(end, ".seg") != 0)
        return 0; /* not ours */
    if (id > s->highest)
        s->highest = id;
    store_u64_be(key, id);
    wr_init(&w, 0);
    rc = manifest_get(s->lsm->manifest, MANIFEST_SEGMENT, slice(key, 8), &w);
    wr_fini(&w);
    if (rc != ERR_NOT_FOUND)
        return rc;
    if (s->count == s->cap) {
        s->cap = s->cap == 0 ? 16 : s->cap * 2;
        s->names = xrealloc(s->names, s->cap * sizeof(char *));
    }
    s->names[s->count++] = xstrdup(name);
    return 0;
}

/* Outputs of merges that were never installed, inputs of some that were. */
MUST_CHECK
static int
sweep_files(struct lsm *l)
{
    struct sweep s = { .lsm = l };
    char dir[LSM_PATH_MAX + 16], path[LSM_PATH_MAX + 300];
    int rc;

    lsm_segments_dir(l, dir);
    rc = env_list_dir(l->env, dir, sweep_name, &s);
    for (size_t i = 0; i < s.count; i++) {
        snprintf(path, sizeof path, "%s/%.255s", dir, s.names[i]);
        if (rc == 0)
            rc = env_unlink(l->env, path);
        xfree(s.names[i]);
    }
    xfree(s.names);
    if (s.highest >= atomic_load(&l->next_file))
        atomic_store(&l->next_file, s.highest + 1);
    return rc;
}

/* ---- the rest of the manifest -----------------------------------------------------------------
 */

static int
load_lineage(void *arg, struct slice key, struct slice value)
{
    struct lsm *l = arg;
    struct lineage_entry entry;
    struct reader r;

    (void)key;
    rd_init(&r, value.data, value.size);
    lineage_entry_decode(&r, &entry);
    if (!rd_ok(&r))
        return DIAG(ERR_CORRUPT, "manifest: a lineage entry does not fit");
    return lineage_add(&l->lineage, &entry); /* keys ascend, parents come first */
}

static int
load_branch(void *arg, struct slice key, struct slice value)
{
    struct lsm *l = arg;

    if (key.size != 4 || value.size != 8)
        return DIAG(ERR_CORRUPT, "manifest: a branch's item does not fit");
    l->live = xrealloc(l->live, (l->live_count + 1) * sizeof *l->live);
    l->live[l->live_count++] = (struct lsm_live){ load_u32_be(key.data), load_u64(value.data) };
    return 0;
}

static int
load_pin(void *arg, struct slice key, struct slice value)
{
    struct lsm *l = arg;

    l->pins = xrealloc(l->pins, (l->pin_count + 1) * sizeof *l->pins);
    return lsm_get_pin(key, value, &l->pins[l->pin_count++]);
}

static int
load_position(void *arg, struct slice key, struct slice value)
{
    struct lsm *l = arg;
    incarnation_t inc;
    tree_id_t tree;

    if (key.size != 12 || value.size != 8)
        return DIAG(ERR_CORRUPT, "manifest: a recovery position does not fit");
    inc = load_u32_be(key.data);
    tree = load_u64_be(key.data + 4);
    if (tree == 0)
        lsm_positions_set(&l->positions, inc, load_u64(value.data));
    else if (tree == LSM_TREE_NONE)
        lsm_positions_set(&l->registry, inc, load_u64(value.data));
    else
        lsm_positions_set(&lsm_tree_make(l, tree)->flushed, inc, load_u64(value.data));
    return 0;
}

static int
load_status(void *arg, struct slice key, struct slice value)
{
    if (key.size != 8 || value.size != 8)
        return DIAG(ERR_CORRUPT, "manifest: a status does not fit");
    lsm_txids_load_kept(arg, load_u64_be(key.data), load_u64(value.data));
    return 0;
}

static int
load_singleton(void *arg, struct slice key, struct slice value)
{
    if (key.size != 0 || value.size != 8)
        return DIAG(ERR_CORRUPT, "manifest: an item does not fit");
    *(uint64_t *)arg = load_u64(value.data);
    return 0;
}

MUST_CHECK
static int
load_all(struct lsm *l)
{
    uint64_t branch = 0, horizon = 0;
    int rc = manifest_each(l->manifest, MANIFEST_LINEAGE, load_lineage, l);

    if (rc == 0)
        rc = manifest_each(l->manifest, MANIFEST_CURRENT, load_singleton, &branch);
    if (rc == 0)
        rc = manifest_each(l->manifest, MANIFEST_HORIZON, load_singleton, &horizon);
    if (rc == 0)
        rc = manifest_each(l->manifest, MANIFEST_BRANCH, load_branch, l);
    if (rc == 0)
        rc = manifest_each(l->manifest, MANIFEST_PIN, load_pin, l);
    atomic_store(&l->branch, (incarnation_t)branch);
    atomic_store(&l->write_tag, (incarnation_t)branch);
    atomic_store(&l->horizon, horizon);
    l->durable_horizon = horizon;
    if (rc == 0)
        rc = lsm_trees_load(l);
    if (rc == 0)
        rc = manifest_each(l->manifest, MANIFEST_POSITION, load_position, l);
    if (rc == 0)
        rc = lsm_stretches_load(l);
    if (rc == 0)
        rc = manifest_each(l->manifest, MANIFEST_STATUS, load_status, l);
    if (rc == 0)
        rc = load_files(l);
    lsm_views_renew(l); /* some trees were made before the branch was known */
    return rc != 0 ? rc : sweep_files(l);
}

/* ---- opening and closing ----------------------------------------------------------------------
 */

static void
fill_options(struct lsm *l, const struct lsm_options *o)
{
    l->o = *o;
    if (l->o.memtable_bytes == 0)
        l->o.memtable_bytes = 128 << 20;
    if (l->o.memtable_each == 0)
        l->o.memtable_each = l->o.memtable_bytes / 4;
    if (l->o.cache_bytes == 0)
        l->o.cache_bytes = 128 << 20;
    if (l->o.redo_bytes_max == 0)
        l->o.redo_bytes_max = 1 << 30;
    if (l->o.file_bytes == 0)
        l->o.file_bytes = 48 << 20;
    if (l->o.level_bytes == 0)
        l->o.level_bytes = l->o.memtable_each;
    if (l->o.tier_runs == 0)
        l->o.tier_runs = 4;
    if (l->o.size_ratio == 0)
        l->o.size_ratio = 4;
    if (l->o.background_threads == 0)
        l->o.background_threads = 1;
}

static void
init_locks(struct lsm *l)
{
    env_mutex_init(l->env, &l->edit);
    env_mutex_init(l->env, &l->state);
    env_mutex_init(l->env, &l->trees_lock);
    env_mutex_init(l->env, &l->mems_lock);
    env_mutex_init(l->env, &l->files_lock);
    env_mutex_init(l->env, &l->work_lock);
    env_cond_init(l->env, &l->work_cond);
    env_cond_init(l->env, &l->merge_cond);
}

static void
fini_locks(struct lsm *l)
{
    env_cond_fini(&l->merge_cond);
    env_cond_fini(&l->work_cond);
    env_mutex_fini(&l->work_lock);
    env_mutex_fini(&l->files_lock);
    env_mutex_fini(&l->mems_lock);
    env_mutex_fini(&l->trees_lock);
    env_mutex_fini(&l->state);
    env_mutex_fini(&l->edit);
}

static struct lsm *
lsm_new(const struct lsm_options *o, const struct lsm_host *host)
{
    struct lsm *l = xcalloc(1, sizeof *l);

    l->env = o->env;
    l->host = *host;
    fill_options(l, o);
    snprintf(l->dir, sizeof l->dir, "%s", o->dir);
    l->o.dir = l->dir;
    init_locks(l);
    list_init(&l->mems);
    list_init(&l->work);
    list_init(&l->merges);
    l->holds.prev = l->holds.next = &l->holds;
    lineage_init(&l->lineage);
    lsm_txids_init(l);
    l->next_file = l->next_run = l->next_mem = 1;
    /* The cap is for writers that do not wait when they are told to. */
    budget_init(&l->budget, "memtables", lsm_memory_limit(l), NULL);
    l->spare = memtable_pool_new();
    l->cache = cache_new(l->env, l->o.cache_bytes);
    l->codecs = codec_pool_new(l->env);
    l->segment_env = (struct segment_env){ .env = l->env,
                                           .cache = l->cache,
                                           .codecs = l->codecs,
                                           .jobs = l->o.jobs,
                                           .repair = l->o.repair };
    (void)lsm_tree_make(l, 1);
    return l;
}

int
lsm_open(const struct lsm_options *o, const struct lsm_host *host, struct lsm **out)
{
    struct lsm *l;
    int rc;

    if (strlen(o->dir) >= LSM_PATH_MAX - 64)
        return DIAG(ERR_NAME_TOO_LONG, "%s: path too long", o->dir);
    l = lsm_new(o, host);
    rc = manifest_open(l->env, l->dir, &l->manifest);
    if (rc == 0)
        rc = load_all(l);
    if (rc != 0) {
        struct diag why = *diag_last();

        lsm_close(l);
        diag_restore(&why);
        return rc;
    }
    *out = l;
    return 0;
}

static void
tree_free(struct lsm_tree *t)
{
    struct lsm_view *v = lsm_view_current_locked(t);

    CHECK(atomic_load(&v->refs) ==
          ((int64_t)1 << 48) - (int64_t)(atomic_load(&t->view_word) >> 48));
    lsm_view_free(v);
    xfree(t->flushed.at);
    xfree(t->drops);
    xfree(t->cursor);
    xfree(t->reread);
    env_mutex_fini(&t->lock);
    xfree_aligned(t);
}

void
lsm_close(struct lsm *l)
{
    struct lsm_tree_table *table, *before;

    if (l == NULL)
        return;
    lsm_stop(l);
    for (size_t i = 0; i < l->tree_count; i++)
        tree_free(l->tree_list[i]);
    CHECK(list_empty(&l->mems) && l->files_held == 0);
    for (table = atomic_load(&l->trees); table != NULL; table = before) {
        before = table->before;
        xfree(table);
    }
    xfree(l->tree_list);
    manifest_close(l->manifest);
    lsm_txids_fini(l);
    lineage_fini(&l->lineage);
    xfree(l->live);
    xfree(l->pins);
    xfree(l->positions.at);
    xfree(l->registry.at);
    lsm_stretches_fini(l);
    memtable_pool_free(l->spare);
    cache_free(l->cache);
    codec_pool_free(l->codecs);
    fini_locks(l);
    xfree(l);
}

struct manifest *
lsm_manifest(struct lsm *l)
{
    return l->manifest;
}

struct env *
lsm_env(const struct lsm *l)
{
    return l->env;
}

/* ---- figures ----------------------------------------------------------------------------------
 */

static void
add_view_figures(const struct lsm_view *v, struct lsm_figures *out)
{
    out->memtables_sealed += v->mem_count - (v->has_active ? 1 : 0);
    if (v->run_count > out->runs_max)
        out->runs_max = v->run_count;
    for (uint32_t i = 0; i < v->run_count; i++)
        for (uint32_t k = 0; k < v->runs[i].count; k++, out->segments++)
            out->segment_bytes += v->runs[i].slots[k].file->bytes;
    for (uint32_t i = 0; i < v->undo_count; i++, out->segments++)
        out->undo_bytes += v->undo[i].file->bytes;
}

void
lsm_get_figures(struct lsm *l, struct lsm_figures *out)
{
    struct cache_figures cache;
    struct lsm_tree **trees;
    size_t count = lsm_tree_snapshot(l, &trees);

    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < count; i++) {
        struct lsm_view *v = lsm_view_acquire(trees[i]);

        add_view_figures(v, out);
        lsm_view_release(v);
    }
    xfree(trees);
    cache_get_figures(l->cache, &cache);
    out->memtable_bytes = atomic_load(&l->budget.used);
    out->flushes = atomic_load(&l->flushes);
    out->compactions = atomic_load(&l->compactions);
    out->flush_bytes = atomic_load(&l->flush_bytes);
    out->compaction_bytes = atomic_load(&l->compaction_bytes);
    out->compaction_read_bytes = atomic_load(&l->compaction_read_bytes);
    out->versions_dropped = atomic_load(&l->versions_dropped);
    out->job_failures = atomic_load(&l->job_failures);
    out->debt_bytes = atomic_load(&l->debt);
    out->cache_hits = cache.hits;
    out->cache_misses = cache.misses;
}
