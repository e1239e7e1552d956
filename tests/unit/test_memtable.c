/* Memtables against a simple model, by seed; from many threads; the compare-and-swap that row locks
 * stand on; iterators during inserts.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/lsm/memtable.h"

enum { KEYS = 3000, KEY_SIZE_MAX = 40, CHAIN_MAX = 64 };

static struct env *env;

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

/* ---- the model ------------------------------------------------------------------------------ */

struct model_key {
    uint8_t bytes[KEY_SIZE_MAX];
    size_t size;
    struct {
        stamp_t stamp;
        uint64_t seq;
    } chain[CHAIN_MAX]; /* oldest first */
    size_t count;
};

static struct slice
model_slice(const struct model_key *k)
{
    return slice(k->bytes, k->size);
}

static int
model_cmp(const void *a, const void *b)
{
    return slice_cmp(model_slice(a), model_slice(b));
}

/* Keys with long common beginnings, zeros, ends inside a prefix; ascending, without duplicates. */
static size_t
model_keys(struct model_key *keys, size_t count, uint64_t *random)
{
    size_t n = 0;

    memset(keys, 0, count * sizeof *keys);
    for (size_t i = 0; i < count; i++) {
        struct model_key *k = &keys[i];
        size_t common = next_random(random) % 3 * 9;

        k->size = common + next_random(random) % (KEY_SIZE_MAX - 18 - 1);
        for (size_t b = 0; b < k->size; b++)
            k->bytes[b] = b < common ? 'c' : (uint8_t)(next_random(random) % 3 * 127);
    }
    qsort(keys, count, sizeof *keys, model_cmp);
    for (size_t i = 0; i < count; i++)
        if (n == 0 || model_cmp(&keys[n - 1], &keys[i]) != 0)
            keys[n++] = keys[i];
    return n;
}

static size_t
model_lower(const struct model_key *keys, size_t count, struct slice key)
{
    size_t n = 0;

    while (n < count && slice_cmp(model_slice(&keys[n]), key) < 0)
        n++;
    return n;
}

static size_t
model_next(const struct model_key *keys, size_t count, size_t at)
{
    while (at < count && keys[at].count == 0)
        at++;
    return at;
}

static size_t
model_prev(const struct model_key *keys, size_t at) /* at: one past where to look; 0: none */
{
    while (at > 0 && keys[at - 1].count == 0)
        at--;
    return at;
}

/* ---- against the model ---------------------------------------------------------------------- */

static void
check_chain(struct memtable *mt, const struct model_key *k)
{
    struct memtable_version *v = memtable_find(mt, model_slice(k));

    for (size_t i = k->count; i-- > 0; v = memtable_version_older(v)) {
        ck_assert_ptr_nonnull(v);
        ck_assert_uint_eq(memtable_version_stamp(v), k->chain[i].stamp);
        ck_assert_uint_eq(v->seq, k->chain[i].seq);
        ck_assert_uint_eq(v->value_size, v->kind == VERSION_DELETE ? 0 : v->seq % 50);
    }
    ck_assert_ptr_null(v);
}

static void
model_add(struct memtable *mt, struct model_key *k, uint64_t *random)
{
    uint8_t value[50];
    uint64_t seq = next_random(random) % 1000000;
    bool is_delete = seq % 7 == 0;
    struct version_ref v = { .key = model_slice(k),
                             .value = slice(value, is_delete ? 0 : seq % 50),
                             .stamp = 1 + next_random(random) % 100,
                             .seq = seq,
                             .kind = is_delete ? VERSION_DELETE : VERSION_PUT };
    struct memtable_version *newest = memtable_find(mt, v.key), *added;

    memset(value, (int)(seq & 0xff), sizeof value);
    if (k->count == CHAIN_MAX)
        return;
    ck_assert_int_eq((newest == NULL), (k->count == 0));
    if (newest != NULL) {
        /* Somebody who has not seen the key, or who has seen an older version of it, is refused. */
        ck_assert_int_eq(memtable_add(mt, 0, &v, NULL, &added), ERR_AGAIN);
        ck_assert_ptr_null(added);
        if (memtable_version_older(newest) != NULL)
            ck_assert_int_eq(memtable_add(mt, 0, &v, memtable_version_older(newest), NULL),
                             ERR_AGAIN);
    }
    ck_assert_int_eq(memtable_add(mt, (unsigned)seq, &v, newest, &added), 0);
    ck_assert_ptr_eq(added, memtable_find(mt, v.key));
    k->chain[k->count].stamp = v.stamp;
    k->chain[k->count++].seq = v.seq;
}

