// SPDX-License-Identifier: Apache-2.0
//
// What changes metadata is the supervisor's. Here it is only tried again when a
// signal came before the supervisor had received it: programs do not expect EINTR.
#include "look.h"

#ifdef __x86_64__
#include <asm/stat.h>
#endif
#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __x86_64__
#define NR_WIDE_IDS(name) __NR_##name
#define NR_LOOK (libc_style() == LIBC_GLIBC_AT ? __NR_newfstatat : __NR_fstat)
#else
#define NR_WIDE_IDS(name) __NR_##name##32
#define NR_LOOK (libc_style() == LIBC_GLIBC_OLD ? __NR_fstat64 : __NR_statx)
#endif
#ifndef __NR_fchmodat2 // Linux 6.6
#define __NR_fchmodat2 452
#endif

#define CHANGE_OWNER(dirfd, path, flags, ...)                                                     \
	({                                                                                        \
		struct kernel_call call = KERNEL_CALL(__VA_ARGS__);                               \
		(int)libc_result(change_owner(&call, dirfd, path, flags, uid, gid));              \
	})

EXPORTED(int, chown, const char *path, unsigned uid, unsigned gid)
{
	return CHANGE_OWNER(AT_FDCWD, path, 0, NR_WIDE_IDS(chown), (long)path, (long)uid,
			    (long)gid);
}

EXPORTED(int, lchown, const char *path, unsigned uid, unsigned gid)
{
	return CHANGE_OWNER(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, NR_WIDE_IDS(lchown), (long)path,
			    (long)uid, (long)gid);
}

EXPORTED(int, fchownat, int dirfd, const char *path, unsigned uid, unsigned gid, int flags)
{
	return CHANGE_OWNER(dirfd, path, flags, __NR_fchownat, dirfd, (long)path, (long)uid,
			    (long)gid, flags);
}

void change_name_link(int fd, char link_ret[static CHANGE_LINK_ROOM])
{
	char digits[11];
	int length = 0;
	for (unsigned rest = (unsigned)fd; length == 0 || rest; rest /= 10)
		digits[length++] = (char)('0' + rest % 10);
	for (const char *from = "/proc/thread-self/fd/"; *from; from++)
		*link_ret++ = *from;
	while (length > 0)
		*link_ret++ = digits[--length];
	*link_ret = '\0';
}

// musl changes what a descriptor opened with O_PATH stands for by way of /proc, where
// the kernel and glibc refuse.
static bool has_link(int fd, long returned, char link_ret[static CHANGE_LINK_ROOM])
{
	struct kernel_call call = KERNEL_CALL(NR_FCNTL, fd, F_GETFD);
	if (returned != -EBADF || libc_style() != LIBC_OTHER || kernel_call_plain(&call) < 0)
		return false;
	change_name_link(fd, link_ret);
	return true;
}

EXPORTED(int, fchown, int fd, unsigned uid, unsigned gid)
{
	char link[CHANGE_LINK_ROOM];
	struct kernel_call call =
		KERNEL_CALL(NR_WIDE_IDS(fchown), fd, (long)uid, (long)gid);
	// To statx(2), AT_FDCWD is a directory; here it is no descriptor.
	long returned = fd < 0 ? session_trapped(&call)
			       : change_owner(&call, fd, "", AT_EMPTY_PATH, uid, gid);
	return has_link(fd, returned, link) ? chown(link, uid, gid) : (int)libc_result(returned);
}

// What the kernel shows by itself needs no record: a mode that leaves the owner able to
// work, of a file whose mode is not remembered. Should another process make it so at this
// moment, it was the later one.
static bool is_shown_by_kernel(const struct kernel_call *call, int fd, unsigned mode)
{
	const struct session_page *page = session_attached();
	return page && (mode & 0600) == 0600 && !(mode & 06000) && session_is_root(page, call) &&
	       session_may_look(page, call) && look_has_plain_mode(call, fd, mode & 0100);
}

// The same for a path. A descriptor holds the file that was looked at, and /proc leads to it.
static bool changed_by_kernel(const struct kernel_call *call, int dirfd, const char *path,
			      int nofollow, unsigned mode)
{
	const struct session_page *page = session_attached();
	char link[CHANGE_LINK_ROOM];
	if (!page || !session_may_look(page, call))
		return false;
	struct kernel_call open =
		KERNEL_CALL(__NR_openat, dirfd, (long)path, O_PATH | O_CLOEXEC | nofollow);
	long fd = kernel_call_plain(&open);
	if (fd < 0)
		return false;
	change_name_link((int)fd, link);
	struct kernel_call change = KERNEL_CALL(__NR_chmod, (long)link, (long)mode);
	bool changed = is_shown_by_kernel(call, (int)fd, mode) &&
		       kernel_call_passed(&change, page->pass) == 0;
	struct kernel_call close = KERNEL_CALL(__NR_close, fd);
	kernel_call_plain(&close);
	return changed;
}

