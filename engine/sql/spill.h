/* Temporary files: where operators put rows that their memory does not hold.
 *
 * A space belongs to a node: a folder, emptied when it is opened, and a cap on what all its files
 * take. A file belongs to one run; its name is gone as soon as it is made, so that nothing is left
 * however the run ends. Streams of rows are written to it side by side, each in blocks that are
 * compressed, summed and read back whole; what is known of the blocks stays in memory. Nothing is
 * ever synced.
 *
 * Disks are reached by jobs: whatever returns int here parks. A stream is written to its end
 * (spill_end), then read, by any number of readers one after another or side by side.
 *
 *   ERR_DISK_FULL (53100), ERR_IO, ERR_CORRUPT   the disk's
 *   ERR_CONFIGURATION_LIMIT (53400)              beyond the space's cap
 *   ERR_QUERY_CANCELED                           looked for at each block
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_SPILL_H
#define ENGINE_SQL_SPILL_H

#include "engine/types/datum.h"

struct env;
struct exec_ctx;
struct job_pool;
struct spill_file;
struct spill_space;
struct spill_stream;

/* ---- spaces ---------------------------------------------------------------------------------- */

/* Makes the folder if need be, and empties it. limit 0: none. jobs NULL: all is done on the spot.
 * Blocks. */
MUST_CHECK
int spill_space_open(struct env *env, struct job_pool *jobs, const char *dir, uint64_t limit,
                     struct spill_space **out);
void spill_space_close(struct spill_space *s); /* no file may be left; NULL allowed */
struct spill_figures {
    uint64_t used, limit;  /* bytes in files now */
    uint64_t files, bytes; /* since the start */
};
void spill_space_get_figures(const struct spill_space *s, struct spill_figures *out);
/* Runs fn on a job thread if the space has any. */
int spill_job(struct spill_space *s, int (*fn)(void *arg), void *arg);

/* ---- files and streams ----------------------------------------------------------------------- */

/* What a block of rows has before compression, for an operator with so much memory. */
size_t spill_block_size(const struct exec_ctx *ctx);
/* With one reference: streams take theirs. Bytes written are added to *counter if there is one. */
MUST_CHECK
int spill_file_new(const struct exec_ctx *ctx, uint64_t *counter, struct spill_file **out);
void spill_file_unref(struct spill_file *f); /* NULL allowed; parks */

struct spill_stream *spill_stream_new(struct spill_file *f, const uint32_t *types, uint32_t width);
void spill_stream_free(struct spill_stream *s); /* NULL allowed; parks */
MUST_CHECK
int spill_put(struct spill_stream *s, const struct datum *row);
MUST_CHECK
int spill_end(struct spill_stream *s); /* no more rows: gives its memory back */
uint64_t spill_rows(const struct spill_stream *s);

/* ---- reading --------------------------------------------------------------------------------- */

struct spill_reader {
    struct spill_stream *stream; /* NULL: not open */
    size_t block;                /* the next to read */
    uint8_t *data;
    size_t cap;
    const uint8_t *at, *end;
};
void spill_reader_init(struct spill_reader *r, struct spill_stream *s);
void spill_reader_fini(struct spill_reader *r); /* allowed on zeroes */
/* The next row; its bytes are good until the call after. ERR_END. */
MUST_CHECK
int spill_get(struct spill_reader *r, struct datum *row);
/* The next rows as a batch in the arena; bytes as above. */
MUST_CHECK
int spill_get_batch(struct spill_reader *r, struct arena *a, struct batch **out);

#endif
