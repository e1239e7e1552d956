/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sql_rig.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/fiber.h"
#include "tests/support/folder.h"

/* ---- the database ------------------------------------------------------------------------------
 */

static void
mount(struct sql_rig *r)
{
    struct engine_options o = { .env = r->env,
                                .dir = r->dir,
                                .memtable_bytes = 16 << 20,
                                .cache_bytes = 8 << 20,
                                .ring_bytes = 4 << 20,
                                .redo_file_bytes = 4 << 20,
                                .no_sync = true };

    ck_assert_msg(engine_mount(&o, &r->engine) == 0, "%s", diag_last()->message);
}

static void
bootstrap(struct sql_rig *r)
{
    struct txn *t = txn_new(r->engine);
    struct commit_token token;

    ck_assert_int_eq(txn_begin(t, TXN_READ_COMMITTED, false), 0);
    ck_assert_int_eq(txn_statement_begin(t), 0);
    ck_assert_msg(catalog_bootstrap(r->catalog, t, "redoubt") == 0, "%s", diag_last()->message);
    txn_statement_end(t);
    ck_assert_int_eq(txn_commit(t, &token), 0);
    ck_assert_int_eq(engine_wait_visible(r->engine, token.scn, UINT64_MAX), 0);
    txn_free(t);
}

static void
start_sql(struct sql_rig *r)
{
    struct sql_engine_options o = { .engine = r->engine,
                                    .catalog = r->catalog,
                                    .memory_bytes = r->memory_bytes };
    char temp[80];

    snprintf(temp, sizeof temp, "%s/tmp", r->dir);
    ck_assert_msg(spill_space_open(r->env, r->jobs, temp, r->temp_limit, &r->spill) == 0, "%s",
                  diag_last()->message);
    o.spill = r->spill;
    o.jobs = r->jobs;
    ck_assert_msg(sql_engine_new(&o, &r->sql) == 0, "%s", diag_last()->message);
}

void
sql_rig_start(struct sql_rig *r)
{
    sql_rig_start_small(r, 0);
}

static void
create(struct sql_rig *r)
{
    uint64_t id;

    ck_assert_msg(engine_create(r->env, r->dir, &id) == 0, "%s", diag_last()->message);
    mount(r);
    ck_assert_msg(engine_open_write(r->engine, ++r->inc, 4711) == 0, "%s", diag_last()->message);
    r->catalog = catalog_new(r->engine);
    bootstrap(r);
    start_sql(r);
}

void
sql_rig_start_small(struct sql_rig *r, size_t memory_bytes)
{
    *r = (struct sql_rig){ .env = env_posix_new(), .memory_bytes = memory_bytes };
    test_folder(r->dir, sizeof r->dir, "rd-sql");
    snprintf(r->dir + strlen(r->dir), sizeof r->dir - strlen(r->dir), "/db");
    r->jobs = job_pool_new(r->env, "job", 2);
    create(r);
}

void
sql_rig_start_in(struct sql_rig *r, struct env *env, struct job_pool *jobs, size_t memory_bytes)
{
    *r = (struct sql_rig){
        .env = env, .jobs = jobs, .memory_bytes = memory_bytes, .is_guest = true, .dir = "/db"
    };
    create(r);
}

static void
stop_sql(struct sql_rig *r)
{
    sql_engine_free(r->sql);
    spill_space_close(r->spill);
    catalog_free(r->catalog);
    engine_close(r->engine);
}

void
sql_rig_read_only(struct sql_rig *r)
{
    stop_sql(r);
    mount(r);
    r->catalog = catalog_new(r->engine);
    start_sql(r);
}

void
sql_rig_restart(struct sql_rig *r)
{
    stop_sql(r);
    mount(r);
    r->inc++;
    ck_assert_msg(engine_open_write(r->engine, r->inc, 4711 + r->inc) == 0, "%s",
                  diag_last()->message);
    ck_assert_int_eq(engine_wait_visible(r->engine, engine_newest_scn(r->engine), UINT64_MAX), 0);
    r->catalog = catalog_new(r->engine);
    start_sql(r);
}

