/* The world and its watcher.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/cluster_world.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/txn/engine_int.h"
#include "node/node_int.h"

enum { WORLD_SECONDS_MAX = 3600, POLL_US = 2000 };

uint64_t
cluster_now(const struct cluster *c)
{
    return sim_now_us(c->sim);
}

uint64_t
cluster_random(struct cluster *c, uint64_t below)
{
    return sim_random(c->sim, below);
}

bool
cluster_chance(struct cluster *c, unsigned percent)
{
    return sim_random(c->sim, 100) < percent;
}

void
cluster_sleep(struct cluster *c, uint64_t us)
{
    env_sleep_us(c->clients, us);
}

bool
cluster_wait(struct cluster *c, uint64_t us, bool (*holds)(struct cluster *c, void *arg), void *arg)
{
    uint64_t until = cluster_now(c) + us;

    while (!holds(c, arg)) {
        if (cluster_now(c) >= until)
            return false;
        cluster_sleep(c, POLL_US);
    }
    return true;
}

/* ---- words ----------------------------------------------------------------------------------- */

void
cluster_note(struct cluster *c, const char *format, ...)
{
    char *at = c->note[c->notes++ % CLUSTER_ACTS_MAX];
    va_list ap;
    int n = snprintf(at, sizeof c->note[0], "%10.6f ", (double)cluster_now(c) / 1e6);

    va_start(ap, format);
    vsnprintf(at + n, sizeof c->note[0] - (size_t)n, format, ap);
    va_end(ap);
    if (c->verbose)
        fprintf(stderr, "[%s]\n", at);
}

static void
print_nodes(const struct cluster *c)
{
    for (int i = 0; i < CLUSTER_NODES; i++) {
        const struct cluster_node *n = &c->node[i];

        if (!sim_node_is_up(n->env) || n->node == NULL) {
            fprintf(stderr, "  %s: %s; %s; last words: %s\n", n->name,
                    sim_node_is_up(n->env) ? "not open" : "down", n->why,
                    sim_node_last_words(n->env) != NULL ? sim_node_last_words(n->env) : "none");
            continue;
        }
        const struct role_status *s = &n->node->status;

        fprintf(stderr,
                "  %s: %s%s, %s, incarnation %u, register %u.%u, visible SCN %" PRIu64
                ", waits: %s\n",
                n->name, role_state_name(s->state), s->is_primary ? " (primary)" : "",
                s->state == ROLE_OPEN ? role_sync_name(s->sync) : role_follow_name(s->follow),
                s->inc, n->node->shown.key.inc, n->node->shown.key.version,
                engine_visible_scn(n->node->engine), s->waits != NULL ? s->waits : "");
    }
}

void
cluster_fail(struct cluster *c, const char *format, ...)
{
    uint32_t first = c->notes > CLUSTER_ACTS_MAX ? c->notes - CLUSTER_ACTS_MAX : 0;
    va_list ap;

    fflush(stdout);
    if (c->verbose)
        fprintf(stderr, "%s", sim_report(c->sim));
    for (uint32_t i = first; i < c->notes; i++)
        fprintf(stderr, "  %s\n", c->note[i % CLUSTER_ACTS_MAX]);
    print_nodes(c);
    fprintf(stderr, "seed %" PRIu64 ", at %.6f s: ", c->seed, (double)cluster_now(c) / 1e6);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fprintf(stderr, "\nrun it alone, with the nodes' logs: SIM_SEED=%" PRIu64 " %s\n", c->seed,
            program_invocation_name);
    fflush(stderr);
    _exit(1);
}

/* ---- the watcher ----------------------------------------------------------------------------- */

/* INV-1: an acknowledgement is what moves the gate's figure (FO-1). */
static void
watch_gate(struct cluster *c, struct cluster_node *n)
{
    const struct node_gate *g = &n->node->gate;

    n->is_alone = !g->state.closed && g->state.alone;
    if (n->is_alone)
        n->alone_until = cluster_now(c);
    if (g->state.closed || g->acknowledged_inc != g->state.inc ||
        (n->reign == g->acknowledged_inc && n->acknowledged == g->acknowledged.v))
        return;
    n->reign = g->acknowledged_inc;
    n->acknowledged = g->acknowledged.v;
    if (n->acknowledged == 0 || (n->fenced && n->is_alone))
        return;
    EXPECT(c, n->reign >= c->reign,
           "INV-1: %s acknowledges in incarnation %u, after %s did in incarnation %u", n->name,
           n->reign, c->node[c->reigning].name, c->reign);
    EXPECT(c, n->reign > c->reign || c->reigning == n->index,
           "INV-1: %s and %s acknowledge in incarnation %u", n->name, c->node[c->reigning].name,
           c->reign);
    c->reign = n->reign;
    c->reigning = n->index;
}

/* What the primary's gate has let through, which the primary shows once it has the end of the write
 * that it lies in: a standby that knows the ends of frames may show it before. */
