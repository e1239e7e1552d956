/* INSERT, UPDATE, DELETE.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/fiber.h"
#include "engine/sql/bind_int.h"

/* ---- the target ---------------------------------------------------------------------------- */

static int
find_live_column(const struct cat_table *t, const char *name)
{
    for (uint32_t i = 0; i < t->column_count; i++)
        if (!t->columns[i].dropped && strcmp(t->columns[i].name, name) == 0)
            return (int)i;
    return -1;
}

/* Entry 0 of the query. */
static int
bind_target_table(struct binder *b, const struct ast_relation *r, const char *alias,
                  const char *verb, struct rte **out)
{
    const struct cat_table *table;
    struct ns_item item = { .columns_visible = true, .name_visible = true };
    int rc = bind_table(b, r, &table);

    if (rc != 0)
        return rc;
    if (table->kind != CAT_TABLE)
        return bind_error(b, ERR_WRONG_OBJECT_TYPE, r->node.at, "cannot %s \"%s\": not a table",
                          verb, table->name);
    if (table->is_system || table->is_virtual)
        return bind_error(b, ERR_PRIVILEGE, r->node.at,
                          "permission denied: \"%s\" is a system catalog", table->name);
    *out = rte_for_table(b, table, alias);
    item.name = (*out)->alias;
    item.schema = alias == NULL ? table->schema : NULL;
    item.column_count = (*out)->column_count;
    item.rel = query_add_rel(b, b->scope->query, *out);
    b->scope->query->target_rel = item.rel;
    return scope_add_item(b, item, r->node.at, 0);
}

/* SQL kept in the catalogue, bound in a scope of its own; with_table: over the target's columns. */
static int
bind_stored(struct binder *b, const char *text, bool with_table, const char *what,
            struct expr **out)
{
    struct slice outer_text = b->text;
    struct bind_scope scope, *outer = b->scope;
    bool foreign = b->foreign_text;
    struct query *q = query_new(b, AST_SELECT);
    struct ast *e;
    int rc = sql_parse_expr(b->arena, slice_str(text), &e);

    if (rc != 0)
        return rc;
    b->scope = NULL;
    scope_push(b, &scope, q);
    scope.what = what;
    b->foreign_text = true;
    b->text = slice_str(text);
    if (with_table) { /* its columns are those of entry 0, as in the query outside */
        struct rte *target = outer->query->rels[outer->query->target_rel];
        struct ns_item item = { .name = target->table->name,
                                .rel = query_add_rel(b, q, target),
                                .column_count = target->column_count,
                                .columns_visible = true,
                                .name_visible = true };

        rc = scope_add_item(b, item, -1, 0);
    }
    if (rc == 0)
        rc = bind_clause(b, e, CLAUSE_OTHER, out);
    b->text = outer_text;
    b->foreign_text = foreign;
    b->scope = outer;
    outer->query->is_volatile = outer->query->is_volatile || q->is_volatile;
    return rc;
}

static int
bind_default(struct binder *b, const struct cat_column *c, struct expr **out)
{
    struct sql_type type = { c->type, c->typmod };
    int rc;

    if (c->default_text == NULL) {
        *out = expr_const(b, type, NULL, -1);
        return 0;
    }
    rc = bind_stored(b, c->default_text, false, "DEFAULT expressions", out);
    return rc != 0 ? rc : bind_assign(b, out, type, c->name);
}

static int
bind_checks(struct binder *b, const struct cat_table *t)
{
    struct query *q = b->scope->query;
    int rc = 0;

    q->checks = ARENA_ARRAY(b->arena, struct bound_check, t->check_count + 1);
    q->check_count = (int32_t)t->check_count;
    for (uint32_t i = 0; rc == 0 && i < t->check_count; i++) {
        q->checks[i].name = t->checks[i].name;
        rc = bind_stored(b, t->checks[i].text, true, "check constraints", &q->checks[i].check);
        if (rc == 0)
            rc = bind_boolean(b, &q->checks[i].check, "CHECK");
    }
    return rc;
}

