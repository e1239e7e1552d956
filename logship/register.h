/* The role register: who reigns, over whom, and is the list synchronized. Held durably by every
 * voter; only the holder of an incarnation writes versions of it (PROTOCOL section 2).
 *
 * Two registers are ordered by their key, (incarnation, version). A register is a plain value.
 *
 * Encoded (little-endian), format version 1:
 *   off size
 *     0  4  magic "RDRG"
 *     4  2  format version
 *     6  2  flags: 1 synchronized, 2 fsfo
 *     8  8  database id
 *    16  4  incarnation
 *    20  4  version
 *    24  8  reign id
 *    32  4  primary, a member id
 *    36  1  mode
 *    37  1  k, how many of the list have to acknowledge
 *    38  1  number of members
 *    39  1  number of observers
 *    40  8  lag limit in bytes of redo (0: sync)
 *    48  4  threshold, ms
 *    52  4  net timeout, ms
 *    56  4  incarnation whose log the reign went on from
 *    60  4  next member id
 *    64  8  fork LSN
 *    72  8  fork SCN
 *    80  4  newest incarnation that began with one leg, on an operator's word; 0: none
 *    84  4  newest one for which loss was accepted as well; 0: none
 *    88     members, each: u32 id | u8 flags (1 on the list, 2 admitted) |
 *           three strings: varint size, bytes (name, guard address, SQL address)
 *           observers, each: u32 id | one string (guard address)
 *           u8 count of configurations before this one, each: u32 primary | u8 k | u16 members on
 *           the list, a bit for each place in the table above
 *     …  4  CRC-32C over all before
 * Valid: magic, version, CRC; known flags and mode; ids distinct and below the next member id; the
 * primary is a member, or 0 in the register of a node that has not joined yet; k at most the length
 * of the list, 0 only for an empty list; names distinct, not empty, without control characters.
 *
 * Configurations before: a decision (an election, a record) needs its legs by this list and by each
 * of those. They are what a change of the list, and a new reign, which seats another primary, leave
 * behind until legs by all of them hold the register; the next version drops them. Without this, a
 * candidate that wrote its register and crashed would be elected by its own list with voters whom
 * the old primary's list does not meet.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef LOGSHIP_REGISTER_H
#define LOGSHIP_REGISTER_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/bytes.h"
#include "engine/base/err.h"
#include "engine/base/id.h"

enum {
    REGISTER_MEMBERS_MAX = 16,
    REGISTER_OBSERVERS_MAX = 5,
    REGISTER_BEFORE_MAX = 4,
    REGISTER_NAME_MAX = 32,  /* with its NUL */
    REGISTER_ADDR_MAX = 128, /* with its NUL; as ENV_ADDR_MAX */
    REGISTER_BYTES_MAX = 8 << 10,
};

typedef uint32_t member_id_t; /* never used twice in a configuration; 0: nobody */

enum register_mode {
    REGISTER_PERFORMANCE = 1,
    REGISTER_AVAILABILITY = 2,
    REGISTER_PROTECTION = 3,
};

struct register_key {
    incarnation_t inc;
    uint32_t version;
};
int register_key_cmp(struct register_key a, struct register_key b);

struct register_member {
    member_id_t id;
    bool listed;   /* on the list of sync standbys. The one in office keeps it false */
    bool admitted; /* has held a register once: counts where the list is empty */
    char name[REGISTER_NAME_MAX];
    char guard[REGISTER_ADDR_MAX];
    char sql[REGISTER_ADDR_MAX];
};

struct register_observer {
    member_id_t id;
    char guard[REGISTER_ADDR_MAX];
};

/* Who has a voice: the primary's leg, and k of the list. */
struct register_config {
    member_id_t primary;
    uint8_t k;
    uint16_t list; /* a bit for each place in role_register.members */
};

struct role_register {
    uint64_t database_id;
    struct register_key key;
    uint64_t reign_id;
    member_id_t primary;
    enum register_mode mode;
    uint8_t k;
    bool synchronized;
    bool fsfo; /* off: no permits, roles change by command only (FO-51) */
    /* The newest incarnation that began with one leg, on an operator's word, and the newest for
     * which FO-14 was waived. They stay in the registers after it: a node that comes back later
     * learns from them that what it published may be cut (FO-30). */
    incarnation_t fenced_inc, loss_inc;
    uint64_t lag_limit_bytes;
    uint32_t threshold_ms, net_timeout_ms;
    incarnation_t fork_inc; /* what the log agreed with when the reign began, and where it ended */
    struct lsn fork_lsn;
    scn_t fork_scn;
    member_id_t next_member_id;
    uint8_t member_count, observer_count, before_count;
    struct register_config before[REGISTER_BEFORE_MAX];
    struct register_member members[REGISTER_MEMBERS_MAX];
    struct register_observer observers[REGISTER_OBSERVERS_MAX];
};

/* What `init` writes (FO-49): incarnation 0, one member, empty list, no observers, fsfo off. */
void register_init_first(struct role_register *r, uint64_t database_id, const char *name,
                         const char *guard, const char *sql);
/* Of a node that is about to join: it names nobody and is older than every other. */
void register_init_joining(struct role_register *r, uint64_t database_id);

const struct register_member *register_member(const struct role_register *r, member_id_t id);
const struct register_member *register_member_named(const struct role_register *r,
                                                    const char *name);
/* For messages: words when there is none. */
const char *register_member_name(const struct role_register *r, member_id_t id);
uint32_t register_list_count(const struct role_register *r); /* s */
bool register_lists(const struct role_register *r, member_id_t id);
struct register_config register_config_now(const struct role_register *r);
/* Adds a configuration to those before, unless it is there or is the present one. False when there
 * is no room: too many changes are unsettled. */
bool register_keep(struct role_register *r, struct register_config c);
/* The one in office changes: `to` leaves the list, and its predecessor takes the place if it had
 * one. Nothing else changes. */
void register_seat(struct role_register *r, member_id_t to);
/* The bit of a member's place in the table; 0 when it is not there. */
uint32_t register_bit(const struct role_register *r, member_id_t id);
const char *register_mode_name(enum register_mode mode);

/* What must hold between the fields (the head of this file). */
bool register_is_sound(const struct role_register *r);
void register_encode(struct writer *w, const struct role_register *r);
/* Exactly the given bytes. ERR_CORRUPT or ERR_NOT_SUPPORTED. */
MUST_CHECK
int register_decode(struct slice bytes, struct role_register *out);
/* In words, several lines, for status and dump. NUL-terminated. */
void register_print(const struct role_register *r, struct writer *out);

#endif
