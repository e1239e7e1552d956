/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sim_test.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct seeds {
    uint64_t first, count;
    bool one;
};

static struct seeds
seeds_asked(int count)
{
    const char *one = getenv("SIM_SEED"), *more = getenv("SIM_SEEDS");
    uint64_t seeds = (uint64_t)count;

    if (more != NULL)
        seeds = strtoull(more, NULL, 10);
    if (one != NULL)
        return (struct seeds){ strtoull(one, NULL, 10), 1, true };
    return (struct seeds){ 0, seeds, false };
}

static void
run_seed(uint64_t seed, bool verbose, void (*body)(struct sim *sim, uint64_t seed, void *arg),
         void *arg)
{
    struct sim *sim = sim_new(seed);

    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    sim_set_verbose(sim, verbose);
    body(sim, seed, arg);
    sim_free(sim);
}

void
sim_test_seeds(int count, void (*body)(struct sim *sim, uint64_t seed, void *arg), void *arg)
{
    struct seeds s = seeds_asked(count);

    for (uint64_t seed = s.first; seed < s.first + s.count; seed++)
        run_seed(seed, s.one, body, arg);
}

static int
run_forked(const struct seeds *s, void (*body)(struct sim *sim, uint64_t seed, void *arg),
           void *arg)
{
    uint64_t processes = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
    int failed = 0, status;

    fflush(stdout);
    for (uint64_t i = 0; i < processes && i < s->count; i++) {
        if (fork() != 0)
            continue;
        for (uint64_t seed = s->first + i; seed < s->first + s->count; seed += processes)
            run_seed(seed, s->one, body, arg);
        fflush(stdout);
        _exit(0);
    }
    while (wait(&status) > 0)
        failed += status != 0;
    return failed;
}

int
sim_test_seeds_forked(int count, void (*body)(struct sim *sim, uint64_t seed, void *arg), void *arg)
{
    struct seeds s = seeds_asked(count);

    return run_forked(&s, body, arg);
}

int
sim_test_numbers_forked(uint64_t first, uint64_t count,
                        void (*body)(struct sim *sim, uint64_t number, void *arg), void *arg)
{
    struct seeds s = { first, count, false };

    return getenv("SIM_SEED") != NULL ? 0 : run_forked(&s, body, arg);
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
