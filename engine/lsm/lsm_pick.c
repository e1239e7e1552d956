/* What to merge next. Lazy leveling: above the last run, runs of one size class are merged together
 * once there are tier_runs of them; the last run, which holds most of the data, is merged with
 * those above it once they reach its size / size_ratio, and then only as much of the key range as
 * one group of files covers. Inputs in main are always neighbours in age.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/lsm/lsm_int.h"

enum {
    RUNS_MAX = 16,         /* above that, the newest half is merged whatever the sizes */
    PARTIAL_MIN_FILES = 4, /* a last run of fewer files is rewritten as a whole */
    WINDOWS = 8,           /* expiry windows between horizon and tip, at least */
};

static uint64_t
run_bytes(const struct lsm_run *run)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < run->count; i++)
        bytes += run->slots[i].file->bytes;
    return bytes;
}

static unsigned
size_class(const struct lsm *l, uint64_t bytes)
{
    unsigned c = 0;

    for (uint64_t most = l->o.level_bytes; bytes > most && c < 30; c++)
        most *= (uint64_t)l->o.tier_runs;
    return c;
}

static bool
has_revived(const struct lsm_view *v)
{
    return v->revived_count != 0;
}

/* ---- which runs -------------------------------------------------------------------------------
 */

struct plan {
    uint32_t from, to; /* runs [from, to) */
    bool fold;         /* with revived undo */
    uint64_t debt;
};

/* The newest runs of at most some class, when enough of that class are together. */
static bool
plan_tier(const struct lsm *l, const struct lsm_view *v, struct plan *p)
{
    for (unsigned c = 0; c < 30; c++) {
        uint32_t n = 0, of_class = 0;

        while (n + 1 < v->run_count) {
            unsigned k = size_class(l, run_bytes(&v->runs[n]));

            if (k > c)
                break;
            of_class += k == c;
            n++;
        }
        if (of_class >= (uint32_t)l->o.tier_runs) {
            p->from = 0;
            p->to = n;
            return true;
        }
        if (n + 1 >= v->run_count)
            break;
    }
    return false;
}

static bool
make_plan(const struct lsm *l, const struct lsm_view *v, struct plan *p)
{
    uint64_t upper = 0, last;

    *p = (struct plan){ 0 };
    if (has_revived(v)) {
        p->to = v->run_count;
        p->fold = true;
        return true;
    }
    if (v->run_count < 2)
        return false;
    last = run_bytes(&v->runs[v->run_count - 1]);
    for (uint32_t i = 0; i + 1 < v->run_count; i++)
        upper += run_bytes(&v->runs[i]);
    if (upper * (uint64_t)l->o.size_ratio > last)
        p->debt = upper + upper * (uint64_t)l->o.size_ratio - last;
    if (upper * (uint64_t)l->o.size_ratio >= last &&
        (v->run_count > (uint32_t)l->o.tier_runs || last > l->o.level_bytes ||
         upper >= l->o.level_bytes)) {
        p->to = v->run_count;
        /* The newest small runs may as well wait for each other. */
        while (p->from + 2 < p->to && last > l->o.level_bytes * 8 &&
               size_class(l, run_bytes(&v->runs[p->from])) == 0)
            p->from++;
        return true;
    }
    if (plan_tier(l, v, p))
        return true;
    if (v->run_count > RUNS_MAX) {
        p->to = v->run_count / 2;
        return true;
    }
    return false;
}

uint64_t
lsm_pick_debt(struct lsm_tree *t, const struct lsm_view *v, bool *due)
{
    struct plan p;

    *due = make_plan(t->lsm, v, &p);
    if (!p.fold && lsm_tree_is_dropped(t)) {
        *due = false;
        return 0;
    }
    return p.debt;
}

/* ---- which files ------------------------------------------------------------------------------
 */

static void
add_file(struct lsm_job *job, struct lsm_file *f)
{
    job->files[job->file_count++] = f;
}

static void
files_reserve(struct lsm_job *job)
{
    const struct lsm_view *v = job->view;
    size_t n = v->undo_count;

    for (uint32_t i = 0; i < v->run_count; i++)
        n += v->runs[i].count;
    job->files = xcalloc(n + 1, sizeof(struct lsm_file *));
}

static void
take_runs(struct lsm_job *job, uint32_t from, uint32_t to)
{
    const struct lsm_view *v = job->view;

    job->run_from = from;
    job->run_to = to;
    job->last = to == v->run_count && to != from;
    for (uint32_t i = from; i < to; i++)
        for (uint32_t k = 0; k < v->runs[i].count; k++)
            add_file(job, v->runs[i].slots[k].file);
}

