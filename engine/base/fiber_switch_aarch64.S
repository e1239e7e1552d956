/* The switch for AArch64 (AAPCS64): x19 to x30, d8 to d15, the stack pointer.
 *
 * void context_swap(void **save, void *load)
 * context_boot
 *     As in fiber_switch_x86_64.S; the function is in x20, its argument in x19.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#if defined(__aarch64__)

    .text
    .globl  context_swap
    .type   context_swap, %function
    .p2align 4
context_swap:
    .cfi_startproc
    sub     sp, sp, #160
    stp     x19, x20, [sp, #0]
    stp     x21, x22, [sp, #16]
    stp     x23, x24, [sp, #32]
    stp     x25, x26, [sp, #48]
    stp     x27, x28, [sp, #64]
    stp     x29, x30, [sp, #80]
    stp     d8, d9, [sp, #96]
    stp     d10, d11, [sp, #112]
    stp     d12, d13, [sp, #128]
    stp     d14, d15, [sp, #144]
    mov     x9, sp
    str     x9, [x0]
    mov     sp, x1
    ldp     x19, x20, [sp, #0]
    ldp     x21, x22, [sp, #16]
    ldp     x23, x24, [sp, #32]
    ldp     x25, x26, [sp, #48]
    ldp     x27, x28, [sp, #64]
    ldp     x29, x30, [sp, #80]
    ldp     d8, d9, [sp, #96]
    ldp     d10, d11, [sp, #112]
    ldp     d12, d13, [sp, #128]
    ldp     d14, d15, [sp, #144]
    add     sp, sp, #160
    ret
    .cfi_endproc
    .size   context_swap, . - context_swap

    .globl  context_boot
    .type   context_boot, %function
    .p2align 4
context_boot:
    .cfi_startproc
    .cfi_undefined x30
    mov     x0, x19
    blr     x20
    brk     #1
    .cfi_endproc
    .size   context_boot, . - context_boot

#endif
    .section .note.GNU-stack, "", %progbits
