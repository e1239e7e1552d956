/* Foreign keys: the referenced row exists and is held; nothing refers to what goes away.
 *
 * Checks look at the newest committed rows, not at the statement's snapshot, and hold what they
 * found with a key share, so that the reference still stands at the commit.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/sql/exec_int.h"

static bool
any_null(const uint16_t *columns, uint32_t count, const struct datum *values)
{
    for (uint32_t i = 0; i < count; i++)
        if (values[columns[i]].is_null)
            return true;
    return false;
}

static bool
columns_equal(const struct cat_table *t, const uint16_t *columns, uint32_t count,
              const struct datum *a, const struct datum *b)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct datum *x = &a[columns[i]], *y = &b[columns[i]];

        if (x->is_null != y->is_null)
            return false;
        if (!x->is_null && type_cmp(t->columns[columns[i]].type, x, y) != 0)
            return false;
    }
    return true;
}

static void
describe_key(const struct write_target *w, const struct cat_table *t, const uint16_t *columns,
             uint32_t count, const struct datum *values, const char **names, const char **texts)
{
    struct writer n, v;

    wr_init(&n, 0);
    wr_init(&v, 0);
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0) {
            wr_bytes(&n, ", ", 2);
            wr_bytes(&v, ", ", 2);
        }
        wr_bytes(&n, t->columns[columns[i]].name, strlen(t->columns[columns[i]].name));
        type_out(t->columns[columns[i]].type, w->ctx->types, &values[columns[i]], &v);
    }
    *names = arena_strndup(w->arena, (const char *)n.data, n.size);
    *texts = arena_strndup(w->arena, (const char *)v.data, v.size);
    wr_fini(&n);
    wr_fini(&v);
}

/* ---- the referencing side ----------------------------------------------------------------------
 */

/* The key of the referenced row in the tree that is unique over those columns. */
static int
reference_key(const struct cat_fk *fk, const struct cat_table *table, const struct cat_table *ref,
              const struct cat_index *ix, const struct datum *values, struct arena *a,
              struct writer *key)
{
    for (uint32_t k = 0; k < ix->key_count; k++) {
        for (uint32_t i = 0; i < fk->column_count; i++) {
            const struct datum *d = &values[fk->columns[i]];
            struct datum cast = *d;
            oid_t from = table->columns[fk->columns[i]].type;
            oid_t to = ref->columns[fk->ref_columns[i]].type;
            int rc = 0;

            if (fk->ref_columns[i] != ix->keys[k].column)
                continue;
            if (from != to)
                rc =
                    cast_value(&func_set_builtin, NULL, a, from, to, -1, CAST_ASSIGNMENT, d, &cast);
            if (rc != 0)
                return rc;
            key_put(key, &ix->parts[k], &cast);
        }
    }
    return wr_finish(key);
}

static int
lock_referenced(const struct write_target *w, const struct cat_table *ref,
                const struct cat_index *ix, struct slice key, bool *found)
{
    struct txn_row row;
    int rc;

    if (!ix->primary) {
        rc = txn_read_newest(w->ctx->txn, ix->tree, key, LOCK_WAIT, &row);
        *found = rc == 0 && row.found;
        if (!*found)
            return rc;
        key = slice(arena_memdup(w->arena, row.value.data, row.value.size), row.value.size);
    }
    rc = txn_lock_row(w->ctx->txn, ref->tree, key, ROW_KEY_SHARE, LOCK_WAIT, &row);
    *found = rc == 0 && row.found;
    return rc;
}

