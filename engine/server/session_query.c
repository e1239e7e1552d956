/* What a client asks once it is ready: the simple and the extended query protocol.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/server/server_int.h"

#include <string.h>

static const struct sql_port_ops *
ops_of(const struct session *s)
{
    return s->worker->server->o.port->ops;
}

/* ---- answers -------------------------------------------------------------------------------- */

static void
ready_for_query(struct session *s)
{
    if (s->timer_armed)
        session_timer_disarm(s);
    if (s->role_changed)
        session_report_role(s);
    s->sent_status = ops_of(s)->status(s->sql);
    proto_put_ready(&s->client.out, s->sent_status);
    session_out_ready(s);
}

/* A failure that no answer can follow. */
static bool
is_fatal(const struct session *s, int rc)
{
    return rc == ERR_CONNECTION_FAILURE || s->broken || s->ending;
}

static void
statement_error(struct session *s, int rc)
{
    s->copy_in = false;
    if (!is_fatal(s, rc))
        session_put_error(s, "ERROR");
    else if (!s->ending)
        session_fail(s);
}

/* rc is SQL's own, and its transaction has failed already. */
static void
extended_result(struct session *s, int rc)
{
    if (rc == 0)
        return;
    s->skip_to_sync = true;
    statement_error(s, rc);
}

/* What was wrong was found before SQL saw it. */
static void
extended_refused(struct session *s, int rc)
{
    ops_of(s)->fail(s->sql);
    extended_result(s, rc);
}

static void
statement_begin(struct session *s)
{
    if (s->client.statement_timeout_ms != 0 && !s->timer_armed)
        session_timer_arm(s, true, s->client.statement_timeout_ms);
}

/* ---- messages ------------------------------------------------------------------------------- */

static void
on_query(struct session *s, struct slice body)
{
    struct slice text;
    int rc = proto_decode_query(body, &text);

    if (rc != 0) {
        ops_of(s)->fail(s->sql);
    } else {
        statement_begin(s);
        rc = ops_of(s)->simple_query(s->sql, text);
    }
    if (rc != 0)
        statement_error(s, rc);
    if (!s->ending)
        ready_for_query(s);
}

static void
on_parse(struct session *s, struct slice body)
{
    uint32_t few[32], *oids = few;
    struct proto_parse p;
    int rc = proto_decode_parse(body, &p);

    if (rc != 0) {
        extended_refused(s, rc);
        return;
    }
    if (p.type_count > 32)
        oids = xmalloc(sizeof *oids * (size_t)p.type_count);
    for (int i = 0; i < p.type_count; i++)
        oids[i] = load_u32_be(p.types + 4 * i);
    rc = ops_of(s)->parse(s->sql, p.name, p.text, oids, p.type_count);
    if (oids != few)
        xfree(oids);
    if (rc == 0)
        proto_put_empty(&s->client.out, '1');
    extended_result(s, rc);
}

enum { BIND_FEW = 32 };
struct bind_arrays {
    struct slice *params;
    int16_t *formats, *result_formats;
    struct slice few_params[BIND_FEW];
    int16_t few_formats[BIND_FEW], few_results[BIND_FEW];
    void *many;
};

static void
bind_arrays_init(struct bind_arrays *a, const struct proto_bind *p)
{
    size_t params = (size_t)p->param_count, formats = (size_t)p->format_count;
    size_t results = (size_t)p->result_format_count;

    a->many = NULL;
    a->params = a->few_params;
    a->formats = a->few_formats;
    a->result_formats = a->few_results;
    if (params <= BIND_FEW && formats <= BIND_FEW && results <= BIND_FEW)
        return;
    a->many = xmalloc(params * sizeof(struct slice) + (formats + results) * sizeof(int16_t));
    a->params = a->many;
    a->formats = (int16_t *)(a->params + params);
    a->result_formats = a->formats + formats;
}

static void
on_bind(struct session *s, struct slice body)
{
    struct bind_arrays a;
    struct proto_bind p;
    struct sql_bind b;
    int rc = proto_decode_bind(body, &p);

    if (rc != 0) {
        extended_refused(s, rc);
        return;
    }
    bind_arrays_init(&a, &p);
    rc = proto_bind_unpack(&p, a.params, a.formats, a.result_formats);
    if (rc != 0) {
        extended_refused(s, rc);
    } else {
        b = (struct sql_bind){
            p.portal,       p.statement, p.param_count,         a.params,
            p.format_count, a.formats,   p.result_format_count, a.result_formats
        };
        rc = ops_of(s)->bind(s->sql, &b);
        if (rc == 0)
            proto_put_empty(&s->client.out, '2');
        extended_result(s, rc);
    }
    xfree(a.many);
}

static void
on_describe(struct session *s, struct slice body)
{
    struct proto_target t;
    int rc = proto_decode_target(body, &t);

    if (rc != 0)
        extended_refused(s, rc);
    else
        extended_result(s, t.kind == 'S' ? ops_of(s)->describe_statement(s->sql, t.name)
                                         : ops_of(s)->describe_portal(s->sql, t.name));
}

static void
on_close(struct session *s, struct slice body)
{
    struct proto_target t;
    int rc = proto_decode_target(body, &t);

    if (rc != 0) {
        extended_refused(s, rc);
        return;
    }
    rc = t.kind == 'S' ? ops_of(s)->close_statement(s->sql, t.name)
                       : ops_of(s)->close_portal(s->sql, t.name);
    if (rc == 0)
        proto_put_empty(&s->client.out, '3');
    extended_result(s, rc);
}

static void
on_execute(struct session *s, struct slice body)
{
    struct proto_execute e;
    int rc = proto_decode_execute(body, &e);

    if (rc != 0) {
        extended_refused(s, rc);
        return;
    }
    statement_begin(s);
    extended_result(s, ops_of(s)->execute(s->sql, e.portal, e.max_rows));
}

static void
on_sync(struct session *s)
{
    int rc = ops_of(s)->sync(s->sql);

    s->skip_to_sync = false;
    if (rc != 0)
        statement_error(s, rc);
    if (!s->ending)
        ready_for_query(s);
}

static void
on_function_call(struct session *s)
{
    ops_of(s)->fail(s->sql);
    statement_error(s, DIAG(ERR_NOT_SUPPORTED, "the function call protocol is not supported"));
    ready_for_query(s);
}

void
session_message(struct session *s, const struct proto_message *m)
{
    diag_clear();
    if (s->skip_to_sync && m->type != 'S' && m->type != 'X')
        return;
    switch (m->type) {
    case 'Q':
        on_query(s, m->body);
        break;
    case 'P':
        on_parse(s, m->body);
        break;
    case 'B':
        on_bind(s, m->body);
        break;
    case 'D':
        on_describe(s, m->body);
        break;
    case 'E':
        on_execute(s, m->body);
        break;
    case 'C':
        on_close(s, m->body);
        break;
    case 'H':
        session_out_ready(s);
        break;
    case 'S':
        on_sync(s);
        break;
    case 'X':
        session_set_ending(s);
        break;
    case 'F':
        on_function_call(s);
        break;
    case 'd': /* of a COPY that has failed: the client had not heard of it yet */
    case 'c':
    case 'f':
        break;
    default:
        (void)DIAG(ERR_PROTOCOL, "invalid frontend message type %d", m->type);
        session_fail(s);
    }
}
