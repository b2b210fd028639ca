// SPDX-License-Identifier: Apache-2.0
//
// unlink(2), rmdir(2), rename(2): the kernel's own affair, unless a file that may
// go for good has a record, which the supervisor retires.
#include "opening.h"

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/fs.h>

// The call, which may do away with what is at this path.
static long removing(const struct kernel_call *call, int dirfd, const char *path)
{
	const struct session_page *page = session_attached();
	bool ours = page && (!session_has_records() ||
			     !look_may_be_recorded(call, dirfd, path, AT_SYMLINK_NOFOLLOW));
	long returned = ours ? kernel_call_passed(call, page->pass) : session_trapped(call);
	// Root passes every directory and writes to it: the supervisor lets the user.
	return returned == -EACCES && opening_heal(dirfd, path) ? session_trapped(call) : returned;
}

EXPORTED int unlink(const char *path)
{
	struct kernel_call call = KERNEL_CALL(__NR_unlink, (long)path);
	return (int)libc_result(removing(&call, AT_FDCWD, path));
}

EXPORTED int rmdir(const char *path)
{
	struct kernel_call call = KERNEL_CALL(__NR_rmdir, (long)path);
	return (int)libc_result(removing(&call, AT_FDCWD, path));
}

EXPORTED int unlinkat(int dirfd, const char *path, int flags)
{
	struct kernel_call call = KERNEL_CALL(__NR_unlinkat, dirfd, (long)path, flags);
	return (int)libc_result(removing(&call, dirfd, path));
}

// remove(3): EISDIR is what Linux says of an attempt to unlink a directory.
EXPORTED int remove(const char *path)
{
	struct kernel_call call = KERNEL_CALL(__NR_unlink, (long)path);
	long returned = removing(&call, AT_FDCWD, path);
	return returned == -EISDIR ? rmdir(path) : (int)libc_result(returned);
}

EXPORTED int rename(const char *path, const char *new_path)
{
	struct kernel_call call = KERNEL_CALL(__NR_rename, (long)path, (long)new_path);
	return (int)libc_result(removing(&call, AT_FDCWD, new_path));
}

EXPORTED int renameat(int dirfd, const char *path, int new_dirfd, const char *new_path)
{
	struct kernel_call call =
		KERNEL_CALL(__NR_renameat, dirfd, (long)path, new_dirfd, (long)new_path);
	return (int)libc_result(removing(&call, new_dirfd, new_path));
}

EXPORTED int renameat2(int dirfd, const char *path, int new_dirfd, const char *new_path,
		       unsigned flags)
{
	struct kernel_call call = KERNEL_CALL(__NR_renameat2, dirfd, (long)path, new_dirfd,
					      (long)new_path, (long)flags);
	// Neither removes anything: such a call does not trap.
	if (flags & (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return (int)libc_result(kernel_call_plain(&call));
	return (int)libc_result(removing(&call, new_dirfd, new_path));
}
