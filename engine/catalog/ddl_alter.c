/* DDL of columns, constraints, schemas, roles, comments.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/catalog/ddl_int.h"

/* ---- pg_class -------------------------------------------------------------------------------- */

int
ddl_rename_table(struct catalog *c, struct txn *t, const struct cat_table *table, const char *name)
{
    struct datum *row;
    struct ddl d;
    int rc;

    ddl_begin(&d, c, t);
    rc = ddl_class_row(&d, table->oid, &row);
    if (rc == 0) {
        row[CLASS_NAME] = ddl_text(name);
        rc = ddl_class_write(&d, row);
    }
    if (rc == ERR_FILE_EXISTS)
        rc = DIAG(ERR_DUPLICATE_TABLE, "relation \"%s\" already exists", name);
    ddl_end(&d);
    return rc;
}

int
ddl_set_options(struct catalog *c, struct txn *t, const struct cat_table *table,
                const char *options)
{
    struct datum *row;
    struct ddl d;
    int rc;

    ddl_begin(&d, c, t);
    rc = ddl_class_row(&d, table->oid, &row);
    if (rc == 0)
        rc = type_in(TYPE_TEXT_ARRAY, NULL, &d.arena, slice_str(options), -1, &row[CLASS_OPTIONS]);
    if (rc == 0)
        rc = ddl_class_write(&d, row);
    ddl_end(&d);
    return rc;
}

/* Estimates make no plan stale: the description's change number stays. */
int
ddl_set_statistics(struct catalog *c, struct txn *t, const struct cat_table *table, double rows,
                   double bytes_per_row)
{
    struct datum *row;
    struct ddl d;
    int rc;

    ddl_begin(&d, c, t);
    rc = ddl_class_row(&d, table->oid, &row);
    if (rc == 0) {
        row[CLASS_TUPLES] = datum_float(rows);
        row[CLASS_RDBYTES] = datum_float(bytes_per_row);
        row[CLASS_PAGES] = datum_int((int64_t)(rows * bytes_per_row / 8192) + 1);
        rc = sys_update(c, t, SYS_CLASS, row);
    }
    ddl_end(&d);
    return rc;
}

/* ---- columns --------------------------------------------------------------------------------- */

/* A new version of the definition: rows written from now on carry it. */
static int
next_version(struct ddl *d, oid_t table, int columns, uint32_t *version)
{
    struct datum *row;
    int rc = ddl_class_row(d, table, &row);

    if (rc != 0)
        return rc;
    row[CLASS_RDVERSION].i++;
    row[CLASS_NATTS].i += columns;
    *version = (uint32_t)row[CLASS_RDVERSION].i;
    return ddl_class_write(d, row);
}

int
ddl_add_column(struct catalog *c, struct txn *t, const struct cat_table *table,
               const struct ddl_column *col, const struct datum *missing)
{
    uint32_t version;
    struct ddl d;
    int rc;

    if (table->column_count >= ROW_COLUMNS_MAX)
        return DIAG(ERR_TOO_MANY_COLUMNS, "tables can have at most %d columns", ROW_COLUMNS_MAX);
    ddl_begin(&d, c, t);
    rc = next_version(&d, table->oid, 1, &version);
    if (rc == 0)
        rc = ddl_insert_attribute(&d, table->oid, (int16_t)(table->column_count + 1), version, col,
                                  missing);
    ddl_end(&d);
    return rc;
}

static int
attribute_row(struct ddl *d, const struct cat_table *table, uint32_t column, struct datum **row)
{
    struct datum keys[2] = { datum_int(table->oid), datum_int((int64_t)column + 1) };

    *row = ddl_row(d, SYS_ATTRIBUTE);
    return sys_get(d->catalog, d->txn, SYS_ATTRIBUTE, keys, NULL, &d->arena, *row);
}

static int
delete_default(struct ddl *d, const struct cat_table *table, uint32_t column)
{
    struct datum *row = ddl_row(d, SYS_ATTRDEF);

    if (table->columns[column].default_text == NULL)
        return 0;
    row[DEF_RELID] = datum_int(table->oid);
    row[DEF_NUM] = datum_int((int64_t)column + 1);
    return sys_delete(d->catalog, d->txn, SYS_ATTRDEF, row);
}

