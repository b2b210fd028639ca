// SPDX-License-Identifier: Apache-2.0
//
// stat CALL MILLISECONDS PROCESSES OWNER FILE...: nanoseconds of one CALL (lstat,
// fstat or statx), with several processes at once those between two results of
// any of them. OWNER: the user id that must be seen, -1 for any.
#include "bench.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILES_MOST 256

struct file {
	const char *path;
	int fd;
};

// Looks at one file and returns its owner.
typedef uid_t look(const struct file *file);

struct result {
	uint64_t elapsed, calls;
};

static uid_t look_lstat(const struct file *file)
{
	struct stat found;
	if (lstat(file->path, &found) != 0)
		fail(file->path);
	return found.st_uid;
}

static uid_t look_fstat(const struct file *file)
{
	struct stat found;
	if (fstat(file->fd, &found) != 0)
		fail(file->path);
	return found.st_uid;
}

static uid_t look_statx(const struct file *file)
{
	struct statx found;
	if (statx(AT_FDCWD, file->path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &found) != 0)
		fail(file->path);
	return found.stx_uid;
}

static look *look_named(const char *name)
{
	if (strcmp(name, "lstat") == 0)
		return look_lstat;
	if (strcmp(name, "fstat") == 0)
		return look_fstat;
	if (strcmp(name, "statx") == 0)
		return look_statx;
	fprintf(stderr, "%s: no such call\n", name);
	exit(2);
}

static struct result measure(uint64_t duration, look *call, const struct file *files, int count)
{
	struct result result = {0};
	uint64_t start = now_ns();
	do {
		for (int i = 0; i < count; i++, result.calls++)
			call(&files[i]);
		result.elapsed = now_ns() - start;
	} while (result.elapsed < duration);
	return result;
}

int main(int argc, char **argv)
{
	if (argc < 6 || argc > 5 + FILES_MOST)
		return 2;
	look *call = look_named(argv[1]);
	uint64_t duration = milliseconds(argv[2]);
	int processes = atoi(argv[3]);
	long owner = atol(argv[4]);
	struct file files[FILES_MOST];
	int count = argc - 5;

	for (int i = 0; i < count; i++) {
		files[i] = (struct file){argv[5 + i], open(argv[5 + i], O_RDONLY | O_CLOEXEC)};
		if (files[i].fd < 0)
			fail(files[i].path);
		uid_t found = call(&files[i]);
		if (owner >= 0 && found != (uid_t)owner)
			wrong("owner", owner, (long)found);
	}

	int results[2], go[2];
	if (pipe(results) != 0 || pipe(go) != 0)
		fail("pipe");
	for (int i = 0; i < processes; i++) {
		pid_t child = fork();
		if (child < 0)
			fail("fork");
		if (child == 0) {
			char byte;
			close(go[1]);
			if (read(go[0], &byte, 1) != 0) // until the parent lets all go
				_exit(2);
			struct result result = measure(duration, call, files, count);
			_exit(write(results[1], &result, sizeof(result)) != sizeof(result));
		}
	}
	close(go[1]);
	close(results[1]);

	double rate = 0;
	uint64_t calls = 0;
	for (int i = 0; i < processes; i++) {
		struct result result;
		if (read(results[0], &result, sizeof(result)) != sizeof(result))
			fail("a process gave no result");
		rate += (double)result.calls / (double)result.elapsed;
		calls += result.calls;
	}
	while (wait(NULL) > 0)
		;
	printf("%llu calls, %.2f\n", (unsigned long long)calls, 1 / rate);
	return 0;
}
