/* Decoding and walking blocks; see block.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/lsm/block.h"

#include "engine/base/mem.h"

enum {
    /* Heads of entries are decoded before it is known whether they fit; none is longer. */
    SLACK = 64,
    KEY_ON_STACK = 512,
    PREFETCH_MAX = 2048,
};

/* ---- memory --------------------------------------------------------------------------------- */

static void
block_item_free(struct cache_item *item)
{
    block_free(block_of(item));
}

struct block *
block_new(enum seg_block_type type, size_t size)
{
    struct block *b;

    CHECK(size <= SEG_RAW_MAX);
    b = xmalloc(sizeof *b + size + SLACK);
    memset((void *)b, 0, sizeof *b);
    b->type = type;
    b->size = (uint32_t)size;
    b->data = (uint8_t *)(b + 1);
    memset(b->data + size, 0, SLACK);
    b->item.free = block_item_free;
    b->item.charge = sizeof *b + size + SLACK;
    return b;
}

void
block_free(struct block *b)
{
    if (b == NULL)
        return;
    xfree(b->tables);
    xfree(b);
}

/* One piece of memory for all arrays; the 8-byte ones first. */
static uint8_t *
tables_new(struct block *b, size_t bytes)
{
    b->tables = xmalloc(bytes == 0 ? 1 : bytes);
    b->item.charge += bytes;
    return b->tables;
}

/* ---- entries -------------------------------------------------------------------------------- */

/* Reads at most ten bytes, whatever they are. */
static inline const uint8_t *
varint(const uint8_t *p, uint64_t *v)
{
    uint64_t value = *p & 0x7f;

    for (unsigned shift = 7; (*p++ & 0x80) != 0 && shift < 70; shift += 7)
        value |= shift < 64 ? (uint64_t)(*p & 0x7f) << shift : 0;
    *v = value;
    return p;
}

static inline uint64_t
zigzag(uint64_t v)
{
    return v << 1 ^ (0 - (v >> 63));
}
static inline uint64_t
unzigzag(uint64_t v)
{
    return v >> 1 ^ (0 - (v & 1));
}

bool
block_entry(const struct block *b, uint32_t at, struct entry *e)
{
    const uint8_t *p = b->data + at;
    uint8_t head = *p++;
    uint64_t shared = 0, unshared = 0, value_size = 0, v;
    size_t used;

    e->kind = head & SEG_ENTRY_KIND;
    e->same_key = (head & SEG_ENTRY_SAME_KEY) != 0;
    if (!e->same_key) {
        p = varint(p, &shared);
        p = varint(p, &unshared);
    }
    if (e->kind != VERSION_DELETE)
        p = varint(p, &value_size);
    if ((head & SEG_ENTRY_TXID) != 0) {
        e->stamp = load_u64(p);
        p += 8;
    } else {
        p = varint(p, &v);
        e->stamp = b->base + unzigzag(v);
    }
    e->seq = 0;
    if ((head & SEG_ENTRY_SEQ) != 0)
        p = varint(p, &e->seq);
    e->superseded = 0;
    if ((head & SEG_ENTRY_SUPERSEDED) != 0) {
        p = varint(p, &v);
        e->superseded = e->stamp + v;
    }
    used = (size_t)(p - b->data);
    if (shared > VERSION_KEY_MAX || unshared > VERSION_KEY_MAX || value_size > VERSION_VALUE_MAX ||
        used + unshared + value_size > b->size)
        return false;
    e->shared = (uint32_t)shared;
    e->unshared = (uint32_t)unshared;
    e->value_size = (uint32_t)value_size;
    e->key = p;
    e->value = p + unshared;
    e->next = (uint32_t)(used + unshared + value_size);
    return (head & SEG_ENTRY_ZERO) == 0 && e->kind != 0 &&
           stamp_is_txid(e->stamp) == ((head & SEG_ENTRY_TXID) != 0);
}

/* ---- opening a data block ------------------------------------------------------------------- */

struct check {
    uint8_t on_stack[KEY_ON_STACK];
    uint8_t *key; /* of the entry before */
    size_t size, cap;
    struct entry before;
};

