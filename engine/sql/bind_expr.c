/* Expressions: one function per kind that needs no file of its own.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/bind_int.h"

int
bind_list(struct binder *b, const struct ast_list *list, struct expr ***out)
{
    int32_t count = ast_count(list);
    int rc = 0;

    *out = ARENA_ARRAY(b->arena, struct expr *, count > 0 ? count : 1);
    for (int32_t i = 0; rc == 0 && i < count; i++)
        rc = bind_expr(b, list->item[i], &(*out)[i]);
    return rc;
}

const char *
bind_clause_name(const struct bind_scope *s)
{
    static const char *const names[] = {
        [CLAUSE_SELECT] = "SELECT",
        [CLAUSE_WHERE] = "WHERE",
        [CLAUSE_JOIN_ON] = "JOIN conditions",
        [CLAUSE_GROUP_BY] = "GROUP BY",
        [CLAUSE_HAVING] = "HAVING",
        [CLAUSE_ORDER_BY] = "ORDER BY",
        [CLAUSE_DISTINCT_ON] = "DISTINCT ON",
        [CLAUSE_LIMIT] = "LIMIT",
        [CLAUSE_VALUES] = "VALUES",
        [CLAUSE_FROM_FUNCTION] = "functions in FROM",
        [CLAUSE_SET] = "UPDATE",
        [CLAUSE_RETURNING] = "RETURNING",
        [CLAUSE_AS_OF] = "AS OF",
        [CLAUSE_FILTER] = "FILTER",
        [CLAUSE_OTHER] = "this place",
    };

    return s->clause == CLAUSE_OTHER && s->what != NULL ? s->what : names[s->clause];
}

int
bind_clause(struct binder *b, const struct ast *e, enum bind_clause clause, struct expr **out)
{
    enum bind_clause before = b->scope->clause;
    int rc;

    b->scope->clause = clause;
    rc = bind_expr(b, e, out);
    b->scope->clause = before;
    return rc;
}

int
bind_condition(struct binder *b, const struct ast *e, enum bind_clause clause, const char *name,
               struct expr **out)
{
    int rc;

    if (e == NULL) {
        *out = NULL;
        return 0;
    }
    rc = bind_clause(b, e, clause, out);
    return rc != 0 ? rc : bind_boolean(b, out, name);
}

/* ---- kinds --------------------------------------------------------------------------------- */

static int
bind_bool_node(struct binder *b, const struct ast_bool *n, struct expr **out)
{
    static const char *const names[] = { "AND", "OR", "NOT" };
    enum expr_kind kind = n->node.kind == AST_AND  ? EXPR_AND
                          : n->node.kind == AST_OR ? EXPR_OR
                                                   : EXPR_NOT;
    struct expr *e =
        expr_with_args(b->arena, kind, TYPE_BOOL_PLAIN, n->node.at, ast_count(n->args));
    int rc = 0;

    for (int32_t i = 0; rc == 0 && i < e->arg_count; i++) {
        rc = bind_expr(b, n->args->item[i], &e->args[i]);
        if (rc == 0)
            rc = bind_boolean(b, &e->args[i], names[kind - EXPR_AND]);
    }
    *out = e;
    return rc;
}

static int
bind_cast(struct binder *b, const struct ast_cast *c, struct expr **out)
{
    struct sql_type type;
    int rc = bind_type_name(b, c->type, &type);

    /* only the cast tells of what type an empty array is */
    if (rc == 0 && c->arg->kind == AST_ARRAY && type_is_array(type_get(type.oid)) &&
        ast_count(AST_CONST(ast_array, c->arg)->items) == 0) {
        *out = expr_with_args(b->arena, EXPR_ARRAY, type, c->arg->at, 0);
        return 0;
    }
    if (rc == 0)
        rc = bind_expr(b, c->arg, out);
    return rc != 0 ? rc : bind_coerce(b, out, type, CAST_EXPLICIT, c->node.at);
}