int
ddl_drop_column(struct catalog *c, struct txn *t, const struct cat_table *table, uint32_t column)
{
    uint32_t version;
    struct datum *row;
    struct ddl d;
    int rc;

    ddl_begin(&d, c, t);
    rc = next_version(&d, table->oid, 0, &version);
    if (rc == 0)
        rc = attribute_row(&d, table, column, &row);
    if (rc == 0) {
        row[ATT_NAME] =
            ddl_text(arena_printf(&d.arena, "........pg.dropped.%u........", column + 1));
        row[ATT_TYPID] = datum_int(0);
        row[ATT_NOTNULL] = row[ATT_HASDEF] = row[ATT_HASMISSING] = datum_bool(false);
        row[ATT_ISDROPPED] = datum_bool(true);
        row[ATT_RDUNTIL] = datum_int(version);
        rc = sys_update(c, t, SYS_ATTRIBUTE, row);
    }
    if (rc == 0)
        rc = delete_default(&d, table, column);
    ddl_end(&d);
    return rc;
}

struct column_change {
    const char *name; /* NULL: as it is */
    int not_null;     /* -1: as it is */
    bool sets_default;
    const char *default_text;
};

static int
change_default(struct ddl *d, const struct cat_table *table, uint32_t column, const char *text)
{
    struct datum *row = ddl_row(d, SYS_ATTRDEF);
    oid_t oid;
    int rc = delete_default(d, table, column);

    if (rc != 0 || text == NULL)
        return rc;
    rc = ddl_oid(d, &oid);
    row[DEF_OID] = datum_int(oid);
    row[DEF_RELID] = datum_int(table->oid);
    row[DEF_NUM] = datum_int((int64_t)column + 1);
    row[DEF_BIN] = ddl_text(text);
    return rc != 0 ? rc : sys_insert(d->catalog, d->txn, SYS_ATTRDEF, row);
}

static int
change_column(struct catalog *c, struct txn *t, const struct cat_table *table, uint32_t column,
              const struct column_change *k)
{
    struct datum *row;
    struct ddl d;
    int rc;

    ddl_begin(&d, c, t);
    rc = attribute_row(&d, table, column, &row);
    if (rc == 0) {
        if (k->name != NULL)
            row[ATT_NAME] = ddl_text(k->name);
        if (k->not_null >= 0)
            row[ATT_NOTNULL] = datum_bool(k->not_null != 0);
        if (k->sets_default) {
            row[ATT_HASDEF] = datum_bool(k->default_text != NULL);
            rc = change_default(&d, table, column, k->default_text);
        }
    }
    if (rc == 0)
        rc = sys_update(c, t, SYS_ATTRIBUTE, row);
    if (rc == 0 && k->name != NULL)
        rc = ddl_update_index_attributes(&d, table, column);
    if (rc == 0)
        rc = ddl_touch(&d, table->oid);
    ddl_end(&d);
    return rc;
}

int
ddl_rename_column(struct catalog *c, struct txn *t, const struct cat_table *table, uint32_t column,
                  const char *name)
{
    return change_column(c, t, table, column,
                         &(struct column_change){ .name = name, .not_null = -1 });
}

int
ddl_set_not_null(struct catalog *c, struct txn *t, const struct cat_table *table, uint32_t column,
                 bool not_null)
{
    return change_column(c, t, table, column, &(struct column_change){ .not_null = not_null });
}

int
ddl_set_default(struct catalog *c, struct txn *t, const struct cat_table *table, uint32_t column,
                const char *text)
{
    return change_column(
        c, t, table, column,
        &(struct column_change){ .not_null = -1, .sets_default = true, .default_text = text });
}

/* ---- constraints ------------------------------------------------------------------------------
 */

