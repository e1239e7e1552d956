/* Changes of the catalogue, as rows written by the caller's transaction: visible at its commit,
 * gone if it rolls back, on standbys at the same SCN.
 *
 * The caller (sql) has resolved names and types, checked privileges and taken the table locks. Text
 * of expressions (defaults, checks, views) is stored as SQL. Data are the caller's too: building an
 * index, rewriting a table, checking existing rows.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_CATALOG_DDL_H
#define ENGINE_CATALOG_DDL_H

#include "engine/catalog/catalog.h"

struct ddl_column {
    const char *name;
    oid_t type;
    int32_t typmod;
    bool not_null;
    char identity;
    const char *default_text; /* NULL: none */
};
struct ddl_key_column {
    uint16_t column; /* index into the table's columns */
    bool descending, nulls_first;
};
struct ddl_table {
    oid_t schema, owner;
    const char *name;
    enum cat_kind kind;
    uint32_t column_count;
    const struct ddl_column *columns;
    uint32_t primary_count; /* 0: none */
    const struct ddl_key_column *primary;
    const char *primary_name;
    const char *options;   /* reloptions text, or NULL */
    const char *view_text; /* CAT_VIEW */
};
/* ERR_DUPLICATE_TABLE. *oid: the new table's. Makes its tree. */
MUST_CHECK
int ddl_create_table(struct catalog *c, struct txn *t, const struct ddl_table *d, oid_t *oid);
/* With its indexes, constraints, defaults, comments. Foreign keys of others that refer to it must
 * have been dropped before (ddl_drop_constraint): ERR_DEPENDENT_OBJECTS. */
MUST_CHECK
int ddl_drop_table(struct catalog *c, struct txn *t, const struct cat_table *table);
/* Fresh trees for the table and all its indexes; the old rows stay readable AS OF. */
MUST_CHECK
int ddl_truncate(struct catalog *c, struct txn *t, const struct cat_table *table);
MUST_CHECK
int ddl_rename_table(struct catalog *c, struct txn *t, const struct cat_table *table,
                     const char *name);

struct ddl_index {
    const char *name;
    bool unique, is_constraint;
    uint32_t key_count;
    const struct ddl_key_column *keys;
};
/* ERR_DUPLICATE_TABLE. The caller then fills the index's tree: find the table anew. */
MUST_CHECK
int ddl_create_index(struct catalog *c, struct txn *t, const struct cat_table *table,
                     const struct ddl_index *d, oid_t *oid);
MUST_CHECK
int ddl_drop_index(struct catalog *c, struct txn *t, const struct cat_table *table,
                   const struct cat_index *ix);

/* A new tree for the table, clustered by these columns (none: by a hidden row id), and for its
 * indexes; the caller writes the rows into it. Used by ADD and DROP PRIMARY KEY, and by ALTER TYPE,
 * which gives the new types (or NULL). */
MUST_CHECK
int ddl_rewrite_table(struct catalog *c, struct txn *t, const struct cat_table *table,
                      const struct ddl_key_column *primary, uint32_t primary_count,
                      const char *primary_name, const struct ddl_column *columns);

/* `missing`: what existing rows have in it (evaluated default), or a null datum. */
MUST_CHECK
int ddl_add_column(struct catalog *c, struct txn *t, const struct cat_table *table,
                   const struct ddl_column *d, const struct datum *missing);
MUST_CHECK
int ddl_drop_column(struct catalog *c, struct txn *t, const struct cat_table *table,
                    uint32_t column);
MUST_CHECK
int ddl_rename_column(struct catalog *c, struct txn *t, const struct cat_table *table,
                      uint32_t column, const char *name);
MUST_CHECK
int ddl_set_not_null(struct catalog *c, struct txn *t, const struct cat_table *table,
                     uint32_t column, bool not_null);
MUST_CHECK
int ddl_set_default(struct catalog *c, struct txn *t, const struct cat_table *table,
                    uint32_t column, const char *text); /* NULL: none */
MUST_CHECK
int ddl_set_options(struct catalog *c, struct txn *t, const struct cat_table *table,
                    const char *options);
/* Estimates for the planner, by ANALYZE and after loads. */
MUST_CHECK
int ddl_set_statistics(struct catalog *c, struct txn *t, const struct cat_table *table, double rows,
                       double bytes_per_row);

MUST_CHECK
int ddl_add_check(struct catalog *c, struct txn *t, const struct cat_table *table, const char *name,
                  const char *text);
/* cat_fk's oid and name come back as made: name NULL is made up. */
MUST_CHECK
int ddl_add_fk(struct catalog *c, struct txn *t, const struct cat_table *table,
               const struct cat_fk *fk, oid_t *oid);
/* Checks and foreign keys; unique and primary ones go with their index. ERR_UNDEFINED_OBJECT. */
MUST_CHECK
int ddl_drop_constraint(struct catalog *c, struct txn *t, oid_t constraint);

MUST_CHECK
int ddl_create_schema(struct catalog *c, struct txn *t, const char *name, oid_t owner, oid_t *oid);
MUST_CHECK
int ddl_drop_schema(struct catalog *c, struct txn *t, oid_t schema);

struct ddl_role {
    const char *name;
    const char *verifier; /* NULL: as it is; "": none */
    int is_superuser, can_login, create_role, create_db, inherits, replication; /* -1: as it is */
};
MUST_CHECK
int ddl_create_role(struct catalog *c, struct txn *t, const struct ddl_role *d);
MUST_CHECK
int ddl_alter_role(struct catalog *c, struct txn *t, const struct ddl_role *d);
MUST_CHECK
int ddl_drop_role(struct catalog *c, struct txn *t, const char *name);
/* COMMENT ON: text NULL removes. column 0: the object itself. */
MUST_CHECK
int ddl_comment(struct catalog *c, struct txn *t, oid_t object, oid_t catalog_oid, int32_t column,
                const char *text);

/* A name that nothing in the schema has yet: base_suffix, base_suffix1, … as PostgreSQL does. */
MUST_CHECK
int ddl_free_name(struct catalog *c, struct txn *t, oid_t schema, const char *table,
                  const char *columns, const char *suffix, struct arena *a, const char **name);

#endif
