// SPDX-License-Identifier: Apache-2.0
//
// mkdir(2), symlink(2) and mknod(2). Directories and symbolic links are the kernel's to
// make, unless there is something to be remembered of them. A node is made for real as
// far as the user can: a device as an empty regular file that its record shows as
// the device. Nothing is followed, opened or waited for: the name must be new.
#include "answer.h"
#include "credentials.h"
#include "creation.h"
#include "landlock.h"
#include "scope.h"
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void settle(struct outcome *outcome, int result)
{
	if (result == RESOLVE_LEAVE)
		outcome_continue(outcome);
	else
		outcome_result(outcome, result);
}

static int find_entry(struct request *request, struct entry *entry_ret)
{
	return resolve_entry(request, request->row->dirfd, request->row->path, entry_ret);
}

// Where every call stops, that may be for the sake of a sandbox (trial.h) that refuses these
// bits, though mkdir(2) ignores them.
static bool is_refused_outside(const struct request *request)
{
	return request->args[request->row->mode] & (S_ISUID | S_ISGID) &&
	       atomic_load(&request->session->every_call);
}

static int make_directory(struct request *request, uint32_t mode)
{
	SCOPED(entry_close) struct entry entry = {.dirfd = -1};
	struct creation creation;
	int error = find_entry(request, &entry);
	if (error)
		return error;
	if (creation_is_ordinary(request, mode, entry.dirfd) && !is_refused_outside(request))
		return RESOLVE_LEAVE;
	error = creation_plan(request, entry.dirfd, mode, 0, &creation);
	if (error)
		return error;
	error = (int)ACT_3(request, mkdirat, entry.dirfd, entry.name, creation.real_mode);
	if (error)
		return error;
	return creation_remember_entry(request->session, &entry, &creation);
}

void op_mkdir(struct request *request, struct outcome *outcome)
{
	// vfs_mkdir() takes no more of it.
	uint32_t mode = S_IFDIR | ((uint32_t)request->args[request->row->mode] & 01777);
	outcome_continue(outcome);
	if (!creation_is_ordinary(request, mode, -1) || is_refused_outside(request))
		settle(outcome, make_directory(request, mode));
}

static int make_symbolic_link(struct request *request)
{
	SCOPED(entry_close) struct entry entry = {.dirfd = -1};
	struct creation creation;
	char target[PATH_MAX];
	ssize_t length =
		target_read_path(request->tid, request->args[request->row->link_target], target);
	if (length < 0)
		return (int)length;
	if (length == 0)
		return -ENOENT;
	int error = find_entry(request, &entry);
	if (error)
		return error;
	if (creation_is_ordinary(request, S_IFLNK | 0777, entry.dirfd))
		return RESOLVE_LEAVE;
	error = creation_plan(request, entry.dirfd, S_IFLNK | 0777, 0, &creation);
	if (error)
		return error;
	error = (int)ACT_3(request, symlinkat, target, entry.dirfd, entry.name);
	if (error)
		return error;
	return creation_remember_entry(request->session, &entry, &creation);
}

void op_symlink(struct request *request, struct outcome *outcome)
{
	outcome_continue(outcome);
	if (!creation_is_ordinary(request, S_IFLNK | 0777, -1))
		settle(outcome, make_symbolic_link(request));
}

// vfs_mknod() asks for the right once it knows that the name is new. A whiteout of
// overlayfs, character device 0:0, is everybody's to make (Linux 5.8).
static int may_make_device(const struct request *request, const struct entry *entry,
			   uint32_t mode, uint32_t rdev)
{
	struct stat st;
	if ((S_ISCHR(mode) && rdev == 0) ||
	    credentials_capable(credentials_of(request), CAP_MKNOD))
		return 0;
	return fstatat(entry->dirfd, entry->name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? -EEXIST : -EPERM;
}

static int make_node(struct request *request, uint32_t mode, uint32_t rdev)
{
	SCOPED(entry_close) struct entry entry = {.dirfd = -1};
	struct creation creation;
	bool device = S_ISCHR(mode) || S_ISBLK(mode);
	int error = find_entry(request, &entry);
	if (!error && device)
		error = may_make_device(request, &entry, mode, rdev);
	if (!error)
		error = creation_plan(request, entry.dirfd, mode, rdev, &creation);
	if (error)
		return error;
	if (device) {
		SCOPED_FD made = creation_link_file(request, &entry, &creation);
		if (made >= 0)
			return 0;
	}
	// Also where there is no O_TMPFILE, or the name is not to be had: it knows the error.
	uint32_t type = device ? S_IFREG : mode & S_IFMT;
	error = (int)ACT_4(request, mknodat, entry.dirfd, entry.name, type | creation.real_mode, 0);
	if (error)
		return error;
	return creation_remember_entry(request->session, &entry, &creation);
}

// do_mknodat() judges the type before it reads the path.
void op_mknod(struct request *request, struct outcome *outcome)
{
	uint32_t mode = (uint16_t)request->args[request->row->mode];
	uint32_t rdev = (uint32_t)request->args[request->row->dev];
	int error = 0;
	switch (mode & S_IFMT) {
	case 0:
		mode |= S_IFREG;
		break;
	case S_IFCHR:
	case S_IFBLK:
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
		break;
	case S_IFDIR:
		error = -EPERM;
		break;
	default:
		error = -EINVAL;
	}
	settle(outcome, error ? error : make_node(request, mode, rdev));
}

// Whom it locks out cannot be seen by a filter later on.
void op_umask(struct request *request, struct outcome *outcome)
{
	atomic_fetch_add(&request->session->page->locking_umasks, 1);
	outcome_continue(outcome);
}
