/* A worker: a thread, its scheduler, the sessions that were given to it, the fibers that run them,
 * and the end of each turn, when answers leave.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/server/server_int.h"

#include <stdio.h>
#include <string.h>

/* ---- buffers -------------------------------------------------------------------------------- */

uint8_t *
worker_buffer_get(struct worker *w)
{
    struct buffer *b = w->free_buffers;

    if (b == NULL)
        return xmalloc(BUFFER_SIZE);
    w->free_buffers = b->next;
    w->free_buffer_count--;
    return (uint8_t *)b;
}

void
worker_buffer_put(struct worker *w, uint8_t *buffer)
{
    struct buffer *b = (struct buffer *)(void *)buffer;

    if (w->free_buffer_count >= BUFFERS_FREE_MAX) {
        xfree(buffer);
        return;
    }
    b->next = w->free_buffers;
    w->free_buffers = b;
    w->free_buffer_count++;
}

/* ---- fibers --------------------------------------------------------------------------------- */

static void
runner_main(void *arg)
{
    struct runner *r = arg;
    struct worker *w = r->worker;

    r->fiber = fiber_self();
    while (r->session != NULL) {
        session_work(r->session);
        r->session = NULL;
        if (w->stopping || w->idle_runner_count >= RUNNERS_IDLE_MAX)
            break;
        w->idle_runner_count++;
        list_push_front(&w->idle_runners, &r->idle_link);
        fiber_queue_wait(&r->wait);
    }
    w->runner_count--;
    fiber_queue_wake_all(&w->ended);
    xfree(r);
}

void
worker_run(struct worker *w, struct session *s)
{
    struct list *link = list_pop_front(&w->idle_runners);
    struct runner *r;

    CHECK(s->runner == NULL);
    if (link != NULL) {
        r = container_of(link, struct runner, idle_link);
        w->idle_runner_count--;
        r->session = s;
        s->runner = r;
        fiber_queue_wake_one(&r->wait);
        return;
    }
    r = xcalloc(1, sizeof *r);
    r->worker = w;
    r->session = s;
    s->runner = r;
    fiber_queue_init(&r->wait);
    list_init(&r->idle_link);
    w->runner_count++;
    r->fiber = fiber_start(w->sched, "session", SQL_STACK_SIZE, runner_main, r);
}

/* ---- answers leave -------------------------------------------------------------------------- */

struct moment
worker_visible(const struct worker *w)
{
    const struct reply_gate *g = &w->server->o.gate;

    return g->visible != NULL ? g->visible(g->arg) : (struct moment){ 0, SCN_MAX };
}

bool
worker_permitted(const struct worker *w)
{
    const struct reply_gate *g = &w->server->o.gate;

    return g->may_reply == NULL || g->may_reply(g->arg);
}

static void
list_move_all(struct list *to, struct list *from)
{
    struct list *link;

    while ((link = list_pop_front(from)) != NULL)
        list_push_back(to, link);
}

static void
flush_batch(struct worker *w, struct moment visible, bool permitted)
{
    struct list batch, *link;

    list_init(&batch);
    list_move_all(&batch, &w->dirty);
    while ((link = list_pop_front(&batch)) != NULL) {
        struct session *s = container_of(link, struct session, dirty_link);

        if (session_flush_permitted(s, visible, permitted)) {
            list_push_back(&w->held, &s->dirty_link);
            figure_add(&w->replies_held, 1);
        }
    }
}

/* SRV-1, SRV-2: the end of a turn. What is visible is read first, the permit last, once for the
 * batch. Whoever moves the gate after gate_waiting is set wakes us; what moved before is seen by
 * the second look. */
static void
worker_turn(void *arg)
{
    struct worker *w = arg;
    const struct reply_gate *g = &w->server->o.gate;

    if (g->kick != NULL)
        g->kick(g->arg);
    while (!list_empty(&w->dirty)) {
        struct moment visible = worker_visible(w), again;
        bool permitted = worker_permitted(w);

        flush_batch(w, visible, permitted);
        if (list_empty(&w->held))
            continue;
        atomic_store(&w->gate_waiting, true);
        atomic_thread_fence(memory_order_seq_cst);
        again = worker_visible(w);
        if (again.inc != visible.inc || again.scn != visible.scn ||
            (!permitted && worker_permitted(w)))
            list_move_all(&w->dirty, &w->held);
    }
}

static void
gate_moved_cb(void *arg)
{
    struct worker *w = arg;

    atomic_store(&w->gate_posted, false);
    list_move_all(&w->dirty, &w->held);
}

