/* SPDX-License-Identifier: Apache-2.0 */
#include "logship/role_message.h"

/* Which fields a type carries, in the order in which they are written. */
enum field {
    F_END,
    F_INC,
    F_BOOT,
    F_SEQ,
    F_KEY,
    F_REIGN,
    F_OF,
    F_WHY,
    F_YES,
    F_REASON,
    F_PROMISED,
    F_LOG,
    F_LSN,
    F_SCN,
    F_REGISTER,
};
#define TYPE_FIRST ROLE_MSG_HEARTBEAT
enum { FIELDS_MAX = 8, TYPE_COUNT = 11 };

static const struct {
    const char *name;
    uint8_t fields[FIELDS_MAX];
} types[TYPE_COUNT] = {
    [ROLE_MSG_HEARTBEAT - TYPE_FIRST] = { "HEARTBEAT", { F_INC, F_SEQ, F_KEY, F_SCN, F_LSN } },
    [ROLE_MSG_GRANT - TYPE_FIRST] = { "GRANT", { F_INC, F_BOOT, F_SEQ } },
    [ROLE_MSG_REFUSE -
        TYPE_FIRST] = { "REFUSE", { F_OF, F_WHY, F_INC, F_BOOT, F_PROMISED, F_REGISTER } },
    [ROLE_MSG_RECORD - TYPE_FIRST] = { "RECORD", { F_REGISTER } },
    [ROLE_MSG_RECORDED - TYPE_FIRST] = { "RECORDED", { F_KEY, F_REIGN } },
    [ROLE_MSG_CANVASS - TYPE_FIRST] = { "CANVASS", { F_REASON, F_LOG, F_REGISTER } },
    [ROLE_MSG_OPINION -
        TYPE_FIRST] = { "OPINION", { F_YES, F_WHY, F_PROMISED, F_LOG, F_REGISTER } },
    [ROLE_MSG_ASK - TYPE_FIRST] = { "ASK", { F_INC, F_BOOT } },
    [ROLE_MSG_PROMISE - TYPE_FIRST] = { "PROMISE", { F_INC, F_BOOT, F_LOG, F_REGISTER } },
    [ROLE_MSG_STAND - TYPE_FIRST] = { "STAND", { F_INC, F_LSN } },
    [ROLE_MSG_RELEASE - TYPE_FIRST] = { "RELEASE", { F_INC, F_BOOT } },
};

static const char *const why_texts[ROLE_WHY_COUNT] = {
    [ROLE_WHY_NONE] = "",
    [ROLE_WHY_PRIMARY_LIVES] = "it hears a live primary",
    [ROLE_WHY_HOLD] = "its hold for another primary lasts",
    [ROLE_WHY_PROMISED] = "it has promised that number or a higher one",
    [ROLE_WHY_RECENT_PROMISE] = "it promised another candidate a moment ago",
    [ROLE_WHY_NOT_MEMBER] = "its register does not name the sender as a member",
    [ROLE_WHY_NEWER_REGISTER] = "it holds a newer register",
    [ROLE_WHY_OTHER_REIGN] = "it knows that incarnation as another reign",
    [ROLE_WHY_STANDING] = "it stands itself",
};

static bool
is_type(enum role_message_type type)
{
    return (int)type >= (int)TYPE_FIRST && (int)type < (int)TYPE_FIRST + TYPE_COUNT;
}

static bool
has_field(enum role_message_type type, enum field field)
{
    if (!is_type(type))
        return false;
    for (int i = 0; i < FIELDS_MAX; i++)
        if (types[type - TYPE_FIRST].fields[i] == field)
            return true;
    return false;
}

const char *
role_why_text(enum role_why why)
{
    return why < ROLE_WHY_COUNT ? why_texts[why] : "?";
}

const char *
role_message_name(enum role_message_type type)
{
    return is_type(type) ? types[type - TYPE_FIRST].name : "?";
}

bool
role_message_has_log(enum role_message_type type)
{
    return has_field(type, F_LOG);
}

bool
role_message_has_register(enum role_message_type type)
{
    return has_field(type, F_REGISTER);
}

static void
write_log(struct writer *w, const struct role_log *log)
{
    wr_u32(w, log->follows);
    wr_u64(w, log->end.v);
    wr_u64(w, log->end_scn);
    wr_u64(w, log->chain.lo);
    wr_u64(w, log->chain.hi);
    wr_u64(w, log->acknowledged.v);
}

