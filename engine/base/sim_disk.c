/* A simulated disk: what readers see, and what a power cut leaves of it.
 *
 * Each file has two images and the list of the writes between them; each folder two sets of names,
 * and the disk the list of the changes between those. sim.h says what a cut may lose.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/sim_int.h"

#include <string.h>

enum { PAGE = 4096, SECTOR = 512 };

/* ---- images -------------------------------------------------------------------------------- */

static bool
is_zero(const uint8_t *p, size_t size)
{
    return size == 0 || (p[0] == 0 && memcmp(p, p + 1, size - 1) == 0);
}

void
sim_image_fini(struct sim_image *m)
{
    for (size_t i = 0; i < m->page_cap; i++)
        xfree(m->pages[i]);
    xfree(m->pages);
    *m = (struct sim_image){ 0 };
}

void
sim_image_read(const struct sim_image *m, void *buf, size_t size, uint64_t offset)
{
    uint8_t *out = buf;

    while (size > 0) {
        size_t page = offset / PAGE, at = offset % PAGE;
        size_t n = PAGE - at < size ? PAGE - at : size;

        if (page < m->page_cap && m->pages[page] != NULL)
            memcpy(out, m->pages[page] + at, n);
        else
            memset(out, 0, n);
        out += n;
        offset += n;
        size -= n;
    }
}

static void
image_grow(struct sim_image *m, size_t page_count)
{
    size_t cap = m->page_cap != 0 ? m->page_cap : 4;

    if (page_count <= m->page_cap)
        return;
    while (cap < page_count)
        cap *= 2;
    m->pages = sim_realloc(m->pages, cap * sizeof *m->pages);
    memset(m->pages + m->page_cap, 0, (cap - m->page_cap) * sizeof *m->pages);
    m->page_cap = cap;
}

void
sim_image_write(struct sim_image *m, const void *buf, size_t size, uint64_t offset)
{
    const uint8_t *in = buf;

    if (offset + size > m->size)
        m->size = offset + size;
    image_grow(m, (size_t)((offset + size + PAGE - 1) / PAGE));
    while (size > 0) {
        size_t page = offset / PAGE, at = offset % PAGE;
        size_t n = PAGE - at < size ? PAGE - at : size;

        if (m->pages[page] == NULL && !is_zero(in, n))
            m->pages[page] = sim_alloc(PAGE);
        if (m->pages[page] != NULL)
            memcpy(m->pages[page] + at, in, n);
        in += n;
        offset += n;
        size -= n;
    }
}

void
sim_image_resize(struct sim_image *m, uint64_t size)
{
    if (size < m->size) {
        size_t keep = (size_t)((size + PAGE - 1) / PAGE);

        for (size_t i = keep; i < m->page_cap; i++) {
            xfree(m->pages[i]);
            m->pages[i] = NULL;
        }
        if (size % PAGE != 0 && keep - 1 < m->page_cap && m->pages[keep - 1] != NULL)
            memset(m->pages[keep - 1] + size % PAGE, 0, PAGE - size % PAGE);
    }
    m->size = size;
}

void
sim_image_flip(struct sim_image *m, uint64_t offset, uint8_t mask)
{
    uint8_t byte;

    if (offset >= m->size)
        return;
    sim_image_read(m, &byte, 1, offset);
    byte ^= mask;
    sim_image_write(m, &byte, 1, offset);
}

static void
image_copy(struct sim_image *to, const struct sim_image *from)
{
    sim_image_fini(to);
    image_grow(to, from->page_cap);
    to->size = from->size;
    for (size_t i = 0; i < from->page_cap; i++)
        if (from->pages[i] != NULL)
            to->pages[i] = memcpy(sim_alloc(PAGE), from->pages[i], PAGE);
}

