/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/cluster_fault.h"

#include <stdio.h>
#include <string.h>

#include "node/node_int.h"

enum { PAUSE_US = 400000 };

/* ---- machines -------------------------------------------------------------------------------- */

static int
any(struct cluster *c)
{
    return (int)cluster_random(c, CLUSTER_NODES);
}

static void
down(struct cluster *c, int node)
{
    switch (cluster_random(c, 5)) {
    case 0:
    case 1:
        cluster_kill(c, node);
        break;
    case 2:
        sim_node_resume(c->node[node].env);
        cluster_stop(c, node);
        break;
    default:
        cluster_crash(c, node);
    }
}

static void
disturb_process(struct cluster *c)
{
    int node = cluster_chance(c, 50) && cluster_primary(c) >= 0 ? cluster_primary(c) : any(c);

    down(c, node);
    if (cluster_chance(c, 60)) {
        cluster_sleep(c, cluster_random(c, 300000));
        cluster_start(c, node);
        if (cluster_chance(c, 20)) { /* A13: also while it recovers */
            cluster_sleep(c, cluster_random(c, 20000));
            cluster_crash(c, node);
        }
    }
    if (cluster_chance(c, 15)) /* all at once */
        for (int i = 0; i < CLUSTER_NODES; i++)
            if (cluster_chance(c, 70))
                cluster_crash(c, i);
}

static void
disturb_pause(struct cluster *c)
{
    struct cluster_node *n = &c->node[any(c)];

    if (cluster_chance(c, 20)) { /* F1 */
        int64_t us = (int64_t)cluster_random(c, 7200 * SIM_SECOND) - 3600 * (int64_t)SIM_SECOND;

        cluster_note(c, "the clock of %s jumps by %lld s", n->name, (long long)(us / 1000000));
        sim_node_skew_wall(n->env, us);
        return;
    }
    if (!sim_node_is_up(n->env))
        return;
    cluster_note(c, "%s is stopped", n->name);
    sim_node_pause(n->env);
    if (cluster_chance(c, 70)) {
        cluster_sleep(c, cluster_random(c, cluster_chance(c, 70) ? PAUSE_US : 4 * SIM_SECOND));
        cluster_note(c, "%s goes on", n->name);
        if (sim_node_is_up(n->env))
            sim_node_resume(n->env);
    }
}

/* ---- the network ----------------------------------------------------------------------------- */

static struct env *
end_of_link(struct cluster *c, int node)
{
    return node < CLUSTER_NODES ? c->node[node].env : c->clients;
}

/* C1 to C7. */
static void
disturb_net(struct cluster *c)
{
    int a = any(c), b = (a + 1 + (int)cluster_random(c, CLUSTER_NODES)) % (CLUSTER_NODES + 1);
    struct env *from = end_of_link(c, a), *to = end_of_link(c, b);
    const char *names[2] = { sim_node_name(from), sim_node_name(to) };

    if (from == to)
        return;
    switch (cluster_random(c, 7)) {
    case 0:
        cluster_note(c, "%s and %s are parted", names[0], names[1]);
        sim_net_partition(c->sim, from, to, true);
        break;
    case 1:
        cluster_note(c, "nothing comes from %s to %s", names[0], names[1]);
        sim_net_block(c->sim, from, to, true);
        break;
    case 2:
        cluster_note(c, "%s is isolated", names[0]);
        sim_net_isolate(c->sim, from, true);
        break;
    case 3:
        cluster_note(c, "connections of %s and %s are reset", names[0], names[1]);
        sim_net_reset(c->sim, from, to);
        return;
    case 4:
        cluster_note(c, "%s to %s is slow", names[0], names[1]);
        sim_net_set_delay(c->sim, from, to, 1000, 1000 + cluster_random(c, 100000));
        return;
    case 5:
        cluster_note(c, "%s to %s is fast", names[0], names[1]);
        sim_net_set_delay(c->sim, from, to, 50, 500);
        return;
    default:
        if (to == c->clients) /* their protocol has no checksum */
            return;
        cluster_note(c, "%s to %s corrupts", names[0], names[1]);
        sim_net_set_corruption(c->sim, from, to, 2000);
        cluster_sleep(c, cluster_random(c, PAUSE_US));
        sim_net_set_corruption(c->sim, from, to, 0);
        return;
    }
    if (cluster_chance(c, 75)) {
        cluster_sleep(c, cluster_random(c, cluster_chance(c, 60) ? PAUSE_US : 4 * SIM_SECOND));
        cluster_note(c, "the network is healed");
        sim_net_heal(c->sim);
    }
}

