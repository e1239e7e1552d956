/* Roles, schemas, comments.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/base/fiber.h"
#include "engine/base/scram.h"
#include "engine/sql/ddl_sql_int.h"

/* ---- passwords ---------------------------------------------------------------------------------
 */

struct password_job {
    const char *password;
    uint8_t salt[SCRAM_SALT_SIZE];
    char prepared[1024];
    struct scram_verifier verifier;
};

static int
password_cb(void *arg)
{
    struct password_job *j = arg;

    scram_prepare_password(j->password, j->prepared);
    return scram_make_verifier(j->prepared, j->salt, SCRAM_ITERATIONS, &j->verifier);
}

/* A password becomes its verifier; what is one already is kept. */
static int
make_verifier(struct ddl_run *d, const char *password, const char **out)
{
    struct password_job j = { .password = password };
    char text[SCRAM_VERIFIER_MAX];
    int rc;

    if (strncmp(password, "SCRAM-SHA-256$", 14) == 0 &&
        scram_parse_verifier(password, &j.verifier) == 0) {
        *out = password;
        return 0;
    }
    diag_clear();
    if (password[0] == '\0') {
        sess_notice(d->s, SQL_NOTICE, 0, "empty string is not a valid password, clearing password");
        *out = "";
        return 0;
    }
    if (strlen(password) >= sizeof j.prepared)
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "password is too long");
    env_random(d->s->q->env, j.salt, sizeof j.salt);
    rc = d->s->q->jobs != NULL ? job_run(d->s->q->jobs, password_cb, &j) : password_cb(&j);
    if (rc != 0)
        return rc;
    scram_format_verifier(&j.verifier, text);
    *out = arena_strdup(d->arena, text);
    return 0;
}

/* ---- roles -------------------------------------------------------------------------------------
 */

static int
role_option(struct ddl_run *d, const struct ast_option *o, struct ddl_role *r)
{
    const struct ast_literal *l = AST_CONST(ast_literal, o->value);
    const struct {
        const char *name;
        int *flag;
    } flags[] = { { "superuser", &r->is_superuser }, { "createdb", &r->create_db },
                  { "createrole", &r->create_role }, { "login", &r->can_login },
                  { "inherit", &r->inherits },       { "replication", &r->replication } };

    if (strcmp(o->name, "password") == 0) {
        if (o->value == NULL) {
            r->verifier = "";
            return 0;
        }
        return make_verifier(d, sess_option_text(d->arena, o->value), &r->verifier);
    }
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (strcmp(o->name, flags[i].name) == 0) {
            *flags[i].flag = l->boolean;
            return 0;
        }
    }
    if (strcmp(o->name, "bypassrls") == 0)
        return 0; /* there are no policies to pass by */
    if (strcmp(o->name, "connection_limit") == 0 && l->type == AST_LIT_INT && l->integer == -1)
        return 0;
    return DIAG(ERR_NOT_SUPPORTED, "role option \"%s\" is not supported", o->name);
}

static int
may_change_roles(struct ddl_run *d, const struct ast_role *a, const struct ddl_role *r)
{
    struct cat_role target = { 0 };
    int rc = 0;

    if (d->s->is_superuser)
        return 0;
    if (a->op == AST_ROLE_ALTER)
        rc = cat_find_role(d->catalog, d->txn, slice_str(r->name), &target);
    if (rc != 0 && rc != ERR_NOT_FOUND)
        return rc;
    if (a->op == AST_ROLE_ALTER && target.oid == d->s->role_oid && r->is_superuser < 0 &&
        r->create_role < 0 && r->create_db < 0 && r->can_login < 0 && r->replication < 0)
        return 0; /* one's own password */
    if (!d->s->can_create_role)
        return DIAG(ERR_PRIVILEGE, a->op == AST_ROLE_CREATE  ? "permission denied to create role"
                                   : a->op == AST_ROLE_ALTER ? "permission denied"
                                                             : "permission denied to drop role");
    if (a->op == AST_ROLE_ALTER && (target.is_superuser || r->is_superuser >= 0))
        return DIAG(ERR_PRIVILEGE, "must be superuser to alter superuser roles or change superuser "
                                   "attribute");
    if (a->op == AST_ROLE_ALTER && (target.replication || r->replication >= 0))
        return DIAG(ERR_PRIVILEGE, "must be superuser to alter replication roles or change "
                                   "replication attribute");
    if (r->is_superuser > 0)
        return DIAG(ERR_PRIVILEGE, "must be superuser to create superusers");
    if (r->replication > 0)
        return DIAG(ERR_PRIVILEGE, "must be superuser to create replication users");
    return 0;
}

