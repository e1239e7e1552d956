/* COPY TO STDOUT, of a table or of a query.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/copy_int.h"

struct copy_out {
    struct copy_run *c;
    const struct plan *plan;
    struct writer value; /* one value's text, before it is escaped */
};

static void
put_value(struct copy_out *o, int32_t i, const struct datum *d)
{
    struct copy_run *c = o->c;
    struct writer *out = &c->s->client->out;
    bool force = c->options.force_quote_all || (c->force != NULL && c->force[i]);

    if (i > 0)
        wr_u8(out, (uint8_t)c->options.delimiter);
    if (d->is_null) {
        copy_put_null(&c->options, out);
        return;
    }
    wr_reset(&o->value);
    type_out(o->plan->results[i].type.oid, &c->s->types, d, &o->value);
    copy_put_value(&c->options, wr_view(&o->value), force, o->plan->result_count == 1, out);
}

static int
put_batch(struct copy_out *o, const struct batch *b)
{
    struct sql_client *client = o->c->s->client;
    int rc = 0;

    for (uint32_t k = 0; k < b->sel_count && rc == 0; k++) {
        size_t at = client_copy_row_begin(client);

        for (int32_t i = 0; i < o->plan->result_count; i++) {
            struct datum d = vec_get(&b->cols[i], batch_row(b, k));

            put_value(o, i, &d);
        }
        wr_u8(&client->out, '\n');
        rc = client_copy_row_end(client, at);
    }
    return rc;
}

static int
put_header(struct copy_out *o)
{
    struct sql_client *client = o->c->s->client;
    size_t at;

    if (o->c->options.header == COPY_HEADER_NONE)
        return 0;
    at = client_copy_row_begin(client);
    for (int32_t i = 0; i < o->plan->result_count; i++) {
        if (i > 0)
            wr_u8(&client->out, (uint8_t)o->c->options.delimiter);
        copy_put_value(&o->c->options, slice_str(o->plan->results[i].name), false,
                       o->plan->result_count == 1, &client->out);
    }
    wr_u8(&client->out, '\n');
    return client_copy_row_end(client, at);
}

static int
put_rows(struct copy_out *o, struct shared_plan *p, uint64_t *rows)
{
    struct sql_session *s = o->c->s;
    const struct batch *b;
    struct exec *x;
    int rc = exec_open(p->plan, sess_ctx(s, p->plan->set, NULL, 0), &x);

    if (rc != 0)
        return rc;
    rc = s->client->ops->copy_out_begin(s->client, 0, o->plan->result_count);
    if (rc == 0)
        rc = put_header(o);
    while (rc == 0 && (rc = exec_next(x, &b)) == 0) {
        sess_require(s);
        rc = put_batch(o, b);
        *rows += b->sel_count;
    }
    exec_close(x);
    if (rc != ERR_END)
        return rc;
    s->client->ops->copy_out_end(s->client);
    return 0;
}

/* What the rows come from: the query, or all rows of the table. */
static int
source_of(struct copy_run *c, struct plan_source *source)
{
    struct arena *a = &c->s->message;
    const char *text;
    int rc;

    if (c->ast->query != NULL) {
        if (!sess_kind_is_planned(c->ast->query->kind))
            return DIAG(ERR_NOT_SUPPORTED, "COPY of this statement is not supported");
        *source = (struct plan_source){ .text = c->text, .tree = c->ast->query, .is_inner = true };
        return 0;
    }
    rc = sess_statement_begin(c->s);
    if (rc != 0)
        return rc;
    rc = copy_resolve(c);
    sess_statement_end(c->s);
    if (rc != 0)
        return rc;
    text = arena_printf(a, "SELECT %s FROM %s", copy_target_text(c), c->table);
    *source = (struct plan_source){ .text = slice_str(text) };
    return 0;
}

static int
mark_forced(struct copy_run *c, const struct plan *plan)
{
    struct arena *a = &c->s->message;

    if (c->force == NULL) {
        c->column_count = (uint32_t)plan->result_count;
        c->names = ARENA_ARRAY(a, const char *, c->column_count + 1);
        c->force = ARENA_ARRAY(a, bool, c->column_count + 1);
        for (uint32_t i = 0; i < c->column_count; i++)
            c->names[i] = plan->results[i].name;
    }
    return copy_mark(c, c->options.force_quote, "FORCE_QUOTE", c->force);
}

int
copy_run_out(struct copy_run *c, uint64_t *rows)
{
    struct copy_out o = { .c = c };
    struct shared_plan *plan = NULL;
    struct plan_source source;
    int rc = source_of(c, &source);

    if (rc == 0)
        rc = sess_plan_open(c->s, &source, &plan);
    if (rc != 0) {
        shared_plan_unref(plan);
        return rc;
    }
    o.plan = plan->plan;
    wr_init(&o.value, 0);
    if (o.plan->result_count == 0 && c->ast->query != NULL)
        rc = DIAG(ERR_NOT_SUPPORTED, "COPY query must have a RETURNING clause");
    if (rc == 0)
        rc = mark_forced(c, o.plan);
    if (rc == 0)
        rc = put_rows(&o, plan, rows);
    sess_require(c->s);
    sess_statement_end(c->s);
    wr_fini(&o.value);
    shared_plan_unref(plan);
    return rc;
}
