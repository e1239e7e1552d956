/* Rows of the catalogue's own tables: the plain way through txn_*, with their indexes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/catalog/catalog_int.h"

/* ---- writing --------------------------------------------------------------------------------- */

/* Puts or deletes the row's entry in each index. A duplicate in a unique one is ERR_FILE_EXISTS. */
static int
write_entries(const struct cat_table *table, struct txn *t, const struct datum *values,
              struct slice pk, bool add)
{
    int rc = 0;

    for (uint32_t i = 0; i < table->index_count && rc == 0; i++) {
        const struct cat_index *ix = &table->indexes[i];
        struct txn_row row;
        struct writer key;
        struct slice value;
        bool has_null;

        if (ix->primary)
            continue;
        wr_init(&key, 0);
        cat_index_entry(ix, values, pk, &key, &value, &has_null);
        rc = wr_finish(&key);
        if (rc == 0)
            rc = add ? txn_insert(t, ix->tree, wr_view(&key), value, &row)
                     : txn_delete(t, ix->tree, wr_view(&key));
        wr_fini(&key);
    }
    return rc;
}

int
sys_insert(struct catalog *c, struct txn *t, enum systable_id id, const struct datum *values)
{
    const struct cat_table *table = &c->system[id];
    const struct row_layout *l = cat_layout(table);
    struct writer key, row;
    struct txn_row existing;
    int rc;

    wr_init(&key, 0);
    wr_init(&row, 0);
    row_encode_key(&key, l, values);
    rc = row_encode(&row, l, values);
    if (rc == 0)
        rc = txn_insert(t, table->tree, wr_view(&key), wr_view(&row), &existing);
    if (rc == 0)
        rc = write_entries(table, t, values, wr_view(&key), true);
    wr_fini(&key);
    wr_fini(&row);
    return rc;
}

static int
decode(struct catalog *c, enum systable_id id, struct slice key, struct slice value,
       struct arena *a, struct datum *values)
{
    return row_decode(&c->system_maps[id], key, value, a, values);
}

/* Takes the newest version of the row off: its index entries go, the row itself is left to the
 * caller, who writes on top of `row`. */
static int
take_newest(struct catalog *c, struct txn *t, enum systable_id id, struct slice key,
            struct arena *a, struct txn_row *row)
{
    const struct cat_table *table = &c->system[id];
    struct datum *old = ARENA_ARRAY(a, struct datum, table->column_count);
    int rc = txn_lock_row(t, table->tree, key, ROW_UPDATE, LOCK_WAIT, row);

    if (rc != 0)
        return rc;
    if (!row->found)
        return DIAG(ERR_SERIALIZATION_FAILURE, "a row of \"%s\" was changed by another transaction",
                    table->name);
    rc = decode(c, id, key, row->value, a, old);
    return rc != 0 ? rc : write_entries(table, t, old, key, false);
}

static int
replace(struct catalog *c, struct txn *t, enum systable_id id, const struct datum *values,
        bool remove)
{
    const struct cat_table *table = &c->system[id];
    const struct row_layout *l = cat_layout(table);
    struct writer key, row;
    struct txn_row newest;
    struct arena a;
    int rc;

    arena_init(&a, NULL);
    wr_init(&key, 0);
    wr_init(&row, 0);
    row_encode_key(&key, l, values);
    rc = take_newest(c, t, id, wr_view(&key), &a, &newest);
    if (rc == 0 && !remove)
        rc = row_encode(&row, l, values);
    if (rc == 0)
        rc = txn_write(t, table->tree, wr_view(&key), remove ? TXN_DELETE : TXN_PUT, wr_view(&row),
                       &newest);
    if (rc == 0 && !remove)
        rc = write_entries(table, t, values, wr_view(&key), true);
    CHECK(rc != ERR_AGAIN); /* the row is locked */
    wr_fini(&key);
    wr_fini(&row);
    arena_fini(&a);
    return rc;
}

int
sys_update(struct catalog *c, struct txn *t, enum systable_id id, const struct datum *values)
{
    return replace(c, t, id, values, false);
}

