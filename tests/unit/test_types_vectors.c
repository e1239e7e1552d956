/* What PostgreSQL 15 answers (golden/types.tsv), line by line: text forms, casts, operators,
 * functions, aggregates, the choice among overloads, error codes and messages.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/types/datetime.h"
#include "engine/types/func.h"

enum { LINE_MAX = 1 << 14, FIELDS_MAX = 80, ARGS_MAX = 32 };

static const struct type_env env = { .extra_float_digits = 1 };

static void
unescape(char *s)
{
    char *to = s;

    for (; *s != 0; s++) {
        if (*s == '\\' && s[1] != 0) {
            s++;
            *to++ = *s == 'n' ? '\n' : *s == 't' ? '\t' : *s;
        } else {
            *to++ = *s;
        }
    }
    *to = 0;
}

struct line {
    char *kind, *name, *result;
    int count;
    oid_t types[ARGS_MAX];
    int32_t typmods[ARGS_MAX];
    struct datum args[ARGS_MAX];
    oid_t result_type;
};

static int
call_func(struct line *l, struct arena *a, struct datum *out)
{
    struct func_match m;
    struct datum args[ARGS_MAX];
    struct func_call call = { .env = &env, .arena = a, .site_arena = a, .arg_count = l->count };
    int rc;

    if (strcmp(l->kind, "op") == 0)
        rc = op_resolve(&func_set_builtin, slice_str(l->name), l->count == 2 ? l->types[0] : 0,
                        l->types[l->count - 1], &m);
    else
        rc = func_resolve(&func_set_builtin, slice_str(l->name), l->types, l->count, false, &m);
    if (rc != 0)
        return rc;
    l->result_type = m.result;
    if (m.cast_name != NULL)
        return cast_value(&func_set_builtin, &env, a, l->types[0], m.result, -1, CAST_EXPLICIT,
                          &l->args[0], out);
    for (int i = 0; i < l->count && rc == 0; i++) {
        args[i] = l->args[i];
        if (m.args[i] != l->types[i])
            rc = cast_value(&func_set_builtin, &env, a, l->types[i], m.args[i], -1, CAST_IMPLICIT,
                            &l->args[i], &args[i]);
    }
    call.func = m.func;
    call.arg_types = m.args;
    call.result_type = m.result;
    return rc != 0 ? rc : func_apply(&call, args, out);
}

static int
call_agg(struct line *l, struct arena *a, struct datum *out)
{
    struct func_match m;
    struct func_call call = { .env = &env, .arena = a, .site_arena = a, .arg_count = 1 };
    void *state;
    int rc = func_resolve(&func_set_builtin, slice_str(l->name), l->types, 1, false, &m);

    if (rc != 0)
        return rc;
    call.func = m.func;
    call.arg_types = m.args;
    call.result_type = l->result_type = m.result;
    state = arena_zalloc(a, m.func->agg->state_size);
    for (int i = 0; i < l->count && rc == 0; i++) {
        struct datum v;
        rc = cast_value(&func_set_builtin, &env, a, l->types[i], m.args[0], -1, CAST_IMPLICIT,
                        &l->args[i], &v);
        if (rc == 0 && !(v.is_null && (m.func->flags & FUNC_STRICT)))
            rc = m.func->agg->step(&call, state, &v);
    }
    return rc != 0 ? rc : m.func->agg->final(&call, state, out);
}

static int
run_line(struct line *l, char **fields, int count, struct arena *a, struct datum *out)
{
    int32_t typmod;
    int rc = 0;

    for (int i = 2; i + 1 < count && rc == 0; i += 2, l->count++) {
        struct datum *d = &l->args[l->count];
        rc = type_parse(slice_str(fields[i]), &l->types[l->count], &l->typmods[l->count]);
        *d = datum_null();
        if (rc != 0 || strcmp(fields[i + 1], "\\N") == 0)
            continue;
        unescape(fields[i + 1]);
        rc =
            type_in(l->types[l->count], &env, a, slice_str(fields[i + 1]), l->typmods[l->count], d);
    }
    if (rc != 0)
        return rc;
    if (strcmp(l->kind, "in") == 0) {
        l->result_type = l->types[0];
        *out = l->args[0];
        return 0;
    }
    if (strcmp(l->kind, "cast") == 0) {
        rc = type_parse(slice_str(l->name), &l->result_type, &typmod);
        return rc != 0 ? rc
                       : cast_value(&func_set_builtin, &env, a, l->types[0], l->result_type, typmod,
                                    CAST_EXPLICIT, &l->args[0], out);
    }
    return strcmp(l->kind, "agg") == 0 ? call_agg(l, a, out) : call_func(l, a, out);
}

static const char *
result_text(struct line *l, int rc, const struct datum *out, struct arena *a)
{
    if (rc != 0)
        return arena_printf(a, "ERR %s %s", err_sqlstate(rc), diag_last()->message);
    if (out->is_null)
        return "\\N";
    if (l->result_type == TYPE_BOOL)
        return out->i != 0 ? "true" : "false";
    return type_out_str(l->result_type, &env, a, out);
}

START_TEST(test_vectors)
{
    static char text[LINE_MAX];
    FILE *f = fopen("tests/unit/golden/types.tsv", "r");
    struct arena a;
    int lines = 0, wrong = 0;

    ck_assert_ptr_nonnull(f);
    arena_init(&a, NULL);
    while (fgets(text, sizeof text, f) != NULL) {
        char *fields[FIELDS_MAX], *line, *next = text;
        struct line l = { 0 };
        struct datum out = datum_null();
        const char *got;
        int count = 0, rc;
        if (text[0] == '#')
            continue;
        text[strcspn(text, "\n")] = 0;
        line = arena_strdup(&a, text);
        while ((fields[count++] = strsep(&next, "\t")) != NULL)
            ck_assert_int_lt(count, FIELDS_MAX);
        count--;
        l.kind = fields[0];
        l.name = fields[1];
        l.result = fields[--count];
        rc = run_line(&l, fields, count, &a, &out);
        got = result_text(&l, rc, &out, &a);
        if (strcmp(l.result, "\\N") != 0 && strncmp(l.result, "ERR ", 4) != 0)
            unescape(l.result);
        if (strcmp(got, l.result) != 0 && wrong++ < 10)
            printf("%s\n    gave %s\n", line, got);
        lines++;
        arena_reset(&a);
    }
    fclose(f);
    arena_fini(&a);
    printf("%d lines, %d wrong\n", lines, wrong);
    ck_assert_int_gt(lines, 3000);
    ck_assert_int_eq(wrong, 0);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("types_vectors");
    TCase *tc = tcase_create("types_vectors");
    SRunner *sr;
    int failed;

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_vectors);
    suite_add_tcase(suite, tc);
    sr = srunner_create(suite);
    srunner_set_fork_status(sr, CK_NOFORK);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
