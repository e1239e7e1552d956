/* The simulated world's files: the seam's calls, with the time that they take and the faults that
 * a test has ordered.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/sim_int.h"

#include <errno.h>
#include <string.h>

/* ---- faults -------------------------------------------------------------------------------- */

int
sim_fault_add(struct env *node, const struct sim_fault *fault)
{
    struct sim_node *n = sim_node_of(node);

    for (int i = 0; i < SIM_FAULTS_MAX; i++) {
        if (!n->faults[i].is_used) {
            n->faults[i] = (struct sim_fault_slot){ .fault = *fault, .is_used = true };
            return i;
        }
    }
    PANIC("more than %d faults", SIM_FAULTS_MAX);
}

uint32_t
sim_fault_hits(struct env *node, int handle)
{
    return sim_node_of(node)->faults[handle].hits;
}

void
sim_fault_remove(struct env *node, int handle)
{
    sim_node_of(node)->faults[handle].is_used = false;
}

void
sim_fault_clear(struct env *node)
{
    for (int i = 0; i < SIM_FAULTS_MAX; i++)
        sim_fault_remove(node, i);
}

static bool
fault_matches(struct sim *sim, struct sim_fault_slot *s, enum sim_op op, const char *path)
{
    const struct sim_fault *f = &s->fault;

    if (!s->is_used || (f->ops & (int)op) == 0 ||
        (f->path != NULL && strstr(path, f->path) == NULL))
        return false;
    if (s->seen++ < f->skip || (f->count != 0 && s->hits >= f->count))
        return false;
    if (f->per_million != 0 && !sim_chance(sim, f->per_million, 1000000))
        return false;
    s->hits++;
    return true;
}

static const struct sim_fault *
fault_find(struct env *env, enum sim_op op, const char *path)
{
    struct sim_node *n = sim_node_of(env);

    for (int i = 0; i < SIM_FAULTS_MAX; i++)
        if (fault_matches(n->sim, &n->faults[i], op, path))
            return &n->faults[i].fault;
    return NULL;
}

/* What every operation does first. *fault is left for the kinds that the operation itself carries
 * out; NULL otherwise. */
static int
op_begin(struct env *env, enum sim_op op, const char *doing, const char *path, uint64_t takes_us,
         const struct sim_fault **fault)
{
    const struct sim_fault *f = fault_find(env, op, path);
    bool is_outside = sim_thread_self() == NULL;

    sim_trace(sim_of(env), (uint64_t)op, strlen(path));
    *fault = NULL;
    sim_delay(env, takes_us);
    if (f == NULL)
        return 0;
    switch (f->kind) {
    case SIM_FAULT_EIO:
        if (op == SIM_OP_SYNC)
            break;
        return env_fail(EIO, doing, path);
    case SIM_FAULT_ENOSPC:
        return env_fail(ENOSPC, doing, path);
    case SIM_FAULT_DELAY:
        if (!is_outside)
            sim_block("a slow disk", sim_of(env)->now_ns + f->delay_us * 1000);
        return 0;
    case SIM_FAULT_KILL:
        if (!is_outside)
            sim_node_kill(env);
        return 0;
    case SIM_FAULT_CRASH:
        if (op != SIM_OP_WRITE && !is_outside)
            sim_node_crash(env);
        break;
    case SIM_FAULT_BIT_FLIP:
    case SIM_FAULT_MISREAD:
    case SIM_FAULT_LOST_WRITE:
    case SIM_FAULT_EARLY:
    case SIM_FAULT_MISDIRECTED:
    case SIM_FAULT_TORN:
        break;
    }
    *fault = f;
    return 0;
}

static bool
is_fault(const struct sim_fault *f, enum sim_fault_kind kind)
{
    return f != NULL && f->kind == kind;
}

void
sim_disk_flip(struct env *node, const char *path, uint64_t offset, uint8_t mask)
{
    struct sim_inode *i = sim_disk_find(sim_node_of(node)->disk, path);

    CHECK(i != NULL && !i->is_dir);
    sim_image_flip(&i->seen, offset, mask);
    sim_image_flip(&i->durable, offset, mask);
    sim_inode_unref(i);
}

void
sim_disk_set_capacity(struct env *node, uint64_t bytes)
{
    sim_node_of(node)->disk->capacity = bytes;
}

