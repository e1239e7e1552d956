/* FROM and WITH: the range table, joins, and the names that they bring into sight.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/bind_int.h"

static int bind_from_item(struct binder *b, const struct ast *item, struct from **out);

/* ---- growing arrays ------------------------------------------------------------------------ */

int32_t
query_add_rel(struct binder *b, struct query *q, struct rte *rte)
{
    if (q->rel_count == q->rel_capacity) {
        int32_t capacity = q->rel_capacity == 0 ? 4 : 2 * q->rel_capacity;
        struct rte **more = ARENA_ARRAY(b->arena, struct rte *, capacity);

        if (q->rel_count > 0)
            memcpy(more, q->rels, sizeof *more * (size_t)q->rel_count);
        q->rels = more;
        q->rel_capacity = capacity;
    }
    q->rels[q->rel_count] = rte;
    return q->rel_count++;
}

/* Names must differ among the items from `first` on that can be named. */
int
scope_add_item(struct binder *b, struct ns_item item, int32_t at, int32_t first)
{
    struct bind_scope *s = b->scope;

    for (int32_t i = first; i < s->item_count; i++) {
        const struct ns_item *old = &s->items[i];
        bool same_schema =
            item.schema == NULL || old->schema == NULL || strcmp(item.schema, old->schema) == 0;

        if (item.name_visible && old->name_visible && item.name != NULL && old->name != NULL &&
            strcmp(old->name, item.name) == 0 && same_schema)
            return bind_error(b, ERR_DUPLICATE_ALIAS, at,
                              "table name \"%s\" specified more than once", item.name);
    }
    if (s->item_count == s->item_capacity) {
        int32_t capacity = s->item_capacity == 0 ? 4 : 2 * s->item_capacity;
        struct ns_item *more = ARENA_ARRAY(b->arena, struct ns_item, capacity);

        if (s->item_count > 0)
            memcpy(more, s->items, sizeof *more * (size_t)s->item_count);
        s->items = more;
        s->item_capacity = capacity;
    }
    s->items[s->item_count++] = item;
    return 0;
}

struct from *
from_rel(struct binder *b, int32_t rel)
{
    struct from *f = ARENA_NEW(b->arena, struct from);

    f->kind = FROM_REL;
    f->rel = rel;
    return f;
}

void
from_add(struct binder *b, struct query *q, struct from *f)
{
    struct from *join;

    if (q->from == NULL) {
        q->from = f;
        return;
    }
    join = ARENA_NEW(b->arena, struct from);
    join->kind = FROM_JOIN;
    join->join = AST_JOIN_INNER;
    join->left = q->from;
    join->right = f;
    q->from = join;
}

/* Renames columns by the alias's list. */
static int
apply_alias(struct binder *b, struct rte *rte, const struct ast_alias *alias, int32_t at)
{
    int32_t live = 0, given = ast_count(alias->columns), next = 0;

    if (alias->name != NULL) {
        rte->alias = bind_copy(b, alias->name);
        rte->has_alias = true;
    }
    for (int32_t i = 0; i < rte->column_count; i++)
        live += rte->columns[i].name != NULL;
    if (given > live)
        return bind_error(b, ERR_INVALID_COLUMN_REFERENCE, at,
                          "table \"%s\" has %d columns available but %d columns specified",
                          rte->alias == NULL ? "" : rte->alias, live, given);
    for (int32_t i = 0; i < rte->column_count && next < given; i++)
        if (rte->columns[i].name != NULL)
            rte->columns[i].name =
                bind_copy(b, AST_CONST(ast_name, alias->columns->item[next++])->name);
    return 0;
}

static int
add_rte(struct binder *b, struct rte *rte, const char *schema, int32_t at, struct from **out)
{
    struct query *q = b->scope->query;

    if (q->rel_count >= BIND_RELS_MAX)
        return bind_error(b, ERR_LIMIT, at, "a query can have at most %d entries in FROM",
                          BIND_RELS_MAX);
    struct ns_item item = { .name = rte->alias,
                            .schema = schema,
                            .rel = query_add_rel(b, q, rte),
                            .column_count = rte->column_count,
                            .columns_visible = true,
                            .name_visible = true };

    *out = from_rel(b, item.rel);
    return scope_add_item(b, item, at, 0);
}

/* ---- tables -------------------------------------------------------------------------------- */

