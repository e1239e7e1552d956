/* Inside engine/redo: the parts of struct redo and what its files share.
 *
 * Locks, in the order in which they may be taken together:
 *   seal      held by a log thread that takes the complete prefix and seals it, takes what
 *             is queued for a write, or begins another file
 *   publish   the writes under way and the durable position
 *   queue     sealed frames that wait for their write; the sealed position; the mode
 *   append    LSNs and SCNs are given out
 *   files     which files there are; pins and releases
 *   pool      memory of frames
 *   wake      log threads asleep
 *
 * on_sealed runs under sealed_listen (and seal, on a primary), on_durable under durable_listen
 * alone.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_REDO_REDO_INT_H
#define ENGINE_REDO_REDO_INT_H

#include <stdalign.h>
#include <stdatomic.h>

#include "engine/base/env.h"
#include "engine/base/fiber.h"
#include "engine/redo/frame.h"
#include "engine/redo/record.h"
#include "engine/redo/redo.h"

static inline size_t
redo_align(size_t size)
{
    return (size + ENV_ALIGN - 1) & ~(size_t)(ENV_ALIGN - 1);
}

/* ---- file format (file.c) ------------------------------------------------------------------- */

enum {
    REDO_FILE_HEADER = ENV_ALIGN, /* what the header occupies */
    REDO_PATH_MAX = 512,
    REDO_WRITE_FRAMES = 16, /* frames in one write */
    REDO_WRITE_BYTES_MAX = 2 << 20,
    /* The largest local write of one frame. */
    REDO_UNIT_MAX = (REDO_LOCAL_HEADER + REDO_FRAME_BYTES_MAX + ENV_ALIGN - 1) & ~(ENV_ALIGN - 1),
    REDO_LOCAL_CLOSE = 1, /* flag: no frame follows: the redo of the file ends here */
};

struct redo_file_head {
    struct redo_pos start; /* inc: of the file; the rest: where it begins */
    uint64_t database_id;
    uint64_t sequence;      /* of this use of the file: never twice on a node */
    uint64_t prev_sequence; /* of the file before it of the same incarnation; 0: none */
    struct lsn prev_lsn;    /* where that one begins */
};
void redo_file_head_encode(const struct redo_file_head *h, uint8_t out[REDO_FILE_HEADER]);
MUST_CHECK
int redo_file_head_decode(const uint8_t in[REDO_FILE_HEADER], struct redo_file_head *out);

struct redo_local {
    uint16_t flags;
    uint64_t sequence;  /* of the file */
    uint64_t offset;    /* in the file */
    struct lsn durable; /* of this node, when the write was issued */
    struct lsn lsn;     /* of the frame */
    uint32_t size;      /* of the frame; 0 with REDO_LOCAL_CLOSE */
};
void redo_local_encode(const struct redo_local *l, uint8_t out[REDO_LOCAL_HEADER]);
/* False: not a header of a write of this file at this offset. */
bool redo_local_decode(const uint8_t in[REDO_LOCAL_HEADER], uint64_t sequence, uint64_t offset,
                       struct redo_local *out);

void redo_file_name(incarnation_t inc, struct lsn lsn, char out[64]);
bool redo_file_name_parse(const char *name, const char *suffix, incarnation_t *inc,
                          struct lsn *lsn);
void redo_path(char out[REDO_PATH_MAX], const char *dir, const char *name, const char *suffix);

/* ---- reading one file (source.c) ------------------------------------------------------------ */

/* Sequential bytes of a redo file or of an archived one, with read-ahead. */
struct redo_source {
    struct env *env;
    struct env_file *file;
    struct redo_unzip *unzip; /* of an archived file */
    char path[REDO_PATH_MAX];
    uint8_t *buffer;
    size_t buffer_cap;
    uint64_t buffer_at; /* offset of buffer[0] */
    size_t buffer_size;
    struct redo_file_head head;
};
enum { REDO_SOURCE_BUFFER = 2 << 20 };

void redo_source_init(struct redo_source *s, struct env *env);
void redo_source_fini(struct redo_source *s);
/* Opens and reads the header; a path that ends in .zst is an archived file. What was open is
 * closed. */
MUST_CHECK
int redo_source_open(struct redo_source *s, const char *path);
void redo_source_close(struct redo_source *s);
bool redo_source_is_open(const struct redo_source *s);
/* `size` bytes at `offset` (a multiple of ENV_ALIGN), in memory until the next call: 0, ERR_END
 * when the file ends before, or worse. fresh: not what was read ahead earlier. */