static int
bind_collate(struct binder *b, const struct ast_collate *c, struct expr **out)
{
    static const char *const known[] = { "default", "C", "POSIX", "ucs_basic" };
    int rc = bind_expr(b, c->arg, out);
    const struct type *type;

    if (rc == 0)
        rc = bind_settle(b, out);
    if (rc != 0)
        return rc;
    type = type_get((*out)->type.oid);
    if (type->category != 'S')
        return bind_error(b, ERR_DATATYPE_MISMATCH, c->node.at,
                          "collations are not supported by type %s", type->sql_name);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(c->name, known[i]) == 0)
            return 0;
    return bind_error(b, ERR_UNDEFINED_OBJECT, c->node.at,
                      "collation \"%s\" for encoding \"UTF8\" does not exist", c->name);
}

/* CASE x WHEN y is CASE WHEN x = y, with x shared. */
static int
case_when(struct binder *b, const struct ast_case *c, struct expr *arg, const struct ast *when,
          struct expr **out)
{
    struct expr *value;
    int rc = bind_expr(b, when, &value);

    (void)c;
    if (rc == 0 && arg != NULL)
        return bind_operator(b, NULL, "=", arg, value, when->at, out);
    *out = value;
    return rc != 0 ? rc : bind_boolean(b, out, "CASE/WHEN");
}

static int
bind_case(struct binder *b, const struct ast_case *c, struct expr **out)
{
    int32_t count = ast_count(c->whens);
    struct expr *e =
        expr_with_args(b->arena, EXPR_CASE, TYPE_TEXT_PLAIN, c->node.at, 2 * count + 1);
    struct expr **results = ARENA_ARRAY(b->arena, struct expr *, count + 1), *arg = NULL;
    int rc = c->arg == NULL ? 0 : bind_expr(b, c->arg, &arg);

    if (rc == 0 && arg != NULL)
        rc = bind_settle(b, &arg);
    if (rc == 0 && arg != NULL)
        bind_share(arg);
    if (rc == 0 && arg != NULL && expr_is_volatile(arg))
        return bind_error(b, ERR_NOT_SUPPORTED, c->node.at,
                          "CASE of a volatile expression is not supported");
    for (int32_t i = 0; rc == 0 && i < count; i++) {
        rc = case_when(b, c, arg, c->whens->item[i], &e->args[2 * i]);
        if (rc == 0)
            rc = bind_expr(b, c->thens->item[i], &results[i + 1]);
    }
    if (rc == 0 && c->otherwise != NULL)
        rc = bind_expr(b, c->otherwise, &results[0]);
    else
        results[0] = expr_const(b, (struct sql_type){ TYPE_UNKNOWN, -1 }, NULL, -1);
    if (rc == 0)
        rc = bind_common(b, "CASE", results, count + 1, &e->type);
    for (int32_t i = 0; i < count; i++)
        e->args[2 * i + 1] = results[i + 1];
    e->args[2 * count] = results[0];
    *out = e;
    return rc;
}

static int
bind_is(struct binder *b, const struct ast_is *n, struct expr **out)
{
    static const char *const names[] = { "", "IS TRUE", "IS FALSE", "IS UNKNOWN" };
    static const int8_t values[] = { 0, 1, 0, -1 };
    bool null_test = n->is == AST_IS_NULL;
    struct expr *e = expr_with_args(b->arena, null_test ? EXPR_IS_NULL : EXPR_IS_BOOL,
                                    TYPE_BOOL_PLAIN, n->node.at, 1);
    int rc;

    e->u.is.negated = n->negated;
    e->u.is.value = values[n->is];
    *out = e;
    if (null_test && n->arg->kind == AST_ROW) {
        /* A row is null when all its members are. */
        const struct ast_row *row = AST_CONST(ast_row, n->arg);
        struct expr *all = NULL;

        rc = 0;
        for (int32_t i = 0; rc == 0 && i < ast_count(row->items); i++) {
            struct expr *one =
                expr_with_args(b->arena, EXPR_IS_NULL, TYPE_BOOL_PLAIN, n->node.at, 1);

            one->u.is.negated = n->negated;
            rc = bind_expr(b, row->items->item[i], &one->args[0]);
            if (rc == 0)
                rc = bind_settle(b, &one->args[0]);
            all = expr_bool(b, EXPR_AND, all, one);
        }
        if (all != NULL)
            *out = all;
        return rc;
    }
    rc = bind_expr(b, n->arg, &e->args[0]);
    if (rc != 0)
        return rc;
    return null_test ? bind_settle(b, &e->args[0]) : bind_boolean(b, &e->args[0], names[n->is]);
}

