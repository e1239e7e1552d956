/* Values: their text and binary forms, rows and keys.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mem.h"
#include "engine/base/utf8.h"
#include "engine/types/numeric.h"
#include "engine/types/regex.h"
#include "engine/types/row.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/types_random.h"

static int64_t
now_cb(void *arg)
{
    (void)arg;
    return INT64_C(757382400123456);
}

static oid_t
some_type(struct slice *in)
{
    return random_types[fuzz_byte(in) % random_type_count];
}

static void
start(struct budget *budget, struct arena *a)
{
    budget_init(budget, "fuzz", 64 << 20, NULL);
    arena_init(a, budget);
}

/* TYPES: what is written out reads back as the same value, and is written the same again. */
static void
check_text(oid_t type, const struct type_env *env, struct arena *a, const struct datum *d)
{
    const char *text = type_out_str(type, env, a, d);
    struct datum back;

    if (type == TYPE_REGTYPE)
        return; /* a number without a type is written as a number */
    CHECK(type_in(type, env, a, slice_str(text), -1, &back) == 0);
    CHECK(strcmp(text, type_out_str(type, env, a, &back)) == 0);
}

static void
check_binary(oid_t type, const struct type_env *env, struct arena *a, const struct datum *d)
{
    struct datum back;
    struct writer w;

    wr_init(&w, 0);
    type_send(type, env, d, &w);
    CHECK(type_recv(type, env, a, wr_view(&w), -1, &back) == 0 && same_value(type, d, &back));
    wr_fini(&w);
}

/* A byte for the type, one for settings and the modifier, the text. */
static void
run_type_text(struct slice in)
{
    oid_t type = some_type(&in), named;
    uint8_t how = fuzz_byte(&in);
    struct type_env env = { .extra_float_digits = 1,
                            .now_transaction = now_cb,
                            .date_order = how & 1 };
    int32_t typmod = how & 2 ? how / 4 + 4 : -1;
    const struct regex *re;
    struct budget budget;
    struct arena a;
    struct datum d;

    if (utf8_check(in.data, in.size) != 0 || (in.size > 0 && memchr(in.data, 0, in.size) != NULL))
        return;
    start(&budget, &a);
    if (type_in(type, &env, &a, in, typmod, &d) == 0) {
        check_text(type, &env, &a, &d);
        check_binary(type, &env, &a, &d);
    }
    (void)!type_parse(in, &named, &typmod);
    if (in.size < 200 && regex_compile(&a, in, how & 4, &re) == 0)
        (void)regex_search(re, &a, in, 0, NULL);
    arena_fini(&a);
}

static void
seed_type_text(struct fuzz_seeds *to)
{
    static const char *const texts[] = {
        "1",
        "-12.5e3",
        "NaN",
        "infinity",
        "true",
        "2024-02-29",
        "10:20:30.5+02",
        "2024-01-01 10:20:30.123456 BC",
        "Feb 29 2024 PM",
        "1 year -2 mons +3 days 04:05:06",
        "P1Y2M3DT4H5M6S",
        "{1,2,{3}}",
        "{\"a\\\"b\",NULL,\"\"}",
        "[2:3]={1,2}",
        "\\x00ff",
        "\\001a",
        "1 2 3",
        "integer",
        "numeric(8,2)",
        "J2451187",
        "99999999999999999999.99999999999999999999",
        "(a|b)*[[:alpha:]]{2,3}?\\d$",
    };

    for (size_t i = 0; i < random_type_count; i++) {
        const char *text = texts[i % (sizeof texts / sizeof texts[0])];
        uint8_t bytes[80] = { (uint8_t)i, 0 };

        for (size_t k = 0; k < 2; k++, text = texts[(i * 5 + k) % (sizeof texts / sizeof *texts)]) {
            memcpy(bytes + 2, text, strlen(text));
            fuzz_seed(to, slice(bytes, 2 + strlen(text)));
        }
    }
}

