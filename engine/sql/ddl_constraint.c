/* Constraints: added to tables that are there, and dropped.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/sql/ddl_sql_int.h"
#include "engine/sql/exec_int.h"

int
ddl_check_constraint(const struct ast_constraint *c)
{
    if (c->deferrable || c->initially_deferred)
        return DIAG(ERR_NOT_SUPPORTED, "deferrable constraints are not supported");
    if (c->using_index != NULL)
        return DIAG(ERR_NOT_SUPPORTED, "constraints USING INDEX are not supported");
    if (ast_count(c->include) > 0)
        return DIAG(ERR_NOT_SUPPORTED, "included columns are not supported");
    if (c->nulls_not_distinct)
        return DIAG(ERR_NOT_SUPPORTED, "NULLS NOT DISTINCT is not supported");
    if (c->not_valid)
        return DIAG(ERR_NOT_SUPPORTED, "NOT VALID constraints are not supported");
    return ddl_refuse_tablespace(c->tablespace);
}

/* ---- names -------------------------------------------------------------------------------------
 */

static bool
name_is_taken(const struct cat_table *t, const char *name)
{
    for (uint32_t i = 0; i < t->fk_count; i++)
        if (strcmp(t->fks[i].name, name) == 0)
            return true;
    for (uint32_t i = 0; i < t->check_count; i++)
        if (strcmp(t->checks[i].name, name) == 0)
            return true;
    for (uint32_t i = 0; i < t->index_count; i++)
        if (t->indexes[i].is_constraint && strcmp(t->indexes[i].name, name) == 0)
            return true;
    return false;
}

/* table_columns_suffix, with a number behind it if that is taken. */
static const char *
free_name(struct ddl_run *d, const struct cat_table *t, const char *columns, const char *suffix)
{
    for (int n = 0;; n++) {
        char number[16] = "";
        const char *name;
        int room;

        if (n > 0)
            snprintf(number, sizeof number, "%d", n);
        room = NAME_SIZE_MAX - (int)(strlen(suffix) + strlen(number) + 1);
        if (columns == NULL)
            name = arena_printf(d->arena, "%.*s_%s%s", room, t->name, suffix, number);
        else if ((int)(strlen(t->name) + strlen(columns)) + 1 <= room)
            name = arena_printf(d->arena, "%s_%s_%s%s", t->name, columns, suffix, number);
        else
            name = arena_printf(d->arena, "%.*s_%.*s_%s%s", room / 2, t->name, room / 2 - 1,
                                columns, suffix, number);
        if (!name_is_taken(t, name))
            return name;
    }
}

static int
refuse_taken(const struct cat_table *t, const char *name)
{
    if (name_is_taken(t, name))
        return DIAG(ERR_DUPLICATE_OBJECT, "constraint \"%s\" for relation \"%s\" already exists",
                    name, t->name);
    return 0;
}

int
ddl_primary_name(struct ddl_run *d, oid_t schema, const char *table, const struct ast_constraint *c,
                 const char **out)
{
    *out = c->name;
    if (c->name != NULL)
        return 0;
    return ddl_free_name(d->catalog, d->txn, schema, table, NULL, "pkey", d->arena, out);
}

/* ---- keys --------------------------------------------------------------------------------------
 */

int
ddl_key_columns(struct ddl_run *d, const struct cat_table *t, const struct ast_list *names,
                const char *column, struct ddl_key_column **out, uint32_t *count)
{
    *count = column != NULL ? 1 : (uint32_t)ast_count(names);
    *out = ARENA_ARRAY(d->arena, struct ddl_key_column, *count + 1);
    for (uint32_t i = 0; i < *count; i++) {
        const char *name = column != NULL ? column : AST_CONST(ast_name, names->item[i])->name;
        uint32_t at;

        if (!ddl_find_column(t, name, &at))
            return DIAG(ERR_UNDEFINED_COLUMN, "column \"%s\" named in key does not exist", name);
        (*out)[i] = (struct ddl_key_column){ .column = (uint16_t)at };
        for (uint32_t k = 0; k < i; k++)
            if ((*out)[k].column == at)
                return DIAG(ERR_DUPLICATE_COLUMN,
                            "column \"%s\" appears twice in unique constraint", name);
        if (type_get(t->columns[at].type)->cmp == NULL)
            return DIAG(ERR_UNDEFINED_OBJECT,
                        "data type %s has no default operator class for access method \"btree\"",
                        type_sql_name(t->columns[at].type));
    }
    return 0;
}

