/* Background work: which tree needs what, the threads that do it, the byte budget of merges, and
 * how long writers wait.
 *
 * A tree is queued when something about it has changed. One thread flushes, since that frees
 * memory and must wait for no merge; it passes trees with too many runs on to the threads that
 * merge. Nothing here is needed for correctness: tests switch it off and step jobs themselves.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/log.h"
#include "engine/lsm/lsm_int.h"

#define TELL_AGAIN_NS    (60 * (uint64_t)1000000000)
#define FLUSH_FAILING_NS (30 * (uint64_t)1000000000)

enum {
    IDLE_WAIT_US = 500000,
    RETRY_WAIT_US = 200000, /* after a job failed: disk full, redo stopped */
    FLUSH_FAILURES_MAX = 16,
    DELAY_MAX_US = 100000,
    DELAY_GRAIN_US = 2000, /* timers are good to a millisecond: shorter waits are saved up */
    DRAIN_BPS_START = 64 << 20,
    DRAIN_BPS_MIN = 1 << 20,
};

/* ---- the queue --------------------------------------------------------------------------------
 */

void
lsm_work_wake(struct lsm *l)
{
    env_mutex_lock(&l->work_lock);
    env_cond_signal(&l->work_cond);
    env_mutex_unlock(&l->work_lock);
}

void
lsm_work_queue(struct lsm_tree *t)
{
    struct lsm *l = t->lsm;

    if (l->o.no_background)
        return;
    env_mutex_lock(&l->work_lock);
    if (!t->queued) {
        t->queued = true;
        list_push_back(&l->work, &t->work_link);
        if (l->started)
            env_cond_signal(&l->work_cond);
    }
    env_mutex_unlock(&l->work_lock);
}

static struct lsm_tree *
take_tree_locked(struct lsm *l)
{
    struct list *link = list_pop_front(&l->work);
    struct lsm_tree *t;

    if (link == NULL)
        return NULL;
    t = container_of(link, struct lsm_tree, work_link);
    t->queued = false;
    return t;
}

static void
queue_merge(struct lsm_tree *t)
{
    struct lsm *l = t->lsm;

    env_mutex_lock(&l->work_lock);
    if (!t->merge_queued) {
        t->merge_queued = true;
        list_push_back(&l->merges, &t->merge_link);
        env_cond_signal(&l->merge_cond);
    }
    env_mutex_unlock(&l->work_lock);
}

static struct lsm_tree *
take_merge_locked(struct lsm *l)
{
    struct list *link = list_pop_front(&l->merges);
    struct lsm_tree *t;

    if (link == NULL)
        return NULL;
    t = container_of(link, struct lsm_tree, merge_link);
    t->merge_queued = false;
    return t;
}

/* ---- throttling -------------------------------------------------------------------------------
 */

/* A merge's writes: flushes go through, the rest within merge_rate. Ends a job when stopping. */
int
lsm_work_throttle(void *arg, size_t bytes)
{
    struct lsm_job *job = arg;
    struct lsm *l = job->lsm;
    uint64_t now, at, span;

    if (atomic_load(&l->stopping))
        return DIAG(ERR_STOPPED, "the database is closing");
    if (l->o.merge_rate == 0 || job->mem != NULL)
        return 0;
    span = bytes * 1000000000ull / l->o.merge_rate;
    now = env_boot_ns(l->env);
    env_mutex_lock(&l->work_lock);
    at = l->throttle_ns > now ? l->throttle_ns : now;
    l->throttle_ns = at + span;
    env_mutex_unlock(&l->work_lock);
    if (at > now)
        env_sleep_us(l->env, (at - now) / 1000);
    return 0;
}

void
lsm_work_note_flush(struct lsm *l, uint64_t bytes, uint64_t ns)
{
    uint64_t bps = bytes * 1000000000ull / (ns + 1), old = atomic_load(&l->pace.drain_bps);

    if (bytes < 1 << 20) /* too little to tell */
        return;
    bps = old == 0 ? bps : (old * 3 + bps) / 4;
    atomic_store(&l->pace.drain_bps, bps < DRAIN_BPS_MIN ? DRAIN_BPS_MIN : bps);
}

uint64_t
lsm_unflushed_bytes(const struct lsm *l)
{
    uint64_t used = atomic_load_explicit(&l->budget.used, memory_order_relaxed);
    uint64_t pinned = atomic_load_explicit(&l->pinned_bytes, memory_order_relaxed);

    return used > pinned ? used - pinned : 0;
}

