/* Reads of a transaction: the statement's snapshot, or a moment of the past.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mem.h"
#include "engine/txn/engine_int.h"

struct txn_cursor {
    struct undo_cursor *undo;
};

/* The branch of the snapshot, also when the node has cut it off since: what it held stays readable
 * as an orphan branch, or the statement ends. */
MUST_CHECK
static int
snapshot_branch(const struct txn *t, incarnation_t *branch)
{
    struct engine *e = t->engine;

    *branch = t->snapshot_inc;
    if (t->snapshot_inc == engine_incarnation(e))
        return 0;
    if (!lsm_holds(e->lsm, t->snapshot_inc, t->snapshot))
        return DIAG(ERR_SERIALIZATION_FAILURE,
                    "could not serialize access: what this snapshot saw was cut off");
    *branch = lsm_home(e->lsm, t->snapshot_inc, t->snapshot);
    return 0;
}

/* An AS OF read sees no own writes: they belong to no moment yet. */
static int
read_init(struct txn *t, tree_id_t tree, const struct read_moment *m, struct undo_read *r)
{
    struct statement_view *v;
    incarnation_t branch;
    int rc = txn_view(t, tree, &v);

    if (rc == 0)
        rc = snapshot_branch(t, &branch);
    if (rc != 0)
        return rc;
    *r = (struct undo_read){
        .view = v->view,
        .branch = branch,
        .scn = t->snapshot,
        .arena = &t->arena,
    };
    if (m != NULL) {
        r->branch = lsm_home(t->engine->lsm, m->inc != 0 ? m->inc : t->snapshot_inc, m->scn);
        r->scn = m->scn;
    } else if (t->txid_count != 0) {
        r->own = txn_own_cb;
        r->own_arg = t;
    }
    return 0;
}

int
txn_get(struct txn *t, tree_id_t tree, struct slice key, const struct read_moment *m,
        struct slice *value)
{
    struct undo_read r;
    struct undo_row row;
    int rc = read_init(t, tree, m, &r);

    if (rc == 0)
        rc = undo_get(&r, key, &row);
    if (rc == 0)
        *value = row.value;
    return rc;
}

static bool
own_any(void *arg, txid_t txid, uint64_t seq)
{
    (void)seq;
    return txn_owns(arg, txid);
}

/* Whatever it finds may be newer than what is visible. */
static void
read_newest_commits(struct txn *t, struct undo_read *r)
{
    scn_t newest = engine_newest_scn(t->engine);

    r->scn = SCN_MAX;
    r->own = t->txid_count != 0 ? own_any : NULL;
    r->own_arg = t;
    if (newest > t->must_see)
        t->must_see = newest;
}

int
txn_scan(struct txn *t, tree_id_t tree, struct slice lo, struct slice hi, int flags,
         const struct read_moment *m, struct txn_cursor **out)
{
    int undo_flags = (flags & TXN_SCAN_BACKWARD ? UNDO_BACKWARD : 0) |
                     (flags & TXN_SCAN_KEYS_ONLY ? UNDO_KEYS_ONLY : 0);
    struct undo_read r;
    struct txn_cursor *c;
    int rc = read_init(t, tree, m, &r);

    if (rc != 0)
        return rc;
    if ((flags & TXN_SCAN_NEWEST) != 0)
        read_newest_commits(t, &r);
    c = xcalloc(1, sizeof *c);
    rc = undo_cursor_open(&r, lo, hi, undo_flags, &c->undo);
    if (rc != 0) {
        xfree(c);
        return rc;
    }
    *out = c;
    return 0;
}

int
txn_cursor_next(struct txn_cursor *c, struct slice *key, struct slice *value)
{
    struct undo_row row;
    int rc = undo_cursor_next(c->undo, key, &row);

    if (rc == 0 && value != NULL)
        *value = row.value;
    return rc;
}

void
txn_cursor_close(struct txn_cursor *c)
{
    if (c == NULL)
        return;
    undo_cursor_close(c->undo);
    xfree(c);
}
