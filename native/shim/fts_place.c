// SPDX-License-Identifier: Apache-2.0
//
// Where a walk is, which is the program's current directory too, unless it said
// FTS_NOCHDIR.
#include "fts.h"
#include "look.h"

#include <asm/stat.h>
#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>

long fts_place_open(const char *path)
{
	struct kernel_call call = KERNEL_CALL(__NR_openat, AT_FDCWD, (long)path, O_RDONLY);
	return kernel_call_plain(&call);
}

void fts_place_close(int fd)
{
	struct kernel_call call = KERNEL_CALL(__NR_close, fd);
	kernel_call_plain(&call);
}

long fts_place_change(const struct fts *walk, int fd)
{
	struct kernel_call call = KERNEL_CALL(__NR_fchdir, fd);
	return walk->options & FTS_NOCHDIR ? 0 : kernel_call_plain(&call);
}

// Others may have moved the directory, or put something else in its place.
long fts_place_enter(const struct fts *walk, const struct fts_entry *directory, int fd)
{
	struct stat seen;
	if (walk->options & FTS_NOCHDIR)
		return 0;
	long failed = look_descriptor(fd, &seen);
	if (failed)
		return failed;
	if (seen.st_dev != directory->dev || seen.st_ino != directory->ino)
		return -ENOENT;
	return fts_place_change(walk, fd);
}

long fts_place_enter_path(const struct fts *walk, const struct fts_entry *directory,
			  const char *path)
{
	if (walk->options & FTS_NOCHDIR)
		return 0;
	long fd = fts_place_open(path);
	if (fd < 0)
		return fd;
	long failed = fts_place_enter(walk, directory, (int)fd);
	fts_place_close((int)fd);
	return failed;
}

long fts_place_go_up(const struct fts *walk, const struct fts_entry *directory)
{
	return directory->level == FTS_ROOTLEVEL
		       ? fts_place_change(walk, walk->rfd)
		       : fts_place_enter_path(walk, directory->parent, "..");
}

long fts_place_leave(const struct fts *walk, struct fts_entry *directory)
{
	if (directory->level == FTS_ROOTLEVEL)
		return fts_place_go_up(walk, directory);
	if (directory->flags & FTS_SYMFOLLOW) {
		long failed = fts_place_change(walk, directory->symfd);
		fts_entry_forget_place(directory);
		return failed;
	}
	return directory->flags & FTS_DONTCHDIR ? 0 : fts_place_go_up(walk, directory);
}
