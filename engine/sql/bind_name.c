/* Columns by name: which range table entry, how many queries further out.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/sql/bind_int.h"

const char *
ns_column_name(const struct query *q, const struct ns_item *item, int32_t i)
{
    return item->rel >= 0 ? q->rels[item->rel]->columns[i].name : item->column_names[i];
}

/* A copy of a join's column for use so many levels further in. Such values are made of columns,
 * casts and COALESCE only. */
static struct expr *
expr_at_level(struct binder *b, const struct expr *e, int32_t level, int32_t at)
{
    struct expr *copy = expr_with_args(b->arena, e->kind, e->type, at, e->arg_count);

    copy->u = e->u;
    if (e->kind == EXPR_VAR)
        copy->u.var.level += level;
    for (int32_t i = 0; i < e->arg_count; i++)
        copy->args[i] = expr_at_level(b, e->args[i], level, at);
    return copy;
}

struct expr *
bind_var(struct binder *b, const struct query *q, int32_t rel, int32_t column, int32_t level,
         int32_t at)
{
    struct expr *e = expr_new(b->arena, EXPR_VAR, (struct sql_type){ TYPE_OID, -1 }, at);

    if (column >= 0)
        e->type = q->rels[rel]->columns[column].type;
    else if (column == PLAN_COLUMN_SCN)
        e->type = TYPE_INT8_PLAIN;
    e->u.var.level = level;
    e->u.var.rel = rel;
    e->u.var.column = column;
    return e;
}

struct expr *
ns_column_value(struct binder *b, const struct query *q, const struct ns_item *item, int32_t i,
                int32_t level, int32_t at)
{
    if (item->rel >= 0)
        return bind_var(b, q, item->rel, i, level, at);
    return expr_at_level(b, item->column_values[i], level, at);
}

void
bind_origin(const struct query *q, const struct expr *value, struct target *t)
{
    const struct rte *rte;

    if (value->kind != EXPR_VAR || value->u.var.level != 0 || value->u.var.column < 0)
        return;
    rte = q->rels[value->u.var.rel];
    if (rte->kind == RTE_TABLE) {
        t->table_oid = rte->table->oid;
        t->column_number = (int16_t)(value->u.var.column + 1);
    } else if (rte->kind == RTE_SUBQUERY || rte->kind == RTE_CTE) {
        const struct query *inner = rte->kind == RTE_CTE ? rte->cte->query : rte->query;
        int32_t column = value->u.var.column;

        if (inner->command == AST_SELECT && column < inner->visible_count) {
            t->table_oid = inner->targets[column].table_oid;
            t->column_number = inner->targets[column].column_number;
        }
    }
}

/* The column of that name in an item; -1: none; *many when there are two. */
static int32_t
item_find(const struct query *q, const struct ns_item *item, const char *name, bool *many)
{
    int32_t found = -1;

    for (int32_t i = 0; i < item->column_count; i++) {
        const char *n = ns_column_name(q, item, i);

        if (n != NULL && strcmp(n, name) == 0) {
            *many = *many || found >= 0;
            found = i;
        }
    }
    return found;
}

static void
outer_used(struct binder *b, int32_t level)
{
    struct bind_scope *s = b->scope;

    for (int32_t i = 0; i < level && s != NULL; i++, s = s->outer)
        s->query->has_outer = true;
}

/* Entries of scopes that may be looked into. */
static int32_t
scope_first(const struct bind_scope *s)
{
    return s->hidden ? s->item_count : s->first_item;
}

static int
column_unqualified(struct binder *b, const char *name, int32_t at, struct expr **out)
{
    int32_t level = 0;

    *out = NULL;
    for (struct bind_scope *s = b->scope; s != NULL; s = s->outer, level++) {
        bool many = false;

        for (int32_t i = scope_first(s); i < s->item_count; i++) {
            const struct ns_item *item = &s->items[i];
            int32_t column = item->columns_visible ? item_find(s->query, item, name, &many) : -1;

            if (column < 0)
                continue;
            many = many || *out != NULL;
            *out = ns_column_value(b, s->query, item, column, level, at);
        }
        if (many)
            return bind_error(b, ERR_AMBIGUOUS_COLUMN, at, "column reference \"%s\" is ambiguous",
                              name);
        if (*out != NULL) {
            outer_used(b, level);
            return 0;
        }
    }
    return 0;
}

