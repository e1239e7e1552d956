/* Nodes of expressions, made for the grammar's actions.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/sql/parse_int.h"

struct ast *
node_new(struct parser *p, enum ast_kind kind, size_t size, int32_t at)
{
    struct ast *node = arena_zalloc(p->arena, size);

    node->kind = kind;
    node->at = at;
    return node;
}

struct ast_list *
list_add(struct parser *p, struct ast_list *list, void *item)
{
    if (list == NULL)
        list = ARENA_NEW(p->arena, struct ast_list);
    if (list->count == list->capacity) {
        int32_t capacity = list->capacity == 0 ? 2 : 2 * list->capacity;
        struct ast **items = arena_alloc(p->arena, sizeof *items * (size_t)capacity);

        if (list->count > 0)
            memcpy(items, list->item, sizeof *items * (size_t)list->count);
        list->item = items;
        list->capacity = capacity;
    }
    list->item[list->count++] = item;
    return list;
}

struct ast_list *
list_one(struct parser *p, void *item)
{
    return list_add(p, NULL, item);
}

struct ast_list *
list_join(struct parser *p, struct ast_list *a, struct ast_list *b)
{
    for (int32_t i = 0; i < ast_count(b); i++)
        a = list_add(p, a, b->item[i]);
    return a;
}

static const char *
list_name(const struct ast_list *list, int32_t i)
{
    return AST_CONST(ast_name, list->item[i])->name;
}

struct ast *
node_name(struct parser *p, const char *name, int32_t at)
{
    struct ast_name *n = NODE(p, AST_NAME, ast_name, at);

    n->name = name;
    return &n->node;
}

/* ---- literals ------------------------------------------------------------------------------ */

