/* Regular expressions: the common part of PostgreSQL's advanced syntax, matched in time
 * proportional to text times pattern, whatever the pattern.
 *
 * Taken: literals, . [..] [^..] with ranges, [:classes:] and escapes, ( ) (?: ), |, * + ? {m,n} and
 * their non-greedy forms, ^ $ \A \Z \m \M \y \Y, \d \s \w \D \S \W, character escapes. Not taken
 * (ERR_NOT_SUPPORTED): back references, lookaround, options other than leading (?i) and (?c).
 * Letters have case only in ASCII.
 *
 * A match is the leftmost; of those the longest, or the shortest when the first quantifier of the
 * pattern is a non-greedy one.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TYPES_REGEX_H
#define ENGINE_TYPES_REGEX_H

#include "engine/base/bytes.h"
#include "engine/base/mem.h"

enum { REGEX_GROUPS_MAX = 32, REGEX_PATTERN_MAX = 16384 };

struct regex;

/* ERR_INVALID_REGEX "invalid regular expression: …", ERR_NOT_SUPPORTED. */
MUST_CHECK
int regex_compile(struct arena *a, struct slice pattern, bool no_case, const struct regex **out);
int regex_group_count(const struct regex *r); /* parentheses that capture */

struct regex_span {
    int64_t from, to; /* byte offsets; from < 0: the group took no part */
};
/* Searches from byte `start`. Entry 0 of spans (NULL, or room for REGEX_GROUPS_MAX) is the whole
 * match. The arena is for scratch. */
bool regex_search(const struct regex *r, struct arena *a, struct slice text, size_t start,
                  struct regex_span *spans);

#endif