static bool
is_let_through(const struct cluster *c, const struct cluster_node *n)
{
    const struct cluster_node *primary = &c->node[c->reigning];
    const struct engine *e = n->node->engine;

    return !engine_is_writable(e) && primary->reign == c->reign &&
           e->publish.published.v <= primary->acknowledged;
}

/* FO-32 */
static void
watch_visible(struct cluster *c, struct cluster_node *n)
{
    scn_t visible = engine_visible_scn(n->node->engine);

    if (n->shown_life != n->life) {
        n->shown_life = n->life;
        n->shown = visible;
        if (n->closed_unseen && c->reigning == n->index && visible > c->acknowledged)
            c->acknowledged = visible;
        n->closed_unseen = false;
    }
    if (visible == 0 && n->reopened) /* it answers no query */
        return;
    n->reopened = false;
    if (visible == n->shown && visible <= c->acknowledged)
        return;
    EXPECT(c, visible >= n->shown || c->loss_accepted || c->word_at != 0,
           "INV-3: %s showed SCN %" PRIu64 " and now shows %" PRIu64, n->name, n->shown, visible);
    n->shown = visible;
    /* A primary that is being closed still acknowledges, and nobody can look at it. */
    if ((engine_is_writable(n->node->engine) || c->node[c->reigning].closed_unseen) &&
        visible > c->acknowledged)
        c->acknowledged = visible;
    EXPECT(c, visible <= c->acknowledged || is_let_through(c, n),
           "FO-32: %s shows SCN %" PRIu64 ", and only %" PRIu64 " was ever acknowledged", n->name,
           visible, c->acknowledged);
}

static bool
watch(void *arg)
{
    struct cluster *c = arg;

    for (int i = 0; i < CLUSTER_NODES; i++) {
        struct cluster_node *n = &c->node[i];

        if (!sim_node_is_up(n->env))
            n->node = NULL;
        if (n->node != NULL)
            watch_gate(c, n);
    }
    for (int i = 0; i < CLUSTER_NODES; i++)
        if (c->node[i].node != NULL)
            watch_visible(c, &c->node[i]);
    cluster_mutant_step(c);
    if (c->trap != NULL && c->trap(c, c->trap_arg)) {
        c->trap = NULL;
        c->sprung(c, c->trap_arg);
    }
    return c->done;
}

void
cluster_trap(struct cluster *c, bool (*holds)(struct cluster *c, void *arg),
             void (*act)(struct cluster *c, void *arg), void *arg)
{
    c->sprung = act;
    c->trap_arg = arg;
    c->trap = holds;
}

/* ---- one run --------------------------------------------------------------------------------- */

struct run {
    struct cluster *cluster;
    void (*driver)(struct cluster *c, void *arg);
    void *arg;
};

static void
driver_main(void *arg)
{
    struct run *r = arg;

    r->driver(r->cluster, r->arg);
    r->cluster->done = true;
}

/* A disk that fails may take its node along (rule 6 of the faults: never go on after a failed
 * sync); nothing else may. */
static void
judge_panic(struct cluster *c)
{
    for (int i = 0; i < CLUSTER_NODES; i++) {
        struct cluster_node *n = &c->node[i];
        const char *words = sim_node_last_words(n->env);

        if (sim_node_is_up(n->env) || words == NULL || n->node == NULL)
            continue;
        n->node = NULL;
        EXPECT(c, n->faulty && strstr(words, "CHECK") == NULL, "%s panicked: %s", n->name, words);
        cluster_note(c, "%s panicked: %.60s", n->name, words);
    }
}

void
cluster_run(struct sim *sim, uint64_t seed, void (*driver)(struct cluster *c, void *arg), void *arg)
{
    static const char *const names[CLUSTER_NODES] = { "a", "b", "c" };
    struct cluster *c = calloc(1, sizeof *c);
    struct run run = { c, driver, arg };
    enum sim_result result;

    c->sim = sim;
    c->seed = seed;
    c->verbose = getenv("SIM_SEED") != NULL;
    cluster_mutant_choose(c);
    c->clients = sim_node_new(sim, "clients");
    for (int i = 0; i < CLUSTER_NODES; i++) {
        c->node[i] = (struct cluster_node){ .cluster = c, .index = i };
        snprintf(c->node[i].name, sizeof c->node[i].name, "%s", names[i]);
        c->node[i].env = sim_node_new(sim, names[i]);
    }
    sim_node_start(c->clients, driver_main, &run);
    while ((result = sim_run(sim, WORLD_SECONDS_MAX * SIM_SECOND, watch, c)) == SIM_PANIC)
        judge_panic(c);
    if (result != SIM_DONE) {
        fprintf(stderr, "%s", sim_report(sim));
        cluster_fail(c, "the run ended in %s", sim_result_name(result));
    }
    cluster_forget(c);
    free(c);
}
