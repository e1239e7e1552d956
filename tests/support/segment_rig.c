/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/segment_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/lsm/filter.h"
#include "tests/support/folder.h"

struct segrig segrig;

void
segrig_setup(void)
{
    segrig.env = env_posix_new();
    segrig.codecs = codec_pool_new(segrig.env);
    test_folder(segrig.dir, sizeof segrig.dir, "test-segment");
    snprintf(segrig.path, sizeof segrig.path, "%s/1.seg", segrig.dir);
}

void
segrig_teardown(void)
{
    (void)!unlink(segrig.path);
    ck_assert_int_eq(rmdir(segrig.dir), 0); /* nothing is left behind */
    codec_pool_free(segrig.codecs);
    env_free(segrig.env);
}

uint64_t
segrig_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15ull;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

uint64_t
segrig_seed(const char *name)
{
    const char *given = getenv("TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : env_random_u64(segrig.env);

    printf("%s: TEST_SEED=%lu\n", name, seed);
    fflush(stdout);
    return seed;
}

/* ---- the model ------------------------------------------------------------------------------ */

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
    uint64_t k = segrig_random(random) % keys, mixed = k * 0x9e3779b97f4a7c15ull;
    size_t common = k % 3 * 7, size = common + 1 + mixed % 20;
    bool open = kind == SEGMENT_MAIN && k % 5 == 0 && segrig_random(random) % 4 == 0;

    memset(m->key, 'p', common);
    memset(m->key + common, 0, KEY_MAX - common);
    store_u64_be(m->key + common + size % 8, k % 97 == 0 ? 0 : mixed);
    for (size_t i = 0; i < VALUE_MAX; i++)
        m->value[i] = (uint8_t)(i % 16 + k % 8);
    m->v = (struct version_ref){ .key = slice(m->key, k == 0 ? 0 : size),
                                 .stamp = 1 + segrig_random(random) % chain,
                                 .seq = segrig_random(random) % 3,
                                 .kind = (uint8_t)(1 + segrig_random(random) % 3) };
    if (open) /* one transaction and its children have unresolved versions of a key */
        m->v.stamp = txid_make(3, k * 10 + segrig_random(random) % 3);
    if (m->v.kind != VERSION_DELETE)
        m->v.value = slice(m->value, segrig_random(random) % VALUE_MAX);
    if (kind == SEGMENT_UNDO)
        m->v.superseded = m->v.stamp + 1 + segrig_random(random) % 10;
}

static void
model_fix(struct model_version *m)
{
    m->v.key.data = m->key;
    if (m->v.value.size != 0)
        m->v.value.data = m->value;
}

struct segrig_model
segrig_model_new(uint64_t *random, enum segment_kind kind, size_t count, unsigned keys,
                 unsigned chain)
{
    struct segrig_model m = { xcalloc(count, sizeof *m.versions), 0, kind };

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

void
segrig_model_free(struct segrig_model *m)
{
    xfree(m->versions);
}

size_t
segrig_model_lower(const struct segrig_model *m, struct slice key)
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

struct segment_build
segrig_build_options(void)
{
    return (struct segment_build){ .env = segrig.env,
                                   .path = segrig.path,
                                   .file = 1,
                                   .tree = 77,
                                   .tag = 3,
                                   .kind = SEGMENT_MAIN,
                                   .codec = CODEC_LZ4,
                                   .filter_bits = 10,
                                   .read_back = true,
                                   .codecs = segrig.codecs };
}

struct segment_result
segrig_build(const struct segrig_model *m, struct segment_build o)
{
    struct segment_builder *b;
    struct segment_result r;

    (void)!unlink(segrig.path);
    o.kind = m->kind;
    ck_assert_int_eq(segment_builder_new(&o, &b), 0);
    for (size_t i = 0; i < m->count; i++)
        ck_assert_int_eq(segment_builder_add(b, &m->versions[i].v), 0);
    segment_builder_set_stats(b, slice_str("column statistics"));
    ck_assert_int_eq(segment_builder_finish(b, &r), 0);
    return r;
}

struct segment_env
segrig_open_options(struct cache *cache)
{
    return (struct segment_env){ .env = segrig.env, .cache = cache, .codecs = segrig.codecs };
}

struct segment *
segrig_open(const struct segment_env *se, struct segment_id id)
{
    struct segment *s;

    ck_assert_int_eq(segment_open(se, segrig.path, id, &s), 0);
    return s;
}

/* ---- comparing ------------------------------------------------------------------------------ */

/* The functions that compare return 0 when the answer was right, an error when there was one, and
 * fail the test when the answer was wrong: SEG-1. */
int
segrig_compare_get(struct segment *s, const struct segrig_model *m, struct slice key, bool skip,
                   scn_t at_scn)
{
    struct segment_cursor c;
    size_t at = segrig_model_lower(m, key);
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
            ck_abort_msg("wrong answer for key %zu", segrig_model_lower(m, key));
        if (!there)
            break;
        at++;
        rc = segment_cursor_next(&c);
    }
    segment_cursor_close(&c);
    return rc;
}