static int
bind_returning(struct binder *b, const struct ast_list *list)
{
    struct query *q = b->scope->query;
    int rc = 0;

    if (list == NULL)
        return 0;
    q->has_returning = true;
    rc = bind_targets(b, list, CLAUSE_RETURNING);
    for (int32_t i = 0; rc == 0 && i < q->target_count; i++)
        rc = bind_settle(b, &q->targets[i].value);
    q->returning = q->targets;
    q->returning_count = q->target_count;
    q->targets = NULL;
    q->target_count = q->target_capacity = q->visible_count = 0;
    return rc;
}

/* ---- INSERT -------------------------------------------------------------------------------- */

/* Which columns get values, in the order given. */
struct insert_columns {
    int32_t count;
    int32_t *column;
    const int32_t *at;
};

static int
insert_columns(struct binder *b, const struct ast_insert *s, const struct cat_table *t,
               struct insert_columns *out)
{
    int32_t *places;

    out->column = ARENA_ARRAY(b->arena, int32_t, t->column_count + 1);
    out->at = places = ARENA_ARRAY(b->arena, int32_t, t->column_count + 1);
    out->count = 0;
    if (s->columns == NULL) {
        for (uint32_t i = 0; i < t->column_count; i++)
            if (!t->columns[i].dropped)
                out->column[out->count++] = (int32_t)i;
        return 0;
    }
    for (int32_t i = 0; i < s->columns->count; i++) {
        const struct ast_target *c = AST_CONST(ast_target, s->columns->item[i]);
        int column = find_live_column(t, c->name);

        if (c->indirection != NULL)
            return bind_error(b, ERR_NOT_SUPPORTED, c->node.at,
                              "assigning to a part of a column is not supported");
        if (column < 0)
            return bind_error(b, ERR_UNDEFINED_COLUMN, c->node.at,
                              "column \"%s\" of relation \"%s\" does not exist", c->name, t->name);
        for (int32_t k = 0; k < out->count; k++)
            if (out->column[k] == column)
                return bind_error(b, ERR_DUPLICATE_COLUMN, c->node.at,
                                  "column \"%s\" specified more than once", c->name);
        places[out->count] = c->node.at;
        out->column[out->count++] = column;
    }
    return 0;
}

static int
too_many_or_few(struct binder *b, const struct ast_insert *s, const struct insert_columns *c,
                int32_t given, int32_t extra_at)
{
    if (given > c->count)
        return bind_error(b, ERR_SYNTAX, extra_at,
                          "INSERT has more expressions than target columns");
    if (s->columns != NULL && given < c->count)
        return bind_error(b, ERR_SYNTAX, c->at[given],
                          "INSERT has more target columns than expressions");
    return 0;
}

/* A value for a GENERATED ALWAYS column. */
static int
identity_check(struct binder *b, const struct ast_insert *s, const struct cat_column *c, int32_t at)
{
    int rc;

    if (c->identity != 'a' || s->override != AST_OVERRIDE_NONE)
        return 0;
    rc = bind_error(b, ERR_GENERATED_ALWAYS, at,
                    "cannot insert a non-DEFAULT value into column \"%s\"", c->name);
    diag_detail("Column \"%s\" is an identity column defined as GENERATED ALWAYS.", c->name);
    diag_hint("Use OVERRIDING SYSTEM VALUE to override.");
    return rc;
}

static int
insert_row(struct binder *b, const struct ast_insert *s, const struct cat_table *t,
           const struct insert_columns *c, const struct ast_row *row, struct expr **out)
{
    int32_t count = ast_count(row->items);
    int rc =
        too_many_or_few(b, s, c, count, count > c->count ? row->items->item[c->count]->at : -1);

    for (int32_t i = 0; rc == 0 && i < count; i++) {
        const struct cat_column *column = &t->columns[c->column[i]];

        if (row->items->item[i]->kind == AST_SET_DEFAULT) {
            rc = bind_default(b, column, &out[i]);
            continue;
        }
        rc = identity_check(b, s, column, row->items->item[i]->at);
        if (rc == 0)
            rc = bind_clause(b, row->items->item[i], CLAUSE_VALUES, &out[i]);
        if (rc == 0)
            rc = bind_assign(b, &out[i], (struct sql_type){ column->type, column->typmod },
                             column->name);
    }
    return rc;
}