static int
check_one(const struct write_target *w, const struct cat_fk *fk, const struct datum *values)
{
    const struct cat_table *ref;
    const struct cat_index *ix = NULL;
    const char *names, *texts;
    struct writer key;
    bool found = false;
    int rc = cat_find_table_by_oid(w->ctx->set, w->ctx->txn, fk->ref_oid, &ref);

    if (rc == 0 && ref == NULL)
        rc = DIAG(ERR_INTERNAL, "the table that \"%s\" refers to does not exist", fk->name);
    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < ref->index_count; i++)
        if (ref->indexes[i].oid == fk->ref_index_oid)
            ix = &ref->indexes[i];
    if (ix == NULL)
        return DIAG(ERR_INTERNAL, "the index behind \"%s\" does not exist", fk->name);
    wr_init(&key, 0);
    rc = reference_key(fk, w->table, ref, ix, values, w->arena, &key);
    if (rc == 0)
        rc = lock_referenced(w, ref, ix, wr_view(&key), &found);
    wr_fini(&key);
    if (rc != 0 || found)
        return rc;
    describe_key(w, w->table, fk->columns, fk->column_count, values, &names, &texts);
    (void)DIAG(ERR_FOREIGN_KEY_VIOLATION,
               "insert or update on table \"%s\" violates foreign key constraint \"%s\"",
               w->table->name, fk->name);
    diag_detail("Key (%s)=(%s) is not present in table \"%s\".", names, texts, ref->name);
    diag_object(w->table->schema, w->table->name, NULL, fk->name);
    return ERR_FOREIGN_KEY_VIOLATION;
}

