/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "engine/base/mem.h"

enum { LINE_BYTES_MAX = 4096, NAME_BYTES_MAX = 64 };

struct log {
    struct env *env;
    char name[NAME_BYTES_MAX];
    char *path; /* NULL: standard error */
    _Atomic int least;
    struct env_mutex lock;
    struct env_file *file; /* under lock */
    uint64_t end;          /* of the file; under lock */
};

static const char *const level_names[] = {
    [LOG_DEBUG] = "DEBUG",     [LOG_INFO] = "INFO",   [LOG_NOTICE] = "NOTICE",
    [LOG_WARNING] = "WARNING", [LOG_ERROR] = "ERROR",
};

bool
log_level_parse(const char *text, enum log_level *out)
{
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
        if (strcasecmp(text, level_names[i]) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static int
log_file_open(struct log *l, struct env_file **file, uint64_t *end)
{
    int rc = env_open(l->env, l->path, ENV_WRITE | ENV_CREATE, file);

    if (rc != 0)
        return rc;
    rc = env_size(*file, end);
    if (rc != 0)
        env_close(*file);
    return rc;
}

int
log_open(struct env *env, const char *name, const char *path, enum log_level least,
         struct log **out)
{
    struct log *l = xcalloc(1, sizeof *l);
    int rc = 0;

    l->env = env;
    snprintf(l->name, sizeof l->name, "%s", name);
    atomic_init(&l->least, (int)least);
    if (path != NULL) {
        l->path = xstrdup(path);
        rc = log_file_open(l, &l->file, &l->end);
    }
    if (rc != 0) {
        xfree(l->path);
        xfree(l);
        *out = NULL;
        return rc;
    }
    env_mutex_init(env, &l->lock);
    *out = l;
    return 0;
}

void
log_close(struct log *l)
{
    if (l == NULL)
        return;
    env_mutex_fini(&l->lock);
    env_close(l->file);
    xfree(l->path);
    xfree(l);
}

int
log_reopen(struct log *l)
{
    struct env_file *file, *before;
    uint64_t end;
    int rc;

    if (l == NULL || l->path == NULL)
        return 0;
    rc = log_file_open(l, &file, &end);
    if (rc != 0)
        return rc;
    env_mutex_lock(&l->lock);
    before = l->file;
    l->file = file;
    l->end = end;
    env_mutex_unlock(&l->lock);
    env_close(before);
    return 0;
}

bool
log_wants(const struct log *l, enum log_level level)
{
    return l != NULL && (int)level >= atomic_load_explicit(&l->least, memory_order_relaxed);
}

/* A line that the file does not take goes to standard error; the log never makes a caller fail. */
static void
line_write(struct log *l, const char *line, size_t size)
{
    bool is_written = false;

    env_mutex_lock(&l->lock);
    if (l->file != NULL && env_pwrite(l->file, line, size, l->end) == 0) {
        l->end += size;
        is_written = true;
    }
    env_mutex_unlock(&l->lock);
    if (!is_written)
        env_log_write(l->env, line, size);
}

/* The message cleaned, from `at` on; the last byte is kept for the end of the line. */
static size_t
line_append(char line[LINE_BYTES_MAX], size_t at, const char *message)
{
    for (; *message != '\0' && at < LINE_BYTES_MAX - 2; message++) {
        char c = *message;

        if (c == '\n') {
            line[at++] = '\n';
            line[at++] = '\t';
        } else {
            line[at++] = ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f ? '?' : c;
        }
    }
    return at;
}

static void
line_make_and_write(struct log *l, enum log_level level, const char *message)
{
    uint64_t now_us = env_wall_us(l->env);
    time_t seconds = (time_t)(now_us / 1000000);
    char line[LINE_BYTES_MAX];
    struct tm tm;
    size_t n;

    gmtime_r(&seconds, &tm);
    n = strftime(line, 32, "%Y-%m-%d %H:%M:%S", &tm);
    n += (size_t)snprintf(line + n, sizeof line - n,
                          ".%03u UTC [%s] %s: ", (unsigned)(now_us / 1000 % 1000), l->name,
                          level_names[level]);
    n = line_append(line, n, message);
    line[n++] = '\n';
    line_write(l, line, n);
}

void
log_at(struct log *l, enum log_level level, const char *fmt, ...)
{
    char message[LINE_BYTES_MAX];
    va_list ap;

    if (!log_wants(l, level))
        return;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    line_make_and_write(l, level, message);
}

void
log_diag(struct log *l, enum log_level level, const char *fmt, ...)
{
    char message[LINE_BYTES_MAX];
    struct diag d = *diag_last(); /* writing the line may record an error of its own */
    va_list ap;
    int n;

    if (!log_wants(l, level))
        return;
    va_start(ap, fmt);
    n = vsnprintf(message, sizeof message / 2, fmt, ap);
    va_end(ap);
    if (n < 0 || n >= (int)sizeof message / 2)
        n = (int)sizeof message / 2 - 1;
    snprintf(message + n, sizeof message - (size_t)n, ": %s (%s)%s%s%s%s", d.message,
             err_sqlstate(d.code), d.detail[0] != '\0' ? "\nDETAIL: " : "", d.detail,
             d.hint[0] != '\0' ? "\nHINT: " : "", d.hint);
    line_make_and_write(l, level, message);
    diag_restore(&d);
}
