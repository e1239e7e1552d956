/* What the rows of type_table.c point to, and helpers shared by this room's files.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TYPES_TYPE_INT_H
#define ENGINE_TYPES_TYPE_INT_H

#include "engine/types/text_int.h"
#include "engine/types/type.h"

type_in_fn bool_in, char_in, int_in, oid_in, float_in, text_in, varchar_in, bpchar_in, name_in,
    bytea_in, numeric_in, date_in, time_in, timestamp_in, interval_in, array_in, vector_in, reg_in,
    no_in;
type_out_fn bool_out, char_out, int_out, float_out, bytes_out, bytea_out, numeric_out, date_out,
    time_out, timestamp_out, interval_out, array_out, vector_out, reg_out, void_out;
type_recv_fn bool_recv, char_recv, int_recv, oid_recv, float_recv, text_recv, bytea_recv,
    numeric_recv, date_recv, time_recv, timestamp_recv, interval_recv, array_recv, no_recv;
type_send_fn byte_send, int_send, float_send, bytes_send, numeric_send, interval_send, array_send,
    void_send;
type_cmp_fn cmp_int, cmp_float, cmp_bytes, cmp_bpchar, cmp_numeric, cmp_interval, cmp_array;
type_hash_fn hash_int, hash_float, hash_bytes, hash_bpchar, hash_numeric, hash_interval, hash_array;

/* "invalid input syntax for type …" */
int type_bad_syntax(const struct type *t, struct slice text);
int type_out_of_range(const struct type *t, struct slice text);

/* Fixed-width forms, shared by row values and arrays: type->row_size bytes. */
void fixed_store(const struct type *t, uint8_t *p, const struct datum *d);
struct datum fixed_load(const struct type *t, const uint8_t *p); /* interval: borrows */

/* Is a value that came from disk one that the type has? (Of REP_INT types; others have no gaps or
 * are checked where they are read.) */
bool fixed_check(const struct type *t, const struct datum *d);

uint64_t mix64(uint64_t v);
int float_cmp(double a, double b); /* NaN = NaN, greatest */
/* Trailing blanks do not count. */
static inline size_t
bpchar_size(const struct datum *d)
{
    size_t n = d->size;

    while (n > 0 && d->p[n - 1] == ' ')
        n--;
    return n;
}
MUST_CHECK
int float_parse(struct slice text, bool is_single, const char *type_name, double *out);
void float_format(double v, bool is_single, int extra_digits, struct writer *w);
MUST_CHECK
int bool_parse(struct slice text, bool *out);

#endif