static const char *
joined_names(struct ddl_run *d, const struct cat_table *t, const struct ddl_key_column *keys,
             uint32_t count)
{
    const char *all = "";

    for (uint32_t i = 0; i < count; i++) {
        const char *name = t->columns[keys[i].column].name;

        all = i == 0 ? name : arena_printf(d->arena, "%s_%s", all, name);
    }
    return all;
}

struct null_walk {
    uint32_t column;
    bool found;
};

static int
null_cb(void *arg, struct slice key, const struct datum *values)
{
    struct null_walk *w = arg;

    (void)key;
    w->found = values[w->column].is_null;
    return w->found ? ERR_END : 0;
}

int
ddl_verify_not_null(struct ddl_run *d, const struct cat_table *t, uint32_t column)
{
    struct null_walk w = { .column = column };
    int rc = table_each_row(ddl_ctx(d), t, null_cb, &w);

    if (w.found) {
        rc = DIAG(ERR_NOT_NULL_VIOLATION, "column \"%s\" of relation \"%s\" contains null values",
                  t->columns[column].name, t->name);
        diag_object(t->schema, t->name, t->columns[column].name, NULL);
    }
    return rc;
}

static int
add_primary(struct ddl_run *d, const struct cat_table *t, const struct ast_constraint *c,
            const char *column)
{
    struct ddl_rewrite r = { .value = NULL };
    struct ddl_key_column *keys;
    int rc;

    if (t->primary != NULL)
        return DIAG(ERR_INVALID_TABLE_DEFINITION,
                    "multiple primary keys for table \"%s\" are not allowed", t->name);
    rc = ddl_key_columns(d, t, c->columns, column, &keys, &r.primary_count);
    for (uint32_t i = 0; i < r.primary_count && rc == 0; i++)
        if (!t->columns[keys[i].column].not_null)
            rc = ddl_verify_not_null(d, t, keys[i].column);
    if (rc == 0)
        rc = ddl_primary_name(d, t->schema_oid, t->name, c, &r.primary_name);
    r.primary = keys;
    return rc != 0 ? rc : ddl_rewrite(d, t, &r);
}

static int
add_unique(struct ddl_run *d, const struct cat_table *t, const struct ast_constraint *c,
           const char *column)
{
    struct ddl_index ix = { .name = c->name, .unique = true, .is_constraint = true };
    struct ddl_key_column *keys;
    oid_t table = t->oid, index;
    const char *ignored;
    int rc = ddl_key_columns(d, t, c->columns, column, &keys, &ix.key_count);

    ix.keys = keys;
    if (rc == 0)
        rc = ddl_options(d, c->options, &ignored);
    if (rc == 0 && ix.name == NULL)
        rc = ddl_free_name(d->catalog, d->txn, t->schema_oid, t->name,
                           joined_names(d, t, keys, ix.key_count), "key", d->arena, &ix.name);
    if (rc == 0)
        rc = ddl_create_index(d->catalog, d->txn, t, &ix, &index);
    if (rc == 0)
        rc = ddl_again(d, table, &t);
    for (uint32_t i = 0; rc == 0 && i < t->index_count; i++)
        if (t->indexes[i].oid == index)
            return table_build_index(ddl_ctx(d), t, &t->indexes[i]);
    return rc;
}

/* ---- CHECK -------------------------------------------------------------------------------------
 */

struct check_walk {
    struct ddl_run *d;
    const struct expr *check;
    struct arena arena;
    bool violated;
};

static int
check_cb(void *arg, struct slice key, const struct datum *values)
{
    struct check_walk *w = arg;
    struct datum v;
    int rc;

    (void)key;
    arena_reset(&w->arena);
    rc = ddl_eval(w->d, w->check, values, &w->arena, &v);
    if (rc == 0 && !v.is_null && v.i == 0) {
        w->violated = true;
        return ERR_END;
    }
    return rc;
}

