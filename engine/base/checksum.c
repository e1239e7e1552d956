/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/checksum.h"

#define XXH_STATIC_LINKING_ONLY /* the size of a state */
#include <xxhash.h>

#include "engine/base/bytes.h"

/* ---- CRC-32C ------------------------------------------------------------------------------- */

static inline uint32_t
crc_byte(uint32_t crc, uint8_t byte)
{
    crc ^= byte;
    for (int bit = 0; bit < 8; bit++)
        crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    return crc;
}

uint32_t
crc32c_portable(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *p = data;

    crc = ~crc;
    for (size_t i = 0; i < size; i++)
        crc = crc_byte(crc, p[i]);
    return ~crc;
}

#if defined(__x86_64__)
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t
crc32c_machine(uint32_t crc, const uint8_t *p, size_t size)
{
    uint64_t c = ~crc;

    for (; size >= 8; p += 8, size -= 8)
        c = _mm_crc32_u64(c, load_u64(p));
    for (; size > 0; p++, size--)
        c = _mm_crc32_u8((uint32_t)c, *p);
    return ~(uint32_t)c;
}

static bool
crc32c_has_machine(void)
{
    return __builtin_cpu_supports("sse4.2");
}
#else
static uint32_t
crc32c_machine(uint32_t crc, const uint8_t *p, size_t size)
{
    return crc32c_portable(crc, p, size);
}

static bool
crc32c_has_machine(void)
{
    return false;
}
#endif

uint32_t
crc32c(uint32_t crc, const void *data, size_t size)
{
    return crc32c_has_machine() ? crc32c_machine(crc, data, size)
                                : crc32c_portable(crc, data, size);
}

/* ---- hashes -------------------------------------------------------------------------------- */

uint64_t
hash64(const void *data, size_t size, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, size, seed);
}

/* The value before is hashed in front of the data, all 128 bits of it. */
struct hash128
hash128(const void *data, size_t size, struct hash128 before)
{
    XXH3_state_t state;
    uint8_t head[16];
    XXH128_hash_t h;

    store_u64(head, before.lo);
    store_u64(head + 8, before.hi);
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, head, sizeof head);
    XXH3_128bits_update(&state, data, size);
    h = XXH3_128bits_digest(&state);
    return (struct hash128){ h.low64, h.high64 };
}

bool
equal_constant_time(const void *a, const void *b, size_t size)
{
    const volatile uint8_t *x = a, *y = b;
    uint8_t diff = 0;

    for (size_t i = 0; i < size; i++)
        diff |= x[i] ^ y[i];
    return diff == 0;
}
