/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/zone.h"

#include <stdio.h>

#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/types/datetime.h"
#include "engine/types/datetime_int.h"
#include "engine/types/text_int.h"

enum { ZONE_NAME_MAX = 63, ABBR_MAX = 12, ZONE_FILE_MAX = 1 << 20, ZONE_TYPES_MAX = 256 };

struct zone_type {
    int32_t offset; /* seconds east */
    bool is_dst;
    char abbr[ABBR_MAX];
};

/* When a POSIX rule switches: Mm.w.d, Jn or n, at a local time. */
struct zone_rule {
    char kind; /* 'M', 'J', 'n' */
    int month, week, day;
    int32_t time; /* seconds after local midnight; may be negative or past a day */
};

struct zone {
    char name[ZONE_NAME_MAX + 1];
    /* Transitions: from at[i] on, types[index[i]] holds; before the first, types[first_type]. */
    uint32_t count, type_count;
    uint8_t first_type;
    int64_t *at;
    uint8_t *index;
    struct zone_type *types;
    /* After the last transition, and everything when there is none. */
    bool has_rule, has_dst;
    struct zone_type rule_std, rule_dst;
    struct zone_rule to_dst, to_std;
};

/* ---- POSIX rules: CET-1CEST,M3.5.0,M10.5.0/3 ----------------------------------------------- */

static bool
rule_name(const uint8_t **at, const uint8_t *end, char abbr[ABBR_MAX])
{
    const uint8_t *p = *at, *from;
    size_t size;

    if (p < end && *p == '<') {
        for (from = ++p; p < end && *p != '>';)
            p++;
        if (p == end)
            return false;
        size = (size_t)(p++ - from);
    } else {
        for (from = p; p < end && ascii_is_alpha(*p);)
            p++;
        size = (size_t)(p - from);
        if (size < 3)
            return false;
    }
    if (size == 0 || size >= ABBR_MAX)
        return false;
    memcpy(abbr, from, size);
    abbr[size] = 0;
    *at = p;
    return true;
}

/* [+-]hh[:mm[:ss]] in seconds. */
static bool
rule_time(const uint8_t **at, const uint8_t *end, int32_t *out)
{
    const uint8_t *p = *at;
    int64_t h, m = 0, s = 0;
    bool neg = false;

    if (p < end && (*p == '+' || *p == '-'))
        neg = *p++ == '-';
    if (scan_digits(&p, end, 3, &h) == 0 || h > 167)
        return false;
    if (p < end && *p == ':') {
        p++;
        if (scan_digits(&p, end, 2, &m) == 0 || m > 59)
            return false;
        if (p < end && *p == ':') {
            p++;
            if (scan_digits(&p, end, 2, &s) == 0 || s > 59)
                return false;
        }
    }
    *out = (int32_t)((h * 60 + m) * 60 + s) * (neg ? -1 : 1);
    *at = p;
    return true;
}

static bool
rule_date(const uint8_t **at, const uint8_t *end, struct zone_rule *r)
{
    const uint8_t *p = *at;
    int64_t v;

    *r = (struct zone_rule){ .kind = 'n', .time = 7200 };
    if (p == end || *p++ != ',' || p == end)
        return false;
    if (*p == 'M') {
        int *fields[3] = { &r->month, &r->week, &r->day };
        r->kind = 'M';
        for (int i = 0; i < 3; i++) {
            p++; /* M or a point */
            if (p >= end || scan_digits(&p, end, 2, &v) == 0 || (i < 2 && (p == end || *p != '.')))
                return false;
            *fields[i] = (int)v;
        }
        if (r->month < 1 || r->month > 12 || r->week < 1 || r->week > 5 || r->day > 6)
            return false;
    } else {
        if (*p == 'J') {
            r->kind = 'J';
            p++;
        }
        if (scan_digits(&p, end, 3, &v) == 0 || v > 365 || (r->kind == 'J' && v == 0))
            return false;
        r->day = (int)v;
    }
    if (p < end && *p == '/') {
        p++;
        if (!rule_time(&p, end, &r->time))
            return false;
    }
    *at = p;
    return true;
}

