/* What the files that run DDL share. They turn a statement into calls of engine/catalog/ddl.h, and
 * do to the data what the catalogue leaves to SQL: filling indexes, rewriting tables, checking
 * rows.
 *
 * Every one of them follows the same course: the tables are found, locked, and then found again in
 * a statement whose snapshot has all that the locks waited for (ddl_begin); after each change of
 * the catalogue the descriptions are fetched anew (ddl_again).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_DDL_SQL_INT_H
#define ENGINE_SQL_DDL_SQL_INT_H

#include "engine/catalog/ddl.h"
#include "engine/sql/bind.h"
#include "engine/sql/session_int.h"

/* One DDL statement being run. A statement of the transaction is open between ddl_begin and
 * ddl_end. Memory: the message arena. */
struct ddl_run {
    struct sql_session *s;
    struct slice text; /* what the statement was parsed from */
    struct arena *arena;
    struct catalog *catalog;
    struct txn *txn;
    int lock_count, lock_cap;
    oid_t *locks; /* tables to be locked ACCESS EXCLUSIVE */
};

/* ---- ddl_run.c ------------------------------------------------------------------------------- */

/* Adds a table to those that ddl_begin locks. In a statement. */
void ddl_will_lock(struct ddl_run *d, oid_t oid);
/* Looks with `find` which tables are concerned (it calls ddl_will_lock), locks them, and opens the
 * statement. Repeats should the names mean other tables by then. */
MUST_CHECK
int ddl_begin_with(struct ddl_run *d, int (*find)(struct ddl_run *d, const void *arg),
                   const void *arg);
MUST_CHECK
int ddl_begin_plain(struct ddl_run *d);
void ddl_finish(struct ddl_run *d);
/* The description after a change. */
MUST_CHECK
int ddl_again(struct ddl_run *d, oid_t oid, const struct cat_table **out);
/* 42501 `must be owner of table x`. */
MUST_CHECK
int ddl_want_owner(struct ddl_run *d, const struct cat_table *t);
/* A table by its name in the statement, that the role owns and that is no part of the catalogue. */
MUST_CHECK
int ddl_need_table(struct ddl_run *d, const struct ast_relation *r, const struct cat_table **out);
/* The column's index, or 42703 `column "x" of relation "t" does not exist`. */
MUST_CHECK
int ddl_need_column(const struct cat_table *t, const char *name, uint32_t *out);
bool ddl_find_column(const struct cat_table *t, const char *name, uint32_t *out);
struct exec_ctx *ddl_ctx(struct ddl_run *d);
/* Part of the statement's text, without blanks around it. */
const char *ddl_text_of(struct ddl_run *d, int32_t at, int32_t end);
/* WITH (...): as reloptions text, or NULL. 22023 for what is not known. */
MUST_CHECK
int ddl_options(struct ddl_run *d, const struct ast_list *options, const char **out);
MUST_CHECK
int ddl_refuse_tablespace(const char *tablespace);

/* ---- ddl_expr.c ------------------------------------------------------------------------------ */

/* Binds an expression over the table's columns, as one over its rows' values: EXPR_COLUMN i is
 * column i. table NULL: over nothing. */
MUST_CHECK
int ddl_bind_expr(struct ddl_run *d, const struct ast *e, const struct cat_table *table,
                  const char *what, struct sql_type type, const char *column, struct expr **out);
MUST_CHECK
int ddl_bind_text(struct ddl_run *d, const char *text, const struct cat_table *table,
                  const char *what, struct sql_type type, const char *column, struct expr **out);
/* Its value over a row (values may be NULL), in the arena. */
MUST_CHECK
int ddl_eval(struct ddl_run *d, const struct expr *e, const struct datum *values, struct arena *a,
             struct datum *out);
/* The one column that it mentions; -1: none or several. */
int ddl_only_column(const struct expr *e);
bool ddl_uses_column(const struct expr *e, int32_t column);

/* ---- ddl_column.c ---------------------------------------------------------------------------- */

/* A column as the statement defines it, with the constraints that become objects of their own. */
struct ddl_column_plan {
    struct ddl_column column;
    const struct ast *default_expr;
    const char *sequence_type; /* "int4" …: SERIAL or IDENTITY; NULL: neither */
    const struct ast_list *sequence_options;
    bool null_said;
    struct ast_list *constraints; /* of ast_constraint: PRIMARY, UNIQUE, CHECK, FOREIGN */
};
MUST_CHECK
int ddl_read_column(struct ddl_run *d, const struct ast_column_def *def,
                    struct ddl_column_plan *out);

/* ---- ddl_constraint.c ------------------------------------------------------------------------ */

/* Adds one constraint to a table that is there; `column`: the one it was written on, or NULL.
 * Existing rows are checked. The table's description is to be fetched anew afterwards. */
MUST_CHECK
int ddl_add_constraint(struct ddl_run *d, const struct cat_table *t, const struct ast_constraint *c,
                       const char *column);
