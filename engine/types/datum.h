/* Values: one at a time (struct datum, the point path) and by the column (struct vec, struct batch,
 * the vectorized executor).
 *
 * In memory a value has one of three representations, fixed by its type (type.h: type->rep):
 *
 *   REP_INT    datum.i  bool (0, 1), "char" (0..255), int2, int4, int8, oid and the reg* types
 *                       (0..2^32-1), date (days since 2000-01-01), time (microseconds since
 *                       midnight), timestamp and timestamptz (microseconds since 2000-01-01, UTC
 *                       for the latter). Minus and plus infinity: INT32_MIN/MAX for date,
 *                       INT64_MIN/MAX for timestamps.
 *   REP_FLOAT  datum.f  float4 (a double that is exactly a float) and float8
 *   REP_BYTES  datum.p, datum.size, borrowed: whoever made the datum says how long the bytes live.
 *                       text, varchar, bpchar (with its trailing blanks), name, unknown,
 *                       pg_node_tree: UTF-8 without NUL. bytea: any bytes. numeric: numeric.h.
 *                       interval: datetime.h, 16 bytes. Arrays: array.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TYPES_DATUM_H
#define ENGINE_TYPES_DATUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/bytes.h"
#include "engine/base/err.h"
#include "engine/base/mem.h"

enum type_rep { REP_INT = 0, REP_FLOAT = 1, REP_BYTES = 2 };

/* One value. When is_null is set the rest means nothing. 16 bytes, passed by pointer in arrays. */
struct datum {
    union {
        int64_t i;
        double f;
        const uint8_t *p;
    };
    uint32_t size; /* REP_BYTES only */
    bool is_null;
};

static inline struct datum
datum_int(int64_t v)
{
    return (struct datum){ .i = v };
}
static inline struct datum
datum_bool(bool v)
{
    return (struct datum){ .i = v };
}
static inline struct datum
datum_float(double v)
{
    return (struct datum){ .f = v };
}
static inline struct datum
datum_bytes(const void *p, size_t size)
{
    return (struct datum){ .p = (const uint8_t *)p, .size = (uint32_t)size };
}
static inline struct datum
datum_slice(struct slice s)
{
    return datum_bytes(s.data, s.size);
}
static inline struct datum
datum_null(void)
{
    return (struct datum){ .i = 0, .is_null = true };
}
static inline struct slice
datum_view(const struct datum *d) /* of a REP_BYTES value that is not null */
{
    return slice(d->p, d->size);
}
/* The same value with its bytes copied into the arena. */
struct datum datum_copy(struct arena *a, const struct datum *d, enum type_rep rep);

/* ---- columns ------------------------------------------------------------------------------- */

enum { BATCH_ROWS_MAX = 1024, VALID_WORDS = BATCH_ROWS_MAX / 64 };

struct bytes_ref {
    const uint8_t *p;
    uint32_t size;
};

/* Up to BATCH_ROWS_MAX values of one type. Bytes are referenced, never owned: they lie in pinned
 * blocks or arenas that live at least as long as the batch.
 *
 * A bit of `valid` is 1 where the row is not null; it may be NULL when no row is. The array entry
 * of a null row is defined memory but means nothing. With is_const, entry 0 (and bit 0) stands for
 * every row. */
struct vec {
    uint32_t type; /* OID */
    uint8_t rep;   /* enum type_rep */
    bool is_const;
    union {
        int64_t *i;
        double *f;
        struct bytes_ref *b;
    };
    uint64_t *valid;
};

/* Rows side by side. `sel`, when there is one, lists in ascending order the rows that count. */
struct batch {
    uint32_t row_count; /* rows filled in the columns */
    uint32_t sel_count; /* entries of sel; equal to row_count when sel is NULL */
    uint16_t *sel;
    uint32_t col_count;
    struct vec *cols;
};

/* Room for BATCH_ROWS_MAX rows of the type, all valid bits set. */
void vec_init(struct vec *v, struct arena *a, uint32_t type);
/* One value for every row; the bytes stay borrowed. */
void vec_init_const(struct vec *v, struct arena *a, uint32_t type, const struct datum *d);
/* A batch with columns of these types, empty, without a selection. */
struct batch *batch_new(struct arena *a, const uint32_t *types, uint32_t count);

static inline bool
vec_is_null(const struct vec *v, uint32_t row)
{
    if (v->is_const)
        row = 0;
    return v->valid != NULL && (v->valid[row >> 6] >> (row & 63) & 1) == 0;
}
/* Needs v->valid. */
static inline void
vec_set_valid(struct vec *v, uint32_t row, bool is_valid)
{
    uint64_t bit = (uint64_t)1 << (row & 63);

    if (is_valid)
        v->valid[row >> 6] |= bit;
    else
        v->valid[row >> 6] &= ~bit;
}
static inline struct datum
vec_get(const struct vec *v, uint32_t row)
{
    struct datum d = { .i = 0 };

    if (v->is_const)
        row = 0;
    if (v->valid != NULL && (v->valid[row >> 6] >> (row & 63) & 1) == 0) {
        d.is_null = true;
    } else if (v->rep == REP_INT) {
        d.i = v->i[row];
    } else if (v->rep == REP_FLOAT) {
        d.f = v->f[row];
    } else {
        d.p = v->b[row].p;
        d.size = v->b[row].size;
    }
    return d;
}
/* Needs v->valid; the bytes stay borrowed. */
static inline void
vec_set(struct vec *v, uint32_t row, const struct datum *d)
{
    vec_set_valid(v, row, !d->is_null);
    if (d->is_null) {
        if (v->rep == REP_BYTES)
            v->b[row] = (struct bytes_ref){ NULL, 0 };
        else
            v->i[row] = 0;
    } else if (v->rep == REP_INT) {
        v->i[row] = d->i;
    } else if (v->rep == REP_FLOAT) {
        v->f[row] = d->f;
    } else {
        v->b[row] = (struct bytes_ref){ d->p, d->size };
    }
}
/* Row numbers of a batch in order: batch_row(b, k) for k in 0 .. sel_count-1. */
static inline uint32_t
batch_row(const struct batch *b, uint32_t k)
{
    return b->sel != NULL ? b->sel[k] : k;
}

#endif
