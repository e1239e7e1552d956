/* The switch for other processors, by ucontext: right everywhere and a hundred times slower, since
 * each swap saves the signal mask by a system call.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/context_int.h"

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <stdint.h>
#include <ucontext.h>

/* Lies at the top of its own stack; makecontext passes ints, so the function's address and its
 * argument stay here. */
struct seed {
    ucontext_t ucontext;
    void (*fn)(void *arg);
    void *arg;
};

static void
seed_main(unsigned high, unsigned low)
{
    struct seed *s = (struct seed *)(uintptr_t)((uint64_t)high << 32 | low);

    s->fn(s->arg);
}

void *
context_seed(void *top, size_t size, void (*fn)(void *arg), void *arg)
{
    struct seed *s = (struct seed *)(((uintptr_t)top - sizeof *s) & ~(uintptr_t)63);
    uint64_t address = (uintptr_t)s;

    getcontext(&s->ucontext);
    s->fn = fn;
    s->arg = arg;
    s->ucontext.uc_stack.ss_sp = (char *)top - size;
    s->ucontext.uc_stack.ss_size = (size_t)((char *)s - ((char *)top - size));
    s->ucontext.uc_link = NULL;
    makecontext(&s->ucontext, (void (*)(void))seed_main, 2, (unsigned)(address >> 32),
                (unsigned)address);
    return &s->ucontext;
}

void
context_swap(void **save, void *load)
{
    ucontext_t here;

    *save = &here;
    swapcontext(&here, load);
}
#endif
