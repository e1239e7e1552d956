/* extract(), date_part(), date_trunc().
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "engine/types/datetime_int.h"
#include "engine/types/func_int.h"
#include "engine/types/numeric.h"

enum field {
    FIELD_NONE,
    FIELD_MICROSECONDS, /* from here on: what date_trunc takes, small to large */
    FIELD_MILLISECONDS,
    FIELD_SECOND,
    FIELD_MINUTE,
    FIELD_HOUR,
    FIELD_DAY,
    FIELD_WEEK,
    FIELD_MONTH,
    FIELD_QUARTER,
    FIELD_YEAR,
    FIELD_DECADE,
    FIELD_CENTURY,
    FIELD_MILLENNIUM, /* to here */
    FIELD_DOW,
    FIELD_ISODOW,
    FIELD_DOY,
    FIELD_ISOYEAR,
    FIELD_JULIAN,
    FIELD_EPOCH,
    FIELD_TIMEZONE,
    FIELD_TIMEZONE_HOUR,
    FIELD_TIMEZONE_MINUTE,
};

static const struct {
    const char *name;
    enum field field;
} field_names[] = {
    { "microseconds", FIELD_MICROSECONDS },
    { "microsecond", FIELD_MICROSECONDS },
    { "us", FIELD_MICROSECONDS },
    { "milliseconds", FIELD_MILLISECONDS },
    { "millisecond", FIELD_MILLISECONDS },
    { "ms", FIELD_MILLISECONDS },
    { "second", FIELD_SECOND },
    { "seconds", FIELD_SECOND },
    { "sec", FIELD_SECOND },
    { "s", FIELD_SECOND },
    { "minute", FIELD_MINUTE },
    { "minutes", FIELD_MINUTE },
    { "min", FIELD_MINUTE },
    { "m", FIELD_MINUTE },
    { "hour", FIELD_HOUR },
    { "hours", FIELD_HOUR },
    { "hr", FIELD_HOUR },
    { "h", FIELD_HOUR },
    { "day", FIELD_DAY },
    { "days", FIELD_DAY },
    { "d", FIELD_DAY },
    { "week", FIELD_WEEK },
    { "weeks", FIELD_WEEK },
    { "w", FIELD_WEEK },
    { "month", FIELD_MONTH },
    { "months", FIELD_MONTH },
    { "mon", FIELD_MONTH },
    { "mons", FIELD_MONTH },
    { "quarter", FIELD_QUARTER },
    { "qtr", FIELD_QUARTER },
    { "year", FIELD_YEAR },
    { "years", FIELD_YEAR },
    { "yr", FIELD_YEAR },
    { "y", FIELD_YEAR },
    { "decade", FIELD_DECADE },
    { "decades", FIELD_DECADE },
    { "dec", FIELD_DECADE },
    { "century", FIELD_CENTURY },
    { "centuries", FIELD_CENTURY },
    { "cent", FIELD_CENTURY },
    { "c", FIELD_CENTURY },
    { "millennium", FIELD_MILLENNIUM },
    { "millennia", FIELD_MILLENNIUM },
    { "mil", FIELD_MILLENNIUM },
    { "dow", FIELD_DOW },
    { "isodow", FIELD_ISODOW },
    { "doy", FIELD_DOY },
    { "isoyear", FIELD_ISOYEAR },
    { "julian", FIELD_JULIAN },
    { "j", FIELD_JULIAN },
    { "jd", FIELD_JULIAN },
    { "epoch", FIELD_EPOCH },
    { "timezone", FIELD_TIMEZONE },
    { "timezone_h", FIELD_TIMEZONE_HOUR },
    { "timezone_hour", FIELD_TIMEZONE_HOUR },
    { "timezone_m", FIELD_TIMEZONE_MINUTE },
    { "timezone_minute", FIELD_TIMEZONE_MINUTE },
};

static enum field
field_find(struct slice name)
{
    for (size_t i = 0; i < sizeof field_names / sizeof field_names[0]; i++) {
        if (slice_eq_nocase(name, field_names[i].name))
            return field_names[i].field;
    }
    return FIELD_NONE;
}

