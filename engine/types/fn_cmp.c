/* Comparison kernels.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/array.h"
#include "engine/types/datetime_int.h"
#include "engine/types/func_int.h"
#include "engine/types/numeric.h"

/* ---- one row ------------------------------------------------------------------------------- */

static inline int
order_int(struct func_call *call, const struct datum *x, const struct datum *y)
{
    (void)call;
    return x->i < y->i ? -1 : x->i > y->i;
}

static inline int
order_float(struct func_call *call, const struct datum *x, const struct datum *y)
{
    (void)call;
    return float_cmp(x->f, y->f);
}

static inline int
order_bytes(struct func_call *call, const struct datum *x, const struct datum *y)
{
    (void)call;
    return slice_cmp(datum_view(x), datum_view(y));
}

static inline int
order_bpchar(struct func_call *call, const struct datum *x, const struct datum *y)
{
    (void)call;
    return cmp_bpchar(NULL, x, y);
}

static inline int
order_numeric(struct func_call *call, const struct datum *x, const struct datum *y)
{
    (void)call;
    return numeric_cmp(x, y);
}

static inline int
order_interval(struct func_call *call, const struct datum *x, const struct datum *y)
{
    (void)call;
    return cmp_interval(NULL, x, y);
}

static inline int
order_array(struct func_call *call, const struct datum *x, const struct datum *y)
{
    (void)call;
    return cmp_array(NULL, x, y);
}

/* A date, timestamp or timestamptz as a timestamp, or as a timestamptz if the other side is one.
 * What lies outside the range of timestamps sorts past all of them. */
static int64_t
moment_value(struct func_call *call, const struct datum *d, oid_t type, bool with_zone)
{
    int64_t t = d->i, moment;

    if (type == TYPE_TIMESTAMPTZ)
        return t;
    if (type == TYPE_DATE && date_to_timestamp(d->i, &t) != 0)
        return INT64_MAX - 1;
    if (!with_zone || !timestamp_is_finite(t))
        return t;
    if (timestamp_to_timestamptz(call->env, t, &moment) != 0)
        return t < 0 ? INT64_MIN + 1 : INT64_MAX - 1;
    return moment;
}

static inline int
order_moment(struct func_call *call, const struct datum *x, const struct datum *y)
{
    const oid_t *types = call->func->args;
    bool with_zone = types[0] == TYPE_TIMESTAMPTZ || types[1] == TYPE_TIMESTAMPTZ;
    int64_t a = moment_value(call, x, types[0], with_zone);
    int64_t b = moment_value(call, y, types[1], with_zone);

    return a < b ? -1 : a > b;
}

#define CMP_KERNEL(kind, name, test)                                                               \
    int fn_##kind##_##name(struct func_call *call, const struct datum *args, struct datum *out)    \
    {                                                                                              \
        *out = datum_bool(order_##kind(call, &args[0], &args[1]) test 0);                          \
        return 0;                                                                                  \
    }
#define CMP_KERNELS_OF(kind)                                                                       \
    CMP_KERNEL(kind, eq, ==)                                                                       \
    CMP_KERNEL(kind, ne, !=)                                                                       \
    CMP_KERNEL(kind, lt, <)                                                                        \
    CMP_KERNEL(kind, le, <=)                                                                       \
    CMP_KERNEL(kind, gt, >)                                                                        \
    CMP_KERNEL(kind, ge, >=)
CMP_KERNELS_OF(int)
CMP_KERNELS_OF(float)
CMP_KERNELS_OF(bytes)
CMP_KERNELS_OF(bpchar)
CMP_KERNELS_OF(numeric)
CMP_KERNELS_OF(interval)
CMP_KERNELS_OF(array)
CMP_KERNELS_OF(moment)

/* ---- batches ------------------------------------------------------------------------------- */

/* The bits of rows where neither side is null. */
static void
both_valid(const struct vec *const *args, const uint16_t *sel, uint32_t count, struct vec *out)
{
    if (args[0]->valid == NULL && args[1]->valid == NULL) {
        for (uint32_t k = 0; k < count; k++)
            vec_set_valid(out, sel != NULL ? sel[k] : k, true);
        return;
    }
    for (uint32_t k = 0; k < count; k++) {
        uint32_t row = sel != NULL ? sel[k] : k;
        vec_set_valid(out, row, !vec_is_null(args[0], row) && !vec_is_null(args[1], row));
    }
}

/* Entries of null rows are defined memory, so values are compared first and nulls set after. The
 * strides are 0 for a constant. */
#define CMP_BATCH(kind, name, field, test)                                                         \
    int b_##kind##_##name(struct func_call *call, const struct vec *const *args,                   \
                          const uint16_t *sel, uint32_t count, struct vec *out)                    \
    {                                                                                              \
        const uint32_t sx = !args[0]->is_const, sy = !args[1]->is_const;                           \
        (void)call;                                                                                \
        if (sel == NULL) {                                                                         \
            for (uint32_t k = 0; k < count; k++)                                                   \
                out->i[k] = test(args[0]->field[k * sx], args[1]->field[k * sy]);                  \
        } else {                                                                                   \
            for (uint32_t k = 0; k < count; k++)                                                   \
                out->i[sel[k]] = test(args[0]->field[sel[k] * sx], args[1]->field[sel[k] * sy]);   \
        }                                                                                          \
        both_valid(args, sel, count, out);                                                         \
        return 0;                                                                                  \
    }

