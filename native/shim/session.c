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

// 1 MiB (11,000 records), and eight times as much at each further step.
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
	return (struct inode_table){base + SESSION_TABLE_OFFSET,
				    mapping_size(step) - SESSION_TABLE_OFFSET};
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

static void unmap(void *address, size_t size)
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
		unmap(larger, mapping_size(step + 1)); // another thread was quicker
	int expected = step;
	atomic_compare_exchange_strong(&top, &expected, step + 1);
	return true;
}

static enum inode_lookup find_in_table(const struct kernel_call *call, uint64_t dev, uint64_t ino,
				       struct inode_record *record_ret)
{
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

static void *map(long fd, size_t size, int protection)
{
	struct kernel_call call = KERNEL_CALL(NR_MMAP, 0, (long)size, protection, MAP_SHARED, fd);
	long address = kernel_call_with(&call, 0);
	return failed(address) ? NULL : (void *)(uintptr_t)address;
}

static void close_descriptor(long fd)
{
	struct kernel_call call = KERNEL_CALL(__NR_close, fd);
	kernel_call_plain(&call);
}

// What targets write, mapped when it is first needed.
static _Atomic(struct session_writable *) joined;
static _Atomic bool join_refused;
#ifdef __x86_64__
static _Atomic bool join_reads; // for reading only
#endif

static struct session_writable *map_writable(void)
{
	const size_t size = sizeof(struct session_writable);
	long fd = ask_for(ATTACH_WRITABLE);
	if (fd < 0)
		return NULL;
	void *mapped = NULL;
#ifdef __x86_64__
	mapped = map(fd, size, PROT_READ | PROT_WRITE);
	if (!mapped)
		atomic_store_explicit(&join_reads, true, memory_order_relaxed);
#endif
	if (!mapped)
		mapped = map(fd, size, PROT_READ);
	close_descriptor(fd);
	return mapped;
}

static struct session_writable *join(const struct kernel_call *call)
{
	struct session_writable *known = atomic_load_explicit(&joined, memory_order_acquire);
	if (known || atomic_load_explicit(&join_refused, memory_order_relaxed) ||
	    !session_may_look(session_attached(), call))
		return known;
	struct session_writable *mapped = map_writable();
	if (!mapped) {
		atomic_store_explicit(&join_refused, true, memory_order_relaxed);
		return NULL;
	}
	if (atomic_compare_exchange_strong(&joined, &known, mapped))
		return mapped;
	unmap(mapped, sizeof(*mapped)); // another thread was quicker
	return known;
}

bool session_has_records(void)
{
	const struct session_page *page = session_attached();
	struct inode_table table = table_at(0);
	return inode_table_count(&table) > 0 ||
	       atomic_load_explicit(&page->pending_used, memory_order_acquire);
}

bool session_has_modes(const struct session_page *page, const struct kernel_call *call)
{
	if (atomic_load(&page->mode_records) > 0)
		return true;
	if (!atomic_load(&page->pending_used))
		return false;
	const struct session_writable *shared = join(call);
	return !shared || atomic_load(&shared->pending.modes) > 0;
}

// A pending change is settled between the two looks at its place, or it is not.
static enum inode_lookup find_with_pending(const struct kernel_call *call, uint64_t dev,
					   uint64_t ino, struct inode_record *record_ret)
{
	const int tries = 8;
	const struct session_writable *shared = join(call);
	for (int i = 0; shared && i < tries; i++) {
		struct pending_view view;
		if (!pending_look(&shared->pending, dev, ino, &view))
			continue;
		enum inode_lookup found = find_in_table(call, dev, ino, record_ret);
		if (found == INODE_BUSY || !pending_unchanged(&view))
			continue;
		if (!view.found)
			return found;
		return pending_merge(&view.change, record_ret, found == INODE_FOUND) ? INODE_FOUND
										     : INODE_BUSY;
	}
	return INODE_BUSY;
}

enum inode_lookup session_find(const struct kernel_call *call, uint64_t dev, uint64_t ino,
			       struct inode_record *record_ret)
{
	const struct session_page *page = session_attached();
	// What is put is counted before the call that has put it returns.
	if (!session_has_records())
		return INODE_ABSENT;
	if (atomic_load_explicit(&page->pending_used, memory_order_acquire))
		return find_with_pending(call, dev, ino, record_ret);
	return find_in_table(call, dev, ino, record_ret);
}

#ifdef __x86_64__

// Not for i386: the 32 bits of a look's name could be in its sixth register by chance.
struct session_writable *session_writable(const struct kernel_call *call)
{
	static _Atomic bool asked;
	struct session_writable *known = atomic_load_explicit(&joined, memory_order_acquire);
	if (!known && session_attached() &&
	    atomic_exchange_explicit(&asked, true, memory_order_relaxed))
		known = join(call);
	return atomic_load_explicit(&join_reads, memory_order_relaxed) ? NULL : known;
}

#endif

__attribute__((constructor)) static void attach(void)
{
	size_t size = mapping_size(0);
	long fd = ask_for(ATTACH_TABLE);
	if (fd < 0)
		return;
	unsigned char *base = map(fd, size, PROT_READ);
	close_descriptor(fd);
	if (!base)
		return;
	const struct session_page *page = (const struct session_page *)base;
	struct inode_table table;
	if (atomic_load_explicit(&page->magic, memory_order_acquire) != SESSION_PAGE_MAGIC ||
	    inode_table_attach(&table, base + SESSION_TABLE_OFFSET, size - SESSION_TABLE_OFFSET) != 0) {
		unmap(base, size);
		return;
	}
	atomic_store_explicit(&mappings[0], base, memory_order_relaxed);
	atomic_store_explicit(&top, 0, memory_order_release);
}
