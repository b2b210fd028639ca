// SPDX-License-Identifier: Apache-2.0
//
// utimensat(2) and its kin. Times are real; what is looked at is who may set them, once
// somebody has left root, and that a file keeps its remembered capability: that is
// told from contents written later by the time of modification.
#include "change.h"
#include "credentials.h"
#include "file_capability.h"
#include "metadata.h"
#include "acl_permission.h"
#include "scope.h"
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

// How two times lie in memory: words of 64 or 32 bits, seconds and parts of them.
struct times_layout {
	size_t word;
	long parts; // nanoseconds in one of the second word's units; 0: there is none
};

static struct times_layout layout_of(const struct request *request)
{
	switch (request->row->variant) {
	case VARIANT_TIMES_NS32:
		return (struct times_layout){4, 1};
	case VARIANT_TIMES_US64:
		return (struct times_layout){8, 1000};
	case VARIANT_TIMES_US32:
		return (struct times_layout){4, 1000};
	case VARIANT_TIMES_S64:
		return (struct times_layout){8, 0};
	case VARIANT_TIMES_S32:
		return (struct times_layout){4, 0};
	default:
		return (struct times_layout){8, 1};
	}
}

static int64_t word_at(const unsigned char *bytes, size_t index, size_t word)
{
	int32_t narrow;
	int64_t wide;
	if (word == 8) {
		memcpy(&wide, bytes + index * word, word);
		return wide;
	}
	memcpy(&narrow, bytes + index * word, word);
	return narrow;
}

// Returns 0, or -EFAULT or -EINVAL.
static int read_times(struct request *request, struct timespec times_ret[static 2])
{
	uint64_t address = request->args[request->row->times];
	struct times_layout layout = layout_of(request);
	unsigned char bytes[32];
	times_ret[0] = times_ret[1] = (struct timespec){.tv_nsec = UTIME_NOW};
	if (address == 0)
		return 0;
	size_t words = layout.parts ? 4 : 2;
	int error = target_read(request->tid, address, bytes, words * layout.word);
	for (size_t i = 0; !error && i < 2; i++) {
		times_ret[i].tv_sec = word_at(bytes, i * words / 2, layout.word);
		times_ret[i].tv_nsec = 0;
		if (!layout.parts)
			continue;
		int64_t parts = word_at(bytes, 2 * i + 1, layout.word);
		if (layout.parts > 1 && (parts < 0 || parts >= 1000000))
			return -EINVAL;
		times_ret[i].tv_nsec = parts * layout.parts;
	}
	return error;
}

// setattr_prepare(), vfs_utimes()
static int may_set(struct request *request, const struct subject *subject,
		   const struct inode_record *record, const struct timespec times[static 2])
{
	struct session *session = request->session;
	const struct credentials *credentials = credentials_of(request);
	struct statx shown = subject->real;
	rules_show(record, session->page->unknown_is_real, &shown);
	if (times[0].tv_nsec == UTIME_OMIT && times[1].tv_nsec == UTIME_OMIT)
		return 0;
	if (permission_owns(credentials, &shown))
		return 0;
	bool now = times[0].tv_nsec == UTIME_NOW && times[1].tv_nsec == UTIME_NOW;
	return now ? acl_permission(session, credentials, subject->fd, record, &shown, W_OK)
		   : -EPERM;
}

static int set_marked(struct session *session, struct subject *subject,
		      const struct timespec times[static 2])
{
	char name[32];
	struct inode_record record;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", subject->fd);
	SCOPED_LOCK held = metadata_lock(session, &subject->real);
	resolve_attributes(subject->fd, &subject->real);
	metadata_edit(session, &subject->real, &record);
	bool holds = file_capability_holds(session, record.xattrs, &subject->real,
					   subject->fd);
	if (utimensat(AT_FDCWD, name, times, 0) < 0)
		return -errno;
	if (!holds || resolve_attributes(subject->fd, &subject->real) != 0)
		return 0;
	file_capability_touch(session, &record.xattrs, &subject->real);
	return metadata_store(session, &record);
}

static int set_times(struct request *request)
{
	struct session *session = request->session;
	SCOPED(subject_close) struct subject subject = SUBJECT_NONE_YET;
	struct timespec times[2];
	struct inode_record record;
	// futimens(3): a NULL path means the descriptor itself, which no other call allows.
	bool by_descriptor = request->row->dirfd >= 0 && request->args[request->row->path] == 0;
	if (read_times(request, times) != 0 || !request_flags_valid(request))
		return RESOLVE_LEAVE;
	int error = by_descriptor ? resolve_descriptor(request, &subject)
				  : resolve_subject(request, request_flags(request), &subject);
	if (error)
		return RESOLVE_LEAVE;
	if (!metadata_find(session, &subject.real, &record))
		record = (struct inode_record){0};
	error = may_set(request, &subject, &record, times);
	if (error || record.xattrs == 0)
		return error ? error : RESOLVE_LEAVE;
	return set_marked(session, &subject, times);
}

void op_times(struct request *request, struct outcome *outcome)
{
	const struct session_page *page = request->session->page;
	outcome_continue(outcome);
	if (atomic_load(&page->xattr_records) > 0 || atomic_load(&page->left_root) > 0)
		change_outcome(outcome, set_times(request));
}
