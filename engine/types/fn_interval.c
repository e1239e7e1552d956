/* Kernels of intervals.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "engine/types/datetime_int.h"
#include "engine/types/func_int.h"

enum { DAYS_PER_MONTH = 30, MONTHS_PER_YEAR = 12 };

static int
add_scaled(const struct datum *args, bool subtract, struct interval *out)
{
    struct interval x = interval_load(&args[0]), y = interval_load(&args[1]);
    bool bad;

    if (subtract)
        bad = __builtin_sub_overflow(x.us, y.us, &out->us) ||
              __builtin_sub_overflow(x.days, y.days, &out->days) ||
              __builtin_sub_overflow(x.months, y.months, &out->months);
    else
        bad = __builtin_add_overflow(x.us, y.us, &out->us) ||
              __builtin_add_overflow(x.days, y.days, &out->days) ||
              __builtin_add_overflow(x.months, y.months, &out->months);
    return bad ? interval_out_of_range() : 0;
}

int
fn_interval_add(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct interval v;
    int rc = add_scaled(args, false, &v);

    if (rc == 0)
        *out = interval_make(call->arena, v);
    return rc;
}

int
fn_interval_sub(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct interval v;
    int rc = add_scaled(args, true, &v);

    if (rc == 0)
        *out = interval_make(call->arena, v);
    return rc;
}

int
fn_interval_neg(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct interval v = interval_load(&args[0]);

    if (v.us == INT64_MIN || v.days == INT32_MIN || v.months == INT32_MIN)
        return interval_out_of_range();
    *out = interval_make(call->arena, (struct interval){ -v.us, -v.days, -v.months });
    return 0;
}

static double
round_us(double days_or_seconds)
{
    return rint(days_or_seconds * 1e6) / 1e6;
}

/* Fractions of months spill into days, fractions of days into time; months count 30 days. */
static int
scale_interval(struct func_call *call, struct interval v, double by, bool divide, struct datum *out)
{
    double months = divide ? v.months / by : v.months * by;
    double days = divide ? v.days / by : v.days * by;
    double month_days, seconds, us;
    struct interval r;

    if (isnan(months) || months > INT32_MAX || months < INT32_MIN || isnan(days) ||
        days > INT32_MAX || days < INT32_MIN)
        return interval_out_of_range();
    r.months = (int32_t)months;
    r.days = (int32_t)days;
    month_days = round_us((months - r.months) * DAYS_PER_MONTH);
    seconds = round_us((days - r.days + month_days - (int)month_days) * 86400.0);
    if (fabs(seconds) >= 86400.0) {
        r.days += (int)(seconds / 86400.0);
        seconds -= (int)(seconds / 86400.0) * 86400.0;
    }
    r.days += (int32_t)month_days;
    us = rint((divide ? (double)v.us / by : (double)v.us * by) + seconds * 1e6);
    if (isnan(us) || us >= 9223372036854775807.0 || us < -9223372036854775808.0)
        return interval_out_of_range();
    r.us = (int64_t)us;
    *out = interval_make(call->arena, r);
    return 0;
}

int
fn_interval_mul(struct func_call *call, const struct datum *args, struct datum *out)
{
    return scale_interval(call, interval_load(&args[0]), args[1].f, false, out);
}

int
fn_mul_interval(struct func_call *call, const struct datum *args, struct datum *out)
{
    return scale_interval(call, interval_load(&args[1]), args[0].f, false, out);
}

int
fn_interval_div(struct func_call *call, const struct datum *args, struct datum *out)
{
    if (args[1].f == 0)
        return DIAG(ERR_DIVISION_BY_ZERO, "division by zero");
    return scale_interval(call, interval_load(&args[0]), args[1].f, true, out);
}

/* ---- justifying ---------------------------------------------------------------------------- */

static bool
hours_to_days(struct interval *v)
{
    int64_t days = v->us / US_PER_DAY;

    v->us -= days * US_PER_DAY;
    if (__builtin_add_overflow(v->days, (int32_t)days, &v->days))
        return false;
    if (v->days > 0 && v->us < 0) {
        v->us += US_PER_DAY;
        v->days--;
    } else if (v->days < 0 && v->us > 0) {
        v->us -= US_PER_DAY;
        v->days++;
    }
    return true;
}

