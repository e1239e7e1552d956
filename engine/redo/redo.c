/* Opening, closing, and what the log does: nothing, write, follow.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/redo/redo.h"

#include <lz4.h>

#include "engine/base/mem.h"
#include "engine/redo/redo_int.h"

enum {
    RING_BYTES_DEFAULT = 16 << 20,
    FRAME_CACHE_DEFAULT = 32 << 20,
    FRAME_CACHE_RINGS = 4, /* where the ring is small */
    FRAME_CACHE_UNITS_MIN = 4,
    FILE_BYTES_DEFAULT = 64 << 20,
    FILE_BYTES_MIN = 64 << 10,
    SECOND_BYTES_DEFAULT = 64 << 10,
    PACE_US_DEFAULT = 1000,
    LZ4_BYTES_MIN_DEFAULT = 16 << 10,
    SPARES_DEFAULT = 2,
};

/* ---- opening and closing ------------------------------------------------------------------- */

static void
options_fill(struct redo_options *o)
{
    if (o->ring_bytes == 0)
        o->ring_bytes = RING_BYTES_DEFAULT;
    CHECK((o->ring_bytes & (o->ring_bytes - 1)) == 0 && o->ring_bytes >= ENV_ALIGN);
    if (o->frame_cache_bytes == 0)
        o->frame_cache_bytes = FRAME_CACHE_RINGS * o->ring_bytes < FRAME_CACHE_DEFAULT
                                   ? FRAME_CACHE_RINGS * o->ring_bytes
                                   : FRAME_CACHE_DEFAULT;
    if (o->file_bytes == 0)
        o->file_bytes = FILE_BYTES_DEFAULT;
    if (o->file_bytes < FILE_BYTES_MIN)
        o->file_bytes = FILE_BYTES_MIN;
    o->file_bytes = redo_align(o->file_bytes);
    if (o->keep_bytes == 0)
        o->keep_bytes = (uint64_t)1 << 30;
    if (o->spare_count == 0)
        o->spare_count = SPARES_DEFAULT;
    if (o->lz4_bytes_min == 0)
        o->lz4_bytes_min = LZ4_BYTES_MIN_DEFAULT;
    if (o->second_bytes == 0)
        o->second_bytes = SECOND_BYTES_DEFAULT;
    if (o->pace_us == 0)
        o->pace_us = PACE_US_DEFAULT;
}

/* A part fits a frame, a frame a file, and half the ring. */
static size_t
part_max(const struct redo_options *o)
{
    size_t max = REDO_PART_MAX;
    uint64_t file_room =
        o->file_bytes - REDO_FILE_HEADER - ENV_ALIGN - REDO_LOCAL_HEADER - REDO_FRAME_HEADER;

    if (max > o->ring_bytes / 2)
        max = o->ring_bytes / 2;
    if (max > file_room)
        max = (size_t)file_room;
    return max;
}

static void
locks_init(struct redo *r)
{
    struct env *env = r->env;

    env_mutex_init(env, &r->append.lock);
    env_mutex_init(env, &r->seal.lock);
    env_mutex_init(env, &r->queue.lock);
    env_mutex_init(env, &r->publish.lock);
    env_cond_init(env, &r->publish.changed);
    env_mutex_init(env, &r->wake.lock);
    list_init(&r->wake.sleepers);
    env_mutex_init(env, &r->sealed_listen);
    env_mutex_init(env, &r->durable_listen);
    list_init(&r->append.waiters);
    list_init(&r->queue.frames);
    list_init(&r->queue.waiters);
    list_init(&r->publish.waiters);
    list_init(&r->listeners);
}

static void
locks_fini(struct redo *r)
{
    env_mutex_fini(&r->durable_listen);
    env_mutex_fini(&r->sealed_listen);
    env_mutex_fini(&r->wake.lock);
    env_cond_fini(&r->publish.changed);
    env_mutex_fini(&r->publish.lock);
    env_mutex_fini(&r->queue.lock);
    env_mutex_fini(&r->seal.lock);
    env_mutex_fini(&r->append.lock);
}

