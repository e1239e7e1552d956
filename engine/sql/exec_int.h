/* What the files of the executor share. Reading order: exec.c (a run), exec_eval.c (one row's
 * expressions), exec_veval.c (a batch's), exec_range.c and exec_scan.c (sources), exec_join.c,
 * exec_agg.c, exec_sort.c, exec_misc.c (operators), exec_write.c, exec_fk.c, exec_modify.c
 * (writes), exec_point.c (the point path), exec_table.c (for DDL and COPY).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_EXEC_INT_H
#define ENGINE_SQL_EXEC_INT_H

#include "engine/base/fiber.h"
#include "engine/sql/exec.h"
#include "engine/types/array.h"

/* ---- a run ----------------------------------------------------------------------------------- */

/* An operator's state. `next` fills a batch of the node's raw rows, before filter and project. */
struct exec_node {
    const struct plan_node *plan;
    struct exec *x;
    struct exec_node **child;
    int (*next)(struct exec_node *n, struct batch **out); /* ERR_END at the end; parks */
    int (*rescan)(struct exec_node *n); /* starts over, with the outer slots of now */
    void (*close)(struct exec_node *n); /* NULL: nothing beyond the run's arena */
    void *state;                        /* the operator's own */
    struct arena scratch;               /* emptied before each raw batch */
    struct arena out;                   /* emptied before each filtered and projected batch */
    uint16_t *sel;                      /* room for a selection */
    struct vexpr *filter, **project;
    uint32_t value_width; /* PLAN_VALUES: columns of its rows */
    struct plan_column *value_columns;
};

struct subplan_state {
    struct exec_node *root; /* NULL: not opened yet */
    bool has_result;        /* kept result of one without binds */
    struct datum scalar;
    bool exists;
    struct row_list *rows; /* of ANY, ALL, ARRAY */
};

struct exec {
    struct plan *plan;
    struct exec_ctx ctx;
    struct arena arena; /* everything that lives as long as the run */
    struct exec_node *root;
    struct datum *outer; /* plan->outer_count */
    struct subplan_state *subplans;
    struct row_list **ctes; /* NULL: not run yet */
    uint64_t affected;
    int depth;
    struct batch *rest; /* exec_send: rows not sent yet */
    uint32_t rest_at;
    bool ended;
};

MUST_CHECK
int exec_node_open(struct exec *x, const struct plan_node *plan, struct exec_node **out);
/* The next batch, filtered and projected; never empty. */
MUST_CHECK
int exec_node_next(struct exec_node *n, struct batch **out);
MUST_CHECK
int exec_node_rescan(struct exec_node *n);
void exec_node_close(struct exec_node *n);
MUST_CHECK
int exec_check_interrupt(const struct exec *x);

/* An operator's constructor sets next, rescan, close, state; children are open already. */
typedef int exec_node_init_fn(struct exec_node *n);
exec_node_init_fn scan_init, values_init, function_init, cte_scan_init, project_init,
    aggregate_init, sort_init, distinct_init, limit_init, lock_rows_init, materialize_init,
    hash_join_init, nest_loop_init, set_op_init, modify_init, series_init;

/* ---- one row's expressions: exec_eval.c -------------------------------------------------------
 */

/* Evaluates over one row. `columns` is the input row; results lie in `arena` or borrow. `sub`: the
 * subplan's row while its test is evaluated. */
struct eval {
    struct exec *x; /* NULL where there is no run: subplans are then a bug */
    const struct exec_ctx *ctx;
    const struct datum *columns;
    const struct datum *sub;
    const struct datum *outer;
    struct arena *arena;
};
MUST_CHECK
int eval_row(const struct eval *v, const struct expr *e, struct datum *out);
/* As a condition: *pass only on TRUE. */
MUST_CHECK
int eval_pass(const struct eval *v, const struct expr *e, bool *pass);
/* The same without a row, over parameters and outer slots. */
MUST_CHECK
int eval_scalar(struct exec *x, const struct expr *e, struct datum *out);

