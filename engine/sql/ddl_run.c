/* DDL: the course that all such statements follow, and what several of them need.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/sql/ddl_sql_int.h"

/* ---- locks and snapshot ------------------------------------------------------------------------
 */

void
ddl_will_lock(struct ddl_run *d, oid_t oid)
{
    for (int i = 0; i < d->lock_count; i++)
        if (d->locks[i] == oid)
            return;
    if (d->lock_count == d->lock_cap) {
        int cap = d->lock_cap == 0 ? 8 : 2 * d->lock_cap;
        oid_t *more = ARENA_ARRAY(d->arena, oid_t, cap);

        if (d->lock_count > 0)
            memcpy(more, d->locks, (size_t)d->lock_count * sizeof *more);
        d->locks = more;
        d->lock_cap = cap;
    }
    d->locks[d->lock_count++] = oid;
}

static int
oid_cmp(const void *a, const void *b)
{
    const oid_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static int
take_locks(struct ddl_run *d)
{
    int rc = 0;

    if (d->lock_count > 0)
        qsort(d->locks, (size_t)d->lock_count, sizeof *d->locks, oid_cmp);
    for (int i = 0; i < d->lock_count && rc == 0; i++)
        rc = sess_lock(d->s, d->locks[i], TABLE_ACCESS_EXCLUSIVE, LOCK_WAIT);
    return rc;
}

static bool
all_locked(const struct ddl_run *d)
{
    for (int i = 0; i < d->lock_count; i++)
        if (!sess_has_lock(d->s, d->locks[i], TABLE_ACCESS_EXCLUSIVE))
            return false;
    return true;
}

/* DDL of a transaction with an old snapshot would not see what has changed since. */
static int
refuse_old_snapshot(struct ddl_run *d)
{
    struct engine *e = d->s->q->engine;

    if (d->s->isolation == TXN_REPEATABLE_READ &&
        engine_catalog_change(e, engine_newest_scn(e)) > txn_snapshot_scn(d->txn))
        return DIAG(ERR_SERIALIZATION_FAILURE,
                    "could not serialize access due to concurrent update");
    return 0;
}

int
ddl_begin_plain(struct ddl_run *d)
{
    int rc = sess_statement_begin_locked(d->s);

    if (rc != 0)
        return rc;
    rc = refuse_old_snapshot(d);
    if (rc != 0)
        sess_statement_end(d->s);
    return rc;
}

int
ddl_begin_with(struct ddl_run *d, int (*find)(struct ddl_run *d, const void *arg), const void *arg)
{
    for (;;) {
        int rc = ddl_begin_plain(d);

        if (rc != 0)
            return rc;
        d->lock_count = 0;
        rc = find(d, arg);
        if (rc == 0 && all_locked(d))
            return 0;
        sess_statement_end(d->s);
        if (rc == 0)
            rc = take_locks(d);
        if (rc != 0)
            return rc;
    }
}

void
ddl_finish(struct ddl_run *d)
{
    sess_set_renew(d->s);
    sess_statement_end(d->s);
}

/* ---- finding -----------------------------------------------------------------------------------
 */

int
ddl_again(struct ddl_run *d, oid_t oid, const struct cat_table **out)
{
    int rc;

    sess_set_renew(d->s);
    rc = sess_table_by_oid(d->s, oid, out);
    if (rc == 0 && *out == NULL)
        rc = DIAG(ERR_UNDEFINED_TABLE, "relation with OID %u does not exist", oid);
    return rc;
}

int
ddl_want_owner(struct ddl_run *d, const struct cat_table *t)
{
    const char *kind = t->kind == CAT_INDEX      ? "index"
                       : t->kind == CAT_SEQUENCE ? "sequence"
                       : t->kind == CAT_VIEW     ? "view"
                                                 : "table";

    if (t->is_system || t->is_virtual)
        return DIAG(ERR_PRIVILEGE, "permission denied: \"%s\" is a system catalog", t->name);
    if (!d->s->is_superuser && t->owner != d->s->role_oid)
        return DIAG(ERR_PRIVILEGE, "must be owner of %s %s", kind, t->name);
    return 0;
}

int
ddl_need_table(struct ddl_run *d, const struct ast_relation *r, const struct cat_table **out)
{
    int rc = sess_need_table(d->s, r, out);

    if (rc == 0)
        rc = ddl_want_owner(d, *out);
    if (rc == 0 && (*out)->kind != CAT_TABLE)
        rc = DIAG(ERR_WRONG_OBJECT_TYPE, "\"%s\" is not a table", (*out)->name);
    return rc;
}

bool
ddl_find_column(const struct cat_table *t, const char *name, uint32_t *out)
{
    for (uint32_t i = 0; i < t->column_count; i++) {
        if (!t->columns[i].dropped && strcmp(t->columns[i].name, name) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

int
ddl_need_column(const struct cat_table *t, const char *name, uint32_t *out)
{
    if (ddl_find_column(t, name, out))
        return 0;
    return DIAG(ERR_UNDEFINED_COLUMN, "column \"%s\" of relation \"%s\" does not exist", name,
                t->name);
}

struct exec_ctx *
ddl_ctx(struct ddl_run *d)
{
    struct cat_set *set = NULL;

    if (sess_set(d->s, &set) != 0)
        diag_clear(); /* then nothing can be looked up, which says so itself */
    return sess_ctx(d->s, set, NULL, 0);
}

const char *
ddl_text_of(struct ddl_run *d, int32_t at, int32_t end)
{
    const char *text = (const char *)d->text.data;

    while (at < end && isspace((unsigned char)text[at]))
        at++;
    while (end > at && isspace((unsigned char)text[end - 1]))
        end--;
    return arena_strndup(d->arena, text + at, (size_t)(end - at));
}

/* ---- options -----------------------------------------------------------------------------------
 */

static int
check_option(struct ddl_run *d, const struct ast_option *o, const char **value)
{
    char *end;
    long fill;

    *value = sess_option_text(d->arena, o->value);
    if (*value == NULL)
        *value = "true";
    if (strcmp(o->name, "fillfactor") == 0) {
        fill = strtol(*value, &end, 10);
        if (*end != '\0')
            return DIAG(ERR_INVALID_PARAMETER_VALUE,
                        "invalid value for integer option \"fillfactor\": %s", *value);
        if (fill < 10 || fill > 100) {
            (void)DIAG(ERR_INVALID_PARAMETER_VALUE,
                       "value %s out of bounds for option \"fillfactor\"", *value);
            diag_detail("Valid values are between \"10\" and \"100\".");
            return ERR_INVALID_PARAMETER_VALUE;
        }
        return 0;
    }
    if (strncmp(o->name, "autovacuum_", 11) == 0 || strncmp(o->name, "toast.", 6) == 0 ||
        strcmp(o->name, "parallel_workers") == 0 || strcmp(o->name, "deduplicate_items") == 0)
        return 0; /* kept and shown; there is nothing here that they could steer */
    return DIAG(ERR_INVALID_PARAMETER_VALUE, "unrecognized parameter \"%s\"", o->name);
}

int
ddl_options(struct ddl_run *d, const struct ast_list *options, const char **out)
{
    const char *all = "{";

    *out = NULL;
    if (ast_count(options) == 0)
        return 0;
    for (int32_t i = 0; i < ast_count(options); i++) {
        const struct ast_option *o = AST_CONST(ast_option, options->item[i]);
        const char *value;
        int rc = check_option(d, o, &value);

        if (rc != 0)
            return rc;
        all = arena_printf(d->arena, "%s%s\"%s=%s\"", all, i > 0 ? "," : "", o->name, value);
    }
    *out = arena_printf(d->arena, "%s}", all);
    return 0;
}

int
ddl_refuse_tablespace(const char *tablespace)
{
    if (tablespace == NULL || strcmp(tablespace, "pg_default") == 0)
        return 0;
    return DIAG(ERR_UNDEFINED_OBJECT, "tablespace \"%s\" does not exist", tablespace);
}

/* ---- dispatch ----------------------------------------------------------------------------------
 */

static const char *
object_word(enum ast_object o)
{
    static const char *const words[] = {
        [AST_OBJ_TABLE] = "TABLE",
        [AST_OBJ_INDEX] = "INDEX",
        [AST_OBJ_SEQUENCE] = "SEQUENCE",
        [AST_OBJ_VIEW] = "VIEW",
        [AST_OBJ_MATVIEW] = "MATERIALIZED VIEW",
        [AST_OBJ_SCHEMA] = "SCHEMA",
        [AST_OBJ_DATABASE] = "DATABASE",
        [AST_OBJ_COLUMN] = "TABLE",
        [AST_OBJ_CONSTRAINT] = "TABLE",
        [AST_OBJ_ROLE] = "ROLE",
        [AST_OBJ_TYPE] = "TYPE",
        [AST_OBJ_FUNCTION] = "FUNCTION",
        [AST_OBJ_EXTENSION] = "EXTENSION",
    };
    return words[o];
}

static void
tag_of(const struct ast *body, char tag[TAG_MAX])
{
    static const char *const role[] = { "CREATE ROLE", "ALTER ROLE", "DROP ROLE" };

    switch (body->kind) {
    case AST_CREATE_TABLE:
        snprintf(tag, TAG_MAX, "CREATE TABLE");
        return;
    case AST_CREATE_TABLE_AS:
        snprintf(tag, TAG_MAX, "CREATE TABLE AS");
        return;
    case AST_CREATE_INDEX:
        snprintf(tag, TAG_MAX, "CREATE INDEX");
        return;
    case AST_CREATE_SEQUENCE:
        snprintf(tag, TAG_MAX, "CREATE SEQUENCE");
        return;
    case AST_ALTER_SEQUENCE:
        snprintf(tag, TAG_MAX, "ALTER SEQUENCE");
        return;
    case AST_CREATE_VIEW:
        snprintf(tag, TAG_MAX, "CREATE VIEW");
        return;
    case AST_CREATE_SCHEMA:
        snprintf(tag, TAG_MAX, "CREATE SCHEMA");
        return;
    case AST_ALTER_TABLE:
        snprintf(tag, TAG_MAX, "ALTER %s", object_word(AST_CONST(ast_alter_table, body)->object));
        return;
    case AST_RENAME:
        snprintf(tag, TAG_MAX, "ALTER %s", object_word(AST_CONST(ast_rename, body)->object));
        return;
    case AST_DROP:
        snprintf(tag, TAG_MAX, "DROP %s", object_word(AST_CONST(ast_drop, body)->object));
        return;
    case AST_TRUNCATE:
        snprintf(tag, TAG_MAX, "TRUNCATE TABLE");
        return;
    case AST_ROLE:
        snprintf(tag, TAG_MAX, "%s", role[AST_CONST(ast_role, body)->op]);
        return;
    case AST_COMMENT:
        snprintf(tag, TAG_MAX, "COMMENT");
        return;
    default:
        snprintf(tag, TAG_MAX, "this statement");
        return;
    }
}

static int
dispatch(struct ddl_run *d, const struct ast *body, char tag[TAG_MAX])
{
    switch (body->kind) {
    case AST_CREATE_TABLE:
        return ddl_run_create_table(d, AST_CONST(ast_create_table, body));
    case AST_CREATE_TABLE_AS:
        return ddl_run_create_table_as(d, AST_CONST(ast_create_table_as, body), tag);
    case AST_CREATE_INDEX:
        return ddl_run_create_index(d, AST_CONST(ast_create_index, body));
    case AST_CREATE_VIEW:
        return ddl_run_create_view(d, AST_CONST(ast_create_view, body));
    case AST_CREATE_SEQUENCE:
    case AST_ALTER_SEQUENCE:
        return ddl_run_sequence(d, AST_CONST(ast_sequence, body));
    case AST_CREATE_SCHEMA:
        return ddl_run_create_schema(d, AST_CONST(ast_create_named, body));
    case AST_ALTER_TABLE:
        return ddl_run_alter_table(d, AST_CONST(ast_alter_table, body));
    case AST_RENAME:
        return ddl_run_rename(d, AST_CONST(ast_rename, body));
    case AST_DROP:
        return ddl_run_drop(d, AST_CONST(ast_drop, body));
    case AST_TRUNCATE:
        return ddl_run_truncate(d, AST_CONST(ast_truncate, body));
    case AST_ROLE:
        return ddl_run_role(d, AST_CONST(ast_role, body));
    case AST_COMMENT:
        return ddl_run_comment(d, AST_CONST(ast_comment, body));
    case AST_CREATE_DATABASE:
        return DIAG(ERR_NOT_SUPPORTED, "CREATE DATABASE is not supported: a node has one database");
    default:
        return DIAG(ERR_NOT_SUPPORTED, "this statement is not supported");
    }
}

int
sess_ddl_run(struct sql_session *s, const struct ast *body, struct slice text, char tag[TAG_MAX])
{
    struct ddl_run d = {
        .s = s, .text = text, .arena = &s->message, .catalog = s->q->catalog, .txn = s->txn
    };
    int rc;

    tag_of(body, tag);
    rc = sess_tx_want_write(s, tag);
    return rc != 0 ? rc : dispatch(&d, body, tag);
}
