/* numeric: square root, exponential, logarithms, powers. The scale of each result follows
 * PostgreSQL's rules; the digits are computed with enough spare ones to be rounded right.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>

#include "engine/types/numeric.h"
#include "engine/types/numeric_int.h"

enum {
    DISPLAY_SCALE_LIMIT = 1000, /* of computed results */
    RESULT_SCALE_LIMIT = 2000,
};

static int
clamp_int(int v, int low, int high)
{
    return v < low ? low : v > high ? high : v;
}

static int
result_scale(int wanted, int dscale_x, int dscale_y)
{
    int s = wanted > dscale_x ? wanted : dscale_x;

    return clamp_int(s > dscale_y ? s : dscale_y, 0, DISPLAY_SCALE_LIMIT);
}

/* f * 10^p with 16 or more digits' worth of f; for estimates. */
static double
num_leading(const struct num *n, int *p10)
{
    double f = n->d[0];
    int p = n->weight * DEC_DIGITS;

    for (int i = 1; i < n->count && i * DEC_DIGITS < 16; i++) {
        f = f * NBASE + n->d[i];
        p -= DEC_DIGITS;
    }
    *p10 = p;
    return f;
}

static double
num_to_double(const struct num *n)
{
    double f;
    int p;

    if (n->count == 0)
        return 0;
    f = num_leading(n, &p);
    f *= pow(10, p);
    return n->sign == NUM_NEG ? -f : f;
}

static void
num_set_str(struct arena *a, const char *s, struct num *out)
{
    CHECK(num_parse(a, slice_str(s), out) == 0);
}

static void
num_mul_to(struct arena *a, const struct num *x, const struct num *y, int rscale, struct num *out)
{
    num_mul(a, x, y, out);
    num_round(a, out, rscale);
}

static void
num_halve(struct arena *a, struct num *n, int rscale)
{
    struct num half;

    num_set_str(a, "0.5", &half);
    num_mul_to(a, n, &half, rscale, n);
}

/* ---- square root --------------------------------------------------------------------------- */

/* The first digits alone, as many as `decimals` need. */
static struct num
num_leading_part(const struct num *n, int decimals)
{
    struct num part = *n;

    num_strip(&part);
    if (part.count > decimals / DEC_DIGITS + 2)
        part.count = decimals / DEC_DIGITS + 2;
    return part;
}

/* Newton's method: the digits that are right double per step, and no step works with more of them
 * than it can make right. To `want` digits in all, and no further than rscale after the point.
 * x > 0. */
static void
num_root(struct arena *a, const struct num *x, int want, int rscale, struct num *out)
{
    int p;
    double f = num_leading(x, &p);
    struct num r, q;
    char buf[64];

    if (p % 2 != 0) {
        f *= 10;
        p--;
    }
    snprintf(buf, sizeof buf, "%.15ge%d", sqrt(f), p / 2);
    num_set_str(a, buf, &r);
    for (int right = 13; right < want; right *= 2) {
        int scale = clamp_int(2 * right + 10 - p / 2, 0, rscale);
        struct num part = num_leading_part(x, 2 * right + 20);

        num_div(a, &part, &r, scale, true, &q);
        num_add(a, &r, &q, &r);
        num_halve(a, &r, scale + 1);
        r = num_leading_part(&r, 2 * right + 20);
    }
    *out = r;
}

/* A few digits more tell how to round, unless they are those of a half; a root is told from a half
 * by twice the digits before the point. */
static void
num_sqrt(struct arena *a, const struct num *x, int rscale, struct num *out)
{
    int before = x->weight > 0 ? 2 * x->weight + 2 : 0, more = 12;
    struct num error, low, high;
    char buf[32];

    num_root(a, x, before + rscale + more + 14, rscale + more, out);
    snprintf(buf, sizeof buf, "1e-%d", rscale + more - 2);
    num_set_str(a, buf, &error);
    num_sub(a, out, &error, &low);
    num_add(a, out, &error, &high);
    num_round(a, &low, rscale);
    num_round(a, &high, rscale);
    if (num_cmp(&low, &high) != 0) {
        more += before;
        num_root(a, x, before + rscale + more + 14, rscale + more, out);
    }
    num_round(a, out, rscale);
    out->dscale = rscale;
}

