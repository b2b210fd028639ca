// SPDX-License-Identifier: Apache-2.0
//
// About ten times the cost of letting the kernel walk, so only for paths that
// mean something else in the supervisor: a target with its own root, mounts or
// mount namespace, and paths through /proc/self. openat2(RESOLVE_IN_ROOT) would
// serve the first but refuses magic links, and knows no other /proc/self.
#include "walk.h"

#include "kernel.h"
#include "namespace.h"
#include "proc_text.h"
#include "scope.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define LINKS_MAX 40 // MAXSYMLINKS, <linux/namei.h>
#define PROC_ROOT_INO 1
#define NO_LINKS 0x2000 // ST_NOSYMFOLLOW, statfs(2), Linux 5.10

struct walker {
	const struct walk *walk;
	int root;
	int here;
	unsigned links;
	char *rest;                  // what is still to be walked, in text
	char text[2 * PATH_MAX + 2]; // a link's target in front of the rest
};

static void walker_close(struct walker *walker)
{
	scope_close(&walker->root);
	scope_close(&walker->here);
}

static int open_at(int dirfd, const char *name, int flags)
{
	int fd = openat(dirfd, name, O_PATH | O_CLOEXEC | flags);
	return fd < 0 ? -errno : fd;
}

static int open_own(pid_t tid, const char *format, int number)
{
	char name[64];
	int length = snprintf(name, sizeof(name), "/proc/%d/", tid);
	snprintf(name + length, sizeof(name) - (size_t)length, format, number);
	return open_at(AT_FDCWD, name, 0);
}

static void step_to(struct walker *walker, int fd)
{
	scope_close(&walker->here);
	walker->here = fd;
}

static bool same_directory(int a, int b)
{
	struct statx left, right;
	unsigned mask = STATX_INO | STATX_MNT_ID;
	if (statx(a, "", AT_EMPTY_PATH, mask, &left) < 0 ||
	    statx(b, "", AT_EMPTY_PATH, mask, &right) < 0)
		return false;
	return left.stx_ino == right.stx_ino && left.stx_dev_major == right.stx_dev_major &&
	       left.stx_dev_minor == right.stx_dev_minor && left.stx_mnt_id == right.stx_mnt_id;
}

static int thread_group(pid_t tid)
{
	char name[32];
	int tgid = -ESRCH;
	snprintf(name, sizeof(name), "/proc/%d/status", tid);
	int error = proc_text_read(AT_FDCWD, name, (struct proc_field[]){{"Tgid: %d", &tgid}, {0}});
	return error ? error : tgid;
}

// What the links at the top of a /proc say to the target. Returns a descriptor,
// -errno, or 0 where the name is no such link.
static int open_proc_link(struct walker *walker, const char *name)
{
	pid_t tid = walker->walk->tid;
	bool thread = strcmp(name, "thread-self") == 0;
	if (!thread && strcmp(name, "self") != 0)
		return 0;
	int tgid = thread_group(tid);
	if (tgid < 0)
		return tgid;
	char own[64];
	if (thread)
		snprintf(own, sizeof(own), "/proc/%d/task/%d", tgid, tid);
	else
		snprintf(own, sizeof(own), "/proc/%d", tgid);
	return open_at(AT_FDCWD, own, 0);
}

// Puts the target of a textual link in front of the rest.
static int push_link(struct walker *walker, int link)
{
	char target[PATH_MAX];
	ssize_t length = readlinkat(link, "", target, sizeof(target));
	if (length < 0)
		return -errno;
	if (length == 0)
		return -ENOENT;
	size_t rest = strlen(walker->rest);
	if ((size_t)length + 1 + rest >= sizeof(walker->text))
		return -ENAMETOOLONG;
	memmove(walker->text + length + 1, walker->rest, rest + 1);
	memcpy(walker->text, target, (size_t)length);
	walker->text[length] = '/';
	walker->rest = walker->text;
	if (rest == 0)
		walker->text[length] = '\0';
	if (*target == '/') {
		int root = fcntl(walker->root, F_DUPFD_CLOEXEC, 0);
		if (root < 0)
			return -errno;
		step_to(walker, root);
	}
	return 0;
}

