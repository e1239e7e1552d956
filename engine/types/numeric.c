/* numeric: packing, text form, comparison, conversions. Arithmetic is in numeric_arith.c, roots and
 * powers in numeric_math.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/numeric.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/checksum.h"
#include "engine/types/numeric_int.h"
#include "engine/types/text_int.h"

enum { HEAD_SCALE_MASK = 0x3fff, HEAD_SIGN_SHIFT = 14, HEAD_NEG = 1, HEAD_SPECIAL = 3 };

/* ---- packing ------------------------------------------------------------------------------- */

bool
numeric_check(struct slice b)
{
    uint16_t head;
    size_t count;

    if (b.size < NUMERIC_HEAD_SIZE || (b.size & 1) != 0)
        return false;
    head = load_u16(b.data);
    count = (b.size - NUMERIC_HEAD_SIZE) / 2;
    if (head >> HEAD_SIGN_SHIFT == HEAD_SPECIAL) {
        int w = (int16_t)load_u16(b.data + 2);
        return count == 0 && (head & HEAD_SCALE_MASK) == 0 && w >= -1 && w <= 1;
    }
    if (head >> HEAD_SIGN_SHIFT > HEAD_NEG)
        return false;
    if (count == 0)
        return load_u16(b.data + 2) == 0 && head >> HEAD_SIGN_SHIFT == 0;
    if (count > 2 * NUMERIC_WEIGHT_MAX)
        return false;
    for (size_t i = 0; i < count; i++) {
        uint16_t d = load_u16(b.data + NUMERIC_HEAD_SIZE + 2 * i);
        if (d >= NBASE || (d == 0 && (i == 0 || i == count - 1)))
            return false;
    }
    return true;
}

void
num_load(struct arena *a, const struct datum *d, struct num *out)
{
    uint16_t head;
    int weight;

    *out = (struct num){ .sign = NUM_NAN };
    if (d->size < NUMERIC_HEAD_SIZE)
        return;
    head = load_u16(d->p);
    weight = (int16_t)load_u16(d->p + 2);
    if (head >> HEAD_SIGN_SHIFT == HEAD_SPECIAL) {
        out->sign = weight == 0 ? NUM_NAN : weight > 0 ? NUM_PINF : NUM_NINF;
        return;
    }
    out->sign = head >> HEAD_SIGN_SHIFT == HEAD_NEG ? NUM_NEG : NUM_POS;
    out->dscale = head & HEAD_SCALE_MASK;
    out->weight = weight;
    out->count = (int)((d->size - NUMERIC_HEAD_SIZE) / 2);
    if (((uintptr_t)d->p & 1) == 0) {
        out->d = (uint16_t *)(uintptr_t)(d->p + NUMERIC_HEAD_SIZE);
    } else {
        out->d = arena_alloc(a, (size_t)out->count * 2 + 2);
        if (out->count > 0)
            memcpy(out->d, d->p + NUMERIC_HEAD_SIZE, (size_t)out->count * 2);
    }
}

void
num_strip(struct num *n)
{
    while (n->count > 0 && n->d[0] == 0) {
        n->d++;
        n->count--;
        n->weight--;
    }
    while (n->count > 0 && n->d[n->count - 1] == 0)
        n->count--;
    if (n->count == 0) {
        n->weight = 0;
        if (n->sign == NUM_NEG)
            n->sign = NUM_POS;
    }
}

struct datum
num_store_special(struct arena *a, enum num_sign sign)
{
    uint8_t *p = arena_alloc(a, NUMERIC_HEAD_SIZE);

    store_u16(p, HEAD_SPECIAL << HEAD_SIGN_SHIFT);
    store_u16(p + 2, (uint16_t)(sign == NUM_NAN ? 0 : sign == NUM_PINF ? 1 : -1));
    return datum_bytes(p, NUMERIC_HEAD_SIZE);
}

