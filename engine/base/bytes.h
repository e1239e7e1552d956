/* The one bounds-checked reader and the one growth-checked writer, for every format on disk and
 * wire. No other code does pointer arithmetic on bytes that came from outside.
 *
 * A reader that runs past its end turns bad: from then on every read gives 0 or NULL, and the
 * caller checks rd_ok() once at the end. Little-endian unless the name ends in _be (the PostgreSQL
 * wire and memcomparable keys).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_BASE_BYTES_H
#define ENGINE_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"

/* A borrowed range of bytes. */
struct slice {
    const uint8_t *data;
    size_t size;
};
static inline struct slice
slice(const void *data, size_t size)
{
    return (struct slice){ (const uint8_t *)data, size };
}
static inline struct slice
slice_str(const char *s)
{
    return slice(s, strlen(s));
}
int slice_cmp(struct slice a, struct slice b); /* memcmp, then length */
static inline bool
slice_eq(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* ---- fixed-size loads and stores, unaligned ------------------------------------------------ */

#define BYTES_LOAD_STORE(bits)                                                                     \
    static inline uint##bits##_t load_u##bits(const void *p)                                       \
    {                                                                                              \
        uint##bits##_t v;                                                                          \
        memcpy(&v, p, sizeof v);                                                                   \
        return v;                                                                                  \
    }                                                                                              \
    static inline void store_u##bits(void *p, uint##bits##_t v)                                    \
    {                                                                                              \
        memcpy(p, &v, sizeof v);                                                                   \
    }                                                                                              \
    static inline uint##bits##_t load_u##bits##_be(const void *p)                                  \
    {                                                                                              \
        return __builtin_bswap##bits(load_u##bits(p));                                             \
    }                                                                                              \
    static inline void store_u##bits##_be(void *p, uint##bits##_t v)                               \
    {                                                                                              \
        store_u##bits(p, __builtin_bswap##bits(v));                                                \
    }
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "only little-endian machines: give load_u* and store_u* a swap for others"
#endif
BYTES_LOAD_STORE(16)
BYTES_LOAD_STORE(32)
BYTES_LOAD_STORE(64)
#undef BYTES_LOAD_STORE

/* ---- reader -------------------------------------------------------------------------------- */

struct reader {
    const uint8_t *at, *end;
    bool bad;
};

void rd_init(struct reader *r, const void *data, size_t size);
static inline bool
rd_ok(const struct reader *r)
{
    return !r->bad;
}
static inline size_t
rd_left(const struct reader *r)
{
    return (size_t)(r->end - r->at);
}
void rd_fail(struct reader *r); /* for a value that is out of its range */
uint8_t rd_u8(struct reader *r);
uint16_t rd_u16(struct reader *r);
uint32_t rd_u32(struct reader *r);
uint64_t rd_u64(struct reader *r);
uint16_t rd_u16_be(struct reader *r);
uint32_t rd_u32_be(struct reader *r);
uint64_t rd_u64_be(struct reader *r);
uint64_t rd_varint(struct reader *r);                   /* LEB128, at most 10 bytes */
const uint8_t *rd_bytes(struct reader *r, size_t size); /* NULL when bad */
struct slice rd_slice(struct reader *r, size_t size);   /* {NULL, 0} when bad */
struct slice rd_lenslice(struct reader *r);             /* varint length, then the bytes */
const char *rd_cstr(struct reader *r);                  /* up to and past a NUL; NULL if none */

/* ---- writer -------------------------------------------------------------------------------- */

/* Grows by itself up to `limit`; past it turns bad, and wr_finish says so. */
struct writer {
    uint8_t *data;
    size_t size, cap, limit;
    bool bad, fixed; /* fixed: the memory is the caller's */
};

void wr_init(struct writer *w, size_t limit); /* allocates nothing yet; limit 0: 1 GiB */
void wr_init_fixed(struct writer *w, void *data, size_t cap); /* does not grow */
/* Begins in the caller's memory and moves to the heap when that is full. */
void wr_init_room(struct writer *w, void *data, size_t cap);
void wr_fini(struct writer *w);
void wr_reset(struct writer *w);               /* empty again, memory kept */
void wr_shrink(struct writer *w, size_t size); /* back to an earlier size */
MUST_CHECK
int wr_finish(const struct writer *w); /* 0, or ERR_LIMIT when it ever ran out of room */
/* Room for `size` bytes, counted as written; NULL when bad. Valid until the next write. */
uint8_t *wr_reserve(struct writer *w, size_t size);
void wr_u8(struct writer *w, uint8_t v);
void wr_u16(struct writer *w, uint16_t v);
void wr_u32(struct writer *w, uint32_t v);
void wr_u64(struct writer *w, uint64_t v);
void wr_u16_be(struct writer *w, uint16_t v);
void wr_u32_be(struct writer *w, uint32_t v);
void wr_u64_be(struct writer *w, uint64_t v);
void wr_varint(struct writer *w, uint64_t v);
void wr_bytes(struct writer *w, const void *data, size_t size);
void wr_slice(struct writer *w, struct slice s);
void wr_lenslice(struct writer *w, struct slice s); /* varint length, then the bytes */
void wr_cstr(struct writer *w, const char *s);      /* with its NUL */
static inline struct slice
wr_view(const struct writer *w)
{
    return slice(w->data, w->size);
}

#endif
