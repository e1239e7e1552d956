/* Expressions of a syntax tree as fully bracketed text, for tests: "a + b * c" is (+ a (* b c)).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_AST_TEXT_H
#define TESTS_SUPPORT_AST_TEXT_H

#include "engine/sql/ast.h"

/* NUL-terminated, in the arena. */
const char *ast_text(struct arena *arena, const struct ast *expr);

#endif
