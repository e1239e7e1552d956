/* Rows of virtual tables, made from the registries of types and functions, or from stored rows.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "engine/catalog/catalog_int.h"
#include "engine/types/array.h"
#include "engine/types/func.h"

enum { CAT_FIRST_CAST = 10000 };

static struct datum *
row_of(struct sys_virtual *v, enum systable_id id)
{
    const struct systable *def = systable_get(id);
    struct datum *row = ARENA_ARRAY(v->arena, struct datum, def->column_count);

    for (uint16_t i = 0; i < def->column_count; i++)
        row[i] = type_get(def->columns[i].type)->rep == REP_BYTES ? datum_null()
                                                                  : (struct datum){ .i = 0 };
    return row;
}

static struct datum
text(const char *s)
{
    return datum_slice(slice_str(s));
}

/* Sets a column by its name: rows here are wide and rarely made. */
static void
set(struct datum *row, enum systable_id id, const char *column, struct datum value)
{
    const struct systable *def = systable_get(id);

    for (uint16_t i = 0; i < def->column_count; i++) {
        if (strcmp(def->columns[i].name, column) == 0) {
            row[i] = value;
            return;
        }
    }
    UNREACHABLE();
}

static int
type_rows(struct sys_virtual *v)
{
    const struct type *t;
    int rc = 0;

    for (size_t i = 0; rc == 0 && (t = type_by_index(i)) != NULL; i++) {
        struct datum *row = row_of(v, SYS_TYPE);

        row[0] = datum_int(t->oid);
        row[1] = text(t->name);
        row[2] = datum_int(CAT_NAMESPACE_CATALOG);
        row[3] = datum_int(CAT_ROLE_SUPERUSER);
        row[4] = datum_int(t->len);
        row[5] = datum_bool(t->is_by_value);
        set(row, SYS_TYPE, "typtype", datum_int(t->is_pseudo ? 'p' : 'b'));
        set(row, SYS_TYPE, "typcategory", datum_int(t->category));
        set(row, SYS_TYPE, "typispreferred", datum_bool(t->is_preferred));
        set(row, SYS_TYPE, "typisdefined", datum_bool(true));
        set(row, SYS_TYPE, "typdelim", datum_int(','));
        set(row, SYS_TYPE, "typelem", datum_int(t->elem_oid));
        set(row, SYS_TYPE, "typarray", datum_int(t->array_oid));
        set(row, SYS_TYPE, "typalign", datum_int(t->align));
        set(row, SYS_TYPE, "typstorage", datum_int(t->storage));
        set(row, SYS_TYPE, "typtypmod", datum_int(-1));
        set(row, SYS_TYPE, "typcollation", datum_int(t->category == 'S' ? 100 : 0));
        rc = v->fn(v->arg, row);
    }
    return rc;
}

static int
proc_rows(struct sys_virtual *v)
{
    const struct func *f;
    int rc = 0;

    for (size_t i = 0; rc == 0 && (f = func_at(&func_set_builtin, i)) != NULL; i++) {
        struct datum *row = row_of(v, SYS_PROC);
        struct datum args[FUNC_TABLE_ARGS_MAX];

        for (uint8_t a = 0; a < f->arg_count && a < FUNC_TABLE_ARGS_MAX; a++)
            args[a] = datum_int(f->args[a]);
        row[0] = datum_int(f->oid);
        row[1] = text(f->name);
        row[2] = datum_int(CAT_NAMESPACE_CATALOG);
        row[3] = datum_int(CAT_ROLE_SUPERUSER);
        set(row, SYS_PROC, "prolang", datum_int(12));
        set(row, SYS_PROC, "procost", datum_float(1));
        set(row, SYS_PROC, "prokind", datum_int(f->agg != NULL ? 'a' : 'f'));
        set(row, SYS_PROC, "proisstrict", datum_bool((f->flags & FUNC_STRICT) != 0));
        set(row, SYS_PROC, "proretset", datum_bool((f->flags & FUNC_SET) != 0));
        set(row, SYS_PROC, "provolatile",
            datum_int(f->flags & FUNC_VOLATILE ? 'v'
                      : f->flags & FUNC_STABLE ? 's'
                                               : 'i'));
        set(row, SYS_PROC, "proparallel", datum_int('s'));
        set(row, SYS_PROC, "pronargs", datum_int(f->arg_count));
        set(row, SYS_PROC, "prorettype", datum_int(f->result));
        set(row, SYS_PROC, "proargtypes", array_make(v->arena, TYPE_OID, args, f->arg_count, 0));
        set(row, SYS_PROC, "prosrc", text(f->name));
        rc = v->fn(v->arg, row);
    }
    return rc;
}

