/* The rules of a read, and reading one key.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mem.h"
#include "engine/lsm/filter.h"
#include "engine/undo/undo_int.h"

void
undo_scope_init(struct undo_scope *sc, const struct undo_read *r)
{
    sc->read = r;
    sc->view = r->view;
    sc->ordered = r->branch == r->view->branch;
    sc->broken = r->view->broken;
}

scn_t
undo_part(const struct undo_scope *sc, incarnation_t tag, scn_t part_of_view)
{
    return sc->ordered ? part_of_view : lsm_part(sc->view->lsm, tag, sc->read->branch);
}

bool
undo_is_revived(const struct undo_scope *sc, const struct lsm_slot *slot, scn_t *part)
{
    const struct segment_props *p = slot->file->props;

    *part = undo_part(sc, slot->file->tag, slot->part);
    if (sc->ordered)
        return slot->revived;
    return p->scn_min <= *part && p->superseded_max > *part && !(sc->broken & LSM_BREAK_UNDO_2);
}

/* ---- one version ------------------------------------------------------------------------------
 */

static void
take(struct undo_best *b, const struct version_ref *v, stamp_t stamp)
{
    b->found = true;
    b->stamp = stamp;
    b->seq = v->seq;
    b->kind = v->kind;
    b->value = v->value;
}

static void
note_newest(struct undo_best *b, scn_t scn)
{
    if (!b->has_newest || scn > b->newest)
        b->newest = scn;
    b->has_newest = true;
}

static enum undo_step
offer_open(const struct undo_scope *sc, struct undo_best *b, const struct version_ref *v,
           bool newest_first, bool *taken)
{
    const struct undo_read *r = sc->read;

    if (r->own == NULL || !r->own(r->own_arg, v->stamp, v->seq))
        return UNDO_STEP_NEXT;
    *taken = !b->own || v->seq > b->seq;
    if (*taken)
        take(b, v, v->stamp);
    b->own = true;
    return newest_first ? UNDO_STEP_DONE : UNDO_STEP_NEXT;
}

enum undo_step
undo_offer_main(const struct undo_scope *sc, struct undo_best *b, const struct version_ref *v,
                enum lsm_status status, scn_t scn, scn_t part, bool newest_first, bool *taken)
{
    *taken = false;
    if (status == LSM_OPEN)
        return offer_open(sc, b, v, newest_first && sc->ordered, taken);
    if (status == LSM_DEAD || scn > part || b->own)
        return UNDO_STEP_NEXT;
    if ((sc->broken & LSM_BREAK_READ_1) != 0 && b->has_newest && b->newest > sc->read->scn)
        return UNDO_STEP_NEXT; /* the past is asked of undo only */
    note_newest(b, scn);
    if (scn > sc->read->scn)
        return UNDO_STEP_NEXT;
    if (!b->found || version_order(scn, v->seq, b->stamp, b->seq) < 0) {
        take(b, v, scn);
        *taken = true;
    }
    if (!newest_first)
        return UNDO_STEP_NEXT;
    return sc->ordered ? UNDO_STEP_DONE : UNDO_STEP_RUN;
}

bool
undo_offer_entry(const struct undo_scope *sc, struct undo_best *b, const struct version_ref *v,
                 scn_t part, bool revived)
{
    scn_t scn = v->stamp, s = sc->read->scn;
    bool within;

    if (scn > part)
        return false;
    if (revived && v->superseded > part && !(sc->broken & LSM_BREAK_READ_2))
        note_newest(b, scn);
    within = v->superseded > part || s < v->superseded || (sc->broken & LSM_BREAK_UNDO_3) != 0;
    if (scn > s || !within || (b->found && version_order(scn, v->seq, b->stamp, b->seq) >= 0))
        return false;
    take(b, v, scn);
    return true;
}

/* ---- files ------------------------------------------------------------------------------------
 */

MUST_CHECK
static int
copy_value(const struct undo_scope *sc, struct undo_best *b)
{
    uint8_t *copy;

    if (b->value.size == 0)
        return 0;
    copy = arena_try_alloc(sc->read->arena, b->value.size);
    if (copy == NULL)
        return ERR_NOMEM;
    memcpy(copy, b->value.data, b->value.size);
    b->value.data = copy;
    return 0;
}

