/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/cluster_fault.h"

#include <stdio.h>
#include <string.h>

#include "node/node_int.h"

enum { PAUSE_US = 400000 };

/* ---- machines -------------------------------------------------------------------------------- */

static bool
no_command(struct cluster *c, void *arg)
{
    (void)arg;
    return c->commands == 0;
}

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

/* ---- at an acknowledgement ------------------------------------------------------------------- */

struct blow {
    uint32_t acked; /* it falls when clients were told of more than so many */
    int node;
    bool all, sprung;
};

static bool
was_told(struct cluster *c, void *arg)
{
    return c->acked > ((const struct blow *)arg)->acked;
}

static void
cut_power(struct cluster *c, void *arg)
{
    struct blow *b = arg;

    b->sprung = true;
    for (int i = 0; i < CLUSTER_NODES; i++)
        if (i == b->node || b->all)
            cluster_crash(c, i);
}

static bool
has_sprung(struct cluster *c, void *arg)
{
    (void)c;
    return ((const struct blow *)arg)->sprung;
}

static bool
is_synchronized(struct cluster *c, void *arg)
{
    int primary = cluster_primary(c);

    (void)arg;
    return primary >= 0 && c->node[primary].node->status.sync == ROLE_SYNCHRONIZED;
}

/* What was acknowledged last is durable where the power fails at that moment, and on as many of
 * the list as asked (FO-1): also while none of them hears the primary, since then nothing is. Then
 * another takes over, or the primary goes on from what its disk has (FO-34). */
