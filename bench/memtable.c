/* Memtable against a lock-free skip list: insert, get, scan.
 *
 *   memtable [--num=2000000] [--key=24] [--value=100] [--threads=1] [--order=sequential]
 *            [--no-rival]
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/base/task.h"
#include "engine/lsm/memtable.h"

/* ---- the rival ------------------------------------------------------------------------------ */

enum { SKIP_HEIGHT = 16, SKIP_CHUNK = 1 << 20 };

struct skip_node {
    struct memtable_entry *entry;
    struct skip_node *_Atomic next[];
};
struct skip_list {
    struct skip_node *head;
    uint64_t random;
    uint8_t *at, *end;
};

static void *
skip_alloc(struct skip_list *l, size_t size)
{
    void *p;

    size = (size + 7) & ~(size_t)7;
    if ((size_t)(l->end - l->at) < size) {
        l->at = xmalloc(SKIP_CHUNK);
        l->end = l->at + SKIP_CHUNK;
    }
    p = l->at;
    l->at += size;
    return p;
}

static struct skip_node *
skip_node_new(struct skip_list *l, int height, struct memtable_entry *e)
{
    struct skip_node *n = skip_alloc(l, sizeof *n + (size_t)height * sizeof(struct skip_node *));

    n->entry = e;
    for (int i = 0; i < height; i++)
        atomic_init(&n->next[i], NULL);
    return n;
}

static uint64_t
mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdull;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ull;
    return x ^ x >> 33;
}

static struct skip_node *
skip_find(struct skip_list *l, struct slice key, struct skip_node *before[SKIP_HEIGHT])
{
    struct skip_node *n = l->head;

    for (int h = SKIP_HEIGHT - 1; h >= 0; h--) {
        for (;;) {
            struct skip_node *next = atomic_load_explicit(&n->next[h], memory_order_acquire);

            if (next == NULL || slice_cmp(memtable_entry_key(next->entry), key) >= 0)
                break;
            n = next;
        }
        if (before != NULL)
            before[h] = n;
    }
    n = atomic_load_explicit(&n->next[0], memory_order_acquire);
    return n != NULL && slice_eq(memtable_entry_key(n->entry), key) ? n : NULL;
}

static void
skip_insert(struct skip_list *l, struct slice key, struct slice value)
{
    size_t size = (sizeof(struct memtable_entry) + key.size + 7) & ~(size_t)7;
    struct memtable_entry *e = skip_alloc(l, size + sizeof(struct memtable_version) + value.size);
    struct memtable_version *v = (void *)((uint8_t *)e + size);
    struct skip_node *before[SKIP_HEIGHT], *n;
    int height = 1;

    e->key_size = (uint32_t)key.size;
    memcpy(e->key, key.data, key.size);
    memcpy(v->value, value.data, value.size);
    atomic_init(&e->newest, v);
    l->random = mix(l->random + 1);
    while (height < SKIP_HEIGHT && (l->random >> 2 * height & 3) == 0)
        height++;
    n = skip_node_new(l, height, e);
    (void)skip_find(l, key, before);
    for (int h = 0; h < height; h++) {
        struct skip_node *next = atomic_load_explicit(&before[h]->next[h], memory_order_relaxed);

        atomic_store_explicit(&n->next[h], next, memory_order_relaxed);
        while (!atomic_compare_exchange_weak(&before[h]->next[h], &next, n))
            ; /* one writer in this bench: never taken */
    }
}

/* ---- the bench ------------------------------------------------------------------------------ */

struct options {
    uint64_t num;
    size_t key, value;
    int threads;
    bool sequential, no_rival;
};

static void
make_key(const struct options *o, uint64_t i, uint8_t *out)
{
    uint64_t a = o->sequential ? i : mix(i);

    memset(out, '0', o->key);
    store_u64_be(out, a);
}

static void
report(const char *what, const struct options *o, uint64_t ops, uint64_t ns)
{
    printf("%-24s %9lu keys %8.1f ns/op %10.0f ops/s\n", what, o->num, (double)ns / (double)ops,
           (double)ops * 1e9 / (double)ns);
    fflush(stdout);
}

struct thread_arg {
    const struct options *o;
    struct memtable *mt;
    int number;
};

static void
insert_th(void *arg)
{
    struct thread_arg *a = arg;
    const struct options *o = a->o;
    uint8_t *key = xmalloc(o->key), *value = xcalloc(1, o->value);

    for (uint64_t i = (uint64_t)a->number; i < o->num; i += (uint64_t)o->threads) {
        struct version_ref v = { .key = slice(key, o->key),
                                 .value = slice(value, o->value),
                                 .stamp = txid_make(1, 1),
                                 .seq = i,
                                 .kind = VERSION_PUT };

        make_key(o, i, key);
        CHECK(memtable_enter(a->mt, (unsigned)a->number));
        CHECK(memtable_add(a->mt, (unsigned)a->number, &v, NULL, NULL) == 0);
        memtable_leave(a->mt, (unsigned)a->number);
    }
    xfree(key);
    xfree(value);
}

