/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sim_test.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

void
sim_test_seeds(int count, void (*body)(struct sim *sim, uint64_t seed, void *arg), void *arg)
{
    const char *one = getenv("SIM_SEED"), *more = getenv("SIM_SEEDS");
    uint64_t first = one != NULL ? strtoull(one, NULL, 10) : 0;
    uint64_t seeds = (uint64_t)count;

    if (more != NULL)
        seeds = strtoull(more, NULL, 10);
    if (one != NULL)
        seeds = 1;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        struct sim *sim = sim_new(seed);

        printf("seed %llu\n", (unsigned long long)seed);
        fflush(stdout);
        sim_set_verbose(sim, one != NULL);
        body(sim, seed, arg);
        sim_free(sim);
    }
}

void
sim_test_run(struct sim *sim, uint64_t for_us, bool (*until)(void *arg), void *arg,
             enum sim_result expected)
{
    enum sim_result r = sim_run(sim, for_us, until, arg);

    if (r == expected)
        return;
    printf("%s", sim_report(sim));
    ck_abort_msg("the run ended in %s, not %s", sim_result_name(r), sim_result_name(expected));
}

static bool
node_is_down(void *arg)
{
    return !sim_node_is_up(arg);
}

void
sim_test_run_node(struct sim *sim, struct env *node, void (*fn)(void *arg), void *arg)
{
    sim_node_start(node, fn, arg);
    sim_test_run(sim, UINT64_MAX, node_is_down, node, SIM_DONE);
}

void
sim_test_arm(struct sim_test_countdown *c, struct env *node)
{
    c->node = node;
    c->handle = sim_fault_add(node, &c->fault);
}

bool
sim_test_has_fired(const struct sim_test_countdown *c)
{
    return c->node != NULL && sim_fault_hits(c->node, c->handle) > 0;
}

int
sim_test_count_down(const struct sim_fault *fault, int limit,
                    void (*body)(struct sim *sim, struct sim_test_countdown *c, void *arg),
                    void *arg)
{
    for (int n = 0;; n++) {
        struct sim_test_countdown c = { .fault = *fault };
        struct sim *sim = sim_new((uint64_t)n);
        bool has_fired;

        c.fault.skip = (uint32_t)n;
        c.fault.count = 1;
        body(sim, &c, arg);
        has_fired = sim_test_has_fired(&c);
        sim_free(sim);
        if (!has_fired || (limit != 0 && n + 1 >= limit))
            return n;
    }
}
