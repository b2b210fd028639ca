// SPDX-License-Identifier: Apache-2.0
//
// unlink MILLISECONDS DIRECTORY: nanoseconds of one unlink(2) of a new file; the
// making of the files is not counted, but MILLISECONDS holds for both.
#include "bench.h"

#include <fcntl.h>
#include <unistd.h>

#define FILES 128

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	uint64_t duration = milliseconds(argv[1]), calls = 0, elapsed = 0;
	uint64_t begin = now_ns();
	char name[FILES][24];
	if (chdir(argv[2]) != 0)
		fail(argv[2]);
	for (int i = 0; i < FILES; i++)
		snprintf(name[i], sizeof(name[i]), "u%d-%d", (int)getpid(), i);
	do {
		for (int i = 0; i < FILES; i++) {
			int fd = open(name[i], O_WRONLY | O_CREAT | O_EXCL, 0644);
			if (fd < 0)
				fail("open");
			close(fd);
		}
		uint64_t start = now_ns();
		for (int i = 0; i < FILES; i++, calls++)
			if (unlink(name[i]) != 0)
				fail("unlink");
		elapsed += now_ns() - start;
	} while (now_ns() - begin < duration);
	print_per_call(elapsed, calls);
	return 0;
}
