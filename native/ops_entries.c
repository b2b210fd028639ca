// SPDX-License-Identifier: Apache-2.0
//
// unlink(2), rmdir(2) and rename(2): a file whose last link goes takes its
// record along, else the next file of its inode number would inherit it.
//
// The kernel executes them wherever no record is at stake. Where one is, the
// supervisor acts in the target's place: only so does it see the outcome. If it
// fails, so will the kernel, and with the right error; or it may do more.
#include "change.h"
#include "metadata.h"
#include "scope.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

// The name without the slashes behind it, under which the entry itself is found.
static void bare_name(const char *name, char bare_ret[static PATH_MAX])
{
	size_t length = strlen(name);
	while (length > 0 && name[length - 1] == '/')
		length--;
	memcpy(bare_ret, name, length);
	bare_ret[length] = '\0';
}

// Pins the file behind an entry if something is remembered of it. Returns 1 then,
// 0 where the kernel may go ahead alone.
static int pin_known(struct session *session, const struct entry *entry,
		     struct subject *subject_ret)
{
	char name[PATH_MAX];
	bare_name(entry->name, name);
	struct statx real;
	unsigned mask = STATX_BASIC_STATS | STATX_BTIME;
	if (statx(entry->dirfd, name, AT_SYMLINK_NOFOLLOW, mask, &real) < 0 ||
	    !metadata_may_know(session, rules_dev(real.stx_dev_major, real.stx_dev_minor),
			       real.stx_ino))
		return 0;
	subject_ret->fd = openat(entry->dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (subject_ret->fd < 0 || resolve_attributes(subject_ret->fd, &subject_ret->real) < 0)
		return 0;
	struct inode_record record;
	return metadata_find(session, &subject_ret->real, &record);
}

static void retire_if_gone(struct session *session, struct subject *subject)
{
	if (resolve_attributes(subject->fd, &subject->real) == 0 && subject->real.stx_nlink == 0)
		metadata_retire(session, &subject->real);
}

void op_unlink(struct request *request, struct outcome *outcome)
{
	struct session *session = request->session;
	outcome_continue(outcome);
	if (inode_table_count(&session->table) == 0 || !request_flags_valid(request))
		return;

	SCOPED(entry_close) struct entry entry = {.dirfd = -1};
	SCOPED(subject_close) struct subject subject = SUBJECT_NONE_YET;
	if (resolve_entry(request, request->row->dirfd, request->row->path, &entry) != 0 ||
	    !pin_known(session, &entry, &subject))
		return;
	if (unlinkat(entry.dirfd, entry.name, request_flags(request)) < 0)
		return;
	retire_if_gone(session, &subject);
	outcome_result(outcome, 0);
}

void op_rename(struct request *request, struct outcome *outcome)
{
	struct session *session = request->session;
	const struct syscall_row *row = request->row;
	outcome_continue(outcome);
	if (inode_table_count(&session->table) == 0)
		return;

	SCOPED(entry_close) struct entry to = {.dirfd = -1};
	SCOPED(subject_close) struct subject replaced = SUBJECT_NONE_YET;
	if (resolve_entry(request, row->new_dirfd, row->new_path, &to) != 0 ||
	    !pin_known(session, &to, &replaced))
		return;
	SCOPED(entry_close) struct entry from = {.dirfd = -1};
	if (resolve_entry(request, row->dirfd, row->path, &from) != 0)
		return;
	unsigned flags = (unsigned)request_arg(request, row->flags);
	if (renameat2(from.dirfd, from.name, to.dirfd, to.name, flags) < 0)
		return;
	retire_if_gone(session, &replaced);
	outcome_result(outcome, 0);
}
