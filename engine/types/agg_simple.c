/* Aggregates that need no arithmetic of numeric: count, sums and means of integers and floats, min,
 * max, and, or, text and arrays put together.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "engine/types/array.h"
#include "engine/types/datetime_int.h"
#include "engine/types/func_int.h"
#include "engine/types/numeric.h"

static inline void *
state_of(void *const *states, bool one_state, uint32_t k)
{
    return states[one_state ? 0 : k];
}

/* ---- count --------------------------------------------------------------------------------- */

struct count_state {
    int64_t count;
};

static int
count_step(struct func_call *call, void *state, const struct datum *args)
{
    (void)call, (void)args;
    ((struct count_state *)state)->count++;
    return 0;
}

static int
count_batch(struct func_call *call, void *const *states, bool one_state,
            const struct vec *const *args, const uint16_t *sel, uint32_t count)
{
    bool has_arg = call->arg_count > 0 && args[0]->valid != NULL;

    for (uint32_t k = 0; k < count; k++) {
        struct count_state *s = state_of(states, one_state, k);
        s->count += !has_arg || !vec_is_null(args[0], sel != NULL ? sel[k] : k);
    }
    return 0;
}

static int
count_combine(struct func_call *call, void *into, const void *from)
{
    (void)call;
    ((struct count_state *)into)->count += ((const struct count_state *)from)->count;
    return 0;
}

static int
count_final(struct func_call *call, const void *state, struct datum *out)
{
    (void)call;
    *out = datum_int(((const struct count_state *)state)->count);
    return 0;
}

const struct agg agg_count = { sizeof(struct count_state), count_step, count_batch, count_combine,
                               count_final };
const struct agg agg_count_any = { sizeof(struct count_state), count_step, count_batch,
                                   count_combine, count_final };

/* ---- integers ------------------------------------------------------------------------------ */

struct int_state {
    __int128 sum;
    int64_t count;
};

static int
int_step(struct func_call *call, void *state, const struct datum *args)
{
    struct int_state *s = state;

    (void)call;
    s->sum += args[0].i;
    s->count++;
    return 0;
}

static int
int_batch(struct func_call *call, void *const *states, bool one_state,
          const struct vec *const *args, const uint16_t *sel, uint32_t count)
{
    const struct vec *v = args[0];
    const uint32_t stride = !v->is_const;

    (void)call;
    for (uint32_t k = 0; k < count; k++) {
        uint32_t row = sel != NULL ? sel[k] : k;
        struct int_state *s = state_of(states, one_state, k);
        if (vec_is_null(v, row))
            continue;
        s->sum += v->i[row * stride];
        s->count++;
    }
    return 0;
}

static int
int_combine(struct func_call *call, void *into, const void *from)
{
    struct int_state *s = into;
    const struct int_state *f = from;

    (void)call;
    s->sum += f->sum;
    s->count += f->count;
    return 0;
}

static int
sum_int_final(struct func_call *call, const void *state, struct datum *out)
{
    const struct int_state *s = state;

    (void)call;
    if (s->sum > INT64_MAX || s->sum < INT64_MIN)
        return DIAG(ERR_NUMERIC_RANGE, "bigint out of range");
    *out = s->count == 0 ? datum_null() : datum_int((int64_t)s->sum);
    return 0;
}

static int
sum_int8_final(struct func_call *call, const void *state, struct datum *out)
{
    const struct int_state *s = state;

    *out = s->count == 0 ? datum_null() : numeric_from_int128(call->arena, s->sum, 0);
    return 0;
}

static int
avg_int_final(struct func_call *call, const void *state, struct datum *out)
{
    const struct int_state *s = state;
    struct datum sum, count;

    *out = datum_null();
    if (s->count == 0)
        return 0;
    sum = numeric_from_int128(call->arena, s->sum, 0);
    count = numeric_from_int(call->arena, s->count);
    return numeric_div(call->arena, &sum, &count, out);
}

