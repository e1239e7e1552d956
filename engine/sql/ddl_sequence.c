/* CREATE and ALTER SEQUENCE; the sequences of serial and identity columns.
 *
 * Whose column a sequence belongs to is kept among its options: {owned_by=table.column}.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/sql/ddl_sql_int.h"
#include "engine/sql/session_sequence.h"

/* ---- options -----------------------------------------------------------------------------------
 */

struct seq_options {
    struct sequence_def def;
    bool has_type, has_start, has_min, has_max, has_increment;
    bool restart, has_restart;
    int64_t restart_at;
    const struct ast_list *owned_by;
};

static int64_t
type_max(oid_t type)
{
    return type == TYPE_INT2 ? INT16_MAX : type == TYPE_INT4 ? INT32_MAX : INT64_MAX;
}

static int64_t
type_min(oid_t type)
{
    return -type_max(type) - 1;
}

static int
set_type(struct ddl_run *d, struct seq_options *o, const struct ast *type)
{
    struct sql_type t;
    int rc = sql_bind_type(d->text, AST_CONST(ast_type_name, type), &t);

    if (rc != 0)
        return rc;
    if (t.oid != TYPE_INT2 && t.oid != TYPE_INT4 && t.oid != TYPE_INT8)
        return DIAG(ERR_INVALID_PARAMETER_VALUE,
                    "sequence type must be smallint, integer, or bigint");
    o->def.type = t.oid;
    o->has_type = true;
    return 0;
}

static int
read_option(struct ddl_run *d, const struct ast_option *a, struct seq_options *o)
{
    const struct ast_literal *l = AST_CONST(ast_literal, a->value);
    int64_t n = a->value != NULL && a->value->kind == AST_LITERAL ? l->integer : 0;

    if (strcmp(a->name, "as") == 0)
        return set_type(d, o, a->value);
    if (strcmp(a->name, "cycle") == 0) {
        o->def.cycle = l->boolean;
    } else if (strcmp(a->name, "cache") == 0) {
        if (n < 1)
            return DIAG(ERR_INVALID_PARAMETER_VALUE,
                        "CACHE (%" PRId64 ") must be greater than zero", n);
        o->def.cache = n;
    } else if (strcmp(a->name, "increment") == 0) {
        if (n == 0)
            return DIAG(ERR_INVALID_PARAMETER_VALUE, "INCREMENT must not be zero");
        o->def.increment = n;
        o->has_increment = true;
    } else if (strcmp(a->name, "maxvalue") == 0) {
        o->has_max = !a->star;
        o->def.max = n;
    } else if (strcmp(a->name, "minvalue") == 0) {
        o->has_min = !a->star;
        o->def.min = n;
    } else if (strcmp(a->name, "start") == 0) {
        o->has_start = true;
        o->def.start = n;
    } else if (strcmp(a->name, "restart") == 0) {
        o->restart = true;
        o->has_restart = a->value != NULL;
        o->restart_at = n;
    } else if (strcmp(a->name, "owned_by") == 0) {
        o->owned_by = a->list;
    }
    return 0;
}

static int
check_bounds(const struct sequence_def *def)
{
    if (def->min >= def->max)
        return DIAG(ERR_INVALID_PARAMETER_VALUE,
                    "MINVALUE (%" PRId64 ") must be less than MAXVALUE (%" PRId64 ")", def->min,
                    def->max);
    if (def->max > type_max(def->type) || def->min < type_min(def->type))
        return DIAG(ERR_INVALID_PARAMETER_VALUE,
                    "%s (%" PRId64 ") is out of range for sequence "
                    "data type %s",
                    def->max > type_max(def->type) ? "MAXVALUE" : "MINVALUE",
                    def->max > type_max(def->type) ? def->max : def->min, type_sql_name(def->type));
    if (def->start < def->min)
        return DIAG(ERR_INVALID_PARAMETER_VALUE,
                    "START value (%" PRId64 ") cannot be less than MINVALUE (%" PRId64 ")",
                    def->start, def->min);
    if (def->start > def->max)
        return DIAG(ERR_INVALID_PARAMETER_VALUE,
                    "START value (%" PRId64 ") cannot be greater than MAXVALUE (%" PRId64 ")",
                    def->start, def->max);
    return 0;
}