/* All that the log needs while it runs. */
static void
buffers_init(struct redo *r)
{
    r->ring = xmalloc(r->ring_bytes);
    r->seal.scratch = xmalloc(r->part_max);
    r->seal.lz4 = xmalloc((size_t)LZ4_sizeofState());
    r->seal.page = xaligned(ENV_ALIGN, ENV_ALIGN);
    redo_pool_init(&r->pool, r->env, r->options.frame_cache_bytes);
}

static void
redo_free(struct redo *r)
{
    redo_pool_fini(&r->pool);
    locks_fini(r);
    xfree(r->ring);
    xfree(r->seal.scratch);
    xfree(r->follow_scratch);
    xfree(r->seal.lz4);
    xfree_aligned(r->seal.page);
    lineage_fini(&r->lineage);
    xfree_aligned(r);
}

/* What a process that was killed had written, but not forced, is read as if it were durable: so it
 * must be, before anybody builds on it and the power fails. */
MUST_CHECK
static int
tails_sync(struct redo *r)
{
    list_for_each (f, &r->files.files, struct redo_file, link) {
        char path[REDO_PATH_MAX];
        struct env_file *handle;
        int rc;

        redo_files_file_path(&r->files, f, path);
        rc = env_open(r->env, path, ENV_READ | ENV_WRITE, &handle);
        if (rc == 0) {
            rc = env_sync(handle);
            env_close(handle);
        }
        if (rc != 0)
            return rc;
    }
    return 0;
}

int
redo_open(const struct redo_options *o, struct redo **out)
{
    struct redo *r = xaligned(64, (sizeof *r + 63) & ~(size_t)63);
    size_t unit_max;
    int rc;

    memset(r, 0, sizeof *r);
    r->env = o->env;
    r->options = *o;
    options_fill(&r->options);
    lineage_init(&r->lineage);
    if (o->lineage != NULL)
        lineage_copy(&r->lineage, o->lineage);
    r->ring_bytes = r->options.ring_bytes;
    r->part_max = part_max(&r->options);
    unit_max = redo_align(REDO_LOCAL_HEADER + REDO_FRAME_HEADER + r->part_max);
    if (r->options.frame_cache_bytes < FRAME_CACHE_UNITS_MIN * unit_max)
        r->options.frame_cache_bytes = FRAME_CACHE_UNITS_MIN * unit_max;
    locks_init(r);
    atomic_store(&r->slots_free, UINT64_MAX);
    for (int i = 0; i < REDO_SLOTS; i++)
        atomic_store(&r->slots[i].start, UINT64_MAX);

    rc = redo_files_open(r, &r->options);
    if (rc == 0)
        rc = tails_sync(r);
    /* What the caller lent for the opening is the caller's again. */
    r->options.lineage = NULL;
    r->options.known = NULL;
    r->options.dir = r->options.archive_dir = NULL;
    if (rc != 0) {
        redo_files_close(r);
        locks_fini(r);
        lineage_fini(&r->lineage);
        xfree_aligned(r);
        return rc;
    }
    buffers_init(r);
    redo_files_start(r);
    for (int i = 0; i < REDO_LOG_THREADS; i++)
        r->threads[i] =
            env_thread_start(r->env, i == 0 ? "redo-log0" : "redo-log1", redo_log_thread, r);
    *out = r;
    return 0;
}

void
redo_close(struct redo *r)
{
    if (r == NULL)
        return;
    redo_stop(r);
    redo_wake_end(r);
    for (int i = 0; i < REDO_LOG_THREADS; i++)
        env_thread_join(r->threads[i]);
    redo_files_close(r);
    CHECK(list_empty(&r->listeners));
    redo_free(r);
}