struct rte *
rte_for_table(struct binder *b, const struct cat_table *table, const char *alias)
{
    struct rte *rte = ARENA_NEW(b->arena, struct rte);

    rte->kind = RTE_TABLE;
    rte->table = table;
    rte->alias = alias != NULL ? bind_copy(b, alias) : table->name;
    rte->has_alias = alias != NULL;
    rte->column_count = (int32_t)table->column_count;
    rte->columns = ARENA_ARRAY(b->arena, struct rte_column, table->column_count + 1);
    for (uint32_t i = 0; i < table->column_count; i++) {
        const struct cat_column *c = &table->columns[i];

        rte->columns[i].name = c->dropped ? NULL : c->name;
        rte->columns[i].type = (struct sql_type){ c->type, c->typmod };
    }
    return rte;
}

int
bind_table(struct binder *b, const struct ast_relation *relation, const struct cat_table **out)
{
    bool schema_exists = true;
    int rc;

    *out = NULL;
    rc = b->catalog->find_table(b->catalog->arg, relation->schema, relation->name, out,
                                &schema_exists);
    if (rc != 0)
        return rc;
    if (*out == NULL && relation->schema != NULL)
        return bind_error(b, ERR_UNDEFINED_TABLE, relation->node.at,
                          "relation \"%s.%s\" does not exist", relation->schema, relation->name);
    if (*out == NULL)
        return bind_error(b, ERR_UNDEFINED_TABLE, relation->node.at,
                          "relation \"%s\" does not exist", relation->name);
    bind_uses_table(b, *out);
    return 0;
}

static struct rte *
rte_for_query(struct binder *b, enum rte_kind kind, const struct query *q)
{
    struct rte *rte = ARENA_NEW(b->arena, struct rte);

    rte->kind = kind;
    rte->column_count = q->visible_count;
    rte->columns = ARENA_ARRAY(b->arena, struct rte_column, q->visible_count + 1);
    for (int32_t i = 0; i < q->visible_count; i++) {
        rte->columns[i].name = q->targets[i].name;
        rte->columns[i].type = q->targets[i].value->type;
    }
    return rte;
}

/* A view is its query, bound as if it stood there, but in sight of nothing around it. */
static int
rte_for_view(struct binder *b, const struct cat_table *view, int32_t at, struct rte **out)
{
    struct slice text = b->text;
    struct bind_scope *scope = b->scope;
    bool foreign = b->foreign_text;
    struct ast_list *list;
    struct query *q = NULL;
    int rc;

    if (b->view_depth == BIND_VIEW_DEPTH_MAX)
        return bind_error(b, ERR_TOO_COMPLEX, at, "views are nested too deep");
    rc = sql_parse(b->arena, slice_str(view->view_text), &list);
    if (rc != 0 || list->count != 1)
        return rc != 0 ? rc : DIAG(ERR_INTERNAL, "view \"%s\" has no query", view->name);
    b->foreign_text = true;
    b->text = slice_str(view->view_text);
    b->scope = NULL;
    b->view_depth++;
    rc = bind_query(b, AST_CONST(ast_statement, list->item[0])->body, true, &q);
    b->view_depth--;
    b->scope = scope;
    b->text = text;
    b->foreign_text = foreign;
    if (rc != 0)
        return rc;
    *out = rte_for_query(b, RTE_SUBQUERY, q);
    (*out)->query = q;
    (*out)->alias = view->name;
    for (uint32_t i = 0; i < view->column_count && i < (uint32_t)q->visible_count; i++)
        (*out)->columns[i].name = view->columns[i].name;
    return 0;
}

static int
find_param(struct expr **child, void *arg)
{
    return (*child)->kind == EXPR_PARAM ? 1 : expr_each_child(*child, find_param, arg);
}

/* A moment's expression sees no columns. Its literals keep their values, since the table is looked
 * up at that moment: the plan is for this text alone. */
static int
bind_moment(struct binder *b, const struct ast_table *t, struct expr **out)
{
    struct bind_scope scope, *saved = b->scope;
    const struct sql_normal *normal = b->normal;
    struct sql_type type =
        t->as_of == AST_AS_OF_SCN ? TYPE_INT8_PLAIN : (struct sql_type){ TYPE_TIMESTAMPTZ, -1 };
    int rc;

    scope_push(b, &scope, query_new(b, AST_SELECT));
    scope.outer = NULL;
    b->normal = NULL;
    rc = bind_clause(b, t->as_of_value, CLAUSE_AS_OF, out);
    b->scope = saved;
    if (rc == 0)
        rc = bind_coerce(b, out, type, CAST_ASSIGNMENT, t->as_of_value->at);
    b->normal = normal;
    if (rc == 0 && !expr_is_constant(*out))
        rc = bind_error(b, ERR_NOT_SUPPORTED, t->as_of_value->at,
                        "a moment that depends on a query is not supported");
    if (rc == 0 && normal != NULL && find_param(out, NULL) != 0)
        rc = bind_error(b, ERR_UNDEFINED_PARAMETER, t->as_of_value->at, "there is no parameter");
    b->pinned = true;
    return rc;
}