void
server_replies_wake(struct server *server)
{
    atomic_thread_fence(memory_order_seq_cst);
    for (int i = 0; i < server->o.workers; i++) {
        struct worker *w = &server->workers[i];

        if (atomic_load(&w->gate_waiting) && atomic_exchange(&w->gate_waiting, false) &&
            !atomic_exchange(&w->gate_posted, true))
            sched_post(w->sched, &w->gate_post);
    }
}

void
server_visible_cb(void *arg, scn_t visible)
{
    (void)visible;
    server_replies_wake(arg);
}

/* ---- sessions ------------------------------------------------------------------------------- */

static void
early_timer_arm(struct worker *w)
{
    const struct session *oldest = list_first(&w->early, struct session, early_link);
    uint64_t limit_ns = (uint64_t)w->server->o.auth_timeout_ms * 1000000, age_ns;

    if (oldest == NULL)
        return;
    age_ns = env_boot_ns(w->server->o.env) - oldest->accepted_ns;
    env_timer_arm(w->early_timer, age_ns < limit_ns ? (limit_ns - age_ns) / 1000 + 1000 : 0);
}

static void
early_timer_cb(void *arg, int what)
{
    struct worker *w = arg;
    uint64_t now_ns = env_boot_ns(w->server->o.env);
    uint64_t limit_ns = (uint64_t)w->server->o.auth_timeout_ms * 1000000;
    struct session *s;

    (void)what;
    while ((s = list_first(&w->early, struct session, early_link)) != NULL &&
           now_ns - s->accepted_ns >= limit_ns)
        session_terminate(s, ERR_QUERY_CANCELED, "canceling authentication due to timeout");
    early_timer_arm(w);
}

/* SRV-7: of those who have not said who they are, the oldest goes when there are too many. */
void
worker_session_add(struct worker *w, struct session *s)
{
    int most = w->server->o.max_unauthenticated / w->server->o.workers;

    list_push_back(&w->sessions, &s->all_link);
    list_push_back(&w->early, &s->early_link);
    if (w->early_count++ == 0)
        early_timer_arm(w);
    if (w->early_count <= (most > 0 ? most : 1))
        return;
    figure_add(&w->shed, 1);
    session_terminate(list_first(&w->early, struct session, early_link), ERR_TOO_MANY_CONNECTIONS,
                      "too many connections that have not authenticated");
}

static void
early_remove(struct worker *w, struct session *s)
{
    if (list_empty(&s->early_link))
        return;
    list_remove(&s->early_link);
    w->early_count--;
}

void
worker_session_ready(struct worker *w, struct session *s)
{
    early_remove(w, s);
}

void
worker_session_ending(struct worker *w, struct session *s)
{
    early_remove(w, s);
    w->ending_count++;
}

static struct session **
hash_slot(struct worker *w, uint32_t process_id)
{
    return &w->hash[process_id % SESSION_HASH_SIZE];
}

static struct session *
hash_find(struct worker *w, uint32_t process_id)
{
    struct session *s = *hash_slot(w, process_id);

    while (s != NULL && s->client.process_id != process_id)
        s = s->hash_next;
    return s;
}

void
worker_choose_key(struct worker *w, struct session *s)
{
    uint64_t random;
    uint32_t id;

    do {
        env_random(w->server->o.env, &random, sizeof random);
        id = (uint32_t)(random >> 33);
    } while (id == 0 || hash_find(w, id) != NULL);
    s->client.process_id = id;
    s->secret = (uint32_t)random;
    s->hash_next = *hash_slot(w, id);
    *hash_slot(w, id) = s;
}

static void
hash_remove(struct worker *w, struct session *s)
{
    struct session **at = hash_slot(w, s->client.process_id);

    if (s->client.process_id == 0)
        return;
    while (*at != s)
        at = &(*at)->hash_next;
    *at = s->hash_next;
}

static void
drains_check(struct worker *w)
{
    struct list *link;

    while (w->ending_count == 0 && (link = list_pop_front(&w->drains)) != NULL)
        completion_post(&container_of(link, struct drain, link)->done);
}

/* The last that the worker sees of it: it has set itself ending. */
void
worker_session_remove(struct worker *w, struct session *s)
{
    hash_remove(w, s);
    list_remove(&s->all_link);
    w->ending_count--;
    atomic_fetch_sub(&w->session_count, 1);
    if (s->is_counted)
        atomic_fetch_sub(&w->server->ready_count, 1);
    drains_check(w);
    fiber_queue_wake_all(&w->ended);
}

/* ---- from other threads --------------------------------------------------------------------- */

struct adoption {
    struct sched_post post;
    struct worker *worker;
    struct env_sock *sock;
};

