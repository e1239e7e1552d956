/* The kernels that the function tables name. A kernel serves many entries: it asks the call for
 * the types where it must.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TYPES_FUNC_INT_H
#define ENGINE_TYPES_FUNC_INT_H

#include "engine/types/func.h"
#include "engine/types/type_int.h"

/* Argument types in table rows. */
enum {
    BOOL = TYPE_BOOL,
    BYTEA = TYPE_BYTEA,
    CHAR = TYPE_CHAR,
    NAME = TYPE_NAME,
    INT8 = TYPE_INT8,
    INT2 = TYPE_INT2,
    INT4 = TYPE_INT4,
    TEXT = TYPE_TEXT,
    OID = TYPE_OID,
    XID = TYPE_XID,
    XID8 = TYPE_XID8,
    OIDVECTOR = TYPE_OIDVECTOR,
    FLOAT4 = TYPE_FLOAT4,
    FLOAT8 = TYPE_FLOAT8,
    BPCHAR = TYPE_BPCHAR,
    VARCHAR = TYPE_VARCHAR,
    DATE = TYPE_DATE,
    TIME = TYPE_TIME,
    TIMESTAMP = TYPE_TIMESTAMP,
    TIMESTAMPTZ = TYPE_TIMESTAMPTZ,
    INTERVAL = TYPE_INTERVAL,
    NUMERIC = TYPE_NUMERIC,
    REGCLASS = TYPE_REGCLASS,
    REGTYPE = TYPE_REGTYPE,
    ANY = TYPE_ANY,
    ANYARRAY = TYPE_ANYARRAY,
    ANYELEMENT = TYPE_ANYELEMENT,
    ANYNONARRAY = TYPE_ANYNONARRAY,
    ANYCOMPATIBLE = TYPE_ANYCOMPATIBLE,
    ANYCOMPATIBLEARRAY = TYPE_ANYCOMPATIBLEARRAY,
    VOID = TYPE_VOID,
    TEXT_ARRAY = TYPE_TEXT_ARRAY,
    S = FUNC_STRICT,
    ST = FUNC_STABLE,
    VO = FUNC_VOLATILE,
    SET = FUNC_SET,
    VAR = FUNC_VARIADIC,
};

/* OID, name, flags, result, kernel, batch kernel, argument types. */
#define F(oid_, name_, flags_, result_, fn_, batch_, ...)                                          \
    {                                                                                              \
        .oid = oid_, .name = name_, .flags = flags_, .result = result_, .fn = fn_,                 \
        .batch = batch_, .args = { __VA_ARGS__ },                                                  \
        .arg_count = sizeof((oid_t[]){ __VA_ARGS__ }) / sizeof(oid_t),                             \
    }
/* An aggregate: OID, name, flags, result, how it works, argument types. */
#define A(oid_, name_, flags_, result_, agg_, ...)                                                 \
    {                                                                                              \
        .oid = oid_, .name = name_, .flags = flags_, .result = result_, .agg = &agg_,              \
        .args = { __VA_ARGS__ }, .arg_count = sizeof((oid_t[]){ __VA_ARGS__ }) / sizeof(oid_t),    \
    }
#define FUNC_SET_OF(table) .funcs = table, .func_count = sizeof table / sizeof table[0]

extern const struct func_set func_set_number, func_set_text, func_set_date, func_set_other;

/* fn_cmp.c */
#define CMP_KERNELS(kind)                                                                          \
    fn_##kind##_eq, fn_##kind##_ne, fn_##kind##_lt, fn_##kind##_le, fn_##kind##_gt, fn_##kind##_ge
func_fn CMP_KERNELS(int), CMP_KERNELS(float), CMP_KERNELS(bytes), CMP_KERNELS(bpchar),
    CMP_KERNELS(numeric), CMP_KERNELS(interval), CMP_KERNELS(array), CMP_KERNELS(moment);
func_fn fn_larger, fn_smaller;
#define CMP_BATCHES(kind)                                                                          \
    b_##kind##_eq, b_##kind##_ne, b_##kind##_lt, b_##kind##_le, b_##kind##_gt, b_##kind##_ge
func_batch_fn CMP_BATCHES(int), CMP_BATCHES(float), CMP_BATCHES(bytes);

/* fn_int.c, fn_float.c, fn_numeric.c */
func_fn fn_same, fn_int_add, fn_int_sub, fn_int_mul, fn_int_div, fn_int_mod, fn_int_abs, fn_int_neg,
    fn_int_and, fn_int_or, fn_int_xor, fn_int_not, fn_int_shl, fn_int_shr, fn_int_gcd, fn_int_lcm,
    fn_to_hex, fn_int_narrow, fn_int_to_oid, fn_oid_to_int4, fn_int_to_float, fn_int_to_bool,
    fn_bool_to_int, fn_bool_to_text, fn_char_to_int4, fn_int4_to_char;
