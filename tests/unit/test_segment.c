/* Segments: against a model by seed, with damage of every kind, from several threads and fibers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/checksum.h"
#include "engine/base/env.h"
#include "engine/base/fiber.h"
#include "engine/base/mem.h"
#include "engine/lsm/cache.h"
#include "engine/lsm/filter.h"
#include "engine/lsm/segment.h"
#include "engine/lsm/segment_format.h"

static struct env *env;
static struct codec_pool *codecs;
static char dir[64], path[96];

static uint64_t
next_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15ull;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

static uint64_t
seed_of(const char *name)
{
    const char *given = getenv("TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : env_random_u64(env);

    printf("%s: TEST_SEED=%lu\n", name, seed);
    fflush(stdout);
    return seed;
}

static void
setup(void)
{
    env = env_posix_new();
    codecs = codec_pool_new(env);
    strcpy(dir, "/tmp/test_segment.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/1.seg", dir);
}

static void
teardown(void)
{
    (void)!unlink(path);
    ck_assert_int_eq(rmdir(dir), 0); /* nothing is left behind */
    codec_pool_free(codecs);
    env_free(env);
}

/* ---- the model ------------------------------------------------------------------------------ */

enum { KEY_MAX = 64, VALUE_MAX = 200 };

struct model_version {
    struct version_ref v;
    uint8_t key[KEY_MAX], value[VALUE_MAX];
};
struct model {
    struct model_version *versions; /* in the order of version_cmp */
    size_t count;
    enum segment_kind kind;
};

static int
model_cmp(const void *a, const void *b)
{
    return version_cmp(&((const struct model_version *)a)->v,
                       &((const struct model_version *)b)->v);
}

static void
model_version(struct model_version *m, uint64_t *random, enum segment_kind kind, unsigned keys,
              unsigned chain)
{
    uint64_t k = next_random(random) % keys, mixed = k * 0x9e3779b97f4a7c15ull;
    size_t common = k % 3 * 7, size = common + 1 + mixed % 20;
    bool open = kind == SEGMENT_MAIN && k % 5 == 0 && next_random(random) % 4 == 0;

    memset(m->key, 'p', common);
    memset(m->key + common, 0, KEY_MAX - common);
    store_u64_be(m->key + common + size % 8, k % 97 == 0 ? 0 : mixed);
    for (size_t i = 0; i < VALUE_MAX; i++)
        m->value[i] = (uint8_t)(i % 16 + k % 8);
    m->v = (struct version_ref){ .key = slice(m->key, k == 0 ? 0 : size),
                                 .stamp = 1 + next_random(random) % chain,
                                 .seq = next_random(random) % 3,
                                 .kind = (uint8_t)(1 + next_random(random) % 3) };
    if (open) /* one transaction and its children have unresolved versions of a key */
        m->v.stamp = txid_make(3, k * 10 + next_random(random) % 3);
    if (m->v.kind != VERSION_DELETE)
        m->v.value = slice(m->value, next_random(random) % VALUE_MAX);
    if (kind == SEGMENT_UNDO)
        m->v.superseded = m->v.stamp + 1 + next_random(random) % 10;
}

static void
model_fix(struct model_version *m)
{
    m->v.key.data = m->key;
    if (m->v.value.size != 0)
        m->v.value.data = m->value;
}

static struct model
model_new(uint64_t *random, enum segment_kind kind, size_t count, unsigned keys, unsigned chain)
{
    struct model m = { xcalloc(count, sizeof *m.versions), 0, kind };

    for (size_t i = 0; i < count; i++)
        model_version(&m.versions[i], random, kind, keys, chain);
    qsort(m.versions, count, sizeof *m.versions, model_cmp);
    for (size_t i = 0; i < count; i++) {
        model_fix(&m.versions[i]);
        /* The same (SCN, seq) twice, or two unresolved writes with one seq, cannot be. */
        if (m.count > 0) {
            const struct version_ref *last = &m.versions[m.count - 1].v, *v = &m.versions[i].v;

            if (slice_eq(last->key, v->key) && last->seq == v->seq &&
                (last->stamp == v->stamp ||
                 (stamp_is_txid(last->stamp) && stamp_is_txid(v->stamp))))
                continue;
        }
        m.versions[m.count] = m.versions[i];
        model_fix(&m.versions[m.count++]);
    }
    for (size_t i = 0; i < count; i++) /* the copies moved: point again */
        model_fix(&m.versions[i]);
    return m;
}

static void
model_free(struct model *m)
{
    xfree(m->versions);
}

