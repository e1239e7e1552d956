/* Cursors: DECLARE, FETCH, MOVE, CLOSE. They go forward only.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/sql/session_int.h"

static int
check_declare(struct sql_session *s, const struct ast_declare_cursor *a)
{
    if (a->scroll)
        return DIAG(ERR_NOT_SUPPORTED, "SCROLL cursors are not supported");
    if (!sess_kind_is_planned(a->query->kind))
        return DIAG(ERR_NOT_SUPPORTED, "this statement cannot have a cursor");
    return a->hold ? 0 : sess_tx_want_block(s, "DECLARE CURSOR");
}

static int
run_declare(struct sql_session *s, const struct ast_declare_cursor *a, struct slice text)
{
    static const int16_t binary = 1;
    struct slice query = slice(text.data + a->query_at, (size_t)(a->query_end - a->query_at));
    struct statement *st;
    struct portal *p;
    int rc = check_declare(s, a);

    if (rc == 0)
        rc = sess_error_within(sess_statement_make(s, slice_str(""), query, NULL, 0, &st), text,
                               a->query_at);
    if (rc != 0)
        return rc;
    if (st->param_count > 0)
        rc = DIAG(ERR_NOT_SUPPORTED, "a cursor's query cannot have parameters here");
    if (rc == 0)
        rc = sess_portal_new(s, slice_str(a->name), &p);
    if (rc != 0) {
        sess_statement_unref(st);
        return rc;
    }
    p->statement = st;
    p->is_cursor = true;
    p->hold = a->hold;
    if (a->binary) {
        p->formats = arena_memdup(&p->arena, &binary, sizeof binary);
        p->format_count = 1;
    }
    rc = sess_portal_start(p);
    if (rc != 0)
        sess_portal_close(p);
    return rc;
}

static int
find_cursor(struct sql_session *s, const char *name, struct portal **out)
{
    *out = sess_portal_find(s, slice_str(name));
    if (*out == NULL)
        return DIAG(ERR_UNDEFINED_CURSOR, "cursor \"%s\" does not exist", name);
    return 0;
}

/* How many rows; 0 with *none: nothing at all. */
static int
fetch_count(const struct ast_fetch *a, uint64_t *count, bool *none)
{
    *none = false;
    if (a->dir == AST_FETCH_FORWARD || (a->dir == AST_FETCH_RELATIVE && a->count == 1)) {
        if (a->count < 0)
            return DIAG(ERR_OBJECT_NOT_READY, "cursor can only scan forward");
        *none = a->count == 0;
        *count = a->count == INT64_MAX ? 0 : (uint64_t)a->count;
        return 0;
    }
    (void)DIAG(ERR_OBJECT_NOT_READY, "cursor can only scan forward");
    diag_hint("Declare it with SCROLL option to enable backward scan.");
    return ERR_OBJECT_NOT_READY;
}

static int
run_fetch(struct sql_session *s, const struct ast_fetch *a, const struct dest *d, char tag[TAG_MAX])
{
    struct portal *p;
    uint64_t count, rows = 0;
    int16_t *formats;
    int format_count;
    bool none, done;
    int rc = find_cursor(s, a->name, &p);

    if (rc == 0)
        rc = fetch_count(a, &count, &none);
    if (rc != 0)
        return rc;
    if (p->plan == NULL || p->state == PORTAL_FAILED)
        return DIAG(ERR_OBJECT_NOT_READY, "portal \"%s\" cannot be run", p->name);
    formats = p->formats;
    format_count = p->format_count;
    if (d->format_count > 0) {
        p->formats =
            arena_memdup(&s->message, d->formats, (size_t)d->format_count * sizeof *p->formats);
        p->format_count = d->format_count;
    }
    if (d->describe && !a->move)
        sess_portal_describe(p);
    if (!none)
        rc = sess_portal_rows(p, count, !a->move, &rows, &done);
    p->formats = formats;
    p->format_count = format_count;
    snprintf(tag, TAG_MAX, "%s %llu", a->move ? "MOVE" : "FETCH", (unsigned long long)rows);
    return rc;
}

static int
run_close(struct sql_session *s, const char *name)
{
    struct list *link;
    struct portal *p;
    int rc;

    if (name != NULL) {
        rc = find_cursor(s, name, &p);
        if (rc == 0)
            sess_portal_close(p);
        return rc;
    }
    for (link = s->portals.next; link != &s->portals;) {
        p = container_of(link, struct portal, link);
        link = link->next;
        if (p->is_cursor)
            sess_portal_close(p);
    }
    return 0;
}

int
sess_cursor_run(struct sql_session *s, const struct ast *a, struct slice text, const struct dest *d,
                char tag[TAG_MAX])
{
    const char *name;

    if (a->kind == AST_DECLARE_CURSOR) {
        snprintf(tag, TAG_MAX, "DECLARE CURSOR");
        return run_declare(s, AST_CONST(ast_declare_cursor, a), text);
    }
    if (a->kind == AST_FETCH)
        return run_fetch(s, AST_CONST(ast_fetch, a), d, tag);
    name = AST_CONST(ast_close, a)->name;
    snprintf(tag, TAG_MAX, name == NULL ? "CLOSE CURSOR ALL" : "CLOSE CURSOR");
    return run_close(s, name);
}
