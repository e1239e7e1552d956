/* Transactions: of the node while it may write, and of the primary elsewhere, which leave only
 * redo.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/lsm/version.h"
#include "tests/support/storage_world.h"

static incarnation_t
inc_of(const struct storage_world *w, const struct storage_txn *t)
{
    return t->elsewhere ? w->stream : w->inc;
}

static txid_t
new_txid(struct storage_world *w, const struct storage_txn *t)
{
    incarnation_t inc = inc_of(w, t);

    return txid_make(storage_is_broken(w, STORAGE_BREAK_TXN_1) ? 1 : inc,
                     w->oracle.incs[inc].next_txn++);
}

/* The rows that a new transaction of that side starts from. */
static struct oracle_rows
base_rows(const struct storage_world *w, bool elsewhere)
{
    incarnation_t inc = elsewhere ? w->stream : w->inc;

    return oracle_rows(&w->oracle, inc, SCN_MAX);
}

static tree_id_t
base_tree(struct storage_world *w, bool elsewhere)
{
    incarnation_t at = elsewhere ? w->stream : w->inc;
    tree_id_t tree = FIRST_TREE;
    scn_t upto = SCN_MAX;

    if (!elsewhere)
        return storage_catalogue(w, w->inc, SCN_MAX, NULL);
    /* The primary elsewhere keeps no catalogue here: its last committed one stands in its redo. */
    for (; at != 0; at = w->oracle.incs[at].parent) {
        const struct oracle_inc *inc = &w->oracle.incs[at];
        scn_t best = 0;

        for (uint64_t i = 0; i < inc->record_count; i++) {
            const struct oracle_record *c = &inc->records[i];

            if (c->type != ORACLE_COMMIT || c->scn > upto)
                continue;
            for (uint64_t k = 0; k < i; k++) {
                const struct oracle_record *p = &inc->records[k];
                bool its = p->txid == c->txid;

                for (uint32_t x = 0; x < c->child_count; x++)
                    its |= p->txid == c->children[x];
                if (p->type == ORACLE_PUT && p->tree == CATALOGUE && its && c->scn >= best) {
                    best = c->scn;
                    tree = load_u64(p->value);
                }
            }
        }
        if (best != 0)
            return tree;
        if (inc->fork_scn < upto)
            upto = inc->fork_scn;
    }
    return tree;
}

/* Somebody has the whole table: a truncate, which a new transaction waits for. */
static bool
table_locked(const struct storage_world *w, bool elsewhere)
{
    for (int i = 0; i < WORLD_TXNS; i++) {
        bool all = w->txns[i].open && w->txns[i].elsewhere == elsewhere;

        for (int k = 0; k < ORACLE_KEYS; k++)
            all &= w->txns[i].locks[k];
        if (all)
            return true;
    }
    return false;
}

struct storage_txn *
storage_begin(struct storage_world *w, bool elsewhere)
{
    if (table_locked(w, elsewhere))
        return NULL;
    for (int i = 0; i < WORLD_TXNS; i++) {
        struct storage_txn *t = &w->txns[i];

        if (t->open)
            continue;
        memset(t, 0, sizeof *t);
        t->open = true;
        t->elsewhere = elsewhere;
        t->stack[t->stack_count++] = new_txid(w, t);
        t->tree = base_tree(w, elsewhere);
        return t;
    }
    return NULL;
}

void
storage_forget_txns(struct storage_world *w, bool elsewhere)
{
    for (int i = 0; i < WORLD_TXNS; i++)
        if (w->txns[i].elsewhere == elsewhere)
            w->txns[i].open = false;
}

void
storage_spill(struct storage_world *w, struct storage_txn *t)
{
    incarnation_t inc = inc_of(w, t);

    for (uint32_t i = 0; i < t->strand_count; i++) {
        oracle_log(&w->oracle, inc, &t->strand[i]);
        if (!t->elsewhere)
            w->end[inc]++;
    }
    t->strand_count = 0;
}

