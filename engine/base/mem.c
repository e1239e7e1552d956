/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mem.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/base/task.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION((p), (n))
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

/* ---- heap ---------------------------------------------------------------------------------- */

/* Before each block: where it belongs. A block of the process's heap has no neighbours. */
struct block {
    struct heap *heap; /* NULL: the process's */
    struct block *prev, *next;
    size_t size;
};
static void block_free(struct block *b);

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { MAPS_HUGE = 0 }; /* let the sanitizer see each block */
#else
enum { MAPS_HUGE = 1 };
#endif
enum { HUGE_PAGE = 2 << 20, FILL_END = 64 << 10 };
static_assert(sizeof(struct block) % 16 == 0, "blocks must keep the alignment of malloc");

struct heap {
    struct block ring; /* of live blocks; the heap is the head */
    size_t used;
    pthread_mutex_t lock;
};

struct heap *
heap_new(void)
{
    struct heap *h = calloc(1, sizeof *h);

    CHECK(h != NULL);
    h->ring.prev = h->ring.next = &h->ring;
    pthread_mutex_init(&h->lock, NULL);
    return h;
}

void
heap_free(struct heap *h)
{
    struct block *b = h->ring.next;

    while (b != &h->ring) {
        struct block *next = b->next;

        block_free(b);
        b = next;
    }
    pthread_mutex_destroy(&h->lock);
    free(h);
}

size_t
heap_used_bytes(const struct heap *h)
{
    return h->used;
}

struct heap *
heap_enter(struct heap *h)
{
    struct task *t = task_self();
    struct heap *before = t->heap;

    t->heap = h;
    return before;
}

static void
block_link(struct block *b, struct heap *h, size_t size)
{
    b->heap = h;
    b->size = size;
    if (h == NULL)
        return;
    pthread_mutex_lock(&h->lock);
    b->next = &h->ring;
    b->prev = h->ring.prev;
    b->prev->next = b;
    h->ring.prev = b;
    h->used += size;
    pthread_mutex_unlock(&h->lock);
}

static void
block_unlink(struct block *b)
{
    struct heap *h = b->heap;

    if (h == NULL)
        return;
    pthread_mutex_lock(&h->lock);
    b->prev->next = b->next;
    b->next->prev = b->prev;
    h->used -= b->size;
    pthread_mutex_unlock(&h->lock);
}

/* The first touch of a small page costs microseconds in a virtual machine, and malloc hands large
 * blocks back at each free: so those are mapped here, aligned, with huge pages asked for. */
