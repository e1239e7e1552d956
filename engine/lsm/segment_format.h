/* The file format of segments.
 *
 *   header   SEG_HEADER_SIZE bytes
 *   blocks   data blocks one after the other; then, each where its handle says: filter, dictionary,
 *            index blocks one after the other, top index, properties
 *   zeros    up to a multiple of 4096, less the footer
 *   footer   SEG_FOOTER_SIZE bytes, the last ones of the file
 *
 * Numbers are little-endian. "varint" is LEB128.
 *
 * A stored block: the payload, then a tail of SEG_TAIL_SIZE bytes:
 *
 *   off  size
 *     0     1  codec of the payload
 *     1     1  block type
 *     2     2  zero
 *     4     4  size of the payload once decompressed
 *     8     4  CRC-32C over: file number, nonce, offset of the block (u64 each); the payload; the
 *              tail up to here. A block that was written elsewhere, or in another file, is
 *              therefore as bad as one with a flipped bit (B7).
 *
 * A data block, decompressed: entries, restart offsets, tail.
 *
 *   entry    u8 head: bits 0-1 kind (version.h), 2 same key as the entry before, 3 the stamp is a
 *            txid, 4 has `superseded`, 5 has seq (else 0), 6-7 zero
 *            unless same key: varint bytes shared with the key before, varint bytes that follow
 *            unless the kind is delete: varint size of the value
 *            stamp: u64 if a txid, else varint zigzag(SCN - base)
 *            seq: varint, if any;  superseded: varint (superseded - SCN), if any
 *            the bytes of the key that follow; the value
 *            Versions are in the order of version_cmp.
 *   restart  u32 each: offset of an entry that has its whole key; the first is 0
 *   tail     u64 base SCN, u32 number of entries, u32 number of restarts
 *
 * An index block (the top index too), decompressed: it names a row of blocks that lie one after the
 * other in the file.
 *
 *   u64 offset of the first, u32 number of blocks, then for each:
 *   varint stored size, tail included
 *   u8 flags: bit 0 the last key of the block goes on in the next one
 *   varint stamp of its last version, if it goes on (a txid as such)
 *   varint size, separator: not below the last key of the block, below the first of the next (if it
 *   goes on: equal to both)
 *
 * Properties: for each, varint tag, varint size, the bytes. Unknown tags are passed over.
 *
 * The footer:
 *
 *   off  size
 *     0     4  magic
 *     4     2  format version
 *     6     2  levels of the index: 1 (the top index names data blocks) or 2
 *     8     8  number of the file
 *    16     8  nonce
 *    24     8  size of the file
 *    32    16  top index: u64 offset, u32 stored size, u32 zero
 *    48    16  properties, likewise
 *    64    16  filter; size 0: none
 *    80    16  dictionary; size 0: none
 *    96     8  end of the data blocks
 *   104    20  zero
 *   124     4  CRC-32C of the bytes before
 *
 * A file is valid if header, footer, properties and top index are; each block is checked when it is
 * read.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_LSM_SEGMENT_FORMAT_H
#define ENGINE_LSM_SEGMENT_FORMAT_H

#include <assert.h>

enum { SEG_VERSION = 1 };
#define SEG_MAGIC        0x47455352u /* "RSEG" */
#define SEG_FOOTER_MAGIC 0x46455352u /* "RSEF" */

enum {
    SEG_HDR_MAGIC = 0,   /* u32 */
    SEG_HDR_VERSION = 4, /* u16, then u16 zero */
    SEG_HDR_FILE = 8,    /* u64 */
    SEG_HDR_NONCE = 16,  /* u64 */
    SEG_HDR_CRC = 28,    /* u32, over the bytes before; u32 zero in front of it */
    SEG_HEADER_SIZE = 32,
};

enum {
    SEG_FTR_MAGIC = 0,
    SEG_FTR_VERSION = 4,
    SEG_FTR_LEVELS = 6,
    SEG_FTR_FILE = 8,
    SEG_FTR_NONCE = 16,
    SEG_FTR_BYTES = 24,
    SEG_FTR_INDEX = 32,
    SEG_FTR_PROPS = 48,
    SEG_FTR_FILTER = 64,
    SEG_FTR_DICT = 80,
    SEG_FTR_DATA_END = 96,
    SEG_FTR_CRC = 124,
    SEG_FOOTER_SIZE = 128,
};
static_assert(SEG_FTR_CRC + 4 == SEG_FOOTER_SIZE, "the checksum ends the footer");

enum {
    SEG_TAIL_CODEC = 0,
    SEG_TAIL_TYPE = 1,
    SEG_TAIL_RAW = 4,
    SEG_TAIL_CRC = 8,
    SEG_TAIL_SIZE = 12,
};

enum seg_block_type { /* explicit, never reused; columnar blocks will get their own */
                      SEG_BLOCK_DATA = 1,
                      SEG_BLOCK_INDEX = 2,
                      SEG_BLOCK_FILTER = 3,
                      SEG_BLOCK_DICT = 4,
                      SEG_BLOCK_PROPS = 5,
                      SEG_BLOCK_TYPE_END,
};

enum { /* entry heads */
       SEG_ENTRY_KIND = 3,
       SEG_ENTRY_SAME_KEY = 4,
       SEG_ENTRY_TXID = 8,
       SEG_ENTRY_SUPERSEDED = 16,
       SEG_ENTRY_SEQ = 32,
       SEG_ENTRY_ZERO = 0xc0,
};
enum { SEG_DATA_TAIL_SIZE = 16, SEG_RESTART_EVERY = 16 };
enum { SEG_INDEX_HEAD_SIZE = 12, SEG_INDEX_GOES_ON = 1 };

/* No block is larger when decompressed: the largest version, with room. */
enum { SEG_RAW_MAX = 80 << 20 };

enum seg_prop { /* explicit, never reused */
                SEG_PROP_TREE = 1,
                SEG_PROP_TAG = 2,
                SEG_PROP_KIND = 3,
                SEG_PROP_CODEC = 4,
                SEG_PROP_KEY_MIN = 5,
                SEG_PROP_KEY_MAX = 6,
                SEG_PROP_COUNTS = 7,      /* u64 versions, keys, deletes, unresolved, blocks */
                SEG_PROP_SCNS = 8,        /* u64 min, max */
                SEG_PROP_SUPERSEDED = 9,  /* u64 min, max */
                SEG_PROP_TXIDS = 10,      /* u64 each, ascending; absent when there are too many */
                SEG_PROP_TXID_RANGE = 11, /* u64 min, max */
                SEG_PROP_BYTES = 12,      /* u64 raw, stored, keys, values */
                SEG_PROP_STATS = 13,      /* column statistics: their owner's */
};

#endif
