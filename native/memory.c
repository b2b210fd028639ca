// SPDX-License-Identifier: Apache-2.0
//
// The memory of a session: its files and mappings, its locks, room for more.
#include "session.h"

#include "kernel.h"
#include "memory_guard.h"
#include "scope.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/vfs.h>

// Address space, not memory: pages come as records do. Room for 50 million.
#define MEMORY_BYTES_MOST ((size_t)4 << 30)
#define MEMORY_BYTES_LEAST ((size_t)1 << 20)
// Of what a limit allows, for threads' stacks.
#define MEMORY_BYTES_SPARED ((size_t)8 << 20)

int session_map(struct session *session, int fd)
{
	int flags = MAP_SHARED | MAP_NORESERVE | (fd < 0 ? MAP_ANONYMOUS : 0);
	// RLIMIT_AS may allow less than we would like.
	for (size_t size = MEMORY_BYTES_MOST; size >= MEMORY_BYTES_LEAST; size /= 2) {
		bool limited = size < MEMORY_BYTES_MOST && size > MEMORY_BYTES_SPARED;
		size_t spared = limited ? MEMORY_BYTES_SPARED : 0;
		unsigned char *base =
			mmap(NULL, size + spared, PROT_READ | PROT_WRITE, flags, fd, 0);
		if (base == MAP_FAILED)
			continue;
		if (spared)
			munmap(base + size, spared);
		session->memory_size = size;
		session->page = (void *)base;
		return 0;
	}
	return -ENOMEM;
}

int session_map_writable(struct session *session, int fd)
{
	int flags = MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0);
	void *base = mmap(NULL, sizeof(*session->writable), PROT_READ | PROT_WRITE, flags, fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	session->writable = base;
	return 0;
}

void session_unmap(struct session *session)
{
	if (session->page) {
		memory_guard_forget(session->page);
		munmap(session->page, session->memory_size);
	}
	if (session->writable) {
		memory_guard_forget(session->writable);
		munmap(session->writable, sizeof(*session->writable));
	}
	session->page = NULL;
	session->writable = NULL;
}

int session_reopen(int fd)
{
	char name[32];
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	return open(name, O_RDONLY | O_CLOEXEC);
}

// RLIMIT_FSIZE counts for memory, too, if it is a file. COMMAND keeps the user's.
static struct rlimit raise_file_size(void)
{
	struct rlimit limit, most;
	getrlimit(RLIMIT_FSIZE, &limit);
	most = limit;
	most.rlim_cur = most.rlim_max;
	setrlimit(RLIMIT_FSIZE, &most);
	return limit;
}

int session_allocate(int fd, size_t from, size_t bytes)
{
	struct rlimit limit = raise_file_size();
	int error = posix_fallocate(fd, (off_t)from, (off_t)bytes);
	setrlimit(RLIMIT_FSIZE, &limit);
	return -error;
}

// Says which call it was that failed.
static int refused(struct session *session, const char *call)
{
	session->refused = call;
	return -errno;
}

// vm.memfd_noexec = 2 wants to hear that nobody will execute it.
static int make_file(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd < 0 && errno == EACCES ? memfd_create(name, MFD_CLOEXEC | MFD_NOEXEC_SEAL) : fd;
}

// Who can neither cut a file off nor make it longer cannot make us fault. Before Linux 5.1
// targets could open the records for writing by way of /proc/self/fd.
static void seal(int fd, int seals)
{
	const int size = F_SEAL_SHRINK | F_SEAL_GROW;
	if (fcntl(fd, F_ADD_SEALS, size | seals | F_SEAL_SEAL) < 0)
		fcntl(fd, F_ADD_SEALS, size | F_SEAL_SEAL);
}

// A memfd's pages come as they are written to.
static int create_records(struct session *session)
{
	SCOPED_FD fd = make_file("fakeroot-sc inode table");
	int error = fd < 0 ? refused(session, "memfd_create") : session_map(session, fd);
	if (!error && ftruncate(fd, (off_t)session->memory_size) < 0)
		error = refused(session, "ftruncate");
	if (error)
		return error;
	seal(fd, F_SEAL_FUTURE_WRITE);
	session->memory_reader = session_reopen(fd);
	return 0;
}

static int create_writable(struct session *session)
{
	SCOPED_FD fd = make_file("fakeroot-sc changes");
	if (fd < 0)
		return refused(session, "memfd_create");
	if (ftruncate(fd, sizeof(*session->writable)) < 0)
		return refused(session, "ftruncate");
	int error = session_map_writable(session, fd);
	if (error)
		return error;
	seal(fd, 0);
	session->writable_reader = session_reopen(fd);
	session->writable_memory = fd_release(&fd);
	return 0;
}

static int format_table(struct session *session)
{
	session_make_locks(session, false);
	session->page->shared.allocated = session->memory_size;
	return inode_table_format(&session->table,
				  (unsigned char *)session->page + SESSION_TABLE_OFFSET,
				  session->memory_size - SESSION_TABLE_OFFSET);
}

int session_create_memory(struct session *session)
{
	struct rlimit limit = raise_file_size();
	int error = create_records(session);
	if (!error)
		error = create_writable(session);
	setrlimit(RLIMIT_FSIZE, &limit);
	if (error == -EFBIG) {
		session_unmap(session);
		error = session_map(session, -1);
		if (!error)
			error = session_map_writable(session, -1);
	}
	return error ? error : format_table(session);
}