static struct block *
block_map(size_t total)
{
    uint8_t *p, *at;
    size_t before;

    if (!add_ok(total, (size_t)HUGE_PAGE, &before) || total > PTRDIFF_MAX / 2)
        return NULL;
    total = (total + 4095) & ~(size_t)4095;
    p = mmap(NULL, total + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    before = -(uintptr_t)p & (HUGE_PAGE - 1);
    at = p + before;
    if (before != 0)
        munmap(p, before);
    munmap(at + total, HUGE_PAGE - before);
#ifdef MADV_HUGEPAGE
    (void)madvise(at, total, MADV_HUGEPAGE);
#endif
    return (struct block *)(void *)at;
}

static bool
block_is_mapped(size_t size)
{
    return MAPS_HUGE && size >= MEM_HUGE_BLOCK;
}

static void
block_free(struct block *b)
{
    if (block_is_mapped(b->size))
        munmap(b, (b->size + sizeof *b + 4095) & ~(size_t)4095);
    else
        free(b);
}

/* Debug builds: neither fresh nor freed memory looks like anything. Of large blocks the ends must
 * do: touching all of a 32 MiB ring each time a test mounts an engine took most of the test. */
static void
block_fill(struct block *b, int pattern)
{
#ifdef RD_DEBUG
    uint8_t *p = (uint8_t *)(b + 1);

    if (b->size <= 2 * FILL_END) {
        memset(p, pattern, b->size);
    } else {
        memset(p, pattern, FILL_END);
        memset(p + b->size - FILL_END, pattern, FILL_END);
    }
#else
    (void)b;
    (void)pattern;
#endif
}

void *
xmalloc(size_t size)
{
    size_t total;
    struct block *b;

    if (!add_ok(size, sizeof *b, &total) ||
        (b = block_is_mapped(size) ? block_map(total) : malloc(total)) == NULL)
        PANIC("out of memory: %zu bytes", size);
    block_link(b, task_current_or_null != NULL ? task_current_or_null->heap : NULL, size);
    block_fill(b, 0xa5);
    return b + 1;
}

void *
xcalloc(size_t count, size_t size)
{
    size_t total;
    void *p;

    if (!mul_ok(count, size, &total))
        PANIC("out of memory: %zu times %zu bytes", count, size);
    p = xmalloc(total);
    memset(p, 0, total);
    return p;
}

void *
xrealloc(void *p, size_t size)
{
    struct block *b;
    void *grown;

    if (p == NULL)
        return xmalloc(size);
    b = (struct block *)p - 1;
    grown = xmalloc(size);
    memcpy(grown, p, size < b->size ? size : b->size);
    xfree(p);
    return grown;
}

void
xfree(void *p)
{
    struct block *b;

    if (p == NULL)
        return;
    b = (struct block *)p - 1;
    block_unlink(b);
    block_fill(b, 0xdd);
    block_free(b);
}

void *
mem_library_alloc(void *opaque, size_t size)
{
    (void)opaque;
    return xmalloc(size);
}

void
mem_library_free(void *opaque, void *p)
{
    (void)opaque;
    xfree(p);
}

/* The block lies below an aligned address; the pointer to it stands just before that. */
void *
xaligned(size_t align, size_t size)
{
    uint8_t *raw = xmalloc(size + align + sizeof(void *));
    uintptr_t at = ((uintptr_t)raw + sizeof(void *) + align - 1) / align * align;

    ((void **)at)[-1] = raw;
    return (void *)at;
}

void
xfree_aligned(void *p)
{
    if (p != NULL)
        xfree(((void **)p)[-1]);
}

char *
xstrdup(const char *s)
{
    size_t n = strlen(s) + 1;

    return memcpy(xmalloc(n), s, n);
}

/* ---- budget -------------------------------------------------------------------------------- */

void
budget_init(struct budget *b, const char *name, size_t limit, struct budget *parent)
{
    b->name = name;
    b->parent = parent;
    atomic_init(&b->used, 0);
    b->limit = limit;
}

bool
budget_try(struct budget *b, size_t bytes)
{
    size_t before = atomic_fetch_add_explicit(&b->used, bytes, memory_order_relaxed);

    if (before + bytes < before || before + bytes > b->limit ||
        (b->parent != NULL && !budget_try(b->parent, bytes))) {
        atomic_fetch_sub_explicit(&b->used, bytes, memory_order_relaxed);
        return false;
    }
    return true;
}

int
budget_charge(struct budget *b, size_t bytes)
{
    if (budget_try(b, bytes))
        return 0;
    (void)DIAG(ERR_NOMEM, "out of %s", b->name);
    diag_detail("%zu bytes were asked for; the limit is %zu.", bytes, b->limit);
    return ERR_NOMEM;
}

void
budget_release(struct budget *b, size_t bytes)
{
    for (; b != NULL; b = b->parent)
        atomic_fetch_sub_explicit(&b->used, bytes, memory_order_relaxed);
}

void
budget_force(struct budget *b, size_t bytes)
{
    for (; b != NULL; b = b->parent)
        atomic_fetch_add_explicit(&b->used, bytes, memory_order_relaxed);
}

bool
budget_has_room(const struct budget *b, size_t bytes)
{
    for (; b != NULL; b = b->parent) {
        size_t used = atomic_load_explicit(&b->used, memory_order_relaxed);

        if (used > b->limit || b->limit - used < bytes)
            return false;
    }
    return true;
}

/* ---- arena --------------------------------------------------------------------------------- */

struct arena_chunk {
    struct arena_chunk *before;
    size_t size; /* of data */
    _Alignas(16) uint8_t data[];
};

enum { ARENA_CHUNK_MIN = 4096, ARENA_CHUNK_MAX = 1 << 20 };

void
arena_init(struct arena *a, struct budget *budget)
{
    *a = (struct arena){ .budget = budget, .chunk_size = ARENA_CHUNK_MIN };
}

static void
arena_pop_chunk(struct arena *a)
{
    struct arena_chunk *c = a->last;

    a->last = c->before;
    a->total -= c->size;
    if (a->budget != NULL)
        budget_release(a->budget, c->size);
    UNPOISON(c->data, c->size);
    xfree(c);
}

void
arena_fini(struct arena *a)
{
    while (a->last != NULL)
        arena_pop_chunk(a);
    a->at = a->end = NULL;
    a->chunk_size = ARENA_CHUNK_MIN;
}

void
arena_reset(struct arena *a)
{
    if (a->last == NULL)
        return;
    while (a->last->before != NULL)
        arena_pop_chunk(a);
    if (a->last->size > 4 * ARENA_CHUNK_MIN) {
        arena_fini(a);
        return;
    }
    a->at = a->last->data;
    a->end = a->at + a->last->size;
    a->chunk_size = ARENA_CHUNK_MIN;
    POISON(a->at, a->last->size);
}

static bool
arena_grow(struct arena *a, size_t size, bool force)
{
    size_t room = a->chunk_size - sizeof(struct arena_chunk) - 64;
    struct arena_chunk *c;

    if (room < size)
        room = size;
    if (a->budget != NULL) {
        if (force)
            budget_force(a->budget, room);
        else if (budget_charge(a->budget, room) != 0)
            return false;
    }
    c = xmalloc(sizeof *c + room + 15);
    c->before = a->last;
    c->size = room;
    a->last = c;
    a->at = c->data;
    a->end = c->data + room;
    a->total += room;
    if (a->chunk_size < ARENA_CHUNK_MAX)
        a->chunk_size *= 2;
    POISON(a->at, room);
    return true;
}

static void *
arena_take(struct arena *a, size_t size, bool force)
{
    size_t rounded = size == 0 ? 16 : (size + 15) & ~(size_t)15; /* nothing has an address, too */
    void *p;

    if (rounded < size) {
        (void)DIAG(ERR_NOMEM, "out of memory: %zu bytes asked for", size);
        return NULL;
    }
    if ((size_t)(a->end - a->at) < rounded && !arena_grow(a, rounded, force))
        return NULL;
    p = a->at;
    a->at += rounded;
    UNPOISON(p, size);
    return p;
}

void *
arena_try_alloc(struct arena *a, size_t size)
{
    return arena_take(a, size, false);
}

void *
arena_alloc(struct arena *a, size_t size)
{
    void *p = arena_take(a, size, true);

    CHECK(p != NULL);
    return p;
}

void *
arena_zalloc(struct arena *a, size_t size)
{
    return memset(arena_alloc(a, size), 0, size);
}

void *
arena_memdup(struct arena *a, const void *p, size_t size)
{
    void *copy = arena_alloc(a, size);

    if (size != 0)
        memcpy(copy, p, size);
    return copy;
}

char *
arena_strndup(struct arena *a, const char *s, size_t n)
{
    char *copy = arena_alloc(a, n + 1);

    memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

char *
arena_strdup(struct arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap, again;
    char *p;
    int n;

    va_start(ap, fmt);
    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    CHECK(n >= 0);
    p = arena_alloc(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

struct arena_mark
arena_mark(const struct arena *a)
{
    return (struct arena_mark){ a->last, a->at };
}

void
arena_rewind(struct arena *a, struct arena_mark m)
{
    while (a->last != m.chunk)
        arena_pop_chunk(a);
    a->at = m.at;
    a->end = a->last != NULL ? a->last->data + a->last->size : NULL;
    if (a->at != NULL)
        POISON(a->at, (size_t)(a->end - a->at));
}

/* ---- slab ---------------------------------------------------------------------------------- */

struct slab_block {
    struct slab_block *next;
    _Alignas(16) uint8_t data[];
};

enum { SLAB_BLOCK_OBJECTS = 32 };

void
slab_init(struct slab *s, size_t object_size)
{
    *s = (struct slab){ .object_size = (object_size + 15) & ~(size_t)15 };
}

void
slab_fini(struct slab *s)
{
    CHECK(s->live_count == 0);
    while (s->blocks != NULL) {
        struct slab_block *next = s->blocks->next;

        UNPOISON(s->blocks->data, s->object_size * SLAB_BLOCK_OBJECTS);
        xfree(s->blocks);
        s->blocks = next;
    }
    s->free_list = NULL;
}

static void
slab_push(struct slab *s, void *object)
{
    *(void **)object = s->free_list;
    s->free_list = object;
    POISON(object, s->object_size);
}

void *
slab_alloc(struct slab *s)
{
    void *object;

    if (s->free_list == NULL) {
        struct slab_block *b = xmalloc(sizeof *b + s->object_size * SLAB_BLOCK_OBJECTS);

        b->next = s->blocks;
        s->blocks = b;
        for (size_t i = SLAB_BLOCK_OBJECTS; i-- > 0;)
            slab_push(s, b->data + i * s->object_size);
    }
    object = s->free_list;
    UNPOISON(object, s->object_size);
    s->free_list = *(void **)object;
    s->live_count++;
    return memset(object, 0, s->object_size);
}

void
slab_free(struct slab *s, void *object)
{
    CHECK(s->live_count > 0);
    s->live_count--;
    slab_push(s, object);
}
