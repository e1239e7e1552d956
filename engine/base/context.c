/* Stacks, pooled, and switching between them.
 *
 * A stack's pages are touched from the top, so a parked shallow fiber costs the first of them. One
 * that comes back keeps its top for the next user and gives the rest back to the system.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/context.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/base/context_int.h"
#include "engine/base/context_sanitize_int.h"
#include "engine/base/err.h"
#include "engine/base/mem.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* a guard that needs no mapping of its own; Linux 6.13 */
#endif

enum {
    STACK_PAGE = 4096,
    STACK_SIZE_MIN = 16 << 10,
    STACK_CLASSES = 12,          /* 16 KiB, 32 KiB … */
    STACK_KEPT_BYTES = 12 << 10, /* resident at the top of a stack in the pool */
    STACK_FREE_COUNT_MAX = 256,  /* per class; more are unmapped */
    STACK_COLOURS = 8,           /* steps of two cache lines */
};

struct stack_pool {
    pthread_mutex_t lock;
    struct list all;                 /* of struct stack.all_link */
    struct list free[STACK_CLASSES]; /* of struct stack.free_link, by size */
    size_t free_count[STACK_CLASSES];
    size_t made_count; /* ever; gives each its colour */
};

struct stack_pool *
stack_pool_new(void)
{
    struct heap *heap = heap_enter(NULL);
    struct stack_pool *p = xcalloc(1, sizeof *p);

    heap_enter(heap);
    pthread_mutex_init(&p->lock, NULL);
    list_init(&p->all);
    for (int i = 0; i < STACK_CLASSES; i++)
        list_init(&p->free[i]);
    return p;
}

static void
stack_unmap(struct stack *s)
{
    list_remove(&s->all_link);
    sanitize_unmap(s);
    valgrind_unmap(s);
    munmap(s->low - STACK_PAGE, s->map_size);
    xfree(s);
}

void
stack_pool_clear(struct stack_pool *p)
{
    pthread_mutex_lock(&p->lock);
    list_for_each_safe (s, next, &p->all, struct stack, all_link)
        stack_unmap(s);
    for (int i = 0; i < STACK_CLASSES; i++) {
        list_init(&p->free[i]);
        p->free_count[i] = 0;
    }
    pthread_mutex_unlock(&p->lock);
}

void
stack_pool_free(struct stack_pool *p)
{
    stack_pool_clear(p);
    pthread_mutex_destroy(&p->lock);
    xfree(p);
}

static int
stack_class(size_t size)
{
    int class = 0;

    while (((size_t)STACK_SIZE_MIN << class) < size)
        class ++;
    CHECK(class < STACK_CLASSES);
    return class;
}

static struct stack *
stack_map(struct stack_pool *p, size_t size)
{
    struct heap *heap = heap_enter(NULL);
    struct stack *s = xcalloc(1, sizeof *s);
    uint8_t *map;

    heap_enter(heap);
    s->size = size;
    s->map_size = size + STACK_PAGE;
    map = mmap(NULL, s->map_size, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (map == MAP_FAILED)
        PANIC("out of memory: a stack of %zu bytes: %s", size, strerror(errno));
    madvise(map, s->map_size, MADV_NOHUGEPAGE);
    if (madvise(map, STACK_PAGE, MADV_GUARD_INSTALL) != 0 &&
        mprotect(map, STACK_PAGE, PROT_NONE) != 0)
        PANIC("could not guard a stack: %s", strerror(errno));
    s->low = map + STACK_PAGE;
    list_init(&s->free_link);
    valgrind_map(s);
    pthread_mutex_lock(&p->lock);
    s->colour = p->made_count++ % STACK_COLOURS * 128;
    list_push_back(&p->all, &s->all_link);
    pthread_mutex_unlock(&p->lock);
    return s;
}

struct stack *
stack_get(struct stack_pool *p, size_t size)
{
    int class = stack_class(size * STACK_SCALE);
    struct list *link;

    pthread_mutex_lock(&p->lock);
    link = list_pop_front(&p->free[class]);
    if (link != NULL)
        p->free_count[class]--;
    pthread_mutex_unlock(&p->lock);
    if (link != NULL)
        return container_of(link, struct stack, free_link);
    return stack_map(p, (size_t)STACK_SIZE_MIN << class);
}

void
stack_put(struct stack_pool *p, struct stack *s)
{
    int class = stack_class(s->size);

    madvise(s->low, s->size - STACK_KEPT_BYTES, MADV_DONTNEED);
    pthread_mutex_lock(&p->lock);
    if (p->free_count[class] < STACK_FREE_COUNT_MAX) {
        p->free_count[class]++;
        list_push_front(&p->free[class], &s->free_link);
    } else {
        stack_unmap(s);
    }
    pthread_mutex_unlock(&p->lock);
}

/* ---- contexts ------------------------------------------------------------------------------ */

static void
context_main(void *arg)
{
    struct context *c = arg;

    sanitize_after(c);
    c->fn(c->arg);
    UNREACHABLE();
}

void
context_make(struct context *c, struct stack *s, void *top, void (*fn)(void *arg), void *arg)
{
    uint8_t *aligned = (uint8_t *)((uintptr_t)top & ~(uintptr_t)63);

    CHECK(aligned > s->low && aligned <= s->low + s->size);
    *c = (struct context){ .stack_low = s->low, .stack_size = s->size, .fn = fn, .arg = arg };
    sanitize_make(c, s);
    c->sp = context_seed(aligned, (size_t)(aligned - s->low), context_main, c);
}

void
context_switch(struct context *from, struct context *to)
{
    to->from = from;
    sanitize_before(from, to, false);
    context_swap(&from->sp, to->sp);
    sanitize_after(from);
}

void
context_leave(struct context *from, struct context *to)
{
    to->from = from;
    sanitize_before(from, to, true);
    context_swap(&from->sp, to->sp);
    UNREACHABLE();
}
