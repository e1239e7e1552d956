/* The file thread: makes files ahead of use, archives full ones, recycles or removes those that
 * nobody needs.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/base/mem.h"
#include "engine/redo/redo_int.h"

enum { SPARE_CHUNK = 1 << 20, RETRY_US = 1000000, PIN_STEP_BITS = 20 };

/* ---- spares -------------------------------------------------------------------------------- */

/* Begins the next spare, or goes on with one that an earlier life left. What stands in it already
 * is as good as zeros: no local header there carries the sequence that the file will have (LOG-7).
 */
MUST_CHECK
static int
spare_open(struct redo_files *fs)
{
    struct redo_making *m = &fs->making;
    int flags = ENV_WRITE | ENV_CREATE | ENV_DIRECT;
    char tmp[REDO_PATH_MAX];
    uint64_t size = 0;
    int rc;

    if (m->number == 0)
        m->number = fs->next_spare++;
    redo_files_spare_path(fs, m->number, ".redo.tmp", tmp);
    rc = env_open(fs->env, tmp, flags, &m->file);
    if (rc == 0)
        rc = env_size(m->file, &size);
    if (rc == 0 && size > fs->file_bytes) { /* files have become smaller */
        env_close(m->file);
        size = 0;
        rc = env_open(fs->env, tmp, flags | ENV_TRUNCATE, &m->file);
    }
    m->bytes = size / ENV_ALIGN * ENV_ALIGN;
    return rc;
}

/* With `gently`, rests as long as it writes: commits wait for the same disk. */
MUST_CHECK
static int
spare_fill(struct redo_files *fs, bool gently)
{
    struct redo_making *m = &fs->making;
    uint64_t left = fs->file_bytes - m->bytes, start_ns = env_boot_ns(fs->env);
    size_t chunk = left < SPARE_CHUNK ? (size_t)left : SPARE_CHUNK;
    uint8_t *zeros = xaligned(ENV_ALIGN, chunk);
    int rc;

    memset(zeros, 0, chunk);
    rc = env_pwrite(m->file, zeros, chunk, m->bytes);
    if (rc == 0)
        m->bytes += chunk;
    xfree_aligned(zeros);
    if (rc == 0 && gently)
        env_sleep_us(fs->env, (env_boot_ns(fs->env) - start_ns) / 1000);
    return rc;
}

MUST_CHECK
static int
spare_finish(struct redo_files *fs)
{
    struct redo_making *m = &fs->making;
    char tmp[REDO_PATH_MAX], path[REDO_PATH_MAX];
    int rc = env_sync(m->file);

    redo_files_spare_path(fs, m->number, ".redo", path);
    redo_files_spare_path(fs, m->number, ".redo.tmp", tmp);
    if (rc == 0)
        rc = env_rename(fs->env, tmp, path);
    return rc != 0 ? rc : env_sync_dir(fs->env, fs->dir);
}

static void
spare_drop(struct redo_files *fs)
{
    char tmp[REDO_PATH_MAX];

    redo_files_spare_path(fs, fs->making.number, ".redo.tmp", tmp);
    (void)!env_unlink(fs->env, tmp);
}

/* Written with zeros and synced, so that the log's writes neither allocate nor change the size; a
 * chunk in each step, since meanwhile a file may become free that serves as well. Locked at entry
 * and at return. */
static int
step_spare(struct redo_files *fs)
{
    struct redo_making *m = &fs->making;
    bool gently = fs->spare_count > 0; /* else the log may be waiting for it */
    bool is_whole = false;
    int rc = 0;

    env_mutex_unlock(&fs->lock);
    if (m->file == NULL)
        rc = spare_open(fs);
    if (rc == 0 && m->bytes < fs->file_bytes)
        rc = spare_fill(fs, gently);
    is_whole = rc == 0 && m->bytes == fs->file_bytes;
    if (is_whole)
        rc = spare_finish(fs);
    if (rc != 0) {
        struct diag why = *diag_last();

        spare_drop(fs);
        diag_restore(&why);
    }
    env_mutex_lock(&fs->lock);
    if (rc == 0 && !is_whole)
        return 0;
    if (rc == 0)
        redo_files_add_spare(fs, m->number);
    env_close(m->file);
    *m = (struct redo_making){ 0 };
    fs->rc_spare = rc;
    atomic_store(&fs->disk_full, rc != 0 && fs->spare_count == 0);
    env_cond_broadcast(&fs->done);
    return rc;
}

