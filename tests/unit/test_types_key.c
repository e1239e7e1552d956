/* Keys: the order of the bytes is the order of the values, for every type and every direction.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/types/key.h"
#include "engine/types/row.h"
#include "tests/support/types_random.h"

static int
sign(int v)
{
    return v < 0 ? -1 : v > 0;
}

/* The order that SQL asks for, nulls included. */
static int
wanted_order(const struct key_part *p, const struct datum *a, const struct datum *b)
{
    int c;

    if (a->is_null || b->is_null) {
        c = (int)b->is_null - (int)a->is_null; /* nulls first */
        return (p->flags & KEY_NULLS_FIRST) ? c : -c;
    }
    c = sign(type_cmp(p->type, a, b));
    return (p->flags & KEY_DESC) ? -c : c;
}

static void
check_pair(const struct key_part *p, const struct datum *x, const struct datum *y, struct arena *a)
{
    struct writer wx, wy;
    int got, wanted = wanted_order(p, x, y);

    wr_init(&wx, 0);
    wr_init(&wy, 0);
    key_put(&wx, p, x);
    key_put(&wy, p, y);
    got = sign(slice_cmp(wr_view(&wx), wr_view(&wy)));
    ck_assert_msg(got == wanted, "type %s flags %u: %s and %s: bytes say %d, values %d",
                  type_get(p->type)->name, p->flags, type_out_str(p->type, NULL, a, x),
                  type_out_str(p->type, NULL, a, y), got, wanted);
    wr_fini(&wx);
    wr_fini(&wy);
}

static void
check_back(const struct key_part *p, const struct datum *x, struct arena *a)
{
    struct writer w;
    struct reader r;
    struct datum back;
    int rc;

    wr_init(&w, 0);
    key_put(&w, p, x);
    rd_init(&r, w.data, w.size);
    rc = key_get(&r, p, a, &back);
    if (p->type == TYPE_INTERVAL && !x->is_null) {
        ck_assert_int_eq(rc, ERR_NOT_SUPPORTED);
    } else {
        ck_assert_int_eq(rc, 0);
        ck_assert(back.is_null == x->is_null);
        if (!x->is_null)
            ck_assert_int_eq(type_cmp(p->type, x, &back), 0);
        if (!key_is_lossy(p->type))
            ck_assert(same_value(p->type, x, &back));
    }
    ck_assert_uint_eq(rd_left(&r), 0);
    rd_init(&r, w.data, w.size);
    ck_assert_int_eq(key_skip(&r, p), 0);
    ck_assert_uint_eq(rd_left(&r), 0);
    wr_fini(&w);
}

/* TYPES-1 */
START_TEST(test_order_of_every_type)
{
    struct rng r = { test_seed("order") };
    struct arena a;

    arena_init(&a, NULL);
    for (size_t t = 0; t < random_type_count; t++) {
        for (uint32_t flags = 0; flags < 16; flags++) {
            struct key_part p = { random_types[t], flags };
            for (int i = 0; i < 120; i++) {
                struct datum x = random_value_or_null(&r, &a, p.type);
                struct datum y = rng_one_in(&r, 4) ? x : random_value_or_null(&r, &a, p.type);
                if ((flags & KEY_NOT_NULL) && (x.is_null || y.is_null))
                    continue;
                check_pair(&p, &x, &y, &a);
                check_back(&p, &x, &a);
            }
            arena_reset(&a);
        }
    }
    arena_fini(&a);
}
END_TEST

