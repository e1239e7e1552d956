/* What became of each txid: open, committed at an SCN, aborted.
 *
 * A radix tree by counter, one for each incarnation, of 8-byte atomic entries: a lookup takes no
 * lock. Rollback is a flip of one entry; a reader that passes a version of a committed txid stamps
 * it with the SCN. Statuses that a segment still names are durable in the manifest (STATUS-1);
 * leaves whose txids nothing names any more are freed (STATUS-2).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TXN_STATUS_H
#define ENGINE_TXN_STATUS_H

#include <stdbool.h>

#include "engine/base/env.h"
#include "engine/base/id.h"

struct status_table;

enum txid_state {
    TXID_OPEN = 0, /* or nothing is known of it, which means the same (TXN-2) */
    TXID_COMMITTED,
    TXID_ABORTED,
};

struct status_table *status_new(struct env *env);
void status_free(struct status_table *s);

/* Any thread. *scn is set when committed. */
enum txid_state status_get(struct status_table *s, txid_t txid, scn_t *scn);
/* Flips the status once. Returns true when somebody had marked the txid as waited for: the caller
 * then wakes them. Setting the same status again (replay) is allowed; another one is a bug. */
bool status_set_committed(struct status_table *s, txid_t txid, scn_t scn);
bool status_set_aborted(struct status_table *s, txid_t txid);
/* Marks an open txid as waited for: false when it is open no more. */
bool status_mark_waited(struct status_table *s, txid_t txid);
/* STATUS-2: frees the statuses of an incarnation's txids below `counter`. Nothing names them: no
 * run, merge in flight or view. */
void status_free_below(struct status_table *s, incarnation_t inc, uint64_t counter);

#endif
