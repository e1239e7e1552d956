/* Exact sums: of numeric, and of squares for the variance of integers and numeric.
 *
 * A sum is kept as one signed 64-bit total per base-10000 digit, without carries: adding a value is
 * adding its digits, and 2^63 / 10^4 values fit before a total could overflow.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/func_int.h"
#include "engine/types/numeric_int.h"

struct digit_sum {
    int64_t *total; /* total[i] counts NBASE^(top - i) */
    int32_t count, top;
    int32_t dscale;
};

struct numeric_state {
    struct digit_sum sum, squares;
    int64_t count; /* NaN and infinities too */
    int64_t nan, pinf, ninf;
};

/* Makes room for digits of the weights top .. bottom. */
static void
sum_widen(struct arena *a, struct digit_sum *s, int32_t top, int32_t bottom)
{
    int32_t old_bottom = s->top - s->count + 1, count;
    int64_t *total;

    if (s->count > 0) {
        if (top <= s->top && bottom >= old_bottom)
            return;
        top = top > s->top ? top : s->top;
        bottom = bottom < old_bottom ? bottom : old_bottom;
    }
    count = top - bottom + 1;
    total = ARENA_ARRAY(a, int64_t, count + 4); /* some to spare at the low end */
    if (s->count > 0)
        memcpy(total + (top - s->top), s->total, sizeof *total * (size_t)s->count);
    s->total = total;
    s->top = top;
    s->count = count + 4;
}

static void
sum_add(struct arena *a, struct digit_sum *s, const struct num *n)
{
    int64_t *to;

    if (n->dscale > s->dscale)
        s->dscale = n->dscale;
    if (n->count == 0)
        return;
    sum_widen(a, s, n->weight, n->weight - n->count + 1);
    to = s->total + (s->top - n->weight);
    if (n->sign == NUM_NEG) {
        for (int i = 0; i < n->count; i++)
            to[i] -= n->d[i];
    } else {
        for (int i = 0; i < n->count; i++)
            to[i] += n->d[i];
    }
}

static void
sum_merge(struct arena *a, struct digit_sum *s, const struct digit_sum *f)
{
    if (f->dscale > s->dscale)
        s->dscale = f->dscale;
    if (f->count == 0)
        return;
    sum_widen(a, s, f->top, f->top - f->count + 1);
    for (int32_t i = 0; i < f->count; i++)
        s->total[s->top - f->top + i] += f->total[i];
}

/* Carries, with digits in [0, NBASE) and the sign apart. A total carries at most into the five
 * digits above it. */
static void
sum_value(struct arena *a, const struct digit_sum *s, struct num *out)
{
    enum { EXTRA = 6 };
    int32_t count = s->count + EXTRA;
    int64_t *t = ARENA_ARRAY(a, int64_t, count), carry = 0;
    bool negative = false;

    *out = (struct num){ .dscale = s->dscale, .count = count, .weight = s->top + EXTRA };
    out->d = arena_alloc(a, sizeof *out->d * (size_t)count);
    if (s->count > 0)
        memcpy(t + EXTRA, s->total, sizeof *t * (size_t)s->count);
    for (int pass = 0; pass < 2; pass++) {
        carry = 0;
        for (int32_t i = count - 1; i >= 0; i--) {
            int64_t v = t[i] + carry;
            carry = v / NBASE - (v % NBASE < 0);
            t[i] = v - carry * NBASE;
        }
        if (carry == 0)
            break;
        /* Negative: turn all round and carry again. */
        negative = true;
        t[0] += carry * NBASE;
        for (int32_t i = 0; i < count; i++)
            t[i] = -t[i];
    }
    for (int32_t i = 0; i < count; i++)
        out->d[i] = (uint16_t)t[i];
    out->sign = negative ? NUM_NEG : NUM_POS;
    num_strip(out);
}

/* ---- steps --------------------------------------------------------------------------------- */

static bool
note_special(struct numeric_state *s, const struct num *n)
{
    s->count++;
    if (!num_is_special(n))
        return false;
    if (n->sign == NUM_NAN)
        s->nan++;
    else if (n->sign == NUM_PINF)
        s->pinf++;
    else
        s->ninf++;
    return true;
}

static int
numeric_sum_step(struct func_call *call, void *state, const struct datum *args)
{
    struct numeric_state *s = state;
    struct arena_mark mark = arena_mark(call->arena);
    struct num n;

    num_load(call->arena, &args[0], &n);
    if (!note_special(s, &n))
        sum_add(call->site_arena, &s->sum, &n);
    if (call->arena != call->site_arena)
        arena_rewind(call->arena, mark);
    return 0;
}

