/* What the ddl_*.c files share.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_CATALOG_DDL_INT_H
#define ENGINE_CATALOG_DDL_INT_H

#include "engine/catalog/catalog_int.h"

/* One change: its arena holds the rows that are built. */
struct ddl {
    struct catalog *catalog;
    struct txn *txn;
    struct arena arena;
};
void ddl_begin(struct ddl *d, struct catalog *c, struct txn *t);
void ddl_end(struct ddl *d);

/* Fresh object identifiers, of which none was ever used. Parks. */
MUST_CHECK
int ddl_oid(struct ddl *d, oid_t *oid);
struct datum ddl_text(const char *s); /* NULL: null */
/* All columns of a system table's row: zeros and false where PostgreSQL has a fixed width or a
 * boolean, null elsewhere. */
struct datum *ddl_row(struct ddl *d, enum systable_id id);
struct datum ddl_numbers(struct ddl *d, oid_t elem, const int32_t *numbers, uint32_t count,
                         int32_t lower_bound);
/* The table's pg_class row as it is now, to be changed and written back. */
MUST_CHECK
int ddl_class_row(struct ddl *d, oid_t oid, struct datum **row);
/* Writes it back under a new `rdchange`; the plans made for the table are stale from then on. */
MUST_CHECK
int ddl_class_write(struct ddl *d, struct datum *row);
/* Marks another table as changed: its foreign keys are. */
MUST_CHECK
int ddl_touch(struct ddl *d, oid_t oid);
/* pg_class row of a new relation; makes its tree unless it has none. */
struct ddl_class {
    oid_t oid, schema, owner;
    const char *name;
    char kind;
    uint32_t column_count;
    tree_id_t tree;
    bool has_index;
    const char *options, *view_text;
};
MUST_CHECK
int ddl_insert_class(struct ddl *d, const struct ddl_class *k);
MUST_CHECK
int ddl_insert_attribute(struct ddl *d, oid_t table, int16_t attnum, uint32_t since,
                         const struct ddl_column *col, const struct datum *missing);
/* pg_index and pg_class rows, and pg_constraint's if it is one. `columns`: attnum by index. */
MUST_CHECK
int ddl_insert_index(struct ddl *d, oid_t table, oid_t schema, oid_t owner,
                     const struct ddl_index *ix, bool primary, tree_id_t tree, oid_t *oid);
MUST_CHECK
int ddl_drop_constraint_of_index(struct ddl *d, const struct cat_table *table, oid_t index);
/* A column's new name and type, in the indexes that `table` had. */
MUST_CHECK
int ddl_update_index_attributes(struct ddl *d, const struct cat_table *table, uint32_t column);
MUST_CHECK
int ddl_delete_all(struct ddl *d, enum systable_id id, int index, oid_t key);

#endif
