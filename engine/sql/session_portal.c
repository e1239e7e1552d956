/* Portals: statements with their parameters, run at once or piece by piece.
 *
 * A portal whose client asked for a part of its rows stays RUNNING: its run and its statement (a
 * snapshot) are open. At most one is; before another statement begins, the rest of its rows is
 * read and kept (PORTAL_STORED), so that each statement has its own snapshot and nobody's rows
 * change under him.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/sql/exec_int.h"
#include "engine/sql/session_int.h"

/* ---- rows kept ------------------------------------------------------------------------------- */

struct stored_rows {
    struct row_store *rows;
    struct row_reader reader;
    struct arena arena; /* of the batch */
    struct batch *batch;
    uint32_t at; /* in it */
    bool ended;
};

static struct stored_rows *
stored_new(struct portal *p)
{
    const struct plan *plan = p->plan->plan;
    struct stored_rows *r = xcalloc(1, sizeof *r);

    r->rows = row_store_new(&p->ctx, plan->root->columns, (uint32_t)plan->result_count, NULL);
    arena_init(&r->arena, &p->session->memory);
    return r;
}

static void
stored_free(struct stored_rows *r)
{
    if (r == NULL)
        return;
    row_reader_fini(&r->reader);
    row_store_free(r->rows);
    arena_fini(&r->arena);
    xfree(r);
}

/* The batch with the next row; ERR_END. */
static int
stored_batch(struct stored_rows *r)
{
    int rc = r->ended ? ERR_END : 0;

    while (rc == 0 && (r->batch == NULL || r->at == r->batch->row_count)) {
        arena_reset(&r->arena);
        r->at = 0;
        rc = row_reader_batch(&r->reader, &r->arena, &r->batch);
    }
    r->ended = rc == ERR_END;
    return rc;
}

/* ---- opening and closing -----------------------------------------------------------------------
 */

/* The run is over, well or not; its statement too. */
static void
portal_stop(struct portal *p)
{
    struct sql_session *s = p->session;

    if (s->running != p)
        return;
    exec_close(p->exec);
    p->exec = NULL;
    s->running = NULL;
    sess_statement_end(s);
}

void
sess_portal_close(struct portal *p)
{
    portal_stop(p);
    if (p->is_open)
        list_remove(&p->link);
    p->is_open = false;
    stored_free(p->stored);
    p->stored = NULL;
    shared_plan_unref(p->plan);
    p->plan = NULL;
    sess_statement_unref(p->statement);
    p->statement = NULL;
    if (p == p->session->unnamed_portal) {
        arena_reset(&p->arena);
        return;
    }
    arena_fini(&p->arena);
    xfree(p->name);
    xfree(p);
}

void
sess_portals_close(struct sql_session *s, int savepoint_level)
{
    struct list *link = s->portals.next;

    while (link != &s->portals) {
        struct portal *p = container_of(link, struct portal, link);

        link = link->next;
        if (p->savepoint_level >= savepoint_level)
            sess_portal_close(p);
    }
}

int
sess_portals_end(struct sql_session *s)
{
    struct list *link;
    int rc = 0;

    if (s->running != NULL && s->running->hold)
        rc = sess_portal_park(s);
    for (link = s->portals.next; link != &s->portals;) {
        struct portal *p = container_of(link, struct portal, link);

        link = link->next;
        if (p->hold && (p->state == PORTAL_STORED || p->state == PORTAL_DONE))
            p->savepoint_level = -1; /* no rollback takes it back */
        else
            sess_portal_close(p);
    }
    return rc;
}

struct portal *
sess_portal_find(struct sql_session *s, struct slice name)
{
    if (name.size == 0)
        return s->unnamed_portal != NULL && s->unnamed_portal->is_open ? s->unnamed_portal : NULL;
    list_for_each (p, &s->portals, struct portal, link)
        if (p != s->unnamed_portal && slice_eq(slice_str(p->name), name))
            return p;
    return NULL;
}

