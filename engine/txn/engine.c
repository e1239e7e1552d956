/* Opening and closing: engine_create, engine_mount, engine_open_write, engine_close_write,
 * engine_close.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/txn/engine_int.h"

enum { ENGINE_JOB_THREADS = 2 };
static const uint64_t ENGINE_RETENTION_US = 3600ull * 1000000;

int
engine_create(struct env *env, const char *dir, uint64_t *database_id)
{
    uint64_t id = env_random_u64(env);
    int rc = env_make_dir(env, dir);

    if (rc == 0)
        rc = lsm_create(env, dir, id, NULL);
    if (rc == 0)
        *database_id = id;
    return rc;
}

/* ---- mounting ------------------------------------------------------------------------------- */

static struct engine *
engine_new(const struct engine_options *o)
{
    struct engine *e = xcalloc(1, sizeof *e);

    e->env = o->env;
    e->log = o->log;
    e->options = *o;
    e->dir = xstrdup(o->dir);
    e->options.dir = e->dir;
    e->archive_dir = o->archive_dir != NULL ? xstrdup(o->archive_dir) : NULL;
    e->options.archive_dir = e->archive_dir;
    e->status = status_new(e->env);
    e->locks = lock_table_new(e->env, e->status);
    e->lineage = xcalloc(1, sizeof *e->lineage);
    lineage_init(e->lineage);
    publisher_init(&e->publish, e->env);
    times_init(&e->times, e->env);
    changes_init(&e->changes, e->env);
    follow_init(e);
    env_mutex_init(e->env, &e->txns_mutex);
    list_init(&e->txns);
    env_mutex_init(e->env, &e->long_mutex);
    list_init(&e->long_values);
    env_mutex_init(e->env, &e->ids_mutex);
    list_init(&e->ids);
    atomic_init(&e->next_ticket, 1);
    e->jobs = job_pool_new(e->env, "engine-job", ENGINE_JOB_THREADS);
    return e;
}

static void
engine_free(struct engine *e)
{
    job_pool_free(e->jobs);
    ids_fini(e);
    env_mutex_fini(&e->ids_mutex);
    env_mutex_fini(&e->long_mutex);
    env_mutex_fini(&e->txns_mutex);
    times_fini(&e->times);
    changes_fini(&e->changes);
    follow_fini(e);
    publisher_fini(&e->publish);
    lineage_fini(e->lineage);
    xfree(e->lineage);
    lock_table_free(e->locks);
    status_free(e->status);
    env_close(e->exposed_file);
    env_close(e->dir_lock);
    xfree(e->archive_dir);
    xfree(e->dir);
    xfree(e);
}

static int
engine_open_lsm(struct engine *e)
{
    const struct engine_options *o = &e->options;
    struct lsm_options lo = {
        .env = e->env,
        .dir = e->dir,
        .log = e->log,
        .memtable_bytes = o->memtable_bytes,
        .memtable_each = o->memtable_each,
        .cache_bytes = o->cache_bytes,
        .background_threads = o->background_threads,
        .no_background = o->no_background,
    };
    struct lsm_host host;
    int rc;

    engine_fill_host(e, &host);
    rc = lsm_open(&lo, &host, &e->lsm);
    if (rc != 0)
        return rc;
    follow_load_lows(e);
    e->database_id = manifest_database_id(lsm_manifest(e->lsm));
    atomic_store(&e->inc, lsm_branch(e->lsm));
    lsm_lineage(e->lsm, e->lineage);
    return 0;
}

static void
on_durable(void *arg, const struct redo_pos *pos)
{
    struct engine *e = arg;

    if (atomic_load_explicit(&e->follow.is_live, memory_order_acquire))
        follow_on_durable(e);
    else
        publisher_on_durable(e, pos->lsn, pos->scn);
}

static int
engine_open_redo(struct engine *e)
{
    const struct engine_options *o = &e->options;
    char dir[512];
    struct redo_options ro = {
        .env = e->env,
        .dir = dir,
        .archive_dir = o->archive_dir,
        .database_id = e->database_id,
        .lineage = e->lineage,
        .ring_bytes = o->ring_bytes,
        .file_bytes = o->redo_file_bytes,
        .keep_bytes = o->redo_keep_bytes,
        .hold = o->hold_redo,
        .no_sync = o->no_sync,
    };
    struct redo_pos known;
    int rc;

    snprintf(dir, sizeof dir, "%s/redo", e->dir);
    if (engine_known_durable(e, &known)) {
        ro.known = &known;
        ro.known_count = 1;
    }
    rc = redo_open(&ro, &e->redo);
    if (rc != 0)
        return rc;
    e->listener = (struct redo_listener){ .on_durable = on_durable, .arg = e };
    redo_listen(e->redo, &e->listener);
    return 0;
}

/* Where the redo of the branch followed ends here: in its own files, or, when it was entered and
 * nothing of it was written, in those that it goes on from. */
