/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/redo/record.h"

#include <inttypes.h>

struct redo_record_info {
    const char *name;
    uint8_t version;
};

static const struct redo_record_info record_info[] = {
#define REDO_RECORD_INFO(name, number, version) [number] = { #name, version },
    REDO_RECORD_LIST(REDO_RECORD_INFO)
#undef REDO_RECORD_INFO
};

static bool
record_type_is_known(unsigned type)
{
    return type < sizeof record_info / sizeof *record_info && record_info[type].name != NULL;
}

const char *
redo_record_name(enum redo_record_type type)
{
    return record_type_is_known((unsigned)type) ? record_info[type].name : "?";
}

int
redo_record_next(struct reader *r, struct redo_record *out)
{
    const uint8_t *start = r->at;
    uint32_t size;
    uint8_t type, version;

    if (rd_left(r) == 0 && rd_ok(r))
        return ERR_END;
    size = rd_u32(r);
    type = rd_u8(r);
    version = rd_u8(r);
    if (!rd_ok(r) || size < REDO_RECORD_HEADER || size > REDO_RECORD_MAX)
        goto bad;
    out->body = rd_slice(r, size - REDO_RECORD_HEADER);
    if (!rd_ok(r))
        goto bad;
    if (!record_type_is_known(type) || version != record_info[type].version) {
        rd_fail(r);
        return DIAG(ERR_CORRUPT, "redo record of unknown type %u, version %u", type, version);
    }
    out->type = (enum redo_record_type)type;
    out->version = version;
    return 0;
bad:
    rd_fail(r);
    return DIAG(ERR_CORRUPT, "redo record runs over its end (%u of %zu bytes)",
                start + 4 <= r->end ? load_u32(start) : 0, (size_t)(r->end - start));
}

/* ---- decoding bodies ----------------------------------------------------------------------- */

MUST_CHECK
static int
body_begin(const struct redo_record *rec, enum redo_record_type type, struct reader *r)
{
    rd_init(r, rec->body.data, rec->body.size);
    if (rec->type == type)
        return 0;
    return DIAG(ERR_CORRUPT, "redo record is %s where %s was expected", redo_record_name(rec->type),
                redo_record_name(type));
}

MUST_CHECK
static int
body_end(const struct redo_record *rec, struct reader *r)
{
    if (rd_ok(r) && rd_left(r) == 0)
        return 0;
    return DIAG(ERR_CORRUPT, "redo record %s is not well formed (%zu bytes)",
                redo_record_name(rec->type), rec->body.size);
}

static txid_t
rd_txid(struct reader *r)
{
    txid_t txid = rd_u64(r);

    if (!stamp_is_txid(txid))
        rd_fail(r);
    return txid;
}

static scn_t
rd_scn(struct reader *r)
{
    scn_t scn = rd_u64(r);

    if (scn > SCN_MAX)
        rd_fail(r);
    return scn;
}

static struct slice
rd_name(struct reader *r)
{
    struct slice name = rd_lenslice(r);

    if (name.size > REDO_NAME_MAX)
        rd_fail(r);
    return name;
}

static const uint8_t *
rd_children(struct reader *r, uint32_t *count)
{
    *count = rd_u32(r);
    if (*count > REDO_CHILDREN_MAX)
        rd_fail(r);
    return rd_bytes(r, rd_ok(r) ? (size_t)*count * 8 : 0);
}

int
redo_decode_writes(const struct redo_record *rec, struct redo_writes *out)
{
    struct reader r;
    int rc = body_begin(rec, REDO_WRITES, &r);

    if (rc != 0)
        return rc;
    out->txid = rd_txid(&r);
    out->first_seq = out->next_seq = rd_varint(&r);
    out->ops = r;
    if (rd_ok(&r))
        return 0;
    return DIAG(ERR_CORRUPT, "redo record WRITES is not well formed");
}

int
redo_op_next(struct redo_writes *w, struct redo_op *out)
{
    struct reader *r = &w->ops;
    uint8_t kind;

    if (rd_left(r) == 0 && rd_ok(r))
        return ERR_END;
    kind = rd_u8(r);
    out->tree = rd_varint(r);
    out->key = rd_lenslice(r);
    out->value = kind == REDO_OP_DELETE ? slice(NULL, 0) : rd_lenslice(r);
    if (kind < REDO_OP_PUT || kind > REDO_OP_PUT_PART || out->key.size > REDO_KEY_MAX)
        rd_fail(r);
    if (!rd_ok(r))
        return DIAG(ERR_CORRUPT, "redo record WRITES: operation is not well formed");
    out->kind = (enum redo_op_kind)kind;
    out->seq = w->next_seq;
    if (kind != REDO_OP_PUT_PART)
        w->next_seq++;
    return 0;
}

