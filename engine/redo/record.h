/* Redo records: what happened, in order. Length-prefixed, versioned, little-endian.
 *
 *   u32 size (of the whole record, this field included) | u8 type | u8 version | body
 *
 * Records lie back to back; a position in the stream is an LSN, and only record boundaries are
 * positions. Bodies:
 *
 *   WRITES        u64 txid | varint first seq | ops to the end of the record, each:
 *                   u8 kind | varint tree | varint key size, key | PUT*: varint value size, value
 *   COMMIT        u64 txid | u64 scn | u64 commit time us | u8 mode and level | u32 n | n x u64
 * child ABORT         u64 txid | u32 n | n x u64 child txid TREE_CREATE   u64 txid | u64 tree
 *   TREE_DROP     u64 txid | u64 tree
 *   CHECKPOINT    u64 scn | u64 oldest LSN that recovery would need
 *   INCARNATION   lineage entry (lineage.h) | u64 first SCN
 *   RESTORE_POINT u8 what (1 made, 2 dropped) | u8 guaranteed | u32 inc | u64 scn | u64 time us |
 *                   varint name size, name
 *   HORIZON       u64 scn
 *   TIME_MARK     u64 scn | u64 time us
 *   IDS           varint name size, name | u64 first number not given out yet
 *
 * COMMIT's size is known before its SCN is: redo_append fills SCN and time in.
 *
 * Types and op kinds are never reused. A decoder refuses a version that it does not know. All
 * decoders are total: any bytes give a value or ERR_CORRUPT.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_REDO_RECORD_H
#define ENGINE_REDO_RECORD_H

#include "engine/base/bytes.h"
#include "engine/base/id.h"
#include "engine/redo/lineage.h"

/* X(name, number, version written) */
#define REDO_RECORD_LIST(X)                                                                        \
    X(WRITES, 1, 1)                                                                                \
    X(COMMIT, 2, 1)                                                                                \
    X(ABORT, 3, 1)                                                                                 \
    X(TREE_CREATE, 4, 1)                                                                           \
    X(TREE_DROP, 5, 1)                                                                             \
    X(CHECKPOINT, 6, 1)                                                                            \
    X(INCARNATION, 7, 1)                                                                           \
    X(RESTORE_POINT, 8, 1)                                                                         \
    X(HORIZON, 9, 1)                                                                               \
    X(TIME_MARK, 10, 1)                                                                            \
    X(IDS, 11, 1)

enum redo_record_type {
#define REDO_RECORD_ENUM(name, number, version) REDO_##name = number,
    REDO_RECORD_LIST(REDO_RECORD_ENUM)
#undef REDO_RECORD_ENUM
};

enum redo_op_kind {
    REDO_OP_PUT = 1,
    REDO_OP_DELETE = 2,
    /* The value goes on in the same transaction's next op (same tree, key, seq), which is another
     * PUT_PART or the PUT with the rest. Only the PUT counts in seq. */
    REDO_OP_PUT_PART = 3,
};

enum {
    REDO_RECORD_HEADER = 6,
    REDO_RECORD_MAX = 1 << 20, /* header included; larger values travel as PUT_PARTs */
    REDO_COMMIT_OFF_SCN = REDO_RECORD_HEADER + 8,
    REDO_COMMIT_OFF_TIME = REDO_RECORD_HEADER + 16,
    REDO_COMMIT_SIZE = REDO_RECORD_HEADER + 29, /* without children */
    REDO_CHILDREN_MAX = 100000,
    REDO_NAME_MAX = 128,
    REDO_KEY_MAX = 4096,
};

struct redo_op {
    enum redo_op_kind kind;
    tree_id_t tree;
    uint64_t seq;
    struct slice key, value;
};

/* One record as found in the stream, checked to be whole and of a known type and version; the body
 * is decoded by the calls below. */
struct redo_record {
    enum redo_record_type type;
    uint8_t version;
    incarnation_t inc; /* of the frame it came in; cursors fill these three in */
    struct lsn lsn, end_lsn;
    struct slice body;
};
/* Takes one record off the reader: 0, ERR_END when nothing is left, ERR_CORRUPT. */
MUST_CHECK
int redo_record_next(struct reader *r, struct redo_record *out);

