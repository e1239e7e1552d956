/* Simple queries: a text of any number of statements.
 *
 * One statement that is planned goes by its normalized text: its literals become parameters, so
 * that it finds the plan of the last one like it. All else is parsed and run in order, in one
 * implicit transaction unless it says otherwise.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/session_int.h"

static const struct dest simple_dest = { .describe = true };

static int
finish(struct sql_session *s, const char *tag, bool is_last)
{
    int rc = is_last ? sess_tx_end_implicit(s) : 0;

    if (rc == 0)
        s->client->ops->command_complete(s->client, tag);
    return rc;
}

static int
run_planned(struct sql_session *s, const struct plan_source *source, char tag[TAG_MAX])
{
    struct shared_plan *plan = NULL;
    struct datum *params = NULL;
    int rc = sess_tx_need(s);

    if (rc == 0)
        rc = sess_plan_open(s, source, &plan);
    if (rc != 0) {
        shared_plan_unref(plan);
        return rc;
    }
    if (source->normal != NULL)
        rc = sess_lifted_params(s, source, plan->plan, &s->message, &params);
    else if (plan->plan->param_count > 0)
        rc = DIAG(ERR_UNDEFINED_PARAMETER, "there is no parameter $1");
    if (rc == 0)
        rc = sess_run_plan(s, plan, params, &simple_dest, tag);
    sess_require_run(s, plan->plan, rc);
    sess_statement_end(s);
    shared_plan_unref(plan);
    return rc;
}

static int
run_one(struct sql_session *s, const struct ast_statement *st, struct slice text, bool is_last)
{
    struct plan_source source = {
        .text = text,
        .own = slice(text.data + st->node.at, (size_t)(st->end - st->node.at)),
        .tree = st->body,
    };
    char tag[TAG_MAX] = "";
    int rc;

    if (sess_kind_is_planned(st->body->kind))
        rc = run_planned(s, &source, tag);
    else
        rc = sess_utility(s, st->body, text, &simple_dest, tag);
    return rc != 0 ? rc : finish(s, tag, is_last);
}

static int
run_list(struct sql_session *s, struct slice text)
{
    struct ast_list *list;
    int rc = sql_parse(&s->message, text, &list);
    int32_t count;

    if (rc != 0)
        return rc;
    count = ast_count(list);
    if (count == 0) {
        s->client->ops->empty_query(s->client);
        return 0;
    }
    s->tx_several = count > 1;
    for (int32_t i = 0; i < count && rc == 0; i++)
        rc = run_one(s, AST_CONST(ast_statement, list->item[i]), text, i == count - 1);
    s->tx_several = false;
    return rc;
}

int
sess_simple_query(struct sql_session *s, struct slice text)
{
    struct plan_source source = { .text = text };
    struct sql_normal normal;
    char tag[TAG_MAX];
    int rc;

    arena_reset(&s->message);
    sess_statement_drop(s, slice(NULL, 0));
    if (s->unnamed_portal != NULL && s->unnamed_portal->is_open)
        sess_portal_close(s->unnamed_portal);
    rc = sql_normalize(&s->message, text, &normal);
    if (rc != 0)
        return rc;
    if (!normal.cacheable)
        return run_list(s, text);
    source.normal = &normal;
    rc = run_planned(s, &source, tag);
    return rc != 0 ? rc : finish(s, tag, true);
}
