/* The life of a connection: it is made, receives, gets a fiber while it has a message to work on,
 * and ends.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/server/server_int.h"

#include <stdio.h>
#include <string.h>

/* ---- events --------------------------------------------------------------------------------- */

void
session_arm(struct session *s, int what)
{
    if (s->armed == what)
        return;
    s->armed = what;
    env_event_arm(s->event, what);
}

/* SRV-5: the client is gone while its statement runs, and nothing else of it waits to be done. */
static bool
is_abandoned(const struct session *s)
{
    return s->eof && !s->copy_in && s->in_at + s->in_message == s->in_end;
}

static void
session_receive(struct session *s)
{
    struct worker *w = s->worker;
    size_t got;
    int rc;

    if (s->in == NULL) {
        s->in = worker_buffer_get(w);
        s->in_cap = BUFFER_SIZE;
        s->in_at = s->in_end = 0;
    }
    if (s->in_end == s->in_cap) { /* its fiber is busy: it arms again when it has made room */
        session_arm(s, s->armed & ~ENV_EV_READ);
        return;
    }
    rc = env_recv(s->sock, s->in + s->in_end, s->in_cap - s->in_end, &got);
    if (rc == ERR_AGAIN)
        return;
    s->in_end += got;
    figure_add(&w->bytes_in, got);
    if (rc != 0 || got == 0) {
        s->eof = true;
        s->broken = rc != 0;
        session_arm(s, s->armed & ~ENV_EV_READ);
    }
    if (s->runner == NULL) {
        worker_run(w, s);
    } else {
        fiber_queue_wake_all(&s->wait);
        if (is_abandoned(s))
            session_cancel_as(s, CANCEL_GONE);
    }
}

void
session_event_cb(void *arg, int what)
{
    struct session *s = arg;
    struct worker *w = s->worker;

    if ((what & ENV_EV_WRITE) != 0) {
        struct moment visible = worker_visible(w);

        (void)session_flush_permitted(s, visible, worker_permitted(w));
    }
    if ((what & ENV_EV_READ) == 0)
        return;
    if (s->eof) /* found when sending */
        session_arm(s, s->armed & ~ENV_EV_READ);
    else
        session_receive(s);
}

static void
session_timer_cb(void *arg, int what)
{
    struct session *s = arg;

    (void)what;
    s->timer_armed = false;
    if (s->timer_is_statement)
        session_cancel_as(s, CANCEL_TIMEOUT);
    else if (s->runner == NULL)
        session_terminate(s, ERR_IDLE_IN_TRANSACTION_TIMEOUT,
                          "terminating connection due to idle-in-transaction timeout");
}

void
session_timer_arm(struct session *s, bool is_statement, uint32_t ms)
{
    if (s->timer == NULL)
        s->timer = env_timer_new(sched_loop(s->worker->sched), session_timer_cb, s);
    s->timer_is_statement = is_statement;
    s->timer_armed = true;
    env_timer_arm(s->timer, (uint64_t)ms * 1000);
}

void
session_timer_disarm(struct session *s)
{
    if (!s->timer_armed)
        return;
    env_timer_disarm(s->timer);
    s->timer_armed = false;
}

/* ---- input ---------------------------------------------------------------------------------- */

static void
in_free(struct session *s, uint8_t *buffer, size_t cap)
{
    struct budget *budget = s->worker->server->o.budget;

    if (buffer == NULL)
        return;
    if (cap == BUFFER_SIZE) {
        worker_buffer_put(s->worker, buffer);
        return;
    }
    if (budget != NULL)
        budget_release(budget, cap);
    xfree(buffer);
}

static void
in_release(struct session *s)
{
    in_free(s, s->in, s->in_cap);
    s->in = NULL;
    s->in_cap = s->in_at = s->in_end = 0;
}

/* SRV-6: memory grows with what has come, not with what the length promises. */
static int
in_grow(struct session *s, size_t need)
{
    struct budget *budget = s->worker->server->o.budget;
    size_t cap = s->in_cap * 2 < need ? s->in_cap * 2 : need;
    uint8_t *buffer;
    int rc = budget == NULL ? 0 : budget_charge(budget, cap);

    if (rc != 0)
        return rc;
    buffer = xmalloc(cap);
    memcpy(buffer, s->in, s->in_end);
    in_free(s, s->in, s->in_cap);
    s->in = buffer;
    s->in_cap = cap;
    return 0;
}

