/* The log threads. Each in turn seals what is complete, takes what is queued, writes it in one call
 * and publishes. While one waits for the disk, the other may issue the next write, once there is
 * enough for it: small writes gather meanwhile, since on a busy machine each costs several switches
 * between threads, and whoever writes takes them as soon as it is back.
 *
 * Where commits wait for others too (standbys), small writes gather until what was sealed before is
 * acknowledged, but for `pace_us` at most: then whole groups travel, not single commits, and the
 * way there and back is paid once for each. A group that waits needs no call: the acknowledgement
 * wakes.
 *
 * Sleeping and waking: a thread that is awake and has not yet taken its batch is "searching"; while
 * there is one, nobody needs to be woken, for it will take all that is there. It stops searching
 * before it looks for the last time, and an appender completes its part before it looks for a
 * searcher: one of the two sees the other. Who slept last is woken first. The thread that finds
 * nothing to do while the log is paced sleeps until the pace ends, not longer: so nobody else needs
 * to look at the clock later.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/redo/redo_int.h"

struct redo_sleeper {
    struct env_cond cond;
    bool called;
    struct list link; /* in redo.wake.sleepers */
};

enum { FRAME_WORTH = 8 << 10 }; /* bytes that a frame in the queue counts as */

struct batch {
    struct redo_frame *frames[REDO_WRITE_FRAMES];
    struct iovec iov[REDO_WRITE_FRAMES];
    int count;
    uint64_t bytes;
    uint64_t offset;
    uint64_t ticket;
    struct env_file *handle;
};

/* ---- files --------------------------------------------------------------------------------- */

int
redo_writer_open_file(struct redo *r, const struct redo_pos *start, bool wait)
{
    int rc;

    CHECK(r->seal.file == NULL);
    rc = redo_files_begin(r, start, wait, &r->seal.file, &r->seal.handle);
    if (rc == 0) {
        r->seal.offset = REDO_FILE_HEADER;
        r->seal.tail = *start;
    }
    return rc;
}

void
redo_writer_close_file(struct redo *r)
{
    struct redo_files *fs = &r->files;
    struct redo_file *f = r->seal.file;

    if (f == NULL)
        return;
    if (r->seal.offset + ENV_ALIGN <= f->size &&
        redo_files_mark_end(r, r->seal.handle, f->head.sequence, r->seal.offset,
                            r->seal.tail.lsn) != 0)
        PANIC("redo could not be written: %s", diag_last()->message);
    env_close(r->seal.handle);
    r->seal.handle = NULL;
    r->seal.file = NULL;
    env_mutex_lock(&fs->lock);
    f->is_active = false;
    f->is_marked = true;
    f->end = r->seal.tail;
    f->end_offset = r->seal.offset;
    if (r->seal.offset > f->size)
        f->size = r->seal.offset;
    env_cond_signal(&fs->work);
    env_mutex_unlock(&fs->lock);
}

/* A new file is begun only when all that went to the old one is durable: that it exists proves that
 * the one before it is whole. */
static void
writer_switch_file(struct redo *r, incarnation_t inc)
{
    struct redo_pos start = r->seal.tail;
    int rc;

    env_mutex_lock(&r->publish.lock);
    while (r->publish.in_flight > 0)
        env_cond_wait(&r->publish.changed, &r->publish.lock);
    env_mutex_unlock(&r->publish.lock);
    redo_writer_close_file(r);
    start.inc = inc;
    rc = redo_writer_open_file(r, &start, true);
    if (rc != 0)
        PANIC("no redo file could be begun: %s", diag_last()->message);
}

/* ---- a batch ------------------------------------------------------------------------------- */

static bool
writer_fits(const struct redo *r, const struct redo_frame *f)
{
    const struct redo_file *file = r->seal.file;

    return file != NULL && file->head.start.inc == f->head.inc &&
           (r->seal.offset == REDO_FILE_HEADER || r->seal.offset + f->buffer_size <= file->size);
}

static void
writer_add(struct redo *r, struct batch *b, struct redo_frame *f)
{
    const struct redo_frame_head *h = &f->head;
    struct redo_local local = { .sequence = r->seal.file->head.sequence,
                                .offset = r->seal.offset,
                                .durable = redo_durable(r),
                                .lsn = h->lsn,
                                .size = (uint32_t)f->bytes_size };

    redo_local_encode(&local, f->buffer);
    b->frames[b->count] = f;
    b->iov[b->count++] = (struct iovec){ f->buffer, f->buffer_size };
    b->bytes += f->buffer_size;
    r->seal.offset += f->buffer_size;
    r->seal.tail =
        (struct redo_pos){ h->inc, redo_frame_end(h), h->last_scn, h->last_time_us, h->chain };
}

/* Takes the first frame of the queue if it goes into this batch. */
static struct redo_frame *
writer_pop(struct redo *r, const struct batch *b)
{
    struct redo_frame *f;

    env_mutex_lock(&r->queue.lock);
    f = list_first(&r->queue.frames, struct redo_frame, queued);
    if (f != NULL && (b->count == 0 || (b->count < REDO_WRITE_FRAMES && writer_fits(r, f) &&
                                        b->bytes + f->buffer_size <= REDO_WRITE_BYTES_MAX))) {
        list_remove(&f->queued);
        r->queue.bytes -= f->buffer_size;
        atomic_fetch_sub(&r->queue.count, 1);
        while (!list_empty(&r->queue.waiters)) {
            struct list *link = list_pop_front(&r->queue.waiters);

            completion_post(&container_of(link, struct redo_waiter, link)->done);
        }
    } else {
        f = NULL;
    }
    env_mutex_unlock(&r->queue.lock);
    return f;
}

