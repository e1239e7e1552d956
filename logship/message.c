/* The header of messages, and what is said before authentication. message_body.c has the bodies.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "logship/message.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

enum { SHIP_MAGIC = 0x48534452 /* "RDSH" */, OFF_CRC = 12 };

#define ROLE_SAME(name)                                                                            \
    static_assert((int)SHIP_##name == (int)ROLE_MSG_##name, "one numbering serves both")
ROLE_SAME(HEARTBEAT);
ROLE_SAME(GRANT);
ROLE_SAME(REFUSE);
ROLE_SAME(RECORD);
ROLE_SAME(RECORDED);
ROLE_SAME(CANVASS);
ROLE_SAME(OPINION);
ROLE_SAME(ASK);
ROLE_SAME(PROMISE);
ROLE_SAME(STAND);
ROLE_SAME(RELEASE);
#undef ROLE_SAME

#define SHIP_TYPE_FITS(name, number, limit)                                                        \
    static_assert((number) < 256 && (limit) <= SHIP_BODY_MAX,                                      \
                  "a type is a byte, bodies are bounded");
SHIP_TYPE_LIST(SHIP_TYPE_FITS)
#undef SHIP_TYPE_FITS

const char *
ship_type_name(enum ship_type type)
{
    switch ((int)type) {
#define SHIP_TYPE_CASE(name, number, limit)                                                        \
    case number:                                                                                   \
        return #name;
        SHIP_TYPE_LIST(SHIP_TYPE_CASE)
#undef SHIP_TYPE_CASE
    default:
        return "?";
    }
}

uint32_t
ship_type_limit(enum ship_type type)
{
    switch ((int)type) {
#define SHIP_TYPE_CASE(name, number, limit)                                                        \
    case number:                                                                                   \
        return limit;
        SHIP_TYPE_LIST(SHIP_TYPE_CASE)
#undef SHIP_TYPE_CASE
    default:
        return 0;
    }
}

int
ship_header_decode(const uint8_t bytes[SHIP_HEADER_SIZE], struct ship_header *out)
{
    struct reader r;
    uint8_t version, type;
    uint16_t zero;
    uint32_t zero2;

    rd_init(&r, bytes, SHIP_HEADER_SIZE);
    *out = (struct ship_header){ 0 };
    if (rd_u32(&r) != SHIP_MAGIC)
        return DIAG(ERR_PROTOCOL, "this is not the guard protocol");
    version = rd_u8(&r);
    if (version != SHIP_VERSION)
        return DIAG(ERR_NOT_SUPPORTED, "guard protocol of version %u: this program speaks %d",
                    version, SHIP_VERSION);
    type = rd_u8(&r);
    zero = rd_u16(&r);
    out->type = (enum ship_type)type;
    out->body_size = rd_u32(&r);
    out->crc = rd_u32(&r);
    out->seq = rd_u64(&r);
    out->database_id = rd_u64(&r);
    out->sender = rd_u32(&r);
    zero2 = rd_u32(&r);
    out->boot = rd_u64(&r);
    memcpy(out->tag, rd_bytes(&r, SHIP_TAG_SIZE), SHIP_TAG_SIZE);
    if (zero != 0 || zero2 != 0 || ship_type_limit(out->type) == 0)
        return DIAG(ERR_PROTOCOL, "message of unknown type %u", type);
    if (out->body_size > ship_type_limit(out->type))
        return DIAG(ERR_LIMIT, "%s of %u bytes: at most %u are allowed", ship_type_name(out->type),
                    out->body_size, ship_type_limit(out->type));
    return 0;
}

void
ship_header_encode(const struct ship_header *h, uint8_t bytes[SHIP_HEADER_SIZE])
{
    struct writer w;

    memset(bytes, 0, SHIP_HEADER_SIZE);
    wr_init_fixed(&w, bytes, SHIP_HEADER_SIZE);
    wr_u32(&w, SHIP_MAGIC);
    wr_u8(&w, SHIP_VERSION);
    wr_u8(&w, (uint8_t)h->type);
    wr_u16(&w, 0);
    wr_u32(&w, h->body_size);
    wr_u32(&w, h->crc);
    wr_u64(&w, h->seq);
    wr_u64(&w, h->database_id);
    wr_u32(&w, h->sender);
    wr_u32(&w, 0);
    wr_u64(&w, h->boot);
    wr_bytes(&w, h->tag, SHIP_TAG_SIZE);
}

uint32_t
ship_checksum(const uint8_t header[SHIP_HEADER_SIZE], struct slice body, struct slice more)
{
    uint32_t crc = crc32c(0, header, OFF_CRC);

    crc = crc32c(crc, header + OFF_CRC + 4, SHIP_OFF_TAG - OFF_CRC - 4);
    if (body.size != 0)
        crc = crc32c(crc, body.data, body.size);
    if (more.size != 0)
        crc = crc32c(crc, more.data, more.size);
    return crc;
}

int
ship_check(const uint8_t header[SHIP_HEADER_SIZE], struct slice body)
{
    if (load_u32(header + OFF_CRC) == ship_checksum(header, body, slice(NULL, 0)))
        return 0;
    return DIAG(ERR_CORRUPT, "a message came with a wrong checksum");
}

void
ship_print(const struct ship_header *h, struct slice body, struct writer *out)
{
    char line[200];
    int n = snprintf(line, sizeof line,
                     "%s from member %u (boot %016" PRIx64 "), seq %" PRIu64 ", %zu bytes",
                     ship_type_name(h->type), h->sender, h->boot, h->seq, body.size);

    wr_bytes(out, line, n > 0 ? (size_t)n : 0);
    wr_u8(out, 0);
}
