/* Statements that are not planned: who does what.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <strings.h>

#include "engine/base/fiber.h"
#include "engine/catalog/ddl.h"
#include "engine/sql/session_int.h"

bool
sess_utility_ends_transaction(const struct ast *body)
{
    const struct ast_transaction *a = AST_CONST(ast_transaction, body);

    return body->kind == AST_TRANSACTION &&
           (a->op == AST_TX_COMMIT || a->op == AST_TX_ROLLBACK || a->op == AST_TX_ROLLBACK_TO);
}

/* ---- work that blocks -------------------------------------------------------------------------
 */

static int
flush_cb(void *arg)
{
    return engine_flush_all(arg);
}

static int
compact_cb(void *arg)
{
    return engine_compact_all(arg);
}

static int
run_job(struct sql_session *s, int (*fn)(void *arg))
{
    struct sql_engine *q = s->q;

    return q->jobs != NULL ? job_run(q->jobs, fn, q->engine) : fn(q->engine);
}

/* ---- DISCARD -----------------------------------------------------------------------------------
 */

static int
run_discard(struct sql_session *s, const struct ast_discard *a, char tag[TAG_MAX])
{
    static const char *const tags[] = {
        [AST_DISCARD_ALL] = "DISCARD ALL",
        [AST_DISCARD_PLANS] = "DISCARD PLANS",
        [AST_DISCARD_SEQUENCES] = "DISCARD SEQUENCES",
        [AST_DISCARD_TEMP] = "DISCARD TEMP",
    };
    int rc;

    snprintf(tag, TAG_MAX, "%s", tags[a->what]);
    if (a->what == AST_DISCARD_SEQUENCES)
        sess_sequences_forget(s);
    if (a->what != AST_DISCARD_ALL)
        return 0; /* plans are made anew when they must be; there are no temporary tables */
    rc = sess_tx_refuse_block(s, "DISCARD ALL");
    if (rc != 0)
        return rc;
    sess_portals_close(s, -1);
    settings_reset_all(&s->settings, s->savepoint_count);
    sess_statements_drop_all(s);
    sess_sequences_forget(s);
    return 0;
}

/* ---- LOCK TABLE --------------------------------------------------------------------------------
 */

static int
lock_one(struct sql_session *s, const struct ast_relation *r, const struct ast_lock *a)
{
    const struct cat_table *t = NULL;
    oid_t oid = 0;
    int rc = sess_statement_begin(s);

    if (rc != 0)
        return rc;
    rc = sess_need_table(s, r, &t);
    if (rc == 0 && t->kind != CAT_TABLE)
        rc = DIAG(ERR_WRONG_OBJECT_TYPE, "\"%s\" is not a table", t->name);
    if (rc == 0)
        rc = a->mode == AST_ACCESS_SHARE ? sess_want_read(s, t) : sess_want_owner(s, t);
    if (rc == 0)
        oid = t->oid;
    sess_statement_end(s);
    if (rc != 0)
        return rc;
    rc = sess_lock(s, oid, (int)a->mode, a->nowait ? LOCK_NOWAIT : LOCK_WAIT);
    if (rc == ERR_LOCK_NOT_AVAILABLE)
        rc = DIAG(ERR_LOCK_NOT_AVAILABLE, "could not obtain lock on relation \"%s\"", r->name);
    return rc;
}

static int
run_lock(struct sql_session *s, const struct ast_lock *a, char tag[TAG_MAX])
{
    int rc = sess_tx_want_block(s, "LOCK TABLE");

    snprintf(tag, TAG_MAX, "LOCK TABLE");
    if (rc == 0 && a->mode > AST_ROW_EXCLUSIVE && !engine_is_open(s->q->engine))
        rc = DIAG(ERR_READ_ONLY_TRANSACTION, "cannot execute LOCK TABLE during recovery");
    for (int32_t i = 0; i < ast_count(a->relations) && rc == 0; i++)
        rc = lock_one(s, AST_CONST(ast_relation, a->relations->item[i]), a);
    return rc;
}

/* ---- VACUUM, ANALYZE ---------------------------------------------------------------------------
 */

static bool
option_is_on(const struct ast_list *options, const char *name)
{
    for (int32_t i = 0; i < ast_count(options); i++) {
        const struct ast_option *o = AST_CONST(ast_option, options->item[i]);
        const struct ast_literal *l = AST_CONST(ast_literal, o->value);

        if (strcmp(o->name, name) != 0)
            continue;
        if (o->value == NULL)
            return true;
        if (o->value->kind == AST_NAME)
            return strcmp(AST_CONST(ast_name, o->value)->name, "off") != 0;
        return l->type == AST_LIT_BOOL ? l->boolean : l->type == AST_LIT_INT && l->integer != 0;
    }
    return false;
}

