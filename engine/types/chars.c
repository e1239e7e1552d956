/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/chars.h"

/* The size of a well-formed character at p, or 0. */
static size_t
chars_well_formed(const uint8_t *p, const uint8_t *end)
{
    uint8_t c = p[0];
    size_t left = (size_t)(end - p);

    if (c < 0x80)
        return c != 0;
    if (c < 0xc2 || c > 0xf4)
        return 0;
    if (left < 2 || (p[1] & 0xc0) != 0x80)
        return 0;
    if (c < 0xe0)
        return 2;
    if (left < 3 || (p[2] & 0xc0) != 0x80)
        return 0;
    if (c < 0xf0)
        return (c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) ? 0 : 3;
    if (left < 4 || (p[3] & 0xc0) != 0x80)
        return 0;
    return (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f) ? 0 : 4;
}

size_t
chars_count(struct slice s)
{
    const uint64_t high = 0x8080808080808080u;
    size_t n = 0, i = 0;

    for (; s.size - i >= 8; i += 8) { /* eight bytes of ASCII at a time */
        uint64_t v = load_u64(s.data + i);

        if ((v & high) == 0)
            n += 8;
        else /* continuation bytes have the upper bit and not the one below it */
            n += 8 - (size_t)__builtin_popcountll(v & high & ~(v << 1));
    }
    for (; i < s.size; i++)
        n += (s.data[i] & 0xc0) != 0x80;
    return n;
}

size_t
chars_prefix(struct slice s, size_t chars)
{
    const uint8_t *p = s.data, *end = s.data + s.size;

    if (chars >= s.size)
        return s.size;
    while (chars > 0 && p < end) {
        p += chars_step(p, end);
        chars--;
    }
    return (size_t)(p - s.data);
}

size_t
chars_clip(struct slice s, size_t max)
{
    if (s.size <= max)
        return s.size;
    while (max > 0 && (s.data[max] & 0xc0) == 0x80)
        max--;
    return max;
}

uint32_t
chars_decode(const uint8_t *p, const uint8_t *end, size_t *size)
{
    size_t n = chars_well_formed(p, end);

    if (n == 0) {
        *size = 1;
        return 0xfffd;
    }
    *size = n;
    switch (n) {
    case 1:
        return p[0];
    case 2:
        return (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
    case 3:
        return (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    default:
        return (p[0] & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
    }
}

size_t
chars_encode(uint32_t code, uint8_t out[4])
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (uint8_t)(0xc0 | code >> 6);
        out[1] = (uint8_t)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (uint8_t)(0xe0 | code >> 12);
        out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | code >> 18);
    out[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (code & 0x3f));
    return 4;
}