static void
disturb_acked(struct cluster *c)
{
    struct blow b = { .node = -1 };
    bool starved = cluster_chance(c, 50);
    int to;

    if (!cluster_wait(c, 5 * SIM_SECOND, no_command, NULL))
        return;
    if (cluster_chance(c, 80)) /* else nobody may take over */
        (void)cluster_wait(c, 6 * SIM_SECOND, is_synchronized, NULL);
    b.node = cluster_primary(c);
    b.all = !starved && cluster_chance(c, 70);
    b.acked = c->acked + (uint32_t)cluster_random(c, 4) + (starved ? 8 : 0); /* on their way */
    if (b.node < 0)
        return;
    to = (b.node + 1 + (int)cluster_random(c, CLUSTER_NODES - 1)) % CLUSTER_NODES;
    if (starved)
        cluster_note(c, "no standby hears %s", c->node[b.node].name);
    for (int i = 0; i < CLUSTER_NODES && starved; i++)
        if (i != b.node)
            sim_net_partition(c->sim, c->node[b.node].env, c->node[i].env, true);
    cluster_trap(c, was_told, cut_power, &b);
    if (!cluster_wait(c, 50000 + cluster_random(c, 500000), has_sprung, &b)) {
        c->trap = NULL;
        cut_power(c, &b);
    }
    sim_net_heal(c->sim);
    if (cluster_chance(c, starved ? 15 : 40)) {
        cluster_start(c, b.node);
        return;
    }
    cluster_start(c, to);
    if (b.all && cluster_chance(c, 50))
        cluster_start(c, CLUSTER_NODES - b.node - to);
    cluster_sleep(c, 300000 + cluster_random(c, 300000));
    (void)cluster_failover_fenced(c, to, false);
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
    switch (cluster_random(c, 8)) {
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
    case 6: { /* in the middle of a frame, of a message, of its length */
        uint64_t at = cluster_random(c, cluster_chance(c, 50) ? 64 : 64 << 10);

        cluster_note(c, "%s to %s ends after %llu bytes", names[0], names[1],
                     (unsigned long long)at);
        sim_net_cut(c->sim, from, to, at);
        return;
    }
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

/* Whether nobody but `to` is primary or may become one by itself: those that were last are down.
 * Nor would an operator force a node that slept through the reign that was last (FO-51). */
static bool
word_is_true(const struct cluster *c, int to)
{
    if (c->node[to].node->shown.key.inc < c->reign)
        return false;
    for (int i = 0; i < CLUSTER_NODES; i++) {
        const struct node *n = c->node[i].node;

        if (i == to || !cluster_is_up(c, i) || c->node[i].fenced)
            continue;
        if (n == NULL || (n->status.state != ROLE_MOUNTED && n->status.state != ROLE_CANVASSING) ||
            n->shown.primary == n->self || n->status.is_primary)
            return false;
    }
    return true;
}

struct known {
    int elected, by;
};

static bool
knows(struct cluster *c, void *arg)
{
    const struct known *k = arg;
    const struct node *elected = c->node[k->elected].node, *n = c->node[k->by].node;

    return elected == NULL || (n != NULL && n->shown.key.inc >= elected->shown.key.inc);
}

/* With one leg nobody else needs to have heard of it: the word stays true until they have. So they
 * are let in one by one. */
static void
tell_others(struct cluster *c, int elected)
{
    sim_net_heal(c->sim);
    for (int up = 1; up >= 0; up--)
        for (int i = 0; i < CLUSTER_NODES; i++) {
            struct known k = { elected, i };

            if (i == elected || cluster_is_up(c, i) != (up == 1))
                continue;
            sim_fault_clear(c->node[i].env);
            sim_node_resume(c->node[i].env);
            cluster_start(c, i);
            (void)cluster_wait(c, 30 * SIM_SECOND, knows, &k);
        }
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
    if (accept_loss && rc == 0)
        tell_others(c, to);
    return rc == 0;
}

void
cluster_fence(struct cluster *c, int node)
{
    cluster_note(c, "%s is fenced off", c->node[node].name);
    c->node[node].fenced = true;
    sim_net_isolate(c->sim, c->node[node].env, true);
}

/* Until then it answers from the branch that it was primary of (README, limits). */
static bool
is_following(struct cluster *c, void *arg)
{
    const struct node *n = c->node[*(int *)arg].node;

    return n == NULL || (n->status.state == ROLE_MOUNTED && n->status.follow == ROLE_FOLLOW_LIVE);
}

bool
cluster_unfence(struct cluster *c, int node, uint64_t us)
{
    struct env *env = c->node[node].env;
    bool gone;

    for (int i = 0; i < CLUSTER_NODES; i++)
        if (i != node)
            sim_net_partition(c->sim, env, c->node[i].env, false);
    gone = cluster_wait(c, us, is_following, &node);
    sim_net_reset(c->sim, env, c->clients);
    sim_net_partition(c->sim, env, c->clients, false);
    c->node[node].fenced = false;
    cluster_note(c, "%s is not fenced off any more", c->node[node].name);
    return gone;
}

/* FO-50: the old primary goes on, where nobody hears it. */
static void
fail_over_running(struct cluster *c, int old, int to)
{
    cluster_fence(c, old);
    cluster_sleep(c, cluster_random(c, 1500000));
    cluster_start(c, to);
    cluster_sleep(c, 300000);
    (void)cluster_failover_fenced(c, to, false);
    cluster_sleep(c, cluster_random(c, PAUSE_US));
    (void)cluster_unfence(c, old, 3 * SIM_SECOND);
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
        if (primary >= 0 && cluster_chance(c, 30)) {
            sim_net_heal(c->sim);
            fail_over_running(c, primary, (primary + 1 + any(c) % 2) % CLUSTER_NODES);
            break;
        }
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
        { "segments are misread", { SIM_OP_READ, SIM_FAULT_MISREAD, ".seg", 0, 3, 0, 0 } },
        { "files are misread", { SIM_OP_READ, SIM_FAULT_MISREAD, NULL, 0, 3, 0, 0 } },
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
        kind = 1u << cluster_random(c, 8);
    while ((kind & kinds & ~(unsigned)FAULT_LOSS) == 0);
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
    case FAULT_ACKED:
        disturb_acked(c);
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