void
sim_image_tear(struct sim *sim, struct sim_image *m, const void *data, size_t size, uint64_t offset)
{
    const uint8_t *in = data;

    while (size > 0) {
        size_t n = SECTOR - offset % SECTOR < size ? SECTOR - offset % SECTOR : size;

        if (sim_chance(sim, 1, 2))
            sim_image_write(m, in, n, offset);
        in += n;
        offset += n;
        size -= n;
    }
}

/* ---- inodes and writes --------------------------------------------------------------------- */

struct sim_inode *
sim_inode_new(struct sim_disk *d, bool is_dir)
{
    struct sim_inode *i = sim_alloc(sizeof *i);

    i->disk = d;
    i->ref_count = 1;
    i->is_dir = is_dir;
    list_init(&i->writes);
    list_push_back(&d->inodes, &i->disk_link);
    return i;
}

void
sim_inode_ref(struct sim_inode *i)
{
    i->ref_count++;
}

static void
entries_fini(struct sim_entries *e)
{
    for (size_t k = 0; k < e->count; k++) {
        xfree(e->at[k].name);
        sim_inode_unref(e->at[k].inode);
    }
    xfree(e->at);
    *e = (struct sim_entries){ 0 };
}

static void
write_free(struct sim_write *w)
{
    list_remove(&w->link);
    xfree(w);
}

void
sim_inode_unref(struct sim_inode *i)
{
    if (--i->ref_count > 0)
        return;
    list_for_each_safe (w, next, &i->writes, struct sim_write, link)
        write_free(w);
    i->disk->used -= i->seen.size;
    sim_image_fini(&i->seen);
    sim_image_fini(&i->durable);
    entries_fini(&i->names);
    entries_fini(&i->safe_names);
    list_remove(&i->disk_link);
    xfree(i);
}

static struct sim_write *
write_new(struct sim_inode *i, const void *data, size_t size, uint64_t offset)
{
    struct sim_write *w = sim_alloc(sizeof *w + size);

    w->seq = ++i->disk->write_seq;
    w->offset = offset;
    w->size = size;
    if (size != 0)
        memcpy(w->data, data, size);
    list_push_back(&i->writes, &w->link);
    i->is_changed = true;
    return w;
}

uint64_t
sim_write_add(struct sim_inode *i, const void *data, size_t size, uint64_t offset, bool is_hidden)
{
    uint64_t before = i->seen.size;

    if (is_hidden)
        return i->disk->write_seq;
    sim_image_write(&i->seen, data, size, offset);
    i->disk->used += i->seen.size - before;
    return write_new(i, data, size, offset)->seq;
}

void
sim_truncate_add(struct sim_inode *i, uint64_t size)
{
    i->disk->used += size - i->seen.size;
    sim_image_resize(&i->seen, size);
    write_new(i, NULL, 0, size)->is_truncate = true;
}

static void
write_apply(struct sim_inode *i, struct sim_write *w)
{
    if (w->is_truncate)
        sim_image_resize(&i->durable, w->offset);
    else
        sim_image_write(&i->durable, w->data, w->size, w->offset);
    write_free(w);
}

static bool
writes_overlap(const struct sim_write *a, const struct sim_write *b)
{
    if (a->is_truncate || b->is_truncate)
        return true;
    return a->offset < b->offset + b->size && b->offset < a->offset + a->size;
}

/* Marks w and, of those before it, all that overlap one that is marked: a later write to a place
 * has taken the earlier one's place in the cache. */
static void
settle_mark(struct sim_inode *i, struct sim_write *w)
{
    w->is_due = true;
    for (struct list *at = w->link.prev; at != &i->writes; at = at->prev) {
        struct sim_write *e = container_of(at, struct sim_write, link);

        for (struct list *l = at->next; l != w->link.next && !e->is_due; l = l->next) {
            struct sim_write *later = container_of(l, struct sim_write, link);

            e->is_due = later->is_due && writes_overlap(e, later);
        }
    }
}

static struct sim_write *
write_find(struct sim_inode *i, uint64_t seq)
{
    list_for_each (w, &i->writes, struct sim_write, link)
        if (w->seq == seq)
            return w;
    return NULL;
}

