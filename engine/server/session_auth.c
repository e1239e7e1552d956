/* From the first byte to ReadyForQuery: negotiation, cancel requests, authentication.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/server/server_int.h"

#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>

void
session_auth_free(struct session *s)
{
    struct session_auth *a = s->auth;

    if (a == NULL)
        return;
    xfree(a->body);
    xfree(a->scratch);
    OPENSSL_cleanse(a, sizeof *a);
    xfree(a);
    s->auth = NULL;
}

/* ---- opening -------------------------------------------------------------------------------- */

/* SRV-8: max_connections counts those who are authenticated; the last ones are for superusers. Who
 * is refused never counts, not even for a moment. */
static int
take_place(struct session *s)
{
    struct server *server = s->worker->server;
    int limit = server->o.max_connections - (s->is_superuser ? 0 : server->o.superuser_reserved);
    int count = atomic_load(&server->ready_count);

    do {
        if (count >= limit)
            return DIAG(ERR_TOO_MANY_CONNECTIONS, "sorry, too many clients already");
    } while (!atomic_compare_exchange_weak(&server->ready_count, &count, count + 1));
    s->is_counted = true;
    return 0;
}

static bool
is_sql_ascii(const struct proto_startup *p)
{
    return p->client_encoding != NULL && strcasecmp(p->client_encoding, "SQL_ASCII") == 0;
}

/* What PostgreSQL reports. SQL reports again what it knows better. */
static void
put_parameters(struct session *s)
{
    const struct server *server = s->worker->server;
    const struct proto_startup *p = &s->auth->startup;
    const char *const all[][2] = {
        { "server_version", server->o.version },
        { "server_encoding", "UTF8" },
        { "client_encoding", is_sql_ascii(p) ? "SQL_ASCII" : "UTF8" },
        { "application_name", p->application_name != NULL ? p->application_name : "" },
        { "default_transaction_read_only", "off" },
        { "in_hot_standby", server->o.port->ops->is_standby(server->o.port->arg) ? "on" : "off" },
        { "is_superuser", s->is_superuser ? "on" : "off" },
        { "session_authorization", p->user },
        { "DateStyle", "ISO, MDY" },
        { "IntervalStyle", "postgres" },
        { "TimeZone", "UTC" },
        { "integer_datetimes", "on" },
        { "standard_conforming_strings", "on" },
    };

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        proto_put_parameter(&s->client.out, all[i][0], all[i][1]);
}

static int
open_sql(struct session *s)
{
    const struct sql_port *port = s->worker->server->o.port;
    const struct proto_startup *p = &s->auth->startup;
    struct sql_open o = {
        .user = p->user,
        .database = p->database != NULL && *p->database != '\0' ? p->database : p->user,
        .application_name = p->application_name != NULL ? p->application_name : "",
        .settings = p->settings,
        .setting_count = p->setting_count,
        .peer = s->peer,
        .is_superuser = s->is_superuser,
        .client = &s->client,
    };

    return port->ops->open(port->arg, &o, &s->sql);
}

static int
session_open(struct session *s)
{
    struct writer *out = &s->client.out;
    int rc;

    if (!s->auth->role.exists)
        return DIAG(ERR_INVALID_AUTHORIZATION, "role \"%s\" does not exist", s->auth->startup.user);
    if (!s->auth->role.can_login)
        return DIAG(ERR_INVALID_AUTHORIZATION, "role \"%s\" is not permitted to log in",
                    s->auth->startup.user);
    s->is_superuser = s->auth->role.is_superuser;
    rc = take_place(s);
    if (rc != 0)
        return rc;
    worker_choose_key(s->worker, s);
    proto_put_auth_ok(out);
    put_parameters(s);
    rc = open_sql(s);
    if (rc != 0)
        return rc;
    proto_put_backend_key(out, s->client.process_id, s->secret);
    if (s->role_changed)
        session_report_role(s);
    s->sent_status = s->worker->server->o.port->ops->status(s->sql);
    proto_put_ready(out, s->sent_status);
    session_out_ready(s);
    s->state = SESSION_READY;
    worker_session_ready(s->worker, s);
    session_auth_free(s);
    return 0;
}

/* ---- startup -------------------------------------------------------------------------------- */

static enum auth_method
method_of(const struct session *s)
{
    const struct server_options *o = &s->worker->server->o;

    if (strcmp(s->peer, "local") == 0)
        return o->auth_unix;
    return env_sock_is_loopback(s->sock) ? o->auth_loopback : o->auth_remote;
}

static int
check_startup(const struct proto_startup *p)
{
    const char *e = p->client_encoding;

    if (p->user == NULL || *p->user == '\0')
        return DIAG(ERR_INVALID_AUTHORIZATION,
                    "no PostgreSQL user name specified in startup packet");
    if (p->replication != NULL && strcasecmp(p->replication, "false") != 0 &&
        strcmp(p->replication, "0") != 0 && strcasecmp(p->replication, "off") != 0)
        return DIAG(ERR_NOT_SUPPORTED, "replication connections are not served on this port");
    if (e != NULL && strcasecmp(e, "UTF8") != 0 && strcasecmp(e, "UTF-8") != 0 &&
        strcasecmp(e, "UNICODE") != 0 && strcasecmp(e, "'utf-8'") != 0 && !is_sql_ascii(p))
        return DIAG(ERR_NOT_SUPPORTED, "conversion between %.60s and UTF8 is not supported", e);
    return 0;
}

