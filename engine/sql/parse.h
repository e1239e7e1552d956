/* Text to syntax tree.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_PARSE_H
#define ENGINE_SQL_PARSE_H

#include "engine/base/bytes.h"
#include "engine/base/mem.h"
#include "engine/sql/ast.h"

enum {
    SQL_NAME_MAX = 63,    /* bytes of an identifier; longer ones are cut, at a character's end */
    SQL_DEPTH_MAX = 1000, /* open parentheses, CASEs and the like at one place: 54001 */
    SQL_TREE_DEPTH_MAX = 300, /* height of an expression tree that binder and executor walk */
};

/* Parses all statements of the text, in order; empty ones are left out. The text must be UTF-8
 * already checked, and outlive nothing: the tree has its own copies. Memory is charged to the
 * arena's budget. ERR_SYNTAX with `syntax error at or near "x"` and the position; ERR_NOT_SUPPORTED
 * for statements of PostgreSQL that are known and not there; ERR_TOO_COMPLEX for depth. */
MUST_CHECK
int sql_parse(struct arena *arena, struct slice text, struct ast_list **out);

/* One statement's place in the text: bytes [start, end), without the semicolon. The end of the i-th
 * is found with this; its start is node.at. */
int32_t sql_statement_end(struct slice text, const struct ast_list *statements, int32_t i);

/* The 1-based character position for an error at byte offset `at`; 0 for -1. */
int32_t sql_position(struct slice text, int32_t at);

/* One expression, as kept in the catalogue for DEFAULT and CHECK. */
MUST_CHECK
int sql_parse_expr(struct arena *arena, struct slice text, struct ast **out);

/* True for words that must be quoted to be an identifier; for EXPLAIN, quote_ident, pg_get_*def. */
bool sql_word_is_reserved(const char *word);
/* The identifier, quoted if it has to be. */
const char *sql_quote_ident(struct arena *arena, const char *name);

#endif