void
sim_disk_erase(struct env *node)
{
    struct sim_node *n = sim_node_of(node);

    CHECK(!n->is_up && list_empty(&n->files));
    sim_disk_free(n->disk);
    n->disk = sim_disk_new();
}

void
sim_disk_set_speed(struct env *node, const struct sim_disk_speed *speed)
{
    sim_node_of(node)->speed = *speed;
}

/* ---- open and close ------------------------------------------------------------------------ */

static struct env_file *
file_make(struct env *env, const char *path, int flags, struct sim_inode *inode)
{
    struct env_file *f = sim_alloc(sizeof *f);

    f->env = env;
    f->path = sim_strdup(path);
    f->flags = flags;
    f->inode = inode;
    list_push_back(&sim_node_of(env)->files, &f->node_link);
    return f;
}

static int
open_inode(struct sim_node *n, const char *path, int flags, struct sim_inode **out)
{
    struct sim_inode *i = sim_disk_find(n->disk, path), *dir;
    const char *name;

    if (i != NULL && (flags & ENV_CREATE) != 0 && (flags & ENV_EXCLUSIVE) != 0) {
        sim_inode_unref(i);
        return env_fail(EEXIST, "open", path);
    }
    if (i == NULL) {
        dir = (flags & ENV_CREATE) != 0 ? sim_disk_find_parent(n->disk, path, &name) : NULL;
        if (dir == NULL)
            return env_fail(ENOENT, "open", path);
        i = sim_inode_new(n->disk, false);
        sim_names_change(NULL, NULL, dir, name, i);
        sim_inode_unref(dir);
    } else if (i->is_dir) {
        sim_inode_unref(i);
        return env_fail(EISDIR, "open", path);
    }
    if ((flags & ENV_TRUNCATE) != 0 && i->seen.size != 0)
        sim_truncate_add(i, 0);
    *out = i;
    return 0;
}

int
sim_open(struct env *env, const char *path, int flags, struct env_file **out)
{
    struct sim_node *n = sim_node_of(env);
    const struct sim_fault *fault;
    struct sim_inode *i = NULL;
    int rc;

    *out = NULL;
    rc = op_begin(env, SIM_OP_OPEN, "open", path, n->speed.name_us, &fault);
    if (rc == 0)
        rc = open_inode(n, path, flags, &i);
    if (rc == 0)
        *out = file_make(env, path, flags, i);
    return rc;
}

void
sim_close(struct env_file *f)
{
    if (f->inode->lock_holder == f)
        f->inode->lock_holder = NULL;
    sim_inode_unref(f->inode);
    list_remove(&f->node_link);
    xfree(f->path);
    xfree(f);
}

int
sim_lock_file(struct env *env, const char *path, struct env_file **out)
{
    int rc = sim_open(env, path, ENV_READ | ENV_WRITE | ENV_CREATE, out);

    if (rc != 0)
        return rc;
    if ((*out)->inode->lock_holder == NULL) {
        (*out)->inode->lock_holder = *out;
        return 0;
    }
    sim_close(*out);
    *out = NULL;
    return DIAG(ERR_OBJECT_IN_USE, "\"%s\" is locked by another process", path);
}

/* ---- data ---------------------------------------------------------------------------------- */

/* A caller of ENV_DIRECT that does not align would fail on a real disk, so it fails here. */
static void
check_aligned(const struct env_file *f, const void *p, size_t size, uint64_t offset)
{
    if ((f->flags & ENV_DIRECT) == 0)
        return;
    CHECK((uintptr_t)p % ENV_ALIGN == 0);
    CHECK(size % ENV_ALIGN == 0);
    CHECK(offset % ENV_ALIGN == 0);
}

int
sim_pread(struct env_file *f, void *buf, size_t size, uint64_t offset, size_t *got)
{
    struct sim_node *n = sim_node_of(f->env);
    bool is_direct = (f->flags & ENV_DIRECT) != 0;
    const struct sim_fault *fault;
    uint64_t left;
    int rc;

    CHECK((f->flags & ENV_READ) != 0);
    check_aligned(f, buf, size, offset);
    *got = 0;
    rc = op_begin(f->env, SIM_OP_READ, "read", f->path, is_direct ? n->speed.read_us : 0, &fault);
    if (rc != 0)
        return rc;
    left = offset < f->inode->seen.size ? f->inode->seen.size - offset : 0;
    *got = left < size ? (size_t)left : size;
    if (is_fault(fault, SIM_FAULT_BIT_FLIP) && *got > 0) {
        uint64_t at = offset + sim_random(n->sim, *got);
        uint8_t mask = (uint8_t)(1u << sim_random(n->sim, 8));

        sim_image_flip(&f->inode->seen, at, mask);
        sim_image_flip(&f->inode->durable, at, mask);
    }
    sim_image_read(&f->inode->seen, buf, *got, offset);
    if (is_fault(fault, SIM_FAULT_MISREAD) && *got > 0)
        ((uint8_t *)buf)[sim_random(n->sim, *got)] ^= (uint8_t)(1u << sim_random(n->sim, 8));
    return 0;
}

