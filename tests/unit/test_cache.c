/* The block cache: pins, budget, scan resistance, threads.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/env.h"
#include "engine/base/mem.h"
#include "engine/lsm/cache.h"

static struct env *env;
static _Atomic long live; /* items that exist */

struct thing {
    struct cache_item item;
    uint64_t payload;
};

static void
thing_free(struct cache_item *item)
{
    struct thing *t = (struct thing *)(void *)item;

    CHECK(t->payload == item->file * 1000003 + item->offset);
    t->payload = 0;
    atomic_fetch_sub(&live, 1);
    xfree(t);
}

static struct cache_item *
thing_new(uint64_t file, uint64_t offset, size_t charge)
{
    struct thing *t = xcalloc(1, sizeof *t);

    t->item.file = file;
    t->item.offset = offset;
    t->item.charge = charge;
    t->item.free = thing_free;
    t->payload = file * 1000003 + offset;
    atomic_fetch_add(&live, 1);
    return &t->item;
}

/* Looks up, inserts on a miss. True: it was there. */
static bool
touch(struct cache *c, uint64_t file, uint64_t offset, size_t charge)
{
    struct cache_item *item = cache_lookup(c, file, offset);
    bool hit = item != NULL;

    if (!hit)
        item = cache_insert(c, thing_new(file, offset, charge));
    CHECK(((struct thing *)(void *)item)->payload == file * 1000003 + offset);
    cache_unpin(item);
    return hit;
}

static uint64_t
next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return *state >> 33;
}

/* CACHE-1: never more than the capacity, and nothing that is pinned goes. */
START_TEST(test_budget_and_pins)
{
    struct cache *c = cache_new(env, 100000);
    struct cache_item *pinned[50];
    struct cache_figures f;
    uint64_t random = 1;

    for (uint64_t i = 0; i < 50; i++)
        pinned[i] = cache_insert(c, thing_new(7, i, 1000));
    for (int i = 0; i < 20000; i++) {
        touch(c, 1, next_random(&random) % 500, 500 + next_random(&random) % 1000);
        cache_get_figures(c, &f);
        ck_assert_uint_le(f.used, f.capacity);
    }
    for (uint64_t i = 0; i < 50; i++) {
        struct cache_item *again = cache_lookup(c, 7, i);

        ck_assert_ptr_eq(again, pinned[i]);
        cache_unpin(again);
    }
    ck_assert_int_eq(atomic_load(&live), (long)f.items);
    /* Everything pinned: what comes stays outside and goes with its pin. */
    for (uint64_t i = 0; i < 50; i++)
        cache_unpin(pinned[i]);
    cache_set_capacity(c, 10000);
    cache_get_figures(c, &f);
    ck_assert_uint_le(f.used, 10000);
    for (uint64_t i = 0; i < 10; i++)
        pinned[i] = cache_insert(c, thing_new(9, i, 2000));
    cache_get_figures(c, &f);
    ck_assert_uint_le(f.used, 10000);
    ck_assert_uint_gt(f.too_big, 0);
    for (uint64_t i = 0; i < 10; i++)
        cache_unpin(pinned[i]);
    cache_free(c);
    ck_assert_int_eq(atomic_load(&live), 0);
}
END_TEST

START_TEST(test_two_insert_the_same)
{
    struct cache *c = cache_new(env, 100000);
    struct cache_item *a = cache_insert(c, thing_new(1, 1, 100));
    struct cache_item *b = cache_insert(c, thing_new(1, 1, 100));

    ck_assert_ptr_eq(a, b);
    ck_assert_int_eq(atomic_load(&live), 1);
    cache_unpin(a);
    cache_unpin(b);
    a = cache_pass(c, thing_new(1, 2, 100));
    ck_assert_ptr_null(cache_lookup(c, 1, 2));
    cache_unpin(a);
    ck_assert_int_eq(atomic_load(&live), 1);
    cache_free(c);
    c = cache_new(env, 0);
    a = cache_insert(c, thing_new(1, 1, 100));
    ck_assert_ptr_null(cache_lookup(c, 1, 1));
    cache_unpin(a);
    cache_free(c);
    cache_free(NULL);
    ck_assert_int_eq(atomic_load(&live), 0);
}
END_TEST