void
redo_set_lineage(struct redo *r, const struct lineage *l)
{
    env_mutex_lock(&r->files.lock);
    lineage_copy(&r->lineage, l);
    env_mutex_unlock(&r->files.lock);
}

/* ---- starting and stopping ----------------------------------------------------------------- */

/* The log stands at `pos`. Nothing is under way; seal is held. */
static void
position_set(struct redo *r, const struct redo_pos *pos)
{
    r->seal.tail = *pos;
    env_mutex_lock(&r->queue.lock);
    if (r->queue.sealed.lsn.v != pos->lsn.v || !hash128_eq(r->queue.sealed.chain, pos->chain))
        redo_pool_clear(&r->pool);
    r->queue.sealed = *pos;
    atomic_store(&r->queue.sealed_lsn, pos->lsn.v);
    env_mutex_unlock(&r->queue.lock);
    env_mutex_lock(&r->publish.lock);
    r->publish.durable = *pos;
    atomic_store(&r->publish.durable_lsn, pos->lsn.v);
    env_mutex_unlock(&r->publish.lock);
    env_mutex_lock(&r->append.lock);
    atomic_store(&r->ring_tail, pos->lsn.v);
    atomic_store(&r->append.reserved, pos->lsn.v);
    atomic_store(&r->append.last_scn, pos->scn);
    r->append.last_time_us = pos->time_us;
    env_mutex_unlock(&r->append.lock);
}

static void
mode_set(struct redo *r, enum redo_mode mode, incarnation_t inc)
{
    env_mutex_lock(&r->publish.lock);
    r->publish.is_live = mode != REDO_IDLE;
    env_mutex_unlock(&r->publish.lock);
    env_mutex_lock(&r->queue.lock);
    r->queue.following = mode == REDO_FOLLOWING;
    env_mutex_unlock(&r->queue.lock);
    env_mutex_lock(&r->append.lock);
    r->append.mode = mode;
    atomic_store(&r->append.inc, inc);
    env_mutex_unlock(&r->append.lock);
}

/* Redo of this incarnation past the position is there already: two histories in one incarnation. */
MUST_CHECK
static int
check_not_held(struct redo *r, incarnation_t inc, struct lsn lsn)
{
    struct lsn end = { 0 };
    struct redo_file *last;

    env_mutex_lock(&r->files.lock);
    last = redo_files_last(&r->files, inc);
    if (last != NULL)
        end = last->end.lsn;
    env_mutex_unlock(&r->files.lock);
    if (lsn_lt(lsn, end))
        return DIAG(ERR_DIVERGED, "redo of incarnation %u is held up to %llx, beyond %llx", inc,
                    (unsigned long long)end.v, (unsigned long long)lsn.v);
    return 0;
}

MUST_CHECK
static int
check_idle(struct redo *r)
{
    enum redo_mode mode;

    env_mutex_lock(&r->append.lock);
    mode = r->append.mode;
    env_mutex_unlock(&r->append.lock);
    return mode == REDO_IDLE ? 0 : DIAG(ERR_INTERNAL, "the log is being written already");
}

int
redo_start_writing(struct redo *r, incarnation_t inc, const struct redo_pos *from, scn_t first_scn)
{
    struct redo_pos start = *from;
    const struct lineage_entry *e;
    int rc = check_idle(r);

    CHECK(first_scn > 0);
    start.inc = inc;
    start.scn = first_scn - 1;
    if (rc == 0) {
        env_mutex_lock(&r->files.lock);
        e = lineage_find(&r->lineage, inc);
        if (e == NULL || e->start_lsn.v != from->lsn.v)
            rc = DIAG(ERR_INTERNAL, "the lineage does not let incarnation %u begin at %llx", inc,
                      (unsigned long long)from->lsn.v);
        env_mutex_unlock(&r->files.lock);
    }
    if (rc == 0)
        rc = check_not_held(r, inc, from->lsn);
    if (rc != 0)
        return rc;
    env_mutex_lock(&r->seal.lock);
    rc = redo_writer_open_file(r, &start, false);
    if (rc == 0)
        position_set(r, &start);
    env_mutex_unlock(&r->seal.lock);
    if (rc != 0)
        return rc;
    env_mutex_lock(&r->files.lock);
    r->files.current = inc;
    env_mutex_unlock(&r->files.lock);
    redo_acknowledged(r, LSN_MAX); /* nobody has told how it goes */
    mode_set(r, REDO_WRITING, inc);
    return 0;
}