/* ---- bodies --------------------------------------------------------------------------------- */

struct redo_writes {
    txid_t txid;
    uint64_t first_seq;
    struct reader ops; /* for redo_op_next */
    uint64_t next_seq;
};
struct redo_commit {
    txid_t txid;
    scn_t scn;
    uint64_t time_us;
    uint8_t mode_level; /* protection mode and level under which it was written; opaque here */
    uint32_t child_count;
    const uint8_t *children; /* child_count x u64, unaligned: redo_child() */
};
struct redo_abort {
    txid_t txid;
    uint32_t child_count;
    const uint8_t *children;
};
struct redo_tree {
    txid_t txid;
    tree_id_t tree;
};
struct redo_checkpoint {
    scn_t scn;
    struct lsn oldest;
};
struct redo_incarnation {
    struct lineage_entry entry;
    scn_t first_scn;
};
struct redo_restore_point {
    bool dropped, guaranteed;
    struct moment moment;
    uint64_t time_us;
    struct slice name;
};
struct redo_time_mark {
    scn_t scn;
    uint64_t time_us;
};
struct redo_ids {
    struct slice name;
    uint64_t next;
};

static inline txid_t
redo_child(const uint8_t *children, uint32_t i)
{
    return load_u64(children + (size_t)i * 8);
}

/* Each checks the type, the ranges, and that nothing is left over. What they give borrows from the
 * record's bytes. */
MUST_CHECK
int redo_decode_writes(const struct redo_record *rec, struct redo_writes *out);
/* 0, ERR_END, ERR_CORRUPT. */
MUST_CHECK
int redo_op_next(struct redo_writes *w, struct redo_op *out);
MUST_CHECK
int redo_decode_commit(const struct redo_record *rec, struct redo_commit *out);
MUST_CHECK
int redo_decode_abort(const struct redo_record *rec, struct redo_abort *out);
MUST_CHECK
int redo_decode_tree(const struct redo_record *rec, struct redo_tree *out); /* create and drop */
MUST_CHECK
int redo_decode_checkpoint(const struct redo_record *rec, struct redo_checkpoint *out);
MUST_CHECK
int redo_decode_incarnation(const struct redo_record *rec, struct redo_incarnation *out);
MUST_CHECK
int redo_decode_restore_point(const struct redo_record *rec, struct redo_restore_point *out);
MUST_CHECK
int redo_decode_horizon(const struct redo_record *rec, scn_t *out);
MUST_CHECK
int redo_decode_time_mark(const struct redo_record *rec, struct redo_time_mark *out);
MUST_CHECK
int redo_decode_ids(const struct redo_record *rec, struct redo_ids *out);

/* Each appends one whole record to the writer (wr_finish tells of trouble). COMMIT is written with
 * the SCN and time given, which redo_append overwrites. Child txids: an array of txid_t. */
size_t redo_encode_writes_begin(struct writer *w, txid_t txid, uint64_t first_seq); /* its offset */
void redo_encode_op(struct writer *w, enum redo_op_kind kind, tree_id_t tree, struct slice key,
                    struct slice value);
void redo_encode_writes_end(struct writer *w, size_t at); /* sets the size */
void redo_encode_commit(struct writer *w, const struct redo_commit *c, const txid_t *children);
void redo_encode_abort(struct writer *w, txid_t txid, const txid_t *children, uint32_t count);
void redo_encode_tree(struct writer *w, enum redo_record_type type, txid_t txid, tree_id_t tree);
void redo_encode_checkpoint(struct writer *w, const struct redo_checkpoint *c);
void redo_encode_incarnation(struct writer *w, const struct redo_incarnation *i);
void redo_encode_restore_point(struct writer *w, const struct redo_restore_point *p);
void redo_encode_horizon(struct writer *w, scn_t scn);
void redo_encode_time_mark(struct writer *w, const struct redo_time_mark *m);
void redo_encode_ids(struct writer *w, const struct redo_ids *i);

/* One record in words (a line per op for WRITES), NUL-terminated, for `redoubt dump`. Never fails:
 * what cannot be decoded is said to be so. */
void redo_record_print(const struct redo_record *rec, struct writer *out);
const char *redo_record_name(enum redo_record_type type); /* "?" when unknown */

#endif
