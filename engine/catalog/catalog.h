/* What tables, indexes, constraints, schemas, databases and roles exist: versioned rows in trees.
 *
 * The rows are those of PostgreSQL's own catalogue tables (systable.h), stored like all others:
 * they have SCNs, travel in redo, and go back with the data. From them a table's description
 * (struct cat_table) is built on demand and shared by all sessions that see the same catalogue.
 *
 *   catalog_acquire   the catalogue as a transaction's statement sees it: a struct cat_set
 *   cat_find_*        descriptions out of a set; they live as long as the set does
 *   catalog_release
 *   ddl.h             what changes the rows
 *
 * A set is keyed by the SCN of the last catalogue change that the snapshot sees; a transaction with
 * changes of its own gets one for itself alone. Threads: sets are shared; finding may park (reads).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_CATALOG_CATALOG_H
#define ENGINE_CATALOG_CATALOG_H

#include "engine/engine.h"
#include "engine/types/key.h"
#include "engine/types/row.h"
#include "engine/types/type.h"

struct catalog;
struct cat_set;

/* ---- descriptions --------------------------------------------------------------------------- */

enum { CAT_NAMESPACE_CATALOG = 11, CAT_NAMESPACE_PUBLIC = 2200, CAT_NAMESPACE_INFO = 13000 };
enum { CAT_ROLE_SUPERUSER = 10, CAT_DATABASE = 16384, CAT_OID_FIRST = 16400 };

enum cat_kind { CAT_TABLE = 'r', CAT_INDEX = 'i', CAT_SEQUENCE = 'S', CAT_VIEW = 'v' };

struct cat_column {
    const char *name;
    int16_t attnum; /* from 1; its place in cat_table.columns plus one */
    oid_t type;
    int32_t typmod;
    bool not_null, dropped;
    char identity;            /* 0, 'a' always, 'd' by default */
    uint32_t since;           /* version of the definition that added it */
    uint32_t until;           /* version that dropped it; 0: live */
    const char *default_text; /* SQL; NULL: none */
    struct datum missing;     /* what older rows have in it */
};

struct cat_key_column {
    uint16_t column; /* index into cat_table.columns */
    bool descending, nulls_first;
};

struct cat_index {
    oid_t oid;
    const char *name;
    tree_id_t tree; /* 0: the primary key, which is the table's own tree */
    bool unique, primary, valid;
    bool is_constraint; /* made by PRIMARY KEY or UNIQUE */
    uint32_t key_count;
    struct cat_key_column *keys;
    struct key_part *parts; /* key_count of the index itself, then those of the primary key */
    uint32_t part_count;
};

enum cat_fk_action {
    CAT_FK_NO_ACTION = 'a',
    CAT_FK_RESTRICT = 'r',
    CAT_FK_CASCADE = 'c',
    CAT_FK_SET_NULL = 'n',
    CAT_FK_SET_DEFAULT = 'd',
};
struct cat_fk {
    oid_t oid;
    const char *name;
    oid_t table_oid, ref_oid;
    oid_t ref_index_oid; /* the unique index (or primary key) behind it */
    uint32_t column_count;
    uint16_t *columns, *ref_columns; /* indexes into the columns of either table */
    char on_delete, on_update;       /* enum cat_fk_action */
    bool match_full, deferrable, initially_deferred;
};
struct cat_check {
    oid_t oid;
    const char *name, *text; /* SQL */
};

struct cat_table {
    oid_t oid;
    enum cat_kind kind;
    const char *schema, *name;
    oid_t schema_oid, owner;
    tree_id_t tree;
    uint32_t version;      /* of its definition */
    uint64_t change;       /* differs between any two descriptions of this OID: for plan caches */
    uint32_t column_count; /* dropped ones included */
    struct cat_column *columns;
    struct cat_index *primary; /* one of indexes; NULL: clustered by a hidden row id */
    uint32_t index_count;      /* the primary key included */
    struct cat_index *indexes;
    uint32_t fk_count, ref_count, check_count;
    struct cat_fk *fks;  /* of this table */
    struct cat_fk *refs; /* of others (and itself), to this table */
    struct cat_check *checks;
    const char *view_text;
    const char *options;  /* reloptions as text: "{fillfactor=100}"; NULL: none */
    double row_count;     /* by ANALYZE or loads; negative: not known */
    double bytes_per_row; /* 0: not known */
    bool is_system, is_virtual;
    /* Rows: the layout of each version that may be stored, layouts[version - 1]; the last is the
     * current one. */
    struct row_layout *layouts;
};
static inline const struct row_layout *
cat_layout(const struct cat_table *t)
{
    return &t->layouts[t->version - 1];
}
/* The layout under which a stored row was written: ERR_CORRUPT for a version that never was. */
MUST_CHECK
int cat_row_layout(const struct cat_table *t, struct slice row, const struct row_layout **out);

