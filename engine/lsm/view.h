/* The insides of a view, for those who read: engine/lsm and engine/undo. Everything here is
 * immutable once the view is published, except the contents of the active memtable and counts.
 *
 * A *run* is a sorted set of versions: a memtable, or files whose key ranges do not overlap. Main
 * runs stand in the order of age, newest first; for each key that is the order of (SCN, seq) among
 * what the branch followed sees. Undo files stand in no order.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_LSM_VIEW_H
#define ENGINE_LSM_VIEW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/base/id.h"
#include "engine/base/list.h"
#include "engine/lsm/lsm.h"
#include "engine/lsm/memtable.h"
#include "engine/lsm/segment.h"

/* A stamp that no read sees: set in place of a dead txid whose status is to be forgotten. */
#define LSM_STAMP_DEAD ((stamp_t)1 << 62)

/* A memtable as a run of a tree. Reference-counted; shared by views. */
struct lsm_mem {
    _Atomic uint32_t refs;
    struct lsm *lsm;
    struct memtable *table;
    struct list link;  /* of lsm.mems, while it lives */
    incarnation_t tag; /* the branch for which it is written (CUT-1) */
    uint64_t number;   /* counts the memtables of a node; never 0 */
    struct lsm_tree *tree;
    _Atomic uint64_t start;           /* an LSN: no record of its versions lies below */
    _Atomic uint64_t stamped_through; /* no version of a transaction that had ended by this count
                                       * of host->ended carries a txid any more */
    uint64_t reread;       /* holds what was read again up to this LSN (CUT-4); 0: nothing */
    bool reread_all;       /* made in recovery: and of all stretches that end below */
    _Atomic bool flushed;  /* with lsm.edit: its versions are in segments, or nobody needs them */
    uint64_t pinned_bytes; /* of it in lsm.pinned_bytes: once it is flushed */
};

/* A file of a run. Reference-counted; shared by views. */
struct lsm_file {
    _Atomic uint32_t refs;
    struct lsm *lsm;
    struct segment *segment;
    const struct segment_props *props;
    uint64_t file_id, run_id;
    incarnation_t tag; /* CUT-1; from the manifest */
    uint8_t level;     /* of its run when it was written: 0 flushed, 1 merged, 2 last */
    uint64_t bytes;
    struct hash128 hash;
    txid_t *txids; /* that its versions name; owned */
    size_t txid_count;
    bool busy; /* with tree.lock: an input of a job */
};

/* A file as one view sees it. */
struct lsm_slot {
    struct lsm_file *file;
    scn_t part;   /* part(tag, the view's branch): what is visible has an SCN up to it */
    bool revived; /* undo: it may hold an entry that is current again (UNDO-2) */
};
struct lsm_run {
    uint64_t id;
    uint32_t count;
    struct lsm_slot *slots; /* by key, disjoint */
};
struct lsm_mem_slot {
    struct lsm_mem *mem;
    scn_t part;
};

struct lsm_view {
    _Atomic int64_t refs; /* lsm_view.c */
    struct lsm_tree *tree;
    struct lsm *lsm;
    const struct lsm_host *host;
    incarnation_t branch; /* the one followed when it was made */
    uint64_t generation;  /* of the tree: grows with each new view */
    uint32_t broken;      /* tests: lsm_options.broken */
    bool has_active;      /* mems[0] takes writes */
    uint32_t mem_count, run_count, undo_count, revived_count;
    struct lsm_mem_slot *mems; /* newest first */
    struct lsm_run *runs;      /* newest first */
    struct lsm_slot *undo;     /* revived ones first */
};

/* The file of a run that may hold the key, or NULL. */
static inline const struct lsm_slot *
lsm_run_find(const struct lsm_run *run, struct slice key)
{
    uint32_t lo = 0, hi = run->count;

    /* The last one that begins at or below the key. */
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (slice_cmp(run->slots[mid].file->props->key_min, key) <= 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == 0 || slice_cmp(run->slots[lo - 1].file->props->key_max, key) < 0)
        return NULL;
    return &run->slots[lo - 1];
}

/* What a version is worth: resolves its txid. LSM_COMMITTED sets *scn. */
static inline enum lsm_status
lsm_stamp_status(const struct lsm_host *host, stamp_t stamp, scn_t *scn)
{
    if (stamp_is_txid(stamp))
        return host->resolve(host->arg, stamp, scn);
    if (stamp == LSM_STAMP_DEAD)
        return LSM_DEAD;
    *scn = stamp;
    return LSM_COMMITTED;
}
/* The same for a version in a memtable, which it stamps on the way. */
static inline enum lsm_status
lsm_mem_status(const struct lsm_host *host, struct memtable_version *v, stamp_t *stamp, scn_t *scn)
{
    enum lsm_status status;

    *stamp = memtable_version_stamp(v);
    status = lsm_stamp_status(host, *stamp, scn);
    if (status == LSM_COMMITTED && stamp_is_txid(*stamp))
        (void)memtable_resolve(v, *stamp, *scn);
    return status;
}

/* An undo file may matter to a read at s if some entry's interval can hold s. */
static inline bool
lsm_undo_covers(const struct lsm_slot *slot, scn_t s)
{
    const struct segment_props *p = slot->file->props;

    return p->scn_min <= s && p->superseded_max > s;
}

/* A tree's part of a scan: walks the versions of one run, both ways. Forwards the versions of a key
 * come newest first; backwards a memtable's come newest first and a file's oldest first. */
struct lsm_source {
    bool valid;           /* v is a version; false: past either end */
    struct version_ref v; /* slices live until the next move; values in memtables as long as it */
    scn_t part;           /* of the current file or memtable */
    incarnation_t tag;
    bool undo, revived;
    uint32_t age; /* the caller's: less is newer */
    /* the rest is source.c's */
    struct memtable_version *version; /* the current one of a memtable */
    struct memtable_iter iter;
    bool is_mem;
    const struct lsm_slot *slots;
    uint32_t slot_count, slot_at;
    struct segment_iter *segment_iter;
    int flags; /* SEGMENT_ITER_* */
};
void lsm_source_mem(struct lsm_source *s, const struct lsm_mem_slot *mem);
/* `slots` by key and disjoint; they must outlive the source. */
void lsm_source_files(struct lsm_source *s, const struct lsm_slot *slots, uint32_t count,
                      int flags);
void lsm_source_fini(struct lsm_source *s);
/* All may park, except on a memtable. After an error the source is not valid. */
MUST_CHECK
int lsm_source_first(struct lsm_source *s);
MUST_CHECK
int lsm_source_last(struct lsm_source *s);
MUST_CHECK
int lsm_source_seek(struct lsm_source *s, struct slice key); /* first key >= key */
MUST_CHECK
int lsm_source_seek_lt(struct lsm_source *s, struct slice key); /* last key < key */
MUST_CHECK
int lsm_source_next(struct lsm_source *s);
MUST_CHECK
int lsm_source_prev(struct lsm_source *s);
/* Past all versions of the current key, forwards. `key` is a copy of it that outlives the move. */
MUST_CHECK
int lsm_source_skip(struct lsm_source *s, struct slice key);

#endif
