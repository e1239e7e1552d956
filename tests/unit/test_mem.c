/* Heaps, budgets, arenas, slabs, and the errors that they record.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/task.h"

/* ---- heap ---------------------------------------------------------------------------------- */

/* BASE-2: a block goes back to the heap it came from, whichever task frees it. */
START_TEST(test_blocks_return_to_their_heap)
{
    struct heap *a = heap_new(), *b = heap_new();
    struct heap *before = heap_enter(a);
    char *p = xmalloc(100), *q = xstrdup("hello"), *r;

    ck_assert_uint_eq(heap_used_bytes(a), 106);
    ck_assert_ptr_eq(heap_enter(b), a);
    xfree(p);
    ck_assert_uint_eq(heap_used_bytes(a), 6);
    r = xcalloc(10, 10);
    for (int i = 0; i < 100; i++)
        ck_assert(r[i] == 0);
    ck_assert_uint_eq(heap_used_bytes(b), 100);
    q = xrealloc(q, 1000);
    ck_assert_str_eq(q, "hello");
    q = xrealloc(q, 3);
    ck_assert(memcmp(q, "hel", 3) == 0);
    xfree(NULL);
    ck_assert_ptr_eq(heap_enter(before), b);
    heap_free(a);
    heap_free(b); /* with r and q in it: the leak check shows that they are gone */
}
END_TEST

START_TEST(test_aligned_blocks)
{
    for (size_t align = 16; align <= 65536; align *= 2) {
        uint8_t *p = xaligned(align, align + 1);

        ck_assert_uint_eq((uintptr_t)p % align, 0);
        memset(p, 1, align + 1);
        xfree_aligned(p);
    }
    xfree_aligned(NULL);
}
END_TEST

START_TEST(test_impossible_sizes_panic)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        close(STDERR_FILENO);
        xcalloc(SIZE_MAX / 2, 3);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(status != 0);
}
END_TEST

/* ---- budget -------------------------------------------------------------------------------- */

START_TEST(test_budgets_nest_and_refuse)
{
    struct budget all, part;

    budget_init(&all, "server memory", 1000, NULL);
    budget_init(&part, "query memory", 600, &all);
    ck_assert_int_eq(budget_charge(&part, 600), 0);
    ck_assert_int_eq(budget_charge(&part, 1), ERR_NOMEM);
    ck_assert_str_eq(diag_last()->message, "out of query memory");
    ck_assert_str_eq(err_sqlstate(diag_last()->code), "53200");
    ck_assert_uint_eq(atomic_load(&part.used), 600);
    ck_assert_uint_eq(atomic_load(&all.used), 600);
    ck_assert(budget_try(&all, 400));
    ck_assert(!budget_try(&all, SIZE_MAX - 10)); /* nor by overflow */
    budget_release(&part, 200);
    ck_assert(!budget_try(&part, 201) && budget_try(&part, 200));
    budget_release(&part, 600);
    budget_release(&all, 400);
    ck_assert_uint_eq(atomic_load(&all.used), 0);
}
END_TEST

/* ---- arena --------------------------------------------------------------------------------- */

struct piece {
    uint8_t *p;
    size_t size;
    uint8_t value;
};

/* A stack of marks and the pieces since, against the arena; the seed is printed. */
START_TEST(test_arena_against_a_model)
{
    enum { PIECES = 4000, MARKS = 20 };
    static struct piece pieces[PIECES];
    struct arena_mark marks[MARKS];
    size_t mark_at[MARKS], count = 0, mark_count = 0;
    unsigned seed = 7;
    struct budget budget;
    struct arena a;

    printf("seed %u\n", seed);
    srand(seed);
    budget_init(&budget, "test", (size_t)1 << 30, NULL);
    arena_init(&a, &budget);
    for (int step = 0; step < 20000; step++) {
        int what = rand() % 100;

        if (what < 90 && count < PIECES) {
            struct piece *k = &pieces[count++];

            k->size = (size_t)(rand() % (rand() % 50 == 0 ? 20000 : 100));
            k->value = (uint8_t)rand();
            k->p = arena_try_alloc(&a, k->size);
            memset(k->p, k->value, k->size);
            if ((uintptr_t)k->p % 16 != 0)
                ck_abort();
        } else if (what < 95 && mark_count < MARKS) {
            marks[mark_count] = arena_mark(&a);
            mark_at[mark_count++] = count;
        } else if (mark_count > 0) {
            arena_rewind(&a, marks[--mark_count]);
            count = mark_at[mark_count];
        }
        if (step % 500 == 0)
            for (size_t i = 0; i < count; i++)
                for (size_t b = 0; b < pieces[i].size; b++)
                    if (pieces[i].p[b] != pieces[i].value)
                        ck_abort_msg("piece %zu at step %d", i, step);
    }
    ck_assert_uint_eq(atomic_load(&budget.used), a.total);
    arena_fini(&a);
    ck_assert_uint_eq(atomic_load(&budget.used), 0);
}
END_TEST