/* ---- archive ------------------------------------------------------------------------------- */

static struct redo_file *
next_to_archive(struct redo_files *fs)
{
    if (fs->archive_dir[0] == '\0')
        return NULL;
    list_for_each (f, &fs->files, struct redo_file, link) {
        if (!f->is_archived && !f->is_active && lsn_lt(f->head.start.lsn, f->end.lsn))
            return f;
    }
    return NULL;
}

/* Bytes in use of a file that was closed in an earlier life: to its end by its frames. */
MUST_CHECK
static int
archive_measure(struct redo_files *fs, struct redo_file *f, uint64_t *size)
{
    struct redo_source source;
    uint64_t offset = REDO_FILE_HEADER;
    struct lsn lsn = f->head.start.lsn;
    char path[REDO_PATH_MAX];
    int rc;

    redo_source_init(&source, fs->env);
    redo_files_file_path(fs, f, path);
    rc = redo_source_open(&source, path);
    while (rc == 0 && lsn_lt(lsn, f->end.lsn)) {
        struct redo_unit unit;

        rc = redo_source_unit(&source, offset, lsn, &unit);
        if (rc == ERR_END)
            rc = DIAG(ERR_CORRUPT, "%s: no frame at offset %llu", path, (unsigned long long)offset);
        if (rc == 0) {
            offset = unit.next_offset;
            lsn = redo_frame_end(&unit.head);
        }
    }
    redo_source_fini(&source);
    *size = offset;
    return rc;
}

/* Locked at entry and at return. Every frame is verified before the copy is made: the archive
 * spreads no damage. */
static int
step_archive(struct redo_files *fs, struct redo_file *f)
{
    char from[REDO_PATH_MAX], to[REDO_PATH_MAX], name[64];
    uint64_t size = 0;
    int rc;

    f->refs++;
    redo_files_file_path(fs, f, from);
    redo_file_name(f->head.start.inc, f->head.start.lsn, name);
    redo_path(to, fs->archive_dir, name, ".redo.zst");
    env_mutex_unlock(&fs->lock);
    rc = archive_measure(fs, f, &size);
    if (rc == 0)
        rc = redo_archive_copy(fs->env, from, size, fs->archive_dir, to);
    env_mutex_lock(&fs->lock);
    f->refs--;
    if (rc == 0) {
        f->is_archived = true;
        fs->archived_count++;
    }
    return rc;
}

/* ---- retention ----------------------------------------------------------------------------- */

static struct lsn
released_to(const struct redo_files *fs, incarnation_t inc)
{
    for (uint32_t i = 0; i < fs->release_count; i++) {
        if (fs->releases[i].inc == inc)
            return fs->releases[i].lsn;
    }
    return lsn_make(0);
}

/* The last file of an incarnation that is only partly released stays. So does the one that holds
 * the log's end: until a file was begun in this life, that may be the last of any. */
static bool
is_released(const struct redo_files *fs, const struct redo_file *f)
{
    struct lsn released = released_to(fs, f->head.start.inc);
    bool is_last =
        f->link.next == &fs->files ||
        container_of(f->link.next, struct redo_file, link)->head.start.inc != f->head.start.inc;

    if (f->is_active || (is_last && (fs->tail == 0 || f->head.start.inc == fs->tail)))
        return false;
    return is_last ? released.v == LSN_MAX.v : lsn_le(f->end.lsn, released);
}

