/* DDL of tables and indexes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/catalog/ddl_int.h"

static int
create_columns(struct ddl *d, const struct ddl_table *k, oid_t oid)
{
    int rc = 0;

    for (uint32_t i = 0; i < k->column_count && rc == 0; i++) {
        struct ddl_column col = k->columns[i];

        for (uint32_t p = 0; p < k->primary_count; p++)
            col.not_null |= k->primary[p].column == i;
        rc = ddl_insert_attribute(d, oid, (int16_t)(i + 1), 1, &col, NULL);
    }
    return rc;
}

static int
create_primary(struct ddl *d, oid_t table, oid_t schema, oid_t owner, const char *name,
               const struct ddl_key_column *keys, uint32_t count)
{
    struct ddl_index ix = {
        .name = name, .unique = true, .is_constraint = true, .key_count = count, .keys = keys
    };
    oid_t oid;

    return ddl_insert_index(d, table, schema, owner, &ix, true, 0, &oid);
}

static int
create_table(struct ddl *d, const struct ddl_table *k, oid_t *oid)
{
    struct ddl_class class = { .schema = k->schema,
                               .owner = k->owner,
                               .name = k->name,
                               .kind = (char)k->kind,
                               .column_count = k->column_count,
                               .has_index = k->primary_count > 0,
                               .options = k->options,
                               .view_text = k->view_text };
    int rc = ddl_oid(d, oid);

    class.oid = *oid;
    if (rc == 0 && k->kind == CAT_TABLE)
        rc = txn_tree_create(d->txn, &class.tree);
    if (rc == 0)
        rc = ddl_insert_class(d, &class);
    if (rc == 0)
        rc = create_columns(d, k, *oid);
    if (rc == 0 && k->primary_count > 0)
        rc = create_primary(d, *oid, k->schema, k->owner, k->primary_name, k->primary,
                            k->primary_count);
    return rc;
}

int
ddl_create_table(struct catalog *c, struct txn *t, const struct ddl_table *k, oid_t *oid)
{
    struct ddl d;
    int rc;

    if (k->column_count > ROW_COLUMNS_MAX)
        return DIAG(ERR_TOO_MANY_COLUMNS, "tables can have at most %d columns", ROW_COLUMNS_MAX);
    ddl_begin(&d, c, t);
    rc = create_table(&d, k, oid);
    ddl_end(&d);
    return rc;
}

/* ---- dropping -------------------------------------------------------------------------------- */

static int
drop_index_rows(struct ddl *d, const struct cat_index *ix)
{
    struct datum *key = ddl_row(d, SYS_INDEX), *class = ddl_row(d, SYS_CLASS);
    int rc = 0;

    key[IND_RELID] = datum_int(ix->oid);
    class[CLASS_OID] = datum_int(ix->oid);
    if (ix->tree != 0)
        rc = txn_tree_drop(d->txn, ix->tree);
    if (rc == 0)
        rc = ddl_delete_all(d, SYS_ATTRIBUTE, -1, ix->oid);
    if (rc == 0)
        rc = sys_delete(d->catalog, d->txn, SYS_INDEX, key);
    if (rc == 0)
        rc = sys_delete(d->catalog, d->txn, SYS_CLASS, class);
    return rc;
}

static int
touch_referenced(struct ddl *d, const struct cat_table *table)
{
    int rc = 0;

    for (uint32_t i = 0; i < table->fk_count && rc == 0; i++)
        if (table->fks[i].ref_oid != table->oid)
            rc = ddl_touch(d, table->fks[i].ref_oid);
    return rc;
}

static int
drop_table(struct ddl *d, const struct cat_table *table)
{
    struct datum *class = ddl_row(d, SYS_CLASS);
    int rc = 0;

    for (uint32_t i = 0; i < table->ref_count; i++)
        if (table->refs[i].table_oid != table->oid)
            return DIAG(ERR_DEPENDENT_OBJECTS,
                        "cannot drop table %s because other objects depend on it", table->name);
    for (uint32_t i = 0; i < table->index_count && rc == 0; i++)
        rc = drop_index_rows(d, &table->indexes[i]);
    if (rc == 0)
        rc = touch_referenced(d, table);
    if (rc == 0)
        rc = ddl_delete_all(d, SYS_CONSTRAINT, 0, table->oid);
    if (rc == 0)
        rc = ddl_delete_all(d, SYS_ATTRIBUTE, -1, table->oid);
    if (rc == 0)
        rc = ddl_delete_all(d, SYS_ATTRDEF, -1, table->oid);
    if (rc == 0)
        rc = ddl_delete_all(d, SYS_DESCRIPTION, -1, table->oid);
    if (rc == 0 && table->tree != 0)
        rc = txn_tree_drop(d->txn, table->tree);
    class[CLASS_OID] = datum_int(table->oid);
    return rc != 0 ? rc : sys_delete(d->catalog, d->txn, SYS_CLASS, class);
}

int
ddl_drop_table(struct catalog *c, struct txn *t, const struct cat_table *table)
{
    struct ddl d;
    int rc;

    ddl_begin(&d, c, t);
    rc = drop_table(&d, table);
    ddl_end(&d);
    return rc;
}

/* ---- new trees --------------------------------------------------------------------------------
 */