int
session_make_room(struct session *s, size_t need)
{
    CHECK(s->in_message == 0);
    if (s->in == NULL)
        return 0;
    if (s->in_at == s->in_end) {
        in_release(s);
        return 0;
    }
    if (s->in_at > 0 && s->in_cap - s->in_at < need) {
        memmove(s->in, s->in + s->in_at, s->in_end - s->in_at);
        s->in_end -= s->in_at;
        s->in_at = 0;
    }
    if (s->in_end == s->in_cap && need > s->in_cap)
        return in_grow(s, need);
    return 0;
}

int
session_more_input(struct session *s, size_t need)
{
    int rc = session_make_room(s, need);

    if (rc != 0)
        return rc;
    if (s->eof)
        return DIAG(ERR_CONNECTION_FAILURE, "unexpected EOF on client connection");
    if (s->client.canceled || s->ending)
        return DIAG(ERR_QUERY_CANCELED, "canceling statement due to user request");
    session_arm(s, s->armed | ENV_EV_READ);
    fiber_queue_wait(&s->wait);
    return 0;
}

/* ---- errors --------------------------------------------------------------------------------- */

void
session_put_error(struct session *s, const char *severity)
{
    const struct diag *d = diag_last();

    if (d->code == ERR_QUERY_CANCELED && s->cancel_reason == CANCEL_TIMEOUT)
        DIAG(ERR_QUERY_CANCELED, "canceling statement due to statement timeout");
    s->client.out.bad = false; /* what did not fit has been taken back */
    proto_put_error(&s->client.out, 'E', severity, diag_last());
}

void
session_set_ending(struct session *s)
{
    if (s->ending)
        return;
    s->ending = true;
    worker_session_ending(s->worker, s);
}

void
session_fail(struct session *s)
{
    struct diag d = *diag_last();

    session_out_drop_held(s);
    diag_restore(&d);
    session_put_error(s, "FATAL");
    s->failed = true;
    session_set_ending(s);
}

void
session_terminate(struct session *s, int code, const char *message)
{
    if (s->ending || s->state == SESSION_CLOSED)
        return;
    s->end_code = code;
    s->end_message = message;
    session_set_ending(s);
    if (s->runner == NULL) {
        worker_run(s->worker, s);
    } else {
        session_cancel_as(s, CANCEL_ENDING);
        fiber_queue_wake_all(&s->wait);
    }
}

void
session_cancel_as(struct session *s, enum cancel_reason why)
{
    if (s->runner == NULL || s->state == SESSION_CLOSED || s->client.canceled)
        return;
    s->client.canceled = true;
    s->cancel_reason = why;
    fiber_queue_wake_all(&s->wait);
    if (s->sql != NULL)
        s->worker->server->o.port->ops->cancel(s->sql);
    fiber_interrupt(s->runner->fiber);
}

void
session_cancel(struct session *s)
{
    session_cancel_as(s, CANCEL_USER);
}

void
session_report_role(struct session *s)
{
    const struct server *server = s->worker->server;

    s->role_changed = false;
    proto_put_parameter(&s->client.out, "in_hot_standby",
                        server->o.port->ops->is_standby(server->o.port->arg) ? "on" : "off");
    server->o.port->ops->role_changed(s->sql);
}

/* ---- begin and end -------------------------------------------------------------------------- */

void
session_start(struct worker *w, struct env_sock *sock)
{
    struct session *s = xcalloc(1, sizeof *s);
    const struct server_options *o = &w->server->o;
    char peer[ENV_ADDR_MAX];

    env_sock_peer(sock, peer);
    s->worker = w;
    s->sock = sock;
    s->peer = xstrdup(peer);
    s->auth = xcalloc(1, sizeof *s->auth);
    s->accepted_ns = env_boot_ns(o->env);
    s->client.ops = &session_client_ops;
    s->client.flush_at = OUT_FLUSH_BYTES;
    s->client.worker = w->index;
    s->client.statement_timeout_ms = o->statement_timeout_ms;
    s->client.idle_in_transaction_timeout_ms = o->idle_in_transaction_timeout_ms;
    wr_init(&s->client.out, OUT_LIMIT_BYTES);
    fiber_queue_init(&s->wait);
    list_init(&s->dirty_link);
    worker_session_add(w, s);
    s->event = env_event_new(sched_loop(w->sched), sock, session_event_cb, s);
    session_arm(s, ENV_EV_READ);
}

