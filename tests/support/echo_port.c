/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/echo_port.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fiber.h"
#include "engine/base/mem.h"
#include "engine/base/scram.h"

enum { NAMED_MAX = 8, PARAMS_MAX = 4 };

struct named {
    char *name, *text;
    char *params[PARAMS_MAX];
    size_t sizes[PARAMS_MAX];
    int param_count, format;
    int next_row; /* of a portal that was suspended */
};

struct sql_session {
    struct echo *echo;
    struct sql_client *client;
    char status;
    bool read_only, is_extended;
    struct fiber_queue sleep;
    struct named statements[NAMED_MAX], portals[NAMED_MAX];
};

/* ---- named things --------------------------------------------------------------------------- */

static struct named *
find(struct named *all, struct slice name)
{
    for (int i = 0; i < NAMED_MAX; i++)
        if (all[i].name != NULL && slice_eq(slice_str(all[i].name), name))
            return &all[i];
    return NULL;
}

static char *
dup_slice(struct slice s)
{
    char *out = xmalloc(s.size + 1);

    if (s.size > 0)
        memcpy(out, s.data, s.size);
    out[s.size] = '\0';
    return out;
}

static void
forget(struct named *n)
{
    xfree(n->name);
    xfree(n->text);
    for (int i = 0; i < n->param_count; i++)
        xfree(n->params[i]);
    *n = (struct named){ 0 };
}

static struct named *
place(struct named *all, struct slice name)
{
    struct named *n = find(all, name);

    if (n != NULL) {
        forget(n);
    } else {
        for (int i = 0; i < NAMED_MAX && n == NULL; i++)
            n = all[i].name == NULL ? &all[i] : NULL;
        CHECK(n != NULL);
    }
    n->name = dup_slice(name);
    return n;
}

/* ---- results -------------------------------------------------------------------------------- */

static void
describe_row(struct sql_client *c, const char *word, int format)
{
    struct sql_field f = { "echo", 0, 0, 25, -1, -1, (int16_t)format };

    if (strcmp(word, "rows") == 0) {
        struct sql_field both[2] = { { "n", 16384, 1, 23, 4, -1, 0 }, f };

        c->ops->row_description(c, both, 2);
    } else if (strcmp(word, "echo") == 0) {
        c->ops->row_description(c, &f, 1);
    } else {
        c->ops->no_data(c);
    }
}

