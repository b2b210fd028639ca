// SPDX-License-Identifier: Apache-2.0
//
// A target that a call has stopped, under ptrace(2): what it called, what the call shall
// return, and calls made in its place. For the tracing thread alone.
#ifndef FSC_PTRACE_CALL_H
#define FSC_PTRACE_CALL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

struct stopped_call {
	pid_t tid;
	uint32_t arch; // AUDIT_ARCH_*
	int nr;
	uint64_t ip;
	uint64_t args[6];
	bool entering;    // the call has not begun; else it has just ended
	bool unfiltered;  // it stands before the kernel's filters
	bool group_stop;  // a stop of its process came while others were made in its place
	bool changed;     // args[0] is to be another, when the call begins
	bool replaced;    // another call was made in its place: what follows is set
	bool masked;      // all its signals are blocked
	uint64_t signals; // that were so by itself
	struct user_regs_struct registers;
	atomic_bool gone; // the target does not wait here any more
};

// Resumes the target of a call and waits for its next stop at a call's entry or exit. Returns
// 0, or -ESRCH if it has gone.
typedef int next_call_stop(struct stopped_call *call);

// What the target is at. Returns 0 or -errno: -ESRCH where it has been killed, or is not at a
// call any more. Without PTRACE_GET_SYSCALL_INFO (before Linux 5.3) entry and exit cannot be
// told apart, and -ENOSYS is returned unless the stop is known to be an entry.
int stopped_call_read(pid_t tid, bool known_entry, struct stopped_call *call_ret);

// Makes the call return without being executed, at its entry. One that the kernel's filters
// have not judged yet is made, with arguments that nothing can come of: were it skipped, they
// would judge a number (-1) that some refuse. Returns 0, or -ESRCH where the target has gone.
int stopped_call_skip(struct stopped_call *call, int64_t result, next_call_stop *next);

// Lets a call begin as it stands: after others in its place it is made once more.
void stopped_call_continue(struct stopped_call *call);

// Changes the first argument of a call that will begin.
static inline void stopped_call_change(struct stopped_call *call, uint64_t value)
{
	call->args[0] = value;
	call->changed = true;
}

// Calls that are made in a target's place; numbers differ by ABI.
enum replacement {
	REPLACE_MMAP,
	REPLACE_MUNMAP,
	REPLACE_OPENAT,
	REPLACE_CLOSE,
	REPLACE_DUP3,
	REPLACE_SOCKET,
	REPLACE_BIND,
	REPLACE_RECVMSG,
};

// Makes another call in place of the one that the target stands at. Its signals are
// blocked from the first on until stopped_call_skip() or stopped_call_continue(). Returns
// what the call did: a value or a negative errno. Where the target has gone, which is noted,
// nothing is done any more: -ESRCH.
int64_t stopped_call_replace(struct stopped_call *call, enum replacement what,
			     const uint64_t args[static 6], next_call_stop *next);

#endif
