/* Segments: building, point reads from cache and from disk, scans, compression, cache lookups.
 *
 *   segment [--num=1000000] [--key=24] [--value=100] [--codec=0|1|2|3] [--filter=10]
 *           [--cache=BYTES] [--reads=1000000] [--dir=/tmp]
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/lsm/cache.h"
#include "engine/lsm/filter.h"
#include "engine/lsm/segment.h"

struct options {
    uint64_t num, reads;
    size_t key, value, cache;
    int codec;
    unsigned filter;
    char dir[200];
};

static struct env *env;
static char path[256];

static uint64_t
mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdull;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ull;
    return x ^ x >> 33;
}

/* Keys as a table has them: ascending numbers; the even ones are there. */
static void
make_key(const struct options *o, uint64_t i, uint8_t *out)
{
    memset(out, '0', o->key);
    store_u64_be(out, i);
}

static void
report(const char *what, uint64_t ops, uint64_t ns)
{
    printf("%-32s %10.1f ns/op %12.0f ops/s\n", what, (double)ns / (double)ops,
           (double)ops * 1e9 / (double)ns);
    fflush(stdout);
}

static struct segment_result
build(const struct options *o, struct codec_pool *codecs)
{
    struct segment_build sb = { .env = env,
                                .path = path,
                                .file = 1,
                                .tree = 100,
                                .tag = 1,
                                .kind = SEGMENT_MAIN,
                                .codec = (enum codec)o->codec,
                                .filter_bits = o->filter,
                                .codecs = codecs };
    uint8_t *key = xmalloc(o->key), *value = xmalloc(o->value);
    struct segment_builder *b;
    struct segment_result r;
    uint64_t start = env_boot_ns(env);

    (void)!unlink(path);
    CHECK(segment_builder_new(&sb, &b) == 0);
    for (uint64_t i = 0; i < o->num; i++) {
        struct version_ref v = { .key = slice(key, o->key),
                                 .value = slice(value, o->value),
                                 .stamp = 1 + mix(i) % 1000,
                                 .kind = VERSION_PUT };

        make_key(o, i * 2, key);
        for (size_t n = 0; n < o->value; n++) /* compresses to about a half */
            value[n] = n % 2 == 0 ? (uint8_t)mix(i + n) : 'v';
        CHECK(segment_builder_add(b, &v) == 0);
    }
    CHECK(segment_builder_finish(b, &r) == 0);
    report("build", o->num, env_boot_ns(env) - start);
    printf("%-32s %10.1f bytes a version in the file, %.0f MB/s of versions\n", "",
           (double)r.file_bytes / (double)o->num,
           (double)(o->num * (o->key + o->value)) * 1e3 / (double)(env_boot_ns(env) - start));
    xfree(key);
    xfree(value);
    return r;
}

static void
bench_get(const struct options *o, struct segment *s, const char *what, bool missing)
{
    uint8_t *key = xmalloc(o->key);
    uint64_t start = env_boot_ns(env), found = 0;

    for (uint64_t i = 0; i < o->reads; i++) {
        struct segment_cursor c;

        make_key(o, mix(i) % o->num * 2 + missing, key);
        CHECK(segment_get(s, slice(key, o->key), filter_hash(slice(key, o->key)), &c) == 0);
        found += c.valid;
        segment_cursor_close(&c);
    }
    report(what, o->reads, env_boot_ns(env) - start);
    CHECK(missing ? found == 0 : found == o->reads);
    xfree(key);
}

static void
bench_scan(const struct options *o, struct segment *s, const char *what, int flags, bool back)
{
    struct segment_iter *it = segment_iter_new(s, flags);
    uint64_t start = env_boot_ns(env), n = 0, sum = 0;
    int rc = back ? segment_iter_last(it) : segment_iter_first(it);

    for (; rc == 0 && segment_iter_current(it) != NULL; n++) {
        sum += segment_iter_current(it)->value.size;
        rc = back ? segment_iter_prev(it) : segment_iter_next(it);
    }
    report(what, n, env_boot_ns(env) - start);
    CHECK(rc == 0 && n == o->num && sum == o->num * o->value);
    segment_iter_free(it);
}

