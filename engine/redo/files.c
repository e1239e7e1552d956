/* Which redo files there are: found at the start, begun by the log writer.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/mem.h"
#include "engine/redo/redo_int.h"

enum { SPARE_NAME = 6 + 16 + 5 }; /* spare-<16 hex>.redo */

void
redo_files_file_path(const struct redo_files *fs, const struct redo_file *f,
                     char out[REDO_PATH_MAX])
{
    char name[64];

    redo_file_name(f->head.start.inc, f->head.start.lsn, name);
    redo_path(out, fs->dir, name, ".redo");
}

void
redo_files_spare_path(const struct redo_files *fs, uint64_t number, const char *suffix,
                      char out[REDO_PATH_MAX])
{
    char name[64];

    snprintf(name, sizeof name, "spare-%016llx", (unsigned long long)number);
    redo_path(out, fs->dir, name, suffix);
}

/* ---- the list ------------------------------------------------------------------------------ */

/* Whether a stands before (inc, lsn) in the list. */
static bool
file_is_before(const struct redo_file *a, incarnation_t inc, struct lsn lsn)
{
    return a->head.start.inc < inc || (a->head.start.inc == inc && lsn_lt(a->head.start.lsn, lsn));
}

struct redo_file *
redo_files_insert(struct redo_files *fs, const struct redo_file_head *head)
{
    struct redo_file *f = xcalloc(1, sizeof *f);
    struct list *at = &fs->files;

    f->head = *head;
    f->end = head->start;
    list_for_each (it, &fs->files, struct redo_file, link) {
        if (!file_is_before(it, head->start.inc, head->start.lsn)) {
            at = &it->link;
            break;
        }
    }
    list_push_back(at, &f->link);
    return f;
}

struct redo_file *
redo_files_last(struct redo_files *fs, incarnation_t inc)
{
    struct redo_file *last = NULL;

    list_for_each (it, &fs->files, struct redo_file, link) {
        if (it->head.start.inc == inc)
            last = it;
    }
    return last;
}

/* The local file of inc with the greatest first LSN at or below lsn, referenced; NULL: none. It may
 * end below lsn. */
struct redo_file *
redo_files_find(struct redo_files *fs, incarnation_t inc, struct lsn lsn)
{
    struct redo_file *found = NULL;

    env_mutex_lock(&fs->lock);
    list_for_each (it, &fs->files, struct redo_file, link) {
        if (it->head.start.inc == inc && lsn_le(it->head.start.lsn, lsn))
            found = it;
    }
    if (found != NULL)
        found->refs++;
    env_mutex_unlock(&fs->lock);
    return found;
}

void
redo_files_unref(struct redo_files *fs, struct redo_file *f)
{
    if (f == NULL)
        return;
    env_mutex_lock(&fs->lock);
    CHECK(f->refs > 0);
    if (--f->refs == 0)
        env_cond_signal(&fs->work);
    env_mutex_unlock(&fs->lock);
}

/* ---- opening ------------------------------------------------------------------------------- */

void
redo_files_add_spare(struct redo_files *fs, uint64_t number)
{
    if (fs->spare_count == fs->spare_cap) {
        fs->spare_cap = fs->spare_cap < 8 ? 8 : fs->spare_cap * 2;
        fs->spares = xrealloc(fs->spares, fs->spare_cap * sizeof *fs->spares);
    }
    fs->spares[fs->spare_count++] = number;
}

/* A file of the right size is a spare; another was not finished. */
MUST_CHECK
static int
open_spare(struct redo_files *fs, const char *name)
{
    uint64_t number = strtoull(name + 6, NULL, 16), size = 0;
    char path[REDO_PATH_MAX];
    struct env_file *file;
    int rc;

    redo_path(path, fs->dir, name, "");
    rc = env_open(fs->env, path, ENV_READ, &file);
    if (rc == 0) {
        rc = env_size(file, &size);
        env_close(file);
    }
    if (rc == 0 && size == fs->file_bytes)
        redo_files_add_spare(fs, number);
    else if (rc == 0)
        rc = env_unlink(fs->env, path);
    if (number >= fs->next_spare)
        fs->next_spare = number + 1;
    return rc;
}

