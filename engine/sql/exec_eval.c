/* Expressions over one row.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/sql/exec_int.h"

enum { EVAL_ARGS_INLINE = 8 };

/* ---- functions --------------------------------------------------------------------------------
 */

static int
eval_args(const struct eval *v, const struct expr *e, struct datum *args)
{
    int rc = 0;

    for (int32_t i = 0; i < e->arg_count && rc == 0; i++)
        rc = eval_row(v, e->args[i], &args[i]);
    return rc;
}

static int
apply(const struct eval *v, const struct expr *e, const struct func *f, const struct datum *args,
      struct datum *out)
{
    oid_t types_inline[EVAL_ARGS_INLINE];
    oid_t *types = e->arg_count <= EVAL_ARGS_INLINE ? types_inline
                                                    : ARENA_ARRAY(v->arena, oid_t, e->arg_count);
    struct func_call call = {
        .func = f,
        .env = v->ctx->types,
        .arena = v->arena,
        .site_arena = v->arena,
        .arg_count = e->arg_count,
        .arg_types = types,
        .result_type = e->type.oid,
    };

    for (int32_t i = 0; i < e->arg_count; i++)
        types[i] = e->args[i]->type.oid;
    return func_apply(&call, args, out);
}

static int
eval_func(const struct eval *v, const struct expr *e, const struct func *f, struct datum *out)
{
    struct datum args_inline[EVAL_ARGS_INLINE];
    struct datum *args = e->arg_count <= EVAL_ARGS_INLINE
                             ? args_inline
                             : ARENA_ARRAY(v->arena, struct datum, e->arg_count);
    int rc = eval_args(v, e, args);

    return rc != 0 ? rc : apply(v, e, f, args, out);
}

static int
eval_cast_io(const struct eval *v, const struct expr *e, struct datum *out)
{
    struct datum in;
    struct writer w;
    uint8_t *copy;
    int rc = eval_row(v, e->args[0], &in);

    if (rc != 0 || in.is_null) {
        *out = datum_null();
        return rc;
    }
    wr_init(&w, 0);
    type_out(e->args[0]->type.oid, v->ctx->types, &in, &w);
    rc = wr_finish(&w);
    if (rc == 0) {
        copy = arena_memdup(v->arena, w.data, w.size);
        rc =
            type_in(e->type.oid, v->ctx->types, v->arena, slice(copy, w.size), e->type.typmod, out);
    }
    wr_fini(&w);
    return rc;
}

/* ---- logic ------------------------------------------------------------------------------------
 */

/* Stops at the first FALSE of an AND, at the first TRUE of an OR. */
static int
eval_and_or(const struct eval *v, const struct expr *e, struct datum *out)
{
    bool stop_at = e->kind == EXPR_OR;
    bool any_null = false;

    for (int32_t i = 0; i < e->arg_count; i++) {
        struct datum d;
        int rc = eval_row(v, e->args[i], &d);

        if (rc != 0)
            return rc;
        if (d.is_null)
            any_null = true;
        else if ((d.i != 0) == stop_at) {
            *out = d;
            return 0;
        }
    }
    *out = any_null ? datum_null() : datum_bool(!stop_at);
    return 0;
}

static int
eval_case(const struct eval *v, const struct expr *e, struct datum *out)
{
    for (int32_t i = 0; i + 1 < e->arg_count; i += 2) {
        bool pass;
        int rc = eval_pass(v, e->args[i], &pass);

        if (rc != 0)
            return rc;
        if (pass)
            return eval_row(v, e->args[i + 1], out);
    }
    return eval_row(v, e->args[e->arg_count - 1], out);
}

static int
eval_coalesce(const struct eval *v, const struct expr *e, struct datum *out)
{
    int rc = 0;

    *out = datum_null();
    for (int32_t i = 0; i < e->arg_count && rc == 0 && out->is_null; i++)
        rc = eval_row(v, e->args[i], out);
    return rc;
}

static int
eval_greatest(const struct eval *v, const struct expr *e, struct datum *out)
{
    *out = datum_null();
    for (int32_t i = 0; i < e->arg_count; i++) {
        struct datum d;
        int rc = eval_row(v, e->args[i], &d);

        if (rc != 0)
            return rc;
        if (d.is_null)
            continue;
        if (!out->is_null) {
            int c = type_cmp(e->type.oid, &d, out);

            if (e->kind == EXPR_GREATEST ? c <= 0 : c >= 0)
                continue;
        }
        *out = d;
    }
    return 0;
}

