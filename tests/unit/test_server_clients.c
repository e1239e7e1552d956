/* Who may connect, and how many: startup, authentication, limits; psql, psycopg2 and pgbench; what
 * an idle connection costs.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "engine/server/protocol.h"
#include "tests/support/server_fixture.h"

/* ---- before authentication ------------------------------------------------------------------ */

static const char *
refused(struct wire *w)
{
    wire_send(w);
    wire_transcript(w, 'Z', 1, false, fx.text, sizeof fx.text);
    wire_close(w);
    return fx.text;
}

START_TEST(test_startup_refusals)
{
    struct wire w;

    fixture_start(fixture_options());
    ck_assert(wire_open(&w, fx.path));
    wire_startup(&w, "nobody", "d");
    ck_assert_str_eq(refused(&w), "E[28000] EOF");
    ck_assert(wire_open(&w, fx.path));
    wire_startup(&w, "carol", "d");
    ck_assert_str_eq(refused(&w), "E[28000] EOF");
    ck_assert(wire_open(&w, fx.path));
    wire_startup(&w, "alice", "none");
    ck_assert_str_eq(refused(&w), "E[3D000] EOF");
    ck_assert(wire_open(&w, fx.path));
    wire_startup(&w, "", "d");
    ck_assert_str_eq(refused(&w), "E[28000] EOF");
    /* lengths: nothing, too little, 10,001, all ones; an old version; TLS */
    static const char *const heads[] = { "\0\0\0\0", "\0\0\0\7", "\0\0\x27\x11", "\xff\xff\xff\xff",
                                         "\x16\3\1\2" };

    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        ck_assert(wire_open(&w, fx.path));
        wr_bytes(&w.out, heads[i], 4);
        ck_assert_str_eq(refused(&w), "E[08P01] EOF");
    }
    ck_assert(wire_open(&w, fx.path));
    wr_bytes(&w.out, "\0\0\0\x09\0\2\0\0", 9);
    ck_assert_str_eq(refused(&w), "E[0A000] EOF");
}
END_TEST

static void
ask_encryption(struct wire *w, uint32_t code)
{
    wr_u32_be(&w->out, 8);
    wr_u32_be(&w->out, code);
    wire_send(w);
}

START_TEST(test_encryption_is_refused_once)
{
    struct wire w;
    char answer;

    fixture_start(fixture_options());
    ck_assert(wire_open(&w, fx.path));
    ask_encryption(&w, PROTO_SSL);
    ck_assert_int_eq(read(w.fd, &answer, 1), 1);
    ck_assert_int_eq(answer, 'N');
    ask_encryption(&w, PROTO_GSSENC);
    ck_assert_int_eq(read(w.fd, &answer, 1), 1);
    ck_assert_int_eq(answer, 'N');
    wire_startup(&w, "alice", "d");
    wire_send(&w);
    ck_assert_str_eq(answers(&w, 1), "R K Z[I] ");
    wire_close(&w);
    ck_assert(wire_open(&w, fx.path));
    ask_encryption(&w, PROTO_SSL);
    ck_assert_int_eq(read(w.fd, &answer, 1), 1);
    ask_encryption(&w, PROTO_SSL); /* SRV-9 */
    ck_assert_str_eq(refused(&w), "E[08P01] EOF");
}
END_TEST

/* SRV-7: who does not say who he is goes: in time, or when there are too many. */
START_TEST(test_silent_connections)
{
    struct server_options o = fixture_options();
    struct wire silent[5], w;

    o.workers = 1;
    o.max_unauthenticated = 4;
    o.auth_timeout_ms = 30000;
    fixture_start(o);
    for (int i = 0; i < 5; i++) {
        ck_assert(wire_open(&silent[i], fx.path));
        wr_bytes(&silent[i].out, "\0\0", 2);
        wire_send(&silent[i]);
    }
    ck_assert_str_eq(answers(&silent[0], 1), "E[53300] EOF");
    connect_as(&w, "alice"); /* sheds the next, and gets in */
    ck_assert_str_eq(answers(&silent[1], 1), "E[53300] EOF");
    ck_assert(!wire_has_input(&silent[4], 0));
    for (int i = 0; i < 5; i++)
        wire_close(&silent[i]);
    wire_close(&w);
}
END_TEST

