/* to_char() of timestamps and intervals.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/datetime_int.h"
#include "engine/types/func_int.h"

enum tc_kind {
    TC_HH12,
    TC_HH24,
    TC_MI,
    TC_SS,
    TC_MS,
    TC_US,
    TC_FF1,
    TC_FF2,
    TC_FF3,
    TC_FF4,
    TC_FF5,
    TC_FF6,
    TC_SSSS,
    TC_AM,
    TC_AM_DOTS,
    TC_Y_YYY,
    TC_YYYY,
    TC_YYY,
    TC_YY,
    TC_Y,
    TC_IYYY,
    TC_IYY,
    TC_IY,
    TC_I,
    TC_BC,
    TC_BC_DOTS,
    TC_MONTH,
    TC_MON,
    TC_MM,
    TC_DAY,
    TC_DY,
    TC_DDD,
    TC_IDDD,
    TC_DD,
    TC_D,
    TC_ID,
    TC_W,
    TC_WW,
    TC_IW,
    TC_CC,
    TC_J,
    TC_Q,
    TC_RM,
    TC_TZ,
    TC_TZH,
    TC_TZM,
    TC_OF,
    TC_FX, /* means something to to_date only */
};

/* Each in upper and in lower case; names also with one capital. Longer before shorter. */
static const struct tc_word {
    const char *word;
    enum tc_kind kind;
} tc_words[] = {
    { "HH24", TC_HH24 },    { "HH12", TC_HH12 },    { "HH", TC_HH12 }, { "MI", TC_MI },
    { "SSSSS", TC_SSSS },   { "SSSS", TC_SSSS },    { "SS", TC_SS },   { "MS", TC_MS },
    { "US", TC_US },        { "FF1", TC_FF1 },      { "FF2", TC_FF2 }, { "FF3", TC_FF3 },
    { "FF4", TC_FF4 },      { "FF5", TC_FF5 },      { "FF6", TC_FF6 }, { "FX", TC_FX },
    { "A.M.", TC_AM_DOTS }, { "P.M.", TC_AM_DOTS }, { "AM", TC_AM },   { "PM", TC_AM },
    { "Y,YYY", TC_Y_YYY },  { "YYYY", TC_YYYY },    { "YYY", TC_YYY }, { "YY", TC_YY },
    { "Y", TC_Y },          { "IYYY", TC_IYYY },    { "IYY", TC_IYY }, { "IY", TC_IY },
    { "IDDD", TC_IDDD },    { "IW", TC_IW },        { "ID", TC_ID },   { "I", TC_I },
    { "B.C.", TC_BC_DOTS }, { "A.D.", TC_BC_DOTS }, { "BC", TC_BC },   { "AD", TC_BC },
    { "MONTH", TC_MONTH },  { "MON", TC_MON },      { "MM", TC_MM },   { "DAY", TC_DAY },
    { "DY", TC_DY },        { "DDD", TC_DDD },      { "DD", TC_DD },   { "D", TC_D },
    { "WW", TC_WW },        { "W", TC_W },          { "CC", TC_CC },   { "J", TC_J },
    { "Q", TC_Q },          { "RM", TC_RM },        { "TZH", TC_TZH }, { "TZM", TC_TZM },
    { "TZ", TC_TZ },        { "OF", TC_OF },
};

enum tc_case { CASE_UPPER, CASE_LOWER, CASE_CAPITAL };

/* What is to be written, of either type. */
struct tc {
    struct writer *w;
    bool is_interval;
    int64_t year, hour; /* the hour of an interval may be any */
    int month, day, minute, second, us;
    int64_t date; /* of a moment */
    int64_t day_of_year;
    int32_t offset;
    const char *zone;
    /* of the word at hand */
    bool no_fill;
    enum tc_case word_case;
};

static void
put_cased(struct tc *t, const char *s, size_t width)
{
    size_t n = strlen(s);

    for (size_t i = 0; i < n; i++) {
        uint8_t c = (uint8_t)s[i];
        bool up = t->word_case == CASE_UPPER || (t->word_case == CASE_CAPITAL && i == 0);
        wr_u8(t->w, up ? ascii_upper(c) : ascii_lower(c));
    }
    for (; n < width && !t->no_fill; n++)
        wr_u8(t->w, ' ');
}

static void
put_number(struct tc *t, int64_t v, int width)
{
    if (v < 0) {
        wr_u8(t->w, '-');
        v = -v;
    }
    if (t->no_fill)
        wr_int(t->w, v);
    else
        wr_int_padded(t->w, v, width);
}