/* UNDO-4: what is revived is folded: merged with all of main, where its entries are current. */
static void
take_revived(struct lsm_job *job)
{
    for (uint32_t i = 0; i < job->view->revived_count; i++)
        add_file(job, job->view->undo[i].file);
}

/* Nothing of the file is hidden on the branch of the merge, so there will be no orphans of it. */
static bool
all_visible(const struct lsm_job *job, const struct lsm_file *f)
{
    const struct segment_props *p = f->props;

    if (f->tag == job->scene.branch)
        return true;
    return p->unresolved_count == 0 &&
           (p->scn_min > p->scn_max ||
            p->scn_max <= lsm_scene_part(&job->scene, f->tag, job->scene.branch));
}

/* ---- a part of the key range ------------------------------------------------------------------
 */

/* The range from file `a` of the last run to before file `b`, gaps included. */
struct range {
    const struct lsm_run *last;
    uint32_t a, b;
};

static bool
overlaps(const struct range *r, const struct lsm_file *f)
{
    if (r->a > 0 && slice_cmp(f->props->key_max, r->last->slots[r->a].file->props->key_min) < 0)
        return false;
    return r->b == r->last->count ||
           slice_cmp(f->props->key_min, r->last->slots[r->b].file->props->key_min) < 0;
}

/* Widens the range until no file of these runs crosses its ends. */
static void
close_range(const struct lsm_view *v, uint32_t from, uint32_t to, struct range *r)
{
    bool grown = true;

    while (grown) {
        grown = false;
        for (uint32_t i = from; i + 1 < to; i++) {
            for (uint32_t k = 0; k < v->runs[i].count; k++) {
                const struct segment_props *p = v->runs[i].slots[k].file->props;

                if (!overlaps(r, v->runs[i].slots[k].file))
                    continue;
                while (r->a > 0 &&
                       slice_cmp(p->key_min, r->last->slots[r->a].file->props->key_min) < 0) {
                    r->a--;
                    grown = true;
                }
                while (r->b < r->last->count &&
                       slice_cmp(p->key_max, r->last->slots[r->b].file->props->key_min) >= 0) {
                    r->b++;
                    grown = true;
                }
            }
        }
    }
}

/* Where the tree's round through its key range goes on. */
static uint32_t
seed_file(const struct lsm_job *job, const struct lsm_run *last)
{
    const struct lsm_tree *t = job->tree;
    struct slice cursor = slice(t->cursor, t->cursor_size);

    for (uint32_t i = 0; i < last->count; i++)
        if (slice_cmp(last->slots[i].file->props->key_min, cursor) >= 0)
            return i;
    return 0;
}

static void
move_cursor(struct lsm_tree *t, const struct range *r)
{
    t->cursor_size = 0;
    if (r->b < r->last->count) {
        struct slice key = r->last->slots[r->b].file->props->key_min;

        t->cursor = xrealloc(t->cursor, key.size + 1);
        memcpy(t->cursor, key.data, key.size);
        t->cursor_size = key.size;
    }
}

/* Files of the runs within the range. False: some of it may be hidden, or there is nothing above
 * the last run. */
static bool
take_range(struct lsm_job *job, uint32_t from, uint32_t to, const struct range *r)
{
    const struct lsm_view *v = job->view;
    size_t upper = 0;

    for (uint32_t i = from; i < to; i++) {
        for (uint32_t k = 0; k < v->runs[i].count; k++) {
            struct lsm_file *f = v->runs[i].slots[k].file;

            if (!overlaps(r, f))
                continue;
            if (!all_visible(job, f)) {
                job->file_count = 0;
                return false;
            }
            add_file(job, f);
            upper += i + 1 < to;
        }
    }
    if (upper == 0)
        job->file_count = 0;
    return upper != 0;
}

/* False: take the runs as a whole. */
static bool
take_partial(struct lsm_job *job, uint32_t from, uint32_t to)
{
    const struct lsm_view *v = job->view;
    struct range r = { .last = &v->runs[to - 1] };
    uint32_t seed;

    if (to != v->run_count || r.last->count < PARTIAL_MIN_FILES)
        return false;
    seed = seed_file(job, r.last);
    for (uint32_t n = 0; n < r.last->count; n++) {
        r.a = (seed + n) % r.last->count;
        r.b = r.a + 1;
        close_range(v, from, to, &r);
        if ((r.b - r.a) * 4 >= r.last->count * 3)
            return false;
        if (take_range(job, from, to, &r)) {
            job->run_from = from;
            job->run_to = to;
            job->last = job->partial = true;
            move_cursor(job->tree, &r);
            return true;
        }
    }
    return false;
}

/* ---- undo -------------------------------------------------------------------------------------
 */

