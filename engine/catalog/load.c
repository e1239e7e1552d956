/* The description of a user's table, built from its catalogue rows.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/checksum.h"
#include "engine/catalog/catalog_int.h"
#include "engine/types/array.h"

struct loader {
    struct catalog *catalog;
    struct txn *txn;
    const struct read_moment *moment;
    struct arena *arena; /* the description's */
    struct cat_table *table;
};

static const char *
text_of(struct arena *a, const struct datum *d)
{
    return d->is_null ? NULL : arena_strndup(a, (const char *)d->p, d->size);
}

static int
open_scan(const struct loader *l, struct sys_scan *s, enum systable_id id, int index, oid_t oid)
{
    struct datum key = datum_int(oid);

    return sys_scan_open(s, l->catalog, l->txn, id, index, &key, 1, l->moment, l->arena);
}

/* ---- columns --------------------------------------------------------------------------------- */

static int
load_column(struct loader *l, const struct datum *row, struct cat_column *c)
{
    int rc = 0;

    *c = (struct cat_column){
        .name = text_of(l->arena, &row[ATT_NAME]),
        .attnum = (int16_t)row[ATT_NUM].i,
        .type = (oid_t)row[ATT_RDTYPE].i,
        .typmod = (int32_t)row[ATT_TYPMOD].i,
        .not_null = row[ATT_NOTNULL].i != 0,
        .dropped = row[ATT_ISDROPPED].i != 0,
        .identity = (char)row[ATT_IDENTITY].i,
        .since = (uint32_t)row[ATT_RDSINCE].i,
        .until = (uint32_t)row[ATT_RDUNTIL].i,
        .missing = datum_null(),
    };
    if (type_find(c->type) == NULL)
        return DIAG(ERR_CORRUPT, "column \"%s\" of table \"%s\" has unknown type %u", c->name,
                    l->table->name, c->type);
    if (!row[ATT_RDMISSING].is_null)
        rc = type_recv(c->type, NULL, l->arena, datum_view(&row[ATT_RDMISSING]), -1, &c->missing);
    return rc;
}

/* Rows come in the order of attnum, without gaps. */
static int
load_columns(struct loader *l, uint32_t count)
{
    struct datum row[ATT_COUNT];
    struct sys_scan s;
    int rc;

    l->table->columns = ARENA_ARRAY(l->arena, struct cat_column, count + 1);
    rc = open_scan(l, &s, SYS_ATTRIBUTE, -1, l->table->oid);
    while (rc == 0 && (rc = sys_scan_next(&s, row)) == 0) {
        if (row[ATT_NUM].i != (int64_t)l->table->column_count + 1 ||
            l->table->column_count == count)
            rc = DIAG(ERR_CORRUPT, "pg_attribute of table \"%s\" is not in order", l->table->name);
        else
            rc = load_column(l, row, &l->table->columns[l->table->column_count++]);
    }
    sys_scan_close(&s);
    if (rc != ERR_END)
        return rc;
    return l->table->column_count == count
               ? 0
               : DIAG(ERR_CORRUPT, "pg_attribute of table \"%s\" lacks rows", l->table->name);
}

static int
load_defaults(struct loader *l)
{
    struct datum row[DEF_COUNT];
    struct sys_scan s;
    int rc = open_scan(l, &s, SYS_ATTRDEF, -1, l->table->oid);

    while (rc == 0 && (rc = sys_scan_next(&s, row)) == 0) {
        if (row[DEF_NUM].i >= 1 && row[DEF_NUM].i <= l->table->column_count)
            l->table->columns[row[DEF_NUM].i - 1].default_text = text_of(l->arena, &row[DEF_BIN]);
    }
    sys_scan_close(&s);
    return rc == ERR_END ? 0 : rc;
}

/* ---- indexes --------------------------------------------------------------------------------- */

/* An int2vector or int2[] of column numbers as indexes into columns. */
static int
load_numbers(struct loader *l, const struct datum *d, uint16_t **out, uint32_t *count, int bias)
{
    struct array_iter it;
    struct datum e;
    uint32_t size = d->is_null ? 0 : array_count(d);

    *count = 0;
    if (size > ROW_COLUMNS_MAX)
        return DIAG(ERR_CORRUPT, "the catalogue names %u columns at once", size);
    *out = ARENA_ARRAY(l->arena, uint16_t, size + 1);
    if (size == 0)
        return 0;
    for (array_iter_init(&it, d); array_next(&it, &e) && *count < size;)
        (*out)[(*count)++] = (uint16_t)(e.i - bias);
    return 0;
}

