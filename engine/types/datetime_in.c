/* Reading dates and times from text.
 *
 * The text is a row of parts in nearly any order: a date with separators (2024-02-29, 02/29/2024,
 * 29-Feb-2024), a date in figures (20240229), the words and numbers of "Feb 29, 2024", a time, AM
 * or PM, a zone, BC, and the special words. ISO forms are tried first by a straight scan.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/datetime_int.h"

enum dt_error { DT_OK, DT_BAD, DT_FIELD, DT_MONTH_DAY, DT_DISPLACEMENT, DT_REPORTED };

struct dt_scan {
    const struct type_env *env;
    const uint8_t *at, *end;
    struct dt_fields *f;
    int has_year, has_month, has_day;
    int year_digits;
    bool is_bc, is_pm, is_am, after_t;
    bool wants_time; /* of type time: bare figures are one */
};

static int
dt_report(enum dt_error e, const char *type_name, struct slice text)
{
    int rc;

    switch (e) {
    case DT_OK:
        return 0;
    case DT_REPORTED:
        return diag_last()->code;
    case DT_DISPLACEMENT:
        return DIAG(ERR_ZONE_DISPLACEMENT, "time zone displacement out of range: \"%.*s\"",
                    SLICE_ARGS(text));
    case DT_FIELD:
        return DIAG(ERR_DATETIME_OVERFLOW, "date/time field value out of range: \"%.*s\"",
                    SLICE_ARGS(text));
    case DT_MONTH_DAY:
        rc = DIAG(ERR_DATETIME_OVERFLOW, "date/time field value out of range: \"%.*s\"",
                  SLICE_ARGS(text));
        diag_hint("Perhaps you need a different \"datestyle\" setting.");
        return rc;
    default:
        return DIAG(ERR_INVALID_DATETIME, "invalid input syntax for type %s: \"%.*s\"", type_name,
                    SLICE_ARGS(text));
    }
}

/* ---- ISO, straight ------------------------------------------------------------------------- */

static bool
fixed2(const uint8_t *p, int *v)
{
    if (!ascii_is_digit(p[0]) || !ascii_is_digit(p[1]))
        return false;
    *v = (p[0] - '0') * 10 + (p[1] - '0');
    return true;
}

/* YYYY-MM-DD, and " HH:MM:SS[.f…]" after it. Anything else, or out of range: false, and the long
 * way decides. */
static bool
parse_iso(struct slice s, struct dt_fields *f)
{
    const uint8_t *p = s.data;
    int high, low, digits = 0;

    if (s.size < 10 || p[4] != '-' || p[7] != '-' || !fixed2(p, &high) || !fixed2(p + 2, &low) ||
        !fixed2(p + 5, &f->c.month) || !fixed2(p + 8, &f->c.day))
        return false;
    f->c.year = high * 100 + low;
    if (f->c.year == 0 || f->c.month < 1 || f->c.month > 12 || f->c.day < 1 ||
        f->c.day > days_in_month(f->c.year, f->c.month))
        return false;
    f->has_date = true;
    if (s.size == 10)
        return true;
    if (s.size < 19 || (p[10] != ' ' && p[10] != 'T') || p[13] != ':' || p[16] != ':' ||
        !fixed2(p + 11, &f->c.hour) || !fixed2(p + 14, &f->c.minute) ||
        !fixed2(p + 17, &f->c.second) || f->c.hour > 23 || f->c.minute > 59 || f->c.second > 59)
        return false;
    f->has_time = true;
    if (s.size == 19)
        return true;
    if (p[19] != '.' || s.size == 20 || s.size > 26)
        return false;
    for (size_t i = 20; i < s.size; i++, digits++) {
        if (!ascii_is_digit(p[i]))
            return false;
        f->c.us = f->c.us * 10 + (p[i] - '0');
    }
    for (; digits < 6; digits++)
        f->c.us *= 10;
    return true;
}

/* ---- parts --------------------------------------------------------------------------------- */

static void
skip_space(struct dt_scan *s)
{
    while (s->at < s->end && ascii_is_space(*s->at))
        s->at++;
}

/* The digits after a decimal point, to microseconds, half to even. */
static int32_t
scan_fraction(struct dt_scan *s)
{
    int32_t us = 0;
    int n = 0;
    bool above = false, half = false, rest = false;

    for (; s->at < s->end && ascii_is_digit(*s->at); s->at++, n++) {
        int d = *s->at - '0';
        if (n < 6)
            us = us * 10 + d;
        else if (n == 6)
            above = d > 5, half = d == 5;
        else
            rest |= d != 0;
    }
    for (; n < 6; n++)
        us *= 10;
    return us + (above || (half && (rest || us % 2 != 0)));
}

