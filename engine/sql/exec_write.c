/* One row into, over and out of a table: its tree, its indexes, its constraints but for foreign
 * keys (exec_fk.c).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "engine/sql/exec_int.h"

/* What most keys and rows fit in: longer ones go to the heap. */
enum { KEY_ROOM = 256, ROW_ROOM = 1024 };

/* ---- rows -------------------------------------------------------------------------------------
 */

int
table_decode(const struct cat_table *t, struct slice key, struct slice row, struct arena *a,
             struct datum *values)
{
    uint16_t wanted[ROW_COLUMNS_MAX];
    const struct row_layout *stored;
    struct row_map m;
    int rc = cat_row_layout(t, row, &stored);

    for (uint16_t i = 0; i < t->column_count; i++)
        wanted[i] = i;
    if (rc == 0)
        rc = row_map_init(&m, a, stored, cat_layout(t), wanted, t->column_count);
    return rc != 0 ? rc : row_decode(&m, key, row, a, values);
}

const char *
row_text(const struct cat_table *t, struct arena *a, const struct datum *values)
{
    struct writer w;
    const char *text;
    bool first = true;

    wr_init(&w, 0);
    wr_u8(&w, '(');
    for (uint32_t i = 0; i < t->column_count && w.size < 200; i++) {
        if (t->columns[i].dropped)
            continue;
        if (!first)
            wr_bytes(&w, ", ", 2);
        first = false;
        if (values[i].is_null)
            wr_bytes(&w, "null", 4);
        else
            type_out(t->columns[i].type, NULL, &values[i], &w);
    }
    wr_u8(&w, ')');
    text = arena_strndup(a, (const char *)w.data, w.size);
    wr_fini(&w);
    return text;
}

int
exec_checks_hold(const struct eval *v, const struct plan_modify *m)
{
    const struct cat_table *t = m->table;

    for (int32_t i = 0; i < m->check_count; i++) {
        struct datum d;
        int rc = eval_row(v, m->checks[i].check, &d);

        if (rc != 0)
            return rc;
        if (d.is_null || d.i != 0)
            continue;
        (void)DIAG(ERR_CHECK_VIOLATION,
                   "new row for relation \"%s\" violates check constraint \"%s\"", t->name,
                   m->checks[i].name);
        diag_detail("Failing row contains %s.", row_text(t, v->arena, v->columns));
        diag_object(t->schema, t->name, NULL, m->checks[i].name);
        return ERR_CHECK_VIOLATION;
    }
    return 0;
}

int
check_not_null(const struct cat_table *t, struct arena *a, const struct datum *values)
{
    for (uint32_t i = 0; i < t->column_count; i++) {
        const struct cat_column *c = &t->columns[i];

        if (!c->not_null || c->dropped || !values[i].is_null)
            continue;
        (void)DIAG(ERR_NOT_NULL_VIOLATION,
                   "null value in column \"%s\" of relation \"%s\" violates not-null constraint",
                   c->name, t->name);
        diag_detail("Failing row contains %s.", row_text(t, a, values));
        diag_object(t->schema, t->name, c->name, NULL);
        return ERR_NOT_NULL_VIOLATION;
    }
    return 0;
}

/* ---- duplicates -------------------------------------------------------------------------------
 */

/* verb: "already exists", or "is duplicated" where both rows were there before the index. */
static void
detail_key(const struct exec_ctx *ctx, const struct cat_table *t, const struct cat_index *ix,
           const struct datum *values, const char *verb)
{
    struct writer names, texts;

    wr_init(&names, 0);
    wr_init(&texts, 0);
    for (uint32_t i = 0; i < ix->key_count; i++) {
        uint16_t c = ix->keys[i].column;

        if (i > 0) {
            wr_bytes(&names, ", ", 2);
            wr_bytes(&texts, ", ", 2);
        }
        wr_bytes(&names, t->columns[c].name, strlen(t->columns[c].name));
        type_out(t->columns[c].type, ctx->types, &values[c], &texts);
    }
    diag_detail("Key (%.*s)=(%.*s) %s.", (int)names.size, (const char *)names.data, (int)texts.size,
                (const char *)texts.data, verb);
    diag_object(t->schema, t->name, NULL, ix->name);
    wr_fini(&names);
    wr_fini(&texts);
}

static int
duplicate(const struct write_target *w, const struct cat_index *ix, const struct datum *values)
{
    (void)DIAG(ERR_UNIQUE_VIOLATION, "duplicate key value violates unique constraint \"%s\"",
               ix->name);
    detail_key(w->ctx, w->table, ix, values, "already exists");
    return ERR_UNIQUE_VIOLATION;
}