static int
load_index(struct loader *l, const struct datum *row, struct cat_index *ix)
{
    struct datum key = row[IND_RELID], class[CLASS_COUNT];
    uint16_t *columns = NULL, *options = NULL;
    uint32_t option_count;
    int rc = sys_get(l->catalog, l->txn, SYS_CLASS, &key, l->moment, l->arena, class);

    if (rc == 0)
        rc = load_numbers(l, &row[IND_KEY], &columns, &ix->key_count, 1);
    if (rc == 0)
        rc = load_numbers(l, &row[IND_OPTION], &options, &option_count, 0);
    if (rc != 0)
        return rc;
    ix->oid = (oid_t)row[IND_RELID].i;
    ix->name = text_of(l->arena, &class[CLASS_NAME]);
    ix->tree = (tree_id_t) class[CLASS_RDTREE].i;
    ix->unique = row[IND_UNIQUE].i != 0;
    ix->primary = row[IND_PRIMARY].i != 0;
    ix->valid = row[IND_VALID].i != 0;
    ix->keys = ARENA_ARRAY(l->arena, struct cat_key_column, ix->key_count + 1);
    for (uint32_t i = 0; i < ix->key_count; i++) {
        uint16_t option = i < option_count ? options[i] : 0;

        if (columns[i] >= l->table->column_count)
            return DIAG(ERR_CORRUPT, "index \"%s\" names a column that does not exist", ix->name);
        ix->keys[i] = (struct cat_key_column){ columns[i], (option & 1) != 0, (option & 2) != 0 };
    }
    return 0;
}

static int
load_indexes(struct loader *l)
{
    struct datum row[IND_COUNT];
    struct cat_index list[64];
    struct sys_scan s;
    int rc = open_scan(l, &s, SYS_INDEX, 0, l->table->oid);

    while (rc == 0 && (rc = sys_scan_next(&s, row)) == 0) {
        if (l->table->index_count == 64)
            rc = DIAG(ERR_LIMIT, "table \"%s\" has more than 64 indexes", l->table->name);
        else {
            list[l->table->index_count] = (struct cat_index){ 0 };
            rc = load_index(l, row, &list[l->table->index_count++]);
        }
    }
    sys_scan_close(&s);
    if (rc != ERR_END)
        return rc;
    l->table->indexes = arena_memdup(l->arena, list, l->table->index_count * sizeof *list);
    for (uint32_t i = 0; i < l->table->index_count; i++)
        if (l->table->indexes[i].primary)
            l->table->primary = &l->table->indexes[i];
    return 0;
}

/* ---- constraints ------------------------------------------------------------------------------
 */

static int
load_fk(struct loader *l, const struct datum *row, struct cat_fk *fk)
{
    uint32_t ref_count;
    int rc;

    *fk = (struct cat_fk){
        .oid = (oid_t)row[CON_OID].i,
        .name = text_of(l->arena, &row[CON_NAME]),
        .table_oid = (oid_t)row[CON_RELID].i,
        .ref_oid = (oid_t)row[CON_FRELID].i,
        .ref_index_oid = (oid_t)row[CON_INDID].i,
        .on_delete = (char)row[CON_DELTYPE].i,
        .on_update = (char)row[CON_UPDTYPE].i,
        .match_full = row[CON_MATCHTYPE].i == 'f',
        .deferrable = row[CON_DEFERRABLE].i != 0,
        .initially_deferred = row[CON_DEFERRED].i != 0,
    };
    rc = load_numbers(l, &row[CON_KEY], &fk->columns, &fk->column_count, 1);
    if (rc == 0)
        rc = load_numbers(l, &row[CON_FKEY], &fk->ref_columns, &ref_count, 1);
    if (rc == 0 && ref_count != fk->column_count)
        rc = DIAG(ERR_CORRUPT, "foreign key \"%s\" has columns without a partner", fk->name);
    return rc;
}

/* Twice the room, when the list is full. */
static void *
list_room(struct loader *l, const void *list, uint32_t count, uint32_t *cap, size_t size)
{
    void *more;

    if (count < *cap)
        return NULL;
    *cap = *cap == 0 ? 4 : 2 * *cap;
    more = arena_alloc(l->arena, *cap * size);
    if (count > 0)
        memcpy(more, list, count * size);
    return more;
}

static int
add_fk(struct loader *l, const struct datum *row, struct cat_fk **fks, uint32_t *count,
       uint32_t *cap)
{
    struct cat_fk *more = list_room(l, *fks, *count, cap, sizeof *more);

    if (more != NULL)
        *fks = more;
    return load_fk(l, row, &(*fks)[(*count)++]);
}

