/* Functions of arrays and of anything: OID, name, flags, result, kernel, batch kernel, argument
 * types. OIDs are PostgreSQL's; 9800 to 9899 are our own.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/func_int.h"

/* clang-format off */
static const struct func funcs[] = {
    F(383, "array_cat", 0, ANYARRAY, fn_array_cat, NULL, ANYARRAY, ANYARRAY),
    F(744, "array_eq", S, BOOL, fn_array_eq, NULL, ANYARRAY, ANYARRAY),
    F(396, "array_ge", S, BOOL, fn_array_ge, NULL, ANYARRAY, ANYARRAY),
    F(392, "array_gt", S, BOOL, fn_array_gt, NULL, ANYARRAY, ANYARRAY),
    F(393, "array_le", S, BOOL, fn_array_le, NULL, ANYARRAY, ANYARRAY),
    F(2176, "array_length", S, INT4, fn_array_length, NULL, ANYARRAY, INT4),
    F(2091, "array_lower", S, INT4, fn_array_lower, NULL, ANYARRAY, INT4),
    F(391, "array_lt", S, BOOL, fn_array_lt, NULL, ANYARRAY, ANYARRAY),
    F(748, "array_ndims", S, INT4, fn_array_ndims, NULL, ANYARRAY),
    F(390, "array_ne", S, BOOL, fn_array_ne, NULL, ANYARRAY, ANYARRAY),
    F(3277, "array_position", 0, INT4, fn_array_position, NULL, ANYCOMPATIBLEARRAY, ANYCOMPATIBLE),
    F(3278, "array_position", 0, INT4, fn_array_position, NULL, ANYCOMPATIBLEARRAY, ANYCOMPATIBLE, INT4),
    F(2092, "array_upper", S, INT4, fn_array_upper, NULL, ANYARRAY, INT4),
    F(3179, "cardinality", S, INT4, fn_cardinality, NULL, ANYARRAY),
    F(1081, "format_type", ST, TEXT, fn_format_type, NULL, OID, INT4),
    F(1191, "generate_subscripts", S | SET, INT4, NULL, NULL, ANYARRAY, INT4, BOOL),
    F(1192, "generate_subscripts", S | SET, INT4, NULL, NULL, ANYARRAY, INT4),
    F(440, "num_nonnulls", VAR, INT4, fn_num_nonnulls, NULL, ANY),
    F(438, "num_nulls", VAR, INT4, fn_num_nulls, NULL, ANY),
    F(679, "oidvectoreq", S, BOOL, fn_array_eq, NULL, OIDVECTOR, OIDVECTOR),
    F(680, "oidvectorge", S, BOOL, fn_array_ge, NULL, OIDVECTOR, OIDVECTOR),
    F(681, "oidvectorgt", S, BOOL, fn_array_gt, NULL, OIDVECTOR, OIDVECTOR),
    F(678, "oidvectorle", S, BOOL, fn_array_le, NULL, OIDVECTOR, OIDVECTOR),
    F(677, "oidvectorlt", S, BOOL, fn_array_lt, NULL, OIDVECTOR, OIDVECTOR),
    F(619, "oidvectorne", S, BOOL, fn_array_ne, NULL, OIDVECTOR, OIDVECTOR),
    F(1619, "pg_typeof", ST, REGTYPE, fn_pg_typeof, NULL, ANY),
    F(2331, "unnest", S | SET, ANYELEMENT, NULL, NULL, ANYARRAY),
};
/* clang-format on */

const struct func_set func_set_other = { FUNC_SET_OF(funcs), .next = NULL };
