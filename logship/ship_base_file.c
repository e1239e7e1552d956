/* The segment files of a base copy: what an earlier attempt left and what the node held before is
 * used again where it is the very file that the source's manifest names.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "engine/base/env.h"
#include "engine/lsm/lsm.h"
#include "engine/lsm/segment.h"
#include "logship/ship_base_int.h"

enum { FILE_PATH_MAX = 512 };

static void
file_path(char out[FILE_PATH_MAX], const char *dir, const char *sub, uint64_t id)
{
    char name[LSM_FILE_NAME_MAX];

    lsm_file_name(id, name);
    snprintf(out, FILE_PATH_MAX, "%s/%s/%s", dir, sub, name);
}

static bool
is_whole(struct env *env, const char *path, const struct base_file *f)
{
    struct hash128 hash;
    uint64_t size;

    if (!env_exists(env, path))
        return false;
    if (segment_file_hash(env, path, &hash, &size) != 0) {
        diag_clear();
        return false;
    }
    return size == f->size && hash128_eq(hash, f->hash);
}

/* A hard link: the file is never written again. */
static bool
link_from(struct base_open *o, const char *path)
{
    char from[FILE_PATH_MAX];

    if (o->reuse_dir == NULL)
        return false;
    file_path(from, o->reuse_dir, "segments", o->wanted->id);
    if (!is_whole(o->env, from, o->wanted))
        return false;
    if (env_exists(o->env, path) && env_unlink(o->env, path) != 0) {
        diag_clear();
        return false;
    }
    /* It may have gone meanwhile, or the folders lie on two file systems: then it is fetched. */
    if (env_link(o->env, from, path) == 0)
        return true;
    diag_clear();
    return false;
}

int
base_file_open(void *arg)
{
    struct base_open *o = arg;
    char path[FILE_PATH_MAX];
    uint64_t size = 0;
    int rc;

    file_path(path, o->dir, "segments", o->wanted->id);
    o->is_whole = is_whole(o->env, path, o->wanted) || link_from(o, path);
    if (o->is_whole)
        return 0;
    rc = env_open(o->env, path, ENV_READ | ENV_WRITE | ENV_CREATE, &o->file);
    if (rc == 0)
        rc = env_size(o->file, &size);
    if (rc == 0 && size >= o->wanted->size) {
        size = 0;
        rc = env_truncate(o->file, 0);
    }
    o->offset = size;
    return rc;
}

int
base_file_check(void *arg)
{
    struct base_open *o = arg;
    char path[FILE_PATH_MAX];
    int rc = env_sync(o->file);

    file_path(path, o->dir, "segments", o->wanted->id);
    if (rc != 0 || is_whole(o->env, path, o->wanted))
        return rc;
    o->offset = 0;
    rc = env_truncate(o->file, 0);
    return rc != 0 ? rc
                   : DIAG(ERR_CORRUPT,
                          "what came as \"%s\" is not what the source's manifest names", path);
}

/* ---- tidying up -------------------------------------------------------------------------------
 */

struct tidying {
    struct env *env;
    const char *dir;
    const struct base_file *files;
    size_t count;
};

static int
unlink_unlisted(void *arg, const char *name)
{
    const struct tidying *t = arg;
    char path[FILE_PATH_MAX], listed[LSM_FILE_NAME_MAX];

    for (size_t i = 0; i < t->count; i++) {
        lsm_file_name(t->files[i].id, listed);
        if (strcmp(listed, name) == 0)
            return 0;
    }
    snprintf(path, sizeof path, "%s/%s", t->dir, name);
    return env_unlink(t->env, path);
}

int
base_files_tidy(struct env *env, const char *dir, const struct base_file *files, size_t count)
{
    char path[FILE_PATH_MAX];
    struct tidying t = { env, path, files, count };
    int rc;

    snprintf(path, sizeof path, "%s/segments", dir);
    rc = env_list_dir(env, path, unlink_unlisted, &t);
    return rc == 0 ? env_sync_dir(env, path) : rc;
}
