/* What the files of engine/lsm share. Reading order: lsm_int.h, lsm_view.c, lsm_tree.c,
 * lsm_write.c, lsm_merge.c, lsm_output.c, lsm_job.c, lsm_install.c, lsm_branch.c, lsm_pin.c,
 * lsm_pick.c, lsm_work.c.
 *
 * Locks, in order: lsm.edit (one change of shape at a time, held across the disk) → tree.lock (the
 * tree's current view; short) → lsm.state (short) → lsm.txids.lock, lsm.mems_lock (short, leaves).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_LSM_LSM_INT_H
#define ENGINE_LSM_LSM_INT_H

#include <stdalign.h>

#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/lsm/cache.h"
#include "engine/lsm/view.h"

enum {
    LSM_PATH_MAX = 1024,
    LSM_LANES = MEMTABLE_LANES,
    LSM_LEVEL_FLUSHED = 0,
    LSM_LEVEL_MERGED = 1,
    LSM_LEVEL_LAST = 2,
};
#define LSM_TREE_NONE UINT64_MAX /* in MANIFEST_POSITION: the registry of trees itself */
#define LSM_TAG_NONE  UINT32_MAX /* lsm_tree.created_tag: nothing was said of its creation */

/* ---- txids that segments name (lsm_status.c) --------------------------------------------------
 */

struct lsm_txid {
    txid_t txid; /* 0: empty */
    uint32_t refs;
    bool kept;   /* its status is in the manifest */
    bool adding; /* it is in the edit that is being committed */
    scn_t scn;   /* if kept */
};
struct lsm_txids {
    struct env_mutex lock;
    struct lsm_txid *slots; /* open addressing, a power of two; with lock */
    size_t count, cap;
};

/* ---- branches ---------------------------------------------------------------------------------
 */

struct lsm_live {
    incarnation_t inc;
    scn_t tip; /* of an orphan; of the branch followed ask host->tip */
};
struct lsm_position {
    incarnation_t inc;
    uint64_t lsn;
};
struct lsm_positions {
    struct lsm_position *at;
    uint32_t count, cap;
};

/* A moment's picture of what decides a merge or a read: copied under lsm.state. */
struct lsm_scene {
    incarnation_t branch;
    scn_t horizon;
    struct lineage lineage;
    struct lsm_live *live;
    size_t live_count;
};

/* ---- trees ------------------------------------------------------------------------------------
 */

struct lsm_drop {
    stamp_t stamp;
    incarnation_t tag;
};
struct lsm_tree {
    struct lsm *lsm;
    tree_id_t id;
    alignas(64) _Atomic uint64_t view_word; /* the current view, see lsm_view.c */
    alignas(64) struct env_mutex lock;      /* changes of the view */
    uint64_t generation;                    /* of the current view; with lock */
    bool flush_busy, merge_busy;            /* a job has it; with lock */
    _Atomic bool removed;                   /* changed with lock: nobody can see it any more */

    /* With lsm.edit. */
    struct lsm_positions flushed;    /* above the incarnation's own (REDO-3) */
    struct lsm_stretch_name *reread; /* stretches of which it has flushed its part */
    size_t reread_count;

    /* With lsm.state: the life span (DDL-1). */
    stamp_t created;
    incarnation_t created_tag;
    struct lsm_drop *drops;
    uint32_t drop_count;
    bool dirty;   /* not in the manifest as it is here */
    bool in_edit; /* it is in the edit that is being committed */

    /* With lsm.work_lock. */
    struct list work_link; /* of lsm.work */
    bool queued;
    struct list merge_link; /* of lsm.merges */
    bool merge_queued;
    _Atomic bool seal_wanted;
    _Atomic uint64_t debt; /* bytes that compaction owes */
    _Atomic uint32_t runs;
    uint32_t flush_failures; /* in a row, since failing_since_ns; the flushing thread's */
    uint64_t failing_since_ns;
    uint8_t *cursor; /* where the round of partial merges goes on; with merge_busy */
    size_t cursor_size;
};