static void
check_take_key(struct check *c, const struct entry *e)
{
    size_t size = (size_t)e->shared + e->unshared;

    if (size > c->cap) {
        uint8_t *larger = xmalloc(VERSION_KEY_MAX * 2);

        memcpy(larger, c->key, c->size);
        c->key = larger;
        c->cap = (size_t)VERSION_KEY_MAX * 2;
    }
    memcpy(c->key + e->shared, e->key, e->unshared);
    c->size = size;
}

/* Whether entry number n may follow the one before: keys ascend with as much shared as there is,
 * versions of a key descend. */
static bool
check_entry(struct check *c, const struct entry *e, uint32_t n)
{
    bool same = e->same_key;

    if (n % SEG_RESTART_EVERY == 0) {
        int order = n == 0 ? 1 : slice_cmp(slice(e->key, e->unshared), slice(c->key, c->size));

        if (e->same_key || e->shared != 0 || order < 0)
            return false;
        same = order == 0;
    } else if (!e->same_key) {
        if (e->shared > c->size || e->unshared == 0 ||
            (e->shared < c->size && e->key[0] <= c->key[e->shared]))
            return false;
    }
    if (same && version_order(c->before.stamp, c->before.seq, e->stamp, e->seq) >= 0)
        return false;
    if ((size_t)e->shared + e->unshared > VERSION_KEY_MAX)
        return false;
    if (!e->same_key)
        check_take_key(c, e);
    c->before = *e;
    return true;
}

static bool
data_check(const struct block *b)
{
    struct check c = { .cap = KEY_ON_STACK };
    uint32_t at = 0, n = 0;
    struct entry e;
    bool ok = true;

    c.key = c.on_stack;
    for (; ok && at < b->size; n++) {
        ok = block_entry(b, at, &e) && check_entry(&c, &e, n) &&
             (n % SEG_RESTART_EVERY != 0 ||
              (n / SEG_RESTART_EVERY < b->count && b->at[n / SEG_RESTART_EVERY] == at));
        at = e.next;
    }
    if (c.key != c.on_stack)
        xfree(c.key);
    return ok && n == b->entry_count;
}

static struct slice
restart_key(const struct block *b, uint32_t i)
{
    struct entry e;

    (void)block_entry(b, b->at[i], &e);
    return slice(e.key, e.unshared);
}

static int
data_open(struct block *b)
{
    struct reader r;
    uint64_t *prefix;
    uint32_t *at;

    if (b->size < SEG_DATA_TAIL_SIZE)
        return DIAG(ERR_CORRUPT, "data block too short");
    rd_init(&r, b->data + b->size - SEG_DATA_TAIL_SIZE, SEG_DATA_TAIL_SIZE);
    b->base = rd_u64(&r);
    b->entry_count = rd_u32(&r);
    b->count = rd_u32(&r);
    if (b->count == 0 || b->count > (b->size - SEG_DATA_TAIL_SIZE) / 4 ||
        b->count != (b->entry_count + SEG_RESTART_EVERY - 1) / SEG_RESTART_EVERY)
        return DIAG(ERR_CORRUPT, "data block: its counts do not fit");
    b->size -= SEG_DATA_TAIL_SIZE + 4 * b->count;
    prefix = (uint64_t *)(void *)tables_new(b, (size_t)b->count * 12);
    at = (uint32_t *)(prefix + b->count);
    rd_init(&r, b->data + b->size, (size_t)b->count * 4);
    for (uint32_t i = 0; i < b->count; i++)
        at[i] = rd_u32(&r);
    b->at = at;
    if (!data_check(b))
        return DIAG(ERR_CORRUPT, "data block: an entry does not fit");
    b->skip = (uint32_t)key_common(restart_key(b, 0), restart_key(b, b->count - 1));
    for (uint32_t i = 0; i < b->count; i++)
        prefix[i] = key_prefix(restart_key(b, i), b->skip);
    b->prefix = prefix;
    return 0;
}

/* ---- opening an index block ----------------------------------------------------------------- */

