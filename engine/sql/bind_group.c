/* Grouped queries: what is neither grouped by nor aggregated must not be asked for.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/bind_int.h"

struct group_check {
    struct binder *binder;
    struct query *query;
    int32_t level; /* how many queries further in we are */
    int rc;
};

static int check_query(struct group_check *c, struct query *q);

/* All columns of the table's primary key are grouped by: its other columns depend on them. */
static bool
grouped_by_key(const struct query *q, int32_t rel)
{
    const struct rte *rte = q->rels[rel];
    const struct cat_index *key = rte->kind == RTE_TABLE ? rte->table->primary : NULL;

    if (key == NULL)
        return false;
    for (uint32_t i = 0; i < key->key_count; i++) {
        bool found = false;

        for (int32_t k = 0; k < q->group_count; k++) {
            const struct expr *g = q->group[k];

            found = found || (g->kind == EXPR_VAR && g->u.var.level == 0 && g->u.var.rel == rel &&
                              g->u.var.column == key->keys[i].column);
        }
        if (!found)
            return false;
    }
    return true;
}

/* A column that depends on those grouped by is grouped by too: that changes no group. */
static void
group_add(struct group_check *c, const struct expr *var)
{
    struct query *q = c->query;
    struct expr **more = ARENA_ARRAY(c->binder->arena, struct expr *, q->group_count + 2);

    memcpy(more, q->group, sizeof *more * (size_t)q->group_count);
    more[q->group_count++] = bind_var(c->binder, q, var->u.var.rel, var->u.var.column, 0, var->at);
    q->group = more;
}

static bool
var_is_grouped(const struct group_check *c, const struct expr *e)
{
    for (int32_t i = 0; i < c->query->group_count; i++) {
        const struct expr *g = c->query->group[i];

        if (g->kind == EXPR_VAR && g->u.var.level == 0 && g->u.var.rel == e->u.var.rel &&
            g->u.var.column == e->u.var.column)
            return true;
    }
    return false;
}

static int
ungrouped(struct group_check *c, const struct expr *e)
{
    const struct rte *rte = c->query->rels[e->u.var.rel];
    const char *column = e->u.var.column >= 0 ? rte->columns[e->u.var.column].name : "tableoid";

    if (c->level > 0)
        return bind_error(c->binder, ERR_GROUPING, e->at,
                          "subquery uses ungrouped column \"%s.%s\" from outer query", rte->alias,
                          column);
    return bind_error(c->binder, ERR_GROUPING, e->at,
                      "column \"%s.%s\" must appear in the GROUP BY clause or be used in an "
                      "aggregate function",
                      rte->alias, column);
}

static int
check_expr(struct expr **child, void *arg)
{
    struct group_check *c = arg;
    struct expr *e = *child;

    for (int32_t i = 0; c->level == 0 && i < c->query->group_count; i++)
        if (expr_equal(c->query->group[i], e))
            return 0;
    if (e->kind == EXPR_AGG && c->level == 0)
        return 0;
    if (e->kind == EXPR_VAR && e->u.var.level == c->level && e->u.var.rel >= 0) {
        if (var_is_grouped(c, e))
            return 0;
        if (!grouped_by_key(c->query, e->u.var.rel))
            return ungrouped(c, e);
        group_add(c, e);
        return 0;
    }
    if (e->kind == EXPR_SUBLINK) {
        int rc = 0;

        if (e->u.sublink.test != NULL)
            rc = check_expr(&e->u.sublink.test, arg);
        if (rc == 0 && e->u.sublink.query->has_outer) {
            c->level++;
            rc = check_query(c, e->u.sublink.query);
            c->level--;
        }
        return rc;
    }
    return expr_each_child(e, check_expr, arg);
}

static int
check_query(struct group_check *c, struct query *q)
{
    int rc = query_each_expr(q, check_expr, c);

    c->level++;
    for (int32_t i = 0; rc == 0 && i < q->rel_count; i++)
        if (q->rels[i]->kind == RTE_SUBQUERY)
            rc = check_query(c, q->rels[i]->query);
    if (rc == 0 && q->left != NULL)
        rc = check_query(c, q->left);
    if (rc == 0 && q->right != NULL)
        rc = check_query(c, q->right);
    c->level--;
    return rc;
}

int
bind_check_groups(struct binder *b, struct query *q)
{
    struct group_check c = { .binder = b, .query = q };
    int rc = 0;

    for (int32_t i = 0; rc == 0 && i < q->target_count; i++)
        rc = check_expr(&q->targets[i].value, &c);
    if (rc == 0 && q->having != NULL)
        rc = check_expr(&q->having, &c);
    return rc;
}
