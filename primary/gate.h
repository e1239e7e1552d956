/* The commit gate's decision, as a function: from what is durable here and what the standbys have
 * acknowledged to what may be acknowledged to clients (FO-1 a and b, FO-5). The permit is asked
 * last and elsewhere (role_permit_valid): this function knows nothing of time.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PRIMARY_GATE_H
#define PRIMARY_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/id.h"

enum { GATE_MEMBERS_MAX = 16, GATE_RULES_MAX = 2 };

/* k of a list have acknowledged. */
struct gate_rule {
    uint32_t members[GATE_MEMBERS_MAX];
    uint8_t count;
    uint8_t k;          /* 0: this rule asks nobody */
    uint64_t lag_bytes; /* acknowledgements may lag by so much; 0: sync */
};

/* What the role machine has decided. While a change of the list settles there are two rules, and
 * both bind (FO-5). */
struct gate_state {
    uint64_t seq;      /* of the decision, ascending */
    incarnation_t inc; /* only acknowledgements made in this incarnation count */
    bool closed;       /* nothing may be acknowledged: not open, or leaving office */
    bool alone;        /* FO-1b: local durability is enough */
    uint8_t rule_count;
    struct gate_rule rules[GATE_RULES_MAX];
};

/* The newest acknowledgement of one standby. */
struct gate_ack {
    uint32_t member;
    incarnation_t inc;
    struct lsn received, durable, applied;
};

/* The highest LSN that may be acknowledged; 0 for none. Never above local_durable. */
struct lsn gate_acknowledged(const struct gate_state *g, const struct gate_ack *acks,
                             uint32_t count, struct lsn local_durable);
/* The same decision, whatever their numbers. */
bool gate_state_eq(const struct gate_state *a, const struct gate_state *b);
/* What `rule` alone allows: the k-th highest durable LSN of its list in incarnation inc, plus the
 * lag; false when fewer than k have acknowledged anything in it (over any limit). */
bool gate_rule_reached(const struct gate_rule *rule, incarnation_t inc, const struct gate_ack *acks,
                       uint32_t count, struct lsn *reached);

#endif
