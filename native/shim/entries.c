// SPDX-License-Identifier: Apache-2.0
//
// unlink(2), rmdir(2), rename(2): the kernel's own affair, unless a file that may
// go for good has a record, which is to be retired. link(2), because of the directories
// that root may write to.
#include "opening.h"

#include "attach.h"
#include "mount_facts.h"
#include "rules.h"

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/fs.h>

#ifdef __x86_64__

static void retire(struct session_writable *shared, int fd, const struct statx *gone)
{
	struct inode_record change = {.fields = INODE_RETIRED};
	rules_identity(gone, &change.identity);
	if (!pending_publish(&shared->pending, &change))
		change_retire(fd);
}

// Makes the call while a descriptor holds the file, which tells afterwards whether its last
// name has gone. False where that cannot be: nothing has happened.
static bool remove_held(const struct kernel_call *call, int dirfd, const char *path,
			long *returned_ret)
{
	const unsigned needed = STATX_INO | STATX_NLINK | STATX_BTIME;
	const struct session_page *page = session_attached();
	struct session_writable *shared = page ? session_writable(call) : NULL;
	if (!shared || atomic_load(&page->pending_closed) || !session_may_look(page, call))
		return false;
	struct kernel_call open =
		KERNEL_CALL(__NR_openat, dirfd, (long)path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	long fd = kernel_call_plain(&open);
	if (fd < 0)
		return false;
	struct statx seen;
	struct mount_facts facts;
	bool held = change_look(call, (int)fd, "", AT_EMPTY_PATH, &seen) &&
		    (seen.stx_mask & needed) == needed && seen.stx_nlink > 0 &&
		    mount_facts_known(page, &seen, &facts) && facts.tells_links;
	if (held) {
		*returned_ret = kernel_call_passed(call, page->pass);
		if (*returned_ret == 0 && !change_look(call, (int)fd, "", AT_EMPTY_PATH, &seen))
			change_retire((int)fd);
		else if (*returned_ret == 0 && seen.stx_nlink == 0)
			retire(shared, (int)fd, &seen);
	}
	struct kernel_call close = KERNEL_CALL(__NR_close, fd);
	kernel_call_plain(&close);
	return held;
}

#else

static bool remove_held(const struct kernel_call *call, int dirfd, const char *path,
			long *returned_ret)
{
	(void)call;
	(void)dirfd;
	(void)path;
	(void)returned_ret;
	return false;
}

#endif

// The call, which may do away with what is at this path.
static long remove_once(const struct kernel_call *call, int dirfd, const char *path)
{
	const struct session_page *page = session_attached();
	bool plain = page && (!session_has_records() ||
			      !look_may_be_recorded(call, dirfd, path, AT_SYMLINK_NOFOLLOW));
	long returned;
	if (plain)
		returned = kernel_call_passed(call, page->pass);
	else if (!remove_held(call, dirfd, path, &returned))
		returned = session_trapped(call);
	return returned;
}

// Root passes every directory and writes to it: the supervisor lets the user.
static long removing(const struct kernel_call *call, int dirfd, const char *path)
{
	long returned = remove_once(call, dirfd, path);
	return returned == -EACCES && opening_heal(dirfd, path) ? session_trapped(call) : returned;
}

static long healed(const struct kernel_call *call, long returned, int dirfd, const char *path,
		   int new_dirfd, const char *new_path)
{
	if (returned != -EACCES)
		return returned;
	bool from = opening_heal(dirfd, path), to = opening_heal(new_dirfd, new_path);
	return from || to ? session_trapped(call) : returned;
}

// A call that removes nothing.
static long linking(const struct kernel_call *call, int dirfd, const char *path, int new_dirfd,
		    const char *new_path)
{
	return healed(call, kernel_call_plain(call), dirfd, path, new_dirfd, new_path);
}

static long renaming(const struct kernel_call *call, int dirfd, const char *path, int new_dirfd,
		     const char *new_path)
{
	long returned = remove_once(call, new_dirfd, new_path);
	return healed(call, returned, dirfd, path, new_dirfd, new_path);
}

EXPORTED(int, unlink, const char *path)
{
	struct kernel_call call = KERNEL_CALL(__NR_unlink, (long)path);
	return (int)libc_result(removing(&call, AT_FDCWD, path));
}

EXPORTED(int, rmdir, const char *path)
{
	struct kernel_call call = KERNEL_CALL(__NR_rmdir, (long)path);
	return (int)libc_result(removing(&call, AT_FDCWD, path));
}

EXPORTED(int, unlinkat, int dirfd, const char *path, int flags)
{
	struct kernel_call call = KERNEL_CALL(__NR_unlinkat, dirfd, (long)path, flags);
	return (int)libc_result(removing(&call, dirfd, path));
}

// remove(3): EISDIR is what Linux says of an attempt to unlink a directory.
EXPORTED(int, remove, const char *path)
{
	struct kernel_call call = KERNEL_CALL(__NR_unlink, (long)path);
	long returned = removing(&call, AT_FDCWD, path);
	return returned == -EISDIR ? rmdir(path) : (int)libc_result(returned);
}

EXPORTED(int, rename, const char *path, const char *new_path)
{
	struct kernel_call call = KERNEL_CALL(__NR_rename, (long)path, (long)new_path);
	return (int)libc_result(renaming(&call, AT_FDCWD, path, AT_FDCWD, new_path));
}

EXPORTED(int, renameat, int dirfd, const char *path, int new_dirfd, const char *new_path)
{
	struct kernel_call call =
		KERNEL_CALL(__NR_renameat, dirfd, (long)path, new_dirfd, (long)new_path);
	return (int)libc_result(renaming(&call, dirfd, path, new_dirfd, new_path));
}

EXPORTED(int, renameat2, int dirfd, const char *path, int new_dirfd, const char *new_path,
		       unsigned flags)
{
	struct kernel_call call = KERNEL_CALL(__NR_renameat2, dirfd, (long)path, new_dirfd,
					      (long)new_path, (long)flags);
	// Neither removes anything: such a call does not trap.
	if (flags & (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return (int)libc_result(linking(&call, dirfd, path, new_dirfd, new_path));
	return (int)libc_result(renaming(&call, dirfd, path, new_dirfd, new_path));
}

EXPORTED(int, link, const char *path, const char *new_path)
{
	struct kernel_call call = KERNEL_CALL(__NR_link, (long)path, (long)new_path);
	return (int)libc_result(linking(&call, AT_FDCWD, path, AT_FDCWD, new_path));
}

EXPORTED(int, linkat, int dirfd, const char *path, int new_dirfd, const char *new_path, int flags)
{
	struct kernel_call call =
		KERNEL_CALL(__NR_linkat, dirfd, (long)path, new_dirfd, (long)new_path, flags);
	if (flags & (AT_EMPTY_PATH | AT_SYMLINK_FOLLOW))
		return (int)libc_result(session_trapped(&call));
	return (int)libc_result(linking(&call, dirfd, path, new_dirfd, new_path));
}
