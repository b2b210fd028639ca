// SPDX-License-Identifier: Apache-2.0
//
// credentials(7): a process that has not left root is root.
#include "shim.h"

#include <asm/unistd.h>
#include <stddef.h>

#ifdef __x86_64__
#define NR(name) __NR_##name
#else
#define NR(name) __NR_##name##32 // the others have 16-bit ids
#endif

#define ROOT 0u

static unsigned id(long number)
{
	const struct session_page *page = session_attached();
	struct kernel_call call = KERNEL_CALL(number);
	return page && session_is_root(page, &call) ? ROOT : (unsigned)session_trapped(&call);
}

// The kernel finds out whether the places can be written.
static int ids(long number, unsigned *real, unsigned *effective, unsigned *saved)
{
	const struct session_page *page = session_attached();
	struct kernel_call call = KERNEL_CALL(number, (long)real, (long)effective, (long)saved);
	if (!page || !session_is_root(page, &call))
		return (int)libc_result(session_trapped(&call));
	// Where it fails half-way, the real ids that it has written must not stay.
	if (kernel_call_passed(&call, page->pass) != 0)
		return (int)libc_result(session_trapped(&call));
	*real = *effective = *saved = ROOT;
	return 0;
}

EXPORTED(unsigned, getuid, void)
{
	return id(NR(getuid));
}

EXPORTED(unsigned, geteuid, void)
{
	return id(NR(geteuid));
}

EXPORTED(unsigned, getgid, void)
{
	return id(NR(getgid));
}

EXPORTED(unsigned, getegid, void)
{
	return id(NR(getegid));
}

EXPORTED(int, getresuid, unsigned *real, unsigned *effective, unsigned *saved)
{
	return ids(NR(getresuid), real, effective, saved);
}

EXPORTED(int, getresgid, unsigned *real, unsigned *effective, unsigned *saved)
{
	return ids(NR(getresgid), real, effective, saved);
}

EXPORTED(int, getgroups, int size, unsigned *list)
{
	struct kernel_call call = KERNEL_CALL(NR(getgroups), size, (long)list);
	return (int)libc_result(session_trapped(&call));
}
