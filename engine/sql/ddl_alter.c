/* ALTER TABLE.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/sql/ddl_sql_int.h"

/* ---- ADD COLUMN --------------------------------------------------------------------------------
 */

struct any_walk {
    bool found;
};

static int
any_cb(void *arg, struct slice key, const struct datum *values)
{
    (void)key;
    (void)values;
    ((struct any_walk *)arg)->found = true;
    return ERR_END;
}

static int
has_rows(struct ddl_run *d, const struct cat_table *t, bool *yes)
{
    struct any_walk w = { false };
    int rc = table_each_row(ddl_ctx(d), t, any_cb, &w);

    *yes = w.found;
    return rc;
}

/* A default that is the same for all rows is kept once; another is written into each. */
static int
fill_column(struct ddl_run *d, const struct cat_table *t, uint32_t column, const struct expr *value)
{
    struct ddl_rewrite r = { .value = value, .column = column };

    r.primary = ddl_primary_of(d, t, &r.primary_count);
    return ddl_rewrite(d, t, &r);
}

static int
add_nulls(struct ddl_run *d, const struct cat_table *t, const struct ddl_column_plan *c)
{
    bool rows;
    int rc;

    if (!c->column.not_null || c->column.default_text != NULL)
        return 0;
    rc = has_rows(d, t, &rows);
    if (rc == 0 && rows) {
        rc = DIAG(ERR_NOT_NULL_VIOLATION, "column \"%s\" of relation \"%s\" contains null values",
                  c->column.name, t->name);
        diag_object(t->schema, t->name, c->column.name, NULL);
    }
    return rc;
}

static int
add_constraints(struct ddl_run *d, oid_t table, const struct ddl_column_plan *c)
{
    int rc = 0;

    for (int32_t i = 0; i < ast_count(c->constraints) && rc == 0; i++) {
        const struct cat_table *t;

        rc = ddl_again(d, table, &t);
        if (rc == 0)
            rc = ddl_add_constraint(d, t, AST_CONST(ast_constraint, c->constraints->item[i]),
                                    c->column.name);
    }
    return rc;
}

static int
bind_default(struct ddl_run *d, struct ddl_column_plan *c, struct expr **value)
{
    struct sql_type type = { c->column.type, c->column.typmod };

    *value = NULL;
    if (c->column.default_text == NULL)
        return 0;
    return ddl_bind_text(d, c->column.default_text, NULL, "DEFAULT expressions", type,
                         c->column.name, value);
}

static int
add_column(struct ddl_run *d, const struct cat_table *t, const struct ddl_column_plan *c,
           const struct expr *value)
{
    struct datum missing = datum_null();
    bool each = value != NULL && expr_is_volatile(value);
    oid_t table = t->oid;
    uint32_t column = t->column_count;
    int rc = 0;

    if (value != NULL && !each)
        rc = exec_eval(ddl_ctx(d), value, d->arena, &missing);
    if (rc == 0 && missing.is_null && c->column.not_null && !each && value != NULL) {
        struct ddl_column_plan bare = *c;

        bare.column.default_text = NULL;
        rc = add_nulls(d, t, &bare);
    }
    if (rc == 0)
        rc = ddl_add_column(d->catalog, d->txn, t, &c->column, &missing);
    if (rc == 0 && each) {
        rc = ddl_again(d, table, &t);
        if (rc == 0)
            rc = fill_column(d, t, column, value);
    }
    return rc;
}

