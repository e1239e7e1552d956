/* Checksums and hashes. CRC32C by the processor's instruction where there is one.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_BASE_CHECKSUM_H
#define ENGINE_BASE_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* CRC-32C (Castagnoli). `crc` is 0 to start, or the value over the bytes before. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size); /* the table, for tests */

/* XXH3, 64 bits: hash tables, filters, lanes. Not for adversaries. */
uint64_t hash64(const void *data, size_t size, uint64_t seed);

/* 128 bits: the chain over redo frames, whole-file hashes. */
struct hash128 {
    uint64_t lo, hi;
};
struct hash128 hash128(const void *data, size_t size, struct hash128 before);
static inline bool
hash128_eq(struct hash128 a, struct hash128 b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

/* Compares secrets in a time that depends on the size alone. */
bool equal_constant_time(const void *a, const void *b, size_t size);

#endif