int
num_store(struct arena *a, const struct num *in, struct datum *out)
{
    struct num n = *in;
    uint8_t *p;

    if (num_is_special(&n)) {
        *out = num_store_special(a, n.sign);
        return 0;
    }
    num_strip(&n);
    if (n.weight > NUMERIC_WEIGHT_MAX || n.weight < -NUMERIC_WEIGHT_MAX ||
        n.dscale > NUMERIC_DISPLAY_SCALE_MAX)
        return DIAG(ERR_NUMERIC_RANGE, "value overflows numeric format");
    p = arena_alloc(a, NUMERIC_HEAD_SIZE + 2 * (size_t)n.count);
    store_u16(p, (uint16_t)(n.dscale | (n.sign == NUM_NEG ? HEAD_NEG << HEAD_SIGN_SHIFT : 0)));
    store_u16(p + 2, (uint16_t)n.weight);
    if (n.count > 0)
        memcpy(p + NUMERIC_HEAD_SIZE, n.d, 2 * (size_t)n.count);
    *out = datum_bytes(p, NUMERIC_HEAD_SIZE + 2 * (size_t)n.count);
    return 0;
}

/* ---- text ---------------------------------------------------------------------------------- */

static int
num_bad_syntax(struct slice text)
{
    return DIAG(ERR_INVALID_TEXT, "invalid input syntax for type numeric: \"%.*s\"",
                SLICE_ARGS(text));
}

static bool
num_parse_word(struct slice body, struct num *out)
{
    static const struct {
        const char *word;
        enum num_sign sign;
    } words[] = {
        { "nan", NUM_NAN },        { "infinity", NUM_PINF }, { "+infinity", NUM_PINF },
        { "-infinity", NUM_NINF }, { "inf", NUM_PINF },      { "+inf", NUM_PINF },
        { "-inf", NUM_NINF },
    };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (slice_eq_nocase(body, words[i].word)) {
            *out = (struct num){ .sign = words[i].sign };
            return true;
        }
    }
    return false;
}

/* Packs decimal digits (values 0..9, most significant first; the first counts 10^dweight). */
static void
num_pack_decimal(struct arena *a, const uint8_t *dec, int count, int dweight, struct num *out)
{
    int weight = dweight >= 0 ? dweight / DEC_DIGITS : -((-dweight - 1) / DEC_DIGITS + 1);
    int offset = (weight + 1) * DEC_DIGITS - (dweight + 1); /* zeros before the first digit */
    int n = (count + offset + DEC_DIGITS - 1) / DEC_DIGITS;
    int at = -offset;

    out->weight = weight;
    out->count = n;
    out->d = arena_alloc(a, (size_t)n * 2 + 2);
    for (int i = 0; i < n; i++) {
        int v = 0;
        for (int k = 0; k < DEC_DIGITS; k++, at++)
            v = v * 10 + (at >= 0 && at < count ? dec[at] : 0);
        out->d[i] = (uint16_t)v;
    }
}

/* Mantissa: digits with at most one point. False when there is no digit. */
static bool
num_parse_mantissa(const char **at, const char *end, uint8_t *dec, int *count, int *int_digits)
{
    const char *s = *at;
    bool seen_point = false;

    *count = 0;
    *int_digits = 0;
    for (; s < end; s++) {
        if (*s >= '0' && *s <= '9') {
            dec[(*count)++] = (uint8_t)(*s - '0');
            if (!seen_point)
                (*int_digits)++;
        } else if (*s == '.' && !seen_point) {
            seen_point = true;
        } else {
            break;
        }
    }
    *at = s;
    return *count > 0;
}

static bool
num_parse_exponent(const char **at, const char *end, long *exponent)
{
    const char *s = *at + 1;
    bool neg = false;
    long v = 0;

    if (s < end && (*s == '+' || *s == '-'))
        neg = *s++ == '-';
    if (s == end || *s < '0' || *s > '9')
        return false;
    for (; s < end && *s >= '0' && *s <= '9'; s++) {
        if (v < 100000000)
            v = v * 10 + (*s - '0');
    }
    *exponent = neg ? -v : v;
    *at = s;
    return true;
}