/* Which lifted literal (from 1) begins at the offset; 0: none. */
static int32_t
lifted_at(const struct parser *p, int32_t at)
{
    int32_t low = 0, high = p->normal == NULL ? 0 : p->normal->lifted_count;

    while (low < high) {
        int32_t middle = (low + high) / 2;

        if (p->normal->lifted[middle].at == at)
            return middle + 1;
        if (p->normal->lifted[middle].at < at)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

struct ast *
node_literal(struct parser *p, enum ast_literal_type type, struct slice text, struct sql_loc loc)
{
    struct ast_literal *l = NODE(p, AST_LITERAL, ast_literal, loc.at);

    l->type = type;
    l->text = text;
    l->end = loc.end;
    l->lifted = lifted_at(p, loc.at);
    return &l->node;
}

struct ast *
node_int(struct parser *p, int64_t v, struct sql_loc loc)
{
    struct ast *n = node_literal(p, AST_LIT_INT, slice(NULL, 0), loc);

    AST_AS(ast_literal, n)->integer = v;
    return n;
}

struct ast *
node_bool_literal(struct parser *p, bool v, struct sql_loc loc)
{
    struct ast *n = node_literal(p, AST_LIT_BOOL, slice(NULL, 0), loc);

    AST_AS(ast_literal, n)->boolean = v;
    return n;
}

struct ast *
node_param(struct parser *p, int64_t number, int32_t at)
{
    struct ast_param *n = NODE(p, AST_PARAM, ast_param, at);

    n->number = (int32_t)number;
    return &n->node;
}

/* A sign before a number is part of it, so that the smallest integer can be written. */
struct ast *
node_minus(struct parser *p, struct ast *arg, int32_t at)
{
    struct ast_literal *l = AST_AS(ast_literal, arg);

    if (arg->kind != AST_LITERAL || l->lifted != 0)
        return node_op(p, "-", NULL, arg, at);
    if (l->type == AST_LIT_INT) {
        l->integer = -l->integer; /* never INT64_MIN: the lexer gives no such number */
    } else if (l->type == AST_LIT_NUMERIC && l->text.data[0] != '-') {
        const char *minimum = "-9223372036854775808";
        char *text = arena_printf(p->arena, "-%s", (const char *)l->text.data);

        l->text = slice_str(text);
        if (strcmp(text, minimum) == 0) {
            l->type = AST_LIT_INT;
            l->integer = INT64_MIN;
        }
    } else {
        return node_op(p, "-", NULL, arg, at);
    }
    l->node.at = at;
    return arg;
}

/* ---- operators ----------------------------------------------------------------------------- */

struct ast *
node_op(struct parser *p, const char *op, struct ast *left, struct ast *right, int32_t at)
{
    struct ast_op *n = NODE(p, AST_OP, ast_op, at);

    n->op = op;
    n->left = left;
    n->right = right;
    return &n->node;
}

struct ast *
node_op_schema(struct parser *p, const struct ast_list *op, struct ast *left, struct ast *right,
               int32_t at)
{
    struct ast *n = node_op(p, list_name(op, op->count - 1), left, right, at);

    if (op->count > 1)
        AST_AS(ast_op, n)->schema = list_name(op, op->count - 2);
    return n;
}

/* Chains of one kind are one node with many arguments. NOT has its argument in `left`. */
struct ast *
node_bool(struct parser *p, enum ast_kind kind, struct ast *left, struct ast *right, int32_t at)
{
    struct ast_bool *n;

    if (kind != AST_NOT && left->kind == kind) {
        n = AST_AS(ast_bool, left);
        n->args = list_add(p, n->args, right);
        return left;
    }
    n = NODE(p, kind, ast_bool, at);
    n->args = list_add(p, NULL, left);
    if (right != NULL)
        n->args = list_add(p, n->args, right);
    return &n->node;
}

struct ast *
node_like(struct parser *p, enum ast_like_kind kind, struct ast *arg, struct ast *pattern,
          struct ast *escape, bool negated, int32_t at)
{
    struct ast_like *n = NODE(p, AST_LIKE, ast_like, at);

    n->like = kind;
    n->arg = arg;
    n->pattern = pattern;
    n->escape = escape;
    n->negated = negated;
    return &n->node;
}

struct ast *
node_is(struct parser *p, enum ast_is_kind is, struct ast *arg, bool negated, int32_t at)
{
    struct ast_is *n = NODE(p, AST_IS, ast_is, at);

    n->is = is;
    n->arg = arg;
    n->negated = negated;
    return &n->node;
}

struct ast *
node_distinct(struct parser *p, struct ast *left, struct ast *right, bool negated, int32_t at)
{
    struct ast_distinct *n = NODE(p, AST_DISTINCT, ast_distinct, at);

    n->left = left;
    n->right = right;
    n->negated = negated;
    return &n->node;
}

struct ast *
node_between(struct parser *p, struct ast *arg, struct ast *low, struct ast *high, bool negated,
             bool symmetric, int32_t at)
{
    struct ast_between *n = NODE(p, AST_BETWEEN, ast_between, at);

    n->arg = arg;
    n->low = low;
    n->high = high;
    n->negated = negated;
    n->symmetric = symmetric;
    return &n->node;
}

struct ast *
node_any(struct parser *p, struct ast *left, const struct ast_list *op, struct ast *array, bool all,
         int32_t at)
{
    struct ast_any *n = NODE(p, AST_ANY_ARRAY, ast_any, at);

    n->op = list_name(op, op->count - 1);
    n->schema = op->count > 1 ? list_name(op, op->count - 2) : NULL;
    n->left = left;
    n->array = array;
    n->all = all;
    return &n->node;
}

/* ---- queries in expressions ---------------------------------------------------------------- */

struct ast *
node_sublink(struct parser *p, enum ast_sublink_kind kind, struct ast *left,
             const struct ast_list *op, struct ast *query, int32_t at)
{
    struct ast_sublink *n = NODE(p, AST_SUBLINK, ast_sublink, at);

    n->sublink = kind;
    n->left = left;
    n->query = query;
    if (op != NULL) {
        n->op = list_name(op, op->count - 1);
        n->op_schema = op->count > 1 ? list_name(op, op->count - 2) : NULL;
    }
    return &n->node;
}

struct ast *
node_in_any(struct parser *p, struct ast *arg, struct ast *operand, bool negated, int32_t at)
{
    struct ast_in *n;
    struct ast *s;

    if (operand->kind == AST_ROW) {
        n = NODE(p, AST_IN_LIST, ast_in, at);
        n->arg = arg;
        n->list = AST_AS(ast_row, operand)->items;
        n->negated = negated;
        return &n->node;
    }
    s = node_sublink(p, AST_SUBLINK_ANY, arg, NULL, operand, at);
    AST_AS(ast_sublink, s)->op = "=";
    AST_AS(ast_sublink, s)->is_in = true;
    return negated ? node_bool(p, AST_NOT, s, NULL, at) : s;
}

/* ---- calls and casts ----------------------------------------------------------------------- */

struct ast *
node_func(struct parser *p, const char *schema, const char *name, struct ast_list *args, int32_t at)
{
    struct ast_func *n = NODE(p, AST_FUNC, ast_func, at);

    n->schema = schema;
    n->name = name;
    n->args = args;
    return &n->node;
}

struct ast *
node_func_names(struct parser *p, const struct ast_list *names, struct ast_list *args, int32_t at)
{
    return node_func(p, names->count > 1 ? list_name(names, names->count - 2) : NULL,
                     list_name(names, names->count - 1), args, at);
}

/* The names of a.b.c; NULL after an error: a subscript or a star is no part of a name. */
struct ast_list *
node_func_path(struct parser *p, const char *first, const struct ast_list *path, int32_t at)
{
    struct ast_list *names = list_one(p, node_name(p, first, at));

    for (int32_t i = 0; i < path->count; i++) {
        struct ast *e = path->item[i];

        if (e->kind != AST_NAME || AST_CONST(ast_name, e)->name == NULL) {
            p->error = lexer_error(&p->lexer, "syntax error", e->at, e->at + 1);
            return NULL;
        }
        names = list_add(p, names, e);
    }
    if (names->count > 3) {
        parser_fail(p, ERR_SYNTAX, at,
                    arena_printf(p->arena,
                                 "improper qualified name (too many dotted names): %s.%s.%s.%s%s",
                                 list_name(names, 0), list_name(names, 1), list_name(names, 2),
                                 list_name(names, 3), names->count > 4 ? "..." : ""));
        return NULL;
    }
    return names;
}

struct ast *
node_sql_func(struct parser *p, const char *name, struct ast_list *args, int32_t at)
{
    struct ast *n = node_func(p, "pg_catalog", name, args, at);

    AST_AS(ast_func, n)->sql_syntax = true;
    return n;
}

struct ast *
node_cast(struct parser *p, struct ast *arg, struct ast_type_name *type, int32_t at)
{
    struct ast_cast *n = NODE(p, AST_CAST, ast_cast, at);

    n->arg = arg;
    n->type = type;
    return &n->node;
}

struct ast *
node_collate(struct parser *p, struct ast *arg, const struct ast_list *name, int32_t at)
{
    struct ast_collate *n = NODE(p, AST_COLLATE, ast_collate, at);

    n->arg = arg;
    n->name = list_name(name, name->count - 1);
    n->schema = name->count > 1 ? list_name(name, name->count - 2) : NULL;
    return &n->node;
}

/* pairs: when, then, when, then, ... */
struct ast *
node_case(struct parser *p, struct ast *arg, const struct ast_list *pairs, struct ast *otherwise,
          int32_t at)
{
    struct ast_case *n = NODE(p, AST_CASE, ast_case, at);

    n->arg = arg;
    n->otherwise = otherwise;
    for (int32_t i = 0; i + 1 < pairs->count; i += 2) {
        n->whens = list_add(p, n->whens, pairs->item[i]);
        n->thens = list_add(p, n->thens, pairs->item[i + 1]);
    }
    return &n->node;
}

struct ast *
node_value_func(struct parser *p, enum ast_value_func_kind func, int32_t precision, int32_t at)
{
    struct ast_value_func *n = NODE(p, AST_VALUE_FUNC, ast_value_func, at);

    n->func = func;
    n->precision = precision;
    return &n->node;
}

struct ast *
node_args(struct parser *p, enum ast_kind kind, struct ast_list *args, int32_t at)
{
    struct ast_args *n = NODE(p, kind, ast_args, at);

    n->args = args;
    return &n->node;
}

struct ast *
node_array(struct parser *p, struct ast_list *items, int32_t at)
{
    struct ast_array *n = NODE(p, AST_ARRAY, ast_array, at);

    n->items = items;
    return &n->node;
}

struct ast *
node_row(struct parser *p, struct ast_list *items, bool keyword, int32_t at)
{
    struct ast_row *n = NODE(p, AST_ROW, ast_row, at);

    n->items = items;
    n->keyword = keyword;
    return &n->node;
}

/* ---- columns and what follows a dot or stands in brackets ------------------------------------ */

struct ast *
node_column(struct parser *p, const struct ast_list *names, bool star, int32_t at)
{
    struct ast_column *n = NODE(p, AST_COLUMN, ast_column, at);

    n->star = star;
    for (int32_t i = 0; i < ast_count(names); i++)
        n->part[n->part_count++] = list_name(names, i);
    return &n->node;
}

/* Dots after a column's name are part of it; everything else selects from the value before. The
 * path has names (a NULL one is a star) and subscripts. */
struct ast *
node_indirection(struct parser *p, struct ast *base, const struct ast_list *path)
{
    for (int32_t i = 0; i < ast_count(path); i++) {
        struct ast *e = path->item[i];
        struct ast_column *c = AST_AS(ast_column, base);

        if (e->kind == AST_SUBSCRIPT) {
            AST_AS(ast_subscript, e)->arg = base;
            base = e;
        } else if (base->kind == AST_COLUMN && !c->star && c->part_count < 4) {
            const char *name = AST_CONST(ast_name, e)->name;

            c->star = name == NULL;
            if (name != NULL)
                c->part[c->part_count++] = name;
        } else if (base->kind == AST_COLUMN && c->star) {
            p->error = lexer_error(&p->lexer, "syntax error", e->at - 1, e->at);
            break;
        } else {
            struct ast_field *f = NODE(p, AST_FIELD, ast_field, e->at);

            f->arg = base;
            f->name = AST_CONST(ast_name, e)->name;
            base = &f->node;
        }
    }
    return base;
}

struct ast *
node_sort(struct parser *p, struct ast *value, enum ast_sort_dir dir, enum ast_sort_nulls nulls,
          const struct ast_list *op, int32_t at)
{
    struct ast_sort *n = NODE(p, AST_SORT, ast_sort, at);

    n->value = value;
    n->dir = dir;
    n->nulls = nulls;
    n->using_op = op == NULL ? NULL : list_name(op, op->count - 1);
    return &n->node;
}
