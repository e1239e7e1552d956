/* redoubt.yaml: what is accepted, and what is said of the rest.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/conf.h"
#include "engine/base/mem.h"
#include "engine/base/bytes.h"
#include "engine/base/env.h"

static struct conf *
good(const char *text)
{
    struct conf *c;
    int rc = conf_parse("f.yaml", text, strlen(text), &c);

    ck_assert_msg(rc == 0, "%s", diag_last()->message);
    return c;
}

/* CONF-1: an error names file, line, key, and what was expected. */
static void
bad(const char *text, const char *message)
{
    struct conf *c;

    ck_assert_int_eq(conf_parse("f.yaml", text, strlen(text), &c), ERR_CONFIG_FILE);
    ck_assert_ptr_null(c);
    ck_assert_str_eq(diag_last()->message, message);
}

START_TEST(test_defaults)
{
    struct conf *c = good("name: A\n");

    ck_assert_str_eq(c->name, "A");
    ck_assert_int_eq(c->sql_listen.count, 1);
    ck_assert_str_eq(c->sql_listen.items[0], "127.0.0.1:5433");
    ck_assert_str_eq(c->guard_listen.items[0], "127.0.0.1:7433");
    ck_assert_int_eq(c->sql_auth_remote, CONF_AUTH_SCRAM);
    ck_assert_int_eq(c->sql_auth_loopback, CONF_AUTH_TRUST);
    ck_assert_int_eq(c->guard_net_timeout_ms, 5000);
    ck_assert_int_eq(c->redo_file_size, 64 << 20);
    ck_assert_int_eq(c->retention_time_us, INT64_C(3600000000));
    ck_assert_int_eq(c->log_level, CONF_LOG_INFO);
    ck_assert_str_eq(c->archive_dir, "");
    conf_free(c);
}
END_TEST

START_TEST(test_values)
{
    struct conf *c = good("# a comment\n"
                          "name: \"node-1\"\n"
                          "sql:\n"
                          "  listen: [\"0.0.0.0:5433\", '[::1]:6000']\n"
                          "  auth_remote: reject\n"
                          "  statement_timeout: 1500 ms\n"
                          "sql.workers: 4\n"
                          "guard: {listen: db1.example.com:7433, heartbeat: 1s}\n"
                          "memory:\n"
                          "archive:\n"
                          "  dir: /var/lib/redo\n"
                          "retention: {time: 7d, size: 10GB}\n"
                          "redo:\n  ring: 33554432\n");

    ck_assert_int_eq(c->sql_listen.count, 2);
    ck_assert_str_eq(c->sql_listen.items[1], "[::1]:6000");
    ck_assert_int_eq(c->sql_auth_remote, CONF_AUTH_REJECT);
    ck_assert_int_eq(c->sql_statement_timeout_ms, 1500);
    ck_assert_int_eq(c->sql_workers, 4);
    ck_assert_int_eq(c->guard_listen.count, 1);
    ck_assert_str_eq(c->guard_listen.items[0], "db1.example.com:7433");
    ck_assert_int_eq(c->guard_heartbeat_ms, 1000);
    ck_assert_str_eq(c->archive_dir, "/var/lib/redo");
    ck_assert_int_eq(c->retention_time_us, INT64_C(604800000000));
    ck_assert_int_eq(c->retention_size, INT64_C(10) << 30);
    ck_assert_int_eq(c->redo_ring, 32 << 20);
    conf_free(c);
}
END_TEST

