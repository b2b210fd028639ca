// SPDX-License-Identifier: Apache-2.0
//
// chown MILLISECONDS FILE: nanoseconds of one chown(2) to changing owners.
#include "bench.h"

#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	uint64_t duration = milliseconds(argv[1]), calls = 0, elapsed;
	uint64_t start = now_ns();
	do {
		for (int i = 0; i < 32; i++, calls++)
			if (chown(argv[2], 1000 + (uid_t)(i & 1), 100) != 0)
				fail("chown");
		elapsed = now_ns() - start;
	} while (elapsed < duration);

	struct stat found;
	if (stat(argv[2], &found) != 0)
		fail(argv[2]);
	if (found.st_uid != 1001)
		wrong("owner after chown", 1001, (long)found.st_uid);
	print_per_call(elapsed, calls);
	return 0;
}
