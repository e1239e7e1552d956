/* Stretches of redo that are read again (CUT-4).
 *
 * A node that follows again a stream which it left early has dropped, or may have dropped, the
 * versions of transactions that were open where it left. Their writes are read again: from the
 * first record of the oldest to where the stream was left. Only theirs: everything else of that
 * stretch is here, below what other branches have written meanwhile, and a second copy above that
 * would come first in the order of age where it is not newest.
 *
 * CUT-5 Until every tree has flushed what it was given again, a crash means reading it again.
 *       Each tree does that once: a mark says that it has flushed its part.
 *
 * In the manifest: REREAD, key u32be incarnation, u64be end, u64be tree. Tree 0: u64 low | u32 n |
 * n x u64 txid. Another: empty, that tree's mark.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "engine/lsm/lsm_int.h"

static struct slice
stretch_key(uint8_t buf[20], incarnation_t inc, uint64_t end, tree_id_t tree)
{
    store_u32_be(buf, inc);
    store_u64_be(buf + 4, end);
    store_u64_be(buf + 12, tree);
    return slice(buf, 20);
}

static int
compare_txids(const void *a, const void *b)
{
    txid_t ta = *(const txid_t *)a, tb = *(const txid_t *)b;

    return ta < tb ? -1 : ta > tb;
}

static bool
is_open_in(const struct lsm_stretch *s, txid_t txid)
{
    return s->open_count != 0 &&
           bsearch(&txid, s->open, s->open_count, sizeof *s->open, compare_txids) != NULL;
}

static bool
has_mark(const struct lsm_tree *t, const struct lsm_stretch *s)
{
    for (size_t i = 0; i < t->reread_count; i++)
        if (t->reread[i].inc == s->inc && t->reread[i].end == s->end)
            return true;
    return false;
}

static void
add_mark(struct lsm_tree *t, incarnation_t inc, uint64_t end, bool in_edit)
{
    t->reread = xrealloc(t->reread, (t->reread_count + 1) * sizeof *t->reread);
    t->reread[t->reread_count++] = (struct lsm_stretch_name){ inc, end, in_edit };
}

static void
add_stretch(struct lsm *l, incarnation_t inc, uint64_t low, uint64_t end, const txid_t *open,
            size_t count)
{
    struct lsm_stretch *s;

    l->stretches = xrealloc(l->stretches, (l->stretch_count + 1) * sizeof *l->stretches);
    s = &l->stretches[l->stretch_count++];
    *s = (struct lsm_stretch){ .inc = inc, .low = low, .end = end, .open_count = count };
    s->open = xmalloc((count + 1) * sizeof *s->open);
    memcpy(s->open, open, count * sizeof *s->open);
    qsort(s->open, count, sizeof *s->open, compare_txids);
}

/* ---- asking -----------------------------------------------------------------------------------
 */

bool
lsm_stretch_needs(struct lsm_tree *t, incarnation_t inc, uint64_t lsn, txid_t txid)
{
    const struct lsm *l = t->lsm;
    uint64_t only = atomic_load(&l->rereading); /* else recovery: all of them */

    for (size_t i = 0; i < l->stretch_count; i++) {
        const struct lsm_stretch *s = &l->stretches[i];

        if ((only == 0 || s->end == only) && s->inc == inc && lsn >= s->low && lsn < s->end &&
            is_open_in(s, txid) && !has_mark(t, s))
            return true;
    }
    return false;
}

bool
lsm_stretch_low(struct lsm *l, incarnation_t inc, uint64_t *low)
{
    bool found = false;

    for (size_t i = 0; i < l->stretch_count; i++) {
        if (l->stretches[i].inc != inc || (found && l->stretches[i].low >= *low))
            continue;
        *low = l->stretches[i].low;
        found = true;
    }
    return found;
}

uint64_t
lsm_stretch_end(const struct lsm_tree *t, incarnation_t inc)
{
    uint64_t end = 0;

    for (size_t i = 0; i < t->lsm->stretch_count; i++) {
        const struct lsm_stretch *s = &t->lsm->stretches[i];

        if (s->inc == inc && s->end > end && !has_mark(t, s))
            end = s->end;
    }
    return end;
}