/* ---- roles ----------------------------------------------------------------------------------- */

static bool
no_command(struct cluster *c, void *arg)
{
    (void)arg;
    return c->commands == 0;
}

/* Whether nobody but `to` is primary or may become one by itself: those that were last are down.
 * Nor would an operator force a node that slept through the reign that was last (FO-51). */
static bool
word_is_true(const struct cluster *c, int to)
{
    if (c->node[to].node->shown.key.inc < c->reign)
        return false;
    for (int i = 0; i < CLUSTER_NODES; i++) {
        const struct node *n = c->node[i].node;

        if (i == to || !cluster_is_up(c, i))
            continue;
        if (n == NULL || (n->status.state != ROLE_MOUNTED && n->status.state != ROLE_CANVASSING) ||
            n->shown.primary == n->self || n->status.is_primary)
            return false;
    }
    return true;
}

static bool
knows(struct cluster *c, void *arg)
{
    const struct node *elected = c->node[*(int *)arg].node;

    for (int i = 0; i < CLUSTER_NODES && elected != NULL; i++) {
        const struct node *n = c->node[i].node;

        if (n != NULL && n->shown.key.inc < elected->shown.key.inc)
            return false;
    }
    return true;
}

bool
cluster_failover_fenced(struct cluster *c, int to, bool accept_loss)
{
    int rc;

    if (!cluster_is_up(c, to) || c->node[to].node == NULL || !word_is_true(c, to))
        return false;
    c->word_at = cluster_now(c);
    rc = cluster_wordsf(c, to, "failover fenced%s", accept_loss ? " accept-loss" : "");
    c->word_at = cluster_now(c);
    c->loss_accepted = c->loss_accepted || accept_loss;
    /* With one leg nobody else needs to have heard of it: the word stays true until they have. */
    if (accept_loss && rc == 0) {
        sim_net_heal(c->sim);
        (void)cluster_wait(c, 30 * SIM_SECOND, knows, &to);
    }
    return rc == 0;
}

static void
disturb_role(struct cluster *c, unsigned kinds)
{
    int primary = cluster_primary(c), to = any(c);
    char words[64];

    switch (cluster_random(c, 6)) {
    case 0:
    case 1:
    case 2:
        if (primary < 0)
            return;
        snprintf(words, sizeof words, "switchover %s", c->node[to].name);
        cluster_post(c, primary, words);
        break;
    case 3:
        cluster_post(c, to, cluster_chance(c, 70) ? "failover" : "reinstate");
        break;
    default:
        if (!cluster_wait(c, 5 * SIM_SECOND, no_command, NULL))
            return;
        primary = cluster_primary(c);
        if (primary >= 0) {
            if (cluster_chance(c, 50))
                cluster_kill(c, primary);
            else
                cluster_crash(c, primary);
            to = (primary + 1 + (int)cluster_random(c, CLUSTER_NODES - 1)) % CLUSTER_NODES;
        }
        cluster_sleep(c, cluster_random(c, 600000));
        cluster_start(c, to);
        cluster_sleep(c, 300000 + cluster_random(c, 300000));
        (void)cluster_failover_fenced(c, to, (kinds & FAULT_LOSS) != 0 && cluster_chance(c, 30));
    }
    if (cluster_chance(c, 40)) { /* in its middle */
        cluster_sleep(c, cluster_random(c, cluster_chance(c, 50) ? 5000 : 60000));
        down(c, any(c));
    }
}

static void
disturb_protect(struct cluster *c)
{
    static const char *const words[] = {
        "protect availability 1 %s %s",
        "protect availability 2 %s %s",
        "protect availability 1 %s",
        "protect performance 0",
    };
    int primary = cluster_primary(c);
    char text[64];

    if (primary < 0)
        return;
    snprintf(text, sizeof text, words[cluster_random(c, 4)],
             c->node[(primary + 1) % CLUSTER_NODES].name,
             c->node[(primary + 2) % CLUSTER_NODES].name);
    cluster_post(c, primary, text);
}

