/* Writes of a transaction: read the newest version, put another on top of it.
 *
 * The newest version with an open txid is its row's lock. txn_read_newest waits until nobody else
 * holds the row; txn_write adds a version only if the row is still as it was read (ERR_AGAIN
 * otherwise). Contenders for a row queue for a turn, so that the end of a transaction wakes one.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "engine/base/checksum.h"
#include "engine/lsm/version.h"
#include "engine/txn/engine_int.h"

enum { MEMORY_NAP_US = 50000, MEMORY_PATIENCE_US = 20000000 };

static struct lock_name
row_name(tree_id_t tree, struct slice key)
{
    return (struct lock_name){ LOCK_ROW, tree, hash64(key.data, key.size, 0) };
}

static bool
name_eq(struct lock_name a, struct lock_name b)
{
    return a.id == b.id && a.space == b.space && a.class == b.class;
}

static void
turn_give_back(struct txn *t)
{
    if (!t->has_turn)
        return;
    lock_release(t->engine->locks, &t->owner, t->turn, LOCK_TURN);
    t->has_turn = false;
}

static int
turn_take(struct txn *t, struct lock_name name, enum lock_wait wait)
{
    int rc;

    if (t->has_turn && name_eq(t->turn, name))
        return 0;
    turn_give_back(t);
    rc = lock_acquire(t->engine->locks, &t->owner, name, LOCK_TURN, wait);
    if (rc == 0) {
        t->turn = name;
        t->has_turn = true;
    }
    return rc;
}

/* ---- the newest version ---------------------------------------------------------------------- */

/* Parks until `writer` has ended. */
static int
wait_for_writer(struct txn *t, tree_id_t tree, struct slice key, txid_t writer, enum lock_wait wait)
{
    int rc = turn_take(t, row_name(tree, key), wait);

    if (rc == 0)
        rc = lock_wait_txid(t->engine->locks, &t->owner, writer, wait);
    if (rc == 0 && txn_is_doomed(t))
        rc = DIAG(ERR_SHUTDOWN, "this node is not the primary any more: the transaction is over");
    return rc;
}

static void
row_fill(const struct txn *t, const struct lsm_newest *n, struct txn_row *row)
{
    *row = (struct txn_row){ .token = { n->token[0], n->token[1] } };
    if (!n->found)
        return;
    row->found = n->kind != VERSION_DELETE;
    row->token[2] = n->kind;
    row->token[3] = n->seq;
    row->own = n->status == LSM_OPEN;
    row->value = n->value;
    if (!row->own) {
        row->scn = n->stamp;
        row->changed = n->stamp > t->snapshot;
    }
}

/* `share_key`: an open version that leaves the key alone is in nobody's way; the row is there
 * whatever becomes of it, but its value is not ours to see. */
static int
read_newest(struct txn *t, tree_id_t tree, struct slice key, enum lock_wait wait, bool share_key,
            struct txn_row *row)
{
    for (;;) {
        struct statement_view *v;
        struct lsm_newest n;
        int rc = txn_view_fresh(t, tree, &v);

        if (rc == 0)
            rc = lsm_newest(v->view, key, &t->arena, &n);
        if (rc != 0)
            return rc;
        if (!n.found || n.status == LSM_COMMITTED || txn_owns(t, n.stamp)) {
            if (n.found && n.value.size != 0) /* the view may go before the statement ends */
                n.value = slice(arena_memdup(&t->arena, n.value.data, n.value.size), n.value.size);
            row_fill(t, &n, row);
            if (row->scn > t->must_see)
                t->must_see = row->scn;
            return 0;
        }
        if (share_key && n.kind == VERSION_PUT_NO_KEY) {
            *row = (struct txn_row){ .found = true };
            return 0;
        }
        rc = wait_for_writer(t, tree, key, n.stamp, wait);
        if (rc != 0)
            return rc;
    }
}

bool
txn_wrote_in_statement(const struct txn *t, const struct txn_row *row)
{
    return row->own && row->token[3] >= t->statement_seq;
}

static int
refuse_changed(const struct txn *t, const struct txn_row *row)
{
    if (!row->changed || t->isolation == TXN_READ_COMMITTED)
        return 0;
    return DIAG(ERR_SERIALIZATION_FAILURE,
                row->found ? "could not serialize access due to concurrent update"
                           : "could not serialize access due to concurrent delete");
}

int
txn_read_newest(struct txn *t, tree_id_t tree, struct slice key, enum lock_wait wait,
                struct txn_row *row)
{
    int rc = read_newest(t, tree, key, wait, false, row);

    return rc != 0 ? rc : refuse_changed(t, row);
}

/* A row that the transaction wrote is locked already, and asking for an explicit lock on it could
 * wait for somebody who waits for that very version. */
int
txn_lock_row(struct txn *t, tree_id_t tree, struct slice key, enum row_lock mode,
             enum lock_wait wait, struct txn_row *row)
{
    txid_t txid;
    int rc = txn_write_txid(t, &txid);