/* ---- beginning --------------------------------------------------------------------------------
 */

/* The same stretch once more: left, followed, left again at the same place, and now it is lost
 * again what the trees have been given. Their marks do not count any more. */
static bool
begin_again(struct lsm *l, struct manifest_edit *e, struct lsm_stretch *s)
{
    struct lsm_tree **trees;
    size_t count = lsm_tree_snapshot_all(l, &trees);
    uint8_t key[20];

    for (size_t i = 0; i < count; i++) {
        size_t kept = 0;

        for (size_t k = 0; k < trees[i]->reread_count; k++) {
            struct lsm_stretch_name mark = trees[i]->reread[k];

            if (mark.inc != s->inc || mark.end != s->end)
                trees[i]->reread[kept++] = mark;
            else
                manifest_remove(e, MANIFEST_REREAD, stretch_key(key, s->inc, s->end, trees[i]->id));
        }
        trees[i]->reread_count = kept;
    }
    xfree(trees);
    s->ending = false; /* leaving the other branch may have thought it over */
    return true;
}

void
lsm_stretch_add(struct lsm *l, struct manifest_edit *e, incarnation_t inc,
                const struct lsm_reread *again)
{
    uint8_t key[20];
    struct writer w;
    bool there = false;

    for (size_t i = 0; i < l->stretch_count; i++)
        if (l->stretches[i].inc == inc && l->stretches[i].end == again->end.v)
            there = begin_again(l, e, &l->stretches[i]);
    env_mutex_lock(&l->state);
    if (!there) /* else what was open there is the same */
        add_stretch(l, inc, again->low.v, again->end.v, again->open, again->open_count);
    env_mutex_unlock(&l->state);
    wr_init(&w, 0);
    wr_u64(&w, again->low.v);
    wr_u32(&w, (uint32_t)again->open_count);
    for (size_t i = 0; i < again->open_count; i++)
        wr_u64(&w, again->open[i]);
    manifest_put(e, MANIFEST_REREAD, stretch_key(key, inc, again->end.v, 0), wr_view(&w));
    wr_fini(&w);
}

static void
forget(struct lsm *l, size_t at)
{
    env_mutex_lock(&l->state);
    xfree(l->stretches[at].open);
    l->stretches[at] = l->stretches[--l->stretch_count];
    env_mutex_unlock(&l->state);
}

void
lsm_stretch_take_back(struct lsm *l)
{
    forget(l, l->stretch_count - 1);
}

/* ---- ending -----------------------------------------------------------------------------------
 */

static bool
may_hold(const struct lsm_mem *m, const struct lsm_stretch *s)
{
    return m->tag == s->inc && (m->reread_all ? m->reread >= s->end : m->reread == s->end);
}

/* Whether a memtable that is not flushed holds something of the stretch; `tree` NULL: of any tree.
 */
static bool
is_in_memory(struct lsm *l, const struct lsm_stretch *s, const struct lsm_tree *tree,
             const struct lsm_mem *except)
{
    bool found = false;

    env_mutex_lock(&l->mems_lock);
    list_for_each (m, &l->mems, struct lsm_mem, link)
        found |= m != except && !m->flushed && may_hold(m, s) &&
                 (tree == NULL || m->tree == tree) && !memtable_is_empty(m->table);
    env_mutex_unlock(&l->mems_lock);
    return found;
}

/* The stretch is over: it goes, with the marks of all trees, once the edit is durable. */
static void
end_stretch(struct lsm *l, struct manifest_edit *e, struct lsm_stretch *s)
{
    struct lsm_tree **trees;
    size_t count = lsm_tree_snapshot_all(l, &trees);
    uint8_t key[20];

    s->ending = true;
    manifest_remove(e, MANIFEST_REREAD, stretch_key(key, s->inc, s->end, 0));
    for (size_t i = 0; i < count; i++)
        if (has_mark(trees[i], s))
            manifest_remove(e, MANIFEST_REREAD, stretch_key(key, s->inc, s->end, trees[i]->id));
    xfree(trees);
}

