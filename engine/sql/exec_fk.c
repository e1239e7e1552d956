/* Foreign keys: the referenced row exists and is held; nothing refers to what goes away.
 *
 * Checks look at the newest committed rows, not at the statement's snapshot, and hold what they
 * found with a key share, so that the reference still stands at the commit. What a later row of
 * the same statement may put right is looked at again at its end.
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

/* A row of the referenced table that has, in the columns of the key, what the referencing row asks
 * for; nothing else of it is filled. */
static int
wanted_row(const struct write_target *w, const struct cat_fk *fk, const struct cat_table *ref,
           const struct datum *values, struct datum **out)
{
    struct datum *wanted = ARENA_ARRAY(w->arena, struct datum, ref->column_count + 1);
    int rc = 0;

    for (uint32_t i = 0; i < fk->column_count && rc == 0; i++) {
        oid_t from = w->table->columns[fk->columns[i]].type;
        oid_t to = ref->columns[fk->ref_columns[i]].type;
        struct datum *d = &wanted[fk->ref_columns[i]];

        *d = values[fk->columns[i]];
        if (from != to && !d->is_null)
            rc = cast_value(&func_set_builtin, NULL, w->arena, from, to, -1, CAST_ASSIGNMENT,
                            &values[fk->columns[i]], d);
    }
    *out = wanted;
    return rc;
}

static const struct cat_index *
index_behind(const struct cat_fk *fk, const struct cat_table *ref)
{
    for (uint32_t i = 0; i < ref->index_count; i++)
        if (ref->indexes[i].oid == fk->ref_index_oid)
            return &ref->indexes[i];
    return NULL;
}

/* ---- is there such a row?
 * ----------------------------------------------------------------------- */

/* Under REPEATABLE READ the newest state of a key is refused where the snapshot shows another one
 * (rc). A reference may rest on a key that both have, whatever else of the row has changed; what
 * only came after the snapshot is not there. */
static int
settle_changed(const struct write_target *w, tree_id_t tree, struct slice key, int rc,
               struct txn_row *row)
{
    struct slice shown;
    int get_rc;

    if (rc != ERR_SERIALIZATION_FAILURE)
        return rc;
    get_rc = txn_get(w->ctx->txn, tree, key, NULL, &shown);
    if (get_rc != 0 && get_rc != ERR_NOT_FOUND)
        return get_rc;
    if (get_rc == 0 && !row->found)
        return rc;
    row->found = get_rc == 0;
    return 0;
}

/* The row behind an entry of a unique index may have changed before it could be held. *found false
 * with ERR_AGAIN: look at the entry again. */
static int
hold_row(const struct write_target *w, const struct cat_fk *fk, const struct cat_table *ref,
         const struct datum *wanted, struct slice key, bool through_entry, bool *found)
{
    struct datum *values;
    struct txn_row row;
    int lock_rc = txn_lock_row(w->ctx->txn, ref->tree, key, ROW_KEY_SHARE, LOCK_WAIT, &row);
    int rc = settle_changed(w, ref->tree, key, lock_rc, &row);

    if (through_entry && rc == 0 && lock_rc != 0 && !row.found)
        return lock_rc; /* the snapshot has another row behind the entry */
    *found = rc == 0 && row.found;
    if (!through_entry || rc != 0)
        return rc;
    if (!*found)
        return ERR_AGAIN;
    if (row.value.data == NULL)
        return 0; /* beside an open update that leaves the key alone */
    values = ARENA_ARRAY(w->arena, struct datum, ref->column_count + 1);
    rc = table_decode(ref, key, row.value, w->arena, values);
    if (rc == 0)
        *found = columns_equal(ref, fk->ref_columns, fk->column_count, values, wanted);
    return rc == 0 && !*found ? ERR_AGAIN : rc;
}

