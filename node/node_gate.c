/* The commit gate: what is durable here and acknowledged as the mode asks is published.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "node/node_int.h"

static struct lsn
gate_now_locked(struct node_gate *g)
{
    struct lsn lsn = gate_acknowledged(&g->state, g->acks, g->ack_count, g->durable);

    if (g->acknowledged_inc != g->state.inc) {
        g->acknowledged_inc = g->state.inc;
        g->acknowledged = lsn_make(0);
    }
    if (lsn_lt(g->acknowledged, lsn))
        g->acknowledged = lsn;
    return lsn;
}

/* On log threads, in order. */
static void
on_durable(void *arg, struct lsn durable, scn_t scn)
{
    struct node *n = arg;
    struct lsn lsn;

    (void)scn;
    env_mutex_lock(&n->gate.mutex);
    n->gate.durable = durable;
    lsn = gate_now_locked(&n->gate);
    env_mutex_unlock(&n->gate.mutex);
    if (lsn.v != 0)
        engine_publish(n->engine, lsn);
}

void
node_gate_init(struct node *n)
{
    struct commit_gate gate = { on_durable, n };

    env_mutex_init(n->env, &n->gate.mutex);
    n->gate.state.closed = true;
    engine_set_gate(n->engine, &gate);
}

void
node_gate_fini(struct node *n)
{
    engine_set_gate(n->engine, NULL);
    env_mutex_fini(&n->gate.mutex);
}

/* No batch judged by the older state is on its way once the mutex has been had (R4): replies are
 * held back by the visible SCN, which moves only from here. */
void
node_gate_set(struct node *n, const struct gate_state *state, struct lsn *acknowledged)
{
    struct lsn lsn;

    env_mutex_lock(&n->gate.mutex);
    n->gate.state = *state;
    lsn = gate_now_locked(&n->gate);
    *acknowledged = n->gate.acknowledged;
    env_mutex_unlock(&n->gate.mutex);
    if (lsn.v != 0)
        engine_publish(n->engine, lsn);
    node_promote(n);
}

void
node_gate_acks(struct node *n)
{
    struct lsn lsn;

    env_mutex_lock(&n->gate.mutex);
    n->gate.ack_count = destinations_acks(n->destinations, n->gate.acks);
    lsn = gate_now_locked(&n->gate);
    env_mutex_unlock(&n->gate.mutex);
    if (lsn.v != 0)
        engine_publish(n->engine, lsn);
    node_promote(n);
}
