/* The server as a whole: options, listeners, the acceptor, changes of role.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/server/server_int.h"

#include <string.h>

enum { LISTEN_BACKLOG = 4096, ACCEPT_PAUSE_US = 100000 };

/* ---- options -------------------------------------------------------------------------------- */

/* The host part as written. Names other than localhost are taken as reachable from elsewhere. */
static bool
is_local_address(const char *address)
{
    return address[0] == '/' || strncmp(address, "127.", 4) == 0 ||
           strncmp(address, "[::1]:", 6) == 0 || strncmp(address, "localhost:", 10) == 0;
}

static void
fill_defaults(struct server_options *o)
{
    if (o->workers == 0)
        o->workers = env_cpu_count(o->env);
    if (o->max_connections == 0)
        o->max_connections = 10000;
    if (o->superuser_reserved == 0)
        o->superuser_reserved = 3;
    else if (o->superuser_reserved < 0)
        o->superuser_reserved = 0;
    if (o->max_unauthenticated == 0)
        o->max_unauthenticated = 2000;
    if (o->auth_timeout_ms == 0)
        o->auth_timeout_ms = 10000;
    if (o->auth_remote == AUTH_TRUST)
        o->auth_remote = AUTH_SCRAM;
    if (o->message_max == 0 || o->message_max > PROTO_MESSAGE_MAX)
        o->message_max = PROTO_MESSAGE_MAX;
    if (o->version == NULL)
        o->version = "15.0 (Redoubt 0.1)";
}

int
server_new(const struct server_options *o, struct server **out)
{
    struct server *s;

    *out = NULL;
    if (o->workers < 0 || o->workers > 1024 || o->max_connections < 0 || o->listen_count < 0)
        return DIAG(ERR_CONFIG_FILE, "a count of workers or connections is out of range");
    s = xcalloc(1, sizeof *s);
    s->o = *o;
    fill_defaults(&s->o);
    s->o.listen = NULL; /* the listeners have their own copies */
    s->listeners = xcalloc((size_t)o->listen_count + 1, sizeof *s->listeners);
    for (int i = 0; i < o->listen_count; i++) {
        s->listeners[i].server = s;
        s->listeners[i].address = xstrdup(o->listen[i]);
        s->listeners[i].is_remote = !is_local_address(o->listen[i]);
    }
    env_random(o->env, s->mock_secret, sizeof s->mock_secret);
    *out = s;
    return 0;
}

/* ---- accepting ------------------------------------------------------------------------------ */

static struct worker *
least_loaded(struct server *s)
{
    struct worker *best = &s->workers[0];

    for (int i = 1; i < s->o.workers; i++)
        if (atomic_load(&s->workers[i].session_count) < atomic_load(&best->session_count))
            best = &s->workers[i];
    return best;
}

static void
listener_main(void *arg)
{
    struct listener *l = arg;
    struct server *s = l->server;
    struct fiber_io io;

    l->fiber = fiber_self();
    fiber_io_init(&io, sched_self(), l->sock);
    while (!atomic_load(&s->stopping)) {
        struct env_sock *sock;
        int rc = env_accept(l->sock, &sock);

        if (rc == 0) {
            atomic_fetch_add(&s->connections, 1);
            worker_adopt(least_loaded(s), sock);
        } else if (rc == ERR_AGAIN) {
            if (fiber_io_wait(&io, ENV_EV_READ, UINT64_MAX) != 0)
                break; /* interrupted */
        } else {
            log_diag(s->o.log, LOG_WARNING, "no new connections for a moment");
            fiber_sleep_us(ACCEPT_PAUSE_US); /* out of files: what is open is to go on */
        }
    }
    fiber_io_fini(&io);
    l->fiber = NULL;
}

static void
acceptor_main(void *arg)
{
    struct server *s = arg;

    completion_wait(&s->accept_stop);
    for (int i = 0; i < s->o.listen_count; i++)
        if (s->listeners[i].fiber != NULL)
            fiber_interrupt(s->listeners[i].fiber);
}

static void
accept_th_main(void *arg)
{
    struct server *s = arg;

    sched_run(s->accept_sched, true);
}

/* ---- start and stop ------------------------------------------------------------------------- */

/* SRV-11: nobody from another machine gets in without a password, not even by a role that was
 * forgotten. */
static int
check_passwords(struct server *s)
{
    bool all;
    int rc;

    for (int i = 0; i < s->o.listen_count; i++) {
        if (!s->listeners[i].is_remote || s->o.auth_remote == AUTH_REJECT)
            continue;
        rc = s->o.port->ops->all_roles_have_password(s->o.port->arg, &all);
        if (rc != 0)
            return rc;
        if (all)
            return 0;
        rc = DIAG(ERR_CONFIG_FILE,
                  "will not listen on \"%s\": a role that may log in has no "
                  "password",
                  s->listeners[i].address);
        diag_hint("Listen on 127.0.0.1 first, and set a password for each role: ALTER ROLE name "
                  "PASSWORD '...'.");
        return rc;
    }
    return 0;
}