/* Counts a table's rows and their bytes. */
static int
count_rows(struct sql_session *s, const struct cat_table *t, double *rows, double *bytes)
{
    struct txn_cursor *c;
    struct slice key, value;
    int rc = txn_scan(s->txn, t->tree, slice("", 0), slice(NULL, 0), 0, NULL, &c);

    *rows = *bytes = 0;
    if (rc != 0)
        return rc;
    while ((rc = txn_cursor_next(c, &key, &value)) == 0) {
        *rows += 1;
        *bytes += (double)(key.size + value.size);
        if (((uint64_t)*rows & 1023) != 0)
            continue;
        fiber_yield();
        if (s->client->canceled) {
            rc = DIAG(ERR_QUERY_CANCELED, "canceling statement due to user request");
            break;
        }
    }
    txn_cursor_close(c);
    return rc == ERR_END ? 0 : rc;
}

static int
analyze_one(struct sql_session *s, oid_t oid)
{
    const struct cat_table *t;
    double rows, bytes;
    int rc = sess_lock(s, oid, TABLE_SHARE_UPDATE_EXCLUSIVE, LOCK_WAIT);

    if (rc == 0)
        rc = sess_statement_begin_locked(s);
    if (rc != 0)
        return rc;
    rc = sess_table_by_oid(s, oid, &t);
    if (rc == 0 && t != NULL && t->kind == CAT_TABLE && !t->is_system) {
        rc = count_rows(s, t, &rows, &bytes);
        if (rc == 0)
            rc = ddl_set_statistics(s->q->catalog, s->txn, t, rows, rows > 0 ? bytes / rows : 0);
    }
    sess_statement_end(s);
    return rc;
}

static bool
may_vacuum(struct sql_session *s, const char *name, oid_t owner, bool is_system, const char *word)
{
    if (s->is_superuser || (!is_system && owner == s->role_oid))
        return true;
    sess_notice(s, SQL_WARNING, 0, "skipping \"%s\" --- only %s can %s it", name,
                is_system ? "superuser" : "table or database owner", word);
    return false;
}

/* The tables named, or all, but for those that are another's; in the message arena. */
static int
vacuum_targets(struct sql_session *s, const struct ast_vacuum *a, oid_t **out, int *count)
{
    struct sys_scan scan;
    struct datum row[CLASS_COUNT];
    const char *word = a->is_vacuum ? "vacuum" : "analyze";
    int cap = 64, rc = 0;

    *count = 0;
    *out = ARENA_ARRAY(&s->message, oid_t, cap + ast_count(a->targets));
    for (int32_t i = 0; i < ast_count(a->targets) && rc == 0; i++) {
        const struct cat_table *t;

        rc = sess_need_table(s, AST_CONST(ast_vacuum_target, a->targets->item[i])->relation, &t);
        if (rc == 0 && may_vacuum(s, t->name, t->owner, t->is_system || t->is_virtual, word))
            (*out)[(*count)++] = t->oid;
    }
    if (rc != 0 || ast_count(a->targets) > 0)
        return rc;
    rc = sys_scan_open(&scan, s->q->catalog, s->txn, SYS_CLASS, -1, NULL, 0, NULL, &s->message);
    while (rc == 0 && (rc = sys_scan_next(&scan, row)) == 0) {
        if (row[CLASS_KIND].i != CAT_TABLE ||
            !may_vacuum(
                s,
                arena_strndup(&s->message, (const char *)row[CLASS_NAME].p, row[CLASS_NAME].size),
                (oid_t)row[CLASS_OWNER].i, row[CLASS_NAMESPACE].i == CAT_NAMESPACE_CATALOG, word))
            continue;
        if (*count == cap) {
            oid_t *more = ARENA_ARRAY(&s->message, oid_t, 2 * cap);

            memcpy(more, *out, (size_t)cap * sizeof *more);
            *out = more;
            cap *= 2;
        }
        (*out)[(*count)++] = (oid_t)row[CLASS_OID].i;
    }
    sys_scan_close(&scan);
    return rc == ERR_END ? 0 : rc;
}

/* There are no dead rows to sweep: what is superseded leaves by itself, when its history expires.
 * VACUUM FULL merges all segments. */
