// SPDX-License-Identifier: Apache-2.0
//
// linkat(2) with AT_EMPTY_PATH: a new name for what is open. It takes
// CAP_DAC_READ_SEARCH, or to have opened the file oneself (Linux 6.10). What /proc shows of
// a descriptor may be linked without either.
#include "answer.h"
#include "credentials.h"
#include "resolve.h"
#include "scope.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>

#define FLAGS (AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)

static int link_file(struct request *request, int flags)
{
	const struct syscall_row *row = request->row;
	SCOPED(subject_close) struct subject subject = SUBJECT_NONE_YET;
	SCOPED(entry_close) struct entry entry = {.dirfd = -1};
	int follow = flags & AT_SYMLINK_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW;
	int error = resolve_subject(request, follow | AT_EMPTY_PATH, &subject);
	if (!error)
		error = resolve_entry(request, row->new_dirfd, row->new_path, &entry);
	if (error)
		return error;
	char name[32];
	snprintf(name, sizeof(name), "/proc/self/fd/%d", subject.fd);
	return linkat(AT_FDCWD, name, entry.dirfd, entry.name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

void op_link(struct request *request, struct outcome *outcome)
{
	int flags = request_flags(request);
	outcome_continue(outcome);
	if (flags & ~FLAGS || !credentials_capable(credentials_of(request), CAP_DAC_READ_SEARCH))
		return;
	int result = link_file(request, flags);
	if (result != RESOLVE_LEAVE)
		outcome_result(outcome, result);
}