static int
owns_something(struct ddl_run *d, oid_t role, bool *yes)
{
    struct datum row[CLASS_COUNT];
    struct sys_scan scan;
    int rc = sys_scan_open(&scan, d->catalog, d->txn, SYS_CLASS, -1, NULL, 0, NULL, d->arena);

    *yes = false;
    while (rc == 0 && !*yes && (rc = sys_scan_next(&scan, row)) == 0)
        *yes = (oid_t)row[CLASS_OWNER].i == role;
    sys_scan_close(&scan);
    return rc == ERR_END ? 0 : rc;
}

static int
drop_role(struct ddl_run *d, const char *name, bool if_exists)
{
    struct cat_role role;
    bool owns;
    int rc = cat_find_role(d->catalog, d->txn, slice_str(name), &role);

    if (rc == ERR_NOT_FOUND && if_exists) {
        sess_notice(d->s, SQL_NOTICE, 0, "role \"%s\" does not exist, skipping", name);
        return 0;
    }
    if (rc == ERR_NOT_FOUND)
        return DIAG(ERR_UNDEFINED_OBJECT, "role \"%s\" does not exist", name);
    if (rc == 0 && role.oid == d->s->role_oid)
        return DIAG(ERR_OBJECT_IN_USE, "current user cannot be dropped");
    if (rc == 0 && role.oid == CAT_ROLE_SUPERUSER)
        return DIAG(ERR_DEPENDENT_OBJECTS,
                    "cannot drop role %s because it is required by the database system", name);
    if (rc == 0 && role.is_superuser && !d->s->is_superuser)
        return DIAG(ERR_PRIVILEGE, "must be superuser to drop superusers");
    if (rc == 0)
        rc = owns_something(d, role.oid, &owns);
    if (rc == 0 && owns)
        return DIAG(ERR_DEPENDENT_OBJECTS,
                    "role \"%s\" cannot be dropped because some objects depend on it", name);
    return rc != 0 ? rc : ddl_drop_role(d->catalog, d->txn, name);
}

static int
change_role(struct ddl_run *d, const struct ast_role *a)
{
    struct ddl_role r = { .name = AST_CONST(ast_name, a->names->item[0])->name,
                          .is_superuser = -1,
                          .can_login = a->op == AST_ROLE_CREATE && a->user ? 1 : -1,
                          .create_role = -1,
                          .create_db = -1,
                          .inherits = -1,
                          .replication = -1 };
    int rc = 0;

    if (a->op == AST_ROLE_CREATE && strncmp(r.name, "pg_", 3) == 0)
        return DIAG(ERR_INVALID_NAME, "role name \"%s\" is reserved", r.name);
    for (int32_t i = 0; i < ast_count(a->options) && rc == 0; i++)
        rc = role_option(d, AST_CONST(ast_option, a->options->item[i]), &r);
    if (rc == 0)
        rc = may_change_roles(d, a, &r);
    if (rc != 0)
        return rc;
    return a->op == AST_ROLE_CREATE ? ddl_create_role(d->catalog, d->txn, &r)
                                    : ddl_alter_role(d->catalog, d->txn, &r);
}

int
ddl_run_role(struct ddl_run *d, const struct ast_role *a)
{
    struct ddl_role nobody = { .name = "", .is_superuser = -1, .replication = -1 };
    int rc = ddl_begin_plain(d);

    if (rc != 0)
        return rc;
    if (a->op != AST_ROLE_DROP) {
        rc = change_role(d, a);
    } else {
        rc = may_change_roles(d, a, &nobody);
        for (int32_t i = 0; i < ast_count(a->names) && rc == 0; i++)
            rc = drop_role(d, AST_CONST(ast_name, a->names->item[i])->name, a->if_exists);
    }
    ddl_finish(d);
    return rc;
}

/* ---- schemas -----------------------------------------------------------------------------------
 */

