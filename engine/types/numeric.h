/* numeric: decimal numbers with PostgreSQL's results, scales, limits and messages.
 *
 * The stored value (REP_BYTES), little-endian:
 *   u16   sign and display scale: bits 0-13 scale (0 .. 16383), bits 14-15: 0 positive, 1 negative,
 *         3 special
 *   i16   weight: the first digit counts 10000^weight; of special values 0: NaN, 1: +Infinity,
 *         -1: -Infinity
 *   u16 … digits in base 10000, most significant first; neither the first nor the last is 0; none
 *         for zero
 * One value of a given scale has one form. numeric_check() is the validity rule.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TYPES_NUMERIC_H
#define ENGINE_TYPES_NUMERIC_H

#include "engine/types/datum.h"

struct arena;

enum {
    NUMERIC_PRECISION_MAX = 1000,
    NUMERIC_SCALE_MAX = 1000, /* of a declared type; may be negative down to -1000 */
    NUMERIC_DISPLAY_SCALE_MAX = 16383,
    NUMERIC_WEIGHT_MAX = 32767,
};

bool numeric_check(struct slice bytes); /* true: a valid stored value */

MUST_CHECK
int numeric_from_str(struct arena *a, struct slice text, struct datum *out);
void numeric_to_str(const struct datum *d, struct writer *w);
struct datum numeric_from_int(struct arena *a, int64_t v);
struct datum numeric_from_int128(struct arena *a, __int128 v, int scale); /* v / 10^scale */
MUST_CHECK
int numeric_from_float(struct arena *a, double v, int digits, struct datum *out);
/* Rounded half away from zero. ERR_NUMERIC_RANGE names `type` ("integer"). */
MUST_CHECK
int numeric_to_int(const struct datum *d, int64_t min, int64_t max, const char *type, int64_t *out);
double numeric_to_float(const struct datum *d); /* may be ±inf when out of range, or NaN */

int numeric_cmp(const struct datum *a, const struct datum *b); /* NaN = NaN, greatest */
uint64_t numeric_hash(const struct datum *d);
bool numeric_is_nan(const struct datum *d);
bool numeric_is_special(const struct datum *d); /* NaN or infinite */
int numeric_sign(const struct datum *d);        /* -1, 0, 1; NaN: 0 */
int numeric_scale(const struct datum *d);

MUST_CHECK
int numeric_add(struct arena *a, const struct datum *x, const struct datum *y, struct datum *out);
MUST_CHECK
int numeric_sub(struct arena *a, const struct datum *x, const struct datum *y, struct datum *out);
MUST_CHECK
int numeric_mul(struct arena *a, const struct datum *x, const struct datum *y, struct datum *out);
MUST_CHECK
int numeric_div(struct arena *a, const struct datum *x, const struct datum *y, struct datum *out);
MUST_CHECK
int numeric_div_trunc(struct arena *a, const struct datum *x, const struct datum *y,
                      struct datum *out);
MUST_CHECK
int numeric_mod(struct arena *a, const struct datum *x, const struct datum *y, struct datum *out);
struct datum numeric_neg(struct arena *a, const struct datum *x);
struct datum numeric_abs(struct arena *a, const struct datum *x);
MUST_CHECK
int numeric_round(struct arena *a, const struct datum *x, int scale, struct datum *out);
MUST_CHECK
int numeric_trunc(struct arena *a, const struct datum *x, int scale, struct datum *out);
MUST_CHECK
int numeric_ceil(struct arena *a, const struct datum *x, struct datum *out);
MUST_CHECK
int numeric_floor(struct arena *a, const struct datum *x, struct datum *out);
MUST_CHECK
int numeric_sqrt(struct arena *a, const struct datum *x, struct datum *out);
MUST_CHECK
int numeric_exp(struct arena *a, const struct datum *x, struct datum *out);
MUST_CHECK
int numeric_ln(struct arena *a, const struct datum *x, struct datum *out);
MUST_CHECK
int numeric_log(struct arena *a, const struct datum *base, const struct datum *x,
                struct datum *out);
MUST_CHECK
int numeric_power(struct arena *a, const struct datum *x, const struct datum *y, struct datum *out);
/* numeric(p,s): rounds, and ERR_NUMERIC_RANGE "numeric field overflow". typmod as PostgreSQL's. */
MUST_CHECK
int numeric_apply_typmod(struct arena *a, int32_t typmod, const struct datum *x, struct datum *out);

#endif
