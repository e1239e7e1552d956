/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/key.h"

#include "engine/types/array.h"
#include "engine/types/datetime.h"
#include "engine/types/key_int.h"
#include "engine/types/type_int.h"

enum {
    MARK_NULL_FIRST = 0x01,
    MARK_VALUE = 0x02,
    MARK_NULL_LAST = 0xfe,
    TEXT_ESCAPE = 0x00,
    TEXT_ZERO = 0xff, /* after the escape: a 0x00 of the text */
    TEXT_END = 0x01,  /* after the escape: the end */
    ARRAY_END = 0x00,
    ARRAY_VALUE = 0x01,
    ARRAY_NULL = 0x02,
};

int
key_corrupt(void)
{
    return DIAG(ERR_CORRUPT, "damaged key");
}

/* ---- writing ------------------------------------------------------------------------------- */

static void
put_text(struct writer *w, const uint8_t *p, size_t size, bool is_raw)
{
    const uint8_t *end = p + size;

    if (is_raw) {
        wr_bytes(w, p, size);
        return;
    }
    while (p < end) {
        const uint8_t *zero = memchr(p, 0, (size_t)(end - p));
        if (zero == NULL)
            break;
        wr_bytes(w, p, (size_t)(zero - p));
        wr_u8(w, TEXT_ESCAPE);
        wr_u8(w, TEXT_ZERO);
        p = zero + 1;
    }
    if (p < end)
        wr_bytes(w, p, (size_t)(end - p));
    wr_u8(w, TEXT_ESCAPE);
    wr_u8(w, TEXT_END);
}

static void
put_float(struct writer *w, bool is_single, double v)
{
    if (v != v)
        v = __builtin_nan("");
    else if (v == 0)
        v = 0; /* not -0 */
    if (is_single) {
        float f = (float)v;
        uint32_t u;
        memcpy(&u, &f, sizeof u);
        wr_u32_be(w, u >> 31 ? ~u : u | UINT32_C(1) << 31);
    } else {
        uint64_t u;
        memcpy(&u, &v, sizeof u);
        wr_u64_be(w, u >> 63 ? ~u : u | UINT64_C(1) << 63);
    }
}

static void
put_interval(struct writer *w, const struct datum *d)
{
    __int128 span = interval_span(interval_load(d));

    wr_u64_be(w, (uint64_t)(span >> 64) ^ UINT64_C(1) << 63);
    wr_u64_be(w, (uint64_t)span);
}

static bool
is_unsigned(const struct type *t)
{
    return t->row_size == 1 || (t->row_size == 4 && t->oid != TYPE_INT4 && t->oid != TYPE_DATE);
}

static void
put_int(struct writer *w, const struct type *t, int64_t v)
{
    uint64_t u = (uint64_t)v ^ (is_unsigned(t) ? 0 : UINT64_C(1) << (t->row_size * 8 - 1));

    switch (t->row_size) {
    case 1:
        wr_u8(w, (uint8_t)u);
        break;
    case 2:
        wr_u16_be(w, (uint16_t)u);
        break;
    case 4:
        wr_u32_be(w, (uint32_t)u);
        break;
    default:
        wr_u64_be(w, u);
    }
}

static void put_value(struct writer *w, const struct type *t, const struct datum *d, bool is_raw);

static void
put_array(struct writer *w, const struct datum *d)
{
    struct array_iter it;
    struct datum elem;

    array_iter_init(&it, d);
    while (array_next(&it, &elem)) {
        wr_u8(w, elem.is_null ? ARRAY_NULL : ARRAY_VALUE);
        if (!elem.is_null)
            put_value(w, it.elem, &elem, false);
    }
    wr_u8(w, ARRAY_END);
}

static void
put_value(struct writer *w, const struct type *t, const struct datum *d, bool is_raw)
{
    if (t->rep == REP_INT)
        put_int(w, t, d->i);
    else if (t->rep == REP_FLOAT)
        put_float(w, t->len == 4, d->f);
    else if (t->oid == TYPE_BPCHAR)
        put_text(w, d->p, bpchar_size(d), is_raw);
    else if (t->oid == TYPE_NUMERIC)
        key_put_numeric(w, d);
    else if (t->oid == TYPE_INTERVAL)
        put_interval(w, d);
    else if (t->category == 'A')
        put_array(w, d);
    else
        put_text(w, d->p, d->size, is_raw);
}

