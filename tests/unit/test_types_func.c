/* The tables of functions hang together; batch kernels agree with those of one row; split
 * aggregates with whole ones; text and binary forms with themselves; refusals have PostgreSQL's
 * words.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "engine/types/array.h"
#include "engine/types/chars.h"
#include "engine/types/func.h"
#include "tests/support/types_random.h"

static const struct type_env env = { .extra_float_digits = 1 };

/* ---- characters ---------------------------------------------------------------------------- */

START_TEST(test_characters_are_counted)
{
    static const char *const one[] = { "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80" };
    struct rng r = { test_seed("characters") };
    char text[256];

    for (int round = 0; round < 1000; round++) {
        size_t size = 0, count = rng_below(&r, 60);

        for (size_t i = 0; i < count; i++) {
            const char *c = one[rng_one_in(&r, 3) ? rng_below(&r, 4) : 0];

            memcpy(text + size, c, strlen(c));
            size += strlen(c);
        }
        ck_assert_uint_eq(chars_count(slice(text, size)), count);
    }
}
END_TEST

/* ---- tables -------------------------------------------------------------------------------- */

/* TYPES-7 */
START_TEST(test_tables_hang_together)
{
    const struct func *f;
    const struct op *o;

    for (size_t i = 0; (f = func_at(&func_set_builtin, i)) != NULL; i++) {
        ck_assert_msg(func_by_oid(&func_set_builtin, f->oid) == f, "two functions of OID %u",
                      f->oid);
        ck_assert(type_find(f->result) != NULL);
        for (int k = 0; k < f->arg_count; k++)
            ck_assert(type_find(f->args[k]) != NULL);
        ck_assert_msg((f->fn != NULL) + (f->agg != NULL) + ((f->flags & FUNC_SET) != 0) == 1,
                      "%s is one of function, aggregate, set", f->name);
    }
    for (size_t i = 0; (o = op_at(&func_set_builtin, i)) != NULL; i++) {
        const struct op *c, *n;
        ck_assert(op_by_oid(&func_set_builtin, o->oid) == o);
        f = func_by_oid(&func_set_builtin, o->func_oid);
        ck_assert_msg(f != NULL, "operator %u %s has no function", o->oid, o->name);
        ck_assert_uint_eq(f->result, o->result);
        ck_assert_int_eq(f->arg_count, o->left == 0 ? 1 : 2);
        c = o->commutator == 0 ? NULL : op_by_oid(&func_set_builtin, o->commutator);
        n = o->negator == 0 ? NULL : op_by_oid(&func_set_builtin, o->negator);
        ck_assert((c != NULL) == (o->commutator != 0) && (n != NULL) == (o->negator != 0));
        if (c != NULL)
            ck_assert(c->left == o->right && c->right == o->left);
        if (n != NULL)
            ck_assert(n->left == o->left && n->right == o->right);
    }
}
END_TEST

/* TYPES-7 */
START_TEST(test_casts_are_sorted_and_found)
{
    const struct cast *c, *before = NULL;

    for (size_t i = 0; (c = cast_at(&func_set_builtin, i)) != NULL; i++) {
        struct cast_path p = cast_find(&func_set_builtin, c->source, c->target, CAST_EXPLICIT);
        ck_assert(before == NULL || before->source < c->source ||
                  (before->source == c->source && before->target < c->target));
        ck_assert_int_eq(p.kind, c->func_oid == 0 ? CAST_RELABEL : CAST_FUNC);
        if (p.func != NULL)
            ck_assert_uint_eq(p.func->oid, c->func_oid);
        else /* a relabelled value keeps its form */
            ck_assert_int_eq(type_get(c->source)->rep, type_get(c->target)->rep);
        before = c;
    }
}
END_TEST

START_TEST(test_types_hang_together)
{
    const struct type *t, *before = NULL;

    for (size_t i = 0; (t = type_by_index(i)) != NULL; i++) {
        ck_assert(before == NULL || before->oid < t->oid);
        ck_assert(type_find(t->oid) == t && type_by_name(slice_str(t->name)) == t);
        ck_assert(t->in != NULL && t->out != NULL && t->recv != NULL && t->send != NULL);
        ck_assert(t->rep == REP_BYTES || t->row_size > 0 || t->is_pseudo);
        if (t->array_oid != 0)
            ck_assert_uint_eq(type_get(t->array_oid)->elem_oid, t->oid);
        before = t;
    }
    ck_assert(type_find(4711) == NULL);
}
END_TEST

