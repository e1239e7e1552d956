/* Sorting, top-N, DISTINCT.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "engine/sql/exec_int.h"

/* A kept row: its sort keys, then its columns. */
struct sort {
    struct row_list *rows;
    size_t at;
    uint32_t width, key_count;
    struct vexpr **keys;
    uint64_t limit; /* UINT64_MAX: all */
};

struct sort_order {
    const struct sort_key *keys;
    uint32_t count;
};

static int
compare_rows(const void *pa, const void *pb, void *arg)
{
    const struct datum *a = *(const struct datum *const *)pa;
    const struct datum *b = *(const struct datum *const *)pb;
    const struct sort_order *o = arg;

    for (uint32_t i = 0; i < o->count; i++) {
        const struct sort_key *k = &o->keys[i];
        int c;

        if (a[i].is_null || b[i].is_null) {
            if (a[i].is_null == b[i].is_null)
                continue;
            return a[i].is_null == k->nulls_first ? -1 : 1;
        }
        c = type_cmp(k->value->type.oid, &a[i], &b[i]);
        if (c != 0)
            return k->descending ? -c : c;
    }
    return 0;
}

static void
sort_rows(const struct sort *s, const struct sort_key *keys)
{
    struct sort_order o = { keys, s->key_count };

    if (s->rows->count > 1)
        qsort_r(s->rows->rows, s->rows->count, sizeof *s->rows->rows, compare_rows, &o);
}

/* Top-N: once twice as many rows as wanted have gathered, those that are out are forgotten. */
static void
sort_trim(struct sort *s, const struct sort_key *keys)
{
    if (s->limit > 1 << 16 || s->rows->count < 2 * s->limit + 1024)
        return;
    sort_rows(s, keys);
    s->rows->count = s->limit;
}

static int
sort_add(struct exec_node *n, struct sort *s, struct batch *b)
{
    struct vec *keys[64];
    struct datum *row = ARENA_ARRAY(&n->scratch, struct datum, s->width + s->key_count + 1);
    int rc = 0;

    for (uint32_t i = 0; i < s->key_count && rc == 0; i++)
        rc = vexpr_eval(n->x, s->keys[i], b, b->sel, b->sel_count, &n->scratch, &keys[i]);
    for (uint32_t k = 0; k < b->sel_count && rc == 0; k++) {
        uint32_t r = batch_row(b, k);

        for (uint32_t i = 0; i < s->key_count; i++)
            row[i] = vec_get(keys[i], r);
        for (uint32_t i = 0; i < s->width; i++)
            row[s->key_count + i] = vec_get(&b->cols[i], r);
        rc = row_list_add(s->rows, row);
    }
    return rc;
}

static int
sort_fill(struct exec_node *n, struct sort *s)
{
    const struct plan_sort *p = &n->plan->u.sort;
    const struct plan_node *c = n->child[0]->plan;
    struct plan_column *columns =
        ARENA_ARRAY(&n->scratch, struct plan_column, s->width + s->key_count + 1);
    struct batch *b;
    struct datum d;
    int rc = 0;

    s->limit = UINT64_MAX;
    if (p->limit != NULL) {
        rc = eval_scalar(n->x, p->limit, &d);
        if (rc == 0 && !d.is_null && d.i >= 0)
            s->limit = (uint64_t)d.i;
    }
    for (uint32_t i = 0; i < s->key_count; i++)
        columns[i].type = p->keys[i].value->type;
    for (uint32_t i = 0; i < s->width; i++)
        columns[s->key_count + i] = c->columns[i];
    s->rows = row_list_new(n->x, columns, s->width + s->key_count);
    while (rc == 0 && (rc = exec_node_next(n->child[0], &b)) == 0) {
        rc = sort_add(n, s, b);
        sort_trim(s, p->keys);
        arena_reset(&n->scratch);
    }
    if (rc != ERR_END)
        return rc;
    sort_rows(s, p->keys);
    if (s->rows->count > s->limit)
        s->rows->count = s->limit;
    return 0;
}