void
sql_rig_stop(struct sql_rig *r)
{
    char command[128];

    for (int i = 0; i < RIG_CLIENTS_MAX; i++)
        if (r->clients[i] != NULL)
            rig_disconnect(r->clients[i]);
    stop_sql(r);
    if (r->is_guest)
        return;
    job_pool_free(r->jobs);
    env_free(r->env);
    snprintf(command, sizeof command, "rm -rf %.*s", (int)(strlen(r->dir) - 3), r->dir);
    ck_assert_int_eq(system(command), 0);
}

/* ---- what a client hears -----------------------------------------------------------------------
 */

static struct rig_client *
rig_of(struct sql_client *c)
{
    return container_of(c, struct rig_client, c);
}

static void
say(struct rig_client *c, const char *text)
{
    wr_bytes(&c->said, text, strlen(text));
}

static void
line(struct rig_client *c, const char *kind, const char *text)
{
    say(c, kind);
    say(c, text);
    say(c, "\n");
}

static void
say_value(struct rig_client *c, struct reader *r, int16_t format)
{
    uint32_t size = rd_u32_be(r);
    const uint8_t *p;

    (void)format;
    if (size == UINT32_MAX) {
        say(c, "\\N");
        return;
    }
    p = rd_bytes(r, size);
    ck_assert_ptr_nonnull(p);
    for (uint32_t i = 0; i < size; i++) {
        char hex[8];

        if (p[i] >= ' ' && p[i] < 127) {
            wr_u8(&c->said, p[i]);
            continue;
        }
        snprintf(hex, sizeof hex, "<%02x>", p[i]);
        say(c, hex);
    }
}

/* DataRows and CopyData are in the output itself: taken out in the order in which they came. */
static void
take_rows(struct rig_client *c)
{
    struct reader r;

    rd_init(&r, c->c.out.data, c->c.out.size);
    while (rd_left(&r) > 0) {
        uint8_t type = rd_u8(&r);
        uint32_t size = rd_u32_be(&r);
        struct reader body;

        rd_init(&body, rd_bytes(&r, size - 4), size - 4);
        ck_assert(rd_ok(&r));
        if (type == 'D') {
            int columns = rd_u16_be(&body);

            say(c, "D ");
            for (int i = 0; i < columns; i++) {
                say(c, i > 0 ? "|" : "");
                say_value(c, &body, 0);
            }
            say(c, "\n");
        } else {
            ck_assert_int_eq(type, 'd');
            say(c, "d ");
            wr_bytes(&c->said, body.at, rd_left(&body));
        }
        ck_assert(rd_ok(&body));
    }
    wr_reset(&c->c.out);
}

static void
on_row_description(struct sql_client *sc, const struct sql_field *f, int count)
{
    struct rig_client *c = rig_of(sc);

    take_rows(c);
    say(c, "T ");
    for (int i = 0; i < count; i++) {
        say(c, i > 0 ? "," : "");
        say(c, f[i].name);
    }
    say(c, "\n");
}

static void
on_parameters(struct sql_client *sc, const uint32_t *oids, int count)
{
    struct rig_client *c = rig_of(sc);
    char text[32];

    take_rows(c);
    say(c, "t ");
    for (int i = 0; i < count; i++) {
        snprintf(text, sizeof text, "%s%u", i > 0 ? "," : "", oids[i]);
        say(c, text);
    }
    say(c, "\n");
}

static void
on_no_data(struct sql_client *sc)
{
    take_rows(rig_of(sc));
    line(rig_of(sc), "n", "");
}

static void
on_complete(struct sql_client *sc, const char *tag)
{
    take_rows(rig_of(sc));
    line(rig_of(sc), "C ", tag);
}

static void
on_empty(struct sql_client *sc)
{
    line(rig_of(sc), "I", "");
}

