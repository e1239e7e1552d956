/* SELECT: its clauses in the order in which PostgreSQL looks at them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/bind_int.h"

/* ---- scopes -------------------------------------------------------------------------------- */

struct query *
query_new(struct binder *b, enum ast_kind command)
{
    struct query *q = ARENA_NEW(b->arena, struct query);

    q->command = command;
    q->target_rel = q->excluded_rel = -1;
    return q;
}

void
scope_push(struct binder *b, struct bind_scope *s, struct query *q)
{
    *s = (struct bind_scope){ .outer = b->scope, .query = q };
    b->scope = s;
}

void
scope_pop(struct binder *b)
{
    b->scope = b->scope->outer;
}

int
bind_query(struct binder *b, const struct ast *select, bool settle, struct query **out)
{
    struct bind_scope scope;
    int rc = bind_deeper(b);

    if (rc != 0)
        return rc;
    *out = query_new(b, AST_SELECT);
    scope_push(b, &scope, *out);
    rc = bind_select_in(b, AST_CONST(ast_select, select), settle);
    scope_pop(b);
    bind_shallower(b);
    if (b->scope != NULL && (*out)->is_volatile)
        b->scope->query->is_volatile = true;
    return rc;
}

/* ---- the select list ------------------------------------------------------------------------- */

struct target *
query_add_target(struct binder *b, struct query *q, struct expr *value, const char *name)
{
    struct target *t;

    if (q->target_count == q->target_capacity) {
        int32_t capacity = q->target_capacity == 0 ? 4 : 2 * q->target_capacity;
        struct target *more = ARENA_ARRAY(b->arena, struct target, capacity);

        if (q->target_count > 0)
            memcpy(more, q->targets, sizeof *more * (size_t)q->target_count);
        q->targets = more;
        q->target_capacity = capacity;
    }
    t = &q->targets[q->target_count++];
    *t = (struct target){ .value = value, .name = name };
    bind_origin(q, value, t);
    return t;
}

static int
add_star_column(struct binder *b, const char *name, struct expr *value, void *arg)
{
    (void)arg;
    query_add_target(b, b->scope->query, value, name);
    return 0;
}

/* What a result column without AS is called; *strength 2: by what it is, 1: only by its type. */
/* dispatch */
static const char *
figure_name(const struct ast *e, int *strength)
{
    static const char *const value_names[] = {
        "current_date",   "current_time",    "current_timestamp", "localtime",
        "localtimestamp", "current_user",    "session_user",      "current_role",
        "user",           "current_catalog", "current_schema",
    };
    const struct ast_column *c = AST_CONST(ast_column, e);
    const struct ast_sublink *s = AST_CONST(ast_sublink, e);
    const char *name;

    *strength = 2;
    switch (e->kind) {
    case AST_COLUMN:
        return c->part[c->part_count - 1];
    case AST_FIELD:
        return AST_CONST(ast_field, e)->name;
    case AST_FUNC:
        return AST_CONST(ast_func, e)->name;
    case AST_COLLATE:
        return figure_name(AST_CONST(ast_collate, e)->arg, strength);
    case AST_SUBSCRIPT:
        return figure_name(AST_CONST(ast_subscript, e)->arg, strength);
    case AST_CAST:
        name = figure_name(AST_CONST(ast_cast, e)->arg, strength);
        if (name != NULL && *strength == 2)
            return name;
        *strength = 1;
        return AST_CONST(ast_cast, e)->type->name;
    case AST_CASE:
        if (AST_CONST(ast_case, e)->otherwise != NULL) {
            name = figure_name(AST_CONST(ast_case, e)->otherwise, strength);
            if (name != NULL && *strength == 2)
                return name;
        }
        *strength = 1;
        return "case";
    case AST_SUBLINK:
        if (s->sublink == AST_SUBLINK_EXISTS || s->sublink == AST_SUBLINK_ARRAY)
            return s->sublink == AST_SUBLINK_EXISTS ? "exists" : "array";
        if (s->sublink == AST_SUBLINK_SCALAR) {
            const struct ast_select *q = AST_CONST(ast_select, s->query);
            const struct ast_target *t;

            while (q->set_op != AST_SETOP_NONE)
                q = q->left;
            if (ast_count(q->targets) == 0)
                return NULL;
            t = AST_CONST(ast_target, q->targets->item[0]);
            return t->name != NULL ? t->name : figure_name(t->value, strength);
        }
        return NULL;
    case AST_ARRAY:
        return "array";
    case AST_ROW:
        return "row";
    case AST_COALESCE:
        return "coalesce";
    case AST_GREATEST:
        return "greatest";
    case AST_LEAST:
        return "least";
    case AST_NULLIF:
        return "nullif";
    case AST_VALUE_FUNC:
        return value_names[AST_CONST(ast_value_func, e)->func];
    default:
        return NULL;
    }
}

