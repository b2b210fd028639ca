// SPDX-License-Identifier: Apache-2.0
#include "looks.h"

#include "attach.h"
#include "rules.h"
#include "shim.h"

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/mman.h>
#include <stddef.h>

#ifdef __x86_64__

#define TRIES 4

static _Atomic(struct look_place *) places;
static _Atomic bool refused;

// Joined at the first change: most programs never make one.
static struct look_place *join(void)
{
	struct look_place *known = atomic_load_explicit(&places, memory_order_acquire);
	if (known || atomic_load_explicit(&refused, memory_order_relaxed))
		return known;
	struct look_place *mapped =
		session_map(ATTACH_LOOKS, LOOKS_BYTES, PROT_READ | PROT_WRITE);
	if (!mapped) {
		atomic_store_explicit(&refused, true, memory_order_relaxed);
		return NULL;
	}
	if (atomic_compare_exchange_strong(&places, &known, mapped))
		return mapped;
	session_unmap(mapped, LOOKS_BYTES); // another thread was quicker
	return known;
}

// Threads have stacks of their own, so they begin to search at different places.
static uint64_t take_place(struct look_place *all)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0) >> 12;
	for (unsigned i = 0; i < TRIES; i++) {
		unsigned index = (unsigned)(here * 31 + i) % LOOKS;
		uint32_t is_free = 0;
		if (atomic_compare_exchange_strong(&all[index].taken, &is_free, 1))
			return index + 1;
	}
	return 0;
}

static void leave_place(struct look_place *all, uint64_t number)
{
	atomic_store_explicit(&all[number - 1].taken, 0, memory_order_release);
}

// Returns 0 where the supervisor has to look by itself.
static uint64_t look(const struct session_page *page, struct look_place *all, int dirfd,
		     const char *path, int flags)
{
	uint64_t number = take_place(all);
	if (!number)
		return 0;
	struct kernel_call call = KERNEL_CALL(__NR_statx, dirfd, (long)path, flags,
					      RULES_CHANGE_ATTRIBUTES,
					      (long)&all[number - 1].attributes);
	if (kernel_call_passed(&call, page->pass) == 0)
		return number;
	leave_place(all, number);
	return 0;
}

long session_trapped_with_look(const struct kernel_call *call, int dirfd, const char *path,
			       int flags)
{
	const struct session_page *page = session_attached();
	// statx(2) takes NULL for an empty path (Linux 6.11), no change does.
	bool may = page && path && session_may_look(page);
	struct look_place *all = may ? join() : NULL;
	uint64_t number = all ? look(page, all, dirfd, path, flags) : 0;
	if (!number)
		return session_trapped(call);
	uint64_t second = (uint64_t)call->args[1];
	long returned = kernel_call_with(call, looks_number(page->pass, second, number));
	leave_place(all, number);
	return returned == -EINTR ? session_trapped(call) : returned;
}

#else

long session_trapped_with_look(const struct kernel_call *call, int dirfd, const char *path,
			       int flags)
{
	(void)dirfd;
	(void)path;
	(void)flags;
	return session_trapped(call);
}

#endif
