// SPDX-License-Identifier: Apache-2.0
//
// Attributes and record are read one after the other, as in glance.c. Wherever
// they do not fit together at once, the supervisor is asked: it drops what is
// stale, and knows how to wait.
#include "look.h"

#include "rules.h"

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/time.h>
#include <linux/time_types.h>
#include <stddef.h>

static uint32_t retirements(const struct session_page *page)
{
	return atomic_load_explicit(&page->retirements, memory_order_acquire);
}

static struct kernel_call statx_call(int dirfd, const char *path, int flags, unsigned mask,
				     struct statx *attributes)
{
	return KERNEL_CALL(__NR_statx, dirfd, (long)path, flags, (long)mask, (long)attributes);
}

// Root passes every directory: what keeps the user out, the supervisor opens.
static long refused(const struct kernel_call *call, long returned)
{
	return returned == -EACCES ? session_trapped(call) : returned;
}

long look_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *attributes)
{
	const struct session_page *page = session_attached();
	struct kernel_call call = statx_call(dirfd, path, flags, mask, attributes);
	if (!page)
		return session_trapped(&call);

	const unsigned needed = STATX_INO | STATX_NLINK;
	uint32_t before = retirements(page);
	struct kernel_call more = statx_call(dirfd, path, flags, mask | RULES_ATTRIBUTES, attributes);
	long returned = kernel_call_passed(&more, page->pass);
	if (returned < 0)
		return refused(&call, returned);
	struct inode_record record;
	enum inode_lookup found = INODE_BUSY;
	if ((attributes->stx_mask & needed) == needed)
		found = session_find(&call,
				     rules_dev(attributes->stx_dev_major, attributes->stx_dev_minor),
				     attributes->stx_ino, &record);
	if (found == INODE_BUSY || before != retirements(page) ||
	    (found == INODE_FOUND && rules_record_owner(&record, attributes) != RULES_THIS_FILE))
		return session_trapped(&call);
	rules_show(found == INODE_FOUND ? &record : NULL, page->unknown_is_real, attributes);
	rules_hide_unasked(mask, attributes);
	return 0;
}

// No directory is opened for writing. Half the price of a look.
static bool is_written(int fd)
{
	struct kernel_call call = KERNEL_CALL(NR_FCNTL, fd, F_GETFL);
	long flags = kernel_call_plain(&call);
	return flags >= 0 && flags & O_ACCMODE && !(flags & O_PATH);
}

bool look_has_plain_mode(const struct kernel_call *call, int fd, bool searchable)
{
	const struct session_page *page = session_attached();
	bool saved = atomic_load(&page->saved);
	if (!saved && !session_has_modes(page, call) && (searchable || is_written(fd)))
		return true;
	struct statx seen;
	struct inode_record record;
	struct kernel_call look = statx_call(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_TYPE, &seen);
	if (kernel_call_passed(&look, page->pass) != 0 ||
	    ((seen.stx_mode & RULES_TYPE_MASK) == 0040000u && !searchable))
		return false;
	switch (session_find(call, rules_dev(seen.stx_dev_major, seen.stx_dev_minor), seen.stx_ino,
			     &record)) {
	case INODE_ABSENT:
		return true;
	case INODE_FOUND:
		return !saved && !(record.fields & (INODE_MODE | INODE_TYPE | INODE_RETIRED));
	default:
		return false;
	}
}

// By a sandbox: the kernel has no such answer to a look.
static bool is_refused(long returned)
{
	return returned == -EPERM || returned == -ENOSYS;
}

#ifdef __x86_64__

#include <asm/stat.h>

struct look look_at(int dirfd, const char *path, struct stat *buffer, int flags)
{
	struct look look = {.dirfd = dirfd, .path = path, .flags = flags};
	look.call = KERNEL_CALL(__NR_newfstatat, dirfd, (long)path, (long)buffer, flags);
	if (libc_style() != LIBC_OTHER)
		return look;
	// musl reads the path, and so crashes for a bad pointer by itself.
	if (flags == AT_EMPTY_PATH && dirfd >= 0 && *path == '\0')
		look.call = KERNEL_CALL(__NR_fstat, dirfd, (long)buffer);
	else if (flags == 0 && (dirfd == AT_FDCWD || *path == '/'))
		look.call = KERNEL_CALL(__NR_stat, (long)path, (long)buffer);
	else if (flags == AT_SYMLINK_NOFOLLOW && (dirfd == AT_FDCWD || *path == '/'))
		look.call = KERNEL_CALL(__NR_lstat, (long)path, (long)buffer);
	return look;
}

// Files whose birth time was compared with their record's, by a fingerprint of both
// and of the last change. A file of the same number that came later has changed later
// too, so its fingerprint is another: unless within the clock's tick, so only files
// that had last changed a while before are kept here.
#define PROVEN 256
#define SECONDS_BEFORE 2
static _Atomic uint64_t proven[PROVEN];

static uint64_t fingerprint(const struct stat *seen, const struct inode_record *record)
{
	const uint64_t words[] = {
		seen->st_dev, seen->st_ino, seen->st_ctime, seen->st_ctime_nsec,
		(uint64_t)record->identity.btime_sec, record->identity.btime_nsec,
	};
	uint64_t mixed = 0x9e3779b97f4a7c15u;
	for (unsigned i = 0; i < sizeof(words) / sizeof(*words); i++) {
		mixed = (mixed ^ words[i]) * 0xff51afd7ed558ccdu;
		mixed ^= mixed >> 32;
	}
	return mixed;
}

