/* The catalogue's own tables: fixed definitions, rows by their names.
 *
 * A stored one has a reserved tree and is written by ddl.c through the functions here. A virtual
 * one has no tree: its rows are made when they are asked for (virtual.c). To SQL both are tables.
 * Definitions never change within a major version; columns that PostgreSQL does not have stand at
 * the end and begin with "rd".
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_CATALOG_SYSTABLE_H
#define ENGINE_CATALOG_SYSTABLE_H

#include "engine/catalog/catalog.h"

struct sys_column {
    const char *name;
    oid_t type;
};

enum { SYS_KEYS_MAX = 3, SYS_INDEXES_MAX = 2 };

struct sys_index {
    oid_t oid; /* 0: none */
    const char *name;
    tree_id_t tree;
    bool unique;
    uint8_t key_count;
    uint8_t keys[SYS_KEYS_MAX]; /* columns, from 0 */
};

struct systable {
    oid_t oid;
    const char *name;
    tree_id_t tree; /* 0: virtual */
    const struct sys_column *columns;
    uint16_t column_count;
    uint8_t key_count; /* of its primary key */
    uint8_t keys[SYS_KEYS_MAX];
    oid_t primary_oid;
    const char *primary_name;
    struct sys_index indexes[SYS_INDEXES_MAX];
};

/* X(identifier): all of them, see systable_def.c. */
enum systable_id {
    SYS_CLASS,
    SYS_ATTRIBUTE,
    SYS_INDEX,
    SYS_CONSTRAINT,
    SYS_ATTRDEF,
    SYS_NAMESPACE,
    SYS_AUTHID,
    SYS_DATABASE,
    SYS_SEQUENCE,
    SYS_DESCRIPTION,
    SYS_STORED_COUNT,
    /* virtual */
    SYS_TYPE = SYS_STORED_COUNT,
    SYS_PROC,
    SYS_OPERATOR,
    SYS_AM,
    SYS_COLLATION,
    SYS_ROLES,
    SYS_USER,
    SYS_TABLES,
    SYS_INDEXES,
    SYS_INHERITS,
    SYS_TRIGGER,
    SYS_POLICY,
    SYS_PUBLICATION,
    SYS_PUBLICATION_REL,
    SYS_PUBLICATION_NAMESPACE,
    SYS_STATISTIC_EXT,
    SYS_REWRITE,
    SYS_DEPEND,
    SYS_FOREIGN_TABLE,
    SYS_FOREIGN_SERVER,
    SYS_TABLESPACE,
    SYS_ENUM,
    SYS_RANGE,
    SYS_EXTENSION,
    SYS_AUTH_MEMBERS,
    SYS_SHDESCRIPTION,
    SYS_CAST,
    SYS_LANGUAGE,
    SYS_DEFAULT_ACL,
    SYS_LARGEOBJECT_METADATA,
    SYS_SUBSCRIPTION,
    SYS_DB_ROLE_SETTING,
    SYS_OPCLASS,
    SYS_OPFAMILY,
    SYS_AMOP,
    SYS_AMPROC,
    SYS_FOREIGN_DATA_WRAPPER,
    SYS_CONVERSION,
    SYS_EVENT_TRIGGER,
    SYS_TS_CONFIG,
    SYS_TS_CONFIG_MAP,
    SYS_TS_DICT,
    SYS_TS_PARSER,
    SYS_TS_TEMPLATE,
    SYS_PARTITIONED_TABLE,
    SYS_USER_MAPPING,
    SYS_VIEWS,
    SYS_MATVIEWS,
    SYS_SETTINGS_COUNT_END,
    SYS_COUNT = SYS_SETTINGS_COUNT_END,
};

const struct systable *systable_get(enum systable_id id);
const struct systable *systable_by_name(struct slice name);