int
num_sqrt_scaled(struct arena *a, const struct num *x, int rscale, struct datum *out)
{
    struct num n = *x, r;

    num_strip(&n);
    num_sqrt(a, &n, rscale, &r);
    return num_store(a, &r, out);
}

int
numeric_sqrt(struct arena *a, const struct datum *x, struct datum *out)
{
    struct num n, r;
    int sweight, rscale;

    num_load(a, x, &n);
    if (n.sign == NUM_NEG || n.sign == NUM_NINF)
        return DIAG(ERR_INVALID_POWER_ARGUMENT, "cannot take square root of a negative number");
    if (num_is_special(&n))
        return num_store(a, &n, out);
    sweight = (n.weight >= 0 ? n.weight * DEC_DIGITS / 2 + 1 : 1 - (1 - n.weight * DEC_DIGITS) / 2);
    rscale = result_scale(NUMERIC_SIG_DIGITS_MIN - sweight, n.dscale, 0);
    if (n.count == 0)
        r = (struct num){ .dscale = rscale };
    else
        num_sqrt(a, &n, rscale, &r);
    return num_store(a, &r, out);
}

/* ---- exponential --------------------------------------------------------------------------- */

/* e^x to rscale digits: halve x until it is small, Taylor's series, square back. */
static int
num_exp(struct arena *a, const struct num *x_in, int rscale, struct num *out)
{
    struct num x = *x_in, sum, term, n;
    double v = num_to_double(&x);
    int halvings = 0, local, dweight;

    if (fabs(v) >= RESULT_SCALE_LIMIT * 3) {
        if (v > 0)
            return DIAG(ERR_NUMERIC_RANGE, "value overflows numeric format");
        *out = (struct num){ .dscale = rscale };
        return 0;
    }
    dweight = (int)(v * 0.434294481903252);
    while (fabs(v) > 0.01) {
        halvings++;
        v /= 2;
    }
    /* Each squaring doubles the relative error; the result's digits before the point count. */
    local = clamp_int(rscale + (dweight > 0 ? dweight : 0) + halvings + 8, 0, 20000);
    x.dscale = local;
    for (int i = 0; i < halvings; i++)
        num_halve(a, &x, local);
    num_from_int(a, 1, &sum);
    term = sum;
    for (int64_t i = 1;; i++) {
        num_mul_to(a, &term, &x, local, &term);
        num_from_int(a, i, &n);
        num_div(a, &term, &n, local, true, &term);
        num_strip(&term);
        if (term.count == 0)
            break;
        num_add(a, &sum, &term, &sum);
    }
    for (int i = 0; i < halvings; i++)
        num_mul_to(a, &sum, &sum, local, &sum);
    num_round(a, &sum, rscale);
    *out = sum;
    out->dscale = rscale;
    return 0;
}

int
numeric_exp(struct arena *a, const struct datum *x, struct datum *out)
{
    struct num n, r;
    double v;
    int rc;

    num_load(a, x, &n);
    if (num_is_special(&n)) {
        if (n.sign == NUM_NINF)
            n = (struct num){ .sign = NUM_POS };
        return num_store(a, &n, out);
    }
    v = num_to_double(&n) * 0.434294481903252;
    v = v > RESULT_SCALE_LIMIT    ? RESULT_SCALE_LIMIT
        : v < -RESULT_SCALE_LIMIT ? -RESULT_SCALE_LIMIT
                                  : v;
    rc = num_exp(a, &n, result_scale(NUMERIC_SIG_DIGITS_MIN - (int)v, n.dscale, 0), &r);
    return rc != 0 ? rc : num_store(a, &r, out);
}

/* ---- logarithms ---------------------------------------------------------------------------- */

/* The decimal weight of ln(x), roughly. x > 0. */
static int
ln_weight(struct arena *a, const struct num *x)
{
    struct num low, high, one, d;
    double f;
    int p;

    num_set_str(a, "0.9", &low);
    num_set_str(a, "1.1", &high);
    if (num_cmp(x, &low) >= 0 && num_cmp(x, &high) <= 0) {
        num_from_int(a, 1, &one);
        num_sub(a, x, &one, &d);
        num_strip(&d);
        return d.count > 0 ? d.weight * DEC_DIGITS + (int)log10(d.d[0]) : 0;
    }
    f = x->d[0];
    p = x->weight * DEC_DIGITS;
    if (x->count > 1) {
        f = f * NBASE + x->d[1];
        p -= DEC_DIGITS;
    }
    return (int)log10(fabs(log(f) + p * 2.302585092994046));
}

