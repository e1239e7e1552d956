/* What the files of the transaction room share: the engine and the transaction.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TXN_ENGINE_INT_H
#define ENGINE_TXN_ENGINE_INT_H

#include <stdatomic.h>

#include "engine/base/env.h"
#include "engine/base/fiber.h"
#include "engine/base/list.h"
#include "engine/engine.h"
#include "engine/lsm/lsm.h"
#include "engine/redo/lineage.h"
#include "engine/redo/record.h"
#include "engine/redo/redo.h"
#include "engine/txn/lock.h"
#include "engine/txn/status.h"
#include "engine/undo/undo.h"

enum {
    ENGINE_WATCHERS_MAX = 32,
    STRAND_SPILL_BYTES = 256 << 10, /* a strand longer than this is reserved before the commit */
    TXN_TXIDS_INLINE = 4,
};

/* ---- what is visible: publish.c ------------------------------------------------------------- */

/* The end of a durable frame whose commits are not published yet. */
struct publish_mark {
    struct lsn lsn;
    scn_t scn;
};

struct visible_waiter {
    struct list link; /* in publisher.waiters; under its mutex */
    scn_t scn;
    int code; /* 0, or why the wait ended early */
    struct completion done;
};

struct publisher {
    struct env_mutex mutex;
    struct commit_gate gate;
    struct publish_mark *marks; /* a ring, oldest first */
    size_t mark_first, mark_count, mark_cap;
    struct lsn published; /* the highest asked for, even where no mark has reached it yet */
    struct visible_watch watches[ENGINE_WATCHERS_MAX];
    int watch_count;
    struct list waiters; /* of struct visible_waiter.link */
    _Atomic scn_t visible;
};

/* ---- the engine ----------------------------------------------------------------------------- */

struct engine {
    struct env *env;
    struct log *log;
    char *dir;
    struct engine_options options; /* with the defaults filled in */
    struct env_file *dir_lock;
    uint64_t database_id;
    struct lineage *lineage;
    struct redo *redo;
    struct lsm *lsm;
    struct undo *undo;
    struct status_table *status;
    struct lock_table *locks;
    struct publisher publish;

    _Atomic incarnation_t inc;     /* the branch followed */
    _Atomic uint64_t write_epoch;  /* odd: open for writing; each opening and closing counts on */
    _Atomic uint64_t next_counter; /* of txids of this incarnation */
    _Atomic uint64_t next_ticket;  /* of transactions */
    _Atomic scn_t newest;          /* the last SCN given out */

    struct env_mutex txns_mutex;
    struct list txns; /* of struct txn.engine_link: all objects, open or not */

    struct env_mutex ids_mutex; /* engine_ids: blocks of numbers */
    struct list ids;            /* of struct id_block.link */

    _Atomic uint64_t commit_count, abort_count;
};

/* ---- the transaction ------------------------------------------------------------------------ */

struct savepoint {
    txid_t txid;         /* 0 until it writes */
    uint32_t first_txid; /* index in txids of the first one at or below it */
};

enum txn_state { TXN_IDLE, TXN_OPEN };

struct txn {
    struct engine *engine;   /* read-only */
    struct list engine_link; /* in engine.txns */

    enum txn_state state;
    enum txn_isolation isolation;
    bool read_only;
    uint64_t write_epoch; /* the engine's when it began: another one now means it is doomed */
    incarnation_t inc;

    /* Snapshots. `pinned` is read by the horizon's keeper on another thread. */
    _Atomic scn_t pinned; /* lowest SCN that this transaction may read; 0: none */
    scn_t snapshot;       /* of the statement, or of the transaction */
    bool has_snapshot;
    int statement_depth;
    scn_t floor;                      /* the session's own last commit: a snapshot is never older */
    scn_t must_see;                   /* txn_must_be_visible */
    struct undo_statement *statement; /* views and pinned values, until the statement ends */

    /* Writes. txids[0] is its own; a live savepoint that wrote has one too. */
    txid_t *txids;
    uint32_t txid_count, txid_cap;
    txid_t txids_inline[TXN_TXIDS_INLINE];
    txid_t *dead; /* of savepoints rolled back, for the abort record */
    uint32_t seq;
    struct savepoint *savepoints;
    int savepoint_count, savepoint_cap;
    bool spilled; /* a part of its strand is in the redo already */
    struct lock_owner owner;
    struct lock_name turn; /* held while has_turn */
    bool has_turn;

    struct env_mutex strand_mutex; /* the strand is the owner's, but sealing reserves it too */
    struct redo_strand *strand;
};

/* publish.c */
void publisher_init(struct publisher *p, struct env *env);
void publisher_fini(struct publisher *p);
/* Redo is durable up to a frame's end: log threads call it, in order. */
void publisher_on_durable(struct engine *e, struct lsn lsn, scn_t scn);
/* Ends every wait with `code`: the node left its role or closes. */
void publisher_fail_waiters(struct engine *e, int code);
/* Recovery and cuts: the visible SCN becomes exactly this, and no mark is left. */
void publisher_reset(struct engine *e, struct lsn lsn, scn_t scn);

#endif
