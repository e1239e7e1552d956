/* What SQL sees of a connection: struct sql_client_ops.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/server/server_int.h"

#include <string.h>

static struct session *
session_of(struct sql_client *c)
{
    return container_of(c, struct session, client);
}

static void
client_row_description(struct sql_client *c, const struct sql_field *fields, int count)
{
    proto_put_row_description(&c->out, fields, count);
}

static void
client_parameter_description(struct sql_client *c, const uint32_t *oids, int count)
{
    proto_put_parameter_description(&c->out, oids, count);
}

static void
client_no_data(struct sql_client *c)
{
    proto_put_empty(&c->out, 'n');
}

static void
client_command_complete(struct sql_client *c, const char *tag)
{
    proto_put_command_complete(&c->out, tag);
}

static void
client_empty_query(struct sql_client *c)
{
    proto_put_empty(&c->out, 'I');
}

static void
client_portal_suspended(struct sql_client *c)
{
    proto_put_empty(&c->out, 's');
}

static void
client_notice(struct sql_client *c, enum sql_severity severity, const struct diag *d)
{
    static const char *const names[] = { "WARNING", "NOTICE", "INFO", "LOG", "DEBUG" };

    proto_put_error(&c->out, 'N', names[severity], d);
}

static void
client_parameter_status(struct sql_client *c, const char *name, const char *value)
{
    proto_put_parameter(&c->out, name, value);
}

static int
client_flush(struct sql_client *c)
{
    int rc;

    if (c->canceled)
        return DIAG(ERR_QUERY_CANCELED, "canceling statement due to user request");
    rc = wr_finish(&c->out);
    return rc != 0 ? rc : session_flush(session_of(c));
}

static void
client_require(struct sql_client *c, struct moment m)
{
    session_require(session_of(c), m);
}

/* ---- COPY FROM STDIN ------------------------------------------------------------------------ */

/* The message that began it stays where it is (its text is in use); what follows it goes on in a
 * buffer of its own. */
static void
pin_message(struct session *s)
{
    size_t at = s->in_at + s->in_message, left = s->in_end - at;
    uint8_t *fresh;

    s->in_at += s->copy_message; /* the end of an earlier COPY of the same message */
    s->copy_message = 0;
    if (s->in_message == 0)
        return;
    CHECK(left <= BUFFER_SIZE); /* a buffer grows only for a message that fills it */
    fresh = worker_buffer_get(s->worker);
    memcpy(fresh, s->in + at, left);
    s->pinned = s->in;
    s->pinned_cap = s->in_cap;
    s->in = fresh;
    s->in_cap = BUFFER_SIZE;
    s->in_at = 0;
    s->in_end = left;
    s->in_message = 0;
}

static int
client_copy_in_begin(struct sql_client *c, int format, int columns)
{
    struct session *s = session_of(c);

    pin_message(s);
    s->copy_in = true;
    s->copy_text = format == 0;
    s->copy_utf8 = (struct utf8_stream){ 0 };
    proto_put_copy_response(&c->out, 'G', format, columns);
    return session_flush(s);
}

static int
copy_end(struct session *s, int rc)
{
    s->copy_in = false;
    return rc;
}

static int
copy_failed(struct session *s, struct slice body)
{
    const char *nul = body.size > 0 ? memchr(body.data, '\0', body.size) : NULL;

    return copy_end(s, DIAG(ERR_QUERY_CANCELED, "COPY from stdin failed: %.300s",
                            nul != NULL ? (const char *)body.data : ""));
}

/* One message of the COPY: 0 with data, 0 without (nothing to tell), or the end. */
static int
copy_message(struct session *s, const struct proto_message *m, struct slice *data)
{
    int rc = 0;

    switch (m->type) {
    case 'd':
        if (s->copy_text)
            rc = utf8_stream_check(&s->copy_utf8, m->body.data, m->body.size);
        *data = m->body;
        return rc;
    case 'c':
        rc = s->copy_text ? utf8_stream_end(&s->copy_utf8) : 0;
        return copy_end(s, rc != 0 ? rc : ERR_END);
    case 'f':
        return copy_failed(s, m->body);
    case 'H': /* a client may flush or sync at any time */
    case 'S':
        return 0;
    default:
        return copy_end(s, DIAG(ERR_PROTOCOL,
                                "unexpected message type 0x%02X during COPY from stdin", m->type));
    }
}

static int
client_copy_in_read(struct sql_client *c, struct slice *data)
{
    struct session *s = session_of(c);
    struct proto_message m;
    size_t need;
    int rc;

    CHECK(s->copy_in);
    *data = slice(NULL, 0);
    for (;;) {
        s->in_at += s->copy_message; /* the piece given out before is done with */
        s->copy_message = 0;
        if (c->canceled)
            return copy_end(s, DIAG(ERR_QUERY_CANCELED, "canceling statement due to user request"));
        rc = proto_next(slice(s->in + s->in_at, s->in_end - s->in_at), false,
                        s->worker->server->o.message_max, &m, &need);
        if (rc == 0 && m.size == 0)
            rc = session_more_input(s, need);
        if (rc != 0)
            return copy_end(s, rc);
        if (m.size == 0)
            continue;
        s->copy_message = m.size;
        rc = copy_message(s, &m, data);
        if (rc != 0 || data->size > 0)
            return rc;
    }
}

/* ---- COPY TO STDOUT ------------------------------------------------------------------------- */

static int
client_copy_out_begin(struct sql_client *c, int format, int columns)
{
    proto_put_copy_response(&c->out, 'H', format, columns);
    return 0;
}

static void
client_copy_out_end(struct sql_client *c)
{
    proto_put_empty(&c->out, 'c');
}

const struct sql_client_ops session_client_ops = {
    .row_description = client_row_description,
    .parameter_description = client_parameter_description,
    .no_data = client_no_data,
    .command_complete = client_command_complete,
    .empty_query = client_empty_query,
    .portal_suspended = client_portal_suspended,
    .notice = client_notice,
    .parameter_status = client_parameter_status,
    .flush = client_flush,
    .require = client_require,
    .copy_in_begin = client_copy_in_begin,
    .copy_in_read = client_copy_in_read,
    .copy_out_begin = client_copy_out_begin,
    .copy_out_end = client_copy_out_end,
};