static int64_t
weekday(int64_t date) /* 0 is Monday */
{
    int64_t d = (date + 5) % 7;

    return d < 0 ? d + 7 : d;
}

static int64_t
iso_start(int64_t year)
{
    int64_t fourth = date_from_civil((int32_t)year, 1, 4);

    return fourth - weekday(fourth);
}

static int64_t
iso_year(const struct tc *t)
{
    if (t->date >= iso_start(t->year + 1))
        return t->year + 1;
    return t->date < iso_start(t->year) ? t->year - 1 : t->year;
}

static int64_t
shown_year(const struct tc *t, int64_t year)
{
    return year > 0 || t->is_interval ? year : 1 - year;
}

static void
put_year(struct tc *t, enum tc_kind kind, int64_t year)
{
    int64_t y = shown_year(t, year);

    switch (kind) {
    case TC_Y_YYY:
        wr_int(t->w, y / 1000);
        wr_u8(t->w, ',');
        wr_int_padded(t->w, y % 1000, 3);
        break;
    case TC_YYYY:
    case TC_IYYY:
        put_number(t, y, 4);
        break;
    case TC_YYY:
    case TC_IYY:
        put_number(t, y % 1000, 3);
        break;
    case TC_YY:
    case TC_IY:
        put_number(t, y % 100, 2);
        break;
    default:
        put_number(t, y % 10, 1);
    }
}

static void
put_fraction(struct tc *t, int digits)
{
    static const int units[] = { 0, 100000, 10000, 1000, 100, 10, 1 };

    wr_int_padded(t->w, t->us / units[digits], digits);
}

static void
put_roman(struct tc *t)
{
    static const char *const roman[] = { "I",   "II",   "III", "IV", "V",  "VI",
                                         "VII", "VIII", "IX",  "X",  "XI", "XII" };

    if (t->is_interval && t->month == 0)
        return;
    put_cased(t, roman[(t->month < 1 ? t->month + 11 : t->month - 1) % 12], 4);
}

static int
not_for_intervals(void)
{
    int rc = DIAG(ERR_INVALID_DATETIME, "invalid format specification for an interval value");

    diag_hint("Intervals are not tied to specific calendar dates.");
    return rc;
}

/* Names of months and days, weeks, eras: of moments only. */
static int
put_calendar(struct tc *t, enum tc_kind kind)
{
    static const char *const months[] = { "January",   "February", "March",    "April",
                                          "May",       "June",     "July",     "August",
                                          "September", "October",  "November", "December" };
    static const char *const days[] = { "Monday", "Tuesday",  "Wednesday", "Thursday",
                                        "Friday", "Saturday", "Sunday" };
    char three[4] = { 0 };

    if (t->is_interval)
        return not_for_intervals();
    switch (kind) {
    case TC_BC:
        put_cased(t, t->year <= 0 ? "BC" : "AD", 0);
        break;
    case TC_BC_DOTS:
        put_cased(t, t->year <= 0 ? "B.C." : "A.D.", 0);
        break;
    case TC_MONTH:
        put_cased(t, months[t->month - 1], 9);
        break;
    case TC_MON:
        memcpy(three, months[t->month - 1], 3);
        put_cased(t, three, 0);
        break;
    case TC_DAY:
        put_cased(t, days[weekday(t->date)], 9);
        break;
    case TC_DY:
        memcpy(three, days[weekday(t->date)], 3);
        put_cased(t, three, 0);
        break;
    case TC_D:
        put_number(t, (weekday(t->date) + 1) % 7 + 1, 1);
        break;
    case TC_ID:
        put_number(t, weekday(t->date) + 1, 1);
        break;
    case TC_IDDD:
        put_number(t, t->date - iso_start(iso_year(t)) + 1, 3);
        break;
    case TC_IW:
        put_number(t, (t->date - iso_start(iso_year(t))) / 7 + 1, 2);
        break;
    case TC_TZ:
        put_cased(t, t->zone, 0);
        break;
    case TC_TZH:
        wr_u8(t->w, t->offset < 0 ? '-' : '+');
        wr_int_padded(t->w, (t->offset < 0 ? -t->offset : t->offset) / 3600, 2);
        break;
    case TC_TZM:
        wr_int_padded(t->w, (t->offset < 0 ? -t->offset : t->offset) / 60 % 60, 2);
        break;
    case TC_OF:
        put_offset(t->offset, t->w);
        break;
    default:
        put_year(t, kind, iso_year(t));
    }
    return 0;
}