/* A table of trees that grows; readers take no lock. */
struct lsm_tree_table {
    size_t cap;                    /* a power of two */
    struct lsm_tree_table *before; /* kept until close: somebody may be reading it */
    struct lsm_tree *_Atomic slots[];
};

/* A stretch of redo of which the writes of some transactions are to be read again (CUT-4). */
struct lsm_stretch {
    incarnation_t inc;
    uint64_t low, end; /* (inc, end) names it */
    txid_t *open;      /* ascending; owned */
    size_t open_count;
    bool ending; /* it is taken out by the edit that is being committed */
};
struct lsm_stretch_name {
    incarnation_t inc;
    uint64_t end;
    bool in_edit; /* it is put in by the edit that is being committed */
};

/* ---- the node ---------------------------------------------------------------------------------
 */

struct lsm_pace {               /* admission (lsm_work.c) */
    _Atomic uint64_t next_ns;   /* when the next byte may come */
    _Atomic uint64_t drain_bps; /* bytes a second that flushes lately wrote */
};

struct lsm {
    struct lsm_options o; /* read-only, defaults filled in */
    struct lsm_host host;
    struct env *env;
    char dir[LSM_PATH_MAX];
    struct manifest *manifest;
    struct cache *cache;
    struct codec_pool *codecs;
    struct segment_env segment_env;
    struct budget budget;          /* of memtables */
    struct memtable_pool *spare;   /* what memtables gave back */
    _Atomic uint64_t pinned_bytes; /* of them: flushed, and held by readers and merges */

    struct env_mutex edit;
    _Atomic uint64_t next_run;
    _Atomic uint64_t next_file;
    _Atomic uint64_t next_mem;

    struct env_mutex state;
    struct lineage lineage;          /* with state; changed with edit too */
    _Atomic incarnation_t branch;    /* alike */
    _Atomic uint64_t branch_changes; /* alike */
    _Atomic incarnation_t write_tag; /* what new memtables are tagged with */
    _Atomic scn_t horizon;           /* alike: nothing below it can be pinned any more */
    scn_t durable_horizon;           /* alike: what merges may use (HORIZON-1) */
    struct lsm_live *live;           /* alike; ascending by inc */
    size_t live_count;
    struct lsm_pin *pins; /* alike */
    size_t pin_count;
    struct lsm_hold holds;          /* with state: the head */
    struct lsm_positions positions; /* recovery positions by incarnation, with edit and state */
    struct lsm_positions registry;  /* of the trees' own records, alike */
    bool replaying;                 /* recovery; one thread */
    struct lsm_stretch *stretches;  /* with edit and state */
    size_t stretch_count;
    _Atomic uint64_t rereading; /* the end of the stretch being read again; 0: none */

    struct env_mutex trees_lock; /* insertion */
    struct lsm_tree_table *_Atomic trees;
    struct lsm_tree **tree_list; /* all, removed ones too; with trees_lock */
    size_t tree_count, tree_cap;

    struct env_mutex mems_lock;
    struct list mems; /* of struct lsm_mem.link: all that live */

    struct lsm_txids txids;

    struct env_mutex files_lock;
    uint32_t files_held;          /* backups reading */
    struct lsm_file **held_files; /* replaced meanwhile; unlinked when nobody holds */
    size_t held_count, held_cap;

    struct env_mutex work_lock;
    struct env_cond work_cond;
    struct env_cond merge_cond;
    struct list work;   /* of struct lsm_tree.work_link: for the thread that flushes */
    struct list merges; /* of struct lsm_tree.merge_link: for those that merge */
    struct env_thread **threads;
    int thread_count;
    bool started;
    _Atomic bool stopping;
    uint64_t throttle_ns;  /* with work_lock: when the next merge write may come */
    _Atomic bool pressure; /* somebody has been told that memtables fill up */
    struct lsm_pace pace;

