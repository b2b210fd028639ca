// SPDX-License-Identifier: Apache-2.0
//
// lstat MILLISECONDS PROCESSES OWNER FILE...: nanoseconds of one lstat(2), with
// several processes at once those between two results of any of them.
// OWNER: the user id that must be seen, -1 for any.
#include "bench.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct result {
	uint64_t elapsed, calls;
};

static struct result measure(uint64_t duration, char **files)
{
	struct result result = {0};
	struct stat found;
	uint64_t start = now_ns();
	do {
		for (char **file = files; *file; file++, result.calls++)
			if (lstat(*file, &found) != 0)
				fail(*file);
		result.elapsed = now_ns() - start;
	} while (result.elapsed < duration);
	return result;
}

int main(int argc, char **argv)
{
	if (argc < 5)
		return 2;
	uint64_t duration = milliseconds(argv[1]);
	int processes = atoi(argv[2]);
	long owner = atol(argv[3]);
	char **files = argv + 4;

	for (char **file = files; *file; file++) {
		struct stat found;
		if (lstat(*file, &found) != 0)
			fail(*file);
		if (owner >= 0 && found.st_uid != (uid_t)owner)
			wrong("owner", owner, (long)found.st_uid);
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
			struct result result = measure(duration, files);
			_exit(write(results[1], &result, sizeof(result)) != sizeof(result));
		}
	}
	close(go[1]);
	close(results[1]);

	double rate = 0;
	for (int i = 0; i < processes; i++) {
		struct result result;
		if (read(results[0], &result, sizeof(result)) != sizeof(result))
			fail("a process gave no result");
		rate += (double)result.calls / (double)result.elapsed;
	}
	while (wait(NULL) > 0)
		;
	printf("%.2f\n", 1 / rate);
	return 0;
}
