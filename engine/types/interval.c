/* interval: text, order, arithmetic.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "engine/types/datetime.h"
#include "engine/types/datetime_int.h"

enum { INTERVAL_SIZE = 16, DAYS_PER_MONTH = 30, MONTHS_PER_YEAR = 12 };

struct interval
interval_load(const struct datum *d)
{
    struct interval v = { 0 };

    if (d->size == INTERVAL_SIZE) {
        v.us = (int64_t)load_u64(d->p);
        v.days = (int32_t)load_u32(d->p + 8);
        v.months = (int32_t)load_u32(d->p + 12);
    }
    return v;
}

struct datum
interval_make(struct arena *a, struct interval v)
{
    uint8_t *p = arena_alloc(a, INTERVAL_SIZE);

    store_u64(p, (uint64_t)v.us);
    store_u32(p + 8, (uint32_t)v.days);
    store_u32(p + 12, (uint32_t)v.months);
    return datum_bytes(p, INTERVAL_SIZE);
}

__int128
interval_span(struct interval v)
{
    return (__int128)v.us + ((__int128)v.months * DAYS_PER_MONTH + v.days) * (__int128)US_PER_DAY;
}

int
cmp_interval(const struct type *t, const struct datum *a, const struct datum *b)
{
    __int128 x = interval_span(interval_load(a)), y = interval_span(interval_load(b));

    (void)t;
    return x < y ? -1 : x > y;
}

uint64_t
hash_interval(const struct type *t, const struct datum *d)
{
    __int128 x = interval_span(interval_load(d));

    (void)t;
    return mix64((uint64_t)x ^ mix64((uint64_t)(x >> 64)));
}

int
interval_out_of_range(void)
{
    return DIAG(ERR_DATETIME_OVERFLOW, "interval out of range");
}

/* ---- text out ------------------------------------------------------------------------------ */

struct part_state {
    bool is_first, was_negative;
};

static void
put_part(struct writer *w, struct part_state *s, int64_t v, const char *unit)
{
    if (v == 0)
        return;
    if (!s->is_first)
        wr_u8(w, ' ');
    if (s->was_negative && v > 0)
        wr_u8(w, '+');
    wr_int(w, v);
    wr_u8(w, ' ');
    wr_str(w, unit);
    if (v != 1)
        wr_u8(w, 's');
    s->was_negative = v < 0;
    s->is_first = false;
}

void
interval_format(struct interval v, struct writer *w)
{
    struct part_state s = { .is_first = true };
    uint64_t us = v.us < 0 ? -(uint64_t)v.us : (uint64_t)v.us;
    uint64_t hours = us / US_PER_HOUR;

    put_part(w, &s, v.months / MONTHS_PER_YEAR, "year");
    put_part(w, &s, v.months % MONTHS_PER_YEAR, "mon");
    put_part(w, &s, v.days, "day");
    if (!s.is_first && v.us == 0)
        return;
    if (!s.is_first)
        wr_u8(w, ' ');
    if (v.us < 0)
        wr_u8(w, '-');
    else if (s.was_negative)
        wr_u8(w, '+');
    if (hours >= 24) {
        uint8_t buf[32];
        struct writer rest;
        wr_int_padded(w, (int64_t)hours, 2);
        wr_init_fixed(&rest, buf, sizeof buf);
        put_time((int64_t)(us % US_PER_HOUR), &rest);
        wr_bytes(w, buf + 2, rest.size - 2);
    } else {
        put_time((int64_t)us, w);
    }
}

void
interval_out(const struct type *t, const struct type_env *env, const struct datum *d,
             struct writer *w)
{
    (void)t, (void)env;
    interval_format(interval_load(d), w);
}

/* ---- text in ------------------------------------------------------------------------------- */

enum unit { U_US, U_MONTHS, U_DAYS };

