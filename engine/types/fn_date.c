/* Kernels of dates, times and timestamps: the clock, arithmetic, casts, zones.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>

#include "engine/types/datetime_int.h"
#include "engine/types/func_int.h"

/* ---- the clock ----------------------------------------------------------------------------- */

static int
read_clock(struct func_call *call, int64_t (*read_cb)(void *), struct datum *out)
{
    if (read_cb == NULL)
        return DIAG(ERR_NOT_SUPPORTED, "the current time is not known here");
    *out = datum_int(read_cb(call->env->arg));
    return 0;
}

int
fn_now(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)args;
    return read_clock(call, call->env == NULL ? NULL : call->env->now_transaction, out);
}

int
fn_statement_time(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)args;
    return read_clock(call, call->env == NULL ? NULL : call->env->now_statement, out);
}

int
fn_clock_time(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)args;
    return read_clock(call, call->env == NULL ? NULL : call->env->now_clock, out);
}

/* ---- dates --------------------------------------------------------------------------------- */

int
fn_date_minus(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    if (!date_is_finite(args[0].i) || !date_is_finite(args[1].i))
        return DIAG(ERR_DATETIME_OVERFLOW, "cannot subtract infinite dates");
    *out = datum_int(args[0].i - args[1].i);
    return 0;
}

static int
date_shift(int64_t date, int64_t days, struct datum *out)
{
    *out = datum_int(date);
    if (!date_is_finite(date))
        return 0;
    out->i += days;
    if (out->i < DATE_MIN || out->i >= DATE_END)
        return DIAG(ERR_DATETIME_OVERFLOW, "date out of range");
    return 0;
}

int
fn_date_plus_int(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    return date_shift(args[0].i, args[1].i, out);
}

int
fn_date_minus_int(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    return date_shift(args[0].i, -args[1].i, out);
}

int
fn_int_plus_date(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    return date_shift(args[1].i, args[0].i, out);
}

int
fn_date_plus_time(struct func_call *call, const struct datum *args, struct datum *out)
{
    int64_t t;
    int rc = date_to_timestamp(args[0].i, &t);

    (void)call;
    if (rc != 0)
        return rc;
    if (timestamp_is_finite(t)) {
        t += args[1].i;
        if (!timestamp_in_range(t))
            return timestamp_out_of_range();
    }
    *out = datum_int(t);
    return 0;
}

/* ---- moments and intervals ----------------------------------------------------------------- */

static int
shift_moment(struct func_call *call, oid_t type, int64_t t, struct interval v, struct datum *out)
{
    int rc = 0;

    *out = datum_int(0);
    if (type == TYPE_TIMESTAMPTZ)
        return timestamptz_add_interval(env_zone(call->env), t, v, &out->i);
    if (type == TYPE_DATE)
        rc = date_to_timestamp(t, &t);
    return rc != 0 ? rc : timestamp_add_interval(t, v, &out->i);
}

static bool
interval_negate(struct interval *v)
{
    if (v->us == INT64_MIN || v->days == INT32_MIN || v->months == INT32_MIN)
        return false;
    *v = (struct interval){ -v->us, -v->days, -v->months };
    return true;
}

int
fn_moment_plus_interval(struct func_call *call, const struct datum *args, struct datum *out)
{
    return shift_moment(call, call->func->args[0], args[0].i, interval_load(&args[1]), out);
}

int
fn_interval_plus_moment(struct func_call *call, const struct datum *args, struct datum *out)
{
    return shift_moment(call, call->func->args[1], args[1].i, interval_load(&args[0]), out);
}

int
fn_moment_minus_interval(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct interval v = interval_load(&args[1]);

    if (!interval_negate(&v))
        return interval_out_of_range();
    return shift_moment(call, call->func->args[0], args[0].i, v, out);
}

int
fn_timestamp_minus(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct interval v = { 0 };

    if (!timestamp_is_finite(args[0].i) || !timestamp_is_finite(args[1].i))
        return DIAG(ERR_DATETIME_OVERFLOW, "cannot subtract infinite timestamps");
    if (__builtin_sub_overflow(args[0].i, args[1].i, &v.us))
        return interval_out_of_range();
    v.days = (int32_t)(v.us / US_PER_DAY);
    v.us %= US_PER_DAY;
    *out = interval_make(call->arena, v);
    return 0;
}

int
fn_time_minus(struct func_call *call, const struct datum *args, struct datum *out)
{
    *out = interval_make(call->arena, (struct interval){ .us = args[0].i - args[1].i });
    return 0;
}

static int64_t
into_day(int64_t us)
{
    us %= US_PER_DAY;
    return us < 0 ? us + US_PER_DAY : us;
}

int
fn_time_plus_interval(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = datum_int(into_day(args[0].i + interval_load(&args[1]).us % US_PER_DAY));
    return 0;
}

