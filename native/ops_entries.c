// SPDX-License-Identifier: Apache-2.0
//
// unlink(2), rmdir(2) and rename(2): a file whose last link goes takes its
// record along, else the next file of its inode number would inherit it.
//
// The kernel executes them wherever no record is at stake. Where one is, the
// supervisor acts in the target's place: only so does it see the outcome. If it
// fails, so will the kernel, and with the right error; or it may do more.
#include "change.h"
#include "landlock.h"
#include "metadata.h"
#include "mounts.h"
#include "scope.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

// The name without the slashes behind it, under which the entry itself is found.
static void bare_name(const char *name, char bare_ret[static PATH_MAX])
{
	size_t length = strlen(name);
	while (length > 0 && name[length - 1] == '/')
		length--;
	memcpy(bare_ret, name, length);
	bare_ret[length] = '\0';
}

// The attributes as the file system has them now: a FUSE server's answers may be a second old.
static int look_anew(int fd, struct statx *real_ret)
{
	const int flags = AT_EMPTY_PATH | AT_STATX_FORCE_SYNC;
	return statx(fd, "", flags, RESOLVE_ATTRIBUTES, real_ret) < 0 ? -errno : 0;
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
	if (subject_ret->fd < 0 || look_anew(subject_ret->fd, &subject_ret->real) < 0)
		return 0;
	struct inode_record record;
	return metadata_find(session, &subject_ret->real, &record);
}

// Whether the name that has just been removed was the pinned file's last one. Where the file
// system keeps removed files under hidden names, what it told before decides: a name that
// another target has made meanwhile goes unseen there.
static bool has_gone(struct session *session, const struct subject *subject)
{
	const struct statx *before = &subject->real;
	struct mount_facts facts;
	struct statx after;
	bool told = look_anew(subject->fd, &after) == 0;
	if (told && after.stx_nlink == 0)
		return true;
	if (!mounts_known(session, before, &facts))
		mounts_learn(session, before, subject->fd, &facts);
	return !(told && facts.tells_links) && (before->stx_nlink <= 1 || S_ISDIR(before->stx_mode));
}

static void retire_if_gone(struct session *session, const struct subject *subject)
{
	if (has_gone(session, subject))
		metadata_retire(session, &subject->real);
}

// rename(2) does nothing where both names are the same file's.
static bool is_same_file(const struct entry *entry, const struct subject *subject)
{
	char name[PATH_MAX];
	struct statx real;
	bare_name(entry->name, name);
	return statx(entry->dirfd, name, AT_SYMLINK_NOFOLLOW, STATX_INO, &real) == 0 &&
	       real.stx_ino == subject->real.stx_ino &&
	       real.stx_dev_major == subject->real.stx_dev_major &&
	       real.stx_dev_minor == subject->real.stx_dev_minor;
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
	if (ACT_3(request, unlinkat, entry.dirfd, entry.name, request_flags(request)) < 0)
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
	if (resolve_entry(request, row->dirfd, row->path, &from) != 0 ||
	    is_same_file(&from, &replaced))
		return;
	unsigned flags = (unsigned)request_arg(request, row->flags);
	if (ACT_5(request, renameat2, from.dirfd, from.name, to.dirfd, to.name, flags) < 0)
		return;
	retire_if_gone(session, &replaced);
	outcome_result(outcome, 0);
}
