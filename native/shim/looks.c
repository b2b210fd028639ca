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

static void leave_place(const struct taken *taken)
{
	atomic_store_explicit(&taken->place->ticket, 0, memory_order_release);
}

// Takes a place and fills it. Returns none where the supervisor has to look by itself.
static struct taken look(const struct session_page *page, struct look_place *all, int dirfd,
			 const char *path, int flags)
{
	struct taken taken = take_place(all);
	if (!taken.place)
		return taken;
	struct kernel_call call = KERNEL_CALL(__NR_statx, dirfd, (long)path, flags,
					      RULES_CHANGE_ATTRIBUTES,
					      (long)&taken.place->attributes);
	if (kernel_call_passed(&call, page->pass) == 0)
		return taken;
	leave_place(&taken);
	return (struct taken){NULL, 0};
}

long session_trapped_with_look(const struct kernel_call *call, int dirfd, const char *path,
			       int flags)
{
	const struct session_page *page = session_attached();
	// statx(2) takes NULL for an empty path (Linux 6.11), no change does.
	bool may = page && path && session_may_look(page, call);
	struct look_place *all = may ? join() : NULL;
	struct taken taken = {NULL, 0};
	if (all)
		taken = look(page, all, dirfd, path, flags);
	if (!taken.place)
		return session_trapped(call);
	uint64_t second = (uint64_t)call->args[1];
	long returned = kernel_call_with(call, looks_mix(page->pass, second, taken.name));
	leave_place(&taken);
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
