/* Every step of everything that a storage engine does, with a fault at each operation of the disk,
 * one after the other: the power is cut there, the process is killed there, the operation fails,
 * the disk is full or hangs (A1 to A13, B1, B2, B10, B12, B13, B15). Afterwards the engine is
 * opened again, all that it holds is compared with what the client knows, and the script goes on.
 *
 * FAULTS_STEP=n looks at every n-th operation; the default visits as many as fit into a check, and
 * FAULTS_STEP=1 (make check-faults) all of them. FAULTS_ONLY=n plays one, FAULTS_VERBOSE=1 with the
 * node's log.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/engine_script.h"
#include "tests/support/sim_test.h"

enum {
    CHANGES = SIM_OP_WRITE | SIM_OP_SYNC | SIM_OP_TRUNCATE | SIM_OP_RENAME | SIM_OP_UNLINK |
              SIM_OP_MKDIR | SIM_OP_SYNC_DIR,
    ENDS = 100, /* lives that a node may need */
};

/* One life, to its end: its own, or by the fault. */
static void
live(struct script_world *r, void (*fn)(void *arg))
{
    r->s->finished = false;
    script_world_live(r, fn, r->s);
}

/* A life in which nothing fails. */
static void
live_well(struct script_world *r, void (*fn)(void *arg))
{
    live(r, fn);
    ck_assert_msg(r->s->finished, "step %u: %s %s", r->s->step, r->s->last_message,
                  sim_node_is_up(r->node) || sim_node_last_words(r->node) == NULL
                      ? ""
                      : sim_node_last_words(r->node));
    ck_assert_uint_eq(r->s->errors, 0);
}

/* How many operations pass between two that are visited. */
static uint32_t
stride(uint32_t otherwise)
{
    const char *text = getenv("FAULTS_STEP");

    return text == NULL ? otherwise : (uint32_t)atoi(text);
}

/* Calls body for n = first, first + stride, … until a fault is not met any more. */
static void
visit(const struct sim_fault *fault, uint32_t step, const char *name,
      void (*body)(struct script_world *r, bool met, uint32_t n))
{
    uint32_t n = 0, points = 0;
    const char *only = getenv("FAULTS_ONLY");
    bool met = true;

    for (n = only != NULL ? (uint32_t)atoi(only) : 0; met; n += step) {
        struct sim_fault f = *fault;
        struct script_world r;
        int handle;

        script_world_init(&r, n);
        f.skip = n;
        if (getenv("FAULTS_VERBOSE") != NULL)
            printf("%s at operation %u\n", name, n);
        handle = sim_fault_add(r.node, &f);
        r.s->errors_max = f.count == 1 ? 3 : 1;
        live(&r, script_life);
        met = sim_fault_hits(r.node, handle) > 0;
        if (!met)
            ck_assert_msg(r.s->finished, "%s", r.s->last_message);
        points += met;
        sim_fault_clear(r.node);
        r.s->errors_max = 0;
        body(&r, met, n);
        live_well(&r, script_look);
        script_world_fini(&r);
        if (only != NULL)
            return;
    }
    printf("%s: %u points\n", name, points);
    fflush(stdout);
    ck_assert_uint_gt(points, 100 / step);
}

/* ---- the node dies there --------------------------------------------------------------------- */

/* A13: recovery is cut too, a little later each time, until it gets through; then the script goes
 * on to its end. Each recovery adds an incarnation, and so some work to the next: the steps grow.
 */
static void
dies_again(struct script_world *r, bool met, uint32_t n)
{
    struct sim_fault f = { .ops = CHANGES, .count = 1 };

    (void)met;
    for (uint32_t k = 0, lives = 0; !r->s->finished; k += 1 + k / 5, lives++) {
        int handle;

        ck_assert_uint_lt(lives, ENDS);
        f.kind = (n + k) % 3 == 0 ? SIM_FAULT_KILL : SIM_FAULT_CRASH;
        f.skip = k;
        handle = sim_fault_add(r->node, &f);
        live(r, script_look);
        ck_assert(r->s->finished || sim_fault_hits(r->node, handle) > 0);
        sim_fault_clear(r->node);
    }
    live_well(r, script_life);
}

static void
goes_on(struct script_world *r, bool met, uint32_t n)
{
    (void)met;
    (void)n;
    live_well(r, script_life);
}

/* After a kill, or a failed sync, what is read may never have reached the disk: the power fails
 * right after the node has opened on it (MANIFEST-3; rule 6 of faults.md). */
