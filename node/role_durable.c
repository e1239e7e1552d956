/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/base/checksum.h"
#include "node/role.h"

enum { DURABLE_MAGIC = 0x44524452 /* "RDRD" */, DURABLE_VERSION = 1 };

void
role_durable_first(struct role_durable *d, uint64_t database_id, const char *name,
                   const char *guard, const char *sql)
{
    memset(d, 0, sizeof *d);
    d->sequence = 1;
    d->promised_to = 1;
    register_init_first(&d->reg, database_id, name, guard, sql);
}

void
role_durable_joining(struct role_durable *d, uint64_t database_id)
{
    memset(d, 0, sizeof *d);
    d->sequence = 1;
    register_init_joining(&d->reg, database_id);
}

void
role_durable_encode(struct writer *w, const struct role_durable *d)
{
    size_t from = w->size, size_at;

    wr_u32(w, DURABLE_MAGIC);
    wr_u16(w, DURABLE_VERSION);
    wr_u64(w, d->sequence);
    wr_u32(w, d->promised);
    wr_u32(w, d->promised_to);
    wr_u32(w, d->follows);
    wr_u64(w, d->published.v);
    wr_u64(w, d->published_scn);
    size_at = w->size;
    wr_u32(w, 0);
    register_encode(w, &d->reg);
    if (w->bad)
        return;
    store_u32(w->data + size_at, (uint32_t)(w->size - size_at - sizeof(uint32_t)));
    wr_u32(w, crc32c(0, w->data + from, w->size - from));
}

int
role_durable_decode(struct slice bytes, struct role_durable *out)
{
    struct reader r;
    struct slice reg;
    uint16_t version;
    int rc;

    memset(out, 0, sizeof *out);
    if (bytes.size < sizeof(uint32_t))
        return DIAG(ERR_CORRUPT, "role state: %zu bytes cannot be one", bytes.size);
    rd_init(&r, bytes.data, bytes.size - sizeof(uint32_t));
    if (rd_u32(&r) != DURABLE_MAGIC || load_u32(bytes.data + bytes.size - sizeof(uint32_t)) !=
                                           crc32c(0, bytes.data, bytes.size - sizeof(uint32_t)))
        return DIAG(ERR_CORRUPT, "role state: bad magic or checksum");
    version = rd_u16(&r);
    if (version != DURABLE_VERSION)
        return DIAG(ERR_NOT_SUPPORTED, "role state of format %u: this program knows %d", version,
                    DURABLE_VERSION);
    out->sequence = rd_u64(&r);
    out->promised = rd_u32(&r);
    out->promised_to = rd_u32(&r);
    out->follows = rd_u32(&r);
    out->published = lsn_make(rd_u64(&r));
    out->published_scn = rd_u64(&r);
    reg = rd_slice(&r, rd_u32(&r));
    if (!rd_ok(&r) || rd_left(&r) != 0 || out->promised > INCARNATION_MAX ||
        out->follows > INCARNATION_MAX)
        return DIAG(ERR_CORRUPT, "role state: malformed");
    rc = register_decode(reg, &out->reg);
    if (rc != 0)
        diag_context("role state");
    return rc;
}
