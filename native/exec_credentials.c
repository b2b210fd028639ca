// SPDX-License-Identifier: Apache-2.0
#include "exec_credentials.h"

#include "credential_rules.h"
#include "file_capability.h"
#include "metadata.h"
#include "mounts.h"
#include "resolve.h"
#include "scope.h"
#include "rules.h"

#include <sys/stat.h>

bool exec_may_change_credentials(const struct request *request)
{
	return atomic_load(&request->session->page->left_root) > 0 ||
	       inode_table_count(&request->session->table) > 0;
}

static bool holds_capability(struct request *request, const struct inode_record *record,
			     const struct statx *real)
{
	SCOPED(subject_close) struct subject program = SUBJECT_NONE_YET;
	if (record->xattrs == 0 ||
	    file_capability_holds(request->session, record->xattrs, real, -1))
		return record->xattrs != 0;
	// Modified since. What was not is told by the contents.
	return resolve_subject(request, request_flags(request), &program) == 0 &&
	       program.real.stx_ino == real->stx_ino &&
	       file_capability_holds(request->session, record->xattrs, &program.real, program.fd);
}

// What is remembered of the file; its real set-id bits do nothing under no_new_privs.
static void read_file(struct request *request, const struct statx *real,
		      struct executed_file *file_ret)
{
	struct session *session = request->session;
	struct inode_record record;
	struct statx shown = *real;
	*file_ret = (struct executed_file){0};
	if (!metadata_find(session, real, &record))
		return;
	rules_show(&record, session->page->unknown_is_real, &shown);
	struct mount_facts mount;
	if (mounts_known(session, real, &mount) && mount.no_suid)
		return;
	file_ret->uid = shown.stx_uid;
	file_ret->gid = shown.stx_gid;
	file_ret->mode = shown.stx_mode;
	if (holds_capability(request, &record, real))
		file_capability_execute(session, record.xattrs, file_ret);
}

int exec_change_credentials(struct request *request, const struct statx *real)
{
	struct executed_file file;
	if (!exec_may_change_credentials(request))
		return 0;
	const struct credentials *now = credentials_of(request);
	struct credentials next = *now;
	read_file(request, real, &file);
	int error = credential_rules_exec(&next, &file);
	if (error || credential_rules_same(&next, now))
		return error;
	return credentials_set_at_exec(request, &next);
}