const char *
bind_target_name(const struct ast *e)
{
    int strength;
    const char *name = figure_name(e, &strength);

    return name == NULL ? "?column?" : name;
}

int
bind_targets(struct binder *b, const struct ast_list *list, enum bind_clause clause)
{
    struct query *q = b->scope->query;
    int rc = 0;

    for (int32_t i = 0; rc == 0 && i < ast_count(list); i++) {
        const struct ast_target *t = AST_CONST(ast_target, list->item[i]);
        const struct ast_column *c = AST_CONST(ast_column, t->value);
        struct expr *value;

        if (t->value->kind == AST_COLUMN && c->star) {
            rc = bind_star(b, c, add_star_column, NULL);
            continue;
        }
        rc = bind_clause(b, t->value, clause, &value);
        if (rc == 0)
            query_add_target(b, q, value,
                             bind_copy(b, t->name != NULL ? t->name : bind_target_name(t->value)));
    }
    q->visible_count = q->target_count;
    if (rc == 0 && q->target_count > BIND_COLUMNS_MAX)
        rc = DIAG(ERR_TOO_MANY_COLUMNS, "target lists can have at most %d entries",
                  BIND_COLUMNS_MAX);
    return rc;
}

static int
settle_targets(struct binder *b, struct query *q)
{
    int rc = 0;

    for (int32_t i = 0; rc == 0 && i < q->target_count; i++)
        rc = bind_settle(b, &q->targets[i].value);
    return rc;
}

/* ---- ORDER BY, GROUP BY, DISTINCT ------------------------------------------------------------ */

/* The target that an expression is equal to, or a junk one. */
static int32_t
target_for(struct binder *b, struct query *q, struct expr *value)
{
    for (int32_t i = 0; i < q->target_count; i++)
        if (expr_equal(q->targets[i].value, value))
            return i;
    query_add_target(b, q, value, NULL)->junk = true;
    return q->target_count - 1;
}

/* An item that is the number or the name of a result column; *target -1: it is neither. */
static int
target_by_word(struct binder *b, const struct ast *e, const char *clause, int32_t *target)
{
    const struct query *q = b->scope->query;
    const struct ast_column *c = AST_CONST(ast_column, e);
    const struct ast_literal *l = AST_CONST(ast_literal, e);

    *target = -1;
    if (e->kind == AST_LITERAL) {
        b->pinned = b->pinned || l->lifted != 0;
        if (l->type != AST_LIT_INT)
            return bind_error(b, ERR_SYNTAX, e->at, "non-integer constant in %s", clause);
        if (l->integer < 1 || l->integer > q->visible_count)
            return bind_error(b, ERR_INVALID_COLUMN_REFERENCE, e->at,
                              "%s position %lld is not in select list", clause,
                              (long long)l->integer);
        *target = (int32_t)l->integer - 1;
        return 0;
    }
    if (e->kind != AST_COLUMN || c->part_count != 1 || c->star)
        return 0;
    for (int32_t i = 0; i < q->visible_count; i++) {
        if (strcmp(q->targets[i].name, c->part[0]) != 0)
            continue;
        if (*target >= 0 && !expr_equal(q->targets[i].value, q->targets[*target].value))
            return bind_error(b, ERR_AMBIGUOUS_COLUMN, e->at, "%s \"%s\" is ambiguous", clause,
                              c->part[0]);
        if (*target < 0)
            *target = i;
    }
    return 0;
}

static int
needs_order(struct binder *b, const struct expr *e, int32_t at)
{
    if (type_get(e->type.oid)->cmp != NULL)
        return 0;
    return bind_error(b, ERR_UNDEFINED_FUNCTION, at,
                      "could not identify an ordering operator for type %s",
                      type_sql_name(e->type.oid));
}

static int
order_direction(struct binder *b, const struct ast_sort *s, struct order_item *item)
{
    item->descending = s->dir == AST_SORT_DESC;
    if (s->dir == AST_SORT_USING) {
        if (strcmp(s->using_op, "<") != 0 && strcmp(s->using_op, ">") != 0)
            return bind_error(b, ERR_WRONG_OBJECT_TYPE, s->node.at,
                              "operator %s is not a valid ordering operator", s->using_op);
        item->descending = s->using_op[0] == '>';
    }
    item->nulls_first =
        s->nulls == AST_NULLS_DEFAULT ? item->descending : s->nulls == AST_NULLS_FIRST;
    return 0;
}

