/* All LSM trees of one node: memtables and segments as sets of runs, writes, sealing, flush and
 * compaction, branches, recovery positions. Reads at an SCN are engine/undo/undo.h, on top of the
 * views given out here. The rules cited (ORDER-1, CUT-2, …) are the storage rules of README.md.
 *
 *   lsm_create, lsm_open          an empty database's manifest; open what the manifest names
 *   lsm_replay_*                  recovery and standby: versions out of redo
 *   lsm_start                     background flush and compaction begin
 *   lsm_view_*                    the set of runs of a tree, held without locks
 *   lsm_newest, lsm_write         optimistic writing on top of the newest version
 *   lsm_enter, lsm_resume         cuts and every other start of an incarnation
 *   lsm_horizon_*, lsm_pin_*      what history must be kept
 *
 * Threads: any, except where a function says that writers must be quiet. What blocks (disk, waits
 * for redo) says so: call it from a background thread or through a job pool, never on a worker.
 *
 * Lock order: lsm.edit → lsm.state → tree.lock → txids.lock. No lock is held while host functions
 * that block are called, except lsm.edit.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_LSM_LSM_H
#define ENGINE_LSM_LSM_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/bytes.h"
#include "engine/base/id.h"
#include "engine/lsm/manifest.h"
#include "engine/redo/lineage.h"

struct arena;
struct env;
struct hash128;
struct job_pool;
struct log;
struct lsm;
struct lsm_tree;
struct lsm_view;
struct segment_repair;

/* ---- what the transaction room lends -------------------------------------------------------- */

enum lsm_status {
    LSM_OPEN,      /* still running, or nothing is known of it (TXN-2) */
    LSM_COMMITTED, /* *scn is set */
    LSM_DEAD,      /* an abort record, or its incarnation ended without its commit */
};

struct lsm_host {
    void *arg;
    /* The status of a txid. From any thread; never parks or blocks; no lsm call from inside. Once
     * COMMITTED it answers so for as long as lsm_status_floor and lsm_names_txid ask for it. */
    enum lsm_status (*resolve)(void *arg, txid_t txid, scn_t *scn);
    /* A position L such that every record of the incarnation followed below L has its version in
     * a memtable already. While writing: the ring's end (a version enters its memtable before its
     * record can get an LSN). On a standby and in replay: what all lanes have passed. Once settle,
     * called after this, has returned, resolve answers for every commit and abort record below L.
     * *inc: whose position it is; that may be the incarnation before while lsm_enter or lsm_resume
     * runs and until the host's own state has followed. Any thread, never blocks. */
    struct lsn (*floor)(void *arg, incarnation_t *inc);
    /* Gives every version that is in a memtable now, and whose transaction lives, a record with an
     * LSN (each worker reserves its strands), then sets *end to a position above all those records.
     * On a standby: the end of what has been handed to the lanes. Blocks. An error (ERR_STOPPED)
     * puts the flush off. */
    int (*settle)(void *arg, struct lsn *end);
    /* Waits until this node's redo of incarnation inc is durable to lsn (REDO-1). An incarnation
     * that has ended and whose kept part is durable: 0 at once. Blocks. */
    int (*wait_durable)(void *arg, incarnation_t inc, struct lsn lsn);
    /* A count that grows with each transaction that ends (commits or dies): every one that has
     * ended when it is called counts at most so much. For lsm_status_floor. Any thread. */
    uint64_t (*ended)(void *arg);
    /* The last SCN of the branch followed that this node holds (committed or applied). */
    scn_t (*tip)(void *arg);
    /* Told after an edit was installed that let recovery positions or names of txids go: a good
     * moment to drop statuses and redo. May be NULL. Background thread. */
    void (*installed)(void *arg);
};

/* ---- opening -------------------------------------------------------------------------------- */

struct lsm_options {
    struct env *env;
    const char *dir;         /* the data directory: manifest, and segments/ below it */
    struct log *log;         /* or NULL: quiet */
    size_t memtable_bytes;   /* all memtables together, sealed ones included; 0: 128 MiB */
    size_t memtable_each;    /* one is sealed at this size; 0: a quarter of the above */
    size_t cache_bytes;      /* block cache; 0: 128 MiB */
    uint64_t redo_bytes_max; /* what recovery may have to read; the oldest memtable is flushed to
                              * keep below; 0: 1 GiB */
    uint64_t file_bytes;     /* outputs are split at this size; 0: 48 MiB */
    uint64_t level_bytes;    /* a flushed run below it is small (level 0); 0: memtable_each */
    int tier_runs;           /* runs of one size class that are merged together; 0: 4 */
    int size_ratio;          /* the last level is rewritten once the runs above it reach its
                              * size / ratio; 0: 4 */
    uint64_t merge_rate;     /* bytes a second that compaction may write; 0: no limit */
    int background_threads;  /* 0: one */
    bool no_background;      /* tests: nothing happens but by lsm_job_start and lsm_job_install */
    struct job_pool *jobs;   /* where fibers read blocks that are not cached; NULL: in
                              * line */
    const struct segment_repair *repair; /* of damaged blocks; or NULL */
    uint32_t broken;                     /* tests: rules switched off, enum lsm_rule bits */
};

