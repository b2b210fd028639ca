// SPDX-License-Identifier: Apache-2.0
//
// chown(2) and its kin: remembered, never tried.
#include "attach.h"
#include "change.h"
#include "metadata.h"
#include "scope.h"

#include <errno.h>
#include <sys/stat.h>

// chown_common(): whoever calls it, a file that is no directory loses set-user-ID,
// and set-group-ID where the group may execute (without that bit it stands for
// mandatory locking, which only the privileged keep).
static uint32_t mode_after_chown(uint32_t mode)
{
	if (S_ISDIR(mode))
		return mode;
	mode &= ~(uint32_t)S_ISUID;
	if (mode & S_IXGRP)
		mode &= ~(uint32_t)S_ISGID;
	return mode;
}

static int remember_owner(struct session *session, struct subject *subject, uint32_t uid,
			  uint32_t gid)
{
	SCOPED_LOCK held = metadata_lock(session, &subject->real);
	struct inode_record record;
	metadata_edit(session, &subject->real, &record);

	struct statx shown = subject->real;
	rules_show(&record, session->page->unknown_is_real, &shown);
	uint32_t mode = mode_after_chown(shown.stx_mode);
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
	}
	return metadata_store(session, &record);
}

void op_chown(struct request *request, struct outcome *outcome)
{
	if (attach_by_any(request, outcome))
		return;
	SCOPED(subject_close) struct subject subject = SUBJECT_NONE_YET;
	int result = change_begin(request, false, &subject);
	if (!result)
		result = remember_owner(request->session, &subject,
					request_id(request, request->row->uid),
					request_id(request, request->row->gid));
	change_outcome(outcome, result);
}
