/* The copying side of a base copy: see ship_base.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "logship/ship_base.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/lsm/lsm.h"
#include "engine/redo/redo.h"
#include "logship/ship_base_int.h"
#include "logship/ship_send.h"

enum {
    COPY_PATH_MAX = 512,
    COPY_FILES_MAX = 1 << 20,
    COPY_MEMORY_MAX = 256 << 20,
    COPY_PIECE = 4 << 20,        /* of a segment that is asked for at a time */
    COPY_REDO_EVERY = 128 << 20, /* bytes of segments, then redo is caught up with */
    COPY_NAP_US = 100000,
};
/* What the database is about, not the node: below where its transactions were open, and of which
 * database it was restored. */
static const char *const kept_blobs[] = { "open low", "parent" };

struct ship_base_copy {
    struct ship_base_options o;
    uint64_t copy;
    int code; /* why it failed; 0: it has not */
    struct diag why;
    bool down;  /* the link */
    int inside; /* fibers in ship_base_copy_message */
    struct fiber_queue news;

    bool listed;
    struct base_file *files;
    size_t file_count, file_cap;
    uint64_t total, done, fetched_bytes; /* of segments */
    uint64_t since_redo, started_ns;

    struct writer memory; /* the file that is fetched, when it is "log" or "manifest" */
    struct env_file *file;
    uint64_t size, offset; /* of the file, and where the next chunk goes */
    bool fetched;
    struct slice chunk; /* the job's */

    struct lineage lineage;
    incarnation_t inc;
    struct redo_pos from, at; /* where the redo copied begins, and has come to */
    struct lsn end;           /* what the segments need */
    struct redo *redo;
    struct redo_frame *frame; /* the job's */
    bool redo_done;
    struct manifest_edit edit;
};

static void
copy_fail(struct ship_base_copy *c, int code)
{
    if (c->code == 0) {
        c->code = code;
        c->why = *diag_last();
    }
    fiber_queue_wake_all(&c->news);
}

/* ---- the list ----------------------------------------------------------------------------------
 */

/* COPY-1 */
static bool
segment_id(struct slice path, uint64_t *id)
{
    char text[LSM_FILE_NAME_MAX], made[LSM_FILE_NAME_MAX];

    if (path.size == 0 || path.size >= sizeof text)
        return false;
    memcpy(text, path.data, path.size);
    text[path.size] = '\0';
    if (sscanf(text, "%16" SCNx64 ".seg", id) != 1)
        return false;
    lsm_file_name(*id, made);
    return strcmp(made, text) == 0;
}

static int
on_list(struct ship_base_copy *c, struct slice body)
{
    struct ship_copy_list list;
    struct ship_file f;
    int rc = ship_copy_list_decode(body, &list);

    if (rc == 0 && (list.copy != c->copy || c->listed))
        rc = DIAG(ERR_PROTOCOL, "a list of another copy");
    while (rc == 0 && (rc = ship_copy_list_next(&list, &f)) == 0) {
        uint64_t id;

        if (slice_eq(f.path, slice_str("log")) || slice_eq(f.path, slice_str("manifest")))
            continue;
        if (!segment_id(f.path, &id) || c->file_count == COPY_FILES_MAX)
            return DIAG(ERR_PROTOCOL, "the list of the base copy names what is no segment");
        if (c->file_count == c->file_cap) {
            c->file_cap = c->file_cap != 0 ? 2 * c->file_cap : 64;
            c->files = xrealloc(c->files, c->file_cap * sizeof *c->files);
        }
        c->files[c->file_count++] = (struct base_file){ .id = id, .size = f.size };
        c->total += f.size;
    }
    if (rc != ERR_END)
        return rc;
    c->listed = list.last;
    fiber_queue_wake_all(&c->news);
    return 0;
}

/* ---- chunks ------------------------------------------------------------------------------------
 */

static int
write_chunk(void *arg)
{
    struct ship_base_copy *c = arg;

    return env_pwrite(c->file, c->chunk.data, c->chunk.size, c->offset);
}