static int
insert_values(struct binder *b, const struct ast_insert *s, const struct cat_table *t,
              const struct insert_columns *c, int32_t *given)
{
    const struct ast_list *rows = AST_CONST(ast_select, s->source)->values;
    struct query *q = b->scope->query;
    struct rte *rte = ARENA_NEW(b->arena, struct rte);
    int rc = 0;

    rte->kind = RTE_VALUES;
    rte->alias = "*VALUES*";
    rte->row_count = rows->count;
    rte->rows = ARENA_ARRAY(b->arena, struct expr **, rows->count);
    *given = ast_count(AST_CONST(ast_row, rows->item[0])->items);
    rte->column_count = *given;
    rte->columns = ARENA_ARRAY(b->arena, struct rte_column, *given + 1);
    for (int32_t i = 0; i < *given && i < c->count; i++)
        rte->columns[i] = (struct rte_column){ t->columns[c->column[i]].name,
                                               { t->columns[c->column[i]].type,
                                                 t->columns[c->column[i]].typmod } };
    /* The rows see no columns, the target's neither. */
    b->scope->hidden = true;
    for (int32_t i = 0; rc == 0 && i < rows->count; i++) {
        const struct ast_row *row = AST_CONST(ast_row, rows->item[i]);

        if ((i & 255) == 255)
            fiber_yield();
        if (ast_count(row->items) != *given)
            return bind_error(b, ERR_SYNTAX, row->items->item[0]->at,
                              "VALUES lists must all be the same length");
        rte->rows[i] = ARENA_ARRAY(b->arena, struct expr *, *given);
        rc = insert_row(b, s, t, c, row, rte->rows[i]);
    }
    b->scope->hidden = false;
    q->insert_rows = true;
    query_add_rel(b, q, rte);
    return rc;
}

static int
insert_query(struct binder *b, const struct ast_insert *s, const struct cat_table *t,
             const struct insert_columns *c, int32_t *given)
{
    struct query *q = b->scope->query, *source;
    struct rte *rte = ARENA_NEW(b->arena, struct rte);
    int rc;

    b->scope->hidden = true;
    rc = bind_query(b, s->source, false, &source);
    b->scope->hidden = false;
    if (rc != 0)
        return rc;
    *given = source->visible_count;
    rc = too_many_or_few(b, s, c, *given,
                         *given > c->count ? source->targets[c->count].value->at : -1);
    /* Literals of no type take that of their column. */
    for (int32_t i = 0; rc == 0 && i < *given; i++) {
        const struct cat_column *column = &t->columns[c->column[i]];
        struct expr **value = &source->targets[i].value;

        rc = identity_check(b, s, column, (*value)->at);
        if (rc == 0 && (*value)->type.oid == TYPE_UNKNOWN && !source->distinct)
            rc = bind_assign(b, value, (struct sql_type){ column->type, column->typmod },
                             column->name);
        else if (rc == 0)
            rc = bind_settle(b, value);
    }
    for (int32_t i = *given; rc == 0 && i < source->target_count; i++)
        rc = bind_settle(b, &source->targets[i].value);
    if (rc != 0)
        return rc;
    rte->kind = RTE_SUBQUERY;
    rte->query = source;
    rte->alias = "*SELECT*";
    rte->column_count = source->visible_count;
    rte->columns = ARENA_ARRAY(b->arena, struct rte_column, source->visible_count + 1);
    for (int32_t i = 0; i < source->visible_count; i++)
        rte->columns[i] =
            (struct rte_column){ source->targets[i].name, source->targets[i].value->type };
    query_add_rel(b, q, rte);
    return 0;
}