static bool
zone_parse_rule(struct zone *z, struct slice text)
{
    const uint8_t *p = text.data, *end = p + text.size;
    int32_t west;

    if (!rule_name(&p, end, z->rule_std.abbr) || !rule_time(&p, end, &west) || west > 24 * 3600 ||
        west < -24 * 3600)
        return false;
    z->rule_std.offset = -west;
    z->has_rule = true;
    if (p == end)
        return true;
    if (!rule_name(&p, end, z->rule_dst.abbr))
        return false;
    z->rule_dst.offset = z->rule_std.offset + 3600;
    z->rule_dst.is_dst = true;
    if (p < end && *p != ',') {
        if (!rule_time(&p, end, &west) || west > 24 * 3600 || west < -24 * 3600)
            return false;
        z->rule_dst.offset = -west;
    }
    z->has_dst = true;
    if (p == end) { /* the United States' rule by default */
        static const char usual[] = ",M3.2.0,M11.1.0";
        p = (const uint8_t *)usual;
        end = p + sizeof usual - 1;
    }
    return rule_date(&p, end, &z->to_dst) && rule_date(&p, end, &z->to_std) && p == end;
}

/* The local second, since 1970, of the switch in a year. */
static int64_t
rule_moment(const struct zone_rule *r, int32_t year)
{
    int64_t day0 = date_from_civil(year, 1, 1), day = 0;

    if (r->kind == 'M') {
        int64_t first = date_from_civil(year, r->month, 1);
        int weekday = (int)(((first + 6) % 7 + 7) % 7); /* 2000-01-01 was a Saturday */
        day = first + (r->day - weekday + 7) % 7 + (r->week - 1) * 7;
        if (day >= first + days_in_month(year, r->month))
            day -= 7;
    } else if (r->kind == 'J') {
        day = day0 + r->day - 1 + (is_leap_year(year) && r->day >= 60);
    } else {
        day = day0 + r->day;
    }
    return (day + UNIX_EPOCH_US / US_PER_DAY) * 86400 + r->time;
}

static const struct zone_type *
rule_at(const struct zone *z, int64_t unix_s)
{
    int64_t local = unix_s + z->rule_std.offset, days, start, end;
    struct civil c;

    if (!z->has_dst)
        return &z->rule_std;
    days = local / 86400 - (local % 86400 < 0) - UNIX_EPOCH_US / US_PER_DAY;
    if (days < DATE_MIN || days >= DATE_END)
        return &z->rule_std;
    date_to_civil((int32_t)days, &c);
    start = rule_moment(&z->to_dst, c.year) - z->rule_std.offset;
    end = rule_moment(&z->to_std, c.year) - z->rule_dst.offset;
    if (start < end)
        return unix_s >= start && unix_s < end ? &z->rule_dst : &z->rule_std;
    return unix_s >= start || unix_s < end ? &z->rule_dst : &z->rule_std;
}

/* ---- lookups ------------------------------------------------------------------------------- */

const char *
zone_name(const struct zone *z)
{
    return z == NULL ? "UTC" : z->name;
}

static const struct zone_type *
zone_type_at(const struct zone *z, int64_t unix_s)
{
    uint32_t low = 0, high = z->count; /* at[low - 1] <= unix_s < at[high] */

    if (z->count == 0 || unix_s >= z->at[z->count - 1]) {
        if (z->has_rule)
            return rule_at(z, unix_s);
        return z->count == 0 ? &z->types[z->first_type] : &z->types[z->index[z->count - 1]];
    }
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (z->at[mid] <= unix_s)
            low = mid + 1;
        else
            high = mid;
    }
    return low == 0 ? &z->types[z->first_type] : &z->types[z->index[low - 1]];
}

int32_t
zone_offset_utc(const struct zone *z, int64_t unix_s, const char **abbr)
{
    const struct zone_type *t = z == NULL ? NULL : zone_type_at(z, unix_s);

    if (abbr != NULL)
        *abbr = t == NULL ? "UTC" : t->abbr;
    return t == NULL ? 0 : t->offset;
}

int32_t
zone_offset_local(const struct zone *z, int64_t local_s)
{
    int32_t before, after;
    bool before_fits, after_fits;

    if (z == NULL)
        return 0;
    before = zone_type_at(z, local_s - 86400)->offset;
    after = zone_type_at(z, local_s + 86400)->offset;
    if (before == after)
        return before;
    before_fits = zone_type_at(z, local_s - before)->offset == before;
    after_fits = zone_type_at(z, local_s - after)->offset == after;
    if (before_fits != after_fits)
        return before_fits ? before : after;
    /* Both: the hour that comes twice, the later one. Neither: the hour that does not come. */
    return before_fits ? after : before;
}

/* ---- compiled zone files (RFC 8536) -------------------------------------------------------- */

struct tzif_head {
    uint32_t isut, isstd, leap, time, type, chars;
    uint8_t version;
};

