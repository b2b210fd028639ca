// SPDX-License-Identifier: Apache-2.0
//
// Calls by which a target may come into another user namespace, or have a child there. The
// kernel executes them; they are only noticed.
#include "namespace.h"
#include "ptrace_call.h"
#include "request.h"
#include "target.h"

#include <linux/sched.h>

void op_namespace(struct request *request, struct outcome *outcome)
{
	namespace_left(request->session);
	outcome_continue(outcome);
}

// A call that a filter stops for a tracer fails with ENOSYS where there is none (seccomp(2)).
void op_clone(struct request *request, struct outcome *outcome)
{
	uint64_t flags = request->args[request->row->clone_flags];
	if (flags & CLONE_NEWUSER)
		namespace_left(request->session);
	if (request->stopped && flags & CLONE_UNTRACED)
		stopped_call_change(request->stopped, flags & ~(uint64_t)CLONE_UNTRACED);
	outcome_continue(outcome);
}

// Its flags come first. That they may be others when the kernel reads them matters to none but
// a target that has still all the supervisor's rights.
void op_clone3(struct request *request, struct outcome *outcome)
{
	uint64_t flags = CLONE_NEWUSER;
	target_read(request->tid, request->args[request->row->clone_args], &flags, sizeof(flags));
	if (flags & CLONE_NEWUSER)
		namespace_left(request->session);
	outcome_continue(outcome);
}
