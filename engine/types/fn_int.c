/* Integer kernels. Results are checked against the range of the entry's result type.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/types/func_int.h"

static int
int_range(oid_t type)
{
    return DIAG(ERR_NUMERIC_RANGE, "%s out of range", type_sql_name(type));
}

static inline bool
int_fits(oid_t type, int64_t v)
{
    return type == TYPE_INT8   ? true
           : type == TYPE_INT4 ? v == (int32_t)v
           : type == TYPE_INT2 ? v == (int16_t)v
                               : v >= 0 && v <= UINT32_MAX;
}

static int
int_result(struct func_call *call, bool overflow, int64_t v, struct datum *out)
{
    oid_t type = call->func->result;

    if (overflow || !int_fits(type, v))
        return int_range(type);
    *out = datum_int(v);
    return 0;
}

int
fn_same(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = args[0];
    return 0;
}

int
fn_int_add(struct func_call *call, const struct datum *args, struct datum *out)
{
    int64_t v;
    bool overflow = __builtin_add_overflow(args[0].i, args[1].i, &v);

    return int_result(call, overflow, v, out);
}

int
fn_int_sub(struct func_call *call, const struct datum *args, struct datum *out)
{
    int64_t v;
    bool overflow = __builtin_sub_overflow(args[0].i, args[1].i, &v);

    return int_result(call, overflow, v, out);
}

int
fn_int_mul(struct func_call *call, const struct datum *args, struct datum *out)
{
    int64_t v;
    bool overflow = __builtin_mul_overflow(args[0].i, args[1].i, &v);

    return int_result(call, overflow, v, out);
}

int
fn_int_div(struct func_call *call, const struct datum *args, struct datum *out)
{
    if (args[1].i == 0)
        return DIAG(ERR_DIVISION_BY_ZERO, "division by zero");
    if (args[0].i == INT64_MIN && args[1].i == -1)
        return int_range(call->func->result);
    return int_result(call, false, args[0].i / args[1].i, out);
}

int
fn_int_mod(struct func_call *call, const struct datum *args, struct datum *out)
{
    if (args[1].i == 0)
        return DIAG(ERR_DIVISION_BY_ZERO, "division by zero");
    return int_result(call, false, args[1].i == -1 ? 0 : args[0].i % args[1].i, out);
}

int
fn_int_abs(struct func_call *call, const struct datum *args, struct datum *out)
{
    int64_t v = args[0].i;

    return int_result(call, v == INT64_MIN, v < 0 && v != INT64_MIN ? -v : v, out);
}

int
fn_int_neg(struct func_call *call, const struct datum *args, struct datum *out)
{
    int64_t v;
    bool overflow = __builtin_sub_overflow((int64_t)0, args[0].i, &v);

    return int_result(call, overflow, v, out);
}

int
fn_int_and(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = datum_int(args[0].i & args[1].i);
    return 0;
}

int
fn_int_or(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = datum_int(args[0].i | args[1].i);
    return 0;
}

int
fn_int_xor(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = datum_int(args[0].i ^ args[1].i);
    return 0;
}

int
fn_int_not(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = datum_int(~args[0].i);
    return 0;
}

/* Shifts go round at the width of the machine's register, as they do in PostgreSQL. */
int
fn_int_shl(struct func_call *call, const struct datum *args, struct datum *out)
{
    uint64_t v = (uint64_t)args[0].i;

    if (call->func->result == TYPE_INT8)
        v <<= args[1].i & 63;
    else
        v <<= args[1].i & 31;
    *out = datum_int(call->func->result == TYPE_INT8   ? (int64_t)v
                     : call->func->result == TYPE_INT4 ? (int32_t)v
                                                       : (int16_t)v);
    return 0;
}

int
fn_int_shr(struct func_call *call, const struct datum *args, struct datum *out)
{
    *out = datum_int(args[0].i >> (args[1].i & (call->func->result == TYPE_INT8 ? 63 : 31)));
    return 0;
}

static uint64_t
gcd_u64(uint64_t x, uint64_t y)
{
    while (y != 0) {
        uint64_t r = x % y;
        x = y;
        y = r;
    }
    return x;
}

static uint64_t
magnitude(int64_t v)
{
    return v < 0 ? -(uint64_t)v : (uint64_t)v;
}