/* How full things are, in thousandths: 0 up to a comfortable point, 1000 where no more should come.
 * The worst of memory and compaction's debt. Memory stays near half as long as flushes keep up. */
static uint64_t
pressure(struct lsm *l)
{
    uint64_t used = atomic_load_explicit(&l->budget.used, memory_order_relaxed);
    uint64_t limit = l->o.memtable_bytes, low = limit / 4 * 3, p = 0, q;
    uint64_t debt = atomic_load_explicit(&l->debt, memory_order_relaxed), debt_low;
    uint64_t waits = lsm_unflushed_bytes(l);

    if (waits > low)
        p = (waits - low) * 1000 / (limit - low + 1);
    if (used > limit / 2 * 3) { /* the budget is twice the limit */
        q = (used - limit / 2 * 3) * 1000 / (limit / 4 + 1);
        p = q > p ? q : p;
    }
    debt_low = 32 * l->o.level_bytes;
    if (debt > debt_low) {
        q = (debt - debt_low) * 1000 / (debt_low * 4);
        p = q > p ? q : p;
    }
    return p;
}

/* Short of the hard cap: writers wait for what flushes, readers and merges let go rather than fail.
 */
bool
lsm_memory_is_short(const struct lsm *l)
{
    return !l->o.no_background && atomic_load_explicit(&l->budget.used, memory_order_relaxed) >
                                      l->o.memtable_bytes / 16 * 29;
}

/* Writers together get what flushes drain, times a factor that falls from 2 to nearly 0 as pressure
 * grows: a paced stream instead of a gate. `next_ns` is when the next byte may come; who is early
 * by less than a grain is let through, and a later one sleeps for all of them. */
uint64_t
lsm_admission_delay_us(struct lsm *l, size_t bytes)
{
    uint64_t p = pressure(l), bps, now, at, span, next;

    if (p == 0 || l->o.no_background)
        return 0;
    if (p > 1000)
        p = 1000;
    bps = atomic_load_explicit(&l->pace.drain_bps, memory_order_relaxed);
    if (bps == 0)
        bps = DRAIN_BPS_START;
    bps = bps * (2000 - 1950 * p / 1000) / 1000;
    span = bytes * 1000000000ull / (bps + 1);
    now = env_boot_ns(l->env);
    next = atomic_load(&l->pace.next_ns);
    do
        at = next > now ? next : now;
    while (!atomic_compare_exchange_weak(&l->pace.next_ns, &next, at + span));
    at = (at - now) / 1000;
    if (at < DELAY_GRAIN_US)
        return 0;
    return at < DELAY_MAX_US ? at : DELAY_MAX_US;
}

/* ---- what is to be done -----------------------------------------------------------------------
 */

/* Memory fills up: the largest memtable goes. */
static void
relieve_memory(struct lsm *l)
{
    struct lsm_tree **trees, *largest = NULL;
    size_t most = 0, waiting = 0, count;

    if (lsm_unflushed_bytes(l) <= l->o.memtable_bytes / 2) {
        atomic_store(&l->pressure, false);
        return;
    }
    count = lsm_tree_snapshot(l, &trees);
    for (size_t i = 0; i < count; i++) {
        struct lsm_view *v = lsm_view_acquire(trees[i]);

        for (uint32_t k = 0; k < v->mem_count; k++) {
            size_t bytes = memtable_bytes(v->mems[k].mem->table);

            if (k > 0 || !v->has_active) {
                waiting += bytes;
            } else if (bytes > most) {
                most = bytes;
                largest = trees[i];
            }
        }
        lsm_view_release(v);
    }
    /* What waits to be flushed already will free its own. */
    if (largest != NULL && lsm_unflushed_bytes(l) > waiting + l->o.memtable_bytes / 2)
        lsm_seal(largest);
    xfree(trees);
    atomic_store(&l->pressure, false);
}

