/* Installing a merge: one edit of the manifest, then the tree's new view.
 *
 * REDO-1   A flush is installed only when redo is durable to where its memtable's last version got
 *          its record, and to every position that the edit names.
 * STATUS-1 Statuses go along with the positions that pass their commit records.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "engine/lsm/lsm_int.h"

/* What a flush needs of redo, noted in this order: every record below `floor` has its version in a
 * memtable; `tip` is not below the SCN of any commit below `floor`; then everything is settled, so
 * that redo durable to `end` holds it all. Changes of branch are counted: what was noted before or
 * during one says nothing of the branch after it. */
struct redo_state {
    uint64_t changes;
    incarnation_t branch;
    struct lsn floor, end;
    scn_t tip;
};

MUST_CHECK
static int
settle_redo(struct lsm_job *job, struct redo_state *r)
{
    const struct lsm_host *host = &job->lsm->host;
    int rc;

    r->changes = atomic_load(&job->lsm->branch_changes);
    r->floor = host->floor(host->arg, &r->branch);
    r->tip = host->tip(host->arg);
    rc = host->settle(host->arg, &r->end);
    if (rc != 0)
        return rc;
    if (lsn_lt(r->end, r->floor))
        r->end = r->floor;
    return host->wait_durable(host->arg, r->branch, r->end);
}

/* ---- the new set of runs ----------------------------------------------------------------------
 */

static size_t
insert_at(const struct lsm_job *job, const struct lsm_draft *d)
{
    if (job->mem != NULL || job->run_from == job->run_to)
        return 0;
    for (size_t i = 0; i < d->run_count; i++)
        if (d->runs[i].id == job->view->runs[job->run_from].id)
            return i;
    return 0;
}

static int
compare_files(const void *a, const void *b)
{
    const struct lsm_file *const *fa = a, *const *fb = b;

    return slice_cmp((*fa)->props->key_min, (*fb)->props->key_min);
}

/* A partial merge puts its output where the rest of the oldest run is. */
static void
add_to_run(struct lsm_draft *d, const struct lsm_output *o)
{
    for (size_t i = 0; i < d->run_count; i++) {
        struct lsm_draft_run *run = &d->runs[i];
        struct lsm_file **files;

        if (run->id != o->run_id)
            continue;
        files = ARENA_ARRAY(&d->arena, struct lsm_file *, run->count + o->file_count + 1);
        memcpy(files, run->files, run->count * sizeof(struct lsm_file *));
        for (size_t k = 0; k < o->file_count; k++)
            files[run->count + k] = o->files[k];
        run->files = files;
        run->count += o->file_count;
        qsort(files, run->count, sizeof(struct lsm_file *), compare_files);
        return;
    }
    UNREACHABLE();
}

/* Inputs out, outputs in. False: an input is gone. */
static bool
draft_result(const struct lsm_job *job, struct lsm_draft *d)
{
    size_t at = insert_at(job, d);

    if (job->mem != NULL) {
        if (d->mem_count == 0 || d->mems[d->mem_count - 1] != job->mem)
            return false;
        lsm_draft_remove_mem(d, job->mem);
    }
    for (size_t i = 0; i < job->file_count; i++)
        if (!lsm_draft_remove_file(d, job->files[i]))
            return false;
    if (job->partial)
        add_to_run(d, &job->main);
    else if (job->main.file_count != 0)
        lsm_draft_add_run(d, at, job->main.run_id, job->main.files, job->main.file_count);
    for (uint32_t g = job->orphan_count; g-- > 0;)
        if (job->orphans[g].file_count != 0)
            lsm_draft_add_run(d, at, job->orphans[g].run_id, job->orphans[g].files,
                              job->orphans[g].file_count);
    for (size_t i = 0; i < job->undo.file_count; i++)
        lsm_draft_add_undo(d, job->undo.files[i]);
    for (uint32_t k = 0; k < job->orphan_undo_count; k++)
        for (size_t i = 0; i < job->orphan_undo[k].file_count; i++)
            lsm_draft_add_undo(d, job->orphan_undo[k].files[i]);
    lsm_draft_drop_empty_runs(d);
    return true;
}

/* ---- the edit ---------------------------------------------------------------------------------
 */

static void
edit_in(struct manifest_edit *e, const struct lsm_output *o)
{
    for (size_t i = 0; i < o->file_count; i++) {
        const struct lsm_file *f = o->files[i];
        struct lsm_segment_item item = { .tree = f->props->tree,
                                         .run = f->run_id,
                                         .kind = (uint8_t)f->props->kind,
                                         .level = f->level,
                                         .tag = f->tag,
                                         .bytes = f->bytes,
                                         .nonce = f->props->id.nonce,
                                         .hash = f->hash };

        lsm_put_segment(e, f->file_id, &item);
    }
}

static void
edit_outputs(struct manifest_edit *e, const struct lsm_job *job)
{
    edit_in(e, &job->main);
    edit_in(e, &job->undo);
    for (uint32_t g = 0; g < job->orphan_count; g++)
        edit_in(e, &job->orphans[g]);
    for (uint32_t k = 0; k < job->orphan_undo_count; k++)
        edit_in(e, &job->orphan_undo[k]);
}

