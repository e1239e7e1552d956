/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/redo/strand.h"

/* Keeps (flush mark + one op) within a part, whatever the ring and the files allow. */
static size_t
strand_flush_at(const struct redo_strand *s)
{
    size_t quarter = redo_part_max(s->redo) / 4;

    return quarter < REDO_STRAND_FLUSH ? quarter : REDO_STRAND_FLUSH;
}

size_t
redo_strand_value_max(const struct redo_strand *s)
{
    return redo_part_max(s->redo) / 2 - REDO_KEY_MAX - 64;
}

void
redo_strand_init(struct redo_strand *s, struct redo *r)
{
    *s = (struct redo_strand){ .redo = r };
    wr_init(&s->buffer, REDO_PART_MAX);
    wr_init(&s->spare, REDO_PART_MAX);
    fiber_queue_init(&s->waiters);
}

void
redo_strand_fini(struct redo_strand *s)
{
    CHECK(!s->flushing);
    wr_fini(&s->buffer);
    wr_fini(&s->spare);
}

/* Somebody else may be appending this strand: what follows has to come behind it. */
static void
strand_wait(struct redo_strand *s)
{
    while (s->flushing)
        fiber_queue_wait(&s->waiters);
}

void
redo_strand_begin(struct redo_strand *s, incarnation_t inc)
{
    strand_wait(s);
    wr_reset(&s->buffer);
    s->inc = inc;
    s->writes_open = false;
    s->appended = false;
    s->failed = 0;
}

static void
writes_close(struct redo_strand *s)
{
    if (s->writes_open)
        redo_encode_writes_end(&s->buffer, s->writes_at);
    s->writes_open = false;
}

static void
writes_add(struct redo_strand *s, enum redo_op_kind kind, txid_t txid, uint64_t seq, tree_id_t tree,
           struct slice key, struct slice value)
{
    if (s->writes_open && (s->writes_txid != txid || s->writes_next_seq != seq))
        writes_close(s);
    if (!s->writes_open) {
        s->writes_at = redo_encode_writes_begin(&s->buffer, txid, seq);
        s->writes_open = true;
        s->writes_txid = txid;
    }
    redo_encode_op(&s->buffer, kind, tree, key, value);
    s->writes_next_seq = kind == REDO_OP_PUT_PART ? seq : seq + 1;
}

/* The records change places with the spare buffer first, so that they are out of the strand while
 * this is parked. */
MUST_CHECK
static int
strand_append(struct redo_strand *s, struct redo_part *part)
{
    struct writer taken;
    int rc;

    writes_close(s);
    rc = wr_finish(&s->buffer);
    if (rc != 0) {
        s->failed = rc;
        return rc;
    }
    taken = s->buffer;
    s->buffer = s->spare;
    wr_reset(&s->buffer);
    s->flushing = true;
    part->data = taken.data;
    part->size = taken.size;
    part->inc = s->inc;
    rc = redo_append(s->redo, part);
    if (rc != 0)
        s->failed = rc;
    wr_reset(&taken);
    s->spare = taken;
    s->flushing = false;
    if (rc == 0 && !s->appended) {
        s->appended = true;
        s->first_lsn = part->lsn;
    }
    fiber_queue_wake_all(&s->waiters);
    return rc;
}

int
redo_strand_flush(struct redo_strand *s)
{
    struct redo_part part = { .commit_at = REDO_NO_COMMIT };

    strand_wait(s);
    return redo_strand_is_empty(s) ? 0 : strand_append(s, &part);
}

MUST_CHECK
static int
strand_flush_if_full(struct redo_strand *s)
{
    return s->buffer.size >= strand_flush_at(s) ? redo_strand_flush(s) : 0;
}

int
redo_strand_put_parts(struct redo_strand *s, txid_t txid, uint64_t seq, tree_id_t tree,
                      struct slice key, struct slice *value)
{
    size_t piece = redo_strand_value_max(s);
    int rc = 0;

    while (rc == 0 && value->size > piece) {
        writes_add(s, REDO_OP_PUT_PART, txid, seq, tree, key, slice(value->data, piece));
        *value = slice(value->data + piece, value->size - piece);
        rc = strand_flush_if_full(s);
    }
    return rc;
}

int
redo_strand_put(struct redo_strand *s, txid_t txid, uint64_t seq, tree_id_t tree, struct slice key,
                struct slice value)
{
    int rc = redo_strand_put_parts(s, txid, seq, tree, key, &value);

    CHECK(key.size <= REDO_KEY_MAX);
    if (rc != 0)
        return rc;
    writes_add(s, REDO_OP_PUT, txid, seq, tree, key, value);
    return strand_flush_if_full(s);
}

int
redo_strand_delete(struct redo_strand *s, txid_t txid, uint64_t seq, tree_id_t tree,
                   struct slice key)
{
    CHECK(key.size <= REDO_KEY_MAX);
    writes_add(s, REDO_OP_DELETE, txid, seq, tree, key, slice(NULL, 0));
    return strand_flush_if_full(s);
}

int
redo_strand_tree(struct redo_strand *s, enum redo_record_type type, txid_t txid, tree_id_t tree)
{
    writes_close(s);
    redo_encode_tree(&s->buffer, type, txid, tree);
    return strand_flush_if_full(s);
}

/* Makes sure that a record with that many children still fits. */
MUST_CHECK
static int
strand_make_room(struct redo_strand *s, uint32_t child_count)
{
    size_t size = REDO_COMMIT_SIZE + (size_t)child_count * 8;

    if (child_count > REDO_CHILDREN_MAX || size > redo_part_max(s->redo))
        return DIAG(ERR_LIMIT, "a transaction with %u savepoints that wrote", child_count);
    strand_wait(s);
    if (s->buffer.size + size > redo_part_max(s->redo))
        return redo_strand_flush(s);
    return 0;
}

int
redo_strand_commit(struct redo_strand *s, struct redo_strand_commit *c)
{
    struct redo_commit commit = { .txid = c->txid,
                                  .mode_level = c->mode_level,
                                  .child_count = c->child_count };
    struct redo_part part = { .flags = c->flags, .on_reserved = c->on_reserved, .arg = c->arg };
    int rc = strand_make_room(s, c->child_count);

    if (rc == 0 && s->failed != 0)
        rc = DIAG(s->failed, "redo of this transaction could not be written: it is rolled back");
    if (rc != 0)
        return rc;
    writes_close(s);
    part.commit_at = (int64_t)s->buffer.size;
    redo_encode_commit(&s->buffer, &commit, c->children);
    rc = strand_append(s, &part);
    if (rc != 0)
        return rc;
    c->end_lsn = part.end_lsn;
    c->scn = part.scn;
    c->time_us = part.time_us;
    return 0;
}

int
redo_strand_abort(struct redo_strand *s, txid_t txid, const txid_t *children, uint32_t count,
                  bool now)
{
    struct redo_part part = { .commit_at = REDO_NO_COMMIT, .flags = REDO_PART_FORCE };
    int rc = strand_make_room(s, count);

    if (rc != 0)
        return rc;
    writes_close(s);
    redo_encode_abort(&s->buffer, txid, children, count);
    return now ? strand_append(s, &part) : strand_flush_if_full(s);
}
