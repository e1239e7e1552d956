/* What the two halves of the world ask of each other.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_ROLE_WORLD_INT_H
#define TESTS_SUPPORT_ROLE_WORLD_INT_H

#include "tests/support/role_world.h"

/* role_world.c */
void world_violate(struct world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
void world_trace(struct world *w, int node, const char *fmt, ...) PRINTF_LIKE(3, 4);
int world_index_of(const struct world *w, member_id_t id);
void world_post(struct world *w, struct world_message m);
void world_update_ends(struct world *w, struct world_node *n);
void world_send_ack(struct world *w, struct world_node *n);

/* role_world_act.c */
void world_act_next(struct world *w, struct world_node *n);
void world_finish_op(struct world *w, struct world_node *n); /* the ticketed action under way */
uint32_t world_append(struct world *w, struct world_node *n);
/* Tells clients of what the gate allows (FO-1), and checks that it may. */
void world_acknowledge(struct world *w, struct world_node *n);

#endif