/* ---- index entries --------------------------------------------------------------------------- */

/* The entry of a row in an index. A unique one's key is its own columns (with the primary key
 * behind them if one is null: nulls are distinct), its value the row's primary key; else the key
 * is columns and primary key, and the value empty. `values`: all columns of the row; `pk`: its key
 * in the table's tree. *has_null: a column of the index is null. */
void cat_index_entry(const struct cat_index *ix, const struct datum *values, struct slice pk,
                     struct writer *key, struct slice *value, bool *has_null);
/* The row's primary key out of an entry; borrows. ERR_CORRUPT. */
MUST_CHECK
int cat_index_pk(const struct cat_index *ix, struct slice key, struct slice value,
                 struct slice *pk);
/* A hidden row id as a key, for tables without a primary key. */
void cat_hidden_key(uint64_t row_id, uint8_t key[8]);

/* ---- the catalogue of a moment ----------------------------------------------------------------
 */

struct catalog *catalog_new(struct engine *e);
void catalog_free(struct catalog *c);

/* The catalogue as the transaction's current statement sees it (own changes included), or as of a
 * pinned moment. A statement must be open. Park. */
MUST_CHECK
int catalog_acquire(struct catalog *c, struct txn *t, const struct read_moment *m,
                    struct cat_set **out);
void catalog_release(struct cat_set *s); /* NULL allowed */
/* Differs between sets that may differ: part of a plan's key. 0: private, not to be cached. */
uint64_t cat_set_version(const struct cat_set *s);
/* The set's version that a snapshot at the transaction's present statement would get, without
 * acquiring it: to see whether a cached plan is still good. A few nanoseconds. */
uint64_t catalog_version_now(struct catalog *c, struct txn *t);

/* *out NULL when there is none. `t` reads what the set has not loaded yet. Park. */
MUST_CHECK
int cat_find_table(struct cat_set *s, struct txn *t, oid_t schema, struct slice name,
                   const struct cat_table **out);
MUST_CHECK
int cat_find_table_by_oid(struct cat_set *s, struct txn *t, oid_t oid,
                          const struct cat_table **out);
MUST_CHECK
int cat_find_schema(struct cat_set *s, struct txn *t, struct slice name, oid_t *oid);
/* 0: there is no such schema. */
MUST_CHECK
int cat_schema_owner(struct cat_set *s, struct txn *t, oid_t oid, oid_t *owner);
MUST_CHECK
int cat_schema_name(struct cat_set *s, struct txn *t, oid_t oid, struct arena *a,
                    const char **name);

struct cat_role {
    oid_t oid;
    char name[64];
    bool is_superuser, can_login, inherits, create_role, create_db, replication;
    char verifier[256]; /* SCRAM-SHA-256$…; empty: no password */
};
/* 0, ERR_NOT_FOUND (not recorded). */
MUST_CHECK
int cat_find_role(struct catalog *c, struct txn *t, struct slice name, struct cat_role *out);
/* The same by its OID, as the moment has it; NULL: as the transaction sees it. */
MUST_CHECK
int cat_role_by_oid(struct catalog *c, struct txn *t, oid_t oid, const struct read_moment *m,
                    struct cat_role *out);
MUST_CHECK
int cat_role_name(struct catalog *c, struct txn *t, oid_t oid, struct arena *a, const char **name);
MUST_CHECK
int cat_find_database(struct catalog *c, struct txn *t, struct slice name, oid_t *oid);
/* Whether every role that may log in has a password. */
MUST_CHECK
int cat_all_roles_have_password(struct catalog *c, struct txn *t, bool *yes);

/* Definitions as SQL, in the arena: CREATE INDEX …; PRIMARY KEY (…) or UNIQUE (…); FOREIGN KEY ….
 */
const char *cat_index_def(struct arena *a, const struct cat_table *t, const struct cat_index *ix);
const char *cat_key_def(struct arena *a, const struct cat_table *t, const struct cat_index *ix);
const char *cat_fk_def(struct arena *a, const struct cat_table *t, const struct cat_table *ref,
                       const struct cat_fk *fk);

/* The first rows: the catalogue's own tables, schemas, the database, a superuser of that name. In
 * an open transaction of a database that has no rows at all. */
MUST_CHECK
int catalog_bootstrap(struct catalog *c, struct txn *t, const char *name);

#endif
