/* A version of a key: what memtables, segments and merges deal in.
 *
 * The versions of one key are ordered newest first: unresolved ones (stamped with a txid) before
 * all others, among themselves by seq; then by (SCN, seq), both descending (ORDER-1). In one run
 * the unresolved versions of a key belong to one transaction and its children, which share their
 * count of seq; two runs' unresolved versions of different transactions are compared only after
 * they have been resolved.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_LSM_VERSION_H
#define ENGINE_LSM_VERSION_H

#include <stdint.h>

#include "engine/base/bytes.h"
#include "engine/base/id.h"

/* On disk: explicit, never reused. 0 is no kind. */
enum version_kind {
    VERSION_PUT = 1,
    VERSION_DELETE = 2,
    VERSION_PUT_NO_KEY = 3, /* a put that leaves the key columns alone: another lock, same value */
};
enum { VERSION_KIND_MAX = 3 };

enum {
    VERSION_KEY_MAX = 16 << 10,            /* the format's limit; the engine's own is lower */
    VERSION_VALUE_MAX = (64 << 20) + 4096, /* likewise */
};

/* Borrowed: what gave it says how long the slices live. */
struct version_ref {
    struct slice key;
    struct slice value; /* empty for a delete */
    stamp_t stamp;      /* an SCN, or a txid while not resolved */
    uint64_t seq;       /* counts the writes of its transaction, children included */
    scn_t superseded;   /* undo runs: the commit that superseded it; else 0 */
    uint8_t kind;       /* enum version_kind */
};

/* Negative when (a, a_seq) is newer than (b, b_seq), 0 when they are the same write. */
static inline int
version_order(stamp_t a, uint64_t a_seq, stamp_t b, uint64_t b_seq)
{
    if (stamp_is_txid(a) != stamp_is_txid(b))
        return stamp_is_txid(a) ? -1 : 1;
    if (!stamp_is_txid(a) && a != b)
        return a > b ? -1 : 1;
    if (a_seq != b_seq)
        return a_seq > b_seq ? -1 : 1;
    return (a < b) - (a > b);
}

/* The order of a run: by key, then newest first. */
static inline int
version_cmp(const struct version_ref *a, const struct version_ref *b)
{
    int c = slice_cmp(a->key, b->key);

    return c != 0 ? c : version_order(a->stamp, a->seq, b->stamp, b->seq);
}

/* Big-endian number of the eight bytes of a key after the first `skip`, padded with zeros. */
static inline uint64_t
key_prefix(struct slice key, size_t skip)
{
    uint8_t bytes[8] = { 0 };

    if (key.size >= skip + 8)
        return load_u64_be(key.data + skip);
    if (key.size > skip)
        memcpy(bytes, key.data + skip, key.size - skip);
    return load_u64_be(bytes);
}
static inline size_t
key_common(struct slice a, struct slice b)
{
    size_t n = a.size < b.size ? a.size : b.size, i = 0;

    while (i + 8 <= n && load_u64(a.data + i) == load_u64(b.data + i))
        i += 8;
    while (i < n && a.data[i] == b.data[i])
        i++;
    return i;
}

#endif
