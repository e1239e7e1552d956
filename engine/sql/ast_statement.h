/* The syntax tree, continued: statements that are not queries, and their parts.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_AST_STATEMENT_H
#define ENGINE_SQL_AST_STATEMENT_H

#include "engine/sql/ast.h"

/* ---- sessions and transactions ------------------------------------------------------------- */

enum ast_transaction_op {
    AST_TX_BEGIN,
    AST_TX_COMMIT,
    AST_TX_ROLLBACK,
    AST_TX_SAVEPOINT,
    AST_TX_RELEASE,
    AST_TX_ROLLBACK_TO,
    AST_TX_SET,         /* SET TRANSACTION modes */
    AST_TX_SET_SESSION, /* SET SESSION CHARACTERISTICS AS TRANSACTION modes */
    AST_TX_PREPARE,     /* two-phase commit: not supported */
    AST_TX_COMMIT_PREPARED,
    AST_TX_ROLLBACK_PREPARED,
};
enum ast_isolation {
    AST_ISOLATION_DEFAULT,
    AST_ISOLATION_READ_UNCOMMITTED,
    AST_ISOLATION_READ_COMMITTED,
    AST_ISOLATION_REPEATABLE_READ,
    AST_ISOLATION_SERIALIZABLE,
};
struct ast_tx_modes {
    enum ast_isolation isolation;
    int8_t read_only;     /* -1: not said, 0: READ WRITE, 1: READ ONLY */
    int8_t deferrable;    /* -1: not said */
    const char *snapshot; /* SET TRANSACTION SNAPSHOT 'x' */
};
struct ast_transaction {
    struct ast node;
    enum ast_transaction_op op;
    bool is_start, is_end_word; /* START TRANSACTION, not BEGIN; END or ABORT */
    bool chain;                 /* AND CHAIN */
    struct ast_tx_modes modes;
    const char *name; /* savepoint, or prepared transaction */
};
enum ast_set_kind {
    AST_SET_VALUE,
    AST_SET_TO_DEFAULT,
    AST_SET_FROM_CURRENT,
    AST_SET_RESET,
    AST_SET_RESET_ALL
};
struct ast_set {
    struct ast node;
    enum ast_set_kind set;
    bool local;
    const char *name;        /* lower case; "timezone" for TIME ZONE; a.b for custom ones */
    struct ast_list *values; /* literals, names (ast_name), casts (INTERVAL '1' ...) */
};
struct ast_show {
    struct ast node;
    const char *name; /* NULL: ALL */
};
enum ast_discard_what {
    AST_DISCARD_ALL,
    AST_DISCARD_PLANS,
    AST_DISCARD_SEQUENCES,
    AST_DISCARD_TEMP
};
struct ast_discard {
    struct ast node;
    enum ast_discard_what what;
};
struct ast_prepare {
    struct ast node;
    const char *name;
    struct ast_list *types; /* of ast_type_name */
    struct ast *statement;
    int32_t statement_at, statement_end; /* its text: bytes [at, end) of the query */
};
struct ast_execute {
    struct ast node;
    const char *name;
    struct ast_list *args;
};
struct ast_deallocate {
    struct ast node;
    const char *name; /* NULL: ALL */
};
struct ast_explain {
    struct ast node;
    struct ast_list *options; /* of ast_option; old-style ANALYZE and VERBOSE come here too */
    struct ast *statement;
};
struct ast_declare_cursor {
    struct ast node;
    const char *name;
    bool binary, insensitive, scroll, no_scroll, hold;
    struct ast *query;
    int32_t query_at, query_end;
};
enum ast_fetch_dir {
    AST_FETCH_FORWARD,
    AST_FETCH_BACKWARD,
    AST_FETCH_ABSOLUTE,
    AST_FETCH_RELATIVE
};
struct ast_fetch {
    struct ast node;
    const char *name;
    bool move;
    enum ast_fetch_dir dir;
    int64_t count; /* INT64_MAX: ALL */
};
struct ast_close {
    struct ast node;
    const char *name; /* NULL: ALL */
};

/* ---- COPY ---------------------------------------------------------------------------------- */

struct ast_copy {
    struct ast node;
    struct ast_relation *relation; /* or query */
    struct ast_list *columns;      /* of ast_name */
    struct ast *query;
    bool from; /* COPY ... FROM */
    bool program;
    const char *file;         /* NULL: STDIN or STDOUT */
    struct ast_list *options; /* of ast_option, old style put into the same names */
    struct ast *where;
};

/* ---- definitions --------------------------------------------------------------------------- */