int
ddl_verify_check(struct ddl_run *d, const struct cat_table *t, const struct expr *check,
                 const char *name)
{
    struct check_walk w = { .d = d, .check = check };
    int rc;

    arena_init(&w.arena, NULL);
    rc = table_each_row(ddl_ctx(d), t, check_cb, &w);
    arena_fini(&w.arena);
    if (w.violated) {
        rc = DIAG(ERR_CHECK_VIOLATION,
                  "check constraint \"%s\" of relation \"%s\" is violated by some row", name,
                  t->name);
        diag_object(t->schema, t->name, NULL, name);
    }
    return rc;
}

static int
add_check(struct ddl_run *d, const struct cat_table *t, const struct ast_constraint *c)
{
    struct sql_type boolean = { TYPE_BOOL, -1 };
    const char *name = c->name, *text = ddl_text_of(d, c->expr_at, c->expr_end);
    struct expr *check;
    int rc = ddl_bind_expr(d, c->expr, t, "check constraints", boolean, "check", &check);

    if (rc != 0)
        return rc;
    if (name == NULL) {
        int only = ddl_only_column(check);

        name = free_name(d, t, only >= 0 ? t->columns[only].name : NULL, "check");
    } else {
        rc = refuse_taken(t, name);
    }
    if (rc == 0)
        rc = ddl_verify_check(d, t, check, name);
    return rc != 0 ? rc : ddl_add_check(d->catalog, d->txn, t, name, text);
}

/* ---- FOREIGN KEY -------------------------------------------------------------------------------
 */

static bool
is_integer(oid_t t)
{
    return t == TYPE_INT2 || t == TYPE_INT4 || t == TYPE_INT8;
}

static bool
is_text(oid_t t)
{
    return t == TYPE_TEXT || t == TYPE_VARCHAR;
}

static int
check_types(const struct cat_table *t, const struct cat_table *ref, const struct cat_fk *fk)
{
    for (uint32_t i = 0; i < fk->column_count; i++) {
        const struct cat_column *a = &t->columns[fk->columns[i]];
        const struct cat_column *b = &ref->columns[fk->ref_columns[i]];

        if (a->type == b->type || (is_integer(a->type) && is_integer(b->type)) ||
            (is_text(a->type) && is_text(b->type)))
            continue;
        (void)DIAG(ERR_DATATYPE_MISMATCH, "foreign key constraint \"%s\" cannot be implemented",
                   fk->name);
        diag_detail("Key columns \"%s\" and \"%s\" are of incompatible types: %s and %s.", a->name,
                    b->name, type_sql_name(a->type), type_sql_name(b->type));
        return ERR_DATATYPE_MISMATCH;
    }
    return 0;
}

static int
fk_columns(struct ddl_run *d, const struct cat_table *t, const struct ast_list *names,
           const char *column, uint16_t **out, uint32_t *count)
{
    *count = column != NULL ? 1 : (uint32_t)ast_count(names);
    *out = ARENA_ARRAY(d->arena, uint16_t, *count + 1);
    for (uint32_t i = 0; i < *count; i++) {
        const char *name = column != NULL ? column : AST_CONST(ast_name, names->item[i])->name;
        uint32_t at;

        if (!ddl_find_column(t, name, &at))
            return DIAG(ERR_UNDEFINED_COLUMN,
                        "column \"%s\" referenced in foreign key constraint does not exist", name);
        (*out)[i] = (uint16_t)at;
    }
    return 0;
}

/* The referenced columns are those of the primary key if none are named. */
static int
default_ref_columns(struct ddl_run *d, const struct cat_table *ref, struct cat_fk *fk)
{
    uint32_t count = ref->primary != NULL ? ref->primary->key_count : 0;

    if (count == 0)
        return DIAG(ERR_UNDEFINED_OBJECT, "there is no primary key for referenced table \"%s\"",
                    ref->name);
    if (count != fk->column_count)
        return DIAG(ERR_INVALID_FOREIGN_KEY,
                    "number of referencing and referenced columns for foreign key disagree");
    fk->ref_columns = ARENA_ARRAY(d->arena, uint16_t, count);
    for (uint32_t i = 0; i < count; i++)
        fk->ref_columns[i] = ref->primary->keys[i].column;
    fk->ref_index_oid = ref->primary->oid;
    return 0;
}