    _Atomic uint64_t flushes, compactions, flush_bytes, compaction_bytes, compaction_read_bytes;
    _Atomic uint64_t versions_dropped, job_failures, debt;
    _Atomic uint64_t told_ns; /* when the operator was told last that a job had failed; 0: never */
};

static inline bool
lsm_is_broken(const struct lsm *l, enum lsm_rule rule)
{
    return (l->o.broken & (uint32_t)rule) != 0;
}

/* ---- lsm_items.c: what stands in the manifest -------------------------------------------------
 */

struct lsm_segment_item {
    tree_id_t tree;
    uint64_t run; /* 0: undo */
    uint8_t kind, level;
    incarnation_t tag;
    uint64_t bytes, nonce;
    struct hash128 hash;
};
void lsm_put_segment(struct manifest_edit *e, uint64_t file, const struct lsm_segment_item *item);
void lsm_remove_segment(struct manifest_edit *e, uint64_t file);
MUST_CHECK
int lsm_get_segment(struct slice key, struct slice value, uint64_t *file,
                    struct lsm_segment_item *item);
void lsm_put_u64(struct manifest_edit *e, enum manifest_type type, uint64_t key, uint64_t value);
void lsm_remove_u64(struct manifest_edit *e, enum manifest_type type, uint64_t key);
void lsm_put_position(struct manifest_edit *e, incarnation_t inc, tree_id_t tree, uint64_t lsn);
void lsm_remove_position(struct manifest_edit *e, incarnation_t inc, tree_id_t tree);
void lsm_put_runs(struct manifest_edit *e, tree_id_t tree, const struct lsm_view *v);
void lsm_put_branch(struct manifest_edit *e, incarnation_t inc, scn_t tip);
void lsm_remove_branch(struct manifest_edit *e, incarnation_t inc);
void lsm_put_lineage(struct manifest_edit *e, const struct lineage_entry *entry);
void lsm_put_tree(struct manifest_edit *e, const struct lsm_tree *t);
void lsm_put_pin(struct manifest_edit *e, const struct lsm_pin *pin);
MUST_CHECK
int lsm_get_pin(struct slice key, struct slice value, struct lsm_pin *pin);
void lsm_put_singleton(struct manifest_edit *e, enum manifest_type type, uint64_t value);
/* An item in words, for the dump. */
void lsm_item_print(enum manifest_type type, struct slice key, struct slice value, char *out,
                    size_t cap);

/* ---- lsm_positions (lsm_items.c) --------------------------------------------------------------
 */

bool lsm_positions_get(const struct lsm_positions *p, incarnation_t inc, uint64_t *lsn);
void lsm_positions_set(struct lsm_positions *p, incarnation_t inc, uint64_t lsn);
void lsm_positions_remove(struct lsm_positions *p, incarnation_t inc);
void lsm_positions_copy(struct lsm_positions *dst, const struct lsm_positions *src);
/* After an edit that failed: swaps the copies in. With lsm.edit. */
void lsm_positions_restore(struct lsm *l, struct lsm_positions *positions,
                           struct lsm_positions *registry);

/* ---- lsm_view.c -------------------------------------------------------------------------------
 */

struct lsm_mem *lsm_mem_new(struct lsm_tree *t, uint64_t start);
void lsm_mem_ref(struct lsm_mem *m);
void lsm_mem_unref(struct lsm_mem *m);
void lsm_mem_flushed(struct lsm_mem *m);
/* Opens a segment that the manifest names (or will). One reference. Blocks. */
MUST_CHECK
int lsm_file_open(struct lsm *l, uint64_t file_id, const struct lsm_segment_item *item,
                  struct lsm_file **out);
void lsm_file_ref(struct lsm_file *f);
void lsm_file_unref(struct lsm_file *f);
/* The file is out of the manifest: it is unlinked once nobody reads it. */
void lsm_file_retire(struct lsm_file *f);
void lsm_segments_dir(const struct lsm *l, char out[LSM_PATH_MAX + 16]);
void lsm_file_path(const struct lsm *l, uint64_t file_id, char out[LSM_PATH_MAX]);

