/* What the hot paths of the types room cost, in nanoseconds per call.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <time.h>

#include "engine/types/func.h"
#include "engine/types/key.h"
#include "engine/types/row.h"

enum { ROUNDS = 500000 };

static double
now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint64_t sink;

#define MEASURE(label, body)                                                                       \
    do {                                                                                           \
        double from = now_ns();                                                                    \
        for (int i = 0; i < ROUNDS; i++) {                                                         \
            body;                                                                                  \
        }                                                                                          \
        printf("%-44s %7.1f ns\n", label, (now_ns() - from) / ROUNDS);                             \
    } while (0)

/* pgbench_accounts: aid int4 primary key, bid int4, abalance int4, filler char(84). */
static struct row_column columns[] = {
    { .attnum = 1, .type = TYPE_INT4, .typmod = -1 },
    { .attnum = 2, .type = TYPE_INT4, .typmod = -1 },
    { .attnum = 3, .type = TYPE_INT4, .typmod = -1 },
    { .attnum = 4, .type = TYPE_BPCHAR, .typmod = 88 },
};
static const struct key_part part = { TYPE_INT4, KEY_NOT_NULL };
static const uint16_t key_column = 0, wanted[] = { 0, 2, 3 };

static void
bench_rows(struct arena *a)
{
    struct row_layout l = { .version = 1,
                            .column_count = 4,
                            .columns = columns,
                            .key_count = 1,
                            .key_parts = &part,
                            .key_columns = &key_column };
    struct datum values[4] = { datum_int(4711), datum_int(1), datum_int(-500), datum_null() };
    struct datum out[3];
    struct row_map map;
    struct writer key, value;
    struct vec vecs[3], *pointers[3] = { &vecs[0], &vecs[1], &vecs[2] };

    row_layout_init(&l);
    (void)!type_coerce_typmod(TYPE_BPCHAR, 88, true, a, &(struct datum){ .p = (const uint8_t *)"" },
                              &values[3]);
    wr_init(&key, 0);
    wr_init(&value, 0);
    MEASURE("encode key and row of pgbench_accounts", {
        wr_reset(&key);
        wr_reset(&value);
        values[0].i = i;
        row_encode_key(&key, &l, values);
        sink += (uint64_t)row_encode(&value, &l, values);
    });
    sink += (uint64_t)row_map_init(&map, a, &l, &l, wanted, 3);
    MEASURE("decode 3 columns (key, int4, char(84))", {
        sink +=
            (uint64_t)row_decode(&map, wr_view(&key), wr_view(&value), a, out) + (uint64_t)out[1].i;
    });
    for (int c = 0; c < 3; c++)
        vec_init(&vecs[c], a, columns[wanted[c]].type);
    MEASURE("decode 3 columns into vectors", {
        sink += (uint64_t)row_decode_vecs(&map, wr_view(&key), wr_view(&value), a, false,
                                          (uint32_t)i % BATCH_ROWS_MAX, pointers);
    });
    MEASURE("encode int4 key", {
        wr_reset(&key);
        values[0].i = i;
        key_put(&key, &part, values);
    });
    wr_fini(&key);
    wr_fini(&value);
}

static void
bench_forms(struct arena *a)
{
    static const struct {
        oid_t type;
        const char *text;
    } rows[] = { { TYPE_INT4, "123456" },      { TYPE_INT8, "9223372036854775807" },
                 { TYPE_NUMERIC, "12345.67" }, { TYPE_FLOAT8, "3.141592653589793" },
                 { TYPE_DATE, "2024-02-29" },  { TYPE_TIMESTAMP, "2024-02-29 10:20:30.123456" } };
    struct arena_mark mark = arena_mark(a);
    struct writer w;

    wr_init(&w, 0);
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        const struct type *t = type_get(rows[k].type);
        struct slice text = slice_str(rows[k].text);
        struct datum d;
        char label[64];
        snprintf(label, sizeof label, "%s in", t->sql_name);
        MEASURE(label, {
            sink += (uint64_t)t->in(t, NULL, a, text, -1, &d);
            arena_rewind(a, mark);
        });
        sink += (uint64_t)t->in(t, NULL, a, text, -1, &d);
        snprintf(label, sizeof label, "%s out", t->sql_name);
        MEASURE(label, {
            wr_reset(&w);
            t->out(t, NULL, &d, &w);
        });
    }
    wr_fini(&w);
}

static void
bench_func(struct arena *a, const char *label, oid_t oid, struct datum x, struct datum y)
{
    const struct func *f = func_by_oid(&func_set_builtin, oid);
    struct func_call call = { .func = f,
                              .arena = a,
                              .site_arena = a,
                              .arg_count = f->arg_count,
                              .arg_types = f->args,
                              .result_type = f->result };
    struct datum args[2] = { x, y }, out;
    struct arena_mark mark = arena_mark(a);

    MEASURE(label, {
        sink += (uint64_t)func_apply(&call, args, &out);
        arena_rewind(a, mark);
    });
}

static void
bench_resolve(void)
{
    static struct func_match m;
    oid_t args[2] = { TYPE_VARCHAR, TYPE_UNKNOWN };

    MEASURE("resolve int4 = int4", {
        sink += (uint64_t)op_resolve(&func_set_builtin, slice_str("="), TYPE_INT4, TYPE_INT4, &m);
    });
    MEASURE("resolve varchar = unknown", {
        sink += (uint64_t)op_resolve(&func_set_builtin, slice_str("="), args[0], args[1], &m);
    });
    MEASURE("resolve length(varchar)", {
        sink += (uint64_t)func_resolve(&func_set_builtin, slice_str("length"), args, 1, false, &m);
    });
}

int
main(void)
{
    struct arena a;
    struct datum x, y;

    arena_init(&a, NULL);
    bench_rows(&a);
    bench_forms(&a);
    sink += (uint64_t)type_in(TYPE_NUMERIC, NULL, &a, slice_str("12345.67"), -1, &x);
    sink += (uint64_t)type_in(TYPE_NUMERIC, NULL, &a, slice_str("-98.7654"), -1, &y);
    bench_func(&a, "int4 +", 177, datum_int(5), datum_int(7));
    bench_func(&a, "numeric +", 1724, x, y);
    bench_func(&a, "numeric *", 1726, x, y);
    bench_func(&a, "numeric /", 1727, x, y);
    bench_resolve();
    arena_fini(&a);
    return sink == 42;
}
