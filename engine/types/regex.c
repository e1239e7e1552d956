/* Compiling: a recursive descent that emits the program at once; quantifiers move and copy what was
 * emitted for their atom.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/regex.h"

#include "engine/types/regex_int.h"
#include "engine/types/text_int.h"

enum { CODE_MAX = 20000, SETS_MAX = 2000, DEPTH_MAX = 100, REPEAT_MAX = 255 };

struct rx {
    struct arena *a;
    const uint8_t *at, *end;
    struct regex *r;
    uint32_t code_cap, set_cap;
    int depth;
    bool saw_quantifier;
    int rc;
};

static int
rx_fail(struct rx *x, const char *why)
{
    if (x->rc == 0)
        x->rc = DIAG(ERR_INVALID_REGEX, "invalid regular expression: %s", why);
    return x->rc;
}

static int
rx_unsupported(struct rx *x, const char *what)
{
    if (x->rc == 0)
        x->rc = DIAG(ERR_NOT_SUPPORTED, "%s in regular expressions are not supported", what);
    return x->rc;
}

static uint32_t
emit(struct rx *x, enum regex_op op, uint32_t arg)
{
    struct regex *r = x->r;

    if (r->size >= CODE_MAX) {
        rx_fail(x, "regular expression is too complex");
        return 0;
    }
    if (r->size == x->code_cap) {
        struct regex_inst *more;
        x->code_cap = x->code_cap * 2 + 64;
        more = arena_alloc(x->a, sizeof *more * x->code_cap);
        if (r->size > 0)
            memcpy(more, r->code, sizeof *more * r->size);
        r->code = more;
    }
    r->code[r->size] = (struct regex_inst){ .op = (uint8_t)op, .arg = arg };
    return r->size++;
}

static bool
rx_more(const struct rx *x)
{
    return x->rc == 0 && x->at < x->end;
}

static bool
rx_take(struct rx *x, char c)
{
    if (x->at < x->end && *x->at == (uint8_t)c) {
        x->at++;
        return true;
    }
    return false;
}

static uint32_t
rx_next_char(struct rx *x)
{
    size_t n;
    uint32_t c = chars_decode(x->at, x->end, &n);

    x->at += n;
    return c;
}

/* ---- sets ---------------------------------------------------------------------------------- */

static struct regex_set *
new_set(struct rx *x, uint32_t *index)
{
    struct regex *r = x->r;

    if (r->set_count >= SETS_MAX) {
        rx_fail(x, "regular expression is too complex");
        *index = 0;
        return &r->sets[0];
    }
    if (r->set_count == x->set_cap) {
        struct regex_set *more;
        x->set_cap = x->set_cap * 2 + 8;
        more = arena_alloc(x->a, sizeof *more * x->set_cap);
        if (r->set_count > 0)
            memcpy(more, r->sets, sizeof *more * r->set_count);
        r->sets = more;
    }
    *index = r->set_count++;
    r->sets[*index] = (struct regex_set){ .count = 0 };
    return &r->sets[*index];
}

static void
set_add_range(struct rx *x, struct regex_set *s, uint32_t low, uint32_t high)
{
    for (uint32_t c = low; c <= high && c < 128; c++) {
        s->ascii[c >> 6] |= UINT64_C(1) << (c & 63);
        if (x->r->no_case && c != ascii_lower((uint8_t)c))
            s->ascii[1] |= UINT64_C(1) << (ascii_lower((uint8_t)c) & 63);
        if (x->r->no_case && c != ascii_upper((uint8_t)c))
            s->ascii[1] |= UINT64_C(1) << (ascii_upper((uint8_t)c) & 63);
    }
    if (high < 128)
        return;
    if ((s->count & (s->count - 1)) == 0) { /* 0 and powers of two: double */
        struct regex_range *more =
            arena_alloc(x->a, sizeof *more * (s->count == 0 ? 1 : s->count * 2));
        if (s->count > 0)
            memcpy(more, s->ranges, sizeof *more * s->count);
        s->ranges = more;
    }
    s->ranges[s->count++] = (struct regex_range){ low < 128 ? 128 : low, high };
}

