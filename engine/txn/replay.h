/* Redo turned back into versions: recovery, and the lanes of a standby.
 *
 * Recovery calls replay_record for each record in order. A standby's dispatcher splits WRITES into
 * ops for its lanes (replay_op) and gives all other records to replay_end once the lanes have
 * passed what came before.
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

#endif
