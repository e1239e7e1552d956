/* Who has a voice, and when two legs have spoken. Without observers there are two legs, and both
 * must speak: the primary's and the list's. An operator's word (FO-50) stands for the former.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "node/role_int.h"

static uint32_t
admitted(const struct role_register *reg)
{
    uint32_t set = 0;

    for (uint32_t i = 0; i < reg->member_count; i++)
        if (reg->members[i].admitted)
            set |= 1u << i;
    return set;
}

static int
bits(uint32_t set)
{
    return __builtin_popcount(set);
}

/* Where nobody is listed (asynchronous standbys only), a majority of the members stands in for the
 * list: else an old primary could open again without having asked anybody. */
bool
role_config_legs(const struct role_register *reg, struct register_config c, uint32_t set)
{
    uint32_t primary = register_bit(reg, c.primary);
    uint32_t all;

    if ((set & primary) == 0)
        return false;
    if (c.list != 0)
        return bits(set & c.list) >= c.k;
    all = admitted(reg) | primary;
    return bits(set & all) >= bits(all) / 2 + 1;
}

bool
role_two_legs(const struct role_register *reg, uint32_t set)
{
    if (!role_config_legs(reg, register_config_now(reg), set))
        return false;
    for (uint32_t i = 0; i < reg->before_count; i++)
        if (!role_config_legs(reg, reg->before[i], set))
            return false;
    return true;
}

static bool
one_leg(struct register_config c, uint32_t set, member_id_t candidate)
{
    return c.primary == candidate || c.list == 0 ||
           bits(set & c.list) >= bits(c.list) - (int)c.k + 1;
}

bool
role_one_leg(const struct role_register *reg, uint32_t set, member_id_t candidate)
{
    if (!one_leg(register_config_now(reg), set, candidate))
        return false;
    for (uint32_t i = 0; i < reg->before_count; i++)
        if (!one_leg(reg->before[i], set, candidate))
            return false;
    return true;
}

static bool
has_voice(const struct role_register *reg, struct register_config c, member_id_t id)
{
    const struct register_member *m = register_member(reg, id);

    if (m == NULL)
        return false;
    return c.primary == id || (c.list & register_bit(reg, id)) != 0 || (c.list == 0 && m->admitted);
}

bool
role_is_voter(const struct role_register *reg, member_id_t id)
{
    if (has_voice(reg, register_config_now(reg), id))
        return true;
    for (uint32_t i = 0; i < reg->before_count; i++)
        if (has_voice(reg, reg->before[i], id))
            return true;
    return false;
}

uint32_t
role_set_promised(const struct role *r, const struct role_register *reg)
{
    uint32_t set = register_bit(reg, r->config.self);

    for (uint32_t i = 0; i < r->peer_count; i++)
        if (r->peers[i].promised)
            set |= register_bit(reg, r->peers[i].id);
    return set;
}

uint32_t
role_set_agreed(const struct role *r, const struct role_register *reg)
{
    uint32_t set = register_bit(reg, r->config.self);

    for (uint32_t i = 0; i < r->peer_count; i++)
        if (r->peers[i].opined && r->peers[i].agrees)
            set |= register_bit(reg, r->peers[i].id);
    return set;
}

uint32_t
role_set_confirmed(const struct role *r, struct register_key at_least)
{
    uint32_t set = register_bit(&r->d.reg, r->config.self);

    for (uint32_t i = 0; i < r->peer_count; i++)
        if (r->peers[i].confirmed.inc == at_least.inc &&
            register_key_cmp(r->peers[i].confirmed, at_least) >= 0)
            set |= register_bit(&r->d.reg, r->peers[i].id);
    return set;
}
