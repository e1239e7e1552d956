/* Memtables: life, memory, version chains, figures. The tree is memtable_tree.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/lsm/memtable_int.h"

#include "engine/base/env.h"

enum { CHUNK_MIN = 2 << 10, CHUNK_MAX = MEM_HUGE_BLOCK, ALIGN_MAX = 64 };

#define RELAXED(field) atomic_load_explicit(&(field), memory_order_relaxed)
#define ADD_RELAXED(field, n)                                                                      \
    atomic_store_explicit(&(field), RELAXED(field) + (n), memory_order_relaxed)

/* ---- spare memory --------------------------------------------------------------------------- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { POOL_CHUNKS = 0 }; /* let the sanitizer see what is freed */
#else
enum { POOL_CHUNKS = 64 };
#endif

struct memtable_pool {
    _Atomic uint32_t busy; /* a latch on the fields below */
    int count;
    struct chunk *chunks;
};

struct memtable_pool *
memtable_pool_new(void)
{
    return xcalloc(1, sizeof(struct memtable_pool));
}

void
memtable_pool_free(struct memtable_pool *p)
{
    while (p != NULL && p->chunks != NULL) {
        struct chunk *before = p->chunks->before;

        xfree(p->chunks);
        p->chunks = before;
    }
    xfree(p);
}

void
memtable_use_pool(struct memtable *mt, struct memtable_pool *p)
{
    mt->pool = p;
}

static void
pool_latch(struct memtable *mt)
{
    unsigned turns = 0;

    while (atomic_exchange_explicit(&mt->pool->busy, 1, memory_order_acquire) != 0)
        memtable_pause(mt, &turns);
}

static void
pool_unlatch(struct memtable *mt)
{
    atomic_store_explicit(&mt->pool->busy, 0, memory_order_release);
}

static struct chunk *
chunk_get(struct memtable *mt, size_t size)
{
    struct chunk *c = NULL;

    if (mt->pool != NULL && size == CHUNK_MAX) {
        pool_latch(mt);
        c = mt->pool->chunks;
        if (c != NULL) {
            mt->pool->chunks = c->before;
            mt->pool->count--;
        }
        pool_unlatch(mt);
    }
    return c != NULL ? c : xmalloc(size);
}

static void
chunk_put(struct memtable *mt, struct chunk *c)
{
    bool kept = false;

    if (mt->pool != NULL && c->size == CHUNK_MAX) {
        pool_latch(mt);
        kept = mt->pool->count < POOL_CHUNKS;
        if (kept) {
            c->before = mt->pool->chunks;
            mt->pool->chunks = c;
            mt->pool->count++;
        }
        pool_unlatch(mt);
    }
    if (!kept)
        xfree(c);
}

/* ---- life ----------------------------------------------------------------------------------- */

struct memtable *
memtable_new(struct env *env, struct budget *budget)
{
    struct memtable *mt = xaligned(64, sizeof *mt);

    CHECK(env != NULL);
    memset((void *)mt, 0, sizeof *mt);
    mt->env = env;
    mt->budget = budget;
    atomic_init(&mt->refs, 1);
    for (int i = 0; i < MEMTABLE_LANES; i++)
        mt->lanes[i].chunk_size = CHUNK_MIN;
    memtable_node_init(&mt->first.node, 0, NULL);
    atomic_init(&mt->root, &mt->first.node);
    return mt;
}

void
memtable_ref(struct memtable *mt)
{
    CHECK(atomic_fetch_add_explicit(&mt->refs, 1, memory_order_relaxed) > 0);
}

static void
lane_free(struct memtable *mt, struct lane *l)
{
    while (l->chunks != NULL) {
        struct chunk *before = l->chunks->before;

        if (mt->budget != NULL)
            budget_release(mt->budget, l->chunks->size);
        chunk_put(mt, l->chunks);
        l->chunks = before;
    }
}