void
key_put(struct writer *w, const struct key_part *part, const struct datum *d)
{
    size_t from;

    if ((part->flags & KEY_NOT_NULL) == 0) {
        wr_u8(w, !d->is_null                       ? MARK_VALUE
                 : (part->flags & KEY_NULLS_FIRST) ? MARK_NULL_FIRST
                                                   : MARK_NULL_LAST);
        if (d->is_null)
            return;
    }
    CHECK(!d->is_null);
    from = w->size;
    put_value(w, type_get(part->type), d, (part->flags & (KEY_FINAL | KEY_DESC)) == KEY_FINAL);
    if ((part->flags & KEY_DESC) != 0) {
        for (size_t i = from; i < w->size; i++)
            w->data[i] = (uint8_t)~w->data[i];
    }
}

void
key_put_all(struct writer *w, const struct key_part *parts, uint32_t count,
            const struct datum *values)
{
    for (uint32_t i = 0; i < count; i++)
        key_put(w, &parts[i], &values[i]);
}

/* ---- reading ------------------------------------------------------------------------------- */

/* `flip` is 0xff in a descending part. */
static int
get_text(struct reader *r, bool is_raw, uint8_t flip, struct arena *a, struct datum *out)
{
    size_t left = rd_left(r), n = 0, zeros = 0, at = 0;
    const uint8_t *p = r->at;
    uint8_t *copy;

    if (is_raw) {
        *out = datum_slice(rd_slice(r, left));
        return 0;
    }
    for (;; n++) {
        const uint8_t *escape = n < left ? memchr(p + n, TEXT_ESCAPE ^ flip, left - n) : NULL;
        if (escape == NULL || (n = (size_t)(escape - p)) + 1 >= left)
            return key_corrupt();
        if ((p[n + 1] ^ flip) == TEXT_END)
            break;
        if ((p[n + 1] ^ flip) != TEXT_ZERO)
            return key_corrupt();
        n++;
        zeros++;
    }
    rd_bytes(r, n + 2);
    if (zeros == 0 && flip == 0) {
        *out = datum_bytes(p, n);
        return 0;
    }
    copy = arena_alloc(a, n + 1);
    for (size_t i = 0; i < n; i++) {
        uint8_t c = p[i] ^ flip;
        copy[at++] = c;
        if (c == TEXT_ESCAPE)
            i++;
    }
    *out = datum_bytes(copy, at);
    return 0;
}

static struct datum
get_int(const struct type *t, struct reader *r, bool is_desc)
{
    uint64_t u;

    switch (t->row_size) {
    case 1:
        u = rd_u8(r);
        break;
    case 2:
        u = rd_u16_be(r);
        break;
    case 4:
        u = rd_u32_be(r);
        break;
    default:
        u = rd_u64_be(r);
    }
    if (is_desc)
        u = ~u;
    if (is_unsigned(t))
        return datum_int(t->row_size == 1 ? (uint8_t)u : (int64_t)(uint32_t)u);
    u ^= UINT64_C(1) << (t->row_size * 8 - 1);
    return datum_int(t->row_size == 2 ? (int16_t)u : t->row_size == 4 ? (int32_t)u : (int64_t)u);
}

static struct datum
get_float(bool is_single, struct reader *r, bool is_desc)
{
    struct datum d = datum_float(0);

    if (is_single) {
        uint32_t u = rd_u32_be(r) ^ (is_desc ? UINT32_MAX : 0);
        float f;
        u = u >> 31 ? u & ~(UINT32_C(1) << 31) : ~u;
        memcpy(&f, &u, sizeof f);
        d.f = (double)f;
    } else {
        uint64_t u = rd_u64_be(r) ^ (is_desc ? UINT64_MAX : 0);
        u = u >> 63 ? u & ~(UINT64_C(1) << 63) : ~u;
        memcpy(&d.f, &u, sizeof u);
    }
    return d;
}

static int get_value(struct reader *r, const struct type *t, bool is_raw, bool is_desc,
                     struct arena *a, struct datum *out);