static bool
pin_needs(const struct redo *r, const struct redo_pin *pin, const struct redo_file *f)
{
    incarnation_t inc = f->head.start.inc;

    if (lsn_le(f->end.lsn, pin->lsn))
        return false;
    if (pin->inc == 0 && r->files.current == 0)
        return true; /* which way it goes is not known yet */
    return inc == pin->inc || (inc > pin->inc && lineage_redo_at(&r->lineage, r->files.current,
                                                                 f->head.start.lsn) == inc);
}

static bool
is_pinned(const struct redo *r, const struct redo_file *f)
{
    list_for_each (pin, &r->files.pins, struct redo_pin, link) {
        if (pin_needs(r, pin, f))
            return true;
    }
    return false;
}

/* The oldest file that is kept for the pin; NULL: none. */
static struct redo_file *
first_kept(const struct redo *r, const struct redo_pin *pin)
{
    list_for_each (f, &r->files.files, struct redo_file, link) {
        if (is_released(&r->files, f) && pin_needs(r, pin, f))
            return f;
    }
    return NULL;
}

/* What is kept for pins alone has a budget: when it is spent, the oldest claim gives up a file. */
static void
shed_pins(struct redo *r)
{
    struct redo_files *fs = &r->files;

    for (;;) {
        struct redo_pin *oldest = NULL;
        uint64_t kept = 0;

        list_for_each (f, &fs->files, struct redo_file, link) {
            if (is_released(fs, f) && is_pinned(r, f))
                kept += f->size;
        }
        if (kept <= fs->keep_bytes)
            return;
        list_for_each (pin, &fs->pins, struct redo_pin, link) {
            if ((oldest == NULL || lsn_lt(pin->lsn, oldest->lsn)) && first_kept(r, pin) != NULL)
                oldest = pin;
        }
        if (oldest == NULL)
            return;
        oldest->lsn = first_kept(r, oldest)->end.lsn;
        oldest->lost = true;
    }
}

/* The oldest file of an incarnation that may go. Files of one go in order only, so that what is
 * there never has a hole. */
static struct redo_file *
next_to_retire(struct redo *r)
{
    struct redo_files *fs = &r->files;
    incarnation_t seen = 0;

    if (fs->held)
        return NULL;
    shed_pins(r);
    list_for_each (f, &fs->files, struct redo_file, link) {
        bool is_first = f->head.start.inc != seen;

        seen = f->head.start.inc;
        if (is_first && !f->is_active && f->refs == 0 && is_released(fs, f) && !is_pinned(r, f) &&
            (fs->archive_dir[0] == '\0' || f->is_archived || f->head.start.lsn.v == f->end.lsn.v))
            return f;
    }
    return NULL;
}

/* Locked at entry and at return. */
static int
step_retire(struct redo_files *fs, struct redo_file *f)
{
    bool recycle = fs->spare_count < fs->spare_want && f->size == fs->file_bytes;
    uint64_t number = recycle ? fs->next_spare++ : 0;
    char path[REDO_PATH_MAX], to[REDO_PATH_MAX];
    int rc;

    redo_files_file_path(fs, f, path);
    redo_files_spare_path(fs, number, ".redo", to);
    list_remove(&f->link);
    xfree(f);
    env_mutex_unlock(&fs->lock);
    rc = recycle ? env_rename(fs->env, path, to) : env_unlink(fs->env, path);
    if (rc == 0)
        rc = env_sync_dir(fs->env, fs->dir);
    env_mutex_lock(&fs->lock);
    if (rc == 0 && recycle) {
        redo_files_add_spare(fs, number);
        fs->rc_spare = 0;
        atomic_store(&fs->disk_full, false);
        env_cond_broadcast(&fs->done);
    }
    return rc;
}

/* ---- the thread ---------------------------------------------------------------------------- */

/* Does one thing; false when there is nothing to do. A step that fails is tried again later. */
static bool
step(struct redo *r, bool *failed)
{
    struct redo_files *fs = &r->files;
    struct redo_file *f;

    f = next_to_retire(r);
    if (f != NULL) {
        *failed = step_retire(fs, f) != 0;
        return true;
    }
    if (fs->spare_count < fs->spare_want) {
        *failed = step_spare(fs) != 0;
        return true;
    }
    f = next_to_archive(fs);
    if (f != NULL) {
        *failed = step_archive(fs, f) != 0;
        return true;
    }
    return false;
}

