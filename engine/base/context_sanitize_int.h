/* What the sanitizers and Valgrind want to know of stacks; nothing in other builds.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_BASE_CONTEXT_SANITIZE_INT_H
#define ENGINE_BASE_CONTEXT_SANITIZE_INT_H

#include "engine/base/context.h"

/* gcc defines a macro for each sanitizer; clang has features. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

enum { STACK_SCALE = 4 }; /* frames are larger */

static inline void
sanitize_before(struct context *from, struct context *to, bool is_last)
{
    __sanitizer_start_switch_fiber(is_last ? NULL : &from->asan_fake_stack, to->stack_low,
                                   to->stack_size);
}
static inline void
sanitize_after(struct context *self)
{
    const void *low;
    size_t size;

    __sanitizer_finish_switch_fiber(self->asan_fake_stack, &low, &size);
    if (self->from->stack_low == NULL) {
        self->from->stack_low = low;
        self->from->stack_size = size;
    }
}
static inline void
sanitize_make(struct context *c, struct stack *s)
{
    (void)c;
    ASAN_UNPOISON_MEMORY_REGION(s->low, s->size);
}
static inline void
sanitize_unmap(struct stack *s)
{
    ASAN_UNPOISON_MEMORY_REGION(s->low, s->size);
}

#elif defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>

enum { STACK_SCALE = 4 };

static inline void
sanitize_before(struct context *from, struct context *to, bool is_last)
{
    (void)is_last;
    if (from->tsan_fiber == NULL)
        from->tsan_fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to->tsan_fiber, 0);
}
static inline void
sanitize_after(struct context *self)
{
    (void)self;
}
static inline void
sanitize_make(struct context *c, struct stack *s)
{
    if (s->tsan_fiber == NULL)
        s->tsan_fiber = __tsan_create_fiber(0);
    c->tsan_fiber = s->tsan_fiber;
}
static inline void
sanitize_unmap(struct stack *s)
{
    if (s->tsan_fiber != NULL)
        __tsan_destroy_fiber(s->tsan_fiber);
}

#else
enum { STACK_SCALE = 1 };

static inline void
sanitize_before(struct context *from, struct context *to, bool is_last)
{
    (void)from, (void)to, (void)is_last;
}
static inline void
sanitize_after(struct context *self)
{
    (void)self;
}
static inline void
sanitize_make(struct context *c, struct stack *s)
{
    (void)c, (void)s;
}
static inline void
sanitize_unmap(struct stack *s)
{
    (void)s;
}
#endif

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
static inline void
valgrind_map(struct stack *s)
{
    s->valgrind_id = VALGRIND_STACK_REGISTER(s->low, s->low + s->size - 1);
}
static inline void
valgrind_unmap(struct stack *s)
{
    VALGRIND_STACK_DEREGISTER(s->valgrind_id);
}
#else
static inline void
valgrind_map(struct stack *s)
{
    (void)s;
}
static inline void
valgrind_unmap(struct stack *s)
{
    (void)s;
}
#endif

#endif
