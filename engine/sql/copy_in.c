/* COPY FROM STDIN: each record becomes the parameters of one INSERT, whose plan is made once.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "engine/base/utf8.h"
#include "engine/sql/copy_int.h"

/* A statement holds what it has read; so that it does not grow with the number of rows it ends and
 * begins again now and then, within the same transaction and under the same locks. */
enum { COPY_ROWS_PER_STATEMENT = 4096 };

struct copy_in {
    struct copy_run *c;
    struct plan_source source;
    struct shared_plan *plan;
    struct copy_reader reader;
    struct copy_field *fields;
    struct datum *params;
    struct arena row;
    struct exec_ctx ctx;
    uint64_t rows;
    bool open;
};

static struct slice
insert_text(struct copy_run *c)
{
    struct arena *a = &c->s->message;
    struct writer w;
    struct slice text;

    wr_init(&w, 0);
    wr_bytes(&w, "INSERT INTO ", 12);
    wr_bytes(&w, c->table, strlen(c->table));
    if (c->column_count > 0) {
        const char *names = copy_target_text(c);

        wr_bytes(&w, " (", 2);
        wr_bytes(&w, names, strlen(names));
        wr_bytes(&w, ") OVERRIDING SYSTEM VALUE VALUES (", 34);
        for (uint32_t i = 0; i < c->column_count; i++) {
            const char *p = arena_printf(a, "%s$%u", i > 0 ? ", " : "", i + 1);

            wr_bytes(&w, p, strlen(p));
        }
        wr_u8(&w, ')');
    } else {
        wr_bytes(&w, " DEFAULT VALUES", 15);
    }
    text = slice(arena_memdup(a, w.data, w.size), w.size);
    wr_fini(&w);
    return text;
}

static int
open_statement(struct copy_in *in)
{
    struct sql_session *s = in->c->s;
    int rc = sess_plan_open(s, &in->source, &in->plan);

    if (rc != 0)
        return rc;
    in->open = true;
    in->ctx = *sess_ctx(s, in->plan->plan->set, in->params, in->plan->plan->param_count);
    return 0;
}

static void
close_statement(struct copy_in *in)
{
    if (!in->open)
        return;
    sess_require(in->c->s);
    sess_statement_end(in->c->s);
    in->open = false;
}

/* Says where it happened; text: what was read there, {NULL, 0}: that is not shown. */
static int
at_line(struct copy_in *in, int rc, const char *column, struct slice text)
{
    struct arena *a = &in->c->s->message;
    const char *name = in->c->ast->relation->name;
    size_t size = text.size <= 100 ? text.size : utf8_valid_prefix(text.data, 100);
    const char *shown = text.data == NULL
                            ? ""
                            : arena_printf(a, ": \"%.*s%s\"", (int)size, (const char *)text.data,
                                           size < text.size ? "..." : "");

    if (column != NULL)
        diag_where("COPY %s, line %" PRIu64 ", column %s%s", name, in->reader.line, column, shown);
    else
        diag_where("COPY %s, line %" PRIu64 "%s", name, in->reader.line, shown);
    return rc;
}

static int
read_value(struct copy_in *in, uint32_t i)
{
    struct copy_run *c = in->c;
    struct copy_field *f = &in->fields[i];
    int rc;

    if (f->is_null && c->force[i])
        f->is_null = false; /* FORCE_NOT_NULL */
    if (c->force_null[i] && f->value.size == c->options.null_size &&
        (f->value.size == 0 || memcmp(f->value.data, c->options.null, f->value.size) == 0))
        f->is_null = true; /* FORCE_NULL */
    if (f->is_null) {
        in->params[i] = datum_null();
        return 0;
    }
    rc = type_in(c->types[i], &c->s->types, &in->row, f->value, c->typmods[i], &in->params[i]);
    return rc == 0 ? 0 : at_line(in, rc, c->names[i], f->value);
}

