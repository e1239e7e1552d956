/* The program that a pattern becomes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TYPES_REGEX_INT_H
#define ENGINE_TYPES_REGEX_INT_H

#include "engine/types/regex.h"

enum regex_op {
    RX_CHAR,   /* the character arg */
    RX_ANY,    /* any character */
    RX_SET,    /* a character of sets[arg] */
    RX_SPLIT,  /* go on at next and, less dearly, at arg */
    RX_JUMP,   /* go on at arg */
    RX_SAVE,   /* note the position in slot arg */
    RX_ASSERT, /* arg: enum regex_assert */
    RX_MATCH,
};
enum regex_assert { RX_BEGIN, RX_END, RX_WORD_BEGIN, RX_WORD_END, RX_WORD_EDGE, RX_NOT_WORD_EDGE };

struct regex_inst {
    uint8_t op;
    uint32_t arg;
};

struct regex_range {
    uint32_t low, high;
};
struct regex_set {
    bool is_negated;
    uint64_t ascii[2];
    uint32_t count;
    struct regex_range *ranges; /* above ASCII */
};

struct regex {
    struct regex_inst *code;
    uint32_t size;
    struct regex_set *sets;
    uint32_t set_count;
    int group_count;
    bool no_case, is_shortest, starts_at_begin;
};

static inline bool
regex_is_word(uint32_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

#endif
