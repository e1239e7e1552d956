/* Readers: frames and records of a chain of incarnations, from memory, files and archive.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mem.h"
#include "engine/redo/redo_int.h"

struct redo_cursor {
    struct redo *redo;
    struct lineage lineage; /* as it was when the cursor was opened */
    incarnation_t target;
    struct lsn from; /* records before it are passed over */

    incarnation_t inc; /* of the next frame */
    struct lsn next;
    bool has_chain;
    struct hash128 chain; /* before the next frame; valid if has_chain */

    struct redo_frame *frame; /* given out last; a reference */
    struct redo_frame *own;   /* equal to frame when that is the cursor's own */
    size_t own_cap;           /* of its buffer */
    uint8_t *scratch;         /* its records, if they were compressed */
    struct reader records;    /* what is left of them */
    struct lsn record_lsn;

    struct redo_source source;
    struct redo_file *file; /* that source reads, referenced; NULL: an archived one, or none */
    incarnation_t source_inc;
    uint64_t offset; /* in it, of the unit at source_lsn */
    struct lsn source_lsn;
    struct hash128 source_chain; /* before that unit */
};

int
redo_cursor_open(struct redo *r, incarnation_t target, struct lsn from, struct redo_cursor **out)
{
    struct redo_cursor *c = xcalloc(1, sizeof *c);

    c->redo = r;
    c->target = target;
    c->from = c->next = c->record_lsn = from;
    lineage_init(&c->lineage);
    env_mutex_lock(&r->files.lock);
    lineage_copy(&c->lineage, &r->lineage);
    env_mutex_unlock(&r->files.lock);
    c->inc = lineage_redo_at(&c->lineage, target, from);
    redo_source_init(&c->source, r->env);
    if (c->inc == 0) {
        redo_cursor_close(c);
        return DIAG(ERR_NOT_FOUND, "no incarnation on the way to %u has redo at %llx", target,
                    (unsigned long long)from.v);
    }
    *out = c;
    return 0;
}

static void
cursor_close_source(struct redo_cursor *c)
{
    redo_source_close(&c->source);
    redo_files_unref(&c->redo->files, c->file);
    c->file = NULL;
}

void
redo_cursor_close(struct redo_cursor *c)
{
    if (c == NULL)
        return;
    cursor_close_source(c);
    redo_source_fini(&c->source);
    redo_frame_unref(c->frame);
    lineage_fini(&c->lineage);
    xfree(c->scratch);
    xfree(c);
}

struct lsn
redo_cursor_lsn(const struct redo_cursor *c)
{
    return rd_left(&c->records) > 0 ? c->record_lsn : c->next;
}

/* ---- files --------------------------------------------------------------------------------- */

/* Where the redo of a file ends. */
static struct lsn
file_end(struct redo *r, const struct redo_file *f)
{
    struct lsn end;

    env_mutex_lock(&r->files.lock);
    end = f->is_active ? lsn_make(UINT64_MAX) : f->end.lsn;
    env_mutex_unlock(&r->files.lock);
    return end;
}

MUST_CHECK
static int
cursor_missing(struct redo_cursor *c)
{
    struct redo_files *fs = &c->redo->files;
    char name[64];

    redo_file_name(c->inc, c->next, name);
    cursor_close_source(c);
    return DIAG(ERR_NO_FILE,
                "redo of incarnation %u at %llx is missing: a file like %s/%s.redo, or one before "
                "it that holds this position%s",
                c->inc, (unsigned long long)c->next.v, fs->dir, name,
                fs->archive_dir[0] != '\0' ? ", is neither there nor in the archive" : "");
}