static int
run_vacuum(struct sql_session *s, const struct ast_vacuum *a, char tag[TAG_MAX])
{
    const char *word = a->is_vacuum ? "VACUUM" : "ANALYZE";
    bool analyze = !a->is_vacuum || option_is_on(a->options, "analyze");
    oid_t *oids;
    int count, rc = 0;

    snprintf(tag, TAG_MAX, "%s", word);
    if (a->is_vacuum)
        rc = sess_tx_refuse_block(s, "VACUUM");
    if (rc == 0 && !engine_is_open(s->q->engine))
        rc = DIAG(ERR_READ_ONLY_TRANSACTION, "cannot execute %s during recovery", word);
    if (rc == 0 && analyze)
        rc = sess_tx_want_write(s, word);
    if (rc == 0)
        rc = sess_statement_begin(s);
    if (rc != 0)
        return rc;
    rc = vacuum_targets(s, a, &oids, &count);
    sess_statement_end(s);
    for (int i = 0; i < count && rc == 0 && analyze; i++)
        rc = analyze_one(s, oids[i]);
    if (rc == 0 && count > 0 && a->is_vacuum && option_is_on(a->options, "full"))
        rc = run_job(s, compact_cb);
    return rc;
}

static int
run_checkpoint(struct sql_session *s, char tag[TAG_MAX])
{
    int rc = sess_statement_begin(s); /* it looks the role up */

    snprintf(tag, TAG_MAX, "CHECKPOINT");
    if (rc != 0)
        return rc;
    sess_statement_end(s);
    if (!s->is_superuser)
        return DIAG(ERR_PRIVILEGE, "must be superuser to do CHECKPOINT");
    return run_job(s, flush_cb);
}

/* ---- all of them -------------------------------------------------------------------------------
 */

int
sess_utility(struct sql_session *s, const struct ast *body, struct slice text, const struct dest *d,
             char tag[TAG_MAX])
{
    int rc;

    if (body->kind == AST_TRANSACTION)
        return sess_tx_run(s, AST_CONST(ast_transaction, body), tag);
    rc = sess_tx_need(s);
    if (rc != 0)
        return rc;
    switch (body->kind) {
    case AST_SET:
        return sess_set_run(s, AST_CONST(ast_set, body), tag);
    case AST_SHOW:
        return sess_show_run(s, AST_CONST(ast_show, body), d, tag);
    case AST_DISCARD:
        return run_discard(s, AST_CONST(ast_discard, body), tag);
    case AST_PREPARE:
    case AST_DEALLOCATE:
        return sess_prepare_run(s, body, text, tag);
    case AST_EXECUTE:
        return sess_execute_run(s, AST_CONST(ast_execute, body), text, d, tag);
    case AST_EXPLAIN:
        snprintf(tag, TAG_MAX, "EXPLAIN");
        return sess_explain_run(s, AST_CONST(ast_explain, body), text, d);
    case AST_COPY:
        return sess_copy_run(s, AST_CONST(ast_copy, body), text, tag);
    case AST_DECLARE_CURSOR:
    case AST_FETCH:
    case AST_CLOSE:
        return sess_cursor_run(s, body, text, d, tag);
    case AST_LOCK:
        return run_lock(s, AST_CONST(ast_lock, body), tag);
    case AST_VACUUM:
        return run_vacuum(s, AST_CONST(ast_vacuum, body), tag);
    case AST_CHECKPOINT:
        return run_checkpoint(s, tag);
    default:
        return sess_ddl_run(s, body, text, tag);
    }
}

int
sess_utility_describe(struct sql_session *s, const struct ast *body, const int16_t *formats,
                      int format_count, int *count)
{
    static const struct text_column explain = { "QUERY PLAN", 0 };
    struct statement *st;
    struct portal *p;

    *count = 0;
    switch (body->kind) {
    case AST_SHOW:
        *count = sess_show_describe(s, AST_CONST(ast_show, body), formats, format_count);
        return 0;
    case AST_EXPLAIN:
        sess_text_describe(s, &explain, 1, formats, format_count);
        *count = 1;
        return 0;
    case AST_FETCH:
        p = sess_portal_find(s, slice_str(AST_CONST(ast_fetch, body)->name));
        if (p == NULL || p->plan == NULL || AST_CONST(ast_fetch, body)->move)
            return 0;
        *count = p->plan->plan->result_count;
        sess_describe_plan(s, p->plan->plan, formats, format_count);
        return 0;
    case AST_EXECUTE:
        st = sess_statement_find(s, slice_str(AST_CONST(ast_execute, body)->name));
        if (st == NULL || st->plan == NULL || st->plan->plan->result_count == 0)
            return 0;
        *count = st->plan->plan->result_count;
        sess_describe_plan(s, st->plan->plan, formats, format_count);
        return 0;
    default:
        return 0;
    }
}
