/* Values of settings: checked, shown.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/setting.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool
setting_name_is_custom(const char *name)
{
    const char *dot = strchr(name, '.');

    return dot != NULL && dot != name && dot[1] != '\0';
}

/* ---- booleans -------------------------------------------------------------------------------- */

bool
setting_parse_bool(const char *text, bool *out)
{
    static const struct {
        const char *word;
        size_t least; /* characters that tell it from the others */
        bool value;
    } words[] = { { "true", 1, true }, { "false", 1, false }, { "yes", 1, true },
                  { "no", 1, false },  { "on", 2, true },     { "off", 2, false },
                  { "1", 1, true },    { "0", 1, false } };
    size_t size = strlen(text);

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (size < words[i].least || size > strlen(words[i].word) ||
            strncasecmp(text, words[i].word, size) != 0)
            continue;
        *out = words[i].value;
        return true;
    }
    return false;
}

bool
setting_bool(const char *canonical)
{
    return canonical[0] == 'o' && canonical[1] == 'n';
}

int64_t
setting_int(const char *canonical)
{
    return strtoll(canonical, NULL, 10);
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* Units and what one of them is in the base unit of their kind, bytes or microseconds. */
static const struct unit {
    const char *name;
    double factor;
    bool is_time;
} units[] = {
    { "B", 1, false },
    { "kB", 1024, false },
    { "8kB", 8192, false },
    { "MB", 1024.0 * 1024, false },
    { "GB", 1024.0 * 1024 * 1024, false },
    { "TB", 1024.0 * 1024 * 1024 * 1024, false },
    { "us", 1, true },
    { "ms", 1000, true },
    { "s", 1e6, true },
    { "min", 6e7, true },
    { "h", 3.6e9, true },
    { "d", 8.64e10, true },
};

static const struct unit *
unit_find(const char *name, size_t size)
{
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strlen(units[i].name) == size && memcmp(units[i].name, name, size) == 0)
            return &units[i];
    return NULL;
}

static int
bad_value(const struct setting *s, const char *value)
{
    return DIAG(ERR_INVALID_PARAMETER_VALUE, "invalid value for parameter \"%s\": \"%.200s\"",
                s->name, value);
}

static int
apply_unit(const struct setting *s, const char *value, const char *at, double *number)
{
    size_t size = strlen(at);
    const struct unit *given, *own;

    while (size > 0 && isspace((unsigned char)at[size - 1]))
        size--;
    if (size == 0)
        return 0;
    own = s->unit == NULL ? NULL : unit_find(s->unit, strlen(s->unit));
    given = unit_find(at, size);
    if (own == NULL || given == NULL || own->is_time != given->is_time) {
        int rc = bad_value(s, value);

        if (own != NULL && own->is_time)
            diag_hint("Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", "
                      "and \"d\".");
        else if (own != NULL)
            diag_hint("Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and "
                      "\"TB\".");
        return rc;
    }
    *number = *number * given->factor / own->factor;
    return 0;
}

static int
check_number(const struct setting *s, struct arena *a, const char *value, const char **out)
{
    char *end;
    double number;
    int rc;

    errno = 0;
    number = strtod(value, &end);
    if (end == value || errno != 0 || !isfinite(number))
        return bad_value(s, value);
    while (isspace((unsigned char)*end))
        end++;
    rc = apply_unit(s, value, end, &number);
    if (rc != 0)
        return rc;
    if (s->type == SETTING_INT)
        number = rint(number);
    if (number < s->min || number > s->max)
        return DIAG(ERR_INVALID_PARAMETER_VALUE,
                    "%.15g%s%s is outside the valid range for parameter \"%s\" (%.15g .. %.15g)",
                    number, s->unit != NULL ? " " : "", s->unit != NULL ? s->unit : "", s->name,
                    s->min, s->max);
    *out = arena_printf(a, "%.15g", number);
    return 0;
}