static int
index_open(struct block *b)
{
    struct reader r;
    uint64_t at, *prefix, *offset, *last;
    uint32_t *start, *bytes, *key_size;
    struct slice before = { NULL, 0 };

    rd_init(&r, b->data, b->size);
    at = rd_u64(&r);
    b->count = rd_u32(&r);
    if (!rd_ok(&r) || b->count == 0 || b->count > rd_left(&r) / 3)
        return DIAG(ERR_CORRUPT, "index block: its count does not fit");
    prefix = (uint64_t *)(void *)tables_new(b, (size_t)b->count * 36 + 8);
    offset = prefix + b->count;
    last = offset + b->count + 1;
    start = (uint32_t *)(last + b->count);
    bytes = start + b->count;
    key_size = bytes + b->count;
    for (uint32_t i = 0; i < b->count; i++) {
        uint64_t size = rd_varint(&r);
        uint8_t flags = rd_u8(&r);
        struct slice key;

        last[i] = (flags & SEG_INDEX_GOES_ON) != 0 ? rd_varint(&r) : 0;
        key = rd_lenslice(&r);
        if (!rd_ok(&r) || size <= SEG_TAIL_SIZE || size > SEG_RAW_MAX || at > INT64_MAX ||
            key.size > VERSION_KEY_MAX || (flags & ~SEG_INDEX_GOES_ON) != 0 ||
            (i > 0 && slice_cmp(before, key) > 0))
            return DIAG(ERR_CORRUPT, "index block: an entry does not fit");
        offset[i] = at;
        bytes[i] = (uint32_t)size;
        start[i] = (uint32_t)(key.data - b->data);
        key_size[i] = (uint32_t)key.size;
        at += size;
        before = key;
    }
    if (rd_left(&r) != 0)
        return DIAG(ERR_CORRUPT, "index block: bytes left over");
    offset[b->count] = at;
    b->offset = offset;
    b->last = last;
    b->at = start;
    b->bytes = bytes;
    b->key_size = key_size;
    b->skip = (uint32_t)key_common(index_key(b, 0), index_key(b, b->count - 1));
    for (uint32_t i = 0; i < b->count; i++)
        prefix[i] = key_prefix(index_key(b, i), b->skip);
    b->prefix = prefix;
    return 0;
}

int
block_open(struct block *b)
{
    if (b->type == SEG_BLOCK_DATA)
        return data_open(b);
    if (b->type == SEG_BLOCK_INDEX)
        return index_open(b);
    return 0;
}

/* ---- search --------------------------------------------------------------------------------- */

static inline struct slice
table_key(const struct block *b, uint32_t i)
{
    return b->type == SEG_BLOCK_DATA ? restart_key(b, i) : index_key(b, i);
}

/* The first of `size` prefixes from `at` on that is >= p. */
static inline uint32_t
prefix_lower(const uint64_t *prefix, uint32_t at, uint32_t size, uint64_t p)
{
    while (size > 1) {
        uint32_t half = size / 2;

        at += prefix[at + half - 1] < p ? half : 0;
        size -= half;
    }
    return at + (size == 1 && prefix[at] < p);
}

/* The first table entry whose key is >= key. */
static uint32_t
table_seek(const struct block *b, struct slice key)
{
    uint32_t at, end;
    uint64_t p;

    if (b->skip > 0) {
        size_t n = key.size < b->skip ? key.size : b->skip;
        int c = n == 0 ? 0 : memcmp(key.data, table_key(b, 0).data, n);

        if (c != 0 || key.size < b->skip)
            return c > 0 ? b->count : 0;
    }
    p = key_prefix(key, b->skip);
    at = prefix_lower(b->prefix, 0, b->count, p);
    end = at;
    if (at < b->count && b->prefix[at] == p)
        end = p == UINT64_MAX ? b->count : prefix_lower(b->prefix, at, b->count - at, p + 1);
    while (at < end) {
        uint32_t mid = at + (end - at) / 2;

        if (slice_cmp(table_key(b, mid), key) < 0)
            at = mid + 1;
        else
            end = mid;
    }
    return at;
}

uint32_t
index_seek(const struct block *b, struct slice key)
{
    return table_seek(b, key);
}

/* Compares the entry's key with `key`, of which *match bytes are known to be those of the entry
 * before; that one is smaller than `key`. Updates *match when this one is smaller, too. */
static inline int
entry_cmp(const struct entry *e, struct slice key, size_t *match)
{
    size_t n, left = key.size - *match;
    const uint8_t *rest = key.data + *match;

    if (e->same_key || e->shared > *match)
        return -1; /* differs from `key` where the one before did */
    if (e->shared < *match)
        return 1;
    n = key_common(slice(e->key, e->unshared), slice(rest, left));
    if (n == left)
        return n == e->unshared ? 0 : 1;
    if (n < e->unshared && e->key[n] > rest[n])
        return 1;
    *match += n;
    return -1;
}