int
fn_int_gcd(struct func_call *call, const struct datum *args, struct datum *out)
{
    uint64_t v = gcd_u64(magnitude(args[0].i), magnitude(args[1].i));

    return int_result(call, v > INT64_MAX, (int64_t)v, out);
}

int
fn_int_lcm(struct func_call *call, const struct datum *args, struct datum *out)
{
    uint64_t x = magnitude(args[0].i), y = magnitude(args[1].i), v;

    if (x == 0 || y == 0) {
        *out = datum_int(0);
        return 0;
    }
    if (__builtin_mul_overflow(x / gcd_u64(x, y), y, &v))
        return int_range(call->func->result);
    return int_result(call, v > INT64_MAX, (int64_t)v, out);
}

int
fn_to_hex(struct func_call *call, const struct datum *args, struct datum *out)
{
    char *buf = arena_alloc(call->arena, 20);
    uint64_t v = (uint64_t)args[0].i;

    if (call->func->args[0] == TYPE_INT4)
        v = (uint32_t)v;
    *out = datum_bytes(buf, (size_t)snprintf(buf, 20, "%llx", (unsigned long long)v));
    return 0;
}

/* ---- casts --------------------------------------------------------------------------------- */

/* Between integer widths, both ways. */
int
fn_int_narrow(struct func_call *call, const struct datum *args, struct datum *out)
{
    return int_result(call, false, args[0].i, out);
}

/* An int4 or int2 keeps its 32 bits; an int8 must be in range. */
int
fn_int_to_oid(struct func_call *call, const struct datum *args, struct datum *out)
{
    if (call->func->args[0] == TYPE_INT8) {
        if (args[0].i < 0 || args[0].i > UINT32_MAX)
            return DIAG(ERR_NUMERIC_RANGE, "OID out of range");
        *out = args[0];
    } else {
        *out = datum_int((uint32_t)args[0].i);
    }
    return 0;
}

int
fn_oid_to_int4(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = datum_int((int32_t)args[0].i);
    return 0;
}

int
fn_int_to_float(struct func_call *call, const struct datum *args, struct datum *out)
{
    *out = datum_float(call->func->result == TYPE_FLOAT4 ? (double)(float)args[0].i
                                                         : (double)args[0].i);
    return 0;
}

int
fn_int_to_bool(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = datum_bool(args[0].i != 0);
    return 0;
}

int
fn_bool_to_int(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = datum_int(args[0].i);
    return 0;
}

int
fn_bool_to_text(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = datum_slice(slice_str(args[0].i ? "true" : "false"));
    return 0;
}

int
fn_char_to_int4(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = datum_int((int8_t)args[0].i);
    return 0;
}

int
fn_int4_to_char(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    if (args[0].i < INT8_MIN || args[0].i > INT8_MAX)
        return DIAG(ERR_NUMERIC_RANGE, "\"char\" out of range");
    *out = datum_int((uint8_t)args[0].i);
    return 0;
}

/* ---- batches ------------------------------------------------------------------------------- */

/* Rows with a null never fail, whatever their entries hold. */
#define INT_BATCH(name, builtin)                                                                   \
    int b_int_##name(struct func_call *call, const struct vec *const *args, const uint16_t *sel,   \
                     uint32_t count, struct vec *out)                                              \
    {                                                                                              \
        const uint32_t sx = !args[0]->is_const, sy = !args[1]->is_const;                           \
        const oid_t type = call->func->result;                                                     \
        for (uint32_t k = 0; k < count; k++) {                                                     \
            uint32_t row = sel != NULL ? sel[k] : k;                                               \
            bool is_valid = !vec_is_null(args[0], row) && !vec_is_null(args[1], row);              \
            int64_t v;                                                                             \
            bool bad = builtin(args[0]->i[row * sx], args[1]->i[row * sy], &v);                    \
            if (is_valid && (bad || !int_fits(type, v)))                                           \
                return int_range(type);                                                            \
            out->i[row] = v;                                                                       \
            vec_set_valid(out, row, is_valid);                                                     \
        }                                                                                          \
        return 0;                                                                                  \
    }
INT_BATCH(add, __builtin_add_overflow)
INT_BATCH(sub, __builtin_sub_overflow)
INT_BATCH(mul, __builtin_mul_overflow)