static int
bad_field(enum field f, struct slice given, oid_t type)
{
    uint8_t lower[32];
    struct slice name = given;

    if (given.size <= sizeof lower) {
        for (size_t i = 0; i < given.size; i++)
            lower[i] = ascii_lower(given.data[i]);
        name.data = lower;
    }
    if (f == FIELD_NONE)
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "unit \"%.*s\" not recognized for type %s",
                    SLICE_ARGS(name), type_sql_name(type));
    return DIAG(ERR_NOT_SUPPORTED, "unit \"%.*s\" not supported for type %s", SLICE_ARGS(name),
                type_sql_name(type));
}

/* A part: value / 10^scale. */
struct part {
    __int128 value;
    int scale;
};

/* ---- weeks --------------------------------------------------------------------------------- */

/* 0 is Monday. */
static int64_t
weekday(int64_t date)
{
    int64_t d = (date + 5) % 7; /* 2000-01-01 was a Saturday */

    return d < 0 ? d + 7 : d;
}

/* The Monday of ISO week 1: that of the week with January 4. */
static int64_t
iso_year_start(int32_t year)
{
    int64_t fourth = date_from_civil(year, 1, 4);

    return fourth - weekday(fourth);
}

static int32_t
iso_year_of(int64_t date, int32_t year)
{
    if (date >= iso_year_start(year + 1))
        return year + 1;
    return date < iso_year_start(year) ? year - 1 : year;
}

/* ---- parts of local times ------------------------------------------------------------------ */

static int64_t
floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static bool
date_field(enum field f, int64_t date, int64_t *out)
{
    struct civil c;
    int64_t y;

    date_to_civil((int32_t)date, &c);
    y = c.year > 0 ? c.year : c.year - 1; /* there is no year 0 */
    switch (f) {
    case FIELD_DAY:
        *out = c.day;
        return true;
    case FIELD_WEEK:
        *out = (date - iso_year_start(iso_year_of(date, c.year))) / 7 + 1;
        return true;
    case FIELD_MONTH:
        *out = c.month;
        return true;
    case FIELD_QUARTER:
        *out = (c.month - 1) / 3 + 1;
        return true;
    case FIELD_YEAR:
        *out = y;
        return true;
    case FIELD_DECADE:
        *out = floor_div(c.year, 10);
        return true;
    case FIELD_CENTURY:
        *out = c.year > 0 ? (c.year + 99) / 100 : -((99 - (c.year - 1)) / 100);
        return true;
    case FIELD_MILLENNIUM:
        *out = c.year > 0 ? (c.year + 999) / 1000 : -((999 - (c.year - 1)) / 1000);
        return true;
    case FIELD_DOW:
        *out = (weekday(date) + 1) % 7;
        return true;
    case FIELD_ISODOW:
        *out = weekday(date) + 1;
        return true;
    case FIELD_DOY:
        *out = date - date_from_civil(c.year, 1, 1) + 1;
        return true;
    case FIELD_ISOYEAR:
        y = iso_year_of(date, c.year);
        *out = y > 0 ? y : y - 1;
        return true;
    default:
        return false;
    }
}

static bool
time_field(enum field f, int64_t us_of_day, struct part *out)
{
    int64_t us = us_of_day % US_PER_MINUTE;

    switch (f) {
    case FIELD_MICROSECONDS:
        *out = (struct part){ us, 0 };
        return true;
    case FIELD_MILLISECONDS:
        *out = (struct part){ us, 3 };
        return true;
    case FIELD_SECOND:
        *out = (struct part){ us, 6 };
        return true;
    case FIELD_MINUTE:
        *out = (struct part){ us_of_day / US_PER_MINUTE % 60, 0 };
        return true;
    case FIELD_HOUR:
        *out = (struct part){ us_of_day / US_PER_HOUR, 0 };
        return true;
    default:
        return false;
    }
}

/* Of a timestamp or timestamptz. */
static bool
moment_field(struct func_call *call, enum field f, oid_t type, int64_t t, struct part *out)
{
    bool with_zone = type == TYPE_TIMESTAMPTZ;
    int32_t offset = with_zone ? zone_offset_at(env_zone(call->env), t) : 0;
    int64_t local = t + offset * US_PER_SECOND, date = floor_div(local, US_PER_DAY), v = 0;

    if (date_field(f, date, &v)) {
        *out = (struct part){ v, 0 };
        return true;
    }
    if (time_field(f, local - date * US_PER_DAY, out))
        return true;
    switch (f) {
    case FIELD_JULIAN:
        *out = (struct part){ date + JULIAN_2000, 0 };
        return true;
    case FIELD_EPOCH:
        *out = (struct part){ (__int128)t + UNIX_EPOCH_US, 6 };
        return true;
    case FIELD_TIMEZONE:
        *out = (struct part){ offset, 0 };
        return with_zone;
    case FIELD_TIMEZONE_HOUR:
        *out = (struct part){ offset / 3600, 0 };
        return with_zone;
    case FIELD_TIMEZONE_MINUTE:
        *out = (struct part){ offset / 60 % 60, 0 };
        return with_zone;
    default:
        return false;
    }
}