/* Every live column's value over the source's row. */
static int
insert_assignments(struct binder *b, const struct cat_table *t, const struct insert_columns *c,
                   int32_t given)
{
    struct query *q = b->scope->query;
    int rc = 0;

    q->assignments = ARENA_ARRAY(b->arena, struct assignment, t->column_count + 1);
    for (uint32_t i = 0; rc == 0 && i < t->column_count; i++) {
        const struct cat_column *column = &t->columns[i];
        struct assignment *a = &q->assignments[q->assignment_count];
        int32_t source = -1;

        if (column->dropped)
            continue;
        for (int32_t k = 0; k < given; k++)
            if (c->column[k] == (int32_t)i)
                source = k;
        a->column = (int32_t)i;
        q->assignment_count++;
        if (source < 0) {
            rc = bind_default(b, column, &a->value);
            continue;
        }
        a->value = bind_var(
            b, q, 1, source, 0,
            q->rels[1]->kind == RTE_SUBQUERY ? q->rels[1]->query->targets[source].value->at : -1);
        rc = bind_assign(b, &a->value, (struct sql_type){ column->type, column->typmod },
                         column->name);
    }
    return rc;
}

/* ---- ON CONFLICT --------------------------------------------------------------------------- */

/* The unique index whose columns are those named, in any order. */
static const struct cat_index *
index_for_columns(const struct cat_table *t, const struct ast_list *columns)
{
    for (uint32_t i = 0; i < t->index_count; i++) {
        const struct cat_index *ix = &t->indexes[i];
        bool all = ix->unique && ix->valid && (int32_t)ix->key_count == columns->count;

        for (uint32_t k = 0; all && k < ix->key_count; k++) {
            bool found = false;

            for (int32_t n = 0; n < columns->count; n++) {
                const struct ast_index_column *c = AST_CONST(ast_index_column, columns->item[n]);

                found = found || (c->column != NULL &&
                                  find_live_column(t, c->column) == (int)ix->keys[k].column);
            }
            all = found;
        }
        if (all)
            return ix;
    }
    return NULL;
}

static int
conflict_target(struct binder *b, const struct ast_insert *s, const struct cat_table *t)
{
    struct query *q = b->scope->query;

    if (s->conflict_index_where != NULL)
        return bind_error(b, ERR_NOT_SUPPORTED, s->conflict_at,
                          "a condition on the index of ON CONFLICT is not supported");
    for (int32_t i = 0; i < ast_count(s->conflict_columns); i++) {
        const struct ast_index_column *c =
            AST_CONST(ast_index_column, s->conflict_columns->item[i]);

        if (c->column == NULL)
            return bind_error(b, ERR_NOT_SUPPORTED, c->node.at,
                              "an expression in ON CONFLICT is not supported");
        if (find_live_column(t, c->column) < 0)
            return bind_error(b, ERR_UNDEFINED_COLUMN, c->node.at, "column \"%s\" does not exist",
                              c->column);
    }
    if (s->conflict_columns != NULL) {
        q->conflict_index = index_for_columns(t, s->conflict_columns);
        if (q->conflict_index == NULL)
            return bind_error(b, ERR_INVALID_COLUMN_REFERENCE, s->conflict_at,
                              "there is no unique or exclusion constraint matching the ON CONFLICT "
                              "specification");
    }
    for (uint32_t i = 0; s->conflict_constraint != NULL && i < t->index_count; i++)
        if (t->indexes[i].unique && strcmp(t->indexes[i].name, s->conflict_constraint) == 0)
            q->conflict_index = &t->indexes[i];
    if (s->conflict_constraint != NULL && q->conflict_index == NULL)
        return bind_error(b, ERR_UNDEFINED_OBJECT, s->conflict_at,
                          "constraint \"%s\" for table \"%s\" does not exist",
                          s->conflict_constraint, t->name);
    if (s->conflict == AST_CONFLICT_UPDATE && q->conflict_index == NULL)
        return bind_error(b, ERR_SYNTAX, s->conflict_at,
                          "ON CONFLICT DO UPDATE requires inference specification or constraint "
                          "name");
    return 0;
}

