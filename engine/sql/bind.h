/* Syntax tree to bound query: names to tables and columns, literals and parameters to types,
 * operators and calls to functions, implicit casts written out. Errors are PostgreSQL's, with their
 * words, hints and positions.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_BIND_H
#define ENGINE_SQL_BIND_H

#include "engine/sql/binder_catalog.h"
#include "engine/sql/bound.h"
#include "engine/sql/parse.h"
#include "engine/sql/plan.h"
#include "engine/types/func.h"

struct bind_request {
    struct arena *arena; /* of the result: nothing of it refers to the syntax tree */
    struct slice text;   /* what was parsed; for positions */
    const struct binder_catalog *catalog;
    const struct func_set *funcs;
    const struct type_env *types; /* to read constants whose meaning no setting changes, and names
                                   * of objects (regclass) */
    const struct sql_normal *normal; /* what was lifted, or NULL */
    int32_t param_count;             /* types given for $1 ...; 0: to be inferred */
    const oid_t *param_types;
};

struct bind_result {
    struct query *query;
    int32_t param_count; /* the statement's own, then the lifted ones */
    oid_t *param_types;
    bool pinned; /* depends on the value of a lifted literal: the plan is for this text alone */
    int32_t object_count; /* tables that were looked at */
    struct plan_object *objects;
};

/* SELECT, INSERT, UPDATE, DELETE. Parks (catalogue). */
MUST_CHECK
int sql_bind(const struct bind_request *request, const struct ast *statement,
             struct bind_result *out);

/* An expression over no columns, or over those of one table (EXPR_VAR of entry 0): DEFAULT, CHECK,
 * USING. `what` is for messages ("DEFAULT expressions"). With a type: brought to it as by
 * assignment to the column of that name. */
struct bind_expr_request {
    const struct ast *expr;
    const struct cat_table *table; /* NULL: no columns */
    const char *what;
    struct sql_type type; /* oid 0: as it comes */
    const char *column;   /* for the error of a wrong type */
};
MUST_CHECK
int sql_bind_expr(const struct bind_request *request, const struct bind_expr_request *what,
                  struct expr **out);

/* The value of a lifted literal as its parameter's type (a result's param_types). */
MUST_CHECK
int sql_lifted_value(const struct sql_lifted *lifted, oid_t type, const struct type_env *env,
                     struct arena *arena, struct datum *out);

/* The type that a type's name in the text means: 42704 with its position. */
MUST_CHECK
int sql_bind_type(struct slice text, const struct ast_type_name *name, struct sql_type *out);

#endif