static bool
tzif_read_head(struct reader *r, struct tzif_head *h)
{
    if (rd_u32_be(r) != 0x545a6966) /* "TZif" */
        return false;
    h->version = rd_u8(r);
    rd_bytes(r, 15);
    h->isut = rd_u32_be(r);
    h->isstd = rd_u32_be(r);
    h->leap = rd_u32_be(r);
    h->time = rd_u32_be(r);
    h->type = rd_u32_be(r);
    h->chars = rd_u32_be(r);
    return rd_ok(r) && h->isut <= ZONE_TYPES_MAX && h->isstd <= ZONE_TYPES_MAX && h->leap < 10000 &&
           h->time < 100000 && h->type > 0 && h->type <= ZONE_TYPES_MAX && h->chars < 10000;
}

static void
tzif_skip_body(struct reader *r, const struct tzif_head *h, size_t time_size)
{
    rd_bytes(r, (size_t)h->time * (time_size + 1) + (size_t)h->type * 6 + h->chars +
                    (size_t)h->leap * (time_size + 4) + h->isstd + h->isut);
}

static bool
tzif_read_types(struct reader *r, const struct tzif_head *h, struct zone *z)
{
    uint8_t abbr_at[ZONE_TYPES_MAX];
    const uint8_t *chars;

    for (uint32_t i = 0; i < h->type; i++) {
        z->types[i].offset = (int32_t)rd_u32_be(r);
        z->types[i].is_dst = rd_u8(r) != 0;
        abbr_at[i] = rd_u8(r);
        if (z->types[i].offset < -86400 || z->types[i].offset > 86400)
            return false;
    }
    chars = rd_bytes(r, h->chars);
    if (!rd_ok(r))
        return false;
    for (uint32_t i = 0; i < h->type; i++) {
        size_t n = 0;
        while (abbr_at[i] + n < h->chars && n < ABBR_MAX - 1 && chars[abbr_at[i] + n] != 0) {
            z->types[i].abbr[n] = (char)chars[abbr_at[i] + n];
            n++;
        }
    }
    return true;
}

static bool
tzif_read(struct arena *a, struct reader *r, struct zone *z)
{
    struct tzif_head h;
    const uint8_t *rule;
    size_t n = 0;

    if (!tzif_read_head(r, &h) || h.version < '2')
        return false;
    tzif_skip_body(r, &h, 4);
    if (!tzif_read_head(r, &h))
        return false;
    z->count = h.time;
    z->type_count = h.type;
    z->at = ARENA_ARRAY(a, int64_t, h.time + 1);
    z->index = ARENA_ARRAY(a, uint8_t, h.time + 1);
    z->types = ARENA_ARRAY(a, struct zone_type, h.type);
    for (uint32_t i = 0; i < h.time; i++) {
        z->at[i] = (int64_t)rd_u64_be(r);
        if (i > 0 && z->at[i] <= z->at[i - 1])
            return false;
    }
    for (uint32_t i = 0; i < h.time; i++) {
        z->index[i] = rd_u8(r);
        if (z->index[i] >= h.type)
            return false;
    }
    if (!tzif_read_types(r, &h, z))
        return false;
    rd_bytes(r, (size_t)h.leap * 12 + h.isstd + h.isut);
    if (rd_u8(r) != '\n' || !rd_ok(r))
        return false;
    rule = r->at;
    while (n < rd_left(r) && rule[n] != '\n')
        n++;
    return n == 0 || zone_parse_rule(z, slice(rule, n));
}

static struct zone *
zone_new(struct arena *a, struct slice name)
{
    struct zone *z = ARENA_NEW(a, struct zone);
    size_t n = name.size < ZONE_NAME_MAX ? name.size : ZONE_NAME_MAX;

    memcpy(z->name, name.data, n);
    return z;
}

int
zone_from_tzif(struct arena *a, const char *name, struct slice file, const struct zone **out)
{
    struct zone *z = zone_new(a, slice_str(name));
    struct reader r;

    rd_init(&r, file.data, file.size);
    if (!tzif_read(a, &r, z))
        return DIAG(ERR_CORRUPT, "damaged time zone file for \"%s\"", name);
    *out = z;
    return 0;
}

/* ---- loading ------------------------------------------------------------------------------- */

const struct zone *
zone_fixed(struct arena *a, int32_t seconds_east)
{
    struct zone *z = ARENA_NEW(a, struct zone);
    uint8_t east[16], west[16];
    struct writer w;

    /* The name is a POSIX rule, where west counts positive: <-03>+03. */
    wr_init_fixed(&w, east, sizeof east);
    put_offset(seconds_east, &w);
    wr_u8(&w, 0);
    wr_init_fixed(&w, west, sizeof west);
    put_offset(-seconds_east, &w);
    wr_u8(&w, 0);
    snprintf(z->name, sizeof z->name, "<%s>%s", (char *)east, (char *)west);
    memcpy(z->rule_std.abbr, east, ABBR_MAX - 1);
    z->rule_std.offset = seconds_east;
    z->has_rule = true;
    return z;
}