/* The item that a qualifier names: the nearest. */
static int
item_by_name(struct binder *b, const char *schema, const char *name, int32_t at,
             struct bind_scope **scope, int32_t *level, const struct ns_item **out)
{
    *out = NULL;
    *level = 0;
    for (struct bind_scope *s = b->scope; s != NULL; s = s->outer, (*level)++) {
        for (int32_t i = scope_first(s); i < s->item_count; i++) {
            const struct ns_item *item = &s->items[i];

            if (!item->name_visible || item->name == NULL || strcmp(item->name, name) != 0)
                continue;
            if (schema != NULL && (item->schema == NULL || strcmp(item->schema, schema) != 0))
                continue;
            if (*out != NULL)
                return bind_error(b, ERR_DUPLICATE_ALIAS, at, "table reference \"%s\" is ambiguous",
                                  name);
            *out = item;
            *scope = s;
        }
        if (*out != NULL)
            return 0;
    }
    return 0;
}

/* Nothing has that name: say whether it is there but out of reach. */
static int
missing_from_entry(struct binder *b, const char *name, int32_t at)
{
    int rc;

    for (struct bind_scope *s = b->scope; s != NULL; s = s->outer)
        for (int32_t i = 0; i < s->query->rel_count; i++) {
            const struct rte *r = s->query->rels[i];

            if (r->kind == RTE_TABLE && r->alias != NULL && strcmp(r->table->name, name) == 0 &&
                strcmp(r->alias, name) != 0) {
                rc = bind_error(b, ERR_UNDEFINED_TABLE, at,
                                "invalid reference to FROM-clause entry for table \"%s\"", name);
                diag_hint("Perhaps you meant to reference the table alias \"%s\".", r->alias);
                return rc;
            }
            if (r->alias != NULL && strcmp(r->alias, name) == 0) {
                rc = bind_error(b, ERR_UNDEFINED_TABLE, at,
                                "invalid reference to FROM-clause entry for table \"%s\"", name);
                diag_detail("There is an entry for table \"%s\", but it cannot be referenced from "
                            "this part of the query.",
                            name);
                return rc;
            }
        }
    return bind_error(b, ERR_UNDEFINED_TABLE, at, "missing FROM-clause entry for table \"%s\"",
                      name);
}

/* System columns that every table has. */
static int32_t
system_column(const struct query *q, const struct ns_item *item, const char *name)
{
    if (item->rel < 0 || q->rels[item->rel]->kind != RTE_TABLE)
        return 0;
    if (strcmp(name, "tableoid") == 0)
        return PLAN_COLUMN_TABLEOID;
    return 0;
}

static int
column_qualified(struct binder *b, const struct ast_column *c, struct expr **out)
{
    const char *name = c->part[c->part_count - 1], *table = c->part[c->part_count - 2];
    const char *schema = c->part_count > 2 ? c->part[c->part_count - 3] : NULL;
    struct bind_scope *s = NULL;
    const struct ns_item *item;
    int32_t level, column, system;
    bool many = false;
    int rc = item_by_name(b, schema, table, c->node.at, &s, &level, &item);

    if (rc != 0)
        return rc;
    if (item == NULL)
        return missing_from_entry(b, table, c->node.at);
    column = item_find(s->query, item, name, &many);
    if (many)
        return bind_error(b, ERR_AMBIGUOUS_COLUMN, c->node.at,
                          "column reference \"%s\" is ambiguous", name);
    if (column >= 0) {
        *out = ns_column_value(b, s->query, item, column, level, c->node.at);
    } else {
        system = system_column(s->query, item, name);
        if (system == 0)
            return bind_error(b, ERR_UNDEFINED_COLUMN, c->node.at, "column %s.%s does not exist",
                              table, name);
        *out = bind_var(b, s->query, item->rel, system, level, c->node.at);
    }
    outer_used(b, level);
    return 0;
}