/* CACHE-2: a scan through much more than fits leaves the working set in place. */
START_TEST(test_scan_resistance)
{
    enum { HOT = 600, SIZE = 1000, CAPACITY = 1000 * SIZE };
    struct cache *c = cache_new(env, CAPACITY);
    uint64_t random = 3;
    int hits = 0, asked = 0;

    for (int i = 0; i < 10000; i++)
        touch(c, 1, next_random(&random) % HOT, SIZE);
    for (uint64_t i = 0; i < 20000; i++) {
        touch(c, 2, i, SIZE);
        if (i % 4 == 0) {
            hits += touch(c, 1, next_random(&random) % HOT, SIZE);
            asked++;
        }
    }
    printf("hit rate of the working set during a scan: %d of %d\n", hits, asked);
    ck_assert_int_gt(hits, asked * 95 / 100);
    cache_free(c);
}
END_TEST

/* Skewed use: better than twice as many hits as chance, and ghosts come back into the main queue.
 */
START_TEST(test_skew)
{
    struct cache *c = cache_new(env, 1000 * 1000);
    struct cache_figures f;
    uint64_t random = 5;

    for (int i = 0; i < 200000; i++) {
        uint64_t a = next_random(&random) % 10000, b = next_random(&random) % (a + 1);

        touch(c, 1, next_random(&random) % (b + 1), 1000);
    }
    cache_get_figures(c, &f);
    printf("hits %lu, misses %lu, ghosts %lu\n", f.hits, f.misses, f.ghost_hits);
    ck_assert_uint_gt(f.hits, 104000);
    ck_assert_uint_gt(f.ghost_hits, 0);
    cache_free(c);
}
END_TEST

START_TEST(test_drop_file)
{
    struct cache *c = cache_new(env, 64 << 20);
    struct cache_item *held;
    uint64_t a = cache_new_file(c), b = cache_new_file(c);

    ck_assert_uint_ne(a, b);
    for (uint64_t i = 0; i < 3000; i++) {
        touch(c, a, i, 1000);
        touch(c, b, i, 1000);
    }
    held = cache_lookup(c, a, 5);
    cache_drop_file(c, a);
    for (uint64_t i = 0; i < 3000; i++) {
        struct cache_item *item = cache_lookup(c, b, i);

        ck_assert_ptr_nonnull(item);
        cache_unpin(item);
        ck_assert_ptr_null(cache_lookup(c, a, i));
    }
    ck_assert_int_eq(atomic_load(&live), 3001);
    cache_unpin(held);
    cache_free(c);
    ck_assert_int_eq(atomic_load(&live), 0);
}
END_TEST

static void
user_th(void *arg)
{
    struct cache *c = arg;
    uint64_t random = cache_new_file(c);
    struct cache_item *held[8] = { 0 };

    for (int i = 0; i < 60000; i++) {
        uint64_t key = next_random(&random) % 3000;
        struct cache_item **slot = &held[i % 8];

        if (*slot != NULL)
            cache_unpin(*slot);
        *slot = cache_lookup(c, 1, key);
        if (*slot == NULL)
            *slot = cache_insert(c, thing_new(1, key, 20000));
        CHECK(((struct thing *)(void *)*slot)->payload == 1000003 + key);
        if (i % 20000 == 0)
            cache_drop_file(c, 1);
    }
    for (int i = 0; i < 8; i++)
        cache_unpin(held[i]);
}

/* CACHE-1 with several threads. */
START_TEST(test_threads)
{
    struct cache *c = cache_new(env, 20 << 20);
    struct env_thread *threads[4];
    struct cache_figures f;

    for (int i = 0; i < 4; i++)
        threads[i] = env_thread_start(env, "cache", user_th, c);
    for (int i = 0; i < 4; i++)
        env_thread_join(threads[i]);
    cache_get_figures(c, &f);
    ck_assert_uint_le(f.used, f.capacity);
    ck_assert_int_eq(atomic_load(&live), (long)f.items);
    cache_free(c);
    ck_assert_int_eq(atomic_load(&live), 0);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("cache");
    TCase *t = tcase_create("all");
    SRunner *r;
    int failed;

    env = env_posix_new();
    tcase_set_timeout(t, 0);
    tcase_add_test(t, test_budget_and_pins);
    tcase_add_test(t, test_two_insert_the_same);
    tcase_add_test(t, test_scan_resistance);
    tcase_add_test(t, test_skew);
    tcase_add_test(t, test_drop_file);
    tcase_add_test(t, test_threads);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    env_free(env);
    return failed != 0;
}
