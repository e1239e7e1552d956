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

/* ---- memory ------------------------------------------------------------------------------------
 */

enum { FLOOR = 256 << 10 }; /* with less than this an operator is not asked to make do */

bool
exec_is_full(const struct exec_ctx *ctx, size_t bytes, size_t more)
{
    if (ctx->spill == NULL)
        return false;
    if (bytes >= ctx->work_bytes)
        return true;
    return bytes >= FLOOR && ctx->memory != NULL && !budget_has_room(ctx->memory, more);
}

/* ---- lists ------------------------------------------------------------------------------------
 */

struct row_list *
row_list_new(const struct exec_ctx *ctx, const struct plan_column *columns, uint32_t width)
{
    struct row_list *l = xcalloc(1, sizeof *l);

    arena_init(&l->arena, ctx->memory);
    l->ctx = ctx;
    l->width = width;
    l->reps = xcalloc(width + 1, sizeof *l->reps);
    l->types = xcalloc(width + 1, sizeof *l->types);
    for (uint32_t i = 0; i < width; i++) {
        l->types[i] = columns[i].type.oid;
        l->reps[i] = (enum type_rep)type_get(columns[i].type.oid)->rep;
    }
    return l;
}

static void
set_cap(struct row_list *l, size_t cap)
{
    if (l->ctx->memory != NULL && cap > l->cap)
        budget_force(l->ctx->memory, (cap - l->cap) * sizeof *l->rows);
    else if (l->ctx->memory != NULL)
        budget_release(l->ctx->memory, (l->cap - cap) * sizeof *l->rows);
    if (cap == 0) {
        xfree(l->rows);
        l->rows = NULL;
    } else {
        l->rows = xrealloc(l->rows, cap * sizeof *l->rows);
    }
    l->cap = cap;
}

void
row_list_free(struct row_list *l)
{
    if (l == NULL)
        return;
    arena_fini(&l->arena);
    set_cap(l, 0);
    xfree(l->reps);
    xfree(l->types);
    xfree(l);
}

void
row_list_reset(struct row_list *l)
{
    arena_reset(&l->arena);
    l->count = 0;
    if (l->cap > 1024)
        set_cap(l, 0);
}

size_t
row_list_bytes(const struct row_list *l)
{
    return l->arena.total + l->cap * sizeof *l->rows;
}

bool
row_list_is_full(const struct row_list *l, size_t others)
{
    return l->count > 0 &&
           exec_is_full(l->ctx, row_list_bytes(l) + others,
                        l->arena.end - l->arena.at < 4096 ? l->arena.chunk_size : 0);
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
    copy = l->may_spill && size < FLOOR ? arena_alloc(&l->arena, size + 1)
                                        : arena_try_alloc(&l->arena, size + 1);
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
    if (l->count == l->cap)
        set_cap(l, l->cap != 0 ? 2 * l->cap : 64);
    l->rows[l->count++] = copy;
    return 0;
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
