/* The archive: redo files that are full, compressed with zstd, byte for byte.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#define ZSTD_STATIC_LINKING_ONLY /* memory from the node's heap */
#include <zstd.h>

#include "engine/base/mem.h"
#include "engine/redo/redo_int.h"

enum { ARCHIVE_CHUNK = 256 << 10, ARCHIVE_LEVEL = 3 };

static const ZSTD_customMem zstd_memory = { mem_library_alloc, mem_library_free, NULL };

struct zip {
    struct env_file *in, *out;
    ZSTD_CCtx *zstd;
    uint8_t *in_bytes, *out_bytes;
    uint64_t out_offset;
};

MUST_CHECK
static int
zip_chunk(struct zip *z, size_t size, bool last)
{
    ZSTD_inBuffer in = { z->in_bytes, size, 0 };
    size_t left;

    do {
        ZSTD_outBuffer out = { z->out_bytes, ARCHIVE_CHUNK, 0 };
        int rc;

        left = ZSTD_compressStream2(z->zstd, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left))
            return DIAG(ERR_INTERNAL, "zstd: %s", ZSTD_getErrorName(left));
        if (out.pos > 0) {
            rc = env_pwrite(z->out, z->out_bytes, out.pos, z->out_offset);
            if (rc != 0)
                return rc;
            z->out_offset += out.pos;
        }
    } while (last ? left > 0 : in.pos < in.size);
    return 0;
}

MUST_CHECK
static int
zip_run(struct zip *z, uint64_t size)
{
    int rc = 0;

    for (uint64_t offset = 0; rc == 0 && offset < size;) {
        size_t want = size - offset < ARCHIVE_CHUNK ? (size_t)(size - offset) : ARCHIVE_CHUNK;
        size_t got;

        rc = env_pread(z->in, z->in_bytes, redo_align(want), offset, &got);
        if (rc == 0 && got < want)
            rc = DIAG(ERR_CORRUPT, "%s: shorter than its redo", env_file_path(z->in));
        offset += want;
        if (rc == 0)
            rc = zip_chunk(z, want, offset == size);
    }
    if (rc == 0)
        rc = env_sync(z->out);
    return rc;
}

int
redo_archive_copy(struct env *env, const char *from, uint64_t size, const char *dir, const char *to)
{
    struct zip z = { 0 };
    char tmp[REDO_PATH_MAX + 8];
    int rc;

    snprintf(tmp, sizeof tmp, "%s.tmp", to);
    z.zstd = ZSTD_createCCtx_advanced(zstd_memory);
    CHECK(z.zstd != NULL);
    ZSTD_CCtx_setParameter(z.zstd, ZSTD_c_compressionLevel, ARCHIVE_LEVEL);
    ZSTD_CCtx_setParameter(z.zstd, ZSTD_c_checksumFlag, 1);
    z.in_bytes = xaligned(ENV_ALIGN, ARCHIVE_CHUNK);
    z.out_bytes = xmalloc(ARCHIVE_CHUNK);
    rc = env_open(env, from, ENV_READ | ENV_DIRECT, &z.in);
    if (rc == 0)
        rc = env_open(env, tmp, ENV_WRITE | ENV_CREATE | ENV_TRUNCATE, &z.out);
    if (rc == 0)
        rc = zip_run(&z, size);
    env_close(z.in);
    env_close(z.out);
    if (rc == 0)
        rc = env_rename(env, tmp, to);
    if (rc == 0)
        rc = env_sync_dir(env, dir);
    xfree(z.out_bytes);
    xfree_aligned(z.in_bytes);
    ZSTD_freeCCtx(z.zstd);
    return rc;
}

/* ---- reading back -------------------------------------------------------------------------- */

struct redo_unzip {
    struct env_file *file;
    ZSTD_DCtx *zstd;
    uint8_t *bytes;
    ZSTD_inBuffer in;
    uint64_t offset;
    bool at_end;
};

int
redo_unzip_open(struct env *env, const char *path, struct redo_unzip **out)
{
    struct env_file *file;
    int rc = env_open(env, path, ENV_READ, &file);

    if (rc != 0)
        return rc;
    *out = xcalloc(1, sizeof **out);
    (*out)->file = file;
    (*out)->zstd = ZSTD_createDCtx_advanced(zstd_memory);
    CHECK((*out)->zstd != NULL);
    (*out)->bytes = xmalloc(ARCHIVE_CHUNK);
    (*out)->in.src = (*out)->bytes;
    return 0;
}

void
redo_unzip_close(struct redo_unzip *u)
{
    if (u == NULL)
        return;
    env_close(u->file);
    ZSTD_freeDCtx(u->zstd);
    xfree(u->bytes);
    xfree(u);
}

int
redo_unzip_read(struct redo_unzip *u, void *out, size_t size, size_t *got)
{
    ZSTD_outBuffer to = { out, size, 0 };

    while (to.pos < to.size && !u->at_end) {
        size_t left;

        if (u->in.pos == u->in.size) {
            int rc = env_pread(u->file, u->bytes, ARCHIVE_CHUNK, u->offset, &u->in.size);

            if (rc != 0)
                return rc;
            if (u->in.size == 0)
                return DIAG(ERR_CORRUPT, "%s: archived file ends early", env_file_path(u->file));
            u->offset += u->in.size;
            u->in.pos = 0;
        }
        left = ZSTD_decompressStream(u->zstd, &to, &u->in);
        if (ZSTD_isError(left))
            return DIAG(ERR_CORRUPT, "%s: %s", env_file_path(u->file), ZSTD_getErrorName(left));
        u->at_end = left == 0;
    }
    *got = to.pos;
    return 0;
}

struct archive_search {
    incarnation_t inc;
    struct lsn lsn, first;
    bool found;
};

static int
archive_look(void *arg, const char *name)
{
    struct archive_search *s = arg;
    incarnation_t inc;
    struct lsn lsn;

    if (redo_file_name_parse(name, ".redo.zst", &inc, &lsn) && inc == s->inc &&
        lsn_le(lsn, s->lsn) && (!s->found || lsn_lt(s->first, lsn))) {
        s->found = true;
        s->first = lsn;
    }
    return 0;
}

bool
redo_archive_find(struct env *env, const char *dir, incarnation_t inc, struct lsn lsn,
                  struct lsn *first)
{
    struct archive_search s = { .inc = inc, .lsn = lsn };

    if (dir[0] == '\0' || env_list_dir(env, dir, archive_look, &s) != 0)
        return false;
    *first = s.first;
    return s.found;
}
