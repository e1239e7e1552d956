/* Merging: what becomes of the versions of one key, and the loop over keys. Flush and compaction
 * are the same merge.
 *
 * ORDER-1 Versions are ordered by (SCN, seq); the age of a run decides nothing here.
 * UNDO-1  A version goes to undo only when a commit supersedes it; `superseded` is an upper bound.
 * UNDO-3  An undo entry is dropped once its `superseded` is at or below the horizon.
 * CUT-2   Outputs belong to the branch for which the merge started.
 * CUT-3   What is hidden goes to runs of its own tag while any kept branch sees it.
 * TOMB-1  A tombstone goes only if it is the newest, at or below the horizon, and no run outside
 *         the merge may hold the key.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "engine/lsm/filter.h"
#include "engine/lsm/lsm_int.h"

/* ---- lists ------------------------------------------------------------------------------------
 */

struct lsm_merge_version *
lsm_merge_list_add(struct lsm_merge_list *list)
{
    if (list->count == list->cap) {
        list->cap = list->cap == 0 ? 8 : list->cap * 2;
        list->at = xrealloc(list->at, list->cap * sizeof *list->at);
    }
    return &list->at[list->count++];
}

void
lsm_merge_key_fini(struct lsm_merge_key *k)
{
    xfree(k->met.at);
    xfree(k->open.at);
    xfree(k->seen.at);
    xfree(k->undo.at);
    xfree(k->orphans.at);
    xfree(k->orphan_undo.at);
    memset(k, 0, sizeof *k);
}

static int
compare_newest_first(const void *a, const void *b)
{
    const struct lsm_merge_version *va = a, *vb = b;

    return version_order(va->stamp, va->seq, vb->stamp, vb->seq);
}

static bool
same_version(const struct lsm_merge_version *a, const struct lsm_merge_version *b)
{
    return a->stamp == b->stamp && a->seq == b->seq;
}

static void
sort_newest_first(struct lsm_merge_list *list)
{
    bool sorted = true;

    for (size_t i = 1; i < list->count && sorted; i++)
        sorted = compare_newest_first(&list->at[i - 1], &list->at[i]) <= 0;
    if (!sorted)
        qsort(list->at, list->count, sizeof *list->at, compare_newest_first);
}

/* What was read again is there twice. Of two undo entries the lower bound stays. */
static void
remove_doubles(struct lsm_merge_list *list)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->count; i++) {
        struct lsm_merge_version *last = kept == 0 ? NULL : &list->at[kept - 1];

        if (last != NULL && same_version(last, &list->at[i])) {
            if (list->at[i].superseded < last->superseded)
                last->superseded = list->at[i].superseded;
            continue;
        }
        list->at[kept++] = list->at[i];
    }
    list->count = kept;
}

/* ---- one key ----------------------------------------------------------------------------------
 */

static void
keep_open(struct lsm_merge_key *k, const struct lsm_merge_version *m)
{
    for (size_t i = 0; i < k->open.count; i++) {
        if (k->open.at[i].stamp != m->stamp)
            continue;
        if (m->seq > k->open.at[i].seq)
            k->open.at[i] = *m;
        return;
    }
    *lsm_merge_list_add(&k->open) = *m;
}

static void
keep_hidden(const struct lsm_scene *scene, struct lsm_merge_key *k,
            const struct lsm_merge_version *m)
{
    if (!lsm_scene_sees(scene, m->tag, m->stamp)) {
        k->dropped++;
        return;
    }
    *lsm_merge_list_add(m->superseded != 0 ? &k->orphan_undo : &k->orphans) = *m;
}

static void
sort_one(struct lsm *l, const struct lsm_scene *scene, struct lsm_merge_key *k,
         struct lsm_merge_version m)
{
    scn_t scn = 0;

    switch (lsm_stamp_status(&l->host, m.stamp, &scn)) {
    case LSM_OPEN:
        keep_open(k, &m);
        return;
    case LSM_DEAD:
        k->dropped++;
        return;
    case LSM_COMMITTED:
        break;
    }
    m.stamp = scn;
    if (scn > m.part) {
        keep_hidden(scene, k, &m);
    } else if (m.superseded != 0 && m.superseded <= m.part) {
        if (m.superseded > scene->horizon)
            *lsm_merge_list_add(&k->undo) = m;
        else
            k->dropped++;
    } else { /* current, or current again */
        m.superseded = 0;
        *lsm_merge_list_add(&k->seen) = m;
    }
}

/* Rules switched off by tests: what the engine would do without them. */
static void
break_rules(struct lsm *l, struct lsm_merge_key *k)
{
    if (lsm_is_broken(l, LSM_BREAK_UNDO_1) && k->open.count != 0 && k->seen.count != 0) {
        struct lsm_merge_version top;

        sort_newest_first(&k->seen);
        top = k->seen.at[0];
        k->seen.count--;
        memmove(k->seen.at, k->seen.at + 1, k->seen.count * sizeof *k->seen.at);
        top.superseded = l->host.tip(l->host.arg) + 1;
        *lsm_merge_list_add(&k->undo) = top;
    }
}

