/* UNION, INTERSECT, EXCEPT, and VALUES as a query.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/sql/bind_int.h"

static const char *
set_op_name(enum ast_set_op op)
{
    return op == AST_SETOP_UNION ? "UNION" : op == AST_SETOP_INTERSECT ? "INTERSECT" : "EXCEPT";
}

/* Brings column i of one side to the common type: an untyped literal where it stands, anything else
 * on top of the side's result. */
static int
side_column(struct binder *b, struct query *side, int32_t i, struct sql_type type, const char *what,
            struct expr **project, bool *needs_project)
{
    struct expr **value = &side->targets[i].value;
    bool untyped = (*value)->type.oid == TYPE_UNKNOWN &&
                   ((*value)->kind == EXPR_CONST || (*value)->kind == EXPR_PARAM);
    oid_t from = (*value)->type.oid;
    int rc = 0;

    if (untyped)
        rc = bind_coerce_try(b, value, type, CAST_IMPLICIT);
    *project = expr_new(b->arena, EXPR_COLUMN, (*value)->type, (*value)->at);
    (*project)->u.index = i;
    if (rc == 0 && (*value)->type.oid != type.oid) {
        *needs_project = true;
        rc = bind_coerce_try(b, project, type, CAST_IMPLICIT);
    }
    if (rc == ERR_CANNOT_COERCE)
        rc = bind_error(b, ERR_CANNOT_COERCE, (*value)->at, "%s could not convert type %s to %s",
                        what, type_sql_name(from), type_sql_name(type.oid));
    return rc;
}

static int
set_column(struct binder *b, struct query *q, int32_t i, bool *left_project, bool *right_project)
{
    const char *what = set_op_name(q->set_op);
    const struct expr *l = q->left->targets[i].value, *r = q->right->targets[i].value;
    oid_t types[2] = { l->type.oid, r->type.oid };
    struct sql_type type = { TYPE_TEXT, -1 };
    int32_t bad = 0;
    struct expr *column;
    int rc = cast_common_type(b->funcs, what, types, 2, &type.oid, &bad);

    if (rc != 0)
        return bind_place(b, rc, bad == 0 ? l->at : r->at);
    if (l->type.oid == r->type.oid && l->type.typmod == r->type.typmod)
        type.typmod = l->type.typmod;
    rc = side_column(b, q->left, i, type, what, &q->left_project[i], left_project);
    if (rc == 0)
        rc = side_column(b, q->right, i, type, what, &q->right_project[i], right_project);
    if (rc == 0 && (!q->set_all || q->set_op != AST_SETOP_UNION) && type_get(type.oid)->cmp == NULL)
        rc = bind_error(b, ERR_UNDEFINED_FUNCTION, q->left->targets[i].value->at,
                        "could not identify an equality operator for type %s",
                        type_sql_name(type.oid));
    column = expr_new(b->arena, EXPR_COLUMN, type, q->left->targets[i].value->at);
    column->u.index = i;
    query_add_target(b, q, column, q->left->targets[i].name);
    return rc;
}

int
bind_set_op(struct binder *b, const struct ast_select *s, bool settle)
{
    struct query *q = b->scope->query;
    bool left_project = false, right_project = false;
    int32_t count;
    int rc = bind_query(b, &s->left->node, false, &q->left);

    (void)settle; /* the columns of a set operation always have types */
    q->set_op = s->set_op;
    q->set_all = s->set_all;
    if (rc == 0)
        rc = bind_query(b, &s->right->node, false, &q->right);
    if (rc != 0)
        return rc;
    q->has_outer = q->has_outer || q->left->has_outer || q->right->has_outer;
    count = q->left->visible_count;
    if (count != q->right->visible_count)
        return bind_error(
            b, ERR_SYNTAX,
            q->right->visible_count > 0 ? q->right->targets[0].value->at : s->right->node.at,
            "each %s query must have the same number of columns", set_op_name(s->set_op));
    q->left_project = ARENA_ARRAY(b->arena, struct expr *, count + 1);
    q->right_project = ARENA_ARRAY(b->arena, struct expr *, count + 1);
    for (int32_t i = 0; rc == 0 && i < count; i++)
        rc = set_column(b, q, i, &left_project, &right_project);
    q->visible_count = q->target_count;
    if (!left_project)
        q->left_project = NULL;
    if (!right_project)
        q->right_project = NULL;
    if (rc == 0)
        rc = bind_order(b, s->order_by);
    return rc != 0 ? rc : bind_tail(b, s);
}

/* ---- VALUES -------------------------------------------------------------------------------- */

static int
values_rows(struct binder *b, const struct ast_select *s, struct rte *rte)
{
    int rc = 0;

    rte->row_count = ast_count(s->values);
    rte->rows = ARENA_ARRAY(b->arena, struct expr **, rte->row_count);
    rte->column_count = ast_count(AST_CONST(ast_row, s->values->item[0])->items);
    for (int32_t i = 0; rc == 0 && i < rte->row_count; i++) {
        const struct ast_row *row = AST_CONST(ast_row, s->values->item[i]);

        if (ast_count(row->items) != rte->column_count)
            return bind_error(b, ERR_SYNTAX, row->items->item[0]->at,
                              "VALUES lists must all be the same length");
        rc = bind_list(b, row->items, &rte->rows[i]);
    }
    return rc;
}

int
bind_values(struct binder *b, const struct ast_select *s, bool settle)
{
    struct query *q = b->scope->query;
    struct rte *rte = ARENA_NEW(b->arena, struct rte);
    struct expr **column;
    int rc;

    (void)settle;
    rte->kind = RTE_VALUES;
    rte->alias = "*VALUES*";
    b->scope->clause = CLAUSE_VALUES;
    rc = values_rows(b, s, rte);
    b->scope->clause = CLAUSE_SELECT;
    if (rc != 0)
        return rc;
    rte->columns = ARENA_ARRAY(b->arena, struct rte_column, rte->column_count);
    column = ARENA_ARRAY(b->arena, struct expr *, rte->row_count);
    for (int32_t k = 0; rc == 0 && k < rte->column_count; k++) {
        for (int32_t i = 0; i < rte->row_count; i++)
            column[i] = rte->rows[i][k];
        rc = bind_common(b, "VALUES", column, rte->row_count, &rte->columns[k].type);
        for (int32_t i = 0; i < rte->row_count; i++)
            rte->rows[i][k] = column[i];
        rte->columns[k].name = arena_printf(b->arena, "column%d", k + 1);
    }
    if (rc != 0)
        return rc;
    q->from = from_rel(b, query_add_rel(b, q, rte));
    for (int32_t k = 0; k < rte->column_count; k++)
        query_add_target(b, q, bind_var(b, q, 0, k, 0, rte->rows[0][k]->at), rte->columns[k].name);
    q->visible_count = q->target_count;
    rc = bind_order(b, s->order_by);
    return rc != 0 ? rc : bind_tail(b, s);
}