/* Opens the file, local or archived, that holds the next position. */
MUST_CHECK
static int
cursor_open_source(struct redo_cursor *c)
{
    struct redo *r = c->redo;
    struct redo_files *fs = &r->files;
    char path[REDO_PATH_MAX], name[64];
    struct lsn first;
    int rc;

    cursor_close_source(c);
    c->file = redo_files_find(fs, c->inc, c->next);
    if (c->file != NULL && lsn_lt(c->next, file_end(r, c->file))) {
        redo_files_file_path(fs, c->file, path);
    } else if (redo_archive_find(r->env, fs->archive_dir, c->inc, c->next, &first)) {
        redo_files_unref(fs, c->file);
        c->file = NULL;
        redo_file_name(c->inc, first, name);
        redo_path(path, fs->archive_dir, name, ".redo.zst");
    } else {
        return cursor_missing(c);
    }
    rc = redo_source_open(&c->source, path);
    if (rc != 0) {
        cursor_close_source(c);
        return rc;
    }
    c->source_inc = c->inc;
    c->offset = REDO_FILE_HEADER;
    c->source_lsn = c->source.head.start.lsn;
    c->source_chain = c->source.head.start.chain;
    if (c->source.head.start.inc == c->inc && lsn_le(c->source_lsn, c->next) &&
        c->source.head.database_id == fs->database_id)
        return 0;
    cursor_close_source(c);
    return DIAG(ERR_CORRUPT, "%s: holds other redo than its name says", path);
}

/* The archived file that should hold the next position ends before it. That is the end where
 * nothing of this incarnation is known past it. */
MUST_CHECK
static int
cursor_archive_end(struct redo_cursor *c)
{
    struct redo_pos end;

    if (c->source_lsn.v == c->next.v && c->inc == c->target && redo_end(c->redo, c->inc, &end) != 0)
        return ERR_END;
    return cursor_missing(c);
}

/* The unit that holds the next position; the ones before it are stepped over. */
MUST_CHECK
static int
cursor_seek(struct redo_cursor *c, struct redo_unit *unit)
{
    bool opened = false;

    for (;;) {
        int rc;

        if (!redo_source_is_open(&c->source) || c->source_inc != c->inc ||
            lsn_lt(c->next, c->source_lsn) ||
            (c->file != NULL && lsn_le(file_end(c->redo, c->file), c->source_lsn))) {
            rc = cursor_open_source(c);
            if (rc != 0)
                return rc;
            opened = true;
        }
        rc = redo_source_unit(&c->source, c->offset, c->source_lsn, unit);
        if (rc == ERR_END && c->file == NULL) {
            if (opened)
                return cursor_archive_end(c);
            redo_source_close(&c->source); /* another one goes on */
            continue;
        }
        if (rc == ERR_END)
            rc = DIAG(ERR_CORRUPT, "%s: no frame for LSN %u:%llx at offset %llu", c->source.path,
                      c->inc, (unsigned long long)c->source_lsn.v, (unsigned long long)c->offset);
        if (rc != 0) {
            cursor_close_source(c); /* whoever repairs it may put another file in its place */
            return rc;
        }
        if (lsn_lt(c->next, redo_frame_end(&unit->head)))
            return 0;
        c->offset = unit->next_offset;
        c->source_lsn = redo_frame_end(&unit->head);
        c->source_chain = unit->head.chain;
    }
}

/* Room for this frame and for larger ones to come. */
static size_t
cursor_frame_size(size_t size)
{
    size_t cap = 16 << 10;

    while (cap < size)
        cap *= 2;
    return cap < REDO_FRAME_BYTES_MAX ? cap : REDO_FRAME_BYTES_MAX;
}

