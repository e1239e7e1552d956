/* The source of a base copy: see ship_base.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/lsm/lsm.h"
#include "engine/redo/record.h"
#include "engine/redo/redo.h"
#include "engine/txn/follow.h"
#include "logship/ship_base.h"

enum { SOURCE_STACK = 128 << 10, SOURCE_LIST_FILES = 8192 };

struct ship_base_source {
    struct engine *engine;
    struct sched *sched;
    struct job_pool *jobs;
    struct link *link;
    uint64_t copy;
    bool stop, held, pinned;
    void (*on_end)(void *arg);
    void *arg;
    struct fiber_queue news;

    struct manifest_edit state;
    struct writer log, manifest; /* the two files that are none */
    struct redo_pin pin;
    uint64_t *files; /* ids */
    uint64_t *sizes;
    size_t file_count;

    /* What was asked for; one at a time. */
    bool has_get;
    struct ship_file_get get;
    char path[SHIP_PATH_MAX];
    uint8_t *chunk;
    size_t got;
    bool last;
};

/* ---- holding -----------------------------------------------------------------------------------
 */

/* The ids of the segments in a picture of the manifest. */
static int
source_list(struct ship_base_source *b)
{
    struct reader r;
    size_t cap = 0;

    rd_init(&r, b->state.w.data, b->state.w.size);
    while (rd_left(&r) > 0) {
        uint8_t op = rd_u8(&r), type = rd_u8(&r);
        struct slice key = rd_lenslice(&r);

        if (op == 1)
            (void)rd_lenslice(&r);
        if (!rd_ok(&r))
            return DIAG(ERR_INTERNAL, "the manifest's picture cannot be read");
        if (op != 1 || type != MANIFEST_SEGMENT || key.size != 8)
            continue;
        if (b->file_count == cap) {
            cap = cap != 0 ? 2 * cap : 64;
            b->files = xrealloc(b->files, cap * sizeof *b->files);
            b->sizes = xrealloc(b->sizes, cap * sizeof *b->sizes);
        }
        b->files[b->file_count++] = load_u64_be(key.data);
    }
    return 0;
}

static int
source_open_file(struct ship_base_source *b, uint64_t id, struct env_file **f)
{
    char name[LSM_FILE_NAME_MAX], path[SHIP_PATH_MAX];

    lsm_file_name(id, name);
    snprintf(path, sizeof path, "%s/segments/%s", engine_dir(b->engine), name);
    return env_open(engine_env(b->engine), path, ENV_READ, f);
}

/* Where the redo that recovery of the picture needs begins; taken before the picture. */
static int
source_redo_start(struct ship_base_source *b, struct redo_pos *from)
{
    struct lsm *lsm = engine_lsm(b->engine);
    struct redo *redo = engine_redo(b->engine);
    incarnation_t inc = lsm_branch(lsm);
    struct lsn need, low = engine_follow_low(b->engine, inc);
    int rc;

    if (!lsm_redo_needed(lsm, inc, &need))
        need = redo_durable(redo);
    if (lsn_lt(low, need))
        need = low;
    redo_pin(redo, &b->pin, inc, lsn_make(need.v - 1));
    b->pinned = true;
    /* One frame at least: it tells the copy where the log stands. */
    rc = redo_locate(redo, inc, lsn_make(need.v - 1), from);
    if (rc == ERR_NOT_FOUND)
        rc = redo_locate(redo, inc, need, from);
    if (rc == ERR_NOT_FOUND)
        rc = DIAG(ERR_NO_FILE, "redo from LSN %" PRIu64 " on is not held", need.v);
    return rc;
}

/* A copy of no frame at all would not know where its log stands: then there is one. */
static int
source_mark(struct ship_base_source *b, struct lsn *end)
{
    struct engine *e = b->engine;
    struct redo_part part = { .commit_at = REDO_NO_COMMIT, .inc = engine_incarnation(e) };
    struct redo_time_mark mark = { engine_newest_scn(e), env_wall_us(engine_env(e)) };
    struct writer w;
    int rc;

    if (!engine_is_writable(e))
        return DIAG(ERR_AGAIN, "nothing has been written since the redo that is kept begins");
    wr_init(&w, 0);
    redo_encode_time_mark(&w, &mark);
    part.data = w.data;
    part.size = w.size;
    rc = redo_append(engine_redo(e), &part);
    if (rc == 0)
        rc = redo_wait_durable(engine_redo(e), part.end_lsn);
    *end = part.end_lsn;
    wr_fini(&w);
    return rc;
}