START_TEST(test_errors)
{
    bad("name: A\nsql:\n  lisen: x\n", "f.yaml:3: unknown key \"sql.lisen\"");
    ck_assert_str_eq(diag_last()->hint, "Perhaps \"sql.listen\" is meant.");
    bad("name: A\nmax_connections: 5\n", "f.yaml:2: unknown key \"max_connections\"");
    ck_assert_str_eq(diag_last()->hint, "Perhaps \"sql.max_connections\" is meant.");
    bad("name: A\nzzz: 1\n", "f.yaml:2: unknown key \"zzz\"");
    ck_assert_str_eq(diag_last()->hint, "");
    bad("name: A\nmemory:\n  memtables: 4MB\n",
        "f.yaml:3: memory.memtables: expected a size such as 64MB, from 8MB to 64TB, not \"4MB\"");
    bad("name: A\nguard:\n  heartbeat: 400ms\n  net_timeout: 1s\n",
        "f.yaml:4: guard.net_timeout: expected at least three times guard.heartbeat (400ms), not "
        "1000ms");
    /* CONF-4 */
    bad("name: A\n\nname: B\n", "f.yaml:3: name: given twice, first in line 1");
    bad("name: A\nsql: {workers: 1}\nsql.workers: 2\n",
        "f.yaml:3: sql.workers: given twice, first in line 2");
    bad("name: 1A\n", "f.yaml:1: name: expected a letter, then letters, digits, - or _, at most 31 "
                      "in all, not \"1A\"");
    bad("name: A\nsql:\n  listen: 5433\n",
        "f.yaml:3: sql.listen: expected a list of at most 16 addresses, host:port, not \"5433\"");
    bad("name: A\nsql:\n  listen: [a:1, [b:2]]\n",
        "f.yaml:3: sql.listen: expected a list of at most 16 addresses, host:port");
    bad("name: A\nsql:\n  workers: many\n",
        "f.yaml:3: sql.workers: expected a number from 0 to 1024, not \"many\"");
    bad("name: A\nredo: {ring: 1KB}\n", "f.yaml:2: redo.ring: expected a size such as 64MB, from "
                                        "1MB to 4GB, not \"1KB\"");
    bad("name: A\nguard: {heartbeat: 5}\n",
        "f.yaml:2: guard.heartbeat: expected a duration such as 250ms or 5s, from 10ms to 1min, "
        "not \"5\"");
    bad("name: A\nsql: {auth_remote: trust}\n",
        "f.yaml:2: sql.auth_remote: expected scram-sha-256 or reject, not \"trust\"");
    bad("name: A\nlog: {level: loud}\n",
        "f.yaml:2: log.level: expected debug, info, warning or error, not \"loud\"");
    bad("name: A\nlog: 3\n", "f.yaml:2: log: expected keys below it");
    bad("name: A\nlog: {level: [info]}\n",
        "f.yaml:2: log.level: expected debug, info, warning or error");
    bad("sql:\n", "f.yaml:1: name: is missing");
    bad("", "f.yaml:1: name: is missing");
    bad("- a\n", "f.yaml:1: expected keys, as in \"name: A\"");
    bad("name: &a A\nlog: {destination: *a}\n", "f.yaml:2: aliases are not allowed here");
    bad("name: A\n---\nname: B\n", "f.yaml:2: a second document begins here");
    bad("name: \"a\\0b\"\n", "f.yaml:1: name: expected a letter, then letters, digits, - or _, at "
                             "most 31 in all");
    bad("name: A\nsql: {\n", "f.yaml:3: not YAML: did not find expected node content");
}
END_TEST

START_TEST(test_units)
{
    static const struct {
        const char *text;
        int64_t value; /* -1: refused */
    } sizes[] = { { "0", 0 },           { "64MB", 64 << 20 },
                  { "1 GiB", 1 << 30 }, { "4096", 4096 },
                  { "1kB", 1024 },      { "7B", 7 },
                  { "", -1 },           { "MB", -1 },
                  { "-1", -1 },         { "1mb", -1 },
                  { "1.5GB", -1 },      { "9223372036854775808", -1 },
                  { "1 ", -1 },         { "9000000000000000TB", -1 } },
      times[] = { { "0", 0 },           { "250ms", 250000 },    { "5s", 5000000 },
                  { "1h", 3600000000 }, { "2 min", 120000000 }, { "3us", 3 },
                  { "5", -1 },          { "1d", 86400000000 },  { "1w", -1 },
                  { "5 s ", -1 } };
    int64_t v;

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        int rc = conf_parse_size(sizes[i].text, &v);

        ck_assert_msg((rc != 0) == (sizes[i].value < 0) && (rc != 0 || v == sizes[i].value), "%s",
                      sizes[i].text);
    }
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        int rc = conf_parse_duration_us(times[i].text, &v);

        ck_assert_msg((rc != 0) == (times[i].value < 0) && (rc != 0 || v == times[i].value), "%s",
                      times[i].text);
    }
}
END_TEST

