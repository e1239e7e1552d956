/* Identifiers and literals in SQL text.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TYPES_IDENT_H
#define ENGINE_TYPES_IDENT_H

#include "engine/base/bytes.h"

bool ident_needs_quotes(struct slice name);
void ident_put(struct writer *w, struct slice name);   /* as quote_ident() */
void literal_put(struct writer *w, struct slice text); /* as quote_literal() */

#endif