/* The sectors that made it are on the disk, and what is read is what is there. */
static int
write_torn(struct env_file *f, const uint8_t *data, size_t size, uint64_t offset)
{
    struct sim *sim = sim_of(f->env);
    uint64_t used = f->inode->seen.size;
    uint8_t *now = sim_alloc(size + 1);

    sim_image_tear(sim, &f->inode->seen, data, size, offset);
    f->inode->disk->used += f->inode->seen.size - used;
    if (f->inode->seen.size < offset + size)
        size = f->inode->seen.size > offset ? (size_t)(f->inode->seen.size - offset) : 0;
    sim_image_read(&f->inode->seen, now, size, offset);
    if (size > 0)
        sim_image_write(&f->inode->durable, now, size, offset);
    xfree(now);
    f->inode->is_changed = true;
    return env_fail(EIO, "write", f->path);
}

/* The bytes are the file's from here on; what is left is to wait for the disk. No reference to an
 * inode is held across a wait, for the node may die there: the open file keeps it. */
static int
write_data(struct env_file *f, uint8_t *data, size_t size, uint64_t offset,
           const struct sim_fault *fault)
{
    struct sim_node *n = sim_node_of(f->env);
    struct sim_inode *i = f->inode;
    bool is_dsync = (f->flags & ENV_DSYNC) != 0;
    uint64_t seq;

    sim_trace_bytes(n->sim, data, size);
    if (is_fault(fault, SIM_FAULT_TORN))
        return write_torn(f, data, size, offset);
    if (is_fault(fault, SIM_FAULT_BIT_FLIP) && size > 0)
        data[sim_random(n->sim, size)] ^= (uint8_t)(1u << sim_random(n->sim, 8));
    if (is_fault(fault, SIM_FAULT_MISDIRECTED))
        offset += ENV_ALIGN * (1 + sim_random(n->sim, 4));
    if (offset + size > i->seen.size &&
        offset + size - i->seen.size > i->disk->capacity - i->disk->used)
        return env_fail(ENOSPC, "write", f->path);
    seq = sim_write_add(i, data, size, offset, is_fault(fault, SIM_FAULT_LOST_WRITE));
    if (is_fault(fault, SIM_FAULT_CRASH) && sim_thread_self() != NULL)
        sim_node_crash(f->env);
    if (is_dsync && is_fault(fault, SIM_FAULT_EARLY)) {
        sim_write_safe_at(i, seq, n->sim->now_ns + n->speed.sync_us * UINT64_C(1000));
        return 0;
    }
    sim_delay(f->env, is_dsync                       ? n->speed.sync_us
                      : (f->flags & ENV_DIRECT) != 0 ? n->speed.direct_write_us
                                                     : n->speed.write_us);
    if (is_dsync && !is_fault(fault, SIM_FAULT_LOST_WRITE))
        sim_write_settle(i, seq);
    return 0;
}

int
sim_pwritev(struct env_file *f, const struct iovec *v, int count, uint64_t offset)
{
    const struct sim_fault *fault;
    size_t size = 0, at = 0;
    uint8_t *data;
    int rc;

    CHECK((f->flags & ENV_WRITE) != 0);
    for (int i = 0; i < count; i++) {
        check_aligned(f, v[i].iov_base, v[i].iov_len, offset);
        size += v[i].iov_len;
    }
    rc = op_begin(f->env, SIM_OP_WRITE, "write", f->path, 0, &fault);
    if (rc != 0)
        return rc;
    /* In the node's heap: it goes with the node if that dies meanwhile. */
    data = xmalloc(size + 1);
    for (int i = 0; i < count; i++) {
        if (v[i].iov_len != 0)
            memcpy(data + at, v[i].iov_base, v[i].iov_len);
        at += v[i].iov_len;
    }
    rc = write_data(f, data, size, offset, fault);
    xfree(data);
    return rc;
}

