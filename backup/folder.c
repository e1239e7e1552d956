/* A backup's folder: hashing it, describing it, comparing it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/backup_int.h"
#include "engine/base/env.h"
#include "engine/base/mem.h"

enum { PIECE = 1 << 20 };

/* ---- pieces of files ----------------------------------------------------------------------------
 */

int
backup_each_piece(struct env *env, const char *path,
                  int (*fn)(void *arg, struct slice piece, uint64_t offset), void *arg)
{
    uint8_t *buffer = xmalloc(PIECE);
    struct env_file *f;
    uint64_t offset = 0;
    size_t got = 1;
    int rc = env_open(env, path, ENV_READ, &f);

    while (rc == 0 && got > 0) {
        rc = env_pread(f, buffer, PIECE, offset, &got);
        if (rc == 0 && got > 0)
            rc = fn(arg, slice(buffer, got), offset);
        offset += got;
    }
    env_close(f);
    xfree(buffer);
    return rc;
}

struct hashing {
    struct hash128 hash;
    uint64_t size;
};

static int
hash_piece(void *arg, struct slice piece, uint64_t offset)
{
    struct hashing *h = arg;

    h->hash = hash128(piece.data, piece.size, h->hash);
    h->size = offset + piece.size;
    return 0;
}

static int
hash_file(struct env *env, const char *dir, struct backup_file *f)
{
    char path[BACKUP_FULL_MAX];
    struct hashing h = { 0 };
    int rc;

    snprintf(path, sizeof path, "%s/%s", dir, f->path);
    rc = backup_each_piece(env, path, hash_piece, &h);
    f->size = h.size;
    f->hash = h.hash;
    return rc;
}

struct copying {
    struct env_file *to;
};

static int
copy_piece(void *arg, struct slice piece, uint64_t offset)
{
    struct copying *c = arg;

    return env_pwrite(c->to, piece.data, piece.size, offset);
}

int
backup_copy_file(struct env *env, const char *from, const char *to)
{
    struct copying c;
    int rc = env_open(env, to, ENV_READ | ENV_WRITE | ENV_CREATE | ENV_TRUNCATE, &c.to);

    if (rc != 0)
        return rc;
    rc = backup_each_piece(env, from, copy_piece, &c);
    if (rc == 0)
        rc = env_sync(c.to);
    env_close(c.to);
    return rc;
}

/* ---- describing ---------------------------------------------------------------------------------
 */

struct listing {
    struct env *env;
    struct backup *backup;
    const char *dir, *sub;
};

static int
list_one(void *arg, const char *name)
{
    struct listing *l = arg;
    struct backup *b = l->backup;

    if (strncmp(name, "spare-", 6) == 0) { /* made by the copy's redo, and empty */
        char path[BACKUP_FULL_MAX + BACKUP_PATH_MAX];

        snprintf(path, sizeof path, "%s/%s/%s", l->dir, l->sub, name);
        return env_unlink(l->env, path);
    }
    if (strlen(l->sub) + strlen(name) + 2 > BACKUP_PATH_MAX || b->file_count == BACKUP_FILES_MAX)
        return DIAG(ERR_LIMIT, "too many files, or one with too long a name, in %s", l->dir);
    if (b->file_count == b->file_cap) {
        b->file_cap = b->file_cap != 0 ? 2 * b->file_cap : 64;
        b->files = xrealloc(b->files, b->file_cap * sizeof *b->files);
    }
    struct backup_file *f = &b->files[b->file_count++];
    *f = (struct backup_file){ .size = 0 };
    snprintf(f->path, sizeof f->path, "%s%s%s", l->sub, *l->sub != '\0' ? "/" : "", name);
    return 0;
}

static int
list_sub(struct env *env, const char *dir, const char *sub, struct backup *b)
{
    struct listing l = { env, b, dir, sub };
    char path[BACKUP_FULL_MAX];

    snprintf(path, sizeof path, "%s/%s", dir, sub);
    return env_list_dir(env, path, list_one, &l);
}

static int
write_descriptor(struct env *env, const char *dir, const struct backup *b)
{
    char path[BACKUP_FULL_MAX];
    struct env_file *f;
    struct writer w;
    int rc;

    wr_init(&w, BACKUP_TEXT_MAX);
    backup_encode(&w, b);
    snprintf(path, sizeof path, "%s/" BACKUP_NAME, dir);
    rc = wr_finish(&w);
    if (rc == 0)
        rc = env_open(env, path, ENV_WRITE | ENV_CREATE | ENV_EXCLUSIVE, &f);
    if (rc == 0) {
        rc = env_pwrite(f, w.data, w.size, 0);
        if (rc == 0)
            rc = env_sync(f);
        env_close(f);
    }
    wr_fini(&w);
    return rc == 0 ? env_sync_dir(env, dir) : rc;
}

int
backup_finish(struct env *env, const char *dir, struct backup *b)
{
    struct listing top = { env, b, dir, "" };
    int rc = list_one(&top, "manifest");

    if (rc == 0)
        rc = list_sub(env, dir, "segments", b);
    if (rc == 0)
        rc = list_sub(env, dir, "redo", b);
    for (uint32_t i = 0; rc == 0 && i < b->file_count; i++)
        rc = hash_file(env, dir, &b->files[i]);
    return rc == 0 ? write_descriptor(env, dir, b) : rc;
}

/* ---- reading ------------------------------------------------------------------------------------
 */

static int
gather_piece(void *arg, struct slice piece, uint64_t offset)
{
    (void)offset;
    wr_slice(arg, piece);
    return wr_finish(arg);
}

int
backup_read(struct env *env, const char *dir, struct backup *out)
{
    char path[BACKUP_FULL_MAX];
    struct writer w;
    int rc;

    backup_init(out);
    if (!env_is_dir(env, dir))
        return DIAG(ERR_NO_FILE, "%s is not a folder", dir);
    snprintf(path, sizeof path, "%s/" BACKUP_NAME, dir);
    if (!env_exists(env, path)) {
        rc = DIAG(ERR_NO_FILE, "%s holds no finished backup: it has no description", dir);
        diag_hint("A backup that was cut off is not used: take another.");
        return rc;
    }
    wr_init(&w, BACKUP_TEXT_MAX);
    rc = backup_each_piece(env, path, gather_piece, &w);
    if (rc == 0) {
        backup_fini(out);
        rc = backup_decode(wr_view(&w), out);
    }
    wr_fini(&w);
    return rc;
}

int
backup_verify(struct env *env, const char *dir, const struct backup *b,
              void (*progress)(void *arg, uint64_t bytes, uint64_t total), void *arg)
{
    uint64_t total = backup_bytes(b), done = 0;

    for (uint32_t i = 0; i < b->file_count; i++) {
        struct backup_file f = b->files[i];
        int rc = hash_file(env, dir, &f);

        if (rc == 0 && (f.size != b->files[i].size || !hash128_eq(f.hash, b->files[i].hash))) {
            rc = DIAG(ERR_CORRUPT, "%s/%s is not as it was when the backup was taken", dir, f.path);
            diag_hint("Use another backup.");
        }
        if (rc != 0)
            return rc;
        done += f.size;
        if (progress != NULL)
            progress(arg, done, total);
    }
    return 0;
}
