// SPDX-License-Identifier: Apache-2.0
//
// clock REPEATS COMMAND [ARGUMENT...]: nanoseconds of one run of COMMAND, from its
// start to its end. Put around a tool it counts the tool's own start and end, put
// inside (TOOL clock ...) it does not.
#include "bench.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	int repeats = atoi(argv[1]);
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);

	uint64_t start = now_ns();
	for (int i = 0; i < repeats; i++) {
		pid_t child;
		int status;
		if (posix_spawnp(&child, argv[2], &actions, NULL, argv + 2, environ) != 0)
			fail(argv[2]);
		if (waitpid(child, &status, 0) < 0)
			fail("waitpid");
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
			fprintf(stderr, "%s: ended with status %#x\n", argv[2], (unsigned)status);
			return 2;
		}
	}
	print_per_call(now_ns() - start, (uint64_t)repeats);
	return 0;
}
