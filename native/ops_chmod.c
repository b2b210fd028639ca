// SPDX-License-Identifier: Apache-2.0
//
// chmod(2) and its kin: done for real as far as the user stays able to work on
// the file, and no further; what the real mode then does not show is remembered.
#include "change.h"
#include "metadata.h"
#include "permission.h"
#include "scope.h"
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

// Root reads, writes and searches whatever the mode; the real user needs the
// bits. A real set-user-ID bit would hand the real user's rights to others.
static uint32_t real_mode(uint32_t mode, bool directory)
{
	return (mode & 01777) | (directory ? 0700 : 0600);
}

static int chmod_real(int fd, uint32_t mode)
{
	char name[32];
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	return chmod(name, mode) < 0 ? -errno : 0;
}

// setattr_prepare(): the owner may, and keeps set-group-ID if the group is one of theirs.
static int check_chmod(struct request *request, const struct subject *subject, uint32_t *mode)
{
	const struct credentials *credentials = credentials_of(request);
	struct inode_record record;
	struct statx shown = subject->real;
	bool known = metadata_find(request->session, &subject->real, &record);
	rules_show(known ? &record : NULL, request->session->page->unknown_is_real, &shown);
	if (!permission_owns(credentials, &shown))
		return -EPERM;
	if (!permission_keeps_setgid(credentials, shown.stx_gid))
		*mode &= ~(uint32_t)S_ISGID;
	return 0;
}

static int change_mode(struct session *session, struct subject *subject, uint32_t mode)
{
	// The real change and the record are one step, unless the change may wait for
	// another target, a file server: then two at once may leave the record of
	// the one beside the real mode of the other, and the record is what shows.
	bool one_step = atomic_load(&session->local);
	SCOPED_LOCK held = one_step ? metadata_lock(session, &subject->real) : NULL;
	uint32_t real = real_mode(mode, S_ISDIR(subject->real.stx_mode));
	int error = chmod_real(subject->fd, real);
	// EPERM: the real owner is somebody else. Root could, so it is remembered.
	if (error && error != -EPERM)
		return error;
	if (error)
		real = subject->real.stx_mode & RULES_MODE_MASK;

	struct statx before = subject->real;
	int failed = error ? 0 : resolve_attributes(subject->fd, &subject->real);
	if (failed)
		return failed;
	if (!one_step)
		held = metadata_lock(session, &before);
	// A copy-up by overlayfs has changed the birth time: the record moves along.
	struct inode_record record;
	metadata_edit(session, &before, &record);
	if (!error) {
		real = subject->real.stx_mode & RULES_MODE_MASK;
		rules_identity(&subject->real, &record.identity);
	}
	if (real == mode && one_step) {
		record.fields &= ~(uint32_t)INODE_MODE;
	} else {
		record.fields |= INODE_MODE;
		record.mode = (record.mode & RULES_TYPE_MASK) | mode;
	}
	if (S_ISDIR(before.stx_mode) && mode & S_ISGID)
		atomic_fetch_add(&session->page->setgid_directories, 1);
	return metadata_store(session, &record);
}

void op_chmod(struct request *request, struct outcome *outcome)
{
	SCOPED(subject_close) struct subject subject = SUBJECT_NONE_YET;
	uint32_t mode = (uint32_t)request->args[request->row->mode] & RULES_MODE_MASK;
	int result = change_begin(request, true, &subject);
	if (!result && S_ISLNK(subject.real.stx_mode))
		result = -EOPNOTSUPP;
	if (!result)
		result = check_chmod(request, &subject, &mode);
	if (!result)
		result = change_mode(request->session, &subject, mode);
	change_outcome(outcome, result);
}

#define ACCESS_ACL "system.posix_acl_access"

// struct posix_acl_xattr_header and the entries behind it, <linux/posix_acl_xattr.h>
struct access_acl {
	uint32_t version;
	struct {
		uint16_t tag, permissions;
		uint32_t id;
	} entries[3];
};

// The permissions of an ACL that has no entries but the owner's, the group's and
// the others': what such an ACL says is a mode. Returns false for any other.
static bool acl_is_mode(const struct access_acl *acl, uint32_t *permissions_ret)
{
	static const uint16_t tags[] = {0x01, 0x04, 0x20};
	if (acl->version != 2)
		return false;
	*permissions_ret = 0;
	for (int i = 0; i < 3; i++) {
		if (acl->entries[i].tag != tags[i] || acl->entries[i].permissions > 7)
			return false;
		*permissions_ret = *permissions_ret << 3 | acl->entries[i].permissions;
	}
	return true;
}

static bool reads_mode_acl(const struct request *request, uint32_t *permissions_ret)
{
	const struct syscall_row *row = request->row;
	struct access_acl acl;
	char name[PATH_MAX];
	if (request->args[row->size] != sizeof(acl) ||
	    (uint32_t)request->args[row->xattr_flags] & ~(uint32_t)(XATTR_CREATE | XATTR_REPLACE) ||
	    target_read_path(request->tid, request->args[row->xattr_name], name) < 0 ||
	    strcmp(name, ACCESS_ACL) != 0)
		return false;
	return target_read(request->tid, request->args[row->value], &acl, sizeof(acl)) == 0 &&
	       acl_is_mode(&acl, permissions_ret);
}

static int set_mode_acl(struct session *session, struct subject *subject, uint32_t permissions)
{
	struct inode_record record;
	struct statx shown = subject->real;
	bool known = metadata_find(session, &subject->real, &record);
	rules_show(known ? &record : NULL, session->page->unknown_is_real, &shown);
	// One that says more gives way, as it does in the kernel.
	char name[32];
	snprintf(name, sizeof(name), "/proc/self/fd/%d", subject->fd);
	removexattr(name, ACCESS_ACL);
	return change_mode(session, subject, (shown.stx_mode & 07000u) | permissions);
}

// acl_set_file(3), by which cp(1) and install(1) of coreutils copy modes.
void op_set_acl(struct request *request, struct outcome *outcome)
{
	SCOPED(subject_close) struct subject subject = SUBJECT_NONE_YET;
	uint32_t permissions;
	outcome_continue(outcome);
	if (!reads_mode_acl(request, &permissions))
		return;
	int result = change_begin(request, true, &subject);
	if (!result && S_ISLNK(subject.real.stx_mode))
		return;
	if (!result)
		result = set_mode_acl(request->session, &subject, permissions);
	change_outcome(outcome, result);
}