static enum dt_error
set_time(struct dt_scan *s, int64_t hour, int64_t minute, int64_t second, int32_t us)
{
    if (s->f->has_time)
        return DT_BAD;
    s->f->has_time = true;
    if (hour > 24 || minute > 59 || second > 60 ||
        (hour == 24 && (minute > 0 || second > 0 || us > 0)))
        return DT_FIELD;
    s->f->c.hour = (int)hour;
    s->f->c.minute = (int)minute;
    s->f->c.second = (int)second;
    s->f->c.us = us;
    return DT_OK;
}

/* At the first colon; the hour was read. */
static enum dt_error
scan_time(struct dt_scan *s, int64_t hour)
{
    int64_t minute, second = 0;
    int32_t us = 0;

    s->at++;
    if (scan_digits(&s->at, s->end, 3, &minute) == 0)
        return DT_BAD;
    if (s->at < s->end && *s->at == ':') {
        s->at++;
        if (scan_digits(&s->at, s->end, 3, &second) == 0)
            return DT_BAD;
        if (s->at < s->end && *s->at == '.') {
            s->at++;
            us = scan_fraction(s);
        }
    }
    return set_time(s, hour, minute, second, us);
}

/* HHMM, HHMMSS[.f…] in figures. */
static enum dt_error
scan_time_digits(struct dt_scan *s, int64_t v, int digits)
{
    int32_t us = 0;

    if (digits == 4)
        return set_time(s, v / 100, v % 100, 0, 0);
    if (digits != 6)
        return DT_BAD;
    if (s->at < s->end && *s->at == '.') {
        s->at++;
        us = scan_fraction(s);
    }
    return set_time(s, v / 10000, v / 100 % 100, v % 100, us);
}

static enum dt_error
set_year(struct dt_scan *s, int64_t v, int digits)
{
    if (s->has_year++)
        return DT_BAD;
    if (v > 9999999)
        return DT_FIELD;
    s->f->c.year = (int32_t)v;
    s->year_digits = digits;
    return DT_OK;
}

static enum dt_error
set_month(struct dt_scan *s, int64_t v)
{
    if (s->has_month++)
        return DT_BAD;
    s->f->c.month = (int)(v > 99 ? 99 : v);
    return DT_OK;
}

static enum dt_error
set_day(struct dt_scan *s, int64_t v)
{
    if (s->has_day++)
        return DT_BAD;
    s->f->c.day = (int)(v > 999 ? 999 : v);
    return DT_OK;
}

static int
month_by_name(struct slice word)
{
    static const char *const names[] = { "january",   "february", "march",    "april",
                                         "may",       "june",     "july",     "august",
                                         "september", "october",  "november", "december" };

    if (slice_eq_nocase(word, "sept"))
        return 9;
    for (int i = 0; i < 12; i++) {
        char three[4] = { names[i][0], names[i][1], names[i][2], 0 };
        if (slice_eq_nocase(word, names[i]) || slice_eq_nocase(word, three))
            return i + 1;
    }
    return 0;
}

static bool
is_day_name(struct slice word)
{
    static const char *const names[] = { "sunday",   "monday", "tuesday",  "wednesday",
                                         "thursday", "friday", "saturday", "tues",
                                         "wednes",   "weds",   "thur",     "thurs" };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char three[4] = { names[i][0], names[i][1], names[i][2], 0 };
        if (slice_eq_nocase(word, names[i]) || slice_eq_nocase(word, three))
            return true;
    }
    return false;
}

/* One part of a date with separators: figures or the name of a month. */
struct dt_piece {
    int64_t v;
    int digits; /* 0: a month's name */
};

static bool
scan_piece(struct dt_scan *s, struct dt_piece *p)
{
    const uint8_t *from = s->at;

    p->digits = scan_digits(&s->at, s->end, 9, &p->v);
    if (p->digits > 0)
        return true;
    while (s->at < s->end && ascii_is_alpha(*s->at))
        s->at++;
    p->v = month_by_name(slice(from, (size_t)(s->at - from)));
    return p->v != 0;
}