START_TEST(test_addresses)
{
    static const char *const yes[] = { "127.0.0.1:5433", "a:0", "db.example.com:65535", "[::1]:1" };
    static const char *const no[] = { "",
                                      ":",
                                      ":5433",
                                      "host",
                                      "host:",
                                      "host:x",
                                      "host:65536",
                                      "::1:5433",
                                      "[::1]",
                                      "[]:1",
                                      "a b:1",
                                      "/tmp/x:1",
                                      "host:99999999999999999999",
                                      "host:-1" };

    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        ck_assert_msg(conf_is_address(yes[i]), "%s", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        ck_assert_msg(!conf_is_address(no[i]), "%s", no[i]);
}
END_TEST

/* CONF-2: the sample is accepted, says what it was given, and each of its commented lines is the
 * key's default and accepted too. */
START_TEST(test_sample)
{
    struct writer w;
    struct conf *c;
    char *text, *p;

    wr_init(&w, 0);
    conf_write_sample(&w, "B", "127.0.0.1:5533", NULL);
    wr_u8(&w, 0);
    text = xstrdup((const char *)w.data);
    wr_fini(&w);
    c = good(text);
    ck_assert_str_eq(c->name, "B");
    ck_assert_str_eq(c->sql_listen.items[0], "127.0.0.1:5533");
    ck_assert_str_eq(c->guard_listen.items[0], "127.0.0.1:7433");
    conf_free(c);
    /* "  # key: value" becomes "  key: value"; prose has no colon right after its first word */
    for (p = strstr(text, "\n  # "); p != NULL; p = strstr(p + 1, "\n  # ")) {
        size_t word = strcspn(p + 5, ": \n");

        if (p[5 + word] == ':' && strspn(p + 5, "abcdefghijklmnopqrstuvwxyz_") == word)
            p[3] = p[4] = ' ', memmove(p + 3, p + 5, strlen(p + 5) + 1);
    }
    c = good(text);
    ck_assert_int_eq(c->guard_net_timeout_ms, 5000);
    conf_free(c);
    xfree(text);
}
END_TEST

START_TEST(test_load)
{
    struct env *env = env_posix_new();
    char path[] = "/tmp/redoubt-conf-XXXXXX";
    struct conf *c;
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)write(fd, "name: C\nbad: 1\n", 15), 15);
    ck_assert_int_eq(conf_load(env, path, &c), ERR_CONFIG_FILE);
    ck_assert_ptr_nonnull(strstr(diag_last()->message, ":2: unknown key"));
    ck_assert_int_eq(ftruncate(fd, 8), 0);
    ck_assert_int_eq(conf_load(env, path, &c), 0);
    ck_assert_str_eq(c->name, "C");
    conf_free(c);
    ck_assert_int_eq(ftruncate(fd, (1 << 20) + 1), 0);
    ck_assert_int_eq(conf_load(env, path, &c), ERR_CONFIG_FILE);
    close(fd);
    unlink(path);
    ck_assert_int_eq(conf_load(env, path, &c), ERR_NO_FILE);
    env_free(env);
}
END_TEST

/* CONF-3: any bytes give a configuration or an error. */
START_TEST(test_garbage)
{
    uint64_t random = 0x9e3779b97f4a7c15;
    struct writer w;

    printf("seed %llx\n", (unsigned long long)random);
    wr_init(&w, 0);
    conf_write_sample(&w, "B", NULL, NULL);
    for (int i = 0; i < 3000; i++) {
        size_t size = w.size;
        char *text = xmalloc(size);
        struct conf *c;

        memcpy(text, w.data, size);
        for (int k = 0; k < 4; k++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            text[random % size] = "{}[]:,#&*-\"' \n\t\0a5"[random >> 32 & 15];
            if (k == 0 && i % 2 == 0)
                size = random >> 40 & 1023;
        }
        if (conf_parse("f", text, size, &c) == 0)
            conf_free(c);
        xfree(text);
    }
    wr_fini(&w);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("conf");
    TCase *t = tcase_create("all");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_defaults);
    tcase_add_test(t, test_values);
    tcase_add_test(t, test_errors);
    tcase_add_test(t, test_units);
    tcase_add_test(t, test_addresses);
    tcase_add_test(t, test_sample);
    tcase_add_test(t, test_load);
    tcase_add_test(t, test_garbage);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
