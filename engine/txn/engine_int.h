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
#include "engine/redo/strand.h"
#include "engine/txn/lock.h"
#include "engine/txn/follow.h"
#include "engine/txn/replay.h"
#include "engine/txn/status.h"
#include "engine/undo/undo.h"

enum {
    ENGINE_WATCHERS_MAX = 32,
    TXN_TXIDS_INLINE = 4,
    TXN_VIEWS_INLINE = 6,
    CHANGES_MAX = 1024,
    TIMES_RECENT = 1 << 18, /* commits whose time is kept in memory */
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

/* ---- commit times: times.c ------------------------------------------------------------------- */

struct commit_time {
    scn_t scn;
    uint64_t time_us;
    struct lsn end; /* of its record; 0: not known */
    txid_t txid;
};
/* The latest commits in order; older ones are rows of a tree of their own. */
struct commit_times {
    struct env_mutex mutex;
    struct commit_time *recent; /* a ring of TIMES_RECENT, made at first use */
    size_t first, count;
    struct commit_time *back; /* what the cut that is on its way takes back; or NULL */
    size_t back_count;
    scn_t stored;  /* rows hold everything up to this SCN; the keeper's */
    scn_t kept;    /* and those that are visible, and so durable, up to this one */
    scn_t limit;   /* replay: commits above it are of another branch than the one followed */
    uint64_t cuts; /* what was read before a cut says nothing after it */
};

/* ---- what became of transactions: outcome.c ---------------------------------------------------
 */

/* What the rows of outcomes say of themselves. Txids stand without their bit 63. */
struct outcome_meta {
    scn_t scn;            /* they hold the commits up to this one */
    uint64_t known_from;  /* of txids below nothing is known unless they committed */
    uint64_t ended_below; /* txids below, of the same incarnation, had ended */
};

/* ---- changes of the catalogue: changes.c ------------------------------------------------------
 */

struct catalog_changes {
    struct env_mutex mutex;
    scn_t scn[CHANGES_MAX]; /* a ring, oldest first */
    uint32_t first, count;
    scn_t base;      /* nothing is known of commits up to here */
    txid_t *writers; /* replay: open transactions that wrote to the catalogue */
    uint32_t writer_count, writer_cap;
};

/* ---- following: follow.c, follow_open.c --------------------------------------------------------
 */

enum { FOLLOW_LOWS_MAX = 4 };

/* CUT-4: where reading an incarnation again would have to begin. */
struct follow_low {
    incarnation_t inc; /* 0: a free place */
    struct lsn lsn;
};
/* Transactions open in the stream, with their first record: open addressing, linear. */
struct follow_open {
    txid_t *txids; /* 0: free */
    struct lsn *lsns;
    size_t count, cap; /* cap is a power of two */
    incarnation_t seen_inc;
    uint64_t seen; /* the highest counter of a txid of seen_inc */
};
struct follow {
    struct env_mutex mutex; /* open, pointer; changes of engine.inc with its positions */
    struct follow_open open;
    struct replay_parts parts; /* who replays or applies */
    incarnation_t target;      /* of the reign followed; 0: none */
    struct lsn pointer;        /* what it has published */
    _Atomic uint64_t applied;  /* engine_applied; applied_lsn is the LSM's floor, maybe lower */
    atomic_bool is_live;       /* frames come in */
    _Atomic scn_t horizon;     /* HORIZON-3: the primary's */

    struct env_mutex lows_edit; /* one change at a time, until the manifest has it */
    struct follow_low lows_next[FOLLOW_LOWS_MAX];
    uint64_t lows_sequence;
    struct env_mutex lows_mutex;             /* inside lows_edit: what the manifest holds */
    struct follow_low lows[FOLLOW_LOWS_MAX]; /* changed with both */
};

/* ---- the engine ----------------------------------------------------------------------------- */

struct engine {
    struct env *env;
    struct log *log;
    char *dir, *archive_dir;
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
    atomic_bool commits_held; /* engine_hold_commits */

    _Atomic incarnation_t inc;     /* the branch followed */
    _Atomic scn_t open_scn;        /* the last one before the latest opening for writing */
    _Atomic uint64_t write_epoch;  /* odd: open for writing; each opening and closing counts on */
    _Atomic uint64_t next_counter; /* of txids of this incarnation */
    _Atomic uint64_t next_ticket;  /* of transactions */
    _Atomic scn_t newest;          /* the last SCN given out */

    struct env_mutex txns_mutex;
    struct list txns; /* of struct txn.engine_link: all objects, open or not */

