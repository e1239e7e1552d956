/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/types_random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/types/array.h"
#include "engine/types/datetime.h"
#include "engine/types/numeric.h"

uint64_t
rng_u64(struct rng *r)
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint32_t
rng_below(struct rng *r, uint32_t n)
{
    return (uint32_t)(rng_u64(r) % n);
}

bool
rng_one_in(struct rng *r, uint32_t n)
{
    return rng_below(r, n) == 0;
}

const oid_t random_types[] = {
    TYPE_BOOL,       TYPE_CHAR,          TYPE_INT2,       TYPE_INT4,        TYPE_INT8,
    TYPE_OID,        TYPE_REGTYPE,       TYPE_FLOAT4,     TYPE_FLOAT8,      TYPE_NUMERIC,
    TYPE_TEXT,       TYPE_VARCHAR,       TYPE_BPCHAR,     TYPE_NAME,        TYPE_BYTEA,
    TYPE_DATE,       TYPE_TIME,          TYPE_TIMESTAMP,  TYPE_TIMESTAMPTZ, TYPE_INTERVAL,
    TYPE_INT4_ARRAY, TYPE_INT8_ARRAY,    TYPE_TEXT_ARRAY, TYPE_BOOL_ARRAY,  TYPE_INT2VECTOR,
    TYPE_OIDVECTOR,  TYPE_NUMERIC_ARRAY,
};
const size_t random_type_count = sizeof random_types / sizeof random_types[0];

/* Small numbers, numbers of every magnitude, and both ends. */
static int64_t
random_int(struct rng *r, int64_t min, int64_t max)
{
    uint64_t span = (uint64_t)max - (uint64_t)min;
    int64_t v;

    switch (rng_below(r, 5)) {
    case 0:
        return rng_one_in(r, 2) ? min + (int64_t)rng_below(r, 2) : max - (int64_t)rng_below(r, 2);
    case 1:
        v = (int64_t)rng_below(r, 5) - 2;
        return v < min ? min : v > max ? max : v;
    case 2:
        v = (int64_t)(rng_u64(r) >> rng_below(r, 64));
        v = rng_one_in(r, 2) ? v : -(v & INT64_MAX);
        return v < min || v > max ? min : v;
    default:
        return (int64_t)((uint64_t)min +
                         (span == UINT64_MAX ? rng_u64(r) : rng_u64(r) % (span + 1)));
    }
}

static struct datum
random_float(struct rng *r, bool is_single)
{
    static const double edges[] = { 0, -0.0, 1, -1, 1.5, 1e300, -1e-300, INFINITY, -INFINITY, 0.1 };
    double v = 0;
    uint64_t bits = rng_u64(r);

    if (rng_one_in(r, 2)) {
        v = edges[rng_below(r, 10)];
        if (rng_one_in(r, 12))
            v = NAN;
    } else {
        memcpy(&v, &bits, sizeof v);
        if (isnan(v))
            v = NAN;
    }
    if (is_single)
        v = (double)(float)v;
    return datum_float(v);
}

static struct datum
random_text(struct rng *r, struct arena *a, bool is_bytes)
{
    static const char *const pieces[] = {
        "a", "b", "ab",   " ", "  ", "z", "\xc3\xa4", "\xe6\x97\xa5", "\xf0\x9f\x98\x80",
        "A", "0", "\x01", "~"
    };
    char buf[300];
    size_t n = 0, count = rng_one_in(r, 20) ? rng_below(r, 70) : rng_below(r, 6);

    for (size_t i = 0; i < count; i++) {
        if (is_bytes) {
            static const uint8_t usual[] = { 0, 0, 1, 2, 0xfe, 0xff, 0xff, 'a' };
            buf[n++] = (char)(rng_one_in(r, 2) ? usual[rng_below(r, 8)] : rng_below(r, 256));
        } else {
            const char *p = pieces[rng_below(r, sizeof pieces / sizeof pieces[0])];
            memcpy(buf + n, p, strlen(p));
            n += strlen(p);
        }
    }
    return datum_bytes(arena_memdup(a, buf, n + 1), n);
}

static struct datum
random_numeric(struct rng *r, struct arena *a)
{
    static const char *const edges[] = {
        "NaN",    "Infinity", "-Infinity", "0",   "0.00",  "1",       "1.0",
        "-1",     "10000",    "0.0001",    "100", "1e100", "-1e-100", "99999999.9999",
        "1e-400", "1e400"
    };
    char buf[128];
    size_t n = 0, whole = rng_below(r, 14), fraction = rng_below(r, 12);
    struct datum d;

    if (rng_one_in(r, 4)) {
        CHECK(numeric_from_str(a, slice_str(edges[rng_below(r, 16)]), &d) == 0);
        return d;
    }
    if (rng_one_in(r, 2))
        buf[n++] = '-';
    for (size_t i = 0; i < whole; i++)
        buf[n++] = (char)('0' + (rng_one_in(r, 3) ? 0 : rng_below(r, 10)));
    buf[n++] = '.';
    for (size_t i = 0; i < fraction; i++)
        buf[n++] = (char)('0' + (rng_one_in(r, 3) ? 0 : rng_below(r, 10)));
    buf[n++] = '0';
    CHECK(numeric_from_str(a, slice(buf, n), &d) == 0);
    return d;
}