// Never cached: it is asked for where somebody else's link lies in such a directory alone.
static bool links_are_protected(void)
{
	int protects = 0;
	proc_text_read(AT_FDCWD, "/proc/sys/fs/protected_symlinks",
		       (struct proc_field[]){{"%d", &protects}, {0}});
	return protects;
}

// may_follow_link(), which knows no capability. The supervisor has the target's real user id.
int walk_may_follow(int directory, const struct stat *link, bool last)
{
	const mode_t shared = S_ISVTX | S_IWOTH;
	struct statfs fs;
	struct stat parent;
	if (fstatfs(directory, &fs) < 0 || fstat(directory, &parent) < 0)
		return -errno;
	if (fs.f_flags & NO_LINKS)
		return -ELOOP;
	if (!last || link->st_uid == geteuid() || link->st_uid == parent.st_uid ||
	    (parent.st_mode & shared) != shared)
		return 0;
	return links_are_protected() ? -EACCES : 0;
}

static int follow(struct walker *walker, const char *name, int link)
{
	if (++walker->links > LINKS_MAX)
		return -ELOOP;
	struct statfs fs;
	struct stat here;
	if (fstatfs(walker->here, &fs) < 0 || fstat(walker->here, &here) < 0)
		return -errno;
	if (fs.f_type != PROC_SUPER_MAGIC)
		return push_link(walker, link);
	if (here.st_ino == PROC_ROOT_INO) {
		int own = open_proc_link(walker, name);
		if (own == 0)
			return push_link(walker, link);
		if (own < 0)
			return own;
		step_to(walker, own);
		return 0;
	}
	// Below a process every link is a magic one, whose text is for people.
	if (walker->walk->confined && !namespace_may_follow(walker->walk->tid, walker->here))
		return -EACCES;
	int magic = open_at(walker->here, name, 0);
	if (magic < 0)
		return magic;
	step_to(walker, magic);
	return 0;
}

static int step(struct walker *walker, const char *name, bool last)
{
	if (strcmp(name, ".") == 0)
		return 0;
	if (strcmp(name, "..") == 0 && same_directory(walker->here, walker->root))
		return 0;
	SCOPED_FD next = open_at(walker->here, name, O_NOFOLLOW);
	if (next < 0)
		return next;
	struct stat st;
	if (fstat(next, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode) && (!last || walker->walk->follow)) {
		int error = walk_may_follow(walker->here, &st, last);
		return error ? error : follow(walker, name, next);
	}
	step_to(walker, fd_release(&next));
	return 0;
}

static int require_directory(int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

static int walk_all(struct walker *walker)
{
	while (*walker->rest) {
		walker->rest += strspn(walker->rest, "/");
		size_t length = strcspn(walker->rest, "/");
		if (length == 0)
			return require_directory(walker->here);
		if (length > NAME_MAX)
			return -ENAMETOOLONG;
		char name[NAME_MAX + 1];
		memcpy(name, walker->rest, length);
		name[length] = '\0';
		walker->rest += length;
		int error = require_directory(walker->here);
		if (!error)
			error = step(walker, name, *walker->rest == '\0');
		if (error)
			return error;
	}
	return 0;
}

int walk_open(const struct walk *walk)
{
	SCOPED(walker_close) struct walker walker = {.walk = walk, .root = -1, .here = -1};
	walker.root = open_own(walk->tid, "root", 0);
	if (walker.root < 0)
		return walker.root;
	if (*walk->path == '/')
		walker.here = open_own(walk->tid, "root", 0);
	else if (walk->start >= 0)
		walker.here = open_at(walk->start, ".", O_DIRECTORY);
	else if (walk->base == AT_FDCWD)
		walker.here = open_own(walk->tid, "cwd", 0);
	else if (walk->base < 0)
		return -EBADF;
	else
		walker.here = open_own(walk->tid, "fd/%d", walk->base);
	if (walker.here < 0)
		return *walk->path != '/' && walk->start < 0 && walk->base >= 0 && walker.here == -ENOENT
			       ? -EBADF
			       : walker.here;
	memcpy(walker.text, walk->path, strlen(walk->path) + 1);
	walker.rest = walker.text;
	int error = walk_all(&walker);
	return error ? error : fd_release(&walker.here);
}