static bool
set_add_class(struct rx *x, struct regex_set *s, struct slice name)
{
    static const struct {
        const char *name;
        const char *ranges; /* pairs */
    } classes[] = {
        { "alpha", "azAZ" },    { "digit", "09" },
        { "alnum", "azAZ09" },  { "upper", "AZ" },
        { "lower", "az" },      { "space", "  \t\r" },
        { "blank", "  \t\t" },  { "punct", "!/:@[`{~" },
        { "xdigit", "09afAF" }, { "cntrl", "\001\037\177\177" },
        { "print", " ~" },      { "graph", "!~" },
        { "word", "azAZ09__" },
    };

    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        if (!slice_eq(name, slice_str(classes[i].name)))
            continue;
        for (const char *p = classes[i].ranges; *p != 0; p += 2)
            set_add_range(x, s, (uint8_t)p[0], (uint8_t)p[1]);
        return true;
    }
    return false;
}

static const char *
class_of_escape(uint8_t c)
{
    c = ascii_lower(c);
    return c == 'd' ? "digit" : c == 's' ? "space" : "word";
}

/* The character of an escape that stands for one. False: it is something else. */
static bool
escape_char(struct rx *x, uint8_t c, uint32_t *out)
{
    static const char names[] = "abefnrtv", values[] = "\a\b\033\f\n\r\t\v";
    const char *known = c == 'b' || c == 0 ? NULL : memchr(names, c, sizeof names - 1);
    int digits = c == 'u' ? 4 : c == 'U' ? 8 : 0;
    uint32_t v = 0;

    if (known != NULL) {
        *out = (uint8_t)values[known - names];
        return true;
    }
    if (c == 'B') {
        *out = '\\';
        return true;
    }
    if (c == 'c' && x->at < x->end) {
        *out = rx_next_char(x) & 31;
        return true;
    }
    if (c == 'x' || digits > 0) {
        int n = 0;
        for (; x->at < x->end && (digits == 0 || n < digits); n++, x->at++) {
            uint8_t h = ascii_lower(*x->at);
            if (!ascii_is_digit(h) && (h < 'a' || h > 'f'))
                break;
            v = v << 4 | (uint32_t)(ascii_is_digit(h) ? h - '0' : h - 'a' + 10);
        }
        if (n == 0 || (digits > 0 && n < digits) || v > 0x10ffff)
            rx_fail(x, "invalid escape \\ sequence");
        *out = v;
        return true;
    }
    if (c == '0') {
        for (int n = 0; n < 2 && x->at < x->end && *x->at >= '0' && *x->at <= '7'; n++)
            v = v << 3 | (uint32_t)(*x->at++ - '0');
        *out = v;
        return true;
    }
    if (!ascii_is_alpha(c) && !ascii_is_digit(c)) {
        *out = c;
        if (c >= 0x80) {
            x->at--;
            *out = rx_next_char(x);
        }
        return true;
    }
    return false;
}

/* [:name:], [.c.] and [=c=] after their opening. True when it was a class; else *c. */
static bool
bracket_special(struct rx *x, struct regex_set *s, uint32_t *c)
{
    uint8_t kind = *x->at++;
    const uint8_t *from = x->at;

    while (x->at < x->end && !(*x->at == kind && x->end - x->at > 1 && x->at[1] == ']'))
        x->at++;
    if (x->at == x->end) {
        rx_fail(x, "brackets [] not balanced");
        return true;
    }
    if (kind == ':') {
        if (!set_add_class(x, s, slice(from, (size_t)(x->at - from))))
            rx_fail(x, "invalid character class");
        x->at += 2;
        return true;
    }
    if (from == x->at || chars_step(from, x->at) != (size_t)(x->at - from)) {
        rx_fail(x, "invalid collating element");
        return true;
    }
    *c = chars_decode(from, x->at, &(size_t){ 0 });
    x->at += 2;
    return false;
}