static bool
days_to_months(struct interval *v)
{
    int32_t months = v->days / DAYS_PER_MONTH;

    v->days -= months * DAYS_PER_MONTH;
    if (__builtin_add_overflow(v->months, months, &v->months))
        return false;
    if (v->months > 0 && v->days < 0) {
        v->days += DAYS_PER_MONTH;
        v->months--;
    } else if (v->months < 0 && v->days > 0) {
        v->days -= DAYS_PER_MONTH;
        v->months++;
    }
    return true;
}

int
fn_justify_hours(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct interval v = interval_load(&args[0]);

    if (!hours_to_days(&v))
        return interval_out_of_range();
    *out = interval_make(call->arena, v);
    return 0;
}

int
fn_justify_days(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct interval v = interval_load(&args[0]);

    if (!days_to_months(&v))
        return interval_out_of_range();
    *out = interval_make(call->arena, v);
    return 0;
}

/* All three parts get one sign. */
int
fn_justify_interval(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct interval v = interval_load(&args[0]);
    int64_t whole = v.us / US_PER_DAY;
    bool up, down;

    v.us -= whole * US_PER_DAY;
    if (__builtin_add_overflow(v.days, (int32_t)whole, &v.days))
        return interval_out_of_range();
    whole = v.days / DAYS_PER_MONTH;
    v.days -= (int32_t)whole * DAYS_PER_MONTH;
    if (__builtin_add_overflow(v.months, (int32_t)whole, &v.months))
        return interval_out_of_range();
    up = v.months > 0 && (v.days < 0 || (v.days == 0 && v.us < 0));
    down = v.months < 0 && (v.days > 0 || (v.days == 0 && v.us > 0));
    if (up || down) {
        v.days += up ? DAYS_PER_MONTH : -DAYS_PER_MONTH;
        v.months += up ? -1 : 1;
    }
    if (v.days > 0 && v.us < 0) {
        v.us += US_PER_DAY;
        v.days--;
    } else if (v.days < 0 && v.us > 0) {
        v.us -= US_PER_DAY;
        v.days++;
    }
    *out = interval_make(call->arena, v);
    return 0;
}

/* ---- age ----------------------------------------------------------------------------------- */

/* Years, months, days and time between two local times, as one would count on a calendar: borrowed
 * days are those of the month that the earlier date lies in. */
static struct interval
count_apart(int64_t later, int64_t earlier)
{
    struct civil a, b;
    int64_t us, months, days;
    bool swapped = later < earlier;

    timestamp_to_civil(swapped ? earlier : later, &a);
    timestamp_to_civil(swapped ? later : earlier, &b);
    us = (((a.hour - b.hour) * INT64_C(60) + (a.minute - b.minute)) * 60 + (a.second - b.second)) *
             US_PER_SECOND +
         (a.us - b.us);
    days = a.day - b.day;
    months = ((int64_t)a.year - b.year) * MONTHS_PER_YEAR + (a.month - b.month);
    if (us < 0) {
        us += US_PER_DAY;
        days--;
    }
    while (days < 0) {
        days += days_in_month(b.year, b.month);
        months--;
    }
    if (swapped)
        return (struct interval){ -us, (int32_t)-days, (int32_t)-months };
    return (struct interval){ us, (int32_t)days, (int32_t)months };
}

static int
age_between(struct func_call *call, int64_t later, int64_t earlier, bool with_zone,
            struct datum *out)
{
    if (!timestamp_is_finite(later) || !timestamp_is_finite(earlier))
        return DIAG(ERR_DATETIME_OVERFLOW, "timestamp out of range");
    if (with_zone) {
        later = timestamptz_to_local(env_zone(call->env), later);
        earlier = timestamptz_to_local(env_zone(call->env), earlier);
    }
    *out = interval_make(call->arena, count_apart(later, earlier));
    return 0;
}

int
fn_age(struct func_call *call, const struct datum *args, struct datum *out)
{
    return age_between(call, args[0].i, args[1].i, call->func->args[0] == TYPE_TIMESTAMPTZ, out);
}

/* age(t): from t to the midnight that began today. */
int
fn_age_today(struct func_call *call, const struct datum *args, struct datum *out)
{
    int64_t t = args[0].i, today;

    if (call->env == NULL || call->env->now_transaction == NULL)
        return DIAG(ERR_NOT_SUPPORTED, "the current time is not known here");
    today = timestamp_to_date(
                timestamptz_to_local(call->env->zone, call->env->now_transaction(call->env->arg))) *
            US_PER_DAY;
    if (call->func->args[0] == TYPE_TIMESTAMPTZ)
        t = timestamptz_to_local(call->env->zone, t);
    return age_between(call, today, t, false, out);
}
