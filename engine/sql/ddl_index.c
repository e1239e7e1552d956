/* CREATE INDEX.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/sql/ddl_sql_int.h"

static int
check_index(const struct ast_create_index *a)
{
    if (a->where != NULL)
        return DIAG(ERR_NOT_SUPPORTED, "partial indexes are not supported");
    if (ast_count(a->include) > 0)
        return DIAG(ERR_NOT_SUPPORTED, "included columns are not supported");
    if (a->nulls_not_distinct)
        return DIAG(ERR_NOT_SUPPORTED, "NULLS NOT DISTINCT is not supported");
    if (a->method != NULL && strcmp(a->method, "btree") != 0)
        return DIAG(ERR_NOT_SUPPORTED, "index access method \"%s\" is not supported", a->method);
    if (ast_count(a->columns) > 32)
        return DIAG(ERR_TOO_MANY_COLUMNS, "cannot use more than 32 columns in an index");
    return ddl_refuse_tablespace(a->tablespace);
}

static int
check_column(const struct ast_index_column *c)
{
    if (c->expr != NULL)
        return DIAG(ERR_NOT_SUPPORTED, "indexes on expressions are not supported");
    if (c->collation != NULL && strcmp(c->collation, "C") != 0 &&
        strcmp(c->collation, "POSIX") != 0 && strcmp(c->collation, "default") != 0)
        return DIAG(ERR_NOT_SUPPORTED, "collation \"%s\" is not supported", c->collation);
    if (c->opclass != NULL && strstr(c->opclass, "_ops") == NULL)
        return DIAG(ERR_UNDEFINED_OBJECT,
                    "operator class \"%s\" does not exist for access method \"btree\"", c->opclass);
    if (c->opclass != NULL)
        return DIAG(ERR_NOT_SUPPORTED, "operator class \"%s\" is not supported", c->opclass);
    return 0;
}

/* The keys, and their columns' names put together as they go into the index's own. */
static int
read_keys(struct ddl_run *d, const struct cat_table *t, const struct ast_create_index *a,
          struct ddl_index *ix, const char **names)
{
    int32_t count = ast_count(a->columns);
    struct ddl_key_column *keys = ARENA_ARRAY(d->arena, struct ddl_key_column, count + 1);

    *names = "";
    for (int32_t i = 0; i < count; i++) {
        const struct ast_index_column *c = AST_CONST(ast_index_column, a->columns->item[i]);
        uint32_t column;
        int rc = check_column(c);

        if (rc == 0 && !ddl_find_column(t, c->column, &column))
            rc = DIAG(ERR_UNDEFINED_COLUMN, "column \"%s\" does not exist", c->column);
        if (rc == 0 && type_get(t->columns[column].type)->cmp == NULL)
            rc = DIAG(ERR_UNDEFINED_OBJECT,
                      "data type %s has no default operator class for access method \"btree\"",
                      type_sql_name(t->columns[column].type));
        if (rc != 0)
            return rc;
        keys[i].column = (uint16_t)column;
        keys[i].descending = c->dir == AST_SORT_DESC;
        keys[i].nulls_first =
            c->nulls == AST_NULLS_FIRST || (c->nulls == AST_NULLS_DEFAULT && keys[i].descending);
        *names = i == 0 ? c->column : arena_printf(d->arena, "%s_%s", *names, c->column);
    }
    ix->keys = keys;
    ix->key_count = (uint32_t)count;
    return 0;
}

static int
build(struct ddl_run *d, oid_t table, oid_t index)
{
    const struct cat_table *t;
    int rc = ddl_again(d, table, &t);

    for (uint32_t i = 0; rc == 0 && i < t->index_count; i++)
        if (t->indexes[i].oid == index)
            return table_build_index(ddl_ctx(d), t, &t->indexes[i]);
    return rc != 0 ? rc : DIAG(ERR_INTERNAL, "the index that was just made is not there");
}

static int
create_index(struct ddl_run *d, const struct ast_create_index *a)
{
    struct ddl_index ix = { .name = a->name, .unique = a->unique };
    const struct cat_table *t, *other;
    const char *names, *ignored;
    struct cat_set *set;
    oid_t oid;
    int rc = ddl_need_table(d, a->relation, &t);

    if (rc == 0)
        rc = read_keys(d, t, a, &ix, &names);
    if (rc == 0 && ix.name == NULL)
        rc = ddl_free_name(d->catalog, d->txn, t->schema_oid, t->name, names, "idx", d->arena,
                           &ix.name);
    if (rc == 0)
        rc = ddl_options(d, a->options, &ignored);
    if (rc == 0)
        rc = sess_set(d->s, &set);
    if (rc == 0)
        rc = cat_find_table(set, d->txn, t->schema_oid, slice_str(ix.name), &other);
    if (rc == 0 && other != NULL && a->if_not_exists) {
        sess_notice(d->s, SQL_NOTICE, ERR_DUPLICATE_TABLE,
                    "relation \"%s\" already exists, skipping", ix.name);
        return 0;
    }
    if (rc == 0)
        rc = ddl_create_index(d->catalog, d->txn, t, &ix, &oid);
    return rc != 0 ? rc : build(d, t->oid, oid);
}

static int
find_table(struct ddl_run *d, const void *arg)
{
    const struct ast_create_index *a = arg;
    const struct cat_table *t;
    int rc = ddl_need_table(d, a->relation, &t);

    if (rc == 0)
        ddl_will_lock(d, t->oid);
    return rc;
}

int
ddl_run_create_index(struct ddl_run *d, const struct ast_create_index *a)
{
    int rc = check_index(a);

    if (rc == 0 && a->concurrently)
        rc = sess_tx_refuse_block(d->s, "CREATE INDEX CONCURRENTLY");
    if (rc == 0)
        rc = ddl_begin_with(d, find_table, a);
    if (rc != 0)
        return rc;
    rc = create_index(d, a);
    ddl_finish(d);
    return rc;
}
