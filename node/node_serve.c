/* Redo and base copies for others.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/base/mem.h"
#include "logship/ship_base.h"
#include "logship/ship_send.h"
#include "node/node_int.h"

enum { POINTER_REST_US = 5000 };

/* ---- redo ---------------------------------------------------------------------------------------
 */

static void
pointer_of(void *arg, struct ship_pointer *out)
{
    struct node *n = arg;

    *out = (struct ship_pointer){ role_durable_state(n->role)->reg.key.inc,
                                  engine_visible_scn(n->engine), engine_published_lsn(n->engine) };
}

static void
sender_ended(void *arg, struct ship_sender *s, int code)
{
    struct node *n = arg;

    for (int i = 0; i < NODE_PEERS_MAX; i++)
        if (n->peers[i].sender == s)
            n->peers[i].sender = NULL;
    if (code != 0 && code != ERR_STOPPED)
        log_diag(n->log, LOG_WARNING, "sending redo has ended");
    node_fiber_end(n);
}

/* Who follows asks in the reign that it knows; this node must be its primary. */
static int
may_serve(struct node *n, const struct ship_redo_request *q)
{
    struct role_status s;

    role_get_status(n->role, &s);
    if (q->purpose == SHIP_REDO_FOLLOW && (s.state != ROLE_OPEN || s.inc != q->inc))
        return DIAG(ERR_ROLE, "this node is not the primary of incarnation %u", q->inc);
    return 0;
}

static int
refuse_redo(struct link *l, const struct ship_redo_request *q)
{
    struct ship_redo_end end = { q->purpose, q->inc, ERR_ROLE, q->from.lsn,
                                 slice_str(diag_last()->message) };
    struct writer w;
    int rc;

    wr_init(&w, 1024);
    ship_redo_end_encode(&w, &end);
    rc = link_send_wait(l, SHIP_REDO_END, wr_view(&w));
    wr_fini(&w);
    return rc;
}

int
node_serve_redo(struct node *n, struct link *l, struct slice body, struct ship_sender **place)
{
    struct ship_send_options o = { .engine = n->engine,
                                   .sched = n->sched,
                                   .jobs = n->jobs,
                                   .link = l,
                                   .target = node_log_incarnation(n),
                                   .pointer = pointer_of,
                                   .on_end = sender_ended,
                                   .arg = n };
    int rc = ship_redo_request_decode(body, &o.request);

    if (rc != 0)
        return rc;
    if (may_serve(n, &o.request) != 0)
        return refuse_redo(l, &o.request);
    if (o.request.purpose == SHIP_REDO_FOLLOW)
        o.target = o.request.inc;
    if (*place != NULL)
        ship_sender_stop(*place);
    n->fibers++;
    *place = ship_sender_start(&o);
    return 0;
}

void
node_serve_stop(struct node *n)
{
    for (int i = 0; i < NODE_PEERS_MAX; i++) {
        if (n->peers[i].sender != NULL)
            ship_sender_stop(n->peers[i].sender);
        n->peers[i].sender = NULL;
    }
}

/* ---- what has been published --------------------------------------------------------------------
 */

static void
pointer_posted(void *arg)
{
    struct node *n = arg;

    atomic_store(&n->pointer_posted, false);
    fiber_queue_wake_all(&n->pointer_work);
}

/* On whatever thread publishes, for each batch of commits: wakes nobody while the fiber rests. */
void
node_pointer_moved(void *arg, scn_t visible)
{
    struct node *n = arg;

    (void)visible;
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&n->pointer_waiting) && atomic_exchange(&n->pointer_waiting, false) &&
        !atomic_exchange(&n->pointer_posted, true)) {
        n->pointer_post = (struct sched_post){ .fn = pointer_posted, .arg = n };
        sched_post(n->sched, &n->pointer_post);
    }
}

static void
pointer_tell(struct node *n)
{
    for (int i = 0; i < NODE_PEERS_MAX; i++)
        if (n->peers[i].sender != NULL)
            ship_sender_wake(n->peers[i].sender);
}

/* Frames carry the pointer; this is for when there are none. Whoever moves it after
 * pointer_waiting is set wakes us; what moved before is seen by the second look. */
