/* Appending: where a part gets its LSN, and a commit its SCN.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mem.h"
#include "engine/redo/redo_int.h"

static const uint64_t slot_is_free = UINT64_MAX;

/* The position is read first: every part below it had taken its slot before the position moved. A
 * slot that has been given to a later part meanwhile says a position beyond, which changes nothing.
 */
uint64_t
redo_complete(struct redo *r)
{
    uint64_t end = atomic_load(&r->append.reserved);
    uint64_t used = ~atomic_load(&r->slots_free);

    for (; used != 0; used &= used - 1) {
        uint64_t start = atomic_load(&r->slots[__builtin_ctzll(used)].start);

        if (start < end)
            end = start;
    }
    return end;
}

void
redo_append_wake_waiters(struct redo *r)
{
    struct list *link;

    if (atomic_load(&r->append.waiting) == 0)
        return;
    env_mutex_lock(&r->append.lock);
    while ((link = list_pop_front(&r->append.waiters)) != NULL) {
        atomic_fetch_sub(&r->append.waiting, 1);
        completion_post(&container_of(link, struct redo_waiter, link)->done);
    }
    env_mutex_unlock(&r->append.lock);
}

static bool
append_has_room(struct redo *r, size_t size)
{
    return atomic_load_explicit(&r->append.reserved, memory_order_relaxed) + size -
               atomic_load(&r->ring_tail) <=
           r->ring_bytes;
}

/* Locked at entry and at return; parks. The look after joining the line closes the gap between a
 * look that found no room and a log writer that saw nobody wait. */
static void
append_wait_locked(struct redo *r, size_t size)
{
    struct redo_waiter w;

    completion_init(&w.done);
    list_push_back(&r->append.waiters, &w.link);
    atomic_fetch_add(&r->append.waiting, 1);
    r->append.wait_count++;
    if (append_has_room(r, size) && r->append.waiters.next == &w.link) {
        list_remove(&w.link);
        atomic_fetch_sub(&r->append.waiting, 1);
        return;
    }
    env_mutex_unlock(&r->append.lock);
    redo_kick(r);
    completion_wait(&w.done);
    env_mutex_lock(&r->append.lock);
}

/* The short critical section. *slot holds the part's start until it is copied. */
MUST_CHECK
static int
append_reserve(struct redo *r, struct redo_part *part, uint64_t now_us, unsigned *slot)
{
    bool woken = false;
    uint64_t start, unused;

    env_mutex_lock(&r->append.lock);
    for (;;) {
        if (r->append.mode != REDO_WRITING || r->append.inc != part->inc) {
            env_mutex_unlock(&r->append.lock);
            return DIAG(ERR_ROLE, "this node does not write incarnation %u", part->inc);
        }
        unused = atomic_load(&r->slots_free);
        if (unused == 0) {
            env_mutex_unlock(&r->append.lock);
            env_thread_yield(r->env);
            env_mutex_lock(&r->append.lock);
        } else if (append_has_room(r, part->size) && (woken || list_empty(&r->append.waiters))) {
            break;
        } else {
            append_wait_locked(r, part->size);
            woken = true;
        }
    }
    start = atomic_load_explicit(&r->append.reserved, memory_order_relaxed);
    part->lsn.v = start;
    part->end_lsn.v = start + part->size;
    part->scn = 0;
    part->time_us = 0;
    if (part->commit_at >= 0) {
        part->scn = r->append.last_scn + 1;
        atomic_store_explicit(&r->append.last_scn, part->scn, memory_order_relaxed);
        part->time_us = now_us > r->append.last_time_us ? now_us : r->append.last_time_us + 1;
        r->append.last_time_us = part->time_us;
    }
    *slot = (unsigned)__builtin_ctzll(unused);
    atomic_fetch_and(&r->slots_free, ~((uint64_t)1 << *slot));
    atomic_store_explicit(&r->slots[*slot].start, start, memory_order_relaxed);
    atomic_store(&r->append.reserved, start + part->size);
    r->append.part_count++;
    env_mutex_unlock(&r->append.lock);
    return 0;
}

static void
append_copy(struct redo *r, const struct redo_part *part)
{
    size_t at = (size_t)(part->lsn.v & (r->ring_bytes - 1));
    size_t first = r->ring_bytes - at;

    if (first >= part->size) {
        memcpy(r->ring + at, part->data, part->size);
    } else {
        memcpy(r->ring + at, part->data, first);
        memcpy(r->ring, part->data + first, part->size - first);
    }
}

static bool
part_is_well_formed(const struct redo_part *part)
{
    struct redo_record rec;
    struct reader rd;
    int rc;

    rd_init(&rd, part->data, part->size);
    for (;;) {
        bool is_commit = rd.at - part->data == part->commit_at;

        rc = redo_record_next(&rd, &rec);
        if (rc != 0)
            return rc == ERR_END;
        if (is_commit != (rec.type == REDO_COMMIT))
            return false;
    }
}

int
redo_append(struct redo *r, struct redo_part *part)
{
    unsigned slot;
    int rc;

    CHECK(part->size >= REDO_RECORD_HEADER);
    CHECK_SLOW(part_is_well_formed(part));
    if (part->size > r->part_max)
        return DIAG(ERR_LIMIT, "%zu bytes of redo at once are more than %zu", part->size,
                    r->part_max);
    if ((part->flags & REDO_PART_FORCE) == 0 && atomic_load(&r->files.disk_full)) {
        rc = DIAG(ERR_DISK_FULL, "no room for redo in \"%s\"", r->files.dir);
        diag_hint("Make room there: writes are then taken again by themselves.");
        return rc;
    }
    rc = append_reserve(r, part, part->commit_at >= 0 ? env_wall_us(r->env) : 0, &slot);
    if (rc != 0)
        return rc;
    if (part->commit_at >= 0) {
        store_u64(part->data + part->commit_at + REDO_COMMIT_OFF_SCN, part->scn);
        store_u64(part->data + part->commit_at + REDO_COMMIT_OFF_TIME, part->time_us);
    }
    if (part->on_reserved != NULL)
        part->on_reserved(part->arg, part->scn, part->time_us, part->end_lsn);
    append_copy(r, part);
    atomic_store_explicit(&r->slots[slot].start, slot_is_free, memory_order_release);
    atomic_fetch_or(&r->slots_free, (uint64_t)1 << slot);
    if ((part->flags & REDO_PART_DEFER_WAKE) == 0)
        redo_kick(r);
    return 0;
}

/* What an appender or the log thread did before is in memory before this looks: one of the two sees
 * the other (writer.c). */
void
redo_kick(struct redo *r)
{
    if (atomic_load(&r->wake.searching) == 0 && atomic_load(&r->wake.idle) > 0 && redo_has_work(r))
        redo_wake_log(r);
}

void
redo_acknowledged(struct redo *r, struct lsn lsn)
{
    atomic_store(&r->wake.acknowledged, lsn.v);
}

size_t
redo_part_max(const struct redo *r)
{
    return r->part_max;
}