static int
run_add_column(struct ddl_run *d, const struct cat_table *t, const struct ast_alter_cmd *a)
{
    struct ddl_column_plan c;
    oid_t table = t->oid, sequence = 0;
    uint32_t there, column = t->column_count;
    struct expr *value;
    int rc;

    if (ddl_find_column(t, a->column->name, &there)) {
        if (!a->if_not_exists)
            return DIAG(ERR_DUPLICATE_COLUMN, "column \"%s\" of relation \"%s\" already exists",
                        a->column->name, t->name);
        sess_notice(d->s, SQL_NOTICE, ERR_DUPLICATE_COLUMN,
                    "column \"%s\" of relation \"%s\" already exists, skipping", a->column->name,
                    t->name);
        return 0;
    }
    rc = ddl_read_column(d, a->column, &c);
    if (rc == 0 && c.sequence_type != NULL) {
        rc = ddl_column_sequence(d, t->schema_oid, arena_strdup(d->arena, t->schema),
                                 arena_strdup(d->arena, t->name), c.column.name, c.sequence_type,
                                 c.sequence_options, &sequence, &c.column.default_text);
        if (rc == 0)
            rc = ddl_again(d, table, &t);
    }
    if (rc == 0)
        rc = bind_default(d, &c, &value);
    if (rc == 0)
        rc = add_nulls(d, t, &c);
    if (rc == 0)
        rc = add_column(d, t, &c, value);
    if (rc == 0 && sequence != 0)
        rc = ddl_own_sequence(d, sequence, table, column);
    return rc != 0 ? rc : add_constraints(d, table, &c);
}

/* ---- DROP COLUMN -------------------------------------------------------------------------------
 */

static bool
index_has(const struct cat_index *ix, uint32_t column)
{
    for (uint32_t i = 0; i < ix->key_count; i++)
        if (ix->keys[i].column == column)
            return true;
    return false;
}

static bool
fk_has(const struct cat_fk *fk, uint32_t column)
{
    for (uint32_t i = 0; i < fk->column_count; i++)
        if (fk->columns[i] == column)
            return true;
    return false;
}

/* One object that stands on the column is dropped; *more: look again. */
static int
drop_one_dependent(struct ddl_run *d, const struct cat_table *t, uint32_t column, bool cascade,
                   bool *more)
{
    struct sql_type boolean = { TYPE_BOOL, -1 };
    const char *what =
        arena_printf(d->arena, "column %s of table %s", t->columns[column].name, t->name);

    *more = true;
    for (uint32_t i = 0; i < t->index_count; i++) {
        const struct cat_index *ix = &t->indexes[i];

        if (!index_has(ix, column))
            continue;
        for (uint32_t k = 0; k < t->ref_count; k++)
            if (t->refs[k].ref_index_oid == ix->oid)
                return ddl_drop_references(d, t, ix->oid, cascade, what);
        if (ix->is_constraint || ix->primary)
            return ddl_drop_named_constraint(d, t, arena_strdup(d->arena, ix->name), false, true);
        return ddl_drop_index(d->catalog, d->txn, t, ix);
    }
    for (uint32_t i = 0; i < t->fk_count; i++)
        if (fk_has(&t->fks[i], column))
            return ddl_drop_constraint(d->catalog, d->txn, t->fks[i].oid);
    for (uint32_t i = 0; i < t->check_count; i++) {
        struct expr *e;
        int rc = ddl_bind_text(d, t->checks[i].text, t, "check constraints", boolean, "check", &e);

        if (rc != 0)
            return rc;
        if (ddl_uses_column(e, (int32_t)column))
            return ddl_drop_constraint(d->catalog, d->txn, t->checks[i].oid);
    }
    *more = false;
    return 0;
}

static int
run_drop_column(struct ddl_run *d, const struct cat_table *t, const struct ast_alter_cmd *a)
{
    oid_t table = t->oid;
    uint32_t column;
    bool more = true;
    int rc = 0;

    if (!ddl_find_column(t, a->name, &column)) {
        if (!a->if_exists)
            return ddl_need_column(t, a->name, &column);
        sess_notice(d->s, SQL_NOTICE, 0,
                    "column \"%s\" of relation \"%s\" does not exist, skipping", a->name, t->name);
        return 0;
    }
    rc = ddl_drop_owned(d, t, column);
    while (rc == 0 && more) {
        rc = ddl_again(d, table, &t);
        if (rc == 0)
            rc = drop_one_dependent(d, t, column, a->cascade, &more);
    }
    return rc != 0 ? rc : ddl_drop_column(d->catalog, d->txn, t, column);
}