static int
read_options(struct ddl_run *d, const struct ast_list *list, struct seq_options *o)
{
    int rc = 0;

    for (int32_t i = 0; i < ast_count(list) && rc == 0; i++)
        rc = read_option(d, AST_CONST(ast_option, list->item[i]), o);
    if (rc != 0)
        return rc;
    if (!o->has_max)
        o->def.max = o->def.increment > 0 ? type_max(o->def.type) : -1;
    if (!o->has_min)
        o->def.min = o->def.increment > 0 ? 1 : type_min(o->def.type);
    if (!o->has_start)
        o->def.start = o->def.increment > 0 ? o->def.min : o->def.max;
    return check_bounds(&o->def);
}

/* ---- making ------------------------------------------------------------------------------------
 */

static void
def_row(const struct sequence_def *def, struct datum row[SEQ_COUNT])
{
    row[SEQ_RELID] = datum_int(def->oid);
    row[SEQ_TYPID] = datum_int(def->type);
    row[SEQ_START] = datum_int(def->start);
    row[SEQ_INCREMENT] = datum_int(def->increment);
    row[SEQ_MAX] = datum_int(def->max);
    row[SEQ_MIN] = datum_int(def->min);
    row[SEQ_CACHE] = datum_int(def->cache);
    row[SEQ_CYCLE] = datum_bool(def->cycle);
}

static int
set_tree(struct ddl_run *d, oid_t oid)
{
    struct datum key = datum_int(oid), row[CLASS_COUNT];
    tree_id_t tree;
    int rc = txn_tree_create(d->txn, &tree);

    txn_command_done(d->txn);
    if (rc == 0)
        rc = sys_get(d->catalog, d->txn, SYS_CLASS, &key, NULL, d->arena, row);
    if (rc != 0)
        return rc;
    row[CLASS_RDTREE] = datum_int((int64_t)tree);
    return sys_update(d->catalog, d->txn, SYS_CLASS, row);
}

static int
make_sequence(struct ddl_run *d, oid_t schema, const char *name, struct sequence_def *def)
{
    const struct ddl_column columns[] = {
        [SEQ_STATE_LAST] = { .name = "last_value",
                             .type = TYPE_INT8,
                             .typmod = -1,
                             .not_null = true },
        [SEQ_STATE_LOG] = { .name = "log_cnt", .type = TYPE_INT8, .typmod = -1, .not_null = true },
        [SEQ_STATE_CALLED] = { .name = "is_called",
                               .type = TYPE_BOOL,
                               .typmod = -1,
                               .not_null = true },
    };
    struct ddl_table table = { .schema = schema,
                               .owner = d->s->role_oid,
                               .name = name,
                               .kind = CAT_SEQUENCE,
                               .column_count = SEQ_STATE_COUNT,
                               .columns = columns };
    struct sequence_state state = { .last = def->start };
    struct datum row[SEQ_COUNT];
    const struct cat_table *t;
    int rc = ddl_create_table(d->catalog, d->txn, &table, &def->oid);

    if (rc == 0)
        rc = set_tree(d, def->oid);
    if (rc != 0)
        return rc;
    def_row(def, row);
    rc = sys_insert(d->catalog, d->txn, SYS_SEQUENCE, row);
    if (rc == 0)
        rc = ddl_again(d, def->oid, &t);
    return rc != 0 ? rc : sequence_state_set(d->s, t, &state);
}

static struct sequence_def
default_def(oid_t type)
{
    return (struct sequence_def){ .type = type, .increment = 1, .cache = 1 };
}

int
ddl_column_sequence(struct ddl_run *d, oid_t schema, const char *schema_name, const char *table,
                    const char *column, const char *type, const struct ast_list *options,
                    oid_t *oid, const char **default_text)
{
    struct seq_options o = { .def = default_def(type_by_name(slice_str(type))->oid) };
    const char *name;
    int rc = read_options(d, options, &o);

    (void)schema_name;
    if (rc == 0)
        rc = ddl_free_name(d->catalog, d->txn, schema, table, column, "seq", d->arena, &name);
    if (rc == 0)
        rc = make_sequence(d, schema, name, &o.def);
    *oid = o.def.oid;
    *default_text = arena_printf(d->arena, "nextval('%u'::regclass)", *oid);
    return rc;
}