static int
on_chunk(struct ship_base_copy *c, struct slice body)
{
    struct ship_file_chunk m;
    int rc = ship_file_chunk_decode(body, &m);

    if (rc == 0 && (m.copy != c->copy || c->fetched || m.offset != c->offset))
        rc = DIAG(ERR_PROTOCOL, "a piece of a file out of turn");
    if (rc != 0)
        return rc;
    if (c->file == NULL) {
        wr_slice(&c->memory, m.bytes);
        rc = wr_finish(&c->memory);
    } else if (m.bytes.size > c->size - c->offset) {
        rc = DIAG(ERR_PROTOCOL, "a file is longer than the list says");
    } else {
        c->chunk = m.bytes;
        rc = job_run(c->o.jobs, write_chunk, c);
    }
    if (rc != 0)
        return rc;
    c->offset += m.bytes.size;
    c->fetched = m.last;
    if (c->file != NULL) {
        c->done += m.bytes.size;
        c->fetched_bytes += m.bytes.size;
        c->since_redo += m.bytes.size;
        if (c->o.progress != NULL)
            c->o.progress(c->o.arg, c->done, c->total);
    }
    if (m.last)
        fiber_queue_wake_all(&c->news);
    return 0;
}

/* ---- redo --------------------------------------------------------------------------------------
 */

static int
append_frame(void *arg)
{
    struct ship_base_copy *c = arg;
    const struct redo_frame_head *h = &c->frame->head;
    int rc = redo_check_room(c->redo);

    if (rc == 0)
        rc = redo_append_frame(c->redo, c->frame, c->inc);
    if (rc == 0)
        c->at =
            (struct redo_pos){ h->inc, redo_frame_end(h), h->last_scn, h->last_time_us, h->chain };
    return rc == ERR_AGAIN ? 0 : rc;
}

static int
on_redo(struct ship_base_copy *c, struct slice body)
{
    struct ship_redo m;
    int rc = ship_redo_decode(body, &m);

    if (rc != 0 || c->redo == NULL)
        return rc;
    rc = redo_frame_decode(m.frame.data, m.frame.size, &c->frame);
    if (rc != 0)
        return rc;
    rc = job_run(c->o.jobs, append_frame, c);
    redo_frame_unref(c->frame);
    return rc;
}

static int
on_redo_end(struct ship_base_copy *c, struct slice body)
{
    struct ship_redo_end m;
    int rc = ship_redo_end_decode(body, &m);

    if (rc == 0 && m.code != 0)
        return DIAG(m.code, "redo for the base copy: %.*s", (int)m.text.size,
                    (const char *)m.text.data);
    c->redo_done = true;
    fiber_queue_wake_all(&c->news);
    return rc;
}

static int
on_end(struct ship_base_copy *c, struct slice body)
{
    struct ship_copy_end m;
    int rc = ship_copy_end_decode(body, &m);

    (void)c;
    if (rc != 0)
        return rc;
    return DIAG(m.code != 0 ? m.code : ERR_PROTOCOL, "the source ended the base copy: %.*s",
                (int)m.text.size, (const char *)m.text.data);
}

int
ship_base_copy_message(struct ship_base_copy *c, const struct ship_header *h, struct slice body)
{
    int rc = 0;

    if (c->code != 0)
        return 0;
    c->inside++;
    switch (h->type) {
    case SHIP_COPY_LIST:
        rc = on_list(c, body);
        break;
    case SHIP_FILE_CHUNK:
        rc = on_chunk(c, body);
        break;
    case SHIP_REDO:
        rc = on_redo(c, body);
        break;
    case SHIP_REDO_END:
        rc = on_redo_end(c, body);
        break;
    case SHIP_COPY_END:
        rc = on_end(c, body);
        break;
    default:
        break;
    }
    if (rc != 0)
        copy_fail(c, rc);
    if (--c->inside == 0)
        fiber_queue_wake_all(&c->news);
    return rc;
}

void
ship_base_copy_link_down(struct ship_base_copy *c)
{
    c->down = true;
    if (c->code == 0)
        copy_fail(c, DIAG(ERR_STOPPED, "the link with the source of the base copy ended"));
}

/* ---- the run -----------------------------------------------------------------------------------
 */

static int
copy_wait(struct ship_base_copy *c, const bool *what)
{
    while (!*what && c->code == 0)
        fiber_queue_wait(&c->news);
    if (c->code != 0)
        diag_restore(&c->why);
    return c->code;
}

static int
copy_send(struct ship_base_copy *c, enum ship_type type, struct writer *w)
{
    int rc = wr_finish(w);

    if (rc == 0 && c->down)
        rc = DIAG(ERR_STOPPED, "the link with the source of the base copy ended");
    else if (rc == 0)
        rc = link_send_wait(c->o.link, type, wr_view(w));
    wr_fini(w);
    return rc;
}