static void
check_at(struct memtable_iter *it, const struct model_key *keys, size_t count, size_t at)
{
    if (at == count) {
        ck_assert_ptr_null(it->entry);
        return;
    }
    ck_assert_ptr_nonnull(it->entry);
    ck_assert(slice_eq(memtable_entry_key(it->entry), model_slice(&keys[at])));
}

static void
check_walks(struct memtable *mt, const struct model_key *keys, size_t count, uint64_t *random)
{
    struct memtable_iter it;
    const struct model_key *from = &keys[next_random(random) % count];
    size_t at = model_lower(keys, count, model_slice(from));

    memtable_iter_init(&it, mt);
    memtable_iter_seek(&it, model_slice(from));
    at = model_next(keys, count, at);
    for (int steps = 0; steps < 200; steps++) {
        check_at(&it, keys, count, at);
        if (it.entry == NULL)
            break;
        if (next_random(random) % 3 != 0) {
            memtable_iter_next(&it);
            at = model_next(keys, count, at + 1);
        } else {
            memtable_iter_prev(&it);
            at = model_prev(keys, at);
            at = at == 0 ? count : at - 1;
        }
    }
    memtable_iter_seek_lt(&it, model_slice(from));
    at = model_prev(keys, model_lower(keys, count, model_slice(from)));
    check_at(&it, keys, count, at == 0 ? count : at - 1);
}

static void
check_all(struct memtable *mt, const struct model_key *keys, size_t count)
{
    struct memtable_iter it;
    struct memtable_figures f;
    uint64_t key_count = 0, version_count = 0;
    size_t at = model_next(keys, count, 0);

    memtable_iter_init(&it, mt);
    for (memtable_iter_first(&it); it.entry != NULL; memtable_iter_next(&it)) {
        check_at(&it, keys, count, at);
        at = model_next(keys, count, at + 1);
    }
    ck_assert_uint_eq(at, count);
    for (memtable_iter_last(&it), at = model_prev(keys, count); it.entry != NULL;
         memtable_iter_prev(&it), at = model_prev(keys, at - 1))
        check_at(&it, keys, count, at - 1);
    ck_assert_uint_eq(at, 0);
    for (size_t i = 0; i < count; i++) {
        check_chain(mt, &keys[i]);
        key_count += keys[i].count != 0;
        version_count += keys[i].count;
    }
    memtable_get_figures(mt, &f);
    ck_assert_uint_eq(f.keys, key_count);
    ck_assert_uint_eq(f.versions, version_count);
    ck_assert_int_eq(memtable_is_empty(mt), key_count == 0);
}

/* MEM-1, MEM-2 */
START_TEST(test_random_against_model)
{
    uint64_t random = seed_of("random_against_model");
    struct model_key *keys = xcalloc(KEYS, sizeof *keys);

    for (int round = 0; round < 4; round++) {
        struct memtable *mt = memtable_new(env, NULL);
        size_t count = model_keys(keys, KEYS, &random);

        check_all(mt, keys, count);
        for (int i = 0; i < 8000; i++) {
            /* Rounds differ: all over the place, ascending, descending. */
            size_t k = round == 0   ? next_random(&random) % count
                       : round == 1 ? (size_t)i * count / 8000
                       : round == 2 ? count - 1 - (size_t)i * count / 8000
                                    : next_random(&random) % count / 4 * 4;

            model_add(mt, &keys[k], &random);
            if (i % 40 == 0)
                check_walks(mt, keys, count, &random);
        }
        check_all(mt, keys, count);
        memtable_unref(mt);
    }
    xfree(keys);
}
END_TEST

/* ---- order ---------------------------------------------------------------------------------- */

