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

/* One that did not commit, as far as is known here. `fork`: where the branch followed began. */
static enum txn_outcome
of_no_commit(struct engine *e, txid_t txid, const struct outcome_rows *rows, scn_t fork)
{
    incarnation_t inc = txid_incarnation(txid), here = engine_incarnation(e);
    scn_t through = inc != here && fork > rows->snapshot ? fork : rows->snapshot, scn;

    if (inc > here) /* this node is on its way there */
        return TXN_IN_PROGRESS;
    if (number_of(txid) < rows->meta.known_from || !times_have(&e->times, rows->meta.scn, through))
        return TXN_UNKNOWN;
    if (inc != here || engine_is_writable(e)) /* its incarnation has ended, or it would run here */
        return TXN_ABORTED;
    if (status_get(e->status, txid, &scn) == TXID_ABORTED)
        return TXN_ABORTED;
    return txid_incarnation(rows->meta.ended_below | TXID_BIT) == inc &&
                   number_of(txid) < rows->meta.ended_below
               ? TXN_ABORTED
               : TXN_IN_PROGRESS;
}

/* Whether it may have been given out, and where the branch followed began. */
static bool
is_of_past(struct engine *e, txid_t txid, bool *known, scn_t *fork)
{
    incarnation_t inc = txid_incarnation(txid), here = engine_incarnation(e);
    const struct lineage_entry *entry;
    struct lineage lineage;

    lineage_init(&lineage);
    lsm_lineage(e->lsm, &lineage);
    *known = lineage_find(&lineage, inc) != NULL && txid_counter(txid) != 0;
    entry = lineage_find(&lineage, here);
    *fork = entry != NULL ? entry->fork_scn : 0;
    lineage_fini(&lineage);
    if (inc == here && engine_is_writable(e))
        return txid_counter(txid) < atomic_load_explicit(&e->next_counter, memory_order_acquire);
    return inc <= here || *known;
}

/* Who runs is asked first: who does not has noted his commit. Then what is in memory and above the
 * mark of what is kept; whatever leaves that part has become visible as a bit before. */
int
engine_txn_outcome(struct engine *e, txid_t txid, enum txn_outcome *out)
{
    struct outcome_rows rows;
    bool known, running;
    scn_t fork, scn;
    int rc;

    *out = TXN_UNKNOWN;
    txid |= TXID_BIT;
    if (!is_of_past(e, txid, &known, &fork))
        return DIAG(ERR_INVALID_PARAMETER_VALUE, "transaction ID %" PRIu64 " is in the future",
                    number_of(txid));
    if (!known)
        return 0;
    running = is_running(e, txid);
    if (times_find_txid(&e->times, txid, &scn)) {
        *out = scn <= engine_visible_scn(e) ? TXN_COMMITTED : TXN_IN_PROGRESS;
        return 0;
    }
    rc = read_rows(e, txid, &rows);
    if (rc != 0)
        return rc;
    if (rows.committed)
        *out = TXN_COMMITTED;
    else if (running)
        *out = TXN_IN_PROGRESS;
    else
        *out = of_no_commit(e, txid, &rows, fork);
    return 0;
}
