/* The engine's storage against the oracle of the storage model, step by random step: ORDER-1,
 * READ-1 to READ-3, UNDO-1 to UNDO-4, TOMB-1, CUT-1 to CUT-5, REDO-1 to REDO-3, HORIZON-1 to
 * HORIZON-4, PIN-1, INC-1, TXN-1, TXN-2, STATUS-1, STATUS-2, DDL-1. Each rule that can be broken is
 * switched off, and must then be missed: all but CUT-1 and CUT-3, on which everything here is
 * built, and HORIZON-3, which takes two nodes (test_destinations.c).
 *
 *   STORAGE_SEED=n    plays one seed, showing its steps
 *   STORAGE_SEEDS=n   plays so many (default: what fits into a unit test)
 *   STORAGE_BROKEN=b  with rules switched off (bits of enum lsm_rule)
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/storage_world.h"

enum { STEPS = 120, SEEDS = 60, SEEDS_BROKEN = 1500 };

static unsigned
setting(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);

    return text == NULL ? otherwise : (unsigned)strtoul(text, NULL, 0);
}

static bool
play(unsigned seed, uint32_t broken, bool trace, uint64_t *steps, uint64_t *compared, char why[512])
{
    static struct storage_world w;
    bool fine;

    storage_init(&w, seed, broken);
    w.trace = trace;
    fine = storage_play(&w, STEPS);
    snprintf(why, 512, "%s", w.why);
    *steps += w.steps;
    *compared += w.compared;
    storage_fini(&w);
    return fine;
}

START_TEST(test_rules_hold)
{
    unsigned first = setting("STORAGE_SEED", 1), seeds = setting("STORAGE_SEEDS", SEEDS);
    bool one = getenv("STORAGE_SEED") != NULL;
    uint64_t steps = 0, compared = 0;
    char why[512];

    for (unsigned seed = first; seed < first + (one ? 1 : seeds); seed++)
        if (!play(seed, setting("STORAGE_BROKEN", 0), one, &steps, &compared, why))
            ck_abort_msg("seed %u: %s", seed, why);
    printf("storage: %llu steps, %llu states compared\n", (unsigned long long)steps,
           (unsigned long long)compared);
}
END_TEST

/* `first`: where to begin looking, for rules that few seeds need. */
static const struct {
    const char *name;
    uint32_t rule;
    unsigned first;
} rules[] = {
    { "UNDO-1", LSM_BREAK_UNDO_1, 1 },         { "UNDO-2", LSM_BREAK_UNDO_2, 1 },
    { "UNDO-3", LSM_BREAK_UNDO_3, 200 },       { "UNDO-4", LSM_BREAK_UNDO_4, 4150 },
    { "TOMB-1", LSM_BREAK_TOMB_1, 1 },         { "ORDER-1", LSM_BREAK_ORDER_1, 1 },
    { "CUT-2", LSM_BREAK_CUT_2, 1 },           { "CUT-4", LSM_BREAK_CUT_4, 100 },
    { "READ-1", LSM_BREAK_READ_1, 1 },         { "READ-2", LSM_BREAK_READ_2, 380 },
    { "REDO-3", LSM_BREAK_REDO_3, 300 },       { "STATUS-1", LSM_BREAK_STATUS_1, 1 },
    { "CUT-5", LSM_BREAK_CUT_5, 6600 },        { "HORIZON-1", LSM_BREAK_HORIZON_1, 1 },
    { "HORIZON-2", LSM_BREAK_HORIZON_2, 1 },   { "HORIZON-4", LSM_BREAK_HORIZON_4, 1 },
    { "DDL-1", LSM_BREAK_DDL_1, 8500 },        { "READ-3", STORAGE_BREAK_READ_3, 4850 },
    { "REDO-1", STORAGE_BREAK_REDO_1, 1 },     { "REDO-2", STORAGE_BREAK_REDO_2, 1 },
    { "PIN-1", STORAGE_BREAK_PIN_1, 1 },       { "INC-1", STORAGE_BREAK_INC_1, 1 },
    { "TXN-1", STORAGE_BREAK_TXN_1, 1 },       { "TXN-2", STORAGE_BREAK_TXN_2, 700 },
    { "STATUS-2", STORAGE_BREAK_STATUS_2, 1 },
};

START_TEST(test_broken_rule_is_noticed)
{
    uint64_t steps = 0, compared = 0;
    unsigned first = rules[_i].first;
    char why[512];

    for (unsigned seed = first; seed < first + SEEDS_BROKEN; seed++)
        if (!play(seed, rules[_i].rule, false, &steps, &compared, why)) {
            printf("%s off: noticed by seed %u: %s\n", rules[_i].name, seed, why);
            return;
        }
    ck_abort_msg("%s switched off, and %u seeds did not notice", rules[_i].name, SEEDS_BROKEN);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("storage_model");
    TCase *t = tcase_create("storage_model");
    SRunner *runner;
    int failed;

    tcase_add_test(t, test_rules_hold);
    if (getenv("STORAGE_SEED") == NULL && getenv("STORAGE_BROKEN") == NULL)
        tcase_add_loop_test(t, test_broken_rule_is_noticed, 0, sizeof rules / sizeof rules[0]);
    tcase_set_timeout(t, 600);
    suite_add_tcase(s, t);
    runner = srunner_create(s);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
