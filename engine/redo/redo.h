/* A node's redo: the ring in which parts gather, the log writer, the files, the archive, and
 * readers of all that. One struct redo per node.
 *
 *   redo_open             finds what is there; threads run; nothing can be written yet
 *   redo_start_writing    a primary begins an incarnation: redo_append is allowed
 *   redo_start_following  a standby takes frames as a primary sealed them: redo_append_frame
 *   redo_stop             back to neither; all that was accepted is durable
 *   redo_cut              the log goes on from an earlier frame end; what lay past it becomes the
 *                         redo of an orphan
 *
 * Threads: two log threads seal, write and publish; one file thread makes files ahead of use,
 * archives and recycles. Calls that "park" park a fiber and block a plain thread; calls that
 * "block" read or write disk on the calling thread: use a job.
 *
 * Lost durability (a failed write of redo) panics.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_REDO_REDO_H
#define ENGINE_REDO_REDO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/checksum.h"
#include "engine/base/err.h"
#include "engine/base/id.h"
#include "engine/base/list.h"
#include "engine/redo/frame.h"
#include "engine/redo/lineage.h"

struct env;
struct redo;
struct redo_cursor;

/* A position at a frame end, with what a log needs to know to go on from there. */
struct redo_pos {
    incarnation_t inc;
    struct lsn lsn;
    scn_t scn;        /* last SCN before it */
    uint64_t time_us; /* its commit time */
    struct hash128 chain;
};

/* ---- opening -------------------------------------------------------------------------------- */

struct redo_options {
    struct env *env;
    const char *dir;               /* made if it is not there */
    const char *archive_dir;       /* NULL: no archive */
    uint64_t database_id;          /* files of another database are refused */
    const struct lineage *lineage; /* copied */
    size_t ring_bytes;             /* a power of two; 0: 16 MiB */
    size_t frame_cache_bytes;      /* sealed frames kept in memory; 0: 32 MiB, at most 4 rings */
    uint64_t file_bytes;           /* 0: 64 MiB */
    uint64_t keep_bytes;           /* redo kept for pins alone (absent standbys); 0: 1 GiB */
    uint32_t spare_count;          /* files made ahead; 0: 2 */
    uint32_t lz4_bytes_min; /* frames of at least this size are compressed; 0: 16 KiB; UINT32_MAX:
                             * never */
    uint32_t second_bytes;  /* that must wait for a second write to begin beside one; 0: 64 KiB */
    uint32_t pace_us;       /* longest wait of small writes for redo_acknowledged; 0: 1000 */
    bool fdatasync;         /* pwrite and fdatasync rather than O_DIRECT|O_DSYNC */
    bool no_sync;           /* bench only: written, not forced */
    bool hold;              /* redo_hold from the beginning */
    /* What the caller knows to have been durable here (from the manifest): an incarnation whose
     * redo is found to end below is refused as corrupt. */
    const struct redo_pos *known;
    uint32_t known_count;
};

/* Scans the redo files of all incarnations. A bad frame at the end of an incarnation's last file is
 * a torn tail, and that log ends before it, if no valid write after it says that its LSN had been
 * durable (LOG-4). Else ERR_CORRUPT naming file and offset; a file missing between two others
 * ERR_NO_FILE naming it. Nothing is ever truncated. Blocks. */
MUST_CHECK
int redo_open(const struct redo_options *o, struct redo **out);
/* Makes durable what was accepted, stops the threads. No task may be inside a call. NULL allowed.
 */
void redo_close(struct redo *r);

/* Replaces the lineage that cursors and redo_append_frame judge by (copied). */
void redo_set_lineage(struct redo *r, const struct lineage *l);

/* ---- where the log stands ------------------------------------------------------------------- */

/* The end of what is held of an incarnation: for those of the past what redo_open found, for the
 * present one what is sealed. ERR_NOT_FOUND when nothing is held of it. */
MUST_CHECK
int redo_end(struct redo *r, incarnation_t inc, struct redo_pos *end);
/* Calls fn for each incarnation of which redo is held in local files, ascending. first_lsn: where
 * the oldest file begins. fn returns 0 to go on. */
int redo_each(struct redo *r,
              int (*fn)(void *arg, incarnation_t inc, struct lsn first_lsn, struct redo_pos end),
              void *arg);
incarnation_t redo_incarnation(const struct redo *r); /* being written or followed; 0: neither */
struct lsn redo_reserved(const struct redo *r);       /* end of what has an LSN (the ring's end) */
scn_t redo_reserved_scn(const struct redo *r);        /* newest SCN given out */
struct lsn redo_sealed(const struct redo *r);
struct lsn redo_durable(const struct redo *r);
struct redo_pos redo_durable_pos(struct redo *r); /* of the last frame that is durable */

