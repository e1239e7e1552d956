/* Kernels of numeric.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "engine/types/func_int.h"
#include "engine/types/numeric_int.h"

#define NUMERIC_2(name)                                                                            \
    int fn_numeric_##name(struct func_call *call, const struct datum *args, struct datum *out)     \
    {                                                                                              \
        return numeric_##name(call->arena, &args[0], &args[1], out);                               \
    }
#define NUMERIC_1(name)                                                                            \
    int fn_numeric_##name(struct func_call *call, const struct datum *args, struct datum *out)     \
    {                                                                                              \
        return numeric_##name(call->arena, &args[0], out);                                         \
    }
NUMERIC_2(add)
NUMERIC_2(sub)
NUMERIC_2(mul)
NUMERIC_2(div)
NUMERIC_2(mod)
NUMERIC_2(div_trunc)
NUMERIC_2(power)
NUMERIC_2(log)
NUMERIC_1(ceil)
NUMERIC_1(floor)
NUMERIC_1(sqrt)
NUMERIC_1(exp)
NUMERIC_1(ln)

int
fn_numeric_abs(struct func_call *call, const struct datum *args, struct datum *out)
{
    *out = numeric_abs(call->arena, &args[0]);
    return 0;
}

int
fn_numeric_neg(struct func_call *call, const struct datum *args, struct datum *out)
{
    *out = numeric_neg(call->arena, &args[0]);
    return 0;
}

int
fn_numeric_sign(struct func_call *call, const struct datum *args, struct datum *out)
{
    *out =
        numeric_is_nan(&args[0]) ? args[0] : numeric_from_int(call->arena, numeric_sign(&args[0]));
    return 0;
}

int
fn_numeric_round(struct func_call *call, const struct datum *args, struct datum *out)
{
    return numeric_round(call->arena, &args[0], call->arg_count > 1 ? (int)args[1].i : 0, out);
}

int
fn_numeric_trunc(struct func_call *call, const struct datum *args, struct datum *out)
{
    return numeric_trunc(call->arena, &args[0], call->arg_count > 1 ? (int)args[1].i : 0, out);
}

int
fn_numeric_log10(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct datum ten = numeric_from_int(call->arena, 10);

    return numeric_log(call->arena, &ten, &args[0], out);
}

int
fn_numeric_scale(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = numeric_is_special(&args[0]) ? datum_null() : datum_int(numeric_scale(&args[0]));
    return 0;
}

/* The least scale that keeps the value. */
static int
least_scale(struct arena *a, const struct datum *d)
{
    struct num n;
    int scale, last;

    num_load(a, d, &n);
    num_strip(&n);
    if (n.count == 0)
        return 0;
    scale = (n.count - n.weight - 1) * DEC_DIGITS;
    for (last = n.d[n.count - 1]; scale > 0 && last % 10 == 0; last /= 10)
        scale--;
    return scale < 0 ? 0 : scale;
}

int
fn_numeric_min_scale(struct func_call *call, const struct datum *args, struct datum *out)
{
    *out =
        numeric_is_special(&args[0]) ? datum_null() : datum_int(least_scale(call->arena, &args[0]));
    return 0;
}

int
fn_numeric_trim_scale(struct func_call *call, const struct datum *args, struct datum *out)
{
    *out = args[0];
    if (numeric_is_special(&args[0]))
        return 0;
    return numeric_trunc(call->arena, &args[0], least_scale(call->arena, &args[0]), out);
}

/* ---- casts --------------------------------------------------------------------------------- */

int
fn_int_to_numeric(struct func_call *call, const struct datum *args, struct datum *out)
{
    *out = numeric_from_int(call->arena, args[0].i);
    return 0;
}

int
fn_float_to_numeric(struct func_call *call, const struct datum *args, struct datum *out)
{
    return numeric_from_float(call->arena, args[0].f, call->func->args[0] == TYPE_FLOAT4 ? 6 : 15,
                              out);
}

int
fn_numeric_to_int(struct func_call *call, const struct datum *args, struct datum *out)
{
    oid_t type = call->func->result;
    int64_t min = type == TYPE_INT2 ? INT16_MIN : type == TYPE_INT4 ? INT32_MIN : INT64_MIN;
    int64_t max = type == TYPE_INT2 ? INT16_MAX : type == TYPE_INT4 ? INT32_MAX : INT64_MAX, v = 0;
    int rc = numeric_to_int(&args[0], min, max, type_sql_name(type), &v);

    *out = datum_int(v);
    return rc;
}

int
fn_numeric_to_float(struct func_call *call, const struct datum *args, struct datum *out)
{
    bool is_single = call->func->result == TYPE_FLOAT4;
    double v = numeric_to_float(&args[0]);

    if (!numeric_is_special(&args[0])) {
        if (is_single)
            v = (double)(float)v;
        if (isinf(v) || (v == 0 && numeric_sign(&args[0]) != 0))
            return DIAG(ERR_NUMERIC_RANGE, "\"%.100s\" is out of range for type %s",
                        type_out_str(TYPE_NUMERIC, NULL, call->arena, &args[0]),
                        type_sql_name(call->func->result));
    }
    *out = datum_float(v);
    return 0;
}

/* width_bucket(operand, low, high, count) over float8. */
int
fn_width_bucket(struct func_call *call, const struct datum *args, struct datum *out)
{
    double x = args[0].f, low = args[1].f, high = args[2].f;
    int64_t count = args[3].i, bucket;

    (void)call;
    if (count <= 0)
        return DIAG(ERR_INVALID_WIDTH_BUCKET, "count must be greater than zero");
    if (isnan(x) || isnan(low) || isnan(high))
        return DIAG(ERR_INVALID_WIDTH_BUCKET,
                    "operand, lower bound, and upper bound cannot be NaN");
    if (isinf(low) || isinf(high))
        return DIAG(ERR_INVALID_WIDTH_BUCKET, "lower and upper bounds must be finite");
    if (low == high)
        return DIAG(ERR_INVALID_WIDTH_BUCKET, "lower bound cannot equal upper bound");
    if (low < high)
        bucket = x < low     ? 0
                 : x >= high ? count + 1
                             : (int64_t)((double)count * ((x - low) / (high - low))) + 1;
    else
        bucket = x > low     ? 0
                 : x <= high ? count + 1
                             : (int64_t)((double)count * ((low - x) / (low - high))) + 1;
    if (bucket > INT32_MAX)
        return DIAG(ERR_NUMERIC_RANGE, "integer out of range");
    *out = datum_int(bucket);
    return 0;
}
