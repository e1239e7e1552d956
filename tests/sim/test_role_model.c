/* The role machine in a world of faults, by seed. `test_role_model` runs a number of seeds of each
 * scenario and then each mutant until it is caught; `test_role_model SCENARIO SEED` replays one,
 * with its trace; `test_role_model --seeds N` sets the number.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/role_world.h"

struct scenario {
    const char *name;
    int nodes, listed, k;
    bool failover, switchover, change, loss;
};
static const struct scenario scenarios[] = {
    { .name = "pair", .nodes = 2, .listed = 1, .k = 1, .switchover = true },
    { .name = "pair-failover",
      .nodes = 2,
      .listed = 1,
      .k = 1,
      .failover = true,
      .switchover = true },
    { .name = "bystander", .nodes = 3, .listed = 1, .k = 1, .failover = true, .switchover = true },
    { .name = "any-1-of-2", .nodes = 3, .listed = 2, .k = 1, .failover = true, .switchover = true },
    { .name = "any-2-of-2", .nodes = 3, .listed = 2, .k = 2, .failover = true, .switchover = true },
    { .name = "any-1-of-3", .nodes = 4, .listed = 3, .k = 1, .failover = true, .switchover = true },
    { .name = "changes",
      .nodes = 3,
      .listed = 2,
      .k = 1,
      .failover = true,
      .switchover = true,
      .change = true },
    { .name = "performance", .nodes = 3, .listed = 0, .k = 0, .change = true, .switchover = true },
    { .name = "loss", .nodes = 2, .listed = 1, .k = 1, .failover = true, .loss = true },
};
enum { SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

/* Whether the node knows of the newest reign that anybody knows of: another one could not know what
 * it would take back, and one leg is all that an operator's word asks. */
static bool
is_current(const struct world *w, int node)
{
    for (int i = 0; i < w->nodes; i++)
        if (w->node[i].durable.reg.key.inc > w->node[node].durable.reg.key.inc)
            return false;
    return true;
}

/* An operator's word is true: the old primary is down, and stays so until the command has ended. */
static void
failover_to(struct world *w, const struct scenario *s, int target)
{
    unsigned flags = ROLE_FAILOVER_FENCED;

    if (!w->node[target].up || !is_current(w, target))
        return;
    for (int i = 0; i < w->nodes; i++) {
        if (i == target)
            continue;
        if (w->node[i].up && (world_status(w, i).state != ROLE_MOUNTED ||
                              w->node[i].durable.reg.primary == w->node[i].id))
            flags = 0; /* not fenced: it might open */
    }
    if (s->loss && flags != 0 && world_chance(w, 50))
        flags |= ROLE_FAILOVER_ACCEPT_LOSS;
    if (flags != 0)
        for (int i = 0; i < w->nodes; i++)
            w->node[i].must_stay_down = !w->node[i].up;
    if (w->node[target].paused_until > w->now)
        return;
    w->node[target].replied = false;
    if (role_failover(w->node[target].role, w->now, flags, &w->node[target].queue) != 0)
        return;
    if (flags == 0)
        return;
    /* Nobody else restarts or commands until it has ended, one way or the other. */
    (void)world_await(w, target, 8000 * MS);
    if (w->node[target].up && world_status(w, target).state != ROLE_OPEN)
        world_crash(w, target); /* the operator gives it up for good: its word ends here */
    for (int i = 0; i < w->nodes; i++)
        w->node[i].must_stay_down = false;
}

static void
operator_failover(struct world *w, const struct scenario *s)
{
    int primary = -1;

    for (int i = 0; i < w->nodes; i++)
        if (w->node[i].up && world_status(w, i).is_primary)
            primary = i;
    if (primary >= 0 && world_chance(w, 60))
        world_crash(w, primary);
    failover_to(w, s, (int)world_random(w, (uint64_t)w->nodes));
}

/* The list is changed from one member, which may be cut off, to others; then all but it, or but one
 * of the new list, are lost, before or after they could hear of it. */