static void
strand(struct storage_world *w, struct storage_txn *t, const struct oracle_record *r)
{
    if (t->strand_count == sizeof t->strand / sizeof t->strand[0])
        storage_spill(w, t);
    t->strand[t->strand_count++] = *r;
}

/* A version enters its memtable before its record can get an LSN (REDO-1). */
static void
write(struct storage_world *w, struct storage_txn *t, tree_id_t tree, struct slice key,
      struct slice value)
{
    struct oracle_record r = { .type = ORACLE_PUT,
                               .txid = t->stack[t->stack_count - 1],
                               .seq = ++t->seq,
                               .tree = tree,
                               .key_size = (uint8_t)key.size,
                               .kind = value.size == 0 ? VERSION_DELETE : VERSION_PUT,
                               .value_size = (uint8_t)value.size };

    memcpy(r.key, key.data, key.size);
    if (value.size != 0)
        memcpy(r.value, value.data, value.size);
    if (!t->elsewhere && !storage_write(w, tree, &r, true))
        storage_diverge(w, "tree %llu of an open transaction is gone", (unsigned long long)tree);
    strand(w, t, &r);
}

static bool
locked_by_other(const struct storage_world *w, const struct storage_txn *t, uint8_t key)
{
    for (int i = 0; i < WORLD_TXNS; i++)
        if (w->txns[i].open && &w->txns[i] != t && w->txns[i].elsewhere == t->elsewhere &&
            w->txns[i].locks[key])
            return true;
    return false;
}

void
storage_put(struct storage_world *w, struct storage_txn *t)
{
    uint8_t key = (uint8_t)storage_random(w, ORACLE_KEYS);
    uint8_t value = (uint8_t)storage_random(w, ORACLE_VALUES + 1), old, entry[2];
    struct oracle_rows base = base_rows(w, t->elsewhere);

    if (locked_by_other(w, t, key))
        return;
    old = t->buf.set[key] ? t->buf.value[key] : base.value[key];
    if (!t->elsewhere) {
        uint8_t seen = storage_read_own(w, t, key);

        if (seen != old)
            storage_diverge(w, "%llx reads key %u as %u, should be %u",
                            (unsigned long long)t->stack[0], key, seen, old);
    }
    t->locks[key] = true;
    storage_say(w, "%s%llx puts %u = %u in tree %llu", t->elsewhere ? "elsewhere: " : "",
                (unsigned long long)t->stack[t->stack_count - 1], key, value,
                (unsigned long long)t->tree);
    write(w, t, t->tree, slice(&key, 1), slice(&value, value != 0));
    entry[1] = key;
    if (old != 0) {
        entry[0] = old;
        write(w, t, t->tree + 1, slice(entry, 2), slice(NULL, 0));
    }
    if (value != 0) {
        entry[0] = value;
        write(w, t, t->tree + 1, slice(entry, 2), slice("i", 1));
    }
    t->buf.set[key] = true;
    t->buf.value[key] = value;
    if (storage_chance(w, 40))
        storage_spill(w, t);
}

static void
tree_record(struct storage_world *w, struct storage_txn *t, enum oracle_record_type type,
            tree_id_t tree)
{
    struct oracle_record r = { .type = type, .txid = t->stack[t->stack_count - 1], .tree = tree };

    if (!t->elsewhere && type == ORACLE_TREE_CREATE)
        (void)lsm_tree_create(w->lsm, tree, r.txid);
    else if (!t->elsewhere)
        lsm_tree_drop(w->lsm, tree, r.txid);
    strand(w, t, &r);
}

