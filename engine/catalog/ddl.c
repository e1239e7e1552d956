/* Building blocks of DDL: rows of the catalogue made and found.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "engine/catalog/ddl_int.h"
#include "engine/types/array.h"

enum { CHANGE_COUNTER_BITS = 42 };

void
ddl_begin(struct ddl *d, struct catalog *c, struct txn *t)
{
    d->catalog = c;
    d->txn = t;
    txn_command_done(t);
    arena_init(&d->arena, NULL);
}

void
ddl_end(struct ddl *d)
{
    txn_command_done(d->txn);
    arena_fini(&d->arena);
}

int
ddl_oid(struct ddl *d, oid_t *oid)
{
    uint64_t first;
    int rc = engine_ids(d->catalog->engine, "oid", 1, &first);

    if (rc != 0)
        return rc;
    if (first + CAT_OID_FIRST > UINT32_MAX)
        return DIAG(ERR_LIMIT, "object identifiers are used up");
    *oid = (oid_t)(first + CAT_OID_FIRST);
    return 0;
}

struct datum
ddl_text(const char *s)
{
    return s != NULL ? datum_slice(slice_str(s)) : datum_null();
}

struct datum *
ddl_row(struct ddl *d, enum systable_id id)
{
    const struct systable *def = systable_get(id);
    struct datum *row = ARENA_ARRAY(&d->arena, struct datum, def->column_count);

    for (uint16_t i = 0; i < def->column_count; i++) {
        const struct type *t = type_get(def->columns[i].type);

        row[i] = t->rep == REP_BYTES ? datum_null() : (struct datum){ .i = 0 };
    }
    return row;
}

struct datum
ddl_numbers(struct ddl *d, oid_t elem, const int32_t *numbers, uint32_t count, int32_t lower_bound)
{
    struct datum *e = ARENA_ARRAY(&d->arena, struct datum, count + 1);

    for (uint32_t i = 0; i < count; i++)
        e[i] = datum_int(numbers[i]);
    return array_make(&d->arena, elem, e, count, lower_bound);
}

/* ---- pg_class -------------------------------------------------------------------------------- */

int
ddl_class_row(struct ddl *d, oid_t oid, struct datum **row)
{
    struct datum key = datum_int(oid);
    int rc;

    *row = ARENA_ARRAY(&d->arena, struct datum, CLASS_COUNT);
    txn_command_done(d->txn);
    rc = sys_get(d->catalog, d->txn, SYS_CLASS, &key, NULL, &d->arena, *row);
    if (rc == ERR_NOT_FOUND)
        return DIAG(ERR_UNDEFINED_TABLE, "relation with OID %u does not exist", oid);
    return rc;
}

/* Numbers of descriptions on a branch that was left are no numbers here: plans may outlive a cut.
 */
static int
new_change(struct ddl *d, uint64_t *change)
{
    struct engine *e = d->catalog->engine;
    int rc = engine_ids(e, "change", 1, change);

    if (rc == 0)
        *change |= (uint64_t)engine_incarnation(e) << CHANGE_COUNTER_BITS;
    return rc;
}

int
ddl_class_write(struct ddl *d, struct datum *row)
{
    uint64_t change;
    int rc = new_change(d, &change);

    if (rc != 0)
        return rc;
    row[CLASS_RDCHANGE] = datum_int((int64_t)change);
    txn_command_done(d->txn);
    return sys_update(d->catalog, d->txn, SYS_CLASS, row);
}

int
ddl_touch(struct ddl *d, oid_t oid)
{
    struct datum *row;
    int rc = ddl_class_row(d, oid, &row);

    return rc != 0 ? rc : ddl_class_write(d, row);
}

/* "{fillfactor=100}" as text[] */
static struct datum
options_array(struct ddl *d, const char *options)
{
    struct datum out = datum_null();

    if (options != NULL && type_in(TYPE_TEXT_ARRAY, NULL, &d->arena, slice_str(options), -1, &out))
        diag_clear();
    return out;
}

