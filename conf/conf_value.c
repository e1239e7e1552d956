/* Values: what fits a key, and its words for it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf_int.h"
#include "engine/base/env.h"
#include "engine/base/mem.h"

/* ---- numbers with units --------------------------------------------------------------------- */

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit sizes[] = {
    { "B", 1 },
    { "KB", INT64_C(1) << 10 },
    { "kB", INT64_C(1) << 10 },
    { "KiB", INT64_C(1) << 10 },
    { "MB", INT64_C(1) << 20 },
    { "MiB", INT64_C(1) << 20 },
    { "GB", INT64_C(1) << 30 },
    { "GiB", INT64_C(1) << 30 },
    { "TB", INT64_C(1) << 40 },
    { "TiB", INT64_C(1) << 40 },
    { NULL, 0 },
};

static const struct unit durations[] = {
    { "us", 1 },
    { "ms", 1000 },
    { "s", 1000000 },
    { "min", INT64_C(60) * 1000000 },
    { "h", INT64_C(3600) * 1000000 },
    { "d", INT64_C(86400) * 1000000 },
    { NULL, 0 },
};

/* Digits, then perhaps one space, then a unit. Without a unit: only if `bare` is not 0, or for 0.
 */
static bool
parse_number(const char *text, const struct unit *units, int64_t bare, int64_t *out)
{
    int64_t v = 0;
    const char *p = text;

    if (!isdigit((unsigned char)*p))
        return false;
    for (; isdigit((unsigned char)*p); p++)
        if (!mul_ok(v, 10, &v) || !add_ok(v, *p - '0', &v))
            return false;
    if (*p == ' ' && p[1] != '\0')
        p++;
    if (*p == '\0') {
        *out = 0;
        return bare == 0 ? v == 0 : mul_ok(v, bare, out);
    }
    for (; units->name != NULL; units++)
        if (strcmp(units->name, p) == 0)
            return mul_ok(v, units->factor, out);
    return false;
}

int
conf_parse_size(const char *text, int64_t *bytes)
{
    *bytes = 0;
    if (parse_number(text, sizes, 1, bytes))
        return 0;
    return DIAG(ERR_INVALID_PARAMETER_VALUE, "\"%.60s\" is not a size such as 64MB", text);
}

int
conf_parse_duration_us(const char *text, int64_t *us)
{
    *us = 0;
    if (parse_number(text, durations, 0, us))
        return 0;
    return DIAG(ERR_INVALID_PARAMETER_VALUE, "\"%.60s\" is not a duration such as 250ms or 5s",
                text);
}

bool
conf_is_address(const char *text)
{
    const char *colon = strrchr(text, ':');
    const char *p;
    long port = 0;

    if (colon == NULL || colon == text || strlen(text) >= ENV_ADDR_MAX)
        return false;
    if (text[0] == '[') {
        if (colon < text + 3 || colon[-1] != ']' ||
            strspn(text + 1, "0123456789abcdefABCDEF:.%") != (size_t)(colon - text) - 2)
            return false;
    } else if (memchr(text, ':', (size_t)(colon - text)) != NULL ||
               strcspn(text, " \t/\\\"'[]") != strlen(text)) {
        return false;
    }
    for (p = colon + 1; isdigit((unsigned char)*p) && port <= 65535; p++)
        port = port * 10 + (*p - '0');
    return p > colon + 1 && *p == '\0' && port <= 65535;
}

bool
conf_is_name(const char *text)
{
    size_t n = strlen(text);

    if (n < 1 || n > CONF_NAME_MAX || !isalpha((unsigned char)text[0]))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)text[i]) && text[i] != '-' && text[i] != '_')
            return false;
    return true;
}

/* ---- keys ----------------------------------------------------------------------------------- */

static void *
field(const struct conf_key *k, struct conf *c)
{
    return (char *)c + k->offset;
}

static bool
set_text(const struct conf_key *k, struct conf *c, const char *text)
{
    char **at = field(k, c);

    xfree(*at);
    *at = xstrdup(text);
    return true;
}

static bool
add_address(const struct conf_key *k, struct conf *c, const char *text)
{
    struct conf_list *list = field(k, c);

    if (!conf_is_address(text) || list->count == CONF_LIST_MAX)
        return false;
    list->items[list->count++] = xstrdup(text);
    return true;
}

static bool
set_number(const struct conf_key *k, struct conf *c, const char *text)
{
    static const struct unit none[] = { { NULL, 0 } };
    int64_t v, *at = field(k, c);
    bool ok;

    if (k->type == CONF_SIZE)
        ok = parse_number(text, sizes, 1, &v);
    else if (k->type == CONF_INT)
        ok = parse_number(text, none, 1, &v);
    else
        ok = parse_number(text, durations, 0, &v);
    if (ok && k->type == CONF_DURATION_MS) {
        ok = v % 1000 == 0;
        v /= 1000;
    }
    if (!ok || v < k->min || v > k->max)
        return false;
    *at = v;
    return true;
}

static bool
set_word(const struct conf_key *k, struct conf *c, const char *text)
{
    int64_t *at = field(k, c);

    for (int64_t i = k->min; i < CONF_WORDS_MAX && k->words[i] != NULL; i++) {
        if (strcmp(k->words[i], text) == 0) {
            *at = i;
            return true;
        }
    }
    return false;
}

