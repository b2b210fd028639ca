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
#include <unistd.h>

// Address space, not memory: pages come as records do. Room for 50 million.
#define MEMORY_BYTES_MOST ((size_t)4 << 30)
#define MEMORY_BYTES_LEAST ((size_t)1 << 20)

static int map_memory(struct session *session, int fd)
{
	int flags = MAP_SHARED | MAP_NORESERVE | (fd < 0 ? MAP_ANONYMOUS : 0);
	// RLIMIT_AS may allow less than we would like.
	for (size_t size = MEMORY_BYTES_MOST; size >= MEMORY_BYTES_LEAST; size /= 2) {
		if (fd >= 0 && ftruncate(fd, (off_t)size) < 0)
			return -errno;
		void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
		if (base == MAP_FAILED)
			continue;
		session->memory_size = size;
		session->page = base;
		session->writable = (void *)((unsigned char *)base + SESSION_PAGE_BYTES);
		return inode_table_format(&session->table,
					  (unsigned char *)base + SESSION_TABLE_OFFSET,
					  size - SESSION_TABLE_OFFSET);
	}
	return -ENOMEM;
}

static void open_reader(struct session *session)
{
	char name[32];
	snprintf(name, sizeof(name), "/proc/self/fd/%d", session->memory);
	session->memory_reader = open(name, O_RDONLY | O_CLOEXEC);
}

static int create_memory(struct session *session)
{
	// RLIMIT_FSIZE counts for a memfd, too. COMMAND keeps the user's.
	struct rlimit limit, most;
	getrlimit(RLIMIT_FSIZE, &limit);
	most = limit;
	most.rlim_cur = most.rlim_max;
	setrlimit(RLIMIT_FSIZE, &most);
	session->memory = memfd_create("fakeroot-sc inode table", MFD_CLOEXEC);
	int error = session->memory < 0 ? -errno : map_memory(session, session->memory);
	setrlimit(RLIMIT_FSIZE, &limit);
	if (error == -EFBIG) {
		scope_close(&session->memory);
		session->memory = -1;
		error = map_memory(session, -1);
	}
	if (!error && session->memory >= 0)
		open_reader(session);
	return error;
}

static int find_proc(struct session *session)
{
	struct stat st;
	struct statfs fs;
	if (statfs("/proc", &fs) < 0 || stat("/proc/self/fd", &st) < 0)
		return -errno;
	if (fs.f_type != PROC_SUPER_MAGIC)
		return -ENOENT;
	session->proc_dev = st.st_dev;
	if (stat("/proc/self/exe", &st) == 0) {
		session->own_dev = st.st_dev;
		session->own_ino = st.st_ino;
	}
	return 0;
}

// Old container profiles refuse statx(2). libc would make do without it, but there
// is no birth time to be had another way.
static int require_statx(void)
{
	struct statx self;
	long result = syscall(SYS_statx, AT_FDCWD, "/proc/self", 0, STATX_INO, &self);
	return result < 0 && (errno == EPERM || errno == ENOSYS) ? -errno : 0;
}

// How this kernel behaves where kernels differ, found by trying.
static void probe_kernel(struct session *session)
{
	struct stat st;
	session->kernel_has_x32 = syscall(FSC_X32_SYSCALL_BIT | SYS_getpid) > 0;
	session->null_path_is_empty =
		syscall(SYS_newfstatat, AT_FDCWD, NULL, &st, AT_EMPTY_PATH) == 0;
}

int session_create(struct session *session)
{
	memset(session, 0, offsetof(struct session, retired));
	session->listener = -1;
	session->watch = -1;
	session->mounts = -1;
	session->memory = -1;
	session->memory_reader = -1;
	session->control = -1;
	pthread_mutex_init(&session->table_writer, NULL);
	pthread_mutex_init(&session->settling, NULL);
	xattr_store_init(&session->xattrs);
	for (int i = 0; i < SESSION_INODE_LOCKS; i++)
		pthread_mutex_init(&session->inode_locks[i], NULL);
	probe_kernel(session);
	int error = require_statx();
	if (!error)
		error = find_proc(session);
	if (error)
		return error;
	session->watch = epoll_create1(EPOLL_CLOEXEC);
	error = session->watch < 0 ? -errno : create_memory(session);
	return error ? error : mounts_open(session);
}

void session_destroy(struct session *session)
{
	if (session->page)
		munmap(session->page, session->memory_size);
	scope_close(&session->memory);
	scope_close(&session->memory_reader);
	scope_close(&session->watch);
	scope_close(&session->mounts);
	scope_close(&session->listener);
	scope_close(&session->control);
}

void session_publish(struct session *session, uint64_t pass, bool unknown_is_real)
{
	session->page->pass = pass;
	session->page->unknown_is_real = unknown_is_real;
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
		return -errno;
	for (int fd = 0; fd <= 1; fd++)
		if (dup2(ends[0], fd) < 0)
			return -errno;
	// A path through /proc/self/cwd shall lead nowhere: to /proc, at most.
	if (chdir("/proc/self/fdinfo") < 0)
		return -errno;
	const int nameless[SESSION_NAMELESS] = {0, session->watch, session->memory,
						session->control};
	for (int i = 0; i < SESSION_NAMELESS; i++)
		if (fstat(nameless[i], &st) == 0)
			session->nameless_devs[i] = st.st_dev;

	umask(0);
	int kept[] = {session->listener, session->watch,         session->mounts,
		      session->memory,   session->memory_reader,
		      session->control,  keep};
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
