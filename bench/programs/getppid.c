// SPDX-License-Identifier: Apache-2.0
//
// getppid MILLISECONDS: nanoseconds of one getppid(2), which nothing traps.
#include "bench.h"

#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	uint64_t duration = milliseconds(argv[1]), calls = 0, elapsed;
	uint64_t start = now_ns();
	do {
		for (int i = 0; i < 1000; i++, calls++)
			syscall(SYS_getppid);
		elapsed = now_ns() - start;
	} while (elapsed < duration);
	print_per_call(elapsed, calls);
	return 0;
}
