/* Functions about the catalogue: what psql's \d and its kin ask for.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/sql/func_session_int.h"
#include "engine/sql/session_sequence.h"
#include "engine/types/numeric.h"

/* ---- relations ---------------------------------------------------------------------------------
 */

int
func_relation(struct func_call *call, int arg, const struct datum *args,
              const struct cat_table **out)
{
    struct sql_session *s = sess_of_call(call);
    oid_t oid = (oid_t)args[arg].i;

    if (type_get(call->func->args[arg])->rep == REP_BYTES) {
        int rc = s->types.reg_from_name(s, TYPE_REGCLASS, datum_view(&args[arg]), &oid);

        if (rc != 0)
            return rc;
    }
    return sess_table_by_oid(s, oid, out);
}

int
fn_table_is_visible(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct sql_session *s = sess_of_call(call);
    const struct cat_table *t;
    bool visible = false;
    int rc = sess_table_by_oid(s, (oid_t)args[0].i, &t);

    if (rc == 0 && t == NULL) {
        *out = datum_null();
        return 0;
    }
    if (rc == 0)
        rc = sess_is_visible(s, t->schema_oid, t->name, t->oid, &visible);
    *out = datum_bool(visible);
    return rc;
}

int
fn_relation_filenode(struct func_call *call, const struct datum *args, struct datum *out)
{
    const struct cat_table *t;
    int rc = func_relation(call, 0, args, &t);

    *out = rc != 0 || t == NULL || t->tree == 0 ? datum_null() : datum_int(t->oid);
    return rc;
}

int
fn_is_publishable(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    (void)args;
    *out = datum_bool(false); /* there is no logical replication */
    return 0;
}

/* ---- definitions -------------------------------------------------------------------------------
 */

/* Expressions are kept as their text; nextval('16400'::regclass) names its sequence. */
int
fn_get_expr(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct sql_session *s = sess_of_call(call);
    const char *text = func_arg_text(call, &args[0]);
    const struct cat_table *t;
    char *end;
    unsigned long oid;

    *out = args[0];
    if (strncmp(text, "nextval('", 9) != 0)
        return 0;
    oid = strtoul(text + 9, &end, 10);
    if (end == text + 9 || strcmp(end, "'::regclass)") != 0)
        return 0;
    if (sess_table_by_oid(s, (oid_t)oid, &t) == 0 && t != NULL)
        func_text(call,
                  arena_printf(call->arena, "nextval('%s'::regclass)",
                               sess_display_name(s, call->arena, t)),
                  out);
    return 0;
}

