// SPDX-License-Identifier: Apache-2.0
//
// chmod(2) and its kin: done for real as far as the user stays able to work on
// the file, and no further; what the real mode then does not show is remembered.
#include "change.h"
#include "metadata.h"
#include "scope.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

// Root reads, writes and searches whatever the mode; the real user needs the
// bits. A real set-user-ID bit would hand the real user's rights to others.
static uint32_t real_mode(uint32_t mode, bool directory)
{
	return (mode & 01777) | (directory ? 0700 : 0600);
}

static int chmod_real(int fd, uint32_t mode)
{
	char name[32];
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	return chmod(name, mode) < 0 ? -errno : 0;
}

static int change_mode(struct session *session, struct subject *subject, uint32_t mode)
{
	SCOPED_LOCK held = metadata_lock(session, &subject->real);
	uint32_t real = real_mode(mode, S_ISDIR(subject->real.stx_mode));
	int error = chmod_real(subject->fd, real);
	// EPERM: the real owner is somebody else. Root could, so it is remembered.
	if (error && error != -EPERM)
		return error;
	if (error)
		real = subject->real.stx_mode & RULES_MODE_MASK;

	// A copy-up by overlayfs has changed the birth time: the record moves along.
	struct inode_record record;
	struct statx before = subject->real;
	metadata_edit(session, &before, &record);
	if (!error) {
		int failed = resolve_attributes(subject->fd, &subject->real);
		if (failed)
			return failed;
		real = subject->real.stx_mode & RULES_MODE_MASK;
		rules_identity(&subject->real, &record.identity);
	}
	if (real == mode) {
		record.fields &= ~(uint32_t)INODE_MODE;
	} else {
		record.fields |= INODE_MODE;
		record.mode = (record.mode & RULES_TYPE_MASK) | mode;
	}
	return metadata_store(session, &record);
}

void op_chmod(struct request *request, struct outcome *outcome)
{
	SCOPED(subject_close) struct subject subject = SUBJECT_NONE_YET;
	uint32_t mode = (uint32_t)request->args[request->row->mode] & RULES_MODE_MASK;
	int result = change_begin(request, true, &subject);
	if (!result && S_ISLNK(subject.real.stx_mode))
		result = -EOPNOTSUPP;
	if (!result)
		result = change_mode(request->session, &subject, mode);
	change_outcome(outcome, result);
}
