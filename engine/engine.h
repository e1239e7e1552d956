/* The storage engine's one public header: an ordered, transactional, multi-version key-value store
 * with history. engine/ up to txn/ builds as libredoubt-engine.a and needs nothing else;
 * tests/unit/test_library.c is a program that is linked so.
 *
 *   env_posix_new      the real world (base/env.h, which comes along, as do bytes.h and err.h)
 *   engine_create      makes an empty database in a directory, once
 *   engine_mount       recovers it; readable at its visible SCN, not writable
 *   engine_open_write  starts the next incarnation; from here on transactions may write
 *   txn_*              transactions: begin, read, lock, write, savepoints, commit
 *   engine_publish     moves the visible SCN (the commit gate or the applier calls it)
 *
 * Threads: an engine is shared by all threads; a txn belongs to one task at a time. What may park
 * the fiber says so. Keys are compared with memcmp; limits are checked at the door: key 4 KiB,
 * value 64 MiB.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/bytes.h"
#include "engine/base/env.h"
#include "engine/base/id.h"
#include "engine/base/mem.h"

struct engine;
struct txn;
struct txn_cursor;
struct lineage;
struct lsm;
struct redo;
struct log;

enum { ENGINE_KEY_MAX = 4096, ENGINE_VALUE_MAX = 64 << 20 };

/* ---- opening -------------------------------------------------------------------------------- */

struct engine_options {
    struct env *env;
    const char *dir;          /* the data directory: redo/, segments/, manifest */
    struct log *log;          /* or NULL: quiet */
    size_t memtable_bytes;    /* all memtables together; 0: 128 MiB */
    size_t memtable_each;     /* sealed at this size; 0: a quarter of the above */
    size_t cache_bytes;       /* block cache; 0: 128 MiB */
    size_t ring_bytes;        /* redo ring; 0: 16 MiB */
    uint64_t redo_file_bytes; /* 0: 64 MiB */
    uint64_t redo_keep_bytes; /* for absent standbys; 0: 1 GiB */
    const char *archive_dir;  /* full redo files are copied there; NULL: none */
    uint64_t retention_us;    /* how far back history is kept; 0: one hour */
    uint64_t retention_bytes; /* cap on undo segments; 0: no cap */
    int background_threads;   /* flush and compaction; 0: one */
    bool no_background;       /* tests step flush and compaction themselves */
    bool no_sync;             /* bench only: redo is written but not forced */
    bool hold_redo;           /* none is let go of until redo_hold says so */
    /* How much of an incarnation's redo mounting has replayed, now and then; NULL: not told. */
    void (*progress)(void *arg, uint64_t bytes, uint64_t total);
    void *progress_arg;
};

/* Makes a new database: directory layout, manifest, database id, lineage with incarnation 0 as its
 * root. ERR_FILE_EXISTS when there is one. Blocks. */
MUST_CHECK
int engine_create(struct env *env, const char *dir, uint64_t *database_id);
/* Locks the directory, reads the manifest, replays redo. Afterwards reads work at the recovered
 * SCN; nothing is writable. Blocks for as long as replay takes. */
MUST_CHECK
int engine_mount(const struct engine_options *o, struct engine **out);
/* Ends cleanly: no transaction may be open. Flushes nothing: redo has it. Blocks. */
void engine_close(struct engine *e);

/* Opens for writing as incarnation `inc` (greater than every number used or promised), which goes
 * on from the end of what this node holds (INC-1: every opening does this). Its record ends all
 * transactions open before. Durable when it returns. The reign id is the role register's. */
MUST_CHECK
int engine_open_write(struct engine *e, incarnation_t inc, uint64_t reign_id);
/* The same, going back: the new incarnation goes on from SCN `scn` of the branch followed, which is
 * held and not above its newest; what was committed after it becomes an orphan branch. For restore.
 * ERR_SNAPSHOT_TOO_OLD when history does not reach back so far. */
MUST_CHECK
int engine_open_write_at(struct engine *e, incarnation_t inc, uint64_t reign_id, scn_t scn);
/* No transaction may write or commit from here on (they get 57P01); appends under way are done
 * when it returns. The way back is engine_open_write with a new incarnation. */
void engine_close_write(struct engine *e);

uint64_t engine_database_id(const struct engine *e);
incarnation_t engine_incarnation(const struct engine *e); /* the branch followed */
bool engine_is_writable(const struct engine *e);
/* Writable, and everything that was committed before the opening is visible: until then a reader
 * may miss commits that a client of the time before was told of. */
bool engine_is_open(const struct engine *e);
struct redo_pos;
/* Where the redo of the branch followed ends here. Blocks. */
MUST_CHECK
int engine_end_of_log(struct engine *e, struct redo_pos *end);
struct lineage *engine_lineage(struct engine *e); /* for logship and roles; see redo/lineage.h */
struct redo *engine_redo(struct engine *e);
struct lsm *engine_lsm(struct engine *e);
struct env *engine_env(const struct engine *e);

