/* The syntax tree: what the text says, before any name is looked up.
 *
 * All of it lives in the arena given to sql_parse. Every node begins with a struct ast, which has
 * its kind and the byte offset of its first token in the query text (-1: none); sql_position()
 * makes the 1-based character position of an error message from that. Identifiers are folded,
 * truncated to 63 bytes and NUL-terminated. Optional parts that are absent are NULL or empty lists.
 *
 * Here: all kinds of nodes, names, expressions, queries. All other statements: ast_statement.h.
 * To add a statement or expression: a kind in the enum, a struct, a rule in grammar.y.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_AST_H
#define ENGINE_SQL_AST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/bytes.h"
#include "engine/base/mem.h"

enum ast_kind {
    AST_NONE = 0,
    /* expressions */
    AST_LITERAL,   /* struct ast_literal */
    AST_PARAM,     /* struct ast_param: $n */
    AST_COLUMN,    /* struct ast_column: a, t.a, s.t.a, *, t.* */
    AST_OP,        /* struct ast_op: prefix and infix operators */
    AST_AND,       /* struct ast_bool */
    AST_OR,        /* struct ast_bool */
    AST_NOT,       /* struct ast_bool, one argument */
    AST_FUNC,      /* struct ast_func */
    AST_CAST,      /* struct ast_cast */
    AST_COLLATE,   /* struct ast_collate */
    AST_CASE,      /* struct ast_case */
    AST_SUBLINK,   /* struct ast_sublink: a query inside an expression */
    AST_IN_LIST,   /* struct ast_in: x [NOT] IN (a, b) */
    AST_BETWEEN,   /* struct ast_between */
    AST_LIKE,      /* struct ast_like: LIKE, ILIKE, SIMILAR TO */
    AST_IS,        /* struct ast_is: IS [NOT] NULL, TRUE, FALSE, UNKNOWN */
    AST_DISTINCT,  /* struct ast_distinct: IS [NOT] DISTINCT FROM */
    AST_ANY_ARRAY, /* struct ast_any: x op ANY|ALL (array) */
    AST_ARRAY,     /* struct ast_array: ARRAY[...] */
    AST_ROW,       /* struct ast_row: ROW(...), (a, b) */
    AST_SUBSCRIPT, /* struct ast_subscript: a[i], a[i:j] */
    AST_FIELD,     /* struct ast_field: (expr).name, (expr).* */
    AST_COALESCE,  /* struct ast_args, as the three that follow */
    AST_GREATEST,
    AST_LEAST,
    AST_NULLIF,
    AST_VALUE_FUNC,  /* struct ast_value_func: CURRENT_TIMESTAMP and its kin */
    AST_SET_DEFAULT, /* struct ast: DEFAULT in VALUES and SET */
    /* pieces of queries */
    AST_TARGET,       /* struct ast_target: one item of a select list, SET list or column list */
    AST_SORT,         /* struct ast_sort */
    AST_TABLE,        /* struct ast_table: in FROM, as all up to AST_JOIN */
    AST_SUBQUERY,     /* struct ast_subquery */
    AST_TABLE_FUNC,   /* struct ast_table_func */
    AST_JOIN,         /* struct ast_join */
    AST_WITH,         /* struct ast_with: one common table expression */
    AST_LOCKING,      /* struct ast_locking: FOR UPDATE and its kin */
    AST_TYPE_NAME,    /* struct ast_type_name */
    AST_RELATION,     /* struct ast_relation: a name of an object, wherever one is expected */
    AST_OPTION,       /* struct ast_option: name [= value] */
    AST_COLUMN_DEF,   /* struct ast_column_def */
    AST_CONSTRAINT,   /* struct ast_constraint */
    AST_INDEX_COLUMN, /* struct ast_index_column */
    AST_ALTER_CMD,    /* struct ast_alter_cmd */
    AST_NAME,         /* struct ast_name: an identifier in a list */
    /* statements */
    AST_SELECT = 100,    /* struct ast_select: SELECT, VALUES, TABLE, set operations */
    AST_INSERT,          /* struct ast_insert */
    AST_UPDATE,          /* struct ast_update */
    AST_DELETE,          /* struct ast_delete */
    AST_TRANSACTION,     /* struct ast_transaction */
    AST_SET,             /* struct ast_set: SET, RESET */
    AST_SHOW,            /* struct ast_show */
    AST_DISCARD,         /* struct ast_discard */
    AST_PREPARE,         /* struct ast_prepare */
    AST_EXECUTE,         /* struct ast_execute */
    AST_DEALLOCATE,      /* struct ast_deallocate */
    AST_EXPLAIN,         /* struct ast_explain */
    AST_COPY,            /* struct ast_copy */
    AST_CREATE_TABLE,    /* struct ast_create_table */
    AST_CREATE_TABLE_AS, /* struct ast_create_table_as */
    AST_CREATE_INDEX,    /* struct ast_create_index */
    AST_CREATE_SEQUENCE, /* struct ast_sequence; AST_ALTER_SEQUENCE too */
    AST_ALTER_SEQUENCE,
    AST_CREATE_VIEW,   /* struct ast_create_view */
    AST_CREATE_SCHEMA, /* struct ast_create_named, as the next */
    AST_CREATE_DATABASE,
    AST_ALTER_TABLE,    /* struct ast_alter_table */
    AST_RENAME,         /* struct ast_rename */
    AST_DROP,           /* struct ast_drop */
    AST_TRUNCATE,       /* struct ast_truncate */
    AST_VACUUM,         /* struct ast_vacuum: VACUUM, ANALYZE */
    AST_LOCK,           /* struct ast_lock */
    AST_CHECKPOINT,     /* struct ast */
    AST_ROLE,           /* struct ast_role: CREATE, ALTER, DROP USER|ROLE */
    AST_COMMENT,        /* struct ast_comment: COMMENT ON */
    AST_DECLARE_CURSOR, /* struct ast_declare_cursor */
    AST_FETCH,          /* struct ast_fetch: FETCH, MOVE */
    AST_CLOSE,          /* struct ast_close */
    AST_STATEMENT,      /* struct ast_statement */
};

