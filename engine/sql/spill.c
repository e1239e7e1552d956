/* Temporary files.
 *
 * A row in a block: its null bitmap, then each value that is not null: eight bytes, or u32 and that
 * many bytes. A row never spans blocks; one that is larger than a block has one of its own.
 *
 * A full block is handed to a job, which compresses, sums and writes it while the fiber goes on
 * with the next: one such write is under way per file.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/sql/spill.h"

#include <inttypes.h>
#include <lz4.h>
#include <stdio.h>

#include "engine/base/checksum.h"
#include "engine/base/fiber.h"
#include "engine/sql/exec.h"

enum { BLOCK_MIN = 4 << 10, BLOCK_MAX = 64 << 10, PATH_SIZE = 512 };

struct spill_space {
    struct env *env; /* read-only after spill_space_open, to `limit` */
    struct job_pool *jobs;
    char *dir;
    uint64_t limit;
    _Atomic uint64_t used, next_file, bytes;
};

struct block {
    uint64_t offset;
    uint32_t stored, raw, crc; /* stored == raw: not compressed */
};

struct spill_stream {
    struct spill_file *file;
    uint32_t width;
    uint32_t *types;
    uint8_t *reps;
    uint8_t *data; /* the block under way */
    size_t size, cap;
    struct block *blocks;
    size_t block_count, block_cap;
    uint64_t rows;
};

/* One block on its way, either way. */
struct transfer {
    struct spill_file *file;
    struct spill_stream *stream; /* NULL: none under way */
    struct block block;
    uint8_t *raw;
    size_t raw_cap;
    struct completion done;
    int rc;
    struct diag diag;
};

struct spill_file {
    struct spill_space *space;
    const struct exec_ctx *ctx;
    struct env_file *file;
    uint32_t ref_count;
    uint64_t size;
    uint64_t *counter;
    size_t block_size;
    struct transfer write;
    uint8_t *spare; /* a block's memory between two streams */
    size_t spare_cap;
    uint8_t *packed; /* of the job under way */
    size_t packed_cap;
};

/* ---- memory ------------------------------------------------------------------------------------
 */

static void *
take(const struct spill_file *f, size_t size)
{
    if (f->ctx->memory != NULL)
        budget_force(f->ctx->memory, size);
    return xmalloc(size);
}

static void
give(const struct spill_file *f, void *p, size_t size)
{
    if (p != NULL && f->ctx->memory != NULL)
        budget_release(f->ctx->memory, size);
    xfree(p);
}

/* ---- spaces ------------------------------------------------------------------------------------
 */

struct cleaner {
    struct spill_space *space;
    int rc;
};

static int
remove_file(void *arg, const char *name)
{
    struct cleaner *c = arg;
    char path[PATH_SIZE];

    snprintf(path, sizeof path, "%s/%s", c->space->dir, name);
    return env_unlink(c->space->env, path);
}

int
spill_space_open(struct env *env, struct job_pool *jobs, const char *dir, uint64_t limit,
                 struct spill_space **out)
{
    struct spill_space *s = xcalloc(1, sizeof *s);
    struct cleaner c = { s, 0 };
    int rc = 0;

