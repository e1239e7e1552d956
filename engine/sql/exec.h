/* Running plans: the point path and the vectorized executor behind one door.
 *
 * A run has its own state; the plan is shared and never written. Rows come in batches of up to
 * 1,024; a portal may stop after any row and go on later, in the same transaction. Point statements
 * (plan->point) are compiled once per plan to a short register program and run without setting up
 * anything; the caller does not see the difference.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_EXEC_H
#define ENGINE_SQL_EXEC_H

#include "engine/catalog/catalog.h"
#include "engine/engine.h"
#include "engine/sql/plan.h"
#include "engine/types/datum.h"
#include "engine/types/func.h"

struct exec;
struct spill_space;
struct sql_client;

/* What a run works in; outlives it. */
struct exec_ctx {
    struct engine *engine;
    struct catalog *catalog;
    struct cat_set *set; /* the catalogue that the plan was made for */
    struct txn *txn;     /* a statement is open (txn_statement_begin) for the whole run */
    const struct type_env *types;
    const struct func_set *funcs;
    const struct datum *params; /* plan->param_count, of plan->param_types */
    int32_t param_count;
    struct budget *memory; /* query work memory: past it operators spill, or fail with 53200 */
    size_t work_bytes;     /* an operator's share of it (work_mem): beyond it the operator spills */
    struct spill_space *spill; /* where to; NULL: it does not */
    const bool *canceled;      /* looked at between batches: ERR_QUERY_CANCELED */
    struct arena
        *scratch;  /* point statements work here; the caller empties it between executions */
    void *session; /* for functions that need the session: handed to them by type_env */
};

/* ERR_QUERY_CANCELED if somebody has asked for it. */
MUST_CHECK
int exec_ctx_interrupted(const struct exec_ctx *ctx);

/* Begins a run. The plan is referenced until exec_close. Writes happen as the run is pulled; a plan
 * that writes is pulled to its end (exec_finish) even if nobody wants its rows. Parks. */
MUST_CHECK
int exec_open(struct plan *plan, const struct exec_ctx *ctx, struct exec **out);
/* The next rows, valid until the next call; ERR_END (not recorded) after the last. Parks. */
MUST_CHECK
int exec_next(struct exec *x, const struct batch **out);
/* Rows inserted, updated or deleted so far (of the plan's own statement, not of CTEs). */
uint64_t exec_affected(const struct exec *x);
/* Bytes that the node of that number has put into temporary files. */
uint64_t exec_spilled(const struct exec *x, int32_t node);
void exec_close(struct exec *x); /* NULL allowed */

/* Pulls rows and encodes them as DataRow messages straight into the client's output, in the format
 * asked for per column (0 text, 1 binary; count 0: all text; 1: for all). Stops after max_rows (0:
 * all): *done false then, and the next call goes on. *rows: sent by this call. Parks. */
MUST_CHECK
int exec_send(struct exec *x, struct sql_client *client, const int16_t *formats, int format_count,
              uint64_t max_rows, uint64_t *rows, bool *done);

/* One whole execution for those who want no rows (an UPDATE without RETURNING) or few: opens,
 * pulls, closes. For a point plan this is the fast path: nothing is allocated. client NULL: rows
 * are thrown away. *rows: sent, or affected if the statement has no result. Parks. */
MUST_CHECK
int exec_run(struct plan *plan, const struct exec_ctx *ctx, struct sql_client *client,
             const int16_t *formats, int format_count, uint64_t *rows);

/* ---- for DDL --------------------------------------------------------------------------
 */

/* Goes over the newest rows of a table, own writes included: fn gets the key and all columns; it
 * returns 0 to go on. The caller holds a lock that keeps writers out. For CREATE INDEX, ADD
 * CONSTRAINT, rewrites. Parks. */
MUST_CHECK
int table_each_row(const struct exec_ctx *ctx, const struct cat_table *table,
                   int (*fn)(void *arg, struct slice key, const struct datum *values), void *arg);
/* Fills the tree of a new index from the table's rows: ERR_UNIQUE_VIOLATION with the key. Parks. */
MUST_CHECK
int table_build_index(const struct exec_ctx *ctx, const struct cat_table *table,
                      const struct cat_index *ix);
/* Checks a new foreign key against the rows that are there. Parks. */
MUST_CHECK
int table_verify_fk(const struct exec_ctx *ctx, const struct cat_table *table,
                    const struct cat_fk *fk);

/* The moment that an int8 (by_scn) or a timestamptz means. Not pinned. */
MUST_CHECK
int exec_moment(struct engine *e, const struct datum *value, bool by_scn, struct read_moment *out);

/* Evaluates one expression without input columns (a DEFAULT, an option). Parks if it has subplans.
 */
MUST_CHECK
int exec_eval(const struct exec_ctx *ctx, const struct expr *e, struct arena *a, struct datum *out);

#endif