/* ---- what is visible ------------------------------------------------------------------------ */

scn_t engine_visible_scn(const struct engine *e); /* what a new snapshot reads at; never falls
                                                     within an incarnation */
scn_t engine_newest_scn(const struct engine *e);  /* the newest given out; may not be durable */
/* All commits up to the LSN are durable and acknowledged as the mode asks (or, on a standby,
 * applied and published by the primary): the visible SCN becomes the last SCN at or below it. From
 * any thread. */
void engine_publish(struct engine *e, struct lsn lsn);
/* What has been published so far, as an LSN; on a standby not past what is applied. From any
 * thread. */
struct lsn engine_published_lsn(struct engine *e);
/* A switchover drains: commits that write wait (their fibers park) until they are let go on, or
 * until the engine stops writing, when they fail with 57P01. From any thread. */
void engine_hold_commits(struct engine *e, bool hold);
/* The commit gate: who decides when durable redo may be published. Without one it is published as
 * soon as it is durable. on_durable runs on log threads, in order; it may call engine_publish. */
struct commit_gate {
    void (*on_durable)(void *arg, struct lsn durable, scn_t scn);
    void *arg;
};
void engine_set_gate(struct engine *e, const struct commit_gate *gate);
/* Called (on the publishing thread) after the visible SCN has moved: to wake those who wait. Up to
 * 32 watchers; one per worker is meant. */
struct visible_watch {
    void (*fn)(void *arg, scn_t visible);
    void *arg;
};
MUST_CHECK
int engine_watch_visible(struct engine *e, const struct visible_watch *w);
void engine_unwatch_visible(struct engine *e, const struct visible_watch *w);
/* Waits until the visible SCN is at least scn. Parks. ERR_STOPPED when the engine closes or leaves
 * the incarnation first (the outcome is then unknown to the caller), ERR_TIMEOUT. */
MUST_CHECK
int engine_wait_visible(struct engine *e, scn_t scn, uint64_t timeout_us);

/* The moment for a commit time, for AS OF TIMESTAMP: the last SCN committed at or before
 * `time_us` (since 1970). ERR_SNAPSHOT_TOO_OLD below the horizon. May park (reads). */
MUST_CHECK
int engine_scn_at_time(struct engine *e, uint64_t time_us, scn_t *scn);
MUST_CHECK
int engine_time_of_scn(struct engine *e, scn_t scn, uint64_t *time_us);
scn_t engine_horizon(const struct engine *e);

/* What became of a transaction, for a client that lost its connection in a commit (A5). COMMITTED
 * is said only of what is visible: no crash and no failover takes it back. On a node that follows,
 * what may still run on the primary is IN_PROGRESS until its end is heard of. UNKNOWN: nothing of
 * that time is known. ERR_INVALID_PARAMETER_VALUE: not given out yet. May park (reads). */
enum txn_outcome { TXN_UNKNOWN, TXN_IN_PROGRESS, TXN_COMMITTED, TXN_ABORTED };
MUST_CHECK
int engine_txn_outcome(struct engine *e, txid_t txid, enum txn_outcome *out);

/* The SCN of the last commit at or below `snapshot` that changed the catalogue (wrote to a reserved
 * tree): two snapshots with the same answer see the same catalogue. */
scn_t engine_catalog_change(struct engine *e, scn_t snapshot);

/* HORIZON-3: lowers a limit of the horizon to the positions of members that may be promoted. On the
 * keeper's thread. Set before the engine opens for writing. */
struct members_limit {
    scn_t (*fn)(void *arg, scn_t limit);
    void *arg;
};
void engine_set_members_limit(struct engine *e, const struct members_limit *m);

/* ---- trees ---------------------------------------------------------------------------------- */

/* Trees 1..ENGINE_TREE_RESERVED exist always; all but the last two are the catalogue's. */
enum {
    ENGINE_TREE_RESERVED = 64,
    ENGINE_TREE_TIMES = 64,    /* the engine's own: commit times (txn/times.c) */
    ENGINE_TREE_OUTCOMES = 63, /* and which transactions committed (txn/outcome.c) */
};
/* Makes a tree as part of the transaction: gone if it aborts. The id is never used twice. */
MUST_CHECK
int txn_tree_create(struct txn *t, tree_id_t *id);
/* Dropped as of the transaction's commit; its rows stay readable AS OF until history expires. */
MUST_CHECK
int txn_tree_drop(struct txn *t, tree_id_t id);
/* A high-water mark for ids other than trees' (row ids, OIDs, sequences' caches): gives `count`
 * numbers never given before in this database, whatever is rolled back or cut. Parks when a new
 * block has to be made durable. */