const struct fuzz_target fuzz_type_text = { "type_text", run_type_text, seed_type_text };

/* A byte for the type, the value's binary form. */
static void
run_type_binary(struct slice in)
{
    static const struct type_env env = { .extra_float_digits = 1 };
    oid_t type = some_type(&in);
    struct budget budget;
    struct arena a;
    struct datum d;

    start(&budget, &a);
    if (type_recv(type, &env, &a, in, -1, &d) == 0) {
        check_binary(type, &env, &a, &d);
        (void)type_out_str(type, &env, &a, &d);
        if (type_get(type)->hash != NULL)
            (void)type_hash(type, &d);
        if (type_get(type)->cmp != NULL)
            CHECK(type_cmp(type, &d, &d) == 0);
    }
    arena_fini(&a);
}

static void
seed_type_binary(struct fuzz_seeds *to)
{
    struct rng r = { 7 };
    struct arena a;
    struct writer w;

    arena_init(&a, NULL);
    wr_init(&w, 0);
    for (size_t i = 0; i < random_type_count * 2; i++) {
        struct datum d = random_value(&r, &a, random_types[i % random_type_count]);

        wr_reset(&w);
        wr_u8(&w, (uint8_t)(i % random_type_count));
        type_send(random_types[i % random_type_count], NULL, &d, &w);
        if (w.size < 4096)
            fuzz_seed(to, wr_view(&w));
    }
    wr_fini(&w);
    arena_fini(&a);
}

const struct fuzz_target fuzz_type_binary = { "type_binary", run_type_binary, seed_type_binary };

/* ---- rows and keys -------------------------------------------------------------------------- */

enum { ROW_COLUMNS = 12 };

static const oid_t row_types[ROW_COLUMNS] = { TYPE_INT4,      TYPE_TEXT,    TYPE_NUMERIC,
                                              TYPE_BOOL,      TYPE_FLOAT8,  TYPE_BYTEA,
                                              TYPE_TIMESTAMP, TYPE_INT2,    TYPE_INTERVAL,
                                              TYPE_BPCHAR,    TYPE_VARCHAR, TYPE_INT4_ARRAY };

struct row_world {
    struct row_column columns[ROW_COLUMNS];
    struct key_part parts[2];
    uint16_t key_columns[2], wanted[ROW_COLUMNS];
    struct row_layout layout;
};

static void
row_world_init(struct row_world *x)
{
    memset(x, 0, sizeof *x);
    for (uint16_t i = 0; i < ROW_COLUMNS; i++) {
        x->columns[i] = (struct row_column){ .attnum = (uint16_t)(i + 1),
                                             .type = row_types[i],
                                             .typmod = -1,
                                             .missing = { .is_null = true } };
        x->wanted[i] = i;
    }
    x->parts[0] = (struct key_part){ TYPE_INT4, KEY_NOT_NULL };
    x->parts[1] = (struct key_part){ TYPE_TEXT, KEY_NOT_NULL | KEY_FINAL };
    x->key_columns[0] = 0;
    x->key_columns[1] = 1;
    x->layout = (struct row_layout){ .version = 3,
                                     .column_count = ROW_COLUMNS,
                                     .columns = x->columns,
                                     .key_count = 2,
                                     .key_parts = x->parts,
                                     .key_columns = x->key_columns };
    row_layout_init(&x->layout);
}

/* A byte: the size of the key, the key, the row. What decodes is written out, and may be changed by
 * statements: it encodes and decodes to the same. */