/* The table as the moment has it. With a parameter in it the moment is not known yet: then as it
 * is now, and each run compares. */
static int
bind_table_at(struct binder *b, const struct ast_table *t, struct expr *moment,
              const struct cat_table **out)
{
    const struct ast_relation *r = t->relation;
    bool schema_exists;
    int rc;

    if (b->catalog->find_table_at == NULL || find_param(&moment, NULL) != 0)
        return bind_table(b, r, out);
    rc = b->catalog->find_table_at(b->catalog->arg, moment, t->as_of == AST_AS_OF_SCN, r->schema,
                                   r->name, out, &schema_exists);
    if (rc != 0)
        return bind_place(b, rc, r->node.at);
    if (*out == NULL)
        return bind_error(b, ERR_UNDEFINED_TABLE, r->node.at,
                          "relation \"%s\" did not exist at that moment", r->name);
    return 0;
}

static struct bound_cte *
find_cte(struct binder *b, const char *name, int32_t *level)
{
    *level = 0;
    for (struct bind_scope *s = b->scope; s != NULL; s = s->outer, (*level)++)
        for (int32_t i = s->cte_count - 1; i >= 0; i--)
            if (strcmp(s->ctes[i]->name, name) == 0)
                return s->ctes[i];
    return NULL;
}

static int
bind_table_item(struct binder *b, const struct ast_table *t, struct from **out)
{
    const struct ast_relation *r = t->relation;
    const struct cat_table *table;
    const char *schema = NULL;
    struct expr *moment = NULL;
    struct bound_cte *cte = NULL;
    struct rte *rte = NULL;
    int32_t level;
    int rc = 0;

    if (r->schema == NULL)
        cte = find_cte(b, r->name, &level);
    if (cte != NULL) {
        if (cte->query == NULL)
            return bind_error(b, ERR_NOT_SUPPORTED, r->node.at,
                              "recursive queries are not supported");
        rte = rte_for_query(b, RTE_CTE, cte->query);
        rte->cte = cte;
        rte->cte_level = level;
        rte->alias = cte->name;
        cte->ref_count++;
    } else {
        if (t->as_of != AST_AS_OF_NONE)
            rc = bind_moment(b, t, &moment);
        if (rc == 0)
            rc = moment != NULL ? bind_table_at(b, t, moment, &table) : bind_table(b, r, &table);
        if (rc != 0)
            return rc;
        if (table->kind == CAT_VIEW && table->view_text != NULL)
            rc = rte_for_view(b, table, r->node.at, &rte);
        else if (table->kind == CAT_INDEX)
            return bind_error(b, ERR_WRONG_OBJECT_TYPE, r->node.at, "cannot open relation \"%s\"",
                              table->name);
        else if (table->kind == CAT_SEQUENCE)
            return bind_error(b, ERR_NOT_SUPPORTED, r->node.at,
                              "reading a sequence as a table is not supported");
        else
            rte = rte_for_table(b, table, NULL);
        schema = table->schema;
    }
    if (rc == 0)
        rc = apply_alias(b, rte, &t->alias, t->node.at);
    if (rc == 0 && t->as_of != AST_AS_OF_NONE && (rte->kind != RTE_TABLE || rte->table->is_virtual))
        rc = bind_error(b, ERR_NOT_SUPPORTED, t->node.at,
                        "AS OF is supported for stored tables only");
    if (rc != 0)
        return rc;
    rte->as_of = t->as_of;
    rte->as_of_value = moment;
    if (rc == 0)
        rc = add_rte(b, rte, t->alias.name == NULL ? schema : NULL, t->node.at, out);
    return rc;
}

/* ---- subqueries and functions ---------------------------------------------------------------- */

