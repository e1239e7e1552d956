/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/redo/frame.h"

#include <assert.h>
#include <lz4.h>

#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/redo/redo_int.h"

enum {
    FRAME_MAGIC = 0x52464452, /* "RDFR" */
    FRAME_VERSION = 1,
    FRAME_OFF_MAGIC = 0,
    FRAME_OFF_VERSION = 4,
    FRAME_OFF_FLAGS = 6,
    FRAME_OFF_INC = 8,
    FRAME_OFF_KEY_ID = 12,
    FRAME_OFF_LSN = 16,
    FRAME_OFF_SIZE = 24,
    FRAME_OFF_STORED = 28,
    FRAME_OFF_SCN = 32,
    FRAME_OFF_TIME = 40,
    FRAME_OFF_CHAIN = 48,
    FRAME_OFF_COUNT = 64,
    FRAME_OFF_CRC = 68,
};
static_assert(FRAME_OFF_CRC + 4 == REDO_FRAME_HEADER, "the CRC closes the header");

void
redo_frame_head_encode(const struct redo_frame_head *h, uint8_t bytes[REDO_FRAME_HEADER])
{
    store_u32(bytes + FRAME_OFF_MAGIC, FRAME_MAGIC);
    store_u16(bytes + FRAME_OFF_VERSION, FRAME_VERSION);
    store_u16(bytes + FRAME_OFF_FLAGS, h->flags);
    store_u32(bytes + FRAME_OFF_INC, h->inc);
    store_u32(bytes + FRAME_OFF_KEY_ID, h->key_id);
    store_u64(bytes + FRAME_OFF_LSN, h->lsn.v);
    store_u32(bytes + FRAME_OFF_SIZE, h->size);
    store_u32(bytes + FRAME_OFF_STORED, h->stored_size);
    store_u64(bytes + FRAME_OFF_SCN, h->last_scn);
    store_u64(bytes + FRAME_OFF_TIME, h->last_time_us);
    store_u64(bytes + FRAME_OFF_CHAIN, h->chain.lo);
    store_u64(bytes + FRAME_OFF_CHAIN + 8, h->chain.hi);
    store_u32(bytes + FRAME_OFF_COUNT, h->record_count);
    store_u32(bytes + FRAME_OFF_CRC, h->crc);
}

int
redo_frame_head_decode(const uint8_t bytes[REDO_FRAME_HEADER], struct redo_frame_head *out)
{
    out->flags = load_u16(bytes + FRAME_OFF_FLAGS);
    out->inc = load_u32(bytes + FRAME_OFF_INC);
    out->key_id = load_u32(bytes + FRAME_OFF_KEY_ID);
    out->lsn.v = load_u64(bytes + FRAME_OFF_LSN);
    out->size = load_u32(bytes + FRAME_OFF_SIZE);
    out->stored_size = load_u32(bytes + FRAME_OFF_STORED);
    out->last_scn = load_u64(bytes + FRAME_OFF_SCN);
    out->last_time_us = load_u64(bytes + FRAME_OFF_TIME);
    out->chain.lo = load_u64(bytes + FRAME_OFF_CHAIN);
    out->chain.hi = load_u64(bytes + FRAME_OFF_CHAIN + 8);
    out->record_count = load_u32(bytes + FRAME_OFF_COUNT);
    out->crc = load_u32(bytes + FRAME_OFF_CRC);
    if (load_u32(bytes + FRAME_OFF_MAGIC) != FRAME_MAGIC)
        return DIAG(ERR_CORRUPT, "redo frame: bad magic");
    if (load_u16(bytes + FRAME_OFF_VERSION) != FRAME_VERSION ||
        (out->flags & ~(unsigned)(REDO_FRAME_LZ4 | REDO_FRAME_ENCRYPTED)) != 0)
        return DIAG(ERR_NOT_SUPPORTED, "redo frame of version %u, flags %x",
                    load_u16(bytes + FRAME_OFF_VERSION), out->flags);
    if ((out->flags & REDO_FRAME_ENCRYPTED) != 0 || out->key_id != 0)
        return DIAG(ERR_NOT_SUPPORTED, "redo frame is encrypted with key %u", out->key_id);
    if (out->inc == 0 || out->inc > INCARNATION_MAX || out->size == 0 ||
        out->size > REDO_FRAME_RECORDS_MAX || out->stored_size == 0 ||
        out->stored_size > out->size || out->lsn.v > UINT64_MAX - out->size ||
        ((out->flags & REDO_FRAME_LZ4) == 0 && out->stored_size != out->size) ||
        out->last_scn > SCN_MAX || out->record_count == 0 ||
        out->record_count > out->size / REDO_RECORD_HEADER)
        return DIAG(ERR_CORRUPT, "redo frame: header out of range");
    return 0;
}