int
sys_delete(struct catalog *c, struct txn *t, enum systable_id id, const struct datum *keys)
{
    return replace(c, t, id, keys, true);
}

/* ---- reading --------------------------------------------------------------------------------- */

static int
get_by_key(struct catalog *c, struct txn *t, enum systable_id id, struct slice key,
           const struct read_moment *m, struct arena *a, struct datum *values)
{
    struct slice value;
    int rc = txn_get(t, c->system[id].tree, key, m, &value);

    if (rc != 0)
        return rc;
    key.data = arena_memdup(a, key.data, key.size);
    value.data = arena_memdup(a, value.data, value.size);
    return decode(c, id, key, value, a, values);
}

int
sys_get(struct catalog *c, struct txn *t, enum systable_id id, const struct datum *keys,
        const struct read_moment *m, struct arena *a, struct datum *values)
{
    const struct row_layout *l = cat_layout(&c->system[id]);
    struct writer key;
    int rc;

    wr_init(&key, 0);
    key_put_all(&key, l->key_parts, l->key_count, keys);
    rc = get_by_key(c, t, id, wr_view(&key), m, a, values);
    wr_fini(&key);
    return rc;
}

static const struct cat_index *
index_of(struct catalog *c, enum systable_id id, int index)
{
    CHECK((uint32_t)index + 1 < c->system[id].index_count);
    return &c->system[id].indexes[index + 1];
}

int
sys_get_by_index(struct catalog *c, struct txn *t, enum systable_id id, int index,
                 const struct datum *keys, const struct read_moment *m, struct arena *a,
                 struct datum *values)
{
    const struct cat_index *ix = index_of(c, id, index);
    struct slice pk;
    struct writer key;
    int rc;

    CHECK(ix->unique);
    wr_init(&key, 0);
    key_put_all(&key, ix->parts, ix->key_count, keys);
    rc = txn_get(t, ix->tree, wr_view(&key), m, &pk);
    if (rc == 0)
        rc = get_by_key(c, t, id, pk, m, a, values);
    wr_fini(&key);
    return rc;
}

int
sys_scan_open(struct sys_scan *s, struct catalog *c, struct txn *t, enum systable_id id, int index,
              const struct datum *keys, uint32_t key_count, const struct read_moment *m,
              struct arena *a)
{
    const struct cat_table *table = &c->system[id];
    const struct cat_index *ix = index < 0 ? table->primary : index_of(c, id, index);
    struct writer lo, hi;
    struct slice to;
    int rc;

    *s = (struct sys_scan){ c, t, id, index, m, a, NULL };
    wr_init(&lo, 0);
    wr_init(&hi, 0);
    wr_u8(&lo, 0); /* so that there is memory even for an empty key */
    wr_reset(&lo);
    key_put_all(&lo, ix->parts, key_count, keys);
    wr_slice(&hi, wr_view(&lo));
    to = slice(hi.data, hi.size == 0 ? 0 : key_prefix_end(hi.data, hi.size));
    if (to.size == 0)
        to = slice(NULL, 0);
    rc = txn_scan(t, ix->primary ? table->tree : ix->tree, wr_view(&lo), to, 0, m, &s->cursor);
    wr_fini(&lo);
    wr_fini(&hi);
    return rc;
}

int
sys_scan_next(struct sys_scan *s, struct datum *values)
{
    const struct cat_index *ix = s->index < 0 ? NULL : index_of(s->catalog, s->id, s->index);
    struct slice key, value, pk;
    int rc = txn_cursor_next(s->cursor, &key, &value);

    if (rc != 0)
        return rc;
    if (ix != NULL) {
        rc = cat_index_pk(ix, key, value, &pk);
        return rc != 0 ? rc
                       : get_by_key(s->catalog, s->txn, s->id, pk, s->moment, s->arena, values);
    }
    key.data = arena_memdup(s->arena, key.data, key.size);
    value.data = arena_memdup(s->arena, value.data, value.size);
    return decode(s->catalog, s->id, key, value, s->arena, values);
}

void
sys_scan_close(struct sys_scan *s)
{
    txn_cursor_close(s->cursor);
    s->cursor = NULL;
}