static int
eval_is(const struct eval *v, const struct expr *e, struct datum *out)
{
    struct datum d;
    bool is;
    int rc = eval_row(v, e->args[0], &d);

    if (rc != 0)
        return rc;
    if (e->kind == EXPR_IS_NULL || e->u.is.value < 0)
        is = d.is_null;
    else
        is = !d.is_null && (d.i != 0) == (e->u.is.value == 1);
    *out = datum_bool(is != e->u.is.negated);
    return 0;
}

static int
apply_pair(const struct eval *v, const struct expr *e, const struct expr *right,
           const struct func *f, const struct datum *a, const struct datum *b, struct datum *out)
{
    struct datum args[2] = { *a, *b };
    oid_t types[2] = { e->args[0]->type.oid, right->type.oid };
    struct func_call call = {
        .func = f,
        .env = v->ctx->types,
        .arena = v->arena,
        .site_arena = v->arena,
        .arg_count = 2,
        .arg_types = types,
        .result_type = TYPE_BOOL,
    };

    return func_apply(&call, args, out);
}

static int
eval_distinct(const struct eval *v, const struct expr *e, struct datum *out)
{
    struct datum a, b, equal = datum_bool(false);
    int rc = eval_row(v, e->args[0], &a);

    if (rc == 0)
        rc = eval_row(v, e->args[1], &b);
    if (rc == 0 && (a.is_null || b.is_null))
        equal = datum_bool(a.is_null && b.is_null);
    else if (rc == 0)
        rc = apply_pair(v, e, e->args[1], e->u.op.func, &a, &b, &equal);
    *out = datum_bool((equal.i != 0) == e->u.op.negated);
    return rc;
}

static int
eval_in_list(const struct eval *v, const struct expr *e, struct datum *out)
{
    bool any_null = false, found = false;
    struct datum a;
    int rc = eval_row(v, e->args[0], &a);

    if (rc != 0 || a.is_null) {
        *out = datum_null();
        return rc;
    }
    for (int32_t i = 1; i < e->arg_count && rc == 0 && !found; i++) {
        struct datum b, equal;

        rc = eval_row(v, e->args[i], &b);
        if (rc == 0 && !b.is_null)
            rc = apply_pair(v, e, e->args[i], e->u.op.func, &a, &b, &equal);
        if (rc == 0 && (b.is_null || equal.is_null))
            any_null = true;
        else if (rc == 0)
            found = equal.i != 0;
    }
    *out = found      ? datum_bool(!e->u.op.negated)
           : any_null ? datum_null()
                      : datum_bool(e->u.op.negated);
    return rc;
}

/* ---- arrays -----------------------------------------------------------------------------------
 */

static int
eval_any_array(const struct eval *v, const struct expr *e, struct datum *out)
{
    struct datum a, array;
    oid_t types[2];
    struct func_call call = {
        .func = e->u.op.func,
        .env = v->ctx->types,
        .arena = v->arena,
        .site_arena = v->arena,
        .arg_count = 2,
        .arg_types = types,
        .result_type = TYPE_BOOL,
    };
    int rc = eval_row(v, e->args[0], &a);

    if (rc == 0)
        rc = eval_row(v, e->args[1], &array);
    if (rc != 0 || array.is_null) {
        *out = datum_null();
        return rc;
    }
    types[0] = e->args[0]->type.oid;
    types[1] = array_elem_type(&array);
    return array_any(&call, &a, &array, e->u.op.negated, out);
}

static int
eval_array(const struct eval *v, const struct expr *e, struct datum *out)
{
    struct datum *elems = ARENA_ARRAY(v->arena, struct datum, e->arg_count + 1);
    int rc = eval_args(v, e, elems);

    if (rc == 0)
        *out =
            array_make(v->arena, type_get(e->type.oid)->elem_oid, elems, (uint32_t)e->arg_count, 1);
    return rc;
}

static int
eval_subscript(const struct eval *v, const struct expr *e, struct datum *out)
{
    struct datum array, at;
    int rc = eval_row(v, e->args[0], &array);

    if (rc == 0)
        rc = eval_row(v, e->args[1], &at);
    if (rc != 0)
        return rc;
    *out = array.is_null || at.is_null ? datum_null() : array_get(&array, at.i);
    return 0;
}