/* Holds the row that has the key, if there is one. */
static int
hold_referenced(const struct write_target *w, const struct cat_fk *fk, const struct cat_table *ref,
                const struct datum *wanted, bool *found)
{
    const struct cat_index *ix = index_behind(fk, ref);
    struct writer entry;
    struct txn_row row;
    struct slice key;
    int rc;

    *found = false;
    if (ix == NULL)
        return DIAG(ERR_INTERNAL, "the index behind \"%s\" does not exist", fk->name);
    wr_init(&entry, 0);
    for (uint32_t k = 0; k < ix->key_count; k++)
        key_put(&entry, &ix->parts[k], &wanted[ix->keys[k].column]);
    rc = wr_finish(&entry);
    if (rc == 0 && ix->primary)
        rc = hold_row(w, fk, ref, wanted, wr_view(&entry), false, found);
    while (rc == 0 && !ix->primary) {
        rc = txn_read_newest(w->ctx->txn, ix->tree, wr_view(&entry), LOCK_WAIT, &row);
        rc = settle_changed(w, ix->tree, wr_view(&entry), rc, &row);
        if (rc != 0 || !row.found)
            break;
        key = slice(arena_memdup(w->arena, row.value.data, row.value.size), row.value.size);
        rc = hold_row(w, fk, ref, wanted, key, true, found);
        if (rc != ERR_AGAIN)
            break;
        rc = 0;
    }
    wr_fini(&entry);
    return rc;
}

/* ---- checks put off to the end of the statement
 * ------------------------------------------------ */

/* A key that was missing, or was still referred to, when its row was written. */
struct fk_check {
    struct fk_check *next;
    const struct cat_fk *fk;
    const struct cat_table *table, *ref;
    bool is_reference;          /* a row that refers was written; else a referenced one went */
    const struct datum *values; /* the written row of `table`, or NULL */
    const struct datum *wanted; /* the row of `ref` */
};

void
fk_later_init(struct fk_later *l, struct budget *memory)
{
    arena_init(&l->arena, memory);
    l->first = NULL;
    l->last = &l->first;
}

void
fk_later_fini(struct fk_later *l)
{
    arena_fini(&l->arena);
}

static const struct datum *
copy_columns(struct arena *a, const struct cat_table *t, const uint16_t *columns, uint32_t count,
             const struct datum *values)
{
    struct datum *copy = ARENA_ARRAY(a, struct datum, t->column_count + 1);

    for (uint32_t i = 0; i < count; i++) {
        enum type_rep rep = (enum type_rep)type_get(t->columns[columns[i]].type)->rep;

        copy[columns[i]] = datum_copy(a, &values[columns[i]], rep);
    }
    return copy;
}

static void
put_off(const struct write_target *w, const struct fk_check *check)
{
    const struct cat_fk *fk = check->fk;
    struct fk_check *c = ARENA_NEW(&w->later->arena, struct fk_check);

    *c = *check;
    c->wanted =
        copy_columns(&w->later->arena, c->ref, fk->ref_columns, fk->column_count, c->wanted);
    if (c->values != NULL)
        c->values =
            copy_columns(&w->later->arena, c->table, fk->columns, fk->column_count, c->values);
    *w->later->last = c;
    w->later->last = &c->next;
}

static int
not_present(const struct write_target *w, const struct fk_check *c)
{
    const char *names, *texts;

    describe_key(w, c->table, c->fk->columns, c->fk->column_count, c->values, &names, &texts);
    (void)DIAG(ERR_FOREIGN_KEY_VIOLATION,
               "insert or update on table \"%s\" violates foreign key constraint \"%s\"",
               c->table->name, c->fk->name);
    diag_detail("Key (%s)=(%s) is not present in table \"%s\".", names, texts, c->ref->name);
    diag_object(c->table->schema, c->table->name, NULL, c->fk->name);
    return ERR_FOREIGN_KEY_VIOLATION;
}

static int
still_referenced(const struct write_target *w, const struct fk_check *c)
{
    const char *names, *texts;

    describe_key(w, c->ref, c->fk->ref_columns, c->fk->column_count, c->wanted, &names, &texts);
    (void)DIAG(ERR_FOREIGN_KEY_VIOLATION,
               "update or delete on table \"%s\" violates foreign key constraint \"%s\" on table "
               "\"%s\"",
               c->ref->name, c->fk->name, c->table->name);
    diag_detail("Key (%s)=(%s) is still referenced from table \"%s\".", names, texts,
                c->table->name);
    diag_object(c->table->schema, c->table->name, NULL, c->fk->name);
    return ERR_FOREIGN_KEY_VIOLATION;
}

