/* A redo file in words.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/base/mem.h"
#include "engine/redo/redo_int.h"

struct dump {
    struct redo_source source;
    uint8_t *scratch;
    struct writer line;
    bool records, damaged;
    void (*out)(void *arg, const char *line);
    void *arg;
};

static void
dump_line(struct dump *d)
{
    /* Room ran out for a record with very many operations: what there is must end. */
    if (d->line.bad || d->line.size == 0 || d->line.data[d->line.size - 1] != 0)
        d->out(d->arg, "(too long to print)");
    else
        d->out(d->arg, (const char *)d->line.data);
    wr_reset(&d->line);
}

static void
dump_records(struct dump *d, const struct redo_unit *u)
{
    struct redo_record rec;
    struct slice records;
    struct reader r;
    uint64_t lsn = u->head.lsn.v;
    int rc = redo_frame_records(&u->head, u->bytes, d->scratch, &records);

    if (rc == 0) {
        rd_init(&r, records.data, records.size);
        while ((rc = redo_record_next(&r, &rec)) == 0) {
            rec.inc = u->head.inc;
            rec.lsn.v = lsn;
            lsn = u->head.lsn.v + (uint64_t)(r.at - records.data);
            redo_record_print(&rec, &d->line);
            dump_line(d);
        }
    }
    if (rc != ERR_END) {
        d->damaged = true;
        d->out(d->arg, diag_last()->message);
    }
}

/* The next place with a local header of this file. */
static bool
dump_resync(struct dump *d, uint64_t *offset, struct lsn *lsn)
{
    for (uint64_t at = *offset + ENV_ALIGN;; at += ENV_ALIGN) {
        struct redo_local local;
        const uint8_t *bytes;

        if (redo_source_fetch(&d->source, at, ENV_ALIGN, false, &bytes) != 0)
            return false;
        if (redo_local_decode(bytes, d->source.head.sequence, at, &local)) {
            *offset = at;
            *lsn = local.lsn;
            return true;
        }
    }
}

static void
dump_head(struct dump *d)
{
    const struct redo_file_head *h = &d->source.head;
    char text[256];

    snprintf(text, sizeof text,
             "redo file of incarnation %u from LSN %llx, sequence %llu (before it %llu), database "
             "%016llx, last scn before it %llu",
             h->start.inc, (unsigned long long)h->start.lsn.v, (unsigned long long)h->sequence,
             (unsigned long long)h->prev_sequence, (unsigned long long)h->database_id,
             (unsigned long long)h->start.scn);
    d->out(d->arg, text);
}

static void
dump_units(struct dump *d)
{
    struct lsn lsn = d->source.head.start.lsn;
    uint64_t offset = REDO_FILE_HEADER;
    char text[128];

    for (;;) {
        struct redo_unit unit;
        int rc = redo_source_unit(&d->source, offset, lsn, &unit);

        if (rc == 0) {
            snprintf(text, sizeof text, "offset %llu, durable then %llx",
                     (unsigned long long)offset, (unsigned long long)unit.local.durable.v);
            d->out(d->arg, text);
            redo_frame_print(&unit.head, &d->line);
            dump_line(d);
            if (d->records)
                dump_records(d, &unit);
            offset = unit.next_offset;
            lsn = redo_frame_end(&unit.head);
            continue;
        }
        if (rc == ERR_END && redo_unit_is_mark(&unit, lsn)) {
            snprintf(text, sizeof text, "offset %llu: the redo of this file ends here, at LSN %llx",
                     (unsigned long long)offset, (unsigned long long)lsn.v);
            d->out(d->arg, text);
            return;
        }
        d->out(d->arg, rc == ERR_END ? "no frame follows" : diag_last()->message);
        d->damaged |= rc != ERR_END;
        if (!dump_resync(d, &offset, &lsn))
            return;
        d->damaged = true;
        snprintf(text, sizeof text, "offset %llu: another write, of LSN %llx",
                 (unsigned long long)offset, (unsigned long long)lsn.v);
        d->out(d->arg, text);
    }
}

int
redo_dump_file(struct env *env, const char *path, bool records,
               void (*out)(void *arg, const char *line), void *arg)
{
    struct dump d = { .records = records, .out = out, .arg = arg };
    int rc;

    redo_source_init(&d.source, env);
    wr_init(&d.line, 64 << 20);
    d.scratch = xmalloc(REDO_FRAME_RECORDS_MAX);
    rc = redo_source_open(&d.source, path);
    if (rc == 0) {
        dump_head(&d);
        dump_units(&d);
    }
    redo_source_fini(&d.source);
    wr_fini(&d.line);
    xfree(d.scratch);
    if (rc == 0 && d.damaged)
        rc = DIAG(ERR_CORRUPT, "%s is damaged", path);
    return rc;
}
