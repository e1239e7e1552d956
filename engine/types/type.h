/* The registry of SQL types: one row per type (type_table.c), with PostgreSQL's OIDs, names, text
 * and binary forms, order and hash. All of it is constant data; lookups need no lock.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TYPES_TYPE_H
#define ENGINE_TYPES_TYPE_H

#include "engine/types/datum.h"

typedef uint32_t oid_t; /* PostgreSQL's object identifiers; 0: none */

enum {
    TYPE_BOOL = 16,
    TYPE_BYTEA = 17,
    TYPE_CHAR = 18, /* "char", one byte */
    TYPE_NAME = 19,
    TYPE_INT8 = 20,
    TYPE_INT2 = 21,
    TYPE_INT2VECTOR = 22,
    TYPE_INT4 = 23,
    TYPE_REGPROC = 24,
    TYPE_TEXT = 25,
    TYPE_OID = 26,
    TYPE_XID = 28,
    TYPE_OIDVECTOR = 30,
    TYPE_PG_NODE_TREE = 194,
    TYPE_FLOAT4 = 700,
    TYPE_FLOAT8 = 701,
    TYPE_UNKNOWN = 705, /* a quoted literal or NULL whose type is not settled yet */
    TYPE_ACLITEM = 1033,
    TYPE_BPCHAR = 1042, /* char(n) */
    TYPE_VARCHAR = 1043,
    TYPE_DATE = 1082,
    TYPE_TIME = 1083,
    TYPE_TIMESTAMP = 1114,
    TYPE_TIMESTAMPTZ = 1184,
    TYPE_INTERVAL = 1186,
    TYPE_NUMERIC = 1700,
    TYPE_REGPROCEDURE = 2202,
    TYPE_REGCLASS = 2205,
    TYPE_REGTYPE = 2206,
    TYPE_RECORD = 2249,
    TYPE_CSTRING = 2275,
    TYPE_ANY = 2276,
    TYPE_ANYARRAY = 2277,
    TYPE_VOID = 2278,
    TYPE_ANYELEMENT = 2283,
    TYPE_ANYNONARRAY = 2776,
    TYPE_REGNAMESPACE = 4089,
    TYPE_REGROLE = 4096,
    TYPE_REGCOLLATION = 4191,
    TYPE_XID8 = 5069,
    TYPE_ANYCOMPATIBLE = 5077,
    TYPE_ANYCOMPATIBLEARRAY = 5078,
    /* arrays */
    TYPE_BOOL_ARRAY = 1000,
    TYPE_BYTEA_ARRAY = 1001,
    TYPE_CHAR_ARRAY = 1002,
    TYPE_NAME_ARRAY = 1003,
    TYPE_INT2_ARRAY = 1005,
    TYPE_INT4_ARRAY = 1007,
    TYPE_TEXT_ARRAY = 1009,
    TYPE_BPCHAR_ARRAY = 1014,
    TYPE_VARCHAR_ARRAY = 1015,
    TYPE_INT8_ARRAY = 1016,
    TYPE_FLOAT4_ARRAY = 1021,
    TYPE_FLOAT8_ARRAY = 1022,
    TYPE_OID_ARRAY = 1028,
    TYPE_ACLITEM_ARRAY = 1034,
    TYPE_TIMESTAMP_ARRAY = 1115,
    TYPE_DATE_ARRAY = 1182,
    TYPE_TIME_ARRAY = 1183,
    TYPE_TIMESTAMPTZ_ARRAY = 1185,
    TYPE_INTERVAL_ARRAY = 1187,
    TYPE_NUMERIC_ARRAY = 1231,
    TYPE_REGCLASS_ARRAY = 2210,
    TYPE_REGTYPE_ARRAY = 2211,
};

enum {
    NAME_SIZE_MAX = 63,             /* bytes of a name */
    TEXT_SIZE_MAX = 0x3fffffff - 4, /* bytes of any one value (1 GiB as in PostgreSQL) */
    ARRAY_ELEMENTS_MAX = 1 << 24,
};

struct zone; /* zone.h */

/* What the conversions and functions need to know of the session; filled by the session, so that
 * this room knows of none. All members may be 0 (UTC, MDY; then a function that needs a missing
 * callback answers ERR_NOT_SUPPORTED). */
struct type_env {
    void *arg;                 /* handed to each callback */
    const struct zone *zone;   /* the session's time zone; NULL: UTC */
    uint8_t date_order;        /* enum date_order: of input such as 01/02/2003 */
    int8_t extra_float_digits; /* as the setting of that name; > 0 is shortest-exact (default 1) */
    bool bytea_escape;         /* bytea_output = escape */
    int64_t (*now_transaction)(void *arg); /* microseconds since 2000-01-01 UTC */
    int64_t (*now_statement)(void *arg);
    int64_t (*now_clock)(void *arg);
    uint64_t (*random)(void *arg);               /* 64 uniform bits, of the session's generator */
    void (*random_seed)(void *arg, double seed); /* setseed() */
    /* Names of objects for the reg* types (type is TYPE_REGCLASS, …), given by the catalogue.
     * from_name: 0 and *oid, or the error of an unknown name. to_name: writes the name, quoted and
     * qualified as the search path needs, and answers true; false: there is no such object. */
    int (*reg_from_name)(void *arg, oid_t type, struct slice name, oid_t *oid);
    bool (*reg_to_name)(void *arg, oid_t type, oid_t oid, struct writer *w);
    /* Loads a zone by name for AT TIME ZONE and for input such as '… Europe/Paris'. */
    int (*zone_by_name)(void *arg, struct slice name, const struct zone **out);
};
enum date_order { DATE_ORDER_MDY = 0, DATE_ORDER_DMY = 1, DATE_ORDER_YMD = 2 };

