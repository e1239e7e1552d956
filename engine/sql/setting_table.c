/* The table of settings, with PostgreSQL's names, defaults and limits.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/sql/setting.h"

static const char *const backslash_choices[] = { "safe_encoding", "on", "off", NULL };
static const char *const bytea_choices[] = { "escape", "hex", NULL };
static const char *const message_choices[] = { "debug5", "debug4",  "debug3", "debug2",
                                               "debug1", "=debug",  "log",    "notice",
                                               "info",   "warning", "error",  NULL };
static const char *const isolation_choices[] = { "serializable", "repeatable read",
                                                 "read committed", "read uncommitted", NULL };
static const char *const interval_choices[] = { "postgres", "postgres_verbose", "sql_standard",
                                                "iso_8601", NULL };
static const char *const password_choices[] = { "md5", "scram-sha-256", NULL };
static const char *const replication_choices[] = { "origin", "replica", "local", NULL };
static const char *const commit_choices[] = { "local", "remote_write", "remote_apply",
                                              "on",    "off",          NULL };
static const char *const xml_choices[] = { "content", "document", NULL };

#define B         SETTING_BOOL
#define I         SETTING_INT
#define S         SETTING_STRING
#define E         SETTING_ENUM
#define INT_MAX_D 2147483647.0

#define CONN   "Client Connection Defaults / Statement Behavior"
#define LOCALE "Client Connection Defaults / Locale and Formatting"
#define OLD    "Version and Platform Compatibility / Previous PostgreSQL Versions"
#define PRESET "Preset Options"
#define MEMORY "Resource Usage / Memory"
#define PLAN   "Query Tuning / Planner Cost Constants"

static const struct setting settings[SETTING_COUNT] = {
    [SET_APPLICATION_NAME] = { "application_name", S, SETTING_REPORT, "", NULL, 0, 0, NULL,
                               "Reporting and Logging / What to Log",
                               "Sets the application name to be reported." },
    [SET_ARRAY_NULLS] = { "array_nulls", B, SETTING_FIXED, "on", NULL, 0, 0, NULL, OLD,
                          "Enables input of NULL elements in arrays." },
    [SET_BACKSLASH_QUOTE] = { "backslash_quote", E, 0, "safe_encoding", NULL, 0, 0,
                              backslash_choices, OLD,
                              "Sets whether \"\\'\" is allowed in string literals." },
    [SET_BYTEA_OUTPUT] = { "bytea_output", E, 0, "hex", NULL, 0, 0, bytea_choices, CONN,
                           "Sets the output format for bytea." },
    [SET_CHECK_FUNCTION_BODIES] = { "check_function_bodies", B, 0, "on", NULL, 0, 0, NULL, CONN,
                                    "Checks routine bodies; there are none." },
    [SET_CLIENT_ENCODING] = { "client_encoding", S, SETTING_REPORT, "UTF8", NULL, 0, 0, NULL,
                              LOCALE, "Sets the client's character set encoding." },
    [SET_CLIENT_MIN_MESSAGES] = { "client_min_messages", E, 0, "notice", NULL, 0, 0,
                                  message_choices, CONN,
                                  "Sets the message levels that are sent to the client." },
    [SET_DATE_STYLE] = { "DateStyle", S, SETTING_REPORT, "ISO, MDY", NULL, 0, 0, NULL, LOCALE,
                         "Sets the display format for date and time values." },
    [SET_DEFAULT_STATISTICS_TARGET] = { "default_statistics_target", I, 0, "100", NULL, 1, 10000,
                                        NULL, "Query Tuning / Other Planner Options",
                                        "Sets the default statistics target." },
    [SET_DEFAULT_TABLE_ACCESS_METHOD] = { "default_table_access_method", S, SETTING_FIXED, "heap",
                                          NULL, 0, 0, NULL, CONN,
                                          "Sets the default table access method." },
    [SET_DEFAULT_TABLESPACE] = { "default_tablespace", S, SETTING_FIXED, "", NULL, 0, 0, NULL, CONN,
                                 "Sets the default tablespace to create tables in." },
    [SET_DEFAULT_TOAST_COMPRESSION] = { "default_toast_compression", S, 0, "pglz", NULL, 0, 0, NULL,
                                        CONN, "Has no effect: segments are compressed." },
    [SET_DEFAULT_TRANSACTION_DEFERRABLE] = { "default_transaction_deferrable", B, 0, "off", NULL, 0,
                                             0, NULL, CONN, "Sets the default deferrable status." },
    [SET_DEFAULT_TRANSACTION_ISOLATION] = { "default_transaction_isolation", E, 0, "read committed",
                                            NULL, 0, 0, isolation_choices, CONN,
                                            "Sets the isolation level of each new transaction." },
    [SET_DEFAULT_TRANSACTION_READ_ONLY] = { "default_transaction_read_only", B, SETTING_REPORT,
                                            "off", NULL, 0, 0, NULL, CONN,
                                            "Sets the read-only status of new transactions." },
    [SET_EFFECTIVE_CACHE_SIZE] = { "effective_cache_size", I, 0, "524288", "8kB", 1, INT_MAX_D,
                                   NULL, PLAN, "Sets the planner's assumption about caches." },
    [SET_ESCAPE_STRING_WARNING] = { "escape_string_warning", B, 0, "on", NULL, 0, 0, NULL, OLD,
                                    "Warns about backslash escapes in string literals." },
    [SET_EXTRA_FLOAT_DIGITS] = { "extra_float_digits", I, 0, "1", NULL, -15, 3, NULL, LOCALE,
                                 "Sets the number of digits of floating-point values." },
    [SET_IDLE_IN_TRANSACTION_SESSION_TIMEOUT] = { "idle_in_transaction_session_timeout", I, 0, "0",
                                                  "ms", 0, INT_MAX_D, NULL, CONN,
                                                  "Ends sessions idle in a transaction." },
    [SET_IN_HOT_STANDBY] = { "in_hot_standby", B,
                             SETTING_INTERNAL | SETTING_COMPUTED | SETTING_REPORT, "off", NULL, 0,
                             0, NULL, PRESET, "Shows whether this member is a standby." },
    [SET_INTEGER_DATETIMES] = { "integer_datetimes", B, SETTING_INTERNAL | SETTING_REPORT, "on",
                                NULL, 0, 0, NULL, PRESET,
                                "Shows whether datetimes are integer based." },
    [SET_INTERVAL_STYLE] = { "IntervalStyle", E, SETTING_REPORT | SETTING_FIXED, "postgres", NULL,
                             0, 0, interval_choices, LOCALE,
                             "Sets the display format for interval values." },
    [SET_IS_SUPERUSER] = { "is_superuser", B, SETTING_INTERNAL | SETTING_COMPUTED | SETTING_REPORT,
                           "off", NULL, 0, 0, NULL, PRESET,
                           "Shows whether the current user is a superuser." },
    [SET_JIT] = { "jit", B, 0, "off", NULL, 0, 0, NULL, "Query Tuning / Other Planner Options",
                  "Has no effect: there is no JIT compilation." },
    [SET_LC_COLLATE] = { "lc_collate", S, SETTING_INTERNAL, "C", NULL, 0, 0, NULL, PRESET,
                         "Shows the collation order locale." },
    [SET_LC_CTYPE] = { "lc_ctype", S, SETTING_INTERNAL, "C.UTF-8", NULL, 0, 0, NULL, PRESET,
                       "Shows the character classification locale." },
    [SET_LC_MESSAGES] = { "lc_messages", S, SETTING_FIXED, "C", NULL, 0, 0, NULL, LOCALE,
                          "Sets the language in which messages are displayed." },
    [SET_LC_MONETARY] = { "lc_monetary", S, SETTING_FIXED, "C", NULL, 0, 0, NULL, LOCALE,
                          "Sets the locale for formatting monetary amounts." },
    [SET_LC_NUMERIC] = { "lc_numeric", S, SETTING_FIXED, "C", NULL, 0, 0, NULL, LOCALE,
                         "Sets the locale for formatting numbers." },
    [SET_LC_TIME] = { "lc_time", S, SETTING_FIXED, "C", NULL, 0, 0, NULL, LOCALE,
                      "Sets the locale for formatting date and time values." },
    [SET_LOCK_TIMEOUT] = { "lock_timeout", I, SETTING_FIXED, "0", "ms", 0, INT_MAX_D, NULL, CONN,
                           "Sets the maximum duration of any wait for a lock." },
    [SET_MAINTENANCE_WORK_MEM] = { "maintenance_work_mem", I, 0, "65536", "kB", 1024, INT_MAX_D,
                                   NULL, MEMORY,
                                   "Sets the memory to be used for maintenance operations." },
    [SET_MAX_IDENTIFIER_LENGTH] = { "max_identifier_length", I, SETTING_INTERNAL, "63", NULL, 63,
                                    63, NULL, PRESET, "Shows the maximum identifier length." },
    [SET_MAX_INDEX_KEYS] = { "max_index_keys", I, SETTING_INTERNAL, "32", NULL, 32, 32, NULL,
                             PRESET, "Shows the maximum number of index keys." },
    [SET_PASSWORD_ENCRYPTION] = { "password_encryption", E, SETTING_FIXED, "scram-sha-256", NULL, 0,
                                  0, password_choices,
                                  "Connections and Authentication / Authentication",
                                  "Chooses the algorithm for encrypting passwords." },
    [SET_QUOTE_ALL_IDENTIFIERS] = { "quote_all_identifiers", B, SETTING_FIXED, "off", NULL, 0, 0,
                                    NULL, OLD, "Quotes all identifiers in generated SQL." },
    [SET_ROLE] = { "role", S, SETTING_COMPUTED, "none", NULL, 0, 0, NULL, "Ungrouped",
                   "Sets the current role." },
    [SET_ROW_SECURITY] = { "row_security", B, 0, "on", NULL, 0, 0, NULL, CONN,
                           "Enables row security; there are no policies." },
    [SET_SEARCH_PATH] = { "search_path", S, SETTING_LIST, "\"$user\", public", NULL, 0, 0, NULL,
                          CONN, "Sets the schema search order for unqualified names." },
    [SET_SERVER_ENCODING] = { "server_encoding", S, SETTING_INTERNAL | SETTING_REPORT, "UTF8", NULL,
                              0, 0, NULL, PRESET, "Shows the server's encoding." },
    [SET_SERVER_VERSION] = { "server_version", S,
                             SETTING_INTERNAL | SETTING_COMPUTED | SETTING_REPORT, "", NULL, 0, 0,
                             NULL, PRESET, "Shows the server version." },
    [SET_SERVER_VERSION_NUM] = { "server_version_num", I, SETTING_INTERNAL, "150000", NULL, 150000,
                                 150000, NULL, PRESET,
                                 "Shows the version of PostgreSQL that this server speaks." },
    [SET_SESSION_AUTHORIZATION] = { "session_authorization", S, SETTING_COMPUTED | SETTING_REPORT,
                                    "", NULL, 0, 0, NULL, "Ungrouped",
                                    "Sets the session user name." },
    [SET_SESSION_REPLICATION_ROLE] = { "session_replication_role", E, SETTING_FIXED, "origin", NULL,
                                       0, 0, replication_choices, CONN,
                                       "Sets the behavior of triggers; there are none." },
    [SET_SSL] = { "ssl", B, SETTING_INTERNAL, "off", NULL, 0, 0, NULL,
                  "Connections and Authentication / SSL", "Enables SSL connections." },
    [SET_STANDARD_CONFORMING_STRINGS] = { "standard_conforming_strings", B,
                                          SETTING_REPORT | SETTING_FIXED, "on", NULL, 0, 0, NULL,
                                          OLD, "Treats backslashes in strings literally." },
    [SET_STANDBY_MAX_DATA_DELAY] = { "standby_max_data_delay", I, 0, "-1", "ms", -1, INT_MAX_D,
                                     NULL, CONN,
                                     "Refuses queries on a standby that is further behind; -1: "
                                     "none are refused." },
    [SET_STATEMENT_TIMEOUT] = { "statement_timeout", I, 0, "0", "ms", 0, INT_MAX_D, NULL, CONN,
                                "Sets the maximum duration of any statement." },
    [SET_SYNCHRONIZE_SEQSCANS] = { "synchronize_seqscans", B, 0, "on", NULL, 0, 0, NULL, OLD,
                                   "Has no effect: scans read in key order." },
    [SET_SYNCHRONOUS_COMMIT] = { "synchronous_commit", E, 0, "on", NULL, 0, 0, commit_choices,
                                 "Write-Ahead Log / Settings",
                                 "Has no effect: the protection mode decides." },
    [SET_TIMEZONE] = { "TimeZone", S, SETTING_REPORT, "UTC", NULL, 0, 0, NULL, LOCALE,
                       "Sets the time zone for displaying and interpreting time stamps." },
    [SET_TIMEZONE_ABBREVIATIONS] = { "timezone_abbreviations", S, SETTING_FIXED, "Default", NULL, 0,
                                     0, NULL, LOCALE,
                                     "Selects a file of time zone abbreviations." },
    [SET_TRANSACTION_DEFERRABLE] = { "transaction_deferrable", B, SETTING_COMPUTED, "off", NULL, 0,
                                     0, NULL, CONN, "Has no effect: no snapshot is unsafe." },
    [SET_TRANSACTION_ISOLATION] = { "transaction_isolation", E, SETTING_COMPUTED, "read committed",
                                    NULL, 0, 0, isolation_choices, CONN,
                                    "Sets the current transaction's isolation level." },
    [SET_TRANSACTION_READ_ONLY] = { "transaction_read_only", B, SETTING_COMPUTED, "off", NULL, 0, 0,
                                    NULL, CONN,
                                    "Sets the current transaction's read-only status." },
    [SET_WORK_MEM] = { "work_mem", I, 0, "4096", "kB", 64, INT_MAX_D, NULL, MEMORY,
                       "Sets the memory to be used for query workspaces." },
    [SET_XMLOPTION] = { "xmloption", E, 0, "content", NULL, 0, 0, xml_choices, CONN,
                        "Has no effect: there is no XML." },
};

const struct setting *
setting_get(enum setting_id id)
{
    return &settings[id];
}

enum setting_id
setting_id_of(const struct setting *s)
{
    return (enum setting_id)(s - settings);
}

const struct setting *
setting_find(const char *name)
{
    for (int i = 0; i < SETTING_COUNT; i++)
        if (strcasecmp(settings[i].name, name) == 0)
            return &settings[i];
    return NULL;
}
