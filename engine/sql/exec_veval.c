/* Expressions over a batch: columns in, a column out.
 *
 * Functions run by their batch kernels; AND, OR and NOT by the word; what branches (CASE, COALESCE,
 * subplans …) goes row by row through eval_row.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/sql/exec_int.h"

static bool
is_vector_kind(const struct expr *e)
{
    switch (e->kind) {
    case EXPR_FUNC:
    case EXPR_AND:
    case EXPR_OR:
    case EXPR_NOT:
    case EXPR_IS_NULL:
    case EXPR_IS_BOOL:
    case EXPR_RELABEL:
        return true;
    default:
        return false;
    }
}

struct vexpr *
vexpr_new(struct exec *x, const struct expr *e)
{
    struct vexpr *v = ARENA_NEW(&x->arena, struct vexpr);

    v->expr = e;
    if (!is_vector_kind(e))
        return v;
    v->args = ARENA_ARRAY(&x->arena, struct vexpr *, e->arg_count + 1);
    v->arg_types = ARENA_ARRAY(&x->arena, oid_t, e->arg_count + 1);
    for (int32_t i = 0; i < e->arg_count; i++) {
        v->args[i] = vexpr_new(x, e->args[i]);
        v->arg_types[i] = e->args[i]->type.oid;
    }
    if (e->kind == EXPR_FUNC)
        v->call = (struct func_call){
            .func = e->u.func,
            .env = x->ctx.types,
            .site_arena = &x->arena,
            .arg_count = e->arg_count,
            .arg_types = v->arg_types,
            .result_type = e->type.oid,
        };
    return v;
}

/* ---- kinds ------------------------------------------------------------------------------------
 */

static struct vec *
new_vec(struct arena *a, oid_t type)
{
    struct vec *v = ARENA_NEW(a, struct vec);

    vec_init(v, a, type);
    return v;
}

static struct vec *
const_vec(struct arena *a, oid_t type, const struct datum *d)
{
    struct vec *v = ARENA_NEW(a, struct vec);

    vec_init_const(v, a, type, d);
    return v;
}

static inline uint32_t
row_at(const uint16_t *sel, uint32_t k)
{
    return sel != NULL ? sel[k] : k;
}

static int
eval_by_rows(struct exec *x, struct vexpr *v, const struct batch *in, const uint16_t *sel,
             uint32_t count, struct arena *a, struct vec **out)
{
    struct datum *row = ARENA_ARRAY(a, struct datum, in->col_count + 1);
    struct eval ev = { .x = x, .ctx = &x->ctx, .columns = row, .outer = x->outer, .arena = a };
    int rc = 0;

    *out = new_vec(a, v->expr->type.oid);
    for (uint32_t k = 0; k < count && rc == 0; k++) {
        uint32_t r = row_at(sel, k);
        struct datum d;

        batch_row_datums(in, r, row);
        rc = eval_row(&ev, v->expr, &d);
        if (rc == 0)
            vec_set(*out, r, &d);
    }
    return rc;
}

static int
veval_func(struct exec *x, struct vexpr *v, const struct batch *in, const uint16_t *sel,
           uint32_t count, struct arena *a, struct vec **out)
{
    const struct vec **args = ARENA_ARRAY(a, const struct vec *, v->expr->arg_count + 1);

    for (int32_t i = 0; i < v->expr->arg_count; i++) {
        struct vec *arg;
        int rc = vexpr_eval(x, v->args[i], in, sel, count, a, &arg);

        if (rc != 0)
            return rc;
        args[i] = arg;
    }
    v->call.arena = a;
    *out = new_vec(a, v->expr->type.oid);
    return func_apply_batch(&v->call, args, sel, count, *out);
}

