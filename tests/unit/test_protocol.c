/* The wire protocol's codec: whatever bytes come, a value or an error.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/utf8.h"
#include "engine/server/protocol.h"

static uint64_t random_state;

static uint64_t
random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static struct slice
put(struct writer *w, uint8_t type, const void *body, size_t size)
{
    size_t at = proto_begin(w, type);

    wr_bytes(w, body, size);
    proto_end(w, at);
    return slice(w->data + at + 5, size);
}

/* ---- framing -------------------------------------------------------------------------------- */

/* PROTO-1: a message is taken only whole, wherever the bytes are cut. */
START_TEST(test_every_cut)
{
    static const char *const bodies[] = { "", "a", "hello, world", "x" };
    struct writer w;

    wr_init(&w, 0);
    for (int i = 0; i < 4; i++)
        put(&w, (uint8_t)('A' + i), bodies[i], strlen(bodies[i]));
    for (size_t cut = 0; cut <= w.size; cut++) {
        size_t at = 0, need, whole = 0;
        struct proto_message m;

        for (int i = 0; i < 4; i++) {
            ck_assert_int_eq(proto_next(slice(w.data + at, cut - at), false, 100, &m, &need), 0);
            if (m.size == 0) {
                ck_assert_uint_gt(at + need, cut);
                break;
            }
            ck_assert_int_eq(m.type, 'A' + i);
            ck_assert(slice_eq(m.body, slice_str(bodies[i])));
            at += m.size;
            whole++;
        }
        ck_assert_uint_le(at, cut);
        ck_assert(cut < w.size || whole == 4);
    }
    wr_fini(&w);
}
END_TEST

/* PROTO-2: a length that cannot be is refused when the header is there, before any memory. */
START_TEST(test_lengths)
{
    static const uint32_t bad[] = { 0, 1, 3, 101, 0x7fffffff, 0x80000000, 0xffffffff };
    struct proto_message m;
    uint8_t head[8] = { 'Q' };
    size_t need;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        store_u32_be(head + 1, bad[i]);
        ck_assert_int_eq(proto_next(slice(head, 5), false, 100, &m, &need), ERR_PROTOCOL);
        store_u32_be(head, bad[i]);
        ck_assert_int_eq(proto_next(slice(head, 4), true, 100, &m, &need), ERR_PROTOCOL);
        head[0] = 'Q';
    }
    store_u32_be(head, 7); /* a startup packet has at least its code */
    ck_assert_int_eq(proto_next(slice(head, 4), true, 100, &m, &need), ERR_PROTOCOL);
    head[0] = 'Q';
    store_u32_be(head + 1, 100);
    ck_assert_int_eq(proto_next(slice(head, 5), false, 100, &m, &need), 0);
    ck_assert_uint_eq(m.size, 0);
    ck_assert_uint_eq(need, 101);
}
END_TEST

/* ---- startup -------------------------------------------------------------------------------- */

#define STARTUP(text) "\0\3\0\0" text

static int
startup(const void *body, size_t size, struct proto_startup *out, char *scratch)
{
    return proto_decode_startup(slice(body, size), scratch, out);
}

START_TEST(test_startup)
{
    static const char body[] =
        STARTUP("user\0bob\0database\0d1\0application_name\0psql\0client_encoding\0UTF8\0"
                "options\0-c geqo=off  --statement-timeout=5\\ s -csearch_path=a\0"
                "extra_float_digits\0002\0_pq_.x\0y\0");
    struct proto_startup s;
    char scratch[sizeof body];

    ck_assert_int_eq(startup(body, sizeof body, &s, scratch), 0);
    ck_assert_str_eq(s.user, "bob");
    ck_assert_str_eq(s.database, "d1");
    ck_assert_str_eq(s.application_name, "psql");
    ck_assert_str_eq(s.client_encoding, "UTF8");
    ck_assert_int_eq(s.unknown_count, 1);
    ck_assert_int_eq(s.setting_count, 4);
    ck_assert_str_eq(s.settings[0].name, "extra_float_digits");
    ck_assert_str_eq(s.settings[1].name, "geqo");
    ck_assert_str_eq(s.settings[1].value, "off");
    ck_assert_str_eq(s.settings[2].name, "statement_timeout");
    ck_assert_str_eq(s.settings[2].value, "5 s");
    ck_assert_str_eq(s.settings[3].value, "a");
    for (size_t cut = 0; cut < sizeof body; cut++)
        ck_assert_int_ne(startup(body, cut, &s, scratch), 0);
    ck_assert_int_eq(startup("\0\2\0\0user\0b\0", 12, &s, scratch), ERR_NOT_SUPPORTED);
    ck_assert_int_eq(startup(STARTUP("user\0\xff\0"), 12, &s, scratch),
                     ERR_CHARACTER_NOT_IN_REPERTOIRE);
    ck_assert_int_eq(startup(STARTUP("options\0-x\0"), 16, &s, scratch), ERR_SYNTAX);
    ck_assert_int_eq(startup(STARTUP("options\0-c\0"), 16, &s, scratch), ERR_SYNTAX);
}
END_TEST