static void
drop_marks(struct lsm *l, struct lsm_tree *t, bool durable)
{
    size_t kept = 0;

    for (size_t k = 0; k < t->reread_count; k++) {
        struct lsm_stretch_name *mark = &t->reread[k];
        bool gone = mark->in_edit && !durable;

        for (size_t i = 0; i < l->stretch_count && durable; i++)
            gone |= l->stretches[i].ending && l->stretches[i].inc == mark->inc &&
                    l->stretches[i].end == mark->end;
        mark->in_edit = false;
        if (!gone)
            t->reread[kept++] = *mark;
    }
    t->reread_count = kept;
}

void
lsm_stretches_edit_done(struct lsm *l, bool durable)
{
    struct lsm_tree **trees;
    size_t count;

    if (l->stretch_count == 0)
        return;
    count = lsm_tree_snapshot_all(l, &trees);
    for (size_t i = 0; i < count; i++)
        drop_marks(l, trees[i], durable);
    xfree(trees);
    for (size_t i = l->stretch_count; i-- > 0;) {
        if (l->stretches[i].ending && durable)
            forget(l, i);
        else
            l->stretches[i].ending = false;
    }
}

void
lsm_stretches_edit(struct lsm *l, struct manifest_edit *e, struct lsm_tree *t,
                   const struct lsm_mem *flushed)
{
    uint8_t key[20];

    for (size_t i = 0; i < l->stretch_count; i++) {
        struct lsm_stretch *s = &l->stretches[i];

        if (atomic_load(&l->rereading) == s->end)
            continue; /* not all of it has been read yet */
        if (!is_in_memory(l, s, NULL, flushed) || lsm_is_broken(l, LSM_BREAK_CUT_5)) {
            end_stretch(l, e, s);
        } else if (flushed != NULL && may_hold(flushed, s) && !has_mark(t, s) &&
                   !is_in_memory(l, s, t, flushed)) {
            add_mark(t, s->inc, s->end, true);
            manifest_put(e, MANIFEST_REREAD, stretch_key(key, s->inc, s->end, t->id),
                         slice(NULL, 0));
        }
    }
}

/* ---- loading ----------------------------------------------------------------------------------
 */

static int
load_stretch(void *arg, struct slice key, struct slice value)
{
    struct lsm *l = arg;
    struct reader k, r;
    incarnation_t inc;
    uint64_t end, low;
    tree_id_t tree;
    txid_t *open;
    uint32_t n;

    rd_init(&k, key.data, key.size);
    rd_init(&r, value.data, value.size);
    inc = rd_u32_be(&k);
    end = rd_u64_be(&k);
    tree = rd_u64_be(&k);
    if (!rd_ok(&k) || rd_left(&k) != 0)
        return DIAG(ERR_CORRUPT, "manifest: a stretch of redo does not fit");
    if (tree != 0) {
        add_mark(lsm_tree_make(l, tree), inc, end, false);
        return 0;
    }
    low = rd_u64(&r);
    n = rd_u32(&r);
    if (!rd_ok(&r) || rd_left(&r) != (uint64_t)n * 8)
        return DIAG(ERR_CORRUPT, "manifest: a stretch of redo does not fit");
    open = xmalloc((size_t)n * sizeof *open + 1);
    for (uint32_t i = 0; i < n; i++)
        open[i] = rd_u64(&r);
    add_stretch(l, inc, low, end, open, n);
    xfree(open);
    return 0;
}

int
lsm_stretches_load(struct lsm *l)
{
    return manifest_each(l->manifest, MANIFEST_REREAD, load_stretch, l);
}

void
lsm_stretches_fini(struct lsm *l)
{
    for (size_t i = 0; i < l->stretch_count; i++)
        xfree(l->stretches[i].open);
    xfree(l->stretches);
}
