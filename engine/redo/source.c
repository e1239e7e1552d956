/* Reading one redo file, local or archived: bytes, units (local header and frame), the whole by the
 * rule that tells a torn tail from corruption.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mem.h"
#include "engine/redo/redo_int.h"

void
redo_source_init(struct redo_source *s, struct env *env)
{
    *s = (struct redo_source){ .env = env };
}

/* No larger than the file. */
MUST_CHECK
static int
source_buffer(struct redo_source *s)
{
    size_t want = REDO_SOURCE_BUFFER;
    uint64_t size;
    int rc;

    if (s->file != NULL) {
        rc = env_size(s->file, &size);
        if (rc != 0)
            return rc;
        if (size < want)
            want = redo_align((size_t)size + 1);
    }
    if (s->buffer_cap < want) {
        xfree_aligned(s->buffer);
        s->buffer = xaligned(ENV_ALIGN, want);
        s->buffer_cap = want;
    }
    return 0;
}

void
redo_source_fini(struct redo_source *s)
{
    redo_source_close(s);
    xfree_aligned(s->buffer);
    s->buffer = NULL;
}

void
redo_source_close(struct redo_source *s)
{
    env_close(s->file);
    redo_unzip_close(s->unzip);
    s->file = NULL;
    s->unzip = NULL;
}

bool
redo_source_is_open(const struct redo_source *s)
{
    return s->file != NULL || s->unzip != NULL;
}

int
redo_source_open(struct redo_source *s, const char *path)
{
    size_t length = strlen(path);
    const uint8_t *bytes;
    int rc;

    redo_source_close(s);
    CHECK(length < sizeof s->path);
    memcpy(s->path, path, length + 1);
    s->buffer_at = 0;
    s->buffer_size = 0;
    if (length > 4 && strcmp(path + length - 4, ".zst") == 0)
        rc = redo_unzip_open(s->env, path, &s->unzip);
    else
        rc = env_open(s->env, path, ENV_READ | ENV_DIRECT, &s->file);
    if (rc != 0)
        return rc;
    rc = source_buffer(s);
    if (rc == 0)
        rc = redo_source_fetch(s, 0, REDO_FILE_HEADER, true, &bytes);
    if (rc == ERR_END)
        rc = DIAG(ERR_CORRUPT, "redo file is shorter than its header");
    if (rc == 0)
        rc = redo_file_head_decode(bytes, &s->head);
    if (rc == 0)
        return 0;
    diag_context("%s", path);
    redo_source_close(s);
    return rc;
}

/* An archived file is a stream: what lies before the buffer is gone. */
MUST_CHECK
static int
unzip_fill(struct redo_source *s, uint64_t offset)
{
    size_t got;
    int rc;

    if (offset < s->buffer_at)
        return DIAG(ERR_INTERNAL, "archived redo is read forwards only");
    for (;;) {
        uint64_t buffer_end = s->buffer_at + s->buffer_size;

        if (offset < buffer_end) {
            size_t drop = (size_t)(offset - s->buffer_at);

            memmove(s->buffer, s->buffer + drop, s->buffer_size - drop);
            s->buffer_size -= drop;
            s->buffer_at = offset;
        } else {
            s->buffer_at = buffer_end;
            s->buffer_size = 0;
        }
        rc = redo_unzip_read(s->unzip, s->buffer + s->buffer_size, s->buffer_cap - s->buffer_size,
                             &got);
        if (rc != 0)
            return rc;
        s->buffer_size += got;
        if (s->buffer_at == offset || got == 0)
            return 0;
    }
}

int
redo_source_fetch(struct redo_source *s, uint64_t offset, size_t size, bool fresh,
                  const uint8_t **out)
{
    int rc;

    CHECK(offset % ENV_ALIGN == 0);
    if (size > s->buffer_cap)
        return ERR_END;
    if ((fresh && s->unzip == NULL) || offset < s->buffer_at ||
        offset + size > s->buffer_at + s->buffer_size) {
        if (s->unzip != NULL) {
            rc = unzip_fill(s, offset);
        } else {
            s->buffer_at = offset;
            rc = env_pread(s->file, s->buffer, s->buffer_cap, offset, &s->buffer_size);
            if (rc != 0)
                s->buffer_size = 0;
        }
        if (rc != 0)
            return rc;
    }
    if (offset < s->buffer_at || offset + size > s->buffer_at + s->buffer_size)
        return ERR_END;
    *out = s->buffer + (offset - s->buffer_at);
    return 0;
}

bool
redo_unit_is_mark(const struct redo_unit *unit, struct lsn lsn)
{
    return (unit->local.flags & REDO_LOCAL_CLOSE) != 0 && unit->local.lsn.v == lsn.v;
}