START_TEST(test_cancel_and_ssl)
{
    uint8_t body[13] = { 0 };
    struct proto_startup s;

    store_u32_be(body, PROTO_CANCEL);
    store_u32_be(body + 4, 77);
    store_u32_be(body + 8, 88);
    ck_assert_int_eq(startup(body, 12, &s, NULL), 0);
    ck_assert_uint_eq(s.process_id, 77);
    ck_assert_uint_eq(s.secret, 88);
    ck_assert_int_eq(startup(body, 11, &s, NULL), ERR_PROTOCOL);
    ck_assert_int_eq(startup(body, 13, &s, NULL), ERR_PROTOCOL);
    store_u32_be(body, PROTO_SSL);
    ck_assert_int_eq(startup(body, 4, &s, NULL), 0);
    ck_assert_int_eq(startup(body, 5, &s, NULL), ERR_PROTOCOL);
}
END_TEST

/* ---- queries -------------------------------------------------------------------------------- */

START_TEST(test_bind)
{
    static const char body[] = "p\0s\0"
                               "\0\2\0\0\0\1"                   /* formats: text, binary */
                               "\0\2\0\0\0\2hi\0\0\0\3\1\xff\0" /* "hi", three bytes */
                               "\0\1\0\1";                      /* results: binary */
    struct proto_bind b;
    struct slice params[2];
    int16_t formats[2], results[1];
    size_t size = sizeof body - 1;

    ck_assert_int_eq(proto_decode_bind(slice(body, size), &b), 0);
    ck_assert(slice_eq(b.portal, slice_str("p")) && slice_eq(b.statement, slice_str("s")));
    ck_assert_int_eq(proto_bind_unpack(&b, params, formats, results), 0);
    ck_assert(slice_eq(params[0], slice_str("hi")) && params[1].size == 3);
    ck_assert(formats[0] == 0 && formats[1] == 1 && results[0] == 1);
    for (size_t cut = 0; cut < size; cut++) {
        char *copy = xmalloc(cut + 1);

        memcpy(copy, body, cut);
        ck_assert_int_eq(proto_decode_bind(slice(copy, cut), &b), ERR_PROTOCOL);
        xfree(copy);
    }
}
END_TEST

static int
unpack(const char *body, size_t size)
{
    struct slice params[16];
    int16_t formats[16], results[16];
    struct proto_bind b;
    int rc = proto_decode_bind(slice(body, size), &b);

    return rc != 0 ? rc : proto_bind_unpack(&b, params, formats, results);
}

START_TEST(test_bind_refuses)
{
    /* a negative length other than -1 */
    ck_assert_int_eq(unpack("\0\0\0\0\0\1\xff\xff\xff\xfe\0\0", 12), ERR_PROTOCOL);
    ck_assert_int_eq(unpack("\0\0\0\0\0\1\x80\0\0\0\0\0", 12), ERR_PROTOCOL);
    /* more parameters than bytes */
    ck_assert_int_eq(unpack("\0\0\0\0\xff\xff\0\0", 8), ERR_PROTOCOL);
    ck_assert_int_eq(unpack("\0\0\xff\xff\0\0\0\0", 8), ERR_PROTOCOL);
    /* two formats for three parameters */
    ck_assert_int_eq(unpack("\0\0\0\2\0\0\0\0\0\3\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                            "\0\0",
                            24),
                     ERR_PROTOCOL);
    ck_assert_int_eq(unpack("\0\0\0\1\0\2\0\0\0\0", 10), ERR_INVALID_PARAMETER_VALUE);
    /* text that is not UTF-8, and a NUL byte in text */
    ck_assert_int_eq(unpack("\0\0\0\0\0\1\0\0\0\1\xff\0\0", 13), ERR_CHARACTER_NOT_IN_REPERTOIRE);
    ck_assert_int_eq(unpack("\0\0\0\0\0\1\0\0\0\1\0\0\0", 13), ERR_CHARACTER_NOT_IN_REPERTOIRE);
    ck_assert_int_eq(unpack("\0\0\0\1\0\1\0\1\0\0\0\1\xff\0\0", 15), 0); /* binary: anything */
    ck_assert_int_eq(unpack("\0\0\0\0\0\1\xff\xff\xff\xff\0\0", 12), 0); /* NULL */
}
END_TEST

