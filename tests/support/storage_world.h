/* A node's storage (a real lsm with undo, on real files) driven at random, with a primary elsewhere
 * that it can follow, compared with the oracle. What the transaction room does in the engine
 * (statuses, strands, recovery) is done here in its simplest form.
 *
 * Files, in reading order: storage_world.c (the node: host, opening, replay), storage_check.c
 * (comparing), storage_txn.c (transactions), storage_steps.c (the steps and their weights).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_STORAGE_WORLD_H
#define TESTS_SUPPORT_STORAGE_WORLD_H

#include <setjmp.h>

#include "engine/base/env.h"
#include "engine/lsm/lsm.h"
#include "engine/undo/undo.h"
#include "tests/support/oracle.h"

enum {
    WORLD_TXNS = 3,
    WORLD_STATUSES = 4096,
    WORLD_TREES = 64,
    WORLD_SNAPS = 2,
    WORLD_STACK = 4,
    WORLD_PINS = 8,
    CATALOGUE = 1,
    FIRST_TREE = 2, /* its index is the next number */
};

struct world_status {
    txid_t txid;
    bool aborted;
    scn_t scn;
    uint64_t ended;
};
struct world_saved {
    struct oracle_rows buf;
    tree_id_t tree;
    uint32_t kid_count;
};
struct world_txn {
    bool open;
    bool elsewhere; /* of the primary that the node follows */
    txid_t stack[WORLD_STACK], kids[ORACLE_CHILDREN];
    uint32_t stack_count, kid_count;
    uint64_t seq;
    struct oracle_record strand[64];
    uint32_t strand_count;
    struct world_saved saved[WORLD_STACK];
    uint32_t saved_count;
    struct oracle_rows buf;
    bool locks[ORACLE_KEYS];
    tree_id_t tree;
};
struct world_snap {
    bool open;
    struct lsm_hold hold;
    struct lsm_view *views[WORLD_TREES + 1];
    size_t view_count;
};

enum world_role { ROLE_PRIMARY, ROLE_STANDBY, ROLE_SNAPSHOT };

struct world {
    struct env *env;
    char dir[64];
    struct oracle oracle;
    uint64_t random;
    uint32_t broken;
    bool trace;
    jmp_buf found; /* where a divergence goes */
    char why[512];

    /* The node. */
    struct lsm *lsm;
    enum world_role role;
    incarnation_t inc;         /* the branch followed */
    uint64_t end[ORACLE_INCS]; /* redo held */
    scn_t tip[ORACLE_INCS];
    bool known[ORACLE_INCS], live[ORACLE_INCS];
    uint64_t durable; /* of inc's redo */
    uint64_t reading; /* replay: the LSN being read; 0: not reading */
    struct world_status *statuses;
    uint32_t status_count;
    uint64_t ended;
    struct world_txn txns[WORLD_TXNS];
    struct lsm_job *jobs[2]; /* a flush, another */
    struct world_snap snaps[WORLD_SNAPS];
    tree_id_t trees[WORLD_TREES];
    uint32_t tree_count;
    struct lsm_pin pins[WORLD_PINS];
    uint32_t pin_count, pin_next;

    /* The primary elsewhere: it writes the stream of `stream`. */
    incarnation_t stream;
    uint64_t steps, compared;
};

/* Makes a world in a fresh folder; world_fini removes it. */
void world_init(struct world *w, uint64_t seed, uint32_t broken);
void world_fini(struct world *w);
uint64_t world_random(struct world *w, uint64_t below); /* 0 to below - 1 */
bool world_chance(struct world *w, unsigned percent);
void world_say(struct world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Records what does not fit and leaves the step. */
NORETURN
void world_diverge(struct world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
void world_must(struct world *w, int rc, const char *what); /* an operation that may not fail */

/* ---- the node ---- */
void world_open(struct world *w);
void world_replay(struct world *w);
void world_close(struct world *w); /* as a crash does: memory is lost, files stay */
bool world_write(struct world *w, tree_id_t tree, const struct oracle_record *r, bool on_top);
void world_apply(struct world *w, incarnation_t inc, uint64_t pos, bool filter);
struct world_status *world_status_of(struct world *w, txid_t txid);
void world_set_status(struct world *w, txid_t txid, bool aborted, scn_t scn);
void world_enter(struct world *w, incarnation_t inc);
void world_live(struct world *w, incarnation_t old);
bool world_holds(struct world *w, incarnation_t b, scn_t s);
void world_note_tree(struct world *w, tree_id_t tree);

/* ---- comparing ---- */
void world_compare(struct world *w, incarnation_t b, scn_t s, const struct world_snap *snap);
void world_check(struct world *w, unsigned moments);
bool world_pick_moment(struct world *w, incarnation_t *b, scn_t *s);
tree_id_t world_catalogue(struct world *w, incarnation_t b, scn_t s, const struct world_txn *own);
uint8_t world_read_own(struct world *w, struct world_txn *t, uint8_t key);

/* ---- transactions ---- */
struct world_txn *world_begin(struct world *w, bool elsewhere);
void world_put(struct world *w, struct world_txn *t);
void world_truncate(struct world *w, struct world_txn *t);
void world_savepoint(struct world *w, struct world_txn *t);
void world_release(struct world_txn *t);
void world_rollback_to(struct world *w, struct world_txn *t);
void world_abort(struct world *w, struct world_txn *t);
void world_commit(struct world *w, struct world_txn *t);
void world_spill(struct world *w, struct world_txn *t);
/* All transactions of one side end with their incarnation. */
void world_forget_txns(struct world *w, bool elsewhere);

/* ---- steps ---- */
/* Plays `steps` steps of a seed. False: they diverge, w->why says how. */
bool world_play(struct world *w, unsigned steps);

#endif