/* Rules that tests switch off to see that the checker notices. */
enum lsm_rule {
    LSM_BREAK_ORDER_1 = 1,
    LSM_BREAK_UNDO_1 = 2,
    LSM_BREAK_UNDO_2 = 4,
    LSM_BREAK_UNDO_3 = 8,
    LSM_BREAK_UNDO_4 = 16,
    LSM_BREAK_TOMB_1 = 32,
    LSM_BREAK_CUT_2 = 64,
    LSM_BREAK_CUT_4 = 128, /* nothing is read again */
    LSM_BREAK_STATUS_1 = 256,
    LSM_BREAK_REDO_3 = 512,
    LSM_BREAK_HORIZON_2 = 1024,
    LSM_BREAK_READ_1 = 2048,
    LSM_BREAK_READ_2 = 4096,
    LSM_BREAK_HORIZON_1 = 1 << 13, /* pins and holds do not count */
    LSM_BREAK_HORIZON_4 = 1 << 14, /* nor do the forks of orphans */
    LSM_BREAK_DDL_1 = 1 << 15,     /* a dropped tree goes at once */
    LSM_BREAK_CUT_5 = 1 << 16,     /* the first flush ends what is read again */
    LSM_BREAK_END = 1 << 17,       /* bits from here on are the tests' own */
};

/* Makes the manifest of an empty database (branch 0, horizon 0) and the folder for segments. Items
 * of higher rooms may come along in `more` (or NULL). Blocks. */
MUST_CHECK
int lsm_create(struct env *env, const char *dir, uint64_t database_id,
               const struct manifest_edit *more);
/* Opens what the manifest names and deletes files that it does not name. A segment that is missing
 * or whose footer is damaged: ERR_CORRUPT with its name. Nothing runs in the background yet. The
 * host's functions may be called from here on, host->arg must be ready. Blocks. */
MUST_CHECK
int lsm_open(const struct lsm_options *o, const struct lsm_host *host, struct lsm **out);
void lsm_start(struct lsm *l); /* background work begins; once */
/* Ends background work first: no new job starts, those under way are given up. */
void lsm_stop(struct lsm *l);
void lsm_close(struct lsm *l); /* stops; no view may be held. NULL allowed. Flushes nothing. */

struct manifest *lsm_manifest(struct lsm *l);
struct env *lsm_env(const struct lsm *l);

/* ---- trees ---------------------------------------------------------------------------------- */

enum { LSM_TREE_RESERVED = 64 }; /* trees 1 to this exist always, on every branch */

/* NULL when there is none. The pointer stays valid until lsm_close, even if the tree is removed
 * (reading and writing then answer ERR_NOT_FOUND). A few nanoseconds. */
struct lsm_tree *lsm_tree_find(struct lsm *l, tree_id_t id);
tree_id_t lsm_tree_id(const struct lsm_tree *t);
/* A block of ids never given before: durable. Blocks. */
MUST_CHECK
int lsm_tree_ids(struct lsm *l, uint64_t count, tree_id_t *first);
/* The tree exists from `stamp` on (a txid, or an SCN) on the branch followed. Call before the
 * record can get an LSN. The same again (replay): nothing happens. Removed by itself once its
 * creator is dead (DDL-1). In replay and on a standby: the dispatcher calls it before it hands out
 * records of the tree. Never blocks: made durable by the next edit, redo has it until then. */
struct lsm_tree *lsm_tree_create(struct lsm *l, tree_id_t id, stamp_t stamp);
/* Dropped as of `stamp`: its runs go when no kept branch can see a moment before it (DDL-1). */
void lsm_tree_drop(struct lsm *l, tree_id_t id, stamp_t stamp);
/* In replay: whether the create or drop record at lsn is to be given to the two above (REDO-3). */
bool lsm_trees_need(struct lsm *l, incarnation_t inc, struct lsn lsn);
/* Removes trees that nothing can see. Background work does it too. Blocks. */
MUST_CHECK
int lsm_trees_sweep(struct lsm *l);

/* ---- views ---------------------------------------------------------------------------------- */