static int bind_set_list(struct binder *b, const struct ast_list *set, const struct cat_table *t,
                         struct assignment **out, int32_t *count);

static int
bind_conflict(struct binder *b, const struct ast_insert *s, const struct cat_table *t)
{
    struct query *q = b->scope->query;
    struct rte *rte;
    struct ns_item item = { .name = "excluded", .columns_visible = true, .name_visible = true };
    int rc;

    q->conflict = s->conflict;
    if (s->conflict == AST_CONFLICT_NONE)
        return 0;
    rc = conflict_target(b, s, t);
    if (rc != 0 || s->conflict == AST_CONFLICT_NOTHING)
        return rc;
    rte = rte_for_table(b, t, "excluded");
    item.column_count = rte->column_count;
    q->excluded_rel = item.rel = query_add_rel(b, q, rte);
    rc = scope_add_item(b, item, s->conflict_at, 0);
    if (rc == 0)
        rc = bind_set_list(b, s->conflict_set, t, &q->conflict_set, &q->conflict_count);
    if (rc == 0)
        rc = bind_condition(b, s->conflict_where, CLAUSE_WHERE, "WHERE", &q->conflict_where);
    b->scope->item_count--;
    return rc;
}

int
bind_insert(struct binder *b, const struct ast_insert *s, struct query **out)
{
    struct query *q = *out = query_new(b, AST_INSERT);
    const struct ast_select *source = AST_CONST(ast_select, s->source);
    struct insert_columns columns = { 0 };
    struct bind_scope scope;
    struct rte *target = NULL;
    int32_t given = 0;
    int rc;

    scope_push(b, &scope, q);
    rc = bind_with(b, s->with);
    if (rc == 0)
        rc = bind_target_table(b, s->relation, s->alias, "insert into", &target);
    if (rc == 0)
        rc = insert_columns(b, s, target->table, &columns);
    if (rc == 0 && source != NULL) {
        bool plain_values = source->values != NULL && source->order_by == NULL &&
                            source->limit == NULL && source->offset == NULL && source->with == NULL;

        rc = plain_values ? insert_values(b, s, target->table, &columns, &given)
                          : insert_query(b, s, target->table, &columns, &given);
    }
    if (rc == 0)
        rc = insert_assignments(b, target->table, &columns, given);
    if (rc == 0)
        rc = bind_checks(b, target->table);
    if (rc == 0)
        rc = bind_conflict(b, s, target->table);
    if (rc == 0)
        rc = bind_returning(b, s->returning);
    scope_pop(b);
    return rc;
}

/* ---- UPDATE, DELETE -------------------------------------------------------------------------- */

static int
set_one(struct binder *b, const struct cat_table *t, const char *name, const struct ast *value,
        int32_t at, struct assignment *list, int32_t *count)
{
    int column = find_live_column(t, name);
    struct assignment *a = &list[*count];
    const struct cat_column *c;
    int rc;

    if (column < 0)
        return bind_error(b, ERR_UNDEFINED_COLUMN, at,
                          "column \"%s\" of relation \"%s\" does not exist", name, t->name);
    for (int32_t i = 0; i < *count; i++)
        if (list[i].column == column)
            return bind_error(b, ERR_SYNTAX, at, "multiple assignments to same column \"%s\"",
                              name);
    c = &t->columns[column];
    a->column = column;
    (*count)++;
    if (value->kind == AST_SET_DEFAULT)
        return bind_default(b, c, &a->value);
    if (c->identity == 'a') {
        rc = bind_error(b, ERR_GENERATED_ALWAYS, at, "column \"%s\" can only be updated to DEFAULT",
                        name);
        diag_detail("Column \"%s\" is an identity column defined as GENERATED ALWAYS.", name);
        return rc;
    }
    rc = bind_clause(b, value, CLAUSE_SET, &a->value);
    return rc != 0 ? rc : bind_assign(b, &a->value, (struct sql_type){ c->type, c->typmod }, name);
}

