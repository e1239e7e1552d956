/* What the files of COPY share.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_COPY_INT_H
#define ENGINE_SQL_COPY_INT_H

#include "engine/sql/copy.h"
#include "engine/sql/session_int.h"

struct copy_run {
    struct sql_session *s;
    const struct ast_copy *ast;
    struct slice text;
    struct copy_options options;
    /* of a table; copies, in the message arena */
    const char *table;
    uint32_t column_count;
    const char **names;
    uint32_t *types;
    int32_t *typmods;
    bool *force; /* TO: force_quote; FROM: force_not_null */
    bool *force_null;
};
/* Fills the part about the table. A statement is open. */
MUST_CHECK
int copy_resolve(struct copy_run *c);
/* Marks the columns that are named in the list. */
MUST_CHECK
int copy_mark(struct copy_run *c, const struct ast_list *names, const char *what, bool *marks);
MUST_CHECK
int copy_run_in(struct copy_run *c, uint64_t *rows);
MUST_CHECK
int copy_run_out(struct copy_run *c, uint64_t *rows);
/* schema.table (a, b) as SQL. */
const char *copy_target_text(struct copy_run *c);

#endif
