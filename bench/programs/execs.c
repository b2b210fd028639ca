// SPDX-License-Identifier: Apache-2.0
//
// execs COUNT: nanoseconds of one execve(2) of this program by itself, COUNT in turn.
#include "bench.h"

#include <unistd.h>

int main(int argc, char **argv)
{
	// execs COUNT, and once under way: execs COUNT LEFT START
	if (argc != 2 && argc != 4)
		return 2;
	long count = atol(argv[1]), left = argc == 4 ? atol(argv[2]) : count;
	uint64_t start = argc == 4 ? strtoull(argv[3], NULL, 10) : now_ns();
	if (left == 0) {
		print_per_call(now_ns() - start, (uint64_t)count);
		return 0;
	}
	char next[24], since[24];
	snprintf(next, sizeof(next), "%ld", left - 1);
	snprintf(since, sizeof(since), "%llu", (unsigned long long)start);
	execv(argv[0], (char *[]){argv[0], argv[1], next, since, NULL});
	fail(argv[0]);
}