static int
bind_variadic_node(struct binder *b, const struct ast_args *n, struct expr **out)
{
    enum expr_kind kind = n->node.kind == AST_COALESCE   ? EXPR_COALESCE
                          : n->node.kind == AST_GREATEST ? EXPR_GREATEST
                                                         : EXPR_LEAST;
    const char *name = kind == EXPR_COALESCE   ? "COALESCE"
                       : kind == EXPR_GREATEST ? "GREATEST"
                                               : "LEAST";
    struct expr *e =
        expr_with_args(b->arena, kind, TYPE_TEXT_PLAIN, n->node.at, ast_count(n->args));
    int rc = bind_list(b, n->args, &e->args);

    if (rc == 0)
        rc = bind_common(b, name, e->args, e->arg_count, &e->type);
    if (rc == 0 && kind != EXPR_COALESCE && type_get(e->type.oid)->cmp == NULL)
        rc = bind_error(b, ERR_UNDEFINED_FUNCTION, n->node.at,
                        "could not identify a comparison function for type %s",
                        type_sql_name(e->type.oid));
    *out = e;
    return rc;
}

/* NULLIF(a, b) is CASE WHEN a = b THEN NULL ELSE a. */
static int
bind_nullif(struct binder *b, const struct ast_args *n, struct expr **out)
{
    struct expr *e, **args, *equal;
    int rc = bind_list(b, n->args, &args);

    if (rc == 0)
        bind_share(args[0]);
    if (rc == 0)
        rc = bind_operator_call(b, NULL, "=", args[0], args[1], n->node.at, &equal);
    if (rc != 0)
        return rc;
    args[0] = equal->args[0]; /* of the type in which the two were compared */
    equal = bind_fold(b, equal);
    rc = bind_settle(b, &args[0]);
    if (rc != 0)
        return rc;
    if (expr_is_volatile(args[0]))
        return bind_error(b, ERR_NOT_SUPPORTED, n->node.at,
                          "NULLIF of a volatile expression is not supported");
    e = expr_with_args(b->arena, EXPR_CASE, args[0]->type, n->node.at, 3);
    e->args[0] = equal;
    e->args[1] = expr_const(b, args[0]->type, NULL, -1);
    e->args[2] = args[0];
    *out = e;
    return 0;
}

static int
bind_array(struct binder *b, const struct ast_array *n, struct expr **out)
{
    struct sql_type element;
    struct expr *e =
        expr_with_args(b->arena, EXPR_ARRAY, TYPE_TEXT_PLAIN, n->node.at, ast_count(n->items));
    const struct type *type;
    int rc = bind_list(b, n->items, &e->args);

    if (rc == 0 && e->arg_count == 0) {
        rc = bind_error(b, ERR_INDETERMINATE_DATATYPE, n->node.at,
                        "cannot determine type of empty array");
        diag_hint("Explicitly cast to the desired type, for example ARRAY[]::integer[].");
        return rc;
    }
    if (rc == 0)
        rc = bind_common(b, "ARRAY", e->args, e->arg_count, &element);
    if (rc != 0)
        return rc;
    type = type_get(element.oid);
    if (type_is_array(type))
        return bind_error(b, ERR_NOT_SUPPORTED, n->node.at,
                          "arrays of several dimensions are not supported");
    if (type->array_oid == 0)
        return bind_error(b, ERR_UNDEFINED_OBJECT, n->node.at,
                          "could not find array type for data type %s", type->sql_name);
    e->type = (struct sql_type){ type->array_oid, -1 };
    *out = e;
    return 0;
}

