/* SPDX-License-Identifier: Apache-2.0 */
#include "logship/auth.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "engine/base/checksum.h"

enum { KEY_TEXT = 2 * SHIP_KEY_SIZE + 1, TRANSCRIPT_SIZE = 2 + 2 * (8 + 8 + 4 + SHIP_NONCE_SIZE) };

static const char *const labels[2][2] = {
    [SHIP_INITIATOR] = { "redoubt initiator", "redoubt initiator session" },
    [SHIP_ACCEPTOR] = { "redoubt acceptor", "redoubt acceptor session" },
};

/* ---- the key's file ------------------------------------------------------------------------- */

void
ship_key_generate(struct env *env, struct ship_key *key)
{
    env_random(env, key->bytes, sizeof key->bytes);
}

int
ship_key_write(struct env *env, const char *path, const struct ship_key *key)
{
    static const char digits[] = "0123456789abcdef";
    struct env_file *f;
    char text[KEY_TEXT];
    int rc;

    for (int i = 0; i < SHIP_KEY_SIZE; i++) {
        text[2 * i] = digits[key->bytes[i] >> 4];
        text[2 * i + 1] = digits[key->bytes[i] & 15];
    }
    text[KEY_TEXT - 1] = '\n';
    rc = env_open(env, path, ENV_WRITE | ENV_CREATE | ENV_EXCLUSIVE | ENV_MODE_PRIVATE, &f);
    if (rc != 0)
        return rc;
    rc = env_pwrite(f, text, sizeof text, 0);
    if (rc == 0)
        rc = env_sync(f);
    env_close(f);
    OPENSSL_cleanse(text, sizeof text);
    return rc;
}

static int
digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int
ship_key_read(struct env *env, const char *path, struct ship_key *key)
{
    struct env_file *f;
    char text[KEY_TEXT + 1];
    size_t got;
    int rc = env_open(env, path, ENV_READ, &f);

    if (rc != 0)
        return rc;
    rc = env_pread(f, text, sizeof text, 0, &got);
    env_close(f);
    if (rc != 0)
        return rc;
    if (got > 0 && text[got - 1] == '\n')
        got--;
    if (got != KEY_TEXT - 1)
        goto bad;
    for (int i = 0; i < SHIP_KEY_SIZE; i++) {
        int hi = digit(text[2 * i]), lo = digit(text[2 * i + 1]);

        if (hi < 0 || lo < 0)
            goto bad;
        key->bytes[i] = (uint8_t)(hi << 4 | lo);
    }
    OPENSSL_cleanse(text, sizeof text);
    return 0;
bad:
    OPENSSL_cleanse(text, sizeof text);
    return DIAG(ERR_CONFIG_FILE, "\"%s\" does not hold a cluster key (64 hexadecimal digits)",
                path);
}

/* ---- proofs --------------------------------------------------------------------------------- */

static void
hmac(const struct ship_key *key, const char *label, const struct ship_transcript *t,
     uint8_t out[SHIP_PROOF_SIZE])
{
    uint8_t text[64 + TRANSCRIPT_SIZE];
    struct writer w;
    unsigned size = SHIP_PROOF_SIZE;

    wr_init_fixed(&w, text, sizeof text);
    wr_cstr(&w, label);
    wr_u8(&w, SHIP_VERSION);
    wr_u8(&w, (uint8_t)t->kind);
    for (int i = 0; i < 2; i++) {
        wr_u64(&w, t->party[i].database_id);
        wr_u64(&w, t->party[i].boot_id);
        wr_u32(&w, t->party[i].id);
        wr_bytes(&w, t->party[i].nonce, SHIP_NONCE_SIZE);
    }
    CHECK(!w.bad);
    CHECK(HMAC(EVP_sha256(), key->bytes, SHIP_KEY_SIZE, w.data, w.size, out, &size) != NULL);
    CHECK(size == SHIP_PROOF_SIZE);
}

void
ship_auth_prove(const struct ship_key *key, const struct ship_transcript *t, enum ship_side side,
                uint8_t proof[SHIP_PROOF_SIZE])
{
    hmac(key, labels[side][0], t, proof);
}

bool
ship_auth_check(const struct ship_key *key, const struct ship_transcript *t, enum ship_side side,
                const uint8_t proof[SHIP_PROOF_SIZE])
{
    uint8_t want[SHIP_PROOF_SIZE];

    hmac(key, labels[side][0], t, want);
    return equal_constant_time(want, proof, sizeof want);
}

void
ship_auth_session(const struct ship_key *key, const struct ship_transcript *t, enum ship_side side,
                  uint8_t session[SHIP_SESSION_KEY_SIZE])
{
    uint8_t full[SHIP_PROOF_SIZE];

    hmac(key, labels[side][1], t, full);
    memcpy(session, full, SHIP_SESSION_KEY_SIZE);
    OPENSSL_cleanse(full, sizeof full);
}

/* ---- tags ----------------------------------------------------------------------------------- */

/* The context lives for this call alone: nothing of the library's own memory outlives a node that
 * is killed (sim.h). */
void
ship_tag(const uint8_t session[SHIP_SESSION_KEY_SIZE], uint64_t seq,
         const uint8_t header[SHIP_HEADER_SIZE], struct slice body, struct slice more,
         uint8_t tag[SHIP_TAG_SIZE])
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    uint8_t nonce[12] = { 0 }, end[16];
    int n = 0;
    bool ok;

    CHECK(c != NULL);
    store_u64(nonce, seq);
    ok = EVP_EncryptInit_ex(c, EVP_aes_128_gcm(), NULL, session, nonce) == 1 &&
         EVP_EncryptUpdate(c, NULL, &n, header, SHIP_OFF_TAG) == 1 &&
         (body.size == 0 || EVP_EncryptUpdate(c, NULL, &n, body.data, (int)body.size) == 1) &&
         (more.size == 0 || EVP_EncryptUpdate(c, NULL, &n, more.data, (int)more.size) == 1) &&
         EVP_EncryptFinal_ex(c, end, &n) == 1 &&
         EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, SHIP_TAG_SIZE, tag) == 1;
    EVP_CIPHER_CTX_free(c);
    CHECK(ok);
}

bool
ship_tag_check(const uint8_t session[SHIP_SESSION_KEY_SIZE], uint64_t seq,
               const uint8_t header[SHIP_HEADER_SIZE], struct slice body)
{
    uint8_t want[SHIP_TAG_SIZE];

    ship_tag(session, seq, header, body, slice(NULL, 0), want);
    return equal_constant_time(want, header + SHIP_OFF_TAG, sizeof want);
}