static void
listeners_close(struct server *s)
{
    for (int i = 0; i < s->o.listen_count; i++) {
        if (s->listeners[i].sock != NULL)
            env_sock_close(s->listeners[i].sock);
        s->listeners[i].sock = NULL;
    }
}

static int
listeners_open(struct server *s)
{
    for (int i = 0; i < s->o.listen_count; i++) {
        struct listener *l = &s->listeners[i];
        char bound[ENV_ADDR_MAX];
        int rc = env_listen(s->o.env, l->address, LISTEN_BACKLOG, &l->sock);

        if (rc != 0) {
            listeners_close(s);
            return rc;
        }
        if (l->address[0] != '/') {
            env_sock_local(l->sock, bound);
            xfree(l->address);
            l->address = xstrdup(bound);
        }
        log_info(s->o.log, "listening for SQL on \"%s\"", l->address);
    }
    return 0;
}

int
server_start(struct server *s)
{
    int rc;

    CHECK(!s->started);
    rc = check_passwords(s);
    if (rc == 0)
        rc = listeners_open(s);
    if (rc != 0)
        return rc;
    s->started = true;
    atomic_store(&s->stopping, false);
    s->workers = xcalloc((size_t)s->o.workers, sizeof *s->workers);
    for (int i = 0; i < s->o.workers; i++)
        worker_init(&s->workers[i], s, i);
    for (int i = 0; i < s->o.workers; i++)
        worker_start(&s->workers[i]);
    s->accept_sched = sched_new(s->o.env);
    completion_init(&s->accept_stop);
    for (int i = 0; i < s->o.listen_count; i++)
        fiber_start(s->accept_sched, "listener", 0, listener_main, &s->listeners[i]);
    fiber_start(s->accept_sched, "acceptor", 0, acceptor_main, s);
    s->accept_thread = env_thread_start(s->o.env, "sql-accept", accept_th_main, s);
    return 0;
}

void
server_stop(struct server *s)
{
    if (!s->started)
        return;
    atomic_store(&s->stopping, true);
    completion_post(&s->accept_stop);
    env_thread_join(s->accept_thread);
    sched_free(s->accept_sched);
    listeners_close(s);
    for (int i = 0; i < s->o.workers; i++)
        completion_post(&s->workers[i].stop);
    for (int i = 0; i < s->o.workers; i++)
        env_thread_join(s->workers[i].thread);
    for (int i = 0; i < s->o.workers; i++)
        worker_fini(&s->workers[i]);
    xfree(s->workers);
    s->workers = NULL;
    s->started = false;
}

void
server_free(struct server *s)
{
    if (s == NULL)
        return;
    CHECK(!s->started);
    for (int i = 0; i < s->o.listen_count; i++)
        xfree(s->listeners[i].address);
    xfree(s->listeners);
    xfree(s);
}

const char *
server_address(const struct server *s, int i)
{
    CHECK(i >= 0 && i < s->o.listen_count);
    return s->listeners[i].address;
}

/* ---- role ----------------------------------------------------------------------------------- */

static void
change_role(struct server *s, bool is_standby)
{
    struct drain *drains = xcalloc((size_t)s->o.workers, sizeof *drains);

    for (int i = 0; i < s->o.workers; i++)
        worker_role_changed(&s->workers[i], is_standby, &drains[i]);
    for (int i = 0; i < s->o.workers; i++)
        completion_wait(&drains[i].done);
    xfree(drains);
}

void
server_demoted(struct server *s)
{
    if (s->started)
        change_role(s, true);
}

void
server_promoted(struct server *s)
{
    if (s->started)
        change_role(s, false);
}

/* ---- figures -------------------------------------------------------------------------------- */

void
server_get_figures(const struct server *s, struct server_figures *out)
{
    *out = (struct server_figures){ .connections_total = atomic_load(&s->connections),
                                    .sessions = atomic_load(&s->ready_count) };
    for (int i = 0; s->workers != NULL && i < s->o.workers; i++) {
        const struct worker *w = &s->workers[i];

        out->connections_shed += atomic_load_explicit(&w->shed, memory_order_relaxed);
        out->auth_failures += atomic_load_explicit(&w->auth_failures, memory_order_relaxed);
        out->messages += atomic_load_explicit(&w->messages, memory_order_relaxed);
        out->bytes_in += atomic_load_explicit(&w->bytes_in, memory_order_relaxed);
        out->bytes_out += atomic_load_explicit(&w->bytes_out, memory_order_relaxed);
        out->writes += atomic_load_explicit(&w->writes, memory_order_relaxed);
        out->replies_held += atomic_load_explicit(&w->replies_held, memory_order_relaxed);
        out->unauthenticated += atomic_load(&w->session_count);
    }
    out->unauthenticated -= out->sessions;
}
