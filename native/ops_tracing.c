// SPDX-License-Identifier: Apache-2.0
//
// ptrace(2): a target has one tracer, and under --mode ptrace that is the supervisor.
#include "control.h"
#include "ptrace_call.h"
#include "request.h"

#include <sched.h>

void op_tracing(struct request *request, struct outcome *outcome)
{
	if (request->session->command_changes >= 0)
		control_tell_no_tracing(request->session, request->tid);
	outcome_continue(outcome);
}

// A call that a filter stops for a tracer fails with ENOSYS where there is none (seccomp(2)).
void op_untraced(struct request *request, struct outcome *outcome)
{
	if (request->stopped)
		stopped_call_change(request->stopped, request->args[0] & ~(uint64_t)CLONE_UNTRACED);
	outcome_continue(outcome);
}