/* Column numbers, from 0, of those that code names. */
enum {
    CLASS_OID,
    CLASS_NAME,
    CLASS_NAMESPACE,
    CLASS_TYPE,
    CLASS_OFTYPE,
    CLASS_OWNER,
    CLASS_AM,
    CLASS_FILENODE,
    CLASS_TABLESPACE,
    CLASS_PAGES,
    CLASS_TUPLES,
    CLASS_ALLVISIBLE,
    CLASS_TOAST,
    CLASS_HASINDEX,
    CLASS_ISSHARED,
    CLASS_PERSISTENCE,
    CLASS_KIND,
    CLASS_NATTS,
    CLASS_CHECKS,
    CLASS_HASRULES,
    CLASS_HASTRIGGERS,
    CLASS_HASSUBCLASS,
    CLASS_ROWSECURITY,
    CLASS_FORCEROWSECURITY,
    CLASS_ISPOPULATED,
    CLASS_REPLIDENT,
    CLASS_ISPARTITION,
    CLASS_REWRITE,
    CLASS_FROZENXID,
    CLASS_MINMXID,
    CLASS_ACL,
    CLASS_OPTIONS,
    CLASS_PARTBOUND,
    CLASS_RDTREE,
    CLASS_RDVERSION,
    CLASS_RDCHANGE,
    CLASS_RDVIEW,
    CLASS_RDBYTES,
    CLASS_COUNT
};
enum {
    ATT_RELID,
    ATT_NAME,
    ATT_TYPID,
    ATT_STATTARGET,
    ATT_LEN,
    ATT_NUM,
    ATT_NDIMS,
    ATT_CACHEOFF,
    ATT_TYPMOD,
    ATT_BYVAL,
    ATT_ALIGN,
    ATT_STORAGE,
    ATT_COMPRESSION,
    ATT_NOTNULL,
    ATT_HASDEF,
    ATT_HASMISSING,
    ATT_IDENTITY,
    ATT_GENERATED,
    ATT_ISDROPPED,
    ATT_ISLOCAL,
    ATT_INHCOUNT,
    ATT_COLLATION,
    ATT_ACL,
    ATT_OPTIONS,
    ATT_FDWOPTIONS,
    ATT_MISSINGVAL,
    ATT_RDTYPE,
    ATT_RDSINCE,
    ATT_RDUNTIL,
    ATT_RDMISSING,
    ATT_COUNT
};
enum {
    IND_RELID,
    IND_TABLE,
    IND_NATTS,
    IND_NKEYATTS,
    IND_UNIQUE,
    IND_NULLSNOTDISTINCT,
    IND_PRIMARY,
    IND_EXCLUSION,
    IND_IMMEDIATE,
    IND_CLUSTERED,
    IND_VALID,
    IND_CHECKXMIN,
    IND_READY,
    IND_LIVE,
    IND_REPLIDENT,
    IND_KEY,
    IND_COLLATION,
    IND_CLASS,
    IND_OPTION,
    IND_EXPRS,
    IND_PRED,
    IND_COUNT
};
enum {
    CON_OID,
    CON_NAME,
    CON_NAMESPACE,
    CON_TYPE,
    CON_DEFERRABLE,
    CON_DEFERRED,
    CON_VALIDATED,
    CON_RELID,
    CON_TYPID,
    CON_INDID,
    CON_PARENT,
    CON_FRELID,
    CON_UPDTYPE,
    CON_DELTYPE,
    CON_MATCHTYPE,
    CON_ISLOCAL,
    CON_INHCOUNT,
    CON_NOINHERIT,
    CON_KEY,
    CON_FKEY,
    CON_PFEQOP,
    CON_PPEQOP,
    CON_FFEQOP,
    CON_DELSETCOLS,
    CON_EXCLOP,
    CON_BIN,
    CON_COUNT
};
enum { DEF_OID, DEF_RELID, DEF_NUM, DEF_BIN, DEF_COUNT };
enum { NSP_OID, NSP_NAME, NSP_OWNER, NSP_ACL, NSP_COUNT };
enum {
    AUTH_OID,
    AUTH_NAME,
    AUTH_SUPER,
    AUTH_INHERIT,
    AUTH_CREATEROLE,
    AUTH_CREATEDB,
    AUTH_LOGIN,
    AUTH_REPLICATION,
    AUTH_BYPASSRLS,
    AUTH_CONNLIMIT,
    AUTH_PASSWORD,
    AUTH_VALIDUNTIL,
    AUTH_COUNT
};
enum {
    DB_OID,
    DB_NAME,
    DB_OWNER,
    DB_ENCODING,
    DB_LOCPROVIDER,
    DB_ISTEMPLATE,
    DB_ALLOWCONN,
    DB_CONNLIMIT,
    DB_FROZENXID,
    DB_MINMXID,
    DB_TABLESPACE,
    DB_COLLATE,
    DB_CTYPE,
    DB_ICULOCALE,
    DB_COLLVERSION,
    DB_ACL,
    DB_COUNT
};

