/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/bytes.h"

int
slice_cmp(struct slice a, struct slice b)
{
    size_t n = a.size < b.size ? a.size : b.size;
    int c = n != 0 ? memcmp(a.data, b.data, n) : 0;

    return c != 0 ? c : (a.size > b.size) - (a.size < b.size);
}

/* ---- reader -------------------------------------------------------------------------------- */

void
rd_init(struct reader *r, const void *data, size_t size)
{
    *r = (struct reader){ .at = data, .end = size == 0 ? data : (const uint8_t *)data + size };
}

void
rd_fail(struct reader *r)
{
    r->bad = true;
    r->at = r->end;
}

const uint8_t *
rd_bytes(struct reader *r, size_t size)
{
    const uint8_t *p = r->at;

    if (r->bad || rd_left(r) < size) {
        rd_fail(r);
        return NULL;
    }
    if (size > 0) /* nothing may lie at NULL */
        r->at += size;
    return p;
}

#define RD_FIXED(name, type, load)                                                                 \
    type rd_##name(struct reader *r)                                                               \
    {                                                                                              \
        const uint8_t *p = rd_bytes(r, sizeof(type));                                              \
        return p != NULL ? load : 0;                                                               \
    }
RD_FIXED(u8, uint8_t, *p)
RD_FIXED(u16, uint16_t, load_u16(p))
RD_FIXED(u32, uint32_t, load_u32(p))
RD_FIXED(u64, uint64_t, load_u64(p))
RD_FIXED(u16_be, uint16_t, load_u16_be(p))
RD_FIXED(u32_be, uint32_t, load_u32_be(p))
RD_FIXED(u64_be, uint64_t, load_u64_be(p))
#undef RD_FIXED

uint64_t
rd_varint(struct reader *r)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t b = rd_u8(r);

        if (shift == 63 && b > 1)
            break; /* more than 64 bits */
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80)
            return v;
    }
    rd_fail(r);
    return 0;
}

struct slice
rd_slice(struct reader *r, size_t size)
{
    const uint8_t *p = rd_bytes(r, size);

    return p != NULL ? slice(p, size) : slice(NULL, 0);
}

struct slice
rd_lenslice(struct reader *r)
{
    uint64_t size = rd_varint(r);

    if (size > rd_left(r))
        rd_fail(r);
    return rd_slice(r, r->bad ? 0 : (size_t)size);
}

const char *
rd_cstr(struct reader *r)
{
    const uint8_t *nul = r->bad || r->at == r->end ? NULL : memchr(r->at, 0, rd_left(r));

    if (nul == NULL) {
        rd_fail(r);
        return NULL;
    }
    return (const char *)rd_bytes(r, (size_t)(nul - r->at) + 1);
}

/* ---- writer -------------------------------------------------------------------------------- */

enum { WRITER_LIMIT_DEFAULT = 1 << 30, WRITER_FIRST = 256 };

void
wr_init(struct writer *w, size_t limit)
{
    *w = (struct writer){ .limit = limit != 0 ? limit : WRITER_LIMIT_DEFAULT };
}

void
wr_init_fixed(struct writer *w, void *data, size_t cap)
{
    *w = (struct writer){ .data = data, .cap = cap, .limit = cap, .fixed = true };
}

void
wr_init_room(struct writer *w, void *data, size_t cap)
{
    *w = (struct writer){ .data = data, .cap = cap, .limit = WRITER_LIMIT_DEFAULT, .fixed = true };
}

void
wr_fini(struct writer *w)
{
    if (!w->fixed)
        xfree(w->data);
    *w = (struct writer){ .limit = w->limit };
}

void
wr_reset(struct writer *w)
{
    w->size = 0;
    w->bad = false;
}

void
wr_shrink(struct writer *w, size_t size)
{
    CHECK(size <= w->size);
    w->size = size;
}

int
wr_finish(const struct writer *w)
{
    return w->bad ? DIAG(ERR_LIMIT, "message or record exceeds %zu bytes", w->limit) : 0;
}

static void
writer_grow(struct writer *w, size_t need)
{
    size_t cap = w->cap != 0 ? w->cap : WRITER_FIRST;
    uint8_t *mine = NULL;

    while (cap < need)
        cap *= 2;
    if (w->fixed) {
        mine = xmalloc(cap);
        memcpy(mine, w->data, w->size);
    }
    w->data = w->fixed ? mine : xrealloc(w->data, cap);
    w->cap = cap;
    w->fixed = false;
}

uint8_t *
wr_reserve(struct writer *w, size_t size)
{
    size_t need;

    if (w->bad || !add_ok(w->size, size, &need) || need > w->limit) {
        w->bad = true;
        return NULL;
    }
    if (need > w->cap)
        writer_grow(w, need);
    w->size = need;
    return need == 0 ? w->data : w->data + (need - size); /* no sum with NULL */
}

#define WR_FIXED(name, type, store)                                                                \
    void wr_##name(struct writer *w, type v)                                                       \
    {                                                                                              \
        uint8_t *p = wr_reserve(w, sizeof v);                                                      \
        if (p != NULL)                                                                             \
            store;                                                                                 \
    }
WR_FIXED(u8, uint8_t, *p = v)
WR_FIXED(u16, uint16_t, store_u16(p, v))
WR_FIXED(u32, uint32_t, store_u32(p, v))
WR_FIXED(u64, uint64_t, store_u64(p, v))
WR_FIXED(u16_be, uint16_t, store_u16_be(p, v))
WR_FIXED(u32_be, uint32_t, store_u32_be(p, v))
WR_FIXED(u64_be, uint64_t, store_u64_be(p, v))
#undef WR_FIXED

void
wr_varint(struct writer *w, uint64_t v)
{
    while (v >= 0x80) {
        wr_u8(w, (uint8_t)(v | 0x80));
        v >>= 7;
    }
    wr_u8(w, (uint8_t)v);
}

void
wr_bytes(struct writer *w, const void *data, size_t size)
{
    uint8_t *p = wr_reserve(w, size);

    if (p != NULL && size != 0)
        memcpy(p, data, size);
}

void
wr_slice(struct writer *w, struct slice s)
{
    wr_bytes(w, s.data, s.size);
}

void
wr_lenslice(struct writer *w, struct slice s)
{
    wr_varint(w, s.size);
    wr_slice(w, s);
}

void
wr_cstr(struct writer *w, const char *s)
{
    wr_bytes(w, s, strlen(s) + 1);
}