/* The entries between two restarts, whose places are known only one after the other, all at once.
 */
static inline void
interval_prefetch(const struct block *b, uint32_t r)
{
    uint32_t end = r + 1 < b->count ? b->at[r + 1] : b->size;

    if (end > b->at[r] + PREFETCH_MAX)
        end = b->at[r] + PREFETCH_MAX;
    for (uint32_t at = b->at[r]; at < end; at += 64)
        __builtin_prefetch(b->data + at);
}

uint32_t
block_seek(const struct block *b, struct slice key, struct entry *e, bool *equal)
{
    uint32_t r = table_seek(b, key), at;
    size_t match = 0;

    *equal = false;
    if (r > 0)
        r--;
    interval_prefetch(b, r);
    at = b->at[r];
    for (uint32_t n = 0; at < b->size; n++, at = e->next) {
        int c;

        (void)block_entry(b, at, e);
        if (n % SEG_RESTART_EVERY == 0)
            match = 0;
        c = entry_cmp(e, key, &match);
        if (c < 0)
            continue;
        *equal = c == 0;
        return at;
    }
    return b->size;
}

/* ---- iterators ------------------------------------------------------------------------------ */

void
block_iter_init(struct block_iter *it)
{
    *it = (struct block_iter){ 0 };
}

void
block_iter_fini(struct block_iter *it)
{
    xfree(it->key);
    *it = (struct block_iter){ 0 };
}

void
block_iter_set(struct block_iter *it, const struct block *b)
{
    it->block = b;
    it->at = it->next = b == NULL ? 0 : b->size;
}

/* Puts the key together from the first `e->shared` bytes of `base` and the entry's own. */
static void
iter_key(struct block_iter *it, const struct entry *e, const uint8_t *base)
{
    size_t size = (size_t)e->shared + e->unshared;

    if (size > it->key_cap) {
        uint8_t *larger = xmalloc(size * 2);

        if (it->key_size != 0)
            memcpy(larger, it->key, it->key_size);
        if (base == it->key)
            base = larger;
        xfree(it->key);
        it->key = larger;
        it->key_cap = size * 2;
    }
    if (base != it->key && e->shared != 0)
        memcpy(it->key, base, e->shared);
    if (e->unshared != 0)
        memcpy(it->key + e->shared, e->key, e->unshared);
    it->key_size = size;
}

static void
iter_take(struct block_iter *it, uint32_t at, const struct entry *e)
{
    it->at = at;
    it->next = e->next;
    it->v = (struct version_ref){ .key = slice(it->key, it->key_size),
                                  .value = slice(e->value, e->value_size),
                                  .stamp = e->stamp,
                                  .seq = e->seq,
                                  .superseded = e->superseded,
                                  .kind = e->kind };
}

/* The entry at an offset, whose predecessor's key is in the iterator. */
static void
iter_load(struct block_iter *it, uint32_t at)
{
    struct entry e;

    if (at >= it->block->size) {
        it->at = it->next = it->block->size;
        return;
    }
    (void)block_entry(it->block, at, &e);
    if (!e.same_key)
        iter_key(it, &e, it->key);
    iter_take(it, at, &e);
}

void
block_iter_first(struct block_iter *it)
{
    iter_load(it, 0);
}

void
block_iter_next(struct block_iter *it)
{
    iter_load(it, it->next);
}

void
block_iter_seek(struct block_iter *it, struct slice key)
{
    struct entry e;
    bool equal;
    uint32_t at = block_seek(it->block, key, &e, &equal);

    if (at == it->block->size) {
        it->at = it->next = at;
        return;
    }
    /* The first entry that is not below the key shares with its predecessor only what that shares
     * with the key (and equals the key if it has no bytes of its own). */
    if (equal)
        iter_key(it, &(struct entry){ .unshared = (uint32_t)key.size, .key = key.data }, it->key);
    else
        iter_key(it, &e, key.data);
    iter_take(it, at, &e);
}

