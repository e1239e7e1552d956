/* What the files of the binder share.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_BIND_INT_H
#define ENGINE_SQL_BIND_INT_H

#include <string.h>

#include "engine/sql/bind.h"

enum {
    BIND_DEPTH_MAX = 1500,
    BIND_VIEW_DEPTH_MAX = 32,
    BIND_COLUMNS_MAX = 1664,
    BIND_RELS_MAX = 64
};

/* Where an expression stands: decides what it may contain, and what errors call the place. */
enum bind_clause {
    CLAUSE_SELECT,
    CLAUSE_WHERE,
    CLAUSE_JOIN_ON,
    CLAUSE_GROUP_BY,
    CLAUSE_HAVING,
    CLAUSE_ORDER_BY,
    CLAUSE_DISTINCT_ON,
    CLAUSE_LIMIT,
    CLAUSE_VALUES,
    CLAUSE_FROM_FUNCTION,
    CLAUSE_SET,
    CLAUSE_RETURNING,
    CLAUSE_AS_OF,
    CLAUSE_FILTER,
    CLAUSE_OTHER,
};

/* Names by which columns can be reached: a range table entry, or a join with names of its own. */
struct ns_item {
    const char *name; /* NULL: cannot be named */
    const char *schema;
    int32_t rel; /* -1: a join */
    int32_t column_count;
    const char **column_names;   /* of a join */
    struct expr **column_values; /* of a join: at level 0 */
    bool columns_visible;        /* for unqualified names and * */
    bool name_visible;
};

/* One query being bound. */
struct bind_scope {
    struct bind_scope *outer;
    struct query *query;
    int32_t item_count, item_capacity;
    struct ns_item *items;
    int32_t first_item; /* ON sees the items from here */
    bool hidden;        /* a subquery in FROM that is not LATERAL is being bound */
    enum bind_clause clause;
    const char *what;      /* CLAUSE_OTHER: "DEFAULT expressions" */
    int32_t agg_depth;     /* inside an aggregate's arguments */
    const struct ast *srf; /* the call in FROM that may return a set */
    bool has_srf;          /* a set-returning function of the select list has become an entry */
    int32_t cte_count, cte_capacity;
    struct bound_cte **ctes; /* in sight of this query and those within */
};

struct binder {
    struct arena *arena;
    struct slice text;
    bool foreign_text; /* a view or default is being bound: no positions */
    const struct binder_catalog *catalog;
    const struct func_set *funcs;
    const struct type_env *types;
    const struct sql_normal *normal;
    int32_t own_param_count; /* given or seen; lifted ones come after */
    int32_t param_capacity;
    oid_t *param_types; /* own */
    oid_t *lifted_types;
    bool pinned;
    struct bind_scope *scope;
    int32_t depth, view_depth;
    int32_t object_count, object_capacity;
    struct plan_object *objects;
};

static const struct sql_type TYPE_BOOL_PLAIN = { TYPE_BOOL, -1 };
static const struct sql_type TYPE_INT8_PLAIN = { TYPE_INT8, -1 };
static const struct sql_type TYPE_TEXT_PLAIN = { TYPE_TEXT, -1 };

/* ---- bind.c -------------------------------------------------------------------------------- */

