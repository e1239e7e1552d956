/* SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding: the verifier that stands for a
 * password, and the server's side of the exchange.
 *
 * A verifier is text, PostgreSQL's: SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>, the
 * last three in base64. The password cannot be had from it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_BASE_SCRAM_H
#define ENGINE_BASE_SCRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/bytes.h"
#include "engine/base/err.h"

enum {
    SCRAM_KEY_SIZE = 32,
    SCRAM_SALT_SIZE = 16,
    SCRAM_SALT_MAX = 64,
    SCRAM_ITERATIONS = 4096, /* of a new verifier */
    SCRAM_ITERATIONS_MAX = 10 * 1000 * 1000,
    SCRAM_NONCE_SIZE = 18,   /* random bytes; 24 characters of base64 */
    SCRAM_NONCE_MAX = 128,   /* characters of the client's nonce */
    SCRAM_MESSAGE_MAX = 512, /* any message of either side */
    SCRAM_VERIFIER_MAX = 256,
};

struct scram_verifier {
    uint32_t iterations;
    uint8_t salt[SCRAM_SALT_MAX];
    size_t salt_size;
    uint8_t stored_key[SCRAM_KEY_SIZE], server_key[SCRAM_KEY_SIZE];
};

/* Milliseconds of CPU (PBKDF2): in a job, never on a worker. */
MUST_CHECK
int scram_make_verifier(const char *password, const uint8_t salt[SCRAM_SALT_SIZE],
                        uint32_t iterations, struct scram_verifier *out);
void scram_format_verifier(const struct scram_verifier *v, char out[SCRAM_VERIFIER_MAX]);
/* Any text: a verifier, or ERR_INVALID_PASSWORD. */
MUST_CHECK
int scram_parse_verifier(const char *text, struct scram_verifier *out);
/* For a user who does not exist or has no password: the same salt for the same name each time,
 * keys that no password has. `secret` is the server's, random, and stays. */
void scram_mock_verifier(const uint8_t secret[SCRAM_KEY_SIZE], const char *user,
                         struct scram_verifier *out);
/* SASLprep as far as it matters here: non-ASCII spaces become spaces, what is commonly mapped to
 * nothing goes; prohibited characters or bad UTF-8: the password is taken as it is, as PostgreSQL
 * does. `out` has room for strlen(password) + 1. */
void scram_prepare_password(const char *password, char *out);

/* The server's side of one exchange. Small; never parks. */
struct scram_server {
    struct scram_verifier verifier;
    bool doomed; /* mock: fails at the end whatever the client proves */
    char client_first_bare[SCRAM_MESSAGE_MAX];
    char server_first[SCRAM_MESSAGE_MAX];
    char nonce[SCRAM_NONCE_MAX + 32];
    char gs2_header[64];
};
/* Takes the client's first message, writes the server's. ERR_PROTOCOL for what is malformed. */
MUST_CHECK
int scram_server_first(struct scram_server *s, struct slice client_first, const char *server_nonce,
                       char out[SCRAM_MESSAGE_MAX]);
/* Takes the client's final message, writes the server's: 0, ERR_PROTOCOL, or ERR_INVALID_PASSWORD
 * (whose message the caller replaces by one that names the user). */
MUST_CHECK
int scram_server_final(struct scram_server *s, struct slice client_final,
                       char out[SCRAM_MESSAGE_MAX]);
/* A printable nonce from random bytes. */
void scram_format_nonce(const uint8_t random[SCRAM_NONCE_SIZE], char out[32]);

#endif
