/* What the text of a token means: names, strings, operators.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/sql/parse_int.h"

/* ---- names --------------------------------------------------------------------------------- */

/* Cuts a name to SQL_NAME_MAX bytes, at the start of a character. */
const char *
sql_cut_name(struct arena *arena, const char *text, size_t size)
{
    if (size <= SQL_NAME_MAX)
        return text;
    size = SQL_NAME_MAX;
    while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80)
        size--;
    return arena_strndup(arena, text, size);
}

/* Lower case for ASCII; other letters stay as they are. */
const char *
sql_fold_name(struct arena *arena, const char *text, size_t size)
{
    char *name = arena_strndup(arena, text, size);

    for (size_t i = 0; i < size; i++)
        if (name[i] >= 'A' && name[i] <= 'Z')
            name[i] = (char)(name[i] + ('a' - 'A'));
    return name;
}

/* ---- operators ----------------------------------------------------------------------------- */

static bool
operator_may_end_in_sign(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (strchr("~!@#%^&|`?", text[i]) != NULL)
            return true;
    return false;
}

/* How much of a run of operator characters is one operator: a comment ends it, and + or - end it
 * only if it has one of the characters that SQL's own operators do not. */
size_t
sql_operator_size(const char *text, size_t size)
{
    for (size_t i = 0; i + 1 < size; i++)
        if ((text[i] == '/' && text[i + 1] == '*') || (text[i] == '-' && text[i + 1] == '-')) {
            size = i;
            break;
        }
    while (size > 1 && (text[size - 1] == '+' || text[size - 1] == '-') &&
           !operator_may_end_in_sign(text, size - 1))
        size--;
    return size;
}

/* ---- strings ------------------------------------------------------------------------------- */

/* The text of a token is one or more quoted parts with white space or comments between them. Goes
 * to the first byte of the next part, or returns false. */
static bool
string_part(const char *text, size_t size, size_t *at, char quote)
{
    while (*at < size && text[*at] != quote) {
        if (text[*at] == '-') /* a comment between parts may hold quotes */
            while (*at < size && text[*at] != '\n' && text[*at] != '\r')
                (*at)++;
        else
            (*at)++;
    }
    (*at)++;
    return *at <= size;
}

/* A NUL cannot be part of any text value. */
int
sql_string_plain(struct lexer *lexer, const char *text, size_t size, struct slice *out)
{
    char *to = arena_alloc(lexer->arena, size + 1);
    char quote = text[0];
    size_t n = 0, at = 0;

    while (string_part(text, size, &at, quote))
        for (; at < size; at++) {
            if (text[at] == quote) {
                at++;
                if (at >= size || text[at] != quote)
                    break;
            }
            to[n++] = text[at];
        }
    to[n] = '\0';
    *out = slice(to, n);
    return 0;
}

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Reads up to `most` digits of the base; how many there were is in *count. */
static uint32_t
read_digits(const char *text, size_t size, size_t at, int most, int base, int *count)
{
    uint32_t v = 0;

    for (*count = 0; *count < most && at < size; (*count)++, at++) {
        int d = hex_digit(text[at]);

        if (d < 0 || d >= base)
            break;
        v = v * (uint32_t)base + (uint32_t)d;
    }
    return v;
}

