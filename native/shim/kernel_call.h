// SPDX-License-Identifier: Apache-2.0
//
// System calls from within another program, without its libc.
//
// A call that carries the session's pass, xored with its second argument, is let
// through by the filter. On x86-64 it is in r9, which the kernel preserves: it is
// cleared right after the call, or the next raw call of the program, or of a
// signal handler, could go through with it.
#ifndef FSC_SHIM_KERNEL_CALL_H
#define FSC_SHIM_KERNEL_CALL_H

#include <stdint.h>

// No call here has more arguments: the sixth register is the pass's.
#define KERNEL_CALL_ARGUMENTS 5

struct kernel_call {
	long number;
	long args[KERNEL_CALL_ARGUMENTS];
};

#ifndef __NR_faccessat2 // Linux 5.8
#define __NR_faccessat2 439
#endif
#ifdef __x86_64__
#define NR_FCNTL __NR_fcntl
#else
#define NR_FCNTL __NR_fcntl64
#endif

#ifdef __x86_64__

static inline long kernel_call_with(const struct kernel_call *call, uint64_t sixth)
{
	long result;
	register long r10 __asm__("r10") = call->args[3];
	register long r8 __asm__("r8") = call->args[4];
	register uint64_t r9 __asm__("r9") = sixth;
	__asm__ volatile("syscall\n\t"
			 "xorl %%r9d, %%r9d"
			 : "=a"(result), "+r"(r9)
			 : "0"(call->number), "D"(call->args[0]), "S"(call->args[1]),
			   "d"(call->args[2]), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory", "cc");
	return result;
}

#else

// The registers as the kernel wants them are the compiler's own on i386, so the
// stub is assembler (kernel_call_i386.c). It restores ebp, which had the pass.
long shim_int80(long number, const long args[KERNEL_CALL_ARGUMENTS], uint32_t sixth);

static inline long kernel_call_with(const struct kernel_call *call, uint64_t sixth)
{
	return shim_int80(call->number, call->args, (uint32_t)sixth);
}

#endif

// The filter sees it as it sees any program's.
static inline long kernel_call_plain(const struct kernel_call *call)
{
	return kernel_call_with(call, 0);
}

static inline long kernel_call_passed(const struct kernel_call *call, uint64_t pass)
{
	return kernel_call_with(call, pass ^ (unsigned long)call->args[1]);
}

#define KERNEL_CALL(number, ...)                                                                  \
	(struct kernel_call)                                                                      \
	{                                                                                         \
		(number), { __VA_ARGS__ }                                                         \
	}

#endif
