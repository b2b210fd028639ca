// SPDX-License-Identifier: Apache-2.0
//
// Reading directories, by the calls that opendir(3) and readdir(3) make. They are
// listed by the kernel even where devices are remembered: all that a walk asks of a
// type is whether it is a directory's, and a remembered device is none either way.
#include "fts.h"

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>

#define BYTES ((size_t)1 << 15) // as much as glibc asks for

#define DT_UNKNOWN 0 // <dirent.h>
#define DT_DIR 4

struct dirent64 { // struct linux_dirent64, getdents64(2)
	uint64_t ino, position;
	uint16_t length;
	uint8_t type;
	char name[];
};

long fts_directory_open(struct fts_directory *directory, const char *path)
{
	struct kernel_call open = KERNEL_CALL(__NR_openat, AT_FDCWD, (long)path,
					      O_RDONLY | O_NONBLOCK | O_DIRECTORY | O_CLOEXEC);
	long fd = kernel_call_plain(&open);
	if (fd < 0)
		return fd;
	*directory = (struct fts_directory){.fd = (int)fd, .bytes = malloc(BYTES)};
	if (directory->bytes)
		return 0;
	fts_directory_close(directory);
	return -ENOMEM;
}

void fts_directory_close(struct fts_directory *directory)
{
	fts_place_close(directory->fd);
	free(directory->bytes);
}

static long read_more(const struct fts_directory *directory)
{
	const struct session_page *page = session_attached();
	struct kernel_call list =
		KERNEL_CALL(__NR_getdents64, directory->fd, (long)directory->bytes, BYTES);
	return page ? kernel_call_passed(&list, page->pass) : kernel_call_plain(&list);
}

// An error ends a listing as its end does.
bool fts_directory_next(struct fts_directory *directory, struct fts_name *name_ret)
{
	if (directory->at >= directory->size) {
		directory->at = 0;
		directory->size = read_more(directory);
	}
	if (directory->size <= 0)
		return false;
	const struct dirent64 *entry =
		(const struct dirent64 *)(directory->bytes + directory->at);
	directory->at += entry->length;
	size_t length = 0;
	while (entry->name[length])
		length++;
	*name_ret = (struct fts_name){
		.text = entry->name,
		.length = length,
		.may_be_directory = entry->type == DT_DIR || entry->type == DT_UNKNOWN,
	};
	return true;
}
