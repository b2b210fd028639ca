// SPDX-License-Identifier: Apache-2.0
//
// getxattr(2), listxattr(2): the kernel's answer stands while nothing is remembered that
// could change it. setxattr(2): what the user may set is set.
#include "opening.h"

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <stddef.h>

static bool is_plain(const struct session_page *page, const struct kernel_call *call)
{
	return atomic_load_explicit(&page->xattr_records, memory_order_acquire) == 0 &&
	       session_is_root(page, call);
}

// The kernel has read the name where it found something out.
static bool needs_care(long returned, const char *name)
{
	if (returned >= 0) // "system.": an ACL, which a remembered mode shows in
		return name[0] == 's' && name[1] == 'y' && session_has_records();
	// "trusted." is hidden from the user; of a prefix alone, it depends on the type; and of
	// a name that no file system knows root is told so.
	return (returned == -ENODATA && name[0] == 't') || returned == -EINVAL ||
	       returned == -EACCES;
}

// path: NULL for a call by descriptor.
static long get(const struct kernel_call *call, const char *path, const char *name)
{
	const struct session_page *page = session_attached();
	if (!page || !is_plain(page, call))
		return libc_result(session_trapped(call));
	long returned = kernel_call_passed(call, page->pass);
	// Those of the user's own kind can be read by who can read the file.
	if (returned == -EACCES && path && opening_heal(AT_FDCWD, path))
		returned = kernel_call_passed(call, page->pass);
	if (needs_care(returned, name))
		returned = session_trapped(call);
	return libc_result(returned);
}

static long list(const struct kernel_call *call)
{
	const struct session_page *page = session_attached();
	bool plain = page && is_plain(page, call);
	return libc_result(plain ? kernel_call_passed(call, page->pass) : session_trapped(call));
}

EXPORTED(long, getxattr, const char *path, const char *name, void *value, size_t size)
{
	struct kernel_call call =
		KERNEL_CALL(__NR_getxattr, (long)path, (long)name, (long)value, (long)size);
	return get(&call, path, name);
}

EXPORTED(long, lgetxattr, const char *path, const char *name, void *value, size_t size)
{
	struct kernel_call call =
		KERNEL_CALL(__NR_lgetxattr, (long)path, (long)name, (long)value, (long)size);
	return get(&call, path, name);
}

EXPORTED(long, fgetxattr, int fd, const char *name, void *value, size_t size)
{
	struct kernel_call call =
		KERNEL_CALL(__NR_fgetxattr, fd, (long)name, (long)value, (long)size);
	return get(&call, NULL, name);
}

EXPORTED(long, listxattr, const char *path, char *names, size_t size)
{
	struct kernel_call call =
		KERNEL_CALL(__NR_listxattr, (long)path, (long)names, (long)size);
	return list(&call);
}

EXPORTED(long, llistxattr, const char *path, char *names, size_t size)
{
	struct kernel_call call =
		KERNEL_CALL(__NR_llistxattr, (long)path, (long)names, (long)size);
	return list(&call);
}

EXPORTED(long, flistxattr, int fd, char *names, size_t size)
{
	struct kernel_call call = KERNEL_CALL(__NR_flistxattr, fd, (long)names, (long)size);
	return list(&call);
}

static bool starts_with(const char *name, const char *prefix)
{
	while (*prefix && *name == *prefix)
		name++, prefix++;
	return !*prefix;
}

// A bad pointer is the kernel's to name: by a call that reads a string and does nothing.
static bool is_readable(const char *text)
{
	struct kernel_call call = KERNEL_CALL(__NR_access, (long)text, 0);
	return kernel_call_plain(&call) != -EFAULT;
}

// Root can set what the user is refused; of a remembered device the user is refused less.
static long set_user(const struct kernel_call *call, int dirfd, const char *path, int flags)
{
	const struct session_page *page = session_attached();
	if (!page || !is_plain(page, call) ||
	    (session_has_records() && look_may_be_recorded(call, dirfd, path, flags)))
		return session_trapped(call);
	long returned = kernel_call_passed(call, page->pass);
	bool refused = returned == -EPERM || returned == -EACCES || returned == -EOPNOTSUPP;
	return refused ? session_trapped(call) : returned;
}

static int set(const struct kernel_call *call, int dirfd, const char *path, const char *name,
	       int flags)
{
	const struct session_page *page = session_attached();
	if (!page || !session_may_look(page, call) || !is_readable(name))
		return (int)libc_result(session_trapped(call));
	if (starts_with(name, "user."))
		return (int)libc_result(set_user(call, dirfd, path, flags));
	if (starts_with(name, "security.") || starts_with(name, "trusted."))
		return (int)libc_result(change_trapped(call, dirfd, path, flags));
	return (int)libc_result(session_trapped(call));
}

EXPORTED(int, setxattr, const char *path, const char *name, const void *value, size_t size,
		      int flags)
{
	struct kernel_call call = KERNEL_CALL(__NR_setxattr, (long)path, (long)name, (long)value,
					      (long)size, flags);
	return set(&call, AT_FDCWD, path, name, 0);
}

EXPORTED(int, lsetxattr, const char *path, const char *name, const void *value, size_t size,
		       int flags)
{
	struct kernel_call call = KERNEL_CALL(__NR_lsetxattr, (long)path, (long)name, (long)value,
					      (long)size, flags);
	return set(&call, AT_FDCWD, path, name, AT_SYMLINK_NOFOLLOW);
}

EXPORTED(int, fsetxattr, int fd, const char *name, const void *value, size_t size, int flags)
{
	struct kernel_call call = KERNEL_CALL(__NR_fsetxattr, fd, (long)name, (long)value,
					      (long)size, flags);
	return set(&call, fd, "", name, AT_EMPTY_PATH);
}
