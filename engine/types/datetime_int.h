/* Dates and times inside this room.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TYPES_DATETIME_INT_H
#define ENGINE_TYPES_DATETIME_INT_H

#include "engine/types/datetime.h"
#include "engine/types/type_int.h"
#include "engine/types/zone.h"

#define JULIAN_2000 2451545 /* the Julian day of 2000-01-01 */

bool is_leap_year(int32_t year);
int days_in_month(int32_t year, int month);
static inline bool
timestamp_is_finite(int64_t t)
{
    return t != TIMESTAMP_NOBEGIN && t != TIMESTAMP_NOEND;
}
static inline bool
timestamp_in_range(int64_t t)
{
    return t >= TIMESTAMP_MIN && t < TIMESTAMP_END;
}
static inline bool
date_is_finite(int64_t d)
{
    return d != DATE_NOBEGIN && d != DATE_NOEND;
}
int timestamp_out_of_range(void);

/* Seconds east of UTC of the session's (or another) zone. */
int32_t zone_offset_at(const struct zone *z, int64_t timestamptz);
/* Local wall clock of a moment, and back. */
int64_t timestamptz_to_local(const struct zone *z, int64_t t);
MUST_CHECK
int timestamptz_from_local(const struct zone *z, int64_t local, int64_t *out);
MUST_CHECK
int timestamp_to_timestamptz(const struct type_env *env, int64_t t, int64_t *out);
MUST_CHECK
int date_to_timestamp(int64_t date, int64_t *out);
/* Of either; infinities go through. */
int64_t timestamp_to_date(int64_t t);

void put_date(int32_t date, struct writer *w, bool *is_bc);
void put_time(int64_t us_of_day, struct writer *w);
void put_offset(int32_t seconds_east, struct writer *w);
static inline const struct zone *
env_zone(const struct type_env *env)
{
    return env != NULL ? env->zone : NULL;
}

/* What a text about a date or a time says; datetime_in.c. */
enum dt_special { DT_NONE, DT_INFINITY, DT_MINUS_INFINITY, DT_NOW, DT_EPOCH };
struct dt_fields {
    enum dt_special special;
    bool has_date, has_time, has_zone;
    struct civil c;
    int32_t offset;          /* seconds east, with has_zone and no zone */
    const struct zone *zone; /* named */
};
MUST_CHECK
int dt_parse(const struct type_env *env, const char *type_name, struct slice text,
             struct dt_fields *out);
/* For text such as '+02', 'UTC', 'Europe/Paris' in AT TIME ZONE. */
MUST_CHECK
int zone_resolve(const struct type_env *env, struct slice name, struct arena *a,
                 const struct zone **out);

MUST_CHECK
int timestamp_add_interval(int64_t t, struct interval v, int64_t *out);
MUST_CHECK
int timestamptz_add_interval(const struct zone *z, int64_t t, struct interval v, int64_t *out);
MUST_CHECK
int interval_parse(struct slice text, struct interval *out);
void interval_format(struct interval v, struct writer *w);
int interval_out_of_range(void);

#endif
