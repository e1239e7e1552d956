/* Nodes and memory of memtables; see memtable.h.
 *
 * Every field of a node that an optimistic reader may look at while a writer changes it is atomic.
 * A writer stores with release order after it has made `version` odd; a reader loads with acquire
 * order and loads `version` again at the end. So whoever sees a new value also sees that the
 * counter has moved, without fences.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_LSM_MEMTABLE_INT_H
#define ENGINE_LSM_MEMTABLE_INT_H

#include "engine/lsm/memtable.h"

enum { NODE_SLOTS = MEMTABLE_ITER_BATCH };

/* A node holds the keys in [low, high). All of them share the first `skip` bytes, which both fences
 * share, so the eight bytes after those are what tells them apart most often; they are kept inline
 * as a big-endian number, padded with zeros. */
struct node {
    _Atomic uint64_t version; /* odd: latched */
    _Atomic uint16_t count;
    _Atomic uint16_t skip;
    uint8_t level;     /* 0: a leaf; read-only */
    uint8_t ascending; /* inserts in a row that came just after the one before; under the latch */
    uint16_t last_at;  /* where the last insert went; under the latch */
    struct memtable_entry *low;          /* NULL: open; read-only */
    struct memtable_entry *_Atomic high; /* NULL: open; only ever sinks */
    struct node *_Atomic next;           /* leaves: the next one */
    _Alignas(64) _Atomic uint64_t prefix[NODE_SLOTS];
    struct memtable_entry *_Atomic entry[NODE_SLOTS]; /* keys of a leaf, separators of an inner */
};
struct inner {
    struct node node;
    /* child[i] holds the keys from entry[i - 1] up to below entry[i]. */
    struct node *_Atomic child[NODE_SLOTS + 1];
};

struct chunk {
    struct chunk *before;
    size_t size;
};

/* Where the threads of one lane allocate and count. */
struct lane {
    _Alignas(64) _Atomic uint32_t writers; /* entered and not left */
    _Atomic uint32_t busy;                 /* a latch on the fields below */
    uint8_t *at, *end;
    struct chunk *chunks;
    size_t chunk_size;
    _Atomic size_t bytes, used_bytes;         /* stored under `busy`, read by anybody */
    _Atomic uint64_t keys, versions, deletes; /* likewise */
};

struct memtable {
    struct env *env;
    struct budget *budget;
    struct memtable_pool *pool; /* NULL: none */
    struct node *_Atomic root;
    struct node *_Atomic tail; /* the leaf that keys in ascending order go to; NULL: no such */
    _Atomic uint32_t refs;
    _Atomic uint32_t sealed;
    struct lane lanes[MEMTABLE_LANES];
    struct inner first; /* the first root: a leaf, whose children are not used */
};

static inline struct inner *
node_inner(struct node *n)
{
    return (struct inner *)(void *)n;
}

/* For loops that wait for a latch: gives the thread away when it takes long. */
void memtable_pause(struct memtable *mt, unsigned *turns);

/* ---- memory (memtable.c) -------------------------------------------------------------------- */

/* NULL with ERR_NOMEM recorded when the budget is spent. align: a power of two, at most 64. */
void *memtable_alloc(struct memtable *mt, unsigned lane, size_t size, size_t align);

/* ---- the tree (memtable_tree.c) ------------------------------------------------------------- */

void memtable_node_init(struct node *n, unsigned level, struct memtable_entry *low);
/* The counter to validate against, once the node is not latched. */
uint64_t node_read(struct memtable *mt, struct node *n);
static inline bool
node_valid(struct node *n, uint64_t version)
{
    return atomic_load_explicit(&n->version, memory_order_relaxed) == version;
}
/* The first slot whose key is >= key; *equal: it is the key. What it gives is to be validated. */
unsigned node_search(struct node *n, struct slice key, bool *equal);
/* The leaf that holds the key, or with `below` the one that holds the last key before it, and its
 * counter. */
struct node *memtable_leaf(struct memtable *mt, struct slice key, bool below, uint64_t *version);
/* The leaf that ascending keys go to, if that is the key's; NULL: descend. */
struct node *memtable_tail(struct memtable *mt, struct slice key, uint64_t *version);
/* Puts the entry into the tree. 0, or ERR_AGAIN with *existing when the key is there already, or
 * ERR_NOMEM. */
MUST_CHECK
int memtable_tree_insert(struct memtable *mt, unsigned lane, struct memtable_entry *e,
                         struct memtable_entry **existing);

#endif
