// SPDX-License-Identifier: Apache-2.0
#include "memory_guard.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>

#define REGIONS 256 // two for each state that is open

struct region {
	atomic_uintptr_t base; // 0: free, 1: being filled
	size_t size;
	atomic_bool *lost;
};

static struct region regions[REGIONS];
static struct sigaction before;

static struct region *region_of(uintptr_t address)
{
	for (int i = 0; i < REGIONS; i++) {
		uintptr_t base = atomic_load(&regions[i].base);
		if (base > 1 && address >= base && address - base < regions[i].size)
			return &regions[i];
	}
	return NULL;
}

// In the midst of whatever has read the memory: one system call, no lock.
static bool replace(const struct region *region)
{
	void *base = (void *)atomic_load(&region->base);
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
	int known = errno;
	bool replaced = mmap(base, region->size, PROT_READ | PROT_WRITE, flags, -1, 0) == base;
	errno = known;
	if (replaced)
		atomic_store(region->lost, true);
	return replaced;
}

static void on_bus_error(int signal, siginfo_t *info, void *context)
{
	// Not by a fault: kill(2) has no say here.
	if (info->si_code <= 0)
		return;
	const struct region *region = region_of((uintptr_t)info->si_addr);
	if (region && replace(region))
		return;
	if (before.sa_flags & SA_SIGINFO)
		before.sa_sigaction(signal, info, context);
	else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN)
		before.sa_handler(signal);
	else
		sigaction(signal, &before, NULL); // what has faulted does so again
}

static void install(void)
{
	struct sigaction action = {.sa_sigaction = on_bus_error,
				   .sa_flags = SA_SIGINFO | SA_ONSTACK};
	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, &before);
}

bool memory_guard_watch(void *base, size_t size, atomic_bool *lost)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	sigset_t only;
	pthread_once(&once, install);
	// The kernel kills who faults while it is blocked (force_sig_info()).
	sigemptyset(&only);
	sigaddset(&only, SIGBUS);
	pthread_sigmask(SIG_UNBLOCK, &only, NULL);
	for (int i = 0; i < REGIONS; i++) {
		uintptr_t none = 0;
		if (!atomic_compare_exchange_strong(&regions[i].base, &none, 1))
			continue;
		regions[i].size = size;
		regions[i].lost = lost;
		atomic_store(&regions[i].base, (uintptr_t)base);
		return true;
	}
	return false;
}

void memory_guard_forget(const void *base)
{
	for (int i = 0; i < REGIONS; i++)
		if (atomic_load(&regions[i].base) == (uintptr_t)base)
			atomic_store(&regions[i].base, 0);
}
