// SPDX-License-Identifier: Apache-2.0
//
// access(2): root reads and writes everything, and executes what has any x bit. What
// the user may do, root may, but for the execution of a file that is remembered
// without x bits.
#include "shim.h"

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <stddef.h>

#ifndef AT_EACCESS // fcntl(2); its value is AT_REMOVEDIR's
#define AT_EACCESS 0x200
#endif

#define EXECUTE 1 // X_OK

static long permitted(const struct kernel_call *call, int dirfd, const char *path, int mode,
		      int flags)
{
	const struct session_page *page = session_attached();
	if (!page || !session_is_root(page, call))
		return session_trapped(call);
	long returned = kernel_call_passed(call, page->pass);
	bool decided = returned != -EACCES && returned != -EROFS;
	if (returned == 0 && mode & EXECUTE && session_has_records())
		decided = !look_may_be_recorded(call, dirfd, path,
						flags & (AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH));
	return decided ? returned : session_trapped(call);
}

static long by_flags(int dirfd, const char *path, int mode, int flags)
{
	struct kernel_call call =
		KERNEL_CALL(__NR_faccessat2, dirfd, (long)path, mode, flags);
	return permitted(&call, dirfd, path, mode, flags);
}

static long without_flags(int dirfd, const char *path, int mode)
{
	struct kernel_call call = KERNEL_CALL(__NR_faccessat, dirfd, (long)path, mode);
	return permitted(&call, dirfd, path, mode, 0);
}

// libcs that know faccessat2() try it first: glibc always, musl for flags. Before
// there was one, glibc looked at the attributes itself, by the ids that it saw.
EXPORTED(int, faccessat, int dirfd, const char *path, int mode, int flags)
{
	enum libc_style style = libc_style();
	long returned = -ENOSYS;
	if (style != LIBC_GLIBC_OLD && (flags || style != LIBC_OTHER))
		returned = by_flags(dirfd, path, mode, flags);
	if (returned != -ENOSYS)
		return (int)libc_result(returned);
	if (flags & ~AT_EACCESS)
		return (int)libc_result(-EINVAL);
	return (int)libc_result(without_flags(dirfd, path, mode));
}

EXPORTED(int, access, const char *path, int mode)
{
	struct kernel_call call = KERNEL_CALL(__NR_access, (long)path, mode);
	return (int)libc_result(permitted(&call, AT_FDCWD, path, mode, 0));
}

// Both ids are root's, so this is access(2), and that is what older libcs make of it.
EXPORTED(int, eaccess, const char *path, int mode)
{
	enum libc_style style = libc_style();
	return style == LIBC_GLIBC_OLD || style == LIBC_GLIBC_AT
		       ? access(path, mode)
		       : faccessat(AT_FDCWD, path, mode, AT_EACCESS);
}

ALSO(euidaccess, eaccess);