static int
bind_subscript(struct binder *b, const struct ast_subscript *n, struct expr **out)
{
    struct expr *e = expr_with_args(b->arena, EXPR_SUBSCRIPT, TYPE_TEXT_PLAIN, n->node.at, 2);
    const struct type *type;
    int rc = bind_expr(b, n->arg, &e->args[0]);

    if (rc != 0)
        return rc;
    type = type_get(e->args[0]->type.oid);
    if (type->elem_oid == 0 || (!type_is_array(type) && type->category != 'A'))
        return bind_error(b, ERR_DATATYPE_MISMATCH, expr_place(e->args[0]),
                          "cannot subscript type %s because it does not support subscripting",
                          type->sql_name);
    if (n->slice)
        return bind_error(b, ERR_NOT_SUPPORTED, n->node.at, "array slices are not supported");
    rc = bind_expr(b, n->upper, &e->args[1]);
    if (rc == 0)
        rc = bind_coerce(b, &e->args[1], (struct sql_type){ TYPE_INT4, -1 }, CAST_ASSIGNMENT,
                         n->upper->at);
    e->type = (struct sql_type){ type->elem_oid, -1 };
    *out = e;
    return rc;
}

static int
bind_dispatch(struct binder *b, const struct ast *e, struct expr **out)
{
    switch (e->kind) {
    case AST_LITERAL:
        return bind_literal(b, AST_CONST(ast_literal, e), out);
    case AST_PARAM:
        return bind_param(b, AST_CONST(ast_param, e), out);
    case AST_COLUMN:
        return bind_column(b, AST_CONST(ast_column, e), out);
    case AST_OP:
        return bind_op_node(b, AST_CONST(ast_op, e), out);
    case AST_AND:
    case AST_OR:
    case AST_NOT:
        return bind_bool_node(b, AST_CONST(ast_bool, e), out);
    case AST_FUNC:
        return bind_func(b, AST_CONST(ast_func, e), out);
    case AST_CAST:
        return bind_cast(b, AST_CONST(ast_cast, e), out);
    case AST_COLLATE:
        return bind_collate(b, AST_CONST(ast_collate, e), out);
    case AST_CASE:
        return bind_case(b, AST_CONST(ast_case, e), out);
    case AST_SUBLINK:
        return bind_sublink(b, AST_CONST(ast_sublink, e), out);
    case AST_IN_LIST:
        return bind_in(b, AST_CONST(ast_in, e), out);
    case AST_BETWEEN:
        return bind_between(b, AST_CONST(ast_between, e), out);
    case AST_LIKE:
        return bind_like(b, AST_CONST(ast_like, e), out);
    case AST_IS:
        return bind_is(b, AST_CONST(ast_is, e), out);
    case AST_DISTINCT:
        return bind_distinct(b, AST_CONST(ast_distinct, e), out);
    case AST_ANY_ARRAY:
        return bind_any(b, AST_CONST(ast_any, e), out);
    case AST_ARRAY:
        return bind_array(b, AST_CONST(ast_array, e), out);
    case AST_SUBSCRIPT:
        return bind_subscript(b, AST_CONST(ast_subscript, e), out);
    case AST_COALESCE:
    case AST_GREATEST:
    case AST_LEAST:
        return bind_variadic_node(b, AST_CONST(ast_args, e), out);
    case AST_NULLIF:
        return bind_nullif(b, AST_CONST(ast_args, e), out);
    case AST_VALUE_FUNC:
        return bind_value_func(b, AST_CONST(ast_value_func, e), out);
    case AST_SET_DEFAULT:
        return bind_error(b, ERR_SYNTAX, e->at, "DEFAULT is not allowed in this context");
    case AST_ROW:
        return bind_error(b, ERR_NOT_SUPPORTED, e->at, "row values are not supported here");
    case AST_FIELD:
        return bind_error(b, ERR_NOT_SUPPORTED, e->at, "composite types are not supported");
    default:
        return bind_error(b, ERR_NOT_SUPPORTED, e->at, "this expression is not supported");
    }
}

int
bind_expr(struct binder *b, const struct ast *e, struct expr **out)
{
    int rc = bind_deeper(b);

    *out = NULL;
    if (rc != 0)
        return rc;
    rc = bind_dispatch(b, e, out);
    bind_shallower(b);
    return rc;
}
