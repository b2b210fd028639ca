// SPDX-License-Identifier: Apache-2.0
//
// Facts about ptrace(2) on x86-64 that shape this file:
//  - At the stop of a seccomp filter, and at a call's entry, the call's number is in
//    orig_rax. A tracer that makes it -1 skips the call, which then returns what is in
//    rax (seccomp(2), SECCOMP_RET_TRACE).
//  - At a call's entry the filters are still to come, and judge the -1, too: those that allow
//    what they list refuse it, or kill. So there a harmless call is made in its place.
//  - Whether a call is i386's does not follow from the code segment: int $0x80 makes one
//    from 64-bit code. The kernel tells by PTRACE_GET_SYSCALL_INFO (Linux 5.3).
//  - All three instructions that make calls have two bytes; behind sysenter the kernel
//    returns to vdso code that has an int $0x80 just in front (entry/vdso32).
#include "ptrace_call.h"

#include "kernel.h"
#include "target.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>

#define INSTRUCTION 2 // bytes of syscall, int $0x80 and sysenter

static const int numbers_x86_64[] = {
	[REPLACE_MMAP] = 9,     [REPLACE_MUNMAP] = 11,  [REPLACE_OPENAT] = 257,
	[REPLACE_CLOSE] = 3,    [REPLACE_DUP3] = 292,   [REPLACE_SOCKET] = 41,
	[REPLACE_BIND] = 49,    [REPLACE_RECVMSG] = 47,
};

// mmap2(2), and the socket calls that Linux has apart from socketcall(2) since 4.3.
static const int numbers_i386[] = {
	[REPLACE_MMAP] = 192,   [REPLACE_MUNMAP] = 91,  [REPLACE_OPENAT] = 295,
	[REPLACE_CLOSE] = 6,    [REPLACE_DUP3] = 330,   [REPLACE_SOCKET] = 359,
	[REPLACE_BIND] = 361,   [REPLACE_RECVMSG] = 372,
};

// An x32 program is given memory that it can address by x32's number alone: else what is mapped
// lies beyond (ENOMEM). recvmsg(2) has another number there, and another struct msghdr; x86-64's
// is answered, too.
static long number_for(const struct stopped_call *call, enum replacement what)
{
	if (call->arch == FSC_ARCH_I386)
		return numbers_i386[what];
	bool x32 = call->nr >= 0 && call->nr & FSC_X32_SYSCALL_BIT && what != REPLACE_RECVMSG;
	return numbers_x86_64[what] | (x32 ? FSC_X32_SYSCALL_BIT : 0);
}

static int get_registers(pid_t tid, struct user_regs_struct *registers_ret)
{
	return ptrace(PTRACE_GETREGS, tid, NULL, registers_ret) < 0 ? -errno : 0;
}

static void set_arguments(struct user_regs_struct *registers, bool i386, const uint64_t *args)
{
	if (i386) {
		registers->rbx = args[0];
		registers->rcx = args[1];
		registers->rdx = args[2];
		registers->rsi = args[3];
		registers->rdi = args[4];
		registers->rbp = args[5];
		return;
	}
	registers->rdi = args[0];
	registers->rsi = args[1];
	registers->rdx = args[2];
	registers->r10 = args[3];
	registers->r8 = args[4];
	registers->r9 = args[5];
}

// By the instruction that made the call, where the kernel does not tell.
static int read_by_registers(pid_t tid, struct stopped_call *call)
{
	struct user_regs_struct registers;
	unsigned char made_by[INSTRUCTION] = {0};
	int error = get_registers(tid, &registers);
	if (error)
		return error;
	target_read(tid, registers.rip - INSTRUCTION, made_by, sizeof(made_by));
	bool i386 = registers.cs == 0x23 || (made_by[0] == 0xcd && made_by[1] == 0x80);
	const unsigned long long of_i386[] = {registers.rbx, registers.rcx, registers.rdx,
					      registers.rsi, registers.rdi, registers.rbp};
	const unsigned long long of_x86_64[] = {registers.rdi, registers.rsi, registers.rdx,
						registers.r10, registers.r8,  registers.r9};
	call->arch = i386 ? FSC_ARCH_I386 : FSC_ARCH_X86_64;
	call->nr = (int)registers.orig_rax;
	call->ip = registers.rip;
	for (int i = 0; i < 6; i++)
		call->args[i] = i386 ? (uint32_t)of_i386[i] : of_x86_64[i];
	return 0;
}

int stopped_call_read(pid_t tid, bool known_entry, struct stopped_call *call_ret)
{
	struct __ptrace_syscall_info info;
	*call_ret = (struct stopped_call){.tid = tid, .entering = true};
	if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, (void *)sizeof(info), &info) < 0) {
		if (errno == ESRCH)
			return -ESRCH;
		return known_entry ? read_by_registers(tid, call_ret) : -ENOSYS;
	}
	call_ret->arch = info.arch;
	call_ret->ip = info.instruction_pointer;
	// Another thread that executes takes the leader's number, and the stop is not ours.
	if (info.op == PTRACE_SYSCALL_INFO_NONE)
		return -ESRCH;
	call_ret->unfiltered = info.op == PTRACE_SYSCALL_INFO_ENTRY;
	call_ret->entering = info.op == PTRACE_SYSCALL_INFO_ENTRY ||
			     info.op == PTRACE_SYSCALL_INFO_SECCOMP;
	_Static_assert(offsetof(struct __ptrace_syscall_info, entry) ==
			       offsetof(struct __ptrace_syscall_info, seccomp),
		       "both begin with the number and the arguments");
	call_ret->nr = (int)info.entry.nr;
	memcpy(call_ret->args, info.entry.args, sizeof(call_ret->args));
	return 0;
}

