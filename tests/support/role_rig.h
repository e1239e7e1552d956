/* One role machine, driven by hand: events in, actions looked at. Its configuration: three members;
 * the list holds node 2 (or node 1, when node 2 is the primary); register 5.2.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_ROLE_RIG_H
#define TESTS_SUPPORT_ROLE_RIG_H

#include "node/role.h"

#define ROLE_RIG_DATABASE 0x1234
#define MS                ((uint64_t)1000000)

struct role_rig {
    struct role *r;
    struct role_actions out;
    uint64_t now;
};

struct role_durable role_rig_durable(member_id_t primary, bool synchronized);
void role_rig_init(struct role_rig *g, member_id_t self, const struct role_durable *d);
void role_rig_fini(struct role_rig *g);
const struct role_action *role_rig_action(const struct role_rig *g, enum role_action_type type,
                                          int n, int *at);
const struct role_message *role_rig_sent(const struct role_rig *g, enum role_message_type type,
                                         member_id_t to, int *at);
struct role_message role_rig_message(enum role_message_type type, member_id_t from);
void role_rig_give(struct role_rig *g, const struct role_message *m);
void role_rig_tick(struct role_rig *g, uint64_t ms);
enum role_state role_rig_state(const struct role_rig *g);
void role_rig_give_ack(struct role_rig *g, member_id_t from, incarnation_t inc, uint64_t lsn);
void role_rig_give_ask(struct role_rig *g, member_id_t from, incarnation_t inc);
void role_rig_open_primary(struct role_rig *g, const struct role_durable *d);
void role_rig_confirm(struct role_rig *g, member_id_t from);
void role_rig_gate_done(struct role_rig *g, uint64_t acknowledged);
void role_rig_open_synchronized(struct role_rig *g);
enum role_sync role_rig_sync_state(const struct role_rig *g);

#endif