/* ---- batches ------------------------------------------------------------------------------- */

enum { ROWS = 200 };

static void
random_vec(struct rng *r, struct arena *a, oid_t type, struct vec *v)
{
    bool small = rng_one_in(r, 2);

    if (rng_one_in(r, 4)) {
        struct datum d = random_value_or_null(r, a, type);
        vec_init_const(v, a, type, &d);
        return;
    }
    vec_init(v, a, type);
    for (uint32_t row = 0; row < BATCH_ROWS_MAX; row++) {
        struct datum d = random_value_or_null(r, a, type);
        if (small && v->rep == REP_INT)
            d.i = rng_below(r, 5);
        vec_set(v, row, &d);
    }
    if (rng_one_in(r, 6)) { /* no bitmap: no nulls */
        for (uint32_t row = 0; row < BATCH_ROWS_MAX; row++) {
            struct datum d = vec_get(v, row);
            if (d.is_null) {
                d = random_value(r, a, type);
                vec_set(v, row, &d);
            }
        }
        v->valid = NULL;
    }
}

static uint32_t
random_sel(struct rng *r, uint16_t *sel)
{
    uint32_t n = 0;

    for (uint32_t row = 0; row < ROWS; row++) {
        if (rng_one_in(r, 2))
            sel[n++] = (uint16_t)row;
    }
    return n;
}

static void
check_batch(struct rng *r, struct arena *a, const struct func *f)
{
    struct func_call call = { .func = f,
                              .env = &env,
                              .arena = a,
                              .site_arena = a,
                              .arg_count = f->arg_count,
                              .arg_types = f->args,
                              .result_type = f->result };
    struct vec args[4], out;
    const struct vec *pointers[4];
    uint16_t sel[ROWS];
    bool has_sel = rng_one_in(r, 2);
    uint32_t count = has_sel ? random_sel(r, sel) : ROWS;
    int rc, wanted_rc = 0;

    for (int i = 0; i < f->arg_count; i++) {
        random_vec(r, a, f->args[i], &args[i]);
        pointers[i] = &args[i];
    }
    vec_init(&out, a, f->result);
    rc = func_apply_batch(&call, pointers, has_sel ? sel : NULL, count, &out);
    for (uint32_t k = 0; k < count && wanted_rc == 0; k++) {
        uint32_t row = has_sel ? sel[k] : k;
        struct datum values[4], wanted, got;
        for (int i = 0; i < f->arg_count; i++)
            values[i] = vec_get(&args[i], row);
        wanted_rc = func_apply(&call, values, &wanted);
        got = vec_get(&out, row);
        if (rc == 0 && wanted_rc == 0)
            ck_assert_msg(same_value(f->result, &wanted, &got), "%s(%u) row %u", f->name, f->oid,
                          row);
    }
    ck_assert_msg(rc == wanted_rc, "%s: %d, %d", f->name, rc, wanted_rc);
}

/* TYPES-8 */
START_TEST(test_batch_kernels_agree)
{
    struct rng r = { test_seed("batches") };
    const struct func *f;
    struct arena a;
    int seen = 0;

    arena_init(&a, NULL);
    for (size_t i = 0; (f = func_at(&func_set_builtin, i)) != NULL; i++) {
        if (f->batch == NULL)
            continue;
        for (int k = 0; k < 4; k++) {
            check_batch(&r, &a, f);
            arena_reset(&a);
        }
        seen++;
    }
    ck_assert_int_gt(seen, 100);
    arena_fini(&a);
}
END_TEST

/* ---- aggregates ---------------------------------------------------------------------------- */