/* ln(x) to rscale digits: roots until x is near 1, then 2 * atanh((x-1)/(x+1)). x > 0. */
static void
num_ln(struct arena *a, const struct num *x_in, int rscale, struct num *out)
{
    struct num x = *x_in, one, low, high, z, z2, sum, power, term, n, two;
    int roots = 0, local = rscale + 12;

    num_from_int(a, 1, &one);
    num_from_int(a, 2, &two);
    num_set_str(a, "0.9", &low);
    num_set_str(a, "1.1", &high);
    /* A root of a tiny number needs its leading digits kept. */
    while (num_cmp(&x, &low) < 0 || num_cmp(&x, &high) > 0) {
        int extra = x.weight < 0 ? -x.weight * DEC_DIGITS / 2 : 0;
        x = num_leading_part(&x, local + 30);
        num_root(a, &x, local + 30, local + 20 + extra, &x);
        num_strip(&x);
        roots++;
    }
    local += roots / 3 + 1;
    num_sub(a, &x, &one, &z);
    num_add(a, &x, &one, &n);
    num_div(a, &z, &n, local, true, &z);
    num_mul_to(a, &z, &z, local, &z2);
    sum = z;
    power = z;
    for (int64_t i = 3;; i += 2) {
        num_mul_to(a, &power, &z2, local, &power);
        num_strip(&power);
        if (power.count == 0)
            break;
        num_from_int(a, i, &n);
        num_div(a, &power, &n, local, true, &term);
        num_add(a, &sum, &term, &sum);
    }
    for (int i = 0; i <= roots; i++)
        num_mul_to(a, &sum, &two, local, &sum);
    num_round(a, &sum, rscale);
    *out = sum;
    out->dscale = rscale;
}

static int
log_argument(const struct num *n)
{
    if (n->sign == NUM_NEG || n->sign == NUM_NINF)
        return DIAG(ERR_INVALID_LOG_ARGUMENT, "cannot take logarithm of a negative number");
    if (n->sign == NUM_POS && n->count == 0)
        return DIAG(ERR_INVALID_LOG_ARGUMENT, "cannot take logarithm of zero");
    return 0;
}

int
numeric_ln(struct arena *a, const struct datum *x, struct datum *out)
{
    struct num n, r;
    int rc;

    num_load(a, x, &n);
    if (n.sign == NUM_NAN)
        return num_store(a, &n, out);
    rc = log_argument(&n);
    if (rc != 0)
        return rc;
    if (num_is_special(&n))
        return num_store(a, &n, out);
    num_ln(a, &n, result_scale(NUMERIC_SIG_DIGITS_MIN - ln_weight(a, &n), n.dscale, 0), &r);
    return num_store(a, &r, out);
}

int
numeric_log(struct arena *a, const struct datum *base, const struct datum *x, struct datum *out)
{
    struct num b, n, lb, ln, r;
    int wb, wn, rscale, rc;

    num_load(a, base, &b);
    num_load(a, x, &n);
    if (b.sign == NUM_NAN || n.sign == NUM_NAN) {
        *out = num_store_special(a, NUM_NAN);
        return 0;
    }
    rc = log_argument(&b);
    if (rc == 0)
        rc = log_argument(&n);
    if (rc != 0)
        return rc;
    if (num_is_special(&b) || num_is_special(&n)) {
        if (num_is_special(&b) && num_is_special(&n))
            *out = num_store_special(a, NUM_NAN);
        else if (num_is_special(&n))
            *out = num_store_special(a, NUM_PINF);
        else
            *out = numeric_from_int(a, 0);
        return 0;
    }
    wb = ln_weight(a, &b);
    wn = ln_weight(a, &n);
    rscale = result_scale(NUMERIC_SIG_DIGITS_MIN - (wn - wb), b.dscale, n.dscale);
    num_ln(a, &b, clamp_int(rscale + wn - 2 * wb + 8, 0, 3000), &lb);
    num_ln(a, &n, clamp_int(rscale - wb + 8, 0, 3000), &ln);
    num_strip(&lb);
    if (lb.count == 0)
        return DIAG(ERR_DIVISION_BY_ZERO, "division by zero");
    num_div(a, &ln, &lb, rscale, true, &r);
    r.dscale = rscale;
    return num_store(a, &r, out);
}

