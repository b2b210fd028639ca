// SPDX-License-Identifier: Apache-2.0
#include "session.h"

#include "kernel.h"
#include "mounts.h"
#include "scope.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

// Address space, not memory: pages come as records do. Room for 50 million.
#define MEMORY_BYTES_MOST ((size_t)4 << 30)
#define MEMORY_BYTES_LEAST ((size_t)1 << 20)

// Says which call it was that failed.
static int refused(struct session *session, const char *call)
{
	session->refused = call;
	return -errno;
}

int session_map(struct session *session, int fd)
{
	int flags = MAP_SHARED | MAP_NORESERVE | (fd < 0 ? MAP_ANONYMOUS : 0);
	// RLIMIT_AS may allow less than we would like.
	for (size_t size = MEMORY_BYTES_MOST; size >= MEMORY_BYTES_LEAST; size /= 2) {
		void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
		if (base == MAP_FAILED)
			continue;
		session->memory_size = size;
		session->page = base;
		session->writable = (void *)((unsigned char *)base + SESSION_PAGE_BYTES);
		session->locks = (struct session_locks *)(void *)session->page->shared.locks;
		return 0;
	}
	return -ENOMEM;
}

// A memfd's pages come as they are written to.
static int map_memory(struct session *session, int fd)
{
	int error = session_map(session, fd);
	if (!error && fd >= 0 && ftruncate(fd, (off_t)session->memory_size) < 0)
		error = refused(session, "ftruncate");
	if (!error)
		error = session_make_locks(session);
	if (error)
		return error;
	session->page->shared.allocated = session->memory_size;
	return inode_table_format(&session->table,
				  (unsigned char *)session->page + SESSION_TABLE_OFFSET,
				  session->memory_size - SESSION_TABLE_OFFSET);
}

