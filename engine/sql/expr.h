/* Typed expressions: what the binder makes, what the planner rewrites, and what the executor
 * compiles. All names are resolved, every implicit cast is written out, every operator and cast is
 * a function of the types room's table.
 *
 * The same struct serves both sides of the planner; the kinds marked "bound" do not occur in a
 * plan, those marked "plan" do not come out of the binder. A tree may share subtrees (it is a DAG),
 * never has cycles, and is not changed after the plan is made.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_EXPR_H
#define ENGINE_SQL_EXPR_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/err.h"

struct arena;
struct datum; /* engine/types */
struct op;    /* engine/types */
struct func;  /* engine/types: a row of the function table */

/* A type with its modifier, as in RowDescription. */
struct sql_type {
    uint32_t oid;
    int32_t typmod; /* -1: none */
};

enum expr_kind {
    EXPR_CONST,    /* u.constant */
    EXPR_PARAM,    /* u.index: statement parameter, from 0 */
    EXPR_COLUMN,   /* u.index: plan: column of the node's input row (a join: left, then right) */
    EXPR_VAR,      /* u.var: bound: column of a range table entry, maybe of an outer query */
    EXPR_OUTER,    /* u.index: plan: slot of the execution state, set by an enclosing node */
    EXPR_FUNC,     /* u.func: operators and casts too */
    EXPR_CAST_IO,  /* args[0] by way of text: its type's out, this type's in */
    EXPR_RELABEL,  /* args[0], the same bytes under another type: nothing to execute */
    EXPR_TYPMOD,   /* args[0] made to fit type.typmod: type_coerce_typmod, explicit if
                    * u.is.negated */
    EXPR_AND,      /* args, two or more */
    EXPR_OR,       /* args, two or more */
    EXPR_NOT,      /* args[0] */
    EXPR_CASE,     /* args: when, then, when, then, ..., else: always odd; lazily evaluated */
    EXPR_COALESCE, /* args, lazily evaluated */
    EXPR_GREATEST, /* args, all of this type; NULLs are passed over */
    EXPR_LEAST,
    EXPR_IS_NULL,   /* args[0]; u.is.negated: IS NOT NULL */
    EXPR_IS_BOOL,   /* args[0]; u.is.value 1: TRUE, 0: FALSE, -1: UNKNOWN; u.is.negated */
    EXPR_DISTINCT,  /* args[0], args[1]; u.op.func is their =; u.op.negated: IS NOT DISTINCT */
    EXPR_IN_LIST,   /* args[0] in args[1..]; u.op.func is the =; u.op.negated: NOT IN. The list is
                     * of constants and parameters of one type: hash or sort it once */
    EXPR_ANY_ARRAY, /* args[0] op ANY(args[1]); u.op.func; u.op.negated: ALL */
    EXPR_ARRAY,     /* args: ARRAY[...] of this type's element type */
    EXPR_SUBSCRIPT, /* args[0][args[1]] */
    EXPR_AGG,       /* u.agg: bound: an aggregate of this query level (or u.agg.level up) */
    EXPR_SUBLINK,   /* u.sublink: bound: a query in an expression */
    EXPR_SUBPLAN,   /* u.subplan: plan: the same, planned */
};

enum subplan_kind {
    SUBPLAN_SCALAR, /* the one row's one column; NULL of no row; ERR_CARDINALITY of two */
    SUBPLAN_EXISTS, /* true or false; stop at the first row */
    SUBPLAN_ANY, /* test over its rows, three-valued: true if any, NULL if any NULL, else false */
    SUBPLAN_ALL,
    SUBPLAN_ARRAY, /* ARRAY(query): all rows' one column */
};

struct ast_literal;
struct query; /* bound.h */

struct expr {
    enum expr_kind kind;
    struct sql_type type;
    int32_t at; /* byte offset in the query, for error positions; -1: none */
    int32_t arg_count;
    struct expr **args;
    union {
        struct {
            const struct datum *value; /* NULL: SQL NULL */
        } constant;
        int32_t index;
        struct {
            int32_t index;
            const struct ast_literal *literal; /* bound: the literal that was lifted; else NULL */
            bool is_shared;                    /* it stands in several places: its type stays */
        } param;
        struct {
            int32_t level;  /* 0: this query, 1: the one around it, ... */
            int32_t rel;    /* index into that query's range table */
            int32_t column; /* from 0; negative: PLAN_COLUMN_* */
        } var;
        const struct func *func;
        struct {
            const struct func *func;
            const struct op *op; /* the operator that it was written as; NULL: a plain call */
        } call;
        struct {
            bool negated;
            int8_t value;
        } is;
        struct {
            const struct func *func;
            bool negated;
        } op;
        struct {
            const struct func *func; /* NULL func: count(*) has one too */
            struct expr *filter;
            bool distinct, star;
            int32_t level;
            struct sort_key *order; /* string_agg(x ORDER BY y): keys over this aggregate's args */
            int32_t order_count;
        } agg;
        struct {
            enum subplan_kind kind;
            struct query *query;
            struct expr *test; /* ANY, ALL: over the left side and EXPR_VARs of rel SUBLINK_REL */
        } sublink;
        struct {
            enum subplan_kind kind;
            int32_t id;        /* index into plan.subplans */
            struct expr *test; /* ANY, ALL: its EXPR_COLUMNs with index >= SUBPLAN_COLUMN_BASE are
                                * the subplan's output columns; all else is the caller's row */
        } subplan;
    } u;
};
enum { SUBLINK_REL = -2, SUBPLAN_COLUMN_BASE = 1 << 20 };

/* One key of an order. Comparison is the type's own. */
struct sort_key {
    struct expr *value;
    bool descending, nulls_first;
};

struct expr *expr_new(struct arena *a, enum expr_kind kind, struct sql_type type, int32_t at);
/* With room for so many arguments. */
struct expr *expr_with_args(struct arena *a, enum expr_kind kind, struct sql_type type, int32_t at,
                            int32_t arg_count);
/* Collects the arguments of an AND or OR; arguments of the same kind are taken apart. */
struct expr_list {
    int32_t count, capacity;
    struct expr **list;
};
void expr_list_add(struct arena *a, struct expr_list *l, enum expr_kind kind, struct expr *e);
/* NULL of none, the one of one, else a node of the kind. */
struct expr *expr_list_finish(struct arena *a, const struct expr_list *l, enum expr_kind kind);
/* Calls fn on each direct child (arguments, filter, order keys, a sublink's test; not what is
 * inside a sublink's query), which it may replace; stops at the first non-zero. */
int expr_each_child(struct expr *e, int (*fn)(struct expr **child, void *arg), void *arg);
/* Whether the two are surely the same value: same functions, columns, constants, parameters. */
bool expr_equal(const struct expr *a, const struct expr *b);
/* Some function within may give another value at each call (inside subqueries too). */
bool expr_is_volatile(const struct expr *e);
/* No column, no aggregate, no subquery within: one value per execution (if not volatile). */
bool expr_is_constant(const struct expr *e);
/* Its leftmost byte offset in the query, for an error about all of it; -1: none. */
int32_t expr_place(const struct expr *e);
bool expr_has_sublink(const struct expr *e);

#endif
