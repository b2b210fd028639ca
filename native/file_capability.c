// SPDX-License-Identifier: Apache-2.0
#include "file_capability.h"

#include "xattr_rules.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define MARK "\1written" // no call can name it: it is of no namespace

struct mark {
	int64_t seconds;
	uint64_t size;
	uint32_t nanoseconds;
	uint32_t unused;
};

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

int file_capability_put(struct session *session, uint32_t *xattrs, const struct statx *real,
			const void *value, size_t size)
{
	struct mark mark = mark_of(real);
	int error = xattr_store_put(session, xattrs, XATTR_CAPABILITY, value, size);
	return error ? error
		     : xattr_store_put(session, xattrs, MARK, &mark, sizeof(mark));
}

bool file_capability_holds(struct session *session, uint32_t xattrs, const struct statx *real)
{
	struct mark before, now = mark_of(real);
	size_t size;
	if (!S_ISREG(real->stx_mode))
		return true; // they are for nothing, and nothing is written
	// An empty mark is of a state that knows the file by name alone.
	return xattr_store_get(session, xattrs, MARK, &before, &size) == XATTR_VALUE &&
	       (size == 0 || memcmp(&before, &now, sizeof(now)) == 0);
}

bool file_capability_fits(const char *name, size_t size)
{
	if (*name == *MARK)
		return strcmp(name, MARK) == 0 && (size == 0 || size == sizeof(struct mark));
	return strcmp(name, XATTR_CAPABILITY) != 0 || size <= FILE_CAPABILITY_MOST;
}

void file_capability_touch(struct session *session, uint32_t *xattrs, const struct statx *real)
{
	struct mark mark = mark_of(real);
	xattr_store_put(session, xattrs, MARK, &mark, sizeof(mark));
}

void file_capability_drop(struct session *session, uint32_t xattrs)
{
	if (xattr_store_get(session, xattrs, MARK, NULL, NULL) == XATTR_UNKNOWN)
		return;
	xattr_store_drop(session, xattrs, XATTR_CAPABILITY);
	xattr_store_drop(session, xattrs, MARK);
}

void file_capability_execute(struct session *session, uint32_t xattrs, const struct statx *real,
			     struct executed_file *file)
{
	unsigned char value[FILE_CAPABILITY_MOST];
	uint32_t words[FILE_CAPABILITY_MOST / 4];
	size_t size;
	if (!file_capability_holds(session, xattrs, real) ||
	    xattr_store_get(session, xattrs, XATTR_CAPABILITY, NULL, &size) !=
		    XATTR_VALUE ||
	    size != XATTR_CAPS_SZ_2 ||
	    xattr_store_get(session, xattrs, XATTR_CAPABILITY, value, &size) !=
		    XATTR_VALUE)
		return;
	memcpy(words, value, size);
	file->has_capabilities = true;
	file->effective = words[0] & VFS_CAP_FLAGS_EFFECTIVE;
	file->permitted = (words[1] | (uint64_t)words[3] << 32) & CREDENTIALS_ALL_CAPABILITIES;
	file->inheritable = (words[2] | (uint64_t)words[4] << 32) & CREDENTIALS_ALL_CAPABILITIES;
}