func_batch_fn b_int_add, b_int_sub, b_int_mul;
func_fn fn_float_add, fn_float_sub, fn_float_mul, fn_float_div, fn_float_abs, fn_float_neg,
    fn_float_math, fn_float_power, fn_float_sqrt, fn_float_exp, fn_float_ln, fn_float_log10,
    fn_float_sign, fn_float_atan2, fn_float_pi, fn_float_to_int, fn_float_to_float4, fn_random,
    fn_setseed;
func_batch_fn b_float_add, b_float_sub, b_float_mul, b_float_div;
func_fn fn_numeric_add, fn_numeric_sub, fn_numeric_mul, fn_numeric_div, fn_numeric_mod,
    fn_numeric_div_trunc, fn_numeric_power, fn_numeric_abs, fn_numeric_neg, fn_numeric_sign,
    fn_numeric_round, fn_numeric_trunc, fn_numeric_ceil, fn_numeric_floor, fn_numeric_sqrt,
    fn_numeric_exp, fn_numeric_ln, fn_numeric_log, fn_numeric_log10, fn_numeric_scale,
    fn_numeric_min_scale, fn_numeric_trim_scale, fn_int_to_numeric, fn_float_to_numeric,
    fn_numeric_to_int, fn_numeric_to_float, fn_width_bucket;

/* fn_text.c, fn_text_more.c, fn_like.c, fn_regex.c */
func_fn fn_text_length, fn_bpchar_length, fn_octet_length, fn_bit_length, fn_lower, fn_upper,
    fn_initcap, fn_substring, fn_strpos, fn_trim_both, fn_trim_left, fn_trim_right, fn_replace,
    fn_textcat, fn_text_any_cat, fn_concat, fn_concat_ws, fn_left, fn_right, fn_lpad, fn_rpad,
    fn_repeat, fn_reverse, fn_split_part, fn_starts_with, fn_md5, fn_chr, fn_ascii, fn_quote_ident,
    fn_quote_literal, fn_quote_nullable, fn_format, fn_translate, fn_overlay, fn_encode, fn_decode,
    fn_sha256, fn_byteacat, fn_bpchar_to_text, fn_bpchar_to_name, fn_text_to_name, fn_char_to_text,
    fn_text_to_char, fn_text_to_regclass, fn_string_to_array;
func_fn fn_like, fn_not_like, fn_ilike, fn_not_ilike, fn_like_escape, fn_regex, fn_not_regex,
    fn_iregex, fn_not_iregex, fn_regexp_replace, fn_regexp_match, fn_substring_regex,
    fn_regexp_like, fn_regexp_count;
func_batch_fn b_like, b_not_like;

/* fn_date.c, fn_date_part.c, fn_interval.c, to_char.c */
func_fn fn_now, fn_statement_time, fn_clock_time, fn_date_minus, fn_date_plus_int,
    fn_date_minus_int, fn_int_plus_date, fn_moment_plus_interval, fn_interval_plus_moment,
    fn_moment_minus_interval, fn_timestamp_minus, fn_time_minus, fn_time_plus_interval,
    fn_interval_plus_time, fn_time_minus_interval, fn_interval_add, fn_interval_sub,
    fn_interval_neg, fn_interval_mul, fn_mul_interval, fn_interval_div, fn_justify_days,
    fn_justify_hours, fn_justify_interval, fn_isfinite, fn_date_part, fn_extract, fn_date_trunc,
    fn_date_trunc_interval, fn_age, fn_age_today, fn_make_date, fn_make_time, fn_make_timestamp,
    fn_moment_cast, fn_moment_to_time, fn_time_to_interval, fn_interval_to_time, fn_timezone,
    fn_to_timestamp, fn_to_char_moment, fn_to_char_number, fn_date_plus_time, fn_date_bin;

/* fn_array.c */
func_fn fn_array_length, fn_array_upper, fn_array_lower, fn_array_ndims, fn_cardinality,
    fn_array_to_string, fn_array_cat, fn_array_position, fn_num_nulls, fn_num_nonnulls,
    fn_format_type, fn_pg_typeof;

/* agg_*.c */
extern const struct agg agg_count, agg_count_any, agg_sum_int, agg_sum_int8, agg_sum_float,
    agg_sum_numeric, agg_sum_interval, agg_avg_int, agg_avg_float, agg_avg_numeric,
    agg_avg_interval, agg_min, agg_max, agg_bool_and, agg_bool_or, agg_bit_and, agg_bit_or,
    agg_string_agg, agg_array_agg, agg_var_pop_float, agg_var_samp_float, agg_stddev_pop_float,
    agg_stddev_samp_float, agg_var_pop, agg_var_samp, agg_stddev_pop, agg_stddev_samp;

/* An owned copy of text built in a writer. */
MUST_CHECK
int text_from_writer(struct func_call *call, struct writer *w, struct datum *out);
/* Room for a result, or NULL with ERR_NOMEM or ERR_LIMIT recorded. */
uint8_t *text_room(struct func_call *call, size_t size);

#endif
