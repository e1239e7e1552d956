/* What SQL shows of the node: v$database, v$dataguard_stats.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "engine/txn/follow.h"
#include "node/node_int.h"

void
node_publish_status(struct node *n)
{
    const struct role_register *reg = &role_durable_state(n->role)->reg;

    env_mutex_lock(&n->state_mutex);
    role_get_status(n->role, &n->status);
    if (register_key_cmp(reg->key, n->shown.key) != 0 || n->shown.database_id == 0)
        n->shown = *reg;
    n->shown_end = role_log_now(n->role).end;
    n->shown_linked = node_is_linked(n);
    n->ready = n->status.state == ROLE_OPEN || n->status.follow == ROLE_FOLLOW_LIVE;
    env_cond_broadcast(&n->state_changed);
    env_mutex_unlock(&n->state_mutex);
}

/* What the mode promises, and what holds at this moment. */
static void
view_protection(const struct role_register *reg, struct sql_node_database *out)
{
    const char *mode = reg->mode == REGISTER_AVAILABILITY ? "MAXIMUM AVAILABILITY"
                       : reg->mode == REGISTER_PROTECTION ? "MAXIMUM PROTECTION"
                                                          : "MAXIMUM PERFORMANCE";
    bool broken = reg->mode != REGISTER_PERFORMANCE && !reg->synchronized;

    snprintf(out->protection_mode, sizeof out->protection_mode, "%s", mode);
    snprintf(out->protection_level, sizeof out->protection_level, "%s",
             broken ? "RESYNCHRONIZATION" : mode);
}

static void
view_database(void *arg, struct sql_node_database *out)
{
    struct node *n = arg;
    const struct register_member *primary;
    bool is_primary, open, follows;

    memset(out, 0, sizeof *out);
    env_mutex_lock(&n->state_mutex);
    is_primary = n->status.is_primary;
    open = n->status.state == ROLE_OPEN && engine_is_open(n->engine);
    follows = n->status.follow == ROLE_FOLLOW_LIVE;
    primary = register_member(&n->shown, n->shown.primary);
    snprintf(out->primary_name, sizeof out->primary_name, "%s",
             primary != NULL ? primary->name : "");
    view_protection(&n->shown, out);
    env_mutex_unlock(&n->state_mutex);
    snprintf(out->name, sizeof out->name, "%s", n->conf->name);
    snprintf(out->role, sizeof out->role, "%s", is_primary ? "PRIMARY" : "PHYSICAL STANDBY");
    snprintf(out->open_mode, sizeof out->open_mode, "%s",
             open      ? "READ WRITE"
             : follows ? "READ ONLY WITH APPLY"
                       : "READ ONLY");
}

/* A standby's own two figures, by what the primary's heartbeats told that it had acknowledged:
 * their age is the last one's. */
static bool
view_own_stat(struct node *n, int index, struct sql_node_stat *out)
{
    uint64_t now = env_boot_ns(n->env);
    struct lsn at = engine_applied(n->engine);
    const struct node_heard *last;
    bool apply = index % 2 != 0;
    uint64_t ns = 0;

    if (index < 0 || index > 1)
        return false;
    snprintf(out->member, sizeof out->member, "%s", n->conf->name);
    snprintf(out->name, sizeof out->name, "%s", apply ? "apply lag" : "transport lag");
    env_mutex_lock(&n->state_mutex);
    last = &n->heard[(n->heard_next + NODE_HEARD_MAX - 1) % NODE_HEARD_MAX];
    snprintf(out->state, sizeof out->state, "%s",
             n->status.follow == ROLE_FOLLOW_LIVE && n->shown_linked ? "FOLLOWING" : "ABSENT");
    if (!apply && lsn_lt(at, n->shown_end))
        at = n->shown_end;
    for (int i = 0; i < NODE_HEARD_MAX; i++)
        if (n->heard[i].ns > ns && lsn_le(n->heard[i].lsn, at))
            ns = n->heard[i].ns;
    out->has_lag_bytes = last->ns != 0;
    out->lag_bytes = lsn_lt(at, last->lsn) ? last->lsn.v - at.v : 0;
    out->has_lag_us = ns != 0;
    out->lag_us = ns != 0 && last->ns > ns ? (last->ns - ns) / 1000 : 0;
    out->age_us = now > last->ns ? (now - last->ns) / 1000 : 0;
    env_mutex_unlock(&n->state_mutex);
    return true;
}

/* Two figures of each standby, as the primary knows them; on a standby, its own. */
static bool
view_stat(void *arg, int index, struct sql_node_stat *out)
{
    struct node *n = arg;
    struct destination d[GATE_MEMBERS_MAX];
    uint32_t count = destinations_list(n->destinations, env_boot_ns(n->env), d);
    const struct destination *at = &d[index / 2];
    const struct register_member *m;
    bool apply = index % 2 != 0, open;

    env_mutex_lock(&n->state_mutex);
    open = n->status.state == ROLE_OPEN;
    env_mutex_unlock(&n->state_mutex);
    if (!open)
        return view_own_stat(n, index, out);
    if (index < 0 || (uint32_t)index / 2 >= count)
        return false;
    env_mutex_lock(&n->state_mutex);
    m = register_member(&n->shown, at->member);
    snprintf(out->member, sizeof out->member, "%s", m != NULL ? m->name : "");
    snprintf(out->state, sizeof out->state, "%s",
             !at->connected                                    ? "ABSENT"
             : m != NULL && m->listed && n->shown.synchronized ? "SYNCHRONIZED"
                                                               : "FOLLOWING");
    env_mutex_unlock(&n->state_mutex);
    snprintf(out->name, sizeof out->name, "%s", apply ? "apply lag" : "transport lag");
    out->has_lag_us = out->has_lag_bytes = at->heard;
    out->lag_us = apply ? at->apply_lag_us : at->transport_lag_us;
    out->lag_bytes = apply ? at->apply_lag_bytes : at->transport_lag_bytes;
    out->age_us = at->age_us;
    return true;
}

void
node_heard_published(struct node *n, scn_t scn, struct lsn lsn)
{
    struct node_heard *h;

    env_mutex_lock(&n->state_mutex);
    h = &n->heard[n->heard_next++ % NODE_HEARD_MAX];
    *h = (struct node_heard){ scn, lsn, env_boot_ns(n->env) };
    env_mutex_unlock(&n->state_mutex);
}

/* The youngest of what the primary had told that is all visible here. */
static uint64_t
view_delay_us(void *arg)
{
    struct node *n = arg;
    scn_t visible = engine_visible_scn(n->engine);
    uint64_t now = env_boot_ns(n->env), ns = 0;

    env_mutex_lock(&n->state_mutex);
    for (int i = 0; i < NODE_HEARD_MAX; i++)
        if (n->heard[i].ns > ns && n->heard[i].scn <= visible)
            ns = n->heard[i].ns;
    env_mutex_unlock(&n->state_mutex);
    return ns == 0 ? UINT64_MAX : now > ns ? (now - ns) / 1000 : 0;
}

void
node_fill_view(struct node *n, struct sql_node *out)
{
    *out = (struct sql_node){
        .database = view_database, .stat = view_stat, .delay_us = view_delay_us, .arg = n
    };
}
