/* Row values: what is encoded is decoded, across versions of the definition, into values and into
 * vectors; damaged bytes give an error or a value, never more.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdlib.h>

#include "engine/types/row.h"
#include "tests/support/types_random.h"

enum { COLUMNS_MAX = 24 };

struct table {
    struct row_layout layout;
    struct row_column columns[COLUMNS_MAX];
    struct key_part parts[3];
    uint16_t key_columns[3];
};

static void
table_make(struct table *t, struct rng *r, uint32_t version)
{
    uint32_t keys = rng_below(r, 4);

    *t = (struct table){ .layout = { .version = version, .column_count = 1 + rng_below(r, 12) } };
    t->layout.columns = t->columns;
    for (uint32_t i = 0; i < t->layout.column_count; i++) {
        t->columns[i].attnum = (uint16_t)(i + 1);
        t->columns[i].type = random_types[rng_below(r, (uint32_t)random_type_count)];
        t->columns[i].typmod = -1;
        t->columns[i].missing = datum_null();
    }
    for (uint32_t k = 0; k < keys && k < t->layout.column_count; k++) {
        uint16_t at = (uint16_t)((k * 5 + 1) % t->layout.column_count);
        bool used = t->columns[at].type == TYPE_INTERVAL; /* a key does not give it back */
        for (uint32_t j = 0; j < t->layout.key_count; j++)
            used |= t->key_columns[j] == at;
        if (used)
            continue;
        t->parts[t->layout.key_count] =
            (struct key_part){ t->columns[at].type, KEY_NOT_NULL | rng_below(r, 2) };
        t->key_columns[t->layout.key_count++] = at;
    }
    t->layout.key_parts = t->parts;
    t->layout.key_columns = t->key_columns;
    row_layout_init(&t->layout);
}

static bool
is_key(const struct table *t, uint32_t column)
{
    for (uint32_t k = 0; k < t->layout.key_count; k++) {
        if (t->key_columns[k] == column)
            return true;
    }
    return false;
}

static void
random_row(const struct table *t, struct rng *r, struct arena *a, struct datum *values)
{
    for (uint32_t i = 0; i < t->layout.column_count; i++)
        values[i] = is_key(t, i) ? random_value(r, a, t->columns[i].type)
                                 : random_value_or_null(r, a, t->columns[i].type);
    if (rng_one_in(r, 50)) { /* past the reach of 16-bit ends */
        for (uint32_t i = 0; i < t->layout.column_count; i++) {
            if (t->columns[i].type == TYPE_TEXT && !is_key(t, i)) {
                char *big = arena_alloc(a, 70000);
                memset(big, 'x', 70000);
                values[i] = datum_bytes(big, 70000);
            }
        }
    }
}

static void
encode(const struct table *t, const struct datum *values, struct writer *key, struct writer *value)
{
    wr_init(key, 0);
    wr_init(value, 0);
    row_encode_key(key, &t->layout, values);
    ck_assert_int_eq(row_encode(value, &t->layout, values), 0);
}

/* TYPES-4 */
START_TEST(test_rows_come_back)
{
    struct rng r = { test_seed("rows") };
    struct arena a;

    arena_init(&a, NULL);
    for (int i = 0; i < 4000; i++) {
        struct table t;
        struct datum values[COLUMNS_MAX], back[COLUMNS_MAX];
        uint16_t wanted[COLUMNS_MAX];
        uint32_t count = 0, version;
        struct row_map map;
        struct writer key, value;
        table_make(&t, &r, 1 + (uint32_t)(rng_u64(&r) >> (32 + rng_below(&r, 31))) / 2);
        random_row(&t, &r, &a, values);
        encode(&t, values, &key, &value);
        ck_assert_int_eq(row_version(wr_view(&value), &version), 0);
        ck_assert_uint_eq(version, t.layout.version);
        for (uint32_t c = 0; c < t.layout.column_count; c++) {
            if (!rng_one_in(&r, 4))
                wanted[count++] = (uint16_t)(rng_one_in(&r, 8) ? 0 : c); /* some twice */
        }
        ck_assert_int_eq(row_map_init(&map, &a, &t.layout, &t.layout, wanted, count), 0);
        ck_assert_int_eq(row_decode(&map, wr_view(&key), wr_view(&value), &a, back), 0);
        for (uint32_t k = 0; k < count; k++)
            ck_assert_msg(same_value(t.columns[wanted[k]].type, &back[k], &values[wanted[k]]),
                          "row %d column %u of type %s", i, wanted[k],
                          type_sql_name(t.columns[wanted[k]].type));
        wr_fini(&key);
        wr_fini(&value);
        arena_reset(&a);
    }
    arena_fini(&a);
}
END_TEST