static inline int
ref_cmp(struct bytes_ref x, struct bytes_ref y)
{
    return slice_cmp(slice(x.p, x.size), slice(y.p, y.size));
}
static inline bool
ref_eq(struct bytes_ref x, struct bytes_ref y)
{
    return x.size == y.size && (x.size == 0 || memcmp(x.p, y.p, x.size) == 0);
}

#define INT_EQ(x, y)   ((x) == (y))
#define INT_NE(x, y)   ((x) != (y))
#define INT_LT(x, y)   ((x) < (y))
#define INT_LE(x, y)   ((x) <= (y))
#define INT_GT(x, y)   ((x) > (y))
#define INT_GE(x, y)   ((x) >= (y))
#define FLOAT_EQ(x, y) (float_cmp((x), (y)) == 0)
#define FLOAT_NE(x, y) (float_cmp((x), (y)) != 0)
#define FLOAT_LT(x, y) (float_cmp((x), (y)) < 0)
#define FLOAT_LE(x, y) (float_cmp((x), (y)) <= 0)
#define FLOAT_GT(x, y) (float_cmp((x), (y)) > 0)
#define FLOAT_GE(x, y) (float_cmp((x), (y)) >= 0)
#define REF_EQ(x, y)   (ref_eq((x), (y)))
#define REF_NE(x, y)   (!ref_eq((x), (y)))
#define REF_LT(x, y)   (ref_cmp((x), (y)) < 0)
#define REF_LE(x, y)   (ref_cmp((x), (y)) <= 0)
#define REF_GT(x, y)   (ref_cmp((x), (y)) > 0)
#define REF_GE(x, y)   (ref_cmp((x), (y)) >= 0)
CMP_BATCH(int, eq, i, INT_EQ)
CMP_BATCH(int, ne, i, INT_NE)
CMP_BATCH(int, lt, i, INT_LT)
CMP_BATCH(int, le, i, INT_LE)
CMP_BATCH(int, gt, i, INT_GT)
CMP_BATCH(int, ge, i, INT_GE)
CMP_BATCH(float, eq, f, FLOAT_EQ)
CMP_BATCH(float, ne, f, FLOAT_NE)
CMP_BATCH(float, lt, f, FLOAT_LT)
CMP_BATCH(float, le, f, FLOAT_LE)
CMP_BATCH(float, gt, f, FLOAT_GT)
CMP_BATCH(float, ge, f, FLOAT_GE)
CMP_BATCH(bytes, eq, b, REF_EQ)
CMP_BATCH(bytes, ne, b, REF_NE)
CMP_BATCH(bytes, lt, b, REF_LT)
CMP_BATCH(bytes, le, b, REF_LE)
CMP_BATCH(bytes, gt, b, REF_GT)
CMP_BATCH(bytes, ge, b, REF_GE)
