/* Floating-point kernels, with PostgreSQL's checks for overflow and underflow.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "engine/types/func_int.h"

static int
float_overflow(void)
{
    return DIAG(ERR_NUMERIC_RANGE, "value out of range: overflow");
}

static int
float_underflow(void)
{
    return DIAG(ERR_NUMERIC_RANGE, "value out of range: underflow");
}

static inline double
to_result(oid_t type, double v)
{
    return type == TYPE_FLOAT4 ? (double)(float)v : v;
}

enum float_op { FLOAT_ADD, FLOAT_SUB, FLOAT_MUL, FLOAT_DIV };

static inline int
float_arith(oid_t type, enum float_op op, double x, double y, double *out)
{
    double v;

    switch (op) {
    case FLOAT_ADD:
        v = x + y;
        break;
    case FLOAT_SUB:
        v = x - y;
        break;
    case FLOAT_MUL:
        v = x * y;
        break;
    default:
        if (y == 0 && !isnan(x))
            return DIAG(ERR_DIVISION_BY_ZERO, "division by zero");
        v = x / y;
    }
    v = to_result(type, v);
    if (isinf(v) && !isinf(x) && !isinf(y))
        return float_overflow();
    if (v == 0 && x != 0 && ((op == FLOAT_MUL && y != 0) || (op == FLOAT_DIV && !isinf(y))))
        return float_underflow();
    *out = v;
    return 0;
}

#define FLOAT_KERNELS(name, op)                                                                    \
    int fn_float_##name(struct func_call *call, const struct datum *args, struct datum *out)       \
    {                                                                                              \
        *out = datum_float(0);                                                                     \
        return float_arith(call->func->result, op, args[0].f, args[1].f, &out->f);                 \
    }                                                                                              \
    int b_float_##name(struct func_call *call, const struct vec *const *args, const uint16_t *sel, \
                       uint32_t count, struct vec *out)                                            \
    {                                                                                              \
        const uint32_t sx = !args[0]->is_const, sy = !args[1]->is_const;                           \
        for (uint32_t k = 0; k < count; k++) {                                                     \
            uint32_t row = sel != NULL ? sel[k] : k;                                               \
            bool is_valid = !vec_is_null(args[0], row) && !vec_is_null(args[1], row);              \
            out->f[row] = 0;                                                                       \
            if (is_valid) {                                                                        \
                int rc = float_arith(call->func->result, op, args[0]->f[row * sx],                 \
                                     args[1]->f[row * sy], &out->f[row]);                          \
                if (rc != 0)                                                                       \
                    return rc;                                                                     \
            }                                                                                      \
            vec_set_valid(out, row, is_valid);                                                     \
        }                                                                                          \
        return 0;                                                                                  \
    }
FLOAT_KERNELS(add, FLOAT_ADD)
FLOAT_KERNELS(sub, FLOAT_SUB)
FLOAT_KERNELS(mul, FLOAT_MUL)
FLOAT_KERNELS(div, FLOAT_DIV)

int
fn_float_abs(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = datum_float(fabs(args[0].f));
    return 0;
}

int
fn_float_neg(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = datum_float(-args[0].f);
    return 0;
}

/* Functions of one argument that need no care of their own, by name. */
int
fn_float_math(struct func_call *call, const struct datum *args, struct datum *out)
{
    static const struct {
        const char *name;
        double (*fn)(double);
        bool is_bounded; /* the argument must lie in [-1, 1] */
    } table[] = {
        { "round", rint, false },   { "trunc", trunc, false }, { "ceil", ceil, false },
        { "ceiling", ceil, false }, { "floor", floor, false }, { "cbrt", cbrt, false },
        { "sin", sin, false },      { "cos", cos, false },     { "tan", tan, false },
        { "asin", asin, true },     { "acos", acos, true },    { "atan", atan, false },
        { "sinh", sinh, false },    { "cosh", cosh, false },   { "tanh", tanh, false },
        { "dcbrt", cbrt, false },
    };
    double x = args[0].f;

    if (strcmp(call->func->name, "degrees") == 0) {
        *out = datum_float(x / (M_PI / 180.0));
    } else if (strcmp(call->func->name, "radians") == 0) {
        *out = datum_float(x * (M_PI / 180.0));
    } else if (strcmp(call->func->name, "cot") == 0) {
        if (isinf(x))
            return DIAG(ERR_NUMERIC_RANGE, "input is out of range");
        *out = datum_float(1.0 / tan(x)); /* infinite at 0 */
        return 0;
    } else {
        size_t i = 0;
        while (strcmp(table[i].name, call->func->name) != 0)
            i++;
        if ((table[i].is_bounded && (x < -1 || x > 1)) ||
            (isinf(x) && (table[i].fn == sin || table[i].fn == cos || table[i].fn == tan)))
            return DIAG(ERR_NUMERIC_RANGE, "input is out of range");
        *out = datum_float(table[i].fn(x));
    }
    if (isinf(out->f) && !isinf(x))
        return float_overflow();
    return 0;
}