/* TYPES-4: rows written before ADD COLUMN and DROP COLUMN are read under the new definition. */
START_TEST(test_rows_of_older_definitions)
{
    struct rng r = { test_seed("versions") };
    struct arena a;

    arena_init(&a, NULL);
    for (int i = 0; i < 2000; i++) {
        struct table old, new;
        struct datum values[COLUMNS_MAX], back[COLUMNS_MAX];
        uint16_t wanted[COLUMNS_MAX];
        uint32_t n;
        struct row_map map;
        struct writer key, value;
        table_make(&old, &r, 100 + (uint32_t)i);
        new = old;
        new.layout.columns = new.columns;
        new.layout.key_parts = new.parts;
        new.layout.key_columns = new.key_columns;
        new.layout.version++;
        for (uint32_t c = 0; c < new.layout.column_count; c++) {
            if (!is_key(&new, c) && rng_one_in(&r, 4))
                new.columns[c].place = ROW_COL_DROPPED;
        }
        for (uint32_t added = rng_below(&r, 4); added > 0; added--) {
            struct row_column *c = &new.columns[new.layout.column_count++];
            *c = (struct row_column){ .attnum = (uint16_t) new.layout.column_count, .typmod = -1 };
            c->type = random_types[rng_below(&r, (uint32_t)random_type_count)];
            c->missing = random_value_or_null(&r, &a, c->type);
        }
        row_layout_init(&new.layout);
        random_row(&old, &r, &a, values);
        encode(&old, values, &key, &value);
        n = new.layout.column_count;
        for (uint32_t c = 0; c < n; c++)
            wanted[c] = (uint16_t)c;
        ck_assert_int_eq(row_map_init(&map, &a, &old.layout, &new.layout, wanted, n), 0);
        ck_assert_int_eq(row_decode(&map, wr_view(&key), wr_view(&value), &a, back), 0);
        for (uint32_t c = 0; c < n; c++) {
            bool is_new = c >= old.layout.column_count;
            if (new.columns[c].place == ROW_COL_DROPPED)
                continue;
            ck_assert(same_value(new.columns[c].type, &back[c],
                                 is_new ? &new.columns[c].missing : &values[c]));
        }
        wr_fini(&key);
        wr_fini(&value);
        arena_reset(&a);
    }
    arena_fini(&a);
}
END_TEST

START_TEST(test_rows_into_vectors)
{
    struct rng r = { test_seed("vectors") };
    struct arena a;

    arena_init(&a, NULL);
    for (int i = 0; i < 60; i++) {
        struct table t;
        struct datum values[64][COLUMNS_MAX];
        uint16_t wanted[COLUMNS_MAX];
        struct vec vecs[COLUMNS_MAX], *pointers[COLUMNS_MAX];
        struct row_map map;
        uint32_t n;
        bool copy = rng_one_in(&r, 2);
        struct writer key[64], value[64];
        table_make(&t, &r, 1);
        n = t.layout.column_count;
        for (uint32_t c = 0; c < n; c++) {
            wanted[c] = (uint16_t)c;
            vec_init(&vecs[c], &a, t.columns[c].type);
            pointers[c] = rng_one_in(&r, 6) ? NULL : &vecs[c];
        }
        ck_assert_int_eq(row_map_init(&map, &a, &t.layout, &t.layout, wanted, n), 0);
        for (uint32_t row = 0; row < 64; row++) {
            random_row(&t, &r, &a, values[row]);
            encode(&t, values[row], &key[row], &value[row]);
            ck_assert_int_eq(row_decode_vecs(&map, wr_view(&key[row]), wr_view(&value[row]), &a,
                                             copy, row, pointers),
                             0);
            if (copy) { /* nothing borrows from the row */
                if (key[row].size > 0)
                    memset(key[row].data, 0xdd, key[row].size);
                memset(value[row].data, 0xdd, value[row].size);
            }
        }
        for (uint32_t row = 0; row < 64; row++) {
            for (uint32_t c = 0; c < n; c++) {
                struct datum d = vec_get(&vecs[c], row);
                if (pointers[c] != NULL)
                    ck_assert(same_value(t.columns[c].type, &d, &values[row][c]));
            }
            wr_fini(&key[row]);
            wr_fini(&value[row]);
        }
        arena_reset(&a);
    }
    arena_fini(&a);
}
END_TEST