static int
operator_rows(struct sys_virtual *v)
{
    const struct op *o;
    int rc = 0;

    for (size_t i = 0; rc == 0 && (o = op_at(&func_set_builtin, i)) != NULL; i++) {
        struct datum *row = row_of(v, SYS_OPERATOR);

        row[0] = datum_int(o->oid);
        row[1] = text(o->name);
        row[2] = datum_int(CAT_NAMESPACE_CATALOG);
        row[3] = datum_int(CAT_ROLE_SUPERUSER);
        set(row, SYS_OPERATOR, "oprkind", datum_int(o->left == 0 ? 'l' : 'b'));
        set(row, SYS_OPERATOR, "oprleft", datum_int(o->left));
        set(row, SYS_OPERATOR, "oprright", datum_int(o->right));
        set(row, SYS_OPERATOR, "oprresult", datum_int(o->result));
        set(row, SYS_OPERATOR, "oprcom", datum_int(o->commutator));
        set(row, SYS_OPERATOR, "oprnegate", datum_int(o->negator));
        set(row, SYS_OPERATOR, "oprcode", datum_int(o->func_oid));
        rc = v->fn(v->arg, row);
    }
    return rc;
}

static int
am_rows(struct sys_virtual *v)
{
    const struct {
        int oid;
        const char *name;
        char type;
    } list[] = { { 2, "heap", 't' }, { 403, "btree", 'i' } };
    int rc = 0;

    for (size_t i = 0; i < sizeof list / sizeof *list && rc == 0; i++) {
        struct datum *row = row_of(v, SYS_AM);

        row[0] = datum_int(list[i].oid);
        row[1] = text(list[i].name);
        row[3] = datum_int(list[i].type);
        rc = v->fn(v->arg, row);
    }
    return rc;
}

static int
collation_rows(struct sys_virtual *v)
{
    const struct {
        int oid;
        const char *name, *collate;
        char provider;
    } list[] = { { 100, "default", NULL, 'd' },
                 { 950, "C", "C", 'c' },
                 { 951, "POSIX", "POSIX", 'c' } };
    int rc = 0;

    for (size_t i = 0; i < sizeof list / sizeof *list && rc == 0; i++) {
        struct datum *row = row_of(v, SYS_COLLATION);

        row[0] = datum_int(list[i].oid);
        row[1] = text(list[i].name);
        row[2] = datum_int(CAT_NAMESPACE_CATALOG);
        row[3] = datum_int(CAT_ROLE_SUPERUSER);
        row[4] = datum_int(list[i].provider);
        row[5] = datum_bool(true);
        row[6] = datum_int(-1);
        if (list[i].collate != NULL)
            row[7] = row[8] = text(list[i].collate);
        rc = v->fn(v->arg, row);
    }
    return rc;
}

static int
cast_rows(struct sys_virtual *v)
{
    const struct cast *c;
    int rc = 0;

    for (size_t i = 0; rc == 0 && (c = cast_at(&func_set_builtin, i)) != NULL; i++) {
        struct datum *row = row_of(v, SYS_CAST);

        row[0] = datum_int(CAT_FIRST_CAST + (int64_t)i);
        row[1] = datum_int(c->source);
        row[2] = datum_int(c->target);
        row[3] = datum_int(c->func_oid);
        row[4] = datum_int(c->context);
        row[5] = datum_int(c->func_oid != 0 ? 'f' : 'b');
        rc = v->fn(v->arg, row);
    }
    return rc;
}