/* A view under construction: lists that take references of their own when it is built. */
struct lsm_draft {
    struct lsm_tree *tree;
    bool has_active;
    struct lsm_mem **mems;
    size_t mem_count;
    struct lsm_draft_run {
        uint64_t id;
        struct lsm_file **files;
        size_t count;
    } * runs;
    size_t run_count;
    struct lsm_file **undo;
    size_t undo_count;
    struct arena arena;
};
void lsm_draft_init(struct lsm_draft *d, struct lsm_tree *t, const struct lsm_view *from);
void lsm_draft_fini(struct lsm_draft *d);
void lsm_draft_add_run(struct lsm_draft *d, size_t at, uint64_t id, struct lsm_file **files,
                       size_t count);
void lsm_draft_remove_mem(struct lsm_draft *d, const struct lsm_mem *m);
bool lsm_draft_remove_file(struct lsm_draft *d, const struct lsm_file *f); /* false: not there */
void lsm_draft_drop_empty_runs(struct lsm_draft *d);
void lsm_draft_add_undo(struct lsm_draft *d, struct lsm_file *f);
/* Makes it the tree's view, for the branch followed. With tree.lock. */
void lsm_draft_publish_locked(struct lsm_draft *d);
/* The same without publishing: for the manifest's order of runs. */
struct lsm_view *lsm_draft_build(const struct lsm_draft *d);
void lsm_view_free(struct lsm_view *v); /* of one that was never published */
/* The current view, borrowed. With tree.lock. */
struct lsm_view *lsm_view_current_locked(const struct lsm_tree *t);
/* New views for all trees: the branch followed has changed. With lsm.edit. */
void lsm_views_renew(struct lsm *l);

/* ---- lsm_tree.c -------------------------------------------------------------------------------
 */

struct lsm_tree *lsm_tree_make(struct lsm *l, tree_id_t id); /* finds or makes */
MUST_CHECK
int lsm_trees_load(struct lsm *l);
/* Adds what has changed in the registry to an edit. With lsm.edit. */
void lsm_trees_edit(struct lsm *l, struct manifest_edit *e, struct lsn floor);
/* Trees that are not removed; all of them, since a removed one may come back. xfree it. */
size_t lsm_tree_snapshot(struct lsm *l, struct lsm_tree ***out);
size_t lsm_tree_snapshot_all(struct lsm *l, struct lsm_tree ***out);
/* By a transaction that committed on the branch followed. */
bool lsm_tree_is_dropped(struct lsm_tree *t);

/* ---- lsm_status.c -----------------------------------------------------------------------------
 */

void lsm_txids_init(struct lsm *l);
void lsm_txids_fini(struct lsm *l);
void lsm_txids_ref(struct lsm *l, const txid_t *txids, size_t count);
void lsm_txids_unref(struct lsm *l, const txid_t *txids, size_t count);
void lsm_txids_load_kept(struct lsm *l, txid_t txid, scn_t scn);
/* Adds to an edit the statuses that must be durable with it (STATUS-1), and takes out those that
 * nothing names any more (STATUS-2). */
void lsm_txids_edit(struct lsm *l, struct manifest_edit *e);
/* What lsm_txids_edit and lsm_trees_edit put in is durable now, or will not be. With lsm.edit. */
void lsm_edit_done(struct lsm *l, bool durable);
void lsm_trees_edit_done(struct lsm *l, bool durable);

/* ---- lsm_branch.c -----------------------------------------------------------------------------
 */

void lsm_scene_take(struct lsm *l, struct lsm_scene *s);
void lsm_scene_fini(struct lsm_scene *s);
scn_t lsm_scene_part(const struct lsm_scene *s, incarnation_t a, incarnation_t b);
/* Whether any kept branch sees a version of SCN c in a run tagged `tag` (CUT-3). */
bool lsm_scene_sees(const struct lsm_scene *s, incarnation_t tag, scn_t c);
/* What of a run tagged `tag` any kept branch sees at most. */
scn_t lsm_scene_seen_max(const struct lsm_scene *s, incarnation_t tag);
/* With lsm.state. */
bool lsm_holds_locked(struct lsm *l, incarnation_t b, scn_t s, scn_t tip);
/* Recovery positions as they are once `job`'s memtable (or NULL) is flushed and `floor` was noted
 * before: adds what changes to the edit. With lsm.edit. In memory they change at once: a lower one
 * on disk only means more to read again. */