/* ---- columns' properties -----------------------------------------------------------------------
 */

static int
run_default(struct ddl_run *d, const struct cat_table *t, const struct ast_alter_cmd *a)
{
    const char *text = NULL;
    struct expr *ignored;
    uint32_t column;
    int rc = ddl_need_column(t, a->name, &column);

    if (rc == 0 && t->columns[column].identity != 0)
        rc = DIAG(ERR_SYNTAX, "column \"%s\" of relation \"%s\" is an identity column", a->name,
                  t->name);
    if (rc == 0 && a->value != NULL) {
        struct sql_type type = { t->columns[column].type, t->columns[column].typmod };

        text = ddl_text_of(d, a->value_at, a->value_end);
        rc = ddl_bind_expr(d, a->value, NULL, "DEFAULT expressions", type, a->name, &ignored);
    }
    return rc != 0 ? rc : ddl_set_default(d->catalog, d->txn, t, column, text);
}

static int
run_not_null(struct ddl_run *d, const struct cat_table *t, const char *name, bool not_null)
{
    uint32_t column;
    int rc = ddl_need_column(t, name, &column);

    if (rc != 0 || t->columns[column].not_null == not_null)
        return rc;
    if (not_null)
        rc = ddl_verify_not_null(d, t, column);
    else if (t->primary != NULL && index_has(t->primary, column))
        rc = DIAG(ERR_INVALID_TABLE_DEFINITION, "column \"%s\" is in a primary key", name);
    return rc != 0 ? rc : ddl_set_not_null(d->catalog, d->txn, t, column, not_null);
}

static int
using_expr(struct ddl_run *d, const struct cat_table *t, const struct ast_alter_cmd *a,
           uint32_t column, struct sql_type type, struct expr **out)
{
    int rc;

    if (a->value != NULL)
        return ddl_bind_expr(d, a->value, t, "transform expressions", type, a->name, out);
    rc = ddl_bind_text(d, sql_quote_ident(d->arena, a->name), t, "transform expressions", type,
                       a->name, out);
    if (rc == ERR_DATATYPE_MISMATCH) {
        (void)DIAG(ERR_DATATYPE_MISMATCH, "column \"%s\" cannot be cast automatically to type %s",
                   a->name, type_sql_name(type.oid));
        diag_hint("You might need to specify \"USING %s::%s\".", a->name,
                  type_format_str(d->arena, type.oid, type.typmod));
    }
    (void)column;
    return rc;
}

/* Foreign keys on either side must stay between columns of kindred types. */
static int
refuse_in_fk(const struct cat_table *t, uint32_t column)
{
    for (uint32_t i = 0; i < t->fk_count; i++)
        if (fk_has(&t->fks[i], column))
            return DIAG(ERR_NOT_SUPPORTED,
                        "cannot alter type of a column used by foreign key "
                        "\"%s\"",
                        t->fks[i].name);
    for (uint32_t i = 0; i < t->ref_count; i++)
        for (uint32_t k = 0; k < t->refs[i].column_count; k++)
            if (t->refs[i].ref_columns[k] == column)
                return DIAG(ERR_NOT_SUPPORTED,
                            "cannot alter type of a column referred to by foreign key \"%s\"",
                            t->refs[i].name);
    return 0;
}

/* The checks must be able to do with the new type, and hold for the new values. */
static int
checks_hold(struct ddl_run *d, oid_t table)
{
    struct sql_type boolean = { TYPE_BOOL, -1 };
    const struct cat_table *t;
    struct expr *e;
    int rc = ddl_again(d, table, &t);

    for (uint32_t i = 0; rc == 0 && i < t->check_count; i++) {
        rc = ddl_bind_text(d, t->checks[i].text, t, "check constraints", boolean, "check", &e);
        if (rc == 0)
            rc = ddl_verify_check(d, t, e, t->checks[i].name);
    }
    return rc;
}