/* ORDER-1: whatever order redo brings versions in, a chain is by (SCN, seq), newest first. */
START_TEST(test_ordered_add_sorts)
{
    uint64_t random = seed_of("ordered_add_sorts");

    for (int round = 0; round < 200; round++) {
        struct memtable *mt = memtable_new(env, NULL);
        struct memtable_version *v, *added;
        int n = 0, expected = 0;
        bool seen[5][5] = { 0 };

        for (int i = 0; i < 30; i++) {
            uint64_t scn = next_random(&random) % 5, seq = next_random(&random) % 5;
            struct version_ref r = {
                .key = slice_str("k"), .stamp = scn + 1, .seq = seq, .kind = VERSION_PUT
            };

            ck_assert_int_eq(memtable_add_ordered(mt, 0, &r, &added), 0);
            ck_assert_int_eq(added == NULL, seen[scn][seq]);
            expected += !seen[scn][seq];
            seen[scn][seq] = true;
        }
        for (v = memtable_find(mt, slice_str("k")); v != NULL; v = memtable_version_older(v)) {
            struct memtable_version *older = memtable_version_older(v);

            n++;
            if (older != NULL)
                ck_assert_int_lt(version_order(memtable_version_stamp(v), v->seq,
                                               memtable_version_stamp(older), older->seq),
                                 0);
        }
        ck_assert_int_eq(n, expected);
        memtable_unref(mt);
    }
}
END_TEST

/* An unresolved version goes on top, a resolved one below it; within a txid seq decides. */
START_TEST(test_ordered_add_and_txids)
{
    struct memtable *mt = memtable_new(env, NULL);
    static const struct {
        stamp_t stamp;
        uint64_t seq;
    } adds[] = { { 5, 0 },
                 { TXID_BIT | 9, 3 },
                 { 7, 0 },
                 { TXID_BIT | 9, 5 },
                 { TXID_BIT | 9, 4 } },
      expected[] = {
          { TXID_BIT | 9, 5 }, { TXID_BIT | 9, 4 }, { TXID_BIT | 9, 3 }, { 7, 0 }, { 5, 0 }
      };
    struct memtable_version *v;

    for (size_t i = 0; i < 5; i++) {
        struct version_ref r = {
            .key = slice_str("k"), .stamp = adds[i].stamp, .seq = adds[i].seq, .kind = VERSION_PUT
        };
        ck_assert_int_eq(memtable_add_ordered(mt, 0, &r, NULL), 0);
    }
    v = memtable_find(mt, slice_str("k"));
    for (size_t i = 0; i < 5; i++, v = memtable_version_older(v)) {
        ck_assert_uint_eq(memtable_version_stamp(v), expected[i].stamp);
        ck_assert_uint_eq(v->seq, expected[i].seq);
    }
    memtable_unref(mt);
}
END_TEST

/* ---- locks ---------------------------------------------------------------------------------- */

/* MEM-3: of two who saw the same newest version, one gets on top of it. */
START_TEST(test_only_one_gets_on_top)
{
    struct memtable *mt = memtable_new(env, NULL);
    struct version_ref a = { .key = slice_str("row"),
                             .value = slice_str("a"),
                             .stamp = txid_make(1, 1),
                             .kind = VERSION_PUT },
                       b = a;
    struct memtable_version *first, *second;

    b.stamp = txid_make(1, 2);
    ck_assert_int_eq(memtable_add(mt, 0, &a, NULL, &first), 0);
    ck_assert_int_eq(memtable_add(mt, 1, &b, NULL, &second), ERR_AGAIN);
    ck_assert_ptr_eq(memtable_find(mt, a.key), first);
    ck_assert(memtable_resolve(first, txid_make(1, 1), 10));
    ck_assert(!memtable_resolve(first, txid_make(1, 1), 10));
    ck_assert_uint_eq(memtable_version_stamp(first), 10);
    ck_assert_int_eq(memtable_add(mt, 1, &b, first, &second), 0);
    ck_assert_int_eq(memtable_add(mt, 0, &a, first, NULL), ERR_AGAIN);
    ck_assert_ptr_eq(memtable_version_older(second), first);
    memtable_unref(mt);
}
END_TEST

enum { THREADS = 4, HOT_KEYS = 5, ADDS = 4000 };

struct counter_arg {
    struct memtable *mt;
    unsigned lane;
};

/* Each adds one to counters that all share, reading the newest and putting its own on top. */
static void
counter_th(void *arg)
{
    struct counter_arg *a = arg;

    for (uint64_t i = 0; i < ADDS; i++) {
        uint8_t key = (uint8_t)(i % HOT_KEYS);
        struct version_ref v = { .key = slice(&key, 1), .stamp = 1, .kind = VERSION_PUT };

        for (;;) {
            struct memtable_version *newest = memtable_find(a->mt, v.key);
            int rc;

            v.seq = newest == NULL ? 1 : newest->seq + 1;
            rc = memtable_add(a->mt, a->lane, &v, newest, NULL);
            if (rc == 0)
                break;
            CHECK(rc == ERR_AGAIN);
        }
    }
}