/* Entries of it are neither current again nor does it matter which are hidden. */
static bool
is_plain_undo(const struct lsm_job *job, const struct lsm_slot *slot)
{
    const struct segment_props *p = slot->file->props;
    scn_t part = lsm_scene_part(&job->scene, slot->file->tag, job->scene.branch);

    return !(p->scn_min <= part && p->superseded_max > part);
}

/* Undo files of one expiry window, so that expiry stays an unlink: windows are powers of two of
 * SCNs, at least WINDOWS of them between horizon and tip. */
MUST_CHECK
static int
pick_undo_window(struct lsm_job *job)
{
    const struct lsm_view *v = job->view;
    scn_t tip = job->lsm->host.tip(job->lsm->host.arg);
    unsigned shift = 0;

    while (shift < 62 && (tip - job->scene.horizon) >> (shift + 1) >= WINDOWS &&
           tip > job->scene.horizon)
        shift++;
    for (uint32_t i = 0; i < v->undo_count; i++) {
        scn_t window = v->undo[i].file->props->superseded_max >> shift;

        job->file_count = 0;
        for (uint32_t k = 0; k < v->undo_count; k++) {
            const struct lsm_file *f = v->undo[k].file;

            if (f->props->superseded_max >> shift == window && f->bytes < job->lsm->o.file_bytes &&
                is_plain_undo(job, &v->undo[k]))
                add_file(job, v->undo[k].file);
        }
        if (job->file_count >= (size_t)job->lsm->o.tier_runs)
            return 0;
    }
    return ERR_NOT_FOUND;
}

MUST_CHECK
static int
pick_undo(struct lsm_job *job, uint64_t pick)
{
    const struct lsm_view *v = job->view;

    job->undo_only = true;
    if (pick == 0)
        return pick_undo_window(job);
    for (uint32_t i = 0; i < v->undo_count; i++)
        if ((pick >> i % 60 & 1) != 0 && is_plain_undo(job, &v->undo[i]))
            add_file(job, v->undo[i].file);
    return job->file_count == 0 ? ERR_NOT_FOUND : 0;
}

/* ---- picking ----------------------------------------------------------------------------------
 */

/* Any neighbours; with all of main any undo files may come along. */
MUST_CHECK
static int
pick_random(struct lsm_job *job, uint64_t pick)
{
    const struct lsm_view *v = job->view;
    uint32_t n = v->run_count, from, to;

    if (n == 0 && v->undo_count == 0)
        return ERR_NOT_FOUND;
    from = n == 0 ? 0 : (uint32_t)(pick & 0xff) % n;
    to = n == 0 ? 0 : from + 1 + (uint32_t)(pick >> 8 & 0xff) % (n - from);
    if ((pick >> 16 & 3) == 0) {
        from = 0;
        to = n;
    }
    take_runs(job, from, to);
    if (from == 0 && to == n)
        for (uint32_t i = 0; i < v->undo_count; i++)
            if ((pick >> (20 + i % 40) & 1) != 0)
                add_file(job, v->undo[i].file);
    return job->file_count == 0 ? ERR_NOT_FOUND : 0;
}

/* One run in its last shape: nothing to gain. */
static bool
is_settled(const struct lsm_job *job)
{
    const struct lsm_view *v = job->view;

    if (v->run_count > 1 || has_revived(v))
        return false;
    for (uint32_t i = 0; i < v->run_count; i++)
        for (uint32_t k = 0; k < v->runs[i].count; k++) {
            const struct lsm_file *f = v->runs[i].slots[k].file;

            if (f->level != LSM_LEVEL_LAST || f->props->unresolved_count != 0 ||
                f->props->delete_count != 0 || !all_visible(job, f))
                return false;
        }
    return true;
}

int
lsm_pick(struct lsm_job *job, uint64_t pick)
{
    struct plan p;

    files_reserve(job);
    switch (job->kind) {
    case LSM_JOB_UNDO:
        return pick_undo(job, pick);
    case LSM_JOB_RANDOM:
        return pick_random(job, pick);
    case LSM_JOB_ALL:
        if (is_settled(job))
            return ERR_NOT_FOUND;
        take_runs(job, 0, job->view->run_count);
        take_revived(job);
        return job->file_count == 0 ? ERR_NOT_FOUND : 0;
    case LSM_JOB_COMPACT:
        break;
    case LSM_JOB_FLUSH:
        UNREACHABLE();
    }
    if (!make_plan(job->lsm, job->view, &p))
        return ERR_NOT_FOUND;
    if (p.fold || !take_partial(job, p.from, p.to))
        take_runs(job, p.from, p.to);
    if (p.fold)
        take_revived(job);
    return job->file_count == 0 ? ERR_NOT_FOUND : 0;
}