START_TEST(test_arena_honours_its_budget)
{
    struct budget budget;
    struct arena a;
    int n = 0;

    budget_init(&budget, "query memory", 100000, NULL);
    arena_init(&a, &budget);
    while (arena_try_alloc(&a, 1000) != NULL)
        n++;
    ck_assert(n > 50 && n <= 100);
    ck_assert_int_eq(diag_last()->code, ERR_NOMEM);
    ck_assert(arena_try_alloc(&a, SIZE_MAX - 3) == NULL);
    memset(arena_alloc(&a, 200000), 1, 200000); /* bounded by the program: never refused */
    ck_assert_uint_gt(atomic_load(&budget.used), budget.limit);
    arena_reset(&a);
    ck_assert_uint_le(atomic_load(&budget.used), budget.limit);
    ck_assert_str_eq(arena_printf(&a, "%s-%d", "x", 5), "x-5");
    ck_assert_str_eq(arena_strndup(&a, "hello", 4), "hell");
    ck_assert_str_eq(arena_strdup(&a, ""), "");
    arena_fini(&a);
    ck_assert_uint_eq(atomic_load(&budget.used), 0);
}
END_TEST

/* ---- slab ---------------------------------------------------------------------------------- */

START_TEST(test_slab)
{
    enum { COUNT = 500 };
    struct slab s;
    uint64_t *live[COUNT] = { 0 };

    srand(3);
    slab_init(&s, sizeof(uint64_t) * 3);
    for (int step = 0; step < 20000; step++) {
        int i = rand() % COUNT;

        if (live[i] == NULL) {
            live[i] = slab_alloc(&s);
            if (live[i][0] != 0 || live[i][2] != 0)
                ck_abort();
            live[i][0] = live[i][2] = (uint64_t)i;
        } else {
            if (live[i][0] != (uint64_t)i || live[i][2] != (uint64_t)i)
                ck_abort();
            slab_free(&s, live[i]);
            live[i] = NULL;
        }
    }
    for (int i = 0; i < COUNT; i++)
        if (live[i] != NULL)
            slab_free(&s, live[i]);
    ck_assert_uint_eq(s.live_count, 0);
    slab_fini(&s);
}
END_TEST

/* ---- errors -------------------------------------------------------------------------------- */

START_TEST(test_diag)
{
    struct diag kept;

    ck_assert_int_eq(DIAG(ERR_UNIQUE_VIOLATION, "duplicate key in %s", "t_pkey"),
                     ERR_UNIQUE_VIOLATION);
    diag_detail("Key (a)=(%d).", 1);
    diag_hint("Try another.");
    diag_position(17);
    diag_object("public", "t", NULL, "t_pkey");
    diag_context("row %d", 3);
    kept = *diag_last();
    ck_assert_str_eq(kept.message, "row 3: duplicate key in t_pkey");
    ck_assert_str_eq(kept.detail, "Key (a)=(1).");
    ck_assert_str_eq(kept.hint, "Try another.");
    ck_assert_str_eq(kept.table, "t");
    ck_assert_str_eq(kept.column, "");
    ck_assert_int_eq(kept.position, 17);
    ck_assert_str_eq(err_sqlstate(kept.code), "23505");
    ck_assert_str_eq(err_name(kept.code), "UNIQUE_VIOLATION");
    (void)DIAG(ERR_IO, "again: %s", diag_last()->message);
    ck_assert_str_eq(diag_last()->message, "again: row 3: duplicate key in t_pkey");
    ck_assert_str_eq(diag_last()->detail, "");
    diag_restore(&kept);
    ck_assert_int_eq(diag_last()->code, ERR_UNIQUE_VIOLATION);
    diag_clear();
    ck_assert_int_eq(diag_last()->code, 0);
    ck_assert_str_eq(err_sqlstate(12345), "XX000");
}
END_TEST

START_TEST(test_every_code_has_a_sqlstate)
{
    for (int code = -1; code >= -ERR_COUNT; code--) {
        ck_assert_uint_eq(strlen(err_sqlstate(code)), 5);
        ck_assert(err_name(code)[0] != '\0');
    }
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("mem");
    TCase *tc = tcase_create("mem");
    SRunner *sr;
    int failed;

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_blocks_return_to_their_heap);
    tcase_add_test(tc, test_aligned_blocks);
    tcase_add_test(tc, test_impossible_sizes_panic);
    tcase_add_test(tc, test_budgets_nest_and_refuse);
    tcase_add_test(tc, test_arena_against_a_model);
    tcase_add_test(tc, test_arena_honours_its_budget);
    tcase_add_test(tc, test_slab);
    tcase_add_test(tc, test_diag);
    tcase_add_test(tc, test_every_code_has_a_sqlstate);
    suite_add_tcase(suite, tc);
    sr = srunner_create(suite);
    srunner_set_fork_status(sr, CK_NOFORK);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
