/* numeric: the four operations, remainder, rounding.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/numeric.h"
#include "engine/types/numeric_int.h"

static int
max_int(int a, int b)
{
    return a > b ? a : b;
}

static int
min_int(int a, int b)
{
    return a < b ? a : b;
}

/* The digit that counts NBASE^w, 0 where none is stored. */
static inline int
digit_at(const struct num *n, int w)
{
    int i = n->weight - w;

    return i >= 0 && i < n->count ? n->d[i] : 0;
}

/* ---- magnitudes ---------------------------------------------------------------------------- */

int
num_cmp_abs(const struct num *x, const struct num *y)
{
    int top, bottom;

    if (x->count == 0 && y->count == 0)
        return 0;
    if (x->count == 0)
        top = y->weight, bottom = y->weight - y->count + 1;
    else if (y->count == 0)
        top = x->weight, bottom = x->weight - x->count + 1;
    else {
        top = max_int(x->weight, y->weight);
        bottom = min_int(x->weight - x->count, y->weight - y->count) + 1;
    }
    for (int w = top; w >= bottom; w--) {
        int dx = digit_at(x, w), dy = digit_at(y, w);
        if (dx != dy)
            return dx < dy ? -1 : 1;
    }
    return 0;
}

int
num_cmp(const struct num *x, const struct num *y)
{
    bool nx = x->sign == NUM_NEG, ny = y->sign == NUM_NEG;
    int c;

    if (x->count == 0 && y->count == 0)
        return 0;
    if (nx != ny) {
        struct num zero = { .sign = NUM_POS };
        if (num_cmp_abs(x, &zero) == 0 && num_cmp_abs(y, &zero) == 0)
            return 0;
        return nx ? -1 : 1;
    }
    c = num_cmp_abs(x, y);
    return nx ? -c : c;
}

/* |x| + |y| into out's digits; sign and dscale are the caller's. */
static void
add_abs(struct arena *a, const struct num *x, const struct num *y, struct num *out)
{
    int top = max_int(x->weight, y->weight) + 1;
    int bottom = min_int(x->weight - x->count, y->weight - y->count) + 1;
    int count = top - bottom + 1, carry = 0;

    out->weight = top;
    out->count = count;
    out->d = arena_alloc(a, (size_t)count * 2);
    for (int w = bottom; w <= top; w++) {
        int v = digit_at(x, w) + digit_at(y, w) + carry;
        carry = v >= NBASE;
        out->d[top - w] = (uint16_t)(carry ? v - NBASE : v);
    }
}

/* |x| - |y|, where |x| >= |y|. */
static void
sub_abs(struct arena *a, const struct num *x, const struct num *y, struct num *out)
{
    int top = max_int(x->weight, y->weight);
    int bottom = min_int(x->weight - x->count, y->weight - y->count) + 1;
    int count = top - bottom + 1, borrow = 0;

    out->weight = top;
    out->count = count;
    out->d = arena_alloc(a, (size_t)count * 2 + 2);
    for (int w = bottom; w <= top; w++) {
        int v = digit_at(x, w) - digit_at(y, w) - borrow;
        borrow = v < 0;
        out->d[top - w] = (uint16_t)(borrow ? v + NBASE : v);
    }
    CHECK_SLOW(borrow == 0);
}

static void
add_signed(struct arena *a, const struct num *x, const struct num *y, enum num_sign y_sign,
           struct num *out)
{
    struct num r = { .dscale = max_int(x->dscale, y->dscale) };

    if (x->count == 0) {
        r = *y;
        r.sign = y_sign;
        r.dscale = max_int(x->dscale, y->dscale);
    } else if (y->count == 0) {
        int dscale = r.dscale;
        r = *x;
        r.dscale = dscale;
    } else if (x->sign == y_sign) {
        r.sign = x->sign;
        add_abs(a, x, y, &r);
    } else if (num_cmp_abs(x, y) >= 0) {
        r.sign = x->sign;
        sub_abs(a, x, y, &r);
    } else {
        r.sign = y_sign;
        sub_abs(a, y, x, &r);
    }
    num_strip(&r);
    *out = r;
}

void
num_add(struct arena *a, const struct num *x, const struct num *y, struct num *out)
{
    add_signed(a, x, y, y->sign, out);
}

void
num_sub(struct arena *a, const struct num *x, const struct num *y, struct num *out)
{
    add_signed(a, x, y, y->sign == NUM_NEG ? NUM_POS : NUM_NEG, out);
}