MUST_CHECK
static int
open_header(struct redo_files *fs, const char *name, incarnation_t inc, struct lsn lsn)
{
    uint8_t *bytes = xaligned(ENV_ALIGN, REDO_FILE_HEADER);
    struct redo_file_head head;
    struct env_file *file = NULL;
    char path[REDO_PATH_MAX];
    uint64_t size = 0;
    size_t got = 0;
    int rc;

    redo_path(path, fs->dir, name, "");
    rc = env_open(fs->env, path, ENV_READ | ENV_DIRECT, &file);
    if (rc == 0)
        rc = env_pread(file, bytes, REDO_FILE_HEADER, 0, &got);
    if (rc == 0 && got < REDO_FILE_HEADER)
        rc = DIAG(ERR_CORRUPT, "redo file is shorter than its header");
    if (rc == 0)
        rc = env_size(file, &size);
    if (rc == 0)
        rc = redo_file_head_decode(bytes, &head);
    if (rc == 0 && (head.start.inc != inc || head.start.lsn.v != lsn.v))
        rc = DIAG(ERR_CORRUPT, "redo file holds %u:%llx, which its name does not say",
                  head.start.inc, (unsigned long long)head.start.lsn.v);
    if (rc == 0 && head.database_id != fs->database_id)
        rc = DIAG(ERR_CORRUPT, "redo file belongs to another database (%016llx)",
                  (unsigned long long)head.database_id);
    if (rc == 0) {
        redo_files_insert(fs, &head)->size = size;
        if (head.sequence >= fs->next_sequence)
            fs->next_sequence = head.sequence + 1;
    } else {
        diag_context("%s", path);
    }
    env_close(file);
    xfree_aligned(bytes);
    return rc;
}

/* A spare that was being made, one of them: the file thread goes on with it. */
static bool
open_unfinished(struct redo_files *fs, const char *name, size_t length)
{
    uint64_t number;

    if (length != SPARE_NAME + 4 || strncmp(name, "spare-", 6) != 0 || fs->making.number != 0 ||
        strcmp(name + SPARE_NAME, ".tmp") != 0)
        return false;
    number = strtoull(name + 6, NULL, 16);
    fs->making.number = number;
    if (number >= fs->next_spare)
        fs->next_spare = number + 1;
    return true;
}

static int
open_name(void *arg, const char *name)
{
    struct redo_files *fs = arg;
    size_t length = strlen(name);
    char path[REDO_PATH_MAX];
    incarnation_t inc;
    struct lsn lsn;

    if (redo_file_name_parse(name, ".redo", &inc, &lsn))
        return open_header(fs, name, inc, lsn);
    if (length == SPARE_NAME && strncmp(name, "spare-", 6) == 0)
        return open_spare(fs, name);
    if (open_unfinished(fs, name, length))
        return 0;
    if (length > 4 && strcmp(name + length - 4, ".tmp") == 0) {
        redo_path(path, fs->dir, name, "");
        return env_unlink(fs->env, path);
    }
    return 0;
}

static int
open_archived(void *arg, const char *name)
{
    struct redo_files *fs = arg;
    incarnation_t inc;
    struct lsn lsn;

    if (redo_file_name_parse(name, ".redo.zst", &inc, &lsn)) {
        list_for_each (it, &fs->files, struct redo_file, link) {
            if (it->head.start.inc == inc && it->head.start.lsn.v == lsn.v)
                it->is_archived = true;
        }
    }
    return 0;
}

/* Between two files of one incarnation stands no other, or one that the archive has. (Where redo
 * was begun anew from a base copy, the later one names none before it.) */
MUST_CHECK
static int
open_check_link(struct redo_files *fs, const struct redo_file *prev, const struct redo_file *f)
{
    char name[64];
    struct lsn first;

    if (f->head.prev_sequence == prev->head.sequence || f->head.prev_sequence == 0)
        return 0;
    redo_file_name(f->head.start.inc, f->head.prev_lsn, name);
    if (redo_archive_find(fs->env, fs->archive_dir, f->head.start.inc, f->head.prev_lsn, &first) &&
        first.v == f->head.prev_lsn.v)
        return 0;
    return DIAG(ERR_NO_FILE, "%s/%s.redo is missing", fs->dir, name);
}

/* The last file of an incarnation: where does its redo end? */
MUST_CHECK
static int
open_scan(struct redo_files *fs, struct redo_source *source, struct redo_file *f)
{
    char path[REDO_PATH_MAX];
    int rc;

    redo_files_file_path(fs, f, path);
    rc = redo_source_open(source, path);
    if (rc == 0)
        rc = redo_source_scan(source, &f->end, &f->end_offset, &f->is_marked);
    redo_source_close(source);
    return rc;
}