int
redo_decode_commit(const struct redo_record *rec, struct redo_commit *out)
{
    struct reader r;
    int rc = body_begin(rec, REDO_COMMIT, &r);

    if (rc != 0)
        return rc;
    out->txid = rd_txid(&r);
    out->scn = rd_scn(&r);
    out->time_us = rd_u64(&r);
    out->mode_level = rd_u8(&r);
    out->children = rd_children(&r, &out->child_count);
    return body_end(rec, &r);
}

int
redo_decode_abort(const struct redo_record *rec, struct redo_abort *out)
{
    struct reader r;
    int rc = body_begin(rec, REDO_ABORT, &r);

    if (rc != 0)
        return rc;
    out->txid = rd_txid(&r);
    out->children = rd_children(&r, &out->child_count);
    return body_end(rec, &r);
}

int
redo_decode_tree(const struct redo_record *rec, struct redo_tree *out)
{
    struct reader r;
    int rc = body_begin(rec, rec->type == REDO_TREE_DROP ? REDO_TREE_DROP : REDO_TREE_CREATE, &r);

    if (rc != 0)
        return rc;
    out->txid = rd_txid(&r);
    out->tree = rd_u64(&r);
    return body_end(rec, &r);
}

int
redo_decode_checkpoint(const struct redo_record *rec, struct redo_checkpoint *out)
{
    struct reader r;
    int rc = body_begin(rec, REDO_CHECKPOINT, &r);

    if (rc != 0)
        return rc;
    out->scn = rd_scn(&r);
    out->oldest.v = rd_u64(&r);
    return body_end(rec, &r);
}

int
redo_decode_incarnation(const struct redo_record *rec, struct redo_incarnation *out)
{
    struct reader r;
    int rc = body_begin(rec, REDO_INCARNATION, &r);

    if (rc != 0)
        return rc;
    lineage_entry_decode(&r, &out->entry);
    out->first_scn = rd_scn(&r);
    return body_end(rec, &r);
}

int
redo_decode_restore_point(const struct redo_record *rec, struct redo_restore_point *out)
{
    struct reader r;
    uint8_t what, guaranteed;
    int rc = body_begin(rec, REDO_RESTORE_POINT, &r);

    if (rc != 0)
        return rc;
    what = rd_u8(&r);
    guaranteed = rd_u8(&r);
    out->moment.inc = rd_u32(&r);
    out->moment.scn = rd_scn(&r);
    out->time_us = rd_u64(&r);
    out->name = rd_name(&r);
    if (what < 1 || what > 2 || guaranteed > 1 || out->moment.inc > INCARNATION_MAX)
        rd_fail(&r);
    out->dropped = what == 2;
    out->guaranteed = guaranteed == 1;
    return body_end(rec, &r);
}

int
redo_decode_horizon(const struct redo_record *rec, scn_t *out)
{
    struct reader r;
    int rc = body_begin(rec, REDO_HORIZON, &r);

    if (rc != 0)
        return rc;
    *out = rd_scn(&r);
    return body_end(rec, &r);
}

int
redo_decode_time_mark(const struct redo_record *rec, struct redo_time_mark *out)
{
    struct reader r;
    int rc = body_begin(rec, REDO_TIME_MARK, &r);

    if (rc != 0)
        return rc;
    out->scn = rd_scn(&r);
    out->time_us = rd_u64(&r);
    return body_end(rec, &r);
}

int
redo_decode_ids(const struct redo_record *rec, struct redo_ids *out)
{
    struct reader r;
    int rc = body_begin(rec, REDO_IDS, &r);

    if (rc != 0)
        return rc;
    out->name = rd_name(&r);
    out->next = rd_u64(&r);
    return body_end(rec, &r);
}

/* ---- encoding ------------------------------------------------------------------------------ */