MUST_CHECK
static int
cursor_read_file(struct redo_cursor *c, struct redo_frame **out)
{
    struct redo_unit unit;
    struct redo_frame *f;
    int rc = cursor_seek(c, &unit);

    if (rc != 0)
        return rc;
    /* A frame of the cursor's own is used again when nobody else has taken a reference. */
    f = c->frame;
    if (f != NULL && f == c->own && atomic_load(&f->refs) == 1 &&
        redo_align(REDO_LOCAL_HEADER + unit.local.size) <= c->own_cap) {
        c->frame = NULL;
        f->buffer_size = c->own_cap;
    } else {
        f = redo_frame_new(cursor_frame_size(unit.local.size));
        c->own_cap = f->buffer_size;
    }
    c->own = f;
    memcpy(redo_frame_room(f), unit.bytes, unit.local.size);
    rc = redo_frame_finish(f, unit.local.size);
    if (rc != 0) {
        diag_context("%s, offset %llu", c->source.path, (unsigned long long)c->offset);
        c->own = NULL;
        redo_frame_unref(f);
        return rc;
    }
    if (!c->has_chain) {
        c->has_chain = true;
        c->chain = c->source_chain;
    }
    c->offset = unit.next_offset;
    c->source_lsn = redo_frame_end(&unit.head);
    c->source_chain = unit.head.chain;
    *out = f;
    return 0;
}

/* ---- frames -------------------------------------------------------------------------------- */

static bool
is_end_of_stream(struct redo *r, struct lsn lsn)
{
    bool is_end;

    env_mutex_lock(&r->queue.lock);
    is_end = r->queue.following && lsn_le(r->queue.sealed.lsn, lsn);
    env_mutex_unlock(&r->queue.lock);
    return is_end;
}

/* At the place where the chain leaves an incarnation the next one goes on. ERR_END where there is
 * nothing more (yet). */
MUST_CHECK
static int
cursor_advance(struct redo_cursor *c)
{
    struct redo_pos end;
    struct lsn leave;

    for (;;) {
        if (!lineage_redo_end(&c->lineage, c->target, c->inc, &leave))
            return DIAG(ERR_INTERNAL, "cursor has left the way to incarnation %u", c->target);
        if (lsn_lt(c->next, leave))
            break;
        if (lsn_lt(leave, c->next))
            return DIAG(ERR_CORRUPT,
                        "redo of incarnation %u has no frame end at %llx, where incarnation %u "
                        "goes on from it",
                        c->inc, (unsigned long long)leave.v,
                        lineage_redo_next(&c->lineage, c->target, c->inc));
        c->inc = lineage_redo_next(&c->lineage, c->target, c->inc);
    }
    /* The end of what came in so far, which may be that of an incarnation on the way. */
    if (is_end_of_stream(c->redo, c->next))
        return ERR_END;
    /* What is not held here, or not to where it is left, the archive may have. */
    if (c->inc == c->target && redo_end(c->redo, c->inc, &end) == 0 && lsn_le(end.lsn, c->next))
        return ERR_END;
    return 0;
}

MUST_CHECK
static int
cursor_check_chain(struct redo_cursor *c, const struct redo_frame *f, struct slice *records)
{
    int rc;

    if ((f->head.flags & REDO_FRAME_LZ4) != 0 && c->scratch == NULL)
        c->scratch = xmalloc(REDO_FRAME_RECORDS_MAX);
    rc = redo_frame_records(&f->head, f->bytes, c->scratch, records);
    if (rc == 0 && c->has_chain)
        rc = redo_frame_check_chain(&f->head, *records, c->chain);
    return rc;
}

/* records: where the frame's records go, or NULL when only the frame is wanted. */
MUST_CHECK
static int
cursor_step(struct redo_cursor *c, struct slice *records, bool cached)
{
    struct redo_frame *f;
    struct slice local;
    int rc = cursor_advance(c);

    if (rc != 0)
        return rc;
    f = redo_pool_find(&c->redo->pool, c->inc, c->next);
    if (f == NULL && cached)
        return ERR_AGAIN;
    if (f == NULL) {
        rc = cursor_read_file(c, &f);
        if (rc == 0)
            rc = cursor_check_chain(c, f, &local);
    } else if (c->has_chain || records != NULL) {
        rc = cursor_check_chain(c, f, &local);
    }
    if (rc != 0) {
        if (f == c->own)
            c->own = NULL;
        redo_frame_unref(f);
        return rc;
    }
    redo_frame_unref(c->frame);
    if (f != c->own)
        c->own = NULL;
    c->frame = f;
    c->next = redo_frame_end(&f->head);
    c->has_chain = true;
    c->chain = f->head.chain;
    if (records != NULL)
        *records = local;
    return 0;
}

