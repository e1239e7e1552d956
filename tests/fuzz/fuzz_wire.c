/* What a client may send: startup packets, messages, whole conversations, the SCRAM exchange.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/base/scram.h"
#include "engine/base/sim.h"
#include "engine/server/protocol.h"
#include "engine/server/server.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/echo_port.h"

/* A literal and its size, without its last NUL. */
#define BYTES(text) text, sizeof(text) - 1

/* ---- startup packets ------------------------------------------------------------------------ */

static void
run_startup(struct slice in)
{
    char *scratch = xmalloc(in.size + 1);
    struct proto_startup s;
    struct proto_message m;
    struct writer w;
    size_t need;

    wr_init(&w, 0);
    if (proto_next(in, true, PROTO_STARTUP_MAX, &m, &need) == 0 && m.size > 0) {
        CHECK(m.size <= in.size && m.body.size < m.size); /* PROTO-1 */
        if (proto_decode_startup(m.body, scratch, &s) == 0)
            proto_put_negotiate(&w, &s);
    }
    if (proto_decode_startup(in, scratch, &s) == 0)
        CHECK(s.setting_count >= 0 && s.setting_count <= PROTO_SETTINGS_MAX);
    wr_fini(&w);
    xfree(scratch);
}

static void
put_startup(struct writer *w, uint32_t code, const char *body, size_t size)
{
    wr_u32_be(w, (uint32_t)(8 + size));
    wr_u32_be(w, code);
    wr_bytes(w, body, size);
}

static void
seed_startup(struct fuzz_seeds *to)
{
    static const struct {
        const char *data;
        size_t size;
    } bodies[] = {
        { BYTES("user\0alice\0database\0d\0\0") },
        { BYTES("user\0bob\0options\0-c a=b\\ c --d=e -ef=g\0client_encoding\0UTF8\0\0") },
        { BYTES("user\0alice\0_pq_.x\0y\0replication\0true\0application_name\0psql\0\0") },
    };
    static const uint32_t codes[] = { PROTO_V3, PROTO_V3 | 2, PROTO_CANCEL, PROTO_SSL,
                                      PROTO_GSSENC };
    struct writer w;

    wr_init(&w, 0);
    for (size_t b = 0; b < 3; b++) {
        for (size_t c = 0; c < sizeof codes / sizeof codes[0]; c++) {
            wr_reset(&w);
            put_startup(&w, codes[c], bodies[b].data, bodies[b].size);
            fuzz_seed(to, wr_view(&w));
        }
        fuzz_seed(to, slice(w.data + 4, w.size - 4));
    }
    wr_fini(&w);
}

const struct fuzz_target fuzz_startup = { "startup", run_startup, seed_startup };

/* ---- messages ------------------------------------------------------------------------------- */

static void
run_bind(const struct proto_bind *b)
{
    struct slice *params = xmalloc(sizeof *params * (size_t)(b->param_count + 1));
    int16_t *formats = xmalloc(sizeof *formats * (size_t)(b->format_count + 1));
    int16_t *results = xmalloc(sizeof *results * (size_t)(b->result_format_count + 1));

    (void)!proto_bind_unpack(b, params, formats, results);
    xfree(params);
    xfree(formats);
    xfree(results);
}

static void
decode_message(struct slice body)
{
    struct slice text;
    struct proto_parse p;
    struct proto_bind b;
    struct proto_target t;
    struct proto_execute e;
    struct proto_sasl_initial s;

    (void)!proto_decode_query(body, &text);
    if (proto_decode_parse(body, &p) == 0)
        CHECK(p.type_count == 0 || p.types + p.type_count * 4 <= body.data + body.size);
    if (proto_decode_bind(body, &b) == 0)
        run_bind(&b);
    if (proto_decode_target(body, &t) == 0)
        CHECK(t.kind == 'S' || t.kind == 'P');
    (void)!proto_decode_execute(body, &e);
    (void)!proto_decode_sasl_initial(body, &s);
}

static void
run_messages(struct slice in)
{
    struct proto_message m;
    size_t need;

    while (proto_next(in, false, PROTO_MESSAGE_MAX, &m, &need) == 0 && m.size > 0) {
        CHECK(m.size <= in.size);
        decode_message(m.body);
        in = slice(in.data + m.size, in.size - m.size);
    }
}

static void
put(struct writer *w, uint8_t type, const char *body, size_t size)
{
    size_t at = proto_begin(w, type);

    wr_bytes(w, body, size);
    proto_end(w, at);
}

