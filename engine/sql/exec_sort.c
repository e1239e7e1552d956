/* ORDER BY, and the first rows of it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/sql/exec_int.h"

/* A sorted row: the input's columns, then those keys that are none of them. */
struct sort {
    struct sorter *sorter; /* NULL: nothing read yet */
    uint32_t width, row_width;
    struct sorter_key *keys;
    struct plan_column *columns; /* of a sorted row */
    struct vexpr **more;         /* its columns from `width` on */
    struct datum *row;           /* room for one */
};

static int
sort_add(struct exec_node *n, struct sort *s, struct batch *b)
{
    struct vec *more[64];
    int rc = 0;

    for (uint32_t i = s->width; i < s->row_width && rc == 0; i++)
        rc = vexpr_eval(n->x, s->more[i - s->width], b, b->sel, b->sel_count, &n->scratch,
                        &more[i - s->width]);
    for (uint32_t k = 0; k < b->sel_count && rc == 0; k++) {
        uint32_t r = batch_row(b, k);

        for (uint32_t i = 0; i < s->width; i++)
            s->row[i] = vec_get(&b->cols[i], r);
        for (uint32_t i = s->width; i < s->row_width; i++)
            s->row[i] = vec_get(more[i - s->width], r);
        rc = sorter_add(s->sorter, s->row);
    }
    return rc;
}

static int
sort_fill(struct exec_node *n, struct sort *s)
{
    const struct plan_sort *p = &n->plan->u.sort;
    uint64_t limit = UINT64_MAX;
    struct batch *b;
    struct datum d;
    int rc = 0;

    if (p->limit != NULL) {
        rc = eval_scalar(n->x, p->limit, &d);
        if (rc == 0 && !d.is_null && d.i >= 0)
            limit = (uint64_t)d.i;
    }
    if (rc != 0)
        return rc;
    s->sorter = sorter_new(&n->x->ctx, s->columns, s->row_width, s->keys, (uint32_t)p->key_count,
                           limit, &n->x->spilled[n->plan->id]);
    while (rc == 0 && (rc = exec_node_next(n->child[0], &b)) == 0) {
        rc = sort_add(n, s, b);
        arena_reset(&n->scratch);
    }
    return rc != ERR_END ? rc : sorter_finish(s->sorter);
}

static int
sort_next(struct exec_node *n, struct batch **out)
{
    const struct plan_node *c = n->child[0]->plan;
    struct sort *s = n->state;
    uint32_t rows = 0;
    struct batch *b;
    int rc = s->sorter == NULL ? sort_fill(n, s) : 0;
    bool lives = rc == 0 && sorter_is_in_memory(s->sorter);

    if (rc != 0)
        return rc;
    b = batch_for(n, c->columns, s->width);
    for (; rows < BATCH_ROWS_MAX; rows++) {
        const struct datum *row;

        rc = sorter_next(s->sorter, &row);
        if (rc == ERR_END)
            break;
        if (rc != 0)
            return rc;
        for (uint32_t i = 0; i < s->width; i++)
            s->row[i] =
                lives ? row[i] : datum_copy(&n->scratch, &row[i], (enum type_rep)b->cols[i].rep);
        batch_set_row(b, rows, s->row);
    }
    b->row_count = b->sel_count = rows;
    *out = b;
    return rows > 0 ? 0 : ERR_END;
}

static int
sort_rescan(struct exec_node *n)
{
    struct sort *s = n->state;

    sorter_free(s->sorter);
    s->sorter = NULL;
    return exec_node_rescan(n->child[0]);
}

static void
sort_close(struct exec_node *n)
{
    sorter_free(((struct sort *)n->state)->sorter);
}

int
sort_init(struct exec_node *n)
{
    const struct plan_sort *p = &n->plan->u.sort;
    const struct plan_node *c = n->child[0]->plan;
    struct sort *s = ARENA_NEW(&n->x->arena, struct sort);
    struct arena *a = &n->x->arena;

    if (p->key_count > 64)
        return DIAG(ERR_LIMIT, "more than 64 sort keys");
    s->width = s->row_width = (uint32_t)c->column_count;
    s->keys = ARENA_ARRAY(a, struct sorter_key, p->key_count + 1);
    s->more = ARENA_ARRAY(a, struct vexpr *, p->key_count + 1);
    s->columns = ARENA_ARRAY(a, struct plan_column, s->width + (uint32_t)p->key_count + 1);
    s->row = ARENA_ARRAY(a, struct datum, s->width + (uint32_t)p->key_count + 1);
    memcpy(s->columns, c->columns, s->width * sizeof *s->columns);
    for (int32_t i = 0; i < p->key_count; i++) {
        const struct sort_key *k = &p->keys[i];
        struct sorter_key *to = &s->keys[i];

        *to = (struct sorter_key){ (uint32_t)k->value->u.index, k->value->type.oid, k->descending,
                                   k->nulls_first };
        if (k->value->kind == EXPR_COLUMN)
            continue;
        to->column = s->row_width;
        s->columns[s->row_width].type = k->value->type;
        s->more[s->row_width++ - s->width] = vexpr_new(n->x, k->value);
    }
    n->state = s;
    n->next = sort_next;
    n->rescan = sort_rescan;
    n->close = sort_close;
    return 0;
}