/* MEM-3 */
START_TEST(test_no_update_is_lost)
{
    struct memtable *mt = memtable_new(env, NULL);
    struct env_thread *threads[THREADS];
    struct counter_arg args[THREADS];
    struct memtable_figures f;

    for (unsigned i = 0; i < THREADS; i++) {
        args[i] = (struct counter_arg){ mt, i / 2 }; /* two threads to a lane */
        threads[i] = env_thread_start(env, "counter", counter_th, &args[i]);
    }
    for (int i = 0; i < THREADS; i++)
        env_thread_join(threads[i]);
    for (uint8_t k = 0; k < HOT_KEYS; k++)
        ck_assert_uint_eq(memtable_find(mt, slice(&k, 1))->seq,
                          (uint64_t)THREADS * ADDS / HOT_KEYS);
    memtable_get_figures(mt, &f);
    ck_assert_uint_eq(f.versions, (uint64_t)THREADS * ADDS);
    ck_assert_uint_eq(f.keys, HOT_KEYS);
    memtable_unref(mt);
}
END_TEST

/* ---- threads -------------------------------------------------------------------------------- */

enum { SHARED_KEYS = 20000, BEFORE_EVERY = 10 };

struct insert_arg {
    struct memtable *mt;
    unsigned number;
    uint64_t seed;
    _Atomic uint32_t *running;
};

static void
shared_key(uint64_t i, uint8_t out[12])
{
    memcpy(out, "same", 4); /* below the prefix: fences have to find what tells keys apart */
    store_u64_be(out + 4, i * 0x9e3779b97f4a7c15ull);
}

/* Every thread inserts every key, each from another beginning: exactly one succeeds. */
static void
insert_th(void *arg)
{
    struct insert_arg *a = arg;
    uint8_t key[12];
    uint64_t won = 0;

    for (uint64_t i = 0; i < SHARED_KEYS; i++) {
        uint64_t k = (i + a->seed % SHARED_KEYS) % SHARED_KEYS;
        struct version_ref v = { .key = slice(key, sizeof key),
                                 .value = slice(&k, sizeof k),
                                 .stamp = txid_make(1, a->number + 1),
                                 .seq = k,
                                 .kind = VERSION_PUT };
        int rc;

        shared_key(k, key);
        CHECK(memtable_enter(a->mt, a->number));
        rc = memtable_add(a->mt, a->number, &v, NULL, NULL);
        memtable_leave(a->mt, a->number);
        CHECK(rc == 0 || rc == ERR_AGAIN);
        won += rc == 0;
    }
    a->seed = won;
    atomic_fetch_sub(a->running, 1);
}

static void
check_walk_is_ordered(struct memtable *mt, uint64_t expect_at_least, bool back)
{
    struct memtable_iter it;
    struct slice last = { NULL, 0 };
    uint64_t before = 0;

    memtable_iter_init(&it, mt);
    back ? memtable_iter_last(&it) : memtable_iter_first(&it);
    while (it.entry != NULL) {
        struct slice key = memtable_entry_key(it.entry);
        struct memtable_version *v = memtable_entry_newest(it.entry);

        CHECK(last.data == NULL || (back ? slice_cmp(key, last) < 0 : slice_cmp(last, key) < 0));
        CHECK(v->value_size == 8 && load_u64(v->value) == v->seq);
        before += v->seq >= SHARED_KEYS;
        last = key;
        back ? memtable_iter_prev(&it) : memtable_iter_next(&it);
    }
    CHECK(before == expect_at_least);
}

/* MEM-1, MEM-4: what was there before the walk began is met exactly once, in order. */
static void
reader_th(void *arg)
{
    struct insert_arg *a = arg;
    uint64_t random = a->seed;
    uint8_t key[12];

    do {
        check_walk_is_ordered(a->mt, SHARED_KEYS / BEFORE_EVERY, false);
        check_walk_is_ordered(a->mt, SHARED_KEYS / BEFORE_EVERY, true);
        for (int i = 0; i < 1000; i++) {
            uint64_t k = SHARED_KEYS + next_random(&random) % (SHARED_KEYS / BEFORE_EVERY);

            shared_key(k, key);
            CHECK(memtable_find(a->mt, slice(key, sizeof key))->seq == k);
        }
    } while (atomic_load(a->running) > 0);
}

