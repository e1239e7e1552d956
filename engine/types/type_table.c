/* The rows of the type registry, and lookups in it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/type.h"

#include "engine/types/datetime.h"
#include "engine/types/type_int.h"

#define T(oid_, name_, sql_, array_, elem_, len_, by_value_, preferred_, pseudo_, align_,          \
          storage_, category_, rep_, row_size_, lossy_, in_, out_, recv_, send_, cmp_, hash_)      \
    {                                                                                              \
        .oid = oid_, .name = name_, .sql_name = sql_, .array_oid = array_, .elem_oid = elem_,      \
        .len = len_, .is_by_value = by_value_, .is_preferred = preferred_, .is_pseudo = pseudo_,   \
        .align = align_, .storage = storage_, .category = category_, .rep = rep_,                  \
        .row_size = row_size_, .key_is_lossy = lossy_, .in = in_, .out = out_, .recv = recv_,      \
        .send = send_, .cmp = cmp_, .hash = hash_,                                                 \
    }

/* In OID order: OID, pg_type.typname, format_type, array, element, length, by value, preferred,
 * pseudo, alignment, storage, category; then how this engine treats it: representation, bytes in a
 * row's fixed part, lossy as a key, and its functions. */
/* clang-format off */
static const struct type type_table[] = {
    T(16, "bool", "boolean", 1000, 0, 1, true, true, false, 'c', 'p', 'B', REP_INT, 1, false, bool_in, bool_out, bool_recv, byte_send, cmp_int, hash_int),
    T(17, "bytea", "bytea", 1001, 0, -1, false, false, false, 'i', 'x', 'U', REP_BYTES, 0, false, bytea_in, bytea_out, bytea_recv, bytes_send, cmp_bytes, hash_bytes),
    T(18, "char", "\"char\"", 1002, 0, 1, true, false, false, 'c', 'p', 'Z', REP_INT, 1, false, char_in, char_out, char_recv, byte_send, cmp_int, hash_int),
    T(19, "name", "name", 1003, 18, 64, false, false, false, 'c', 'p', 'S', REP_BYTES, 0, false, name_in, bytes_out, text_recv, bytes_send, cmp_bytes, hash_bytes),
    T(20, "int8", "bigint", 1016, 0, 8, true, false, false, 'd', 'p', 'N', REP_INT, 8, false, int_in, int_out, int_recv, int_send, cmp_int, hash_int),
    T(21, "int2", "smallint", 1005, 0, 2, true, false, false, 's', 'p', 'N', REP_INT, 2, false, int_in, int_out, int_recv, int_send, cmp_int, hash_int),
    T(22, "int2vector", "int2vector", 0, 21, -1, false, false, false, 'i', 'p', 'A', REP_BYTES, 0, false, vector_in, vector_out, array_recv, array_send, cmp_array, hash_array),
    T(23, "int4", "integer", 1007, 0, 4, true, false, false, 'i', 'p', 'N', REP_INT, 4, false, int_in, int_out, int_recv, int_send, cmp_int, hash_int),
    T(24, "regproc", "regproc", 0, 0, 4, true, false, false, 'i', 'p', 'N', REP_INT, 4, false, reg_in, reg_out, oid_recv, int_send, cmp_int, hash_int),
    T(25, "text", "text", 1009, 0, -1, false, true, false, 'i', 'x', 'S', REP_BYTES, 0, false, text_in, bytes_out, text_recv, bytes_send, cmp_bytes, hash_bytes),
    T(26, "oid", "oid", 1028, 0, 4, true, true, false, 'i', 'p', 'N', REP_INT, 4, false, oid_in, int_out, oid_recv, int_send, cmp_int, hash_int),
    T(28, "xid", "xid", 0, 0, 4, true, false, false, 'i', 'p', 'U', REP_INT, 4, false, oid_in, int_out, oid_recv, int_send, cmp_int, hash_int),
    T(30, "oidvector", "oidvector", 0, 26, -1, false, false, false, 'i', 'p', 'A', REP_BYTES, 0, false, vector_in, vector_out, array_recv, array_send, cmp_array, hash_array),
    T(194, "pg_node_tree", "pg_node_tree", 0, 0, -1, false, false, false, 'i', 'x', 'Z', REP_BYTES, 0, false, text_in, bytes_out, text_recv, bytes_send, NULL, hash_bytes),
    T(700, "float4", "real", 1021, 0, 4, true, false, false, 'i', 'p', 'N', REP_FLOAT, 4, true, float_in, float_out, float_recv, float_send, cmp_float, hash_float),
    T(701, "float8", "double precision", 1022, 0, 8, true, true, false, 'd', 'p', 'N', REP_FLOAT, 8, true, float_in, float_out, float_recv, float_send, cmp_float, hash_float),
    T(705, "unknown", "unknown", 0, 0, -2, false, false, true, 'c', 'p', 'X', REP_BYTES, 0, false, text_in, bytes_out, text_recv, bytes_send, cmp_bytes, hash_bytes),
    T(1000, "_bool", "boolean[]", 0, 16, -1, false, false, false, 'i', 'x', 'A', REP_BYTES, 0, false, array_in, array_out, array_recv, array_send, cmp_array, hash_array),
    T(1001, "_bytea", "bytea[]", 0, 17, -1, false, false, false, 'i', 'x', 'A', REP_BYTES, 0, false, array_in, array_out, array_recv, array_send, cmp_array, hash_array),
    T(1002, "_char", "\"char\"[]", 0, 18, -1, false, false, false, 'i', 'x', 'A', REP_BYTES, 0, false, array_in, array_out, array_recv, array_send, cmp_array, hash_array),
    T(1003, "_name", "name[]", 0, 19, -1, false, false, false, 'i', 'x', 'A', REP_BYTES, 0, false, array_in, array_out, array_recv, array_send, cmp_array, hash_array),
    T(1005, "_int2", "smallint[]", 0, 21, -1, false, false, false, 'i', 'x', 'A', REP_BYTES, 0, false, array_in, array_out, array_recv, array_send, cmp_array, hash_array),
    T(1007, "_int4", "integer[]", 0, 23, -1, false, false, false, 'i', 'x', 'A', REP_BYTES, 0, false, array_in, array_out, array_recv, array_send, cmp_array, hash_array),
    T(1009, "_text", "text[]", 0, 25, -1, false, false, false, 'i', 'x', 'A', REP_BYTES, 0, false, array_in, array_out, array_recv, array_send, cmp_array, hash_array),
    T(1014, "_bpchar", "character[]", 0, 1042, -1, false, false, false, 'i', 'x', 'A', REP_BYTES, 0, true, array_in, array_out, array_recv, array_send, cmp_array, hash_array),
    T(1015, "_varchar", "character varying[]", 0, 1043, -1, false, false, false, 'i', 'x', 'A', REP_BYTES, 0, false, array_in, array_out, array_recv, array_send, cmp_array, hash_array),
    T(1016, "_int8", "bigint[]", 0, 20, -1, false, false, false, 'd', 'x', 'A', REP_BYTES, 0, false, array_in, array_out, array_recv, array_send, cmp_array, hash_array),
    T(1021, "_float4", "real[]", 0, 700, -1, false, false, false, 'i', 'x', 'A', REP_BYTES, 0, true, array_in, array_out, array_recv, array_send, cmp_array, hash_array),
    T(1022, "_float8", "double precision[]", 0, 701, -1, false, false, false, 'd', 'x', 'A', REP_BYTES, 0, true, array_in, array_out, array_recv, array_send, cmp_array, hash_array),
    T(1028, "_oid", "oid[]", 0, 26, -1, false, false, false, 'i', 'x', 'A', REP_BYTES, 0, false, array_in, array_out, array_recv, array_send, cmp_array, hash_array),
    T(1033, "aclitem", "aclitem", 1034, 0, 12, false, false, false, 'i', 'p', 'U', REP_BYTES, 0, false, text_in, bytes_out, text_recv, bytes_send, NULL, hash_bytes),
    T(1034, "_aclitem", "aclitem[]", 0, 1033, -1, false, false, false, 'i', 'x', 'A', REP_BYTES, 0, false, array_in, array_out, array_recv, array_send, NULL, NULL),
    T(1042, "bpchar", "character", 1014, 0, -1, false, false, false, 'i', 'x', 'S', REP_BYTES, 0, true, bpchar_in, bytes_out, text_recv, bytes_send, cmp_bpchar, hash_bpchar),
    T(1043, "varchar", "character varying", 1015, 0, -1, false, false, false, 'i', 'x', 'S', REP_BYTES, 0, false, varchar_in, bytes_out, text_recv, bytes_send, cmp_bytes, hash_bytes),
    T(1082, "date", "date", 1182, 0, 4, true, false, false, 'i', 'p', 'D', REP_INT, 4, false, date_in, date_out, date_recv, int_send, cmp_int, hash_int),
    T(1083, "time", "time without time zone", 1183, 0, 8, true, false, false, 'd', 'p', 'D', REP_INT, 8, false, time_in, time_out, time_recv, int_send, cmp_int, hash_int),
    T(1114, "timestamp", "timestamp without time zone", 1115, 0, 8, true, false, false, 'd', 'p', 'D', REP_INT, 8, false, timestamp_in, timestamp_out, timestamp_recv, int_send, cmp_int, hash_int),
    T(1115, "_timestamp", "timestamp without time zone[]", 0, 1114, -1, false, false, false, 'd', 'x', 'A', REP_BYTES, 0, false, array_in, array_out, array_recv, array_send, cmp_array, hash_array),
    T(1182, "_date", "date[]", 0, 1082, -1, false, false, false, 'i', 'x', 'A', REP_BYTES, 0, false, array_in, array_out, array_recv, array_send, cmp_array, hash_array),
    T(1183, "_time", "time without time zone[]", 0, 1083, -1, false, false, false, 'd', 'x', 'A', REP_BYTES, 0, false, array_in, array_out, array_recv, array_send, cmp_array, hash_array),
    T(1184, "timestamptz", "timestamp with time zone", 1185, 0, 8, true, true, false, 'd', 'p', 'D', REP_INT, 8, false, timestamp_in, timestamp_out, timestamp_recv, int_send, cmp_int, hash_int),
    T(1185, "_timestamptz", "timestamp with time zone[]", 0, 1184, -1, false, false, false, 'd', 'x', 'A', REP_BYTES, 0, false, array_in, array_out, array_recv, array_send, cmp_array, hash_array),
    T(1186, "interval", "interval", 1187, 0, 16, false, true, false, 'd', 'p', 'T', REP_BYTES, 16, true, interval_in, interval_out, interval_recv, interval_send, cmp_interval, hash_interval),
    T(1187, "_interval", "interval[]", 0, 1186, -1, false, false, false, 'd', 'x', 'A', REP_BYTES, 0, true, array_in, array_out, array_recv, array_send, cmp_array, hash_array),
    T(1231, "_numeric", "numeric[]", 0, 1700, -1, false, false, false, 'i', 'x', 'A', REP_BYTES, 0, true, array_in, array_out, array_recv, array_send, cmp_array, hash_array),
    T(1700, "numeric", "numeric", 1231, 0, -1, false, false, false, 'i', 'm', 'N', REP_BYTES, 0, true, numeric_in, numeric_out, numeric_recv, numeric_send, cmp_numeric, hash_numeric),
    T(2202, "regprocedure", "regprocedure", 0, 0, 4, true, false, false, 'i', 'p', 'N', REP_INT, 4, false, reg_in, reg_out, oid_recv, int_send, cmp_int, hash_int),
    T(2205, "regclass", "regclass", 2210, 0, 4, true, false, false, 'i', 'p', 'N', REP_INT, 4, false, reg_in, reg_out, oid_recv, int_send, cmp_int, hash_int),
    T(2206, "regtype", "regtype", 2211, 0, 4, true, false, false, 'i', 'p', 'N', REP_INT, 4, false, reg_in, reg_out, oid_recv, int_send, cmp_int, hash_int),
    T(2210, "_regclass", "regclass[]", 0, 2205, -1, false, false, false, 'i', 'x', 'A', REP_BYTES, 0, false, array_in, array_out, array_recv, array_send, cmp_array, hash_array),
    T(2211, "_regtype", "regtype[]", 0, 2206, -1, false, false, false, 'i', 'x', 'A', REP_BYTES, 0, false, array_in, array_out, array_recv, array_send, cmp_array, hash_array),
    T(2249, "record", "record", 0, 0, -1, false, false, true, 'd', 'x', 'P', REP_BYTES, 0, false, no_in, bytes_out, no_recv, bytes_send, NULL, NULL),
    T(2275, "cstring", "cstring", 0, 0, -2, false, false, true, 'c', 'p', 'P', REP_BYTES, 0, false, text_in, bytes_out, text_recv, bytes_send, cmp_bytes, hash_bytes),
    T(2276, "any", "\"any\"", 0, 0, 4, true, false, true, 'i', 'p', 'P', REP_BYTES, 0, false, no_in, bytes_out, no_recv, bytes_send, NULL, NULL),
    T(2277, "anyarray", "anyarray", 0, 0, -1, false, false, true, 'd', 'x', 'P', REP_BYTES, 0, false, no_in, bytes_out, no_recv, bytes_send, NULL, NULL),
    T(2278, "void", "void", 0, 0, 4, true, false, true, 'i', 'p', 'P', REP_INT, 4, false, no_in, void_out, no_recv, void_send, NULL, NULL),
    T(2283, "anyelement", "anyelement", 0, 0, 4, true, false, true, 'i', 'p', 'P', REP_BYTES, 0, false, no_in, bytes_out, no_recv, bytes_send, NULL, NULL),
    T(2776, "anynonarray", "anynonarray", 0, 0, 4, true, false, true, 'i', 'p', 'P', REP_BYTES, 0, false, no_in, bytes_out, no_recv, bytes_send, NULL, NULL),
    T(4089, "regnamespace", "regnamespace", 0, 0, 4, true, false, false, 'i', 'p', 'N', REP_INT, 4, false, reg_in, reg_out, oid_recv, int_send, cmp_int, hash_int),
    T(4096, "regrole", "regrole", 0, 0, 4, true, false, false, 'i', 'p', 'N', REP_INT, 4, false, reg_in, reg_out, oid_recv, int_send, cmp_int, hash_int),
    T(4191, "regcollation", "regcollation", 0, 0, 4, true, false, false, 'i', 'p', 'N', REP_INT, 4, false, reg_in, reg_out, oid_recv, int_send, cmp_int, hash_int),
    T(5077, "anycompatible", "anycompatible", 0, 0, 4, true, false, true, 'i', 'p', 'P', REP_BYTES, 0, false, no_in, bytes_out, no_recv, bytes_send, NULL, NULL),
    T(5078, "anycompatiblearray", "anycompatiblearray", 0, 0, -1, false, false, true, 'd', 'x', 'P', REP_BYTES, 0, false, no_in, bytes_out, no_recv, bytes_send, NULL, NULL),
};
/* clang-format on */
enum { TYPE_COUNT = sizeof type_table / sizeof type_table[0] };

