// SPDX-License-Identifier: Apache-2.0
//
// Looking at a file: the real call, corrected by the inode table.
#ifndef FSC_SHIM_LOOK_H
#define FSC_SHIM_LOOK_H

#include "shim.h"

#include <linux/stat.h>

// statx(2). Returns 0 or -errno.
long look_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *attributes);

#ifdef __x86_64__
struct stat; // <asm/stat.h>: the kernel's layout, and that of every libc

// What is looked at, and how libc does it.
struct look {
	struct kernel_call call;
	int dirfd;
	const char *path;
	int flags; // AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH
};

// Makes the call and corrects the buffer. Returns 0 or -errno.
long look_stat(const struct look *look, struct stat *buffer);

struct look look_at(int dirfd, const char *path, struct stat *buffer, int flags);

// stat(2), lstat(2), fstat(2) (stat_x86_64.c). Return 0 or -errno.
long look_path(const char *path, struct stat *buffer, int flags);
long look_descriptor(int fd, struct stat *buffer);
#endif

#endif
