/* Going over a table's rows, for DDL and for foreign keys.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/exec_int.h"

enum { YIELD_ROWS = 64 }; /* power of two: so many rows are read at a stretch */

struct walk {
    const struct exec_ctx *ctx;
    const struct cat_table *table;
    int (*fn)(void *arg, struct slice key, const struct datum *values);
    void *arg;
    struct datum *values;
    struct row_map map; /* of the stored version met last */
    struct arena maps;
    struct arena row; /* emptied after each */
    uint64_t count;
};

static void
walk_init(struct walk *w)
{
    arena_init(&w->maps, NULL);
    arena_init(&w->row, NULL);
    w->values = xmalloc((w->table->column_count + 1) * sizeof *w->values);
}

static void
walk_fini(struct walk *w)
{
    xfree(w->values);
    arena_fini(&w->row);
    arena_fini(&w->maps);
}

static int
walk_decode(struct walk *w, struct slice key, struct slice row)
{
    const struct row_layout *stored;
    uint16_t wanted[ROW_COLUMNS_MAX];
    int rc = cat_row_layout(w->table, row, &stored);

    if (rc == 0 && w->map.stored != stored) {
        for (uint16_t i = 0; i < w->table->column_count; i++)
            wanted[i] = i;
        arena_reset(&w->maps);
        w->map.stored = NULL;
        rc = row_map_init(&w->map, &w->maps, stored, cat_layout(w->table), wanted,
                          w->table->column_count);
    }
    return rc != 0 ? rc : row_decode(&w->map, key, row, &w->row, w->values);
}

static int
walk_row(struct walk *w, struct slice key, struct slice row)
{
    int rc = walk_decode(w, key, row);

    if (rc == 0)
        rc = w->fn(w->arg, key, w->values);
    arena_reset(&w->row);
    if (rc == 0 && w->ctx->canceled != NULL && *w->ctx->canceled)
        rc = DIAG(ERR_QUERY_CANCELED, "canceling statement due to user request");
    if ((++w->count & (YIELD_ROWS - 1)) == 0)
        fiber_yield();
    return rc;
}

int
table_each_row(const struct exec_ctx *ctx, const struct cat_table *table,
               int (*fn)(void *arg, struct slice key, const struct datum *values), void *arg)
{
    struct walk w = { .ctx = ctx, .table = table, .fn = fn, .arg = arg };
    struct txn_cursor *c = NULL;
    struct slice key, value;
    int rc =
        txn_scan(ctx->txn, table->tree, slice("", 0), slice(NULL, 0), TXN_SCAN_NEWEST, NULL, &c);

    walk_init(&w);
    while (rc == 0 && (rc = txn_cursor_next(c, &key, &value)) == 0)
        rc = walk_row(&w, key, value);
    txn_cursor_close(c);
    walk_fini(&w);
    return rc == ERR_END ? 0 : rc;
}

/* Rows whose first index column has the value. */
int
table_each_row_at(const struct exec_ctx *ctx, const struct cat_table *table,
                  const struct cat_index *ix, const struct datum *first,
                  int (*fn)(void *arg, struct slice key, const struct datum *values), void *arg)
{
    struct walk w = { .ctx = ctx, .table = table, .fn = fn, .arg = arg };
    struct txn_cursor *c = NULL;
    struct slice key, value, pk, row, to;
    struct writer lo, hi;
    int rc;

    wr_init(&lo, 0);
    wr_init(&hi, 0);
    key_put(&lo, &ix->parts[0], first);
    wr_slice(&hi, wr_view(&lo));
    to = slice(hi.data, key_prefix_end(hi.data, hi.size));
    if (to.size == 0)
        to = slice(NULL, 0);
    walk_init(&w);
    rc = txn_scan(ctx->txn, ix->primary ? table->tree : ix->tree, wr_view(&lo), to, TXN_SCAN_NEWEST,
                  NULL, &c);
    while (rc == 0 && (rc = txn_cursor_next(c, &key, &value)) == 0) {
        pk = key;
        row = value;
        if (!ix->primary) {
            struct txn_row newest = { .found = true };

            rc = cat_index_pk(ix, key, value, &pk);
            if (rc == 0)
                rc = txn_read_newest(ctx->txn, table->tree, pk, LOCK_WAIT, &newest);
            if (rc == 0 && !newest.found)
                continue;
            row = newest.value;
        }
        if (rc == 0)
            rc = walk_row(&w, pk, row);
    }
    txn_cursor_close(c);
    walk_fini(&w);
    wr_fini(&lo);
    wr_fini(&hi);
    return rc == ERR_END ? 0 : rc;
}

/* ---- building an index --------------------------------------------------------------------------
 */

struct build {
    const struct exec_ctx *ctx;
    const struct cat_table *table;
    const struct cat_index *ix;
};

static int
build_row(void *arg, struct slice key, const struct datum *values)
{
    struct build *b = arg;
    struct txn_row existing;
    struct writer entry;
    struct slice value;
    bool has_null;
    int rc;

    wr_init(&entry, 0);
    cat_index_entry(b->ix, values, key, &entry, &value, &has_null);
    rc = wr_finish(&entry);
    if (rc == 0)
        rc = txn_insert(b->ctx->txn, b->ix->tree, wr_view(&entry), value, &existing);
    if (rc == ERR_FILE_EXISTS)
        rc = refuse_index(b->ctx, b->table, b->ix, values);
    wr_fini(&entry);
    return rc;
}

int
table_build_index(const struct exec_ctx *ctx, const struct cat_table *table,
                  const struct cat_index *ix)
{
    struct build b = { ctx, table, ix };

    return table_each_row(ctx, table, build_row, &b);
}
