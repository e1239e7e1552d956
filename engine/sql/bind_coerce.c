/* Constants, and getting from one type to another.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "engine/sql/bind_int.h"

/* ---- constants ----------------------------------------------------------------------------- */

struct expr *
expr_const(struct binder *b, struct sql_type type, const struct datum *value, int32_t at)
{
    struct expr *e = expr_new(b->arena, EXPR_CONST, type, at);

    if (value != NULL && !value->is_null) {
        struct datum *copy = ARENA_NEW(b->arena, struct datum);

        *copy = *value;
        if (type_get(type.oid)->rep == REP_BYTES)
            copy->p = arena_memdup(b->arena, value->p, value->size);
        e->u.constant.value = copy;
    }
    return e;
}

static struct expr *
lifted_param(struct binder *b, const struct ast_literal *l, oid_t type)
{
    struct expr *e = expr_new(b->arena, EXPR_PARAM, (struct sql_type){ type, -1 }, l->node.at);

    e->u.param.index = l->lifted - 1;
    e->u.param.literal = l;
    if (type != TYPE_UNKNOWN)
        b->lifted_types[e->u.param.index] = type;
    return e;
}

int
bind_literal(struct binder *b, const struct ast_literal *l, struct expr **out)
{
    bool lifted = l->lifted != 0 && b->normal != NULL && !b->foreign_text;
    struct sql_type type = { TYPE_UNKNOWN, -1 };
    struct datum d;
    int rc;

    switch (l->type) {
    case AST_LIT_NULL:
        *out = expr_const(b, type, NULL, l->node.at);
        return 0;
    case AST_LIT_BOOL:
        d = datum_bool(l->boolean);
        type.oid = TYPE_BOOL;
        break;
    case AST_LIT_INT:
        type.oid = l->integer >= INT32_MIN && l->integer <= INT32_MAX ? TYPE_INT4 : TYPE_INT8;
        d = datum_int(l->integer);
        break;
    case AST_LIT_NUMERIC:
        type.oid = TYPE_NUMERIC;
        rc = lifted ? 0 : type_in(TYPE_NUMERIC, b->types, b->arena, l->text, -1, &d);
        if (rc != 0)
            return bind_place(b, rc, l->node.at);
        break;
    default:
        d = datum_bytes(l->text.data, l->text.size);
    }
    *out = lifted ? lifted_param(b, l, type.oid) : expr_const(b, type, &d, l->node.at);
    return 0;
}

int
sql_lifted_value(const struct sql_lifted *lifted, oid_t type, const struct type_env *env,
                 struct arena *arena, struct datum *out)
{
    char number[24];
    struct slice text = lifted->text;

    if (lifted->type == AST_LIT_INT) {
        if (type == TYPE_INT4 || type == TYPE_INT8) {
            *out = datum_int(lifted->integer);
            return 0;
        }
        snprintf(number, sizeof number, "%" PRId64, lifted->integer);
        text = slice_str(arena_strdup(arena, number));
    }
    return type_in(type, env, arena, text, -1, out);
}

/* ---- folding ------------------------------------------------------------------------------- */

static bool
args_are_constant(const struct expr *e)
{
    for (int32_t i = 0; i < e->arg_count; i++)
        if (e->args[i]->kind != EXPR_CONST)
            return false;
    return true;
}

static int
fold_function(struct binder *b, const struct expr *e, struct datum *out)
{
    const struct func *f = e->u.func;
    struct datum args[FUNC_ARGS_MAX];
    oid_t types[FUNC_ARGS_MAX];
    struct func_call call = { .func = f,
                              .env = b->types,
                              .arena = b->arena,
                              .site_arena = b->arena,
                              .arg_count = e->arg_count,
                              .arg_types = types,
                              .result_type = e->type.oid };

    for (int32_t i = 0; i < e->arg_count; i++) {
        const struct datum *d = e->args[i]->u.constant.value;

        args[i] = d == NULL ? (struct datum){ .is_null = true } : *d;
        types[i] = e->args[i]->type.oid;
    }
    return func_apply(&call, args, out);
}

/* An immutable call of constants becomes its value; where that fails, it is left to fail when it is
 * run, if it is. Casts by way of text are not folded: settings change what they give. */