/* exec_subplan.c: a common table expression is run when it is first asked for. */
MUST_CHECK
int cte_rows(struct exec *x, int32_t cte, struct row_list **out);
MUST_CHECK
int eval_subplan(const struct eval *v, const struct expr *e, struct datum *out);
void subplans_close(struct exec *x);

/* ---- a batch's expressions: exec_veval.c ------------------------------------------------------
 */

struct vexpr {
    const struct expr *expr;
    struct vexpr **args;
    struct func_call call;
    oid_t *arg_types;
};
struct vexpr *vexpr_new(struct exec *x, const struct expr *e);
/* Into *out, which may alias a column of the input: read only. sel NULL: rows 0 .. count-1. */
MUST_CHECK
int vexpr_eval(struct exec *x, struct vexpr *v, const struct batch *in, const uint16_t *sel,
               uint32_t count, struct arena *a, struct vec **out);
/* Rows of the selection where the condition is TRUE: fills `pass`, returns how many in *passed. */
MUST_CHECK
int vexpr_filter(struct exec *x, struct vexpr *v, const struct batch *in, const uint16_t *sel,
                 uint32_t count, struct arena *a, uint16_t *pass, uint32_t *passed);

/* ---- rows kept: exec_rows.c -------------------------------------------------------------------
 */

/* Rows of datums in memory of their own, charged to the run's budget. */
struct row_list {
    struct arena arena;
    uint32_t width;
    enum type_rep *reps;
    oid_t *types;
    struct datum **rows;
    size_t count, cap;
};
struct row_list *row_list_new(struct exec *x, const struct plan_column *columns, uint32_t width);
void row_list_free(struct row_list *l);
void row_list_reset(struct row_list *l);
MUST_CHECK
int row_list_add(struct row_list *l, const struct datum *row); /* copies */
MUST_CHECK
int row_list_add_batch(struct row_list *l, const struct batch *b);
/* All rows of a node. */
MUST_CHECK
int row_list_drain(struct row_list *l, struct exec_node *n);
/* The next rows from *at on as a batch in the arena; ERR_END. */
MUST_CHECK
int row_list_batch(const struct row_list *l, size_t *at, struct arena *a, struct batch **out);
void batch_row_datums(const struct batch *b, uint32_t row, struct datum *out);
/* Fills row `row` of the batch. */
void batch_set_row(struct batch *b, uint32_t row, const struct datum *values);
struct batch *batch_for(struct exec_node *n, const struct plan_column *columns, uint32_t count);

/* ---- hash tables of rows: exec_table.c --------------------------------------------------------
 */

enum { ROW_TABLE_KEYS_MAX = 66 };
struct row_table {
    struct row_list *rows; /* the keys, in the order in which they came */
    size_t *slots, slot_count;
    uint64_t *hashes; /* by row */
};
struct row_table *row_table_new(struct exec *x, const struct plan_column *columns,
                                uint32_t key_count);
void row_table_free(struct row_table *t); /* NULL allowed */
void row_table_reset(struct row_table *t);
bool row_table_find(const struct row_table *t, const struct datum *keys, size_t *at);
MUST_CHECK
int row_table_put(struct row_table *t, const struct datum *keys, size_t *at, bool *found);

/* ---- keys of ranges: exec_range.c --------------------------------------------------------------
 */

struct key_range {
    struct slice lo, hi; /* [lo, hi); hi.data NULL: to the end */
};
/* The key ranges of a scan, in the order in which they are to be visited. None: no rows. */
MUST_CHECK
int range_keys(const struct eval *v, const struct plan_range *r, const struct key_part *parts,
               uint32_t part_count, bool backward, struct arena *a, struct key_range **out,
               uint32_t *count);

/* ---- tables: exec_write.c, exec_fk.c ------------------------------------------------------------
 */

