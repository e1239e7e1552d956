/* What both kinds of join have: the left row under way, and what becomes of it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_EXEC_JOIN_INT_H
#define ENGINE_SQL_EXEC_JOIN_INT_H

#include "engine/sql/exec_int.h"

struct join {
    uint32_t left_width, right_width;
    bool yields_right; /* SEMI and ANTI do not */
    /* the left batch under way */
    struct batch *left;
    uint32_t left_at;
    struct datum *row; /* left columns, then right */
    struct datum *copy;
    bool in_row;     /* a left row is under way */
    bool matched;    /* it is */
    struct arena on; /* emptied before each evaluation of the condition */
};

void join_init(struct exec_node *n, struct join *s);
bool join_is_anti(enum plan_join j);
struct batch *join_batch(struct exec_node *n, struct join *s);
/* The condition beyond the keys, over the row. */
MUST_CHECK
int join_on(struct exec_node *n, struct join *s, bool *pass);
/* Yields the row as it is. */
void join_emit(struct exec_node *n, struct join *s, struct batch *b, uint32_t *rows);
/* The right row matches: true when the left row under way needs no further ones. */
bool join_on_match(struct exec_node *n, struct join *s, struct batch *b, uint32_t *rows);
/* A left row of which all right rows have been seen. */
void join_left_done(struct exec_node *n, struct join *s, struct batch *b, uint32_t *rows);

#endif
