/* The numbers of the program, each a type of its own (design.md, words).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_BASE_ID_H
#define ENGINE_BASE_ID_H

#include <stdbool.h>
#include <stdint.h>

/* A byte position in the logical redo stream. */
struct lsn {
    uint64_t v;
};
static inline struct lsn
lsn_make(uint64_t v)
{
    return (struct lsn){ v };
}
static inline bool
lsn_lt(struct lsn a, struct lsn b)
{
    return a.v < b.v;
}
static inline bool
lsn_le(struct lsn a, struct lsn b)
{
    return a.v <= b.v;
}

typedef uint64_t scn_t;         /* the number of a commit; bit 63 clear; 0: before the first */
typedef uint64_t txid_t;        /* bit 63 set, 21 bits of incarnation, 42 bits of counter */
typedef uint64_t stamp_t;       /* an scn_t or a txid_t */
typedef uint32_t incarnation_t; /* 1 .. 2^21-1; 0: none */
typedef uint64_t tree_id_t;     /* never used twice in a database, side branches included */

#define SCN_MAX           (((uint64_t)1 << 62) - 1) /* later than every commit */
#define TXID_BIT          ((uint64_t)1 << 63)
#define TXID_COUNTER_BITS 42
#define INCARNATION_MAX   (((uint32_t)1 << 21) - 1)

static inline bool
stamp_is_txid(stamp_t s)
{
    return (s & TXID_BIT) != 0;
}
static inline txid_t
txid_make(incarnation_t inc, uint64_t counter)
{
    return TXID_BIT | (uint64_t)inc << TXID_COUNTER_BITS | counter;
}
static inline incarnation_t
txid_incarnation(txid_t t)
{
    return (incarnation_t)(t >> TXID_COUNTER_BITS & INCARNATION_MAX);
}
static inline uint64_t
txid_counter(txid_t t)
{
    return t & (((uint64_t)1 << TXID_COUNTER_BITS) - 1);
}

/* A moment is (incarnation, SCN). */
struct moment {
    incarnation_t inc;
    scn_t scn;
};

#endif