static int
run_type(struct ddl_run *d, const struct cat_table *t, const struct ast_alter_cmd *a)
{
    struct ddl_rewrite r = { .value = NULL };
    struct ddl_column *columns;
    struct sql_type type;
    struct expr *value, *ignored;
    oid_t table = t->oid;
    uint32_t column;
    int rc = ddl_need_column(t, a->name, &column);

    if (rc == 0)
        rc = sql_bind_type(d->text, a->column->type, &type);
    if (rc == 0)
        rc = refuse_in_fk(t, column);
    if (rc == 0)
        rc = using_expr(d, t, a, column, type, &value);
    if (rc == 0 && t->columns[column].default_text != NULL &&
        ddl_bind_text(d, t->columns[column].default_text, NULL, "DEFAULT expressions", type,
                      a->name, &ignored) != 0)
        rc = DIAG(ERR_DATATYPE_MISMATCH,
                  "default for column \"%s\" cannot be cast automatically to type %s", a->name,
                  type_sql_name(type.oid));
    if (rc != 0)
        return rc;
    columns = ARENA_ARRAY(d->arena, struct ddl_column, t->column_count + 1);
    for (uint32_t i = 0; i < t->column_count; i++)
        columns[i] = (struct ddl_column){ .name = t->columns[i].name,
                                          .type = t->columns[i].type,
                                          .typmod = t->columns[i].typmod };
    columns[column].type = type.oid;
    columns[column].typmod = type.typmod;
    r.primary = ddl_primary_of(d, t, &r.primary_count);
    r.primary_name = t->primary != NULL ? t->primary->name : NULL;
    r.columns = columns;
    r.value = value;
    r.column = column;
    rc = ddl_rewrite(d, t, &r);
    return rc != 0 ? rc : checks_hold(d, table);
}

static int
run_drop_identity(struct ddl_run *d, const struct cat_table *t, const struct ast_alter_cmd *a)
{
    uint32_t column;
    int rc = ddl_need_column(t, a->name, &column);

    if (rc != 0 || t->columns[column].identity != 0)
        return rc != 0 ? rc
                       : DIAG(ERR_NOT_SUPPORTED, "ALTER COLUMN DROP IDENTITY is not supported");
    if (!a->if_exists)
        return DIAG(ERR_OBJECT_NOT_READY,
                    "column \"%s\" of relation \"%s\" is not an identity column", a->name, t->name);
    sess_notice(d->s, SQL_NOTICE, 0,
                "column \"%s\" of relation \"%s\" is not an identity column, skipping", a->name,
                t->name);
    return 0;
}

/* ---- the table's properties --------------------------------------------------------------------
 */

int
ddl_set_owner(struct ddl_run *d, const struct cat_table *t, const char *role)
{
    struct datum key = datum_int(t->oid), row[CLASS_COUNT];
    struct cat_role owner;
    int rc = cat_find_role(d->catalog, d->txn, slice_str(role), &owner);

    if (rc == ERR_NOT_FOUND)
        return DIAG(ERR_UNDEFINED_OBJECT, "role \"%s\" does not exist", role);
    txn_command_done(d->txn);
    if (rc == 0)
        rc = sys_get(d->catalog, d->txn, SYS_CLASS, &key, NULL, d->arena, row);
    if (rc != 0)
        return rc;
    row[CLASS_OWNER] = datum_int(owner.oid);
    return sys_update(d->catalog, d->txn, SYS_CLASS, row);
}

static int
run_options(struct ddl_run *d, const struct cat_table *t, const struct ast_alter_cmd *a)
{
    const char *options = "{}";
    int rc = a->alter == AST_ALTER_SET_OPTIONS ? ddl_options(d, a->options, &options) : 0;

    return rc != 0 ? rc : ddl_set_options(d->catalog, d->txn, t, options);
}