static int
insert_record(struct copy_in *in, struct slice record)
{
    struct copy_run *c = in->c;
    uint64_t affected;
    uint32_t count;
    int rc;

    arena_reset(&in->row);
    rc = copy_split(&c->options, &in->row, record, c->column_count, in->fields, &count);
    if (rc != 0)
        return at_line(in, rc, NULL, record);
    if (c->column_count == 0)
        count = record.size == 0 ? 0 : 1;
    if (count > c->column_count)
        return at_line(in, DIAG(ERR_BAD_COPY_FILE, "extra data after last expected column"), NULL,
                       record);
    if (count < c->column_count)
        return at_line(in,
                       DIAG(ERR_BAD_COPY_FILE, "missing data for column \"%s\"", c->names[count]),
                       NULL, record);
    for (uint32_t i = 0; i < count && rc == 0; i++)
        rc = read_value(in, i);
    if (rc == 0) {
        arena_reset(&c->s->scratch);
        rc = exec_run(in->plan->plan, &in->ctx, NULL, NULL, 0, &affected);
        if (rc != 0)
            rc = at_line(in, rc, NULL, rc == ERR_UNIQUE_VIOLATION ? slice(NULL, 0) : record);
    }
    if (rc == 0 && ++in->rows % COPY_ROWS_PER_STATEMENT == 0) {
        close_statement(in);
        rc = open_statement(in);
    }
    return rc;
}

static int
check_header(struct copy_in *in, struct slice record)
{
    struct copy_run *c = in->c;
    uint32_t count;
    int rc;

    if (c->options.header != COPY_HEADER_MATCH)
        return 0;
    arena_reset(&in->row);
    rc = copy_split(&c->options, &in->row, record, c->column_count, in->fields, &count);
    if (rc != 0)
        return rc;
    if (count != c->column_count)
        return DIAG(ERR_BAD_COPY_FILE,
                    "wrong number of fields in header line: field count is %u, "
                    "expected %u",
                    count, c->column_count);
    for (uint32_t i = 0; i < count; i++)
        if (!slice_eq(in->fields[i].value, slice_str(c->names[i])))
            return DIAG(ERR_BAD_COPY_FILE,
                        "column name mismatch in header line field %u: got \"%.*s\", expected "
                        "\"%s\"",
                        i + 1, (int)in->fields[i].value.size,
                        (const char *)in->fields[i].value.data, c->names[i]);
    return 0;
}

static int
take_records(struct copy_in *in)
{
    struct slice record;
    int rc = 0;

    while (rc == 0 && copy_reader_next(&in->reader, &record)) {
        if (in->c->options.header != COPY_HEADER_NONE && in->reader.line == 1)
            rc = check_header(in, record);
        else
            rc = insert_record(in, record);
    }
    return rc;
}

static int
take_all(struct copy_in *in)
{
    struct sql_client *client = in->c->s->client;
    int rc = client->ops->copy_in_begin(client, 0, (int)in->c->column_count);

    while (rc == 0) {
        struct slice piece;

        rc = client->ops->copy_in_read(client, &piece);
        if (rc == ERR_END) {
            copy_reader_end(&in->reader);
            return take_records(in);
        }
        if (rc == 0)
            rc = copy_reader_add(&in->reader, piece);
        if (rc == 0)
            rc = take_records(in);
    }
    return rc;
}

static int
resolve(struct copy_run *c)
{
    int rc = sess_statement_begin(c->s);

    if (rc != 0)
        return rc;
    rc = copy_resolve(c);
    sess_statement_end(c->s);
    if (rc == 0)
        rc = copy_mark(c, c->options.force_not_null, "FORCE_NOT_NULL", c->force);
    if (rc == 0)
        rc = copy_mark(c, c->options.force_null, "FORCE_NULL", c->force_null);
    return rc;
}

int
copy_run_in(struct copy_run *c, uint64_t *rows)
{
    struct copy_in in = { .c = c };
    int rc = sess_tx_want_write(c->s, "COPY FROM");

    if (rc == 0)
        rc = resolve(c);
    if (rc != 0)
        return rc;
    in.source = (struct plan_source){ .text = insert_text(c),
                                      .type_count = (int32_t)c->column_count,
                                      .types = c->types };
    in.fields = ARENA_ARRAY(&c->s->message, struct copy_field, c->column_count + 1);
    in.params = ARENA_ARRAY(&c->s->message, struct datum, c->column_count + 1);
    arena_init(&in.row, &c->s->memory);
    copy_reader_init(&in.reader, &c->options);
    rc = open_statement(&in);
    if (rc == 0)
        rc = take_all(&in);
    close_statement(&in);
    *rows = in.rows;
    shared_plan_unref(in.plan);
    copy_reader_fini(&in.reader);
    arena_fini(&in.row);
    return rc;
}
