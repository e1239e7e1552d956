/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/scram.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/checksum.h"
#include "engine/base/utf8.h"

/* ---- primitives ----------------------------------------------------------------------------- */

static void
hmac(const uint8_t key[SCRAM_KEY_SIZE], const void *data, size_t size, uint8_t out[SCRAM_KEY_SIZE])
{
    unsigned int n = SCRAM_KEY_SIZE;

    CHECK(HMAC(EVP_sha256(), key, SCRAM_KEY_SIZE, data, size, out, &n) != NULL);
    CHECK(n == SCRAM_KEY_SIZE);
}

static void
hmac_str(const uint8_t key[SCRAM_KEY_SIZE], const char *text, uint8_t out[SCRAM_KEY_SIZE])
{
    hmac(key, text, strlen(text), out);
}

/* Writes 4 * ceil(size / 3) characters and a NUL. */
static void
base64_encode(const void *data, size_t size, char *out)
{
    EVP_EncodeBlock((unsigned char *)out, data, (int)size);
}

static int
base64_digit(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Strict: whole groups of four, padding only at the end, no other characters. */
static bool
base64_decode(struct slice text, uint8_t *out, size_t cap, size_t *size)
{
    size_t n = 0;

    if (text.size % 4 != 0)
        return false;
    for (size_t i = 0; i < text.size; i += 4) {
        const uint8_t *p = text.data + i;
        bool last = i + 4 == text.size;
        int pad = !last ? 0 : p[3] != '=' ? 0 : p[2] != '=' ? 1 : 2;
        uint32_t v = 0;

        for (int k = 0; k < 4; k++) {
            int d = k < 4 - pad ? base64_digit(p[k]) : 0;

            if (d < 0)
                return false;
            v = v << 6 | (uint32_t)d;
        }
        for (int k = 0; k < 3 - pad; k++) {
            if (n == cap)
                return false;
            out[n++] = (uint8_t)(v >> (16 - 8 * k));
        }
    }
    *size = n;
    return true;
}

void
scram_format_nonce(const uint8_t random[SCRAM_NONCE_SIZE], char out[32])
{
    base64_encode(random, SCRAM_NONCE_SIZE, out);
}

/* ---- passwords ------------------------------------------------------------------------------ */

struct range {
    uint32_t first, last;
};

static bool
in_ranges(uint32_t c, const struct range *r, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (c >= r[i].first && c <= r[i].last)
            return true;
    return false;
}

#define IN_RANGES(c, table) in_ranges((c), (table), sizeof(table) / sizeof(table)[0])

static const struct range spaces[] = { { 0xa0, 0xa0 },     { 0x1680, 0x1680 }, { 0x2000, 0x200b },
                                       { 0x202f, 0x202f }, { 0x205f, 0x205f }, { 0x3000, 0x3000 } };
static const struct range nothings[] = { { 0xad, 0xad },     { 0x34f, 0x34f },   { 0x1806, 0x1806 },
                                         { 0x180b, 0x180d }, { 0x200b, 0x200d }, { 0x2060, 0x2060 },
                                         { 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff } };
static const struct range prohibited[] = {
    { 0x00, 0x1f },       { 0x7f, 0x9f },       { 0x340, 0x341 },     { 0x6dd, 0x6dd },
    { 0x70f, 0x70f },     { 0x180e, 0x180e },   { 0x200c, 0x200f },   { 0x2028, 0x202e },
    { 0x2060, 0x2063 },   { 0x206a, 0x206f },   { 0x2ff0, 0x2ffb },   { 0xd800, 0xf8ff },
    { 0xfdd0, 0xfdef },   { 0xfff9, 0xffff },   { 0x1d173, 0x1d17a }, { 0xe0001, 0xe0001 },
    { 0xe0020, 0xe007f }, { 0xf0000, 0x10ffff }
};

/* The character at p, whose text is well-formed. */
static uint32_t
decode_character(const uint8_t *p, size_t *size)
{
    if (p[0] < 0x80) {
        *size = 1;
        return p[0];
    }
    if (p[0] < 0xe0) {
        *size = 2;
        return (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
    }
    if (p[0] < 0xf0) {
        *size = 3;
        return (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
    }
    *size = 4;
    return (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 |
           (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
}

static bool
is_ascii(const char *s)
{
    for (; *s != '\0'; s++)
        if ((uint8_t)*s >= 0x80)
            return false;
    return true;
}

void
scram_prepare_password(const char *password, char *out)
{
    const uint8_t *p = (const uint8_t *)password;
    size_t size = strlen(password), n = 0, step;

    memcpy(out, password, size + 1);
    if (is_ascii(password) || utf8_valid_prefix(password, size) != size)
        return;
    for (size_t i = 0; i < size; i += step) {
        uint32_t c = decode_character(p + i, &step);

        if (IN_RANGES(c, spaces)) {
            out[n++] = ' ';
        } else if (IN_RANGES(c, nothings)) {
            continue;
        } else if (IN_RANGES(c, prohibited)) {
            memcpy(out, password, size + 1);
            return;
        } else {
            memmove(out + n, p + i, step);
            n += step;
        }
    }
    out[n] = '\0';
    if (n == 0)
        memcpy(out, password, size + 1);
}

/* ---- verifiers ------------------------------------------------------------------------------ */

int
scram_make_verifier(const char *password, const uint8_t salt[SCRAM_SALT_SIZE], uint32_t iterations,
                    struct scram_verifier *out)
{
    uint8_t salted[SCRAM_KEY_SIZE], client_key[SCRAM_KEY_SIZE];
    char prepared[1024];
    size_t size = strlen(password);

    if (size >= sizeof prepared)
        return DIAG(ERR_LIMIT, "password is longer than %zu bytes", sizeof prepared - 1);
    if (iterations < 1 || iterations > SCRAM_ITERATIONS_MAX)
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "scram iterations must be 1 to %d",
                    SCRAM_ITERATIONS_MAX);
    scram_prepare_password(password, prepared);
    *out = (struct scram_verifier){ .iterations = iterations, .salt_size = SCRAM_SALT_SIZE };
    memcpy(out->salt, salt, SCRAM_SALT_SIZE);
    CHECK(PKCS5_PBKDF2_HMAC(prepared, (int)strlen(prepared), salt, SCRAM_SALT_SIZE, (int)iterations,
                            EVP_sha256(), SCRAM_KEY_SIZE, salted) == 1);
    hmac_str(salted, "Client Key", client_key);
    SHA256(client_key, sizeof client_key, out->stored_key);
    hmac_str(salted, "Server Key", out->server_key);
    OPENSSL_cleanse(prepared, sizeof prepared);
    OPENSSL_cleanse(salted, sizeof salted);
    OPENSSL_cleanse(client_key, sizeof client_key);
    return 0;
}

void
scram_format_verifier(const struct scram_verifier *v, char out[SCRAM_VERIFIER_MAX])
{
    char salt[4 * ((SCRAM_SALT_MAX + 2) / 3) + 1];
    char stored[48], server[48];

    base64_encode(v->salt, v->salt_size, salt);
    base64_encode(v->stored_key, SCRAM_KEY_SIZE, stored);
    base64_encode(v->server_key, SCRAM_KEY_SIZE, server);
    snprintf(out, SCRAM_VERIFIER_MAX, "SCRAM-SHA-256$%u:%s$%s:%s", v->iterations, salt, stored,
             server);
}

/* Up to `end` (0: all that is left), which must be there and is stepped over. */
static bool
take_until(struct slice *text, char end, struct slice *out)
{
    const uint8_t *at;

    if (end == '\0') {
        *out = *text;
        *text = slice(text->data + text->size, 0);
        return true;
    }
    at = text->size > 0 ? memchr(text->data, end, text->size) : NULL;
    if (at == NULL)
        return false;
    *out = slice(text->data, (size_t)(at - text->data));
    *text = slice(at + 1, text->size - out->size - 1);
    return true;
}

static bool
parse_iterations(struct slice text, uint32_t *out)
{
    uint32_t v = 0;

    if (text.size == 0 || text.size > 8)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        v = v * 10 + (uint32_t)(text.data[i] - '0');
    }
    *out = v;
    return v >= 1 && v <= SCRAM_ITERATIONS_MAX;
}

static bool
parse_key(struct slice text, uint8_t out[SCRAM_KEY_SIZE])
{
    size_t size;

    return base64_decode(text, out, SCRAM_KEY_SIZE, &size) && size == SCRAM_KEY_SIZE;
}

int
scram_parse_verifier(const char *text, struct scram_verifier *out)
{
    struct slice rest = slice_str(text), part[5];

    *out = (struct scram_verifier){ 0 };
    if (take_until(&rest, '$', &part[0]) && slice_eq(part[0], slice_str("SCRAM-SHA-256")) &&
        take_until(&rest, ':', &part[1]) && parse_iterations(part[1], &out->iterations) &&
        take_until(&rest, '$', &part[2]) &&
        base64_decode(part[2], out->salt, sizeof out->salt, &out->salt_size) &&
        out->salt_size > 0 && take_until(&rest, ':', &part[3]) &&
        parse_key(part[3], out->stored_key) && take_until(&rest, '\0', &part[4]) &&
        parse_key(part[4], out->server_key))
        return 0;
    return DIAG(ERR_INVALID_PASSWORD, "invalid SCRAM verifier");
}

void
scram_mock_verifier(const uint8_t secret[SCRAM_KEY_SIZE], const char *user,
                    struct scram_verifier *out)
{
    uint8_t salt[SCRAM_KEY_SIZE];

    *out = (struct scram_verifier){ .iterations = SCRAM_ITERATIONS, .salt_size = SCRAM_SALT_SIZE };
    hmac_str(secret, user, salt);
    memcpy(out->salt, salt, SCRAM_SALT_SIZE);
    hmac(salt, secret, SCRAM_KEY_SIZE, out->stored_key);
    hmac(salt, out->stored_key, SCRAM_KEY_SIZE, out->server_key);
}

/* ---- the exchange --------------------------------------------------------------------------- */

static int
malformed(const char *detail)
{
    int rc = DIAG(ERR_PROTOCOL, "malformed SCRAM message");

    diag_detail("%s", detail);
    return rc;
}

/* "x=value," or, at the end, "x=value". */
static bool
take_attribute(struct slice *text, char name, struct slice *value)
{
    struct slice part;

    if (!take_until(text, ',', &part))
        take_until(text, '\0', &part);
    if (part.size < 2 || part.data[0] != (uint8_t)name || part.data[1] != '=')
        return false;
    *value = slice(part.data + 2, part.size - 2);
    return true;
}

static bool
is_printable(struct slice s)
{
    for (size_t i = 0; i < s.size; i++)
        if (s.data[i] < 0x21 || s.data[i] > 0x7e)
            return false;
    return s.size > 0;
}

/* The gs2 header: whether channel binding is asked for, and an authorization identity. */
static int
take_gs2_header(struct scram_server *s, struct slice *text)
{
    struct slice all = *text, flag, identity;
    size_t size;

    if (!take_until(text, ',', &flag) || !take_until(text, ',', &identity))
        return malformed("The first message has no GS2 header.");
    if (flag.size >= 1 && flag.data[0] == 'p')
        return malformed("Channel binding is asked for, and was not offered.");
    if (flag.size != 1 || (flag.data[0] != 'n' && flag.data[0] != 'y'))
        return malformed("Unexpected channel binding flag.");
    if (identity.size != 0)
        return DIAG(ERR_NOT_SUPPORTED,
                    "client uses authorization identity, but it is not supported");
    size = (size_t)(text->data - all.data);
    CHECK(size < sizeof s->gs2_header);
    memcpy(s->gs2_header, all.data, size);
    s->gs2_header[size] = '\0';
    return 0;
}

int
scram_server_first(struct scram_server *s, struct slice client_first, const char *server_nonce,
                   char out[SCRAM_MESSAGE_MAX])
{
    struct slice text = client_first, user, nonce;
    char salt[4 * ((SCRAM_SALT_MAX + 2) / 3) + 1];
    int rc = take_gs2_header(s, &text);

    if (rc != 0)
        return rc;
    if (text.size >= sizeof s->client_first_bare || memchr(text.data, '\0', text.size) != NULL)
        return malformed("The first message is too long or contains a NUL.");
    memcpy(s->client_first_bare, text.data, text.size);
    s->client_first_bare[text.size] = '\0';
    if (text.size >= 2 && memcmp(text.data, "m=", 2) == 0)
        return DIAG(ERR_NOT_SUPPORTED, "client requires an unsupported SCRAM extension");
    if (!take_attribute(&text, 'n', &user))
        return malformed("The user attribute is missing.");
    if (!take_attribute(&text, 'r', &nonce) || !is_printable(nonce) || nonce.size > SCRAM_NONCE_MAX)
        return malformed("The nonce is missing, not printable, or too long.");
    snprintf(s->nonce, sizeof s->nonce, "%.*s%s", (int)nonce.size, (const char *)nonce.data,
             server_nonce);
    base64_encode(s->verifier.salt, s->verifier.salt_size, salt);
    snprintf(s->server_first, sizeof s->server_first, "r=%s,s=%s,i=%u", s->nonce, salt,
             s->verifier.iterations);
    memcpy(out, s->server_first, sizeof s->server_first);
    return 0;
}

/* What the client says is bound to the channel must be the header it sent. */
static bool
same_gs2_header(const struct scram_server *s, struct slice binding)
{
    uint8_t header[sizeof s->gs2_header];
    size_t size;

    return base64_decode(binding, header, sizeof header, &size) &&
           slice_eq(slice(header, size), slice_str(s->gs2_header));
}

/* The text that both sides sign. */
static bool
auth_message(const struct scram_server *s, struct slice without_proof, char *out, size_t cap)
{
    int n = snprintf(out, cap, "%s,%s,%.*s", s->client_first_bare, s->server_first,
                     (int)without_proof.size, (const char *)without_proof.data);

    return n > 0 && (size_t)n < cap;
}

/* Computes as much for a doomed exchange as for a true one. */
static bool
proof_holds(const struct scram_server *s, const char *message, const uint8_t proof[SCRAM_KEY_SIZE])
{
    uint8_t signature[SCRAM_KEY_SIZE], key[SCRAM_KEY_SIZE], stored[SCRAM_KEY_SIZE];
    bool same;

    hmac_str(s->verifier.stored_key, message, signature);
    for (int i = 0; i < SCRAM_KEY_SIZE; i++)
        key[i] = proof[i] ^ signature[i];
    SHA256(key, sizeof key, stored);
    same = equal_constant_time(stored, s->verifier.stored_key, SCRAM_KEY_SIZE);
    return same & !s->doomed;
}

int
scram_server_final(struct scram_server *s, struct slice client_final, char out[SCRAM_MESSAGE_MAX])
{
    enum { MESSAGE_MAX = 3 * SCRAM_MESSAGE_MAX };
    struct slice text = client_final, binding, nonce, proof_text, without_proof;
    uint8_t proof[SCRAM_KEY_SIZE], signature[SCRAM_KEY_SIZE];
    char message[MESSAGE_MAX], encoded[48];
    const uint8_t *at;

    if (client_final.size > SCRAM_MESSAGE_MAX || client_final.size < 3 ||
        memchr(client_final.data, '\0', client_final.size) != NULL)
        return malformed("The final message is too long or too short.");
    if (!take_attribute(&text, 'c', &binding) || !same_gs2_header(s, binding))
        return malformed("The channel binding does not match.");
    if (!take_attribute(&text, 'r', &nonce) || nonce.size != strlen(s->nonce) ||
        !equal_constant_time(nonce.data, s->nonce, nonce.size))
        return malformed("The nonce does not match.");
    /* Extensions may stand between; the proof is the last attribute. */
    at = memrchr(client_final.data, ',', client_final.size);
    if (at == NULL || at + 1 < text.data)
        return malformed("The proof is missing.");
    without_proof = slice(client_final.data, (size_t)(at - client_final.data));
    text = slice(at + 1, client_final.size - without_proof.size - 1);
    if (!take_attribute(&text, 'p', &proof_text) || !parse_key(proof_text, proof))
        return malformed("The proof is malformed.");
    if (!auth_message(s, without_proof, message, sizeof message))
        return malformed("The final message is too long.");
    if (!proof_holds(s, message, proof))
        return DIAG(ERR_INVALID_PASSWORD, "password authentication failed");
    hmac_str(s->verifier.server_key, message, signature);
    base64_encode(signature, sizeof signature, encoded);
    snprintf(out, SCRAM_MESSAGE_MAX, "v=%s", encoded);
    return 0;
}
