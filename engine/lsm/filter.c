/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/lsm/filter.h"

enum { LINE_BITS = FILTER_LINE_SIZE * 8 };

/* The line of a key comes from the upper half of its hash, the bits in it from the lower. */
static inline size_t
line_of(uint64_t hash, uint32_t line_count)
{
    return (size_t)((hash >> 32) * line_count >> 32) * FILTER_LINE_SIZE;
}

/* Successive multiples of an odd number, of which the upper nine bits are used. */
static inline uint32_t
bit_next(uint32_t *h)
{
    uint32_t bit = *h >> 23;

    *h *= 0x9e3779b9u;
    return bit;
}

/* Fewest false positives for the bits given, somewhat below ln 2 times the bits because the probes
 * of a key share a line. */
static uint8_t
probes_for(unsigned bits_per_key)
{
    unsigned probes = (bits_per_key * 6 + 4) / 10;

    if (probes < 1)
        return 1;
    return (uint8_t)(probes > FILTER_PROBES_MAX ? FILTER_PROBES_MAX : probes);
}

void
filter_build(const uint64_t *hashes, size_t count, unsigned bits_per_key, struct writer *out)
{
    uint64_t bits, line_count;
    uint8_t probes = probes_for(bits_per_key), *at;

    CHECK(bits_per_key > 0);
    if (!mul_ok((uint64_t)count, (uint64_t)bits_per_key, &bits))
        bits = UINT64_MAX - LINE_BITS;
    line_count = (bits + LINE_BITS - 1) / LINE_BITS;
    if (line_count == 0)
        line_count = 1;
    if (line_count > UINT32_MAX / FILTER_LINE_SIZE)
        line_count = UINT32_MAX / FILTER_LINE_SIZE;
    wr_u32(out, (uint32_t)line_count);
    wr_u8(out, probes);
    wr_bytes(out, (uint8_t[3]){ 0 }, 3);
    at = wr_reserve(out, (size_t)line_count * FILTER_LINE_SIZE);
    if (at == NULL)
        return; /* the writer is bad: its owner finds out */
    memset(at, 0, (size_t)line_count * FILTER_LINE_SIZE);
    for (size_t i = 0; i < count; i++) {
        uint8_t *line = at + line_of(hashes[i], (uint32_t)line_count);
        uint32_t h = (uint32_t)hashes[i];

        for (unsigned p = 0; p < probes; p++) {
            uint32_t bit = bit_next(&h);

            line[bit / 8] = (uint8_t)(line[bit / 8] | 1u << bit % 8);
        }
    }
}

int
filter_open(struct filter *f, struct slice bytes)
{
    struct reader r;
    uint32_t line_count;
    uint8_t probes;

    *f = (struct filter){ 0 };
    rd_init(&r, bytes.data, bytes.size);
    line_count = rd_u32(&r);
    probes = rd_u8(&r);
    (void)rd_bytes(&r, 3);
    if (!rd_ok(&r) || line_count == 0 || probes == 0 || probes > FILTER_PROBES_MAX ||
        rd_left(&r) != (uint64_t)line_count * FILTER_LINE_SIZE)
        return DIAG(ERR_CORRUPT, "filter does not fit its size");
    f->lines = r.at;
    f->line_count = line_count;
    f->probes = probes;
    return 0;
}

bool
filter_maybe(const struct filter *f, uint64_t hash)
{
    const uint8_t *line;
    uint32_t h = (uint32_t)hash;

    if (f->probes == 0)
        return true;
    line = f->lines + line_of(hash, f->line_count);
    for (unsigned p = 0; p < f->probes; p++) {
        uint32_t bit = bit_next(&h);

        if ((line[bit / 8] >> bit % 8 & 1) == 0)
            return false;
    }
    return true;
}
