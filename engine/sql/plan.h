/* Physical plans: the contract between planner and executor.
 *
 * A plan is immutable once made, owns its memory (an arena of its own), is reference-counted, and
 * is run by any number of sessions at a time, each with its own execution state. Whatever a run
 * needs beyond the plan (parameters, outer slots, results of subplans that run once, hash tables)
 * is in that state, in arrays whose sizes the plan gives.
 *
 * Rows. Every node yields rows of `column_count` typed columns. The expressions of a node are over
 * its *input row*: EXPR_COLUMN i is column i of its child's output; of a join, of the left child's
 * output followed by the right's; of a scan, of the scan's own output (`columns[]` says which table
 * column each one is). A node without `project` yields its input row as it is (a scan: its columns;
 * an aggregate: its group keys, then its aggregates); with `project` it yields those expressions
 * over that row instead. `filter`, where set, is applied first, before project; only TRUE passes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_PLAN_H
#define ENGINE_SQL_PLAN_H

#include <stdatomic.h>

#include "engine/base/id.h"
#include "engine/base/mem.h"
#include "engine/sql/ast.h"
#include "engine/sql/expr.h"

struct cat_set;
struct point_program;
struct cat_table; /* engine/catalog: descriptions live as long as plan.set */
struct cat_index;
struct cat_fk;

enum plan_kind {
    /* sources */
    PLAN_SCAN = 1, /* u.scan: a table's tree, or an index with fetch */
    PLAN_VALUES,   /* u.values: rows of expressions; one row of none is SELECT without FROM */
    PLAN_FUNCTION, /* u.function: generate_series and other set-returning functions */
    PLAN_CTE_SCAN, /* u.cte_scan: rows of a common table expression that was materialised */
    /* one input: child[0] */
    PLAN_PROJECT,     /* only filter and project */
    PLAN_AGGREGATE,   /* u.aggregate */
    PLAN_SORT,        /* u.sort; with limit: top-N */
    PLAN_DISTINCT,    /* u.distinct: hash; or DISTINCT ON over sorted input */
    PLAN_LIMIT,       /* u.limit */
    PLAN_LOCK_ROWS,   /* u.lock_rows: FOR UPDATE and its kin */
    PLAN_MATERIALIZE, /* keeps its rows (spilling) for rescans; the right side of nested loops */
    /* two inputs: child[0] left, child[1] right */
    PLAN_HASH_JOIN, /* u.join: builds on the right */
    PLAN_NEST_LOOP, /* u.join: the right side is run again per left row */
    PLAN_SET_OP,    /* u.set_op: UNION, INTERSECT, EXCEPT [ALL] of child[0 .. child_count) */
    /* writes */
    PLAN_INSERT, /* u.modify */
    PLAN_UPDATE,
    PLAN_DELETE,
};

/* Columns of a scan that are not columns of the table. */
enum {
    PLAN_COLUMN_KEY = -1,      /* the row's key in the table's tree, as bytea */
    PLAN_COLUMN_ROW = -2,      /* its encoded value, as bytea */
    PLAN_COLUMN_TABLEOID = -3, /* oid */
    PLAN_COLUMN_SCN = -4,      /* int8: the SCN that wrote the version (pseudo-column) */
};

/* ---- scans --------------------------------------------------------------------------------- */

/* A range of keys of a tree whose key columns are known: the first `equal_count` columns equal
 * given values, then at most one of: `in` (the next column is one of these; visit in key order,
 * each once), or a low and/or high bound on the next column. Expressions are over parameters, outer
 * slots and constants only: evaluate them once per (re)scan. A NULL in any of them: no rows. Each
 * has the key column's type, except that an integer may be of a wider integer type: out of the
 * column's range it then compares as the mathematical value does (equality: no row; a bound: all or
 * none). NULLs in the column itself are never in a range with a bound on that column. */
struct plan_range {
    int32_t equal_count;
    struct expr **equal;
    int32_t in_count;
    struct expr **in;
    struct expr *low, *high; /* NULL: open */
    bool low_inclusive, high_inclusive;
    bool is_null; /* the next column IS NULL, and nothing else is given for it */
};

struct plan_scan {
    const struct cat_table *table;
    int32_t rel_id; /* which occurrence in the query; for EXPLAIN's alias */
    const char *alias;
    const struct cat_index *index; /* NULL: the table's own tree (virtual tables: their rows) */
    struct plan_range range;
    bool has_range; /* false: all of it */
    bool backward;
    bool unique;                         /* the range is at most one row */
    bool index_only;                     /* all columns come out of the index's key */
    int32_t column_count;                /* the table columns that it yields, in this order */
    int32_t *columns;                    /* from 0, or PLAN_COLUMN_* */
    struct expr *as_of_scn, *as_of_time; /* int8; timestamptz: evaluated once per execution */
};

struct plan_values {
    int32_t row_count, column_count;
    struct expr ***rows; /* [row][column] */
};

struct plan_function {
    const struct func *func;
    int32_t arg_count;
    struct expr **args; /* over outer slots, parameters, constants */
    bool ordinality;
    const char *alias;
};

