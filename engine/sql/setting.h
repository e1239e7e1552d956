/* Settings: what SET, SHOW and RESET are about.
 *
 * The table (setting_table.c) has one line per setting. A session has a struct settings: for each
 * setting the value of the session and the one in force, which differ inside a transaction that has
 * said SET LOCAL. Values are kept as text in one canonical form; whoever needs a number or a flag
 * gets it when the value changes (struct settings.changed).
 *
 * Changes are transactional: settings_mark remembers a point (a savepoint), settings_rollback goes
 * back to it, settings_commit ends it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQL_SETTING_H
#define ENGINE_SQL_SETTING_H

#include "engine/base/mem.h"

enum setting_type { SETTING_BOOL, SETTING_INT, SETTING_REAL, SETTING_STRING, SETTING_ENUM };

enum setting_flags {
    SETTING_REPORT = 1,    /* the client hears of each change (ParameterStatus) */
    SETTING_INTERNAL = 2,  /* cannot be changed at all */
    SETTING_FIXED = 8,     /* any value but the built-in one is not supported here */
    SETTING_LIST = 16,     /* takes a list of names */
    SETTING_COMPUTED = 32, /* has no value of its own: the session says what it is */
};

/* In the order of the table, which is alphabetical but for case. */
enum setting_id {
    SET_APPLICATION_NAME,
    SET_ARRAY_NULLS,
    SET_BACKSLASH_QUOTE,
    SET_BYTEA_OUTPUT,
    SET_CHECK_FUNCTION_BODIES,
    SET_CLIENT_ENCODING,
    SET_CLIENT_MIN_MESSAGES,
    SET_DATE_STYLE,
    SET_DEFAULT_STATISTICS_TARGET,
    SET_DEFAULT_TABLE_ACCESS_METHOD,
    SET_DEFAULT_TABLESPACE,
    SET_DEFAULT_TOAST_COMPRESSION,
    SET_DEFAULT_TRANSACTION_DEFERRABLE,
    SET_DEFAULT_TRANSACTION_ISOLATION,
    SET_DEFAULT_TRANSACTION_READ_ONLY,
    SET_EFFECTIVE_CACHE_SIZE,
    SET_ESCAPE_STRING_WARNING,
    SET_EXTRA_FLOAT_DIGITS,
    SET_IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    SET_IN_HOT_STANDBY,
    SET_INTEGER_DATETIMES,
    SET_INTERVAL_STYLE,
    SET_IS_SUPERUSER,
    SET_JIT,
    SET_LC_COLLATE,
    SET_LC_CTYPE,
    SET_LC_MESSAGES,
    SET_LC_MONETARY,
    SET_LC_NUMERIC,
    SET_LC_TIME,
    SET_LOCK_TIMEOUT,
    SET_MAINTENANCE_WORK_MEM,
    SET_MAX_IDENTIFIER_LENGTH,
    SET_MAX_INDEX_KEYS,
    SET_PASSWORD_ENCRYPTION,
    SET_QUOTE_ALL_IDENTIFIERS,
    SET_ROLE,
    SET_ROW_SECURITY,
    SET_SEARCH_PATH,
    SET_SERVER_ENCODING,
    SET_SERVER_VERSION,
    SET_SERVER_VERSION_NUM,
    SET_SESSION_AUTHORIZATION,
    SET_SESSION_REPLICATION_ROLE,
    SET_SSL,
    SET_STANDARD_CONFORMING_STRINGS,
    SET_STANDBY_MAX_DATA_DELAY,
    SET_STATEMENT_TIMEOUT,
    SET_SYNCHRONIZE_SEQSCANS,
    SET_SYNCHRONOUS_COMMIT,
    SET_TIMEZONE,
    SET_TIMEZONE_ABBREVIATIONS,
    SET_TRANSACTION_DEFERRABLE,
    SET_TRANSACTION_ISOLATION,
    SET_TRANSACTION_READ_ONLY,
    SET_WORK_MEM,
    SET_XMLOPTION,
    SETTING_COUNT
};

struct setting {
    const char *name;
    uint8_t type;      /* enum setting_type */
    uint8_t flags;     /* enum setting_flags */
    const char *value; /* the built-in default, canonical */
    const char *unit;  /* of integers: "kB", "8kB", "ms", "s"; NULL: none */
    double min, max;
    const char *const
        *choices; /* ENUM: ends with NULL; a word after '=' stands for the one before */
    const char *category, *description;
};

const struct setting *setting_get(enum setting_id id);
enum setting_id setting_id_of(const struct setting *s);
/* By name, in any case. NULL: there is none. */
const struct setting *setting_find(const char *name);
/* A name that a user may give to a setting of his own: with a dot. */
bool setting_name_is_custom(const char *name);
/* Checks a value and gives its canonical form, in the arena or static. 22023, 55P02, 0A000. */
MUST_CHECK
int setting_check(const struct setting *s, struct arena *a, const char *value, const char **out);
/* As SHOW does: with a readable unit. */
const char *setting_show(const struct setting *s, struct arena *a, const char *value);
bool setting_bool(const char *canonical);
int64_t setting_int(const char *canonical);
/* 'on', 'true', 'yes', '1' and their beginnings. */
bool setting_parse_bool(const char *text, bool *out);
/* One more item of a comma-separated list of identifiers, folded as SQL does; false at the end or,
 * with *bad, where it is malformed. */
bool setting_list_next(const char **at, struct arena *a, const char **item, bool *bad);

/* ---- of one session ---------------------------------------------------------------------------
 */

/* Each string is the slot's own. */
struct setting_slot {
    char *session, *current; /* NULL: the default */
};
struct custom_setting {
    struct custom_setting *next;
    char *name;
    struct setting_slot slot;
};
struct setting_change {
    struct setting_change *older;
    struct setting_slot *slot;
    int id; /* enum setting_id; -1: a custom one */
    int level;
    struct setting_slot before;
};

struct settings {
    const char *const *defaults; /* of all sessions: SETTING_COUNT; NULL: the built-in one */
    char **own_defaults;         /* of this session, NULL where `defaults` counts; or NULL */
    struct setting_slot slots[SETTING_COUNT];
    struct custom_setting *custom;
    struct setting_change *changes; /* of the transaction, newest first */
    /* The value in force has changed (by SET, or back). */
    void (*changed)(void *arg, enum setting_id id);
    void *arg;
};

void settings_init(struct settings *s, const char *const *defaults);
void settings_fini(struct settings *s);
const char *settings_value(const struct settings *s, enum setting_id id);
const char *settings_default(const struct settings *s, enum setting_id id);
/* NULL: no such custom setting. */
const char *settings_custom(const struct settings *s, const char *name);
/* What RESET goes back to in this session; the value is canonical. Takes effect at once. */
void settings_set_default(struct settings *s, enum setting_id id, const char *value);
/* `value` canonical; NULL: the default. is_local: until the end of the transaction. level: the
 * number of savepoints there are. */
void settings_set(struct settings *s, enum setting_id id, const char *value, bool is_local,
                  int level);
void settings_set_custom(struct settings *s, const char *name, const char *value, bool is_local,
                         int level);
void settings_commit(struct settings *s);
/* Savepoint `level` and those after it have been released. */
void settings_release(struct settings *s, int level);
/* Undoes what was set while there were `level` savepoints or more: 0 undoes all of it. */
void settings_rollback(struct settings *s, int level);
void settings_reset_all(struct settings *s, int level);

#endif
