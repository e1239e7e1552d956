/* CREATE TABLE, CREATE TABLE AS, CREATE VIEW.
 *
 * A table is made with its columns and its primary key; its other constraints are then added as
 * ALTER TABLE would.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "engine/sql/ddl_sql_int.h"
#include "engine/sql/exec_int.h"

/* ---- columns -----------------------------------------------------------------------------------
 */

static int
refuse_collation(const struct ast_constraint *c)
{
    int32_t n = ast_count(c->columns);
    const char *name = n > 0 ? AST_CONST(ast_name, c->columns->item[n - 1])->name : "";

    if (strcmp(name, "default") == 0 || strcmp(name, "C") == 0 || strcmp(name, "POSIX") == 0)
        return 0;
    return DIAG(ERR_NOT_SUPPORTED, "collation \"%s\" is not supported", name);
}

static int
read_default(struct ddl_run *d, const struct ast_constraint *c, const char *table,
             struct ddl_column_plan *out)
{
    if (out->column.default_text != NULL || out->sequence_type != NULL)
        return DIAG(ERR_SYNTAX,
                    "multiple default values specified for column \"%s\" of table "
                    "\"%s\"",
                    out->column.name, table);
    out->default_expr = c->expr;
    out->column.default_text = ddl_text_of(d, c->expr_at, c->expr_end);
    return 0;
}

static int
read_identity(const struct ast_constraint *c, struct ddl_column_plan *out)
{
    static const struct {
        oid_t oid;
        const char *name;
    } types[] = { { TYPE_INT2, "int2" }, { TYPE_INT4, "int4" }, { TYPE_INT8, "int8" } };

    if (out->column.default_text != NULL)
        return DIAG(ERR_SYNTAX, "both default and identity specified for column \"%s\"",
                    out->column.name);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].oid == out->column.type)
            out->sequence_type = types[i].name;
    if (out->sequence_type == NULL)
        return DIAG(ERR_INVALID_PARAMETER_VALUE,
                    "identity column type must be smallint, integer, or bigint");
    out->column.identity = c->identity_always ? 'a' : 'd';
    out->column.not_null = true;
    out->sequence_options = c->sequence;
    return 0;
}

static struct ast_list *
list_append(struct arena *a, struct ast_list *l, struct ast *item)
{
    struct ast_list *more = ARENA_NEW(a, struct ast_list);

    more->count = more->capacity = ast_count(l) + 1;
    more->item = ARENA_ARRAY(a, struct ast *, more->count);
    if (l != NULL && l->count > 0)
        memcpy(more->item, l->item, (size_t)l->count * sizeof *more->item);
    more->item[more->count - 1] = item;
    return more;
}

static int
read_constraint(struct ddl_run *d, struct ast_constraint *c, struct ddl_column_plan *out)
{
    switch (c->constraint) {
    case AST_CON_NULL:
        out->null_said = true;
        return 0;
    case AST_CON_NOT_NULL:
        out->column.not_null = true;
        return 0;
    case AST_CON_DEFAULT:
        return read_default(d, c, "", out);
    case AST_CON_IDENTITY:
        return read_identity(c, out);
    case AST_CON_COLLATE:
        return refuse_collation(c);
    case AST_CON_PRIMARY:
        out->column.not_null = true;
        out->constraints = list_append(d->arena, out->constraints, &c->node);
        return 0;
    case AST_CON_UNIQUE:
    case AST_CON_CHECK:
    case AST_CON_FOREIGN:
        out->constraints = list_append(d->arena, out->constraints, &c->node);
        return 0;
    default:
        return DIAG(ERR_NOT_SUPPORTED, "this kind of constraint is not supported");
    }
}

int
ddl_read_column(struct ddl_run *d, const struct ast_column_def *def, struct ddl_column_plan *out)
{
    struct ast_type_name plain = *def->type;
    struct sql_type type;
    int rc;

    plain.is_serial = false; /* SERIAL is its integer type and more */
    rc = sql_bind_type(d->text, &plain, &type);
    *out = (struct ddl_column_plan){ .column = { .name = def->name } };
    if (rc != 0)
        return rc;
    out->column.type = type.oid;
    out->column.typmod = type.typmod;
    if (type_get(type.oid)->is_pseudo)
        return DIAG(ERR_INVALID_TABLE_DEFINITION, "column \"%s\" has pseudo-type %s", def->name,
                    type_sql_name(type.oid));
    if (def->type->is_serial) {
        out->sequence_type = def->type->name;
        out->column.not_null = true;
    }
    for (int32_t i = 0; i < ast_count(def->constraints) && rc == 0; i++)
        rc = read_constraint(d, AST_AS(ast_constraint, def->constraints->item[i]), out);
    if (rc == 0 && out->null_said && out->column.not_null)
        rc =
            DIAG(ERR_SYNTAX, "conflicting NULL/NOT NULL declarations for column \"%s\"", def->name);
    return rc;
}