    s->env = env;
    s->jobs = jobs;
    s->dir = xstrdup(dir);
    s->limit = limit;
    if (!env_is_dir(env, dir))
        rc = env_mkdir(env, dir);
    if (rc == 0)
        rc = env_list_dir(env, dir, remove_file, &c);
    if (rc != 0) {
        spill_space_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

void
spill_space_close(struct spill_space *s)
{
    if (s == NULL)
        return;
    CHECK(atomic_load(&s->used) == 0);
    xfree(s->dir);
    xfree(s);
}

void
spill_space_get_figures(const struct spill_space *s, struct spill_figures *out)
{
    *out = (struct spill_figures){ .used = atomic_load(&s->used),
                                   .limit = s->limit,
                                   .files = atomic_load(&s->next_file),
                                   .bytes = atomic_load(&s->bytes) };
}

int
spill_job(struct spill_space *s, int (*fn)(void *arg), void *arg)
{
    return s != NULL && s->jobs != NULL ? job_run(s->jobs, fn, arg) : fn(arg);
}

static int
space_take(struct spill_space *s, uint64_t bytes)
{
    uint64_t used = atomic_fetch_add(&s->used, bytes) + bytes;

    if (s->limit == 0 || used <= s->limit) {
        atomic_fetch_add(&s->bytes, bytes);
        return 0;
    }
    atomic_fetch_sub(&s->used, bytes);
    return DIAG(ERR_CONFIGURATION_LIMIT,
                "temporary file size exceeds sql.temp_size (%" PRIu64 "kB)", s->limit >> 10);
}

/* ---- files -------------------------------------------------------------------------------------
 */

size_t
spill_block_size(const struct exec_ctx *ctx)
{
    size_t size = ctx->work_bytes / 64;

    return size < BLOCK_MIN ? BLOCK_MIN : size > BLOCK_MAX ? BLOCK_MAX : size;
}

static int
th_file_open(void *arg)
{
    struct spill_file *f = arg;
    uint64_t number = atomic_fetch_add(&f->space->next_file, 1);
    char path[PATH_SIZE];
    int rc;

    snprintf(path, sizeof path, "%s/%" PRIu64 ".tmp", f->space->dir, number);
    rc = env_open(f->space->env, path,
                  ENV_READ | ENV_WRITE | ENV_CREATE | ENV_TRUNCATE | ENV_MODE_PRIVATE, &f->file);
    return rc != 0 ? rc : env_unlink(f->space->env, path);
}

static int
th_file_close(void *arg)
{
    env_close(arg);
    return 0;
}

int
spill_file_new(const struct exec_ctx *ctx, uint64_t *counter, struct spill_file **out)
{
    struct spill_file *f = xcalloc(1, sizeof *f);
    int rc;

    f->space = ctx->spill;
    f->ctx = ctx;
    f->counter = counter;
    f->ref_count = 1;
    f->block_size = spill_block_size(ctx);
    f->write.file = f;
    rc = spill_job(f->space, th_file_open, f);
    if (rc != 0) {
        struct diag why = *diag_last();

        spill_file_unref(f);
        diag_restore(&why);
        return rc;
    }
    *out = f;
    return 0;
}

static int write_wait(struct spill_file *f);

void
spill_file_unref(struct spill_file *f)
{
    if (f == NULL || --f->ref_count > 0)
        return;
    CHECK(f->write.stream == NULL);
    if (f->file != NULL)
        (void)spill_job(f->space, th_file_close, f->file);
    give(f, f->spare, f->spare_cap);
    give(f, f->packed, f->packed_cap);
    atomic_fetch_sub(&f->space->used, f->size);
    xfree(f);
}

/* ---- streams -----------------------------------------------------------------------------------
 */

struct spill_stream *
spill_stream_new(struct spill_file *f, const uint32_t *types, uint32_t width)
{
    struct spill_stream *s = xcalloc(1, sizeof *s);

    f->ref_count++;
    s->file = f;
    s->width = width;
    s->types = xcalloc(width + 1, sizeof *s->types);
    s->reps = xcalloc(width + 1, sizeof *s->reps);
    for (uint32_t i = 0; i < width; i++) {
        s->types[i] = types[i];
        s->reps[i] = (uint8_t)type_get(types[i])->rep;
    }
    return s;
}

void
spill_stream_free(struct spill_stream *s)
{
    if (s == NULL)
        return;
    if (s->file->write.stream == s) {
        struct diag why = *diag_last();

        (void)write_wait(s->file);
        diag_restore(&why);
    }
    give(s->file, s->data, s->cap);
    spill_file_unref(s->file);
    xfree(s->types);
    xfree(s->reps);
    xfree(s->blocks);
    xfree(s);
}

uint64_t
spill_rows(const struct spill_stream *s)
{
    return s->rows;
}

/* ---- writing -----------------------------------------------------------------------------------
 */

static int
write_block(struct transfer *t)
{
    struct spill_file *f = t->file;
    const uint8_t *data = t->raw;
    int size = LZ4_compress_default((const char *)t->raw, (char *)f->packed, (int)t->block.raw,
                                    (int)f->packed_cap);
    int rc;

    t->block.stored = t->block.raw;
    if (size > 0 && (uint32_t)size < t->block.raw - t->block.raw / 8) {
        data = f->packed;
        t->block.stored = (uint32_t)size;
    }
    t->block.crc = crc32c(0, data, t->block.stored);
    rc = space_take(f->space, t->block.stored);
    if (rc != 0)
        return rc;
    f->size += t->block.stored;
    return env_pwrite(f->file, data, t->block.stored, t->block.offset);
}

static void
th_write(void *arg)
{
    struct transfer *t = arg;

    t->rc = write_block(t);
    if (t->rc != 0)
        t->diag = *diag_last();
    completion_post(&t->done);
}

/* Waits for the write under way, if there is one, and enters its block. */
static int
write_wait(struct spill_file *f)
{
    struct transfer *t = &f->write;
    struct spill_stream *s = t->stream;

    if (s == NULL)
        return 0;
    completion_wait(&t->done);
    t->stream = NULL;
    give(f, f->spare, f->spare_cap);
    f->spare = t->raw;
    f->spare_cap = t->raw_cap;
    if (t->rc != 0) {
        diag_restore(&t->diag);
        return t->rc;
    }
    if (f->counter != NULL)
        *f->counter += t->block.stored;
    if (s->block_count == s->block_cap) {
        s->block_cap = s->block_cap != 0 ? 2 * s->block_cap : 8;
        s->blocks = xrealloc(s->blocks, s->block_cap * sizeof *s->blocks);
    }
    s->blocks[s->block_count++] = t->block;
    return 0;
}

static void
packed_fit(struct spill_file *f, size_t need)
{
    if (need <= f->packed_cap)
        return;
    give(f, f->packed, f->packed_cap);
    f->packed = take(f, need);
    f->packed_cap = need;
}

/* Hands the stream's block to a job; the stream is left without memory. */
static int
flush(struct spill_stream *s)
{
    struct spill_file *f = s->file;
    struct transfer *t = &f->write;
    int rc = write_wait(f);

    if (rc == 0)
        rc = exec_ctx_interrupted(f->ctx);
    if (rc != 0 || s->size == 0)
        return rc;
    packed_fit(f, (size_t)LZ4_compressBound((int)s->size));
    t->stream = s;
    t->block = (struct block){ .offset = f->size, .raw = (uint32_t)s->size };
    t->raw = s->data;
    t->raw_cap = s->cap;
    s->data = NULL;
    s->size = s->cap = 0;
    completion_init(&t->done);
    if (f->space->jobs != NULL)
        job_post(f->space->jobs, th_write, t);
    else
        th_write(t);
    return 0;
}

/* At least a byte: a row of no columns is one too. */
static size_t
head_size(const struct spill_stream *s)
{
    return s->width / 8 + 1;
}

static size_t
row_size(const struct spill_stream *s, const struct datum *row)
{
    size_t size = head_size(s);

    for (uint32_t i = 0; i < s->width; i++)
        if (!row[i].is_null)
            size += s->reps[i] == REP_BYTES ? 4 + (size_t)row[i].size : 8;
    return size;
}

/* Room for so many bytes in the block under way. */
static int
stream_fit(struct spill_stream *s, size_t need)
{
    struct spill_file *f = s->file;
    int rc;

    if (s->cap - s->size >= need)
        return 0;
    if (s->size > 0) {
        rc = flush(s);
        if (rc != 0)
            return rc;
    }
    if (need > LZ4_MAX_INPUT_SIZE)
        return DIAG(ERR_LIMIT, "a row of %zu bytes is too large for a temporary file", need);
    if (f->spare_cap >= need && f->spare_cap >= f->block_size) {
        s->data = f->spare;
        s->cap = f->spare_cap;
        f->spare = NULL;
        f->spare_cap = 0;
        return 0;
    }
    give(f, s->data, s->cap);
    s->cap = need > f->block_size ? need : f->block_size;
    s->data = take(f, s->cap);
    return 0;
}

int
spill_put(struct spill_stream *s, const struct datum *row)
{
    size_t need = row_size(s, row);
    uint8_t *nulls, *p;
    int rc = stream_fit(s, need);

    if (rc != 0)
        return rc;
    nulls = s->data + s->size;
    p = nulls + head_size(s);
    memset(nulls, 0, (size_t)(p - nulls));
    for (uint32_t i = 0; i < s->width; i++) {
        if (row[i].is_null) {
            nulls[i / 8] |= (uint8_t)(1u << (i & 7));
        } else if (s->reps[i] == REP_BYTES) {
            store_u32(p, row[i].size);
            if (row[i].size > 0)
                memcpy(p + 4, row[i].p, row[i].size);
            p += 4 + (size_t)row[i].size;
        } else {
            store_u64(p, (uint64_t)row[i].i);
            p += 8;
        }
    }
    s->size += need;
    s->rows++;
    return 0;
}

int
spill_end(struct spill_stream *s)
{
    int rc = flush(s);

    if (s->file->write.stream == s) {
        int waited = write_wait(s->file);

        rc = rc != 0 ? rc : waited;
    }
    give(s->file, s->data, s->cap);
    s->data = NULL;
    s->size = s->cap = 0;
    return rc;
}

/* ---- reading -----------------------------------------------------------------------------------
 */

struct read_job {
    struct spill_file *file;
    struct block block;
    uint8_t *data;
};

static int
th_read(void *arg)
{
    struct read_job *j = arg;
    struct spill_file *f = j->file;
    bool packed = j->block.stored != j->block.raw;
    uint8_t *to = packed ? f->packed : j->data;
    size_t got;
    int rc = env_pread(f->file, to, j->block.stored, j->block.offset, &got);

    if (rc != 0)
        return rc;
    if (got != j->block.stored || crc32c(0, to, got) != j->block.crc)
        return DIAG(ERR_CORRUPT, "a temporary file does not hold what was written to it");
    if (packed && LZ4_decompress_safe((const char *)to, (char *)j->data, (int)j->block.stored,
                                      (int)j->block.raw) != (int)j->block.raw)
        return DIAG(ERR_CORRUPT, "a block of a temporary file cannot be unpacked");
    return 0;
}

void
spill_reader_init(struct spill_reader *r, struct spill_stream *s)
{
    *r = (struct spill_reader){ .stream = s };
}

void
spill_reader_fini(struct spill_reader *r)
{
    if (r->stream != NULL)
        give(r->stream->file, r->data, r->cap);
    *r = (struct spill_reader){ .stream = NULL };
}

static int
next_block(struct spill_reader *r)
{
    struct spill_stream *s = r->stream;
    struct spill_file *f = s->file;
    struct read_job j = { .file = f };
    int rc = exec_ctx_interrupted(f->ctx);

    if (rc == 0)
        rc = write_wait(f);
    if (rc != 0)
        return rc;
    if (r->block == s->block_count)
        return ERR_END;
    j.block = s->blocks[r->block++];
    if (j.block.raw > r->cap) {
        give(f, r->data, r->cap);
        r->cap = j.block.raw > f->block_size ? j.block.raw : f->block_size;
        r->data = take(f, r->cap);
    }
    packed_fit(f, j.block.stored);
    j.data = r->data;
    rc = spill_job(f->space, th_read, &j);
    r->at = r->data;
    r->end = r->data + (rc == 0 ? j.block.raw : 0);
    return rc;
}

/* False when the block does not hold a whole row. */
static bool
parse_row(struct spill_reader *r, struct datum *row)
{
    const struct spill_stream *s = r->stream;
    const uint8_t *nulls = r->at, *p = r->at;
    size_t left = (size_t)(r->end - r->at), head = head_size(s);

    if (left < head)
        return false;
    p += head;
    left -= head;
    for (uint32_t i = 0; i < s->width; i++) {
        bool bytes = s->reps[i] == REP_BYTES;
        size_t size = bytes ? 4 : 8;

        if ((nulls[i / 8] >> (i & 7) & 1) != 0) {
            row[i] = datum_null();
            continue;
        }
        if (left < size)
            return false;
        left -= size;
        row[i] = datum_int((int64_t)(bytes ? 0 : load_u64(p)));
        size = bytes ? load_u32(p) : 0;
        p += bytes ? 4 : 8;
        if (left < size)
            return false;
        if (bytes)
            row[i] = datum_bytes(p, size);
        p += size;
        left -= size;
    }
    r->at = p;
    return true;
}

int
spill_get(struct spill_reader *r, struct datum *row)
{
    if (r->at == r->end) {
        int rc = next_block(r);

        if (rc != 0)
            return rc;
    }
    return parse_row(r, row) ? 0 : DIAG(ERR_CORRUPT, "a temporary file has a row that is cut off");
}

int
spill_get_batch(struct spill_reader *r, struct arena *a, struct batch **out)
{
    struct spill_stream *s = r->stream;
    struct datum *row = ARENA_ARRAY(a, struct datum, s->width + 1);
    uint32_t rows = 0;
    int rc = r->at == r->end ? next_block(r) : 0;

    if (rc != 0)
        return rc;
    *out = batch_new(a, s->types, s->width);
    for (; rows < BATCH_ROWS_MAX && r->at != r->end; rows++) {
        if (!parse_row(r, row))
            return DIAG(ERR_CORRUPT, "a temporary file has a row that is cut off");
        for (uint32_t i = 0; i < s->width; i++)
            vec_set(&(*out)->cols[i], rows, &row[i]);
    }
    (*out)->row_count = (*out)->sel_count = rows;
    return 0;
}