/* ---- owners ------------------------------------------------------------------------------------
 */

int
ddl_own_sequence(struct ddl_run *d, oid_t sequence, oid_t table, uint32_t column)
{
    const struct cat_table *t;
    int rc = ddl_again(d, sequence, &t);

    return rc != 0 ? rc
                   : ddl_set_options(d->catalog, d->txn, t,
                                     arena_printf(d->arena, "{owned_by=%u.%u}", table, column + 1));
}

/* column 0: those of any column. */
static int
owned_by(struct ddl_run *d, oid_t table, uint32_t column, oid_t **out, int *count)
{
    const char *wanted = column == 0 ? arena_printf(d->arena, "{owned_by=%u.", table)
                                     : arena_printf(d->arena, "{owned_by=%u.%u}", table, column);
    struct datum row[CLASS_COUNT];
    struct sys_scan scan;
    int cap = 0, rc;

    *out = NULL;
    *count = 0;
    txn_command_done(d->txn);
    rc = sys_scan_open(&scan, d->catalog, d->txn, SYS_CLASS, -1, NULL, 0, NULL, d->arena);
    while (rc == 0 && (rc = sys_scan_next(&scan, row)) == 0) {
        const char *options;

        if (row[CLASS_KIND].i != CAT_SEQUENCE || row[CLASS_OPTIONS].is_null)
            continue;
        options = type_out_str(TYPE_TEXT_ARRAY, NULL, d->arena, &row[CLASS_OPTIONS]);
        if (strncmp(options, wanted, strlen(wanted)) != 0)
            continue;
        if (*count == cap) {
            oid_t *more = ARENA_ARRAY(d->arena, oid_t, cap + 8);

            if (cap > 0)
                memcpy(more, *out, (size_t)cap * sizeof *more);
            *out = more;
            cap += 8;
        }
        (*out)[(*count)++] = (oid_t)row[CLASS_OID].i;
    }
    sys_scan_close(&scan);
    return rc == ERR_END ? 0 : rc;
}

int
ddl_owned_sequences(struct ddl_run *d, const struct cat_table *t, oid_t **out, int *count)
{
    return owned_by(d, t->oid, 0, out, count);
}

int
ddl_drop_sequence(struct ddl_run *d, const struct cat_table *sequence)
{
    struct datum key[SEQ_COUNT] = { [SEQ_RELID] = datum_int(sequence->oid) };
    int rc = sys_delete(d->catalog, d->txn, SYS_SEQUENCE, key);

    return rc != 0 ? rc : ddl_drop_table(d->catalog, d->txn, sequence);
}

int
ddl_drop_owned(struct ddl_run *d, const struct cat_table *t, uint32_t column)
{
    oid_t *oids;
    int count, rc = owned_by(d, t->oid, column + 1, &oids, &count);

    for (int i = 0; i < count && rc == 0; i++) {
        const struct cat_table *sequence;

        rc = ddl_again(d, oids[i], &sequence);
        if (rc == 0)
            rc = ddl_drop_sequence(d, sequence);
    }
    return rc;
}

int
ddl_restart_sequence(struct ddl_run *d, oid_t sequence)
{
    struct sequence_state state = { .called = false };
    const struct cat_table *t;
    struct sequence_def def;
    int rc = sequence_def_read(d->s, sequence, &def);

    if (rc == 0)
        rc = ddl_again(d, sequence, &t);
    state.last = def.start;
    return rc != 0 ? rc : sequence_state_set(d->s, t, &state);
}

/* ---- the statements ----------------------------------------------------------------------------
 */

static int
run_owned_by(struct ddl_run *d, oid_t sequence, const struct ast_list *name)
{
    struct ast_relation r = { .node = { AST_RELATION, -1 } };
    int32_t n = ast_count(name);
    const struct cat_table *t;
    uint32_t column;
    int rc;

    if (n == 1 && strcmp(AST_CONST(ast_name, name->item[0])->name, "none") == 0) {
        rc = ddl_again(d, sequence, &t);
        return rc != 0 ? rc : ddl_set_options(d->catalog, d->txn, t, "{}");
    }
    if (n < 2 || n > 3)
        return DIAG(ERR_SYNTAX, "invalid OWNED BY option");
    r.name = AST_CONST(ast_name, name->item[n - 2])->name;
    r.schema = n == 3 ? AST_CONST(ast_name, name->item[0])->name : NULL;
    rc = ddl_need_table(d, &r, &t);
    if (rc == 0)
        rc = ddl_need_column(t, AST_CONST(ast_name, name->item[n - 1])->name, &column);
    return rc != 0 ? rc : ddl_own_sequence(d, sequence, t->oid, column);
}