/* The largest unit in which the value is a whole number. */
static const char *
show_number(const struct setting *s, struct arena *a, const char *value)
{
    const struct unit *own = s->unit == NULL ? NULL : unit_find(s->unit, strlen(s->unit));
    const struct unit *best = NULL;
    double base, number = strtod(value, NULL);

    if (own == NULL || number <= 0)
        return value;
    base = number * own->factor;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (units[i].is_time == own->is_time && strcmp(units[i].name, "8kB") != 0 &&
            fmod(base, units[i].factor) == 0)
            best = &units[i];
    return best == NULL ? value : arena_printf(a, "%.15g%s", base / best->factor, best->name);
}

/* ---- choices and text -------------------------------------------------------------------------
 */

static int
check_choice(const struct setting *s, const char *value, const char **out)
{
    char hint[200] = "";
    const char *last = NULL;
    size_t at = 0;

    for (const char *const *c = s->choices; *c != NULL; c++) {
        bool alias = **c == '=';

        if (!alias)
            last = *c;
        if (strcasecmp(*c + alias, value) == 0) {
            *out = last;
            return 0;
        }
        if (!alias && at < sizeof hint)
            at += (size_t)snprintf(hint + at, sizeof hint - at, "%s%s", at == 0 ? "" : ", ", *c);
    }
    (void)bad_value(s, value);
    diag_hint("Available values: %s.", hint);
    return ERR_INVALID_PARAMETER_VALUE;
}

/* "off" and the like for settings that are choices with on and off among them. */
static int
check_enum(const struct setting *s, const char *value, const char **out)
{
    bool on;
    int rc = check_choice(s, value, out);

    if (rc == 0 || !setting_parse_bool(value, &on))
        return rc;
    for (const char *const *c = s->choices; *c != NULL; c++) {
        if (strcmp(*c, on ? "on" : "off") == 0) {
            *out = *c;
            diag_clear();
            return 0;
        }
    }
    return rc;
}

static bool
encoding_is(const char *value, const char *name)
{
    size_t i = 0;

    for (; *value != '\0'; value++) {
        if (!isalnum((unsigned char)*value))
            continue;
        if (tolower((unsigned char)*value) != name[i])
            return false;
        i++;
    }
    return name[i] == '\0';
}

static int
check_encoding(const struct setting *s, const char *value, const char **out)
{
    if (encoding_is(value, "utf8") || encoding_is(value, "unicode"))
        *out = "UTF8";
    else if (encoding_is(value, "sqlascii"))
        *out = "SQL_ASCII";
    else if (encoding_is(value, "latin1") || encoding_is(value, "iso88591") ||
             encoding_is(value, "win1252") || encoding_is(value, "latin9"))
        return DIAG(ERR_NOT_SUPPORTED, "conversion between %.60s and UTF8 is not supported", value);
    else
        return bad_value(s, value);
    return 0;
}

/* "ISO", "ISO, DMY", "European" ...; a part that is not named stays as it is now. */
static int
check_date_style(const struct setting *s, struct arena *a, const char *value, const char **out)
{
    const char *item, *at = value, *order = "MDY";
    bool bad = false;

    while (setting_list_next(&at, a, &item, &bad)) {
        if (strcasecmp(item, "ISO") == 0 || strcasecmp(item, "default") == 0)
            continue;
        if (strcasecmp(item, "YMD") == 0)
            order = "YMD";
        else if (strcasecmp(item, "DMY") == 0 || strncasecmp(item, "euro", 4) == 0)
            order = "DMY";
        else if (strcasecmp(item, "MDY") == 0 || strcasecmp(item, "us") == 0 ||
                 strncasecmp(item, "noneuro", 7) == 0)
            order = "MDY";
        else if (strcasecmp(item, "SQL") == 0 || strcasecmp(item, "German") == 0 ||
                 strncasecmp(item, "postgres", 8) == 0)
            return DIAG(ERR_NOT_SUPPORTED,
                        "DateStyle \"%.60s\" is not supported: dates are "
                        "written in the ISO style",
                        item);
        else
            return bad_value(s, value);
    }
    if (bad)
        return bad_value(s, value);
    *out = arena_printf(a, "ISO, %s", order);
    return 0;
}

