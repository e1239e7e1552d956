/* SPDX-License-Identifier: Apache-2.0 */
#include "logship/register.h"

#include <inttypes.h>
#include <stdio.h>

#include "engine/base/checksum.h"

enum {
    REGISTER_MAGIC = 0x47524452, /* "RDRG" */
    REGISTER_VERSION = 1,
    FLAG_SYNCHRONIZED = 1,
    FLAG_FSFO = 2,
    FLAG_ALL = 3,
    MEMBER_LISTED = 1,
    MEMBER_ADMITTED = 2,
    MEMBER_ALL = 3,
    CRC_SIZE = 4,
};

int
register_key_cmp(struct register_key a, struct register_key b)
{
    if (a.inc != b.inc)
        return a.inc < b.inc ? -1 : 1;
    return (a.version > b.version) - (a.version < b.version);
}

void
register_init_joining(struct role_register *r, uint64_t database_id)
{
    memset(r, 0, sizeof *r);
    r->database_id = database_id;
    r->mode = REGISTER_PERFORMANCE;
    r->threshold_ms = 5000;
    r->net_timeout_ms = 5000;
    r->next_member_id = 1;
}

void
register_init_first(struct role_register *r, uint64_t database_id, const char *name,
                    const char *guard, const char *sql)
{
    struct register_member *m = &r->members[0];

    register_init_joining(r, database_id);
    r->key.version = 1; /* newer than a joining node's */
    r->primary = 1;
    r->next_member_id = 2;
    r->member_count = 1;
    m->id = 1;
    m->admitted = true;
    snprintf(m->name, sizeof m->name, "%s", name);
    snprintf(m->guard, sizeof m->guard, "%s", guard);
    snprintf(m->sql, sizeof m->sql, "%s", sql);
}

const struct register_member *
register_member(const struct role_register *r, member_id_t id)
{
    for (uint32_t i = 0; i < r->member_count; i++)
        if (r->members[i].id == id)
            return &r->members[i];
    return NULL;
}

const struct register_member *
register_member_named(const struct role_register *r, const char *name)
{
    for (uint32_t i = 0; i < r->member_count; i++)
        if (strcmp(r->members[i].name, name) == 0)
            return &r->members[i];
    return NULL;
}

const char *
register_member_name(const struct role_register *r, member_id_t id)
{
    const struct register_member *m = register_member(r, id);

    return m != NULL ? m->name : "a member that is not known here";
}

uint32_t
register_list_count(const struct role_register *r)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < r->member_count; i++)
        n += r->members[i].listed;
    return n;
}

bool
register_lists(const struct role_register *r, member_id_t id)
{
    const struct register_member *m = register_member(r, id);

    return m != NULL && m->listed;
}

uint32_t
register_bit(const struct role_register *r, member_id_t id)
{
    for (uint32_t i = 0; i < r->member_count; i++)
        if (r->members[i].id == id)
            return 1u << i;
    return 0;
}

struct register_config
register_config_now(const struct role_register *r)
{
    struct register_config c = { .primary = r->primary, .k = r->k };

    for (uint32_t i = 0; i < r->member_count; i++)
        if (r->members[i].listed)
            c.list = (uint16_t)(c.list | 1u << i);
    return c;
}

static bool
config_eq(struct register_config a, struct register_config b)
{
    return a.primary == b.primary && a.k == b.k && a.list == b.list;
}

bool
register_keep(struct role_register *r, struct register_config c)
{
    if (config_eq(c, register_config_now(r)))
        return true;
    for (uint32_t i = 0; i < r->before_count; i++)
        if (config_eq(c, r->before[i]))
            return true;
    if (r->before_count == REGISTER_BEFORE_MAX)
        return false;
    r->before[r->before_count++] = c;
    return true;
}

void
register_seat(struct role_register *r, member_id_t to)
{
    bool was_listed = false;

    if (r->primary == to)
        return;
    for (uint32_t i = 0; i < r->member_count; i++)
        if (r->members[i].id == to) {
            was_listed = r->members[i].listed;
            r->members[i].listed = false;
        }
    for (uint32_t i = 0; i < r->member_count; i++)
        if (r->members[i].id == r->primary)
            r->members[i].listed = was_listed;
    r->primary = to;
}

const char *
register_mode_name(enum register_mode mode)
{
    switch (mode) {
    case REGISTER_PERFORMANCE:
        return "maximum performance";
    case REGISTER_AVAILABILITY:
        return "maximum availability";
    case REGISTER_PROTECTION:
        return "maximum protection";
    }
    return "unknown";
}

/* ---- bytes ---------------------------------------------------------------------------------- */

