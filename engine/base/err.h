/* Errors are values: 0, or a negative code from this list, with the detail in the task's diag.
 *
 * A function that can fail is MUST_CHECK and returns 0 or one of these codes. The place where the
 * error arises calls DIAG(code, "message", ...) once, which records the message and returns the
 * code; callers pass the code on and may add a hint, a position or a cause. Each code has one
 * SQLSTATE, so every error a user meets has one too.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_BASE_ERR_H
#define ENGINE_BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#define MUST_CHECK                   __attribute__((warn_unused_result))
#define NORETURN                     __attribute__((noreturn))
#define PRINTF_LIKE(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))

/* X(name, SQLSTATE). Append only: the numbers appear in logs. */
#define ERR_LIST(X)                                                                                \
    X(INTERNAL, "XX000")                                                                           \
    X(CORRUPT, "XX001") /* bytes on disk or wire are not what was written */                       \
    X(IO, "58030")                                                                                 \
    X(NO_FILE, "58P01")                                                                            \
    X(FILE_EXISTS, "58P02")                                                                        \
    X(DISK_FULL, "53100")                                                                          \
    X(NOMEM, "53200")                                                                              \
    X(TOO_MANY_CONNECTIONS, "53300")                                                               \
    X(CONFIGURATION_LIMIT, "53400")                                                                \
    X(LIMIT, "54000")       /* a limit of the program exceeded */                                  \
    X(TOO_COMPLEX, "54001") /* statement nested too deep for the stack */                          \
    X(TOO_MANY_COLUMNS, "54011")                                                                   \
    X(TOO_MANY_ARGUMENTS, "54023")                                                                 \
    X(NOT_SUPPORTED, "0A000")                                                                      \
    X(SYNTAX, "42601")                                                                             \
    X(UNDEFINED_TABLE, "42P01")                                                                    \
    X(UNDEFINED_COLUMN, "42703")                                                                   \
    X(UNDEFINED_FUNCTION, "42883")                                                                 \
    X(UNDEFINED_OBJECT, "42704")                                                                   \
    X(UNDEFINED_PARAMETER, "42P02")                                                                \
    X(DUPLICATE_TABLE, "42P07")                                                                    \
    X(DUPLICATE_COLUMN, "42701")                                                                   \
    X(DUPLICATE_OBJECT, "42710")                                                                   \
    X(DUPLICATE_ALIAS, "42712")                                                                    \
    X(DUPLICATE_SCHEMA, "42P06")                                                                   \
    X(UNDEFINED_SCHEMA, "3F000")                                                                   \
    X(UNDEFINED_DATABASE, "3D000")                                                                 \
    X(AMBIGUOUS_COLUMN, "42702")                                                                   \
    X(AMBIGUOUS_FUNCTION, "42725")                                                                 \
    X(DATATYPE_MISMATCH, "42804")                                                                  \
    X(INDETERMINATE_DATATYPE, "42P18")                                                             \
    X(CANNOT_COERCE, "42846")                                                                      \
    X(GROUPING, "42803")                                                                           \
    X(WRONG_OBJECT_TYPE, "42809")                                                                  \
    X(INVALID_COLUMN_REFERENCE, "42P10")                                                           \
    X(INVALID_TABLE_DEFINITION, "42P16")                                                           \
    X(INVALID_FOREIGN_KEY, "42830")                                                                \
    X(INVALID_NAME, "42602")                                                                       \
    X(NAME_TOO_LONG, "42622")                                                                      \
    X(PRIVILEGE, "42501")                                                                          \
    X(DEPENDENT_OBJECTS, "2BP01")                                                                  \
    X(NOT_NULL_VIOLATION, "23502")                                                                 \
    X(FOREIGN_KEY_VIOLATION, "23503")                                                              \
    X(UNIQUE_VIOLATION, "23505")                                                                   \
    X(CHECK_VIOLATION, "23514")                                                                    \
    X(STRING_TRUNCATION, "22001")                                                                  \
    X(NUMERIC_RANGE, "22003")                                                                      \
    X(DATETIME_OVERFLOW, "22008")                                                                  \
    X(DIVISION_BY_ZERO, "22012")                                                                   \
    X(CHARACTER_NOT_IN_REPERTOIRE, "22021")                                                        \
    X(INVALID_DATETIME, "22007")                                                                   \
    X(INVALID_PARAMETER_VALUE, "22023")                                                            \
    X(INVALID_ROW_COUNT_LIMIT, "2201W")                                                            \
    X(INVALID_ROW_COUNT_OFFSET, "2201X")                                                           \
    X(INVALID_TEXT, "22P02") /* input syntax for a type */                                         \
    X(INVALID_BINARY, "22P03")                                                                     \
    X(BAD_COPY_FILE, "22P04")                                                                      \
    X(SUBSTRING, "22011")                                                                          \
    X(CARDINALITY, "21000")                                                                        \
    X(INVALID_CURSOR_STATE, "24000")                                                               \
    X(UNDEFINED_CURSOR, "34000")                                                                   \
    X(DUPLICATE_CURSOR, "42P03")                                                                   \
    X(UNDEFINED_STATEMENT, "26000")                                                                \
    X(DUPLICATE_STATEMENT, "42P05")                                                                \
    X(ACTIVE_TRANSACTION, "25001")                                                                 \
    X(READ_ONLY_TRANSACTION, "25006")                                                              \
    X(NO_ACTIVE_TRANSACTION, "25P01")                                                              \
    X(IN_FAILED_TRANSACTION, "25P02")                                                              \
    X(IDLE_IN_TRANSACTION_TIMEOUT, "25P03")                                                        \
    X(INVALID_SAVEPOINT, "3B001")                                                                  \
    X(SERIALIZATION_FAILURE, "40001")                                                              \
    X(DEADLOCK, "40P01")                                                                           \
    X(COMMIT_UNKNOWN, "40003") /* statement completion unknown: say so, never guess */             \
    X(OBJECT_NOT_READY, "55000")                                                                   \
    X(OBJECT_IN_USE, "55006")                                                                      \
    X(CANNOT_CHANGE_PARAMETER, "55P02")                                                            \
    X(LOCK_NOT_AVAILABLE, "55P03")                                                                 \
    X(QUERY_CANCELED, "57014")                                                                     \
    X(SHUTDOWN, "57P01") /* also: the node is primary no more */                                   \
    X(CRASH_SHUTDOWN, "57P02")                                                                     \
    X(CANNOT_CONNECT_NOW, "57P03")                                                                 \
    X(SNAPSHOT_TOO_OLD, "72000")                                                                   \
    X(CONFIG_FILE, "F0000")                                                                        \
    X(PROTOCOL, "08P01")                                                                           \
    X(CONNECTION_FAILURE, "08006")                                                                 \
    X(CONNECT, "08001")                                                                            \
    X(INVALID_AUTHORIZATION, "28000")                                                              \
    X(INVALID_PASSWORD, "28P01")                                                                   \
    X(AGAIN, "XX901")              /* internal: try again (would block, lost a race) */            \
    X(NOT_FOUND, "XX902")          /* internal: no such key */                                     \
    X(END, "XX903")                /* internal: end of stream */                                   \
    X(TIMEOUT, "XX904")            /* internal: a deadline passed */                               \
    X(STOPPED, "XX905")            /* internal: the object is shutting down */                     \
    X(ROLE, "RD001")               /* this member may not do that in its present role */           \
    X(NOT_ELIGIBLE, "RD002")       /* election: refused by rule */                                 \
    X(NEEDS_RESEED, "RD003")       /* history does not reach back: base copy needed */             \
    X(DIVERGED, "RD004")           /* two histories where one was required */                      \
    X(TARGET_UNREACHABLE, "RD005") /* restore or flashback target outside what is held */          \
    X(USAGE, "RD006")              /* command line */                                              \
    X(ZONE_DISPLACEMENT, "22009")                                                                  \
    X(INTERVAL_OVERFLOW, "22015")                                                                  \
    X(INVALID_ESCAPE_CHARACTER, "22019")                                                           \
    X(INVALID_ESCAPE, "22025")                                                                     \
    X(INVALID_REGEX, "2201B")                                                                      \
    X(INVALID_LOG_ARGUMENT, "2201E")                                                               \
    X(INVALID_POWER_ARGUMENT, "2201F")                                                             \
    X(ARRAY_SUBSCRIPT, "2202E")                                                                    \
    X(GENERATED_ALWAYS, "428C9")                                                                   \
    X(INVALID_WIDTH_BUCKET, "2201G")