static void
check_agg(struct rng *r, struct arena *a, const struct func *f)
{
    oid_t arg_types[2] = { f->args[0], f->arg_count > 1 ? f->args[1] : 0 };
    struct func_call call = { .func = f,
                              .env = &env,
                              .arena = a,
                              .site_arena = a,
                              .arg_count = f->arg_count,
                              .arg_types = arg_types,
                              .result_type = f->result };
    void *whole = arena_zalloc(a, f->agg->state_size), *part[3], *batch, *row_states[ROWS];
    struct vec args[2];
    const struct vec *pointers[2] = { &args[0], &args[1] };
    struct datum w, c, b;
    int rc = 0;

    for (int i = 0; i < f->arg_count; i++) {
        if (type_get(arg_types[i])->is_pseudo)
            arg_types[i] = TYPE_INT4;
        random_vec(r, a, arg_types[i], &args[i]);
    }
    for (int i = 0; i < 3; i++)
        part[i] = arena_zalloc(a, f->agg->state_size);
    batch = arena_zalloc(a, f->agg->state_size);
    for (uint32_t row = 0; row < ROWS; row++) {
        struct datum v[2] = { datum_null(), datum_null() };
        bool has_null = false;
        row_states[row] = part[row % 3];
        for (int i = 0; i < f->arg_count; i++) {
            v[i] = vec_get(&args[i], row);
            has_null |= v[i].is_null;
        }
        if ((f->flags & FUNC_STRICT) && has_null)
            continue;
        rc = f->agg->step(&call, whole, v);
        if (rc != 0)
            return; /* overflow: the batch may find it elsewhere */
    }
    if (agg_apply_batch(&call, row_states, false, pointers, NULL, ROWS) != 0 ||
        agg_apply_batch(&call, &batch, true, pointers, NULL, ROWS) != 0)
        return;
    rc = f->agg->final(&call, whole, &w);
    ck_assert_int_eq(f->agg->final(&call, batch, &b), rc);
    if (rc != 0)
        return;
    ck_assert_msg(same_value(w.is_null ? TYPE_INT4 : f->result, &w, &b), "%s: batch", f->name);
    if (f->agg->combine == NULL)
        return;
    for (int i = 1; i < 3; i++) {
        if (f->agg->combine(&call, part[0], part[i]) != 0)
            return;
    }
    rc = f->agg->final(&call, part[0], &c);
    ck_assert_int_eq(rc, 0);
    /* Floats add up differently in another order. */
    if (f->arg_count == 0 || type_get(arg_types[0])->rep != REP_FLOAT)
        ck_assert_msg(w.is_null ? c.is_null : type_cmp(f->result, &w, &c) == 0, "%s: parts",
                      f->name);
}

/* TYPES-9 */
START_TEST(test_aggregates_in_parts)
{
    struct rng r = { test_seed("aggregates") };
    const struct func *f;
    struct arena a;

    arena_init(&a, NULL);
    for (size_t i = 0; (f = func_at(&func_set_builtin, i)) != NULL; i++) {
        for (int k = 0; f->agg != NULL && f->result != TYPE_ANYARRAY && k < 4; k++) {
            check_agg(&r, &a, f);
            arena_reset(&a);
        }
    }
    arena_fini(&a);
}
END_TEST

/* ---- forms --------------------------------------------------------------------------------- */

/* TYPES-6 */
START_TEST(test_forms_come_back)
{
    struct rng r = { test_seed("forms") };
    struct arena a;

    arena_init(&a, NULL);
    for (size_t k = 0; k < random_type_count; k++) {
        oid_t type = random_types[k];
        for (int i = 0; i < 1500; i++) {
            struct datum d = random_value(&r, &a, type), back;
            struct writer w;
            wr_init(&w, 0);
            type_out(type, &env, &d, &w);
            ck_assert_msg(type_in(type, &env, &a, wr_view(&w), -1, &back) == 0, "%s: %.*s: %s",
                          type_sql_name(type), (int)w.size, (char *)w.data, diag_last()->message);
            ck_assert_msg(same_value(type, &d, &back), "%s: %.*s", type_sql_name(type), (int)w.size,
                          (char *)w.data);
            wr_reset(&w);
            type_send(type, &env, &d, &w);
            ck_assert_int_eq(type_recv(type, &env, &a, wr_view(&w), -1, &back), 0);
            ck_assert_msg(same_value(type, &d, &back), "%s: binary", type_sql_name(type));
            wr_fini(&w);
            if (i % 100 == 0)
                arena_reset(&a);
        }
    }
    arena_fini(&a);
}
END_TEST

/* ---- refusals ------------------------------------------------------------------------------ */