    struct env_mutex long_mutex;
    struct list long_values; /* of struct txn.long_link */

    struct env_mutex ids_mutex; /* engine_ids: blocks of numbers */
    struct list ids;            /* of struct id_block.link */

    struct redo_listener listener;
    struct commit_times times;
    struct catalog_changes changes;
    struct follow follow;

    _Atomic uint64_t applied_lsn;    /* while not writing: what replay or all lanes have passed */
    _Atomic uint64_t dispatched_lsn; /* and what has been handed to them */
    _Atomic uint64_t ended_count;    /* transactions that ended: lsm_host.ended */
    struct job_pool *jobs;           /* what a fiber must not do itself */

    struct env_thread *keeper; /* keeper.c: a step every second */
    struct env_mutex keeper_mutex;
    struct env_cond keeper_wake;
    bool keeper_stop, keeper_hurry;   /* hurry: a step now */
    struct status_mark *status_marks; /* keeper.c; the keeper's, as all below */
    incarnation_t status_inc;
    uint64_t status_freed, status_mark_count;
    uint64_t status_swept; /* ended_count at the last sweep */
    bool disk_was_full;
    scn_t exposed_stored;
    struct env_file *exposed_file; /* exposed.c; or NULL */
    scn_t times_own;               /* the commit of the last row of commit times */
    scn_t times_refreshed;         /* visible when what is kept of them was read */
    struct members_limit members_limit;

    _Atomic uint64_t commit_count, abort_count;
};

/* ---- the transaction ------------------------------------------------------------------------ */

struct savepoint {
    txid_t txid;         /* 0 until it writes */
    uint32_t first_txid; /* index in txids of the first one at or below it */
};

/* A tree's runs as a statement holds them. */
struct statement_view {
    tree_id_t id;
    struct lsm_tree *tree;
    struct lsm_view *view;
    bool is_used; /* what was read through it may lie in its runs: it stays */
};
struct statement_hold {
    struct statement_hold *next;
    struct lsm_hold hold;
};

enum txn_state { TXN_IDLE, TXN_OPEN };
enum strand_user { STRAND_FREE, STRAND_OWNER, STRAND_SEALER };

struct txn {
    struct engine *engine;   /* read-only */
    struct list engine_link; /* in engine.txns */

    enum txn_state state;
    enum txn_isolation isolation;
    bool read_only;
    uint64_t write_epoch; /* the engine's when it began: another one now means it is doomed */
    incarnation_t inc;

    /* Snapshots. `pinned` is read by the horizon's keeper on another thread. */
    _Atomic scn_t pinned;       /* lowest SCN that this transaction may read; 0: none */
    scn_t snapshot;             /* of the statement, or of the transaction */
    incarnation_t snapshot_inc; /* the branch of that SCN */
    bool has_snapshot;
    int statement_depth;
    scn_t floor;                  /* the session's own last commit: a snapshot is never older */
    scn_t must_see;               /* txn_must_be_visible */
    uint32_t statement_seq;       /* own writes below this seq are seen by the statement */
    struct statement_view *views; /* newest first; all live until the statement ends */
    uint32_t view_count, view_cap;
    uint32_t view_floor; /* those before it are kept for what was read through them, and not used */
    struct statement_view views_inline[TXN_VIEWS_INLINE];
    struct arena arena;                     /* values read by the statement */
    struct statement_hold *statement_holds; /* moments pinned by AS OF */
    _Atomic txid_t oldest;                  /* txids[0], or 0: for the sweep of statuses */

    /* Writes. txids[0] is its own; a live savepoint that wrote has one too. */
    txid_t *txids;
    uint32_t txid_count, txid_cap;
    txid_t txids_inline[TXN_TXIDS_INLINE];

    uint32_t seq;
    bool wrote_catalog;
    struct savepoint *savepoints;
    int savepoint_count, savepoint_cap;
    uint64_t memory_waited_us; /* since there was memory to write to last */
    uint32_t commit_waited;    /* of its txids, how many somebody waits for */
    struct lock_owner owner;
    struct lock_name turn; /* held while has_turn */
    bool has_turn;

    /* The strand is the owner's, but sealing a memtable reserves it too (strand.c). */
    _Atomic int strand_user; /* enum strand_user */
    struct redo_strand strand;