static int
insert_constraint(struct ddl *d, struct datum *row, const char *name, oid_t *oid)
{
    int rc = ddl_oid(d, oid);

    if (rc != 0)
        return rc;
    row[CON_OID] = datum_int(*oid);
    row[CON_NAME] = ddl_text(name);
    row[CON_VALIDATED] = row[CON_ISLOCAL] = row[CON_NOINHERIT] = datum_bool(true);
    rc = sys_insert(d->catalog, d->txn, SYS_CONSTRAINT, row);
    if (rc == ERR_FILE_EXISTS)
        rc = DIAG(ERR_DUPLICATE_OBJECT, "constraint \"%s\" already exists", name);
    return rc;
}

int
ddl_add_check(struct catalog *c, struct txn *t, const struct cat_table *table, const char *name,
              const char *text)
{
    struct datum *row, *class;
    struct ddl d;
    oid_t oid;
    int rc;

    ddl_begin(&d, c, t);
    row = ddl_row(&d, SYS_CONSTRAINT);
    row[CON_NAMESPACE] = datum_int(table->schema_oid);
    row[CON_TYPE] = datum_int('c');
    row[CON_RELID] = datum_int(table->oid);
    row[CON_UPDTYPE] = row[CON_DELTYPE] = row[CON_MATCHTYPE] = datum_int(' ');
    row[CON_BIN] = ddl_text(text);
    rc = insert_constraint(&d, row, name, &oid);
    if (rc == 0)
        rc = ddl_class_row(&d, table->oid, &class);
    if (rc == 0) {
        class[CLASS_CHECKS].i++;
        rc = ddl_class_write(&d, class);
    }
    ddl_end(&d);
    return rc;
}

static struct datum
column_numbers(struct ddl *d, const uint16_t *columns, uint32_t count)
{
    int32_t *n = ARENA_ARRAY(&d->arena, int32_t, count + 1);

    for (uint32_t i = 0; i < count; i++)
        n[i] = columns[i] + 1;
    return ddl_numbers(d, TYPE_INT2, n, count, 1);
}

/* Foreign keys are PostgreSQL's triggers: clients look for them only where this says so. */
static int
touch_triggers(struct ddl *d, oid_t oid)
{
    struct datum *row;
    int rc = ddl_class_row(d, oid, &row);

    if (rc != 0)
        return rc;
    row[CLASS_HASTRIGGERS] = datum_bool(true);
    return ddl_class_write(d, row);
}

int
ddl_add_fk(struct catalog *c, struct txn *t, const struct cat_table *table, const struct cat_fk *fk,
           oid_t *oid)
{
    struct datum *row;
    struct ddl d;
    int rc;

    ddl_begin(&d, c, t);
    row = ddl_row(&d, SYS_CONSTRAINT);
    row[CON_NAMESPACE] = datum_int(table->schema_oid);
    row[CON_TYPE] = datum_int('f');
    row[CON_DEFERRABLE] = datum_bool(fk->deferrable);
    row[CON_DEFERRED] = datum_bool(fk->initially_deferred);
    row[CON_RELID] = datum_int(table->oid);
    row[CON_INDID] = datum_int(fk->ref_index_oid);
    row[CON_FRELID] = datum_int(fk->ref_oid);
    row[CON_UPDTYPE] = datum_int(fk->on_update);
    row[CON_DELTYPE] = datum_int(fk->on_delete);
    row[CON_MATCHTYPE] = datum_int(fk->match_full ? 'f' : 's');
    row[CON_KEY] = column_numbers(&d, fk->columns, fk->column_count);
    row[CON_FKEY] = column_numbers(&d, fk->ref_columns, fk->column_count);
    rc = insert_constraint(&d, row, fk->name, oid);
    if (rc == 0)
        rc = touch_triggers(&d, table->oid);
    if (rc == 0 && fk->ref_oid != table->oid)
        rc = touch_triggers(&d, fk->ref_oid);
    ddl_end(&d);
    return rc;
}

static int
drop_constraint(struct ddl *d, struct datum *row)
{
    oid_t table = (oid_t)row[CON_RELID].i, ref = (oid_t)row[CON_FRELID].i;
    struct datum *class;
    int rc = sys_delete(d->catalog, d->txn, SYS_CONSTRAINT, row);

    if (rc == 0)
        rc = ddl_class_row(d, table, &class);
    if (rc == 0 && row[CON_TYPE].i == 'c')
        class[CLASS_CHECKS].i--;
    if (rc == 0)
        rc = ddl_class_write(d, class);
    if (rc == 0 && ref != 0 && ref != table)
        rc = ddl_touch(d, ref);
    return rc;
}