static int
source_hold(void *arg)
{
    struct ship_base_source *b = arg;
    struct lsm *lsm = engine_lsm(b->engine);
    struct lineage lineage;
    struct redo_pos from;
    struct lsn end;
    int rc = engine_flush_all(b->engine);

    if (rc == 0)
        rc = source_redo_start(b, &from);
    if (rc == 0) {
        rc = lsm_files_hold(lsm, &b->state);
        b->held = true;
    }
    if (rc == 0)
        rc = source_list(b);
    end = redo_durable(engine_redo(b->engine));
    if (rc == 0 && lsn_le(end, from.lsn))
        rc = source_mark(b, &end);
    for (size_t i = 0; rc == 0 && i < b->file_count; i++) {
        struct env_file *f;

        rc = source_open_file(b, b->files[i], &f);
        if (rc == 0) {
            rc = env_size(f, &b->sizes[i]);
            env_close(f);
        }
    }
    if (rc != 0)
        return rc;
    wr_u32(&b->log, lsm_branch(lsm));
    wr_u32(&b->log, from.inc);
    wr_u64(&b->log, from.lsn.v);
    wr_u64(&b->log, from.scn);
    wr_u64(&b->log, from.time_us);
    wr_u64(&b->log, from.chain.lo);
    wr_u64(&b->log, from.chain.hi);
    wr_u64(&b->log, end.v);
    lineage_init(&lineage);
    lsm_lineage(lsm, &lineage);
    lineage_encode(&b->log, &lineage);
    lineage_fini(&lineage);
    wr_u32(&b->manifest, b->state.item_count);
    wr_slice(&b->manifest, wr_view(&b->state.w));
    rc = wr_finish(&b->log);
    return rc == 0 ? wr_finish(&b->manifest) : rc;
}

/* ---- sending -----------------------------------------------------------------------------------
 */

static int
source_send_list(struct ship_base_source *b)
{
    size_t at = 0;
    int rc = 0;
    bool first = true;

    while (rc == 0 && !b->stop && (first || at < b->file_count)) {
        size_t count =
            b->file_count - at < SOURCE_LIST_FILES ? b->file_count - at : SOURCE_LIST_FILES;
        char name[LSM_FILE_NAME_MAX];
        struct writer w;

        wr_init(&w, 1 << 20);
        ship_copy_list_begin(&w, b->copy, at + count == b->file_count,
                             (uint32_t)count + (first ? 2 : 0));
        if (first) {
            ship_copy_list_add(
                &w, &(struct ship_file){ .path = slice_str("log"), .size = b->log.size });
            ship_copy_list_add(
                &w, &(struct ship_file){ .path = slice_str("manifest"), .size = b->manifest.size });
        }
        for (size_t i = at; i < at + count; i++) {
            lsm_file_name(b->files[i], name);
            ship_copy_list_add(&w,
                               &(struct ship_file){ .path = slice_str(name), .size = b->sizes[i] });
        }
        rc = wr_finish(&w);
        if (rc == 0)
            rc = link_send_wait(b->link, SHIP_COPY_LIST, wr_view(&w));
        wr_fini(&w);
        at += count;
        first = false;
    }
    return rc;
}

static int
source_read_memory(struct ship_base_source *b, struct slice bytes)
{
    if (b->get.offset > bytes.size)
        return DIAG(ERR_PROTOCOL, "an offset past the end of %s", b->path);
    b->got =
        bytes.size - b->get.offset < SHIP_CHUNK_MAX ? bytes.size - b->get.offset : SHIP_CHUNK_MAX;
    memcpy(b->chunk, bytes.data + b->get.offset, b->got);
    b->last = b->get.offset + b->got == bytes.size;
    return 0;
}

/* No more than was asked for. */
static size_t
source_chunk_size(const struct ship_base_source *b)
{
    return b->get.size != 0 && b->get.size < SHIP_CHUNK_MAX ? (size_t)b->get.size : SHIP_CHUNK_MAX;
}

/* Only what is on the list has a path. */
static int
source_read(void *arg)
{
    struct ship_base_source *b = arg;

    if (strcmp(b->path, "log") == 0)
        return source_read_memory(b, wr_view(&b->log));
    if (strcmp(b->path, "manifest") == 0)
        return source_read_memory(b, wr_view(&b->manifest));
    for (size_t i = 0; i < b->file_count; i++) {
        char name[LSM_FILE_NAME_MAX];
        struct env_file *f;
        int rc;

        lsm_file_name(b->files[i], name);
        if (strcmp(b->path, name) != 0)
            continue;
        rc = source_open_file(b, b->files[i], &f);
        if (rc != 0)
            return rc;
        rc = env_pread(f, b->chunk, source_chunk_size(b), b->get.offset, &b->got);
        b->last = b->get.offset + b->got >= b->sizes[i] || b->got == 0;
        if (b->get.size != 0) {
            b->get.size -= b->got;
            b->last |= b->get.size == 0;
        }
        env_close(f);
        return rc;
    }
    return DIAG(ERR_PROTOCOL, "no file of that name belongs to the copy");
}

