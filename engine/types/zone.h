/* Time zones: fixed offsets, and the system's compiled zone files.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TYPES_ZONE_H
#define ENGINE_TYPES_ZONE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/bytes.h"
#include "engine/base/err.h"

struct env;
struct arena;
struct zone;

/* "UTC", "GMT", "Z", "+02", "-03:30", "UTC+3" (POSIX sign), "Europe/Paris", … Reads the zone file
 * (blocks: call it at SET TIME ZONE, not per row) through env; with env NULL only UTC and fixed
 * offsets. ERR_INVALID_PARAMETER_VALUE "time zone "x" not recognized". The zone is immutable and
 * lives in the arena. */
MUST_CHECK
int zone_load(struct env *env, struct arena *a, struct slice name, const struct zone **out);
/* From the bytes of a compiled zone file. Total. */
MUST_CHECK
int zone_from_tzif(struct arena *a, const char *name, struct slice file, const struct zone **out);
const struct zone *zone_fixed(struct arena *a, int32_t seconds_east); /* for SET TIME ZONE -3 */
const char *zone_name(const struct zone *z);                          /* NULL zone: "UTC" */
/* Seconds east of UTC at a moment (unix seconds, UTC); the abbreviation too when abbr is given. */
int32_t zone_offset_utc(const struct zone *z, int64_t unix_s, const char **abbr);
/* Of a local wall-clock time: in a gap the offset before it, in an overlap the standard one, as
 * PostgreSQL chooses. */
int32_t zone_offset_local(const struct zone *z, int64_t local_s);

#endif