/* Redo that recovery would have to read grows too long: the memtable that holds it goes. */
static void
relieve_redo(struct lsm *l)
{
    incarnation_t branch = atomic_load(&l->branch);
    incarnation_t inc;
    uint64_t floor = l->host.floor(l->host.arg, &inc).v, oldest = UINT64_MAX;
    struct lsm_tree *t = NULL;

    env_mutex_lock(&l->mems_lock);
    list_for_each (m, &l->mems, struct lsm_mem, link) {
        if (m->flushed || m->tag != branch || atomic_load(&m->start) >= oldest ||
            memtable_is_sealed(m->table))
            continue;
        oldest = atomic_load(&m->start);
        t = m->tree;
    }
    env_mutex_unlock(&l->mems_lock);
    if (t != NULL && inc == branch && floor > oldest && floor - oldest > l->o.redo_bytes_max)
        lsm_seal(t);
}

/* The sum over trees is kept by the differences. */
void
lsm_work_note_debt(struct lsm_tree *t, uint64_t debt)
{
    uint64_t before = atomic_exchange(&t->debt, debt);

    atomic_fetch_add(&t->lsm->debt, debt - before);
}

/* For the operator, and not every time. */
static void
tell_failure(struct lsm *l, const struct lsm_tree *t, enum lsm_job_kind kind)
{
    uint64_t now = env_boot_ns(l->env), before = atomic_load(&l->told_ns);

    if ((before != 0 && now - before < TELL_AGAIN_NS) ||
        !atomic_compare_exchange_strong(&l->told_ns, &before, now))
        return;
    log_diag(l->o.log, LOG_WARNING, "%s of tree %llu failed and is tried again",
             kind == LSM_JOB_FLUSH ? "flush" : "merge", (unsigned long long)t->id);
}

/* B2: a disk that takes no segment for so long takes none: redo would grow for ever, and writers
 * stand still. The node stops while its redo is whole, and another may take over. A full disk is
 * waited for (B12), and merges are: they only save work. */
static void
note_flush(struct lsm_tree *t, int rc)
{
    uint64_t now = env_boot_ns(t->lsm->env);

    if (rc == 0)
        t->flush_failures = 0;
    if (rc != ERR_IO)
        return;
    if (t->flush_failures++ == 0)
        t->failing_since_ns = now;
    if (t->flush_failures >= FLUSH_FAILURES_MAX && now - t->failing_since_ns >= FLUSH_FAILING_NS)
        PANIC("tree %llu could not be flushed %u times: %s", (unsigned long long)t->id,
              t->flush_failures, diag_last()->message);
}

/* Runs one kind of job of a tree, as long as there is one. True: something was done. */
static bool
work_kind(struct lsm_tree *t, enum lsm_job_kind kind, bool *failed)
{
    struct lsm_job *job;
    int rc = lsm_job_start(t, kind, 0, &job);

    if (rc == 0)
        rc = lsm_job_install(job);
    if (kind == LSM_JOB_FLUSH)
        note_flush(t, rc);
    if (rc != 0 && rc != ERR_NOT_FOUND && rc != ERR_AGAIN) {
        if (!atomic_load(&t->lsm->stopping))
            tell_failure(t->lsm, t, kind);
        diag_clear();
        *failed = true;
    }
    return rc == 0;
}

static bool
has_sealed(struct lsm_tree *t)
{
    struct lsm_view *v = lsm_view_acquire(t);
    bool sealed = v->mem_count > (v->has_active ? 1u : 0u);

    lsm_view_release(v);
    return sealed;
}

static void
work_on(struct lsm_tree *t, bool *failed)
{
    struct lsm *l = t->lsm;
    struct lsm_view *v;
    bool due;

    if (atomic_load(&t->seal_wanted))
        lsm_seal(t);
    while (!*failed && !atomic_load(&l->stopping) && has_sealed(t))
        if (!work_kind(t, LSM_JOB_FLUSH, failed))
            break;
    v = lsm_view_acquire(t);
    lsm_work_note_debt(t, lsm_pick_debt(t, v, &due));
    lsm_view_release(v);
    if (due)
        queue_merge(t);
}

/* After a failed job: try again, not at once. */
static void
rest(struct lsm *l, struct env_cond *cond)
{
    env_mutex_lock(&l->work_lock);
    if (!atomic_load(&l->stopping))
        (void)env_cond_wait_us(cond, &l->work_lock, RETRY_WAIT_US);
    env_mutex_unlock(&l->work_lock);
}