void
num_mul(struct arena *a, const struct num *x, const struct num *y, struct num *out)
{
    struct num r = { .sign = x->sign == y->sign ? NUM_POS : NUM_NEG,
                     .dscale = x->dscale + y->dscale };
    uint64_t *sum;
    uint64_t carry = 0;

    if (x->count == 0 || y->count == 0) {
        r.sign = NUM_POS;
        *out = r;
        return;
    }
    r.count = x->count + y->count;
    r.weight = x->weight + y->weight + 1;
    r.d = arena_alloc(a, (size_t)r.count * 2);
    /* Column sums: at most 65,536 products below 10^8 each, far from 2^64. */
    sum = arena_zalloc(a, (size_t)r.count * sizeof *sum);
    for (int i = 0; i < x->count; i++) {
        uint64_t dx = x->d[i];
        if (dx == 0)
            continue;
        for (int k = 0; k < y->count; k++)
            sum[i + k + 1] += dx * y->d[k];
    }
    for (int i = r.count - 1; i >= 0; i--) {
        uint64_t v = sum[i] + carry;
        carry = v / NBASE;
        r.d[i] = (uint16_t)(v % NBASE);
    }
    CHECK_SLOW(carry == 0);
    num_strip(&r);
    *out = r;
}

/* ---- division ------------------------------------------------------------------------------ */

/* The scale of a quotient: at least 16 significant digits, and no operand's scale lost. */
int
num_div_scale(const struct num *x, const struct num *y)
{
    struct num sx = *x, sy = *y;
    int fx = 0, fy = 0, wx = 0, wy = 0, qweight, scale;

    num_strip(&sx);
    num_strip(&sy);
    if (sx.count > 0)
        wx = sx.weight, fx = sx.d[0];
    if (sy.count > 0)
        wy = sy.weight, fy = sy.d[0];
    qweight = wx - wy;
    if (fx <= fy)
        qweight--;
    scale = NUMERIC_SIG_DIGITS_MIN - qweight * DEC_DIGITS;
    scale = max_int(scale, max_int(x->dscale, y->dscale));
    return min_int(max_int(scale, 0), NUMERIC_PRECISION_MAX);
}

/* One digit of the quotient: how often the divisor goes into the remainder's window, which has one
 * digit more; subtracts it. Knuth's algorithm D on digits scaled so that v[0] >= NBASE / 2. */
static uint32_t
divide_step(uint32_t *u, const uint32_t *v, int n)
{
    uint64_t top = (uint64_t)u[0] * NBASE + u[1];
    uint64_t q = top / v[0], rest = top % v[0];
    int64_t borrow = 0;

    while (q >= NBASE || (n > 1 && q * v[1] > rest * NBASE + u[2])) {
        q--;
        rest += v[0];
        if (rest >= NBASE)
            break;
    }
    for (int i = n - 1; i >= 0; i--) {
        int64_t t = (int64_t)u[i + 1] - (int64_t)(q * v[i]) + borrow;
        borrow = t >= 0 ? t / NBASE : -((-t + NBASE - 1) / NBASE);
        u[i + 1] = (uint32_t)(t - borrow * NBASE);
    }
    if ((int64_t)u[0] + borrow < 0) { /* one too many: add back */
        uint32_t carry = 0;
        q--;
        for (int i = n - 1; i >= 0; i--) {
            uint32_t t = u[i + 1] + v[i] + carry;
            carry = t >= NBASE;
            u[i + 1] = carry ? t - NBASE : t;
        }
    }
    u[0] = 0;
    return (uint32_t)q;
}

static void
scale_digits(uint32_t *out, int out_count, const struct num *n, uint32_t factor)
{
    uint32_t carry = 0;

    /* out[0] is room for the carry. */
    for (int i = out_count - 1; i >= 0; i--) {
        uint32_t d = i - 1 < n->count && i >= 1 ? n->d[i - 1] : 0;
        uint32_t t = d * factor + carry;
        out[i] = t % NBASE;
        carry = t / NBASE;
    }
    CHECK_SLOW(carry == 0);
}

void
num_div(struct arena *a, const struct num *x_in, const struct num *y_in, int rscale, bool round,
        struct num *out)
{
    struct num x = *x_in, y = *y_in;
    struct num r = { .sign = x.sign == y.sign ? NUM_POS : NUM_NEG, .dscale = max_int(rscale, 0) };
    uint32_t *u, *v, factor;
    int digits;

