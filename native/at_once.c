// SPDX-License-Identifier: Apache-2.0
//
// Some facts that shape this file:
//  - RESOLVE_CACHED (openat2(2), Linux 5.12) fails with EAGAIN in the place of asking a file
//    system, so that a look-up never waits for a server. What it finds in one that a server
//    answers for has been told a moment ago.
//  - Opening with O_PATH asks nobody, statx(2) with AT_STATX_DONT_SYNC neither; statfs(2) does.
//  - A directory of a file system that is the kernel's own may be asked: no target answers.
#include "at_once.h"

#include "kernel.h"
#include "mounts.h"
#include "request.h"
#include "scope.h"
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Whether the file is no symbolic link, and on a mount of the target's that is local.
static bool is_local(pid_t tid, int fd)
{
	char name[32];
	struct statx st;
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_MNT_ID, &st) < 0 ||
	    !(st.stx_mask & STATX_MNT_ID) || S_ISLNK(st.stx_mode))
		return false;
	snprintf(name, sizeof(name), "/proc/%d/mountinfo", tid);
	return mounts_is_local(name, st.stx_mnt_id);
}

static int open_cached(int base, const char *path, uint64_t resolve)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = resolve | RESOLVE_CACHED};
	return (int)syscall(SYS_openat2, base, path, &how, sizeof(how));
}

static int open_start(const struct request *request, int position, bool absolute)
{
	char name[48];
	int base = position < 0 ? AT_FDCWD : (int)request->args[position];
	if (absolute)
		snprintf(name, sizeof(name), "/proc/%d/root", request->tid);
	else if (base == AT_FDCWD)
		snprintf(name, sizeof(name), "/proc/%d/cwd", request->tid);
	else
		snprintf(name, sizeof(name), "/proc/%d/fd/%d", request->tid, base);
	return open(name, O_PATH | O_CLOEXEC);
}

// Cuts the last name off: what is left is the way to its directory. Names with a slash behind
// them, "." and ".." are no entries, and stay.
static const char *cut_last(char *path)
{
	char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return NULL;
	if (slash)
		*slash = '\0';
	return name;
}

static bool is_entry_local(pid_t tid, int directory, const char *name)
{
	SCOPED_FD file = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return file < 0 ? errno == ENOENT : is_local(tid, file);
}

static bool is_path_local(const struct request *request, int dirfd, int position)
{
	char way[PATH_MAX];
	ssize_t length = target_read_path(request->tid, request->args[position], way);
	if (length < 0)
		return true; // an error, of nobody's file
	bool absolute = *way == '/';
	SCOPED_FD start = open_start(request, dirfd, absolute);
	if (start < 0)
		return false;
	if (length == 0)
		return is_local(request->tid, start);
	const char *name = cut_last(way);
	const char *rest = absolute && *way ? way + 1 : way;
	if (name == way || *rest == '\0')
		rest = ".";
	SCOPED_FD directory = open_cached(start, rest, absolute ? RESOLVE_IN_ROOT : 0);
	if (directory < 0 || !is_local(request->tid, directory))
		return false;
	return !name || is_entry_local(request->tid, directory, name);
}

bool at_once(const struct request *request)
{
	const struct syscall_row *row = request->row;
	if (row->operation == OP_PYTHON || row->address >= 0 || row->socket_args >= 0)
		return false;
	if (row->new_path >= 0 && !is_path_local(request, row->new_dirfd, row->new_path))
		return false;
	if (row->path >= 0)
		return is_path_local(request, row->dirfd, row->path);
	if (row->fd < 0)
		return true;
	SCOPED_FD file = open_start(request, row->fd, false);
	return file < 0 || is_local(request->tid, file);
}