/* 2024-060 */
static enum dt_error
set_day_of_year(struct dt_scan *s, struct dt_piece year, int64_t day)
{
    enum dt_error e = set_year(s, year.v, year.digits);

    if (e != DT_OK)
        return e;
    if (s->has_month++ || s->has_day++)
        return DT_BAD;
    if (day < 1 || day > 365 + is_leap_year((int32_t)year.v))
        return DT_FIELD;
    date_to_civil((int32_t)(date_from_civil((int32_t)year.v, 1, 1) + day - 1), &s->f->c);
    return DT_OK;
}

/* At the first separator; the first piece was read. */
static enum dt_error
scan_date(struct dt_scan *s, struct dt_piece first)
{
    struct dt_piece p[3] = { first };
    uint8_t separator = *s->at;
    int order = s->env != NULL ? s->env->date_order : DATE_ORDER_MDY, y = 2, m = 0, d = 1;
    enum dt_error e;

    for (int i = 1; i < 3; i++) {
        if (i == 2 && first.digits >= 4 && p[1].digits == 3 && s->at == s->end)
            return set_day_of_year(s, first, p[1].v);
        if (s->at == s->end || *s->at != separator)
            return DT_BAD;
        s->at++;
        if (!scan_piece(s, &p[i]))
            return DT_BAD;
    }
    if (p[0].digits >= 3 || (order == DATE_ORDER_YMD && p[0].digits > 0 && p[2].digits < 3)) {
        y = 0, m = 1, d = 2;
    } else if (p[0].digits == 0) {
        m = 0, d = 1, y = 2;
    } else if (p[1].digits == 0 || order == DATE_ORDER_DMY) {
        d = 0, m = 1, y = 2;
    }
    if (p[y].digits == 0 || p[d].digits == 0)
        return DT_BAD;
    e = set_year(s, p[y].v, p[y].digits);
    if (e == DT_OK)
        e = set_month(s, p[m].v);
    return e == DT_OK ? set_day(s, p[d].v) : e;
}

static enum dt_error
scan_number(struct dt_scan *s)
{
    const uint8_t *from = s->at;
    struct dt_piece p;
    enum dt_error e;

    p.digits = scan_digits(&s->at, s->end, 9, &p.v);
    if (s->at < s->end && ascii_is_digit(*s->at))
        return DT_BAD;
    if (s->at < s->end && *s->at == ':' && p.digits <= 3)
        return scan_time(s, p.v);
    if (s->at < s->end && (*s->at == '-' || *s->at == '/' || *s->at == '.') && !s->after_t &&
        !s->has_day && s->end - s->at > 1 && (s->at[1] != '.' && !ascii_is_space(s->at[1]))) {
        if (*s->at != '.' || p.digits <= 4)
            return scan_date(s, p);
    }
    if (s->after_t || (s->has_year && s->has_month && s->has_day) ||
        (s->wants_time && (p.digits == 4 || p.digits == 6)))
        return scan_time_digits(s, p.v, p.digits);
    if ((p.digits == 8 || p.digits == 6) && !s->has_year && !s->has_month && !s->has_day) {
        int year_digits = p.digits - 4;
        e = set_year(s, p.v / 10000, year_digits);
        if (e == DT_OK)
            e = set_month(s, p.v / 100 % 100);
        return e == DT_OK ? set_day(s, p.v % 100) : e;
    }
    if (!s->has_month) { /* "29 Feb 2024": a month's name must follow */
        const uint8_t *look = s->at;
        while (look < s->end && ascii_is_space(*look))
            look++;
        if (look == s->end || !ascii_is_alpha(*look)) {
            s->at = from;
            return DT_BAD;
        }
    }
    return p.digits >= 3 || s->has_day ? set_year(s, p.v, p.digits) : set_day(s, p.v);
}

/* ---- zones and words ----------------------------------------------------------------------- */

/* +HH, +HHMM, +HH:MM[:SS]. */
static enum dt_error
scan_offset(struct dt_scan *s)
{
    bool neg = *s->at++ == '-';
    int64_t h, m = 0, sec = 0;
    int digits = scan_digits(&s->at, s->end, 6, &h);

    if (digits == 0 || s->f->has_zone)
        return DT_BAD;
    if (s->at < s->end && *s->at == ':') {
        s->at++;
        if (scan_digits(&s->at, s->end, 2, &m) == 0)
            return DT_BAD;
        if (s->at < s->end && *s->at == ':') {
            s->at++;
            if (scan_digits(&s->at, s->end, 2, &sec) == 0)
                return DT_BAD;
        }
    } else if (digits > 4) {
        sec = h % 100, m = h / 100 % 100, h /= 10000;
    } else if (digits > 2) {
        m = h % 100, h /= 100;
    }
    if (h > 15 || m > 59 || sec > 59)
        return DT_DISPLACEMENT;
    s->f->offset = (int32_t)((h * 60 + m) * 60 + sec) * (neg ? -1 : 1);
    s->f->has_zone = true;
    return DT_OK;
}