START_TEST(test_refusals)
{
    struct func_match m;
    oid_t args[] = { TYPE_INT4, TYPE_TEXT }, common;
    int32_t bad = -1;

    ck_assert_int_eq(func_resolve(&func_set_builtin, slice_str("nope"), args, 2, false, &m),
                     ERR_UNDEFINED_FUNCTION);
    ck_assert_str_eq(diag_last()->message, "function nope(integer, text) does not exist");
    ck_assert_str_eq(diag_last()->hint, "No function matches the given name and argument types. "
                                        "You might need to add explicit type casts.");
    ck_assert_int_eq(op_resolve(&func_set_builtin, slice_str("+"), TYPE_BOOL, TYPE_BOOL, &m),
                     ERR_UNDEFINED_FUNCTION);
    ck_assert_str_eq(diag_last()->message, "operator does not exist: boolean + boolean");
    ck_assert_int_eq(op_resolve(&func_set_builtin, slice_str("@"), 0, TYPE_UNKNOWN, &m), 0);
    ck_assert_int_eq(op_resolve(&func_set_builtin, slice_str("+"), TYPE_UNKNOWN, TYPE_UNKNOWN, &m),
                     ERR_AMBIGUOUS_FUNCTION);
    ck_assert_str_eq(diag_last()->message, "operator is not unique: unknown + unknown");
    ck_assert_int_eq(cast_common_type(&func_set_builtin, "UNION", args, 2, &common, &bad),
                     ERR_DATATYPE_MISMATCH);
    ck_assert_str_eq(diag_last()->message, "UNION types integer and text cannot be matched");
    ck_assert_int_eq(bad, 1);
    args[1] = TYPE_NUMERIC;
    ck_assert_int_eq(cast_common_type(&func_set_builtin, "CASE", args, 2, &common, &bad), 0);
    ck_assert_uint_eq(common, TYPE_NUMERIC);
}
END_TEST

START_TEST(test_polymorphic_results)
{
    struct func_match m;
    oid_t args[] = { TYPE_TEXT_ARRAY, TYPE_INT4 };

    ck_assert_int_eq(func_resolve(&func_set_builtin, slice_str("unnest"), args, 1, false, &m), 0);
    ck_assert_uint_eq(m.result, TYPE_TEXT);
    ck_assert(m.func->flags & FUNC_SET);
    args[0] = TYPE_INT8;
    ck_assert_int_eq(func_resolve(&func_set_builtin, slice_str("array_agg"), args, 1, false, &m),
                     0);
    ck_assert_uint_eq(m.result, TYPE_INT8_ARRAY);
    ck_assert_int_eq(func_resolve(&func_set_builtin, slice_str("count"), args, 1, false, &m), 0);
    ck_assert_uint_eq(m.args[0], TYPE_INT8);
    ck_assert_int_eq(func_resolve(&func_set_builtin, slice_str("count"), args, 0, false, &m), 0);
    ck_assert_uint_eq(m.result, TYPE_INT8);
    args[0] = TYPE_UNKNOWN;
    ck_assert_int_eq(func_resolve(&func_set_builtin, slice_str("int4"), args, 1, false, &m), 0);
    ck_assert_str_eq(m.cast_name, "int4");
}
END_TEST

START_TEST(test_any_and_all)
{
    struct func_call call = { .func = func_by_oid(&func_set_builtin, 65), .arg_count = 2 };
    struct arena a;
    struct datum elems[3] = { datum_int(1), datum_null(), datum_int(3) }, array, x, out;

    arena_init(&a, NULL);
    array = array_make(&a, TYPE_INT4, elems, 3, 1);
    x = datum_int(3);
    ck_assert_int_eq(array_any(&call, &x, &array, false, &out), 0);
    ck_assert(!out.is_null && out.i == 1);
    x = datum_int(4);
    ck_assert_int_eq(array_any(&call, &x, &array, false, &out), 0);
    ck_assert(out.is_null);
    ck_assert_int_eq(array_any(&call, &x, &array, true, &out), 0);
    ck_assert(!out.is_null && out.i == 0);
    array = array_make(&a, TYPE_INT4, elems, 0, 1);
    ck_assert_int_eq(array_any(&call, &x, &array, true, &out), 0);
    ck_assert(!out.is_null && out.i == 1);
    ck_assert(array_get(&array, 1).is_null);
    arena_fini(&a);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("types_func");
    TCase *tc = tcase_create("types_func");
    SRunner *sr;
    int failed;

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_characters_are_counted);
    tcase_add_test(tc, test_tables_hang_together);
    tcase_add_test(tc, test_casts_are_sorted_and_found);
    tcase_add_test(tc, test_types_hang_together);
    tcase_add_test(tc, test_batch_kernels_agree);
    tcase_add_test(tc, test_aggregates_in_parts);
    tcase_add_test(tc, test_forms_come_back);
    tcase_add_test(tc, test_refusals);
    tcase_add_test(tc, test_polymorphic_results);
    tcase_add_test(tc, test_any_and_all);
    suite_add_tcase(suite, tc);
    sr = srunner_create(suite);
    srunner_set_fork_status(sr, CK_NOFORK);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