START_TEST(test_authentication_has_a_deadline)
{
    struct server_options o = fixture_options();
    struct wire w;

    o.auth_timeout_ms = 20;
    fixture_start(o);
    ck_assert(wire_open(&w, fx.path));
    ck_assert_str_eq(answers(&w, 1), "E[57014] EOF");
    wire_close(&w);
}
END_TEST

/* SRV-8 */
START_TEST(test_max_connections)
{
    struct server_options o = fixture_options();
    struct wire a, b, c;

    o.max_connections = 2;
    o.superuser_reserved = 1;
    fixture_start(o);
    connect_as(&a, "bob");
    ck_assert(wire_open(&b, fx.path));
    wire_startup(&b, "bob", "d");
    ck_assert_str_eq(refused(&b), "E[53300] EOF");
    connect_as(&c, "alice");
    wire_close(&a);
    wire_close(&c);
}
END_TEST

/* SRV-10: an unknown user is led through the same exchange as a known one with a wrong password. */
START_TEST(test_scram_unknown_user)
{
    static const char *const users[] = { "alice", "bob", "mallory" };
    struct server_options o = fixture_options();
    struct slice body;
    uint8_t type;

    o.auth_unix = AUTH_SCRAM;
    fixture_start(o);
    for (int i = 0; i < 3; i++) {
        struct wire w;
        char final[256], nonce[128];
        int n;

        ck_assert(wire_open(&w, fx.path));
        wire_startup(&w, users[i], "d");
        wire_send(&w);
        ck_assert(wire_next(&w, &type, &body) && type == 'R' && load_u32_be(body.data) == 10);
        wire_put(&w, 'p', "SCRAM-SHA-256\0\0\0\0\x0dn,,n=,r=abcde", 31);
        wire_send(&w);
        ck_assert(wire_next(&w, &type, &body) && type == 'R' && load_u32_be(body.data) == 11);
        ck_assert_int_eq(sscanf((const char *)body.data + 4, "r=%127[^,],s=", nonce), 1);
        ck_assert_uint_eq(strlen(nonce), 29);
        n = snprintf(final, sizeof final,
                     "c=biws,r=%s,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", nonce);
        wire_put(&w, 'p', final, (size_t)n);
        ck_assert_str_eq(refused(&w), "E[28P01] EOF");
    }
}
END_TEST

/* SRV-11 */
START_TEST(test_listening_beyond_this_machine)
{
    static const char *const listen[1] = { "0.0.0.0:0" };
    struct server_options o = fixture_options();

    o.listen = listen;
    ck_assert_int_eq(server_new(&o, &fx.server), 0);
    ck_assert_int_eq(server_start(fx.server), ERR_CONFIG_FILE);
    fx.echo.all_have_password = true;
    ck_assert_int_eq(server_start(fx.server), 0);
    ck_assert_str_ne(server_address(fx.server, 0), "0.0.0.0:0");
}
END_TEST

/* ---- real clients --------------------------------------------------------------------------- */

START_TEST(test_psql)
{
    struct server_options o = fixture_options();

    o.auth_unix = AUTH_SCRAM;
    fixture_start(o);
    ck_assert_int_eq(fixture_run("test \"$(PGPASSWORD=secret psql -XAtq -h %s -p 5433 -U alice d "
                                 "-c 'echo hello' -c 'rows 2' 2>&1)\" = 'hello\n0|\n1|'",
                                 fx.dir),
                     0);
    ck_assert_int_eq(
        fixture_run("PGPASSWORD=wrong psql -X -h %s -p 5433 -U alice d -c 'echo hello' 2>&1 | "
                    "grep -q 'password authentication failed for user \"alice\"'",
                    fx.dir),
        0);
    ck_assert_int_eq(
        fixture_run("PGPASSWORD=secret psql -X -h %s -p 5433 -U mallory d -c 'echo x' 2>&1 | "
                    "grep -q 'password authentication failed for user \"mallory\"'",
                    fx.dir),
        0);
    ck_assert_int_eq(
        fixture_run("PGPASSWORD=secret psql -X -d 'host=%s port=5433 user=alice dbname=d "
                    "target_session_attrs=read-write' -c 'echo primary' | grep -q primary",
                    fx.dir),
        0);
    ck_assert_int_eq(
        fixture_run("! PGPASSWORD=secret psql -X -d 'host=%s port=5433 user=alice dbname=d "
                    "target_session_attrs=standby' -c 'echo standby' 2>/dev/null",
                    fx.dir),
        0);
}
END_TEST