/* ---- the table as a whole ----------------------------------------------------------------------
 */

/* A constraint and the column that it was written on. */
struct pending {
    const struct ast_constraint *constraint;
    const char *column;
};
struct table_plan {
    struct ddl_run *d;
    const struct ast_create_table *a;
    struct ddl_table table;
    struct ddl_column_plan *columns;
    struct ddl_column *plain;
    const char *schema_name;
    struct ddl_key_column *primary;
    struct pending *pending;
    int pending_count;
    oid_t *sequences; /* by column; 0: none */
};

static int
find_in_plan(const struct table_plan *p, const char *name, uint16_t *out)
{
    for (uint16_t i = 0; i < p->table.column_count; i++) {
        if (strcmp(p->columns[i].column.name, name) == 0) {
            *out = i;
            return 0;
        }
    }
    return DIAG(ERR_UNDEFINED_COLUMN, "column \"%s\" named in key does not exist", name);
}

static int
plan_primary(struct table_plan *p, const struct ast_constraint *c, const char *column)
{
    uint32_t count = column != NULL ? 1 : (uint32_t)ast_count(c->columns);
    int rc = ddl_check_constraint(c);

    if (p->table.primary_count > 0)
        return DIAG(ERR_INVALID_TABLE_DEFINITION,
                    "multiple primary keys for table \"%s\" are not allowed", p->table.name);
    p->primary = ARENA_ARRAY(p->d->arena, struct ddl_key_column, count + 1);
    for (uint32_t i = 0; i < count && rc == 0; i++) {
        const char *name = column != NULL ? column : AST_CONST(ast_name, c->columns->item[i])->name;

        rc = find_in_plan(p, name, &p->primary[i].column);
        for (uint32_t k = 0; k < i && rc == 0; k++)
            if (p->primary[k].column == p->primary[i].column)
                rc = DIAG(ERR_DUPLICATE_COLUMN,
                          "column \"%s\" appears twice in primary key constraint", name);
        if (rc == 0)
            p->columns[p->primary[i].column].column.not_null = true;
    }
    p->table.primary = p->primary;
    p->table.primary_count = count;
    return rc != 0
               ? rc
               : ddl_primary_name(p->d, p->table.schema, p->table.name, c, &p->table.primary_name);
}

static int
plan_constraint(struct table_plan *p, const struct ast_constraint *c, const char *column)
{
    if (c->constraint == AST_CON_PRIMARY)
        return plan_primary(p, c, column);
    p->pending[p->pending_count++] = (struct pending){ c, column };
    return ddl_check_constraint(c);
}

static int
plan_columns(struct table_plan *p)
{
    int32_t count = ast_count(p->a->elements), pending = 0;
    int rc = 0;

    p->columns = ARENA_ARRAY(p->d->arena, struct ddl_column_plan, count + 1);
    for (int32_t i = 0; i < count && rc == 0; i++) {
        const struct ast *e = p->a->elements->item[i];
        struct ddl_column_plan *c = &p->columns[p->table.column_count];

        if (e->kind != AST_COLUMN_DEF) {
            pending++;
            continue;
        }
        if (p->table.column_count >= ROW_COLUMNS_MAX)
            return DIAG(ERR_TOO_MANY_COLUMNS, "tables can have at most %d columns",
                        ROW_COLUMNS_MAX);
        rc = ddl_read_column(p->d, AST_CONST(ast_column_def, e), c);
        if (rc != 0)
            return rc;
        for (uint32_t k = 0; k < p->table.column_count; k++)
            if (strcmp(p->columns[k].column.name, c->column.name) == 0)
                return DIAG(ERR_DUPLICATE_COLUMN, "column \"%s\" specified more than once",
                            c->column.name);
        pending += ast_count(c->constraints);
        p->table.column_count++;
    }
    p->pending = ARENA_ARRAY(p->d->arena, struct pending, pending + 1);
    return rc;
}

