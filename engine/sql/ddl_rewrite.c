/* A table's rows written anew: ADD and DROP PRIMARY KEY, ALTER TYPE, ADD COLUMN with a default that
 * is another for each row.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/ddl_sql_int.h"
#include "engine/sql/exec_int.h"

struct rewrite {
    struct ddl_run *d;
    const struct ddl_rewrite *r;
    const struct cat_table *to;
    struct exec_ctx *ctx;
    struct arena arena; /* emptied after each row */
    struct datum *row;
    uint32_t old_count;
    struct write_tail tail;
};

/* Another row has the key: says so as CREATE UNIQUE INDEX does. */
static int
duplicate(struct rewrite *w, const struct cat_index *conflict)
{
    const struct cat_index *ix = conflict != NULL ? conflict : w->to->primary;
    const char *names = "", *values = "";

    for (uint32_t i = 0; i < ix->key_count; i++) {
        uint16_t c = ix->keys[i].column;
        const char *gap = i > 0 ? ", " : "";

        names = arena_printf(&w->arena, "%s%s%s", names, gap, w->to->columns[c].name);
        values = arena_printf(
            &w->arena, "%s%s%s", values, gap,
            type_out_str(w->to->columns[c].type, w->ctx->types, &w->arena, &w->row[c]));
    }
    (void)DIAG(ERR_UNIQUE_VIOLATION, "could not create unique index \"%s\"", ix->name);
    diag_detail("Key (%s)=(%s) is duplicated.", names, values);
    diag_object(w->to->schema, w->to->name, NULL, ix->name);
    return ERR_UNIQUE_VIOLATION;
}

static int
rewrite_cb(void *arg, struct slice key, const struct datum *values)
{
    struct rewrite *w = arg;
    struct write_target target = {
        .ctx = w->ctx, .table = w->to, .arena = &w->arena, .tail = &w->tail
    };
    const struct cat_index *conflict = NULL;
    enum write_outcome outcome = WRITE_DONE;
    struct slice existing;
    int rc = 0;

    (void)key;
    for (uint32_t i = 0; i < w->to->column_count; i++)
        w->row[i] = i < w->old_count ? values[i] : datum_null();
    if (w->r->value != NULL)
        rc = ddl_eval(w->d, w->r->value, values, &w->arena, &w->row[w->r->column]);
    if (rc == 0)
        rc = write_insert(&target, w->row, true, &outcome, &conflict, &existing);
    if (rc == 0 && outcome == WRITE_EXISTS)
        rc = duplicate(w, conflict);
    arena_reset(&w->arena);
    return rc;
}

struct ddl_key_column *
ddl_primary_of(struct ddl_run *d, const struct cat_table *t, uint32_t *count)
{
    struct ddl_key_column *keys;

    *count = t->primary != NULL ? t->primary->key_count : 0;
    keys = ARENA_ARRAY(d->arena, struct ddl_key_column, *count + 1);
    for (uint32_t i = 0; i < *count; i++)
        keys[i] =
            (struct ddl_key_column){ t->primary->keys[i].column, t->primary->keys[i].descending,
                                     t->primary->keys[i].nulls_first };
    return keys;
}

int
ddl_rewrite(struct ddl_run *d, const struct cat_table *t, const struct ddl_rewrite *r)
{
    struct rewrite w = { .d = d, .r = r, .old_count = t->column_count };
    struct cat_set *old = d->s->set;
    oid_t oid = t->oid;
    int rc = ddl_rewrite_table(d->catalog, d->txn, t, r->primary, r->primary_count, r->primary_name,
                               r->columns);

    if (rc != 0)
        return rc;
    d->s->set = NULL; /* the old description is needed until the end */
    rc = ddl_again(d, oid, &w.to);
    if (rc == 0) {
        arena_init(&w.arena, NULL);
        w.row = ARENA_ARRAY(d->arena, struct datum, w.to->column_count + 1);
        w.ctx = ddl_ctx(d);
        rc = table_each_row(w.ctx, t, rewrite_cb, &w);
        arena_fini(&w.arena);
    }
    catalog_release(old);
    return rc;
}