MUST_CHECK
int redo_source_fetch(struct redo_source *s, uint64_t offset, size_t size, bool fresh,
                      const uint8_t **out);

/* What stands at an offset where a write may begin. */
struct redo_unit {
    struct redo_local local;
    struct redo_frame_head head; /* valid when the unit is a frame */
    const uint8_t *bytes;        /* the frame's */
    uint64_t next_offset;
};
/* 0: a whole frame, its CRC checked. ERR_END: no write of this file at `lsn` stands here, or the
 * mark of its end. ERR_CORRUPT: a frame that is not whole. What is not whole is read once more
 * first: it may have been misread, or read ahead before it was written. */
MUST_CHECK
int redo_source_unit(struct redo_source *s, uint64_t offset, struct lsn lsn, struct redo_unit *out);
bool redo_unit_is_mark(const struct redo_unit *unit, struct lsn lsn);
/* The whole file from its header to its last whole frame, by the rule of LOG-4: 0 with *end, or
 * ERR_CORRUPT. end_offset: where the next write would have gone. is_marked: a mark stands there. */
MUST_CHECK
int redo_source_scan(struct redo_source *s, struct redo_pos *end, uint64_t *end_offset,
                     bool *is_marked);

/* ---- archive (archive.c) -------------------------------------------------------------------- */

/* Compresses the first `size` bytes of a file to `to`, by way of `to`.tmp. Blocks. */
MUST_CHECK
int redo_archive_copy(struct env *env, const char *from, uint64_t size, const char *dir,
                      const char *to);
MUST_CHECK
int redo_unzip_open(struct env *env, const char *path, struct redo_unzip **out);
MUST_CHECK
int redo_unzip_read(struct redo_unzip *u, void *out, size_t size, size_t *got);
void redo_unzip_close(struct redo_unzip *u);
/* The archived file that would hold `lsn` of inc: false when there is none. */
bool redo_archive_find(struct env *env, const char *dir, incarnation_t inc, struct lsn lsn,
                       struct lsn *first);

/* ---- frames in memory (pool.c) -------------------------------------------------------------- */

struct redo_frame_pool {
    struct env_mutex lock;
    struct env_cond freed;    /* or held by `recent` alone */
    _Atomic uint32_t waiting; /* for that; pairs with the references of frames */
    uint8_t *memory;
    size_t size;
    struct redo_frame *frames; /* descriptors, all of them */
    size_t frame_count;
    struct list unused; /* of redo_frame.queued: descriptors without memory */
    struct list places; /* of redo_frame.place, ascending by address */
    size_t at;          /* where the search goes on */
    struct list *next;  /* the first place at or above `at`; or &places */
    /* Frames of the log in memory, in order and without a gap; indexes modulo frame_count. */
    struct redo_frame **recent;
    size_t recent_first, recent_end;
    size_t heap_bytes; /* of the recent frames that are not of this pool's memory */
};
void redo_pool_init(struct redo_frame_pool *p, struct env *env, size_t bytes);
void redo_pool_fini(struct redo_frame_pool *p); /* all references must be back */
/* Room for a frame; blocks the thread while everything is referenced. */
struct redo_frame *redo_pool_alloc(struct redo_frame_pool *p, size_t bytes_size);
/* The frame just allocated needs no more than this. */
void redo_pool_shrink(struct redo_frame_pool *p, struct redo_frame *f, size_t bytes_size);
void redo_pool_unref(struct redo_frame_pool *p, struct redo_frame *f);
void redo_pool_push(struct redo_frame_pool *p, struct redo_frame *f); /* takes a reference */
void redo_pool_clear(struct redo_frame_pool *p);
/* The frame of inc that holds lsn, referenced; NULL when it is not in memory. */
struct redo_frame *redo_pool_find(struct redo_frame_pool *p, incarnation_t inc, struct lsn lsn);
/* The last frame end of inc at or below lsn, if it is in memory. */
bool redo_pool_locate(struct redo_frame_pool *p, incarnation_t inc, struct lsn lsn,
                      struct redo_pos *pos);

/* ---- files (files.c, files_thread.c) -------------------------------------------------------- */

struct redo_file {
    struct redo_file_head head;
    struct redo_pos
        end; /* lsn: end of its redo; the rest is known for an incarnation's last file */
    uint64_t end_offset; /* bytes in use; 0: not known */
    uint64_t size;       /* on disk */
    uint32_t refs;       /* cursors and the archiver; under files.lock */
    bool is_active;      /* being written */
    bool is_marked;      /* a mark says that its redo ends at `end`, or there is no room behind */
    bool is_archived;
    struct list link; /* in redo_files.files */
};

