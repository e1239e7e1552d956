/* The switch for x86-64 (System V): six registers, the stack pointer, the return address.
 *
 * void context_swap(void **save, void *load)
 *     Pushes the callee-saved registers, stores the stack pointer in *save and goes on with the
 *     stack at `load`, which context_swap or context_seed left in the same shape.
 * context_boot
 *     Where a new stack starts: calls the function in r13 with the argument in r12.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#if defined(__x86_64__)

    .text
    .globl  context_swap
    .type   context_swap, @function
    .p2align 4
context_swap:
    .cfi_startproc
    pushq   %rbp
    pushq   %rbx
    pushq   %r12
    pushq   %r13
    pushq   %r14
    pushq   %r15
    movq    %rsp, (%rdi)
    movq    %rsi, %rsp
    popq    %r15
    popq    %r14
    popq    %r13
    popq    %r12
    popq    %rbx
    popq    %rbp
    ret
    .cfi_endproc
    .size   context_swap, . - context_swap

    .globl  context_boot
    .type   context_boot, @function
    .p2align 4
context_boot:
    .cfi_startproc
    .cfi_undefined rip
    movq    %r12, %rdi
    call    *%r13
    ud2
    .cfi_endproc
    .size   context_boot, . - context_boot

#endif
    .section .note.GNU-stack, "", %progbits
