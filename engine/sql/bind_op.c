/* Operators, and what is written with keywords and means operators.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/bind_int.h"

/* x AND y, x OR y; x may be NULL. A chain becomes one node. */
struct expr *
expr_bool(struct binder *b, enum expr_kind kind, struct expr *x, struct expr *y)
{
    struct expr *e;
    int32_t count;

    if (x == NULL || y == NULL)
        return x == NULL ? y : x;
    count = x->kind == kind ? x->arg_count + 1 : 2;
    e = expr_with_args(b->arena, kind, TYPE_BOOL_PLAIN, x->at, count);
    for (int32_t i = 0; i + 1 < count; i++)
        e->args[i] = x->kind == kind ? x->args[i] : x;
    e->args[count - 1] = y;
    return e;
}

struct expr *
expr_not(struct binder *b, struct expr *x)
{
    struct expr *e = expr_with_args(b->arena, EXPR_NOT, TYPE_BOOL_PLAIN, x->at, 1);

    e->args[0] = x;
    return e;
}

/* Arguments to the types that the match asks for. */
static int
coerce_operands(struct binder *b, const struct func_match *m, struct expr **args)
{
    for (int32_t i = 0; i < m->arg_count; i++) {
        int rc = bind_coerce(b, &args[i], (struct sql_type){ m->args[i], -1 }, CAST_IMPLICIT,
                             args[i]->at);

        if (rc != 0)
            return rc;
    }
    return 0;
}

int
bind_operator_call(struct binder *b, const char *schema, const char *op, struct expr *left,
                   struct expr *right, int32_t at, struct expr **out)
{
    int32_t count = left == NULL ? 1 : 2;
    struct func_match m;
    struct expr *e;
    int rc;

    if (schema != NULL && strcmp(schema, "pg_catalog") != 0)
        return bind_error(b, ERR_UNDEFINED_SCHEMA, at, "schema \"%s\" does not exist", schema);
    rc =
        op_resolve(b->funcs, slice_str(op), left == NULL ? 0 : left->type.oid, right->type.oid, &m);
    if (rc != 0)
        return bind_place(b, rc, at);
    e = expr_with_args(b->arena, EXPR_FUNC, (struct sql_type){ m.result, -1 }, at, count);
    if (left != NULL)
        e->args[0] = left;
    e->args[count - 1] = right;
    e->u.call.func = m.func;
    e->u.call.op = m.op;
    rc = coerce_operands(b, &m, e->args);
    if ((m.func->flags & FUNC_VOLATILE) != 0)
        b->scope->query->is_volatile = true;
    *out = e;
    return rc;
}

int
bind_operator(struct binder *b, const char *schema, const char *op, struct expr *left,
              struct expr *right, int32_t at, struct expr **out)
{
    int rc = bind_operator_call(b, schema, op, left, right, at, out);

    if (rc == 0)
        *out = bind_fold(b, *out);
    return rc;
}

/* ---- rows ---------------------------------------------------------------------------------- */

static int
row_order(struct binder *b, const char *op, struct expr **left, struct expr **right, int32_t count,
          int32_t at, struct expr **out)
{
    char strict[2] = { op[0], '\0' };
    int rc = 0;

    *out = NULL;
    /* From the last pair: a < b OR (a = b AND rest); only the last pair asks for <=. */
    for (int32_t i = count - 1; rc == 0 && i >= 0; i--) {
        struct expr *less, *equal;

        rc = bind_operator(b, NULL, i == count - 1 ? op : strict, left[i], right[i], at, &less);
        if (rc == 0 && *out != NULL) {
            rc = bind_operator(b, NULL, "=", left[i], right[i], at, &equal);
            if (rc == 0)
                less = expr_bool(b, EXPR_OR, less, expr_bool(b, EXPR_AND, equal, *out));
        }
        if (rc == 0)
            *out = less;
    }
    return rc;
}