/* The unique index over the referenced columns, whose order the key's pairs then take. */
static bool
matches_index(struct cat_fk *fk, const struct cat_index *ix)
{
    uint16_t columns[32], refs[32];

    if (!ix->unique || ix->key_count != fk->column_count || fk->column_count > 32)
        return false;
    for (uint32_t i = 0; i < ix->key_count; i++) {
        uint32_t k = 0;

        while (k < fk->column_count && fk->ref_columns[k] != ix->keys[i].column)
            k++;
        if (k == fk->column_count)
            return false;
        columns[i] = fk->columns[k];
        refs[i] = fk->ref_columns[k];
    }
    memcpy(fk->columns, columns, fk->column_count * sizeof *columns);
    memcpy(fk->ref_columns, refs, fk->column_count * sizeof *refs);
    fk->ref_index_oid = ix->oid;
    return true;
}

static int
ref_columns(struct ddl_run *d, const struct cat_table *ref, const struct ast_constraint *c,
            struct cat_fk *fk)
{
    uint32_t count;
    int rc;

    if (ast_count(c->ref_columns) == 0)
        return default_ref_columns(d, ref, fk);
    rc = fk_columns(d, ref, c->ref_columns, NULL, &fk->ref_columns, &count);
    if (rc == 0 && count != fk->column_count)
        rc = DIAG(ERR_INVALID_FOREIGN_KEY,
                  "number of referencing and referenced columns for foreign key disagree");
    for (uint32_t i = 0; i < ref->index_count && rc == 0; i++)
        if (matches_index(fk, &ref->indexes[i]))
            return 0;
    return rc != 0 ? rc
                   : DIAG(ERR_INVALID_FOREIGN_KEY,
                          "there is no unique constraint matching given keys for referenced table "
                          "\"%s\"",
                          ref->name);
}

static char
action_of(enum ast_fk_action a)
{
    static const char actions[] = {
        [AST_FK_NO_ACTION] = CAT_FK_NO_ACTION,     [AST_FK_RESTRICT] = CAT_FK_RESTRICT,
        [AST_FK_CASCADE] = CAT_FK_CASCADE,         [AST_FK_SET_NULL] = CAT_FK_SET_NULL,
        [AST_FK_SET_DEFAULT] = CAT_FK_SET_DEFAULT,
    };
    return actions[a];
}

static int
name_fk(struct ddl_run *d, const struct cat_table *t, const struct ast_constraint *c,
        struct cat_fk *fk)
{
    const char *all = "";

    fk->name = c->name;
    if (c->name != NULL)
        return refuse_taken(t, c->name);
    for (uint32_t i = 0; i < fk->column_count; i++)
        all = i == 0 ? t->columns[fk->columns[i]].name
                     : arena_printf(d->arena, "%s_%s", all, t->columns[fk->columns[i]].name);
    fk->name = free_name(d, t, all, "fkey");
    return 0;
}

static int
find_ref(struct ddl_run *d, const struct cat_table *t, const struct ast_constraint *c,
         const struct cat_table **ref)
{
    int rc = sess_need_table(d->s, c->ref, ref);

    if (rc == 0 && (*ref)->kind != CAT_TABLE)
        rc = DIAG(ERR_WRONG_OBJECT_TYPE, "referenced relation \"%s\" is not a table", (*ref)->name);
    if (rc == 0 && (*ref)->oid != t->oid)
        rc = ddl_want_owner(d, *ref);
    return rc;
}

static int
add_fk(struct ddl_run *d, const struct cat_table *t, const struct ast_constraint *c,
       const char *column)
{
    struct cat_fk fk = { .table_oid = t->oid,
                         .on_delete = action_of(c->on_delete),
                         .on_update = action_of(c->on_update),
                         .match_full = c->match == AST_FK_MATCH_FULL };
    const struct cat_table *ref;
    oid_t oid, table = t->oid;
    int rc = find_ref(d, t, c, &ref);

    if (rc == 0 && (fk.on_delete == CAT_FK_SET_DEFAULT || fk.on_update == CAT_FK_SET_DEFAULT))
        rc = DIAG(ERR_NOT_SUPPORTED, "ON DELETE or UPDATE SET DEFAULT is not supported");
    if (rc == 0)
        rc = fk_columns(d, t, c->columns, column, &fk.columns, &fk.column_count);
    if (rc == 0)
        rc = ref_columns(d, ref, c, &fk);
    if (rc == 0)
        rc = name_fk(d, t, c, &fk);
    if (rc == 0)
        rc = check_types(t, ref, &fk);
    if (rc != 0)
        return rc;
    fk.ref_oid = ref->oid;
    rc = ddl_add_fk(d->catalog, d->txn, t, &fk, &oid);
    if (rc == 0)
        rc = ddl_again(d, table, &t);
    for (uint32_t i = 0; rc == 0 && i < t->fk_count; i++)
        if (t->fks[i].oid == oid)
            return table_verify_fk(ddl_ctx(d), t, &t->fks[i]);
    return rc;
}