    num_strip(&x);
    num_strip(&y);
    CHECK(y.count > 0);
    /* Digits wanted: from the first possible one down to rscale, and one more to round by. */
    r.weight = x.weight - y.weight;
    digits = r.weight + 1 +
             (rscale >= 0 ? (rscale + DEC_DIGITS - 1) / DEC_DIGITS : -(-rscale / DEC_DIGITS)) + 1;
    if (x.count == 0 || digits <= 0) {
        r.sign = NUM_POS;
        r.weight = 0;
        *out = r;
        return;
    }
    factor = NBASE / ((uint32_t)y.d[0] + 1);
    v = arena_alloc(a, sizeof *v * ((size_t)y.count + 1));
    scale_digits(v, y.count + 1, &y, factor);
    u = arena_alloc(a, sizeof *u * ((size_t)digits + (size_t)y.count + 2));
    scale_digits(u, digits + y.count + 1, &x, factor);
    u[digits + y.count + 1] = 0;
    /* A window of the remainder that is only as wide as the digits looked at is enough: what lies
     * further right of x takes part when the window gets there. */
    r.count = digits;
    r.d = arena_alloc(a, sizeof *r.d * (size_t)digits);
    for (int i = 0; i < digits; i++)
        r.d[i] = (uint16_t)divide_step(u + i, v + 1, y.count);
    if (round)
        num_round(a, &r, rscale);
    else
        num_trunc(&r, rscale);
    num_strip(&r);
    *out = r;
}

/* x - trunc(x / y) * y: the remainder has the sign of x. */
void
num_mod(struct arena *a, const struct num *x, const struct num *y, struct num *out)
{
    struct num q, p;

    num_div(a, x, y, 0, false, &q);
    num_mul(a, &q, y, &p);
    num_sub(a, x, &p, out);
    out->dscale = max_int(x->dscale, y->dscale);
}

/* ---- rounding ------------------------------------------------------------------------------ */

static const int pow10_of[] = { 1, 10, 100, 1000 };

/* Where the cut at rscale falls: *digit is the index of the digit that is cut inside or after,
 * *keep how many of its four decimals stay (0: the digit goes altogether). */
static void
round_position(const struct num *n, int rscale, int *digit, int *keep)
{
    int decimals = (n->weight + 1) * DEC_DIGITS + rscale; /* that stay */

    *digit = decimals >= 0 ? decimals / DEC_DIGITS : -1;
    *keep = decimals >= 0 ? decimals % DEC_DIGITS : 0;
}

void
num_trunc(struct num *n, int rscale)
{
    int digit, keep;

    n->dscale = max_int(rscale, 0);
    round_position(n, rscale, &digit, &keep);
    if (digit >= n->count)
        return;
    if (digit < 0 || (digit == 0 && keep == 0)) {
        n->count = 0;
        num_strip(n);
        return;
    }
    if (keep == 0) {
        n->count = digit;
    } else {
        int unit = pow10_of[DEC_DIGITS - keep];
        /* The digits may be borrowed: they are only cut inside when the caller owns them. */
        n->count = digit + 1;
        if (n->d[digit] % unit != 0)
            n->d[digit] = (uint16_t)(n->d[digit] - n->d[digit] % unit);
    }
}

void
num_round(struct arena *a, struct num *n, int rscale)
{
    int digit, keep, half_digit;
    uint16_t *d;

    round_position(n, rscale, &digit, &keep);
    n->dscale = max_int(rscale, 0);
    if (digit >= n->count)
        return;
    if (digit < 0) {
        n->count = 0;
        num_strip(n);
        return;
    }
    /* A copy with room for a carry in front. */
    d = arena_alloc(a, sizeof *d * (size_t)(digit + 2));
    d[0] = 0;
    for (int i = 0; i <= digit; i++)
        d[i + 1] = n->d[i];
    if (keep == 0) {
        half_digit = d[digit + 1] >= NBASE / 2;
        d[digit + 1] = 0;
    } else {
        int unit = pow10_of[DEC_DIGITS - keep], rest = d[digit + 1] % unit;
        half_digit = 0;
        d[digit + 1] = (uint16_t)(d[digit + 1] - rest);
        if (rest >= unit / 2)
            d[digit + 1] = (uint16_t)(d[digit + 1] + unit);
    }
    /* Carry; digit `digit` of the original is d[digit + 1]. */
    if (half_digit)
        d[digit]++;
    for (int i = digit + 1; i > 0 && d[i] >= NBASE; i--) {
        d[i] = (uint16_t)(d[i] - NBASE);
        d[i - 1]++;
    }
    if (half_digit) {
        for (int i = digit; i > 0 && d[i] >= NBASE; i--) {
            d[i] = (uint16_t)(d[i] - NBASE);
            d[i - 1]++;
        }
    }
    n->d = d;
    n->count = digit + 2;
    n->weight++;
    num_strip(n);
}