static const struct unit_name {
    const char *name;
    enum unit unit;
    int64_t factor;

} unit_names[] = {
    { "microsecond", U_US, 1 },
    { "us", U_US, 1 },
    { "usec", U_US, 1 },
    { "usecs", U_US, 1 },
    { "millisecond", U_US, 1000 },
    { "ms", U_US, 1000 },
    { "msec", U_US, 1000 },
    { "msecs", U_US, 1000 },
    { "s", U_US, US_PER_SECOND },
    { "sec", U_US, US_PER_SECOND },
    { "secs", U_US, US_PER_SECOND },
    { "second", U_US, US_PER_SECOND },
    { "m", U_US, US_PER_MINUTE },
    { "min", U_US, US_PER_MINUTE },
    { "mins", U_US, US_PER_MINUTE },
    { "minute", U_US, US_PER_MINUTE },
    { "h", U_US, US_PER_HOUR },
    { "hr", U_US, US_PER_HOUR },
    { "hrs", U_US, US_PER_HOUR },
    { "hour", U_US, US_PER_HOUR },
    { "d", U_DAYS, 1 },
    { "day", U_DAYS, 1 },
    { "w", U_DAYS, 7 },
    { "week", U_DAYS, 7 },
    { "mon", U_MONTHS, 1 },
    { "mons", U_MONTHS, 1 },
    { "month", U_MONTHS, 1 },
    { "y", U_MONTHS, 12 },
    { "yr", U_MONTHS, 12 },
    { "yrs", U_MONTHS, 12 },
    { "year", U_MONTHS, 12 },
    { "dec", U_MONTHS, 120 },
    { "decs", U_MONTHS, 120 },
    { "decade", U_MONTHS, 120 },
    { "c", U_MONTHS, 1200 },
    { "cent", U_MONTHS, 1200 },
    { "century", U_MONTHS, 1200 },
    { "centuries", U_MONTHS, 1200 },
    { "mil", U_MONTHS, 12000 },
    { "mils", U_MONTHS, 12000 },
    { "millennium", U_MONTHS, 12000 },
    { "millennia", U_MONTHS, 12000 },
};

static const struct unit_name *
unit_find(struct slice word)
{
    size_t count = sizeof unit_names / sizeof unit_names[0];

    for (int plural = 0; plural < 2; plural++) {
        for (size_t i = 0; i < count; i++) {
            if (slice_eq_nocase(word, unit_names[i].name))
                return &unit_names[i];
        }
        if (word.size <= 3 || ascii_lower(word.data[word.size - 1]) != 's')
            break;
        word.size--;
    }
    return NULL;
}

struct iv_scan {
    const uint8_t *at, *end;
    struct interval v;
    bool overflow, any;
    int64_t seen[16]; /* units given: factors, days and months apart by sign and offset */
    int seen_count;
    bool overflow_months; /* of years that were given right but make too many months */
};

static void
iv_add_us(struct iv_scan *s, double us)
{
    us = rint(us);
    if (us >= 9.2233720368547758e18 || us < -9.2233720368547758e18 ||
        __builtin_add_overflow(s->v.us, (int64_t)us, &s->v.us))
        s->overflow = true;
}

static void
iv_add_days(struct iv_scan *s, int64_t days)
{
    if (days > INT32_MAX || days < INT32_MIN ||
        __builtin_add_overflow(s->v.days, (int32_t)days, &s->v.days))
        s->overflow = true;
}

