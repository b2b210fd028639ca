// SPDX-License-Identifier: Apache-2.0
//
// open(2). Who creates nothing is served by the kernel alone, unless it refuses.
#include "opening.h"

#include "attach.h"

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <stdarg.h>
#include <stddef.h>

#define TEMPORARY __O_TMPFILE
#define OWNER_S 0600u
#define READ 4 // R_OK

#ifdef __x86_64__
#define LARGE 0
#else
#define LARGE O_LARGEFILE
#endif

extern int *__errno_location(void) __attribute__((weak));

bool opening_is_ordinary(const struct session_page *page, const struct kernel_call *call,
			 unsigned mode, unsigned needed)
{
	return (mode & needed) == needed && !(mode & 06000u) &&
	       atomic_load_explicit(&page->setgid_directories, memory_order_acquire) == 0 &&
	       atomic_load_explicit(&page->locking_umasks, memory_order_acquire) == 0 &&
	       session_is_root(page, call);
}

bool opening_heal(int dirfd, const char *path)
{
	const struct session_page *page = session_attached();
	struct kernel_call call =
		KERNEL_CALL(__NR_faccessat2, dirfd, (long)path, READ, ATTACH_HEAL);
	return page && atomic_load_explicit(&page->sandboxes, memory_order_acquire) == 0 &&
	       session_trapped(&call) == 0;
}

static struct kernel_call call_of(int dirfd, const char *path, int flags, unsigned mode)
{
	if (libc_style() == LIBC_OTHER && dirfd == AT_FDCWD)
		return KERNEL_CALL(__NR_open, (long)path, flags, (long)mode);
	return KERNEL_CALL(__NR_openat, dirfd, (long)path, flags, (long)mode);
}

// Of ids, in a user namespace: the supervisor helps to write it. The kernel has read the path.
static bool is_map(const char *path)
{
	static const char name[] = "id_map";
	const size_t length = sizeof(name) - 1;
	size_t end = 0;
	while (path[end] != '\0')
		end++;
	for (size_t i = 0; i < length; i++)
		if (end < length || path[end - length + i] != name[i])
			return false;
	return true;
}

static long open_trapped_again(long fd, const struct kernel_call *call)
{
	struct kernel_call closing = KERNEL_CALL(__NR_close, fd);
	kernel_call_plain(&closing);
	return session_trapped(call);
}

static long create(const struct kernel_call *call, const char *path, int flags, unsigned mode)
{
	const struct session_page *page = session_attached();
	if (!page || !opening_is_ordinary(page, call, mode, OWNER_S))
		return session_trapped(call);
	long fd = kernel_call_passed(call, page->pass);
	return fd >= 0 && flags & O_TRUNC && is_map(path) ? open_trapped_again(fd, call) : fd;
}

// An existing file, for writing.
static long open_to_write(const struct kernel_call *call, const char *path)
{
	const struct session_page *page = session_attached();
	if (!page)
		return session_trapped(call);
	long fd = kernel_call_passed(call, page->pass);
	return fd >= 0 && is_map(path) ? open_trapped_again(fd, call) : fd;
}

static long open_once(int dirfd, const char *path, int flags, unsigned mode)
{
	struct kernel_call call = call_of(dirfd, path, flags, mode);
	if (flags & (O_CREAT | TEMPORARY))
		return create(&call, path, flags, mode);
	if ((flags & O_ACCMODE) != O_RDONLY)
		return open_to_write(&call, path);
	const struct chain_libc *libc = chain_libc();
	// On i386 it would add a flag.
	if (LARGE || dirfd != AT_FDCWD || !libc->__open64 || !__errno_location)
		return kernel_call_plain(&call);
	int before = *__errno_location();
	int fd = libc->__open64(path, flags);
	if (fd >= 0)
		return fd;
	int error = *__errno_location();
	*__errno_location() = before;
	return -error;
}

long opening_at(int dirfd, const char *path, int flags, unsigned mode)
{
	long fd = open_once(dirfd, path, flags, mode);
	return fd == -EACCES && opening_heal(dirfd, path) ? open_once(dirfd, path, flags, mode)
							  : fd;
}

#define MODE(flags, last)                                                                         \
	({                                                                                        \
		unsigned mode = 0;                                                                \
		if ((flags) & (O_CREAT | TEMPORARY)) {                                            \
			va_list arguments;                                                        \
			va_start(arguments, last);                                                \
			mode = va_arg(arguments, unsigned);                                       \
			va_end(arguments);                                                        \
		}                                                                                 \
		mode;                                                                             \
	})

EXPORTED(int, open, const char *path, int flags, ...)
{
	return (int)libc_result(opening_at(AT_FDCWD, path, flags, MODE(flags, flags)));
}

EXPORTED(int, open64, const char *path, int flags, ...)
{
	return (int)libc_result(opening_at(AT_FDCWD, path, flags | LARGE, MODE(flags, flags)));
}

EXPORTED(int, openat, int dirfd, const char *path, int flags, ...)
{
	return (int)libc_result(opening_at(dirfd, path, flags, MODE(flags, flags)));
}

EXPORTED(int, openat64, int dirfd, const char *path, int flags, ...)
{
	return (int)libc_result(opening_at(dirfd, path, flags | LARGE, MODE(flags, flags)));
}

EXPORTED(int, creat, const char *path, unsigned mode)
{
	return (int)libc_result(
		opening_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode));
}

EXPORTED(int, creat64, const char *path, unsigned mode)
{
	return (int)libc_result(
		opening_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC | LARGE, mode));
}

// What programs built with _FORTIFY_SOURCE call without a mode.
EXPORTED(int, __open_2, const char *path, int flags)
{
	return (int)libc_result(opening_at(AT_FDCWD, path, flags, 0));
}

EXPORTED(int, __open64_2, const char *path, int flags)
{
	return (int)libc_result(opening_at(AT_FDCWD, path, flags | LARGE, 0));
}

EXPORTED(int, __openat_2, int dirfd, const char *path, int flags)
{
	return (int)libc_result(opening_at(dirfd, path, flags, 0));
}

EXPORTED(int, __openat64_2, int dirfd, const char *path, int flags)
{
	return (int)libc_result(opening_at(dirfd, path, flags | LARGE, 0));
}