void
lsm_merge_decide(struct lsm *l, const struct lsm_scene *scene, struct lsm_merge_key *k)
{
    k->open.count = k->seen.count = k->undo.count = 0;
    k->orphans.count = k->orphan_undo.count = 0;
    for (size_t i = 0; i < k->met.count; i++)
        sort_one(l, scene, k, k->met.at[i]);
    if (l->o.broken != 0)
        break_rules(l, k);
    sort_newest_first(&k->open);
    sort_newest_first(&k->seen);
    remove_doubles(&k->seen);
    for (size_t i = 1; i < k->seen.count; i++) {
        scn_t by = k->seen.at[i - 1].stamp;

        if (by > k->seen.at[i].stamp && by > scene->horizon) {
            k->seen.at[i].superseded = by;
            *lsm_merge_list_add(&k->undo) = k->seen.at[i];
        } else {
            k->dropped++;
        }
    }
    sort_newest_first(&k->undo);
    remove_doubles(&k->undo);
    sort_newest_first(&k->orphan_undo);
    remove_doubles(&k->orphan_undo);
    k->has_top = k->seen.count != 0;
    if (k->has_top)
        k->top = k->seen.at[0];
}

/* ---- tombstones -------------------------------------------------------------------------------
 */

static bool
is_input(const struct lsm_job *job, const struct lsm_file *f)
{
    for (size_t i = 0; i < job->file_count; i++)
        if (job->files[i] == f)
            return true;
    return false;
}

/* TOMB-1: no run outside the inputs may hold the key: not an older one, not a newer one, not an
 * undo run that is revived. What comes into memtables from now on is newer than the tombstone and
 * above everything that this merge writes. */
static bool
may_drop_tombstone(const struct lsm_job *job, struct slice key)
{
    const struct lsm_view *v = job->view;
    uint64_t hash = filter_hash(key);

    if (lsm_is_broken(job->lsm, LSM_BREAK_TOMB_1))
        return true;
    for (uint32_t i = 0; i < v->mem_count; i++)
        if (v->mems[i].mem != job->mem && memtable_find(v->mems[i].mem->table, key) != NULL)
            return false;
    for (uint32_t i = 0; i < v->run_count; i++) {
        const struct lsm_slot *slot = lsm_run_find(&v->runs[i], key);

        if (slot != NULL && !is_input(job, slot->file) &&
            segment_maybe(slot->file->segment, key, hash))
            return false;
    }
    for (uint32_t i = 0; i < v->revived_count; i++)
        if (!is_input(job, v->undo[i].file) && segment_maybe(v->undo[i].file->segment, key, hash))
            return false;
    return true;
}

/* ---- writing out one key ----------------------------------------------------------------------
 */

static struct version_ref
as_ref(struct slice key, const struct lsm_merge_version *m)
{
    return (struct version_ref){ .key = key,
                                 .value = m->value,
                                 .stamp = m->stamp,
                                 .seq = m->seq,
                                 .superseded = m->superseded,
                                 .kind = m->kind };
}

MUST_CHECK
static int
put_list(struct lsm_output *o, incarnation_t tag, struct slice key,
         const struct lsm_merge_list *list)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < list->count; i++) {
        struct version_ref ref = as_ref(key, &list->at[i]);

        rc = lsm_output_add(o, tag, &ref, i == 0);
    }
    return rc;
}

static struct lsm_output *
orphan_undo_output(struct lsm_job *job, incarnation_t tag)
{
    for (uint32_t i = 0; i < job->orphan_undo_count; i++)
        if (job->orphan_undo[i].tag == tag)
            return &job->orphan_undo[i];
    UNREACHABLE();
}

/* Orphans: main ones by the group of their input, so that the order of age stays what it was; undo
 * ones by their tag. Both lists are newest first. */
MUST_CHECK
static int
put_orphans(struct lsm_job *job, struct slice key)
{
    struct lsm_merge_list *list = &job->key.orphans;
    int rc = 0;

    sort_newest_first(list);
    for (uint32_t g = 0; rc == 0 && g < job->orphan_count; g++) {
        const struct lsm_merge_version *last = NULL;

        for (size_t i = 0; rc == 0 && i < list->count; i++) {
            const struct lsm_merge_version *m = &list->at[i];
            struct version_ref ref = as_ref(key, m);

            if (job->inputs[m->input].group != g || (last != NULL && same_version(last, m)))
                continue;
            rc = lsm_output_add(&job->orphans[g], m->tag, &ref, last == NULL);
            last = m;
        }
    }
    list = &job->key.orphan_undo;
    for (size_t i = 0; rc == 0 && i < list->count; i++) {
        struct lsm_output *o = orphan_undo_output(job, list->at[i].tag);
        struct version_ref ref = as_ref(key, &list->at[i]);

        rc = lsm_output_add(o, o->tag, &ref, true);
    }
    return rc;
}