/* A batch of the extended protocol with a text and a binary parameter. */
static void
put_batch(struct writer *w, const char *text)
{
    size_t at = proto_begin(w, 'P');

    wr_cstr(w, "s1");
    wr_cstr(w, text);
    wr_bytes(w, BYTES("\0\1\0\0\0\27"));
    proto_end(w, at);
    put(w, 'B', BYTES("p1\0s1\0\0\1\0\1\0\1\0\0\0\4\0\0\0\7\0\1\0\1"));
    put(w, 'D', BYTES("Pp1\0"));
    put(w, 'D', BYTES("Ss1\0"));
    put(w, 'E', BYTES("p1\0\0\0\0\5"));
    put(w, 'C', BYTES("Pp1\0"));
    put(w, 'H', BYTES(""));
    put(w, 'S', BYTES(""));
}

static void
seed_messages(struct fuzz_seeds *to)
{
    static const char *const queries[] = {
        "echo 1; rows 3; begin", "error x", "copyin",    "copyout 3",
        "notice y; commit",      "stamp",   "timeout 1", "readonly"
    };
    struct writer w;

    wr_init(&w, 0);
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        wr_reset(&w);
        put(&w, 'Q', queries[i], strlen(queries[i]) + 1);
        put(&w, 'd', BYTES("1\t2\n"));
        put(&w, 'c', BYTES(""));
        put_batch(&w, "echo $1");
        put(&w, 'F', BYTES("xx"));
        put(&w, 'f', BYTES("no\0"));
        put(&w, 'p', BYTES("SCRAM-SHA-256\0\0\0\0\3n,,"));
        put(&w, 'X', BYTES(""));
        fuzz_seed(to, wr_view(&w));
    }
    wr_fini(&w);
}

const struct fuzz_target fuzz_messages = { "messages", run_messages, seed_messages };

/* ---- whole conversations -------------------------------------------------------------------- */

enum { TALK_PASSWORD = 1, TALK_STARTED = 2 }; /* bits of the first byte */

struct talk {
    struct env *env;
    struct echo echo;
    struct server *server;
    uint8_t how;
    struct slice in;
};

/* Takes what has come; false at the end of the connection. */
static bool
drain(struct env_sock *sock)
{
    uint8_t buffer[4096];
    size_t got;
    int rc;

    while ((rc = env_recv(sock, buffer, sizeof buffer, &got)) == 0 && got > 0)
        ;
    return rc == ERR_AGAIN;
}

static void
talk(struct talk *t, struct env_sock *sock)
{
    size_t at = 0, sent;

    while (at < t->in.size && drain(sock)) {
        size_t piece = 1 + t->in.data[at] * 4u; /* cuts that depend on the input alone */
        struct iovec v = { (uint8_t *)(uintptr_t)t->in.data + at,
                           piece < t->in.size - at ? piece : t->in.size - at };
        int rc = env_sendv(sock, &v, 1, &sent);

        if (rc != 0 && rc != ERR_AGAIN)
            return;
        at += rc == 0 ? sent : 0;
        env_sleep_us(t->env, 200);
    }
    for (int i = 0; i < 20 && drain(sock); i++)
        env_sleep_us(t->env, 1000);
}

static void
send_startup(struct env_sock *sock)
{
    struct writer w;
    struct iovec v;
    size_t sent;

    wr_init(&w, 0);
    put_startup(&w, PROTO_V3, BYTES("user\0alice\0database\0d\0\0"));
    v = (struct iovec){ w.data, w.size };
    CHECK(env_sendv(sock, &v, 1, &sent) == 0 && sent == w.size);
    wr_fini(&w);
}

static void
node_main(void *arg)
{
    static const char *const listen[1] = { "127.0.0.1:5433" };
    struct talk *t = arg;
    struct server_options o = { .env = t->env,
                                .port = &t->echo.port,
                                .listen = listen,
                                .listen_count = 1,
                                .workers = 1,
                                .auth_loopback = t->how & TALK_PASSWORD ? AUTH_SCRAM : AUTH_TRUST };
    struct env_sock *sock;
    int rc;

    CHECK(server_new(&o, &t->server) == 0 && server_start(t->server) == 0);
    CHECK(env_connect(t->env, "127.0.0.1:5433", &sock) == 0);
    while ((rc = env_connect_result(sock)) == ERR_AGAIN)
        env_sleep_us(t->env, 50);
    CHECK(rc == 0);
    if (t->how & TALK_STARTED)
        send_startup(sock);
    talk(t, sock);
    env_sock_close(sock);
    server_stop(t->server);
    CHECK(atomic_load(&t->echo.open_count) == 0);
    server_free(t->server);
}

