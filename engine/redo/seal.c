/* Sealing: the complete prefix of the ring becomes a frame.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <lz4.h>

#include "engine/redo/redo_int.h"

static void
ring_copy(const struct redo *r, uint64_t from, uint8_t *to, size_t size)
{
    size_t at = (size_t)(from & (r->ring_bytes - 1));
    size_t first = r->ring_bytes - at;

    if (first >= size) {
        memcpy(to, r->ring + at, size);
    } else {
        memcpy(to, r->ring + at, first);
        memcpy(to + first, r->ring, size - first);
    }
}

/* Takes as many whole records as there are in `size` bytes; fills in what the header tells of them.
 */
static void
seal_walk(const uint8_t *records, size_t size, struct redo_frame_head *h)
{
    size_t at = 0;

    while (size - at >= REDO_RECORD_HEADER) {
        uint32_t length = load_u32(records + at);

        CHECK(length >= REDO_RECORD_HEADER && length <= REDO_RECORD_MAX);
        if (length > size - at)
            break;
        if (records[at + 4] == REDO_COMMIT) {
            h->last_scn = load_u64(records + at + REDO_COMMIT_OFF_SCN);
            h->last_time_us = load_u64(records + at + REDO_COMMIT_OFF_TIME);
        }
        h->record_count++;
        at += length;
    }
    CHECK(at > 0);
    h->size = (uint32_t)at;
}

/* The stored bytes, from records in the scratch: compressed where that saves an eighth. */
static void
seal_store(struct redo *r, struct redo_frame *f, struct redo_frame_head *h)
{
    uint8_t *to = f->buffer + REDO_LOCAL_HEADER + REDO_FRAME_HEADER;
    int size = 0;

    if (h->size >= r->options.lz4_bytes_min)
        size = LZ4_compress_fast_extState(r->seal.lz4, (const char *)r->seal.scratch, (char *)to,
                                          (int)h->size, (int)(h->size - h->size / 8), 1);
    if (size > 0) {
        h->stored_size = (uint32_t)size;
        h->flags = REDO_FRAME_LZ4;
    } else {
        memcpy(to, r->seal.scratch, h->size);
    }
}

static void
seal_finish(struct redo *r, struct redo_frame *f, struct redo_frame_head *h)
{
    uint8_t *bytes = f->buffer + REDO_LOCAL_HEADER;
    size_t size = REDO_FRAME_HEADER + h->stored_size;

    redo_frame_head_encode(h, bytes);
    h->crc = redo_frame_crc(bytes, h->stored_size);
    redo_frame_head_encode(h, bytes);
    f->head = *h;
    redo_pool_shrink(&r->pool, f, size);
    memset(f->buffer, 0, REDO_LOCAL_HEADER);
    memset(bytes + size, 0, f->buffer_size - REDO_LOCAL_HEADER - size);
}

void
redo_seal_enter(struct redo *r, struct redo_frame *f)
{
    const struct redo_frame_head *h = &f->head;

    redo_pool_push(&r->pool, f);
    env_mutex_lock(&r->queue.lock);
    r->queue.sealed =
        (struct redo_pos){ h->inc, redo_frame_end(h), h->last_scn, h->last_time_us, h->chain };
    atomic_store(&r->queue.sealed_lsn, redo_frame_end(h).v);
    list_push_back(&r->queue.frames, &f->queued);
    r->queue.bytes += f->buffer_size;
    r->queue.frame_count++;
    r->queue.record_bytes += h->size;
    atomic_fetch_add(&r->queue.count, 1);
    env_mutex_unlock(&r->queue.lock);

    env_mutex_lock(&r->sealed_listen);
    list_for_each (l, &r->listeners, struct redo_listener, link) {
        if (l->on_sealed != NULL)
            l->on_sealed(l->arg, f);
    }
    env_mutex_unlock(&r->sealed_listen);
}

bool
redo_seal(struct redo *r)
{
    uint64_t from = atomic_load(&r->ring_tail), to = redo_complete(r);
    struct redo_frame_head h = { .lsn = { from } };
    const uint8_t *records;
    struct redo_frame *f;
    size_t size;

    if (to == from)
        return false; /* also while it follows: what is sealed is another thread's then */
    h.inc = r->append.inc;
    h.last_scn = r->queue.sealed.scn;
    h.last_time_us = r->queue.sealed.time_us;
    size = to - from < r->part_max ? (size_t)(to - from) : r->part_max;
    f = redo_pool_alloc(&r->pool, REDO_FRAME_HEADER + size);
    if (size >= r->options.lz4_bytes_min) {
        ring_copy(r, from, r->seal.scratch, size);
        records = r->seal.scratch;
    } else {
        ring_copy(r, from, f->buffer + REDO_LOCAL_HEADER + REDO_FRAME_HEADER, size);
        records = f->buffer + REDO_LOCAL_HEADER + REDO_FRAME_HEADER;
    }
    seal_walk(records, size, &h);
    atomic_store(&r->ring_tail, from + h.size);
    redo_append_wake_waiters(r);
    h.stored_size = h.size;
    h.chain = redo_chain_next(slice(records, h.size), r->queue.sealed.chain);
    if (records == r->seal.scratch)
        seal_store(r, f, &h);
    seal_finish(r, f, &h);
    atomic_store(&r->wake.pace_end_ns, env_boot_ns(r->env) + r->options.pace_us * 1000ull);
    redo_seal_enter(r, f);
    return true;
}