    if (rc == 0)
        rc = read_newest(t, tree, key, wait, mode == ROW_KEY_SHARE, row);
    if (rc != 0)
        return rc;
    if (!row->own) {
        rc = lock_acquire(t->engine->locks, &t->owner, row_name(tree, key), (int)mode, wait);
        if (rc == 0)
            rc = read_newest(t, tree, key, wait, mode == ROW_KEY_SHARE, row);
    }
    turn_give_back(t);
    return rc != 0 ? rc : refuse_changed(t, row);
}

/* ---- writing -------------------------------------------------------------------------------- */

struct write_args {
    struct lsm_tree *tree;
    struct slice key, value;
    const uint64_t *token; /* NULL: nobody else can know the key */
    txid_t txid;
    uint32_t seq;
    uint8_t kind;
    bool ran;
};

static int
write_guarded(void *arg)
{
    struct write_args *w = arg;

    w->ran = true;
    return lsm_write(w->tree, w->key, w->token, w->txid, w->seq, w->kind, w->value);
}

static int
check_limits(struct slice key, struct slice value)
{
    if (key.size > ENGINE_KEY_MAX) {
        (void)DIAG(ERR_LIMIT, "key of %zu bytes exceeds the maximum of %d", key.size,
                   ENGINE_KEY_MAX);
        diag_hint("Index or cluster by something shorter, such as a hash of the value.");
        return ERR_LIMIT;
    }
    if (value.size > ENGINE_VALUE_MAX)
        return DIAG(ERR_LIMIT, "row of %zu bytes exceeds the maximum of %d", value.size,
                    ENGINE_VALUE_MAX);
    return 0;
}

/* A value that travels in parts: as long as its last one has no LSN, recovery must not begin
 * between them (host_floor). */
static void
long_value_begin(struct txn *t)
{
    struct engine *e = t->engine;

    env_mutex_lock(&e->long_mutex);
    t->long_low = redo_reserved(e->redo);
    list_push_back(&e->long_values, &t->long_link);
    env_mutex_unlock(&e->long_mutex);
}

static void
long_value_end(struct txn *t)
{
    env_mutex_lock(&t->engine->long_mutex);
    list_remove(&t->long_link);
    env_mutex_unlock(&t->engine->long_mutex);
}

/* The version goes into the memtable, then its record into the strand; a sealer sees both or
 * neither (REDO-1). A long value's pieces are appended on the way, with the strand held: the flush
 * of that memtable waits for the last of them, and recovery does not begin between them. They do
 * not go ahead of the version, since that may find the row changed (ERR_AGAIN), and pieces without
 * an end would join those of the next long value. */
static int
write_and_log(struct txn *t, tree_id_t tree, struct lock_name name, int mode, bool own,
              struct write_args *w)
{
    bool is_long = w->value.size > redo_strand_value_max(&t->strand);
    int rc;

    strand_enter(t);
    if (is_long)
        long_value_begin(t);
    rc = own ? write_guarded(w)
             : lock_guarded(t->engine->locks, &t->owner, name, mode, write_guarded, w);
    if (rc == 0) {
        t->seq++;
        t->wrote_catalog |= tree_is_catalog(tree);
        rc = w->kind == VERSION_DELETE
                 ? redo_strand_delete(&t->strand, w->txid, w->seq, tree, w->key)
                 : redo_strand_put(&t->strand, w->txid, w->seq, tree, w->key, w->value);
        if (rc == 0 && is_long)
            rc = redo_strand_flush(&t->strand);
    }
    if (is_long)
        long_value_end(t);
    strand_leave(t);
    return rc;
}

/* A row that this transaction made must not look like one that merely changed: token[2] keeps the
 * kind of the version below. */
static uint8_t
version_kind_of(enum txn_write_kind kind, const struct txn_row *row)
{
    if (kind == TXN_DELETE)
        return VERSION_DELETE;
    if (kind == TXN_PUT_NO_KEY && (!row->own || row->token[2] == VERSION_PUT_NO_KEY))
        return VERSION_PUT_NO_KEY;
    return VERSION_PUT;
}

/* Back-pressure. A disk that hangs makes writers wait, not fail (B13); but a statement that pins
 * the memory itself waits in vain, so its patience ends. */
MUST_CHECK
static int
wait_for_memory(struct txn *t, size_t bytes)
{
    struct lsm *lsm = t->engine->lsm;
    uint64_t delay = lsm_admission_delay_us(lsm, bytes);

    if (delay != 0)
        fiber_sleep_us(delay);
    if (!lsm_memory_is_short(lsm)) {
        t->memory_waited_us = 0;
        return 0;
    }
    do {
        if (fiber_interrupted())
            return DIAG(ERR_QUERY_CANCELED, "canceling statement due to user request");
        fiber_sleep_us(MEMORY_NAP_US);
        t->memory_waited_us += MEMORY_NAP_US;
    } while (t->memory_waited_us < MEMORY_PATIENCE_US && lsm_memory_is_short(lsm) &&
             !txn_is_doomed(t));
    return 0;
}

