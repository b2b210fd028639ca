// SPDX-License-Identifier: Apache-2.0
//
// memory GENERATIONS FIELD: bytes of FIELD (VmRSS, RssAnon...) of the parent (1),
// or the parent's parent (2), once it has used next to no processor time for a while.
#include "bench.h"

#include <string.h>
#include <unistd.h>

#define QUIET_MS 200
#define WAIT_MOST_MS 5000
#define IDLE_MOST_NS 2000000 // in QUIET_MS: a tracer sees even our own sleep

static pid_t parent_of(pid_t process)
{
	char name[40], text[1024];
	snprintf(name, sizeof(name), "/proc/%d/stat", (int)process);
	FILE *file = fopen(name, "re");
	int parent = 0;
	if (!file || !fgets(text, sizeof(text), file) ||
	    sscanf(strrchr(text, ')'), ") %*c %d", &parent) != 1)
		fail(name);
	fclose(file);
	return parent;
}

static unsigned long ran_for(pid_t process)
{
	char name[40];
	unsigned long ns;
	snprintf(name, sizeof(name), "/proc/%d/schedstat", (int)process);
	FILE *file = fopen(name, "re");
	if (!file || fscanf(file, "%lu", &ns) != 1)
		fail(name);
	fclose(file);
	return ns;
}

static double bytes(pid_t process, const char *field)
{
	char name[40], line[256];
	unsigned long kib;
	snprintf(name, sizeof(name), "/proc/%d/status", (int)process);
	FILE *file = fopen(name, "re");
	if (!file)
		fail(name);
	while (fgets(line, sizeof(line), file))
		if (strncmp(line, field, strlen(field)) == 0 &&
		    sscanf(line + strlen(field), ": %lu kB", &kib) == 1) {
			fclose(file);
			return (double)kib * 1024;
		}
	fail(field);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	pid_t process = getppid();
	for (int i = atoi(argv[1]); i > 1; i--)
		process = parent_of(process);
	for (int waited = 0; waited < WAIT_MOST_MS; waited += QUIET_MS) {
		unsigned long before = ran_for(process);
		usleep(QUIET_MS * 1000);
		if (ran_for(process) - before < IDLE_MOST_NS) {
			printf("%.0f\n", bytes(process, argv[2]));
			return 0;
		}
	}
	fprintf(stderr, "process %d does not become idle\n", (int)process);
	return 2;
}
