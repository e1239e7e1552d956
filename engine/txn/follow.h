/* An engine that follows: redo made by another node comes in frames, is applied and becomes visible
 * as far as that node has published it. For the applier (standby/) and for changes of role.
 *
 *   engine_follow_start  frames may be appended to the own log (redo_append_frame)
 *   engine_apply_*       one task at a time turns the own log into versions, in order
 *   engine_follow_stop   no more frames; what was accepted is durable and may still be applied
 *   engine_follow_cut    the state and the log go on from an earlier position
 *
 * What is visible is the least of three: applied, durable here, and published by the reign that is
 * followed (FO-32).
 *
 * Threads: the applier's task calls engine_apply_*; everything else is called by one task at a
 * time, which sees to it that nothing is applied during engine_follow_cut and engine_open_write.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TXN_FOLLOW_H
#define ENGINE_TXN_FOLLOW_H

#include "engine/engine.h"
#include "engine/redo/record.h"
#include "engine/redo/redo.h"

struct manifest_edit;
struct replay_part;

/* ---- the log --------------------------------------------------------------------------------- */

/* Where the own log ends on the way to `target`, applied or not. Blocks. */
MUST_CHECK
int engine_log_end(struct engine *e, incarnation_t target, struct redo_pos *end);
/* Remembers what a peer knows of incarnations, durably, with `more` (or NULL) in the same edit.
 * ERR_DIVERGED when it means another reign by the same number. Blocks. */
MUST_CHECK
int engine_lineage_merge(struct engine *e, const struct lineage *peer,
                         const struct manifest_edit *more);
/* Frames on the way to `target`, which the lineage knows, may be appended from the end of the own
 * log on. What was published in another reign does not count any more. Blocks. */
MUST_CHECK
int engine_follow_start(struct engine *e, incarnation_t target);
void engine_follow_stop(struct engine *e); /* parks; also when it does not follow */
/* The reign `target` has published all commits up to lsn. Ignored for another reign. */
void engine_follow_pointer(struct engine *e, incarnation_t target, struct lsn published);

/* FO-30: goes on from `at`, a frame end that both logs share (redo_locate's), on the way to
 * `target`; the lineage has been merged. Where nothing is cut only `more` is committed. All that
 * the log holds has been applied. What was committed past `at` stays as an orphan branch.
 * ERR_NEEDS_RESEED when history does not reach back; ERR_AGAIN when the target's lineage does not
 * say yet how it leaves that position. Blocks, up to reading again what was open there (CUT-4). */
MUST_CHECK
int engine_follow_cut(struct engine *e, incarnation_t target, const struct redo_pos *at,
                      const struct manifest_edit *more);

/* From where redo of `inc` is kept for what is open in it (CUT-4), as the manifest has it; LSN_MAX:
 * nothing is known. */
struct lsn engine_follow_low(struct engine *e, incarnation_t inc);
const char *engine_dir(const struct engine *e); /* the data directory */

/* ---- applying -------------------------------------------------------------------------------- */

/* All records below have been applied, and on which branch. */
struct lsn engine_applied(const struct engine *e);
/* Lanes may get ops of records below lsn from here on. */
void engine_apply_dispatched(struct engine *e, struct lsn lsn);
/* A record's part in what is open, before its ops are handed out or (ends) once it is applied. */
void engine_apply_note_writes(struct engine *e, txid_t txid, struct lsn lsn);
void engine_apply_note_end(struct engine *e, const struct redo_record *rec);
/* Values in parts (replay.h); what is not whole yet is kept from recovery on. */
MUST_CHECK
int engine_apply_part(struct engine *e, txid_t txid, struct lsn lsn, const struct redo_op *op);
MUST_CHECK
int engine_apply_whole(struct engine *e, txid_t txid, struct redo_op *op, struct replay_part **out);
/* The first record of an incarnation: the state goes over to its branch. The lanes are quiet, all
 * before it has been passed. Blocks. */
MUST_CHECK
int engine_apply_incarnation(struct engine *e, const struct redo_record *rec);
/* Everything below a frame's end has been applied; `scn` is the last commit in it. */
void engine_apply_passed(struct engine *e, struct lsn lsn, scn_t scn);

#endif
