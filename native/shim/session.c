// SPDX-License-Identifier: Apache-2.0
//
// Some facts that shape this file:
//  - The shared memory is mapped in steps: address space counts against RLIMIT_AS,
//    and a program that sets a limit for itself does not know of us. Each step is a
//    mapping of its own beside the earlier ones, which other threads may be reading.
//  - mremap(2) with an old size of 0 maps shared memory once more, so the descriptor
//    need not stay open in the program.
//  - A child after vfork() shares our variables with its parent; after fork() it
//    has a copy, and the same mappings.
#include "attach.h"
#include "shim.h"

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <stddef.h>

// 1 MiB (14,000 records), and eight times as much at each further step.
#define FIRST_MAPPING ((size_t)1 << 20)
#define STEP_SHIFT 3
#ifdef __x86_64__
#define STEPS 5
#define NR_MMAP __NR_mmap
#else
#define STEPS 3
#define NR_MMAP __NR_mmap2
#endif

static _Atomic(unsigned char *) mappings[STEPS];
static _Atomic int top = -1; // the largest mapping, -1: not attached
static _Atomic bool no_more; // address space for a larger one
static _Atomic uint32_t looked_up_to; // sandboxes known to be other processes'
static _Atomic bool sandboxed;

static size_t mapping_size(int step)
{
	return FIRST_MAPPING << (STEP_SHIFT * step);
}

static bool failed(long returned)
{
	return (unsigned long)returned >= (unsigned long)-4095;
}

static struct inode_table table_at(int step)
{
	unsigned char *base = atomic_load_explicit(&mappings[step], memory_order_acquire);
	return (struct inode_table){base + SESSION_PAGE_BYTES,
				    mapping_size(step) - SESSION_PAGE_BYTES};
}

const struct session_page *session_attached(void)
{
	int step = atomic_load_explicit(&top, memory_order_acquire);
	if (step < 0)
		return NULL;
	// All mappings show the same page; the first one stays warm in the cache.
	return (const struct session_page *)atomic_load_explicit(&mappings[0],
								 memory_order_relaxed);
}

void session_unmap(void *address, size_t size)
{
	struct kernel_call call = KERNEL_CALL(__NR_munmap, (long)address, (long)size);
	kernel_call_plain(&call);
}

// Maps what the table has grown to. Returns false where that cannot be.
static bool map_next(int step)
{
	if (step + 1 >= STEPS || atomic_load_explicit(&no_more, memory_order_relaxed))
		return false;
	unsigned char *base = atomic_load_explicit(&mappings[0], memory_order_relaxed);
	struct kernel_call call = KERNEL_CALL(__NR_mremap, (long)base, 0,
					      (long)mapping_size(step + 1), MREMAP_MAYMOVE);
	long address = kernel_call_plain(&call);
	if (failed(address)) {
		atomic_store_explicit(&no_more, true, memory_order_relaxed);
		return false;
	}
	unsigned char *none = NULL, *larger = (unsigned char *)(uintptr_t)address;
	if (!atomic_compare_exchange_strong(&mappings[step + 1], &none, larger))
		session_unmap(larger, mapping_size(step + 1)); // another thread was quicker
	int expected = step;
	atomic_compare_exchange_strong(&top, &expected, step + 1);
	return true;
}

bool session_has_records(void)
{
	struct inode_table table = table_at(0);
	return inode_table_count(&table) > 0;
}

enum inode_lookup session_find(const struct kernel_call *call, uint64_t dev, uint64_t ino,
			       struct inode_record *record_ret)
{
	// What is put is counted before the call that has put it returns.
	if (!session_has_records())
		return INODE_ABSENT;
	for (;;) {
		int step = atomic_load_explicit(&top, memory_order_acquire);
		struct inode_table table = table_at(step);
		enum inode_lookup found = inode_table_find(&table, dev, ino, record_ret);
		if (found != INODE_BUSY || inode_table_used(&table) <= table.size ||
		    !session_may_look(session_attached(), call) || !map_next(step))
			return found;
	}
}

long session_trapped(const struct kernel_call *call)
{
	long returned;
	do
		returned = kernel_call_plain(call);
	while (returned == -EINTR && session_attached());
	return returned;
}

// The stat call by which the program's loader has looked at a descriptor.
static long ask_for(int what)
{
	char nothing[256] = "";
	long place = (long)nothing;
#ifdef __x86_64__
	struct kernel_call call = KERNEL_CALL(__NR_fstat, what, place);
	if (libc_style() == LIBC_GLIBC_AT)
		call = KERNEL_CALL(__NR_newfstatat, what, place, place, AT_EMPTY_PATH);
#else
	struct kernel_call call =
		KERNEL_CALL(__NR_statx, what, place, AT_EMPTY_PATH, 0, place);
	if (libc_style() == LIBC_GLIBC_OLD)
		call = KERNEL_CALL(__NR_fstat64, what, place);
#endif
	return session_trapped(&call);
}

bool session_may_look(const struct session_page *page, const struct kernel_call *call)
{
	uint32_t sandboxes = atomic_load_explicit(&page->sandboxes, memory_order_acquire);
	if (sandboxes == atomic_load_explicit(&looked_up_to, memory_order_relaxed))
		return true;
	if (atomic_load_explicit(&sandboxed, memory_order_relaxed))
		return false;
	struct kernel_call question = *call;
	question.args[0] = question.args[1] = ATTACH_SANDBOXED;
	if (session_trapped(&question) != 0) {
		atomic_store_explicit(&sandboxed, true, memory_order_relaxed);
		return false;
	}
	atomic_store_explicit(&looked_up_to, sandboxes, memory_order_relaxed);
	return true;
}

// The soft limit carries a tag, see credentials.c.
bool session_is_root(const struct session_page *page, const struct kernel_call *call)
{
	const int rlimit_locks = 10; // <asm-generic/resource.h>
	uint64_t limits[2];
	if (atomic_load_explicit(&page->left_root, memory_order_acquire) == 0)
		return true;
	if (!session_may_look(page, call))
		return false;
	struct kernel_call ask =
		KERNEL_CALL(__NR_prlimit64, 0, rlimit_locks, 0, (long)limits);
	return kernel_call_passed(&ask, page->pass) == 0 && limits[0] == page->root_tag;
}

void *session_map(int what, size_t size, int protection)
{
	long fd = ask_for(what);
	if (fd < 0)
		return NULL;
	// Six arguments, of which the last is 0 anyway.
	struct kernel_call call =
		KERNEL_CALL(NR_MMAP, 0, (long)size, protection, MAP_SHARED, fd);
	long address = kernel_call_plain(&call);
	call = KERNEL_CALL(__NR_close, fd);
	kernel_call_plain(&call);
	return failed(address) ? NULL : (void *)(uintptr_t)address;
}

__attribute__((constructor)) static void attach(void)
{
	size_t size = mapping_size(0);
	unsigned char *base = session_map(ATTACH_TABLE, size, PROT_READ);
	if (!base)
		return;
	const struct session_page *page = (const struct session_page *)base;
	struct inode_table table;
	if (atomic_load_explicit(&page->magic, memory_order_acquire) != SESSION_PAGE_MAGIC ||
	    inode_table_attach(&table, base + SESSION_PAGE_BYTES, size - SESSION_PAGE_BYTES) != 0) {
		session_unmap(base, size);
		return;
	}
	atomic_store_explicit(&mappings[0], base, memory_order_relaxed);
	atomic_store_explicit(&top, 0, memory_order_release);
}
