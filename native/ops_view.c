// SPDX-License-Identifier: Apache-2.0
//
// Calls that change what a target's absolute paths mean. The kernel executes
// them; they are only noticed. A target needs a user namespace of its own for
// them to succeed, or a real root to start from.
#include "request.h"

void op_view(struct request *request, struct outcome *outcome)
{
	atomic_store(&request->session->views, true);
	outcome_continue(outcome);
}