struct redo_release_mark {
    incarnation_t inc;
    struct lsn lsn;
};

/* The spare being made; owner: the file thread. */
struct redo_making {
    uint64_t number; /* in its name; 0: none */
    struct env_file *file;
    uint64_t bytes; /* that are written */
};

struct redo_files {
    struct env *env;
    char dir[REDO_PATH_MAX / 2];
    char archive_dir[REDO_PATH_MAX / 2]; /* empty: none */
    uint64_t database_id;
    uint64_t file_bytes, keep_bytes;
    uint32_t spare_want;

    struct env_mutex lock; /* for all below */
    struct env_cond work;  /* the file thread waits here */
    struct env_cond done;  /* a spare was made, or the file thread has nothing left to do */
    struct list files;     /* of redo_file.link, ascending by (inc, first LSN) */
    uint64_t *spares;      /* numbers in their names */
    uint32_t spare_count, spare_cap;
    uint64_t next_spare, next_sequence;
    struct redo_release_mark *releases;
    uint32_t release_count;
    struct list pins;      /* of redo_pin.link */
    bool held;             /* redo_hold */
    incarnation_t current; /* being written or followed */
    incarnation_t tail;    /* of the file begun last in this life; 0: none yet */
    uint64_t archived_count;
    int rc_spare; /* why no spare could be made, 0: no trouble */
    _Atomic bool disk_full;
    bool stopping, busy;
    struct redo_making making;
    struct env_thread *thread;
};
struct redo;
MUST_CHECK
int redo_files_open(struct redo *r, const struct redo_options *o);
void redo_files_start(struct redo *r);
void redo_files_close(struct redo *r);
struct redo_file *redo_files_last(struct redo_files *fs, incarnation_t inc); /* locked */
struct redo_file *redo_files_find(struct redo_files *fs, incarnation_t inc, struct lsn lsn);
struct redo_file *redo_files_insert(struct redo_files *fs, const struct redo_file_head *head);
/* A new file that begins at `start` (whose inc is the file's), header and name durable, opened for
 * writing. Waits for a spare if `wait`, else fails with ERR_DISK_FULL where there is none. */
MUST_CHECK
int redo_files_begin(struct redo *r, const struct redo_pos *start, bool wait,
                     struct redo_file **file, struct env_file **handle);
void redo_files_file_path(const struct redo_files *fs, const struct redo_file *f,
                          char out[REDO_PATH_MAX]);
void redo_files_spare_path(const struct redo_files *fs, uint64_t number, const char *suffix,
                           char out[REDO_PATH_MAX]);
void redo_files_add_spare(struct redo_files *fs, uint64_t number); /* locked */
void redo_files_unref(struct redo_files *fs, struct redo_file *f);
/* Says in a file where its redo ends, forced like every write: the next start need not look behind
 * it, and knows of it even if the last frame goes bad (LOG-4). Under seal. */
MUST_CHECK
int redo_files_mark_end(struct redo *r, struct env_file *handle, uint64_t sequence, uint64_t offset,
                        struct lsn lsn);
void redo_files_thread(void *redo);

/* ---- the whole ------------------------------------------------------------------------------ */

enum redo_mode { REDO_IDLE, REDO_WRITING, REDO_FOLLOWING, REDO_STOPPING };

enum {
    REDO_SLOTS = 64,         /* appenders that copy at the same time */
    REDO_LOG_THREADS = 2,    /* writes that may be outstanding */
    REDO_WRITES_PENDING = 8, /* writes issued and not yet published */
};

struct redo_slot {
    alignas(64) _Atomic uint64_t start; /* LSN of the part being copied */
};

/* Somebody who is parked: for room in the ring, or for an LSN to be durable. */
struct redo_waiter {
    struct completion done;
    uint64_t lsn;
    int rc;
    struct list link; /* in redo.append.waiters or redo.publish.waiters */
};

struct redo_write {
    struct redo_pos end;
    bool is_done;
};

struct redo {
    struct env *env; /* read-only after redo_open, as are all up to the first section */
    struct redo_options options;
    struct lineage lineage; /* under files.lock */
    size_t ring_bytes, part_max;
    uint8_t *ring;

