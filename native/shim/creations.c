// SPDX-License-Identifier: Apache-2.0
//
// mkdir(2), symlink(2), bind(2); and chdir(2) and truncate(2), which root may everywhere.
#include "opening.h"

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>

#define OWNER 0700u

// vfs_mkdir() takes no more of it; a sandbox may refuse the rest.
#define MKDIR_MODE 01777u

static long create_once(const struct kernel_call *call, unsigned mode, unsigned needed)
{
	const struct session_page *page = session_attached();
	return page && opening_is_ordinary(page, call, mode, needed)
		       ? kernel_call_passed(call, page->pass)
		       : session_trapped(call);
}

// In a directory that root may pass and write to, the supervisor sees to it that the user
// may, too.
static long create(const struct kernel_call *call, unsigned mode, unsigned needed, int dirfd,
		  const char *path)
{
	long returned = create_once(call, mode, needed);
	if (returned == -EACCES && opening_heal(dirfd, path))
		returned = create_once(call, mode, needed);
	return returned;
}

long creations_mkdir(const char *path, unsigned mode)
{
	mode &= MKDIR_MODE;
	struct kernel_call call = KERNEL_CALL(__NR_mkdir, (long)path, (long)mode);
	return create(&call, mode, OWNER, AT_FDCWD, path);
}

EXPORTED(int, mkdir, const char *path, unsigned mode)
{
	return (int)libc_result(creations_mkdir(path, mode));
}

EXPORTED(int, mkdirat, int dirfd, const char *path, unsigned mode)
{
	mode &= MKDIR_MODE;
	struct kernel_call call = KERNEL_CALL(__NR_mkdirat, dirfd, (long)path, (long)mode);
	return (int)libc_result(create(&call, mode, OWNER, dirfd, path));
}

EXPORTED(int, symlink, const char *target, const char *path)
{
	struct kernel_call call = KERNEL_CALL(__NR_symlink, (long)target, (long)path);
	return (int)libc_result(create(&call, 0, 0, AT_FDCWD, path));
}

EXPORTED(int, symlinkat, const char *target, int dirfd, const char *path)
{
	struct kernel_call call = KERNEL_CALL(__NR_symlinkat, (long)target, dirfd, (long)path);
	return (int)libc_result(create(&call, 0, 0, dirfd, path));
}

#ifdef __x86_64__ // libcs of i386 go by socketcall(2)
EXPORTED(int, bind, int fd, const void *address, unsigned size)
{
	struct kernel_call call = KERNEL_CALL(__NR_bind, fd, (long)address, (long)size);
	return (int)libc_result(create_once(&call, 0, 0));
}
#endif

EXPORTED(int, chdir, const char *path)
{
	struct kernel_call call = KERNEL_CALL(__NR_chdir, (long)path);
	long returned = kernel_call_plain(&call);
	if (returned == -EACCES && opening_heal(AT_FDCWD, path))
		returned = kernel_call_plain(&call);
	return (int)libc_result(returned);
}

#ifdef __x86_64__ // to i386 programs, the size is one register or two
EXPORTED(int, truncate, const char *path, long size)
{
	struct kernel_call call = KERNEL_CALL(__NR_truncate, (long)path, size);
	long returned = kernel_call_plain(&call);
	if (returned == -EACCES && opening_heal(AT_FDCWD, path))
		returned = kernel_call_plain(&call);
	return (int)libc_result(returned);
}

ALSO(truncate64, truncate);
#endif
