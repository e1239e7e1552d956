/* Row values: what a table's tree stores under a primary key.
 *
 *   byte 0           flags: bit 0 ROW_WIDE (ends are u32 instead of u16); others 0
 *   varint           version of the table's definition, LEB128, 1 .. 2^32-1
 *   null bitmap      (stored columns + 7) / 8 bytes; bit 1 = null; spare bits 0
 *   fixed part       the stored columns of fixed width, in their order, unaligned, little-endian;
 *                    zeros where null: bool and "char" 1; int2 2; int4, date, oid, reg*, float4 4;
 *                    int8, float8, time, timestamps 8; interval 16
 *   ends             u16 or u32 per stored variable column: where its bytes end, counted from the
 *                    start of the variable part
 *   variable part    the bytes of the variable columns, one after the other
 *
 * The bytes end with the last variable column's. Columns whose value can be had from the key alone
 * are not stored twice (ROW_COL_KEY).
 *
 * A struct row_layout describes one version of one table's definition and is immutable once
 * row_layout_init() has seen it. A struct row_map ties a stored version to the columns that a
 * reader wants: build it once per (plan, version), then decode rows with it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TYPES_ROW_H
#define ENGINE_TYPES_ROW_H

#include "engine/types/key.h"
#include "engine/types/type.h"

enum { ROW_COLUMNS_MAX = 1600, ROW_SIZE_MAX = 64 << 20 };

enum row_column_place {
    ROW_COL_VALUE = 0,   /* in the row value */
    ROW_COL_KEY = 1,     /* in the key only */
    ROW_COL_DROPPED = 2, /* no longer there; takes no room in new rows */
};

struct row_column {
    uint16_t attnum; /* 1 .., never used twice in a table */
    uint8_t place;   /* enum row_column_place */
    oid_t type;
    int32_t typmod;
    /* What rows of versions without this attnum have in it: ADD COLUMN … DEFAULT, evaluated once.
     * Null where there is no default. Its bytes live as long as the layout. */
    struct datum missing;
    /* set by row_layout_init */
    uint8_t row_size, rep; /* of its type */
    uint16_t slot;         /* ROW_COL_VALUE: number of its null bit */
    uint32_t offset; /* of a fixed column, from the start of the fixed part; of a variable one, its
                      * index among the ends */
};

struct row_layout {
    uint32_t version;           /* 1 .. */
    uint32_t column_count;      /* dropped ones included */
    struct row_column *columns; /* in attnum order */
    uint32_t key_count;
    const struct key_part *key_parts; /* of the primary key */
    const uint16_t *key_columns;      /* index into columns per key part; ROW_KEY_HIDDEN: none */
    /* set by row_layout_init */
    uint32_t slot_count, fixed_size, var_count;
    uint32_t head_size; /* flags, version, null bitmap: offset of the fixed part */
};
enum { ROW_KEY_HIDDEN = 0xffff }; /* a key part that is no column: the hidden row id */

/* Computes the derived members. A key column that key_is_lossy() is set to ROW_COL_VALUE, the
 * others of the key to ROW_COL_KEY; so the caller only marks dropped ones. */
void row_layout_init(struct row_layout *l);

/* Appends a row value. values[i] is that of columns[i] (entries of dropped and key columns are
 * ignored). ERR_LIMIT past ROW_SIZE_MAX. */
MUST_CHECK
int row_encode(struct writer *w, const struct row_layout *l, const struct datum *values);
/* Appends the primary key of the row. */
void row_encode_key(struct writer *w, const struct row_layout *l, const struct datum *values);

/* The version a row was written under, to choose the layout. ERR_CORRUPT if there is none. */
MUST_CHECK
int row_version(struct slice value, uint32_t *version);

/* How to get one wanted column out of rows of one version. */
struct row_pick {
    uint8_t kind; /* internal: row.c */
    uint8_t rep;
    uint16_t slot;
    uint32_t offset;
    oid_t type;
    const struct row_column *column; /* of the wanted layout */
};
struct row_map {
    uint32_t version;
    uint32_t count;
    const struct row_layout *stored;
    bool wants_key;            /* some column comes from the key */
    uint32_t key_parts_needed; /* leading key parts to be decoded */
    struct row_pick *picks;    /* per wanted column */
    uint16_t *key_targets;     /* per leading key part: index into the wanted columns, or 0xffff */
};

/* `wanted` are indexes into current->columns. Rows of `stored` versions older than a column give
 * its `missing`. A map lives as long as the arena and both layouts. ERR_INTERNAL when a column
 * changed its type without a rewrite. */
MUST_CHECK
int row_map_init(struct row_map *m, struct arena *a, const struct row_layout *stored,
                 const struct row_layout *current, const uint16_t *wanted, uint32_t count);

/* Decodes the wanted columns, out[k] for wanted[k]. Bytes borrow from key and value where they
 * stand there as they are, else lie in the arena. Total: ERR_CORRUPT for what is not a row of
 * m->version. The key may be {NULL, 0} when m->wants_key is false. */
MUST_CHECK
int row_decode(const struct row_map *m, struct slice key, struct slice value, struct arena *a,
               struct datum *out);
/* The same into row `row` of the vectors (one per wanted column, made by vec_init; a NULL entry is
 * skipped). With a copy arena, bytes that would borrow are copied there. */
MUST_CHECK
int row_decode_vecs(const struct row_map *m, struct slice key, struct slice value, struct arena *a,
                    bool copy, uint32_t row, struct vec *const *vecs);

#endif