int
num_parse(struct arena *a, struct slice text, struct num *out)
{
    struct slice body = slice_trim_space(text);
    const char *s = (const char *)body.data, *end = s + body.size;
    uint8_t *dec;
    int count, int_digits, dscale;
    long exponent = 0;
    enum num_sign sign = NUM_POS;

    if (num_parse_word(body, out))
        return 0;
    if (body.size > (1 << 20))
        return DIAG(ERR_NUMERIC_RANGE, "value overflows numeric format");
    if (s < end && (*s == '+' || *s == '-'))
        sign = *s++ == '-' ? NUM_NEG : NUM_POS;
    dec = arena_alloc(a, body.size + 1);
    if (!num_parse_mantissa(&s, end, dec, &count, &int_digits))
        return num_bad_syntax(text);
    if (s < end && (*s == 'e' || *s == 'E') && !num_parse_exponent(&s, end, &exponent))
        return num_bad_syntax(text);
    if (s != end)
        return num_bad_syntax(text);
    if (exponent > 200000 || exponent < -200000)
        return DIAG(ERR_NUMERIC_RANGE, "value overflows numeric format");
    dscale = count - int_digits - (int)exponent;
    *out = (struct num){ .sign = sign, .dscale = dscale < 0 ? 0 : dscale };
    num_pack_decimal(a, dec, count, int_digits - 1 + (int)exponent, out);
    num_strip(out);
    return 0;
}

int
numeric_from_str(struct arena *a, struct slice text, struct datum *out)
{
    struct num n;
    int rc = num_parse(a, text, &n);

    return rc != 0 ? rc : num_store(a, &n, out);
}

static uint8_t *
put_digit4(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)('0' + v / 1000);
    p[1] = (uint8_t)('0' + v / 100 % 10);
    p[2] = (uint8_t)('0' + v / 10 % 10);
    p[3] = (uint8_t)('0' + v % 10);
    return p + 4;
}

/* The digit that counts NBASE^(weight - i); stored values need no alignment. */
static unsigned
stored_digit(const struct datum *d, int i)
{
    int count = (int)((d->size - NUMERIC_HEAD_SIZE) / 2);

    return i >= 0 && i < count ? load_u16(d->p + NUMERIC_HEAD_SIZE + 2 * (size_t)i) : 0;
}

static void
numeric_put_integer_part(const struct datum *d, int weight, struct writer *w)
{
    uint8_t first[4], *p;
    int skip = 0;

    if (weight < 0) {
        wr_u8(w, '0');
        return;
    }
    put_digit4(first, stored_digit(d, 0));
    while (skip < 3 && first[skip] == '0')
        skip++;
    wr_bytes(w, first + skip, (size_t)(4 - skip));
    p = wr_reserve(w, (size_t)weight * 4);
    for (int i = 1; p != NULL && i <= weight; i++)
        p = put_digit4(p, stored_digit(d, i));
}

void
numeric_to_str(const struct datum *d, struct writer *w)
{
    uint16_t head;
    int weight, dscale, at;

    if (d->size < NUMERIC_HEAD_SIZE || load_u16(d->p) >> HEAD_SIGN_SHIFT == HEAD_SPECIAL) {
        int16_t kind = d->size < NUMERIC_HEAD_SIZE ? 0 : (int16_t)load_u16(d->p + 2);
        const char *s = kind == 0 ? "NaN" : kind > 0 ? "Infinity" : "-Infinity";
        wr_bytes(w, s, strlen(s));
        return;
    }
    head = load_u16(d->p);
    weight = (int16_t)load_u16(d->p + 2);
    dscale = head & HEAD_SCALE_MASK;
    if (head >> HEAD_SIGN_SHIFT == HEAD_NEG)
        wr_u8(w, '-');
    numeric_put_integer_part(d, weight, w);
    if (dscale == 0)
        return;
    wr_u8(w, '.');
    at = weight + 1;
    for (int left = dscale; left > 0; left -= DEC_DIGITS, at++) {
        uint8_t four[4];
        put_digit4(four, stored_digit(d, at));
        wr_bytes(w, four, (size_t)(left < DEC_DIGITS ? left : DEC_DIGITS));
    }
}

