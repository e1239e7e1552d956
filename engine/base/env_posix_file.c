/* The real world's files.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/env_posix_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct env_file {
    struct env *env;
    char *path;
    int fd;
};

static int
open_flags(int flags)
{
    int os = O_CLOEXEC | O_NOCTTY;

    if ((flags & (ENV_READ | ENV_WRITE)) == (ENV_READ | ENV_WRITE))
        os |= O_RDWR;
    else
        os |= (flags & ENV_WRITE) != 0 ? O_WRONLY : O_RDONLY;
    if (flags & ENV_CREATE)
        os |= O_CREAT | O_NOFOLLOW;
    if (flags & ENV_EXCLUSIVE)
        os |= O_EXCL;
    if (flags & ENV_TRUNCATE)
        os |= O_TRUNC;
    if (flags & ENV_DIRECT)
        os |= O_DIRECT;
    if (flags & ENV_DSYNC)
        os |= O_DSYNC;
    return os;
}

static int
open_retry(const char *path, int os, mode_t mode)
{
    int fd;

    do
        fd = open(path, os, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* A file system may refuse O_DIRECT at open, after it has created the file. */
int
posix_open(struct env *env, const char *path, int flags, struct env_file **out)
{
    int os = open_flags(flags);
    mode_t mode = (flags & ENV_MODE_PRIVATE) != 0 ? 0600 : 0640;
    int fd = open_retry(path, os, mode);
    struct env_file *f;

    *out = NULL;
    if (fd < 0 && errno == EINVAL && (os & O_DIRECT) != 0)
        fd = open_retry(path, os & ~(O_DIRECT | O_EXCL), mode);
    if (fd < 0)
        return env_fail(errno, "open", path);
    f = xcalloc(1, sizeof *f);
    f->env = env;
    f->path = xstrdup(path);
    f->fd = fd;
    *out = f;
    return 0;
}

void
posix_close(struct env_file *f)
{
    close(f->fd);
    xfree(f->path);
    xfree(f);
}

int
posix_pread(struct env_file *f, void *buf, size_t size, uint64_t offset, size_t *got)
{
    uint8_t *p = buf;

    *got = 0;
    while (*got < size) {
        ssize_t n = pread(f->fd, p + *got, size - *got, (off_t)(offset + *got));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return env_fail(errno, "read", f->path);
        if (n == 0)
            break;
        *got += (size_t)n;
    }
    return 0;
}

/* Writes `v` from `skip` bytes on, part by part: what is left after a short write. */
static int
write_rest(struct env_file *f, const struct iovec *v, int count, uint64_t offset, size_t skip)
{
    for (int i = 0; i < count; i++) {
        const uint8_t *p = v[i].iov_base;
        size_t done = skip < v[i].iov_len ? skip : v[i].iov_len;

        skip -= done;
        offset += done;
        while (done < v[i].iov_len) {
            ssize_t n = pwrite(f->fd, p + done, v[i].iov_len - done, (off_t)offset);

            if (n < 0 && errno == EINTR)
                continue;
            if (n <= 0)
                return env_fail(n < 0 ? errno : EIO, "write", f->path);
            done += (size_t)n;
            offset += (uint64_t)n;
        }
    }
    return 0;
}

int
posix_pwritev(struct env_file *f, const struct iovec *v, int count, uint64_t offset)
{
    size_t total = 0;
    ssize_t n;

    if (count > IOV_MAX)
        return write_rest(f, v, count, offset, 0);
    for (int i = 0; i < count; i++)
        total += v[i].iov_len;
    do
        n = pwritev(f->fd, v, count, (off_t)offset);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return env_fail(errno, "write", f->path);
    return (size_t)n == total ? 0 : write_rest(f, v, count, offset, (size_t)n);
}

int
posix_sync(struct env_file *f)
{
    int rc;

    do
        rc = fdatasync(f->fd);
    while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : env_fail(errno, "sync", f->path);
}

int
posix_truncate(struct env_file *f, uint64_t size)
{
    int rc;

    do
        rc = ftruncate(f->fd, (off_t)size);
    while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : env_fail(errno, "truncate", f->path);
}

/* Where the file system cannot reserve, zeros are written past the present end. */
static int
allocate_by_writing(struct env_file *f, uint64_t size)
{
    uint64_t at;
    uint8_t *zeros;
    int rc = posix_size(f, &at);

    zeros = xaligned(ENV_ALIGN, 1 << 20);
    memset(zeros, 0, 1 << 20);
    at = (at + ENV_ALIGN - 1) / ENV_ALIGN * ENV_ALIGN;
    while (rc == 0 && at < size) {
        uint64_t n = size - at < 1 << 20 ? size - at : 1 << 20;

        n = (n + ENV_ALIGN - 1) / ENV_ALIGN * ENV_ALIGN;
        rc = env_pwrite(f, zeros, n, at);
        at += n;
    }
    xfree_aligned(zeros);
    return rc == 0 && at > size ? posix_truncate(f, size) : rc;
}

