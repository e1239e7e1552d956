/* Random values of every SQL type, from a seed: the edges of each type are likely.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_TYPES_RANDOM_H
#define TESTS_SUPPORT_TYPES_RANDOM_H

#include "engine/types/type.h"

struct rng {
    uint64_t state;
};
uint64_t rng_u64(struct rng *r);
uint32_t rng_below(struct rng *r, uint32_t n); /* 0 .. n-1 */
bool rng_one_in(struct rng *r, uint32_t n);

/* The types that a column may have and that have an order. */
extern const oid_t random_types[];
extern const size_t random_type_count;

struct datum random_value(struct rng *r, struct arena *a, oid_t type);
struct datum random_value_or_null(struct rng *r, struct arena *a, oid_t type);
/* The same bits: stricter than equal (1.0 is not 1.00, -0 is not 0; NaNs are one). */
bool same_value(oid_t type, const struct datum *a, const struct datum *b);
/* From TYPES_SEED in the environment, or the default; printed. */
uint64_t test_seed(const char *what);

#endif
