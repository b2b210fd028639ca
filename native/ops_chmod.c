// SPDX-License-Identifier: Apache-2.0
//
// chmod(2) and its kin: done for real as far as the user stays able to work on
// the file, and no further; what the real mode then does not show is remembered.
#include "change.h"
#include "chmod.h"
#include "metadata.h"
#include "permission.h"
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

// setattr_prepare(): the owner may, and keeps set-group-ID if the group is one of theirs.
static int check_chmod(struct request *request, const struct subject *subject, uint32_t *mode)
{
	const struct credentials *credentials = credentials_of(request);
	struct inode_record record;
	struct statx shown = subject->real;
	bool known = metadata_find(request->session, &subject->real, &record);
	rules_show(known ? &record : NULL, request->session->page->unknown_is_real, &shown);
	if (!permission_owns(credentials, &shown))
		return -EPERM;
	if (!permission_keeps_setgid(credentials, shown.stx_gid))
		*mode &= ~(uint32_t)S_ISGID;
	return 0;
}

int chmod_change(struct session *session, struct subject *subject, uint32_t mode)
{
	// The real change and the record are one step, unless the change may wait for
	// another target, a file server: then two at once may leave the record of
	// the one beside the real mode of the other, and the record is what shows.
	bool one_step = atomic_load(&session->local);
	SCOPED_LOCK held = one_step ? metadata_lock(session, &subject->real) : NULL;
	uint32_t real = real_mode(mode, S_ISDIR(subject->real.stx_mode));
	int error = chmod_real(subject->fd, real);
	// EPERM: the real owner is somebody else. Root could, so it is remembered.
	if (error && error != -EPERM)
		return error;
	if (error)
		real = subject->real.stx_mode & RULES_MODE_MASK;

	struct statx before = subject->real;
	int failed = error ? 0 : resolve_attributes(subject->fd, &subject->real);
	if (failed)
		return failed;
	if (!one_step)
		held = metadata_lock(session, &before);
	// A copy-up by overlayfs has changed the birth time: the record moves along.
	struct inode_record record;
	metadata_edit(session, &before, &record);
	if (!error) {
		real = subject->real.stx_mode & RULES_MODE_MASK;
		rules_identity(&subject->real, &record.identity);
	}
	record.mode = (record.mode & RULES_TYPE_MASK) | mode;
	if (real == mode && one_step)
		record.fields &= ~(uint32_t)INODE_MODE;
	else
		record.fields |= INODE_MODE;
	if (S_ISDIR(before.stx_mode) && mode & S_ISGID)
		atomic_fetch_add(&session->page->setgid_directories, 1);
	return metadata_store(session, &record);
}

int chmod_remember(struct session *session, struct subject *subject, uint32_t mode)
{
	struct inode_record record;
	int error = resolve_attributes(subject->fd, &subject->real);
	if (error)
		return error;
	SCOPED_LOCK held = metadata_lock(session, &subject->real);
	metadata_edit(session, &subject->real, &record);
	record.fields &= ~(uint32_t)INODE_MODE;
	if ((subject->real.stx_mode & RULES_MODE_MASK) != mode) {
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
		result = check_chmod(request, &subject, &mode);
	if (!result)
		result = chmod_change(request->session, &subject, mode);
	change_outcome(outcome, result);
}
