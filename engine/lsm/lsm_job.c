/* Starting a merge: which branch, horizon and inputs it has; then the merge itself.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "engine/lsm/lsm_int.h"

static void
job_free(struct lsm_job *job, bool outputs_deleted)
{
    for (uint32_t i = 0; i < job->input_count; i++)
        lsm_source_fini(&job->inputs[i].source);
    lsm_output_fini(&job->main, outputs_deleted);
    lsm_output_fini(&job->undo, outputs_deleted);
    for (uint32_t i = 0; i < job->orphan_count; i++)
        lsm_output_fini(&job->orphans[i], outputs_deleted);
    for (uint32_t i = 0; i < job->orphan_undo_count; i++)
        lsm_output_fini(&job->orphan_undo[i], outputs_deleted);
    lsm_merge_key_fini(&job->key);
    lsm_scene_fini(&job->scene);
    lsm_view_release(job->view);
    xfree(job->files);
    xfree(job->slots);
    xfree(job->slot_runs);
    xfree(job->inputs);
    xfree(job->heap);
    xfree(job->orphans);
    xfree(job->orphan_undo);
    arena_fini(&job->key_arena);
    arena_fini(&job->arena);
    xfree(job);
}

void
lsm_job_end(struct lsm_job *job, bool installed)
{
    struct lsm_tree *t = job->tree;

    env_mutex_lock(&t->lock);
    if (job->kind == LSM_JOB_FLUSH)
        t->flush_busy = false;
    else
        t->merge_busy = false;
    env_mutex_unlock(&t->lock);
    job_free(job, !installed);
}

void
lsm_job_discard(struct lsm_job *job)
{
    lsm_job_end(job, false);
}

/* ---- inputs -----------------------------------------------------------------------------------
 */

static int
compare_slots(const void *a, const void *b)
{
    const struct lsm_slot *sa = a, *sb = b;

    return slice_cmp(sa->file->props->key_min, sb->file->props->key_min);
}

/* The parts of the input files for the branch of the merge, by run and key; undo files last. */
static void
fill_slots(struct lsm_job *job)
{
    const struct lsm_view *v = job->view;
    size_t n = 0;

    job->slots = xcalloc(job->file_count + 1, sizeof *job->slots);
    job->slot_runs = xcalloc(job->file_count + 1, sizeof *job->slot_runs);
    for (uint32_t r = job->run_from; r <= job->run_to; r++) {
        size_t from = n;

        for (size_t i = 0; i < job->file_count; i++) {
            struct lsm_file *f = job->files[i];
            bool undo = f->props->kind == SEGMENT_UNDO;

            if (r < job->run_to ? undo || f->run_id != v->runs[r].id : !undo)
                continue;
            job->slot_runs[n] = undo ? UINT32_MAX : r;
            job->slots[n++] =
                (struct lsm_slot){ .file = f,
                                   .part = lsm_scene_part(&job->scene, f->tag, job->scene.branch) };
        }
        if (n > from && job->slot_runs[from] != UINT32_MAX)
            qsort(job->slots + from, n - from, sizeof *job->slots, compare_slots);
    }
    CHECK(n == job->file_count);
}

/* Each run is one input, each undo file another. */
static void
fill_inputs(struct lsm_job *job)
{
    job->inputs = xcalloc(job->file_count + 1, sizeof *job->inputs);
    if (job->mem != NULL) {
        struct lsm_mem_slot slot = { job->mem, lsm_scene_part(&job->scene, job->mem->tag,
                                                              job->scene.branch) };

        lsm_source_mem(&job->inputs[job->input_count++].source, &slot);
    }
    for (size_t i = 0; i < job->file_count;) {
        size_t end = i + 1;

        while (end < job->file_count && job->slot_runs[i] != UINT32_MAX &&
               job->slot_runs[end] == job->slot_runs[i])
            end++;
        lsm_source_files(&job->inputs[job->input_count++].source, job->slots + i,
                         (uint32_t)(end - i), SEGMENT_ITER_BULK);
        i = end;
    }
    job->heap = xcalloc((size_t)job->input_count + 1, sizeof *job->heap);
    for (size_t i = 0; i < job->file_count; i++)
        job->read_bytes += job->slots[i].file->bytes;
}

/* ---- outputs ----------------------------------------------------------------------------------
 */

/* The one tag of an input, or false when it has several. */
static bool
single_tag(const struct lsm_job *job, uint32_t input, incarnation_t *tag)
{
    const struct lsm_source *s = &job->inputs[input].source;

    if (s->is_mem) {
        *tag = s->tag;
        return true;
    }
    *tag = s->slots[0].file->tag;
    for (uint32_t i = 1; i < s->slot_count; i++)
        if (s->slots[i].file->tag != *tag)
            return false;
    return true;
}

/* Orphans of neighbouring inputs of one tag share a run; else each has its own, in the order of
 * age, so that on every branch that order stays the order of (SCN, seq). */
