// SPDX-License-Identifier: Apache-2.0
//
// fopen(3) and opendir(3), whose open(2) is libc's own affair: here it is ours, and libc
// makes the stream of the descriptor.
#include "opening.h"

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <stddef.h>

#ifdef __x86_64__
#define LARGE 0
#else
#define LARGE O_LARGEFILE
#endif
#define EVERYBODY_RW 0666u

static void close_file(long fd)
{
	struct kernel_call call = KERNEL_CALL(__NR_close, fd);
	kernel_call_plain(&call);
}

// The flags of a mode string, or -1 for one that is an error.
static int flags_of(const char *mode)
{
	int flags = *mode == 'r'   ? O_RDONLY
		    : *mode == 'w' ? O_WRONLY | O_CREAT | O_TRUNC
		    : *mode == 'a' ? O_WRONLY | O_CREAT | O_APPEND
				   : -1;
	for (const char *at = mode; flags >= 0 && *at && *at != ','; at++) {
		if (*at == '+')
			flags = (flags & ~O_ACCMODE) | O_RDWR;
		if (*at == 'x')
			flags |= O_EXCL;
		if (*at == 'e')
			flags |= O_CLOEXEC;
	}
	return flags;
}

// Modes that only libc's own can serve: a character set, or mapped memory.
static bool is_special(const char *mode)
{
	for (const char *at = mode; *at; at++)
		if (*at == ',' || *at == 'm')
			return true;
	return false;
}

static void *open_stream(const char *path, const char *mode, int large)
{
	const struct chain_libc *libc = chain_libc();
	int flags = flags_of(mode);
	if (flags < 0 || !libc->fdopen) {
		libc_set_errno(flags < 0 ? EINVAL : ENOSYS);
		return NULL;
	}
	if (libc->_IO_fopen && is_special(mode))
		return libc->_IO_fopen(path, mode);
	int fd = (int)libc_result(opening_at(AT_FDCWD, path, flags | large, EVERYBODY_RW));
	if (fd < 0)
		return NULL;
	void *stream = libc->fdopen(fd, mode);
	if (!stream)
		close_file(fd);
	return stream;
}

EXPORTED(void *, fopen, const char *path, const char *mode)
{
	return open_stream(path, mode, 0);
}

EXPORTED(void *, fopen64, const char *path, const char *mode)
{
	return open_stream(path, mode, LARGE);
}

EXPORTED(void *, opendir, const char *path)
{
	const int flags = O_RDONLY | O_NONBLOCK | O_DIRECTORY | O_CLOEXEC | LARGE;
	const struct chain_libc *libc = chain_libc();
	int fd = libc->fdopendir ? (int)libc_result(opening_at(AT_FDCWD, path, flags, 0))
				 : (int)libc_result(-ENOSYS);
	if (fd < 0)
		return NULL;
	void *stream = libc->fdopendir(fd);
	if (!stream)
		close_file(fd);
	return stream;
}