void
register_encode(struct writer *w, const struct role_register *r)
{
    size_t from = w->size;
    unsigned flags = (r->synchronized ? FLAG_SYNCHRONIZED : 0u) | (r->fsfo ? FLAG_FSFO : 0u);

    wr_u32(w, REGISTER_MAGIC);
    wr_u16(w, REGISTER_VERSION);
    wr_u16(w, (uint16_t)flags);
    wr_u64(w, r->database_id);
    wr_u32(w, r->key.inc);
    wr_u32(w, r->key.version);
    wr_u64(w, r->reign_id);
    wr_u32(w, r->primary);
    wr_u8(w, (uint8_t)r->mode);
    wr_u8(w, r->k);
    wr_u8(w, r->member_count);
    wr_u8(w, r->observer_count);
    wr_u64(w, r->lag_limit_bytes);
    wr_u32(w, r->threshold_ms);
    wr_u32(w, r->net_timeout_ms);
    wr_u32(w, r->fork_inc);
    wr_u32(w, r->next_member_id);
    wr_u64(w, r->fork_lsn.v);
    wr_u64(w, r->fork_scn);
    wr_u32(w, r->fenced_inc);
    wr_u32(w, r->loss_inc);
    for (uint32_t i = 0; i < r->member_count; i++) {
        const struct register_member *m = &r->members[i];

        wr_u32(w, m->id);
        wr_u8(w, (uint8_t)((m->listed ? MEMBER_LISTED : 0) | (m->admitted ? MEMBER_ADMITTED : 0)));
        wr_lenslice(w, slice_str(m->name));
        wr_lenslice(w, slice_str(m->guard));
        wr_lenslice(w, slice_str(m->sql));
    }
    for (uint32_t i = 0; i < r->observer_count; i++) {
        wr_u32(w, r->observers[i].id);
        wr_lenslice(w, slice_str(r->observers[i].guard));
    }
    wr_u8(w, r->before_count);
    for (uint32_t i = 0; i < r->before_count; i++) {
        wr_u32(w, r->before[i].primary);
        wr_u8(w, r->before[i].k);
        wr_u16(w, r->before[i].list);
    }
    if (!w->bad)
        wr_u32(w, crc32c(0, w->data + from, w->size - from));
}

static void
read_string(struct reader *rd, char *out, size_t size)
{
    struct slice s = rd_lenslice(rd);

    for (size_t i = 0; i < s.size; i++)
        if (s.data[i] < 0x20 || s.data[i] == 0x7f)
            rd_fail(rd);
    if (s.size >= size)
        rd_fail(rd);
    if (!rd_ok(rd))
        return;
    if (s.size != 0)
        memcpy(out, s.data, s.size);
    out[s.size] = '\0';
}

static void
read_members(struct reader *rd, struct role_register *r)
{
    for (uint32_t i = 0; i < r->member_count && rd_ok(rd); i++) {
        struct register_member *m = &r->members[i];
        uint8_t flags;

        m->id = rd_u32(rd);
        flags = rd_u8(rd);
        m->listed = (flags & MEMBER_LISTED) != 0;
        m->admitted = (flags & MEMBER_ADMITTED) != 0;
        read_string(rd, m->name, sizeof m->name);
        read_string(rd, m->guard, sizeof m->guard);
        read_string(rd, m->sql, sizeof m->sql);
        if ((flags & ~(unsigned)MEMBER_ALL) != 0)
            rd_fail(rd);
    }
    for (uint32_t i = 0; i < r->observer_count && rd_ok(rd); i++) {
        r->observers[i].id = rd_u32(rd);
        read_string(rd, r->observers[i].guard, sizeof r->observers[i].guard);
    }
    r->before_count = rd_u8(rd);
    if (r->before_count > REGISTER_BEFORE_MAX) {
        rd_fail(rd);
        return;
    }
    for (uint32_t i = 0; i < r->before_count; i++) {
        r->before[i].primary = rd_u32(rd);
        r->before[i].k = rd_u8(rd);
        r->before[i].list = rd_u16(rd);
    }
}

static bool
config_is_sound(const struct role_register *r, struct register_config c)
{
    uint32_t s = (uint32_t)__builtin_popcount(c.list);

    if ((c.list >> r->member_count) != 0 || c.k > s || (c.k == 0) != (s == 0))
        return false;
    return register_member(r, c.primary) != NULL && !(register_bit(r, c.primary) & c.list);
}

bool
register_is_sound(const struct role_register *r)
{
    for (uint32_t i = 0; i < r->member_count; i++) {
        const struct register_member *m = &r->members[i];

        if (m->id == 0 || m->id >= r->next_member_id || m->name[0] == '\0')
            return false;
        for (uint32_t j = 0; j < i; j++)
            if (r->members[j].id == m->id || strcmp(r->members[j].name, m->name) == 0)
                return false;
    }
    for (uint32_t i = 0; i < r->observer_count; i++) {
        member_id_t id = r->observers[i].id;

        if (id == 0 || id >= r->next_member_id || register_member(r, id) != NULL)
            return false;
        for (uint32_t j = 0; j < i; j++)
            if (r->observers[j].id == id)
                return false;
    }
    if (r->primary != 0 ? !config_is_sound(r, register_config_now(r))
                        : r->member_count != 0 || r->k != 0)
        return false;
    for (uint32_t i = 0; i < r->before_count; i++)
        if (!config_is_sound(r, r->before[i]))
            return false;
    return r->key.inc <= INCARNATION_MAX && r->fork_inc <= INCARNATION_MAX &&
           r->fenced_inc <= r->key.inc && r->loss_inc <= r->key.inc &&
           r->mode >= REGISTER_PERFORMANCE && r->mode <= REGISTER_PROTECTION;
}