void
sim_write_safe_at(struct sim_inode *i, uint64_t seq, uint64_t safe_ns)
{
    struct sim_write *w = write_find(i, seq);

    if (w != NULL)
        w->safe_ns = safe_ns;
}

void
sim_write_settle(struct sim_inode *i, uint64_t seq)
{
    struct sim_write *last = write_find(i, seq);

    if (last == NULL)
        return; /* a sync was quicker */
    settle_mark(i, last);
    list_for_each_safe (w, next, &i->writes, struct sim_write, link)
        if (w->is_due)
            write_apply(i, w);
}

void
sim_inode_sync(struct sim_inode *i, uint64_t seq_max)
{
    list_for_each_safe (w, next, &i->writes, struct sim_write, link)
        if (w->seq <= seq_max)
            write_apply(i, w);
}

void
sim_inode_sync_fails(struct sim *sim, struct sim_inode *i, uint64_t seq_max)
{
    list_for_each_safe (w, next, &i->writes, struct sim_write, link) {
        if (w->seq > seq_max)
            break;
        if (sim_chance(sim, 1, 2))
            write_apply(i, w);
        else
            write_free(w);
    }
}

/* ---- names --------------------------------------------------------------------------------- */

struct sim_name_change {
    struct list link;                    /* struct sim_disk.name_changes */
    struct sim_inode *from, *to, *inode; /* references, or NULL */
    char *from_name, *to_name;
    bool is_due;
};

