// SPDX-License-Identifier: Apache-2.0
//
// setxattr NAME MILLISECONDS FILE: nanoseconds of one setxattr(2) to changing values.
#include "bench.h"

#include <string.h>
#include <sys/xattr.h>

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	// A capability (VFS_CAP_REVISION_2) is checked; any other name takes it as well.
	uint32_t value[5] = {0x02000001, 0, 0, 0, 0}, found[5];
	uint64_t duration = milliseconds(argv[2]), calls = 0, elapsed;
	uint64_t start = now_ns();
	do {
		for (int i = 0; i < 32; i++, calls++) {
			value[1] = 0x2000u << (i & 1);
			if (setxattr(argv[3], argv[1], value, sizeof(value), 0) != 0)
				fail("setxattr");
		}
		elapsed = now_ns() - start;
	} while (elapsed < duration);
	if (getxattr(argv[3], argv[1], found, sizeof(found)) != sizeof(found) ||
	    memcmp(value, found, sizeof(value)) != 0)
		wrong("value after setxattr", value[1], found[1]);
	print_per_call(elapsed, calls);
	return 0;
}