    struct list long_link; /* in engine.long_values while a value in parts is written */
    struct lsn long_low;   /* its parts lie at or above */
};

/* True when the node still writes the incarnation in which the transaction began. */
static inline bool
txn_is_doomed(const struct txn *t)
{
    return atomic_load_explicit(&t->engine->write_epoch, memory_order_acquire) != t->write_epoch;
}
static inline bool
txn_owns(const struct txn *t, txid_t txid)
{
    for (uint32_t i = t->txid_count; i-- > 0;)
        if (t->txids[i] == txid)
            return true;
    return false;
}

/* snapshot.c */
MUST_CHECK
int txn_view(struct txn *t, tree_id_t id, struct statement_view **out);
MUST_CHECK
int txn_view_fresh(struct txn *t, tree_id_t id, struct statement_view **out);
bool txn_own_cb(void *arg, txid_t txid, uint64_t seq);
scn_t engine_oldest_snapshot(struct engine *e, scn_t limit);

/* times.c */
void times_init(struct commit_times *c, struct env *env);
void times_fini(struct commit_times *c);
/* Before the commit can become visible. About in SCN order: commits are noted outside redo's
 * critical section. */
void times_note(struct commit_times *c, const struct commit_time *t);
void times_forget_after(struct commit_times *c, scn_t scn); /* a cut */
uint64_t times_cuts(struct commit_times *c);                /* how many there were */
void times_limit(struct commit_times *c, scn_t limit);      /* replay; SCN_MAX: none */
/* The keeper's steps; both block. What is kept is read, then what is visible is stored. */
MUST_CHECK
int times_refresh(struct engine *e);
MUST_CHECK
int times_store(struct engine *e);
bool times_are_late(struct engine *e); /* commits of earlier incarnations are not stored yet */
/* From where redo of the incarnation has to be read for commits that no row holds; `none` if there
 * are none. */
struct lsn times_low(struct engine *e, incarnation_t inc, struct lsn none);
/* A cut at `scn`, if it is one, hides rows that hold commits below it: these come back to memory
 * with times_forget_after. Parks. */
MUST_CHECK
int times_before_cut(struct engine *e, scn_t scn);
/* Whether memory has every commit above `from`, up to `to`. */
bool times_have(struct commit_times *c, scn_t from, scn_t to);
/* The same, and the txid's commit above `from`. Nothing of it counts if a cut comes meanwhile. */
struct times_seen {
    bool all;
    scn_t scn; /* the txid's; 0: it is not among them */
};
void times_look(struct commit_times *c, txid_t txid, scn_t from, scn_t to, struct times_seen *out);

/* outcome.c */
MUST_CHECK
int outcome_store(struct txn *t, const struct commit_time *commits, size_t count,
                  uint64_t ended_below);
/* ERR_NOT_FOUND: there are no rows yet. `m` as for txn_get. */
MUST_CHECK
int outcome_read_meta(struct txn *t, const struct read_moment *m, struct outcome_meta *out);
uint64_t keeper_ended_below(struct engine *e); /* as in outcome_meta */

/* changes.c */
void changes_init(struct catalog_changes *c, struct env *env);
void changes_fini(struct catalog_changes *c);
void changes_reset(struct catalog_changes *c, scn_t base);
void changes_note(struct catalog_changes *c, scn_t scn); /* alike */
void changes_writer(struct catalog_changes *c, txid_t txid);
void changes_writer_ended(struct catalog_changes *c, txid_t txid, scn_t scn);
static inline bool
tree_is_catalog(tree_id_t tree)
{
    return tree < ENGINE_TREE_OUTCOMES;
}

/* replay.c */
MUST_CHECK
int engine_replay(struct engine *e);

/* follow.c */
void follow_init(struct engine *e);
void follow_fini(struct engine *e);
/* What the LSM may take for applied: not past the start of a value that is not whole yet. */
void follow_set_floor(struct engine *e, struct lsn lsn);
/* The end of the log while it is not written: all is applied. */
void follow_set_applied(struct engine *e, struct lsn lsn);
void follow_on_durable(struct engine *e);
/* What the LSM may take for applied, and in which incarnation. */
struct lsn follow_floor(struct engine *e, incarnation_t *inc);
/* The branch followed is `inc` from here on, the LSM has gone over already; its log goes on at
 * `at`. What was open before is dead. */
void follow_new_branch(struct engine *e, incarnation_t inc, scn_t tip, struct lsn at);
/* Recovery reads another incarnation. */
void follow_forget_open(struct engine *e);

/* follow_open.c */
void follow_note_begin(struct engine *e, const struct redo_record *rec);
/* The first record of the oldest open transaction, or `none`. */
struct lsn follow_open_low(struct engine *e, struct lsn none);
/* What has been handed out, of which incarnation, and the first record of what is open in it. */
struct lsn follow_dispatched(struct engine *e, incarnation_t *inc, struct lsn *end);
void follow_clear_open(struct follow *f, incarnation_t inc); /* with follow.mutex */
bool follow_is_open(struct engine *e, txid_t txid);
/* Which transactions are open at `end` of an incarnation, all of whose records lie at or above
 * `low`. *txids is the caller's to xfree, also after an error. Reads redo. */
MUST_CHECK
int follow_find_open(struct engine *e, incarnation_t inc, struct lsn low, struct lsn end,
                     txid_t **txids, size_t *count);
/* All txids of the incarnation followed below this counter have ended or were never seen. */
uint64_t follow_ended_counter(struct engine *e);
void follow_load_lows(struct engine *e);
/* Before recovery positions move: notes where `inc` would be read again from. Blocks. */
MUST_CHECK
int follow_store_low(struct engine *e, incarnation_t inc, struct lsn low);
/* The same in an edit that the caller commits, and then ends: nobody else changes it meanwhile. */
void follow_edit_low(struct engine *e, incarnation_t inc, struct lsn low,
                     struct manifest_edit *edit);
void follow_edit_low_end(struct engine *e, bool is_stored);

/* host.c */
void engine_fill_host(struct engine *e, struct lsm_host *host);

/* engine.c */
void engine_tear_down(struct engine *e);

/* begun.c: the incarnations of which redo was written here. One that is listed and has no redo has
 * lost it (B17); one that is not never had any. */
MUST_CHECK
int begun_note(struct engine *e, incarnation_t inc); /* blocks */
bool begun_has(struct engine *e, incarnation_t inc);

/* ids.c */
void ids_fini(struct engine *e);

/* keeper.c: background work of each second. */
void keeper_start(struct engine *e);
void keeper_stop(struct engine *e);
void keeper_wake(struct engine *e); /* a step now; from any thread */
/* Waits, for a moment at most, until the times of earlier incarnations are stored. */
void keeper_settle(struct engine *e);
void keeper_fill_policy(struct engine *e, struct undo_policy_host *policy);

/* exposed.c */
void exposed_open(struct engine *e); /* once the LSM is open; before recovery */
/* Before readers are shown `scn` on a standby. With the publisher's mutex. */
void exposed_note(struct engine *e, scn_t scn);
/* What readers were shown before a restart: not more than `tip`. */
scn_t engine_exposed_scn(struct engine *e, scn_t tip);
void engine_store_exposed(struct engine *e); /* blocks */
/* How far redo of the incarnation that this node wrote last had been durable, at the least. Of one
 * that it only followed a cut may have taken some back: false. Before redo is opened. */
bool engine_known_durable(struct engine *e, struct redo_pos *out);

/* strand.c: the owner brackets each write (version into the memtable, record into the strand) with
 * these, so that a sealer sees both or neither. Parks while a sealer is inside. */
void strand_enter(struct txn *t);
void strand_leave(struct txn *t);
/* On a background thread: every strand that may hold records of versions in a sealed memtable is
 * appended. Blocks. */
void strands_reserve_all(struct engine *e);
/* The first record of the oldest transaction that has one, or `none`. Any thread. */
struct lsn strands_low(struct engine *e, struct lsn none);

/* txn.c: the txid that the next write carries; makes it at first use. */
MUST_CHECK
int txn_write_txid(struct txn *t, txid_t *txid);

/* publish.c */
void publisher_init(struct publisher *p, struct env *env);
void publisher_fini(struct publisher *p);
/* Redo is durable up to a frame's end: log threads call it, in order. */
void publisher_on_durable(struct engine *e, struct lsn lsn, scn_t scn);
/* Ends every wait with `code`: the node left its role or closes. */
void publisher_fail_waiters(struct engine *e, int code);
/* The end of a frame that has been applied. */
void publisher_mark(struct engine *e, struct lsn lsn, scn_t scn);
/* Another reign, or a cut at lsn: nothing counts as published, nothing past scn as visible. */
void publisher_cut(struct engine *e, struct lsn lsn, scn_t scn);
/* A branch that ends at scn is entered. */
void publisher_lower(struct engine *e, scn_t scn);
/* Recovery and cuts: the visible SCN becomes exactly this, and no mark is left. */
void publisher_reset(struct engine *e, struct lsn lsn, scn_t scn);

#endif