static int
plan_constraints(struct table_plan *p)
{
    int rc = 0;

    for (uint32_t i = 0; i < p->table.column_count && rc == 0; i++)
        for (int32_t k = 0; k < ast_count(p->columns[i].constraints) && rc == 0; k++)
            rc = plan_constraint(p, AST_CONST(ast_constraint, p->columns[i].constraints->item[k]),
                                 p->columns[i].column.name);
    for (int32_t i = 0; i < ast_count(p->a->elements) && rc == 0; i++)
        if (p->a->elements->item[i]->kind == AST_CONSTRAINT)
            rc = plan_constraint(p, AST_CONST(ast_constraint, p->a->elements->item[i]), NULL);
    return rc;
}

static int
plan_defaults(struct table_plan *p)
{
    struct expr *ignored;
    int rc = 0;

    p->plain = ARENA_ARRAY(p->d->arena, struct ddl_column, p->table.column_count + 1);
    p->sequences = ARENA_ARRAY(p->d->arena, oid_t, p->table.column_count + 1);
    for (uint32_t i = 0; i < p->table.column_count && rc == 0; i++) {
        struct ddl_column_plan *c = &p->columns[i];
        struct sql_type type = { c->column.type, c->column.typmod };

        if (c->default_expr != NULL)
            rc = ddl_bind_expr(p->d, c->default_expr, NULL, "DEFAULT expressions", type,
                               c->column.name, &ignored);
        if (rc == 0 && c->sequence_type != NULL)
            rc = ddl_column_sequence(p->d, p->table.schema, p->schema_name, p->table.name,
                                     c->column.name, c->sequence_type, c->sequence_options,
                                     &p->sequences[i], &c->column.default_text);
        p->plain[i] = c->column;
    }
    p->table.columns = p->plain;
    return rc;
}

static int
add_rest(struct table_plan *p, oid_t oid)
{
    int rc = 0;

    for (uint32_t i = 0; i < p->table.column_count && rc == 0; i++)
        if (p->sequences[i] != 0)
            rc = ddl_own_sequence(p->d, p->sequences[i], oid, i);
    for (int i = 0; i < p->pending_count && rc == 0; i++) {
        const struct cat_table *t;

        rc = ddl_again(p->d, oid, &t);
        if (rc == 0)
            rc = ddl_add_constraint(p->d, t, p->pending[i].constraint, p->pending[i].column);
    }
    return rc;
}

static int
check_kind(const struct ast_create_table *a)
{
    if (a->persistence == AST_TEMPORARY)
        return DIAG(ERR_NOT_SUPPORTED, "temporary tables are not supported");
    if (a->on_commit != AST_ON_COMMIT_NONE)
        return DIAG(ERR_INVALID_TABLE_DEFINITION, "ON COMMIT can only be used on temporary tables");
    if (a->access_method != NULL && strcmp(a->access_method, "heap") != 0)
        return DIAG(ERR_UNDEFINED_OBJECT, "access method \"%s\" does not exist", a->access_method);
    return ddl_refuse_tablespace(a->tablespace);
}

/* Whether the name is taken: with IF NOT EXISTS that is only worth a notice. */
static int
check_free(struct ddl_run *d, oid_t schema, const char *name, bool if_not_exists, bool *exists)
{
    const struct cat_table *t;
    struct cat_set *set;
    int rc = sess_set(d->s, &set);

    *exists = false;
    if (rc == 0)
        rc = cat_find_table(set, d->txn, schema, slice_str(name), &t);
    if (rc != 0 || t == NULL)
        return rc;
    if (!if_not_exists)
        return DIAG(ERR_DUPLICATE_TABLE, "relation \"%s\" already exists", name);
    sess_notice(d->s, SQL_NOTICE, ERR_DUPLICATE_TABLE, "relation \"%s\" already exists, skipping",
                name);
    *exists = true;
    return 0;
}

static int
create_table(struct table_plan *p)
{
    struct ddl_run *d = p->d;
    bool exists;
    oid_t oid;
    int rc = sess_creation_schema(d->s, p->a->relation, &p->table.schema, &p->schema_name);

    if (rc == 0)
        rc = check_free(d, p->table.schema, p->table.name, p->a->if_not_exists, &exists);
    if (rc != 0 || exists)
        return rc;
    rc = plan_columns(p);
    if (rc == 0)
        rc = plan_constraints(p);
    if (rc == 0)
        rc = plan_defaults(p);
    if (rc == 0)
        rc = ddl_options(d, p->a->options, &p->table.options);
    if (rc == 0)
        rc = ddl_create_table(d->catalog, d->txn, &p->table, &oid);
    return rc != 0 ? rc : add_rest(p, oid);
}

