/* SPDX-License-Identifier: Apache-2.0 */
#include "primary/gate.h"

#include <stddef.h>

#include "engine/base/err.h"

static const struct gate_ack *
find_ack(const struct gate_ack *acks, uint32_t count, uint32_t member, incarnation_t inc)
{
    for (uint32_t i = 0; i < count; i++)
        if (acks[i].member == member && acks[i].inc == inc)
            return &acks[i];
    return NULL;
}

bool
gate_rule_reached(const struct gate_rule *rule, incarnation_t inc, const struct gate_ack *acks,
                  uint32_t count, struct lsn *reached)
{
    uint64_t top[GATE_MEMBERS_MAX]; /* durable positions, highest first */
    uint32_t n = 0;

    CHECK(rule->count <= GATE_MEMBERS_MAX);
    *reached = lsn_make(UINT64_MAX);
    if (rule->k == 0)
        return true;
    for (uint32_t i = 0; i < rule->count; i++) {
        const struct gate_ack *a = find_ack(acks, count, rule->members[i], inc);
        uint32_t at = n;

        if (a == NULL)
            continue;
        for (; at > 0 && top[at - 1] < a->durable.v; at--)
            top[at] = top[at - 1];
        top[at] = a->durable.v;
        n++;
    }
    *reached = lsn_make(0);
    if (n < rule->k)
        return false;
    if (__builtin_add_overflow(top[rule->k - 1], rule->lag_bytes, &reached->v))
        reached->v = UINT64_MAX;
    return true;
}

static bool
rule_eq(const struct gate_rule *a, const struct gate_rule *b)
{
    if (a->count != b->count || a->k != b->k || a->lag_bytes != b->lag_bytes)
        return false;
    for (uint8_t i = 0; i < a->count; i++)
        if (a->members[i] != b->members[i])
            return false;
    return true;
}

bool
gate_state_eq(const struct gate_state *a, const struct gate_state *b)
{
    if (a->inc != b->inc || a->closed != b->closed || a->alone != b->alone ||
        a->rule_count != b->rule_count)
        return false;
    for (uint8_t i = 0; i < a->rule_count; i++)
        if (!rule_eq(&a->rules[i], &b->rules[i]))
            return false;
    return true;
}

struct lsn
gate_acknowledged(const struct gate_state *g, const struct gate_ack *acks, uint32_t count,
                  struct lsn local_durable)
{
    struct lsn out = local_durable;

    if (g->closed)
        return lsn_make(0);
    if (g->alone)
        return out;
    for (uint8_t i = 0; i < g->rule_count; i++) {
        struct lsn reached;

        if (!gate_rule_reached(&g->rules[i], g->inc, acks, count, &reached))
            return lsn_make(0);
        if (lsn_lt(reached, out))
            out = reached;
    }
    return out;
}
