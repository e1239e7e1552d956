/* What became of transactions, for those who lost their connection in a commit (A5).
 *
 * Which transactions committed is a bit each in a tree of its own (ENGINE_TREE_OUTCOMES), set along
 * with the row of their commit times: so it is exact after a restart, on a standby, after a
 * failover and in a copy, and a cut takes it back. Whoever has no bit, has ended and is not among
 * the commits that no row holds yet (times.c has them in memory) did not commit. Where that cannot
 * be told, because commits between are not known, the answer is that nothing is known.
 *
 *   key u64be block         value 512 bytes: bit i % 8 of byte i / 8 for txid 4096 * block + i
 *   key u64be UINT64_MAX    value u64 SCN | u64 known_from | u64 ended_below (outcome_meta)
 *
 * Txids stand without their bit 63, so that those of later incarnations are greater. Children
 * (savepoints) have no bits: nobody is told their txids.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/txn/engine_int.h"

enum { BLOCK_BITS = 12, BLOCK_BYTES = (1 << BLOCK_BITS) / 8, META_BYTES = 24 };

static uint64_t
number_of(txid_t txid)
{
    return txid & ~TXID_BIT;
}

/* ---- storing --------------------------------------------------------------------------------- */

static int
compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* The newest, visible or not: the keeper alone writes these rows. */
static int
read_newest(struct txn *t, struct slice key, uint8_t *bytes, size_t size, bool *found)
{
    struct txn_row row;
    int rc = txn_read_newest(t, ENGINE_TREE_OUTCOMES, key, LOCK_WAIT, &row);

    *found = rc == 0 && row.found;
    if (*found && row.value.size != size)
        return DIAG(ERR_CORRUPT, "a row of outcomes has %zu bytes, not %zu", row.value.size, size);
    if (*found)
        memcpy(bytes, row.value.data, size);
    return rc;
}

/* The first numbers, all of one block. */
static int
store_block(struct txn *t, const uint64_t *numbers, size_t count, size_t *used)
{
    uint8_t key[8], bits[BLOCK_BYTES] = { 0 };
    uint64_t block = numbers[0] >> BLOCK_BITS;
    bool found;
    int rc;

    store_u64_be(key, block);
    rc = read_newest(t, slice(key, sizeof key), bits, sizeof bits, &found);
    if (rc != 0)
        return rc;
    for (*used = 0; *used < count && numbers[*used] >> BLOCK_BITS == block; (*used)++) {
        unsigned i = (unsigned)numbers[*used] & ((1 << BLOCK_BITS) - 1);

        bits[i / 8] |= (uint8_t)(1u << i % 8);
    }
    return txn_put(t, ENGINE_TREE_OUTCOMES, slice(key, sizeof key), slice(bits, sizeof bits));
}

static void
meta_decode(const uint8_t bytes[META_BYTES], struct outcome_meta *out)
{
    out->scn = load_u64(bytes);
    out->known_from = load_u64(bytes + 8);
    out->ended_below = load_u64(bytes + 16);
}

static int
store_meta(struct txn *t, const struct commit_time *commits, size_t count, uint64_t ended_below)
{
    struct outcome_meta meta = { 0 };
    struct engine *e = t->engine;
    uint8_t key[8], bytes[META_BYTES];
    bool found;
    int rc;

    store_u64_be(key, UINT64_MAX);
    rc = read_newest(t, slice(key, sizeof key), bytes, sizeof bytes, &found);
    if (rc != 0)
        return rc;
    if (found)
        meta_decode(bytes, &meta);
    if (commits[0].scn > meta.scn + 1) /* who committed between is not known any more */
        meta.known_from = number_of(
            txid_make(t->inc, atomic_load_explicit(&e->next_counter, memory_order_acquire)));
    if (commits[count - 1].scn > meta.scn)
        meta.scn = commits[count - 1].scn;
    store_u64(bytes, meta.scn);
    store_u64(bytes + 8, meta.known_from);
    store_u64(bytes + 16, ended_below);
    return txn_put(t, ENGINE_TREE_OUTCOMES, slice(key, sizeof key), slice(bytes, sizeof bytes));
}

int
outcome_store(struct txn *t, const struct commit_time *commits, size_t count, uint64_t ended_below)
{
    uint64_t *numbers = xmalloc(count * sizeof *numbers);
    size_t used;
    int rc = 0;

    for (size_t i = 0; i < count; i++)
        numbers[i] = number_of(commits[i].txid);
    qsort(numbers, count, sizeof *numbers, compare_numbers);
    for (size_t i = 0; rc == 0 && i < count; i += used)
        rc = store_block(t, numbers + i, count - i, &used);
    xfree(numbers);
    return rc == 0 ? store_meta(t, commits, count, ended_below) : rc;
}

/* ---- asking ---------------------------------------------------------------------------------- */

int
outcome_read_meta(struct txn *t, const struct read_moment *m, struct outcome_meta *out)
{
    struct slice value;
    uint8_t key[8];
    int rc;

    store_u64_be(key, UINT64_MAX);
    rc = txn_get(t, ENGINE_TREE_OUTCOMES, slice(key, sizeof key), m, &value);
    if (rc == 0 && value.size != META_BYTES)
        return DIAG(ERR_CORRUPT, "a row of outcomes has %zu bytes", value.size);
    if (rc == 0)
        meta_decode(value.data, out);
    return rc;
}

/* What the rows say at one snapshot. */
struct outcome_rows {
    struct outcome_meta meta;
    bool committed;
    scn_t snapshot;
};

