/*
 * The process entry and the memory functions that a compiler may call on its
 * own, in place of a C library.
 */
#include "shim.h"

#if defined(__x86_64__)
__asm__(".text\n"
        ".globl _start\n"
        ".type _start,@function\n"
        "_start:\n"
        "    xor %ebp, %ebp\n"
        "    mov %rsp, %rdi\n"
        "    and $-16, %rsp\n"
        "    call shim_start\n");
#elif defined(__aarch64__)
__asm__(".text\n"
        ".globl _start\n"
        ".type _start,%function\n"
        "_start:\n"
        "    mov x29, #0\n"
        "    mov x30, #0\n"
        "    mov x0, sp\n"
        "    bl shim_start\n");
#endif

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memset(void *to, int value, size_t n);

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    char *t = to;
    const char *f = from;

    while (n--)
        *t++ = *f++;
    return to;
}

void *memset(void *to, int value, size_t n)
{
    char *t = to;

    while (n--)
        *t++ = (char)value;
    return to;
}

/* What the kernel leaves on the stack: argc, argv, NULL, envp, NULL, auxv. */
void shim_start(long *stack)
{
    long argc = stack[0];
    char **argv = (char **)(stack + 1);

    sys_exit(shim_main(argv, argv + argc + 1));
}
