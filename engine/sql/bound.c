/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/bound.h"

static int
from_each_expr(struct from *f, int (*fn)(struct expr **e, void *arg), void *arg)
{
    int rc;

    if (f == NULL || f->kind == FROM_REL)
        return 0;
    rc = from_each_expr(f->left, fn, arg);
    if (rc == 0)
        rc = from_each_expr(f->right, fn, arg);
    if (rc == 0 && f->on != NULL)
        rc = fn(&f->on, arg);
    return rc;
}

static int
rte_each_expr(struct rte *r, int (*fn)(struct expr **e, void *arg), void *arg)
{
    int rc = 0;

    if (r->call != NULL)
        rc = fn(&r->call, arg);
    if (rc == 0 && r->as_of_value != NULL)
        rc = fn(&r->as_of_value, arg);
    for (int32_t i = 0; rc == 0 && i < r->row_count; i++)
        for (int32_t k = 0; rc == 0 && k < r->column_count; k++)
            rc = fn(&r->rows[i][k], arg);
    return rc;
}

static int
write_each_expr(struct query *q, int (*fn)(struct expr **e, void *arg), void *arg)
{
    int rc = 0;

    for (int32_t i = 0; rc == 0 && i < q->assignment_count; i++)
        if (q->assignments[i].value != NULL)
            rc = fn(&q->assignments[i].value, arg);
    for (int32_t i = 0; rc == 0 && i < q->conflict_count; i++)
        rc = fn(&q->conflict_set[i].value, arg);
    if (rc == 0 && q->conflict_where != NULL)
        rc = fn(&q->conflict_where, arg);
    for (int32_t i = 0; rc == 0 && i < q->returning_count; i++)
        rc = fn(&q->returning[i].value, arg);
    return rc;
}

int
query_each_expr(struct query *q, int (*fn)(struct expr **e, void *arg), void *arg)
{
    struct expr **parts[] = { &q->where, &q->having, &q->limit, &q->offset };
    int rc = from_each_expr(q->from, fn, arg);

    for (int32_t i = 0; rc == 0 && i < q->rel_count; i++)
        rc = rte_each_expr(q->rels[i], fn, arg);
    for (size_t i = 0; rc == 0 && i < sizeof parts / sizeof parts[0]; i++)
        if (*parts[i] != NULL)
            rc = fn(parts[i], arg);
    for (int32_t i = 0; rc == 0 && i < q->target_count; i++)
        rc = fn(&q->targets[i].value, arg);
    for (int32_t i = 0; rc == 0 && i < q->group_count; i++)
        rc = fn(&q->group[i], arg);
    return rc != 0 ? rc : write_each_expr(q, fn, arg);
}
