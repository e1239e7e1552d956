/* Iterators over a memtable. The entries of one leaf are copied at a time, under validation, so
 * that most steps touch nothing shared; entries never move or go away, so the copy stays good.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/lsm/memtable_int.h"

#include <assert.h>

#define LOAD(field) atomic_load_explicit(&(field), memory_order_acquire)

enum { PREFETCH_AHEAD = 4 };

static_assert((int)MEMTABLE_ITER_BATCH == (int)NODE_SLOTS, "a batch is a leaf");

void
memtable_iter_init(struct memtable_iter *it, struct memtable *mt)
{
    it->mt = mt;
    it->entry = NULL;
    it->low = it->high = NULL;
    it->next_leaf = NULL;
    it->at = it->count = 0;
}

/* What it copies is to be validated. */
static void
batch_read(struct memtable_iter *it, struct node *n)
{
    it->count = LOAD(n->count);
    for (uint32_t i = 0; i < it->count; i++)
        it->batch[i] = LOAD(n->entry[i]);
    it->low = n->low;
    it->high = LOAD(n->high);
    it->next_leaf = LOAD(n->next);
}

static void
batch_prefetch(const struct memtable_iter *it)
{
    for (uint32_t i = it->at; i < it->count && i < it->at + PREFETCH_AHEAD; i++)
        __builtin_prefetch(it->batch[i]);
    if (it->next_leaf != NULL)
        for (size_t i = 0; i < sizeof(struct node); i += 64)
            __builtin_prefetch((const char *)it->next_leaf + i);
}

/* Goes on to the next leaf while the batch is used up. */
static void
settle_forward(struct memtable_iter *it)
{
    while (it->at >= it->count && it->next_leaf != NULL) {
        struct node *n = it->next_leaf;
        uint64_t version;

        do {
            version = node_read(it->mt, n);
            batch_read(it, n);
        } while (!node_valid(n, version));
        it->at = 0;
        batch_prefetch(it);
    }
    it->entry = it->at < it->count ? it->batch[it->at] : NULL;
}

void
memtable_iter_seek(struct memtable_iter *it, struct slice key)
{
    struct node *n;
    uint64_t version;
    bool equal;

    do {
        n = memtable_leaf(it->mt, key, false, &version);
        it->at = node_search(n, key, &equal);
        batch_read(it, n);
    } while (!node_valid(n, version));
    batch_prefetch(it);
    settle_forward(it);
}

void
memtable_iter_seek_lt(struct memtable_iter *it, struct slice key)
{
    struct node *n;
    uint64_t version;
    bool equal;
    unsigned at;

    do {
        n = memtable_leaf(it->mt, key, true, &version);
        at = node_search(n, key, &equal);
        batch_read(it, n);
    } while (!node_valid(n, version));
    /* A leaf with a lower fence holds that key itself, which is below the key sought. */
    CHECK(at > 0 || it->low == NULL);
    it->at = at > 0 ? at - 1 : 0;
    it->entry = at > 0 ? it->batch[it->at] : NULL;
}

void
memtable_iter_first(struct memtable_iter *it)
{
    memtable_iter_seek(it, slice("", 0));
}

void
memtable_iter_last(struct memtable_iter *it)
{
    struct node *n;
    uint64_t version;

    do {
        n = LOAD(it->mt->root);
        version = node_read(it->mt, n);
        while (n->level > 0) {
            struct node *child = LOAD(node_inner(n)->child[LOAD(n->count)]);

            if (!node_valid(n, version))
                break;
            n = child;
            version = node_read(it->mt, n);
        }
        if (n->level > 0 || LOAD(n->high) != NULL)
            continue; /* not the last leaf, or not any more */
        batch_read(it, n);
    } while (n->level > 0 || LOAD(n->high) != NULL || !node_valid(n, version));
    it->at = it->count > 0 ? it->count - 1 : 0;
    it->entry = it->count > 0 ? it->batch[it->at] : NULL;
}

void
memtable_iter_next(struct memtable_iter *it)
{
    CHECK(it->entry != NULL);
    it->at++;
    if (it->at + PREFETCH_AHEAD <= it->count)
        __builtin_prefetch(it->batch[it->at + PREFETCH_AHEAD - 1]);
    if (it->at < it->count)
        it->entry = it->batch[it->at];
    else
        settle_forward(it);
}

void
memtable_iter_prev(struct memtable_iter *it)
{
    CHECK(it->entry != NULL);
    if (it->at > 0)
        it->entry = it->batch[--it->at];
    else if (it->low != NULL)
        memtable_iter_seek_lt(it, memtable_entry_key(it->low));
    else
        it->entry = NULL;
}
