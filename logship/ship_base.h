/* A base copy over a link: the manifest's state, the segment files it names, and redo from where
 * recovery of that state begins. The copy is then an engine like any other: it is mounted (which
 * replays that redo) and follows.
 *
 *   COPY_BEGIN (kind SHIP_COPY_BASE) →        holds the files, pins the redo
 *              ← COPY_LIST                    "log", "manifest", names of segments
 *   FILE_GET   → ← FILE_CHUNK …               "log", "manifest"
 *   REDO_REQUEST (GAP) → ← REDO …, REDO_END   answered by the owner's ship_sender: up to "log"'s
 * end FILE_GET   → ← FILE_CHUNK …               segments, in pieces, one at a time; and again and
 *                                             again, redo up to the source's end at that moment
 *   COPY_END   →                              releases
 *
 * "log": u32 incarnation | position (as in LOCATED) | u64 end LSN | lineage.
 * "manifest": u32 items | the edit (engine/lsm/manifest_int.h).
 *
 * COPY-1  nothing that the peer names becomes a path: only names that lsm_file_name makes are
 *         written, below the given folder.
 * COPY-2  the manifest is written last, after everything it names is durable: a copy that was cut
 *         off leaves no database, and is begun again in the same folder.
 * COPY-3  the source's own state (role register, promises) is not copied.
 * COPY-4  each segment is compared with the hash that the source's manifest has of it, whether it
 *         was fetched now, left by an earlier attempt, or held by the node before; what is whole is
 *         not fetched again, and of what is not, the rest.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef LOGSHIP_SHIP_BASE_H
#define LOGSHIP_SHIP_BASE_H

#include "engine/engine.h"
#include "engine/redo/redo.h"
#include "logship/link.h"

enum { SHIP_COPY_BASE = 1 };
struct manifest_edit;

/* ---- the source --------------------------------------------------------------------------------
 */

struct ship_base_source;
/* For a COPY_BEGIN of that kind: flushes, holds, and sends the list from a fiber of its own.
 * on_end: its last act, when it has been stopped and touches engine, link and jobs no more. */
struct ship_base_source *ship_base_source_start(struct engine *e, struct sched *s,
                                                struct job_pool *jobs, struct link *l,
                                                const struct ship_copy_begin *begin,
                                                void (*on_end)(void *arg), void *arg);
/* FILE_GET and COPY_END. Does not park. */
MUST_CHECK
int ship_base_source_message(struct ship_base_source *b, const struct ship_header *h,
                             struct slice body);
/* Releases what is held; it frees itself. In on_down at the latest. Does not park. */
void ship_base_source_stop(struct ship_base_source *b);

/* ---- the copy ----------------------------------------------------------------------------------
 */

struct ship_base_copy;
struct ship_base_options {
    struct env *env;
    const char *dir;       /* has no manifest; may hold what an earlier attempt left */
    const char *reuse_dir; /* a data directory, also one in use: its segments are used; or NULL */
    struct job_pool *jobs;
    struct link *link;
    uint64_t database_id;             /* 0: whatever the source has */
    const struct manifest_edit *more; /* goes into the manifest with it (the role's blob); NULL */
    uint64_t rate;                    /* bytes of segments a second at most; 0: no limit */
    /* After each megabyte or so of segments, on the hub's thread. May be NULL. */
    void (*progress)(void *arg, uint64_t bytes, uint64_t bytes_total);
    void *arg;
};
struct ship_base_copy *ship_base_copy_new(const struct ship_base_options *o);
/* Of a copy that has run: the redo it holds, what that leads to, and by which lineage. */
struct ship_base_log {
    incarnation_t inc;
    struct redo_pos from, end;
    const struct lineage *lineage; /* the copy's */
};
struct ship_base_log ship_base_copy_log(const struct ship_base_copy *c);
uint64_t ship_base_copy_fetched(const struct ship_base_copy *c); /* bytes of segments */
uint64_t ship_base_copy_id(const struct ship_base_copy *c);      /* in its messages */
/* COPY_LIST, FILE_CHUNK, COPY_END, REDO, REDO_END; others (POINTER) are passed over. Parks. */
MUST_CHECK
int ship_base_copy_message(struct ship_base_copy *c, const struct ship_header *h,
                           struct slice body);
void ship_base_copy_link_down(struct ship_base_copy *c);
/* The whole of it; parks until it is done or has failed. */
MUST_CHECK
int ship_base_copy_run(struct ship_base_copy *c);
void ship_base_copy_free(struct ship_base_copy *c); /* parks; NULL allowed */

#endif