int
ddl_add_constraint(struct ddl_run *d, const struct cat_table *t, const struct ast_constraint *c,
                   const char *column)
{
    int rc = ddl_check_constraint(c);

    if (rc != 0)
        return rc;
    switch (c->constraint) {
    case AST_CON_PRIMARY:
        return add_primary(d, t, c, column);
    case AST_CON_UNIQUE:
        return add_unique(d, t, c, column);
    case AST_CON_CHECK:
        return add_check(d, t, c);
    case AST_CON_FOREIGN:
        return add_fk(d, t, c, column);
    default:
        return DIAG(ERR_NOT_SUPPORTED, "this kind of constraint is not supported");
    }
}

/* ---- dropping ----------------------------------------------------------------------------------
 */

int
ddl_drop_references(struct ddl_run *d, const struct cat_table *t, oid_t index, bool cascade,
                    const char *what)
{
    for (uint32_t i = 0; i < t->ref_count; i++) {
        const struct cat_fk *fk = &t->refs[i];
        const struct cat_table *other;
        int rc;

        if (index != 0 && fk->ref_index_oid != index)
            continue;
        rc = sess_table_by_oid(d->s, fk->table_oid, &other);
        if (rc != 0)
            return rc;
        if (!cascade) {
            (void)DIAG(ERR_DEPENDENT_OBJECTS, "cannot drop %s because other objects depend on it",
                       what);
            diag_detail("constraint %s on table %s depends on %s", fk->name,
                        other != NULL ? other->name : "?", what);
            diag_hint("Use DROP ... CASCADE to drop the dependent objects too.");
            return ERR_DEPENDENT_OBJECTS;
        }
        sess_notice(d->s, SQL_NOTICE, 0, "drop cascades to constraint %s on table %s", fk->name,
                    other != NULL ? other->name : "?");
        rc = ddl_drop_constraint(d->catalog, d->txn, fk->oid);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int
drop_key(struct ddl_run *d, const struct cat_table *t, const struct cat_index *ix, bool cascade)
{
    struct ddl_rewrite r = { .value = NULL };
    oid_t table = t->oid, index = ix->oid;
    const char *what = arena_printf(d->arena, "constraint %s on table %s", ix->name, t->name);
    int rc = ddl_drop_references(d, t, index, cascade, what);

    if (rc == 0)
        rc = ddl_again(d, table, &t);
    if (rc == 0 && t->primary != NULL && t->primary->oid == index)
        return ddl_rewrite(d, t, &r);
    for (uint32_t i = 0; rc == 0 && i < t->index_count; i++)
        if (t->indexes[i].oid == index)
            return ddl_drop_index(d->catalog, d->txn, t, &t->indexes[i]);
    return rc;
}

int
ddl_drop_named_constraint(struct ddl_run *d, const struct cat_table *t, const char *name,
                          bool if_exists, bool cascade)
{
    for (uint32_t i = 0; i < t->index_count; i++)
        if (t->indexes[i].is_constraint && strcmp(t->indexes[i].name, name) == 0)
            return drop_key(d, t, &t->indexes[i], cascade);
    for (uint32_t i = 0; i < t->fk_count; i++)
        if (strcmp(t->fks[i].name, name) == 0)
            return ddl_drop_constraint(d->catalog, d->txn, t->fks[i].oid);
    for (uint32_t i = 0; i < t->check_count; i++)
        if (strcmp(t->checks[i].name, name) == 0)
            return ddl_drop_constraint(d->catalog, d->txn, t->checks[i].oid);
    if (!if_exists)
        return DIAG(ERR_UNDEFINED_OBJECT, "constraint \"%s\" of relation \"%s\" does not exist",
                    name, t->name);
    sess_notice(d->s, SQL_NOTICE, 0,
                "constraint \"%s\" of relation \"%s\" does not exist, skipping", name, t->name);
    return 0;
}
