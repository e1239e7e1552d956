/* The server's log, in the simulated world, where its clock is known.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/sim.h"

static char found[20000];

static void
read_back(const char *path)
{
    struct env_file *f;
    size_t got;

    memset(found, 0, sizeof found);
    ck_assert_int_eq(env_open(env_self(), path, ENV_READ, &f), 0);
    ck_assert_int_eq(env_pread(f, found, sizeof found - 1, 0, &got), 0);
    env_close(f);
}

static void
lines_main(void *arg)
{
    struct log *l;
    enum log_level level;

    (void)arg;
    ck_assert_int_eq(log_open(env_self(), "alpha", "/log", LOG_INFO, &l), 0);
    log_debug(l, "not this");
    log_info(l, "started with %d workers", 4);
    log_warning(l, "two\nlines and \x01 bell");
    (void)DIAG(ERR_DISK_FULL, "could not write");
    diag_detail("No room.");
    log_diag(l, LOG_ERROR, "flush of tree %d", 7);
    ck_assert_int_eq(diag_last()->code, ERR_DISK_FULL);
    read_back("/log");
    ck_assert_str_eq(found, "2026-03-01 00:00:00.000 UTC [alpha] INFO: started with 4 workers\n"
                            "2026-03-01 00:00:00.000 UTC [alpha] WARNING: two\n"
                            "\tlines and ? bell\n"
                            "2026-03-01 00:00:00.000 UTC [alpha] ERROR: flush of tree 7: could not "
                            "write (53100)\n"
                            "\tDETAIL: No room.\n");
    ck_assert(log_level_parse("warning", &level) && level == LOG_WARNING);
    ck_assert(!log_level_parse("loud", &level));
    log_info(NULL, "nowhere");
    log_close(l);
}

static void
move_main(void *arg)
{
    struct log *l;

    (void)arg;
    ck_assert_int_eq(log_open(env_self(), "a", "/log", LOG_DEBUG, &l), 0);
    log_info(l, "first");
    ck_assert_int_eq(env_rename(env_self(), "/log", "/log.1"), 0);
    ck_assert_int_eq(log_reopen(l), 0);
    log_info(l, "second");
    log_close(l);
    ck_assert_int_eq(log_open(env_self(), "a", "/log", LOG_DEBUG, &l), 0);
    log_info(l, "third");
    log_close(l);
    read_back("/log.1");
    ck_assert(strstr(found, "first\n") != NULL && strstr(found, "second") == NULL);
    read_back("/log");
    ck_assert(strstr(found, "second\n") != NULL && strstr(found, "third\n") != NULL);
}

static void
run(void (*fn)(void *arg))
{
    struct sim *sim = sim_new(1);
    struct env *node = sim_node_new(sim, "n");

    sim_disk_set_speed(node, &(struct sim_disk_speed){ 0 });
    sim_node_start(node, fn, NULL);
    ck_assert_int_eq(sim_run(sim, UINT64_MAX, NULL, NULL), SIM_IDLE);
    ck_assert_uint_eq(sim_node_leaked_bytes(node), 0);
    sim_free(sim);
}

START_TEST(test_lines)
{
    run(lines_main);
}
END_TEST

START_TEST(test_reopen)
{
    run(move_main);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("log");
    TCase *tc = tcase_create("log");
    SRunner *sr;
    int failed;

    tcase_add_test(tc, test_lines);
    tcase_add_test(tc, test_reopen);
    suite_add_tcase(suite, tc);
    sr = srunner_create(suite);
    srunner_set_fork_status(sr, CK_NOFORK);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