int
ddl_insert_class(struct ddl *d, const struct ddl_class *k)
{
    struct datum *row = ddl_row(d, SYS_CLASS);
    uint64_t change;
    int rc = new_change(d, &change);

    if (rc != 0)
        return rc;
    row[CLASS_OID] = datum_int(k->oid);
    row[CLASS_NAME] = ddl_text(k->name);
    row[CLASS_NAMESPACE] = datum_int(k->schema);
    row[CLASS_OWNER] = datum_int(k->owner);
    row[CLASS_AM] = datum_int(k->kind == CAT_TABLE ? 2 : k->kind == CAT_INDEX ? 403 : 0);
    row[CLASS_FILENODE] = datum_int(k->oid);
    row[CLASS_TUPLES] = datum_float(-1);
    row[CLASS_HASINDEX] = datum_bool(k->has_index);
    row[CLASS_PERSISTENCE] = datum_int('p');
    row[CLASS_KIND] = datum_int(k->kind);
    row[CLASS_NATTS] = datum_int(k->column_count);
    row[CLASS_ISPOPULATED] = datum_bool(true);
    row[CLASS_REPLIDENT] = datum_int(k->kind == CAT_TABLE ? 'd' : 'n');
    row[CLASS_OPTIONS] = options_array(d, k->options);
    row[CLASS_RDTREE] = datum_int((int64_t)k->tree);
    row[CLASS_RDVERSION] = datum_int(1);
    row[CLASS_RDCHANGE] = datum_int((int64_t)change);
    row[CLASS_RDVIEW] = ddl_text(k->view_text);
    rc = sys_insert(d->catalog, d->txn, SYS_CLASS, row);
    if (rc == ERR_FILE_EXISTS)
        rc = DIAG(ERR_DUPLICATE_TABLE, "relation \"%s\" already exists", k->name);
    return rc;
}

/* ---- pg_attribute, pg_attrdef ------------------------------------------------------------------
 */

static int
insert_default(struct ddl *d, oid_t table, int16_t attnum, const char *text)
{
    struct datum *row = ddl_row(d, SYS_ATTRDEF);
    oid_t oid;
    int rc = ddl_oid(d, &oid);

    if (rc != 0)
        return rc;
    row[DEF_OID] = datum_int(oid);
    row[DEF_RELID] = datum_int(table);
    row[DEF_NUM] = datum_int(attnum);
    row[DEF_BIN] = ddl_text(text);
    return sys_insert(d->catalog, d->txn, SYS_ATTRDEF, row);
}

static void
fill_type(struct datum *row, oid_t oid, int32_t typmod)
{
    const struct type *t = type_get(oid);
    bool text = t->category == 'S';

    row[ATT_TYPID] = datum_int(oid);
    row[ATT_RDTYPE] = datum_int(oid);
    row[ATT_TYPMOD] = datum_int(typmod);
    row[ATT_LEN] = datum_int(t->len);
    row[ATT_BYVAL] = datum_bool(t->is_by_value);
    row[ATT_ALIGN] = datum_int(t->align);
    row[ATT_STORAGE] = datum_int(t->storage);
    row[ATT_NDIMS] = datum_int(type_is_array(t) ? 1 : 0);
    row[ATT_COLLATION] = datum_int(!text ? 0 : oid == TYPE_NAME ? 950 : 100);
}

int
ddl_insert_attribute(struct ddl *d, oid_t table, int16_t attnum, uint32_t since,
                     const struct ddl_column *col, const struct datum *missing)
{
    struct datum *row = ddl_row(d, SYS_ATTRIBUTE);
    struct writer w;
    int rc;

    row[ATT_RELID] = datum_int(table);
    row[ATT_NAME] = ddl_text(col->name);
    row[ATT_STATTARGET] = datum_int(-1);
    row[ATT_NUM] = datum_int(attnum);
    row[ATT_CACHEOFF] = datum_int(-1);
    fill_type(row, col->type, col->typmod);
    row[ATT_NOTNULL] = datum_bool(col->not_null);
    row[ATT_HASDEF] = datum_bool(col->default_text != NULL);
    row[ATT_IDENTITY] = datum_int(col->identity);
    row[ATT_ISLOCAL] = datum_bool(true);
    row[ATT_RDSINCE] = datum_int(since);
    wr_init(&w, 0);
    if (missing != NULL && !missing->is_null) {
        type_send(col->type, NULL, missing, &w);
        row[ATT_HASMISSING] = datum_bool(true);
        row[ATT_RDMISSING] = datum_slice(wr_view(&w));
    }
    rc = sys_insert(d->catalog, d->txn, SYS_ATTRIBUTE, row);
    wr_fini(&w);
    if (rc == 0 && col->default_text != NULL)
        rc = insert_default(d, table, attnum, col->default_text);
    return rc;
}

/* ---- pg_index -------------------------------------------------------------------------------- */

