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

// Says which call it was that failed.
static int refused(struct session *session, const char *call)
{
	session->refused = call;
	return -errno;
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
	session->writable_memory = -1;
	session->writable_reader = -1;
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
	session_unmap(session);
	scope_close(&session->memory);
	scope_close(&session->memory_reader);
	scope_close(&session->writable_memory);
	scope_close(&session->writable_reader);
	scope_close(&session->live_lock);
	free(session->live_path);
	scope_close(&session->watch);
	scope_close(&session->mounts);
	scope_close(&session->listener);
	scope_close(&session->command_changes);
	scope_close(&session->control);
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
	int kept[] = {session->listener,        session->watch,
		      session->mounts,          session->memory,
		      session->memory_reader,   session->writable_memory,
		      session->writable_reader, session->live_lock,
		      session->control,         keep};
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