/* One end of a range, or a class that was added whole (true). */
static bool
bracket_item(struct rx *x, struct regex_set *s, uint32_t *c)
{
    if (*x->at == '[' && x->end - x->at > 1 &&
        (x->at[1] == ':' || x->at[1] == '.' || x->at[1] == '=')) {
        x->at++;
        return bracket_special(x, s, c);
    }
    if (*x->at == '\\') {
        uint8_t e;
        if (++x->at == x->end) {
            rx_fail(x, "invalid escape \\ sequence");
            return true;
        }
        e = *x->at++;
        if (e == 'd' || e == 's' || e == 'w') {
            set_add_class(x, s, slice_str(class_of_escape(e)));
            return true;
        }
        if (!escape_char(x, e, c)) {
            rx_fail(x, "invalid escape \\ sequence");
            return true;
        }
        return false;
    }
    *c = rx_next_char(x);
    return false;
}

static void
parse_bracket(struct rx *x)
{
    uint32_t index;
    struct regex_set *s = new_set(x, &index);
    bool first = true;

    s->is_negated = rx_take(x, '^');
    for (;; first = false) {
        uint32_t low, high;
        if (!rx_more(x)) {
            rx_fail(x, "brackets [] not balanced");
            return;
        }
        if (*x->at == ']' && !first) {
            x->at++;
            break;
        }
        if (bracket_item(x, s, &low))
            continue;
        high = low;
        if (rx_more(x) && *x->at == '-' && x->end - x->at > 1 && x->at[1] != ']') {
            x->at++;
            if (bracket_item(x, s, &high) || high < low) {
                rx_fail(x, "invalid character range");
                return;
            }
        }
        set_add_range(x, s, low, high);
    }
    emit(x, RX_SET, index);
}

/* ---- atoms --------------------------------------------------------------------------------- */

static void parse_alternatives(struct rx *x);

static void
parse_escape(struct rx *x)
{
    static const char asserts[] = "AZmMyY";
    static const uint8_t kinds[] = { RX_BEGIN,    RX_END,       RX_WORD_BEGIN,
                                     RX_WORD_END, RX_WORD_EDGE, RX_NOT_WORD_EDGE };
    const char *found;
    uint32_t c = 0;
    uint8_t e;

    if (x->at == x->end) {
        rx_fail(x, "invalid escape \\ sequence");
        return;
    }
    e = *x->at++;
    found = e == 0 ? NULL : memchr(asserts, e, sizeof asserts - 1);
    if (found != NULL) {
        emit(x, RX_ASSERT, kinds[found - asserts]);
    } else if (ascii_lower(e) == 'd' || ascii_lower(e) == 's' || ascii_lower(e) == 'w') {
        uint32_t index;
        struct regex_set *s = new_set(x, &index);
        s->is_negated = e != ascii_lower(e);
        set_add_class(x, s, slice_str(class_of_escape(e)));
        emit(x, RX_SET, index);
    } else if (e >= '1' && e <= '9') {
        rx_unsupported(x, "back references");
    } else if (escape_char(x, e, &c)) {
        emit(x, RX_CHAR, c);
    } else {
        rx_fail(x, "invalid escape \\ sequence");
    }
}

static void
parse_group(struct rx *x)
{
    int group = 0;
    bool captures = true;

    if (rx_more(x) && *x->at == '?') {
        x->at++;
        if (!rx_take(x, ':')) {
            rx_unsupported(x, "lookaround constraints and options");
            return;
        }
        captures = false;
    }
    if (++x->depth > DEPTH_MAX) {
        rx_fail(x, "regular expression is too complex");
        return;
    }
    if (captures) {
        group = ++x->r->group_count;
        if (group < REGEX_GROUPS_MAX)
            emit(x, RX_SAVE, (uint32_t)group * 2);
    }
    parse_alternatives(x);
    if (captures && group < REGEX_GROUPS_MAX)
        emit(x, RX_SAVE, (uint32_t)group * 2 + 1);
    x->depth--;
    if (x->rc == 0 && !rx_take(x, ')'))
        rx_fail(x, "parentheses () not balanced");
}

