/* The descriptor's text: see backup.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup/backup.h"
#include "engine/base/env.h"
#include "engine/base/mem.h"

enum { LINE_MAX_BYTES = 512 };

void
backup_init(struct backup *b)
{
    memset(b, 0, sizeof *b);
    lineage_init(&b->lineage);
}

void
backup_fini(struct backup *b)
{
    lineage_fini(&b->lineage);
    xfree(b->files);
    b->files = NULL;
}

uint64_t
backup_bytes(const struct backup *b)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < b->file_count; i++)
        sum += b->files[i].size;
    return sum;
}

/* ---- writing ------------------------------------------------------------------------------------
 */

static void PRINTF_LIKE(2, 3) put_line(struct writer *w, const char *fmt, ...)
{
    char text[LINE_MAX_BYTES];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    wr_bytes(w, text, strlen(text));
    wr_bytes(w, "\n", 1);
}

static void
put_pos(struct writer *w, const char *key, const struct redo_pos *p)
{
    put_line(w, "%s %u %" PRIu64 " %" PRIu64 " %" PRIu64 " %016" PRIx64 "%016" PRIx64, key, p->inc,
             p->lsn.v, p->scn, p->time_us, p->chain.hi, p->chain.lo);
}

static void
put_lineage(struct writer *w, const struct lineage *l)
{
    struct writer bytes;
    char digits[4];

    wr_init(&bytes, 0);
    lineage_encode(&bytes, l);
    wr_bytes(w, "lineage ", 8);
    for (size_t i = 0; i < bytes.size; i++) {
        snprintf(digits, sizeof digits, "%02x", bytes.data[i]);
        wr_bytes(w, digits, 2);
    }
    wr_bytes(w, "\n", 1);
    wr_fini(&bytes);
}

void
backup_encode(struct writer *w, const struct backup *b)
{
    size_t from = w->size;

    put_line(w, "redoubt backup 1");
    put_line(w, "database %016" PRIx64, b->database_id);
    put_line(w, "incarnation %u", b->inc);
    put_pos(w, "from", &b->from);
    put_pos(w, "end", &b->end);
    put_line(w, "horizon %" PRIu64, b->horizon);
    put_line(w, "horizon_time %" PRIu64, b->horizon_time_us);
    put_line(w, "taken %" PRIu64, b->taken_us);
    put_lineage(w, &b->lineage);
    for (uint32_t i = 0; i < b->file_count; i++)
        put_line(w, "file %s %" PRIu64 " %016" PRIx64 "%016" PRIx64, b->files[i].path,
                 b->files[i].size, b->files[i].hash.hi, b->files[i].hash.lo);
    put_line(w, "crc %08x", crc32c(0, w->data + from, w->size - from));
}

/* ---- reading ------------------------------------------------------------------------------------
 */

/* Words of a line, one after the other; what does not fit makes it bad. */
struct words {
    const char *at, *end;
    bool bad;
};

static struct slice
word(struct words *w)
{
    const char *from = w->at;

    while (w->at < w->end && *w->at != ' ')
        w->at++;
    struct slice s = slice(from, (size_t)(w->at - from));
    if (w->at < w->end)
        w->at++;
    if (s.size == 0)
        w->bad = true;
    return s;
}

static uint64_t
number(struct words *w, unsigned base)
{
    struct slice s = word(w);
    uint64_t v = 0;

    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = s.data[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                                                : 99;

        if (digit >= base || v > (UINT64_MAX - digit) / base) {
            w->bad = true;
            return 0;
        }
        v = v * base + digit;
    }
    return v;
}

static struct hash128
hash_word(struct words *w)
{
    struct slice s = word(w);
    struct words hi = { (const char *)s.data, (const char *)s.data + 16, false };
    struct words lo = { (const char *)s.data + 16, (const char *)s.data + 32, false };
    struct hash128 h = { 0 };

    if (s.size != 32) {
        w->bad = true;
        return h;
    }
    h.hi = number(&hi, 16);
    h.lo = number(&lo, 16);
    w->bad |= hi.bad || lo.bad;
    return h;
}

static void
take_pos(struct words *w, struct redo_pos *p)
{
    uint64_t inc = number(w, 10);

    w->bad |= inc > UINT32_MAX;
    p->inc = (incarnation_t)inc;
    p->lsn = lsn_make(number(w, 10));
    p->scn = number(w, 10);
    p->time_us = number(w, 10);
    p->chain = hash_word(w);
}