static enum dt_error
scan_zone_name(struct dt_scan *s, struct slice word)
{
    static const struct {
        const char *name;
        int minutes;
    } known[] = {
        { "z", 0 },      { "utc", 0 },    { "gmt", 0 },    { "zulu", 0 },   { "ut", 0 },
        { "uct", 0 },    { "wet", 0 },    { "bst", 60 },   { "cet", 60 },   { "mez", 60 },
        { "cest", 120 }, { "mesz", 120 }, { "eet", 120 },  { "eest", 180 }, { "msk", 180 },
        { "jst", 540 },  { "kst", 540 },  { "est", -300 }, { "edt", -240 }, { "cst", -360 },
        { "cdt", -300 }, { "mst", -420 }, { "mdt", -360 }, { "pst", -480 }, { "pdt", -420 },
    };
    struct dt_fields *f = s->f;

    if (f->has_zone)
        return DT_BAD;
    f->has_zone = true;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (slice_eq_nocase(word, known[i].name)) {
            f->offset = known[i].minutes * 60;
            return DT_OK;
        }
    }
    if (memchr(word.data, '/', word.size) == NULL || s->env == NULL || s->env->zone_by_name == NULL)
        return DT_BAD;
    return s->env->zone_by_name(s->env->arg, word, &f->zone) == 0 ? DT_OK : DT_REPORTED;
}

/* now, today, …: as moments of the session. True if the word is one. */
static bool
special_word(struct dt_scan *s, struct slice word, enum dt_error *e)
{
    static const char *const days[] = { "yesterday", "today", "tomorrow" };
    struct dt_fields *f = s->f;
    int64_t now;

    *e = DT_OK;
    if (slice_eq_nocase(word, "infinity") || slice_eq_nocase(word, "inf"))
        f->special = DT_INFINITY;
    else if (slice_eq_nocase(word, "epoch"))
        f->special = DT_EPOCH;
    else if (slice_eq_nocase(word, "now"))
        f->special = DT_NOW;
    if (f->special != DT_NONE)
        return true;
    if (slice_eq_nocase(word, "allballs")) {
        *e = set_time(s, 0, 0, 0, 0);
        f->has_zone = true;
        return true;
    }
    for (int i = 0; i < 3; i++) {
        if (!slice_eq_nocase(word, days[i]))
            continue;
        if (s->env == NULL || s->env->now_transaction == NULL || s->has_year || s->has_month ||
            s->has_day) {
            *e = DT_BAD;
            return true;
        }
        now = timestamptz_to_local(s->env->zone, s->env->now_transaction(s->env->arg));
        date_to_civil((int32_t)timestamp_to_date(now) + i - 1, &f->c);
        s->has_year = s->has_month = s->has_day = 1;
        s->year_digits = 4;
        return true;
    }
    return false;
}

static enum dt_error
scan_word(struct dt_scan *s)
{
    const uint8_t *from = s->at;
    struct slice word;
    enum dt_error e;
    int month;

    while (s->at < s->end && ascii_is_alpha(*s->at))
        s->at++;
    word = slice(from, (size_t)(s->at - from));
    if (s->at < s->end && (*s->at == '/' || *s->at == '_')) {
        while (s->at < s->end && !ascii_is_space(*s->at))
            s->at++;
        return scan_zone_name(s, slice(from, (size_t)(s->at - from)));
    }
    if (slice_eq_nocase(word, "t")) {
        s->after_t = true;
        return s->at < s->end && ascii_is_digit(*s->at) ? DT_OK : DT_BAD;
    }
    if (slice_eq_nocase(word, "j") && s->at < s->end && ascii_is_digit(*s->at)) {
        int64_t day;
        int digits = scan_digits(&s->at, s->end, 9, &day);
        if (digits == 9 || s->has_day++ || s->has_month++ || s->has_year++)
            return DT_BAD;
        s->year_digits = 4;
        date_to_civil((int32_t)(day - JULIAN_2000), &s->f->c);
        return DT_OK;
    }
    if (slice_eq_nocase(word, "bc"))
        return s->is_bc ? DT_BAD : (s->is_bc = true, DT_OK);
    if (slice_eq_nocase(word, "ad"))
        return s->is_bc ? DT_BAD : DT_OK;
    if (is_day_name(word))
        return DT_OK;
    if (slice_eq_nocase(word, "am"))
        return s->is_am = true, DT_OK;
    if (slice_eq_nocase(word, "pm"))
        return s->is_pm = true, DT_OK;
    month = month_by_name(word);
    if (month != 0) {
        /* "Feb-29-2024" */
        if (s->at < s->end && *s->at == '-')
            return scan_date(s, (struct dt_piece){ .v = month });
        return set_month(s, month);
    }
    if (special_word(s, word, &e))
        return e;
    return scan_zone_name(s, word);
}