int
bind_row_compare(struct binder *b, const char *op, struct expr **left, struct expr **right,
                 int32_t count, int32_t at, struct expr **out)
{
    bool all = strcmp(op, "=") == 0, any = strcmp(op, "<>") == 0;
    int rc = 0;

    *out = NULL;
    if (count == 1)
        return bind_operator(b, NULL, op, left[0], right[0], at, out);
    if (!all && !any) {
        if (strcmp(op, "<") != 0 && strcmp(op, "<=") != 0 && strcmp(op, ">") != 0 &&
            strcmp(op, ">=") != 0)
            return bind_error(b, ERR_NOT_SUPPORTED, at, "operator %s is not supported between rows",
                              op);
        return row_order(b, op, left, right, count, at, out);
    }
    for (int32_t i = 0; rc == 0 && i < count; i++) {
        struct expr *one;

        rc = bind_operator(b, NULL, op, left[i], right[i], at, &one);
        if (rc == 0)
            *out = expr_bool(b, all ? EXPR_AND : EXPR_OR, *out, one);
    }
    return rc;
}

static int
bind_row_op(struct binder *b, const char *op, const struct ast_row *l, const struct ast_row *r,
            int32_t at, struct expr **out)
{
    struct expr **left, **right;
    int rc;

    if (ast_count(l->items) != ast_count(r->items))
        return bind_error(b, ERR_SYNTAX, at, "unequal number of entries in row expressions");
    if (ast_count(l->items) == 0)
        return bind_error(b, ERR_NOT_SUPPORTED, at, "cannot compare rows of zero length");
    rc = bind_list(b, l->items, &left);
    if (rc == 0)
        rc = bind_list(b, r->items, &right);
    return rc != 0 ? rc : bind_row_compare(b, op, left, right, ast_count(l->items), at, out);
}

int
bind_op_node(struct binder *b, const struct ast_op *o, struct expr **out)
{
    struct expr *left = NULL, *right;
    int rc;

    if (o->left != NULL && o->left->kind == AST_ROW && o->right->kind == AST_ROW)
        return bind_row_op(b, o->op, AST_CONST(ast_row, o->left), AST_CONST(ast_row, o->right),
                           o->node.at, out);
    rc = o->left == NULL ? 0 : bind_expr(b, o->left, &left);
    if (rc == 0)
        rc = bind_expr(b, o->right, &right);
    return rc != 0 ? rc : bind_operator(b, o->schema, o->op, left, right, o->node.at, out);
}

/* ---- LIKE, BETWEEN, DISTINCT ----------------------------------------------------------------- */

int
bind_like(struct binder *b, const struct ast_like *l, struct expr **out)
{
    static const char *const ops[][2] = { { "~~", "!~~" }, { "~~*", "!~~*" }, { "~", "!~" } };
    bool similar = l->like == AST_LIKE_SIMILAR;
    struct expr *arg, *args[2] = { NULL, NULL };
    int32_t count = l->escape == NULL ? 1 : 2;
    int rc = similar ? bind_error(b, ERR_NOT_SUPPORTED, l->node.at, "SIMILAR TO is not supported")
                     : bind_expr(b, l->arg, &arg);

    if (rc == 0)
        rc = bind_expr(b, l->pattern, &args[0]);
    if (rc == 0 && l->escape != NULL)
        rc = bind_expr(b, l->escape, &args[1]);
    if (rc == 0 && l->escape != NULL)
        rc = bind_call(b, "like_escape", args, count, l->node.at, &args[0]);
    return rc != 0
               ? rc
               : bind_operator(b, NULL, ops[l->like][l->negated], arg, args[0], l->node.at, out);
}

int
bind_between(struct binder *b, const struct ast_between *n, struct expr **out)
{
    struct expr *x, *low, *high, *above, *below, *way[2];
    int rc = bind_expr(b, n->arg, &x);

    if (rc == 0)
        rc = bind_expr(b, n->low, &low);
    if (rc == 0)
        rc = bind_expr(b, n->high, &high);
    if (rc == 0)
        bind_share(x);
    if (rc == 0 && expr_is_volatile(x))
        return bind_error(b, ERR_NOT_SUPPORTED, n->node.at,
                          "BETWEEN of a volatile expression is not supported");
    for (int i = 0; rc == 0 && i < (n->symmetric ? 2 : 1); i++) {
        rc = bind_operator(b, NULL, n->negated ? "<" : ">=", x, i == 0 ? low : high, n->node.at,
                           &above);
        if (rc == 0)
            rc = bind_operator(b, NULL, n->negated ? ">" : "<=", x, i == 0 ? high : low, n->node.at,
                               &below);
        if (rc == 0)
            way[i] = expr_bool(b, n->negated ? EXPR_OR : EXPR_AND, above, below);
    }
    if (rc == 0)
        *out =
            n->symmetric ? expr_bool(b, n->negated ? EXPR_AND : EXPR_OR, way[0], way[1]) : way[0];
    return rc;
}