int
refuse_index(const struct exec_ctx *ctx, const struct cat_table *t, const struct cat_index *ix,
             const struct datum *values)
{
    (void)DIAG(ERR_UNIQUE_VIOLATION, "could not create unique index \"%s\"", ix->name);
    detail_key(ctx, t, ix, values, "is duplicated");
    return ERR_UNIQUE_VIOLATION;
}

/* ---- index entries -----------------------------------------------------------------------------
 */

static int
insert_entry(const struct write_target *w, const struct cat_index *ix, const struct datum *values,
             struct slice pk, struct slice *existing)
{
    uint8_t room[KEY_ROOM];
    struct txn_row row;
    struct writer key;
    struct slice value;
    bool has_null;
    int rc;

    wr_init_room(&key, room, sizeof room);
    cat_index_entry(ix, values, pk, &key, &value, &has_null);
    rc = wr_finish(&key);
    if (rc == 0)
        rc = txn_insert(w->ctx->txn, ix->tree, wr_view(&key), value, &row);
    if (rc == ERR_FILE_EXISTS && existing != NULL)
        *existing = slice(arena_memdup(w->arena, row.value.data, row.value.size), row.value.size);
    wr_fini(&key);
    if (rc == ERR_LIMIT)
        diag_object(w->table->schema, w->table->name, NULL, ix->name);
    return rc;
}

int
write_find(const struct write_target *w, const struct cat_index *ix, const struct datum *values,
           struct slice *found)
{
    uint8_t room[KEY_ROOM];
    struct txn_row row;
    struct writer key;
    struct slice value;
    bool has_null;
    int rc = check_not_null(w->table, w->arena, values);

    *found = slice(NULL, 0);
    if (rc != 0)
        return rc;
    wr_init_room(&key, room, sizeof room);
    cat_index_entry(ix, values, slice("", 0), &key, &value, &has_null);
    rc = wr_finish(&key);
    if (rc == 0 && !has_null) {
        rc = txn_read_newest(w->ctx->txn, ix->tree, wr_view(&key), LOCK_WAIT, &row);
        if (rc == ERR_SERIALIZATION_FAILURE && !row.found)
            rc = 0; /* what went after the snapshot is in nobody's way */
        if (rc == 0 && row.found)
            *found = slice(arena_memdup(w->arena, row.value.data, row.value.size), row.value.size);
    }
    wr_fini(&key);
    return rc;
}

static int
delete_entry(const struct write_target *w, const struct cat_index *ix, const struct datum *values,
             struct slice pk)
{
    uint8_t room[KEY_ROOM];
    struct writer key;
    struct slice value;
    bool has_null;
    int rc;

    wr_init_room(&key, room, sizeof room);
    cat_index_entry(ix, values, pk, &key, &value, &has_null);
    rc = wr_finish(&key);
    if (rc == 0)
        rc = txn_delete(w->ctx->txn, ix->tree, wr_view(&key));
    wr_fini(&key);
    return rc;
}

bool
write_entry_changes(const struct write_target *w, const struct cat_index *ix,
                    const struct datum *old, const struct datum *values)
{
    for (uint32_t i = 0; i < ix->key_count; i++) {
        uint16_t c = ix->keys[i].column;

        if (old[c].is_null != values[c].is_null)
            return true;
        if (!old[c].is_null && type_cmp(w->table->columns[c].type, &old[c], &values[c]) != 0)
            return true;
    }
    return false;
}

/* ---- insert ------------------------------------------------------------------------------------
 */

static int
encode_key(const struct write_target *w, const struct datum *values, struct writer *key)
{
    uint8_t hidden[8];
    uint64_t id;
    int rc;

    if (w->table->primary != NULL) {
        row_encode_key(key, cat_layout(w->table), values);
        return wr_finish(key);
    }
    rc = engine_ids(w->ctx->engine, "row", 1, &id);
    if (rc == 0) {
        cat_hidden_key(id, hidden);
        wr_bytes(key, hidden, sizeof hidden);
    }
    return rc;
}

