/* Failover by command (FO-50, FO-51).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "node/role_int.h"

int
role_failover(struct role *r, uint64_t now, unsigned flags, struct role_actions *out)
{
    const struct role_register *reg = &r->d.reg;

    if (role_reigns(r))
        return DIAG(ERR_ROLE, "this node is the primary already");
    if (r->command != ROLE_CMD_NONE ||
        (r->state != ROLE_MOUNTED &&
         !(r->state == ROLE_CANVASSING && r->elect.reason == ROLE_REASON_RESTART)))
        return DIAG(ERR_OBJECT_IN_USE, "another command or an election is under way");
    if (register_member(reg, r->config.self) == NULL)
        return DIAG(ERR_ROLE, "this node is not a member of the configuration yet");
    if (role_hears_primary(r, now, r->config.self)) {
        int rc = DIAG(ERR_ROLE, "the primary, %s, is alive: it was heard a moment ago",
                      register_member_name(reg, r->heard_primary));

        diag_hint("Use switchover, or stop it first.");
        return rc;
    }
    if ((flags & ROLE_FAILOVER_ACCEPT_LOSS) == 0 && reg->primary != r->config.self &&
        !(reg->synchronized && register_lists(reg, r->config.self))) {
        int rc = DIAG(ERR_NOT_ELIGIBLE,
                      "the register does not say that this member has every acknowledged commit");

        diag_detail("It is %s, and the configuration was %s.",
                    register_lists(reg, r->config.self) ? "on the list" : "not on the list",
                    reg->synchronized ? "synchronized" : "not synchronized");
        diag_hint("--accept-loss takes over with what it has.");
        return rc;
    }
    r->command = ROLE_CMD_FAILOVER;
    if (r->state == ROLE_CANVASSING)
        role_move(r, ROLE_MOUNTED);
    role_canvass(r, now, ROLE_REASON_FAILOVER, flags, out);
    return 0;
}
