/* The bytes of a redo file outside its frames: the file's header, the header of each local write,
 * and names. README.md has the tables.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/redo/redo_int.h"

enum {
    FILE_MAGIC = 0x46524452, /* "RDRF" */
    FILE_VERSION = 1,
    FILE_OFF_MAGIC = 0,
    FILE_OFF_VERSION = 4,
    FILE_OFF_INC = 8,
    FILE_OFF_LSN = 16,
    FILE_OFF_SEQUENCE = 24,
    FILE_OFF_DATABASE = 32,
    FILE_OFF_PREV_SEQUENCE = 40,
    FILE_OFF_PREV_LSN = 48,
    FILE_OFF_SCN = 56,
    FILE_OFF_TIME = 64,
    FILE_OFF_CHAIN = 72,
    FILE_OFF_CRC = 88,

    LOCAL_MAGIC = 0x574c4452, /* "RDLW" */
    LOCAL_VERSION = 1,
    LOCAL_OFF_MAGIC = 0,
    LOCAL_OFF_VERSION = 4,
    LOCAL_OFF_FLAGS = 6,
    LOCAL_OFF_SEQUENCE = 8,
    LOCAL_OFF_OFFSET = 16,
    LOCAL_OFF_DURABLE = 24,
    LOCAL_OFF_LSN = 32,
    LOCAL_OFF_SIZE = 40,
    LOCAL_OFF_CRC = 60,
};
static_assert(LOCAL_OFF_CRC + 4 == REDO_LOCAL_HEADER, "the CRC closes the local header");

void
redo_file_head_encode(const struct redo_file_head *h, uint8_t out[REDO_FILE_HEADER])
{
    memset(out, 0, REDO_FILE_HEADER);
    store_u32(out + FILE_OFF_MAGIC, FILE_MAGIC);
    store_u32(out + FILE_OFF_VERSION, FILE_VERSION);
    store_u32(out + FILE_OFF_INC, h->start.inc);
    store_u64(out + FILE_OFF_LSN, h->start.lsn.v);
    store_u64(out + FILE_OFF_SEQUENCE, h->sequence);
    store_u64(out + FILE_OFF_DATABASE, h->database_id);
    store_u64(out + FILE_OFF_PREV_SEQUENCE, h->prev_sequence);
    store_u64(out + FILE_OFF_PREV_LSN, h->prev_lsn.v);
    store_u64(out + FILE_OFF_SCN, h->start.scn);
    store_u64(out + FILE_OFF_TIME, h->start.time_us);
    store_u64(out + FILE_OFF_CHAIN, h->start.chain.lo);
    store_u64(out + FILE_OFF_CHAIN + 8, h->start.chain.hi);
    store_u32(out + FILE_OFF_CRC, crc32c(0, out, FILE_OFF_CRC));
}

int
redo_file_head_decode(const uint8_t in[REDO_FILE_HEADER], struct redo_file_head *out)
{
    if (load_u32(in + FILE_OFF_MAGIC) != FILE_MAGIC ||
        load_u32(in + FILE_OFF_CRC) != crc32c(0, in, FILE_OFF_CRC))
        return DIAG(ERR_CORRUPT, "redo file: bad header");
    if (load_u32(in + FILE_OFF_VERSION) != FILE_VERSION)
        return DIAG(ERR_NOT_SUPPORTED, "redo file of version %u", load_u32(in + FILE_OFF_VERSION));
    out->start.inc = load_u32(in + FILE_OFF_INC);
    out->start.lsn.v = load_u64(in + FILE_OFF_LSN);
    out->start.scn = load_u64(in + FILE_OFF_SCN);
    out->start.time_us = load_u64(in + FILE_OFF_TIME);
    out->start.chain.lo = load_u64(in + FILE_OFF_CHAIN);
    out->start.chain.hi = load_u64(in + FILE_OFF_CHAIN + 8);
    out->sequence = load_u64(in + FILE_OFF_SEQUENCE);
    out->database_id = load_u64(in + FILE_OFF_DATABASE);
    out->prev_sequence = load_u64(in + FILE_OFF_PREV_SEQUENCE);
    out->prev_lsn.v = load_u64(in + FILE_OFF_PREV_LSN);
    if (out->start.inc == 0 || out->start.inc > INCARNATION_MAX || out->start.scn > SCN_MAX ||
        out->sequence == 0)
        return DIAG(ERR_CORRUPT, "redo file: header out of range");
    return 0;
}

