/* What point reads and cursors share: the rules of a read, one version at a time.
 *
 * READ-1  The version with the greatest (SCN, seq) at or below s, over memtables, all main runs and
 *         undo; an undo interval only excludes.
 * READ-2  Whether ordinary undo may be skipped is decided by the newest of main and revived
 * entries. UNDO-2  An undo file that may hold an entry that is current again is asked by every
 * read. UNDO-3  An entry is not returned at or above its `superseded`, unless a cut took that out
 * of sight.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_UNDO_UNDO_INT_H
#define ENGINE_UNDO_UNDO_INT_H

#include "engine/lsm/view.h"
#include "engine/undo/undo.h"

/* How one read goes: fixed for its length. */
struct undo_scope {
    const struct undo_read *read;
    const struct lsm_view *view;
    bool ordered; /* the branch is the view's: age order is (SCN, seq) order in main */
    uint32_t broken;
};

/* The best version of one key so far. */
struct undo_best {
    bool found, own; /* own: the reader's, comes before all others */
    bool has_newest; /* some visible version was met, at whatever SCN */
    scn_t newest;    /* the greatest of their SCNs */
    stamp_t stamp;
    uint64_t seq;
    uint8_t kind;
    struct slice value; /* borrowed from where the version was met */
};

void undo_scope_init(struct undo_scope *sc, const struct undo_read *r);
/* What of a run the reader's branch sees. */
scn_t undo_part(const struct undo_scope *sc, incarnation_t tag, scn_t part_of_view);

enum undo_step {
    UNDO_STEP_NEXT, /* go on to the next older version of this run */
    UNDO_STEP_RUN,  /* nothing better can come in this run */
    UNDO_STEP_DONE, /* nothing better can come in main */
};
/* Offers a version of a memtable or a main run. *taken: it is the best one now, so the caller sees
 * to it that its value lives. `newest_first`: the run is walked from new to old. */
enum undo_step undo_offer_main(const struct undo_scope *sc, struct undo_best *b,
                               const struct version_ref *v, enum lsm_status status, scn_t scn,
                               scn_t part, bool newest_first, bool *taken);
/* Offers an entry of an undo file. */
bool undo_offer_entry(const struct undo_scope *sc, struct undo_best *b, const struct version_ref *v,
                      scn_t part, bool revived);
/* The read lies in the past of what is current: ordinary undo has to be asked. */
static inline bool
undo_is_past(const struct undo_scope *sc, const struct undo_best *b)
{
    return b->has_newest && b->newest > sc->read->scn;
}
/* Whether an undo file has an entry that may be current again on the reader's branch. */
bool undo_is_revived(const struct undo_scope *sc, const struct lsm_slot *slot, scn_t *part);

/* Undo's part of a point read: fills the rest of `b` for a key of which main has been offered.
 * Values are copied to the arena. May park. */
MUST_CHECK
int undo_search_undo(const struct undo_scope *sc, struct slice key, uint64_t hash,
                     struct undo_best *b);

#endif
