/* Statement to physical plan: binds, rewrites, chooses access paths and joins.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_PLANNER_H
#define ENGINE_SQL_PLANNER_H

#include "engine/sql/bind.h"
#include "engine/sql/plan.h"

struct plan_request {
    struct slice text;           /* what was parsed: for error positions */
    const struct ast *statement; /* SELECT, INSERT, UPDATE or DELETE */
    const struct binder_catalog *catalog;
    struct cat_set *set; /* goes over to the plan, which releases it; on failure it stays the
                          * caller's. NULL in tests */
    const struct func_set *funcs;
    const struct type_env *types;    /* see bind.h */
    const struct sql_normal *normal; /* what was lifted from a simple query, or NULL */
    int32_t param_count;             /* types given in Parse; 0: to be inferred */
    const oid_t *param_types;
    struct budget *budget; /* the plan's memory is charged to it, as long as the plan lives */
};

/* *out with one reference. *pinned: the plan depends on the value of a lifted literal; it is right
 * for this text only and must not be put into the cache by its normalized key. Parks (catalogue).
 */
MUST_CHECK
int sql_plan_make(const struct plan_request *request, struct plan **out, bool *pinned);

/* What a node did in a run, for EXPLAIN ANALYZE; by plan_node.id. */
struct explain_run {
    double rows; /* yielded, over all loops */
    uint64_t loops, start_us, total_us;
};
struct explain_options {
    bool costs, verbose, timing;
    const struct explain_run *run; /* NULL: without ANALYZE */
    const char *const *params;     /* by parameter: SQL text shown in place of $n; NULL: none */
    const uint64_t *spilled; /* by plan_node.id: bytes written to temporary files; NULL: no run */
};
/* EXPLAIN: the plan as lines of text, indented as PostgreSQL does; in the arena, without line ends.
 */
void sql_explain(const struct plan *plan, const struct explain_options *o, struct arena *arena,
                 const char ***lines, int32_t *count);

/* One expression as SQL. `column` names the columns of the row that it is over (NULL: by number).
 */
struct expr_text {
    struct arena *arena;
    const char *(*column)(void *arg, int32_t index);
    const char *(*slot)(void *arg, int32_t index);
    const char *const *params;
    void *arg;
};
const char *sql_expr_text(const struct expr_text *t, const struct expr *e);

#endif