void
storage_truncate(struct storage_world *w, struct storage_txn *t)
{
    tree_id_t tree;
    uint8_t value[8];

    for (int i = 0; i < WORLD_TXNS; i++)
        if (w->txns[i].open && &w->txns[i] != t)
            return;
    if (w->tree_count + 2 > WORLD_TREES || t->kid_count != 0)
        return;
    tree = 1000 + 2 * w->tree_count;
    storage_note_tree(w, tree);
    storage_note_tree(w, tree + 1);
    for (tree_id_t i = 0; i < 2; i++) {
        tree_record(w, t, ORACLE_TREE_CREATE, tree + i);
        tree_record(w, t, ORACLE_TREE_DROP, t->tree + i);
    }
    store_u64(value, tree);
    write(w, t, CATALOGUE, slice("c", 1), slice(value, 8));
    t->tree = tree;
    for (int k = 0; k < ORACLE_KEYS; k++) {
        t->locks[k] = t->buf.set[k] = true;
        t->buf.value[k] = 0;
    }
    storage_say(w, "%llx truncates, tree %llu", (unsigned long long)t->stack[t->stack_count - 1],
                (unsigned long long)tree);
}

/* ---- savepoints -------------------------------------------------------------------------------
 */

void
storage_savepoint(struct storage_world *w, struct storage_txn *t)
{
    if (t->stack_count == WORLD_STACK - 1 || t->kid_count + WORLD_STACK >= ORACLE_CHILDREN)
        return;
    t->saved[t->saved_count++] = (struct storage_saved){ t->buf, t->tree, t->kid_count };
    t->stack[t->stack_count++] = new_txid(w, t);
}

void
storage_release(struct storage_txn *t)
{
    if (t->saved_count == 0)
        return;
    t->saved_count--;
    t->kids[t->kid_count++] = t->stack[--t->stack_count];
}

static void
give_up(struct storage_world *w, struct storage_txn *t, txid_t txid)
{
    struct oracle_record r = { .type = ORACLE_ABORT, .txid = txid };

    storage_say(w, "%llx rolled back", (unsigned long long)txid);
    if (!t->elsewhere)
        storage_set_status(w, txid, true, 0);
    strand(w, t, &r);
}

void
storage_rollback_to(struct storage_world *w, struct storage_txn *t)
{
    struct storage_saved *s;

    if (t->saved_count == 0)
        return;
    s = &t->saved[--t->saved_count];
    give_up(w, t, t->stack[--t->stack_count]);
    while (t->kid_count > s->kid_count)
        give_up(w, t, t->kids[--t->kid_count]);
    t->buf = s->buf;
    t->tree = s->tree;
}

void
storage_abort(struct storage_world *w, struct storage_txn *t)
{
    for (uint32_t i = 0; i < t->stack_count; i++)
        give_up(w, t, t->stack[i]);
    for (uint32_t i = 0; i < t->kid_count; i++)
        give_up(w, t, t->kids[i]);
    storage_spill(w, t);
    t->open = false;
}

/* ---- commit -----------------------------------------------------------------------------------
 */

void
storage_commit(struct storage_world *w, struct storage_txn *t)
{
    incarnation_t inc = inc_of(w, t);
    struct oracle_record r = { .type = ORACLE_COMMIT, .txid = t->stack[0] };

    r.scn = w->oracle.incs[inc].next_scn++;
    for (uint32_t i = 1; i < t->stack_count; i++)
        r.children[r.child_count++] = t->stack[i];
    for (uint32_t i = 0; i < t->kid_count; i++)
        r.children[r.child_count++] = t->kids[i];
    strand(w, t, &r);
    storage_spill(w, t);
    if (!t->elsewhere) {
        storage_set_status(w, r.txid, false, r.scn);
        for (uint32_t i = 0; i < r.child_count; i++)
            storage_set_status(w, r.children[i], false, r.scn);
        w->tip[inc] = r.scn;
    }
    oracle_commit(&w->oracle, inc, r.scn, &t->buf);
    storage_say(w, "%s%llx commits at %llu on branch %u", t->elsewhere ? "elsewhere: " : "",
                (unsigned long long)r.txid, (unsigned long long)r.scn, inc);
    t->open = false;
}