/* The last frame end at or below lsn in the redo of `inc` (its start counts, if the file that
 * begins there is held), with the chain there: for HELLO, and for finding where two logs part.
 * ERR_NOT_FOUND when redo that far back is not held. Blocks. */
MUST_CHECK
int redo_locate(struct redo *r, incarnation_t inc, struct lsn lsn, struct redo_pos *pos);

/* ---- writing, as a primary ------------------------------------------------------------------ */

/* The log goes on as incarnation inc, a new number, after `from` (a position as redo_end,
 * redo_locate or a base copy give it; for a new database {0, REDO_LSN_FIRST}). Commits are numbered
 * from first_scn. The lineage given to redo must have inc, starting at from->lsn. The caller then
 * appends the INCARNATION record. Blocks for a file switch. ERR_DISK_FULL. */
MUST_CHECK
int redo_start_writing(struct redo *r, incarnation_t inc, const struct redo_pos *from,
                       scn_t first_scn);

enum {
    REDO_NO_COMMIT = -1,
    REDO_PART_DEFER_WAKE = 1, /* the caller promises redo_kick before it waits for anything */
    REDO_PART_FORCE = 2,      /* accepted even while the disk is full (ends transactions) */
    REDO_PART_MAX = REDO_FRAME_RECORDS_MAX,
};

/* What one strand hands over: whole records, at most redo_part_max bytes. */
struct redo_part {
    uint8_t *data; /* the COMMIT's SCN and time are written into it */
    size_t size;
    int64_t commit_at; /* offset of its COMMIT record, or REDO_NO_COMMIT; at most one */
    incarnation_t inc; /* for which it was written: refused with ERR_ROLE in another */
    unsigned flags;
    /* Called once the part has its LSN (and SCN and commit time, else 0), before it can become part
     * of a frame: here the commit sets its status. No park, no lock that an appender may hold. May
     * be NULL. */
    void (*on_reserved)(void *arg, scn_t scn, uint64_t time_us, struct lsn end_lsn);
    void *arg;

    /* Results. */
    struct lsn lsn, end_lsn;
    scn_t scn;
    uint64_t time_us;
};
/* Assigns LSN (and SCN and a commit time greater than every one before) in one short critical
 * section, calls on_reserved, copies. From then on the part's memory is the caller's again. Parks
 * while the ring is full, before anything is assigned. ERR_ROLE when this node does not write that
 * incarnation (any more), ERR_DISK_FULL, ERR_LIMIT for a part that is too large. */
MUST_CHECK
int redo_append(struct redo *r, struct redo_part *part);
/* Commits below lsn have their answer: what gathers meanwhile may go (writer.c). Whoever never
 * calls this has a log that waits for nothing. The caller calls redo_kick when it holds no lock. */
void redo_acknowledged(struct redo *r, struct lsn lsn);
/* Wakes the log writer if it sleeps and there is something to write. Cheap. */
void redo_kick(struct redo *r);
size_t redo_part_max(const struct redo *r);

/* No part is accepted any more (ERR_ROLE); returns when all accepted ones are durable and
 * published. Also ends following. Waits for later positions fail with ERR_STOPPED. Parks. */
void redo_stop(struct redo *r);

/* Parks until everything below lsn is durable here. ERR_STOPPED when the log was stopped or cut
 * below lsn first. */
MUST_CHECK
int redo_wait_durable(struct redo *r, struct lsn lsn);

/* ---- writing, as a standby ------------------------------------------------------------------ */

/* The log goes on from `from` by frames received. from->inc is the incarnation of the redo before
 * that position ({0, REDO_LSN_FIRST}: nothing yet). Blocks. */
MUST_CHECK
int redo_start_following(struct redo *r, const struct redo_pos *from);
/* Takes a verified frame, as is, to the own log (LOG-6): it must begin at the log's end, belong
 * to the incarnation that the lineage names there on the way to `target`, and its chain must fit.
 * Parks when too much is waiting to be written. ERR_ROLE when not following; ERR_DIVERGED;
 * ERR_AGAIN when it lies (partly) below the end and is therefore a duplicate; ERR_NOT_FOUND when it
 * lies beyond: a gap. The frame is referenced, not copied, and is in memory for cursors at once. */
MUST_CHECK
int redo_append_frame(struct redo *r, struct redo_frame *frame, incarnation_t target);

/* ERR_DISK_FULL while no new file can be made: frames would wait for room without end, and
 * redo_stop for them. Copies ask before each; before the first one they wait until it is known
 * whether there is room (blocks). */
MUST_CHECK
int redo_check_room(const struct redo *r);
MUST_CHECK
int redo_wait_room(struct redo *r);
enum { REDO_COPY_FILE_BYTES = 16 << 20 }; /* file_bytes of copies: their first file is soon whole */

