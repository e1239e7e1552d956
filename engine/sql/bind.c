/* The binder's entry points, its errors, its parameters.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>

#include "engine/base/fiber.h"
#include "engine/sql/bind_int.h"

/* ---- errors -------------------------------------------------------------------------------- */

int
bind_place(struct binder *b, int rc, int32_t at)
{
    if (!b->foreign_text && at >= 0)
        diag_position(sql_position(b->text, at));
    return rc;
}

int
bind_error(struct binder *b, int code, int32_t at, const char *fmt, ...)
{
    char text[400];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    (void)DIAG(code, "%s", text);
    return bind_place(b, code, at);
}

int
bind_deeper(struct binder *b)
{
    if (b->depth >= BIND_DEPTH_MAX) {
        int rc = DIAG(ERR_TOO_COMPLEX, "stack depth limit exceeded");

        diag_hint("The statement is nested too deep.");
        return rc;
    }
    if (fiber_check_depth() != 0)
        return ERR_TOO_COMPLEX;
    b->depth++;
    return 0;
}

void
bind_shallower(struct binder *b)
{
    b->depth--;
}

const char *
bind_copy(struct binder *b, const char *s)
{
    return s == NULL ? NULL : arena_strdup(b->arena, s);
}

/* ---- what the plan stands on ---------------------------------------------------------------- */

void
bind_uses_table(struct binder *b, const struct cat_table *table)
{
    for (int32_t i = 0; i < b->object_count; i++)
        if (b->objects[i].oid == table->oid)
            return;
    if (b->object_count == b->object_capacity) {
        int32_t capacity = b->object_capacity == 0 ? 4 : 2 * b->object_capacity;
        struct plan_object *more = ARENA_ARRAY(b->arena, struct plan_object, capacity);

        if (b->object_count > 0)
            memcpy(more, b->objects, sizeof *more * (size_t)b->object_count);
        b->objects = more;
        b->object_capacity = capacity;
    }
    b->objects[b->object_count++] =
        (struct plan_object){ .oid = table->oid, .change = table->change };
}

/* ---- parameters ---------------------------------------------------------------------------- */

/* Lifted literals have the indexes after this; own parameters never reach it. */
enum { PARAM_LIFTED_BASE = 1 << 20 };

static void
params_grow(struct binder *b, int32_t count)
{
    if (count > b->param_capacity) {
        int32_t capacity = count < 8 ? 8 : count * 2;
        oid_t *more = ARENA_ARRAY(b->arena, oid_t, capacity);

        if (b->own_param_count > 0)
            memcpy(more, b->param_types, sizeof *more * (size_t)b->own_param_count);
        b->param_types = more;
        b->param_capacity = capacity;
    }
    if (count > b->own_param_count)
        b->own_param_count = count;
}

int
bind_param(struct binder *b, const struct ast_param *p, struct expr **out)
{
    oid_t type;

    if (p->number < 1 || b->foreign_text || b->normal != NULL)
        return bind_error(b, ERR_UNDEFINED_PARAMETER, p->node.at, "there is no parameter $%d",
                          p->number);
    params_grow(b, p->number);
    type = b->param_types[p->number - 1];
    *out = expr_new(b->arena, EXPR_PARAM,
                    (struct sql_type){ type == 0 ? (oid_t)TYPE_UNKNOWN : type, -1 }, p->node.at);
    (*out)->u.param.index = p->number - 1;
    return 0;
}

oid_t *
bind_param_type(struct binder *b, const struct expr *param)
{
    if (param->u.param.literal != NULL)
        return &b->lifted_types[param->u.param.index];
    return &b->param_types[param->u.param.index];
}

/* All parameters in one array. What nobody has given a type is text if it was a literal. */
static int
params_finish(struct binder *b, struct bind_result *out)
{
    int32_t lifted = b->normal == NULL ? 0 : b->normal->lifted_count;

    out->param_count = b->own_param_count + lifted;
    out->param_types = ARENA_ARRAY(b->arena, oid_t, out->param_count + 1);
    for (int32_t i = 0; i < b->own_param_count; i++) {
        if (b->param_types[i] == 0)
            return DIAG(ERR_INDETERMINATE_DATATYPE,
                        "could not determine data type of parameter $%d", i + 1);
        out->param_types[i] = b->param_types[i];
    }
    for (int32_t i = 0; i < lifted; i++)
        out->param_types[b->own_param_count + i] =
            b->lifted_types[i] == 0 ? (oid_t)TYPE_TEXT : b->lifted_types[i];
    return 0;
}

/* ---- entry points -------------------------------------------------------------------------- */

static struct binder
binder_make(const struct bind_request *r)
{
    struct binder b = { .arena = r->arena,
                        .text = r->text,
                        .catalog = r->catalog,
                        .funcs = r->funcs,
                        .types = r->types,
                        .normal = r->normal };

    params_grow(&b, r->param_count);
    for (int32_t i = 0; i < r->param_count; i++)
        b.param_types[i] = r->param_types[i] == TYPE_UNKNOWN ? 0 : r->param_types[i];
    if (r->normal != NULL)
        b.lifted_types = ARENA_ARRAY(r->arena, oid_t, r->normal->lifted_count + 1);
    return b;
}

int
sql_bind(const struct bind_request *request, const struct ast *statement, struct bind_result *out)
{
    struct binder b = binder_make(request);
    int rc;

    *out = (struct bind_result){ .query = NULL };
    switch (statement->kind) {
    case AST_SELECT:
        rc = bind_query(&b, statement, true, &out->query);
        break;
    case AST_INSERT:
        rc = bind_insert(&b, AST_CONST(ast_insert, statement), &out->query);
        break;
    case AST_UPDATE:
        rc = bind_update(&b, AST_CONST(ast_update, statement), &out->query);
        break;
    case AST_DELETE:
        rc = bind_delete(&b, AST_CONST(ast_delete, statement), &out->query);
        break;
    default:
        rc = bind_error(&b, ERR_NOT_SUPPORTED, statement->at, "this statement cannot be planned");
    }
    if (rc == 0)
        rc = params_finish(&b, out);
    out->pinned = b.pinned;
    out->objects = b.objects;
    out->object_count = b.object_count;
    return rc;
}

int
sql_bind_expr(const struct bind_request *request, const struct bind_expr_request *what,
              struct expr **out)
{
    struct binder b = binder_make(request);
    struct query *q = query_new(&b, AST_SELECT);
    struct bind_scope scope;
    int rc = 0;

    scope_push(&b, &scope, q);
    scope.what = what->what;
    if (what->table != NULL) {
        struct rte *rte = rte_for_table(&b, what->table, NULL);
        struct ns_item item = { .name = rte->alias,
                                .rel = query_add_rel(&b, q, rte),
                                .column_count = rte->column_count,
                                .columns_visible = true,
                                .name_visible = true };

        rc = scope_add_item(&b, item, -1, 0);
    }
    if (rc == 0)
        rc = bind_clause(&b, what->expr, CLAUSE_OTHER, out);
    if (rc == 0 && what->type.oid != 0)
        rc = bind_assign(&b, out, what->type, what->column);
    else if (rc == 0)
        rc = bind_settle(&b, out);
    scope_pop(&b);
    return rc;
}

int
sql_bind_type(struct slice text, const struct ast_type_name *name, struct sql_type *out)
{
    struct binder b = { .text = text };

    return bind_type_name(&b, name, out);
}