static void
run_server(struct slice in)
{
    struct sim *sim = sim_new(1);
    struct talk t = { .env = sim_node_new(sim, "a"), .how = fuzz_byte(&in) };
    enum sim_result result;

    t.in = in;
    echo_init(&t.echo);
    atomic_store(&t.echo.newest, UINT64_C(1) << 40);
    sim_node_start(t.env, node_main, &t);
    result = sim_run(sim, 600 * SIM_SECOND, NULL, NULL);
    if (result != SIM_IDLE) {
        fprintf(stderr, "%s: %s\n%s\n", sim_result_name(result),
                sim_node_last_words(t.env) != NULL ? sim_node_last_words(t.env) : "",
                sim_report(sim));
        CHECK(result == SIM_IDLE);
    }
    CHECK(sim_node_leaked_bytes(t.env) == 0);
    sim_free(sim);
}

static void
seed_server(struct fuzz_seeds *to)
{
    struct writer w;

    wr_init(&w, 0);
    for (uint8_t how = 0; how < 4; how++) {
        wr_reset(&w);
        wr_u8(&w, how);
        if (!(how & TALK_STARTED))
            put_startup(&w, PROTO_V3, BYTES("user\0alice\0database\0d\0\0"));
        if (how & TALK_PASSWORD) {
            put(&w, 'p', BYTES("SCRAM-SHA-256\0\0\0\0\16n,,n=,r=abcdef"));
            put(&w, 'p', BYTES("c=biws,r=abcdef,p=AAAA"));
        }
        put(&w, 'Q', BYTES("echo a; rows 2; notice b\0"));
        put_batch(&w, "echo $1");
        put(&w, 'Q', BYTES("copyin\0"));
        put(&w, 'd', BYTES("1\t2\n"));
        put(&w, 'c', BYTES(""));
        put(&w, 'Q', BYTES("copyout 2; error z\0"));
        put(&w, 'X', BYTES(""));
        fuzz_seed(to, wr_view(&w));
    }
    wr_fini(&w);
}

const struct fuzz_target fuzz_server = { "server", run_server, seed_server };

/* ---- SCRAM ---------------------------------------------------------------------------------- */

/* verifier NUL client-first NUL client-final */
static void
run_scram(struct slice in)
{
    char verifier[SCRAM_VERIFIER_MAX + 2] = "", text[SCRAM_VERIFIER_MAX], out[SCRAM_MESSAGE_MAX];
    struct scram_server *s = xmalloc(sizeof *s);
    struct slice part[3] = { { NULL, 0 }, { NULL, 0 }, { NULL, 0 } };

    for (int i = 0; i < 3; i++) {
        const uint8_t *end = in.size > 0 ? memchr(in.data, 0, in.size) : NULL;

        part[i] = slice(in.data, i == 2 || end == NULL ? in.size : (size_t)(end - in.data));
        in = end == NULL ? slice(NULL, 0) : slice(end + 1, (size_t)(in.data + in.size - end) - 1);
    }
    memset(s, 0, sizeof *s);
    if (part[0].size < sizeof verifier && part[0].size > 0)
        memcpy(verifier, part[0].data, part[0].size);
    if (scram_parse_verifier(verifier, &s->verifier) == 0) {
        struct scram_verifier again;

        scram_format_verifier(&s->verifier, text);
        CHECK(scram_parse_verifier(text, &again) == 0 &&
              again.iterations == s->verifier.iterations);
    } else {
        static const uint8_t secret[SCRAM_KEY_SIZE];

        scram_mock_verifier(secret, "u", &s->verifier);
        s->doomed = true;
    }
    if (scram_server_first(s, part[1], "server", out) == 0)
        (void)!scram_server_final(s, part[2], out);
    xfree(s);
}

static void
seed_scram(struct fuzz_seeds *to)
{
    /* RFC 7677's example, with the server's nonce of this target. */
    static const char whole[] =
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\0n,,n=user,r=rOprNGfwEbeRWgbNEkqO\0"
        "c=biws,r=rOprNGfwEbeRWgbNEkqOserver,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    fuzz_seed(to, slice(whole, sizeof whole - 1));
    fuzz_seed(to, slice(BYTES("\0y,a=b,n==2C=3D,r=x\0c=eSxhPWIs,r=xserver,p=AA==")));
    fuzz_seed(to, slice(BYTES("\0p=tls-unique,,n=u,r=x\0c=AA==")));
}

const struct fuzz_target fuzz_scram = { "scram", run_scram, seed_scram };