static int
order_target(struct binder *b, const struct ast *e, enum bind_clause clause, int32_t *target)
{
    struct query *q = b->scope->query;
    struct expr *value;
    int rc;

    if (q->set_op != AST_SETOP_NONE) {
        if (e->kind == AST_COLUMN && AST_CONST(ast_column, e)->part_count == 1)
            return bind_error(b, ERR_UNDEFINED_COLUMN, e->at, "column \"%s\" does not exist",
                              AST_CONST(ast_column, e)->part[0]);
        rc = bind_error(b, ERR_NOT_SUPPORTED, e->at,
                        "invalid UNION/INTERSECT/EXCEPT ORDER BY clause");
        diag_detail("Only result column names can be used, not expressions or functions.");
        return rc;
    }
    rc = bind_clause(b, e, clause, &value);
    if (rc == 0)
        rc = bind_settle(b, &value);
    if (rc == 0)
        *target = target_for(b, q, value);
    return rc;
}

int
bind_order(struct binder *b, const struct ast_list *list)
{
    struct query *q = b->scope->query;
    int32_t count = ast_count(list);
    int rc = 0;

    q->order = ARENA_ARRAY(b->arena, struct order_item, count + 1);
    for (int32_t i = 0; rc == 0 && i < count; i++) {
        const struct ast_sort *s = AST_CONST(ast_sort, list->item[i]);
        struct order_item item;

        rc = target_by_word(b, s->value, "ORDER BY", &item.target);
        if (rc == 0 && item.target < 0)
            rc = order_target(b, s->value, CLAUSE_ORDER_BY, &item.target);
        if (rc == 0)
            rc = order_direction(b, s, &item);
        if (rc == 0)
            rc = bind_settle(b, &q->targets[item.target].value);
        if (rc == 0)
            rc = needs_order(b, q->targets[item.target].value, s->node.at);
        if (rc == 0)
            q->order[q->order_count++] = item;
    }
    return rc;
}

/* GROUP BY prefers a column of FROM to a result column of that name. */
static int
group_item(struct binder *b, const struct ast *e, struct expr **out)
{
    struct query *q = b->scope->query;
    const struct ast_column *c = AST_CONST(ast_column, e);
    int32_t target = -1;
    int rc;

    *out = NULL;
    if (e->kind == AST_COLUMN && c->part_count == 1 && !c->star) {
        struct expr *column = NULL;

        rc = bind_clause(b, e, CLAUSE_GROUP_BY, &column);
        if (rc == 0 && column->kind == EXPR_VAR && column->u.var.level == 0) {
            *out = column;
            return 0;
        }
        if (rc != 0 && rc != ERR_UNDEFINED_COLUMN)
            return rc;
    }
    rc = target_by_word(b, e, "GROUP BY", &target);
    if (rc == 0 && target >= 0) {
        *out = q->targets[target].value;
        return 0;
    }
    return rc != 0 ? rc : bind_clause(b, e, CLAUSE_GROUP_BY, out);
}

static int
find_agg_in(struct expr **child, void *arg)
{
    if ((*child)->kind == EXPR_AGG) {
        *(int32_t *)arg = (*child)->at;
        return 1;
    }
    return expr_each_child(*child, find_agg_in, arg);
}

static int
bind_groups(struct binder *b, const struct ast_list *list)
{
    struct query *q = b->scope->query;
    int32_t count = ast_count(list), at = -1;
    int rc = 0;

    q->grouped = q->grouped || count > 0;
    q->group = ARENA_ARRAY(b->arena, struct expr *, count + 1);
    for (int32_t i = 0; rc == 0 && i < count; i++) {
        struct expr *value;
        bool known = false;

        rc = group_item(b, list->item[i], &value);
        if (rc == 0)
            rc = bind_settle(b, &value);
        if (rc == 0 && find_agg_in(&value, &at) != 0)
            rc = bind_error(b, ERR_GROUPING, at, "aggregate functions are not allowed in GROUP BY");
        if (rc == 0 && type_get(value->type.oid)->cmp == NULL)
            rc = bind_error(b, ERR_UNDEFINED_FUNCTION, list->item[i]->at,
                            "could not identify an equality operator for type %s",
                            type_sql_name(value->type.oid));
        for (int32_t k = 0; rc == 0 && k < q->group_count; k++)
            known = known || expr_equal(q->group[k], value);
        if (rc == 0 && !known)
            q->group[q->group_count++] = value;
    }
    return rc;
}