static void
on_suspended(struct sql_client *sc)
{
    take_rows(rig_of(sc));
    line(rig_of(sc), "s", "");
}

static void
on_notice(struct sql_client *sc, enum sql_severity severity, const struct diag *d)
{
    static const char *const names[] = { "WARNING", "NOTICE", "INFO", "LOG", "DEBUG" };
    struct rig_client *c = rig_of(sc);

    take_rows(c);
    say(c, names[severity]);
    say(c, " ");
    say(c, d->code != 0 ? err_sqlstate(d->code) : "00000");
    line(c, " ", d->message);
}

static void
on_status(struct sql_client *sc, const char *name, const char *value)
{
    struct rig_client *c = rig_of(sc);

    take_rows(c);
    say(c, "S ");
    say(c, name);
    line(c, "=", value);
}

static int
on_flush(struct sql_client *sc)
{
    take_rows(rig_of(sc));
    if (sc->canceled)
        return DIAG(ERR_QUERY_CANCELED, "canceling statement due to user request");
    return 0;
}

static void
on_require(struct sql_client *sc, struct moment m)
{
    struct rig_client *c = rig_of(sc);

    if (m.inc != c->required.inc || m.scn > c->required.scn)
        c->required = m;
}

static int
on_copy_in(struct sql_client *sc, int format, int columns)
{
    char text[32];

    snprintf(text, sizeof text, "%d %d", format, columns);
    line(rig_of(sc), "G ", text);
    return 0;
}

static int
on_copy_read(struct sql_client *sc, struct slice *data)
{
    struct rig_client *c = rig_of(sc);
    size_t left = strlen(c->copy_data) - c->copy_at;
    size_t size = c->copy_piece != 0 && c->copy_piece < left ? c->copy_piece : left;

    if (left == 0)
        return ERR_END;
    *data = slice(c->copy_data + c->copy_at, size);
    c->copy_at += size;
    return 0;
}

static int
on_copy_out(struct sql_client *sc, int format, int columns)
{
    char text[32];

    snprintf(text, sizeof text, "%d %d", format, columns);
    line(rig_of(sc), "H ", text);
    return 0;
}

static void
on_copy_out_end(struct sql_client *sc)
{
    take_rows(rig_of(sc));
    line(rig_of(sc), "c", "");
}

static const struct sql_client_ops rig_ops = {
    .row_description = on_row_description,
    .parameter_description = on_parameters,
    .no_data = on_no_data,
    .command_complete = on_complete,
    .empty_query = on_empty,
    .portal_suspended = on_suspended,
    .notice = on_notice,
    .parameter_status = on_status,
    .flush = on_flush,
    .require = on_require,
    .copy_in_begin = on_copy_in,
    .copy_in_read = on_copy_read,
    .copy_out_begin = on_copy_out,
    .copy_out_end = on_copy_out_end,
};

/* ---- clients -----------------------------------------------------------------------------------
 */

int
rig_connect_as(struct sql_rig *r, struct rig_client *c, const char *user, const char *database,
               const struct sql_setting *settings, int setting_count)
{
    const struct sql_port *port = sql_engine_port(r->sql);
    struct sql_open o = { .user = user,
                          .database = database,
                          .application_name = "test",
                          .settings = settings,
                          .setting_count = setting_count,
                          .peer = "local",
                          .client = &c->c };

    *c = (struct rig_client){ .rig = r, .c = { .ops = &rig_ops, .flush_at = 4096 } };
    c->c.process_id = 4242;
    wr_init(&c->c.out, 0);
    wr_init(&c->said, 0);
    for (int i = 0; i < RIG_CLIENTS_MAX; i++) {
        if (r->clients[i] == NULL) {
            r->clients[i] = c;
            break;
        }
    }
    return port->ops->open(port->arg, &o, &c->s);
}

void
rig_connect(struct sql_rig *r, struct rig_client *c)
{
    ck_assert_msg(rig_connect_as(r, c, "redoubt", "redoubt", NULL, 0) == 0, "%s",
                  diag_last()->message);
    (void)rig_said(c);
}

