/* Lookups in the tables of functions, operators and casts, and applying what was found.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/func.h"
#include "engine/types/type_int.h"

const struct func *
func_by_oid(const struct func_set *set, oid_t oid)
{
    for (; set != NULL; set = set->next) {
        for (size_t i = 0; i < set->func_count; i++) {
            if (set->funcs[i].oid == oid)
                return &set->funcs[i];
        }
    }
    return NULL;
}

const struct op *
op_by_oid(const struct func_set *set, oid_t oid)
{
    for (; set != NULL; set = set->next) {
        for (size_t i = 0; i < set->op_count; i++) {
            if (set->ops[i].oid == oid)
                return &set->ops[i];
        }
    }
    return NULL;
}

const struct op *
op_exact(const struct func_set *set, const char *name, oid_t left, oid_t right)
{
    for (; set != NULL; set = set->next) {
        for (size_t i = 0; i < set->op_count; i++) {
            const struct op *o = &set->ops[i];
            if (o->left == left && o->right == right && strcmp(o->name, name) == 0)
                return o;
        }
    }
    return NULL;
}

const struct func *
func_at(const struct func_set *set, size_t index)
{
    for (; set != NULL; set = set->next) {
        if (index < set->func_count)
            return &set->funcs[index];
        index -= set->func_count;
    }
    return NULL;
}

const struct op *
op_at(const struct func_set *set, size_t index)
{
    for (; set != NULL; set = set->next) {
        if (index < set->op_count)
            return &set->ops[index];
        index -= set->op_count;
    }
    return NULL;
}

const struct cast *
cast_at(const struct func_set *set, size_t index)
{
    for (; set != NULL; set = set->next) {
        if (index < set->cast_count)
            return &set->casts[index];
        index -= set->cast_count;
    }
    return NULL;
}

/* ---- casts --------------------------------------------------------------------------------- */

static int
context_rank(char context)
{
    return context == CAST_IMPLICIT ? 0 : context == CAST_ASSIGNMENT ? 1 : 2;
}

/* Casts of a set are sorted by (source, target). */
static const struct cast *
cast_entry(const struct func_set *set, oid_t source, oid_t target)
{
    for (; set != NULL; set = set->next) {
        size_t low = 0, high = set->cast_count;
        while (low < high) {
            size_t mid = (low + high) / 2;
            const struct cast *c = &set->casts[mid];
            if (c->source == source && c->target == target)
                return c;
            if (c->source < source || (c->source == source && c->target < target))
                low = mid + 1;
            else
                high = mid;
        }
    }
    return NULL;
}

static bool
is_vector(oid_t oid)
{
    return oid == TYPE_INT2VECTOR || oid == TYPE_OIDVECTOR;
}

/* Pairs without an entry of their own: arrays by their elements, the rest by way of text. */
static enum cast_kind
cast_kind_by_rule(const struct func_set *set, const struct type *s, const struct type *t,
                  enum cast_context context)
{
    const struct cast *elem;

    if (type_is_array(s) && type_is_array(t) && !is_vector(t->oid)) {
        if (s->elem_oid == t->elem_oid)
            return CAST_RELABEL;
        elem = cast_entry(set, s->elem_oid, t->elem_oid);
        if (elem != NULL)
            return context_rank(elem->context) > context_rank((char)context) ? CAST_NO
                   : elem->func_oid == 0                                     ? CAST_RELABEL
                                                                             : CAST_IO;
        s = type_get(s->elem_oid);
        t = type_get(t->elem_oid);
    }
    if (t->category == 'S' && context_rank((char)context) >= 1)
        return CAST_IO;
    if (s->category == 'S' && context == CAST_EXPLICIT)
        return CAST_IO;
    return CAST_NO;
}

/* The way, and the OID of the function if it takes one. */
static enum cast_kind
cast_way(const struct func_set *set, oid_t source, oid_t target, enum cast_context context,
         oid_t *func_oid)
{
    const struct type *s = type_find(source), *t = type_find(target);
    const struct cast *c;

    *func_oid = 0;
    if (s == NULL || t == NULL)
        return CAST_NO;
    if (source == target)
        return CAST_RELABEL;
    if (source == TYPE_UNKNOWN)
        return t->is_pseudo ? CAST_NO : CAST_IO;
    if (s->is_pseudo || t->is_pseudo)
        return CAST_NO;
    c = cast_entry(set, source, target);
    if (c == NULL)
        return cast_kind_by_rule(set, s, t, context);
    if (context_rank(c->context) > context_rank((char)context))
        return CAST_NO;
    *func_oid = c->func_oid;
    return c->func_oid == 0 ? CAST_RELABEL : CAST_FUNC;
}

struct cast_path
cast_find(const struct func_set *set, oid_t source, oid_t target, enum cast_context context)
{
    oid_t func_oid;
    struct cast_path path = { .kind = cast_way(set, source, target, context, &func_oid) };

    if (path.kind == CAST_FUNC) {
        path.func = func_by_oid(set, func_oid);
        CHECK(path.func != NULL);
    }
    return path;
}