MUST_CHECK
static int
put_key(struct lsm_job *job, struct slice key)
{
    struct lsm_merge_key *k = &job->key;
    incarnation_t tag = job->scene.branch;
    bool first = k->open.count == 0;
    int rc;

    rc = put_list(&job->main, tag, key, &k->open);
    if (rc == 0 && k->has_top) {
        struct version_ref top = as_ref(key, &k->top);

        if (k->top.kind != VERSION_DELETE || k->top.stamp > job->scene.horizon ||
            !may_drop_tombstone(job, key))
            rc = lsm_output_add(&job->main, tag, &top, first);
        else
            k->dropped++;
    }
    if (rc == 0)
        rc = put_list(&job->undo, tag, key, &k->undo);
    if (rc == 0 && (k->orphans.count != 0 || k->orphan_undo.count != 0))
        rc = put_orphans(job, key);
    return rc;
}

/* ---- the loop ---------------------------------------------------------------------------------
 */

static bool
heap_less(const struct lsm_job *job, uint32_t a, uint32_t b)
{
    int c = slice_cmp(job->inputs[a].source.v.key, job->inputs[b].source.v.key);

    return c != 0 ? c < 0 : a < b;
}

static void
heap_down(struct lsm_job *job, uint32_t at)
{
    uint32_t *h = job->heap;

    for (;;) {
        uint32_t least = at, left = 2 * at + 1;

        for (uint32_t c = left; c < left + 2 && c < job->heap_count; c++)
            if (heap_less(job, h[c], h[least]))
                least = c;
        if (least == at)
            return;
        uint32_t swap = h[at];

        h[at] = h[least];
        h[least] = swap;
        at = least;
    }
}

/* All versions of the key in one input, which then stands on the next key. */
MUST_CHECK
static int
meet_input(struct lsm_job *job, uint32_t input, struct slice key)
{
    struct lsm_source *s = &job->inputs[input].source;
    int rc = 0;

    while (rc == 0 && s->valid && slice_eq(s->v.key, key)) {
        struct lsm_merge_version *m = lsm_merge_list_add(&job->key.met);

        *m = (struct lsm_merge_version){ .stamp = s->v.stamp,
                                         .seq = s->v.seq,
                                         .superseded = s->v.superseded,
                                         .input = input,
                                         .kind = s->v.kind,
                                         .tag = s->tag,
                                         .part = s->part,
                                         .value = s->v.value };
        if (!s->is_mem && s->v.value.size != 0)
            m->value.data = arena_memdup(&job->key_arena, s->v.value.data, s->v.value.size);
        if (lsm_is_broken(job->lsm, LSM_BREAK_ORDER_1) && !s->is_mem && !s->undo)
            m->seq += 1000 * (uint64_t)(job->input_count - input); /* the age of its run decides */
        rc = lsm_source_next(s);
    }
    return rc;
}

MUST_CHECK
static int
merge_key(struct lsm_job *job)
{
    struct slice key = job->inputs[job->heap[0]].source.v.key;
    int rc = 0;

    arena_reset(&job->key_arena);
    if (key.size != 0)
        key.data = arena_memdup(&job->key_arena, key.data, key.size);
    job->key.met.count = 0;
    while (rc == 0 && job->heap_count != 0 &&
           slice_eq(job->inputs[job->heap[0]].source.v.key, key)) {
        uint32_t input = job->heap[0];

        rc = meet_input(job, input, key);
        if (!job->inputs[input].source.valid)
            job->heap[0] = job->heap[--job->heap_count];
        heap_down(job, 0);
    }
    if (rc != 0)
        return rc;
    lsm_merge_decide(job->lsm, &job->scene, &job->key);
    return put_key(job, key);
}

int
lsm_merge_run(struct lsm_job *job)
{
    int rc = 0;

    job->heap_count = 0;
    for (uint32_t i = 0; rc == 0 && i < job->input_count; i++) {
        rc = lsm_source_first(&job->inputs[i].source);
        if (job->inputs[i].source.valid)
            job->heap[job->heap_count++] = i;
    }
    for (uint32_t i = job->heap_count / 2; rc == 0 && i-- > 0;)
        heap_down(job, i);
    while (rc == 0 && job->heap_count != 0)
        rc = merge_key(job);
    if (rc == 0)
        rc = lsm_output_finish(&job->main);
    if (rc == 0)
        rc = lsm_output_finish(&job->undo);
    for (uint32_t i = 0; rc == 0 && i < job->orphan_count; i++)
        rc = lsm_output_finish(&job->orphans[i]);
    for (uint32_t i = 0; rc == 0 && i < job->orphan_undo_count; i++)
        rc = lsm_output_finish(&job->orphan_undo[i]);
    atomic_fetch_add(&job->lsm->versions_dropped, job->key.dropped);
    return rc;
}