void session_open_reader(struct session *session)
{
	char name[32];
	snprintf(name, sizeof(name), "/proc/self/fd/%d", session->memory);
	session->memory_reader = open(name, O_RDONLY | O_CLOEXEC);
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

int session_create_memory(struct session *session)
{
	struct rlimit limit = raise_file_size();
	session->memory = memfd_create("fakeroot-sc inode table", MFD_CLOEXEC);
	int error = session->memory < 0 ? refused(session, "memfd_create")
					: map_memory(session, session->memory);
	setrlimit(RLIMIT_FSIZE, &limit);
	if (error == -EFBIG) {
		munmap(session->page, session->memory_size);
		scope_close(&session->memory);
		session->memory = -1;
		error = map_memory(session, -1);
	}
	if (!error && session->memory >= 0)
		session_open_reader(session);
	return error;
}

// A process whose number there is another one has been put into a PID namespace, and its
// /proc was not: whatever is asked there of a target is asked of somebody else.
static int check_pid_namespace(struct session *session)
{
	char text[16];
	ssize_t length = readlink("/proc/self", text, sizeof(text) - 1);
	if (length < 0)
		return refused(session, "readlink");
	text[length] = '\0';
	return atoi(text) == getpid() ? 0 : -EXDEV;
}

static int find_proc(struct session *session)
{
	struct stat st;
	struct statfs fs;
	if (statfs("/proc", &fs) < 0)
		return refused(session, "statfs");
	if (stat("/proc/self/fd", &st) < 0)
		return refused(session, "stat");
	if (fs.f_type != PROC_SUPER_MAGIC)
		return -ENOENT;
	session->proc_dev = st.st_dev;
	if (stat("/proc/self/exe", &st) == 0) {
		session->own_dev = st.st_dev;
		session->own_ino = st.st_ino;
	}
	return check_pid_namespace(session);
}

// Old container profiles refuse statx(2). libc would make do without it, but there
// is no birth time to be had another way.
static int require_statx(struct session *session)
{
	struct statx self;
	long result = syscall(SYS_statx, AT_FDCWD, "/proc/self", 0, STATX_INO, &self);
	bool missing = result < 0 && (errno == EPERM || errno == ENOSYS);
	return missing ? refused(session, "statx") : 0;
}

// How this kernel behaves where kernels differ, found by trying.
static void probe_kernel(struct session *session)
{
	struct stat st;
	session->kernel_has_x32 = syscall(FSC_X32_SYSCALL_BIT | SYS_getpid) > 0;
	session->null_path_is_empty =
		syscall(SYS_newfstatat, AT_FDCWD, NULL, &st, AT_EMPTY_PATH) == 0;
}

void session_init(struct session *session)
{
	session->listener = -1;
	session->command_changes = -1;
	session->filters = 1;
	session->watch = -1;
	session->mounts = -1;
	session->memory = -1;
	session->memory_reader = -1;
	session->live_lock = -1;
	session->control = -1;
	session->refused = "";
}

int session_create(struct session *session)
{
	probe_kernel(session);
	int error = require_statx(session);
	if (!error)
		error = find_proc(session);
	if (error)
		return error;
	session->watch = epoll_create1(EPOLL_CLOEXEC);
	if (session->watch < 0)
		return refused(session, "epoll_create1");
	error = session->page ? 0 : session_create_memory(session);
	return error ? error : mounts_open(session);
}

void session_destroy(struct session *session)
{
	if (session->page)
		munmap(session->page, session->memory_size);
	scope_close(&session->memory);
	scope_close(&session->memory_reader);
	scope_close(&session->live_lock);
	scope_close(&session->watch);
	scope_close(&session->mounts);
	scope_close(&session->listener);
	scope_close(&session->command_changes);
	scope_close(&session->control);
}

int session_make_locks(struct session *session)
{
	struct session_locks *locks = session->locks;
	pthread_mutexattr_t attributes;
	int error = pthread_mutexattr_init(&attributes);
	if (error)
		return -error;
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	memset(locks, 0, sizeof(*locks));
	pthread_mutex_init(&locks->table_writer, &attributes);
	pthread_mutex_init(&locks->settling, &attributes);
	pthread_mutex_init(&locks->committing, &attributes);
	for (int i = 0; i < SESSION_INODE_LOCKS; i++)
		pthread_mutex_init(&locks->inodes[i], &attributes);
	pthread_mutexattr_destroy(&attributes);
	return 0;
}

// What another supervisor has allocated belongs to the table, too.
static void see_allocated(struct session *session)
{
	size_t size = atomic_load(&session->page->shared.allocated) - SESSION_TABLE_OFFSET;
	if (size != session->table.size)
		__atomic_store_n(&session->table.size, size, __ATOMIC_RELAXED);
}

// What a lock's owner was at when it was killed is finished, or done again.
static void take_over(struct session *session, pthread_mutex_t *mutex)
{
	struct session_shared *shared = &session->page->shared;
	if (mutex == &session->locks->table_writer && atomic_load(&shared->redo_valid))
		session_put(session, &shared->redo);
	if (mutex == &session->locks->committing) {
		atomic_store(&shared->changed, 1);
		atomic_store(&shared->writing, 0);
	}
	pthread_mutex_consistent(mutex);
}

pthread_mutex_t *session_lock(struct session *session, pthread_mutex_t *mutex)
{
	bool died = pthread_mutex_lock(mutex) == EOWNERDEAD;
	if (session->durable && mutex == &session->locks->table_writer)
		see_allocated(session);
	if (died)
		take_over(session, mutex);
	return mutex;
}

bool session_lock_within(struct session *session, pthread_mutex_t *mutex, double seconds)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += (time_t)seconds;
	until.tv_nsec += (long)((seconds - (double)(time_t)seconds) * 1e9);
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	int error = pthread_mutex_timedlock(mutex, &until);
	if (error == EOWNERDEAD)
		take_over(session, mutex);
	return error == 0 || error == EOWNERDEAD;
}