static void
flush_th(void *arg)
{
    struct lsm *l = arg;

    while (!atomic_load(&l->stopping)) {
        struct lsm_tree *t;
        bool failed = false;

        relieve_memory(l);
        relieve_redo(l);
        env_mutex_lock(&l->work_lock);
        t = take_tree_locked(l);
        if (t == NULL && !atomic_load(&l->stopping))
            (void)env_cond_wait_us(&l->work_cond, &l->work_lock, IDLE_WAIT_US);
        env_mutex_unlock(&l->work_lock);
        if (t != NULL && !atomic_load(&l->stopping))
            work_on(t, &failed);
        if (failed) {
            rest(l, &l->work_cond);
            lsm_work_queue(t);
        }
    }
}

static void
merge_th(void *arg)
{
    struct lsm *l = arg;

    while (!atomic_load(&l->stopping)) {
        struct lsm_tree *t;
        bool failed = false;

        env_mutex_lock(&l->work_lock);
        t = take_merge_locked(l);
        if (t == NULL && !atomic_load(&l->stopping))
            env_cond_wait(&l->merge_cond, &l->work_lock);
        env_mutex_unlock(&l->work_lock);
        /* Installing queues the tree again. */
        if (t != NULL && !atomic_load(&l->stopping))
            (void)work_kind(t, LSM_JOB_COMPACT, &failed);
        if (failed) {
            rest(l, &l->merge_cond);
            queue_merge(t);
        }
    }
}

void
lsm_start(struct lsm *l)
{
    if (l->o.no_background || l->started)
        return;
    env_mutex_lock(&l->work_lock);
    l->started = true;
    env_mutex_unlock(&l->work_lock);
    l->thread_count = 1 + l->o.background_threads;
    l->threads = xcalloc((size_t)l->thread_count, sizeof(struct env_thread *));
    l->threads[0] = env_thread_start(l->env, "lsm-flush", flush_th, l);
    for (int i = 1; i < l->thread_count; i++)
        l->threads[i] = env_thread_start(l->env, "lsm-merge", merge_th, l);
}

void
lsm_stop(struct lsm *l)
{
    env_mutex_lock(&l->work_lock);
    atomic_store(&l->stopping, true);
    env_cond_broadcast(&l->work_cond);
    env_cond_broadcast(&l->merge_cond);
    env_mutex_unlock(&l->work_lock);
    for (int i = 0; i < l->thread_count; i++)
        env_thread_join(l->threads[i]);
    xfree(l->threads);
    l->threads = NULL;
    l->thread_count = 0;
}

/* ---- by hand ----------------------------------------------------------------------------------
 */

/* Runs jobs of one kind on a tree until there are none; waits for background work on it. */
MUST_CHECK
static int
run_all(struct lsm_tree *t, enum lsm_job_kind kind)
{
    struct lsm_job *job;
    int rc;

    for (;;) {
        rc = lsm_job_start(t, kind, 0, &job);
        if (rc == 0)
            rc = lsm_job_install(job);
        if (rc == ERR_AGAIN) {
            env_sleep_us(t->lsm->env, 1000);
            continue;
        }
        if (rc != 0 || kind == LSM_JOB_ALL)
            return rc == ERR_NOT_FOUND ? 0 : rc;
    }
}

MUST_CHECK
static int
run_everywhere(struct lsm *l, enum lsm_job_kind kind)
{
    struct lsm_tree **trees;
    size_t count = lsm_tree_snapshot(l, &trees);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (kind == LSM_JOB_FLUSH)
            lsm_seal(trees[i]);
        rc = run_all(trees[i], kind);
    }
    xfree(trees);
    return rc;
}

int
lsm_flush_all(struct lsm *l)
{
    return run_everywhere(l, LSM_JOB_FLUSH);
}

int
lsm_compact_all(struct lsm *l)
{
    return run_everywhere(l, LSM_JOB_ALL);
}

int
lsm_merge_undo(struct lsm *l)
{
    struct lsm_tree **trees;
    size_t count = lsm_tree_snapshot(l, &trees);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < count && !atomic_load(&l->stopping); i++) {
        struct lsm_job *job;

        rc = lsm_job_start(trees[i], LSM_JOB_UNDO, 0, &job);
        if (rc == 0)
            rc = lsm_job_install(job);
        if (rc == ERR_NOT_FOUND || rc == ERR_AGAIN)
            rc = 0; /* nothing to do, or a merge is at it */
    }
    xfree(trees);
    return rc;
}
