/* Rows to the client: DataRow messages written straight into its output.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/exec_int.h"
#include "engine/sql/sqlport.h"

static size_t
digits_of(char *end, uint64_t v)
{
    char *p = end;

    do
        *--p = (char)('0' + v % 10);
    while ((v /= 10) != 0);
    return (size_t)(end - p);
}

static void
send_int_text(struct sql_client *client, int64_t v)
{
    char text[24], *end = text + sizeof text;
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    size_t n = digits_of(end, u);

    if (v < 0)
        end[-(ptrdiff_t)++n] = '-';
    client_value(client, end - n, n);
}

void
send_datum(struct sql_client *client, const struct type_env *env, oid_t type, int16_t format,
           const struct datum *d)
{
    size_t at;

    if (d->is_null) {
        client_null(client);
        return;
    }
    if (format == 0 && (type == TYPE_INT4 || type == TYPE_INT8 || type == TYPE_INT2)) {
        send_int_text(client, d->i);
        return;
    }
    if (type == TYPE_TEXT || type == TYPE_VARCHAR || type == TYPE_BPCHAR) {
        client_value(client, d->p, d->size);
        return;
    }
    at = client_value_begin(client);
    if (format == 0)
        type_out(type, env, d, &client->out);
    else
        type_send(type, env, d, &client->out);
    client_value_end(client, at);
}

static int
send_row(struct exec *x, struct sql_client *client, const struct batch *b, uint32_t row,
         const int16_t *formats, int format_count)
{
    size_t at = client_row_begin(client, (int)b->col_count);

    for (uint32_t i = 0; i < b->col_count; i++) {
        struct datum d = vec_get(&b->cols[i], row);

        send_datum(client, x->ctx.types, x->plan->results[i].type.oid,
                   format_of(formats, format_count, (int)i), &d);
    }
    return client_row_end(client, at);
}

/* Rows that rest on more than the snapshot must not leave before that is visible. */
static void
require_read(struct exec *x, struct sql_client *client)
{
    scn_t scn = txn_must_be_visible(x->ctx.txn);

    if (scn > engine_visible_scn(x->ctx.engine))
        client->ops->require(client, (struct moment){ engine_incarnation(x->ctx.engine), scn });
}

int
exec_send(struct exec *x, struct sql_client *client, const int16_t *formats, int format_count,
          uint64_t max_rows, uint64_t *rows, bool *done)
{
    int rc = 0;

    *rows = 0;
    *done = false;
    while (rc == 0 && (max_rows == 0 || *rows < max_rows)) {
        if (x->rest == NULL) {
            const struct batch *b;

            x->root->wanted = max_rows == 0 ? 0 : max_rows - *rows;
            rc = exec_next(x, &b);
            if (rc != 0)
                break;
            require_read(x, client);
            x->rest = ARENA_NEW(&x->root->out, struct batch);
            *x->rest = *b;
            x->rest_at = 0;
        }
        while (rc == 0 && x->rest_at < x->rest->sel_count && (max_rows == 0 || *rows < max_rows)) {
            rc = send_row(x, client, x->rest, batch_row(x->rest, x->rest_at++), formats,
                          format_count);
            ++*rows;
        }
        if (x->rest_at == x->rest->sel_count)
            x->rest = NULL;
    }
    if (rc == ERR_END) {
        *done = true;
        rc = 0;
    }
    return rc;
}