static int
source_send_file(struct ship_base_source *b)
{
    int rc = 0;

    b->last = false;
    while (rc == 0 && !b->last && !b->stop) {
        struct ship_file_chunk m = { .copy = b->copy, .offset = b->get.offset };
        struct writer w;

        rc = job_run(b->jobs, source_read, b);
        if (rc != 0 || b->stop)
            break;
        m.last = b->last;
        m.bytes = slice(b->chunk, b->got);
        wr_init(&w, SHIP_BODY_MAX);
        ship_file_chunk_encode(&w, &m);
        rc = link_send_wait(b->link, SHIP_FILE_CHUNK, wr_view(&w));
        wr_fini(&w);
        b->get.offset += b->got;
    }
    return rc;
}

static void
source_fail(struct ship_base_source *b, int code)
{
    struct ship_copy_end m = { b->copy, code, slice_str(diag_last()->message) };
    struct writer w;

    if (b->stop)
        return;
    wr_init(&w, 1024);
    ship_copy_end_encode(&w, &m);
    if (wr_finish(&w) == 0 && link_send_wait(b->link, SHIP_COPY_END, wr_view(&w)) != 0)
        diag_clear();
    wr_fini(&w);
}

static int
source_release(void *arg)
{
    struct ship_base_source *b = arg;

    if (b->held)
        lsm_files_unhold(engine_lsm(b->engine));
    if (b->pinned)
        redo_unpin(engine_redo(b->engine), &b->pin);
    return 0;
}

static void
source_main(void *arg)
{
    struct ship_base_source *b = arg;
    int rc = job_run(b->jobs, source_hold, b);

    if (rc == 0)
        rc = source_send_list(b);
    while (rc == 0 && !b->stop) {
        if (!b->has_get) {
            fiber_queue_wait(&b->news);
            continue;
        }
        rc = source_send_file(b);
        b->has_get = false;
    }
    if (rc != 0)
        source_fail(b, rc);
    while (!b->stop) /* the owner holds it still */
        fiber_queue_wait(&b->news);
    if (job_run(b->jobs, source_release, b) != 0)
        diag_clear();
    manifest_edit_fini(&b->state);
    wr_fini(&b->log);
    wr_fini(&b->manifest);
    xfree(b->files);
    xfree(b->sizes);
    xfree(b->chunk);
    b->on_end(b->arg);
    xfree(b);
}

/* ---- from outside ------------------------------------------------------------------------------
 */

struct ship_base_source *
ship_base_source_start(struct engine *e, struct sched *s, struct job_pool *jobs, struct link *l,
                       const struct ship_copy_begin *begin, void (*on_end)(void *arg), void *arg)
{
    struct ship_base_source *b = xcalloc(1, sizeof *b);

    b->engine = e;
    b->sched = s;
    b->jobs = jobs;
    b->link = l;
    b->copy = begin->copy;
    b->on_end = on_end;
    b->arg = arg;
    fiber_queue_init(&b->news);
    manifest_edit_init(&b->state);
    wr_init(&b->log, 0);
    wr_init(&b->manifest, 0);
    b->chunk = xmalloc(SHIP_CHUNK_MAX);
    fiber_start(s, "base copy source", SOURCE_STACK, source_main, b);
    return b;
}

int
ship_base_source_message(struct ship_base_source *b, const struct ship_header *h, struct slice body)
{
    struct ship_file_get get;
    int rc;

    if (h->type != SHIP_FILE_GET)
        return 0; /* COPY_END: the owner stops it */
    rc = ship_file_get_decode(body, &get);
    if (rc == 0 && (b->has_get || get.copy != b->copy || get.path.size >= SHIP_PATH_MAX))
        rc = DIAG(ERR_PROTOCOL, "a file was asked for out of turn");
    if (rc != 0)
        return rc;
    memcpy(b->path, get.path.data, get.path.size);
    b->path[get.path.size] = '\0';
    b->get = get;
    b->has_get = true;
    fiber_queue_wake_all(&b->news);
    return 0;
}

void
ship_base_source_stop(struct ship_base_source *b)
{
    b->stop = true;
    fiber_queue_wake_all(&b->news);
}