MUST_CHECK
int engine_ids(struct engine *e, const char *what, uint64_t count, uint64_t *first);

/* ---- transactions --------------------------------------------------------------------------- */

enum txn_isolation { TXN_READ_COMMITTED, TXN_REPEATABLE_READ };

/* A session keeps one txn object and uses it again and again. */
struct txn *txn_new(struct engine *e);
void txn_free(struct txn *t); /* rolls back if open */
MUST_CHECK
int txn_begin(struct txn *t, enum txn_isolation isolation, bool read_only);
bool txn_is_open(const struct txn *t);
txid_t txn_id(const struct txn *t); /* 0 until the first write */
/* Gives it its txid now, read-only or not: from here on its end is on record. */
MUST_CHECK
int txn_assign_id(struct txn *t);
void txn_set_read_only(struct txn *t, bool read_only);
MUST_CHECK
int txn_set_isolation(struct txn *t, enum txn_isolation i); /* before the first snapshot */

/* A statement sees one snapshot: under READ COMMITTED a new one each, else the transaction's.
 * Values and cursors of a statement live until txn_statement_end. Nested calls (a trigger, a
 * foreign key check) share the outer one's. */
MUST_CHECK
int txn_statement_begin(struct txn *t);
void txn_statement_end(struct txn *t);
scn_t txn_snapshot_scn(const struct txn *t);
/* What the statement has written so far is seen by its reads from here on (else a statement never
 * sees its own writes). For DDL, which is many small steps. */
void txn_command_done(struct txn *t);
/* Whether it wrote to one of the catalogue's trees. */
bool txn_wrote_catalog(const struct txn *t);

/* The highest SCN that the transaction has read or written beyond its snapshots (the newest version
 * on a locked row, a unique violation's cause, its own commit). Whoever answers a client waits
 * until the visible SCN has reached it: nobody is shown a commit that could be taken back. */
scn_t txn_must_be_visible(const struct txn *t);

/* Everything that an AS OF read needs to know; NULL stands for the statement's own snapshot. */
struct read_moment {
    incarnation_t inc; /* 0: the branch followed */
    scn_t scn;
};
/* Checks that the moment is held here and pins it for the statement: ERR_SNAPSHOT_TOO_OLD below the
 * horizon, ERR_TARGET_UNREACHABLE beyond what is visible. */
MUST_CHECK
int txn_pin_moment(struct txn *t, struct read_moment m);

/* The value of key as the statement sees it, own writes included. 0, ERR_NOT_FOUND, or worse. The
 * value lives until the statement ends. May park (disk). */
MUST_CHECK
int txn_get(struct txn *t, tree_id_t tree, struct slice key, const struct read_moment *m,
            struct slice *value);

/* A range [lo, hi) in key order, or backwards; hi with size 0 and data NULL: to the end. */
enum {
    TXN_SCAN_BACKWARD = 1,
    TXN_SCAN_KEYS_ONLY = 2,
    TXN_SCAN_NEWEST = 4, /* the newest commits and all own writes, not the statement's snapshot: for
                          * checks that must hold at the commit. Open writes of others are not seen:
                          * the caller holds what keeps them out */
};
MUST_CHECK
int txn_scan(struct txn *t, tree_id_t tree, struct slice lo, struct slice hi, int flags,
             const struct read_moment *m, struct txn_cursor **out);
/* 0, or ERR_END. The slices live until the next call on this cursor. May park. */
MUST_CHECK
int txn_cursor_next(struct txn_cursor *c, struct slice *key, struct slice *value);
void txn_cursor_close(struct txn_cursor *c); /* NULL allowed */

/* ---- locking and writing -------------------------------------------------------------------- */

enum row_lock { ROW_KEY_SHARE, ROW_SHARE, ROW_NO_KEY_UPDATE, ROW_UPDATE };
enum lock_wait { LOCK_WAIT, LOCK_NOWAIT, LOCK_SKIP };

/* The newest state of a key, once no other transaction holds it: what a write goes on top of. */
struct txn_row {
    bool found;   /* false: no such row now */
    bool own;     /* this transaction wrote it */
    bool changed; /* committed after the statement's snapshot (never set on own rows) */
    scn_t scn;    /* of the commit; 0 for own or not found without history */
    struct slice value;
    uint64_t token[4]; /* for txn_write; opaque */
};
/* Waits for a writer of the key to end (parks; 40P01 when that would be a deadlock; 55P03 with
 * LOCK_NOWAIT; ERR_AGAIN with LOCK_SKIP), then reads the newest version. Under REPEATABLE READ a
 * row that was changed since the snapshot is refused with 40001. Takes no lock: txn_write fails
 * with ERR_AGAIN when somebody was faster, and the caller looks again. */