int
ddl_drop_constraint(struct catalog *c, struct txn *t, oid_t constraint)
{
    struct datum key = datum_int(constraint), *row;
    struct ddl d;
    int rc;

    ddl_begin(&d, c, t);
    row = ddl_row(&d, SYS_CONSTRAINT);
    rc = sys_get(c, t, SYS_CONSTRAINT, &key, NULL, &d.arena, row);
    if (rc == ERR_NOT_FOUND)
        rc = DIAG(ERR_UNDEFINED_OBJECT, "constraint with OID %u does not exist", constraint);
    if (rc == 0)
        rc = drop_constraint(&d, row);
    ddl_end(&d);
    return rc;
}

int
ddl_drop_constraint_of_index(struct ddl *d, const struct cat_table *table, oid_t index)
{
    struct datum key = datum_int(table->oid);
    struct datum *row = ddl_row(d, SYS_CONSTRAINT), *found = NULL;
    struct sys_scan s;
    int rc = sys_scan_open(&s, d->catalog, d->txn, SYS_CONSTRAINT, 0, &key, 1, NULL, &d->arena);

    while (rc == 0 && (rc = sys_scan_next(&s, row)) == 0) {
        if ((oid_t)row[CON_INDID].i == index && row[CON_TYPE].i != 'f') {
            found = row;
            break;
        }
    }
    sys_scan_close(&s);
    if (rc == ERR_END)
        rc = 0;
    return rc == 0 && found != NULL ? sys_delete(d->catalog, d->txn, SYS_CONSTRAINT, found) : rc;
}

/* ---- schemas --------------------------------------------------------------------------------- */

int
ddl_create_schema(struct catalog *c, struct txn *t, const char *name, oid_t owner, oid_t *oid)
{
    struct datum *row;
    struct ddl d;
    int rc;

    ddl_begin(&d, c, t);
    row = ddl_row(&d, SYS_NAMESPACE);
    rc = ddl_oid(&d, oid);
    row[NSP_OID] = datum_int(*oid);
    row[NSP_NAME] = ddl_text(name);
    row[NSP_OWNER] = datum_int(owner);
    if (rc == 0)
        rc = sys_insert(c, t, SYS_NAMESPACE, row);
    if (rc == ERR_FILE_EXISTS)
        rc = DIAG(ERR_DUPLICATE_SCHEMA, "schema \"%s\" already exists", name);
    ddl_end(&d);
    return rc;
}

int
ddl_drop_schema(struct catalog *c, struct txn *t, oid_t schema)
{
    struct datum *row;
    struct ddl d;
    int rc;

    ddl_begin(&d, c, t);
    row = ddl_row(&d, SYS_NAMESPACE);
    row[NSP_OID] = datum_int(schema);
    rc = sys_delete(c, t, SYS_NAMESPACE, row);
    ddl_end(&d);
    return rc;
}

/* ---- comments -------------------------------------------------------------------------------- */

int
ddl_comment(struct catalog *c, struct txn *t, oid_t object, oid_t catalog_oid, int32_t column,
            const char *text)
{
    struct datum keys[3] = { datum_int(object), datum_int(catalog_oid), datum_int(column) };
    struct datum *row;
    struct ddl d;
    int rc;

    ddl_begin(&d, c, t);
    row = ddl_row(&d, SYS_DESCRIPTION);
    rc = sys_get(c, t, SYS_DESCRIPTION, keys, NULL, &d.arena, row);
    if (rc == 0)
        rc = sys_delete(c, t, SYS_DESCRIPTION, row);
    if (rc == ERR_NOT_FOUND)
        rc = 0;
    for (int i = 0; i < 3; i++)
        row[i] = keys[i];
    row[3] = ddl_text(text);
    if (rc == 0 && text != NULL)
        rc = sys_insert(c, t, SYS_DESCRIPTION, row);
    ddl_end(&d);
    return rc;
}
