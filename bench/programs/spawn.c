// SPDX-License-Identifier: Apache-2.0
//
// spawn MILLISECONDS PROGRAM: nanoseconds of one run of PROGRAM, with posix_spawn(3).
#include "bench.h"

#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	uint64_t duration = milliseconds(argv[1]), runs = 0, elapsed;
	uint64_t start = now_ns();
	do {
		pid_t child;
		int status;
		if (posix_spawn(&child, argv[2], NULL, NULL, argv + 2, environ) != 0)
			fail(argv[2]);
		if (waitpid(child, &status, 0) < 0)
			fail("waitpid");
		if (status != 0)
			wrong("exit status", 0, status);
		runs++;
		elapsed = now_ns() - start;
	} while (elapsed < duration);
	print_per_call(elapsed, runs);
	return 0;
}
