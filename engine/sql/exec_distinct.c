/* DISTINCT by hash, and DISTINCT ON, whose input comes sorted.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/sql/exec_int.h"

struct distinct {
    struct row_table *seen;
    struct vexpr **keys; /* NULL: all columns */
    uint32_t key_count;
    struct parts_input input;
    uint16_t *sel;
    struct datum *row;      /* room for one */
    struct arena last;      /* sorted: the keys of the row before */
    struct datum *last_key; /* NULL: none yet */
};

/* ---- by hash -----------------------------------------------------------------------------------
 */

/* *is_new: the row is the first of its kind, and not set aside. */
static int
look_up(struct distinct *s, const struct datum *key, const struct batch *b, uint32_t r,
        bool *is_new)
{
    uint64_t hash = row_table_hash(s->seen, key);
    size_t at;

    *is_new = false;
    if (row_table_find(s->seen, hash, key, &at))
        return 0;
    if (s->input.aside != NULL || row_table_is_full(s->seen, 0)) {
        batch_row_datums(b, r, s->row);
        return parts_input_aside(&s->input, hash, s->row);
    }
    *is_new = true;
    return row_table_add(s->seen, hash, key, &at);
}

static bool
is_same(const struct distinct *s, const struct datum *a, const struct datum *b)
{
    for (uint32_t i = 0; i < s->key_count; i++) {
        if (a[i].is_null != b[i].is_null)
            return false;
        if (!a[i].is_null && type_cmp(s->seen->rows->types[i], &a[i], &b[i]) != 0)
            return false;
    }
    return true;
}

/* Sorted input: a row is new if its keys are not those of the row before. */
static int
look_back(struct distinct *s, const struct datum *key, bool *is_new)
{
    *is_new = s->last_key == NULL || !is_same(s, s->last_key, key);
    if (!*is_new)
        return 0;
    arena_reset(&s->last);
    s->last_key = ARENA_ARRAY(&s->last, struct datum, s->key_count + 1);
    for (uint32_t i = 0; i < s->key_count; i++)
        s->last_key[i] = datum_copy(&s->last, &key[i], s->seen->rows->reps[i]);
    return 0;
}

static int
filter(struct exec_node *n, struct distinct *s, struct batch *b, uint32_t *count)
{
    bool sorted = n->plan->u.distinct.sorted;
    struct vec *keys[64];
    struct datum key[ROW_TABLE_KEYS_MAX];
    int rc = 0;

    *count = 0;
    for (uint32_t i = 0; i < s->key_count && rc == 0; i++)
        rc = s->keys != NULL
                 ? vexpr_eval(n->x, s->keys[i], b, b->sel, b->sel_count, &n->scratch, &keys[i])
                 : (keys[i] = &b->cols[i], 0);
    for (uint32_t k = 0; k < b->sel_count && rc == 0; k++) {
        uint32_t r = batch_row(b, k);
        bool is_new;

        for (uint32_t i = 0; i < s->key_count; i++)
            key[i] = vec_get(keys[i], r);
        rc = sorted ? look_back(s, key, &is_new) : look_up(s, key, b, r, &is_new);
        if (rc == 0 && is_new)
            s->sel[(*count)++] = (uint16_t)r;
    }
    return rc;
}

static int
distinct_next(struct exec_node *n, struct batch **out)
{
    struct distinct *s = n->state;

    for (;;) {
        struct batch *b;
        uint32_t count;
        int rc;

        arena_reset(&n->scratch);
        rc = parts_input_batch(&s->input, &b);
        if (rc == ERR_END) {
            row_table_reset(s->seen);
            rc = parts_input_next(&s->input);
            if (rc != 0)
                return rc;
            continue;
        }
        if (rc == 0)
            rc = filter(n, s, b, &count);
        if (rc != 0)
            return rc;
        if (count == 0)
            continue;
        *out = ARENA_NEW(&n->scratch, struct batch);
        **out = *b;
        (*out)->sel = s->sel;
        (*out)->sel_count = count;
        return 0;
    }
}

/* ---- the node ----------------------------------------------------------------------------------
 */

static int
distinct_rescan(struct exec_node *n)
{
    struct distinct *s = n->state;

    row_table_reset(s->seen);
    parts_input_reset(&s->input);
    s->last_key = NULL;
    return exec_node_rescan(n->child[0]);
}

static void
distinct_close(struct exec_node *n)
{
    struct distinct *s = n->state;

    row_table_free(s->seen);
    parts_input_fini(&s->input);
    arena_fini(&s->last);
}

int
distinct_init(struct exec_node *n)
{
    const struct plan_distinct *p = &n->plan->u.distinct;
    const struct plan_node *c = n->child[0]->plan;
    struct distinct *s = ARENA_NEW(&n->x->arena, struct distinct);
    struct plan_column *columns;

    s->key_count = (uint32_t)(p->key_count > 0 ? p->key_count : c->column_count);
    if (s->key_count > 64)
        return DIAG(ERR_LIMIT, "DISTINCT over more than 64 columns");
    columns = ARENA_ARRAY(&n->x->arena, struct plan_column, s->key_count + 1);
    if (p->key_count > 0)
        s->keys = ARENA_ARRAY(&n->x->arena, struct vexpr *, s->key_count);
    for (uint32_t i = 0; i < s->key_count; i++) {
        if (s->keys != NULL)
            s->keys[i] = vexpr_new(n->x, p->keys[i]);
        columns[i].type = s->keys != NULL ? p->keys[i]->type : c->columns[i].type;
    }
    s->seen = row_table_new(&n->x->ctx, columns, s->key_count);
    s->sel = ARENA_ARRAY(&n->x->arena, uint16_t, BATCH_ROWS_MAX);
    s->row = ARENA_ARRAY(&n->x->arena, struct datum, c->column_count + 1);
    parts_input_init(&s->input, n, c->columns, (uint32_t)c->column_count);
    arena_init(&s->last, n->x->ctx.memory);
    n->state = s;
    n->next = distinct_next;
    n->rescan = distinct_rescan;
    n->close = distinct_close;
    return 0;
}