static int
check_list(const struct setting *s, struct arena *a, const char *value, const char **out)
{
    const char *item, *at = value;
    bool bad = false;

    while (setting_list_next(&at, a, &item, &bad))
        continue;
    if (bad) {
        (void)bad_value(s, value);
        diag_detail("List syntax is invalid.");
        return ERR_INVALID_PARAMETER_VALUE;
    }
    *out = arena_strdup(a, value);
    return 0;
}

static int
check_string(const struct setting *s, struct arena *a, const char *value, const char **out)
{
    switch (setting_id_of(s)) {
    case SET_CLIENT_ENCODING:
        return check_encoding(s, value, out);
    case SET_DATE_STYLE:
        return check_date_style(s, a, value, out);
    default:
        break;
    }
    if ((s->flags & SETTING_LIST) != 0)
        return check_list(s, a, value, out);
    *out = arena_strdup(a, value);
    return 0;
}

static int
check_type(const struct setting *s, struct arena *a, const char *value, const char **out)
{
    bool on;

    switch ((enum setting_type)s->type) {
    case SETTING_BOOL:
        if (!setting_parse_bool(value, &on))
            return DIAG(ERR_INVALID_PARAMETER_VALUE, "parameter \"%s\" requires a Boolean value",
                        s->name);
        *out = on ? "on" : "off";
        return 0;
    case SETTING_INT:
    case SETTING_REAL:
        return check_number(s, a, value, out);
    case SETTING_ENUM:
        return check_enum(s, value, out);
    case SETTING_STRING:
        return check_string(s, a, value, out);
    }
    UNREACHABLE();
}

int
setting_check(const struct setting *s, struct arena *a, const char *value, const char **out)
{
    int rc;

    if ((s->flags & SETTING_INTERNAL) != 0)
        return DIAG(ERR_CANNOT_CHANGE_PARAMETER, "parameter \"%s\" cannot be changed", s->name);
    rc = check_type(s, a, value, out);
    if (rc == 0 && (s->flags & SETTING_FIXED) != 0 && strcasecmp(*out, s->value) != 0)
        return DIAG(ERR_NOT_SUPPORTED, "parameter \"%s\" can only be \"%s\" here", s->name,
                    s->value);
    return rc;
}

const char *
setting_show(const struct setting *s, struct arena *a, const char *value)
{
    return s->type == SETTING_INT && s->unit != NULL ? show_number(s, a, value) : value;
}

/* ---- lists of names ---------------------------------------------------------------------------
 */

static const char *
list_quoted(const char **at, struct arena *a)
{
    const char *p = *at + 1;
    char *out = arena_alloc(a, strlen(p) + 1);
    size_t n = 0;

    for (; *p != '\0' && (*p != '"' || p[1] == '"'); p++) {
        if (*p == '"')
            p++;
        out[n++] = *p;
    }
    if (*p != '"')
        return NULL;
    *at = p + 1;
    out[n] = '\0';
    return out;
}

bool
setting_list_next(const char **at, struct arena *a, const char **item, bool *bad)
{
    const char *p = *at;

    while (isspace((unsigned char)*p) || *p == ',')
        p++;
    if (*p == '\0')
        return false;
    if (*p == '"') {
        *item = list_quoted(&p, a);
    } else {
        const char *from = p;
        char *copy;

        while (*p != '\0' && *p != ',' && !isspace((unsigned char)*p))
            p++;
        copy = arena_strndup(a, from, (size_t)(p - from));
        for (char *c = copy; *c != '\0'; c++)
            *c = (char)((unsigned char)*c < 128 ? tolower((unsigned char)*c) : *c);
        *item = copy;
    }
    while (isspace((unsigned char)*p))
        p++;
    *bad = *item == NULL || (*p != '\0' && *p != ',');
    *at = p;
    return !*bad;
}