/* TYPES-1, TYPES-2: several parts compare part by part, and the first parts are a prefix. */
START_TEST(test_composite_keys)
{
    struct rng r = { test_seed("composite") };
    struct arena a;

    arena_init(&a, NULL);
    for (int i = 0; i < 6000; i++) {
        struct key_part parts[4];
        struct datum x[4], y[4];
        uint32_t n = 1 + rng_below(&r, 4);
        struct writer wx, wy, prefix;
        struct reader rd;
        int wanted = 0;
        for (uint32_t k = 0; k < n; k++) {
            parts[k].type = random_types[rng_below(&r, (uint32_t)random_type_count)];
            parts[k].flags = rng_below(&r, 8) | (k + 1 == n && rng_one_in(&r, 2) ? KEY_FINAL : 0);
            do
                x[k] = random_value_or_null(&r, &a, parts[k].type);
            while (x[k].is_null && (parts[k].flags & KEY_NOT_NULL));
            do
                y[k] = rng_one_in(&r, 2) ? x[k] : random_value_or_null(&r, &a, parts[k].type);
            while (y[k].is_null && (parts[k].flags & KEY_NOT_NULL));
            if (wanted == 0)
                wanted = wanted_order(&parts[k], &x[k], &y[k]);
        }
        wr_init(&wx, 0);
        wr_init(&wy, 0);
        wr_init(&prefix, 0);
        key_put_all(&wx, parts, n, x);
        key_put_all(&wy, parts, n, y);
        ck_assert_int_eq(sign(slice_cmp(wr_view(&wx), wr_view(&wy))), wanted);
        key_put_all(&prefix, parts, n - 1, x);
        ck_assert(prefix.size <= wx.size &&
                  (prefix.size == 0 || memcmp(prefix.data, wx.data, prefix.size) == 0));
        rd_init(&rd, wx.data, wx.size);
        for (uint32_t k = 0; k < n; k++)
            ck_assert_int_eq(key_skip(&rd, &parts[k]), 0);
        ck_assert_uint_eq(rd_left(&rd), 0);
        if (prefix.size > 0) { /* the range of a prefix ends before its successor */
            size_t end = key_prefix_end(prefix.data, prefix.size);
            if (end > 0)
                ck_assert_int_lt(slice_cmp(wr_view(&wx), slice(prefix.data, end)), 0);
        }
        wr_fini(&wx);
        wr_fini(&wy);
        wr_fini(&prefix);
        arena_reset(&a);
    }
    arena_fini(&a);
}
END_TEST

/* The bytes are a disk format: they do not change. */
START_TEST(test_golden_keys)
{
    static const struct {
        oid_t type;
        uint32_t flags;
        const char *text, *hex;
    } rows[] = {
        { TYPE_INT4, KEY_NOT_NULL, "1", "80000001" },
        { TYPE_INT4, KEY_NOT_NULL, "-1", "7fffffff" },
        { TYPE_INT4, 0, "1", "0280000001" },
        { TYPE_INT4, KEY_DESC | KEY_NOT_NULL, "1", "7ffffffe" },
        { TYPE_INT2, KEY_NOT_NULL, "-2", "7ffe" },
        { TYPE_INT8, KEY_NOT_NULL, "0", "8000000000000000" },
        { TYPE_OID, KEY_NOT_NULL, "1", "00000001" },
        { TYPE_BOOL, KEY_NOT_NULL, "t", "01" },
        { TYPE_FLOAT8, KEY_NOT_NULL, "1", "bff0000000000000" },
        { TYPE_FLOAT8, KEY_NOT_NULL, "-0", "8000000000000000" },
        { TYPE_TEXT, KEY_NOT_NULL, "ab", "61620001" },
        { TYPE_TEXT, KEY_NOT_NULL | KEY_FINAL, "ab", "6162" },
        { TYPE_TEXT, KEY_NOT_NULL | KEY_DESC, "a", "9efffe" },
        { TYPE_BYTEA, KEY_NOT_NULL, "\\x6100ff", "6100ffff0001" },
        { TYPE_BPCHAR, KEY_NOT_NULL, "a  ", "610001" },
        { TYPE_NUMERIC, KEY_NOT_NULL, "0", "18" },
        { TYPE_NUMERIC, KEY_NOT_NULL, "1", "208102" },
        { TYPE_NUMERIC, KEY_NOT_NULL, "123.45",
          "208203"
          "2f5a" },
        { TYPE_NUMERIC, KEY_NOT_NULL, "-1", "107efd" },
        { TYPE_NUMERIC, KEY_NOT_NULL, "NaN", "30" },
        { TYPE_DATE, KEY_NOT_NULL, "2000-01-02", "80000001" },
    };
    struct arena a;

    arena_init(&a, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct key_part p = { rows[i].type, rows[i].flags };
        struct datum d;
        struct writer w;
        char hex[64] = "";
        ck_assert_int_eq(type_in(p.type, NULL, &a, slice_str(rows[i].text), -1, &d), 0);
        wr_init(&w, 0);
        key_put(&w, &p, &d);
        for (size_t k = 0; k < w.size; k++)
            snprintf(hex + 2 * k, 3, "%02x", w.data[k]);
        ck_assert_str_eq(hex, rows[i].hex);
        wr_fini(&w);
    }
    arena_fini(&a);
}
END_TEST