/* ---- lookups ------------------------------------------------------------------------------- */

const struct type *
type_find(oid_t oid)
{
    size_t low = 0, high = TYPE_COUNT;

    while (low < high) {
        size_t mid = (low + high) / 2;
        if (type_table[mid].oid == oid)
            return &type_table[mid];
        if (type_table[mid].oid < oid)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

const struct type *
type_get(oid_t oid)
{
    const struct type *t = type_find(oid);

    CHECK(t != NULL);
    return t;
}

const struct type *
type_by_index(size_t index)
{
    return index < TYPE_COUNT ? &type_table[index] : NULL;
}

const struct type *
type_by_name(struct slice name)
{
    static const struct {
        const char *name;
        oid_t oid;
    } aliases[] = {
        { "boolean", TYPE_BOOL },     { "smallint", TYPE_INT2 },   { "integer", TYPE_INT4 },
        { "int", TYPE_INT4 },         { "bigint", TYPE_INT8 },     { "real", TYPE_FLOAT4 },
        { "float", TYPE_FLOAT8 },     { "decimal", TYPE_NUMERIC }, { "dec", TYPE_NUMERIC },
        { "character", TYPE_BPCHAR },
    };

    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (slice_eq(name, slice_str(type_table[i].name)))
            return &type_table[i];
    }
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++) {
        if (slice_eq(name, slice_str(aliases[i].name)))
            return type_get(aliases[i].oid);
    }
    return NULL;
}

