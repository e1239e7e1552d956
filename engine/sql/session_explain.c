/* EXPLAIN [ANALYZE].
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <strings.h>

#include "engine/sql/planner.h"
#include "engine/sql/session_int.h"

struct explain {
    bool analyze, verbose, costs, timing, summary, summary_said;
};

static int
bool_option(struct sql_session *s, const struct ast_option *o, bool *out)
{
    const char *text = sess_option_text(&s->message, o->value);

    *out = true;
    if (text != NULL && !setting_parse_bool(text, out))
        return DIAG(ERR_SYNTAX, "%s requires a Boolean value", o->name);
    return 0;
}

static int
read_option(struct sql_session *s, const struct ast_option *o, struct explain *e)
{
    const char *text = sess_option_text(&s->message, o->value);
    bool ignored;

    if (strcmp(o->name, "analyze") == 0)
        return bool_option(s, o, &e->analyze);
    if (strcmp(o->name, "verbose") == 0)
        return bool_option(s, o, &e->verbose);
    if (strcmp(o->name, "costs") == 0)
        return bool_option(s, o, &e->costs);
    if (strcmp(o->name, "timing") == 0)
        return bool_option(s, o, &e->timing);
    if (strcmp(o->name, "summary") == 0) {
        e->summary_said = true;
        return bool_option(s, o, &e->summary);
    }
    if (strcmp(o->name, "buffers") == 0 || strcmp(o->name, "settings") == 0 ||
        strcmp(o->name, "wal") == 0) {
        int rc = bool_option(s, o, &ignored);

        if (rc == 0 && ignored)
            return DIAG(ERR_NOT_SUPPORTED, "EXPLAIN option \"%s\" is not supported", o->name);
        return rc;
    }
    if (strcmp(o->name, "format") == 0) {
        if (text != NULL && strcasecmp(text, "text") == 0)
            return 0;
        return DIAG(ERR_NOT_SUPPORTED, "EXPLAIN format \"%s\" is not supported",
                    text != NULL ? text : "");
    }
    return DIAG(ERR_SYNTAX, "unrecognized EXPLAIN option \"%s\"", o->name);
}

static int
put_line(struct sql_session *s, const char *line)
{
    return sess_text_row(s, &line, 1);
}

static int
put_lines(struct sql_session *s, const struct plan *plan, const struct explain *e,
          const uint64_t *spilled)
{
    struct explain_options o = {
        .costs = e->costs, .verbose = e->verbose, .timing = e->timing, .spilled = spilled
    };
    const char **lines;
    int32_t count;
    int rc = 0;

    sql_explain(plan, &o, &s->message, &lines, &count);
    for (int32_t i = 0; i < count && rc == 0; i++)
        rc = put_line(s, lines[i]);
    return rc;
}

static const char *
milliseconds(struct arena *a, const char *what, uint64_t ns)
{
    return arena_printf(a, "%s: %.3f ms", what, (double)ns / 1e6);
}

/* Runs the plan and throws its rows away. */
static int
run_plan(struct sql_session *s, struct shared_plan *p, const struct datum *params, uint64_t *rows,
         uint64_t *ns, uint64_t *spilled)
{
    struct exec_ctx *ctx = sess_ctx(s, p->plan->set, params, p->plan->param_count);
    uint64_t began = env_boot_ns(s->q->env);
    const struct batch *b;
    struct exec *x;
    int rc = exec_open(p->plan, ctx, &x);

    *rows = 0;
    if (rc != 0)
        return rc;
    while ((rc = exec_next(x, &b)) == 0)
        *rows += b->sel_count;
    if (p->plan->result_count == 0)
        *rows = exec_affected(x);
    for (int32_t i = 0; i < p->plan->node_count; i++)
        spilled[i] = exec_spilled(x, i);
    exec_close(x);
    *ns = env_boot_ns(s->q->env) - began;
    sess_require(s);
    return rc == ERR_END ? 0 : rc;
}

