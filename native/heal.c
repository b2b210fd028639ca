// SPDX-License-Identifier: Apache-2.0
#include "heal.h"

#include "metadata.h"
#include "resolve.h"
#include "scope.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

// Remembered first: nobody sees the mode that it is given.
static bool heal_file(struct session *session, int fd)
{
	char name[32];
	struct statx real;
	struct inode_record record;
	if (resolve_attributes(fd, &real) != 0 || real.stx_uid != geteuid() ||
	    !(S_ISDIR(real.stx_mode) || S_ISREG(real.stx_mode)))
		return false;
	uint32_t needed = S_ISDIR(real.stx_mode) ? 0700 : 0600;
	if ((real.stx_mode & needed) == needed)
		return false;
	SCOPED_LOCK held = metadata_lock(session, &real);
	metadata_edit(session, &real, &record);
	if (!(record.fields & INODE_MODE)) {
		record.fields |= INODE_MODE;
		record.mode = (record.mode & RULES_TYPE_MASK) | (real.stx_mode & RULES_MODE_MASK);
		if (metadata_store(session, &record) != 0)
			return false;
	}
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	return chmod(name, (real.stx_mode & RULES_MODE_MASK) | needed) == 0;
}

bool heal_path(struct session *session, int dirfd, const char *path)
{
	char prefix[PATH_MAX];
	bool changed = false;
	size_t length = strlen(path);
	if (length >= sizeof(prefix))
		return false;
	for (size_t end = 1; end <= length; end++) {
		if (path[end] != '/' && path[end] != '\0')
			continue;
		memcpy(prefix, path, end);
		prefix[end] = '\0';
		SCOPED_FD fd = openat(dirfd, prefix, O_PATH | O_CLOEXEC);
		if (fd < 0)
			break;
		changed |= heal_file(session, fd);
	}
	return changed;
}
