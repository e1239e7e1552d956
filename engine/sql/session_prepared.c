/* Prepared statements: by Parse and by PREPARE. They hold their plan; a plan that has become stale
 * is made anew, and must then still give the same columns.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/sql/bind.h"
#include "engine/sql/session_int.h"

bool
sess_kind_is_planned(enum ast_kind kind)
{
    return kind == AST_SELECT || kind == AST_INSERT || kind == AST_UPDATE || kind == AST_DELETE;
}

/* ---- by name --------------------------------------------------------------------------------- */

static struct statement **
place_of(struct sql_session *s, struct slice name)
{
    uint32_t hash = 0;
    struct statement **at;

    for (size_t i = 0; i < name.size; i++)
        hash = hash * 31 + name.data[i];
    at = &s->statements[hash % STATEMENT_BUCKETS];
    while (*at != NULL && !slice_eq(slice_str((*at)->name), name))
        at = &(*at)->next;
    return at;
}

struct statement *
sess_statement_find(struct sql_session *s, struct slice name)
{
    return name.size == 0 ? s->unnamed : *place_of(s, name);
}

int
sess_statement_need(struct sql_session *s, struct slice name, struct statement **out)
{
    *out = sess_statement_find(s, name);
    if (*out != NULL)
        return 0;
    if (name.size == 0)
        return DIAG(ERR_UNDEFINED_STATEMENT, "unnamed prepared statement does not exist");
    return DIAG(ERR_UNDEFINED_STATEMENT, "prepared statement \"%.*s\" does not exist",
                (int)name.size, (const char *)name.data);
}

int
sess_statement_add(struct sql_session *s, struct statement *st)
{
    struct slice name = slice_str(st->name);
    struct statement **at;

    if (name.size == 0) {
        sess_statement_unref(s->unnamed);
        s->unnamed = st;
        return 0;
    }
    at = place_of(s, name);
    if (*at != NULL) {
        (void)DIAG(ERR_DUPLICATE_STATEMENT, "prepared statement \"%s\" already exists", st->name);
        sess_statement_unref(st);
        return ERR_DUPLICATE_STATEMENT;
    }
    *at = st;
    return 0;
}

void
sess_statement_drop(struct sql_session *s, struct slice name)
{
    struct statement **at, *st;

    if (name.size == 0) {
        sess_statement_unref(s->unnamed);
        s->unnamed = NULL;
        return;
    }
    at = place_of(s, name);
    st = *at;
    if (st == NULL)
        return;
    *at = st->next;
    st->next = NULL;
    sess_statement_unref(st);
}

void
sess_statements_drop_all(struct sql_session *s)
{
    for (int i = 0; i < STATEMENT_BUCKETS; i++) {
        while (s->statements[i] != NULL) {
            struct statement *st = s->statements[i];

            s->statements[i] = st->next;
            st->next = NULL;
            sess_statement_unref(st);
        }
    }
    sess_statement_unref(s->unnamed);
    s->unnamed = NULL;
}

void
sess_statement_unref(struct statement *st)
{
    if (st == NULL || --st->ref_count > 0)
        return;
    shared_plan_unref(st->plan);
    arena_fini(&st->arena);
    xfree(st);
}

/* ---- making ---------------------------------------------------------------------------------- */

static void
keep_results(struct statement *st, const struct plan *plan)
{
    st->result_count = plan->result_count;
    st->results = ARENA_ARRAY(&st->arena, struct sql_type, plan->result_count + 1);
    for (int32_t i = 0; i < plan->result_count; i++)
        st->results[i] = plan->results[i].type;
}

static void
keep_plan(struct statement *st, struct shared_plan *p)
{
    size_t size = (size_t)p->plan->param_count * sizeof(uint32_t);
    uint32_t *types = arena_alloc(&st->arena, size + 1);

    if (size > 0)
        memcpy(types, p->plan->param_types, size);
    st->param_types = types;
    st->param_count = p->plan->param_count;
    st->kind = p->plan->statement;
    st->plan = p;
    keep_results(st, p->plan);
}

struct plan_source
sess_statement_source(const struct statement *st)
{
    bool settled = st->param_types != NULL;

    return (struct plan_source){ .text = st->text,
                                 .type_count = settled ? st->param_count : st->given_count,
                                 .types = settled ? st->param_types : st->given };
}

