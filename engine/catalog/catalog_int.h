/* What the files of the catalogue share.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_CATALOG_CATALOG_INT_H
#define ENGINE_CATALOG_CATALOG_INT_H

#include <stdatomic.h>

#include "engine/base/env.h"
#include "engine/catalog/catalog.h"
#include "engine/catalog/ddl.h"
#include "engine/catalog/systable.h"

enum { CAT_SET_BUCKETS = 256, CATALOG_SETS_MAX = 8 };

/* A description with the memory it lives in. */
struct cat_entry {
    struct cat_entry *next; /* in its bucket of the set */
    struct cat_table table;
    struct arena arena;
};

struct cat_set {
    struct catalog *catalog;
    struct list link;   /* in catalog.sets, most recently used first; private ones in none */
    uint32_t ref_count; /* under catalog.mutex, as the buckets */
    uint64_t version;   /* 0: private */
    struct read_moment moment;
    bool has_moment;
    struct cat_entry *by_oid[CAT_SET_BUCKETS];
};

struct catalog {
    struct engine *engine;
    struct env_mutex mutex;
    struct list sets; /* of struct cat_set.link */
    uint32_t set_count;
    struct arena arena;                    /* the system tables' descriptions */
    struct cat_table system[SYS_COUNT];    /* read-only after catalog_new */
    struct row_map system_maps[SYS_COUNT]; /* all columns, of the stored ones */
    struct sys_provider *providers;        /* read-only once sessions run */
};

/* describe.c: the description of a fixed table. */
void describe_systable(struct arena *a, const struct systable *def, const char *schema,
                       struct cat_table *out);
/* Row layouts for versions 1 .. table->version, from the columns and the primary key. */
void describe_layouts(struct arena *a, struct cat_table *table);
/* Key parts of all indexes, once columns and primary keys are known. */
void describe_index_parts(struct arena *a, struct cat_table *table);

/* load.c: the description of a user's table from its rows. *out NULL: no such OID. */
MUST_CHECK
int load_table(struct catalog *c, struct txn *t, const struct read_moment *m, oid_t oid,
               struct cat_entry **out);

#endif
