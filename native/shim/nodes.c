// SPDX-License-Identifier: Apache-2.0
//
// mknod(2). A device made by root is a file without a name, a pending change that makes it
// the device, and then its name: nobody sees one that is not complete, as in ops_create.c.
#include "opening.h"

#include "rules.h"

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>

#ifdef __x86_64__
#define VERSION_MKNOD 0 // _MKNOD_VER of <sys/stat.h>
#else
#define VERSION_MKNOD 1
#endif

#ifdef __x86_64__

#define OWNER 0600u
#define DIRECTORY_ROOM 1024 // longer paths are the supervisor's

// Whether the path can be read: by a call that does no more than that before it finds the
// descriptor bad (do_symlinkat()).
static bool is_readable(const struct session_page *page, const char *path)
{
	struct kernel_call call = KERNEL_CALL(__NR_symlinkat, (long)path, -1, (long)"name");
	return kernel_call_passed(&call, page->pass) == -EBADF;
}

// The directory that the last name of the path is in. False for a path that is too long or
// ends with a slash.
static bool find_directory(const char *path, char directory_ret[static DIRECTORY_ROOM])
{
	size_t length = 0, slash = 0;
	while (path[length] != '\0' && length < DIRECTORY_ROOM)
		if (path[length++] == '/')
			slash = length;
	if (length == DIRECTORY_ROOM || slash == length)
		return false;
	for (size_t i = 0; i < slash; i++)
		directory_ret[i] = path[i];
	if (slash == 0)
		directory_ret[slash++] = '.';
	directory_ret[slash] = '\0';
	return true;
}

static bool become_device(const struct kernel_call *call, int fd, unsigned mode, unsigned rdev)
{
	const unsigned needed = STATX_INO | STATX_MODE | STATX_BTIME;
	struct session_writable *shared = session_writable(call);
	struct inode_record change = {.fields = INODE_MODE | INODE_TYPE, .rdev = rdev};
	struct statx made;
	if (!shared || !change_look(call, fd, "", AT_EMPTY_PATH, &made) ||
	    (made.stx_mask & needed) != needed)
		return false;
	// The umask or a default ACL has taken its part.
	change.mode = (mode & ~0777u) | (mode & (made.stx_mode | OWNER) & 0777);
	bool own = session_attached()->unknown_is_real;
	change.uid = own ? made.stx_uid : 0;
	change.gid = own ? made.stx_gid : 0;
	rules_identity(&made, &change.identity);
	return pending_publish(&shared->pending, &change);
}

static long name_it(int fd, int dirfd, const char *path)
{
	// Whoever has opened the file may give it a name (Linux 6.10). Before, /proc does.
	struct kernel_call name =
		KERNEL_CALL(__NR_linkat, fd, (long)"", dirfd, (long)path, AT_EMPTY_PATH);
	long returned = kernel_call_passed(&name, session_attached()->pass);
	if (returned == -ENOENT) {
		char link[CHANGE_LINK_ROOM];
		change_name_link(fd, link);
		name = KERNEL_CALL(__NR_linkat, AT_FDCWD, (long)link, dirfd, (long)path,
				   AT_SYMLINK_FOLLOW);
		returned = kernel_call_passed(&name, session_attached()->pass);
	}
	if (returned < 0)
		change_retire(fd);
	return returned;
}

// Whether the device is there. Whatever is in its way, the supervisor finds, too.
static bool make_device(const struct kernel_call *call, int dirfd, const char *path, unsigned mode,
			unsigned rdev)
{
	const struct session_page *page = session_attached();
	char directory[DIRECTORY_ROOM];
	if (!page || atomic_load(&page->pending_closed) || atomic_load(&page->views) || !path ||
	    !session_may_look(page, call) || !opening_is_ordinary(page, call, mode, OWNER) ||
	    !session_writable(call) || !is_readable(page, path) || !find_directory(path, directory))
		return false;
	struct kernel_call open =
		KERNEL_CALL(__NR_openat, dirfd, (long)directory,
			    __O_TMPFILE | O_DIRECTORY | O_WRONLY | O_CLOEXEC, (long)(mode & 0777));
	long fd = kernel_call_passed(&open, page->pass);
	if (fd < 0)
		return false;
	bool made = become_device(call, (int)fd, mode, rdev) &&
		    name_it((int)fd, dirfd, path) == 0;
	struct kernel_call close = KERNEL_CALL(__NR_close, fd);
	kernel_call_plain(&close);
	return made;
}

#else

static bool make_device(const struct kernel_call *call, int dirfd, const char *path, unsigned mode,
			unsigned rdev)
{
	(void)call;
	(void)dirfd;
	(void)path;
	(void)mode;
	(void)rdev;
	return false;
}

#endif

static int make_node(const struct kernel_call *call, int dirfd, const char *path, unsigned mode,
		     uint64_t dev)
{
	unsigned type = mode & RULES_TYPE_MASK;
	bool device = type == 0020000 || type == 0060000;
	if (device && make_device(call, dirfd, path, mode & 0177777u, (unsigned)dev))
		return 0;
	return (int)libc_result(session_trapped(call));
}

EXPORTED(int, mknodat, int dirfd, const char *path, unsigned mode, uint64_t dev)
{
	struct kernel_call call =
		KERNEL_CALL(__NR_mknodat, dirfd, (long)path, (long)mode, (long)dev);
	// glibc refuses what the kernel would cut off.
	if (libc_style() != LIBC_OTHER && dev > UINT32_MAX)
		return (int)libc_result(-EINVAL);
	return make_node(&call, dirfd, path, mode, dev);
}

EXPORTED(int, mknod, const char *path, unsigned mode, uint64_t dev)
{
	struct kernel_call call = KERNEL_CALL(__NR_mknod, (long)path, (long)mode, (long)dev);
	if (libc_style() != LIBC_OTHER)
		return mknodat(AT_FDCWD, path, mode, dev);
	return make_node(&call, AT_FDCWD, path, mode, dev);
}

// The names for programs built with glibc before 2.33.
EXPORTED(int, __xmknod, int version, const char *path, unsigned mode, const uint64_t *dev)
{
	return version == VERSION_MKNOD ? mknod(path, mode, *dev) : (int)libc_result(-EINVAL);
}

EXPORTED(int, __xmknodat, int version, int dirfd, const char *path, unsigned mode,
			const uint64_t *dev)
{
	return version == VERSION_MKNOD ? mknodat(dirfd, path, mode, *dev)
					: (int)libc_result(-EINVAL);
}
