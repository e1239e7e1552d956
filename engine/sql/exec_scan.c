/* Sources: a table's tree, an index with fetch, virtual tables.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/exec_int.h"
#include "engine/catalog/systable.h"

enum { FIRST_ROWS = 16, ROWS_GROWTH = 4 };

struct scan {
    struct exec *x;
    const struct plan_scan *plan;
    const struct cat_table *table;
    struct read_moment moment;
    bool has_moment;
    struct key_range *ranges;
    uint32_t range_count, range_at;
    struct txn_cursor *cursor;
    bool ended;
    uint32_t rows;      /* of the next batch: few at first, since who reads may want only some */
    struct arena arena; /* ranges; emptied at each rescan */
    /* Decoding: the wanted columns that the table really has, and where they go. */
    uint16_t *wanted;
    uint32_t wanted_count;
    uint32_t *wanted_to;
    const struct row_map **maps; /* by version */
    struct vec **targets;
    uint32_t *types; /* of the columns that the scan yields */
    struct row_list *virtual_rows;
    size_t virtual_at;
};

/* ---- the moment -------------------------------------------------------------------------------
 */

enum { UNIX_TO_PG_SECONDS = 946684800, CLOCKS_APART_US = 1000000 };

int
exec_moment(struct engine *e, const struct datum *value, bool by_scn, struct read_moment *out)
{
    int64_t us;

    *out = (struct read_moment){ 0 };
    if (by_scn && (value->is_null || value->i < 0))
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "AS OF SCN must be a number from 0");
    if (value->is_null)
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "AS OF TIMESTAMP must not be null");
    if (by_scn) {
        out->scn = (scn_t)value->i;
        return 0;
    }
    if (!add_ok(value->i, (int64_t)UNIX_TO_PG_SECONDS * 1000000, &us)) /* infinity */
        us = INT64_MAX;
    if (us > (int64_t)env_wall_us(engine_env(e)) + CLOCKS_APART_US)
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "AS OF TIMESTAMP is in the future");
    return engine_scn_at_time(e, us > 0 ? (uint64_t)us : 0, &out->scn);
}

/* SQL-41: rows of a moment are read by the table's definition of that moment. Where the moment was
 * known, the plan was made with it; a parameter may name another. */
static int
check_definition(const struct scan *s)
{
    const struct exec_ctx *ctx = &s->x->ctx;
    const struct cat_table *then;
    struct cat_set *set;
    int rc = catalog_acquire(ctx->catalog, ctx->txn, &s->moment, &set);

    if (rc != 0)
        return rc;
    rc = cat_find_table_by_oid(set, ctx->txn, s->table->oid, &then);
    if (rc == 0 && then == NULL)
        rc = DIAG(ERR_UNDEFINED_TABLE, "relation \"%s\" did not exist at that moment",
                  s->table->name);
    if (rc == 0 && (then->tree != s->table->tree || then->version != s->table->version)) {
        rc = DIAG(ERR_NOT_SUPPORTED, "the definition of \"%s\" at that moment was another",
                  s->table->name);
        diag_hint("Give the moment as a constant instead of a parameter.");
    }
    catalog_release(set);
    return rc;
}

static int
scan_moment(struct scan *s)
{
    const struct expr *value =
        s->plan->as_of_scn != NULL ? s->plan->as_of_scn : s->plan->as_of_time;
    struct datum d;
    int rc;

    if (value == NULL)
        return 0;
    rc = eval_scalar(s->x, value, &d);
    if (rc == 0)
        rc = exec_moment(s->x->ctx.engine, &d, s->plan->as_of_scn != NULL, &s->moment);
    if (rc == 0)
        rc = txn_pin_moment(s->x->ctx.txn, s->moment);
    if (rc == 0)
        rc = check_definition(s);
    s->has_moment = rc == 0;
    return rc;
}

static const struct read_moment *
moment_of(const struct scan *s)
{
    return s->has_moment ? &s->moment : NULL;
}

/* ---- ranges -----------------------------------------------------------------------------------
 */

static int
scan_start(struct scan *s)
{
    const struct plan_scan *p = s->plan;
    struct eval v = { .x = s->x, .ctx = &s->x->ctx, .outer = s->x->outer, .arena = &s->arena };
    const struct row_layout *l = cat_layout(s->table);

    txn_cursor_close(s->cursor);
    s->cursor = NULL;
    s->ended = false;
    s->rows = FIRST_ROWS;
    s->range_at = 0;
    arena_reset(&s->arena);
    if (!p->has_range) {
        s->ranges = ARENA_NEW(&s->arena, struct key_range);
        s->ranges->lo = slice("", 0);
        s->range_count = 1;
        return 0;
    }
    if (p->index != NULL && !p->index->primary)
        return range_keys(&v, &p->range, p->index->parts, p->index->part_count, p->backward,
                          &s->arena, &s->ranges, &s->range_count);
    return range_keys(&v, &p->range, l->key_parts, l->key_count, p->backward, &s->arena, &s->ranges,
                      &s->range_count);
}

