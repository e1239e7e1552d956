/* The manifest: opening, committing edits, rewriting, and the small conveniences on top.
 *
 * MANIFEST-1 An edit is durable before anybody sees it in the map, and seen as a whole.
 * MANIFEST-2 A torn last edit is cut off; anything else that does not fit is refused, untouched.
 * MANIFEST-3 What opening has read is durable before it is used, whoever wrote it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/lsm/manifest_int.h"

enum {
    PATH_MAX_BYTES = 1024,
    ALLOCATE_STEP = 256 << 10,
    REWRITE_MIN = 1 << 20, /* a log shorter than this is not worth rewriting */
    REWRITE_FACTOR = 4,    /* nor one shorter than this many times what it holds */
};

struct manifest {
    struct env *env;
    char dir[PATH_MAX_BYTES], path[PATH_MAX_BYTES + 16]; /* read-only */
    uint64_t database_id;

    struct env_mutex write_lock; /* serialises commits; held across the disk */
    struct env_file *file;       /* with write_lock, as the rest of this block */
    uint64_t salt;
    uint64_t end, allocated; /* where records end; what the file reserves */
    uint64_t rewrite_at;     /* rewritten when `end` passes this */
    uint32_t crc_before;

    struct env_mutex map_lock; /* short; after write_lock */
    struct manifest_map map;   /* changed with both locks, read with either */
    uint64_t sequence;         /* of the last edit; alike */
};

static void
paths(const char *dir, char path[PATH_MAX_BYTES + 16], const char *name)
{
    int n = snprintf(path, PATH_MAX_BYTES + 16, "%s/%s", dir, name);

    CHECK(n > 0 && n < PATH_MAX_BYTES + 16);
}

/* ---- writing a whole file ------------------------------------------------------------------- */

struct fresh_file {
    uint64_t salt, end;
    uint32_t crc;
};

/* Writes header, mark and one record to a new file and syncs it. On failure it is removed. */
MUST_CHECK
static int
write_fresh(struct env *env, const char *path, uint64_t sequence, const struct manifest_edit *all,
            struct env_file **out, struct fresh_file *made)
{
    struct manifest_header h = { .salt = env_random_u64(env), .first_sequence = sequence };
    struct env_file *f;
    struct writer w;
    int rc = wr_finish(&all->w);

    if (rc != 0)
        return rc;
    rc = env_open(env, path, ENV_READ | ENV_WRITE | ENV_CREATE | ENV_TRUNCATE | ENV_MODE_PRIVATE,
                  &f);
    if (rc != 0)
        return rc;
    wr_init(&w, MANIFEST_EDIT_MAX + MANIFEST_RECORDS_AT + MANIFEST_BLOCK);
    memset(wr_reserve(&w, MANIFEST_RECORDS_AT), 0, MANIFEST_RECORDS_AT);
    manifest_header_encode(w.data, &h);
    made->crc =
        manifest_record_encode(&w, h.salt, sequence, h.crc, wr_view(&all->w), all->item_count);
    manifest_mark_encode(w.data + MANIFEST_MARK_AT, h.salt, w.size, sequence);
    made->salt = h.salt;
    made->end = w.size;
    rc = env_pwrite(f, w.data, w.size, 0);
    if (rc == 0)
        rc = env_sync(f);
    wr_fini(&w);
    if (rc != 0) {
        struct diag why = *diag_last();

        env_close(f);
        if (env_unlink(env, path) != 0)
            diag_clear(); /* opening removes it */
        diag_restore(&why);
        return rc;
    }
    *out = f;
    return 0;
}

int
manifest_create(struct env *env, const char *dir, const struct manifest_edit *first)
{
    char path[PATH_MAX_BYTES + 16], fresh[PATH_MAX_BYTES + 16];
    struct fresh_file made;
    struct env_file *f;
    int rc;

    paths(dir, path, "manifest");
    paths(dir, fresh, "manifest.new");
    if (env_exists(env, path))
        return DIAG(ERR_FILE_EXISTS, "%s: a database is there already", path);
    rc = write_fresh(env, fresh, 1, first, &f, &made);
    if (rc != 0)
        return rc;
    env_close(f);
    rc = env_rename(env, fresh, path);
    return rc != 0 ? rc : env_sync_dir(env, dir);
}

/* ---- opening -------------------------------------------------------------------------------- */