static int
zone_unknown(struct slice name)
{
    return DIAG(ERR_INVALID_PARAMETER_VALUE, "time zone \"%.*s\" not recognized", SLICE_ARGS(name));
}

static bool
zone_name_is_path(struct slice name)
{
    if (name.size == 0 || name.size > ZONE_NAME_MAX || !ascii_is_alpha(name.data[0]))
        return false;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '_' && c != '+' && c != '-' &&
            c != '/')
            return false;
    }
    return true; /* no point, so no way up */
}

static int
zone_read_file(struct env *env, struct arena *a, const char *name, const struct zone **out)
{
    char path[ZONE_NAME_MAX + 32];
    struct env_file *f;
    uint64_t size = 0;
    uint8_t *data;
    size_t got = 0;
    int rc;

    snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", name);
    if (!env_exists(env, path) || env_is_dir(env, path))
        return zone_unknown(slice_str(name));
    rc = env_open(env, path, ENV_READ, &f);
    if (rc != 0)
        return rc;
    rc = env_size(f, &size);
    if (rc == 0 && size > ZONE_FILE_MAX)
        rc = DIAG(ERR_CORRUPT, "time zone file \"%s\" is too large", path);
    if (rc == 0) {
        data = arena_alloc(a, (size_t)size + 1);
        rc = env_pread(f, data, (size_t)size, 0, &got);
        if (rc == 0)
            rc = zone_from_tzif(a, name, slice(data, got), out);
    }
    env_close(f);
    return rc;
}

/* "europe/paris" as "Europe/Paris", "utc" as "UTC": names are looked up without case, and these two
 * shapes are nearly all of them. */
static void
zone_fold_name(struct slice name, bool upper, char out[ZONE_NAME_MAX + 1])
{
    bool starts = true;

    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        out[i] = (char)(upper || starts ? ascii_upper(c) : ascii_lower(c));
        starts = !ascii_is_alpha(c);
    }
    out[name.size] = 0;
}

static bool
zone_try_numeric(struct arena *a, struct slice name, const struct zone **out)
{
    const uint8_t *p = name.data, *end = p + name.size;
    bool neg = false;
    int64_t h, m = 0;

    if (p < end && (*p == '+' || *p == '-'))
        neg = *p++ == '-';
    if (scan_digits(&p, end, 2, &h) == 0)
        return false;
    if (p < end && *p == ':') {
        p++;
        if (scan_digits(&p, end, 2, &m) == 0)
            return false;
    } else if (p < end && *p == '.') { /* hours and a fraction */
        const uint8_t *from = ++p;
        int64_t v, unit = 1;
        if (scan_digits(&p, end, 4, &v) == 0)
            return false;
        for (; from < p; from++)
            unit *= 10;
        m = v * 60 / unit;
    }
    if (p != end || h > 15 || m > 59)
        return false;
    *out = zone_fixed(a, (int32_t)(h * 3600 + m * 60) * (neg ? -1 : 1));
    return true;
}

int
zone_load(struct env *env, struct arena *a, struct slice name, const struct zone **out)
{
    static const char *const utc_names[] = { "utc", "gmt", "z", "zulu", "uct", "etc/utc" };
    struct zone *z;
    char folded[ZONE_NAME_MAX + 1];

    for (size_t i = 0; i < sizeof utc_names / sizeof utc_names[0]; i++) {
        if (slice_eq_nocase(name, utc_names[i])) {
            z = zone_new(a, slice_str(i == 1 ? "GMT" : i == 5 ? "Etc/UTC" : "UTC"));
            memcpy(z->rule_std.abbr, i == 1 ? "GMT" : "UTC", 4);
            z->has_rule = true;
            *out = z;
            return 0;
        }
    }
    if (zone_try_numeric(a, name, out))
        return 0;
    if (env != NULL && zone_name_is_path(name)) {
        const char *given = arena_strndup(a, (const char *)name.data, name.size);
        if (zone_read_file(env, a, given, out) == 0)
            return 0;
        for (int upper = 0; upper < 2; upper++) {
            zone_fold_name(name, upper != 0, folded);
            if (zone_read_file(env, a, folded, out) == 0)
                return 0;
        }
    }
    if (name.size <= ZONE_NAME_MAX && name.size > 0) {
        z = zone_new(a, name);
        if (zone_parse_rule(z, name))
            return *out = z, 0;
    }
    return zone_unknown(name);
}