static size_t
model_lower(const struct model *m, struct slice key)
{
    size_t lo = 0, hi = m->count;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (slice_cmp(m->versions[mid].v.key, key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool
same(const struct version_ref *a, const struct version_ref *b)
{
    return slice_eq(a->key, b->key) && slice_eq(a->value, b->value) && a->stamp == b->stamp &&
           a->seq == b->seq && a->kind == b->kind && a->superseded == b->superseded;
}

/* ---- building and opening ------------------------------------------------------------------- */

static struct segment_build
build_options(void)
{
    return (struct segment_build){ .env = env,
                                   .path = path,
                                   .file = 1,
                                   .tree = 77,
                                   .tag = 3,
                                   .kind = SEGMENT_MAIN,
                                   .codec = CODEC_LZ4,
                                   .filter_bits = 10,
                                   .read_back = true,
                                   .codecs = codecs };
}

static struct segment_result
build(const struct model *m, struct segment_build o)
{
    struct segment_builder *b;
    struct segment_result r;

    (void)!unlink(path);
    o.kind = m->kind;
    ck_assert_int_eq(segment_builder_new(&o, &b), 0);
    for (size_t i = 0; i < m->count; i++)
        ck_assert_int_eq(segment_builder_add(b, &m->versions[i].v), 0);
    segment_builder_set_stats(b, slice_str("column statistics"));
    ck_assert_int_eq(segment_builder_finish(b, &r), 0);
    return r;
}

static struct segment_env
open_options(struct cache *cache)
{
    return (struct segment_env){ .env = env, .cache = cache, .codecs = codecs };
}

static struct segment *
must_open(const struct segment_env *se, struct segment_id id)
{
    struct segment *s;

    ck_assert_int_eq(segment_open(se, path, id, &s), 0);
    return s;
}

/* ---- comparing ------------------------------------------------------------------------------ */

/* The functions that compare return 0 when the answer was right, an error when there was one, and
 * fail the test when the answer was wrong: SEG-1. */
static int
compare_get(struct segment *s, const struct model *m, struct slice key, bool skip, scn_t at_scn)
{
    struct segment_cursor c;
    size_t at = model_lower(m, key);
    int rc = segment_get(s, key, filter_hash(key), &c);

    while (rc == 0) {
        bool there = at < m->count && slice_eq(m->versions[at].v.key, key);

        if (skip && there && c.valid &&
            (stamp_is_txid(m->versions[at].v.stamp) || m->versions[at].v.stamp > at_scn)) {
            if (skip) {
                rc = segment_cursor_skip(&c, at_scn);
                skip = false;
            }
            while (at < m->count && slice_eq(m->versions[at].v.key, key) &&
                   (stamp_is_txid(m->versions[at].v.stamp) || m->versions[at].v.stamp > at_scn))
                at++;
            continue;
        }
        if (c.valid != there || (there && !same(&c.v, &m->versions[at].v)))
            ck_abort_msg("wrong answer for key %zu", model_lower(m, key));
        if (!there)
            break;
        at++;
        rc = segment_cursor_next(&c);
    }
    segment_cursor_close(&c);
    return rc;
}

static void
compare_current(const struct segment_iter *it, const struct model *m, size_t at)
{
    const struct version_ref *v = segment_iter_current(it);

    if ((v == NULL) != (at >= m->count) || (v != NULL && !same(v, &m->versions[at].v)))
        ck_abort_msg("wrong answer at version %zu", at);
}

static int
compare_scan(struct segment *s, const struct model *m, int flags)
{
    struct segment_iter *it = segment_iter_new(s, flags);
    size_t at = 0;
    int rc = segment_iter_first(it);

    for (; rc == 0; at++) {
        compare_current(it, m, at);
        if (at >= m->count)
            break;
        rc = segment_iter_next(it);
    }
    if (rc == 0) {
        rc = segment_iter_last(it);
        for (at = m->count; rc == 0 && at > 0; at--) {
            compare_current(it, m, at - 1);
            rc = segment_iter_prev(it);
        }
        if (rc == 0)
            ck_assert_ptr_null(segment_iter_current(it));
    }
    segment_iter_free(it);
    return rc;
}

static int
compare_walk(struct segment *s, const struct model *m, uint64_t *random, struct slice from)
{
    struct segment_iter *it = segment_iter_new(s, 0);
    size_t at = model_lower(m, from);
    int rc;

    if (next_random(random) % 2 == 0) {
        rc = segment_iter_seek(it, from);
    } else {
        rc = segment_iter_seek_lt(it, from);
        at = at == 0 ? m->count : at - 1;
    }
    for (int i = 0; rc == 0 && i < 60; i++) {
        compare_current(it, m, at);
        if (at >= m->count)
            break;
        if (next_random(random) % 3 == 0) {
            rc = segment_iter_prev(it);
            at = at == 0 ? m->count : at - 1;
        } else {
            rc = segment_iter_next(it);
            at++;
        }
    }
    segment_iter_free(it);
    return rc;
}

static struct slice
some_key(const struct model *m, uint64_t *random, uint8_t scratch[KEY_MAX + 1])
{
    struct slice key = m->versions[next_random(random) % m->count].v.key;

    if (next_random(random) % 4 != 0)
        return key;
    if (key.size != 0)
        memcpy(scratch, key.data, key.size);
    scratch[key.size] = (uint8_t)next_random(random);
    if (key.size > 0 && next_random(random) % 2 == 0)
        scratch[key.size - 1]++;
    return slice(scratch, key.size + next_random(random) % 2);
}

/* Points, walks and whole scans. The first error, if any. */
static int
compare(struct segment *s, const struct model *m, uint64_t *random, int points)
{
    uint8_t scratch[KEY_MAX + 1];
    int rc = 0;

    for (int i = 0; rc == 0 && i < points; i++)
        rc =
            compare_get(s, m, some_key(m, random, scratch), i % 2 == 0, next_random(random) % 1000);
    for (int i = 0; rc == 0 && i < points / 10; i++)
        rc = compare_walk(s, m, random, some_key(m, random, scratch));
    if (rc == 0)
        rc = compare_scan(s, m, 0);
    if (rc == 0)
        rc = compare_scan(s, m, SEGMENT_ITER_BULK);
    return rc;
}

static void
compare_props(const struct segment_props *p, const struct model *m)
{
    uint64_t keys = 0, deletes = 0, unresolved = 0;
    scn_t scn_min = UINT64_MAX, scn_max = 0, superseded_max = 0;

    for (size_t i = 0; i < m->count; i++) {
        const struct version_ref *v = &m->versions[i].v;

        keys += i == 0 || !slice_eq(v->key, m->versions[i - 1].v.key);
        deletes += v->kind == VERSION_DELETE;
        if (v->superseded > superseded_max)
            superseded_max = v->superseded;
        if (stamp_is_txid(v->stamp)) {
            bool found = false;

            unresolved++;
            for (size_t t = 0; t < p->txid_count; t++)
                found |= p->txids[t] == v->stamp;
            ck_assert(found);
            continue;
        }
        scn_min = v->stamp < scn_min ? v->stamp : scn_min;
        scn_max = v->stamp > scn_max ? v->stamp : scn_max;
    }
    ck_assert_uint_eq(p->tree, 77);
    ck_assert_uint_eq(p->tag, 3);
    ck_assert_uint_eq(p->kind, m->kind);
    ck_assert_uint_eq(p->version_count, m->count);
    ck_assert_uint_eq(p->key_count, keys);
    ck_assert_uint_eq(p->delete_count, deletes);
    ck_assert_uint_eq(p->unresolved_count, unresolved);
    ck_assert_uint_eq(p->scn_min, scn_min);
    ck_assert_uint_eq(p->scn_max, scn_max);
    ck_assert_uint_eq(p->superseded_max, superseded_max);
    ck_assert(slice_eq(p->key_min, m->versions[0].v.key));
    ck_assert(slice_eq(p->key_max, m->versions[m->count - 1].v.key));
    ck_assert(slice_eq(p->stats, slice_str("column statistics")));
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void
one_round(uint64_t *random, enum codec codec, enum segment_kind kind, size_t count, unsigned keys,
          unsigned chain, uint32_t block_bytes)
{
    struct model m = model_new(random, kind, count, keys, chain);
    struct segment_build o = build_options();
    bool small = next_random(random) % 2 == 0;
    struct cache *cache = cache_new(env, small ? 20000 : 8 << 20);
    struct segment_env se = open_options(cache);
    struct segment_result r;
    struct segment_figures f;
    struct segment *s;

    o.codec = codec;
    o.block_bytes = block_bytes;
    o.filter_bits = next_random(random) % 3 == 0 ? 0 : 10;
    se.direct = !small;
    r = build(&m, o);
    s = must_open(&se, r.id);
    compare_props(segment_props(s), &m);
    ck_assert_uint_eq(segment_props(s)->file_bytes, r.file_bytes);
    ck_assert_int_eq(compare(s, &m, random, 300), 0);
    ck_assert_int_eq(segment_scrub(s, &r.hash, NULL, NULL), 0);
    segment_get_figures(s, &f);
    ck_assert_uint_eq(f.checksum_failures, 0);
    segment_unref(s);
    cache_free(cache);
    model_free(&m);
}

/* SEG-1, SEG-2, ORDER-1 */
START_TEST(test_against_model)
{
    uint64_t random = seed_of("against_model");

    for (enum codec c = CODEC_NONE; c < CODEC_COUNT; c++) {
        one_round(&random, c, SEGMENT_MAIN, 1, 1, 3, 0);
        one_round(&random, c, SEGMENT_MAIN, 3000, 2000, 20, 0);
        one_round(&random, c, SEGMENT_UNDO, 3000, 300, 200, 1000);
        /* Two levels of index, chains over many blocks. */
        one_round(&random, c, SEGMENT_MAIN, 6000, 2000, 1000, 100);
        one_round(&random, c, SEGMENT_UNDO, 5000, 7, 1000000, 100);
    }
}
END_TEST

/* Long histories: skipping to an SCN does not read what lies between. */
START_TEST(test_skip_reads_little)
{
    struct cache *cache = cache_new(env, 0); /* every block that is looked at is read */
    struct segment_env se = open_options(cache);
    struct segment_build o = build_options();
    struct segment_builder *b;
    struct segment_result r;
    struct segment_figures before, after;
    struct segment_cursor c;
    struct segment *s;

    o.block_bytes = 400;
    o.kind = SEGMENT_UNDO;
    ck_assert_int_eq(segment_builder_new(&o, &b), 0);
    for (scn_t scn = 20000; scn > 0; scn--) {
        struct version_ref v = { .key = slice_str("hot"),
                                 .value = slice(&scn, sizeof scn),
                                 .stamp = scn,
                                 .superseded = scn + 1,
                                 .kind = VERSION_PUT };
        ck_assert_int_eq(segment_builder_add(b, &v), 0);
    }
    ck_assert_int_eq(segment_builder_finish(b, &r), 0);
    s = must_open(&se, r.id);
    for (scn_t scn = 19990; scn > 0; scn -= 1999) {
        struct slice key = slice_str("hot");

        segment_get_figures(s, &before);
        ck_assert_int_eq(segment_get(s, key, filter_hash(key), &c), 0);
        ck_assert(c.valid);
        ck_assert_int_eq(segment_cursor_skip(&c, scn), 0);
        ck_assert(c.valid);
        ck_assert_uint_eq(c.v.stamp, scn);
        ck_assert_uint_eq(load_u64(c.v.value.data), scn);
        segment_cursor_close(&c);
        segment_get_figures(s, &after);
        ck_assert_uint_lt(after.block_reads - before.block_reads, 20);
    }
    ck_assert_uint_gt(segment_props(s)->block_count, 500);
    segment_unref(s);
    cache_free(cache);
}
END_TEST

/* ---- damage --------------------------------------------------------------------------------- */

struct file {
    uint8_t *bytes;
    size_t size;
};

static struct file
file_read(void)
{
    struct file f;
    FILE *in = fopen(path, "rb");

    ck_assert_ptr_nonnull(in);
    fseek(in, 0, SEEK_END);
    f.size = (size_t)ftell(in);
    rewind(in);
    f.bytes = xmalloc(f.size);
    ck_assert_uint_eq(fread(f.bytes, 1, f.size, in), f.size);
    fclose(in);
    return f;
}

/* In place: a file that is truncated to nothing and written again is flushed by some systems. */
static void
file_write_to(const char *name, const uint8_t *bytes, size_t size)
{
    int fd = open(name, O_WRONLY | O_CREAT, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, bytes, size, 0), (ssize_t)size);
    ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
    close(fd);
}

static void
file_write(const uint8_t *bytes, size_t size)
{
    file_write_to(path, bytes, size);
}

enum { DAMAGES = 8 };

/* Returns how many bytes of the file are left. */
static size_t
damage(uint8_t *bytes, size_t size, uint64_t *random, unsigned how)
{
    size_t at = next_random(random) % size, n = 1 + next_random(random) % 300;

    if (next_random(random) % 4 == 0) /* near the end, where there is much to break */
        at = size - 1 - next_random(random) % (size < 3000 ? size : 3000);
    n = n > size - at ? size - at : n;
    switch (how % DAMAGES) {
    case 0: /* a flipped bit */
        bytes[at] ^= (uint8_t)(1u << next_random(random) % 8);
        return size;
    case 1: /* garbage */
        for (size_t i = 0; i < n; i++)
            bytes[at + i] = (uint8_t)next_random(random);
        return size;
    case 2: /* a lost write */
        memset(bytes + at / 4096 * 4096, 0, 4096);
        return size;
    case 3: /* cut off */
        return next_random(random) % 2 == 0 ? at : at / 4096 * 4096;
    case 4: { /* a write that went elsewhere */
        size_t from = next_random(random) % (size / 512) * 512;

        memmove(bytes + at / 512 * 512, bytes + from, 512);
        return size;
    }
    case 5: /* shifted by some bytes */
        memmove(bytes + at, bytes + at + n, size - at - n);
        return size;
    case 6: /* two sectors swapped */
        for (size_t i = 0, to = at / 512 * 512, from = size / 1024 * 512; i < 512; i++) {
            uint8_t t = bytes[to + i];

            bytes[to + i] = bytes[from + i];
            bytes[from + i] = t;
        }
        return size;
    default: /* one byte */
        bytes[at] = (uint8_t)next_random(random);
        return size;
    }
}

static void
try_damaged(const struct model *m, struct segment_id id, uint64_t *random, uint64_t outcome[3])
{
    struct cache *cache = cache_new(env, 1 << 20);
    struct segment_env se = open_options(cache);
    struct segment *s;
    int rc = segment_open(&se, path, id, &s);

    if (rc == 0) {
        rc = compare(s, m, random, 30);
        outcome[rc == 0 ? 0 : 2]++;
        segment_unref(s);
    } else {
        outcome[1]++;
    }
    ck_assert(rc == 0 || rc == ERR_CORRUPT);
    cache_free(cache);
}

/* SEG-1, B5, B6, B7, B8: whatever happens to the file, what is read is right or an error. */
START_TEST(test_damage_never_gives_a_wrong_answer)
{
    uint64_t random = seed_of("damage"), outcome[3] = { 0 };

    for (enum codec c = CODEC_NONE; c < CODEC_COUNT; c++) {
        struct model m = model_new(&random, SEGMENT_MAIN, 900, 400, 100);
        struct segment_build o = build_options();
        struct segment_result r;
        struct file good;
        uint8_t *bad;

        o.codec = c;
        o.block_bytes = 2000;
        r = build(&m, o);
        good = file_read();
        bad = xmalloc(good.size + 4096);
        for (unsigned i = 0; i < 64; i++) {
            memcpy(bad, good.bytes, good.size);
            file_write(bad, damage(bad, good.size, &random, i));
            try_damaged(&m, r.id, &random, outcome);
        }
        xfree(bad);
        xfree(good.bytes);
        model_free(&m);
    }
    printf("damaged files: %lu gave right answers, %lu did not open, %lu gave errors\n", outcome[0],
           outcome[1], outcome[2]);
    ck_assert_uint_gt(outcome[0], 0);
    ck_assert_uint_gt(outcome[1], 0);
    ck_assert_uint_gt(outcome[2], 0);
}
END_TEST

/* A block and everything else that names it have good checksums over forged bytes: any answer, but
 * no crash, no endless loop, no read outside. */
static void
forge(struct file *f, struct segment_id id, uint64_t *random)
{
    uint8_t *footer = f->bytes + f->size - SEG_FOOTER_SIZE;
    uint8_t *handle = footer + (next_random(random) % 2 == 0 ? SEG_FTR_INDEX : SEG_FTR_PROPS);
    uint64_t offset = load_u64(handle);
    uint32_t size = load_u32(handle + 8), crc;
    uint8_t where[24], *block;

    if (next_random(random) % 2 == 0) {
        /* The first data block, whose size the one-level index names first. */
        struct reader r;
        uint8_t *index = f->bytes + load_u64(footer + SEG_FTR_INDEX) + SEG_INDEX_HEAD_SIZE;

        rd_init(&r, index, 100);
        offset = SEG_HEADER_SIZE;
        size = (uint32_t)rd_varint(&r);
    }
    if (offset + size > f->size || size <= SEG_TAIL_SIZE)
        return;
    block = f->bytes + offset;
    for (uint64_t n = 1 + next_random(random) % 3; n > 0; n--) {
        size_t at = next_random(random) % (size - 4);

        if (next_random(random) % 2 == 0) /* tails have the counts */
            at = size - SEG_TAIL_SIZE - 1 - next_random(random) % (size / 2 < 40 ? size / 2 : 40);
        block[at] =
            next_random(random) % 2 == 0 ? (uint8_t)next_random(random) : (uint8_t)(block[at] + 1);
    }
    store_u64(where, id.file);
    store_u64(where + 8, id.nonce);
    store_u64(where + 16, offset);
    crc = crc32c(crc32c(0, where, sizeof where), block, size - 4);
    store_u32(block + size - 4, crc);
}

START_TEST(test_forged_blocks_do_no_harm)
{
    uint64_t random = seed_of("forged"), opened = 0;
    struct model m = model_new(&random, SEGMENT_MAIN, 300, 100, 50);
    struct segment_build o = build_options();
    struct segment_result r;
    struct file good, bad;

    o.codec = CODEC_NONE;
    o.block_bytes = 1500;
    r = build(&m, o);
    good = file_read();
    bad = (struct file){ xmalloc(good.size), good.size };
    for (int i = 0; i < 300; i++) {
        struct cache *cache = cache_new(env, 1 << 20);
        struct segment_env se = open_options(cache);
        struct segment *s;

        memcpy(bad.bytes, good.bytes, good.size);
        forge(&bad, r.id, &random);
        file_write(bad.bytes, bad.size);
        if (segment_open(&se, path, r.id, &s) == 0) {
            struct segment_iter *it = segment_iter_new(s, 0);
            struct segment_cursor c;
            size_t steps = 0;
            int rc = segment_iter_first(it);

            for (; rc == 0 && segment_iter_current(it) != NULL; steps++)
                rc = segment_iter_next(it);
            ck_assert_uint_lt(steps, 100000);
            for (size_t k = 0; k < m.count; k += 7) {
                rc = segment_get(s, m.versions[k].v.key, filter_hash(m.versions[k].v.key), &c);
                while (rc == 0 && c.valid)
                    rc = segment_cursor_next(&c);
                segment_cursor_close(&c);
                rc = segment_iter_seek_lt(it, m.versions[k].v.key);
            }
            (void)!segment_scrub(s, NULL, NULL, NULL);
            segment_iter_free(it);
            segment_unref(s);
            opened++;
        }
        cache_free(cache);
    }
    printf("forged files that opened: %lu\n", opened);
    ck_assert_uint_gt(opened, 20);
    xfree(bad.bytes);
    xfree(good.bytes);
    model_free(&m);
}
END_TEST

static int
repair(void *arg, const struct segment_props *props, uint64_t offset, void *buf, size_t size)
{
    const struct file *copy = arg;

    CHECK(props->id.file == 1);
    if (offset + size > copy->size)
        return DIAG(ERR_NOT_FOUND, "no copy");
    memcpy(buf, copy->bytes + offset, size);
    return 0;
}

/* B5, SEG-4: a damaged block is asked for elsewhere; without another copy the error says where. */
START_TEST(test_repair)
{
    uint64_t random = seed_of("repair");
    struct model m = model_new(&random, SEGMENT_MAIN, 2000, 1000, 100);
    struct segment_result r = build(&m, build_options());
    struct file good = file_read();
    struct segment_repair hook = { repair, &good };
    struct cache *cache = cache_new(env, 8 << 20);
    struct segment_env se = open_options(cache);
    struct segment_figures f;
    struct segment *s;
    uint8_t *bad = xmalloc(good.size);

    memcpy(bad, good.bytes, good.size);
    bad[SEG_HEADER_SIZE + 50] ^= 1;
    file_write(bad, good.size);
    s = must_open(&se, r.id);
    ck_assert_int_eq(compare_scan(s, &m, 0), ERR_CORRUPT);
    ck_assert_ptr_nonnull(strstr(diag_last()->message, path));
    ck_assert_ptr_nonnull(strstr(diag_last()->detail, "tree 77"));
    ck_assert_int_eq(segment_scrub(s, NULL, NULL, NULL), ERR_CORRUPT);
    segment_unref(s);
    se.repair = &hook;
    s = must_open(&se, r.id);
    ck_assert_int_eq(compare(s, &m, &random, 300), 0);
    segment_get_figures(s, &f);
    ck_assert_uint_ge(f.mended, 1);
    segment_unref(s);
    /* The other copy is damaged, too: an error, not its bytes. */
    good.bytes[SEG_HEADER_SIZE + 50] ^= 1;
    s = must_open(&se, r.id);
    ck_assert_int_eq(compare_scan(s, &m, SEGMENT_ITER_BULK), ERR_CORRUPT);
    segment_unref(s);
    xfree(bad);
    xfree(good.bytes);
    cache_free(cache);
    model_free(&m);
}
END_TEST

/* B6: without its filter a segment is only slower. */
START_TEST(test_damaged_filter)
{
    uint64_t random = seed_of("damaged_filter");
    struct model m = model_new(&random, SEGMENT_MAIN, 2000, 1000, 100);
    struct segment_build o = build_options();
    struct cache *cache = cache_new(env, 8 << 20);
    struct segment_env se = open_options(cache);
    struct budget budget;
    struct segment_figures figures;
    struct segment_result r;
    struct segment *s;
    struct file f;

    o.filter_bits = 60;
    r = build(&m, o);
    f = file_read();
    s = must_open(&se, r.id);
    segment_get_figures(s, &figures);
    ck_assert(!figures.filter_bad && !figures.filter_absent);
    segment_unref(s);
    f.bytes[load_u64(f.bytes + f.size - SEG_FOOTER_SIZE + SEG_FTR_FILTER) + 100] ^= 4;
    file_write(f.bytes, f.size);
    s = must_open(&se, r.id);
    segment_get_figures(s, &figures);
    ck_assert(figures.filter_bad);
    ck_assert_int_eq(compare(s, &m, &random, 300), 0);
    ck_assert_int_eq(segment_scrub(s, NULL, NULL, NULL), ERR_CORRUPT);
    segment_unref(s);
    f.bytes[load_u64(f.bytes + f.size - SEG_FOOTER_SIZE + SEG_FTR_FILTER) + 100] ^= 4;
    file_write(f.bytes, f.size);
    budget_init(&budget, "segments", 3000, NULL); /* enough for the index, not for the filter */
    se.budget = &budget;
    s = must_open(&se, r.id);
    segment_get_figures(s, &figures);
    ck_assert(figures.filter_absent && !figures.filter_bad);
    ck_assert_int_eq(compare(s, &m, &random, 100), 0);
    segment_unref(s);
    ck_assert_uint_eq(atomic_load(&budget.used), 0);
    budget.limit = 10;
    ck_assert_int_eq(segment_open(&se, path, r.id, &s), ERR_NOMEM);
    ck_assert_uint_eq(atomic_load(&budget.used), 0);
    xfree(f.bytes);
    cache_free(cache);
    model_free(&m);
}
END_TEST

/* ---- identity ------------------------------------------------------------------------------- */

/* B7: a block of another file at the same place, written by the same program, is noticed. */
START_TEST(test_blocks_of_another_file)
{
    uint64_t random = seed_of("another_file");
    struct model m = model_new(&random, SEGMENT_MAIN, 500, 300, 100);
    struct segment_build o = build_options();
    struct cache *cache = cache_new(env, 8 << 20);
    struct segment_env se = open_options(cache);
    struct segment_result a, b;
    struct file first, second;
    struct segment *s;

    a = build(&m, o);
    first = file_read();
    b = build(&m, o);
    second = file_read();
    ck_assert_uint_eq(a.id.file, b.id.file);
    ck_assert_uint_ne(a.id.nonce, b.id.nonce);
    ck_assert(!hash128_eq(a.hash, b.hash));
    ck_assert_int_eq(segment_open(&se, path, a.id, &s), ERR_CORRUPT);
    ck_assert_int_eq(segment_open(&se, path, (struct segment_id){ 2, 0 }, &s), ERR_CORRUPT);
    /* The data differ only in the checksums. */
    memcpy(second.bytes + SEG_HEADER_SIZE, first.bytes + SEG_HEADER_SIZE,
           load_u64(first.bytes + first.size - SEG_FOOTER_SIZE + SEG_FTR_DATA_END) -
               SEG_HEADER_SIZE);
    file_write(second.bytes, second.size);
    s = must_open(&se, (struct segment_id){ 1, 0 });
    ck_assert_int_eq(compare_scan(s, &m, 0), ERR_CORRUPT);
    segment_unref(s);
    ck_assert_int_eq(segment_open(&se, "/tmp/no-such-segment", a.id, &s), ERR_NO_FILE);
    xfree(first.bytes);
    xfree(second.bytes);
    cache_free(cache);
    model_free(&m);
}
END_TEST

static void
append_line(void *arg, const char *text)
{
    struct writer *w = arg;

    wr_bytes(w, text, strlen(text));
    wr_u8(w, '\n');
}

/* The format does not change unnoticed: the file that this program writes, and what it reads from
 * the one that an earlier one wrote. */
START_TEST(test_golden_file)
{
    static const char golden[] = "tests/unit/golden/segment-1.seg";
    static const char expected[] =
        "segment 1.000000000000cafe: main, tree 77, branch 3, 4096 bytes\n"
        "keys apple to cherry\n"
        "4 versions of 3 keys, 1 deletes, 1 unresolved\n"
        "scn 5 to 9\n"
        "names txid 3.42\n"
        "1 data blocks, none, 75 bytes raw, 87 stored\n"
        "index: 1 level(s), top at 203; filter: 84 bytes; dictionary: 0 bytes\n"
        "data block at 32, 87 bytes, up to cherry\n"
        "  apple txid 3.42 seq 1 put green\n"
        "  apple scn 9 seq 0 put red\n"
        "  banana scn 5 seq 2 delete\n"
        "  cherry scn 7 seq 300 put-no-key \\00\\ff\n";
    struct version_ref v[] = {
        { slice_str("apple"), slice_str("green"), txid_make(3, 42), 1, 0, VERSION_PUT },
        { slice_str("apple"), slice_str("red"), 9, 0, 0, VERSION_PUT },
        { slice_str("banana"), slice("", 0), 5, 2, 0, VERSION_DELETE },
        { slice_str("cherry"), slice("\0\xff", 2), 7, 300, 0, VERSION_PUT_NO_KEY },
    };
    struct segment_build o = build_options();
    struct segment_builder *b;
    struct segment_result r;
    struct hash128 hash;
    uint64_t bytes;
    struct writer w;

    o.codec = CODEC_NONE;
    o.nonce = 0xcafe;
    ck_assert_int_eq(segment_builder_new(&o, &b), 0);
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(segment_builder_add(b, &v[i]), 0);
    ck_assert_int_eq(segment_builder_finish(b, &r), 0);
    wr_init(&w, 0);
    ck_assert_int_eq(segment_dump(env, path, true, append_line, &w), 0);
    wr_u8(&w, 0);
    ck_assert_str_eq((char *)w.data, expected);
    if (getenv("TEST_WRITE_GOLDEN") != NULL) {
        struct file f = file_read();

        file_write_to(golden, f.bytes, f.size);
        xfree(f.bytes);
    }
    wr_reset(&w);
    ck_assert_int_eq(segment_dump(env, golden, true, append_line, &w), 0);
    wr_u8(&w, 0);
    ck_assert_str_eq((char *)w.data, expected);
    wr_fini(&w);
    ck_assert_int_eq(segment_file_hash(env, golden, &hash, &bytes), 0);
    ck_assert(hash128_eq(hash, r.hash));
    ck_assert_uint_eq(bytes, r.file_bytes);
}
END_TEST

/* ---- building that fails -------------------------------------------------------------------- */

static int
refuse(void *arg, size_t bytes)
{
    (void)bytes;
    return --*(int *)arg < 0 ? DIAG(ERR_STOPPED, "stop") : 0;
}

/* SEG-5, B2: a build that fails leaves no file. */
START_TEST(test_failed_builds_leave_nothing)
{
    uint64_t random = seed_of("failed_builds");
    struct model m = model_new(&random, SEGMENT_MAIN, 9000, 9000, 100);

    for (int n = 0;; n++) {
        struct segment_build o = build_options();
        struct segment_builder *b;
        struct segment_result r;
        int left = n, rc;

        o.codec = n % 2 == 0 ? CODEC_NONE : CODEC_ZSTD_DICT;
        o.throttle = refuse;
        o.throttle_arg = &left;
        ck_assert_int_eq(segment_builder_new(&o, &b), 0);
        rc = 0;
        for (size_t i = 0; rc == 0 && i < m.count; i++)
            rc = segment_builder_add(b, &m.versions[i].v);
        rc = segment_builder_finish(b, &r);
        if (rc == 0) {
            ck_assert_int_ge(left, 0);
            ck_assert_int_eq(segment_builder_new(&o, &b), ERR_FILE_EXISTS);
            ck_assert_int_eq(access(path, F_OK), 0); /* the other's file is left alone */
            break;
        }
        ck_assert_int_eq(rc, ERR_STOPPED);
        ck_assert_int_ne(access(path, F_OK), 0);
    }
    model_free(&m);
}
END_TEST

START_TEST(test_unlink_at_close)
{
    uint64_t random = 1, bytes, before = 0;
    struct model m = model_new(&random, SEGMENT_MAIN, 3000, 3000, 100);
    struct segment_build o = build_options();
    struct segment_result r;
    struct cache *cache = cache_new(env, 8 << 20);
    struct segment_env se = open_options(cache);
    struct segment *s;

    o.block_bytes = 300;
    r = build(&m, o);
    s = must_open(&se, r.id);
    for (size_t i = 0; i < m.count; i++) { /* grows with the key, from 0 to all */
        ck_assert_int_eq(segment_bytes_below(s, m.versions[i].v.key, &bytes), 0);
        ck_assert_uint_ge(bytes, before);
        before = bytes;
    }
    ck_assert_uint_gt(before, r.file_bytes / 2);
    segment_ref(s);
    segment_unlink_at_close(s);
    segment_unref(s);
    ck_assert_int_eq(access(path, F_OK), 0);
    segment_unref(s);
    ck_assert_int_ne(access(path, F_OK), 0);
    segment_unref(NULL);
    cache_free(cache);
    model_free(&m);
}
END_TEST

/* ---- large ---------------------------------------------------------------------------------- */

START_TEST(test_large_values_and_keys)
{
    size_t size = 9 << 20;
    uint8_t *value = xmalloc(size), *key = xcalloc(1, VERSION_KEY_MAX);
    struct cache *cache = cache_new(env, 4 << 20);
    struct segment_env se = open_options(cache);
    struct segment_build o = build_options();
    struct segment_builder *b;
    struct segment_result r;
    struct segment_iter *it;
    struct segment *s;

    for (size_t i = 0; i < size; i++)
        value[i] = (uint8_t)(i * 7 >> 3);
    ck_assert_int_eq(segment_builder_new(&o, &b), 0);
    for (unsigned i = 0; i < 60; i++) {
        struct version_ref v = { .key = slice(key, VERSION_KEY_MAX - 60 + i),
                                 .value = slice(value, i % 20 == 3 ? size - i : i),
                                 .stamp = 1,
                                 .kind = VERSION_PUT };
        ck_assert_int_eq(segment_builder_add(b, &v), 0);
    }
    ck_assert_int_eq(segment_builder_finish(b, &r), 0);
    s = must_open(&se, r.id);
    for (unsigned i = 0; i < 60; i++) {
        struct slice k = slice(key, VERSION_KEY_MAX - 60 + i);
        struct segment_cursor c;

        ck_assert_int_eq(segment_get(s, k, filter_hash(k), &c), 0);
        ck_assert(c.valid);
        ck_assert(slice_eq(c.v.value, slice(value, i % 20 == 3 ? size - i : i)));
        segment_cursor_close(&c);
    }
    it = segment_iter_new(s, SEGMENT_ITER_BULK);
    ck_assert_int_eq(segment_iter_last(it), 0);
    for (unsigned i = 60; i-- > 0;) {
        ck_assert_uint_eq(segment_iter_current(it)->key.size, VERSION_KEY_MAX - 60u + i);
        ck_assert_int_eq(segment_iter_prev(it), 0);
    }
    segment_iter_free(it);
    segment_unref(s);
    cache_free(cache);
    xfree(value);
    xfree(key);
}
END_TEST

/* ---- threads and fibers --------------------------------------------------------------------- */

struct reader_arg {
    struct segment *segment;
    const struct model *model;
    uint64_t random;
};

static void
reader_main(void *arg)
{
    struct reader_arg *a = arg;

    int rc = compare(a->segment, a->model, &a->random, 400);

    if (rc != 0)
        fprintf(stderr, "%s: %s; %s\n", err_name(rc), diag_last()->message, diag_last()->detail);
    CHECK(rc == 0);
}

/* SEG-3: one segment, many readers, a cache that is much too small. */
START_TEST(test_threads_and_fibers)
{
    uint64_t random = seed_of("threads_and_fibers");
    struct model m = model_new(&random, SEGMENT_MAIN, 4000, 2000, 100);
    struct segment_build o = build_options();
    struct cache *cache = cache_new(env, 60000);
    struct segment_env se = open_options(cache);
    struct env_thread *threads[4];
    struct reader_arg args[4];
    struct segment_result r;
    struct cache_figures f;
    struct sched *sched;

    o.block_bytes = 1000;
    o.codec = CODEC_ZSTD_DICT;
    r = build(&m, o);
    se.jobs = job_pool_new(env, "read", 2);
    for (int i = 0; i < 4; i++)
        args[i] = (struct reader_arg){ must_open(&se, r.id), &m, next_random(&random) };
    for (int i = 0; i < 4; i++)
        threads[i] = env_thread_start(env, "reader", reader_main, &args[i]);
    for (int i = 0; i < 4; i++)
        env_thread_join(threads[i]);
    sched = sched_new(env);
    for (int i = 0; i < 4; i++)
        fiber_start(sched, "reader", 0, reader_main, &args[i]);
    sched_run(sched, true);
    sched_free(sched);
    for (int i = 0; i < 4; i++)
        segment_unref(args[i].segment);
    cache_get_figures(cache, &f);
    ck_assert_uint_le(f.used, f.capacity);
    ck_assert_uint_gt(f.evictions, 0);
    job_pool_free(se.jobs);
    cache_free(cache);
    model_free(&m);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("segment");
    TCase *t = tcase_create("all");
    SRunner *r;
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 0);
    tcase_add_test(t, test_against_model);
    tcase_add_test(t, test_skip_reads_little);
    tcase_add_test(t, test_damage_never_gives_a_wrong_answer);
    tcase_add_test(t, test_forged_blocks_do_no_harm);
    tcase_add_test(t, test_repair);
    tcase_add_test(t, test_damaged_filter);
    tcase_add_test(t, test_blocks_of_another_file);
    tcase_add_test(t, test_golden_file);
    tcase_add_test(t, test_failed_builds_leave_nothing);
    tcase_add_test(t, test_unlink_at_close);
    tcase_add_test(t, test_large_values_and_keys);
    tcase_add_test(t, test_threads_and_fibers);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