static struct datum
random_array(struct rng *r, struct arena *a, const struct type *t)
{
    bool is_vector = t->oid == TYPE_INT2VECTOR || t->oid == TYPE_OIDVECTOR;
    struct datum elems[8];
    uint32_t n = rng_below(r, 5);

    for (uint32_t i = 0; i < n; i++)
        elems[i] =
            is_vector ? random_value(r, a, t->elem_oid) : random_value_or_null(r, a, t->elem_oid);
    return array_make(a, t->elem_oid, elems, n, is_vector ? 0 : 1);
}

static struct datum
random_int_type(struct rng *r, oid_t type)
{
    switch (type) {
    case TYPE_BOOL:
        return datum_int(rng_below(r, 2));
    case TYPE_CHAR:
        return datum_int(random_int(r, 0, 255));
    case TYPE_INT2:
        return datum_int(random_int(r, INT16_MIN, INT16_MAX));
    case TYPE_INT4:
        return datum_int(random_int(r, INT32_MIN, INT32_MAX));
    case TYPE_INT8:
        return datum_int(random_int(r, INT64_MIN, INT64_MAX));
    case TYPE_DATE:
        return datum_int(rng_one_in(r, 10) ? (rng_one_in(r, 2) ? DATE_NOBEGIN : DATE_NOEND)
                                           : random_int(r, DATE_MIN, DATE_END - 1));
    case TYPE_TIME:
        return datum_int(random_int(r, 0, US_PER_DAY));
    case TYPE_TIMESTAMP:
    case TYPE_TIMESTAMPTZ:
        return datum_int(rng_one_in(r, 10)
                             ? (rng_one_in(r, 2) ? TIMESTAMP_NOBEGIN : TIMESTAMP_NOEND)
                             : random_int(r, TIMESTAMP_MIN, TIMESTAMP_END - 1));
    default:
        return datum_int(random_int(r, 0, UINT32_MAX));
    }
}

struct datum
random_value(struct rng *r, struct arena *a, oid_t type)
{
    const struct type *t = type_get(type);

    if (t->rep == REP_FLOAT)
        return random_float(r, t->len == 4);
    if (t->rep == REP_INT)
        return random_int_type(r, type);
    if (type == TYPE_NUMERIC)
        return random_numeric(r, a);
    if (type == TYPE_INTERVAL && rng_one_in(r, 2)) /* equal ones of other parts are likely */
        return interval_make(a, (struct interval){ random_int(r, -2, 2) * US_PER_DAY,
                                                   (int32_t)random_int(r, -2, 2) * 30,
                                                   (int32_t)random_int(r, -2, 2) });
    if (type == TYPE_INTERVAL)
        return interval_make(a, (struct interval){ random_int(r, -US_PER_DAY * 60, US_PER_DAY * 60),
                                                   (int32_t)random_int(r, -70, 70),
                                                   (int32_t)random_int(r, -30, 30) });
    if (type_is_array(t))
        return random_array(r, a, t);
    if (type == TYPE_NAME) {
        struct datum d = random_text(r, a, false);
        while (d.size > NAME_SIZE_MAX || (d.size > 0 && (d.p[d.size - 1] & 0x80) != 0))
            d.size--;
        return d;
    }
    return random_text(r, a, type == TYPE_BYTEA);
}

struct datum
random_value_or_null(struct rng *r, struct arena *a, oid_t type)
{
    return rng_one_in(r, 6) ? datum_null() : random_value(r, a, type);
}

bool
same_value(oid_t type, const struct datum *a, const struct datum *b)
{
    if (a->is_null || b->is_null)
        return a->is_null == b->is_null;
    switch (type_get(type)->rep) {
    case REP_INT:
        return a->i == b->i;
    case REP_FLOAT:
        return (isnan(a->f) && isnan(b->f)) || memcmp(&a->f, &b->f, sizeof a->f) == 0;
    default:
        return slice_eq(datum_view(a), datum_view(b));
    }
}

uint64_t
test_seed(const char *what)
{
    const char *s = getenv("TYPES_SEED");
    uint64_t seed = s != NULL ? strtoull(s, NULL, 0) : 20260101;

    printf("%s: TYPES_SEED=%llu\n", what, (unsigned long long)seed);
    return seed;
}