static bool
is_null_constant(const struct expr *e)
{
    return e->kind == EXPR_CONST && e->u.constant.value == NULL;
}

int
bind_distinct(struct binder *b, const struct ast_distinct *n, struct expr **out)
{
    struct expr *left, *right, *equal, *e;
    int rc = bind_expr(b, n->left, &left);

    if (rc == 0)
        rc = bind_expr(b, n->right, &right);
    if (rc == 0 && (is_null_constant(left) || is_null_constant(right))) {
        struct expr *x = is_null_constant(right) ? left : right;

        rc = bind_settle(b, &x);
        e = expr_with_args(b->arena, EXPR_IS_NULL, TYPE_BOOL_PLAIN, n->node.at, 1);
        e->args[0] = x;
        e->u.is.negated = !n->negated;
        *out = e;
        return rc;
    }
    if (rc == 0)
        rc = bind_operator(b, NULL, "=", left, right, n->node.at, &equal);
    if (rc != 0)
        return rc;
    e = expr_with_args(b->arena, EXPR_DISTINCT, TYPE_BOOL_PLAIN, n->node.at, 2);
    if (equal->kind != EXPR_FUNC) { /* folded: neither side is null */
        *out = n->negated ? equal : expr_not(b, equal);
        return 0;
    }
    e->args = equal->args;
    e->u.op.func = equal->u.func;
    e->u.op.negated = n->negated;
    *out = e;
    return 0;
}

/* ---- IN and ANY ------------------------------------------------------------------------------ */

static bool
is_list_member(const struct expr *e)
{
    return e->kind == EXPR_CONST || e->kind == EXPR_PARAM || e->kind == EXPR_CAST_IO ||
           (e->kind == EXPR_FUNC && expr_is_constant(e) && !expr_is_volatile(e));
}

/* x = a OR x = b ..., or x <> a AND x <> b ... */
static int
in_as_operators(struct binder *b, struct expr *x, struct expr **list, int32_t count, bool negated,
                int32_t at, struct expr **out)
{
    enum expr_kind kind = negated ? EXPR_AND : EXPR_OR;
    struct expr_list all = { 0 };
    int rc = 0;

    if (expr_is_volatile(x) && count > 1)
        return bind_error(b, ERR_NOT_SUPPORTED, at, "IN of a volatile expression is not supported");
    for (int32_t i = 0; rc == 0 && i < count; i++) {
        struct expr *one;

        rc = bind_operator(b, NULL, negated ? "<>" : "=", x, list[i], at, &one);
        if (rc == 0)
            expr_list_add(b->arena, &all, kind, one);
    }
    *out = expr_list_finish(b->arena, &all, kind);
    return rc;
}

/* x in constants of one type: one node. *out NULL when that cannot be. */
static int
in_as_list(struct binder *b, struct expr *x, struct expr **list, int32_t count, bool negated,
           int32_t at, struct expr **out)
{
    oid_t *types = ARENA_ARRAY(b->arena, oid_t, count + 1), common;
    struct func_match m;
    struct expr *e;
    int rc = 0;

    *out = NULL;
    types[0] = x->type.oid;
    for (int32_t i = 0; i < count; i++) {
        if (!is_list_member(list[i]))
            return 0;
        types[i + 1] = list[i]->type.oid;
    }
    if (count < 2 || cast_common_type(b->funcs, "IN", types, count + 1, &common, NULL) != 0 ||
        op_resolve(b->funcs, slice_str("="), x->type.oid, common, &m) != 0) {
        diag_clear();
        return 0;
    }
    e = expr_with_args(b->arena, EXPR_IN_LIST, TYPE_BOOL_PLAIN, at, count + 1);
    e->args[0] = x;
    for (int32_t i = 0; i < count; i++)
        e->args[i + 1] = list[i];
    rc = bind_coerce(b, &e->args[0], (struct sql_type){ m.args[0], -1 }, CAST_IMPLICIT, at);
    for (int32_t i = 0; rc == 0 && i < count; i++)
        rc = bind_coerce(b, &e->args[i + 1], (struct sql_type){ m.args[1], -1 }, CAST_IMPLICIT, at);
    e->u.op.func = m.func;
    e->u.op.negated = negated;
    *out = e;
    return rc;
}