/* whole and fraction have one sign. */
static void
iv_add(struct iv_scan *s, int64_t whole, double fraction, enum unit unit, int64_t factor)
{
    int64_t v;

    s->any = true;
    if (__builtin_mul_overflow(whole, factor, &v)) {
        s->overflow = true;
    } else if (unit == U_US) {
        if (__builtin_add_overflow(s->v.us, v, &s->v.us))
            s->overflow = true;
        iv_add_us(s, fraction * (double)factor);
    } else if (unit == U_DAYS) {
        double days = fraction * (double)factor, cut = trunc(days);
        iv_add_days(s, v);
        iv_add_days(s, (int64_t)cut);
        iv_add_us(s, (days - cut) * (double)US_PER_DAY);
    } else {
        double months = fraction * (double)factor, cut;
        if (factor > 1) { /* of years and more: whole months */
            cut = rint(months);
            months = 0;
        } else {
            cut = trunc(months);
            months -= cut;
        }
        if (v > INT32_MAX || v < INT32_MIN ||
            __builtin_add_overflow(s->v.months, (int32_t)v, &s->v.months) ||
            __builtin_add_overflow(s->v.months, (int32_t)cut, &s->v.months)) {
            if (factor == MONTHS_PER_YEAR && whole == (int32_t)whole)
                s->overflow_months = true;
            else
                s->overflow = true;
        }
        if (months != 0) {
            double days = months * DAYS_PER_MONTH, whole_days = trunc(days);
            iv_add_days(s, (int64_t)whole_days);
            iv_add_us(s, (days - whole_days) * (double)US_PER_DAY);
        }
    }
}

static void
iv_space(struct iv_scan *s)
{
    while (s->at < s->end && (ascii_is_space(*s->at) || *s->at == ','))
        s->at++;
}

/* Each unit may be given once. */
static bool
iv_seen(struct iv_scan *s, const struct unit_name *u)
{
    int64_t id = u->unit == U_US ? u->factor : u->unit == U_DAYS ? -u->factor : -1000 - u->factor;

    for (int i = 0; i < s->seen_count; i++) {
        if (s->seen[i] == id)
            return true;
    }
    if (s->seen_count < 16)
        s->seen[s->seen_count++] = id;
    return false;
}

/* [sign] digits [. digits]. False when there is no number. */
static bool
iv_number(struct iv_scan *s, bool *neg, int64_t *whole, double *fraction)
{
    int digits;
    double unit = 1;

    *neg = false;
    *fraction = 0;
    if (s->at < s->end && (*s->at == '-' || *s->at == '+'))
        *neg = *s->at++ == '-';
    digits = scan_digits(&s->at, s->end, 18, whole);
    for (; s->at < s->end && ascii_is_digit(*s->at); s->at++) {
        if (__builtin_mul_overflow(*whole, (int64_t)10, whole) ||
            __builtin_add_overflow(*whole, (int64_t)(*s->at - '0'), whole)) {
            s->overflow = true;
            *whole = 0;
        }
    }
    if (s->at < s->end && *s->at == '.') {
        double v = 0;
        for (s->at++; s->at < s->end && ascii_is_digit(*s->at); s->at++, digits++) {
            v = v * 10 + (*s->at - '0');
            unit *= 10;
        }
        *fraction = v / unit;
    }
    if (*neg) {
        *whole = -*whole;
        *fraction = -*fraction;
    }
    return digits > 0;
}

/* After "hh:"; everything has the sign of the hours. */
static bool
iv_clock(struct iv_scan *s, int64_t hours, bool neg)
{
    int64_t m, sec = 0;
    double fraction = 0, sign = neg ? -1 : 1;
    bool ignored;

    s->at++;
    if (scan_digits(&s->at, s->end, 9, &m) == 0)
        return false;
    if (s->at < s->end && *s->at == '.') { /* mm:ss.f */
        if (hours > 59 || hours < -59)
            return false;
        sec = m;
        m = hours < 0 ? -hours : hours;
        hours = 0;
        s->at--;
        while (ascii_is_digit(*s->at))
            s->at--;
        s->at++;
        if (!iv_number(s, &ignored, &sec, &fraction))
            return false;
    } else if (s->at < s->end && *s->at == ':') {
        s->at++;
        if (s->at == s->end || !ascii_is_digit(*s->at) || !iv_number(s, &ignored, &sec, &fraction))
            return false;
    }
    if (m > 59 || sec > 60) {
        s->any = s->overflow = true;
        return true;
    }
    iv_add(s, hours, 0, U_US, US_PER_HOUR);
    iv_add(s, neg ? -m : m, 0, U_US, US_PER_MINUTE);
    iv_add(s, neg ? -sec : sec, sign * fraction, U_US, US_PER_SECOND);
    return true;
}

