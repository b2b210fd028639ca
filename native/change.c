// SPDX-License-Identifier: Apache-2.0
#include "change.h"

#include "answer.h"
#include "metadata.h"
#include "mounts.h"
#include "scope.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

// A file's first record on overlayfs must hold the birth time that it has after
// being copied up, which any change brings about.
static bool needs_copy_up(struct session *session, const struct mount_facts *facts,
			  const struct statx *real)
{
	struct inode_record record;
	return facts->overlay && !metadata_find(session, real, &record);
}

static int copy_up(struct subject *subject)
{
	// Changes no owner, but goes through ovl_setattr(), which copies up first.
	fchownat(subject->fd, "", (uid_t)-1, (gid_t)-1, AT_EMPTY_PATH);
	return resolve_attributes(subject->fd, &subject->real);
}

// Whether the kernel could have said so: the place is writable to targets.
static bool is_possible(const struct statx *seen)
{
	const uint32_t needed = STATX_TYPE | STATX_MODE | STATX_NLINK | STATX_UID | STATX_INO;
	return (seen->stx_mask & needed) == needed && (seen->stx_mode & S_IFMT) != 0 &&
	       seen->stx_btime.tv_nsec < 1000000000;
}

// What the shim has seen, where it has sent that along: looks.h. A program that sends
// something else deceives nobody but itself.
static bool take_look(const struct request *request, struct statx *real_ret)
{
	const struct session *session = request->session;
	uint64_t name = looks_mix(session->page->pass, request->args[1], request->args[5]);
	uint32_t index = (uint32_t)name, ticket = (uint32_t)(name >> 32);
	if (request->narrow || index >= LOOKS || ticket == 0)
		return false;
	const struct look_place *place = &session->writable->looks[index];
	if (atomic_load(&place->ticket) != ticket)
		return false;
	*real_ret = place->attributes;
	return atomic_load(&place->ticket) == ticket && is_possible(real_ret);
}

// Whether looking at the file is enough, because the mount is known. Pinning it
// takes three more system calls.
static bool look(struct request *request, struct subject *subject, struct mount_facts *facts_ret)
{
	return (take_look(request, &subject->real) ||
		resolve_statx(request, request_flags(request), RESOLVE_ATTRIBUTES,
			      &subject->real) == 0) &&
	       notification_valid(request) &&
	       mounts_known(request->session, &subject->real, facts_ret) &&
	       !needs_copy_up(request->session, facts_ret, &subject->real);
}

static int pin_subject(struct request *request, struct subject *subject,
		       struct mount_facts *facts_ret)
{
	int error = resolve_subject(request, request_flags(request), subject);
	if (error)
		return error;
	if (!mounts_known(request->session, &subject->real, facts_ret))
		mounts_learn(request->session, &subject->real, subject->fd, facts_ret);
	if (needs_copy_up(request->session, facts_ret, &subject->real))
		return copy_up(subject);
	return 0;
}

int change_begin(struct request *request, bool pin, struct subject *subject_ret)
{
	struct mount_facts facts;
	subject_ret->fd = -1;
	if (!request_flags_valid(request))
		return -EINVAL;
	if (pin || !look(request, subject_ret, &facts)) {
		int error = pin_subject(request, subject_ret, &facts);
		if (error)
			return error;
	}
	if (request->row->subject == SUBJECT_DESCRIPTOR &&
	    resolve_descriptor_is_path_only(request))
		return -EBADF;
	if (facts.read_only)
		return -EROFS;
	if (subject_ret->real.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND))
		return -EPERM;
	return 0;
}

// To the owner that it has, or where that takes more than the time, by the time of access that
// it had a moment ago.
static int touch(const struct subject *subject)
{
	const struct statx *real = &subject->real;
	const struct timespec times[2] = {
		{.tv_sec = real->stx_atime.tv_sec, .tv_nsec = real->stx_atime.tv_nsec},
		{.tv_nsec = UTIME_OMIT},
	};
	int result = rules_chown_takes(real)
			     ? utimensat(subject->fd, "", times, AT_EMPTY_PATH)
			     : fchownat(subject->fd, "", real->stx_uid, (gid_t)-1, AT_EMPTY_PATH);
	return result < 0 ? -errno : 0;
}

int change_touch(struct request *request, const struct subject *subject)
{
	struct statx seen;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (take_look(request, &seen) ||
	    rules_changed_now(&subject->real, now.tv_sec, (uint32_t)now.tv_nsec))
		return 0;
	if (subject->fd >= 0)
		return touch(subject);
	SCOPED(subject_close) struct subject pinned = SUBJECT_NONE_YET;
	int error = resolve_subject(request, request_flags(request), &pinned);
	return error ? error : touch(&pinned);
}

void change_outcome(struct outcome *outcome, int result)
{
	if (result == RESOLVE_LEAVE)
		outcome_continue(outcome);
	else
		outcome_result(outcome, result);
}
