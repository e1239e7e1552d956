/* DROP and TRUNCATE.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/sql/ddl_sql_int.h"

static const char *
kind_word(enum ast_object o)
{
    return o == AST_OBJ_INDEX      ? "index"
           : o == AST_OBJ_SEQUENCE ? "sequence"
           : o == AST_OBJ_VIEW     ? "view"
           : o == AST_OBJ_MATVIEW  ? "materialized view"
                                   : "table";
}

static bool
kind_fits(enum ast_object o, enum cat_kind k)
{
    return (o == AST_OBJ_TABLE && k == CAT_TABLE) || (o == AST_OBJ_INDEX && k == CAT_INDEX) ||
           (o == AST_OBJ_SEQUENCE && k == CAT_SEQUENCE) || (o == AST_OBJ_VIEW && k == CAT_VIEW);
}

/* ---- tables ------------------------------------------------------------------------------------
 */

struct drop_list {
    oid_t *oids;
    int count;
};

static bool
in_list(const struct drop_list *l, oid_t oid)
{
    for (int i = 0; i < l->count; i++)
        if (l->oids[i] == oid)
            return true;
    return false;
}

/* Foreign keys from outside the list keep a table there, or go with it. */
static int
drop_foreign(struct ddl_run *d, const struct cat_table *t, const struct drop_list *l, bool cascade)
{
    for (uint32_t i = 0; i < t->ref_count; i++) {
        const struct cat_fk *fk = &t->refs[i];
        const struct cat_table *other;
        int rc;

        if (fk->table_oid == t->oid)
            continue;
        rc = sess_table_by_oid(d->s, fk->table_oid, &other);
        if (rc != 0)
            return rc;
        if (!in_list(l, fk->table_oid) && !cascade) {
            (void)DIAG(ERR_DEPENDENT_OBJECTS,
                       "cannot drop table %s because other objects depend on it",
                       sess_display_name(d->s, d->arena, t));
            diag_detail("constraint %s on table %s depends on table %s", fk->name,
                        other != NULL ? other->name : "?", t->name);
            diag_hint("Use DROP ... CASCADE to drop the dependent objects too.");
            return ERR_DEPENDENT_OBJECTS;
        }
        if (!in_list(l, fk->table_oid))
            sess_notice(d->s, SQL_NOTICE, 0, "drop cascades to constraint %s on table %s", fk->name,
                        other != NULL ? other->name : "?");
        rc = ddl_drop_constraint(d->catalog, d->txn, fk->oid);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int
drop_table(struct ddl_run *d, oid_t oid, const struct drop_list *l, bool cascade)
{
    const struct cat_table *t;
    oid_t *owned;
    int count, rc = ddl_again(d, oid, &t);

    if (rc == 0 && t->kind == CAT_TABLE) {
        rc = drop_foreign(d, t, l, cascade);
        if (rc == 0)
            rc = ddl_owned_sequences(d, t, &owned, &count);
        for (int i = 0; i < count && rc == 0; i++) {
            const struct cat_table *sequence;

            rc = ddl_again(d, owned[i], &sequence);
            if (rc == 0)
                rc = ddl_drop_sequence(d, sequence);
        }
        if (rc == 0)
            rc = ddl_again(d, oid, &t);
    }
    if (rc == 0 && t->kind == CAT_SEQUENCE)
        return ddl_drop_sequence(d, t);
    return rc != 0 ? rc : ddl_drop_table(d->catalog, d->txn, t);
}

/* ---- indexes -----------------------------------------------------------------------------------
 */

/* The table of an index. */
static int
table_of_index(struct ddl_run *d, oid_t index, const struct cat_table **out)
{
    struct datum key = datum_int(index), row[IND_COUNT];
    int rc = sys_get(d->catalog, d->txn, SYS_INDEX, &key, NULL, d->arena, row);

    *out = NULL;
    if (rc == ERR_NOT_FOUND)
        return 0;
    return rc != 0 ? rc : sess_table_by_oid(d->s, (oid_t)row[IND_TABLE].i, out);
}

static int
drop_index(struct ddl_run *d, oid_t oid, bool cascade)
{
    const struct cat_table *t;
    int rc;

    sess_set_renew(d->s);
    rc = table_of_index(d, oid, &t);
    for (uint32_t i = 0; rc == 0 && t != NULL && i < t->index_count; i++) {
        const struct cat_index *ix = &t->indexes[i];
        const char *what;

        if (ix->oid != oid)
            continue;
        if (ix->is_constraint || ix->primary) {
            (void)DIAG(ERR_DEPENDENT_OBJECTS,
                       "cannot drop index %s because constraint %s on table %s requires it",
                       ix->name, ix->name, t->name);
            diag_hint("You can drop constraint %s on table %s instead.", ix->name, t->name);
            return ERR_DEPENDENT_OBJECTS;
        }
        what = arena_printf(d->arena, "index %s", ix->name);
        rc = ddl_drop_references(d, t, oid, cascade, what);
        return rc != 0 ? rc : ddl_drop_index(d->catalog, d->txn, t, ix);
    }
    return rc;
}

/* ---- by name -----------------------------------------------------------------------------------
 */

struct drop_search {
    const struct ast_drop *a;
    struct drop_list *list;
};

static int
missing(struct ddl_run *d, const struct ast_drop *a, const struct ast_relation *r, bool has_schema)
{
    if (!a->if_exists && !has_schema)
        return DIAG(ERR_UNDEFINED_SCHEMA, "schema \"%s\" does not exist", r->schema);
    if (!a->if_exists)
        return DIAG(a->object == AST_OBJ_INDEX ? ERR_UNDEFINED_OBJECT : ERR_UNDEFINED_TABLE,
                    "%s \"%s\" does not exist", kind_word(a->object), r->name);
    sess_notice(d->s, SQL_NOTICE, 0, "%s \"%s\" does not exist, skipping", kind_word(a->object),
                r->name);
    return 0;
}

static int
wrong_kind(const struct ast_drop *a, const struct cat_table *t)
{
    (void)DIAG(ERR_WRONG_OBJECT_TYPE, "\"%s\" is not %s %s", t->name,
               a->object == AST_OBJ_INDEX ? "an" : "a", kind_word(a->object));
    diag_hint("Use DROP %s to remove %s.",
              t->kind == CAT_INDEX      ? "INDEX"
              : t->kind == CAT_SEQUENCE ? "SEQUENCE"
              : t->kind == CAT_VIEW     ? "VIEW"
                                        : "TABLE",
              t->kind == CAT_INDEX      ? "an index"
              : t->kind == CAT_SEQUENCE ? "a sequence"
              : t->kind == CAT_VIEW     ? "a view"
                                        : "a table");
    return ERR_WRONG_OBJECT_TYPE;
}

static int
lock_for_drop(struct ddl_run *d, const struct cat_table *t)
{
    const struct cat_table *owner = t;
    int rc = t->kind == CAT_INDEX ? table_of_index(d, t->oid, &owner) : 0;

    if (rc != 0 || owner == NULL)
        return rc;
    rc = ddl_want_owner(d, owner);
    ddl_will_lock(d, owner->oid);
    for (uint32_t i = 0; i < owner->ref_count; i++)
        ddl_will_lock(d, owner->refs[i].table_oid);
    for (uint32_t i = 0; i < owner->fk_count; i++)
        ddl_will_lock(d, owner->fks[i].ref_oid);
    return rc;
}

static int
find_names(struct ddl_run *d, const void *arg)
{
    const struct drop_search *s = arg;
    int rc = 0;

    s->list->count = 0;
    for (int32_t i = 0; i < ast_count(s->a->names) && rc == 0; i++) {
        const struct ast_relation *r = AST_CONST(ast_relation, s->a->names->item[i]);
        const struct cat_table *t;
        bool has_schema;

        rc = sess_find_table(d->s, r->schema, r->name, &t, &has_schema);
        if (rc == 0 && t == NULL)
            rc = s->a->if_exists ? 0 : missing(d, s->a, r, has_schema);
        else if (rc == 0 && !kind_fits(s->a->object, t->kind))
            rc = wrong_kind(s->a, t);
        else if (rc == 0)
            rc = lock_for_drop(d, t);
        if (rc == 0 && t != NULL && !in_list(s->list, t->oid))
            s->list->oids[s->list->count++] = t->oid;
    }
    return rc;
}

static int
say_missing(struct ddl_run *d, const struct ast_drop *a)
{
    int rc = 0;

    for (int32_t i = 0; a->if_exists && i < ast_count(a->names) && rc == 0; i++) {
        const struct ast_relation *r = AST_CONST(ast_relation, a->names->item[i]);
        const struct cat_table *t;
        bool has_schema;

        rc = sess_find_table(d->s, r->schema, r->name, &t, &has_schema);
        if (rc == 0 && t == NULL)
            rc = missing(d, a, r, has_schema);
    }
    return rc;
}

static int
drop_relations(struct ddl_run *d, const struct ast_drop *a)
{
    struct drop_list list = {
        .oids = ARENA_ARRAY(d->arena, oid_t, ast_count(a->names) + 1),
    };
    struct drop_search search = { a, &list };
    int rc = 0;

    if (a->concurrently)
        rc = sess_tx_refuse_block(d->s, "DROP INDEX CONCURRENTLY");
    if (rc == 0)
        rc = ddl_begin_with(d, find_names, &search);
    if (rc != 0)
        return rc;
    rc = say_missing(d, a);
    for (int i = 0; i < list.count && rc == 0; i++)
        rc = a->object == AST_OBJ_INDEX ? drop_index(d, list.oids[i], a->cascade)
                                        : drop_table(d, list.oids[i], &list, a->cascade);
    ddl_finish(d);
    return rc;
}

/* ---- schemas -----------------------------------------------------------------------------------
 */

struct schema_search {
    const char *name;
    bool if_exists, cascade;
    oid_t schema;
    struct drop_list list;
};

/* All tables, views and sequences of a schema. */
static int
find_schema(struct ddl_run *d, const void *arg)
{
    struct schema_search *s = *(struct schema_search *const *)arg;
    struct datum row[CLASS_COUNT];
    struct sys_scan scan;
    struct cat_set *set;
    int cap = 0, rc = sess_set(d->s, &set);

    s->list.count = 0;
    if (rc == 0)
        rc = cat_find_schema(set, d->txn, slice_str(s->name), &s->schema);
    if (rc != 0 || s->schema == 0)
        return rc;
    rc = sys_scan_open(&scan, d->catalog, d->txn, SYS_CLASS, -1, NULL, 0, NULL, d->arena);
    while (rc == 0 && (rc = sys_scan_next(&scan, row)) == 0) {
        if ((oid_t)row[CLASS_NAMESPACE].i != s->schema || row[CLASS_KIND].i == CAT_INDEX)
            continue;
        if (s->list.count == cap) {
            oid_t *more = ARENA_ARRAY(d->arena, oid_t, cap == 0 ? 16 : 2 * cap);

            if (cap > 0)
                memcpy(more, s->list.oids, (size_t)cap * sizeof *more);
            cap = cap == 0 ? 16 : 2 * cap;
            s->list.oids = more;
        }
        s->list.oids[s->list.count++] = (oid_t)row[CLASS_OID].i;
        ddl_will_lock(d, (oid_t)row[CLASS_OID].i);
    }
    sys_scan_close(&scan);
    return rc == ERR_END ? 0 : rc;
}

static int
refuse_schema(struct ddl_run *d, const struct schema_search *s)
{
    if (s->schema == CAT_NAMESPACE_CATALOG || s->schema == CAT_NAMESPACE_INFO)
        return DIAG(ERR_DEPENDENT_OBJECTS,
                    "cannot drop schema %s because it is required by the database system", s->name);
    if (!d->s->is_superuser)
        return DIAG(ERR_PRIVILEGE, "must be owner of schema %s", s->name);
    if (s->list.count == 0 || s->cascade)
        return 0;
    (void)DIAG(ERR_DEPENDENT_OBJECTS, "cannot drop schema %s because other objects depend on it",
               s->name);
    diag_hint("Use DROP ... CASCADE to drop the dependent objects too.");
    return ERR_DEPENDENT_OBJECTS;
}

static int
drop_schema(struct ddl_run *d, const char *name, const struct ast_drop *a)
{
    struct schema_search s = { .name = name, .if_exists = a->if_exists, .cascade = a->cascade };
    struct schema_search *search = &s;
    int rc = ddl_begin_with(d, find_schema, &search);

    if (rc != 0)
        return rc;
    if (s.schema == 0 && s.if_exists)
        sess_notice(d->s, SQL_NOTICE, 0, "schema \"%s\" does not exist, skipping", name);
    else if (s.schema == 0)
        rc = DIAG(ERR_UNDEFINED_SCHEMA, "schema \"%s\" does not exist", name);
    else
        rc = refuse_schema(d, &s);
    for (int i = 0; i < s.list.count && rc == 0 && s.schema != 0; i++) {
        const struct cat_table *t;

        sess_set_renew(d->s);
        rc = sess_table_by_oid(d->s, s.list.oids[i], &t);
        if (rc == 0 && t != NULL)
            rc = drop_table(d, t->oid, &s.list, true);
    }
    if (rc == 0 && s.schema != 0)
        rc = ddl_drop_schema(d->catalog, d->txn, s.schema);
    ddl_finish(d);
    return rc;
}

int
ddl_run_drop(struct ddl_run *d, const struct ast_drop *a)
{
    int rc = 0;

    switch (a->object) {
    case AST_OBJ_TABLE:
    case AST_OBJ_INDEX:
    case AST_OBJ_SEQUENCE:
    case AST_OBJ_VIEW:
        return drop_relations(d, a);
    case AST_OBJ_SCHEMA:
        for (int32_t i = 0; i < ast_count(a->names) && rc == 0; i++)
            rc = drop_schema(d, AST_CONST(ast_relation, a->names->item[i])->name, a);
        return rc;
    default:
        return DIAG(ERR_NOT_SUPPORTED, "DROP of this kind of object is not supported");
    }
}

/* ---- TRUNCATE ----------------------------------------------------------------------------------
 */

struct truncate_search {
    const struct ast_truncate *a;
    struct drop_list *list;
    int cap;
};

static void
truncate_add(struct ddl_run *d, struct truncate_search *s, oid_t oid)
{
    if (in_list(s->list, oid))
        return;
    if (s->list->count == s->cap) {
        int cap = s->cap == 0 ? 16 : 2 * s->cap;
        oid_t *more = ARENA_ARRAY(d->arena, oid_t, cap);

        if (s->cap > 0)
            memcpy(more, s->list->oids, (size_t)s->cap * sizeof *more);
        s->list->oids = more;
        s->cap = cap;
    }
    s->list->oids[s->list->count++] = oid;
    ddl_will_lock(d, oid);
}

/* With CASCADE the tables that refer to those in the list join it. */
static int
truncate_find(struct ddl_run *d, const void *arg)
{
    struct truncate_search *s = *(struct truncate_search *const *)arg;
    const struct cat_table *t;
    int rc = 0;

    s->list->count = 0;
    for (int32_t i = 0; i < ast_count(s->a->relations) && rc == 0; i++) {
        rc = ddl_need_table(d, AST_CONST(ast_relation, s->a->relations->item[i]), &t);
        if (rc == 0)
            truncate_add(d, s, t->oid);
    }
    for (int i = 0; i < s->list->count && rc == 0 && s->a->cascade; i++) {
        rc = sess_table_by_oid(d->s, s->list->oids[i], &t);
        for (uint32_t k = 0; rc == 0 && t != NULL && k < t->ref_count; k++)
            truncate_add(d, s, t->refs[k].table_oid);
    }
    return rc;
}

static int
refuse_referenced(struct ddl_run *d, const struct cat_table *t, const struct drop_list *l)
{
    for (uint32_t i = 0; i < t->ref_count; i++) {
        const struct cat_table *other;

        if (in_list(l, t->refs[i].table_oid))
            continue;
        if (sess_table_by_oid(d->s, t->refs[i].table_oid, &other) != 0 || other == NULL)
            other = t;
        (void)DIAG(ERR_NOT_SUPPORTED,
                   "cannot truncate a table referenced in a foreign key constraint");
        diag_detail("Table \"%s\" references \"%s\".", other->name, t->name);
        diag_hint("Truncate table \"%s\" at the same time, or use TRUNCATE ... CASCADE.",
                  other->name);
        return ERR_NOT_SUPPORTED;
    }
    return 0;
}

static int
truncate_one(struct ddl_run *d, oid_t oid, bool restart)
{
    const struct cat_table *t;
    oid_t *owned;
    int count, rc = ddl_again(d, oid, &t);

    if (rc == 0)
        rc = ddl_truncate(d->catalog, d->txn, t);
    if (rc != 0 || !restart)
        return rc;
    rc = ddl_owned_sequences(d, t, &owned, &count);
    for (int i = 0; i < count && rc == 0; i++)
        rc = ddl_restart_sequence(d, owned[i]);
    return rc;
}

int
ddl_run_truncate(struct ddl_run *d, const struct ast_truncate *a)
{
    struct drop_list list = { .oids = NULL };
    struct truncate_search s = { .a = a, .list = &list }, *search = &s;
    int named = ast_count(a->relations), rc = ddl_begin_with(d, truncate_find, &search);

    if (rc != 0)
        return rc;
    for (int i = 0; i < list.count && rc == 0; i++) {
        const struct cat_table *t;

        rc = sess_table_by_oid(d->s, list.oids[i], &t);
        if (rc == 0 && t != NULL)
            rc = refuse_referenced(d, t, &list);
        if (rc == 0 && t != NULL && i >= named)
            sess_notice(d->s, SQL_NOTICE, 0, "truncate cascades to table \"%s\"", t->name);
    }
    for (int i = 0; i < list.count && rc == 0; i++)
        rc = truncate_one(d, list.oids[i], a->restart_identity);
    ddl_finish(d);
    return rc;
}