static void
adopt_cb(void *arg)
{
    struct adoption *a = arg;

    if (a->worker->stopping) {
        env_sock_close(a->sock);
        atomic_fetch_sub(&a->worker->session_count, 1);
    } else {
        session_start(a->worker, a->sock);
    }
    xfree(a);
}

void
worker_adopt(struct worker *w, struct env_sock *sock)
{
    struct adoption *a = xmalloc(sizeof *a);

    atomic_fetch_add(&w->session_count, 1);
    *a = (struct adoption){ { .fn = adopt_cb, .arg = a }, w, sock };
    sched_post(w->sched, &a->post);
}

struct cancel_request {
    struct sched_post post;
    struct worker *worker;
    uint32_t process_id, secret;
};

static void
cancel_cb(void *arg)
{
    struct cancel_request *c = arg;
    struct session *s = hash_find(c->worker, c->process_id);

    if (s != NULL && equal_constant_time(&s->secret, &c->secret, sizeof c->secret))
        session_cancel(s);
    xfree(c);
}

void
worker_cancel(struct worker *w, uint32_t process_id, uint32_t secret)
{
    struct cancel_request *c = xmalloc(sizeof *c);

    *c = (struct cancel_request){ { .fn = cancel_cb, .arg = c }, w, process_id, secret };
    sched_post(w->sched, &c->post);
}

/* The role has changed. SRV-3: on demotion, who may write goes, and who waits to hear of a commit,
 * since what becomes of it is no longer this node's to say. */
static void
role_cb(void *arg)
{
    struct drain *d = arg;
    struct worker *w = d->worker;
    const struct sql_port_ops *ops = w->server->o.port->ops;

    list_for_each_safe (s, next, &w->sessions, struct session, all_link) {
        if (s->ending)
            continue;
        s->role_changed = true;
        if (s->state != SESSION_READY)
            continue;
        if (d->is_standby && (s->hold_count > 0 || ops->may_write(s->sql))) {
            session_terminate(s, ERR_SHUTDOWN,
                              "terminating connection because this node is no longer primary");
        } else if (s->runner == NULL) {
            session_report_role(s);
            session_out_ready(s);
        }
    }
    list_push_back(&w->drains, &d->link);
    drains_check(w);
}

void
worker_role_changed(struct worker *w, bool is_standby, struct drain *d)
{
    *d = (struct drain){ .worker = w, .is_standby = is_standby };
    d->post = (struct sched_post){ .fn = role_cb, .arg = d };
    completion_init(&d->done);
    sched_post(w->sched, &d->post);
}

/* ---- the thread ----------------------------------------------------------------------------- */

static void
worker_main(void *arg)
{
    struct worker *w = arg;

    completion_wait(&w->stop);
    w->stopping = true;
    list_for_each_safe (s, next, &w->sessions, struct session, all_link)
        session_terminate(s, ERR_SHUTDOWN, "terminating connection due to administrator command");
    while (!list_empty(&w->sessions))
        fiber_queue_wait(&w->ended);
    list_for_each_safe (r, next, &w->idle_runners, struct runner, idle_link) {
        list_remove(&r->idle_link);
        fiber_queue_wake_one(&r->wait);
    }
    while (w->runner_count > 0)
        fiber_queue_wait(&w->ended);
}

static void
worker_th_main(void *arg)
{
    struct worker *w = arg;

    w->early_timer = env_timer_new(sched_loop(w->sched), early_timer_cb, w);
    sched_run(w->sched, true);
    env_event_free(w->early_timer);
}

void
worker_init(struct worker *w, struct server *server, int index)
{
    memset(w, 0, sizeof *w);
    w->server = server;
    w->index = index;
    w->sched = sched_new(server->o.env);
    w->gate_post = (struct sched_post){ .fn = gate_moved_cb, .arg = w };
    completion_init(&w->stop);
    list_init(&w->sessions);
    list_init(&w->early);
    list_init(&w->dirty);
    list_init(&w->held);
    list_init(&w->idle_runners);
    list_init(&w->drains);
    fiber_queue_init(&w->ended);
    sched_set_turn_hook(w->sched, worker_turn, w);
}

void
worker_start(struct worker *w)
{
    char name[16];

    snprintf(name, sizeof name, "sql-worker-%d", w->index);
    fiber_start(w->sched, "worker", 0, worker_main, w);
    w->thread = env_thread_start(w->server->o.env, name, worker_th_main, w);
}

void
worker_fini(struct worker *w)
{
    struct buffer *next;

    for (struct buffer *b = w->free_buffers; b != NULL; b = next) {
        next = b->next;
        xfree(b);
    }
    sched_free(w->sched);
}