struct expr *
bind_fold(struct binder *b, struct expr *e)
{
    struct datum d;
    int rc;

    if (!args_are_constant(e))
        return e;
    if (e->kind == EXPR_RELABEL) {
        struct expr *copy = expr_const(b, e->type, e->args[0]->u.constant.value, e->at);

        return copy;
    }
    if (e->kind == EXPR_TYPMOD) {
        if (e->args[0]->u.constant.value == NULL)
            return expr_const(b, e->type, NULL, e->at);
        rc = type_coerce_typmod(e->type.oid, e->type.typmod, e->u.is.negated, b->arena,
                                e->args[0]->u.constant.value, &d);
    } else if (e->kind == EXPR_FUNC && (e->u.func->flags & (FUNC_VOLATILITY | FUNC_SET)) == 0 &&
               e->u.func->fn != NULL && e->arg_count <= FUNC_ARGS_MAX) {
        rc = fold_function(b, e, &d);
    } else {
        return e;
    }
    if (rc != 0) {
        diag_clear();
        return e;
    }
    return expr_const(b, e->type, &d, e->at);
}

/* ---- casts --------------------------------------------------------------------------------- */

static bool
is_name_type(oid_t type)
{
    return type == TYPE_REGCLASS || type == TYPE_REGTYPE || type == TYPE_REGPROC ||
           type == TYPE_REGPROCEDURE || type == TYPE_REGNAMESPACE || type == TYPE_REGROLE ||
           type == TYPE_REGCOLLATION;
}

/* The text means the same whatever the session's settings and the time are. */
static bool
text_is_timeless(oid_t type, const struct datum *d)
{
    switch (type) {
    case TYPE_TIMESTAMPTZ:
    case TYPE_TIMESTAMPTZ_ARRAY:
    case TYPE_DATE_ARRAY:
    case TYPE_TIMESTAMP_ARRAY:
    case TYPE_TIME:
    case TYPE_TIME_ARRAY:
        return false;
    case TYPE_DATE:
    case TYPE_TIMESTAMP: /* 2020-01-02...: the order of day and month is out of question */
        return d->size >= 10 && d->p[0] >= '1' && d->p[0] <= '9' && d->p[1] >= '0' &&
               d->p[1] <= '9' && d->p[2] >= '0' && d->p[2] <= '9' && d->p[3] >= '0' &&
               d->p[3] <= '9' && d->p[4] == '-';
    default:
        return true;
    }
}

static int
coerce_unknown_constant(struct binder *b, struct expr **e, oid_t type)
{
    const struct datum *text = (*e)->u.constant.value;
    struct sql_type to = { type, -1 };
    struct expr *cast;
    struct datum d;
    int rc;

    if (text == NULL) {
        *e = expr_const(b, to, NULL, (*e)->at);
        return 0;
    }
    if (!text_is_timeless(type, text) || (is_name_type(type) && b->types->reg_from_name == NULL)) {
        rc = is_name_type(type)
                 ? 0
                 : type_in(type, b->types, b->arena, slice(text->p, text->size), -1, &d);
        if (rc != 0 && rc != ERR_NOT_SUPPORTED) /* wrong now: say so with its place */
            return bind_place(b, rc, (*e)->at);
        cast = expr_with_args(b->arena, EXPR_CAST_IO, to, (*e)->at, 1);
        cast->args[0] = *e;
        *e = cast;
        return 0;
    }
    rc = type_in(type, b->types, b->arena, slice(text->p, text->size), -1, &d);
    if (rc != 0)
        return bind_place(b, rc, (*e)->at);
    *e = expr_const(b, to, &d, (*e)->at);
    return 0;
}

/* A parameter that has no type yet takes this one; one that got another meanwhile has that. */
static int
coerce_unknown_param(struct binder *b, struct expr *e, oid_t type)
{
    oid_t *known = bind_param_type(b, e);

    if (*known == 0)
        *known = type;
    e->type = (struct sql_type){ *known, -1 };
    if (*known != type && e->u.param.literal == NULL)
        return bind_error(b, ERR_DATATYPE_MISMATCH, e->at,
                          "inconsistent types deduced for parameter $%d", e->u.param.index + 1);
    return 0;
}

