/* The server's log: one line per event,
 *     2026-11-22 21:00:01.123 UTC [name] LEVEL: message
 * to standard error or to a file. From any thread. A line is written before the call returns, so
 * that the last words of a node are not lost; hence never log on the path of a commit.
 *
 * A line break in a message starts a continuation with a tab, and other control characters become
 * '?', so that nobody can forge a line through what he makes the server quote.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_BASE_LOG_H
#define ENGINE_BASE_LOG_H

#include <stdbool.h>

#include "engine/base/env.h"
#include "engine/base/err.h"

enum log_level {
    LOG_DEBUG,
    LOG_INFO,
    LOG_NOTICE, /* what an operator should know: roles, promotions, recovery */
    LOG_WARNING,
    LOG_ERROR,
};

struct log;

/* `name` tells instances apart; `path` NULL: standard error; lines below `least` are dropped. */
MUST_CHECK
int log_open(struct env *env, const char *name, const char *path, enum log_level least,
             struct log **out);
void log_close(struct log *l);
/* Opens the file anew, after somebody has moved it away. */
MUST_CHECK
int log_reopen(struct log *l);

/* In all of these a NULL log drops the line. */
bool log_wants(const struct log *l, enum log_level level);
void log_at(struct log *l, enum log_level level, const char *fmt, ...) PRINTF_LIKE(3, 4);
#define log_debug(l, ...)   log_at((l), LOG_DEBUG, __VA_ARGS__)
#define log_info(l, ...)    log_at((l), LOG_INFO, __VA_ARGS__)
#define log_notice(l, ...)  log_at((l), LOG_NOTICE, __VA_ARGS__)
#define log_warning(l, ...) log_at((l), LOG_WARNING, __VA_ARGS__)
#define log_error(l, ...)   log_at((l), LOG_ERROR, __VA_ARGS__)
/* "doing: message (SQLSTATE)", then detail and hint, of the task's last error. */
void log_diag(struct log *l, enum log_level level, const char *fmt, ...) PRINTF_LIKE(3, 4);

bool log_level_parse(const char *text, enum log_level *out); /* "debug" … "error" */

#endif