int
fn_interval_plus_time(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = datum_int(into_day(args[1].i + interval_load(&args[0]).us % US_PER_DAY));
    return 0;
}

int
fn_time_minus_interval(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = datum_int(into_day(args[0].i - interval_load(&args[1]).us % US_PER_DAY));
    return 0;
}

int
fn_isfinite(struct func_call *call, const struct datum *args, struct datum *out)
{
    oid_t type = call->func->args[0];

    *out = datum_bool(type == TYPE_INTERVAL ? true
                      : type == TYPE_DATE   ? date_is_finite(args[0].i)
                                            : timestamp_is_finite(args[0].i));
    return 0;
}

/* ---- making -------------------------------------------------------------------------------- */

static int
make_days(const struct datum *args, int64_t *days)
{
    int64_t year = args[0].i, month = args[1].i, day = args[2].i;

    if (year < 0) /* BC */
        year++;
    else if (year == 0)
        year = INT32_MIN;
    if (year == INT32_MIN || month < 1 || month > 12 || day < 1 ||
        day > days_in_month((int32_t)year, (int)month))
        return DIAG(ERR_DATETIME_OVERFLOW, "date field value out of range: %d-%02d-%02d",
                    (int)args[0].i, (int)args[1].i, (int)args[2].i);
    *days = DATE_END;
    if (year >= -4713 && year <= 5874897)
        *days = date_from_civil((int32_t)year, (int)month, (int)day);
    if (*days < DATE_MIN || *days >= DATE_END)
        return DIAG(ERR_DATETIME_OVERFLOW, "date out of range: %d-%02d-%02d", (int)args[0].i,
                    (int)args[1].i, (int)args[2].i);
    return 0;
}

static int
make_us(const struct datum *args, int64_t *us)
{
    int64_t hour = args[0].i, minute = args[1].i;
    double second = args[2].f;

    if (hour < 0 || hour > 24 || minute < 0 || minute > 59 || isnan(second) || second < 0 ||
        second > 60 || (hour == 24 && (minute > 0 || second > 0)))
        return DIAG(ERR_DATETIME_OVERFLOW, "time field value out of range: %d:%02d:%02g", (int)hour,
                    (int)minute, second);
    *us = (hour * 60 + minute) * US_PER_MINUTE + (int64_t)rint(second * 1e6);
    return 0;
}

int
fn_make_date(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = datum_int(0);
    return make_days(args, &out->i);
}

int
fn_make_time(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = datum_int(0);
    return make_us(args, &out->i);
}

int
fn_make_timestamp(struct func_call *call, const struct datum *args, struct datum *out)
{
    int64_t days = 0, us = 0;
    int rc = make_days(args, &days);

    (void)call;
    if (rc == 0)
        rc = make_us(args + 3, &us);
    if (rc == 0)
        rc = date_to_timestamp(days, &days);
    if (rc != 0)
        return rc;
    *out = datum_int(days + us);
    return timestamp_in_range(out->i) ? 0 : timestamp_out_of_range();
}

int
fn_to_timestamp(struct func_call *call, const struct datum *args, struct datum *out)
{
    double s = args[0].f;

    (void)call;
    if (isnan(s))
        return DIAG(ERR_DATETIME_OVERFLOW, "timestamp cannot be NaN");
    if (isinf(s)) {
        *out = datum_int(s < 0 ? TIMESTAMP_NOBEGIN : TIMESTAMP_NOEND);
        return 0;
    }
    s = rint((s - (double)UNIX_EPOCH_US / 1e6) * 1e6);
    if (s < (double)TIMESTAMP_MIN || s >= (double)TIMESTAMP_END)
        return DIAG(ERR_DATETIME_OVERFLOW, "timestamp out of range: \"%g\"", args[0].f);
    *out = datum_int((int64_t)s);
    return 0;
}

/* ---- casts --------------------------------------------------------------------------------- */

/* Between date, timestamp and timestamptz, any to any. */
int
fn_moment_cast(struct func_call *call, const struct datum *args, struct datum *out)
{
    oid_t from = call->func->args[0], to = call->func->result;
    int64_t t = args[0].i;
    int rc = 0;

    if (from == TYPE_DATE)
        rc = date_to_timestamp(t, &t);
    if (rc == 0 && to == TYPE_TIMESTAMPTZ)
        rc = timestamp_to_timestamptz(call->env, t, &t);
    else if (rc == 0 && from == TYPE_TIMESTAMPTZ)
        t = timestamptz_to_local(env_zone(call->env), t);
    if (rc != 0)
        return rc;
    *out = datum_int(to == TYPE_DATE ? timestamp_to_date(t) : t);
    return 0;
}