MUST_CHECK
static int
load(struct manifest *m, const uint8_t *data, size_t size, uint64_t *marked)
{
    struct manifest_record record;
    struct manifest_reader r;
    const struct manifest_node *id;
    int rc = manifest_reader_init(&r, data, size);

    if (rc != 0)
        return rc;
    while ((rc = manifest_reader_next(&r, &record)) == 0) {
        rc = manifest_map_apply_all(&m->map, record.payload, record.item_count);
        if (rc != 0)
            return rc;
    }
    if (rc != ERR_END)
        return rc;
    *marked = r.mark_end;
    m->salt = r.header.salt;
    m->end = r.at;
    m->sequence = r.sequence - 1;
    m->crc_before = r.crc_before;
    id = manifest_map_find(&m->map, MANIFEST_DATABASE, slice(NULL, 0));
    if (id == NULL || id->value_size != 8)
        return DIAG(ERR_CORRUPT, "manifest: it does not say which database it is");
    m->database_id = load_u64(id->value);
    return 0;
}

/* What the process before this one had written when it was killed, or when its sync failed, is read
 * here as if it were durable; the disk may never have had it. Written once more and synced, it is,
 * before anything is built on it. The mark tells what was known to be durable. What a torn edit
 * left is cut, so that it can never be taken for anything later. */
MUST_CHECK
static int
settle_tail(struct manifest *m, const uint8_t *data, size_t size, uint64_t marked)
{
    uint64_t from = marked > MANIFEST_RECORDS_AT ? marked : MANIFEST_RECORDS_AT;
    size_t at = m->end;
    int rc = 0;

    while (at < size && data[at] == 0)
        at++;
    m->allocated = at == size ? size : m->end;
    if (from < m->end)
        rc = env_pwrite(m->file, data + from, m->end - from, from);
    if (rc == 0 && at < size)
        rc = env_truncate(m->file, m->end);
    if (rc == 0 && (from < m->end || at < size))
        rc = env_sync(m->file);
    return rc;
}

static void
set_rewrite_at(struct manifest *m)
{
    uint64_t least = MANIFEST_RECORDS_AT + REWRITE_FACTOR * (uint64_t)m->map.bytes;

    m->rewrite_at = least > REWRITE_MIN ? least : REWRITE_MIN;
}

int
manifest_open(struct env *env, const char *dir, struct manifest **out)
{
    char fresh[PATH_MAX_BYTES + 16];
    struct manifest *m;
    uint8_t *data = NULL;
    size_t size = 0;
    uint64_t marked = 0;
    int rc;

    if (strlen(dir) >= PATH_MAX_BYTES)
        return DIAG(ERR_NAME_TOO_LONG, "%s: path too long", dir);
    m = xcalloc(1, sizeof *m);
    m->env = env;
    snprintf(m->dir, sizeof m->dir, "%s", dir);
    paths(dir, m->path, "manifest");
    paths(dir, fresh, "manifest.new");
    env_mutex_init(env, &m->write_lock);
    env_mutex_init(env, &m->map_lock);
    rc = manifest_read_file(env, m->path, &data, &size);
    if (rc == 0)
        rc = load(m, data, size, &marked);
    if (rc == 0)
        rc = env_open(env, m->path, ENV_READ | ENV_WRITE, &m->file);
    if (rc == 0)
        rc = settle_tail(m, data, size, marked);
    if (rc == 0 && env_exists(env, fresh))
        rc = env_unlink(env, fresh);
    if (rc == 0)
        rc = env_sync_dir(env, m->dir); /* its name, alike */
    xfree(data);
    if (rc != 0) {
        manifest_close(m);
        return rc;
    }
    set_rewrite_at(m);
    *out = m;
    return 0;
}

void
manifest_close(struct manifest *m)
{
    if (m == NULL)
        return;
    env_close(m->file);
    manifest_map_fini(&m->map);
    env_mutex_fini(&m->map_lock);
    env_mutex_fini(&m->write_lock);
    xfree(m);
}

/* ---- committing ----------------------------------------------------------------------------- */

/* Room for `size` more bytes, so that the write itself does not run out of disk. */
MUST_CHECK
static int
reserve_locked(struct manifest *m, size_t size)
{
    uint64_t want = m->end + size;
    int rc;

    if (want <= m->allocated)
        return 0;
    want = (want + ALLOCATE_STEP - 1) / ALLOCATE_STEP * ALLOCATE_STEP;
    rc = env_allocate(m->file, want);
    if (rc == 0)
        m->allocated = want;
    return rc;
}