int
sess_portal_new(struct sql_session *s, struct slice name, struct portal **out)
{
    struct portal *p = s->unnamed_portal;

    if (name.size > 0) {
        if (sess_portal_find(s, name) != NULL)
            return DIAG(ERR_DUPLICATE_CURSOR, "cursor \"%.*s\" already exists", (int)name.size,
                        (const char *)name.data);
        p = NULL;
    } else if (p != NULL && p->is_open) {
        sess_portal_close(p);
    }
    if (p == NULL) {
        p = xcalloc(1, sizeof *p);
        p->session = s;
        arena_init(&p->arena, &s->memory);
        p->name = xmalloc(name.size + 1);
        if (name.size > 0)
            memcpy(p->name, name.data, name.size);
        p->name[name.size] = '\0';
        if (name.size == 0)
            s->unnamed_portal = p;
    }
    p->state = PORTAL_READY;
    p->is_cursor = p->hold = false;
    p->is_open = true;
    p->savepoint_level = s->savepoint_count;
    p->params = NULL;
    p->param_count = 0;
    p->formats = NULL;
    p->format_count = 0;
    p->rows = 0;
    list_push_back(&s->portals, &p->link);
    *out = p;
    return 0;
}

/* ---- Bind ------------------------------------------------------------------------------------ */

static int
decode_param(struct portal *p, uint32_t type, int16_t format, struct slice in, struct datum *out)
{
    const struct type_env *env = &p->session->types;

    if (in.data == NULL) {
        *out = datum_null();
        return 0;
    }
    /* What a value borrows from the message must outlive it. */
    if (type_get(type)->rep == REP_BYTES) {
        uint8_t *copy = arena_try_alloc(&p->arena, in.size + 1);

        if (copy == NULL)
            return ERR_NOMEM;
        if (in.size > 0)
            memcpy(copy, in.data, in.size);
        in.data = copy;
    }
    if (format == 0)
        return type_in(type, env, &p->arena, in, -1, out);
    if (format == 1)
        return type_recv(type, env, &p->arena, in, -1, out);
    return DIAG(ERR_INVALID_PARAMETER_VALUE, "unsupported format code: %d", format);
}

static int
check_bind(const struct statement *st, const struct sql_bind *b)
{
    int results = st->plan != NULL ? st->result_count : -1;

    if (b->format_count > 1 && b->format_count != b->param_count)
        return DIAG(ERR_PROTOCOL, "bind message has %d parameter formats but %d parameters",
                    b->format_count, b->param_count);
    if (b->param_count != st->param_count)
        return DIAG(ERR_PROTOCOL,
                    "bind message supplies %d parameters, but prepared statement \"%s\" requires "
                    "%d",
                    b->param_count, st->name, st->param_count);
    if (b->result_format_count > 1 && results >= 0 && b->result_format_count != results)
        return DIAG(ERR_PROTOCOL, "bind message has %d result formats but query has %d columns",
                    b->result_format_count, results);
    for (int i = 0; i < b->result_format_count; i++)
        if (b->result_formats[i] != 0 && b->result_formats[i] != 1)
            return DIAG(ERR_INVALID_PARAMETER_VALUE, "unsupported format code: %d",
                        b->result_formats[i]);
    return 0;
}

static int
fill_portal(struct portal *p, struct statement *st, const struct sql_bind *b)
{
    int rc = 0;

    p->statement = st;
    st->ref_count++;
    p->param_count = st->param_count;
    p->params = arena_alloc(&p->arena, ((size_t)p->param_count + 1) * sizeof *p->params);
    for (int32_t i = 0; i < p->param_count && rc == 0; i++)
        rc = decode_param(p, st->param_types[i], format_of(b->formats, b->format_count, (int)i),
                          b->params[i], &p->params[i]);
    p->format_count = b->result_format_count;
    if (p->format_count > 0)
        p->formats = arena_memdup(&p->arena, b->result_formats,
                                  (size_t)p->format_count * sizeof *p->formats);
    return rc;
}

