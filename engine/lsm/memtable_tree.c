/* The B+tree of a memtable: optimistic descent, insertion, splits. Nodes are never merged and never
 * freed before the memtable, so a reader on an outdated path meets valid memory and then finds that
 * a counter has moved.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/lsm/memtable_int.h"

#include "engine/base/env.h"

#define LOAD(field)        atomic_load_explicit(&(field), memory_order_acquire)
#define STORE(field, what) atomic_store_explicit(&(field), (what), memory_order_release)

enum { PAUSES_BEFORE_YIELD = 64 };

void
memtable_pause(struct memtable *mt, unsigned *turns)
{
    if (++*turns % PAUSES_BEFORE_YIELD == 0) {
        env_thread_yield(mt->env);
        return;
    }
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* ---- keys ----------------------------------------------------------------------------------- */

static size_t
fences_skip(struct memtable_entry *low, struct memtable_entry *high)
{
    if (low == NULL || high == NULL)
        return 0;
    return key_common(memtable_entry_key(low), memtable_entry_key(high));
}

/* ---- latches -------------------------------------------------------------------------------- */

uint64_t
node_read(struct memtable *mt, struct node *n)
{
    unsigned turns = 0;

    for (;;) {
        uint64_t v = LOAD(n->version);

        if ((v & 1) == 0)
            return v;
        memtable_pause(mt, &turns);
    }
}

/* False: the node has changed since `version` was read. */
static bool
node_latch(struct node *n, uint64_t version)
{
    return atomic_compare_exchange_strong_explicit(&n->version, &version, version + 1,
                                                   memory_order_acq_rel, memory_order_relaxed);
}

static void
node_unlatch(struct node *n)
{
    STORE(n->version, atomic_load_explicit(&n->version, memory_order_relaxed) + 1);
}

/* ---- search --------------------------------------------------------------------------------- */

void
memtable_node_init(struct node *n, unsigned level, struct memtable_entry *low)
{
    atomic_init(&n->version, 0);
    atomic_init(&n->count, 0);
    atomic_init(&n->skip, 0);
    n->level = (uint8_t)level;
    n->ascending = 0;
    n->last_at = 0;
    n->low = low;
    atomic_init(&n->high, NULL);
    atomic_init(&n->next, NULL);
    for (unsigned i = 0; i < NODE_SLOTS; i++) {
        atomic_init(&n->prefix[i], 0);
        atomic_init(&n->entry[i], NULL); /* a torn read may look past the count */
    }
    for (unsigned i = 0; level > 0 && i <= NODE_SLOTS; i++)
        atomic_init(&node_inner(n)->child[i], NULL);
}

/* The lines that a search will look at, all at once rather than one miss after the other. */
static inline void
node_prefetch(struct node *n)
{
    const char *p = (const char *)n;

    for (size_t i = 0; i < sizeof(struct node); i += 64)
        __builtin_prefetch(p + i);
}

/* The first slot in [at, at + size) whose prefix is >= p. Without branches that depend on keys. */
static inline unsigned
prefix_lower(struct node *n, unsigned at, unsigned size, uint64_t p)
{
    while (size > 1) {
        unsigned half = size / 2;

        at += LOAD(n->prefix[at + half - 1]) < p ? half : 0;
        size -= half;
    }
    return at + (size == 1 && LOAD(n->prefix[at]) < p);
}