static bool
interval_field(enum field f, struct interval v, struct part *out)
{
    int64_t years = v.months / 12, us = v.us % US_PER_HOUR;

    *out = (struct part){ 0, 0 };
    switch (f) {
    case FIELD_MICROSECONDS:
    case FIELD_MILLISECONDS:
    case FIELD_SECOND:
        us = v.us % US_PER_MINUTE;
        *out = (struct part){ us, f == FIELD_SECOND ? 6 : f == FIELD_MILLISECONDS ? 3 : 0 };
        return true;
    case FIELD_MINUTE:
        out->value = us / US_PER_MINUTE;
        return true;
    case FIELD_HOUR:
        out->value = v.us / US_PER_HOUR;
        return true;
    case FIELD_DAY:
        out->value = v.days;
        return true;
    case FIELD_MONTH:
        out->value = v.months % 12;
        return true;
    case FIELD_QUARTER:
        out->value = v.months % 12 / 3 + 1;
        return true;
    case FIELD_YEAR:
        out->value = years;
        return true;
    case FIELD_DECADE:
        out->value = years / 10;
        return true;
    case FIELD_CENTURY:
        out->value = years / 100;
        return true;
    case FIELD_MILLENNIUM:
        out->value = years / 1000;
        return true;
    case FIELD_EPOCH: /* years of 365.25 days */
        *out = (struct part){ (__int128)v.us + ((__int128)years * 36525 * 864 +
                                                ((__int128)(v.months % 12) * 30 + v.days) * 86400) *
                                                   US_PER_SECOND,
                              6 };
        return true;
    default:
        return false;
    }
}

/* ---- extract and date_part ----------------------------------------------------------------- */

static int
find_part(struct func_call *call, const struct datum *args, struct part *out)
{
    struct slice name = datum_view(&args[0]);
    enum field f = field_find(name);
    oid_t type = call->func->args[1];
    int64_t v;
    bool ok;

    if (f == FIELD_NONE)
        return bad_field(
            f, name, type == TYPE_DATE && call->func->fn == fn_date_part ? TYPE_TIMESTAMP : type);
    switch (type) {
    case TYPE_DATE:
        if (call->func->fn == fn_date_part) { /* a date is a timestamp there */
            int rc = date_to_timestamp(args[1].i, &v);
            if (rc != 0)
                return rc;
            ok = moment_field(call, f, TYPE_TIMESTAMP, v, out);
            type = TYPE_TIMESTAMP;
            break;
        }
        ok = date_field(f, args[1].i, &v);
        *out = (struct part){ ok ? v : 0, 0 };
        if (f == FIELD_JULIAN || f == FIELD_EPOCH) {
            ok = true;
            out->value = f == FIELD_JULIAN
                             ? args[1].i + JULIAN_2000
                             : (args[1].i + UNIX_EPOCH_US / US_PER_DAY) * (US_PER_DAY / 1000000);
        }
        break;
    case TYPE_TIME:
        ok = time_field(f, args[1].i, out);
        if (f == FIELD_EPOCH) {
            ok = true;
            *out = (struct part){ args[1].i, 6 };
        }
        break;
    case TYPE_INTERVAL:
        ok = interval_field(f, interval_load(&args[1]), out);
        break;
    default:
        ok = moment_field(call, f, type, args[1].i, out);
    }
    return ok ? 0 : bad_field(f, name, type);
}

