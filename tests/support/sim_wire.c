/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sim_wire.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/scram.h"
#include "engine/server/protocol.h"

#define PASSWORD "simulated"
static const uint8_t salt[SCRAM_SALT_SIZE] = "salt of one and";

void
sim_wire_verifier(char *out, size_t size)
{
    struct scram_verifier v;
    char text[SCRAM_VERIFIER_MAX];

    CHECK(scram_make_verifier(PASSWORD, salt, 1, &v) == 0);
    scram_format_verifier(&v, text);
    snprintf(out, size, "%s", text);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void
on_ready(void *arg, int what)
{
    struct sim_wire *w = arg;

    w->woken |= what;
    env_event_arm(w->event, 0);
}

static void
on_time(void *arg, int what)
{
    (void)what;
    ((struct sim_wire *)arg)->timed_out = true;
}

/* False once the time set is over. */
static bool
wait_for(struct sim_wire *w, int what)
{
    w->woken = 0;
    env_event_arm(w->event, what);
    while (w->woken == 0 && !w->timed_out)
        env_loop_run_once(w->loop, -1);
    env_event_arm(w->event, 0);
    return w->woken != 0;
}

static void
set_time(struct sim_wire *w, uint64_t timeout_us)
{
    w->timed_out = false;
    env_timer_arm(w->timer, timeout_us);
}

void
sim_wire_init(struct sim_wire *w, struct env *env)
{
    memset(w, 0, sizeof *w);
    w->env = env;
    w->loop = env_loop_new(env);
    w->timer = env_timer_new(w->loop, on_time, w);
    wr_init(&w->out, 0);
    wr_init(&w->in, 0);
    wr_init(&w->text, 0);
}

void
sim_wire_close(struct sim_wire *w)
{
    if (w->sock == NULL)
        return;
    env_event_free(w->event);
    env_sock_close(w->sock);
    w->sock = NULL;
    w->event = NULL;
}

void
sim_wire_fini(struct sim_wire *w)
{
    sim_wire_close(w);
    env_event_free(w->timer);
    env_loop_free(w->loop);
    wr_fini(&w->out);
    wr_fini(&w->in);
    wr_fini(&w->text);
}

static bool
flush(struct sim_wire *w)
{
    size_t at = 0;

    while (at < w->out.size) {
        struct iovec v = { w->out.data + at, w->out.size - at };
        size_t sent = 0;
        int rc = env_sendv(w->sock, &v, 1, &sent);

        at += sent;
        if (rc != 0 && (rc != ERR_AGAIN || !wait_for(w, ENV_EV_WRITE))) {
            diag_clear();
            wr_reset(&w->out);
            return false;
        }
    }
    wr_reset(&w->out);
    return true;
}

static bool
fill(struct sim_wire *w)
{
    uint8_t piece[4096];
    size_t got;
    int rc;

    if (w->in_at == w->in.size) {
        wr_reset(&w->in);
        w->in_at = 0;
    }
    while ((rc = env_recv(w->sock, piece, sizeof piece, &got)) == ERR_AGAIN)
        if (!wait_for(w, ENV_EV_READ))
            return false;
    diag_clear();
    if (rc != 0 || got == 0)
        return false;
    wr_bytes(&w->in, piece, got);
    return true;
}

static bool
next(struct sim_wire *w, struct proto_message *m)
{
    size_t need;

    for (;;) {
        struct slice rest = slice(w->in.data + w->in_at, w->in.size - w->in_at);

        CHECK(proto_next(rest, false, PROTO_MESSAGE_MAX, m, &need) == 0);
        if (m->size > 0)
            break;
        if (!fill(w))
            return false;
    }
    w->in_at += m->size;
    return true;
}

/* ---- answers --------------------------------------------------------------------------------- */

static void
take_row(struct sim_wire *w, struct slice body)
{
    struct reader r;
    int count, row = w->rows++;

    rd_init(&r, body.data, body.size);
    count = rd_u16_be(&r);
    CHECK(row < SIM_WIRE_ROWS_MAX && count <= SIM_WIRE_COLUMNS_MAX);
    w->columns[row] = count;
    for (int i = 0; i < count; i++) {
        uint32_t size = rd_u32_be(&r);

        w->field[row][i] = w->text.size;
        if (size != UINT32_MAX) {
            struct slice value = rd_slice(&r, size);

            wr_bytes(&w->text, value.data, value.size);
        }
        wr_u8(&w->text, 0);
    }
    CHECK(rd_ok(&r) && rd_left(&r) == 0);
}

static void
take_error(struct sim_wire *w, struct slice body)
{
    struct reader r;
    uint8_t field;

    rd_init(&r, body.data, body.size);
    while ((field = rd_u8(&r)) != 0) {
        const char *text = rd_cstr(&r);

        if (field == 'C')
            snprintf(w->sqlstate, sizeof w->sqlstate, "%s", text);
        else if (field == 'M')
            snprintf(w->message, sizeof w->message, "%s", text);
    }
}

/* Up to ReadyForQuery. */
static enum sim_wire_result
answers(struct sim_wire *w)
{
    struct proto_message m;

    while (next(w, &m)) {
        if (m.type == 'D')
            take_row(w, m.body);
        else if (m.type == 'E')
            take_error(w, m.body);
        else if (m.type == 'Z') {
            w->status = (char)m.body.data[0];
            return w->sqlstate[0] != '\0' ? SIM_WIRE_ERROR : SIM_WIRE_OK;
        }
    }
    sim_wire_close(w);
    return SIM_WIRE_LOST;
}

static void
begin(struct sim_wire *w, uint64_t timeout_us)
{
    w->rows = 0;
    w->sqlstate[0] = w->message[0] = '\0';
    wr_reset(&w->text);
    set_time(w, timeout_us);
}

enum sim_wire_result
sim_wire_query(struct sim_wire *w, uint64_t timeout_us, const char *text)
{
    size_t at;

    if (w->sock == NULL)
        return SIM_WIRE_LOST;
    begin(w, timeout_us);
    at = proto_begin(&w->out, 'Q');
    wr_cstr(&w->out, text);
    proto_end(&w->out, at);
    if (!flush(w)) {
        sim_wire_close(w);
        return SIM_WIRE_LOST;
    }
    return answers(w);
}

enum sim_wire_result
sim_wire_queryf(struct sim_wire *w, uint64_t timeout_us, const char *format, ...)
{
    char text[4096];
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    CHECK(n > 0 && (size_t)n < sizeof text);
    return sim_wire_query(w, timeout_us, text);
}

const char *
sim_wire_field(const struct sim_wire *w, int row, int column)
{
    CHECK(row < w->rows && column < w->columns[row]);
    return (const char *)w->text.data + w->field[row][column];
}

int64_t
sim_wire_int(const struct sim_wire *w, int row, int column)
{
    return strtoll(sim_wire_field(w, row, column), NULL, 10);
}

/* ---- connecting ------------------------------------------------------------------------------ */

static void
mac(const uint8_t key[SCRAM_KEY_SIZE], const char *text, uint8_t out[SCRAM_KEY_SIZE])
{
    CHECK(HMAC(EVP_sha256(), key, SCRAM_KEY_SIZE, (const uint8_t *)text, strlen(text), out, NULL) !=
          NULL);
}

/* RFC 5802, section 3. */
static void
prove(const char *said, char *out)
{
    uint8_t salted[SCRAM_KEY_SIZE], key[SCRAM_KEY_SIZE], stored[SCRAM_KEY_SIZE];
    uint8_t proof[SCRAM_KEY_SIZE];

    CHECK(PKCS5_PBKDF2_HMAC(PASSWORD, (int)strlen(PASSWORD), salt, sizeof salt, 1, EVP_sha256(),
                            sizeof salted, salted) == 1);
    mac(salted, "Client Key", key);
    SHA256(key, sizeof key, stored);
    mac(stored, said, proof);
    for (int i = 0; i < SCRAM_KEY_SIZE; i++)
        proof[i] ^= key[i];
    EVP_EncodeBlock((uint8_t *)out, proof, sizeof proof);
}

static void
put_startup(struct sim_wire *w)
{
    static const char body[] = "user\0redoubt\0database\0redoubt\0";

    wr_u32_be(&w->out, 8 + sizeof body);
    wr_u32_be(&w->out, PROTO_V3);
    wr_bytes(&w->out, body, sizeof body);
}

static void
put_sasl_first(struct sim_wire *w)
{
    static const char first[] = "n,,n=,r=nonce";
    size_t at = proto_begin(&w->out, 'p');

    wr_cstr(&w->out, "SCRAM-SHA-256");
    wr_u32_be(&w->out, sizeof first - 1);
    wr_bytes(&w->out, first, sizeof first - 1);
    proto_end(&w->out, at);
}

static void
put_sasl_final(struct sim_wire *w, struct slice server_first)
{
    char nonce[128], without[256], said[1024], proof[64], final[512];
    size_t at;

    snprintf(said, sizeof said, "%.*s", (int)server_first.size, (const char *)server_first.data);
    CHECK(sscanf(said, "r=%127[^,]", nonce) == 1);
    snprintf(without, sizeof without, "c=biws,r=%s", nonce);
    snprintf(said, sizeof said, "n=,r=nonce,%.*s,%s", (int)server_first.size,
             (const char *)server_first.data, without);
    prove(said, proof);
    snprintf(final, sizeof final, "%s,p=%s", without, proof);
    at = proto_begin(&w->out, 'p');
    wr_bytes(&w->out, final, strlen(final));
    proto_end(&w->out, at);
}

/* From the startup message to the first ReadyForQuery. */
static enum sim_wire_result
greet(struct sim_wire *w)
{
    struct proto_message m;

    put_startup(w);
    while (flush(w) && next(w, &m)) {
        uint32_t code = m.body.size >= 4 ? load_u32_be(m.body.data) : 0;

        if (m.type == 'E')
            take_error(w, m.body);
        else if (m.type == 'Z')
            return SIM_WIRE_OK;
        else if (m.type == 'R' && code == 10)
            put_sasl_first(w);
        else if (m.type == 'R' && code == 11)
            put_sasl_final(w, slice(m.body.data + 4, m.body.size - 4));
    }
    return SIM_WIRE_LOST;
}

enum sim_wire_result
sim_wire_connect(struct sim_wire *w, const char *address, uint64_t timeout_us)
{
    int rc;

    sim_wire_close(w);
    wr_reset(&w->in);
    w->in_at = 0;
    begin(w, timeout_us);
    if (env_connect(w->env, address, &w->sock) != 0) {
        diag_clear();
        w->sock = NULL;
        return SIM_WIRE_LOST;
    }
    w->event = env_event_new(w->loop, w->sock, on_ready, w);
    while ((rc = env_connect_result(w->sock)) == ERR_AGAIN)
        if (!wait_for(w, ENV_EV_WRITE))
            break;
    diag_clear();
    if (rc == 0 && greet(w) == SIM_WIRE_OK)
        return SIM_WIRE_OK;
    sim_wire_close(w);
    return SIM_WIRE_LOST;
}
