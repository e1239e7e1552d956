/* How the binder finds tables: a table of functions over the catalogue (or over a test's own
 * tables).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_BINDER_CATALOG_H
#define ENGINE_SQL_BINDER_CATALOG_H

#include <stdbool.h>

#include "engine/catalog/catalog.h"

struct expr;

struct binder_catalog {
    /* schema NULL: along the search path. *out NULL when there is none; *schema_exists then says
     * whether the named schema does. Descriptions live as long as the plan's cat_set. Parks. */
    int (*find_table)(void *arg, const char *schema, const char *name, const struct cat_table **out,
                      bool *schema_exists);
    /* The same AS OF a moment: `value`, an int8 (by_scn) or timestamptz, needs no parameters. NULL:
     * descriptions of the past are not to be had. */
    int (*find_table_at)(void *arg, const struct expr *value, bool by_scn, const char *schema,
                         const char *name, const struct cat_table **out, bool *schema_exists);
    int (*find_table_by_oid)(void *arg, oid_t oid, const struct cat_table **out);
    void *arg;
};

#endif
