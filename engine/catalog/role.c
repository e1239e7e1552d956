/* Roles and databases: lookups and DDL; the first rows of a database.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "engine/catalog/ddl_int.h"

/* ---- lookups --------------------------------------------------------------------------------- */

static void
copy_text(char *out, size_t size, const struct datum *d)
{
    snprintf(out, size, "%.*s", d->is_null ? 0 : (int)d->size,
             d->is_null ? "" : (const char *)d->p);
}

static void
role_of_row(const struct datum *row, struct cat_role *out)
{
    *out = (struct cat_role){
        .oid = (oid_t)row[AUTH_OID].i,
        .is_superuser = row[AUTH_SUPER].i != 0,
        .can_login = row[AUTH_LOGIN].i != 0,
        .inherits = row[AUTH_INHERIT].i != 0,
        .create_role = row[AUTH_CREATEROLE].i != 0,
        .create_db = row[AUTH_CREATEDB].i != 0,
        .replication = row[AUTH_REPLICATION].i != 0,
    };
    copy_text(out->name, sizeof out->name, &row[AUTH_NAME]);
    copy_text(out->verifier, sizeof out->verifier, &row[AUTH_PASSWORD]);
}

int
cat_find_role(struct catalog *c, struct txn *t, struct slice name, struct cat_role *out)
{
    struct datum key = datum_slice(name), row[AUTH_COUNT];
    struct arena a;
    int rc;

    arena_init(&a, NULL);
    rc = sys_get_by_index(c, t, SYS_AUTHID, 0, &key, NULL, &a, row);
    if (rc == 0)
        role_of_row(row, out);
    arena_fini(&a);
    return rc;
}

int
cat_role_by_oid(struct catalog *c, struct txn *t, oid_t oid, const struct read_moment *m,
                struct cat_role *out)
{
    struct datum key = datum_int(oid), row[AUTH_COUNT];
    struct arena a;
    int rc;

    arena_init(&a, NULL);
    rc = sys_get(c, t, SYS_AUTHID, &key, m, &a, row);
    if (rc == 0)
        role_of_row(row, out);
    arena_fini(&a);
    return rc;
}

int
cat_role_name(struct catalog *c, struct txn *t, oid_t oid, struct arena *a, const char **name)
{
    struct datum key = datum_int(oid), row[AUTH_COUNT];
    int rc = sys_get(c, t, SYS_AUTHID, &key, NULL, a, row);

    if (rc == 0)
        *name = arena_strndup(a, (const char *)row[AUTH_NAME].p, row[AUTH_NAME].size);
    return rc;
}

int
cat_find_database(struct catalog *c, struct txn *t, struct slice name, oid_t *oid)
{
    struct datum key = datum_slice(name), row[DB_COUNT];
    struct arena a;
    int rc;

    arena_init(&a, NULL);
    rc = sys_get_by_index(c, t, SYS_DATABASE, 0, &key, NULL, &a, row);
    if (rc == 0)
        *oid = (oid_t)row[DB_OID].i;
    arena_fini(&a);
    return rc;
}

int
cat_all_roles_have_password(struct catalog *c, struct txn *t, bool *yes)
{
    struct datum row[AUTH_COUNT];
    struct sys_scan s;
    struct arena a;
    int rc;

    *yes = true;
    arena_init(&a, NULL);
    rc = sys_scan_open(&s, c, t, SYS_AUTHID, -1, NULL, 0, NULL, &a);
    while (rc == 0 && (rc = sys_scan_next(&s, row)) == 0)
        if (row[AUTH_LOGIN].i != 0 && (row[AUTH_PASSWORD].is_null || row[AUTH_PASSWORD].size == 0))
            *yes = false;
    sys_scan_close(&s);
    arena_fini(&a);
    return rc == ERR_END ? 0 : rc;
}

/* ---- DDL ------------------------------------------------------------------------------------- */

static void
role_flags(struct datum *row, const struct ddl_role *k)
{
    const struct {
        int column, value;
    } flags[] = {
        { AUTH_SUPER, k->is_superuser },     { AUTH_LOGIN, k->can_login },
        { AUTH_CREATEROLE, k->create_role }, { AUTH_CREATEDB, k->create_db },
        { AUTH_INHERIT, k->inherits },       { AUTH_REPLICATION, k->replication },
    };

    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (flags[i].value >= 0)
            row[flags[i].column] = datum_bool(flags[i].value != 0);
    if (k->verifier != NULL)
        row[AUTH_PASSWORD] = k->verifier[0] != '\0' ? ddl_text(k->verifier) : datum_null();
}

static int
insert_role(struct ddl *d, oid_t oid, const struct ddl_role *k)
{
    struct datum *row = ddl_row(d, SYS_AUTHID);
    int rc;

    row[AUTH_OID] = datum_int(oid);
    row[AUTH_NAME] = ddl_text(k->name);
    row[AUTH_INHERIT] = datum_bool(true);
    row[AUTH_CONNLIMIT] = datum_int(-1);
    row[AUTH_VALIDUNTIL] = datum_null();
    role_flags(row, k);
    rc = sys_insert(d->catalog, d->txn, SYS_AUTHID, row);
    if (rc == ERR_FILE_EXISTS)
        rc = DIAG(ERR_DUPLICATE_OBJECT, "role \"%s\" already exists", k->name);
    return rc;
}