/* ---- rows ------------------------------------------------------------------------------------ */

/* Writes of the open transaction, indexes included. insert: ERR_FILE_EXISTS when the key or a
 * unique index has it already. update and delete find the row by the key columns of `values`
 * (update: key columns and unique index columns may change only where an index allows it). Park. */
MUST_CHECK
int sys_insert(struct catalog *c, struct txn *t, enum systable_id id, const struct datum *values);
MUST_CHECK
int sys_update(struct catalog *c, struct txn *t, enum systable_id id, const struct datum *values);
MUST_CHECK
int sys_delete(struct catalog *c, struct txn *t, enum systable_id id, const struct datum *keys);

/* One row by its primary key, or by the n-th index: values of all columns in the arena. 0,
 * ERR_NOT_FOUND (not recorded). `newest`: the newest committed or own version, waiting for other
 * writers, instead of the snapshot's. Park. */
MUST_CHECK
int sys_get(struct catalog *c, struct txn *t, enum systable_id id, const struct datum *keys,
            const struct read_moment *m, struct arena *a, struct datum *values);
MUST_CHECK
int sys_get_by_index(struct catalog *c, struct txn *t, enum systable_id id, int index,
                     const struct datum *keys, const struct read_moment *m, struct arena *a,
                     struct datum *values);

/* All rows whose first `key_count` key columns (of the primary key, index -1, or of an index) equal
 * `keys`. */
struct sys_scan {
    struct catalog *catalog;
    struct txn *txn;
    enum systable_id id;
    int index;
    const struct read_moment *moment;
    struct arena *arena;
    struct txn_cursor *cursor;
};
MUST_CHECK
int sys_scan_open(struct sys_scan *s, struct catalog *c, struct txn *t, enum systable_id id,
                  int index, const struct datum *keys, uint32_t key_count,
                  const struct read_moment *m, struct arena *a);
MUST_CHECK
int sys_scan_next(struct sys_scan *s, struct datum *values); /* 0 or ERR_END */
void sys_scan_close(struct sys_scan *s);

/* ---- virtual tables -------------------------------------------------------------------------- */

/* Calls fn for each row of a virtual table with all its columns; fn returns 0 to go on. Park. */
struct sys_virtual {
    struct catalog *catalog;
    struct cat_set *set;
    struct txn *txn;
    struct arena *arena;
    int (*fn)(void *arg, const struct datum *values);
    void *arg;
    void *session; /* whose statement it is: for providers that show a session's own things */
};
MUST_CHECK
int sys_virtual_rows(struct sys_virtual *v, enum systable_id id);

/* The same for any table whose description says is_virtual, those of providers included. */
MUST_CHECK
int cat_virtual_rows(const struct cat_table *table, struct sys_virtual *v);

/* Virtual tables of higher rooms (pg_settings, pg_stat_activity, v$database …): a table of its own
 * with rows by callback. Registered before the first session; lives as long as the catalogue. */
struct sys_provider {
    struct systable table; /* tree 0, in schema pg_catalog */
    int (*rows)(void *arg, struct sys_virtual *v);
    void *arg;
    struct sys_provider *next;     /* in catalog.providers */
    struct cat_table *description; /* set by catalog_add_provider */
};
void catalog_add_provider(struct catalog *c, struct sys_provider *p);
const struct sys_provider *catalog_provider(const struct catalog *c, oid_t oid); /* NULL: none */

#endif