static void
describe(struct sql_session *s, const struct dest *d)
{
    static const struct text_column column = { "QUERY PLAN", 0 };

    if (d->describe)
        sess_text_describe(s, &column, 1, d->formats, d->format_count);
}

static int
explain_plan(struct sql_session *s, struct shared_plan *p, const struct explain *e,
             const struct dest *d, uint64_t planning_ns)
{
    uint64_t *spilled = ARENA_ARRAY(&s->message, uint64_t, p->plan->node_count + 1);
    uint64_t rows = 0, ns = 0;
    int rc = 0;

    if (e->analyze)
        rc = run_plan(s, p, NULL, &rows, &ns, spilled);
    if (rc == 0) {
        describe(s, d);
        rc = put_lines(s, p->plan, e, spilled);
    }
    if (rc == 0 && e->analyze)
        rc = put_line(s, arena_printf(&s->message, "Actual Rows: %llu", (unsigned long long)rows));
    if (rc == 0 && (e->summary_said ? e->summary : e->analyze))
        rc = put_line(s, milliseconds(&s->message, "Planning Time", planning_ns));
    if (rc == 0 && e->analyze && (!e->summary_said || e->summary))
        rc = put_line(s, milliseconds(&s->message, "Execution Time", ns));
    return rc;
}

static int
no_plan(struct sql_session *s, const struct dest *d)
{
    describe(s, d);
    return put_line(s, "Utility statements have no plan structure");
}

static int
explain_prepared(struct sql_session *s, const struct ast_execute *a, const struct explain *e,
                 const struct dest *d)
{
    struct statement *st;
    int rc = sess_statement_need(s, slice_str(a->name), &st);

    if (rc != 0)
        return rc;
    if (st->body != NULL || st->plan == NULL)
        return no_plan(s, d);
    if (e->analyze && st->param_count > 0)
        return DIAG(ERR_NOT_SUPPORTED, "EXPLAIN ANALYZE of EXECUTE with parameters is not "
                                       "supported");
    rc = sess_statement_open(s, st);
    if (rc != 0)
        return rc;
    rc = explain_plan(s, st->plan, e, d, 0);
    sess_statement_end(s);
    return rc;
}

static const struct ast *
query_of(const struct ast *statement)
{
    if (statement->kind == AST_CREATE_TABLE_AS)
        return AST_CONST(ast_create_table_as, statement)->query;
    if (statement->kind == AST_DECLARE_CURSOR)
        return AST_CONST(ast_declare_cursor, statement)->query;
    return statement;
}

int
sess_explain_run(struct sql_session *s, const struct ast_explain *a, struct slice text,
                 const struct dest *d)
{
    struct plan_source source = { .text = text, .tree = query_of(a->statement), .is_inner = true };
    struct explain e = { .costs = true, .timing = true };
    struct shared_plan *plan = NULL;
    uint64_t began = env_boot_ns(s->q->env), planning_ns;
    int rc = 0;

    for (int32_t i = 0; i < ast_count(a->options) && rc == 0; i++)
        rc = read_option(s, AST_CONST(ast_option, a->options->item[i]), &e);
    if (rc == 0 && e.analyze && source.tree != a->statement)
        rc = DIAG(ERR_NOT_SUPPORTED, "EXPLAIN ANALYZE is not supported for this statement");
    if (rc != 0)
        return rc;
    if (source.tree->kind == AST_EXECUTE)
        return explain_prepared(s, AST_CONST(ast_execute, source.tree), &e, d);
    if (!sess_kind_is_planned(source.tree->kind))
        return no_plan(s, d);
    rc = sess_plan_open(s, &source, &plan);
    if (rc != 0) {
        shared_plan_unref(plan);
        return rc;
    }
    planning_ns = env_boot_ns(s->q->env) - began;
    if (e.analyze && plan->plan->param_count > 0)
        rc = DIAG(ERR_UNDEFINED_PARAMETER, "there is no parameter $1");
    if (rc == 0)
        rc = explain_plan(s, plan, &e, d, planning_ns);
    sess_statement_end(s);
    shared_plan_unref(plan);
    return rc;
}