bool
cast_can(const struct func_set *set, oid_t source, oid_t target, enum cast_context context)
{
    oid_t func_oid;

    return cast_way(set, source, target, context, &func_oid) != CAST_NO;
}

int
cast_value(const struct func_set *set, const struct type_env *env, struct arena *a, oid_t source,
           oid_t target, int32_t typmod, enum cast_context context, const struct datum *in,
           struct datum *out)
{
    struct cast_path path = cast_find(set, source, target, context);
    struct func_call call = { .func = path.func,
                              .env = env,
                              .arena = a,
                              .site_arena = a,
                              .arg_count = 1,
                              .arg_types = &source,
                              .result_type = target };
    struct datum v = *in;
    struct writer w;
    int rc = 0;

    if (path.kind == CAST_NO)
        return DIAG(ERR_CANNOT_COERCE, "cannot cast type %s to %s", type_sql_name(source),
                    type_sql_name(target));
    if (in->is_null) {
        *out = datum_null();
        return 0;
    }
    if (path.kind == CAST_FUNC) {
        rc = func_apply(&call, in, &v);
    } else if (path.kind == CAST_IO) {
        uint8_t *copy;
        wr_init(&w, 0);
        type_out(source, env, in, &w);
        rc = wr_finish(&w);
        if (rc == 0) {
            copy = arena_alloc(a, w.size + 1);
            if (w.size > 0)
                memcpy(copy, w.data, w.size);
            rc = type_in(target, env, a, slice(copy, w.size),
                         context == CAST_EXPLICIT ? -1 : typmod, &v);
        }
        wr_fini(&w);
    }
    if (rc != 0)
        return rc;
    return type_coerce_typmod(target, typmod, context == CAST_EXPLICIT, a, &v, out);
}

int
cast_common_type(const struct func_set *set, const char *what, const oid_t *types, int32_t count,
                 oid_t *out, int32_t *bad)
{
    oid_t best = TYPE_UNKNOWN;

    for (int32_t i = 0; i < count; i++) {
        const struct type *t, *b;
        if (types[i] == TYPE_UNKNOWN || types[i] == best)
            continue;
        if (best == TYPE_UNKNOWN) {
            best = types[i];
            continue;
        }
        t = type_get(types[i]);
        b = type_get(best);
        if (t->category != b->category) {
            if (bad != NULL)
                *bad = i;
            return DIAG(ERR_DATATYPE_MISMATCH, "%s types %s and %s cannot be matched", what,
                        b->sql_name, t->sql_name);
        }
        if (!b->is_preferred && cast_can(set, best, types[i], CAST_IMPLICIT) &&
            !cast_can(set, types[i], best, CAST_IMPLICIT))
            best = types[i];
    }
    *out = best == TYPE_UNKNOWN ? TYPE_TEXT : best;
    for (int32_t i = 0; i < count; i++) {
        if (!cast_can(set, types[i], *out, CAST_IMPLICIT)) {
            if (bad != NULL)
                *bad = i;
            return DIAG(ERR_CANNOT_COERCE, "%s could not convert type %s to %s", what,
                        type_sql_name(types[i]), type_sql_name(*out));
        }
    }
    return 0;
}

/* ---- applying ------------------------------------------------------------------------------ */

int
func_apply(struct func_call *call, const struct datum *args, struct datum *out)
{
    if ((call->func->flags & FUNC_STRICT) != 0) {
        for (int32_t i = 0; i < call->arg_count; i++) {
            if (args[i].is_null) {
                *out = datum_null();
                return 0;
            }
        }
    }
    return call->func->fn(call, args, out);
}

int
func_apply_batch(struct func_call *call, const struct vec *const *args, const uint16_t *sel,
                 uint32_t count, struct vec *out)
{
    struct datum values[FUNC_ARGS_MAX], r;

    if (call->func->batch != NULL)
        return call->func->batch(call, args, sel, count, out);
    for (uint32_t k = 0; k < count; k++) {
        uint32_t row = sel != NULL ? sel[k] : k;
        int rc;
        for (int32_t i = 0; i < call->arg_count; i++)
            values[i] = vec_get(args[i], row);
        rc = func_apply(call, values, &r);
        if (rc != 0)
            return rc;
        vec_set(out, row, &r);
    }
    return 0;
}

int
agg_apply_batch(struct func_call *call, void *const *states, bool one_state,
                const struct vec *const *args, const uint16_t *sel, uint32_t count)
{
    const struct agg *agg = call->func->agg;
    bool is_strict = call->func->flags & FUNC_STRICT;
    struct datum values[FUNC_TABLE_ARGS_MAX];

    if (agg->step_batch != NULL)
        return agg->step_batch(call, states, one_state, args, sel, count);
    for (uint32_t k = 0; k < count; k++) {
        uint32_t row = sel != NULL ? sel[k] : k;
        bool has_null = false;
        int rc;
        for (int32_t i = 0; i < call->arg_count; i++) {
            values[i] = vec_get(args[i], row);
            has_null |= values[i].is_null;
        }
        if (is_strict && has_null)
            continue;
        rc = agg->step(call, states[one_state ? 0 : k], values);
        if (rc != 0)
            return rc;
    }
    return 0;
}