static void
take_lineage(struct words *w, struct lineage *l)
{
    struct slice s = word(w);
    struct writer bytes;
    struct reader r;

    wr_init(&bytes, 0);
    w->bad |= s.size % 2 != 0;
    for (size_t i = 0; i + 1 < s.size && !w->bad; i += 2) {
        struct words byte = { (const char *)s.data + i, (const char *)s.data + i + 2, false };

        wr_u8(&bytes, (uint8_t)number(&byte, 16));
        w->bad |= byte.bad;
    }
    rd_init(&r, bytes.data, bytes.size);
    if (!w->bad && (lineage_decode(&r, l) != 0 || rd_left(&r) != 0))
        w->bad = true;
    wr_fini(&bytes);
}

/* BACKUP-2 */
static bool
is_plain(struct slice path)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_/";
    bool start = true;

    for (size_t i = 0; i < path.size; i++) {
        if (strchr(allowed, path.data[i]) == NULL || path.data[i] == '\0' ||
            (start && (path.data[i] == '.' || path.data[i] == '/')))
            return false;
        start = path.data[i] == '/';
    }
    return path.size > 0 && path.size < BACKUP_PATH_MAX && !start;
}

static struct backup_file *
add_file(struct backup *b)
{
    if (b->file_count == b->file_cap) {
        b->file_cap = b->file_cap != 0 ? 2 * b->file_cap : 64;
        b->files = xrealloc(b->files, b->file_cap * sizeof *b->files);
    }
    return &b->files[b->file_count++];
}

static void
take_file(struct words *w, struct backup *b)
{
    struct slice path = word(w);
    struct backup_file *f;

    if (!is_plain(path) || b->file_count == BACKUP_FILES_MAX) {
        w->bad = true;
        return;
    }
    f = add_file(b);
    snprintf(f->path, sizeof f->path, "%.*s", (int)path.size, (const char *)path.data);
    f->size = number(w, 10);
    f->hash = hash_word(w);
}

static void
take_line(struct words *w, struct backup *b)
{
    struct slice key = word(w);

    if (slice_eq(key, slice_str("database")))
        b->database_id = number(w, 16);
    else if (slice_eq(key, slice_str("incarnation")))
        b->inc = (incarnation_t)number(w, 10);
    else if (slice_eq(key, slice_str("from")))
        take_pos(w, &b->from);
    else if (slice_eq(key, slice_str("end")))
        take_pos(w, &b->end);
    else if (slice_eq(key, slice_str("horizon")))
        b->horizon = number(w, 10);
    else if (slice_eq(key, slice_str("horizon_time")))
        b->horizon_time_us = number(w, 10);
    else if (slice_eq(key, slice_str("taken")))
        b->taken_us = number(w, 10);
    else if (slice_eq(key, slice_str("lineage")))
        take_lineage(w, &b->lineage);
    else if (slice_eq(key, slice_str("file")))
        take_file(w, b);
    else
        w->bad = true;
    w->bad |= w->at != w->end;
}

static int
check_crc(struct slice text, size_t *body)
{
    struct words w;
    uint32_t crc;

    if (text.size < 13 || memcmp(text.data + text.size - 13, "crc ", 4) != 0)
        return DIAG(ERR_CORRUPT, "the backup's description is cut off");
    *body = text.size - 13;
    w = (struct words){ (const char *)text.data + *body + 4,
                        (const char *)text.data + text.size - 1, false };
    crc = (uint32_t)number(&w, 16);
    if (w.bad || text.data[text.size - 1] != '\n' || crc != crc32c(0, text.data, *body))
        return DIAG(ERR_CORRUPT,
                    "the backup's description has been changed: its checksum is wrong");
    return 0;
}

int
backup_decode(struct slice text, struct backup *out)
{
    static const char head[] = "redoubt backup 1\n";
    size_t body, at = sizeof head - 1;
    int rc;

    backup_init(out);
    rc = check_crc(text, &body);
    if (rc != 0)
        return rc;
    if (body < at || memcmp(text.data, head, at) != 0)
        return DIAG(ERR_NOT_SUPPORTED, "this is no backup, or one of another version");
    while (at < body) {
        const char *line = (const char *)text.data + at, *end = memchr(line, '\n', body - at);
        struct words w = { line, end, end == NULL };

        if (!w.bad)
            take_line(&w, out);
        if (w.bad)
            return DIAG(ERR_CORRUPT, "the backup's description cannot be read at byte %zu", at);
        at += (size_t)(end - line) + 1;
    }
    if (out->database_id == 0 || out->lineage.count == 0 || lsn_lt(out->end.lsn, out->from.lsn))
        return DIAG(ERR_CORRUPT, "the backup's description lacks something");
    return 0;
}
