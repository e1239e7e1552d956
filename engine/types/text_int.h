/* Small helpers on borrowed text, for this room's files.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TYPES_TEXT_INT_H
#define ENGINE_TYPES_TEXT_INT_H

#include "engine/base/bytes.h"
#include "engine/types/chars.h"

/* For "%.*s": user text in a message, cut to a sensible length at a character's end. */
#define SLICE_ARGS(s) slice_print_size(s), (const char *)(s).data
int slice_print_size(struct slice s);

static inline bool
ascii_is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}
static inline bool
ascii_is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}
static inline bool
ascii_is_alpha(uint8_t c)
{
    return (c | 32) >= 'a' && (c | 32) <= 'z';
}
static inline uint8_t
ascii_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}
static inline uint8_t
ascii_upper(uint8_t c)
{
    return c >= 'a' && c <= 'z' ? (uint8_t)(c - 32) : c;
}
struct slice slice_trim_space(struct slice s);
bool slice_eq_nocase(struct slice s, const char *lower);
/* At most `max` decimal digits from *at; how many there were. */
int scan_digits(const uint8_t **at, const uint8_t *end, int max, int64_t *value);
/* Decimal form of v at out (room for 20); the number of characters. */
size_t format_int(int64_t v, uint8_t *out);
size_t format_uint(uint64_t v, uint8_t *out);
void wr_int(struct writer *w, int64_t v);
void wr_int_padded(struct writer *w, int64_t v, int width); /* zeros in front; v >= 0 */
void wr_str(struct writer *w, const char *s);

#endif