/* P1Y2M3DT4H5M6S and P1W. */
static bool
iv_iso(struct iv_scan *s)
{
    bool in_time = false, neg;
    int64_t whole;
    double fraction;

    for (s->at++; s->at < s->end;) {
        uint8_t c;
        if (*s->at == 'T') {
            in_time = true;
            s->at++;
            continue;
        }
        if (!iv_number(s, &neg, &whole, &fraction) || s->at == s->end)
            return false;
        c = *s->at++;
        if (!in_time && (c == 'Y' || c == 'M'))
            iv_add(s, whole, fraction, U_MONTHS, c == 'Y' ? MONTHS_PER_YEAR : 1);
        else if (!in_time && (c == 'W' || c == 'D'))
            iv_add(s, whole, fraction, U_DAYS, c == 'W' ? 7 : 1);
        else if (in_time && (c == 'H' || c == 'M' || c == 'S'))
            iv_add(s, whole, fraction, U_US,
                   c == 'H'   ? US_PER_HOUR
                   : c == 'M' ? US_PER_MINUTE
                              : US_PER_SECOND);
        else
            return false;
    }
    return s->any;
}

static bool
iv_words(struct iv_scan *s)
{
    bool is_ago = false;

    for (iv_space(s); s->at < s->end; iv_space(s)) {
        const uint8_t *from = s->at;
        const struct unit_name *u;
        int64_t whole;
        double fraction;
        bool neg;
        if (*s->at == '@') {
            s->at++;
            continue;
        }
        if (ascii_is_alpha(*s->at)) {
            while (s->at < s->end && ascii_is_alpha(*s->at))
                s->at++;
            if (!slice_eq_nocase(slice(from, (size_t)(s->at - from)), "ago") || !s->any)
                return false;
            is_ago = true;
            continue;
        }
        if (!iv_number(s, &neg, &whole, &fraction))
            return false;
        if (s->at < s->end && *s->at == ':') {
            if (!iv_clock(s, whole, neg))
                return false;
            continue;
        }
        if (s->at < s->end && *s->at == '-') { /* years-months */
            int64_t months;
            s->at++;
            if (scan_digits(&s->at, s->end, 2, &months) == 0 || months >= MONTHS_PER_YEAR)
                return false;
            if (s->at < s->end && !ascii_is_space(*s->at))
                return false;
            iv_add(s, whole, 0, U_MONTHS, MONTHS_PER_YEAR);
            iv_add(s, neg ? -months : months, 0, U_MONTHS, 1);
            continue;
        }
        while (s->at < s->end && ascii_is_space(*s->at))
            s->at++;
        for (from = s->at; s->at < s->end && ascii_is_alpha(*s->at);)
            s->at++;
        u = unit_find(slice(from, (size_t)(s->at - from)));
        if (u == NULL && s->at != from)
            return false;
        if (u == NULL) /* a bare number: days before a time, else seconds */
            u = s->at < s->end && !s->any ? unit_find(slice_str("day")) : unit_find(slice_str("s"));
        if (iv_seen(s, u))
            return false;
        iv_add(s, whole, fraction, u->unit, u->factor);
    }
    if (is_ago) {
        s->overflow |= s->v.us == INT64_MIN || s->v.days == INT32_MIN || s->v.months == INT32_MIN;
        if (!s->overflow)
            s->v = (struct interval){ -s->v.us, -s->v.days, -s->v.months };
    }
    return s->any;
}

int
interval_parse(struct slice text, struct interval *out)
{
    struct slice body = slice_trim_space(text);
    struct iv_scan s = { .at = body.data, .end = body.data + body.size };
    bool ok = body.size > 0 && body.size < 256;

    if (ok)
        ok = *s.at == 'P' ? iv_iso(&s) : iv_words(&s);
    if (!ok)
        return DIAG(ERR_INVALID_DATETIME, "invalid input syntax for type interval: \"%.*s\"",
                    SLICE_ARGS(text));
    if (s.overflow)
        return DIAG(ERR_INTERVAL_OVERFLOW, "interval field value out of range: \"%.*s\"",
                    SLICE_ARGS(text));
    if (s.overflow_months)
        return interval_out_of_range();
    *out = s.v;
    return 0;
}