uint32_t
redo_frame_crc(const uint8_t *bytes, size_t stored_size)
{
    return crc32c(crc32c(0, bytes, FRAME_OFF_CRC), bytes + REDO_FRAME_HEADER, stored_size);
}

int
redo_frame_verify(const uint8_t *bytes, size_t size, struct redo_frame_head *out)
{
    if (size < REDO_FRAME_HEADER)
        return DIAG(ERR_CORRUPT, "redo frame: %zu bytes are too few", size);
    if (load_u32(bytes + FRAME_OFF_MAGIC) != FRAME_MAGIC)
        return DIAG(ERR_CORRUPT, "redo frame: bad magic");
    /* Before the version is believed: every version has these two in their places. */
    if (load_u32(bytes + FRAME_OFF_STORED) != size - REDO_FRAME_HEADER ||
        redo_frame_crc(bytes, size - REDO_FRAME_HEADER) != load_u32(bytes + FRAME_OFF_CRC))
        return DIAG(ERR_CORRUPT, "redo frame at %llx: checksum does not match",
                    (unsigned long long)load_u64(bytes + FRAME_OFF_LSN));
    return redo_frame_head_decode(bytes, out);
}

int
redo_frame_records(const struct redo_frame_head *h, const uint8_t *bytes, uint8_t *scratch,
                   struct slice *records)
{
    int size;

    if ((h->flags & REDO_FRAME_LZ4) == 0) {
        *records = slice(bytes + REDO_FRAME_HEADER, h->size);
        return 0;
    }
    if (scratch == NULL)
        return DIAG(ERR_NOT_SUPPORTED, "redo frame is compressed and there is no room for it");
    size = LZ4_decompress_safe((const char *)bytes + REDO_FRAME_HEADER, (char *)scratch,
                               (int)h->stored_size, REDO_FRAME_RECORDS_MAX);
    if (size < 0 || (uint32_t)size != h->size)
        return DIAG(ERR_CORRUPT, "redo frame at %llx: does not decompress",
                    (unsigned long long)h->lsn.v);
    *records = slice(scratch, h->size);
    return 0;
}

struct hash128
redo_chain_next(struct slice records, struct hash128 before)
{
    return hash128(records.data, records.size, before);
}

int
redo_frame_check_chain(const struct redo_frame_head *h, struct slice records, struct hash128 before)
{
    if (hash128_eq(redo_chain_next(records, before), h->chain))
        return 0;
    return DIAG(ERR_DIVERGED, "redo frame %u:%llx does not follow what is before it (chain)",
                h->inc, (unsigned long long)h->lsn.v);
}

/* ---- frames on the heap -------------------------------------------------------------------- */

struct redo_frame *
redo_frame_new(size_t bytes_size)
{
    struct redo_frame *f = xcalloc(1, sizeof *f);

    CHECK(bytes_size <= REDO_FRAME_BYTES_MAX);
    f->buffer_size = redo_align(REDO_LOCAL_HEADER + bytes_size);
    f->buffer = xaligned(ENV_ALIGN, f->buffer_size);
    f->bytes = f->buffer + REDO_LOCAL_HEADER;
    atomic_store(&f->refs, 1);
    list_init(&f->place);
    list_init(&f->queued);
    return f;
}

uint8_t *
redo_frame_room(struct redo_frame *f)
{
    return f->buffer + REDO_LOCAL_HEADER;
}

int
redo_frame_finish(struct redo_frame *f, size_t bytes_size)
{
    size_t used = REDO_LOCAL_HEADER + bytes_size;
    int rc;

    CHECK(used <= f->buffer_size);
    rc = redo_frame_verify(f->bytes, bytes_size, &f->head);
    if (rc != 0)
        return rc;
    f->bytes_size = bytes_size;
    f->buffer_size = redo_align(used);
    memset(f->buffer, 0, REDO_LOCAL_HEADER);
    memset(f->buffer + used, 0, f->buffer_size - used);
    return 0;
}

int
redo_frame_decode(const uint8_t *bytes, size_t size, struct redo_frame **out)
{
    struct redo_frame_head head;
    struct redo_frame *f;
    int rc = redo_frame_verify(bytes, size, &head);

    if (rc != 0)
        return rc;
    f = redo_frame_new(size);
    memcpy(redo_frame_room(f), bytes, size);
    rc = redo_frame_finish(f, size);
    CHECK(rc == 0);
    *out = f;
    return 0;
}

struct redo_frame *
redo_frame_ref(struct redo_frame *f)
{
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

void
redo_frame_unref(struct redo_frame *f)
{
    if (f == NULL)
        return;
    if (f->pool != NULL) {
        redo_pool_unref(f->pool, f);
        return;
    }
    if (atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1) {
        xfree_aligned(f->buffer);
        xfree(f);
    }
}
