/* Dates and times: PostgreSQL's calendar (proleptic Gregorian), limits, ISO text forms.
 *
 * date: days since 2000-01-01. timestamp: microseconds since 2000-01-01 00:00, without a zone or
 * UTC. interval (REP_BYTES, 16 bytes, little-endian): i64 microseconds, i32 days, i32 months.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TYPES_DATETIME_H
#define ENGINE_TYPES_DATETIME_H

#include "engine/types/type.h"

#define US_PER_SECOND     INT64_C(1000000)
#define US_PER_MINUTE     INT64_C(60000000)
#define US_PER_HOUR       INT64_C(3600000000)
#define US_PER_DAY        INT64_C(86400000000)
#define TIMESTAMP_MIN     INT64_C(-211813488000000000) /* 4714-11-24 BC; valid: MIN <= t < END */
#define TIMESTAMP_END     INT64_C(9223371331200000000)
#define TIMESTAMP_NOBEGIN INT64_MIN /* -infinity */
#define TIMESTAMP_NOEND   INT64_MAX
#define DATE_MIN          (-2451545) /* valid: MIN <= d < END */
#define DATE_END          2145031949
#define DATE_NOBEGIN      INT32_MIN
#define DATE_NOEND        INT32_MAX
#define UNIX_EPOCH_US     INT64_C(946684800000000) /* 2000-01-01 in microseconds since 1970 */

/* Between the world's clock (env_wall_us) and timestamptz. */
static inline int64_t
timestamp_from_unix_us(uint64_t us)
{
    return (int64_t)us - UNIX_EPOCH_US;
}
static inline uint64_t
timestamp_to_unix_us(int64_t t)
{
    return (uint64_t)(t + UNIX_EPOCH_US);
}

struct interval {
    int64_t us;
    int32_t days, months;
};
struct interval interval_load(const struct datum *d);
struct datum interval_make(struct arena *a, struct interval v);
__int128 interval_span(struct interval v); /* what comparison uses: months of 30 days */

/* Broken-down local time. */
struct civil {
    int32_t year;                         /* 0 is 1 BC */
    int month, day, hour, minute, second; /* month and day from 1 */
    int32_t us;
};
int32_t date_from_civil(int32_t year, int month, int day); /* days since 2000-01-01; no checks */
void date_to_civil(int32_t date, struct civil *out);       /* clears the time */
void timestamp_to_civil(int64_t t, struct civil *out);
/* ERR_DATETIME_OVERFLOW "timestamp out of range". */
MUST_CHECK
int timestamp_from_civil(const struct civil *c, int64_t *out);

#endif