int
redo_start_following(struct redo *r, const struct redo_pos *from)
{
    int rc = check_idle(r);

    if (rc != 0)
        return rc;
    if (r->follow_scratch == NULL)
        r->follow_scratch = xmalloc(REDO_FRAME_RECORDS_MAX);
    env_mutex_lock(&r->seal.lock);
    position_set(r, from);
    env_mutex_unlock(&r->seal.lock);
    env_mutex_lock(&r->files.lock);
    r->files.current = from->inc;
    env_mutex_unlock(&r->files.lock);
    mode_set(r, REDO_FOLLOWING, from->inc);
    return 0;
}

/* No new part or frame from here on; false when the log was idle. */
static bool
stop_accepting(struct redo *r)
{
    bool was_live;

    env_mutex_lock(&r->queue.lock);
    r->queue.following = false;
    while (!list_empty(&r->queue.waiters)) {
        struct list *link = list_pop_front(&r->queue.waiters);

        completion_post(&container_of(link, struct redo_waiter, link)->done);
    }
    env_mutex_unlock(&r->queue.lock);
    env_mutex_lock(&r->append.lock);
    was_live = r->append.mode != REDO_IDLE;
    if (was_live)
        r->append.mode = REDO_STOPPING;
    env_mutex_unlock(&r->append.lock);
    redo_append_wake_waiters(r);
    return was_live;
}

int
redo_check_room(const struct redo *r)
{
    if (!atomic_load(&r->files.disk_full))
        return 0;
    return DIAG(ERR_DISK_FULL, "no redo file can be made in %s", r->files.dir);
}

int
redo_wait_room(struct redo *r)
{
    struct redo_files *fs = &r->files;

    env_mutex_lock(&fs->lock);
    while (fs->spare_count == 0 && fs->rc_spare == 0 && !fs->stopping)
        env_cond_wait(&fs->done, &fs->lock);
    env_mutex_unlock(&fs->lock);
    return redo_check_room(r);
}

void
redo_stop(struct redo *r)
{
    int rc;

    if (!stop_accepting(r))
        return;
    rc = redo_wait_durable(r, redo_reserved(r));
    CHECK(rc == 0);
    env_mutex_lock(&r->seal.lock);
    redo_publish_settle(r);
    redo_writer_close_file(r);
    env_mutex_unlock(&r->seal.lock);
    redo_publish_stop(r);
    mode_set(r, REDO_IDLE, 0);
}

int
redo_cut(struct redo *r, const struct redo_pos *at)
{
    struct redo_pos found;
    int rc = 0;

    redo_stop(r);
    if (at->inc != 0) {
        rc = redo_locate(r, at->inc, at->lsn, &found);
        if (rc == 0 && (found.lsn.v != at->lsn.v || !hash128_eq(found.chain, at->chain)))
            rc = DIAG(ERR_NOT_FOUND, "no frame of incarnation %u ends at %llx with that chain",
                      at->inc, (unsigned long long)at->lsn.v);
    }
    if (rc != 0)
        return rc;
    env_mutex_lock(&r->seal.lock);
    redo_pool_clear(&r->pool);
    position_set(r, at);
    env_mutex_unlock(&r->seal.lock);
    return 0;
}

/* ---- where the log stands ------------------------------------------------------------------ */

incarnation_t
redo_incarnation(const struct redo *r)
{
    return atomic_load(&r->append.inc);
}

struct lsn
redo_sealed(const struct redo *r)
{
    return lsn_make(atomic_load(&r->queue.sealed_lsn));
}