const char *
type_sql_name(oid_t oid)
{
    const struct type *t = type_find(oid);

    return t != NULL ? t->sql_name : "???";
}

bool
type_is_polymorphic(oid_t oid)
{
    return oid == TYPE_ANYELEMENT || oid == TYPE_ANYARRAY || oid == TYPE_ANYNONARRAY ||
           oid == TYPE_ANYCOMPATIBLE || oid == TYPE_ANYCOMPATIBLEARRAY;
}

/* ---- dispatch ------------------------------------------------------------------------------ */

int
type_in(oid_t oid, const struct type_env *env, struct arena *a, struct slice text, int32_t typmod,
        struct datum *out)
{
    const struct type *t = type_get(oid);

    return t->in(t, env, a, text, typmod, out);
}

void
type_out(oid_t oid, const struct type_env *env, const struct datum *d, struct writer *w)
{
    const struct type *t = type_get(oid);

    t->out(t, env, d, w);
}

int
type_recv(oid_t oid, const struct type_env *env, struct arena *a, struct slice bytes,
          int32_t typmod, struct datum *out)
{
    const struct type *t = type_get(oid);

    return t->recv(t, env, a, bytes, typmod, out);
}

void
type_send(oid_t oid, const struct type_env *env, const struct datum *d, struct writer *w)
{
    const struct type *t = type_get(oid);

    t->send(t, env, d, w);
}