/* ---- on stored values ---------------------------------------------------------------------- */

static int
special_add(const struct num *x, const struct num *y, bool subtract, struct arena *a,
            struct datum *out)
{
    enum num_sign sy = y->sign, s;

    if (subtract && sy == NUM_PINF)
        sy = NUM_NINF;
    else if (subtract && sy == NUM_NINF)
        sy = NUM_PINF;
    if (x->sign == NUM_NAN || sy == NUM_NAN)
        s = NUM_NAN;
    else if (num_is_special(x))
        s = sy >= NUM_PINF && sy != x->sign ? NUM_NAN : x->sign;
    else
        s = sy;
    *out = num_store_special(a, s);
    return 0;
}

int
numeric_add(struct arena *a, const struct datum *x, const struct datum *y, struct datum *out)
{
    struct num nx, ny, r;

    num_load(a, x, &nx);
    num_load(a, y, &ny);
    if (num_is_special(&nx) || num_is_special(&ny))
        return special_add(&nx, &ny, false, a, out);
    num_add(a, &nx, &ny, &r);
    return num_store(a, &r, out);
}

int
numeric_sub(struct arena *a, const struct datum *x, const struct datum *y, struct datum *out)
{
    struct num nx, ny, r;

    num_load(a, x, &nx);
    num_load(a, y, &ny);
    if (num_is_special(&nx) || num_is_special(&ny))
        return special_add(&nx, &ny, true, a, out);
    num_sub(a, &nx, &ny, &r);
    return num_store(a, &r, out);
}

static int
sign_of(const struct num *n)
{
    switch (n->sign) {
    case NUM_PINF:
        return 1;
    case NUM_NINF:
        return -1;
    case NUM_NAN:
        return 0;
    default:
        return n->count == 0 ? 0 : n->sign == NUM_NEG ? -1 : 1;
    }
}

int
numeric_mul(struct arena *a, const struct datum *x, const struct datum *y, struct datum *out)
{
    struct num nx, ny, r;

    num_load(a, x, &nx);
    num_load(a, y, &ny);
    if (num_is_special(&nx) || num_is_special(&ny)) {
        int s = sign_of(&nx) * sign_of(&ny);
        *out = num_store_special(a, s == 0 ? NUM_NAN : s > 0 ? NUM_PINF : NUM_NINF);
        return 0;
    }
    num_mul(a, &nx, &ny, &r);
    if (r.dscale > NUMERIC_DISPLAY_SCALE_MAX)
        num_round(a, &r, NUMERIC_DISPLAY_SCALE_MAX);
    return num_store(a, &r, out);
}

/* Division where an operand is NaN or infinite. True when *out or *rc is the answer. */
static bool
special_div(struct arena *a, const struct num *x, const struct num *y, struct datum *out, int *rc)
{
    *rc = 0;
    if (x->sign == NUM_NAN || y->sign == NUM_NAN) {
        *out = num_store_special(a, NUM_NAN);
        return true;
    }
    if (y->sign < NUM_NAN && y->count == 0) {
        *rc = DIAG(ERR_DIVISION_BY_ZERO, "division by zero");
        return true;
    }
    if (x->sign >= NUM_PINF) {
        int s = sign_of(x) * sign_of(y);
        *out = num_store_special(a, y->sign >= NUM_PINF ? NUM_NAN : s > 0 ? NUM_PINF : NUM_NINF);
        return true;
    }
    if (y->sign >= NUM_PINF) {
        *out = numeric_from_int(a, 0);
        return true;
    }
    return false;
}

int
numeric_div(struct arena *a, const struct datum *x, const struct datum *y, struct datum *out)
{
    struct num nx, ny, r;
    int rc;

    num_load(a, x, &nx);
    num_load(a, y, &ny);
    if (special_div(a, &nx, &ny, out, &rc))
        return rc;
    num_div(a, &nx, &ny, num_div_scale(&nx, &ny), true, &r);
    return num_store(a, &r, out);
}

int
numeric_div_trunc(struct arena *a, const struct datum *x, const struct datum *y, struct datum *out)
{
    struct num nx, ny, r;
    int rc;

    num_load(a, x, &nx);
    num_load(a, y, &ny);
    if (special_div(a, &nx, &ny, out, &rc))
        return rc;
    num_div(a, &nx, &ny, 0, false, &r);
    return num_store(a, &r, out);
}

