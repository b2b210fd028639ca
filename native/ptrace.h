// SPDX-License-Identifier: Apache-2.0
//
// The other event source: calls that stop their target under ptrace(2), where no seccomp
// listener can be had.
#ifndef FSC_PTRACE_H
#define FSC_PTRACE_H

#include "session.h"

#include <linux/filter.h>
#include <stddef.h>

// What session->command_changes is read for: a wait status of COMMAND, stopped, continued
// or ended. It ends with the last target.
struct command_change {
	int status; // wait(2)
};

// Starts the thread that traces a child, and whatever that will start. The child's filter
// (SECCOMP_RET_TRACE) is installed afterwards, by itself; where session->every_call is set
// the filter given here says which calls matter, and there need be none in the kernel.
// Returns 0 or -errno: -EPERM where a sandbox or kernel.yama.ptrace_scope forbids it.
int ptrace_start(struct session *session, pid_t child, const struct sock_filter *filter,
		 size_t filter_count);

#endif