int
ddl_create_role(struct catalog *c, struct txn *t, const struct ddl_role *k)
{
    struct ddl d;
    oid_t oid;
    int rc;

    ddl_begin(&d, c, t);
    rc = ddl_oid(&d, &oid);
    if (rc == 0)
        rc = insert_role(&d, oid, k);
    ddl_end(&d);
    return rc;
}

static int
role_row(struct ddl *d, const char *name, struct datum **row)
{
    struct datum key = ddl_text(name);
    int rc;

    *row = ddl_row(d, SYS_AUTHID);
    rc = sys_get_by_index(d->catalog, d->txn, SYS_AUTHID, 0, &key, NULL, &d->arena, *row);
    if (rc == ERR_NOT_FOUND)
        rc = DIAG(ERR_UNDEFINED_OBJECT, "role \"%s\" does not exist", name);
    return rc;
}

int
ddl_alter_role(struct catalog *c, struct txn *t, const struct ddl_role *k)
{
    struct datum *row;
    struct ddl d;
    int rc;

    ddl_begin(&d, c, t);
    rc = role_row(&d, k->name, &row);
    if (rc == 0) {
        role_flags(row, k);
        rc = sys_update(c, t, SYS_AUTHID, row);
    }
    ddl_end(&d);
    return rc;
}

int
ddl_drop_role(struct catalog *c, struct txn *t, const char *name)
{
    struct datum *row;
    struct ddl d;
    int rc;

    ddl_begin(&d, c, t);
    rc = role_row(&d, name, &row);
    if (rc == 0 && row[AUTH_OID].i == CAT_ROLE_SUPERUSER)
        rc = DIAG(ERR_DEPENDENT_OBJECTS, "cannot drop role %s because the database needs it", name);
    if (rc == 0)
        rc = sys_delete(c, t, SYS_AUTHID, row);
    ddl_end(&d);
    return rc;
}

/* ---- the first rows ---------------------------------------------------------------------------
 */

static int
insert_namespace(struct ddl *d, oid_t oid, const char *name)
{
    struct datum *row = ddl_row(d, SYS_NAMESPACE);

    row[NSP_OID] = datum_int(oid);
    row[NSP_NAME] = ddl_text(name);
    row[NSP_OWNER] = datum_int(CAT_ROLE_SUPERUSER);
    return sys_insert(d->catalog, d->txn, SYS_NAMESPACE, row);
}

static int
insert_database(struct ddl *d, const char *name)
{
    struct datum *row = ddl_row(d, SYS_DATABASE);

    row[DB_OID] = datum_int(CAT_DATABASE);
    row[DB_NAME] = ddl_text(name);
    row[DB_OWNER] = datum_int(CAT_ROLE_SUPERUSER);
    row[DB_ENCODING] = datum_int(6); /* UTF8 */
    row[DB_LOCPROVIDER] = datum_int('c');
    row[DB_ALLOWCONN] = datum_bool(true);
    row[DB_CONNLIMIT] = datum_int(-1);
    row[DB_TABLESPACE] = datum_int(1663);
    row[DB_COLLATE] = row[DB_CTYPE] = ddl_text("C");
    return sys_insert(d->catalog, d->txn, SYS_DATABASE, row);
}

/* pg_class and pg_attribute list the catalogue's own tables too. */
static int
insert_system_table(struct ddl *d, enum systable_id id)
{
    const struct cat_table *t = &d->catalog->system[id];
    struct ddl_class class = { .oid = t->oid,
                               .schema = CAT_NAMESPACE_CATALOG,
                               .owner = CAT_ROLE_SUPERUSER,
                               .name = t->name,
                               .kind = t->is_virtual ? CAT_VIEW : CAT_TABLE,
                               .column_count = t->column_count,
                               .has_index = t->index_count > 0,
                               .tree = t->tree };
    int rc = ddl_insert_class(d, &class);

    for (uint32_t i = 0; i < t->column_count && rc == 0; i++) {
        struct ddl_column col = { .name = t->columns[i].name,
                                  .type = t->columns[i].type,
                                  .typmod = -1,
                                  .not_null = t->columns[i].not_null };

        rc = ddl_insert_attribute(d, t->oid, (int16_t)(i + 1), 1, &col, NULL);
    }
    return rc;
}

int
catalog_bootstrap(struct catalog *c, struct txn *t, const char *name)
{
    struct ddl_role super = { name, NULL, 1, 1, 1, 1, 1, 1 };
    struct ddl d;
    int rc;

    ddl_begin(&d, c, t);
    rc = insert_namespace(&d, CAT_NAMESPACE_CATALOG, "pg_catalog");
    if (rc == 0)
        rc = insert_namespace(&d, CAT_NAMESPACE_PUBLIC, "public");
    if (rc == 0)
        rc = insert_namespace(&d, CAT_NAMESPACE_INFO, "information_schema");
    if (rc == 0)
        rc = insert_role(&d, CAT_ROLE_SUPERUSER, &super);
    if (rc == 0)
        rc = insert_database(&d, name);
    for (int id = 0; id < SYS_COUNT && rc == 0; id++)
        rc = insert_system_table(&d, (enum systable_id)id);
    ddl_end(&d);
    return rc;
}