/* (a, b) = (x, y) */
static int
set_many(struct binder *b, const struct cat_table *t, const struct ast_target *target,
         struct assignment *list, int32_t *count)
{
    const struct ast_row *row = AST_CONST(ast_row, target->value);
    int rc = 0;

    if (target->value->kind != AST_ROW && target->names->count == 1 &&
        target->value->kind != AST_SUBLINK)
        return bind_error(b, ERR_NOT_SUPPORTED, target->value->at,
                          "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() "
                          "expression");
    if (target->value->kind != AST_ROW)
        return bind_error(
            b, ERR_NOT_SUPPORTED, target->value->at,
            "a query as the source of a multiple-column UPDATE item is not supported");
    if (ast_count(row->items) != target->names->count)
        return bind_error(b, ERR_SYNTAX, target->value->at,
                          "number of columns does not match number of values");
    for (int32_t i = 0; rc == 0 && i < target->names->count; i++) {
        const struct ast_name *n = AST_CONST(ast_name, target->names->item[i]);

        rc = set_one(b, t, n->name, row->items->item[i], n->node.at, list, count);
    }
    return rc;
}

static int
bind_set_list(struct binder *b, const struct ast_list *set, const struct cat_table *t,
              struct assignment **out, int32_t *count)
{
    int32_t most = 0;
    int rc = 0;

    for (int32_t i = 0; i < set->count; i++)
        most += 1 + ast_count(AST_CONST(ast_target, set->item[i])->names);
    *out = ARENA_ARRAY(b->arena, struct assignment, most + 1);
    for (int32_t i = 0; rc == 0 && i < set->count; i++) {
        const struct ast_target *target = AST_CONST(ast_target, set->item[i]);

        if (target->indirection != NULL) {
            rc = bind_error(b, ERR_UNDEFINED_COLUMN, target->node.at,
                            "column \"%s\" of relation \"%s\" does not exist", target->name,
                            t->name);
            diag_hint("SET target columns cannot be qualified with the relation name.");
            return rc;
        }
        rc = target->names != NULL
                 ? set_many(b, t, target, *out, count)
                 : set_one(b, t, target->name, target->value, target->node.at, *out, count);
    }
    return rc;
}

int
bind_update(struct binder *b, const struct ast_update *s, struct query **out)
{
    struct query *q = *out = query_new(b, AST_UPDATE);
    struct bind_scope scope;
    struct rte *target = NULL;
    int rc;

    scope_push(b, &scope, q);
    rc = bind_with(b, s->with);
    if (rc == 0)
        rc = bind_target_table(b, s->relation, s->alias, "update", &target);
    if (rc == 0) {
        q->from = from_rel(b, q->target_rel);
        rc = bind_from_list(b, s->from);
    }
    if (rc == 0)
        rc = bind_set_list(b, s->set, target->table, &q->assignments, &q->assignment_count);
    if (rc == 0)
        rc = bind_condition(b, s->where, CLAUSE_WHERE, "WHERE", &q->where);
    if (rc == 0)
        rc = bind_checks(b, target->table);
    if (rc == 0)
        rc = bind_returning(b, s->returning);
    scope_pop(b);
    return rc;
}

int
bind_delete(struct binder *b, const struct ast_delete *s, struct query **out)
{
    struct query *q = *out = query_new(b, AST_DELETE);
    struct bind_scope scope;
    struct rte *target = NULL;
    int rc;

    scope_push(b, &scope, q);
    rc = bind_with(b, s->with);
    if (rc == 0)
        rc = bind_target_table(b, s->relation, s->alias, "delete from", &target);
    if (rc == 0) {
        q->from = from_rel(b, q->target_rel);
        rc = bind_from_list(b, s->using);
    }
    if (rc == 0)
        rc = bind_condition(b, s->where, CLAUSE_WHERE, "WHERE", &q->where);
    if (rc == 0)
        rc = bind_returning(b, s->returning);
    scope_pop(b);
    return rc;
}