void session_make_locks(struct session *session, bool shared)
{
	struct session_locks *locks = &session->locks;
	lock_word *word = shared ? session->page->shared.locks : NULL;
	struct stat st;
	bool others = shared && (fstat(session->memory, &st) < 0 || st.st_mode & (S_IWGRP | S_IWOTH) ||
				 st.st_uid != geteuid());
	struct lock *all[SESSION_LOCKS] = {&locks->table_writer, &locks->settling,
					   &locks->committing};
	for (int i = 0; i < SESSION_INODE_LOCKS; i++)
		all[SESSION_LOCKS - SESSION_INODE_LOCKS + i] = &locks->inodes[i];
	for (int i = 0; i < SESSION_LOCKS; i++)
		lock_init(all[i], word ? &word[i] : NULL, others);
}

// What another supervisor has allocated belongs to the table, too; what is not mapped here
// does not.
static void see_allocated(struct session *session)
{
	size_t size = atomic_load(&session->page->shared.allocated);
	if (size <= SESSION_TABLE_OFFSET || size > session->memory_size)
		return;
	size -= SESSION_TABLE_OFFSET;
	if (size != session->table.size)
		__atomic_store_n(&session->table.size, size, __ATOMIC_RELAXED);
}

// What a lock's owner was at when it was killed is finished, or done again.
static void take_over(struct session *session, const struct lock *lock)
{
	struct session_shared *shared = &session->page->shared;
	if (lock == &session->locks.table_writer && atomic_load(&shared->redo_valid)) {
		struct inode_record redo = shared->redo;
		session_put(session, &redo);
	}
	if (lock == &session->locks.committing) {
		atomic_store(&shared->changed, 1);
		atomic_store(&shared->writing, 0);
	}
}

struct lock *session_lock(struct session *session, struct lock *lock)
{
	bool died = lock_acquire(lock);
	if (session->durable && lock == &session->locks.table_writer)
		see_allocated(session);
	if (died)
		take_over(session, lock);
	return lock;
}

bool session_lock_within(struct session *session, struct lock *lock, double seconds)
{
	bool died;
	if (!lock_acquire_within(lock, seconds, &died))
		return false;
	if (died)
		take_over(session, lock);
	return true;
}

int session_fill_writable(struct session *session)
{
	struct session_shared *shared = &session->page->shared;
	if (!session->durable || shared->writable_filled)
		return 0;
	int error = session_allocate(session->writable_memory, 0, sizeof(*session->writable));
	shared->writable_filled = error == 0;
	return error;
}

// For the largest block of attributes; and for records that targets have published, and
// those that they may.
#define RESERVE ((size_t)192 << 10)
#define RESERVE_PROMISED ((size_t)1 << 20)

// What can be had for sure no more. tmpfs takes all pages that there are before it refuses,
// and gives them back: 0.2 ms per missing MiB, at each call while the disk is full. A file
// system that does not count its blocks has none in total.
static size_t bytes_free(int fd)
{
	struct statfs fs;
	if (fstatfs(fd, &fs) < 0 || fs.f_blocks == 0)
		return SIZE_MAX;
	uint64_t blocks = geteuid() == 0 ? fs.f_bfree : fs.f_bavail, bytes;
	return __builtin_mul_overflow(blocks, (uint64_t)fs.f_bsize, &bytes) ? SIZE_MAX : bytes;
}

// As much again as there is, or on an almost full disk what that has left.
static bool allocate_more(struct session *session, size_t allocated)
{
	const size_t most = (size_t)256 << 20;
	size_t mapped = session->page->shared.mapped_least;
	if (mapped > session->memory_size)
		mapped = session->memory_size;
	if (!session->durable || allocated >= mapped)
		return false;
	size_t more = allocated < most ? allocated : most;
	if (more > mapped - allocated)
		more = mapped - allocated;
	size_t left = bytes_free(session->memory);
	while (more > left && more > RESERVE_PROMISED)
		more = more / 2 / SESSION_PAGE_BYTES * SESSION_PAGE_BYTES;
	if (more > left || session_allocate(session->memory, allocated, more) != 0)
		return false;
	atomic_store(&session->page->shared.allocated, allocated + more);
	see_allocated(session);
	return true;
}

int session_make_room(struct session *session)
{
	size_t allocated = atomic_load(&session->page->shared.allocated);
	// The next bucket array takes an eighth of what is in use. A hole cannot be
	// written to on a full disk: SIGBUS.
	size_t used = SESSION_TABLE_OFFSET + inode_table_used(&session->table);
	bool promised = atomic_load(&session->page->pending_used);
	size_t needed = used + used / 4 + (promised ? RESERVE_PROMISED : RESERVE);
	while (needed > allocated && allocate_more(session, allocated))
		allocated = atomic_load(&session->page->shared.allocated);
	if (needed <= allocated)
		return 0;
	atomic_store(&session->page->pending_closed, 1);
	return promised && used + RESERVE_PROMISED / 2 > allocated ? -ENOSPC : 0;
}

int session_put(struct session *session, const struct inode_record *record)
{
	struct session_shared *shared = &session->page->shared;
	if (!session->durable)
		return inode_table_put(&session->table, record);
	shared->redo = *record;
	atomic_store(&shared->redo_valid, 1);
	int error = inode_table_put(&session->table, record);
	atomic_store(&shared->redo_valid, 0);
	return error;
}