/* What comes before each write: limits, a txid, the tree; slows down where memory runs short. */
static int
write_begin(struct txn *t, tree_id_t tree, struct write_args *w)
{
    int rc = check_limits(w->key, w->value);

    if (rc == 0)
        rc = txn_write_txid(t, &w->txid);
    if (rc != 0)
        return rc;
    w->tree = lsm_tree_find(t->engine->lsm, tree);
    if (w->tree == NULL)
        return DIAG(ERR_INTERNAL, "tree %" PRIu64 " does not exist", tree);
    return wait_for_memory(t, w->key.size + w->value.size);
}

int
txn_write(struct txn *t, tree_id_t tree, struct slice key, enum txn_write_kind kind,
          struct slice value, const struct txn_row *row)
{
    struct write_args w = { .key = key, .value = value, .token = row->token, .seq = t->seq };
    int mode = kind == TXN_PUT_NO_KEY ? ROW_NO_KEY_UPDATE : ROW_UPDATE;
    struct lock_name name = row_name(tree, key);
    int rc = write_begin(t, tree, &w);

    if (rc != 0)
        return rc;
    w.kind = version_kind_of(kind, row);
    rc = write_and_log(t, tree, name, mode, row->own, &w);
    if (rc == ERR_AGAIN && !w.ran) {
        /* Somebody holds the row without having written it: wait for that one, then the caller
         * looks at the row again, under our lock. */
        int wait_rc = lock_acquire(t->engine->locks, &t->owner, name, mode, LOCK_WAIT);

        return wait_rc != 0 ? wait_rc : ERR_AGAIN;
    }
    if (rc == 0)
        turn_give_back(t);
    return rc;
}

int
txn_insert_new(struct txn *t, tree_id_t tree, struct slice key, struct slice value)
{
    struct write_args w = { .key = key, .value = value, .seq = t->seq, .kind = VERSION_PUT };
    int rc = write_begin(t, tree, &w);

    return rc != 0 ? rc : write_and_log(t, tree, (struct lock_name){ 0 }, 0, true, &w);
}

int
txn_insert(struct txn *t, tree_id_t tree, struct slice key, struct slice value,
           struct txn_row *existing)
{
    int rc;

    do {
        rc = read_newest(t, tree, key, LOCK_WAIT, false, existing);
        if (rc == 0 && existing->found) {
            turn_give_back(t);
            return ERR_FILE_EXISTS;
        }
        if (rc == 0)
            rc = txn_write(t, tree, key, TXN_PUT, value, existing);
    } while (rc == ERR_AGAIN);
    return rc;
}

static int
write_blind(struct txn *t, tree_id_t tree, struct slice key, enum txn_write_kind kind,
            struct slice value)
{
    struct txn_row row;
    int rc;

    do {
        rc = txn_read_newest(t, tree, key, LOCK_WAIT, &row);
        if (rc == 0)
            rc = txn_write(t, tree, key, kind, value, &row);
    } while (rc == ERR_AGAIN);
    return rc;
}

int
txn_put(struct txn *t, tree_id_t tree, struct slice key, struct slice value)
{
    return write_blind(t, tree, key, TXN_PUT, value);
}

int
txn_delete(struct txn *t, tree_id_t tree, struct slice key)
{
    return write_blind(t, tree, key, TXN_DELETE, slice(NULL, 0));
}

int
txn_lock_table(struct txn *t, uint64_t table, enum table_lock mode, enum lock_wait wait)
{
    struct lock_name name = { LOCK_TABLE, 0, table };

    return lock_acquire(t->engine->locks, &t->owner, name, (int)mode, wait);
}

/* ---- trees ---------------------------------------------------------------------------------- */

struct tree_ids_job {
    struct engine *engine;
    tree_id_t first;
};

static int
tree_ids_take(void *arg)
{
    struct tree_ids_job *j = arg;

    return lsm_tree_ids(j->engine->lsm, 1, &j->first);
}

int
txn_tree_create(struct txn *t, tree_id_t *id)
{
    struct tree_ids_job job = { .engine = t->engine };
    txid_t txid;
    int rc = txn_write_txid(t, &txid);

    if (rc == 0)
        rc = job_run(t->engine->jobs, tree_ids_take, &job);
    if (rc != 0)
        return rc;
    *id = job.first;
    strand_enter(t);
    (void)lsm_tree_create(t->engine->lsm, job.first, txid);
    rc = redo_strand_tree(&t->strand, REDO_TREE_CREATE, txid, job.first);
    strand_leave(t);
    return rc;
}

int
txn_tree_drop(struct txn *t, tree_id_t id)
{
    txid_t txid;
    int rc = txn_write_txid(t, &txid);

    if (rc != 0)
        return rc;
    strand_enter(t);
    lsm_tree_drop(t->engine->lsm, id, txid);
    rc = redo_strand_tree(&t->strand, REDO_TREE_DROP, txid, id);
    strand_leave(t);
    return rc;
}
