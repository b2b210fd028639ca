// SPDX-License-Identifier: Apache-2.0
#include "creation.h"

#include "credentials.h"
#include "landlock.h"
#include "metadata.h"
#include "permission.h"
#include "scope.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#define DEFAULT_ACL "system.posix_acl_default"

static uint32_t bits_the_user_needs(uint32_t mode)
{
	return S_ISDIR(mode) ? 0700 : S_ISLNK(mode) ? 0 : 0600;
}

// Linux 4.7. It is in the second line: one short read instead of a stream (4 us less).
uint32_t creation_umask(const struct request *request)
{
	char name[32], text[128];
	unsigned mask = 022;
	snprintf(name, sizeof(name), "/proc/%d/status", request->tid);
	SCOPED_FD fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	text[size < 0 ? 0 : size] = '\0';
	const char *line = strstr(text, "\nUmask:");
	if (line)
		sscanf(line, " Umask: %o", &mask);
	return mask;
}

// As the directory is shown, not as it is.
static int look_at_directory(struct session *session, int directory, struct statx *shown_ret)
{
	struct inode_record record;
	int error = resolve_attributes(directory, shown_ret);
	if (error)
		return error;
	bool known = metadata_find(session, shown_ret, &record);
	rules_show(known ? &record : NULL, session->page->unknown_is_real, shown_ret);
	return 0;
}

// A real set-group-ID directory hands on its real group by itself. Only a remembered one,
// or a remembered bit, needs us.
static bool hands_group_on(struct session *session, int directory)
{
	struct statx shown;
	return look_at_directory(session, directory, &shown) != 0 || shown.stx_mode & S_ISGID;
}

bool creation_is_ordinary(const struct request *request, uint32_t mode, int directory)
{
	struct session *session = request->session;
	uint32_t needed = bits_the_user_needs(mode);
	const struct credentials *credentials = credentials_of(request);
	if ((mode & needed) != needed || mode & 06000 || credentials->fsuid != 0 ||
	    credentials->fsgid != 0)
		return false;
	if (atomic_load(&session->page->locking_umasks) > 0 && creation_umask(request) & needed)
		return false;
	return atomic_load(&session->page->setgid_directories) == 0 ||
	       (directory >= 0 && !hands_group_on(session, directory));
}

static bool has_default_acl(int directory)
{
	char name[32];
	snprintf(name, sizeof(name), "/proc/self/fd/%d", directory);
	return getxattr(name, DEFAULT_ACL, NULL, 0) >= 0;
}

int creation_plan(const struct request *request, int directory, uint32_t mode, uint32_t rdev,
		  struct creation *creation_ret)
{
	const struct credentials *credentials = credentials_of(request);
	struct statx shown;
	int error = look_at_directory(request->session, directory, &shown);
	if (error)
		return error;
	// mode_strip_sgid(): before the umask has its say (Linux 6.0).
	bool inherits = shown.stx_mode & S_ISGID;
	if (inherits && !S_ISDIR(mode) && (mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
	    !permission_keeps_setgid(credentials, shown.stx_gid))
		mode &= ~(uint32_t)S_ISGID;
	// With a default ACL the kernel masks by that instead (acl(5)).
	if (!S_ISLNK(mode) && !has_default_acl(directory))
		mode &= ~creation_umask(request);
	if (inherits && S_ISDIR(mode))
		mode |= S_ISGID;
	*creation_ret = (struct creation){
		.asked = mode,
		.real_mode = (mode & 01777) | bits_the_user_needs(mode),
		.uid = credentials->fsuid,
		.gid = inherits ? shown.stx_gid : credentials->fsgid,
		.rdev = rdev,
	};
	if (credentials->fsuid != 0)
		creation_ret->fields |= INODE_UID;
	if (inherits || credentials->fsgid != 0)
		creation_ret->fields |= INODE_GID;
	if (!S_ISLNK(mode) && creation_ret->real_mode != (mode & RULES_MODE_MASK))
		creation_ret->fields |= INODE_MODE;
	if (S_ISCHR(mode) || S_ISBLK(mode))
		creation_ret->fields |= INODE_MODE | INODE_TYPE;
	return 0;
}

// stays: also if the file has no name yet.
static int remember(struct session *session, int fd, const struct creation *creation, bool stays)
{
	struct statx real;
	struct inode_record record;
	int error = resolve_attributes(fd, &real);
	if (error || !creation->fields)
		return error;
	// A default ACL has masked the permissions that were asked for.
	uint32_t granted = real.stx_mode | bits_the_user_needs(creation->asked);
	SCOPED_LOCK held = metadata_lock(session, &real);
	metadata_edit(session, &real, &record);
	record.fields = creation->fields | (stays ? 0 : record.fields & INODE_RETIRED);
	record.uid = creation->uid;
	record.gid = creation->gid;
	record.mode = (creation->asked & ~0777u) | (creation->asked & granted & 0777);
	record.rdev = creation->rdev;
	if (S_ISDIR(creation->asked) && creation->asked & S_ISGID)
		atomic_fetch_add(&session->page->setgid_directories, 1);
	return metadata_store(session, &record);
}

int creation_remember(struct session *session, int fd, const struct creation *creation)
{
	return remember(session, fd, creation, false);
}

// Its inode number may be given away within the same tick of the clock.
void creation_forget(struct session *session, int fd)
{
	struct statx real;
	struct inode_record record;
	if (resolve_attributes(fd, &real) != 0)
		return;
	SCOPED_LOCK held = metadata_lock(session, &real);
	metadata_edit(session, &real, &record);
	record.fields = 0;
	metadata_store(session, &record);
}

// Whoever has opened a file may give it a name (Linux 6.10). Before, /proc does.
static int name_file(const struct request *request, int fd, const struct entry *entry)
{
	char name[32];
	long error = ACT_5(request, linkat, fd, "", entry->dirfd, entry->name, AT_EMPTY_PATH);
	if (error != -ENOENT)
		return (int)error;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	return (int)ACT_5(request, linkat, AT_FDCWD, name, entry->dirfd, entry->name,
			  AT_SYMLINK_FOLLOW);
}

int creation_link_file(const struct request *request, const struct entry *entry,
		       const struct creation *creation)
{
	struct session *session = request->session;
	SCOPED_FD made = (int)ACT_4(request, openat, entry->dirfd, ".",
				    O_TMPFILE | O_WRONLY | O_CLOEXEC, creation->real_mode);
	if (made < 0)
		return made;
	int error = remember(session, made, creation, true);
	if (!error)
		error = name_file(request, made, entry);
	if (error)
		creation_forget(session, made);
	return error ? error : fd_release(&made);
}

int creation_remember_entry(struct session *session, const struct entry *entry,
			    const struct creation *creation)
{
	if (!creation->fields)
		return 0;
	SCOPED_FD made = openat(entry->dirfd, entry->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return made < 0 ? -errno : creation_remember(session, made, creation);
}