int
numeric_mod(struct arena *a, const struct datum *x, const struct datum *y, struct datum *out)
{
    struct num nx, ny, r;

    num_load(a, x, &nx);
    num_load(a, y, &ny);
    if (nx.sign == NUM_NAN || ny.sign == NUM_NAN || (nx.sign >= NUM_PINF && sign_of(&ny) != 0)) {
        *out = num_store_special(a, NUM_NAN);
        return 0;
    }
    if (sign_of(&ny) == 0)
        return DIAG(ERR_DIVISION_BY_ZERO, "division by zero");
    if (ny.sign >= NUM_PINF) {
        *out = *x;
        return 0;
    }
    num_mod(a, &nx, &ny, &r);
    return num_store(a, &r, out);
}

static int
clamp_scale(int scale)
{
    return scale > NUMERIC_DISPLAY_SCALE_MAX                ? NUMERIC_DISPLAY_SCALE_MAX
           : scale < -(NUMERIC_WEIGHT_MAX + 1) * DEC_DIGITS ? -(NUMERIC_WEIGHT_MAX + 1) * DEC_DIGITS
                                                            : scale;
}

int
numeric_round(struct arena *a, const struct datum *x, int scale, struct datum *out)
{
    struct num n;

    num_load(a, x, &n);
    if (!num_is_special(&n))
        num_round(a, &n, clamp_scale(scale));
    return num_store(a, &n, out);
}

/* A copy of the digits, for operations that write into them. */
static void
num_own(struct arena *a, struct num *n)
{
    if (n->count > 0)
        n->d = arena_memdup(a, n->d, sizeof *n->d * (size_t)n->count);
}

int
numeric_trunc(struct arena *a, const struct datum *x, int scale, struct datum *out)
{
    struct num n;

    num_load(a, x, &n);
    if (!num_is_special(&n)) {
        num_own(a, &n);
        num_trunc(&n, clamp_scale(scale));
    }
    return num_store(a, &n, out);
}

static int
round_toward(struct arena *a, const struct datum *x, enum num_sign away, struct datum *out)
{
    struct num n, cut, one;

    num_load(a, x, &n);
    if (num_is_special(&n))
        return num_store(a, &n, out);
    cut = n;
    num_own(a, &cut);
    num_trunc(&cut, 0);
    if (n.sign == away && num_cmp(&n, &cut) != 0) {
        num_from_int(a, 1, &one);
        one.sign = away;
        num_add(a, &cut, &one, &cut);
    }
    return num_store(a, &cut, out);
}

int
numeric_ceil(struct arena *a, const struct datum *x, struct datum *out)
{
    return round_toward(a, x, NUM_POS, out);
}

int
numeric_floor(struct arena *a, const struct datum *x, struct datum *out)
{
    return round_toward(a, x, NUM_NEG, out);
}

static int
typmod_overflow(int precision, int scale)
{
    int rc = DIAG(ERR_NUMERIC_RANGE, "numeric field overflow");

    diag_detail("A field with precision %d, scale %d must round to an absolute value less than "
                "%s%d.",
                precision, scale, precision != scale ? "10^" : "",
                precision != scale ? precision - scale : 1);
    return rc;
}

int
numeric_apply_typmod(struct arena *a, int32_t typmod, const struct datum *x, struct datum *out)
{
    struct num n;
    int precision, scale, digits;

    *out = *x;
    if (typmod < 4)
        return 0;
    precision = (typmod - 4) >> 16 & 0xffff;
    scale = ((typmod - 4) & 0x7ff) ^ 1024;
    scale -= 1024;
    num_load(a, x, &n);
    if (n.sign == NUM_NAN)
        return 0;
    if (num_is_special(&n)) {
        int rc = DIAG(ERR_NUMERIC_RANGE, "numeric field overflow");
        diag_detail("A field with precision %d, scale %d cannot hold an infinite value.", precision,
                    scale);
        return rc;
    }
    num_round(a, &n, scale);
    num_strip(&n);
    if (n.count > 0) {
        int first = n.d[0];
        digits = (n.weight + 1) * DEC_DIGITS;
        digits -= first < 10 ? 3 : first < 100 ? 2 : first < 1000 ? 1 : 0;
        if (digits > precision - scale)
            return typmod_overflow(precision, scale);
    }
    return num_store(a, &n, out);
}
