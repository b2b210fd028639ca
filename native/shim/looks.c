// SPDX-License-Identifier: Apache-2.0
#include "looks.h"

#include "attach.h"
#include "rules.h"
#include "shim.h"

#include <asm/unistd.h>
#include <linux/errno.h>
#include <stddef.h>

#ifdef __x86_64__

#define TRIES 4

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

long change_trapped_with_look(const struct kernel_call *call, const struct statx *seen)
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
	return returned == -EINTR ? session_trapped(call) : returned;
}

void change_retire(int fd)
{
	const int read = 4; // R_OK: a question for nothing (F_OK) does not trap
	struct kernel_call call =
		KERNEL_CALL(__NR_faccessat2, fd, (long)"", read, ATTACH_RETIRE);
	session_trapped(&call);
}

long change_trapped(const struct kernel_call *call, int dirfd, const char *path, int flags)
{
	struct statx seen;
	return session_writable(call) && change_look(call, dirfd, path, flags, &seen)
		       ? change_trapped_with_look(call, &seen)
		       : session_trapped(call);
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