static void
change_and_lose(struct world *w, const struct scenario *s)
{
    int p = world_primary(w), x = (int)world_random(w, (uint64_t)w->nodes), rc;
    member_id_t list[WORLD_NODES_MAX];
    uint32_t count = 0;
    bool is_cut = world_chance(w, 60);

    if (p < 0 || p == x || w->node[p].paused_until > w->now ||
        !register_lists(&w->node[p].durable.reg, w->node[x].id))
        return;
    for (int i = 0; i < w->nodes; i++) {
        if (is_cut)
            world_cut(w, x, i, true);
        if (i != p && i != x)
            list[count++] = w->node[i].id;
    }
    rc = role_protect(w->node[p].role, w->now, REGISTER_AVAILABILITY, 1, list, count,
                      &w->node[p].queue);
    (void)rc;
    world_run(w, world_random(w, 400 * MS));
    if (world_chance(w, 50))
        x = (int)list[world_random(w, count)] - 1;
    for (int i = 0; i < w->nodes; i++)
        if (i != x)
            world_crash(w, i);
    world_heal(w);
    failover_to(w, s, x);
}

static void
operator_change(struct world *w)
{
    int p = world_primary(w);
    member_id_t list[WORLD_NODES_MAX];
    uint32_t count = 0;
    uint8_t k;
    int rc;

    if (p < 0 || w->node[p].paused_until > w->now)
        return;
    for (int i = 0; i < w->nodes; i++)
        if (i != p && world_chance(w, 60))
            list[count++] = w->node[i].id;
    k = count == 0 ? 0 : (uint8_t)(1 + world_random(w, count));
    rc = role_protect(w->node[p].role, w->now,
                      count == 0 ? REGISTER_PERFORMANCE : REGISTER_AVAILABILITY, k, list, count,
                      &w->node[p].queue);
    (void)rc; /* refusals are answers, too */
}

static void
operator_switchover(struct world *w)
{
    int p = world_primary(w), rc = 0;

    if (p >= 0 && w->node[p].paused_until <= w->now)
        rc = role_switchover(w->node[p].role, w->now,
                             (member_id_t)(1 + world_random(w, (uint64_t)w->nodes)),
                             &w->node[p].queue);
    (void)rc;
}

static void
fault(struct world *w, const struct scenario *s)
{
    int a = (int)world_random(w, (uint64_t)w->nodes);
    int b = (int)world_random(w, (uint64_t)w->nodes);

    if (world_chance(w, 10))
        w->lazy = world_chance(w, 50) ? a : -1;
    switch (world_random(w, 12)) {
    case 0:
    case 1:
        world_crash(w, a);
        break;
    case 2:
    case 3:
        for (int i = 0; i < w->nodes; i++)
            if (!w->node[i].up && world_chance(w, 70))
                world_start(w, i);
        break;
    case 4:
        w->cut[a][b] = true;
        break;
    case 5:
    case 6:
        world_heal(w);
        break;
    case 7:
        w->node[a].paused_until = w->now + world_random(w, 3000 * MS);
        break;
    case 8:
        if (!s->change)
            break;
        if (s->failover && world_chance(w, 40)) {
            change_and_lose(w, s);
            break;
        }
        operator_change(w);
        if (s->failover && world_chance(w, 50)) {
            world_run(w, world_random(w, 200 * MS));
            operator_failover(w, s);
        }
        break;
    case 9:
    case 10:
        if (s->switchover)
            operator_switchover(w);
        break;
    case 11:
        if (s->failover)
            operator_failover(w, s);
        if (s->failover && world_chance(w, 40)) { /* one right after the other */
            for (int i = 0; i < w->nodes; i++)
                if (!w->node[i].up)
                    world_start(w, i);
            world_run(w, world_random(w, 1000 * MS));
            operator_failover(w, s);
        }
        break;
    default:
        break;
    }
}

/* ROLE-4. False with world.violation set when a rule broke, or nobody served at the end (INV-6). */
static bool
run_seed(const struct scenario *s, uint64_t seed, unsigned mutants, bool verbose, uint64_t *acked)
{
    struct world *w = world_new(seed, s->nodes, s->listed, s->k, mutants);
    bool ok;

    w->verbose = verbose;
    w->faults = true;
    for (int i = 0; i < w->nodes; i++)
        world_start(w, i);
    world_run(w, 1500 * MS);
    for (int i = 0; i < 40 && w->violation[0] == '\0'; i++) {
        fault(w, s);
        world_run(w, world_random(w, world_chance(w, 70) ? 500 * MS : 2500 * MS));
    }
    if (w->violation[0] == '\0') {
        w->faults = false;
        w->lazy = -1;
        world_heal(w);
        for (int i = 0; i < w->nodes; i++)
            if (!w->node[i].up)
                world_start(w, i);
        if (!world_serves(w, 60000 * MS) && w->violation[0] == '\0')
            snprintf(w->violation, sizeof w->violation,
                     "INV-6: all nodes talk, and nobody acknowledges");
    }
    ok = w->violation[0] == '\0';
    if (!ok && mutants == 0)
        printf("%s, seed %llu: %s\n", s->name, (unsigned long long)seed, w->violation);
    if (verbose)
        printf("%s\n", w->violation);
    *acked += w->acked_total;
    world_free(w);
    return ok;
}