static void
group_orphans(struct lsm_job *job)
{
    incarnation_t tag, before = 0;
    bool single_before = false;

    for (uint32_t i = 0; i < job->input_count; i++) {
        bool single = single_tag(job, i, &tag);

        if (i == 0 || !single || !single_before || tag != before)
            job->orphan_count++;
        job->inputs[i].group = job->orphan_count - 1;
        single_before = single;
        before = tag;
    }
    job->orphans = xcalloc((size_t)job->orphan_count + 1, sizeof *job->orphans);
    for (uint32_t g = 0; g < job->orphan_count; g++)
        lsm_output_init(&job->orphans[g], job, SEGMENT_MAIN, LSM_LEVEL_MERGED,
                        atomic_fetch_add(&job->lsm->next_run, 1));
    job->orphan_undo = xcalloc(job->file_count + 1, sizeof *job->orphan_undo);
    for (size_t i = 0; i < job->file_count; i++) {
        uint32_t k = 0;

        if (job->slots[i].file->props->kind != SEGMENT_UNDO)
            continue;
        while (k < job->orphan_undo_count && job->orphan_undo[k].tag != job->slots[i].file->tag)
            k++;
        if (k < job->orphan_undo_count)
            continue;
        lsm_output_init(&job->orphan_undo[k], job, SEGMENT_UNDO, LSM_LEVEL_MERGED, 0);
        job->orphan_undo[k].tag = job->slots[i].file->tag;
        job->orphan_undo_count++;
    }
}

/* Files of an upper run may end where files of the last run begin: then a later merge into the last
 * level can take a part of the key range without touching the rest. */
static void
fill_guards(struct lsm_job *job)
{
    const struct lsm_view *v = job->view;
    const struct lsm_run *last;

    if (job->last || job->undo_only || v->run_count == 0)
        return;
    last = &v->runs[v->run_count - 1];
    job->guards = ARENA_ARRAY(&job->arena, struct slice, last->count + 1);
    for (uint32_t i = 1; i < last->count; i++)
        job->guards[job->guard_count++] = last->slots[i].file->props->key_min;
}

static void
fill_outputs(struct lsm_job *job)
{
    uint8_t level = job->mem != NULL ? LSM_LEVEL_FLUSHED
                    : job->last      ? LSM_LEVEL_LAST
                                     : LSM_LEVEL_MERGED;
    uint64_t run = job->partial ? job->view->runs[job->run_to - 1].id
                                : atomic_fetch_add(&job->lsm->next_run, 1);

    lsm_output_init(&job->main, job, SEGMENT_MAIN, level, run);
    lsm_output_init(&job->undo, job, SEGMENT_UNDO, job->undo_only ? LSM_LEVEL_LAST : level, 0);
    group_orphans(job);
    fill_guards(job);
}

/* ---- starting ---------------------------------------------------------------------------------
 */

/* Branch and view that belong together. */
static void
take_scene(struct lsm_job *job)
{
    for (;;) {
        lsm_scene_take(job->lsm, &job->scene);
        job->view = lsm_view_acquire(job->tree);
        if (job->view->branch == job->scene.branch)
            return;
        lsm_view_release(job->view);
        lsm_scene_fini(&job->scene);
        env_thread_yield(job->lsm->env);
    }
}

MUST_CHECK
static int
choose(struct lsm_job *job, uint64_t pick)
{
    const struct lsm_view *v = job->view;
    uint32_t sealed = v->mem_count - v->has_active;

    if (job->kind != LSM_JOB_FLUSH)
        return lsm_pick(job, pick);
    if (sealed == 0)
        return ERR_NOT_FOUND;
    job->mem = v->mems[v->mem_count - 1].mem; /* the oldest: age order is flush order */
    return 0;
}

/* B12: nothing is begun that is not likely to end. */
MUST_CHECK
static int
check_room(const struct lsm_job *job)
{
    char path[LSM_PATH_MAX + 16];
    uint64_t room, need = job->mem != NULL ? memtable_bytes(job->mem->table) : 0;
    int rc;

    for (size_t i = 0; i < job->file_count; i++)
        need += job->files[i]->bytes;
    lsm_segments_dir(job->lsm, path);
    rc = env_disk_free(job->lsm->env, path, &room);
    if (rc == 0 && room < need + need / 8)
        rc = DIAG(ERR_DISK_FULL, "a merge of %llu bytes waits: %llu are free",
                  (unsigned long long)need, (unsigned long long)room);
    return rc;
}

MUST_CHECK
static int
begin(struct lsm_tree *t, enum lsm_job_kind kind)
{
    bool *busy = kind == LSM_JOB_FLUSH ? &t->flush_busy : &t->merge_busy;
    int rc = 0;

    env_mutex_lock(&t->lock);
    if (atomic_load(&t->removed))
        rc = ERR_NOT_FOUND;
    else if (*busy)
        rc = ERR_AGAIN;
    else
        *busy = true;
    env_mutex_unlock(&t->lock);
    return rc;
}

int
lsm_job_start(struct lsm_tree *t, enum lsm_job_kind kind, uint64_t pick, struct lsm_job **out)
{
    struct lsm_job *job;
    int rc = begin(t, kind);

    if (rc != 0)
        return rc;
    job = xcalloc(1, sizeof *job);
    job->lsm = t->lsm;
    job->tree = t;
    job->kind = kind;
    job->started_ns = env_boot_ns(t->lsm->env);
    arena_init(&job->arena, NULL);
    arena_init(&job->key_arena, NULL);
    take_scene(job);
    rc = choose(job, pick);
    if (rc == 0)
        rc = check_room(job);
    if (rc == 0) {
        fill_slots(job);
        fill_inputs(job);
        fill_outputs(job);
        rc = lsm_merge_run(job);
    }
    if (rc != 0) {
        if (rc != ERR_NOT_FOUND)
            atomic_fetch_add(&t->lsm->job_failures, 1);
        lsm_job_end(job, false);
        return rc;
    }
    *out = job;
    return 0;
}