START_TEST(test_parse_and_the_rest)
{
    struct proto_parse p;
    struct proto_target t;
    struct proto_execute e;
    struct proto_sasl_initial sasl;
    struct slice text;

    ck_assert_int_eq(proto_decode_query(slice("select 1", 9), &text), 0);
    ck_assert(slice_eq(text, slice_str("select 1")));
    ck_assert_int_eq(proto_decode_query(slice("select 1", 8), &text), ERR_PROTOCOL);
    ck_assert_int_eq(proto_decode_query(slice("a\0b", 4), &text), ERR_PROTOCOL);
    ck_assert_int_eq(proto_decode_query(slice("a\xc3", 3), &text), ERR_CHARACTER_NOT_IN_REPERTOIRE);
    ck_assert_int_eq(proto_decode_parse(slice("n\0q\0\0\1\0\0\0\x17", 10), &p), 0);
    ck_assert_int_eq(p.type_count, 1);
    ck_assert_uint_eq(load_u32_be(p.types), 23);
    ck_assert_int_eq(proto_decode_parse(slice("n\0q\0\0\2\0\0\0\x17", 10), &p), ERR_PROTOCOL);
    ck_assert_int_eq(proto_decode_parse(slice("n\0q\0\xff\xff", 6), &p), ERR_PROTOCOL);
    ck_assert_int_eq(proto_decode_target(slice("Sx", 3), &t), 0);
    ck_assert_int_eq(proto_decode_target(slice("Xx", 3), &t), ERR_PROTOCOL);
    ck_assert_int_eq(proto_decode_target(slice("", 0), &t), ERR_PROTOCOL);
    ck_assert_int_eq(proto_decode_execute(slice("\0\xff\xff\xff\xff", 5), &e), 0);
    ck_assert_int_eq(e.max_rows, 0);
    ck_assert_int_eq(proto_decode_execute(slice("\0\0\0\0", 4), &e), ERR_PROTOCOL);
    ck_assert_int_eq(proto_decode_sasl_initial(slice("S\0\0\0\0\2ab", 8), &sasl), 0);
    ck_assert(slice_eq(sasl.response, slice_str("ab")));
    ck_assert_int_eq(proto_decode_sasl_initial(slice("S\0\x7f\xff\xff\xff"
                                                     "ab",
                                                     8),
                                               &sasl),
                     ERR_PROTOCOL);
}
END_TEST

/* PROTO-3: decoders are total. Mutants of true messages and noise, each in memory of its size. */
static void
decode_all(const uint8_t *data, size_t size)
{
    struct proto_startup *s = xmalloc(sizeof *s);
    char *scratch = xmalloc(size + 1);
    struct proto_sasl_initial sasl;
    struct proto_execute e;
    struct proto_target t;
    struct proto_parse p;
    struct proto_bind b;
    struct slice body = slice(data, size), text;

    (void)!proto_decode_startup(body, scratch, s);
    (void)!proto_decode_query(body, &text);
    (void)!proto_decode_parse(body, &p);
    (void)!proto_decode_target(body, &t);
    (void)!proto_decode_execute(body, &e);
    (void)!proto_decode_sasl_initial(body, &sasl);
    if (proto_decode_bind(body, &b) == 0) {
        struct slice *params = xmalloc(sizeof *params * (size_t)(b.param_count + 1));
        int16_t *formats = xmalloc(2 * (size_t)(b.format_count + 1));
        int16_t *results = xmalloc(2 * (size_t)(b.result_format_count + 1));

        (void)!proto_bind_unpack(&b, params, formats, results);
        xfree(params);
        xfree(formats);
        xfree(results);
    }
    xfree(scratch);
    xfree(s);
}

