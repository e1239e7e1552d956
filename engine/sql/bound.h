/* Bound queries: what the binder gives to the planner. All names are resolved to range table
 * entries and columns, all expressions typed (expr.h).
 *
 * A query has a range table; EXPR_VAR names an entry of the query that is `level` steps further out
 * and a column of it. `from` says how the entries are joined; it covers all of them but the target
 * of an INSERT.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_BOUND_H
#define ENGINE_SQL_BOUND_H

#include "engine/sql/ast.h"
#include "engine/sql/expr.h"

struct cat_table;
struct cat_index;
struct query;

enum rte_kind { RTE_TABLE, RTE_SUBQUERY, RTE_FUNCTION, RTE_VALUES, RTE_CTE };

struct rte_column {
    const char *name;
    struct sql_type type;
};

/* A common table expression; shared by all references. */
struct bound_cte {
    const char *name;
    struct query *query;
    enum ast_materialized materialized;
    int32_t ref_count;
    int32_t id; /* the planner's */
};

/* A range table entry. */
struct rte {
    enum rte_kind kind;
    const char *alias; /* as the user refers to it */
    bool has_alias;    /* given by the user; for EXPLAIN */
    int32_t column_count;
    struct rte_column *columns;    /* dropped ones of a table have name NULL */
    const struct cat_table *table; /* TABLE */
    enum ast_as_of as_of;          /* TABLE */
    struct expr *as_of_value;      /* int8 or timestamptz */
    struct query *query;           /* SUBQUERY */
    const struct func *func;       /* FUNCTION */
    struct expr *call; /* FUNCTION: an EXPR_FUNC, or any expression (one row) with func NULL */
    bool ordinality;
    int32_t row_count; /* VALUES */
    struct expr ***rows;
    struct bound_cte *cte; /* CTE */
    int32_t cte_level;
    bool lateral;
    enum ast_lock_strength lock;
    enum ast_lock_wait lock_wait;
};

enum from_kind { FROM_REL, FROM_JOIN };
struct from {
    enum from_kind kind;
    int32_t rel;             /* FROM_REL */
    enum ast_join_kind join; /* INNER, LEFT or FULL: the binder turns RIGHT round */
    struct from *left, *right;
    struct expr *on; /* NULL: none */
};

struct target {
    struct expr *value;
    const char *name;
    bool junk; /* only for ORDER BY, GROUP BY or DISTINCT ON: not part of the result */
    uint32_t table_oid;
    int16_t column_number;
};
struct order_item {
    int32_t target;
    bool descending, nulls_first;
};

/* INSERT and UPDATE: a column and its new value. */
struct assignment {
    int32_t column;
    struct expr *value;
};

struct query {
    enum ast_kind command; /* AST_SELECT, AST_INSERT, AST_UPDATE, AST_DELETE */
    int32_t rel_count, rel_capacity;
    struct rte **rels;
    struct from *from; /* NULL: one row of nothing */
    struct expr *where;
    int32_t target_count, target_capacity;
    struct target *targets; /* junk ones last */
    int32_t visible_count;  /* those that are not junk */
    bool grouped;           /* GROUP BY, aggregates or HAVING */
    int32_t group_count;
    struct expr **group;
    struct expr *having;
    bool has_aggs;
    bool distinct;
    int32_t distinct_on_count; /* 0 with distinct: all visible targets */
    int32_t *distinct_on;      /* targets */
    int32_t order_count;
    struct order_item *order;
    struct expr *limit, *offset; /* int8 */
    bool with_ties;
    /* A set operation: targets have the names and types of the result, values are EXPR_COLUMNs of
     * it; the sides are queries with as many visible targets. A side whose types differ is brought
     * to them by `*_project`, over EXPR_COLUMNs of its result. */
    enum ast_set_op set_op;
    bool set_all;
    struct query *left, *right;
    struct expr **left_project, **right_project; /* NULL: as it is */
    int32_t cte_count;
    struct bound_cte **ctes;
    bool locks;       /* some entry has a lock strength */
    bool is_volatile; /* calls a volatile function somewhere */
    bool has_outer;   /* refers to a query around it */
    /* INSERT, UPDATE, DELETE */
    int32_t target_rel;
    int32_t assignment_count;
    struct assignment *assignments; /* INSERT: every live column in order, over the source's row:
                                     * EXPR_VARs of entry 1 (the source), if there is a source */
    bool insert_rows;               /* INSERT ... VALUES: entry 1 is RTE_VALUES */
    int32_t check_count;
    struct bound_check {
        const char *name;
        struct expr *check; /* EXPR_VARs of the target entry: the new row */
    } * checks;
    enum ast_conflict conflict;
    const struct cat_index *conflict_index; /* NULL: any */
    int32_t conflict_count;
    struct assignment *conflict_set; /* EXPR_VARs of the target entry and of `excluded_rel` */
    struct expr *conflict_where;
    int32_t excluded_rel;
    bool has_returning;
    int32_t returning_count;
    struct target *returning;
};

/* Calls fn on each expression of the query itself, not of those within it; it may replace them.
 * Stops at the first non-zero. */
int query_each_expr(struct query *q, int (*fn)(struct expr **e, void *arg), void *arg);

#endif