void lsm_positions_edit(struct lsm *l, struct manifest_edit *e, struct lsm_tree *flushed_tree,
                        const struct lsm_mem *flushed, struct lsn floor);

/* ---- lsm_reread.c -----------------------------------------------------------------------------
 */

MUST_CHECK
int lsm_stretches_load(struct lsm *l);
void lsm_stretches_fini(struct lsm *l);
/* Adds a stretch to an edit that follows its incarnation again; in memory at once. With lsm.edit.
 */
void lsm_stretch_add(struct lsm *l, struct manifest_edit *e, incarnation_t inc,
                     const struct lsm_reread *again);
/* Takes it back after the edit failed. */
void lsm_stretch_take_back(struct lsm *l);
bool lsm_stretch_needs(struct lsm_tree *t, incarnation_t inc, uint64_t lsn, txid_t txid);
/* The lowest position of a stretch of the incarnation. */
bool lsm_stretch_low(struct lsm *l, incarnation_t inc, uint64_t *low);
/* The end of the newest stretch that a memtable made now may hold something of; 0: none. */
uint64_t lsm_stretch_end(const struct lsm_tree *t, incarnation_t inc);
/* What a flush of a memtable of a tree (or NULL, NULL) has ended: that tree's part, or a stretch as
 * a whole. In memory once the edit is durable. */
void lsm_stretches_edit(struct lsm *l, struct manifest_edit *e, struct lsm_tree *t,
                        const struct lsm_mem *flushed);
void lsm_stretches_edit_done(struct lsm *l, bool durable);
uint64_t lsm_position_of(const struct lsm_tree *t, incarnation_t inc); /* UINT64_MAX: nothing */

/* ---- merging ----------------------------------------------------------------------------------
 */

/* A version that a merge has met. */
struct lsm_merge_version {
    stamp_t stamp; /* the SCN, or the txid while open */
    uint64_t seq;
    scn_t superseded; /* 0 in main */
    uint32_t input;   /* by age, 0 is newest */
    uint8_t kind;
    incarnation_t tag;
    scn_t part;
    struct slice value;
};
struct lsm_merge_list {
    struct lsm_merge_version *at;
    size_t count, cap;
};
/* What becomes of the versions of one key. */
struct lsm_merge_key {
    struct lsm_merge_list met;         /* all versions of the key in the inputs */
    struct lsm_merge_list open;        /* → main, newest first, before `top` */
    struct lsm_merge_list seen;        /* scratch: what is current, or current again */
    struct lsm_merge_list undo;        /* → undo of the branch, newest first */
    struct lsm_merge_list orphans;     /* → main runs of their own tag and input */
    struct lsm_merge_list orphan_undo; /* → undo of their own tag */
    bool has_top;
    struct lsm_merge_version top; /* the newest committed one; a tombstone may still be dropped */
    uint64_t dropped;
};
/* The rules, pure: ORDER-1, UNDO-1 to -3, CUT-3, TOMB-1 up to asking other runs. Fills all but
 * `met`. */
void lsm_merge_decide(struct lsm *l, const struct lsm_scene *scene, struct lsm_merge_key *k);
void lsm_merge_key_fini(struct lsm_merge_key *k);
struct lsm_merge_version *lsm_merge_list_add(struct lsm_merge_list *list);

/* One group of output files: main, undo, or an orphan's. Files are split at file_bytes and guards,
 * where the tag changes, and before they name too many txids. */