int
interval_in(const struct type *t, const struct type_env *env, struct arena *a, struct slice text,
            int32_t typmod, struct datum *out)
{
    struct interval v;
    int rc = interval_parse(text, &v);

    (void)t, (void)env, (void)typmod;
    if (rc == 0)
        *out = interval_make(a, v);
    return rc;
}

/* ---- binary: i64 microseconds, i32 days, i32 months ---------------------------------------- */

int
interval_recv(const struct type *t, const struct type_env *env, struct arena *a, struct slice bytes,
              int32_t typmod, struct datum *out)
{
    struct interval v;

    (void)env, (void)typmod;
    if (bytes.size != INTERVAL_SIZE)
        return DIAG(ERR_INVALID_BINARY, "incorrect binary data format for type %s", t->sql_name);
    v.us = (int64_t)load_u64_be(bytes.data);
    v.days = (int32_t)load_u32_be(bytes.data + 8);
    v.months = (int32_t)load_u32_be(bytes.data + 12);
    *out = interval_make(a, v);
    return 0;
}

void
interval_send(const struct type *t, const struct type_env *env, const struct datum *d,
              struct writer *w)
{
    struct interval v = interval_load(d);

    (void)t, (void)env;
    wr_u64_be(w, (uint64_t)v.us);
    wr_u32_be(w, (uint32_t)v.days);
    wr_u32_be(w, (uint32_t)v.months);
}

/* ---- adding to moments --------------------------------------------------------------------- */

/* Months move the date and keep the day, or the month's last day if it has no such day. */
static int
add_months_days(int64_t *t, int32_t months, int32_t days)
{
    struct civil c;
    int64_t at, day;

    if (months != 0) {
        timestamp_to_civil(*t, &c);
        at = (int64_t)c.year * MONTHS_PER_YEAR + (c.month - 1) + months;
        c.year = (int32_t)(at / MONTHS_PER_YEAR - (at % MONTHS_PER_YEAR < 0));
        c.month = (int)(at - (int64_t)c.year * MONTHS_PER_YEAR) + 1;
        if (c.day > days_in_month(c.year, c.month))
            c.day = days_in_month(c.year, c.month);
        if (timestamp_from_civil(&c, t) != 0)
            return timestamp_out_of_range();
    }
    if (__builtin_mul_overflow((int64_t)days, US_PER_DAY, &day) ||
        __builtin_add_overflow(*t, day, t) || !timestamp_in_range(*t))
        return timestamp_out_of_range();
    return 0;
}

int
timestamp_add_interval(int64_t t, struct interval v, int64_t *out)
{
    *out = t;
    if (!timestamp_is_finite(t))
        return 0;
    if ((v.months != 0 || v.days != 0) && add_months_days(out, v.months, v.days) != 0)
        return timestamp_out_of_range();
    if (__builtin_add_overflow(*out, v.us, out) || !timestamp_in_range(*out))
        return timestamp_out_of_range();
    return 0;
}

/* Months and days move the local wall clock, hours the moment itself. */
int
timestamptz_add_interval(const struct zone *z, int64_t t, struct interval v, int64_t *out)
{
    *out = t;
    if (!timestamp_is_finite(t))
        return 0;
    if (v.months != 0 || v.days != 0) {
        int64_t local = timestamptz_to_local(z, t);
        if (v.months != 0 && (add_months_days(&local, v.months, 0) != 0 ||
                              timestamptz_from_local(z, local, &t) != 0))
            return timestamp_out_of_range();
        local = timestamptz_to_local(z, t);
        if (v.days != 0 &&
            (add_months_days(&local, 0, v.days) != 0 || timestamptz_from_local(z, local, &t) != 0))
            return timestamp_out_of_range();
    }
    if (__builtin_add_overflow(t, v.us, out) || !timestamp_in_range(*out))
        return timestamp_out_of_range();
    return 0;
}