/* A standby reserves nothing: its ring stands still while frames come in sealed. */
struct lsn
redo_reserved(const struct redo *r)
{
    struct lsn sealed = redo_sealed(r), reserved = { atomic_load(&r->append.reserved) };

    return lsn_lt(reserved, sealed) ? sealed : reserved;
}

scn_t
redo_reserved_scn(const struct redo *r)
{
    return atomic_load(&r->append.last_scn);
}

int
redo_end(struct redo *r, incarnation_t inc, struct redo_pos *end)
{
    struct redo_pos sealed;
    struct redo_file *last;
    bool found;

    env_mutex_lock(&r->queue.lock);
    sealed = r->queue.sealed;
    env_mutex_unlock(&r->queue.lock);
    env_mutex_lock(&r->files.lock);
    last = redo_files_last(&r->files, inc);
    found = last != NULL;
    if (found)
        *end = last->end;
    if (sealed.inc == inc && inc != 0 && (!found || lsn_lt(end->lsn, sealed.lsn)) &&
        redo_incarnation(r) != 0) {
        *end = sealed;
        found = true;
    }
    env_mutex_unlock(&r->files.lock);
    return found ? 0 : DIAG(ERR_NOT_FOUND, "no redo of incarnation %u is held", inc);
}

int
redo_each(struct redo *r,
          int (*fn)(void *arg, incarnation_t inc, struct lsn first_lsn, struct redo_pos end),
          void *arg)
{
    incarnation_t inc = 0;
    int rc = 0;

    while (rc == 0) {
        struct redo_file *first = NULL;
        struct redo_pos end;
        struct lsn first_lsn = { 0 };

        env_mutex_lock(&r->files.lock);
        list_for_each (f, &r->files.files, struct redo_file, link) {
            if (f->head.start.inc > inc) {
                first = f;
                inc = f->head.start.inc;
                first_lsn = f->head.start.lsn;
                break;
            }
        }
        env_mutex_unlock(&r->files.lock);
        if (first == NULL)
            return 0;
        rc = redo_end(r, inc, &end);
        if (rc == 0)
            rc = fn(arg, inc, first_lsn, end);
    }
    return rc;
}

void
redo_listen(struct redo *r, struct redo_listener *l)
{
    env_mutex_lock(&r->sealed_listen);
    env_mutex_lock(&r->durable_listen);
    list_push_back(&r->listeners, &l->link);
    env_mutex_unlock(&r->durable_listen);
    env_mutex_unlock(&r->sealed_listen);
}

void
redo_unlisten(struct redo *r, struct redo_listener *l)
{
    env_mutex_lock(&r->sealed_listen);
    env_mutex_lock(&r->durable_listen);
    list_remove(&l->link);
    env_mutex_unlock(&r->durable_listen);
    env_mutex_unlock(&r->sealed_listen);
}

void
redo_stats(struct redo *r, struct redo_stats *out)
{
    *out = (struct redo_stats){ 0 };
    env_mutex_lock(&r->append.lock);
    out->parts = r->append.part_count;
    out->ring_waits = r->append.wait_count;
    env_mutex_unlock(&r->append.lock);
    env_mutex_lock(&r->queue.lock);
    out->frames = r->queue.frame_count;
    out->bytes_records = r->queue.record_bytes;
    env_mutex_unlock(&r->queue.lock);
    env_mutex_lock(&r->publish.lock);
    out->writes = r->publish.write_count;
    out->bytes_written = r->publish.written_bytes;
    env_mutex_unlock(&r->publish.lock);
    env_mutex_lock(&r->files.lock);
    list_for_each (f, &r->files.files, struct redo_file, link) {
        out->files++;
    }
    out->spares = r->files.spare_count;
    out->archived = r->files.archived_count;
    out->disk_full = atomic_load(&r->files.disk_full);
    env_mutex_unlock(&r->files.lock);
}