struct plan_cte_scan {
    int32_t cte; /* index into plan.ctes */
    const char *alias;
};

/* ---- aggregation, order -------------------------------------------------------------------- */

struct plan_agg {
    const struct func *func;
    struct sql_type type;
    int32_t arg_count;
    struct expr **args; /* none: count(*) */
    struct expr *filter;
    bool distinct;
    int32_t order_count;
    struct sort_key *order; /* over the input row */
};
struct plan_aggregate {
    int32_t key_count; /* 0: one group, which exists even without input, unless `grouped` */
    struct expr **keys;
    bool grouped;
    bool sorted; /* the input comes ordered by the keys: no hash table needed */
    int32_t agg_count;
    struct plan_agg *aggs;
};

struct plan_sort {
    int32_t key_count;
    struct sort_key *keys;
    struct expr *limit; /* int8: only that many rows are wanted (limit + offset); NULL: all */
    int32_t presorted;  /* this many leading keys are already in order */
};
struct plan_distinct {
    int32_t key_count;  /* 0: all columns */
    struct expr **keys; /* DISTINCT ON: the first row of each, input sorted by them */
    bool sorted;
};
struct plan_limit {
    struct expr *limit, *offset; /* int8 over parameters and constants; NULL: none. NULL values
                                  * mean none; negative ones: ERR_INVALID_ROW_COUNT_LIMIT 2201W,
                                  * `LIMIT must not be negative` / `OFFSET ...` (2201X) */
    bool with_ties;
    int32_t key_count;
    struct sort_key *keys; /* for WITH TIES */
    struct expr *gate;     /* a condition on no row: unless it is TRUE nothing below is run */
};

/* ---- joins --------------------------------------------------------------------------------- */

enum plan_join {
    PLAN_JOIN_INNER,
    PLAN_JOIN_LEFT,      /* right columns NULL where nothing matched */
    PLAN_JOIN_FULL,      /* hash join only */
    PLAN_JOIN_SEMI,      /* left rows with a match; yields left columns only */
    PLAN_JOIN_ANTI,      /* left rows without one; yields left columns only */
    PLAN_JOIN_ANTI_NULL, /* NOT IN: as ANTI, but a NULL on either side makes it unknown: a left row
                          * passes only if right is empty, or neither it nor right has a NULL and
                          * nothing matches. Hash join with one key */
};
/* Outer slot `slot` is set to `value` (over the left row) before the right side is run. */
struct plan_bind {
    int32_t slot;
    struct expr *value;
};
struct plan_join_node {
    enum plan_join join;
    int32_t key_count;         /* hash: left_keys[i] = right_keys[i], of the same type */
    struct expr **left_keys;   /* over the left row alone */
    struct expr **right_keys;  /* over the right row alone: columns from 0 */
    const struct func **equal; /* the = of each pair */
    bool *null_equal;          /* IS NOT DISTINCT FROM; NULL array: none is */
    struct expr *on;           /* further condition over both; decides what matches. NULL: none */
    int32_t bind_count;        /* nest loop: apply, index lookups, LATERAL */
    struct plan_bind *binds;
};

struct plan_set_op {
    enum ast_set_op op;
    bool all;
};

/* ---- locks and writes ---------------------------------------------------------------------- */

/* The rows of one table within the input row: where its key is, and which input columns are copies
 * of its columns. When a row turns out to have changed since the snapshot (READ COMMITTED), the
 * executor reads its newest version, puts its columns in their places in the input row, and goes on
 * only if `recheck` is still TRUE. Columns of other tables stay as they were. */
struct plan_target {
    const struct cat_table *table;
    int32_t key_column; /* of the input row: PLAN_COLUMN_KEY */
    int32_t row_column; /* of the input row: PLAN_COLUMN_ROW; -1 for row locks alone */
    int32_t copy_count;
    struct plan_copy {
        int32_t input, column;
    } * copies;
    struct expr *recheck; /* over the input row; NULL: nothing to check */
};
struct plan_lock_target {
    struct plan_target target;
    enum ast_lock_strength strength;
    enum ast_lock_wait wait;
};
struct plan_lock_rows {
    int32_t count;
    struct plan_lock_target *targets;
};

/* The expressions of `values` are over the input row: child[0]'s columns. Those of `returning` and
 * of `checks` are over the *written row*: all columns of the table in order (INSERT and UPDATE: the
 * new values; DELETE: the old), followed, for returning, by the input row. */