struct lsm_output {
    struct lsm_job *job;
    enum segment_kind kind;
    uint8_t level;
    uint64_t run_id;                 /* 0: undo */
    incarnation_t tag;               /* of the file being built */
    struct segment_builder *builder; /* NULL: none begun */
    uint64_t file_id;
    size_t txid_count;       /* unresolved versions in it */
    size_t guard_at;         /* the first guard above the last key */
    struct lsm_file **files; /* finished and opened; one reference each */
    size_t file_count, file_cap;
};
void lsm_output_init(struct lsm_output *o, struct lsm_job *job, enum segment_kind kind,
                     uint8_t level, uint64_t run_id);
MUST_CHECK
int lsm_output_add(struct lsm_output *o, incarnation_t tag, const struct version_ref *v,
                   bool first_of_key);
MUST_CHECK
int lsm_output_finish(struct lsm_output *o);
/* Gives the files up: `deleted` when they are not in the manifest. */
void lsm_output_fini(struct lsm_output *o, bool deleted);

struct lsm_input {
    struct lsm_source source;
    uint32_t group; /* which of the orphan outputs takes what of it is hidden */
};
struct lsm_job {
    struct lsm *lsm;
    struct lsm_tree *tree;
    enum lsm_job_kind kind;
    struct lsm_scene scene;
    struct lsm_view *view; /* held since the start: inputs, and TOMB-1's others */
    struct lsm_mem *mem;   /* flush: the input */
    /* Else: runs [run_from, run_to) of the view, and undo files. */
    uint32_t run_from, run_to;
    struct lsm_file **files; /* all input files, undo ones too; xfree */
    struct lsm_slot *slots;  /* the same with parts for the scene; by run, then by key; xfree */
    uint32_t *slot_runs;     /* the index of each one's run in the view; undo: UINT32_MAX; xfree */
    size_t file_count;
    bool partial; /* not all files of those runs; the main output goes into the oldest of them */
    bool last;    /* the oldest run is among them: outputs go to the last level */
    bool undo_only;
    struct lsm_input *inputs; /* newest first; xfree */
    uint32_t input_count;
    uint32_t *heap; /* of inputs, by (key, age); xfree */
    uint32_t heap_count;
    struct lsm_output main, undo, *orphans, *orphan_undo; /* arrays: xfree */
    uint32_t orphan_count, orphan_undo_count;
    struct slice *guards; /* keys at which files of an upper run may end early; in arena */
    size_t guard_count;
    struct lsm_merge_key key;
    struct arena arena;     /* the job's */
    struct arena key_arena; /* one key's */
    uint64_t read_bytes, started_ns;
};
MUST_CHECK
int lsm_merge_run(struct lsm_job *job);
/* Gives the tree free for the next job and frees this one; with its outputs unless installed. */
void lsm_job_end(struct lsm_job *job, bool installed);
/* lsm_pick.c: what to merge: fills files, run_from, run_to, partial, last, undo_only from the view.
 * ERR_NOT_FOUND (not recorded): nothing to do. */
MUST_CHECK
int lsm_pick(struct lsm_job *job, uint64_t pick);
/* How many bytes compaction owes on a view, and whether there is something to do now. A dropped
 * tree owes nothing: its files go when the horizon has passed. */
uint64_t lsm_pick_debt(struct lsm_tree *t, const struct lsm_view *v, bool *due);

/* ---- lsm_work.c -------------------------------------------------------------------------------
 */

void lsm_work_queue(struct lsm_tree *t); /* somebody should look at the tree */
/* Hard: writes fail beyond it, but in recovery. */
static inline size_t
lsm_memory_limit(const struct lsm *l)
{
    return l->o.memtable_bytes * 2;
}
void lsm_work_wake(struct lsm *l);
int lsm_work_throttle(void *arg, size_t bytes);
uint64_t lsm_unflushed_bytes(const struct lsm *l); /* of memtables */
void lsm_work_note_debt(struct lsm_tree *t, uint64_t debt);
void lsm_work_note_flush(struct lsm *l, uint64_t bytes, uint64_t ns);

#endif