int
engine_end_of_log(struct engine *e, struct redo_pos *end)
{
    return engine_log_end(e, engine_incarnation(e), end);
}

static int
engine_recover(struct engine *e)
{
    const struct lineage_entry *entry;
    struct redo_pos end;
    int rc = engine_replay(e);

    if (rc == 0)
        rc = engine_end_of_log(e, &end);
    if (rc != 0)
        return rc;
    entry = lineage_find(e->lineage, engine_incarnation(e));
    if (entry != NULL && end.scn < entry->fork_scn)
        end.scn = entry->fork_scn;
    follow_set_applied(e, end.lsn);
    atomic_store(&e->newest, end.scn);
    changes_reset(&e->changes, end.scn);
    /* What is visible of it, the role decides: at least what readers were shown before. */
    publisher_reset(e, lsn_make(0), engine_exposed_scn(e, end.scn));
    publisher_mark(e, end.lsn, end.scn);
    return 0;
}

int
engine_mount(const struct engine_options *o, struct engine **out)
{
    struct engine *e = engine_new(o);
    struct undo_policy_host policy;
    struct undo_retention keep = {
        .time_us = o->retention_us != 0 ? o->retention_us : ENGINE_RETENTION_US,
        .bytes_max = o->retention_bytes,
    };
    char path[512];
    int rc;

    snprintf(path, sizeof path, "%s/lock", e->dir);
    rc = env_lock_file(e->env, path, &e->dir_lock);
    if (rc == 0)
        rc = engine_open_lsm(e);
    if (rc == 0)
        rc = engine_open_redo(e);
    if (rc == 0) {
        exposed_open(e);
        keeper_fill_policy(e, &policy);
        e->undo = undo_new(e->lsm, &policy, &keep);
        rc = engine_recover(e);
    }
    if (rc != 0) {
        struct diag why = *diag_last();

        engine_tear_down(e);
        diag_restore(&why);
        return rc;
    }
    if (!o->no_background) {
        lsm_start(e->lsm);
        keeper_start(e);
    }
    *out = e;
    return 0;
}

/* ---- writing -------------------------------------------------------------------------------- */

static int
append_incarnation(struct engine *e, const struct lineage_entry *entry)
{
    struct redo_part part = { .commit_at = REDO_NO_COMMIT, .inc = entry->inc };
    struct redo_incarnation rec = { .entry = *entry, .first_scn = entry->fork_scn + 1 };
    struct writer w;
    int rc;

    wr_init(&w, 0);
    redo_encode_incarnation(&w, &rec);
    part.data = w.data;
    part.size = w.size;
    rc = redo_append(e->redo, &part);
    if (rc == 0)
        rc = redo_wait_durable(e->redo, part.end_lsn);
    wr_fini(&w);
    return rc;
}

int
engine_open_write(struct engine *e, incarnation_t inc, uint64_t reign_id)
{
    return engine_open_write_at(e, inc, reign_id, engine_newest_scn(e));
}

int
engine_open_write_at(struct engine *e, incarnation_t inc, uint64_t reign_id, scn_t scn)
{
    scn_t newest = engine_newest_scn(e);
    struct redo_pos end;
    struct lineage_entry entry;
    struct manifest_edit more;
    int rc;

    CHECK(!engine_is_writable(e));
    if (inc <= lineage_max(e->lineage) || inc > INCARNATION_MAX)
        return DIAG(ERR_ROLE, "incarnation %u cannot be opened: %u was used already", inc,
                    lineage_max(e->lineage));
    if (scn > newest)
        return DIAG(ERR_TARGET_UNREACHABLE, "SCN %" PRIu64 " is beyond the newest, %" PRIu64, scn,
                    newest);
    if (scn < newest && !lsm_holds(e->lsm, engine_incarnation(e), scn))
        return DIAG(ERR_SNAPSHOT_TOO_OLD,
                    "snapshot too old: history does not reach back to SCN %" PRIu64, scn);
    rc = times_before_cut(e, scn);
    if (rc == 0)
        rc = engine_end_of_log(e, &end);
    if (rc != 0)
        return rc;
    entry = (struct lineage_entry){
        .inc = inc,
        .parent = engine_incarnation(e),
        .fork_scn = scn,
        .prev = end.inc,
        .start_lsn = end.lsn,
        .reign_id = reign_id,
    };
    if (engine_applied(e).v != end.lsn.v)
        return DIAG(ERR_INTERNAL, "the log ends at %" PRIu64 ", but only %" PRIu64 " is applied",
                    end.lsn.v, engine_applied(e).v);
    manifest_edit_init(&more);
    follow_edit_low(e, entry.parent, follow_open_low(e, end.lsn), &more);
    rc = lsm_enter(e->lsm, &entry, newest, end.lsn, &more);
    follow_edit_low_end(e, rc == 0);
    manifest_edit_fini(&more);
    if (rc == 0)
        rc = lineage_add(e->lineage, &entry);
    if (rc != 0)
        return rc;
    /* Whoever sees the new incarnation must not count the old one's txids as its own. */
    atomic_store(&e->next_counter, 1);
    follow_new_branch(e, inc, entry.fork_scn, end.lsn);
    if (scn < newest)
        publisher_cut(e, end.lsn, scn);
    redo_set_lineage(e->redo, e->lineage);
    end.scn = entry.fork_scn;
    rc = redo_start_writing(e->redo, inc, &end, entry.fork_scn + 1);
    if (rc == 0) {
        atomic_store_explicit(&e->open_scn, entry.fork_scn, memory_order_relaxed);
        atomic_fetch_add_explicit(&e->write_epoch, 1, memory_order_acq_rel);
        rc = append_incarnation(e, &entry);
    }
    if (rc == 0)
        rc = begun_note(e, inc);
    keeper_wake(e);
    return rc;
}