static int
create_sequence(struct ddl_run *d, const struct ast_sequence *a)
{
    struct seq_options o = { .def = default_def(TYPE_INT8) };
    const struct cat_table *there;
    const char *schema_name;
    struct cat_set *set;
    oid_t schema;
    int rc = sess_creation_schema(d->s, a->relation, &schema, &schema_name);

    if (rc == 0)
        rc = read_options(d, a->options, &o);
    if (rc == 0)
        rc = sess_set(d->s, &set);
    if (rc == 0)
        rc = cat_find_table(set, d->txn, schema, slice_str(a->relation->name), &there);
    if (rc == 0 && there != NULL && a->if_not_exists) {
        sess_notice(d->s, SQL_NOTICE, ERR_DUPLICATE_TABLE,
                    "relation \"%s\" already exists, skipping", a->relation->name);
        return 0;
    }
    if (rc == 0)
        rc = make_sequence(d, schema, a->relation->name, &o.def);
    return rc == 0 && o.owned_by != NULL ? run_owned_by(d, o.def.oid, o.owned_by) : rc;
}

static int
alter_sequence(struct ddl_run *d, const struct ast_sequence *a)
{
    struct seq_options o = { .has_start = true, .has_min = true, .has_max = true };
    struct sequence_state state;
    struct datum row[SEQ_COUNT];
    const struct cat_table *t;
    int rc = sess_need_table(d->s, a->relation, &t);

    if (rc == 0)
        rc = ddl_want_owner(d, t);
    if (rc == 0 && t->kind != CAT_SEQUENCE)
        rc = DIAG(ERR_WRONG_OBJECT_TYPE, "\"%s\" is not a sequence", t->name);
    if (rc == 0)
        rc = sequence_def_read(d->s, t->oid, &o.def);
    if (rc == 0)
        rc = read_options(d, a->options, &o);
    if (rc != 0)
        return rc;
    def_row(&o.def, row);
    rc = sys_update(d->catalog, d->txn, SYS_SEQUENCE, row);
    if (rc == 0 && o.restart) {
        state = (struct sequence_state){ .last = o.has_restart ? o.restart_at : o.def.start };
        if (state.last < o.def.min || state.last > o.def.max)
            return DIAG(ERR_INVALID_PARAMETER_VALUE,
                        "RESTART value (%" PRId64 ") cannot be %s (%" PRId64 ")", state.last,
                        state.last < o.def.min ? "less than MINVALUE" : "greater than MAXVALUE",
                        state.last < o.def.min ? o.def.min : o.def.max);
        rc = sequence_state_set(d->s, t, &state);
    }
    return rc == 0 && o.owned_by != NULL ? run_owned_by(d, o.def.oid, o.owned_by) : rc;
}

static int
find_sequence(struct ddl_run *d, const void *arg)
{
    const struct ast_sequence *a = arg;
    const struct cat_table *t;
    bool exists;
    int rc = 0;

    if (a->node.kind == AST_ALTER_SEQUENCE)
        rc = sess_find_table(d->s, a->relation->schema, a->relation->name, &t, &exists);
    if (rc == 0 && a->node.kind == AST_ALTER_SEQUENCE && t != NULL)
        ddl_will_lock(d, t->oid);
    return rc;
}

int
ddl_run_sequence(struct ddl_run *d, const struct ast_sequence *a)
{
    int rc = 0;

    if (a->persistence == AST_TEMPORARY)
        return DIAG(ERR_NOT_SUPPORTED, "temporary sequences are not supported");
    rc = ddl_begin_with(d, find_sequence, a);
    if (rc != 0)
        return rc;
    rc = a->node.kind == AST_CREATE_SEQUENCE ? create_sequence(d, a) : alter_sequence(d, a);
    ddl_finish(d);
    return rc;
}