static tree_id_t
scan_tree(const struct scan *s)
{
    return s->plan->index != NULL && !s->plan->index->primary ? s->plan->index->tree
                                                              : s->table->tree;
}

/* The next entry of the tree that is scanned. */
static int
scan_entry(struct scan *s, struct slice *key, struct slice *value)
{
    for (;;) {
        int rc;

        if (s->cursor != NULL) {
            rc = txn_cursor_next(s->cursor, key, value);
            if (rc != ERR_END)
                return rc;
            txn_cursor_close(s->cursor);
            s->cursor = NULL;
        }
        if (s->range_at == s->range_count)
            return ERR_END;
        rc = txn_scan(s->x->ctx.txn, scan_tree(s), s->ranges[s->range_at].lo,
                      s->ranges[s->range_at].hi, s->plan->backward ? TXN_SCAN_BACKWARD : 0,
                      moment_of(s), &s->cursor);
        s->range_at++;
        if (rc != 0)
            return rc;
    }
}

/* ---- rows -------------------------------------------------------------------------------------
 */

static int
map_for(struct scan *s, struct slice row, const struct row_map **out)
{
    const struct row_layout *stored;
    struct row_map *m;
    int rc = cat_row_layout(s->table, row, &stored);

    if (rc != 0)
        return rc;
    if (s->maps[stored->version - 1] == NULL) {
        m = ARENA_NEW(&s->x->arena, struct row_map);
        rc =
            row_map_init(m, &s->x->arena, stored, cat_layout(s->table), s->wanted, s->wanted_count);
        if (rc != 0)
            return rc;
        s->maps[stored->version - 1] = m;
    }
    *out = s->maps[stored->version - 1];
    return 0;
}

static struct datum
copied(struct arena *a, struct slice s)
{
    return datum_bytes(arena_memdup(a, s.size != 0 ? (const void *)s.data : "", s.size), s.size);
}

static void
set_pseudo(struct scan *s, struct batch *b, uint32_t at, struct slice key, struct slice row,
           struct arena *a)
{
    for (int32_t i = 0; i < s->plan->column_count; i++) {
        struct datum d;

        if (s->plan->columns[i] >= 0)
            continue;
        if (s->plan->columns[i] == PLAN_COLUMN_KEY)
            d = copied(a, key);
        else if (s->plan->columns[i] == PLAN_COLUMN_ROW)
            d = copied(a, row);
        else if (s->plan->columns[i] == PLAN_COLUMN_TABLEOID)
            d = datum_int(s->table->oid);
        else
            d = datum_null(); /* the SCN of a version: see the room's limits */
        vec_set(&b->cols[i], at, &d);
    }
}

static int
decode_row(struct scan *s, struct batch *b, uint32_t at, struct slice key, struct slice row,
           struct arena *a)
{
    const struct row_map *m;
    int rc = map_for(s, row, &m);

    if (rc == 0)
        rc = row_decode_vecs(m, key, row, a, true, at, s->targets);
    if (rc == 0)
        set_pseudo(s, b, at, key, row, a);
    return rc;
}

/* Through an index: the entry leads to the row. It may lead nowhere when the row was deleted by
 * this statement's transaction between the two looks; such an entry is passed over. */
static int
scan_row(struct scan *s, struct batch *b, uint32_t at, struct arena *a)
{
    struct slice key, value, pk, row;
    int rc = scan_entry(s, &key, &value);

    if (rc != 0)
        return rc;
    if (s->plan->index == NULL || s->plan->index->primary)
        return decode_row(s, b, at, key, value, a);
    rc = cat_index_pk(s->plan->index, key, value, &pk);
    if (rc != 0)
        return rc;
    pk.data = arena_memdup(a, pk.data, pk.size);
    rc = txn_get(s->x->ctx.txn, s->table->tree, pk, moment_of(s), &row);
    if (rc == ERR_NOT_FOUND)
        return ERR_AGAIN;
    return rc != 0 ? rc : decode_row(s, b, at, pk, row, a);
}

