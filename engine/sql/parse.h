/* Text to syntax tree.
 *
 * sql_parse      text to a list of statements
 * sql_normalize  text to the key of the plan cache, with the literals lifted out
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_PARSE_H
#define ENGINE_SQL_PARSE_H

#include "engine/base/bytes.h"
#include "engine/base/mem.h"
#include "engine/sql/ast_statement.h"

enum { SQL_NAME_MAX = 63 }; /* bytes of an identifier; longer ones are cut at a character's end */

/* Parses all statements of the text, in order; empty ones are left out. *out is a list of
 * ast_statement. The text must be UTF-8 already checked; the tree has copies of what it needs.
 * Memory is charged to the arena's budget.
 *   ERR_SYNTAX        `syntax error at or near "x"` and the like, with the position
 *   ERR_NOT_SUPPORTED statements of PostgreSQL that are known and not there
 *   ERR_TOO_COMPLEX   nested too deep
 * Gives way to other fibers now and then while it reads a long text. */
MUST_CHECK
int sql_parse(struct arena *arena, struct slice text, struct ast_list **out);

/* One expression, as the catalogue keeps it for DEFAULT and CHECK. */
MUST_CHECK
int sql_parse_expr(struct arena *arena, struct slice text, struct ast **out);

/* ---- the plan cache's key -------------------------------------------------------------------- */

/* One literal taken out of the text. Its value is given to the plan as a parameter: those of the
 * text come first (there are none in the simple protocol), the lifted ones follow. */
struct sql_lifted {
    int32_t at, end;            /* its token's bytes */
    enum ast_literal_type type; /* INT, NUMERIC or STRING */
    int64_t integer;            /* INT */
    struct slice text;          /* NUMERIC: digits; STRING: with escapes resolved */
};
struct sql_normal {
    bool cacheable;   /* one statement, SELECT, INSERT, UPDATE, DELETE or VALUES; else nothing else
                       * here means anything */
    struct slice key; /* tokens in one spelling; equal keys are the same statement but for the
                       * values of what was lifted */
    int32_t lifted_count;
    struct sql_lifted *lifted;
};
/* Lexes only: fails with what the lexer fails with (as sql_parse would), or ERR_NOMEM. */
MUST_CHECK
int sql_normalize(struct arena *arena, struct slice text, struct sql_normal *out);

/* As sql_parse, and marks the literals that were lifted (ast_literal.lifted), so that they are
 * bound as parameters where that is possible. Where it is not (ORDER BY 1, a type's modifier, ...)
 * the binder says that the plan depends on the literal's value, and it must not be shared. */
MUST_CHECK
int sql_parse_lifted(struct arena *arena, struct slice text, const struct sql_normal *normal,
                     struct ast_list **out);

/* ---- helpers --------------------------------------------------------------------------------- */

/* The 1-based character position for an error at byte offset `at`; 0 for a negative one. */
int32_t sql_position(struct slice text, int32_t at);
/* Reserved in every place where an identifier could stand. */
bool sql_word_is_reserved(const char *word);
/* The identifier, in quotes if it has to be. */
const char *sql_quote_ident(struct arena *arena, const char *name);

#endif