int
fk_check_row(const struct write_target *w, const struct datum *old, const struct datum *values)
{
    for (uint32_t i = 0; i < w->table->fk_count; i++) {
        const struct cat_fk *fk = &w->table->fks[i];
        int rc;

        if (any_null(fk->columns, fk->column_count, values))
            continue;
        if (old != NULL && columns_equal(w->table, fk->columns, fk->column_count, old, values))
            continue;
        rc = check_one(w, fk, values);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- the referenced side ------------------------------------------------------------------------
 */

struct referrers {
    const struct write_target *w; /* of the referencing table */
    const struct cat_fk *fk;
    const struct cat_table *ref;
    const struct datum *old; /* the referenced row */
    bool only_first;         /* one is enough to refuse */
    struct row_keys {
        struct slice *key;
        uint32_t count, cap;
    } found;
};

static bool
refers(const struct referrers *r, const struct datum *values)
{
    for (uint32_t i = 0; i < r->fk->column_count; i++) {
        const struct datum *x = &values[r->fk->columns[i]], *y = &r->old[r->fk->ref_columns[i]];

        if (x->is_null || y->is_null ||
            type_cmp(r->w->table->columns[r->fk->columns[i]].type, x, y) != 0)
            return false;
    }
    return true;
}

static int
note_referrer(void *arg, struct slice key, const struct datum *values)
{
    struct referrers *r = arg;

    if (!refers(r, values))
        return 0;
    if (r->found.count == r->found.cap) {
        r->found.cap = r->found.cap != 0 ? 2 * r->found.cap : 16;
        r->found.key = xrealloc(r->found.key, r->found.cap * sizeof *r->found.key);
    }
    r->found.key[r->found.count++] = slice(arena_memdup(r->w->arena, key.data, key.size), key.size);
    return r->only_first ? ERR_END : 0;
}

/* Through an index that begins with the referencing columns where there is one, else over the whole
 * table. */
static int
find_referrers(struct referrers *r)
{
    const struct cat_table *t = r->w->table;

    for (uint32_t i = 0; i < t->index_count; i++) {
        const struct cat_index *ix = &t->indexes[i];

        if (ix->key_count >= 1 && r->fk->column_count == 1 &&
            ix->keys[0].column == r->fk->columns[0])
            return table_each_row_at(r->w->ctx, t, ix, &r->old[r->fk->ref_columns[0]],
                                     note_referrer, r);
    }
    return table_each_row(r->w->ctx, t, note_referrer, r);
}

static int
still_referenced(const struct referrers *r)
{
    const char *names, *texts;

    describe_key(r->w, r->ref, r->fk->ref_columns, r->fk->column_count, r->old, &names, &texts);
    (void)DIAG(ERR_FOREIGN_KEY_VIOLATION,
               "update or delete on table \"%s\" violates foreign key constraint \"%s\" on table "
               "\"%s\"",
               r->ref->name, r->fk->name, r->w->table->name);
    diag_detail("Key (%s)=(%s) is still referenced from table \"%s\".", names, texts,
                r->w->table->name);
    diag_object(r->w->table->schema, r->w->table->name, NULL, r->fk->name);
    return ERR_FOREIGN_KEY_VIOLATION;
}

/* CASCADE, SET NULL, SET DEFAULT (null defaults): applied to one referring row. */
static int
apply_action(const struct referrers *r, struct slice key, char action, const struct datum *values)
{
    const struct cat_table *t = r->w->table;
    struct datum *old = ARENA_ARRAY(r->w->arena, struct datum, t->column_count + 1);
    struct datum *new = ARENA_ARRAY(r->w->arena, struct datum, t->column_count + 1);
    struct txn_row row;
    int rc;

    do {
        rc = txn_read_newest(r->w->ctx->txn, t->tree, key, LOCK_WAIT, &row);
        if (rc != 0 || !row.found)
            return rc;
        rc = table_decode(t, key, row.value, r->w->arena, old);
        if (rc != 0 || !refers(r, old))
            return rc;
        memcpy(new, old, t->column_count * sizeof *new);
        for (uint32_t i = 0; i < r->fk->column_count; i++)
            new[r->fk->columns[i]] = action == CAT_FK_CASCADE &&values != NULL
                                         ? values[r->fk->ref_columns[i]]
                                         : datum_null();
        if (action == CAT_FK_CASCADE && values == NULL)
            rc = write_delete(r->w, key, &row, old);
        else
            rc = write_update(r->w, key, &row, old, new, true);
    } while (rc == ERR_AGAIN);
    if (rc == 0)
        rc =
            fk_check_referenced(r->w, old, action == CAT_FK_CASCADE && values == NULL ? NULL : new);
    return rc;
}

static int
check_referrers(const struct write_target *w, const struct cat_fk *fk, const struct datum *old,
                const struct datum *values)
{
    char action = values == NULL ? fk->on_delete : fk->on_update;
    struct write_target child = *w;
    struct referrers r = { .w = &child, .fk = fk, .ref = w->table, .old = old };
    int rc = cat_find_table_by_oid(w->ctx->set, w->ctx->txn, fk->table_oid, &child.table);

    if (rc == 0 && child.table == NULL)
        return 0;
    if (rc == 0 && action == CAT_FK_SET_DEFAULT)
        return DIAG(ERR_NOT_SUPPORTED, "ON DELETE or UPDATE SET DEFAULT is not supported yet");
    r.only_first = action == CAT_FK_NO_ACTION || action == CAT_FK_RESTRICT;
    if (rc == 0)
        rc = find_referrers(&r);
    if (rc == ERR_END)
        rc = 0;
    if (rc == 0 && r.found.count > 0 && r.only_first)
        rc = still_referenced(&r);
    for (uint32_t i = 0; i < r.found.count && rc == 0; i++)
        rc = apply_action(&r, r.found.key[i], action, values);
    xfree(r.found.key);
    return rc;
}

int
fk_check_referenced(const struct write_target *w, const struct datum *old,
                    const struct datum *values)
{
    int rc = fiber_check_depth();

    for (uint32_t i = 0; i < w->table->ref_count && rc == 0; i++) {
        const struct cat_fk *fk = &w->table->refs[i];

        if (any_null(fk->ref_columns, fk->column_count, old))
            continue;
        if (values != NULL &&
            columns_equal(w->table, fk->ref_columns, fk->column_count, old, values))
            continue;
        rc = check_referrers(w, fk, old, values);
    }
    return rc;
}

/* ---- ADD CONSTRAINT ----------------------------------------------------------------------------
 */

struct verify {
    struct write_target w;
    const struct cat_fk *fk;
};

static int
verify_row(void *arg, struct slice key, const struct datum *values)
{
    struct verify *v = arg;
    struct arena_mark m = arena_mark(v->w.arena);
    int rc = 0;

    (void)key;
    if (!any_null(v->fk->columns, v->fk->column_count, values))
        rc = check_one(&v->w, v->fk, values);
    arena_rewind(v->w.arena, m);
    return rc;
}

int
table_verify_fk(const struct exec_ctx *ctx, const struct cat_table *table, const struct cat_fk *fk)
{
    struct verify v = { { ctx, table, NULL }, fk };
    struct arena a;
    int rc;

    arena_init(&a, ctx->memory);
    v.w.arena = &a;
    rc = table_each_row(ctx, table, verify_row, &v);
    arena_fini(&a);
    return rc;
}