static bool changed_long_ago(const struct stat *seen)
{
	struct __kernel_timespec now;
	struct kernel_call call =
		KERNEL_CALL(__NR_clock_gettime, CLOCK_REALTIME_COARSE, (long)&now);
	return kernel_call_plain(&call) == 0 &&
	       now.tv_sec - (int64_t)seen->st_ctime >= SECONDS_BEFORE;
}

// The second call may already see the next file of the number, at the same path: its
// ctime tells.
static bool has_birth_time(const struct session_page *page, const struct look *look,
			   const struct stat *seen, const struct inode_record *record)
{
	struct statx real;
	const unsigned needed = STATX_INO | STATX_NLINK;
	if (!session_may_look(page, &look->call))
		return false;
	struct kernel_call call = statx_call(look->dirfd, look->path,
					     look->flags | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
					     needed | STATX_TYPE | STATX_CTIME | STATX_BTIME, &real);
	return kernel_call_passed(&call, page->pass) == 0 &&
	       (real.stx_mask & needed) == needed && real.stx_ino == seen->st_ino &&
	       rules_dev(real.stx_dev_major, real.stx_dev_minor) == seen->st_dev &&
	       (uint64_t)real.stx_ctime.tv_sec == seen->st_ctime &&
	       real.stx_ctime.tv_nsec == seen->st_ctime_nsec &&
	       rules_record_owner(record, &real) == RULES_THIS_FILE;
}

// The record was found by device and inode number; is it of this very file? Asked of
// the few that have one, at the price of a second call.
static bool is_of_this_file(const struct session_page *page, const struct look *look,
			    const struct stat *seen, const struct inode_record *record)
{
	uint64_t mark = fingerprint(seen, record);
	_Atomic uint64_t *slot = &proven[mark % PROVEN];
	bool lasting = !(record->fields & INODE_RETIRED);
	if (lasting && atomic_load_explicit(slot, memory_order_relaxed) == mark)
		return true;
	if (!has_birth_time(page, look, seen, record))
		return false;
	if (lasting && changed_long_ago(seen))
		atomic_store_explicit(slot, mark, memory_order_relaxed);
	return true;
}

static void show(const struct inode_record *record, bool unknown_is_real, struct stat *buffer)
{
	struct statx shown;
	shown.stx_mode = (uint16_t)buffer->st_mode;
	shown.stx_uid = buffer->st_uid;
	shown.stx_gid = buffer->st_gid;
	rules_show_ids_and_mode(record, unknown_is_real, &shown);
	buffer->st_mode = shown.stx_mode;
	buffer->st_uid = shown.stx_uid;
	buffer->st_gid = shown.stx_gid;
	if (!(record->fields & INODE_TYPE))
		return;
	buffer->st_rdev = record->rdev;
	buffer->st_size = 0;
	buffer->st_blocks = 0;
}

long look_stat(const struct look *look, struct stat *buffer)
{
	const struct session_page *page = session_attached();
	if (!page)
		return session_trapped(&look->call);
	uint32_t before = retirements(page);
	long returned = kernel_call_passed(&look->call, page->pass);
	if (returned < 0)
		return refused(&look->call, returned);
	struct inode_record record;
	// The kernel's encoding of a device is makedev(3)'s: its major has 12 bits.
	enum inode_lookup found = session_find(&look->call, buffer->st_dev, buffer->st_ino, &record);
	if (found == INODE_FOUND && is_of_this_file(page, look, buffer, &record) &&
	    before == retirements(page)) {
		show(&record, page->unknown_is_real, buffer);
		return 0;
	}
	if (found != INODE_ABSENT || before != retirements(page))
		return session_trapped(&look->call);
	if (!page->unknown_is_real) {
		buffer->st_uid = 0;
		buffer->st_gid = 0;
	}
	return 0;
}

bool look_may_be_recorded(const struct kernel_call *call, int dirfd, const char *path, int flags)
{
	const struct session_page *page = session_attached();
	struct inode_record record;
	struct stat seen;
	if (!session_may_look(page, call))
		return true;
	struct look look = look_at(dirfd, path, &seen, flags);
	long returned = kernel_call_passed(&look.call, page->pass);
	return is_refused(returned) ||
	       (returned == 0 &&
		session_find(call, seen.st_dev, seen.st_ino, &record) != INODE_ABSENT);
}

#else

bool look_may_be_recorded(const struct kernel_call *call, int dirfd, const char *path, int flags)
{
	const struct session_page *page = session_attached();
	struct inode_record record;
	struct statx seen;
	if (!session_may_look(page, call))
		return true;
	struct kernel_call look =
		statx_call(dirfd, path, flags | AT_NO_AUTOMOUNT, STATX_INO, &seen);
	long returned = kernel_call_passed(&look, page->pass);
	return is_refused(returned) ||
	       (returned == 0 &&
		session_find(call, rules_dev(seen.stx_dev_major, seen.stx_dev_minor), seen.stx_ino,
			     &record) != INODE_ABSENT);
}

#endif
