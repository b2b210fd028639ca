// SPDX-License-Identifier: Apache-2.0
//
// notifications CALL DIRECTORY: how often a call makes its process wait for another one.
//
// That is how often it traps: an answer takes another process's work, so the kernel
// counts a voluntary context switch (getrusage(2)). Nothing else here waits: the files
// are empty, and the directory is in memory or cached.
#include "bench.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CALLS 2000

static char path[4096];

static void look(void)
{
	struct stat found;
	if (lstat(path, &found) != 0)
		fail("lstat");
}

static void ask_access(void)
{
	if (access(path, R_OK | W_OK) != 0)
		fail("access");
}

static void ask_id(void)
{
	(void)!geteuid();
}

static void own(void)
{
	static unsigned turn;
	if (chown(path, 1000 + (turn++ & 1), 100) != 0)
		fail("chown");
}

static void set_mode(void)
{
	static unsigned turn;
	if (chmod(path, turn++ & 1 ? 0644 : 0600) != 0)
		fail("chmod");
}

static void create(void)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
	if (fd < 0)
		fail("open");
	close(fd);
}

static void open_again(void)
{
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		fail("open");
	close(fd);
}

static void create_remove(void)
{
	char other[sizeof(path) + 8];
	snprintf(other, sizeof(other), "%s.new", path);
	int fd = open(other, O_CREAT | O_EXCL | O_WRONLY, 0644);
	if (fd < 0 || close(fd) != 0 || unlink(other) != 0)
		fail(other);
}

static void directories(void)
{
	char other[sizeof(path) + 8];
	snprintf(other, sizeof(other), "%s.dir", path);
	if (mkdir(other, 0755) != 0 || rmdir(other) != 0)
		fail(other);
}

static void devices(void)
{
	char other[sizeof(path) + 8];
	snprintf(other, sizeof(other), "%s.dev", path);
	if (mknod(other, S_IFCHR | 0600, 0x103) != 0 || unlink(other) != 0)
		fail(other);
}

static void times(void)
{
	if (utimensat(AT_FDCWD, path, NULL, 0) != 0)
		fail("utimensat");
}

static void set_attribute(void)
{
	if (setxattr(path, "user.name", "value", 5, 0) != 0)
		fail("setxattr");
}

static void get_attribute(void)
{
	char value[16];
	if (getxattr(path, "user.none", value, sizeof(value)) >= 0)
		fail("getxattr");
}

static const struct {
	const char *name;
	void (*call)(void);
} calls[] = {
	{"lstat", look},         {"access", ask_access},        {"geteuid", ask_id},
	{"chown", own},          {"chmod", set_mode},           {"open", open_again},
	{"creat", create},       {"creat, unlink", create_remove}, {"mkdir, rmdir", directories},
	{"mknod, unlink", devices}, {"utimensat", times},       {"setxattr", set_attribute},
	{"getxattr", get_attribute},
};

static long waits(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_nvcsw;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	snprintf(path, sizeof(path), "%s/notifications-%d", argv[2], (int)getpid());
	int fd = open(path, O_CREAT | O_WRONLY, 0644);
	if (fd < 0 || close(fd) != 0)
		fail(path);
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		if (strcmp(calls[i].name, argv[1]) != 0)
			continue;
		calls[i].call();
		long before = waits();
		for (int count = 0; count < CALLS; count++)
			calls[i].call();
		printf("%.3f\n", (double)(waits() - before) / CALLS);
		return unlink(path);
	}
	return 2;
}
