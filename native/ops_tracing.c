// SPDX-License-Identifier: Apache-2.0
//
// ptrace(2): a target has one tracer, and under --mode ptrace that is the supervisor.
#include "control.h"
#include "request.h"

void op_tracing(struct request *request, struct outcome *outcome)
{
	if (request->session->command_changes >= 0)
		control_tell_no_tracing(request->session, request->tid);
	outcome_continue(outcome);
}
