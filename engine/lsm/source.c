/* Walking one run: a memtable's chains, or the files of a run one after the other.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/lsm/view.h"

void
lsm_source_mem(struct lsm_source *s, const struct lsm_mem_slot *mem)
{
    memset(s, 0, sizeof *s);
    s->is_mem = true;
    s->part = mem->part;
    s->tag = mem->mem->tag;
    memtable_iter_init(&s->iter, mem->mem->table);
}

void
lsm_source_files(struct lsm_source *s, const struct lsm_slot *slots, uint32_t count, int flags)
{
    memset(s, 0, sizeof *s);
    s->slots = slots;
    s->slot_count = count;
    s->slot_at = count;
    s->flags = flags;
}

void
lsm_source_fini(struct lsm_source *s)
{
    segment_iter_free(s->segment_iter);
    s->segment_iter = NULL;
    s->valid = false;
}

/* ---- memtables ------------------------------------------------------------------------------ */

static void
show_mem_version(struct lsm_source *s, struct memtable_version *v)
{
    s->version = v;
    s->v = memtable_version_ref(s->iter.entry, v);
}

static void
show_mem_entry(struct lsm_source *s)
{
    s->valid = s->iter.entry != NULL;
    if (s->valid)
        show_mem_version(s, memtable_entry_newest(s->iter.entry));
}

/* ---- files ---------------------------------------------------------------------------------- */

static void
show_file_version(struct lsm_source *s)
{
    const struct version_ref *v =
        s->segment_iter != NULL ? segment_iter_current(s->segment_iter) : NULL;

    s->valid = v != NULL;
    if (s->valid)
        s->v = *v;
}

static void
enter_file(struct lsm_source *s, uint32_t at)
{
    const struct lsm_slot *slot = &s->slots[at];

    if (s->segment_iter != NULL && s->slot_at == at)
        return;
    segment_iter_free(s->segment_iter);
    s->segment_iter = segment_iter_new(slot->file->segment, s->flags);
    s->slot_at = at;
    s->part = slot->part;
    s->tag = slot->file->tag;
    s->undo = slot->file->props->kind == SEGMENT_UNDO;
    s->revived = slot->revived;
}

/* On to the first version of the next files while there is none. */
MUST_CHECK
static int
roll_forward(struct lsm_source *s)
{
    show_file_version(s);
    while (!s->valid && s->slot_at + 1 < s->slot_count) {
        int rc;

        enter_file(s, s->slot_at + 1);
        rc = segment_iter_first(s->segment_iter);
        if (rc != 0)
            return rc;
        show_file_version(s);
    }
    return 0;
}

MUST_CHECK
static int
roll_back(struct lsm_source *s)
{
    show_file_version(s);
    while (!s->valid && s->slot_at > 0) {
        int rc;

        enter_file(s, s->slot_at - 1);
        rc = segment_iter_last(s->segment_iter);
        if (rc != 0)
            return rc;
        show_file_version(s);
    }
    return 0;
}

/* ---- moving --------------------------------------------------------------------------------- */

MUST_CHECK
static int
done(struct lsm_source *s, int rc)
{
    if (rc != 0)
        s->valid = false;
    return rc;
}

int
lsm_source_first(struct lsm_source *s)
{
    int rc;

    s->valid = false;
    if (s->is_mem) {
        memtable_iter_first(&s->iter);
        show_mem_entry(s);
        return 0;
    }
    if (s->slot_count == 0)
        return 0;
    enter_file(s, 0);
    rc = segment_iter_first(s->segment_iter);
    return done(s, rc != 0 ? rc : roll_forward(s));
}

int
lsm_source_last(struct lsm_source *s)
{
    int rc;

    s->valid = false;
    if (s->is_mem) {
        memtable_iter_last(&s->iter);
        show_mem_entry(s);
        return 0;
    }
    if (s->slot_count == 0)
        return 0;
    enter_file(s, s->slot_count - 1);
    rc = segment_iter_last(s->segment_iter);
    return done(s, rc != 0 ? rc : roll_back(s));
}

/* The number of files that begin below the key. */
static uint32_t
files_below(const struct lsm_source *s, struct slice key)
{
    uint32_t lo = 0, hi = s->slot_count;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (slice_cmp(s->slots[mid].file->props->key_min, key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

int
lsm_source_seek(struct lsm_source *s, struct slice key)
{
    uint32_t at;
    int rc;

    s->valid = false;
    if (s->is_mem) {
        memtable_iter_seek(&s->iter, key);
        show_mem_entry(s);
        return 0;
    }
    if (s->slot_count == 0)
        return 0;
    at = files_below(s, key);
    if (at > 0 && slice_cmp(s->slots[at - 1].file->props->key_max, key) >= 0)
        at--;
    if (at == s->slot_count)
        return 0;
    enter_file(s, at);
    rc = segment_iter_seek(s->segment_iter, key);
    return done(s, rc != 0 ? rc : roll_forward(s));
}

int
lsm_source_seek_lt(struct lsm_source *s, struct slice key)
{
    uint32_t at;
    int rc;

    s->valid = false;
    if (s->is_mem) {
        memtable_iter_seek_lt(&s->iter, key);
        show_mem_entry(s);
        return 0;
    }
    at = files_below(s, key);
    if (at == 0)
        return 0;
    enter_file(s, at - 1);
    rc = segment_iter_seek_lt(s->segment_iter, key);
    return done(s, rc != 0 ? rc : roll_back(s));
}

int
lsm_source_next(struct lsm_source *s)
{
    int rc;

    CHECK(s->valid);
    if (s->is_mem) {
        struct memtable_version *older = memtable_version_older(s->version);

        if (older != NULL) {
            show_mem_version(s, older);
            return 0;
        }
        memtable_iter_next(&s->iter);
        show_mem_entry(s);
        return 0;
    }
    rc = segment_iter_next(s->segment_iter);
    return done(s, rc != 0 ? rc : roll_forward(s));
}

int
lsm_source_prev(struct lsm_source *s)
{
    int rc;

    CHECK(s->valid);
    if (s->is_mem) {
        struct memtable_version *older = memtable_version_older(s->version);

        if (older != NULL) {
            show_mem_version(s, older);
            return 0;
        }
        memtable_iter_prev(&s->iter);
        show_mem_entry(s);
        return 0;
    }
    rc = segment_iter_prev(s->segment_iter);
    return done(s, rc != 0 ? rc : roll_back(s));
}

int
lsm_source_skip(struct lsm_source *s, struct slice key)
{
    int rc = 0;

    if (s->is_mem) {
        CHECK(s->valid);
        memtable_iter_next(&s->iter);
        show_mem_entry(s);
        return 0;
    }
    while (rc == 0 && s->valid && slice_eq(s->v.key, key))
        rc = lsm_source_next(s);
    return rc;
}