static void
read_log(struct reader *r, struct role_log *log)
{
    log->follows = rd_u32(r);
    log->end = lsn_make(rd_u64(r));
    log->end_scn = rd_u64(r);
    log->chain.lo = rd_u64(r);
    log->chain.hi = rd_u64(r);
    log->acknowledged = lsn_make(rd_u64(r));
}

static void
write_register(struct writer *w, const struct role_register *reg)
{
    size_t at = w->size;

    wr_u32(w, 0);
    register_encode(w, reg);
    if (!w->bad)
        store_u32(w->data + at, (uint32_t)(w->size - at - sizeof(uint32_t)));
}

static void
write_field(struct writer *w, enum field field, const struct role_message *m)
{
    switch (field) {
    case F_END:
        break;
    case F_INC:
        wr_u32(w, m->inc);
        break;
    case F_BOOT:
        wr_u64(w, m->boot);
        break;
    case F_SEQ:
        wr_u64(w, m->seq);
        break;
    case F_KEY:
        wr_u32(w, m->key.inc);
        wr_u32(w, m->key.version);
        break;
    case F_REIGN:
        wr_u64(w, m->reign_id);
        break;
    case F_OF:
        wr_u8(w, (uint8_t)m->of);
        break;
    case F_WHY:
        wr_u8(w, (uint8_t)m->why);
        break;
    case F_YES:
        wr_u8(w, m->yes);
        break;
    case F_REASON:
        wr_u8(w, m->reason);
        break;
    case F_PROMISED:
        wr_u32(w, m->promised);
        break;
    case F_LOG:
        write_log(w, &m->log);
        break;
    case F_LSN:
        wr_u64(w, m->lsn.v);
        break;
    case F_SCN:
        wr_u64(w, m->published_scn);
        break;
    case F_REGISTER:
        write_register(w, &m->reg);
        break;
    }
}

void
role_message_encode(struct writer *w, const struct role_message *m)
{
    CHECK(is_type(m->type));
    for (int i = 0; i < FIELDS_MAX; i++)
        write_field(w, types[m->type - TYPE_FIRST].fields[i], m);
}

static int
read_field(struct reader *r, enum field field, struct role_message *m)
{
    uint8_t yes;

    switch (field) {
    case F_END:
        break;
    case F_INC:
        m->inc = rd_u32(r);
        break;
    case F_BOOT:
        m->boot = rd_u64(r);
        break;
    case F_SEQ:
        m->seq = rd_u64(r);
        break;
    case F_KEY:
        m->key.inc = rd_u32(r);
        m->key.version = rd_u32(r);
        break;
    case F_REIGN:
        m->reign_id = rd_u64(r);
        break;
    case F_OF:
        m->of = (enum role_message_type)rd_u8(r);
        break;
    case F_WHY:
        m->why = (enum role_why)rd_u8(r);
        break;
    case F_YES:
        yes = rd_u8(r);
        if (yes > 1)
            rd_fail(r);
        m->yes = yes == 1;
        break;
    case F_REASON:
        m->reason = rd_u8(r);
        break;
    case F_PROMISED:
        m->promised = rd_u32(r);
        break;
    case F_LOG:
        read_log(r, &m->log);
        break;
    case F_LSN:
        m->lsn = lsn_make(rd_u64(r));
        break;
    case F_SCN:
        m->published_scn = rd_u64(r);
        break;
    case F_REGISTER: {
        uint32_t size = rd_u32(r);
        struct slice bytes = rd_slice(r, size);

        return rd_ok(r) ? register_decode(bytes, &m->reg) : 0;
    }
    }
    return 0;
}

int
role_message_decode(enum role_message_type type, struct slice body, struct role_message *out)
{
    struct reader r;

    memset(out, 0, sizeof *out);
    if (!is_type(type))
        return DIAG(ERR_PROTOCOL, "message type %d is not one of roles", (int)type);
    out->type = type;
    rd_init(&r, body.data, body.size);
    for (int i = 0; i < FIELDS_MAX; i++) {
        int rc = read_field(&r, types[type - TYPE_FIRST].fields[i], out);

        if (rc != 0)
            return rc;
    }
    if (!rd_ok(&r) || rd_left(&r) != 0)
        return DIAG(ERR_PROTOCOL, "%s of %zu bytes is malformed", role_message_name(type),
                    body.size);
    if (out->inc > INCARNATION_MAX || out->promised > INCARNATION_MAX ||
        out->key.inc > INCARNATION_MAX || out->log.follows > INCARNATION_MAX ||
        out->why >= ROLE_WHY_COUNT || (out->of != 0 && !is_type(out->of)))
        return DIAG(ERR_PROTOCOL, "%s has a value out of its range", role_message_name(type));
    return 0;
}