/* The columns of a key, from names; or of the column alone. */
MUST_CHECK
int ddl_key_columns(struct ddl_run *d, const struct cat_table *t, const struct ast_list *names,
                    const char *column, struct ddl_key_column **out, uint32_t *count);
MUST_CHECK
int ddl_primary_name(struct ddl_run *d, oid_t schema, const char *table,
                     const struct ast_constraint *c, const char **out);
/* Refuses what constraints cannot be here. */
MUST_CHECK
int ddl_check_constraint(const struct ast_constraint *c);
MUST_CHECK
int ddl_drop_named_constraint(struct ddl_run *d, const struct cat_table *t, const char *name,
                              bool if_exists, bool cascade);
/* Foreign keys that rest on the index are dropped with cascade, or are in the way. */
MUST_CHECK
int ddl_drop_references(struct ddl_run *d, const struct cat_table *t, oid_t index, bool cascade,
                        const char *what);
/* Rows without a null in the column, or 23502. */
MUST_CHECK
int ddl_verify_not_null(struct ddl_run *d, const struct cat_table *t, uint32_t column);
MUST_CHECK
int ddl_verify_check(struct ddl_run *d, const struct cat_table *t, const struct expr *check,
                     const char *name);

/* ---- ddl_rewrite.c --------------------------------------------------------------------------- */

/* A table's rows go into a new tree, with all its indexes. */
struct ddl_rewrite {
    const struct ddl_key_column *primary; /* the clustering from now on; count 0: none */
    uint32_t primary_count;
    const char *primary_name;
    const struct ddl_column *columns; /* new types, or NULL */
    /* Column `column` of each row becomes `value` over the old row (EXPR_COLUMNs). */
    const struct expr *value;
    uint32_t column;
};
MUST_CHECK
int ddl_rewrite(struct ddl_run *d, const struct cat_table *t, const struct ddl_rewrite *r);
/* The table's primary key as ddl.h wants it. */
struct ddl_key_column *ddl_primary_of(struct ddl_run *d, const struct cat_table *t,
                                      uint32_t *count);

/* ---- the statements -------------------------------------------------------------------------- */

MUST_CHECK
int ddl_run_create_table(struct ddl_run *d, const struct ast_create_table *a);
MUST_CHECK
int ddl_run_create_table_as(struct ddl_run *d, const struct ast_create_table_as *a,
                            char tag[TAG_MAX]);
MUST_CHECK
int ddl_run_create_view(struct ddl_run *d, const struct ast_create_view *a);
MUST_CHECK
int ddl_run_create_index(struct ddl_run *d, const struct ast_create_index *a);
MUST_CHECK
int ddl_run_alter_table(struct ddl_run *d, const struct ast_alter_table *a);
MUST_CHECK
int ddl_set_owner(struct ddl_run *d, const struct cat_table *t, const char *role);
MUST_CHECK
int ddl_run_rename(struct ddl_run *d, const struct ast_rename *a);
MUST_CHECK
int ddl_run_drop(struct ddl_run *d, const struct ast_drop *a);
MUST_CHECK
int ddl_run_truncate(struct ddl_run *d, const struct ast_truncate *a);
MUST_CHECK
int ddl_run_role(struct ddl_run *d, const struct ast_role *a);
MUST_CHECK
int ddl_run_create_schema(struct ddl_run *d, const struct ast_create_named *a);
MUST_CHECK
int ddl_constraint_oid(struct ddl_run *d, const struct cat_table *t, const char *name, oid_t *oid);
MUST_CHECK
int ddl_run_comment(struct ddl_run *d, const struct ast_comment *a);
MUST_CHECK
int ddl_run_sequence(struct ddl_run *d, const struct ast_sequence *a);

/* ---- ddl_sequence.c -------------------------------------------------------------------------- */

/* Makes the sequence of a serial or identity column and gives its default: nextval('…'). */
MUST_CHECK
int ddl_column_sequence(struct ddl_run *d, oid_t schema, const char *schema_name, const char *table,
                        const char *column, const char *type, const struct ast_list *options,
                        oid_t *oid, const char **default_text);
/* Says whose column it is: it is dropped with it. */
MUST_CHECK
int ddl_own_sequence(struct ddl_run *d, oid_t sequence, oid_t table, uint32_t column);
/* The sequences that a table's columns own, in the arena. */
MUST_CHECK
int ddl_owned_sequences(struct ddl_run *d, const struct cat_table *t, oid_t **out, int *count);
/* Drops those that the column owns. */
MUST_CHECK
int ddl_drop_owned(struct ddl_run *d, const struct cat_table *t, uint32_t column);
MUST_CHECK
int ddl_restart_sequence(struct ddl_run *d, oid_t sequence);
MUST_CHECK
int ddl_drop_sequence(struct ddl_run *d, const struct cat_table *sequence);

#endif
