/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/redo/lineage.h"

enum { LINEAGE_VERSION = 1, LINEAGE_ENTRY_SIZE = 4 + 4 + 4 + 8 + 8 + 8 };

void
lineage_init(struct lineage *l)
{
    *l = (struct lineage){ 0 };
}

void
lineage_fini(struct lineage *l)
{
    xfree(l->entries);
    *l = (struct lineage){ 0 };
}

void
lineage_copy(struct lineage *dst, const struct lineage *src)
{
    if (dst == src)
        return;
    dst->count = 0;
    if (dst->cap < src->count) {
        dst->entries = xrealloc(dst->entries, src->count * sizeof *dst->entries);
        dst->cap = src->count;
    }
    if (src->count > 0)
        memcpy(dst->entries, src->entries, src->count * sizeof *dst->entries);
    dst->count = src->count;
}

/* The place of inc: of the first entry not below it. */
static uint32_t
lineage_place(const struct lineage *l, incarnation_t inc)
{
    uint32_t lo = 0, hi = l->count;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (l->entries[mid].inc < inc)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

const struct lineage_entry *
lineage_find(const struct lineage *l, incarnation_t inc)
{
    uint32_t at = lineage_place(l, inc);

    return at < l->count && l->entries[at].inc == inc ? &l->entries[at] : NULL;
}

incarnation_t
lineage_max(const struct lineage *l)
{
    return l->count > 0 ? l->entries[l->count - 1].inc : 0;
}

static bool
lineage_entry_eq(const struct lineage_entry *a, const struct lineage_entry *b)
{
    return a->inc == b->inc && a->parent == b->parent && a->fork_scn == b->fork_scn &&
           a->prev == b->prev && a->start_lsn.v == b->start_lsn.v && a->reign_id == b->reign_id;
}

MUST_CHECK
static int
lineage_check(const struct lineage *l, const struct lineage_entry *e)
{
    const struct lineage_entry *prev = lineage_find(l, e->prev);

    if (e->inc == 0 || e->inc > INCARNATION_MAX || e->parent >= e->inc || e->prev >= e->inc ||
        e->fork_scn > SCN_MAX)
        return DIAG(ERR_CORRUPT, "lineage: incarnation %u is out of order", e->inc);
    if (e->parent != 0 && lineage_find(l, e->parent) == NULL)
        return DIAG(ERR_CORRUPT, "lineage: incarnation %u has an unknown parent %u", e->inc,
                    e->parent);
    if (e->prev != 0 && prev == NULL)
        return DIAG(ERR_CORRUPT, "lineage: incarnation %u goes on from an unknown one, %u", e->inc,
                    e->prev);
    if (prev != NULL && lsn_lt(e->start_lsn, prev->start_lsn))
        return DIAG(ERR_CORRUPT, "lineage: incarnation %u begins before %u, which it goes on from",
                    e->inc, e->prev);
    return 0;
}

int
lineage_add(struct lineage *l, const struct lineage_entry *e)
{
    uint32_t at = lineage_place(l, e->inc);
    int rc;

    if (at < l->count && l->entries[at].inc == e->inc) {
        if (lineage_entry_eq(&l->entries[at], e))
            return 0;
        return DIAG(ERR_DIVERGED, "incarnation %u means two reigns: %016llx here and %016llx there",
                    e->inc, (unsigned long long)l->entries[at].reign_id,
                    (unsigned long long)e->reign_id);
    }
    rc = lineage_check(l, e);
    if (rc != 0)
        return rc;
    if (l->count == l->cap) {
        l->cap = l->cap < 8 ? 8 : l->cap * 2;
        l->entries = xrealloc(l->entries, l->cap * sizeof *l->entries);
    }
    memmove(l->entries + at + 1, l->entries + at, (l->count - at) * sizeof *l->entries);
    l->entries[at] = *e;
    l->count++;
    return 0;
}

int
lineage_merge(struct lineage *dst, const struct lineage *src)
{
    struct lineage merged;
    int rc = 0;

    lineage_init(&merged);
    lineage_copy(&merged, dst);
    for (uint32_t i = 0; rc == 0 && i < src->count; i++)
        rc = lineage_add(&merged, &src->entries[i]);
    if (rc == 0)
        lineage_copy(dst, &merged);
    lineage_fini(&merged);
    return rc;
}

bool
lineage_agrees(const struct lineage *a, const struct lineage *b)
{
    for (uint32_t i = 0; i < a->count; i++) {
        const struct lineage_entry *e = lineage_find(b, a->entries[i].inc);

        if (e != NULL && !lineage_entry_eq(e, &a->entries[i]))
            return false;
    }
    return true;
}

/* ---- branches ------------------------------------------------------------------------------ */

bool
lineage_path_next(const struct lineage *l, struct lineage_step *at)
{
    const struct lineage_entry *e = lineage_find(l, at->inc);

    if (e == NULL || e->parent == 0)
        return false;
    at->inc = e->parent;
    if (e->fork_scn < at->upto)
        at->upto = e->fork_scn;
    return true;
}

/* Numbers fall along a path, so the lowest common ancestor is where two walks meet that always
 * move the one with the higher number. */
scn_t
lineage_part(const struct lineage *l, incarnation_t a, incarnation_t b)
{
    struct lineage_step x = { a, SCN_MAX }, y = { b, SCN_MAX };

    while (x.inc != y.inc) {
        if (!lineage_path_next(l, x.inc > y.inc ? &x : &y))
            return 0;
    }
    return x.upto < y.upto ? x.upto : y.upto;
}

incarnation_t
lineage_owner(const struct lineage *l, incarnation_t branch, scn_t scn)
{
    struct lineage_step at = { branch, SCN_MAX };

    for (;;) {
        const struct lineage_entry *e = lineage_find(l, at.inc);

        if (e == NULL)
            return 0;
        if (scn > e->fork_scn)
            return e->inc;
        if (!lineage_path_next(l, &at))
            return 0;
    }
}

bool
lineage_holds(const struct lineage *l, incarnation_t branch, struct moment m)
{
    struct lineage_step at = { branch, SCN_MAX };

    do {
        if (at.inc == m.inc)
            return m.scn <= at.upto;
    } while (at.inc > m.inc && lineage_path_next(l, &at));
    return false;
}

/* ---- streams ------------------------------------------------------------------------------- */

incarnation_t
lineage_redo_at(const struct lineage *l, incarnation_t target, struct lsn lsn)
{
    const struct lineage_entry *e = lineage_find(l, target);

    while (e != NULL && lsn_lt(lsn, e->start_lsn))
        e = lineage_find(l, e->prev);
    return e != NULL ? e->inc : 0;
}

/* The entry after `inc` on the way to target; NULL when inc is target, or not on the way, which
 * *on_way tells. */
static const struct lineage_entry *
lineage_after(const struct lineage *l, incarnation_t target, incarnation_t inc, bool *on_way)
{
    const struct lineage_entry *e = lineage_find(l, target);

    *on_way = target == inc;
    if (target == inc)
        return NULL;
    while (e != NULL && e->prev != inc)
        e = lineage_find(l, e->prev);
    *on_way = e != NULL;
    return e;
}

bool
lineage_redo_end(const struct lineage *l, incarnation_t target, incarnation_t inc, struct lsn *end)
{
    bool on_way;
    const struct lineage_entry *next = lineage_after(l, target, inc, &on_way);

    *end = next != NULL ? next->start_lsn : LSN_MAX;
    return on_way;
}

incarnation_t
lineage_redo_next(const struct lineage *l, incarnation_t target, incarnation_t inc)
{
    bool on_way;
    const struct lineage_entry *next = lineage_after(l, target, inc, &on_way);

    return next != NULL ? next->inc : 0;
}

/* What node n holds of inc ends here. */
static struct lsn
lineage_held_end(const struct lineage_end *n, incarnation_t inc)
{
    struct lsn end;

    if (!lineage_redo_end(n->lineage, n->inc, inc, &end))
        return lsn_make(0);
    return lsn_lt(n->lsn, end) ? n->lsn : end;
}

int
lineage_compare(const struct lineage_end *a, const struct lineage_end *b, struct lineage_fork *fork)
{
    incarnation_t inc = a->inc;

    for (;; inc = lineage_find(a->lineage, inc)->prev) {
        const struct lineage_entry *x = lineage_find(a->lineage, inc);
        const struct lineage_entry *y = lineage_find(b->lineage, inc);
        struct lsn end;

        if (inc == 0 || x == NULL)
            break;
        if (y == NULL || !lineage_entry_eq(x, y) ||
            !lineage_redo_end(b->lineage, b->inc, inc, &end))
            continue;
        struct lsn end_a = lineage_held_end(a, inc), end_b = lineage_held_end(b, inc);

        *fork = (struct lineage_fork){ inc, lsn_lt(end_a, end_b) ? end_a : end_b };
        /* Of which one of them has no byte yet: what both have of the one before ends there. */
        if (lsn_lt(x->start_lsn, fork->lsn) || lineage_find(a->lineage, x->prev) == NULL)
            return 0;
    }
    if (a->inc == 0 || b->inc == 0) {
        /* One of them is empty: it holds a prefix of everything. */
        *fork = (struct lineage_fork){ 0, a->inc == 0 ? a->lsn : b->lsn };
        return 0;
    }
    return DIAG(ERR_DIVERGED, "the two nodes have no incarnation in common");
}

/* ---- bytes --------------------------------------------------------------------------------- */

void
lineage_entry_encode(struct writer *w, const struct lineage_entry *e)
{
    wr_u32(w, e->inc);
    wr_u32(w, e->parent);
    wr_u32(w, e->prev);
    wr_u64(w, e->fork_scn);
    wr_u64(w, e->start_lsn.v);
    wr_u64(w, e->reign_id);
}

void
lineage_entry_decode(struct reader *r, struct lineage_entry *e)
{
    e->inc = rd_u32(r);
    e->parent = rd_u32(r);
    e->prev = rd_u32(r);
    e->fork_scn = rd_u64(r);
    e->start_lsn.v = rd_u64(r);
    e->reign_id = rd_u64(r);
    if (e->inc == 0 || e->inc > INCARNATION_MAX || e->parent >= e->inc || e->prev >= e->inc ||
        e->fork_scn > SCN_MAX)
        rd_fail(r);
}

void
lineage_encode(struct writer *w, const struct lineage *l)
{
    wr_u8(w, LINEAGE_VERSION);
    wr_varint(w, l->count);
    for (uint32_t i = 0; i < l->count; i++)
        lineage_entry_encode(w, &l->entries[i]);
}

int
lineage_decode(struct reader *r, struct lineage *l)
{
    uint64_t count;

    l->count = 0;
    if (rd_u8(r) != LINEAGE_VERSION)
        rd_fail(r);
    count = rd_varint(r);
    if (count > rd_left(r) / LINEAGE_ENTRY_SIZE)
        rd_fail(r);
    for (uint64_t i = 0; rd_ok(r) && i < count; i++) {
        struct lineage_entry e;

        lineage_entry_decode(r, &e);
        if (rd_ok(r) && (e.inc <= lineage_max(l) || lineage_add(l, &e) != 0))
            rd_fail(r);
    }
    if (rd_ok(r))
        return 0;
    l->count = 0;
    return DIAG(ERR_CORRUPT, "the lineage is not well formed");
}
