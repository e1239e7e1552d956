/* ALTER ... RENAME.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/ddl_sql_int.h"

/* Checks are kept as text: one that names the column would mean nothing any more. */
static int
refuse_mentioned(struct ddl_run *d, const struct cat_table *t, uint32_t column)
{
    struct sql_type boolean = { TYPE_BOOL, -1 };

    for (uint32_t i = 0; i < t->check_count; i++) {
        struct expr *e;
        int rc = ddl_bind_text(d, t->checks[i].text, t, "check constraints", boolean, "check", &e);

        if (rc != 0)
            return rc;
        if (ddl_uses_column(e, (int32_t)column))
            return DIAG(ERR_NOT_SUPPORTED,
                        "cannot rename column \"%s\": constraint \"%s\" mentions it",
                        t->columns[column].name, t->checks[i].name);
    }
    return 0;
}

static int
rename_column(struct ddl_run *d, const struct cat_table *t, const struct ast_rename *a)
{
    uint32_t column, other;
    int rc;

    if (!ddl_find_column(t, a->old_name, &column))
        return DIAG(ERR_UNDEFINED_COLUMN, "column \"%s\" does not exist", a->old_name);
    if (ddl_find_column(t, a->new_name, &other))
        return DIAG(ERR_DUPLICATE_COLUMN, "column \"%s\" of relation \"%s\" already exists",
                    a->new_name, t->name);
    rc = refuse_mentioned(d, t, column);
    return rc != 0 ? rc : ddl_rename_column(d->catalog, d->txn, t, column, a->new_name);
}

static int
rename_constraint(struct ddl_run *d, const struct cat_table *t, const struct ast_rename *a)
{
    struct datum key, row[CON_COUNT];
    oid_t oid, index;
    int rc = ddl_constraint_oid(d, t, a->old_name, &oid);

    if (rc != 0)
        return rc;
    key = datum_int(oid);
    txn_command_done(d->txn);
    rc = sys_get(d->catalog, d->txn, SYS_CONSTRAINT, &key, NULL, d->arena, row);
    if (rc != 0)
        return rc;
    index = row[CON_TYPE].i == 'f' ? 0 : (oid_t)row[CON_INDID].i;
    row[CON_NAME] = datum_slice(slice_str(a->new_name));
    rc = sys_update(d->catalog, d->txn, SYS_CONSTRAINT, row);
    if (rc == ERR_FILE_EXISTS)
        rc = DIAG(ERR_DUPLICATE_OBJECT, "constraint \"%s\" for relation \"%s\" already exists",
                  a->new_name, t->name);
    if (rc == 0 && index != 0) {
        rc = ddl_again(d, index, &t);
        if (rc == 0)
            rc = ddl_rename_table(d->catalog, d->txn, t, a->new_name);
    }
    return rc;
}

/* An index made by a constraint shares its name. */
static int
rename_index(struct ddl_run *d, const struct cat_table *ix, const char *name)
{
    struct datum key = datum_int(ix->oid), row[IND_COUNT];
    struct ast_rename both = { .old_name = arena_strdup(d->arena, ix->name), .new_name = name };
    const struct cat_table *t;
    int rc = sys_get(d->catalog, d->txn, SYS_INDEX, &key, NULL, d->arena, row);

    if (rc == 0)
        rc = sess_table_by_oid(d->s, (oid_t)row[IND_TABLE].i, &t);
    for (uint32_t i = 0; rc == 0 && t != NULL && i < t->index_count; i++)
        if (t->indexes[i].oid == ix->oid && t->indexes[i].is_constraint)
            return rename_constraint(d, t, &both);
    return rc != 0 ? rc : ddl_rename_table(d->catalog, d->txn, ix, name);
}

static int
rename_relation(struct ddl_run *d, const struct ast_rename *a)
{
    const struct cat_table *t;
    bool exists;
    int rc = sess_find_table(d->s, a->relation->schema, a->relation->name, &t, &exists);

    if (rc == 0 && t == NULL && a->if_exists) {
        sess_notice(d->s, SQL_NOTICE, ERR_UNDEFINED_TABLE,
                    "relation \"%s\" does not exist, skipping", a->relation->name);
        return 0;
    }
    if (rc == 0)
        rc = sess_need_table(d->s, a->relation, &t);
    if (rc == 0)
        rc = ddl_want_owner(d, t);
    if (rc != 0)
        return rc;
    if (a->new_schema != NULL)
        return DIAG(ERR_NOT_SUPPORTED, "SET SCHEMA is not supported");
    if (a->object == AST_OBJ_COLUMN)
        return rename_column(d, t, a);
    if (a->object == AST_OBJ_CONSTRAINT)
        return rename_constraint(d, t, a);
    if (t->kind == CAT_INDEX)
        return rename_index(d, t, a->new_name);
    return ddl_rename_table(d->catalog, d->txn, t, a->new_name);
}

static int
rename_schema(struct ddl_run *d, const struct ast_rename *a)
{
    struct datum key, row[NSP_COUNT];
    struct cat_set *set;
    oid_t oid;
    int rc = sess_set(d->s, &set);

    if (rc == 0)
        rc = cat_find_schema(set, d->txn, slice_str(a->old_name), &oid);
    if (rc == 0 && oid == 0)
        rc = DIAG(ERR_UNDEFINED_SCHEMA, "schema \"%s\" does not exist", a->old_name);
    if (rc == 0 && (!d->s->is_superuser || oid == CAT_NAMESPACE_CATALOG))
        rc = DIAG(ERR_PRIVILEGE, "must be owner of schema %s", a->old_name);
    key = datum_int(oid);
    if (rc == 0)
        rc = sys_get(d->catalog, d->txn, SYS_NAMESPACE, &key, NULL, d->arena, row);
    if (rc != 0)
        return rc;
    row[NSP_NAME] = datum_slice(slice_str(a->new_name));
    rc = sys_update(d->catalog, d->txn, SYS_NAMESPACE, row);
    if (rc == ERR_FILE_EXISTS)
        rc = DIAG(ERR_DUPLICATE_SCHEMA, "schema \"%s\" already exists", a->new_name);
    return rc;
}

static int
find_renamed(struct ddl_run *d, const void *arg)
{
    const struct ast_rename *a = arg;
    const struct cat_table *t;
    bool exists;
    int rc;

    if (a->relation == NULL)
        return 0;
    rc = sess_find_table(d->s, a->relation->schema, a->relation->name, &t, &exists);
    if (rc == 0 && t != NULL)
        ddl_will_lock(d, t->oid);
    return rc;
}

int
ddl_run_rename(struct ddl_run *d, const struct ast_rename *a)
{
    int rc;

    if (a->object == AST_OBJ_DATABASE)
        return DIAG(ERR_NOT_SUPPORTED, "ALTER DATABASE ... RENAME is not supported");
    rc = ddl_begin_with(d, find_renamed, a);
    if (rc != 0)
        return rc;
    rc = a->object == AST_OBJ_SCHEMA ? rename_schema(d, a) : rename_relation(d, a);
    ddl_finish(d);
    return rc;
}