int bind_error(struct binder *b, int code, int32_t at, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* Adds the position to an error that another room has recorded; returns rc. */
int bind_place(struct binder *b, int rc, int32_t at);
MUST_CHECK
int bind_deeper(struct binder *b); /* paired with bind_shallower when it gives 0 */
void bind_shallower(struct binder *b);
MUST_CHECK
int bind_param(struct binder *b, const struct ast_param *p, struct expr **out);
oid_t *bind_param_type(struct binder *b, const struct expr *param);
void bind_uses_table(struct binder *b, const struct cat_table *table);
const char *bind_copy(struct binder *b, const char *s); /* into the result; NULL for NULL */

/* ---- bind_name.c --------------------------------------------------------------------------- */

MUST_CHECK
int bind_column(struct binder *b, const struct ast_column *c, struct expr **out);
/* Replaces * and t.* by columns: calls fn for each. */
MUST_CHECK
int bind_star(struct binder *b, const struct ast_column *c,
              int (*fn)(struct binder *b, const char *name, struct expr *value, void *arg),
              void *arg);
struct expr *bind_var(struct binder *b, const struct query *q, int32_t rel, int32_t column,
                      int32_t level, int32_t at);
const char *ns_column_name(const struct query *q, const struct ns_item *item, int32_t i);
struct expr *ns_column_value(struct binder *b, const struct query *q, const struct ns_item *item,
                             int32_t i, int32_t level, int32_t at);
/* Where a plain column came from, for RowDescription. */
void bind_origin(const struct query *q, const struct expr *value, struct target *t);

/* ---- bind_from.c --------------------------------------------------------------------------- */

int32_t query_add_rel(struct binder *b, struct query *q, struct rte *rte);
MUST_CHECK
int scope_add_item(struct binder *b, struct ns_item item, int32_t at, int32_t first);
MUST_CHECK
int bind_from_list(struct binder *b, const struct ast_list *list);
MUST_CHECK
int bind_table(struct binder *b, const struct ast_relation *relation, const struct cat_table **out);
struct rte *rte_for_table(struct binder *b, const struct cat_table *table, const char *alias);
void from_add(struct binder *b, struct query *q, struct from *f);
struct from *from_rel(struct binder *b, int32_t rel);
MUST_CHECK
int bind_with(struct binder *b, const struct ast_with_clause *with);

/* ---- bind_expr.c --------------------------------------------------------------------------- */

MUST_CHECK
int bind_expr(struct binder *b, const struct ast *e, struct expr **out);
MUST_CHECK
int bind_list(struct binder *b, const struct ast_list *list, struct expr ***out);
/* In a clause of the current scope. */
MUST_CHECK
int bind_clause(struct binder *b, const struct ast *e, enum bind_clause clause, struct expr **out);
/* ... that has to be boolean; `name`: "WHERE". */
MUST_CHECK
int bind_condition(struct binder *b, const struct ast *e, enum bind_clause clause, const char *name,
                   struct expr **out);
const char *bind_clause_name(const struct bind_scope *s);

/* ---- bind_op.c, bind_sublink.c ------------------------------------------------------------- */

MUST_CHECK
int bind_operator(struct binder *b, const char *schema, const char *op, struct expr *left,
                  struct expr *right, int32_t at, struct expr **out);
/* The same, not folded: its operands are seen. */
MUST_CHECK
int bind_operator_call(struct binder *b, const char *schema, const char *op, struct expr *left,
                       struct expr *right, int32_t at, struct expr **out);
MUST_CHECK
int bind_op_node(struct binder *b, const struct ast_op *o, struct expr **out);
MUST_CHECK
int bind_like(struct binder *b, const struct ast_like *l, struct expr **out);
MUST_CHECK
int bind_between(struct binder *b, const struct ast_between *n, struct expr **out);
MUST_CHECK
int bind_in(struct binder *b, const struct ast_in *n, struct expr **out);
MUST_CHECK
int bind_distinct(struct binder *b, const struct ast_distinct *n, struct expr **out);
MUST_CHECK
int bind_any(struct binder *b, const struct ast_any *n, struct expr **out);
MUST_CHECK
int bind_sublink(struct binder *b, const struct ast_sublink *n, struct expr **out);
/* a op b for rows of the same length. */
MUST_CHECK
int bind_row_compare(struct binder *b, const char *op, struct expr **left, struct expr **right,
                     int32_t count, int32_t at, struct expr **out);
struct expr *expr_bool(struct binder *b, enum expr_kind kind, struct expr *x, struct expr *y);
struct expr *expr_not(struct binder *b, struct expr *x);

/* ---- bind_func.c --------------------------------------------------------------------------- */

MUST_CHECK
int bind_func(struct binder *b, const struct ast_func *f, struct expr **out);
MUST_CHECK
int bind_value_func(struct binder *b, const struct ast_value_func *f, struct expr **out);
/* A call of a function by name with arguments that are bound already. */
MUST_CHECK
int bind_call(struct binder *b, const char *name, struct expr **args, int32_t count, int32_t at,
              struct expr **out);

/* ---- bind_coerce.c ------------------------------------------------------------------------- */

MUST_CHECK
int bind_literal(struct binder *b, const struct ast_literal *l, struct expr **out);
struct expr *expr_const(struct binder *b, struct sql_type type, const struct datum *value,
                        int32_t at); /* value NULL: SQL NULL; bytes are copied */
/* The expression is about to stand in several places: as a literal it keeps its type. */
void bind_share(struct expr *e);
/* To a type, implicitly or more; leaves *e alone and gives ERR_CANNOT_COERCE (not recorded) where
 * there is no way. */
MUST_CHECK
int bind_coerce_try(struct binder *b, struct expr **e, struct sql_type type,
                    enum cast_context context);
/* The same with PostgreSQL's error. `at`: of the cast, for explicit ones. */
MUST_CHECK
int bind_coerce(struct binder *b, struct expr **e, struct sql_type type, enum cast_context context,
                int32_t at);
/* All to their common type. */
MUST_CHECK
int bind_common(struct binder *b, const char *what, struct expr **list, int32_t count,
                struct sql_type *type);
MUST_CHECK
int bind_boolean(struct binder *b, struct expr **e, const char *what);
/* For the value of a column: 42804 with the column's name. */
MUST_CHECK
int bind_assign(struct binder *b, struct expr **e, struct sql_type type, const char *column);
/* What is still of unknown type becomes text. */
MUST_CHECK
int bind_settle(struct binder *b, struct expr **e);
MUST_CHECK
int bind_type_name(struct binder *b, const struct ast_type_name *t, struct sql_type *out);
struct expr *bind_fold(struct binder *b, struct expr *e);

/* ---- queries ------------------------------------------------------------------------------- */

/* Binds in a scope of its own, within the current one. settle: unknown results become text. */
MUST_CHECK
int bind_query(struct binder *b, const struct ast *select, bool settle, struct query **out);
MUST_CHECK
int bind_select_in(struct binder *b, const struct ast_select *s, bool settle);
MUST_CHECK
int bind_set_op(struct binder *b, const struct ast_select *s, bool settle);
MUST_CHECK
int bind_values(struct binder *b, const struct ast_select *s, bool settle);
/* ORDER BY, LIMIT, FOR UPDATE: what any query may have. */
MUST_CHECK
int bind_tail(struct binder *b, const struct ast_select *s);
MUST_CHECK
int bind_targets(struct binder *b, const struct ast_list *list, enum bind_clause clause);
MUST_CHECK
int bind_order(struct binder *b, const struct ast_list *list);
struct target *query_add_target(struct binder *b, struct query *q, struct expr *value,
                                const char *name);
const char *bind_target_name(const struct ast *e);
MUST_CHECK
int bind_check_groups(struct binder *b, struct query *q);
struct query *query_new(struct binder *b, enum ast_kind command);
void scope_push(struct binder *b, struct bind_scope *s, struct query *q);
void scope_pop(struct binder *b);
MUST_CHECK
int bind_insert(struct binder *b, const struct ast_insert *s, struct query **out);
MUST_CHECK
int bind_update(struct binder *b, const struct ast_update *s, struct query **out);
MUST_CHECK
int bind_delete(struct binder *b, const struct ast_delete *s, struct query **out);

#endif
