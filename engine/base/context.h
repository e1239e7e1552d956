/* Stacks and the switch between them: what fibers and simulated threads stand on.
 *
 * The switch saves what the calling convention says a callee must keep, and nothing else: mxcsr and
 * the x87 control word are left out, because nothing in this program changes them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_BASE_CONTEXT_H
#define ENGINE_BASE_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/list.h"

/* A stack that somebody can switch to: an own one (context_make), or the one that a thread already
 * runs on (zeroed; it is filled in by the first switch away from it). */
struct context {
    void *sp;              /* where it stopped; fiber_switch_*'s own */
    struct context *from;  /* who switched to it last */
    const void *stack_low; /* bounds, for the sanitizers; NULL on a thread's stack until known */
    size_t stack_size;
    void *asan_fake_stack;
    void *tsan_fiber;
    void (*fn)(void *arg);
    void *arg;
};

/* One stack: a mapping with a guard page at its low end. */
struct stack {
    struct list all_link;  /* struct stack_pool.all */
    struct list free_link; /* struct stack_pool.free, while in it */
    uint8_t *low;          /* lowest usable byte */
    size_t size;           /* usable bytes, a multiple of the page */
    size_t colour;         /* bytes left free at the top, so that stacks do not share cache sets */
    size_t map_size;
    void *tsan_fiber;
    unsigned valgrind_id;
};

struct stack_pool *stack_pool_new(void);
void stack_pool_free(struct stack_pool *p); /* with all its stacks, used ones too */
/* At least `size` bytes. From any thread. */
struct stack *stack_get(struct stack_pool *p, size_t size);
void stack_put(struct stack_pool *p, struct stack *s);
/* Unmaps all stacks, used ones too: for a node that died. */
void stack_pool_clear(struct stack_pool *p);

/* fn must never return. It runs on `s` below `top`, which is in it. */
void context_make(struct context *c, struct stack *s, void *top, void (*fn)(void *arg), void *arg);
/* Goes on with `to`, where it stopped; returns when somebody switches back. */
void context_switch(struct context *from, struct context *to);
/* The same, from a context that will never run again and whose stack may be given back. */
void context_leave(struct context *from, struct context *to);

#endif
