// SPDX-License-Identifier: Apache-2.0
#include "file_capability.h"

#include "scope.h"
#include "xattr_rules.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARK "\1written" // no call can name it: it is of no namespace

struct mark {
	int64_t seconds;
	uint64_t size;
	uint32_t nanoseconds;
	uint32_t has_contents;
	uint64_t contents;
};
// States of earlier versions have no contents.
#define MARK_BYTES_LEAST offsetof(struct mark, contents)

static struct mark mark_of(const struct statx *real)
{
	return (struct mark){.seconds = real->stx_mtime.tv_sec,
			     .nanoseconds = real->stx_mtime.tv_nsec,
			     .size = real->stx_size};
}

int file_capability_convert(void *value, size_t size)
{
	uint32_t words[FILE_CAPABILITY_MOST / 4];
	if (size != XATTR_CAPS_SZ_2 && size != XATTR_CAPS_SZ_3)
		return -EINVAL;
	memcpy(words, value, size);
	uint32_t revision = words[0] & VFS_CAP_REVISION_MASK;
	if (revision != (size == XATTR_CAPS_SZ_2 ? VFS_CAP_REVISION_2 : VFS_CAP_REVISION_3))
		return -EINVAL;
	// One for the root of the initial user namespace is shown as of revision 2.
	if (revision == VFS_CAP_REVISION_3 && words[5] == 0) {
		words[0] = VFS_CAP_REVISION_2 | (words[0] & VFS_CAP_FLAGS_EFFECTIVE);
		size = XATTR_CAPS_SZ_2;
		memcpy(value, words, size);
	}
	return (int)size;
}

static uint64_t mix(uint64_t sum, uint64_t word)
{
	sum = (sum ^ word) * 0x9e3779b97f4a7c15u;
	return sum ^ sum >> 32;
}

static bool add_contents(int fd, uint64_t *sum)
{
	unsigned char bytes[65536];
	for (uint64_t left = FILE_CONTENTS_MOST;;) {
		ssize_t size = read(fd, bytes, sizeof(bytes));
		if (size <= 0)
			return size == 0;
		if ((uint64_t)size > left)
			return false;
		left -= (uint64_t)size;
		memset(bytes + size, 0, (size_t)(-size & 7));
		for (ssize_t i = 0; i < size; i += 8) {
			uint64_t word;
			memcpy(&word, bytes + i, sizeof(word));
			*sum = mix(*sum, word);
		}
		*sum = mix(*sum, (uint64_t)size);
	}
}

bool file_contents(int fd, uint64_t *contents_ret)
{
	char name[32];
	struct stat before, after;
	const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
	if (fstat(fd, &before) < 0 || !S_ISREG(before.st_mode) ||
	    (uint64_t)before.st_size > FILE_CONTENTS_MOST)
		return false;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	SCOPED_FD opened = open(name, flags | O_NOATIME);
	if (opened < 0)
		opened = open(name, flags); // of another owner
	*contents_ret = mix(0, (uint64_t)before.st_size);
	return opened >= 0 && add_contents(opened, contents_ret) && fstat(fd, &after) == 0 &&
	       before.st_mtim.tv_sec == after.st_mtim.tv_sec &&
	       before.st_mtim.tv_nsec == after.st_mtim.tv_nsec && before.st_size == after.st_size;
}

int file_capability_put(struct session *session, uint32_t *xattrs, const struct statx *real,
			const uint64_t *contents, const void *value, size_t size)
{
	struct mark mark = mark_of(real);
	mark.has_contents = contents != NULL;
	mark.contents = contents ? *contents : 0;
	int error = xattr_store_put(session, xattrs, XATTR_CAPABILITY, value, size);
	return error ? error
		     : xattr_store_put(session, xattrs, MARK, &mark, sizeof(mark));
}

// Fills what an earlier version's lacks. Returns its size; 0 also where there is none.
static size_t read_mark(struct session *session, uint32_t xattrs, struct mark *mark_ret)
{
	size_t size = 0;
	*mark_ret = (struct mark){0};
	bool found = xattr_store_read(session, xattrs, MARK, mark_ret, sizeof(*mark_ret), &size) ==
		     XATTR_VALUE;
	if (size < sizeof(*mark_ret))
		mark_ret->has_contents = 0;
	return found ? size : 0;
}

static bool is_unmarked(struct session *session, uint32_t xattrs)
{
	size_t size;
	// An empty mark is of a state that knows the file by name alone.
	return xattr_store_get(session, xattrs, MARK, NULL, &size) == XATTR_VALUE && size == 0;
}

bool file_capability_holds(struct session *session, uint32_t xattrs, const struct statx *real,
			   int fd)
{
	struct mark before, now = mark_of(real);
	uint64_t contents;
	if (!S_ISREG(real->stx_mode))
		return true; // they are for nothing, and nothing is written
	if (read_mark(session, xattrs, &before) == 0)
		return is_unmarked(session, xattrs);
	if (before.size != now.size)
		return false;
	if (before.seconds == now.seconds && before.nanoseconds == now.nanoseconds)
		return true;
	return before.has_contents && fd >= 0 && file_contents(fd, &contents) &&
	       contents == before.contents;
}

bool file_capability_fits(const char *name, size_t size)
{
	if (*name == *MARK)
		return strcmp(name, MARK) == 0 &&
		       (size == 0 || size == MARK_BYTES_LEAST || size == sizeof(struct mark));
	return strcmp(name, XATTR_CAPABILITY) != 0 || size <= FILE_CAPABILITY_MOST;
}

void file_capability_touch(struct session *session, uint32_t *xattrs, const struct statx *real)
{
	struct mark before, mark = mark_of(real);
	read_mark(session, *xattrs, &before);
	mark.has_contents = before.has_contents;
	mark.contents = before.contents;
	xattr_store_put(session, xattrs, MARK, &mark, sizeof(mark));
}

void file_capability_drop(struct session *session, uint32_t xattrs)
{
	if (xattr_store_get(session, xattrs, MARK, NULL, NULL) == XATTR_UNKNOWN)
		return;
	xattr_store_drop(session, xattrs, XATTR_CAPABILITY);
	xattr_store_drop(session, xattrs, MARK);
}

void file_capability_execute(struct session *session, uint32_t xattrs,
			     struct executed_file *file)
{
	unsigned char value[FILE_CAPABILITY_MOST];
	uint32_t words[FILE_CAPABILITY_MOST / 4];
	size_t size;
	if (xattr_store_get(session, xattrs, XATTR_CAPABILITY, NULL, &size) !=
		    XATTR_VALUE ||
	    size != XATTR_CAPS_SZ_2 ||
	    xattr_store_read(session, xattrs, XATTR_CAPABILITY, value, sizeof(value), &size) !=
		    XATTR_VALUE ||
	    size != XATTR_CAPS_SZ_2)
		return;
	memcpy(words, value, size);
	file->has_capabilities = true;
	file->effective = words[0] & VFS_CAP_FLAGS_EFFECTIVE;
	file->permitted = (words[1] | (uint64_t)words[3] << 32) & CREDENTIALS_ALL_CAPABILITIES;
	file->inheritable = (words[2] | (uint64_t)words[4] << 32) & CREDENTIALS_ALL_CAPABILITIES;
}
