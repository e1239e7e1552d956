/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_catalog.h"

#include <string.h>

#include "engine/sql/bind.h"
#include "engine/sql/parse.h"

struct cat_table *
fake_catalog_table(struct fake_catalog *c, const char *name)
{
    for (int i = 0; i < c->count; i++)
        if (strcmp(c->tables[i]->name, name) == 0)
            return c->tables[i];
    return NULL;
}

static int
fake_find(void *arg, const char *schema, const char *name, const struct cat_table **out,
          bool *schema_exists)
{
    struct fake_catalog *c = arg;

    *schema_exists = schema == NULL || strcmp(schema, "public") == 0;
    *out = *schema_exists ? fake_catalog_table(c, name) : NULL;
    return 0;
}

static int
fake_find_by_oid(void *arg, oid_t oid, const struct cat_table **out)
{
    struct fake_catalog *c = arg;

    *out = NULL;
    for (int i = 0; i < c->count; i++)
        if (c->tables[i]->oid == oid)
            *out = c->tables[i];
    return 0;
}

void
fake_catalog_init(struct fake_catalog *c, struct arena *arena)
{
    *c = (struct fake_catalog){ .arena = arena };
    c->binder = (struct binder_catalog){ fake_find, NULL, fake_find_by_oid, c };
}

static uint16_t
column_index(const struct cat_table *t, const char *name)
{
    for (uint32_t i = 0; i < t->column_count; i++)
        if (strcmp(t->columns[i].name, name) == 0)
            return (uint16_t)i;
    CHECK(!"no such column");
    return 0;
}

static struct cat_index *
add_index(struct fake_catalog *c, struct cat_table *t, const char *name, bool unique, bool primary,
          uint32_t key_count)
{
    struct cat_index *all = ARENA_ARRAY(c->arena, struct cat_index, t->index_count + 1);
    struct cat_index *ix = &all[t->index_count];

    if (t->index_count > 0)
        memcpy(all, t->indexes, sizeof *all * t->index_count);
    ix->oid = t->oid + 1000 + t->index_count;
    ix->name = name;
    ix->tree = primary ? 0 : ix->oid;
    ix->unique = unique;
    ix->primary = primary;
    ix->valid = true;
    ix->key_count = key_count;
    ix->keys = ARENA_ARRAY(c->arena, struct cat_key_column, key_count);
    t->indexes = all;
    t->index_count++;
    t->primary = NULL;
    for (uint32_t i = 0; i < t->index_count; i++)
        if (all[i].primary)
            t->primary = &all[i];
    return ix;
}

static void
add_key(struct fake_catalog *c, struct cat_table *t, const struct ast_constraint *k,
        const char *column)
{
    bool primary = k->constraint == AST_CON_PRIMARY;
    uint32_t count = column != NULL ? 1 : (uint32_t)ast_count(k->columns);
    const char *name = k->name != NULL
                           ? arena_strdup(c->arena, k->name)
                           : arena_printf(c->arena, "%s_%s", t->name, primary ? "pkey" : "key");
    struct cat_index *ix = add_index(c, t, name, true, primary, count);

    for (uint32_t i = 0; i < count; i++) {
        const char *n = column != NULL ? column : AST_CONST(ast_name, k->columns->item[i])->name;

        ix->keys[i].column = column_index(t, n);
        if (primary)
            t->columns[ix->keys[i].column].not_null = true;
    }
}

static void
add_fk(struct fake_catalog *c, struct cat_table *t, const struct ast_constraint *k,
       const char *column)
{
    struct cat_table *ref = fake_catalog_table(c, k->ref->name);
    uint32_t count = column != NULL ? 1 : (uint32_t)ast_count(k->columns);
    struct cat_fk *all = ARENA_ARRAY(c->arena, struct cat_fk, t->fk_count + 1), *fk, *refs;

    CHECK(ref != NULL);
    if (t->fk_count > 0)
        memcpy(all, t->fks, sizeof *all * t->fk_count);
    fk = &all[t->fk_count++];
    t->fks = all;
    *fk = (struct cat_fk){ .oid = t->oid + 500 + t->fk_count,
                           .name = arena_printf(c->arena, "%s_fkey%u", t->name, t->fk_count),
                           .table_oid = t->oid,
                           .ref_oid = ref->oid,
                           .column_count = count,
                           .on_delete = CAT_FK_NO_ACTION,
                           .on_update = CAT_FK_NO_ACTION };
    fk->columns = ARENA_ARRAY(c->arena, uint16_t, count);
    fk->ref_columns = ARENA_ARRAY(c->arena, uint16_t, count);
    for (uint32_t i = 0; i < count; i++) {
        const char *n = column != NULL ? column : AST_CONST(ast_name, k->columns->item[i])->name;

        fk->columns[i] = column_index(t, n);
        fk->ref_columns[i] =
            k->ref_columns == NULL
                ? ref->primary->keys[i].column
                : column_index(ref, AST_CONST(ast_name, k->ref_columns->item[i])->name);
    }
    refs = ARENA_ARRAY(c->arena, struct cat_fk, ref->ref_count + 1);
    if (ref->ref_count > 0)
        memcpy(refs, ref->refs, sizeof *refs * ref->ref_count);
    refs[ref->ref_count++] = *fk;
    ref->refs = refs;
}