static int
in_rows(struct binder *b, const struct ast_in *n, struct expr **out)
{
    enum expr_kind kind = n->negated ? EXPR_AND : EXPR_OR;
    struct expr_list all = { 0 };
    int rc = 0;

    for (int32_t i = 0; rc == 0 && i < ast_count(n->list); i++) {
        struct expr *one;

        if (n->list->item[i]->kind != AST_ROW)
            return bind_error(b, ERR_DATATYPE_MISMATCH, n->list->item[i]->at,
                              "a row can only be compared with a row");
        rc = bind_row_op(b, n->negated ? "<>" : "=", AST_CONST(ast_row, n->arg),
                         AST_CONST(ast_row, n->list->item[i]), n->node.at, &one);
        if (rc == 0)
            expr_list_add(b->arena, &all, kind, one);
    }
    *out = expr_list_finish(b->arena, &all, kind);
    return rc;
}

int
bind_in(struct binder *b, const struct ast_in *n, struct expr **out)
{
    struct expr *x, **list;
    int32_t count = ast_count(n->list);
    int rc;

    if (n->arg->kind == AST_ROW)
        return in_rows(b, n, out);
    rc = bind_expr(b, n->arg, &x);
    if (rc == 0)
        rc = bind_list(b, n->list, &list);
    if (rc == 0)
        bind_share(x);
    if (rc == 0)
        rc = in_as_list(b, x, list, count, n->negated, n->node.at, out);
    if (rc == 0 && *out == NULL)
        rc = in_as_operators(b, x, list, count, n->negated, n->node.at, out);
    return rc;
}

/* An untyped array takes its type from what it is compared with. */
static int
any_array_type(struct binder *b, struct expr **left, struct expr **array, int32_t at)
{
    const struct type *type;
    int rc;

    if ((*array)->type.oid != TYPE_UNKNOWN)
        return 0;
    rc = bind_settle(b, left);
    if (rc != 0)
        return rc;
    type = type_get((*left)->type.oid);
    if (type->array_oid == 0)
        return bind_error(b, ERR_UNDEFINED_OBJECT, at, "could not find array type for data type %s",
                          type->sql_name);
    return bind_coerce(b, array, (struct sql_type){ type->array_oid, -1 }, CAST_IMPLICIT, at);
}

int
bind_any(struct binder *b, const struct ast_any *n, struct expr **out)
{
    bool in = !n->all && strcmp(n->op, "=") == 0, not_in = n->all && strcmp(n->op, "<>") == 0;
    struct expr *left, *array, *e;
    const struct type *type;
    struct func_match m;
    int rc = bind_expr(b, n->left, &left);

    if (rc == 0)
        rc = bind_expr(b, n->array, &array);
    if (rc == 0)
        rc = any_array_type(b, &left, &array, n->node.at);
    if (rc != 0)
        return rc;
    if (array->kind == EXPR_ARRAY && (in || not_in)) {
        rc = in_as_list(b, left, array->args, array->arg_count, not_in, n->node.at, out);
        if (rc != 0 || *out != NULL)
            return rc;
    }
    type = type_get(array->type.oid);
    if (type->elem_oid == 0 || type->category != 'A')
        return bind_error(b, ERR_WRONG_OBJECT_TYPE, n->node.at,
                          "op ANY/ALL (array) requires array on right side");
    rc = op_resolve(b->funcs, slice_str(n->op), left->type.oid, type->elem_oid, &m);
    if (rc != 0)
        return bind_place(b, rc, n->node.at);
    if (m.result != TYPE_BOOL)
        return bind_error(b, ERR_WRONG_OBJECT_TYPE, n->node.at,
                          "op ANY/ALL (array) requires operator to yield boolean");
    if (m.args[1] != type->elem_oid &&
        cast_find(b->funcs, type->elem_oid, m.args[1], CAST_IMPLICIT).kind != CAST_RELABEL)
        return bind_error(b, ERR_NOT_SUPPORTED, n->node.at,
                          "a cast of the array's elements is not supported here");
    e = expr_with_args(b->arena, EXPR_ANY_ARRAY, TYPE_BOOL_PLAIN, n->node.at, 2);
    e->args[0] = left;
    e->args[1] = array;
    e->u.op.func = m.func;
    e->u.op.negated = n->all;
    *out = e;
    return bind_coerce(b, &e->args[0], (struct sql_type){ m.args[0], -1 }, CAST_IMPLICIT,
                       n->node.at);
}