static int
language_rows(struct sys_virtual *v)
{
    const struct {
        int oid;
        const char *name;
    } list[] = { { 12, "internal" }, { 13, "c" }, { 14, "sql" } };
    int rc = 0;

    for (size_t i = 0; i < sizeof list / sizeof *list && rc == 0; i++) {
        struct datum *row = row_of(v, SYS_LANGUAGE);

        row[0] = datum_int(list[i].oid);
        row[1] = text(list[i].name);
        row[2] = datum_int(CAT_ROLE_SUPERUSER);
        rc = v->fn(v->arg, row);
    }
    return rc;
}

static int
tablespace_rows(struct sys_virtual *v)
{
    struct datum *row = row_of(v, SYS_TABLESPACE);

    row[0] = datum_int(1663);
    row[1] = text("pg_default");
    row[2] = datum_int(CAT_ROLE_SUPERUSER);
    return v->fn(v->arg, row);
}

/* ---- from stored rows --------------------------------------------------------------------------
 */

typedef int from_row_fn(struct sys_virtual *v, const struct datum *in);

static int
each_row(struct sys_virtual *v, enum systable_id id, from_row_fn *fn)
{
    const struct systable *def = systable_get(id);
    const struct read_moment *m = v->set->has_moment ? &v->set->moment : NULL;
    struct datum *in = ARENA_ARRAY(v->arena, struct datum, def->column_count);
    struct sys_scan s;
    int rc = sys_scan_open(&s, v->catalog, v->txn, id, -1, NULL, 0, m, v->arena);

    while (rc == 0 && (rc = sys_scan_next(&s, in)) == 0)
        rc = fn(v, in);
    sys_scan_close(&s);
    return rc == ERR_END ? 0 : rc;
}

static int
role_row(struct sys_virtual *v, const struct datum *in)
{
    struct datum *row = row_of(v, SYS_ROLES);

    row[0] = in[AUTH_NAME];
    row[1] = in[AUTH_SUPER];
    row[2] = in[AUTH_INHERIT];
    row[3] = in[AUTH_CREATEROLE];
    row[4] = in[AUTH_CREATEDB];
    row[5] = in[AUTH_LOGIN];
    row[6] = in[AUTH_REPLICATION];
    row[7] = in[AUTH_CONNLIMIT];
    row[8] = text("********");
    row[9] = in[AUTH_VALIDUNTIL];
    row[10] = in[AUTH_BYPASSRLS];
    row[12] = in[AUTH_OID];
    return v->fn(v->arg, row);
}

static int
user_row(struct sys_virtual *v, const struct datum *in)
{
    struct datum *row = row_of(v, SYS_USER);

    if (in[AUTH_LOGIN].i == 0)
        return 0;
    row[0] = in[AUTH_NAME];
    row[1] = in[AUTH_OID];
    row[2] = in[AUTH_CREATEDB];
    row[3] = in[AUTH_SUPER];
    row[4] = in[AUTH_REPLICATION];
    row[5] = in[AUTH_BYPASSRLS];
    row[6] = text("********");
    row[7] = in[AUTH_VALIDUNTIL];
    return v->fn(v->arg, row);
}

/* Schema, name and owner, with which the rows of pg_tables and pg_views begin. */
static int
name_row(struct sys_virtual *v, const struct datum *in, struct datum *row)
{
    const char *schema, *owner = "";
    int rc = cat_schema_name(v->set, v->txn, (oid_t)in[CLASS_NAMESPACE].i, v->arena, &schema);

    if (rc == 0)
        rc = cat_role_name(v->catalog, v->txn, (oid_t)in[CLASS_OWNER].i, v->arena, &owner);
    if (rc != 0 && rc != ERR_NOT_FOUND)
        return rc;
    row[0] = text(schema);
    row[1] = in[CLASS_NAME];
    row[2] = text(owner);
    return 0;
}

static int
table_row(struct sys_virtual *v, const struct datum *in)
{
    struct datum *row = row_of(v, SYS_TABLES);
    int rc = in[CLASS_KIND].i == CAT_TABLE ? name_row(v, in, row) : ERR_NOT_FOUND;

    if (rc != 0)
        return rc == ERR_NOT_FOUND ? 0 : rc;
    row[4] = in[CLASS_HASINDEX];
    return v->fn(v->arg, row);
}