/* From c->offset on; `size` 0: all. */
static int
copy_fetch(struct ship_base_copy *c, const char *path, uint64_t size)
{
    struct ship_file_get get = {
        .copy = c->copy, .offset = c->offset, .size = size, .path = slice_str(path)
    };
    struct writer w;
    int rc;

    c->fetched = false;
    wr_init(&w, SHIP_PATH_MAX + 64);
    ship_file_get_encode(&w, &get);
    rc = copy_send(c, SHIP_FILE_GET, &w);
    return rc == 0 ? copy_wait(c, &c->fetched) : rc;
}

static int
make_folders(void *arg)
{
    struct ship_base_copy *c = arg;
    char path[COPY_PATH_MAX];
    int rc = env_make_dir(c->o.env, c->o.dir);

    snprintf(path, sizeof path, "%s/manifest", c->o.dir);
    if (rc == 0 && env_exists(c->o.env, path))
        return DIAG(ERR_FILE_EXISTS, "%s holds a database", c->o.dir);
    snprintf(path, sizeof path, "%s/segments", c->o.dir);
    return rc == 0 ? env_make_dir(c->o.env, path) : rc;
}

/* ---- redo, from the source's log into the copy's --------------------------------------------- */

static int
unlink_one(void *arg, const char *name)
{
    struct ship_base_copy *c = arg;
    char path[COPY_PATH_MAX];

    snprintf(path, sizeof path, "%s/redo/%s", c->o.dir, name);
    return env_unlink(c->o.env, path);
}

static int
open_redo(void *arg)
{
    struct ship_base_copy *c = arg;
    char dir[COPY_PATH_MAX];
    struct redo_options o = {
        .env = c->o.env,
        .dir = dir,
        .database_id = c->o.database_id,
        .lineage = &c->lineage,
        .file_bytes = REDO_COPY_FILE_BYTES,
    };
    int rc = 0;

    snprintf(dir, sizeof dir, "%s/redo", c->o.dir);
    if (env_is_dir(c->o.env, dir)) /* of an earlier attempt */
        rc = env_list_dir(c->o.env, dir, unlink_one, c);
    if (rc == 0)
        rc = redo_open(&o, &c->redo);
    if (rc == 0)
        rc = redo_start_following(c->redo, &c->from);
    c->at = c->from;
    return rc != 0 ? rc : redo_wait_room(c->redo);
}

static int
close_redo(void *arg)
{
    struct ship_base_copy *c = arg;
    struct lsn end = redo_sealed(c->redo);

    redo_stop(c->redo);
    redo_close(c->redo);
    c->redo = NULL;
    return lsn_lt(end, c->end) ? DIAG(ERR_CORRUPT, "the base copy's redo ends too early") : 0;
}

/* LSN_MAX: up to what the source has now. */
static int
copy_redo(struct ship_base_copy *c, struct lsn until)
{
    struct ship_redo_request q = {
        .purpose = SHIP_REDO_GAP,
        .inc = c->inc,
        .until = until,
        .from = ship_pos_of(&c->at),
    };
    struct writer w;
    int rc;

    c->redo_done = false;
    c->since_redo = 0;
    wr_init(&w, 256);
    ship_redo_request_encode(&w, &q);
    rc = copy_send(c, SHIP_REDO_REQUEST, &w);
    return rc == 0 ? copy_wait(c, &c->redo_done) : rc;
}

/* What has been copied is never further than the rate allows; redo goes as fast as it can. */
static int
copy_pause(struct ship_base_copy *c)
{
    while (c->o.rate != 0 && c->code == 0) {
        uint64_t us = (env_boot_ns(c->o.env) - c->started_ns) / 1000;
        uint64_t due = (uint64_t)((double)c->fetched_bytes * 1e6 / (double)c->o.rate);

        if (due <= us)
            break;
        fiber_sleep_us(due - us < COPY_NAP_US ? due - us : COPY_NAP_US);
    }
    if (c->code != 0)
        diag_restore(&c->why);
    return c->code;
}

/* ---- segments -------------------------------------------------------------------------------- */

static int
copy_segment(struct ship_base_copy *c, const char *name)
{
    int rc = 0;

    do {
        uint64_t before = c->offset;

        rc = copy_fetch(c, name, COPY_PIECE);
        if (rc == 0 && c->offset == before && c->size != 0)
            rc = DIAG(ERR_PROTOCOL, "%s is shorter than the list says", name);
        if (rc == 0)
            rc = copy_pause(c);
        if (rc == 0 && c->since_redo >= COPY_REDO_EVERY)
            rc = copy_redo(c, LSN_MAX);
    } while (rc == 0 && c->offset < c->size);
    return rc;
}