/* A lifted number can be read as another type of number right away. */
static bool
retype_lifted(struct binder *b, struct expr *e, oid_t type)
{
    bool integer = e->kind == EXPR_PARAM && (e->type.oid == TYPE_INT4 || e->type.oid == TYPE_INT8);
    bool numeric = e->kind == EXPR_PARAM && e->type.oid == TYPE_NUMERIC;

    if (e->kind != EXPR_PARAM || e->u.param.literal == NULL || e->u.param.is_shared)
        return false;
    if (!(integer && (type == TYPE_INT8 || type == TYPE_NUMERIC || type == TYPE_FLOAT8)) &&
        !(numeric && type == TYPE_FLOAT8))
        return false;
    *bind_param_type(b, e) = type;
    e->type.oid = type;
    return true;
}

void
bind_share(struct expr *e)
{
    if (e->kind == EXPR_PARAM)
        e->u.param.is_shared = true;
}

static int
coerce_cast(struct binder *b, struct expr **e, oid_t type, enum cast_context context)
{
    struct cast_path path = cast_find(b->funcs, (*e)->type.oid, type, context);
    enum expr_kind kind = path.kind == CAST_RELABEL ? EXPR_RELABEL
                          : path.kind == CAST_FUNC  ? EXPR_FUNC
                                                    : EXPR_CAST_IO;
    struct sql_type to = { type, -1 };
    struct expr *cast;

    if (path.kind == CAST_NO || path.kind == CAST_ARRAY)
        return ERR_CANNOT_COERCE;
    /* varchar(3) to text keeps nothing of the 3, to varchar it does. */
    if (path.kind == CAST_RELABEL && type == (*e)->type.oid)
        return 0;
    cast = expr_with_args(b->arena, kind, to, (*e)->at, 1);
    cast->args[0] = *e;
    if (kind == EXPR_FUNC)
        cast->u.func = path.func;
    *e = bind_fold(b, cast);
    return 0;
}

int
bind_coerce_try(struct binder *b, struct expr **e, struct sql_type type, enum cast_context context)
{
    struct expr *cut;
    int rc = 0;

    if ((*e)->type.oid != type.oid) {
        if ((*e)->kind == EXPR_CONST && (*e)->type.oid == TYPE_UNKNOWN) {
            rc = coerce_unknown_constant(b, e, type.oid);
        } else if ((*e)->kind == EXPR_PARAM && (*e)->type.oid == TYPE_UNKNOWN) {
            rc = coerce_unknown_param(b, *e, type.oid);
            if (rc == 0 && (*e)->type.oid != type.oid)
                rc = coerce_cast(b, e, type.oid, context);
        } else if (!retype_lifted(b, *e, type.oid)) {
            rc = coerce_cast(b, e, type.oid, context);
        }
    }
    if (rc != 0 || type.typmod < 0 || (*e)->type.typmod == type.typmod)
        return rc;
    cut = expr_with_args(b->arena, EXPR_TYPMOD, type, (*e)->at, 1);
    cut->args[0] = *e;
    cut->u.is.negated = context == CAST_EXPLICIT;
    *e = bind_fold(b, cut);
    return 0;
}

int
bind_coerce(struct binder *b, struct expr **e, struct sql_type type, enum cast_context context,
            int32_t at)
{
    oid_t from = (*e)->type.oid;
    int rc = bind_coerce_try(b, e, type, context);

    if (rc == ERR_CANNOT_COERCE)
        rc = bind_error(b, ERR_CANNOT_COERCE, at, "cannot cast type %s to %s", type_sql_name(from),
                        type_sql_name(type.oid));
    return rc;
}

int
bind_common(struct binder *b, const char *what, struct expr **list, int32_t count,
            struct sql_type *type)
{
    oid_t *types = ARENA_ARRAY(b->arena, oid_t, count);
    int32_t bad = 0, typmod = count > 0 ? list[0]->type.typmod : -1;
    int rc;

    for (int32_t i = 0; i < count; i++) {
        types[i] = list[i]->type.oid;
        if (list[i]->type.oid != list[0]->type.oid || list[i]->type.typmod != typmod)
            typmod = -1;
    }
    *type = (struct sql_type){ TYPE_TEXT, -1 };
    rc = cast_common_type(b->funcs, what, types, count, &type->oid, &bad);
    if (rc != 0)
        return bind_place(b, rc, bad < count ? expr_place(list[bad]) : -1);
    for (int32_t i = 0; rc == 0 && i < count; i++) {
        rc = bind_coerce_try(b, &list[i], *type, CAST_IMPLICIT);
        if (rc == ERR_CANNOT_COERCE)
            rc = bind_error(b, ERR_CANNOT_COERCE, list[i]->at, "%s could not convert type %s to %s",
                            what, type_sql_name(types[i]), type_sql_name(type->oid));
    }
    type->typmod = typmod;
    return rc;
}