static int
begin_auth(struct session *s)
{
    struct session_auth *a = s->auth;
    const struct sql_port *port = s->worker->server->o.port;
    int rc = check_startup(&a->startup);

    if (rc == 0)
        rc = port->ops->role_lookup(port->arg, a->startup.user, &a->role);
    if (rc != 0)
        return rc;
    if (a->startup.minor > 0 || a->startup.unknown_count > 0)
        proto_put_negotiate(&s->client.out, &a->startup);
    switch (method_of(s)) {
    case AUTH_TRUST:
        return session_open(s);
    case AUTH_SCRAM:
        proto_put_auth_sasl(&s->client.out);
        session_out_ready(s);
        s->state = SESSION_SASL_FIRST;
        return 0;
    case AUTH_REJECT:
        break;
    }
    return DIAG(ERR_INVALID_AUTHORIZATION, "connections from \"%s\" are not accepted", s->peer);
}

/* A cancel request is answered by nothing but the end of its connection. */
static void
pass_on_cancel(struct session *s)
{
    struct server *server = s->worker->server;

    for (int i = 0; i < server->o.workers; i++)
        worker_cancel(&server->workers[i], s->auth->startup.process_id, s->auth->startup.secret);
    session_set_ending(s);
}

/* SRV-9: each kind of encryption may be asked for once. */
static int
refuse_encryption(struct session *s, bool *asked)
{
    if (*asked)
        return DIAG(ERR_PROTOCOL, "encryption was refused before");
    *asked = true;
    wr_u8(&s->client.out, 'N');
    session_out_ready(s);
    return 0;
}

static int
startup_message(struct session *s, struct slice body)
{
    struct session_auth *a = s->auth;
    int rc;

    xfree(a->body);
    xfree(a->scratch);
    a->body = xmalloc(body.size + 1);
    a->scratch = xmalloc(2 * body.size + 2);
    memcpy(a->body, body.data, body.size);
    rc = proto_decode_startup(slice(a->body, body.size), a->scratch, &a->startup);
    if (rc != 0)
        return rc;
    switch (a->startup.code) {
    case PROTO_SSL:
        return refuse_encryption(s, &a->ssl_asked);
    case PROTO_GSSENC:
        return refuse_encryption(s, &a->gss_asked);
    case PROTO_CANCEL:
        pass_on_cancel(s);
        return 0;
    default:
        return begin_auth(s);
    }
}

/* ---- SCRAM ---------------------------------------------------------------------------------- */

static int
sasl_first(struct session *s, struct slice body)
{
    struct session_auth *a = s->auth;
    struct server *server = s->worker->server;
    uint8_t random[SCRAM_NONCE_SIZE];
    char nonce[32], answer[SCRAM_MESSAGE_MAX];
    struct proto_sasl_initial m;
    int rc = proto_decode_sasl_initial(body, &m);

    if (rc != 0)
        return rc;
    if (!slice_eq(m.mechanism, slice_str("SCRAM-SHA-256")))
        return DIAG(ERR_PROTOCOL, "client selected an invalid SASL authentication mechanism");
    if (m.response.data == NULL)
        return DIAG(ERR_PROTOCOL, "the first SASL message has no response");
    /* SRV-10: whether the user exists cannot be told from what follows. */
    if (!a->role.exists || a->role.verifier[0] == '\0' ||
        scram_parse_verifier(a->role.verifier, &a->scram.verifier) != 0) {
        scram_mock_verifier(server->mock_secret, a->startup.user, &a->scram.verifier);
        a->scram.doomed = true;
    }
    env_random(server->o.env, random, sizeof random);
    scram_format_nonce(random, nonce);
    rc = scram_server_first(&a->scram, m.response, nonce, answer);
    if (rc != 0)
        return rc;
    proto_put_auth_sasl_data(&s->client.out, false, slice_str(answer));
    session_out_ready(s);
    s->state = SESSION_SASL_FINAL;
    return 0;
}

static int
sasl_final(struct session *s, struct slice body)
{
    char answer[SCRAM_MESSAGE_MAX];
    int rc = scram_server_final(&s->auth->scram, body, answer);

    if (rc == ERR_INVALID_PASSWORD)
        rc = DIAG(ERR_INVALID_PASSWORD, "password authentication failed for user \"%s\"",
                  s->auth->startup.user);
    if (rc != 0)
        return rc;
    proto_put_auth_sasl_data(&s->client.out, true, slice_str(answer));
    return session_open(s);
}

void
session_auth_message(struct session *s, const struct proto_message *m)
{
    int rc;

    if (s->state == SESSION_STARTUP)
        rc = startup_message(s, m->body);
    else if (m->type != 'p')
        rc = DIAG(ERR_PROTOCOL, "expected SASL response, got message type %d", m->type);
    else if (s->state == SESSION_SASL_FIRST)
        rc = sasl_first(s, m->body);
    else
        rc = sasl_final(s, m->body);
    if (rc == 0)
        return;
    figure_add(&s->worker->auth_failures, 1);
    log_diag(s->worker->server->o.log, LOG_INFO, "connection from \"%s\" refused", s->peer);
    session_fail(s);
}