/* A record that could not be written must not be found later. */
static void
take_back_locked(struct manifest *m)
{
    struct diag why = *diag_last();

    if (env_truncate(m->file, m->end) != 0 || env_sync(m->file) != 0)
        PANIC("manifest: a failed edit cannot be taken back: %s", diag_last()->message);
    m->allocated = m->end;
    diag_restore(&why);
}

MUST_CHECK
static int
append_locked(struct manifest *m, const struct writer *record)
{
    uint8_t mark[MANIFEST_MARK_SIZE];
    int rc = reserve_locked(m, record->size);

    if (rc != 0) {
        if (rc != ERR_DISK_FULL)
            PANIC("manifest: %s", diag_last()->message);
        take_back_locked(m);
        return rc;
    }
    rc = env_pwrite(m->file, record->data, record->size, m->end);
    if (rc == ERR_DISK_FULL) {
        take_back_locked(m);
        return rc;
    }
    if (rc != 0 || env_sync(m->file) != 0)
        PANIC("manifest: an edit cannot be made durable: %s", diag_last()->message);
    m->end += record->size;
    manifest_mark_encode(mark, m->salt, m->end, m->sequence + 1);
    if (env_pwrite(m->file, mark, sizeof mark, MANIFEST_MARK_AT) != 0)
        diag_clear(); /* a hint only */
    return 0;
}

/* Writes everything as one edit to a new file and takes that. A failure before the switch costs
 * nothing: the old file goes on, and the next attempt is put off. */
static void
rewrite_locked(struct manifest *m)
{
    char fresh[PATH_MAX_BYTES + 16];
    struct manifest_edit all;
    struct fresh_file made;
    struct env_file *f;
    int rc;

    paths(m->dir, fresh, "manifest.new");
    manifest_edit_init(&all);
    manifest_map_snapshot(&m->map, &all);
    rc = write_fresh(m->env, fresh, m->sequence, &all, &f, &made);
    manifest_edit_fini(&all);
    if (rc != 0) {
        diag_clear();
        m->rewrite_at = m->end * 2;
        return;
    }
    if (env_rename(m->env, fresh, m->path) != 0 || env_sync_dir(m->env, m->dir) != 0)
        PANIC("manifest: the switch to a new file failed: %s", diag_last()->message);
    env_close(m->file);
    m->file = f;
    m->salt = made.salt;
    m->end = m->allocated = made.end;
    m->crc_before = made.crc;
    set_rewrite_at(m);
}

MUST_CHECK
static int
commit_locked(struct manifest *m, const struct manifest_edit *e)
{
    struct writer record;
    uint32_t crc;
    int rc = wr_finish(&e->w);

    if (rc != 0)
        return rc;
    wr_init(&record, MANIFEST_EDIT_MAX + MANIFEST_BLOCK);
    crc = manifest_record_encode(&record, m->salt, m->sequence + 1, m->crc_before, wr_view(&e->w),
                                 e->item_count);
    rc = append_locked(m, &record);
    wr_fini(&record);
    if (rc != 0)
        return rc;
    m->crc_before = crc;
    env_mutex_lock(&m->map_lock);
    m->sequence++;
    rc = manifest_map_apply_all(&m->map, wr_view(&e->w), e->item_count);
    env_mutex_unlock(&m->map_lock);
    CHECK(rc == 0);
    if (m->end > m->rewrite_at)
        rewrite_locked(m);
    return 0;
}

int
manifest_commit(struct manifest *m, const struct manifest_edit *e)
{
    int rc;

    env_mutex_lock(&m->write_lock);
    rc = commit_locked(m, e);
    env_mutex_unlock(&m->write_lock);
    return rc;
}

/* ---- reading -------------------------------------------------------------------------------- */

uint64_t
manifest_sequence(struct manifest *m)
{
    uint64_t sequence;

    env_mutex_lock(&m->map_lock);
    sequence = m->sequence;
    env_mutex_unlock(&m->map_lock);
    return sequence;
}

uint64_t
manifest_database_id(struct manifest *m)
{
    return m->database_id;
}

int
manifest_get(struct manifest *m, enum manifest_type type, struct slice key, struct writer *out)
{
    const struct manifest_node *n;

    env_mutex_lock(&m->map_lock);
    n = manifest_map_find(&m->map, type, key);
    if (n != NULL)
        wr_bytes(out, n->value, n->value_size);
    env_mutex_unlock(&m->map_lock);
    return n == NULL ? ERR_NOT_FOUND : wr_finish(out);
}

