/* A frame: what one flush of the log seals. The same bytes go to the local file (behind a local
 * header), to every standby (behind an envelope) and to the archive.
 *
 *   off size
 *     0  4  magic "RDFR"
 *     4  2  format version, 1
 *     6  2  flags: 1 stored as LZ4, 2 encrypted (not written yet; refused)
 *     8  4  incarnation whose redo this is
 *    12  4  key id, 0: none
 *    16  8  LSN of the first record
 *    24  4  size of the records, uncompressed: the frame covers [lsn, lsn + size)
 *    28  4  stored size: bytes behind this header
 *    32  8  last SCN in the frame, or before it when it holds no commit
 *    40  8  commit time of that SCN, us
 *    48 16  chain: hash128 over the records (uncompressed) and the chain before
 *    64  4  number of records
 *    68  4  CRC-32C over bytes [0, 68) and the stored bytes
 *    72     stored bytes
 *
 * Whatever version comes later keeps magic, stored size and CRC where they are.
 *
 * A frame holds whole records. It is valid when magic, version, flags, sizes and CRC are right; the
 * chain says more: that all before it is the same, too.
 *
 * In memory a frame is one reference-counted, ENV_ALIGN-aligned buffer: room for the local header
 * (64 bytes), then the frame, then zeros up to the next multiple of ENV_ALIGN. References may be
 * taken and given back on any thread. Hold them briefly: they pin the log's memory.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_REDO_FRAME_H
#define ENGINE_REDO_FRAME_H

#include <stdatomic.h>

#include "engine/base/bytes.h"
#include "engine/base/checksum.h"
#include "engine/base/id.h"
#include "engine/base/list.h"

enum {
    REDO_FRAME_HEADER = 72,
    REDO_FRAME_RECORDS_MAX = 1 << 20,
    REDO_FRAME_BYTES_MAX = REDO_FRAME_HEADER + REDO_FRAME_RECORDS_MAX, /* header and stored bytes */
    REDO_FRAME_LZ4 = 1,
    REDO_FRAME_ENCRYPTED = 2,
    REDO_LOCAL_HEADER = 64,
};

struct redo_frame_head {
    uint16_t flags;
    incarnation_t inc;
    uint32_t key_id;
    struct lsn lsn;
    uint32_t size, stored_size;
    scn_t last_scn;
    uint64_t last_time_us;
    struct hash128 chain; /* after this frame */
    uint32_t record_count;
    uint32_t crc;
};
static inline struct lsn
redo_frame_end(const struct redo_frame_head *h)
{
    return lsn_make(h->lsn.v + h->size);
}

struct redo_frame_pool;
struct redo_frame {
    struct redo_frame_head head;
    const uint8_t *bytes; /* REDO_FRAME_HEADER + head.stored_size bytes: what goes on the wire */
    size_t bytes_size;

    uint8_t *buffer;    /* ENV_ALIGN-aligned; bytes == buffer + REDO_LOCAL_HEADER */
    size_t buffer_size; /* a multiple of ENV_ALIGN */
    _Atomic uint32_t refs;
    struct redo_frame_pool *pool; /* NULL: on the heap */
    bool is_recent;               /* in redo_frame_pool.recent, which then holds a reference */
    struct list place;            /* in redo_frame_pool.places */
    struct list queued;           /* in the log writer's queue, or the pool's free list */
};

/* The header's bytes alone: magic, version, flags and sizes are checked, the CRC is not.
 * ERR_CORRUPT or ERR_NOT_SUPPORTED. For a receiver that has to know how much follows. */
MUST_CHECK
int redo_frame_head_decode(const uint8_t bytes[REDO_FRAME_HEADER], struct redo_frame_head *out);
void redo_frame_head_encode(const struct redo_frame_head *h, uint8_t bytes[REDO_FRAME_HEADER]);
/* The whole of it: header and CRC over `size` bytes, all of which the frame must fill. */
MUST_CHECK
int redo_frame_verify(const uint8_t *bytes, size_t size, struct redo_frame_head *out);
/* The records of a verified frame: in place when they are stored plain, else into scratch
 * (REDO_FRAME_RECORDS_MAX bytes; NULL: ERR_NOT_SUPPORTED when they are compressed). */
MUST_CHECK
int redo_frame_records(const struct redo_frame_head *h, const uint8_t *bytes, uint8_t *scratch,
                       struct slice *records);
/* ERR_DIVERGED unless these records after `before` give the frame's chain. */
MUST_CHECK
int redo_frame_check_chain(const struct redo_frame_head *h, struct slice records,
                           struct hash128 before);
struct hash128 redo_chain_next(struct slice records, struct hash128 before);

/* A frame from bytes that a peer sent (copied onto the heap), verified. */
MUST_CHECK
int redo_frame_decode(const uint8_t *bytes, size_t size, struct redo_frame **out);
/* An empty heap frame with room for `bytes_size` (<= REDO_FRAME_BYTES_MAX) bytes at
 * redo_frame_room(): receive into it, then redo_frame_finish verifies it and sets the header. */
struct redo_frame *redo_frame_new(size_t bytes_size);
uint8_t *redo_frame_room(struct redo_frame *f);
MUST_CHECK
int redo_frame_finish(struct redo_frame *f, size_t bytes_size);
struct redo_frame *redo_frame_ref(struct redo_frame *f);
void redo_frame_unref(struct redo_frame *f); /* NULL allowed */

/* One line in words, for `redoubt dump`. NUL-terminated. */
void redo_frame_print(const struct redo_frame_head *h, struct writer *out);

#endif
