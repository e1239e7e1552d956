/* Between context.c and the switches.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_BASE_CONTEXT_INT_H
#define ENGINE_BASE_CONTEXT_INT_H

#include <stddef.h>

void context_swap(void **save, void *load);

/* Prepares the stack that ends at `top` (16-byte aligned, `size` bytes) so that a first swap to
 * what it returns calls fn(arg). */
void *context_seed(void *top, size_t size, void (*fn)(void *arg), void *arg);

#endif
