/* What goes to the client: descriptions of rows, rows, notices.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine/sql/exec_int.h"
#include "engine/sql/session_int.h"
#include "engine/sql/sqlport.h"

/* ---- descriptions ---------------------------------------------------------------------------- */

void
sess_describe_plan(struct sql_session *s, const struct plan *plan, const int16_t *formats,
                   int format_count)
{
    struct arena_mark mark = arena_mark(&s->message);
    struct sql_field *fields = ARENA_ARRAY(&s->message, struct sql_field, plan->result_count + 1);

    for (int32_t i = 0; i < plan->result_count; i++) {
        const struct plan_result *r = &plan->results[i];
        const struct type *t = type_find(r->type.oid);

        fields[i] = (struct sql_field){ .name = r->name,
                                        .table_oid = r->table_oid,
                                        .attribute = r->column_number,
                                        .type_oid = r->type.oid,
                                        .type_size = t != NULL ? t->len : -1,
                                        .typmod = r->type.typmod,
                                        .format = format_of(formats, format_count, (int)i) };
    }
    s->client->ops->row_description(s->client, fields, plan->result_count);
    arena_rewind(&s->message, mark);
}

void
sess_text_describe(struct sql_session *s, const struct text_column *columns, int count,
                   const int16_t *formats, int format_count)
{
    struct arena_mark mark = arena_mark(&s->message);
    struct sql_field *fields = ARENA_ARRAY(&s->message, struct sql_field, count + 1);

    for (int i = 0; i < count; i++) {
        uint32_t oid = columns[i].type != 0 ? columns[i].type : (uint32_t)TYPE_TEXT;

        fields[i] = (struct sql_field){ .name = columns[i].name,
                                        .type_oid = oid,
                                        .type_size = type_get(oid)->len,
                                        .typmod = -1,
                                        .format = format_of(formats, format_count, i) };
    }
    s->client->ops->row_description(s->client, fields, count);
    arena_rewind(&s->message, mark);
}

int
sess_text_row(struct sql_session *s, const char *const *values, int count)
{
    size_t at = client_row_begin(s->client, count);

    for (int i = 0; i < count; i++) {
        if (values[i] == NULL)
            client_null(s->client);
        else
            client_value(s->client, values[i], strlen(values[i]));
    }
    return client_row_end(s->client, at);
}

/* ---- running --------------------------------------------------------------------------------- */

static size_t
put_count(char *at, uint64_t n)
{
    char digits[24];
    size_t size = 0;

    do
        digits[size++] = (char)('0' + n % 10);
    while ((n /= 10) != 0);
    for (size_t i = 0; i < size; i++)
        at[i] = digits[size - 1 - i];
    at[size] = '\0';
    return size;
}

void
sess_plan_tag(const struct plan *plan, uint64_t rows, char tag[TAG_MAX])
{
    const char *word = plan->statement == AST_INSERT   ? "INSERT 0 "
                       : plan->statement == AST_UPDATE ? "UPDATE "
                       : plan->statement == AST_DELETE ? "DELETE "
                                                       : "SELECT ";
    size_t size = strlen(word);

    memcpy(tag, word, size);
    (void)put_count(tag + size, rows);
}

int
sess_run_plan(struct sql_session *s, struct shared_plan *p, const struct datum *params,
              const struct dest *d, char tag[TAG_MAX])
{
    const struct plan *plan = p->plan;
    uint64_t rows = 0;
    int rc;

    if (d->describe && plan->result_count > 0)
        sess_describe_plan(s, plan, d->formats, d->format_count);
    rc = exec_run(p->plan, sess_ctx(s, plan->set, params, plan->param_count), s->client, d->formats,
                  d->format_count, &rows);
    if (rc != 0)
        return rc;
    if (plan->result_count > 0)
        atomic_store_explicit(&s->row_total, s->row_total + rows, memory_order_relaxed);
    sess_plan_tag(plan, rows, tag);
    return 0;
}

/* ---- notices --------------------------------------------------------------------------------- */

void
sess_notice(struct sql_session *s, enum sql_severity severity, int code, const char *fmt, ...)
{
    struct diag d = { .code = code };
    va_list ap;

    if ((int)severity > s->least_message && severity != SQL_INFO)
        return;
    va_start(ap, fmt);
    vsnprintf(d.message, sizeof d.message, fmt, ap);
    va_end(ap);
    s->client->ops->notice(s->client, severity, &d);
}