bool
conf_key_set(const struct conf_key *k, struct conf *c, const char *text)
{
    switch (k->type) {
    case CONF_NAME:
        return conf_is_name(text) && set_text(k, c, text);
    case CONF_TEXT:
    case CONF_PATH:
        return set_text(k, c, text);
    case CONF_ADDRESS:
        return (*text == '\0' || conf_is_address(text)) && set_text(k, c, text);
    case CONF_ADDRESSES:
        return add_address(k, c, text);
    case CONF_ENUM:
        return set_word(k, c, text);
    case CONF_INT:
    case CONF_SIZE:
    case CONF_DURATION_MS:
    case CONF_DURATION_US:
        return set_number(k, c, text);
    }
    UNREACHABLE();
}

void
conf_key_clear(const struct conf_key *k, struct conf *c)
{
    if (k->type == CONF_ADDRESSES) {
        struct conf_list *list = field(k, c);

        while (list->count > 0)
            xfree(list->items[--list->count]);
    } else if (k->type <= CONF_ADDRESS) {
        char **at = field(k, c);

        xfree(*at);
        *at = NULL;
    }
}

const struct conf_key *
conf_key_find(const char *name)
{
    for (int i = 0; i < conf_schema_count; i++)
        if (strcmp(conf_schema[i].name, name) == 0)
            return &conf_schema[i];
    return NULL;
}

/* ---- messages ------------------------------------------------------------------------------- */

/* How many letters must be changed, added or taken away. */
static int
edit_distance(const char *a, const char *b)
{
    int row[CONF_KEY_MAX + 1];
    int nb = (int)strlen(b);

    if (nb > CONF_KEY_MAX || strlen(a) > CONF_KEY_MAX)
        return CONF_KEY_MAX;
    for (int j = 0; j <= nb; j++)
        row[j] = j;
    for (int i = 0; a[i] != '\0'; i++) {
        int diagonal = row[0];

        row[0] = i + 1;
        for (int j = 0; j < nb; j++) {
            int same = diagonal + (a[i] != b[j]);
            int less = (row[j] < row[j + 1] ? row[j] : row[j + 1]) + 1;

            diagonal = row[j + 1];
            row[j + 1] = same < less ? same : less;
        }
    }
    return row[nb];
}

const char *
conf_key_nearest(const char *name)
{
    const char *best = NULL;
    int least = 4;

    for (int i = 0; i < conf_schema_count; i++) {
        const char *known = conf_schema[i].name, *dot = strchr(known, '.');
        int d = edit_distance(name, known);

        if (dot != NULL && strcmp(dot + 1, name) == 0)
            d = 1; /* the section is missing */
        if (d < least) {
            least = d;
            best = known;
        }
    }
    return best;
}

static void
format_number(const struct unit *units, int64_t v, char *out, size_t size)
{
    const struct unit *best = units;

    for (const struct unit *u = units; u->name != NULL; u++)
        if (v != 0 && v % u->factor == 0 && u->factor > best->factor)
            best = u;
    snprintf(out, size, "%lld%s", (long long)(v / best->factor), v == 0 ? "" : best->name);
}

static void
expected_range(const struct conf_key *k, const char *what, const struct unit *units, int64_t factor,
               char *out, size_t size)
{
    char low[32], high[32];

    format_number(units, k->min * factor, low, sizeof low);
    format_number(units, k->max * factor, high, sizeof high);
    snprintf(out, size, "%s from %s to %s", what, low, high);
}

static void
expected_words(const struct conf_key *k, char *out, size_t size)
{
    size_t used = 0;

    for (int64_t i = k->min; i < CONF_WORDS_MAX && k->words[i] != NULL && used < size; i++) {
        bool last = i + 1 == CONF_WORDS_MAX || k->words[i + 1] == NULL;
        const char *glue = i == k->min ? "" : last ? " or " : ", ";

        used += (size_t)snprintf(out + used, size - used, "%s%s", glue, k->words[i]);
    }
}

void
conf_key_expected(const struct conf_key *k, char *out, size_t size)
{
    static const char *const fixed[] = {
        [CONF_NAME] = "a letter, then letters, digits, - or _, at most 31 in all",
        [CONF_TEXT] = "text",
        [CONF_PATH] = "a path",
        [CONF_ADDRESS] = "an address, host:port",
        [CONF_ADDRESSES] = "a list of at most 16 addresses, host:port",
    };

    switch (k->type) {
    case CONF_INT:
        snprintf(out, size, "a number from %lld to %lld", (long long)k->min, (long long)k->max);
        break;
    case CONF_SIZE:
        expected_range(k, "a size such as 64MB,", sizes, 1, out, size);
        break;
    case CONF_DURATION_MS:
        expected_range(k, "a duration such as 250ms or 5s,", durations, 1000, out, size);
        break;
    case CONF_DURATION_US:
        expected_range(k, "a duration such as 5s or 1h,", durations, 1, out, size);
        break;
    case CONF_ENUM:
        expected_words(k, out, size);
        break;
    default:
        snprintf(out, size, "%s", fixed[k->type]);
    }
}