static int
view_row(struct sys_virtual *v, const struct datum *in)
{
    struct datum *row = row_of(v, SYS_VIEWS);
    int rc = in[CLASS_KIND].i == CAT_VIEW ? name_row(v, in, row) : ERR_NOT_FOUND;

    if (rc != 0)
        return rc == ERR_NOT_FOUND ? 0 : rc;
    row[3] = in[CLASS_RDVIEW];
    return v->fn(v->arg, row);
}

static int
index_row(struct sys_virtual *v, const struct datum *in)
{
    struct datum *row = row_of(v, SYS_INDEXES);
    const struct cat_table *t;
    int rc = cat_find_table_by_oid(v->set, v->txn, (oid_t)in[IND_TABLE].i, &t);

    if (rc != 0 || t == NULL)
        return rc;
    for (uint32_t i = 0; i < t->index_count; i++) {
        if (t->indexes[i].oid != (oid_t)in[IND_RELID].i)
            continue;
        row[0] = text(t->schema);
        row[1] = text(t->name);
        row[2] = text(t->indexes[i].name);
        row[4] = text(cat_index_def(v->arena, t, &t->indexes[i]));
        return v->fn(v->arg, row);
    }
    return 0;
}

/* Whose column a sequence belongs to is among its options: {owned_by=table.column}. */
static int
depend_row(struct sys_virtual *v, const struct datum *in)
{
    const struct read_moment *m = v->set->has_moment ? &v->set->moment : NULL;
    struct datum *row = row_of(v, SYS_DEPEND);
    struct datum *column = ARENA_ARRAY(v->arena, struct datum, ATT_COUNT);
    struct datum keys[2];
    unsigned table, number;
    int rc;

    if (in[CLASS_KIND].i != CAT_SEQUENCE || in[CLASS_OPTIONS].is_null ||
        sscanf(type_out_str(TYPE_TEXT_ARRAY, NULL, v->arena, &in[CLASS_OPTIONS]),
               "{owned_by=%u.%u}", &table, &number) != 2)
        return 0;
    keys[0] = datum_int(table);
    keys[1] = datum_int(number);
    rc = sys_get(v->catalog, v->txn, SYS_ATTRIBUTE, keys, m, v->arena, column);
    if (rc != 0)
        return rc == ERR_NOT_FOUND ? 0 : rc;
    row[0] = row[3] = datum_int(systable_get(SYS_CLASS)->oid);
    row[1] = in[CLASS_OID];
    row[2] = datum_int(0);
    row[4] = keys[0];
    row[5] = keys[1];
    row[6] = datum_int(column[ATT_IDENTITY].i != 0 ? 'i' : 'a');
    return v->fn(v->arg, row);
}

int
sys_virtual_rows(struct sys_virtual *v, enum systable_id id)
{
    switch (id) {
    case SYS_TYPE:
        return type_rows(v);
    case SYS_PROC:
        return proc_rows(v);
    case SYS_OPERATOR:
        return operator_rows(v);
    case SYS_AM:
        return am_rows(v);
    case SYS_COLLATION:
        return collation_rows(v);
    case SYS_CAST:
        return cast_rows(v);
    case SYS_LANGUAGE:
        return language_rows(v);
    case SYS_TABLESPACE:
        return tablespace_rows(v);
    case SYS_ROLES:
        return each_row(v, SYS_AUTHID, role_row);
    case SYS_USER:
        return each_row(v, SYS_AUTHID, user_row);
    case SYS_TABLES:
        return each_row(v, SYS_CLASS, table_row);
    case SYS_VIEWS:
        return each_row(v, SYS_CLASS, view_row);
    case SYS_INDEXES:
        return each_row(v, SYS_INDEX, index_row);
    case SYS_DEPEND:
        return each_row(v, SYS_CLASS, depend_row);
    default:
        return 0; /* what it lists does not exist here yet */
    }
}

int
cat_virtual_rows(const struct cat_table *table, struct sys_virtual *v)
{
    const struct sys_provider *p = catalog_provider(v->catalog, table->oid);

    if (p != NULL)
        return p->rows(p->arg, v);
    for (int i = SYS_STORED_COUNT; i < SYS_COUNT; i++)
        if (systable_get((enum systable_id)i)->oid == table->oid)
            return sys_virtual_rows(v, (enum systable_id)i);
    return DIAG(ERR_INTERNAL, "table \"%s\" is not virtual", table->name);
}