static void
fill_index_keys(struct ddl *d, struct datum *row, const struct ddl_index *ix)
{
    int32_t *key = ARENA_ARRAY(&d->arena, int32_t, ix->key_count + 1);
    int32_t *option = ARENA_ARRAY(&d->arena, int32_t, ix->key_count + 1);
    int32_t *zero = ARENA_ARRAY(&d->arena, int32_t, ix->key_count + 1);

    for (uint32_t i = 0; i < ix->key_count; i++) {
        key[i] = ix->keys[i].column + 1;
        option[i] = (ix->keys[i].descending ? 1 : 0) | (ix->keys[i].nulls_first ? 2 : 0);
    }
    row[IND_KEY] = ddl_numbers(d, TYPE_INT2, key, ix->key_count, 0);
    row[IND_OPTION] = ddl_numbers(d, TYPE_INT2, option, ix->key_count, 0);
    row[IND_COLLATION] = ddl_numbers(d, TYPE_OID, zero, ix->key_count, 0);
    row[IND_CLASS] = ddl_numbers(d, TYPE_OID, zero, ix->key_count, 0);
}

static int
insert_index_constraint(struct ddl *d, oid_t table, oid_t schema, const struct ddl_index *ix,
                        bool primary, oid_t index)
{
    struct datum *row = ddl_row(d, SYS_CONSTRAINT);
    int32_t *key = ARENA_ARRAY(&d->arena, int32_t, ix->key_count + 1);
    oid_t oid;
    int rc = ddl_oid(d, &oid);

    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < ix->key_count; i++)
        key[i] = ix->keys[i].column + 1;
    row[CON_OID] = datum_int(oid);
    row[CON_NAME] = ddl_text(ix->name);
    row[CON_NAMESPACE] = datum_int(schema);
    row[CON_TYPE] = datum_int(primary ? 'p' : 'u');
    row[CON_VALIDATED] = datum_bool(true);
    row[CON_RELID] = datum_int(table);
    row[CON_INDID] = datum_int(index);
    row[CON_UPDTYPE] = row[CON_DELTYPE] = row[CON_MATCHTYPE] = datum_int(' ');
    row[CON_ISLOCAL] = datum_bool(true);
    row[CON_NOINHERIT] = datum_bool(true);
    row[CON_KEY] = ddl_numbers(d, TYPE_INT2, key, ix->key_count, 1);
    rc = sys_insert(d->catalog, d->txn, SYS_CONSTRAINT, row);
    if (rc == ERR_FILE_EXISTS)
        rc = DIAG(ERR_DUPLICATE_OBJECT, "constraint \"%s\" already exists", ix->name);
    return rc;
}

/* An index's columns are those of its table, numbered from 1 and named as they were. */
static int
insert_index_attributes(struct ddl *d, oid_t table, oid_t index, const struct ddl_index *ix)
{
    int rc = 0;

    for (uint32_t i = 0; i < ix->key_count && rc == 0; i++) {
        struct datum keys[2] = { datum_int(table), datum_int((int64_t)ix->keys[i].column + 1) };
        struct datum *row = ddl_row(d, SYS_ATTRIBUTE);

        txn_command_done(d->txn);
        rc = sys_get(d->catalog, d->txn, SYS_ATTRIBUTE, keys, NULL, &d->arena, row);
        if (rc != 0)
            return DIAG(ERR_INTERNAL, "index \"%s\" has a column that is not there", ix->name);
        row[ATT_RELID] = datum_int(index);
        row[ATT_NUM] = datum_int((int64_t)i + 1);
        row[ATT_NOTNULL] = row[ATT_HASDEF] = row[ATT_HASMISSING] = datum_bool(false);
        row[ATT_IDENTITY] = datum_int(0);
        row[ATT_RDMISSING] = datum_null();
        rc = sys_insert(d->catalog, d->txn, SYS_ATTRIBUTE, row);
    }
    return rc;
}

int
ddl_update_index_attributes(struct ddl *d, const struct cat_table *table, uint32_t column)
{
    struct datum keys[2] = { datum_int(table->oid), datum_int((int64_t)column + 1) };
    struct datum *of_table = ddl_row(d, SYS_ATTRIBUTE), *row = ddl_row(d, SYS_ATTRIBUTE);
    int rc;

    txn_command_done(d->txn);
    rc = sys_get(d->catalog, d->txn, SYS_ATTRIBUTE, keys, NULL, &d->arena, of_table);
    for (uint32_t i = 0; i < table->index_count && rc == 0; i++) {
        const struct cat_index *ix = &table->indexes[i];

        for (uint32_t k = 0; k < ix->key_count && rc == 0; k++) {
            if (ix->keys[k].column != column)
                continue;
            keys[0] = datum_int(ix->oid);
            keys[1] = datum_int((int64_t)k + 1);
            rc = sys_get(d->catalog, d->txn, SYS_ATTRIBUTE, keys, NULL, &d->arena, row);
            if (rc != 0)
                break;
            row[ATT_NAME] = of_table[ATT_NAME];
            row[ATT_TYPID] = row[ATT_RDTYPE] = of_table[ATT_TYPID];
            row[ATT_TYPMOD] = of_table[ATT_TYPMOD];
            rc = sys_update(d->catalog, d->txn, SYS_ATTRIBUTE, row);
        }
        if (rc == ERR_NOT_FOUND)
            rc = 0; /* dropped by this very statement */
    }
    return rc;
}