void
redo_local_encode(const struct redo_local *l, uint8_t out[REDO_LOCAL_HEADER])
{
    memset(out, 0, REDO_LOCAL_HEADER);
    store_u32(out + LOCAL_OFF_MAGIC, LOCAL_MAGIC);
    store_u16(out + LOCAL_OFF_VERSION, LOCAL_VERSION);
    store_u16(out + LOCAL_OFF_FLAGS, l->flags);
    store_u64(out + LOCAL_OFF_SEQUENCE, l->sequence);
    store_u64(out + LOCAL_OFF_OFFSET, l->offset);
    store_u64(out + LOCAL_OFF_DURABLE, l->durable.v);
    store_u64(out + LOCAL_OFF_LSN, l->lsn.v);
    store_u32(out + LOCAL_OFF_SIZE, l->size);
    store_u32(out + LOCAL_OFF_CRC, crc32c(0, out, LOCAL_OFF_CRC));
}

bool
redo_local_decode(const uint8_t in[REDO_LOCAL_HEADER], uint64_t sequence, uint64_t offset,
                  struct redo_local *out)
{
    if (load_u32(in + LOCAL_OFF_MAGIC) != LOCAL_MAGIC ||
        load_u16(in + LOCAL_OFF_VERSION) != LOCAL_VERSION ||
        load_u32(in + LOCAL_OFF_CRC) != crc32c(0, in, LOCAL_OFF_CRC))
        return false;
    out->flags = load_u16(in + LOCAL_OFF_FLAGS);
    out->sequence = load_u64(in + LOCAL_OFF_SEQUENCE);
    out->offset = load_u64(in + LOCAL_OFF_OFFSET);
    out->durable.v = load_u64(in + LOCAL_OFF_DURABLE);
    out->lsn.v = load_u64(in + LOCAL_OFF_LSN);
    out->size = load_u32(in + LOCAL_OFF_SIZE);
    if ((out->flags & REDO_LOCAL_CLOSE) == 0 &&
        (out->size < REDO_FRAME_HEADER || out->size > REDO_FRAME_BYTES_MAX))
        return false;
    return out->sequence == sequence && out->offset == offset;
}

/* ---- names --------------------------------------------------------------------------------- */

void
redo_file_name(incarnation_t inc, struct lsn lsn, char out[64])
{
    snprintf(out, 64, "redo-%06x-%016llx", inc, (unsigned long long)lsn.v);
}

static bool
hex_parse(const char **at, int digits, uint64_t *out)
{
    *out = 0;
    for (int i = 0; i < digits; i++, (*at)++) {
        char c = **at;

        if (c >= '0' && c <= '9')
            *out = *out << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            *out = *out << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    return true;
}

bool
redo_file_name_parse(const char *name, const char *suffix, incarnation_t *inc, struct lsn *lsn)
{
    uint64_t number;

    if (strncmp(name, "redo-", 5) != 0)
        return false;
    name += 5;
    if (!hex_parse(&name, 6, &number) || *name++ != '-' || !hex_parse(&name, 16, &lsn->v))
        return false;
    *inc = (incarnation_t)number;
    return number != 0 && number <= INCARNATION_MAX && strcmp(name, suffix) == 0;
}

void
redo_path(char out[REDO_PATH_MAX], const char *dir, const char *name, const char *suffix)
{
    int size = snprintf(out, REDO_PATH_MAX, "%s/%s%s", dir, name, suffix);

    CHECK(size > 0 && size < REDO_PATH_MAX);
}