static void
read_fixed(struct reader *rd, struct role_register *out, uint16_t flags)
{
    out->synchronized = (flags & FLAG_SYNCHRONIZED) != 0;
    out->fsfo = (flags & FLAG_FSFO) != 0;
    out->database_id = rd_u64(rd);
    out->key.inc = rd_u32(rd);
    out->key.version = rd_u32(rd);
    out->reign_id = rd_u64(rd);
    out->primary = rd_u32(rd);
    out->mode = (enum register_mode)rd_u8(rd);
    out->k = rd_u8(rd);
    out->member_count = rd_u8(rd);
    out->observer_count = rd_u8(rd);
    out->lag_limit_bytes = rd_u64(rd);
    out->threshold_ms = rd_u32(rd);
    out->net_timeout_ms = rd_u32(rd);
    out->fork_inc = rd_u32(rd);
    out->next_member_id = rd_u32(rd);
    out->fork_lsn = lsn_make(rd_u64(rd));
    out->fork_scn = rd_u64(rd);
    out->fenced_inc = rd_u32(rd);
    out->loss_inc = rd_u32(rd);
    if (out->member_count > REGISTER_MEMBERS_MAX || out->observer_count > REGISTER_OBSERVERS_MAX ||
        (flags & ~(unsigned)FLAG_ALL) != 0)
        rd_fail(rd);
}

int
register_decode(struct slice bytes, struct role_register *out)
{
    struct reader rd;
    uint16_t version, flags;

    memset(out, 0, sizeof *out);
    if (bytes.size < CRC_SIZE || bytes.size > REGISTER_BYTES_MAX)
        return DIAG(ERR_CORRUPT, "role register: %zu bytes cannot be one", bytes.size);
    rd_init(&rd, bytes.data, bytes.size - CRC_SIZE);
    if (rd_u32(&rd) != REGISTER_MAGIC || load_u32(bytes.data + bytes.size - CRC_SIZE) !=
                                             crc32c(0, bytes.data, bytes.size - CRC_SIZE))
        return DIAG(ERR_CORRUPT, "role register: bad magic or checksum");
    version = rd_u16(&rd);
    if (version != REGISTER_VERSION)
        return DIAG(ERR_NOT_SUPPORTED, "role register of format %u: this program knows %d", version,
                    REGISTER_VERSION);
    flags = rd_u16(&rd);
    read_fixed(&rd, out, flags);
    if (rd_ok(&rd))
        read_members(&rd, out);
    if (!rd_ok(&rd) || rd_left(&rd) != 0 || !register_is_sound(out)) {
        memset(out, 0, sizeof *out);
        return DIAG(ERR_CORRUPT, "role register: fields out of range or contradictory");
    }
    return 0;
}

PRINTF_LIKE(2, 3) static void print(struct writer *out, const char *fmt, ...)
{
    char line[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    wr_bytes(out, line, strlen(line));
}

void
register_print(const struct role_register *r, struct writer *out)
{
    print(out, "register %u.%u of database %016" PRIx64 ", reign %016" PRIx64 "\n", r->key.inc,
          r->key.version, r->database_id, r->reign_id);
    print(out, "  primary %u, %s, any %u of %u, %s, fsfo %s\n", r->primary,
          register_mode_name(r->mode), r->k, register_list_count(r),
          r->synchronized ? "synchronized" : "not synchronized", r->fsfo ? "on" : "off");
    if (r->fenced_inc != 0)
        print(out, "  incarnation %u began on an operator's word; loss was accepted for %u\n",
              r->fenced_inc, r->loss_inc);
    print(out, "  went on from incarnation %u at LSN %" PRIu64 ", SCN %" PRIu64 "\n", r->fork_inc,
          r->fork_lsn.v, r->fork_scn);
    print(out, "  lag limit %" PRIu64 " bytes, threshold %u ms, net timeout %u ms\n",
          r->lag_limit_bytes, r->threshold_ms, r->net_timeout_ms);
    for (uint32_t i = 0; i < r->member_count; i++) {
        const struct register_member *m = &r->members[i];

        print(out, "  member %u %s, guard %s, sql %s%s%s\n", m->id, m->name, m->guard, m->sql,
              m->listed ? ", listed" : "", m->admitted ? "" : ", not admitted yet");
    }
    for (uint32_t i = 0; i < r->observer_count; i++)
        print(out, "  observer %u, guard %s\n", r->observers[i].id, r->observers[i].guard);
    wr_u8(out, 0);
}