struct ast {
    enum ast_kind kind;
    int32_t at; /* byte offset in the query text; -1: none */
};
/* A node as its own type; the kind has been looked at before. */
#define AST_AS(type, node)    ((struct type *)(void *)(node))
#define AST_CONST(type, node) ((const struct type *)(const void *)(node))

/* A growing array in the arena. NULL and empty mean the same. */
struct ast_list {
    struct ast **item;
    int32_t count, capacity;
};
static inline int32_t
ast_count(const struct ast_list *l)
{
    return l == NULL ? 0 : l->count;
}

/* What sql_parse gives a list of: a statement and its place, bytes [node.at, end) of the text. */
struct ast_statement {
    struct ast node;
    struct ast *body;
    int32_t end;
};

/* ---- names --------------------------------------------------------------------------------- */

struct ast_relation {
    struct ast node;
    const char *catalog, *schema, *name; /* the first two may be NULL */
    bool only; /* ONLY t; there is no inheritance, so it changes nothing */
};
struct ast_name {
    struct ast node;
    const char *name;
};
struct ast_type_name {
    struct ast node;
    const char *schema, *name; /* canonical: int4, varchar, bpchar, timestamptz, ... */
    struct ast_list *typmods;  /* of literals: varchar(10), numeric(12,2), timestamp(3) */
    int32_t array_dims;        /* int[][] has 2 */
    bool is_setof,
        is_serial; /* is_serial: smallserial, serial, bigserial (name: int2, int4, int8) */
};
struct ast_option {
    struct ast node;
    const char *name;
    struct ast *value;     /* a literal, a name, or NULL */
    struct ast_list *list; /* for (a, b): names; with force_all for * */
    bool star;
};

/* ---- expressions --------------------------------------------------------------------------- */