static size_t
utf8_put(char *to, uint32_t c)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (char)(0xc0 | c >> 6);
        to[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (char)(0xe0 | c >> 12);
        to[1] = (char)(0x80 | (c >> 6 & 0x3f));
        to[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    to[0] = (char)(0xf0 | c >> 18);
    to[1] = (char)(0x80 | (c >> 12 & 0x3f));
    to[2] = (char)(0x80 | (c >> 6 & 0x3f));
    to[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* Bytes given as \x or octal may have made text that is not UTF-8. */
static bool
utf8_ok(const uint8_t *s, size_t size)
{
    for (size_t i = 0; i < size;) {
        uint32_t c = s[i], min;
        size_t more;

        if (c < 0x80) {
            i++;
            continue;
        }
        more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
        min = more == 3 ? 0x10000 : more == 2 ? 0x800 : 0x80;
        if (c < 0xc2 || c > 0xf4 || size - i <= more)
            return false;
        c &= 0x3fu >> more;
        for (size_t k = 1; k <= more; k++) {
            if ((s[i + k] & 0xc0) != 0x80)
                return false;
            c = c << 6 | (s[i + k] & 0x3f);
        }
        if (c < min || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
            return false;
        i += more + 1;
    }
    return true;
}

/* A Unicode escape of either string form. A pair of surrogates makes one character. */
struct unicode {
    struct lexer *lexer;
    uint32_t high; /* the first of a pair, or 0 */
};

static int
unicode_put(struct unicode *u, uint32_t c, char *to, size_t *n)
{
    bool low = c >= 0xdc00 && c < 0xe000;

    if ((u->high != 0) != low)
        return lexer_error(u->lexer, "invalid Unicode surrogate pair", -2, -2);
    if (c == 0 || c > 0x10ffff)
        return lexer_error(u->lexer, "invalid Unicode escape value", -2, -2);
    if (c >= 0xd800 && c < 0xdc00) {
        u->high = c;
        return 0;
    }
    if (low)
        c = 0x10000 + ((u->high - 0xd800) << 10) + (c - 0xdc00);
    u->high = 0;
    *n += utf8_put(to + *n, c);
    return 0;
}

static int
unicode_end(struct unicode *u)
{
    return u->high == 0 ? 0 : lexer_error(u->lexer, "invalid Unicode surrogate pair", -2, -2);
}

/* One escape of E'...': text[*at] is the byte after the backslash. */
static int
escape_one(struct unicode *u, const char *text, size_t size, size_t *at, char *to, size_t *n)
{
    static const char from[] = "bfnrt", into[] = "\b\f\n\r\t";
    char c = text[*at];
    const char *known = c == '\0' ? NULL : strchr(from, c);
    int most = c == 'u' ? 4 : c == 'U' ? 8 : 2, count;
    uint32_t v;

    (*at)++;
    if (c == 'u' || c == 'U') {
        v = read_digits(text, size, *at, most, 16, &count);
        if (count != most) {
            int rc = lexer_error(u->lexer, "invalid Unicode escape", -2, -2);

            diag_hint("Unicode escapes must be \\uXXXX or \\UXXXXXXXX.");
            return rc;
        }
        *at += (size_t)count;
        return unicode_put(u, v, to, n);
    }
    if (u->high != 0)
        return unicode_end(u);
    if (c == 'x' && *at < size && hex_digit(text[*at]) >= 0) {
        v = read_digits(text, size, *at, 2, 16, &count);
        *at += (size_t)count;
        to[(*n)++] = (char)v;
    } else if (c >= '0' && c <= '7') {
        v = read_digits(text, size, *at - 1, 3, 8, &count);
        *at += (size_t)count - 1;
        to[(*n)++] = (char)v;
    } else {
        to[(*n)++] = known != NULL ? into[known - from] : c;
    }
    return 0;
}

int
sql_string_escaped(struct lexer *lexer, const char *text, size_t size, struct slice *out)
{
    char *to = arena_alloc(lexer->arena, size + 4);
    struct unicode u = { .lexer = lexer };
    size_t n = 0, at = 0;
    int rc = 0;

    while (rc == 0 && string_part(text, size, &at, '\''))
        while (rc == 0 && at < size) {
            if (text[at] == '\\' && at + 1 < size) {
                at++;
                rc = escape_one(&u, text, size, &at, to, &n);
                continue;
            }
            if (text[at] == '\'') {
                at++;
                if (at >= size || text[at] != '\'')
                    break;
            }
            rc = unicode_end(&u);
            to[n++] = text[at++];
        }
    if (rc == 0)
        rc = unicode_end(&u);
    if (rc != 0)
        return rc;
    to[n] = '\0';
    *out = slice(to, n);
    if (memchr(to, '\0', n) != NULL || !utf8_ok(out->data, n)) {
        lexer->error =
            DIAG(ERR_CHARACTER_NOT_IN_REPERTOIRE, "invalid byte sequence for encoding \"UTF8\"");
        return lexer->error;
    }
    return 0;
}

/* U&'...' and U&"...": \XXXX, \+XXXXXX, the escape character twice; maybe UESCAPE 'c' after it. */
int
sql_string_unicode(struct lexer *lexer, const char *text, size_t size, char quote,
                   struct slice *out)
{
    struct unicode u = { .lexer = lexer };
    char escape = '\\', *to;
    struct slice plain;
    size_t n = 0, end = size;
    int rc, count;

    while (end > 0 && text[end - 1] != quote)
        end--;
    if (text[size - 1] == '\'' && size >= 4 && text[size - 3] == '\'' &&
        memchr(text, quote, size) != NULL && end >= 3) {
        /* Only a clause UESCAPE 'c' ends in a quote, one character, a quote after white space. */
        size_t word = size - 3;

        while (word > 0 && strchr(" \t\n\r\f\v", text[word - 1]) != NULL)
            word--;
        if (word > 8 && strncasecmp(text + word - 7, "uescape", 7) == 0 &&
            strchr(" \t\n\r\f\v", text[word - 8]) != NULL) {
            escape = text[size - 2];
            end = word - 7;
            while (end > 0 && text[end - 1] != quote)
                end--;
        }
    }
    if (hex_digit(escape) >= 0 || strchr("+'\" \t\n\r\f\v", escape) != NULL)
        return lexer_error(lexer, "invalid Unicode escape character", -2, -2);
    rc = sql_string_plain(lexer, text, end, &plain);
    to = arena_alloc(lexer->arena, plain.size + 5);
    for (size_t at = 0; rc == 0 && at < plain.size;) {
        const char *s = (const char *)plain.data;
        bool plus = at + 1 < plain.size && s[at + 1] == '+';
        int most = plus ? 6 : 4;

        if (s[at] != escape || (at + 1 < plain.size && s[at + 1] == escape)) {
            rc = unicode_end(&u);
            at += s[at] == escape;
            to[n++] = s[at++];
            continue;
        }
        at += plus ? 2 : 1;
        uint32_t v = read_digits(s, plain.size, at, most, 16, &count);

        at += (size_t)count;
        rc = count == most ? unicode_put(&u, v, to, &n)
                           : lexer_error(lexer, "invalid Unicode escape", -2, -2);
    }
    if (rc == 0)
        rc = unicode_end(&u);
    to[n] = '\0';
    *out = slice(to, n);
    if (rc == 0 && n == 0 && quote == '"')
        rc = lexer_error(lexer, "zero-length delimited identifier", -2, -2);
    return rc;
}