/* The relation goes on in a fresh tree; the old one stays for moments before. */
static int
renew_tree(struct ddl *d, oid_t oid, tree_id_t old, double rows)
{
    struct datum *row;
    tree_id_t tree;
    int rc = ddl_class_row(d, oid, &row);

    if (rc == 0)
        rc = txn_tree_drop(d->txn, old);
    if (rc == 0)
        rc = txn_tree_create(d->txn, &tree);
    if (rc != 0)
        return rc;
    row[CLASS_RDTREE] = datum_int((int64_t)tree);
    row[CLASS_TUPLES] = datum_float(rows);
    return ddl_class_write(d, row);
}

static int
renew_all(struct ddl *d, const struct cat_table *table, double rows)
{
    int rc = renew_tree(d, table->oid, table->tree, rows);

    for (uint32_t i = 0; i < table->index_count && rc == 0; i++)
        if (!table->indexes[i].primary)
            rc = renew_tree(d, table->indexes[i].oid, table->indexes[i].tree, -1);
    return rc;
}

int
ddl_truncate(struct catalog *c, struct txn *t, const struct cat_table *table)
{
    struct ddl d;
    int rc;

    ddl_begin(&d, c, t);
    rc = renew_all(&d, table, 0);
    ddl_end(&d);
    return rc;
}

static int
retype_columns(struct ddl *d, const struct cat_table *table, const struct ddl_column *columns)
{
    int rc = 0;

    for (uint32_t i = 0; i < table->column_count && rc == 0; i++) {
        struct datum keys[2] = { datum_int(table->oid), datum_int((int64_t)i + 1) };
        struct datum *row = ddl_row(d, SYS_ATTRIBUTE);

        if (table->columns[i].dropped)
            continue;
        rc = sys_get(d->catalog, d->txn, SYS_ATTRIBUTE, keys, NULL, &d->arena, row);
        if (rc != 0)
            return rc;
        row[ATT_TYPID] = row[ATT_RDTYPE] = datum_int(columns[i].type);
        row[ATT_TYPMOD] = datum_int(columns[i].typmod);
        row[ATT_RDMISSING] = datum_null();
        row[ATT_HASMISSING] = datum_bool(false);
        rc = sys_update(d->catalog, d->txn, SYS_ATTRIBUTE, row);
        if (rc == 0)
            rc = ddl_update_index_attributes(d, table, i);
    }
    return rc;
}

static int
set_has_index(struct ddl *d, oid_t table, bool has)
{
    struct datum *row;
    int rc = ddl_class_row(d, table, &row);

    if (rc != 0)
        return rc;
    row[CLASS_HASINDEX] = datum_bool(has);
    return ddl_class_write(d, row);
}

static int
change_primary(struct ddl *d, const struct cat_table *table, const struct ddl_key_column *primary,
               uint32_t count, const char *name)
{
    bool same = table->primary != NULL && table->primary->key_count == count;
    int rc = 0;

    for (uint32_t i = 0; same && i < count; i++)
        same = table->primary->keys[i].column == primary[i].column;
    if (same || (table->primary == NULL && count == 0))
        return 0;
    if (table->primary != NULL) {
        rc = drop_index_rows(d, table->primary);
        if (rc == 0)
            rc = ddl_drop_constraint_of_index(d, table, table->primary->oid);
    }
    for (uint32_t i = 0; i < count && rc == 0; i++)
        rc = ddl_set_not_null(d->catalog, d->txn, table, primary[i].column, true);
    if (rc == 0 && count > 0)
        rc = create_primary(d, table->oid, table->schema_oid, table->owner, name, primary, count);
    if (rc == 0)
        rc = set_has_index(d, table->oid,
                           count > 0 || table->index_count > (table->primary != NULL));
    return rc;
}

int
ddl_rewrite_table(struct catalog *c, struct txn *t, const struct cat_table *table,
                  const struct ddl_key_column *primary, uint32_t primary_count,
                  const char *primary_name, const struct ddl_column *columns)
{
    struct ddl d;
    int rc;

    ddl_begin(&d, c, t);
    rc = change_primary(&d, table, primary, primary_count, primary_name);
    if (rc == 0 && columns != NULL)
        rc = retype_columns(&d, table, columns);
    if (rc == 0)
        rc = renew_all(&d, table, table->row_count);
    ddl_end(&d);
    return rc;
}

/* ---- indexes --------------------------------------------------------------------------------- */

int
ddl_create_index(struct catalog *c, struct txn *t, const struct cat_table *table,
                 const struct ddl_index *k, oid_t *oid)
{
    tree_id_t tree;
    struct ddl d;
    int rc;

    ddl_begin(&d, c, t);
    rc = txn_tree_create(t, &tree);
    if (rc == 0)
        rc = ddl_insert_index(&d, table->oid, table->schema_oid, table->owner, k, false, tree, oid);
    if (rc == 0)
        rc = set_has_index(&d, table->oid, true);
    ddl_end(&d);
    return rc;
}

int
ddl_drop_index(struct catalog *c, struct txn *t, const struct cat_table *table,
               const struct cat_index *ix)
{
    struct ddl d;
    int rc;

    ddl_begin(&d, c, t);
    rc = drop_index_rows(&d, ix);
    if (rc == 0 && ix->is_constraint)
        rc = ddl_drop_constraint_of_index(&d, table, ix->oid);
    if (rc == 0)
        rc = set_has_index(&d, table->oid, table->index_count > 1);
    ddl_end(&d);
    return rc;
}