int
bind_boolean(struct binder *b, struct expr **e, const char *what)
{
    oid_t from = (*e)->type.oid;
    int rc = bind_coerce_try(b, e, TYPE_BOOL_PLAIN, CAST_IMPLICIT);

    if (rc == ERR_CANNOT_COERCE)
        rc = bind_error(b, ERR_DATATYPE_MISMATCH, expr_place(*e),
                        "argument of %s must be type boolean, not type %s", what,
                        type_sql_name(from));
    return rc;
}

int
bind_assign(struct binder *b, struct expr **e, struct sql_type type, const char *column)
{
    oid_t from = (*e)->type.oid;
    int rc = bind_coerce_try(b, e, type, CAST_ASSIGNMENT);

    if (rc == ERR_CANNOT_COERCE) {
        rc = bind_error(b, ERR_DATATYPE_MISMATCH, expr_place(*e),
                        "column \"%s\" is of type %s but expression is of type %s", column,
                        type_sql_name(type.oid), type_sql_name(from));
        diag_hint("You will need to rewrite or cast the expression.");
    }
    return rc;
}

int
bind_settle(struct binder *b, struct expr **e)
{
    if ((*e)->type.oid != TYPE_UNKNOWN)
        return 0;
    if ((*e)->kind == EXPR_PARAM && (*e)->u.param.literal == NULL && *bind_param_type(b, *e) != 0) {
        (*e)->type = (struct sql_type){ *bind_param_type(b, *e), -1 };
        return 0;
    }
    return bind_coerce(b, e, TYPE_TEXT_PLAIN, CAST_IMPLICIT, (*e)->at);
}

/* ---- names of types -------------------------------------------------------------------------- */

static int
type_modifiers(struct binder *b, const struct ast_type_name *t, oid_t type, int32_t *typmod)
{
    int32_t mods[4], count = ast_count(t->typmods);
    int rc;

    if (count > 4)
        return bind_error(b, ERR_SYNTAX, t->node.at, "invalid type modifier");
    for (int32_t i = 0; i < count; i++) {
        const struct ast_literal *l = AST_CONST(ast_literal, t->typmods->item[i]);

        if (l->node.kind != AST_LITERAL || l->type != AST_LIT_INT || l->integer > INT32_MAX ||
            l->integer < INT32_MIN)
            return bind_error(b, ERR_SYNTAX, l->node.at,
                              "type modifiers must be simple constants or identifiers");
        mods[i] = (int32_t)l->integer;
        b->pinned = b->pinned || l->lifted != 0;
    }
    rc = type_typmod(type, mods, count, typmod);
    return rc == 0 ? 0 : bind_place(b, rc, t->node.at);
}

int
bind_type_name(struct binder *b, const struct ast_type_name *t, struct sql_type *out)
{
    bool ours = t->schema == NULL || strcmp(t->schema, "pg_catalog") == 0;
    const struct type *type = ours && !t->is_serial ? type_by_name(slice_str(t->name)) : NULL;

    *out = (struct sql_type){ 0, -1 };
    if (type == NULL) {
        if (t->schema != NULL && !ours)
            return bind_error(b, ERR_UNDEFINED_OBJECT, t->node.at, "type \"%s.%s\" does not exist",
                              t->schema, t->name);
        if (strcmp(t->name, "timetz") == 0)
            return bind_error(b, ERR_NOT_SUPPORTED, t->node.at,
                              "type time with time zone is not supported");
        return bind_error(b, ERR_UNDEFINED_OBJECT, t->node.at, "type \"%s\" does not exist",
                          t->is_serial ? "serial" : t->name);
    }
    out->oid = type->oid;
    if (t->typmods != NULL) {
        int rc = type_modifiers(b, t, type->oid, &out->typmod);

        if (rc != 0)
            return rc;
    }
    if (t->array_dims > 0) {
        if (type->array_oid == 0)
            return bind_error(b, ERR_NOT_SUPPORTED, t->node.at,
                              "arrays of type %s are not supported", type->sql_name);
        out->oid = type->array_oid;
    }
    return 0;
}