/* The runs of a tree as one immutable set: the active memtable (which still changes), sealed
 * memtables, main segments, all newest first, and undo runs. Holding it keeps its memory, files and
 * statuses (STATUS-2). One atomic operation to take, one to give back; flush, compaction and cuts
 * never wait for holders nor the other way round. A view belongs to the branch that was followed
 * when it was made. */
struct lsm_view *lsm_view_acquire(struct lsm_tree *t);
void lsm_view_ref(struct lsm_view *v);
void lsm_view_release(struct lsm_view *v); /* any thread; NULL allowed */
struct lsm_tree *lsm_view_tree(const struct lsm_view *v);

/* ---- writing -------------------------------------------------------------------------------- */

/* The newest version of a key, whoever wrote it, dead ones and ones hidden by a cut left out. */
struct lsm_newest {
    bool found;             /* false: none anywhere */
    enum lsm_status status; /* LSM_OPEN or LSM_COMMITTED */
    stamp_t stamp;          /* LSM_OPEN: the txid; LSM_COMMITTED: the SCN */
    uint64_t seq;
    uint8_t kind;       /* version.h */
    struct slice value; /* lives as long as the view and the arena */
    uint64_t token[2];  /* for lsm_write */
};
/* View must be fresh: one taken long ago only makes lsm_write fail. May park (disk). 0 also when
 * nothing is found. */
MUST_CHECK
int lsm_newest(struct lsm_view *v, struct slice key, struct arena *arena, struct lsm_newest *out);
/* Adds a version on top of what lsm_newest saw. ERR_AGAIN (no error recorded) when another version
 * or another memtable has come: look again. ERR_NOMEM when the hard cap on memtables is reached.
 * Never parks or blocks. `token` NULL: unconditionally, for replay and the lanes of a standby; the
 * caller then keeps the versions of a key in the order of redo. Call before the version's record
 * can get an LSN (REDO-1). */
MUST_CHECK
int lsm_write(struct lsm_tree *t, struct slice key, const uint64_t token[2], stamp_t stamp,
              uint64_t seq, uint8_t kind, struct slice value);
/* How long a writer of `bytes` should wait first so that memory and debt stay within bounds: 0
 * normally, growing smoothly with waiting memtables, runs and compaction debt. The caller sleeps
 * (parks) and goes on. */
uint64_t lsm_admission_delay_us(struct lsm *l, size_t bytes);
/* Memory is almost used up: the caller parks until it is not, or until it loses patience. */
bool lsm_memory_is_short(const struct lsm *l);

/* ---- sealing, flush, compaction ------------------------------------------------------------- */

/* Seals the tree's memtable if it holds anything. Waits for writers inside (microseconds), never
 * for redo. */
void lsm_seal(struct lsm_tree *t);

/* One merge, in two steps so that tests can do other things in between; background threads call
 * them one after the other. */
struct lsm_job;
enum lsm_job_kind {
    LSM_JOB_FLUSH,   /* the oldest sealed memtable of the tree */
    LSM_JOB_COMPACT, /* what the picker finds most worth doing; nothing: ERR_NOT_FOUND */
    LSM_JOB_ALL,     /* every segment of the tree, into the last level */
    LSM_JOB_RANDOM,  /* tests: neighbours chosen by `pick` */
    LSM_JOB_UNDO,    /* undo runs of one expiry window, or by `pick` */
};
/* Merges and writes the outputs. One flush and one other job per tree at a time: ERR_AGAIN. On a
 * write error the outputs are discarded and the inputs stay (B2). Blocks. */
MUST_CHECK
int lsm_job_start(struct lsm_tree *t, enum lsm_job_kind kind, uint64_t pick, struct lsm_job **out);
/* One edit of the manifest: outputs in, inputs out, positions and statuses with them. Waits for
 * redo first (REDO-1). Frees the job. ERR_AGAIN when an input is gone: nothing has changed. */
MUST_CHECK
int lsm_job_install(struct lsm_job *job);
void lsm_job_discard(struct lsm_job *job);

/* Seals and flushes everything; merges everything down. Block. */
MUST_CHECK
int lsm_flush_all(struct lsm *l);
MUST_CHECK
int lsm_compact_all(struct lsm *l);
/* Unlinks undo runs that lie wholly below the horizon and are not revived (UNDO-4), and runs that
 * no kept branch sees anything of. Blocks. */
MUST_CHECK
int lsm_expire(struct lsm *l);

/* Merges undo files within their expiry windows, one merge per tree at most. Blocks. */
MUST_CHECK
int lsm_merge_undo(struct lsm *l);