static const char psycopg2_script[] =
    "import psycopg2, io, threading, sys\n"
    "c = psycopg2.connect(host=sys.argv[1], port=5433, user='alice', dbname='d')\n"
    "assert c.server_version == 150000, c.server_version\n"
    "c.autocommit = True\n"
    "q = c.cursor()\n"
    "q.execute('rows 3 4'); assert q.fetchall() == [(0,'xxxx'),(1,'xxxx'),(2,'xxxx')]\n"
    "f = io.StringIO(); q.copy_expert('copyout 3', f); assert f.getvalue() == '0\\n1\\n2\\n'\n"
    "q.copy_expert('copyin', io.StringIO('line\\n' * 100000)); assert q.rowcount == 500000\n"
    "try: q.execute('error oops'); assert 0\n"
    "except psycopg2.Error as e:\n"
    "    assert e.pgcode == '42601' and e.diag.statement_position == '7', e.pgcode\n"
    "    assert e.diag.message_hint == 'a hint' and e.diag.message_detail == 'a detail'\n"
    "q.execute('notice hello'); assert 'hello' in c.notices[0]\n"
    "threading.Timer(0.05, c.cancel).start()\n"
    "try: q.execute('sleep'); assert 0\n"
    "except psycopg2.extensions.QueryCanceledError: pass\n"
    "q.execute('echo end'); assert q.fetchone() == ('end',)\n"
    "c.close()\n";

START_TEST(test_psycopg2)
{
    char script[128];
    FILE *f;

    fixture_start(fixture_options());
    snprintf(script, sizeof script, "%s/client.py", fx.dir);
    f = fopen(script, "w");
    ck_assert_ptr_nonnull(f);
    fputs(psycopg2_script, f);
    fclose(f);
    ck_assert_int_eq(fixture_run("/usr/bin/python3 %s %s", script, fx.dir), 0);
    unlink(script);
}
END_TEST

/* pgbench brings libpq's extended protocol, prepared statements and pipelines. */
START_TEST(test_pgbench)
{
    char script[128];
    FILE *f;

    fixture_start(fixture_options());
    snprintf(script, sizeof script, "%s/script.sql", fx.dir);
    f = fopen(script, "w");
    ck_assert_ptr_nonnull(f);
    fputs("\\set a 7\n\\startpipeline\nbegin;\necho :a;\ncommit;\n\\endpipeline\n", f);
    fclose(f);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(fixture_run("pgbench -n -M %s -c 4 -t 50 -f %s -h %s -p 5433 -U alice d "
                                     ">%s.log 2>&1 || { cat %s.log; false; }",
                                     i == 2 ? "extended" : "prepared", script, fx.dir, script,
                                     script),
                         0);
    snprintf(fx.text, sizeof fx.text, "%s.log", script);
    unlink(fx.text);
    unlink(script);
}
END_TEST

/* ---- memory --------------------------------------------------------------------------------- */

