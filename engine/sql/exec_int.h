/* What the files of the executor share. Reading order: exec.c (a run), exec_eval.c (one row's
 * expressions), exec_veval.c (a batch's), exec_range.c and exec_scan.c (sources), exec_rows.c,
 * exec_store.c, exec_sorter.c, exec_table.c, exec_parts.c (rows kept), exec_join.c,
 * exec_hash_join.c, exec_agg.c, exec_sort.c, exec_distinct.c, exec_setop.c, exec_misc.c
 * (operators), exec_write.c, exec_fk.c, exec_modify.c (writes), exec_point.c (the point path),
 * exec_ddl.c (for DDL and COPY).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_EXEC_INT_H
#define ENGINE_SQL_EXEC_INT_H

#include "engine/base/fiber.h"
#include "engine/sql/exec.h"
#include "engine/sql/spill.h"
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
    uint64_t wanted; /* the caller takes so many rows at most from the next batch; 0: all. For who
                      * must not work ahead */
    struct arena scratch; /* emptied before each raw batch */
    struct arena out;     /* emptied before each filtered and projected batch */
    uint16_t *sel;        /* room for a selection */
    struct vexpr *filter, **project;
    uint32_t value_width; /* PLAN_VALUES: columns of its rows */
    struct plan_column *value_columns;
};

struct subplan_state {
    struct exec_node *root; /* NULL: not opened yet */
    bool has_result;        /* kept result of one without binds */
    struct datum scalar;    /* of ARRAY too, once it was made */
    bool has_array;
    bool exists;
    struct row_store *rows; /* of ANY, ALL, ARRAY */
    struct row_table *set;  /* of a hashed ANY: those without nulls */
    bool has_nulls;         /* there are others */
    bool no_set;            /* it was larger than memory */
};