static size_t
record_begin(struct writer *w, enum redo_record_type type)
{
    size_t at = w->size;

    wr_u32(w, 0);
    wr_u8(w, (uint8_t)type);
    wr_u8(w, record_info[type].version);
    return at;
}

static void
record_end(struct writer *w, size_t at)
{
    size_t size = w->size - at;

    if (w->bad)
        return;
    CHECK(size >= REDO_RECORD_HEADER && size <= REDO_RECORD_MAX);
    store_u32(w->data + at, (uint32_t)size);
}

size_t
redo_encode_writes_begin(struct writer *w, txid_t txid, uint64_t first_seq)
{
    size_t at = record_begin(w, REDO_WRITES);

    CHECK(stamp_is_txid(txid));
    wr_u64(w, txid);
    wr_varint(w, first_seq);
    return at;
}

void
redo_encode_op(struct writer *w, enum redo_op_kind kind, tree_id_t tree, struct slice key,
               struct slice value)
{
    wr_u8(w, (uint8_t)kind);
    wr_varint(w, tree);
    wr_lenslice(w, key);
    if (kind != REDO_OP_DELETE)
        wr_lenslice(w, value);
}

void
redo_encode_writes_end(struct writer *w, size_t at)
{
    record_end(w, at);
}

static void
children_encode(struct writer *w, const txid_t *children, uint32_t count)
{
    CHECK(count <= REDO_CHILDREN_MAX);
    wr_u32(w, count);
    for (uint32_t i = 0; i < count; i++)
        wr_u64(w, children[i]);
}

void
redo_encode_commit(struct writer *w, const struct redo_commit *c, const txid_t *children)
{
    size_t at = record_begin(w, REDO_COMMIT);

    wr_u64(w, c->txid);
    wr_u64(w, c->scn);
    wr_u64(w, c->time_us);
    wr_u8(w, c->mode_level);
    children_encode(w, children, c->child_count);
    record_end(w, at);
}

void
redo_encode_abort(struct writer *w, txid_t txid, const txid_t *children, uint32_t count)
{
    size_t at = record_begin(w, REDO_ABORT);

    wr_u64(w, txid);
    children_encode(w, children, count);
    record_end(w, at);
}

void
redo_encode_tree(struct writer *w, enum redo_record_type type, txid_t txid, tree_id_t tree)
{
    size_t at = record_begin(w, type);

    CHECK(type == REDO_TREE_CREATE || type == REDO_TREE_DROP);
    wr_u64(w, txid);
    wr_u64(w, tree);
    record_end(w, at);
}

void
redo_encode_checkpoint(struct writer *w, const struct redo_checkpoint *c)
{
    size_t at = record_begin(w, REDO_CHECKPOINT);

    wr_u64(w, c->scn);
    wr_u64(w, c->oldest.v);
    record_end(w, at);
}

void
redo_encode_incarnation(struct writer *w, const struct redo_incarnation *i)
{
    size_t at = record_begin(w, REDO_INCARNATION);

    lineage_entry_encode(w, &i->entry);
    wr_u64(w, i->first_scn);
    record_end(w, at);
}

void
redo_encode_restore_point(struct writer *w, const struct redo_restore_point *p)
{
    size_t at = record_begin(w, REDO_RESTORE_POINT);

    CHECK(p->name.size <= REDO_NAME_MAX);
    wr_u8(w, p->dropped ? 2 : 1);
    wr_u8(w, p->guaranteed ? 1 : 0);
    wr_u32(w, p->moment.inc);
    wr_u64(w, p->moment.scn);
    wr_u64(w, p->time_us);
    wr_lenslice(w, p->name);
    record_end(w, at);
}

void
redo_encode_horizon(struct writer *w, scn_t scn)
{
    size_t at = record_begin(w, REDO_HORIZON);

    wr_u64(w, scn);
    record_end(w, at);
}

void
redo_encode_time_mark(struct writer *w, const struct redo_time_mark *m)
{
    size_t at = record_begin(w, REDO_TIME_MARK);

    wr_u64(w, m->scn);
    wr_u64(w, m->time_us);
    record_end(w, at);
}

void
redo_encode_ids(struct writer *w, const struct redo_ids *i)
{
    size_t at = record_begin(w, REDO_IDS);

    CHECK(i->name.size <= REDO_NAME_MAX);
    wr_lenslice(w, i->name);
    wr_u64(w, i->next);
    record_end(w, at);
}