/* "Perhaps you meant": a column of that name that is there but not in reach by it alone. */
static void
hint_for_column(struct binder *b, const char *name)
{
    for (struct bind_scope *s = b->scope; s != NULL; s = s->outer)
        for (int32_t i = 0; i < s->query->rel_count; i++)
            for (int32_t k = 0; k < s->query->rels[i]->column_count; k++) {
                const char *n = s->query->rels[i]->columns[k].name;

                if (n != NULL && strcmp(n, name) == 0 && s->query->rels[i]->alias != NULL) {
                    diag_detail("There is a column named \"%s\" in table \"%s\", but it cannot be "
                                "referenced from this part of the query.",
                                name, s->query->rels[i]->alias);
                    return;
                }
            }
}

int
bind_column(struct binder *b, const struct ast_column *c, struct expr **out)
{
    const char *name = c->part[0];
    int rc;

    if (c->star)
        return bind_error(b, ERR_SYNTAX, c->node.at,
                          "row expansion via \"*\" is not supported here");
    if (c->part_count > 3)
        return bind_error(b, ERR_NOT_SUPPORTED, c->node.at,
                          "cross-database references are not implemented: %s.%s.%s.%s", c->part[0],
                          c->part[1], c->part[2], c->part[3]);
    if (c->part_count > 1)
        return column_qualified(b, c, out);
    rc = column_unqualified(b, name, c->node.at, out);
    if (rc != 0 || *out != NULL)
        return rc;
    for (struct bind_scope *s = b->scope; s != NULL; s = s->outer)
        for (int32_t i = scope_first(s); i < s->item_count; i++) {
            const struct ns_item *item = &s->items[i];
            int32_t system = system_column(s->query, item, name);

            if (s == b->scope && system != 0 && item->columns_visible) {
                *out = bind_var(b, s->query, item->rel, system, 0, c->node.at);
                return 0;
            }
            if (item->name_visible && item->name != NULL && strcmp(item->name, name) == 0)
                return bind_error(b, ERR_NOT_SUPPORTED, c->node.at,
                                  "whole-row references are not supported");
        }
    rc = bind_error(b, ERR_UNDEFINED_COLUMN, c->node.at, "column \"%s\" does not exist", name);
    hint_for_column(b, name);
    return rc;
}

static int
star_item(struct binder *b, const struct query *q, const struct ns_item *item, int32_t level,
          int32_t at, int (*fn)(struct binder *b, const char *name, struct expr *value, void *arg),
          void *arg)
{
    int rc = 0;

    for (int32_t i = 0; rc == 0 && i < item->column_count; i++) {
        const char *name = ns_column_name(q, item, i);

        if (name != NULL)
            rc = fn(b, name, ns_column_value(b, q, item, i, level, at), arg);
    }
    return rc;
}

int
bind_star(struct binder *b, const struct ast_column *c,
          int (*fn)(struct binder *b, const char *name, struct expr *value, void *arg), void *arg)
{
    struct bind_scope *s = b->scope;
    const struct ns_item *item;
    int32_t level;
    bool any = false;
    int rc = 0;

    if (c->part_count > 0) {
        const char *table = c->part[c->part_count - 1];

        rc = item_by_name(b, c->part_count > 1 ? c->part[c->part_count - 2] : NULL, table,
                          c->node.at, &s, &level, &item);
        if (rc != 0)
            return rc;
        if (item == NULL)
            return missing_from_entry(b, table, c->node.at);
        outer_used(b, level);
        return star_item(b, s->query, item, level, c->node.at, fn, arg);
    }
    for (int32_t i = 0; rc == 0 && i < s->item_count; i++)
        if (s->items[i].columns_visible) {
            any = true;
            rc = star_item(b, s->query, &s->items[i], 0, c->node.at, fn, arg);
        }
    if (rc == 0 && !any)
        rc =
            bind_error(b, ERR_SYNTAX, c->node.at, "SELECT * with no tables specified is not valid");
    return rc;
}