int
redo_cursor_next_frame(struct redo_cursor *c, struct redo_frame **frame)
{
    int rc = cursor_step(c, NULL, false);

    if (rc == 0)
        *frame = c->frame;
    return rc;
}

int
redo_cursor_next_cached(struct redo_cursor *c, struct redo_frame **frame)
{
    int rc = cursor_step(c, NULL, true);

    if (rc == 0)
        *frame = c->frame;
    return rc;
}

int
redo_cursor_next(struct redo_cursor *c, struct redo_record *rec)
{
    for (;;) {
        const uint8_t *before = c->records.at;
        int rc;

        if (rd_left(&c->records) == 0) {
            struct slice records;

            rc = cursor_step(c, &records, false);
            if (rc != 0)
                return rc;
            rd_init(&c->records, records.data, records.size);
            c->record_lsn = c->frame->head.lsn;
            before = c->records.at;
        }
        rc = redo_record_next(&c->records, rec);
        if (rc != 0) {
            diag_context("frame %u:%llx", c->frame->head.inc,
                         (unsigned long long)c->frame->head.lsn.v);
            return rc == ERR_END ? ERR_CORRUPT : rc;
        }
        rec->inc = c->frame->head.inc;
        rec->lsn = c->record_lsn;
        c->record_lsn.v += (uint64_t)(c->records.at - before);
        rec->end_lsn = c->record_lsn;
        if (lsn_le(c->from, rec->lsn))
            return 0;
    }
}

/* ---- positions ----------------------------------------------------------------------------- */

/* Walks a file to the last frame end at or below lsn. */
MUST_CHECK
static int
locate_walk(struct redo_source *s, struct lsn lsn, struct lsn limit, struct redo_pos *pos)
{
    uint64_t offset = REDO_FILE_HEADER;

    *pos = s->head.start;
    while (lsn_lt(pos->lsn, lsn) && lsn_lt(pos->lsn, limit)) {
        struct redo_unit unit;
        int rc = redo_source_unit(s, offset, pos->lsn, &unit);

        if (rc == ERR_END)
            return 0;
        if (rc != 0)
            return rc;
        if (lsn_lt(lsn, redo_frame_end(&unit.head)))
            return 0;
        *pos = (struct redo_pos){ unit.head.inc, redo_frame_end(&unit.head), unit.head.last_scn,
                                  unit.head.last_time_us, unit.head.chain };
        offset = unit.next_offset;
    }
    return 0;
}

int
redo_locate(struct redo *r, incarnation_t inc, struct lsn lsn, struct redo_pos *pos)
{
    struct redo_files *fs = &r->files;
    char path[REDO_PATH_MAX], name[64];
    struct redo_source source;
    struct redo_file *file;
    struct lsn first, limit = redo_sealed(r);
    int rc;

    if (redo_pool_locate(&r->pool, inc, lsn, pos))
        return 0;
    file = redo_files_find(fs, inc, lsn);
    if (file != NULL) {
        redo_files_file_path(fs, file, path);
        if (file_end(r, file).v != UINT64_MAX)
            limit = file_end(r, file);
    } else if (redo_archive_find(r->env, fs->archive_dir, inc, lsn, &first)) {
        redo_file_name(inc, first, name);
        redo_path(path, fs->archive_dir, name, ".redo.zst");
        limit = LSN_MAX;
    } else {
        return DIAG(ERR_NOT_FOUND, "no redo of incarnation %u is held at %llx", inc,
                    (unsigned long long)lsn.v);
    }
    redo_source_init(&source, r->env);
    rc = redo_source_open(&source, path);
    if (rc == 0)
        rc = locate_walk(&source, lsn, limit, pos);
    redo_source_fini(&source);
    redo_files_unref(fs, file);
    return rc;
}