const struct agg agg_sum_int = { sizeof(struct int_state), int_step, int_batch, int_combine,
                                 sum_int_final };
const struct agg agg_sum_int8 = { sizeof(struct int_state), int_step, int_batch, int_combine,
                                  sum_int8_final };
const struct agg agg_avg_int = { sizeof(struct int_state), int_step, int_batch, int_combine,
                                 avg_int_final };

/* ---- floats -------------------------------------------------------------------------------- */

/* N, sum of x, sum of squared differences from the mean (Youngs and Cramer). A plain sum uses the
 * first two. */
struct float_state {
    double n, sx, sxx;
};

static int
float_overflow(void)
{
    return DIAG(ERR_NUMERIC_RANGE, "value out of range: overflow");
}

static inline int
float_sum_one(oid_t type, struct float_state *s, double v)
{
    double sum = s->n == 0 ? v : s->sx + v;

    if (type == TYPE_FLOAT4)
        sum = (double)(float)sum;
    if (isinf(sum) && !isinf(s->sx) && !isinf(v))
        return float_overflow();
    s->sx = sum;
    s->n += 1;
    return 0;
}

static int
float_sum_step(struct func_call *call, void *state, const struct datum *args)
{
    return float_sum_one(call->func->result, state, args[0].f);
}

static int
float_sum_batch(struct func_call *call, void *const *states, bool one_state,
                const struct vec *const *args, const uint16_t *sel, uint32_t count)
{
    const struct vec *v = args[0];
    const uint32_t stride = !v->is_const;

    for (uint32_t k = 0; k < count; k++) {
        uint32_t row = sel != NULL ? sel[k] : k;
        int rc;
        if (vec_is_null(v, row))
            continue;
        rc = float_sum_one(call->func->result, state_of(states, one_state, k), v->f[row * stride]);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int
float_sum_combine(struct func_call *call, void *into, const void *from)
{
    struct float_state *s = into;
    const struct float_state *f = from;
    double n = s->n + f->n;
    int rc;

    if (f->n == 0)
        return 0;
    rc = float_sum_one(call->func->result, s, f->sx);
    s->n = n;
    return rc;
}

static int
float_sum_final(struct func_call *call, const void *state, struct datum *out)
{
    const struct float_state *s = state;

    (void)call;
    *out = s->n == 0 ? datum_null() : datum_float(s->sx);
    return 0;
}

static int
float_var_step(struct func_call *call, void *state, const struct datum *args)
{
    struct float_state *s = state;
    double v = args[0].f, before = s->n, sx_before = s->sx;

    (void)call;
    s->n += 1;
    s->sx += v;
    if (before > 0) {
        double t = v * s->n - s->sx;
        s->sxx += t * t / (s->n * before);
        if (isinf(s->sx) || isinf(s->sxx)) {
            if (!isinf(sx_before) && !isinf(v))
                return float_overflow();
            s->sxx = NAN;
        }
    } else if (isnan(v) || isinf(v)) {
        s->sxx = NAN;
    }
    return 0;
}

static int
float_var_combine(struct func_call *call, void *into, const void *from)
{
    struct float_state *s = into;
    const struct float_state *f = from;
    double n = s->n + f->n, t;

    (void)call;
    if (f->n == 0)
        return 0;
    if (s->n == 0) {
        *s = *f;
        return 0;
    }
    t = s->sx / s->n - f->sx / f->n;
    s->sxx += f->sxx + s->n * f->n * t * t / n;
    s->sx += f->sx;
    s->n = n;
    return isinf(s->sx) || isinf(s->sxx) ? float_overflow() : 0;
}

static int
float_avg_final(struct func_call *call, const void *state, struct datum *out)
{
    const struct float_state *s = state;

    (void)call;
    *out = s->n == 0 ? datum_null() : datum_float(s->sx / s->n);
    return 0;
}

#define FLOAT_VARIANCE(name, least, divisor, wrap)                                                 \
    static int name##_final(struct func_call *call, const void *state, struct datum *out)          \
    {                                                                                              \
        const struct float_state *s = state;                                                       \
        (void)call;                                                                                \
        *out = s->n < least ? datum_null() : datum_float(wrap(s->sxx / (s->n - divisor)));         \
        return 0;                                                                                  \
    }                                                                                              \
    const struct agg agg_##name = { sizeof(struct float_state), float_var_step, NULL,              \
                                    float_var_combine, name##_final };
#define PLAIN(x) (x)
FLOAT_VARIANCE(var_pop_float, 1, 0, PLAIN)
FLOAT_VARIANCE(var_samp_float, 2, 1, PLAIN)
FLOAT_VARIANCE(stddev_pop_float, 1, 0, sqrt)
FLOAT_VARIANCE(stddev_samp_float, 2, 1, sqrt)

const struct agg agg_sum_float = { sizeof(struct float_state), float_sum_step, float_sum_batch,
                                   float_sum_combine, float_sum_final };
const struct agg agg_avg_float = { sizeof(struct float_state), float_var_step, NULL,
                                   float_var_combine, float_avg_final };

/* ---- intervals ----------------------------------------------------------------------------- */

struct interval_state {
    struct interval sum;
    int64_t count;
};

static int
interval_step(struct func_call *call, void *state, const struct datum *args)
{
    struct interval_state *s = state;
    struct interval v = interval_load(&args[0]);

    (void)call;
    if (__builtin_add_overflow(s->sum.us, v.us, &s->sum.us) ||
        __builtin_add_overflow(s->sum.days, v.days, &s->sum.days) ||
        __builtin_add_overflow(s->sum.months, v.months, &s->sum.months))
        return interval_out_of_range();
    s->count++;
    return 0;
}

static int
interval_combine(struct func_call *call, void *into, const void *from)
{
    struct interval_state *s = into;
    const struct interval_state *f = from;
    uint8_t buf[16];
    struct datum d = datum_bytes(buf, sizeof buf);
    int64_t count = s->count + f->count;
    int rc;

    store_u64(buf, (uint64_t)f->sum.us);
    store_u32(buf + 8, (uint32_t)f->sum.days);
    store_u32(buf + 12, (uint32_t)f->sum.months);
    rc = interval_step(call, into, &d);
    s->count = count;
    return rc;
}

static int
interval_sum_final(struct func_call *call, const void *state, struct datum *out)
{
    const struct interval_state *s = state;

    *out = s->count == 0 ? datum_null() : interval_make(call->arena, s->sum);
    return 0;
}

static int
interval_avg_final(struct func_call *call, const void *state, struct datum *out)
{
    const struct interval_state *s = state;
    struct datum args[2];

    *out = datum_null();
    if (s->count == 0)
        return 0;
    args[0] = interval_make(call->arena, s->sum);
    args[1] = datum_float((double)s->count);
    return fn_interval_div(call, args, out);
}

const struct agg agg_sum_interval = { sizeof(struct interval_state), interval_step, NULL,
                                      interval_combine, interval_sum_final };
const struct agg agg_avg_interval = { sizeof(struct interval_state), interval_step, NULL,
                                      interval_combine, interval_avg_final };

/* ---- min and max --------------------------------------------------------------------------- */

struct best_state {
    struct datum value; /* bytes in `room` */
    uint8_t *room;
    uint32_t room_size;
    bool has_value;
};

static void
best_keep(struct func_call *call, struct best_state *s, const struct datum *d, enum type_rep rep)
{
    s->has_value = true;
    if (rep != REP_BYTES) {
        s->value = *d;
        return;
    }
    if (d->size > s->room_size || s->room == NULL) {
        s->room_size = d->size < 32 ? 64 : d->size * 2;
        s->room = arena_alloc(call->site_arena, s->room_size);
    }
    if (d->size > 0)
        memcpy(s->room, d->p, d->size);
    s->value = datum_bytes(s->room, d->size);
}

static inline void
best_step(struct func_call *call, struct best_state *s, const struct datum *d, int sign)
{
    const struct type *t = type_get(call->arg_types[0]);
    int least = t->oid == TYPE_BPCHAR; /* of equal values the last is kept, but there the first */

    if (!s->has_value || t->cmp(t, d, &s->value) * sign >= least)
        best_keep(call, s, d, t->rep);
}

static int
min_step(struct func_call *call, void *state, const struct datum *args)
{
    best_step(call, state, &args[0], -1);
    return 0;
}

static int
max_step(struct func_call *call, void *state, const struct datum *args)
{
    best_step(call, state, &args[0], 1);
    return 0;
}

static int
best_batch(struct func_call *call, void *const *states, bool one_state,
           const struct vec *const *args, const uint16_t *sel, uint32_t count, int sign)
{
    const struct vec *v = args[0];
    const uint32_t stride = !v->is_const;

    for (uint32_t k = 0; k < count; k++) {
        uint32_t row = sel != NULL ? sel[k] : k;
        struct best_state *s = state_of(states, one_state, k);
        if (vec_is_null(v, row))
            continue;
        if (v->rep == REP_INT) {
            int64_t x = v->i[row * stride];
            if (!s->has_value || (sign > 0 ? x > s->value.i : x < s->value.i)) {
                s->has_value = true;
                s->value = datum_int(x);
            }
        } else {
            struct datum d = vec_get(v, row);
            best_step(call, s, &d, sign);
        }
    }
    return 0;
}

static int
min_batch(struct func_call *call, void *const *states, bool one_state,
          const struct vec *const *args, const uint16_t *sel, uint32_t count)
{
    return best_batch(call, states, one_state, args, sel, count, -1);
}

static int
max_batch(struct func_call *call, void *const *states, bool one_state,
          const struct vec *const *args, const uint16_t *sel, uint32_t count)
{
    return best_batch(call, states, one_state, args, sel, count, 1);
}

static int
min_combine(struct func_call *call, void *into, const void *from)
{
    const struct best_state *f = from;

    if (f->has_value)
        best_step(call, into, &f->value, -1);
    return 0;
}

static int
max_combine(struct func_call *call, void *into, const void *from)
{
    const struct best_state *f = from;

    if (f->has_value)
        best_step(call, into, &f->value, 1);
    return 0;
}

static int
best_final(struct func_call *call, const void *state, struct datum *out)
{
    const struct best_state *s = state;

    (void)call;
    *out = s->has_value ? s->value : datum_null();
    return 0;
}

const struct agg agg_min = { sizeof(struct best_state), min_step, min_batch, min_combine,
                             best_final };
const struct agg agg_max = { sizeof(struct best_state), max_step, max_batch, max_combine,
                             best_final };

/* ---- and, or ------------------------------------------------------------------------------- */

struct bits_state {
    int64_t bits;
    bool has_value;
};

#define BITS_AGGREGATE(name, operator)                                                             \
    static int name##_step(struct func_call *call, void *state, const struct datum *args)          \
    {                                                                                              \
        struct bits_state *s = state;                                                              \
        (void)call;                                                                                \
        s->bits = s->has_value ? s->bits operator args[0].i : args[0].i;                           \
        s->has_value = true;                                                                       \
        return 0;                                                                                  \
    }                                                                                              \
    static int name##_combine(struct func_call *call, void *into, const void *from)                \
    {                                                                                              \
        const struct bits_state *f = from;                                                         \
        struct datum d = datum_int(f->bits);                                                       \
        return f->has_value ? name##_step(call, into, &d) : 0;                                     \
    }
BITS_AGGREGATE(all_bits, &)
BITS_AGGREGATE(any_bits, |)

static int
bits_final(struct func_call *call, const void *state, struct datum *out)
{
    const struct bits_state *s = state;

    (void)call;
    *out = s->has_value ? datum_int(s->bits) : datum_null();
    return 0;
}

const struct agg agg_bool_and = { sizeof(struct bits_state), all_bits_step, NULL, all_bits_combine,
                                  bits_final };
const struct agg agg_bool_or = { sizeof(struct bits_state), any_bits_step, NULL, any_bits_combine,
                                 bits_final };
const struct agg agg_bit_and = { sizeof(struct bits_state), all_bits_step, NULL, all_bits_combine,
                                 bits_final };
const struct agg agg_bit_or = { sizeof(struct bits_state), any_bits_step, NULL, any_bits_combine,
                                bits_final };

/* ---- string_agg, array_agg ----------------------------------------------------------------- */

struct text_state {
    uint8_t *p;
    size_t size, cap;
    bool has_value;
};

static int
text_append(struct func_call *call, struct text_state *s, const struct datum *d)
{
    if (s->size + d->size > TEXT_SIZE_MAX)
        return DIAG(ERR_LIMIT,
                    "out of memory: cannot enlarge string buffer containing %zu bytes "
                    "by %u more bytes",
                    s->size, d->size);
    if (s->size + d->size > s->cap) {
        size_t cap = (s->size + d->size) * 2 + 64;
        uint8_t *p = arena_try_alloc(call->site_arena, cap);
        if (p == NULL)
            return ERR_NOMEM;
        if (s->size > 0)
            memcpy(p, s->p, s->size);
        s->p = p;
        s->cap = cap;
    }
    if (d->size > 0)
        memcpy(s->p + s->size, d->p, d->size);
    s->size += d->size;
    return 0;
}

static int
string_agg_step(struct func_call *call, void *state, const struct datum *args)
{
    struct text_state *s = state;
    int rc = 0;

    if (args[0].is_null)
        return 0;
    if (s->has_value && !args[1].is_null)
        rc = text_append(call, s, &args[1]);
    s->has_value = true;
    return rc != 0 ? rc : text_append(call, s, &args[0]);
}

static int
string_agg_final(struct func_call *call, const void *state, struct datum *out)
{
    const struct text_state *s = state;

    (void)call;
    *out = s->has_value ? datum_bytes(s->p, s->size) : datum_null();
    return 0;
}

const struct agg agg_string_agg = { sizeof(struct text_state), string_agg_step, NULL, NULL,
                                    string_agg_final };

struct array_state {
    struct datum *elems;
    uint32_t count, cap;
};

static int
array_agg_step(struct func_call *call, void *state, const struct datum *args)
{
    struct array_state *s = state;

    if (s->count == s->cap) {
        uint32_t cap = s->cap * 2 + 16;
        struct datum *more;
        if (s->count >= ARRAY_ELEMENTS_MAX)
            return DIAG(ERR_LIMIT, "array size exceeds the maximum allowed (%d)",
                        ARRAY_ELEMENTS_MAX);
        more = arena_try_alloc(call->site_arena, sizeof *more * cap);
        if (more == NULL)
            return ERR_NOMEM;
        if (s->count > 0)
            memcpy(more, s->elems, sizeof *more * s->count);
        s->elems = more;
        s->cap = cap;
    }
    s->elems[s->count++] =
        datum_copy(call->site_arena, &args[0], type_get(call->arg_types[0])->rep);
    return 0;
}

static int
array_agg_final(struct func_call *call, const void *state, struct datum *out)
{
    const struct array_state *s = state;

    *out = s->count == 0 ? datum_null()
                         : array_make(call->arena, call->arg_types[0], s->elems, s->count, 1);
    return 0;
}

const struct agg agg_array_agg = { sizeof(struct array_state), array_agg_step, NULL, NULL,
                                   array_agg_final };