void
memtable_unref(struct memtable *mt)
{
    if (mt == NULL || atomic_fetch_sub_explicit(&mt->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (int i = 0; i < MEMTABLE_LANES; i++)
        lane_free(mt, &mt->lanes[i]);
    xfree_aligned(mt);
}

/* ---- memory --------------------------------------------------------------------------------- */

static struct lane *
lane_latch(struct memtable *mt, unsigned lane)
{
    struct lane *l = &mt->lanes[lane % MEMTABLE_LANES];
    unsigned turns = 0;

    while (atomic_exchange_explicit(&l->busy, 1, memory_order_acquire) != 0)
        memtable_pause(mt, &turns);
    return l;
}

static void
lane_unlatch(struct lane *l)
{
    atomic_store_explicit(&l->busy, 0, memory_order_release);
}

static uint8_t *
align_up(uint8_t *p, size_t align)
{
    return p + (-(uintptr_t)p & (align - 1));
}

/* Gets a chunk, charged, with room for `size` bytes. Something large has one of its own (*own is
 * set), and the one in use goes on. */
static bool
lane_grow(struct memtable *mt, struct lane *l, size_t size, bool *own)
{
    size_t bytes;
    struct chunk *c;

    *own = size > l->chunk_size / 2;
    bytes = *own ? size + sizeof *c : l->chunk_size;
    if (mt->budget != NULL && budget_charge(mt->budget, bytes) != 0)
        return false;
    c = chunk_get(mt, bytes);
    c->size = bytes;
    c->before = l->chunks;
    l->chunks = c;
    ADD_RELAXED(l->bytes, bytes);
    if (*own)
        return true;
    /* Where the heap has put it must not tell how much fits (SIM-1). */
    l->at = align_up((uint8_t *)(c + 1), ALIGN_MAX);
    l->end = l->at + (bytes - sizeof *c - ALIGN_MAX);
    l->chunk_size = l->chunk_size < CHUNK_MAX / 4 ? l->chunk_size * 4 : CHUNK_MAX;
    return true;
}

/* Under the lane's latch. */
static void *
lane_alloc(struct memtable *mt, struct lane *l, size_t size, size_t align)
{
    size_t left = (size_t)(l->end - l->at), pad = -(uintptr_t)l->at & (align - 1);
    bool own = false;
    uint8_t *p;

    if ((left < pad || left - pad < size) && !lane_grow(mt, l, size + align, &own))
        return NULL;
    ADD_RELAXED(l->used_bytes, size);
    if (own)
        return align_up((uint8_t *)(l->chunks + 1), align);
    p = align_up(l->at, align);
    l->at = p + size;
    return p;
}

void *
memtable_alloc(struct memtable *mt, unsigned lane, size_t size, size_t align)
{
    struct lane *l = lane_latch(mt, lane);
    void *p = lane_alloc(mt, l, size, align);

    lane_unlatch(l);
    return p;
}

/* ---- writers -------------------------------------------------------------------------------- */

bool
memtable_enter(struct memtable *mt, unsigned lane)
{
    struct lane *l = &mt->lanes[lane % MEMTABLE_LANES];

    /* Pairs with memtable_seal: one of the two sees what the other has stored. */
    atomic_fetch_add_explicit(&l->writers, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&mt->sealed, memory_order_seq_cst) == 0)
        return true;
    atomic_fetch_sub_explicit(&l->writers, 1, memory_order_release);
    return false;
}

void
memtable_leave(struct memtable *mt, unsigned lane)
{
    uint32_t before = atomic_fetch_sub_explicit(&mt->lanes[lane % MEMTABLE_LANES].writers, 1,
                                                memory_order_release);

    CHECK(before > 0);
}

bool
memtable_seal(struct memtable *mt)
{
    atomic_store_explicit(&mt->sealed, 1, memory_order_seq_cst);
    for (int i = 0; i < MEMTABLE_LANES; i++)
        if (atomic_load_explicit(&mt->lanes[i].writers, memory_order_seq_cst) != 0)
            return false;
    return true;
}

void
memtable_seal_wait(struct memtable *mt)
{
    while (!memtable_seal(mt))
        env_thread_yield(mt->env);
}

bool
memtable_is_sealed(const struct memtable *mt)
{
    return atomic_load_explicit(&mt->sealed, memory_order_acquire) != 0;
}

/* ---- versions ------------------------------------------------------------------------------- */

struct version_ref
memtable_version_ref(struct memtable_entry *e, struct memtable_version *v)
{
    return (struct version_ref){ .key = memtable_entry_key(e),
                                 .value = memtable_version_value(v),
                                 .stamp = memtable_version_stamp(v),
                                 .seq = v->seq,
                                 .kind = v->kind };
}

bool
memtable_resolve(struct memtable_version *v, txid_t txid, scn_t scn)
{
    CHECK(stamp_is_txid(txid) && !stamp_is_txid(scn));
    return atomic_compare_exchange_strong_explicit(&v->stamp, &txid, scn, memory_order_release,
                                                   memory_order_relaxed);
}

static size_t
version_size(const struct version_ref *v)
{
    return offsetof(struct memtable_version, value) + v->value.size;
}

static size_t
entry_size(const struct version_ref *v)
{
    return (offsetof(struct memtable_entry, key) + v->key.size + 7) & ~(size_t)7;
}

static struct memtable_version *
version_fill(void *at, const struct version_ref *v, struct memtable_version *older)
{
    struct memtable_version *n = at;

    atomic_init(&n->stamp, v->stamp);
    atomic_init(&n->older, older);
    n->seq = v->seq;
    n->value_size = (uint32_t)v->value.size;
    n->kind = v->kind;
    if (v->value.size != 0)
        memcpy(n->value, v->value.data, v->value.size);
    return n;
}

static void
lane_count(struct lane *l, const struct version_ref *v, uint64_t keys, uint64_t versions)
{
    ADD_RELAXED(l->keys, keys);
    ADD_RELAXED(l->versions, versions);
    if (v->kind == VERSION_DELETE)
        ADD_RELAXED(l->deletes, versions);
}

/* What was counted when it was allocated has not come in after all. */
static void
lane_uncount(struct memtable *mt, unsigned lane, const struct version_ref *v, uint64_t keys)
{
    struct lane *l = lane_latch(mt, lane);

    lane_count(l, v, (uint64_t)0 - keys, (uint64_t)0 - 1);
    lane_unlatch(l);
}

static struct memtable_version *
version_new(struct memtable *mt, unsigned lane, const struct version_ref *v)
{
    struct lane *l = lane_latch(mt, lane);
    void *at = lane_alloc(mt, l, version_size(v), 8);

    if (at != NULL)
        lane_count(l, v, 0, 1);
    lane_unlatch(l);
    return at == NULL ? NULL : version_fill(at, v, NULL);
}

/* The entry and its first version lie together: a lookup finds both behind one pointer. */
static struct memtable_entry *
entry_new(struct memtable *mt, unsigned lane, const struct version_ref *v)
{
    struct lane *l = lane_latch(mt, lane);
    struct memtable_entry *e = lane_alloc(mt, l, entry_size(v) + version_size(v), 8);

    if (e != NULL)
        lane_count(l, v, 1, 1);
    lane_unlatch(l);
    if (e == NULL)
        return NULL;
    e->key_size = (uint32_t)v->key.size;
    if (v->key.size != 0)
        memcpy(e->key, v->key.data, v->key.size);
    atomic_init(&e->newest, version_fill((uint8_t *)e + entry_size(v), v, NULL));
    return e;
}

/* ---- lookup --------------------------------------------------------------------------------- */

/* False: look again. */
static bool
lookup_in(struct node *leaf, uint64_t version, struct slice key, struct memtable_entry **out)
{
    bool equal;
    unsigned at = node_search(leaf, key, &equal);

    *out = equal ? atomic_load_explicit(&leaf->entry[at], memory_order_acquire) : NULL;
    return node_valid(leaf, version);
}

struct memtable_entry *
memtable_lookup(struct memtable *mt, struct slice key)
{
    for (;;) {
        uint64_t version;
        struct node *leaf = memtable_leaf(mt, key, false, &version);
        struct memtable_entry *e;

        if (lookup_in(leaf, version, key, &e))
            return e;
    }
}

/* For a key that will be added if it is not there. */
static struct memtable_entry *
lookup_near(struct memtable *mt, struct slice key)
{
    uint64_t version;
    struct node *leaf = memtable_tail(mt, key, &version);
    struct memtable_entry *e;

    return leaf != NULL && lookup_in(leaf, version, key, &e) ? e : memtable_lookup(mt, key);
}

struct memtable_version *
memtable_find(struct memtable *mt, struct slice key)
{
    struct memtable_entry *e = memtable_lookup(mt, key);

    return e == NULL ? NULL : memtable_entry_newest(e);
}

/* ---- adding --------------------------------------------------------------------------------- */

static void
check_version(const struct version_ref *v)
{
    CHECK(v->key.size <= VERSION_KEY_MAX);
    CHECK(v->value.size <= VERSION_VALUE_MAX);
    CHECK(v->kind != 0 && v->kind <= VERSION_KIND_MAX);
}

/* A new key. ERR_AGAIN with *existing: it is there after all. */
MUST_CHECK
static int
add_key(struct memtable *mt, unsigned lane, const struct version_ref *v,
        struct memtable_version **added, struct memtable_entry **existing)
{
    struct memtable_entry *e = entry_new(mt, lane, v);
    int rc;

    if (e == NULL)
        return ERR_NOMEM;
    *added = atomic_load_explicit(&e->newest, memory_order_relaxed);
    rc = memtable_tree_insert(mt, lane, e, existing);
    if (rc != 0) {
        *added = NULL;
        lane_uncount(mt, lane, v, 1);
    }
    return rc;
}

int
memtable_add(struct memtable *mt, unsigned lane, const struct version_ref *v,
             struct memtable_version *expected, struct memtable_version **added)
{
    struct memtable_version *n, *ignored;
    struct memtable_entry *e;

    check_version(v);
    if (added == NULL)
        added = &ignored;
    *added = NULL;
    if (expected == NULL)
        return add_key(mt, lane, v, added, &e);
    e = memtable_lookup(mt, v->key);
    CHECK(e != NULL); /* keys are never taken out */
    if (memtable_entry_newest(e) != expected)
        return ERR_AGAIN;
    n = version_new(mt, lane, v);
    if (n == NULL)
        return ERR_NOMEM;
    atomic_store_explicit(&n->older, expected, memory_order_relaxed);
    if (!atomic_compare_exchange_strong_explicit(&e->newest, &expected, n, memory_order_release,
                                                 memory_order_relaxed)) {
        lane_uncount(mt, lane, v, 0);
        return ERR_AGAIN;
    }
    *added = n;
    return 0;
}

enum chain_place { PLACE_HERE, PLACE_BELOW, PLACE_SAME };

/* Whether v goes on top of `there`, further down, or is there already. */
static enum chain_place
chain_place(const struct version_ref *v, struct memtable_version *there)
{
    stamp_t stamp = memtable_version_stamp(there);

    if (stamp == v->stamp && there->seq == v->seq)
        return PLACE_SAME;
    if (stamp == v->stamp)
        return there->seq < v->seq ? PLACE_HERE : PLACE_BELOW;
    if (stamp_is_txid(v->stamp))
        return PLACE_HERE;
    return !stamp_is_txid(stamp) && stamp < v->stamp ? PLACE_HERE : PLACE_BELOW;
}

/* Links n in its place; false: the same write is there already. Versions are only ever added to a
 * chain, so a compare-and-swap on one link is enough. */
static bool
chain_insert(struct memtable_entry *e, const struct version_ref *v, struct memtable_version *n)
{
    for (;;) {
        struct memtable_version *_Atomic *link = &e->newest;
        struct memtable_version *at = atomic_load_explicit(link, memory_order_acquire);
        enum chain_place place = PLACE_HERE;

        while (at != NULL && (place = chain_place(v, at)) == PLACE_BELOW) {
            link = &at->older;
            at = atomic_load_explicit(link, memory_order_acquire);
        }
        if (at != NULL && place == PLACE_SAME)
            return false;
        atomic_store_explicit(&n->older, at, memory_order_relaxed);
        if (atomic_compare_exchange_strong_explicit(link, &at, n, memory_order_release,
                                                    memory_order_relaxed))
            return true;
    }
}

int
memtable_add_ordered(struct memtable *mt, unsigned lane, const struct version_ref *v,
                     struct memtable_version **added)
{
    struct memtable_entry *e;
    struct memtable_version *n, *ignored;
    int rc;

    check_version(v);
    if (added == NULL)
        added = &ignored;
    *added = NULL;
    e = lookup_near(mt, v->key);
    if (e == NULL) {
        rc = add_key(mt, lane, v, added, &e);
        if (rc != ERR_AGAIN)
            return rc;
    }
    n = version_new(mt, lane, v);
    if (n == NULL)
        return ERR_NOMEM;
    if (chain_insert(e, v, n))
        *added = n;
    else
        lane_uncount(mt, lane, v, 0);
    return 0;
}

/* ---- figures -------------------------------------------------------------------------------- */

void
memtable_get_figures(const struct memtable *mt, struct memtable_figures *out)
{
    memset(out, 0, sizeof *out);
    for (int i = 0; i < MEMTABLE_LANES; i++) {
        const struct lane *l = &mt->lanes[i];

        out->bytes += RELAXED(l->bytes);
        out->used_bytes += RELAXED(l->used_bytes);
        out->keys += RELAXED(l->keys);
        out->versions += RELAXED(l->versions);
        out->deletes += RELAXED(l->deletes);
    }
}

size_t
memtable_bytes(const struct memtable *mt)
{
    size_t bytes = 0;

    for (int i = 0; i < MEMTABLE_LANES; i++)
        bytes += RELAXED(mt->lanes[i].bytes);
    return bytes;
}

bool
memtable_is_empty(const struct memtable *mt)
{
    struct memtable_iter it;

    /* Not from the counters: what another thread has added before counts at once. */
    memtable_iter_init(&it, (struct memtable *)(uintptr_t)mt);
    memtable_iter_first(&it);
    return it.entry == NULL;
}