static int
read_rows(struct engine *e, txid_t txid, struct outcome_rows *out)
{
    unsigned i = (unsigned)txid & ((1 << BLOCK_BITS) - 1);
    struct txn *t = txn_new(e);
    struct slice value;
    uint8_t key[8];
    int rc = txn_begin(t, TXN_READ_COMMITTED, true);

    *out = (struct outcome_rows){ 0 };
    store_u64_be(key, number_of(txid) >> BLOCK_BITS);
    if (rc == 0)
        rc = txn_statement_begin(t);
    if (rc == 0) {
        out->snapshot = txn_snapshot_scn(t);
        rc = outcome_read_meta(t, NULL, &out->meta);
    }
    if (rc == 0)
        rc = txn_get(t, ENGINE_TREE_OUTCOMES, slice(key, sizeof key), NULL, &value);
    if (rc == 0)
        out->committed = value.size == BLOCK_BYTES && (value.data[i / 8] >> i % 8 & 1) != 0;
    txn_free(t);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

static bool
is_running(struct engine *e, txid_t txid)
{
    bool running = false;

    env_mutex_lock(&e->txns_mutex);
    list_for_each (t, &e->txns, struct txn, engine_link) {
        running |= atomic_load_explicit(&t->oldest, memory_order_acquire) == txid;
    }
    env_mutex_unlock(&e->txns_mutex);
    return running;
}

/* One look at a node that may change its branch meanwhile. */
struct outcome_look {
    txid_t txid;
    incarnation_t inc, here; /* of the txid; the branch followed */
    scn_t fork;              /* where that began */
    uint64_t cuts;
    bool known;   /* the txid's incarnation is of the past of it */
    bool running; /* here */
    struct outcome_rows rows;
    struct times_seen seen; /* in memory, above what rows have */
};

/* Whether it may have been given out. */
static bool
look_begin(struct engine *e, txid_t txid, struct outcome_look *l)
{
    const struct lineage_entry *entry;
    struct lineage lineage;

    *l = (struct outcome_look){
        .txid = txid,
        .inc = txid_incarnation(txid),
        .cuts = times_cuts(&e->times),
    };
    l->here = engine_incarnation(e);
    lineage_init(&lineage);
    lsm_lineage(e->lsm, &lineage);
    l->known = lineage_find(&lineage, l->inc) != NULL && txid_counter(txid) != 0;
    entry = lineage_find(&lineage, l->here);
    l->fork = entry != NULL ? entry->fork_scn : 0;
    lineage_fini(&lineage);
    if (l->inc == l->here && engine_is_writable(e))
        return txid_counter(txid) < atomic_load_explicit(&e->next_counter, memory_order_acquire);
    return l->inc <= l->here || l->known;
}

/* A change of branch first changes the incarnation and then counts as a cut; rows of the branch
 * that was left stay out of sight, and memory is without them when that is counted. */
static bool
look_holds(struct engine *e, const struct outcome_look *l)
{
    return engine_incarnation(e) == l->here && times_cuts(&e->times) == l->cuts;
}

/* Who runs is asked first: who does not has noted his commit. Then what is kept in rows, and then
 * what is in memory above it, which has all that the rows do not have yet. */
static int
look_up(struct engine *e, struct outcome_look *l)
{
    scn_t through;
    int rc;

    l->running = is_running(e, l->txid);
    rc = read_rows(e, l->txid, &l->rows);
    if (rc != 0)
        return rc;
    through = l->rows.snapshot;
    if (l->inc != l->here && l->fork > through)
        through = l->fork;
    times_look(&e->times, l->txid, l->rows.meta.scn, through, &l->seen);
    return 0;
}

/* One that did not commit, as far as is known here. */
static enum txn_outcome
of_no_commit(struct engine *e, const struct outcome_look *l)
{
    const struct outcome_meta *meta = &l->rows.meta;
    scn_t scn;

    if (l->inc > l->here) /* this node is on its way there */
        return TXN_IN_PROGRESS;
    if (number_of(l->txid) < meta->known_from || !l->seen.all)
        return TXN_UNKNOWN;
    /* Its incarnation has ended, or it would run here. */
    if (l->inc != l->here || engine_is_writable(e))
        return TXN_ABORTED;
    if (status_get(e->status, l->txid, &scn) == TXID_ABORTED)
        return TXN_ABORTED;
    return txid_incarnation(meta->ended_below | TXID_BIT) == l->inc &&
                   number_of(l->txid) < meta->ended_below
               ? TXN_ABORTED
               : TXN_IN_PROGRESS;
}

static enum txn_outcome
look_outcome(struct engine *e, const struct outcome_look *l)
{
    if (l->rows.committed)
        return TXN_COMMITTED;
    if (l->seen.scn != 0)
        return l->seen.scn <= engine_visible_scn(e) ? TXN_COMMITTED : TXN_IN_PROGRESS;
    return l->running ? TXN_IN_PROGRESS : of_no_commit(e, l);
}

int
engine_txn_outcome(struct engine *e, txid_t txid, enum txn_outcome *out)
{
    struct outcome_look look;
    int rc;

    *out = TXN_UNKNOWN;
    txid |= TXID_BIT;
    do {
        if (!look_begin(e, txid, &look))
            return DIAG(ERR_INVALID_PARAMETER_VALUE, "transaction ID %" PRIu64 " is in the future",
                        number_of(txid));
        if (!look.known)
            return 0;
        rc = look_up(e, &look);
        if (rc != 0)
            return rc;
        *out = look_outcome(e, &look);
    } while (!look_holds(e, &look));
    return 0;
}
