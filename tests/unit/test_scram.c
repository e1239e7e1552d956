/* SCRAM-SHA-256: the exchange of RFC 7677, and all the ways in which it must fail.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/scram.h"

/* RFC 7677, section 3. */
#define RFC_CLIENT_NONCE "rOprNGfwEbeRWgbNEkqO"
#define RFC_SERVER_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define RFC_SERVER_FIRST "r=" RFC_CLIENT_NONCE RFC_SERVER_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define RFC_CLIENT_FINAL                                                                           \
    "c=biws,r=" RFC_CLIENT_NONCE RFC_SERVER_NONCE ",p=dHzbZapWIk4jUhN+"                            \
    "Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define RFC_SERVER_FINAL "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static void
rfc_verifier(struct scram_verifier *v)
{
    uint8_t salt[32];

    EVP_DecodeBlock(salt, (const unsigned char *)"W22ZaJ0SNY7soEsUEjb6gQ==", 24);
    ck_assert_int_eq(scram_make_verifier("pencil", salt, 4096, v), 0);
}

static int
first(struct scram_server *s, const char *text, char *out)
{
    return scram_server_first(s, slice_str(text), RFC_SERVER_NONCE, out);
}

START_TEST(test_rfc_7677)
{
    struct scram_server s = { 0 };
    char out[SCRAM_MESSAGE_MAX];

    rfc_verifier(&s.verifier);
    ck_assert_int_eq(first(&s, "n,,n=user,r=" RFC_CLIENT_NONCE, out), 0);
    ck_assert_str_eq(out, RFC_SERVER_FIRST);
    ck_assert_int_eq(scram_server_final(&s, slice_str(RFC_CLIENT_FINAL), out), 0);
    ck_assert_str_eq(out, RFC_SERVER_FINAL);
}
END_TEST

/* SCRAM-1: an exchange that is a mock fails, even with a proof that would fit. */
START_TEST(test_doomed_fails_with_the_right_proof)
{
    struct scram_server s = { .doomed = true };
    char out[SCRAM_MESSAGE_MAX];

    rfc_verifier(&s.verifier);
    ck_assert_int_eq(first(&s, "n,,n=user,r=" RFC_CLIENT_NONCE, out), 0);
    ck_assert_int_eq(scram_server_final(&s, slice_str(RFC_CLIENT_FINAL), out),
                     ERR_INVALID_PASSWORD);
}
END_TEST

/* SCRAM-2: any single byte changed in the final message makes it fail. */
START_TEST(test_every_changed_byte_fails)
{
    size_t size = strlen(RFC_CLIENT_FINAL);
    char out[SCRAM_MESSAGE_MAX];

    for (size_t i = 0; i < size; i++) {
        struct scram_server s = { 0 };
        char text[256] = RFC_CLIENT_FINAL;

        rfc_verifier(&s.verifier);
        ck_assert_int_eq(first(&s, "n,,n=user,r=" RFC_CLIENT_NONCE, out), 0);
        text[i] = text[i] == 'A' ? 'B' : 'A';
        ck_assert_int_ne(scram_server_final(&s, slice_str(text), out), 0);
        ck_assert_int_ne(scram_server_final(&s, slice(text, i), out), 0);
    }
}
END_TEST

START_TEST(test_first_message_refusals)
{
    static const char *const bad[] = {
        "",
        "n",
        "n,",
        "n,,",
        "p=tls-unique,,n=,r=abc",
        "x,,n=,r=a",
        "n,a=other,n=,r=abc",
        "n,,r=abc",
        "n,,n=",
        "n,,n=,r=",
        "n,,n=,r=a b",
        "n,,m=1,n=,r=abc",
        "n,,n=,r=\x80",
    };
    char out[SCRAM_MESSAGE_MAX], big[2048];

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct scram_server s = { 0 };

        rfc_verifier(&s.verifier);
        ck_assert_msg(first(&s, bad[i], out) != 0, "case %zu", i);
    }
    for (size_t size = 100; size < sizeof big - 1; size += 1) {
        struct scram_server s = { 0 };

        s.verifier.salt_size = SCRAM_SALT_MAX;
        memset(big, 'r', sizeof big);
        memcpy(big, "n,,n=,r=", 8);
        big[size] = '\0';
        ck_assert_int_eq(first(&s, big, out) == 0, size - 8 <= SCRAM_NONCE_MAX);
    }
}
END_TEST