MUST_CHECK
static int
open_files(struct redo_files *fs)
{
    struct redo_source source;
    int rc = 0;

    redo_source_init(&source, fs->env);
    list_for_each (f, &fs->files, struct redo_file, link) {
        struct redo_file *next =
            f->link.next == &fs->files ? NULL : container_of(f->link.next, struct redo_file, link);

        if (next != NULL && next->head.start.inc == f->head.start.inc) {
            rc = open_check_link(fs, f, next);
            /* What this file ended with is what the next began with. */
            f->end = next->head.start;
            if (next->head.prev_sequence != f->head.sequence)
                rc = rc != 0 ? rc : open_scan(fs, &source, f);
        } else {
            rc = open_scan(fs, &source, f);
        }
        if (rc != 0)
            break;
    }
    redo_source_fini(&source);
    return rc;
}

/* The redo of an incarnation reaches to where the next goes on from it (if that is here from its
 * start, and it is here at all), and to where the caller knows it to have been durable. */
MUST_CHECK
static int
open_check_ends(struct redo *r)
{
    struct redo_files *fs = &r->files;

    list_for_each (f, &fs->files, struct redo_file, link) {
        const struct lineage_entry *e = lineage_find(&r->lineage, f->head.start.inc);
        struct redo_file *prev = e != NULL ? redo_files_last(fs, e->prev) : NULL;

        if (prev != NULL && f->head.start.lsn.v == e->start_lsn.v &&
            lsn_lt(prev->end.lsn, e->start_lsn)) {
            char name[64];

            redo_file_name(e->prev, prev->end.lsn, name);
            return DIAG(ERR_NO_FILE,
                        "%s/%s.redo is missing: redo of incarnation %u ends at %llx, and "
                        "incarnation %u goes on from %llx",
                        fs->dir, name, e->prev, (unsigned long long)prev->end.lsn.v, e->inc,
                        (unsigned long long)e->start_lsn.v);
        }
    }
    for (uint32_t i = 0; i < r->options.known_count; i++) {
        const struct redo_pos *known = &r->options.known[i];
        struct redo_file *last = redo_files_last(fs, known->inc);

        if (last == NULL)
            return DIAG(ERR_NO_FILE, "no redo of incarnation %u is in %s", known->inc, fs->dir);
        if (lsn_lt(last->end.lsn, known->lsn)) {
            char path[REDO_PATH_MAX];

            redo_files_file_path(fs, last, path);
            return DIAG(ERR_CORRUPT,
                        "%s: no whole frame at offset %llu (LSN %u:%llx), though redo up to %llx "
                        "had been durable; nothing was changed",
                        path, (unsigned long long)last->end_offset, known->inc,
                        (unsigned long long)last->end.lsn.v, (unsigned long long)known->lsn.v);
        }
    }
    return 0;
}

static void
files_init(struct redo_files *fs, const struct redo_options *o)
{
    *fs = (struct redo_files){ .env = o->env,
                               .database_id = o->database_id,
                               .file_bytes = o->file_bytes,
                               .keep_bytes = o->keep_bytes,
                               .held = o->hold,
                               .spare_want = o->spare_count,
                               .next_spare = 1,
                               .next_sequence = 1 };
    CHECK(strlen(o->dir) < sizeof fs->dir);
    snprintf(fs->dir, sizeof fs->dir, "%s", o->dir);
    if (o->archive_dir != NULL) {
        CHECK(strlen(o->archive_dir) < sizeof fs->archive_dir);
        snprintf(fs->archive_dir, sizeof fs->archive_dir, "%s", o->archive_dir);
    }
    env_mutex_init(fs->env, &fs->lock);
    env_cond_init(fs->env, &fs->work);
    env_cond_init(fs->env, &fs->done);
    list_init(&fs->files);
    list_init(&fs->pins);
}

int
redo_files_open(struct redo *r, const struct redo_options *o)
{
    struct redo_files *fs = &r->files;
    int rc;

    files_init(fs, o);
    /* Their names are safe before anything in them can be. */
    rc = env_make_dir(fs->env, fs->dir);
    if (rc == 0 && fs->archive_dir[0] != '\0')
        rc = env_make_dir(fs->env, fs->archive_dir);
    if (rc == 0)
        rc = env_list_dir(fs->env, fs->dir, open_name, fs);
    if (rc == 0 && fs->archive_dir[0] != '\0')
        rc = env_list_dir(fs->env, fs->archive_dir, open_archived, fs);
    if (rc == 0)
        rc = open_files(fs);
    if (rc == 0)
        rc = open_check_ends(r);
    return rc;
}