struct plan_modify {
    const struct cat_table *table;
    struct plan_target target; /* UPDATE, DELETE */
    int32_t value_count;
    struct plan_value {
        int32_t column;     /* of the table */
        struct expr *value; /* of the column's type and typmod (the cast is in it) */
    } * values;             /* INSERT: every column, in order; UPDATE: those that are set */
    bool sets_key;          /* UPDATE: a primary key column is set */
    int32_t index_count;    /* indexes to maintain: INSERT, DELETE: all; UPDATE: those with a
                             * column that is set (all when sets_key) */
    const struct cat_index **indexes;
    int32_t check_count;
    struct plan_check {
        const char *name;
        struct expr *check;
    } * checks;       /* CHECK constraints: fail only on FALSE */
    int32_t fk_count; /* foreign keys of this table to look up in others */
    const struct cat_fk **fks;
    int32_t ref_count; /* foreign keys of others that refer to what is changed here */
    const struct cat_fk **refs;
    enum ast_conflict conflict;
    const struct cat_index *conflict_index; /* NULL with NOTHING: any */
    struct plan_value *conflict_values; /* over: existing row's columns, then the proposed row's */
    int32_t conflict_value_count;
    struct expr *conflict_where; /* over the same */
    bool has_returning;
    int32_t returning_count;
    struct expr **returning; /* the node's output columns; without it: no rows, a count */
};

/* ---- nodes --------------------------------------------------------------------------------- */

struct plan_column {
    struct sql_type type;
};

struct plan_node {
    enum plan_kind kind;
    int32_t id;                    /* dense within the plan: index of the node's execution state */
    double rows, cost, start_cost; /* estimates */
    int32_t width;
    int32_t column_count;
    struct plan_column *columns; /* of the output */
    int32_t child_count;
    struct plan_node **child;
    struct expr *filter;   /* over the input row; NULL: none */
    int32_t project_count; /* meaningful with project */
    struct expr **project; /* NULL: the input row as it is */
    union {
        struct plan_scan scan;
        struct plan_values values;
        struct plan_function function;
        struct plan_cte_scan cte_scan;
        struct plan_aggregate aggregate;
        struct plan_sort sort;
        struct plan_distinct distinct;
        struct plan_limit limit;
        struct plan_join_node join;
        struct plan_set_op set_op;
        struct plan_lock_rows lock_rows;
        struct plan_modify modify;
    } u;
};

/* A query inside an expression. Without binds it is run at most once per execution (when first
 * needed) and its result is kept; with them, once per row of the caller, after the outer slots have
 * been set. For ANY with a test of plain equalities the executor may hash it (`hashable`). */
struct plan_subplan {
    struct plan_node *root;
    int32_t bind_count;
    struct plan_bind *binds; /* values over the caller's row */
    bool hashable;           /* test is an AND of `caller expr = subplan column`, in column order */
    int32_t hash_key_count;
    struct expr **hash_keys; /* over the caller's row, one per subplan column */
    const struct func **hash_equal;
};
struct plan_cte {
    const char *name;
    struct plan_node *root; /* run at most once; its rows are kept for all scans */
    bool must_run;          /* it writes: runs to its end even if nobody reads it */
};

/* One column of the result, as RowDescription has it. */
struct plan_result {
    const char *name;
    struct sql_type type;
    uint32_t table_oid; /* 0: not a plain column */
    int16_t column_number;
};

/* The statement has one table and reads it by its key: the executor compiles it to the short
 * register bytecode. No joins, subplans, aggregates, sorts, set operations, CTEs or LOCK_ROWS. */
enum plan_point {
    PLAN_POINT_NONE,
    PLAN_POINT_SELECT, /* root is SCAN, or LIMIT over SCAN: table tree, with a range */
    PLAN_POINT_INSERT, /* root is INSERT over VALUES of one row */
    PLAN_POINT_UPDATE, /* root is UPDATE over SCAN with a unique range on the table tree */
    PLAN_POINT_DELETE, /* the same for DELETE */
};

/* Catalogue objects that the plan stands on; invalid when one of them has changed. */
struct plan_object {
    uint32_t oid;
    uint64_t change; /* cat_table.change */
};

struct plan {
    _Atomic uint32_t ref_count;
    struct arena arena;      /* everything below */
    enum ast_kind statement; /* AST_SELECT, AST_INSERT, AST_UPDATE, AST_DELETE */
    enum plan_point point;
    bool writes;     /* changes data, a data-modifying CTE included */
    bool locks_rows; /* FOR UPDATE and its kin: not on a standby */
    bool is_stable;  /* nothing volatile: the same snapshot gives the same result */
    struct plan_node *root;
    int32_t node_count;  /* ids 0 .. node_count */
    int32_t outer_count; /* outer slots */
    int32_t subplan_count;
    struct plan_subplan *subplans;
    int32_t cte_count;
    struct plan_cte *ctes;
    int32_t param_count;
    uint32_t *param_types; /* OIDs, as ParameterDescription has them */
    int32_t result_count;  /* 0: no rows are returned */
    struct plan_result *results;
    struct cat_set *set; /* the catalogue it was made for; the plan holds a reference */
    int past_count;      /* and those of moments, for tables AS OF */
    struct cat_set **past;
    int32_t object_count;
    struct plan_object *objects;
    _Atomic(struct point_program *) program; /* exec_point.c; made at the first execution */
};

/* exec_point.c; for plan_unref. NULL allowed. */
void point_program_free(struct point_program *p);

struct plan *plan_ref(struct plan *plan);
void plan_unref(struct plan *plan); /* NULL allowed */

#endif