/* The restart at or before which the entry at `at` lies: its last predecessor in the table. */
static uint32_t
restart_before(const struct block *b, uint32_t at)
{
    uint32_t lo = 0, hi = b->count;

    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (b->at[mid] < at)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

void
block_iter_prev(struct block_iter *it)
{
    uint32_t target = it->at;

    if (target == 0) {
        it->at = it->next = it->block->size;
        return;
    }
    iter_load(it, it->block->at[restart_before(it->block, target)]);
    while (it->next < target)
        iter_load(it, it->next);
}

void
block_iter_last(struct block_iter *it)
{
    it->at = it->block->size;
    block_iter_prev(it);
}

void
block_iter_seek_lt(struct block_iter *it, struct slice key)
{
    struct entry e;
    bool equal;

    it->at = block_seek(it->block, key, &e, &equal);
    block_iter_prev(it);
}

/* ---- building ------------------------------------------------------------------------------- */

void
block_builder_init(struct block_builder *b)
{
    *b = (struct block_builder){ 0 };
    wr_init(&b->entries, SEG_RAW_MAX);
    wr_init(&b->restarts, SEG_RAW_MAX);
    b->key = xmalloc(VERSION_KEY_MAX);
}

void
block_builder_fini(struct block_builder *b)
{
    wr_fini(&b->entries);
    wr_fini(&b->restarts);
    xfree(b->key);
    b->key = NULL;
}

void
block_builder_reset(struct block_builder *b)
{
    wr_reset(&b->entries);
    wr_reset(&b->restarts);
    b->entry_count = 0;
    b->has_base = false;
    b->base = 0;
    b->key_size = 0;
}

static uint8_t *
put_varint(uint8_t *p, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *p++ = (uint8_t)(v | 0x80);
    *p++ = (uint8_t)v;
    return p;
}

/* Head, stamp and sizes. Returns the bytes used. */
static size_t
entry_head(uint8_t *out, const struct block_builder *b, const struct version_ref *v, bool same,
           size_t shared)
{
    uint8_t *p = out + 1, head = v->kind;

    if (same) {
        head |= SEG_ENTRY_SAME_KEY;
    } else {
        p = put_varint(p, shared);
        p = put_varint(p, v->key.size - shared);
    }
    if (v->kind != VERSION_DELETE)
        p = put_varint(p, v->value.size);
    if (stamp_is_txid(v->stamp)) {
        head |= SEG_ENTRY_TXID;
        store_u64(p, v->stamp);
        p += 8;
    } else {
        p = put_varint(p, zigzag(v->stamp - b->base));
    }
    if (v->seq != 0) {
        head |= SEG_ENTRY_SEQ;
        p = put_varint(p, v->seq);
    }
    if (v->superseded != 0) {
        head |= SEG_ENTRY_SUPERSEDED;
        p = put_varint(p, v->superseded - v->stamp);
    }
    out[0] = head;
    return (size_t)(p - out);
}

void
block_builder_add(struct block_builder *b, const struct version_ref *v)
{
    bool restart = b->entry_count % SEG_RESTART_EVERY == 0;
    size_t shared = restart ? 0 : key_common(slice(b->key, b->key_size), v->key);
    bool same = !restart && shared == v->key.size && shared == b->key_size;
    uint8_t head[SLACK];

    if (!b->has_base && !stamp_is_txid(v->stamp)) {
        b->has_base = true;
        b->base = v->stamp;
    }
    if (restart)
        wr_u32(&b->restarts, (uint32_t)b->entries.size);
    wr_bytes(&b->entries, head, entry_head(head, b, v, same, shared));
    if (v->key.size > shared) {
        wr_bytes(&b->entries, v->key.data + shared, v->key.size - shared);
        memcpy(b->key + shared, v->key.data + shared, v->key.size - shared);
    }
    b->key_size = v->key.size;
    if (v->value.size > 0)
        wr_slice(&b->entries, v->value);
    b->entry_count++;
}

int
block_builder_finish(struct block_builder *b, struct slice *out)
{
    uint32_t restarts = (uint32_t)(b->restarts.size / 4);

    wr_slice(&b->entries, wr_view(&b->restarts));
    wr_u64(&b->entries, b->base);
    wr_u32(&b->entries, b->entry_count);
    wr_u32(&b->entries, restarts);
    *out = wr_view(&b->entries);
    return wr_finish(&b->entries);
}