void
redo_files_close(struct redo *r)
{
    struct redo_files *fs = &r->files;

    if (fs->thread != NULL) {
        env_mutex_lock(&fs->lock);
        fs->stopping = true;
        env_cond_broadcast(&fs->work);
        env_cond_broadcast(&fs->done);
        env_mutex_unlock(&fs->lock);
        env_thread_join(fs->thread);
    }
    list_for_each_safe (f, tmp, &fs->files, struct redo_file, link) {
        CHECK(f->refs == 0);
        xfree(f);
    }
    env_close(fs->making.file);
    xfree(fs->spares);
    xfree(fs->releases);
    env_cond_fini(&fs->done);
    env_cond_fini(&fs->work);
    env_mutex_fini(&fs->lock);
}

/* ---- beginning a file ---------------------------------------------------------------------- */

/* Takes a spare's number; false when there is none (and none can be made, or nobody waits). */
static bool
begin_take_spare(struct redo_files *fs, bool wait, uint64_t *number)
{
    bool taken = false;

    env_mutex_lock(&fs->lock);
    env_cond_signal(&fs->work);
    while (fs->spare_count == 0 && !fs->stopping && (wait || fs->rc_spare == 0))
        env_cond_wait(&fs->done, &fs->lock);
    if (fs->spare_count > 0) {
        *number = fs->spares[--fs->spare_count];
        taken = true;
        env_cond_signal(&fs->work);
    }
    env_mutex_unlock(&fs->lock);
    return taken;
}

static int
handle_flags(const struct redo *r)
{
    int flags = ENV_READ | ENV_WRITE | ENV_DIRECT;

    return r->options.fdatasync || r->options.no_sync ? flags : flags | ENV_DSYNC;
}

int
redo_files_mark_end(struct redo *r, struct env_file *handle, uint64_t sequence, uint64_t offset,
                    struct lsn lsn)
{
    struct redo_local local = { .flags = REDO_LOCAL_CLOSE,
                                .sequence = sequence,
                                .offset = offset,
                                .durable = lsn,
                                .lsn = lsn };
    int rc;

    memset(r->seal.page, 0, ENV_ALIGN);
    redo_local_encode(&local, r->seal.page);
    rc = env_pwrite(handle, r->seal.page, ENV_ALIGN, offset);
    return rc == 0 && r->options.fdatasync ? env_sync(handle) : rc;
}

/* A file after that position whose end was found by looking at all that lies behind it. Locked. */
static struct redo_file *
next_to_mark(struct redo_files *fs, incarnation_t inc, struct lsn after)
{
    list_for_each (f, &fs->files, struct redo_file, link) {
        if (!file_is_before(f, inc, lsn_make(after.v + 1)) && !f->is_active && !f->is_marked &&
            f->end_offset != 0)
            return f;
    }
    return NULL;
}

/* After the mark nothing of what stands there is ever read: it must be seen not to be a frame. */
MUST_CHECK
static int
mark_look(struct redo_files *fs, const char *path, const struct redo_file *f)
{
    struct redo_source source;
    struct redo_unit unit;
    int rc;

    redo_source_init(&source, fs->env);
    rc = redo_source_open(&source, path);
    if (rc == 0) {
        rc = redo_source_unit(&source, f->end_offset, f->end.lsn, &unit);
        if (rc == ERR_END || rc == ERR_CORRUPT) {
            diag_clear();
            rc = 0;
        } else if (rc == 0) {
            rc = DIAG(ERR_CORRUPT, "%s: a whole frame at offset %llu was misread at the start",
                      path, (unsigned long long)f->end_offset);
        }
    }
    redo_source_fini(&source);
    return rc;
}

MUST_CHECK
static int
mark_file(struct redo *r, const struct redo_file *f)
{
    char path[REDO_PATH_MAX];
    struct env_file *handle = NULL;
    int rc;

    if (f->end_offset + ENV_ALIGN > f->size)
        return 0;
    redo_files_file_path(&r->files, f, path);
    rc = mark_look(&r->files, path, f);
    if (rc == 0)
        rc = env_open(r->env, path, handle_flags(r), &handle);
    if (rc == 0)
        rc = redo_files_mark_end(r, handle, f->head.sequence, f->end_offset, f->end.lsn);
    env_close(handle);
    return rc;
}