static int
find_index(struct func_call *call, oid_t oid, const struct cat_table **table,
           const struct cat_index **index)
{
    struct sql_session *s = sess_of_call(call);
    struct datum key = datum_int(oid), row[IND_COUNT];
    int rc = sys_get(s->q->catalog, s->txn, SYS_INDEX, &key, NULL, call->arena, row);

    *table = NULL;
    *index = NULL;
    if (rc == 0)
        rc = sess_table_by_oid(s, (oid_t)row[IND_TABLE].i, table);
    for (uint32_t i = 0; rc == 0 && *table != NULL && i < (*table)->index_count; i++)
        if ((*table)->indexes[i].oid == oid)
            *index = &(*table)->indexes[i];
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

int
fn_get_indexdef(struct func_call *call, const struct datum *args, struct datum *out)
{
    const struct cat_table *t;
    const struct cat_index *ix;
    int64_t column = call->arg_count > 1 ? args[1].i : 0;
    int rc = find_index(call, (oid_t)args[0].i, &t, &ix);

    *out = datum_null();
    if (rc != 0 || ix == NULL)
        return rc;
    if (column == 0)
        func_text(call, cat_index_def(call->arena, t, ix), out);
    else if (column > 0 && column <= ix->key_count)
        func_text(call, sql_quote_ident(call->arena, t->columns[ix->keys[column - 1].column].name),
                  out);
    else
        func_text(call, "", out);
    return 0;
}

static int
fk_text(struct func_call *call, const struct cat_table *t, oid_t oid, const char **out)
{
    for (uint32_t i = 0; i < t->fk_count; i++) {
        const struct cat_table *ref;
        int rc;

        if (t->fks[i].oid != oid)
            continue;
        rc = sess_table_by_oid(sess_of_call(call), t->fks[i].ref_oid, &ref);
        if (rc == 0 && ref != NULL)
            *out = cat_fk_def(call->arena, t, ref, &t->fks[i]);
        return rc;
    }
    return 0;
}

static int
constraint_text(struct func_call *call, const struct datum *row, const char **out)
{
    struct sql_session *s = sess_of_call(call);
    const struct cat_table *t;
    int rc = sess_table_by_oid(s, (oid_t)row[CON_RELID].i, &t);

    if (rc != 0 || t == NULL)
        return rc;
    if (row[CON_TYPE].i == 'f')
        return fk_text(call, t, (oid_t)row[CON_OID].i, out);
    if (row[CON_TYPE].i == 'c') {
        *out = arena_printf(call->arena, "CHECK (%s)", func_arg_text(call, &row[CON_BIN]));
        return 0;
    }
    for (uint32_t i = 0; i < t->index_count; i++)
        if (t->indexes[i].oid == (oid_t)row[CON_INDID].i)
            *out = cat_key_def(call->arena, t, &t->indexes[i]);
    return 0;
}

int
fn_get_constraintdef(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct sql_session *s = sess_of_call(call);
    struct datum row[CON_COUNT];
    const char *text = NULL;
    int rc = sys_get(s->q->catalog, s->txn, SYS_CONSTRAINT, args, NULL, call->arena, row);

    *out = datum_null();
    if (rc == 0)
        rc = constraint_text(call, row, &text);
    if (rc == 0 && text != NULL)
        func_text(call, text, out);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

int
fn_get_viewdef(struct func_call *call, const struct datum *args, struct datum *out)
{
    const struct cat_table *t;
    int rc = func_relation(call, 0, args, &t);

    *out = datum_null();
    if (rc == 0 && t != NULL && t->view_text != NULL)
        func_text(call, arena_printf(call->arena, " %s;", t->view_text), out);
    return rc;
}

/* ---- comments ----------------------------------------------------------------------------------
 */

static int
description(struct func_call *call, oid_t object, oid_t class, int64_t column, struct datum *out)
{
    struct sql_session *s = sess_of_call(call);
    struct datum keys[3] = { datum_int(object), datum_int(class), datum_int(column) }, row[4];
    int rc = sys_get(s->q->catalog, s->txn, SYS_DESCRIPTION, keys, NULL, call->arena, row);

    *out = rc == 0 ? row[3] : datum_null();
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

int
fn_obj_description(struct func_call *call, const struct datum *args, struct datum *out)
{
    const struct systable *class = systable_get(SYS_CLASS);

    if (call->arg_count > 1)
        class = systable_by_name(datum_view(&args[1]));
    *out = datum_null();
    return class == NULL ? 0 : description(call, (oid_t)args[0].i, class->oid, 0, out);
}

int
fn_col_description(struct func_call *call, const struct datum *args, struct datum *out)
{
    return description(call, (oid_t)args[0].i, systable_get(SYS_CLASS)->oid, args[1].i, out);
}

/* ---- names to OIDs -----------------------------------------------------------------------------
 */

static int
to_reg(struct func_call *call, oid_t type, const struct datum *arg, struct datum *out)
{
    struct sql_session *s = sess_of_call(call);
    oid_t oid;
    int rc = s->types.reg_from_name(s, type, datum_view(arg), &oid);

    *out = rc == 0 ? datum_int(oid) : datum_null();
    if (rc == ERR_UNDEFINED_TABLE || rc == ERR_UNDEFINED_OBJECT || rc == ERR_UNDEFINED_SCHEMA ||
        rc == ERR_UNDEFINED_FUNCTION || rc == ERR_AMBIGUOUS_FUNCTION) {
        diag_clear();
        return 0;
    }
    return rc;
}

int
fn_to_regclass(struct func_call *call, const struct datum *args, struct datum *out)
{
    return to_reg(call, TYPE_REGCLASS, &args[0], out);
}

int
fn_to_regnamespace(struct func_call *call, const struct datum *args, struct datum *out)
{
    return to_reg(call, TYPE_REGNAMESPACE, &args[0], out);
}

int
fn_to_regrole(struct func_call *call, const struct datum *args, struct datum *out)
{
    return to_reg(call, TYPE_REGROLE, &args[0], out);
}

int
fn_to_regproc(struct func_call *call, const struct datum *args, struct datum *out)
{
    return to_reg(call, TYPE_REGPROC, &args[0], out);
}

int
fn_to_regtype(struct func_call *call, const struct datum *args, struct datum *out)
{
    int32_t typmod;
    oid_t oid;

    (void)call;
    if (type_parse(datum_view(&args[0]), &oid, &typmod) == 0) {
        *out = datum_int(oid);
        return 0;
    }
    diag_clear();
    *out = datum_null();
    return 0;
}

/* ---- functions ---------------------------------------------------------------------------------
 */

int
fn_function_result(struct func_call *call, const struct datum *args, struct datum *out)
{
    const struct func *f = func_by_oid(&func_set_session, (oid_t)args[0].i);

    *out = datum_null();
    if (f != NULL)
        func_text(call,
                  arena_printf(call->arena, "%s%s", (f->flags & FUNC_SET) != 0 ? "SETOF " : "",
                               type_sql_name(f->result)),
                  out);
    return 0;
}

int
fn_function_arguments(struct func_call *call, const struct datum *args, struct datum *out)
{
    const struct func *f = func_by_oid(&func_set_session, (oid_t)args[0].i);
    const char *all = "";

    *out = datum_null();
    if (f == NULL)
        return 0;
    for (int i = 0; i < f->arg_count && i < FUNC_TABLE_ARGS_MAX; i++)
        all =
            arena_printf(call->arena, "%s%s%s", all, i > 0 ? ", " : "", type_sql_name(f->args[i]));
    func_text(call, all, out);
    return 0;
}

/* ---- sizes -------------------------------------------------------------------------------------
 */

/* What ANALYZE found; null before it. Trees share segments' files: there is no exact figure. */
int
fn_relation_size(struct func_call *call, const struct datum *args, struct datum *out)
{
    const struct cat_table *t;
    int rc = func_relation(call, 0, args, &t);

    *out = datum_null();
    if (rc == 0 && t != NULL && t->row_count >= 0)
        *out = datum_int((int64_t)(t->row_count * t->bytes_per_row));
    return rc;
}

int
fn_indexes_size(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    (void)args;
    *out = datum_null(); /* not known */
    return 0;
}

int
fn_database_size(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct engine_figures f;

    (void)args;
    engine_get_figures(sess_of_call(call)->q->engine, &f);
    *out = datum_int((int64_t)(f.segment_bytes + f.undo_bytes + f.memtable_bytes));
    return 0;
}

/* As PostgreSQL rounds: half up, the next unit from 10240 on. */
static const char *
pretty(struct arena *a, int64_t size)
{
    static const char *const units[] = { "bytes", "kB", "MB", "GB", "TB", "PB" };
    int64_t v = size, limit = 10 * 1024;
    size_t u = 0;

    if (llabs(v) < limit)
        return arena_printf(a, "%" PRId64 " bytes", v);
    v /= 512; /* one bit more, for rounding */
    u = 1;
    while (llabs(v) >= 20 * 1024 - 1 && u + 1 < sizeof units / sizeof *units) {
        v /= 1024;
        u++;
    }
    return arena_printf(a, "%" PRId64 " %s", (v + (v < 0 ? -1 : 1)) / 2, units[u]);
}

int
fn_size_pretty(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct datum v = args[0];

    if (call->func->args[0] == TYPE_NUMERIC) {
        int rc = cast_value(&func_set_builtin, call->env, call->arena, TYPE_NUMERIC, TYPE_INT8, -1,
                            CAST_EXPLICIT, &args[0], &v);

        if (rc != 0)
            return rc;
    }
    func_text(call, pretty(call->arena, v.i), out);
    return 0;
}

int
fn_column_size(struct func_call *call, const struct datum *args, struct datum *out)
{
    const struct type *t = type_get(call->arg_types[0]);

    *out = datum_int(t->rep == REP_BYTES ? (int64_t)args[0].size : t->len > 0 ? t->len : 8);
    return 0;
}

/* ---- sequences ---------------------------------------------------------------------------------
 */

/* The sequence of a serial column is named by its default. */
int
fn_serial_sequence(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct sql_session *s = sess_of_call(call);
    const char *column = func_arg_text(call, &args[1]), *text = NULL;
    const struct cat_table *t, *sequence;
    bool found = false;
    int rc = func_relation(call, 0, args, &t);

    *out = datum_null();
    if (rc != 0 || t == NULL)
        return rc;
    for (uint32_t i = 0; i < t->column_count; i++) {
        if (t->columns[i].dropped || strcmp(t->columns[i].name, column) != 0)
            continue;
        found = true;
        text = t->columns[i].default_text;
    }
    if (!found)
        return DIAG(ERR_UNDEFINED_COLUMN, "column \"%s\" of relation \"%s\" does not exist", column,
                    t->name);
    if (text == NULL || strncmp(text, "nextval('", 9) != 0)
        return 0;
    rc = sess_table_by_oid(s, (oid_t)strtoul(text + 9, NULL, 10), &sequence);
    if (rc == 0 && sequence != NULL)
        func_text(call,
                  arena_printf(call->arena, "%s.%s", sql_quote_ident(call->arena, sequence->schema),
                               sql_quote_ident(call->arena, sequence->name)),
                  out);
    return rc;
}

int
fn_sequence_last_value(struct func_call *call, const struct datum *args, struct datum *out)
{
    int64_t v = 0;
    int rc = sequence_current(sess_of_call(call), (oid_t)args[0].i, &v);

    *out = rc == 0 ? datum_int(v) : datum_null();
    if (rc == ERR_OBJECT_NOT_READY) {
        diag_clear();
        return 0;
    }
    return rc;
}
