// SPDX-License-Identifier: Apache-2.0
#include "looks.h"

#include "attach.h"
#include "rules.h"
#include "shim.h"

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/time.h>
#include <linux/time_types.h>
#include <stddef.h>

#ifdef __x86_64__

#define TRIES 4
#define TIME_OMIT ((1l << 30) - 2) // UTIME_OMIT of <linux/stat.h>, Linux 6.16

struct taken {
	struct look_place *place; // NULL: none was free
	uint64_t name;
};

// Threads have stacks of their own, so they begin to search at different places.
static struct taken take_place(struct look_place *all)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0) >> 12;
	uint32_t ticket = (uint32_t)__builtin_ia32_rdtsc() | 1;
	for (unsigned i = 0; i < TRIES; i++) {
		uint32_t index = (uint32_t)(here * 31 + i) % LOOKS;
		uint32_t is_free = 0;
		if (atomic_compare_exchange_strong(&all[index].ticket, &is_free, ticket))
			return (struct taken){&all[index], looks_name(index, ticket)};
	}
	return (struct taken){NULL, 0};
}

bool change_look(const struct kernel_call *call, int dirfd, const char *path, int flags,
		 struct statx *seen_ret)
{
	const struct session_page *page = session_attached();
	// statx(2) takes NULL for an empty path (Linux 6.11), no change does.
	if (!page || !path || !session_may_look(page, call))
		return false;
	struct kernel_call look = KERNEL_CALL(__NR_statx, dirfd, (long)path, flags,
					      RULES_CHANGE_ATTRIBUTES, (long)seen_ret);
	return kernel_call_passed(&look, page->pass) == 0;
}

// What is asked for is what is there: whoever changes it meanwhile is not undone, as to the
// owner, or by a time of access that counts for little.
void change_touch(int dirfd, const char *path, int flags, const struct statx *seen)
{
	const struct session_page *page = session_attached();
	struct __kernel_timespec now = {0};
	struct kernel_call clock =
		KERNEL_CALL(__NR_clock_gettime, CLOCK_REALTIME_COARSE, (long)&now);
	if (kernel_call_plain(&clock) == 0 &&
	    rules_changed_now(seen, now.tv_sec, (uint32_t)now.tv_nsec))
		return;
	struct kernel_call touch =
		KERNEL_CALL(__NR_fchownat, dirfd, (long)path, seen->stx_uid, -1L, flags);
	const struct __kernel_timespec times[2] = {
		{.tv_sec = seen->stx_atime.tv_sec, .tv_nsec = seen->stx_atime.tv_nsec},
		{.tv_nsec = TIME_OMIT},
	};
	if (rules_chown_takes(seen))
		touch = KERNEL_CALL(__NR_utimensat, dirfd, (long)path, (long)times, flags);
	kernel_call_passed(&touch, page->pass);
}

long change_trapped_with_look(const struct kernel_call *call, int dirfd, const char *path,
			      int flags, const struct statx *seen)
{
	struct session_writable *shared = session_writable(call);
	struct taken taken = {NULL, 0};
	if (shared)
		taken = take_place(shared->looks);
	if (!taken.place)
		return session_trapped(call);
	taken.place->attributes = *seen;
	uint64_t second = (uint64_t)call->args[1];
	long returned =
		kernel_call_with(call, looks_mix(session_attached()->pass, second, taken.name));
	atomic_store_explicit(&taken.place->ticket, 0, memory_order_release);
	if (returned == -EINTR)
		return session_trapped(call);
	if (returned == 0)
		change_touch(dirfd, path, flags, seen);
	return returned;
}

void change_retire(int fd)
{
	const int read = 4; // R_OK: only to ask whether a file is there does not trap
	struct kernel_call call = KERNEL_CALL(__NR_faccessat2, fd, (long)"", read, ATTACH_RETIRE);
	session_trapped(&call);
}

long change_trapped(const struct kernel_call *call, int dirfd, const char *path, int flags)
{
	struct statx seen;
	if (!session_writable(call) || !change_look(call, dirfd, path, flags, &seen))
		return session_trapped(call);
	return change_trapped_with_look(call, dirfd, path, flags, &seen);
}

#else

long change_trapped(const struct kernel_call *call, int dirfd, const char *path, int flags)
{
	(void)dirfd;
	(void)path;
	(void)flags;
	return session_trapped(call);
}

#endif
