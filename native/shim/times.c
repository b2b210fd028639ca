// SPDX-License-Identifier: Apache-2.0
//
// utimensat(2), futimens(3) of 64-bit programs: the kernel's own affair while nobody has
// left root and no capability is remembered. What sets times in
// other ways, and i386 programs, trap.
#ifdef __x86_64__
#include "shim.h"

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/time_types.h>
#include <stddef.h>

static int set(const struct kernel_call *call)
{
	const struct session_page *page = session_attached();
	bool plain = page &&
		     atomic_load_explicit(&page->xattr_records, memory_order_acquire) == 0 &&
		     session_is_root(page, call);
	return (int)libc_result(plain ? kernel_call_passed(call, page->pass)
				      : session_trapped(call));
}

EXPORTED(int, utimensat, int dirfd, const char *path, const struct __kernel_timespec times[2],
		       int flags)
{
	struct kernel_call call =
		KERNEL_CALL(__NR_utimensat, dirfd, (long)path, (long)times, flags);
	// To the kernel, and to musl, that is futimens(); to glibc it is an error.
	return path || libc_style() == LIBC_OTHER ? set(&call) : (int)libc_result(-EINVAL);
}

EXPORTED(int, futimens, int fd, const struct __kernel_timespec times[2])
{
	struct kernel_call call = KERNEL_CALL(__NR_utimensat, fd, 0, (long)times, 0);
	return fd < 0 ? (int)libc_result(-EBADF) : set(&call);
}

#else
typedef int nothing_for_i386;
#endif