enum ast_literal_type {
    AST_LIT_NULL,
    AST_LIT_BOOL,
    AST_LIT_INT,     /* fits int8; integer has it */
    AST_LIT_NUMERIC, /* text has its digits */
    AST_LIT_STRING,  /* text, escapes resolved: of unknown type until bound */
};
struct ast_literal {
    struct ast node;
    enum ast_literal_type type;
    bool boolean;
    int64_t integer;
    struct slice text; /* the bytes are followed by a NUL */
    int32_t end;       /* byte offset just past its token */
    int32_t lifted; /* n: it was lifted out as the n-th of sql_normalize, from 1; 0: it was not */
};
struct ast_param {
    struct ast node;
    int32_t number; /* 1 .. 65535 */
};
struct ast_column {
    struct ast node;
    int32_t part_count; /* 1 .. 4 */
    const char *part[4];
    bool star; /* the last part is * (part_count does not count it) */
};
struct ast_op {
    struct ast node;    /* at: the operator itself */
    const char *schema; /* OPERATOR(pg_catalog.=); else NULL */
    const char *op;
    struct ast *left, *right; /* left NULL: prefix */
};
struct ast_bool {
    struct ast node;
    struct ast_list *args;
};
struct ast_func {
    struct ast node;
    const char *schema, *name;
    struct ast_list *args;
    struct ast_list *order_by; /* of ast_sort */
    struct ast *filter;
    bool star, distinct, variadic;
    bool sql_syntax; /* written as EXTRACT(x FROM y), POSITION(a IN b) and the like */
    bool has_over;   /* a window function: not supported yet */
    bool within_group;
};
struct ast_cast {
    struct ast node;
    struct ast *arg;
    struct ast_type_name *type;
};
struct ast_collate {
    struct ast node;
    struct ast *arg;
    const char *schema, *name;
};
struct ast_when {
    struct ast *when, *then;
};
struct ast_case {
    struct ast node;
    struct ast *arg;                /* CASE arg WHEN value; or NULL */
    struct ast_list *whens, *thens; /* the same length */
    struct ast *otherwise;
};
enum ast_sublink_kind {
    AST_SUBLINK_SCALAR,
    AST_SUBLINK_EXISTS,
    AST_SUBLINK_ANY, /* left op ANY (query); IN is = ANY */
    AST_SUBLINK_ALL, /* NOT IN is <> ALL */
    AST_SUBLINK_ARRAY,
};
struct ast_sublink {
    struct ast node;
    enum ast_sublink_kind sublink;
    struct ast *left; /* for ANY and ALL; may be an AST_ROW */
    const char *op;
    const char *op_schema;
    struct ast *query; /* AST_SELECT */
    bool is_in;        /* written as IN or NOT IN */
};
struct ast_in {
    struct ast node;
    struct ast *arg;
    struct ast_list *list;
    bool negated;
};
struct ast_between {
    struct ast node;
    struct ast *arg, *low, *high;
    bool negated, symmetric;
};
enum ast_like_kind { AST_LIKE_LIKE, AST_LIKE_ILIKE, AST_LIKE_SIMILAR };
struct ast_like {
    struct ast node;
    enum ast_like_kind like;
    struct ast *arg, *pattern, *escape; /* escape may be NULL */
    bool negated;
};
enum ast_is_kind { AST_IS_NULL, AST_IS_TRUE, AST_IS_FALSE, AST_IS_UNKNOWN };
struct ast_is {
    struct ast node;
    enum ast_is_kind is;
    struct ast *arg;
    bool negated;
};
struct ast_distinct {
    struct ast node;
    struct ast *left, *right;
    bool negated; /* IS NOT DISTINCT FROM */
};
struct ast_any {
    struct ast node;
    const char *schema, *op;
    struct ast *left, *array;
    bool all;
};
struct ast_array {
    struct ast node;
    struct ast_list *items;
};
struct ast_row {
    struct ast node;
    struct ast_list *items;
    bool keyword; /* ROW(...) rather than (a, b) */
};
struct ast_subscript {
    struct ast node;
    struct ast *arg, *lower, *upper; /* a[upper] when not a slice */
    bool slice;
};
struct ast_field {
    struct ast node;
    struct ast *arg;
    const char *name; /* NULL for .* */
};
struct ast_args {
    struct ast node;
    struct ast_list *args;
};
enum ast_value_func_kind {
    AST_CURRENT_DATE,
    AST_CURRENT_TIME,
    AST_CURRENT_TIMESTAMP,
    AST_LOCALTIME,
    AST_LOCALTIMESTAMP,
    AST_CURRENT_USER,
    AST_SESSION_USER,
    AST_CURRENT_ROLE,
    AST_USER,
    AST_CURRENT_CATALOG,
    AST_CURRENT_SCHEMA,
};
struct ast_value_func {
    struct ast node;
    enum ast_value_func_kind func;
    int32_t precision; /* -1: none */
};

/* ---- queries ------------------------------------------------------------------------------- */

/* SELECT list: value AS name. UPDATE SET: name = value; with (a, b) = row, `names` has them all.
 * INSERT column list: name only. */
