/* For tests in the simulated world: many seeds, one to replay, and reports when a run goes wrong.
 *
 *     SIM_SEEDS=1000 build/asan/tests/sim/test_x     more seeds than the test asks for
 *     SIM_SEED=4711 build/asan/tests/sim/test_x      this one alone, with the nodes' logs
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_SIM_TEST_H
#define TESTS_SUPPORT_SIM_TEST_H

#include "engine/base/sim.h"

/* Calls body with a new simulation for each seed, and frees it. The seed is printed before. */
void sim_test_seeds(int count, void (*body)(struct sim *sim, uint64_t seed, void *arg), void *arg);
/* The same in as many processes as there are processors: each takes its share of the seeds. Returns
 * how many processes failed. */
int sim_test_seeds_forked(int count, void (*body)(struct sim *sim, uint64_t seed, void *arg),
                          void *arg);
/* The same for these numbers, whatever SIM_SEEDS says: scenarios beside the seeds. SIM_SEED runs
 * one of them by sim_test_seeds_forked, and none here. */
int sim_test_numbers_forked(uint64_t first, uint64_t count,
                            void (*body)(struct sim *sim, uint64_t number, void *arg), void *arg);

/* sim_run, which must end as expected: otherwise the report is printed and the test fails. */
void sim_test_run(struct sim *sim, uint64_t for_us, bool (*until)(void *arg), void *arg,
                  enum sim_result expected);

/* Starts fn(arg) on the node and runs until the node is down again: because fn returned, or because
 * it crashed or killed its own node. */
void sim_test_run_node(struct sim *sim, struct env *node, void (*fn)(void *arg), void *arg);

/* The same fault at the n-th matching operation, for n = 0, 1, 2 … until a run meets none, so that
 * every fault point is visited. For each n: a new simulation, and body(sim, &countdown, arg), which
 * makes its node and calls sim_test_arm when it is set up. Returns how many points there were. */
struct sim_test_countdown {
    struct sim_fault fault; /* its skip and count are the loop's */
    struct env *node;
    int handle;
};
void sim_test_arm(struct sim_test_countdown *c, struct env *node);
bool sim_test_has_fired(const struct sim_test_countdown *c);
int sim_test_count_down(const struct sim_fault *fault, int limit,
                        void (*body)(struct sim *sim, struct sim_test_countdown *c, void *arg),
                        void *arg);

#endif