START_TEST(test_threads_insert_and_walk)
{
    uint64_t random = seed_of("threads_insert_and_walk"), won = 0;
    struct memtable *mt = memtable_new(env, NULL);
    struct env_thread *threads[THREADS + 1];
    struct insert_arg args[THREADS + 1];
    struct memtable_figures f;
    _Atomic uint32_t running = THREADS;
    uint8_t key[12];

    for (uint64_t k = SHARED_KEYS; k < SHARED_KEYS + SHARED_KEYS / BEFORE_EVERY; k++) {
        struct version_ref v = { .key = slice(key, sizeof key),
                                 .value = slice(&k, sizeof k),
                                 .stamp = 1,
                                 .seq = k,
                                 .kind = VERSION_PUT };
        shared_key(k, key);
        ck_assert_int_eq(memtable_add(mt, 0, &v, NULL, NULL), 0);
    }
    for (unsigned i = 0; i <= THREADS; i++) {
        args[i] = (struct insert_arg){ mt, i, next_random(&random), &running };
        threads[i] =
            env_thread_start(env, "memtable", i == THREADS ? reader_th : insert_th, &args[i]);
    }
    for (unsigned i = 0; i <= THREADS; i++)
        env_thread_join(threads[i]);
    for (unsigned i = 0; i < THREADS; i++)
        won += args[i].seed;
    ck_assert_uint_eq(won, SHARED_KEYS);
    memtable_get_figures(mt, &f);
    ck_assert_uint_eq(f.keys, SHARED_KEYS + SHARED_KEYS / BEFORE_EVERY);
    for (uint64_t k = 0; k < SHARED_KEYS; k++) {
        shared_key(k, key);
        ck_assert_uint_eq(memtable_find(mt, slice(key, sizeof key))->seq, k);
    }
    memtable_unref(mt);
}
END_TEST

/* ---- sealing, budget, size ------------------------------------------------------------------ */

static void
seal_th(void *arg)
{
    struct insert_arg *a = arg;
    uint64_t n = 0;
    uint8_t key[8];

    while (memtable_enter(a->mt, a->number)) {
        struct version_ref v = { .key = slice(key, sizeof key), .stamp = 1, .kind = VERSION_PUT };

        store_u64_be(key, n++ << 8 | a->number);
        CHECK(memtable_add(a->mt, a->number, &v, NULL, NULL) == 0);
        memtable_leave(a->mt, a->number);
    }
    a->seed = n;
}

/* MEM-5: once the seal reports writers gone, nothing is added any more. */
START_TEST(test_seal_ends_writing)
{
    struct memtable *mt = memtable_new(env, NULL);
    struct env_thread *threads[THREADS];
    struct insert_arg args[THREADS];
    struct memtable_figures before, after;
    uint64_t total = 0;

    for (unsigned i = 0; i < THREADS; i++) {
        args[i] = (struct insert_arg){ .mt = mt, .number = i };
        threads[i] = env_thread_start(env, "seal", seal_th, &args[i]);
    }
    do {
        memtable_get_figures(mt, &before);
        env_thread_yield(env);
    } while (before.keys < 1000);
    ck_assert(!memtable_is_sealed(mt));
    memtable_seal_wait(mt);
    memtable_get_figures(mt, &before);
    for (int i = 0; i < THREADS; i++) {
        env_thread_join(threads[i]);
        total += args[i].seed;
    }
    memtable_get_figures(mt, &after);
    ck_assert_uint_eq(before.keys, after.keys);
    ck_assert_uint_eq(after.keys, total);
    ck_assert(memtable_seal(mt));
    ck_assert(!memtable_enter(mt, 0));
    memtable_unref(mt);
}
END_TEST