static void
get_th(void *arg)
{
    struct thread_arg *a = arg;
    const struct options *o = a->o;
    uint8_t *key = xmalloc(o->key);
    uint64_t sum = 0;

    for (uint64_t i = (uint64_t)a->number; i < o->num; i += (uint64_t)o->threads) {
        struct memtable_version *v;

        make_key(o, o->sequential ? i : mix(i + 77) % o->num, key);
        v = memtable_find(a->mt, slice(key, o->key));
        CHECK(v != NULL);
        sum += v->seq + v->value[0];
    }
    CHECK(sum != 0);
    xfree(key);
}

static void
run_threads(struct env *env, const struct options *o, struct memtable *mt, const char *what,
            void (*fn)(void *))
{
    struct env_thread *threads[64];
    struct thread_arg args[64];
    uint64_t start = env_boot_ns(env);

    for (int i = 0; i < o->threads; i++) {
        args[i] = (struct thread_arg){ o, mt, i };
        threads[i] = env_thread_start(env, "bench", fn, &args[i]);
    }
    for (int i = 0; i < o->threads; i++)
        env_thread_join(threads[i]);
    report(what, o, o->num, env_boot_ns(env) - start);
}

static void
bench_memtable(struct env *env, const struct options *o)
{
    struct memtable *mt = memtable_new(env, NULL);
    struct memtable_figures f;
    struct memtable_iter it;
    uint64_t start, n = 0, sum = 0;

    run_threads(env, o, mt, "memtable insert", insert_th);
    run_threads(env, o, mt, "memtable get", get_th);
    start = env_boot_ns(env);
    memtable_iter_init(&it, mt);
    for (memtable_iter_first(&it); it.entry != NULL; memtable_iter_next(&it))
        n++;
    report("memtable scan, keys", o, n, env_boot_ns(env) - start);
    CHECK(n == o->num);
    start = env_boot_ns(env);
    for (memtable_iter_first(&it); it.entry != NULL; memtable_iter_next(&it))
        sum += memtable_entry_newest(it.entry)->seq;
    report("memtable scan, versions", o, n, env_boot_ns(env) - start);
    CHECK(sum != 0);
    start = env_boot_ns(env);
    for (memtable_iter_last(&it), n = 0; it.entry != NULL; memtable_iter_prev(&it))
        n++;
    report("memtable scan back, keys", o, n, env_boot_ns(env) - start);
    CHECK(n == o->num);
    memtable_get_figures(mt, &f);
    printf("%-24s %.1f bytes a key, %.1f of them in use\n", "memtable memory",
           (double)f.bytes / (double)f.keys, (double)f.used_bytes / (double)f.keys);
    memtable_unref(mt);
}

static void
bench_skip_list(struct env *env, const struct options *o)
{
    struct skip_list l = { .random = 1 };
    uint8_t *key = xmalloc(o->key), *value = xcalloc(1, o->value);
    uint64_t start = env_boot_ns(env), n = 0;

    l.head = skip_node_new(&l, SKIP_HEIGHT, NULL);
    for (uint64_t i = 0; i < o->num; i++) {
        make_key(o, i, key);
        skip_insert(&l, slice(key, o->key), slice(value, o->value));
    }
    report("skip list insert", o, o->num, env_boot_ns(env) - start);
    start = env_boot_ns(env);
    for (uint64_t i = 0; i < o->num; i++) {
        make_key(o, o->sequential ? i : mix(i + 77) % o->num, key);
        CHECK(skip_find(&l, slice(key, o->key), NULL) != NULL);
    }
    report("skip list get", o, o->num, env_boot_ns(env) - start);
    start = env_boot_ns(env);
    for (struct skip_node *s = atomic_load(&l.head->next[0]); s != NULL;
         s = atomic_load_explicit(&s->next[0], memory_order_acquire))
        n++;
    report("skip list scan, keys", o, n, env_boot_ns(env) - start);
    CHECK(n == o->num);
}

int
main(int argc, char **argv)
{
    struct options o = { .num = 2000000, .key = 24, .value = 100, .threads = 1 };
    struct env *env = env_posix_new();

    for (int i = 1; i < argc; i++) {
        if (sscanf(argv[i], "--num=%lu", &o.num) == 1 ||
            sscanf(argv[i], "--key=%zu", &o.key) == 1 ||
            sscanf(argv[i], "--value=%zu", &o.value) == 1 ||
            sscanf(argv[i], "--threads=%d", &o.threads) == 1)
            continue;
        if (strcmp(argv[i], "--order=sequential") == 0) {
            o.sequential = true;
            continue;
        }
        if (strcmp(argv[i], "--no-rival") == 0) {
            o.no_rival = true;
            continue;
        }
        fprintf(stderr, "usage: memtable [--num=N] [--key=BYTES] [--value=BYTES] [--threads=N] "
                        "[--order=sequential] [--no-rival]\n");
        return 2;
    }
    if (o.key < 8 || o.threads < 1 || o.threads > 64)
        return 2;
    bench_memtable(env, &o);
    if (!o.no_rival)
        bench_skip_list(env, &o);
    env_free(env);
    return 0;
}