void
node_pointer_main(void *arg)
{
    struct node *n = arg;
    scn_t told = 0;

    while (!n->stopping) {
        scn_t visible = engine_visible_scn(n->engine);

        if (visible != told) {
            told = visible;
            pointer_tell(n);
            fiber_sleep_us(POINTER_REST_US);
            continue;
        }
        atomic_store(&n->pointer_waiting, true);
        atomic_thread_fence(memory_order_seq_cst);
        if (engine_visible_scn(n->engine) == told)
            fiber_queue_wait(&n->pointer_work);
    }
    node_fiber_end(n);
}

/* ---- who copies the database --------------------------------------------------------------------
 */

struct joiner {
    struct node *node;
    struct ship_base_source *source;
    struct ship_sender *sender;
    uint32_t senders; /* that have not ended; the last one frees it once the link is gone */
    bool down;
};

static void
joining_up(void *arg, struct link *l)
{
    struct joiner *j = xcalloc(1, sizeof *j);

    j->node = arg;
    link_set_context(l, j);
    log_notice(j->node->log, "%s (%s) copies the database", link_peer_name(l),
               link_peer_address(l));
}

static void
joining_down(void *arg, struct link *l, int code)
{
    struct joiner *j = link_context(l);

    (void)arg;
    (void)code;
    if (j->source != NULL)
        ship_base_source_stop(j->source);
    if (j->sender != NULL)
        ship_sender_stop(j->sender);
    j->down = true;
    if (j->senders == 0)
        xfree(j);
}

static void
joiner_pointer(void *arg, struct ship_pointer *out)
{
    struct joiner *j = arg;

    pointer_of(j->node, out);
}

static void
joiner_sender_ended(void *arg, struct ship_sender *s, int code)
{
    struct joiner *j = arg;
    struct node *n = j->node;

    if (code != 0 && code != ERR_STOPPED)
        log_diag(n->log, LOG_WARNING, "sending redo for a copy has ended");
    if (j->sender == s)
        j->sender = NULL;
    if (--j->senders == 0 && j->down)
        xfree(j);
    node_fiber_end(n);
}

static int
joiner_redo(struct node *n, struct link *l, struct joiner *j, struct slice body)
{
    struct ship_send_options o = { .engine = n->engine,
                                   .sched = n->sched,
                                   .jobs = n->jobs,
                                   .link = l,
                                   .target = node_log_incarnation(n),
                                   .pointer = joiner_pointer,
                                   .on_end = joiner_sender_ended,
                                   .arg = j };
    int rc = ship_redo_request_decode(body, &o.request);

    if (rc != 0)
        return rc;
    if (o.request.purpose == SHIP_REDO_FOLLOW)
        return DIAG(ERR_PROTOCOL, "who copies the database does not follow yet");
    if (j->sender != NULL)
        ship_sender_stop(j->sender);
    n->fibers++;
    j->senders++;
    j->sender = ship_sender_start(&o);
    return 0;
}

static void
joiner_source_ended(void *arg)
{
    node_fiber_end(arg);
}

/* dispatch */
static int
joining_message(void *arg, struct link *l, const struct ship_header *h, struct slice body)
{
    struct node *n = arg;
    struct joiner *j = link_context(l);
    struct ship_copy_begin begin;
    int rc;

    switch (h->type) {
    case SHIP_COPY_BEGIN:
        rc = ship_copy_begin_decode(body, &begin);
        if (rc != 0)
            return rc;
        if (j->source != NULL)
            ship_base_source_stop(j->source);
        n->fibers++;
        j->source =
            ship_base_source_start(n->engine, n->sched, n->jobs, l, &begin, joiner_source_ended, n);
        return 0;
    case SHIP_FILE_GET:
        return j->source != NULL ? ship_base_source_message(j->source, h, body)
                                 : DIAG(ERR_PROTOCOL, "no copy has begun");
    case SHIP_COPY_END:
        if (j->source != NULL)
            ship_base_source_stop(j->source);
        j->source = NULL;
        return 0;
    case SHIP_REDO_REQUEST:
        return joiner_redo(n, l, j, body);
    default:
        return DIAG(ERR_PROTOCOL, "who copies the database does not send messages of type %s",
                    ship_type_name(h->type));
    }
}

void
node_serve_joining(struct node *n, struct link_handler *out)
{
    *out = (struct link_handler){ joining_up, joining_message, joining_down, n };
}
