/* Every version of a key in a span of SCNs: VERSIONS BETWEEN.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "engine/base/mem.h"
#include "engine/lsm/filter.h"
#include "engine/undo/undo_int.h"

struct found {
    scn_t scn, superseded; /* superseded: an upper bound, SCN_MAX while nothing is known */
    uint64_t seq;
    bool deleted;
    struct slice value;
};
struct collector {
    const struct undo_scope *scope;
    struct found *found;
    size_t count, cap;
};

MUST_CHECK
static int
collect(struct collector *c, const struct version_ref *v, scn_t scn, scn_t part, bool copy)
{
    struct found *f;
    uint8_t *data = NULL;

    if (scn > part)
        return 0;
    if (copy && v->value.size != 0) {
        data = arena_try_alloc(c->scope->read->arena, v->value.size);
        if (data == NULL)
            return ERR_NOMEM;
        memcpy(data, v->value.data, v->value.size);
    }
    if (c->count == c->cap) {
        c->cap = c->cap == 0 ? 16 : c->cap * 2;
        c->found = xrealloc(c->found, c->cap * sizeof *c->found);
    }
    f = &c->found[c->count++];
    *f = (struct found){ .scn = scn,
                         .superseded = SCN_MAX,
                         .seq = v->seq,
                         .deleted = v->kind == VERSION_DELETE,
                         .value = v->value };
    if (data != NULL)
        f->value.data = data;
    if (v->superseded != 0 && v->superseded <= part)
        f->superseded = v->superseded;
    return 0;
}

MUST_CHECK
static int
collect_mem(struct collector *c, const struct lsm_mem_slot *slot, struct slice key)
{
    struct memtable_entry *entry = memtable_lookup(slot->mem->table, key);
    struct memtable_version *at = entry == NULL ? NULL : memtable_entry_newest(entry);
    scn_t part = undo_part(c->scope, slot->mem->tag, slot->part);
    int rc = 0;

    for (; rc == 0 && at != NULL; at = memtable_version_older(at)) {
        struct version_ref ref = memtable_version_ref(entry, at);
        scn_t scn = 0;

        if (lsm_mem_status(c->scope->view->host, at, &ref.stamp, &scn) == LSM_COMMITTED)
            rc = collect(c, &ref, scn, part, false);
    }
    return rc;
}

MUST_CHECK
static int
collect_file(struct collector *c, const struct lsm_slot *slot, struct slice key, uint64_t hash)
{
    scn_t part = undo_part(c->scope, slot->file->tag, slot->part);
    struct segment_cursor at;
    int rc;

    if (!segment_maybe(slot->file->segment, key, hash))
        return 0;
    rc = segment_get(slot->file->segment, key, hash, &at);
    while (rc == 0 && at.valid) {
        scn_t scn = 0;

        if (lsm_stamp_status(c->scope->view->host, at.v.stamp, &scn) == LSM_COMMITTED)
            rc = collect(c, &at.v, scn, part, true);
        if (rc == 0)
            rc = segment_cursor_next(&at);
    }
    segment_cursor_close(&at);
    return rc;
}

static int
newest_first(const void *a, const void *b)
{
    const struct found *fa = a, *fb = b;

    return version_order(fa->scn, fa->seq, fb->scn, fb->seq);
}

/* One version per commit, each superseded by the next at the latest. */
static void
tidy(struct collector *c)
{
    size_t kept = 0;

    if (c->count != 0)
        qsort(c->found, c->count, sizeof *c->found, newest_first);
    for (size_t i = 0; i < c->count; i++) {
        struct found *last = kept == 0 ? NULL : &c->found[kept - 1];

        if (last != NULL && last->scn == c->found[i].scn) {
            if (c->found[i].superseded < last->superseded)
                last->superseded = c->found[i].superseded;
            continue;
        }
        c->found[kept++] = c->found[i];
        if (last != NULL && last->scn < c->found[kept - 1].superseded)
            c->found[kept - 1].superseded = last->scn;
    }
    c->count = kept;
}

int
undo_versions(const struct undo_read *r, struct slice key, scn_t from,
              int (*fn)(void *arg, const struct undo_version *v), void *arg)
{
    const struct lsm_view *view = r->view;
    uint64_t hash = filter_hash(key);
    struct undo_scope scope;
    struct collector c = { .scope = &scope };
    int rc = 0;

    undo_scope_init(&scope, r);
    for (uint32_t i = 0; rc == 0 && i < view->mem_count; i++)
        rc = collect_mem(&c, &view->mems[i], key);
    for (uint32_t i = 0; rc == 0 && i < view->run_count; i++) {
        const struct lsm_slot *slot = lsm_run_find(&view->runs[i], key);

        if (slot != NULL)
            rc = collect_file(&c, slot, key, hash);
    }
    for (uint32_t i = 0; rc == 0 && i < view->undo_count; i++)
        rc = collect_file(&c, &view->undo[i], key, hash);
    tidy(&c);
    for (size_t i = 0; rc == 0 && i < c.count; i++) {
        const struct found *f = &c.found[i];
        struct undo_version v = { f->scn, f->superseded, f->seq, f->deleted, f->value };

        if (f->scn > r->scn)
            continue;
        if (f->superseded <= from && f->scn <= from)
            break; /* over before the span, and so is all that is older */
        rc = fn(arg, &v);
        if (f->scn <= from)
            break;
    }
    xfree(c.found);
    return rc;
}