static enum dt_error
finish_date(struct dt_scan *s)
{
    struct civil *c = &s->f->c;

    if (!s->has_year && !s->has_month && !s->has_day)
        return s->is_bc ? DT_BAD : DT_OK;
    if (!s->has_year || !s->has_month || !s->has_day)
        return DT_BAD;
    if (s->year_digits <= 2 && !s->is_bc)
        c->year += c->year < 70 ? 2000 : 1900;
    if (s->is_bc) {
        if (c->year <= 0)
            return DT_FIELD;
        c->year = 1 - c->year;
    } else if (c->year == 0 && s->year_digits > 2) {
        return DT_FIELD;
    }
    if (c->month < 1 || c->month > 12 || c->day < 1 || c->day > 31)
        return DT_MONTH_DAY;
    if (c->day > days_in_month(c->year, c->month))
        return DT_FIELD;
    s->f->has_date = true;
    return DT_OK;
}

static enum dt_error
finish_time(struct dt_scan *s)
{
    struct civil *c = &s->f->c;

    if (!s->is_am && !s->is_pm)
        return DT_OK;
    if (!s->f->has_time || (s->is_am && s->is_pm))
        return DT_BAD;
    if (c->hour > 12)
        return DT_FIELD;
    if (s->is_pm && c->hour != 12)
        c->hour += 12;
    else if (s->is_am && c->hour == 12)
        c->hour = 0;
    return DT_OK;
}

static enum dt_error
scan_all(struct dt_scan *s)
{
    enum dt_error e = DT_OK;

    for (skip_space(s); s->at < s->end && e == DT_OK; skip_space(s)) {
        uint8_t c = *s->at;
        if (c == ',')
            s->at++;
        else if (ascii_is_digit(c))
            e = scan_number(s);
        else if (ascii_is_alpha(c))
            e = scan_word(s);
        else if ((c == '+' || c == '-') &&
                 (s->f->has_time || (s->has_day && ascii_is_space(s->at[-1]))))
            e = scan_offset(s);
        else if (c == '-' && slice_eq_nocase(slice(s->at, (size_t)(s->end - s->at)), "-infinity"))
            s->f->special = DT_MINUS_INFINITY, s->at = s->end;
        else
            e = DT_BAD;
    }
    if (e != DT_OK)
        return e;
    if (s->f->special != DT_NONE)
        return s->has_day || s->has_month || s->has_year ? DT_BAD : DT_OK;
    e = finish_date(s);
    return e == DT_OK ? finish_time(s) : e;
}

int
dt_parse(const struct type_env *env, const char *type_name, struct slice text,
         struct dt_fields *out)
{
    struct slice body = slice_trim_space(text);
    struct dt_scan s = { .env = env,
                         .at = body.data,
                         .end = body.data + body.size,
                         .f = out,
                         .wants_time = strcmp(type_name, "time") == 0 };
    enum dt_error e;

    *out = (struct dt_fields){ .special = DT_NONE };
    if (parse_iso(body, out))
        return 0;
    *out = (struct dt_fields){ .special = DT_NONE };
    if (body.size == 0 || body.size > 255)
        return dt_report(DT_BAD, type_name, text);
    e = scan_all(&s);
    if (e == DT_OK && !out->has_date && !out->has_time && out->special == DT_NONE)
        e = DT_BAD;
    return dt_report(e, type_name, text);
}

/* ---- the types ----------------------------------------------------------------------------- */

/* The name in messages. */
static const char *
text_name(const struct type *t)
{
    return t->oid == TYPE_TIMESTAMPTZ ? t->sql_name : t->name;
}

static int
need_now(const struct type_env *env, int64_t *now)
{
    if (env == NULL || env->now_transaction == NULL)
        return DIAG(ERR_NOT_SUPPORTED, "the current time is not known here");
    *now = env->now_transaction(env->arg);
    return 0;
}

