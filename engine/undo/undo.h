/* Reads at any held moment, and what decides how far back moments are held.
 *
 * A read at SCN s on branch b takes the version with the greatest (SCN, seq) at or below s over
 * memtables, main runs and undo runs, each run seen up to where its branch and b are the same
 * history; an undo interval only excludes (READ-1, READ-2, UNDO-3). A read of the present on the
 * branch followed ends at the first visible version in age order and asks no undo run, except
 * revived ones (UNDO-2).
 *
 * Threads: a view may be read by any number of tasks; a cursor belongs to one. What may park does
 * so for a block that is not in the cache, never with a latch held.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_UNDO_UNDO_H
#define ENGINE_UNDO_UNDO_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/bytes.h"
#include "engine/base/id.h"
#include "engine/lsm/lsm.h"

/* ---- reading -------------------------------------------------------------------------------- */

/* How to read. The branch must be one for which lsm_home answers itself. */
struct undo_read {
    struct lsm_view *view; /* held by the caller for as long as results live */
    incarnation_t branch;
    scn_t scn; /* SCN_MAX: the newest commit */
    /* Whether a version by this txid is the reader's own and live, and old enough for the statement
     * to see (seq counts the writes of its transaction). NULL: none is. Own versions come before
     * all others, the one with the greatest seq first. Must not park. */
    bool (*own)(void *arg, txid_t txid, uint64_t seq);
    void *own_arg;
    struct arena *arena; /* values out of segments are copied here */
};

struct undo_row {
    struct slice value; /* lives as long as the view and the arena */
    stamp_t stamp;      /* SCN of its commit, or the own txid */
    uint64_t seq;
};

/* The value of key at the moment. 0; ERR_NOT_FOUND (no error recorded) when there is none or it is
 * deleted; worse. May park. */
MUST_CHECK
int undo_get(const struct undo_read *r, struct slice key, struct undo_row *row);

/* A scan of [lo, hi) in key order, or backwards. hi.data NULL: to the end. */
struct undo_cursor;
enum { UNDO_BACKWARD = 1, UNDO_KEYS_ONLY = 2 };
/* Copies *r, lo and hi. May park. */
MUST_CHECK
int undo_cursor_open(const struct undo_read *r, struct slice lo, struct slice hi, int flags,
                     struct undo_cursor **out);
/* The next key that has a value. ERR_END (not recorded) at the end. The slices live until the next
 * call on this cursor (they are not copied to the arena). May park. */
MUST_CHECK
int undo_cursor_next(struct undo_cursor *c, struct slice *key, struct undo_row *row);
/* Goes on at the first key at or after `key` in the cursor's direction, within its range. */
MUST_CHECK
int undo_cursor_seek(struct undo_cursor *c, struct slice key);
void undo_cursor_close(struct undo_cursor *c); /* NULL allowed */

/* Every version of a key that some moment in (from, to] on the branch sees, newest first: VERSIONS
 * BETWEEN. `from` itself is included as the state at the start. fn returns 0 to go on. May park. */
struct undo_version {
    scn_t created, superseded; /* superseded: SCN_MAX while current */
    uint64_t seq;
    bool deleted;
    struct slice value;
};
MUST_CHECK
int undo_versions(const struct undo_read *r, struct slice key, scn_t from,
                  int (*fn)(void *arg, const struct undo_version *v), void *arg);

/* ---- retention ------------------------------------------------------------------------------ */

/* How far back history is wanted. */
struct undo_retention {
    uint64_t time_us;   /* a moment younger than this is kept; 0: none is wanted */
    uint64_t bytes_max; /* undo above this size lets older history go; 0: no cap */
    bool guarantee;     /* the cap gives way to the time, not the other way round */
};

struct undo_policy_host {
    void *arg;
    /* The last SCN committed at or before the time, as far as is known; 0: none. Any thread. */
    scn_t (*scn_at_time)(void *arg, uint64_t time_us);
    uint64_t (*now_us)(void *arg); /* the clock of commit times */
    /* HORIZON-1, -3: the lowest of: durable SCN, visible SCN, snapshots of the present that are
     * open, positions of members that may be promoted, and on a standby the primary's horizon. */
    scn_t (*limit)(void *arg);
    /* After the horizon has moved, before it is used by a merge elsewhere: the primary logs it for
     * the standbys (HORIZON-3). May be NULL. */
    void (*moved)(void *arg, scn_t horizon);
};

struct undo;
/* No thread of its own: undo_step does the work. */
struct undo *undo_new(struct lsm *lsm, const struct undo_policy_host *host,
                      const struct undo_retention *retention);
void undo_free(struct undo *u);
void undo_set_retention(struct undo *u, const struct undo_retention *retention);
void undo_get_retention(struct undo *u, struct undo_retention *out);
/* One round: computes the wanted horizon, raises it as far as HORIZON-1 lets it, expires what lies
 * below, merges small undo runs within an expiry window. To be called every few seconds from a
 * background thread. Blocks. */
MUST_CHECK
int undo_step(struct undo *u);
/* A standby: the primary's horizon has come by redo. Blocks. */
MUST_CHECK
int undo_follow_horizon(struct undo *u, scn_t horizon);
scn_t undo_wanted(struct undo *u); /* what the last round wanted; above lsm_horizon: held back */

#endif