void
cluster_disk_left(struct cluster *c, int node, uint64_t bytes)
{
    const uint64_t large = UINT64_C(1) << 40;
    struct env *env = c->node[node].env;
    uint64_t left;

    sim_disk_set_capacity(env, UINT64_MAX);
    if (bytes == UINT64_MAX)
        return;
    sim_disk_set_capacity(env, large);
    if (env_disk_free(env, "/", &left) != 0)
        cluster_fail(c, "%s has no disk", c->node[node].name);
    cluster_note(c, "the disk of %s has %llu bytes left", c->node[node].name,
                 (unsigned long long)bytes);
    sim_disk_set_capacity(env, large - left + bytes);
}

/* ---- disks ----------------------------------------------------------------------------------- */

static void
disturb_disk(struct cluster *c)
{
    static const struct {
        const char *what;
        struct sim_fault fault;
    } faults[] = {
        { "a sync of redo fails",
          { SIM_OP_SYNC | SIM_OP_WRITE, SIM_FAULT_EIO, "redo", 0, 1, 0, 0 } },
        { "a write of redo tears", { SIM_OP_WRITE, SIM_FAULT_TORN, "redo", 0, 1, 0, 0 } },
        { "a sync fails", { SIM_OP_SYNC, SIM_FAULT_EIO, NULL, 0, 1, 0, 0 } },
        { "a write fails", { SIM_OP_WRITE, SIM_FAULT_EIO, NULL, 0, 1, 0, 0 } },
        { "the disk is slow", { SIM_OP_ANY, SIM_FAULT_DELAY, NULL, 0, 60, 0, 60000 } },
        { "reads fail", { SIM_OP_READ, SIM_FAULT_EIO, NULL, 0, 3, 0, 0 } },
        { "the power fails in a write",
          { SIM_OP_WRITE | SIM_OP_SYNC, SIM_FAULT_CRASH, NULL, 0, 1, 0, 0 } },
        { "the power fails at a name",
          { SIM_OP_RENAME | SIM_OP_SYNC_DIR, SIM_FAULT_CRASH, NULL, 0, 1, 0, 0 } },
    };
    size_t i = cluster_random(c, sizeof faults / sizeof *faults);
    struct cluster_node *n = &c->node[any(c)];
    struct sim_fault f = faults[i].fault;

    if (cluster_chance(c, 15)) { /* B10, B12 */
        cluster_disk_left(c, n->index, cluster_random(c, 2 << 20));
        cluster_sleep(c, cluster_random(c, 2 * SIM_SECOND));
        cluster_disk_left(c, n->index, UINT64_MAX);
        return;
    }
    f.skip = (uint32_t)cluster_random(c, 40);
    n->faulty = true;
    cluster_note(c, "%s: %s, after %u", n->name, faults[i].what, f.skip);
    (void)sim_fault_add(n->env, &f);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void
one(struct cluster *c, unsigned kinds)
{
    unsigned kind;

    do
        kind = 1u << cluster_random(c, 6);
    while ((kind & kinds) == 0);
    switch (kind) {
    case FAULT_PROCESS:
        disturb_process(c);
        break;
    case FAULT_NET:
        disturb_net(c);
        break;
    case FAULT_PAUSE:
        disturb_pause(c);
        break;
    case FAULT_ROLE:
        disturb_role(c, kinds);
        break;
    case FAULT_PROTECT:
        disturb_protect(c);
        break;
    default:
        disturb_disk(c);
    }
}

void
cluster_disturb(struct cluster *c, unsigned kinds, int count)
{
    for (int i = 0; i < count; i++) {
        cluster_sleep(c, cluster_random(c, cluster_chance(c, 80) ? PAUSE_US : 3 * SIM_SECOND));
        one(c, kinds);
        for (int node = 0; node < CLUSTER_NODES; node++)
            if (!cluster_is_up(c, node) && cluster_chance(c, 40))
                cluster_start(c, node);
        if (cluster_chance(c, 30))
            sim_net_heal(c->sim);
        for (int node = 0; node < CLUSTER_NODES; node++)
            if (cluster_is_up(c, node) && cluster_chance(c, 40))
                sim_node_resume(c->node[node].env);
    }
}
