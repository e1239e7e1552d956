/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/base/task.h"

static const struct {
    const char *name, *sqlstate;
} err_table[ERR_COUNT] = {
#define ERR_ROW(name, state) [ERR_ORDINAL_##name] = { #name, state },
    ERR_LIST(ERR_ROW)
#undef ERR_ROW
};

_Thread_local struct task *task_current_or_null;
static _Thread_local struct task task_default;

struct task *
task_self(void)
{
    if (task_current_or_null == NULL)
        task_current_or_null = &task_default;
    return task_current_or_null;
}

static struct diag *
diag_self(void)
{
    struct task *t = task_self();

    if (t->diag == NULL)
        t->diag = xcalloc(1, sizeof *t->diag);
    return t->diag;
}

int
diag_set_at(const char *file, int line, int code, const char *fmt, ...)
{
    int saved = errno;
    struct diag *d = diag_self();
    char message[sizeof d->message]; /* an argument may point into the old message */
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    memset(d, 0, sizeof *d);
    memcpy(d->message, message, sizeof message);
    d->code = code;
    d->os_errno = saved;
    d->file = file;
    d->line = line;
    return code;
}

void
diag_detail(const char *fmt, ...)
{
    struct diag *d = diag_self();
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(d->detail, sizeof d->detail, fmt, ap);
    va_end(ap);
}

void
diag_hint(const char *fmt, ...)
{
    struct diag *d = diag_self();
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(d->hint, sizeof d->hint, fmt, ap);
    va_end(ap);
}

void
diag_where(const char *fmt, ...)
{
    struct diag *d = diag_self();
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(d->where, sizeof d->where, fmt, ap);
    va_end(ap);
}

void
diag_position(int32_t position)
{
    diag_self()->position = position;
}

static void
diag_field(char *field, size_t size, const char *value)
{
    if (value != NULL)
        snprintf(field, size, "%s", value);
}

void
diag_object(const char *schema, const char *table, const char *column, const char *constraint)
{
    struct diag *d = diag_self();

    diag_field(d->schema, sizeof d->schema, schema);
    diag_field(d->table, sizeof d->table, table);
    diag_field(d->column, sizeof d->column, column);
    diag_field(d->constraint, sizeof d->constraint, constraint);
}

void
diag_context(const char *fmt, ...)
{
    struct diag *d = diag_self();
    char message[sizeof d->message];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    if (n > 0 && (size_t)n < sizeof message)
        snprintf(message + n, sizeof message - (size_t)n, ": %s", d->message);
    memcpy(d->message, message, sizeof message);
}

const struct diag *
diag_last(void)
{
    return diag_self();
}

void
diag_clear(void)
{
    if (task_self()->diag != NULL)
        task_self()->diag->code = 0;
}

void
diag_restore(const struct diag *d)
{
    *diag_self() = *d;
}

const char *
err_sqlstate(int code)
{
    return code < 0 && code >= -ERR_COUNT ? err_table[-code - 1].sqlstate : "XX000";
}

const char *
err_name(int code)
{
    return code < 0 && code >= -ERR_COUNT ? err_table[-code - 1].name : "UNKNOWN";
}

NORETURN
static void
die(const char *file, int line, const char *what)
{
    struct task *t = task_self();

    if (t->env != NULL)
        env_panic(t->env, file, line, what);
    fprintf(stderr, "PANIC: %s (%s:%d)\n", what, file, line);
    abort();
}

void
check_failed(const char *file, int line, const char *what)
{
    char text[512];

    snprintf(text, sizeof text, "invariant broken: %s", what);
    die(file, line, text);
}

void
panic_at(const char *file, int line, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    die(file, line, text);
}
