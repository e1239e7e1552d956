/* Redo turned back into versions: recovery, and the lanes of a standby.
 *
 * Both read records in order. WRITES are split into ops (replay_op; a standby's lanes take them by
 * key), all other records go to replay_other once the ops before them have been taken. Values that
 * travel in parts are put together per transaction, since others' records may lie in between.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TXN_REPLAY_H
#define ENGINE_TXN_REPLAY_H

#include "engine/engine.h"
#include "engine/redo/record.h"

/* One write. `filter`: REDO-3, only what the tree has not flushed (recovery); without it the op is
 * taken as it is (a live stream). Values in parts must have been put together. ERR_NOMEM when the
 * memtables are full: wait and try again. */
MUST_CHECK
int replay_op(struct engine *e, incarnation_t inc, struct lsn lsn, txid_t txid,
              const struct redo_op *op, bool filter);
/* Any record but WRITES: ends of transactions, trees, restore points, horizon, ids. Blocks for the
 * last three (they go to the manifest). INCARNATION records are the caller's. */
MUST_CHECK
int replay_other(struct engine *e, const struct redo_record *rec, bool filter);

/* ---- values in parts ------------------------------------------------------------------------- */

/* A value of which the last op has not come yet. */
struct replay_part {
    struct replay_part *next;
    txid_t txid;
    struct lsn lsn; /* of its first part */
    struct writer value;
};
struct replay_parts {
    struct replay_part *first;
};
void replay_parts_clear(struct replay_parts *p);
/* A PUT_PART's bytes. */
MUST_CHECK
int replay_parts_add(struct replay_parts *p, txid_t txid, struct lsn lsn, const struct redo_op *op);
/* The op that ends a value: NULL when it is whole already, else *out is the value put together and
 * op->value its bytes; the caller frees it with replay_part_free. */
MUST_CHECK
int replay_parts_take(struct replay_parts *p, txid_t txid, struct redo_op *op,
                      struct replay_part **out);
void replay_part_free(struct replay_part *part);             /* NULL allowed */
void replay_parts_drop(struct replay_parts *p, txid_t txid); /* it has ended */
/* Where reading has to begin again for every value to be whole; LSN_MAX: anywhere. */
struct lsn replay_parts_oldest(const struct replay_parts *p);

#endif
