/* Memory of sealed frames: one block, allocated at the start, filled in a circle. A frame that is
 * still referenced when the circle comes round (a sender with a slow wire) is stepped over; one
 * that only the memory of the recent past holds is dropped, and with it all older ones from that
 * memory, so that `recent` never has a gap.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mem.h"
#include "engine/redo/redo_int.h"

void
redo_pool_init(struct redo_frame_pool *p, struct env *env, size_t bytes)
{
    *p = (struct redo_frame_pool){ .size = redo_align(bytes) };
    env_mutex_init(env, &p->lock);
    env_cond_init(env, &p->freed);
    p->memory = xaligned(ENV_ALIGN, p->size);
    p->frame_count = p->size / ENV_ALIGN;
    p->frames = xcalloc(p->frame_count, sizeof *p->frames);
    p->recent = xcalloc(p->frame_count, sizeof(struct redo_frame *));
    list_init(&p->unused);
    list_init(&p->places);
    p->next = &p->places;
    for (size_t i = 0; i < p->frame_count; i++) {
        struct redo_frame *f = &p->frames[i];

        f->pool = p;
        list_init(&f->place);
        list_init(&f->queued);
        list_push_back(&p->unused, &f->queued);
    }
}

void
redo_pool_fini(struct redo_frame_pool *p)
{
    redo_pool_clear(p);
    CHECK(list_empty(&p->places));
    xfree(p->recent);
    xfree(p->frames);
    xfree_aligned(p->memory);
    env_cond_fini(&p->freed);
    env_mutex_fini(&p->lock);
}

static size_t
frame_offset(const struct redo_frame_pool *p, const struct redo_frame *f)
{
    return (size_t)(f->buffer - p->memory);
}

/* The last reference is gone. Under the lock. */
static void
frame_release_locked(struct redo_frame_pool *p, struct redo_frame *f)
{
    if (p->next == &f->place)
        p->next = f->place.next;
    list_remove(&f->place);
    list_push_back(&p->unused, &f->queued);
    env_cond_signal(&p->freed);
}

/* Drops the oldest of the recent frames. Under the lock. */
static void
recent_pop_locked(struct redo_frame_pool *p)
{
    struct redo_frame *f = p->recent[p->recent_first++ % p->frame_count];

    f->is_recent = false;
    if (f->pool == NULL) {
        p->heap_bytes -= f->buffer_size;
        redo_frame_unref(f);
    } else if (atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1) {
        frame_release_locked(p, f);
    }
}

/* Only the recent past holds it: out with it and all before it. New references to such a frame are
 * made under the lock alone. */
static bool
frame_evict_locked(struct redo_frame_pool *p, struct redo_frame *f)
{
    if (!f->is_recent || atomic_load_explicit(&f->refs, memory_order_acquire) != 1)
        return false;
    while (f->is_recent)
        recent_pop_locked(p);
    return true;
}

static struct redo_frame *
pool_take_locked(struct redo_frame_pool *p, size_t need)
{
    struct redo_frame *f = list_first(&p->unused, struct redo_frame, queued);

    list_remove(&f->queued);
    f->buffer = p->memory + p->at;
    f->buffer_size = need;
    f->bytes = f->buffer + REDO_LOCAL_HEADER;
    f->bytes_size = 0;
    atomic_store_explicit(&f->refs, 1, memory_order_relaxed);
    list_push_back(p->next, &f->place); /* that is: before p->next */
    p->at += need;
    return f;
}

static struct redo_frame *
pool_search_locked(struct redo_frame_pool *p, size_t need)
{
    for (int turns = 0; turns < 2;) {
        struct redo_frame *f;

        if (p->at + need > p->size) {
            p->at = 0;
            p->next = p->places.next;
            turns++;
            continue;
        }
        if (p->next == &p->places)
            return pool_take_locked(p, need);
        f = container_of(p->next, struct redo_frame, place);
        if (frame_offset(p, f) >= p->at + need)
            return pool_take_locked(p, need);
        if (!frame_evict_locked(p, f)) {
            p->at = frame_offset(p, f) + f->buffer_size;
            p->next = f->place.next;
        }
    }
    return NULL;
}

