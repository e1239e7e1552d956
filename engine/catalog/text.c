/* Definitions as SQL: what pg_get_indexdef and pg_get_constraintdef show.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <string.h>

#include "engine/catalog/catalog_int.h"

/* Needs quotes unless it is lower case letters, digits and underscores; keywords are left as they
 * are, which PostgreSQL would quote. */
static void
put_name(struct writer *w, const char *name)
{
    bool plain = islower((unsigned char)name[0]) || name[0] == '_';

    for (const char *p = name; *p != '\0' && plain; p++)
        plain = islower((unsigned char)*p) || isdigit((unsigned char)*p) || *p == '_';
    if (plain) {
        wr_bytes(w, name, strlen(name));
        return;
    }
    wr_u8(w, '"');
    for (const char *p = name; *p != '\0'; p++) {
        if (*p == '"')
            wr_u8(w, '"');
        wr_u8(w, (uint8_t)*p);
    }
    wr_u8(w, '"');
}

static void
put(struct writer *w, const char *s)
{
    wr_bytes(w, s, strlen(s));
}

static const char *
finish(struct arena *a, struct writer *w)
{
    const char *s = arena_strndup(a, (const char *)w->data, w->size);

    wr_fini(w);
    return s;
}

static void
put_keys(struct writer *w, const struct cat_table *t, const struct cat_index *ix, bool order)
{
    put(w, "(");
    for (uint32_t i = 0; i < ix->key_count; i++) {
        const struct cat_key_column *k = &ix->keys[i];

        if (i > 0)
            put(w, ", ");
        put_name(w, t->columns[k->column].name);
        if (!order)
            continue;
        if (k->descending)
            put(w, " DESC");
        if (k->nulls_first != k->descending)
            put(w, k->nulls_first ? " NULLS FIRST" : " NULLS LAST");
    }
    put(w, ")");
}

const char *
cat_index_def(struct arena *a, const struct cat_table *t, const struct cat_index *ix)
{
    struct writer w;

    wr_init(&w, 0);
    put(&w, ix->unique ? "CREATE UNIQUE INDEX " : "CREATE INDEX ");
    put_name(&w, ix->name);
    put(&w, " ON ");
    put_name(&w, t->schema);
    put(&w, ".");
    put_name(&w, t->name);
    put(&w, " USING btree ");
    put_keys(&w, t, ix, true);
    return finish(a, &w);
}

const char *
cat_key_def(struct arena *a, const struct cat_table *t, const struct cat_index *ix)
{
    struct writer w;

    wr_init(&w, 0);
    put(&w, ix->primary ? "PRIMARY KEY " : "UNIQUE ");
    put_keys(&w, t, ix, false);
    return finish(a, &w);
}

static void
put_columns(struct writer *w, const struct cat_table *t, const uint16_t *columns, uint32_t count)
{
    put(w, "(");
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            put(w, ", ");
        put_name(w, t->columns[columns[i]].name);
    }
    put(w, ")");
}

static void
put_action(struct writer *w, const char *when, char action)
{
    const char *what = action == CAT_FK_CASCADE       ? " CASCADE"
                       : action == CAT_FK_RESTRICT    ? " RESTRICT"
                       : action == CAT_FK_SET_NULL    ? " SET NULL"
                       : action == CAT_FK_SET_DEFAULT ? " SET DEFAULT"
                                                      : NULL;

    if (what == NULL)
        return;
    put(w, when);
    put(w, what);
}

const char *
cat_fk_def(struct arena *a, const struct cat_table *t, const struct cat_table *ref,
           const struct cat_fk *fk)
{
    struct writer w;

    wr_init(&w, 0);
    put(&w, "FOREIGN KEY ");
    put_columns(&w, t, fk->columns, fk->column_count);
    put(&w, " REFERENCES ");
    if (strcmp(ref->schema, "public") != 0) {
        put_name(&w, ref->schema);
        put(&w, ".");
    }
    put_name(&w, ref->name);
    put_columns(&w, ref, fk->ref_columns, fk->column_count);
    if (fk->match_full)
        put(&w, " MATCH FULL");
    put_action(&w, " ON UPDATE", fk->on_update);
    put_action(&w, " ON DELETE", fk->on_delete);
    if (fk->deferrable)
        put(&w, fk->initially_deferred ? " DEFERRABLE INITIALLY DEFERRED" : " DEFERRABLE");
    return finish(a, &w);
}