// For records that targets have published, and those that they may.
#define RESERVE ((size_t)1 << 20)

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
	if (!session->durable || allocated >= mapped)
		return false;
	size_t more = allocated < most ? allocated : most;
	if (more > mapped - allocated)
		more = mapped - allocated;
	size_t left = bytes_free(session->memory);
	while (more > left && more > RESERVE)
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
	if (used + used / 4 + RESERVE <= allocated || allocate_more(session, allocated))
		return 0;
	atomic_store(&session->page->pending_closed, 1);
	bool promised = atomic_load(&session->page->pending_used);
	return promised && used + RESERVE / 2 > allocated ? -ENOSPC : 0;
}

int session_put(struct session *session, const struct inode_record *record)
{
	struct session_shared *shared = &session->page->shared;
	if (!session->durable)
		return inode_table_put(&session->table, record);
	if (record != &shared->redo)
		shared->redo = *record;
	atomic_store(&shared->redo_valid, 1);
	int error = inode_table_put(&session->table, record);
	atomic_store(&shared->redo_valid, 0);
	return error;
}

void session_publish(struct session *session, uint64_t pass, bool unknown_is_real)
{
	session->page->pass = pass;
	session->page->unknown_is_real = unknown_is_real;
	session->page->shared.published = 1;
	atomic_store(&session->page->magic, SESSION_PAGE_MAGIC);
}

static int compare_descriptors(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void close_between(unsigned first, unsigned last)
{
	if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
		return;
	// Linux before 5.9. Listing what is open never depends on ulimit -n.
	DIR *open_ones = opendir("/proc/self/fd");
	if (!open_ones)
		return;
	struct dirent *one;
	while ((one = readdir(open_ones))) {
		char *end;
		unsigned long fd = strtoul(one->d_name, &end, 10);
		if (end != one->d_name && fd >= first && fd <= last &&
		    (int)fd != dirfd(open_ones))
			close((int)fd);
	}
	closedir(open_ones);
}

int session_detach(struct session *session, int keep)
{
	int ends[2];
	struct stat st;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return refused(session, "pipe2");
	for (int fd = 0; fd <= 1; fd++)
		if (dup2(ends[0], fd) < 0)
			return refused(session, "dup2");
	// A path through /proc/self/cwd shall lead nowhere: to /proc, at most.
	if (chdir("/proc/self/fdinfo") < 0)
		return refused(session, "chdir");
	SCOPED_FD memfd = memfd_create("", MFD_CLOEXEC);
	const int nameless[SESSION_NAMELESS] = {
		[SESSION_NAMELESS_PIPE] = 0,
		[SESSION_NAMELESS_ANONYMOUS] = session->watch,
		[SESSION_NAMELESS_MEMORY] = memfd,
		[SESSION_NAMELESS_SOCKET] = session->control,
	};
	for (int i = 0; i < SESSION_NAMELESS; i++)
		if (fstat(nameless[i], &st) == 0)
			session->nameless_devs[i] = st.st_dev;

	umask(0);
	int kept[] = {session->listener,      session->watch,     session->mounts,
		      session->memory,        session->live_lock, session->control,
		      session->memory_reader, keep};
	const size_t count = sizeof(kept) / sizeof(*kept);
	qsort(kept, count, sizeof(*kept), compare_descriptors);
	unsigned first = 3;
	for (size_t i = 0; i < count; i++) {
		if (kept[i] < (int)first)
			continue;
		close_between(first, (unsigned)kept[i] - 1);
		first = (unsigned)kept[i] + 1;
	}
	close_between(first, INT_MAX);
	return 0;
}

void session_detach_errors(void)
{
	dup2(0, 2);
}

// What one request may hold open at a time: two entries, two subjects, a file
// under /proc.
#define WORKER_DESCRIPTORS 6
#define OTHER_DESCRIPTORS 16

// The limit is the supervisor's own: COMMAND has been started with the user's.
static int descriptors_allowed(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 64;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	getrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur > INT_MAX ? INT_MAX : (int)limit.rlim_cur;
}

int session_workers_allowed(int most)
{
	int allowed = (descriptors_allowed() - OTHER_DESCRIPTORS) / WORKER_DESCRIPTORS;
	return allowed < 2 ? 2 : allowed > most ? most : allowed;
}