/* A failed transaction takes nothing but its end. */
static int
refuse_failed(struct sql_session *s, const struct ast *body)
{
    if (s->tx == TX_FAILED && !sess_utility_ends_transaction(body))
        return sess_tx_need(s);
    return 0;
}

/* Text that no plan is there for. */
static int
make_from_text(struct sql_session *s, struct statement *st)
{
    struct plan_source source = sess_statement_source(st);
    struct shared_plan *plan = NULL;
    struct ast_list *list;
    int rc = sql_parse(&st->arena, st->text, &list);

    if (rc != 0)
        return rc;
    if (ast_count(list) > 1)
        return DIAG(ERR_SYNTAX, "cannot insert multiple commands into a prepared statement");
    if (ast_count(list) == 0)
        return 0;
    source.tree = AST_AS(ast_statement, list->item[0])->body;
    st->kind = source.tree->kind;
    if (!sess_kind_is_planned(st->kind)) {
        st->body = source.tree;
        return refuse_failed(s, st->body);
    }
    rc = sess_tx_need(s);
    if (rc == 0)
        rc = sess_plan_look(s, &source, &plan);
    if (rc == 0)
        keep_plan(st, plan);
    return rc;
}

int
sess_statement_make(struct sql_session *s, struct slice name, struct slice text,
                    const uint32_t *types, int32_t type_count, struct statement **out)
{
    struct statement *st = xcalloc(1, sizeof *st);
    struct shared_plan *plan = NULL;
    int rc = 0;

    st->session = s;
    st->ref_count = 1;
    arena_init(&st->arena, &s->memory);
    st->name = arena_strndup(&st->arena, (const char *)name.data, name.size);
    st->text =
        slice(arena_memdup(&st->arena, text.size > 0 ? text.data : (const uint8_t *)"", text.size),
              text.size);
    st->given_count = type_count;
    if (type_count > 0)
        st->given = arena_memdup(&st->arena, types, (size_t)type_count * sizeof *types);
    st->prepared_at = s->statement_time;
    if (s->tx != TX_FAILED) {
        struct plan_source source = sess_statement_source(st);

        rc = sess_tx_need(s);
        if (rc == 0)
            rc = sess_plan_cached(s, &source, &plan);
    }
    if (rc == 0 && plan != NULL)
        keep_plan(st, plan);
    else if (rc == 0)
        rc = make_from_text(s, st);
    if (rc != 0) {
        sess_statement_unref(st);
        return rc;
    }
    *out = st;
    return 0;
}

/* ---- running --------------------------------------------------------------------------------- */

static bool
results_same(const struct statement *st, const struct plan *plan)
{
    if (plan->result_count != st->result_count)
        return false;
    for (int32_t i = 0; i < st->result_count; i++)
        if (plan->results[i].type.oid != st->results[i].oid ||
            plan->results[i].type.typmod != st->results[i].typmod)
            return false;
    return true;
}

int
sess_statement_open(struct sql_session *s, struct statement *st)
{
    struct plan_source source = sess_statement_source(st);
    struct shared_plan *before = st->plan;
    int rc = sess_plan_open(s, &source, &st->plan);

    if (rc != 0 || st->plan == before)
        return rc;
    if (!results_same(st, st->plan->plan)) {
        sess_statement_end(s);
        return DIAG(ERR_NOT_SUPPORTED, "cached plan must not change result type");
    }
    return 0;
}

/* ---- PREPARE, EXECUTE, DEALLOCATE -------------------------------------------------------------
 */

int
sess_error_within(int rc, struct slice text, int32_t at)
{
    int32_t position = diag_last()->position;

    if (rc != 0 && position > 0)
        diag_position(position + sql_position(text, at) - 1);
    return rc;
}

