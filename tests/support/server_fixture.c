/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/server_fixture.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/folder.h"

struct fixture fx;

static struct moment
test_visible(void *arg)
{
    (void)arg;
    return (struct moment){ (incarnation_t)atomic_load(&fx.gate_inc), atomic_load(&fx.gate_scn) };
}

static bool
test_may_reply(void *arg)
{
    (void)arg;
    return atomic_load(&fx.gate_open);
}

struct server_options
fixture_options(void)
{
    static const char *const listen[1] = { fx.path };

    return (
        struct server_options){ .env = fx.env,
                                .port = &fx.echo.port,
                                .gate = { .visible = test_visible, .may_reply = test_may_reply },
                                .listen = listen,
                                .listen_count = 1,
                                .workers = 2 };
}

void
fixture_start(struct server_options o)
{
    ck_assert_int_eq(server_new(&o, &fx.server), 0);
    ck_assert_int_eq(server_start(fx.server), 0);
}

void
fixture_setup(void)
{
    fx.env = env_posix_new();
    test_folder(fx.dir, sizeof fx.dir, "redoubt-server");
    snprintf(fx.path, sizeof fx.path, "%s/.s.PGSQL.5433", fx.dir);
    echo_init(&fx.echo);
    atomic_store(&fx.gate_scn, 100);
    atomic_store(&fx.gate_inc, 1);
    atomic_store(&fx.gate_open, true);
}

void
fixture_teardown(void)
{
    server_stop(fx.server);
    server_free(fx.server);
    fx.server = NULL;
    ck_assert_int_eq(atomic_load(&fx.echo.open_count), 0);
    ck_assert_int_eq(rmdir(fx.dir), 0);
    env_free(fx.env);
}

void
connect_as(struct wire *w, const char *user)
{
    ck_assert(wire_open(w, fx.path));
    wire_startup(w, user, "d");
    wire_send(w);
    wire_transcript(w, 'Z', 1, false, fx.text, sizeof fx.text);
    ck_assert_str_eq(fx.text, "R K Z[I] ");
}

const char *
answers(struct wire *w, int ready)
{
    wire_transcript(w, 'Z', ready, false, fx.text, sizeof fx.text);
    return fx.text;
}

const char *
ask(struct wire *w, const char *query)
{
    wire_put_query(w, query);
    wire_send(w);
    return answers(w, 1);
}

void
put_extended(struct wire *w, const char *query, const char *param)
{
    wire_put_parse(w, "", query);
    wire_put_bind(w, "", "", param, param == NULL ? 0 : strlen(param), 0);
    wire_put_describe(w, 'D', 'P', "");
    wire_put_execute(w, "", 0);
}

void
put_sync(struct wire *w)
{
    wire_put(w, 'S', "", 0);
}

int
fixture_run(const char *format, ...)
{
    char command[2048];
    va_list ap;

    va_start(ap, format);
    vsnprintf(command, sizeof command, format, ap);
    va_end(ap);
    return system(command);
}
