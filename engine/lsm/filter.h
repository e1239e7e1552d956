/* A blocked Bloom filter: all probes of a key fall into one cache line. It answers "maybe" or
 * "certainly not".
 *
 *   off  size
 *     0     4  number of lines, n
 *     4     1  probes per key
 *     5     3  zero
 *     8  64*n  the lines
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_LSM_FILTER_H
#define ENGINE_LSM_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/bytes.h"
#include "engine/base/checksum.h"
#include "engine/base/err.h"

enum { FILTER_HEADER_SIZE = 8, FILTER_LINE_SIZE = 64, FILTER_PROBES_MAX = 16 };

static inline uint64_t
filter_hash(struct slice key)
{
    return hash64(key.data, key.size, 0x5ed0b);
}

/* Appends the filter over the hashes of `count` keys. bits_per_key at least 1. */
void filter_build(const uint64_t *hashes, size_t count, unsigned bits_per_key, struct writer *out);

/* A view of bytes that the caller keeps. */
struct filter {
    const uint8_t *lines;
    uint32_t line_count;
    uint8_t probes; /* 0: no filter, everything is "maybe" */
};
MUST_CHECK
int filter_open(struct filter *f, struct slice bytes); /* ERR_CORRUPT */
bool filter_maybe(const struct filter *f, uint64_t hash);
static inline void
filter_prefetch(const struct filter *f, uint64_t hash)
{
    if (f->probes != 0)
        __builtin_prefetch(f->lines + ((uint64_t)(uint32_t)(hash >> 32) * f->line_count >> 32) *
                                          FILTER_LINE_SIZE);
}

#endif