int
type_cmp(oid_t oid, const struct datum *a, const struct datum *b)
{
    const struct type *t = type_get(oid);

    CHECK(t->cmp != NULL);
    return t->cmp(t, a, b);
}

uint64_t
type_hash(oid_t oid, const struct datum *d)
{
    const struct type *t = type_get(oid);

    CHECK(t->hash != NULL);
    return d->is_null ? UINT64_C(0x5bd1e9955bd1e995) : t->hash(t, d);
}

const char *
type_out_str(oid_t oid, const struct type_env *env, struct arena *a, const struct datum *d)
{
    struct writer w;
    char *s;

    if (d->is_null)
        return "null";
    wr_init(&w, 0);
    type_out(oid, env, d, &w);
    s = w.size > 0 ? arena_strndup(a, (const char *)w.data, w.size) : arena_strdup(a, "");
    wr_fini(&w);
    return s;
}

/* ---- fixed-width forms --------------------------------------------------------------------- */

void
fixed_store(const struct type *t, uint8_t *p, const struct datum *d)
{
    switch (t->row_size) {
    case 1:
        *p = (uint8_t)d->i;
        return;
    case 2:
        store_u16(p, (uint16_t)d->i);
        return;
    case 4:
        if (t->rep == REP_FLOAT) {
            float f = (float)d->f;
            memcpy(p, &f, sizeof f);
        } else {
            store_u32(p, (uint32_t)d->i);
        }
        return;
    case 8:
        store_u64(p, (uint64_t)d->i); /* the bits of a double too */
        return;
    default:
        CHECK(t->row_size == 16 && d->size == 16);
        memcpy(p, d->p, 16);
    }
}

