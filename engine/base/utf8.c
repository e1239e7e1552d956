/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/utf8.h"

#include <string.h>

#include "engine/base/bytes.h"

#define HIGH_BITS 0x8080808080808080ULL
#define LOW_BITS  0x0101010101010101ULL

/* Bytes of plain ASCII without NUL at the start, in steps of eight. */
static size_t
ascii_prefix(const uint8_t *p, size_t size)
{
    size_t i = 0;

    while (size - i >= 8) {
        uint64_t v = load_u64(p + i);

        if (((v | (v - LOW_BITS)) & HIGH_BITS) != 0)
            break;
        i += 8;
    }
    return i;
}

/* What the first byte of a character says: its length and the range of the second byte. */
struct lead {
    uint8_t size, low, high;
};

static struct lead
lead_of(uint8_t b)
{
    if (b >= 0xc2 && b <= 0xdf)
        return (struct lead){ 2, 0x80, 0xbf };
    if (b == 0xe0)
        return (struct lead){ 3, 0xa0, 0xbf }; /* no overlong forms */
    if (b == 0xed)
        return (struct lead){ 3, 0x80, 0x9f }; /* no surrogates */
    if (b >= 0xe1 && b <= 0xef)
        return (struct lead){ 3, 0x80, 0xbf };
    if (b == 0xf0)
        return (struct lead){ 4, 0x90, 0xbf };
    if (b >= 0xf1 && b <= 0xf3)
        return (struct lead){ 4, 0x80, 0xbf };
    if (b == 0xf4)
        return (struct lead){ 4, 0x80, 0x8f }; /* no more than U+10FFFF */
    return (struct lead){ 0, 0, 0 };
}

/* How many of `size` bytes are the beginning of a well-formed character: *whole says whether it is
 * complete. 0: none of them. */
static size_t
character_prefix(const uint8_t *p, size_t size, bool *whole)
{
    struct lead l;
    size_t n;

    *whole = false;
    if (p[0] < 0x80) {
        *whole = p[0] != 0;
        return *whole ? 1 : 0;
    }
    l = lead_of(p[0]);
    if (l.size == 0 || (size > 1 && (p[1] < l.low || p[1] > l.high)))
        return 0;
    for (n = 2; n < l.size && n < size; n++)
        if ((p[n] & 0xc0) != 0x80)
            return 0;
    *whole = size >= l.size;
    return *whole ? l.size : size;
}

size_t
utf8_valid_prefix(const void *data, size_t size)
{
    const uint8_t *p = data;
    size_t i = 0;

    while (i < size) {
        bool whole;
        size_t n = ascii_prefix(p + i, size - i);

        i += n;
        if (i == size)
            break;
        n = character_prefix(p + i, size - i, &whole);
        if (!whole)
            break;
        i += n;
    }
    return i;
}

static int
utf8_error(const uint8_t *bad, size_t left)
{
    char hex[4 * 5 + 1] = "";
    size_t show = lead_of(bad[0]).size, used = 0;

    show = show == 0 ? 1 : show;
    show = show < left ? show : left;
    for (size_t i = 0; i < show; i++) {
        static const char digits[] = "0123456789abcdef";

        hex[used++] = ' ';
        hex[used++] = '0';
        hex[used++] = 'x';
        hex[used++] = digits[bad[i] >> 4];
        hex[used++] = digits[bad[i] & 15];
    }
    hex[used] = '\0';
    return DIAG(ERR_CHARACTER_NOT_IN_REPERTOIRE, "invalid byte sequence for encoding \"UTF8\":%s",
                hex);
}

int
utf8_check(const void *data, size_t size)
{
    size_t good = utf8_valid_prefix(data, size);

    return good == size ? 0 : utf8_error((const uint8_t *)data + good, size - good);
}

int
utf8_stream_check(struct utf8_stream *u, const void *data, size_t size)
{
    const uint8_t *p = data;
    bool whole;
    size_t good;

    while (u->held_size > 0 && size > 0) {
        u->held[u->held_size++] = *p++;
        size--;
        if (character_prefix(u->held, u->held_size, &whole) == 0)
            return utf8_error(u->held, u->held_size);
        if (whole)
            u->held_size = 0;
    }
    if (size == 0)
        return 0;
    good = utf8_valid_prefix(p, size);
    if (good == size)
        return 0;
    if (size - good >= 4 || character_prefix(p + good, size - good, &whole) == 0)
        return utf8_error(p + good, size - good);
    u->held_size = (uint8_t)(size - good);
    memcpy(u->held, p + good, size - good);
    return 0;
}

int
utf8_stream_end(const struct utf8_stream *u)
{
    return u->held_size == 0 ? 0 : utf8_error(u->held, u->held_size);
}