START_TEST(test_garbage)
{
    static const char seed1[] = STARTUP("user\0bob\0options\0-c a=b -cc=d --e=f\\\0x\0y\0");
    static const char seed2[] = "p\0s\0\0\2\0\0\0\1\0\2\0\0\0\2hi\xff\xff\xff\xff\0\1\0\1";
    const char *const seeds[] = { seed1, seed2 };
    const size_t sizes[] = { sizeof seed1, sizeof seed2 - 1 };

    random_state = 0x9e3779b97f4a7c15;
    printf("seed %llx\n", (unsigned long long)random_state);
    for (int i = 0; i < 40000; i++) {
        size_t which = random_next() % 2;
        size_t size = i % 4 == 0 ? random_next() % 64 : sizes[which] - random_next() % 3;
        uint8_t *data = xmalloc(size + (size == 0));

        for (size_t k = 0; k < size; k++)
            data[k] = i % 4 == 0 ? (uint8_t)random_next() : (uint8_t)seeds[which][k];
        for (int k = 0; k < 3 && size > 0; k++)
            data[random_next() % size] = (uint8_t)(random_next() >> (random_next() % 2 ? 8 : 56));
        decode_all(data, size);
        xfree(data);
    }
}
END_TEST

/* ---- errors --------------------------------------------------------------------------------- */

START_TEST(test_error_fields)
{
    struct diag d = { .code = ERR_UNIQUE_VIOLATION, .position = 120 };
    static const char expected[] =
        "SERROR\0VERROR\0C23505\0Mno \?\?\0Ddet\0Hhint\0P120\0spublic\0tt\0"
        "cc1\0nkey\0";
    struct writer w;

    snprintf(d.message, sizeof d.message, "%s", "no \xc3\xff");
    snprintf(d.detail, sizeof d.detail, "%s", "det");
    snprintf(d.hint, sizeof d.hint, "%s", "hint");
    snprintf(d.schema, sizeof d.schema, "%s", "public");
    snprintf(d.table, sizeof d.table, "%s", "t");
    snprintf(d.column, sizeof d.column, "%s", "c1");
    snprintf(d.constraint, sizeof d.constraint, "%s", "key");
    wr_init(&w, 0);
    proto_put_error(&w, 'E', "ERROR", &d);
    ck_assert_uint_eq(w.size, 5 + sizeof expected);
    ck_assert_int_eq(w.data[0], 'E');
    ck_assert_uint_eq(load_u32_be(w.data + 1), w.size - 1);
    ck_assert_int_eq(memcmp(w.data + 5, expected, sizeof expected), 0);
    wr_fini(&w);
}
END_TEST

/* ---- UTF-8 ---------------------------------------------------------------------------------- */

static bool
utf8_ok(const char *s, size_t n)
{
    bool whole = utf8_check(s, n) == 0;

    for (size_t cut = 0; cut <= n; cut++) { /* the stream says the same, wherever it is cut */
        struct utf8_stream u = { 0 };
        bool ok =
            utf8_stream_check(&u, s, cut) == 0 && utf8_stream_check(&u, s + cut, n - cut) == 0;

        ck_assert_int_eq(ok && utf8_stream_end(&u) == 0, whole);
    }
    return whole;
}

START_TEST(test_utf8)
{
    static const char good[] =
        "plain ascii text, long enough \xc3\xa9 \xe2\x82\xac "
        "\xf0\x9f\x98\x80 \xed\x9f\xbf \xee\x80\x80 \xf4\x8f\xbf\xbf end of it";
    static const char *const bad[] = { "\x80",         "\xc0\x80",         "\xc1\xbf",
                                       "\xe0\x80\x80", "\xed\xa0\x80",     "\xf4\x90\x80\x80",
                                       "\xf5\x80\x80", "\xf0\x80\x80\x80", "\xc3",
                                       "\xe2\x82",     "abcdefgh\xff",     "\xe2\x28\xa1" };

    ck_assert(utf8_ok(good, sizeof good - 1));
    ck_assert(!utf8_ok("abcdefg\0hijk", 12));
    ck_assert(utf8_ok("", 0));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!utf8_ok(bad[i], strlen(bad[i])), "case %zu", i);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("protocol");
    TCase *t = tcase_create("all");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_every_cut);
    tcase_add_test(t, test_lengths);
    tcase_add_test(t, test_startup);
    tcase_add_test(t, test_cancel_and_ssl);
    tcase_add_test(t, test_bind);
    tcase_add_test(t, test_bind_refuses);
    tcase_add_test(t, test_parse_and_the_rest);
    tcase_add_test(t, test_garbage);
    tcase_add_test(t, test_error_fields);
    tcase_add_test(t, test_utf8);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
