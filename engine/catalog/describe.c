/* Descriptions: what follows from a table's columns and keys.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/catalog/catalog_int.h"

/* ---- layouts --------------------------------------------------------------------------------- */

static uint32_t
key_flags(const struct cat_key_column *k)
{
    return (k->descending ? (uint32_t)KEY_DESC : 0) |
           (k->nulls_first ? (uint32_t)KEY_NULLS_FIRST : 0);
}

/* A table is rewritten when it gets its key: no row is left of a version without its columns. */
static bool
is_past(const struct cat_table *t, const struct row_layout *l)
{
    for (uint32_t i = 0; t->primary != NULL && i < t->primary->key_count; i++)
        if (t->primary->keys[i].column >= l->column_count)
            return true;
    return false;
}

static void
layout_key(struct arena *a, const struct cat_table *t, struct row_layout *l)
{
    uint32_t n = t->primary != NULL ? t->primary->key_count : 1;
    struct key_part *parts = ARENA_ARRAY(a, struct key_part, n);
    uint16_t *columns = ARENA_ARRAY(a, uint16_t, n);

    for (uint32_t i = 0; i < n && t->primary != NULL; i++) {
        columns[i] = t->primary->keys[i].column;
        parts[i].type = t->columns[columns[i]].type;
        parts[i].flags = key_flags(&t->primary->keys[i]) | KEY_NOT_NULL;
    }
    if (t->primary == NULL) {
        columns[0] = ROW_KEY_HIDDEN;
        parts[0] = (struct key_part){ TYPE_INT8, KEY_NOT_NULL };
    }
    parts[n - 1].flags |= KEY_FINAL;
    l->key_count = n;
    l->key_parts = parts;
    l->key_columns = columns;
}

/* In version v stand the columns that were added by then and not yet dropped. */
static void
layout_columns(struct arena *a, const struct cat_table *t, uint32_t version, struct row_layout *l)
{
    uint32_t n = 0;

    while (n < t->column_count && t->columns[n].since <= version)
        n++;
    l->version = version;
    l->column_count = n;
    l->columns = ARENA_ARRAY(a, struct row_column, n > 0 ? n : 1);
    for (uint32_t i = 0; i < n; i++) {
        const struct cat_column *c = &t->columns[i];

        l->columns[i] = (struct row_column){
            .attnum = (uint16_t)c->attnum,
            .place = c->dropped && c->until <= version ? ROW_COL_DROPPED : ROW_COL_VALUE,
            .type = c->type,
            .typmod = c->typmod,
            .missing = c->missing,
        };
    }
}

void
describe_layouts(struct arena *a, struct cat_table *table)
{
    table->layouts = ARENA_ARRAY(a, struct row_layout, table->version);
    for (uint32_t v = 1; v <= table->version; v++) {
        struct row_layout *l = &table->layouts[v - 1];

        layout_columns(a, table, v, l);
        if (!is_past(table, l))
            layout_key(a, table, l);
        row_layout_init(l);
    }
}

void
describe_index_parts(struct arena *a, struct cat_table *table)
{
    const struct row_layout *l = cat_layout(table);

    for (uint32_t i = 0; i < table->index_count; i++) {
        struct cat_index *ix = &table->indexes[i];

        ix->part_count = ix->key_count + (ix->primary ? 0 : l->key_count);
        ix->parts = ARENA_ARRAY(a, struct key_part, ix->part_count);
        for (uint32_t k = 0; k < ix->key_count; k++) {
            ix->parts[k].type = table->columns[ix->keys[k].column].type;
            ix->parts[k].flags = key_flags(&ix->keys[k]);
        }
        if (ix->primary) {
            for (uint32_t k = 0; k < ix->key_count; k++)
                ix->parts[k] = l->key_parts[k];
            continue;
        }
        for (uint32_t k = 0; k < l->key_count; k++)
            ix->parts[ix->key_count + k] = l->key_parts[k];
    }
}