static void
segrig_compare_current(const struct segment_iter *it, const struct segrig_model *m, size_t at)
{
    const struct version_ref *v = segment_iter_current(it);

    if ((v == NULL) != (at >= m->count) || (v != NULL && !same(v, &m->versions[at].v)))
        ck_abort_msg("wrong answer at version %zu", at);
}

int
segrig_compare_scan(struct segment *s, const struct segrig_model *m, int flags)
{
    struct segment_iter *it = segment_iter_new(s, flags);
    size_t at = 0;
    int rc = segment_iter_first(it);

    for (; rc == 0; at++) {
        segrig_compare_current(it, m, at);
        if (at >= m->count)
            break;
        rc = segment_iter_next(it);
    }
    if (rc == 0) {
        rc = segment_iter_last(it);
        for (at = m->count; rc == 0 && at > 0; at--) {
            segrig_compare_current(it, m, at - 1);
            rc = segment_iter_prev(it);
        }
        if (rc == 0)
            ck_assert_ptr_null(segment_iter_current(it));
    }
    segment_iter_free(it);
    return rc;
}

static int
segrig_compare_walk(struct segment *s, const struct segrig_model *m, uint64_t *random,
                    struct slice from)
{
    struct segment_iter *it = segment_iter_new(s, 0);
    size_t at = segrig_model_lower(m, from);
    int rc;

    if (segrig_random(random) % 2 == 0) {
        rc = segment_iter_seek(it, from);
    } else {
        rc = segment_iter_seek_lt(it, from);
        at = at == 0 ? m->count : at - 1;
    }
    for (int i = 0; rc == 0 && i < 60; i++) {
        segrig_compare_current(it, m, at);
        if (at >= m->count)
            break;
        if (segrig_random(random) % 3 == 0) {
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
segrig_some_key(const struct segrig_model *m, uint64_t *random, uint8_t scratch[KEY_MAX + 1])
{
    struct slice key = m->versions[segrig_random(random) % m->count].v.key;

    if (segrig_random(random) % 4 != 0)
        return key;
    if (key.size != 0)
        memcpy(scratch, key.data, key.size);
    scratch[key.size] = (uint8_t)segrig_random(random);
    if (key.size > 0 && segrig_random(random) % 2 == 0)
        scratch[key.size - 1]++;
    return slice(scratch, key.size + segrig_random(random) % 2);
}

/* Points, walks and whole scans. The first error, if any. */
int
segrig_compare(struct segment *s, const struct segrig_model *m, uint64_t *random, int points)
{
    uint8_t scratch[KEY_MAX + 1];
    int rc = 0;

    for (int i = 0; rc == 0 && i < points; i++)
        rc = segrig_compare_get(s, m, segrig_some_key(m, random, scratch), i % 2 == 0,
                                segrig_random(random) % 1000);
    for (int i = 0; rc == 0 && i < points / 10; i++)
        rc = segrig_compare_walk(s, m, random, segrig_some_key(m, random, scratch));
    if (rc == 0)
        rc = segrig_compare_scan(s, m, 0);
    if (rc == 0)
        rc = segrig_compare_scan(s, m, SEGMENT_ITER_BULK);
    return rc;
}

void
segrig_compare_props(const struct segment_props *p, const struct segrig_model *m)
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

struct segrig_file
segrig_file_read(void)
{
    struct segrig_file f;
    FILE *in = fopen(segrig.path, "rb");

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
void
segrig_file_write_to(const char *name, const uint8_t *bytes, size_t size)
{
    int fd = open(name, O_WRONLY | O_CREAT, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, bytes, size, 0), (ssize_t)size);
    ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
    close(fd);
}

void
segrig_file_write(const uint8_t *bytes, size_t size)
{
    segrig_file_write_to(segrig.path, bytes, size);
}