struct redo_frame *
redo_pool_alloc(struct redo_frame_pool *p, size_t bytes_size)
{
    size_t need = redo_align(REDO_LOCAL_HEADER + bytes_size);
    struct redo_frame *f;
    bool waits = false;

    CHECK(need <= REDO_UNIT_MAX);
    env_mutex_lock(&p->lock);
    while ((f = pool_search_locked(p, need)) == NULL) {
        if (waits) {
            env_cond_wait(&p->freed, &p->lock);
        } else { /* look again: whoever lets go of a frame from here on sees that we wait */
            atomic_fetch_add(&p->waiting, 1);
            atomic_thread_fence(memory_order_seq_cst);
            waits = true;
        }
    }
    if (waits)
        atomic_fetch_sub(&p->waiting, 1);
    env_mutex_unlock(&p->lock);
    return f;
}

void
redo_pool_shrink(struct redo_frame_pool *p, struct redo_frame *f, size_t bytes_size)
{
    size_t need = redo_align(REDO_LOCAL_HEADER + bytes_size);

    CHECK(need <= f->buffer_size);
    f->bytes_size = bytes_size;
    if (need == f->buffer_size)
        return;
    env_mutex_lock(&p->lock);
    if (p->at == frame_offset(p, f) + f->buffer_size)
        p->at = frame_offset(p, f) + need;
    f->buffer_size = need;
    env_mutex_unlock(&p->lock);
}

void
redo_pool_unref(struct redo_frame_pool *p, struct redo_frame *f)
{
    uint32_t refs = atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel);

    if (refs > 2)
        return;
    if (refs == 2) { /* perhaps only the recent past holds it now: then it may be dropped */
        atomic_thread_fence(memory_order_seq_cst);
        if (atomic_load(&p->waiting) == 0)
            return;
    }
    env_mutex_lock(&p->lock);
    if (refs == 1)
        frame_release_locked(p, f);
    else
        env_cond_signal(&p->freed);
    env_mutex_unlock(&p->lock);
}

/* ---- the recent past ----------------------------------------------------------------------- */

void
redo_pool_push(struct redo_frame_pool *p, struct redo_frame *f)
{
    env_mutex_lock(&p->lock);
    while (p->recent_end - p->recent_first >= p->frame_count ||
           (f->pool == NULL && p->recent_end != p->recent_first &&
            p->heap_bytes + f->buffer_size > p->size))
        recent_pop_locked(p);
    if (f->pool == NULL)
        p->heap_bytes += f->buffer_size;
    f->is_recent = true;
    p->recent[p->recent_end++ % p->frame_count] = redo_frame_ref(f);
    env_mutex_unlock(&p->lock);
}

void
redo_pool_clear(struct redo_frame_pool *p)
{
    env_mutex_lock(&p->lock);
    while (p->recent_first != p->recent_end)
        recent_pop_locked(p);
    env_mutex_unlock(&p->lock);
}

/* The index of the last recent frame that begins at or below lsn; recent_end when there is none.
 * Under the lock. */
static size_t
recent_search_locked(const struct redo_frame_pool *p, struct lsn lsn)
{
    size_t lo = p->recent_first, hi = p->recent_end;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (lsn_le(p->recent[mid % p->frame_count]->head.lsn, lsn))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo > p->recent_first ? lo - 1 : p->recent_end;
}

struct redo_frame *
redo_pool_find(struct redo_frame_pool *p, incarnation_t inc, struct lsn lsn)
{
    struct redo_frame *found = NULL;
    size_t at;

    env_mutex_lock(&p->lock);
    at = recent_search_locked(p, lsn);
    if (at != p->recent_end) {
        struct redo_frame *f = p->recent[at % p->frame_count];

        if (f->head.inc == inc && lsn_lt(lsn, redo_frame_end(&f->head)))
            found = redo_frame_ref(f);
    }
    env_mutex_unlock(&p->lock);
    return found;
}

bool
redo_pool_locate(struct redo_frame_pool *p, incarnation_t inc, struct lsn lsn, struct redo_pos *pos)
{
    bool found = false;
    size_t at;

    env_mutex_lock(&p->lock);
    at = recent_search_locked(p, lsn);
    /* The frame that begins at or below lsn may end beyond it: then the one before it counts. */
    if (at != p->recent_end && lsn_lt(lsn, redo_frame_end(&p->recent[at % p->frame_count]->head)))
        at = at > p->recent_first ? at - 1 : p->recent_end;
    if (at != p->recent_end) {
        const struct redo_frame_head *h = &p->recent[at % p->frame_count]->head;

        found = h->inc == inc;
        *pos = (struct redo_pos){ inc, redo_frame_end(h), h->last_scn, h->last_time_us, h->chain };
    }
    env_mutex_unlock(&p->lock);
    return found;
}
