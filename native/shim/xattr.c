// SPDX-License-Identifier: Apache-2.0
//
// getxattr(2), listxattr(2): the kernel's answer stands while nothing is remembered that
// could change it.
#include "shim.h"

#include <asm/unistd.h>
#include <linux/errno.h>
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
	// "trusted." is hidden from the user; and of a prefix alone, it depends on the type.
	return (returned == -ENODATA && name[0] == 't') || returned == -EINVAL;
}

static long get(const struct kernel_call *call, const char *name)
{
	const struct session_page *page = session_attached();
	if (!page || !is_plain(page, call))
		return libc_result(session_trapped(call));
	long returned = kernel_call_passed(call, page->pass);
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

EXPORTED long getxattr(const char *path, const char *name, void *value, size_t size)
{
	struct kernel_call call =
		KERNEL_CALL(__NR_getxattr, (long)path, (long)name, (long)value, (long)size);
	return get(&call, name);
}

EXPORTED long lgetxattr(const char *path, const char *name, void *value, size_t size)
{
	struct kernel_call call =
		KERNEL_CALL(__NR_lgetxattr, (long)path, (long)name, (long)value, (long)size);
	return get(&call, name);
}

EXPORTED long fgetxattr(int fd, const char *name, void *value, size_t size)
{
	struct kernel_call call =
		KERNEL_CALL(__NR_fgetxattr, fd, (long)name, (long)value, (long)size);
	return get(&call, name);
}

EXPORTED long listxattr(const char *path, char *names, size_t size)
{
	struct kernel_call call =
		KERNEL_CALL(__NR_listxattr, (long)path, (long)names, (long)size);
	return list(&call);
}

EXPORTED long llistxattr(const char *path, char *names, size_t size)
{
	struct kernel_call call =
		KERNEL_CALL(__NR_llistxattr, (long)path, (long)names, (long)size);
	return list(&call);
}

EXPORTED long flistxattr(int fd, char *names, size_t size)
{
	struct kernel_call call = KERNEL_CALL(__NR_flistxattr, fd, (long)names, (long)size);
	return list(&call);
}