int
manifest_each(struct manifest *m, enum manifest_type type,
              int (*fn)(void *arg, struct slice key, struct slice value), void *arg)
{
    int rc = 0;

    env_mutex_lock(&m->map_lock);
    for (size_t i = manifest_map_seek(&m->map, type, slice(NULL, 0));
         rc == 0 && i < m->map.count && m->map.nodes[i]->type == type; i++) {
        const struct manifest_node *n = m->map.nodes[i];

        rc = fn(arg, slice(n->key, n->key_size), slice(n->value, n->value_size));
    }
    env_mutex_unlock(&m->map_lock);
    return rc;
}

void
manifest_snapshot(struct manifest *m, struct manifest_edit *out)
{
    env_mutex_lock(&m->map_lock);
    manifest_map_snapshot(&m->map, out);
    env_mutex_unlock(&m->map_lock);
}

/* ---- counters and blobs --------------------------------------------------------------------- */

/* With write_lock or map_lock. */
static uint64_t
counter_of(const struct manifest *m, const char *name)
{
    const struct manifest_node *n = manifest_map_find(&m->map, MANIFEST_COUNTER, slice_str(name));

    return n != NULL && n->value_size == 8 ? load_u64(n->value) : 0;
}

uint64_t
manifest_counter(struct manifest *m, const char *name)
{
    uint64_t v;

    env_mutex_lock(&m->map_lock);
    v = counter_of(m, name);
    env_mutex_unlock(&m->map_lock);
    return v;
}

int
manifest_counter_add(struct manifest *m, const char *name, uint64_t by, uint64_t *before)
{
    struct manifest_edit e;
    uint8_t value[8];
    int rc;

    manifest_edit_init(&e);
    env_mutex_lock(&m->write_lock);
    *before = counter_of(m, name);
    if (!add_ok(*before, by, &by)) {
        rc = DIAG(ERR_LIMIT, "no numbers are left for \"%s\"", name);
    } else {
        store_u64(value, by);
        manifest_put(&e, MANIFEST_COUNTER, slice_str(name), slice(value, sizeof value));
        rc = commit_locked(m, &e);
    }
    env_mutex_unlock(&m->write_lock);
    manifest_edit_fini(&e);
    return rc;
}

void
manifest_edit_blob(struct manifest_edit *e, const char *name, uint64_t sequence, struct slice bytes)
{
    struct writer w;

    wr_init(&w, MANIFEST_VALUE_MAX);
    wr_u64(&w, sequence);
    wr_slice(&w, bytes);
    CHECK(!w.bad);
    manifest_put(e, MANIFEST_BLOB, slice_str(name), wr_view(&w));
    wr_fini(&w);
}

int
manifest_put_blob(struct manifest *m, const char *name, uint64_t sequence, struct slice bytes)
{
    const struct manifest_node *n;
    struct manifest_edit e;
    int rc;

    if (bytes.size > MANIFEST_VALUE_MAX - 8)
        return DIAG(ERR_LIMIT, "\"%s\": %zu bytes are too many for the manifest", name, bytes.size);
    manifest_edit_init(&e);
    manifest_edit_blob(&e, name, sequence, bytes);
    env_mutex_lock(&m->write_lock);
    n = manifest_map_find(&m->map, MANIFEST_BLOB, slice_str(name));
    if (n != NULL && n->value_size >= 8 && load_u64(n->value) >= sequence)
        rc = DIAG(ERR_AGAIN, "\"%s\": a newer one is stored", name);
    else
        rc = commit_locked(m, &e);
    env_mutex_unlock(&m->write_lock);
    manifest_edit_fini(&e);
    return rc;
}

int
manifest_get_blob(struct manifest *m, const char *name, uint64_t *sequence, struct writer *out)
{
    const struct manifest_node *n;
    bool found;

    env_mutex_lock(&m->map_lock);
    n = manifest_map_find(&m->map, MANIFEST_BLOB, slice_str(name));
    found = n != NULL && n->value_size >= 8;
    if (found) {
        *sequence = load_u64(n->value);
        wr_bytes(out, n->value + 8, n->value_size - 8);
    }
    env_mutex_unlock(&m->map_lock);
    return found ? wr_finish(out) : ERR_NOT_FOUND;
}