static int
distinct_matches_order(struct binder *b, const struct query *q)
{
    for (int32_t i = 0; i < q->order_count && q->distinct_on_count == 0; i++)
        if (q->targets[q->order[i].target].junk)
            return bind_error(
                b, ERR_INVALID_COLUMN_REFERENCE, expr_place(q->targets[q->order[i].target].value),
                "for SELECT DISTINCT, ORDER BY expressions must appear in select list");
    for (int32_t i = 0; i < q->order_count && i < q->distinct_on_count; i++) {
        bool found = false;

        for (int32_t k = 0; k < q->distinct_on_count; k++)
            found = found || q->distinct_on[k] == q->order[i].target;
        if (!found)
            return bind_error(
                b, ERR_INVALID_COLUMN_REFERENCE, q->targets[q->order[i].target].value->at,
                "SELECT DISTINCT ON expressions must match initial ORDER BY expressions");
    }
    return 0;
}

static int
bind_distinct_clause(struct binder *b, const struct ast_select *s)
{
    struct query *q = b->scope->query;
    int rc = 0;

    q->distinct = s->distinct;
    if (!s->distinct)
        return 0;
    q->distinct_on = ARENA_ARRAY(b->arena, int32_t, ast_count(s->distinct_on) + 1);
    for (int32_t i = 0; rc == 0 && i < ast_count(s->distinct_on); i++) {
        const struct ast *e = s->distinct_on->item[i];
        int32_t target;

        rc = target_by_word(b, e, "SELECT DISTINCT ON", &target);
        if (rc == 0 && target < 0)
            rc = order_target(b, e, CLAUSE_DISTINCT_ON, &target);
        if (rc == 0)
            rc = bind_settle(b, &q->targets[target].value);
        if (rc == 0)
            rc = needs_order(b, q->targets[target].value, e->at);
        if (rc == 0)
            q->distinct_on[q->distinct_on_count++] = target;
    }
    for (int32_t i = 0; rc == 0 && q->distinct_on_count == 0 && i < q->visible_count; i++) {
        rc = bind_settle(b, &q->targets[i].value);
        if (rc == 0 && type_get(q->targets[i].value->type.oid)->cmp == NULL)
            rc = bind_error(b, ERR_UNDEFINED_FUNCTION, q->targets[i].value->at,
                            "could not identify an equality operator for type %s",
                            type_sql_name(q->targets[i].value->type.oid));
    }
    return rc != 0 ? rc : distinct_matches_order(b, q);
}

/* ---- LIMIT, FOR UPDATE ----------------------------------------------------------------------- */

static int
bind_count(struct binder *b, const struct ast *e, const char *name, struct expr **out)
{
    int rc;

    *out = NULL;
    if (e == NULL)
        return 0;
    rc = bind_clause(b, e, CLAUSE_LIMIT, out);
    if (rc == 0 && !expr_is_constant(*out) && (*out)->kind != EXPR_SUBLINK)
        rc = bind_error(b, ERR_INVALID_COLUMN_REFERENCE, e->at,
                        "argument of %s must not contain variables", name);
    if (rc == 0) {
        oid_t from = (*out)->type.oid;

        rc = bind_coerce_try(b, out, TYPE_INT8_PLAIN, CAST_ASSIGNMENT);
        if (rc == ERR_CANNOT_COERCE)
            rc = bind_error(b, ERR_DATATYPE_MISMATCH, e->at,
                            "argument of %s must be type bigint, not type %s", name,
                            type_sql_name(from));
    }
    return rc;
}

static const char *
lock_name(enum ast_lock_strength strength)
{
    static const char *const names[] = { "", "FOR KEY SHARE", "FOR SHARE", "FOR NO KEY UPDATE",
                                         "FOR UPDATE" };

    return names[strength];
}