START_TEST(test_verifier_text)
{
    struct scram_verifier v, again;
    char text[SCRAM_VERIFIER_MAX], cut[SCRAM_VERIFIER_MAX];

    rfc_verifier(&v);
    scram_format_verifier(&v, text);
    ck_assert_str_eq(text, "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
                           "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
                           "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
    ck_assert_int_eq(scram_parse_verifier(text, &again), 0);
    ck_assert_int_eq(memcmp(&v, &again, sizeof v), 0);
    for (size_t i = 0; i < strlen(text); i++) {
        memcpy(cut, text, sizeof cut);
        cut[i] = '\0';
        ck_assert_int_eq(scram_parse_verifier(cut, &again), ERR_INVALID_PASSWORD);
        cut[i] = '!';
        memcpy(cut + i + 1, text + i + 1, sizeof cut - i - 1);
        ck_assert_int_eq(scram_parse_verifier(cut, &again), ERR_INVALID_PASSWORD);
    }
    ck_assert_int_ne(scram_parse_verifier("SCRAM-SHA-256$0:AAAA$AAAA:AAAA", &again), 0);
    ck_assert_int_ne(scram_parse_verifier("SCRAM-SHA-256$99999999999:AAAA$AAAA:AAAA", &again), 0);
}
END_TEST

/* SCRAM-3: what an unknown user is sent is the same each time, and differs from user to user. */
START_TEST(test_mock_is_stable)
{
    uint8_t secret[SCRAM_KEY_SIZE] = { 1, 2, 3 }, other[SCRAM_KEY_SIZE] = { 9 };
    struct scram_verifier a, b;

    scram_mock_verifier(secret, "alice", &a);
    scram_mock_verifier(secret, "alice", &b);
    ck_assert_int_eq(memcmp(&a, &b, sizeof a), 0);
    ck_assert_uint_eq(a.iterations, SCRAM_ITERATIONS);
    scram_mock_verifier(secret, "bob", &b);
    ck_assert_int_ne(memcmp(a.salt, b.salt, SCRAM_SALT_SIZE), 0);
    scram_mock_verifier(other, "alice", &b);
    ck_assert_int_ne(memcmp(a.salt, b.salt, SCRAM_SALT_SIZE), 0);
}
END_TEST

START_TEST(test_saslprep)
{
    static const char *const pairs[][2] = {
        { "pencil", "pencil" },
        { "", "" },
        { "I\xc2\xadX", "IX" },  /* a soft hyphen goes */
        { "a\xc2\xa0z", "a z" }, /* a no-break space is a space */
        { "caf\xc3\xa9", "caf\xc3\xa9" },
        { "bad\xff", "bad\xff" },                             /* not UTF-8: as it is */
        { "\xc2\xad", "\xc2\xad" },                           /* nothing left: as it is */
        { "x\xc2\xad\xee\x80\x80", "x\xc2\xad\xee\x80\x80" }, /* private use: as it is */
        { "tab\x07", "tab\x07" },
    };
    char out[64];

    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        scram_prepare_password(pairs[i][0], out);
        ck_assert_str_eq(out, pairs[i][1]);
    }
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("scram");
    TCase *t = tcase_create("all");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_rfc_7677);
    tcase_add_test(t, test_doomed_fails_with_the_right_proof);
    tcase_add_test(t, test_every_changed_byte_fails);
    tcase_add_test(t, test_first_message_refusals);
    tcase_add_test(t, test_verifier_text);
    tcase_add_test(t, test_mock_is_stable);
    tcase_add_test(t, test_saslprep);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
