/* A backup: a folder with segments, manifest and redo as a base copy leaves them, and beside them
 * the file `backup` that describes them and is written last. It is a picture of a database, never
 * opened itself: restore makes a database of its own from it.
 *
 * The descriptor is text, a line each; numbers decimal, ids, hashes and chains hexadecimal:
 *
 *   redoubt backup 1
 *   database ID
 *   incarnation INC                          that the redo leads to
 *   from INC LSN SCN TIME_US CHAIN           where the redo held begins
 *   end INC LSN SCN TIME_US CHAIN            and where it ends: restorable without more redo
 *   horizon SCN                              the oldest moment that its history reaches
 *   horizon_time TIME_US                     the same as a time; 0: not known
 *   taken TIME_US
 *   lineage HEX                              of incarnations (engine/redo/lineage.h)
 *   file PATH SIZE HASH                      each: below the folder, 128-bit hash of its contents
 *   crc HEX                                  CRC-32C of all before this line
 *
 * BACKUP-1  a folder without its descriptor, or whose descriptor or files differ from what was
 *           written, is refused by name before anything is made of it.
 * BACKUP-2  nothing that the descriptor names leaves the folder: paths are plain.
 * BACKUP-3  a target outside [horizon, what the backup and the redo given reach] is refused before
 *           anything is written.
 * BACKUP-4  what is restored has a database id and a key of its own, and remembers its parent.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BACKUP_BACKUP_H
#define BACKUP_BACKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/bytes.h"
#include "engine/base/checksum.h"
#include "engine/redo/redo.h"

struct engine;

enum { BACKUP_PATH_MAX = 96, BACKUP_FILES_MAX = 1 << 20, BACKUP_TEXT_MAX = 256 << 20 };
#define BACKUP_NAME "backup"

struct backup_file {
    char path[BACKUP_PATH_MAX];
    uint64_t size;
    struct hash128 hash;
};

struct backup {
    uint64_t database_id;
    incarnation_t inc;
    struct redo_pos from, end;
    scn_t horizon;
    uint64_t horizon_time_us, taken_us;
    struct lineage lineage;
    struct backup_file *files;
    uint32_t file_count, file_cap;
};

void backup_init(struct backup *b);
void backup_fini(struct backup *b);
void backup_encode(struct writer *w, const struct backup *b);
/* Total. ERR_CORRUPT, ERR_NOT_SUPPORTED for another version. `out` is initialised either way. */
MUST_CHECK
int backup_decode(struct slice text, struct backup *out);

/* Hashes all files of the folder and writes its descriptor, durably. b->files is filled. Blocks. */
MUST_CHECK
int backup_finish(struct env *env, const char *dir, struct backup *b);
/* Reads the descriptor. ERR_NO_FILE: no backup, or one that was never finished. Blocks. */
MUST_CHECK
int backup_read(struct env *env, const char *dir, struct backup *out);
/* Reads every file and compares. ERR_CORRUPT names the first that differs. Blocks. */
MUST_CHECK
int backup_verify(struct env *env, const char *dir, const struct backup *b,
                  void (*progress)(void *arg, uint64_t bytes, uint64_t total), void *arg);
uint64_t backup_bytes(const struct backup *b);

/* ---- restoring ----------------------------------------------------------------------------------
 */

struct restore_target {
    bool has_scn, has_time;
    scn_t scn;
    uint64_t time_us;
};
/* What can be reached: from the backup's horizon to here. */
struct restore_reach {
    scn_t scn;
    uint64_t time_us;
};
/* BACKUP-3. ERR_TARGET_UNREACHABLE with the range. */
MUST_CHECK
int restore_check(const struct backup *b, const struct restore_target *t,
                  const struct restore_reach *reach);

/* With redo of a live member, whose log leads to `*inc` through `*l`: is the backup on its way? If
 * it ends on a branch that the member has left, or does not know, but the target is an SCN that
 * both share and the backup reaches by itself, then the three become the backup's own. Else
 * ERR_TARGET_UNREACHABLE; ERR_DIVERGED where the two contradict each other. */
MUST_CHECK
int restore_choose(const struct backup *b, const struct restore_target *t, struct lineage *l,
                   incarnation_t *inc, struct restore_reach *reach);

struct restore;
struct restore_options {
    struct env *env;
    const char *from, *to; /* the backup's folder; the new data directory, which has no manifest */
    const struct backup *backup;
    const struct lineage *lineage; /* the backup's, or a later one of the same database */
    incarnation_t inc;             /* on the way to which redo is read */
    struct restore_target target;
    uint64_t database_id; /* the new one */
    /* Applies the redo of incarnations that began after the backup, until `end` on the way to inc:
     * called when there is such redo, with an engine that follows. Blocks. */
    int (*apply)(struct engine *e, incarnation_t inc, struct lsn end);
    void (*progress)(void *arg, uint64_t bytes, uint64_t total);
    void *arg;
};
/* Copies the segments and the backup's own redo. Blocks. */
MUST_CHECK
int restore_begin(const struct restore_options *o, struct restore **out);
struct redo_pos restore_at(const struct restore *r); /* the redo restored ends here */
bool restore_is_there(const struct restore *r);      /* the target has been passed: enough redo */
bool restore_is_within(const struct backup *b,
                       const struct restore_target *t); /* without redo since */
/* The next frame of redo. Frames that it has already are passed over. Blocks. */
MUST_CHECK
int restore_frame(struct restore *r, struct redo_frame *f);
/* Redo out of a folder of redo files of the parent database (an archive, a data directory's redo/).
 * The files are read from copies. Blocks. */
MUST_CHECK
int restore_folder(struct restore *r, const char *folder);
/* Writes the manifest, replays, and begins incarnation `*inc` at the target; *scn: where. The new
 * database is closed again. Blocks. */
MUST_CHECK
int restore_finish(struct restore *r, uint64_t reign_id, incarnation_t *inc, scn_t *scn);
void restore_free(struct restore *r); /* NULL allowed */
/* How far redo files of a folder reach beyond the backup. Blocks. */
MUST_CHECK
int restore_look(const struct restore_options *o, const char *folder, struct restore_reach *reach);

#endif