static void
bench_seek(const struct options *o, struct segment *s)
{
    struct segment_iter *it = segment_iter_new(s, 0);
    uint8_t *key = xmalloc(o->key);
    uint64_t start = env_boot_ns(env);

    for (uint64_t i = 0; i < o->reads; i++) {
        make_key(o, mix(i) % o->num * 2 - (i & 1), key);
        CHECK(segment_iter_seek(it, slice(key, o->key)) == 0);
    }
    report("seek, cached", o->reads, env_boot_ns(env) - start);
    segment_iter_free(it);
    xfree(key);
}

static void
item_free(struct cache_item *item)
{
    xfree(item);
}

static void
bench_cache(size_t items)
{
    struct cache *c = cache_new(env, items * 20000);
    uint64_t start, ops = 5000000;

    for (uint64_t i = 0; i < items; i++) {
        struct cache_item *item = xcalloc(1, sizeof *item);

        *item = (struct cache_item){ .file = 1, .offset = i, .charge = 10000, .free = item_free };
        cache_unpin(cache_insert(c, item));
    }
    start = env_boot_ns(env);
    for (uint64_t i = 0; i < ops; i++) {
        struct cache_item *item = cache_lookup(c, 1, mix(i) % items);

        CHECK(item != NULL);
        cache_unpin(item);
    }
    printf("%8zu items: ", items);
    report("cache lookup and unpin", ops, env_boot_ns(env) - start);
    cache_free(c);
}

static void
run(const struct options *o)
{
    struct codec_pool *codecs = codec_pool_new(env);
    struct segment_env se = { .env = env, .codecs = codecs };
    struct segment_result r = build(o, codecs);
    struct cache_figures f;
    struct segment *s;

    se.cache = cache_new(env, o->cache);
    CHECK(segment_open(&se, path, r.id, &s) == 0);
    bench_scan(o, s, "scan, from the file", 0, false);
    bench_scan(o, s, "scan, cached", 0, false);
    bench_scan(o, s, "scan back, cached", 0, true);
    bench_scan(o, s, "scan, a merge's", SEGMENT_ITER_BULK, false);
    bench_get(o, s, "get, warming up", false);
    bench_get(o, s, "get, cached", false);
    bench_get(o, s, "get, not there", true);
    bench_seek(o, s);
    cache_get_figures(se.cache, &f);
    printf("cache: %.1f %% hits, %zu of %zu MiB\n",
           100.0 * (double)f.hits / (double)(f.hits + f.misses), f.used >> 20, f.capacity >> 20);
    segment_unref(s);
    cache_free(se.cache);
    codec_pool_free(codecs);
    (void)!unlink(path);
}

int
main(int argc, char **argv)
{
    struct options o = { .num = 1000000,
                         .reads = 1000000,
                         .key = 24,
                         .value = 100,
                         .cache = (size_t)1 << 30,
                         .codec = CODEC_LZ4,
                         .filter = 10,
                         .dir = "/tmp" };

    for (int i = 1; i < argc; i++) {
        if (sscanf(argv[i], "--num=%lu", &o.num) == 1 ||
            sscanf(argv[i], "--key=%zu", &o.key) == 1 ||
            sscanf(argv[i], "--value=%zu", &o.value) == 1 ||
            sscanf(argv[i], "--codec=%d", &o.codec) == 1 ||
            sscanf(argv[i], "--filter=%u", &o.filter) == 1 ||
            sscanf(argv[i], "--cache=%zu", &o.cache) == 1 ||
            sscanf(argv[i], "--reads=%lu", &o.reads) == 1 ||
            sscanf(argv[i], "--dir=%199s", o.dir) == 1)
            continue;
        fprintf(stderr, "usage: segment [--num=N] [--reads=N] [--key=BYTES] [--value=BYTES] "
                        "[--codec=0..3] [--filter=BITS] [--cache=BYTES] [--dir=FOLDER]\n");
        return 2;
    }
    if (o.key < 8 || o.codec < 0 || o.codec >= CODEC_COUNT || o.num == 0)
        return 2;
    snprintf(path, sizeof path, "%s/bench-segment-%d.seg", o.dir, (int)getpid());
    env = env_posix_new();
    run(&o);
    bench_cache(1000);
    bench_cache(50000);
    env_free(env);
    return 0;
}