static int
bind_subquery_item(struct binder *b, const struct ast_subquery *s, struct from **out)
{
    struct query *q;
    struct rte *rte;
    bool hidden = b->scope->hidden;
    int rc;

    b->scope->hidden = hidden || !s->lateral;
    rc = bind_query(b, s->query, true, &q);
    b->scope->hidden = hidden;
    if (rc != 0)
        return rc;
    rte = rte_for_query(b, RTE_SUBQUERY, q);
    rte->query = q;
    rte->lateral = s->lateral;
    rc = apply_alias(b, rte, &s->alias, s->node.at);
    return rc != 0 ? rc : add_rte(b, rte, NULL, s->node.at, out);
}

static int
bind_function_item(struct binder *b, const struct ast_table_func *f, struct from **out)
{
    struct rte *rte = ARENA_NEW(b->arena, struct rte);
    const char *name = bind_target_name(f->call);
    const struct ast *srf = b->scope->srf;
    int rc;

    b->scope->srf = f->call;
    rc = bind_clause(b, f->call, CLAUSE_FROM_FUNCTION, &rte->call);
    b->scope->srf = srf;
    if (rc != 0)
        return rc;
    rte->kind = RTE_FUNCTION;
    rte->lateral = true;
    rte->ordinality = f->ordinality;
    if (rte->call->kind == EXPR_FUNC && (rte->call->u.func->flags & FUNC_SET) != 0)
        rte->func = rte->call->u.func;
    if (rte->call->type.oid == TYPE_RECORD)
        return bind_error(b, ERR_NOT_SUPPORTED, f->node.at,
                          "functions that return rows are not supported");
    rte->alias = bind_copy(b, name);
    rte->column_count = f->ordinality ? 2 : 1;
    rte->columns = ARENA_ARRAY(b->arena, struct rte_column, 2);
    /* A function's one column is called like its alias. */
    rte->columns[0].name = f->alias.name != NULL ? bind_copy(b, f->alias.name) : rte->alias;
    rte->columns[0].type = rte->call->type;
    rte->columns[1] = (struct rte_column){ "ordinality", TYPE_INT8_PLAIN };
    rc = apply_alias(b, rte, &f->alias, f->node.at);
    return rc != 0 ? rc : add_rte(b, rte, NULL, f->node.at, out);
}

/* ---- joins --------------------------------------------------------------------------------- */

/* The names of one side while a join is being put together: items [first, end) of the scope. */
struct side {
    int32_t first, end;
};

static int
side_find(struct binder *b, struct side side, const char *name, const char *which, int32_t at,
          struct expr **out)
{
    struct bind_scope *s = b->scope;

    *out = NULL;
    for (int32_t i = side.first; i < side.end; i++) {
        const struct ns_item *item = &s->items[i];

        for (int32_t k = 0; item->columns_visible && k < item->column_count; k++) {
            const char *n = ns_column_name(s->query, item, k);

            if (n == NULL || strcmp(n, name) != 0)
                continue;
            if (*out != NULL)
                return bind_error(b, ERR_AMBIGUOUS_COLUMN, at,
                                  "common column name \"%s\" appears more than once in %s table",
                                  name, which);
            *out = ns_column_value(b, s->query, item, k, 0, at);
        }
    }
    return 0;
}

/* The column names of USING, or those that NATURAL finds. */
static int
using_names(struct binder *b, const struct ast_join *j, struct side left, struct side right,
            const char ***names, int32_t *count)
{
    struct bind_scope *s = b->scope;
    int32_t most = ast_count(j->using_columns);

    for (int32_t i = left.first; j->natural && i < left.end; i++)
        most += s->items[i].column_count;
    *names = ARENA_ARRAY(b->arena, const char *, most + 1);
    *count = 0;
    for (int32_t i = 0; i < ast_count(j->using_columns); i++)
        (*names)[(*count)++] = AST_CONST(ast_name, j->using_columns->item[i])->name;
    for (int32_t i = left.first; j->natural && i < left.end; i++)
        for (int32_t k = 0; s->items[i].columns_visible && k < s->items[i].column_count; k++) {
            const char *n = ns_column_name(s->query, &s->items[i], k);
            struct expr *other = NULL;
            int rc = n == NULL ? 0 : side_find(b, right, n, "right", j->node.at, &other);

            if (rc != 0)
                return rc;
            if (other != NULL)
                (*names)[(*count)++] = n;
        }
    return 0;
}

/* A name that both sides have becomes one column. */
static int
using_column(struct binder *b, const struct ast_join *j, const char *name, struct side left,
             struct side right, struct expr **value, struct expr **on)
{
    struct expr *l, *r, *equal, *both[2];
    struct sql_type type;
    int rc = side_find(b, left, name, "left", j->node.at, &l);