/* TYPES-3 */
START_TEST(test_key_decoder_is_total)
{
    struct rng r = { test_seed("total") };
    struct arena a;

    arena_init(&a, NULL);
    for (int i = 0; i < 60000; i++) {
        struct key_part p = { random_types[rng_below(&r, (uint32_t)random_type_count)],
                              rng_below(&r, 16) };
        uint8_t junk[40];
        size_t n = rng_below(&r, sizeof junk);
        struct datum d;
        struct reader rd;
        for (size_t k = 0; k < n; k++)
            junk[k] = rng_one_in(&r, 3) ? (uint8_t)rng_below(&r, 4) : (uint8_t)rng_u64(&r);
        if (rng_one_in(&r, 2)) { /* a good key, hurt a little */
            struct writer w;
            struct datum v = random_value(&r, &a, p.type);
            wr_init(&w, 0);
            key_put(&w, &p, &v);
            n = w.size < sizeof junk ? w.size : sizeof junk;
            if (n > 0)
                memcpy(junk, w.data, n);
            if (n > 0)
                junk[rng_below(&r, (uint32_t)n)] ^= (uint8_t)(1u << rng_below(&r, 8));
            if (n > 0 && rng_one_in(&r, 2))
                n = rng_below(&r, (uint32_t)n);
            wr_fini(&w);
        }
        rd_init(&rd, junk, n);
        if (key_get(&rd, &p, &a, &d) == 0 && !d.is_null) {
            type_out_str(p.type, NULL, &a, &d); /* what came out can be used */
            (void)type_hash(p.type, &d);
        }
        if (i % 100 == 0)
            arena_reset(&a);
    }
    arena_fini(&a);
}
END_TEST

/* TYPES-5 */
START_TEST(test_equal_values_have_equal_hashes)
{
    struct rng r = { test_seed("hash") };
    struct arena a;

    arena_init(&a, NULL);
    for (size_t t = 0; t < random_type_count; t++) {
        oid_t type = random_types[t];
        int equal = 0;
        for (int i = 0; i < 3000; i++) {
            struct datum x = random_value(&r, &a, type), y = random_value(&r, &a, type);
            if (type_cmp(type, &x, &y) == 0) {
                ck_assert_uint_eq(type_hash(type, &x), type_hash(type, &y));
                equal++;
            }
        }
        ck_assert_int_gt(equal, 0);
        arena_reset(&a);
    }
    arena_fini(&a);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("types_key");
    TCase *tc = tcase_create("types_key");
    SRunner *sr;
    int failed;

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_order_of_every_type);
    tcase_add_test(tc, test_composite_keys);
    tcase_add_test(tc, test_golden_keys);
    tcase_add_test(tc, test_key_decoder_is_total);
    tcase_add_test(tc, test_equal_values_have_equal_hashes);
    suite_add_tcase(suite, tc);
    sr = srunner_create(suite);
    srunner_set_fork_status(sr, CK_NOFORK);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