int
sim_sync(struct env_file *f)
{
    struct sim_node *n = sim_node_of(f->env);
    struct sim_inode *i = f->inode;
    uint64_t seq = i->disk->write_seq; /* what is written while this goes on is not covered */
    const struct sim_fault *fault;
    int rc;

    rc = op_begin(f->env, SIM_OP_SYNC, "sync", f->path, n->speed.sync_us, &fault);
    if (is_fault(fault, SIM_FAULT_EIO))
        rc = env_fail(EIO, "sync", f->path);
    if (rc != 0)
        sim_inode_sync_fails(n->sim, i, seq);
    else if (!is_fault(fault, SIM_FAULT_LOST_WRITE))
        sim_inode_sync(i, seq);
    return rc;
}

int
sim_truncate(struct env_file *f, uint64_t size)
{
    const struct sim_fault *fault;
    int rc = op_begin(f->env, SIM_OP_TRUNCATE, "truncate", f->path, 0, &fault);

    CHECK((f->flags & ENV_WRITE) != 0);
    if (rc == 0)
        sim_truncate_add(f->inode, size);
    return rc;
}

int
sim_allocate(struct env_file *f, uint64_t size)
{
    struct sim_inode *i = f->inode;
    const struct sim_fault *fault;
    int rc = op_begin(f->env, SIM_OP_TRUNCATE, "allocate", f->path, 0, &fault);

    if (rc != 0 || size <= i->seen.size)
        return rc;
    if (size - i->seen.size > i->disk->capacity - i->disk->used)
        return env_fail(ENOSPC, "allocate", f->path);
    sim_truncate_add(i, size);
    return 0;
}

int
sim_size(struct env_file *f, uint64_t *size)
{
    *size = f->inode->seen.size;
    return 0;
}

/* ---- names --------------------------------------------------------------------------------- */

int
sim_rename(struct env *env, const char *from, const char *to)
{
    struct sim_node *n = sim_node_of(env);
    const struct sim_fault *fault;
    struct sim_inode *from_dir, *to_dir, *i, *there;
    const char *from_name, *to_name;
    int rc = op_begin(env, SIM_OP_RENAME, "rename", from, n->speed.name_us, &fault);

    if (rc != 0)
        return rc;
    from_dir = sim_disk_find_parent(n->disk, from, &from_name);
    to_dir = sim_disk_find_parent(n->disk, to, &to_name);
    i = from_dir != NULL ? sim_entry_find(&from_dir->names, from_name) : NULL;
    there = to_dir != NULL ? sim_entry_find(&to_dir->names, to_name) : NULL;
    if (i == NULL || to_dir == NULL)
        rc = env_fail(ENOENT, "rename", from);
    else if (there != NULL && there->is_dir && there->names.count != 0)
        rc = env_fail(ENOTEMPTY, "rename", from);
    else if (there != NULL && there->is_dir != i->is_dir)
        rc = env_fail(i->is_dir ? ENOTDIR : EISDIR, "rename", from);
    else if (there != i)
        sim_names_change(from_dir, from_name, to_dir, to_name, i);
    if (from_dir != NULL)
        sim_inode_unref(from_dir);
    if (to_dir != NULL)
        sim_inode_unref(to_dir);
    return rc;
}

int
sim_file_link(struct env *env, const char *from, const char *to)
{
    struct sim_node *n = sim_node_of(env);
    const struct sim_fault *fault;
    struct sim_inode *i, *dir = NULL;
    const char *name;
    int rc = op_begin(env, SIM_OP_RENAME, "link", to, n->speed.name_us, &fault);

    if (rc != 0)
        return rc;
    i = sim_disk_find(n->disk, from);
    dir = sim_disk_find_parent(n->disk, to, &name);
    if (i == NULL || dir == NULL)
        rc = env_fail(ENOENT, "link", to);
    else if (i->is_dir)
        rc = env_fail(EPERM, "link", to);
    else if (sim_entry_find(&dir->names, name) != NULL)
        rc = env_fail(EEXIST, "link", to);
    else
        sim_names_change(NULL, NULL, dir, name, i);
    if (i != NULL)
        sim_inode_unref(i);
    if (dir != NULL)
        sim_inode_unref(dir);
    return rc;
}