/* Fills the edit from the tree's present view. False: an input is gone. */
static bool
fill_edit(struct lsm_job *job, struct manifest_edit *e)
{
    struct lsm_tree *t = job->tree;
    struct lsm_draft d;
    bool fits;

    env_mutex_lock(&t->lock);
    lsm_draft_init(&d, t, lsm_view_current_locked(t));
    fits = !atomic_load(&t->removed) && draft_result(job, &d);
    if (fits) {
        struct lsm_view *v = lsm_draft_build(&d);

        edit_outputs(e, job);
        for (size_t i = 0; i < job->file_count; i++)
            lsm_remove_segment(e, job->files[i]->file_id);
        lsm_put_runs(e, t->id, v);
        lsm_view_free(v);
    }
    lsm_draft_fini(&d);
    env_mutex_unlock(&t->lock);
    return fits;
}

static void
publish(struct lsm_job *job)
{
    struct lsm_tree *t = job->tree;
    struct lsm_draft d;

    env_mutex_lock(&t->lock);
    lsm_draft_init(&d, t, lsm_view_current_locked(t));
    /* Runs change with lsm.edit only, which we have held since fill_edit. */
    CHECK(draft_result(job, &d));
    lsm_draft_publish_locked(&d);
    lsm_draft_fini(&d);
    env_mutex_unlock(&t->lock);
    if (job->mem != NULL)
        lsm_mem_flushed(job->mem);
    for (size_t i = 0; i < job->file_count; i++)
        lsm_file_retire(job->files[i]);
}

/* What a flush says about redo. */
static void
edit_redo(struct lsm_job *job, struct manifest_edit *e, struct redo_state *r)
{
    struct lsm *l = job->lsm;
    incarnation_t branch = atomic_load(&l->branch);

    if (r->branch != branch || r->changes != atomic_load(&l->branch_changes)) {
        /* A cut came in between: of the incarnation now followed nothing has been noted. */
        bool known = lsm_positions_get(&l->positions, branch, &r->floor.v);

        CHECK(known);
        lsm_positions_edit(l, e, job->tree, job->mem, r->floor);
        return;
    }
    lsm_positions_edit(l, e, job->tree, job->mem, r->floor);
    lsm_trees_edit(l, e, r->floor);
    for (size_t i = 0; i < l->live_count; i++)
        if (l->live[i].inc == branch && l->live[i].tip < r->tip) {
            env_mutex_lock(&l->state); /* with edit: changed with both */
            l->live[i].tip = r->tip;
            env_mutex_unlock(&l->state);
            lsm_put_branch(e, branch, r->tip);
        }
}

static void
retag_outputs(struct lsm_job *job)
{
    incarnation_t now = atomic_load(&job->lsm->branch);

    for (size_t i = 0; i < job->main.file_count; i++)
        job->main.files[i]->tag = now;
    for (size_t i = 0; i < job->undo.file_count; i++)
        job->undo.files[i]->tag = now;
}

/* With lsm.edit. */
MUST_CHECK
static int
install_locked(struct lsm_job *job, struct redo_state *r)
{
    struct lsm *l = job->lsm;
    struct lsm_positions positions = { 0 }, registry = { 0 };
    struct manifest_edit e;
    int rc = ERR_AGAIN;

    if (lsm_is_broken(l, LSM_BREAK_CUT_2))
        retag_outputs(job); /* the cut is not carried to the outputs */
    lsm_positions_copy(&positions, &l->positions);
    lsm_positions_copy(&registry, &l->registry);
    manifest_edit_init(&e);
    if (fill_edit(job, &e)) {
        if (job->mem != NULL)
            edit_redo(job, &e, r);
        lsm_txids_edit(l, &e);
        rc = manifest_commit(l->manifest, &e);
        lsm_edit_done(l, rc == 0);
        if (rc == 0)
            publish(job);
        else
            lsm_positions_restore(l, &positions, &registry);
    }
    manifest_edit_fini(&e);
    xfree(positions.at);
    xfree(registry.at);
    return rc;
}

static uint64_t
output_bytes(const struct lsm_job *job)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < job->main.file_count; i++)
        bytes += job->main.files[i]->bytes;
    for (size_t i = 0; i < job->undo.file_count; i++)
        bytes += job->undo.files[i]->bytes;
    return bytes;
}

static void
count(const struct lsm_job *job)
{
    struct lsm *l = job->lsm;
    uint64_t bytes = output_bytes(job);

    if (job->mem != NULL) {
        atomic_fetch_add(&l->flushes, 1);
        atomic_fetch_add(&l->flush_bytes, bytes);
        lsm_work_note_flush(l, memtable_bytes(job->mem->table),
                            env_boot_ns(l->env) - job->started_ns);
    } else {
        atomic_fetch_add(&l->compactions, 1);
        atomic_fetch_add(&l->compaction_bytes, bytes);
        atomic_fetch_add(&l->compaction_read_bytes, job->read_bytes);
    }
}

int
lsm_job_install(struct lsm_job *job)
{
    struct lsm *l = job->lsm;
    struct lsm_tree *t = job->tree;
    struct redo_state r = { 0 };
    char dir[LSM_PATH_MAX + 16];
    int rc = 0;

    if (job->mem != NULL)
        rc = settle_redo(job, &r);
    lsm_segments_dir(l, dir);
    if (rc == 0)
        rc = env_sync_dir(l->env, dir); /* the names of the outputs */
    if (rc == 0) {
        env_mutex_lock(&l->edit);
        rc = install_locked(job, &r);
        env_mutex_unlock(&l->edit);
    }
    if (rc == 0)
        count(job);
    else
        atomic_fetch_add(&l->job_failures, 1);
    lsm_job_end(job, rc == 0);
    if (rc == 0) {
        lsm_work_queue(t);
        if (l->host.installed != NULL)
            l->host.installed(l->host.arg);
    }
    return rc;
}