/* Marks entries; a nullable side of an outer join cannot be locked. */
static int
lock_from(struct binder *b, const struct from *f, const struct ast_locking *l, const char *of,
          bool nullable, bool *found)
{
    struct rte *rte;
    int rc;

    if (f->kind == FROM_JOIN) {
        rc = lock_from(b, f->left, l, of, nullable || f->join == AST_JOIN_FULL, found);
        return rc != 0
                   ? rc
                   : lock_from(b, f->right, l, of, nullable || f->join != AST_JOIN_INNER, found);
    }
    rte = b->scope->query->rels[f->rel];
    if (of != NULL && strcmp(of, rte->alias) != 0)
        return 0;
    *found = true;
    if (rte->kind != RTE_TABLE) {
        if (of == NULL && rte->kind != RTE_SUBQUERY)
            return 0;
        return bind_error(b, ERR_NOT_SUPPORTED, l->node.at, "%s cannot be applied to \"%s\"",
                          lock_name(l->strength), rte->alias);
    }
    if (nullable)
        return bind_error(b, ERR_NOT_SUPPORTED, l->node.at,
                          "%s cannot be applied to the nullable side of an outer join",
                          lock_name(l->strength));
    if (rte->as_of != AST_AS_OF_NONE || rte->table->is_system)
        return bind_error(b, ERR_NOT_SUPPORTED, l->node.at, "%s cannot be applied to \"%s\"",
                          lock_name(l->strength), rte->alias);
    if (l->strength > rte->lock)
        rte->lock = l->strength;
    if (l->wait > rte->lock_wait)
        rte->lock_wait = l->wait;
    return 0;
}

static int
bind_locking(struct binder *b, const struct ast_locking *l)
{
    struct query *q = b->scope->query;
    const char *with = q->set_op != AST_SETOP_NONE ? "UNION/INTERSECT/EXCEPT"
                       : q->distinct               ? "DISTINCT clause"
                       : q->group_count > 0        ? "GROUP BY clause"
                       : q->having != NULL         ? "HAVING clause"
                       : q->has_aggs               ? "aggregate functions"
                       : b->scope->has_srf         ? "set-returning functions in the target list"
                                                   : NULL;
    bool found = false;
    int rc = 0;

    if (with != NULL)
        return bind_error(b, ERR_NOT_SUPPORTED, l->node.at, "%s is not allowed with %s",
                          lock_name(l->strength), with);
    q->locks = true;
    if (l->of == NULL)
        return q->from == NULL ? 0 : lock_from(b, q->from, l, NULL, false, &found);
    for (int32_t i = 0; rc == 0 && i < ast_count(l->of); i++) {
        const struct ast_relation *r = AST_CONST(ast_relation, l->of->item[i]);

        found = false;
        rc = q->from == NULL ? 0 : lock_from(b, q->from, l, r->name, false, &found);
        if (rc == 0 && !found)
            rc = bind_error(b, ERR_UNDEFINED_TABLE, r->node.at,
                            "relation \"%s\" in %s clause not found in FROM clause", r->name,
                            lock_name(l->strength));
    }
    return rc;
}

int
bind_tail(struct binder *b, const struct ast_select *s)
{
    struct query *q = b->scope->query;
    int rc = bind_count(b, s->limit, "LIMIT", &q->limit);

    q->with_ties = s->with_ties;
    if (rc == 0)
        rc = bind_count(b, s->offset, "OFFSET", &q->offset);
    for (int32_t i = 0; rc == 0 && i < ast_count(s->locking); i++)
        rc = bind_locking(b, AST_CONST(ast_locking, s->locking->item[i]));
    return rc;
}

/* ---- SELECT -------------------------------------------------------------------------------- */

int
bind_select_in(struct binder *b, const struct ast_select *s, bool settle)
{
    struct query *q = b->scope->query;
    int rc = bind_with(b, s->with);

    if (rc != 0)
        return rc;
    if (s->set_op != AST_SETOP_NONE)
        return bind_set_op(b, s, settle);
    if (s->values != NULL)
        return bind_values(b, s, settle);
    rc = bind_from_list(b, s->from);
    if (rc == 0)
        rc = bind_targets(b, s->targets, CLAUSE_SELECT);
    if (rc == 0)
        rc = bind_condition(b, s->where, CLAUSE_WHERE, "WHERE", &q->where);
    if (rc == 0)
        rc = bind_condition(b, s->having, CLAUSE_HAVING, "HAVING", &q->having);
    q->grouped = q->grouped || s->having != NULL;
    if (rc == 0)
        rc = bind_order(b, s->order_by);
    if (rc == 0)
        rc = bind_groups(b, s->group_by);
    if (rc == 0)
        rc = bind_distinct_clause(b, s);
    if (rc == 0 && settle)
        rc = settle_targets(b, q);
    if (rc == 0)
        rc = bind_tail(b, s);
    if (rc == 0 && q->grouped && b->scope->has_srf)
        rc = bind_error(b, ERR_NOT_SUPPORTED, s->node.at,
                        "set-returning functions beside aggregates are not supported");
    if (rc == 0 && q->grouped)
        rc = bind_check_groups(b, q);
    return rc;
}