/* ---- integers ------------------------------------------------------------------------------ */

void
num_from_int(struct arena *a, int64_t v, struct num *out)
{
    uint64_t u = v < 0 ? -(uint64_t)v : (uint64_t)v;
    uint16_t *buf = arena_alloc(a, 6 * sizeof *buf);
    int at = 6;

    *out = (struct num){ .sign = v < 0 ? NUM_NEG : NUM_POS };
    while (u > 0) {
        buf[--at] = (uint16_t)(u % NBASE);
        u /= NBASE;
    }
    out->d = buf + at;
    out->count = 6 - at;
    out->weight = out->count == 0 ? 0 : out->count - 1;
}

struct datum
numeric_from_int(struct arena *a, int64_t v)
{
    struct num n;
    struct datum out;

    num_from_int(a, v, &n);
    CHECK(num_store(a, &n, &out) == 0);
    return out;
}

struct datum
numeric_from_int128(struct arena *a, __int128 v, int scale)
{
    unsigned __int128 u = v < 0 ? -(unsigned __int128)v : (unsigned __int128)v;
    uint8_t dec[40];
    int at = 40;
    struct num n = { .sign = v < 0 ? NUM_NEG : NUM_POS, .dscale = scale };
    struct datum out;

    while (u > 0) {
        dec[--at] = (uint8_t)(u % 10);
        u /= 10;
    }
    num_pack_decimal(a, dec + at, 40 - at, 40 - at - 1 - scale, &n);
    CHECK(num_store(a, &n, &out) == 0);
    return out;
}

bool
num_to_int64(struct arena *a, const struct num *in, int64_t *out)
{
    struct num n = *in;
    int64_t v = 0;

    num_round(a, &n, 0);
    num_strip(&n);
    if (n.count > 0 && (n.weight < 0 || n.weight > 4))
        return n.weight < 0 ? (*out = 0, true) : false;
    for (int i = 0; n.count > 0 && i <= n.weight; i++) {
        int digit = i < n.count ? n.d[i] : 0;
        if (__builtin_mul_overflow(v, (int64_t)NBASE, &v) ||
            __builtin_sub_overflow(v, (int64_t)digit, &v)) /* negative: reaches INT64_MIN */
            return false;
    }
    if (n.sign == NUM_POS && v == INT64_MIN)
        return false;
    *out = n.sign == NUM_NEG ? v : -v;
    return true;
}

int
numeric_to_int(const struct datum *d, int64_t min, int64_t max, const char *type, int64_t *out)
{
    struct arena tmp;
    struct num n;
    bool ok;

    arena_init(&tmp, NULL);
    num_load(&tmp, d, &n);
    if (num_is_special(&n)) {
        arena_fini(&tmp);
        return DIAG(ERR_NOT_SUPPORTED, "cannot convert %s to %s",
                    n.sign == NUM_NAN ? "NaN" : "infinity", type);
    }
    ok = num_to_int64(&tmp, &n, out) && *out >= min && *out <= max;
    arena_fini(&tmp);
    return ok ? 0 : DIAG(ERR_NUMERIC_RANGE, "%s out of range", type);
}

/* ---- floats -------------------------------------------------------------------------------- */

int
numeric_from_float(struct arena *a, double v, int digits, struct datum *out)
{
    char buf[64];

    if (isnan(v) || isinf(v)) {
        *out = num_store_special(a, isnan(v) ? NUM_NAN : v > 0 ? NUM_PINF : NUM_NINF);
        return 0;
    }
    snprintf(buf, sizeof buf, "%.*g", digits, v);
    return numeric_from_str(a, slice_str(buf), out);
}