enum ast_constraint_kind {
    AST_CON_NULL,
    AST_CON_NOT_NULL,
    AST_CON_DEFAULT,
    AST_CON_IDENTITY,
    AST_CON_CHECK,
    AST_CON_PRIMARY,
    AST_CON_UNIQUE,
    AST_CON_FOREIGN,
    AST_CON_COLLATE,   /* of a column: `columns` has the collation's name */
    AST_CON_ATTRIBUTE, /* the parser's own: does not occur in a tree */
};
enum ast_fk_action {
    AST_FK_NO_ACTION,
    AST_FK_RESTRICT,
    AST_FK_CASCADE,
    AST_FK_SET_NULL,
    AST_FK_SET_DEFAULT,
};
enum ast_fk_match { AST_FK_MATCH_SIMPLE, AST_FK_MATCH_FULL, AST_FK_MATCH_PARTIAL };
struct ast_constraint {
    struct ast node;
    enum ast_constraint_kind constraint;
    const char *name;          /* NULL: to be made up */
    struct ast *expr;          /* DEFAULT, CHECK, GENERATED */
    int32_t expr_at, expr_end; /* its text in the query */
    struct ast_list *columns;  /* of ast_name: PRIMARY, UNIQUE, FOREIGN; empty on a column */
    struct ast_list *include;  /* of ast_name */
    const char *using_index;   /* PRIMARY KEY USING INDEX name */
    struct ast_list *options;  /* WITH (fillfactor = 70) */
    const char *tablespace;
    struct ast_relation *ref; /* FOREIGN */
    struct ast_list *ref_columns;
    enum ast_fk_match match;
    enum ast_fk_action on_delete, on_update;
    bool deferrable, initially_deferred, not_valid, no_inherit;
    bool identity_always;
    bool nulls_not_distinct;
    struct ast_list *sequence; /* IDENTITY (options) */
};
struct ast_column_def {
    struct ast node;
    const char *name;
    struct ast_type_name *type;   /* NULL in CREATE TABLE AS and views */
    struct ast_list *constraints; /* of ast_constraint */
    const char *collation;
};
enum ast_persistence { AST_PERMANENT, AST_TEMPORARY, AST_UNLOGGED };
enum ast_on_commit {
    AST_ON_COMMIT_NONE,
    AST_ON_COMMIT_PRESERVE,
    AST_ON_COMMIT_DELETE,
    AST_ON_COMMIT_DROP
};
struct ast_create_table {
    struct ast node;
    struct ast_relation *relation;
    enum ast_persistence persistence;
    bool if_not_exists;
    struct ast_list *elements; /* column_def, constraint, in the order given */
    struct ast_list *options;  /* WITH (...) */
    struct ast_list *inherits;
    bool partition_by, partition_of;
    int32_t partition_at;
    enum ast_on_commit on_commit;
    const char *tablespace;
    const char *access_method;
};
struct ast_create_table_as {
    struct ast node;
    struct ast_relation *relation;
    enum ast_persistence persistence;
    bool if_not_exists, with_no_data, materialized_view;
    struct ast_list *columns; /* of ast_name */
    struct ast_list *options;
    struct ast *query; /* AST_SELECT or AST_EXECUTE */
};
struct ast_index_column {
    struct ast node;
    const char *column; /* or expr */
    struct ast *expr;
    const char *collation;
    const char *opclass;
    enum ast_sort_dir dir;
    enum ast_sort_nulls nulls;
};
struct ast_create_index {
    struct ast node;
    const char *name; /* NULL: to be made up */
    struct ast_relation *relation;
    bool unique, concurrently, if_not_exists, nulls_not_distinct;
    const char *method;       /* NULL: btree */
    struct ast_list *columns; /* of ast_index_column */
    struct ast_list *include; /* of ast_index_column */
    struct ast_list *options;
    const char *tablespace;
    struct ast *where;
};
struct ast_sequence {
    struct ast node;
    struct ast_relation *relation;
    enum ast_persistence persistence;
    bool if_not_exists;       /* ALTER: IF EXISTS */
    struct ast_list *options; /* of ast_option: as, increment, minvalue, maxvalue, start, restart,
                               * cache, cycle, owned_by; "no minvalue" has no value and star set */
};
struct ast_create_view {
    struct ast node;
    struct ast_relation *relation;
    bool or_replace, recursive;
    enum ast_persistence persistence;
    struct ast_list *columns; /* of ast_name */
    struct ast *query;
    int32_t query_at, query_end;
};
struct ast_create_named { /* CREATE SCHEMA, CREATE DATABASE */
    struct ast node;
    const char *name;
    bool if_not_exists;
    const char *owner;
    struct ast_list *options;
};
enum ast_alter_kind {
    AST_ALTER_ADD_COLUMN,
    AST_ALTER_DROP_COLUMN,
    AST_ALTER_COLUMN_DEFAULT, /* value NULL: DROP DEFAULT */
    AST_ALTER_SET_NOT_NULL,
    AST_ALTER_DROP_NOT_NULL,
    AST_ALTER_COLUMN_TYPE,
    AST_ALTER_ADD_CONSTRAINT,
    AST_ALTER_DROP_CONSTRAINT,
    AST_ALTER_VALIDATE_CONSTRAINT,
    AST_ALTER_SET_OPTIONS,
    AST_ALTER_RESET_OPTIONS,
    AST_ALTER_OWNER,
    AST_ALTER_SET_STATISTICS,
    AST_ALTER_SET_STORAGE,
    AST_ALTER_SET_LOGGED,
    AST_ALTER_SET_UNLOGGED,
    AST_ALTER_CLUSTER_ON,
    AST_ALTER_TRIGGERS, /* ENABLE or DISABLE TRIGGER */
    AST_ALTER_DROP_IDENTITY,
};
struct ast_alter_cmd {
    struct ast node;
    enum ast_alter_kind alter;
    const char *name; /* column, constraint or owner */
    bool if_exists, if_not_exists, cascade;
    struct ast_column_def *column; /* ADD COLUMN, TYPE (its type) */
    struct ast_constraint *constraint;
    struct ast *value;           /* DEFAULT, USING, STATISTICS */
    int32_t value_at, value_end; /* the text of DEFAULT */
    struct ast_list *options;
};
enum ast_object {
    AST_OBJ_TABLE,
    AST_OBJ_INDEX,
    AST_OBJ_SEQUENCE,
    AST_OBJ_VIEW,
    AST_OBJ_MATVIEW,
    AST_OBJ_SCHEMA,
    AST_OBJ_DATABASE,
    AST_OBJ_COLUMN,
    AST_OBJ_CONSTRAINT,
    AST_OBJ_ROLE,
    AST_OBJ_TYPE,
    AST_OBJ_FUNCTION,
    AST_OBJ_EXTENSION,
};
struct ast_alter_table {
    struct ast node;
    enum ast_object object; /* TABLE, INDEX, SEQUENCE or VIEW */
    struct ast_relation *relation;
    bool if_exists;
    struct ast_list *commands; /* of ast_alter_cmd */
};
struct ast_rename {
    struct ast node;
    enum ast_object object;
    struct ast_relation *relation;
    const char *old_name; /* of a column or constraint; else NULL */
    const char *new_name;
    const char *new_schema; /* SET SCHEMA; then new_name is NULL */
    bool if_exists;
};
struct ast_drop {
    struct ast node;
    enum ast_object object;
    struct ast_list *names; /* of ast_relation */
    bool if_exists, cascade, concurrently;
};
struct ast_truncate {
    struct ast node;
    struct ast_list *relations;
    bool restart_identity, cascade;
};
struct ast_vacuum_target {
    struct ast node; /* AST_NONE */
    struct ast_relation *relation;
    struct ast_list *columns; /* of ast_name */
};
struct ast_vacuum {
    struct ast node;
    bool is_vacuum;           /* else ANALYZE */
    struct ast_list *options; /* of ast_option: full, freeze, verbose, analyze, ... */
    struct ast_list *targets; /* of ast_vacuum_target; empty: all tables */
};
enum ast_lock_mode {
    AST_ACCESS_SHARE = 1,
    AST_ROW_SHARE,
    AST_ROW_EXCLUSIVE,
    AST_SHARE_UPDATE_EXCLUSIVE,
    AST_SHARE,
    AST_SHARE_ROW_EXCLUSIVE,
    AST_EXCLUSIVE,
    AST_ACCESS_EXCLUSIVE,
};
struct ast_lock {
    struct ast node;
    struct ast_list *relations;
    enum ast_lock_mode mode;
    bool nowait;
};
enum ast_role_op { AST_ROLE_CREATE, AST_ROLE_ALTER, AST_ROLE_DROP };
struct ast_role {
    struct ast node;
    enum ast_role_op op;
    bool user; /* CREATE USER: may log in by default */
    bool if_exists;
    struct ast_list *names;   /* of ast_name; one unless DROP */
    struct ast_list *options; /* of ast_option: superuser, login, password, ... with a bool value */
};
struct ast_comment {
    struct ast node;
    enum ast_object object;
    struct ast_relation *relation;
    const char *name; /* of a column or constraint */
    const char *text; /* NULL: IS NULL */
};

#endif
