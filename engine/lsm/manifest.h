/* The manifest: what the database consists of, as one small durable map that changes by atomic
 * edits. It holds the trees, the segments with their branch, recovery positions, kept statuses,
 * lineage, horizon, restore points, high-water marks, and named blobs of higher rooms (the role
 * register, the promise, settings, the exposed SCN).
 *
 * An item is (type, key) → value. An edit is a list of "put item" and "remove item"; it is applied
 * as a whole or not at all, and is durable when manifest_commit returns. All items stay in memory;
 * on disk is a log of edits, rewritten now and then as one edit that holds everything and switched
 * by rename and a sync of the directory. README.md has the format byte by byte.
 *
 * Threads: any. manifest_commit blocks (one write, one fdatasync): on background threads, or
 * through a job pool from a fiber. Readers take a mutex for the length of a copy.
 *
 * Failure: a write that fails for want of room leaves the manifest as it was (ERR_DISK_FULL). Any
 * other failed write or a failed sync panics: nobody knows any more what is on the disk.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_LSM_MANIFEST_H
#define ENGINE_LSM_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/bytes.h"
#include "engine/base/id.h"

struct env;
struct manifest;

/* Numbers appear on disk: explicit, never used again. */
enum manifest_type {
    MANIFEST_DATABASE = 1, /* key "": database id u64 */
    MANIFEST_COUNTER = 2,  /* key name: u64, a high-water mark; never falls (PIN-1's reason) */
    MANIFEST_TREE = 3,     /* key tree id: life span (lsm_tree.c) */
    MANIFEST_SEGMENT = 4,  /* key file id: tree, run, kind, level, branch, size (lsm_run.c) */
    MANIFEST_RUNS = 5,     /* key tree id: its main runs' ids, newest first */
    MANIFEST_POSITION = 6, /* key (incarnation, tree; 0: all trees): lsn */
    MANIFEST_STATUS = 7,   /* key txid: the SCN of its commit (STATUS-1) */
    MANIFEST_HORIZON = 8,  /* key "": scn */
    MANIFEST_PIN = 9,      /* key name: branch, scn, flags, wall time (PIN-1) */
    MANIFEST_BRANCH = 10,  /* key incarnation: tip scn, flags; there while it is kept */
    MANIFEST_LINEAGE = 11, /* key incarnation: a record of redo's lineage, its own format */
    MANIFEST_BLOB = 12,    /* key name: sequence u64, bytes of the owner */
    MANIFEST_CURRENT = 13, /* key "": the incarnation followed */
    MANIFEST_REREAD = 14,  /* key (incarnation, end; tree or 0): what is read again (CUT-4) */
    MANIFEST_TYPE_END,
};

enum { MANIFEST_KEY_MAX = 255, MANIFEST_VALUE_MAX = 16 << 20, MANIFEST_EDIT_MAX = 256 << 20 };

/* ---- edits ---------------------------------------------------------------------------------- */

/* Built up in memory by one task, then committed. Later items of an edit win over earlier ones. */
struct manifest_edit {
    struct writer w;
    uint32_t item_count;
};
void manifest_edit_init(struct manifest_edit *e);
void manifest_edit_fini(struct manifest_edit *e);
void manifest_put(struct manifest_edit *e, enum manifest_type type, struct slice key,
                  struct slice value);
void manifest_remove(struct manifest_edit *e, enum manifest_type type, struct slice key);

/* ---- the manifest --------------------------------------------------------------------------- */

/* Makes the file `dir`/manifest with one edit, which must hold the MANIFEST_DATABASE item.
 * ERR_FILE_EXISTS when there is one. The edit stays the caller's. Blocks. */
MUST_CHECK
int manifest_create(struct env *env, const char *dir, const struct manifest_edit *first);
/* Reads `dir`/manifest. A torn last edit is cut off: it was never acknowledged. Anything else that
 * does not fit is ERR_CORRUPT, and the file is left as it is (MANIFEST-2). Blocks. */
MUST_CHECK
int manifest_open(struct env *env, const char *dir, struct manifest **out);
void manifest_close(struct manifest *m); /* NULL allowed */

/* Applies the edit, durably. ERR_DISK_FULL: nothing has changed. Blocks. */
MUST_CHECK
int manifest_commit(struct manifest *m, const struct manifest_edit *e);
/* The number of the last edit applied; grows by one with each. */
uint64_t manifest_sequence(struct manifest *m);
uint64_t manifest_database_id(struct manifest *m);

/* Appends the value to `out` (0), or ERR_NOT_FOUND, which records no error. */
MUST_CHECK
int manifest_get(struct manifest *m, enum manifest_type type, struct slice key, struct writer *out);
/* Calls fn for each item of a type in key order; fn returns 0 to go on, else its code is passed
 * on. The manifest's mutex is held meanwhile: fn must not call the manifest. */
MUST_CHECK
int manifest_each(struct manifest *m, enum manifest_type type,
                  int (*fn)(void *arg, struct slice key, struct slice value), void *arg);
/* A copy of the whole state as one edit: what a backup or a base copy takes. */
void manifest_snapshot(struct manifest *m, struct manifest_edit *out);

/* ---- high-water marks and blobs ------------------------------------------------------------- */

uint64_t manifest_counter(struct manifest *m, const char *name); /* 0: never set */
/* Adds `by` durably and gives the value before: a block of numbers never given before. Blocks. */
MUST_CHECK
int manifest_counter_add(struct manifest *m, const char *name, uint64_t by, uint64_t *before);
/* Stores a blob under its name with the owner's own sequence number, which must be greater than
 * the stored one: ERR_AGAIN otherwise, so that two writers cannot undo each other. Blocks. */
MUST_CHECK
int manifest_put_blob(struct manifest *m, const char *name, uint64_t sequence, struct slice bytes);
/* The same as part of a larger edit; no check of the sequence. */
void manifest_edit_blob(struct manifest_edit *e, const char *name, uint64_t sequence,
                        struct slice bytes);
/* Appends the bytes to `out`; ERR_NOT_FOUND without a recorded error. */
MUST_CHECK
int manifest_get_blob(struct manifest *m, const char *name, uint64_t *sequence, struct writer *out);

/* ---- for tools ------------------------------------------------------------------------------ */

/* Prints a manifest file in words, edit by edit, through `line`. ERR_CORRUPT at the first thing
 * that does not fit, after what came before has been printed. Blocks. */
MUST_CHECK
int manifest_dump(struct env *env, const char *path, void (*line)(void *arg, const char *text),
                  void *arg);

#endif