static void
add_check(struct loader *l, const struct datum *row, uint32_t *cap)
{
    struct cat_table *t = l->table;
    struct cat_check *more = list_room(l, t->checks, t->check_count, cap, sizeof *more);

    if (more != NULL)
        t->checks = more;
    t->checks[t->check_count++] = (struct cat_check){
        (oid_t)row[CON_OID].i,
        text_of(l->arena, &row[CON_NAME]),
        text_of(l->arena, &row[CON_BIN]),
    };
}

/* by_ref: the foreign keys of others to this table; else this table's own constraints. */
static int
load_constraints(struct loader *l, bool by_ref)
{
    struct cat_table *t = l->table;
    struct cat_fk *fks = NULL;
    uint32_t fk_count = 0, fk_cap = 0, check_cap = 0;
    struct datum row[CON_COUNT];
    struct sys_scan s;
    int rc = open_scan(l, &s, SYS_CONSTRAINT, by_ref ? 1 : 0, t->oid);

    while (rc == 0 && (rc = sys_scan_next(&s, row)) == 0) {
        if (row[CON_TYPE].i == 'f')
            rc = add_fk(l, row, &fks, &fk_count, &fk_cap);
        else if (row[CON_TYPE].i == 'c')
            add_check(l, row, &check_cap);
        for (uint32_t i = 0; i < t->index_count && !by_ref; i++)
            if (t->indexes[i].oid == (oid_t)row[CON_INDID].i && row[CON_TYPE].i != 'f')
                t->indexes[i].is_constraint = true;
    }
    sys_scan_close(&s);
    if (by_ref) {
        t->refs = fks;
        t->ref_count = fk_count;
    } else {
        t->fks = fks;
        t->fk_count = fk_count;
    }
    return rc == ERR_END ? 0 : rc;
}

/* ---- the table --------------------------------------------------------------------------------
 */

static int
load_class(struct loader *l, const struct datum *row)
{
    struct cat_table *t = l->table;
    struct datum key = row[CLASS_NAMESPACE], nsp[NSP_COUNT];
    int rc;

    t->oid = (oid_t)row[CLASS_OID].i;
    t->kind = (enum cat_kind)row[CLASS_KIND].i;
    t->name = text_of(l->arena, &row[CLASS_NAME]);
    t->schema_oid = (oid_t)row[CLASS_NAMESPACE].i;
    t->owner = (oid_t)row[CLASS_OWNER].i;
    t->tree = (tree_id_t)row[CLASS_RDTREE].i;
    t->version = (uint32_t)row[CLASS_RDVERSION].i;
    t->change = (uint64_t)row[CLASS_RDCHANGE].i;
    t->view_text = text_of(l->arena, &row[CLASS_RDVIEW]);
    t->row_count = row[CLASS_TUPLES].f;
    t->bytes_per_row = row[CLASS_RDBYTES].f;
    if (!row[CLASS_OPTIONS].is_null)
        t->options = type_out_str(TYPE_TEXT_ARRAY, NULL, l->arena, &row[CLASS_OPTIONS]);
    if (t->version == 0 || t->version > 1 << 20)
        return DIAG(ERR_CORRUPT, "table \"%s\" has definition version %u", t->name, t->version);
    rc = sys_get(l->catalog, l->txn, SYS_NAMESPACE, &key, l->moment, l->arena, nsp);
    t->schema = rc == 0 ? text_of(l->arena, &nsp[NSP_NAME]) : "";
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int
load_all(struct loader *l, const struct datum *class)
{
    int rc = load_class(l, class);

    if (rc == 0 && l->table->kind != CAT_INDEX)
        rc = load_columns(l, (uint32_t) class[CLASS_NATTS].i);
    if (rc == 0)
        rc = load_defaults(l);
    if (rc == 0)
        rc = load_indexes(l);
    if (rc == 0)
        rc = load_constraints(l, false);
    if (rc == 0)
        rc = load_constraints(l, true);
    if (rc != 0)
        return rc;
    describe_layouts(l->arena, l->table);
    describe_index_parts(l->arena, l->table);
    return 0;
}

int
load_table(struct catalog *c, struct txn *t, const struct read_moment *m, oid_t oid,
           struct cat_entry **out)
{
    struct cat_entry *entry = xcalloc(1, sizeof *entry);
    struct loader l = { c, t, m, &entry->arena, &entry->table };
    struct datum key = datum_int(oid), class[CLASS_COUNT];
    int rc;

    *out = NULL;
    arena_init(&entry->arena, NULL);
    rc = sys_get(c, t, SYS_CLASS, &key, m, &entry->arena, class);
    if (rc == 0)
        rc = load_all(&l, class);
    if (rc == 0) {
        *out = entry;
        return 0;
    }
    arena_fini(&entry->arena);
    xfree(entry);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}
