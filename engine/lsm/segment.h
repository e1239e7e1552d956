/* Segments: sorted, immutable runs of versions in files. Built once, in order; read by any number
 * of threads through the block cache. The format, byte by byte, is in segment_format.h.
 *
 * Building: segment_builder_new, _add for each version by key and newest first, _finish (or
 * _discard). The file is written past the page cache where possible, each block is decompressed
 * and compared before it is written (B18), and the file is synced when _finish returns. The name is
 * made durable by the caller (env_sync_dir), who then puts the file into the manifest.
 *
 * Reading: segment_open, segment_get for the versions of one key, segment_iter for ranges. A block
 * that does not match its checksum is asked for elsewhere (repair) or is ERR_CORRUPT with file,
 * block, tree and key range: never a wrong answer. A damaged filter only makes everything "maybe".
 *
 * Threads: a builder and an iterator belong to one task; a segment is shared. What reads may park:
 * with a job pool given, a fiber that misses the cache lets a pool thread read and parks; a plain
 * thread reads in line.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_LSM_SEGMENT_H
#define ENGINE_LSM_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/bytes.h"
#include "engine/base/checksum.h"
#include "engine/base/id.h"
#include "engine/lsm/codec.h"
#include "engine/lsm/version.h"

struct block;
struct budget;
struct cache;
struct env;
struct job_pool;
struct segment;
struct segment_builder;

/* What tells a file from every other: its number in the database and 64 random bits drawn when it
 * was made. Every block's checksum covers both, and the block's offset (B7). */
struct segment_id {
    uint64_t file;
    uint64_t nonce;
};

enum segment_kind { /* on disk: explicit, never reused */
                    SEGMENT_MAIN = 1,
                    SEGMENT_UNDO = 2, /* every version has `superseded` */
};

/* ---- properties ----------------------------------------------------------------------------- */

enum { SEGMENT_TXIDS_MAX = 65536 };

struct segment_props {
    struct segment_id id;
    tree_id_t tree;
    incarnation_t tag; /* the branch for which it was written (CUT-1) */
    enum segment_kind kind;
    enum codec codec;
    struct slice key_min, key_max;
    uint64_t version_count, key_count, delete_count;
    scn_t scn_min, scn_max;               /* of resolved versions; min > max: there is none */
    scn_t superseded_min, superseded_max; /* undo; min > max otherwise */
    uint64_t unresolved_count;            /* versions that carry a txid; not 0: no upper SCN */
    const txid_t *txids;       /* the distinct ones, ascending; NULL when there are too many */
    size_t txid_count;         /* entries in txids */
    txid_t txid_min, txid_max; /* 0 when there is none */
    uint64_t raw_bytes;        /* blocks of data before compression */
    uint64_t stored_bytes;     /* the same as stored */
    uint64_t key_bytes, value_bytes;
    uint64_t file_bytes; /* the whole file */
    uint64_t block_count;
    struct slice stats; /* column statistics: their owner's format; empty if none */
};

/* ---- building ------------------------------------------------------------------------------- */

struct segment_build {
    struct env *env;
    const char *path;
    uint64_t file;  /* segment_id.file */
    uint64_t nonce; /* 0: drawn from env; else for tests that compare files */
    tree_id_t tree;
    incarnation_t tag;
    enum segment_kind kind;
    enum codec codec;     /* CODEC_ZSTD_DICT: a dictionary is trained from the first blocks */
    int level;            /* of zstd; 0: 3 */
    uint32_t block_bytes; /* before compression; 0: 16 KiB */
    unsigned filter_bits; /* per key; 0: no filter */
    bool read_back;       /* reads a sample back past the page cache before finishing (B8) */
    struct codec_pool *codecs;
    /* Called before each write, with its size: throttling. An error ends the build (ERR_STOPPED).
     * May be NULL. */
    int (*throttle)(void *arg, size_t bytes);
    void *throttle_arg;
};

struct segment_result {
    struct segment_id id;
    uint64_t file_bytes;
    struct hash128 hash; /* segment_file_hash of the file: for the manifest */
};

/* Creates the file (ERR_FILE_EXISTS if it is there). Blocks, as all of building does. */
MUST_CHECK
int segment_builder_new(const struct segment_build *o, struct segment_builder **out);
/* v in the order of version_cmp, which is CHECKed. Undo: v->superseded set; main: 0. */
MUST_CHECK
int segment_builder_add(struct segment_builder *b, const struct version_ref *v);
/* Kept in the properties; at most 1 MiB. */
void segment_builder_set_stats(struct segment_builder *b, struct slice stats);
uint64_t segment_builder_bytes(const struct segment_builder *b); /* file size so far, about */
/* So far; slices live until the next call on the builder. */
const struct segment_props *segment_builder_props(struct segment_builder *b);
/* Writes what is left, syncs, closes and frees, also on an error: the file is then unlinked. */
MUST_CHECK
int segment_builder_finish(struct segment_builder *b, struct segment_result *out);
void segment_builder_discard(struct segment_builder *b); /* unlinks; NULL allowed */

/* The hash of a whole file: 1 MiB pieces, each chained to the one before by hash128. Blocks. */
MUST_CHECK
int segment_file_hash(struct env *env, const char *path, struct hash128 *out, uint64_t *bytes);

/* ---- opening -------------------------------------------------------------------------------- */

/* Asks for the stored bytes of a block elsewhere. Fills buf with `size` bytes: 0, or an error. The
 * checksum is checked again afterwards. `mended` blocks are used and counted; writing them back is
 * up to the hook. Runs where the read runs (a pool thread, or a plain thread). */