/* False: an assertion, which takes no quantifier. */
static bool
parse_atom(struct rx *x)
{
    uint8_t c = *x->at;

    switch (c) {
    case '(':
        x->at++;
        parse_group(x);
        return true;
    case '[':
        x->at++;
        parse_bracket(x);
        return true;
    case '.':
        x->at++;
        emit(x, RX_ANY, 0);
        return true;
    case '^':
    case '$':
        x->at++;
        emit(x, RX_ASSERT, c == '^' ? RX_BEGIN : RX_END);
        return false;
    case '\\':
        x->at++;
        parse_escape(x);
        return x->rc != 0 || x->r->code[x->r->size - 1].op != RX_ASSERT;
    case '*':
    case '+':
    case '?':
        rx_fail(x, "quantifier operand invalid");
        return true;
    case '{':
        if (x->end - x->at > 1 && ascii_is_digit(x->at[1])) {
            rx_fail(x, "quantifier operand invalid");
            return true;
        }
        break;
    default:
        break;
    }
    emit(x, RX_CHAR, rx_next_char(x));
    return true;
}

/* ---- quantifiers --------------------------------------------------------------------------- */

/* The atom's instructions once more at the end, with their jumps moved. */
static void
copy_atom(struct rx *x, const struct regex_inst *atom, uint32_t size, uint32_t from)
{
    uint32_t shift = x->r->size - from;

    for (uint32_t i = 0; i < size && x->rc == 0; i++) {
        bool jumps = atom[i].op == RX_SPLIT || atom[i].op == RX_JUMP;
        uint32_t at = emit(x, atom[i].op, jumps ? atom[i].arg + shift : atom[i].arg);
        (void)at;
    }
}

/* The atom at [from, end) becomes atom{min,max}; max < 0: no limit. What is greedy does not
 * matter to which text matches, only to its extent, which is decided for the whole pattern. */
static void
repeat_atom(struct rx *x, uint32_t from, int min, int max)
{
    struct regex *r = x->r;
    uint32_t size = r->size - from, skip;
    struct regex_inst *atom = arena_memdup(x->a, r->code + from, sizeof *atom * size);

    r->size = from;
    for (int i = 0; i < min && x->rc == 0; i++)
        copy_atom(x, atom, size, from);
    if (max < 0) { /* L: split out; atom; jump L */
        skip = emit(x, RX_SPLIT, 0);
        copy_atom(x, atom, size, from);
        emit(x, RX_JUMP, skip);
        if (x->rc == 0)
            r->code[skip].arg = r->size;
        return;
    }
    for (int i = min; i < max && x->rc == 0; i++) { /* split out; atom; … */
        skip = emit(x, RX_SPLIT, 0);
        copy_atom(x, atom, size, from);
        if (x->rc == 0)
            r->code[skip].arg = r->size;
    }
}

static bool
parse_bounds(struct rx *x, int *min, int *max)
{
    int64_t v;

    x->at++;
    if (scan_digits(&x->at, x->end, 4, &v) == 0)
        return false;
    *min = *max = (int)v;
    if (rx_take(x, ',')) {
        *max = -1;
        if (scan_digits(&x->at, x->end, 4, &v) > 0)
            *max = (int)v;
    }
    if (x->at == x->end) {
        rx_fail(x, "braces {} not balanced");
        return false;
    }
    if (!rx_take(x, '}') || *min > REPEAT_MAX || *max > REPEAT_MAX || (*max >= 0 && *max < *min)) {
        rx_fail(x, "invalid repetition count(s)");
        return false;
    }
    return true;
}

static void
parse_quantifier(struct rx *x, uint32_t from)
{
    int min = 0, max = -1;
    bool lazy;

    if (!rx_more(x))
        return;
    switch (*x->at) {
    case '*':
        x->at++;
        break;
    case '+':
        x->at++;
        min = 1;
        break;
    case '?':
        x->at++;
        max = 1;
        break;
    case '{':
        if (x->end - x->at < 2 || !ascii_is_digit(x->at[1]))
            return;
        if (!parse_bounds(x, &min, &max))
            return;
        break;
    default:
        return;
    }
    lazy = rx_take(x, '?');
    if (!x->saw_quantifier) {
        x->saw_quantifier = true;
        x->r->is_shortest = lazy;
    }
    repeat_atom(x, from, min, max);
    if (rx_more(x) && (*x->at == '*' || *x->at == '+' || *x->at == '?'))
        rx_fail(x, "quantifier operand invalid");
}