static long
resident_kib(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    ck_assert(f != NULL && fscanf(f, "%*d %ld", &pages) == 1);
    fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* SRV-6: a message that announces a gigabyte holds memory for what has arrived of it; past the
 * budget its connection ends, and gives all of it back. */
START_TEST(test_announced_memory)
{
    enum { ARRIVED = 300 << 10, BUDGET = 4 << 20, FLOOD = 8 << 20 };
    struct server_options o = fixture_options();
    uint8_t head[5] = { 'Q' }, *body = xcalloc(1, FLOOD);
    struct budget budget;
    struct wire w, other;
    ssize_t n = 0;

    budget_init(&budget, "messages", BUDGET, NULL);
    o.budget = &budget;
    fixture_start(o);
    connect_as(&w, "alice");
    store_u32_be(head + 1, 0x3ffffff0);
    ck_assert_int_eq(send(w.fd, head, sizeof head, 0), sizeof head);
    for (size_t at = 0; at < ARRIVED; at += (size_t)n)
        ck_assert_int_gt(n = send(w.fd, body + at, ARRIVED - at, 0), 0);
    while (atomic_load(&budget.used) < ARRIVED)
        env_sleep_us(fx.env, 100);
    ck_assert_uint_le(atomic_load(&budget.used), 4 * ARRIVED); /* old and new, while it grows */
    for (size_t at = 0; at < FLOOD && n > 0; at += (size_t)n)
        n = send(w.fd, body + at, FLOOD - at, MSG_NOSIGNAL);
    ck_assert_int_lt(n, 0);
    while (atomic_load(&budget.used) > 0)
        env_sleep_us(fx.env, 100);
    connect_as(&other, "alice");
    ck_assert_str_eq(ask(&other, "echo x"), "T D[x] C[echo] Z[I] ");
    wire_close(&other);
    wire_close(&w);
    xfree(body);
}
END_TEST

/* SRV-13: an idle connection has no fiber and no buffers. */
START_TEST(test_idle_connections)
{
    enum { COUNT = 1000 };
    struct server_options o = fixture_options();
    struct wire *w = xcalloc(COUNT, sizeof *w);
    struct rlimit files;
    long before, after;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
    o.max_unauthenticated = 2000;
    fixture_start(o);
    connect_as(&w[0], "alice");
    before = resident_kib();
    for (int i = 1; i < COUNT; i++) {
        connect_as(&w[i], "alice");
        wire_put_parse(&w[i], "s", "echo $1");
        wire_put_bind(&w[i], "", "s", "x", 1, 0);
        wire_put_execute(&w[i], "", 0);
        put_sync(&w[i]);
        wire_send(&w[i]);
        ck_assert_str_eq(answers(&w[i], 1), "1 2 D[x] C[echo] Z[I] ");
        xfree(w[i].buffer); /* the clients' side is in this process too */
        w[i].buffer = NULL;
        w[i].cap = w[i].at = w[i].end = 0;
        wr_fini(&w[i].out);
    }
    after = resident_kib();
    printf("%d idle connections: %ld KiB, %.2f KiB each\n", COUNT, after - before,
           (double)(after - before) / COUNT);
    ck_assert(SANITIZED || after - before < 16 * COUNT);
    for (int i = 0; i < COUNT; i++)
        wire_close(&w[i]);
    xfree(w);
}
END_TEST

static const char many_script[] =
    "import socket, sys, resource\n"
    "h = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
    "resource.setrlimit(resource.RLIMIT_NOFILE, (h, h))\n"
    "n = int(sys.argv[2]); all = []\n"
    "body = b'\\0\\3\\0\\0user\\0bob\\0database\\0d\\0\\0'\n"
    "for i in range(n):\n"
    "    s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
    "    s.sendall((len(body) + 4).to_bytes(4, 'big') + body); all.append(s)\n"
    "for s in all:\n"
    "    b = b''\n"
    "    while not b.endswith(b'Z\\0\\0\\0\\5I'):\n"
    "        p = s.recv(4096); assert p, 'closed'; b += p\n"
    "for s in all: s.sendall(b'Q\\0\\0\\0\\x0becho a\\0')\n"
    "for s in all: assert s.recv(4096).endswith(b'Z\\0\\0\\0\\5I')\n";

START_TEST(test_ten_thousand)
{
    struct server_options o = fixture_options();
    struct rlimit files;
    char script[128];
    FILE *f;
    int count;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
    count = files.rlim_max >= 10100 && !SANITIZED ? 10000 : 500;
    o.max_unauthenticated = count + 10;
    o.max_connections = count + 10;
    o.auth_timeout_ms = 60000;
    fixture_start(o);
    snprintf(script, sizeof script, "%s/many.py", fx.dir);
    f = fopen(script, "w");
    ck_assert_ptr_nonnull(f);
    fputs(many_script, f);
    fclose(f);
    ck_assert_int_eq(fixture_run("/usr/bin/python3 %s %s %d", script, fx.path, count), 0);
    printf("%d connections accepted and answered\n", count);
    unlink(script);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("server clients");
    TCase *t = tcase_create("all");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, fixture_setup, fixture_teardown);
    tcase_add_test(t, test_startup_refusals);
    tcase_add_test(t, test_encryption_is_refused_once);
    tcase_add_test(t, test_silent_connections);
    tcase_add_test(t, test_authentication_has_a_deadline);
    tcase_add_test(t, test_max_connections);
    tcase_add_test(t, test_scram_unknown_user);
    tcase_add_test(t, test_listening_beyond_this_machine);
    tcase_add_test(t, test_psql);
    tcase_add_test(t, test_psycopg2);
    tcase_add_test(t, test_pgbench);
    tcase_add_test(t, test_announced_memory);
    tcase_add_test(t, test_idle_connections);
    tcase_add_test(t, test_ten_thousand);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