int
fn_float_atan2(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = datum_float(atan2(args[0].f, args[1].f));
    return 0;
}

int
fn_float_pi(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call, (void)args;
    *out = datum_float(M_PI);
    return 0;
}

int
fn_float_sign(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = datum_float(args[0].f > 0 ? 1 : args[0].f < 0 ? -1 : 0);
    return 0;
}

int
fn_float_sqrt(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    if (args[0].f < 0)
        return DIAG(ERR_INVALID_POWER_ARGUMENT, "cannot take square root of a negative number");
    *out = datum_float(sqrt(args[0].f));
    return 0;
}

int
fn_float_exp(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = datum_float(exp(args[0].f));
    if (isinf(out->f) && !isinf(args[0].f))
        return float_overflow();
    if (out->f == 0 && !isinf(args[0].f))
        return float_underflow();
    return 0;
}

static int
float_log(double x, double (*fn)(double), struct datum *out)
{
    if (x == 0)
        return DIAG(ERR_INVALID_LOG_ARGUMENT, "cannot take logarithm of zero");
    if (x < 0)
        return DIAG(ERR_INVALID_LOG_ARGUMENT, "cannot take logarithm of a negative number");
    *out = datum_float(fn(x));
    return 0;
}

int
fn_float_ln(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    return float_log(args[0].f, log, out);
}

int
fn_float_log10(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    return float_log(args[0].f, log10, out);
}

int
fn_float_power(struct func_call *call, const struct datum *args, struct datum *out)
{
    double x = args[0].f, y = args[1].f, v;

    (void)call;
    if (x == 0 && y < 0)
        return DIAG(ERR_INVALID_POWER_ARGUMENT, "zero raised to a negative power is undefined");
    if (x < 0 && floor(y) != y && !isnan(y))
        return DIAG(ERR_INVALID_POWER_ARGUMENT,
                    "a negative number raised to a non-integer power yields a complex result");
    v = pow(x, y);
    if (isinf(v) && !isinf(x) && !isinf(y))
        return float_overflow();
    if (v == 0 && x != 0 && !isinf(x) && !isinf(y))
        return float_underflow();
    *out = datum_float(v);
    return 0;
}

/* ---- casts --------------------------------------------------------------------------------- */

int
fn_float_to_int(struct func_call *call, const struct datum *args, struct datum *out)
{
    double v = rint(args[0].f);
    oid_t type = call->func->result;
    double limit = type == TYPE_INT2 ? 0x1p15 : type == TYPE_INT4 ? 0x1p31 : 0x1p63;

    if (isnan(v) || v < -limit || v >= limit)
        return DIAG(ERR_NUMERIC_RANGE, "%s out of range", type_sql_name(type));
    *out = datum_int((int64_t)v);
    return 0;
}

int
fn_float_to_float4(struct func_call *call, const struct datum *args, struct datum *out)
{
    double v = args[0].f;

    (void)call;
    *out = datum_float((double)(float)v);
    if (isinf(out->f) && !isinf(v))
        return float_overflow();
    if (out->f == 0 && v != 0)
        return float_underflow();
    return 0;
}

/* ---- chance -------------------------------------------------------------------------------- */

int
fn_random(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)args;
    if (call->env == NULL || call->env->random == NULL)
        return DIAG(ERR_NOT_SUPPORTED, "random() is not available here");
    *out = datum_float((double)(call->env->random(call->env->arg) >> 11) * 0x1p-53);
    return 0;
}

int
fn_setseed(struct func_call *call, const struct datum *args, struct datum *out)
{
    double seed = args[0].f;

    if (isnan(seed) || seed < -1 || seed > 1)
        return DIAG(ERR_INVALID_PARAMETER_VALUE,
                    "setseed parameter %g is out of allowed range [-1,1]", seed);
    if (call->env == NULL || call->env->random_seed == NULL)
        return DIAG(ERR_NOT_SUPPORTED, "setseed() is not available here");
    call->env->random_seed(call->env->arg, seed);
    *out = datum_int(0);
    return 0;
}
