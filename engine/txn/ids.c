/* Numbers that are never given twice, whatever is rolled back, cut or restored: row ids, OIDs,
 * sequences' caches. A block at a time is made durable in the manifest, outside what a cut reverts,
 * and told to the standbys.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/base/mem.h"
#include "engine/txn/engine_int.h"

enum { ID_BLOCK = 1 << 16 };

struct id_block {
    struct list link; /* in engine.ids; under ids_mutex */
    uint64_t next, end;
    char name[];
};

void
ids_fini(struct engine *e)
{
    struct list *link;

    while ((link = list_pop_front(&e->ids)) != NULL)
        xfree(container_of(link, struct id_block, link));
}

static struct id_block *
block_find(struct engine *e, const char *what)
{
    struct id_block *made;
    size_t size = strlen(what) + 1;

    list_for_each (b, &e->ids, struct id_block, link) {
        if (strcmp(b->name, what) == 0)
            return b;
    }
    made = xcalloc(1, sizeof *made + size);
    memcpy(made->name, what, size);
    list_push_back(&e->ids, &made->link);
    return made;
}

static bool
block_take(struct engine *e, const char *what, uint64_t count, uint64_t *first)
{
    struct id_block *b;
    bool ok;

    env_mutex_lock(&e->ids_mutex);
    b = block_find(e, what);
    ok = b->end - b->next >= count;
    if (ok) {
        *first = b->next;
        b->next += count;
    }
    env_mutex_unlock(&e->ids_mutex);
    return ok;
}

struct refill {
    struct engine *engine;
    const char *what;
    uint64_t count, first;
};

static int
log_ids(struct engine *e, const char *what, uint64_t next)
{
    struct redo_part part = { .commit_at = REDO_NO_COMMIT, .inc = engine_incarnation(e) };
    struct redo_ids rec = { .name = slice_str(what), .next = next };
    struct writer w;
    int rc;

    wr_init(&w, 0);
    redo_encode_ids(&w, &rec);
    part.data = w.data;
    part.size = w.size;
    rc = redo_append(e->redo, &part);
    wr_fini(&w);
    return rc;
}

/* Numbers start at 1. The caller's own count is taken off the new block at once; what was left of
 * an old one is lost, which ids may be. */
static int
refill(void *arg)
{
    struct refill *r = arg;
    struct engine *e = r->engine;
    uint64_t size = r->count > ID_BLOCK ? r->count : ID_BLOCK, before;
    struct id_block *b;
    int rc = manifest_counter_add(lsm_manifest(e->lsm), r->what, size, &before);

    if (rc == 0)
        rc = log_ids(e, r->what, before + size);
    if (rc != 0)
        return rc;
    r->first = before + 1;
    env_mutex_lock(&e->ids_mutex);
    b = block_find(e, r->what);
    if (b->end - b->next < size - r->count) {
        b->next = r->first + r->count;
        b->end = before + size + 1;
    }
    env_mutex_unlock(&e->ids_mutex);
    return 0;
}

int
engine_ids(struct engine *e, const char *what, uint64_t count, uint64_t *first)
{
    struct refill r = { .engine = e, .what = what, .count = count };
    int rc;

    if (!engine_is_writable(e))
        return DIAG(ERR_READ_ONLY_TRANSACTION, "cannot write: this node is not the primary");
    if (block_take(e, what, count, first))
        return 0;
    rc = job_run(e->jobs, refill, &r);
    if (rc == 0)
        *first = r.first;
    return rc;
}