/* What is there already is told as done. */
static void
copy_show(struct ship_base_copy *c, uint64_t bytes)
{
    c->done += bytes;
    if (bytes > 0 && c->o.progress != NULL)
        c->o.progress(c->o.arg, c->done, c->total);
}

/* COPY-4. A piece that an earlier attempt left is gone on with; where that was not what the source
 * holds, the whole file is fetched. */
static int
copy_file(struct ship_base_copy *c, const struct base_file *f)
{
    struct base_open o = {
        .env = c->o.env, .dir = c->o.dir, .reuse_dir = c->o.reuse_dir, .wanted = f
    };
    char name[LSM_FILE_NAME_MAX];
    uint64_t had;
    int rc = job_run(c->o.jobs, base_file_open, &o);

    if (rc == 0 && o.is_whole) {
        copy_show(c, f->size);
        return 0;
    }
    lsm_file_name(f->id, name);
    c->file = o.file;
    c->size = f->size;
    had = c->offset = o.offset;
    copy_show(c, had);
    if (rc == 0)
        rc = copy_segment(c, name);
    if (rc == 0)
        rc = job_run(c->o.jobs, base_file_check, &o);
    if (rc == ERR_CORRUPT && had != 0 && c->code == 0) {
        c->done -= f->size;
        c->offset = 0;
        rc = copy_segment(c, name);
        if (rc == 0)
            rc = job_run(c->o.jobs, base_file_check, &o);
    }
    while (c->inside > 0) /* a piece may be on its way to the file still */
        fiber_queue_wait(&c->news);
    env_close(c->file);
    c->file = NULL;
    return rc;
}

static int
copy_segments(struct ship_base_copy *c)
{
    int rc = 0;

    c->started_ns = env_boot_ns(c->o.env);
    for (size_t i = 0; rc == 0 && i < c->file_count; i++)
        rc = copy_file(c, &c->files[i]);
    return rc;
}

static int
copy_log(struct ship_base_copy *c)
{
    struct reader r;
    int rc;

    wr_reset(&c->memory);
    c->offset = 0;
    rc = copy_fetch(c, "log", 0);
    if (rc != 0)
        return rc;
    rd_init(&r, c->memory.data, c->memory.size);
    c->inc = rd_u32(&r);
    c->from.inc = rd_u32(&r);
    c->from.lsn.v = rd_u64(&r);
    c->from.scn = rd_u64(&r);
    c->from.time_us = rd_u64(&r);
    c->from.chain.lo = rd_u64(&r);
    c->from.chain.hi = rd_u64(&r);
    c->end.v = rd_u64(&r);
    rc = lineage_decode(&r, &c->lineage);
    if (rc == 0 && !rd_ok(&r))
        rc = DIAG(ERR_CORRUPT, "the base copy's log position cannot be read");
    return rc;
}

/* The list and the manifest name the same segments, in the same order. */
static int
take_hash(struct ship_base_copy *c, size_t *at, struct slice key, struct slice value)
{
    struct hash128 hash;
    uint64_t id;
    int rc = lsm_segment_hash(key, value, &id, &hash);

    if (rc == 0 && (*at == c->file_count || c->files[*at].id != id))
        rc = DIAG(ERR_CORRUPT, "the base copy's manifest names other segments than its list");
    if (rc == 0)
        c->files[(*at)++].hash = hash;
    return rc;
}

static bool
is_kept(struct slice blob)
{
    for (size_t i = 0; i < sizeof kept_blobs / sizeof *kept_blobs; i++)
        if (slice_eq(blob, slice_str(kept_blobs[i])))
            return true;
    return false;
}