enum err_code {
    ERR_ORDINAL_BASE = -1,
#define ERR_ENUM(name, state) ERR_ORDINAL_##name,
    ERR_LIST(ERR_ENUM)
#undef ERR_ENUM
        ERR_COUNT
};
enum {
#define ERR_ENUM(name, state) ERR_##name = -(ERR_ORDINAL_##name + 1),
    ERR_LIST(ERR_ENUM)
#undef ERR_ENUM
};

/* The diagnostics area of one task (a fiber or a plain thread). */
struct diag {
    int code; /* 0: nothing recorded */
    char message[400];
    char detail[400];
    char hint[240];
    char where[240]; /* error field W: in which line of the input, say */
    char schema[64], table[64], column[64], constraint[64]; /* error fields s t c n */
    int32_t position; /* 1-based character offset in the query, 0 = none */
    int os_errno;
    const char *file; /* where it arose; static strings */
    int line;
};

/* Records an error at its origin and returns `code`. Clears what was recorded before. */
int diag_set_at(const char *file, int line, int code, const char *fmt, ...) PRINTF_LIKE(4, 5);
#define DIAG(code, ...) diag_is_error(diag_set_at(__FILE__, __LINE__, (code), __VA_ARGS__))
/* Tells the compiler that an error is never 0, for its warnings about what was not set. */
static inline int
diag_is_error(int code)
{
    if (code == 0)
        __builtin_unreachable();
    return code;
}

