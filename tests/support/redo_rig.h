/* A redo log in a folder of its own, for tests: small files, one lineage, helpers that append.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_REDO_RIG_H
#define TESTS_SUPPORT_REDO_RIG_H

#include "engine/base/env.h"
#include "engine/redo/record.h"
#include "engine/redo/redo.h"

struct redo_rig {
    struct env *env;
    char dir[80], archive[96];
    struct lineage lineage;
    struct redo_options options; /* change before redo_rig_open */
    struct redo *redo;
    uint64_t seed; /* of redo_rig_random */
};

void redo_rig_init(struct redo_rig *g, struct env *env, const char *dir); /* nothing is opened */
void redo_rig_fini(struct redo_rig *g); /* closes; the folder stays */
int redo_rig_open(struct redo_rig *g);
void redo_rig_close(struct redo_rig *g);
uint64_t redo_rig_random(struct redo_rig *g);

/* The next incarnation after what is held of `prev` (0: nothing), begun for writing; its
 * INCARNATION record is appended. Returns its number. */
incarnation_t redo_rig_start(struct redo_rig *g, incarnation_t prev);
/* Begins incarnation `inc` at a position. */
void redo_rig_start_at(struct redo_rig *g, incarnation_t inc, const struct redo_pos *from,
                       incarnation_t parent, scn_t fork_scn);

/* A part: one write of `size` bytes whose key is `number`, with a commit if `commit`. The part's
 * data live in `w`. */
void redo_rig_part(struct redo_rig *g, struct writer *w, uint64_t number, size_t size, bool commit,
                   struct redo_part *part);
/* Appends one and waits until it is durable, if `wait`; returns its end. */
struct lsn redo_rig_put(struct redo_rig *g, uint64_t number, size_t size, bool wait);

/* Reads the chain towards `target` from `from` and checks that SCNs are dense from first_scn on,
 * times ascend and values are whole. Returns the number of commits read; *end (or NULL) is where it
 * ended, *rc (or NULL: must be ERR_END) how. */
uint64_t redo_rig_read(struct redo_rig *g, incarnation_t target, struct lsn from, scn_t first_scn,
                       struct lsn *end, int *rc);
/* The same, and the keys must be `first`, first + 1, ... */
uint64_t redo_rig_read_keys(struct redo_rig *g, incarnation_t target, struct lsn from,
                            scn_t first_scn, uint64_t first, struct lsn *end, int *rc);

#endif
