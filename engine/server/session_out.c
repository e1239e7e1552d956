/* The way out of a connection: answers gather in client.out and leave in order, as far as the reply
 * gate lets them.
 *
 *   0 .. out_sent     sent
 *   .. out_ready      whole answers: the worker sends them at the end of a turn
 *   .. size           being written by the session's fiber
 *
 * While a fiber is at work, nobody moves bytes within the buffer (rows are patched by offset).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/server/server_int.h"

#include <string.h>

/* ---- what may leave ------------------------------------------------------------------------- */

void
session_require(struct session *s, struct moment m)
{
    struct hold *last = s->hold_count > 0 ? &s->holds[s->hold_count - 1] : NULL;

    if (m.scn == 0 || (last != NULL && last->m.inc == m.inc && last->m.scn >= m.scn))
        return;
    if (s->hold_count == HOLDS_MAX) { /* asks a little more of what lies between */
        last->m = m;
        return;
    }
    s->holds[s->hold_count++] = (struct hold){ s->batch_start, m };
}

static void
holds_pop(struct session *s)
{
    s->hold_count--;
    memmove(s->holds, s->holds + 1, (size_t)s->hold_count * sizeof s->holds[0]);
}

/* SRV-2: the end of what may leave, of the bytes below `end`. */
static size_t
permitted_end(struct session *s, size_t end, struct moment visible, bool permitted)
{
    if (s->state != SESSION_READY)
        return end; /* nothing before that says anything about data */
    while (s->hold_count > 0 && s->holds[0].m.inc == visible.inc &&
           s->holds[0].m.scn <= visible.scn)
        holds_pop(s);
    if (!permitted)
        return s->out_sent;
    if (s->hold_count > 0 && s->holds[0].at < end)
        end = s->holds[0].at > s->out_sent ? s->holds[0].at : s->out_sent;
    return end;
}

/* ---- sending -------------------------------------------------------------------------------- */

/* Sends up to `end`. Less may go: then the socket is full (*full) or broken. */
static void
send_up_to(struct session *s, size_t end, bool *full)
{
    struct worker *w = s->worker;

    *full = false;
    while (s->out_sent < end && !s->broken) {
        struct iovec v = { s->client.out.data + s->out_sent, end - s->out_sent };
        size_t sent;
        int rc = env_sendv(s->sock, &v, 1, &sent);

        if (rc == ERR_AGAIN) {
            *full = true;
            return;
        }
        if (rc != 0) {
            s->broken = s->eof = true;
            return;
        }
        figure_add(&w->writes, 1);
        figure_add(&w->bytes_out, sent);
        s->out_sent += sent;
    }
}

/* The whole buffer has gone. */
static void
out_reset(struct session *s)
{
    s->client.out.size = 0;
    s->out_sent = s->out_ready = s->batch_start = 0;
    for (int i = 0; i < s->hold_count; i++)
        s->holds[i].at = 0;
}

/* Moves what is left to the front. Only by the fiber between messages, or when there is none. */
static void
out_compact(struct session *s)
{
    struct writer *out = &s->client.out;
    size_t gone = s->out_sent;

    if (gone == out->size) {
        out_reset(s);
        return;
    }
    if (gone < OUT_FLUSH_BYTES || gone < out->size / 2)
        return;
    memmove(out->data, out->data + gone, out->size - gone);
    out->size -= gone;
    s->out_sent = 0;
    s->out_ready -= s->out_ready < gone ? s->out_ready : gone;
    s->batch_start -= s->batch_start < gone ? s->batch_start : gone;
    for (int i = 0; i < s->hold_count; i++)
        s->holds[i].at -= s->holds[i].at < gone ? s->holds[i].at : gone;
}

static void
mark_dirty(struct session *s)
{
    if (list_empty(&s->dirty_link))
        list_push_back(&s->worker->dirty, &s->dirty_link);
}

void
session_out_ready(struct session *s)
{
    s->out_ready = s->batch_start = s->client.out.size;
    if (s->out_ready > s->out_sent)
        mark_dirty(s);
}

void
session_out_release(struct session *s)
{
    struct writer *out = &s->client.out;

    if (out->data == NULL || s->out_sent < out->size)
        return;
    if (out->cap == BUFFER_SIZE)
        worker_buffer_put(s->worker, out->data);
    else
        xfree(out->data);
    out->data = NULL;
    out->cap = 0;
    out_reset(s);
}

/* SRV-1: what a session waits for belongs to an incarnation that is over here. Nobody will tell. */
static bool
waits_in_vain(const struct session *s, struct moment visible)
{
    return s->hold_count > 0 && s->holds[0].m.inc < visible.inc;
}

bool
session_flush_permitted(struct session *s, struct moment visible, bool permitted)
{
    size_t end = permitted_end(s, s->out_ready, visible, permitted);
    bool full;

    send_up_to(s, end, &full);
    session_arm(s, full ? s->armed | ENV_EV_WRITE : s->armed & ~ENV_EV_WRITE);
    if (s->runner == NULL) {
        out_compact(s);
        if (s->in == NULL)
            session_out_release(s);
    } else {
        fiber_queue_wake_all(&s->wait);
    }
    if (s->broken && s->runner != NULL)
        session_cancel_as(s, CANCEL_GONE);
    else if (s->broken)
        worker_run(s->worker, s);
    else if (waits_in_vain(s, visible))
        session_terminate(s, ERR_SHUTDOWN,
                          "terminating connection because its transaction's incarnation has ended");
    return end < s->out_ready && !s->broken && !s->ending;
}

/* Only in the session's fiber, when all that is in the buffer is whole messages. */
int
session_flush(struct session *s)
{
    size_t end;
    bool full;

    s->out_ready = s->client.out.size;
    for (;;) {
        struct moment visible = worker_visible(s->worker);

        end = permitted_end(s, s->out_ready, visible, worker_permitted(s->worker));
        send_up_to(s, end, &full);
        if (s->broken)
            return DIAG(ERR_CONNECTION_FAILURE, "connection to client lost");
        if (full)
            session_arm(s, s->armed | ENV_EV_WRITE);
        if (s->out_ready - s->out_sent < OUT_HIGH_BYTES)
            break;
        if (s->client.canceled || s->ending)
            return DIAG(ERR_QUERY_CANCELED, "canceling statement due to user request");
        if (!full)
            mark_dirty(s); /* the worker looks at the gate when it moves, and wakes us */
        fiber_queue_wait(&s->wait);
    }
    if (s->out_ready > s->out_sent && !full)
        mark_dirty(s);
    if (s->batch_start < s->out_sent)
        s->batch_start = s->out_sent;
    out_compact(s);
    return 0;
}

void
session_out_drop_held(struct session *s)
{
    size_t end =
        permitted_end(s, s->out_ready, worker_visible(s->worker), worker_permitted(s->worker));

    wr_shrink(&s->client.out, end);
    s->client.out.bad = false;
    s->out_ready = s->batch_start = end;
    s->hold_count = 0;
}

void
session_out_last(struct session *s)
{
    bool full;

    if (!s->broken)
        send_up_to(s, s->client.out.size, &full);
}
