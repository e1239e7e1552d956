/* TYPES-3: no bytes from a client, a disk or a file do more than give a value or an error: text and
 * binary input, names of types, patterns, templates, zone files; and every function takes every
 * value of its types.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/types/datetime.h"
#include "engine/types/func.h"
#include "engine/types/regex.h"
#include "engine/types/zone.h"
#include "tests/support/types_random.h"

static int64_t
now_cb(void *arg)
{
    (void)arg;
    return INT64_C(757382400123456);
}

static uint64_t
random_cb(void *arg)
{
    return rng_u64(arg);
}

static void
seed_cb(void *arg, double seed)
{
    (void)arg, (void)seed;
}

/* Texts that mean something to some reader. */
static const char *const dictionary[] = {
    "1",
    "-1",
    "2147483648",
    "1e5",
    "NaN",
    "infinity",
    ".5",
    "2024-02-29",
    "10:20:30.5",
    "PM",
    "BC",
    "Feb",
    "29",
    "now",
    "today",
    "epoch",
    "+02",
    "UTC",
    "T",
    "J2451187",
    "{1,2}",
    "{\"a\",NULL}",
    "\\x00ff",
    "\\001",
    "t",
    "false",
    "1 day",
    "P1Y2M",
    "ago",
    "-04:05",
    "abc",
    "\xc3\xa4",
    " ",
    ",",
    "a*",
    "(a|b)+",
    "[a-z]",
    "[^",
    "{2,3}",
    "\\d",
    "^",
    "$",
    "%",
    "_",
    "YYYY",
    "FMMonth",
    "HH24:MI",
    "999.99",
    "FM0",
    "S9",
    "hour",
    "century",
    "hex",
    "base64",
    "%s",
    "%1$I",
    "integer",
    "numeric(8,2)",
    "varchar(3)",
    "timestamp(3) with time zone",
    "int4[]",
    "\"char\"",
    "pg_catalog.text",
    "Europe/Paris",
    "CET-1CEST,M3.5.0,M10.5.0/3",
    "g",
    "i",
    "0",
    "",
    "--",
    "'",
};
enum { DICTIONARY = sizeof dictionary / sizeof dictionary[0] };

/* One to four words, at times with a byte changed: often nearly right. */
static struct slice
random_input(struct rng *r, struct arena *a)
{
    char *buf = arena_alloc(a, 256);
    size_t n = 0;

    for (uint32_t words = rng_below(r, 4) + 1; words > 0; words--) {
        const char *w = dictionary[rng_below(r, DICTIONARY)];
        memcpy(buf + n, w, strlen(w));
        n += strlen(w);
        if (rng_one_in(r, 3))
            buf[n++] = " -:.,/"[rng_below(r, 6)];
    }
    for (uint32_t k = rng_below(r, 3); k > 0 && n > 0; k--) {
        /* ASCII only: text is UTF-8 by the time it comes here */
        uint32_t at = rng_below(r, (uint32_t)n);
        if ((buf[at] & 0x80) == 0)
            buf[at] = (char)(1 + rng_below(r, 126));
    }
    return slice(buf, n);
}

static void
use_value(oid_t type, const struct type_env *env, struct arena *a, const struct datum *d)
{
    struct writer w;

    type_out_str(type, env, a, d);
    wr_init(&w, 0);
    type_send(type, env, d, &w);
    wr_fini(&w);
    if (type_get(type)->hash != NULL)
        (void)type_hash(type, d);
}

START_TEST(test_input_is_total)
{
    struct rng r = { test_seed("input") };
    struct type_env env = { .extra_float_digits = 1, .now_transaction = now_cb };
    struct arena a;

    arena_init(&a, NULL);
    for (int i = 0; i < 60000; i++) {
        const struct type *t = type_by_index(rng_below(&r, 60));
        struct slice text = random_input(&r, &a);
        int32_t typmod = rng_one_in(&r, 3) ? (int32_t)rng_below(&r, 20) + 4 : -1;
        struct datum d;
        oid_t oid;
        if (t == NULL)
            continue;
        env.date_order = (uint8_t)rng_below(&r, 3);
        if (t->in(t, &env, &a, text, typmod, &d) == 0)
            use_value(t->oid, &env, &a, &d);
        if (t->recv(t, &env, &a, text, typmod, &d) == 0)
            use_value(t->oid, &env, &a, &d);
        (void)!type_parse(text, &oid, &typmod);
        if (i % 64 == 0)
            arena_reset(&a);
    }
    arena_fini(&a);
}
END_TEST

