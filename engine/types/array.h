/* Arrays of one dimension (or none: empty).
 *
 * The stored value (REP_BYTES), little-endian:
 *   u32  element type's OID
 *   u32  number of elements
 *   i32  lower bound (1; 0 for int2vector and oidvector)
 *   then per element i32 size (-1: null) and the bytes: the row form (row.h) of fixed types, the
 *   value's bytes otherwise
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TYPES_ARRAY_H
#define ENGINE_TYPES_ARRAY_H

#include "engine/types/type.h"

enum { ARRAY_HEAD_SIZE = 12 };

/* Arrays of fixed-size values. */
struct datum array_make(struct arena *a, oid_t elem_type, const struct datum *elems, uint32_t count,
                        int32_t lower_bound);
uint32_t array_count(const struct datum *array);
int32_t array_lower_bound(const struct datum *array);
oid_t array_elem_type(const struct datum *array);

/* Walks the elements: for (array_iter_init(&it, &array); array_next(&it, &elem);). Total: ends
 * early on damaged bytes. */
struct array_iter {
    struct reader r;
    const struct type *elem;
    uint32_t left;
};
void array_iter_init(struct array_iter *it, const struct datum *array);
bool array_next(struct array_iter *it, struct datum *elem);
/* array[subscript]; null outside. */
struct datum array_get(const struct datum *array, int64_t subscript);

/* x op ANY (array) / ALL for the `=`-like functions: calls `call` (two arguments, a boolean) with
 * three-valued logic. */
struct func_call;
MUST_CHECK
int array_any(struct func_call *call, const struct datum *value, const struct datum *array,
              bool is_all, struct datum *out);

#endif