static int
create_schema(struct ddl_run *d, const struct ast_create_named *a)
{
    struct cat_role owner = { .oid = d->s->role_oid };
    struct cat_set *set;
    oid_t oid = 0;
    int rc = sess_set(d->s, &set);

    if (rc == 0 && !d->s->is_superuser)
        rc = DIAG(ERR_PRIVILEGE, "permission denied for database %s", d->s->database);
    if (rc == 0 && strncmp(a->name, "pg_", 3) == 0) {
        rc = DIAG(ERR_INVALID_NAME, "unacceptable schema name \"%s\"", a->name);
        diag_detail("The prefix \"pg_\" is reserved for system schemas.");
    }
    if (rc == 0 && a->owner != NULL) {
        rc = cat_find_role(d->catalog, d->txn, slice_str(a->owner), &owner);
        if (rc == ERR_NOT_FOUND)
            rc = DIAG(ERR_UNDEFINED_OBJECT, "role \"%s\" does not exist", a->owner);
    }
    if (rc == 0)
        rc = cat_find_schema(set, d->txn, slice_str(a->name), &oid);
    if (rc == 0 && oid != 0 && a->if_not_exists) {
        sess_notice(d->s, SQL_NOTICE, ERR_DUPLICATE_SCHEMA,
                    "schema \"%s\" already exists, skipping", a->name);
        return 0;
    }
    return rc != 0 ? rc : ddl_create_schema(d->catalog, d->txn, a->name, owner.oid, &oid);
}

int
ddl_run_create_schema(struct ddl_run *d, const struct ast_create_named *a)
{
    int rc = ddl_begin_plain(d);

    if (rc != 0)
        return rc;
    rc = create_schema(d, a);
    ddl_finish(d);
    return rc;
}

/* ---- comments ----------------------------------------------------------------------------------
 */

int
ddl_constraint_oid(struct ddl_run *d, const struct cat_table *t, const char *name, oid_t *oid)
{
    struct datum keys[1] = { datum_int(t->oid) }, row[CON_COUNT];
    struct sys_scan scan;
    int rc = sys_scan_open(&scan, d->catalog, d->txn, SYS_CONSTRAINT, 0, keys, 1, NULL, d->arena);

    *oid = 0;
    while (rc == 0 && *oid == 0 && (rc = sys_scan_next(&scan, row)) == 0)
        if (slice_eq(datum_view(&row[CON_NAME]), slice_str(name)))
            *oid = (oid_t)row[CON_OID].i;
    sys_scan_close(&scan);
    if (rc == ERR_END)
        rc = DIAG(ERR_UNDEFINED_OBJECT, "constraint \"%s\" for table \"%s\" does not exist", name,
                  t->name);
    return rc;
}

static int
comment_schema(struct ddl_run *d, const struct ast_comment *a)
{
    struct cat_set *set;
    oid_t oid;
    int rc = sess_set(d->s, &set);

    if (rc == 0)
        rc = cat_find_schema(set, d->txn, slice_str(a->relation->name), &oid);
    if (rc == 0 && oid == 0)
        rc = DIAG(ERR_UNDEFINED_SCHEMA, "schema \"%s\" does not exist", a->relation->name);
    return rc != 0
               ? rc
               : ddl_comment(d->catalog, d->txn, oid, systable_get(SYS_NAMESPACE)->oid, 0, a->text);
}

static int
comment_relation(struct ddl_run *d, const struct ast_comment *a)
{
    oid_t object, class = systable_get(SYS_CLASS)->oid;
    const struct cat_table *t;
    uint32_t column = 0;
    int rc = sess_need_table(d->s, a->relation, &t);

    if (rc == 0)
        rc = ddl_want_owner(d, t);
    if (rc != 0)
        return rc;
    object = t->oid;
    if (a->object == AST_OBJ_COLUMN) {
        rc = ddl_need_column(t, a->name, &column);
        column++;
    } else if (a->object == AST_OBJ_CONSTRAINT) {
        class = systable_get(SYS_CONSTRAINT)->oid;
        rc = ddl_constraint_oid(d, t, a->name, &object);
    }
    return rc != 0 ? rc : ddl_comment(d->catalog, d->txn, object, class, (int32_t)column, a->text);
}

int
ddl_run_comment(struct ddl_run *d, const struct ast_comment *a)
{
    int rc = ddl_begin_plain(d);

    if (rc != 0)
        return rc;
    switch (a->object) {
    case AST_OBJ_SCHEMA:
        rc = comment_schema(d, a);
        break;
    case AST_OBJ_TABLE:
    case AST_OBJ_INDEX:
    case AST_OBJ_SEQUENCE:
    case AST_OBJ_VIEW:
    case AST_OBJ_COLUMN:
    case AST_OBJ_CONSTRAINT:
        rc = comment_relation(d, a);
        break;
    default:
        rc = DIAG(ERR_NOT_SUPPORTED, "COMMENT ON this kind of object is not supported");
    }
    ddl_finish(d);
    return rc;
}
