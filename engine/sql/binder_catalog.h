/* What SQL needs to know of the catalogue, as plain structs and one table of functions. Whoever
 * runs statements fills these from the catalogue at the statement's snapshot; tests fill them by
 * hand.
 *
 * A struct rel lives as long as the arena passed to find_rel (a plan's, when the plan keeps it) or
 * longer, and is immutable.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_BINDER_CATALOG_H
#define ENGINE_SQL_BINDER_CATALOG_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/err.h"
#include "engine/base/id.h"
#include "engine/sql/expr.h"

struct arena;

enum { REL_COLUMN_KEY = -1, REL_COLUMN_ROW = -2, REL_COLUMN_TABLEOID = -3, REL_COLUMN_SCN = -4 };

struct rel_column {
    const char *name;
    struct sql_type type;
    uint32_t collation;
    bool not_null;
    bool dropped;             /* takes part in nothing; its values read as NULL */
    int16_t number;           /* attnum, from 1; its index + 1 */
    const char *default_text; /* SQL of the default expression; NULL: none */
    double distinct;          /* estimated distinct values; 0: not known; negative: -1 is unique */
    double null_fraction;
};
struct rel_key_column {
    int32_t column; /* index of the table's column */
    bool descending, nulls_first;
};
struct rel_index {
    uint32_t oid;
    const char *name;
    tree_id_t tree;
    bool unique;
    bool valid; /* may be used by plans; maintained even if not */
    int32_t key_count;
    struct rel_key_column *keys;
};
enum rel_fk_action {
    REL_FK_NO_ACTION,
    REL_FK_RESTRICT,
    REL_FK_CASCADE,
    REL_FK_SET_NULL,
    REL_FK_SET_DEFAULT,
};
struct rel_fk {
    uint32_t oid;
    const char *name;
    uint32_t table_oid, ref_oid; /* the referencing and the referenced table */
    int32_t column_count;
    int32_t *columns, *ref_columns; /* of the one and of the other */
    uint32_t ref_index_oid;         /* the unique index behind it; 0: the primary key */
    enum rel_fk_action on_delete, on_update;
    bool match_full;
    bool deferrable, initially_deferred;
};
struct rel_check {
    const char *name;
    const char *text; /* SQL */
};
enum rel_kind { REL_TABLE, REL_VIEW, REL_SEQUENCE, REL_VIRTUAL, REL_INDEX };
struct rel {
    uint32_t oid;
    uint64_t version; /* of its definition: plans made for another one are stale */
    enum rel_kind kind;
    const char *schema, *name;
    tree_id_t tree;
    int32_t column_count;
    struct rel_column *columns;
    int32_t primary_count; /* 0: clustered by a hidden row id */
    struct rel_key_column *primary;
    const char *primary_name; /* of the constraint */
    uint32_t primary_oid;     /* of the index that pg_class shows for it */
    int32_t index_count;      /* other than the primary key */
    struct rel_index *indexes;
    int32_t fk_count; /* of this table */
    struct rel_fk *fks;
    int32_t ref_count; /* of others, to this table */
    struct rel_fk *refs;
    int32_t check_count;
    struct rel_check *checks;
    const char *view_text; /* REL_VIEW */
    double row_count;      /* estimate; negative: not known */
    double bytes_per_row;
    bool is_system;     /* pg_catalog and the like: not to be written by statements */
    const void *source; /* the catalogue's own object */
};

struct binder_catalog {
    /* schema NULL: along the search path. 0 with *out NULL when there is none. *known_schema (may
     * be NULL) says whether the named schema exists. Parks. */
    int (*find_rel)(void *arg, struct arena *arena, const char *schema, const char *name,
                    const struct rel **out, bool *known_schema);
    int (*find_rel_by_oid)(void *arg, struct arena *arena, uint32_t oid, const struct rel **out);
    const char *(*current_user)(void *arg);
    void *arg;
};

#endif