/* TYPES-3: every cut of a row is refused, every flipped bit gives an error or a usable value. */
START_TEST(test_damaged_rows)
{
    struct rng r = { test_seed("damage") };
    struct arena a;

    arena_init(&a, NULL);
    for (int i = 0; i < 1500; i++) {
        struct table t;
        struct datum values[COLUMNS_MAX], back[COLUMNS_MAX];
        uint16_t wanted[COLUMNS_MAX];
        struct row_map map;
        struct writer key, value;
        table_make(&t, &r, 1 + rng_below(&r, 300));
        for (uint32_t c = 0; c < t.layout.column_count; c++) {
            wanted[c] = (uint16_t)c;
            values[c] = random_value(&r, &a, t.columns[c].type);
        }
        encode(&t, values, &key, &value);
        ck_assert_int_eq(
            row_map_init(&map, &a, &t.layout, &t.layout, wanted, t.layout.column_count), 0);
        for (int k = 0; k < 20; k++) {
            uint32_t version;
            size_t size = value.size;
            uint8_t *copy = arena_memdup(&a, value.data, size);
            int rc;
            copy[rng_below(&r, (uint32_t)size)] ^= (uint8_t)(1u << rng_below(&r, 8));
            if (k < 10)
                size = rng_below(&r, (uint32_t)size);
            (void)!row_version(slice(copy, size), &version);
            rc = row_decode(&map, wr_view(&key), slice(copy, size), &a, back);
            for (uint32_t c = 0; rc == 0 && c < t.layout.column_count; c++) {
                if (!back[c].is_null) {
                    type_out_str(t.columns[c].type, NULL, &a, &back[c]);
                    (void)type_hash(t.columns[c].type, &back[c]);
                }
            }
        }
        wr_fini(&key);
        wr_fini(&value);
        arena_reset(&a);
    }
    arena_fini(&a);
}
END_TEST

/* The bytes are a disk format: they do not change. */
START_TEST(test_golden_row)
{
    struct row_column columns[] = {
        { .attnum = 1, .type = TYPE_INT4 },  { .attnum = 2, .type = TYPE_TEXT },
        { .attnum = 3, .type = TYPE_INT2 },  { .attnum = 4, .type = TYPE_BOOL },
        { .attnum = 5, .type = TYPE_BYTEA }, { .attnum = 6, .type = TYPE_INT8 },
    };
    static const struct key_part part = { TYPE_INT4, KEY_NOT_NULL };
    static const uint16_t key_column = 0;
    struct row_layout l = { .version = 200,
                            .column_count = 6,
                            .columns = columns,
                            .key_count = 1,
                            .key_parts = &part,
                            .key_columns = &key_column };
    struct datum values[] = { datum_int(7),  datum_bytes("abc", 3),  datum_int(-2),
                              datum_bool(1), datum_bytes("\xff", 1), datum_null() };
    static const uint8_t wanted[] = {
        0,                                 /* flags */
        0xc8, 0x01,                        /* version 200 */
        0x10,                              /* the fifth stored column is null */
        0xfe, 0xff,                        /* int2 -2 */
        0x01,                              /* true */
        0,    0,    0,   0,    0, 0, 0, 0, /* the null int8 */
        3,    0,    4,   0,                /* ends of the text and the bytea */
        'a',  'b',  'c', 0xff,
    };
    struct writer w;

    row_layout_init(&l);
    wr_init(&w, 0);
    ck_assert_int_eq(row_encode(&w, &l, values), 0);
    ck_assert_uint_eq(w.size, sizeof wanted);
    ck_assert_mem_eq(w.data, wanted, sizeof wanted);
    wr_fini(&w);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("types_row");
    TCase *tc = tcase_create("types_row");
    SRunner *sr;
    int failed;

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_rows_come_back);
    tcase_add_test(tc, test_rows_of_older_definitions);
    tcase_add_test(tc, test_rows_into_vectors);
    tcase_add_test(tc, test_damaged_rows);
    tcase_add_test(tc, test_golden_row);
    suite_add_tcase(suite, tc);
    sr = srunner_create(suite);
    srunner_set_fork_status(sr, CK_NOFORK);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