/* ---- powers -------------------------------------------------------------------------------- */

/* base^exp for |exp| of two and more, by squaring, with digits relative to the result's weight. */
static int
power_by_squaring(struct arena *a, const struct num *base, int64_t exp, double log_result,
                  int rscale, struct num *out)
{
    uint64_t mask = (uint64_t)(exp < 0 ? -exp : exp);
    int sig = 1 + rscale + (int)log_result + (int)log((double)mask) + 8;
    struct num square = *base, r, one;

    num_from_int(a, 1, &one);
    r = mask & 1 ? *base : one;
    while ((mask >>= 1) > 0) {
        int local;
        struct num t;
        num_mul(a, &square, &square, &t);
        local = sig - 2 * square.weight * DEC_DIGITS;
        num_round(a, &t, clamp_int(local, 0, t.dscale > 0 ? t.dscale : 0));
        square = t;
        if (mask & 1) {
            num_mul(a, &square, &r, &t);
            local = sig - (square.weight + r.weight) * DEC_DIGITS;
            num_round(a, &t, clamp_int(local, 0, t.dscale > 0 ? t.dscale : 0));
            r = t;
        }
        if (square.weight > NUMERIC_WEIGHT_MAX || r.weight > NUMERIC_WEIGHT_MAX) {
            if (exp > 0)
                return DIAG(ERR_NUMERIC_RANGE, "value overflows numeric format");
            *out = (struct num){ .dscale = rscale };
            return 0;
        }
    }
    num_strip(&r);
    if (exp < 0) {
        if (r.count == 0)
            return DIAG(ERR_NUMERIC_RANGE, "value overflows numeric format");
        num_div(a, &one, &r, rscale, true, out);
    } else {
        num_round(a, &r, rscale);
        *out = r;
    }
    out->dscale = rscale;
    return 0;
}

static int
power_int(struct arena *a, const struct num *base, int64_t exp, int exp_dscale, struct num *out)
{
    struct num one;
    double f;
    int p, rscale;

    num_from_int(a, 1, &one);
    if (base->count == 0) {
        if (exp < 0)
            return DIAG(ERR_DIVISION_BY_ZERO, "division by zero");
        *out = exp == 0 ? one : (struct num){ .sign = NUM_POS };
        out->dscale = result_scale(NUMERIC_SIG_DIGITS_MIN, base->dscale, exp_dscale);
        return 0;
    }
    f = num_leading(base, &p);
    f = (double)exp * (log10(f) + p);
    if (f > (NUMERIC_WEIGHT_MAX + 1) * DEC_DIGITS)
        return DIAG(ERR_NUMERIC_RANGE, "value overflows numeric format");
    rscale = result_scale(NUMERIC_SIG_DIGITS_MIN, base->dscale, exp_dscale);
    if (f + 1 < -rscale) {
        *out = (struct num){ .dscale = rscale };
        return 0;
    }
    if (exp == 0) {
        *out = one;
    } else if (exp == 1) {
        *out = *base;
        num_round(a, out, rscale);
    } else if (exp == -1) {
        num_div(a, &one, base, rscale, true, out);
    } else {
        return power_by_squaring(a, base, exp, f, rscale, out);
    }
    out->dscale = rscale;
    return 0;
}