void
engine_close_write(struct engine *e)
{
    struct redo_pos end;

    if (!engine_is_writable(e))
        return;
    follow_set_applied(e, redo_reserved(e->redo)); /* for flushes, until the log's end is known */
    atomic_fetch_add_explicit(&e->write_epoch, 1, memory_order_acq_rel);
    env_mutex_lock(&e->txns_mutex);
    list_for_each (t, &e->txns, struct txn, engine_link) {
        lock_cancel(e->locks, &t->owner, ERR_SHUTDOWN);
    }
    env_mutex_unlock(&e->txns_mutex);
    redo_stop(e->redo);
    publisher_fail_waiters(e, ERR_STOPPED);
    atomic_store(&e->newest, redo_reserved_scn(e->redo));
    if (engine_end_of_log(e, &end) == 0)
        follow_set_applied(e, end.lsn);
    else
        diag_clear();
}

/* ---- closing -------------------------------------------------------------------------------- */

void
engine_tear_down(struct engine *e)
{
    keeper_stop(e);
    if (e->lsm != NULL)
        lsm_stop(e->lsm);
    undo_free(e->undo);
    if (e->redo != NULL)
        redo_unlisten(e->redo, &e->listener);
    redo_close(e->redo);
    e->redo = NULL;
    lsm_close(e->lsm);
    engine_free(e);
}

void
engine_close(struct engine *e)
{
    if (e == NULL)
        return;
    keeper_settle(e);
    engine_close_write(e);
    keeper_stop(e); /* it has transactions of its own */
    CHECK(list_empty(&e->txns));
    engine_store_exposed(e);
    engine_tear_down(e);
}

/* ---- small answers --------------------------------------------------------------------------- */

uint64_t
engine_database_id(const struct engine *e)
{
    return e->database_id;
}

incarnation_t
engine_incarnation(const struct engine *e)
{
    return atomic_load_explicit(&e->inc, memory_order_acquire);
}

bool
engine_is_writable(const struct engine *e)
{
    return (atomic_load_explicit(&e->write_epoch, memory_order_acquire) & 1) != 0;
}

bool
engine_is_open(const struct engine *e)
{
    return engine_is_writable(e) &&
           engine_visible_scn(e) >= atomic_load_explicit(&e->open_scn, memory_order_relaxed);
}

struct lineage *
engine_lineage(struct engine *e)
{
    return e->lineage;
}

struct redo *
engine_redo(struct engine *e)
{
    return e->redo;
}

struct lsm *
engine_lsm(struct engine *e)
{
    return e->lsm;
}

struct env *
engine_env(const struct engine *e)
{
    return e->env;
}

scn_t
engine_horizon(const struct engine *e)
{
    return lsm_horizon(e->lsm);
}

int
engine_flush_all(struct engine *e)
{
    return lsm_flush_all(e->lsm);
}

int
engine_compact_all(struct engine *e)
{
    return lsm_compact_all(e->lsm);
}

void
engine_get_figures(struct engine *e, struct engine_figures *out)
{
    struct lsm_figures l;
    struct lock_figures k;
    struct redo_stats r;

    lsm_get_figures(e->lsm, &l);
    lock_get_figures(e->locks, &k);
    redo_stats(e->redo, &r);
    *out = (struct engine_figures){
        .commits = atomic_load_explicit(&e->commit_count, memory_order_relaxed),
        .aborts = atomic_load_explicit(&e->abort_count, memory_order_relaxed),
        .deadlocks = k.deadlocks,
        .lock_waits = k.waits,
        .memtable_bytes = l.memtable_bytes,
        .segment_bytes = l.segment_bytes,
        .undo_bytes = l.undo_bytes,
        .redo_bytes_kept = r.files * e->options.redo_file_bytes,
        .flushes = l.flushes,
        .compactions = l.compactions,
        .flush_bytes = l.flush_bytes,
        .compaction_bytes = l.compaction_bytes,
        .cache_hits = l.cache_hits,
        .cache_misses = l.cache_misses,
    };
}