/* Integers and numeric alike. */
static int
variance_step(struct func_call *call, void *state, const struct datum *args)
{
    struct numeric_state *s = state;
    struct arena_mark mark = arena_mark(call->arena);
    struct num n, square;

    if (call->func->args[0] == TYPE_NUMERIC)
        num_load(call->arena, &args[0], &n);
    else
        num_from_int(call->arena, args[0].i, &n);
    if (!note_special(s, &n)) {
        num_mul(call->arena, &n, &n, &square);
        sum_add(call->site_arena, &s->sum, &n);
        sum_add(call->site_arena, &s->squares, &square);
    }
    if (call->arena != call->site_arena)
        arena_rewind(call->arena, mark);
    return 0;
}

static int
numeric_combine(struct func_call *call, void *into, const void *from)
{
    struct numeric_state *s = into;
    const struct numeric_state *f = from;

    s->count += f->count;
    s->nan += f->nan;
    s->pinf += f->pinf;
    s->ninf += f->ninf;
    sum_merge(call->site_arena, &s->sum, &f->sum);
    sum_merge(call->site_arena, &s->squares, &f->squares);
    return 0;
}

/* ---- results ------------------------------------------------------------------------------- */

static bool
special_sum(struct arena *a, const struct numeric_state *s, struct datum *out)
{
    if (s->nan == 0 && s->pinf == 0 && s->ninf == 0)
        return false;
    *out = num_store_special(a, s->nan > 0 || (s->pinf > 0 && s->ninf > 0) ? NUM_NAN
                                : s->pinf > 0                              ? NUM_PINF
                                                                           : NUM_NINF);
    return true;
}

static int
numeric_sum_final(struct func_call *call, const void *state, struct datum *out)
{
    const struct numeric_state *s = state;
    struct num sum;

    *out = datum_null();
    if (s->count == 0 || special_sum(call->arena, s, out))
        return 0;
    sum_value(call->arena, &s->sum, &sum);
    return num_store(call->arena, &sum, out);
}

static int
numeric_avg_final(struct func_call *call, const void *state, struct datum *out)
{
    const struct numeric_state *s = state;
    struct datum sum, count;
    int rc = numeric_sum_final(call, state, &sum);

    *out = sum;
    if (rc != 0 || s->count == 0 || numeric_is_special(&sum))
        return rc;
    count = numeric_from_int(call->arena, s->count);
    return numeric_div(call->arena, &sum, &count, out);
}

const struct agg agg_sum_numeric = { sizeof(struct numeric_state), numeric_sum_step, NULL,
                                     numeric_combine, numeric_sum_final };
const struct agg agg_avg_numeric = { sizeof(struct numeric_state), numeric_sum_step, NULL,
                                     numeric_combine, numeric_avg_final };

/* (N * sum of squares - sum^2) / (N * N or N * (N - 1)), and its root. */
static int
variance_final(struct func_call *call, const struct numeric_state *s, bool sample, bool root,
               struct datum *out)
{
    struct arena *a = call->arena;
    struct num sum, squares, n, divisor, v;
    struct datum variance;
    int rc;

    *out = datum_null();
    if (s->count < (sample ? 2 : 1))
        return 0;
    if (s->nan > 0 || s->pinf > 0 || s->ninf > 0) {
        *out = num_store_special(a, NUM_NAN);
        return 0;
    }
    sum_value(a, &s->sum, &sum);
    sum_value(a, &s->squares, &squares);
    num_from_int(a, s->count, &n);
    num_from_int(a, sample ? s->count - 1 : s->count, &divisor);
    num_mul(a, &sum, &sum, &sum);
    num_mul(a, &n, &squares, &squares);
    num_sub(a, &squares, &sum, &v);
    num_strip(&v);
    if (v.count == 0 || v.sign == NUM_NEG) {
        *out = numeric_from_int(a, 0);
        return 0;
    }
    num_mul(a, &n, &divisor, &divisor);
    num_div(a, &v, &divisor, num_div_scale(&v, &divisor), true, &v);
    rc = num_store(a, &v, &variance);
    *out = variance;
    if (rc != 0 || !root)
        return rc;
    return num_sqrt_scaled(a, &v, v.dscale, out);
}

#define NUMERIC_VARIANCE(name, sample, root)                                                       \
    static int name##_final(struct func_call *call, const void *state, struct datum *out)          \
    {                                                                                              \
        return variance_final(call, state, sample, root, out);                                     \
    }                                                                                              \
    const struct agg agg_##name = { sizeof(struct numeric_state), variance_step, NULL,             \
                                    numeric_combine, name##_final };
NUMERIC_VARIANCE(var_pop, false, false)
NUMERIC_VARIANCE(var_samp, true, false)
NUMERIC_VARIANCE(stddev_pop, false, true)
NUMERIC_VARIANCE(stddev_samp, true, true)