/* COPY-3; and only what a manifest may hold. */
static int
copy_manifest(struct ship_base_copy *c)
{
    struct reader r;
    uint64_t id = 0;
    size_t at = 0;
    int rc;

    wr_reset(&c->memory);
    c->offset = 0;
    rc = copy_fetch(c, "manifest", 0);
    if (rc != 0)
        return rc;
    rd_init(&r, c->memory.data, c->memory.size);
    (void)rd_u32(&r);
    while (rd_left(&r) > 0) {
        uint8_t op = rd_u8(&r), type = rd_u8(&r);
        struct slice key = rd_lenslice(&r), value = rd_lenslice(&r);

        if (!rd_ok(&r) || op != 1 || type == 0 || type >= MANIFEST_TYPE_END ||
            key.size > MANIFEST_KEY_MAX || value.size > MANIFEST_VALUE_MAX)
            return DIAG(ERR_CORRUPT, "the base copy's manifest cannot be read");
        if (type == MANIFEST_DATABASE && value.size == 8)
            id = load_u64(value.data);
        if (type == MANIFEST_SEGMENT && (rc = take_hash(c, &at, key, value)) != 0)
            return rc;
        if (type != MANIFEST_BLOB || is_kept(key))
            manifest_put(&c->edit, (enum manifest_type)type, key, value);
    }
    if (at != c->file_count)
        return DIAG(ERR_CORRUPT, "the base copy's list names other segments than its manifest");
    if (id == 0 || (c->o.database_id != 0 && id != c->o.database_id))
        return DIAG(ERR_CORRUPT, "the base copy is of another database");
    c->o.database_id = id;
    if (c->o.more != NULL) {
        wr_slice(&c->edit.w, wr_view(&c->o.more->w));
        c->edit.item_count += c->o.more->item_count;
    }
    return wr_finish(&c->edit.w);
}

/* COPY-2 */
static int
finish(void *arg)
{
    struct ship_base_copy *c = arg;
    int rc = base_files_tidy(c->o.env, c->o.dir, c->files, c->file_count);

    if (rc == 0)
        rc = env_sync_dir(c->o.env, c->o.dir);
    if (rc == 0)
        rc = manifest_create(c->o.env, c->o.dir, &c->edit);
    return rc;
}

static int
copy_all(struct ship_base_copy *c)
{
    struct ship_copy_begin begin = { c->copy, SHIP_COPY_BASE, { 0 } };
    struct writer w;
    int rc = job_run(c->o.jobs, make_folders, c);

    if (rc == 0) {
        wr_init(&w, 4096);
        ship_copy_begin_encode(&w, &begin);
        rc = copy_send(c, SHIP_COPY_BEGIN, &w);
    }
    if (rc == 0)
        rc = copy_wait(c, &c->listed);
    if (rc == 0)
        rc = copy_log(c);
    if (rc == 0)
        rc = copy_manifest(c);
    if (rc == 0)
        rc = job_run(c->o.jobs, open_redo, c);
    if (rc == 0)
        rc = copy_redo(c, c->end);
    if (rc == 0)
        rc = copy_segments(c);
    if (rc == 0)
        rc = copy_redo(c, LSN_MAX);
    if (rc == 0)
        rc = job_run(c->o.jobs, close_redo, c);
    return rc == 0 ? job_run(c->o.jobs, finish, c) : rc;
}

int
ship_base_copy_run(struct ship_base_copy *c)
{
    struct ship_copy_end end = { .copy = c->copy };
    struct writer w;
    int rc = copy_all(c);

    if (!c->down) {
        end.code = rc;
        wr_init(&w, 1024);
        ship_copy_end_encode(&w, &end);
        if (copy_send(c, SHIP_COPY_END, &w) != 0 && rc == 0)
            diag_clear(); /* the copy is whole */
    }
    return rc;
}

struct ship_base_copy *
ship_base_copy_new(const struct ship_base_options *o)
{
    struct ship_base_copy *c = xcalloc(1, sizeof *c);

    c->o = *o;
    c->copy = env_random_u64(o->env);
    fiber_queue_init(&c->news);
    wr_init(&c->memory, COPY_MEMORY_MAX);
    lineage_init(&c->lineage);
    manifest_edit_init(&c->edit);
    return c;
}

struct ship_base_log
ship_base_copy_log(const struct ship_base_copy *c)
{
    return (struct ship_base_log){ c->inc, c->from, c->at, &c->lineage };
}

uint64_t
ship_base_copy_fetched(const struct ship_base_copy *c)
{
    return c->fetched_bytes;
}

uint64_t
ship_base_copy_id(const struct ship_base_copy *c)
{
    return c->copy;
}

static int
drop_redo(void *arg)
{
    struct ship_base_copy *c = arg;

    redo_stop(c->redo);
    redo_close(c->redo);
    return 0;
}

void
ship_base_copy_free(struct ship_base_copy *c)
{
    if (c == NULL)
        return;
    while (c->inside > 0)
        fiber_queue_wait(&c->news);
    if (c->redo != NULL && job_run(c->o.jobs, drop_redo, c) != 0)
        diag_clear();
    manifest_edit_fini(&c->edit);
    lineage_fini(&c->lineage);
    wr_fini(&c->memory);
    xfree(c->files);
    xfree(c);
}