static int
scan_next(struct exec_node *n, struct batch **out)
{
    struct scan *s = n->state;
    struct batch *b;
    uint32_t at = 0;
    int rc = 0;

    if (s->ended)
        return ERR_END;
    b = batch_new(&n->scratch, s->types, (uint32_t)s->plan->column_count);
    for (uint32_t k = 0; k < s->wanted_count; k++)
        s->targets[k] = &b->cols[s->wanted_to[k]];
    while (at < s->rows) {
        rc = scan_row(s, b, at, &n->scratch);
        if (rc == 0)
            at++;
        else if (rc != ERR_AGAIN)
            break;
    }
    if (rc != 0 && rc != ERR_END && rc != ERR_AGAIN)
        return rc;
    s->ended = rc == ERR_END;
    s->rows = s->rows * ROWS_GROWTH < BATCH_ROWS_MAX ? s->rows * ROWS_GROWTH : BATCH_ROWS_MAX;
    b->row_count = b->sel_count = at;
    *out = b;
    return at > 0 ? 0 : ERR_END;
}

/* ---- virtual tables ---------------------------------------------------------------------------
 */

struct virtual_sink {
    struct scan *scan;
    struct datum *row;
};

static int
virtual_row(void *arg, const struct datum *values)
{
    struct virtual_sink *v = arg;
    const struct plan_scan *p = v->scan->plan;

    for (int32_t i = 0; i < p->column_count; i++)
        v->row[i] = p->columns[i] >= 0                      ? values[p->columns[i]]
                    : p->columns[i] == PLAN_COLUMN_TABLEOID ? datum_int(v->scan->table->oid)
                                                            : datum_null();
    return row_list_add(v->scan->virtual_rows, v->row);
}

static int
virtual_next(struct exec_node *n, struct batch **out)
{
    struct scan *s = n->state;

    if (s->virtual_rows == NULL) {
        struct plan_column *columns =
            ARENA_ARRAY(&s->x->arena, struct plan_column, s->plan->column_count + 1);
        struct virtual_sink sink = { s, ARENA_ARRAY(&s->x->arena, struct datum,
                                                    s->plan->column_count + 1) };
        struct arena a;
        struct sys_virtual v = { s->x->ctx.catalog, s->x->ctx.set, s->x->ctx.txn,    &a,
                                 virtual_row,       &sink,         s->x->ctx.session };
        int rc;

        for (int32_t i = 0; i < s->plan->column_count; i++)
            columns[i].type.oid = s->types[i];
        s->virtual_rows = row_list_new(&s->x->ctx, columns, (uint32_t)s->plan->column_count);
        arena_init(&a, s->x->ctx.memory);
        rc = cat_virtual_rows(s->table, &v);
        arena_fini(&a);
        if (rc != 0)
            return rc;
    }
    return row_list_batch(s->virtual_rows, &s->virtual_at, &n->scratch, out);
}

/* ---- the node ---------------------------------------------------------------------------------
 */

static int
scan_rescan(struct exec_node *n)
{
    struct scan *s = n->state;

    s->virtual_at = 0;
    return s->table->is_virtual ? 0 : scan_start(s);
}

static void
scan_close(struct exec_node *n)
{
    struct scan *s = n->state;

    txn_cursor_close(s->cursor);
    row_list_free(s->virtual_rows);
    arena_fini(&s->arena);
}

static void
scan_columns(struct scan *s)
{
    const struct plan_scan *p = s->plan;
    struct arena *a = &s->x->arena;

    s->types = ARENA_ARRAY(a, uint32_t, p->column_count + 1);
    s->wanted = ARENA_ARRAY(a, uint16_t, p->column_count + 1);
    s->wanted_to = ARENA_ARRAY(a, uint32_t, p->column_count + 1);
    s->targets = ARENA_ARRAY(a, struct vec *, p->column_count + 1);
    for (int32_t i = 0; i < p->column_count; i++) {
        if (p->columns[i] >= 0) {
            s->types[i] = s->table->columns[p->columns[i]].type;
            s->wanted_to[s->wanted_count] = (uint32_t)i;
            s->wanted[s->wanted_count++] = (uint16_t)p->columns[i];
        } else if (p->columns[i] == PLAN_COLUMN_TABLEOID) {
            s->types[i] = TYPE_OID;
        } else if (p->columns[i] == PLAN_COLUMN_SCN) {
            s->types[i] = TYPE_INT8;
        } else {
            s->types[i] = TYPE_BYTEA;
        }
    }
}

int
scan_init(struct exec_node *n)
{
    struct scan *s = ARENA_NEW(&n->x->arena, struct scan);
    int rc;

    s->x = n->x;
    s->plan = &n->plan->u.scan;
    s->table = s->plan->table;
    arena_init(&s->arena, NULL);
    n->state = s;
    n->next = s->table->is_virtual ? virtual_next : scan_next;
    n->rescan = scan_rescan;
    n->close = scan_close;
    scan_columns(s);
    if (s->table->is_virtual)
        return 0;
    s->maps = ARENA_ARRAY(&n->x->arena, const struct row_map *, s->table->version);
    rc = scan_moment(s);
    return rc != 0 ? rc : scan_start(s);
}