int
fn_moment_to_time(struct func_call *call, const struct datum *args, struct datum *out)
{
    int64_t t = args[0].i;

    if (!timestamp_is_finite(t)) {
        *out = datum_null();
        return 0;
    }
    if (call->func->args[0] == TYPE_TIMESTAMPTZ)
        t = timestamptz_to_local(env_zone(call->env), t);
    *out = datum_int(into_day(t));
    return 0;
}

int
fn_time_to_interval(struct func_call *call, const struct datum *args, struct datum *out)
{
    *out = interval_make(call->arena, (struct interval){ .us = args[0].i });
    return 0;
}

int
fn_interval_to_time(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = datum_int(into_day(interval_load(&args[0]).us));
    return 0;
}

/* ---- AT TIME ZONE -------------------------------------------------------------------------- */

int
zone_resolve(const struct type_env *env, struct slice name, struct arena *a,
             const struct zone **out)
{
    static const struct {
        const char *name;
        int hours;
    } abbreviations[] = { { "est", -5 }, { "edt", -4 }, { "cst", -6 }, { "cdt", -5 },
                          { "mst", -7 }, { "mdt", -6 }, { "pst", -8 }, { "pdt", -7 },
                          { "cet", 1 },  { "cest", 2 }, { "bst", 1 },  { "jst", 9 } };

    for (size_t i = 0; i < sizeof abbreviations / sizeof abbreviations[0]; i++) {
        if (slice_eq_nocase(name, abbreviations[i].name)) {
            *out = zone_fixed(a, abbreviations[i].hours * 3600);
            return 0;
        }
    }
    if (name.size > 0 &&
        (name.data[0] == '+' || name.data[0] == '-' || ascii_is_digit(name.data[0]))) {
        /* A bare offset here is POSIX's, which counts westward. */
        size_t skip = !ascii_is_digit(name.data[0]);
        char *flipped = arena_alloc(a, name.size + 2);
        flipped[0] = name.data[0] == '-' ? '+' : '-';
        memcpy(flipped + 1, name.data + skip, name.size - skip);
        flipped[1 + name.size - skip] = 0;
        if (zone_load(NULL, a, slice_str(flipped), out) == 0)
            return 0;
    } else if (zone_load(NULL, a, name, out) == 0)
        return 0;
    if (env != NULL && env->zone_by_name != NULL)
        return env->zone_by_name(env->arg, name, out);
    return DIAG(ERR_INVALID_PARAMETER_VALUE, "time zone \"%.*s\" not recognized", SLICE_ARGS(name));
}

enum { SITE_MISSES_MAX = 8 };

struct zone_site {
    struct slice name;
    int misses; /* with names that differ from row to row the site stops keeping them */
    const struct zone *zone;
};

static int
site_zone(struct func_call *call, const struct datum *name, const struct zone **out)
{
    struct arena *a = call->site_arena != NULL ? call->site_arena : call->arena;
    struct zone_site *s = call->site;
    int rc;

    if (s == NULL) {
        s = ARENA_NEW(a, struct zone_site);
        call->site = s;
    }
    if (s->zone != NULL && slice_eq(s->name, datum_view(name))) {
        *out = s->zone;
        return 0;
    }
    if (s->misses >= SITE_MISSES_MAX)
        return zone_resolve(call->env, datum_view(name), call->arena, out);
    s->misses++;
    s->zone = NULL;
    rc = zone_resolve(call->env, datum_view(name), a, out);
    if (rc != 0)
        return rc;
    s->name = slice(arena_strndup(a, (const char *)name->p, name->size), name->size);
    s->zone = *out;
    return 0;
}

/* timezone(zone, t): of a timestamp the moment, of a timestamptz the local time. The zone is text
 * or an interval. */
int
fn_timezone(struct func_call *call, const struct datum *args, struct datum *out)
{
    const struct zone *z = NULL;
    int64_t t = args[1].i;
    int rc = 0;

    *out = datum_int(t);
    if (!timestamp_is_finite(t))
        return 0;
    if (call->func->args[0] == TYPE_INTERVAL) {
        struct interval v = interval_load(&args[0]);
        if (v.months != 0 || v.days != 0)
            return DIAG(ERR_INVALID_PARAMETER_VALUE,
                        "interval time zone \"%s\" must not include months or days",
                        type_out_str(TYPE_INTERVAL, NULL, call->arena, &args[0]));
        if (v.us < -US_PER_DAY || v.us > US_PER_DAY)
            return DIAG(ERR_NOT_SUPPORTED, "time zone displacement out of range");
        z = zone_fixed(call->arena, (int32_t)(v.us / US_PER_SECOND));
    } else {
        rc = site_zone(call, &args[0], &z);
    }
    if (rc != 0)
        return rc;
    if (call->func->args[1] == TYPE_TIMESTAMP)
        return timestamptz_from_local(z, t, &out->i);
    out->i = timestamptz_to_local(z, t);
    return timestamp_in_range(out->i) ? 0 : timestamp_out_of_range();
}
