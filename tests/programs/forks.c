// SPDX-License-Identifier: Apache-2.0
//
// forks COUNT: leaves root, makes so many children, each of which asks who it is, and
// says how much the supervisor, its parent, has grown meanwhile, in kilobytes.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static long resident(void)
{
	char name[40], line[128];
	long kilobytes = -1;
	snprintf(name, sizeof(name), "/proc/%d/status", (int)getppid());
	FILE *status = fopen(name, "r");
	while (status && fgets(line, sizeof(line), status))
		sscanf(line, "VmRSS: %ld", &kilobytes);
	if (status)
		fclose(status);
	return kilobytes;
}

static void make_children(long count)
{
	for (long i = 0; i < count; i++) {
		pid_t child = vfork();
		if (child == 0)
			_exit(getuid() != 1000 || getgid() != 50);
		int status = 1;
		if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0)
			exit(1);
	}
}

int main(int argc, char **argv)
{
	long count = argc > 1 ? atol(argv[1]) : 0;
	if (setgid(50) != 0 || setuid(1000) != 0)
		return 2;
	make_children(1000);
	long before = resident();
	make_children(count);
	printf("%ld\n", resident() - before);
	return 0;
}