struct exec {
    struct plan *plan;
    struct exec_ctx ctx;
    struct arena arena; /* everything that lives as long as the run */
    struct exec_node *root;
    struct datum *outer; /* plan->outer_count */
    struct subplan_state *subplans;
    struct row_store **ctes; /* NULL: not run yet */
    uint64_t *spilled;       /* bytes written to temporary files, by the id of the node */
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
int cte_rows(struct exec *x, int32_t cte, struct row_store **out);
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

/* True when an operator that holds so many bytes, and would take `more`, should spill: it has its
 * share, or all sessions' memory is spent and it has enough to work with. Never without a place to
 * spill to. */
bool exec_is_full(const struct exec_ctx *ctx, size_t bytes, size_t more);

/* Rows of datums in memory of their own, charged to the run's budget. One that belongs to somebody
 * who spills (may_spill) is not refused memory: he looks before each row. */
struct row_list {
    struct arena arena;
    const struct exec_ctx *ctx;
    uint32_t width;
    enum type_rep *reps;
    oid_t *types;
    struct datum **rows;
    size_t count, cap;
    bool may_spill;
};
struct row_list *row_list_new(const struct exec_ctx *ctx, const struct plan_column *columns,
                              uint32_t width);
void row_list_free(struct row_list *l);
void row_list_reset(struct row_list *l);
size_t row_list_bytes(const struct row_list *l);
/* Whether one more row should not be added, for somebody who holds `others` bytes beside it. */
bool row_list_is_full(const struct row_list *l, size_t others);
MUST_CHECK
int row_list_add(struct row_list *l, const struct datum *row); /* copies */
/* The next rows from *at on as a batch in the arena; ERR_END. */
MUST_CHECK
int row_list_batch(const struct row_list *l, size_t *at, struct arena *a, struct batch **out);
void batch_row_datums(const struct batch *b, uint32_t row, struct datum *out);
/* Fills row `row` of the batch. */
void batch_set_row(struct batch *b, uint32_t row, const struct datum *values);
struct batch *batch_for(struct exec_node *n, const struct plan_column *columns, uint32_t count);

/* ---- rows kept, in memory or in a file: exec_store.c --------------------------------------------
 */

/* Written to its end, then read by any number of readers. */
struct row_store;
struct row_store *row_store_new(const struct exec_ctx *ctx, const struct plan_column *columns,
                                uint32_t width, uint64_t *spilled);
void row_store_free(struct row_store *s); /* NULL allowed; its readers first */
void row_store_reset(struct row_store *s);
MUST_CHECK
int row_store_add(struct row_store *s, const struct datum *row); /* copies */
MUST_CHECK
int row_store_add_batch(struct row_store *s, const struct batch *b, uint32_t from);
/* All rows of a node. */
MUST_CHECK
int row_store_drain(struct row_store *s, struct exec_node *n);
MUST_CHECK
int row_store_end(struct row_store *s); /* no more rows */
uint64_t row_store_count(const struct row_store *s);

struct row_reader {
    struct row_store *store;
    size_t at;
    struct spill_reader file;
};
void row_reader_init(struct row_reader *r, struct row_store *s); /* at its first row */
void row_reader_fini(struct row_reader *r);                      /* allowed on zeroes */
/* The next rows as a batch in the arena, good until the next call; ERR_END. */
MUST_CHECK
int row_reader_batch(struct row_reader *r, struct arena *a, struct batch **out);

/* ---- sorting, in memory or by merging files: exec_sorter.c --------------------------------------
 */

struct sorter_key {
    uint32_t column;
    oid_t type;
    bool descending, nulls_first;
};
/* limit: only so many of the first rows are wanted (UINT64_MAX: all). */
struct sorter;
struct sorter *sorter_new(const struct exec_ctx *ctx, const struct plan_column *columns,
                          uint32_t width, const struct sorter_key *keys, uint32_t key_count,
                          uint64_t limit, uint64_t *spilled);
void sorter_free(struct sorter *s); /* NULL allowed */
void sorter_reset(struct sorter *s);
MUST_CHECK
int sorter_add(struct sorter *s, const struct datum *row); /* copies */
MUST_CHECK
int sorter_finish(struct sorter *s); /* no more rows */
/* The next row in order, good until the next call; ERR_END. */
MUST_CHECK
int sorter_next(struct sorter *s, const struct datum **row);
bool sorter_is_in_memory(const struct sorter *s); /* rows live as long as the sorter then */

/* ---- hash tables of rows: exec_table.c --------------------------------------------------------
 */

enum { ROW_TABLE_KEYS_MAX = 66 };
struct row_table {
    struct row_list *rows; /* the keys, in the order in which they came */
    size_t *slots, slot_count;
    uint64_t *hashes; /* by row */
    size_t hash_cap;
};
/* For somebody who spills: see row_list. */
struct row_table *row_table_new(const struct exec_ctx *ctx, const struct plan_column *columns,
                                uint32_t key_count);
void row_table_free(struct row_table *t); /* NULL allowed */
void row_table_reset(struct row_table *t);
size_t row_table_bytes(const struct row_table *t);
/* Whether one more row should not be added; never while it is empty. */
bool row_table_is_full(const struct row_table *t, size_t others);
uint64_t row_table_hash(const struct row_table *t, const struct datum *keys);
bool row_table_find(const struct row_table *t, uint64_t hash, const struct datum *keys, size_t *at);
/* A row that is not there yet. */
MUST_CHECK
int row_table_add(struct row_table *t, uint64_t hash, const struct datum *keys, size_t *at);

/* ---- rows set aside by hash: exec_parts.c ------------------------------------------------------
 */

/* An operator whose table is full goes on with the keys that it has, and sets the other rows aside
 * in files by the hash of their keys. Later each file is worked on like the input, and set aside
 * further if it must be. */
enum { PARTS = 32, PARTS_LEVEL_MAX = 8 };
struct parts {
    const struct exec_ctx *ctx;
    struct spill_file *file;
    const uint32_t *types;
    uint32_t width;
    uint32_t level; /* which bits of the hash tell */
    struct spill_stream *streams[PARTS];
};
/* Of rows with these columns; the types are borrowed. */
MUST_CHECK
int parts_new(const struct exec_ctx *ctx, const uint32_t *types, uint32_t width, uint32_t level,
              uint64_t *spilled, struct parts **out);
void parts_free(struct parts *p); /* NULL allowed */
MUST_CHECK
int parts_put(struct parts *p, uint64_t hash, const struct datum *row);
MUST_CHECK
int parts_end(struct parts *p);

/* Where an operator that sets rows aside takes them from: its child first, then what was set aside.
 * Owns the streams. */
struct parts_input {
    struct exec_node *n;
    uint64_t *spilled;
    const uint32_t *types; /* of the rows */
    uint32_t width, level;
    struct spill_reader reader; /* open: of a stream that was set aside */
    struct parts *aside;        /* of the pass under way */
    struct part {
        struct part *next;
        struct spill_stream *stream;
        uint32_t level;
    } * pending; /* first to be worked on first */
};
void parts_input_init(struct parts_input *in, struct exec_node *n,
                      const struct plan_column *columns, uint32_t width);
void parts_input_fini(struct parts_input *in);
/* Begins anew, with the child. */
void parts_input_reset(struct parts_input *in);
MUST_CHECK
int parts_input_aside(struct parts_input *in, uint64_t hash, const struct datum *row);
/* The next batch of the stream under way, in the node's scratch arena. */
MUST_CHECK
int parts_input_batch(struct parts_input *in, struct batch **out);
/* The pass is over: on to what was set aside; ERR_END when nothing is. */
MUST_CHECK
int parts_input_next(struct parts_input *in);

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
/* The key of the row that has these values in a unique index, once no other transaction holds the
 * entry; no data: there is none. */
MUST_CHECK
int write_find(const struct write_target *w, const struct cat_index *ix, const struct datum *values,
               struct slice *found);
/* Whether the two rows differ in the columns of the index. */
bool write_entry_changes(const struct write_target *w, const struct cat_index *ix,
                         const struct datum *old, const struct datum *values);
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
/* CHECK constraints of the row in v->columns: ERR_CHECK_VIOLATION. The text of the row lies in v's
 * arena. */
MUST_CHECK
int exec_checks_hold(const struct eval *v, const struct plan_modify *m);

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