static int
run_command(struct ddl_run *d, const struct cat_table *t, const struct ast_alter_cmd *a)
{
    switch (a->alter) {
    case AST_ALTER_ADD_COLUMN:
        return run_add_column(d, t, a);
    case AST_ALTER_DROP_COLUMN:
        return run_drop_column(d, t, a);
    case AST_ALTER_COLUMN_DEFAULT:
        return run_default(d, t, a);
    case AST_ALTER_SET_NOT_NULL:
        return run_not_null(d, t, a->name, true);
    case AST_ALTER_DROP_NOT_NULL:
        return run_not_null(d, t, a->name, false);
    case AST_ALTER_COLUMN_TYPE:
        return run_type(d, t, a);
    case AST_ALTER_ADD_CONSTRAINT:
        return ddl_add_constraint(d, t, a->constraint, NULL);
    case AST_ALTER_DROP_CONSTRAINT:
        return ddl_drop_named_constraint(d, t, a->name, a->if_exists, a->cascade);
    case AST_ALTER_SET_OPTIONS:
    case AST_ALTER_RESET_OPTIONS:
        return run_options(d, t, a);
    case AST_ALTER_OWNER:
        return ddl_set_owner(d, t, a->name);
    case AST_ALTER_DROP_IDENTITY:
        return run_drop_identity(d, t, a);
    case AST_ALTER_SET_LOGGED:
    case AST_ALTER_SET_UNLOGGED:
        return 0; /* every table is logged: UNLOGGED promises less, not something else */
    case AST_ALTER_VALIDATE_CONSTRAINT:
        return 0; /* there is none that is not */
    default:
        return DIAG(ERR_NOT_SUPPORTED, "this form of ALTER TABLE is not supported");
    }
}

/* ---- the statement -----------------------------------------------------------------------------
 */

static int
lock_foreign(struct ddl_run *d, const struct ast_constraint *c)
{
    const struct cat_table *ref;
    int rc;

    if (c == NULL || c->constraint != AST_CON_FOREIGN)
        return 0;
    rc = sess_need_table(d->s, c->ref, &ref);
    if (rc == 0)
        ddl_will_lock(d, ref->oid);
    return rc;
}

/* The table, and all whose descriptions change with it. */
static int
find_tables(struct ddl_run *d, const void *arg)
{
    const struct ast_alter_table *a = arg;
    const struct cat_table *t;
    bool exists;
    int rc = sess_find_table(d->s, a->relation->schema, a->relation->name, &t, &exists);

    if (rc != 0 || t == NULL)
        return rc;
    ddl_will_lock(d, t->oid);
    for (uint32_t i = 0; i < t->fk_count; i++)
        ddl_will_lock(d, t->fks[i].ref_oid);
    for (uint32_t i = 0; i < t->ref_count; i++)
        ddl_will_lock(d, t->refs[i].table_oid);
    for (int32_t i = 0; i < ast_count(a->commands) && rc == 0; i++) {
        const struct ast_alter_cmd *c = AST_CONST(ast_alter_cmd, a->commands->item[i]);

        rc = lock_foreign(d, c->constraint);
        for (int32_t k = 0;
             c->alter == AST_ALTER_ADD_COLUMN && rc == 0 && k < ast_count(c->column->constraints);
             k++)
            rc = lock_foreign(d, AST_CONST(ast_constraint, c->column->constraints->item[k]));
    }
    return rc;
}

static int
alter_table(struct ddl_run *d, const struct ast_alter_table *a)
{
    const struct cat_table *t;
    bool exists;
    oid_t oid;
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
    oid = t->oid;
    for (int32_t i = 0; i < ast_count(a->commands) && rc == 0; i++) {
        const struct ast_alter_cmd *c = AST_CONST(ast_alter_cmd, a->commands->item[i]);

        rc = ddl_again(d, oid, &t);
        if (rc == 0 && t->kind != CAT_TABLE && c->alter != AST_ALTER_OWNER)
            rc = DIAG(ERR_WRONG_OBJECT_TYPE, "\"%s\" is not a table", t->name);
        if (rc == 0)
            rc = run_command(d, t, c);
    }
    return rc;
}

int
ddl_run_alter_table(struct ddl_run *d, const struct ast_alter_table *a)
{
    int rc = ddl_begin_with(d, find_tables, a);

    if (rc != 0)
        return rc;
    rc = alter_table(d, a);
    ddl_finish(d);
    return rc;
}
