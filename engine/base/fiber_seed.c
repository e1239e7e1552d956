/* The first frame of a new stack, in the shape that the assembly switches expect.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/context_int.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
void context_boot(void);

/* From the stack pointer up: r15 r14 r13 r12 rbx rbp, the address to return to; then two words, so
 * that context_boot starts with its stack aligned to 16. */
void *
context_seed(void *top, size_t size, void (*fn)(void *arg), void *arg)
{
    void **frame = (void **)top - 9;

    (void)size;
    memset(frame, 0, 9 * sizeof *frame);
    frame[2] = (void *)(uintptr_t)fn;
    frame[3] = arg;
    frame[6] = (void *)(uintptr_t)context_boot;
    return frame;
}
#elif defined(__aarch64__)
void context_boot(void);

/* From the stack pointer up: x19 .. x30, d8 .. d15. */
void *
context_seed(void *top, size_t size, void (*fn)(void *arg), void *arg)
{
    void **frame = (void **)top - 20;

    (void)size;
    memset(frame, 0, 20 * sizeof *frame);
    frame[0] = arg;
    frame[1] = (void *)(uintptr_t)fn;
    frame[11] = (void *)(uintptr_t)context_boot;
    return frame;
}
#endif