EXPORTED(int, chmod, const char *path, unsigned mode)
{
	struct kernel_call call = KERNEL_CALL(__NR_chmod, (long)path, (long)mode);
	return changed_by_kernel(&call, AT_FDCWD, path, 0, mode)
		       ? 0
		       : (int)libc_result(session_trapped(&call));
}

EXPORTED(int, fchmod, int fd, unsigned mode)
{
	char link[CHANGE_LINK_ROOM];
	struct kernel_call call = KERNEL_CALL(__NR_fchmod, fd, (long)mode);
	long returned = -EPERM;
	if (is_shown_by_kernel(&call, fd, mode))
		returned = kernel_call_passed(&call, session_attached()->pass);
	if (returned < 0)
		returned = session_trapped(&call);
	return has_link(fd, returned, link) ? chmod(link, mode) : (int)libc_result(returned);
}

static bool is_link(int fd)
{
#ifdef __x86_64__
	struct stat seen;
	return look_descriptor(fd, &seen) == 0 && S_ISLNK(seen.st_mode);
#else
	struct statx seen;
	return look_statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &seen) == 0 &&
	       S_ISLNK(seen.stx_mode);
#endif
}

// As libcs do that know no fchmodat2(): they refuse links, and change what else there is
// by way of /proc.
static int fchmodat_by_hand(int dirfd, const char *path, unsigned mode)
{
	char link[CHANGE_LINK_ROOM];
	struct kernel_call open =
		KERNEL_CALL(__NR_openat, dirfd, (long)path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	long fd = kernel_call_plain(&open);
	if (fd < 0)
		return (int)libc_result(fd);
	change_name_link((int)fd, link);
	struct kernel_call change = KERNEL_CALL(__NR_chmod, (long)link, (long)mode);
	long returned = is_link((int)fd) ? -EOPNOTSUPP : session_trapped(&change);
	struct kernel_call close = KERNEL_CALL(__NR_close, fd);
	kernel_call_plain(&close);
	return (int)libc_result(returned);
}

// Whether the program's libc would call fchmodat2(), or no filter is there to object.
static bool may_call_fchmodat2(void)
{
	const struct session_page *page = session_attached();
	struct kernel_call look = KERNEL_CALL(NR_LOOK);
	return libc_style() == LIBC_GLIBC_NEW || (page && session_may_look(page, &look));
}

// A sandbox around the whole run may answer EPERM to what it does not know. A call that
// arrives is refused for a flag that nobody knows.
static bool fchmodat2_arrives(void)
{
	struct kernel_call call = KERNEL_CALL(__NR_fchmodat2, -1, (long)"", 0, -1);
	return session_trapped(&call) == -EINVAL;
}

EXPORTED(int, fchmodat, int dirfd, const char *path, unsigned mode, int flags)
{
	enum libc_style style = libc_style();
	struct kernel_call plain = KERNEL_CALL(__NR_fchmodat, dirfd, (long)path, (long)mode);
	struct kernel_call look = KERNEL_CALL(NR_LOOK); // what libc calls first for a flag
	if (!flags && changed_by_kernel(&plain, dirfd, path, 0, mode))
		return 0;
	if (flags == AT_SYMLINK_NOFOLLOW &&
	    changed_by_kernel(&look, dirfd, path, O_NOFOLLOW, mode))
		return 0;
	if (!flags)
		return (int)libc_result(session_trapped(&plain));
	// Older ones know this flag alone.
	if (flags & ~AT_SYMLINK_NOFOLLOW && (style == LIBC_GLIBC_OLD || style == LIBC_GLIBC_AT))
		return (int)libc_result(-EINVAL);
	struct kernel_call call =
		KERNEL_CALL(__NR_fchmodat2, dirfd, (long)path, (long)mode, flags);
	long returned = may_call_fchmodat2() ? session_trapped(&call) : -ENOSYS;
	// What the program's libc would not have called is not why it fails.
	if (returned == -EPERM && style != LIBC_GLIBC_NEW && !fchmodat2_arrives())
		returned = -ENOSYS;
	if (returned != -ENOSYS)
		return (int)libc_result(returned);
	return flags == AT_SYMLINK_NOFOLLOW ? fchmodat_by_hand(dirfd, path, mode)
					    : (int)libc_result(-EINVAL);
}