    struct { /* under append.lock, or as said */
        alignas(64) struct env_mutex lock;
        enum redo_mode mode;
        _Atomic incarnation_t inc;
        _Atomic uint64_t reserved; /* stored after the slot: pairs with redo_complete */
        _Atomic scn_t last_scn;
        uint64_t last_time_us;
        struct list waiters;      /* of redo_waiter.link: for room in the ring */
        _Atomic uint32_t waiting; /* how many */
        uint64_t part_count, wait_count;
    } append;
    alignas(64) _Atomic uint64_t slots_free; /* a bit per slot; cleared under append.lock only */
    struct redo_slot slots[REDO_SLOTS];
    alignas(64) _Atomic uint64_t ring_tail; /* below it the ring is free again */

    struct { /* under seal.lock */
        alignas(64) struct env_mutex lock;
        uint8_t *scratch; /* part_max bytes */
        void *lz4;
        struct redo_file *file; /* being written; NULL: none */
        struct env_file *handle;
        uint64_t offset;      /* where the next write goes */
        struct redo_pos tail; /* where the log ends by what has been issued */
        uint8_t *page;        /* ENV_ALIGN bytes, for the mark of a file's end */
    } seal;

    uint8_t *follow_scratch; /* of redo_append_frame's only caller; from the first following on */

    struct { /* under queue.lock, or as said */
        alignas(64) struct env_mutex lock;
        struct list frames; /* of redo_frame.queued */
        _Atomic uint32_t count;
        size_t bytes;
        bool following;         /* frames are accepted */
        struct redo_pos sealed; /* inc: of the last frame */
        _Atomic uint64_t sealed_lsn;
        struct list waiters; /* of redo_waiter.link: for room in the queue */
        uint64_t frame_count, record_bytes;
    } queue;

    struct { /* under publish.lock, or as said */
        alignas(64) struct env_mutex lock;
        struct env_cond changed; /* a write was published */
        struct redo_write writes[REDO_WRITES_PENDING];
        uint64_t first, end; /* tickets: [first, end) are not yet published */
        uint64_t in_flight;  /* writes issued and not yet back from the disk */
        bool is_publishing;
        bool is_live; /* started and not stopped: waiting for an LSN makes sense */
        struct redo_pos durable;
        _Atomic uint64_t durable_lsn;
        struct list waiters; /* of redo_waiter.link, ascending by lsn */
        uint64_t write_count, written_bytes;
    } publish;

    struct { /* under wake.lock; the atomics are read without it */
        alignas(64) struct env_mutex lock;
        struct list sleepers;          /* of redo_sleeper.link: asleep and not called */
        _Atomic uint32_t idle;         /* asleep and not called */
        _Atomic uint32_t searching;    /* awake and not yet with a batch */
        _Atomic uint32_t writing;      /* with a batch that is not back from the disk */
        _Atomic uint64_t acknowledged; /* LSN: how far commits are answered */
        _Atomic uint64_t pace_end_ns;  /* of what was sealed last: env_boot_ns */
        bool stopping;
    } wake;

    struct env_mutex sealed_listen, durable_listen;
    struct list listeners; /* of redo_listener.link; changed under both */

    struct redo_frame_pool pool;
    struct redo_files files;
    struct env_thread *threads[REDO_LOG_THREADS];
};

uint32_t redo_frame_crc(const uint8_t *bytes, size_t stored_size);

/* append.c: everything below is reserved, and nobody is still copying there. */
uint64_t redo_complete(struct redo *r);
/* There is room in the ring again, or the mode changed. */
void redo_append_wake_waiters(struct redo *r);
/* seal.c: seals the complete prefix as one frame and queues it; false: there is none. Under seal.
 */
bool redo_seal(struct redo *r);
/* The frame belongs to the log now: it is in memory, in the queue, and known. */
void redo_seal_enter(struct redo *r, struct redo_frame *f);
/* writer.c */
void redo_log_thread(void *redo);
bool redo_has_work(struct redo *r); /* that a thread should begin with now */
void redo_wake_log(struct redo *r);
void redo_wake_end(struct redo *r); /* the threads end once there is nothing left to write */
/* Under seal, with nothing outstanding. */
void redo_writer_close_file(struct redo *r);
MUST_CHECK
int redo_writer_open_file(struct redo *r, const struct redo_pos *start, bool wait);
/* publish.c: issue takes a ticket (under seal, in the order of the log), done says that its write
 * came back, settle blocks until nothing is outstanding or unpublished. */
uint64_t redo_publish_issue(struct redo *r, const struct redo_pos *end, uint64_t bytes);
void redo_publish_done(struct redo *r, uint64_t ticket);
void redo_publish_settle(struct redo *r);
/* Ends waiting: those still in line fail with ERR_STOPPED. */
void redo_publish_stop(struct redo *r);

#endif
