// The accesses declared in register_access.h. They are assembly because a compiler may merge, split or drop accesses,
// and because the SIGBUS handler must know each instruction that can fault. All of these lie between
// vfio_native_access_begin and vfio_native_access_end. None of them uses the stack, so returning from
// vfio_native_access_faulted returns from whichever function faulted.

.macro function name
    .globl \name
    .hidden \name
    .type \name, %function
    .balign 16
\name:
    .cfi_startproc
.endm

.macro endfunction name
    .cfi_endproc
    .size \name, . - \name
.endm

.macro label name
    .globl \name
    .hidden \name
\name:
.endm

    .text
label vfio_native_access_begin

#if defined(__x86_64__)

// A load gives its value in rax and its error in rdx. x86 orders loads among loads and stores among stores by itself
// (uncached and write-back).
.macro load name, instruction, destination
function \name
    \instruction (%rdi), \destination
    xorl %edx, %edx
    ret
endfunction \name
.endm

.macro store name, instruction, source
function \name
    \instruction \source, (%rdi)
    xorl %eax, %eax
    ret
endfunction \name
.endm

load vfio_native_load8, movzbl, %eax
load vfio_native_load16, movzwl, %eax
load vfio_native_load32, movl, %eax
load vfio_native_load64, movq, %rax

store vfio_native_store8, movb, %sil
store vfio_native_store16, movw, %si
store vfio_native_store32, movl, %esi
store vfio_native_store64, movq, %rsi

function vfio_native_store64bytes
    .irp offset, 0, 8, 16, 24, 32, 40, 48, 56
    movq \offset(%rsi), %rax
    movq %rax, \offset(%rdi)
    .endr
    xorl %eax, %eax
    ret
endfunction vfio_native_store64bytes

// MOVDIR64B is weakly ordered (Intel SDM volume 2, MOVDIR64B), so a fence comes first.
function vfio_native_movdir64b
    sfence
    movdir64b (%rsi), %rdi
    xorl %eax, %eax
    ret
endfunction vfio_native_movdir64b

function vfio_native_access_faulted
    movq $-14, %rax // -EFAULT: a store's result
    movq %rax, %rdx // a load's error
    ret
endfunction vfio_native_access_faulted

#elif defined(__aarch64__)

// A load gives its value in x0 and its error in x1. The barriers are those of the kernel's readl and writel.
.macro load name, instruction, destination
function \name
    \instruction \destination, [x0]
    dmb oshld
    mov x1, #0
    ret
endfunction \name
.endm

.macro store name, instruction, source
function \name
    dmb oshst
    \instruction \source, [x0]
    mov x0, #0
    ret
endfunction \name
.endm

load vfio_native_load8, ldrb, w0
load vfio_native_load16, ldrh, w0
load vfio_native_load32, ldr, w0
load vfio_native_load64, ldr, x0

store vfio_native_store8, strb, w1
store vfio_native_store16, strh, w1
store vfio_native_store32, str, w1
store vfio_native_store64, str, x1

function vfio_native_store64bytes
    dmb oshst
    .irp offset, 0, 8, 16, 24, 32, 40, 48, 56
    ldr x2, [x1, #\offset]
    str x2, [x0, #\offset]
    .endr
    mov x0, #0
    ret
endfunction vfio_native_store64bytes

function vfio_native_access_faulted
    mov x0, #-14 // -EFAULT: a store's result
    mov x1, #-14 // a load's error
    ret
endfunction vfio_native_access_faulted

#else
#error "register_access.S knows x86-64 and arm64 only"
#endif

label vfio_native_access_end

    .section .note.GNU-stack, "", %progbits