    if (rc == 0)
        rc = side_find(b, right, name, "right", j->node.at, &r);
    if (rc != 0)
        return rc;
    if (l == NULL || r == NULL)
        return bind_error(b, ERR_UNDEFINED_COLUMN, j->node.at,
                          "column \"%s\" specified in USING clause does not exist in %s table",
                          name, l == NULL ? "left" : "right");
    rc = bind_operator(b, NULL, "=", l, r, j->node.at, &equal);
    if (rc != 0)
        return rc;
    *on = expr_bool(b, EXPR_AND, *on, equal);
    both[0] = l;
    both[1] = r;
    rc = bind_common(b, "JOIN/USING", both, 2, &type);
    if (rc != 0)
        return rc;
    if (j->join == AST_JOIN_FULL) {
        *value = expr_with_args(b->arena, EXPR_COALESCE, type, j->node.at, 2);
        (*value)->args[0] = both[0];
        (*value)->args[1] = both[1];
    } else {
        *value = both[j->join == AST_JOIN_RIGHT];
    }
    return 0;
}

static bool
name_among(const char *name, const char **names, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* The join's own columns: merged ones, then the rest of left and right. */
static int
join_item(struct binder *b, const struct ast_join *j, struct side left, struct side right,
          const char **merged, struct expr **values, int32_t merged_count)
{
    struct bind_scope *s = b->scope;
    struct ns_item item = { .rel = -1, .columns_visible = true };
    int32_t most = merged_count;

    for (int32_t i = left.first; i < right.end; i++)
        most += s->items[i].column_count;
    item.column_names = ARENA_ARRAY(b->arena, const char *, most + 1);
    item.column_values = ARENA_ARRAY(b->arena, struct expr *, most + 1);
    for (int32_t i = 0; i < merged_count; i++) {
        item.column_names[i] = bind_copy(b, merged[i]);
        item.column_values[i] = values[i];
    }
    item.column_count = merged_count;
    for (int32_t i = left.first; i < right.end; i++) {
        struct ns_item *old = &s->items[i];

        for (int32_t k = 0; old->columns_visible && k < old->column_count; k++) {
            const char *n = ns_column_name(s->query, old, k);

            if (n == NULL || name_among(n, merged, merged_count))
                continue;
            item.column_names[item.column_count] = n;
            item.column_values[item.column_count++] =
                ns_column_value(b, s->query, old, k, 0, j->node.at);
        }
        old->columns_visible = false;
        if (j->alias.name != NULL)
            old->name_visible = false;
    }
    if (j->alias.name != NULL) {
        item.name = bind_copy(b, j->alias.name);
        item.name_visible = true;
        if (ast_count(j->alias.columns) > item.column_count)
            return bind_error(b, ERR_INVALID_COLUMN_REFERENCE, j->node.at,
                              "table \"%s\" has %d columns available but %d columns specified",
                              item.name, item.column_count, ast_count(j->alias.columns));
        for (int32_t i = 0; i < ast_count(j->alias.columns); i++)
            item.column_names[i] =
                bind_copy(b, AST_CONST(ast_name, j->alias.columns->item[i])->name);
    }
    return scope_add_item(b, item, j->node.at, 0);
}

static int
join_condition(struct binder *b, const struct ast_join *j, struct side left, struct side right,
               struct from *f)
{
    const char **names;
    struct expr **values;
    int32_t count, first = b->scope->first_item;
    int rc = 0;

    if (j->using_alias.name != NULL)
        return bind_error(b, ERR_NOT_SUPPORTED, j->node.at, "an alias for USING is not supported");
    if (j->on != NULL) {
        b->scope->first_item = left.first;
        rc = bind_condition(b, j->on, CLAUSE_JOIN_ON, "JOIN/ON", &f->on);
        b->scope->first_item = first;
    }
    if (rc != 0 || (j->using_columns == NULL && !j->natural && j->alias.name == NULL))
        return rc;
    rc = using_names(b, j, left, right, &names, &count);
    values = ARENA_ARRAY(b->arena, struct expr *, count + 1);
    for (int32_t i = 0; rc == 0 && i < count; i++) {
        if (name_among(names[i], names, i))
            return bind_error(b, ERR_DUPLICATE_COLUMN, j->node.at,
                              "column name \"%s\" appears more than once in USING clause",
                              names[i]);
        rc = using_column(b, j, names[i], left, right, &values[i], &f->on);
    }
    return rc != 0 ? rc : join_item(b, j, left, right, names, values, count);
}

static int
bind_join_item(struct binder *b, const struct ast_join *j, struct from **out)
{
    struct from *f = ARENA_NEW(b->arena, struct from);
    struct side left, right;
    int rc;

    f->kind = FROM_JOIN;
    left.first = b->scope->item_count;
    rc = bind_from_item(b, j->left, &f->left);
    left.end = right.first = b->scope->item_count;
    if (rc == 0)
        rc = bind_from_item(b, j->right, &f->right);
    right.end = b->scope->item_count;
    if (rc == 0)
        rc = join_condition(b, j, left, right, f);
    if (rc != 0)
        return rc;
    f->join = j->join;
    if (j->join == AST_JOIN_RIGHT) {
        struct from *swap = f->left;

        f->left = f->right;
        f->right = swap;
        f->join = AST_JOIN_LEFT;
    }
    *out = f;
    return 0;
}

static int
bind_from_item(struct binder *b, const struct ast *item, struct from **out)
{
    int rc = bind_deeper(b);

    if (rc != 0)
        return rc;
    switch (item->kind) {
    case AST_TABLE:
        rc = bind_table_item(b, AST_CONST(ast_table, item), out);
        break;
    case AST_SUBQUERY:
        rc = bind_subquery_item(b, AST_CONST(ast_subquery, item), out);
        break;
    case AST_TABLE_FUNC:
        rc = bind_function_item(b, AST_CONST(ast_table_func, item), out);
        break;
    case AST_JOIN:
        rc = bind_join_item(b, AST_CONST(ast_join, item), out);
        break;
    default:
        UNREACHABLE();
    }
    bind_shallower(b);
    return rc;
}

int
bind_from_list(struct binder *b, const struct ast_list *list)
{
    for (int32_t i = 0; i < ast_count(list); i++) {
        struct from *f;
        int rc = bind_from_item(b, list->item[i], &f);

        if (rc != 0)
            return rc;
        from_add(b, b->scope->query, f);
    }
    return 0;
}

/* ---- WITH ---------------------------------------------------------------------------------- */

static int
bind_cte(struct binder *b, const struct ast_with *w, struct bound_cte *cte)
{
    struct query *q;
    int rc;

    if (w->query->kind != AST_SELECT)
        return bind_error(b, ERR_NOT_SUPPORTED, w->node.at,
                          "data-modifying statements in WITH are not supported");
    rc = bind_query(b, w->query, true, &q);
    if (rc != 0)
        return rc;
    if (q->has_outer)
        return bind_error(b, ERR_NOT_SUPPORTED, w->node.at,
                          "a WITH query that refers to an outer query is not supported");
    if (ast_count(w->columns) > q->visible_count)
        return bind_error(b, ERR_INVALID_COLUMN_REFERENCE, w->node.at,
                          "WITH query \"%s\" has %d columns available but %d columns specified",
                          w->name, q->visible_count, ast_count(w->columns));
    for (int32_t i = 0; i < ast_count(w->columns); i++)
        q->targets[i].name = bind_copy(b, AST_CONST(ast_name, w->columns->item[i])->name);
    cte->query = q;
    return 0;
}

int
bind_with(struct binder *b, const struct ast_with_clause *with)
{
    struct bind_scope *s = b->scope;
    int32_t count = with == NULL ? 0 : ast_count(with->ctes);
    int rc = 0;

    if (count == 0)
        return 0;
    s->ctes = ARENA_ARRAY(b->arena, struct bound_cte *, count);
    for (int32_t i = 0; rc == 0 && i < count; i++) {
        const struct ast_with *w = AST_CONST(ast_with, with->ctes->item[i]);
        struct bound_cte *cte = ARENA_NEW(b->arena, struct bound_cte);

        for (int32_t k = 0; k < i; k++)
            if (strcmp(s->ctes[k]->name, w->name) == 0)
                return bind_error(b, ERR_DUPLICATE_ALIAS, w->node.at,
                                  "WITH query name \"%s\" specified more than once", w->name);
        cte->name = bind_copy(b, w->name);
        cte->materialized = w->materialized;
        cte->id = -1;
        s->ctes[i] = cte;
        s->cte_count = with->recursive ? i + 1 : i;
        rc = bind_cte(b, w, cte);
        s->cte_count = i + 1;
    }
    s->query->ctes = s->ctes;
    s->query->cte_count = s->cte_count;
    return rc;
}
