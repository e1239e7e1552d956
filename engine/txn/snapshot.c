/* What a statement sees: its snapshot, the moments it pins, and the runs that it holds.
 *
 * A snapshot announces its SCN in txn.pinned and then looks whether the horizon has passed it in
 * the meantime (HORIZON-2): the keeper of the horizon reads the announcements after it has chosen,
 * so one of the two notices.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "engine/base/mem.h"
#include "engine/txn/engine_int.h"

/* ---- snapshots ------------------------------------------------------------------------------ */

static void
snapshot_pin(struct txn *t)
{
    struct engine *e = t->engine;

    do {
        t->snapshot_inc = engine_incarnation(e);
        t->snapshot = engine_visible_scn(e);
        atomic_store_explicit(&t->pinned, t->snapshot != 0 ? t->snapshot : 1, memory_order_seq_cst);
    } while (lsm_horizon(e->lsm) > t->snapshot || engine_incarnation(e) != t->snapshot_inc);
    t->has_snapshot = true;
}

int
txn_statement_begin(struct txn *t)
{
    struct engine *e = t->engine;

    CHECK(t->state == TXN_OPEN);
    if (t->statement_depth++ > 0)
        return 0;
    t->statement_seq = t->seq;
    if (t->has_snapshot && t->isolation == TXN_REPEATABLE_READ)
        return 0;
    if (engine_visible_scn(e) < t->floor) {
        int rc = engine_wait_visible(e, t->floor, UINT64_MAX);

        if (rc != 0) {
            t->statement_depth--;
            return rc;
        }
    }
    snapshot_pin(t);
    return 0;
}

void
txn_statement_end(struct txn *t)
{
    struct engine *e = t->engine;

    CHECK(t->statement_depth > 0);
    if (--t->statement_depth > 0)
        return;
    for (uint32_t i = 0; i < t->view_count; i++)
        lsm_view_release(t->views[i].view);
    t->view_count = t->view_floor = 0;
    while (t->statement_holds != NULL) {
        struct statement_hold *h = t->statement_holds;

        t->statement_holds = h->next;
        lsm_unhold(e->lsm, &h->hold);
        xfree(h);
    }
    arena_reset(&t->arena);
    if (t->has_turn) {
        lock_release(e->locks, &t->owner, t->turn, LOCK_TURN);
        t->has_turn = false;
    }
    if (t->isolation == TXN_READ_COMMITTED) {
        atomic_store_explicit(&t->pinned, 0, memory_order_release);
        t->has_snapshot = false;
    }
}

/* A view from before a write may lack the memtable that took it: from here on new ones are read. */
void
txn_command_done(struct txn *t)
{
    t->statement_seq = t->seq;
    t->view_floor = t->view_count;
}

scn_t
txn_snapshot_scn(const struct txn *t)
{
    return t->snapshot;
}

scn_t
engine_oldest_snapshot(struct engine *e, scn_t limit)
{
    env_mutex_lock(&e->txns_mutex);
    list_for_each (t, &e->txns, struct txn, engine_link) {
        scn_t pinned = atomic_load_explicit(&t->pinned, memory_order_seq_cst);

        if (pinned != 0 && pinned < limit)
            limit = pinned;
    }
    env_mutex_unlock(&e->txns_mutex);
    return limit;
}

int
txn_pin_moment(struct txn *t, struct read_moment m)
{
    struct engine *e = t->engine;
    incarnation_t here = engine_incarnation(e);
    incarnation_t inc = m.inc != 0 ? m.inc : t->snapshot_inc;
    struct statement_hold *h;
    int rc;

    CHECK(t->statement_depth > 0);
    if (inc == here && m.scn > engine_visible_scn(e))
        return DIAG(ERR_TARGET_UNREACHABLE,
                    "SCN %" PRIu64 " is in the future: the last one is %" PRIu64, m.scn,
                    engine_visible_scn(e));
    h = xcalloc(1, sizeof *h);
    rc = lsm_hold(e->lsm, (struct moment){ inc, m.scn }, &h->hold);
    if (rc != 0) {
        xfree(h);
        return rc;
    }
    h->next = t->statement_holds;
    t->statement_holds = h;
    return 0;
}

/* ---- views ---------------------------------------------------------------------------------- */

static void
views_grow(struct txn *t)
{
    struct statement_view *grown = xmalloc(2 * t->view_cap * sizeof *grown);

    for (uint32_t i = 0; i < t->view_count; i++)
        grown[i] = t->views[i];
    if (t->views != t->views_inline)
        xfree(t->views);
    t->views = grown;
    t->view_cap *= 2;
}

static struct statement_view *
views_find(struct txn *t, tree_id_t id)
{
    for (uint32_t i = t->view_count; i-- > t->view_floor;)
        if (t->views[i].id == id)
            return &t->views[i];
    return NULL;
}

/* Later entries of a tree are fresher; older ones keep values alive that were read through them. A
 * statement that writes millions of rows must not pin each memtable on its way: an entry through
 * which no value was handed out makes room for its successor. */
int
txn_view_fresh(struct txn *t, tree_id_t id, struct statement_view **out)
{
    struct statement_view *last = views_find(t, id);
    struct lsm_tree *tree = last != NULL ? last->tree : lsm_tree_find(t->engine->lsm, id);

    CHECK(t->statement_depth > 0);
    if (tree == NULL)
        return DIAG(ERR_INTERNAL, "tree %" PRIu64 " does not exist", id);
    if (last != NULL) {
        struct lsm_view *view = lsm_view_acquire(tree);

        *out = last;
        if (view == last->view || !last->is_used) {
            lsm_view_release(last->view);
            last->view = view;
            return 0;
        }
        lsm_view_release(view);
    }
    if (t->view_count == t->view_cap)
        views_grow(t);
    *out = &t->views[t->view_count++];
    **out = (struct statement_view){ id, tree, lsm_view_acquire(tree), false };
    return 0;
}

int
txn_view(struct txn *t, tree_id_t id, struct statement_view **out)
{
    int rc = 0;

    *out = views_find(t, id);
    if (*out == NULL)
        rc = txn_view_fresh(t, id, out);
    if (rc == 0)
        (*out)->is_used = true;
    return rc;
}

bool
txn_own_cb(void *arg, txid_t txid, uint64_t seq)
{
    const struct txn *t = arg;

    return seq < t->statement_seq && txn_owns(t, txid);
}
