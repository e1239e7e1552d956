/* Rules switched off in a cluster_world, so that the tests show that they would notice: SIM_MUTANT
 * names one. None is in the program: what is done here is done to it from outside.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/node_int.h"
#include "node/role_int.h"
#include "tests/support/cluster_world.h"

enum { MUTANT_EARLY = 1, MUTANT_LIST = 2 };

static const struct cluster_mutant {
    const char *name;
    int what;
    unsigned role; /* enum role_mutant */
} mutants[] = {
    /* GATE-1, LOG-2: a write of redo counts as durable when it is begun, on every node */
    { "early", MUTANT_EARLY, 0 },
    /* FO-1: the gate asks no standby */
    { "list", MUTANT_LIST, 0 },
    { "vote-is-register", 0, ROLE_MUTANT_VOTE_IS_REGISTER },
    { "no-record", 0, ROLE_MUTANT_NO_RECORD },
    { "promise-while-open", 0, ROLE_MUTANT_PROMISE_WHILE_OPEN },
    { "ack-after-promise", 0, ROLE_MUTANT_ACK_AFTER_PROMISE },
    { "own-register", 0, ROLE_MUTANT_OWN_REGISTER },
    { "regain-gap", 0, ROLE_MUTANT_REGAIN_GAP },
    { "change-unsettled", 0, ROLE_MUTANT_CHANGE_UNSETTLED },
    { "change-gap", 0, ROLE_MUTANT_CHANGE_GAP },
    { "no-fetch", 0, ROLE_MUTANT_NO_FETCH },
    { "not-persisted", 0, ROLE_MUTANT_NOT_PERSISTED },
    { "follow-at-once", 0, ROLE_MUTANT_FOLLOW_AT_ONCE },
    { "new-legs-only", 0, ROLE_MUTANT_NEW_LEGS_ONLY },
    { "restart-opens", 0, ROLE_MUTANT_RESTART_OPENS },
};

void
cluster_mutant_choose(struct cluster *c)
{
    const char *name = getenv("SIM_MUTANT");

    for (size_t i = 0; name != NULL && i < sizeof mutants / sizeof *mutants; i++)
        if (strcmp(mutants[i].name, name) == 0)
            c->mutant = &mutants[i];
    if (name != NULL && c->mutant == NULL)
        cluster_fail(c, "there is no mutant \"%s\"", name);
}

void
cluster_mutant_disks(struct cluster *c)
{
    const struct sim_fault early = { SIM_OP_WRITE, SIM_FAULT_EARLY, "/redo/", 0, 0, 0, 0 };

    if (c->mutant == NULL || c->mutant->what != MUTANT_EARLY)
        return;
    for (int i = 0; i < CLUSTER_NODES; i++)
        (void)sim_fault_add(c->node[i].env, &early);
}

void
cluster_mutant_step(struct cluster *c)
{
    for (int i = 0; i < CLUSTER_NODES && c->mutant != NULL; i++) {
        struct node *n = c->node[i].node;

        if (n == NULL)
            continue;
        n->role->config.mutants = c->mutant->role;
        if (c->mutant->what == MUTANT_LIST)
            n->gate.state.rule_count = 0;
    }
}
