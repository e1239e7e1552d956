/* Calls of functions and aggregates.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/bind_int.h"

static void
note_volatile(struct binder *b, const struct func *f)
{
    if ((f->flags & FUNC_VOLATILE) != 0)
        for (struct bind_scope *s = b->scope; s != NULL; s = s->outer)
            s->query->is_volatile = true;
}

/* Arguments as the match asks; of variadic "any" as they are. */
static int
coerce_args(struct binder *b, const struct func_match *m, struct expr **args, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        int rc;

        if (m->args[i] == TYPE_ANY || m->args[i] == TYPE_UNKNOWN)
            rc = bind_settle(b, &args[i]);
        else
            rc = bind_coerce(b, &args[i], (struct sql_type){ m->args[i], -1 }, CAST_IMPLICIT,
                             args[i]->at);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int
resolve(struct binder *b, const char *name, struct expr **args, int32_t count, bool variadic,
        int32_t at, struct func_match *m)
{
    oid_t types[FUNC_ARGS_MAX];
    int rc;

    if (count > FUNC_ARGS_MAX)
        return bind_error(b, ERR_TOO_MANY_ARGUMENTS, at,
                          "cannot pass more than %d arguments to a function", FUNC_ARGS_MAX);
    for (int32_t i = 0; i < count; i++)
        types[i] = args[i]->type.oid;
    rc = func_resolve(b->funcs, slice_str(name), types, count, variadic, m);
    return rc == 0 ? 0 : bind_place(b, rc, at);
}

static struct expr *
make_call(struct binder *b, const struct func_match *m, struct expr **args, int32_t count,
          int32_t at)
{
    struct expr *e =
        expr_with_args(b->arena, EXPR_FUNC, (struct sql_type){ m->result, -1 }, at, count);

    for (int32_t i = 0; i < count; i++)
        e->args[i] = args[i];
    e->u.call.func = m->func;
    note_volatile(b, m->func);
    return e;
}

int
bind_call(struct binder *b, const char *name, struct expr **args, int32_t count, int32_t at,
          struct expr **out)
{
    struct func_match m;
    int rc = resolve(b, name, args, count, false, at, &m);

    if (rc == 0 && m.cast_name != NULL) {
        *out = args[0];
        return bind_coerce(b, out, (struct sql_type){ m.result, -1 }, CAST_EXPLICIT, at);
    }
    if (rc == 0)
        rc = coerce_args(b, &m, args, count);
    if (rc == 0)
        *out = bind_fold(b, make_call(b, &m, args, count, at));
    return rc;
}

/* ---- aggregates ---------------------------------------------------------------------------- */

/* The nearest query that a column within belongs to; INT32_MAX: no columns. */
static int
find_level(struct expr **child, void *arg)
{
    int32_t *level = arg;

    if ((*child)->kind == EXPR_VAR && (*child)->u.var.level < *level)
        *level = (*child)->u.var.level;
    if ((*child)->kind == EXPR_SUBLINK)
        *level = 0; /* not looked into: taken for ours */
    return expr_each_child(*child, find_level, arg);
}

/* An aggregate inside another's arguments; stops there. */
static int
find_agg(struct expr **child, void *arg)
{
    if ((*child)->kind == EXPR_AGG) {
        *(int32_t *)arg = (*child)->at;
        return 1;
    }
    return expr_each_child(*child, find_agg, arg);
}

static int
agg_allowed(struct binder *b, int32_t at)
{
    struct bind_scope *s = b->scope;

    if (s->agg_depth > 0)
        return bind_error(b, ERR_GROUPING, at, "aggregate function calls cannot be nested");
    switch (s->clause) {
    case CLAUSE_SELECT:
    case CLAUSE_HAVING:
    case CLAUSE_ORDER_BY:
    case CLAUSE_DISTINCT_ON:
        return 0;
    default:
        return bind_error(b, ERR_GROUPING, at, "aggregate functions are not allowed in %s",
                          bind_clause_name(s));
    }
}

static int
agg_order(struct binder *b, const struct ast_func *f, struct expr *e)
{
    int32_t count = ast_count(f->order_by);
    int rc = 0;

    e->u.agg.order = ARENA_ARRAY(b->arena, struct sort_key, count + 1);
    e->u.agg.order_count = count;
    for (int32_t i = 0; rc == 0 && i < count; i++) {
        const struct ast_sort *s = AST_CONST(ast_sort, f->order_by->item[i]);
        struct sort_key *k = &e->u.agg.order[i];

        if (s->dir == AST_SORT_USING)
            return bind_error(b, ERR_NOT_SUPPORTED, s->node.at,
                              "ORDER BY ... USING is not supported here");
        rc = bind_expr(b, s->value, &k->value);
        if (rc == 0)
            rc = bind_settle(b, &k->value);
        k->descending = s->dir == AST_SORT_DESC;
        k->nulls_first =
            s->nulls == AST_NULLS_DEFAULT ? k->descending : s->nulls == AST_NULLS_FIRST;
    }
    return rc;
}

/* What DISTINCT has made one is in no other order than that of what it compared. */
static int
agg_order_is_distinct(struct binder *b, const struct expr *e)
{
    for (int32_t i = 0; i < e->u.agg.order_count; i++) {
        const struct expr *key = e->u.agg.order[i].value;
        bool found = false;

        for (int32_t k = 0; k < e->arg_count && !found; k++)
            found = expr_equal(e->args[k], key) ||
                    (e->args[k]->kind == EXPR_RELABEL && expr_equal(e->args[k]->args[0], key));
        if (!found)
            return bind_error(b, ERR_INVALID_COLUMN_REFERENCE, expr_place(key),
                              "in an aggregate with DISTINCT, ORDER BY expressions must appear in "
                              "argument list");
    }
    return 0;
}

/* The arguments have been bound with agg_depth raised. */
static int
bind_agg(struct binder *b, const struct ast_func *f, const struct func_match *m, struct expr **args,
         int32_t count, struct expr **out)
{
    struct expr *e =
        expr_with_args(b->arena, EXPR_AGG, (struct sql_type){ m->result, -1 }, f->node.at, count);
    int32_t level = INT32_MAX, nested = -1;
    int rc = agg_allowed(b, f->node.at);

    for (int32_t i = 0; i < count; i++)
        e->args[i] = args[i];
    e->u.agg.func = m->func;
    e->u.agg.distinct = f->distinct;
    e->u.agg.star = f->star;
    b->scope->agg_depth++;
    if (rc == 0 && expr_each_child(e, find_agg, &nested) != 0)
        rc = bind_error(b, ERR_GROUPING, nested, "aggregate function calls cannot be nested");
    if (rc == 0)
        rc = agg_order(b, f, e);
    if (rc == 0 && f->distinct)
        rc = agg_order_is_distinct(b, e);
    if (rc == 0 && f->filter != NULL)
        rc = bind_condition(b, f->filter, CLAUSE_FILTER, "FILTER", &e->u.agg.filter);
    b->scope->agg_depth--;
    if (rc != 0)
        return rc;
    expr_each_child(e, find_level, &level);
    if (level != INT32_MAX && level > 0)
        return bind_error(b, ERR_NOT_SUPPORTED, f->node.at,
                          "an aggregate of an outer query is not supported");
    if (f->distinct && count > 0 && type_get(args[0]->type.oid)->cmp == NULL)
        return bind_error(b, ERR_UNDEFINED_FUNCTION, f->node.at,
                          "could not identify an equality operator for type %s",
                          type_sql_name(args[0]->type.oid));
    b->scope->query->has_aggs = b->scope->query->grouped = true;
    *out = e;
    return 0;
}

/* ---- sets ---------------------------------------------------------------------------------- */

/* A set-returning function in the select list: its rows multiply the query's. It becomes an entry
 * of FROM, beside all others. */
static int
set_in_targets(struct binder *b, struct expr *call, int32_t at, struct expr **out)
{
    struct query *q = b->scope->query;
    struct rte *rte;
    int32_t rel;

    if (b->scope->clause != CLAUSE_SELECT || b->scope->agg_depth > 0)
        return bind_error(b, ERR_NOT_SUPPORTED, at, "set-returning functions are not allowed in %s",
                          bind_clause_name(b->scope));
    if (b->scope->has_srf)
        return bind_error(b, ERR_NOT_SUPPORTED, at,
                          "more than one set-returning function in a select list is not supported");
    b->scope->has_srf = true;
    rte = ARENA_NEW(b->arena, struct rte);
    rte->kind = RTE_FUNCTION;
    rte->func = call->u.func;
    rte->call = call;
    rte->lateral = true;
    rte->alias = call->u.func->name;
    rte->column_count = 1;
    rte->columns = ARENA_ARRAY(b->arena, struct rte_column, 1);
    rte->columns[0] = (struct rte_column){ call->u.func->name, call->type };
    rel = query_add_rel(b, q, rte);
    from_add(b, q, from_rel(b, rel));
    *out = bind_var(b, q, rel, 0, 0, at);
    return 0;
}

/* ---- calls --------------------------------------------------------------------------------- */

static int
check_call_form(struct binder *b, const struct ast_func *f, const struct func_match *m)
{
    bool agg = m->func->agg != NULL;
    int32_t at = f->node.at;

    if (!agg && f->star)
        return bind_error(b, ERR_WRONG_OBJECT_TYPE, at,
                          "%s(*) specified, but %s is not an aggregate function", f->name, f->name);
    if (!agg && f->distinct)
        return bind_error(b, ERR_WRONG_OBJECT_TYPE, at,
                          "DISTINCT specified, but %s is not an aggregate function", f->name);
    if (!agg && f->order_by != NULL)
        return bind_error(b, ERR_WRONG_OBJECT_TYPE, at,
                          "ORDER BY specified, but %s is not an aggregate function", f->name);
    if (!agg && f->filter != NULL)
        return bind_error(b, ERR_WRONG_OBJECT_TYPE, at,
                          "FILTER specified, but %s is not an aggregate function", f->name);
    if (agg && f->args == NULL && !f->star && m->arg_count == 0) {
        return bind_error(b, ERR_WRONG_OBJECT_TYPE, at,
                          "%s(*) must be used to call a parameterless aggregate function", f->name);
    }
    return 0;
}

int
bind_func(struct binder *b, const struct ast_func *f, struct expr **out)
{
    int32_t count = ast_count(f->args);
    struct expr **args, *e;
    struct func_match m;
    const struct ast *srf = b->scope->srf;
    int rc;

    if (f->schema != NULL && strcmp(f->schema, "pg_catalog") != 0)
        return bind_error(b, ERR_UNDEFINED_SCHEMA, f->node.at, "schema \"%s\" does not exist",
                          f->schema);
    b->scope->srf = NULL;
    rc = bind_list(b, f->args, &args);
    b->scope->srf = srf;
    if (rc == 0)
        rc = resolve(b, f->name, args, count, f->variadic, f->node.at, &m);
    if (rc != 0)
        return rc;
    if (m.cast_name != NULL) {
        *out = args[0];
        return bind_coerce(b, out, (struct sql_type){ m.result, -1 }, CAST_EXPLICIT, f->node.at);
    }
    rc = check_call_form(b, f, &m);
    if (rc == 0)
        rc = coerce_args(b, &m, args, count);
    if (rc != 0)
        return rc;
    if (m.func->agg != NULL)
        return bind_agg(b, f, &m, args, count, out);
    e = make_call(b, &m, args, count, f->node.at);
    if ((m.func->flags & FUNC_SET) != 0 && b->scope->srf != &f->node)
        return set_in_targets(b, e, f->node.at, out);
    *out = bind_fold(b, e);
    return 0;
}

/* ---- CURRENT_TIMESTAMP and its kin ----------------------------------------------------------- */

int
bind_value_func(struct binder *b, const struct ast_value_func *f, struct expr **out)
{
    static const struct {
        const char *name;
        oid_t type; /* what the function's value is cast to; 0: nothing */
    } table[] = {
        [AST_CURRENT_DATE] = { "now", TYPE_DATE },
        [AST_CURRENT_TIME] = { NULL, 0 },
        [AST_CURRENT_TIMESTAMP] = { "now", TYPE_TIMESTAMPTZ },
        [AST_LOCALTIME] = { "now", TYPE_TIME },
        [AST_LOCALTIMESTAMP] = { "now", TYPE_TIMESTAMP },
        [AST_CURRENT_USER] = { "current_user", 0 },
        [AST_SESSION_USER] = { "session_user", 0 },
        [AST_CURRENT_ROLE] = { "current_user", 0 },
        [AST_USER] = { "current_user", 0 },
        [AST_CURRENT_CATALOG] = { "current_database", 0 },
        [AST_CURRENT_SCHEMA] = { "current_schema", 0 },
    };
    struct sql_type type = { table[f->func].type, -1 };
    int rc;

    if (table[f->func].name == NULL)
        return bind_error(b, ERR_NOT_SUPPORTED, f->node.at, "time with time zone is not supported");
    rc = bind_call(b, table[f->func].name, NULL, 0, f->node.at, out);
    if (rc == 0 && type.oid != 0) {
        int32_t mods[1] = { f->precision };

        if (f->precision >= 0)
            rc = type_typmod(type.oid, mods, 1, &type.typmod);
        if (rc != 0)
            return bind_place(b, rc, f->node.at);
        rc = bind_coerce(b, out, type, CAST_EXPLICIT, f->node.at);
    }
    return rc;
}
