/* The calendar, and the text and binary forms of date, time, timestamp, timestamptz. Reading text
 * is in datetime_in.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/datetime.h"

#include "engine/types/datetime_int.h"

/* ---- calendar ------------------------------------------------------------------------------ */

bool
is_leap_year(int32_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int
days_in_month(int32_t year, int month)
{
    static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

    return days[month - 1] + (month == 2 && is_leap_year(year));
}

/* Years count from March here, so that the leap day is the last of its year. Eras are 400 years of
 * 146,097 days. */
enum { ERA_DAYS = 146097, DAYS_TO_2000_03_01 = 60 };

int32_t
date_from_civil(int32_t year, int month, int day)
{
    int64_t y = (int64_t)year - (month <= 2), era, of_era, of_year, days;

    era = (y >= 0 ? y : y - 399) / 400;
    of_era = y - era * 400;
    of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    days = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    /* 2000-03-01 starts era 5. */
    return (int32_t)((era - 5) * ERA_DAYS + days + DAYS_TO_2000_03_01);
}

void
date_to_civil(int32_t date, struct civil *out)
{
    int64_t z = (int64_t)date - DAYS_TO_2000_03_01, era, of_era, year, of_year, mp;

    era = (z >= 0 ? z : z - (ERA_DAYS - 1)) / ERA_DAYS;
    of_era = z - era * ERA_DAYS;
    year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    of_year = of_era - (365 * year + year / 4 - year / 100);
    mp = (5 * of_year + 2) / 153;
    *out = (struct civil){ .day = (int)(of_year - (153 * mp + 2) / 5 + 1),
                           .month = (int)(mp < 10 ? mp + 3 : mp - 9) };
    out->year = (int32_t)(year + (era + 5) * 400 + (out->month <= 2));
}

static int64_t
floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

void
timestamp_to_civil(int64_t t, struct civil *out)
{
    int64_t days = floor_div(t, US_PER_DAY), us = t - days * US_PER_DAY, s;

    date_to_civil((int32_t)days, out);
    s = us / US_PER_SECOND;
    out->us = (int32_t)(us % US_PER_SECOND);
    out->hour = (int)(s / 3600);
    out->minute = (int)(s / 60 % 60);
    out->second = (int)(s % 60);
}

int
timestamp_out_of_range(void)
{
    return DIAG(ERR_DATETIME_OVERFLOW, "timestamp out of range");
}

int
timestamp_from_civil(const struct civil *c, int64_t *out)
{
    int64_t us = ((c->hour * INT64_C(60) + c->minute) * 60 + c->second) * US_PER_SECOND + c->us, t;

    if (c->year < -4713 || c->year > 294277)
        return timestamp_out_of_range();
    if (__builtin_mul_overflow((int64_t)date_from_civil(c->year, c->month, c->day), US_PER_DAY,
                               &t) ||
        __builtin_add_overflow(t, us, &t) || !timestamp_in_range(t))
        return timestamp_out_of_range();
    *out = t;
    return 0;
}

/* ---- between the types --------------------------------------------------------------------- */

int32_t
zone_offset_at(const struct zone *z, int64_t t)
{
    if (z == NULL)
        return 0;
    return zone_offset_utc(z, floor_div(t, US_PER_SECOND) + UNIX_EPOCH_US / US_PER_SECOND, NULL);
}

int64_t
timestamptz_to_local(const struct zone *z, int64_t t)
{
    return timestamp_is_finite(t) ? t + zone_offset_at(z, t) * US_PER_SECOND : t;
}

int
timestamptz_from_local(const struct zone *z, int64_t local, int64_t *out)
{
    int64_t t = local;

    if (timestamp_is_finite(local) && z != NULL) {
        int64_t s = floor_div(local, US_PER_SECOND) + UNIX_EPOCH_US / US_PER_SECOND;
        if (__builtin_sub_overflow(local, zone_offset_local(z, s) * US_PER_SECOND, &t) ||
            !timestamp_in_range(t))
            return timestamp_out_of_range();
    }
    *out = t;
    return 0;
}

int
timestamp_to_timestamptz(const struct type_env *env, int64_t t, int64_t *out)
{
    return timestamptz_from_local(env_zone(env), t, out);
}

int
date_to_timestamp(int64_t date, int64_t *out)
{
    if (!date_is_finite(date)) {
        *out = date == DATE_NOBEGIN ? TIMESTAMP_NOBEGIN : TIMESTAMP_NOEND;
        return 0;
    }
    if (date >= TIMESTAMP_END / US_PER_DAY)
        return DIAG(ERR_DATETIME_OVERFLOW, "date out of range for timestamp");
    *out = date * US_PER_DAY;
    return 0;
}

int64_t
timestamp_to_date(int64_t t)
{
    if (!timestamp_is_finite(t))
        return t == TIMESTAMP_NOBEGIN ? DATE_NOBEGIN : DATE_NOEND;
    return floor_div(t, US_PER_DAY);
}

/* ---- text out ------------------------------------------------------------------------------ */

static uint8_t *
two_digits(uint8_t *p, int v)
{
    p[0] = (uint8_t)('0' + v / 10 % 10);
    p[1] = (uint8_t)('0' + v % 10);
    return p + 2;
}

void
put_date(int32_t date, struct writer *w, bool *is_bc)
{
    struct civil c;
    uint8_t buf[6], *p = buf;

    date_to_civil(date, &c);
    *is_bc = c.year <= 0;
    wr_int_padded(w, *is_bc ? 1 - (int64_t)c.year : c.year, 4);
    *p++ = '-';
    p = two_digits(p, c.month);
    *p++ = '-';
    two_digits(p, c.day);
    wr_bytes(w, buf, 6);
}

void
put_time(int64_t us_of_day, struct writer *w)
{
    uint8_t buf[16], *p = buf;
    int64_t s = us_of_day / US_PER_SECOND;
    int us = (int)(us_of_day % US_PER_SECOND);

    p = two_digits(p, (int)(s / 3600));
    *p++ = ':';
    p = two_digits(p, (int)(s / 60 % 60));
    *p++ = ':';
    p = two_digits(p, (int)(s % 60));
    if (us != 0) {
        *p++ = '.';
        p = two_digits(p, us / 10000);
        p = two_digits(p, us / 100 % 100);
        p = two_digits(p, us % 100);
        while (p[-1] == '0')
            p--;
    }
    wr_bytes(w, buf, (size_t)(p - buf));
}

void
put_offset(int32_t seconds_east, struct writer *w)
{
    int32_t v = seconds_east < 0 ? -seconds_east : seconds_east;

    wr_u8(w, seconds_east < 0 ? '-' : '+');
    wr_int_padded(w, v / 3600, 2);
    if (v % 3600 != 0) {
        wr_u8(w, ':');
        wr_int_padded(w, v / 60 % 60, 2);
    }
    if (v % 60 != 0) {
        wr_u8(w, ':');
        wr_int_padded(w, v % 60, 2);
    }
}

void
date_out(const struct type *t, const struct type_env *env, const struct datum *d, struct writer *w)
{
    bool is_bc;

    (void)t, (void)env;
    if (!date_is_finite(d->i)) {
        wr_str(w, d->i == DATE_NOBEGIN ? "-infinity" : "infinity");
        return;
    }
    put_date((int32_t)d->i, w, &is_bc);
    if (is_bc)
        wr_str(w, " BC");
}

void
time_out(const struct type *t, const struct type_env *env, const struct datum *d, struct writer *w)
{
    (void)t, (void)env;
    put_time(d->i, w);
}

void
timestamp_out(const struct type *t, const struct type_env *env, const struct datum *d,
              struct writer *w)
{
    int64_t local = d->i, days;
    int32_t offset = 0;
    bool is_bc;

    if (!timestamp_is_finite(d->i)) {
        wr_str(w, d->i == TIMESTAMP_NOBEGIN ? "-infinity" : "infinity");
        return;
    }
    if (t->oid == TYPE_TIMESTAMPTZ) {
        offset = zone_offset_at(env_zone(env), d->i);
        local += offset * US_PER_SECOND;
    }
    days = floor_div(local, US_PER_DAY);
    put_date((int32_t)days, w, &is_bc);
    wr_u8(w, ' ');
    put_time(local - days * US_PER_DAY, w);
    if (t->oid == TYPE_TIMESTAMPTZ)
        put_offset(offset, w);
    if (is_bc)
        wr_str(w, " BC");
}

/* ---- binary -------------------------------------------------------------------------------- */

static int
bad_binary(const struct type *t)
{
    return DIAG(ERR_INVALID_BINARY, "incorrect binary data format for type %s", t->sql_name);
}

int
date_recv(const struct type *t, const struct type_env *env, struct arena *a, struct slice bytes,
          int32_t typmod, struct datum *out)
{
    int32_t v;

    (void)env, (void)a, (void)typmod;
    if (bytes.size != 4)
        return bad_binary(t);
    v = (int32_t)load_u32_be(bytes.data);
    if (date_is_finite(v) && (v < DATE_MIN || v >= DATE_END))
        return DIAG(ERR_DATETIME_OVERFLOW, "date out of range");
    *out = datum_int(v);
    return 0;
}

int
time_recv(const struct type *t, const struct type_env *env, struct arena *a, struct slice bytes,
          int32_t typmod, struct datum *out)
{
    struct datum d;

    (void)env;
    if (bytes.size != 8)
        return bad_binary(t);
    d = datum_int((int64_t)load_u64_be(bytes.data));
    if (d.i < 0 || d.i > US_PER_DAY)
        return DIAG(ERR_DATETIME_OVERFLOW, "time out of range");
    return type_coerce_typmod(t->oid, typmod, false, a, &d, out);
}

int
timestamp_recv(const struct type *t, const struct type_env *env, struct arena *a,
               struct slice bytes, int32_t typmod, struct datum *out)
{
    struct datum d;

    (void)env;
    if (bytes.size != 8)
        return bad_binary(t);
    d = datum_int((int64_t)load_u64_be(bytes.data));
    if (timestamp_is_finite(d.i) && !timestamp_in_range(d.i))
        return timestamp_out_of_range();
    return type_coerce_typmod(t->oid, typmod, false, a, &d, out);
}