/* ---- statuses ------------------------------------------------------------------------------- */

/* STATUS-2: no memtable that anybody can still read needs the status of a transaction that ended
 * at or before this count of host->ended. Stamps memtables on the way when `work` is set (costs
 * time in proportion to their size: background threads only). */
uint64_t lsm_status_floor(struct lsm *l, bool work);
/* Whether a segment that is named by the manifest, by a merge or by a view names the txid, or the
 * life span of a tree does. */
bool lsm_names_txid(struct lsm *l, txid_t txid);
/* Calls fn for each status that the manifest keeps (STATUS-1): at start. */
void lsm_each_status(struct lsm *l, void (*fn)(void *arg, txid_t txid, scn_t scn), void *arg);

/* ---- recovery ------------------------------------------------------------------------------- */

/* Recovery reads, for every incarnation that lsm_replay_next names (ascending, the one followed
 * last: REDO-2), redo from `from` to the end of what the node holds of it:
 *     lsm_replay_begin(inc);  for each record: lsm_tree_create/_drop if lsm_trees_need,
 *                             lsm_write(token NULL) if lsm_replay_needed;
 *     lsm_replay_end(inc);
 * host->floor must answer the position of the record being read, host->resolve may answer OPEN for
 * everything. Before the first: inc 0 as `after`. False: no more. */
bool lsm_replay_next(struct lsm *l, incarnation_t after, bool first, incarnation_t *inc,
                     struct lsn *from);
void lsm_replay_begin(struct lsm *l, incarnation_t inc);
/* Seals what was read of an incarnation that is not followed. */
void lsm_replay_end(struct lsm *l, incarnation_t inc);
/* Whether the tree has not flushed the write at lsn by this txid yet (REDO-3). A tree that is not
 * there any more needs nothing: check lsm_tree_find first. */
bool lsm_replay_needed(struct lsm_tree *t, incarnation_t inc, struct lsn lsn, txid_t txid);
/* From where redo of the incarnation must be kept for recovery, by what is durable; false: nothing
 * of it. Waits for an edit under way: blocks. */
bool lsm_redo_needed(struct lsm *l, incarnation_t inc, struct lsn *from);

/* ---- branches ------------------------------------------------------------------------------- */

incarnation_t lsm_branch(struct lsm *l); /* the one followed */
/* Something is kept here of the incarnation, or recovery needs its redo. */
bool lsm_was_entered(struct lsm *l, incarnation_t inc);
/* At start: not below the SCN of any commit of the branch followed whose redo lies below its
 * recovery position, and durable. What is replayed may raise it. */
scn_t lsm_stored_tip(struct lsm *l);
void lsm_lineage(struct lsm *l, struct lineage *out); /* a copy; out is initialised */
/* Adds what a peer knows of incarnations, durably, with `more` (or NULL) in the same edit; the
 * branch followed stays. ERR_DIVERGED. Blocks. */
MUST_CHECK
int lsm_lineage_merge(struct lsm *l, const struct lineage *peer, const struct manifest_edit *more);
/* CUT-1, from the lineage. Any thread. */
scn_t lsm_part(struct lsm *l, incarnation_t a, incarnation_t b);

/* A cut, and every other start of an incarnation: seals all memtables, and with one edit adds the
 * lineage entry, follows it, and keeps what was followed as an orphan branch if it has anything
 * that the new branch does not see. old_tip, old_end: the last SCN and the end of redo that the
 * node holds of the branch followed so far. Writers and lanes must be quiet, transactions open on
 * the old branch count as dead from here on. `more`: items that belong into the same edit, or
 * NULL. The caller has checked lsm_holds(parent, fork_scn); ERR_SNAPSHOT_TOO_OLD if it did not.
 * Blocks. */
MUST_CHECK
int lsm_enter(struct lsm *l, const struct lineage_entry *entry, scn_t old_tip, struct lsn old_end,
              const struct manifest_edit *more);
/* Follows again the stream of an incarnation that was left before its end. What was open there is
 * not dead after all (CUT-4): the caller then reads redo again from `low`, the first record of the
 * oldest transaction that was open where it left, to `end`, where it left, giving
 *     lsm_write (token NULL) each write for which lsm_replay_needed says so,
 *     lsm_tree_create and _drop if lsm_trees_need, statuses of commits and aborts,
 * then calls lsm_reread_end and goes on as ever. Only writes of the transactions in `open`
 * (children included) are needed: all others are here already, and read again above what other
 * branches have written since they would break the order of age. What was read again is read again
 * after a crash too, until it is flushed; a flush of anything older does not end that (CUT-5). low
 * == end, and none open: nothing to read. Quiet as above. Blocks. */