START_TEST(test_binary_input_is_total)
{
    struct rng r = { test_seed("binary") };
    struct arena a;

    arena_init(&a, NULL);
    for (int i = 0; i < 60000; i++) {
        oid_t type = random_types[rng_below(&r, (uint32_t)random_type_count)];
        struct datum d = random_value(&r, &a, type), back;
        struct writer w;
        wr_init(&w, 0);
        type_send(type, NULL, &d, &w);
        for (uint32_t k = rng_below(&r, 4); k > 0 && w.size > 0; k--)
            w.data[rng_below(&r, (uint32_t)w.size)] ^= (uint8_t)(1u << rng_below(&r, 8));
        if (rng_one_in(&r, 4) && w.size > 0)
            wr_shrink(&w, rng_below(&r, (uint32_t)w.size));
        if (type_recv(type, NULL, &a, wr_view(&w), -1, &back) == 0)
            use_value(type, NULL, &a, &back);
        wr_fini(&w);
        if (i % 64 == 0)
            arena_reset(&a);
    }
    arena_fini(&a);
}
END_TEST

/* Every function with every kind of argument; results of 16 MiB and more are refused by the
 * budget. */
START_TEST(test_every_function_takes_every_value)
{
    struct rng r = { test_seed("functions") };
    struct type_env env = { .arg = &r,
                            .extra_float_digits = 1,
                            .now_transaction = now_cb,
                            .now_statement = now_cb,
                            .now_clock = now_cb,
                            .random = random_cb,
                            .random_seed = seed_cb };
    struct budget budget;
    struct arena a, site;
    const struct func *f;
    int called = 0;

    budget_init(&budget, "test", 16 << 20, NULL);
    arena_init(&a, &budget);
    arena_init(&site, NULL);
    ck_assert_int_eq(zone_load(NULL, &site, slice_str("CET-1CEST,M3.5.0,M10.5.0/3"), &env.zone), 0);
    for (size_t i = 0; (f = func_at(&func_set_builtin, i)) != NULL; i++) {
        for (int k = 0; f->fn != NULL && k < 40; k++) {
            oid_t types[FUNC_TABLE_ARGS_MAX];
            struct datum args[FUNC_TABLE_ARGS_MAX], out;
            struct func_call call = { .func = f,
                                      .env = &env,
                                      .arena = &a,
                                      .site_arena = &site,
                                      .arg_count = f->arg_count,
                                      .arg_types = types,
                                      .result_type = f->result };
            for (int n = 0; n < f->arg_count; n++) {
                types[n] = f->args[n];
                if (types[n] == TYPE_ANYARRAY || types[n] == TYPE_ANYCOMPATIBLEARRAY)
                    types[n] = TYPE_INT4_ARRAY;
                else if (type_get(types[n])->is_pseudo)
                    types[n] = types[n] == TYPE_ANY && rng_one_in(&r, 2) ? TYPE_TEXT : TYPE_INT4;
                args[n] = random_value_or_null(&r, &a, types[n]);
                if (types[n] == TYPE_TEXT && rng_one_in(&r, 2))
                    args[n] = datum_slice(random_input(&r, &a));
            }
            if (func_apply(&call, args, &out) == 0 && !out.is_null)
                use_value(type_get(f->result)->is_pseudo ? TYPE_VOID : f->result, &env, &site,
                          &out);
            arena_reset(&a);
            called++;
        }
        arena_mark(&site);
    }
    ck_assert_int_gt(called, 10000);
    arena_fini(&a);
    arena_fini(&site);
}
END_TEST

START_TEST(test_patterns_are_total)
{
    struct rng r = { test_seed("patterns") };
    struct arena a;

    arena_init(&a, NULL);
    for (int i = 0; i < 20000; i++) {
        const struct regex *re;
        struct regex_span spans[REGEX_GROUPS_MAX];
        struct slice text = random_input(&r, &a);
        if (regex_compile(&a, random_input(&r, &a), rng_one_in(&r, 2), &re) == 0) {
            bool found = regex_search(re, &a, text, 0, NULL);
            ck_assert(found == regex_search(re, &a, text, 0, spans));
            if (found)
                ck_assert(spans[0].from >= 0 && spans[0].from <= spans[0].to &&
                          spans[0].to <= (int64_t)text.size);
        }
        if (i % 64 == 0)
            arena_reset(&a);
    }
    arena_fini(&a);
}
END_TEST