static int
run_prepare(struct sql_session *s, const struct ast_prepare *a, struct slice text)
{
    int32_t count = ast_count(a->types);
    uint32_t *types = ARENA_ARRAY(&s->message, uint32_t, count + 1);
    struct slice body =
        slice(text.data + a->statement_at, (size_t)(a->statement_end - a->statement_at));
    struct statement *st;
    int rc = 0;

    if (sess_statement_find(s, slice_str(a->name)) != NULL)
        return DIAG(ERR_DUPLICATE_STATEMENT, "prepared statement \"%s\" already exists", a->name);
    for (int32_t i = 0; i < count && rc == 0; i++) {
        struct sql_type type;

        rc = sql_bind_type(text, AST_CONST(ast_type_name, a->types->item[i]), &type);
        types[i] = type.oid;
    }
    if (rc == 0)
        rc = sess_error_within(sess_statement_make(s, slice_str(a->name), body, types, count, &st),
                               text, a->statement_at);
    if (rc != 0)
        return rc;
    st->from_sql = true;
    return sess_statement_add(s, st);
}

static int
eval_argument(struct sql_session *s, const struct ast *arg, struct slice text, uint32_t type,
              struct datum *out)
{
    struct binder_catalog names = sess_binder_catalog(s);
    struct bind_request r = { .arena = &s->message,
                              .text = text,
                              .catalog = &names,
                              .funcs = &func_set_session,
                              .types = &s->types };
    struct bind_expr_request what = {
        .expr = arg, .what = "EXECUTE parameters", .type = { type, -1 }, .column = "parameter"
    };
    struct cat_set *set;
    struct expr *e;
    int rc = sess_set(s, &set);

    if (rc == 0)
        rc = sql_bind_expr(&r, &what, &e);
    if (rc == 0)
        rc = exec_eval(sess_ctx(s, set, NULL, 0), e, &s->message, out);
    if (rc == 0 && !out->is_null)
        *out = datum_copy(&s->message, out, (enum type_rep)type_get(type)->rep);
    return rc;
}

static int
eval_arguments(struct sql_session *s, const struct ast_execute *a, struct slice text,
               const struct statement *st, struct datum *params)
{
    int rc = sess_statement_begin(s);

    if (rc != 0)
        return rc;
    for (int32_t i = 0; i < st->param_count && rc == 0; i++)
        rc = eval_argument(s, a->args->item[i], text, st->param_types[i], &params[i]);
    sess_statement_end(s);
    return rc;
}

int
sess_execute_run(struct sql_session *s, const struct ast_execute *a, struct slice text,
                 const struct dest *d, char tag[TAG_MAX])
{
    struct statement *st;
    struct datum *params;
    int rc = sess_statement_need(s, slice_str(a->name), &st);

    if (rc != 0)
        return rc;
    if (ast_count(a->args) != st->param_count) {
        (void)DIAG(ERR_SYNTAX, "wrong number of parameters for prepared statement \"%s\"", a->name);
        diag_detail("Expected %d parameters but got %d.", st->param_count, ast_count(a->args));
        return ERR_SYNTAX;
    }
    st->ref_count++;
    params = ARENA_ARRAY(&s->message, struct datum, st->param_count + 1);
    if (st->param_count > 0)
        rc = eval_arguments(s, a, text, st, params);
    if (rc == 0 && st->body != NULL) {
        rc = sess_utility(s, st->body, st->text, d, tag);
    } else if (rc == 0 && st->kind != AST_NONE) {
        rc = sess_statement_open(s, st);
        if (rc == 0) {
            rc = sess_run_plan(s, st->plan, params, d, tag);
            sess_require_run(s, st->plan->plan, rc);
            sess_statement_end(s);
        }
    }
    sess_statement_unref(st);
    return rc;
}

int
sess_prepare_run(struct sql_session *s, const struct ast *body, struct slice text,
                 char tag[TAG_MAX])
{
    const struct ast_deallocate *d = AST_CONST(ast_deallocate, body);
    struct statement *st;
    int rc;

    if (body->kind == AST_PREPARE) {
        snprintf(tag, TAG_MAX, "PREPARE");
        return run_prepare(s, AST_CONST(ast_prepare, body), text);
    }
    snprintf(tag, TAG_MAX, d->name == NULL ? "DEALLOCATE ALL" : "DEALLOCATE");
    if (d->name == NULL) {
        sess_statements_drop_all(s);
        return 0;
    }
    rc = sess_statement_need(s, slice_str(d->name), &st);
    if (rc == 0)
        sess_statement_drop(s, slice_str(d->name));
    return rc;
}