/* In its fiber. May park: SQL rolls back. */
static void
session_close(struct session *s)
{
    struct worker *w = s->worker;

    session_set_ending(s);
    if (!s->failed)
        session_out_drop_held(s);
    if (s->end_code != 0 && !s->failed) {
        (void)DIAG(s->end_code, "%s", s->end_message);
        session_put_error(s, "FATAL");
    }
    session_out_last(s);
    s->state = SESSION_CLOSED;
    session_arm(s, 0);
    if (s->timer != NULL)
        env_event_free(s->timer);
    list_remove(&s->dirty_link);
    fiber_interrupted();
    if (s->sql != NULL)
        w->server->o.port->ops->close(s->sql);
    env_event_free(s->event);
    env_sock_close(s->sock);
    in_free(s, s->in, s->in_cap);
    in_free(s, s->pinned, s->pinned_cap);
    s->out_sent = s->client.out.size;
    session_out_release(s);
    session_auth_free(s);
    worker_session_remove(w, s);
    xfree(s->peer);
    xfree(s);
}

/* ---- the fiber's part ----------------------------------------------------------------------- */

/* Nothing to do until more comes: gives back what an idle connection does not need. */
static void
session_rest(struct session *s)
{
    char status;

    if (s->in_at == s->in_end)
        in_release(s);
    if (s->out_sent == s->client.out.size)
        session_out_release(s);
    session_arm(s, s->armed | ENV_EV_READ);
    status = s->sent_status;
    if (s->client.idle_in_transaction_timeout_ms != 0 && (status == 'T' || status == 'E') &&
        !s->timer_armed)
        session_timer_arm(s, false, s->client.idle_in_transaction_timeout_ms);
    s->runner = NULL;
}

/* The next whole message, if there is one. False: it rests, or has ended. */
static bool
session_next(struct session *s, struct proto_message *m)
{
    bool ready = s->state == SESSION_READY;
    size_t max = ready                         ? s->worker->server->o.message_max
                 : s->state == SESSION_STARTUP ? PROTO_STARTUP_MAX
                                               : PROTO_UNAUTHENTICATED_MAX;
    size_t need;
    int rc;

    rc = proto_next(slice(s->in + s->in_at, s->in_end - s->in_at), s->state == SESSION_STARTUP, max,
                    m, &need);
    if (rc == 0 && m->size == 0 && !s->eof)
        rc = session_make_room(s, need);
    if (rc != 0)
        session_fail(s);
    else if (m->size == 0 && s->eof)
        session_set_ending(s);
    return rc == 0 && m->size > 0;
}

static void
session_handle(struct session *s, const struct proto_message *m)
{
    s->client.canceled = false;
    s->cancel_reason = CANCEL_NONE;
    fiber_interrupted();
    s->in_message = m->size;
    figure_add(&s->worker->messages, 1);
    if (s->state == SESSION_READY)
        session_message(s, m);
    else
        session_auth_message(s, m);
    s->in_at += s->in_message + s->copy_message; /* the first is 0 if there was a COPY */
    s->in_message = s->copy_message = 0;
    if (s->pinned != NULL) {
        in_free(s, s->pinned, s->pinned_cap);
        s->pinned = NULL;
    }
}

void
session_work(struct session *s)
{
    struct proto_message m;

    if (s->timer_armed && !s->timer_is_statement)
        session_timer_disarm(s);
    while (!s->ending && !s->broken) {
        if (s->out_ready - s->out_sent >= OUT_HIGH_BYTES) {
            s->client.canceled = false;
            if (session_flush(s) != 0)
                continue;
        }
        if (s->in == NULL || !session_next(s, &m))
            break;
        session_handle(s, &m);
    }
    if (s->ending || s->broken || (s->eof && s->in == NULL))
        session_close(s);
    else
        session_rest(s);
}