static int
out_of_range(const char *what, struct slice text)
{
    return DIAG(ERR_DATETIME_OVERFLOW, "%s out of range: \"%.*s\"", what, SLICE_ARGS(text));
}

int
date_in(const struct type *t, const struct type_env *env, struct arena *a, struct slice text,
        int32_t typmod, struct datum *out)
{
    struct dt_fields f;
    int64_t now = 0;
    int rc = dt_parse(env, text_name(t), text, &f);

    (void)a, (void)typmod;
    if (rc == 0 && f.special == DT_NOW)
        rc = need_now(env, &now);
    if (rc != 0)
        return rc;
    switch (f.special) {
    case DT_INFINITY:
        *out = datum_int(DATE_NOEND);
        return 0;
    case DT_MINUS_INFINITY:
        *out = datum_int(DATE_NOBEGIN);
        return 0;
    case DT_EPOCH:
        *out = datum_int(-UNIX_EPOCH_US / US_PER_DAY);
        return 0;
    case DT_NOW:
        *out = datum_int(timestamp_to_date(timestamptz_to_local(env_zone(env), now)));
        return 0;
    default:
        break;
    }
    if (!f.has_date)
        return dt_report(DT_BAD, text_name(t), text);
    if (f.c.year < -4713 || f.c.year > 5874897)
        return out_of_range("date", text);
    *out = datum_int(date_from_civil(f.c.year, f.c.month, f.c.day));
    if (out->i < DATE_MIN || out->i >= DATE_END)
        return out_of_range("date", text);
    return 0;
}

int
time_in(const struct type *t, const struct type_env *env, struct arena *a, struct slice text,
        int32_t typmod, struct datum *out)
{
    struct dt_fields f;
    struct datum d;
    int64_t now = 0;
    int rc = dt_parse(env, text_name(t), text, &f);

    if (rc == 0 && f.special == DT_NOW)
        rc = need_now(env, &now);
    if (rc != 0)
        return rc;
    if (f.special == DT_NOW) {
        now = timestamptz_to_local(env_zone(env), now);
        d = datum_int(now - timestamp_to_date(now) * US_PER_DAY);
    } else if (f.special != DT_NONE || !f.has_time) {
        return dt_report(DT_BAD, text_name(t), text);
    } else {
        d = datum_int(((f.c.hour * INT64_C(60) + f.c.minute) * 60 + f.c.second) * US_PER_SECOND +
                      f.c.us);
    }
    return type_coerce_typmod(t->oid, typmod, false, a, &d, out);
}

static int
timestamp_value(const struct type *t, const struct type_env *env, struct slice text,
                const struct dt_fields *f, int64_t *out)
{
    int64_t local;

    if (!f->has_date)
        return dt_report(DT_BAD, text_name(t), text);
    if (timestamp_from_civil(&f->c, &local) != 0)
        return out_of_range("timestamp", text);
    if (t->oid != TYPE_TIMESTAMPTZ) {
        *out = local;
        return 0;
    }
    if (f->has_zone && f->zone == NULL) {
        *out = local - f->offset * US_PER_SECOND;
        return timestamp_in_range(*out) ? 0 : out_of_range("timestamp", text);
    }
    if (timestamptz_from_local(f->has_zone ? f->zone : env_zone(env), local, out) != 0)
        return out_of_range("timestamp", text);
    return 0;
}

int
timestamp_in(const struct type *t, const struct type_env *env, struct arena *a, struct slice text,
             int32_t typmod, struct datum *out)
{
    struct dt_fields f;
    int64_t v = 0;
    struct datum d;
    int rc = dt_parse(env, text_name(t), text, &f);

    if (rc != 0)
        return rc;
    switch (f.special) {
    case DT_INFINITY:
        v = TIMESTAMP_NOEND;
        break;
    case DT_MINUS_INFINITY:
        v = TIMESTAMP_NOBEGIN;
        break;
    case DT_EPOCH:
        v = -UNIX_EPOCH_US;
        break;
    case DT_NOW:
        rc = need_now(env, &v);
        if (rc == 0 && t->oid == TYPE_TIMESTAMP)
            v = timestamptz_to_local(env_zone(env), v);
        break;
    default:
        rc = timestamp_value(t, env, text, &f, &v);
    }
    if (rc != 0)
        return rc;
    d = datum_int(v);
    return type_coerce_typmod(t->oid, typmod, false, a, &d, out);
}
