/* numeric inside: the unpacked form that arithmetic works on.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TYPES_NUMERIC_INT_H
#define ENGINE_TYPES_NUMERIC_INT_H

#include "engine/types/numeric.h"

enum { NBASE = 10000, DEC_DIGITS = 4, NUMERIC_HEAD_SIZE = 4, NUMERIC_SIG_DIGITS_MIN = 16 };

enum num_sign { NUM_POS = 0, NUM_NEG = 1, NUM_NAN = 2, NUM_PINF = 3, NUM_NINF = 4 };

/* d[0] counts NBASE^weight. Leading and trailing zero digits are allowed; count 0 is zero. Digits
 * lie in an arena, or are borrowed and then not written to. */
struct num {
    enum num_sign sign;
    int weight;
    int dscale;
    int count;
    uint16_t *d;
};

static inline bool
num_is_special(const struct num *n)
{
    return n->sign >= NUM_NAN;
}

/* Any REP_BYTES value of a numeric column: damaged bytes (numeric_check false) read as NaN. */
void num_load(struct arena *a, const struct datum *d, struct num *out);
/* Strips zeros and packs. ERR_NUMERIC_RANGE "value overflows numeric format". */
MUST_CHECK
int num_store(struct arena *a, const struct num *n, struct datum *out);
struct datum num_store_special(struct arena *a, enum num_sign sign);
void num_strip(struct num *n);
void num_from_int(struct arena *a, int64_t v, struct num *out);
/* False when it does not fit. Rounds to an integer first. */
bool num_to_int64(struct arena *a, const struct num *n, int64_t *out);

int num_cmp_abs(const struct num *x, const struct num *y); /* finite ones */
int num_cmp(const struct num *x, const struct num *y);     /* finite ones */
/* All of these take finite numbers; results have new digits in the arena. */
void num_add(struct arena *a, const struct num *x, const struct num *y, struct num *out);
void num_sub(struct arena *a, const struct num *x, const struct num *y, struct num *out);
/* Exact. */
void num_mul(struct arena *a, const struct num *x, const struct num *y, struct num *out);
/* To rscale digits after the point, rounded or cut. y is not zero. */
void num_div(struct arena *a, const struct num *x, const struct num *y, int rscale, bool round,
             struct num *out);
int num_div_scale(const struct num *x, const struct num *y);
void num_mod(struct arena *a, const struct num *x, const struct num *y, struct num *out);
void num_round(struct arena *a, struct num *n, int rscale); /* half away from zero; negative too */
void num_trunc(struct num *n, int rscale);
/* The root of x > 0 to rscale digits, stored. */
MUST_CHECK
int num_sqrt_scaled(struct arena *a, const struct num *x, int rscale, struct datum *out);
MUST_CHECK
int num_parse(struct arena *a, struct slice text, struct num *out);

#endif