/* Infinite moments: fields that grow without end are infinite, those that go round are null. */
static bool
infinite_part(struct func_call *call, const struct datum *args, bool *grows, bool *is_negative)
{
    oid_t type = call->func->args[1];
    enum field f = field_find(datum_view(&args[0]));
    int64_t v = args[1].i;

    if (type == TYPE_TIME || type == TYPE_INTERVAL ||
        (type == TYPE_DATE ? date_is_finite(v) : timestamp_is_finite(v)))
        return false;
    *grows = f == FIELD_YEAR || f == FIELD_DECADE || f == FIELD_CENTURY || f == FIELD_MILLENNIUM ||
             f == FIELD_JULIAN || f == FIELD_ISOYEAR || f == FIELD_EPOCH;
    *is_negative = v < 0;
    return f != FIELD_NONE;
}

/* The Julian day of a moment has a fraction. */
static bool
is_julian_moment(struct func_call *call, const struct datum *args)
{
    oid_t type = call->func->args[1];

    return (type == TYPE_TIMESTAMP || type == TYPE_TIMESTAMPTZ) &&
           field_find(datum_view(&args[0])) == FIELD_JULIAN;
}

static int64_t
local_of(struct func_call *call, const struct datum *t)
{
    return call->func->args[1] == TYPE_TIMESTAMPTZ ? timestamptz_to_local(env_zone(call->env), t->i)
                                                   : t->i;
}

/* In floating point, with PostgreSQL's order of additions. */
static double
interval_epoch(struct interval v)
{
    double s = (double)v.us / 1e6;

    s += 365.25 * 86400 * (v.months / 12);
    s += 30.0 * 86400 * (v.months % 12);
    return s + 86400.0 * v.days;
}

int
fn_date_part(struct func_call *call, const struct datum *args, struct datum *out)
{
    static const double units[] = { 1, 0, 0, 1e3, 0, 0, 1e6 };
    bool grows, is_negative;
    struct part p;
    int rc;

    if (infinite_part(call, args, &grows, &is_negative)) {
        *out = grows ? datum_float(is_negative ? -INFINITY : INFINITY) : datum_null();
        return 0;
    }
    if (is_julian_moment(call, args)) {
        int64_t local = local_of(call, &args[1]), date = floor_div(local, US_PER_DAY);
        *out = datum_float((double)(date + JULIAN_2000) +
                           (double)(local - date * US_PER_DAY) / (double)US_PER_DAY);
        return 0;
    }
    if (call->func->args[1] == TYPE_INTERVAL && field_find(datum_view(&args[0])) == FIELD_EPOCH) {
        *out = datum_float(interval_epoch(interval_load(&args[1])));
        return 0;
    }
    rc = find_part(call, args, &p);
    if (rc == 0)
        *out = datum_float((double)p.value / units[p.scale]);
    return rc;
}

int
fn_extract(struct func_call *call, const struct datum *args, struct datum *out)
{
    bool grows, is_negative;
    struct part p;
    int rc;

    if (infinite_part(call, args, &grows, &is_negative)) {
        *out = datum_null();
        if (!grows)
            return 0;
        return numeric_from_float(call->arena, is_negative ? -INFINITY : INFINITY, 15, out);
    }
    if (is_julian_moment(call, args)) {
        int64_t local = local_of(call, &args[1]), date = floor_div(local, US_PER_DAY);
        struct datum us = numeric_from_int(call->arena, local - date * US_PER_DAY);
        struct datum day = numeric_from_int(call->arena, US_PER_DAY), whole, fraction;
        whole = numeric_from_int(call->arena, date + JULIAN_2000);
        rc = numeric_div(call->arena, &us, &day, &fraction);
        return rc != 0 ? rc : numeric_add(call->arena, &whole, &fraction, out);
    }
    rc = find_part(call, args, &p);
    if (rc == 0)
        *out = numeric_from_int128(call->arena, p.value, p.scale);
    return rc;
}

/* ---- date_trunc ---------------------------------------------------------------------------- */