static int64_t
hour_of_twelve(int64_t hour)
{
    return hour % 12 == 0 ? 12 : hour % 12;
}

/* dispatch */
static int
put_word(struct tc *t, enum tc_kind kind)
{
    switch (kind) {
    case TC_HH12:
        put_number(t, hour_of_twelve(t->hour), 2);
        break;
    case TC_HH24:
        put_number(t, t->hour, 2);
        break;
    case TC_MI:
        put_number(t, t->minute, 2);
        break;
    case TC_SS:
        put_number(t, t->second, 2);
        break;
    case TC_MS:
        put_fraction(t, 3);
        break;
    case TC_US:
        put_fraction(t, 6);
        break;
    case TC_FF1:
    case TC_FF2:
    case TC_FF3:
    case TC_FF4:
    case TC_FF5:
    case TC_FF6:
        put_fraction(t, (int)(kind - TC_FF1) + 1);
        break;
    case TC_SSSS:
        wr_int(t->w, (t->hour * 60 + t->minute) * 60 + t->second);
        break;
    case TC_AM:
        put_cased(t, t->hour % 24 >= 12 ? "PM" : "AM", 0);
        break;
    case TC_AM_DOTS:
        put_cased(t, t->hour % 24 >= 12 ? "P.M." : "A.M.", 0);
        break;
    case TC_Y_YYY:
    case TC_YYYY:
    case TC_YYY:
    case TC_YY:
    case TC_Y:
        put_year(t, kind, t->year);
        break;
    case TC_MM:
        put_number(t, t->month, 2);
        break;
    case TC_DD: /* of these two the sign counts among the places */
        put_number(t, t->day, t->day < 0 ? 1 : 2);
        break;
    case TC_DDD:
        put_number(t, t->day_of_year, t->day_of_year < 0 ? 2 : 3);
        break;
    case TC_W:
        put_number(t, (t->day - 1) / 7 + 1, 1);
        break;
    case TC_WW:
        put_number(t, (t->day_of_year - 1) / 7 + 1, 2);
        break;
    case TC_CC:
        if (t->is_interval)
            put_number(t, t->year / 100, 2);
        else
            put_number(t, t->year > 0 ? (t->year - 1) / 100 + 1 : t->year / 100 - 1, 2);
        break;
    case TC_J:
        wr_int(t->w, t->date + JULIAN_2000);
        break;
    case TC_Q:
        if (t->month > 0)
            put_number(t, (t->month - 1) / 3 + 1, 1);
        break;
    case TC_RM:
        put_roman(t);
        break;
    case TC_FX:
        break;
    default:
        return put_calendar(t, kind);
    }
    return 0;
}

/* The word at p and in which case it stands there. */
static const struct tc_word *
match_word(const uint8_t *p, const uint8_t *end, enum tc_case *word_case)
{
    for (size_t i = 0; i < sizeof tc_words / sizeof tc_words[0]; i++) {
        const char *word = tc_words[i].word;
        size_t n = strlen(word);
        bool upper = true, lower = true, capital;
        if ((size_t)(end - p) < n)
            continue;
        capital = p[0] == (uint8_t)word[0];
        for (size_t k = 0; k < n; k++) {
            uint8_t c = (uint8_t)word[k];
            upper = upper && p[k] == c;
            lower = lower && p[k] == ascii_lower(c);
            capital = capital && (k == 0 || p[k] == ascii_lower(c));
        }
        capital = capital && (tc_words[i].kind == TC_MONTH || tc_words[i].kind == TC_MON ||
                              tc_words[i].kind == TC_DAY || tc_words[i].kind == TC_DY);
        if (!upper && !lower && !capital)
            continue;
        *word_case = upper ? CASE_UPPER : lower ? CASE_LOWER : CASE_CAPITAL;
        return &tc_words[i];
    }
    return NULL;
}

/* The ordinal's ending for the number that was just written. */
static void
put_ordinal(struct tc *t, size_t from, bool upper)
{
    const char *s = "th";
    size_t n = t->w->size - from;
    const uint8_t *p = t->w->data + from;

    if (n == 0 || !ascii_is_digit(p[n - 1]))
        return;
    if (n < 2 || p[n - 2] != '1')
        s = p[n - 1] == '1' ? "st" : p[n - 1] == '2' ? "nd" : p[n - 1] == '3' ? "rd" : "th";
    wr_u8(t->w, upper ? ascii_upper((uint8_t)s[0]) : (uint8_t)s[0]);
    wr_u8(t->w, upper ? ascii_upper((uint8_t)s[1]) : (uint8_t)s[1]);
}

