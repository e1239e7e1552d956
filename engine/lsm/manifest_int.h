/* The manifest's disk format and its map. Format (little-endian):
 *
 *   block 0, 4,096 bytes: the header
 *        0  u64  magic "RDMANIF1"
 *        8  u32  version 1
 *       12  u32  crc over bytes [0, 32) with this field zero
 *       16  u64  salt: random; every checksum of the file starts from it, so that no bytes copied
 *                from elsewhere are ever taken for a record
 *       24  u64  sequence of the first edit
 *   block 1, 4,096 bytes: the mark, written without a sync after each edit; lost at worst
 *        0  u64  magic "RDMARK01"
 *        8  u64  where the records end that are known to be durable
 *       16  u64  sequence of the last of them
 *       24  u32  crc over bytes [0, 24), from the salt
 *   from 8,192: records, each on a multiple of 8, zeros behind the last
 *        0  u32  magic 0x54494445
 *        4  u32  crc over bytes [8, 32 + length), from the salt
 *        8  u32  payload length
 *       12  u32  items in the payload
 *       16  u64  sequence, one more than the record before
 *       24  u32  crc of the record before, or the header's: records cannot change places
 *       28  u32  zero
 *       32       payload: items, each
 *                u8 op (1 put, 2 remove) | u8 type | varint key size, key | put: varint size, value
 *
 * Validity: a record that does not fit is a torn tail if and only if no valid record of a higher
 * sequence lies behind it and the mark does not cover it; else it is corruption. An edit is written
 * only after the one before is durable, so a torn one is always the last.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_LSM_MANIFEST_INT_H
#define ENGINE_LSM_MANIFEST_INT_H

#include "engine/base/env.h"
#include "engine/lsm/manifest.h"

enum {
    MANIFEST_BLOCK = 4096,
    MANIFEST_VERSION = 1,
    MANIFEST_HEADER_SIZE = 32,
    MANIFEST_HEADER_OFF_CRC = 12,
    MANIFEST_MARK_AT = MANIFEST_BLOCK,
    MANIFEST_MARK_SIZE = 28,
    MANIFEST_RECORDS_AT = 2 * MANIFEST_BLOCK,
    MANIFEST_RECORD_HEADER = 32,
    MANIFEST_RECORD_OFF_CRC = 4,
    MANIFEST_RECORD_ALIGN = 8,
    MANIFEST_OP_PUT = 1,
    MANIFEST_OP_REMOVE = 2,
};
#define MANIFEST_MAGIC        0x3146494E414D4452ull
#define MANIFEST_MARK_MAGIC   0x31304B52414D4452ull
#define MANIFEST_RECORD_MAGIC 0x54494445u
_Static_assert(MANIFEST_HEADER_SIZE <= MANIFEST_BLOCK && MANIFEST_MARK_SIZE <= MANIFEST_BLOCK,
               "header and mark are one block each");

struct manifest_header {
    uint64_t salt;
    uint64_t first_sequence;
    uint32_t crc;
};
/* What is known while records are read one after the other. */
struct manifest_reader {
    const uint8_t *data;
    size_t size;
    struct manifest_header header;
    uint64_t mark_end;   /* records below it are durable; 0: no valid mark */
    size_t at;           /* of the next record */
    uint64_t sequence;   /* of the next record */
    uint32_t crc_before; /* its crc_before must be this */
};
struct manifest_record {
    struct slice payload;
    uint32_t item_count;
    uint64_t sequence;
    uint32_t crc;
};
struct manifest_item {
    enum manifest_type type;
    bool removed;
    struct slice key, value;
};

void manifest_header_encode(uint8_t out[MANIFEST_HEADER_SIZE], struct manifest_header *h);
void manifest_mark_encode(uint8_t out[MANIFEST_MARK_SIZE], uint64_t salt, uint64_t end,
                          uint64_t sequence);
/* Appends a whole record, padded, and gives its crc. */
uint32_t manifest_record_encode(struct writer *w, uint64_t salt, uint64_t sequence,
                                uint32_t crc_before, struct slice payload, uint32_t item_count);
/* Checks header and mark. ERR_CORRUPT, ERR_NOT_SUPPORTED (a later version). */
MUST_CHECK
int manifest_reader_init(struct manifest_reader *r, const void *data, size_t size);
/* 0 and the record; ERR_END (not recorded) where the records end, torn tail or not, with r->at
 * there; ERR_CORRUPT (MANIFEST-2). */
MUST_CHECK
int manifest_reader_next(struct manifest_reader *r, struct manifest_record *out);
/* The next item of a payload; false at its end. A payload that does not fit turns `r` bad. */
bool manifest_item_next(struct reader *r, struct manifest_item *out);
MUST_CHECK
int manifest_read_file(struct env *env, const char *path, uint8_t **data, size_t *size);
const char *manifest_type_name(enum manifest_type type);

/* ---- the map -------------------------------------------------------------------------------- */

struct manifest_node {
    uint8_t type;
    uint8_t key_size;
    uint32_t value_size;
    uint8_t *value;
    uint8_t key[];
};
/* Sorted by (type, key). */
struct manifest_map {
    struct manifest_node **nodes;
    size_t count, cap;
    size_t bytes; /* of all items, as a snapshot would hold them, about */
};
void manifest_map_fini(struct manifest_map *m);
void manifest_map_apply(struct manifest_map *m, const struct manifest_item *item);
/* Applies a whole payload; ERR_CORRUPT leaves the map as it was. */
MUST_CHECK
int manifest_map_apply_all(struct manifest_map *m, struct slice payload, uint32_t item_count);
/* Where the first item at or after (type, key) is. */
size_t manifest_map_seek(const struct manifest_map *m, enum manifest_type type, struct slice key);
const struct manifest_node *manifest_map_find(const struct manifest_map *m, enum manifest_type type,
                                              struct slice key);
void manifest_map_snapshot(const struct manifest_map *m, struct manifest_edit *out);

#endif
