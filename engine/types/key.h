/* Memcomparable keys: memcmp of the encoded bytes, shorter first, is the SQL order.
 *
 * A key is its parts one after the other. Each part is self-delimiting, so a key that holds the
 * first parts only is a prefix of all keys that agree in them.
 *
 *   null marker   one byte, absent with KEY_NOT_NULL. Null is 0x01 (nulls first) or 0xfe (nulls
 *                 last), a value is 0x02. It is not complemented by KEY_DESC.
 *   integers, dates, times   big-endian with the sign bit flipped, in the width of the type: bool
 *                 and "char" 1, int2 2, int4, date, oid and reg* 4 (oids unsigned), int8, time and
 *                 timestamps 8. So an int4 primary key is 4 bytes.
 *   floats        4 or 8 bytes: sign flipped, negative ones complemented; -0 is 0, NaN greatest.
 *   text, bytea, name   each 0x00 as 0x00 0xff, ended by 0x00 0x01; with KEY_FINAL (nothing
 *                 follows this part, ever) and ascending: the raw bytes. bpchar: the same without
 *                 its trailing blanks.
 *   numeric       a tag, an exponent, digits in base 100 of which each says whether more follow.
 *   interval      16 bytes, the 128-bit span that its comparison uses. Cannot be decoded.
 *   arrays        per element 0x01 and its encoding, or 0x02 for null; ended by 0x00.
 *   KEY_DESC complements every byte of the value.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TYPES_KEY_H
#define ENGINE_TYPES_KEY_H

#include "engine/types/type.h"

enum key_flags {
    KEY_DESC = 1,
    KEY_NULLS_FIRST = 2, /* note that SQL's default is nulls first for DESC, last for ASC */
    KEY_NOT_NULL = 4,    /* no marker byte; encoding a null is a bug (CHECK) */
    KEY_FINAL = 8,       /* the last part of every key of this tree */
};

enum { KEY_SIZE_MAX = 4096 }; /* the caller checks and names its index in the error */

struct key_part {
    oid_t type;
    uint32_t flags;
};

/* Appends one part. Cannot fail, except that the writer's limit turns it bad. */
void key_put(struct writer *w, const struct key_part *part, const struct datum *d);
/* Appends the first `count` parts of a key. */
void key_put_all(struct writer *w, const struct key_part *parts, uint32_t count,
                 const struct datum *values);

/* Reads one part back. Total: anything but an encoding gives ERR_CORRUPT. Bytes lie in the arena,
 * or borrow from the key where it holds them as they are. For lossy types the value is equal to the
 * original, not identical; an interval gives ERR_NOT_SUPPORTED. */
MUST_CHECK
int key_get(struct reader *r, const struct key_part *part, struct arena *a, struct datum *out);
/* Steps over one part without decoding it. */
MUST_CHECK
int key_skip(struct reader *r, const struct key_part *part);

/* True where the key does not keep the exact value, so that the row must keep the original. */
static inline bool
key_is_lossy(oid_t type)
{
    return type_get(type)->key_is_lossy;
}

/* The smallest key greater than all that start with these bytes, in place; the new size, or 0 when
 * there is none (all 0xff, or empty). For the upper bound of a range over a prefix. */
size_t key_prefix_end(uint8_t *key, size_t size);

#endif