static int
get_array(struct reader *r, const struct type *t, bool is_desc, struct arena *a, struct datum *out)
{
    uint8_t flip = is_desc ? 0xff : 0;
    const struct type *elem = type_get(t->elem_oid);
    uint32_t count = 0, cap = 0;
    struct datum *elems = NULL;
    bool is_vector = t->oid == TYPE_INT2VECTOR || t->oid == TYPE_OIDVECTOR;

    for (;;) {
        uint8_t mark = rd_u8(r) ^ flip;
        int rc;
        if (!rd_ok(r) || mark > ARRAY_NULL)
            return key_corrupt();
        if (mark == ARRAY_END)
            break;
        if (count == cap) {
            struct datum *more = arena_alloc(a, sizeof *more * (cap = cap * 2 + 8));
            if (count > 0)
                memcpy(more, elems, sizeof *more * count);
            elems = more;
        }
        elems[count] = datum_null();
        if (mark == ARRAY_VALUE) {
            rc = get_value(r, elem, false, is_desc, a, &elems[count]);
            if (rc != 0)
                return rc;
        }
        count++;
    }
    *out = array_make(a, elem->oid, elems, count, is_vector ? 0 : 1);
    return 0;
}

static int
get_numeric(struct reader *r, bool is_desc, struct arena *a, struct datum *out)
{
    struct reader flipped;
    uint8_t *copy;
    size_t left = rd_left(r);
    int rc;

    if (!is_desc)
        return key_get_numeric(r, a, out);
    copy = arena_alloc(a, left + 1);
    for (size_t i = 0; i < left; i++)
        copy[i] = (uint8_t)~r->at[i];
    rd_init(&flipped, copy, left);
    rc = key_get_numeric(&flipped, a, out);
    rd_bytes(r, left - rd_left(&flipped));
    return rc;
}

static int
get_value(struct reader *r, const struct type *t, bool is_raw, bool is_desc, struct arena *a,
          struct datum *out)
{
    if (t->rep == REP_INT)
        *out = get_int(t, r, is_desc);
    else if (t->rep == REP_FLOAT)
        *out = get_float(t->len == 4, r, is_desc);
    else if (t->oid == TYPE_NUMERIC)
        return get_numeric(r, is_desc, a, out);
    else if (t->category == 'A')
        return get_array(r, t, is_desc, a, out);
    else if (t->oid == TYPE_INTERVAL) {
        rd_bytes(r, 16);
        return rd_ok(r) ? DIAG(ERR_NOT_SUPPORTED, "an interval cannot be read back from a key")
                        : key_corrupt();
    } else
        return get_text(r, is_raw, is_desc ? 0xff : 0, a, out);
    return rd_ok(r) && fixed_check(t, out) ? 0 : key_corrupt();
}

/* True when the part is null; else the reader stands at the value. */
static int
get_mark(struct reader *r, const struct key_part *part, bool *is_null)
{
    uint8_t mark;

    *is_null = false;
    if ((part->flags & KEY_NOT_NULL) != 0)
        return 0;
    mark = rd_u8(r);
    if (!rd_ok(r))
        return key_corrupt();
    if (mark == MARK_VALUE)
        return 0;
    *is_null = true;
    return mark == ((part->flags & KEY_NULLS_FIRST) ? MARK_NULL_FIRST : MARK_NULL_LAST)
               ? 0
               : key_corrupt();
}

int
key_get(struct reader *r, const struct key_part *part, struct arena *a, struct datum *out)
{
    bool is_null;
    int rc = get_mark(r, part, &is_null);

    if (rc != 0)
        return rc;
    *out = datum_null();
    if (is_null)
        return 0;
    return get_value(r, type_get(part->type), (part->flags & (KEY_FINAL | KEY_DESC)) == KEY_FINAL,
                     (part->flags & KEY_DESC) != 0, a, out);
}

int
key_skip(struct reader *r, const struct key_part *part)
{
    const struct type *t = type_get(part->type);
    struct arena tmp;
    struct datum ignored;
    bool is_null;
    int rc = get_mark(r, part, &is_null);

    if (rc != 0 || is_null)
        return rc;
    if (t->rep != REP_BYTES || t->oid == TYPE_INTERVAL) {
        rd_bytes(r, t->row_size);
        return rd_ok(r) ? 0 : key_corrupt();
    }
    arena_init(&tmp, NULL);
    rc = get_value(r, t, (part->flags & (KEY_FINAL | KEY_DESC)) == KEY_FINAL,
                   (part->flags & KEY_DESC) != 0, &tmp, &ignored);
    arena_fini(&tmp);
    return rc;
}

size_t
key_prefix_end(uint8_t *key, size_t size)
{
    while (size > 0 && key[size - 1] == 0xff)
        size--;
    if (size > 0)
        key[size - 1]++;
    return size;
}