static void
power_fails_then(struct script_world *r, bool met, uint32_t n)
{
    struct sim_fault f = { .ops = CHANGES, .kind = SIM_FAULT_CRASH, .skip = n % 61, .count = 1 };

    (void)met;
    sim_fault_add(r->node, &f);
    live(r, script_life);
    sim_fault_clear(r->node);
    live_well(r, script_life);
}

START_TEST(test_power_cuts)
{
    struct sim_fault f = { .ops = CHANGES, .kind = SIM_FAULT_CRASH, .count = 1 };

    visit(&f, stride(3), "power cut", goes_on);
}
END_TEST

START_TEST(test_power_cuts_in_recovery)
{
    struct sim_fault f = { .ops = CHANGES, .kind = SIM_FAULT_CRASH, .count = 1 };

    visit(&f, stride(29), "power cut, and again in recovery", dies_again);
}
END_TEST

START_TEST(test_kills)
{
    struct sim_fault f = { .ops = CHANGES, .kind = SIM_FAULT_KILL, .count = 1 };

    visit(&f, stride(5), "kill, then a power cut", power_fails_then);
}
END_TEST

/* ---- the disk fails -------------------------------------------------------------------------- */

/* One operation fails: the step fails and is done again, or the node gives up and comes back (B1);
 * never is anything lost or half there. */
START_TEST(test_one_error)
{
    struct sim_fault f = { .ops = SIM_OP_ANY, .kind = SIM_FAULT_EIO, .count = 1 };

    visit(&f, stride(11), "one error", power_fails_then);
}
END_TEST

START_TEST(test_torn_writes)
{
    struct sim_fault f = { .ops = SIM_OP_WRITE, .kind = SIM_FAULT_TORN, .count = 1 };

    visit(&f, stride(9), "torn write", power_fails_then);
}
END_TEST

/* B15: the disk is gone from here on, until somebody has mended it. */
START_TEST(test_errors_from_here)
{
    struct sim_fault f = { .ops = SIM_OP_ANY, .kind = SIM_FAULT_EIO };

    visit(&f, stride(23), "errors from here on", goes_on);
}
END_TEST

/* B10, B12 */
START_TEST(test_disk_full_from_here)
{
    struct sim_fault f = { .ops = SIM_OP_WRITE | SIM_OP_TRUNCATE | SIM_OP_OPEN | SIM_OP_MKDIR,
                           .kind = SIM_FAULT_ENOSPC };

    visit(&f, stride(23), "disk full from here on", goes_on);
}
END_TEST

START_TEST(test_disk_full_once)
{
    struct sim_fault f = { .ops = SIM_OP_WRITE | SIM_OP_TRUNCATE | SIM_OP_MKDIR,
                           .kind = SIM_FAULT_ENOSPC,
                           .count = 1 };

    visit(&f, stride(9), "disk full once", power_fails_then);
}
END_TEST

/* B13: nothing fails because the disk hangs. */
static void
was_finished(struct script_world *r, bool met, uint32_t n)
{
    (void)met;
    ck_assert_msg(r->s->finished && r->s->errors == 0, "operation %u: %s", n, r->s->last_message);
}

START_TEST(test_stalls)
{
    struct sim_fault f = { .ops = CHANGES | SIM_OP_READ,
                           .kind = SIM_FAULT_DELAY,
                           .count = 1,
                           .delay_us = 5 * SIM_SECOND };

    visit(&f, stride(37), "stall", was_finished);
}
END_TEST

/* CK_RUN_CASE=name runs one alone. */
static void
add(Suite *suite, const char *name, const TTest *test)
{
    TCase *t = tcase_create(name);

    tcase_set_timeout(t, 0);
    tcase_add_test(t, test);
    suite_add_tcase(suite, t);
}

int
main(void)
{
    Suite *suite = suite_create("engine_faults");
    SRunner *r;
    int failed;

    add(suite, "power_cuts", test_power_cuts);
    add(suite, "power_cuts_in_recovery", test_power_cuts_in_recovery);
    add(suite, "kills", test_kills);
    add(suite, "one_error", test_one_error);
    add(suite, "torn_writes", test_torn_writes);
    add(suite, "errors_from_here", test_errors_from_here);
    add(suite, "disk_full_from_here", test_disk_full_from_here);
    add(suite, "disk_full_once", test_disk_full_once);
    add(suite, "stalls", test_stalls);
    r = srunner_create(suite);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