static const struct sql_port_ops *
ops(struct rig_client *c)
{
    return sql_engine_port(c->rig->sql)->ops;
}

void
rig_disconnect(struct rig_client *c)
{
    for (int i = 0; i < RIG_CLIENTS_MAX; i++)
        if (c->rig->clients[i] == c)
            c->rig->clients[i] = NULL;
    if (c->s != NULL)
        ops(c)->close(c->s);
    c->s = NULL;
    wr_fini(&c->c.out);
    wr_fini(&c->said);
}

const char *
rig_said(struct rig_client *c)
{
    take_rows(c);
    wr_u8(&c->said, '\0');
    c->said.size = 0;
    return (const char *)c->said.data;
}

/* As the server does: no answer before what it rests on is visible. */
static void
wait_required(struct rig_client *c)
{
    if (!c->does_not_wait && c->required.scn != 0 && engine_is_writable(c->rig->engine))
        ck_assert_int_eq(engine_wait_visible(c->rig->engine, c->required.scn, UINT64_MAX), 0);
}

static void
say_error(struct rig_client *c)
{
    const struct diag *d = diag_last();

    take_rows(c);
    say(c, "ERROR ");
    say(c, err_sqlstate(d->code));
    line(c, " ", d->message);
}

const char *
rig_query(struct rig_client *c, const char *text)
{
    diag_clear();
    c->said.size = 0;
    c->rc = ops(c)->simple_query(c->s, slice_str(text));
    if (c->rc != 0)
        say_error(c);
    wait_required(c);
    return rig_said(c);
}

const char *
rig_rows(struct rig_client *c, const char *text)
{
    const char *said = rig_query(c, text), *p = said;
    struct writer out;

    wr_init(&out, 0);
    while (*p != '\0') {
        const char *end = strchr(p, '\n');

        if (strncmp(p, "D ", 2) == 0 || strncmp(p, "ERROR", 5) == 0) {
            size_t from = *p == 'D' ? 2 : 0;

            if (out.size > 0)
                wr_u8(&out, ';');
            wr_bytes(&out, p + from, (size_t)(end - p) - from);
        }
        p = end + 1;
    }
    c->said.size = 0;
    if (out.size > 0)
        wr_bytes(&c->said, out.data, out.size);
    wr_fini(&out);
    return rig_said(c);
}

void
rig_run(struct rig_client *c, const char *text)
{
    const char *said = rig_query(c, text);

    ck_assert_msg(c->rc == 0, "%s: %s", text, said);
}

int
rig_parse(struct rig_client *c, const char *name, const char *text)
{
    c->rc = ops(c)->parse(c->s, slice_str(name), slice_str(text), NULL, 0);
    if (c->rc != 0)
        say_error(c);
    return c->rc;
}

int
rig_bind(struct rig_client *c, const char *portal, const char *statement, int count,
         const char *const *params, int16_t result_format)
{
    struct slice values[16];
    struct sql_bind b = { .portal = slice_str(portal),
                          .statement = slice_str(statement),
                          .param_count = count,
                          .params = values,
                          .result_format_count = result_format != 0 ? 1 : 0,
                          .result_formats = &result_format };

    for (int i = 0; i < count; i++)
        values[i] = params[i] != NULL ? slice_str(params[i]) : slice(NULL, 0);
    c->rc = ops(c)->bind(c->s, &b);
    if (c->rc != 0)
        say_error(c);
    return c->rc;
}

int
rig_execute(struct rig_client *c, const char *portal, int32_t max_rows)
{
    c->rc = ops(c)->execute(c->s, slice_str(portal), max_rows);
    if (c->rc != 0)
        say_error(c);
    return c->rc;
}

int
rig_sync(struct rig_client *c)
{
    c->rc = ops(c)->sync(c->s);
    if (c->rc != 0)
        say_error(c);
    wait_required(c);
    return c->rc;
}