/* Decodes all columns of a stored row; bytes borrow from key and row, or lie in the arena. */
MUST_CHECK
int table_decode(const struct cat_table *t, struct slice key, struct slice row, struct arena *a,
                 struct datum *values);
/* Foreign keys that did not hold when a row was written and may at the statement's end. */
struct fk_later {
    struct arena arena;
    struct fk_check *first, **last;
};
enum { WRITE_TAIL_MAX = 256 };
struct write_tail;
struct write_target {
    const struct exec_ctx *ctx;
    const struct cat_table *table;
    struct arena *arena;
    struct fk_later *later;  /* NULL: foreign keys hold at once, or it is an error */
    bool in_cascade;         /* the write follows from a foreign key's action */
    struct write_tail *tail; /* NULL: others know the table */
};
/* The greatest key in a tree that only this transaction knows: above it nothing need be looked up.
 */
struct write_tail {
    uint8_t key[WRITE_TAIL_MAX];
    size_t size;
    bool is_set;
};
enum write_outcome { WRITE_DONE, WRITE_EXISTS, WRITE_GONE };
/* Inserts a row with its index entries. conflict_ok: a duplicate gives WRITE_EXISTS with
 * *conflict (NULL: the primary key) and the key of the row in the way, instead of an error. */
MUST_CHECK
int write_insert(const struct write_target *w, const struct datum *values, bool conflict_ok,
                 enum write_outcome *outcome, const struct cat_index **conflict,
                 struct slice *existing_key);
/* Replaces `old` (its row as `row` says) by `values`; index entries that change. ERR_AGAIN: look at
 * the row again. */
MUST_CHECK
int write_update(const struct write_target *w, struct slice key, const struct txn_row *row,
                 const struct datum *old, const struct datum *values, bool key_changes);
MUST_CHECK
int write_delete(const struct write_target *w, struct slice key, const struct txn_row *row,
                 const struct datum *old);
MUST_CHECK
int check_not_null(const struct cat_table *t, struct arena *a, const struct datum *values);
/* The row whose key an index to be built has already. */
int refuse_index(const struct exec_ctx *ctx, const struct cat_table *t, const struct cat_index *ix,
                 const struct datum *values);
/* "(1, abc, null)" for the detail of a message. */
const char *row_text(const struct cat_table *t, struct arena *a, const struct datum *values);

/* The row refers to rows that exist (and holds them with a key share). old NULL: an insert. */
MUST_CHECK
int fk_check_row(const struct write_target *w, const struct datum *old, const struct datum *values);
/* Nothing refers to the old row any more, or the action takes care. values NULL: a delete. */
MUST_CHECK
int fk_check_referenced(const struct write_target *w, const struct datum *old,
                        const struct datum *values);
void fk_later_init(struct fk_later *l, struct budget *memory);
void fk_later_fini(struct fk_later *l);
/* At the statement's end, once: all that was put off holds. */
MUST_CHECK
int fk_check_later(const struct write_target *w);

/* exec_ddl.c */
MUST_CHECK
int table_each_row_at(const struct exec_ctx *ctx, const struct cat_table *table,
                      const struct cat_index *ix, const struct datum *first,
                      int (*fn)(void *arg, struct slice key, const struct datum *values),
                      void *arg);

/* exec_point.c: 0 with *ran false when the plan is not one for the point path. */
MUST_CHECK
int point_run(struct plan *plan, const struct exec_ctx *ctx, struct sql_client *client,
              const int16_t *formats, int format_count, uint64_t *rows, bool *ran);

/* exec_send.c */
void send_datum(struct sql_client *client, const struct type_env *env, oid_t type, int16_t format,
                const struct datum *d);
static inline int16_t
format_of(const int16_t *formats, int count, int column)
{
    return count == 0 ? 0 : count == 1 ? formats[0] : formats[column];
}

#endif