/* Under seal. */
static bool
writer_take(struct redo *r, struct batch *b)
{
    struct redo_frame *f;

    b->count = 0;
    b->bytes = 0;
    if (atomic_load(&r->queue.count) == 0 && !redo_seal(r))
        return false;
    while ((f = writer_pop(r, b)) != NULL) {
        if (b->count == 0) {
            if (!writer_fits(r, f))
                writer_switch_file(r, f->head.inc);
            b->offset = r->seal.offset;
        }
        writer_add(r, b, f);
    }
    CHECK(b->count > 0);
    b->handle = r->seal.handle;
    b->ticket = redo_publish_issue(r, &r->seal.tail, b->bytes);
    atomic_fetch_add(&r->wake.writing, 1);
    return true;
}

static void
writer_write(struct redo *r, struct batch *b)
{
    int rc = env_pwritev(b->handle, b->iov, b->count, b->offset);

    if (rc == 0 && r->options.fdatasync)
        rc = env_sync(b->handle);
    if (rc != 0)
        PANIC("redo could not be written: %s", diag_last()->message);
    atomic_fetch_sub(&r->wake.writing, 1);
    redo_publish_done(r, b->ticket);
    for (int i = 0; i < b->count; i++)
        redo_frame_unref(b->frames[i]);
}

/* ---- the threads --------------------------------------------------------------------------- */

/* How long what gathers is to wait for what was sealed before, in us. */
static uint64_t
pace_left(struct redo *r)
{
    uint64_t now, end;

    if (atomic_load(&r->wake.acknowledged) >= atomic_load(&r->queue.sealed_lsn))
        return 0;
    now = env_boot_ns(r->env);
    end = atomic_load(&r->wake.pace_end_ns);
    return now < end ? (end - now) / 1000 + 1 : 0;
}

/* An appender completes its part, or a frame is queued, before this looks at `writing`; a writer
 * lowers that before it looks: one of the two sees the other. */
bool
redo_has_work(struct redo *r)
{
    uint64_t tail = atomic_load(&r->ring_tail), bytes = redo_complete(r) - tail;
    uint32_t frames = atomic_load(&r->queue.count);

    if (atomic_load(&r->wake.writing) == 0)
        return frames > 0 || (bytes > 0 && (bytes >= r->options.second_bytes || pace_left(r) == 0));
    return bytes + (uint64_t)frames * FRAME_WORTH >= r->options.second_bytes;
}

void
redo_wake_log(struct redo *r)
{
    struct redo_sleeper *s = NULL;

    env_mutex_lock(&r->wake.lock);
    if (atomic_load(&r->wake.searching) == 0)
        s = list_first(&r->wake.sleepers, struct redo_sleeper, link);
    if (s != NULL) {
        list_remove(&s->link);
        atomic_fetch_sub(&r->wake.idle, 1);
        atomic_fetch_add(&r->wake.searching, 1);
        s->called = true;
        env_cond_signal(&s->cond);
    }
    env_mutex_unlock(&r->wake.lock);
}

void
redo_wake_end(struct redo *r)
{
    env_mutex_lock(&r->wake.lock);
    r->wake.stopping = true;
    list_for_each (s, &r->wake.sleepers, struct redo_sleeper, link)
        env_cond_signal(&s->cond);
    env_mutex_unlock(&r->wake.lock);
}

/* In r->wake.sleepers, under wake.lock, until called or stopped or, paced, the pace has ended. */
static void
sleep_locked(struct redo *r, struct redo_sleeper *s)
{
    uint64_t left = atomic_load(&r->wake.writing) == 0 ? pace_left(r) : 0;

    while (!s->called && !r->wake.stopping) {
        if (left == 0)
            env_cond_wait(&s->cond, &r->wake.lock);
        else if (!env_cond_wait_us(&s->cond, &r->wake.lock, left) && !s->called) {
            if (redo_has_work(r))
                return;
            left = 0;
        }
    }
}

/* Returns searching, or false when it is time to end. */
static bool
writer_sleep(struct redo *r, struct redo_sleeper *s)
{
    bool go_on;

    env_mutex_lock(&r->wake.lock);
    s->called = false;
    list_push_front(&r->wake.sleepers, &s->link);
    atomic_fetch_add(&r->wake.idle, 1);
    if (!redo_has_work(r))
        sleep_locked(r, s);
    go_on = s->called; /* then who called counted idle and searching */
    if (!go_on) {
        list_remove(&s->link);
        atomic_fetch_sub(&r->wake.idle, 1);
        go_on = redo_has_work(r) || !r->wake.stopping;
        if (go_on)
            atomic_fetch_add(&r->wake.searching, 1);
    }
    env_mutex_unlock(&r->wake.lock);
    return go_on;
}

void
redo_log_thread(void *arg)
{
    struct redo *r = arg;
    struct redo_sleeper sleeper;
    struct batch batch;

    env_cond_init(r->env, &sleeper.cond);
    while (writer_sleep(r, &sleeper)) {
        bool taken;

        env_mutex_lock(&r->seal.lock);
        taken = writer_take(r, &batch);
        env_mutex_unlock(&r->seal.lock);
        atomic_fetch_sub(&r->wake.searching, 1);
        redo_kick(r);
        if (taken)
            writer_write(r, &batch);
    }
    env_cond_fini(&sleeper.cond);
}