/* The patterns on which backtracking matchers take exponential time. */
START_TEST(test_patterns_cost_no_more_than_their_size)
{
    struct arena a;
    char *text;
    static const char *const evil[] = { "(a*)*b", "(a|a)*b", "(a|aa)+$x", "a{0,60}a{60}b",
                                        "(.*)(.*)(.*)(.*)b$" };

    arena_init(&a, NULL);
    text = arena_alloc(&a, 3000);
    memset(text, 'a', 3000);
    for (size_t i = 0; i < sizeof evil / sizeof evil[0]; i++) {
        const struct regex *re;
        ck_assert_int_eq(regex_compile(&a, slice_str(evil[i]), false, &re), 0);
        ck_assert(!regex_search(re, &a, slice(text, 3000), 0, NULL));
    }
    arena_fini(&a);
}
END_TEST

static const char *
read_zone(struct arena *a, const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    char *buf = arena_alloc(a, 1 << 16);

    *size = f == NULL ? 0 : fread(buf, 1, 1 << 16, f);
    if (f != NULL)
        fclose(f);
    return buf;
}

START_TEST(test_zone_files_are_total)
{
    struct rng r = { test_seed("zones") };
    struct arena a, scratch;
    size_t size;
    const char *file;

    arena_init(&a, NULL);
    arena_init(&scratch, NULL);
    file = read_zone(&a, "/usr/share/zoneinfo/Europe/Paris", &size);
    for (int i = 0; size > 0 && i < 3000; i++) {
        uint8_t *copy = arena_memdup(&scratch, file, size);
        const struct zone *z;
        size_t n = rng_one_in(&r, 3) ? rng_below(&r, (uint32_t)size) : size;
        for (uint32_t k = rng_below(&r, 4); k > 0; k--)
            copy[rng_below(&r, rng_one_in(&r, 2) ? 100 : (uint32_t)size)] = (uint8_t)rng_u64(&r);
        if (zone_from_tzif(&scratch, "x", slice(copy, n), &z) == 0) {
            for (int k = 0; k < 20; k++) {
                int64_t s = (int64_t)rng_u64(&r) / 1000000;
                (void)zone_offset_utc(z, s, NULL);
                (void)zone_offset_local(z, s);
            }
        }
        arena_reset(&scratch);
    }
    for (int i = 0; i < 5000; i++) {
        const struct zone *z;
        if (zone_load(NULL, &scratch, random_input(&r, &scratch), &z) == 0)
            (void)zone_offset_local(z, (int64_t)rng_u64(&r) / 1000000);
        arena_reset(&scratch);
    }
    arena_fini(&a);
    arena_fini(&scratch);
}
END_TEST

/* Gaps and overlaps of a rule, and of the file of the same zone. */
START_TEST(test_zone_switches)
{
    static const struct {
        int64_t local; /* since 1970 */
        int32_t offset;
    } rows[] = {
        { 1711850400, 3600 }, /* 2024-03-31 02:00, which does not come */
        { 1711853999, 3600 }, { 1711854000, 7200 }, { 1711850399, 3600 },
        { 1729994400, 3600 }, /* 2024-10-27 02:00, which comes twice: the later */
        { 1729994399, 7200 }, { 1729998000, 3600 }, { 1719792000, 7200 },
        { 4102444800, 3600 },
    };
    struct arena a;
    const struct zone *rule, *zone = NULL;
    size_t size;
    const char *file;

    arena_init(&a, NULL);
    ck_assert_int_eq(zone_load(NULL, &a, slice_str("CET-1CEST,M3.5.0,M10.5.0/3"), &rule), 0);
    file = read_zone(&a, "/usr/share/zoneinfo/Europe/Paris", &size);
    if (size > 0)
        ck_assert_int_eq(zone_from_tzif(&a, "Europe/Paris", slice(file, size), &zone), 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ck_assert_int_eq(zone_offset_local(rule, rows[i].local), rows[i].offset);
        if (zone != NULL)
            ck_assert_int_eq(zone_offset_local(zone, rows[i].local), rows[i].offset);
    }
    arena_fini(&a);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("types_fuzz");
    TCase *tc = tcase_create("types_fuzz");
    SRunner *sr;
    int failed;

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_input_is_total);
    tcase_add_test(tc, test_binary_input_is_total);
    tcase_add_test(tc, test_every_function_takes_every_value);
    tcase_add_test(tc, test_patterns_are_total);
    tcase_add_test(tc, test_patterns_cost_no_more_than_their_size);
    tcase_add_test(tc, test_zone_files_are_total);
    tcase_add_test(tc, test_zone_switches);
    suite_add_tcase(suite, tc);
    sr = srunner_create(suite);
    srunner_set_fork_status(sr, CK_NOFORK);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