static const uint8_t *
put_quoted(struct tc *t, const uint8_t *p, const uint8_t *end)
{
    for (p++; p < end && *p != '"'; p++) {
        if (*p == '\\' && end - p > 1)
            p++;
        wr_u8(t->w, *p);
    }
    return p < end ? p + 1 : p;
}

static bool
has_prefix(const uint8_t *p, const uint8_t *end, const char *upper)
{
    return end - p >= 2 && ascii_upper(p[0]) == (uint8_t)upper[0] &&
           ascii_upper(p[1]) == (uint8_t)upper[1] && (p[0] >= 'a') == (p[1] >= 'a');
}

static int
put_template(struct tc *t, struct slice format)
{
    const uint8_t *p = format.data, *end = p + format.size;

    while (p < end) {
        const struct tc_word *word;
        const uint8_t *from = p;
        size_t at = t->w->size;
        int rc;
        t->no_fill = false;
        while (has_prefix(p, end, "FM") || has_prefix(p, end, "TM")) {
            t->no_fill |= ascii_upper(*p) == 'F';
            p += 2;
        }
        word = match_word(p, end, &t->word_case);
        if (word == NULL) {
            if (p == end)
                break;
            if (p != from && !ascii_is_alpha(*p) && *p != '"')
                continue; /* a prefix before no word is dropped */
            if (*p == '"') {
                p = put_quoted(t, p, end);
                continue;
            }
            if (*p == '\\' && end - p > 1 && p[1] == '"')
                p++;
            wr_u8(t->w, *p++);
            continue;
        }
        rc = put_word(t, word->kind);
        if (rc != 0)
            return rc;
        p += strlen(word->word);
        if (has_prefix(p, end, "TH")) {
            put_ordinal(t, at, *p == 'T');
            p += 2;
        }
    }
    return 0;
}

static void
tc_from_moment(struct func_call *call, int64_t v, bool with_zone, struct tc *t)
{
    struct civil c;
    const struct zone *z = env_zone(call->env);

    t->zone = "";
    if (with_zone) {
        int64_t s = v / US_PER_SECOND - (v % US_PER_SECOND < 0);
        t->offset = zone_offset_utc(z, s + UNIX_EPOCH_US / US_PER_SECOND, &t->zone);
        v += t->offset * US_PER_SECOND;
    }
    timestamp_to_civil(v, &c);
    t->year = c.year;
    t->month = c.month;
    t->day = c.day;
    t->hour = c.hour;
    t->minute = c.minute;
    t->second = c.second;
    t->us = c.us;
    t->date = timestamp_to_date(v);
    t->day_of_year = t->date - date_from_civil(c.year, 1, 1) + 1;
}

static void
tc_from_interval(struct interval v, struct tc *t)
{
    t->is_interval = true;
    t->zone = "";
    t->year = v.months / 12;
    t->month = v.months % 12;
    t->day = v.days;
    t->hour = v.us / US_PER_HOUR;
    t->minute = (int)(v.us / US_PER_MINUTE % 60);
    t->second = (int)(v.us / US_PER_SECOND % 60);
    t->us = (int)(v.us % US_PER_SECOND);
    if (t->us < 0)
        t->us = -t->us;
    t->day_of_year = (int64_t)v.months * 30 + v.days;
}

int
fn_to_char_moment(struct func_call *call, const struct datum *args, struct datum *out)
{
    oid_t type = call->func->args[0];
    struct writer w;
    struct tc t = { .w = &w };
    int rc;

    *out = datum_null();
    if (args[1].size == 0 || (type != TYPE_INTERVAL && !timestamp_is_finite(args[0].i)))
        return 0;
    if (type == TYPE_INTERVAL)
        tc_from_interval(interval_load(&args[0]), &t);
    else
        tc_from_moment(call, args[0].i, type == TYPE_TIMESTAMPTZ, &t);
    wr_init(&w, TEXT_SIZE_MAX);
    rc = put_template(&t, datum_view(&args[1]));
    if (rc == 0)
        return text_from_writer(call, &w, out);
    wr_fini(&w);
    return rc;
}
