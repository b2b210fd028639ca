// SPDX-License-Identifier: Apache-2.0
//
// create CALL MILLISECONDS DIRECTORY: nanoseconds of one creation of a new file, by
// open(2) and close(2), or of one mknod(2) of a device. Removing them is not counted.
#include "bench.h"

#include <fcntl.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define FILES 64

static char names[FILES][4096];

static void create(const char *name)
{
	int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);
	if (fd < 0 || close(fd) != 0)
		fail(name);
}

static void make_device(const char *name)
{
	if (mknod(name, S_IFCHR | 0600, makedev(1, 3)) != 0)
		fail(name);
}

// The kernel frees removed files a grace period later (call_rcu()), in interrupts of whatever
// runs then: for a tool whose unlink(2) takes long, before the clock goes on again. With
// a grace period in between, all tools create in the same state (native is 0.2 us
// quicker then).
static void let_removed_files_go(void)
{
	syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

static void check(int device)
{
	struct stat found;
	if (lstat(names[0], &found) != 0)
		fail(names[0]);
	if (device && !S_ISCHR(found.st_mode))
		wrong("type after mknod", S_IFCHR, (long)(found.st_mode & S_IFMT));
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	int device = strcmp(argv[1], "mknod") == 0;
	uint64_t duration = milliseconds(argv[2]), calls = 0, elapsed = 0;
	for (int i = 0; i < FILES; i++)
		snprintf(names[i], sizeof(names[i]), "%s/%d-%d", argv[3], (int)getpid(), i);
	while (elapsed < duration) {
		uint64_t start = now_ns();
		for (int i = 0; i < FILES; i++)
			device ? make_device(names[i]) : create(names[i]);
		elapsed += now_ns() - start;
		calls += FILES;
		check(device);
		for (int i = 0; i < FILES; i++)
			if (unlink(names[i]) != 0)
				fail(names[i]);
		let_removed_files_go();
	}
	print_per_call(elapsed, calls);
	return 0;
}
