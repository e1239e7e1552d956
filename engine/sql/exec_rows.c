/* Rows kept by operators, and the traffic between rows and batches.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/sql/exec_int.h"

void
batch_row_datums(const struct batch *b, uint32_t row, struct datum *out)
{
    for (uint32_t i = 0; i < b->col_count; i++)
        out[i] = vec_get(&b->cols[i], row);
}

void
batch_set_row(struct batch *b, uint32_t row, const struct datum *values)
{
    for (uint32_t i = 0; i < b->col_count; i++)
        vec_set(&b->cols[i], row, &values[i]);
}

struct batch *
batch_for(struct exec_node *n, const struct plan_column *columns, uint32_t count)
{
    uint32_t *types = ARENA_ARRAY(&n->scratch, uint32_t, count + 1);

    for (uint32_t i = 0; i < count; i++)
        types[i] = columns[i].type.oid;
    return batch_new(&n->scratch, types, count);
}

/* ---- lists ------------------------------------------------------------------------------------
 */

struct row_list *
row_list_new(struct exec *x, const struct plan_column *columns, uint32_t width)
{
    struct row_list *l = xcalloc(1, sizeof *l);

    arena_init(&l->arena, x->ctx.memory);
    l->width = width;
    l->reps = xcalloc(width + 1, sizeof *l->reps);
    l->types = xcalloc(width + 1, sizeof *l->types);
    for (uint32_t i = 0; i < width; i++) {
        l->types[i] = columns[i].type.oid;
        l->reps[i] = (enum type_rep)type_get(columns[i].type.oid)->rep;
    }
    return l;
}

void
row_list_free(struct row_list *l)
{
    if (l == NULL)
        return;
    arena_fini(&l->arena);
    xfree(l->reps);
    xfree(l->types);
    xfree(l->rows);
    xfree(l);
}

void
row_list_reset(struct row_list *l)
{
    arena_reset(&l->arena);
    l->count = 0;
}

/* One allocation a row: the datums, then the bytes that they refer to. */
int
row_list_add(struct row_list *l, const struct datum *row)
{
    size_t size = l->width * sizeof *row;
    struct datum *copy;
    uint8_t *bytes;

    for (uint32_t i = 0; i < l->width; i++)
        if (l->reps[i] == REP_BYTES && !row[i].is_null)
            size += row[i].size;
    copy = arena_try_alloc(&l->arena, size + 1);
    if (copy == NULL)
        return ERR_NOMEM;
    bytes = (uint8_t *)(copy + l->width);
    for (uint32_t i = 0; i < l->width; i++) {
        copy[i] = row[i];
        if (l->reps[i] != REP_BYTES || row[i].is_null)
            continue;
        if (row[i].size > 0)
            memcpy(bytes, row[i].p, row[i].size);
        copy[i].p = bytes;
        bytes += row[i].size;
    }
    if (l->count == l->cap) {
        l->cap = l->cap != 0 ? 2 * l->cap : 64;
        l->rows = xrealloc(l->rows, l->cap * sizeof *l->rows);
    }
    l->rows[l->count++] = copy;
    return 0;
}

int
row_list_add_batch(struct row_list *l, const struct batch *b)
{
    struct datum *row = xmalloc((l->width + 1) * sizeof *row);
    int rc = 0;

    CHECK(b->col_count >= l->width);
    for (uint32_t k = 0; k < b->sel_count && rc == 0; k++) {
        uint32_t r = batch_row(b, k);

        for (uint32_t i = 0; i < l->width; i++)
            row[i] = vec_get(&b->cols[i], r);
        rc = row_list_add(l, row);
    }
    xfree(row);
    return rc;
}

int
row_list_drain(struct row_list *l, struct exec_node *n)
{
    struct batch *b;
    int rc;

    while ((rc = exec_node_next(n, &b)) == 0) {
        rc = row_list_add_batch(l, b);
        if (rc != 0)
            return rc;
    }
    return rc == ERR_END ? 0 : rc;
}

int
row_list_batch(const struct row_list *l, size_t *at, struct arena *a, struct batch **out)
{
    uint32_t n = 0;

    if (*at >= l->count)
        return ERR_END;
    *out = batch_new(a, l->types, l->width);
    while (*at < l->count && n < BATCH_ROWS_MAX)
        batch_set_row(*out, n++, l->rows[(*at)++]);
    (*out)->row_count = (*out)->sel_count = n;
    return 0;
}
