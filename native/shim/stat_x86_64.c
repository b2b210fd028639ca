// SPDX-License-Identifier: Apache-2.0
//
// stat(2) and its kin on x86-64, where all libcs have the kernel's struct stat.
#include "look.h"

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <asm/stat.h>

// _STAT_VER of <sys/stat.h>: the layout that a program built with glibc before 2.33
// was compiled for.
#define VERSION_KERNEL 0
#define VERSION_LINUX 1

static long at(int dirfd, const char *path, struct stat *buffer, int flags)
{
	struct look look = look_at(dirfd, path, buffer, flags);
	return look_stat(&look, buffer);
}

long look_path(const char *path, struct stat *buffer, int flags)
{
	if (libc_style() != LIBC_GLIBC_OLD)
		return at(AT_FDCWD, path, buffer, flags);
	struct look look = {.dirfd = AT_FDCWD, .path = path, .flags = flags};
	look.call = KERNEL_CALL(flags ? __NR_lstat : __NR_stat, (long)path, (long)buffer);
	return look_stat(&look, buffer);
}

long look_descriptor(int fd, struct stat *buffer)
{
	if (libc_style() == LIBC_GLIBC_AT)
		return fd < 0 ? -EBADF : at(fd, "", buffer, AT_EMPTY_PATH);
	struct look look = {.dirfd = fd, .path = "", .flags = AT_EMPTY_PATH};
	look.call = KERNEL_CALL(__NR_fstat, fd, (long)buffer);
	return look_stat(&look, buffer);
}

static bool is_known(int version)
{
	return version == VERSION_KERNEL || version == VERSION_LINUX;
}

EXPORTED(int, stat, const char *path, struct stat *buffer)
{
	return (int)libc_result(look_path(path, buffer, 0));
}

EXPORTED(int, lstat, const char *path, struct stat *buffer)
{
	return (int)libc_result(look_path(path, buffer, AT_SYMLINK_NOFOLLOW));
}

EXPORTED(int, fstat, int fd, struct stat *buffer)
{
	return (int)libc_result(look_descriptor(fd, buffer));
}

EXPORTED(int, fstatat, int dirfd, const char *path, struct stat *buffer, int flags)
{
	return (int)libc_result(at(dirfd, path, buffer, flags));
}

EXPORTED(int, __xstat, int version, const char *path, struct stat *buffer)
{
	return (int)libc_result(is_known(version) ? look_path(path, buffer, 0) : -EINVAL);
}

EXPORTED(int, __lxstat, int version, const char *path, struct stat *buffer)
{
	return (int)libc_result(
		is_known(version) ? look_path(path, buffer, AT_SYMLINK_NOFOLLOW) : -EINVAL);
}

EXPORTED(int, __fxstat, int version, int fd, struct stat *buffer)
{
	return (int)libc_result(is_known(version) ? look_descriptor(fd, buffer) : -EINVAL);
}

EXPORTED(int, __fxstatat, int version, int dirfd, const char *path, struct stat *buffer, int flags)
{
	return (int)libc_result(is_known(version) ? at(dirfd, path, buffer, flags) : -EINVAL);
}

EXPORTED(int, statx, int dirfd, const char *restrict path, int flags, unsigned mask,
		   struct statx *restrict attributes)
{
	return (int)libc_result(look_statx(dirfd, path, flags, mask, attributes));
}

// The names of large-file support (lfs64(7)): the same functions on x86-64.
ALSO(stat64, stat);
ALSO(lstat64, lstat);
ALSO(fstat64, fstat);
ALSO(fstatat64, fstatat);
ALSO(__xstat64, __xstat);
ALSO(__lxstat64, __lxstat);
ALSO(__fxstat64, __fxstat);
ALSO(__fxstatat64, __fxstatat);