int
cat_row_layout(const struct cat_table *t, struct slice row, const struct row_layout **out)
{
    uint32_t version;
    int rc = row_version(row, &version);

    if (rc != 0)
        return rc;
    if (version == 0 || version > t->version)
        return DIAG(ERR_CORRUPT, "row of table \"%s\" was written under definition %u, of %u",
                    t->name, version, t->version);
    *out = &t->layouts[version - 1];
    return 0;
}

/* ---- fixed tables -----------------------------------------------------------------------------
 */

static void
describe_index(struct arena *a, struct cat_index *ix, const char *name, oid_t oid, tree_id_t tree,
               bool unique, const uint8_t *keys, uint32_t count)
{
    ix->oid = oid;
    ix->name = name;
    ix->tree = tree;
    ix->unique = unique;
    ix->primary = tree == 0;
    ix->valid = true;
    ix->is_constraint = ix->primary;
    ix->key_count = count;
    ix->keys = ARENA_ARRAY(a, struct cat_key_column, count);
    for (uint32_t i = 0; i < count; i++)
        ix->keys[i].column = keys[i];
}

void
describe_systable(struct arena *a, const struct systable *def, const char *schema,
                  struct cat_table *out)
{
    *out = (struct cat_table){
        .oid = def->oid,
        .kind = CAT_TABLE,
        .schema = schema,
        .name = def->name,
        .schema_oid = CAT_NAMESPACE_CATALOG,
        .owner = CAT_ROLE_SUPERUSER,
        .tree = def->tree,
        .version = 1,
        .change = 1,
        .column_count = def->column_count,
        .row_count = -1,
        .is_system = true,
        .is_virtual = def->tree == 0,
    };
    out->columns = ARENA_ARRAY(a, struct cat_column, def->column_count);
    for (uint32_t i = 0; i < def->column_count; i++)
        out->columns[i] = (struct cat_column){
            .name = def->columns[i].name,
            .attnum = (int16_t)(i + 1),
            .type = def->columns[i].type,
            .typmod = -1,
            .since = 1,
            .missing = datum_null(),
        };
    out->indexes = ARENA_ARRAY(a, struct cat_index, 1 + SYS_INDEXES_MAX);
    if (def->key_count > 0) {
        out->primary = &out->indexes[out->index_count++];
        describe_index(a, out->primary, def->primary_name, def->primary_oid, 0, true, def->keys,
                       def->key_count);
        for (uint32_t i = 0; i < def->key_count; i++)
            out->columns[def->keys[i]].not_null = true;
    }
    for (int i = 0; i < SYS_INDEXES_MAX && def->indexes[i].oid != 0; i++) {
        const struct sys_index *s = &def->indexes[i];

        describe_index(a, &out->indexes[out->index_count++], s->name, s->oid, s->tree, s->unique,
                       s->keys, s->key_count);
    }
    describe_layouts(a, out);
    describe_index_parts(a, out);
}

/* ---- index entries ----------------------------------------------------------------------------
 */

void
cat_index_entry(const struct cat_index *ix, const struct datum *values, struct slice pk,
                struct writer *key, struct slice *value, bool *has_null)
{
    *has_null = false;
    for (uint32_t i = 0; i < ix->key_count; i++) {
        const struct datum *d = &values[ix->keys[i].column];

        *has_null |= d->is_null;
        key_put(key, &ix->parts[i], d);
    }
    if (!ix->unique || *has_null)
        wr_slice(key, pk);
    *value = ix->unique ? pk : slice(NULL, 0);
}

int
cat_index_pk(const struct cat_index *ix, struct slice key, struct slice value, struct slice *pk)
{
    struct reader r;

    if (ix->unique) {
        *pk = value;
        return 0;
    }
    rd_init(&r, key.data, key.size);
    for (uint32_t i = 0; i < ix->key_count; i++) {
        int rc = key_skip(&r, &ix->parts[i]);

        if (rc != 0)
            return rc;
    }
    *pk = rd_slice(&r, rd_left(&r));
    return 0;
}

void
cat_hidden_key(uint64_t row_id, uint8_t key[8])
{
    store_u64_be(key, row_id ^ (uint64_t)1 << 63);
}