MUST_CHECK
static int
search_file(const struct undo_scope *sc, const struct lsm_slot *slot, struct slice key,
            uint64_t hash, struct undo_best *b, enum undo_step *step)
{
    scn_t part = undo_part(sc, slot->file->tag, slot->part);
    struct segment_cursor c;
    int rc;

    *step = UNDO_STEP_NEXT;
    if (!segment_maybe(slot->file->segment, key, hash))
        return 0;
    rc = segment_get(slot->file->segment, key, hash, &c);
    while (rc == 0 && c.valid && *step == UNDO_STEP_NEXT) {
        scn_t scn = 0;
        enum lsm_status status = lsm_stamp_status(sc->view->host, c.v.stamp, &scn);
        bool taken;

        *step = undo_offer_main(sc, b, &c.v, status, scn, part, true, &taken);
        if (taken)
            rc = copy_value(sc, b);
        if (rc == 0 && *step == UNDO_STEP_NEXT)
            rc = segment_cursor_next(&c);
    }
    if (rc == 0)
        segment_cursor_close(&c);
    return rc;
}

MUST_CHECK
static int
search_undo_file(const struct undo_scope *sc, const struct lsm_slot *slot, scn_t part, bool revived,
                 struct slice key, uint64_t hash, struct undo_best *b)
{
    struct segment_cursor c;
    int rc;

    if (!segment_maybe(slot->file->segment, key, hash))
        return 0;
    rc = segment_get(slot->file->segment, key, hash, &c);
    while (rc == 0 && c.valid) {
        if (undo_offer_entry(sc, b, &c.v, part, revived)) {
            rc = copy_value(sc, b);
            if (rc != 0 || !revived)
                break; /* the rest is older */
        }
        rc = segment_cursor_next(&c);
    }
    segment_cursor_close(&c);
    return rc;
}

int
undo_search_undo(const struct undo_scope *sc, struct slice key, uint64_t hash, struct undo_best *b)
{
    const struct lsm_view *v = sc->view;
    uint32_t asked = sc->ordered ? v->revived_count : v->undo_count;
    scn_t part;
    int rc = 0;

    if (b->own)
        return 0;
    for (uint32_t i = 0; rc == 0 && i < asked; i++)
        if (undo_is_revived(sc, &v->undo[i], &part))
            rc = search_undo_file(sc, &v->undo[i], part, true, key, hash, b);
    if (rc != 0 || !undo_is_past(sc, b))
        return rc;
    for (uint32_t i = 0; rc == 0 && i < v->undo_count; i++)
        if (lsm_undo_covers(&v->undo[i], sc->read->scn) && !undo_is_revived(sc, &v->undo[i], &part))
            rc = search_undo_file(sc, &v->undo[i], part, false, key, hash, b);
    return rc;
}

/* ---- one key ----------------------------------------------------------------------------------
 */

static enum undo_step
search_mem(const struct undo_scope *sc, const struct lsm_mem_slot *slot, struct slice key,
           struct undo_best *b)
{
    struct memtable_entry *entry = memtable_lookup(slot->mem->table, key);
    struct memtable_version *at = entry == NULL ? NULL : memtable_entry_newest(entry);
    enum undo_step step = UNDO_STEP_NEXT;
    scn_t part;

    if (at == NULL)
        return step;
    part = undo_part(sc, slot->mem->tag, slot->part);
    for (; at != NULL && step == UNDO_STEP_NEXT; at = memtable_version_older(at)) {
        struct version_ref ref = memtable_version_ref(entry, at);
        scn_t scn = 0;
        enum lsm_status status = lsm_mem_status(sc->view->host, at, &ref.stamp, &scn);
        bool taken;

        step = undo_offer_main(sc, b, &ref, status, scn, part, true, &taken);
    }
    return step;
}

int
undo_get(const struct undo_read *r, struct slice key, struct undo_row *row)
{
    const struct lsm_view *v = r->view;
    enum undo_step step = UNDO_STEP_NEXT;
    struct undo_best b = { 0 };
    struct undo_scope sc;
    uint64_t hash = 0;
    int rc = 0;

    undo_scope_init(&sc, r);
    for (uint32_t i = 0; i < v->mem_count && step != UNDO_STEP_DONE; i++)
        step = search_mem(&sc, &v->mems[i], key, &b);
    if (step != UNDO_STEP_DONE && v->run_count != 0)
        hash = filter_hash(key);
    for (uint32_t i = 0; rc == 0 && i < v->run_count && step != UNDO_STEP_DONE; i++) {
        const struct lsm_slot *slot = lsm_run_find(&v->runs[i], key);

        if (slot != NULL)
            rc = search_file(&sc, slot, key, hash, &b, &step);
    }
    /* The present of the branch followed, with nothing revived: undo has nothing to say. */
    if (rc == 0 && v->undo_count != 0 &&
        (v->revived_count != 0 || !sc.ordered || undo_is_past(&sc, &b)))
        rc = undo_search_undo(&sc, key, filter_hash(key), &b);
    if (rc != 0)
        return rc;
    if (!b.found || b.kind == VERSION_DELETE)
        return ERR_NOT_FOUND;
    *row = (struct undo_row){ .value = b.value, .stamp = b.stamp, .seq = b.seq };
    return 0;
}