/* ---- queries in expressions ------------------------------------------------------------------ */

/* left op ANY (query): the test compares the left side with the columns of a row of the query,
 * which are EXPR_VARs of entry SUBLINK_REL. */
static int
sublink_test(struct binder *b, const struct ast_sublink *n, const struct query *q,
             struct expr **out)
{
    bool row = n->left->kind == AST_ROW;
    int32_t count = row ? ast_count(AST_CONST(ast_row, n->left)->items) : 1;
    struct expr *one, **left = &one, **right;
    int rc;

    if (n->op_schema != NULL && strcmp(n->op_schema, "pg_catalog") != 0)
        return bind_error(b, ERR_UNDEFINED_SCHEMA, n->node.at, "schema \"%s\" does not exist",
                          n->op_schema);
    rc =
        row ? bind_list(b, AST_CONST(ast_row, n->left)->items, &left) : bind_expr(b, n->left, &one);
    if (rc != 0)
        return rc;
    if (count != q->visible_count)
        return bind_error(b, ERR_SYNTAX, n->node.at, "subquery has too %s columns",
                          count < q->visible_count ? "many" : "few");
    right = ARENA_ARRAY(b->arena, struct expr *, count + 1);
    for (int32_t i = 0; i < count; i++) {
        right[i] = expr_new(b->arena, EXPR_VAR, q->targets[i].value->type, n->node.at);
        right[i]->u.var.rel = SUBLINK_REL;
        right[i]->u.var.column = i;
    }
    rc = bind_row_compare(b, n->op, left, right, count, n->node.at, out);
    if (rc == 0 && (*out)->type.oid != TYPE_BOOL)
        rc = bind_error(b, ERR_DATATYPE_MISMATCH, n->node.at,
                        "operator %s must return type boolean, not type %s", n->op,
                        type_sql_name((*out)->type.oid));
    return rc;
}

int
bind_sublink(struct binder *b, const struct ast_sublink *n, struct expr **out)
{
    static const enum subplan_kind kinds[] = { SUBPLAN_SCALAR, SUBPLAN_EXISTS, SUBPLAN_ANY,
                                               SUBPLAN_ALL, SUBPLAN_ARRAY };
    struct expr *e = expr_new(b->arena, EXPR_SUBLINK, TYPE_BOOL_PLAIN, n->node.at);
    bool one_column = n->sublink == AST_SUBLINK_SCALAR || n->sublink == AST_SUBLINK_ARRAY;
    struct query *q;
    int rc;

    *out = e;
    if (b->scope->clause == CLAUSE_OTHER)
        return bind_error(b, ERR_NOT_SUPPORTED, n->node.at, "cannot use subquery in %s",
                          bind_clause_name(b->scope));
    rc = bind_query(b, n->query, true, &q);
    if (rc != 0)
        return rc;
    if (one_column && q->visible_count != 1)
        return bind_error(b, ERR_SYNTAX, n->node.at, "subquery must return only one column");
    e->u.sublink.kind = kinds[n->sublink];
    e->u.sublink.query = q;
    b->scope->query->is_volatile = b->scope->query->is_volatile || q->is_volatile;
    if (n->sublink == AST_SUBLINK_SCALAR)
        e->type = q->targets[0].value->type;
    if (n->sublink == AST_SUBLINK_ARRAY) {
        oid_t array = type_get(q->targets[0].value->type.oid)->array_oid;

        if (array == 0)
            return bind_error(b, ERR_UNDEFINED_OBJECT, n->node.at,
                              "could not find array type for data type %s",
                              type_sql_name(q->targets[0].value->type.oid));
        e->type = (struct sql_type){ array, -1 };
    }
    if (n->sublink == AST_SUBLINK_ANY || n->sublink == AST_SUBLINK_ALL)
        rc = sublink_test(b, n, q, &e->u.sublink.test);
    return rc;
}
