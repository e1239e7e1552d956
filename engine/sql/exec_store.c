/* Rows kept to be read again: in memory while they fit, then in a file.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/sql/exec_int.h"

struct row_store {
    const struct exec_ctx *ctx;
    struct row_list *list;       /* while they fit */
    struct spill_stream *stream; /* NULL: they do */
    uint64_t *spilled;
    struct datum *row; /* room for one */
};

struct row_store *
row_store_new(const struct exec_ctx *ctx, const struct plan_column *columns, uint32_t width,
              uint64_t *spilled)
{
    struct row_store *s = xcalloc(1, sizeof *s);

    s->ctx = ctx;
    s->list = row_list_new(ctx, columns, width);
    s->list->may_spill = ctx->spill != NULL;
    s->spilled = spilled;
    s->row = xcalloc(width + 1, sizeof *s->row);
    return s;
}

void
row_store_free(struct row_store *s)
{
    if (s == NULL)
        return;
    row_list_free(s->list);
    spill_stream_free(s->stream);
    xfree(s->row);
    xfree(s);
}

void
row_store_reset(struct row_store *s)
{
    row_list_reset(s->list);
    spill_stream_free(s->stream);
    s->stream = NULL;
}

/* All that is in memory goes to a file, and so does what comes. */
static int
store_spill(struct row_store *s)
{
    struct spill_file *f;
    int rc = spill_file_new(s->ctx, s->spilled, &f);

    if (rc != 0)
        return rc;
    s->stream = spill_stream_new(f, s->list->types, s->list->width);
    spill_file_unref(f);
    for (size_t i = 0; i < s->list->count && rc == 0; i++)
        rc = spill_put(s->stream, s->list->rows[i]);
    row_list_reset(s->list);
    return rc;
}

int
row_store_add(struct row_store *s, const struct datum *row)
{
    int rc = 0;

    if (s->stream == NULL && row_list_is_full(s->list, 0))
        rc = store_spill(s);
    if (rc != 0)
        return rc;
    return s->stream != NULL ? spill_put(s->stream, row) : row_list_add(s->list, row);
}

int
row_store_add_batch(struct row_store *s, const struct batch *b, uint32_t from)
{
    int rc = 0;

    CHECK(b->col_count >= s->list->width);
    for (uint32_t k = from; k < b->sel_count && rc == 0; k++) {
        for (uint32_t i = 0; i < s->list->width; i++)
            s->row[i] = vec_get(&b->cols[i], batch_row(b, k));
        rc = row_store_add(s, s->row);
    }
    return rc;
}

int
row_store_drain(struct row_store *s, struct exec_node *n)
{
    struct batch *b;
    int rc;

    while ((rc = exec_node_next(n, &b)) == 0) {
        rc = row_store_add_batch(s, b, 0);
        if (rc != 0)
            return rc;
    }
    return rc == ERR_END ? row_store_end(s) : rc;
}

int
row_store_end(struct row_store *s)
{
    return s->stream != NULL ? spill_end(s->stream) : 0;
}

uint64_t
row_store_count(const struct row_store *s)
{
    return s->stream != NULL ? spill_rows(s->stream) : s->list->count;
}

void
row_reader_init(struct row_reader *r, struct row_store *s)
{
    *r = (struct row_reader){ .store = s };
    if (s->stream != NULL)
        spill_reader_init(&r->file, s->stream);
}

void
row_reader_fini(struct row_reader *r)
{
    spill_reader_fini(&r->file);
    r->store = NULL;
}

int
row_reader_batch(struct row_reader *r, struct arena *a, struct batch **out)
{
    return r->file.stream != NULL ? spill_get_batch(&r->file, a, out)
                                  : row_list_batch(r->store->list, &r->at, a, out);
}