static void
parse_branch(struct rx *x)
{
    while (rx_more(x) && *x->at != '|' && *x->at != ')') {
        uint32_t from = x->r->size;
        if (parse_atom(x))
            parse_quantifier(x, from);
        else if (rx_more(x) && (*x->at == '*' || *x->at == '+' || *x->at == '?'))
            rx_fail(x, "quantifier operand invalid");
    }
}

static void
insert_split(struct rx *x, uint32_t at)
{
    struct regex *r = x->r;

    emit(x, RX_SPLIT, 0);
    if (x->rc != 0)
        return;
    memmove(r->code + at + 1, r->code + at, sizeof *r->code * (r->size - at - 1));
    for (uint32_t i = at + 1; i < r->size; i++) {
        if ((r->code[i].op == RX_SPLIT || r->code[i].op == RX_JUMP) && r->code[i].arg >= at)
            r->code[i].arg++;
    }
    r->code[at] = (struct regex_inst){ .op = RX_SPLIT };
}

/* split second; first; jump end; second: … */
static void
parse_alternatives(struct rx *x)
{
    uint32_t from = x->r->size, pending = 0, jumps[64];
    int n = 0;

    for (;;) {
        parse_branch(x);
        if (x->rc != 0 || !rx_take(x, '|'))
            break;
        if (n == 64) {
            rx_fail(x, "regular expression is too complex");
            return;
        }
        insert_split(x, from);
        jumps[n++] = emit(x, RX_JUMP, 0);
        if (x->rc != 0)
            return;
        x->r->code[from].arg = x->r->size;
        from = x->r->size;
    }
    (void)pending;
    for (int i = 0; i < n && x->rc == 0; i++)
        x->r->code[jumps[i]].arg = x->r->size;
}

/* "(?i)" and "(?c)" at the very beginning. */
static void
parse_options(struct rx *x)
{
    if (x->end - x->at < 3 || x->at[0] != '(' || x->at[1] != '?' || !ascii_is_alpha(x->at[2]))
        return;
    for (x->at += 2; rx_more(x) && *x->at != ')'; x->at++) {
        if (*x->at == 'i')
            x->r->no_case = true;
        else if (*x->at == 'c')
            x->r->no_case = false;
        else if (*x->at != 's')
            rx_unsupported(x, "embedded options other than i, c and s");
    }
    if (x->rc == 0 && !rx_take(x, ')'))
        rx_fail(x, "parentheses () not balanced");
}

int
regex_compile(struct arena *a, struct slice pattern, bool no_case, const struct regex **out)
{
    struct regex *r = ARENA_NEW(a, struct regex);
    struct rx x = { .a = a, .at = pattern.data, .end = pattern.data + pattern.size, .r = r };

    r->no_case = no_case;
    if (pattern.size > REGEX_PATTERN_MAX)
        return rx_fail(&x, "regular expression is too complex");
    if (pattern.size >= 3 && memcmp(pattern.data, "***", 3) == 0)
        return rx_unsupported(&x, "directors (***)");
    parse_options(&x);
    parse_alternatives(&x);
    if (x.rc == 0 && x.at < x.end)
        rx_fail(&x, "parentheses () not balanced");
    emit(&x, RX_MATCH, 0);
    if (x.rc != 0)
        return x.rc;
    r->starts_at_begin = r->code[0].op == RX_ASSERT && r->code[0].arg == RX_BEGIN;
    *out = r;
    return 0;
}

int
regex_group_count(const struct regex *r)
{
    return r->group_count < REGEX_GROUPS_MAX ? r->group_count : REGEX_GROUPS_MAX - 1;
}
