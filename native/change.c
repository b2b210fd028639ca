// SPDX-License-Identifier: Apache-2.0
#include "change.h"

#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

int change_begin(struct request *request, struct subject *subject_ret)
{
	if (!request_flags_valid(request))
		return -EINVAL;
	int error = resolve_subject(request, request_flags(request), subject_ret);
	if (error)
		return error;
	if (request->row->subject == SUBJECT_DESCRIPTOR &&
	    resolve_descriptor_is_path_only(request))
		return -EBADF;
	struct statfs fs;
	if (fstatfs(subject_ret->fd, &fs) == 0 && fs.f_flags & ST_RDONLY)
		return -EROFS;
	if (subject_ret->real.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND))
		return -EPERM;
	return 0;
}

int change_settle_identity(struct subject *subject)
{
	struct statfs fs;
	if (fstatfs(subject->fd, &fs) < 0 || fs.f_type != OVERLAYFS_SUPER_MAGIC)
		return 0;
	// Changes no owner, but is a change: ovl_setattr() copies up first.
	fchownat(subject->fd, "", (uid_t)-1, (gid_t)-1, AT_EMPTY_PATH);
	return resolve_attributes(subject->fd, &subject->real);
}

void change_outcome(struct outcome *outcome, int result)
{
	if (result == RESOLVE_LEAVE)
		outcome_continue(outcome);
	else
		outcome_result(outcome, result);
}