/* Without observers every election by two legs needs the old primary's promise and its record of
 * the new reign, so that these rules have a double bottom here, and tests/unit/test_role.c alone
 * looks at them: ACK_AFTER_PROMISE, PROMISE_WHILE_OPEN, OWN_REGISTER, NOT_PERSISTED. */
static const struct {
    const char *name, *scenario;
    unsigned bit;
} mutants[] = {
    { "VOTE_IS_REGISTER", "any-1-of-2", ROLE_MUTANT_VOTE_IS_REGISTER },
    { "SAME_INCARNATION", "pair", ROLE_MUTANT_SAME_INCARNATION },
    { "NO_RECORD", "any-1-of-2", ROLE_MUTANT_NO_RECORD },
    { "REGAIN_GAP", "bystander", ROLE_MUTANT_REGAIN_GAP },
    { "CHANGE_UNSETTLED", "changes", ROLE_MUTANT_CHANGE_UNSETTLED },
    { "CHANGE_GAP", "changes", ROLE_MUTANT_CHANGE_GAP },
    { "NO_FETCH", "any-1-of-2", ROLE_MUTANT_NO_FETCH },
    { "FOLLOW_AT_ONCE", "any-1-of-2", ROLE_MUTANT_FOLLOW_AT_ONCE },
    { "NEW_LEGS_ONLY", "any-1-of-3", ROLE_MUTANT_NEW_LEGS_ONLY },
    { "RESTART_OPENS", "pair-failover", ROLE_MUTANT_RESTART_OPENS },
};
enum { MUTANTS = sizeof mutants / sizeof mutants[0] };

static const struct scenario *
find(const char *name)
{
    for (int i = 0; i < SCENARIOS; i++)
        if (strcmp(scenarios[i].name, name) == 0)
            return &scenarios[i];
    fprintf(stderr, "no scenario \"%s\"\n", name);
    exit(2);
}

/* ROLE-3: the same seed gives the same run. */
static bool
replays(const struct scenario *s, uint64_t seed)
{
    uint64_t a = 0, b = 0;

    (void)run_seed(s, seed, 0, false, &a);
    (void)run_seed(s, seed, 0, false, &b);
    return a == b;
}

static int
run_all(uint64_t seeds, uint64_t mutant_seeds)
{
    int failed = 0;

    for (int i = 0; i < SCENARIOS; i++) {
        clock_t begin = clock();
        uint64_t acked = 0;
        int bad = 0;

        for (uint64_t seed = 1; seed <= seeds && bad < 5; seed++)
            bad += !run_seed(&scenarios[i], seed, 0, false, &acked);
        printf("%-14s %llu seeds, %llu commits acknowledged, %.1f s: %s\n", scenarios[i].name,
               (unsigned long long)seeds, (unsigned long long)acked,
               (double)(clock() - begin) / CLOCKS_PER_SEC, bad == 0 ? "clean" : "BROKEN");
        if (!replays(&scenarios[i], seeds)) {
            printf("%s: seed %llu does not replay\n", scenarios[i].name, (unsigned long long)seeds);
            bad++;
        }
        failed += bad != 0;
    }
    for (int i = 0; i < MUTANTS; i++) {
        uint64_t seed = 1, acked = 0;

        while (seed <= mutant_seeds &&
               run_seed(find(mutants[i].scenario), seed, mutants[i].bit, false, &acked))
            seed++;
        if (seed <= mutant_seeds) {
            printf("mutant %-20s caught at seed %llu\n", mutants[i].name, (unsigned long long)seed);
        } else {
            printf("mutant %-20s NOT CAUGHT\n", mutants[i].name);
            failed++;
        }
    }
    return failed != 0;
}

int
main(int argc, char **argv)
{
    uint64_t acked = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc >= 3 && strcmp(argv[1], "--seeds") == 0)
        return run_all(strtoull(argv[2], NULL, 10), 5000);
    if (argc >= 3) {
        unsigned bits = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 0) : 0;

        return !run_seed(find(argv[1]), strtoull(argv[2], NULL, 10), bits, true, &acked);
    }
    return run_all(200, 5000);
}