/* The log goes on at `start` from what an earlier life left: where that ends is settled, and is
 * marked, so that no later start has to find it again by reading the files whole. A file that the
 * log does not go on from may be marked another time. */
MUST_CHECK
static int
begin_mark_ends(struct redo *r, struct lsn start)
{
    struct redo_files *fs = &r->files;
    struct redo_file *f;
    struct lsn after = { 0 };
    incarnation_t inc = 0;
    int rc = 0;

    env_mutex_lock(&fs->lock);
    while (rc == 0 && (f = next_to_mark(fs, inc, after)) != NULL) {
        f->refs++;
        env_mutex_unlock(&fs->lock);
        rc = mark_file(r, f);
        env_mutex_lock(&fs->lock);
        f->is_marked = rc == 0;
        inc = f->head.start.inc;
        after = f->head.start.lsn;
        if (rc != 0 && f->end.lsn.v != start.v) {
            diag_clear();
            rc = 0;
        }
        if (--f->refs == 0)
            env_cond_signal(&fs->work);
    }
    env_mutex_unlock(&fs->lock);
    return rc;
}

/* Header first, then the name: a file that has its name is whole. */
MUST_CHECK
static int
begin_write(const struct redo *r, uint64_t spare, const struct redo_file_head *head,
            struct env_file **handle)
{
    const struct redo_files *fs = &r->files;
    uint8_t *bytes = xaligned(ENV_ALIGN, REDO_FILE_HEADER);
    char from[REDO_PATH_MAX], to[REDO_PATH_MAX], name[64];
    int rc;

    redo_files_spare_path(fs, spare, ".redo", from);
    redo_file_name(head->start.inc, head->start.lsn, name);
    redo_path(to, fs->dir, name, ".redo");
    redo_file_head_encode(head, bytes);
    *handle = NULL;
    rc = env_open(fs->env, from, handle_flags(r), handle);
    if (rc == 0)
        rc = env_pwrite(*handle, bytes, REDO_FILE_HEADER, 0);
    if (rc == 0)
        rc = env_sync(*handle);
    if (rc == 0)
        rc = env_rename(fs->env, from, to);
    if (rc == 0)
        rc = env_sync_dir(fs->env, fs->dir);
    xfree_aligned(bytes);
    env_close(*handle);
    *handle = NULL;
    /* By its new name, which errors will tell. */
    return rc != 0 ? rc : env_open(fs->env, to, handle_flags(r), handle);
}

/* The header of the new file, in the list. A file of that name can only be one that has no frame
 * (the log ended where it began); it is replaced. */
static void
begin_head(struct redo_files *fs, const struct redo_pos *start, struct redo_file_head *head)
{
    struct redo_file *prev;

    env_mutex_lock(&fs->lock);
    prev = redo_files_last(fs, start->inc);
    if (prev != NULL && prev->head.start.lsn.v == start->lsn.v) {
        CHECK(prev->end.lsn.v == start->lsn.v && prev->refs == 0 && !prev->is_active);
        list_remove(&prev->link);
        xfree(prev);
        prev = redo_files_last(fs, start->inc);
    }
    *head = (struct redo_file_head){ .start = *start,
                                     .database_id = fs->database_id,
                                     .sequence = fs->next_sequence++ };
    if (prev != NULL && prev->end.lsn.v == start->lsn.v) {
        head->prev_sequence = prev->head.sequence;
        head->prev_lsn = prev->head.start.lsn;
    }
    env_mutex_unlock(&fs->lock);
}

int
redo_files_begin(struct redo *r, const struct redo_pos *start, bool wait, struct redo_file **file,
                 struct env_file **handle)
{
    struct redo_files *fs = &r->files;
    struct redo_file_head head;
    struct redo_file *f;
    uint64_t spare;
    int rc = begin_mark_ends(r, start->lsn);

    if (rc != 0)
        return rc;
    if (!begin_take_spare(fs, wait, &spare)) {
        if (fs->rc_spare == 0)
            return ERR_STOPPED;
        return DIAG(fs->rc_spare, "no redo file can be made in %s", fs->dir);
    }
    begin_head(fs, start, &head);
    rc = begin_write(r, spare, &head, handle);
    if (rc != 0)
        return rc;
    env_mutex_lock(&fs->lock);
    f = redo_files_insert(fs, &head);
    f->is_active = true;
    fs->tail = head.start.inc;
    f->size = fs->file_bytes;
    f->end_offset = REDO_FILE_HEADER;
    *file = f;
    env_mutex_unlock(&fs->lock);
    return 0;
}