static int
insert_entries(const struct write_target *w, const struct datum *values, struct slice pk,
               bool conflict_ok, const struct cat_index **conflict, struct slice *existing)
{
    for (uint32_t i = 0; i < w->table->index_count; i++) {
        const struct cat_index *ix = &w->table->indexes[i];
        int rc;

        if (ix->primary)
            continue;
        rc = insert_entry(w, ix, values, pk, existing);
        if (rc == ERR_FILE_EXISTS) {
            *conflict = ix;
            return conflict_ok ? ERR_FILE_EXISTS : duplicate(w, ix, values);
        }
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Whether nothing can be there: a hidden key is given once; of a tree of our own we know the last
 * key. */
static bool
is_new_key(const struct write_target *w, struct slice key)
{
    struct write_tail *tail = w->tail;

    if (w->table->primary == NULL)
        return true;
    if (tail == NULL || key.size > WRITE_TAIL_MAX ||
        (tail->is_set && slice_cmp(key, slice(tail->key, tail->size)) <= 0))
        return false;
    memcpy(tail->key, key.data, key.size);
    tail->size = key.size;
    tail->is_set = true;
    return true;
}

static int
insert_row(const struct write_target *w, struct slice key, struct slice row,
           struct txn_row *existing)
{
    if (is_new_key(w, key))
        return txn_insert_new(w->ctx->txn, w->table->tree, key, row);
    return txn_insert(w->ctx->txn, w->table->tree, key, row, existing);
}

int
write_insert(const struct write_target *w, const struct datum *values, bool conflict_ok,
             enum write_outcome *outcome, const struct cat_index **conflict,
             struct slice *existing_key)
{
    const struct cat_index *in_the_way = NULL;
    struct txn_row existing;
    uint8_t key_room[KEY_ROOM], row_room[ROW_ROOM];
    struct writer key, row;
    int rc;

    *outcome = WRITE_DONE;
    wr_init_room(&key, key_room, sizeof key_room);
    wr_init_room(&row, row_room, sizeof row_room);
    rc = check_not_null(w->table, w->arena, values);
    if (rc == 0)
        rc = encode_key(w, values, &key);
    if (rc == 0)
        rc = row_encode(&row, cat_layout(w->table), values);
    if (rc == 0)
        rc = insert_row(w, wr_view(&key), wr_view(&row), &existing);
    if (rc == ERR_FILE_EXISTS) {
        in_the_way = w->table->primary;
        if (existing_key != NULL)
            *existing_key = slice(arena_memdup(w->arena, key.data, key.size), key.size);
        if (!conflict_ok)
            rc = duplicate(w, w->table->primary, values);
    } else if (rc == 0) {
        rc = insert_entries(w, values, wr_view(&key), conflict_ok, &in_the_way, existing_key);
    }
    if (rc == ERR_FILE_EXISTS) {
        *outcome = WRITE_EXISTS;
        if (conflict != NULL)
            *conflict = in_the_way;
        rc = 0;
    }
    wr_fini(&key);
    wr_fini(&row);
    return rc;
}

/* ---- update and delete --------------------------------------------------------------------------
 */

static int
update_entries(const struct write_target *w, const struct datum *old, const struct datum *values,
               struct slice pk)
{
    for (uint32_t i = 0; i < w->table->index_count; i++) {
        const struct cat_index *ix = &w->table->indexes[i];
        int rc;

        if (ix->primary || !write_entry_changes(w, ix, old, values))
            continue;
        rc = delete_entry(w, ix, old, pk);
        if (rc == 0)
            rc = insert_entry(w, ix, values, pk, NULL);
        if (rc == ERR_FILE_EXISTS)
            rc = duplicate(w, ix, values);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int
delete_entries(const struct write_target *w, const struct datum *old, struct slice pk)
{
    int rc = 0;

    for (uint32_t i = 0; i < w->table->index_count && rc == 0; i++)
        if (!w->table->indexes[i].primary)
            rc = delete_entry(w, &w->table->indexes[i], old, pk);
    return rc;
}

int
write_update(const struct write_target *w, struct slice key, const struct txn_row *row,
             const struct datum *old, const struct datum *values, bool key_changes)
{
    enum write_outcome outcome;
    uint8_t room[ROW_ROOM];
    struct writer encoded;
    int rc = check_not_null(w->table, w->arena, values);

    if (rc == 0 && key_changes && w->table->primary != NULL &&
        write_entry_changes(w, w->table->primary, old, values)) {
        rc = write_delete(w, key, row, old);
        return rc != 0 ? rc : write_insert(w, values, false, &outcome, NULL, NULL);
    }
    if (rc != 0)
        return rc;
    wr_init_room(&encoded, room, sizeof room);
    rc = row_encode(&encoded, cat_layout(w->table), values);
    if (rc == 0)
        rc = txn_write(w->ctx->txn, w->table->tree, key, key_changes ? TXN_PUT : TXN_PUT_NO_KEY,
                       wr_view(&encoded), row);
    if (rc == 0)
        rc = update_entries(w, old, values, key);
    wr_fini(&encoded);
    return rc;
}

int
write_delete(const struct write_target *w, struct slice key, const struct txn_row *row,
             const struct datum *old)
{
    int rc = txn_write(w->ctx->txn, w->table->tree, key, TXN_DELETE, slice(NULL, 0), row);

    return rc != 0 ? rc : delete_entries(w, old, key);
}
