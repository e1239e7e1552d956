/* Memory: a node's heap, arenas with savepoints, slabs, budgets.
 *
 * Ask first how long it lives. A statement or a batch: an arena, passed as a parameter. Hot objects
 * of one size: a slab. Shared: a reference count. Small bookkeeping: xmalloc, which cannot fail (it
 * panics). Anything sized by a user or a peer is charged to a budget first and may answer
 * ERR_NOMEM (53200).
 *
 * All of it comes from the heap of the current task's node, so that a simulated node that dies
 * takes its memory with it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_BASE_MEM_H
#define ENGINE_BASE_MEM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"

/* ---- heap ---------------------------------------------------------------------------------- */

struct heap; /* NULL stands for the process's own heap */
struct heap *heap_new(void);
void heap_free(struct heap *heap); /* with all that is still allocated in it */
size_t heap_used_bytes(const struct heap *heap);
/* From here on the calling task allocates from `heap`; returns the heap that it had. */
struct heap *heap_enter(struct heap *heap);

/* Never NULL; out of memory panics. xfree takes NULL. A block goes back to the heap it came from,
 * whichever task frees it. */
void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t count, size_t size) __attribute__((returns_nonnull));
void *xrealloc(void *p, size_t size) __attribute__((returns_nonnull));
void *xaligned(size_t align, size_t size) __attribute__((returns_nonnull)); /* for xfree_aligned */
void xfree_aligned(void *p);
char *xstrdup(const char *s) __attribute__((returns_nonnull));
void xfree(void *p);
/* The same for libraries that take an allocator; `opaque` is not looked at. */
void *mem_library_alloc(void *opaque, size_t size);
void mem_library_free(void *opaque, void *p);
/* A block of this size fills a huge page with its header; blocks from this size on are mapped on
 * huge pages where the system has them. */
enum { MEM_HUGE_BLOCK = (2 << 20) - 64 };

/* ---- budget -------------------------------------------------------------------------------- */

/* A cap on bytes, shared by any number of threads. Charging past it fails with ERR_NOMEM. */
struct budget {
    const char *name;      /* in the error: "query memory" */
    struct budget *parent; /* charged too; NULL at the top */
    _Atomic size_t used;
    size_t limit;
};
void budget_init(struct budget *b, const char *name, size_t limit, struct budget *parent);
MUST_CHECK
int budget_charge(struct budget *b, size_t bytes);
bool budget_try(struct budget *b, size_t bytes); /* the same without an error recorded */
void budget_release(struct budget *b, size_t bytes);
/* For memory whose size the program bounds itself: charges, past the limit if it must be. */
void budget_force(struct budget *b, size_t bytes);
bool budget_has_room(const struct budget *b, size_t bytes);

/* ---- arena --------------------------------------------------------------------------------- */

/* A bump allocator: freed as a whole or back to a savepoint. One owner; no locks. Chunks are
 * charged to the budget if there is one. */
struct arena_chunk;
struct arena {
    struct arena_chunk *last; /* newest chunk; each links the one before */
    uint8_t *at, *end;        /* free room in it */
    struct budget *budget;    /* or NULL */
    size_t total;             /* bytes in chunks */
    size_t chunk_size;
};
struct arena_mark {
    struct arena_chunk *chunk;
    uint8_t *at;
};

void arena_init(struct arena *a, struct budget *budget);
void arena_fini(struct arena *a);  /* frees all; the arena may be used again */
void arena_reset(struct arena *a); /* frees all but one chunk */
/* 16-byte aligned; NULL with ERR_NOMEM recorded when the budget is spent. */
void *arena_try_alloc(struct arena *a, size_t size);
/* The same, for memory whose size the program bounds itself: cannot fail (charges past the
 * budget rather than fail; the next arena_try_alloc notices). */
void *arena_alloc(struct arena *a, size_t size) __attribute__((returns_nonnull));
void *arena_zalloc(struct arena *a, size_t size) __attribute__((returns_nonnull));
void *arena_memdup(struct arena *a, const void *p, size_t size) __attribute__((returns_nonnull));
char *arena_strdup(struct arena *a, const char *s) __attribute__((returns_nonnull));
char *arena_strndup(struct arena *a, const char *s, size_t n) __attribute__((returns_nonnull));
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark m); /* frees what came after the mark */

#define ARENA_NEW(a, type)      ((type *)arena_zalloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_zalloc((a), sizeof(type) * (size_t)(n)))

/* ---- slab ---------------------------------------------------------------------------------- */

/* Objects of one size on a free list. One owner thread; no locks. */
struct slab {
    size_t object_size;
    void *free_list;
    struct slab_block *blocks;
    size_t live_count;
};
void slab_init(struct slab *s, size_t object_size);
void slab_fini(struct slab *s);                                    /* nothing may be live */
void *slab_alloc(struct slab *s) __attribute__((returns_nonnull)); /* zeroed */
void slab_free(struct slab *s, void *object);

/* Sizes from outside are added and multiplied with these: false on overflow. */
#define add_ok(a, b, out) (!__builtin_add_overflow((a), (b), (out)))
#define mul_ok(a, b, out) (!__builtin_mul_overflow((a), (b), (out)))

#endif