struct datum
fixed_load(const struct type *t, const uint8_t *p)
{
    switch (t->row_size) {
    case 1:
        return datum_int(*p);
    case 2:
        return datum_int((int16_t)load_u16(p));
    case 4:
        if (t->rep == REP_FLOAT) {
            float f;
            memcpy(&f, p, sizeof f);
            return datum_float((double)f);
        }
        /* Signed: int4, date. Unsigned: oid and its like. */
        if (t->oid == TYPE_INT4 || t->oid == TYPE_DATE)
            return datum_int((int32_t)load_u32(p));
        return datum_int(load_u32(p));
    case 8:
        return datum_int((int64_t)load_u64(p));
    default:
        return datum_bytes(p, t->row_size);
    }
}

bool
fixed_check(const struct type *t, const struct datum *d)
{
    switch (t->oid) {
    case TYPE_BOOL:
        return d->i == 0 || d->i == 1;
    case TYPE_DATE:
        return d->i == DATE_NOBEGIN || d->i == DATE_NOEND || (d->i >= DATE_MIN && d->i < DATE_END);
    case TYPE_TIME:
        return d->i >= 0 && d->i <= US_PER_DAY;
    case TYPE_TIMESTAMP:
    case TYPE_TIMESTAMPTZ:
        return d->i == TIMESTAMP_NOBEGIN || d->i == TIMESTAMP_NOEND ||
               (d->i >= TIMESTAMP_MIN && d->i < TIMESTAMP_END);
    default:
        return true;
    }
}