static void
add_check(struct fake_catalog *c, struct cat_table *t, const struct ast_constraint *k,
          const char *sql)
{
    struct cat_check *all = ARENA_ARRAY(c->arena, struct cat_check, t->check_count + 1);

    if (t->check_count > 0)
        memcpy(all, t->checks, sizeof *all * t->check_count);
    all[t->check_count++] = (struct cat_check){
        .oid = t->oid + 700 + t->check_count,
        .name = arena_printf(c->arena, "%s_check%u", t->name, t->check_count),
        .text = arena_strndup(c->arena, sql + k->expr_at, (size_t)(k->expr_end - k->expr_at)),
    };
    t->checks = all;
}

static void
add_constraint(struct fake_catalog *c, struct cat_table *t, const struct ast_constraint *k,
               const char *column, const char *sql)
{
    struct cat_column *col = column == NULL ? NULL : &t->columns[column_index(t, column)];

    switch (k->constraint) {
    case AST_CON_NOT_NULL:
        col->not_null = true;
        break;
    case AST_CON_DEFAULT:
        col->default_text =
            arena_strndup(c->arena, sql + k->expr_at, (size_t)(k->expr_end - k->expr_at));
        break;
    case AST_CON_IDENTITY:
        col->identity = k->identity_always ? 'a' : 'd';
        break;
    case AST_CON_PRIMARY:
    case AST_CON_UNIQUE:
        add_key(c, t, k, column);
        break;
    case AST_CON_FOREIGN:
        add_fk(c, t, k, column);
        break;
    case AST_CON_CHECK:
        add_check(c, t, k, sql);
        break;
    default:
        break;
    }
}

static struct cat_table *
new_table(struct fake_catalog *c, const char *name, enum cat_kind kind)
{
    struct cat_table *t = ARENA_NEW(c->arena, struct cat_table);

    CHECK(c->count < FAKE_TABLES_MAX);
    t->oid = (oid_t)(20000 + 10000 * c->count);
    t->kind = kind;
    t->schema = "public";
    t->schema_oid = CAT_NAMESPACE_PUBLIC;
    t->name = arena_strdup(c->arena, name);
    t->tree = 1000 + (tree_id_t)c->count;
    t->version = 1;
    t->change = 1;
    t->row_count = -1;
    c->tables[c->count++] = t;
    return t;
}

static void
create_table(struct fake_catalog *c, const struct ast_create_table *s, const char *sql)
{
    struct cat_table *t = new_table(c, s->relation->name, CAT_TABLE);
    int32_t count = ast_count(s->elements);

    t->columns = ARENA_ARRAY(c->arena, struct cat_column, count + 1);
    for (int32_t i = 0; i < count; i++) {
        const struct ast_column_def *d = AST_CONST(ast_column_def, s->elements->item[i]);
        struct cat_column *col = &t->columns[t->column_count];
        struct sql_type type;

        if (d->node.kind != AST_COLUMN_DEF)
            continue;
        CHECK(sql_bind_type(slice_str(sql), d->type, &type) == 0);
        col->name = arena_strdup(c->arena, d->name);
        col->type = type.oid;
        col->typmod = type.typmod;
        col->attnum = (int16_t)++t->column_count;
    }
    for (int32_t i = 0; i < count; i++) {
        const struct ast_column_def *d = AST_CONST(ast_column_def, s->elements->item[i]);

        if (d->node.kind == AST_CONSTRAINT)
            add_constraint(c, t, AST_CONST(ast_constraint, s->elements->item[i]), NULL, sql);
        for (int32_t k = 0; d->node.kind == AST_COLUMN_DEF && k < ast_count(d->constraints); k++)
            add_constraint(c, t, AST_CONST(ast_constraint, d->constraints->item[k]), d->name, sql);
    }
}

static void
create_index(struct fake_catalog *c, const struct ast_create_index *s)
{
    struct cat_table *t = fake_catalog_table(c, s->relation->name);
    struct cat_index *ix;

    CHECK(t != NULL);
    ix = add_index(c, t, arena_strdup(c->arena, s->name), s->unique, false,
                   (uint32_t)s->columns->count);
    for (int32_t i = 0; i < s->columns->count; i++) {
        const struct ast_index_column *col = AST_CONST(ast_index_column, s->columns->item[i]);

        ix->keys[i].column = column_index(t, col->column);
        ix->keys[i].descending = col->dir == AST_SORT_DESC;
        ix->keys[i].nulls_first = col->nulls == AST_NULLS_DEFAULT ? ix->keys[i].descending
                                                                  : col->nulls == AST_NULLS_FIRST;
    }
}

void
fake_catalog_run(struct fake_catalog *c, const char *sql)
{
    struct ast_list *list;

    if (sql_parse(c->arena, slice_str(sql), &list) != 0)
        PANIC("%s: %s", sql, diag_last()->message);
    for (int32_t i = 0; i < list->count; i++) {
        const struct ast *body = AST_CONST(ast_statement, list->item[i])->body;
        const struct ast_create_view *v = AST_CONST(ast_create_view, body);

        if (body->kind == AST_CREATE_TABLE) {
            create_table(c, AST_CONST(ast_create_table, body), sql);
        } else if (body->kind == AST_CREATE_INDEX) {
            create_index(c, AST_CONST(ast_create_index, body));
        } else if (body->kind == AST_CREATE_VIEW) {
            struct cat_table *t = new_table(c, v->relation->name, CAT_VIEW);

            t->view_text =
                arena_strndup(c->arena, sql + v->query_at, (size_t)(v->query_end - v->query_at));
        } else {
            PANIC("%s: not for a fake catalogue", sql);
        }
    }
}