/* ---- all kinds --------------------------------------------------------------------------------
 */

static int
eval_column(const struct eval *v, const struct expr *e, struct datum *out)
{
    if (e->u.index >= SUBPLAN_COLUMN_BASE) {
        CHECK(v->sub != NULL);
        *out = v->sub[e->u.index - SUBPLAN_COLUMN_BASE];
    } else {
        CHECK(v->columns != NULL);
        *out = v->columns[e->u.index];
    }
    return 0;
}

static int
eval_typmod(const struct eval *v, const struct expr *e, struct datum *out)
{
    struct datum in;
    int rc = eval_row(v, e->args[0], &in);

    *out = in;
    if (rc != 0 || in.is_null)
        return rc;
    return type_coerce_typmod(e->type.oid, e->type.typmod, e->u.is.negated, v->arena, &in, out);
}

static int
eval_not(const struct eval *v, const struct expr *e, struct datum *out)
{
    int rc = eval_row(v, e->args[0], out);

    if (rc == 0 && !out->is_null)
        out->i = out->i == 0;
    return rc;
}

/* dispatch */
static int
eval_other(const struct eval *v, const struct expr *e, struct datum *out)
{
    switch (e->kind) {
    case EXPR_CAST_IO:
        return eval_cast_io(v, e, out);
    case EXPR_TYPMOD:
        return eval_typmod(v, e, out);
    case EXPR_AND:
    case EXPR_OR:
        return eval_and_or(v, e, out);
    case EXPR_NOT:
        return eval_not(v, e, out);
    case EXPR_CASE:
        return eval_case(v, e, out);
    case EXPR_COALESCE:
        return eval_coalesce(v, e, out);
    case EXPR_GREATEST:
    case EXPR_LEAST:
        return eval_greatest(v, e, out);
    case EXPR_IS_NULL:
    case EXPR_IS_BOOL:
        return eval_is(v, e, out);
    case EXPR_DISTINCT:
        return eval_distinct(v, e, out);
    case EXPR_IN_LIST:
        return eval_in_list(v, e, out);
    case EXPR_ANY_ARRAY:
        return eval_any_array(v, e, out);
    case EXPR_ARRAY:
        return eval_array(v, e, out);
    case EXPR_SUBSCRIPT:
        return eval_subscript(v, e, out);
    case EXPR_SUBPLAN:
        CHECK(v->x != NULL);
        return eval_subplan(v, e, out);
    default:
        return DIAG(ERR_INTERNAL, "expression of kind %d in a plan", (int)e->kind);
    }
}

int
eval_row(const struct eval *v, const struct expr *e, struct datum *out)
{
    int rc;

    switch (e->kind) {
    case EXPR_CONST:
        *out = e->u.constant.value != NULL ? *e->u.constant.value : datum_null();
        return 0;
    case EXPR_PARAM:
        CHECK(e->u.index < v->ctx->param_count);
        *out = v->ctx->params[e->u.index];
        return 0;
    case EXPR_COLUMN:
        return eval_column(v, e, out);
    case EXPR_OUTER:
        *out = v->outer[e->u.index];
        return 0;
    case EXPR_RELABEL:
        return eval_row(v, e->args[0], out);
    default:
        break;
    }
    rc = fiber_check_depth();
    if (rc != 0)
        return rc;
    return e->kind == EXPR_FUNC ? eval_func(v, e, e->u.func, out) : eval_other(v, e, out);
}

int
eval_pass(const struct eval *v, const struct expr *e, bool *pass)
{
    struct datum d;
    int rc = eval_row(v, e, &d);

    *pass = rc == 0 && !d.is_null && d.i != 0;
    return rc;
}

int
eval_scalar(struct exec *x, const struct expr *e, struct datum *out)
{
    struct eval v = { .x = x, .ctx = &x->ctx, .outer = x->outer, .arena = &x->arena };

    return eval_row(&v, e, out);
}

int
exec_eval(const struct exec_ctx *ctx, const struct expr *e, struct arena *a, struct datum *out)
{
    struct eval v = { .ctx = ctx, .arena = a };

    return eval_row(&v, e, out);
}