static void restore_signals(const struct stopped_call *call)
{
	if (!call->masked)
		return;
	ptrace(PTRACE_SETSIGMASK, call->tid, (void *)sizeof(call->signals), &call->signals);
}

static int lost(struct stopped_call *call, int error)
{
	if (error == -ESRCH)
		atomic_store(&call->gone, true);
	return error;
}

static void make_without_effect(struct stopped_call *call, next_call_stop *next)
{
	const uint64_t nothing[6] = {UINT64_MAX, UINT64_MAX, UINT64_MAX,
				     UINT64_MAX, UINT64_MAX, UINT64_MAX};
	if (lost(call, get_registers(call->tid, &call->registers)) != 0)
		return;
	struct user_regs_struct registers = call->registers;
	set_arguments(&registers, call->arch == FSC_ARCH_I386, nothing);
	if (ptrace(PTRACE_SETREGS, call->tid, NULL, &registers) < 0)
		lost(call, -errno);
	else if (lost(call, next(call)) == 0)
		call->replaced = true;
}

int stopped_call_skip(struct stopped_call *call, int64_t result, next_call_stop *next)
{
	if (!call->replaced && !call->unfiltered) {
		ptrace(PTRACE_POKEUSER, call->tid, offsetof(struct user, regs.orig_rax), -1L);
		ptrace(PTRACE_POKEUSER, call->tid, offsetof(struct user, regs.rax), result);
		return 0;
	}
	if (!call->replaced)
		make_without_effect(call, next);
	if (atomic_load(&call->gone))
		return -ESRCH;
	call->registers.orig_rax = UINT64_MAX;
	call->registers.rax = (uint64_t)result;
	ptrace(PTRACE_SETREGS, call->tid, NULL, &call->registers);
	restore_signals(call);
	return 0;
}

void stopped_call_continue(struct stopped_call *call)
{
	if (call->changed) {
		size_t first = call->arch == FSC_ARCH_I386 ? offsetof(struct user, regs.rbx)
							   : offsetof(struct user, regs.rdi);
		ptrace(PTRACE_POKEUSER, call->tid, first, call->args[0]);
	}
	if (!call->replaced)
		return;
	struct user_regs_struct again = call->registers;
	again.rip -= INSTRUCTION;
	again.rax = again.orig_rax;
	again.orig_rax = UINT64_MAX;
	ptrace(PTRACE_SETREGS, call->tid, NULL, &again);
	restore_signals(call);
}

static int begin_replacing(struct stopped_call *call)
{
	const uint64_t all = UINT64_MAX;
	int error = get_registers(call->tid, &call->registers);
	if (error)
		return error;
	call->masked = true;
	if (ptrace(PTRACE_GETSIGMASK, call->tid, (void *)sizeof(all), &call->signals) < 0 ||
	    ptrace(PTRACE_SETSIGMASK, call->tid, (void *)sizeof(all), &all) < 0)
		return -errno;
	return 0;
}

int64_t stopped_call_replace(struct stopped_call *call, enum replacement what,
			     const uint64_t args[static 6], next_call_stop *next)
{
	bool first = !call->replaced;
	// Its number may be another program's by now, which stands at a call of its own.
	if (atomic_load(&call->gone))
		return -ESRCH;
	int error = first ? begin_replacing(call) : 0;
	if (error)
		return lost(call, error);
	bool i386 = call->arch == FSC_ARCH_I386;
	long number = number_for(call, what);
	struct user_regs_struct registers = call->registers;
	set_arguments(&registers, i386, args);
	if (first) {
		registers.orig_rax = (unsigned long long)number;
	} else {
		// It stands behind the last one: back to the instruction, and in again.
		registers.rip -= INSTRUCTION;
		registers.rax = (unsigned long long)number;
		registers.orig_rax = UINT64_MAX;
	}
	if (ptrace(PTRACE_SETREGS, call->tid, NULL, &registers) < 0)
		return lost(call, -errno);
	call->replaced = true;
	error = first ? 0 : next(call);
	if (!error)
		error = next(call);
	if (error)
		return lost(call, error);
	errno = 0;
	long result = ptrace(PTRACE_PEEKUSER, call->tid, offsetof(struct user, regs.rax), NULL);
	if (errno)
		return lost(call, -errno);
	// An address of i386 may have its highest bit set: IS_ERR_VALUE(), <linux/err.h>
	if (i386)
		result = (uint32_t)result > UINT32_MAX - 4095 ? (long)(int32_t)result
							      : (long)(uint32_t)result;
	return result;
}
