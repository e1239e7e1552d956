/* The tree of incarnations: who went on from whom, up to which SCN two branches are the same
 * history, and whose redo covers a position on the way to an incarnation.
 *
 * An incarnation has two predecessors, which differ when a cut is undone. As a *branch* of data it
 * forks from `parent` after `fork_scn`, and numbers its commits from fork_scn + 1. As a *stream* of
 * redo it goes on from `prev` at `start_lsn`.
 *
 * Incarnation 0 is the implicit root: the empty database before any redo. It has no entry.
 *
 * A lineage is a plain value: no locks, no references. Numbers ascend away from the root (parent <
 * inc, prev < inc), so that nothing here can run in a circle, whatever bytes a peer sent.
 *
 * Encoded (little-endian): u8 version 1, varint count, then per entry, ascending by inc:
 *   u32 inc | u32 parent | u32 prev | u64 fork_scn | u64 start_lsn | u64 reign_id
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_REDO_LINEAGE_H
#define ENGINE_REDO_LINEAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/bytes.h"
#include "engine/base/err.h"
#include "engine/base/id.h"

#define REDO_LSN_FIRST ((struct lsn){ 4096 }) /* where the redo of a new database begins */
#define LSN_MAX        ((struct lsn){ UINT64_MAX })

struct lineage_entry {
    incarnation_t inc;
    incarnation_t parent; /* the branch it forked from; 0: the root */
    scn_t fork_scn;       /* the last SCN of the parent's branch that it shares */
    incarnation_t prev;   /* whose redo its own goes on from; 0: the root */
    struct lsn start_lsn; /* where its own redo begins */
    uint64_t reign_id;    /* 64 random bits: two nodes that mean the same incarnation agree here */
};

struct lineage {
    struct lineage_entry *entries; /* ascending by inc */
    uint32_t count, cap;
};

void lineage_init(struct lineage *l);
void lineage_fini(struct lineage *l);
/* dst need not be empty, only initialised. */
void lineage_copy(struct lineage *dst, const struct lineage *src);
/* Adds an entry. 0 also when the very same one is there already. ERR_DIVERGED when the number is
 * taken by another reign; ERR_CORRUPT when parent or prev are unknown or do not precede it, or it
 * starts before prev does. */
MUST_CHECK
int lineage_add(struct lineage *l, const struct lineage_entry *e);
/* Adds all entries of src. On an error dst is as it was. */
MUST_CHECK
int lineage_merge(struct lineage *dst, const struct lineage *src);
const struct lineage_entry *lineage_find(const struct lineage *l, incarnation_t inc); /* or NULL */
incarnation_t lineage_max(const struct lineage *l); /* the highest number; 0 when empty */
/* The same number means the same reign in both (or is unknown to one of them). */
bool lineage_agrees(const struct lineage *a, const struct lineage *b);

/* ---- branches (SCN) ------------------------------------------------------------------------- */

/* The SCN up to which branches a and b are the same history (CUT-1). SCN_MAX when a == b; 0 when
 * they share nothing. Incarnations that the lineage does not know share nothing. */
scn_t lineage_part(const struct lineage *l, incarnation_t a, incarnation_t b);
/* The incarnation whose commit SCN `scn` of `branch` is; 0 below everything. */
incarnation_t lineage_owner(const struct lineage *l, incarnation_t branch, scn_t scn);
/* Whether the moment lies in the history of `branch` (m.inc is an incarnation, not only a branch
 * that passes through there). */
bool lineage_holds(const struct lineage *l, incarnation_t branch, struct moment m);
/* One step of the path from a branch to the root: start with {branch, SCN_MAX}; false at the end.
 */
struct lineage_step {
    incarnation_t inc;
    scn_t upto; /* what of it the branch sees */
};
bool lineage_path_next(const struct lineage *l, struct lineage_step *at);

/* ---- streams (LSN) -------------------------------------------------------------------------- */

/* Which incarnation's redo covers the byte at `lsn` on the way to `target`; 0 before the first. */
incarnation_t lineage_redo_at(const struct lineage *l, incarnation_t target, struct lsn lsn);
/* Where the chain of redo towards `target` leaves `inc`: the start of the next one on the way, or
 * LSN_MAX for target itself. False when inc is not on the way. */
bool lineage_redo_end(const struct lineage *l, incarnation_t target, incarnation_t inc,
                      struct lsn *end);
/* The next incarnation after `inc` on the way to `target`; 0 when there is none. */
incarnation_t lineage_redo_next(const struct lineage *l, incarnation_t target, incarnation_t inc);

/* Where the histories of two nodes part. Node a has redo of the chain towards inc_a up to end_a;
 * b alike. The result is the last position that lies on both: `inc` (known to both under one reign
 * id; where one begins, that is the one before) and `lsn`. When it is a node's own end, that node
 * merely has less. Where the two disagree in the bytes below it, only chains tell (redo.h,
 * redo_locate). ERR_DIVERGED when they share no incarnation at all (the root apart: two empty nodes
 * share it). */
struct lineage_fork {
    incarnation_t inc;
    struct lsn lsn;
};
struct lineage_end {
    const struct lineage *lineage;
    incarnation_t inc;
    struct lsn lsn;
};
MUST_CHECK
int lineage_compare(const struct lineage_end *a, const struct lineage_end *b,
                    struct lineage_fork *fork);

/* ---- bytes ---------------------------------------------------------------------------------- */

void lineage_entry_encode(struct writer *w, const struct lineage_entry *e);
void lineage_entry_decode(struct reader *r, struct lineage_entry *e); /* bad reader on nonsense */
void lineage_encode(struct writer *w, const struct lineage *l);
/* Replaces what l holds; ERR_CORRUPT leaves it empty. */
MUST_CHECK
int lineage_decode(struct reader *r, struct lineage *l);

#endif
