// SPDX-License-Identifier: Apache-2.0
//
// setpriority(2): what the user may do is done; what only root may, succeeds.
#include "answer.h"
#include "credentials.h"
#include "request.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <unistd.h>

void op_setpriority(struct request *request, struct outcome *outcome)
{
	const struct syscall_row *row = request->row;
	int which = (int)request->args[row->which];
	int who = (int)request->args[row->who];
	// 0 is the caller, its group, its user: the user is the supervisor's, too.
	if (who == 0 && which == PRIO_PROCESS)
		who = request->tid;
	if (who == 0 && which == PRIO_PGRP)
		who = getpgid(request->tid);
	if (!notification_valid(request)) {
		outcome_result(outcome, -ESRCH);
		return;
	}
	int error = setpriority((__priority_which_t)which, (id_t)who,
				(int)request->args[row->nice]) < 0
			    ? -errno
			    : 0;
	bool root_could = error == -EACCES || error == -EPERM;
	if (root_could && credentials_capable(credentials_of(request), CAP_SYS_NICE))
		error = 0;
	outcome_result(outcome, error);
}
