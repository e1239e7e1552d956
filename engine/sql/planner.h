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

/* EXPLAIN: the plan as lines of text, as PostgreSQL indents them. run (NULL without ANALYZE): what
 * each node did, by plan_node.id. */
struct explain_run {
    double rows; /* yielded, over all loops */
    uint64_t loops;
    uint64_t start_us, total_us;
};
struct explain_options {
    bool costs, verbose, timing;
    const struct explain_run *run;
    const char *const *params; /* values of lifted literals as SQL text, shown in place of $n; or
                                * NULL */
};
/* Lines without their ends, in the arena. */
void sql_explain(const struct plan *plan, const struct explain_options *o, struct arena *arena,
                 struct ast_list **lines);
/* One expression as SQL; `names` gives the columns (may be NULL). For messages and
 * pg_get_indexdef-like functions. */
const char *sql_expr_text(struct arena *arena, const struct expr *e,
                          const char *(*column)(void *arg, int32_t index), void *arg);

#endif