void
redo_files_thread(void *arg)
{
    struct redo *r = arg;
    struct redo_files *fs = &r->files;

    env_mutex_lock(&fs->lock);
    while (!fs->stopping) {
        bool failed = false;

        fs->busy = true;
        if (!step(r, &failed)) {
            fs->busy = false;
            env_cond_broadcast(&fs->done);
            env_cond_wait(&fs->work, &fs->lock);
        } else if (failed) {
            /* Whoever releases redo or makes room wakes us earlier. */
            fs->busy = false;
            env_cond_broadcast(&fs->done);
            (void)env_cond_wait_us(&fs->work, &fs->lock, RETRY_US);
        }
    }
    env_mutex_unlock(&fs->lock);
}

void
redo_files_start(struct redo *r)
{
    r->files.thread = env_thread_start(r->env, "redo-files", redo_files_thread, r);
}

void
redo_files_settle(struct redo *r)
{
    struct redo_files *fs = &r->files;

    env_mutex_lock(&fs->lock);
    fs->busy = true;
    env_cond_signal(&fs->work);
    while (fs->busy && !fs->stopping)
        env_cond_wait(&fs->done, &fs->lock);
    env_mutex_unlock(&fs->lock);
}

/* ---- claims -------------------------------------------------------------------------------- */

void
redo_release(struct redo *r, incarnation_t inc, struct lsn lsn)
{
    struct redo_files *fs = &r->files;
    struct redo_release_mark *mark = NULL;

    env_mutex_lock(&fs->lock);
    for (uint32_t i = 0; i < fs->release_count; i++) {
        if (fs->releases[i].inc == inc)
            mark = &fs->releases[i];
    }
    if (mark == NULL) {
        fs->releases = xrealloc(fs->releases, (fs->release_count + 1) * sizeof *fs->releases);
        mark = &fs->releases[fs->release_count++];
        *mark = (struct redo_release_mark){ inc, { 0 } };
    }
    if (lsn_lt(mark->lsn, lsn)) {
        mark->lsn = lsn;
        env_cond_signal(&fs->work);
    }
    env_mutex_unlock(&fs->lock);
}

void
redo_pin(struct redo *r, struct redo_pin *pin, incarnation_t inc, struct lsn lsn)
{
    *pin = (struct redo_pin){ .inc = inc, .lsn = lsn };
    env_mutex_lock(&r->files.lock);
    list_push_back(&r->files.pins, &pin->link);
    env_mutex_unlock(&r->files.lock);
}

void
redo_pin_move(struct redo *r, struct redo_pin *pin, incarnation_t inc, struct lsn lsn)
{
    bool far;

    env_mutex_lock(&r->files.lock);
    far = pin->inc != inc || pin->lsn.v >> PIN_STEP_BITS != lsn.v >> PIN_STEP_BITS;
    pin->inc = inc;
    pin->lsn = lsn;
    pin->lost = false;
    if (far)
        env_cond_signal(&r->files.work);
    env_mutex_unlock(&r->files.lock);
}

bool
redo_pin_is_lost(struct redo *r, const struct redo_pin *pin)
{
    bool lost;

    env_mutex_lock(&r->files.lock);
    lost = pin->lost;
    env_mutex_unlock(&r->files.lock);
    return lost;
}

void
redo_unpin(struct redo *r, struct redo_pin *pin)
{
    env_mutex_lock(&r->files.lock);
    list_remove(&pin->link);
    env_cond_signal(&r->files.work);
    env_mutex_unlock(&r->files.lock);
}

void
redo_hold(struct redo *r, bool hold)
{
    env_mutex_lock(&r->files.lock);
    r->files.held = hold;
    env_cond_signal(&r->files.work);
    env_mutex_unlock(&r->files.lock);
}