MUST_CHECK
static int
unit_read(struct redo_source *s, uint64_t offset, struct lsn lsn, bool fresh, struct redo_unit *out)
{
    const uint8_t *bytes;
    int rc = redo_source_fetch(s, offset, ENV_ALIGN, fresh, &bytes);

    out->local = (struct redo_local){ 0 };
    if (rc != 0)
        return rc;
    if (!redo_local_decode(bytes, s->head.sequence, offset, &out->local) ||
        out->local.lsn.v != lsn.v || (out->local.flags & REDO_LOCAL_CLOSE) != 0)
        return ERR_END;
    rc = redo_source_fetch(s, offset, redo_align(REDO_LOCAL_HEADER + (size_t)out->local.size),
                           false, &bytes);
    if (rc == ERR_END)
        return DIAG(ERR_CORRUPT, "%s: frame at offset %llu runs over the end of the file", s->path,
                    (unsigned long long)offset);
    if (rc != 0)
        return rc;
    out->bytes = bytes + REDO_LOCAL_HEADER;
    out->next_offset = offset + redo_align(REDO_LOCAL_HEADER + (size_t)out->local.size);
    rc = redo_frame_verify(out->bytes, out->local.size, &out->head);
    if (rc == 0 && (out->head.inc != s->head.start.inc || out->head.lsn.v != lsn.v ||
                    REDO_FRAME_HEADER + out->head.stored_size != out->local.size))
        rc = DIAG(ERR_CORRUPT, "frame is not the one that the local header announces");
    if (rc != 0)
        diag_context("%s, offset %llu", s->path, (unsigned long long)offset);
    return rc;
}

int
redo_source_unit(struct redo_source *s, uint64_t offset, struct lsn lsn, struct redo_unit *out)
{
    int rc = unit_read(s, offset, lsn, false, out);

    if (s->unzip == NULL && (rc == ERR_CORRUPT || (rc == ERR_END && !redo_unit_is_mark(out, lsn))))
        rc = unit_read(s, offset, lsn, true, out);
    return rc;
}

/* The highest durable LSN that a valid local header at or behind `offset` tells of. */
MUST_CHECK
static int
scan_durable(struct redo_source *s, uint64_t offset, struct lsn *durable)
{
    const uint8_t *bytes;
    int rc;

    for (; (rc = redo_source_fetch(s, offset, ENV_ALIGN, false, &bytes)) == 0;
         offset += ENV_ALIGN) {
        struct redo_local local;

        if (redo_local_decode(bytes, s->head.sequence, offset, &local) &&
            lsn_lt(*durable, local.durable))
            *durable = local.durable;
    }
    return rc == ERR_END ? 0 : rc;
}

/* One frame of a scan: checks its chain, too. */
MUST_CHECK
static int
scan_unit(struct redo_source *s, uint64_t offset, uint8_t **scratch, const struct redo_pos *at,
          struct redo_unit *unit)
{
    struct slice records;
    int rc = redo_source_unit(s, offset, at->lsn, unit);

    if (rc != 0)
        return rc;
    if (*scratch == NULL && (unit->head.flags & REDO_FRAME_LZ4) != 0)
        *scratch = xmalloc(REDO_FRAME_RECORDS_MAX);
    rc = redo_frame_records(&unit->head, unit->bytes, *scratch, &records);
    if (rc == 0)
        rc = redo_frame_check_chain(&unit->head, records, at->chain);
    if (rc != 0)
        diag_context("%s, offset %llu", s->path, (unsigned long long)offset);
    return rc;
}

int
redo_source_scan(struct redo_source *s, struct redo_pos *end, uint64_t *end_offset, bool *is_marked)
{
    uint8_t *scratch = NULL;
    uint64_t offset = REDO_FILE_HEADER;
    struct redo_pos at = s->head.start;
    struct redo_unit unit;
    struct lsn durable = { 0 };
    int rc;

    while ((rc = scan_unit(s, offset, &scratch, &at, &unit)) == 0) {
        offset = unit.next_offset;
        at.lsn = redo_frame_end(&unit.head);
        at.scn = unit.head.last_scn;
        at.time_us = unit.head.last_time_us;
        at.chain = unit.head.chain;
    }
    xfree(scratch);
    /* A whole frame with a wrong chain is no torn write: its bytes are as they were written. */
    if (rc != ERR_END && rc != ERR_CORRUPT)
        return rc;
    *end = at;
    *end_offset = offset;
    /* Nothing was written behind the mark but what a torn write left. */
    *is_marked = rc == ERR_END && redo_unit_is_mark(&unit, at.lsn);
    if (*is_marked)
        return 0;
    rc = scan_durable(s, offset, &durable);
    if (rc == 0 && lsn_lt(at.lsn, durable))
        rc =
            DIAG(ERR_CORRUPT,
                 "%s: no whole frame at offset %llu (LSN %u:%llx), though redo up to %llx had been "
                 "durable; nothing was changed",
                 s->path, (unsigned long long)offset, at.inc, (unsigned long long)at.lsn.v,
                 (unsigned long long)durable.v);
    return rc;
}