static int
put_rows(struct sql_client *c, int from, int to, size_t filler)
{
    for (int i = from; i < to; i++) {
        size_t row = client_row_begin(c, 2), value = client_value_begin(c);
        char text[16];
        int rc, n = snprintf(text, sizeof text, "%d", i);

        wr_bytes(&c->out, text, (size_t)n);
        client_value_end(c, value);
        value = client_value_begin(c);
        for (size_t k = 0; k < filler; k++)
            wr_u8(&c->out, 'x');
        client_value_end(c, value);
        rc = client_row_end(c, row);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int
copy_in(struct sql_session *s, bool fail)
{
    struct sql_client *c = s->client;
    struct slice data;
    size_t total = 0;
    char tag[32];
    int rc = c->ops->copy_in_begin(c, 0, 1);

    while (rc == 0) {
        rc = c->ops->copy_in_read(c, &data);
        if (rc == 0)
            total += data.size;
        if (rc == 0 && fail)
            return DIAG(ERR_BAD_COPY_FILE, "copy fails");
    }
    if (rc != ERR_END)
        return rc;
    snprintf(tag, sizeof tag, "COPY %zu", total);
    c->ops->command_complete(c, tag);
    return 0;
}

static int
copy_out(struct sql_client *c, int count)
{
    char tag[32];
    int rc = c->ops->copy_out_begin(c, 0, 1);

    for (int i = 0; i < count && rc == 0; i++) {
        size_t row = client_copy_row_begin(c);
        char text[16];
        int n = snprintf(text, sizeof text, "%d\n", i);

        wr_bytes(&c->out, text, (size_t)n);
        rc = client_copy_row_end(c, row);
    }
    if (rc != 0)
        return rc;
    c->ops->copy_out_end(c);
    snprintf(tag, sizeof tag, "COPY %d", count);
    c->ops->command_complete(c, tag);
    return 0;
}

static int
fail_statement(const char *text)
{
    int rc = DIAG(ERR_SYNTAX, "%s", text);

    diag_position(7);
    diag_detail("a detail");
    diag_hint("a hint");
    return rc;
}

static void
put_notice(struct sql_client *c, const char *text)
{
    struct diag d = { 0 };

    snprintf(d.message, sizeof d.message, "%s", text);
    c->ops->notice(c, SQL_NOTICE, &d);
}

static int
sleep_until_canceled(struct sql_session *s)
{
    atomic_fetch_add(&s->echo->sleeping_count, 1);
    while (!s->client->canceled)
        fiber_queue_wait(&s->sleep);
    atomic_fetch_sub(&s->echo->sleeping_count, 1);
    return DIAG(ERR_QUERY_CANCELED, "canceling statement due to user request");
}

static int
echo_row(struct sql_session *s, const struct named *portal, const char *rest)
{
    struct sql_client *c = s->client;
    size_t row = client_row_begin(c, 1);
    int param = rest[0] == '$' ? atoi(rest + 1) - 1 : -1;

    if (param < 0)
        client_value(c, rest, strlen(rest));
    else if (portal == NULL || param >= portal->param_count || portal->params[param] == NULL)
        client_null(c);
    else
        client_value(c, portal->params[param], portal->sizes[param]);
    return client_row_end(c, row);
}

static int
stamp(struct sql_session *s)
{
    struct moment m = echo_moment(atomic_fetch_add(&s->echo->newest, 1) + 1);
    char tag[48];

    s->client->ops->require(s->client, m);
    snprintf(tag, sizeof tag, "stamp %u %llu", m.inc, (unsigned long long)m.scn);
    s->client->ops->command_complete(s->client, tag);
    return 0;
}

/* ---- the language --------------------------------------------------------------------------- */

static int
run_settings(struct sql_session *s, const char *word, const char *rest)
{
    struct sql_client *c = s->client;

    if (strcmp(word, "begin") == 0)
        s->status = 'T';
    else if (strcmp(word, "commit") == 0 || strcmp(word, "rollback") == 0)
        s->status = 'I';
    else if (strcmp(word, "require") == 0)
        c->ops->require(c, (struct moment){ 1, strtoull(rest, NULL, 10) });
    else if (strcmp(word, "timeout") == 0)
        c->statement_timeout_ms = (uint32_t)atoi(rest);
    else if (strcmp(word, "idletimeout") == 0)
        c->idle_in_transaction_timeout_ms = (uint32_t)atoi(rest);
    else if (strcmp(word, "readonly") == 0)
        s->read_only = true;
    else if (strcmp(word, "notice") == 0)
        put_notice(c, rest);
    else
        return DIAG(ERR_SYNTAX, "unknown word \"%s\"", word);
    return 0;
}

static int
run_rows(struct sql_session *s, struct named *portal, const char *rest, int max_rows)
{
    struct sql_client *c = s->client;
    int count = 0, from = portal != NULL ? portal->next_row : 0, to, rc;
    char tag[32];
    size_t filler = 0;

    if (sscanf(rest, "%d %zu", &count, &filler) < 1)
        return DIAG(ERR_SYNTAX, "rows of what?");
    to = max_rows > 0 && count - from > max_rows ? from + max_rows : count;
    rc = put_rows(c, from, to, filler);
    if (rc != 0)
        return rc;
    if (to < count) {
        portal->next_row = to;
        c->ops->portal_suspended(c);
        return 0;
    }
    snprintf(tag, sizeof tag, "SELECT %d", to - from);
    c->ops->command_complete(c, tag);
    return 0;
}

static int
run(struct sql_session *s, const char *text, struct named *portal, int max_rows)
{
    struct sql_client *c = s->client;
    char word[16] = "";
    const char *rest;
    int n = 0, rc;

    sscanf(text, " %15[a-z]%n", word, &n);
    rest = text + n + (text[n] == ' ');
    if (word[0] == '\0') {
        c->ops->empty_query(c);
        return 0;
    }
    if (!s->is_extended && (strcmp(word, "rows") == 0 || strcmp(word, "echo") == 0))
        describe_row(c, word, 0);
    if (strcmp(word, "rows") == 0)
        return run_rows(s, portal, rest, max_rows);
    if (strcmp(word, "copyin") == 0 || strcmp(word, "copyfail") == 0)
        return copy_in(s, word[4] == 'f');
    if (strcmp(word, "copyout") == 0)
        return copy_out(c, atoi(rest));
    if (strcmp(word, "sleep") == 0)
        return sleep_until_canceled(s);
    if (strcmp(word, "stamp") == 0)
        return stamp(s);
    if (strcmp(word, "error") == 0)
        return fail_statement(rest);
    rc = strcmp(word, "echo") == 0 ? echo_row(s, portal, rest) : run_settings(s, word, rest);
    if (rc == 0)
        c->ops->command_complete(c, word);
    return rc;
}

static int
failed(struct sql_session *s, int rc)
{
    if (rc != 0 && s->status == 'T')
        s->status = 'E';
    return rc;
}

/* ---- the port ------------------------------------------------------------------------------- */

static int
echo_role_lookup(void *arg, const char *role, struct sql_role *out)
{
    static const uint8_t salt[SCRAM_SALT_SIZE] = "0123456789abcde";
    struct scram_verifier v;
    int rc;

    (void)arg;
    *out = (struct sql_role){ 0 };
    out->exists =
        strcmp(role, "alice") == 0 || strcmp(role, "bob") == 0 || strcmp(role, "carol") == 0;
    out->can_login = out->exists && role[0] != 'c';
    out->is_superuser = role[0] == 'a';
    if (strcmp(role, "bob") == 0 || !out->exists)
        return 0;
    rc = scram_make_verifier("secret", salt, SCRAM_ITERATIONS, &v);
    if (rc == 0)
        scram_format_verifier(&v, out->verifier);
    return rc;
}

static int
echo_all_have_password(void *arg, bool *yes)
{
    *yes = ((struct echo *)arg)->all_have_password;
    return 0;
}

static bool
echo_is_standby(void *arg)
{
    struct echo *e = arg;

    return atomic_load(&e->is_standby);
}

static int
echo_open(void *arg, const struct sql_open *o, struct sql_session **out)
{
    struct echo *e = arg;
    struct sql_session *s;

    *out = NULL;
    if (strcmp(o->database, "none") == 0)
        return DIAG(ERR_UNDEFINED_DATABASE, "database \"%s\" does not exist", o->database);
    s = xcalloc(1, sizeof *s);
    s->echo = e;
    s->client = o->client;
    s->status = 'I';
    fiber_queue_init(&s->sleep);
    atomic_fetch_add(&e->open_count, 1);
    *out = s;
    return 0;
}

static void
echo_close(struct sql_session *s)
{
    for (int i = 0; i < NAMED_MAX; i++) {
        forget(&s->statements[i]);
        forget(&s->portals[i]);
    }
    atomic_fetch_sub(&s->echo->open_count, 1);
    xfree(s);
}

static char
echo_status(const struct sql_session *s)
{
    return s->status;
}

static int
echo_simple_query(struct sql_session *s, struct slice text)
{
    size_t at = 0;
    int rc = 0;

    s->is_extended = false;
    while (rc == 0) {
        const uint8_t *end = memchr(text.data + at, ';', text.size - at);
        size_t stop = end == NULL ? text.size : (size_t)(end - text.data);
        char *one = dup_slice(slice(text.data + at, stop - at));

        if (at == 0 || strspn(one, " \n") < strlen(one))
            rc = run(s, one, NULL, 0);
        xfree(one);
        if (end == NULL)
            break;
        at = stop + 1;
    }
    return failed(s, rc);
}

static int
echo_parse(struct sql_session *s, struct slice name, struct slice text, const uint32_t *oids,
           int count)
{
    char *copy = dup_slice(text);
    struct named *n;

    (void)oids, (void)count;
    if (strncmp(copy, "bad", 3) == 0) {
        xfree(copy);
        return failed(s, DIAG(ERR_SYNTAX, "bad text"));
    }
    n = place(s->statements, name);
    n->text = copy;
    return 0;
}

static int
echo_bind(struct sql_session *s, const struct sql_bind *b)
{
    struct named *from = find(s->statements, b->statement), *to;

    if (from == NULL)
        return failed(s, DIAG(ERR_UNDEFINED_STATEMENT, "prepared statement does not exist"));
    to = place(s->portals, b->portal);
    to->text = xstrdup(from->text);
    to->param_count = b->param_count < PARAMS_MAX ? b->param_count : PARAMS_MAX;
    to->format = b->result_format_count > 0 ? b->result_formats[0] : 0;
    for (int i = 0; i < to->param_count; i++) {
        to->params[i] = b->params[i].data == NULL ? NULL : dup_slice(b->params[i]);
        to->sizes[i] = b->params[i].size;
    }
    return 0;
}

static void
describe(struct sql_session *s, const struct named *n)
{
    char word[16] = "";

    sscanf(n->text, " %15[a-z]", word);
    describe_row(s->client, word, n->format);
}

static int
echo_describe_statement(struct sql_session *s, struct slice name)
{
    static const uint32_t text_oid = 25;
    struct named *n = find(s->statements, name);

    if (n == NULL)
        return failed(s, DIAG(ERR_UNDEFINED_STATEMENT, "prepared statement does not exist"));
    s->client->ops->parameter_description(s->client, &text_oid, strchr(n->text, '$') != NULL);
    describe(s, n);
    return 0;
}

static int
echo_describe_portal(struct sql_session *s, struct slice name)
{
    struct named *n = find(s->portals, name);

    if (n == NULL)
        return failed(s, DIAG(ERR_UNDEFINED_CURSOR, "portal does not exist"));
    describe(s, n);
    return 0;
}

static int
echo_execute(struct sql_session *s, struct slice portal, int32_t max_rows)
{
    struct named *n = find(s->portals, portal);

    if (n == NULL)
        return failed(s, DIAG(ERR_UNDEFINED_CURSOR, "portal does not exist"));
    s->is_extended = true;
    return failed(s, run(s, n->text, n, max_rows));
}

static int
echo_close_statement(struct sql_session *s, struct slice name)
{
    struct named *n = find(s->statements, name);

    if (n != NULL)
        forget(n);
    return 0;
}

static int
echo_close_portal(struct sql_session *s, struct slice name)
{
    struct named *n = find(s->portals, name);

    if (n != NULL)
        forget(n);
    return 0;
}

static int
echo_sync(struct sql_session *s)
{
    (void)s;
    return 0;
}

static void
echo_fail(struct sql_session *s)
{
    (void)failed(s, ERR_INTERNAL);
}

static void
echo_cancel(struct sql_session *s)
{
    fiber_queue_wake_all(&s->sleep);
}

static bool
echo_may_write(const struct sql_session *s)
{
    return !s->read_only;
}

static void
echo_role_changed(struct sql_session *s)
{
    (void)s;
}

static const struct sql_port_ops echo_ops = {
    .role_lookup = echo_role_lookup,
    .all_roles_have_password = echo_all_have_password,
    .is_standby = echo_is_standby,
    .open = echo_open,
    .close = echo_close,
    .status = echo_status,
    .simple_query = echo_simple_query,
    .parse = echo_parse,
    .bind = echo_bind,
    .describe_statement = echo_describe_statement,
    .describe_portal = echo_describe_portal,
    .execute = echo_execute,
    .close_statement = echo_close_statement,
    .close_portal = echo_close_portal,
    .sync = echo_sync,
    .fail = echo_fail,
    .cancel = echo_cancel,
    .may_write = echo_may_write,
    .role_changed = echo_role_changed,
};

void
echo_init(struct echo *e)
{
    *e = (struct echo){ .port = { .ops = &echo_ops, .arg = e } };
}