double
numeric_to_float(const struct datum *d)
{
    struct writer w;
    uint8_t buf[512];
    double v;

    wr_init_fixed(&w, buf, sizeof buf);
    numeric_to_str(d, &w);
    wr_u8(&w, 0);
    if (!w.bad) {
        v = strtod((const char *)buf, NULL);
    } else {
        wr_init(&w, 0);
        numeric_to_str(d, &w);
        wr_u8(&w, 0);
        v = strtod((const char *)w.data, NULL);
        wr_fini(&w);
    }
    return v;
}

/* ---- order and hash ------------------------------------------------------------------------ */

/* -Infinity < finite < Infinity < NaN. */
static int
stored_rank(const struct datum *d)
{
    int16_t kind;

    if (d->size < NUMERIC_HEAD_SIZE)
        return 2;
    if (load_u16(d->p) >> HEAD_SIGN_SHIFT != HEAD_SPECIAL)
        return 0;
    kind = (int16_t)load_u16(d->p + 2);
    return kind == 0 ? 2 : kind > 0 ? 1 : -1;
}

int
numeric_sign(const struct datum *d)
{
    int rank = stored_rank(d);

    if (rank != 0)
        return rank == 2 ? 0 : rank;
    if (d->size == NUMERIC_HEAD_SIZE)
        return 0;
    return load_u16(d->p) >> HEAD_SIGN_SHIFT == HEAD_NEG ? -1 : 1;
}

int
numeric_cmp(const struct datum *x, const struct datum *y)
{
    int rx = stored_rank(x), ry = stored_rank(y), sx, sy, wx, wy;
    size_t nx, ny;

    if (rx != 0 || ry != 0)
        return rx < ry ? -1 : rx > ry;
    sx = numeric_sign(x);
    sy = numeric_sign(y);
    if (sx != sy || sx == 0)
        return sx < sy ? -1 : sx > sy;
    wx = (int16_t)load_u16(x->p + 2);
    wy = (int16_t)load_u16(y->p + 2);
    if (wx != wy)
        return wx < wy ? -sx : sx;
    nx = (x->size - NUMERIC_HEAD_SIZE) / 2;
    ny = (y->size - NUMERIC_HEAD_SIZE) / 2;
    for (size_t i = 0; i < nx && i < ny; i++) {
        int dx = load_u16(x->p + NUMERIC_HEAD_SIZE + 2 * i);
        int dy = load_u16(y->p + NUMERIC_HEAD_SIZE + 2 * i);
        if (dx != dy)
            return dx < dy ? -sx : sx;
    }
    return nx == ny ? 0 : nx < ny ? -sx : sx;
}

uint64_t
numeric_hash(const struct datum *d)
{
    uint16_t head;

    if (d->size < NUMERIC_HEAD_SIZE)
        return 0;
    head = (uint16_t)(load_u16(d->p) & ~HEAD_SCALE_MASK);
    return hash64(d->p + 2, d->size - 2, head);
}

bool
numeric_is_nan(const struct datum *d)
{
    return stored_rank(d) == 2;
}

bool
numeric_is_special(const struct datum *d)
{
    return stored_rank(d) != 0;
}

int
numeric_scale(const struct datum *d)
{
    return d->size < NUMERIC_HEAD_SIZE ? 0 : load_u16(d->p) & HEAD_SCALE_MASK;
}

struct datum
numeric_neg(struct arena *a, const struct datum *x)
{
    uint8_t *p = arena_memdup(a, x->p, x->size);
    int rank = stored_rank(x);

    if (rank == 0 && x->size > NUMERIC_HEAD_SIZE)
        store_u16(p, load_u16(p) ^ (uint16_t)(HEAD_NEG << HEAD_SIGN_SHIFT));
    else if (rank == 1 || rank == -1)
        store_u16(p + 2, (uint16_t)-rank);
    return datum_bytes(p, x->size);
}

struct datum
numeric_abs(struct arena *a, const struct datum *x)
{
    return numeric_sign(x) < 0 ? numeric_neg(a, x) : *x;
}