/* Tables that foreign keys refer to are locked: their descriptions change too. */
static int
lock_referenced(struct ddl_run *d, const struct ast_list *constraints, const char *own)
{
    for (int32_t i = 0; i < ast_count(constraints); i++) {
        const struct ast_constraint *c = AST_CONST(ast_constraint, constraints->item[i]);
        const struct cat_table *t;
        int rc;

        if (c->node.kind != AST_CONSTRAINT || c->constraint != AST_CON_FOREIGN ||
            strcmp(c->ref->name, own) == 0)
            continue;
        rc = sess_need_table(d->s, c->ref, &t);
        if (rc != 0)
            return rc;
        ddl_will_lock(d, t->oid);
    }
    return 0;
}

static int
find_referenced(struct ddl_run *d, const void *arg)
{
    const struct ast_create_table *a = arg;
    int rc = lock_referenced(d, a->elements, a->relation->name);

    for (int32_t i = 0; i < ast_count(a->elements) && rc == 0; i++)
        if (a->elements->item[i]->kind == AST_COLUMN_DEF)
            rc = lock_referenced(d, AST_CONST(ast_column_def, a->elements->item[i])->constraints,
                                 a->relation->name);
    return rc;
}

int
ddl_run_create_table(struct ddl_run *d, const struct ast_create_table *a)
{
    struct table_plan p = {
        .d = d,
        .a = a,
        .table = { .owner = d->s->role_oid, .name = a->relation->name, .kind = CAT_TABLE }
    };
    int rc = check_kind(a);

    if (rc == 0)
        rc = ddl_begin_with(d, find_referenced, a);
    if (rc != 0)
        return rc;
    rc = create_table(&p);
    ddl_finish(d);
    return rc;
}

/* ---- CREATE TABLE AS ---------------------------------------------------------------------------
 */

static int
result_columns(struct ddl_run *d, const struct plan *plan, const struct ast_list *names,
               struct ddl_table *table)
{
    int32_t count = plan->result_count, named = ast_count(names);
    struct ddl_column *columns = ARENA_ARRAY(d->arena, struct ddl_column, count + 1);

    if (named > count)
        return DIAG(ERR_SYNTAX, "too many column names were specified");
    for (int32_t i = 0; i < count; i++) {
        oid_t type = plan->results[i].type.oid;

        columns[i] = (struct ddl_column){
            .name = i < named ? AST_CONST(ast_name, names->item[i])->name : plan->results[i].name,
            .type = type == TYPE_UNKNOWN ? (oid_t)TYPE_TEXT : type,
            .typmod = plan->results[i].type.typmod,
        };
        for (int32_t k = 0; k < i; k++)
            if (strcmp(columns[k].name, columns[i].name) == 0)
                return DIAG(ERR_DUPLICATE_COLUMN, "column \"%s\" specified more than once",
                            columns[i].name);
    }
    table->columns = columns;
    table->column_count = (uint32_t)count;
    return 0;
}

static int
insert_batch(struct write_target *w, const struct batch *b)
{
    struct datum *row = ARENA_ARRAY(w->arena, struct datum, b->col_count + 1);
    enum write_outcome outcome;
    int rc = 0;

    for (uint32_t i = 0; i < b->sel_count && rc == 0; i++) {
        struct arena_mark mark = arena_mark(w->arena);

        for (uint32_t c = 0; c < b->col_count; c++)
            row[c] = vec_get(&b->cols[c], batch_row(b, i));
        rc = write_insert(w, row, false, &outcome, NULL, NULL);
        arena_rewind(w->arena, mark);
    }
    return rc;
}

/* The query's rows into the new table. */
static int
fill_table(struct ddl_run *d, struct shared_plan *p, oid_t oid, uint64_t *rows)
{
    struct exec_ctx ctx = *sess_ctx(d->s, p->plan->set, NULL, 0);
    const struct cat_table *t;
    const struct batch *b;
    struct arena arena;
    struct exec *x;
    int rc = ddl_again(d, oid, &t);

    if (rc == 0)
        rc = exec_open(p->plan, &ctx, &x);
    if (rc != 0)
        return rc;
    arena_init(&arena, &d->s->memory);
    while ((rc = exec_next(x, &b)) == 0) {
        struct write_target w = { .ctx = &ctx, .table = t, .arena = &arena };

        arena_reset(&arena);
        rc = insert_batch(&w, b);
        if (rc != 0)
            break;
        *rows += b->sel_count;
    }
    exec_close(x);
    arena_fini(&arena);
    return rc == ERR_END ? 0 : rc;
}

