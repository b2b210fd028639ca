// SPDX-License-Identifier: Apache-2.0
//
// access(2) and its kin: root is refused nothing (CAP_DAC_OVERRIDE) but to execute
// what has no execute bit and to write where nobody can. Who has left root is held to
// what is shown of the file itself.
//
// A directory on the way that the real user cannot search stays closed: what is
// behind it cannot be looked at, and the kernel refuses it.
#include "acl_permission.h"
#include "attach.h"
#include "glance.h"
#include "mounts.h"
#include "resolve.h"
#include "scope.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

// What refuses whoever asks.
struct obstacles {
	bool no_exec;
	bool read_only;
	bool immutable;
};

static bool executes_file(const struct statx *shown, uint32_t mode)
{
	return mode & X_OK && S_ISREG(shown->stx_mode);
}

// special_file(), <linux/fs.h>: to write to any other type is not to write to its
// file system.
static bool writes_to_mount(const struct statx *shown, uint32_t mode)
{
	return mode & W_OK && (S_ISREG(shown->stx_mode) || S_ISDIR(shown->stx_mode) ||
			       S_ISLNK(shown->stx_mode));
}

// Whether the file's own mode grants the real user all that is asked. Obstacles apart,
// of which the kernel knows more than can be found out: the answer is then root's.
static bool owner_may(const struct statx *real, const struct statx *shown, uint32_t mode)
{
	return real->stx_uid == geteuid() && !(mode & ~(real->stx_mode >> 6)) &&
	       (real->stx_mode & RULES_TYPE_MASK) == (shown->stx_mode & RULES_TYPE_MASK) &&
	       (!(mode & X_OK) || rules_root_executes(shown->stx_mode));
}

// Asked in the real user's name, since statx(2) does not tell: not of procfs, say,
// where the directories of processes are immutable. inode_permission() finds
// that out before it looks at the mode.
static bool is_immutable(int fd)
{
	char name[32];
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	return access(name, W_OK) < 0 && errno == EPERM;
}

static int find_obstacles(struct request *request, int flags, const struct statx *real,
			  uint32_t mode, struct obstacles *obstacles_ret)
{
	struct session *session = request->session;
	struct mount_facts mount;
	if (mode & W_OK || !mounts_known(session, real, &mount)) {
		SCOPED(subject_close) struct subject subject = SUBJECT_NONE_YET;
		int error = resolve_subject(request, flags, &subject);
		if (error)
			return error;
		mounts_learn(session, &subject.real, subject.fd, &mount);
		obstacles_ret->immutable = mode & W_OK && is_immutable(subject.fd);
	}
	obstacles_ret->no_exec = mount.no_exec;
	obstacles_ret->read_only = mount.read_only;
	return 0;
}

// access_override_creds(): the real ids count, unless AT_EACCESS is given.
static struct credentials asking(const struct request *request)
{
	struct credentials asker = *credentials_of(request);
	if (request_flags(request) & AT_EACCESS)
		return asker;
	asker.fsuid = asker.uid;
	asker.fsgid = asker.gid;
	if (!(asker.securebits & SECBIT_NO_SETUID_FIXUP))
		asker.effective = asker.uid == 0 ? asker.permitted : 0;
	return asker;
}

static bool overrides_all(const struct credentials *asker)
{
	return credentials_capable(asker, CAP_DAC_OVERRIDE) &&
	       credentials_capable(asker, CAP_DAC_READ_SEARCH);
}

// Returns 0, -EACCES, or RESOLVE_LEAVE.
static int permission_of_file(struct request *request, int flags, const struct credentials *asker,
			      const struct inode_record *record, const struct statx *shown,
			      uint32_t mode)
{
	SCOPED(subject_close) struct subject subject = SUBJECT_NONE_YET;
	if (!acl_has_a_say(asker, shown))
		return permission_by_mode(asker, shown, mode);
	if (resolve_subject(request, flags, &subject) != 0)
		return RESOLVE_LEAVE;
	return acl_permission(request->session, asker, subject.fd, record, shown, mode);
}

// do_faccessat() and inode_permission(), in their order.
static int permission(int of_file, const struct statx *shown, const struct obstacles *obstacles,
		      uint32_t mode)
{
	if (executes_file(shown, mode) && obstacles->no_exec)
		return -EACCES;
	if (obstacles->immutable)
		return -EPERM;
	if (of_file != 0)
		return of_file;
	return writes_to_mount(shown, mode) && obstacles->read_only ? -EROFS : 0;
}

void op_access(struct request *request, struct outcome *outcome)
{
	uint32_t mode = (uint32_t)request->args[request->row->mode];
	// Unlike statx(2) by default, access(2) triggers no automounts.
	int flags = (request_flags(request) & (AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) |
		    AT_NO_AUTOMOUNT;
	if (attach_by_flags(request, outcome))
		return;
	outcome_continue(outcome);
	if (mode & ~(uint32_t)(R_OK | W_OK | X_OK) || !request_flags_valid(request))
		return;

	struct statx real;
	struct inode_record record;
	int error = glance(request, flags, STATX_MNT_ID, &real, &record);
	if (error) {
		if (error == -ENOENT)
			outcome_result(outcome, error);
		return;
	}
	struct statx shown = real;
	rules_show(&record, request->session->page->unknown_is_real, &shown);

	struct credentials asker = asking(request);
	struct obstacles obstacles = {0};
	if (mode & W_OK && overrides_all(&asker) && owner_may(&real, &shown, mode))
		return;
	if ((mode & W_OK || executes_file(&shown, mode)) &&
	    find_obstacles(request, flags, &real, mode, &obstacles) != 0)
		return;
	int of_file = permission_of_file(request, flags, &asker, &record, &shown, mode);
	if (of_file == RESOLVE_LEAVE)
		return;
	error = permission(of_file, &shown, &obstacles, mode);
	// A read-only file system refuses to write before it looks at the mode, a read-only
	// mount after that, and statfs(2) does not tell them apart. The kernel does.
	if (error != 0 && error != -EROFS && overrides_all(&asker) && writes_to_mount(&shown, mode) && obstacles.read_only)
		return;
	outcome_result(outcome, error);
}
