/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/ast_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void put_expr(struct writer *w, const struct ast *e);

static void
put(struct writer *w, const char *text)
{
    wr_bytes(w, text, strlen(text));
}

static void
put_list(struct writer *w, const char *head, const struct ast_list *list)
{
    put(w, "(");
    put(w, head);
    for (int32_t i = 0; i < ast_count(list); i++) {
        put(w, " ");
        put_expr(w, list->item[i]);
    }
    put(w, ")");
}

static void
put_args(struct writer *w, const char *head, const struct ast *a, const struct ast *b,
         const struct ast *c)
{
    put(w, "(");
    put(w, head);
    for (int i = 0; i < 3; i++) {
        const struct ast *e = i == 0 ? a : i == 1 ? b : c;

        if (e != NULL) {
            put(w, " ");
            put_expr(w, e);
        }
    }
    put(w, ")");
}

static void
put_literal(struct writer *w, const struct ast_literal *l)
{
    char number[32];

    switch (l->type) {
    case AST_LIT_NULL:
        put(w, "null");
        break;
    case AST_LIT_BOOL:
        put(w, l->boolean ? "true" : "false");
        break;
    case AST_LIT_INT:
        snprintf(number, sizeof number, "%" PRId64, l->integer);
        put(w, number);
        break;
    case AST_LIT_STRING:
        put(w, "'");
        wr_slice(w, l->text);
        put(w, "'");
        break;
    default:
        wr_slice(w, l->text);
    }
}

static void
put_column(struct writer *w, const struct ast_column *c)
{
    for (int32_t i = 0; i < c->part_count; i++) {
        put(w, i > 0 ? "." : "");
        put(w, c->part[i]);
    }
    if (c->star)
        put(w, c->part_count > 0 ? ".*" : "*");
}

static void
put_cast(struct writer *w, const struct ast_cast *c)
{
    put(w, "(::");
    put(w, c->type->name);
    for (int32_t i = 0; i < ast_count(c->type->typmods); i++) {
        put(w, i == 0 ? "," : ",");
        put_expr(w, c->type->typmods->item[i]);
    }
    for (int32_t i = 0; i < c->type->array_dims; i++)
        put(w, "[]");
    put(w, " ");
    put_expr(w, c->arg);
    put(w, ")");
}

static void
put_case(struct writer *w, const struct ast_case *c)
{
    put(w, "(case");
    if (c->arg != NULL) {
        put(w, " ");
        put_expr(w, c->arg);
    }
    for (int32_t i = 0; i < ast_count(c->whens); i++)
        put_args(w, " when", c->whens->item[i], c->thens->item[i], NULL);
    if (c->otherwise != NULL)
        put_args(w, " else", c->otherwise, NULL, NULL);
    put(w, ")");
}

static const char *
is_name(const struct ast_is *is)
{
    static const char *const names[][2] = { { "is-null", "is-not-null" },
                                            { "is-true", "is-not-true" },
                                            { "is-false", "is-not-false" },
                                            { "is-unknown", "is-not-unknown" } };

    return names[is->is][is->negated];
}

static void
put_other(struct writer *w, const struct ast *e)
{
    const struct ast_like *like = AST_CONST(ast_like, e);
    const struct ast_between *between = AST_CONST(ast_between, e);
    const struct ast_in *in = AST_CONST(ast_in, e);
    const struct ast_sublink *sub = AST_CONST(ast_sublink, e);
    const struct ast_any *any = AST_CONST(ast_any, e);
    const struct ast_subscript *at = AST_CONST(ast_subscript, e);
    const struct ast_distinct *distinct = AST_CONST(ast_distinct, e);

    switch (e->kind) {
    case AST_LIKE:
        put_args(w, like->negated ? "not-like" : "like", like->arg, like->pattern, like->escape);
        break;
    case AST_BETWEEN:
        put_args(w, between->negated ? "not-between" : "between", between->arg, between->low,
                 between->high);
        break;
    case AST_IN_LIST:
        put(w, in->negated ? "(not-in " : "(in ");
        put_expr(w, in->arg);
        put_list(w, "", in->list);
        put(w, ")");
        break;
    case AST_DISTINCT:
        put_args(w, distinct->negated ? "not-distinct" : "distinct", distinct->left,
                 distinct->right, NULL);
        break;
    case AST_SUBLINK:
        put_args(w, sub->op != NULL ? sub->op : "query", sub->left, NULL, NULL);
        break;
    case AST_ANY_ARRAY:
        put_args(w, any->all ? "all" : "any", any->left, any->array, NULL);
        break;
    case AST_SUBSCRIPT:
        put_args(w, at->slice ? "slice" : "at", at->arg, at->lower, at->upper);
        break;
    default:
        put(w, "?");
    }
}

static void
put_expr(struct writer *w, const struct ast *e)
{
    const struct ast_op *op = AST_CONST(ast_op, e);
    const struct ast_field *field = AST_CONST(ast_field, e);
    char number[32];

    switch (e->kind) {
    case AST_LITERAL:
        put_literal(w, AST_CONST(ast_literal, e));
        break;
    case AST_PARAM:
        snprintf(number, sizeof number, "$%d", AST_CONST(ast_param, e)->number);
        put(w, number);
        break;
    case AST_COLUMN:
        put_column(w, AST_CONST(ast_column, e));
        break;
    case AST_OP:
        if (op->left != NULL)
            put_args(w, op->op, op->left, op->right, NULL);
        else
            put_args(w, op->op, op->right, NULL, NULL);
        break;
    case AST_AND:
        put_list(w, "and", AST_CONST(ast_bool, e)->args);
        break;
    case AST_OR:
        put_list(w, "or", AST_CONST(ast_bool, e)->args);
        break;
    case AST_NOT:
        put_list(w, "not", AST_CONST(ast_bool, e)->args);
        break;
    case AST_FUNC:
        put_list(w, AST_CONST(ast_func, e)->name, AST_CONST(ast_func, e)->args);
        break;
    case AST_CAST:
        put_cast(w, AST_CONST(ast_cast, e));
        break;
    case AST_COLLATE:
        put_args(w, "collate", AST_CONST(ast_collate, e)->arg, NULL, NULL);
        break;
    case AST_CASE:
        put_case(w, AST_CONST(ast_case, e));
        break;
    case AST_IS:
        put_args(w, is_name(AST_CONST(ast_is, e)), AST_CONST(ast_is, e)->arg, NULL, NULL);
        break;
    case AST_ARRAY:
        put_list(w, "array", AST_CONST(ast_array, e)->items);
        break;
    case AST_ROW:
        put_list(w, "row", AST_CONST(ast_row, e)->items);
        break;
    case AST_FIELD:
        put_args(w, field->name == NULL ? ".*" : field->name, field->arg, NULL, NULL);
        break;
    case AST_COALESCE:
        put_list(w, "coalesce", AST_CONST(ast_args, e)->args);
        break;
    default:
        put_other(w, e);
    }
}

const char *
ast_text(struct arena *arena, const struct ast *expr)
{
    struct writer w;
    const char *text;

    wr_init(&w, 0);
    put_expr(&w, expr);
    text = arena_strndup(arena, (const char *)w.data, w.size);
    wr_fini(&w);
    return text;
}
