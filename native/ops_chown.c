// SPDX-License-Identifier: Apache-2.0
//
// chown(2) and its kin: remembered, never tried.
#include "change.h"
#include "file_capability.h"
#include "metadata.h"
#include "permission.h"
#include "scope.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

// chown_common(): whoever calls it, a file that is no directory loses set-user-ID,
// and set-group-ID where the group may execute. Without that bit it stands for
// mandatory locking, which stays with those who could set it.
static uint32_t mode_after_chown(const struct credentials *credentials, uint32_t mode,
				 uint32_t gid_before, uint32_t gid_after)
{
	if (S_ISDIR(mode))
		return mode;
	uint32_t after = mode & ~(uint32_t)S_ISUID;
	if (mode & S_IXGRP || !permission_keeps_setgid(credentials, gid_before))
		after &= ~(uint32_t)S_ISGID;
	// setattr_copy() looks again, by the new group, where the mode changes at all.
	if (after != mode && !permission_keeps_setgid(credentials, gid_after))
		after &= ~(uint32_t)S_ISGID;
	return after;
}

static int check_chown(const struct credentials *credentials, const struct statx *shown,
		       uint32_t mode_after, uint32_t uid, uint32_t gid)
{
	if (mode_after != shown->stx_mode && !permission_owns(credentials, shown))
		return -EPERM;
	return permission_to_chown(credentials, shown, uid, gid);
}

static int remember_owner(struct request *request, struct subject *subject, uint32_t uid,
			  uint32_t gid)
{
	struct session *session = request->session;
	const struct credentials *credentials = credentials_of(request);
	SCOPED_LOCK held = metadata_lock(session, &subject->real);
	struct inode_record record;
	metadata_edit(session, &subject->real, &record);

	struct statx shown = subject->real;
	rules_show(&record, session->page->unknown_is_real, &shown);
	uint32_t mode = mode_after_chown(credentials, shown.stx_mode, shown.stx_gid,
					 gid == REQUEST_LEAVE_ID ? shown.stx_gid : gid);
	int error = check_chown(credentials, &shown, mode, uid, gid);
	if (error)
		return error;
	if (!S_ISDIR(shown.stx_mode) && record.xattrs)
		file_capability_drop(session, record.xattrs);
	if (mode != shown.stx_mode) {
		record.fields |= INODE_MODE;
		record.mode = (record.mode & RULES_TYPE_MASK) | (mode & RULES_MODE_MASK);
	}
	if (uid != REQUEST_LEAVE_ID) {
		record.fields |= INODE_UID;
		record.uid = uid;
	}
	if (gid != REQUEST_LEAVE_ID) {
		record.fields |= INODE_GID;
		record.gid = gid;
		if (S_ISDIR(shown.stx_mode) && shown.stx_mode & S_ISGID)
			atomic_fetch_add(&session->page->setgid_directories, 1);
	}
	return metadata_store(session, &record);
}

// epoll(7) and the like: nobody changes those since Linux 6.16.
static bool is_anonymous(const struct session *session, const struct statx *real)
{
	return makedev(real->stx_dev_major, real->stx_dev_minor) ==
	       session->nameless_devs[SESSION_NAMELESS_ANONYMOUS];
}

static int try_chown(struct request *request)
{
	SCOPED(subject_close) struct subject subject = SUBJECT_NONE_YET;
	bool refused = resolve_subject(request, request_flags(request), &subject) == 0 &&
		       fchownat(subject.fd, "", (uid_t)-1, (gid_t)-1, AT_EMPTY_PATH) < 0 &&
		       errno == EOPNOTSUPP;
	return refused ? -EOPNOTSUPP : 0;
}

void op_chown(struct request *request, struct outcome *outcome)
{
	SCOPED(subject_close) struct subject subject = SUBJECT_NONE_YET;
	int result = change_begin(request, false, &subject);
	if (!result && is_anonymous(request->session, &subject.real))
		result = try_chown(request);
	if (!result)
		result = remember_owner(request, &subject,
					request_id(request, request->row->uid),
					request_id(request, request->row->gid));
	if (!result)
		change_touch(request, &subject);
	change_outcome(outcome, result);
}
