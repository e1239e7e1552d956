/* UTF-8, checked: at the wire, in COPY data, in names from outside. Well-formed as Unicode has it:
 * no overlong forms, no surrogates, nothing above U+10FFFF. NUL is refused too, as in PostgreSQL.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_BASE_UTF8_H
#define ENGINE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"

/* The offset of the first byte that is not part of well-formed text; size when all is. A character
 * cut off by the end counts as not well-formed. */
size_t utf8_valid_prefix(const void *data, size_t size);
/* 0, or ERR_CHARACTER_NOT_IN_REPERTOIRE naming the bytes. */
MUST_CHECK
int utf8_check(const void *data, size_t size);

/* The same over data that comes in pieces cut anywhere. */
struct utf8_stream {
    uint8_t held[4]; /* a character begun in an earlier piece */
    uint8_t held_size;
};
MUST_CHECK
int utf8_stream_check(struct utf8_stream *u, const void *data, size_t size);
MUST_CHECK
int utf8_stream_end(const struct utf8_stream *u); /* an error if a character is unfinished */

#endif