MUST_CHECK
int txn_read_newest(struct txn *t, tree_id_t tree, struct slice key, enum lock_wait wait,
                    struct txn_row *row);
/* The same, and holds the row in the given mode until the transaction ends. */
MUST_CHECK
int txn_lock_row(struct txn *t, tree_id_t tree, struct slice key, enum row_lock mode,
                 enum lock_wait wait, struct txn_row *row);
/* Whether an own row was written by the statement that runs now. */
bool txn_wrote_in_statement(const struct txn *t, const struct txn_row *row);
/* Puts (or, with delete, deletes) on top of `row`. The write is the row's lock from then on.
 * no_key: the change leaves the key columns alone (does not conflict with ROW_KEY_SHARE holders).
 * ERR_AGAIN: the row is no longer as `row` says, look again. May park (ring full, back-pressure).
 */
enum txn_write_kind { TXN_PUT, TXN_PUT_NO_KEY, TXN_DELETE };
MUST_CHECK
int txn_write(struct txn *t, tree_id_t tree, struct slice key, enum txn_write_kind kind,
              struct slice value, const struct txn_row *row);
/* Insert where nothing may be: 0, or ERR_FILE_EXISTS with *existing filled (value included) when a
 * live row is there, committed or own. Waits for an uncommitted one to end. */
MUST_CHECK
int txn_insert(struct txn *t, tree_id_t tree, struct slice key, struct slice value,
               struct txn_row *existing);
/* Insert under a key that has never been in the tree and that nobody else can come up with: a
 * number of engine_ids, or one above all others of a tree that this transaction has made. Nothing
 * is looked up. */
MUST_CHECK
int txn_insert_new(struct txn *t, tree_id_t tree, struct slice key, struct slice value);
/* Put whatever is there, waiting for other writers; for the engine's users without SQL. */
MUST_CHECK
int txn_put(struct txn *t, tree_id_t tree, struct slice key, struct slice value);
MUST_CHECK
int txn_delete(struct txn *t, tree_id_t tree, struct slice key);

/* Table locks, PostgreSQL's eight modes and conflicts; held until the end of the transaction. */
enum table_lock {
    TABLE_ACCESS_SHARE = 1,
    TABLE_ROW_SHARE,
    TABLE_ROW_EXCLUSIVE,
    TABLE_SHARE_UPDATE_EXCLUSIVE,
    TABLE_SHARE,
    TABLE_SHARE_ROW_EXCLUSIVE,
    TABLE_EXCLUSIVE,
    TABLE_ACCESS_EXCLUSIVE,
};
MUST_CHECK
int txn_lock_table(struct txn *t, uint64_t table, enum table_lock mode, enum lock_wait wait);

/* ---- savepoints and ends -------------------------------------------------------------------- */

/* Savepoints are numbered from 1, nested. Rolling back to n leaves n in place. */
MUST_CHECK
int txn_savepoint(struct txn *t, int *number);
void txn_release(struct txn *t, int number);
void txn_rollback_to(struct txn *t, int number);

struct commit_token {
    incarnation_t inc;
    scn_t scn;      /* 0: nothing was written */
    struct lsn lsn; /* end of its commit record */
    uint64_t time_us;
};
/* Ends the transaction: its SCN, then its status, then its locks. Returns before it is durable: the
 * client may be told once the visible SCN has reached token->scn (engine_wait_visible, or the
 * server's reply gate). On an error it has been rolled back. May park (ring full). */
MUST_CHECK
int txn_commit(struct txn *t, struct commit_token *token);
/* The same, but nobody wakes the log: the caller promises engine_kick at the end of its turn, so
 * that commits made in one turn share a write. */
MUST_CHECK
int txn_commit_in_turn(struct txn *t, struct commit_token *token);
void engine_kick(struct engine *e); /* from any thread; next to nothing where nothing waits */
void txn_rollback(struct txn *t);
/* Makes a transaction that is waiting for a lock give up with 57014; from its own thread. */
void txn_cancel_wait(struct txn *t);
/* It waits for a lock at this moment. From any thread while the transaction's struct is there. */
bool txn_is_waiting(const struct txn *t);

/* ---- figures -------------------------------------------------------------------------------- */

struct engine_figures {
    uint64_t commits, aborts, deadlocks, lock_waits;
    uint64_t memtable_bytes, segment_bytes, undo_bytes, redo_bytes_kept;
    uint64_t flushes, compactions, flush_bytes, compaction_bytes;
    uint64_t cache_hits, cache_misses;
};
void engine_get_figures(struct engine *e, struct engine_figures *out);
/* Seals and flushes every memtable; returns when that is installed. Blocks the thread. */
MUST_CHECK
int engine_flush_all(struct engine *e);
/* Merges everything down to the last level; for VACUUM FULL and benches. Blocks the thread. */
MUST_CHECK
int engine_compact_all(struct engine *e);

#endif