/* Add to the error just recorded. */
void diag_detail(const char *fmt, ...) PRINTF_LIKE(1, 2);
void diag_hint(const char *fmt, ...) PRINTF_LIKE(1, 2);
void diag_position(int32_t position);
void diag_object(const char *schema, const char *table, const char *column,
                 const char *constraint); /* NULL leaves a field as it is */
void diag_where(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Puts "context: " before the message: for callers that know what was being done. */
void diag_context(const char *fmt, ...) PRINTF_LIKE(1, 2);

const struct diag *diag_last(void); /* never NULL; code 0 if nothing was recorded */
void diag_clear(void);
void diag_restore(const struct diag *d); /* carries an error from one task to another, by value */

const char *err_sqlstate(int code); /* five characters, static */
const char *err_name(int code);

/* A broken invariant: reports and ends the node (through env, so a simulated node dies alone). */
NORETURN
void check_failed(const char *file, int line, const char *what);
#define CHECK(cond)   ((cond) ? (void)0 : check_failed(__FILE__, __LINE__, #cond))
#define UNREACHABLE() check_failed(__FILE__, __LINE__, "unreachable")
/* Costly checks: debug, asan and tsan builds only. */
#ifdef RD_DEBUG
#define CHECK_SLOW(cond) CHECK(cond)
#else
#define CHECK_SLOW(cond) ((void)sizeof(cond))
#endif

/* Durability is lost or state cannot be trusted: the node stops at once. Never returns. */
NORETURN
void panic_at(const char *file, int line, const char *fmt, ...) PRINTF_LIKE(3, 4);
#define PANIC(...) panic_at(__FILE__, __LINE__, __VA_ARGS__)

#endif
