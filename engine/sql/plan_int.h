/* What the files of the planner share.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_PLAN_INT_H
#define ENGINE_SQL_PLAN_INT_H

#include <string.h>

#include "engine/catalog/catalog.h"
#include "engine/sql/bound.h"
#include "engine/sql/plan.h"
#include "engine/sql/planner.h"

enum { PLAN_RELS_MAX = 64, PLAN_DEPTH_MAX = 200, PLAN_PSEUDO_COLUMNS = 4 };

/* A set of range table entries of one query. */
typedef uint64_t rels_t;
static inline rels_t
rel_bit(int32_t rel)
{
    return (rels_t)1 << rel;
}

struct planner {
    struct arena *arena;
    struct plan *plan;
    const struct func_set *funcs;
    int32_t own_param_count; /* lifted literals are the parameters after these */
    int32_t depth;
    int32_t subplan_capacity, cte_capacity;
    bool has_volatile;
};

/* A column of an outer query that this one (or one within it) uses, and the slot it comes by. */
struct outer_ref {
    int32_t level, rel, column; /* level from 1 */
    int32_t slot;
    struct expr *value; /* in the terms of the query one further out: an EXPR_VAR of level 0, or the
                         * slot itself, which is set still further out */
};

/* What is needed of one range table entry. */
struct rel_use {
    int32_t count;
    bool *column; /* by column; the last PLAN_PSEUDO_COLUMNS are PLAN_COLUMN_KEY ... _SCN */
};

/* One query being planned. */
struct pquery {
    struct planner *p;
    struct pquery *parent;
    struct query *q;
    struct rel_use *uses; /* by rel */
    int32_t outer_count, outer_capacity;
    struct outer_ref *outer;
};

/* Which column of which entry each column of a node's output is. */
struct layout_column {
    int32_t rel, column;
};
struct layout {
    int32_t count;
    struct layout_column *columns;
};

/* A slot that a nested loop sets for its right side. */
struct bind_list {
    int32_t count, capacity;
    struct plan_bind *binds; /* values are bound expressions of the left side until translated */
};

/* A node with what is known of it. */
struct path {
    struct plan_node *node;
    struct layout layout;
    rels_t rels;
    double rows, cost;
};

/* A conjunct of WHERE or ON. */
struct cond {
    struct expr *e;
    rels_t rels;
    bool is_volatile, has_sublink;
    bool used;
};
struct conds {
    int32_t count, capacity;
    struct cond *list;
};

/* How bound expressions become those of a node: what its input row is. */
struct space {
    const struct layout *layout; /* NULL: no columns */
    int32_t base;                /* index of the layout's first column in the input row */
    /* of a grouped query: keys, then aggregates */
    bool grouped;
    int32_t group_count, agg_count;
    struct expr **groups, **aggs;
    struct bind_list
        *siblings; /* columns that the layout does not have come by slots, noted here */
};

/* ---- plan.c -------------------------------------------------------------------------------- */

struct plan_node *node_make(struct planner *p, enum plan_kind kind, int32_t children);
void node_set_columns(struct planner *p, struct plan_node *n, struct expr **list, int32_t count);
void node_copy_columns(struct planner *p, struct plan_node *n, const struct plan_node *from);
void node_project(struct planner *p, struct plan_node *n, struct expr **list, int32_t count);
struct expr *plan_and(struct planner *p, struct expr *x, struct expr *y);

/* ---- plan_walk.c --------------------------------------------------------------------------- */

/* All expressions of one node, not of those below it. */
int plan_node_each_expr(struct plan_node *n, int (*fn)(struct expr **e, void *arg), void *arg);
/* Its rows depend on slots that are set above it: they must not be kept from one run to the next.
 */
bool plan_needs_slots(struct planner *p, struct plan_node *n);

/* ---- plan_expr.c --------------------------------------------------------------------------- */