/* Each further argument is evaluated only for the rows that are not settled yet. */
static int
veval_and_or(struct exec *x, struct vexpr *v, const struct batch *in, const uint16_t *sel,
             uint32_t count, struct arena *a, struct vec **out)
{
    bool stop_at = v->expr->kind == EXPR_OR;
    uint16_t *left = ARENA_ARRAY(a, uint16_t, BATCH_ROWS_MAX);
    uint32_t left_count = count;

    *out = new_vec(a, TYPE_BOOL);
    for (uint32_t k = 0; k < count; k++) {
        left[k] = (uint16_t)row_at(sel, k);
        (*out)->i[left[k]] = !stop_at;
    }
    for (int32_t i = 0; i < v->expr->arg_count && left_count > 0; i++) {
        uint32_t kept = 0;
        struct vec *arg;
        int rc = vexpr_eval(x, v->args[i], in, left, left_count, a, &arg);

        if (rc != 0)
            return rc;
        for (uint32_t k = 0; k < left_count; k++) {
            uint32_t r = left[k];
            struct datum d = vec_get(arg, r);

            if (d.is_null) {
                vec_set_valid(*out, r, false);
                left[kept++] = (uint16_t)r;
            } else if ((d.i != 0) == stop_at) {
                vec_set_valid(*out, r, true);
                (*out)->i[r] = stop_at;
            } else {
                left[kept++] = (uint16_t)r;
            }
        }
        left_count = kept;
    }
    return 0;
}

static int
veval_unary(struct exec *x, struct vexpr *v, const struct batch *in, const uint16_t *sel,
            uint32_t count, struct arena *a, struct vec **out)
{
    const struct expr *e = v->expr;
    struct vec *arg;
    int rc = vexpr_eval(x, v->args[0], in, sel, count, a, &arg);

    if (rc != 0)
        return rc;
    if (e->kind == EXPR_RELABEL) {
        *out = ARENA_NEW(a, struct vec);
        **out = *arg;
        (*out)->type = e->type.oid;
        return 0;
    }
    *out = new_vec(a, TYPE_BOOL);
    for (uint32_t k = 0; k < count; k++) {
        uint32_t r = row_at(sel, k);
        struct datum d = vec_get(arg, r), o;

        if (e->kind == EXPR_NOT)
            o = d.is_null ? d : datum_bool(d.i == 0);
        else if (e->kind == EXPR_IS_NULL || e->u.is.value < 0)
            o = datum_bool(d.is_null != e->u.is.negated);
        else
            o = datum_bool((!d.is_null && (d.i != 0) == (e->u.is.value == 1)) != e->u.is.negated);
        vec_set(*out, r, &o);
    }
    return 0;
}

int
vexpr_eval(struct exec *x, struct vexpr *v, const struct batch *in, const uint16_t *sel,
           uint32_t count, struct arena *a, struct vec **out)
{
    const struct expr *e = v->expr;
    struct datum d;
    int rc;

    switch (e->kind) {
    case EXPR_COLUMN:
        CHECK((uint32_t)e->u.index < in->col_count);
        *out = &in->cols[e->u.index];
        return 0;
    case EXPR_CONST:
    case EXPR_PARAM:
    case EXPR_OUTER:
        rc = eval_scalar(x, e, &d);
        *out = const_vec(a, e->type.oid, &d);
        return rc;
    default:
        break;
    }
    rc = fiber_check_depth();
    if (rc != 0)
        return rc;
    switch (e->kind) {
    case EXPR_FUNC:
        return veval_func(x, v, in, sel, count, a, out);
    case EXPR_AND:
    case EXPR_OR:
        return veval_and_or(x, v, in, sel, count, a, out);
    case EXPR_NOT:
    case EXPR_IS_NULL:
    case EXPR_IS_BOOL:
    case EXPR_RELABEL:
        return veval_unary(x, v, in, sel, count, a, out);
    default:
        return eval_by_rows(x, v, in, sel, count, a, out);
    }
}

/* An AND narrows the selection argument by argument. */
int
vexpr_filter(struct exec *x, struct vexpr *v, const struct batch *in, const uint16_t *sel,
             uint32_t count, struct arena *a, uint16_t *pass, uint32_t *passed)
{
    int rc = 0;

    *passed = count;
    if (v->expr->kind == EXPR_AND) {
        for (int32_t i = 0; i < v->expr->arg_count && rc == 0 && *passed > 0; i++) {
            rc = vexpr_filter(x, v->args[i], in, sel, *passed, a, pass, passed);
            sel = pass;
        }
        return rc;
    }
    struct vec *arg;
    uint32_t kept = 0;

    rc = vexpr_eval(x, v, in, sel, count, a, &arg);
    if (rc != 0)
        return rc;
    for (uint32_t k = 0; k < count; k++) {
        uint32_t r = row_at(sel, k);
        uint32_t at = arg->is_const ? 0 : r;

        if (arg->i[at] != 0 && !vec_is_null(arg, r))
            pass[kept++] = (uint16_t)r;
    }
    *passed = kept;
    return 0;
}