struct lsm_reread {
    struct lsn low, end;
    const txid_t *open;
    size_t open_count;
};
MUST_CHECK
int lsm_resume(struct lsm *l, incarnation_t inc, scn_t old_tip, struct lsn old_end,
               const struct lsm_reread *again, const struct manifest_edit *more);
void lsm_reread_end(struct lsm *l);
/* Whether the state of branch b at SCN s can be read here (HORIZON-2). */
bool lsm_holds(struct lsm *l, incarnation_t b, scn_t s);
/* READ-3: the branch on which to read (b, s): b if it is kept, else a kept one that includes it. */
incarnation_t lsm_home(struct lsm *l, incarnation_t b, scn_t s);
struct lsm_branch_info {
    incarnation_t inc;
    scn_t tip;  /* its last SCN held here */
    scn_t part; /* the SCN up to which it is the same history as the branch followed */
    bool followed;
};
/* Branches that are kept, ascending. Returns how many there are; fills at most `max`. */
size_t lsm_branches(struct lsm *l, struct lsm_branch_info *out, size_t max);
/* Gives up an orphan branch. ERR_OBJECT_IN_USE when a pin or a hold needs it. Blocks. */
MUST_CHECK
int lsm_branch_drop(struct lsm *l, incarnation_t inc);

/* ---- horizon, pins, holds ------------------------------------------------------------------- */

scn_t lsm_horizon(const struct lsm *l); /* durable; one atomic load */
/* HORIZON-1: the highest horizon that branches, pins and holds allow, and `limit` (durable and
 * published SCN, snapshots of the present, members: the caller's). */
scn_t lsm_horizon_limit(struct lsm *l, scn_t limit);
/* Raises it to `wanted`, but not past the limit above: never falls, durable before it is used.
 * Blocks. */
MUST_CHECK
int lsm_horizon_raise(struct lsm *l, scn_t wanted, scn_t limit);

enum { LSM_PIN_NAME_MAX = 129 }; /* with the NUL */
/* A restore point (PIN-1). HORIZON-2: ERR_SNAPSHOT_TOO_OLD below the horizon. A name that exists:
 * ERR_DUPLICATE_OBJECT unless `replay`, which puts it there again. Durable when it returns. */
struct lsm_pin {
    char name[LSM_PIN_NAME_MAX];
    struct moment at;
    bool guaranteed;
    uint64_t time_us;
};
MUST_CHECK
int lsm_pin_put(struct lsm *l, const struct lsm_pin *pin, bool replay);
MUST_CHECK
int lsm_pin_drop(struct lsm *l, const char *name); /* ERR_UNDEFINED_OBJECT */
size_t lsm_pins(struct lsm *l, struct lsm_pin *out, size_t max);

/* A volatile pin, for as long as a query of the past or a backup runs. Check and pin are one step
 * (HORIZON-2): ERR_SNAPSHOT_TOO_OLD. Snapshots of the present use something cheaper: they announce
 * their SCN where the caller of lsm_horizon_raise looks, and then check lsm_horizon. */
struct lsm_hold {
    struct lsm_hold *prev, *next;
    struct moment at;
};
MUST_CHECK
int lsm_hold(struct lsm *l, struct moment at, struct lsm_hold *hold);
void lsm_unhold(struct lsm *l, struct lsm_hold *hold);

/* ---- files and figures ---------------------------------------------------------------------- */

/* Keeps segment files on disk though the manifest may drop them, while a backup or a base copy
 * reads them. Nested. The manifest's state at that moment goes to `state`. */
MUST_CHECK
int lsm_files_hold(struct lsm *l, struct manifest_edit *state);
void lsm_files_unhold(struct lsm *l);
/* The name of a segment file in the folder segments/ of the data directory: "%016lx.seg". */
enum { LSM_FILE_NAME_MAX = 32 };
void lsm_file_name(uint64_t file_id, char out[LSM_FILE_NAME_MAX]);
/* Of a MANIFEST_SEGMENT item: the file's number and its segment_file_hash. */
MUST_CHECK
int lsm_segment_hash(struct slice key, struct slice value, uint64_t *file_id, struct hash128 *hash);

struct lsm_figures {
    uint64_t memtable_bytes, memtables_sealed;
    uint64_t segment_bytes, undo_bytes, segments, runs_max;
    uint64_t flushes, compactions, flush_bytes, compaction_bytes, compaction_read_bytes;
    uint64_t versions_dropped, job_failures, debt_bytes;
    uint64_t cache_hits, cache_misses;
};
void lsm_get_figures(struct lsm *l, struct lsm_figures *out);

#endif