/* Stops, and makes `at` (a frame end that redo_locate gave) the end of the log: what this node
 * holds past it stays readable by incarnation, as an orphan's, until it is released. Memory of the
 * past is dropped. The next start begins a new file. ERR_NOT_FOUND when `at` is not a position that
 * is held. Blocks. */
MUST_CHECK
int redo_cut(struct redo *r, const struct redo_pos *at);

/* ---- listening ------------------------------------------------------------------------------ */

struct redo_listener {
    /* In order, before the local write is issued. On a log thread (on a standby: the appender's),
     * inside the sealing section: take a reference, note, wake; nothing slower, and no call into
     * redo except queries. May be NULL. */
    void (*on_sealed)(void *arg, struct redo_frame *frame);
    /* In order, never concurrently, on a log thread: all below `pos` is durable. May be NULL. */
    void (*on_durable)(void *arg, const struct redo_pos *pos);
    void *arg;
    struct list link; /* in redo.listeners */
};
void redo_listen(struct redo *r, struct redo_listener *l);
/* No callback runs for it any more once this returns. Not from inside a callback. */
void redo_unlisten(struct redo *r, struct redo_listener *l);

/* ---- reading -------------------------------------------------------------------------------- */

/* Reads the redo of the chain that leads to `target`, from the frame that holds `from` on. Frames
 * come from memory while they are there, else from files, else from the archive; every one is
 * verified, and its chain against the one before. One task at a time per cursor. Its next calls may
 * block on disk. */
MUST_CHECK
int redo_cursor_open(struct redo *r, incarnation_t target, struct lsn from,
                     struct redo_cursor **out);
void redo_cursor_close(struct redo_cursor *c); /* NULL allowed */
/* The next frame; the reference is the cursor's until its next call (take an own one to keep it).
 * ERR_END at the end of what is sealed (try again when on_sealed has told of more) or of target's
 * redo. ERR_CORRUPT naming file and offset, ERR_NO_FILE naming the file that is missing (LOG-5).
 * After an error other than ERR_END the cursor stays where it was: it may be tried again after
 * repair. */
MUST_CHECK
int redo_cursor_next_frame(struct redo_cursor *c, struct redo_frame **frame);
/* The same without touching a file: ERR_AGAIN (not recorded) if the next frame is not in memory. */
MUST_CHECK
int redo_cursor_next_cached(struct redo_cursor *c, struct redo_frame **frame);
/* The next record at or after the position from which the cursor was opened. The body lives until
 * the next call. Do not mix with next_frame. */
struct redo_record;
MUST_CHECK
int redo_cursor_next(struct redo_cursor *c, struct redo_record *rec);
struct lsn redo_cursor_lsn(const struct redo_cursor *c); /* where the next frame or record begins */

/* ---- what is kept --------------------------------------------------------------------------- */

/* The engine needs no redo of inc below lsn any more (LSN_MAX: none of it). Without this, all is
 * kept (REDO-2). Files go once they are archived, too, if there is an archive, and no pin needs
 * them. */
void redo_release(struct redo *r, incarnation_t inc, struct lsn lsn);

/* A sender's claim on redo from a position on, on the way to the present incarnation; inc 0: in
 * whatever incarnation the position lies. When files kept for pins alone exceed keep_bytes, the
 * oldest claim gives up the oldest of them: it is lost, and goes on from there, until it is moved.
 */
struct redo_pin {
    incarnation_t inc;
    struct lsn lsn;
    bool lost;        /* set under redo's lock; read it with redo_pin_is_lost */
    struct list link; /* in redo.pins */
};
void redo_pin(struct redo *r, struct redo_pin *pin, incarnation_t inc, struct lsn lsn);
void redo_pin_move(struct redo *r, struct redo_pin *pin, incarnation_t inc, struct lsn lsn);
bool redo_pin_is_lost(struct redo *r, const struct redo_pin *pin);
void redo_unpin(struct redo *r, struct redo_pin *pin);
/* While held no file goes: whose claims there are is not known yet, or no more. */
void redo_hold(struct redo *r, bool hold);

struct redo_stats {
    uint64_t parts, frames, writes, bytes_records, bytes_written;
    uint64_t ring_waits;    /* appends that found the ring full */
    uint64_t files, spares; /* now */
    uint64_t archived;      /* files */
    bool disk_full;         /* no new file can be made: appends are refused */
};
void redo_stats(struct redo *r, struct redo_stats *out);
/* Waits until the file thread has nothing left to do, or cannot do it. Blocks. For shutdown and
 * tests. */
void redo_files_settle(struct redo *r);

/* A redo file (or an archived one), in words, line by line; for `redoubt dump`. Goes on after
 * damage as far as it can, naming it, and returns ERR_CORRUPT at the end then. `out` writes one
 * line. */
MUST_CHECK
int redo_dump_file(struct env *env, const char *path, bool records,
                   void (*out)(void *arg, const char *line), void *arg);

#endif