int
posix_allocate(struct env_file *f, uint64_t size)
{
    uint64_t now;
    int rc = posix_size(f, &now);

    if (rc != 0)
        return rc;
    if (now >= size)
        return 0;
    do
        rc = fallocate(f->fd, 0, 0, (off_t)size);
    while (rc != 0 && errno == EINTR);
    if (rc == 0)
        return 0;
    if (errno == EOPNOTSUPP || errno == ENOSYS)
        return allocate_by_writing(f, size);
    return env_fail(errno, "allocate", f->path);
}

int
posix_size(struct env_file *f, uint64_t *size)
{
    struct stat st;

    if (fstat(f->fd, &st) != 0)
        return env_fail(errno, "stat", f->path);
    *size = (uint64_t)st.st_size;
    return 0;
}

/* ---- names --------------------------------------------------------------------------------- */

int
posix_rename(struct env *env, const char *from, const char *to)
{
    (void)env;
    return rename(from, to) == 0 ? 0 : env_fail(errno, "rename", from);
}

int
posix_unlink(struct env *env, const char *path)
{
    (void)env;
    return unlink(path) == 0 ? 0 : env_fail(errno, "remove", path);
}

int
posix_rmdir(struct env *env, const char *path)
{
    (void)env;
    return rmdir(path) == 0 ? 0 : env_fail(errno, "remove directory", path);
}

int
posix_mkdir(struct env *env, const char *path)
{
    (void)env;
    return mkdir(path, 0700) == 0 ? 0 : env_fail(errno, "create directory", path);
}

int
posix_sync_dir(struct env *env, const char *path)
{
    int fd = open_retry(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    int rc;

    (void)env;
    if (fd < 0)
        return env_fail(errno, "open directory", path);
    do
        rc = fsync(fd);
    while (rc != 0 && errno == EINTR);
    if (rc != 0)
        rc = env_fail(errno, "sync directory", path);
    close(fd);
    return rc;
}

int
posix_link(struct env *env, const char *from, const char *to)
{
    (void)env;
    return link(from, to) == 0 ? 0 : env_fail(errno, "link", to);
}

bool
posix_exists(struct env *env, const char *path, bool *is_dir)
{
    struct stat st;

    (void)env;
    if (stat(path, &st) != 0)
        return false;
    *is_dir = S_ISDIR(st.st_mode);
    return true;
}

struct names {
    char **names;
    size_t count, cap;
};

static int
name_cmp(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int
names_read(struct names *n, DIR *dir)
{
    struct dirent *d;

    while (errno = 0, (d = readdir(dir)) != NULL) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        if (n->count == n->cap) {
            n->cap = n->cap != 0 ? n->cap * 2 : 32;
            n->names = xrealloc(n->names, n->cap * sizeof *n->names);
        }
        n->names[n->count++] = xstrdup(d->d_name);
    }
    return errno;
}

int
posix_list_dir(struct env *env, const char *path, int (*fn)(void *, const char *), void *arg)
{
    DIR *dir = opendir(path);
    struct names n = { 0 };
    int rc;

    (void)env;
    if (dir == NULL)
        return env_fail(errno, "open directory", path);
    rc = names_read(&n, dir);
    closedir(dir);
    if (rc != 0)
        rc = env_fail(rc, "read directory", path);
    if (n.count > 1)
        qsort(n.names, n.count, sizeof *n.names, name_cmp);
    for (size_t i = 0; i < n.count && rc == 0; i++)
        rc = fn(arg, n.names[i]);
    for (size_t i = 0; i < n.count; i++)
        xfree(n.names[i]);
    xfree(n.names);
    return rc;
}

int
posix_disk_free(struct env *env, const char *path, uint64_t *bytes)
{
    struct statvfs st;

    (void)env;
    if (statvfs(path, &st) != 0)
        return env_fail(errno, "look up free space of", path);
    *bytes = (uint64_t)st.f_bavail * st.f_frsize;
    return 0;
}

int
posix_lock_file(struct env *env, const char *path, struct env_file **out)
{
    int rc = posix_open(env, path, ENV_READ | ENV_WRITE | ENV_CREATE | ENV_MODE_PRIVATE, out);

    if (rc != 0)
        return rc;
    if (flock((*out)->fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno == EWOULDBLOCK)
        rc = DIAG(ERR_OBJECT_IN_USE, "\"%s\" is locked by another process", path);
    else
        rc = env_fail(errno, "lock", path);
    posix_close(*out);
    *out = NULL;
    return rc;
}