struct segment_repair {
    int (*fn)(void *arg, const struct segment_props *props, uint64_t offset, void *buf,
              size_t size);
    void *arg;
};

struct segment_env {
    struct env *env;
    struct cache *cache;
    struct codec_pool *codecs;
    struct job_pool *jobs; /* NULL: reads are done in line */
    struct budget *budget; /* filters, top of the index, dictionaries; NULL: not counted */
    bool direct;           /* read past the page cache */
    const struct segment_repair *repair; /* or NULL; must outlive the segments */
};

/* Opens a file for reading; id.nonce 0: any. `se` is copied. One reference, the caller's. A filter
 * for which the budget has no room is left out. ERR_CORRUPT, ERR_NO_FILE, ERR_NOMEM. Blocks. */
MUST_CHECK
int segment_open(const struct segment_env *se, const char *path, struct segment_id id,
                 struct segment **out);
void segment_ref(struct segment *s);
/* The last one closes the file and drops its blocks from the cache. Any thread; NULL allowed. */
void segment_unref(struct segment *s);
/* The last unref unlinks the file (for runs that a merge has replaced). Any thread. */
void segment_unlink_at_close(struct segment *s);

const struct segment_props *segment_props(const struct segment *s);
/* False: the key is certainly not in it. From key range and filter; reads nothing. */
bool segment_maybe(struct segment *s, struct slice key, uint64_t hash); /* filter_hash(key) */
/* Roughly how many bytes of the file lie below the key; reads at most an index block. For splitting
 * merges by key range. */
MUST_CHECK
int segment_bytes_below(struct segment *s, struct slice key, uint64_t *bytes);

struct segment_figures {
    uint64_t block_reads, read_bytes, filter_negatives, filter_false; /* false: passed, not there */
    uint64_t checksum_failures, mended;
    bool filter_bad, filter_absent;
};
void segment_get_figures(const struct segment *s, struct segment_figures *out);

/* ---- one key -------------------------------------------------------------------------------- */

/* Walks the versions of one key, newest first. Lives on the caller's stack. `v` borrows the key
 * given to segment_get, and the value from the block, which stays pinned until the cursor moves to
 * another block or is closed. */
struct segment_cursor {
    bool valid;           /* v is a version of the key; false: there are no more */
    struct version_ref v; /* the current one */
    /* the rest is segment_get.c's */
    struct segment *segment;
    struct block *block;
    struct block *index;
    uint32_t at;       /* offset of the entry after the current one */
    uint32_t index_at; /* number of the block in its index block */
    uint32_t top_at;   /* number of the index block in the top */
};

/* Positions the cursor at the newest version of the key. 0 also when there is none (valid is
 * false). After an error the cursor needs no close. May park. */
MUST_CHECK
int segment_get(struct segment *s, struct slice key, uint64_t hash, struct segment_cursor *c);
MUST_CHECK
int segment_cursor_next(struct segment_cursor *c); /* must be valid. May park. */
/* Goes on to the first resolved version with an SCN <= scn, from the current one onwards: skips
 * whole blocks by the index, for keys with long histories. Must be valid. May park. */
MUST_CHECK
int segment_cursor_skip(struct segment_cursor *c, scn_t scn);
void segment_cursor_close(struct segment_cursor *c); /* any number of times */

/* ---- ranges --------------------------------------------------------------------------------- */

/* All versions in order, both ways. The current version's slices live until the iterator moves;
 * its value, until it leaves the block. */
struct segment_iter;
enum {
    SEGMENT_ITER_NO_FILL = 1, /* what it reads does not enter the cache */
    SEGMENT_ITER_BULK = 2,    /* a merge: read ahead by 1 MiB from the start; implies NO_FILL */
};
struct segment_iter *segment_iter_new(struct segment *s, int flags); /* takes a reference */
void segment_iter_free(struct segment_iter *it);                     /* NULL allowed */
/* The current version, or NULL when past either end (or not positioned). */
const struct version_ref *segment_iter_current(const struct segment_iter *it);
/* To the first version with (key) >= key; the last one with key < key; both ends. May park. After
 * an error the iterator is past the end. */
MUST_CHECK
int segment_iter_seek(struct segment_iter *it, struct slice key);
MUST_CHECK
int segment_iter_seek_lt(struct segment_iter *it, struct slice key);
MUST_CHECK
int segment_iter_first(struct segment_iter *it);
MUST_CHECK
int segment_iter_last(struct segment_iter *it);
MUST_CHECK
int segment_iter_next(struct segment_iter *it); /* must be on a version. May park. */
MUST_CHECK
int segment_iter_prev(struct segment_iter *it); /* likewise */

/* ---- scrubbing and tools -------------------------------------------------------------------- */

/* Reads the whole file past the cache and checks everything: every checksum, that every block
 * decodes, the order of versions, counts against the properties, every key against the filter, and
 * the file's hash (NULL: not compared). Mends nothing. `throttle` as in building. Blocks. */
MUST_CHECK
int segment_scrub(struct segment *s, const struct hash128 *hash,
                  int (*throttle)(void *arg, size_t bytes), void *throttle_arg);
/* Prints a segment file in words through `line`; with_versions: every version too. ERR_CORRUPT at
 * what does not fit, after what could be read. Blocks. */
MUST_CHECK
int segment_dump(struct env *env, const char *path, bool with_versions,
                 void (*line)(void *arg, const char *text), void *arg);

#endif
