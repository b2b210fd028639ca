// SPDX-License-Identifier: Apache-2.0
//
// resident FIELD: bytes of FIELD (Rss or Pss) of this process, but for the pages of
// the inode table, which a whole session shares.
#include "bench.h"

#include <string.h>
#include <sys/stat.h>

int main(int argc, char **argv)
{
	struct stat found;
	// A preloaded library may wait with its own start until it is needed.
	if (argc != 2 || lstat(".", &found) != 0)
		return 2;
	size_t length = strlen(argv[1]);
	char line[512];
	unsigned long sum = 0, kib;
	int counted = 1;

	// Not smaps_rollup, which does not tell the mappings apart, nor VmRSS of status, which
	// proc(5) calls inaccurate.
	FILE *file = fopen("/proc/self/smaps", "re");
	if (!file)
		fail("/proc/self/smaps");
	while (fgets(line, sizeof(line), file)) {
		char *colon = strchr(line, ':');
		char *blank = strchr(line, ' ');
		if (blank && (!colon || colon > blank)) // the head of a mapping, not a field
			counted = !strstr(line, "fakeroot-sc inode table");
		else if (counted && strncmp(line, argv[1], length) == 0 &&
			 sscanf(line + length, ": %lu kB", &kib) == 1)
			sum += kib;
	}
	fclose(file);
	printf("%lu\n", sum * 1024);
	return 0;
}