/* ---- the referencing side ----------------------------------------------------------------------
 */

/* The key may still appear: its table is the one that the statement writes, or a cascade is under
 * way. */
static int
check_one(const struct write_target *w, const struct cat_fk *fk, const struct datum *values)
{
    struct fk_check c = { .fk = fk, .table = w->table, .is_reference = true, .values = values };
    struct datum *wanted;
    bool found;
    int rc = cat_find_table_by_oid(w->ctx->set, w->ctx->txn, fk->ref_oid, &c.ref);

    if (rc == 0 && c.ref == NULL)
        rc = DIAG(ERR_INTERNAL, "the table that \"%s\" refers to does not exist", fk->name);
    if (rc == 0)
        rc = wanted_row(w, fk, c.ref, values, &wanted);
    if (rc == 0)
        rc = hold_referenced(w, fk, c.ref, wanted, &found);
    if (rc != 0 || found)
        return rc;
    c.wanted = wanted;
    if (w->later == NULL || (fk->ref_oid != w->table->oid && !w->in_cascade))
        return not_present(w, &c);
    put_off(w, &c);
    return 0;
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

static int
refers(const struct referrers *r, const struct datum *values, bool *yes)
{
    struct datum *wanted;
    int rc;

    *yes = false;
    if (any_null(r->fk->columns, r->fk->column_count, values))
        return 0;
    rc = wanted_row(r->w, r->fk, r->ref, values, &wanted);
    if (rc == 0)
        *yes = columns_equal(r->ref, r->fk->ref_columns, r->fk->column_count, wanted, r->old);
    return rc;
}

static int
note_referrer(void *arg, struct slice key, const struct datum *values)
{
    struct referrers *r = arg;
    struct arena_mark mark = arena_mark(r->w->arena);
    bool yes;
    int rc = refers(r, values, &yes);

    arena_rewind(r->w->arena, mark);
    if (rc != 0 || !yes)
        return rc;
    if (r->found.count == r->found.cap) {
        r->found.cap = r->found.cap != 0 ? 2 * r->found.cap : 16;
        r->found.key = xrealloc(r->found.key, r->found.cap * sizeof *r->found.key);
    }
    r->found.key[r->found.count++] = slice(arena_memdup(r->w->arena, key.data, key.size), key.size);
    return r->only_first ? ERR_END : 0;
}

/* Through an index that begins with one of the referencing columns where there is one, else over
 * the whole table. */
static int
find_referrers(struct referrers *r)
{
    const struct cat_table *t = r->w->table;
    const struct cat_fk *fk = r->fk;
    int rc;

    for (uint32_t i = 0; i < t->index_count * fk->column_count; i++) {
        const struct cat_index *ix = &t->indexes[i / fk->column_count];
        uint16_t column = fk->columns[i % fk->column_count];
        uint16_t ref_column = fk->ref_columns[i % fk->column_count];

        if (ix->key_count == 0 || ix->keys[0].column != column ||
            t->columns[column].type != r->ref->columns[ref_column].type)
            continue;
        rc = table_each_row_at(r->w->ctx, t, ix, &r->old[ref_column], note_referrer, r);
        return rc == ERR_END ? 0 : rc;
    }
    rc = table_each_row(r->w->ctx, t, note_referrer, r);
    return rc == ERR_END ? 0 : rc;
}

/* CASCADE, SET NULL: applied to one referring row. */
static int
apply_action(const struct referrers *r, struct slice key, char action, const struct datum *values)
{
    const struct cat_table *t = r->w->table;
    struct datum *old = ARENA_ARRAY(r->w->arena, struct datum, t->column_count + 1);
    struct datum *new = ARENA_ARRAY(r->w->arena, struct datum, t->column_count + 1);
    bool deletes = action == CAT_FK_CASCADE && values == NULL, yes = true;
    struct txn_row row;
    int rc;

    do {
        rc = txn_read_newest(r->w->ctx->txn, t->tree, key, LOCK_WAIT, &row);
        if (rc != 0 || !row.found)
            return rc;
        rc = table_decode(t, key, row.value, r->w->arena, old);
        if (rc == 0)
            rc = refers(r, old, &yes);
        if (rc != 0 || !yes)
            return rc;
        memcpy(new, old, t->column_count * sizeof *new);
        for (uint32_t i = 0; i < r->fk->column_count && rc == 0; i++) {
            struct datum *d = &new[r->fk->columns[i]];
            oid_t from = r->ref->columns[r->fk->ref_columns[i]].type;
            oid_t to = t->columns[r->fk->columns[i]].type;

            *d = action == CAT_FK_CASCADE && values != NULL ? values[r->fk->ref_columns[i]]
                                                            : datum_null();
            if (from != to && !d->is_null)
                rc = cast_value(&func_set_builtin, NULL, r->w->arena, from, to, -1, CAST_ASSIGNMENT,
                                &values[r->fk->ref_columns[i]], d);
        }
        if (rc == 0)
            rc = deletes ? write_delete(r->w, key, &row, old)
                         : write_update(r->w, key, &row, old, new, true);
    } while (rc == ERR_AGAIN);
    if (rc == 0 && !deletes)
        rc = fk_check_row(r->w, old, new);
    if (rc == 0)
        rc = fk_check_referenced(r->w, old, deletes ? NULL : new);
    return rc;
}

/* What NO ACTION finds may be gone at the end of the statement, or the key there again: rows of the
 * same table go with others, keys move up one by one, cascades reach a table twice. */
static bool
may_be_cured(const struct write_target *w, const struct cat_fk *fk, const struct datum *values)
{
    if (w->later == NULL)
        return false;
    if (values != NULL || fk->table_oid == w->table->oid || w->in_cascade)
        return true;
    for (uint32_t i = 0; i < w->table->ref_count; i++)
        if (w->table->refs[i].on_delete != CAT_FK_NO_ACTION &&
            w->table->refs[i].on_delete != CAT_FK_RESTRICT)
            return true;
    return false;
}

static int
refuse(const struct write_target *w, const struct referrers *r, char action,
       const struct datum *values)
{
    struct fk_check c = { .fk = r->fk, .table = r->w->table, .ref = r->ref, .wanted = r->old };

    if (action == CAT_FK_RESTRICT || !may_be_cured(w, r->fk, values))
        return still_referenced(w, &c);
    put_off(w, &c);
    return 0;
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
        return DIAG(ERR_NOT_SUPPORTED, "ON DELETE or UPDATE SET DEFAULT is not supported");
    child.in_cascade = true;
    r.only_first = action == CAT_FK_NO_ACTION || action == CAT_FK_RESTRICT;
    if (rc == 0)
        rc = find_referrers(&r);
    if (rc == 0 && r.found.count > 0 && r.only_first)
        rc = refuse(w, &r, action, values);
    for (uint32_t i = 0; i < r.found.count && rc == 0 && !r.only_first; i++)
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

/* A key that is there, or that no row refers to, is no violation, however it came to that. */
static int
check_again(const struct write_target *w, const struct fk_check *c)
{
    struct write_target child = { .ctx = w->ctx, .table = c->table, .arena = w->arena };
    struct referrers r = {
        .w = &child, .fk = c->fk, .ref = c->ref, .old = c->wanted, .only_first = true
    };
    bool found;
    int rc = hold_referenced(w, c->fk, c->ref, c->wanted, &found);

    if (rc != 0 || found)
        return rc;
    rc = find_referrers(&r);
    found = r.found.count > 0;
    xfree(r.found.key);
    if (rc != 0 || !found)
        return rc;
    return c->is_reference ? not_present(w, c) : still_referenced(w, c);
}

int
fk_check_later(const struct write_target *w)
{
    int rc = 0;

    for (const struct fk_check *c = w->later->first; c != NULL && rc == 0; c = c->next) {
        struct arena_mark mark = arena_mark(w->arena);

        rc = check_again(w, c);
        arena_rewind(w->arena, mark);
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
    struct verify v = { { .ctx = ctx, .table = table }, fk };
    struct arena a;
    int rc;

    arena_init(&a, ctx->memory);
    v.w.arena = &a;
    rc = table_each_row(ctx, table, verify_row, &v);
    arena_fini(&a);
    return rc;
}