static int
remove_name(struct env *env, const char *path, bool is_dir, const char *doing)
{
    struct sim_node *n = sim_node_of(env);
    const struct sim_fault *fault;
    struct sim_inode *dir, *i;
    const char *name;
    int rc = op_begin(env, SIM_OP_UNLINK, doing, path, n->speed.name_us, &fault);

    if (rc != 0)
        return rc;
    dir = sim_disk_find_parent(n->disk, path, &name);
    i = dir != NULL ? sim_entry_find(&dir->names, name) : NULL;
    if (i == NULL)
        rc = env_fail(ENOENT, doing, path);
    else if (i->is_dir != is_dir)
        rc = env_fail(is_dir ? ENOTDIR : EISDIR, doing, path);
    else if (i->names.count != 0)
        rc = env_fail(ENOTEMPTY, doing, path);
    else
        sim_names_change(dir, name, NULL, NULL, NULL);
    if (dir != NULL)
        sim_inode_unref(dir);
    return rc;
}

int
sim_unlink(struct env *env, const char *path)
{
    return remove_name(env, path, false, "remove");
}

int
sim_rmdir(struct env *env, const char *path)
{
    return remove_name(env, path, true, "remove directory");
}

int
sim_mkdir(struct env *env, const char *path)
{
    struct sim_node *n = sim_node_of(env);
    const struct sim_fault *fault;
    struct sim_inode *dir, *made;
    const char *name;
    int rc = op_begin(env, SIM_OP_MKDIR, "create directory", path, n->speed.name_us, &fault);

    if (rc != 0)
        return rc;
    dir = sim_disk_find_parent(n->disk, path, &name);
    if (dir == NULL)
        return env_fail(ENOENT, "create directory", path);
    if (sim_entry_find(&dir->names, name) != NULL) {
        rc = env_fail(EEXIST, "create directory", path);
    } else {
        made = sim_inode_new(n->disk, true);
        sim_names_change(NULL, NULL, dir, name, made);
        sim_inode_unref(made);
    }
    sim_inode_unref(dir);
    return rc;
}

int
sim_sync_dir(struct env *env, const char *path)
{
    struct sim_node *n = sim_node_of(env);
    const struct sim_fault *fault;
    struct sim_inode *dir;
    int rc = op_begin(env, SIM_OP_SYNC_DIR, "sync directory", path, n->speed.sync_us, &fault);

    if (rc != 0)
        return rc;
    dir = sim_disk_find(n->disk, path);
    if (dir == NULL)
        return env_fail(ENOENT, "open directory", path);
    if (dir->is_dir)
        sim_names_sync(dir);
    else
        rc = env_fail(ENOTDIR, "open directory", path);
    sim_inode_unref(dir);
    return rc;
}

bool
sim_exists(struct env *env, const char *path, bool *is_dir)
{
    struct sim_inode *i = sim_disk_find(sim_node_of(env)->disk, path);

    if (i == NULL)
        return false;
    *is_dir = i->is_dir;
    sim_inode_unref(i);
    return true;
}

/* The callback may change the folder, so the names are copied first. */
int
sim_list_dir(struct env *env, const char *path, int (*fn)(void *, const char *), void *arg)
{
    struct sim_inode *dir = sim_disk_find(sim_node_of(env)->disk, path);
    struct arena names;
    char **copy;
    size_t count;
    int rc = 0;

    if (dir == NULL)
        return env_fail(ENOENT, "open directory", path);
    if (!dir->is_dir) {
        sim_inode_unref(dir);
        return env_fail(ENOTDIR, "open directory", path);
    }
    arena_init(&names, NULL);
    count = dir->names.count;
    copy = ARENA_ARRAY(&names, char *, count + 1);
    for (size_t i = 0; i < count; i++)
        copy[i] = arena_strdup(&names, dir->names.at[i].name);
    sim_inode_unref(dir);
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = fn(arg, copy[i]);
    arena_fini(&names);
    return rc;
}

int
sim_disk_free_bytes(struct env *env, const char *path, uint64_t *bytes)
{
    struct sim_disk *d = sim_node_of(env)->disk;
    bool is_dir;

    if (!sim_exists(env, path, &is_dir))
        return env_fail(ENOENT, "look up free space of", path);
    *bytes = d->capacity == UINT64_MAX ? (uint64_t)1 << 40
             : d->capacity > d->used   ? d->capacity - d->used
                                       : 0;
    return 0;
}