/* Where the name is, or where it belongs. */
static size_t
entry_place(const struct sim_entries *e, const char *name, bool *is_there)
{
    size_t low = 0, high = e->count;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (strcmp(e->at[mid].name, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *is_there = low < e->count && strcmp(e->at[low].name, name) == 0;
    return low;
}

struct sim_inode *
sim_entry_find(const struct sim_entries *e, const char *name)
{
    bool is_there;
    size_t at = entry_place(e, name, &is_there);

    return is_there ? e->at[at].inode : NULL;
}

static void
entry_put(struct sim_entries *e, const char *name, struct sim_inode *inode)
{
    bool is_there;
    size_t at = entry_place(e, name, &is_there);

    sim_inode_ref(inode);
    if (is_there) {
        sim_inode_unref(e->at[at].inode);
        e->at[at].inode = inode;
        return;
    }
    if (e->count == e->cap) {
        e->cap = e->cap != 0 ? e->cap * 2 : 8;
        e->at = sim_realloc(e->at, e->cap * sizeof *e->at);
    }
    memmove(e->at + at + 1, e->at + at, (e->count - at) * sizeof *e->at);
    e->at[at] = (struct sim_entry){ sim_strdup(name), inode };
    e->count++;
}

static void
entry_remove(struct sim_entries *e, const char *name)
{
    bool is_there;
    size_t at = entry_place(e, name, &is_there);
    struct sim_entry gone;

    if (!is_there)
        return;
    gone = e->at[at];
    memmove(e->at + at, e->at + at + 1, (e->count - at - 1) * sizeof *e->at);
    e->count--;
    xfree(gone.name);
    sim_inode_unref(gone.inode);
}

static struct sim_entries *
entries_of(struct sim_inode *dir, bool is_safe)
{
    return is_safe ? &dir->safe_names : &dir->names;
}

static void
change_apply(struct sim_name_change *c, bool is_safe)
{
    if (c->from != NULL)
        entry_remove(entries_of(c->from, is_safe), c->from_name);
    if (c->to != NULL)
        entry_put(entries_of(c->to, is_safe), c->to_name, c->inode);
}

static void
change_free(struct sim_name_change *c)
{
    list_remove(&c->link);
    if (c->from != NULL)
        sim_inode_unref(c->from);
    if (c->to != NULL)
        sim_inode_unref(c->to);
    if (c->inode != NULL)
        sim_inode_unref(c->inode);
    xfree(c->from_name);
    xfree(c->to_name);
    xfree(c);
}

void
sim_names_change(struct sim_inode *from, const char *from_name, struct sim_inode *to,
                 const char *to_name, struct sim_inode *inode)
{
    struct sim_name_change *c = sim_alloc(sizeof *c);

    c->from = from;
    c->to = to;
    c->inode = inode;
    if (from != NULL) {
        sim_inode_ref(from);
        c->from_name = sim_strdup(from_name);
    }
    if (to != NULL) {
        sim_inode_ref(to);
        sim_inode_ref(inode);
        c->to_name = sim_strdup(to_name);
    } else {
        c->inode = NULL;
    }
    list_push_back(&(from != NULL ? from : to)->disk->name_changes, &c->link);
    change_apply(c, false);
}

static bool
change_touches(const struct sim_name_change *c, const struct sim_inode *dir)
{
    return c->from == dir || c->to == dir;
}

/* A change is due if it touches the folder, or a folder of a later change that is due. */
void
sim_names_sync(struct sim_inode *dir)
{
    struct list *all = &dir->disk->name_changes;

    for (struct list *at = all->prev; at != all; at = at->prev) {
        struct sim_name_change *c = container_of(at, struct sim_name_change, link);

        c->is_due = change_touches(c, dir);
        for (struct list *l = at->next; l != all && !c->is_due; l = l->next) {
            struct sim_name_change *later = container_of(l, struct sim_name_change, link);

            c->is_due = later->is_due && ((later->from != NULL && change_touches(c, later->from)) ||
                                          (later->to != NULL && change_touches(c, later->to)));
        }
    }
    list_for_each_safe (c, next, all, struct sim_name_change, link) {
        if (c->is_due) {
            change_apply(c, true);
            change_free(c);
        }
    }
}

/* The folder that holds the last component, which is put in *name. */
struct sim_inode *
sim_disk_find_parent(struct sim_disk *d, const char *path, const char **name)
{
    struct sim_inode *dir = d->root;
    char part[256];

    for (;;) {
        size_t n;

        path += strspn(path, "/");
        n = strcspn(path, "/");
        if (path[n] == '\0' || path[n + strspn(path + n, "/")] == '\0') {
            *name = path;
            if (n == 0 || n >= sizeof part || path[n] != '\0')
                return NULL;
            sim_inode_ref(dir);
            return dir;
        }
        if (n >= sizeof part)
            return NULL;
        memcpy(part, path, n);
        part[n] = '\0';
        path += n;
        if (strcmp(part, ".") == 0)
            continue;
        dir = sim_entry_find(&dir->names, part);
        if (dir == NULL || !dir->is_dir)
            return NULL;
    }
}

struct sim_inode *
sim_disk_find(struct sim_disk *d, const char *path)
{
    const char *name;
    struct sim_inode *dir, *found;

    path += strspn(path, "/");
    if (path[0] == '\0' || strcmp(path, ".") == 0) {
        sim_inode_ref(d->root);
        return d->root;
    }
    dir = sim_disk_find_parent(d, path, &name);
    if (dir == NULL)
        return NULL;
    found = sim_entry_find(&dir->names, name);
    if (found != NULL)
        sim_inode_ref(found);
    sim_inode_unref(dir);
    return found;
}

/* ---- disks --------------------------------------------------------------------------------- */

struct sim_disk *
sim_disk_new(void)
{
    struct sim_disk *d = sim_alloc(sizeof *d);

    list_init(&d->inodes);
    list_init(&d->name_changes);
    d->capacity = UINT64_MAX;
    d->root = sim_inode_new(d, true);
    return d;
}

void
sim_disk_free(struct sim_disk *d)
{
    list_for_each_safe (c, next, &d->name_changes, struct sim_name_change, link)
        change_free(c);
    sim_inode_unref(d->root);
    CHECK(list_empty(&d->inodes));
    xfree(d);
}

enum cut_mood { CUT_KEEPS_ALL, CUT_LOSES_ALL, CUT_MIXES };

static void
cut_writes(struct sim *sim, struct sim_inode *i, enum cut_mood mood)
{
    list_for_each_safe (w, next, &i->writes, struct sim_write, link) {
        uint64_t dice = sim_random(sim, 3);

        if (mood == CUT_LOSES_ALL || (mood == CUT_MIXES && dice == 0)) {
            write_free(w);
        } else if (mood == CUT_MIXES && dice == 1 && !w->is_truncate) {
            sim_image_tear(sim, &i->durable, w->data, w->size, w->offset);
            write_free(w);
        } else {
            write_apply(i, w);
        }
    }
}

/* Those whose time has come. One may take others along. */
static void
settle_safe(struct sim *sim, struct sim_inode *i)
{
    bool again = true;

    while (again) {
        again = false;
        list_for_each (w, &i->writes, struct sim_write, link) {
            if (w->safe_ns == 0 || w->safe_ns > sim->now_ns)
                continue;
            sim_write_settle(i, w->seq);
            again = true;
            break;
        }
    }
}

static bool
is_cut(struct sim_inode *const *cut, size_t count, const struct sim_inode *dir)
{
    for (size_t i = 0; i < count; i++)
        if (cut[i] == dir)
            return true;
    return false;
}

/* Once a change of a folder is lost, so are the later ones of that folder. */
static void
cut_names(struct sim *sim, struct sim_disk *d, enum cut_mood mood)
{
    struct sim_inode **cut = NULL;
    size_t count = 0;

    list_for_each (c, &d->name_changes, struct sim_name_change, link) {
        bool is_lost = is_cut(cut, count, c->from) || is_cut(cut, count, c->to) ||
                       mood == CUT_LOSES_ALL || (mood == CUT_MIXES && sim_chance(sim, 1, 3));

        if (!is_lost) {
            change_apply(c, true);
            continue;
        }
        cut = sim_realloc(cut, (count + 2) * sizeof(struct sim_inode *));
        if (c->from != NULL)
            cut[count++] = c->from;
        if (c->to != NULL)
            cut[count++] = c->to;
    }
    xfree(cut);
    list_for_each_safe (c, next, &d->name_changes, struct sim_name_change, link)
        change_free(c);
}

static void
dir_restore(struct sim_inode *dir)
{
    entries_fini(&dir->names);
    for (size_t k = 0; k < dir->safe_names.count; k++)
        entry_put(&dir->names, dir->safe_names.at[k].name, dir->safe_names.at[k].inode);
}

/* Folders that are in no name any more go, with what is in them, so all are held meanwhile. */
static void
restore_names(struct sim_disk *d)
{
    struct sim_inode **dirs;
    size_t count = 0;

    list_for_each (i, &d->inodes, struct sim_inode, disk_link)
        count += i->is_dir;
    dirs = sim_alloc(count * sizeof(struct sim_inode *));
    count = 0;
    list_for_each (i, &d->inodes, struct sim_inode, disk_link) {
        if (i->is_dir) {
            sim_inode_ref(i);
            dirs[count++] = i;
        }
    }
    for (size_t k = 0; k < count; k++)
        dir_restore(dirs[k]);
    for (size_t k = 0; k < count; k++)
        sim_inode_unref(dirs[k]);
    xfree(dirs);
}

void
sim_disk_power_cut(struct sim *sim, struct sim_disk *d)
{
    uint64_t dice = sim_random(sim, 4);
    enum cut_mood mood = dice == 0 ? CUT_KEEPS_ALL : dice == 1 ? CUT_LOSES_ALL : CUT_MIXES;

    list_for_each (i, &d->inodes, struct sim_inode, disk_link) {
        settle_safe(sim, i);
        cut_writes(sim, i, mood);
        if (i->is_changed) {
            uint64_t before = i->seen.size;

            image_copy(&i->seen, &i->durable);
            d->used += i->seen.size - before;
            i->is_changed = false;
        }
    }
    cut_names(sim, d, mood);
    restore_names(d);
}
