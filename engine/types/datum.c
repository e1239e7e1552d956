/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/datum.h"

#include "engine/types/type.h"

struct datum
datum_copy(struct arena *a, const struct datum *d, enum type_rep rep)
{
    if (d->is_null || rep != REP_BYTES)
        return *d;
    return datum_bytes(arena_memdup(a, d->p, d->size), d->size);
}

static void
vec_alloc(struct vec *v, struct arena *a, uint32_t type, size_t rows)
{
    static const uint8_t entry_size[] = {
        [REP_INT] = sizeof(int64_t),
        [REP_FLOAT] = sizeof(double),
        [REP_BYTES] = sizeof(struct bytes_ref),
    };

    *v = (struct vec){ .type = type, .rep = type_get(type)->rep };
    v->i = arena_alloc(a, rows * entry_size[v->rep]);
    v->valid = arena_alloc(a, (rows + 63) / 64 * sizeof *v->valid);
    memset(v->valid, 0xff, (rows + 63) / 64 * sizeof *v->valid);
}

void
vec_init(struct vec *v, struct arena *a, uint32_t type)
{
    vec_alloc(v, a, type, BATCH_ROWS_MAX);
}

void
vec_init_const(struct vec *v, struct arena *a, uint32_t type, const struct datum *d)
{
    vec_alloc(v, a, type, 1);
    v->is_const = true;
    vec_set(v, 0, d);
}

struct batch *
batch_new(struct arena *a, const uint32_t *types, uint32_t count)
{
    struct batch *b = ARENA_NEW(a, struct batch);

    b->col_count = count;
    b->cols = ARENA_ARRAY(a, struct vec, count + 1);
    for (uint32_t i = 0; i < count; i++)
        vec_init(&b->cols[i], a, types[i]);
    return b;
}
