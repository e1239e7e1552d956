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

/* Rules that are the transaction room's, and here the world's: switched off beside enum lsm_rule.
 */
enum storage_rule {
    STORAGE_BREAK_READ_3 = LSM_BREAK_END,
    STORAGE_BREAK_REDO_1 = LSM_BREAK_END << 1,
    STORAGE_BREAK_REDO_2 = LSM_BREAK_END << 2,
    STORAGE_BREAK_PIN_1 = LSM_BREAK_END << 3,
    STORAGE_BREAK_INC_1 = LSM_BREAK_END << 4,
    STORAGE_BREAK_TXN_1 = LSM_BREAK_END << 5,
    STORAGE_BREAK_TXN_2 = LSM_BREAK_END << 6,
    STORAGE_BREAK_STATUS_2 = LSM_BREAK_END << 7,
};

struct storage_status {
    txid_t txid;
    bool aborted;
    scn_t scn;
    uint64_t ended;
};
struct storage_saved {
    struct oracle_rows buf;
    tree_id_t tree;
    uint32_t kid_count;
};
struct storage_txn {
    bool open;
    bool elsewhere; /* of the primary that the node follows */
    txid_t stack[WORLD_STACK], kids[ORACLE_CHILDREN];
    uint32_t stack_count, kid_count;
    uint64_t seq;
    struct oracle_record strand[64];
    uint32_t strand_count;
    struct storage_saved saved[WORLD_STACK];
    uint32_t saved_count;
    struct oracle_rows buf;
    bool locks[ORACLE_KEYS];
    tree_id_t tree;
};
struct storage_snap {
    bool open;
    struct lsm_hold hold;
    struct lsm_view *views[WORLD_TREES + 1];
    size_t view_count;
};

enum storage_role { ROLE_PRIMARY, ROLE_STANDBY, ROLE_SNAPSHOT };

struct storage_world {
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
    enum storage_role role;
    incarnation_t inc;         /* the branch followed */
    uint64_t end[ORACLE_INCS]; /* redo held */
    scn_t tip[ORACLE_INCS];
    bool known[ORACLE_INCS], live[ORACLE_INCS];
    uint64_t durable; /* of inc's redo */
    uint64_t reading; /* replay: the LSN being read; 0: not reading */
    struct storage_status *statuses;
    uint32_t status_count;
    uint64_t ended;
    txid_t *seen; /* with TXN-2 off: of which something was heard in this life */
    uint32_t seen_count;
    struct storage_txn txns[WORLD_TXNS];
    struct lsm_job *jobs[2]; /* a flush, another */
    struct storage_snap snaps[WORLD_SNAPS];
    tree_id_t trees[WORLD_TREES];
    uint32_t tree_count;
    struct lsm_pin pins[WORLD_PINS];
    uint32_t pin_count, pin_next;

    /* The primary elsewhere: it writes the stream of `stream`. */
    incarnation_t stream;
    uint64_t steps, compared;
};

/* Makes a world in a fresh folder; storage_fini removes it. */
void storage_init(struct storage_world *w, uint64_t seed, uint32_t broken);
void storage_fini(struct storage_world *w);
uint64_t storage_random(struct storage_world *w, uint64_t below); /* 0 to below - 1 */
bool storage_is_broken(const struct storage_world *w, enum storage_rule rule);
bool storage_chance(struct storage_world *w, unsigned percent);
void storage_say(struct storage_world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Records what does not fit and leaves the step. */
NORETURN
void storage_diverge(struct storage_world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
void storage_must(struct storage_world *w, int rc,
                  const char *what); /* an operation that may not fail */

/* ---- the node ---- */
void storage_open(struct storage_world *w);
void storage_replay(struct storage_world *w);
void storage_close(struct storage_world *w); /* as a crash does: memory is lost, files stay */
bool storage_write(struct storage_world *w, tree_id_t tree, const struct oracle_record *r,
                   bool on_top);
void storage_apply(struct storage_world *w, incarnation_t inc, uint64_t pos, bool filter);
struct storage_status *storage_status_of(struct storage_world *w, txid_t txid);
void storage_set_status(struct storage_world *w, txid_t txid, bool aborted, scn_t scn);
void storage_enter(struct storage_world *w, incarnation_t inc);
void storage_live(struct storage_world *w, incarnation_t old);
/* PIN-1: the restore points that were made and not dropped are there, and no others. */
void storage_check_pins(struct storage_world *w);
bool storage_holds(struct storage_world *w, incarnation_t b, scn_t s);
void storage_note_tree(struct storage_world *w, tree_id_t tree);

/* ---- comparing ---- */
void storage_compare(struct storage_world *w, incarnation_t b, scn_t s,
                     const struct storage_snap *snap);
void storage_check(struct storage_world *w, unsigned moments);
bool storage_pick_moment(struct storage_world *w, incarnation_t *b, scn_t *s);
tree_id_t storage_catalogue(struct storage_world *w, incarnation_t b, scn_t s,
                            const struct storage_txn *own);
uint8_t storage_read_own(struct storage_world *w, struct storage_txn *t, uint8_t key);

/* ---- transactions ---- */
struct storage_txn *storage_begin(struct storage_world *w, bool elsewhere);
void storage_put(struct storage_world *w, struct storage_txn *t);
void storage_truncate(struct storage_world *w, struct storage_txn *t);
void storage_savepoint(struct storage_world *w, struct storage_txn *t);
void storage_release(struct storage_txn *t);
void storage_rollback_to(struct storage_world *w, struct storage_txn *t);
void storage_abort(struct storage_world *w, struct storage_txn *t);
void storage_commit(struct storage_world *w, struct storage_txn *t);
void storage_spill(struct storage_world *w, struct storage_txn *t);
/* All transactions of one side end with their incarnation. */
void storage_forget_txns(struct storage_world *w, bool elsewhere);

/* ---- steps ---- */
/* Plays `steps` steps of a seed. False: they diverge, w->why says how. */
bool storage_play(struct storage_world *w, unsigned steps);

#endif