/* Where several slots have the key's prefix, their records decide. */
static unsigned
search_records(struct node *n, unsigned lo, unsigned hi, struct slice key, bool *equal)
{
    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;
        struct memtable_entry *e = LOAD(n->entry[mid]);
        int c;

        if (e == NULL)
            return lo; /* a torn read: the caller's validation fails */
        __builtin_prefetch((const char *)e + 64);
        c = slice_cmp(memtable_entry_key(e), key);
        if (c == 0) {
            *equal = true;
            return mid;
        }
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

unsigned
node_search(struct node *n, struct slice key, bool *equal)
{
    unsigned count = LOAD(n->count), at, end;
    uint64_t p = key_prefix(key, LOAD(n->skip));

    *equal = false;
    if (count != 0 && LOAD(n->prefix[count - 1]) < p)
        return count; /* keys in ascending order */
    at = prefix_lower(n, 0, count, p);
    if (at == count || LOAD(n->prefix[at]) != p)
        return at;
    end = at + 1;
    if (end < count && LOAD(n->prefix[end]) == p)
        end = p == UINT64_MAX ? count : prefix_lower(n, end, count - end, p + 1);
    return search_records(n, at, end, key, equal);
}

/* The child on the way to the key; with `below`, to the last key before it. */
static struct node *
inner_child(struct node *n, struct slice key, bool below)
{
    bool equal;
    unsigned at = node_search(n, key, &equal);

    return LOAD(node_inner(n)->child[at + (equal && !below)]);
}

/* The root and its counter. A root that was split has been replaced before it was unlatched. */
static struct node *
root_read(struct memtable *mt, uint64_t *version)
{
    for (;;) {
        struct node *n = LOAD(mt->root);

        *version = node_read(mt, n);
        if (LOAD(mt->root) == n)
            return n;
    }
}

/* One step down; NULL: start again. */
static struct node *
step_down(struct memtable *mt, struct node *n, uint64_t *version, struct slice key, bool below)
{
    struct node *child = inner_child(n, key, below);
    uint64_t child_version;

    if (!node_valid(n, *version))
        return NULL;
    node_prefetch(child);
    child_version = node_read(mt, child);
    if (!node_valid(n, *version))
        return NULL;
    *version = child_version;
    return child;
}

struct node *
memtable_leaf(struct memtable *mt, struct slice key, bool below, uint64_t *version)
{
    for (;;) {
        struct node *n = root_read(mt, version);

        while (n != NULL && n->level > 0)
            n = step_down(mt, n, version, key, below);
        if (n != NULL)
            return n;
    }
}

struct node *
memtable_tail(struct memtable *mt, struct slice key, uint64_t *version)
{
    struct node *n = LOAD(mt->tail);
    struct memtable_entry *high;

    if (n == NULL)
        return NULL;
    *version = node_read(mt, n);
    high = LOAD(n->high);
    if ((n->low != NULL && slice_cmp(memtable_entry_key(n->low), key) > 0) ||
        (high != NULL && slice_cmp(key, memtable_entry_key(high)) >= 0))
        return NULL;
    return n;
}

/* ---- changes, under the latch --------------------------------------------------------------- */

static void
slot_open(struct node *n, unsigned at, unsigned count)
{
    for (unsigned i = count; i > at; i--) {
        STORE(n->prefix[i], atomic_load_explicit(&n->prefix[i - 1], memory_order_relaxed));
        STORE(n->entry[i], atomic_load_explicit(&n->entry[i - 1], memory_order_relaxed));
    }
}

static void
slot_set(struct node *n, unsigned at, struct memtable_entry *e)
{
    STORE(n->prefix[at], key_prefix(memtable_entry_key(e), LOAD(n->skip)));
    STORE(n->entry[at], e);
}

static void
leaf_put(struct node *n, unsigned at, struct memtable_entry *e)
{
    unsigned count = LOAD(n->count);

    slot_open(n, at, count);
    slot_set(n, at, e);
    STORE(n->count, (uint16_t)(count + 1));
    if (at != n->last_at + 1u)
        n->ascending = 0;
    else if (n->ascending < UINT8_MAX)
        n->ascending++;
    n->last_at = (uint16_t)at;
}

static void
inner_put(struct node *n, struct memtable_entry *separator, struct node *right)
{
    bool equal;
    unsigned at = node_search(n, memtable_entry_key(separator), &equal);
    unsigned count = LOAD(n->count);
    struct inner *in = node_inner(n);

    slot_open(n, at, count);
    for (unsigned i = count + 1; i > at + 1; i--)
        STORE(in->child[i], atomic_load_explicit(&in->child[i - 1], memory_order_relaxed));
    slot_set(n, at, separator);
    STORE(in->child[at + 1], right);
    STORE(n->count, (uint16_t)(count + 1));
}

/* New fences may share more than the old ones did. */
static void
node_fence(struct node *n, struct memtable_entry *high)
{
    size_t skip = fences_skip(n->low, high);
    unsigned count = LOAD(n->count);

    STORE(n->high, high);
    if (skip == LOAD(n->skip))
        return;
    STORE(n->skip, (uint16_t)skip);
    for (unsigned i = 0; i < count; i++)
        slot_set(n, i, LOAD(n->entry[i]));
}

/* Moves the slots from `from` on to the new node `right`, which nobody sees yet. */
static void
leaf_move(struct node *n, unsigned from, struct node *right)
{
    unsigned count = LOAD(n->count);

    for (unsigned i = from; i < count; i++)
        slot_set(right, i - from, LOAD(n->entry[i]));
    STORE(right->count, (uint16_t)(count - from));
    STORE(right->next, LOAD(n->next));
    STORE(n->count, (uint16_t)from);
    STORE(n->next, right);
}

/* The separator at `from` itself moves up. */
static void
inner_move(struct node *n, unsigned from, struct node *right)
{
    unsigned count = LOAD(n->count);

    for (unsigned i = from + 1; i < count; i++)
        slot_set(right, i - from - 1, LOAD(n->entry[i]));
    for (unsigned i = from + 1; i <= count; i++)
        STORE(node_inner(right)->child[i - from - 1], LOAD(node_inner(n)->child[i]));
    STORE(right->count, (uint16_t)(count - from - 1));
    STORE(n->count, (uint16_t)from);
}

/* ---- splits --------------------------------------------------------------------------------- */

/* A leaf that is filled in ascending order is left full. */
static unsigned
split_point(const struct node *n)
{
    if (n->level == 0 && n->last_at == NODE_SLOTS - 1 && n->ascending >= NODE_SLOTS / 2)
        return NODE_SLOTS - 1;
    return NODE_SLOTS / 2;
}

/* Both latched, or parent NULL: n is the root. `right` (and `top`, a new root) are fresh. */
static void
split_latched(struct memtable *mt, struct node *parent, struct node *n, struct inner *right,
              struct inner *top)
{
    unsigned from = split_point(n);
    struct memtable_entry *separator = LOAD(n->entry[from]);

    memtable_node_init(&right->node, n->level, separator);
    STORE(right->node.high, LOAD(n->high));
    STORE(right->node.skip, (uint16_t)fences_skip(separator, LOAD(n->high)));
    if (n->level == 0)
        leaf_move(n, from, &right->node);
    else
        inner_move(n, from, &right->node);
    node_fence(n, separator);
    n->ascending = 0;
    n->last_at = 0;
    /* The moved keys went to the right one: so does the run of ascending inserts. */
    right->node.last_at = from == NODE_SLOTS - 1 ? 0 : (uint16_t)(NODE_SLOTS - from - 1);
    right->node.ascending = from == NODE_SLOTS - 1 ? NODE_SLOTS / 2 : 0;
    if (parent != NULL) {
        inner_put(parent, separator, &right->node);
        return;
    }
    memtable_node_init(&top->node, n->level + 1u, NULL);
    slot_set(&top->node, 0, separator);
    STORE(top->child[0], n);
    STORE(top->child[1], &right->node);
    STORE(top->node.count, 1);
    STORE(mt->root, &top->node);
}

static size_t
node_size(unsigned level)
{
    return level == 0 ? sizeof(struct node) : sizeof(struct inner);
}

/* Splits the full node n. 0 also when somebody was faster: the caller starts again either way. */
MUST_CHECK
static int
node_split(struct memtable *mt, unsigned lane, struct node *parent, uint64_t parent_version,
           struct node *n, uint64_t version)
{
    struct inner *right, *top = NULL;

    right = memtable_alloc(mt, lane, node_size(n->level), 64);
    if (right == NULL)
        return ERR_NOMEM;
    if (parent == NULL) {
        top = memtable_alloc(mt, lane, sizeof *top, 64);
        if (top == NULL)
            return ERR_NOMEM;
    }
    if (parent != NULL && !node_latch(parent, parent_version))
        return 0;
    if (node_latch(n, version)) {
        if (parent != NULL || LOAD(mt->root) == n)
            split_latched(mt, parent, n, right, top);
        node_unlatch(n);
    }
    if (parent != NULL)
        node_unlatch(parent);
    return 0;
}

/* ---- insertion ------------------------------------------------------------------------------ */

enum insert_step { INSERT_DONE, INSERT_AGAIN, INSERT_EXISTS };

static enum insert_step
leaf_insert(struct memtable *mt, struct node *n, uint64_t version, struct memtable_entry *e,
            struct memtable_entry **existing)
{
    struct node *tail;
    bool equal;
    unsigned at = node_search(n, memtable_entry_key(e), &equal);

    if (equal) {
        *existing = LOAD(n->entry[at]);
        return node_valid(n, version) ? INSERT_EXISTS : INSERT_AGAIN;
    }
    if (!node_latch(n, version))
        return INSERT_AGAIN;
    leaf_put(n, at, e);
    tail = n->ascending >= NODE_SLOTS / 2 ? n : NULL;
    node_unlatch(n);
    if (LOAD(mt->tail) != tail)
        STORE(mt->tail, tail);
    return INSERT_DONE;
}

/* One attempt. Full nodes on the way are split before they are entered, so that a parent always has
 * room for one more separator. */
MUST_CHECK
static int
insert_once(struct memtable *mt, unsigned lane, struct memtable_entry *e,
            struct memtable_entry **existing, enum insert_step *step)
{
    struct node *parent = NULL, *n;
    uint64_t parent_version = 0, version;
    struct slice key = memtable_entry_key(e);

    *step = INSERT_AGAIN;
    n = memtable_tail(mt, key, &version);
    if (n != NULL && LOAD(n->count) < NODE_SLOTS) {
        *step = leaf_insert(mt, n, version, e, existing);
        return 0;
    }
    n = root_read(mt, &version);
    for (;;) {
        if (LOAD(n->count) == NODE_SLOTS) {
            bool equal = false;

            /* A key that is there needs no room. */
            if (n->level == 0 && (node_search(n, key, &equal), equal)) {
                *step = leaf_insert(mt, n, version, e, existing);
                return 0;
            }
            return node_split(mt, lane, parent, parent_version, n, version);
        }
        if (n->level == 0)
            break;
        parent = n;
        parent_version = version;
        n = step_down(mt, parent, &version, key, false);
        if (n == NULL)
            return 0;
    }
    *step = leaf_insert(mt, n, version, e, existing);
    return 0;
}

int
memtable_tree_insert(struct memtable *mt, unsigned lane, struct memtable_entry *e,
                     struct memtable_entry **existing)
{
    enum insert_step step;

    for (;;) {
        int rc = insert_once(mt, lane, e, existing, &step);

        if (rc != 0)
            return rc;
        if (step != INSERT_AGAIN)
            return step == INSERT_EXISTS ? ERR_AGAIN : 0;
    }
}
