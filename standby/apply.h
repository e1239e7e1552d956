/* The applier of a node: turns the own redo into versions while the node does not write. It reads
 * with a redo cursor, so that restart, cascades and the archive are all the same.
 *
 * A dispatcher thread takes a frame at a time, spreads its writes over lanes by the hash of tree
 * and key, and, when the lanes have passed them, applies the ends of transactions and all other
 * records in order. Then the frame counts as applied, and becomes visible once it is durable here
 * and published by the reign that is followed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef STANDBY_APPLY_H
#define STANDBY_APPLY_H

#include "engine/txn/follow.h"

struct apply;

struct apply_options {
    int lanes;         /* threads beside the dispatcher; 0: the dispatcher writes itself */
    uint64_t delay_us; /* commits are applied so much later than they happened; 0: at once */
    /* On the dispatcher's thread, after each frame applied; short. May be NULL. */
    void (*on_applied)(void *arg, struct lsn applied, scn_t scn);
    void *arg;
};

/* Starts at the engine's applied position, on the way to `target` (which the lineage knows). The
 * engine must not be open for writing as long as it runs. */
struct apply *apply_start(struct engine *e, incarnation_t target, const struct apply_options *o);
/* Ends after the frame under way; what has not been applied stays in the log. Blocks; NULL allowed.
 */
void apply_stop(struct apply *a);
/* Waits until everything below `lsn` has been applied (a delay does not count any more then):
 * 0, or why it cannot be. Blocks the thread. */
MUST_CHECK
int apply_drain(struct apply *a, struct lsn lsn);

struct apply_figures {
    struct lsn applied;
    scn_t scn;
    uint64_t commit_time_us; /* of that SCN, by the primary's clock */
    uint64_t frames, records, ops, commits;
    uint64_t waits; /* naps for want of memory or disk */
    int error;      /* why it stands still; 0: it does not */
};
void apply_get_figures(struct apply *a, struct apply_figures *out);

#endif
