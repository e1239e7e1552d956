/* Records and frames in words, for `redoubt dump`.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine/redo/frame.h"
#include "engine/redo/record.h"

enum { PRINT_BYTES_MAX = 48 };

static void PRINTF_LIKE(2, 3) put(struct writer *w, const char *fmt, ...)
{
    char line[256];
    va_list args;
    int size;

    va_start(args, fmt);
    size = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (size > 0)
        wr_bytes(w, line, (size_t)size < sizeof line ? (size_t)size : sizeof line - 1);
}

static void
put_bytes(struct writer *w, struct slice s)
{
    size_t shown = s.size < PRINT_BYTES_MAX ? s.size : PRINT_BYTES_MAX;

    put(w, "'");
    for (size_t i = 0; i < shown; i++) {
        if (s.data[i] >= 0x20 && s.data[i] < 0x7f && s.data[i] != '\'' && s.data[i] != '\\')
            put(w, "%c", s.data[i]);
        else
            put(w, "\\x%02x", s.data[i]);
    }
    put(w, s.size > shown ? "'... (%zu bytes)" : "'", s.size);
}

static void
put_txid(struct writer *w, txid_t txid)
{
    put(w, "tx %u.%" PRIu64, txid_incarnation(txid), txid_counter(txid));
}

static void
put_children(struct writer *w, const uint8_t *children, uint32_t count)
{
    if (count == 0)
        return;
    put(w, " with %u child transactions:", count);
    for (uint32_t i = 0; i < count && i < 8; i++) {
        put(w, " ");
        put_txid(w, redo_child(children, i));
    }
    if (count > 8)
        put(w, " ...");
}

static int
print_writes(const struct redo_record *rec, struct writer *w)
{
    static const char *const verbs[] = {
        [REDO_OP_PUT] = "put", [REDO_OP_DELETE] = "delete", [REDO_OP_PUT_PART] = "put part"
    };
    struct redo_writes writes;
    struct redo_op op;
    int rc = redo_decode_writes(rec, &writes);

    if (rc != 0)
        return rc;
    put(w, " ");
    put_txid(w, writes.txid);
    while ((rc = redo_op_next(&writes, &op)) == 0) {
        put(w, "\n    seq %" PRIu64 " %s tree %" PRIu64 " key ", op.seq, verbs[op.kind], op.tree);
        put_bytes(w, op.key);
        if (op.kind != REDO_OP_DELETE) {
            put(w, " value ");
            put_bytes(w, op.value);
        }
    }
    return rc == ERR_END ? 0 : rc;
}

static int
print_end(const struct redo_record *rec, struct writer *w)
{
    struct redo_commit commit;
    struct redo_abort abort_record;
    int rc;

    if (rec->type == REDO_ABORT) {
        rc = redo_decode_abort(rec, &abort_record);
        if (rc != 0)
            return rc;
        put(w, " ");
        put_txid(w, abort_record.txid);
        put_children(w, abort_record.children, abort_record.child_count);
        return 0;
    }
    rc = redo_decode_commit(rec, &commit);
    if (rc != 0)
        return rc;
    put(w, " ");
    put_txid(w, commit.txid);
    put(w, " scn %" PRIu64 " time %" PRIu64 " us mode %u", commit.scn, commit.time_us,
        commit.mode_level);
    put_children(w, commit.children, commit.child_count);
    return 0;
}

static int
print_tree(const struct redo_record *rec, struct writer *w)
{
    struct redo_tree tree;
    int rc = redo_decode_tree(rec, &tree);

    if (rc != 0)
        return rc;
    put(w, " ");
    put_txid(w, tree.txid);
    put(w, " tree %" PRIu64, tree.tree);
    return 0;
}

static int
print_incarnation(const struct redo_record *rec, struct writer *w)
{
    struct redo_incarnation i;
    int rc = redo_decode_incarnation(rec, &i);

    if (rc != 0)
        return rc;
    put(w,
        " %u reign %016" PRIx64 " parent %u up to scn %" PRIu64 ", redo goes on from %u at %" PRIx64
        ", first scn %" PRIu64,
        i.entry.inc, i.entry.reign_id, i.entry.parent, i.entry.fork_scn, i.entry.prev,
        i.entry.start_lsn.v, i.first_scn);
    return 0;
}

static int
print_restore_point(const struct redo_record *rec, struct writer *w)
{
    struct redo_restore_point p;
    int rc = redo_decode_restore_point(rec, &p);

    if (rc != 0)
        return rc;
    put(w, " %s ", p.dropped ? "dropped" : p.guaranteed ? "made (guaranteed)" : "made");
    put_bytes(w, p.name);
    put(w, " at (%u, %" PRIu64 ") time %" PRIu64 " us", p.moment.inc, p.moment.scn, p.time_us);
    return 0;
}

static int
print_marks(const struct redo_record *rec, struct writer *w)
{
    struct redo_checkpoint checkpoint;
    struct redo_time_mark mark;
    struct redo_ids ids;
    scn_t scn;
    int rc;

    switch (rec->type) {
    case REDO_CHECKPOINT:
        rc = redo_decode_checkpoint(rec, &checkpoint);
        if (rc == 0)
            put(w, " scn %" PRIu64 " oldest %" PRIx64, checkpoint.scn, checkpoint.oldest.v);
        return rc;
    case REDO_HORIZON:
        rc = redo_decode_horizon(rec, &scn);
        if (rc == 0)
            put(w, " scn %" PRIu64, scn);
        return rc;
    case REDO_TIME_MARK:
        rc = redo_decode_time_mark(rec, &mark);
        if (rc == 0)
            put(w, " scn %" PRIu64 " time %" PRIu64 " us", mark.scn, mark.time_us);
        return rc;
    case REDO_IDS:
        rc = redo_decode_ids(rec, &ids);
        if (rc != 0)
            return rc;
        put(w, " ");
        put_bytes(w, ids.name);
        put(w, " next %" PRIu64, ids.next);
        return 0;
    default:
        return DIAG(ERR_CORRUPT, "unknown record type %d", (int)rec->type);
    }
}

void
redo_record_print(const struct redo_record *rec, struct writer *out)
{
    int rc;

    put(out, "%u:%" PRIx64 " %s", rec->inc, rec->lsn.v, redo_record_name(rec->type));
    switch (rec->type) {
    case REDO_WRITES:
        rc = print_writes(rec, out);
        break;
    case REDO_COMMIT:
    case REDO_ABORT:
        rc = print_end(rec, out);
        break;
    case REDO_TREE_CREATE:
    case REDO_TREE_DROP:
        rc = print_tree(rec, out);
        break;
    case REDO_INCARNATION:
        rc = print_incarnation(rec, out);
        break;
    case REDO_RESTORE_POINT:
        rc = print_restore_point(rec, out);
        break;
    default:
        rc = print_marks(rec, out);
        break;
    }
    if (rc != 0)
        put(out, " (%s)", diag_last()->message);
    wr_u8(out, 0);
}

void
redo_frame_print(const struct redo_frame_head *h, struct writer *out)
{
    put(out,
        "frame %u:%" PRIx64 "..%" PRIx64 " %u records, %u bytes, stored %u%s, last scn %" PRIu64
        ", chain %016" PRIx64 "%016" PRIx64,
        h->inc, h->lsn.v, redo_frame_end(h).v, h->record_count, h->size, h->stored_size,
        (h->flags & REDO_FRAME_LZ4) != 0 ? " (lz4)" : "", h->last_scn, h->chain.hi, h->chain.lo);
    wr_u8(out, 0);
}