int
sess_bind(struct sql_session *s, const struct sql_bind *b)
{
    struct statement *st;
    struct portal *p;
    int rc = sess_statement_need(s, b->statement, &st);

    if (rc == 0)
        rc = check_bind(st, b);
    if (rc == 0 && st->kind != AST_NONE &&
        (st->body == NULL || !sess_utility_ends_transaction(st->body)))
        rc = sess_tx_need(s);
    if (rc == 0)
        rc = sess_portal_new(s, b->portal, &p);
    if (rc != 0)
        return rc;
    rc = fill_portal(p, st, b);
    if (rc != 0)
        sess_portal_close(p);
    return rc;
}

/* ---- running --------------------------------------------------------------------------------- */

int
sess_portal_start(struct portal *p)
{
    struct sql_session *s = p->session;
    struct statement *st = p->statement;
    int rc = sess_statement_open(s, st);

    if (rc != 0)
        return rc;
    p->plan = shared_plan_ref(st->plan);
    p->ctx = *sess_ctx(s, p->plan->plan->set, p->params, p->param_count);
    rc = exec_open(p->plan->plan, &p->ctx, &p->exec);
    if (rc != 0) {
        sess_statement_end(s);
        return rc;
    }
    s->running = p;
    p->state = PORTAL_RUNNING;
    return 0;
}

int
sess_portal_park(struct sql_session *s)
{
    struct portal *p = s->running;
    const struct batch *b;
    int rc = 0;

    if (p == NULL)
        return 0;
    p->stored = stored_new(p);
    if (p->exec->rest != NULL)
        rc = row_store_add_batch(p->stored->rows, p->exec->rest, p->exec->rest_at);
    while (rc == 0 && (rc = exec_next(p->exec, &b)) == 0)
        rc = row_store_add_batch(p->stored->rows, b, 0);
    if (rc == ERR_END)
        rc = row_store_end(p->stored->rows);
    row_reader_init(&p->stored->reader, p->stored->rows);
    p->state = rc == 0 ? PORTAL_STORED : PORTAL_FAILED;
    sess_require(s);
    portal_stop(p);
    return rc;
}

static int
send_stored(struct portal *p, const struct batch *b, uint32_t row)
{
    const struct plan *plan = p->plan->plan;
    struct sql_client *client = p->session->client;
    size_t at = client_row_begin(client, plan->result_count);

    for (int32_t i = 0; i < plan->result_count; i++) {
        struct datum d = vec_get(&b->cols[i], row);

        send_datum(client, &p->session->types, plan->results[i].type.oid,
                   format_of(p->formats, p->format_count, (int)i), &d);
    }
    return client_row_end(client, at);
}

static int
rows_stored(struct portal *p, uint64_t max_rows, bool send, uint64_t *rows, bool *done)
{
    struct stored_rows *r = p->stored;
    int rc = 0;

    *rows = 0;
    while (rc == 0 && (max_rows == 0 || *rows < max_rows)) {
        rc = stored_batch(r);
        if (rc == 0 && send)
            rc = send_stored(p, r->batch, r->at);
        if (rc != 0)
            break;
        r->at++;
        ++*rows;
    }
    *done = rc == ERR_END;
    return rc == ERR_END ? 0 : rc;
}

int
sess_portal_rows(struct portal *p, uint64_t max_rows, bool send, uint64_t *rows, bool *done)
{
    struct sql_session *s = p->session;
    int rc = 0;

    *rows = 0;
    *done = true;
    if (p->state == PORTAL_RUNNING && (!send || p->plan->plan->writes))
        rc = sess_portal_park(s);
    if (rc == 0 && p->state == PORTAL_RUNNING) {
        rc = exec_send(p->exec, s->client, p->formats, p->format_count, max_rows, rows, done);
        sess_require(s);
        if (rc != 0 || *done) {
            portal_stop(p);
            p->state = rc != 0 ? PORTAL_FAILED : PORTAL_DONE;
        }
    } else if (rc == 0 && p->state == PORTAL_STORED) {
        rc = rows_stored(p, max_rows, send, rows, done);
        if (*done)
            p->state = PORTAL_DONE;
    }
    atomic_store_explicit(&s->row_total, s->row_total + *rows, memory_order_relaxed);
    return rc;
}

