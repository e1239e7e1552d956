/* What SQL shows of the node: v$database and its kin.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "node/node_int.h"

void
node_publish_status(struct node *n)
{
    env_mutex_lock(&n->state_mutex);
    role_get_status(n->role, &n->status);
    n->ready = n->status.state == ROLE_OPEN || n->status.follow == ROLE_FOLLOW_LIVE;
    env_cond_broadcast(&n->state_changed);
    env_mutex_unlock(&n->state_mutex);
}

static void
view_database(void *arg, struct sql_node_database *out)
{
    struct node *n = arg;
    bool primary, open;

    env_mutex_lock(&n->state_mutex);
    primary = n->status.is_primary;
    open = n->status.state == ROLE_OPEN;
    env_mutex_unlock(&n->state_mutex);
    memset(out, 0, sizeof *out);
    snprintf(out->name, sizeof out->name, "%s", n->conf->name);
    snprintf(out->role, sizeof out->role, "%s", primary ? "PRIMARY" : "PHYSICAL STANDBY");
    snprintf(out->open_mode, sizeof out->open_mode, "%s", open ? "READ WRITE" : "READ ONLY");
    snprintf(out->protection_mode, sizeof out->protection_mode, "MAXIMUM PERFORMANCE");
    snprintf(out->protection_level, sizeof out->protection_level, "MAXIMUM PERFORMANCE");
    if (primary)
        snprintf(out->primary_name, sizeof out->primary_name, "%s", n->conf->name);
}

void
node_fill_view(struct node *n, struct sql_node *out)
{
    *out = (struct sql_node){ .database = view_database, .arg = n };
}