int
ddl_insert_index(struct ddl *d, oid_t table, oid_t schema, oid_t owner, const struct ddl_index *ix,
                 bool primary, tree_id_t tree, oid_t *oid)
{
    struct ddl_class class = { .schema = schema,
                               .owner = owner,
                               .name = ix->name,
                               .kind = CAT_INDEX,
                               .column_count = ix->key_count,
                               .tree = tree };
    struct datum *row = ddl_row(d, SYS_INDEX);
    int rc = ddl_oid(d, oid);

    class.oid = *oid;
    if (rc == 0)
        rc = ddl_insert_class(d, &class);
    if (rc != 0)
        return rc;
    row[IND_RELID] = datum_int(*oid);
    row[IND_TABLE] = datum_int(table);
    row[IND_NATTS] = row[IND_NKEYATTS] = datum_int(ix->key_count);
    row[IND_UNIQUE] = datum_bool(ix->unique);
    row[IND_PRIMARY] = datum_bool(primary);
    row[IND_IMMEDIATE] = row[IND_VALID] = row[IND_READY] = row[IND_LIVE] = datum_bool(true);
    fill_index_keys(d, row, ix);
    rc = sys_insert(d->catalog, d->txn, SYS_INDEX, row);
    if (rc == 0)
        rc = insert_index_attributes(d, table, *oid, ix);
    if (rc == 0 && (primary || ix->is_constraint))
        rc = insert_index_constraint(d, table, schema, ix, primary, *oid);
    return rc;
}

/* ---- removing -------------------------------------------------------------------------------- */

/* Rows are collected before the first is deleted: the scan is over what is being changed. */
int
ddl_delete_all(struct ddl *d, enum systable_id id, int index, oid_t key)
{
    const struct systable *def = systable_get(id);
    struct datum k = datum_int(key), **rows = NULL;
    uint32_t count = 0, cap = 0;
    struct sys_scan s;
    int rc = sys_scan_open(&s, d->catalog, d->txn, id, index, &k, 1, NULL, &d->arena);

    while (rc == 0) {
        struct datum *row = ARENA_ARRAY(&d->arena, struct datum, def->column_count);

        rc = sys_scan_next(&s, row);
        if (rc != 0)
            break;
        if (count == cap) {
            cap = cap != 0 ? 2 * cap : 16;
            rows = xrealloc(rows, cap * sizeof *rows);
        }
        rows[count++] = row;
    }
    sys_scan_close(&s);
    rc = rc == ERR_END ? 0 : rc;
    for (uint32_t i = 0; i < count && rc == 0; i++)
        rc = sys_delete(d->catalog, d->txn, id, rows[i]);
    xfree(rows);
    return rc;
}

int
ddl_free_name(struct catalog *c, struct txn *t, oid_t schema, const char *table,
              const char *columns, const char *suffix, struct arena *a, const char **name)
{
    struct datum row[CLASS_COUNT];

    for (int n = 0;; n++) {
        struct datum keys[2] = { datum_int(schema), { .i = 0 } };
        char number[16] = "";
        int rc, room;

        if (n > 0)
            snprintf(number, sizeof number, "%d", n);
        room = NAME_SIZE_MAX - (int)(strlen(suffix) + strlen(number) + 1);
        *name = columns != NULL && columns[0] != '\0'
                    ? arena_printf(a, "%.*s_%.*s_%s%s", room / 2, table, room / 2 - 1, columns,
                                   suffix, number)
                    : arena_printf(a, "%.*s_%s%s", room, table, suffix, number);
        keys[1] = ddl_text(*name);
        rc = sys_get_by_index(c, t, SYS_CLASS, 0, keys, NULL, a, row);
        if (rc != 0)
            return rc == ERR_NOT_FOUND ? 0 : rc;
    }
}
