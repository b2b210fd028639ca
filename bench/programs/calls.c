// SPDX-License-Identifier: Apache-2.0
//
// calls CALL DIRECTORY: how often a call makes its process wait for another one.
// calls CALL DIRECTORY MILLISECONDS: nanoseconds of one.
//
// How often it waits is how often it traps: an answer takes another process's work, so the
// kernel counts a voluntary context switch (getrusage(2)). Nothing else here waits: the
// files are empty, and the directory is in memory or cached.
#include "bench.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CALLS 2000
#define LISTED 64

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
	if (chmod(path, turn++ & 1 ? 0755 : 0600) != 0)
		fail("chmod");
}

static void check_mode(void)
{
	struct stat found;
	if (chmod(path, 04711) != 0 || lstat(path, &found) != 0)
		fail("chmod");
	if ((found.st_mode & 07777) != 04711)
		wrong("mode after chmod", 04711, (long)(found.st_mode & 07777));
}

static void check_owner(void)
{
	struct stat found;
	if (chown(path, 1234, 100) != 0 || lstat(path, &found) != 0)
		fail("chown");
	if (found.st_uid != 1234 || found.st_gid != 100)
		wrong("owner after chown", 1234, (long)found.st_uid);
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

static void rename_back(void)
{
	char other[sizeof(path) + 8];
	snprintf(other, sizeof(other), "%s.to", path);
	if (rename(path, other) != 0 || rename(other, path) != 0)
		fail(other);
}

static void link_remove(void)
{
	char other[sizeof(path) + 8];
	snprintf(other, sizeof(other), "%s.to", path);
	if (link(path, other) != 0 || unlink(other) != 0)
		fail(other);
}

static void symbolic_link(void)
{
	char other[sizeof(path) + 8];
	snprintf(other, sizeof(other), "%s.to", path);
	if (symlink("nowhere", other) != 0 || unlink(other) != 0)
		fail(other);
}

static void check_device(void)
{
	char other[sizeof(path) + 8];
	struct stat found;
	snprintf(other, sizeof(other), "%s.dev", path);
	if (mknod(other, S_IFCHR | 0600, 0x103) != 0 || lstat(other, &found) != 0 ||
	    unlink(other) != 0)
		fail(other);
	if (!S_ISCHR(found.st_mode))
		wrong("type after mknod", S_IFCHR, (long)(found.st_mode & S_IFMT));
}

static void list(void)
{
	char listed[sizeof(path) + 8];
	int entries = 0;
	snprintf(listed, sizeof(listed), "%s.list", path);
	DIR *directory = opendir(listed);
	if (!directory)
		fail(listed);
	while (readdir(directory))
		entries++;
	closedir(directory);
	if (entries != LISTED + 2)
		wrong("entries", LISTED + 2, entries);
}

static void make_listed(void)
{
	char name[sizeof(path) + 24];
	snprintf(name, sizeof(name), "%s.list", path);
	if (mkdir(name, 0755) != 0)
		fail(name);
	for (int i = 0; i < LISTED; i++) {
		snprintf(name, sizeof(name), "%s.list/%d", path, i);
		int fd = open(name, O_CREAT | O_WRONLY, 0644);
		if (fd < 0 || close(fd) != 0)
			fail(name);
	}
}

static void remove_listed(void)
{
	char name[sizeof(path) + 24];
	for (int i = 0; i < LISTED; i++) {
		snprintf(name, sizeof(name), "%s.list/%d", path, i);
		if (unlink(name) != 0)
			fail(name);
	}
	snprintf(name, sizeof(name), "%s.list", path);
	if (rmdir(name) != 0)
		fail(name);
}

static void set_id(void)
{
	if (setresuid((uid_t)-1, geteuid(), (uid_t)-1) != 0)
		fail("setresuid");
}

static void get_capabilities(void)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];
	if (syscall(SYS_capget, &header, data) != 0)
		fail("capget");
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
	void (*check)(void);   // afterwards: whether it does what it says
	void (*prepare)(void); // undone by cleanup
	void (*cleanup)(void);
} calls[] = {
	{.name = "lstat", .call = look},
	{.name = "access", .call = ask_access},
	{.name = "geteuid", .call = ask_id},
	{.name = "chown", .call = own, .check = check_owner},
	{.name = "chmod", .call = set_mode, .check = check_mode},
	{.name = "open", .call = open_again},
	{.name = "creat", .call = create},
	{.name = "creat, unlink", .call = create_remove},
	{.name = "mkdir, rmdir", .call = directories},
	{.name = "mknod, unlink", .call = devices, .check = check_device},
	{.name = "rename, rename", .call = rename_back},
	{.name = "link, unlink", .call = link_remove},
	{.name = "symlink, unlink", .call = symbolic_link},
	{.name = "utimensat", .call = times},
	{.name = "setxattr", .call = set_attribute},
	{.name = "getxattr", .call = get_attribute},
	{.name = "list 64", .call = list, .prepare = make_listed, .cleanup = remove_listed},
	{.name = "setresuid", .call = set_id},
	{.name = "capget", .call = get_capabilities},
};

static long waits(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_nvcsw;
}

static void count_waits(void (*call)(void))
{
	call();
	long before = waits();
	for (int count = 0; count < CALLS; count++)
		call();
	printf("%.3f\n", (double)(waits() - before) / CALLS);
}

static void take_time(void (*call)(void), uint64_t duration)
{
	uint64_t count = 0, elapsed;
	call();
	uint64_t start = now_ns();
	do {
		for (int i = 0; i < 8; i++, count++)
			call();
		elapsed = now_ns() - start;
	} while (elapsed < duration);
	print_per_call(elapsed, count);
}

int main(int argc, char **argv)
{
	if (argc != 3 && argc != 4)
		return 2;
	snprintf(path, sizeof(path), "%s/calls-%d", argv[2], (int)getpid());
	int fd = open(path, O_CREAT | O_WRONLY, 0644);
	if (fd < 0 || close(fd) != 0)
		fail(path);
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		if (strcmp(calls[i].name, argv[1]) != 0)
			continue;
		if (calls[i].prepare)
			calls[i].prepare();
		if (argc == 3)
			count_waits(calls[i].call);
		else
			take_time(calls[i].call, milliseconds(argv[3]));
		if (calls[i].check)
			calls[i].check();
		if (calls[i].cleanup)
			calls[i].cleanup();
		return unlink(path);
	}
	return 2;
}