/* base > 0, exp not an integer: e^(exp * ln(base)). */
static int
power_real(struct arena *a, const struct num *base, const struct num *exp, struct num *out)
{
    struct num ln, p;
    int weight = ln_weight(a, base), rscale, local;
    double v;

    num_ln(a, base, clamp_int(NUMERIC_SIG_DIGITS_MIN - weight + 8, 0, DISPLAY_SCALE_LIMIT), &ln);
    num_mul(a, &ln, exp, &p);
    v = num_to_double(&p);
    if (fabs(v) > RESULT_SCALE_LIMIT * 3.01) {
        if (v > 0)
            return DIAG(ERR_NUMERIC_RANGE, "value overflows numeric format");
        *out = (struct num){ .dscale = DISPLAY_SCALE_LIMIT };
        return 0;
    }
    v *= 0.434294481903252;
    rscale = result_scale(NUMERIC_SIG_DIGITS_MIN - (int)v, base->dscale, exp->dscale);
    /* The exponent's digits before the point, and the result's, are lost to the logarithm. */
    local = clamp_int(rscale + (int)v + 8, 0, 4 * DISPLAY_SCALE_LIMIT);
    num_ln(a, base, local + (exp->weight > 0 ? exp->weight * DEC_DIGITS : 0) + DEC_DIGITS, &ln);
    num_mul_to(a, &ln, exp, local, &p);
    return num_exp(a, &p, rscale, out);
}

/* Powers where an operand is NaN or infinite; PostgreSQL follows POSIX pow(). */
static int
power_special(struct arena *a, const struct datum *x, const struct datum *y, bool y_is_odd,
              struct datum *out)
{
    struct datum one = numeric_from_int(a, 1);
    int sx = numeric_sign(x), sy = numeric_sign(y), magnitude;

    if (numeric_cmp(x, &one) == 0 || (!numeric_is_special(y) && sy == 0)) {
        *out = one;
        return 0;
    }
    if (numeric_is_nan(x) || numeric_is_nan(y)) {
        *out = num_store_special(a, NUM_NAN);
        return 0;
    }
    if (numeric_is_special(y)) {
        struct datum ax = numeric_abs(a, x);
        if (sx == 0 && sy < 0)
            return DIAG(ERR_INVALID_POWER_ARGUMENT, "zero raised to a negative power is undefined");
        magnitude = numeric_cmp(&ax, &one) * sy;
        if (magnitude == 0)
            *out = one;
        else
            *out = magnitude > 0 ? num_store_special(a, NUM_PINF) : numeric_from_int(a, 0);
        return 0;
    }
    if (sy < 0)
        *out = numeric_from_int(a, 0);
    else
        *out = num_store_special(a, sx < 0 && y_is_odd ? NUM_NINF : NUM_PINF);
    return 0;
}

static bool
num_is_integer(const struct num *n)
{
    return n->count == 0 || n->count <= n->weight + 1;
}

int
numeric_power(struct arena *a, const struct datum *x, const struct datum *y, struct datum *out)
{
    struct num base, exp, r;
    int64_t e = 0;
    bool is_integer, is_odd = false;
    int rc;

    num_load(a, x, &base);
    num_load(a, y, &exp);
    is_integer = !num_is_special(&exp) && num_is_integer(&exp);
    if (is_integer && exp.count > 0 && exp.count == exp.weight + 1)
        is_odd = exp.d[exp.count - 1] & 1;
    if (base.sign == NUM_NINF && !num_is_special(&exp) && !is_integer)
        return DIAG(ERR_INVALID_POWER_ARGUMENT,
                    "a negative number raised to a non-integer power yields a complex result");
    if (num_is_special(&base) || num_is_special(&exp))
        return power_special(a, x, y, is_odd, out);
    if (base.count == 0 && exp.sign == NUM_NEG)
        return DIAG(ERR_INVALID_POWER_ARGUMENT, "zero raised to a negative power is undefined");
    if (base.sign == NUM_NEG && !is_integer)
        return DIAG(ERR_INVALID_POWER_ARGUMENT,
                    "a negative number raised to a non-integer power yields a complex result");
    if (is_integer && num_to_int64(a, &exp, &e) && e >= INT32_MIN && e <= INT32_MAX) {
        rc = power_int(a, &base, e, exp.dscale, &r);
    } else if (base.count == 0) {
        r = (struct num){ .dscale = NUMERIC_SIG_DIGITS_MIN };
        rc = 0;
    } else {
        bool negative = base.sign == NUM_NEG && is_odd;
        base.sign = NUM_POS;
        rc = power_real(a, &base, &exp, &r);
        if (rc == 0 && negative)
            r.sign = NUM_NEG;
    }
    return rc != 0 ? rc : num_store(a, &r, out);
}