MUST_CHECK
int translate(struct pquery *pq, struct expr *e, const struct space *space, struct expr **out);
/* The entries whose columns it uses, `level` queries further out than where it stands. */
rels_t expr_rels(struct expr *e, int32_t level);
rels_t query_rels(struct query *q, int32_t level);
int32_t slot_new(struct planner *p);
struct expr *slot_expr(struct planner *p, int32_t slot, struct sql_type type);
void bind_list_add(struct planner *p, struct bind_list *l, int32_t slot, struct expr *value);
struct expr *cast_to(struct planner *p, struct expr *e, oid_t type); /* NULL: there is no way */
void collect_aggs(struct planner *p, struct expr *e, struct expr ***list, int32_t *count);
void note_uses(struct pquery *pq);
void use_column(struct pquery *pq, int32_t rel, int32_t column);

/* ---- conditions: plan_cond.c ----------------------------------------------------------------- */

void conds_add(struct planner *p, struct conds *c, struct expr *e); /* splits ANDs */
/* Surely not true when all columns of these entries are NULL. */
bool rejects_null(const struct expr *e, rels_t rels);
double cond_selectivity(const struct cond *c);
/* a = b of the two sides, as keys of a hash join; false if it is nothing of the kind. */
struct equality {
    struct expr *left, *right; /* of the same type */
    const struct func *equal;
};
bool cond_equality(struct planner *p, const struct cond *c, rels_t left, rels_t right,
                   struct equality *out);

/* ---- plan_access.c ------------------------------------------------------------------------- */

/* The way to a table's rows. */
struct access {
    const struct cat_index *index; /* NULL: the table's own tree */
    struct plan_range range;       /* bound expressions */
    bool has_range, unique, backward, ordered;
    bool *consumed;    /* by number in the conds: the range sees to it */
    double rows, cost; /* per scan */
};
/* An order that is wanted: columns of the entry. */
struct wanted_order {
    int32_t count;
    const struct order_item *items;
    const struct target *targets;
    double limit; /* rows wanted; negative: all */
};
/* Conditions over the entry and those of `outer` (whose columns will be in slots). */
MUST_CHECK
int choose_access(struct pquery *pq, int32_t rel, const struct conds *conds, rels_t outer,
                  const struct wanted_order *order, struct access *out);
/* The scan; slots for outer columns are noted in binds. Conditions within reach are marked used. */
MUST_CHECK
int scan_path(struct pquery *pq, int32_t rel, const struct access *a, struct conds *conds,
              rels_t outer, struct bind_list *binds, struct path *out);
double table_rows(const struct cat_table *t);

/* ---- plan_join.c, plan_rel.c ----------------------------------------------------------------- */

/* The query's FROM with these conditions (all of them are met). */
MUST_CHECK
int plan_from(struct pquery *pq, struct from *from, struct conds *conds,
              const struct wanted_order *order, bool *ordered, struct path *out);
/* One entry that is no table; what it needs of others is noted in binds. */
MUST_CHECK
int plan_rel(struct pquery *pq, int32_t rel, struct conds *conds, struct bind_list *binds,
             struct path *out);
/* Conditions that stay above a node. */
MUST_CHECK
int path_filter(struct pquery *pq, struct path *path, struct conds *conds);
/* EXISTS and IN as joins, where they can be: plan_semi.c. */
struct semi {
    enum plan_join join;
    int32_t rel;
    struct conds on;
    rels_t needs; /* left side */
};
MUST_CHECK
int make_semi(struct pquery *pq, struct expr *e, struct semi *out, bool *made);
void query_as_set(struct query *q);

/* ---- plan_query.c, plan_write.c -------------------------------------------------------------- */

/* A query; `pq` is made by the caller with parent set, so that it sees the outer references. The
 * path's columns are the visible targets. */
MUST_CHECK
int plan_query(struct pquery *pq, struct path *out);
void pquery_init(struct pquery *pq, struct planner *p, struct pquery *parent, struct query *q);
MUST_CHECK
int plan_write(struct pquery *pq, struct path *out);
MUST_CHECK
int plan_sublink(struct pquery *pq, struct expr *e, const struct space *space, struct expr **out);
MUST_CHECK
int plan_cte(struct pquery *pq, struct bound_cte *cte);
/* FOR UPDATE over a path. */
MUST_CHECK
int plan_locks(struct pquery *pq, struct path *path, struct expr *recheck);
MUST_CHECK
int plan_target(struct pquery *pq, int32_t rel, const struct layout *layout, struct expr *where,
                struct plan_target *out);
struct expr *query_recheck(struct pquery *pq); /* all that WHERE and inner ON say; bound */

#endif