START_TEST(test_budget)
{
    struct budget budget;
    struct memtable *mt;
    struct memtable_iter it;
    uint8_t key[8];
    uint64_t n = 0, seen = 0;
    int rc;

    budget_init(&budget, "memtables", 300 << 10, NULL);
    mt = memtable_new(env, &budget);
    for (;;) {
        struct version_ref v = { .key = slice(key, sizeof key), .stamp = 1, .kind = VERSION_PUT };

        store_u64_be(key, n * 0x9e3779b97f4a7c15ull);
        rc = memtable_add(mt, (unsigned)n, &v, NULL, NULL);
        if (rc != 0)
            break;
        n++;
    }
    ck_assert_int_eq(rc, ERR_NOMEM);
    ck_assert_uint_gt(n, 100);
    ck_assert_uint_eq(memtable_bytes(mt), atomic_load(&budget.used));
    memtable_iter_init(&it, mt);
    for (memtable_iter_first(&it); it.entry != NULL; memtable_iter_next(&it))
        seen++;
    ck_assert_uint_eq(seen, n);
    memtable_ref(mt);
    memtable_unref(mt);
    memtable_unref(mt);
    ck_assert_uint_eq(atomic_load(&budget.used), 0);
    memtable_unref(NULL);
}
END_TEST

static void
add_number(struct memtable *mt, uint64_t n)
{
    struct memtable_version *added;
    uint8_t key[8];
    struct version_ref v = { .key = slice(key, sizeof key), .stamp = 1, .kind = VERSION_PUT };

    store_u64_be(key, n);
    ck_assert_int_eq(memtable_add_ordered(mt, 0, &v, &added), 0);
    ck_assert_ptr_nonnull(added);
    ck_assert_int_eq(memtable_add_ordered(mt, 0, &v, &added), 0);
    ck_assert_ptr_null(added);
}

/* Two ascending runs side by side, one of them between the other's keys, and one key now and then
 * far below; in memory that another memtable has used before. MEM-1 */
START_TEST(test_ascending_runs)
{
    struct memtable_pool *pool = memtable_pool_new();

    for (int round = 0; round < 2; round++) {
        struct memtable *mt = memtable_new(env, NULL);
        uint64_t want = 0, last = 0;
        struct memtable_iter it;

        memtable_use_pool(mt, pool);
        for (uint64_t n = 1; n <= 20000; n++) {
            add_number(mt, n << 20);
            add_number(mt, (n << 20) / 2 + 1);
            want += 2;
            if (n % 97 == 0) {
                add_number(mt, n);
                want++;
            }
        }
        memtable_iter_init(&it, mt);
        for (memtable_iter_first(&it); it.entry != NULL; memtable_iter_next(&it)) {
            uint64_t key = load_u64_be(memtable_entry_key(it.entry).data);

            ck_assert_uint_lt(last, key);
            last = key;
            want--;
        }
        ck_assert_uint_eq(want, 0);
        memtable_unref(mt);
    }
    memtable_pool_free(pool);
}
END_TEST

START_TEST(test_large_and_empty)
{
    struct memtable *mt = memtable_new(env, NULL);
    size_t size = 5 << 20;
    uint8_t *big = xcalloc(1, size);
    struct version_ref v = { .key = slice(big, VERSION_KEY_MAX),
                             .value = slice(big, size),
                             .stamp = 1,
                             .kind = VERSION_PUT },
                       empty = { .key = slice("", 0), .stamp = 1, .kind = VERSION_PUT };

    ck_assert_int_eq(memtable_add(mt, 0, &v, NULL, NULL), 0);
    ck_assert_int_eq(memtable_add(mt, 0, &empty, NULL, NULL), 0);
    ck_assert_uint_eq(memtable_find(mt, v.key)->value_size, size);
    ck_assert_uint_eq(memtable_find(mt, empty.key)->value_size, 0);
    ck_assert_ptr_null(memtable_find(mt, slice_str("x")));
    xfree(big);
    memtable_unref(mt);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("memtable");
    TCase *t = tcase_create("all");
    SRunner *r;
    int failed;

    env = env_posix_new();
    tcase_set_timeout(t, 0);
    tcase_add_test(t, test_random_against_model);
    tcase_add_test(t, test_ordered_add_sorts);
    tcase_add_test(t, test_ordered_add_and_txids);
    tcase_add_test(t, test_only_one_gets_on_top);
    tcase_add_test(t, test_no_update_is_lost);
    tcase_add_test(t, test_threads_insert_and_walk);
    tcase_add_test(t, test_seal_ends_writing);
    tcase_add_test(t, test_budget);
    tcase_add_test(t, test_ascending_runs);
    tcase_add_test(t, test_large_and_empty);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    env_free(env);
    return failed == 0 ? 0 : 1;
}
