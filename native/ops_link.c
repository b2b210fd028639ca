// SPDX-License-Identifier: Apache-2.0
//
// linkat(2): a new name for what is open. With AT_EMPTY_PATH it takes CAP_DAC_READ_SEARCH, or
// to have opened the file oneself (Linux 6.10). What /proc shows of a descriptor may be linked
// without either. What is remembered of a file without a name lasts once it has one.
#include "answer.h"
#include "credentials.h"
#include "landlock.h"
#include "metadata.h"
#include "resolve.h"
#include "scope.h"
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>

#define FLAGS (AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)

// A path that ends with "." or "..", or the root directory: filename_create() finds its
// directory first.
static int find_no_entry(struct request *request)
{
	char path[PATH_MAX];
	SCOPED(entry_close) struct entry entry = {.dirfd = -1};
	const struct syscall_row *row = request->row;
	ssize_t length = target_read_path(request->tid, request->args[row->new_path], path);
	if (length <= 0 || (size_t)length + sizeof("/.-") > sizeof(path))
		return RESOLVE_LEAVE;
	memcpy(path + length, "/.-", sizeof("/.-"));
	int error = resolve_entry_text(request, (int)request->args[row->new_dirfd], path, &entry);
	return error ? error : -EEXIST;
}

static int link_subject(struct request *request, const struct subject *subject)
{
	const struct syscall_row *row = request->row;
	SCOPED(entry_close) struct entry entry = {.dirfd = -1};
	int error = resolve_entry(request, row->new_dirfd, row->new_path, &entry);
	if (error == RESOLVE_LEAVE)
		error = find_no_entry(request);
	if (error)
		return error;
	char name[32];
	snprintf(name, sizeof(name), "/proc/self/fd/%d", subject->fd);
	return (int)ACT_5(request, linkat, AT_FDCWD, name, entry.dirfd, entry.name,
			  AT_SYMLINK_FOLLOW);
}

// Whether the kernel refuses the user what it would not refuse root.
static bool is_root_s(const struct request *request, int flags)
{
	return flags & AT_EMPTY_PATH &&
	       credentials_capable(credentials_of(request), CAP_DAC_READ_SEARCH);
}

static int link_file(struct request *request, int flags)
{
	struct session *session = request->session;
	SCOPED(subject_close) struct subject subject = SUBJECT_NONE_YET;
	int follow = flags & AT_SYMLINK_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW;
	int error = resolve_subject(request, follow | (flags & AT_EMPTY_PATH), &subject);
	if (error)
		return is_root_s(request, flags) ? error : RESOLVE_LEAVE;
	// Before the file has a name: nobody sees it as another's.
	bool kept = subject.real.stx_nlink == 0 && metadata_keep(session, &subject.real);
	// Only the kernel knows who has opened it.
	if (!is_root_s(request, flags) && (!kept || flags & AT_EMPTY_PATH))
		return RESOLVE_LEAVE;
	error = link_subject(request, &subject);
	if (error && kept)
		metadata_retire(session, &subject.real);
	return error;
}

void op_link(struct request *request, struct outcome *outcome)
{
	int flags = request_flags(request);
	outcome_continue(outcome);
	bool may_be_known = inode_table_count(&request->session->table) > 0;
	if (flags & ~FLAGS || !(may_be_known || is_root_s(request, flags)))
		return;
	int result = link_file(request, flags);
	if (result != RESOLVE_LEAVE)
		outcome_result(outcome, result);
}
