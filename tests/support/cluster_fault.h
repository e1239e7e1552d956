/* What befalls a cluster_world, by the dice.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_CLUSTER_FAULT_H
#define TESTS_SUPPORT_CLUSTER_FAULT_H

#include "tests/support/cluster_world.h"

enum cluster_fault_kind {
    FAULT_PROCESS = 1,  /* kills, power cuts, clean stops */
    FAULT_NET = 2,      /* partitions, one-way ones, resets, slow and corrupting links */
    FAULT_PAUSE = 4,    /* processes stopped for a while; clocks that jump */
    FAULT_ROLE = 8,     /* switchover, failover, reinstate */
    FAULT_PROTECT = 16, /* mode and list */
    FAULT_DISK = 32,
    FAULT_LOSS = 64,   /* an operator accepts losses */
    FAULT_ACKED = 128, /* power cuts right at an acknowledgement, while a standby may lack it */
    FAULT_ALL = 255,
};

/* So many things happen, some at the same time, each of the kinds given. Afterwards machines may be
 * down and links blocked: cluster_converge mends that. */
void cluster_disturb(struct cluster *c, unsigned kinds, int count);
/* The machine's disk has so many bytes left from here on; UINT64_MAX: all it wants. */
void cluster_disk_left(struct cluster *c, int node, uint64_t bytes);
/* Nobody hears the node any more, and it hears nobody, and goes on; for cluster_failover_fenced it
 * is as good as dead. Back again: members first, so that it learns of another reign (false: it has
 * not, within us), then clients, without what was on its way to them. */
void cluster_fence(struct cluster *c, int node);
bool cluster_unfence(struct cluster *c, int node, uint64_t us);
/* An operator's failover with --fenced, where that word is true. Blocks. */
bool cluster_failover_fenced(struct cluster *c, int to, bool accept_loss);

#endif