struct ast_target {
    struct ast node;
    struct ast *value;
    const char *name;             /* NULL: none given */
    struct ast_list *names;       /* of ast_name, for (a, b) = ... */
    struct ast_list *indirection; /* subscripts or fields after the name: not supported */
};
enum ast_sort_dir { AST_SORT_DEFAULT, AST_SORT_ASC, AST_SORT_DESC, AST_SORT_USING };
enum ast_sort_nulls { AST_NULLS_DEFAULT, AST_NULLS_FIRST, AST_NULLS_LAST };
struct ast_sort {
    struct ast node;
    struct ast *value;
    enum ast_sort_dir dir;
    enum ast_sort_nulls nulls;
    const char *using_op; /* ORDER BY x USING < */
};
enum ast_as_of { AST_AS_OF_NONE, AST_AS_OF_SCN, AST_AS_OF_TIMESTAMP };
struct ast_alias {
    const char *name;         /* NULL: none */
    struct ast_list *columns; /* of ast_name */
};
struct ast_table {
    struct ast node;
    struct ast_relation *relation;
    struct ast_alias alias;
    enum ast_as_of as_of;
    struct ast *as_of_value;
};
struct ast_subquery {
    struct ast node;
    struct ast *query; /* AST_SELECT */
    struct ast_alias alias;
    bool lateral;
};
struct ast_table_func {
    struct ast node;
    struct ast *call; /* AST_FUNC, AST_VALUE_FUNC, AST_CAST or AST_COALESCE and its kin */
    struct ast_alias alias;
    struct ast_list *column_defs; /* AS t(a int, b text) */
    bool lateral, ordinality;
};
enum ast_join_kind {
    AST_JOIN_INNER, /* CROSS too: no condition */
    AST_JOIN_LEFT,
    AST_JOIN_RIGHT,
    AST_JOIN_FULL,
};
struct ast_join {
    struct ast node;
    enum ast_join_kind join;
    bool natural;
    struct ast *left, *right;
    struct ast *on;
    struct ast_list *using_columns; /* of ast_name */
    struct ast_alias using_alias;
    struct ast_alias alias; /* (a JOIN b ...) AS j */
};
enum ast_materialized { AST_MATERIALIZED_DEFAULT, AST_MATERIALIZED_ALWAYS, AST_MATERIALIZED_NEVER };
struct ast_with {
    struct ast node;
    const char *name;
    struct ast_list *columns; /* of ast_name */
    enum ast_materialized materialized;
    struct ast *query; /* AST_SELECT, or a data-modifying statement */
};
struct ast_with_clause {
    struct ast_list *ctes; /* of ast_with */
    bool recursive;
    int32_t at;
};
enum ast_lock_strength {
    AST_LOCK_NONE,
    AST_LOCK_KEY_SHARE,
    AST_LOCK_SHARE,
    AST_LOCK_NO_KEY_UPDATE,
    AST_LOCK_UPDATE,
};
enum ast_lock_wait { AST_LOCK_WAIT, AST_LOCK_NOWAIT, AST_LOCK_SKIP_LOCKED };
struct ast_locking {
    struct ast node;
    enum ast_lock_strength strength;
    enum ast_lock_wait wait;
    struct ast_list *of; /* of ast_relation; empty: all */
};
enum ast_set_op { AST_SETOP_NONE, AST_SETOP_UNION, AST_SETOP_INTERSECT, AST_SETOP_EXCEPT };
struct ast_select {
    struct ast node;
    struct ast_with_clause *with;
    enum ast_set_op set_op;          /* NONE: a plain select, or VALUES when `values` is set */
    bool set_all;                    /* UNION ALL ... */
    struct ast_select *left, *right; /* of a set operation */
    bool distinct;
    struct ast_list *distinct_on; /* expressions */
    struct ast_list *targets;     /* of ast_target */
    struct ast_list *from;        /* tables, subqueries, functions, joins */
    struct ast *where;
    struct ast_list *group_by; /* expressions */
    bool group_distinct;
    struct ast *having;
    struct ast_list *values;    /* VALUES: a list of ast_row */
    struct ast_list *order_by;  /* of ast_sort */
    struct ast *limit, *offset; /* LIMIT ALL: NULL */
    bool with_ties;
    struct ast_list *locking; /* of ast_locking */
    bool has_window;          /* a WINDOW clause: not supported yet */
    int32_t window_at;
    struct ast_relation *into; /* SELECT INTO: not supported yet */
};
enum ast_override { AST_OVERRIDE_NONE, AST_OVERRIDE_USER, AST_OVERRIDE_SYSTEM };
enum ast_conflict { AST_CONFLICT_NONE, AST_CONFLICT_NOTHING, AST_CONFLICT_UPDATE };
struct ast_insert {
    struct ast node;
    struct ast_with_clause *with;
    struct ast_relation *relation;
    const char *alias;
    struct ast_list *columns; /* of ast_target; NULL: all */
    struct ast *source;       /* AST_SELECT; NULL: DEFAULT VALUES */
    enum ast_override override;
    enum ast_conflict conflict;
    int32_t conflict_at;
    struct ast_list *conflict_columns; /* of ast_index_column */
    struct ast *conflict_index_where;
    const char *conflict_constraint;
    struct ast_list *conflict_set; /* of ast_target */
    struct ast *conflict_where;
    struct ast_list *returning; /* of ast_target */
};
struct ast_update {
    struct ast node;
    struct ast_with_clause *with;
    struct ast_relation *relation;
    const char *alias;
    struct ast_list *set; /* of ast_target */
    struct ast_list *from;
    struct ast *where;
    const char *where_current_of;
    struct ast_list *returning;
};
struct ast_delete {
    struct ast node;
    struct ast_with_clause *with;
    struct ast_relation *relation;
    const char *alias;
    struct ast_list *using;
    struct ast *where;
    const char *where_current_of;
    struct ast_list *returning;
};

#endif