static int
sort_next(struct exec_node *n, struct batch **out)
{
    const struct plan_node *c = n->child[0]->plan;
    struct sort *s = n->state;
    uint32_t rows = 0;
    struct batch *b;
    int rc = s->rows == NULL ? sort_fill(n, s) : 0;

    if (rc != 0)
        return rc;
    if (s->at == s->rows->count)
        return ERR_END;
    b = batch_for(n, c->columns, s->width);
    while (s->at < s->rows->count && rows < BATCH_ROWS_MAX)
        batch_set_row(b, rows++, s->rows->rows[s->at++] + s->key_count);
    b->row_count = b->sel_count = rows;
    *out = b;
    return 0;
}

static int
sort_rescan(struct exec_node *n)
{
    struct sort *s = n->state;

    row_list_free(s->rows);
    s->rows = NULL;
    s->at = 0;
    return exec_node_rescan(n->child[0]);
}

static void
sort_close(struct exec_node *n)
{
    row_list_free(((struct sort *)n->state)->rows);
}

int
sort_init(struct exec_node *n)
{
    const struct plan_sort *p = &n->plan->u.sort;
    struct sort *s = ARENA_NEW(&n->x->arena, struct sort);

    if (p->key_count > 64)
        return DIAG(ERR_LIMIT, "more than 64 sort keys");
    s->width = (uint32_t)n->child[0]->plan->column_count;
    s->key_count = (uint32_t)p->key_count;
    s->keys = ARENA_ARRAY(&n->x->arena, struct vexpr *, s->key_count + 1);
    for (uint32_t i = 0; i < s->key_count; i++)
        s->keys[i] = vexpr_new(n->x, p->keys[i].value);
    n->state = s;
    n->next = sort_next;
    n->rescan = sort_rescan;
    n->close = sort_close;
    return 0;
}

/* ---- DISTINCT -----------------------------------------------------------------------------------
 */

struct distinct {
    struct row_table *seen;
    struct vexpr **keys;
    uint32_t key_count; /* 0: all columns */
};

static int
distinct_next(struct exec_node *n, struct batch **out)
{
    struct distinct *s = n->state;
    struct batch *b;
    int rc;

    while ((rc = exec_node_next(n->child[0], &b)) == 0) {
        struct vec *keys[64];
        struct datum row[ROW_TABLE_KEYS_MAX];

        *out = ARENA_NEW(&n->scratch, struct batch);
        **out = *b;
        (*out)->sel = ARENA_ARRAY(&n->scratch, uint16_t, BATCH_ROWS_MAX);
        (*out)->sel_count = 0;
        for (uint32_t i = 0; i < s->key_count && rc == 0; i++)
            rc = s->keys != NULL
                     ? vexpr_eval(n->x, s->keys[i], b, b->sel, b->sel_count, &n->scratch, &keys[i])
                     : (keys[i] = &b->cols[i], 0);
        for (uint32_t k = 0; k < b->sel_count && rc == 0; k++) {
            uint32_t r = batch_row(b, k);
            bool found;
            size_t at;

            for (uint32_t i = 0; i < s->key_count; i++)
                row[i] = vec_get(keys[i], r);
            rc = row_table_put(s->seen, row, &at, &found);
            if (rc == 0 && !found)
                (*out)->sel[(*out)->sel_count++] = (uint16_t)r;
        }
        if (rc != 0 || (*out)->sel_count > 0)
            return rc;
        arena_reset(&n->scratch);
    }
    return rc;
}

static int
distinct_rescan(struct exec_node *n)
{
    row_table_reset(((struct distinct *)n->state)->seen);
    return exec_node_rescan(n->child[0]);
}

static void
distinct_close(struct exec_node *n)
{
    row_table_free(((struct distinct *)n->state)->seen);
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
    s->seen = row_table_new(n->x, columns, s->key_count);
    n->state = s;
    n->next = distinct_next;
    n->rescan = distinct_rescan;
    n->close = distinct_close;
    return 0;
}