static void
run_row(struct slice in)
{
    struct row_world *x = xmalloc(sizeof *x);
    struct datum got[ROW_COLUMNS], again[ROW_COLUMNS];
    size_t key_size = fuzz_byte(&in);
    struct slice key, row;
    struct row_map map;
    struct budget budget;
    struct writer w;
    uint32_t version;
    struct arena a;

    key_size = key_size > in.size ? in.size : key_size;
    key = slice(in.data, key_size);
    row = slice(in.data + key_size, in.size - key_size);
    row_world_init(x);
    start(&budget, &a);
    wr_init(&w, 0);
    (void)!row_version(row, &version);
    CHECK(row_map_init(&map, &a, &x->layout, &x->layout, x->wanted, ROW_COLUMNS) == 0);
    if (row_decode(&map, key, row, &a, got) == 0 && !got[0].is_null) {
        CHECK(row_encode(&w, &x->layout, got) == 0);
        CHECK(row_decode(&map, key, wr_view(&w), &a, again) == 0);
        for (int i = 0; i < ROW_COLUMNS; i++)
            CHECK(got[i].is_null == again[i].is_null &&
                  (got[i].is_null || same_value(row_types[i], &got[i], &again[i])));
    }
    wr_fini(&w);
    arena_fini(&a);
    xfree(x);
}

static void
seed_row(struct fuzz_seeds *to)
{
    struct row_world *x = xmalloc(sizeof *x);
    struct rng r = { 11 };
    struct writer w, key;
    struct arena a;

    row_world_init(x);
    arena_init(&a, NULL);
    wr_init(&w, 0);
    wr_init(&key, 0);
    for (int i = 0; i < 40; i++) {
        struct datum values[ROW_COLUMNS];

        for (int c = 0; c < ROW_COLUMNS; c++)
            values[c] = c < 2 ? random_value(&r, &a, row_types[c])
                              : random_value_or_null(&r, &a, row_types[c]);
        wr_reset(&w);
        wr_reset(&key);
        row_encode_key(&key, &x->layout, values);
        wr_u8(&w, (uint8_t)key.size);
        wr_slice(&w, wr_view(&key));
        CHECK(row_encode(&w, &x->layout, values) == 0);
        if (key.size < 256 && w.size < 4096)
            fuzz_seed(to, wr_view(&w));
    }
    wr_fini(&w);
    wr_fini(&key);
    arena_fini(&a);
    xfree(x);
}

const struct fuzz_target fuzz_row = { "row", run_row, seed_row };

/* Type and flags, then the part: what decodes encodes to the same bytes, or at least to a key that
 * is its equal. */
static void
run_key(struct slice in)
{
    struct key_part part = { some_type(&in), fuzz_byte(&in) & 15 };
    struct budget budget;
    struct reader r, step;
    struct writer w;
    struct arena a;
    struct datum d;

    start(&budget, &a);
    wr_init(&w, 0);
    (void)numeric_check(in);
    rd_init(&r, in.data, in.size);
    rd_init(&step, in.data, in.size);
    if (key_get(&r, &part, &a, &d) == 0) {
        CHECK(key_skip(&step, &part) == 0 && step.at == r.at);
        key_put(&w, &part, &d);
        rd_init(&r, w.data, w.size);
        CHECK(key_skip(&r, &part) == 0 && rd_left(&r) == 0);
    } else {
        (void)!key_skip(&step, &part);
    }
    wr_fini(&w);
    arena_fini(&a);
}

static void
seed_key(struct fuzz_seeds *to)
{
    struct rng r = { 5 };
    struct arena a;
    struct writer w;

    arena_init(&a, NULL);
    wr_init(&w, 0);
    for (size_t i = 0; i < random_type_count * 4; i++) {
        struct key_part part = { random_types[i % random_type_count], rng_below(&r, 16) };
        struct datum d = part.flags & KEY_NOT_NULL ? random_value(&r, &a, part.type)
                                                   : random_value_or_null(&r, &a, part.type);

        if (type_get(part.type)->cmp == NULL)
            continue;
        wr_reset(&w);
        wr_u8(&w, (uint8_t)(i % random_type_count));
        wr_u8(&w, (uint8_t)part.flags);
        key_put(&w, &part, &d);
        if (w.size < 4096)
            fuzz_seed(to, wr_view(&w));
    }
    wr_fini(&w);
    arena_fini(&a);
}

const struct fuzz_target fuzz_key = { "key", run_key, seed_key };
