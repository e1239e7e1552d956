/* Characters of well-formed UTF-8 (checked at the wire): counting, stepping. Collation and case are
 * those of the C locale: only ASCII letters have case.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TYPES_CHARS_H
#define ENGINE_TYPES_CHARS_H

#include "engine/base/bytes.h"

/* Bytes of the character that starts here: 1 .. 4, never past the end. Damaged bytes count 1. */
static inline size_t
chars_step(const uint8_t *p, const uint8_t *end)
{
    size_t n = *p < 0x80 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;

    return n <= (size_t)(end - p) ? n : (size_t)(end - p);
}
size_t chars_count(struct slice s); /* characters */
/* Bytes of the first `chars` characters, or all. */
size_t chars_prefix(struct slice s, size_t chars);
/* The largest size <= max that does not cut a character. */
size_t chars_clip(struct slice s, size_t max);
uint32_t chars_decode(const uint8_t *p, const uint8_t *end, size_t *size); /* damaged: U+FFFD */
size_t chars_encode(uint32_t code, uint8_t out[4]);

#endif