/* ---- Execute --------------------------------------------------------------------------------- */

/* All of it at once: the common case. */
static int
execute_whole(struct portal *p)
{
    struct sql_session *s = p->session;
    struct dest d = { .formats = p->formats, .format_count = p->format_count };
    int rc = sess_statement_open(s, p->statement);

    if (rc != 0)
        return rc;
    p->plan = shared_plan_ref(p->statement->plan);
    rc = sess_run_plan(s, p->plan, p->params, &d, p->tag);
    sess_require_run(s, p->plan->plan, rc);
    sess_statement_end(s);
    p->state = rc == 0 ? PORTAL_DONE : PORTAL_FAILED;
    if (rc == 0)
        s->client->ops->command_complete(s->client, p->tag);
    return rc;
}

static int
execute_part(struct portal *p, uint64_t max_rows)
{
    struct sql_session *s = p->session;
    uint64_t rows;
    bool done;
    int rc = p->state == PORTAL_READY ? sess_portal_start(p) : 0;

    if (rc == 0)
        rc = sess_portal_rows(p, max_rows, true, &rows, &done);
    if (rc != 0)
        return rc;
    if (!done) {
        s->client->ops->portal_suspended(s->client);
        return 0;
    }
    sess_plan_tag(p->plan->plan, rows, p->tag);
    s->client->ops->command_complete(s->client, p->tag);
    return 0;
}

static int
execute_utility(struct portal *p)
{
    struct sql_session *s = p->session;
    struct statement *st = p->statement;
    struct dest d = { .formats = p->formats, .format_count = p->format_count };
    char tag[TAG_MAX] = "";
    int rc;

    /* What it does may close the portal: nothing of it is used afterwards. */
    p->state = PORTAL_DONE;
    st->ref_count++;
    rc = sess_utility(s, st->body, st->text, &d, tag);
    sess_statement_unref(st);
    if (rc == 0)
        s->client->ops->command_complete(s->client, tag);
    return rc;
}

int
sess_execute(struct sql_session *s, struct slice name, int32_t max_rows)
{
    struct portal *p = sess_portal_find(s, name);

    if (p == NULL)
        return DIAG(ERR_UNDEFINED_CURSOR, "portal \"%.*s\" does not exist", (int)name.size,
                    (const char *)name.data);
    if (p->statement->kind == AST_NONE) {
        s->client->ops->empty_query(s->client);
        return 0;
    }
    if (p->state == PORTAL_FAILED || (p->state == PORTAL_DONE && (p->statement->body != NULL ||
                                                                  p->statement->result_count == 0)))
        return DIAG(ERR_OBJECT_NOT_READY, "portal \"%s\" cannot be run", p->name);
    if (p->statement->body != NULL)
        return execute_utility(p);
    if (p->state == PORTAL_READY) {
        int rc = sess_tx_need(s);

        if (rc != 0)
            return rc;
    }
    if (p->state == PORTAL_READY && (max_rows <= 0 || p->statement->result_count == 0))
        return execute_whole(p);
    return execute_part(p, max_rows <= 0 ? 0 : (uint64_t)max_rows);
}

/* ---- Describe -------------------------------------------------------------------------------- */

void
sess_portal_describe(struct portal *p)
{
    struct sql_session *s = p->session;
    const struct plan *plan = p->plan != NULL ? p->plan->plan : p->statement->plan->plan;

    if (plan->result_count > 0)
        sess_describe_plan(s, plan, p->formats, p->format_count);
    else
        s->client->ops->no_data(s->client);
}