static int
create_as(struct ddl_run *d, const struct ast_create_table_as *a, struct shared_plan *p,
          uint64_t *rows, bool *exists)
{
    struct ddl_table table = { .owner = d->s->role_oid,
                               .name = a->relation->name,
                               .kind = CAT_TABLE };
    const char *schema;
    oid_t oid;
    int rc = sess_creation_schema(d->s, a->relation, &table.schema, &schema);

    if (rc == 0)
        rc = check_free(d, table.schema, table.name, a->if_not_exists, exists);
    if (rc != 0 || *exists)
        return rc;
    rc = result_columns(d, p->plan, a->columns, &table);
    if (rc == 0)
        rc = ddl_options(d, a->options, &table.options);
    if (rc == 0)
        rc = ddl_create_table(d->catalog, d->txn, &table, &oid);
    if (rc == 0 && !a->with_no_data)
        rc = fill_table(d, p, oid, rows);
    return rc;
}

int
ddl_run_create_table_as(struct ddl_run *d, const struct ast_create_table_as *a, char tag[TAG_MAX])
{
    struct plan_source source = { .text = d->text, .tree = a->query, .is_inner = true };
    struct shared_plan *p = NULL;
    uint64_t rows = 0;
    bool exists = false;
    int rc;

    if (a->persistence == AST_TEMPORARY || a->materialized_view)
        return DIAG(ERR_NOT_SUPPORTED, a->materialized_view ? "materialized views are not supported"
                                                            : "temporary tables are not supported");
    if (!sess_kind_is_planned(a->query->kind))
        return DIAG(ERR_NOT_SUPPORTED, "CREATE TABLE AS of this statement is not supported");
    rc = sess_plan_open(d->s, &source, &p);
    if (rc != 0) {
        shared_plan_unref(p);
        return rc;
    }
    rc = create_as(d, a, p, &rows, &exists);
    if (rc == 0 && !exists && !a->with_no_data)
        snprintf(tag, TAG_MAX, "SELECT %" PRIu64, rows);
    ddl_finish(d);
    shared_plan_unref(p);
    return rc;
}

/* ---- CREATE VIEW -------------------------------------------------------------------------------
 */

static int
create_view(struct ddl_run *d, const struct ast_create_view *a, const struct plan *plan)
{
    struct ddl_table table = { .owner = d->s->role_oid,
                               .name = a->relation->name,
                               .kind = CAT_VIEW,
                               .view_text = ddl_text_of(d, a->query_at, a->query_end) };
    const char *schema;
    bool exists;
    oid_t oid;
    int rc = sess_creation_schema(d->s, a->relation, &table.schema, &schema);

    if (rc == 0)
        rc = check_free(d, table.schema, table.name, false, &exists);
    if (rc == 0)
        rc = result_columns(d, plan, a->columns, &table);
    return rc != 0 ? rc : ddl_create_table(d->catalog, d->txn, &table, &oid);
}

int
ddl_run_create_view(struct ddl_run *d, const struct ast_create_view *a)
{
    struct plan_source source = { .text = d->text, .tree = a->query, .is_inner = true };
    struct shared_plan *p = NULL;
    int rc;

    if (a->persistence == AST_TEMPORARY || a->recursive || a->or_replace)
        return DIAG(ERR_NOT_SUPPORTED, "%s views are not supported",
                    a->or_replace  ? "CREATE OR REPLACE of"
                    : a->recursive ? "recursive"
                                   : "temporary");
    if (a->query->kind != AST_SELECT)
        return DIAG(ERR_NOT_SUPPORTED, "views of this statement are not supported");
    rc = sess_plan_open(d->s, &source, &p);
    if (rc != 0) {
        shared_plan_unref(p);
        return rc;
    }
    if (p->plan->param_count > 0)
        rc = DIAG(ERR_UNDEFINED_PARAMETER, "there is no parameter $1");
    if (rc == 0)
        rc = create_view(d, a, p->plan);
    ddl_finish(d);
    shared_plan_unref(p);
    return rc;
}
