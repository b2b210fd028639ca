// SPDX-License-Identifier: Apache-2.0
//
// Calls that change what a target's absolute paths mean. The kernel executes
// them; they are only noticed. A target needs a user namespace of its own for
// them to succeed, or a real root to start from. But chroot(2) to the root that
// a target has anyway needs nothing.
#include "answer.h"
#include "credentials.h"
#include "namespace.h"
#include "request.h"
#include "resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

void op_view(struct request *request, struct outcome *outcome)
{
	atomic_store(&request->session->page->views, true);
	namespace_left(request->session);
	outcome_continue(outcome);
}

static bool is_own_root(const struct request *request, const struct statx *real)
{
	char name[32];
	struct stat root;
	snprintf(name, sizeof(name), "/proc/%d/root", request->tid);
	return stat(name, &root) == 0 && root.st_ino == real->stx_ino &&
	       root.st_dev == makedev(real->stx_dev_major, real->stx_dev_minor);
}

void op_chroot(struct request *request, struct outcome *outcome)
{
	struct statx real;
	int error = resolve_statx(request, 0, RESOLVE_ATTRIBUTES, &real);
	if (error || !is_own_root(request, &real) || !notification_valid(request)) {
		op_view(request, outcome);
		return;
	}
	bool may = credentials_capable(credentials_of(request), CAP_SYS_CHROOT);
	outcome_result(outcome, may ? 0 : -EPERM);
}
