/* The port: what the server calls. Each call does its work and then, if that failed, moves the
 * transaction to where it belongs.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/base/fiber.h"
#include "engine/sql/session_int.h"

/* ---- without a session ------------------------------------------------------------------------
 */

/* A transaction that only reads the catalogue. */
struct brief {
    struct txn *txn;
    int rc;
};

static struct brief
brief_begin(struct sql_engine *q)
{
    struct brief b = { .txn = txn_new(q->engine) };

    b.rc = txn_begin(b.txn, TXN_READ_COMMITTED, true);
    if (b.rc == 0)
        b.rc = txn_statement_begin(b.txn);
    return b;
}

static void
brief_end(struct brief *b)
{
    struct diag why = *diag_last();

    txn_free(b->txn);
    diag_restore(&why);
}

static int
port_role_lookup(void *arg, const char *role, struct sql_role *out)
{
    struct sql_engine *q = arg;
    struct brief b = brief_begin(q);
    struct cat_role r;
    int rc = b.rc;

    *out = (struct sql_role){ .exists = false };
    if (rc == 0)
        rc = cat_find_role(q->catalog, b.txn, slice_str(role), &r);
    if (rc == 0) {
        out->exists = true;
        out->can_login = r.can_login;
        out->is_superuser = r.is_superuser;
        snprintf(out->verifier, sizeof out->verifier, "%s", r.verifier);
    }
    /* Before the first opening, or before a base copy is whole, there is no catalogue to look in.
     */
    if (rc == ERR_NOT_FOUND && engine_visible_scn(q->engine) == 0)
        rc = DIAG(ERR_CANNOT_CONNECT_NOW, "the database system is starting up");
    brief_end(&b);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int
port_all_roles_have_password(void *arg, bool *yes)
{
    struct sql_engine *q = arg;
    struct brief b = brief_begin(q);
    int rc = b.rc;

    if (rc == 0)
        rc = cat_all_roles_have_password(q->catalog, b.txn, yes);
    if (engine_incarnation(q->engine) == 0) /* never open: its first role is about to be made */
        *yes = false;
    brief_end(&b);
    return rc;
}

static bool
port_is_standby(void *arg)
{
    const struct sql_engine *q = arg;

    return !engine_is_open(q->engine);
}

/* ---- opening -----------------------------------------------------------------------------------
 */

static int
find_identity(struct sql_session *s, const struct sql_open *o)
{
    struct brief b = brief_begin(s->q);
    struct cat_role role;
    int rc = b.rc;

    if (rc == 0)
        rc = cat_find_role(s->q->catalog, b.txn, slice_str(o->user), &role);
    if (rc == ERR_NOT_FOUND)
        rc = DIAG(ERR_INVALID_AUTHORIZATION, "role \"%s\" does not exist", o->user);
    if (rc == 0) {
        s->role_oid = s->session_role_oid = role.oid;
        s->is_superuser = role.is_superuser;
        snprintf(s->role, sizeof s->role, "%s", role.name);
        snprintf(s->session_role, sizeof s->session_role, "%s", role.name);
        rc = cat_find_database(s->q->catalog, b.txn, slice_str(o->database), &s->database_oid);
        if (rc == ERR_NOT_FOUND)
            rc = DIAG(ERR_UNDEFINED_DATABASE, "database \"%s\" does not exist", o->database);
    }
    snprintf(s->database, sizeof s->database, "%s", o->database);
    snprintf(s->peer, sizeof s->peer, "%s", o->peer != NULL ? o->peer : "local");
    brief_end(&b);
    return rc;
}

static void
session_register(struct sql_session *s)
{
    struct sql_session_info *i = &s->activity.info;

    i->process_id = s->client->process_id;
    i->role_oid = s->role_oid;
    snprintf(i->role, sizeof i->role, "%s", s->role);
    snprintf(i->database, sizeof i->database, "%s", s->database);
    snprintf(i->peer, sizeof i->peer, "%s", s->peer);
    i->opened_us = i->state_us = env_wall_us(s->q->env);
    env_mutex_lock(&s->q->mutex);
    list_push_back(&s->q->sessions, &s->link);
    s->q->session_count++;
    env_mutex_unlock(&s->q->mutex);
}

static void port_close(struct sql_session *s);

static struct sql_session *
session_new(struct sql_engine *q, struct sql_client *client)
{
    struct sql_session *s = xcalloc(1, sizeof *s);

    s->q = q;
    s->client = client;
    s->txn = txn_new(q->engine);
    s->least_message = SQL_NOTICE;
    list_init(&s->link);
    list_init(&s->portals);
    env_mutex_init(q->env, &s->activity.mutex);
    budget_init(&s->memory, "query memory", q->memory.limit, &q->memory);
    arena_init(&s->message, &s->memory);
    arena_init(&s->scratch, &s->memory);
    arena_init(&s->path_arena, NULL);
    settings_init(&s->settings, q->defaults);
    s->settings.changed = sess_setting_changed;
    s->settings.arg = s;
    sess_setting_changed(s, SET_WORK_MEM);
    sess_types_init(s);
    return s;
}

static int
port_open(void *arg, const struct sql_open *o, struct sql_session **out)
{
    struct sql_engine *q = arg;
    struct sql_session *s = session_new(q, o->client);
    int rc = find_identity(s, o);

    if (rc == 0)
        rc = sess_set_startup(s, o);
    session_register(s);
    if (rc != 0) {
        struct diag why = *diag_last();

        port_close(s);
        diag_restore(&why);
        return rc;
    }
    *out = s;
    return 0;
}

static void
session_unregister(struct sql_session *s)
{
    struct sql_engine *q = s->q;

    env_mutex_lock(&q->mutex);
    list_remove(&s->link);
    q->session_count--;
    q->closed.statements += s->statement_total;
    q->closed.commits += s->commit_total;
    q->closed.rollbacks += s->rollback_total;
    q->closed.rows_sent += s->row_total;
    env_mutex_unlock(&q->mutex);
}

static void
port_close(struct sql_session *s)
{
    sess_tx_abort(s);
    sess_portals_close(s, -1);
    if (s->unnamed_portal != NULL) {
        arena_fini(&s->unnamed_portal->arena);
        xfree(s->unnamed_portal->name);
        xfree(s->unnamed_portal);
    }
    sess_statements_drop_all(s);
    session_unregister(s);
    settings_fini(&s->settings);
    sess_sequences_forget(s);
    txn_free(s->txn);
    arena_fini(&s->message);
    arena_fini(&s->scratch);
    arena_fini(&s->path_arena);
    env_mutex_fini(&s->activity.mutex);
    xfree(s->savepoints);
    xfree(s->locks);
    xfree(s->new_sequences);
    xfree(s);
}

/* ---- statements --------------------------------------------------------------------------------
 */

static char
port_status(const struct sql_session *s)
{
    return s->tx == TX_BLOCK ? 'T' : s->tx == TX_FAILED ? 'E' : 'I';
}

/* How each call ends. */
static int
done(struct sql_session *s, int rc)
{
    if (rc != 0)
        sess_tx_fail(s);
    sess_activity_end(s);
    return rc;
}

static int
port_simple_query(struct sql_session *s, struct slice text)
{
    sess_activity_begin(s, text);
    return done(s, sess_simple_query(s, text));
}

static int
port_parse(struct sql_session *s, struct slice name, struct slice text, const uint32_t *type_oids,
           int type_count)
{
    struct statement *st;
    int rc = 0;

    sess_activity_begin(s, text);
    arena_reset(&s->message);
    if (name.size == 0)
        sess_statement_drop(s, name);
    else if (sess_statement_find(s, name) != NULL)
        rc = DIAG(ERR_DUPLICATE_STATEMENT, "prepared statement \"%.*s\" already exists",
                  (int)name.size, (const char *)name.data);
    if (rc == 0)
        rc = sess_statement_make(s, name, text, type_oids, type_count, &st);
    if (rc == 0)
        rc = sess_statement_add(s, st);
    return done(s, rc);
}

static int
port_bind(struct sql_session *s, const struct sql_bind *b)
{
    int rc = sess_bind(s, b);

    if (rc != 0)
        sess_tx_fail(s);
    return rc;
}

int
sess_describe_statement(struct sql_session *s, struct statement *st)
{
    int count = 0, rc = 0;

    s->client->ops->parameter_description(s->client, st->param_types, st->param_count);
    if (st->plan != NULL) {
        struct plan_source source = sess_statement_source(st);

        rc = sess_plan_look(s, &source, &st->plan);
        if (rc == 0 && st->plan->plan->result_count > 0) {
            sess_describe_plan(s, st->plan->plan, NULL, 0);
            return 0;
        }
    } else if (st->body != NULL) {
        rc = sess_utility_describe(s, st->body, NULL, 0, &count);
    }
    if (rc == 0 && count == 0)
        s->client->ops->no_data(s->client);
    return rc;
}

static int
port_describe_statement(struct sql_session *s, struct slice name)
{
    struct statement *st;
    int rc;

    arena_reset(&s->message);
    rc = sess_statement_need(s, name, &st);
    if (rc == 0 && st->plan != NULL)
        rc = sess_tx_need(s);
    if (rc == 0)
        rc = sess_describe_statement(s, st);
    if (rc != 0)
        sess_tx_fail(s);
    return rc;
}

static int
describe_portal(struct sql_session *s, struct slice name)
{
    struct portal *p = sess_portal_find(s, name);
    int count = 0, rc = 0;

    if (p == NULL)
        return DIAG(ERR_UNDEFINED_CURSOR, "portal \"%.*s\" does not exist", (int)name.size,
                    (const char *)name.data);
    if (p->statement->plan != NULL) {
        sess_portal_describe(p);
        return 0;
    }
    if (p->statement->body != NULL)
        rc = sess_utility_describe(s, p->statement->body, p->formats, p->format_count, &count);
    if (rc == 0 && count == 0)
        s->client->ops->no_data(s->client);
    return rc;
}

static int
port_describe_portal(struct sql_session *s, struct slice name)
{
    int rc;

    arena_reset(&s->message);
    rc = describe_portal(s, name);
    if (rc != 0)
        sess_tx_fail(s);
    return rc;
}

static int
port_execute(struct sql_session *s, struct slice portal, int32_t max_rows)
{
    struct portal *p = sess_portal_find(s, portal);

    arena_reset(&s->message);
    sess_activity_begin(s, p != NULL ? p->statement->text : slice(NULL, 0));
    return done(s, sess_execute(s, portal, max_rows));
}

static int
port_close_statement(struct sql_session *s, struct slice name)
{
    sess_statement_drop(s, name);
    return 0;
}

static int
port_close_portal(struct sql_session *s, struct slice name)
{
    struct portal *p = sess_portal_find(s, name);

    if (p != NULL)
        sess_portal_close(p);
    return 0;
}

static int
port_sync(struct sql_session *s)
{
    int rc = sess_tx_end_implicit(s);

    if (s->tx == TX_NONE)
        sess_portals_close(s, 0);
    sess_activity_end(s);
    return rc;
}

static void
port_fail(struct sql_session *s)
{
    sess_tx_fail(s);
}

static void
port_cancel(struct sql_session *s)
{
    txn_cancel_wait(s->txn);
}

/* ---- the role of the member --------------------------------------------------------------------
 */

static bool
port_may_write(const struct sql_session *s)
{
    return (s->tx != TX_NONE && !s->tx_read_only) || !s->default_read_only;
}

/* What a session may write is asked of the engine each time: nothing is kept of the role here. The
 * server reports in_hot_standby; default_transaction_read_only is the user's own. */
static void
port_role_changed(struct sql_session *s)
{
    (void)s;
}

const struct sql_port_ops sess_port_ops = {
    .role_lookup = port_role_lookup,
    .all_roles_have_password = port_all_roles_have_password,
    .is_standby = port_is_standby,
    .open = port_open,
    .close = port_close,
    .status = port_status,
    .simple_query = port_simple_query,
    .parse = port_parse,
    .bind = port_bind,
    .describe_statement = port_describe_statement,
    .describe_portal = port_describe_portal,
    .execute = port_execute,
    .close_statement = port_close_statement,
    .close_portal = port_close_portal,
    .sync = port_sync,
    .fail = port_fail,
    .cancel = port_cancel,
    .may_write = port_may_write,
    .role_changed = port_role_changed,
};