struct type;

/* Text to value. The text is not NUL-terminated. Results by reference lie in the arena, or borrow
 * from the text where that needs no change (text, bytea never). typmod: -1 for none; it is applied
 * as on assignment (varchar(3) refuses longer text, numeric(8,2) rounds). */
typedef int type_in_fn(const struct type *t, const struct type_env *env, struct arena *a,
                       struct slice text, int32_t typmod, struct datum *out);
/* Appends the text form, not terminated. Cannot fail (a writer past its limit turns bad). */
typedef void type_out_fn(const struct type *t, const struct type_env *env, const struct datum *d,
                         struct writer *w);
/* PostgreSQL's binary format; all bytes must be consumed. Same memory rules as in. */
typedef int type_recv_fn(const struct type *t, const struct type_env *env, struct arena *a,
                         struct slice bytes, int32_t typmod, struct datum *out);
typedef void type_send_fn(const struct type *t, const struct type_env *env, const struct datum *d,
                          struct writer *w);
/* Order of two values that are not null: < 0, 0, > 0. NULL: the type has no order. */
typedef int type_cmp_fn(const struct type *t, const struct datum *a, const struct datum *b);
/* Equal values have equal hashes (also across int2/int4/int8/oid, and float4/float8). */
typedef uint64_t type_hash_fn(const struct type *t, const struct datum *d);

struct type {
    oid_t oid;
    const char *name;     /* pg_type.typname: "int4" */
    const char *sql_name; /* format_type(oid, NULL): "integer" */
    oid_t array_oid;      /* pg_type.typarray, 0: none */
    oid_t elem_oid;       /* pg_type.typelem, of arrays and vectors (and name) */
    int16_t len;          /* pg_type.typlen: bytes, or -1 (varlena), -2 (cstring) */
    bool is_by_value;     /* pg_type.typbyval */
    bool is_preferred;    /* pg_type.typispreferred */
    bool is_pseudo;       /* pg_type.typtype = 'p' */
    char align;           /* pg_type.typalign: c s i d */
    char storage;         /* pg_type.typstorage: p x m */
    char category;        /* pg_type.typcategory */
    uint8_t rep;          /* enum type_rep */
    uint8_t row_size;     /* bytes in the fixed part of a row value; 0: in the variable part */
    bool key_is_lossy;    /* a key does not keep the exact value: the row must */
    type_in_fn *in;
    type_out_fn *out;
    type_recv_fn *recv;
    type_send_fn *send;
    type_cmp_fn *cmp;
    type_hash_fn *hash;
};

const struct type *type_get(oid_t oid);         /* CHECKs that it exists */
const struct type *type_find(oid_t oid);        /* NULL if there is none */
const struct type *type_by_index(size_t index); /* all types in turn; NULL at the end */
/* By pg_type.typname ("int4", "_text") or a one-word SQL name ("integer", "decimal"). NULL: none.
 */
const struct type *type_by_name(struct slice name);
/* A whole type name as format_type writes it or a user might: "character varying(20)",
 * "timestamp(3) with time zone", "int4[]", "pg_catalog.text", "\"char\"". ERR_UNDEFINED_OBJECT
 * (42704) or ERR_SYNTAX. */
MUST_CHECK
int type_parse(struct slice text, oid_t *oid, int32_t *typmod);
/* What format_type(oid, typmod) gives; "???" for an unknown OID. */
void type_format(oid_t oid, int32_t typmod, struct writer *w);
const char *type_format_str(struct arena *a, oid_t oid, int32_t typmod);
const char *type_sql_name(oid_t oid); /* for messages: "integer", "???" */

/* The typmod of varchar(20), numeric(8,2), timestamp(3) … from the numbers in parentheses. */
MUST_CHECK
int type_typmod(oid_t oid, const int32_t *mods, int count, int32_t *typmod);
/* Makes a value of the type fit its typmod: cuts, pads, rounds, or fails as on assignment; with
 * is_explicit as in CAST (varchar(n) and char(n) are cut silently). */
MUST_CHECK
int type_coerce_typmod(oid_t oid, int32_t typmod, bool is_explicit, struct arena *a,
                       const struct datum *in, struct datum *out);

/* Shorthands that dispatch through the registry. */
MUST_CHECK
int type_in(oid_t oid, const struct type_env *env, struct arena *a, struct slice text,
            int32_t typmod, struct datum *out);
void type_out(oid_t oid, const struct type_env *env, const struct datum *d, struct writer *w);
MUST_CHECK
int type_recv(oid_t oid, const struct type_env *env, struct arena *a, struct slice bytes,
              int32_t typmod, struct datum *out);
void type_send(oid_t oid, const struct type_env *env, const struct datum *d, struct writer *w);
int type_cmp(oid_t oid, const struct datum *a, const struct datum *b);
uint64_t type_hash(oid_t oid, const struct datum *d); /* of null: a constant */
/* The text form in the arena, NUL-terminated: for messages. */
const char *type_out_str(oid_t oid, const struct type_env *env, struct arena *a,
                         const struct datum *d);

static inline bool
type_is_array(const struct type *t)
{
    return t->category == 'A';
}
bool type_is_polymorphic(oid_t oid);

#endif