static int
trunc_local(enum field f, int64_t t, int64_t *out)
{
    static const int64_t units[] = {
        [FIELD_MICROSECONDS] = 1,       [FIELD_MILLISECONDS] = 1000, [FIELD_SECOND] = US_PER_SECOND,
        [FIELD_MINUTE] = US_PER_MINUTE, [FIELD_HOUR] = US_PER_HOUR,  [FIELD_DAY] = US_PER_DAY
    };
    int64_t date = floor_div(t, US_PER_DAY), y;
    struct civil c;

    if (f <= FIELD_DAY) {
        *out = floor_div(t, units[f]) * units[f];
        return 0;
    }
    if (f == FIELD_WEEK) {
        *out = (date - weekday(date)) * US_PER_DAY;
        return timestamp_in_range(*out) ? 0 : timestamp_out_of_range();
    }
    date_to_civil((int32_t)date, &c);
    y = c.year;
    c.day = 1;
    if (f == FIELD_QUARTER)
        c.month = (c.month - 1) / 3 * 3 + 1;
    else if (f > FIELD_QUARTER)
        c.month = 1;
    if (f == FIELD_DECADE)
        y = floor_div(y, 10) * 10;
    else if (f == FIELD_CENTURY)
        y = floor_div(y - 1, 100) * 100 + 1;
    else if (f == FIELD_MILLENNIUM)
        y = floor_div(y - 1, 1000) * 1000 + 1;
    c.year = (int32_t)y;
    return timestamp_from_civil(&c, out);
}

int
fn_date_trunc(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct slice name = datum_view(&args[0]);
    enum field f = field_find(name);
    oid_t type = call->func->args[1];
    const struct zone *z = env_zone(call->env);
    int64_t t = args[1].i;
    int rc = 0;

    *out = args[1];
    if (!timestamp_is_finite(t))
        return 0;
    if (f == FIELD_NONE || f > FIELD_MILLENNIUM)
        return bad_field(f >= FIELD_TIMEZONE ? f : FIELD_NONE, name, type);
    if (type == TYPE_TIMESTAMP)
        return trunc_local(f, t, &out->i);
    if (call->arg_count > 2)
        rc = zone_resolve(call->env, datum_view(&args[2]), call->arena, &z);
    if (rc == 0)
        rc = trunc_local(f, timestamptz_to_local(z, t), &t);
    return rc != 0 ? rc : timestamptz_from_local(z, t, &out->i);
}

int
fn_date_trunc_interval(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct slice name = datum_view(&args[0]);
    enum field f = field_find(name);
    struct interval v = interval_load(&args[1]);
    int32_t months = f == FIELD_MILLENNIUM ? 12000
                     : f == FIELD_CENTURY  ? 1200
                     : f == FIELD_DECADE   ? 120
                     : f == FIELD_YEAR     ? 12
                     : f == FIELD_QUARTER  ? 3
                                           : 1;

    if (f == FIELD_NONE || f > FIELD_MILLENNIUM || f == FIELD_WEEK) {
        bool is_known = f == FIELD_WEEK || f >= FIELD_TIMEZONE;
        int rc = bad_field(is_known ? f : FIELD_NONE, name, TYPE_INTERVAL);
        if (f == FIELD_WEEK)
            diag_detail("Months usually have fractional weeks.");
        return rc;
    }
    if (f >= FIELD_MONTH) {
        v.months -= v.months % months;
        v.days = 0;
    }
    if (f >= FIELD_DAY)
        v.us = 0;
    else if (f >= FIELD_MILLISECONDS)
        v.us -= v.us % (f == FIELD_HOUR     ? US_PER_HOUR
                        : f == FIELD_MINUTE ? US_PER_MINUTE
                        : f == FIELD_SECOND ? US_PER_SECOND
                                            : 1000);
    *out = interval_make(call->arena, v);
    return 0;
}

/* date_bin(stride, source, origin). */
int
fn_date_bin(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct interval stride = interval_load(&args[0]);
    int64_t width, apart;

    (void)call;
    *out = args[1];
    if (!timestamp_is_finite(args[1].i))
        return 0;
    if (!timestamp_is_finite(args[2].i))
        return DIAG(ERR_DATETIME_OVERFLOW, "origin out of range");
    if (stride.months != 0)
        return DIAG(ERR_NOT_SUPPORTED,
                    "timestamps cannot be binned into intervals containing months or years");
    if (__builtin_mul_overflow((int64_t)stride.days, US_PER_DAY, &width) ||
        __builtin_add_overflow(width, stride.us, &width) ||
        __builtin_sub_overflow(args[1].i, args[2].i, &apart))
        return interval_out_of_range();
    if (width <= 0)
        return DIAG(ERR_DATETIME_OVERFLOW, "stride must be greater than zero");
    if (__builtin_sub_overflow(args[1].i, apart - floor_div(apart, width) * width, &out->i))
        return timestamp_out_of_range();
    return 0;
}
