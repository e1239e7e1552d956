/* numeric in keys.
 *
 *   tag        0x08 -Infinity, 0x10 negative, 0x18 zero, 0x20 positive, 0x28 Infinity, 0x30 NaN;
 *              only negative and positive go on:
 *   exponent   the value is 0.d1d2d3… * 100^e with 0 < d1 < 100. -60 <= e <= 60: one byte 0x80 + e.
 *              Above: 0xff and e as u32. Below: 0x01 and e + 2^31 as u32. Big-endian.
 *   digits     base 100, each byte 2 * d + 1, the last 2 * d; the last is not 0.
 *   Of a negative value exponent and digits are complemented.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/key_int.h"
#include "engine/types/numeric_int.h"

enum {
    TAG_NINF = 0x08,
    TAG_NEG = 0x10,
    TAG_ZERO = 0x18,
    TAG_POS = 0x20,
    TAG_PINF = 0x28,
    TAG_NAN = 0x30,
    EXP_SMALL = 60,
    EXP_BIAS = 0x80,
    EXP_ABOVE = 0xff,
    EXP_BELOW = 0x01,
};

static void
put_exponent(struct writer *w, int e)
{
    if (e > EXP_SMALL) {
        wr_u8(w, EXP_ABOVE);
        wr_u32_be(w, (uint32_t)e);
    } else if (e < -EXP_SMALL) {
        wr_u8(w, EXP_BELOW);
        wr_u32_be(w, (uint32_t)e + (UINT32_C(1) << 31));
    } else {
        wr_u8(w, (uint8_t)(EXP_BIAS + e));
    }
}

/* The digit pairs of stored digits; the first or the last may be 0. */
static int
digit_pair(const struct num *n, int i)
{
    int d = n->d[i / 2];

    return i % 2 == 0 ? d / 100 : d % 100;
}

void
key_put_numeric(struct writer *w, const struct datum *d)
{
    struct arena tmp;
    struct num n;
    size_t from;
    int first, last;

    arena_init(&tmp, NULL); /* allocates only for misaligned bytes */
    num_load(&tmp, d, &n);
    num_strip(&n);
    if (num_is_special(&n) || n.count == 0) {
        wr_u8(w, n.sign == NUM_NAN    ? TAG_NAN
                 : n.sign == NUM_PINF ? TAG_PINF
                 : n.sign == NUM_NINF ? TAG_NINF
                                      : TAG_ZERO);
        arena_fini(&tmp);
        return;
    }
    wr_u8(w, n.sign == NUM_NEG ? TAG_NEG : TAG_POS);
    from = w->size;
    first = digit_pair(&n, 0) == 0;
    last = 2 * n.count - 1;
    if (digit_pair(&n, last) == 0)
        last--;
    put_exponent(w, 2 * n.weight + 2 - first);
    for (int i = first; i <= last; i++)
        wr_u8(w, (uint8_t)(2 * digit_pair(&n, i) + (i < last)));
    if (n.sign == NUM_NEG) {
        for (size_t i = from; i < w->size; i++)
            w->data[i] = (uint8_t)~w->data[i];
    }
    arena_fini(&tmp);
}

static uint8_t
get_byte(struct reader *r, uint8_t flip)
{
    return rd_u8(r) ^ flip;
}

static int
get_exponent(struct reader *r, uint8_t flip, int64_t *e)
{
    uint8_t b = get_byte(r, flip);
    uint32_t v;

    if (b != EXP_ABOVE && b != EXP_BELOW) {
        *e = (int64_t)b - EXP_BIAS;
        return *e >= -EXP_SMALL && *e <= EXP_SMALL ? 0 : key_corrupt();
    }
    v = rd_u32_be(r) ^ (flip ? UINT32_MAX : 0);
    *e = b == EXP_ABOVE ? (int64_t)v : (int64_t)v - (INT64_C(1) << 31);
    if (*e < -80000 || *e > 80000 || (b == EXP_ABOVE) != (*e > EXP_SMALL) ||
        (b == EXP_BELOW) != (*e < -EXP_SMALL))
        return key_corrupt();
    return 0;
}

static int
get_digits(struct reader *r, uint8_t flip, struct arena *a, int64_t e, struct num *n)
{
    const uint8_t *p = r->at;
    size_t size = 0, at;
    int64_t top = e - 1; /* weight of the first pair, base 100 */

    while (size < rd_left(r) && ((p[size] ^ flip) & 1) != 0)
        size++;
    if (size == rd_left(r) || size > 80000)
        return key_corrupt();
    size++;
    rd_bytes(r, size);
    at = (top & 1) == 0; /* a pair of an even weight is the second of its digit */
    n->weight = (int)(top >= 0 ? top / 2 : -((1 - top) / 2));
    n->count = (int)((size + at + 1) / 2);
    n->d = arena_zalloc(a, (size_t)n->count * 2);
    for (size_t i = 0; i < size; i++, at++) {
        unsigned v = (unsigned)(p[i] ^ flip) >> 1;
        if (v > 99 || (v == 0 && (i == 0 || i == size - 1)))
            return key_corrupt();
        n->d[at / 2] = (uint16_t)(n->d[at / 2] + (at % 2 == 0 ? v * 100 : v));
    }
    return 0;
}

int
key_get_numeric(struct reader *r, struct arena *a, struct datum *out)
{
    uint8_t tag = rd_u8(r), flip = tag == TAG_NEG ? 0xff : 0;
    struct num n = { .sign = tag == TAG_NEG    ? NUM_NEG
                             : tag == TAG_PINF ? NUM_PINF
                             : tag == TAG_NINF ? NUM_NINF
                             : tag == TAG_NAN  ? NUM_NAN
                                               : NUM_POS };
    int64_t e;
    int rc, lowest;

    if (!rd_ok(r))
        return key_corrupt();
    if (tag == TAG_POS || tag == TAG_NEG) {
        rc = get_exponent(r, flip, &e);
        if (rc == 0)
            rc = get_digits(r, flip, a, e, &n);
        if (rc != 0)
            return rc;
        lowest = n.weight - n.count + 1;
        n.dscale = lowest < 0 ? -lowest * DEC_DIGITS : 0;
        for (int unit = 10; n.dscale > 0 && unit < NBASE && n.d[n.count - 1] % unit == 0;
             unit *= 10)
            n.dscale--;
        if (n.dscale > NUMERIC_DISPLAY_SCALE_MAX || n.weight > NUMERIC_WEIGHT_MAX ||
            n.weight < -NUMERIC_WEIGHT_MAX)
            return key_corrupt();
    } else if (tag != TAG_ZERO && tag != TAG_NAN && tag != TAG_PINF && tag != TAG_NINF) {
        return key_corrupt();
    }
    return num_store(a, &n, out);
}
